//! The control group of one job: all of its processes are counted together, and killed together. Owns the group's directory and removes it.

use std::ffi::c_int;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often an end is waited for, a millisecond each.
const WAITS: u32 = 5000;

/// What a job wanted more of than its group may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// Memory: the kernel has killed it.
    Memory,
    /// Processes and threads: it was given no further one.
    Processes,
}

/// A group of its own for one job.
#[derive(Debug)]
pub(crate) struct JobCgroup {
    dir: PathBuf,
    members: File,
}

impl JobCgroup {
    /// Makes a group below one whose controllers of memory and processes are for its children.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn create(dir: PathBuf, memory: &str, processes: u64) -> io::Result<Self> {
        fs::create_dir(&dir)?;
        let prepared = limit(&dir, memory, processes);
        match prepared {
            Ok(members) => Ok(Self { dir, members }),
            Err(error) => {
                // It is empty; what stays is a directory without meaning.
                let _ = fs::remove_dir(&dir);
                Err(error)
            }
        }
    }

    /// What the job wanted too much of, as the kernel counted; memory first, because that has ended it.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        let counted = |file: &str, event: &str| {
            let text = fs::read_to_string(self.dir.join(file)).unwrap_or_default();
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.any(|(name, count)| name == event && count != "0")
        };
        if counted("memory.events", "oom_kill") {
            return Some(Exceeded::Memory);
        }
        counted("pids.events", "max").then_some(Exceeded::Processes)
    }

    /// Runs in the child: no allocation, no lock, no panic.
    pub(super) fn enter(&self) -> Result<(), ()> {
        let fd: c_int = self.members.as_raw_fd();
        // SAFETY: a plain system call; 0 means the caller.
        let written = unsafe { libc::write(fd, c"0".as_ptr().cast(), 1) };
        if written == 1 { Ok(()) } else { Err(()) }
    }
}

fn limit(dir: &Path, memory: &str, processes: u64) -> io::Result<File> {
    fs::write(dir.join("memory.max"), memory)?;
    fs::write(dir.join("pids.max"), processes.to_string())?;
    // Swapping must not make more of it than twice. A system that does not count swap does not have it.
    let _ = fs::write(dir.join("memory.swap.max"), memory);
    // One process too large is the whole job too large. Not every kernel has it.
    let _ = fs::write(dir.join("memory.oom.group"), "1");
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join("cgroup.procs"))
}

impl Drop for JobCgroup {
    fn drop(&mut self) {
        // The job has ended; this is for what left its session.
        if let Err(error) = end_group(&self.dir) {
            tracing::warn!("cannot remove {}: {error}", self.dir.display());
        }
    }
}

/// Kills what is in a group, and removes it.
///
/// # Errors
/// What the system said; [`io::ErrorKind::ResourceBusy`] when its processes do not end.
pub(crate) fn end_group(dir: &Path) -> io::Result<()> {
    // Kernels before 5.14 do not have it.
    let _ = fs::write(dir.join("cgroup.kill"), "1");
    let mut waits = 0;
    loop {
        match fs::remove_dir(dir) {
            // The last of its processes are still ending; that takes longer the more they are.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && waits < WAITS => {
                waits += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
}
