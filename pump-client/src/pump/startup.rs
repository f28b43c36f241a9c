//! `pump --startup` and `pump --shutdown`: a session that outlives the `pump` that began it. Owns no state.
//!
//! `--startup` starts this program once more as the session's keeper. The keeper prints the settings for the shell and a
//! line that says they are complete; from then on it is a daemon, holds none of the caller's descriptors, and ends when
//! `--shutdown` tells it to.

use super::about::About;
use super::environment::Environment;
use super::error::PumpError;
use super::keeper::{Export, INCIDENTS, JournalStart, Keeper, report, write_trace};
use super::options::{KEEP, Options, words_of};
use super::session::{NotASession, Record, Session};
use super::system::{Event, Signals, close_inherited, make_daemon, redirect_output};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// The last line of what a keeper prints.
const COMPLETE: &[u8] = b"# complete\n";

/// Starts a keeper and prints its settings.
///
/// # Errors
/// When the keeper cannot be started. Its own troubles it tells itself; then the answer is 1.
pub fn startup(options: &Options) -> Result<u8, PumpError> {
    let program = std::env::current_exe().map_err(PumpError::system("cannot find this program"))?;
    let mut command = Command::new(&program);
    command
        .args(words_of(options))
        .arg(KEEP)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    make_daemon(&mut command);
    let mut keeper = command
        .spawn()
        .map_err(|cause| PumpError::Spawn { program, cause })?;
    let mut text = Vec::new();
    if let Some(pipe) = &mut keeper.stdout {
        pipe.read_to_end(&mut text)
            .map_err(PumpError::system("cannot read the settings"))?;
    }
    let Some(settings) = text.strip_suffix(COMPLETE) else {
        // It ended, or is about to; it has said why.
        let _ = keeper.wait();
        return Ok(1);
    };
    let printed = io::stdout()
        .write_all(settings)
        .and_then(|()| io::stdout().flush());
    printed.map_err(PumpError::system("cannot print the settings"))?;
    Ok(0)
}

/// Keeps a session until a signal ends it.
///
/// # Errors
/// When there is no session, or nobody reads the settings.
pub fn keep(environment: &Environment, options: &Options) -> Result<u8, PumpError> {
    close_inherited();
    let mut signals = Signals::take_over().map_err(PumpError::system("cannot handle signals"))?;
    // Found before anything else: a number that is free again must not come to mean another process.
    let owner = options.owner.map(descriptor_of).transpose()?;
    let mut keeper = Keeper::start(environment, options, None, &mut signals)?;
    if let Err(error) = hand_over(&keeper) {
        keeper.finish(false);
        return Err(error);
    }
    if let Some(owner) = owner {
        signals.watch(owner);
    }
    loop {
        keeper.tend();
        let events = signals
            .wait(None)
            .map_err(PumpError::system("cannot wait"))?;
        if events
            .iter()
            .any(|event| matches!(event, Event::End { .. }))
        {
            keeper.retire();
            return Ok(0);
        }
        if events.contains(&Event::OwnerEnded) {
            // Nobody is left who could call `--shutdown` or read a summary.
            keeper.finish(false);
            return Ok(0);
        }
    }
}

/// A running process by a descriptor, which becomes readable when it ends.
fn descriptor_of(owner: i32) -> Result<OwnedFd, PumpError> {
    let failed = |cause: io::Error| PumpError::Owner { owner, cause };
    let pid = Pid::from_raw(owner).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|error| failed(error.into()))
}

/// Prints the settings and lets go of the caller's stdout and stderr.
fn hand_over(keeper: &Keeper) -> Result<(), PumpError> {
    let mut text: Vec<u8> = keeper.exports().iter().flat_map(shell_line).collect();
    text.extend_from_slice(COMPLETE);
    let printed = io::stdout()
        .write_all(&text)
        .and_then(|()| io::stdout().flush());
    printed.map_err(PumpError::system("cannot print the settings"))?;
    let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null");
    let nowhere = nowhere.map_err(PumpError::system("cannot open /dev/null"))?;
    let stderr = keeper.session().append("stderr")?;
    redirect_output(OwnedFd::from(nowhere), OwnedFd::from(stderr))
        .map_err(PumpError::system("cannot redirect output"))
}

/// `export NAME='VALUE'`, whatever bytes the value has.
fn shell_line((name, value): &Export) -> Vec<u8> {
    let mut line = format!("export {name}=").into_bytes();
    put_quoted(&mut line, value);
    line.push(b'\n');
    line
}

fn put_quoted(line: &mut Vec<u8>, value: &OsStr) {
    line.push(b'\'');
    for &byte in value.as_bytes() {
        if byte == b'\'' {
            line.extend_from_slice(b"'\\''");
        } else {
            line.push(byte);
        }
    }
    line.push(b'\'');
}

/// Ends the session that the environment names. Doing it again does nothing.
pub fn shutdown(environment: &Environment) -> u8 {
    let Some(directory) = &environment.include_server_dir else {
        eprintln!("pump: there is no session to shut down: INCLUDE_SERVER_DIR is not set");
        return 0;
    };
    let shown = directory.display();
    let (session, record) = match Session::open(directory) {
        Ok(found) => found,
        Err(NotASession::Gone) => {
            eprintln!("pump: the session in {shown} has been shut down already");
            return 0;
        }
        Err(error) => {
            eprintln!("pump: {shown} {error}; nothing is removed");
            return 1;
        }
    };
    if record.has_command && record.is_kept() {
        eprintln!(
            "pump: the session in {shown} belongs to a running \"pump COMMAND\" and ends with it"
        );
        return 1;
    }
    if !record.is_of_this_namespace() && UnixStream::connect(session.socket()).is_ok() {
        eprintln!("pump: the session in {shown} runs in another PID namespace: shut it down there");
        return 1;
    }
    if record.is_of_this_namespace()
        && let Err(error) = end_processes(environment, &record)
    {
        eprintln!("pump: cannot end the session in {shown}: {error}");
        return 1;
    }
    let start = JournalStart::noted(&session);
    write_trace(&About::read(&session), &start);
    if environment.summary {
        let incidents = std::fs::read_to_string(session.file(INCIDENTS)).unwrap_or_default();
        let incidents: Vec<String> = incidents.lines().map(str::to_owned).collect();
        report(&session, &start, &incidents);
    }
    session.remove();
    0
}

fn end_processes(environment: &Environment, record: &Record) -> io::Result<()> {
    if environment.progress && record.is_kept() {
        eprintln!("__________Shutting down distcc-pump include server");
    }
    for process in record.keeper.iter().chain(&record.helpers) {
        process.end()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn any_value_survives_the_shell() {
        let value = OsString::from_vec(b"a'b $HOME `x` \\ \"q\" \n* \xff".to_vec());
        let mut script = shell_line(&("X", value.clone()));
        script.extend_from_slice(b"printf %s \"$X\"");
        let output = Command::new("sh")
            .arg("-c")
            .arg(OsString::from_vec(script))
            .output()
            .expect("sh runs");
        assert_eq!(output.stdout, value.as_bytes());
    }
}
