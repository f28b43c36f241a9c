//! Whether the daemon has a control group that it may divide among jobs (version 2, as systemd's `Delegate=yes` gives it). Owns the number of groups made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::said;
use crate::confinement::{JobCgroup, end_group};

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// The group of the daemon itself: one that has groups below must have no processes.
const OWN: &str = "distccd-itself";

/// What the names of jobs' groups begin with.
const JOB: &str = "job-";

/// What is given to groups below.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// A group that jobs' groups are made in.
#[derive(Debug)]
pub(super) struct Cgroups {
    dir: PathBuf,
    made: AtomicU64,
    /// The process to move back in the end, if it was moved.
    moved: Option<u32>,
}

impl Cgroups {
    /// Looks at the group in which this process is, and moves it into one below. In the end, all is as it was before.
    ///
    /// # Errors
    /// Why there are none for jobs, for a person.
    pub(super) fn of_this_process() -> Result<Self, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| said(&error))?;
        let mut family = vec![std::process::id()];
        family.extend(waiting_parent());
        Self::detect(Path::new(MOUNT), &groups, &family)
    }

    /// The same for a mount, the text of `/proc/self/cgroup`, and the daemon's processes, itself first.
    fn detect(mount: &Path, groups: &str, family: &[u32]) -> Result<Self, String> {
        let path = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.ok_or("this system has version 1 of them")?;
        let found = mount.join(path);
        let controllers = words(&found.join("cgroup.controllers"))
            .map_err(|_| "this system has version 1 of them".to_owned())?;
        // In a container of its own, the group is a root, too, but one that has a type.
        if path.is_empty() && !found.join("cgroup.type").exists() {
            return Err("the daemon is in the root group".to_owned());
        }
        for needed in CONTROLLERS {
            if !controllers.iter().any(|name| name == needed) {
                return Err(format!("the daemon's own has no controller {needed}"));
            }
        }
        let members = words(&found.join("cgroup.procs")).map_err(|error| said(&error))?;
        let is_ours = |member: &String| family.iter().any(|pid| *member == pid.to_string());
        if !members.iter().all(is_ours) {
            return Err("the daemon shares its own with others".to_owned());
        }
        let (dir, moved) = match divided_before(&found) {
            Some(above) => (above, None),
            None => {
                divide(&found, family).map_err(|error| {
                    let why = "it is not the daemon's to divide (systemd: Delegate=memory pids; \
                               elsewhere: give it and the files in it to the daemon's user)";
                    format!("{}: {error}; {why}", found.display())
                })?;
                (found, family.first().copied())
            }
        };
        end_jobs(&dir);
        Ok(Self {
            dir,
            made: AtomicU64::new(0),
            moved,
        })
    }

    /// A group for one job.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn of_job(&self, memory: Option<u64>, processes: u64) -> io::Result<JobCgroup> {
        let memory = memory.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        loop {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let dir = self.dir.join(format!("{JOB}{number}"));
            match JobCgroup::create(dir, &memory, processes) {
                // One of another daemon's life that could not be removed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other,
            }
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // So that whoever started this daemon can start the next in the same group. Best effort: a service manager removes it.
        if let Some(pid) = self.moved {
            unite(&self.dir, pid);
        }
    }
}

/// The process that was started and waits until this one serves, if this one went to the background. It is in the same group until then.
fn waiting_parent() -> Option<u32> {
    let parent = std::os::unix::process::parent_id();
    let program = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let own = program("self")?;
    (program(&parent.to_string())? == own).then_some(parent)
}

/// The words in a file.
fn words(path: &Path) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(path)?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// The group above one in which this daemon was started, if a daemon before divided it and was killed. By its name the lower one was that daemon's own.
fn divided_before(found: &Path) -> Option<PathBuf> {
    if found.file_name()? != OWN {
        return None;
    }
    let above = found.parent()?;
    let given = words(&above.join("cgroup.subtree_control")).ok()?;
    let is_given = |name: &&str| given.iter().any(|given| given == name);
    CONTROLLERS.iter().all(is_given).then(|| above.to_owned())
}

/// Makes a group's processes members of one below, and has the kernel count in all groups below.
fn divide(dir: &Path, family: &[u32]) -> io::Result<()> {
    let own = dir.join(OWN);
    match fs::create_dir(&own) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let moved = family.iter().try_for_each(|pid| {
        match fs::write(own.join("cgroup.procs"), pid.to_string()) {
            // It has ended.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    });
    let divided = moved.and_then(|()| {
        let given = CONTROLLERS.map(|name| format!("+{name}")).join(" ");
        fs::write(dir.join("cgroup.subtree_control"), given)
    });
    if divided.is_err() {
        for pid in family {
            unite(dir, *pid);
        }
    }
    divided
}

/// Undoes what [`divide`] did, as far as it can be undone.
fn unite(dir: &Path, pid: u32) {
    let own = dir.join(OWN);
    let taken = CONTROLLERS.map(|name| format!("-{name}")).join(" ");
    let undone = fs::write(dir.join("cgroup.subtree_control"), taken)
        .and_then(|()| fs::write(dir.join("cgroup.procs"), pid.to_string()))
        .and_then(|()| fs::remove_dir(&own));
    if let Err(error) = undone {
        tracing::debug!("{} stays divided: {error}", dir.display());
    }
}

/// Ends the jobs of a daemon that was killed. The group has no other processes than this daemon's, so nobody needs them.
fn end_jobs(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_job = |entry: &fs::DirEntry| {
        entry.file_name().to_string_lossy().starts_with(JOB)
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    for entry in entries.filter(is_job) {
        let path = entry.path();
        match end_group(&path) {
            Ok(()) => tracing::info!("removed {}, of an earlier daemon", path.display()),
            Err(error) => tracing::warn!("cannot remove {}: {error}", path.display()),
        }
    }
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
        let cgroups = Cgroups::detect(mount.path(), GROUPS, &[42]).unwrap();
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(read("distccd-itself/cgroup.procs"), "42");
        assert_eq!(read("cgroup.subtree_control"), "+memory +pids");
        // A directory of a real mount goes with its files; this one stays, which is a warning in the log.
        let job = cgroups.of_job(Some(1 << 30), 256).unwrap();
        assert_eq!(read("job-0/memory.max"), "1073741824");
        assert_eq!(read("job-0/memory.swap.max"), "1073741824");
        assert_eq!(read("job-0/pids.max"), "256");
        drop(job);
        assert_eq!(read("job-0/cgroup.kill"), "1");
        let second = cgroups.of_job(None, 256).unwrap();
        assert_eq!(read("job-1/memory.max"), "max");
        drop(second);
        fs::write(dir.join("cgroup.procs"), "").unwrap();
        drop(cgroups);
        assert_eq!(read("cgroup.subtree_control"), "-memory -pids");
        assert_eq!(read("cgroup.procs"), "42");
    }

    #[test]
    fn what_a_killed_daemon_left_is_removed_or_passed_over() {
        let (mount, dir) = fake("memory pids");
        fs::create_dir(dir.join("job-0")).unwrap();
        // On a real mount it could be removed, if its processes end.
        fs::create_dir(dir.join("job-1")).unwrap();
        fs::write(dir.join("job-1/cgroup.kill"), "").unwrap();
        fs::create_dir(dir.join("others")).unwrap();
        let cgroups = Cgroups::detect(mount.path(), GROUPS, &[42]).unwrap();
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(read("job-1/cgroup.kill"), "1");
        assert!(dir.join("others").exists());
        let jobs = [0, 1].map(|_| cgroups.of_job(None, 256).unwrap());
        assert_eq!(read("job-2/pids.max"), "256");
        drop(jobs);
    }

    #[test]
    fn a_daemon_in_the_place_of_a_killed_one_takes_over_the_group_above() {
        let (mount, dir) = fake("memory pids");
        let own = dir.join(OWN);
        fs::create_dir(&own).unwrap();
        fs::write(own.join("cgroup.controllers"), "memory pids").unwrap();
        fs::write(own.join("cgroup.procs"), "42\n").unwrap();
        fs::write(dir.join("cgroup.subtree_control"), "memory pids").unwrap();
        let groups = format!("0::/system.slice/distccd.service/{OWN}\n");
        let cgroups = Cgroups::detect(mount.path(), &groups, &[42]).unwrap();
        assert_eq!(cgroups.dir, dir);
        drop(cgroups);
        // It is as it was found.
        let given = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap();
        assert_eq!(given, "memory pids");
        assert!(!own.join(OWN).exists());
    }

    #[test]
    fn the_process_that_waits_for_the_daemon_is_moved_along() {
        let (mount, dir) = fake("memory pids");
        fs::write(dir.join("cgroup.procs"), "41\n42\n").unwrap();
        let why = Cgroups::detect(mount.path(), GROUPS, &[42]).unwrap_err();
        assert!(why.contains("shares"), "{why}");
        let cgroups = Cgroups::detect(mount.path(), GROUPS, &[42, 41]).unwrap();
        assert_eq!(cgroups.moved, Some(42));
        // A test's parent is another program.
        assert_eq!(waiting_parent(), None);
    }

    #[test]
    fn a_container_has_a_root_group_of_its_own() {
        let (mount, dir) = fake("memory pids");
        fs::write(dir.join("cgroup.type"), "domain").unwrap();
        let cgroups = Cgroups::detect(&dir, "0::/\n", &[42]).unwrap();
        assert_eq!(cgroups.dir, dir);
        drop((mount, cgroups));
    }

    #[test]
    fn what_cannot_be_divided_is_left_alone_with_a_reason() {
        let detect = |controllers: &str, groups: &str| {
            let (mount, _) = fake(controllers);
            Cgroups::detect(mount.path(), groups, &[42]).unwrap_err()
        };
        let version_1 = "4:memory:/x\n8:pids:/\n";
        assert!(detect("memory pids", version_1).contains("version 1"));
        assert!(detect("memory pids", "0::/elsewhere\n").contains("version 1"));
        assert!(detect("cpu memory", GROUPS).contains("controller pids"));
        assert!(detect("hugetlb", GROUPS).contains("controller memory"));
        // A directory that cannot be written to; root could write to any, so a file stands in its place.
        let (mount, dir) = fake("memory pids");
        fs::write(dir.join(OWN), "").unwrap();
        let why = Cgroups::detect(mount.path(), GROUPS, &[42]).unwrap_err();
        assert!(why.contains("Delegate="), "{why}");
        fs::write(dir.join("cgroup.procs"), "42\n43\n").unwrap();
        let why = Cgroups::detect(mount.path(), GROUPS, &[42]).unwrap_err();
        assert!(why.contains("shares"), "{why}");
        // The root group is nobody's own.
        fs::write(mount.path().join("cgroup.controllers"), "memory pids").unwrap();
        let why = Cgroups::detect(mount.path(), "0::/\n", &[42]).unwrap_err();
        assert!(why.contains("root group"), "{why}");
    }
}
