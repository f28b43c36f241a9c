//! The status page for people, and the numbers that it asks for once a second: `/pumphouse` and `/pumphouse/status.json` of the
//! statistics port. Owns the texts.
//!
//! Nothing of a client's is in the page itself. What it shows it gets as JSON and puts in as text, never as markup; its policy
//! allows the one script and the one style that were sent with it, and no request but for that JSON.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::results::Tally;
use crate::roster::{Fate, Past, Present, Roster};
use crate::statistics::{ENDINGS, Snapshot};
use crate::store::Statistics as Stored;

/// Where the page is.
pub(crate) const PAGE: &str = "/pumphouse";

/// Where its numbers are.
pub(crate) const NUMBERS: &str = "/pumphouse/status.json";

/// Running jobs, last jobs, and reasons that are told at most.
const RUNNING: usize = 200;
const LAST: usize = 40;
const REASONS: usize = 20;

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole answer with the page. The nonce is another for each answer: it marks what may run.
pub(crate) fn page() -> String {
    let mut random = [0; 16];
    // Without it the page would not run; then its text says so.
    let nonce = match rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()) {
        Ok(count) if count == random.len() => random.map(|byte| format!("{byte:02x}")).concat(),
        _ => String::new(),
    };
    let body = HTML
        .replace("NONCE", &nonce)
        .replace("/* STYLE */", STYLE)
        .replace("/* SCRIPT */", SCRIPT);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let more = format!("Content-Security-Policy: {policy}\r\n");
    answer("text/html; charset=utf-8", &more, &body)
}

/// The whole answer with the numbers.
pub(crate) fn numbers(told: &Told<'_>) -> serde_json::Result<String> {
    let body = serde_json::to_string(&told.document())?;
    Ok(answer("application/json", "", &body))
}

fn answer(content_type: &str, more: &str, body: &str) -> String {
    format!(
        "HTTP/1.0 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n{more}Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// All that is told.
pub(crate) struct Told<'a> {
    pub(crate) roster: &'a Roster,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) uptime: Duration,
    /// Compiles that may run at a time, and those that do.
    pub(crate) slots: (usize, usize),
    pub(crate) store: Option<&'a Stored>,
    pub(crate) results: Option<&'a Tally>,
}

#[derive(Serialize)]
struct Document {
    version: &'static str,
    host: String,
    now_ms: u64,
    uptime_s: u64,
    slots: Slots,
    connections: u64,
    endings: Vec<Count>,
    /// Compiles that ended in the last 1, 5 and 15 minutes.
    compiles: [u64; 3],
    results: Option<Results>,
    store: Option<Store>,
    /// How many are served, and the first of them.
    present: usize,
    running: Vec<Running>,
    recent: Vec<Job>,
    /// Among the last jobs.
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct Slots {
    all: usize,
    busy: usize,
}

#[derive(Serialize)]
struct Count {
    what: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct Results {
    hits: u64,
    hits_waited: u64,
    kept: u64,
    not_kept: u64,
    hit_bytes: u64,
}

#[derive(Serialize)]
struct Store {
    blobs: u64,
    bytes: u64,
    limit: u64,
    put_bytes: u64,
    evicted: u64,
    damaged: u64,
}

#[derive(Serialize)]
struct Running {
    peer: String,
    compiler: String,
    source: String,
    phase: &'static str,
    ms: u64,
    phase_ms: u64,
}

#[derive(Serialize)]
struct Job {
    peer: String,
    compiler: String,
    source: String,
    ending: &'static str,
    ms: u64,
    ended_ms: u64,
    result: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct Reason {
    result: &'static str,
    reason: String,
    count: usize,
}

impl Told<'_> {
    fn document(&self) -> Document {
        let (present, count) = self.roster.present(RUNNING);
        let name = rustix::system::uname();
        Document {
            version: env!("CARGO_PKG_VERSION"),
            host: name.nodename().to_string_lossy().into_owned(),
            now_ms: since_epoch(SystemTime::now()),
            uptime_s: self.uptime.as_secs(),
            slots: Slots {
                all: self.slots.0,
                busy: self.slots.1,
            },
            connections: self.snapshot.accepted,
            endings: ENDINGS
                .into_iter()
                .map(|ending| Count {
                    what: ending.word(),
                    count: self.snapshot.endings[ending as usize],
                })
                .collect(),
            compiles: self.snapshot.compiles,
            results: self.results.map(|tally| Results {
                hits: tally.hits,
                hits_waited: tally.waited,
                kept: tally.kept,
                not_kept: tally.not_kept,
                hit_bytes: tally.hit_bytes,
            }),
            store: self.store.map(|store| Store {
                blobs: store.blobs,
                bytes: store.bytes,
                limit: store.limit,
                put_bytes: store.put_bytes,
                evicted: store.evicted,
                damaged: store.damaged,
            }),
            present: count,
            running: present.into_iter().map(running).collect(),
            recent: self.roster.recent(LAST).into_iter().map(job).collect(),
            reasons: self
                .roster
                .reasons(REASONS)
                .into_iter()
                .map(|(fate, reason, count)| Reason {
                    result: word(fate),
                    reason,
                    count,
                })
                .collect(),
        }
    }
}

fn running(present: Present) -> Running {
    Running {
        ms: millis(present.since.elapsed()),
        phase_ms: millis(present.phase_since.elapsed()),
        phase: present.phase.word(),
        peer: present.peer,
        compiler: present.compiler,
        source: present.source,
    }
}

fn job(past: Past) -> Job {
    Job {
        ending: past.ending.word(),
        ms: millis(past.time),
        ended_ms: since_epoch(past.ended),
        result: word(past.fate),
        peer: past.peer,
        compiler: past.compiler,
        source: past.source,
        reason: past.reason,
    }
}

const fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Hit => "hit",
        Fate::Miss => "miss",
        Fate::NotKept => "not kept",
        Fate::Unasked => "",
    }
}

fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Cached, Done};
    use crate::statistics::Ending;
    use protocol::wait_status::WaitStatus;
    use serde_json::Value;

    /// Head and body of an answer.
    fn parts(answer: &str) -> (&str, &str) {
        answer.split_once("\r\n\r\n").expect("an empty line")
    }

    #[test]
    fn hostile_names_are_text() {
        let name = "</script><img src=x onerror=alert(1)>\"\\\u{1b}[2J\u{202e}.c";
        let roster = Roster::default();
        let _here = roster.enter("192.0.2.1:9");
        roster.name("192.0.2.1:9", name.as_bytes(), name);
        let done = Done {
            ending: Ending::CompileError,
            status: WaitStatus::SUCCESS,
            compiler: name.to_owned(),
            source: name.to_owned(),
            cache: Cached::Not(name.to_owned()),
        };
        roster.ended("192.0.2.1:9", &done, Duration::from_millis(12));
        let told = Told {
            roster: &roster,
            snapshot: &Snapshot::default(),
            uptime: Duration::from_secs(61),
            slots: (4, 1),
            store: None,
            results: None,
        };
        let text = numbers(&told).expect("it can be told");
        let (head, body) = parts(&text);
        assert!(
            head.contains("\r\nContent-Type: application/json\r\n"),
            "{head}"
        );
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
        assert!(!body.contains(['\u{1b}', '\u{202e}']), "{body}");
        let value: Value = serde_json::from_str(body).expect("JSON");
        let shown = "</script><img src=x onerror=alert(1)>\"\\?[2J?.c";
        for job in [&value["running"][0], &value["recent"][0]] {
            assert_eq!(
                (&job["source"], &job["compiler"]),
                (&shown.into(), &shown.into())
            );
        }
        assert_eq!(value["reasons"][0]["reason"], shown);
        assert_eq!(value["slots"]["busy"], 1);
        assert_eq!(value["results"], Value::Null);
        assert_eq!(value["endings"][0]["what"], "COMPILE_OK");
    }

    #[test]
    fn the_page_is_whole_and_loads_nothing() {
        let text = page();
        let (head, body) = parts(&text);
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
        assert!(
            head.contains("default-src 'none'; script-src 'nonce-"),
            "{head}"
        );
        assert!(
            !body.contains("NONCE") && !body.contains("/* S"),
            "a place was not filled"
        );
        let nonce = head
            .split("'nonce-")
            .nth(1)
            .and_then(|rest| rest.split('\'').next());
        let nonce = nonce.expect("a nonce");
        assert_eq!(nonce.len(), 32);
        assert_eq!(body.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
        assert_ne!(page(), text, "each answer has a nonce of its own");
        for outside in ["http:", "https:", "src=", "href=", "@import", "url("] {
            assert!(!body.contains(outside), "{outside}");
        }
        // Text goes in as text.
        for markup in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!SCRIPT.contains(markup), "{markup}");
        }
    }
}
