//! Messages of the bundle dialect, written and read again; cut short, lengthened and contradicted.

use protocol::bundle::block::{Codec, Codecs};
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry, Name};
use protocol::bundle::indices::Indices;
use protocol::bundle::manifest::Manifest;
use protocol::bundle::need::Need;
use protocol::bundle::offer::{Offer, encode_offer, split_words};
use protocol::bundle::pack::{Pack, encode_pack};
use protocol::bundle::refusal::{Refusal, RefusalKind};
use protocol::bundle::reply::{BundleReply, Fate, Note};
use protocol::bundle::setting::{Platform, Setting, decode_setting, encode_setting};
use protocol::bundle::table::{Extension, TableId, encode_extension, next_link};
use protocol::bundle::{Frame, FrameDecoder, put_frame};
use protocol::error::WireError;
use protocol::limits::Limits;
use protocol::token::Tag;
use protocol::tree_path::TreePath;
use protocol::wait_status::WaitStatus;

const LIMITS: Limits = Limits::DEFAULT;

fn entry(path: &str, content: Content) -> Entry {
    Entry {
        path: TreePath::new(path.as_bytes()).unwrap(),
        content,
        late: path.contains("late"),
        system: path.starts_with("/usr"),
        name: match path.len() % 3 {
            0 => Name::Relative,
            1 => Name::Path,
            _ => Name::Other(b"/elsewhere/x.h".to_vec()),
        },
    }
}

fn file(path: &str, modified: i64) -> Entry {
    let digest = Digest::of(path.as_bytes());
    let size = path.len() as u64 * 1000;
    entry(
        path,
        Content::File {
            digest,
            size,
            modified,
        },
    )
}

fn entries() -> Vec<Entry> {
    vec![
        file("/usr/include/stdio.h", 1_700_000_000),
        file("/home/u/late.h", -5),
        file("/home/u/a.hh", i64::MAX),
        file("/home/u/b.hhh", i64::MIN),
        entry("/home/u/link", Content::Link(b"../u/a.hh".to_vec())),
        entry("/home/u/empty", Content::Directory),
    ]
}

fn manifest() -> Manifest {
    Manifest {
        table: TableId([7; 16]),
        length: 900,
        link: Digest::of(b"link"),
        used: (0..400).chain([500, 502]).chain(600..899).collect(),
        dead: [401, 899].into_iter().collect(),
        own: vec![file("/home/u/main.c", 1_700_000_001)],
    }
}

fn offer_bytes(manifest: &Manifest, words: &[Vec<u8>]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (common, own) = split_words(words, |word| word.starts_with(b"main"));
    let mut bytes = Vec::new();
    manifest.put(&mut bytes);
    let common: Vec<Vec<u8>> = common.into_iter().map(<[u8]>::to_vec).collect();
    let offer = encode_offer(Codecs::ALL, &Digest::of(b"setting"), &own, &bytes);
    (offer, common)
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

#[test]
fn an_offer_and_its_setting_give_the_command_line_again() {
    for line in [
        "gcc -O2 -c main.c -o main.o -Ix",
        "main -c main.c",
        "gcc main.c main.o main.d",
        "gcc",
    ] {
        let words = words(line);
        let (bytes, common) = offer_bytes(&manifest(), &words);
        let offer = Offer::decode(&bytes, &LIMITS).unwrap();
        assert_eq!(offer.manifest, manifest());
        assert_eq!(offer.command_line(&common), Ok(words), "{line}");
    }
}

#[test]
fn an_offer_of_800_known_headers_is_small() {
    let words = words("gcc -O2 -c main.c -o main.o");
    let (bytes, _) = offer_bytes(&manifest(), &words);
    assert!(bytes.len() < 300, "{}", bytes.len());
}

#[test]
fn positions_that_do_not_fit_are_refused() {
    let (bytes, common) = offer_bytes(&manifest(), &words("gcc -c main.c -o main.o"));
    let offer = Offer::decode(&bytes, &LIMITS).unwrap();
    assert_eq!(offer.command_line(&common[..1]), Err(WireError::BadEntry));
    assert_eq!(offer.command_line(&[]), Err(WireError::BadEntry));
}

#[test]
fn a_used_index_cannot_be_dead() {
    let mut wrong = manifest();
    wrong.dead = [5].into_iter().collect();
    let (bytes, _) = offer_bytes(&wrong, &words("gcc -c main.c"));
    assert_eq!(Offer::decode(&bytes, &LIMITS), Err(WireError::BadEntry));
}

#[test]
fn messages_read_back_and_no_piece_of_one_does() {
    let need = Need {
        codecs: Codecs(0b011),
        setting: true,
        table: Some(300),
        blobs: vec![Digest::of(b"a"), Digest::of(b"b")],
    };
    let setting = Setting {
        cwd: b"/home/u".to_vec(),
        platform: Platform {
            names: words("gcc x86_64-linux-gnu-gcc-12"),
            identity: vec![1; 90],
            system_directories: words("/usr/include /usr/local/include"),
            environment: words("SOURCE_DATE_EPOCH=0"),
        },
        words: words("gcc -O2 -c"),
    };
    let mut platform = Vec::new();
    setting.platform.put(&mut platform);
    let common: Vec<&[u8]> = setting.words.iter().map(Vec::as_slice).collect();
    let plain = Setting::encode(&setting.cwd, &platform, &common);
    let sent = encode_setting(&plain, Codec::Zstd);
    let extension = encode_extension(TableId([7; 16]), 12, &entries(), Codec::Lzo);
    let (offer, _) = offer_bytes(&manifest(), &words("gcc -c main.c -o main.o"));

    assert_eq!(Need::decode(&need.encode(), &LIMITS), Ok(need.clone()));
    assert_eq!(Setting::decode(&plain, &LIMITS), Ok(setting));
    assert_eq!(decode_setting(&sent, &LIMITS).as_ref(), Ok(&plain));
    let read = Extension::decode(&extension, &LIMITS).unwrap();
    assert_eq!((read.from, read.entries), (12, entries()));

    type Reads = fn(&[u8]) -> bool;
    let readers: [(&[u8], Reads); 5] = [
        (&offer, |bytes| Offer::decode(bytes, &LIMITS).is_ok()),
        (&need.encode(), |bytes| Need::decode(bytes, &LIMITS).is_ok()),
        (&plain, |bytes| Setting::decode(bytes, &LIMITS).is_ok()),
        (&sent, |bytes| decode_setting(bytes, &LIMITS).is_ok()),
        (&extension, |bytes| {
            Extension::decode(bytes, &LIMITS).is_ok()
        }),
    ];
    for (bytes, reads) in readers {
        assert!(reads(bytes));
        for cut in 0..bytes.len() {
            assert!(!reads(&bytes[..cut]), "cut at {cut} of {}", bytes.len());
        }
        assert!(!reads(&[bytes, b"x"].concat()));
    }
}

#[test]
fn packs_read_back() {
    let blobs: Vec<Vec<u8>> = (0..50).map(|n| vec![n; usize::from(n) * 37]).collect();
    let named: Vec<(Digest, &[u8])> = blobs
        .iter()
        .map(|blob| (Digest::of(blob), blob.as_slice()))
        .collect();
    for codec in [Codec::None, Codec::Lzo, Codec::Zstd] {
        let bytes = encode_pack(&named, codec);
        let pack = Pack::decode(&bytes, &LIMITS).unwrap();
        assert!(pack.blobs().eq(named.iter().copied()));
        for cut in 0..bytes.len() {
            assert!(Pack::decode(&bytes[..cut], &LIMITS).is_err());
        }
    }
    let small = Limits {
        pack_bytes: 1000,
        ..LIMITS
    };
    let bytes = encode_pack(&named, Codec::Zstd);
    assert!(matches!(
        Pack::decode(&bytes, &small),
        Err(WireError::NumberTooLarge { .. })
    ));
}

#[test]
fn replies_read_back_byte_by_byte() {
    let reply = BundleReply {
        note: Note {
            fate: Fate::NotKept,
            text: "a.c mentions __DATE__".to_owned(),
        },
        status: WaitStatus::exited(1),
        stderr: b"a.c:1: warning\n".to_vec(),
        stdout: Vec::new(),
        object: vec![0x7f; 5000],
        dependencies: b"a.o: a.c\n".to_vec(),
        side: vec![
            (b"a.dwo".to_vec(), vec![1, 2, 3]),
            (b"a.su".to_vec(), Vec::new()),
        ],
    };
    for codec in [Codec::None, Codec::Lzo, Codec::Zstd] {
        let bytes = reply.encode(codec);
        assert_eq!(BundleReply::decode(&bytes, LIMITS).as_ref(), Ok(&reply));
        for cut in 0..bytes.len() {
            assert!(BundleReply::decode(&bytes[..cut], LIMITS).is_err());
        }
    }
}

#[test]
fn an_outcome_is_kept_apart_from_its_note() {
    let plain = BundleReply {
        object: vec![7; 300],
        ..BundleReply::default()
    };
    let outcome = plain.encode_outcome(Codec::Zstd);
    assert_eq!(
        BundleReply::decode_outcome(&outcome, LIMITS).as_ref(),
        Ok(&plain)
    );
    for cut in 0..outcome.len() {
        assert!(BundleReply::decode_outcome(&outcome[..cut], LIMITS).is_err());
    }
    let note = Note {
        fate: Fate::Hit,
        text: "as before\x1b[2J\n".to_owned(),
    };
    let sent = BundleReply::with_outcome(&note, &outcome);
    let read = BundleReply::decode(&sent, LIMITS).unwrap();
    assert_eq!(read.object, plain.object);
    assert_eq!(read.note.fate, Fate::Hit);
    assert_eq!(read.note.text, "as before [2J ");
}

#[test]
fn frames_are_the_ones_that_may_come() {
    const TAGS: &[Tag] = &[Tag::NEED, Tag::HAVE];
    let mut bytes = Vec::new();
    put_frame(&mut bytes, Tag::NEED, b"abc");
    put_frame(&mut bytes, Tag::HAVE, b"");
    let mut decoder = FrameDecoder::new(TAGS, LIMITS);
    let used = decoder.feed(&bytes).unwrap();
    let frame = decoder.finish().unwrap();
    let body = b"abc".to_vec();
    assert_eq!(
        (used, frame),
        (
            15,
            Frame {
                tag: Tag::NEED,
                body
            }
        )
    );
    let mut decoder = FrameDecoder::new(TAGS, LIMITS);
    assert_eq!(decoder.feed(&bytes[used..]), Ok(12));
    assert!(decoder.is_complete());
    for wrong in [&b"PACK00000000"[..], b"HAVE00000001", b"NEEDffffffff"] {
        assert!(FrameDecoder::new(TAGS, LIMITS).feed(wrong).is_err());
    }
}

#[test]
fn refusals_are_one_line_for_a_terminal() {
    let refusal = Refusal {
        kind: RefusalKind::Compiler,
        text: "no \u{1b}[31mgcc\n".repeat(1000),
    };
    let bytes = refusal.encode();
    assert!(bytes.len() < 3000);
    let read = Refusal::decode(&bytes).unwrap();
    assert_eq!(read.kind, RefusalKind::Compiler);
    assert!(!read.text.chars().any(char::is_control));
    assert!(Refusal::decode(b"").is_err() && Refusal::decode(b"\x09x").is_err());
}

#[test]
fn a_link_depends_on_every_entry_before_it() {
    let id = TableId([1; 16]);
    let chain = |entries: &[Entry]| {
        let first = id.first_link();
        entries
            .iter()
            .fold(first, |link, entry| next_link(&link, entry))
    };
    let all = entries();
    let mut swapped = all.clone();
    swapped.swap(0, 1);
    assert_ne!(chain(&all), chain(&swapped));
    assert_ne!(chain(&all), chain(&all[1..]));
    assert_ne!(id.first_link(), TableId([2; 16]).first_link());
}

#[test]
fn paths_have_one_form() {
    let mut bytes = Vec::new();
    protocol::bundle::entry::put_entry(&mut bytes, &file("/home/u/a.hh", 0));
    let read = |bytes: &[u8]| {
        let mut body = protocol::bundle::number::Body::new(bytes);
        protocol::bundle::entry::take_entry(&mut body, &LIMITS)
    };
    assert!(read(&bytes).is_ok());
    for wrong in [
        "/home/../a.hh",
        "//ome/u/a.hh",
        "/home/u/./hh",
        "home//u/a.hh",
        "/home/u/a.h\0",
    ] {
        let mut bad = bytes.clone();
        bad[2..2 + wrong.len()].copy_from_slice(wrong.as_bytes());
        assert!(read(&bad).is_err(), "{wrong:?}");
    }
}

#[test]
fn indices_are_compact() {
    let set: Indices = (0..1200).collect();
    let mut bytes = Vec::new();
    set.put(&mut bytes);
    assert!(bytes.len() <= 4);
}
