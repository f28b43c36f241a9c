//! Servers' statistics pages, each asked by a thread of its own, so that one that is slow or gone holds up nothing. [`Servers`] owns
//! the threads' list and what the pages said last.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long connecting, and each read and write, may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long between two questions to a server that answers.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest pause after failures; it doubles up to that.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Bytes of a page that are read.
const PAGE: u64 = 64 << 10;

/// Servers that are asked at most.
const MOST: usize = 64;

/// A request that our daemon answers with its numbers; stock's answers whatever it is asked with its own page.
const REQUEST: &[u8] = b"GET /metrics HTTP/1.0\r\n\r\n";

/// What a page said; what it did not say is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Page {
    /// Compiles that may run at a time.
    pub slots: Option<u64>,
    /// Compiles that run.
    pub busy: Option<u64>,
    /// Jobs answered with an earlier result, and jobs compiled.
    pub results: Option<(u64, u64)>,
    /// The load of the last minute.
    pub load: Option<f64>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Servers {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<BTreeMap<String, State>>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Asked,
    Answered(Page),
    Silent,
}

impl Servers {
    /// Begins to ask a server, unless it is asked already.
    pub fn ask(&self, name: &str, port: u16) {
        let mut known = self.shared.lock();
        if known.contains_key(name) || known.len() >= MOST {
            return;
        }
        known.insert(name.to_owned(), State::Asked);
        drop(known);
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        // Without a thread there is no page; the thread ends with the program.
        let _ = std::thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(move || shared.keep_asking(&name, port));
    }

    /// What a server said last.
    #[must_use]
    pub fn page(&self, name: &str) -> Option<Page> {
        match self.shared.lock().get(name) {
            Some(State::Answered(page)) => Some(*page),
            _ => None,
        }
    }

    /// Waits until all have answered, or have failed to, or the time is over.
    pub fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut known = self.shared.lock();
        while known.values().any(|state| *state == State::Asked) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(known, left);
            known = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_asking(&self, name: &str, port: u16) {
        let mut pause = PAUSE;
        loop {
            let state = match fetch(name, port) {
                Ok(text) => {
                    pause = PAUSE;
                    State::Answered(parse(&text))
                }
                Err(_) => {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    State::Silent
                }
            };
            self.lock().insert(name.to_owned(), state);
            self.changed.notify_all();
            std::thread::sleep(pause);
        }
    }
}

fn fetch(name: &str, port: u16) -> io::Result<String> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (name, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return read_page(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read_page(mut stream: TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST)?;
    let mut page = Vec::new();
    stream.take(PAGE).read_to_end(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Finds the numbers in either form: `distccd_NAME VALUE` of ours, `dcc_NAME VALUE` of stock's.
pub(crate) fn parse(text: &str) -> Page {
    let value = |key: &str| {
        let found = text.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == key).then_some(value)
        });
        found.and_then(|value| value.trim().parse::<f64>().ok())
    };
    // A number of jobs, whatever a page claims.
    let count = |key: &str| value(key).map(|number| number.clamp(0.0, 1e15) as u64);
    let fate = |fate: &str| count(&format!("distccd_results_total{{fate=\"{fate}\"}}"));
    let results = fate("hit").map(|hits| {
        let compiled = fate("kept").unwrap_or(0) + fate("not_kept").unwrap_or(0);
        (hits, compiled)
    });
    Page {
        slots: count("distccd_slots").or_else(|| count("dcc_max_kids")),
        busy: count("distccd_slots_busy"),
        results,
        load: value("distccd_load1")
            .or_else(|| value("dcc_load1"))
            .filter(|load| (0.0..1e6).contains(load)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn both_forms_are_read_and_nonsense_is_not() {
        let ours = "# HELP x\ndistccd_slots 8\ndistccd_slots_busy 3\ndistccd_results_total{fate=\"hit\"} 30\n\
                    distccd_results_total{fate=\"kept\"} 9\ndistccd_results_total{fate=\"not_kept\"} 1\n";
        let page = parse(ours);
        assert_eq!((page.slots, page.busy), (Some(8), Some(3)));
        assert_eq!((page.results, page.load), (Some((30, 10)), None));
        let stocks = "argv /distccd\n<distccstats>\ndcc_max_kids 6\ndcc_load1 0.68\n";
        let page = parse(stocks);
        assert_eq!((page.slots, page.load), (Some(6), Some(0.68)));
        let hostile = "distccd_slots 1e999\ndistccd_slots_busy -5\ndcc_load1 nan\n\u{1b}[2J";
        let page = parse(hostile);
        assert_eq!(
            (page.slots, page.busy),
            (Some(1_000_000_000_000_000), Some(0))
        );
        assert_eq!(page.load, None);
        assert_eq!(parse(""), Page::default());
    }

    #[test]
    fn a_server_is_asked_and_one_that_is_gone_holds_up_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let servers = Servers::default();
        servers.ask("127.0.0.1", port);
        assert_eq!(servers.page("127.0.0.1"), None);
        let (mut stream, _) = listener.accept().expect("a reader");
        let mut request = [0; 64];
        let read = stream.read(&mut request).expect("a request");
        assert_eq!(&request[..read], REQUEST);
        stream.write_all(b"distccd_slots 4\n").expect("an answer");
        drop(stream);
        servers.wait(Duration::from_secs(20));
        let page = servers.page("127.0.0.1").expect("it has answered");
        assert_eq!(page.slots, Some(4));

        let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = gone.local_addr().expect("an address").port();
        drop(gone);
        let servers = Servers::default();
        servers.ask("127.0.0.1", port);
        servers.wait(Duration::from_secs(20));
        assert_eq!(servers.page("127.0.0.1"), None);
    }
}
