//! The status page of the statistics port, its numbers, and both in a browser, with names that would be markup.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};

use protocol::request::Request;
use serde_json::Value;

use crate::harness::{Daemon, PATIENCE, preprocessed, read_to_close, wait_until};
use crate::webdriver::Browser;

/// A file's name that a careless page would run.
const HOSTILE: &str = "<img src=x onerror=document.title=1>&amp;\u{1b}[2J.c";

/// The same as a person sees it.
const SHOWN: &str = "<img src=x onerror=document.title=1>&amp;?[2J.c";

/// The source of a job that ends when its client leaves.
const ENDLESS: &str = "forever.c";

/// A daemon with a statistics port and a compiler that fails at once, or never ends when it is told so.
fn daemon() -> (Daemon, SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let compiler = "case \"$*\" in *FOREVER*) exec sleep 600 ;; esac; exit 3";
    let daemon = Daemon::with_compiler(compiler, |command, _| {
        command.args(["--stats", "--listen", "127.0.0.1", "--stats-port"]);
        command.arg(free.port().to_string());
    });
    (daemon, free)
}

fn request(source: &str) -> Request {
    let mut request = preprocessed("cc1", "int x;\n");
    request.argv[2] = source.as_bytes().to_vec();
    if source == ENDLESS {
        request.argv.push(b"-DFOREVER".to_vec());
    }
    request
}

/// The answer to a request line, head and body.
fn get(address: SocketAddr, line: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(*PATIENCE)).unwrap();
    let text = format!("{line}\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let answer = String::from_utf8(read_to_close(&mut stream)).unwrap();
    let parts = answer
        .split_once("\r\n\r\n")
        .or_else(|| answer.split_once("\n\n"));
    let (head, body) = parts.unwrap();
    (head.to_owned(), body.to_owned())
}

fn numbers(address: SocketAddr) -> Value {
    let (head, body) = get(address, "GET /pumphouse/status.json HTTP/1.1");
    assert!(head.contains("Content-Type: application/json"), "{head}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn the_numbers_follow_jobs_whatever_they_are_called() {
    let (daemon, address) = daemon();
    assert_eq!(numbers(address)["running"], serde_json::json!([]));
    daemon.job(&request(HOSTILE)).unwrap();
    daemon.wait_for_summaries(1);
    let now = numbers(address);
    let last = &now["recent"][0];
    assert_eq!(
        (&last["source"], &last["ending"]),
        (&SHOWN.into(), &"COMPILE_ERROR".into())
    );
    assert_eq!(
        (&last["compiler"], &last["result"]),
        (&"cc1".into(), &"not kept".into())
    );
    assert_eq!(now["reasons"][0]["count"], 1);
    assert_eq!(
        (&now["connections"], &now["slots"]["busy"]),
        (&1.into(), &0.into())
    );
    assert!(now["store"]["limit"].as_u64().unwrap() > 0);

    let mut held = daemon.connect();
    held.write_all(&request(ENDLESS).encode()).unwrap();
    wait_until("the job is listed as one that is compiled", || {
        let now = numbers(address);
        let job = &now["running"][0];
        job["source"] == ENDLESS && job["phase"] == "compile" && now["slots"]["busy"] == 1
    });
    drop(held);
    wait_until("it is listed as one whose client has left", || {
        let now = numbers(address);
        now["running"] == serde_json::json!([])
            && now["recent"][0]["source"] == ENDLESS
            && now["recent"][0]["ending"] == "CLI_DISCONN"
    });
}

#[test]
fn stocks_page_stays_at_every_other_path() {
    let (_daemon, address) = daemon();
    for line in [
        "GET / HTTP/1.1",
        "GET /index.html HTTP/1.0",
        "HEAD /pumphouse HTTP/1.1",
        "nonsense",
    ] {
        let (head, body) = get(address, line);
        assert!(head.contains("Content-Type: text/plain"), "{line}: {head}");
        assert!(
            body.starts_with("argv /distccd\n<distccstats>\n"),
            "{line}: {body}"
        );
    }
    let (head, body) = get(address, "GET /pumphouse HTTP/1.1");
    assert!(
        head.contains("Content-Security-Policy: default-src 'none'; "),
        "{head}"
    );
    assert!(
        body.starts_with("<!DOCTYPE html>") && body.ends_with("</html>\n"),
        "{body}"
    );
}

#[test]
fn a_browser_shows_names_as_text_and_numbers_as_they_change() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let (daemon, address) = daemon();
    browser.go(&format!("http://{address}/pumphouse"));
    let text = |id: &str| {
        let script = format!("return document.getElementById('{id}').textContent");
        browser.run(&script).as_str().unwrap().to_owned()
    };
    wait_until("the first numbers", || {
        text("connections") == "0" && text("busy") == "0"
    });
    assert!(text("recent").contains("no job yet"));
    // From here on nothing is loaded again: what changes, changes by itself.
    browser.run("window.mark = 7");
    daemon.job(&request(HOSTILE)).unwrap();
    wait_until("the job is counted and listed", || {
        text("connections") == "1" && text("recent").contains(SHOWN)
    });
    assert!(
        text("recent").contains("COMPILE_ERROR"),
        "{}",
        text("recent")
    );
    assert!(text("reasons").contains("not kept"), "{}", text("reasons"));
    let mut held = daemon.connect();
    held.write_all(&request(ENDLESS).encode()).unwrap();
    wait_until("the job is seen at work", || {
        text("busy") == "1" && text("running").contains(ENDLESS)
    });
    drop(held);
    wait_until("it is gone again", || {
        text("busy") == "0" && text("running") == "nothing runs"
    });
    assert_eq!(
        browser.run("return [window.mark, document.images.length]"),
        serde_json::json!([7, 0])
    );
    assert_ne!(browser.run("return document.title"), "1");
    // Neither errors nor anything that the page's policy had to stop; but the icon that browsers ask for gets stock's page.
    let said = browser.console();
    assert!(said.is_empty(), "{said:?}");

    drop(daemon);
    wait_until("the page says that nobody answers", || {
        text("stale").starts_with("No answer for")
    });
}
