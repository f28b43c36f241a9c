//! The program `include-server` (also `include_server`): the service with stock's options, and two commands for people,
//! `scan` and `check`.
//!
//! [`main`] is all that it can do. The environment is read in [`environment`] and nowhere else.

pub(crate) mod check;
pub(crate) mod compile_commands;
mod environment;
mod scan;
mod serve;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::facts::Freshness;

/// Which files would the compiler read? A service for distcc's pump mode, and commands to see its answers.
#[derive(Debug, Parser)]
#[command(
    name = "include-server",
    version,
    args_conflicts_with_subcommands = true,
    infer_long_args = true,
    after_help = "Without a command it is a service: it listens on SOCKET (stock distcc's dialogue) and SOCKET.pumphouse \
                  (Pumphouse's own), and the starting process ends once both listen."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    service: ServiceArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the files that a compile reads, one a line; exit status 3 and a reason when that is not certain.
    Scan(ScanArguments),
    /// Does pump mode fit a project? Compare the scanner with the compilers' own -M for all its commands.
    Check(CheckArguments),
}

/// Options of the service. Those of stock's include server that have no meaning here are accepted, so that scripts go on
/// working.
#[derive(Clone, Debug, Args)]
struct ServiceArguments {
    /// The socket to listen on.
    #[arg(long, value_name = "SOCKET")]
    port: Option<PathBuf>,
    /// Write the service's process number to this file.
    #[arg(long = "pid_file", alias = "pid-file", value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Stay in the foreground, and end with the process that started it.
    #[arg(long)]
    foreground: bool,
    /// A sum of 1 (warnings), 2 or more (every query): what goes to standard error.
    #[arg(short = 'd', long = "debug_pattern", value_name = "PATTERN")]
    debug_pattern: Option<u32>,
    /// How facts about files are vouched for: inotify where it can be relied on and stat elsewhere (auto), stat only, or
    /// auto with an error when inotify cannot be had (watch).
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    freshness: Freshness,
    /// Where compilers' answers are kept for later sessions (none: nowhere). Default: $DISTCC_DIR/compilers-UID if
    /// DISTCC_DIR is set, otherwise pumphouse/compilers in $XDG_CACHE_HOME or ~/.cache.
    #[arg(long = "cache-dir", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Where the starting process waits to be told that the service listens; used by the program itself.
    #[arg(long = "ready-descriptor", hide = true)]
    ready_descriptor: Option<i32>,

    /// No meaning here: no mail is ever sent.
    #[arg(short = 'e', long)]
    email: bool,
    /// No meaning here: no mail is ever sent.
    #[arg(long = "no-email")]
    no_email: bool,
    /// No meaning here: no mail is ever sent.
    #[arg(long = "email_bound", value_name = "N")]
    email_bound: Option<String>,
    /// No meaning here.
    #[arg(long = "path_observation_re", value_name = "RE")]
    path_observation_re: Option<String>,
    /// No meaning here.
    #[arg(short = 's', long)]
    statistics: bool,
    /// No meaning here: every file is checked at every query.
    #[arg(long = "stat_reset_triggers", value_name = "GLOBS")]
    stat_reset_triggers: Option<String>,
    /// No meaning here.
    #[arg(short = 't', long)]
    time: bool,
    /// No meaning here: absolute includes are followed exactly.
    #[arg(long = "unsafe_absolute_includes")]
    unsafe_absolute_includes: bool,
    /// No meaning here: a directory is made to exist only where a name needs it.
    #[arg(long = "no_force_dirs")]
    no_force_dirs: bool,
    /// No meaning here; see the command `check`.
    #[arg(short = 'v', long)]
    verify: bool,
    /// No meaning here; see the command `scan`.
    #[arg(short = 'w', long = "write_include_closure")]
    write_include_closure: bool,
    /// No meaning here: every analysis is exact.
    #[arg(short = 'x', long = "exact_analysis")]
    exact_analysis: bool,
    /// No meaning here.
    #[arg(long = "simple_algorithm")]
    simple_algorithm: bool,
    /// No meaning here.
    #[arg(long = "unsafe_no_unexpanded_functions")]
    unsafe_no_unexpanded_functions: bool,
}

#[derive(Debug, Args)]
struct ScanArguments {
    /// Scan every command of this compile_commands.json; one JSON object for each.
    #[arg(
        long = "compile-commands",
        value_name = "FILE",
        conflicts_with = "words"
    )]
    compile_commands: Option<PathBuf>,
    /// Scan so many at once (default: the number of cores).
    #[arg(long, value_name = "N", requires = "compile_commands")]
    jobs: Option<usize>,
    /// Scan everything so many times; the last time is printed.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        requires = "compile_commands"
    )]
    repeat: usize,
    /// Print also the names that were looked for in vain.
    #[arg(long, requires = "compile_commands")]
    probed: bool,
    /// How facts about files are vouched for: inotify where it can be relied on and stat elsewhere (auto), stat only, or
    /// auto with an error when inotify cannot be had (watch).
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    freshness: Freshness,
    /// Where compilers' answers are kept for later sessions (none: nowhere). Default: $DISTCC_DIR/compilers-UID if
    /// DISTCC_DIR is set, otherwise pumphouse/compilers in $XDG_CACHE_HOME or ~/.cache.
    #[arg(long = "cache-dir", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// The compiler and its options.
    #[arg(
        last = true,
        value_name = "COMMAND",
        required_unless_present = "compile_commands"
    )]
    words: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The compilers are only asked for dependencies; nothing is written. Generated headers must exist: build the \
                  project first.\n\n\
                  Exit status: 0 scanner and compilers agree; 1 they do not (a file is missing or extra), or an error; \
                  2 wrong usage; 4 nothing could be compared. Declined translation units do not change it."
)]
struct CheckArguments {
    /// The project's commands, as CMake, Meson or bear write them.
    #[arg(long = "compile-commands", value_name = "FILE")]
    compile_commands: PathBuf,
    /// Check so many at once (default: the number of cores).
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Ask each compiler also for what a compile reads (-fsyntax-only -MD), which -M does not always know. Slower.
    #[arg(long)]
    compile: bool,
    /// Name every translation unit that would not go in pump mode, not only examples.
    #[arg(long, short)]
    verbose: bool,
    /// One JSON object for each translation unit, and a last one with the sums.
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
}

/// What ends the program early.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// The service was asked for without a socket.
    #[error("--port SOCKET is required (or a command: scan, check); see --help")]
    NoPort,
    /// The service cannot start.
    #[error(transparent)]
    Service(#[from] crate::service::ServiceError),
    /// The client root cannot be made.
    #[error(transparent)]
    Mirror(#[from] crate::mirror::MirrorError),
    /// Compilers cannot be asked, or files not be watched.
    #[error(transparent)]
    Answerer(#[from] crate::answer::AnswererError),
    /// A file, the working directory or standard output.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// compile_commands.json is not what it should be.
    #[error("{}: {why}", path.display())]
    CompileCommands {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The process in the background ended at once; it has said why.
    #[error("the service did not start")]
    NotStarted,
}

impl CliError {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Exit status when a scan is not certain.
const DECLINED: u8 = 3;

/// The program. Exit status: 0; 1 for an error, or for a difference that `check` finds; 2 for wrong usage; 3 when a scan
/// is declined; 4 when `check` can compare nothing.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::Scan(arguments)) => scan::run(&arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        None => serve::run(&arguments.service),
    };
    result.unwrap_or_else(|error| {
        eprintln!("include-server: {error}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_table_of_options_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn stocks_options_are_accepted() {
        let words = "include-server --port /s --pid_file /p -d19 -e --email_bound 3 --no-email \
            --path_observation_re=x -s --stat_reset_triggers=a:b -t --unsafe_absolute_includes --no_force_dirs -v -w -x \
            --simple_algorithm --unsafe_no_unexpanded_functions";
        let arguments = Arguments::try_parse_from(words.split_whitespace()).unwrap();
        assert_eq!(arguments.service.port, Some("/s".into()));
        assert_eq!(arguments.service.debug_pattern, Some(19));
        // getopt takes unambiguous beginnings.
        let words = ["include-server", "--po=/s", "--debug_p=1", "--stat_reset=x"];
        assert!(Arguments::try_parse_from(words).is_ok());
        assert!(Arguments::try_parse_from(["include-server", "--bogus"]).is_err());
    }
}
