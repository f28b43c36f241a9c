//! Bodies of the fuzz targets: any bytes in, no panic, no memory beyond the limits, and what was read reads back.
//!
//! They live in the library so that the driver (the root package's `fuzz-parsers`), the test that replays `fuzz-corpus/`, and a debugger run the same code.

use crate::error::WireError;
use crate::include_dialogue::{
    Answer, AnswerDecoder, Dialogue, QueryDecoder, decode_stock_answer, encode_stock_answer,
};
use crate::limits::Limits;
use crate::mutation::Body;
use crate::reply::{Reply, ReplyDecoder};
use crate::request::{Request, RequestDecoder, RequestSkimmer};
use crate::tree::{decode_entries, put_entries};
use crate::version::Version;

/// All bodies, by the names of their corpora.
pub const BODIES: [Body; 8] = [
    ("request", request),
    ("reply", reply),
    ("include_dialogue", include_dialogue),
    ("entries", entries),
    ("lzo", lzo),
    ("bundle", bundle),
    ("command_line", crate::command_line::fuzz_command_line),
    ("announcement", announcement),
];

/// Small limits, so that a fuzzer meets them.
const LIMITS: Limits = Limits {
    arguments: 64,
    argument_bytes: 1024,
    path_bytes: 512,
    files: 64,
    body_bytes: 1 << 16,
    message_bytes: 1 << 18,
    plain_bytes: 1 << 20,
    offer_bytes: 1 << 16,
    setting_bytes: 1 << 16,
    table_bytes: 1 << 16,
    table_entries: 256,
    pack_bytes: 1 << 20,
};

/// Feeds bytes in two pieces, so that messages are cut at every kind of place.
macro_rules! feed_in_pieces {
    ($decoder:expr, $data:expr) => {{
        let mut decoder = $decoder;
        let cut = $data
            .first()
            .map_or(0, |&b| usize::from(b) % ($data.len() + 1));
        let (head, tail) = $data.split_at(cut);
        let fed = decoder.feed(head).and_then(|used| {
            if used == head.len() {
                decoder.feed(tail)
            } else {
                Ok(used)
            }
        });
        fed.and_then(|_| decoder.finish())
    }};
}

/// A request in any version.
pub fn request(data: &[u8]) {
    let pieces = feed_in_pieces!(RequestDecoder::new(LIMITS), data);
    let skimmed = feed_in_pieces!(RequestSkimmer::new(LIMITS), data);
    if let Ok(request) = pieces {
        assert_eq!(skimmed.map(|head| head.argv).as_ref(), Ok(&request.argv));
        assert_eq!(
            Request::decode(&request.encode(), LIMITS).as_ref(),
            Ok(&request)
        );
        let _ = request.plain_source(LIMITS.plain_bytes);
    }
    let whole: Result<Request, WireError> = Request::decode(data, LIMITS);
    drop(whole);
}

/// A reply in any version.
pub fn reply(data: &[u8]) {
    for version in [Version::Plain1, Version::Lzo2, Version::Pump3] {
        if let Ok(reply) = feed_in_pieces!(ReplyDecoder::new(version, LIMITS), data) {
            // A failed job's object is not sent, so it cannot come back.
            if reply.status.success() {
                assert_eq!(
                    Reply::decode(&reply.encode(), version, Limits::DEFAULT),
                    Ok(reply)
                );
            }
        }
    }
}

/// Both dialogues of the include server, both directions.
pub fn include_dialogue(data: &[u8]) {
    for dialogue in [Dialogue::Stock, Dialogue::Rich] {
        if let Ok(query) = feed_in_pieces!(QueryDecoder::new(dialogue, LIMITS), data) {
            let mut again = QueryDecoder::new(dialogue, LIMITS);
            assert!(again.feed(&query.encode()).is_ok());
            assert_eq!(again.finish(), Ok(query));
        }
    }
    if let Ok(answer) = feed_in_pieces!(AnswerDecoder::new(LIMITS), data) {
        // A reason that was not UTF-8 was mended when it was read, so it is compared from there on.
        assert_eq!(
            Answer::decode(&answer.encode(), Limits::DEFAULT),
            Ok(answer)
        );
    }
    if let Ok(files) = decode_stock_answer(data, LIMITS) {
        assert_eq!(
            decode_stock_answer(&encode_stock_answer(&files), LIMITS),
            Ok(files)
        );
    }
}

/// The section of files and links.
pub fn entries(data: &[u8]) {
    if let Ok(entries) = decode_entries(data, LIMITS) {
        let mut section = Vec::new();
        put_entries(&mut section, &entries);
        assert_eq!(decode_entries(&section, LIMITS).as_ref(), Ok(&entries));
        for entry in &entries {
            let _ = entry.is_system_link();
        }
    }
}

/// A compressed body.
pub fn lzo(data: &[u8]) {
    if let Ok(plain) = crate::lzo::decompress(data, LIMITS.plain_bytes) {
        assert!(plain.len() <= LIMITS.plain_bytes);
        // An empty body is the wire's own sign for "nothing"; it is not a block.
        if !data.is_empty() {
            assert_eq!(
                crate::lzo::plain_length(data, LIMITS.plain_bytes),
                Ok(plain.len())
            );
        }
    }
    let data = &data[..data.len().min(1 << 16)];
    assert_eq!(
        crate::lzo::decompress(&crate::lzo::compress(data), data.len()).as_deref(),
        Ok(data)
    );
}

/// Bodies of the bundle dialect: every reader gets the same bytes. What is read and written again is the same, where a form is the only one.
pub fn bundle(data: &[u8]) {
    use crate::bundle::need::Need;
    use crate::bundle::offer::Offer;
    use crate::bundle::pack::Pack;
    use crate::bundle::refusal::Refusal;
    use crate::bundle::reply::{BundleReply, BundleReplyDecoder};
    use crate::bundle::setting::{Setting, decode_setting};
    use crate::bundle::table::Extension;

    if let Ok(offer) = Offer::decode(data, &LIMITS) {
        let mut manifest = Vec::new();
        offer.manifest.put(&mut manifest);
        let words: Vec<(u32, &[u8])> = offer
            .words
            .iter()
            .map(|(position, word)| (*position, word.as_slice()))
            .collect();
        let again =
            crate::bundle::offer::encode_offer(offer.codecs, &offer.setting, &words, &manifest);
        assert_eq!(again, data);
        let common = vec![b"gcc".to_vec(), b"-c".to_vec()];
        if let Ok(line) = offer.command_line(&common) {
            assert_eq!(line.len(), offer.words.len() + common.len());
        }
    }
    if let Ok(need) = Need::decode(data, &LIMITS) {
        assert_eq!(need.encode(), data);
    }
    if let Ok(setting) = Setting::decode(data, &LIMITS) {
        let mut platform = Vec::new();
        setting.platform.put(&mut platform);
        let words: Vec<&[u8]> = setting.words.iter().map(Vec::as_slice).collect();
        assert_eq!(Setting::encode(&setting.cwd, &platform, &words), data);
    }
    if let Ok(pack) = Pack::decode(data, &LIMITS) {
        let total: usize = pack.blobs().map(|(_, bytes)| bytes.len()).sum();
        assert!(total <= LIMITS.pack_bytes);
    }
    if let Ok(plain) = decode_setting(data, &LIMITS) {
        assert!(plain.len() <= LIMITS.setting_bytes);
    }
    if let Ok(extension) = Extension::decode(data, &LIMITS) {
        assert!(extension.entries.len() <= LIMITS.files as usize);
    }
    let _ = Refusal::decode(data);
    let pieces = feed_in_pieces!(BundleReplyDecoder::new(LIMITS), data);
    if let Ok(reply) = pieces {
        let again = reply.encode(crate::bundle::block::Codec::Zstd);
        assert_eq!(BundleReply::decode(&again, LIMITS).as_ref(), Ok(&reply));
    }
}

/// What a server says of itself on the local network: lines of `KEY=VALUE`. What is made of it for a host list has nothing of the stranger's own words, and what
/// is announced of what was read is read as the same.
pub fn announcement(data: &[u8]) {
    use crate::zeroconf::Announcement;

    let read = |lines: &[u8]| {
        Announcement::read(|key| {
            let mut lines = lines.split(|&byte| byte == b'\n');
            lines.find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
        })
    };
    let announced = read(data);
    let options = announced.host_options();
    let known = |c: char| c.is_ascii_digit() || "/,cplzo".contains(c);
    assert!(
        options.len() < 24 && options.chars().all(known),
        "{options}"
    );
    assert!(announced.jobs > 0);
    if let Some(compiler) = &announced.compiler {
        let subtype = compiler.subtype();
        let label = subtype.split('.').next().unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(label.len() <= 63 && label.bytes().all(plain), "{label}");
    }
    let pairs = announced.properties(1, "triple", "1");
    let lines: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(read(lines.join("\n").as_bytes()), announced);
}
