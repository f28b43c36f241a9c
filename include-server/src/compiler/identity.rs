//! Who a compiler is, for servers: asked of it once, and again when one of the files that the answer rests on is another.
//!
//! [`Identifier`] owns the answers. A compiler that cannot be told apart for certain has none; what that means is for
//! the server to say.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use protocol::command_line::Language;
use toolchain::{Evidence, IdentifyError, Question, identify};

use super::kept::Kept;
use super::lock;
use super::voucher::Voucher;
use crate::facts::Session;

/// How long one question to a compiler may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How long nobody asks again whom no identity could be had of.
const FAILURE_REMEMBERED: Duration = Duration::from_secs(60);

/// Answers kept at most; a build has a handful of compilers.
const KEPT: usize = 256;

/// All that decides an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The compiler as it was found.
    pub program: PathBuf,
    /// What it is to compile.
    pub language: Language,
    /// `-fno-integrated-as` is among the options.
    pub external_assembler: bool,
    /// The variables of the query that count.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Who compilers are; shared by all threads.
pub struct Identifier {
    /// What earlier sessions found.
    kept: Option<Arc<Kept>>,
    slots: DashMap<Subject, Arc<Mutex<Option<Known>>>>,
}

struct Known {
    /// As servers are told; empty when it is not known.
    encoded: Vec<u8>,
    vouchers: Vec<Voucher>,
    asked: Instant,
}

impl Known {
    fn holds(&self, session: &mut Session<'_>) -> bool {
        let is_fresh = !self.encoded.is_empty() || self.asked.elapsed() < FAILURE_REMEMBERED;
        is_fresh && self.vouchers.iter().all(|voucher| voucher.holds(session))
    }
}

impl Identifier {
    /// Nothing asked yet, but perhaps by earlier sessions.
    pub fn new(kept: Option<Arc<Kept>>) -> Self {
        Self {
            kept,
            slots: DashMap::new(),
        }
    }

    /// The identity of `subject` as [`protocol::identity::Identity::encode`] writes it; empty when it is not known.
    pub fn identity(&self, subject: &Subject, session: &mut Session<'_>) -> Vec<u8> {
        if self.slots.len() >= KEPT && !self.slots.contains_key(subject) {
            self.slots.clear();
        }
        let slot = Arc::clone(&self.slots.entry(subject.clone()).or_default());
        // Held while the compiler is asked, so that jobs that ask at once ask once.
        let mut known = lock(&slot);
        if let Some(known) = &*known
            && known.holds(session)
        {
            return known.encoded.clone();
        }
        let fresh = ask(subject, self.kept.as_deref(), session);
        known.insert(fresh).encoded.clone()
    }
}

fn ask(subject: &Subject, kept: Option<&Kept>, session: &mut Session<'_>) -> Known {
    let asked = Instant::now();
    let failed = |why: &dyn std::fmt::Display, session: &mut Session<'_>| {
        tracing::info!("{} has no identity: {why}", subject.program.display());
        Known {
            encoded: Vec::new(),
            vouchers: vec![Voucher::of(subject.program.clone(), session)],
            asked,
        }
    };
    let known = kept.and_then(|kept| kept.identity(subject));
    let is_known = known.is_some();
    let (encoded, evidence) = match known.map_or_else(|| find_out(subject), Ok) {
        Ok(found) => found,
        Err(error) => return failed(&error, session),
    };
    let paths = evidence.paths().map(PathBuf::from);
    let places = [subject.program.clone()].into_iter().chain(paths);
    let vouchers = places.map(|place| Voucher::of(place, session)).collect();
    // What the vouchers saw is what the answer came from; from here on they tell.
    if !evidence.holds() {
        return failed(&"it changes while it is asked", session);
    }
    if let (Some(kept), false) = (kept, is_known) {
        kept.put_identity(subject, &encoded, &evidence);
    }
    Known {
        encoded,
        vouchers,
        asked,
    }
}

/// Asks the compiler itself.
pub(super) fn find_out(subject: &Subject) -> Result<(Vec<u8>, Evidence), IdentifyError> {
    let os = |bytes: &[u8]| -> OsString { OsStr::from_bytes(bytes).to_owned() };
    let entries = subject.environment.iter();
    let environment: Vec<_> = entries.map(|(name, value)| (os(name), os(value))).collect();
    let question = Question {
        compiler: &subject.program,
        language: subject.language,
        external_assembler: subject.external_assembler,
        environment: &environment,
    };
    let (identity, evidence) = identify(&question, TIME_LIMIT)?;
    let mut encoded = Vec::with_capacity(256);
    identity.encode(&mut encoded);
    Ok((encoded, evidence))
}
