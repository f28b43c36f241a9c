//! Trying one host: a connection and, if a compiler is named, a small compile. Owns the connection.

use super::options::Plan;
use protocol::limits::Limits;
use protocol::reply::ReplyDecoder;
use protocol::request::{Input, Request};
use protocol::tree::{EntryContent, TreeEntry};
use protocol::tree_path::TreePath;
use protocol::version::Version;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A host with what trying it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: String,
    address: SocketAddr,
    latency: Duration,
    up: bool,
}

impl Host {
    /// The line that is printed for it; none for a host that is down, unless those are wanted.
    #[must_use]
    pub fn line(&self, plan: &Plan) -> Option<String> {
        if !self.up && !plan.with_down {
            return None;
        }
        let mut line = if plan.numeric {
            match self.address {
                SocketAddr::V4(address) => address.ip().to_string(),
                SocketAddr::V6(address) => format!("[{}]", address.ip()),
            }
        } else {
            self.name.clone()
        };
        let port = format!(":{}", self.address.port());
        if self.address.port() != crate::host_list::DEFAULT_PORT && !line.ends_with(&port) {
            line.push_str(&port);
        }
        line.push_str(match plan.version {
            Version::Plain1 => "",
            Version::Lzo2 => ",lzo",
            Version::Pump3 => ",lzo,cpp",
        });
        if !self.up {
            line.push_str(",down");
        }
        if plan.latency {
            line.push_str(&format!(" {}", self.latency.as_millis()));
        }
        Some(line)
    }
}

/// Tries one host.
#[must_use]
pub fn try_host(name: String, address: SocketAddr, plan: &Plan) -> Host {
    let start = Instant::now();
    let result = connect_and_compile(address, plan);
    if plan.verbose
        && let Err(error) = &result
    {
        eprintln!("lsdistcc: {name}: {error}");
    }
    Host {
        name,
        address,
        latency: start.elapsed(),
        up: result.is_ok(),
    }
}

fn connect_and_compile(address: SocketAddr, plan: &Plan) -> io::Result<()> {
    if plan.connect_time.is_zero() {
        return Ok(());
    }
    let mut stream = TcpStream::connect_timeout(&address, plan.connect_time)?;
    let Some(compiler) = &plan.compiler else {
        return Ok(());
    };
    if plan.compile_time.is_zero() {
        return Ok(());
    }
    let until = Instant::now() + plan.compile_time;
    stream.set_write_timeout(Some(plan.compile_time))?;
    stream.write_all(&request(compiler, plan.version)?.encode())?;
    let mut reply = ReplyDecoder::new(plan.version, Limits::DEFAULT);
    let mut buffer = [0; 8192];
    while !reply.is_complete() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it refused the compile",
            ));
        }
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() && !reply.is_complete() {
            let used = reply.feed(bytes).map_err(io::Error::other)?;
            bytes = &bytes[used..];
        }
    }
    let reply = reply.finish().map_err(io::Error::other)?;
    if !reply.status.success() || reply.object.is_empty() {
        return Err(io::Error::other("its compiler failed"));
    }
    Ok(())
}

/// A compile that every C compiler can do.
fn request(compiler: &str, version: Version) -> io::Result<Request> {
    let source = b"int lsdistcc;\n";
    let pump = version.server_preprocesses();
    let name = if pump { "lsdistcc.c" } else { "lsdistcc.i" };
    let packed = version.pack(source);
    let input = if pump {
        let path =
            TreePath::new(format!("/lsdistcc/{name}").as_bytes()).map_err(io::Error::other)?;
        let content = EntryContent::File(packed);
        Input::Tree(vec![TreeEntry { path, content }])
    } else {
        Input::Preprocessed(packed)
    };
    let words = [compiler, "-c", name, "-o", "lsdistcc.o"];
    Ok(Request {
        version,
        cwd: pump.then(|| b"/lsdistcc".to_vec()),
        argv: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
        input,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn host(name: &str, port: u16, up: bool) -> Host {
        Host {
            name: name.to_owned(),
            address: SocketAddr::from(([10, 0, 0, 1], port)),
            latency: Duration::from_millis(12),
            up,
        }
    }

    #[test]
    fn lines() {
        let mut plan = Plan::default();
        assert_eq!(host("a", 3632, true).line(&plan).as_deref(), Some("a"));
        assert_eq!(host("a", 4000, true).line(&plan).as_deref(), Some("a:4000"));
        assert_eq!(
            host("a:4000", 4000, true).line(&plan).as_deref(),
            Some("a:4000")
        );
        assert_eq!(host("a", 3632, false).line(&plan), None);
        plan.version = Version::Pump3;
        plan.with_down = true;
        plan.latency = true;
        // As Debian's lsdistcc -x -l -P3 prints it.
        assert_eq!(
            host("a", 4778, false).line(&plan).as_deref(),
            Some("a:4778,lzo,cpp,down 12")
        );
        plan.numeric = true;
        plan.version = Version::Lzo2;
        assert_eq!(
            host("a", 3632, true).line(&plan).as_deref(),
            Some("10.0.0.1,lzo 12")
        );
    }

    #[test]
    fn a_port_that_nobody_serves_is_down() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        assert!(try_host("a".into(), address, &Plan::default()).up);
        drop(listener);
        assert!(!try_host("a".into(), address, &Plan::default()).up);
        let unchecked = Plan {
            connect_time: Duration::ZERO,
            ..Plan::default()
        };
        assert!(try_host("a".into(), address, &unchecked).up);
    }

    #[test]
    fn a_compiler_must_answer() {
        for (version, status, up) in [
            (Version::Plain1, 0, true),
            (Version::Lzo2, 0, true),
            (Version::Pump3, 0, true),
            (Version::Plain1, 1, false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut decoder = protocol::request::RequestDecoder::new(Limits::DEFAULT);
                let mut buffer = [0; 4096];
                while !decoder.is_complete() {
                    let count = stream.read(&mut buffer).expect("bytes");
                    decoder.feed(&buffer[..count]).expect("a request");
                }
                let request = decoder.finish().expect("a request");
                assert_eq!(request.argv[0], b"gcc-12");
                let reply = protocol::reply::Reply {
                    version,
                    status: protocol::wait_status::WaitStatus::exited(status),
                    stderr: Vec::new(),
                    stdout: Vec::new(),
                    object: if status == 0 {
                        version.pack(b"object")
                    } else {
                        Vec::new()
                    },
                    dependencies: (version == Version::Pump3 && status == 0).then(Vec::new),
                };
                stream
                    .write_all(&reply.encode())
                    .expect("the client listens");
            });
            let plan = Plan {
                compiler: Some("gcc-12".into()),
                compile_time: Duration::from_secs(20),
                version,
                ..Plan::default()
            };
            assert_eq!(
                try_host("a".into(), address, &plan).up,
                up,
                "{version:?} {status}"
            );
            server.join().expect("no panic");
        }
    }
}
