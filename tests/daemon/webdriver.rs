//! A browser for tests: Chromium, driven over the WebDriver protocol by its own driver, which ends with the test.
//!
//! Source: W3C, "WebDriver".

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::PATIENCE;

const BROWSER: &str = "/usr/bin/chromium";
const DRIVER: &str = "/usr/bin/chromedriver";

/// A browser with one window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts one, or says that the test is skipped. With `REQUIRE_PEERS=1` a missing one is a failure.
    pub fn start() -> Option<Self> {
        if let Some(missing) = [BROWSER, DRIVER]
            .iter()
            .find(|path| !Path::new(path).exists())
        {
            assert!(
                std::env::var_os("REQUIRE_PEERS").is_none_or(|value| value != "1"),
                "{missing} is missing and REQUIRE_PEERS=1"
            );
            eprintln!("skipped: {missing} is not installed");
            return None;
        }
        let profile = tempfile::Builder::new()
            .prefix("pumphouse-browser.")
            .tempdir()
            .unwrap();
        fs::create_dir(profile.path().join("home")).unwrap();
        let mut driver = Command::new(DRIVER)
            .arg("--port=0")
            .env("HOME", profile.path().join("home"))
            .env("TMPDIR", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port = port_of(driver.stdout.take().unwrap());
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        browser.session = browser.open_session();
        Some(browser)
    }

    fn open_session(&self) -> String {
        let profile = self._profile.path().join("profile");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": BROWSER, "args": arguments},
        }}});
        let answer = self.ask("/session", &wanted);
        answer["sessionId"].as_str().unwrap().to_owned()
    }

    /// Goes to a page.
    pub fn go(&self, url: &str) {
        self.command("url", &json!({"url": url}));
    }

    /// Runs a function body in the page and returns what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// What the page said on its console since it was asked last, complaints of the browser's included.
    pub fn console(&self) -> Vec<String> {
        let entries = self.command("se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().unwrap();
        entries
            .iter()
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    fn command(&self, name: &str, body: &Value) -> Value {
        self.ask(&format!("/session/{}/{name}", self.session), body)
    }

    fn ask(&self, path: &str, body: &Value) -> Value {
        let answer = self.exchange("POST", path, &body.to_string()).unwrap();
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {answer}");
        answer["value"].take()
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(*PATIENCE))?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        String::from_utf8(answer).map_err(io::Error::other)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver takes the browser along when the session is closed, and not otherwise.
        if !self.session.is_empty() {
            let _ = self.exchange("DELETE", &format!("/session/{}", self.session), "");
        }
        // SAFETY: a plain system call on a child that has not been waited for.
        unsafe { libc::kill(self.driver.id() as libc::pid_t, libc::SIGTERM) };
        let _ = self.driver.wait();
    }
}

/// The driver says which port it has got.
fn port_of(stdout: impl Read) -> u16 {
    let mut lines = BufReader::new(stdout).lines();
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        let rest = line.split_once("started successfully on port ")?.1;
        rest.trim_end_matches('.').parse().ok()
    });
    port.expect("the driver starts")
}
