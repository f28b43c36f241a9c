//! The control group of one job: all of its processes are counted together, and killed together. Owns the group's directory and removes it.

use std::ffi::c_int;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
        // The job has ended; this is for what left its session. Kernels before 5.14 do not have it.
        let _ = fs::write(self.dir.join("cgroup.kill"), "1");
        for _ in 0..100 {
            // Busy while the last of its processes ends.
            match fs::remove_dir(&self.dir) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => {
                    tracing::warn!("cannot remove {}: {error}", self.dir.display());
                    return;
                }
                Ok(()) => return,
            }
        }
    }
}
