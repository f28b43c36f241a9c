//! What including a file came to, remembered with all that decided it.
//!
//! Translation units of one project include the same headers, and most of the time a header finds the same macros as it
//! found in another unit. So its effect, with all that it includes in turn, is kept with the names that it read, and had
//! again without executing anything where each of them stands for the very same `#define` line, where every lookup still
//! leads to the same file, and every file still holds the same bytes.
//!
//! A summary that has files which have changed is forgotten when its turn comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use crate::atom::Atom;
use crate::chain::{Chain, FoundFile, Origin, SearchKind};
use crate::closure::Grounds;
use crate::configuration::{CompilerFamily, Configuration, Dialect, FeatureOracle, Language};
use crate::macros::Block;

/// Summaries of one file kept at most.
const VARIANTS_KEPT: usize = 8;
/// Parts of all summaries kept at most, some 16 bytes each.
const PARTS_KEPT: usize = 2_000_000;
/// Parts of one summary at most.
const PARTS_OF_ONE: usize = 100_000;
/// From which meeting with it on a file is recorded: most that are met a few times come with other macros each time, and to
/// record takes longer than to execute.
const RECORDED_FROM: u32 = 6;
/// Scopes kept at most.
const SCOPES_KEPT: usize = 4096;

/// A file that was touched.
pub struct Touched {
    /// Its name.
    pub name: Atom,
    /// The file, with what it held.
    pub file: Arc<FoundFile>,
    /// Its version, as evidence.
    pub version: u32,
    /// Whether it had been marked as read only once, where that was asked before it was marked here.
    pub once_before: Option<bool>,
    /// It was marked so.
    pub marks_once: bool,
    /// Its text was read.
    pub text_read: bool,
    /// It was compared with files that are read only once.
    pub compared: bool,
}

/// A name that was set, and the macro that it then stood for: which of the summary's programs it is in, and its index there.
pub type Write = (Atom, Option<(u32, u32)>);

/// The index of a file that `__has_include` found; under which name and where, as far as that is known.
pub type LookedFor = (u32, Option<(Atom, SearchKind)>);

/// What including a file came to.
pub struct Summary {
    /// Names that were read, with the identity of what they stood for.
    pub reads: Box<[(Atom, u64)]>,
    /// Names that were set.
    pub writes: Box<[Write]>,
    /// The programs of `writes`.
    pub programs: Block,
    /// What all of it rests on.
    pub grounds: Arc<Grounds>,
    /// Files that were touched.
    pub files: Box<[Touched]>,
    /// Indices of files that belong in the closure, in order.
    pub listed: Box<[u32]>,
    /// Indices of files that were found and perhaps not read.
    pub hits: Box<[u32]>,
    /// What `__has_include` found.
    pub looked_for: Box<[LookedFor]>,
    /// How deep files were included in it.
    pub height: usize,
    /// Directives that were executed.
    pub directives: u64,
    /// Files that were entered.
    pub includes: u64,
    /// Tokens that expansion produced.
    pub tokens: u64,
    /// What text mentioned.
    pub mentions: u16,
}

impl Summary {
    fn parts(&self) -> usize {
        // A file is some ten times as large as a name.
        self.reads.len()
            + self.writes.len()
            + self.grounds.len()
            + self.programs.len()
            + 4 * self.files.len()
            + 16
    }
}

/// All that decides what a scan makes of a file, beyond the file and macros.
#[derive(PartialEq, Eq, Hash)]
struct ScopeKey {
    oracle: usize,
    chain: usize,
    dialect: Dialect,
    compiler: CompilerFamily,
    language: Language,
    prefix_maps: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A scope's number, and what must stay alive so that its addresses are its own.
struct Scope {
    number: u32,
    _chain: Arc<Chain>,
    _oracle: Arc<dyn FeatureOracle>,
}

/// Which file, and how it was found.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Of [`Summaries::scope`].
    pub scope: u32,
    /// The number of its program.
    pub program: u64,
    /// Its name.
    pub name: Atom,
    /// Where it was found.
    pub origin: Origin,
    /// Whether it is a system header.
    pub system: bool,
}

/// One of a file's summaries.
struct Variant {
    summary: Arc<Summary>,
    /// The read that last told that it could not be used: asked first.
    hint: Option<(Atom, u64)>,
}

/// What is known of a file.
#[derive(Default)]
struct Known {
    /// How often no summary could be used.
    misses: u32,
    /// How often one could.
    hits: u32,
    /// How often a recording was not worth keeping.
    skips: u32,
    /// The one used last comes first.
    summaries: Vec<Variant>,
}

/// What to do with a file.
pub enum Advice {
    /// Its effect is known.
    Take(Arc<Summary>),
    /// It is worth while to record what it does.
    Record,
    /// Execute it.
    Execute,
}

/// All summaries, shared by all threads.
pub struct Summaries {
    scopes: DashMap<ScopeKey, Scope, RandomState>,
    scope_count: AtomicU32,
    known: DashMap<Key, Known, RandomState>,
    parts: AtomicUsize,
    taken: AtomicU64,
    recorded_from: AtomicU32,
}

impl Default for Summaries {
    fn default() -> Summaries {
        Summaries {
            scopes: DashMap::default(),
            scope_count: AtomicU32::new(0),
            known: DashMap::default(),
            parts: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
            recorded_from: AtomicU32::new(RECORDED_FROM),
        }
    }
}

impl Summaries {
    /// Records files from this meeting with them on. (Tests do not meet a header often.)
    pub fn record_from(&self, meeting: u32) {
        self.recorded_from.store(meeting, Ordering::Relaxed);
    }

    /// The number of a scope: summaries hold in the one they were made in.
    pub fn scope(&self, configuration: &Configuration, chain: &Arc<Chain>) -> u32 {
        let key = ScopeKey {
            oracle: Arc::as_ptr(&configuration.oracle).cast::<()>() as usize,
            chain: Arc::as_ptr(chain) as usize,
            dialect: configuration.dialect,
            compiler: configuration.compiler,
            language: configuration.language,
            prefix_maps: configuration.macro_prefix_maps.clone(),
        };
        if let Some(scope) = self.scopes.get(&key) {
            return scope.number;
        }
        if self.scopes.len() >= SCOPES_KEPT {
            self.scopes.clear();
            self.clear();
        }
        let scope = self.scopes.entry(key).or_insert_with(|| Scope {
            number: self.scope_count.fetch_add(1, Ordering::Relaxed),
            _chain: Arc::clone(chain),
            _oracle: Arc::clone(&configuration.oracle),
        });
        scope.number
    }

    /// How often a summary was found to fit macros.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    fn clear(&self) {
        self.known.clear();
        self.parts.store(0, Ordering::Relaxed);
    }

    /// What to do with a file; `differs` gives the first of these names that stands for something else now.
    pub fn advice(
        &self,
        key: &Key,
        differs: impl Fn(&[(Atom, u64)]) -> Option<(Atom, u64)>,
    ) -> Advice {
        let Some(mut known) = self.known.get_mut(key) else {
            let known = Known {
                misses: 1,
                ..Known::default()
            };
            self.known.insert(*key, known);
            return Advice::Execute;
        };
        let mut summaries = known.summaries.iter_mut();
        let fits = |variant: &mut Variant| {
            if differs(variant.hint.as_slice()).is_some() {
                return false;
            }
            let difference = differs(&variant.summary.reads);
            variant.hint = difference.or(variant.hint);
            difference.is_none()
        };
        if let Some(at) = summaries.position(fits) {
            known.hits += 1;
            self.taken.fetch_add(1, Ordering::Relaxed);
            known.summaries[..=at].rotate_right(1);
            return Advice::Take(Arc::clone(&known.summaries[0].summary));
        }
        known.misses += 1;
        if known.misses < self.recorded_from.load(Ordering::Relaxed) {
            return Advice::Execute;
        }
        // A file that finds other macros each time is recorded less and less.
        let rich = known.summaries.len() < VARIANTS_KEPT / 2 || known.hits >= known.misses;
        let promising = rich && known.skips < 2;
        match promising || known.misses.is_power_of_two() {
            true => Advice::Record,
            false => Advice::Execute,
        }
    }

    /// Keeps a summary.
    pub fn keep(&self, key: Key, summary: Summary) {
        let parts = summary.parts();
        if parts > PARTS_OF_ONE {
            return;
        }
        if self.parts.fetch_add(parts, Ordering::Relaxed) + parts > PARTS_KEPT {
            self.clear();
            self.parts.fetch_add(parts, Ordering::Relaxed);
        }
        let mut known = self.known.entry(key).or_default();
        if known.summaries.len() >= VARIANTS_KEPT
            && let Some(last) = known.summaries.pop()
        {
            self.parts
                .fetch_sub(last.summary.parts(), Ordering::Relaxed);
        }
        let summary = Arc::new(summary);
        let hint = None;
        known.summaries.insert(0, Variant { summary, hint });
    }

    /// Notes that a recording was not worth keeping.
    pub fn leave(&self, key: &Key) {
        if let Some(mut known) = self.known.get_mut(key) {
            known.skips = known.skips.saturating_add(1);
        }
    }

    /// Forgets a summary whose files have changed.
    pub fn forget(&self, key: &Key, summary: &Arc<Summary>) {
        if let Some(mut known) = self.known.get_mut(key) {
            let before = known.summaries.len();
            known
                .summaries
                .retain(|variant| !Arc::ptr_eq(&variant.summary, summary));
            if known.summaries.len() < before {
                self.parts.fetch_sub(summary.parts(), Ordering::Relaxed);
            }
        }
    }
}
