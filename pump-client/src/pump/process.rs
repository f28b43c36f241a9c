//! A process by more than its number: its start time tells it from a later one with the same number. Owns no state.
//!
//! Source: proc(5), `/proc/PID/stat`. No `ps` is needed.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::time::Duration;

/// A process that cannot be mistaken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub start_time: u64,
}

/// How long a process has to end after a signal before it gets the next, SIGKILL at last.
const GRACE: Duration = Duration::from_secs(5);

impl Process {
    /// The process that has this number now.
    ///
    /// # Errors
    /// When there is none, or `/proc` is not there.
    pub fn of(pid: i32) -> io::Result<Self> {
        let start_time = read_stat(pid)?.start_time;
        Ok(Self { pid, start_time })
    }

    /// This process.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn own() -> io::Result<Self> {
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        Self::of(pid)
    }

    /// Whether it still runs; a zombie does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        read_stat(self.pid).is_ok_and(|stat| {
            stat.start_time == self.start_time && !matches!(stat.state, b'Z' | b'X')
        })
    }

    /// Asks it to end, makes it when it does not, and waits until it has. Does nothing to a process that is gone.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub fn end(&self) -> io::Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(());
        };
        // The descriptor first, then the check: from then on the number cannot come to mean another process.
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // A server that was told TERM lets compiles come to their end; told INT, it takes them along.
        for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
            if !self.is_alive() {
                return Ok(());
            }
            match pidfd_send_signal(&handle, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
            let timeout = Timespec::try_from(GRACE).map_err(io::Error::other)?;
            let mut polled = [PollFd::new(&handle, PollFlags::IN)];
            while matches!(
                poll(&mut polled, Some(&timeout)),
                Err(rustix::io::Errno::INTR)
            ) {}
        }
        Ok(())
    }
}

/// What the kernel says of a process.
pub(crate) struct Stat {
    /// A letter.
    pub(crate) state: u8,
    /// See [`Process::start_time`].
    pub(crate) start_time: u64,
}

fn read_stat(pid: i32) -> io::Result<Stat> {
    let text = std::fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat cannot be read")))
}

/// Fields 3 and 22. Field 2 is the program's name in parentheses and may hold anything, parentheses included.
pub(crate) fn parse_stat(text: &[u8]) -> Option<Stat> {
    let end_of_name = text.iter().rposition(|&byte| byte == b')')?;
    let mut fields = text[end_of_name + 1..].split(|&byte| byte == b' ').skip(1);
    let state = *fields.next()?.first()?;
    let start_time = std::str::from_utf8(fields.nth(18)?)
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Stat { state, start_time })
}

/// The number of this process's PID namespace: numbers of processes mean something only inside it.
#[must_use]
pub fn pid_namespace() -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn odd_program_names_do_not_confuse() {
        let line = b"42 (a) R 1 (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99 20 21\n";
        let stat = parse_stat(line).expect("a whole line");
        assert_eq!((stat.state, stat.start_time), (b'S', 99));
        for length in 0..60 {
            assert!(parse_stat(&line[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn another_process_with_the_same_number_is_left_alone() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let process = Process::of(child.id() as i32).expect("it is there");
        let impostor = Process {
            start_time: process.start_time + 1,
            ..process
        };
        impostor.end().expect("nothing to do");
        assert!(process.is_alive());
        process.end().expect("a child of ours");
        assert!(!process.is_alive());
        process.end().expect("a zombie has ended");
        child.wait().expect("a child of ours");
        process.end().expect("it is gone");
    }
}
