//! Going to the background, and the pid file. Owns the pid file's existence and the line by which a detached daemon
//! tells its parent how starting went.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Which side of the fork we are on.
#[derive(Debug)]
pub enum Detached {
    /// The daemon, in the background.
    Daemon(Starting),
    /// The process that was started; it ends with this exit code, which is the daemon's if that failed to start.
    Parent(u8),
}

/// A daemon that has yet to tell its parent that it serves. While this lives, the parent waits; dropping it without
/// [`Starting::ready`] or [`Starting::failed`] counts as a failure.
#[derive(Debug)]
pub struct Starting(Option<File>);

impl Starting {
    /// For a daemon that stays in the foreground: nobody waits.
    #[must_use]
    pub fn in_foreground() -> Self {
        Self(None)
    }

    /// Says that the daemon serves, and lets go of the terminal; of standard error only if messages do not go there.
    pub fn ready(self, keep_stderr: bool) {
        if self.0.is_some() {
            // Until now, errors had to be seen. A system without /dev/null keeps the old streams.
            if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
                let null = OwnedFd::from(null);
                let _ = rustix::stdio::dup2_stdin(&null);
                let _ = rustix::stdio::dup2_stdout(&null);
                if !keep_stderr {
                    let _ = rustix::stdio::dup2_stderr(&null);
                }
            }
        }
        self.tell(0);
    }

    /// Says that the daemon ends with this exit code.
    pub fn failed(self, code: u8) {
        self.tell(code);
    }

    fn tell(mut self, code: u8) {
        if let Some(mut pipe) = self.0.take() {
            // A parent that is gone needs no word.
            let _ = pipe.write_all(&[code]);
        }
    }
}

/// Forks; the daemon gets a session of its own, the parent waits until the daemon serves or ended. To be called while
/// the process has a single thread.
///
/// # Errors
/// What the system said.
pub fn detach() -> io::Result<Detached> {
    let (mut reader, writer) = io::pipe()?;
    // SAFETY: the process has a single thread, so the child's memory is in order and it may do anything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(reader);
            rustix::process::setsid()?;
            Ok(Detached::Daemon(Starting(Some(File::from(OwnedFd::from(
                writer,
            ))))))
        }
        _ => {
            drop(writer);
            let mut code = [0];
            // No word at all means that the daemon died.
            let code = match reader.read_exact(&mut code) {
                Ok(()) => code[0],
                Err(_) => protocol::exit_code::ExitCode::DistccFailed.code(),
            };
            Ok(Detached::Parent(code))
        }
    }
}

/// A pid file, removed when dropped.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes this process's id to a file. It is written in place: the directory often belongs to root and the file,
    /// made beforehand, to the daemon's user.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        std::fs::write(&path, format!("{}\n", std::process::id()))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!("cannot remove the pid file {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_lives_as_long_as_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let file = PidFile::write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
        assert!(PidFile::write(&dir.path().join("no/pid")).is_err());
    }
}
