//! What one picture shows, ready to be drawn: plain values, with nothing in them that a terminal would obey. Owns no state.

use super::servers::Page;
use super::tally::{HostTally, Kind};
use crate::job_state::Phase;
use std::time::Duration;

/// Bytes of a name that are looked at. No terminal is as wide.
const LONGEST_NAME: usize = 1024;

/// One moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// The session that is shown, if there is one.
    pub session: Option<SessionView>,
    /// Hosts in the order of the list; then others that jobs are on; this machine last.
    pub hosts: Vec<HostView>,
    /// Jobs that run, by host and slot; those that wait for a slot last.
    pub jobs: Vec<JobView>,
    /// Counts of the session.
    pub counts: Option<Counts>,
    /// Why there are no hosts, or the like.
    pub trouble: Option<String>,
}

/// A session of `pump`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionView {
    /// Its command; empty for one of `pump --startup`.
    pub command: String,
    /// How long it has run.
    pub age: Option<Duration>,
    /// It is over; what is shown is what it came to.
    pub is_over: bool,
    /// Which of how many sessions it is, from 1.
    pub place: (usize, usize),
}

/// A host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostView {
    /// Its name, with the port if that is not the usual one.
    pub name: String,
    /// It is this machine.
    pub is_here: bool,
    /// `,down` in the list.
    pub is_down: bool,
    /// The list's slots with what is done on each; and more, when more are seen.
    pub slots: Vec<Option<Phase>>,
    /// What it did in this session.
    pub tally: HostTally,
    /// What its own page says.
    pub page: Option<Page>,
}

/// A job that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    /// What it does; none when its file says something unknown.
    pub phase: Option<Phase>,
    /// How long it has run.
    pub age: Duration,
    /// Host and slot; empty while it waits for one.
    pub place: String,
    /// The source.
    pub file: String,
}

/// A session's counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// In pump mode and answered with an earlier result; in pump mode otherwise; preprocessed here; done here.
    pub fates: [usize; 4],
    /// Of all these, those that failed.
    pub failed: usize,
    /// Jobs whose server said how it came to the answer, and hits among them.
    pub hits: (usize, usize),
    /// Jobs that ended in the last seconds, per second.
    pub rate: f64,
    /// The most frequent reasons, and how many there are in all.
    pub reasons: (Vec<(Kind, String, usize)>, usize),
}

impl Counts {
    /// Jobs that are counted.
    #[must_use]
    pub fn total(&self) -> usize {
        self.fates.iter().sum()
    }
}

/// A name from anywhere as text for a terminal.
#[must_use]
pub fn printable(name: &[u8]) -> String {
    protocol::printable::printable(name, LONGEST_NAME)
}

/// A phase by its number in a state file.
#[must_use]
pub fn phase(number: i32) -> Option<Phase> {
    let all = [
        Phase::Startup,
        Phase::Blocked,
        Phase::Connect,
        Phase::Preprocess,
        Phase::Send,
        Phase::Compile,
        Phase::Receive,
        Phase::Done,
    ];
    all.into_iter().find(|phase| *phase as i32 == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_have_their_numbers() {
        assert_eq!(phase(5), Some(Phase::Compile));
        assert_eq!((phase(-1), phase(8)), (None, None));
    }
}
