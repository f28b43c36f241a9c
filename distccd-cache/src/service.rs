//! The daemon at work: accepts clients and serves them side by side. Owns what all connections share: the slots, the
//! memory budget, the statistics and the word that it is time to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::limits::Limits;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::access::Access;
use crate::connection;
use crate::page;
use crate::receive::Budget;
use crate::statistics::Statistics;
use crate::whitelist::Whitelist;
use crate::workshop::Workshop;

/// Clients at a time, those included that wait for a slot. More are turned away.
pub const MAX_CONNECTIONS: usize = 1024;

/// Bytes that the requests of all clients may use together.
pub const REQUEST_MEMORY: u64 = 2 << 30;

/// How long jobs may take to be killed and cleaned up when the daemon stops.
const STOP_TIME: Duration = Duration::from_secs(10);

/// What a [`Service`] is made from.
#[derive(Debug)]
pub struct ServiceSettings {
    /// Where jobs run.
    pub workshop: Workshop,
    /// Which compilers clients may name.
    pub whitelist: Whitelist,
    /// Which clients are served.
    pub access: Access,
    /// Compiles at a time.
    pub jobs: usize,
    /// How long a peer may be silent.
    pub io_timeout: Duration,
    /// Where the owner's `-specs` files are.
    pub sysroot: Option<PathBuf>,
    /// Where jobs live; the statistics page says how much room is left there.
    pub temp_dir: PathBuf,
    /// Caps on a request.
    pub limits: Limits,
}

/// What all connections share.
#[derive(Debug)]
pub struct Service {
    pub(crate) settings: ServiceSettings,
    /// One permit per compile that may run.
    pub(crate) slots: Semaphore,
    pub(crate) budget: Budget,
    pub(crate) statistics: Statistics,
    /// One permit per connection.
    doors: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

impl Service {
    /// A service that has no client yet.
    #[must_use]
    pub fn new(settings: ServiceSettings) -> Arc<Self> {
        Arc::new(Self {
            slots: Semaphore::new(settings.jobs),
            budget: Budget::new(REQUEST_MEMORY),
            statistics: Statistics::default(),
            doors: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            stop: watch::Sender::new(false),
            settings,
        })
    }

    /// Ends when the daemon is to stop.
    pub(crate) async fn stopping(&self) {
        // Fails only when the sender is gone, which `self` owns.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Serves clients until `end` is ready; then kills all jobs, and returns when nothing of them is left.
    pub async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        statistics: Option<TcpListener>,
        end: impl Future<Output = ()>,
    ) {
        let mut tasks = JoinSet::new();
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                Some(joined) = tasks.join_next(), if !tasks.is_empty() => report(joined),
                accepted = listener.accept() => {
                    if let Some((stream, peer)) = admitted(&self, accepted).await {
                        self.welcome(&mut tasks, stream, peer);
                    }
                }
                accepted = accept_if(statistics.as_ref()) => {
                    if let Some((stream, peer)) = admitted(&self, accepted).await
                        && let Some(door) = self.door()
                    {
                        let service = Arc::clone(&self);
                        tasks.spawn(async move {
                            let _door = door;
                            page::serve(&service, &peer.to_string(), stream).await;
                        });
                    }
                }
            }
        }
        drop((listener, statistics));
        self.stop_all(tasks).await;
    }

    /// Serves the one client at the other end of these streams until it is done or `end` is ready. Returns the exit code.
    pub async fn run_one<R, W>(
        self: Arc<Self>,
        peer: &str,
        reader: R,
        writer: W,
        end: impl Future<Output = ()>,
    ) -> u8
    where
        R: tokio::io::AsyncRead + Unpin,
        W: tokio::io::AsyncWrite + Unpin,
    {
        self.statistics.accepted();
        let stop = async {
            end.await;
            self.stop.send_replace(true);
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            code = connection::serve(&self, peer, reader, writer) => code,
            never = stop => match never {},
        }
    }

    fn door(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.doors).try_acquire_owned().ok()
    }

    fn welcome(self: &Arc<Self>, tasks: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr) {
        self.statistics.accepted();
        let peer = peer_name(peer);
        let Some(door) = self.door() else {
            connection::turn_away(self, &peer);
            return;
        };
        if let Err(error) = watch_for_loss(&stream) {
            tracing::info!("{peer}: no keep-alive: {error}");
        }
        let service = Arc::clone(self);
        tasks.spawn(async move {
            let _door = door;
            tracing::debug!("{peer}: connected");
            let (reader, writer) = stream.into_split();
            connection::serve(&service, &peer, reader, writer).await;
        });
    }

    async fn stop_all(&self, mut tasks: JoinSet<()>) {
        self.stop.send_replace(true);
        let drained = async {
            while let Some(joined) = tasks.join_next().await {
                report(joined);
            }
        };
        if tokio::time::timeout(STOP_TIME, drained).await.is_err() {
            tracing::error!(
                "{} connections did not end in time; dropping them",
                tasks.len()
            );
            // Dropping a job kills its compiler.
            tasks.shutdown().await;
        }
    }
}

/// A client's address as stock logs it; an IPv4 client of an IPv6 socket is shown as what it is.
fn peer_name(peer: SocketAddr) -> String {
    SocketAddr::new(peer.ip().to_canonical(), peer.port()).to_string()
}

/// A connection of a client that may be served.
async fn admitted(
    service: &Service,
    accepted: std::io::Result<(TcpStream, SocketAddr)>,
) -> Option<(TcpStream, SocketAddr)> {
    match accepted {
        Ok((stream, peer)) if service.settings.access.allows(peer.ip()) => Some((stream, peer)),
        Ok((_, peer)) => {
            tracing::error!("connection from {} denied: not in --allow", peer_name(peer));
            None
        }
        Err(error) => {
            tracing::error!("cannot accept a connection: {error}");
            // Out of descriptors, most likely: they come back when clients leave.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn accept_if(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Makes the kernel notice within two minutes that a client's machine is gone; and send small replies at once.
fn watch_for_loss(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_tcp_nodelay(stream, true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(stream, 4)
}

/// A panic ends one connection, never the daemon. The panic hook has logged it.
fn report(joined: Result<(), tokio::task::JoinError>) {
    if let Err(error) = joined
        && error.is_panic()
    {
        tracing::error!("a connection ended by an internal error; the daemon serves on");
    }
}
