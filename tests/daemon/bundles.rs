//! Clients in the bundle dialect that break its rules, or forget, or die. Each gets a clear line, nothing wrong is kept, and the daemon serves the
//! next.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use protocol::bundle::BUNDLE_VERSION;
use protocol::bundle::block::{Codec, Codecs};
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry, Name};
use protocol::bundle::indices::Indices;
use protocol::bundle::manifest::Manifest;
use protocol::bundle::need::Need;
use protocol::bundle::offer::{encode_offer, split_words};
use protocol::bundle::pack::encode_pack;
use protocol::bundle::put_frame;
use protocol::bundle::refusal::{Refusal, RefusalKind};
use protocol::bundle::reply::BundleReply;
use protocol::bundle::setting::{Platform, Setting, encode_setting};
use protocol::bundle::table::{TableId, encode_extension, next_link};
use protocol::limits::Limits;
use protocol::token::{Tag, put_token};
use protocol::tree_path::TreePath;

use crate::harness::{Daemon, read_to_close, script, wait_until};

const LIMITS: Limits = Limits::DEFAULT;
const SOURCE: &[u8] = b"#include \"h.h\"\nint f(void) { return H; }\n";
pub const HEADER: &[u8] = b"#define H 42\n";

/// What a client of a test knows and says.
pub struct Job {
    id: TableId,
    pub table: Vec<Entry>,
    pub own: Vec<Entry>,
    pub contents: HashMap<Digest, Vec<u8>>,
    pub used: Indices,
    dead: Indices,
    pub setting: Vec<u8>,
    pub words: Vec<Vec<u8>>,
}

/// What a daemon said.
#[derive(Debug)]
pub enum Said {
    Need(Need),
    Refused(Refusal),
    Done(BundleReply),
    HungUp,
}

/// A file of a manifest.
pub fn file(path: &str, content: &[u8]) -> Entry {
    Entry {
        path: TreePath::new(path.as_bytes()).unwrap(),
        content: Content::File {
            digest: Digest::of(content),
            size: content.len() as u64,
            modified: 1_700_000_000,
        },
        late: false,
        system: false,
        name: Name::Relative,
    }
}

/// The identity of this machine's gcc, as a client's include server would say it.
fn identity() -> Vec<u8> {
    let path = std::env::var_os("PATH").unwrap();
    let question = toolchain::Question {
        compiler: Path::new("/usr/bin/gcc"),
        language: toolchain::Language::C,
        external_assembler: false,
        environment: &[("PATH".into(), path)],
    };
    let (identity, _) = toolchain::identify(&question, std::time::Duration::from_secs(60)).unwrap();
    let mut bytes = Vec::new();
    identity.encode(&mut bytes);
    bytes
}

impl Job {
    /// A source and a header in `/p/NAME`, each job of a name with a table of its own.
    pub fn new(name: u8) -> Self {
        Self::saying(name, &["gcc", "-O1", "-c", "a.c", "-o", "a.o"])
    }

    /// The same with other words.
    pub fn saying(name: u8, words: &[&str]) -> Self {
        let platform = Platform {
            names: vec![b"gcc".to_vec()],
            identity: identity(),
            system_directories: vec![b"/usr/include".to_vec(), b"/usr/local/include".to_vec()],
            environment: Vec::new(),
        };
        let mut bytes = Vec::new();
        platform.put(&mut bytes);
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let (common, _) = split_words(&words, is_own);
        let setting = Setting::encode(b"/p/q", &bytes, &common);
        let contents = [SOURCE, HEADER].map(|text| (Digest::of(text), text.to_vec()));
        Self {
            id: TableId([name; 16]),
            table: vec![file("/p/q/h.h", HEADER)],
            own: vec![file("/p/q/a.c", SOURCE)],
            contents: contents.into(),
            used: [0].into_iter().collect(),
            dead: Indices::default(),
            setting,
            words,
        }
    }

    /// The same with another source.
    pub fn with_source(mut self, source: &[u8]) -> Self {
        self.contents.insert(Digest::of(source), source.to_vec());
        self.own = vec![file("/p/q/a.c", source)];
        self
    }

    fn manifest(&self) -> Manifest {
        let link = self.id.first_link();
        Manifest {
            table: self.id,
            length: self.table.len() as u32,
            link: self
                .table
                .iter()
                .fold(link, |link, entry| next_link(&link, entry)),
            used: self.used.clone(),
            dead: self.dead.clone(),
            own: self.own.clone(),
        }
    }

    pub fn opening(&self) -> Vec<u8> {
        let mut manifest = Vec::new();
        self.manifest().put(&mut manifest);
        let (_, own) = split_words(&self.words, is_own);
        let offer = encode_offer(Codecs::ALL, &Digest::of(&self.setting), &own, &manifest);
        let mut bytes = Vec::new();
        put_token(&mut bytes, Tag::BNDL, BUNDLE_VERSION);
        put_frame(&mut bytes, Tag::OFFR, &offer);
        bytes
    }

    /// All that a daemon asked for.
    pub fn gifts(&self, need: &Need) -> Vec<u8> {
        let mut bytes = Vec::new();
        if need.setting {
            put_frame(
                &mut bytes,
                Tag::SETT,
                &encode_setting(&self.setting, Codec::Zstd),
            );
        }
        if let Some(from) = need.table {
            let entries = &self.table[from as usize..];
            let extension = encode_extension(self.id, from, entries, Codec::Lzo);
            put_frame(&mut bytes, Tag::TABL, &extension);
        }
        if !need.blobs.is_empty() {
            let blobs: Vec<(Digest, &[u8])> = need
                .blobs
                .iter()
                .map(|digest| (*digest, self.contents[digest].as_slice()))
                .collect();
            put_frame(&mut bytes, Tag::PACK, &encode_pack(&blobs, Codec::Zstd));
        }
        put_token(&mut bytes, Tag::HAVE, 0);
        bytes
    }

    /// The whole job, honestly.
    pub fn run(&self, daemon: &Daemon) -> Said {
        let mut stream = daemon.connect();
        stream.write_all(&self.opening()).unwrap();
        loop {
            match listen(&mut stream) {
                Said::Need(need) => stream.write_all(&self.gifts(&need)).unwrap(),
                said => return said,
            }
        }
    }

    /// The job up to the moment when the daemon asks for blobs.
    pub fn up_to_blobs(&self, daemon: &Daemon) -> (TcpStream, Need) {
        let mut stream = daemon.connect();
        stream.write_all(&self.opening()).unwrap();
        loop {
            match listen(&mut stream) {
                Said::Need(need) if need.blobs.is_empty() => {
                    stream.write_all(&self.gifts(&need)).unwrap();
                }
                Said::Need(need) => return (stream, need),
                said => panic!("no blobs were asked for: {said:?}"),
            }
        }
    }

    /// The honest job is done, with the object that gcc makes.
    pub fn assert_done(&self, daemon: &Daemon) {
        match self.run(daemon) {
            Said::Done(reply) => {
                assert!(reply.status.success(), "{reply:?}");
                assert!(reply.object.starts_with(b"\x7fELF"));
            }
            said => panic!("{said:?}"),
        }
    }
}

fn is_own(word: &[u8]) -> bool {
    word.starts_with(b"a.")
}

/// Reads the daemon's next message.
pub fn listen(stream: &mut TcpStream) -> Said {
    let mut head = [0; 12];
    if stream.read_exact(&mut head).is_err() {
        return Said::HungUp;
    }
    let token = protocol::token::Token::decode(&head).unwrap();
    if token.tag == Tag::DONE {
        let rest = read_to_close(stream);
        let bytes = [&head[..], &rest].concat();
        return Said::Done(BundleReply::decode(&bytes, LIMITS).unwrap());
    }
    let mut body = vec![0; token.value as usize];
    stream.read_exact(&mut body).unwrap();
    match token.tag {
        Tag::NEED => Said::Need(Need::decode(&body, &LIMITS).unwrap()),
        Tag::REFU => Said::Refused(Refusal::decode(&body).unwrap()),
        other => panic!("{other}"),
    }
}

fn assert_broken(said: Said, mention: &str) {
    match said {
        Said::Refused(refusal) => {
            assert_eq!(refusal.kind, RefusalKind::Broken, "{refusal}");
            assert!(refusal.text.contains(mention), "{refusal}");
        }
        said => panic!("{mention}: {said:?}"),
    }
}

fn daemon() -> Daemon {
    Daemon::start(|command, dir| {
        std::fs::write(dir.join("list"), "/usr/bin/gcc\n").unwrap();
        command.env("DISTCC_CMDLIST", dir.join("list"));
        command.env("DISTCC_IO_TIMEOUT", "5");
    })
}

#[test]
fn an_honest_client_is_served_twice_and_asked_once() {
    let daemon = daemon();
    let job = Job::new(1);
    job.assert_done(&daemon);
    let mut stream = daemon.connect();
    stream.write_all(&job.opening()).unwrap();
    assert!(matches!(listen(&mut stream), Said::Done(_)));
}

#[test]
fn a_blob_that_is_not_what_its_digest_says_is_refused_and_not_kept() {
    let daemon = daemon();
    let mut liar = Job::new(1);
    liar.contents
        .insert(Digest::of(HEADER), b"#define H 43\n".to_vec());
    assert_broken(liar.run(&daemon), "digest");
    // The next one is asked for it.
    let (_, need) = Job::new(2).up_to_blobs(&daemon);
    assert!(need.blobs.contains(&Digest::of(HEADER)));
    Job::new(3).assert_done(&daemon);
}

#[test]
fn what_was_not_asked_for_is_refused() {
    let daemon = daemon();
    let job = Job::new(1);
    let (mut stream, _) = job.up_to_blobs(&daemon);
    let foreign: &[u8] = b"never asked for";
    let mut bytes = Vec::new();
    put_frame(
        &mut bytes,
        Tag::PACK,
        &encode_pack(&[(Digest::of(foreign), foreign)], Codec::None),
    );
    stream.write_all(&bytes).unwrap();
    assert_broken(listen(&mut stream), "not asked for");

    let (mut stream, _) = job.up_to_blobs(&daemon);
    let mut bytes = Vec::new();
    put_frame(
        &mut bytes,
        Tag::SETT,
        &encode_setting(&job.setting, Codec::None),
    );
    stream.write_all(&bytes).unwrap();
    assert_broken(listen(&mut stream), "not asked for");

    let (mut stream, _) = job.up_to_blobs(&daemon);
    stream.write_all(b"HAVE00000000").unwrap();
    assert_broken(listen(&mut stream), "did not send all");
    job.assert_done(&daemon);
}

#[test]
fn a_client_that_dies_in_mid_blob_holds_nobody_up() {
    let daemon = daemon();
    let job = Job::new(1);
    let (mut stream, need) = job.up_to_blobs(&daemon);
    let gifts = job.gifts(&need);
    stream.write_all(&gifts[..gifts.len() / 2]).unwrap();
    // A second one waits for the same blobs, and is asked for them when the first is gone.
    let second = Job::new(2);
    let mut waiting = daemon.connect();
    waiting.write_all(&second.opening()).unwrap();
    match listen(&mut waiting) {
        Said::Need(need) => waiting.write_all(&second.gifts(&need)).unwrap(),
        said => panic!("{said:?}"),
    }
    drop(stream);
    match listen(&mut waiting) {
        Said::Need(need) => {
            assert!(need.blobs.contains(&Digest::of(HEADER)));
            waiting.write_all(&second.gifts(&need)).unwrap();
        }
        said => panic!("{said:?}"),
    }
    assert!(matches!(listen(&mut waiting), Said::Done(_)));
}

#[test]
fn a_table_that_contradicts_what_is_known_is_asked_for_anew() {
    let daemon = daemon();
    Job::new(1).assert_done(&daemon);
    // The same session's name, another table: whoever is right, nobody's entries are mixed.
    let mut other = Job::new(1);
    let header: &[u8] = b"#define H 7\n";
    other.contents.insert(Digest::of(header), header.to_vec());
    other.table = vec![file("/p/q/h.h", header)];
    other.assert_done(&daemon);
    Job::new(1).assert_done(&daemon);
    // A client whose table never has the link that it claims is sent away.
    let mut liar = Job::new(2);
    let right = liar.opening();
    liar.table.push(file("/p/q/more.h", HEADER));
    let mut stream = daemon.connect();
    stream.write_all(&right).unwrap();
    let said = loop {
        match listen(&mut stream) {
            Said::Need(need) => {
                let mut gifts = liar.gifts(&need);
                if need.table.is_some() {
                    liar.table[0] = file("/p/q/other.h", HEADER);
                    gifts = liar.gifts(&need);
                }
                stream.write_all(&gifts).unwrap();
            }
            said => break said,
        }
    };
    assert_broken(said, "table");
    Job::new(3).assert_done(&daemon);
}

#[test]
fn hostile_paths_lead_nowhere() {
    let daemon = daemon();
    let link = |path: &str, target: &str| Entry {
        content: Content::Link(target.as_bytes().to_vec()),
        ..file(path, HEADER)
    };
    let cases: Vec<Vec<Entry>> = vec![
        vec![file("/p/q/h.h", HEADER), file("/p/q/h.h", SOURCE)],
        vec![file("/p/q/h.h", HEADER), file("/p/q/h.h/below.h", HEADER)],
        vec![link("/p/q/out", "/etc"), file("/p/q/out/h.h", HEADER)],
        vec![link("/p/q/h.h", "../../../../../../etc/passwd")],
        vec![link("/p/q/h.h", "h.h")],
        vec![file("/dev/null", HEADER)],
        vec![file("/proc/self/mem", HEADER)],
        vec![file("/usr/bin/gcc", HEADER)],
        vec![file("/etc/ld.so.cache", HEADER)],
        vec![file("/tmp", HEADER)],
        vec![file("/p", HEADER)],
    ];
    for (number, table) in (10..).zip(cases) {
        let mut job = Job::new(number);
        job.used = (0..table.len() as u32).collect();
        job.table = table;
        match job.run(&daemon) {
            Said::Done(reply) => {
                // Without its header it cannot compile; a file elsewhere does it no harm.
                assert!(!reply.status.success(), "{number}: {reply:?}");
            }
            Said::Refused(refusal) => assert!(!refusal.text.is_empty()),
            said => panic!("{number}: {said:?}"),
        }
        Job::new(1).assert_done(&daemon);
    }
}

#[test]
fn an_offer_cut_or_spoilt_at_any_byte_harms_nobody() {
    let daemon = Daemon::start(|command, dir| {
        std::fs::write(dir.join("list"), "/usr/bin/gcc\n").unwrap();
        command.env("DISTCC_CMDLIST", dir.join("list"));
    });
    let job = Job::new(1);
    let opening = job.opening();
    for end in 4..opening.len() {
        let answer = daemon.exchange(&opening[..end]);
        assert!(
            answer.is_empty() || answer.starts_with(b"REFU"),
            "cut at {end}"
        );
    }
    for place in 4..opening.len() {
        let mut spoilt = opening.clone();
        spoilt[place] ^= 0x80;
        let answer = daemon.exchange(&spoilt);
        let known: [&[u8]; 2] = [b"REFU", b"NEED"];
        assert!(
            answer.is_empty() || known.iter().any(|tag| answer.starts_with(tag)),
            "spoilt at {place}"
        );
    }
    job.assert_done(&daemon);
}

#[test]
fn announced_sizes_are_capped_before_anything_comes() {
    let daemon = daemon();
    for opening in [
        "BNDL00000002OFFRffffffff",
        "BNDL00000002PACK00000010",
        "BNDL00000002HAVE00000000",
        "BNDLffffffff",
        "BNDLnonsense",
    ] {
        let mut stream = daemon.connect();
        stream.write_all(opening.as_bytes()).unwrap();
        assert!(matches!(listen(&mut stream), Said::Refused(_)), "{opening}");
    }
    let job = Job::new(1);
    let (mut stream, _) = job.up_to_blobs(&daemon);
    stream.write_all(b"PACKffffffff").unwrap();
    assert!(matches!(listen(&mut stream), Said::Refused(_)));
    // A pack of a few bytes that would become gigabytes.
    let (mut stream, need) = job.up_to_blobs(&daemon);
    let zeros = vec![0; 300 << 20];
    let bomb = encode_pack(&[(need.blobs[0], &zeros)], Codec::Zstd);
    let mut bytes = Vec::new();
    put_frame(&mut bytes, Tag::PACK, &bomb);
    assert!(bytes.len() < 1 << 20);
    stream.write_all(&bytes).unwrap();
    assert!(matches!(listen(&mut stream), Said::Refused(_)));
    job.assert_done(&daemon);
}

#[test]
fn a_silent_client_is_given_up_and_its_uploads_go_to_others() {
    let daemon = Daemon::start(|command, dir| {
        std::fs::write(dir.join("list"), "/usr/bin/gcc\n").unwrap();
        command.env("DISTCC_CMDLIST", dir.join("list"));
        command.env("DISTCC_IO_TIMEOUT", "1");
    });
    let (_silent, _) = Job::new(1).up_to_blobs(&daemon);
    Job::new(2).assert_done(&daemon);
}

/// A result would be everybody's: it must not rest on what its client says that the job does not use.
#[test]
fn an_offer_from_before_a_header_came_does_not_see_it() {
    let daemon = daemon();
    let header: &[u8] = b"int a_name_that_is_seen = 1;\n";
    let with = |source: &[u8], used: &[u32]| {
        let mut job = Job::new(7);
        job.own = vec![file("/p/q/a.c", source)];
        job.used = used.iter().copied().collect();
        for text in [source, header] {
            job.contents.insert(Digest::of(text), text.to_vec());
        }
        job
    };
    let mut honest = with(
        b"#include \"h.h\"\n#include \"later.h\"\nint f(void) { return H; }\n",
        &[0, 1],
    );
    honest.table.push(file("/p/q/later.h", header));
    honest.assert_done(&daemon);
    for question in ["__has_include(\"later.h\")", "__has_include(NAME)"] {
        let source = format!(
            "#include \"h.h\"\n#define NAME \"later.h\"\n#if {question}\n#include NAME\n#endif\nint f(void) {{ return H; }}\n"
        );
        match with(source.as_bytes(), &[0]).run(&daemon) {
            Said::Done(reply) => {
                assert!(reply.status.success(), "{reply:?}");
                let object = String::from_utf8_lossy(&reply.object).into_owned();
                assert!(!object.contains("a_name_that_is_seen"), "{question}");
            }
            said => panic!("{said:?}"),
        }
    }
}

#[test]
fn nothing_is_left_of_a_compiler_that_another_machine_has() {
    let daemon = Daemon::start(|command, dir| {
        script(&dir.join("server/gcc"), "echo I am no compiler; exit 0");
        let list = format!("{}\n", dir.join("server/gcc").display());
        std::fs::write(dir.join("list"), list).unwrap();
        command.env("DISTCC_CMDLIST", dir.join("list"));
    });
    match Job::new(1).run(&daemon) {
        Said::Refused(refusal) => {
            assert_eq!(refusal.kind, RefusalKind::Compiler);
            assert!(
                refusal.text.starts_with("the client compiles with gcc"),
                "{refusal}"
            );
        }
        said => panic!("{said:?}"),
    }
    wait_until("nothing is left", || daemon.leftovers().is_empty());
}
