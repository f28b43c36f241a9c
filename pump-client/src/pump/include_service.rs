//! The include server as a helper of the session: how it is started and when it is ready. Owns no state.

use super::environment::Environment;
use super::error::PumpError;
use super::helper::Helper;
use super::session::Session;
use super::system::{Event, Signals, make_helper};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where its stdout and stderr go, in the session's directory.
pub const OUTPUT: [&str; 2] = ["stdout", "stderr"];

/// Starts it and waits until both of its sockets listen.
///
/// # Errors
/// When it cannot be executed, ends, or does not listen in time; when a signal came.
pub fn start(
    program: &Path,
    session: &Session,
    environment: &Environment,
    signals: &mut Signals,
) -> Result<Helper, PumpError> {
    let words = more_words(environment)?;
    let program = program.to_owned();
    let place = session.clone();
    let recipe = move || {
        // What a killed predecessor left.
        for socket in [place.socket(), place.rich_socket()] {
            let _ = std::fs::remove_file(socket);
        }
        let mut command = Command::new(&program);
        command
            .arg("--foreground")
            .arg("--port")
            .arg(place.socket())
            .args(&words)
            // What it leaves when it is killed goes with the session.
            .env("TMPDIR", place.directory())
            .stdin(Stdio::null())
            .stdout(place.append(OUTPUT[0])?)
            .stderr(place.append(OUTPUT[1])?);
        make_helper(&mut command, None);
        Ok(command)
    };
    let mut helper = Helper::start("include server", Box::new(recipe))?;
    let ready = wait_until_ready(&mut helper, session, signals);
    if ready.is_err() {
        helper.end();
    }
    ready.map(|()| helper)
}

fn wait_until_ready(
    helper: &mut Helper,
    session: &Session,
    signals: &mut Signals,
) -> Result<(), PumpError> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    let sockets = [session.socket(), session.rich_socket()];
    let mut waiting = sockets.iter().peekable();
    loop {
        while waiting
            .next_if(|socket| UnixStream::connect(socket).is_ok())
            .is_some()
        {}
        if waiting.peek().is_none() {
            return Ok(());
        }
        if !helper.is_running() {
            return Err(PumpError::IncludeServer(last_words(session)));
        }
        if start.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(PumpError::IncludeServer(format!(
                "it did not listen within {seconds} seconds"
            )));
        }
        let events = signals
            .wait(Some(pause))
            .map_err(PumpError::system("cannot wait"))?;
        for event in events {
            if let Event::End { signal, .. } = event {
                return Err(PumpError::Interrupted(signal));
            }
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The last line that it wrote on stderr.
fn last_words(session: &Session) -> String {
    let text = std::fs::read(session.file(OUTPUT[1])).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    match text.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => line.trim().to_owned(),
        None => "it ended without a word".to_owned(),
    }
}

/// `INCLUDE_SERVER_ARGS`, read by the shell as stock does, so that quotes and variables in it mean what they did.
fn more_words(environment: &Environment) -> Result<Vec<OsString>, PumpError> {
    let Some(text) = &environment.include_server_args else {
        return Ok(Vec::new());
    };
    let script = "eval \"set -- $1\" && for word do printf '%s\\000' \"$word\"; done";
    let output = Command::new("sh")
        .args(["-c", script, "INCLUDE_SERVER_ARGS"])
        .arg(text)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|cause| PumpError::Spawn {
            program: "sh".into(),
            cause,
        })?;
    if !output.status.success() {
        let cause = std::io::Error::new(ErrorKind::InvalidInput, "the shell cannot read it");
        let what = "INCLUDE_SERVER_ARGS";
        return Err(PumpError::System { what, cause });
    }
    let words = output.stdout.split_inclusive(|&byte| byte == 0);
    Ok(words
        .map(|word| OsStr::from_bytes(&word[..word.len() - 1]).to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        let environment = Environment {
            include_server_args: Some(text.into()),
            ..Environment::default()
        };
        more_words(&environment).expect("the shell reads it")
    }

    #[test]
    fn more_words_are_quoted_as_in_a_shell() {
        assert_eq!(
            words("-t  --stat_reset_triggers=\"*:a b\" ''"),
            ["-t", "--stat_reset_triggers=*:a b", ""]
        );
        assert!(words("  ").is_empty());
        let broken = Environment {
            include_server_args: Some("'open".into()),
            ..Environment::default()
        };
        assert!(more_words(&broken).is_err());
    }
}
