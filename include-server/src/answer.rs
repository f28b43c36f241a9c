//! One query, one answer: interpret, scan, lay out, and put into the words of either dialogue.
//!
//! [`Answerer`] owns all that is remembered between queries. Whatever goes wrong in a query, a panic included, becomes a
//! [`Doubt`] for that query alone.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use protocol::bundle::need::Need;
use protocol::include_dialogue::{Answer, Query};
use protocol::limits::Limits;

use crate::closure::Closure;
use crate::compiler::{CompilerError, Kept, LocatedCompiler};
use crate::decline::Decline;
use crate::facts::{Evidence, Facts, Freshness, Session, Vouched, WatchError};
use crate::file_table::FileTable;
use crate::layout::bundle::lay_out_bundle;
use crate::layout::{CompressedForms, Layout, LayoutError, lay_out};
use crate::ledger::Ledger;
use crate::mirror::{Mirror, MirrorError};
use crate::offer::{Bundle, OfferError, Parcel, Sheet, parcels};
use crate::options::{Interpretation, Options, OptionsError};
use crate::scan::scan_in;

/// Why there is no closure, in one line for a person. The compile is then preprocessed at home.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// The command line is not covered.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The scanner is not sure.
    #[error(transparent)]
    Scan(#[from] Decline),
    /// The files cannot be shown to a server.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Stock's dialogue has no names for them.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A server asks for what it is not to have.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The system has no random bytes for the name of a table.
    #[error("no table of files can be begun: {0}")]
    Ledger(std::io::Error),
    /// The closure has more files than a manifest may.
    #[error("the files are {0}, more than one job may have")]
    TooMany(usize),
    /// The closure is larger than a message may be.
    #[error("the files make {0} bytes, more than one job may have")]
    TooLarge(usize),
    /// An error in the include server itself.
    #[error("the include server failed on this command: {0}")]
    Panic(String),
}

/// Why there can be no answerer.
#[derive(Debug, thiserror::Error)]
pub enum AnswererError {
    /// The compilers cannot be asked.
    #[error(transparent)]
    Compiler(#[from] CompilerError),
    /// inotify was demanded and cannot be had.
    #[error(transparent)]
    Watch(#[from] WatchError),
}

/// Answers queries; shared by all threads.
pub struct Answerer {
    environment: Vec<(Vec<u8>, Vec<u8>)>,
    freshness: Freshness,
    kept: Option<Arc<Kept>>,
    memory: RwLock<Arc<Memory>>,
    forms: CompressedForms,
    mirror: Option<Mirror>,
}

/// All that is remembered between queries, and forgotten together.
struct Memory {
    options: Options,
    files: FileTable,
    answers: DashMap<[u8; 32], Arc<Answered>, RandomState>,
    /// The table that manifests are made of now.
    ledger: RwLock<Option<Arc<Ledger>>>,
    /// Platforms as they go over the wire, so that many answers have one.
    platforms: DashMap<Arc<[u8]>, (), RandomState>,
}

/// The answer to one query.
pub struct Answered {
    /// What the query means.
    pub meaning: Interpretation,
    /// Which files it reads.
    pub closure: Closure,
    /// What a server must be given, if it can be.
    pub layout: Result<Layout, LayoutError>,
    /// The same as a manifest, if anybody asked for one.
    bundle: Option<Result<Bundle, LayoutError>>,
    /// What it rests on besides the closure's lookups.
    evidence: Evidence,
    vouched: Vouched,
}

/// What a server of the bundle dialect is offered; what the offer rests on stays alive with it.
pub struct Offered {
    /// The body of `MANI`.
    pub body: Vec<u8>,
    answered: Arc<Answered>,
    ledger: Arc<Ledger>,
    length: u32,
}

impl Offered {
    /// The messages with what a server lacks.
    ///
    /// # Errors
    /// [`OfferError`].
    pub fn parcels(&self, need: &Need) -> Result<Vec<Parcel>, OfferError> {
        parcels(need, &self.ledger, self.length, &self.answered.closure)
    }

    /// The answer behind it.
    pub fn answered(&self) -> &Arc<Answered> {
        &self.answered
    }
}

/// How often a manifest is made anew because something changed meanwhile.
const OFFER_ATTEMPTS: usize = 3;

/// Platforms kept at most: a bound on memory, far above what a build has.
const PLATFORMS_KEPT: usize = 1024;

/// Answers kept at most.
const ANSWERS_KEPT: usize = 65_536;

/// Names kept at most, some 300 bytes each. Past that all is forgotten and learnt anew.
const NAMES_KEPT: usize = 2_000_000;

impl Answerer {
    /// An answerer that knows nothing yet. `environment` stands for that of queries that carry none. Without a mirror,
    /// stock's dialogue never covers anything.
    ///
    /// # Errors
    /// See [`AnswererError`].
    pub fn new(
        environment: Vec<(Vec<u8>, Vec<u8>)>,
        freshness: Freshness,
        mirror: Option<Mirror>,
    ) -> Result<Self, AnswererError> {
        Self::with_kept(environment, freshness, mirror, None)
    }

    /// As [`Answerer::new`], with what compilers said to earlier sessions.
    ///
    /// # Errors
    /// See [`AnswererError`].
    pub fn with_kept(
        environment: Vec<(Vec<u8>, Vec<u8>)>,
        freshness: Freshness,
        mirror: Option<Mirror>,
        kept: Option<Arc<Kept>>,
    ) -> Result<Self, AnswererError> {
        let memory = Memory::new(environment.clone(), freshness, kept.clone())?;
        Ok(Self {
            environment,
            freshness,
            kept,
            memory: RwLock::new(Arc::new(memory)),
            forms: CompressedForms::default(),
            mirror,
        })
    }

    /// Records what headers come to from this meeting with them on, until the memory is made anew. (Tests do not meet a header
    /// often.)
    pub fn record_from(&self, meeting: u32) {
        self.memory().files.summaries().record_from(meeting);
    }

    /// Keeps so many bytes of sources from now on, until the memory is made anew. (Tests do not have many.)
    pub fn keep_sources(&self, bytes: u64) {
        self.memory().files.sources().keep(bytes);
    }

    /// The memory, made anew when it has grown too large.
    fn memory(&self) -> Arc<Memory> {
        let memory = Arc::clone(&self.memory.read().unwrap_or_else(PoisonError::into_inner));
        if memory.files.facts().len() <= NAMES_KEPT {
            return memory;
        }
        match Memory::new(self.environment.clone(), self.freshness, self.kept.clone()) {
            Ok(fresh) => {
                let fresh = Arc::new(fresh);
                let mut kept = self.memory.write().unwrap_or_else(PoisonError::into_inner);
                *kept = Arc::clone(&fresh);
                fresh
            }
            Err(error) => {
                tracing::warn!("memory grows: {error}");
                memory
            }
        }
    }

    /// What the query means, which files it reads and what a server must be given; remembered while all that it rests on
    /// is as it was.
    ///
    /// # Errors
    /// See [`Doubt`]; a doubt is not remembered.
    pub fn answer(&self, query: &Query) -> Result<Arc<Answered>, Doubt> {
        let memory = self.memory();
        let key = key_of(query);
        contained(
            || match memory.recall(&key, None, &mut memory.files.facts().session()) {
                Some(known) => Ok(known),
                None => Ok(memory.learn(key, query, None)?.0),
            },
        )
    }

    /// What a server of the bundle dialect is offered for the query.
    ///
    /// # Errors
    /// See [`Doubt`].
    pub fn offer(&self, query: &Query) -> Result<Offered, Doubt> {
        let memory = self.memory();
        let key = key_of(query);
        contained(|| memory.offer(key, query))
    }

    /// The compiler that `query` would start.
    ///
    /// # Errors
    /// [`CompilerError::NotFound`], [`CompilerError::Wrapper`].
    pub fn locate(&self, query: &Query) -> Result<LocatedCompiler, CompilerError> {
        let memory = self.memory();
        memory
            .options
            .locate(query, &mut memory.files.facts().session())
    }

    /// The answer in the richer dialogue.
    pub fn rich(&self, query: &Query) -> Answer {
        let section = self.answer(query).and_then(|answer| {
            contained(|| {
                let layout = answer.layout.as_ref().map_err(LayoutError::clone)?;
                let section = layout.section(&self.forms)?;
                let limit = Limits::DEFAULT.message_bytes.min(u64::from(u32::MAX));
                match section.len() as u64 <= limit {
                    true => Ok(section),
                    false => Err(Doubt::TooLarge(section.len())),
                }
            })
        });
        match section {
            Ok(section) => Answer::Closure(section),
            Err(doubt) => Answer::Doubt(one_line(&doubt)),
        }
    }

    /// The answer in stock's dialogue: no names when there is a doubt.
    pub fn stock(&self, query: &Query) -> Vec<Vec<u8>> {
        let names = self.answer(query).and_then(|answer| {
            contained(|| {
                let layout = answer.layout.as_ref().map_err(LayoutError::clone)?;
                match &self.mirror {
                    Some(mirror) => Ok(mirror.names(layout, &self.forms)?),
                    None => Ok(Vec::new()),
                }
            })
        });
        names.unwrap_or_else(|doubt| {
            let command = query.argv.join(&b' ');
            tracing::info!(
                "not covered: {}: {}",
                String::from_utf8_lossy(&command),
                one_line(&doubt)
            );
            Vec::new()
        })
    }

    /// Removes what the answerer has put into the file system.
    pub fn clean_up(&self) {
        if let Some(mirror) = &self.mirror {
            mirror.clear();
        }
    }

    /// To be called when the process ends: the file system is left as it was, and the memory to the system. To give it back
    /// piece by piece takes as long as to fill it.
    pub fn leave(self) {
        self.clean_up();
        self.memory().options.clean_up();
        std::mem::forget(self);
    }
}

impl Memory {
    fn new(
        environment: Vec<(Vec<u8>, Vec<u8>)>,
        freshness: Freshness,
        kept: Option<Arc<Kept>>,
    ) -> Result<Self, AnswererError> {
        Ok(Self {
            options: Options::with_kept(environment, kept)?,
            files: FileTable::with_freshness(freshness)?,
            answers: DashMap::default(),
            ledger: RwLock::default(),
            platforms: DashMap::default(),
        })
    }

    /// The ledger, begun anew when too much of it is no longer true.
    fn ledger(&self) -> Result<Arc<Ledger>, Doubt> {
        let known = self.ledger.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(ledger) = known.as_ref().filter(|ledger| !ledger.is_worn_out()) {
            return Ok(Arc::clone(ledger));
        }
        drop(known);
        let mut kept = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
        match kept.as_ref().filter(|ledger| !ledger.is_worn_out()) {
            Some(ledger) => Ok(Arc::clone(ledger)),
            None => {
                let fresh = Arc::new(Ledger::new().map_err(Doubt::Ledger)?);
                Ok(Arc::clone(kept.insert(fresh)))
            }
        }
    }

    /// The remembered answer, if all that it rests on is as it was; with a `ledger`, only one that has its place there.
    fn recall(
        &self,
        key: &[u8; 32],
        ledger: Option<&Ledger>,
        session: &mut Session<'_>,
    ) -> Option<Arc<Answered>> {
        let known = Arc::clone(&*self.answers.get(key)?);
        let is_of_use = match (ledger, &known.bundle) {
            (None, _) | (Some(_), Some(Err(_))) => true,
            (Some(ledger), Some(Ok(bundle))) => bundle.is_in(ledger),
            (Some(_), None) => false,
        };
        (is_of_use && known.holds(session)).then_some(known)
    }

    /// Finds the answer; with a `ledger`, as a manifest too. Also gives the number of alterations up to which it knows the
    /// facts.
    ///
    /// In a session of its own: one in which remembered evidence turned out not to hold has checked nodes below directories that it only
    /// then found replaced.
    fn learn(
        &self,
        key: [u8; 32],
        query: &Query,
        ledger: Option<&Ledger>,
    ) -> Result<(Arc<Answered>, u64), Doubt> {
        let facts = self.files.facts();
        let mut session = facts.session();
        let (meaning, platform) = match ledger {
            None => (self.options.interpret(query, &mut session)?, None),
            Some(_) => {
                let options = &self.options;
                let (meaning, platform) = options.interpret_with_platform(query, &mut session)?;
                let mut bytes = Vec::with_capacity(512);
                platform.put(&mut bytes);
                (meaning, Some(self.platform(bytes)))
            }
        };
        let (mut session, closure) =
            scan_in(session, &meaning.unit, &meaning.configuration, &self.files);
        let closure = closure?;
        let directories: &[PathBuf] = &meaning.warned_directories;
        let system = &meaning.system;
        let layout = lay_out(&mut session, &meaning.unit, &closure, system, directories);
        let bundle = match (ledger, platform) {
            (Some(ledger), Some(platform)) => {
                let unit = &meaning.unit;
                let laid_out = lay_out_bundle(&mut session, unit, &closure, system, directories);
                let bundle = laid_out.map(|laid_out| {
                    let files = laid_out.wants.len() + laid_out.own.len();
                    let fits = files <= Limits::DEFAULT.files as usize;
                    let bundle = fits.then(|| Bundle::enter(ledger, facts, laid_out, platform));
                    bundle.flatten().ok_or(Doubt::TooMany(files))
                });
                match bundle {
                    Ok(bundle) => Some(Ok(bundle?)),
                    Err(error) => Some(Err(error)),
                }
            }
            _ => None,
        };
        let evidence = session.evidence();
        let is_lasting = session.is_lasting();
        let alterations = session.alterations();
        drop(session);
        let answered = Arc::new(Answered {
            layout,
            bundle,
            closure,
            evidence,
            vouched: Vouched::default(),
            meaning,
        });
        if is_lasting {
            if let Some(source) = answered.closure.files.first() {
                let sources = self.files.sources();
                sources.add(&source.content, facts.c_path(source.node));
            }
            if self.answers.len() >= ANSWERS_KEPT {
                self.answers.clear();
            }
            self.answers.insert(key, Arc::clone(&answered));
        }
        Ok((answered, alterations))
    }

    /// One copy of a platform's bytes.
    fn platform(&self, bytes: Vec<u8>) -> Arc<[u8]> {
        if let Some(known) = self.platforms.get(bytes.as_slice()) {
            return Arc::clone(known.key());
        }
        if self.platforms.len() >= PLATFORMS_KEPT {
            self.platforms.clear();
        }
        let platform: Arc<[u8]> = bytes.into();
        self.platforms.insert(Arc::clone(&platform), ());
        platform
    }

    /// A manifest is true of one moment: what it says of the table must be what the scan saw of the files. When somebody
    /// finds a change in between, it is made anew; in the end one is given that vouches for nothing but its own files.
    fn offer(&self, key: [u8; 32], query: &Query) -> Result<Offered, Doubt> {
        let facts = self.files.facts();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let ledger = self.ledger()?;
            let mut session = facts.session();
            let (answered, alterations) = match self.recall(&key, Some(&ledger), &mut session) {
                Some(known) => (known, session.alterations()),
                None => self.learn(key, query, Some(&ledger))?,
            };
            let offered = |bundle: &Bundle, sheet: &Sheet, answered| Offered {
                body: bundle.body(sheet),
                answered,
                length: sheet.length,
                ledger: Arc::clone(&ledger),
            };
            let bundle = answered.bundle.as_ref();
            let bundle = bundle.expect("what is recalled or learnt with a ledger has one");
            let bundle = bundle.as_ref().map_err(LayoutError::clone)?;
            let (known, sheet) = bundle.sheet(&ledger, facts);
            if known == alterations || answered.is_as_of(known, facts) {
                return Ok(offered(bundle, &sheet, Arc::clone(&answered)));
            }
            if attempt >= OFFER_ATTEMPTS {
                let sheet = bundle.sheet_alone(&ledger);
                return Ok(offered(bundle, &sheet, Arc::clone(&answered)));
            }
        }
    }
}

impl Answered {
    /// Whether all that it rests on is as it was.
    fn holds(&self, session: &mut Session<'_>) -> bool {
        session.still_holds(&self.evidence, &self.vouched) && self.closure.holds(session)
    }

    /// Whether it holds while there were so many alterations.
    fn is_as_of(&self, alterations: u64, facts: &Facts) -> bool {
        let mut session = facts.session();
        self.holds(&mut session) && facts.alterations() == alterations
    }
}

/// All of a query, as a key.
fn key_of(query: &Query) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    put(&query.cwd);
    put(&(query.argv.len() as u64).to_le_bytes());
    query.argv.iter().for_each(|word| put(word));
    match &query.environment {
        None => put(b"none"),
        Some(entries) => entries.iter().for_each(|entry| put(entry)),
    }
    *hasher.finalize().as_bytes()
}

/// The longest reason in characters; names in it may be of any length, and a message may not.
const REASON_LENGTH: usize = 1000;

/// A doubt as one line that a person can read.
pub(crate) fn one_line(doubt: &Doubt) -> String {
    let text = doubt.to_string();
    let mut line = text
        .split(['\n', '\r'])
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ");
    if let Some((end, _)) = line.char_indices().nth(REASON_LENGTH) {
        // The end says most: where, or why.
        let last = line.char_indices().rev().nth(REASON_LENGTH / 4);
        let tail = last.map_or(String::new(), |(start, _)| {
            line[start.max(end)..].to_owned()
        });
        line.truncate(end);
        line = format!("{line} ... {tail}");
    }
    line
}

/// Runs a part of one query so that its panic hurts no other. What is shared behind it is either unchanged or complete
/// (locks are taken over from a panicked holder only where that holds).
fn contained<T>(part: impl FnOnce() -> Result<T, Doubt>) -> Result<T, Doubt> {
    match std::panic::catch_unwind(AssertUnwindSafe(part)) {
        Ok(result) => result,
        Err(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned());
            Err(Doubt::Panic(
                text.unwrap_or_else(|| "no reason given".into()),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_doubt_for_one_query() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let result: Result<(), Doubt> = contained(|| panic!("row {}", 7));
        std::panic::set_hook(hook);
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "the include server failed on this command: row 7");
    }
}
