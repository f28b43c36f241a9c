//! `include-server check`: does pump mode fit a project? Every command is scanned and also given to its own compiler with
//! `-M`; a file that only the compiler names is an error of the scanner.
//!
//! [`examine`] judges one command, [`why`](Group) groups reasons, [`report`](Report) adds up and speaks.

pub(crate) mod examine;
mod progress;
mod report;
mod why;

use std::collections::HashSet;
use std::process::ExitCode;

use examine::{Examined, Examiner};
use progress::Progress;
use report::Report;
use why::{Group, Reason};

use super::compile_commands::{self, CompileCommand};
use super::environment::Environment;
use super::{CheckArguments, CliError, workers};

/// Exit status when the scanner and a compiler disagree.
const DIFFERENT: u8 = 1;
/// Exit status when there was nothing to compare.
const NOTHING_COMPARED: u8 = 4;

/// Checks all commands of a project.
pub(super) fn run(arguments: &CheckArguments) -> Result<ExitCode, CliError> {
    let environment = Environment::read();
    let read = compile_commands::read(&arguments.compile_commands, &environment.relevant)?;
    let entries = read.len();
    let commands = without_repetitions(read);
    let examiner = Examiner::new(&environment, arguments.compile)?;
    let mut report = Report::new(entries - commands.len());
    let mut progress = Progress::new(commands.len());
    let mut written = Ok(());
    let work = |command: &CompileCommand| examiner.examine(command);
    let take = |command: &CompileCommand, examined: Examined| {
        if arguments.json && written.is_ok() {
            progress.clear();
            written = report::print_json(&report::line(command, &examined));
        }
        report.add(command, examined);
        progress.show(report.tally());
    };
    workers::in_order(&commands, arguments.jobs.unwrap_or(0), work, take)
        .map_err(CliError::io("cannot start a thread"))?;
    progress.clear();
    let written = written.and_then(|()| match arguments.json {
        true => report::print_json(&report.summary()),
        false => report.print(arguments.verbose),
    });
    match written {
        // The reader has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.map_err(CliError::io("standard output"))?,
    }
    Ok(match report.tally() {
        tally if tally.different > 0 => ExitCode::from(DIFFERENT),
        tally if tally.compared == 0 => ExitCode::from(NOTHING_COMPARED),
        _ => ExitCode::SUCCESS,
    })
}

/// The same words in the same directory are the same translation unit.
fn without_repetitions(commands: Vec<CompileCommand>) -> Vec<CompileCommand> {
    let mut seen = HashSet::new();
    let mut is_new = |command: &CompileCommand| {
        let query = &command.query;
        seen.insert((query.cwd.clone(), query.argv.clone()))
    };
    let mut commands = commands;
    commands.retain(|command| is_new(command));
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_command_counts_once_for_each_directory() {
        let command = |directory: &str, words: &[&str]| CompileCommand {
            directory: directory.into(),
            file: "a.c".into(),
            query: compile_commands::query(
                words.iter().map(|word| word.as_bytes().to_vec()).collect(),
                Path::new(directory),
                &[],
            ),
        };
        let commands = vec![
            command("/a", &["gcc", "-c", "a.c"]),
            command("/b", &["gcc", "-c", "a.c"]),
            command("/a", &["gcc", "-c", "a.c"]),
            command("/a", &["gcc", "-c", "a.c", "-DX"]),
        ];
        let left = without_repetitions(commands);
        let left: Vec<_> = left
            .iter()
            .map(|command| (command.directory.as_str(), command.query.argv.len()))
            .collect();
        assert_eq!(left, [("/a", 3), ("/b", 3), ("/a", 4)]);
    }
}
