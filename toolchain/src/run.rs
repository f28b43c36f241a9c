//! Runs a compiler for its answer, never longer and never for more bytes than is reasonable. Owns no state.

use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How long a compiler may take to answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How much it may print on either stream. gcc's macros are 13 kB, clang's 16 kB.
const OUTPUT_LIMIT: u64 = 8 << 20;

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Output {
    /// It ended with exit code 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// Why there is no answer. What was started has been killed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started, or not be listened to.
    #[error("{0}")]
    Io(Arc<std::io::Error>),
    /// It was still running.
    #[error("no answer within {} seconds", .0.as_secs_f32())]
    TooSlow(Duration),
    /// It did not stop printing.
    #[error("it printed more than {OUTPUT_LIMIT} bytes")]
    TooLong,
    /// The thread that listened to it has died.
    #[error("its output could not be read")]
    Unread,
}

impl From<std::io::Error> for RunError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// Starts `command` in a process group of its own with `input` to read, and waits.
///
/// # Errors
/// [`RunError`], after [`TIME_LIMIT`] at the latest.
pub fn run(command: &mut Command, input: &[u8]) -> Result<Output, RunError> {
    run_within(command, input, TIME_LIMIT)
}

/// The same with another limit of time.
///
/// # Errors
/// [`RunError`].
pub fn run_within(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
) -> Result<Output, RunError> {
    let stdin = if input.is_empty() {
        Stdio::null()
    } else {
        // A file, not a pipe: nobody has to write while others read.
        let mut file = tempfile::tempfile()?;
        file.write_all(input)?;
        file.rewind()?;
        Stdio::from(file)
    };
    let deadline = Deadline {
        at: Instant::now() + limit,
        limit,
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let outcome = (|| {
        let stdout = received(stdout, deadline)?;
        let stderr = received(stderr, deadline)?;
        let success = waited(&mut child, deadline)?;
        Ok(Output {
            success,
            stdout,
            stderr,
        })
    })();
    if outcome.is_err() {
        kill_group(&child);
        // Reaps it; a killed process ends at once.
        let _ = child.wait();
    }
    outcome
}

/// A command for `program` that has this environment and nothing else of ours; `/` is where it runs if nothing is said.
pub fn command(program: &Path, environment: &[(Vec<u8>, Vec<u8>)], cwd: Option<&Path>) -> Command {
    use std::os::unix::ffi::OsStrExt;
    let mut command = Command::new(program);
    command.env_clear();
    for (name, value) in environment {
        command.env(
            std::ffi::OsStr::from_bytes(name),
            std::ffi::OsStr::from_bytes(value),
        );
    }
    // The answer is read by a program: no translation, no UTF-8 quotes.
    command.env("LC_ALL", "C");
    command.current_dir(cwd.unwrap_or(Path::new("/")));
    command
}

/// The first line of a compiler's complaint that says what is wrong.
#[must_use]
pub fn first_error(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text
        .lines()
        .find(|line| line.contains("error: "))
        .or_else(|| text.lines().rfind(|line| !line.trim().is_empty()))
        .unwrap_or("it failed without a word");
    line.chars().take(300).collect()
}

fn collect(stream: impl Read + Send + 'static) -> Receiver<Result<Vec<u8>, RunError>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = match stream.take(OUTPUT_LIMIT + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > OUTPUT_LIMIT => Err(RunError::TooLong),
            Ok(_) => Ok(bytes),
            Err(error) => Err(error.into()),
        };
        // The receiver is gone only when the other stream has failed already.
        let _ = sender.send(result);
    });
    receiver
}

/// When a program must have answered.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    /// The time that it had, for the message.
    limit: Duration,
}

impl Deadline {
    fn too_slow(self) -> RunError {
        RunError::TooSlow(self.limit)
    }
}

fn received(
    receiver: Option<Receiver<Result<Vec<u8>, RunError>>>,
    deadline: Deadline,
) -> Result<Vec<u8>, RunError> {
    let receiver = receiver.ok_or(RunError::Unread)?;
    match receiver.recv_timeout(deadline.at.saturating_duration_since(Instant::now())) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(deadline.too_slow()),
        Err(RecvTimeoutError::Disconnected) => Err(RunError::Unread),
    }
}

/// Both streams are closed, so the end is near; a program that closes them and lives on is waited for in small steps.
fn waited(child: &mut Child, deadline: Deadline) -> Result<bool, RunError> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() >= deadline.at => return Err(deadline.too_slow()),
            Ok(None) => std::thread::sleep(Duration::from_micros(200)),
            Err(error) => return Err(error.into()),
        }
    }
}

fn kill_group(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It fails only when the whole group has ended.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &[u8]) -> Result<Output, RunError> {
        let path = (b"PATH".to_vec(), b"/usr/bin:/bin".to_vec());
        run(
            command(Path::new("/bin/sh"), &[path], None)
                .arg("-c")
                .arg(script),
            input,
        )
    }

    #[test]
    fn both_streams_and_the_input() {
        let output = shell("cat; echo $LC_ALL >&2; pwd; exit 3", b"in").unwrap();
        assert!(!output.success);
        assert_eq!(output.stdout, b"in/\n");
        assert_eq!(output.stderr, b"C\n");
    }

    #[test]
    fn endless_output_is_cut_off() {
        let why = shell("yes | cat; sleep 100", b"");
        assert!(matches!(why, Err(RunError::TooLong | RunError::TooSlow(_))));
    }

    #[test]
    fn what_does_not_end_is_killed_with_its_children() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let path = (b"PATH".to_vec(), b"/usr/bin:/bin".to_vec());
        let mut command = command(Path::new("/bin/sh"), &[path], None);
        command.arg("-c").arg(script);
        let limit = Duration::from_secs(2);
        let why = run_within(&mut command, b"", limit);
        assert!(matches!(why, Err(RunError::TooSlow(_))));
        let pid = std::fs::read_to_string(pid).unwrap();
        let status = format!("/proc/{}/stat", pid.trim());
        // It may be there for a moment, as a zombie or about to become one.
        while std::fs::read_to_string(&status).is_ok_and(|text| !text.contains(") Z")) {
            std::thread::yield_now();
        }
    }
}
