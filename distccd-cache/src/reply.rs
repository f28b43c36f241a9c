//! Writing a reply to a client, within limits of time. Owns no state.

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant as Clock, timeout_at};

use crate::failure::Failure;
use crate::house::House;
use crate::job::Finished;
use crate::log::shown;
use crate::peer::Peer;
use crate::receive;
use crate::roster::Phase;

/// Bytes written at a time, each within the time that the peer may be silent.
const WRITE_BYTES: usize = 256 * 1024;

/// Does what takes long enough to keep it off the threads that serve connections: compressing, reading the disk.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Failure::Reply)
}

/// Writes a reply. A client that leaves meanwhile has what it wanted, or is gone: no failure of the job's.
pub(crate) async fn send<W: AsyncWrite + Unpin>(
    house: &House,
    peer: &Peer,
    bytes: Vec<u8>,
    writer: &mut W,
) {
    house.roster.note(peer, Phase::Reply);
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
}

/// What a job cost, for the log; and the limit that it came up against.
pub(crate) fn log_cost(peer: &Peer, finished: &Finished) {
    if let Some(text) = &finished.exceeded {
        tracing::warn!("{peer}: {}: {text}", shown(&finished.source));
    }
    tracing::debug!(
        "{peer}: view {}, wall {} ms, user {} ms, system {} ms, {} KiB",
        finished.view,
        finished.wall.as_millis(),
        finished.usage.user.as_millis(),
        finished.usage.system.as_millis(),
        finished.usage.max_rss_kib,
    );
}
