//! The program `distcc`: from the words it was started with to an exit code.
//!
//! It is started once for every file of a build, so nothing here is made before it is needed.

use crate::cleanup;
use crate::compiler::Launcher;
use crate::cross;
use crate::environment::Environment;
use crate::job::Job;
use crate::log;
use crate::masquerade::{Invocation, invocation};
use crate::native;
use crate::path_search::{OwnProgram, same_file};
use crate::remote::shown;
use crate::scan_includes::scan_includes;
use crate::show;
use crate::timeline::Timeline;
use protocol::command_line::{CommandLine, ResponseLimits, Word, expand_response_files};
use protocol::exit_code;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let argv: Vec<Word> = std::env::args_os().map(OsStringExt::into_vec).collect();
    let environment = Environment::read();
    log::start(&environment);
    cleanup::install();
    if log::wants(log::Level::Debug) {
        let triple = cross::version_triple();
        log::debug!("distcc {} {triple}", show::COMPATIBLE_VERSION);
    }
    ExitCode::from(dispatch(&argv, &environment))
}

fn dispatch(argv: &[Word], environment: &Environment) -> u8 {
    let masquerading = argv.first().is_some_and(|name| !is_distcc(name));
    let first = argv.get(1).map(Vec::as_slice);
    if !masquerading {
        match first {
            Some(b"--help") => return show::print(show::help().as_bytes()),
            Some(b"--version") => return show::print(show::version().as_bytes()),
            Some(b"--show-hosts") => return show::show_hosts(environment),
            Some(b"-j") => return show::concurrency(environment),
            Some(b"--show-principal") => {
                return show::print(b"Principal\t: Not Set.\n");
            }
            Some(b"--scan-includes") => {
                let rest: Vec<Word> = argv.iter().take(1).chain(&argv[2..]).cloned().collect();
                return start_job(&rest, environment, scan_includes);
            }
            _ => {}
        }
    }
    start_job(argv, environment, |job, _| job.run())
}

fn is_distcc(name: &[u8]) -> bool {
    let base = name.rsplit(|&b| b == b'/').next().unwrap_or(name);
    base.windows(6).any(|window| window == b"distcc")
}

fn start_job(
    argv: &[Word],
    environment: &Environment,
    run: impl FnOnce(&Job<'_>, &Environment) -> u8,
) -> u8 {
    let timeline = Rc::new(Timeline::begin(environment.journal.is_some()));
    let invocation = invocation(argv, &environment.path, OwnProgram::ask());
    let Invocation::Compiler {
        words: typed,
        path,
        trimmed,
    } = invocation
    else {
        log::error!("missing option/operand; try \"distcc --help\"");
        return exit_code::ExitCode::BadArguments.code();
    };
    // One more level is fine behind a masquerade: the compiler may itself be a link to some other distcc.
    if environment.safeguard > u32::from(trimmed) {
        log::critical!("distcc seems to have invoked itself recursively!");
        return exit_code::ExitCode::Recursion.code();
    }
    if let Err(error) = environment.check() {
        log::critical!("{error}");
        return exit_code::ExitCode::BadArguments.code();
    }
    let expanded = if typed.iter().skip(1).any(|word| word.first() == Some(&b'@')) {
        match expand_response_files(&typed, ResponseLimits::default(), read_capped) {
            Ok(expanded) => expanded,
            Err(error) => {
                // The compiler will say it again, in its own words.
                log::warning!("{error}; running locally instead");
                typed.clone()
            }
        }
    } else {
        typed.clone()
    };
    let mut portable = cross::portable(&expanded, &path, environment.rewrite_cross);
    let launcher = Launcher {
        path,
        exports_path: trimmed,
        safeguard: environment.safeguard,
    };
    // Inside another distcc nothing is distributed.
    if environment.safeguard == 0
        && let Some(words) = native::resolve(&portable.words, portable.kind, &launcher, environment)
    {
        portable.words = words;
    }
    log::debug!("scanning arguments: {}", shown(&portable.words));
    let cwd = working_directory();
    let job = Job {
        environment,
        launcher,
        typed,
        command: CommandLine::parse_as(&portable.words, portable.kind),
        cwd_alias: environment
            .pwd
            .as_deref()
            .is_some_and(|pwd| is_alias(pwd, &cwd)),
        cwd,
        timeline,
    };
    run(&job, environment)
}

/// Reads a response file, at most as much as is allowed for all of them together.
fn read_capped(name: &[u8]) -> Option<Vec<u8>> {
    let limit = ResponseLimits::default().bytes as u64;
    let file = std::fs::File::open(OsStr::from_bytes(name)).ok()?;
    let mut text = Vec::new();
    file.take(limit + 1).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The working directory as the kernel names it, like stock: `..` behind a link then means the same on the server.
fn working_directory() -> Vec<u8> {
    std::env::current_dir()
        .unwrap_or_else(|_| "/".into())
        .into_os_string()
        .into_vec()
}

/// Whether the shell's name of the working directory is another than the kernel's, and right all the same: then it is
/// the one that gcc and clang write into debug information.
fn is_alias(pwd: &OsStr, cwd: &[u8]) -> bool {
    let named = Path::new(pwd);
    pwd.as_bytes() != cwd && named.is_absolute() && same_file(named, Path::new("."))
}
