//! What can keep `pump` from running a command, each as one line that says what to do.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// Why there is no session, or no command in it.
#[derive(Debug, thiserror::Error)]
pub enum PumpError {
    /// The words on the command line.
    #[error(transparent)]
    Usage(#[from] super::options::UsageError),
    /// `DISTCC_MAX_DISCREPANCY` is 0 or less.
    #[error("DISTCC_MAX_DISCREPANCY is {0:?}; it must be 1 or greater")]
    MaxDiscrepancy(OsString),
    /// `pump top` without a terminal.
    #[error(
        "\"pump top\" needs a terminal on stdout; \"pump top --once\" prints one picture as text"
    )]
    NoTerminal,
    /// The directory that `pump top --session` names.
    #[error("{directory:?} {error}")]
    NoSession {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        error: super::session::NotASession,
    },
    /// A program of ours is nowhere to be found.
    #[error("cannot find the program {name:?} (looked in {location:?} and in PATH)")]
    ProgramMissing {
        /// Its name.
        name: &'static str,
        /// Where it was expected.
        location: PathBuf,
    },
    /// The host list cannot be read.
    #[error("the host list in {source_name} is wrong: {reason}")]
    BadHosts {
        /// The variable or file that holds it.
        source_name: String,
        /// What is wrong.
        reason: String,
    },
    /// Hosts, but none of them for pump mode.
    #[error(
        "pump mode requested, but the distcc host list in {0} does not contain any hosts with ',cpp' option: \
         write HOST,cpp,lzo there, or set DISTCC_HOSTS= for a private server on this machine"
    )]
    NoPumpHosts(String),
    /// A host list file that cannot be read.
    #[error("cannot read the host list {path:?}: {cause}")]
    HostsUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The session's directory cannot be made.
    #[error(
        "cannot make a session directory in {base:?} ({cause}): set TMPDIR to a directory that can be written to"
    )]
    SessionDirectory {
        /// `TMPDIR`.
        base: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file of the session cannot be written.
    #[error("cannot write {path:?}: {cause}")]
    SessionFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The trace cannot be written.
    #[error("cannot write the trace {path:?}: {cause}")]
    Trace {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// `TMPDIR` is too long for a socket.
    #[error(
        "TMPDIR is too long for the include server's socket ({length} bytes, at most {limit}): set a shorter TMPDIR"
    )]
    SocketPathTooLong {
        /// The length that the socket's path would have.
        length: usize,
        /// The most that the system takes.
        limit: usize,
    },
    /// There is no process of that number to watch.
    #[error("cannot watch process {owner}, which --owner names: {cause}")]
    Owner {
        /// Its number.
        owner: i32,
        /// Why.
        cause: io::Error,
    },
    /// A helper program could not be started.
    #[error("cannot start {program:?}: {cause}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The include server did not come up.
    #[error("could not start the include server: {0}")]
    IncludeServer(String),
    /// The private daemon has no port.
    #[error("cannot listen on 127.0.0.1 for the private distccd: {0}")]
    Listen(io::Error),
    /// A signal came before the command was started.
    #[error("ended by signal {0} before the command was started")]
    Interrupted(i32),
    /// A system call that does not fail in practice.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        cause: io::Error,
    },
}

impl PumpError {
    /// Wraps a failed system call.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::System { what, cause }
    }
}
