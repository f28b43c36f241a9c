//! Clients that break the protocol. Each is refused in bounded time, and the daemon serves the next.

use std::io::Write;

use protocol::lzo;
use protocol::request::{Input, Request};
use protocol::tree::{EntryContent, TreeEntry};
use protocol::tree_path::TreePath;
use protocol::version::Version;

use crate::harness::{Daemon, preprocessed, read_to_close, wait_until};

/// A daemon whose compiler fails at once: what counts here is what comes before it.
fn daemon() -> Daemon {
    Daemon::with_compiler("exit 3", |_, _| {})
}

fn tree_request() -> Request {
    Request {
        version: Version::Pump3,
        cwd: Some(b"/p".to_vec()),
        argv: ["cc1", "-c", "a.c", "-o", "a.o"]
            .map(|word| word.as_bytes().to_vec())
            .to_vec(),
        input: Input::Tree(vec![
            TreeEntry {
                path: TreePath::new(b"/p/a.c").unwrap(),
                content: EntryContent::File(lzo::compress(b"int x;\n")),
            },
            TreeEntry {
                path: TreePath::new(b"/p/b.h").unwrap(),
                content: EntryContent::Link(b"c.h".to_vec()),
            },
        ]),
    }
}

#[test]
fn a_request_cut_at_any_byte_is_dropped() {
    let daemon = daemon();
    for bytes in [
        preprocessed("cc1", "int x;\n").encode(),
        tree_request().encode(),
    ] {
        assert!(!daemon.exchange_open(&bytes).is_empty());
        for end in 0..bytes.len() {
            assert_eq!(daemon.exchange(&bytes[..end]), b"", "cut at {end}");
        }
    }
    daemon.assert_alive();
    assert_eq!(daemon.leftovers(), [""; 0]);
}

#[test]
fn a_request_spoilt_at_any_byte_harms_nobody() {
    let daemon = daemon();
    for bytes in [
        preprocessed("cc1", "int x;\n").encode(),
        tree_request().encode(),
    ] {
        for place in 0..bytes.len() {
            let mut spoilt = bytes.clone();
            spoilt[place] ^= 0x80;
            let answer = daemon.exchange(&spoilt);
            assert!(
                answer.is_empty() || answer.starts_with(b"DONE"),
                "spoilt at {place}"
            );
        }
    }
    daemon.assert_alive();
    wait_until("nothing is left", || daemon.leftovers().is_empty());
}

#[test]
fn announced_sizes_are_capped_before_anything_comes() {
    let daemon = daemon();
    let argv = "ARGC00000002ARGV00000003cc1ARGV00000002-c";
    for request in [
        "DIST00000000".to_owned(),
        "DIST00000004".to_owned(),
        "DISTffffffff".to_owned(),
        "DIST00000001ARGCffffffff".to_owned(),
        "DIST00000001ARGC00000001ARGVffffffff".to_owned(),
        format!("DIST00000001{argv}DOTIffffffff"),
        format!("DIST00000002{argv}DOTIffffffff"),
        "DIST00000003CDIRffffffff".to_owned(),
        format!("DIST00000003CDIR00000002/p{argv}NFILffffffff"),
        format!("DIST00000003CDIR00000002/p{argv}NFIL00000001NAMEffffffff"),
        format!("DIST00000003CDIR00000002/p{argv}NFIL00000001NAME00000006/p/a.cFILEffffffff"),
        format!("DIST00000003CDIR00000002/p{argv}NFIL00000001NAME00000006/p/a.cLINKffffffff"),
        // Out of order, or a name that leaves the tree.
        format!("DIST00000003{argv}"),
        "DIST00000001DOTI00000000".to_owned(),
        "DIST00000001ARGC00000000DOTI00000000".to_owned(),
        format!("DIST00000003CDIR00000002/p{argv}NFIL00000001NAME00000008/../../xFILE00000000"),
        format!("DIST00000003CDIR00000002/p{argv}NFIL00000001NAME00000003a.cFILE00000000"),
        format!("DIST00000001{argv}DOTI00000000trailing"),
    ] {
        // Our side stays open: the daemon has to close of its own accord.
        assert_eq!(daemon.exchange_open(request.as_bytes()), b"", "{request}");
    }
    daemon.assert_alive();
}

#[test]
fn a_body_that_does_not_decompress_is_dropped() {
    let daemon = daemon();
    let mut request = preprocessed("cc1", "");
    request.version = Version::Lzo2;
    for body in [b"no LZO at all".to_vec(), vec![0; 40], vec![0xff; 100_000]] {
        request.input = Input::Preprocessed(body);
        assert_eq!(daemon.job(&request), None);
    }
    daemon.assert_alive();
}

#[test]
fn a_silent_client_is_given_up() {
    let daemon = Daemon::with_compiler("exit 3", |command, _| {
        command.env("DISTCC_IO_TIMEOUT", "1");
    });
    for bytes in [
        b"".as_slice(),
        b"DIST",
        b"DIST00000001ARGC00000003ARGV00000003cc",
    ] {
        assert_eq!(daemon.exchange_open(bytes), b"");
    }
    assert_eq!(
        daemon.wait_for_summaries(3),
        ["OTHER exit:0 sig:0 core:0 ret:118"; 3]
    );
    daemon.assert_alive();
}

#[test]
fn many_silent_clients_do_not_keep_others_out() {
    let daemon = daemon();
    let silent: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(b"DIST00000001").unwrap();
            stream
        })
        .collect();
    daemon.assert_alive();
    drop(silent);
    daemon.wait_for_summaries(201);
    daemon.assert_alive();
}

impl Daemon {
    /// Sends bytes and reads until the daemon closes, while our own side stays open.
    fn exchange_open(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // The daemon may close before all is sent.
        let _ = stream.write_all(bytes);
        read_to_close(&mut stream)
    }
}
