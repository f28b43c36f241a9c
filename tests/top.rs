//! `pump top` on a terminal, while `pump` builds; and the trace of that build.

mod support;

use rustix::fd::OwnedFd;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use support::{ours, run, run_ok, scratch, wait_until, write_tree};

/// A source whose assembly lasts until somebody writes into it, with a name that a terminal would obey.
const HELD: &str = "he\u{1b}[2Jld.s";

/// The same as a person sees it.
const HELD_SHOWN: &str = "he?[2Jld.s";

/// A program in `dir`'s environment, without anything of the session that this test may run in.
fn command(dir: &Path, name: &str) -> Command {
    let mut command = Command::new(ours(name));
    for name in [
        "DISTCC_HOSTS",
        "DISTCC_POTENTIAL_HOSTS",
        "DISTCC_PUMP_SESSION",
        "PUMPHOUSE_JOURNAL",
    ] {
        command.env_remove(name);
    }
    for name in [
        "INCLUDE_SERVER_PORT",
        "INCLUDE_SERVER_PID",
        "INCLUDE_SERVER_DIR",
        "COLUMNS",
    ] {
        command.env_remove(name);
    }
    command
        .env("HOME", dir.join("home"))
        .env("DISTCC_DIR", dir.join("home/.distcc"))
        .env("TMPDIR", dir.join("tmp"))
        .env("TERM", "xterm-256color")
        .current_dir(dir.join("work"))
        .stdin(Stdio::null());
    command
}

/// A directory with sources, the last of which holds up whoever assembles it.
fn prepare(dir: &Path) {
    write_tree(
        dir,
        &[
            ("work/a.c", "#include \"a.h\"\nint a(void) { return A; }\n"),
            ("work/a.h", "#define A 1\n"),
            ("work/b.c", "int b(void) { return 1; }\n"),
            ("home/.keep", ""),
            ("tmp/.keep", ""),
        ],
    );
    let fifo = dir.join("work").join(HELD);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, fifo, mode).unwrap();
}

/// A build in pump mode: three compiles, one of them for the second time, and then the one that waits.
fn start_build(dir: &Path) -> Child {
    let script = "gcc -c a.c && gcc -c b.c && rm a.o && gcc -c a.c && gcc -c \"$HELD\" -o held.o";
    command(dir, "pump")
        .args(["--jobs=2", "--trace", "trace.json", "sh", "-c", script])
        .env("HELD", HELD)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The session of the build in `dir`, once it is there. Others may run on this machine.
fn session_of(dir: &Path) -> PathBuf {
    let mut found = None;
    wait_until("there is a session", || {
        let entries = fs::read_dir(dir.join("tmp")).unwrap().flatten();
        let mut sessions = entries.map(|entry| entry.path());
        found = sessions.find(|path| path.join("about").exists());
        found.is_some()
    });
    found.unwrap()
}

/// Lets the assembler have its source.
fn release(dir: &Path) {
    let fifo = dir.join("work").join(HELD);
    File::options()
        .write(true)
        .open(fifo)
        .unwrap()
        .write_all(b"nop\n")
        .unwrap();
}

/// A terminal with a program on it.
struct Terminal {
    pty: OwnedFd,
    child: Child,
    screen: Arc<Mutex<vt100::Parser>>,
    /// All that the program wrote.
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(command: &mut Command, columns: u16, rows: u16) -> Self {
        let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&pty).unwrap();
        unlockpt(&pty).unwrap();
        let name = ptsname(&pty, Vec::new()).unwrap();
        let name = std::ffi::OsStr::from_bytes(name.as_bytes());
        let line = File::options().read(true).write(true).open(name).unwrap();
        let terminal = |line: &File| Stdio::from(line.try_clone().unwrap());
        tcsetwinsize(&pty, winsize(columns, rows)).unwrap();
        let child = command
            .stdin(terminal(&line))
            .stdout(terminal(&line))
            .stderr(terminal(&line))
            .spawn()
            .unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(size(rows), size(columns), 0)));
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (shown, kept) = (Arc::clone(&screen), Arc::clone(&bytes));
        let mut reader = File::from(pty.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Fails when the program has closed the terminal.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                shown.lock().unwrap().process(&buffer[..count]);
                kept.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            pty,
            child,
            screen,
            bytes,
        }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn wait_for(&self, words: &[&str]) {
        let mut last = String::new();
        let shown = || {
            last = self.text();
            words.iter().all(|word| last.contains(word))
        };
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(&format!("{words:?} on the screen"), shown);
        }));
        assert!(caught.is_ok(), "the screen:\n{last}");
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.screen
            .lock()
            .unwrap()
            .screen_mut()
            .set_size(size(rows), size(columns));
        tcsetwinsize(&self.pty, winsize(columns, rows)).unwrap();
        // As the kernel does for the program that owns the terminal.
        self.signal(libc::SIGWINCH);
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a plain system call on a child that has not been waited for.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    fn press(&self, key: &[u8]) {
        rustix::io::write(&self.pty, key).unwrap();
    }

    /// Waits for the program's end; the terminal must be as it was.
    fn end(mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let modes = tcgetattr(&self.pty).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        wait_until("the usual screen is shown again", || {
            let bytes = self.bytes.lock().unwrap();
            let has = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
            has(b"\x1b[?1049l") && has(b"\x1b[?25h")
        });
        assert!(!self.screen.lock().unwrap().screen().hide_cursor());
        status.unwrap().code()
    }
}

fn size(lines: u16) -> NonZero<u16> {
    NonZero::new(lines).unwrap()
}

fn winsize(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

#[test]
fn a_build_is_watched_on_a_terminal() {
    let dir = scratch();
    let dir = dir.path();
    prepare(dir);
    let mut build = start_build(dir);
    let session = session_of(dir);
    let monitor = |options: &[&str]| {
        let mut command = command(dir, "pump");
        command
            .arg("top")
            .args(options)
            .arg("--session")
            .arg(&session);
        command
    };
    let top = Terminal::start(&mut monitor(&["--interval=0.1"]), 80, 24);
    top.wait_for(&[
        " pump top  sh -c gcc -c a.c",
        " 1 running  3 done  3 pump  33% hits",
        " here                    C···  1/4",
        &format!("here/0                     {HELD_SHOWN}"),
        "     2 no result     not compiled here before",
        " q quit",
    ]);
    // The same as text, for a script; and on a terminal that is hardly one.
    let once = run_ok(&mut monitor(&["--once"]));
    let text = String::from_utf8(once.stdout).unwrap();
    assert!(
        text.contains(HELD_SHOWN) && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    top.resize(40, 10);
    top.wait_for(&["sh -c g", HELD_SHOWN, " q quit"]);
    top.resize(3, 2);
    top.resize(80, 24);
    top.wait_for(&[" 1 running  3 done"]);

    let second = Terminal::start(&mut monitor(&[]), 80, 24);
    second.wait_for(&[" q quit"]);
    second.signal(libc::SIGTERM);
    assert_eq!(second.end(), Some(128 + libc::SIGTERM));

    release(dir);
    assert!(build.wait().unwrap().success());
    top.wait_for(&[
        "over after",
        " 0 running  4 done",
        "1 done here",
        "assembler source is assembled here",
    ]);
    top.press(b"q");
    assert_eq!(top.end(), Some(0));
    check_trace(&dir.join("work/trace.json"));
}

/// The build's four jobs, the spans of each row one in the other.
fn check_trace(path: &Path) {
    let trace: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let named = |name: &str| -> Vec<&Value> {
        events
            .iter()
            .filter(|event| event["name"] == name)
            .collect()
    };
    let jobs = ["a.c", "a.c", "b.c", HELD];
    for name in jobs {
        let wanted = jobs.iter().filter(|other| **other == name).count();
        assert_eq!(named(name).len(), wanted, "{name} in {trace}");
    }
    assert_eq!(named("scan").len(), 3);
    assert_eq!(named("server looks up the result").len(), 1);
    let mut spans: Vec<(u64, u64, u64, u64)> = Vec::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let number = |key: &str| event[key].as_u64().unwrap();
        spans.push((number("pid"), number("tid"), number("ts"), number("dur")));
    }
    // Outer spans first: each must lie in all that are still open.
    spans.sort_by_key(|&(pid, tid, from, length)| (pid, tid, from, std::cmp::Reverse(length)));
    let mut open: Vec<(u64, u64, u64)> = Vec::new();
    for (pid, tid, from, length) in spans {
        open.retain(|&(p, t, end)| (p, t) == (pid, tid) && end > from);
        assert!(
            open.iter().all(|&(_, _, end)| from + length <= end),
            "{trace}"
        );
        open.push((pid, tid, from + length));
    }
}

#[test]
fn a_build_that_is_interrupted_leaves_a_whole_trace() {
    let dir = scratch();
    let dir = dir.path();
    prepare(dir);
    let mut build = start_build(dir);
    let trace = dir.join("work/trace.json");
    let read = || -> Value { serde_json::from_slice(&fs::read(&trace).unwrap()).unwrap() };
    wait_until("the trace is begun", || trace.exists());
    assert_eq!(read()["traceEvents"], serde_json::json!([]));
    let home = dir.join("home/.distcc/state");
    let is_held = || {
        let states = fs::read_dir(&home).into_iter().flatten().flatten();
        states
            .filter_map(|state| fs::read(state.path()).ok())
            .any(|state| {
                state
                    .windows(HELD.len())
                    .any(|window| window == HELD.as_bytes())
            })
    };
    wait_until("the last job runs", is_held);
    // SAFETY: a plain system call on a child that has not been waited for.
    unsafe { libc::kill(build.id() as libc::pid_t, libc::SIGTERM) };
    assert_eq!(build.wait().unwrap().code(), Some(128 + libc::SIGTERM));
    let trace = read();
    let sources: Vec<_> = trace["traceEvents"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["cat"] == "job")
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    assert!(
        sources.contains(&"a.c") && sources.contains(&"b.c"),
        "{trace}"
    );
    release_if_read(dir);
}

/// The shell was ended, not the assembler, which still waits for its source.
fn release_if_read(dir: &Path) {
    let fifo = dir.join("work").join(HELD);
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    // Fails when nobody reads: then it is gone already.
    let _ = rustix::fs::open(fifo, flags, rustix::fs::Mode::empty());
}

#[test]
fn a_session_that_outlives_its_pump_has_a_trace_too() {
    let dir = scratch();
    let dir = dir.path();
    prepare(dir);
    let script = "eval \"$(\"$PUMP\" --trace trace.json --startup)\" && gcc -c a.c && \"$PUMP\" top --once && \"$PUMP\" --shutdown";
    let mut shell = Command::new("sh");
    let pump = command(dir, "pump");
    shell
        .args(["-c", script])
        .env("PUMP", ours("pump"))
        .current_dir(dir.join("work"));
    for (name, value) in pump.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = run_ok(&mut shell);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        shown.contains(" pump top  a session of pump --startup"),
        "{shown}"
    );
    assert!(shown.contains("1 done  1 pump"), "{shown}");
    let trace: Value =
        serde_json::from_slice(&fs::read(dir.join("work/trace.json")).unwrap()).unwrap();
    let jobs = trace["traceEvents"].as_array().unwrap().iter();
    let jobs: Vec<_> = jobs.filter(|event| event["cat"] == "job").collect();
    assert_eq!(
        (jobs.len(), &jobs[0]["name"]),
        (1, &"a.c".into()),
        "{trace}"
    );
}

#[test]
fn what_cannot_be_shown_or_written_is_said_in_a_line() {
    let dir = scratch();
    let dir = dir.path();
    prepare(dir);
    let cases: [(&[&str], &str); 4] = [
        (&["top"], "needs a terminal on stdout; \"pump top --once\""),
        (
            &["top", "-b"],
            "for a program of that name: \"pump -- top\"",
        ),
        (
            &["top", "--session", "/nowhere"],
            "\"/nowhere\" is not a session",
        ),
        (
            &["--trace", "no/such/file", "true"],
            "cannot write the trace",
        ),
    ];
    for (words, message) in cases {
        let output = run(command(dir, "pump").args(words).stdout(Stdio::piped()));
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains(message) && said.lines().count() == 1,
            "{said}"
        );
    }
}
