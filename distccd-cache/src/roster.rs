//! Who is here and what is done for them, and which jobs were the last: for the status page only; nothing is decided by it.
//! [`Roster`] owns both lists, which are bounded.

use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use protocol::printable::printable;

use crate::failure::{Cached, Done};
use crate::statistics::Ending;

/// Bytes of a name that are kept.
const NAME: usize = 200;

/// Jobs that are remembered after their end; reasons are counted among them.
pub(crate) const RECENT: usize = 500;

/// What is done for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its request comes in.
    Receive,
    /// Its result is looked for, or waited for while another job makes it.
    LookUp,
    /// It sends files that are lacking.
    Fetch,
    /// It waits for a slot.
    Wait,
    /// Its compiler runs.
    Compile,
    /// It gets its answer.
    Reply,
}

impl Phase {
    /// The word for people.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::LookUp => "look up",
            Self::Fetch => "fetch",
            Self::Wait => "wait",
            Self::Compile => "compile",
            Self::Reply => "reply",
        }
    }
}

/// A client that is served.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub(crate) peer: String,
    pub(crate) compiler: String,
    pub(crate) source: String,
    pub(crate) phase: Phase,
    pub(crate) since: Instant,
    pub(crate) phase_since: Instant,
}

/// What became of a job's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fate {
    Hit,
    Miss,
    NotKept,
    Unasked,
}

/// A job that is over.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub(crate) peer: String,
    pub(crate) compiler: String,
    pub(crate) source: String,
    pub(crate) ending: Ending,
    pub(crate) time: Duration,
    pub(crate) ended: SystemTime,
    pub(crate) fate: Fate,
    /// Why there was no result, or why it is not kept.
    pub(crate) reason: String,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    /// By the peer's name, which is another for each connection.
    present: HashMap<String, Present>,
    recent: VecDeque<Past>,
}

/// Takes a client off the list when it is dropped.
#[derive(Debug)]
pub(crate) struct Attendance<'a> {
    roster: &'a Roster,
    peer: String,
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        self.roster.lock().present.remove(&self.peer);
    }
}

impl Roster {
    /// A client has come.
    pub(crate) fn enter(&self, peer: &(impl Display + ?Sized)) -> Attendance<'_> {
        let (peer, now) = (peer.to_string(), Instant::now());
        let present = Present {
            peer: peer.clone(),
            compiler: String::new(),
            source: String::new(),
            phase: Phase::Receive,
            since: now,
            phase_since: now,
        };
        self.lock().present.insert(peer.clone(), present);
        Attendance { roster: self, peer }
    }

    /// It is known what a client's job is.
    pub(crate) fn name(&self, peer: &(impl Display + ?Sized), compiler: &[u8], source: &str) {
        if let Some(present) = self.lock().present.get_mut(&peer.to_string()) {
            present.compiler = printable(compiler, NAME);
            present.source = printable(source.as_bytes(), NAME);
        }
    }

    /// A client's job has come to a phase.
    pub(crate) fn note(&self, peer: &(impl Display + ?Sized), phase: Phase) {
        if let Some(present) = self.lock().present.get_mut(&peer.to_string()) {
            present.phase = phase;
            present.phase_since = Instant::now();
        }
    }

    /// A connection is over. It is listed if a job had come to be one.
    pub(crate) fn ended(&self, peer: &(impl Display + ?Sized), done: &Done, time: Duration) {
        let peer = peer.to_string();
        let mut lists = self.lock();
        let (mut compiler, mut source) = (&*done.compiler, &*done.source);
        let known = lists.present.get(&peer).cloned();
        // Of a job that came to no end of its own, only this list knows what it was.
        if let (true, Some(known)) = (compiler.is_empty(), &known) {
            (compiler, source) = (&known.compiler, &known.source);
        }
        if compiler.is_empty() {
            return;
        }
        let (fate, reason) = match &done.cache {
            Cached::Hit => (Fate::Hit, ""),
            Cached::Kept(why) => (Fate::Miss, why.as_str()),
            Cached::Not(why) => (Fate::NotKept, why.as_str()),
            Cached::Unasked => (Fate::Unasked, ""),
        };
        let past = Past {
            peer,
            compiler: printable(compiler.as_bytes(), NAME),
            source: printable(source.as_bytes(), NAME),
            ending: done.ending,
            time,
            ended: SystemTime::now(),
            fate,
            reason: printable(reason.as_bytes(), NAME),
        };
        if lists.recent.len() >= RECENT {
            lists.recent.pop_front();
        }
        lists.recent.push_back(past);
    }

    /// Those who are here, the longest first, at most `limit`; and how many there are.
    pub(crate) fn present(&self, limit: usize) -> (Vec<Present>, usize) {
        let lists = self.lock();
        let mut all: Vec<&Present> = lists.present.values().collect();
        let count = all.len();
        all.sort_by_key(|present| present.since);
        (all.into_iter().take(limit).cloned().collect(), count)
    }

    /// The last jobs, the newest first, at most `limit`.
    pub(crate) fn recent(&self, limit: usize) -> Vec<Past> {
        self.lock()
            .recent
            .iter()
            .rev()
            .take(limit)
            .cloned()
            .collect()
    }

    /// Why the last jobs were compiled, and why their results are not kept: the most frequent reasons, at most `limit`.
    pub(crate) fn reasons(&self, limit: usize) -> Vec<(Fate, String, usize)> {
        let lists = self.lock();
        let mut counts: HashMap<(Fate, &str), usize> = HashMap::new();
        for past in lists.recent.iter().filter(|past| !past.reason.is_empty()) {
            *counts.entry((past.fate, &past.reason)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|&(what, count)| (std::cmp::Reverse(count), what));
        let top = counts.into_iter().take(limit);
        top.map(|((fate, reason), count)| (fate, reason.to_owned(), count))
            .collect()
    }

    /// The lists are whole after every statement: a panic elsewhere does not spoil them.
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::wait_status::WaitStatus;

    fn done(source: &str, cache: Cached) -> Done {
        Done {
            ending: Ending::CompileOk,
            status: WaitStatus::SUCCESS,
            compiler: "gcc".to_owned(),
            source: source.to_owned(),
            cache,
        }
    }

    #[test]
    fn clients_are_listed_while_they_are_here() {
        let roster = Roster::default();
        let first = roster.enter("a:1");
        let second = roster.enter("b:2");
        roster.name("b:2", b"gcc", "x\u{1b}[2J.c");
        roster.note("b:2", Phase::Compile);
        roster.note("nobody", Phase::Compile);
        let (present, count) = roster.present(9);
        assert_eq!((present[0].peer.as_str(), count), ("a:1", 2));
        assert_eq!(present[1].source, "x?[2J.c");
        assert_eq!(present[1].phase, Phase::Compile);
        assert_eq!(roster.present(1).0.len(), 1);
        drop(second);
        assert_eq!(roster.present(9).1, 1);
        drop(first);
        assert_eq!(roster.present(9).1, 0);
    }

    #[test]
    fn the_last_jobs_are_remembered_with_their_reasons() {
        let roster = Roster::default();
        for number in 0..RECENT + 5 {
            let why = format!("{}.h has changed", number % 2);
            roster.ended(
                "a:1",
                &done(&format!("{number}.c"), Cached::Kept(why)),
                Duration::ZERO,
            );
        }
        roster.ended(
            "a:1",
            &done("last.c", Cached::Hit),
            Duration::from_millis(7),
        );
        let recent = roster.recent(RECENT * 2);
        assert_eq!(recent.len(), RECENT);
        assert_eq!(
            (recent[0].source.as_str(), recent[0].fate),
            ("last.c", Fate::Hit)
        );
        let reasons = roster.reasons(1);
        assert_eq!(reasons, [(Fate::Miss, "0.h has changed".to_owned(), 250)]);
    }

    #[test]
    fn a_job_that_came_to_no_end_is_known_by_its_attendance() {
        let roster = Roster::default();
        let nothing = |ending| Done {
            ending,
            ..done("", Cached::Unasked)
        };
        let nameless = |ending| Done {
            compiler: String::new(),
            ..nothing(ending)
        };
        let _here = roster.enter("a:1");
        roster.ended("a:1", &nameless(Ending::BadRequest), Duration::ZERO);
        assert!(roster.recent(9).is_empty(), "no job had come to be one");
        roster.name("a:1", b"gcc", "a.c");
        roster.ended("a:1", &nameless(Ending::ClientDisconnected), Duration::ZERO);
        let recent = roster.recent(9);
        assert_eq!(
            (recent[0].source.as_str(), recent[0].compiler.as_str()),
            ("a.c", "gcc")
        );
    }

    #[test]
    fn names_are_bounded() {
        let roster = Roster::default();
        let long = "x".repeat(1 << 20);
        let _here = roster.enter("a:1");
        roster.name("a:1", long.as_bytes(), &long);
        assert_eq!(roster.present(1).0[0].source.len(), NAME);
        roster.ended(
            "a:1",
            &done(&long, Cached::Not(long.clone())),
            Duration::ZERO,
        );
        let past = &roster.recent(1)[0];
        assert_eq!((past.source.len(), past.reason.len()), (NAME, NAME));
    }
}
