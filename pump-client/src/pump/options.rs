//! What the user typed after `pump`: pure, looks at nothing but the words. Owns no state.

use super::top::options::{self as top, TopOptions, TopUsageError};
use crate::zeroconf::FIND;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What `pump` is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Print the usage on stdout.
    Help,
    /// Print the version on stdout.
    Version,
    /// Run one command in a session of its own.
    Run(Options, Vec<OsString>),
    /// Start a session that outlives this process and print its variables.
    Startup(Options),
    /// End the session that the environment names.
    Shutdown,
    /// Show what runs.
    Top(TopOptions),
    /// The process that keeps a session which `--startup` began. Not for people.
    Keep(Options),
    /// The process that keeps the list of hosts in a directory (`+zeroconf`). Not for people.
    Find(PathBuf),
}

/// Options that a session has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Put a masquerade directory in front of `PATH`.
    pub masquerade: bool,
    /// Say more about what is done.
    pub verbose: bool,
    /// Jobs of the private server; the number of processors when not given.
    pub jobs: Option<usize>,
    /// A process whose end ends a session that `--startup` began.
    pub owner: Option<i32>,
    /// Where a trace of all jobs is to go.
    pub trace: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            masquerade: true,
            verbose: false,
            jobs: None,
            owner: None,
            trace: None,
        }
    }
}

/// Words that `pump` cannot make sense of.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UsageError {
    /// An option that does not exist.
    #[error("unknown option {0:?}; see \"pump --help\"")]
    Unknown(OsString),
    /// Something behind `--startup` or `--shutdown`.
    #[error("{option} takes no command, but {extra:?} follows it")]
    Extra {
        /// The option.
        option: &'static str,
        /// The word behind it.
        extra: OsString,
    },
    /// Options, but nothing to do.
    #[error("no command is given; see \"pump --help\"")]
    NoCommand,
    /// `--owner` without a process's number.
    #[error("--owner takes the number of a process, not {0:?}")]
    Owner(OsString),
    /// `--owner` for a session that ends with its command.
    #[error("--owner goes with --startup")]
    OwnerOfCommand,
    /// `--trace` without a file's name.
    #[error("--trace takes the name of a file")]
    Trace,
    /// Words behind `top`.
    #[error(transparent)]
    Top(#[from] TopUsageError),
    /// `--jobs` without a sensible number.
    #[error("--jobs takes a number from 1 to 10000, not {0:?}")]
    Jobs(OsString),
}

/// The word that makes this program keep a session.
pub const KEEP: &str = "--keep-session";

/// Reads the words after the program's name.
///
/// # Errors
/// See [`UsageError`].
pub fn parse(words: Vec<OsString>) -> Result<Invocation, UsageError> {
    if words.is_empty() {
        return Ok(Invocation::Help);
    }
    let mut options = Options::default();
    let mut words = words.into_iter().peekable();
    if words.next_if(|word| word == "top").is_some() {
        return Ok(top::parse(words)?.map_or(Invocation::Help, Invocation::Top));
    }
    while let Some(word) = words.next_if(|word| word.as_bytes().starts_with(b"-")) {
        let done = match word.as_bytes() {
            b"-h" | b"--help" => return Ok(Invocation::Help),
            b"--version" => return Ok(Invocation::Version),
            b"--" => break,
            b"--no-masquerade" => {
                options.masquerade = false;
                continue;
            }
            b"-v" | b"--verbose" => {
                options.verbose = true;
                continue;
            }
            b"-j" | b"--jobs" => {
                options.jobs = Some(job_count(words.next().unwrap_or_default())?);
                continue;
            }
            b"--owner" => {
                options.owner = Some(process_number(words.next().unwrap_or_default())?);
                continue;
            }
            b"--trace" => {
                options.trace = Some(file_name(words.next().unwrap_or_default())?);
                continue;
            }
            bytes if bytes == FIND.as_bytes() => {
                let directory = words.next().unwrap_or_default();
                (FIND, Invocation::Find(directory.into()))
            }
            b"--startup" => ("--startup", Invocation::Startup(options.clone())),
            b"--shutdown" => ("--shutdown", Invocation::Shutdown),
            bytes if bytes == KEEP.as_bytes() => (KEEP, Invocation::Keep(options.clone())),
            bytes => {
                if let Some(value) = bytes.strip_prefix(b"--jobs=") {
                    let value = std::ffi::OsStr::from_bytes(value).to_owned();
                    options.jobs = Some(job_count(value)?);
                    continue;
                }
                if let Some(value) = bytes.strip_prefix(b"--owner=") {
                    let value = std::ffi::OsStr::from_bytes(value).to_owned();
                    options.owner = Some(process_number(value)?);
                    continue;
                }
                if let Some(value) = bytes.strip_prefix(b"--trace=") {
                    let value = std::ffi::OsStr::from_bytes(value).to_owned();
                    options.trace = Some(file_name(value)?);
                    continue;
                }
                return Err(UsageError::Unknown(word));
            }
        };
        let (option, invocation) = done;
        return match words.next() {
            None => Ok(invocation),
            Some(extra) => Err(UsageError::Extra { option, extra }),
        };
    }
    let command: Vec<OsString> = words.collect();
    if command.is_empty() {
        return Err(UsageError::NoCommand);
    }
    if options.owner.is_some() {
        return Err(UsageError::OwnerOfCommand);
    }
    Ok(Invocation::Run(options, command))
}

fn job_count(value: OsString) -> Result<usize, UsageError> {
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(count @ 1..=10_000) => Ok(count),
        _ => Err(UsageError::Jobs(value)),
    }
}

fn process_number(value: OsString) -> Result<i32, UsageError> {
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(number @ 1..) => Ok(number),
        _ => Err(UsageError::Owner(value)),
    }
}

fn file_name(value: OsString) -> Result<PathBuf, UsageError> {
    match value.is_empty() {
        true => Err(UsageError::Trace),
        false => Ok(PathBuf::from(value)),
    }
}

/// The words that make [`parse`] return these options again.
#[must_use]
pub fn words_of(options: &Options) -> Vec<OsString> {
    let mut words = Vec::new();
    if !options.masquerade {
        words.push("--no-masquerade".into());
    }
    if options.verbose {
        words.push("--verbose".into());
    }
    if let Some(jobs) = options.jobs {
        words.push(format!("--jobs={jobs}").into());
    }
    if let Some(owner) = options.owner {
        words.push(format!("--owner={owner}").into());
    }
    if let Some(trace) = &options.trace {
        let mut word = OsString::from("--trace=");
        word.push(trace);
        words.push(word);
    }
    words
}

/// What `pump --help` prints.
pub const USAGE: &str = "\
Usage:
    pump [OPTION...] COMMAND [ARG...]
    pump [OPTION...] --startup
    pump --shutdown
    pump top [--once] [TOP-OPTION...]

\"pump COMMAND\" starts an include server, puts compiler names that lead to
distcc in front of PATH, runs COMMAND, and ends the include server. So
\"pump make -j20\" compiles on the servers of your host list and preprocesses
there, too. Without any host list it starts a private distccd on this machine
for the time of COMMAND. At the end it says how many jobs went where, and why
some did not go in pump mode. Its exit status is COMMAND's.

\"pump --startup\" prints settings for the shell and leaves the session running
until \"pump --shutdown\":

    eval \"$(pump --startup)\"
    make -j20
    pump --shutdown

\"pump top\" shows on the terminal what runs now: hosts with their slots, jobs
with their files, and, while a session of pump runs, how its jobs were done and
why some were not answered with an earlier result or not compiled elsewhere.
A program that is itself called top is run by \"pump -- top\".

Options:
    --no-masquerade   leave compiler names alone: use CC=\"distcc gcc\" yourself
    -j, --jobs N      compile jobs of the private distccd [processors]
    --owner PID       with --startup: end the session when process PID ends
    --trace FILE      at the end write when each job did what into FILE, as
                      chrome://tracing and Perfetto read it
    -v, --verbose     say more about the session
    -h, --help        this text
    --version         the version

Options of top:
    --once            print one picture as text; needs no terminal
    --interval SECONDS
                      time between two looks [0.5]
    --session DIR     watch the session in this directory [all that run]
    --stats-port PORT
                      statistics port of the servers, 0 to ask none of them
                      [3633 of those that serve at 3632]

Environment (all optional):
    DISTCC_HOSTS            the host list; hosts for pump mode say \",cpp,lzo\".
                            Empty: no hosts, use the private distccd
    DISTCC_POTENTIAL_HOSTS  hosts to try with lsdistcc; those that answer
                            become DISTCC_HOSTS
    LSDISTCC_ARGS           more arguments for lsdistcc
    INCLUDE_SERVER_ARGS     more arguments for include-server, quoted as in sh
    DISTCC_PUMP_SESSION     for --shutdown, instead of INCLUDE_SERVER_DIR
    DISTCC_LOCATION         the directory of the other programs
    TMPDIR                  where the session's directory is made [/tmp]
    PUMPHOUSE_JOURNAL       keep the list of jobs in this file
    PUMPHOUSE_SUMMARY=0     no summary at the end
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Invocation, UsageError> {
        parse(words.iter().map(OsString::from).collect())
    }

    fn command(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_commands_own_options_are_its_own() {
        let make = command(&["make", "-j8", "--help", "--startup"]);
        let run = Invocation::Run(Options::default(), make);
        assert_eq!(parsed(&["make", "-j8", "--help", "--startup"]), Ok(run));
    }

    #[test]
    fn options_come_before_the_command() {
        let options = Options {
            masquerade: false,
            verbose: true,
            jobs: Some(3),
            owner: None,
            trace: Some("t".into()),
        };
        let run = Invocation::Run(options.clone(), command(&["--odd", "x"]));
        let words = [
            "--no-masquerade",
            "-v",
            "--jobs=3",
            "--trace",
            "t",
            "--",
            "--odd",
            "x",
        ];
        assert_eq!(parsed(&words), Ok(run));
        assert_eq!(
            parsed(&[
                "-j",
                "3",
                "--verbose",
                "--trace=t",
                "--no-masquerade",
                "--startup"
            ]),
            Ok(Invocation::Startup(options.clone()))
        );
        let mut again = words_of(&options);
        again.push(KEEP.into());
        assert_eq!(parse(again), Ok(Invocation::Keep(options)));
    }

    #[test]
    fn an_owner_goes_with_startup_alone() {
        let options = Options {
            owner: Some(12),
            ..Options::default()
        };
        for words in [
            &["--owner", "12", "--startup"][..],
            &["--owner=12", "--startup"],
        ] {
            assert_eq!(parsed(words), Ok(Invocation::Startup(options.clone())));
        }
        let mut again = words_of(&options);
        again.push(KEEP.into());
        assert_eq!(parse(again), Ok(Invocation::Keep(options)));
        for bad in ["", "0", "-1", "x"] {
            assert_eq!(
                parsed(&["--owner", bad, "--startup"]),
                Err(UsageError::Owner(bad.into()))
            );
        }
        let of_command = parsed(&["--owner=12", "make"]);
        assert_eq!(of_command, Err(UsageError::OwnerOfCommand));
    }

    #[test]
    fn top_is_the_monitor_only_as_the_first_word() {
        let monitor = Invocation::Top(TopOptions::default());
        assert_eq!(parsed(&["top"]), Ok(monitor));
        assert_eq!(parsed(&["top", "--help"]), Ok(Invocation::Help));
        let run = |words: &[&str]| match parsed(words) {
            Ok(Invocation::Run(_, command)) => command,
            other => panic!("{other:?}"),
        };
        assert_eq!(run(&["--", "top", "-b"]), command(&["top", "-b"]));
        assert_eq!(run(&["-v", "top"]), command(&["top"]));
        assert_eq!(run(&["./top"]), command(&["./top"]));
        assert!(matches!(parsed(&["top", "-b"]), Err(UsageError::Top(_))));
    }

    #[test]
    fn help_and_mistakes() {
        assert_eq!(parsed(&[]), Ok(Invocation::Help));
        assert_eq!(parsed(&["-h"]), Ok(Invocation::Help));
        assert_eq!(parsed(&["--help", "x"]), Ok(Invocation::Help));
        assert_eq!(parsed(&["--shutdown"]), Ok(Invocation::Shutdown));
        assert_eq!(parsed(&["--verbose"]), Err(UsageError::NoCommand));
        assert_eq!(
            parsed(&["--bogus"]),
            Err(UsageError::Unknown("--bogus".into()))
        );
        assert_eq!(parsed(&["--trace"]), Err(UsageError::Trace));
        assert_eq!(
            parsed(&["--jobs", "0", "x"]),
            Err(UsageError::Jobs("0".into()))
        );
        assert_eq!(
            parsed(&["--startup", "make"]),
            Err(UsageError::Extra {
                option: "--startup",
                extra: "make".into()
            })
        );
    }
}
