//! The statistics port: stock's keys in stock's order, over HTTP. Owns nothing but one moment's numbers.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::house::House;
use crate::metrics::{self, Numbers};
use crate::peer::Peer;
use crate::results::Tally;
use crate::statistics::{Ending, Snapshot};
use crate::status::{self, Told};
use crate::store::Statistics as Stored;

/// How long a reader may take to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a request that are read.
const MAX_REQUEST: usize = 8192;

/// What the page says of the machine.
#[derive(Clone, Debug, Default, PartialEq)]
struct Machine {
    load: [f64; 3],
    running: u64,
    in_state_d: u64,
    max_rss_kib: u64,
    max_rss_name: String,
    io_rate: Option<u64>,
    free_space_mib: u64,
    free_memory_mib: u64,
}

/// Answers one reader.
pub(crate) async fn serve(house: &House, peer: &Peer, mut stream: TcpStream) {
    let answer = async {
        let wanted = read_request(&mut stream).await?.wanted();
        if wanted == Wanted::Page {
            stream.write_all(status::page().as_bytes()).await?;
            return stream.shutdown().await;
        }
        let snapshot = house.statistics.snapshot();
        let shelf = house.settings.shelf.as_ref();
        let kept = shelf.map(|shelf| {
            let results = shelf.results.as_ref().map(|results| results.tally());
            (shelf.store.statistics(), results)
        });
        let admission = house.admission.tally();
        let store = kept.as_ref().map(|(store, _)| store);
        let results = kept.as_ref().and_then(|(_, results)| results.as_ref());
        if wanted == Wanted::Numbers {
            let told = Told {
                roster: &house.roster,
                snapshot: &snapshot,
                uptime: house.statistics.uptime(),
                slots: (admission.slots, admission.running),
                store,
                results,
            };
            stream.write_all(status::numbers(&told)?.as_bytes()).await?;
            return stream.shutdown().await;
        }
        if wanted == Wanted::Metrics {
            let numbers = Numbers {
                snapshot: &snapshot,
                admission: &admission,
                store,
                results,
            };
            let text = head(metrics::CONTENT_TYPE) + &metrics::render(&numbers);
            stream.write_all(text.as_bytes()).await?;
            return stream.shutdown().await;
        }
        let temp_dir = house.settings.temp_dir.clone();
        let machine = tokio::task::spawn_blocking(move || Machine::now(&temp_dir)).await?;
        let page = render(&snapshot, house.settings.jobs, &machine, kept.as_ref());
        stream.write_all(page.as_bytes()).await?;
        stream.shutdown().await
    };
    let result = tokio::select! {
        result = timeout(PATIENCE, answer) => result,
        () = house.finishing() => return,
    };
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!("{peer}: statistics port: {error}"),
        Err(_) => tracing::info!("{peer}: statistics port: the reader was too slow"),
    }
}

/// What a reader wants. Whatever else it asks for, it gets stock's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Stocks,
    Metrics,
    Page,
    Numbers,
}

impl Wanted {
    fn of(request: &[u8]) -> Self {
        let path = request.strip_prefix(b"GET ").unwrap_or_default();
        let end = path
            .iter()
            .position(|byte| matches!(byte, b' ' | b'?' | b'\r' | b'\n'));
        let path = &path[..end.unwrap_or(path.len())];
        let is = |known: &str| path == known.as_bytes();
        if is("/metrics") {
            Self::Metrics
        } else if is(status::PAGE) || path.strip_suffix(b"/") == Some(status::PAGE.as_bytes()) {
            Self::Page
        } else if is(status::NUMBERS) {
            Self::Numbers
        } else {
            Self::Stocks
        }
    }
}

/// A request as far as it has come.
#[derive(Debug, Default)]
struct Asking(Vec<u8>);

impl Asking {
    /// Takes in what came. Whether that is all that is read of a request: to its empty line, or as much as may come.
    fn take(&mut self, piece: &[u8]) -> bool {
        // An empty line may have begun before; what is before that is not looked at again.
        let from = self.0.len().saturating_sub(3);
        let room = MAX_REQUEST - self.0.len();
        self.0.extend_from_slice(&piece[..piece.len().min(room)]);
        let has = |end: &[u8]| memmem::find(&self.0[from..], end).is_some();
        self.0.len() == MAX_REQUEST || has(b"\r\n\r\n") || has(b"\n\n")
    }

    fn wanted(&self) -> Wanted {
        Wanted::of(&self.0)
    }
}

/// Reads a request to its empty line, or as much as comes.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Asking> {
    let mut request = Asking::default();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 || request.take(&buffer[..count]) {
            return Ok(request);
        }
    }
}

/// Fuzz body: a request wants the same in whatever pieces it comes, of which no more is kept than may be; only a `GET` of a path of ours wants something else
/// than stock's page.
pub(crate) fn fuzz_request(data: &[u8]) {
    let ask = |size: usize| {
        let mut request = Asking::default();
        let mut pieces = data.chunks(size.max(1));
        let is_whole = pieces.any(|piece| request.take(piece));
        assert!(request.0.len() <= MAX_REQUEST && data.starts_with(&request.0));
        let empty_line = [&b"\r\n\r\n"[..], b"\n\n"].map(|end| {
            let found = memmem::find(data, end).map(|at| at + end.len());
            found.is_some_and(|end| end <= MAX_REQUEST)
        });
        let expected = empty_line.contains(&true) || data.len() >= MAX_REQUEST;
        assert_eq!(is_whole, expected, "in pieces of {size}");
        request.wanted()
    };
    let wanted = ask(data.len());
    for size in [1, 2, 3, 7, 1024] {
        assert_eq!(ask(size), wanted, "in pieces of {size}");
    }
    if wanted != Wanted::Stocks {
        let line = data.split(|byte| b"\r\n".contains(byte)).next();
        let path = line.and_then(|line| line.strip_prefix(b"GET /"));
        assert!(
            path.is_some_and(|path| path.starts_with(b"metrics") || path.starts_with(b"pumphouse"))
        );
    }
}

/// The head of an answer.
fn head(content_type: &str) -> String {
    format!("HTTP/1.0 200 OK\nContent-Type: {content_type}\nConnection: close\n\n")
}

/// The whole answer.
fn render(
    snapshot: &Snapshot,
    jobs: usize,
    machine: &Machine,
    kept: Option<&(Stored, Option<Tally>)>,
) -> String {
    let mut page = head("text/plain") + "argv /distccd\n<distccstats>\n";
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        // Writing to a String does not fail. A value has no line breaks of a peer's.
        let _ = writeln!(
            page,
            "{key} {}",
            value.to_string().replace(char::is_control, "?")
        );
    };
    let ended = |ending: Ending| snapshot.endings[ending as usize];
    line("dcc_tcp_accept", &snapshot.accepted);
    line("dcc_rej_bad_req", &ended(Ending::BadRequest));
    line("dcc_rej_overload", &ended(Ending::Overload));
    line("dcc_compile_ok", &ended(Ending::CompileOk));
    line("dcc_compile_error", &ended(Ending::CompileError));
    line("dcc_compile_timeout", &ended(Ending::CompileTimeout));
    line("dcc_cli_disconnect", &ended(Ending::ClientDisconnected));
    line("dcc_other", &ended(Ending::Other));
    line("dcc_longest_job", &or_none(&snapshot.longest.source));
    line(
        "dcc_longest_job_compiler",
        &or_none(&snapshot.longest.compiler),
    );
    line(
        "dcc_longest_job_time_msecs",
        &snapshot.longest.time.as_millis(),
    );
    line("dcc_max_kids", &jobs);
    for (index, busy) in snapshot.busy.iter().enumerate() {
        line(&format!("dcc_avg_kids{}", index + 1), busy);
    }
    line("dcc_current_load", &machine.running);
    for (index, load) in machine.load.iter().enumerate() {
        line(&format!("dcc_load{}", index + 1), &format!("{load:.2}"));
    }
    for (index, compiles) in snapshot.compiles.iter().enumerate() {
        line(&format!("dcc_num_compiles{}", index + 1), compiles);
    }
    line("dcc_num_procstate_D", &machine.in_state_d);
    line("dcc_max_RSS", &machine.max_rss_kib);
    line("dcc_max_RSS_name", &or_none(&machine.max_rss_name));
    match machine.io_rate {
        Some(rate) => line("dcc_io_rate", &rate),
        // As stock says it does not know.
        None => line("dcc_io_rate", &-1),
    }
    line("dcc_free_space", &format!("{} MB", machine.free_space_mib));
    line("dcc_free_mem", &format!("{} MB", machine.free_memory_mib));
    // Ours, behind all of stock's.
    if let Some((store, results)) = kept {
        line("dcc_store_blobs", &store.blobs);
        line("dcc_store_bytes", &store.bytes);
        line("dcc_store_puts", &store.puts);
        line("dcc_store_put_bytes", &store.put_bytes);
        line("dcc_store_already_there", &store.already_there);
        line("dcc_store_uploads_shared", &store.claims_shared);
        line("dcc_store_evicted", &store.evicted);
        line("dcc_store_damaged", &store.damaged);
        let results = results.unwrap_or_default();
        line("dcc_cache_hits", &results.hits);
        line("dcc_cache_hits_waited", &results.waited);
        line("dcc_cache_kept", &results.kept);
        line("dcc_cache_not_kept", &results.not_kept);
        line("dcc_cache_hit_bytes", &results.hit_bytes);
    }
    page.push_str("</distccstats>\n");
    page
}

fn or_none(name: &str) -> &str {
    if name.is_empty() { "none" } else { name }
}

impl Machine {
    /// The machine's state. What cannot be read is 0.
    fn now(temp_dir: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let mut machine = Self {
            io_rate: io_rate(&read("/proc/vmstat")),
            free_memory_mib: value_of(&read("/proc/meminfo"), "MemAvailable:") / 1024,
            free_space_mib: rustix::fs::statvfs(temp_dir).map_or(0, |found| {
                found.f_bavail.saturating_mul(found.f_frsize) >> 20
            }),
            ..Self::default()
        };
        machine.set_load(&read("/proc/loadavg"));
        let pages_kib = rustix::param::page_size() as u64 / 1024;
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes {
            let is_process = process
                .file_name()
                .to_string_lossy()
                .bytes()
                .all(|b| b.is_ascii_digit());
            if is_process && let Ok(stat) = std::fs::read(process.path().join("stat")) {
                machine.add_process(&String::from_utf8_lossy(&stat), pages_kib);
            }
        }
        machine
    }

    /// Takes a line of `/proc/loadavg`: three averages, and processes running / in all.
    fn set_load(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        for load in &mut self.load {
            *load = words
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or(0.0);
        }
        let running = words
            .next()
            .and_then(|word| word.split('/').next()?.parse().ok());
        self.running = running.unwrap_or(0);
    }

    /// Takes a line of `/proc/PID/stat`. The name may hold anything, blanks and brackets too.
    fn add_process(&mut self, line: &str, page_kib: u64) {
        let Some((head, tail)) = line.rsplit_once(')') else {
            return;
        };
        let words: Vec<&str> = tail.split_whitespace().collect();
        // The state is field 3, the resident set field 24; `tail` starts with field 3.
        if words.first() == Some(&"D") {
            self.in_state_d += 1;
        }
        let rss = words
            .get(21)
            .and_then(|word| word.parse::<u64>().ok())
            .unwrap_or(0)
            * page_kib;
        if rss > self.max_rss_kib {
            self.max_rss_kib = rss;
            let name = head.split_once('(').map_or("", |(_, name)| name);
            self.max_rss_name = format!("({name})");
        }
    }
}

/// The number behind a key in a file such as `/proc/meminfo`.
fn value_of(text: &str, key: &str) -> u64 {
    let line = text
        .lines()
        .find(|line| line.split_whitespace().next() == Some(key));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

/// KiB read and written per second since the page was last asked for; `None` the first time.
fn io_rate(vmstat: &str) -> Option<u64> {
    static LAST: Mutex<Option<(Instant, u64)>> = Mutex::new(None);
    let now = (
        Instant::now(),
        value_of(vmstat, "pgpgin") + value_of(vmstat, "pgpgout"),
    );
    let mut last = LAST.lock().ok()?;
    let (then, before) = last.replace(now)?;
    let millis = u64::try_from(now.0.duration_since(then).as_millis())
        .ok()?
        .max(1);
    Some(now.1.saturating_sub(before) * 1000 / millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{LongestJob, Statistics};

    #[test]
    fn the_page_has_stocks_keys_in_stocks_order() {
        let mut snapshot = Statistics::default().snapshot();
        snapshot.accepted = 9;
        snapshot.endings = [1, 2, 3, 4, 5, 6, 7];
        snapshot.longest = LongestJob {
            source: "a\nb.c".to_owned(),
            compiler: "gcc".to_owned(),
            time: Duration::from_millis(95),
        };
        let mut machine = Machine {
            free_space_mib: 80_179,
            free_memory_mib: 123,
            ..Machine::default()
        };
        machine.set_load("0.68 1.12 0.71 1/300 4711\n");
        let tail = " D 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 100 4997 0";
        machine.add_process(&format!("12 (odd) na(me)){tail}"), 4);
        let expected = [
            "HTTP/1.0 200 OK",
            "Content-Type: text/plain",
            "Connection: close",
            "",
            "argv /distccd",
            "<distccstats>",
            "dcc_tcp_accept 9",
            "dcc_rej_bad_req 5",
            "dcc_rej_overload 6",
            "dcc_compile_ok 1",
            "dcc_compile_error 2",
            "dcc_compile_timeout 3",
            "dcc_cli_disconnect 4",
            "dcc_other 7",
            "dcc_longest_job a?b.c",
            "dcc_longest_job_compiler gcc",
            "dcc_longest_job_time_msecs 95",
            "dcc_max_kids 6",
            "dcc_avg_kids1 0",
            "dcc_avg_kids2 0",
            "dcc_avg_kids3 0",
            "dcc_current_load 1",
            "dcc_load1 0.68",
            "dcc_load2 1.12",
            "dcc_load3 0.71",
            "dcc_num_compiles1 0",
            "dcc_num_compiles2 0",
            "dcc_num_compiles3 0",
            "dcc_num_procstate_D 1",
            "dcc_max_RSS 19988",
            "dcc_max_RSS_name (odd) na(me))",
            "dcc_io_rate -1",
            "dcc_free_space 80179 MB",
            "dcc_free_mem 123 MB",
            "</distccstats>",
        ];
        assert_eq!(
            render(&snapshot, 6, &machine, None)
                .lines()
                .collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn only_our_own_paths_are_not_stocks_page() {
        for (line, wanted) in [
            ("GET /metrics HTTP/1.1", Wanted::Metrics),
            ("GET /metrics?x HTTP/1.1", Wanted::Metrics),
            ("GET /pumphouse HTTP/1.1", Wanted::Page),
            ("GET /pumphouse/ HTTP/1.0", Wanted::Page),
            ("GET /pumphouse", Wanted::Page),
            ("GET /pumphouse/status.json?1 HTTP/1.1", Wanted::Numbers),
            ("GET / HTTP/1.1\r\nAccept: text/html", Wanted::Stocks),
            ("GET /pumphouse.html HTTP/1.1", Wanted::Stocks),
            ("GET //pumphouse HTTP/1.1", Wanted::Stocks),
            ("HEAD /pumphouse HTTP/1.1", Wanted::Stocks),
            ("", Wanted::Stocks),
        ] {
            let request = format!("{line}\r\n\r\n");
            assert_eq!(Wanted::of(request.as_bytes()), wanted, "{line}");
        }
    }

    #[test]
    fn the_machine_is_read() {
        let machine = Machine::now(Path::new("/tmp"));
        assert!(
            machine.max_rss_kib > 0 && machine.free_memory_mib > 0,
            "{machine:?}"
        );
        assert_eq!(
            value_of("a: 1\nMemAvailable:  77 kB\n", "MemAvailable:"),
            77
        );
    }
}
