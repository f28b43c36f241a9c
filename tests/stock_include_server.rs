//! Our client with stock's include server. Debian's does not start on Python 3.10 and later, so the dialogue of a real
//! one, recorded by `scripts/record-include-dialogue.py`, is replayed: our client must ask byte for byte what stock's
//! client asked, read the mirror tree that the answer names, and send the daemon byte for byte what stock's client sent.

mod support;

use protocol::include_dialogue::{Dialogue, QueryDecoder};
use protocol::limits::Limits;
use protocol::reply::Reply;
use protocol::request::RequestDecoder;
use protocol::version::Version;
use protocol::wait_status::WaitStatus;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use support::{Client, Maker};

const RECORDING: &str = include_str!("peers/stock-include-dialogue.txt");

/// The recording, moved to directories of this test's own.
struct Recording {
    lines: Vec<String>,
    project: PathBuf,
}

impl Recording {
    fn moved_to(dir: &Path) -> Self {
        let value = |key: &str| {
            RECORDING
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .unwrap()
        };
        let recorded_project = value("directory ");
        let first_file = value("FILE ");
        // A mirror tree lies below three components: two directories and the server's own.
        let root_end = first_file.match_indices('/').nth(3).unwrap().0;
        let (project, mirror) = (dir.join("p"), dir.join("mirror"));
        let lines = RECORDING
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                line.replace(&first_file[..root_end], mirror.to_str().unwrap())
                    .replace(recorded_project, project.to_str().unwrap())
            });
        Self {
            lines: lines.collect(),
            project,
        }
    }

    fn with(&self, key: &str) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter_map(move |line| line.strip_prefix(key))
    }

    /// Makes the project and the mirror tree.
    fn lay_out(&self) {
        for line in self.with("PROJECT ") {
            let (name, text) = line.split_once(' ').unwrap();
            let text = text.trim_matches('\'').replace("\\n", "\n");
            support::write_tree(&self.project, &[(name, &text)]);
        }
        for line in self.with("PROJECT-LINK ") {
            let (name, target) = line.split_once(' ').unwrap();
            symlink(target, self.project.join(name)).unwrap();
        }
        for name in self.with("PROJECT-DIRECTORY ") {
            fs::create_dir_all(self.project.join(name)).unwrap();
        }
        for line in self.with("FILE ") {
            let (path, hex) = line.split_once(' ').unwrap_or((line, ""));
            fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
            fs::write(path, from_hex(hex)).unwrap();
        }
        for line in self.with("LINK ") {
            let (path, target) = line.split_once(' ').unwrap();
            fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
            symlink(target, path).unwrap();
        }
    }

    /// The bytes of one direction. The recorded lengths are those of the recorded paths, so they are counted anew.
    fn bytes(&self, key: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in self.with(key) {
            let mut parts = line.splitn(3, ' ');
            let (tag, parameter) = (parts.next().unwrap(), parts.next().unwrap());
            let body = parts.next().unwrap_or_default();
            let body = if tag == "FILE" {
                from_hex(body)
            } else {
                body.as_bytes().to_vec()
            };
            let counts = ["DIST", "ARGC", "NFIL"].contains(&tag);
            let number = if counts {
                parameter.to_owned()
            } else {
                format!("{:08x}", body.len())
            };
            bytes.extend_from_slice(format!("{tag}{number}").as_bytes());
            bytes.extend_from_slice(&body);
        }
        bytes
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// Reads until `complete` says so; returns all bytes.
fn read_message(stream: &mut impl Read, mut complete: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        all.extend_from_slice(&buffer[..read]);
        if read == 0 || complete(&buffer[..read]) {
            return all;
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes
        .escape_ascii()
        .to_string()
        .replace("NAME", "\nNAME")
        .replace("ARGV", "\nARGV")
}

#[test]
fn our_client_speaks_to_a_stock_include_server_as_stocks_does() {
    let dir = tempfile::Builder::new()
        .prefix("pumphouse-test.")
        .tempdir_in("/tmp")
        .unwrap();
    let recording = Recording::moved_to(dir.path());
    recording.lay_out();

    let socket = dir.path().join("socket");
    let include_server = UnixListener::bind(&socket).unwrap();
    let answer = recording.bytes("< ");
    let asked = thread::spawn(move || {
        let (mut stream, _) = include_server.accept().unwrap();
        let mut decoder = QueryDecoder::new(Dialogue::Stock, Limits::DEFAULT);
        let query = read_message(&mut stream, |bytes| {
            decoder.feed(bytes).is_err() || decoder.is_complete()
        });
        stream.write_all(&answer).unwrap();
        query
    });

    let daemon = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = daemon.local_addr().unwrap().port();
    let sent = thread::spawn(move || {
        let (mut stream, _) = daemon.accept().unwrap();
        let mut decoder = RequestDecoder::new(Limits::DEFAULT);
        let request = read_message(&mut stream, |bytes| {
            decoder.feed(bytes).is_err() || decoder.is_complete()
        });
        let reply = Reply {
            version: Version::Pump3,
            status: WaitStatus::SUCCESS,
            stderr: Vec::new(),
            stdout: Vec::new(),
            object: b"an object".to_vec(),
            dependencies: Some(b"a.o: a.c\n".to_vec()),
        };
        stream.write_all(&reply.encode()).unwrap();
        request
    });

    let client = Client::new(
        Maker::Ours,
        dir.path(),
        &format!("127.0.0.1:{port},cpp,lzo"),
    )
    .with_include_server(&socket)
    .with("DISTCC_NO_REWRITE_CROSS", "1");
    let command = recording.with("command ").next().unwrap().to_owned();
    let words: Vec<&str> = command.split(' ').collect();
    client.compile(&recording.project, &words);

    assert_eq!(shown(&asked.join().unwrap()), shown(&recording.bytes("> ")));
    assert_eq!(shown(&sent.join().unwrap()), shown(&recording.bytes("= ")));
    assert_eq!(
        fs::read(recording.project.join("a.o")).unwrap(),
        b"an object"
    );
    assert_eq!(
        fs::read(recording.project.join("a.d")).unwrap(),
        b"a.o: a.c\n"
    );
}
