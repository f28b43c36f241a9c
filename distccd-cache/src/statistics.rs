//! What the daemon did since it started. Owns the counters.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a connection ended, as stock counts and names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The compiler succeeded.
    CompileOk,
    /// The compiler failed.
    CompileError,
    /// The compiler was killed after `--job-lifetime`.
    CompileTimeout,
    /// The client went away.
    ClientDisconnected,
    /// The client broke the protocol.
    BadRequest,
    /// Too many clients.
    Overload,
    /// Anything else.
    Other,
}

/// All endings, in the order in which they are told.
pub const ENDINGS: [Ending; 7] = [
    Ending::CompileOk,
    Ending::CompileError,
    Ending::CompileTimeout,
    Ending::ClientDisconnected,
    Ending::BadRequest,
    Ending::Overload,
    Ending::Other,
];

impl Ending {
    /// The word in the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::CompileOk => "COMPILE_OK",
            Self::CompileError => "COMPILE_ERROR",
            Self::CompileTimeout => "COMPILE_TIMEOUT",
            Self::ClientDisconnected => "CLI_DISCONN",
            Self::BadRequest => "REJ_BAD_REQ",
            Self::Overload => "REJ_OVERLOAD",
            Self::Other => "OTHER",
        }
    }

    /// Whether a compiler ran to its end, so that the log names it and the job's file.
    #[must_use]
    pub const fn is_compile(self) -> bool {
        matches!(self, Self::CompileOk | Self::CompileError)
    }
}

/// The spans, in seconds, over which stock averages: 1, 5 and 15 minutes.
pub const SPANS: [usize; 3] = [60, 300, 900];

/// The longest of [`SPANS`].
const SECONDS: usize = 900;

/// The job that took longest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LongestJob {
    /// Its source's name.
    pub source: String,
    /// Its compiler's name.
    pub compiler: String,
    /// How long it took.
    pub time: Duration,
}

/// The numbers at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections by their ending, in the order of [`Ending`].
    pub endings: [u64; 7],
    /// The job that took longest.
    pub longest: LongestJob,
    /// Compiles that ended in the last 1, 5 and 15 minutes.
    pub compiles: [u64; 3],
    /// How many ran at a time on average in the last 1, 5 and 15 minutes.
    pub busy: [u64; 3],
}

/// The counters.
#[derive(Debug)]
pub struct Statistics {
    start: Instant,
    counters: Mutex<Counters>,
}

#[derive(Debug)]
struct Counters {
    total: Snapshot,
    /// One place for each of the last 900 seconds: compiles that ended then, and the milliseconds that they took.
    seconds: Box<[(u32, u64); SECONDS]>,
    /// The second since the start that was entered last.
    newest: usize,
}

impl Default for Statistics {
    fn default() -> Self {
        let counters = Counters {
            total: Snapshot::default(),
            seconds: Box::new([(0, 0); SECONDS]),
            newest: 0,
        };
        Self {
            start: Instant::now(),
            counters: Mutex::new(counters),
        }
    }
}

impl Statistics {
    /// Counts an accepted connection.
    pub fn accepted(&self) {
        self.lock().total.accepted += 1;
    }

    /// Counts the end of a connection, with the compiler's and the source's names if a compile ran to its end.
    pub fn ended(&self, ending: Ending, time: Duration, compiler: &str, source: &str) {
        let second = self.second();
        let mut counters = self.lock();
        counters.advance(second);
        counters.total.endings[ending as usize] += 1;
        if ending.is_compile() {
            let place = &mut counters.seconds[second % SECONDS];
            place.0 = place.0.saturating_add(1);
            place.1 = place
                .1
                .saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            if time > counters.total.longest.time {
                counters.total.longest = LongestJob {
                    source: source.to_owned(),
                    compiler: compiler.to_owned(),
                    time,
                };
            }
        }
    }

    /// The numbers now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let second = self.second();
        let mut counters = self.lock();
        counters.advance(second);
        let mut snapshot = counters.total.clone();
        for (index, span) in SPANS.into_iter().enumerate() {
            let places =
                (0..span.min(second + 1)).map(|back| counters.seconds[(second - back) % SECONDS]);
            let (count, millis) = places.fold((0, 0), |sum: (u64, u64), place| {
                (sum.0 + u64::from(place.0), sum.1 + place.1)
            });
            snapshot.compiles[index] = count;
            snapshot.busy[index] = millis / (span as u64 * 1000);
        }
        snapshot
    }

    /// How long the daemon has been counting.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    fn second(&self) -> usize {
        usize::try_from(self.start.elapsed().as_secs()).unwrap_or(usize::MAX)
    }

    /// The counters are numbers, whole after every statement: a panic elsewhere does not spoil them.
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    /// Empties the places of the seconds that have passed.
    fn advance(&mut self, second: usize) {
        let passed = second.saturating_sub(self.newest).min(SECONDS);
        for back in 0..passed {
            self.seconds[(second - back) % SECONDS] = (0, 0);
        }
        self.newest = self.newest.max(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_counted_and_the_longest_job_is_remembered() {
        let statistics = Statistics::default();
        statistics.accepted();
        statistics.ended(Ending::CompileOk, Duration::from_millis(30), "gcc", "a.c");
        statistics.ended(
            Ending::CompileError,
            Duration::from_millis(90),
            "g++",
            "b.cc",
        );
        statistics.ended(Ending::Other, Duration::from_secs(9), "", "");
        let snapshot = statistics.snapshot();
        assert_eq!(snapshot.accepted, 1);
        assert_eq!(snapshot.endings, [1, 1, 0, 0, 0, 0, 1]);
        assert_eq!(snapshot.longest.source, "b.cc");
        assert_eq!(snapshot.longest.compiler, "g++");
        assert_eq!(snapshot.compiles, [2, 2, 2]);
    }

    #[test]
    fn old_seconds_are_forgotten() {
        let mut counters = Statistics::default().counters.into_inner().unwrap();
        counters.advance(3);
        counters.seconds[3] = (5, 5);
        counters.advance(902);
        assert_eq!(counters.seconds[3], (5, 5));
        counters.advance(903);
        assert_eq!(counters.seconds[3], (0, 0));
        counters.seconds[1] = (1, 1);
        counters.advance(1_000_000);
        assert!(counters.seconds.iter().all(|&place| place == (0, 0)));
    }
}
