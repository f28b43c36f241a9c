//! One job from request to reply. Owns the order of the steps; the steps are the modules below.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::exit_code::ExitCode;
use protocol::reply::Reply;
use protocol::request::Request;
use protocol::wait_status::WaitStatus;

use crate::collect::collect;
use crate::command::CommandError;
use crate::compile::{self, End};
use crate::prepare::{Start, prepare};
use crate::tree::TreeError;
use crate::workshop::Workshop;

/// How a compile ended, as the statistics count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileOutcome {
    /// The compiler ended with exit code 0.
    Ok,
    /// It ended otherwise; the status is in the reply.
    Error,
    /// It ran longer than the job lifetime and was killed; the reply says exit code 118, as stock's.
    TimedOut,
    /// The client went away and the compiler was killed; nobody is there to read the reply.
    Disconnected,
}

/// What a job used of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode, of the compiler and its children.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// The largest resident set of any of its processes, in KiB.
    pub max_rss_kib: u64,
}

/// A job that came to its end.
#[derive(Debug)]
pub struct Finished {
    /// What to send.
    pub reply: Reply,
    /// The view the job had: `namespace` or `rewrite`.
    pub view: &'static str,
    /// From the start of the job to its end.
    pub wall: Duration,
    /// What the compiler used.
    pub usage: Usage,
    /// How it ended.
    pub outcome: CompileOutcome,
    /// The source's name without its directories, for the log.
    pub source: Vec<u8>,
}

/// Why a job was refused or could not be done. No reply is sent: the connection is closed, as stock does, and the
/// client compiles elsewhere or at home.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The files that the client sent cannot be laid out.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The command line is not one that a server can run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The preprocessed source cannot be unpacked.
    #[error("the client's source: {0}")]
    Source(protocol::error::WireError),
    /// The output would replace a file that the client sent.
    #[error("the output {0} is one of the client's own files")]
    OverwritesInput(String),
    /// The namespace view was required and this job cannot have it.
    #[error("the namespace view was required: {0}")]
    NoView(String),
    /// The compiler read something that the client did not send, so the result may be wrong.
    #[error("the compiler read {0}, which the client did not send; result discarded")]
    UnexpectedFile(String),
    /// The object holds a path of this machine, so it is not what the client would have made.
    #[error("the object holds this server's temporary path; result discarded")]
    ServerPath,
    /// The compiler said that all went well and wrote no such file.
    #[error("the compiler succeeded but wrote no {0}")]
    MissingOutput(String),
    /// The compiler's process could not be started, through no fault of the compiler.
    #[error("cannot start a compiler: {0}")]
    Start(String),
    /// This machine refused something, for example because a disk is full.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl JobError {
    /// Whether the request is to blame, and not this machine.
    #[must_use]
    pub fn is_bad_request(&self) -> bool {
        match self {
            Self::Tree(error) => error.is_bad_request(),
            Self::Command(_) | Self::Source(_) | Self::OverwritesInput(_) => true,
            _ => false,
        }
    }
}

pub(crate) fn io_at(what: &'static str) -> impl FnOnce(io::Error) -> JobError {
    move |source| JobError::Io { what, source }
}

impl Workshop {
    /// Runs one job to its end. `compiler` is the absolute path of the program that the whitelist allowed;
    /// `request.argv[0]` stays as the client gave it. When `cancelled` becomes ready, the client is gone: the compile
    /// is killed and the job ends as [`CompileOutcome::Disconnected`].
    ///
    /// Dropping the future kills the compile, too. In every case nothing of the job is left when it has ended.
    ///
    /// # Errors
    /// See [`JobError`]; nothing is to be sent then.
    pub async fn run(
        &self,
        request: Request,
        compiler: &Path,
        cancelled: impl Future,
    ) -> Result<Finished, JobError> {
        let started = Instant::now();
        let shared = Arc::clone(&self.shared);
        let compiler = compiler.to_owned();
        let (run, start) = blocking(move || prepare(&shared, &request, &compiler)).await?;
        let (end, usage) = match start {
            Start::Running(child) => {
                compile::watch(child, self.shared.settings.job_lifetime, cancelled)
                    .await
                    .map_err(io_at("waiting for the compiler"))?
            }
            Start::NoCompiler => (
                End::Exited(WaitStatus::exited(ExitCode::CompilerMissing.code())),
                Usage::default(),
            ),
        };
        let outcome = match end {
            End::Exited(status) if status.success() => CompileOutcome::Ok,
            End::Exited(_) => CompileOutcome::Error,
            End::TimedOut => CompileOutcome::TimedOut,
            End::Disconnected => CompileOutcome::Disconnected,
        };
        let status = match end {
            End::Exited(status) => status,
            End::TimedOut => WaitStatus::exited(ExitCode::Timeout.code()),
            End::Disconnected => WaitStatus::exited(ExitCode::Gone.code()),
        };
        let view = run.view.name();
        let source = run.source.clone();
        let output_bytes = self.shared.settings.limits.output_bytes;
        let reply = blocking(move || collect(run, status, output_bytes)).await?;
        Ok(Finished {
            reply,
            view,
            wall: started.elapsed(),
            usage,
            outcome,
            source,
        })
    }
}

/// Runs what waits for the file system on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(JobError::Io {
            what: "running the job",
            source: io::Error::other(error),
        }),
    }
}
