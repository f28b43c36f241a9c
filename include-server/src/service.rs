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

use protocol::bundle::need::Need;
use protocol::bundle::{Frame, FrameDecoder, put_frame};
use protocol::include_dialogue::{
    Answer, Dialogue, Query, QueryDecoder, RichVersion, encode_stock_answer, rich_socket_path,
};
use protocol::limits::Limits;
use protocol::token::{Tag, put_token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::answer::{Answerer, Doubt, one_line};

/// How long a client may take for its whole query, and for taking its whole answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client that has a manifest may wait for what its server says.
const PATIENCE_WITH_SERVERS: Duration = Duration::from_secs(300);

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

    async fn converse(&self, stream: UnixStream, dialogue: Dialogue) -> io::Result<()> {
        let mut wire = Wire::new(stream);
        let (query, version) = wire.read_query(dialogue).await?;
        match version {
            Some(RichVersion::Manifest) => self.offer(&mut wire, Arc::new(query)).await?,
            _ => {
                let answer = self.answer(query, dialogue).await?;
                wire.write(&answer).await?;
            }
        }
        tokio::time::timeout(PATIENCE, wire.stream.shutdown()).await?
    }

    async fn answer(&self, query: Query, dialogue: Dialogue) -> io::Result<Vec<u8>> {
        self.work(move |answerer| match dialogue {
            Dialogue::Stock => encode_stock_answer(&answerer.stock(&query)),
            Dialogue::Rich => answerer.rich(&query).encode(),
        })
        .await
    }

    /// The richer dialogue's second version: a manifest, and then whatever the client's server lacks.
    async fn offer(&self, wire: &mut Wire, query: Arc<Query>) -> io::Result<()> {
        let asked = Arc::clone(&query);
        let offered = self.work(move |answerer| answerer.offer(&asked)).await?;
        let offered = match offered {
            Ok(offered) => Arc::new(offered),
            Err(doubt) => return wire.write(&doubted(&doubt)).await,
        };
        let mut message = Vec::with_capacity(offered.body.len() + 16);
        put_frame(&mut message, Tag::MANI, &offered.body);
        wire.write(&message).await?;
        while let Some(frame) = wire.read_frame().await? {
            if frame.tag == Tag::SECT {
                let query = Query::clone(&query);
                let section = self.answer(query, Dialogue::Rich).await?;
                wire.write(&section).await?;
                continue;
            }
            let need = Need::decode(&frame.body, &Limits::DEFAULT).map_err(io::Error::other)?;
            let codec = need.codecs.best();
            let of_job = Arc::clone(&offered);
            let parcels = self.work(move |_| of_job.parcels(&need)).await?;
            match parcels {
                Ok(parcels) => {
                    for parcel in parcels {
                        let put = move |_: &Answerer| {
                            let mut message = Vec::new();
                            parcel.put(&mut message, codec);
                            message
                        };
                        let message = self.work(put).await?;
                        wire.write(&message).await?;
                    }
                    let mut end = Vec::new();
                    put_token(&mut end, Tag::HAVE, 0);
                    wire.write(&end).await?;
                }
                Err(error) => wire.write(&doubted(&error.into())).await?,
            }
        }
        Ok(())
    }

    /// Runs something that takes a processor, when there is one.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Answerer) -> T + Send + 'static,
    ) -> io::Result<T> {
        let closed = |_| io::Error::other("the service is ending");
        let _permit = self.scans.acquire().await.map_err(closed)?;
        let answerer = Arc::clone(&self.answerer);
        tokio::task::spawn_blocking(move || work(&answerer))
            .await
            .map_err(io::Error::other)
    }
}

fn doubted(doubt: &Doubt) -> Vec<u8> {
    Answer::Doubt(one_line(doubt)).encode()
}

/// A client's connection, and what has come from it and is not used yet.
struct Wire {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// The part of the buffer that is not used.
    unused: std::ops::Range<usize>,
}

impl Wire {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            buffer: vec![0; 16 << 10],
            unused: 0..0,
        }
    }

    /// Takes one query. An error is the client's doing: it is told nothing.
    async fn read_query(&mut self, dialogue: Dialogue) -> io::Result<(Query, Option<RichVersion>)> {
        let limits = Limits {
            message_bytes: QUERY_BYTES,
            ..Limits::DEFAULT
        };
        let mut decoder = QueryDecoder::new(dialogue, limits);
        let reading = async {
            while !decoder.is_complete() && self.fill().await? {
                let used = decoder.feed(&self.buffer[self.unused.clone()]);
                self.unused.start += used.map_err(io::Error::other)?;
            }
            io::Result::Ok(())
        };
        tokio::time::timeout(PATIENCE, reading).await??;
        let version = decoder.version();
        Ok((decoder.finish().map_err(io::Error::other)?, version))
    }

    /// Takes what a client may say when it has a manifest; `None` when it says nothing more.
    async fn read_frame(&mut self) -> io::Result<Option<Frame>> {
        // A server may keep a client waiting before it says what it lacks.
        if !tokio::time::timeout(PATIENCE_WITH_SERVERS, self.fill()).await?? {
            return Ok(None);
        }
        let limits = Limits {
            // There is none behind SECT.
            body_bytes: 0,
            message_bytes: QUERY_BYTES,
            ..Limits::DEFAULT
        };
        let mut decoder = FrameDecoder::new(&[Tag::NEED, Tag::SECT], limits);
        let reading = async {
            while !decoder.is_complete() && self.fill().await? {
                let used = decoder.feed(&self.buffer[self.unused.clone()]);
                self.unused.start += used.map_err(io::Error::other)?;
            }
            io::Result::Ok(())
        };
        tokio::time::timeout(PATIENCE, reading).await??;
        decoder.finish().map_err(io::Error::other).map(Some)
    }

    /// Waits until there is something that is not used; false at the end.
    async fn fill(&mut self) -> io::Result<bool> {
        if self.unused.is_empty() {
            self.unused = 0..self.stream.read(&mut self.buffer).await?;
        }
        Ok(!self.unused.is_empty())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        tokio::time::timeout(PATIENCE, self.stream.write_all(bytes)).await?
    }
}
