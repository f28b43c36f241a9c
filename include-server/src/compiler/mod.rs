//! What only the compiler itself can tell: where it is, its built-in macros, its own directories, its feature tables.
//!
//! [`Compilers`] owns every answer. Each is kept with its vouchers (the files it came from and the directories that it
//! found missing), which are asked again at every request: an upgraded compiler is asked anew.

mod batch;
mod evidence;
pub(crate) mod fuzz;
pub mod identity;
pub mod kept;
mod kept_identity;
pub mod locate;
pub mod oracle;
pub mod probe;
mod questions;
mod trail;
pub mod voucher;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;

use crate::configuration::Language;
use crate::facts::Session;
pub use kept::Kept;
pub use locate::LocatedCompiler;
pub use probe::Probe;
pub(crate) use toolchain::run;
use voucher::Voucher;

/// Why a compiler could not be found or asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompilerError {
    /// No such program.
    #[error("the compiler {name} was not found in PATH")]
    NotFound {
        /// As on the command line.
        name: String,
    },
    /// It is a wrapper such as `ccache`, named directly, so nothing tells which compiler it would start.
    #[error("{} is not a compiler but a wrapper", path.display())]
    Wrapper {
        /// The program.
        path: PathBuf,
    },
    /// It could not be started, hung, or printed without end.
    #[error("cannot ask {} for its built-in macros: {why}", path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// What happened.
        why: String,
    },
    /// It refused the options; its own words.
    #[error("{} says: {message}", path.display())]
    Refused {
        /// The program.
        path: PathBuf,
        /// The first line with an error.
        message: String,
    },
    /// Its answer is not that of gcc or clang.
    #[error("{} is neither gcc nor clang: {what}", path.display())]
    Unknown {
        /// The program.
        path: PathBuf,
        /// What is missing from its answer.
        what: &'static str,
    },
    /// A temporary file or directory could not be made.
    #[error("cannot make a temporary file to ask the compiler with: {0}")]
    Temporary(String),
}

/// All that decides a compiler's answer. Two compiles with equal invocations share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Invocation {
    /// The program as found; its name may matter (`clang++`).
    pub program: PathBuf,
    /// Options that may change the answer, in order.
    pub words: Vec<Vec<u8>>,
    /// The value of `-x`.
    pub language: Language,
    /// Environment entries that the compiler may look at.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// The compile's working directory, when an option names a path relative to it.
    pub cwd: Option<PathBuf>,
}

/// The answers of all compilers that were ever asked, shared by all threads.
pub struct Compilers {
    located: locate::Known,
    probes: DashMap<Invocation, Arc<Slot>>,
    /// Programs that gave no answer in time, and since when: whoever asks next does not wait again.
    hung: DashMap<PathBuf, (Instant, Voucher)>,
    asking: Arc<probe::Asking>,
}

/// One invocation's answer. The lock is held while the compiler runs, so that jobs that ask at once ask once.
#[derive(Default)]
struct Slot {
    state: Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    probe: Option<Arc<Probe>>,
    /// The last failure counts for those who were waiting for it, and for nobody else.
    failure: Option<(Instant, CompilerError)>,
}

/// Answers kept at most; builds have a handful of option sets, so this is only a bound on memory.
const PROBES_KEPT: usize = 4096;

/// How long a program that hung is not asked again, unless it is another one by then.
const HUNG_REMEMBERED: Duration = Duration::from_secs(60);

impl Compilers {
    /// Nothing asked yet, but perhaps by earlier sessions.
    ///
    /// # Errors
    /// [`CompilerError::Temporary`] when there is no room for a temporary directory.
    pub fn new(kept: Option<Arc<Kept>>) -> Result<Self, CompilerError> {
        let temporary = |error: std::io::Error| CompilerError::Temporary(error.to_string());
        let bait = tempfile::Builder::new()
            .prefix("include-server.")
            .tempdir()
            .map_err(temporary)?;
        std::fs::write(bait.path().join("stdc-predef.h"), b"").map_err(temporary)?;
        Ok(Self {
            located: DashMap::new(),
            probes: DashMap::new(),
            hung: DashMap::new(),
            asking: Arc::new(probe::Asking {
                bait,
                questions: oracle::AskedQuestions::default(),
                kept,
            }),
        })
    }

    /// Removes what is in the file system; no compiler can be asked any more.
    pub(crate) fn clean_up(&self) {
        // As when it is dropped: whatever stays is the system's to remove.
        let _ = std::fs::remove_dir_all(self.asking.bait.path());
    }

    /// The compiler that `name` means, as the client would find it: by its path, or through `search` (the value of
    /// `PATH`) past distcc's and ccache's masquerade links.
    ///
    /// # Errors
    /// [`CompilerError::NotFound`], [`CompilerError::Wrapper`].
    pub fn locate(
        &self,
        name: &[u8],
        cwd: &Path,
        search: &[u8],
        session: &mut Session<'_>,
    ) -> Result<LocatedCompiler, CompilerError> {
        locate::locate(name, cwd, search, &self.located, session)
    }

    /// The answer to `invocation`, from memory when its vouchers still hold.
    ///
    /// # Errors
    /// See [`CompilerError`]; a failure is not remembered, but for a while that a program hung.
    pub fn probe(
        &self,
        invocation: &Invocation,
        session: &mut Session<'_>,
    ) -> Result<Arc<Probe>, CompilerError> {
        let arrived = Instant::now();
        let slot = self.slot(invocation);
        let known = lock(&slot.state).probe.clone();
        if let Some(probe) = known
            && probe.is_vouched(session)
        {
            return Ok(probe);
        }
        let mut state = lock(&slot.state);
        if let Some((finished, error)) = &state.failure
            && arrived <= *finished
        {
            return Err(error.clone());
        }
        // Somebody else may have asked while this thread waited for the lock.
        if let Some(probe) = &state.probe
            && probe.is_vouched(session)
        {
            return Ok(Arc::clone(probe));
        }
        state.probe = None;
        if self.is_hung(&invocation.program, session) {
            return Err(CompilerError::Run {
                path: invocation.program.clone(),
                why: "it gave no answer in time a moment ago".into(),
            });
        }
        let started = Instant::now();
        match Probe::ask(invocation, &self.asking, session) {
            Ok(probe) => {
                let probe = Arc::new(probe);
                state.probe = Some(Arc::clone(&probe));
                state.failure = None;
                Ok(probe)
            }
            Err(error) => {
                if started.elapsed() >= run::TIME_LIMIT {
                    let program = invocation.program.clone();
                    let voucher = Voucher::of(program.clone(), session);
                    self.hung.insert(program, (Instant::now(), voucher));
                }
                state.failure = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn is_hung(&self, program: &Path, session: &mut Session<'_>) -> bool {
        let Some((since, voucher)) = self.hung.get(program).map(|entry| entry.value().clone())
        else {
            return false;
        };
        let hung = since.elapsed() < HUNG_REMEMBERED && voucher.holds(session);
        if !hung {
            self.hung.remove(program);
        }
        hung
    }

    fn slot(&self, invocation: &Invocation) -> Arc<Slot> {
        if let Some(slot) = self.probes.get(invocation) {
            return Arc::clone(&slot);
        }
        if self.probes.len() >= PROBES_KEPT {
            self.probes.clear();
        }
        Arc::clone(&self.probes.entry(invocation.clone()).or_default())
    }
}

/// A lock whose holder panicked guards nothing that could be half-written here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
