//! The two sockets: stock's dialogue on the one that was asked for, the richer one beside it.
//!
//! Owns the sockets' files. A client may be silent, slow, gone or hostile: it costs one small task, is given up after a
//! time, and never reaches another client. Scans run on threads of their own, no more at once than there are cores.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::include_dialogue::{
    Dialogue, Query, QueryDecoder, encode_stock_answer, rich_socket_path,
};
use protocol::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::answer::Answerer;

/// How long a client may take for its whole query, and for taking its whole answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections served at once; more wait in the sockets' backlogs.
const CONNECTIONS: usize = 512;

/// A query's words together; Linux itself stops at about 2 MiB of arguments and environment.
const QUERY_BYTES: u64 = 16 << 20;

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Another include server answers there.
    #[error("another include server is listening on {}", path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket has that name.
    #[error("{} exists and is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("cannot listen on {}: {source}", path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Threads cannot be started.
    #[error("cannot start the service: {0}")]
    Runtime(io::Error),
}

/// Both sockets, listening.
pub struct Sockets {
    stock: Listener,
    rich: Listener,
}

struct Listener {
    socket: StdListener,
    path: PathBuf,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may be gone with its directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Sockets {
    /// Makes the sockets, readable by their owner only. A socket file that nobody listens on is replaced.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub fn bind(path: &Path) -> Result<Self, ServiceError> {
        let rich = rich_socket_path(path.as_os_str().as_bytes());
        let rich = PathBuf::from(std::ffi::OsStr::from_bytes(&rich));
        Ok(Self {
            rich: Listener::bind(rich)?,
            stock: Listener::bind(path.to_owned())?,
        })
    }
}

impl Listener {
    fn bind(path: PathBuf) -> Result<Self, ServiceError> {
        let failed = |source| ServiceError::Bind {
            path: path.clone(),
            source,
        };
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(ServiceError::NotASocket { path });
            }
            Ok(_) if StdStream::connect(&path).is_ok() => {
                return Err(ServiceError::Taken { path });
            }
            Ok(_) => std::fs::remove_file(&path).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // No other thread exists yet, so nobody else's files get this mask.
        let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let socket = StdListener::bind(&path);
        rustix::process::umask(mask);
        let socket = socket.map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self { socket, path })
    }
}

/// Serves until `stop` is ready; then the sockets' files are gone and unfinished answers are given up.
///
/// # Errors
/// [`ServiceError::Runtime`].
pub fn serve<S, F>(sockets: Sockets, answerer: Arc<Answerer>, stop: S) -> Result<(), ServiceError>
where
    S: FnOnce() -> io::Result<F>,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Includes nest 200 deep and macros deeper.
        .thread_stack_size(16 << 20)
        .build()
        .map_err(ServiceError::Runtime)?;
    let result = runtime.block_on(async {
        let stock = UnixListener::from_std(sockets.stock.socket.try_clone()?)?;
        let rich = UnixListener::from_std(sockets.rich.socket.try_clone()?)?;
        let service = Arc::new(Service {
            answerer: Arc::clone(&answerer),
            scans: Semaphore::new(cores()),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        });
        let stop = stop()?;
        tokio::select! {
            () = service.accept(stock, Dialogue::Stock) => {}
            () = service.accept(rich, Dialogue::Rich) => {}
            () = stop => {}
        }
        Ok(())
    });
    drop(sockets);
    runtime.shutdown_timeout(Duration::from_secs(1));
    answerer.clean_up();
    result.map_err(ServiceError::Runtime)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

struct Service {
    answerer: Arc<Answerer>,
    scans: Semaphore,
    connections: Arc<Semaphore>,
}

impl Service {
    /// Accepts for ever.
    async fn accept(self: &Arc<Self>, listener: UnixListener, dialogue: Dialogue) {
        loop {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let service = Arc::clone(self);
                    tokio::spawn(async move {
                        if let Err(error) = service.converse(stream, dialogue).await {
                            tracing::debug!("a client was given up: {error}");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: some will be free again soon.
                    tracing::warn!("cannot accept a client: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn converse(&self, mut stream: UnixStream, dialogue: Dialogue) -> io::Result<()> {
        let query = tokio::time::timeout(PATIENCE, read_query(&mut stream, dialogue)).await??;
        let answer = self.answer(query, dialogue).await?;
        tokio::time::timeout(PATIENCE, async {
            stream.write_all(&answer).await?;
            stream.shutdown().await
        })
        .await?
    }

    async fn answer(&self, query: Query, dialogue: Dialogue) -> io::Result<Vec<u8>> {
        let closed = |_| io::Error::other("the service is ending");
        let _permit = self.scans.acquire().await.map_err(closed)?;
        let answerer = Arc::clone(&self.answerer);
        tokio::task::spawn_blocking(move || match dialogue {
            Dialogue::Stock => encode_stock_answer(&answerer.stock(&query)),
            Dialogue::Rich => answerer.rich(&query).encode(),
        })
        .await
        .map_err(io::Error::other)
    }
}

/// Reads one query. An error is the client's doing: it is told nothing.
async fn read_query(stream: &mut UnixStream, dialogue: Dialogue) -> io::Result<Query> {
    let limits = Limits {
        message_bytes: QUERY_BYTES,
        ..Limits::DEFAULT
    };
    let mut decoder = QueryDecoder::new(dialogue, limits);
    let mut buffer = vec![0; 16 << 10];
    while !decoder.is_complete() {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        decoder.feed(&buffer[..count]).map_err(io::Error::other)?;
    }
    decoder.finish().map_err(io::Error::other)
}
