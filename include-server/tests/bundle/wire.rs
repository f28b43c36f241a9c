//! The richer dialogue's second version on its socket, with clients of all kinds.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use include_server::answer::Answerer;
use include_server::facts::Freshness;
use include_server::service::{ServiceError, Sockets, serve};
use protocol::bundle::block::{Codec, Codecs};
use protocol::bundle::digest::Digest;
use protocol::bundle::manifest::Manifest;
use protocol::bundle::need::Need;
use protocol::bundle::number::Body;
use protocol::bundle::pack::{PACK_BYTES, Pack};
use protocol::bundle::table::Extension;
use protocol::bundle::{Frame, put_frame};
use protocol::include_dialogue::{
    Answer, Query, RichVersion, decode_manifest_answer, rich_socket_path,
};
use protocol::limits::Limits;
use protocol::token::{TOKEN_BYTES, Tag, Token, put_token};
use protocol::tree::decode_entries;

struct Service {
    directory: tempfile::TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServiceError>>>,
}

impl Service {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let environment = vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())];
        let answerer = Arc::new(Answerer::new(environment, Freshness::Auto, None).unwrap());
        let sockets = Sockets::bind(&directory.path().join("socket")).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            serve(sockets, answerer, || {
                Ok(async {
                    // A dropped sender stops the service as well.
                    let _ = stopped.await;
                })
            })
        });
        let service = Self {
            directory,
            stop: Some(stop),
            thread: Some(thread),
        };
        let big = "int filler;\n".repeat(PACK_BYTES / 12 / 2 + 1000);
        for (name, text) in [
            (
                "a.c",
                "#include \"b.h\"\n#include \"big1.h\"\n#include \"big2.h\"\n#include \"big3.h\"\n",
            ),
            ("b.h", "int b;\n"),
            ("big1.h", &format!("//1\n{big}")),
            ("big2.h", &format!("//2\n{big}")),
            ("big3.h", &format!("//3\n{big}{big}{big}")),
            ("bad.c", "#error no\n"),
        ] {
            std::fs::write(service.path(name), text).unwrap();
        }
        service
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    fn connect(&self) -> Client {
        let socket = self.path("socket");
        let path = rich_socket_path(socket.as_os_str().as_bytes());
        Client(UnixStream::connect(Path::new(std::ffi::OsStr::from_bytes(&path))).unwrap())
    }

    fn query(&self, source: &str) -> Vec<u8> {
        let query = Query {
            cwd: self.path("").as_os_str().as_bytes().to_vec(),
            environment: Some(vec![b"PATH=/usr/bin:/bin".to_vec()]),
            argv: ["gcc", "-nostdinc", "-c", source]
                .map(|word| word.as_bytes().to_vec())
                .to_vec(),
        };
        query.encode_for(RichVersion::Manifest)
    }

    /// A client with a manifest.
    fn offered(&self) -> (Client, Manifest) {
        let mut client = self.connect();
        client.say(&self.query("a.c"));
        let manifest = client.manifest();
        (client, manifest)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

struct Client(UnixStream);

impl Client {
    fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn hear(&mut self) -> Frame {
        let mut head = [0; TOKEN_BYTES];
        self.0.read_exact(&mut head).unwrap();
        let token = Token::decode(&head).unwrap();
        let mut body = vec![0; token.value as usize];
        self.0.read_exact(&mut body).unwrap();
        Frame {
            tag: token.tag,
            body,
        }
    }

    fn manifest(&mut self) -> Manifest {
        let frame = self.hear();
        assert_eq!(
            frame.tag,
            Tag::MANI,
            "{}",
            String::from_utf8_lossy(&frame.body)
        );
        let (manifest, _) = decode_manifest_answer(&frame.body).unwrap();
        Manifest::take(&mut Body::new(manifest), &Limits::DEFAULT).unwrap()
    }

    fn need(&mut self, table: Option<u32>, blobs: &[Digest]) {
        let message = need(table, blobs, Codecs::ALL);
        self.say(&message);
    }

    /// All messages up to the one that ends them.
    fn hear_all(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.hear();
            let is_last = matches!(frame.tag, Tag::HAVE | Tag::DOUB);
            frames.push(frame);
            if is_last {
                return frames;
            }
        }
    }
}

fn need(table: Option<u32>, blobs: &[Digest], codecs: Codecs) -> Vec<u8> {
    let need = Need {
        codecs,
        setting: true,
        table,
        blobs: blobs.to_vec(),
    };
    let mut message = Vec::new();
    put_frame(&mut message, Tag::NEED, &need.encode());
    message
}

fn tags(frames: &[Frame]) -> Vec<Tag> {
    frames.iter().map(|frame| frame.tag).collect()
}

#[test]
fn the_table_and_the_files_in_packs() {
    let service = Service::start();
    let (mut client, manifest) = service.offered();
    assert_eq!(manifest.length, 4);
    client.need(Some(0), &[]);
    let frames = client.hear_all();
    assert_eq!(tags(&frames), [Tag::TABL, Tag::HAVE]);
    let extension = Extension::decode(&frames[0].body, &Limits::DEFAULT).unwrap();
    assert_eq!((extension.id, extension.from), (manifest.table, 0));
    assert_eq!(extension.entries.len(), 4);
    let text = |name: &str| std::fs::read(service.path(name)).unwrap();
    let names = ["a.c", "big1.h", "b.h", "big2.h", "big3.h"];
    let digests = names.map(|name| Digest::of(&text(name)));
    for codec in [Codec::None, Codec::Lzo, Codec::Zstd] {
        // Each is given once, however often it is asked for.
        let twice = [digests, digests].concat();
        client.say(&need(Some(4), &twice, Codecs(1 << codec as u8)));
        let frames = client.hear_all();
        assert_eq!(
            tags(&frames),
            [Tag::TABL, Tag::PACK, Tag::PACK, Tag::PACK, Tag::HAVE]
        );
        let packs = frames[1..4].iter();
        let packs: Vec<Pack> = packs
            .map(|frame| Pack::decode(&frame.body, &Limits::DEFAULT).unwrap())
            .collect();
        let blobs: Vec<(Digest, &[u8])> = packs.iter().flat_map(Pack::blobs).collect();
        assert_eq!(blobs.len(), 5);
        for ((digest, bytes), name) in blobs.into_iter().zip(names) {
            assert!(Digest::of(bytes) == digest && bytes == text(name), "{name}");
        }
    }
}

#[test]
fn only_what_belongs_to_the_job_is_given() {
    let service = Service::start();
    std::fs::write(service.path("secret"), "secret").unwrap();
    let (mut client, manifest) = service.offered();
    let own = Digest::of(&std::fs::read(service.path("b.h")).unwrap());
    for (table, blobs, reason) in [
        (None, vec![Digest::of(b"secret")], "not of this job"),
        (None, vec![own, Digest([0; 32])], "not of this job"),
        (Some(manifest.length + 1), vec![], "from entry 5 on"),
        (Some(u32::MAX), vec![own], "from entry 4294967295 on"),
    ] {
        client.need(table, &blobs);
        let frames = client.hear_all();
        assert_eq!(tags(&frames), [Tag::DOUB]);
        let said = String::from_utf8_lossy(&frames[0].body).into_owned();
        assert!(said.contains(reason), "{said}");
    }
    // It goes on.
    client.need(None, &[own]);
    assert_eq!(tags(&client.hear_all()), [Tag::PACK, Tag::HAVE]);
}

#[test]
fn the_section_may_be_had_after_all() {
    let service = Service::start();
    let (mut client, _) = service.offered();
    let mut message = Vec::new();
    put_token(&mut message, Tag::SECT, 0);
    client.say(&message);
    let frame = client.hear();
    assert_eq!(frame.tag, Tag::CLOS);
    let entries = decode_entries(&frame.body, Limits::DEFAULT).unwrap();
    assert_eq!(entries.len(), 5);
    client.need(Some(0), &[]);
    assert_eq!(tags(&client.hear_all()), [Tag::TABL, Tag::HAVE]);
}

#[test]
fn a_doubt_ends_the_conversation() {
    let service = Service::start();
    let mut client = service.connect();
    client.say(&service.query("bad.c"));
    let mut bytes = Vec::new();
    client.0.read_to_end(&mut bytes).unwrap();
    match Answer::decode(&bytes, Limits::DEFAULT).unwrap() {
        Answer::Doubt(reason) => assert!(reason.contains("#error"), "{reason}"),
        Answer::Closure(_) => panic!("it is no closure"),
    }
}

#[test]
fn all_at_once_and_byte_by_byte() {
    let service = Service::start();
    let own = Digest::of(&std::fs::read(service.path("b.h")).unwrap());
    let message = [service.query("a.c"), need(Some(1), &[own], Codecs::ALL)].concat();
    for step in [message.len(), 1] {
        let mut client = service.connect();
        message.chunks(step).for_each(|part| client.say(part));
        client.manifest();
        let expected = [Tag::TABL, Tag::PACK, Tag::HAVE];
        assert_eq!(tags(&client.hear_all()), expected);
    }
}

#[test]
fn thousands_of_needs_and_clients_that_vanish() {
    let service = Service::start();
    let (mut client, _) = service.offered();
    let digests =
        ["b.h", "a.c"].map(|name| Digest::of(&std::fs::read(service.path(name)).unwrap()));
    for number in 0..3000 {
        client.need(
            (number % 3 == 0).then_some(number % 5),
            &digests[..number as usize % 3],
        );
        let last = client.hear_all().pop().unwrap();
        assert_eq!(last.tag, Tag::HAVE);
    }
    for step in 0..60 {
        let (mut client, _) = service.offered();
        let big = Digest::of(&std::fs::read(service.path("big3.h")).unwrap());
        let message = need(Some(0), &[big], Codecs::ALL);
        // Some go in the middle of what they say, some in the middle of what they hear.
        client.say(&message[..message.len().min(step * 2)]);
    }
    // Words that are none.
    for words in [
        &b"NEED00000003\xff\xff\xff"[..],
        b"SECT00000001x",
        b"HAVE00000000",
        b"NEEDffffffff",
    ] {
        let (mut client, _) = service.offered();
        client.say(words);
        let mut bytes = Vec::new();
        // It may have been reset; in any case nothing is said.
        let _ = client.0.read_to_end(&mut bytes);
        assert_eq!(bytes, b"");
    }
    client.need(Some(0), &digests);
    assert_eq!(tags(&client.hear_all()), [Tag::TABL, Tag::PACK, Tag::HAVE]);
}
