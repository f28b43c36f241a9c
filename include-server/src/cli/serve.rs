//! The service as a program: background and foreground, process number, signals.
//!
//! The process that was started binds nothing when it goes to the background: it starts itself again in the foreground, in a
//! session of its own, and waits until that one says that it listens.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::environment::Environment;
use super::{CliError, ServiceArguments};
use crate::answer::Answerer;
use crate::mirror::Mirror;
use crate::service::{Sockets, serve};

/// Starts the service.
pub(super) fn run(arguments: &ServiceArguments) -> Result<ExitCode, CliError> {
    raise_descriptor_limit();
    let Some(port) = &arguments.port else {
        return Err(CliError::NoPort);
    };
    if !arguments.foreground && arguments.ready_descriptor.is_none() {
        return background();
    }
    start_log(arguments.debug_pattern.unwrap_or(1));
    if arguments.foreground {
        end_with_parent();
    } else {
        // It fails only for a process that leads a group already, which is as good.
        let _ = rustix::process::setsid();
    }
    let environment = Environment::read();
    let mirror = Mirror::new(environment.client_tmp.as_deref())?;
    let freshness = arguments.freshness;
    let kept = environment.kept(arguments.cache_dir.as_deref());
    let answerer = Answerer::with_kept(environment.relevant, freshness, Some(mirror), kept)?;
    let answerer = Arc::new(answerer);
    let sockets = Sockets::bind(port)?;
    let pid_file = arguments.pid_file.as_deref().map(PidFile::write);
    let pid_file = pid_file.transpose()?;
    serve(sockets, answerer, || {
        let stop = stop_signal()?;
        // Both sockets and the signals' handlers are in place: now others may count on this process.
        if let Some(descriptor) = arguments.ready_descriptor {
            tell_ready(descriptor);
        }
        Ok(stop)
    })?;
    drop(pid_file);
    Ok(ExitCode::SUCCESS)
}

/// Descriptors that the service wants: files that others open as well are kept open, see `facts`.
const DESCRIPTORS: u64 = 4 * 4096;

/// Raises the limit on open files as far as it may be raised; what is lacking costs time only.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let highest = limit.maximum.unwrap_or(u64::MAX);
    if limit
        .current
        .is_some_and(|current| current < DESCRIPTORS.min(highest))
    {
        limit.current = Some(DESCRIPTORS.min(highest));
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!("cannot raise the limit on open files: {error}");
        }
    }
}

fn start_log(pattern: u32) {
    let level = match pattern {
        0 | 1 => tracing::Level::WARN,
        2 | 3 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false)
        .init();
}

/// Becomes ready at the first signal that asks to end.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Asks the system for SIGTERM when the process that started this one ends.
fn end_with_parent() {
    let parent = rustix::process::getppid();
    let asked =
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    // The parent may have ended before the question was put.
    if asked.is_ok() && rustix::process::getppid() != parent {
        std::process::exit(0);
    }
}

/// Starts this program again, detached, and waits until it listens.
fn background() -> Result<ExitCode, CliError> {
    let io = || CliError::io("cannot go to the background");
    let program = std::env::current_exe().map_err(io())?;
    // Without close-on-exec: the new process inherits the writing end.
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::empty()).map_err(|e| io()(e.into()))?;
    let reader_flags = rustix::io::FdFlags::CLOEXEC;
    rustix::io::fcntl_setfd(&reader, reader_flags).map_err(|e| io()(e.into()))?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg(format!("--ready-descriptor={}", writer.as_raw_fd()))
        .stdin(Stdio::null())
        .spawn()
        .map_err(io())?;
    drop(writer);
    let mut answer = Vec::new();
    File::from(reader).read_to_end(&mut answer).map_err(io())?;
    if answer == READY {
        return Ok(ExitCode::SUCCESS);
    }
    // It ended, or closed the pipe without a word, which it does not do while it lives.
    let _ = child.wait();
    Err(CliError::NotStarted)
}

const READY: &[u8] = b"ready";

fn tell_ready(descriptor: RawFd) {
    if descriptor <= 2 {
        return;
    }
    // SAFETY: the number was given by `background` in the process that started this one, which opened it for this
    // purpose alone; nothing else here owns it, and this runs once.
    let pipe = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // Nobody waits any more: that is theirs to decide.
    let _ = File::from(pipe).write_all(READY);
}

/// The file with the process number; removed at the end.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<Self, CliError> {
        let failed = || CliError::io(format!("cannot write {}", path.display()));
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed())?;
        writeln!(file, "{}", std::process::id()).map_err(failed())?;
        file.persist(path).map_err(|error| failed()(error.error))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // It may be gone with its directory.
        let _ = std::fs::remove_file(&self.0);
    }
}
