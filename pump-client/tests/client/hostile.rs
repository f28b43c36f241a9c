//! Servers that are dead, silent, wrong or cut off: the job is done here, in bounded time, and nothing is left over.

use crate::support::{Desk, FakeServer, PATIENCE, free_port};
use protocol::reply::Reply;
use protocol::version::Version;
use protocol::wait_status::WaitStatus;
use std::io::Write;
use std::time::Instant;

fn desk(hosts: &str) -> Desk {
    Desk::with_hosts(hosts)
        .set("DISTCC_IO_TIMEOUT", "1")
        .set("DISTCC_BACKOFF_PERIOD", "0")
        .source("a.c", "int x = 1;\n")
}

/// The object must be the local compiler's, after one line that says why.
#[track_caller]
fn falls_back(desk: &Desk, words: &str, why: &str) {
    let start = Instant::now();
    let outcome = desk.distcc(words);
    assert!(start.elapsed() < PATIENCE);
    outcome.says(0, why);
    outcome.says(0, "running locally instead");
    assert_eq!(outcome.stderr.lines().count(), 1, "one line: {outcome:#?}");
    desk.gcc("-c a.c -o l.o").silent_success();
    assert_eq!(desk.read("a.o"), desk.read("l.o"));
}

fn good_reply(version: Version) -> Reply {
    Reply {
        version,
        status: WaitStatus::SUCCESS,
        stderr: b"a.c:1: warning: from the server\n".to_vec(),
        stdout: Vec::new(),
        object: b"an object from the server".to_vec(),
        dependencies: None,
    }
}

#[test]
fn a_dead_host() {
    let host = format!("127.0.0.1:{}", free_port());
    falls_back(&desk(&host), "gcc -c a.c", "Connection refused");
}

#[test]
fn a_name_that_does_not_exist() {
    falls_back(
        &desk("no.such.host.invalid"),
        "gcc -c a.c",
        "no.such.host.invalid",
    );
}

#[test]
fn a_silent_host() {
    let mut kept = Vec::new();
    let server = FakeServer::start(move |_, stream| kept.push(stream));
    falls_back(&desk(&server.host("")), "gcc -c a.c", "timed out after 1 s");
}

#[test]
fn a_host_that_hangs_up_at_once() {
    let server = FakeServer::start(|_, stream| drop(stream));
    falls_back(
        &desk(&server.host(",lzo")),
        "gcc -c a.c",
        "server provided no answer",
    );
}

#[test]
fn garbage() {
    let (server, _requests) =
        FakeServer::answering(|_, _| b"HTTP/1.0 400 Bad Request\r\n".to_vec());
    falls_back(&desk(&server.host("")), "gcc -c a.c", "protocol derailment");
}

#[test]
fn an_announcement_of_four_gigabytes() {
    let (server, _requests) =
        FakeServer::answering(|_, _| b"DONE00000001STAT00000000SERRffffffff".to_vec());
    falls_back(&desk(&server.host("")), "gcc -c a.c", "above the limit");
}

#[test]
fn a_reply_cut_at_every_byte() {
    for version in [Version::Plain1, Version::Lzo2] {
        let whole = good_reply(version).encode();
        let length = whole.len();
        let (server, _requests) =
            FakeServer::answering(move |number, _| whole[..number.min(length)].to_vec());
        let options = if version == Version::Lzo2 { ",lzo" } else { "" };
        let desk = desk(&server.host(options));
        for cut in 0..length {
            let outcome = desk.distcc("gcc -c a.c -o cut.o");
            let why = if cut == 0 {
                "no answer"
            } else {
                "stopped in the middle"
            };
            outcome.says(0, why);
            assert!(
                !outcome.stderr.contains("from the server"),
                "cut at {cut}: {outcome:?}"
            );
            assert_ne!(
                desk.read("cut.o"),
                b"an object from the server",
                "cut at {cut}"
            );
        }
        let outcome = desk.distcc("gcc -c a.c -o cut.o");
        outcome.says(0, "from the server");
        assert_eq!(desk.read("cut.o"), b"an object from the server");
    }
}

#[test]
fn an_empty_object_is_no_success() {
    let mut reply = good_reply(Version::Plain1);
    reply.object.clear();
    let (server, _requests) = FakeServer::answering(move |_, _| reply.encode());
    let desk = desk(&server.host(""));
    desk.distcc("gcc -c a.c").says(0, "empty result");
    assert_ne!(desk.read("a.o"), b"");
}

#[test]
fn a_second_host_is_tried_before_home() {
    let (server, requests) = FakeServer::answering(|_, _| good_reply(Version::Plain1).encode());
    let hosts = format!("127.0.0.1:{} {}", free_port(), server.host(""));
    let desk = desk(&hosts).set("DISTCC_BACKOFF_PERIOD", "60");
    let outcome = desk.distcc("gcc -DX -c a.c");
    outcome.says(0, &format!("trying {}", server.host("")));
    assert_eq!(desk.read("a.o"), b"an object from the server");
    let request = requests.recv_timeout(PATIENCE).unwrap();
    let words: Vec<_> = request
        .argv
        .iter()
        .map(|w| String::from_utf8_lossy(w))
        .collect();
    assert_eq!(words[1..], ["-c", "a.c", "-o", "a.o"]);
    assert!(
        request
            .plain_source(1 << 20)
            .unwrap()
            .unwrap()
            .ends_with(b"int x = 1;\n")
    );
    // The dead one is now left alone: no word of it.
    let outcome = desk.distcc("gcc -c a.c");
    assert_eq!(outcome.stderr, "a.c:1: warning: from the server\n");
}

#[test]
fn a_server_that_answers_too_early_or_too_much() {
    // The reply comes before the request is read, and more follows: the reply counts, the rest is nobody's.
    let server = FakeServer::start(|_, mut stream| {
        let reply = good_reply(Version::Plain1).encode();
        let _ = stream.write_all(&[reply.as_slice(), b"and more"].concat());
        let _ = crate::support::read_request(&mut stream);
    });
    let desk = desk(&server.host(""));
    assert_eq!(desk.distcc("gcc -c a.c").code, Some(0));
    assert_eq!(desk.read("a.o"), b"an object from the server");
}

#[test]
fn with_fallbacks_disabled_the_code_is_stocks() {
    let host = format!("127.0.0.1:{}", free_port());
    let desk = desk(&host).set("DISTCC_FALLBACK", "0");
    desk.distcc("gcc -c a.c")
        .says(116, "fallbacks are disabled");
    assert!(!desk.has("a.o"));
}
