//! SOCKS5 (RFC 1928) as a client without authentication, as far as one `CONNECT` goes.
//!
//! `DISTCC_SOCKS_PROXY` names the proxy: the path of a unix socket (Portage's network sandbox), `HOST:PORT`, or `HOST`
//! with the standard port 1080.

use rustix::fd::OwnedFd;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const DEFAULT_PORT: u16 = 1080;

/// Why the proxy did not connect us.
#[derive(Debug, thiserror::Error)]
pub enum SocksError {
    /// No connection to the proxy, or it broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It wants authentication or is no SOCKS5 proxy.
    #[error("the proxy does not offer SOCKS5 without authentication")]
    Method,
    /// It refused; the number is RFC 1928's reply code.
    #[error("the proxy could not connect: {} (code {code})", reply_text(*code))]
    Refused {
        /// The code.
        code: u8,
    },
    /// The host's name does not fit.
    #[error("the host's name is longer than 255 bytes")]
    LongName,
}

fn reply_text(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "unknown reply",
    }
}

/// Connects to `name:port` through `proxy`; every single wait is bounded by `timeout`.
///
/// # Errors
/// See [`SocksError`].
pub fn connect(
    proxy: &OsStr,
    name: &[u8],
    port: u16,
    timeout: Duration,
) -> Result<OwnedFd, SocksError> {
    if proxy.as_bytes().contains(&b'/') {
        let mut stream = UnixStream::connect(proxy)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        negotiate(&mut stream, name, port)?;
        return Ok(stream.into());
    }
    let text = proxy.to_string_lossy();
    let (host, proxy_port) = match text.rsplit_once(':') {
        Some((host, digits)) if !host.contains(':') || host.ends_with(']') => (
            host.trim_matches(['[', ']']),
            digits
                .parse()
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        ),
        _ => (text.as_ref(), DEFAULT_PORT),
    };
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, proxy_port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                let _ = stream.set_nodelay(true);
                negotiate(&mut stream, name, port)?;
                return Ok(stream.into());
            }
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// The dialogue on an open stream; afterwards the stream is the connection to the server.
pub(crate) fn negotiate(
    stream: &mut (impl Read + Write),
    name: &[u8],
    port: u16,
) -> Result<(), SocksError> {
    // Version 5, one method offered: no authentication.
    stream.write_all(&[5, 1, 0])?;
    let mut method = [0; 2];
    stream.read_exact(&mut method)?;
    if method != [5, 0] {
        return Err(SocksError::Method);
    }
    stream.write_all(&connect_request(name, port)?)?;
    // VER REP RSV ATYP, then the bound address, whose length depends on its type, and port.
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    if head[0] != 5 {
        return Err(SocksError::Method);
    }
    if head[1] != 0 {
        return Err(SocksError::Refused { code: head[1] });
    }
    let address_bytes = match head[3] {
        1 => 4,
        4 => 16,
        3 => {
            let mut length = [0];
            stream.read_exact(&mut length)?;
            usize::from(length[0])
        }
        _ => return Err(SocksError::Method),
    };
    let mut bound = [0; 255 + 2];
    stream.read_exact(&mut bound[..address_bytes + 2])?;
    Ok(())
}

fn connect_request(name: &[u8], port: u16) -> Result<Vec<u8>, SocksError> {
    let mut request = vec![5, 1, 0];
    let address = std::str::from_utf8(name)
        .ok()
        .and_then(|text| text.parse().ok());
    match address {
        Some(IpAddr::V4(address)) => {
            request.push(1);
            request.extend(address.octets());
        }
        Some(IpAddr::V6(address)) => {
            request.push(4);
            request.extend(address.octets());
        }
        None => {
            request.push(3);
            request.push(u8::try_from(name.len()).map_err(|_| SocksError::LongName)?);
            request.extend_from_slice(name);
        }
    }
    request.extend(port.to_be_bytes());
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_carry_addresses_or_names() {
        assert_eq!(
            connect_request(b"10.1.2.3", 3632).unwrap(),
            [5, 1, 0, 1, 10, 1, 2, 3, 0x0e, 0x30]
        );
        assert_eq!(
            connect_request(b"ab", 1).unwrap(),
            [5, 1, 0, 3, 2, b'a', b'b', 0, 1]
        );
        assert_eq!(connect_request(b"::1", 1).unwrap().len(), 4 + 16 + 2);
        assert!(matches!(
            connect_request(&[b'x'; 256], 1),
            Err(SocksError::LongName)
        ));
    }

    struct Script(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn replies_of_every_kind_and_length() {
        let run = |reply: &[u8]| {
            let mut script = Script(io::Cursor::new(reply.to_vec()), Vec::new());
            let result = negotiate(&mut script, b"h", 1);
            (result, script.0.position())
        };
        let good = [5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 9, b'D'];
        let (result, used) = run(&good);
        assert!(result.is_ok());
        assert_eq!(used, 12, "nothing of the server's own bytes may be eaten");
        for cut in 0..12 {
            assert!(
                matches!(run(&good[..cut]).0, Err(SocksError::Io(_))),
                "{cut}"
            );
        }
        assert!(run(&[5, 0, 5, 0, 0, 3, 2, b'a', b'b', 0, 9]).0.is_ok());
        assert!(matches!(
            run(&[5, 0, 5, 5, 0, 1]).0,
            Err(SocksError::Refused { code: 5 })
        ));
        assert!(matches!(run(&[5, 255]).0, Err(SocksError::Method)));
        assert!(matches!(run(b"HTTP").0, Err(SocksError::Method)));
    }
}
