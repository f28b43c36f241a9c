//! The wire format: as captured from stock, round trip, and cut at every byte.

use protocol::error::WireError;
use protocol::include_dialogue::{
    Answer, AnswerDecoder, Dialogue, Query, QueryDecoder, decode_stock_answer, encode_stock_answer,
};
use protocol::limits::Limits;
use protocol::lzo;
use protocol::reply::{Reply, ReplyDecoder};
use protocol::request::{Head, Input, Request, RequestDecoder, RequestSkimmer};
use protocol::tree::{EntryContent, TreeEntry, decode_entries, put_entries};
use protocol::tree_path::TreePath;
use protocol::version::Version;
use protocol::wait_status::WaitStatus;

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn path(path: &str) -> TreePath {
    TreePath::new(path.as_bytes()).unwrap()
}

fn pump_request() -> Request {
    let file = |name: &str, text: &[u8]| TreeEntry {
        path: path(name),
        content: EntryContent::File(lzo::compress(text)),
    };
    Request {
        version: Version::Pump3,
        cwd: Some(b"/home/u/p".to_vec()),
        argv: words(&["gcc", "-Iinc", "-c", "a.c", "-o", "a.o"]),
        input: Input::Tree(vec![
            file("/home/u/p/a.c", b"#include \"v.h\"\n"),
            file("/home/u/p/empty.h", b""),
            TreeEntry {
                path: path("/home/u/p/v.h"),
                content: EntryContent::Link(b"/home/u/p/inc/real.h".to_vec()),
            },
            TreeEntry::system_link(path("/usr/include")),
        ]),
    }
}

fn plain_request(version: Version) -> Request {
    let input = Input::Preprocessed(version.pack(b"int x;\nint y;\nint z;\n"));
    Request {
        version,
        cwd: None,
        argv: words(&["gcc", "-c", "", "a.i"]),
        input,
    }
}

fn replies() -> Vec<Reply> {
    let mut replies = Vec::new();
    for version in [Version::Plain1, Version::Lzo2, Version::Pump3] {
        for status in [WaitStatus::SUCCESS, WaitStatus::exited(1), WaitStatus(11)] {
            let ok = status.success();
            replies.push(Reply {
                version,
                status,
                stderr: b"a.c:1: warning: hm\n".to_vec(),
                stdout: Vec::new(),
                object: if ok {
                    b"\x7fELF and more".to_vec()
                } else {
                    Vec::new()
                },
                dependencies: (ok && version == Version::Pump3).then(|| b"a.o: a.c\n".to_vec()),
            });
        }
    }
    replies
}

#[test]
fn a_plain_request_has_the_bytes_of_protocol_1() {
    let request = Request {
        input: Input::Preprocessed(b"int x;\n".to_vec()),
        ..plain_request(Version::Plain1)
    };
    let expected =
        b"DIST00000001ARGC00000004ARGV00000003gccARGV00000002-cARGV00000000ARGV00000003a.i\
                     DOTI00000007int x;\n";
    assert_eq!(
        request.encode().escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

#[test]
fn a_pump_request_has_the_bytes_of_protocol_3() {
    let request = Request {
        version: Version::Pump3,
        cwd: Some(b"/p".to_vec()),
        argv: words(&["gcc"]),
        input: Input::Tree(vec![
            TreeEntry {
                path: path("/p/v.h"),
                content: EntryContent::Link(b"r.h".to_vec()),
            },
            TreeEntry {
                path: path("/p/r.h"),
                content: EntryContent::File(Vec::new()),
            },
        ]),
    };
    let expected = b"DIST00000003CDIR00000002/pARGC00000001ARGV00000003gccNFIL00000002\
                     NAME00000006/p/v.hLINK00000003r.hNAME00000006/p/r.hFILE00000000";
    assert_eq!(
        request.encode().escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

#[test]
fn system_links_are_stocks() {
    // The capture in facts/distcc-baseline.md §2.1: '../' 22 times and 'usr/include', 0x4d bytes.
    let link = TreeEntry::system_link(path("/usr/include"));
    let EntryContent::Link(target) = &link.content else {
        panic!("not a link")
    };
    assert_eq!(target.len(), 0x4d);
    assert!(link.is_system_link());
    let other = TreeEntry {
        path: path("/usr/lib"),
        content: link.content.clone(),
    };
    assert!(!other.is_system_link());
    let shallow = TreeEntry {
        path: path("/a/b/c"),
        content: EntryContent::Link(b"../a/b/c".to_vec()),
    };
    assert!(!shallow.is_system_link());
}

#[test]
fn requests_come_back_and_no_part_of_one_is_a_request() {
    for request in [
        pump_request(),
        plain_request(Version::Plain1),
        plain_request(Version::Lzo2),
    ] {
        let bytes = request.encode();
        assert_eq!(
            Request::decode(&bytes, Limits::DEFAULT).as_ref(),
            Ok(&request)
        );
        for end in 0..bytes.len() {
            let cut = Request::decode(&bytes[..end], Limits::DEFAULT);
            assert!(
                matches!(cut, Err(WireError::Truncated { .. })),
                "{end}: {cut:?}"
            );
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert_eq!(
            Request::decode(&longer, Limits::DEFAULT),
            Err(WireError::TrailingBytes(1))
        );
    }
}

#[test]
fn a_request_may_arrive_in_any_pieces() {
    let request = pump_request();
    let bytes = request.encode();
    for size in [1, 2, 5, 11, 12, 13, 64, 1000] {
        let mut decoder = RequestDecoder::new(Limits::DEFAULT);
        for piece in bytes.chunks(size) {
            assert!(!decoder.is_complete());
            assert_eq!(decoder.feed(piece), Ok(piece.len()));
        }
        assert!(decoder.is_complete());
        assert_eq!(decoder.feed(b"behind"), Ok(0));
        assert_eq!(decoder.finish().as_ref(), Ok(&request));
    }
}

#[test]
fn a_skimmed_request_ends_where_a_decoded_one_does() {
    for request in [
        pump_request(),
        plain_request(Version::Plain1),
        plain_request(Version::Lzo2),
    ] {
        let bytes = [request.encode().as_slice(), b"behind"].concat();
        for size in [1, 12, 13, 1000, bytes.len()] {
            let mut decoder = RequestDecoder::new(Limits::DEFAULT);
            let mut skimmer = RequestSkimmer::new(Limits::DEFAULT);
            for piece in bytes.chunks(size) {
                assert_eq!(skimmer.feed(piece), decoder.feed(piece));
                assert_eq!(skimmer.is_complete(), decoder.is_complete());
            }
            let request = decoder.finish().unwrap();
            let head = Head {
                version: request.version,
                cwd: request.cwd,
                argv: request.argv,
            };
            assert_eq!(skimmer.finish(), Ok(head));
        }
        let mut skimmer = RequestSkimmer::new(Limits::DEFAULT);
        skimmer.feed(&bytes[..bytes.len() - 7]).unwrap();
        assert!(matches!(skimmer.finish(), Err(WireError::Truncated { .. })));
    }
}

#[test]
fn replies_come_back_and_no_part_of_one_is_a_reply() {
    for reply in replies() {
        let bytes = reply.encode();
        assert_eq!(
            Reply::decode(&bytes, reply.version, Limits::DEFAULT).as_ref(),
            Ok(&reply)
        );
        for end in 0..bytes.len() {
            let cut = Reply::decode(&bytes[..end], reply.version, Limits::DEFAULT);
            assert!(
                matches!(cut, Err(WireError::Truncated { .. })),
                "{end}: {cut:?}"
            );
        }
        let mut decoder = ReplyDecoder::new(reply.version, Limits::DEFAULT);
        for piece in bytes.chunks(7) {
            assert_eq!(decoder.feed(piece), Ok(piece.len()));
        }
        assert_eq!(decoder.finish().as_ref(), Ok(&reply));
    }
}

#[test]
fn a_reply_of_another_version_is_refused() {
    let reply = replies().remove(0);
    assert_eq!(
        Reply::decode(&reply.encode(), Version::Lzo2, Limits::DEFAULT),
        Err(WireError::UnknownVersion(1))
    );
}

#[test]
fn queries_and_answers_come_back_and_no_part_of_one_does() {
    let rich = Query {
        cwd: b"/p".to_vec(),
        environment: Some(words(&["PATH=/bin", "LANG="])),
        argv: words(&["gcc", "-c", "a.c"]),
    };
    let stock = Query {
        environment: None,
        ..rich.clone()
    };
    for (dialogue, query) in [(Dialogue::Rich, rich), (Dialogue::Stock, stock)] {
        let bytes = query.encode();
        for end in 0..=bytes.len() {
            let mut decoder = QueryDecoder::new(dialogue, Limits::DEFAULT);
            assert_eq!(decoder.feed(&bytes[..end]), Ok(end));
            let read = decoder.finish();
            assert_eq!(read.is_ok(), end == bytes.len());
            assert!(read.is_err() || read.as_ref() == Ok(&query));
        }
    }
    for answer in [
        Answer::Closure(b"NFIL00000000".to_vec()),
        Answer::Doubt("because".into()),
    ] {
        let bytes = answer.encode();
        for end in 0..bytes.len() {
            let mut decoder = AnswerDecoder::new(Limits::DEFAULT);
            assert_eq!(decoder.feed(&bytes[..end]), Ok(end));
            assert!(decoder.finish().is_err());
        }
        assert_eq!(Answer::decode(&bytes, Limits::DEFAULT), Ok(answer));
    }
    let files = words(&["/dev/shm/r/p/a.c.lzo", "/dev/shm/r/p/b.h.lzo"]);
    assert_eq!(
        decode_stock_answer(&encode_stock_answer(&files), Limits::DEFAULT),
        Ok(files)
    );
    assert_eq!(
        decode_stock_answer(&encode_stock_answer(&[]), Limits::DEFAULT),
        Ok(Vec::new())
    );
}

#[test]
fn the_closure_section_is_what_a_request_holds() {
    let request = pump_request();
    let Input::Tree(entries) = &request.input else {
        panic!("not a tree")
    };
    let mut section = Vec::new();
    put_entries(&mut section, entries);
    assert!(request.encode().ends_with(&section));
    assert_eq!(
        decode_entries(&section, Limits::DEFAULT).as_ref(),
        Ok(entries)
    );
}

/// What a hostile peer sends, and the error that it gets.
#[test]
fn hostile_requests_are_refused_before_memory_is_reserved() {
    let limits = Limits::DEFAULT;
    let refused = |bytes: &[u8]| Request::decode(bytes, limits).unwrap_err();
    let is_large = |error: &WireError| matches!(error, WireError::TooLarge { .. });
    assert_eq!(refused(b"DIST00000004"), WireError::UnknownVersion(4));
    assert_eq!(refused(b"DIST00000000"), WireError::UnknownVersion(0));
    assert!(matches!(
        refused(b"GET / HTTP/1.0\r\n\r\n"),
        WireError::MalformedToken(_)
    ));
    assert!(matches!(
        refused(b"DONE00000001"),
        WireError::UnexpectedToken { .. }
    ));
    assert!(is_large(&refused(b"DIST00000001ARGCffffffff")));
    assert!(is_large(&refused(b"DIST00000001ARGC00000001ARGVffffffff")));
    assert!(is_large(&refused(
        b"DIST00000001ARGC00000001ARGV00000003gccDOTIffffffff"
    )));
    assert!(is_large(&refused(b"DIST00000003CDIRffffffff")));
    assert!(is_large(&refused(
        b"DIST00000003CDIR00000001/ARGC00000001ARGV00000003gccNFIL7fffffff"
    )));
    assert_eq!(
        refused(b"DIST00000001ARGC00000000DOTI00000000"),
        WireError::NoArguments
    );
    let named = |name: &str| {
        let head = "DIST00000003CDIR00000001/ARGC00000001ARGV00000003gccNFIL00000001";
        refused(format!("{head}NAME{:08x}{name}FILE00000000", name.len()).as_bytes())
    };
    for bad in [
        "/../etc/passwd",
        "/home/../../x",
        "relative",
        "/a\0b",
        "/",
        "",
    ] {
        assert!(matches!(named(bad), WireError::BadPath(_)), "{bad:?}");
    }
    let small = Limits {
        message_bytes: 10,
        ..limits
    };
    let error = Request::decode(&plain_request(Version::Plain1).encode(), small).unwrap_err();
    assert!(is_large(&error));
    assert!(
        error.to_string().contains("above the limit of 10"),
        "{error}"
    );
}
