//! Messages to a person: stock's levels, prefixes and destinations.
//!
//! Without settings, warnings and errors go to standard error. `DISTCC_LOG` sends messages from INFO up to a file,
//! `DISTCC_VERBOSE=1` shows everything, `UNCACHED_ERR_FD` names another descriptor than 2. One line is one `write`, so
//! that lines of parallel jobs do not mix. The module owns the process's one log, set once by [`start`]; until then and
//! without it, messages from WARNING up go to standard error.

use crate::environment::Environment;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::io::Write;
use std::sync::OnceLock;

/// How bad it is; in stock's order and with stock's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The job cannot go on.
    Critical,
    /// Something failed.
    Error,
    /// Something was done another way than asked for.
    Warning,
    /// Progress; a log file has it.
    Info,
    /// Everything.
    Debug,
}

impl Level {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL! ",
            Self::Error => "ERROR: ",
            Self::Warning => "Warning: ",
            Self::Info | Self::Debug => "",
        }
    }
}

struct Log {
    threshold: Level,
    file: Option<OwnedFd>,
    descriptor: Option<i32>,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Sets the log up. A log file that cannot be opened is said on standard error, and messages go there.
pub fn start(environment: &Environment) {
    let mut threshold = Level::Warning;
    let mut file = None;
    let mut complaint = None;
    if let Some(path) = &environment.log_file {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::from_raw_mode(0o666)) {
            Ok(opened) => {
                file = Some(opened);
                threshold = Level::Info;
            }
            Err(error) => complaint = Some((path, error)),
        }
    }
    if environment.verbose {
        threshold = Level::Debug;
    }
    let log = Log {
        threshold,
        file,
        descriptor: environment.uncached_err_fd,
    };
    if LOG.set(log).is_ok()
        && let Some((path, error)) = complaint
    {
        crate::log::error!("failed to open logfile {}: {error}", path.display());
    }
}

/// Whether a message of this level would be written; for messages that cost something to make.
#[must_use]
pub fn wants(level: Level) -> bool {
    level <= LOG.get().map_or(Level::Warning, |log| log.threshold)
}

/// Writes one message; use the macros.
pub fn write(level: Level, message: std::fmt::Arguments<'_>) {
    if !wants(level) {
        return;
    }
    let mut line = Vec::with_capacity(160);
    // Writing to a vector cannot fail.
    let _ = writeln!(
        line,
        "distcc[{}] {}{message}",
        std::process::id(),
        level.prefix()
    );
    let log = LOG.get();
    if let Some(file) = log.and_then(|log| log.file.as_ref()) {
        put(file.as_fd(), &line);
        return;
    }
    if let Some(raw) = log.and_then(|log| log.descriptor)
        && write_raw(raw, &line)
    {
        return;
    }
    put(std::io::stderr().as_fd(), &line);
}

/// A descriptor number that the environment gave us; false when it is not open for writing.
fn write_raw(raw: i32, line: &[u8]) -> bool {
    // SAFETY: the pointer and length are those of a live slice; a number that is no open descriptor gives EBADF.
    unsafe { libc::write(raw, line.as_ptr().cast(), line.len()) >= 0 }
}

/// Writes all of a line; a log that cannot be written is no reason to stop a build.
fn put(fd: BorrowedFd<'_>, mut line: &[u8]) {
    while !line.is_empty() {
        match rustix::io::write(fd, line) {
            Ok(n) if n > 0 => line = &line[n..],
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}

/// A message of level CRITICAL.
macro_rules! critical { ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Critical, format_args!($($arg)*)) } }
/// A message of level ERROR.
macro_rules! error { ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Error, format_args!($($arg)*)) } }
/// A message of level WARNING.
macro_rules! warning { ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Warning, format_args!($($arg)*)) } }
/// A message of level INFO.
macro_rules! info { ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Info, format_args!($($arg)*)) } }
/// A message of level DEBUG.
macro_rules! debug { ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Debug, format_args!($($arg)*)) } }
pub(crate) use {critical, debug, error, info, warning};
