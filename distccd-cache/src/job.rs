//! One job from request to reply. Owns the order of the steps; the steps are the modules below.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::bundle::digest::Digest;
use protocol::exit_code::ExitCode;
use protocol::reply::Reply;
use protocol::request::Request;
use protocol::wait_status::WaitStatus;

use crate::collect::collect;
use crate::compile::{self, End, Watched};
use crate::prepare::{Run, Start, prepare};
use crate::prepare_bundle::prepare_bundle;
use crate::refusal::io_at;
use crate::view::View;
use crate::workshop::Workshop;

pub use crate::child::Usage;
pub use crate::prepare_bundle::BundleJob;
pub use crate::refusal::JobError;

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

/// A job that came to its end.
#[derive(Debug)]
pub struct Finished {
    /// What to send.
    pub reply: Reply,
    /// What a bundle job's compiler wrote besides object and dependency file: its path at the client, links resolved, and its bytes.
    pub side: Vec<(Vec<u8>, Vec<u8>)>,
    /// Files of this server's that a job of stock's protocols is known to have read.
    pub own_reads: Vec<Vec<u8>>,
    /// Whether a bundle job saw files of this server's beside the client's.
    pub is_merged: bool,
    /// The view the job had: `namespace` or `rewrite`.
    pub view: &'static str,
    /// From the start of the job to its end.
    pub wall: Duration,
    /// What the compiler used.
    pub usage: Usage,
    /// How it ended.
    pub outcome: CompileOutcome,
    /// A limit of the server's that it came up against, for a person; only of a compile that failed.
    pub exceeded: Option<String>,
    /// The source's name without its directories, for the log.
    pub source: Vec<u8>,
}

impl Finished {
    /// Whether the result can be kept, as far as the run of the compiler decides.
    ///
    /// # Errors
    /// Why not, in a line.
    pub(crate) fn is_fit_to_keep(&self, workshop: &Workshop) -> Result<(), String> {
        if self.outcome != CompileOutcome::Ok {
            return Err("the compile failed".to_owned());
        }
        if self.is_merged {
            return Err("the job saw files of this server's beside the client's".to_owned());
        }
        // In its name stands the view that jobs have.
        match (self.view == View::Namespace.name()) == workshop.shows_own_paths() {
            true => Ok(()),
            false => Err("the job could not have the view that others have".to_owned()),
        }
    }
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
        request: impl Into<Arc<Request>>,
        compiler: &Path,
        cancelled: impl Future,
    ) -> Result<Finished, JobError> {
        let started = Instant::now();
        let request = request.into();
        let shared = Arc::clone(&self.shared);
        let compiler = compiler.to_owned();
        let prepared = blocking(move || prepare(&shared, &request, &compiler)).await?;
        self.finish(started, prepared, cancelled).await
    }

    /// Runs one job whose files are named by digest, as [`Workshop::run`] does. `content` gives the verified bytes of a digest, or `None` when they are no
    /// longer known.
    ///
    /// # Errors
    /// See [`JobError`]. After [`JobError::Vanished`] the job may be tried again when the client has sent those blobs.
    pub async fn run_bundle(
        &self,
        job: BundleJob,
        compiler: &Path,
        content: impl Fn(&Digest) -> io::Result<Option<Vec<u8>>> + Send + 'static,
        cancelled: impl Future,
    ) -> Result<Finished, JobError> {
        let made = move || (job, ());
        let finished = self.run_made(made, compiler, content, cancelled).await?;
        Ok(finished.0)
    }

    /// [`Workshop::run_bundle`] for a job that is made where that may wait, with something else that is given back.
    pub(crate) async fn run_made<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> (BundleJob, T) + Send + 'static,
        compiler: &Path,
        content: impl Fn(&Digest) -> io::Result<Option<Vec<u8>>> + Send + 'static,
        cancelled: impl Future,
    ) -> Result<(Finished, T), JobError> {
        let started = Instant::now();
        let shared = Arc::clone(&self.shared);
        let compiler = compiler.to_owned();
        let prepare = move || {
            let (job, with) = make();
            let prepared = prepare_bundle(&shared, &job, &compiler, &content)?;
            Ok((prepared, with))
        };
        let (prepared, with) = blocking(prepare).await?;
        Ok((self.finish(started, prepared, cancelled).await?, with))
    }

    /// Waits for a compiler and reads what it left.
    async fn finish(
        &self,
        started: Instant,
        (start, run): (Start, Run),
        cancelled: impl Future,
    ) -> Result<Finished, JobError> {
        let lifetime = self.shared.settings.job_lifetime;
        let watched = match start {
            Start::Running(child) => {
                let watched = compile::watch(child, lifetime, cancelled).await;
                Some(watched.map_err(io_at("waiting for the compiler"))?)
            }
            Start::NoCompiler => None,
        };
        let view = run.view.name();
        let (source, is_merged) = (run.source.clone(), run.is_merged);
        let output_bytes = self.shared.settings.limits.output_bytes;
        let shared = Arc::clone(&self.shared);
        let (end, usage, exceeded, collected) = blocking(move || {
            let no_compiler = End::Exited(WaitStatus::exited(ExitCode::CompilerMissing.code()));
            let no_run = (no_compiler, Usage::default(), None);
            let (end, usage, exceeded) = watched.map_or(no_run, Watched::end);
            let status = match end {
                End::Exited(status) => status,
                End::TimedOut => WaitStatus::exited(ExitCode::Timeout.code()),
                End::Disconnected => WaitStatus::exited(ExitCode::Gone.code()),
            };
            let exceeded = exceeded.map(|what| shared.sandbox.explain(what));
            let mut collected = collect(run, status, output_bytes)?;
            if let Some(text) = &exceeded {
                let line = format!("distccd: {text}\n");
                collected.reply.stderr.extend_from_slice(line.as_bytes());
            }
            Ok((end, usage, exceeded, collected))
        })
        .await?;
        let outcome = match end {
            End::Exited(status) if status.success() => CompileOutcome::Ok,
            End::Exited(_) => CompileOutcome::Error,
            End::TimedOut => CompileOutcome::TimedOut,
            End::Disconnected => CompileOutcome::Disconnected,
        };
        Ok(Finished {
            reply: collected.reply,
            side: collected.side,
            own_reads: collected.own_reads,
            is_merged,
            view,
            wall: started.elapsed(),
            usage,
            outcome,
            exceeded,
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
