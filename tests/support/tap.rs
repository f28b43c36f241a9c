//! A relay on loopback that notes, for each connection, the first token and the bytes each way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What crossed one connection.
#[derive(Clone, Debug, Default)]
pub struct Crossing {
    /// The first twelve bytes from the client: `DIST` and the protocol version.
    pub greeting: Vec<u8>,
    /// Bytes from the client.
    pub up: usize,
    /// Bytes from the server.
    pub down: usize,
}

/// The relay; its threads end with the connections they serve.
pub struct Tap {
    /// Where clients connect.
    pub port: u16,
    crossings: Arc<Mutex<Vec<Crossing>>>,
}

impl Tap {
    /// Relays to a port on loopback.
    pub fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let crossings: Arc<Mutex<Vec<Crossing>>> = Arc::default();
        let seen = Arc::clone(&crossings);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                let index = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(Crossing::default());
                    seen.len() - 1
                };
                relay(client, server, index, &seen);
            }
        });
        Self { port, crossings }
    }

    /// What crossed so far, in the order of the connections; those that sent nothing are left out.
    pub fn crossings(&self) -> Vec<Crossing> {
        self.crossings
            .lock()
            .unwrap()
            .iter()
            .filter(|crossing| crossing.up > 0)
            .cloned()
            .collect()
    }

    /// The protocol versions that crossed so far.
    pub fn versions(&self) -> Vec<String> {
        let greeting = |c: &Crossing| String::from_utf8_lossy(&c.greeting).into_owned();
        self.crossings().iter().map(greeting).collect()
    }
}

fn relay(
    client: TcpStream,
    server: TcpStream,
    index: usize,
    crossings: &Arc<Mutex<Vec<Crossing>>>,
) {
    let up = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let seen = Arc::clone(crossings);
    thread::spawn(move || {
        copy(up.0, up.1, |bytes| {
            let crossing = &mut seen.lock().unwrap()[index];
            crossing.up += bytes.len();
            let missing = 12usize.saturating_sub(crossing.greeting.len());
            crossing
                .greeting
                .extend_from_slice(&bytes[..missing.min(bytes.len())]);
        });
    });
    let seen = Arc::clone(crossings);
    thread::spawn(move || {
        copy(server, client, |bytes| {
            seen.lock().unwrap()[index].down += bytes.len()
        })
    });
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        note(&buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
