//! A place to run `distcc` in, a stock daemon, and servers that say what a test wants.

use protocol::limits::Limits;
use protocol::request::{Request, RequestDecoder};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; only a bound, never waited for in full by a test that passes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with sources, and the environment in which `distcc` runs there.
pub struct Desk {
    directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
    path: String,
    removed: Cell<bool>,
}

impl Desk {
    /// An empty desk; no host is known.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["work", "tmp", "bin", "home"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        Self {
            directory,
            variables: Vec::new(),
            path: "/usr/bin:/bin".into(),
            removed: Cell::new(false),
        }
    }

    /// The same with a host list.
    pub fn with_hosts(hosts: &str) -> Self {
        Self::new().set("DISTCC_HOSTS", hosts)
    }

    /// Sets a variable.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Puts a program in front of `PATH`.
    pub fn program(mut self, name: &str, script: &str) -> Self {
        let path = self.at("bin").join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        if !self.path.starts_with(self.at("bin").to_str().unwrap()) {
            self.path = format!("{}:{}", self.at("bin").display(), self.path);
        }
        self
    }

    /// A compiler `gcc` that writes down each call and then is the real one.
    pub fn with_counted_gcc(self) -> Self {
        let calls = self.at("calls");
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {}\nexec /usr/bin/gcc \"$@\"\n",
            calls.display()
        );
        self.program("gcc", &script)
    }

    /// The calls that the counted compiler saw.
    pub fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.at("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A path on the desk.
    pub fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a source into the working directory.
    pub fn source(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    /// Writes a file into the working directory.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.at("work").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A file of the working directory.
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.at("work").join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Whether the working directory has it.
    pub fn has(&self, name: &str) -> bool {
        std::fs::symlink_metadata(self.at("work").join(name)).is_ok()
    }

    /// `program` with words, in the working directory.
    pub fn command(&self, program: &Path, words: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(words.split_whitespace())
            .current_dir(self.at("work"))
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.at("home"))
            .env("TMPDIR", self.at("tmp"))
            .env("DISTCC_DIR", self.at("state"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// Our client, not started yet.
    pub fn distcc_command(&self, words: &str) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_distcc-under-test")), words);
        command.arg0("distcc");
        command
    }

    /// Runs our client.
    pub fn distcc(&self, words: &str) -> Outcome {
        Outcome::of(self.distcc_command(words).output().unwrap())
    }

    /// Runs the compiler itself.
    pub fn gcc(&self, words: &str) -> Outcome {
        Outcome::of(
            self.command(Path::new("/usr/bin/gcc"), words)
                .output()
                .unwrap(),
        )
    }

    /// What lies around that should not: temporary files and states.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for place in ["tmp", "state/state"] {
            for entry in std::fs::read_dir(self.at(place)).into_iter().flatten() {
                found.push(entry.unwrap().path());
            }
        }
        for entry in std::fs::read_dir(self.at("work")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
                found.push(path);
            }
        }
        found
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Every test of every kind: nothing may be left behind.
        if !std::thread::panicking() && !self.removed.replace(true) {
            assert_eq!(self.leftovers(), Vec::<PathBuf>::new());
        }
    }
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts exit code 0 and silence.
    #[track_caller]
    pub fn silent_success(&self) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
    }

    /// Asserts an exit code and a part of standard error.
    #[track_caller]
    pub fn says(&self, code: i32, part: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(part), "no {part:?} in {self:#?}");
    }
}

/// A stock distccd on loopback, stopped when dropped.
pub struct StockDaemon {
    child: Child,
    pub port: u16,
}

impl StockDaemon {
    /// Starts one; `None` with a printed reason when it is not installed. `REQUIRE_PEERS=1` makes that a failure.
    pub fn start() -> Option<Self> {
        let program = Path::new("/usr/bin/distccd");
        if !program.exists() {
            assert!(
                std::env::var_os("REQUIRE_PEERS").is_none_or(|v| v != "1"),
                "REQUIRE_PEERS=1, but {} is not installed",
                program.display()
            );
            println!("skipped: {} is not installed", program.display());
            return None;
        }
        for _ in 0..5 {
            let port = free_port();
            let mut child = Command::new(program)
                .args([
                    "--daemon",
                    "--no-detach",
                    "--listen",
                    "127.0.0.1",
                    "--allow",
                    "127.0.0.1",
                ])
                .args(["--port", &port.to_string(), "--jobs", "4", "--log-stderr"])
                .env_remove("DISTCC_HOSTS")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                // Its parent process signals its whole group when it is told to end.
                .process_group(0)
                .spawn()
                .unwrap();
            let start = Instant::now();
            while start.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(Self { child, port });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("distccd does not start");
    }

    /// The daemon as a host, with options.
    pub fn host(&self, options: &str) -> String {
        format!("127.0.0.1:{}{options}", self.port)
    }
}

impl Drop for StockDaemon {
    fn drop(&mut self) {
        // SAFETY: kill has no memory effects; the group is the one that start() made for this daemon.
        unsafe { libc::kill(-i32::try_from(self.child.id()).unwrap(), libc::SIGTERM) };
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A server in this process: `serve` gets each connection with its number.
pub struct FakeServer {
    pub port: u16,
}

impl FakeServer {
    pub fn start(mut serve: impl FnMut(usize, TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // Ends with the test program.
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                serve(number, stream.unwrap());
            }
        });
        Self { port }
    }

    /// A server that reads each request whole and answers with `reply`, then closes.
    pub fn answering(
        reply: impl Fn(usize, &Request) -> Vec<u8> + Send + 'static,
    ) -> (Self, Receiver<Request>) {
        let (sender, receiver) = channel();
        let server = Self::start(move |number, mut stream| {
            if let Some(request) = read_request(&mut stream) {
                let _ = stream.write_all(&reply(number, &request));
                let _ = sender.send(request);
            }
        });
        (server, receiver)
    }

    pub fn host(&self, options: &str) -> String {
        format!("127.0.0.1:{}{options}", self.port)
    }
}

/// Reads one request; `None` when the client hangs up before its end.
pub fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut decoder = RequestDecoder::new(Limits::DEFAULT);
    let mut buffer = [0; 4096];
    while !decoder.is_complete() {
        let n = stream.read(&mut buffer).ok().filter(|&n| n > 0)?;
        decoder.feed(&buffer[..n]).unwrap();
    }
    Some(decoder.finish().unwrap())
}
