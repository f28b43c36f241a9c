//! Identities that were found before. Owns them, each with the evidence that it is used by, shared by all threads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::command_line::Language;
use protocol::identity::Identity;

use crate::digests::Digests;
use crate::error::IdentifyError;
use crate::evidence::Evidence;
use crate::identify::{Question, identify_with};
use crate::run::RunError;
use crate::stamp::Seen;

/// Questions remembered at most; a build asks a handful, so this is only a bound on memory.
const KEPT: usize = 1024;

/// How long a compiler that hung is not asked again, unless its file changes.
const HUNG_REMEMBERED: Duration = Duration::from_secs(60);

/// See the module's text.
pub struct Identities {
    limit: Duration,
    digests: Digests,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

/// All that decides an answer.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    compiler: PathBuf,
    language: Language,
    external_assembler: bool,
    environment: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One question's answer.
#[derive(Default)]
struct Slot {
    /// Held while the compiler is asked, so that jobs that ask at once ask once.
    asking: Mutex<()>,
    answer: Mutex<Option<Arc<Answer>>>,
}

struct Answer {
    result: Result<(Arc<Identity>, Evidence), IdentifyError>,
    finished: Instant,
    /// What stood at the compiler's path then.
    program: Seen,
}

impl Answer {
    /// Whether it may be given to somebody who came at `arrived`. A failure is for those who waited for it, because the
    /// next may succeed; only that a compiler hung is remembered, since asking it costs so much.
    fn serves(&self, compiler: &Path, arrived: Instant) -> bool {
        match &self.result {
            Ok((_, evidence)) => evidence.holds(),
            Err(IdentifyError::Run {
                cause: RunError::TooSlow(_),
                ..
            }) => self.finished.elapsed() < HUNG_REMEMBERED && Seen::at(compiler) == self.program,
            Err(_) => arrived <= self.finished,
        }
    }

    fn identity(&self) -> Result<Arc<Identity>, IdentifyError> {
        match &self.result {
            Ok((identity, _)) => Ok(Arc::clone(identity)),
            Err(error) => Err(error.clone()),
        }
    }
}

impl Identities {
    /// Nothing asked yet. Each single question to a compiler may take `limit`.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            digests: Digests::default(),
            slots: Mutex::default(),
        }
    }

    /// Which compiler it is now: from memory while the evidence holds.
    ///
    /// # Errors
    /// See [`identify`](crate::identify()).
    pub fn identity(&self, question: &Question<'_>) -> Result<Arc<Identity>, IdentifyError> {
        let arrived = Instant::now();
        let slot = self.slot(question);
        let known = || {
            let answer = lock(&slot.answer).clone();
            answer.filter(|answer| answer.serves(question.compiler, arrived))
        };
        if let Some(answer) = known() {
            return answer.identity();
        }
        let _asking = lock(&slot.asking);
        // Somebody else may have asked while this thread waited.
        if let Some(answer) = known() {
            return answer.identity();
        }
        let program = Seen::at(question.compiler);
        let result = identify_with(question, self.limit, &self.digests);
        let answer = Arc::new(Answer {
            result: result.map(|(identity, evidence)| (Arc::new(identity), evidence)),
            finished: Instant::now(),
            program,
        });
        *lock(&slot.answer) = Some(Arc::clone(&answer));
        answer.identity()
    }

    fn slot(&self, question: &Question<'_>) -> Arc<Slot> {
        let key = Key {
            compiler: question.compiler.to_owned(),
            language: question.language,
            external_assembler: question.external_assembler,
            environment: question.relevant(),
        };
        let mut slots = lock(&self.slots);
        if slots.len() >= KEPT && !slots.contains_key(&key) {
            slots.clear();
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

/// A lock whose holder panicked guards nothing that could be half-written here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
