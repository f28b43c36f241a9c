//! `include-server scan`: the scanner's answer for a person, a test or a benchmark.

use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

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
    let code = match &arguments.compile_commands {
        Some(file) => scan_project(arguments, file, &environment, &answerer),
        None => scan_command(arguments, &environment, &answerer),
    };
    answerer.leave();
    code
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

/// A project's answers are megabytes.
const OUTPUT_BUFFER: usize = 64 << 10;

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
    let mut out = BufWriter::with_capacity(OUTPUT_BUFFER, std::io::stdout().lock());
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

/// One line of output, a JSON object.
fn write_line(
    out: &mut impl Write,
    command: &CompileCommand,
    scanned: Scanned,
    probed: bool,
) -> std::io::Result<()> {
    let closure = scanned.answer.as_ref().map(|answer| &answer.closure);
    out.write_all(b"{\"file\":")?;
    write_string(out, command.file.as_bytes())?;
    out.write_all(b",\"directory\":")?;
    write_string(out, command.directory.as_bytes())?;
    out.write_all(b",\"deps\":")?;
    write_names(out, closure.into_iter().flat_map(names))?;
    if let Some(closure) = closure.filter(|_| probed) {
        out.write_all(b",\"probed\":")?;
        write_names(out, closure.probed_absent().iter().map(AsRef::as_ref))?;
    }
    out.write_all(b",\"declined\":")?;
    match &scanned.declined {
        Some(why) => write_string(out, why.as_bytes())?,
        None => out.write_all(b"null")?,
    }
    let cpu = u64::try_from(scanned.cpu.as_micros()).unwrap_or(u64::MAX);
    writeln!(out, ",\"cpu_us\":{cpu}}}")
}

fn write_names<'a>(
    out: &mut impl Write,
    names: impl Iterator<Item = &'a Path>,
) -> std::io::Result<()> {
    let mut before: &[u8] = b"[";
    for name in names {
        out.write_all(before)?;
        write_string(out, name.as_os_str().as_bytes())?;
        before = b",";
    }
    out.write_all(if before == b"[" { b"[]" } else { b"]" })
}

/// A JSON string; what is no UTF-8 is replaced. Nearly all names are plain, and there are many of them.
fn write_string(out: &mut impl Write, text: &[u8]) -> std::io::Result<()> {
    let is_odd = |byte: u8| !(b' '..0x7f).contains(&byte) || byte == b'"' || byte == b'\\';
    // All of them are looked at, which goes many at a time.
    if text.iter().fold(false, |odd, &byte| odd | is_odd(byte)) {
        serde_json::to_writer(&mut *out, &String::from_utf8_lossy(text))?;
        return Ok(());
    }
    out.write_all(b"\"")?;
    out.write_all(text)?;
    out.write_all(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_json_whatever_is_in_them() {
        let plain = b"/usr/include/c++/12/bits/stl algo.h".as_slice();
        for text in [
            plain,
            b"",
            b"a\"b",
            b"a\\b",
            b"\x00\n\x1f",
            b"\x7f",
            "\u{e4}".as_bytes(),
            b"\xff",
        ] {
            let mut out = Vec::new();
            write_string(&mut out, text).unwrap();
            let read: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(read, String::from_utf8_lossy(text));
        }
        let mut out = Vec::new();
        let names = ["a", "b"].map(Path::new);
        write_names(&mut out, names.into_iter()).unwrap();
        write_names(&mut out, std::iter::empty()).unwrap();
        assert_eq!(out, b"[\"a\",\"b\"][]");
    }
}
