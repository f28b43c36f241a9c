//! The file by which monitors see what this client is doing: `state/binstate_PID`, 296 bytes in native byte order.
//!
//! The layout is stock's (facts/distcc-baseline.md §1.7). [`JobState`] owns the file: made at the first phase,
//! rewritten in place at each further one, removed when the value is dropped or a signal ends the process.

use crate::cleanup::DoomedFile;
use crate::state_directory::StateDirectory;
use crate::timeline::{Step, Timeline};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::rc::Rc;

/// Bytes of a state file.
pub const STATE_BYTES: usize = 296;
/// The number at byte 8.
pub const STATE_MAGIC: u64 = 0x4449_4800;
/// Bytes of a name field, its NUL included.
const NAME_BYTES: usize = 128;

/// What a job is doing; the numbers are those in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Phase {
    /// Starting.
    Startup = 0,
    /// Waiting for a slot.
    Blocked = 1,
    /// Connecting to a server.
    Connect = 2,
    /// Preprocessing, or asking the include server.
    Preprocess = 3,
    /// Sending the request.
    Send = 4,
    /// Waiting for the compiler, here or there.
    Compile = 5,
    /// Receiving the reply.
    Receive = 6,
    /// Finished.
    Done = 7,
}

impl Phase {
    /// What a job begins with it, if it is something that takes time.
    const fn step(self) -> Option<Step> {
        Some(match self {
            Self::Startup | Self::Done => return None,
            Self::Blocked => Step::Blocked,
            Self::Connect => Step::Connect,
            Self::Preprocess => Step::Preprocess,
            Self::Send => Step::Send,
            Self::Compile => Step::Compile,
            Self::Receive => Step::Receive,
        })
    }
}

/// The state of one job, as others see it. Without a state directory nothing is written.
#[derive(Debug)]
pub struct JobState {
    file: Option<(OwnedFd, DoomedFile)>,
    source: Vec<u8>,
    host: Vec<u8>,
    slot: u32,
    timeline: Rc<Timeline>,
}

impl JobState {
    /// The state of the job that compiles `source` (its last component is shown).
    #[must_use]
    pub fn new(directory: Option<&StateDirectory>, source: &[u8], timeline: Rc<Timeline>) -> Self {
        let source = source.rsplit(|&b| b == b'/').next().unwrap_or(source);
        let file = directory.and_then(|directory| {
            let path = directory.state_file(format!("binstate_{}", std::process::id()));
            let doomed = DoomedFile::register(path);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
            let file = rustix::fs::open(doomed.path(), flags, Mode::from_raw_mode(0o666));
            file.ok().map(|file| (file, doomed))
        });
        Self {
            file,
            source: source.to_vec(),
            host: Vec::new(),
            slot: 0,
            timeline,
        }
    }

    /// The job now belongs to this host and slot. `host` is its bare name, `journal_name` says its port, too.
    pub fn assign(&mut self, host: &[u8], journal_name: &[u8], slot: u32) {
        self.host = host.to_vec();
        self.slot = slot;
        self.timeline.assign(journal_name, slot);
    }

    /// Tells the phase. A state that cannot be written is no reason to stop a job.
    pub fn note(&self, phase: Phase) {
        if let Some(step) = phase.step() {
            self.timeline.step(step);
        }
        self.write(phase);
    }

    /// The job asks the include server: for monitors as good as preprocessing.
    pub fn note_scan(&self) {
        self.timeline.step(Step::Scan);
        self.write(Phase::Preprocess);
    }

    fn write(&self, phase: Phase) {
        if let Some((file, _)) = &self.file {
            let _ = rustix::io::pwrite(file, &self.encode(phase), 0);
        }
    }

    fn encode(&self, phase: Phase) -> [u8; STATE_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        bytes[0..8].copy_from_slice(&(STATE_BYTES as u64).to_ne_bytes());
        bytes[8..16].copy_from_slice(&STATE_MAGIC.to_ne_bytes());
        bytes[16..24].copy_from_slice(&u64::from(std::process::id()).to_ne_bytes());
        for (start, name) in [(24, &self.source), (152, &self.host)] {
            let length = name.len().min(NAME_BYTES - 1);
            bytes[start..start + length].copy_from_slice(&name[..length]);
        }
        bytes[280..284].copy_from_slice(&self.slot.to_ne_bytes());
        bytes[284..288].copy_from_slice(&(phase as i32).to_ne_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_stocks() {
        let mut state = JobState::new(None, b"dir/a.c", Rc::new(Timeline::begin(false)));
        state.assign(b"10.0.0.1", b"10.0.0.1:3632", 3);
        let bytes = state.encode(Phase::Compile);
        assert_eq!(bytes[0..8], 0x128u64.to_ne_bytes());
        assert_eq!(bytes[16..24], u64::from(std::process::id()).to_ne_bytes());
        assert_eq!(&bytes[24..28], b"a.c\0");
        assert_eq!(&bytes[152..161], b"10.0.0.1\0");
        assert_eq!(
            bytes[280..288],
            [3i32.to_ne_bytes(), 5i32.to_ne_bytes()].concat()
        );
    }

    #[test]
    fn long_names_keep_their_nul() {
        let state = JobState::new(None, &[b'x'; 500], Rc::new(Timeline::begin(false)));
        let bytes = state.encode(Phase::Startup);
        assert_eq!(bytes[24 + 126..24 + 129], [b'x', 0, 0]);
    }
}
