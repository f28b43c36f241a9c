//! One client, from its first byte to our last. Owns the order of the steps; every way it can end is one [`Failure`] or
//! a reply, and is counted and logged in one place.

use std::time::{Duration, Instant};

use protocol::command_line::ServerRefusal;
use protocol::error::WireError;
use protocol::exit_code::ExitCode;
use protocol::reply::Reply;
use protocol::request::Request;
use protocol::wait_status::WaitStatus;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant as Clock, timeout_at};

use crate::arguments;
use crate::house::House;
use crate::job::{CompileOutcome, JobError};
use crate::log::{critical, notice};
use crate::receive::{self, ReceiveError};
use crate::statistics::Ending;
use crate::whitelist::CompilerRefusal;

/// Bytes written at a time, each within the time that the peer may be silent.
const WRITE_BYTES: usize = 256 * 1024;

/// Why a connection was closed without a reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error(transparent)]
    Compiler(#[from] CompilerRefusal),
    #[error("refused: {0}")]
    Arguments(ServerRefusal),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("the client left; its job is dropped")]
    ClientLeft,
    #[error("the daemon is stopping; the job is dropped")]
    Stopping,
    #[error("compressing the reply failed: {0}")]
    Reply(tokio::task::JoinError),
}

impl Failure {
    /// How the connection is counted, and the number that stock logs as `ret`.
    fn reaction(&self) -> (Ending, ExitCode) {
        match self {
            Self::Receive(
                ReceiveError::Nothing | ReceiveError::Wire(WireError::Truncated { .. }),
            ) => (Ending::Other, ExitCode::Truncated),
            Self::Receive(ReceiveError::Wire(_)) => (Ending::BadRequest, ExitCode::ProtocolError),
            Self::Receive(ReceiveError::Io(_)) => (Ending::Other, ExitCode::IoError),
            Self::Receive(ReceiveError::TooSlow { .. }) => (Ending::Other, ExitCode::Timeout),
            Self::Receive(ReceiveError::NoMemory(_)) => (Ending::Overload, ExitCode::Busy),
            Self::Compiler(_) | Self::Arguments(_) => (Ending::Other, ExitCode::DistccFailed),
            Self::Job(_) | Self::Reply(_) => (Ending::Other, ExitCode::IoError),
            Self::ClientLeft => (Ending::ClientDisconnected, ExitCode::IoError),
            Self::Stopping => (Ending::Other, ExitCode::Gone),
        }
    }

    /// Says it, as loud as it matters.
    fn log(&self, peer: &str) {
        match self {
            Self::Receive(ReceiveError::Nothing) | Self::ClientLeft | Self::Stopping => {
                tracing::info!("{peer}: {self}");
            }
            Self::Compiler(_) | Self::Arguments(_) => critical!("{peer}: {self}"),
            _ => tracing::error!("{peer}: {self}"),
        }
    }
}

/// A job that came to an end of its own.
struct Done {
    ending: Ending,
    status: WaitStatus,
    compiler: String,
    source: String,
}

/// Serves one client. Returns the exit code of a process that serves no other.
pub(crate) async fn serve<R, W>(house: &House, peer: &str, mut reader: R, mut writer: W) -> u8
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let started = Instant::now();
    let result = job(house, peer, &mut reader, &mut writer).await;
    let time = started.elapsed();
    let (done, code) = match result {
        Ok(done) => (done, 0),
        Err(failure) => {
            failure.log(peer);
            let (ending, code) = failure.reaction();
            let nothing = String::new;
            let status = WaitStatus::SUCCESS;
            (
                Done {
                    ending,
                    status,
                    compiler: nothing(),
                    source: nothing(),
                },
                code.code(),
            )
        }
    };
    finish(house, peer, &done, code, time);
    code
}

/// Counts and logs a connection that was turned away because there are too many.
pub(crate) fn turn_away(house: &House, peer: &str) {
    tracing::error!("{peer}: turned away: too many clients");
    let nothing = String::new;
    let done = Done {
        ending: Ending::Overload,
        status: WaitStatus::SUCCESS,
        compiler: nothing(),
        source: nothing(),
    };
    finish(house, peer, &done, ExitCode::Busy.code(), Duration::ZERO);
}

/// The one line per job, in stock's form.
fn finish(house: &House, peer: &str, done: &Done, code: u8, time: Duration) {
    let named = if done.ending.is_compile() {
        format!("{} {}", done.compiler, done.source)
    } else {
        String::new()
    };
    house
        .statistics
        .ended(done.ending, time, &done.compiler, &done.source);
    notice!(
        target: "dcc_job_summary",
        "client: {peer} {} exit:{} sig:{} core:{} ret:{code} time:{}ms {named}",
        done.ending.word(),
        done.status.exit_code(),
        done.status.signal().unwrap_or(0),
        u8::from(done.status.core_dumped()),
        time.as_millis(),
    );
}

async fn job<R, W>(
    house: &House,
    peer: &str,
    reader: &mut R,
    writer: &mut W,
) -> Result<Done, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let settings = &house.settings;
    let (request, _memory) = tokio::select! {
        received = receive::request(reader, settings.limits, &house.budget, settings.io_timeout) => received?,
        () = house.stopping() => return Err(Failure::Stopping),
    };
    tracing::debug!("{peer}: {}", shown_command(&request));
    let compiler_name = shown(&request.argv[0]);
    let compiler = match settings.whitelist.admit(&request.argv[0]) {
        Ok(compiler) => compiler,
        Err(refusal @ CompilerRefusal::NotInstalled(_)) => {
            tracing::error!("{peer}: {refusal}");
            let reply = not_installed(&request, &refusal);
            let status = reply.status;
            send(house, peer, reply, writer).await?;
            let source = String::new();
            return Ok(Done {
                ending: Ending::CompileError,
                status,
                compiler: compiler_name,
                source,
            });
        }
        Err(refusal) => return Err(refusal.into()),
    };
    if let Some(refusal) = arguments::refused(&request.argv, settings.sysroot.as_deref()) {
        return Err(Failure::Arguments(refusal));
    }

    let slot = tokio::select! {
        slot = house.slots.acquire() => slot,
        () = left(reader) => return Err(Failure::ClientLeft),
        () = house.stopping() => return Err(Failure::Stopping),
    };
    let cancelled = async {
        tokio::select! {
            () = left(reader) => {}
            () = house.stopping() => {}
        }
    };
    let finished = settings.workshop.run(request, &compiler, cancelled).await?;
    drop(slot);
    tracing::debug!(
        "{peer}: view {}, wall {} ms, user {} ms, system {} ms, {} KiB",
        finished.view,
        finished.wall.as_millis(),
        finished.usage.user.as_millis(),
        finished.usage.system.as_millis(),
        finished.usage.max_rss_kib,
    );
    let ending = match finished.outcome {
        CompileOutcome::Ok => Ending::CompileOk,
        CompileOutcome::Error => Ending::CompileError,
        CompileOutcome::TimedOut => Ending::CompileTimeout,
        CompileOutcome::Disconnected if house.is_stopping() => return Err(Failure::Stopping),
        CompileOutcome::Disconnected => return Err(Failure::ClientLeft),
    };
    let status = finished.reply.status;
    send(house, peer, finished.reply, writer).await?;
    Ok(Done {
        ending,
        status,
        compiler: compiler_name,
        source: shown(&finished.source),
    })
}

/// Ends when the client is gone. A client that has sent its request sends nothing more until it has the reply; one that
/// does has lost count and will understand no reply.
async fn left<R: AsyncRead + Unpin>(reader: &mut R) {
    let _ = reader.read(&mut [0]).await;
}

/// The reply to a client whose compiler is allowed here but not installed.
fn not_installed(request: &Request, refusal: &CompilerRefusal) -> Reply {
    Reply {
        version: request.version,
        status: WaitStatus::exited(ExitCode::CompilerMissing.code()),
        stderr: format!("distccd[{}] ERROR: {refusal}\n", std::process::id()).into_bytes(),
        stdout: Vec::new(),
        object: Vec::new(),
        dependencies: None,
    }
}

/// Writes a reply. A client that leaves meanwhile has what it wanted, or is gone: no failure of the job's.
async fn send<W: AsyncWrite + Unpin>(
    house: &House,
    peer: &str,
    reply: Reply,
    writer: &mut W,
) -> Result<(), Failure> {
    // Compressing a large object takes long enough to keep it off the threads that serve connections.
    let bytes = tokio::task::spawn_blocking(move || reply.encode())
        .await
        .map_err(Failure::Reply)?;
    let start = Clock::now();
    let io_timeout = house.settings.io_timeout;
    let latest = receive::deadline(start, io_timeout, bytes.len() as u64);
    let write = async {
        for chunk in bytes.chunks(WRITE_BYTES) {
            let chunk_latest = latest.min(Clock::now() + io_timeout);
            timeout_at(chunk_latest, writer.write_all(chunk)).await??;
        }
        timeout_at(latest, writer.flush()).await??;
        timeout_at(latest, writer.shutdown()).await??;
        Ok::<(), std::io::Error>(())
    };
    tokio::select! {
        written = write => {
            if let Err(error) = written {
                tracing::info!("{peer}: sending the reply ended early: {error}");
            }
        }
        () = house.stopping() => tracing::info!("{peer}: sending the reply ended early: stopping"),
    }
    Ok(())
}

/// Bytes for a person.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown_command(request: &Request) -> String {
    request
        .argv
        .iter()
        .map(|word| shown(word))
        .collect::<Vec<_>>()
        .join(" ")
}
