//! How much of the machine compilers get: which layers of [`crate::confinement`] this system has, and what they are told for each job. Owns what was
//! found out at start; it never changes.

mod cgroups;
mod places;
mod trial;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::admission::Memory;
use crate::confinement::{
    Abi, Confinement, Exceeded, Filter, Limit, Others, Resource, Right, Rule, Ruleset,
};
use cgroups::Cgroups;
use places::{Places, rule};

/// Whether compilers are confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SandboxPolicy {
    /// By namespaces, seccomp and Landlock, or no service.
    Required,
    /// By all that this system has.
    #[default]
    Auto,
    /// By namespaces alone, where files are shown in them.
    Off,
}

/// What a [`Sandbox`] is made from.
#[derive(Clone, Debug)]
pub struct SandboxSettings {
    /// Whether compilers are confined.
    pub policy: SandboxPolicy,
    /// Bytes of memory of a job; `None` is three quarters of the machine's, or of what control groups leave of it; 0 is no limit.
    pub memory: Option<u64>,
    /// Further places that compilers may read, and run programs from. For the view without namespaces.
    pub readable: Vec<PathBuf>,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            policy: SandboxPolicy::Auto,
            memory: None,
            readable: Vec::new(),
        }
    }
}

/// Why compilers cannot be confined as it was required.
#[derive(Debug, thiserror::Error)]
#[error("--sandbox=required, but {0}; use --sandbox=auto for what this system has")]
pub struct SandboxError(pub(crate) String);

/// Processes and threads of one job. A driver, a compiler and an assembler are three.
const PROCESSES: u64 = 256;

/// Processes and threads of the daemon's user where jobs share it with the daemon and others: a fork bomb ends there.
const SHARED_PROCESSES: u64 = 4096;

/// Open files of a process.
const FILES: u64 = 1024;

/// Files that a compiler writes in between may be that much larger than what goes back.
const BETWEEN: u64 = 2;

/// And that large in any case.
const LEAST_FILE: u64 = 64 << 20;

/// No machine is so small that a compile gets less.
const LEAST_MEMORY: u64 = 2 << 30;

/// What compilers get.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// For a compiler that sees its own job's processes alone, and for one that sees the daemon's, too.
    filters: Option<[Arc<Filter>; 2]>,
    landlock: Option<Abi>,
    places: Places,
    limits: Vec<Limit>,
    memory: Option<u64>,
    cgroups: Option<Cgroups>,
    /// Layers that this system does not have, with the reason.
    missing: Vec<String>,
}

impl Sandbox {
    /// Tries the layers out.
    ///
    /// # Errors
    /// When one is required that cannot be had.
    pub(crate) fn new(
        settings: &SandboxSettings,
        output_bytes: u64,
        lifetime: Option<Duration>,
    ) -> Result<Self, SandboxError> {
        let mut sandbox = Self {
            filters: None,
            landlock: None,
            places: Places::new(&settings.readable),
            limits: Vec::new(),
            memory: None,
            cgroups: None,
            missing: Vec::new(),
        };
        if settings.policy == SandboxPolicy::Off {
            sandbox.missing.push("--sandbox=off".to_owned());
            return Ok(sandbox);
        }
        match trial::seccomp() {
            Ok(filters) => sandbox.filters = Some(filters),
            Err(why) => sandbox.missing.push(format!("no seccomp: {why}")),
        }
        match trial::landlock(&sandbox.places) {
            Ok(abi) => sandbox.landlock = Some(abi),
            Err(why) => sandbox.missing.push(format!("no Landlock: {why}")),
        }
        if settings.policy == SandboxPolicy::Required && !sandbox.missing.is_empty() {
            return Err(SandboxError(sandbox.missing.join(", ")));
        }
        sandbox.memory = match settings.memory {
            Some(0) => None,
            Some(bytes) => Some(bytes),
            None => Some(default_memory(
                machine_memory(),
                Memory::of_this_process().total(),
            )),
        };
        sandbox.limits = limits(sandbox.memory, output_bytes, lifetime);
        let cgroups = Cgroups::of_this_process();
        match cgroups.and_then(|cgroups| trial::cgroups(&cgroups).map(|()| cgroups)) {
            Ok(cgroups) => sandbox.cgroups = Some(cgroups),
            Err(why) => sandbox.missing.push(format!("no control groups: {why}")),
        }
        Ok(sandbox)
    }

    /// For a compiler that has a root and processes of its own, with these toolchain directories in it: what is missing there, or a link to where a rule
    /// holds, needs none, and to look for it would cost a compile more than all other rules.
    pub(crate) fn in_own_root(&self, toolchains: &[&str]) -> Confinement {
        let rules = || {
            // By the view's mounts what must not be written is read-only and what is the client's cannot be executed. These rules say so again.
            let roots = toolchains.iter();
            let roots = roots.map(|root| rule(Path::new(root), Right::Run));
            let everything = rule(Path::new("/"), Right::Change);
            roots.chain([everything]).flatten().collect()
        };
        self.confinement(Others::Hidden, rules)
    }

    /// For a compiler that runs in the daemon's own root and may write in one directory.
    pub(crate) fn in_directory(&self, compiler: &Path, directory: &Path) -> Confinement {
        self.confinement(Others::Seen, || {
            self.places.rules(compiler, directory).collect()
        })
    }

    fn confinement(&self, others: Others, rules: impl FnOnce() -> Vec<Rule>) -> Confinement {
        if self.limits.is_empty() {
            return Confinement::default();
        }
        let (filter, most) = match others {
            Others::Hidden => (self.filters.as_ref().map(|[hidden, _]| hidden), PROCESSES),
            Others::Seen => (
                self.filters.as_ref().map(|[_, seen]| seen),
                SHARED_PROCESSES,
            ),
        };
        let mut limits = self.limits.clone();
        limits.push(Limit {
            resource: Resource::Processes,
            most,
        });
        let group = |cgroups: &Cgroups| match cgroups.of_job(self.memory, PROCESSES) {
            Ok(group) => Some(Arc::new(group)),
            Err(error) => {
                tracing::warn!("a job gets no control group: {error}");
                None
            }
        };
        Confinement {
            limits,
            cgroup: self.cgroups.as_ref().and_then(group),
            ruleset: self.landlock.map(|abi| Ruleset {
                abi,
                rules: rules(),
            }),
            filter: filter.cloned(),
        }
    }

    /// A limit that a job came up against, for a person.
    pub(crate) fn explain(&self, exceeded: Exceeded) -> String {
        match (exceeded, self.memory) {
            (Exceeded::Memory, Some(bytes)) => format!(
                "the compile was killed because it needed more than {} MiB of memory (--job-memory)",
                bytes >> 20
            ),
            // A group above has a limit, too.
            (Exceeded::Memory, None) => {
                "the compile was killed because no memory was left for it".to_owned()
            }
            (Exceeded::Processes, _) => {
                format!("the compile wanted more than {PROCESSES} processes")
            }
        }
    }

    /// What is in force and what is not, as a line for the log.
    pub(crate) fn describe(&self) -> String {
        let mut text = "compilers are confined by ".to_owned();
        // Writing to a string does not fail.
        if let Some([hidden, seen]) = &self.filters {
            let (usual, most) = (hidden.refused(), seen.refused());
            let _ = write!(
                text,
                "seccomp ({usual} system calls refused, {most} where other processes are seen), "
            );
        }
        if let Some(abi) = self.landlock {
            let tcp = if abi.has_tcp() { ", TCP" } else { "" };
            let scopes = if abi.has_scopes() { ", signals" } else { "" };
            let _ = write!(text, "Landlock {} (files{tcp}{scopes}), ", abi.0);
        }
        if self.limits.is_empty() {
            text = "compilers are confined by nothing but their view".to_owned();
        } else {
            match self.memory {
                Some(bytes) => {
                    let _ = write!(text, "limits ({} MiB, {PROCESSES} processes)", bytes >> 20);
                }
                None => {
                    let _ = write!(text, "limits ({PROCESSES} processes)");
                }
            }
            if self.cgroups.is_some() {
                text.push_str(", control groups");
            }
            if rustix::process::getuid().is_root() {
                text.push_str("; the number of root's processes is not limited");
            }
        }
        for why in &self.missing {
            let _ = write!(text, "; {why}");
        }
        text
    }
}

fn limits(memory: Option<u64>, output_bytes: u64, lifetime: Option<Duration>) -> Vec<Limit> {
    let limit = |resource, most| Limit { resource, most };
    let file = output_bytes.saturating_mul(BETWEEN).max(LEAST_FILE);
    let mut limits = vec![
        limit(Resource::FileSize, file),
        limit(Resource::Files, FILES),
        limit(Resource::Queues, 0),
    ];
    limits.extend(memory.map(|bytes| limit(Resource::Memory, bytes)));
    limits.extend(lifetime.map(|lifetime| {
        // A process with a thread on each processor uses that much time in its life. It also ends a compile that outlived a killed daemon.
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let seconds = lifetime.as_secs().saturating_add(1);
        limit(Resource::Time, seconds.saturating_mul(processors))
    }));
    limits
}

/// Bytes of memory of a job: a share of the machine's, or of what control groups leave of it (`total`). Their limit is hard: a job that may have all
/// below it would take the daemon along.
fn default_memory(machine: u64, total: Option<u64>) -> u64 {
    let share = |bytes: u64| bytes / 4 * 3;
    match total {
        Some(total) if total < machine => share(total),
        _ => share(machine).max(LEAST_MEMORY),
    }
}

/// Bytes of memory that this machine has.
fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit.max(1));
    #[allow(clippy::useless_conversion, reason = "32-bit machines count otherwise")]
    let total = u64::from(info.totalram);
    total.saturating_mul(unit)
}

/// What the system said, for a sentence.
fn said(error: &io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_gets_a_share_of_what_control_groups_leave() {
        let gib = 1 << 30;
        assert_eq!(default_memory(16 * gib, None), 12 * gib);
        assert_eq!(default_memory(16 * gib, Some(16 * gib)), 12 * gib);
        assert_eq!(default_memory(gib, Some(gib)), 2 * gib);
        assert_eq!(default_memory(16 * gib, Some(8 * gib)), 6 * gib);
        assert_eq!(default_memory(16 * gib, Some(gib / 2)), 384 << 20);
    }
}
