//! Connections that are cut, and clients that make no sense. Owns no state beyond one connection.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Failure;
use crate::dice::Dice;

/// A way to the daemon that ends after a number of bytes.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) port: u16,
    /// Towards the daemon, and back.
    _after: [u64; 2],
}

impl Cut {
    /// Cuts all connections that come by it. The thread ends a while after the last one.
    pub(crate) fn new(to: u16, dice: &mut Dice) -> Result<Self, Failure> {
        let mut length = || match dice.roll(3) {
            0 => dice.roll(200),
            1 => dice.roll(5_000),
            _ => dice.roll(200_000),
        };
        let after = [length(), length()];
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        std::thread::spawn(move || {
            // A client comes at once, and again by another protocol.
            for _ in 0..400 {
                match listener.accept() {
                    // That a connection fails is what it is for.
                    Ok((client, _)) => _ = pass(client, to, after),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Ok(Self {
            port,
            _after: after,
        })
    }
}

/// Passes bytes on in both directions until one of them has had its number.
fn pass(client: TcpStream, to: u16, after: [u64; 2]) -> Result<(), Failure> {
    client.set_nonblocking(false)?;
    let server = TcpStream::connect(("127.0.0.1", to))?;
    let ways = [
        (client.try_clone()?, server.try_clone()?),
        (server.try_clone()?, client.try_clone()?),
    ];
    for ((mut from, mut into), after) in ways.into_iter().zip(after) {
        from.set_read_timeout(Some(Duration::from_secs(60)))?;
        let left = Arc::new(AtomicU64::new(after));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let most = left.load(Ordering::Relaxed).min(buffer.len() as u64) as usize;
                let count = match from.read(&mut buffer[..most.max(1)]) {
                    Ok(count) if count > 0 && most > 0 => count,
                    // One end is gone, or had its number.
                    _ => break,
                };
                left.fetch_sub(count as u64, Ordering::Relaxed);
                if into.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            // Both ways, so that nobody waits.
            let _ = into.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

/// Bytes that begin well at best.
pub(crate) fn nonsense(port: u16, dice: &mut Dice) -> Result<(), Failure> {
    let openings = [
        "",
        "DIST00000001ARGC00000002ARGV00000003gccARGV00000002-cDOTI",
        "DIST00000003CDIR00000002/pARGC00000001ARGV00000003gccNFIL",
        "DIST00000002",
        "BNDL00000002OFFR",
        "BNDL00000002OFFR00000400",
        "GET /metrics HTTP/1.0\r\n\r\n",
    ];
    let mut bytes = dice.one_of(&openings).as_bytes().to_vec();
    let length = dice.roll(20_000);
    bytes.extend((0..length).map(|_| dice.roll(256) as u8));
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        // It is being restarted.
        return Ok(());
    };
    stream.set_read_timeout(Some(Duration::from_secs(90)))?;
    // It may hang up in the middle.
    let _ = stream.write_all(&bytes);
    if dice.roll(2) == 0 {
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = [0; 64];
        if let Err(error) = stream.read(&mut answer)
            && error.kind() == std::io::ErrorKind::WouldBlock
        {
            return Err("the daemon neither answers nonsense nor hangs up".into());
        }
    }
    Ok(())
}
