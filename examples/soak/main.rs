//! A daemon under mixed work for as long as you like:
//! `soak [--minutes N] [--clients N] [--pace MS] [--seed N] [--programs DIR] [--dir DIR] [--cache-size SIZE] [--restart SECONDS] [--keep]`
//!
//! Clients of ours and of stock's compile by every protocol, good sources and bad ones, known results and new ones; others are killed, hang up at any byte of
//! either direction, or send nonsense. The store is small, so that it evicts all the time. The daemon is restarted in the first half, by SIGTERM and by SIGKILL in turn;
//! in the second half it lives on, so that what grows is seen. Each object is compared with the local compiler's.
//!
//! From time to time all clients pause; then nothing may be left of their jobs: no process, no file, no descriptor, no mount. Progress and findings go to
//! standard error, one line of verdict to standard output; exit code 1 when anything was found.

mod clients;
mod daemon;
mod dice;
mod project;
mod raw;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use clients::Workshop;
use daemon::Daemon;
use dice::Dice;
use project::Epoch;
use watch::Watch;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long a tree of sources lasts.
const EPOCH: Duration = Duration::from_secs(240);

/// How often everything pauses to be counted.
const PAUSE: Duration = Duration::from_secs(30);

/// What the user asked for.
struct Arguments {
    time: Duration,
    clients: u64,
    pace: u64,
    seed: u64,
    programs: PathBuf,
    dir: Option<PathBuf>,
    cache_size: String,
    /// How often the daemon is restarted in the first half.
    restart: Duration,
    keep: bool,
}

fn arguments() -> Result<Arguments, Failure> {
    let program = std::env::current_exe()?;
    let beside = program.parent().and_then(Path::parent);
    let mut found = Arguments {
        time: Duration::from_secs(60),
        clients: 2,
        pace: 100,
        seed: 1,
        programs: beside.unwrap_or(Path::new("")).to_owned(),
        dir: None,
        cache_size: "1M".to_owned(),
        restart: Duration::from_secs(90),
        keep: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--minutes" => found.time = Duration::from_secs_f64(value()?.parse::<f64>()? * 60.0),
            "--clients" => found.clients = value()?.parse()?,
            "--pace" => found.pace = value()?.parse()?,
            "--seed" => found.seed = value()?.parse()?,
            "--programs" => found.programs = value()?.into(),
            "--dir" => found.dir = Some(value()?.into()),
            "--cache-size" => found.cache_size = value()?,
            "--restart" => found.restart = Duration::from_secs(value()?.parse()?),
            "--keep" => found.keep = true,
            _ => return Err(format!("no such option: {word}").into()),
        }
    }
    Ok(found)
}

/// What all clients share.
pub(crate) struct Shared {
    /// The tree that is compiled now. Held for reading by whoever works, for writing by whoever wants silence.
    pub(crate) epoch: RwLock<Epoch>,
    pub(crate) workshop: Workshop,
    pub(crate) port: u16,
    pub(crate) is_over: AtomicBool,
    pub(crate) jobs: AtomicU64,
    /// Jobs that were compiled here after all, which is right only while the daemon was away.
    pub(crate) local: AtomicU64,
    /// When the daemon was last away, in milliseconds since the start; the future while it is.
    away: AtomicU64,
    findings: Mutex<Vec<String>>,
    pub(crate) started: Instant,
}

/// A job that ran into a restart may be over so long after it.
const AFTER_RESTART: u64 = 10_000;

impl Shared {
    /// Something that must not be.
    pub(crate) fn finding(&self, text: String) {
        eprintln!(
            "{:>6.0} s: FOUND: {text}",
            self.started.elapsed().as_secs_f64()
        );
        if let Ok(mut findings) = self.findings.lock() {
            findings.push(text);
        }
    }

    /// Says whether the daemon is away from now on.
    pub(crate) fn set_away(&self, away: bool) {
        let now = self.started.elapsed().as_millis() as u64;
        let until = if away { u64::MAX } else { now };
        self.away.store(until, Ordering::Relaxed);
    }

    /// Whether the daemon is away, or was a moment ago.
    pub(crate) fn is_restarting(&self) -> bool {
        let now = self.started.elapsed().as_millis() as u64;
        let away = self.away.load(Ordering::Relaxed);
        away == u64::MAX || (away > 0 && now < away + AFTER_RESTART)
    }

    pub(crate) fn progress(&self, text: &str) {
        eprintln!("{:>6.0} s: {text}", self.started.elapsed().as_secs_f64());
    }
}

fn main() -> ExitCode {
    match soak() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::from(2)
        }
    }
}

fn soak() -> Result<bool, Failure> {
    let arguments = arguments()?;
    let scratch = tempfile::Builder::new()
        .prefix("soak.")
        .disable_cleanup(arguments.keep)
        .tempdir_in(arguments.dir.clone().unwrap_or_else(std::env::temp_dir))?;
    let dir = scratch.path();
    project::everybodys(dir)?;
    let mut daemon = Daemon::start(&arguments.programs, dir, &arguments.cache_size)?;
    let workshop = Workshop::new(&arguments.programs, dir, daemon.port)?;
    let shared = Shared {
        epoch: RwLock::new(Epoch::new(dir, 0)?),
        workshop,
        port: daemon.port,
        is_over: AtomicBool::new(false),
        jobs: AtomicU64::new(0),
        local: AtomicU64::new(0),
        away: AtomicU64::new(0),
        findings: Mutex::default(),
        started: Instant::now(),
    };
    let mut watch = Watch::new(dir);
    let led = std::thread::scope(|scope| {
        for client in 0..arguments.clients {
            let (shared, dice) = (&shared, Dice::new(arguments.seed, client));
            let pace = arguments.pace;
            scope.spawn(move || clients::work(shared, dice, pace));
        }
        let led = lead(&arguments, dir, &shared, &mut daemon, &mut watch);
        shared.is_over.store(true, Ordering::Relaxed);
        led
    });
    led?;
    daemon.end(&shared);
    watch.after_the_end(&shared);
    let findings = shared.findings.lock().map_err(|_| "a client panicked")?;
    let verdict = match findings.is_empty() {
        true => "PASS",
        false => "FAIL",
    };
    println!(
        "soak: {verdict}: {:.0} s, {} jobs, {} findings, {} restarts; {}",
        shared.started.elapsed().as_secs_f64(),
        shared.jobs.load(Ordering::Relaxed),
        findings.len(),
        daemon.restarts,
        watch.summary(),
    );
    Ok(findings.is_empty())
}

/// Restarts, changes trees and counts until the time is over.
fn lead(
    arguments: &Arguments,
    dir: &Path,
    shared: &Shared,
    daemon: &mut Daemon,
    watch: &mut Watch,
) -> Result<(), Failure> {
    let mut number = 0;
    let (mut next_epoch, mut next_restart, mut next_pause) = (EPOCH, arguments.restart, PAUSE);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = shared.started.elapsed();
        if now >= arguments.time {
            break;
        }
        if now >= next_restart && now < arguments.time / 2 {
            next_restart = now + arguments.restart;
            // In the middle of everybody's work.
            daemon.restart(shared)?;
        }
        if now >= next_pause {
            next_pause = now + PAUSE;
            let silence = shared.epoch.write().map_err(|_| "a client panicked")?;
            watch.count(shared, daemon);
            drop(silence);
        }
        if now >= next_epoch {
            next_epoch = now + EPOCH;
            number += 1;
            let next = Epoch::new(dir, number)?;
            let mut epoch = shared.epoch.write().map_err(|_| "a client panicked")?;
            *epoch = next;
        }
    }
    let _silence = shared.epoch.write().map_err(|_| "a client panicked")?;
    watch.count(shared, daemon);
    Ok(())
}
