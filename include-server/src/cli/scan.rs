//! `include-server scan`: the scanner's answer for a person, a test or a benchmark.

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::compile_commands::{self, CompileCommand};
use super::environment::Environment;
use super::{CliError, DECLINED, ScanArguments, workers};
use crate::answer::{Answered, Answerer};
use crate::closure::Closure;

/// Scans one command, or all of a project.
pub(super) fn run(arguments: &ScanArguments) -> Result<ExitCode, CliError> {
    let environment = Environment::read();
    let kept = environment.kept(arguments.cache_dir.as_deref());
    let relevant = environment.relevant.clone();
    let answerer = Answerer::with_kept(relevant, arguments.freshness, None, kept)?;
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
    match answerer.answer(&query) {
        Ok(answer) => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            let mut print = |name: &Path| {
                out.write_all(name.as_os_str().as_bytes())?;
                out.write_all(b"\n")
            };
            let written = names(&answer.closure).try_for_each(&mut print);
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
    deps: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probed: Option<Vec<String>>,
    declined: Option<String>,
    cpu_us: u64,
}

struct Scanned {
    answer: Option<Arc<Answered>>,
    declined: Option<String>,
    cpu: Duration,
}

fn scan_one(command: &CompileCommand, answerer: &Answerer) -> Scanned {
    let before = thread_cpu();
    let result = answerer.answer(&command.query);
    let cpu = thread_cpu().saturating_sub(before);
    match result {
        Ok(answer) => Scanned {
            declined: answer.layout.as_ref().err().map(ToString::to_string),
            answer: Some(answer),
            cpu,
        },
        Err(doubt) => Scanned {
            answer: None,
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
        let (mut files, mut declined, mut times) = (0, 0, Vec::new());
        let began = std::time::Instant::now();
        let print = |command: &CompileCommand, scanned: Scanned| {
            let closure = scanned.answer.as_ref().map(|answer| &answer.closure);
            files += closure.map_or(0, |closure| names(closure).count());
            declined += usize::from(scanned.declined.is_some());
            times.push(scanned.cpu);
            if round == rounds && written.is_ok() {
                written = write_line(&mut out, command, scanned, arguments.probed);
            }
        };
        workers::in_order(&commands, jobs, |c| scan_one(c, answerer), print)
            .map_err(CliError::io("cannot start a thread"))?;
        written.map_err(CliError::io("standard output"))?;
        eprintln!(
            "round {round}: {} translation units, {} scanned, {declined} declined, {files} files, {}, {} ms elapsed",
            commands.len(),
            commands.len() - declined,
            spread(times),
            began.elapsed().as_millis()
        );
    }
    out.flush().map_err(CliError::io("standard output"))?;
    Ok(ExitCode::SUCCESS)
}

/// The CPU times of the units, in words.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    let at = |hundredth: usize| {
        let index = times.len().saturating_sub(1) * hundredth / 100;
        times.get(index).map_or(0, Duration::as_micros)
    };
    let mean = total.as_micros() / times.len().max(1) as u128;
    format!(
        "CPU per unit in us: mean {mean}, median {}, 99 % {}",
        at(50),
        at(99)
    )
}

fn write_line(
    out: &mut impl Write,
    command: &CompileCommand,
    scanned: Scanned,
    probed: bool,
) -> std::io::Result<()> {
    let closure = scanned.answer.as_ref().map(|answer| &answer.closure);
    let line = Line {
        file: &command.file,
        directory: &command.directory,
        deps: closure.map_or_else(Vec::new, |closure| {
            names(closure).map(Path::to_string_lossy).collect()
        }),
        probed: closure.filter(|_| probed).map(|closure| {
            let absent = closure.probed_absent();
            let text = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
            absent.iter().map(text).collect()
        }),
        declined: scanned.declined,
        cpu_us: u64::try_from(scanned.cpu.as_micros()).unwrap_or(u64::MAX),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}
