//! How serving a client ends: with a reply, or for one of these reasons. Owns the table of what each means.

use protocol::bundle::refusal::{Refusal, RefusalKind};
use protocol::command_line::ServerRefusal;
use protocol::error::WireError;
use protocol::exit_code::ExitCode;
use protocol::wait_status::WaitStatus;

use crate::admission::TurnedBack;
use crate::job::{CompileOutcome, JobError};
use crate::log::critical;
use crate::peer::Peer;
use crate::receive::ReceiveError;
use crate::statistics::Ending;
use crate::whitelist::CompilerRefusal;

/// Why a connection was closed without a reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error(transparent)]
    Compiler(#[from] CompilerRefusal),
    #[error("refused: {0}")]
    Arguments(ServerRefusal),
    /// Told to a client in the bundle dialect.
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("the client left; its job is dropped")]
    ClientLeft,
    /// Told to a client in the bundle dialect, in these words: its summary adds them up.
    #[error("{0}")]
    TurnedBack(TurnedBack),
    #[error("stopping; the job is handed back")]
    Stopping,
    #[error("compressing the reply failed: {0}")]
    Reply(tokio::task::JoinError),
}

impl Failure {
    /// How the connection is counted, and the number that stock logs as `ret`.
    pub(crate) fn reaction(&self) -> (Ending, ExitCode) {
        match self {
            Self::Receive(
                ReceiveError::Nothing | ReceiveError::Wire(WireError::Truncated { .. }),
            ) => (Ending::Other, ExitCode::Truncated),
            Self::Receive(ReceiveError::Wire(_)) => (Ending::BadRequest, ExitCode::ProtocolError),
            Self::Receive(ReceiveError::Io(_)) => (Ending::Other, ExitCode::IoError),
            Self::Receive(ReceiveError::TooSlow { .. }) => (Ending::Other, ExitCode::Timeout),
            Self::Receive(ReceiveError::NoMemory(_)) => (Ending::Overload, ExitCode::Busy),
            Self::Refused(refusal) if refusal.kind == RefusalKind::Broken => {
                (Ending::BadRequest, ExitCode::ProtocolError)
            }
            Self::Compiler(_) | Self::Arguments(_) | Self::Refused(_) => {
                (Ending::Other, ExitCode::DistccFailed)
            }
            Self::Job(_) | Self::Reply(_) => (Ending::Other, ExitCode::IoError),
            Self::ClientLeft => (Ending::ClientDisconnected, ExitCode::IoError),
            Self::TurnedBack(_) => (Ending::Overload, ExitCode::Busy),
            Self::Stopping => (Ending::Other, ExitCode::Gone),
        }
    }

    /// Says it, as loud as it matters.
    pub(crate) fn log(&self, peer: &Peer) {
        match self {
            Self::Receive(ReceiveError::Nothing) | Self::ClientLeft | Self::Stopping => {
                tracing::info!("{peer}: {self}");
            }
            Self::Compiler(_) | Self::Arguments(_) => critical!("{peer}: {self}"),
            _ => tracing::error!("{peer}: {self}"),
        }
    }
}

impl From<TurnedBack> for Failure {
    fn from(turned: TurnedBack) -> Self {
        match turned {
            TurnedBack::Closing => Self::Stopping,
            TurnedBack::Full | TurnedBack::TooLong => Self::TurnedBack(turned),
        }
    }
}

/// A job that came to an end of its own.
pub(crate) struct Done {
    pub(crate) ending: Ending,
    pub(crate) status: WaitStatus,
    pub(crate) compiler: String,
    pub(crate) source: String,
    pub(crate) cache: Cached,
}

/// What the result cache had to do with a job.
#[derive(Debug)]
pub(crate) enum Cached {
    /// The result of an earlier compile was given.
    Hit,
    /// There was none, and why; this one is kept.
    Kept(String),
    /// This one is not kept, and why.
    Not(String),
    /// Nobody asked: no job came to be one, or there is no store.
    Unasked,
}

impl std::fmt::Display for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hit => f.write_str("hit"),
            Self::Kept(reason) => write!(f, "miss ({reason})"),
            Self::Not(reason) => write!(f, "not kept ({reason})"),
            Self::Unasked => f.write_str("no cache"),
        }
    }
}

/// How a compile that came to its end is counted. One whose client is gone has nobody to reply to.
pub(crate) fn ending_of(outcome: CompileOutcome, is_stopping: bool) -> Result<Ending, Failure> {
    match outcome {
        CompileOutcome::Ok => Ok(Ending::CompileOk),
        CompileOutcome::Error => Ok(Ending::CompileError),
        CompileOutcome::TimedOut => Ok(Ending::CompileTimeout),
        CompileOutcome::Disconnected if is_stopping => Err(Failure::Stopping),
        CompileOutcome::Disconnected => Err(Failure::ClientLeft),
    }
}
