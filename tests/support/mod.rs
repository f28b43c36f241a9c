//! What the end-to-end tests share: programs of ours and of stock's, daemons and include servers that end with the
//! test, and a tap that sees which protocol crosses a connection.
#![allow(dead_code, reason = "each test program uses its own part")]

pub mod tap;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a helper process may take to come up or to end. Nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who wrote a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// This project.
    Ours,
    /// Debian's distcc package.
    Stock,
}

/// The path of one of our programs.
pub fn ours(name: &str) -> PathBuf {
    PathBuf::from(match name {
        "distcc" => env!("CARGO_BIN_EXE_distcc"),
        "distccd" => env!("CARGO_BIN_EXE_distccd"),
        "pump" => env!("CARGO_BIN_EXE_pump"),
        "include-server" => env!("CARGO_BIN_EXE_include-server"),
        other => panic!("no program {other}"),
    })
}

/// The path of a peer's program, or `None` after saying that the test is skipped. With `REQUIRE_PEERS=1` in the
/// environment a missing peer fails the test instead.
pub fn peer(path: &str) -> Option<PathBuf> {
    if Path::new(path).exists() {
        return Some(PathBuf::from(path));
    }
    assert!(
        std::env::var_os("REQUIRE_PEERS").is_none_or(|v| v != "1"),
        "{path} is missing and REQUIRE_PEERS=1"
    );
    eprintln!("skipped: {path} is not installed");
    None
}

/// Whether stock distcc is there to be compared with.
pub fn stock_installed() -> bool {
    peer("/usr/bin/distcc").is_some() && peer("/usr/bin/distccd").is_some()
}

/// A client's or a daemon's program.
pub fn program(maker: Maker, name: &str) -> PathBuf {
    match maker {
        Maker::Ours => ours(name),
        Maker::Stock => PathBuf::from("/usr/bin").join(name),
    }
}

/// A directory of the test's own that every user may enter (a stock daemon started by root runs as another user).
pub fn scratch() -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix("pumphouse-test.")
        .tempdir()
        .unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

/// Writes files below a directory, making directories on the way.
pub fn write_tree(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Runs a command to its end and returns what it said.
pub fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// Runs a command that must succeed.
pub fn run_ok(command: &mut Command) -> Output {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
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

/// A daemon that ends with the test.
pub struct Daemon {
    child: Child,
    /// Its port on loopback.
    pub port: u16,
    /// Its log file.
    pub log: PathBuf,
}

impl Daemon {
    /// Starts a daemon; `dir` holds its log and its temporary files.
    pub fn start(maker: Maker, dir: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_with(maker, dir, environment, &[])
    }

    /// Starts it with more options.
    pub fn start_with(
        maker: Maker,
        dir: &Path,
        environment: &[(&str, &str)],
        options: &[&str],
    ) -> Self {
        Self::start_by(&program(maker, "distccd"), maker, dir, environment, options)
    }

    /// Starts it by a program that becomes it.
    pub fn start_by(
        starter: &Path,
        maker: Maker,
        dir: &Path,
        environment: &[(&str, &str)],
        options: &[&str],
    ) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let home = dir.join(format!("daemon-{port}"));
            fs::create_dir_all(&home).unwrap();
            fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).unwrap();
            let log = home.join("log");
            fs::write(&log, "").unwrap();
            fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
            let mut command = Command::new(starter);
            command
                .args([
                    "--daemon",
                    "--no-detach",
                    "--allow",
                    "127.0.0.1",
                    "--listen",
                    "127.0.0.1",
                    "--jobs",
                    "4",
                ])
                .args([
                    "--log-level",
                    "debug",
                    "--port",
                    &port.to_string(),
                    "--log-file",
                ])
                .arg(&log)
                .args(options)
                .env("TMPDIR", &home)
                .stdin(Stdio::null());
            if maker == Maker::Ours {
                command.env("DISTCC_CMDLIST", command_list(&home));
            }
            command.envs(environment.iter().copied());
            let mut daemon = Self {
                child: command.spawn().unwrap(),
                port,
                log,
            };
            let start = Instant::now();
            while start.elapsed() < PATIENCE {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return daemon;
                }
                if daemon.child.try_wait().unwrap().is_some() {
                    break; // The port was taken in between: another one.
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("no daemon came up");
    }

    /// What it logged so far.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// What it logged, when every connection has its line: a client has its reply before the daemon writes that.
    pub fn settled_log(&self) -> String {
        let mut log = String::new();
        wait_until("every connection has its line", || {
            log = self.log_text();
            let begun = [": connected", "connection from "];
            let begun: usize = begun.iter().map(|text| log.matches(text).count()).sum();
            begun == log.matches("(dcc_job_summary)").count()
        });
        log
    }

    /// How many jobs it says that it compiled.
    pub fn compiled(&self) -> usize {
        self.settled_log().matches("COMPILE_OK").count()
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The user as whom a daemon that root starts runs.
fn daemon_user() -> Option<u32> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let of = |name: &str| {
        let line = passwd
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    };
    // SAFETY: a plain system call.
    let is_root = unsafe { libc::geteuid() } == 0;
    let user = of("distcc")
        .or_else(|| of("distccd"))
        .or_else(|| of("nobody"));
    user.filter(|_| is_root)
}

/// A new directory that a daemon may have for its own: it may run as another user.
pub fn daemons_directory(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    fs::create_dir(&path).unwrap();
    let _ = std::os::unix::fs::chown(&path, daemon_user(), None);
    path
}

/// The list of compilers that our daemon may run in a test, so that no `/usr/lib/distcc` is needed.
fn command_list(dir: &Path) -> PathBuf {
    let mut list = String::new();
    for folder in ["/usr/bin", "/usr/local/bin"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains("gcc")
                || name.contains("g++")
                || name.contains("clang")
                || name == "cc"
                || name == "c++"
            {
                list.push_str(&format!("{folder}/{name}\n"));
            }
        }
    }
    let path = dir.join("commands");
    fs::write(&path, list).unwrap();
    path
}

/// Asks a process to end, and makes it.
fn end(child: &mut Child) {
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: a plain system call on the id of a child that has not been waited for.
    unsafe { libc::kill(pid, libc::SIGTERM) };
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        if child.try_wait().ok().flatten().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Our include server, ending with the test.
pub struct IncludeServer {
    child: Child,
    /// What `INCLUDE_SERVER_PORT` is to be.
    pub socket: PathBuf,
}

impl IncludeServer {
    /// Starts it with its socket in `dir`.
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// Starts it with more options.
    pub fn start_with(dir: &Path, options: &[&str]) -> Self {
        let socket = dir.join("socket");
        let mut command = Command::new(ours("include-server"));
        command
            .arg("--foreground")
            .arg("--port")
            .arg(&socket)
            .args(options)
            .stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let server = Self { child, socket };
        wait_until("the include server's socket", || {
            UnixStream::connect(&server.socket).is_ok()
        });
        server
    }

    /// The include server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for IncludeServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// One client with its own state directory.
pub struct Client {
    maker: Maker,
    home: PathBuf,
    hosts: String,
    include_server: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
}

impl Client {
    /// A client of these hosts; `dir` gets its state directory.
    pub fn new(maker: Maker, dir: &Path, hosts: &str) -> Self {
        let home = dir.join("home");
        fs::create_dir_all(&home).unwrap();
        Self {
            maker,
            home,
            hosts: hosts.to_owned(),
            include_server: None,
            environment: Vec::new(),
        }
    }

    /// The same client with an include server.
    pub fn with_include_server(mut self, socket: &Path) -> Self {
        self.include_server = Some(socket.to_owned());
        self
    }

    /// The same client with one more variable.
    pub fn with(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The command that compiles: `distcc ARGS` in `cwd`. Falling back to local compiles is switched off.
    pub fn command<S: AsRef<OsStr>>(&self, cwd: &Path, args: &[S]) -> Command {
        let mut command = Command::new(program(self.maker, "distcc"));
        for name in [
            "INCLUDE_SERVER_PORT",
            "PUMPHOUSE_JOURNAL",
            "DISTCC_DIR",
            "DISTCC_VERBOSE",
            "DISTCC_LOG",
        ] {
            command.env_remove(name);
        }
        command
            .args(args)
            .current_dir(cwd)
            .env("HOME", &self.home)
            .env("DISTCC_DIR", &self.home)
            .env("DISTCC_HOSTS", &self.hosts)
            .env("DISTCC_FALLBACK", "0")
            .env("DISTCC_BACKOFF_PERIOD", "0")
            .stdin(Stdio::null());
        if let Some(socket) = &self.include_server {
            command.env("INCLUDE_SERVER_PORT", socket);
            if self.maker == Maker::Stock {
                // Makes a stock client end with 1 instead of preprocessing at home when it gets no list.
                command.env("DISTCC_TESTING_INCLUDE_SERVER", "1");
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Compiles; the client must succeed.
    pub fn compile<S: AsRef<OsStr>>(&self, cwd: &Path, args: &[S]) -> Output {
        run_ok(&mut self.command(cwd, args))
    }
}

/// Sends bytes to a port and returns all that comes back until the peer closes.
pub fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}
