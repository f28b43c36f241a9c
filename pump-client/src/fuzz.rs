//! Bodies of the fuzz targets of this crate: host lists, answers of servers and proxies, and files that other programs of this user or of strangers wrote. Owns no state.
//!
//! As in [`protocol::fuzz`], a body takes any bytes and panics when something that should hold does not.

use std::io::{self, Cursor, Read, Write};

use protocol::bundle::reply::{Fate, Note};
use protocol::bundle::{FrameDecoder, put_frame};
use protocol::error::WireError;
use protocol::include_dialogue::decode_stock_answer;
use protocol::limits::Limits;
use protocol::mutation::Body;
use protocol::token::Tag;
use protocol::wait_status::WaitStatus;

use crate::frames::Incoming;
use crate::host_list::{self, Place};
use crate::pump::journal::{Answer, parse_line};
use crate::pump::times::Times;
use crate::pump::top::servers;
use crate::pump::{about::About, journal as lines, process, session};
use crate::remote_failure::{self, Evidence, Judgement, Shipment};
use crate::{include_client, journal, monitor, native, socks};

/// All bodies, by the names of their corpora.
pub const BODIES: [Body; 11] = [
    ("host_list", host_list),
    ("journal", journal_lines),
    ("job_times", job_times),
    ("job_state", job_state),
    ("statistics_page", statistics_page),
    ("proxy", proxy),
    ("mirror_answer", mirror_answer),
    ("bundle_frames", bundle_frames),
    ("compiler_errors", compiler_errors),
    ("session", session_files),
    ("driver_words", driver_words),
];

/// A host list. Each host's own text is read as the same host again; an error names a token that stands there; what becomes part of a file's name leaves no directory.
fn host_list(data: &[u8]) {
    match host_list::parse(data) {
        Ok(list) => {
            for host in &list.hosts {
                let again = host_list::parse(&host.spec).map(|list| list.hosts);
                assert_eq!(again, Ok(vec![host.clone()]));
                assert!(host.slots > 0 && !host.name().is_empty());
                assert!(!host.lock_key().contains(&b'/'));
                if let Place::Tcp { port, .. } = host.place {
                    assert!(port > 0);
                    let name = host.journal_name();
                    assert!(name.ends_with(format!(":{port}").as_bytes()));
                }
            }
            assert!(list.localslots > 0 && list.localslots_cpp > 0);
        }
        Err(error) => {
            assert!(!error.token.is_empty());
            assert!(data[error.at..].starts_with(&error.token));
            assert!(!error.to_string().contains('\n'));
        }
    }
}

/// A session's journal. A line that a client writes is one line and is read as what was written, whatever is in its fields.
fn journal_lines(data: &[u8]) {
    let jobs = lines::parse(data);
    assert!(jobs.len() <= data.split(|&byte| byte == b'\n').count());
    for job in jobs.iter().filter_map(|job| job.times.as_ref()) {
        check_times(job);
    }
    let fields: Vec<&[u8]> = data.splitn(5, |&byte| byte == 0).collect();
    let [host, reason, source, why, times] = [0, 1, 2, 3, 4].map(|at| match fields.get(at) {
        Some(field) => *field,
        None => b"",
    });
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let note = Note {
        fate: Fate::Compiled,
        text: text(why),
    };
    let reason = text(reason);
    let entry = journal::Entry {
        mode: journal::Mode::Plain,
        host,
        status: data.len() as u8,
        reason: &reason,
        source,
        answer: Some(&note),
        times,
    };
    let line = entry.encode(77);
    let ends = line.iter().filter(|&&byte| byte == b'\n').count();
    assert!(ends == 1 && line.ends_with(b"\n"));
    let job = parse_line(&line[..line.len() - 1]).expect("it is whole");
    // What would break the line up is a blank there.
    let kept = |field: &str| field.replace(['\t', '\n', '\r'], " ");
    assert_eq!(job.mode, lines::Mode::Plain);
    assert_eq!(job.status, i32::from(entry.status));
    assert_eq!(job.host, kept(&text(host)));
    assert_eq!(job.source, kept(&text(source)));
    assert_eq!(job.reason, kept(&reason).trim());
    assert_eq!(job.answer, Some(Answer::Miss(kept(&note.text))));
    assert_eq!(job.times, Times::parse(&kept(&text(times))));
}

/// When a job was where: all that is read is in order.
fn job_times(data: &[u8]) {
    if let Some(times) = Times::parse(&String::from_utf8_lossy(data)) {
        check_times(&times);
    }
}

fn check_times(times: &Times) {
    let mut last = times.start;
    for stay in &times.stays {
        assert!(last <= stay.from && stay.from <= stay.to);
        last = stay.to;
        let mut at = stay.from;
        for step in &stay.steps {
            assert!(at <= step.from && step.from <= step.to);
            at = step.to;
        }
        assert!(at <= stay.to);
    }
    let mut at = times.start;
    for step in &times.outside {
        assert!(at <= step.from && step.from <= step.to);
        at = step.to;
    }
    assert!(last <= times.end && at <= times.end);
    assert_eq!(times.duration(), times.end - times.start);
}

/// A client's state file: one of another size is none, and its line has the width that it should.
fn job_state(data: &[u8]) {
    let mut whole = data.to_vec();
    whole.resize(crate::job_state::STATE_BYTES, 0);
    let head = [whole.len() as u64, crate::job_state::STATE_MAGIC];
    whole[..16].copy_from_slice(&head.map(u64::to_ne_bytes).concat());
    let Ok(job) = monitor::parse_state(&whole) else {
        panic!("it has the right head");
    };
    for name in [&job.file, &job.host] {
        assert!(name.len() <= 128 && !name.contains(&0));
    }
    let mut line = Vec::new();
    monitor::put_line(&mut line, &job);
    let numbers = job.pid.to_string().len().max(6) + job.slot.to_string().len();
    assert_eq!(line.len(), numbers + 2 + 10 + 2 + 30 + 1 + 24 + 3);
    let cut = whole.len() - 1 - data.len() % whole.len();
    assert!(monitor::parse_state(&whole[..cut]).is_err());
    if let Ok(read) = monitor::parse_state(data) {
        assert_eq!((read.pid, read.phase), (job.pid, job.phase));
    }
}

/// A server's statistics page. Its numbers are such as can be shown and added up; one that stands in it plainly is found.
fn statistics_page(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let page = servers::parse(&text);
    let (hits, compiled) = page.results.unwrap_or_default();
    for number in page
        .slots
        .into_iter()
        .chain(page.busy)
        .chain([hits, compiled])
    {
        assert!(number <= 2_000_000_000_000_000);
    }
    assert!(page.load.is_none_or(|load| (0.0..1e6).contains(&load)));
    // The first one counts.
    let page = servers::parse(&format!("distccd_slots 7\ndistccd_load1 0.5\n{text}"));
    assert_eq!((page.slots, page.load), (Some(7), Some(0.5)));
}

/// What a program says to us, and what we say.
struct Script<'a> {
    said: Cursor<&'a [u8]>,
    heard: Vec<u8>,
}

impl Read for Script<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.said.read(buffer)
    }
}

impl Write for Script<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A proxy's words. A dialogue that succeeds used its own bytes and none of the server's behind them: with one less it fails, with others behind it is the same.
fn proxy(data: &[u8]) {
    let run = |said: &[u8]| {
        let mut script = Script {
            said: Cursor::new(said),
            heard: Vec::new(),
        };
        let done = socks::negotiate(&mut script, b"box", 3632).is_ok();
        (done, script.said.position() as usize, script.heard)
    };
    let (done, used, heard) = run(data);
    assert!(used <= data.len() && used <= 2 + 4 + 1 + 255 + 2);
    assert!(heard.starts_with(&[5, 1, 0]));
    if done {
        assert!(!run(&data[..used - 1]).0);
        assert_eq!(run(&data[..used]), (true, used, heard));
    }
}

/// Gives bytes a few at a time.
struct Dripping<'a>(&'a [u8], usize);

impl Read for Dripping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(buffer.len()).min(self.1);
        let (now, later) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

/// What a stock include server answers: the bytes that are taken are those of the answer, in whatever pieces they come.
fn mirror_answer(data: &[u8]) {
    let read = |size: usize| include_client::read_words(&mut Dripping(data, size)).ok();
    let taken = read(usize::MAX).expect("nothing fails here");
    assert!(data.starts_with(&taken));
    assert_eq!(read(1 + data.len() % 7).as_ref(), Some(&taken));
    if let Ok(files) = decode_stock_answer(data, Limits::DEFAULT) {
        assert_eq!(taken, data);
        let total: usize = files.iter().map(Vec::len).sum();
        assert!(total <= data.len());
    }
}

/// Messages of the bundle dialect, one behind the other: in whatever pieces they come they are the same, and nothing is lost between them.
fn bundle_frames(data: &[u8]) {
    const TAGS: &[Tag] = &[Tag::NEED, Tag::TABL, Tag::PACK, Tag::HAVE, Tag::DOUB];
    let read = |size: usize| {
        let mut stream = Dripping(data, size);
        let mut incoming = Incoming::default();
        let mut frames = Vec::new();
        while frames.len() < 50 {
            let frame = incoming.next::<WireError>(TAGS, &mut |buffer| {
                Ok(stream.read(buffer).unwrap_or_default())
            });
            match frame {
                Ok(frame) => frames.push((frame.tag, frame.body)),
                Err(error) => return (frames, Some(error)),
            }
        }
        (frames, None)
    };
    let (frames, end) = read(usize::MAX);
    assert_eq!(read(1 + data.len() % 11), (frames.clone(), end));
    let mut again = Vec::new();
    for (tag, body) in &frames {
        put_frame(&mut again, *tag, body);
    }
    assert!(data.len() >= again.len());
    for (tag, body) in &frames {
        let mut message = Vec::new();
        put_frame(&mut message, *tag, body);
        let mut decoder = FrameDecoder::new(TAGS, Limits::DEFAULT);
        assert_eq!(decoder.feed(&message), Ok(message.len()));
        assert!(decoder.is_complete());
    }
}

/// What a compiler at a server complained of. A reason is one line without a terminal's commands; colours change nothing; what no error names is doubtful.
fn compiler_errors(data: &[u8]) {
    let judge = |text: &[u8], pump: bool| {
        let shipment = Shipment {
            section: b"",
            cwd: b"/w",
            same_system: true,
        };
        remote_failure::judge(Evidence {
            status: WaitStatus::exited(1),
            stderr: text,
            pump: pump.then_some(shipment),
        })
    };
    let plain = remote_failure::without_colours(data);
    assert!(!plain.contains(&0x1b));
    for pump in [false, true] {
        let judgement = judge(data, pump);
        assert_eq!(judge(&plain, pump), judgement);
        if let Judgement::Doubtful(reason) = &judgement {
            assert!(!reason.contains(['\n', '\x1b']));
        }
        if !plain.windows(6).any(|window| window == b"rror: ") {
            assert!(judgement != Judgement::Genuine);
        }
    }
    // Nothing was shipped, so no error can be in what was.
    assert!(judge(data, true) != Judgement::Genuine);
}

/// The files of a session: what it says of itself, its record, and the kernel's line about a process.
fn session_files(data: &[u8]) {
    let about = About::decode(data);
    assert_eq!(About::decode(&about.encode()), about);
    let text = String::from_utf8_lossy(data);
    if let Some(record) = session::Record::from_text(&text) {
        let again = session::Record::from_text(&record.to_text());
        assert!(record.keeper.is_some() || !record.has_command);
        assert_eq!(again, Some(record));
    }
    let name = data.iter().copied().filter(|&byte| byte != b'\n');
    let name: Vec<u8> = name.take(200).collect();
    // The name may be anything, parentheses and numbers too.
    let line = [
        b"7 (",
        name.as_slice(),
        b") S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 9 9\n",
    ];
    let stat = process::parse_stat(&line.concat()).expect("it is whole");
    assert_eq!((stat.state, stat.start_time), (b'S', 4711));
    process::parse_stat(data);
}

/// A driver's line of quoted words: words that are quoted as drivers do are read as they were.
fn driver_words(data: &[u8]) {
    native::split_quoted(data);
    let words: Vec<Vec<u8>> = data
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .filter(|word| word != b"--param")
        .collect();
    let mut line = Vec::new();
    for word in &words {
        line.extend_from_slice(b" \"");
        for &byte in word {
            if matches!(byte, b'"' | b'\\' | b'$') {
                line.push(b'\\');
            }
            line.push(byte);
        }
        line.push(b'"');
    }
    assert_eq!(native::split_quoted(&line), words);
}
