//! Serving the one client at the other end of standard input and output: from inetd, where both are one socket, or from
//! ssh, where they are pipes. Owns those two streams; nothing else in the program may print to standard output.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::connection;
use crate::house::House;
use crate::peer::Peer;
use protocol::exit_code::ExitCode;

/// Serves the client until it is done or the daemon is to stop. Returns the exit code.
///
/// # Errors
/// When standard input cannot be used at all.
pub(crate) async fn serve(house: Arc<House>) -> io::Result<u8> {
    if let Some(peer) = network_peer()? {
        if !house.settings.access.allows(peer.ip()) {
            tracing::error!("connection from {peer} denied: not in --allow");
            return Ok(ExitCode::AccessDenied.code());
        }
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        let socket = std::net::TcpStream::from(socket);
        socket.set_nonblocking(true)?;
        let (reader, writer) = TcpStream::from_std(socket)?.into_split();
        return Ok(serve_one(&house, &Peer::network(peer), reader, writer).await);
    }
    // Whoever speaks to a pipe of ours has logged in to this machine already.
    let (reader, writer) = (tokio::io::stdin(), tokio::io::stdout());
    Ok(serve_one(&house, &Peer::pipe(), reader, writer).await)
}

async fn serve_one<R, W>(house: &House, peer: &Peer, reader: R, writer: W) -> u8
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    house.statistics.accepted();
    connection::serve(house, peer, reader, writer).await
}

/// The client's address, if standard input is a connection over a network.
fn network_peer() -> io::Result<Option<SocketAddr>> {
    if sockopt::socket_type(io::stdin()).is_err() {
        return Ok(None);
    }
    let peer = rustix::net::getpeername(io::stdin())?;
    Ok(peer.and_then(|peer| SocketAddr::try_from(peer).ok()))
}
