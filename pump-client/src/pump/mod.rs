//! `pump` (also `distcc-pump`): runs a build with an include server, so that distcc works in pump mode.
//!
//! Modules in reading order. A session is made by `keeper`; `run` and `startup` are its two uses.

pub mod about;
pub mod environment;
pub mod error;
pub mod helper;
pub mod hosts_choice;
pub mod include_service;
pub mod journal;
pub mod keeper;
pub mod masquerade;
pub mod masquerade_place;
pub mod options;
pub mod private_server;
pub mod process;
pub mod programs;
pub mod run;
pub mod session;
pub mod startup;
pub mod summary;
pub mod system;
pub mod times;
pub mod top;
pub mod trace;

use environment::Environment;
use error::PumpError;
use options::{Invocation, USAGE};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let environment = Environment::capture();
    match perform(&environment, std::env::args_os().skip(1).collect()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("pump: {error}");
            ExitCode::from(match error {
                PumpError::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(1),
                _ => 1,
            })
        }
    }
}

/// Everything that the program can do.
fn perform(environment: &Environment, words: Vec<OsString>) -> Result<u8, PumpError> {
    check_max_discrepancy(environment)?;
    match options::parse(words)? {
        Invocation::Help => Ok(print(USAGE)),
        Invocation::Version => Ok(print(&format!(
            "pump (Pumphouse) {}\n",
            env!("CARGO_PKG_VERSION")
        ))),
        Invocation::Run(options, command) => run::run(environment, &options, &command),
        Invocation::Startup(options) => startup::startup(&options),
        Invocation::Shutdown => Ok(startup::shutdown(environment)),
        Invocation::Top(options) => top::screen::run(environment, &options),
        Invocation::Find(directory) => {
            system::close_inherited();
            Ok(crate::finder::run(&directory, &environment.path))
        }
        Invocation::Keep(options) => startup::keep(environment, &options),
    }
}

/// Prints on stdout; a closed stdout is the reader's choice.
fn print(text: &str) -> u8 {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
    0
}

/// A variable of stock's that we have no use for, but whose nonsense values are refused as stock refuses them.
fn check_max_discrepancy(environment: &Environment) -> Result<(), PumpError> {
    let Some(value) = &environment.max_discrepancy else {
        return Ok(());
    };
    let number = std::str::from_utf8(value.as_bytes())
        .ok()
        .and_then(|text| text.trim().parse::<i64>().ok());
    if number.is_some_and(|number| number <= 0) {
        return Err(PumpError::MaxDiscrepancy(value.clone()));
    }
    Ok(())
}
