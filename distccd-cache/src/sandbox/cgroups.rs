//! Whether the daemon has a control group that it may divide among jobs (version 2, as systemd's `Delegate=yes` gives it). Owns the number of groups made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::said;
use crate::confinement::JobCgroup;

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// The group of the daemon itself: one that has groups below must have no processes.
const OWN: &str = "daemon";

/// A group that jobs' groups are made in.
#[derive(Debug)]
pub(super) struct Cgroups {
    dir: PathBuf,
    made: AtomicU64,
}

impl Cgroups {
    /// Looks at the group in which this process is, and moves it into one below.
    ///
    /// # Errors
    /// Why there are none for jobs, for a person.
    pub(super) fn of_this_process() -> Result<Self, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| said(&error))?;
        Self::detect(Path::new(MOUNT), &groups, std::process::id())
    }

    /// The same for a mount, the text of `/proc/self/cgroup` and a process.
    fn detect(mount: &Path, groups: &str, pid: u32) -> Result<Self, String> {
        let path = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.ok_or("this system has version 1 of them")?;
        let dir = mount.join(path);
        let controllers = fs::read_to_string(dir.join("cgroup.controllers"))
            .map_err(|_| "this system has version 1 of them".to_owned())?;
        for needed in ["memory", "pids"] {
            if !controllers.split_whitespace().any(|name| name == needed) {
                return Err(format!("the daemon's own has no controller {needed}"));
            }
        }
        if path.is_empty() {
            return Err("the daemon is in the root group".to_owned());
        }
        let members = fs::read_to_string(dir.join("cgroup.procs")).map_err(|error| said(&error))?;
        if members.lines().any(|member| member != pid.to_string()) {
            return Err("the daemon shares its own with others".to_owned());
        }
        divide(&dir, pid).map_err(|error| {
            let why = "it is not the daemon's to divide (systemd: Delegate=memory pids)";
            format!("{}: {error}; {why}", dir.display())
        })?;
        Ok(Self {
            dir,
            made: AtomicU64::new(0),
        })
    }

    /// A group for one job.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn of_job(&self, memory: Option<u64>, processes: u64) -> io::Result<JobCgroup> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let dir = self.dir.join(format!("job-{number}"));
        let memory = memory.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        JobCgroup::create(dir, &memory, processes)
    }
}

fn divide(dir: &Path, pid: u32) -> io::Result<()> {
    let own = dir.join(OWN);
    match fs::create_dir(&own) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::write(own.join("cgroup.procs"), pid.to_string())?;
    fs::write(dir.join("cgroup.subtree_control"), "+memory +pids")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(controllers: &str) -> (tempfile::TempDir, PathBuf) {
        let mount = tempfile::tempdir().unwrap();
        let dir = mount.path().join("system.slice/distccd.service");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("cgroup.controllers"), controllers).unwrap();
        fs::write(dir.join("cgroup.procs"), "42\n").unwrap();
        (mount, dir)
    }

    const GROUPS: &str = "9:name=systemd:/x\n0::/system.slice/distccd.service\n";

    #[test]
    fn a_delegated_group_is_divided() {
        let (mount, dir) = fake("cpu memory pids\n");
        let cgroups = Cgroups::detect(mount.path(), GROUPS, 42).unwrap();
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(read("daemon/cgroup.procs"), "42");
        assert_eq!(read("cgroup.subtree_control"), "+memory +pids");
        // A directory of a real mount goes with its files; this one stays, which is a warning in the log.
        let job = cgroups.of_job(Some(1 << 30), 256).unwrap();
        assert_eq!(read("job-0/memory.max"), "1073741824");
        assert_eq!(read("job-0/pids.max"), "256");
        drop(job);
        assert_eq!(read("job-0/cgroup.kill"), "1");
        let second = cgroups.of_job(None, 256).unwrap();
        assert_eq!(read("job-1/memory.max"), "max");
        drop(second);
    }

    #[test]
    fn what_cannot_be_divided_is_left_alone_with_a_reason() {
        let detect = |controllers: &str, groups: &str| {
            let (mount, _) = fake(controllers);
            Cgroups::detect(mount.path(), groups, 42).unwrap_err()
        };
        let version_1 = "4:memory:/x\n8:pids:/\n";
        assert!(detect("memory pids", version_1).contains("version 1"));
        assert!(detect("memory pids", "0::/elsewhere\n").contains("version 1"));
        assert!(detect("cpu memory", GROUPS).contains("controller pids"));
        assert!(detect("hugetlb", GROUPS).contains("controller memory"));
        // A directory that cannot be written to; root could write to any, so a file stands in its place.
        let (mount, dir) = fake("memory pids");
        fs::write(dir.join(OWN), "").unwrap();
        let why = Cgroups::detect(mount.path(), GROUPS, 42).unwrap_err();
        assert!(why.contains("Delegate="), "{why}");
        fs::write(dir.join("cgroup.procs"), "42\n43\n").unwrap();
        let why = Cgroups::detect(mount.path(), GROUPS, 42).unwrap_err();
        assert!(why.contains("shares"), "{why}");
        // The root group is nobody's own.
        fs::write(mount.path().join("cgroup.controllers"), "memory pids").unwrap();
        let why = Cgroups::detect(mount.path(), "0::/\n", 42).unwrap_err();
        assert!(why.contains("root group"), "{why}");
    }
}
