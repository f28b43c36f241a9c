//! One run of a compiler: started, watched, stopped when it takes too long or nobody waits for it any more. Owns the
//! process while it runs.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::wait_status::WaitStatus;

use crate::child::{Child, Usage, null, raise_above_standard};
use crate::confinement::Exceeded;

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

/// Waits for a compiler. Whatever happens, the compiler and all that it started in its session (in a namespace: all that it started) have ended
/// when this future, or what came of it, is dropped.
pub(crate) async fn watch(
    child: Child,
    lifetime: Option<Duration>,
    cancelled: impl Future,
) -> io::Result<Watched> {
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
    Ok(Watched { child, stopped })
}

/// A compiler that ended, or is to be stopped.
#[derive(Debug)]
pub(crate) struct Watched {
    child: Child,
    stopped: Option<End>,
}

impl Watched {
    /// Waits until nothing of the compiler is left, also after a normal end. If it failed, also says what its control group did not allow.
    pub(crate) fn end(mut self) -> (End, Usage, Option<Exceeded>) {
        let (status, usage) = self.child.end();
        let end = self.stopped.unwrap_or(End::Exited(status));
        let exceeded = match end {
            End::Exited(status) if status.success() => None,
            _ => self.child.exceeded(),
        };
        (end, usage, exceeded)
    }
}

/// The three standard streams of a compiler: nothing to read, and files of the job to write to.
#[derive(Debug)]
pub(crate) struct Streams {
    stdout: File,
    stderr: File,
    /// Where they go if nothing was written.
    blank: Option<Arc<Blank>>,
}

/// Files without a name to which nothing was ever written, for the next jobs: a disk takes longer to make one than for all else that a job needs
/// of it, and most compilers have nothing to say.
#[derive(Debug, Default)]
pub(crate) struct Blank(Mutex<Vec<[File; 2]>>);

/// How many pairs are kept.
const BLANK_KEPT: usize = 64;

impl Blank {
    /// Streams in one of these, or in new files in a directory. Only for compilers of which nothing is left when they have ended.
    pub(crate) fn streams(self: &Arc<Self>, dir: &Path) -> io::Result<Streams> {
        let kept = self.lock().pop();
        let [stdout, stderr] = match kept {
            Some(kept) => kept,
            None => [tempfile::tempfile_in(dir)?, tempfile::tempfile_in(dir)?],
        };
        Ok(Streams {
            stdout,
            stderr,
            blank: Some(Arc::clone(self)),
        })
    }

    /// Takes files back. What a compiler may have done to its descriptors is undone.
    fn keep(&self, files: [&File; 2]) -> io::Result<()> {
        for file in files {
            rustix::fs::fcntl_setfl(file, rustix::fs::OFlags::empty())?;
        }
        let files = [files[0].try_clone()?, files[1].try_clone()?];
        let mut kept = self.lock();
        if kept.len() < BLANK_KEPT {
            kept.push(files);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<[File; 2]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            blank: None,
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

    /// What was written: standard output, standard error. The compiler has ended.
    pub(crate) fn read(&mut self, cap: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let read = |mut file: &File| {
            io::Seek::rewind(&mut file)?;
            match file.metadata()?.len() {
                0 => Ok(Vec::new()),
                size => crate::tree::read_capped(file, size, cap),
            }
        };
        let written = (read(&self.stdout)?, read(&self.stderr)?);
        if let Some(blank) = self.blank.take()
            && written.0.is_empty()
            && written.1.is_empty()
        {
            // Without descriptors to spare there will be new files.
            let _ = blank.keep([&self.stdout, &self.stderr]);
        }
        Ok(written)
    }
}
