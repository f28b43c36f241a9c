//! A daemon that ends with its test, a client that speaks the protocol over a plain socket, and waiting with an end.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use protocol::limits::Limits;
use protocol::reply::Reply;
use protocol::request::{Input, Request};
use protocol::version::Version;
use tempfile::TempDir;

/// How long anything may take before a test fails. Nothing is measured by it. `PUMPHOUSE_PATIENCE`, in seconds, is for slow machines.
pub static PATIENCE: LazyLock<Duration> = LazyLock::new(|| {
    let seconds = std::env::var("PUMPHOUSE_PATIENCE");
    let seconds = seconds.map_or(30, |text| text.parse().expect("seconds"));
    Duration::from_secs(seconds)
});

/// Seconds for a job that ends by its lifetime alone: what it does before takes a small part of them.
pub fn short_lifetime() -> String {
    (PATIENCE.as_secs() / 15).max(1).to_string()
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < *PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for a process to end.
pub fn wait_for(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("a process ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Runs a command that is to end by itself.
pub fn run(command: &mut Command) -> Output {
    let piped = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    wait_for(&mut child);
    child.wait_with_output().unwrap()
}

/// Text of a process's standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Sends a signal to one process.
pub fn send_signal(pid: u32, signal: i32) {
    // SAFETY: a plain system call.
    unsafe { libc::kill(i32::try_from(pid).unwrap(), signal) };
}

/// Our daemon's program, with nothing of the environment that could change what it does.
pub fn distccd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distccd"));
    command.stdin(Stdio::null());
    for name in [
        "DISTCC_CMDLIST",
        "DISTCCD_PATH",
        "PUMPHOUSE_VIEW",
        "PUMPHOUSE_WHITELIST",
        "DISTCC_IO_TIMEOUT",
    ] {
        command.env_remove(name);
    }
    command
}

/// Stock's client, or `None` after saying that a test is skipped. With `REQUIRE_PEERS=1` a missing one is a failure.
pub fn stock_client() -> Option<Command> {
    if !Path::new("/usr/bin/distcc").exists() {
        assert!(
            std::env::var_os("REQUIRE_PEERS").is_none_or(|v| v != "1"),
            "/usr/bin/distcc is missing"
        );
        eprintln!("skipped: /usr/bin/distcc is not installed");
        return None;
    }
    let mut command = Command::new("/usr/bin/distcc");
    command
        .env("DISTCC_FALLBACK", "0")
        .env("DISTCC_BACKOFF_PERIOD", "0");
    for name in [
        "DISTCC_VERBOSE",
        "DISTCC_LOG",
        "DISTCC_SSH",
        "INCLUDE_SERVER_PORT",
    ] {
        command.env_remove(name);
    }
    Some(command)
}

/// A directory that every user may enter: a daemon started by root runs as another user.
pub fn scratch() -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix("pumphouse-daemon.")
        .tempdir()
        .unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for name in ["tmp", "work", "state"] {
        let path = dir.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    dir
}

/// Writes an executable script.
pub fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes a control group that every user may divide: a daemon started by root runs as another user.
pub fn new_group(above: &Path) -> std::io::Result<PathBuf> {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let dir = above.join(format!("test-{}-{number}", std::process::id()));
    fs::create_dir(&dir)?;
    let open =
        |name: &str, mode| fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode));
    open("", 0o777)?;
    open("cgroup.procs", 0o666)?;
    open("cgroup.subtree_control", 0o666)?;
    Ok(dir)
}

/// Has a command run in a control group, alone.
pub fn enter_group(command: &mut Command, group: &Path) {
    let file = fs::OpenOptions::new()
        .write(true)
        .open(group.join("cgroup.procs"))
        .unwrap();
    // SAFETY: write may be called between fork and exec, on a descriptor that lives as long as the command.
    unsafe {
        command.pre_exec(move || {
            let fd = file.as_raw_fd();
            match libc::write(fd, c"0".as_ptr().cast(), 1) {
                1 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
}

/// A daemon in the foreground, on a port of the system's choice, for clients on loopback. Killed when dropped.
pub struct Daemon {
    child: Child,
    /// Somebody else has waited for the process: its number means nothing any more.
    is_gone: bool,
    dir: TempDir,
    pub address: SocketAddr,
}

impl Daemon {
    /// Starts it with further options and environment.
    pub fn start(configure: impl FnOnce(&mut Command, &Path)) -> Self {
        Self::start_for("127.0.0.1", configure)
    }

    /// The same, with another `--allow`.
    pub fn start_for(allow: &str, configure: impl FnOnce(&mut Command, &Path)) -> Self {
        let dir = scratch();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let fd = listener.as_raw_fd();
        let mut command = distccd();
        command
            .args([
                "--daemon",
                "--no-detach",
                "--verbose",
                "--allow",
                allow,
                "--log-file",
            ])
            .arg(dir.path().join("log"))
            .env("TMPDIR", dir.path().join("tmp"))
            .env("PUMPHOUSE_LISTEN_FD", fd.to_string());
        // Where all tests are to have control groups. A test that has its own enters it afterwards.
        if let Some(above) = std::env::var_os("PUMPHOUSE_TEST_CGROUP") {
            enter_group(&mut command, &new_group(Path::new(&above)).unwrap());
        }
        configure(&mut command, dir.path());
        // SAFETY: fcntl may be called between fork and exec; the descriptor is open.
        unsafe {
            command.pre_exec(move || {
                if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                    Err(std::io::Error::last_os_error())
                } else {
                    Ok(())
                }
            });
        }
        let child = command.spawn().unwrap();
        drop(listener);
        let daemon = Self {
            child,
            is_gone: false,
            dir,
            address,
        };
        wait_until("the daemon listens", || {
            daemon.log().contains("listening on")
        });
        daemon
    }

    /// A daemon whose only compiler is a script of this text, called `cc1`.
    pub fn with_compiler(text: &str, configure: impl FnOnce(&mut Command, &Path)) -> Self {
        Self::start(|command, dir| {
            let compiler = dir.join("server/cc1");
            script(&compiler, text);
            fs::write(dir.join("list"), format!("{}\n", compiler.display())).unwrap();
            command.env("DISTCC_CMDLIST", dir.join("list"));
            configure(command, dir);
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The lines that say how a job ended, without what differs from run to run.
    pub fn summaries(&self) -> Vec<String> {
        let log = self.log();
        let lines = log
            .lines()
            .filter_map(|line| line.split_once("(dcc_job_summary) client: "));
        lines
            .map(|(_, rest)| {
                let words = rest.split(' ').filter(|word| !word.starts_with("time:"));
                words
                    .skip(1)
                    .collect::<Vec<_>>()
                    .join(" ")
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    /// Waits until this many jobs have ended.
    pub fn wait_for_summaries(&self, count: usize) -> Vec<String> {
        wait_until("jobs end", || self.summaries().len() >= count);
        self.summaries()
    }

    /// A new connection.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(*PATIENCE)).unwrap();
        stream.set_write_timeout(Some(*PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes and reads what comes until the daemon closes.
    pub fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // The daemon may close before all is sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        read_to_close(&mut stream)
    }

    /// Sends a request and reads the reply; `None` when the daemon closed without one.
    pub fn job(&self, request: &Request) -> Option<Reply> {
        let mut stream = self.connect();
        stream.write_all(&request.encode()).unwrap();
        let bytes = read_to_close(&mut stream);
        if bytes.is_empty() {
            return None;
        }
        Some(Reply::decode(&bytes, request.version, Limits::DEFAULT).unwrap())
    }

    /// Whether it still serves: compiles a file with gcc, or asks the script.
    pub fn assert_alive(&self) {
        let reply = self
            .job(&preprocessed("cc1", "int x;\n"))
            .or_else(|| self.job(&preprocessed("gcc", "int x;\n")));
        assert!(
            reply.is_some(),
            "the daemon serves no more:\n{}",
            self.log()
        );
    }

    /// A stock client for one job on this daemon, in the directory `work`.
    pub fn stock_client(&self, options: &str) -> Option<Command> {
        let mut command = stock_client()?;
        command
            .env("DISTCC_DIR", self.path("state"))
            .env("TMPDIR", self.path("state"))
            .env("DISTCC_HOSTS", format!("{}{options}", self.address))
            .current_dir(self.path("work"));
        Some(command)
    }

    /// Sends a signal and waits for the end.
    pub fn stop(&mut self, signal: i32) -> ExitStatus {
        send_signal(self.pid(), signal);
        wait_for(&mut self.child)
    }

    /// Somebody else has waited for it.
    pub fn is_gone(&mut self) {
        self.is_gone = true;
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for(&mut self.child)
    }

    /// What jobs left in the daemon's temporary directory. Its store and its groves live there as long as it does.
    pub fn leftovers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("tmp")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| {
                !name.starts_with("distccd_store_") && !name.starts_with("distccd_grove_")
            })
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        // First politely, so that it takes its compilers along; at once, whatever they are at.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            send_signal(self.child.id(), libc::SIGINT);
        }
        let start = Instant::now();
        while start.elapsed() < *PATIENCE
            && self.child.try_wait().is_ok_and(|ended| ended.is_none())
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
    }
}

/// Reads until the other end closes or resets.
pub fn read_to_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    bytes
}

/// A protocol 1 request.
pub fn preprocessed(compiler: &str, source: &str) -> Request {
    let argv = [compiler, "-c", "a.c", "-o", "a.o"];
    Request {
        version: Version::Plain1,
        cwd: None,
        argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
        input: Input::Preprocessed(source.as_bytes().to_vec()),
    }
}

/// Whether any process runs `sleep` with this argument.
pub fn is_sleeping(mark: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let wanted = format!("sleep\0{mark}\0");
    processes
        .map(|process| fs::read(process.path().join("cmdline")).unwrap_or_default())
        .any(|command| command.ends_with(wanted.as_bytes()))
}
