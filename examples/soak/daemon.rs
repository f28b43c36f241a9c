//! The daemon that is tried. Owns its process, which is restarted on the same port and store.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Failure, Shared, project, watch};

/// How long it may take to start, or to end when it was asked to.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Daemon {
    child: Child,
    program: PathBuf,
    dir: PathBuf,
    cache_size: String,
    pub(crate) port: u16,
    pub(crate) restarts: u64,
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Daemon {
    pub(crate) fn start(programs: &Path, dir: &Path, cache_size: &str) -> Result<Self, Failure> {
        project::everybodys(&dir.join("tmp"))?;
        project::everybodys(&dir.join("cache"))?;
        fs::write(dir.join("compilers"), compilers()?)?;
        File::create(dir.join("log"))?;
        project::everybodys(&dir.join("state"))?;
        let program = programs.join("distccd");
        let (port, cache_size) = (free_port()?, cache_size.to_owned());
        let stats = free_port()?;
        fs::write(dir.join("stats-port"), stats.to_string())?;
        let mut daemon = Self {
            child: spawn(&program, dir, port, stats, &cache_size)?,
            program,
            dir: dir.to_owned(),
            cache_size,
            port,
            restarts: 0,
        };
        daemon.until_it_listens()?;
        Ok(daemon)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn until_it_listens(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the daemon does not start: {status}; see its log").into());
            }
            if start.elapsed() > PATIENCE {
                return Err("the daemon does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends it, gently or not in turn, and starts it again.
    pub(crate) fn restart(&mut self, shared: &Shared) -> Result<(), Failure> {
        let is_gentle = self.restarts.is_multiple_of(2);
        let before = self.metrics();
        shared.set_away(true);
        match is_gentle {
            true => self.end(shared),
            false => self.kill(shared)?,
        }
        let stats = fs::read_to_string(self.dir.join("stats-port"))?.parse()?;
        let start = Instant::now();
        self.child = spawn(&self.program, &self.dir, self.port, stats, &self.cache_size)?;
        self.until_it_listens()?;
        self.restarts += 1;
        let listens = start.elapsed();
        let count = |text: &str| number(text, "distccd_store_blobs");
        let before = count(&before);
        // After a kill the store is counted in the background. Others put nothing in meanwhile.
        let mut after = count(&self.metrics());
        let is_lost = |after: u64| after + before / 10 < before;
        while is_lost(after) && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
            after = count(&self.metrics());
        }
        if is_lost(after) {
            shared.finding(format!("a restart lost {} blobs", before - after));
        }
        shared.set_away(false);
        shared.progress(&format!(
            "restarted after {}: {} blobs before, {} after; listens again after {} ms",
            if is_gentle { "SIGTERM" } else { "SIGKILL" },
            before,
            after,
            listens.as_millis()
        ));
        Ok(())
    }

    /// Kills it. Compilers that run then end by themselves.
    fn kill(&mut self, shared: &Shared) -> Result<(), Failure> {
        let compilers = watch::children(self.pid());
        self.child.kill()?;
        self.child.wait()?;
        let start = Instant::now();
        let mut left = compilers;
        while !left.is_empty() {
            left.retain(|pid| Path::new(&format!("/proc/{pid}")).exists());
            if start.elapsed() > PATIENCE {
                shared.finding(format!("processes of a killed daemon: {left:?}"));
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Asks it to end, and looks how it does.
    pub(crate) fn end(&mut self, shared: &Shared) {
        // SAFETY: a plain system call on a child that has not been waited for.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return,
                Ok(Some(status)) => {
                    return shared.finding(format!("the daemon ended with {status}"));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return shared.finding(format!("the daemon: {error}")),
            }
        }
        shared.finding("the daemon did not end on SIGTERM".to_owned());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it says of itself; nothing if it does not answer.
    pub(crate) fn metrics(&self) -> String {
        let ask = || -> Result<String, Failure> {
            let port: u16 = fs::read_to_string(self.dir.join("stats-port"))?.parse()?;
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        ask().unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A list of the compilers here, by all names that clients may use.
fn compilers() -> Result<String, Failure> {
    let mut list = String::new();
    for entry in fs::read_dir("/usr/bin")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.contains("gcc") || name.contains("g++") {
            list += &format!("/usr/bin/{name}\n");
        }
    }
    Ok(list)
}

/// The value of a metric; 0 if it is not there.
pub(crate) fn number(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn spawn(
    program: &Path,
    dir: &Path,
    port: u16,
    stats: u16,
    cache_size: &str,
) -> Result<Child, Failure> {
    let log = File::options()
        .append(true)
        .create(true)
        .open(dir.join("log"))?;
    let child = Command::new(program)
        .args([
            "--daemon",
            "--no-detach",
            "--log-stderr",
            "--log-level",
            "info",
        ])
        .args([
            "--allow",
            "127.0.0.1",
            "--listen",
            "127.0.0.1",
            "--jobs",
            "3",
            "--stats",
        ])
        .args([
            "--port",
            &port.to_string(),
            "--stats-port",
            &stats.to_string(),
        ])
        .args(["--cache-size", cache_size, "--cache-dir"])
        .arg(dir.join("cache/store"))
        .env("TMPDIR", dir.join("tmp"))
        .env("DISTCC_CMDLIST", dir.join("compilers"))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()?;
    Ok(child)
}
