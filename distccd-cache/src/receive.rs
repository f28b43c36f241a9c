//! Reading one request from a connection, within limits of time and memory. Owns the request's share of the memory that
//! all waiting requests may use together.

use std::time::Duration;

use protocol::bundle::digest::Digest;
use protocol::error::WireError;
use protocol::limits::Limits;
use protocol::request::{Head, Request, RequestDecoder, RequestSkimmer};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes that one permit of the memory budget stands for.
const PERMIT_BYTES: u64 = 1024;

/// Permits that a connection takes at a time, so that it seldom has to.
const PERMITS_AT_A_TIME: u64 = 256;

/// Bytes read at a time.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;

/// Bytes of a request that are kept in one piece: what permits at a time are for.
const PIECE_BYTES: usize = 256 * 1024;

/// Bytes a second that a peer must reach on average after its first silence of `io_timeout`; far below a modem's, and
/// enough that nobody can hold a connection for ever with a byte now and then.
const SLOWEST_RATE: u64 = 4096;

/// The memory that all requests in the house may use together.
#[derive(Debug)]
pub(crate) struct Budget(Semaphore);

impl Budget {
    /// A budget of this many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Semaphore::new(
            usize::try_from(bytes / PERMIT_BYTES).unwrap_or(Semaphore::MAX_PERMITS),
        ))
    }

    /// Waits for memory, but not for ever.
    pub(crate) async fn hold(
        &self,
        bytes: u64,
        io_timeout: Duration,
    ) -> Result<SemaphorePermit<'_>, ReceiveError> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        match timeout(io_timeout, self.0.acquire_many(permits)).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed; a closed one would have no memory either.
            Ok(Err(_)) | Err(_) => Err(ReceiveError::NoMemory(io_timeout)),
        }
    }

    /// Adds to what is held until it is enough for so many bytes.
    pub(crate) async fn extend<'a>(
        &'a self,
        held: &mut SemaphorePermit<'a>,
        bytes: u64,
        io_timeout: Duration,
    ) -> Result<(), ReceiveError> {
        if bytes.div_ceil(PERMIT_BYTES) > held.num_permits() as u64 {
            held.merge(
                self.hold(PERMITS_AT_A_TIME * PERMIT_BYTES, io_timeout)
                    .await?,
            );
        }
        Ok(())
    }
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// The peer went away without a word: a port scan, or a monitor that looks whether we live.
    #[error("the client left before it sent anything")]
    Nothing,
    /// The peer broke the protocol, or stopped inside a message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The connection failed.
    #[error("reading the request failed: {0}")]
    Io(#[from] std::io::Error),
    /// The peer was silent for too long, or slower than [`SLOWEST_RATE`].
    #[error("the client sent {received} bytes of a request in {} s and was too slow", after.as_secs())]
    TooSlow {
        /// What had come.
        received: u64,
        /// How long it had taken.
        after: Duration,
    },
    /// All memory for requests is taken.
    #[error("no memory was free for the request within {} s: too many are waiting", .0.as_secs())]
    NoMemory(Duration),
}

/// The moment by which a transfer of `bytes` that began at `start` must be done.
pub(crate) fn deadline(start: Instant, io_timeout: Duration, bytes: u64) -> Instant {
    start + io_timeout + Duration::from_millis(bytes.saturating_mul(1000) / SLOWEST_RATE)
}

/// The first bytes that a client sends, at least as many as a tag has: they say which dialect it speaks.
pub(crate) async fn first_bytes<R: AsyncRead + Unpin>(
    reader: &mut R,
    io_timeout: Duration,
) -> Result<Vec<u8>, ReceiveError> {
    let start = Instant::now();
    let mut bytes = Vec::new();
    while bytes.len() < 4 {
        let received = bytes.len() as u64;
        if read_more(reader, &mut bytes, start, received, io_timeout).await? == 0 {
            return match received {
                0 => Err(ReceiveError::Nothing),
                _ => Err(WireError::Truncated {
                    expected: "a request",
                }
                .into()),
            };
        }
    }
    Ok(bytes)
}

/// Appends what comes next; the number of bytes, 0 at the end of the stream. `received` is what came since `start`.
pub(crate) async fn read_more<R: AsyncRead + Unpin>(
    reader: &mut R,
    bytes: &mut Vec<u8>,
    start: Instant,
    received: u64,
    io_timeout: Duration,
) -> Result<usize, ReceiveError> {
    bytes.reserve(BUFFER_BYTES);
    read_into(reader, bytes, start, received, io_timeout).await
}

/// The same, as much as there is room for without a larger allocation.
async fn read_into<R: AsyncRead + Unpin>(
    reader: &mut R,
    bytes: &mut Vec<u8>,
    start: Instant,
    received: u64,
    io_timeout: Duration,
) -> Result<usize, ReceiveError> {
    let latest = deadline(start, io_timeout, received).min(Instant::now() + io_timeout);
    match timeout_at(latest, reader.read_buf(bytes)).await {
        Err(_) => Err(ReceiveError::TooSlow {
            received,
            after: start.elapsed(),
        }),
        Ok(read) => Ok(read?),
    }
}

/// A request as it came. A job that was done before never needs its files.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Its bytes, in order.
    pieces: Vec<Vec<u8>>,
    limits: Limits,
}

impl Wire {
    /// The request. No more memory is in use meanwhile than for the larger of both and a piece.
    ///
    /// # Errors
    /// See [`WireError`].
    pub(crate) fn decode(self) -> Result<Request, WireError> {
        let mut decoder = RequestDecoder::new(self.limits);
        for piece in self.pieces {
            decoder.feed(&piece)?;
        }
        decoder.finish()
    }
}

/// A request that has come.
#[derive(Debug)]
pub(crate) struct Received<'budget> {
    pub(crate) head: Head,
    pub(crate) wire: Wire,
    /// Of all its bytes, in one go: several times as fast as file by file.
    pub(crate) digest: Digest,
    /// For its memory; to be kept as long as the request.
    pub(crate) memory: SemaphorePermit<'budget>,
}

/// Reads a request to its end, of which `bytes` came already.
pub(crate) async fn request<'budget, R: AsyncRead + Unpin>(
    reader: &mut R,
    first: Vec<u8>,
    limits: Limits,
    budget: &'budget Budget,
    io_timeout: Duration,
) -> Result<Received<'budget>, ReceiveError> {
    let start = Instant::now();
    let mut skimmer = RequestSkimmer::new(limits);
    let mut hasher = blake3::Hasher::new();
    let mut held = budget.hold(0, io_timeout).await?;
    let mut received = first.len() as u64;
    let mut pieces = vec![first];
    let mut new = 0;
    loop {
        if let Some(bytes) = pieces.last().map(|piece| &piece[new..]) {
            hasher.update(bytes);
            let used = skimmer.feed(bytes)?;
            if used < bytes.len() {
                return Err(WireError::TrailingBytes(bytes.len() - used).into());
            }
        }
        if skimmer.is_complete() {
            return Ok(Received {
                head: skimmer.finish()?,
                wire: Wire { pieces, limits },
                digest: Digest(*hasher.finalize().as_bytes()),
                memory: held,
            });
        }
        let mut piece = match pieces.pop() {
            Some(piece) if piece.len() < piece.capacity() => piece,
            full => {
                pieces.extend(full);
                Vec::with_capacity(PIECE_BYTES)
            }
        };
        new = piece.len();
        let wanted = received + (piece.capacity() - new) as u64;
        budget.extend(&mut held, wanted, io_timeout).await?;
        let count = read_into(reader, &mut piece, start, received, io_timeout).await?;
        pieces.push(piece);
        if count == 0 {
            return Err(match skimmer.finish() {
                Err(error) => error.into(),
                Ok(_) => WireError::Truncated {
                    expected: "a request",
                }
                .into(),
            });
        }
        received += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::request::Input;
    use protocol::version::Version;
    use tokio::io::AsyncWriteExt as _;

    const SECOND: Duration = Duration::from_secs(1);

    fn sample() -> Request {
        Request {
            version: Version::Plain1,
            cwd: None,
            argv: vec![b"gcc".to_vec(), b"-c".to_vec(), b"a.c".to_vec()],
            input: Input::Preprocessed(vec![b'x'; 200_000]),
        }
    }

    async fn receive(bytes: &[u8], budget: &Budget) -> Result<Request, ReceiveError> {
        let mut reader = bytes;
        let first = first_bytes(&mut reader, SECOND).await?;
        let received = request(&mut reader, first, Limits::DEFAULT, budget, SECOND).await?;
        let request = received.wire.decode()?;
        assert_eq!(request.argv, received.head.argv);
        Ok(request)
    }

    #[tokio::test]
    async fn a_whole_request_arrives_and_its_memory_comes_back() {
        let budget = Budget::new(1 << 20);
        let free = budget.0.available_permits();
        let bytes = sample().encode();
        assert_eq!(receive(&bytes, &budget).await.unwrap(), sample());
        assert_eq!(budget.0.available_permits(), free);
        let received = request(&mut &*bytes, Vec::new(), Limits::DEFAULT, &budget, SECOND)
            .await
            .unwrap();
        assert_eq!(received.digest, Digest::of(&bytes));
        assert!(received.memory.num_permits() as u64 * PERMIT_BYTES >= bytes.len() as u64);
    }

    #[tokio::test]
    async fn a_request_cut_anywhere_is_refused() {
        let budget = Budget::new(1 << 20);
        let bytes = sample().encode();
        assert!(matches!(
            receive(&[], &budget).await,
            Err(ReceiveError::Nothing)
        ));
        for end in (1..120).chain([bytes.len() - 1]) {
            let error = receive(&bytes[..end], &budget).await.unwrap_err();
            assert!(
                matches!(error, ReceiveError::Wire(WireError::Truncated { .. })),
                "{end}: {error}"
            );
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        let error = receive(&longer, &budget).await.unwrap_err();
        assert!(
            matches!(error, ReceiveError::Wire(WireError::TrailingBytes(1))),
            "{error}"
        );
        assert_eq!(
            budget.0.available_permits(),
            (1 << 20) / PERMIT_BYTES as usize
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_and_a_dripping_peer_are_given_up() {
        let budget = Budget::new(1 << 20);
        let (mut peer, mut ours) = tokio::io::duplex(64);
        let error = request(&mut ours, Vec::new(), Limits::DEFAULT, &budget, SECOND)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ReceiveError::TooSlow { received: 0, .. }),
            "{error}"
        );

        let drip = tokio::spawn(async move {
            for byte in sample().encode() {
                if peer.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(SECOND / 2).await;
            }
        });
        let error = request(&mut ours, Vec::new(), Limits::DEFAULT, &budget, SECOND)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                ReceiveError::TooSlow {
                    received: 1..10,
                    ..
                }
            ),
            "{error}"
        );
        drop(ours);
        drip.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_memory_but_not_for_ever() {
        let budget = Budget::new(300 * 1024);
        let bytes = sample().encode();
        let first = request(&mut &*bytes, Vec::new(), Limits::DEFAULT, &budget, SECOND)
            .await
            .unwrap();
        let error = receive(&bytes, &budget).await.unwrap_err();
        assert!(matches!(error, ReceiveError::NoMemory(_)), "{error}");
        drop(first);
        assert!(receive(&bytes, &budget).await.is_ok());
    }
}
