//! The sockets that clients come to. Owns nothing: it makes listeners and says what standard input is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

/// Clients that may wait to be accepted, as stock has it.
const BACKLOG: i32 = 1024;

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address means nothing.
    #[error("--listen {address}: neither an address nor a known host name: {source}")]
    Address {
        /// What was given.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The port is taken, or may not be used.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Address and port.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// `PUMPHOUSE_LISTEN_FD` is no listening socket.
    #[error("PUMPHOUSE_LISTEN_FD={fd} is not a listening TCP socket: {source}")]
    Inherited {
        /// The descriptor.
        fd: RawFd,
        /// What the system said.
        source: io::Error,
    },
}

/// Binds the first address that `address` (default: all of IPv4, as stock) and `port` stand for, and listens.
///
/// # Errors
/// See [`ListenError`].
pub fn bind(address: Option<&str>, port: u16) -> Result<TcpListener, ListenError> {
    let address = match address {
        None => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
        Some(text) => {
            let error = |source| ListenError::Address {
                address: text.to_owned(),
                source,
            };
            let first = (text, port).to_socket_addrs().map_err(error)?.next();
            first.ok_or_else(|| error(io::ErrorKind::NotFound.into()))?
        }
    };
    bind_socket(address).map_err(|error| ListenError::Bind {
        address,
        source: error.into(),
    })
}

fn bind_socket(address: SocketAddr) -> rustix::io::Result<TcpListener> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // A daemon that is started again must not wait for the old one's connections to be forgotten.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Takes over a listening socket that whoever started us has left open under this number. To be called once.
///
/// # Errors
/// [`ListenError::Inherited`].
pub fn inherit(fd: RawFd) -> Result<TcpListener, ListenError> {
    let error = |source| ListenError::Inherited { fd, source };
    if fd < 3 {
        return Err(error(io::Error::from(io::ErrorKind::InvalidInput)));
    }
    // SAFETY: fcntl on a number that may be no descriptor is harmless: it then fails.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(error(io::Error::last_os_error()));
    }
    // SAFETY: the descriptor is open, was left to us by our parent for this purpose, and this program, which calls this
    // before it opens anything, has no other owner for it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let check = || -> io::Result<()> {
        fcntl_setfd(&socket, fcntl_getfd(&socket)? | FdFlags::CLOEXEC)?;
        if !sockopt::socket_acceptconn(&socket)? {
            return Err(io::ErrorKind::NotConnected.into());
        }
        SocketAddr::try_from(net::getsockname(&socket)?).map_err(io::Error::from)?;
        Ok(())
    };
    match check() {
        Ok(()) => Ok(TcpListener::from(socket)),
        Err(source) => Err(error(source)),
    }
}

/// Whether standard input is a socket, as inetd leaves it.
#[must_use]
pub fn stdin_is_socket() -> bool {
    sockopt::socket_type(io::stdin()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd as _;

    #[test]
    fn a_taken_port_is_an_error() {
        let first = bind(Some("127.0.0.1"), 0).unwrap();
        let port = first.local_addr().unwrap().port();
        let second = bind(Some("127.0.0.1"), port);
        assert!(matches!(second, Err(ListenError::Bind { .. })));
    }

    #[test]
    fn ipv6_is_listened_on_where_there_is_any() {
        match bind(Some("::1"), 0) {
            Ok(listener) => assert!(listener.local_addr().unwrap().is_ipv6()),
            Err(error) => assert!(std::net::TcpListener::bind("[::1]:0").is_err(), "{error}"),
        }
    }

    #[test]
    fn an_unknown_address_is_an_error() {
        assert!(matches!(
            bind(Some("300.1.2.3.4"), 1),
            Err(ListenError::Address { .. })
        ));
        // Documentation addresses (RFC 5737) are nobody's.
        assert!(matches!(
            bind(Some("192.0.2.1"), 1),
            Err(ListenError::Bind { .. })
        ));
    }

    #[test]
    fn only_a_listening_socket_is_inherited() {
        let listener = bind(Some("127.0.0.1"), 0).unwrap();
        let address = listener.local_addr().unwrap();
        let inherited = inherit(listener.into_raw_fd()).unwrap();
        assert_eq!(inherited.local_addr().unwrap(), address);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(
            inherit(file.into_raw_fd()),
            Err(ListenError::Inherited { .. })
        ));
        assert!(inherit(1 << 20).is_err() && inherit(-1).is_err() && inherit(0).is_err());
        let connected = std::net::TcpStream::connect(address).unwrap();
        assert!(inherit(connected.into_raw_fd()).is_err());
    }
}
