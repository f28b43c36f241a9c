//! Runs a compiler for its answer, never longer and never for more bytes than is reasonable.

use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How long a compiler may take to answer.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How much it may print on either stream. gcc's macros are 13 kB, clang's 16 kB.
const OUTPUT_LIMIT: u64 = 8 << 20;

/// What a program printed and how it ended.
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Starts `command` in a process group of its own with `input` to read, and waits. An error is text for a person.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Result<Output, String> {
    run_within(command, input, TIME_LIMIT)
}

/// The same with another limit of time.
pub(crate) fn run_within(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
) -> Result<Output, String> {
    let text = |error: std::io::Error| error.to_string();
    let stdin = if input.is_empty() {
        Stdio::null()
    } else {
        // A file, not a pipe: nobody has to write while others read.
        let mut file = tempfile::tempfile().map_err(text)?;
        file.write_all(input).map_err(text)?;
        file.rewind().map_err(text)?;
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
        .spawn()
        .map_err(text)?;
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
pub(crate) fn command(
    program: &Path,
    environment: &[(Vec<u8>, Vec<u8>)],
    cwd: Option<&Path>,
) -> Command {
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

fn collect(stream: impl Read + Send + 'static) -> Receiver<Result<Vec<u8>, String>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = match stream.take(OUTPUT_LIMIT + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > OUTPUT_LIMIT => {
                Err(format!("it printed more than {OUTPUT_LIMIT} bytes"))
            }
            Ok(_) => Ok(bytes),
            Err(error) => Err(error.to_string()),
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
    fn too_slow(self) -> String {
        format!("no answer within {} seconds", self.limit.as_secs())
    }
}

fn received(
    receiver: Option<Receiver<Result<Vec<u8>, String>>>,
    deadline: Deadline,
) -> Result<Vec<u8>, String> {
    let receiver = receiver.ok_or("its output was not connected")?;
    match receiver.recv_timeout(deadline.at.saturating_duration_since(Instant::now())) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(deadline.too_slow()),
        Err(RecvTimeoutError::Disconnected) => Err("its output could not be read".into()),
    }
}

/// Both streams are closed, so the end is near; a program that closes them and lives on is waited for in small steps.
fn waited(child: &mut Child, deadline: Deadline) -> Result<bool, String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() >= deadline.at => return Err(deadline.too_slow()),
            Ok(None) => std::thread::sleep(Duration::from_micros(200)),
            Err(error) => return Err(error.to_string()),
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

    fn shell(script: &str, input: &[u8]) -> Result<Output, String> {
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
        let why = why.err().unwrap();
        assert!(
            why.contains("more than") || why.contains("no answer"),
            "{why}"
        );
    }
}
