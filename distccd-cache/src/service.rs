//! The daemon at work: accepts clients and serves them side by side, until it is told to stop. Owns the tasks of the
//! connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::connection;
use crate::house::House;
use crate::page;
use crate::peer::Peer;

/// How long jobs may take to be killed and cleaned up when the daemon stops.
const STOP_TIME: Duration = Duration::from_secs(4);

/// Serves clients until the daemon is to stop, and returns when nothing of them is left.
pub(crate) async fn run(house: Arc<House>, listener: TcpListener, statistics: Option<TcpListener>) {
    let mut tasks = JoinSet::new();
    let finishing = house.finishing();
    tokio::pin!(finishing);
    loop {
        tokio::select! {
            () = &mut finishing => break,
            Some(joined) = tasks.join_next(), if !tasks.is_empty() => report(joined),
            accepted = listener.accept() => {
                if let Some((stream, peer)) = admitted(&house, accepted).await {
                    welcome(&house, &mut tasks, stream, peer);
                }
            }
            accepted = accept_if(statistics.as_ref()) => {
                if let Some((stream, peer)) = admitted(&house, accepted).await
                    && let Some(door) = house.door(peer.machine())
                {
                    let house = Arc::clone(&house);
                    tasks.spawn(async move {
                        let _door = door;
                        page::serve(&house, &peer, stream).await;
                    });
                }
            }
        }
    }
    drop((listener, statistics));
    drain(&house, tasks).await;
}

fn welcome(house: &Arc<House>, tasks: &mut JoinSet<()>, stream: TcpStream, peer: Peer) {
    house.statistics.accepted();
    let Some(door) = house.door(peer.machine()) else {
        connection::turn_away(house, &peer);
        return;
    };
    if let Err(error) = watch_for_loss(&stream) {
        tracing::info!("{peer}: no keep-alive: {error}");
    }
    let house = Arc::clone(house);
    tasks.spawn(async move {
        let _door = door;
        tracing::debug!("{peer}: connected");
        let (reader, writer) = stream.into_split();
        connection::serve(&house, &peer, reader, writer).await;
    });
}

/// Waits for the compiles that run, which end by themselves or because they must.
async fn drain(house: &House, mut tasks: JoinSet<()>) {
    let too_late = async {
        house.stopping().await;
        tokio::time::sleep(STOP_TIME).await;
    };
    let drained = async {
        while let Some(joined) = tasks.join_next().await {
            report(joined);
        }
    };
    let in_time = tokio::select! {
        () = drained => true,
        () = too_late => false,
    };
    if !in_time {
        tracing::error!(
            "{} connections did not end in time; dropping them",
            tasks.len()
        );
        // Dropping a job kills its compiler.
        tasks.shutdown().await;
    }
}

/// A connection of a client that may be served.
async fn admitted(
    house: &House,
    accepted: std::io::Result<(TcpStream, SocketAddr)>,
) -> Option<(TcpStream, Peer)> {
    match accepted {
        Ok((stream, address)) if house.settings.access.allows(address.ip()) => {
            Some((stream, Peer::network(address)))
        }
        Ok((_, address)) => {
            let peer = Peer::network(address);
            tracing::error!("connection from {peer} denied: not in --allow");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;
    use crate::house::HouseSettings;
    use crate::whitelist::Whitelist;
    use crate::workshop::{Workshop, WorkshopSettings};
    use protocol::limits::Limits;
    use tokio::io::AsyncReadExt as _;

    fn house(temp_dir: &std::path::Path, connections: usize) -> Arc<House> {
        House::new(HouseSettings {
            workshop: Workshop::new(WorkshopSettings::new(temp_dir.to_owned())).unwrap(),
            shelf: None,
            whitelist: Arc::new(Whitelist::open(None)),
            access: Access::new(&[], true).unwrap(),
            jobs: 1,
            io_timeout: Duration::from_secs(20),
            sysroot: None,
            temp_dir: temp_dir.to_owned(),
            limits: Limits::DEFAULT,
            connections,
            queue: 10,
            min_free_memory: Some(0),
        })
    }

    /// Waits until the house has room for another client of this machine, or has none.
    async fn until_room(house: &House, room: bool) {
        let machine = Some(std::net::Ipv4Addr::LOCALHOST.into());
        while house.door(machine).is_some() != room {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    #[tokio::test]
    async fn clients_beyond_the_limit_are_turned_away_until_others_leave() {
        let dir = tempfile::tempdir().unwrap();
        // Of which one machine may be half.
        let house = house(dir.path(), 4);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = tokio::spawn(run(Arc::clone(&house), listener, None));

        let first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        until_room(&house, false).await;
        let mut third = TcpStream::connect(address).await.unwrap();
        assert_eq!(third.read(&mut [0; 9]).await.unwrap(), 0);
        drop(first);
        until_room(&house, true).await;
        let _fourth = TcpStream::connect(address).await.unwrap();
        until_room(&house, false).await;
        assert!(house.door(None).is_some());

        house.stop();
        running.await.unwrap();
        assert_eq!(second.read(&mut [0; 9]).await.unwrap(), 0);
        let endings = house.statistics.snapshot().endings;
        assert_eq!(endings[crate::statistics::Ending::Overload as usize], 1);
        until_room(&house, true).await;
    }
}
