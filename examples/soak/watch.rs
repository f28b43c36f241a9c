//! What the daemon uses, counted while all clients pause. Owns the figures.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Shared;
use crate::daemon::{Daemon, number};

/// How long what clients left behind may take to go.
const PATIENCE: Duration = Duration::from_secs(30);

/// Descriptors that a daemon may gather: files for compilers' words, kept for the next ones, and watches of directories.
const DESCRIPTORS: usize = 200;

/// Growth of memory, in KiB, that a life of a daemon may show when it is warm.
const GROWTH_KIB: u64 = 24 << 10;

/// One look.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    daemon: u32,
    at: Duration,
    rss_kib: u64,
    threads: u64,
    descriptors: usize,
    mounts: usize,
    store_bytes: u64,
    evicted: u64,
    hits: u64,
}

pub(crate) struct Watch {
    dir: PathBuf,
    looks: Vec<Look>,
}

/// Mounts of a process's below a directory. All that a job mounts is there; the rest of the machine's come and go with others' doings.
fn mounts(process: &str, dir: &Path) -> usize {
    let text = fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .filter(|point| Path::new(point).starts_with(dir))
        .count()
}

/// A value of a process's status, such as its memory.
fn status(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Processes that a process has started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number| status(*number, "PPid:") == u64::from(pid))
        .collect()
}

impl Watch {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            looks: Vec::new(),
        }
    }

    /// What jobs left in the daemon's directory.
    fn leftovers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.join("tmp"))
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| !name.starts_with("distccd_grove_"))
            .collect()
    }

    fn store_bytes(&self) -> u64 {
        let mut dirs = vec![self.dir.join("cache/store")];
        let mut bytes = 0;
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let Ok(about) = entry.metadata() else {
                    continue;
                };
                match about.is_dir() {
                    true => dirs.push(entry.path()),
                    false => bytes += about.len().max(1).div_ceil(4096) * 4096,
                }
            }
        }
        bytes
    }

    /// Waits until nothing is left of any job, then counts. Nobody works meanwhile.
    pub(crate) fn count(&mut self, shared: &Shared, daemon: &Daemon) {
        let pid = daemon.pid();
        let start = Instant::now();
        let (metrics, left) = loop {
            let metrics = daemon.metrics();
            let mut left = self.leftovers();
            left.extend(children(pid).iter().map(|child| format!("process {child}")));
            for name in ["distccd_slots_busy", "distccd_queue_jobs"] {
                if number(&metrics, name) > 0 {
                    left.push(name.to_owned());
                }
            }
            if metrics.is_empty() {
                left.push("no answer at the statistics port".to_owned());
            }
            if left.is_empty() || start.elapsed() > PATIENCE {
                break (metrics, left);
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        if !left.is_empty() {
            shared.finding(format!("left behind: {}", left.join(", ")));
        }
        let look = Look {
            daemon: pid,
            at: shared.started.elapsed(),
            rss_kib: status(pid, "VmRSS:"),
            threads: status(pid, "Threads:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
            mounts: mounts(&pid.to_string(), &self.dir) + mounts("self", &self.dir),
            store_bytes: self.store_bytes(),
            evicted: number(&metrics, "distccd_store_evicted_total"),
            hits: number(&metrics, "distccd_results_total{fate=\"hit\"}"),
        };
        for name in ["distccd_store_damaged_total"] {
            if number(&metrics, name) > 0 {
                shared.finding(format!("{name} {}", number(&metrics, name)));
            }
        }
        shared.progress(&format!(
            "{} jobs, {} KiB, {} threads, {} descriptors, {} mounts, store {} KiB, {} evicted, {} hits",
            shared.jobs.load(std::sync::atomic::Ordering::Relaxed),
            look.rss_kib,
            look.threads,
            look.descriptors,
            look.mounts,
            look.store_bytes >> 10,
            look.evicted,
            look.hits
        ));
        if look.mounts > 0 {
            shared.finding(format!("{} mounts left behind", look.mounts));
        }
        self.looks.push(look);
        self.compare(shared, look);
    }

    /// What has grown since this daemon started.
    fn compare(&self, shared: &Shared, now: Look) {
        let life: Vec<&Look> = self
            .looks
            .iter()
            .filter(|look| look.daemon == now.daemon)
            .collect();
        let (Some(first), length) = (life.first(), life.len()) else {
            return;
        };
        if now.descriptors > first.descriptors + DESCRIPTORS {
            shared.finding(format!(
                "{} descriptors, {} at first",
                now.descriptors, first.descriptors
            ));
        }
        // Against a quarter of its life.
        let warm = life[length / 4];
        if length >= 20 && now.rss_kib > warm.rss_kib + warm.rss_kib / 2 + GROWTH_KIB {
            shared.finding(format!(
                "{} KiB of memory, {} KiB at {} s",
                now.rss_kib,
                warm.rss_kib,
                warm.at.as_secs()
            ));
        }
    }

    /// Nothing of it is left when the daemon has ended.
    pub(crate) fn after_the_end(&self, shared: &Shared) {
        let entries = fs::read_dir(self.dir.join("tmp"))
            .into_iter()
            .flatten()
            .flatten();
        let names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        if !names.is_empty() {
            shared.finding(format!("left after the end: {}", names.join(", ")));
        }
    }

    /// The figures of the last life, in a line.
    pub(crate) fn summary(&self) -> String {
        let last = self.looks.last().copied().unwrap_or_default();
        let life: Vec<&Look> = self
            .looks
            .iter()
            .filter(|look| look.daemon == last.daemon)
            .collect();
        let range = |of: &dyn Fn(&Look) -> u64| {
            let values = life.iter().map(|look| of(look));
            let first = values.clone().next().unwrap_or(0);
            format!(
                "{first} first, {} most, {} last",
                values.max().unwrap_or(0),
                of(&last)
            )
        };
        format!(
            "last daemon ({} looks): memory in KiB {}; descriptors {}; threads {}; store in KiB {}; {} evicted, {} hits",
            life.len(),
            range(&|look| look.rss_kib),
            range(&|look| look.descriptors as u64),
            range(&|look| look.threads),
            range(&|look| look.store_bytes >> 10),
            last.evicted,
            last.hits
        )
    }
}
