//! When a job came to each of its steps, for the last field of its journal line: `START STEP+OFFSET ...`, separated by
//! blanks, all in microseconds of the system's monotonic clock, START since the machine was started, the offsets since
//! START.
//!
//! A step is a word of [`Step`], or `@HOST/SLOT` where the job got a slot and `free` where it gave it back; `end` is the
//! last. [`Timeline`] owns the text that grows with the steps: a step costs one look at the clock, which is no system
//! call, and a few bytes.

use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::io::Write;

/// What a job begins to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Waiting for a slot.
    Blocked,
    /// Asking the include server.
    Scan,
    /// Preprocessing here.
    Preprocess,
    /// Connecting to a server.
    Connect,
    /// Sending.
    Send,
    /// Waiting for the compiler, here or there; with a server that knows files by digest first for what it lacks.
    Compile,
    /// Receiving the reply.
    Receive,
}

impl Step {
    /// The word in the journal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Scan => "scan",
            Self::Preprocess => "preprocess",
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Compile => "compile",
            Self::Receive => "receive",
        }
    }
}

/// The steps of one job so far.
#[derive(Debug)]
pub struct Timeline {
    start: u64,
    /// None where nobody wants to know.
    text: Option<RefCell<Vec<u8>>>,
}

impl Timeline {
    /// The times of a job that begins now.
    #[must_use]
    pub fn begin(is_wanted: bool) -> Self {
        Self {
            start: if is_wanted { now() } else { 0 },
            text: is_wanted.then(|| RefCell::new(Vec::with_capacity(160))),
        }
    }

    /// The job comes to a step.
    pub fn step(&self, step: Step) {
        self.put(&[step.word().as_bytes()]);
    }

    /// The job got a slot of a host; `host` as the journal names it.
    pub fn assign(&self, host: &[u8], slot: u32) {
        if self.text.is_some() {
            self.put(&[b"@", host, format!("/{slot}").as_bytes()]);
        }
    }

    /// The job is about to give its slot back.
    pub fn free(&self) {
        self.put(&[b"free"]);
    }

    /// The journal's field. The job is over.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        self.put(&[b"end"]);
        self.text.as_ref().map_or_else(Vec::new, |text| {
            let steps = text.borrow();
            [self.start.to_string().as_bytes(), &steps].concat()
        })
    }

    fn put(&self, words: &[&[u8]]) {
        let Some(text) = &self.text else { return };
        let offset = now().saturating_sub(self.start);
        let mut text = text.borrow_mut();
        text.push(b' ');
        words.iter().for_each(|word| text.extend_from_slice(word));
        // Writing to a vector cannot fail.
        let _ = write!(text, "+{offset}");
    }
}

/// The monotonic clock in microseconds: the same for all processes of a machine, and never set back.
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0) / 1000;
    seconds * 1_000_000 + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_in_their_order_and_their_times_only_grow() {
        let timeline = Timeline::begin(true);
        timeline.step(Step::Blocked);
        timeline.assign(b"box:3632", 3);
        timeline.step(Step::Scan);
        timeline.free();
        let text = String::from_utf8(timeline.finish()).expect("ASCII");
        let mut words = text.split(' ');
        let start: u64 = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a start");
        assert!(start > 0 && start <= now());
        let steps: Vec<(&str, u64)> = words
            .map(|word| word.rsplit_once('+').expect("an offset"))
            .map(|(word, offset)| (word, offset.parse().expect("a number")))
            .collect();
        let names: Vec<&str> = steps.iter().map(|(word, _)| *word).collect();
        assert_eq!(names, ["blocked", "@box:3632/3", "scan", "free", "end"]);
        assert!(steps.is_sorted_by_key(|(_, offset)| *offset), "{text}");
    }

    #[test]
    fn nothing_is_written_for_nobody() {
        let timeline = Timeline::begin(false);
        timeline.step(Step::Connect);
        assert_eq!(timeline.finish(), b"");
    }
}
