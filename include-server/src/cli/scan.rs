//! `include-server scan`: the scanner's answer for a person, a test or a benchmark.

use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::compile_commands::{self, CompileCommand};
use super::environment::Environment;
use super::{CliError, DECLINED, ScanArguments, workers};
use crate::answer::Answerer;
use crate::closure::Closure;
use crate::options::Options;

/// Scans one command, or all of a project.
pub(super) fn run(arguments: &ScanArguments) -> Result<ExitCode, CliError> {
    let environment = Environment::read();
    let answerer = Answerer::new(Options::new(environment.relevant.clone())?, None);
    match &arguments.compile_commands {
        Some(file) => scan_project(arguments, file, &environment, &answerer),
        None => scan_command(arguments, &environment, &answerer),
    }
}

fn scan_command(
    arguments: &ScanArguments,
    environment: &Environment,
    answerer: &Answerer,
) -> Result<ExitCode, CliError> {
    let cwd = std::env::current_dir().map_err(CliError::io("the working directory"))?;
    let words = arguments.words.iter().cloned().map(OsStringExt::into_vec);
    let query = compile_commands::query(words.collect(), &cwd, &environment.relevant);
    match answerer.closure(&query) {
        Ok((_, closure)) => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            let mut print = |name: &Path| {
                out.write_all(name.as_os_str().as_bytes())?;
                out.write_all(b"\n")
            };
            let written = names(&closure).try_for_each(&mut print);
            written
                .and_then(|()| out.flush())
                .map_err(CliError::io("standard output"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(doubt) => {
            eprintln!("{doubt}");
            Ok(ExitCode::from(DECLINED))
        }
    }
}

/// All files that a preprocessor must find, as the compiler spells them.
pub(super) fn names(closure: &Closure) -> impl Iterator<Item = &Path> {
    let files = closure.files.iter().chain(&closure.has_include_hits);
    files.map(|file| file.name.as_path())
}

/// One line of output.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    directory: &'a str,
    deps: Vec<String>,
    probed: Vec<String>,
    declined: Option<String>,
    cpu_us: u64,
}

struct Scanned {
    deps: Vec<PathBuf>,
    probed: Vec<PathBuf>,
    declined: Option<String>,
    cpu: Duration,
}

fn scan_one(command: &CompileCommand, answerer: &Answerer) -> Scanned {
    let before = thread_cpu();
    let result = answerer.closure(&command.query);
    let cpu = thread_cpu().saturating_sub(before);
    match result {
        Ok((_, closure)) => Scanned {
            deps: names(&closure).map(Path::to_owned).collect(),
            probed: closure.probed_absent,
            declined: None,
            cpu,
        },
        Err(doubt) => Scanned {
            deps: Vec::new(),
            probed: Vec::new(),
            declined: Some(doubt.to_string()),
            cpu,
        },
    }
}

/// CPU time that this thread has used. The compilers that it asked are processes of their own and not counted.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

fn scan_project(
    arguments: &ScanArguments,
    file: &Path,
    environment: &Environment,
    answerer: &Answerer,
) -> Result<ExitCode, CliError> {
    let commands = compile_commands::read(file, &environment.relevant)?;
    let jobs = arguments.jobs.unwrap_or(0);
    let rounds = arguments.repeat.max(1);
    let mut out = BufWriter::new(std::io::stdout().lock());
    for round in 1..=rounds {
        let mut written = Ok(());
        let (mut files, mut declined, mut cpu) = (0, 0, Duration::ZERO);
        let began = std::time::Instant::now();
        let print = |command: &CompileCommand, scanned: Scanned| {
            files += scanned.deps.len();
            declined += usize::from(scanned.declined.is_some());
            cpu += scanned.cpu;
            if round == rounds && written.is_ok() {
                written = write_line(&mut out, command, scanned);
            }
        };
        workers::in_order(&commands, jobs, |c| scan_one(c, answerer), print)
            .map_err(CliError::io("cannot start a thread"))?;
        written.map_err(CliError::io("standard output"))?;
        let count = commands.len().max(1);
        eprintln!(
            "round {round}: {} translation units, {} scanned, {declined} declined, {files} files, {} us CPU and {} us elapsed per unit",
            commands.len(),
            commands.len() - declined,
            cpu.as_micros() / count as u128,
            began.elapsed().as_micros() / count as u128,
        );
    }
    out.flush().map_err(CliError::io("standard output"))?;
    Ok(ExitCode::SUCCESS)
}

fn write_line(
    out: &mut impl Write,
    command: &CompileCommand,
    scanned: Scanned,
) -> std::io::Result<()> {
    let text = |paths: Vec<PathBuf>| -> Vec<String> {
        paths
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    };
    let line = Line {
        file: &command.file,
        directory: &command.directory,
        deps: text(scanned.deps),
        probed: text(scanned.probed),
        declined: scanned.declined,
        cpu_us: u64::try_from(scanned.cpu.as_micros()).unwrap_or(u64::MAX),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}
