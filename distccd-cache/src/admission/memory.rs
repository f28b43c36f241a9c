//! How much memory is left for one more compile: of the machine, and of the control groups that the daemon is in. Owns where that is written.
//!
//! Sources: proc_meminfo(5); "Memory" and "Pressure Stall Information" in Documentation/admin-guide/cgroup-v2.rst and
//! Documentation/accounting/psi.rst of Linux; for version 1, cgroup-v1/memory.rst.

use std::fs;
use std::path::{Path, PathBuf};

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Bytes that can be had without swapping; `None` where the system does not say.
    pub(crate) available: Option<u64>,
    /// Percent of the last ten seconds in which nothing could go on for lack of memory.
    pub(crate) stalled: f64,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Memory {
    proc: PathBuf,
    groups: Vec<Group>,
}

/// A control group with a limit, or below one.
#[derive(Debug)]
struct Group {
    dir: PathBuf,
    names: &'static Names,
}

/// What files are called in a version of control groups.
#[derive(Debug)]
struct Names {
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: file contents, which the kernel gives up when asked for memory; not those of file systems in memory. What was used lately is
    /// among them, as in `MemAvailable`: the headers and compilers that every job reads would otherwise count as memory that is gone.
    files: [&'static str; 2],
}

const VERSION_1: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    files: ["total_inactive_file", "total_active_file"],
};

const VERSION_2: Names = Names {
    limit: "memory.max",
    used: "memory.current",
    files: ["inactive_file", "active_file"],
};

impl Memory {
    /// Memory as this process may use it.
    pub(crate) fn of_this_process() -> Self {
        Self::find(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
    }

    fn find(proc: &Path, mount: &Path) -> Self {
        let listed = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
        let mut groups = Vec::new();
        for line in listed.lines() {
            let mut words = line.splitn(3, ':').skip(1);
            let (Some(kinds), Some(path)) = (words.next(), words.next()) else {
                continue;
            };
            let (top, names) = match kinds {
                "" => (mount.to_owned(), &VERSION_2),
                kinds if kinds.split(',').any(|kind| kind == "memory") => {
                    (mount.join("memory"), &VERSION_1)
                }
                _ => continue,
            };
            // The limit may be any group's above. In a container the path is often another's, and only the top is there.
            let path = Path::new(path.trim_start_matches('/'));
            for part in path.ancestors() {
                let dir = top.join(part);
                if dir.join(names.limit).exists() {
                    groups.push(Group { dir, names });
                }
            }
        }
        Self {
            proc: proc.to_owned(),
            groups,
        }
    }

    /// All of the machine's memory, or what a control group leaves of it.
    pub(crate) fn total(&self) -> Option<u64> {
        let machine = number_behind(&self.meminfo(), "MemTotal:").map(|kib| kib << 10);
        let limits = self.groups.iter().filter_map(Group::limit);
        limits.chain(machine).min()
    }

    /// What is left now.
    pub(crate) fn read(&self) -> Reading {
        let machine = number_behind(&self.meminfo(), "MemAvailable:").map(|kib| kib << 10);
        let groups = self.groups.iter().filter_map(Group::available);
        let pressures = self
            .groups
            .iter()
            .map(|group| group.dir.join("memory.pressure"))
            .chain([self.proc.join("pressure/memory")]);
        Reading {
            available: groups.chain(machine).min(),
            stalled: pressures
                .filter_map(|path| stalled(&fs::read_to_string(path).ok()?))
                .fold(0.0, f64::max),
        }
    }

    fn meminfo(&self) -> String {
        fs::read_to_string(self.proc.join("meminfo")).unwrap_or_default()
    }
}

impl Group {
    fn number(&self, name: &str) -> Option<u64> {
        let text = fs::read_to_string(self.dir.join(name)).ok()?;
        text.trim().parse().ok()
    }

    /// None where there is none ("max").
    fn limit(&self) -> Option<u64> {
        self.number(self.names.limit)
    }

    fn available(&self) -> Option<u64> {
        let limit = self.limit()?;
        let used = self.number(self.names.used)?;
        let stat = fs::read_to_string(self.dir.join("memory.stat")).unwrap_or_default();
        let numbers = self.names.files.map(|name| number_behind(&stat, name));
        let files = numbers.into_iter().flatten().fold(0, u64::saturating_add);
        Some(limit.saturating_sub(used.saturating_sub(files)))
    }
}

/// The number behind a word at the start of a line.
fn number_behind(text: &str, word: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    let mut line = lines.find_map(|mut line| (line.next() == Some(word)).then_some(line))?;
    line.next()?.parse().ok()
}

/// The line of a file of pressures that says how long all waited.
fn stalled(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("full "))?;
    let word = line
        .split(' ')
        .find_map(|word| word.strip_prefix("avg10="))?;
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn memory(files: &[(&str, &str)]) -> (tempfile::TempDir, Memory) {
        let root = tempfile::tempdir().unwrap();
        let machine = [(
            "proc/meminfo",
            "MemTotal: 4096 kB\nMemFree: 1 kB\nMemAvailable: 2048 kB\n",
        )];
        write(root.path(), &machine);
        write(root.path(), files);
        let memory = Memory::find(&root.path().join("proc"), &root.path().join("cg"));
        (root, memory)
    }

    #[test]
    fn a_machine_without_groups() {
        let (root, memory) = memory(&[]);
        assert_eq!(memory.total(), Some(4 * MIB));
        assert_eq!(memory.read().available, Some(2 * MIB));
        let pressure = "some avg10=9.00 avg60=0.00 avg300=0.00 total=1\n\
                        full avg10=4.25 avg60=0.00 avg300=0.00 total=1\n";
        write(root.path(), &[("proc/pressure/memory", pressure)]);
        assert_eq!(memory.read().stalled, 4.25);
        // What nobody says is not known.
        fs::remove_file(root.path().join("proc/meminfo")).unwrap();
        assert_eq!(memory.read().available, None);
    }

    #[test]
    fn a_group_above_has_the_limit() {
        let (root, memory) = memory(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            ("cg/a/memory.max", "1048576\n"),
            ("cg/a/memory.current", "1000000\n"),
            ("cg/a/memory.stat", "anon 5\ninactive_file 200000\n"),
            ("cg/a/b/memory.max", "max\n"),
            ("cg/a/b/memory.current", "900000\n"),
        ]);
        assert_eq!(memory.total(), Some(MIB));
        assert_eq!(memory.read().available, Some(1_048_576 - 800_000));
        write(root.path(), &[("cg/a/memory.current", "99999999\n")]);
        assert_eq!(memory.read().available, Some(0));
    }

    #[test]
    fn files_that_are_used_again_and_again_are_not_memory_that_is_gone() {
        // A group below a limit of 256 MiB after some compiles, on Linux 6.1: nothing runs in it.
        let (_root, memory) = memory(&[
            (
                "proc/meminfo",
                "MemTotal: 3145728 kB\nMemAvailable: 3000000 kB\n",
            ),
            ("proc/self/cgroup", "0::/a\n"),
            ("cg/a/memory.max", "268435456\n"),
            ("cg/a/memory.current", "264880128\n"),
            (
                "cg/a/memory.stat",
                "anon 0\nshmem 0\ninactive_file 127750144\nactive_file 135847936\n",
            ),
        ]);
        let available = memory.read().available.unwrap();
        assert!(available > 250 * MIB, "{available}");
    }

    #[test]
    fn groups_of_version_1() {
        let (_root, memory) = memory(&[
            (
                "proc/self/cgroup",
                "9:name=systemd:/\n4:cpu,memory:/x\n0::/\n",
            ),
            ("cg/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("cg/memory/memory.usage_in_bytes", "5\n"),
            ("cg/memory/x/memory.limit_in_bytes", "1048576\n"),
            ("cg/memory/x/memory.usage_in_bytes", "524288\n"),
            (
                "cg/memory/x/memory.stat",
                "active_file 7\ntotal_inactive_file 100\ntotal_active_file 20\n",
            ),
        ]);
        assert_eq!(memory.read().available, Some(524_288 + 120));
    }

    #[test]
    fn this_machine_says_something() {
        let memory = Memory::of_this_process();
        let total = memory.total().expect("Linux says");
        assert!(
            memory
                .read()
                .available
                .is_some_and(|available| available <= total)
        );
    }
}
