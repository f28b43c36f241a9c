//! One run of a compiler: started, watched, stopped when it takes too long or nobody waits for it any more. Owns the
//! process while it runs.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use protocol::wait_status::WaitStatus;

use crate::child::{Child, Usage, null, raise_above_standard};

/// How long a compiler has to clean up between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// Why a compile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Exited(WaitStatus),
    /// It was stopped because it ran longer than it may.
    TimedOut,
    /// It was stopped because its client went away.
    Disconnected,
}

/// Waits for a compiler. Whatever happens, also when this future is dropped, the compiler and all that it started in
/// its session (in a namespace: all that it started) have ended when this has.
pub(crate) async fn watch(
    child: Child,
    lifetime: Option<Duration>,
    cancelled: impl Future,
) -> io::Result<(End, Usage)> {
    let mut child = child;
    let exited = child.exited()?;
    let too_long = async {
        match lifetime {
            Some(lifetime) => tokio::time::sleep(lifetime).await,
            None => std::future::pending().await,
        }
    };
    let stopped = tokio::select! {
        ready = exited.readable() => {
            ready?.retain_ready();
            None
        }
        () = too_long => Some(End::TimedOut),
        _ = cancelled => Some(End::Disconnected),
    };
    if stopped == Some(End::TimedOut) {
        child.signal(libc::SIGTERM);
        // Whether it ended in time or not: what is left is killed below.
        let _ = tokio::time::timeout(GRACE, exited.readable()).await;
    }
    // Also after a normal end: nothing of the job stays behind.
    let (status, usage) = tokio::task::spawn_blocking(move || child.end()).await?;
    Ok((stopped.unwrap_or(End::Exited(status)), usage))
}

/// The three standard streams of a compiler: nothing to read, and files of the job to write to.
#[derive(Debug)]
pub(crate) struct Streams {
    stdout: File,
    stderr: File,
}

impl Streams {
    /// Makes the files in a job's directory.
    pub(crate) fn create(dir: &Path) -> io::Result<Self> {
        let create = |name| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(dir.join(name))
        };
        Ok(Self {
            stdout: create("stdout")?,
            stderr: create("stderr")?,
        })
    }

    /// Makes files without a name in a directory.
    pub(crate) fn unnamed(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            stdout: tempfile::tempfile_in(dir)?,
            stderr: tempfile::tempfile_in(dir)?,
        })
    }

    /// The descriptors for the child.
    pub(crate) fn for_child(&self) -> io::Result<[OwnedFd; 3]> {
        Ok([
            null()?,
            raise_above_standard(&self.stdout)?,
            raise_above_standard(&self.stderr)?,
        ])
    }

    /// What was written: standard output, standard error.
    pub(crate) fn read(&self, cap: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let read = |mut file: &File| {
            io::Seek::rewind(&mut file)?;
            crate::tree::read_capped(file.try_clone()?, cap)
        };
        Ok((read(&self.stdout)?, read(&self.stderr)?))
    }
}
