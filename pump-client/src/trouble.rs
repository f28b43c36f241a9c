//! What may go wrong on the way to a remote result, and the one table that says what to do about it.

use crate::connection::ConnectionError;
use crate::host_list::HostsError;
use crate::output::OutputError;
use protocol::error::WireError;
use protocol::exit_code::ExitCode;
use protocol::wait_status::WaitStatus;

/// Why there is no remote result.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No list of hosts.
    #[error(transparent)]
    NoHosts(#[from] HostsError),
    /// A list, but no host that may be used now.
    #[error("all hosts are down or failed within the last seconds (DISTCC_BACKOFF_PERIOD)")]
    NoUsableHost,
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The server closed without a byte.
    #[error(
        "server provided no answer. Is the server configured to allow access from your IP address? Does the server \
         have the compiler installed? Is the server configured to access the compiler?"
    )]
    NoAnswer,
    /// The server's bytes are no reply.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// This machine could not do its part.
    #[error("{doing}: {error}")]
    Here {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        error: std::io::Error,
    },
    /// The source cannot be read.
    #[error("the preprocessor cannot be run: {0}")]
    Launch(#[from] crate::compiler::LaunchError),
    /// The result cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The server's compile failed, and this machine might do better.
    #[error("{reason}")]
    RemoteFailure {
        /// Why it might.
        reason: String,
        /// How the server's compiler ended.
        status: WaitStatus,
    },
    /// The server does not do the job, and said why.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The include server did not give what it had promised.
    #[error(transparent)]
    IncludeServer(#[from] crate::include_client::IncludeServerError),
    /// The compiler succeeded but its object is empty.
    #[error("the server sent an empty result")]
    EmptyResult,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try another host.
    AnotherHost,
    /// Compile here.
    Local,
}

/// The reaction to one kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// The host is to blame: it is left alone for a while, by everybody.
    pub dislike: bool,
    /// What to do next.
    pub next: Next,
    /// The exit code when `DISTCC_FALLBACK=0` forbids going on.
    pub exit_code: u8,
}

impl Trouble {
    /// The table.
    #[must_use]
    pub fn reaction(&self) -> Reaction {
        let (dislike, next, exit_code) = match self {
            Self::NoHosts(error) => (false, Next::Local, error.exit_code().code()),
            Self::NoUsableHost => (false, Next::Local, ExitCode::NoHosts.code()),
            // Stock ends with "no hosts" when the last host could not be used.
            Self::Connection(_) | Self::NoAnswer => {
                (true, Next::AnotherHost, ExitCode::NoHosts.code())
            }
            Self::Wire(WireError::Truncated { .. }) => {
                (true, Next::AnotherHost, ExitCode::NoHosts.code())
            }
            Self::Wire(_) => (true, Next::AnotherHost, ExitCode::NoHosts.code()),
            Self::Refused(_) => (false, Next::AnotherHost, ExitCode::NoHosts.code()),
            Self::IncludeServer(_) => (false, Next::Local, ExitCode::IoError.code()),
            Self::Here { .. } => (false, Next::Local, ExitCode::IoError.code()),
            Self::Launch(error) => (false, Next::Local, error.exit_code()),
            Self::Output(_) => (false, Next::Local, ExitCode::IoError.code()),
            Self::RemoteFailure { status, .. } => (false, Next::Local, status.shell_code()),
            Self::EmptyResult => (false, Next::Local, ExitCode::DistccFailed.code()),
        };
        Reaction {
            dislike,
            next,
            exit_code,
        }
    }
}
