//! `lsdistcc`: says which of some hosts have a distcc server that answers. Owns no state.
//!
//! Modules in reading order: the search, one host's trial, the options.

pub mod options;
pub mod search;
pub mod trial;

use options::{Plan, USAGE};
use std::io::Write;
use std::process::ExitCode;

/// Runs the program. The exit code is 0 when some name had an address, as stock's is, and 1 otherwise.
#[must_use]
pub fn main() -> ExitCode {
    let plan = match Plan::parse(std::env::args_os().skip(1)) {
        Ok(plan) => plan,
        Err(problem) => {
            match problem {
                Some(problem) => eprint!("lsdistcc: {problem}\n{USAGE}"),
                None => print!("{USAGE}"),
            }
            return ExitCode::from(1);
        }
    };
    let found = search::search(&plan);
    let mut text = String::new();
    for host in &found {
        if let Some(line) = host.line(&plan) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    // A closed stdout is the reader's choice.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(u8::from(found.is_empty()))
}
