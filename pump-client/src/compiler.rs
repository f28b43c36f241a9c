//! Running the real compiler on this machine: to the end, to preprocess, or in place of this process.
//!
//! Owns how a child is started: the program found on the `PATH` behind distcc's own directories, the user's name for it
//! as its first word, the recursion counter raised, and signals passed on while it runs.

use crate::cleanup::ForwardedChild;
use crate::environment::SAFEGUARD;
use crate::log;
use crate::path_search;
use protocol::command_line::Word;
use protocol::exit_code::ExitCode;
use protocol::wait_status::WaitStatus;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

/// How children are started; the same for all of one job.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The `PATH` on which compilers are found.
    pub path: OsString,
    /// Children get this `PATH` too, because the user's was cut.
    pub exports_path: bool,
    /// How deep distcc runs inside distcc; children get one more.
    pub safeguard: u32,
}

/// A compiler that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("failed to exec {name}: {error}")]
pub struct LaunchError {
    /// The compiler's name.
    pub name: String,
    /// Why.
    pub error: io::Error,
}

impl LaunchError {
    /// The exit code, as stock has it.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        ExitCode::CompilerMissing.code()
    }
}

impl Launcher {
    fn command(&self, words: &[Word]) -> Result<Command, LaunchError> {
        let name = words.first().map_or(&b""[..], Vec::as_slice);
        let program = path_search::resolve(name, &self.path).ok_or_else(|| LaunchError {
            name: String::from_utf8_lossy(name).into_owned(),
            error: io::Error::from_raw_os_error(libc::ENOENT),
        })?;
        let mut command = Command::new(program);
        command
            .arg0(OsStr::from_bytes(name))
            .args(words.iter().skip(1).map(|word| OsStr::from_bytes(word)))
            .env(SAFEGUARD, self.safeguard.saturating_add(1).to_string());
        if self.exports_path {
            command.env("PATH", &self.path);
        }
        Ok(command)
    }

    /// Becomes the compiler; returns only when that fails.
    #[must_use]
    pub fn replace_self(&self, words: &[Word]) -> LaunchError {
        match self.command(words) {
            Ok(mut command) => launch_error(words, command.exec()),
            Err(error) => error,
        }
    }

    /// Runs the compiler to its end, with this process's own streams.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn run(&self, words: &[Word]) -> Result<WaitStatus, LaunchError> {
        let (mut child, _forwarded) = ForwardedChild::spawn(&mut self.command(words)?)
            .map_err(|error| launch_error(words, error))?;
        let status = child.wait().map_err(|error| launch_error(words, error))?;
        Ok(wait_status(status))
    }

    /// Starts the compiler with its output caught; see [`Captured`].
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn capture(&self, words: &[Word]) -> Result<Captured, LaunchError> {
        let mut command = self.command(words)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (mut child, forwarded) =
            ForwardedChild::spawn(&mut command).map_err(|error| launch_error(words, error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Ok(Captured {
            child,
            _forwarded: forwarded,
            stdout,
            stderr,
            ended: false,
        })
    }
}

fn launch_error(words: &[Word], error: io::Error) -> LaunchError {
    let name = words.first().map_or(&b""[..], Vec::as_slice);
    LaunchError {
        name: String::from_utf8_lossy(name).into_owned(),
        error,
    }
}

fn wait_status(status: ExitStatus) -> WaitStatus {
    WaitStatus(u32::from_ne_bytes(status.into_raw().to_ne_bytes()))
}

/// A child whose output is read into memory. Dropped before its end, it is killed: nobody wants the rest.
#[derive(Debug)]
pub struct Captured {
    child: Child,
    _forwarded: ForwardedChild,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    ended: bool,
}

/// What a captured child left.
#[derive(Debug)]
pub struct Capture {
    /// How it ended.
    pub status: WaitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Captured {
    /// Reads both streams to their ends and waits.
    ///
    /// # Errors
    /// When reading or waiting fails.
    pub fn finish(mut self) -> io::Result<Capture> {
        let (mut out, mut err) = (Vec::with_capacity(64 << 10), Vec::new());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let (mut out_open, mut err_open) = (stdout.is_some(), stderr.is_some());
        while out_open || err_open {
            let mut fds = Vec::with_capacity(2);
            if let Some(fd) = stdout.as_ref().filter(|_| out_open) {
                fds.push(PollFd::new(fd, PollFlags::IN));
            }
            if let Some(fd) = stderr.as_ref().filter(|_| err_open) {
                fds.push(PollFd::new(fd, PollFlags::IN));
            }
            match rustix::event::poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            let mut ready = ready.into_iter();
            if let Some(fd) = stdout.as_ref().filter(|_| out_open)
                && ready.next() == Some(true)
            {
                out_open = read_some(fd, &mut out)?;
            }
            if let Some(fd) = stderr.as_ref().filter(|_| err_open)
                && ready.next() == Some(true)
            {
                err_open = read_some(fd, &mut err)?;
            }
        }
        let status = self.child.wait()?;
        self.ended = true;
        Ok(Capture {
            status: wait_status(status),
            stdout: out,
            stderr: err,
        })
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        if !self.ended {
            log::debug!("stopping child {}", self.child.id());
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Reads what is there; false at the end of the stream.
fn read_some(fd: impl rustix::fd::AsFd, into: &mut Vec<u8>) -> io::Result<bool> {
    into.reserve(64 << 10);
    match rustix::io::read(fd, rustix::buffer::spare_capacity(into)) {
        Ok(0) => Ok(false),
        Ok(_) | Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launcher() -> Launcher {
        Launcher {
            path: "/usr/bin:/bin".into(),
            exports_path: false,
            safeguard: 0,
        }
    }

    fn words(list: &[&str]) -> Vec<Word> {
        list.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn both_streams_are_caught_however_long() {
        let script = "head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2; echo $_DISTCC_SAFEGUARD; exit 3";
        let capture = launcher()
            .capture(&words(&["sh", "-c", script]))
            .unwrap()
            .finish()
            .unwrap();
        assert_eq!(capture.status.exit_code(), 3);
        assert_eq!(
            (capture.stdout.len(), capture.stderr.len()),
            (300_002, 200_000)
        );
        assert!(capture.stdout.ends_with(b"\x001\n"));
    }

    #[test]
    fn signals_and_missing_programs() {
        let status = launcher().run(&words(&["sh", "-c", "kill -9 $$"])).unwrap();
        assert_eq!(status.shell_code(), 137);
        let error = launcher().run(&words(&["no-such-compiler"])).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("failed to exec no-such-compiler: No such file")
        );
        assert_eq!(error.exit_code(), 110);
    }
}
