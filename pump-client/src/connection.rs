//! One connection to a server: TCP, TCP through a SOCKS5 proxy, or the standard streams of an ssh.
//!
//! All three are one socket descriptor here (an ssh gets one end of a socket pair), so that the kernel's own send and
//! receive timeouts bound every wait by `DISTCC_IO_TIMEOUT`. The write side is never closed early: a server takes a
//! half-closed connection for a client that gave up, and Portage's proxy cancels the reply.

use crate::cleanup::ForwardedChild;
use crate::environment::Environment;
use crate::host_list::{Host, Place};
use crate::log;
use crate::socks;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::process::{Pid, Signal};
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long connecting to one host may take, all its addresses together; as in stock.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long an ssh may take to end after its job is done.
const SSH_FAREWELL: Duration = Duration::from_millis(500);

/// Why a connection failed. All of these are the host's or the network's fault.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The name has no address.
    #[error("failed to look up host \"{name}\": {error}")]
    Lookup {
        /// The name.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// No connection.
    #[error("connect to {to} failed: {error}")]
    Connect {
        /// Where to.
        to: String,
        /// Why.
        error: io::Error,
    },
    /// The SOCKS proxy did not do it.
    #[error("through the SOCKS proxy {proxy}: {error}")]
    Proxy {
        /// The proxy.
        proxy: String,
        /// Why.
        error: socks::SocksError,
    },
    /// ssh cannot be run.
    #[error("cannot start {program}: {error}")]
    Ssh {
        /// The program.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// A wait lasted longer than `DISTCC_IO_TIMEOUT`.
    #[error("timed out after {seconds} s while {doing}")]
    Timeout {
        /// The limit.
        seconds: u64,
        /// Sending or receiving.
        doing: &'static str,
    },
    /// Any other failure of the connection.
    #[error("{doing} failed: {error}")]
    Io {
        /// Sending or receiving.
        doing: &'static str,
        /// Why.
        error: io::Error,
    },
}

impl ConnectionError {
    /// Whether the peer hung up.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        matches!(self, Self::Io { error, .. } if matches!(error.kind(), BrokenPipe | ConnectionReset))
    }
}

/// An open connection; closed when dropped.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    timeout: Duration,
    corked: bool,
    ssh: Option<(Child, ForwardedChild)>,
}

impl Connection {
    /// Connects to a host that is not local.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub fn open(host: &Host, environment: &Environment) -> Result<Self, ConnectionError> {
        let timeout = environment.io_timeout();
        let (socket, ssh) = match &host.place {
            Place::Tcp { name, port } => (open_tcp(name, *port, environment)?, None),
            Place::Ssh {
                user,
                name,
                command,
            } => {
                let (socket, child) =
                    open_ssh(user.as_deref(), name, command.as_deref(), environment)?;
                (socket, Some(child))
            }
            Place::Local => {
                return Err(ConnectionError::Connect {
                    to: "localhost".into(),
                    error: io::Error::from(io::ErrorKind::Unsupported),
                });
            }
        };
        set_timeouts(&socket, timeout).map_err(|error| ConnectionError::Io {
            doing: "setting timeouts",
            error,
        })?;
        let corked =
            environment.tcp_cork && ssh.is_none() && sockopt::set_tcp_cork(&socket, true).is_ok();
        Ok(Self {
            socket,
            timeout,
            corked,
            ssh,
        })
    }

    /// Sends all bytes.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<(), ConnectionError> {
        const DOING: &str = "sending the request";
        while !bytes.is_empty() {
            match rustix::net::send(&self.socket, bytes, rustix::net::SendFlags::NOSIGNAL) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.failure(error, DOING)),
            }
        }
        Ok(())
    }

    /// Nothing more will be sent: lets go what the kernel held back.
    pub fn flush(&mut self) {
        if self.corked {
            self.corked = false;
            let _ = sockopt::set_tcp_cork(&self.socket, false);
        }
    }

    /// Receives some bytes; 0 means that the peer closed.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, ConnectionError> {
        loop {
            match rustix::io::read(&self.socket, &mut *buffer) {
                Ok(n) => return Ok(n),
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.failure(error, "waiting for the server")),
            }
        }
    }

    fn failure(&self, error: Errno, doing: &'static str) -> ConnectionError {
        if error == Errno::AGAIN || error == Errno::TIMEDOUT {
            let seconds = self.timeout.as_secs();
            ConnectionError::Timeout { seconds, doing }
        } else {
            ConnectionError::Io {
                doing,
                error: error.into(),
            }
        }
    }
}

impl Drop for Connection {
    /// An ssh ends when its streams are closed; one that does not is told to.
    fn drop(&mut self) {
        let Some((mut child, _forwarded)) = self.ssh.take() else {
            return;
        };
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        let deadline = Instant::now() + SSH_FAREWELL;
        let mut pause = Duration::from_millis(1);
        while Instant::now() < deadline {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        let _ = rustix::process::kill_process(Pid::from_child(&child), Signal::TERM);
        let _ = child.wait();
    }
}

fn set_timeouts(socket: &OwnedFd, timeout: Duration) -> io::Result<()> {
    for id in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
        sockopt::set_socket_timeout(socket, id, Some(timeout))?;
    }
    Ok(())
}

fn open_tcp(name: &[u8], port: u16, environment: &Environment) -> Result<OwnedFd, ConnectionError> {
    if let Some(proxy) = &environment.socks_proxy {
        log::debug!("connecting through the SOCKS proxy");
        return socks::connect(proxy, name, port, CONNECT_TIMEOUT).map_err(|error| {
            ConnectionError::Proxy {
                proxy: proxy.to_string_lossy().into_owned(),
                error,
            }
        });
    }
    let shown = String::from_utf8_lossy(name).into_owned();
    log::debug!("connecting to {shown} port {port}");
    let stream = connect_by_name(&shown, port)?;
    let _ = stream.set_nodelay(true);
    Ok(stream.into())
}

/// Connects to the first address of a name that answers, all within [`CONNECT_TIMEOUT`].
fn connect_by_name(name: &str, port: u16) -> Result<TcpStream, ConnectionError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let addresses = addresses_of(name, port)?;
    let mut last = None;
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some((address, error)),
        }
    }
    let (to, error) = match last {
        Some((address, error)) => (address.to_string(), error),
        None => (
            format!("{name}:{port}"),
            io::Error::from(io::ErrorKind::TimedOut),
        ),
    };
    Err(ConnectionError::Connect { to, error })
}

/// A numeric address needs no resolver.
fn addresses_of(name: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectionError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let lookup = |error| ConnectionError::Lookup {
        name: name.to_owned(),
        error,
    };
    let found: Vec<SocketAddr> = (name, port).to_socket_addrs().map_err(lookup)?.collect();
    if found.is_empty() {
        return Err(lookup(io::Error::from(io::ErrorKind::NotFound)));
    }
    Ok(found)
}

/// `$DISTCC_SSH [-l USER] HOST COMMAND --inetd --enable-tcp-insecure`, its streams one socket.
fn open_ssh(
    user: Option<&[u8]>,
    name: &[u8],
    command: Option<&[u8]>,
    environment: &Environment,
) -> Result<(OwnedFd, (Child, ForwardedChild)), ConnectionError> {
    let (program, arguments) = match environment.ssh.split_first() {
        Some((program, arguments)) => (program.as_os_str(), arguments),
        None => (OsStr::new("ssh"), &[][..]),
    };
    let failed = |error| ConnectionError::Ssh {
        program: program.to_string_lossy().into_owned(),
        error,
    };
    let (ours, theirs) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|error| failed(error.into()))?;
    let second =
        rustix::io::fcntl_dupfd_cloexec(theirs.as_fd(), 3).map_err(|error| failed(error.into()))?;
    let mut ssh = Command::new(program);
    ssh.args(arguments);
    if let Some(user) = user {
        ssh.arg("-l").arg(OsStr::from_bytes(user));
    }
    ssh.arg(OsStr::from_bytes(name))
        .arg(OsStr::from_bytes(command.unwrap_or(b"distccd")))
        .args(["--inetd", "--enable-tcp-insecure"])
        .env("PATH", &environment.path)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::from(second));
    let child = ForwardedChild::spawn(&mut ssh).map_err(failed)?;
    Ok((ours, child))
}
