//! `pump COMMAND`: runs one command in a session. Owns the command's process.

use super::environment::Environment;
use super::error::PumpError;
use super::keeper::Keeper;
use super::options::Options;
use super::system::{Event, Signals, signal_child};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

/// Runs the command and returns what this process is to exit with.
///
/// # Errors
/// When there is no session. A command that cannot be executed is no error here but 126 or 127, as in a shell.
pub fn run(
    environment: &Environment,
    options: &Options,
    words: &[OsString],
) -> Result<u8, PumpError> {
    let mut signals = Signals::take_over().map_err(PumpError::system("cannot handle signals"))?;
    let mut keeper = Keeper::start(environment, options, Some(words), &mut signals)?;
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .envs(keeper.exports().iter().map(|(name, value)| (name, value)));
    let code = match command.spawn() {
        Ok(child) => exit_code(attend(child, &mut keeper, &mut signals)),
        Err(error) => {
            eprintln!("pump: cannot run {:?}: {error}", words[0]);
            keeper.finish(false);
            return Ok(if error.kind() == io::ErrorKind::NotFound {
                127
            } else {
                126
            });
        }
    };
    keeper.finish(environment.summary);
    code.map_err(PumpError::system("cannot wait for the command"))
}

/// Waits for the command. Passes signals on to it, save those that it got from the terminal already.
fn attend(mut child: Child, keeper: &mut Keeper, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        keeper.tend();
        for event in signals.wait(None)? {
            if let Event::End {
                signal,
                from_terminal: false,
            } = event
            {
                signal_child(&child, signal);
            }
        }
    }
}

/// The status as a shell has it: 128 and the signal's number for a command that a signal ended.
fn exit_code(status: io::Result<ExitStatus>) -> io::Result<u8> {
    let status = status?;
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    Ok(u8::try_from(code).unwrap_or(1))
}
