//! Control groups (version 2) of jobs, as the kernel has them: who is in them, what they stop, and that nothing of them is left. Owns the groups that
//! daemons of these tests are started in. `scripts/cgroup2.sh` runs this where the kernel has them.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ending::unique;
use crate::harness::{
    Daemon, enter_group, is_sleeping, new_group, preprocessed, run, send_signal, short_lifetime,
    wait_until,
};
use crate::probe::{Probed, VIEWS, View};

/// A group of this machine's that a daemon may divide; removed when dropped.
struct Group(PathBuf);

impl Group {
    /// `None` after saying that the test is skipped.
    fn new() -> Option<Self> {
        match Self::somewhere() {
            Ok(group) => Some(group),
            Err(why) => {
                eprintln!("skipped: no control group to divide: {why}");
                None
            }
        }
    }

    /// Below the nearest group that counts memory and processes of those below it, and lets us move a process there.
    fn somewhere() -> Result<Self, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let own = own.ok_or("there is no version 2 of them")?.to_owned();
        let mut why = "nowhere are memory and processes counted".to_owned();
        for part in Path::new(&own).ancestors() {
            let dir = Path::new("/sys/fs/cgroup").join(part);
            let given = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
            let is_given = |name| given.split_whitespace().any(|given| given == name);
            if !is_given("memory") || !is_given("pids") {
                continue;
            }
            match new_group(&dir) {
                Ok(group) => {
                    let group = Self(group);
                    let mut command = Command::new("true");
                    enter_group(&mut command, &group.0);
                    match command.status() {
                        Ok(_) => return Ok(group),
                        Err(error) => why = format!("{}: {error}", dir.display()),
                    }
                }
                Err(error) => why = format!("{}: {error}", dir.display()),
            }
        }
        Err(why)
    }

    /// Groups of jobs that are there.
    fn jobs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).unwrap().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_string_lossy();
                name.starts_with("job-")
            })
            .collect()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// Nothing of a daemon is left.
    fn assert_as_before(&self) {
        let below = fs::read_dir(&self.0).unwrap().flatten();
        let below: Vec<_> = below
            .filter(|entry| entry.file_type().unwrap().is_dir())
            .map(|entry| entry.path())
            .collect();
        assert_eq!(below, [""; 0].map(PathBuf::from));
        assert_eq!(self.read("cgroup.subtree_control").trim(), "");
        assert_eq!(self.read("cgroup.procs"), "");
    }

    /// A daemon with the probe as its compiler, in this group.
    fn probed(&self, view: View, options: &[&str]) -> Option<Probed> {
        let probed = Probed::start(view, |command, _| {
            command.args(options);
            enter_group(command, &self.0);
        })?;
        assert_in_force(&probed.daemon);
        Some(probed)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let mut dirs = self.jobs();
        dirs.extend([self.0.join("distccd-itself"), self.0.clone()]);
        for dir in dirs {
            // Busy until the killed are gone.
            for _ in 0..1000 {
                match fs::remove_dir(&dir) {
                    Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                    _ => break,
                }
            }
        }
    }
}

#[track_caller]
fn assert_in_force(daemon: &Daemon) {
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("confined")).unwrap();
    assert!(line.contains(", control groups"), "{line}");
    eprintln!("control groups are in force");
}

/// A job that sleeps for so many seconds, running.
fn asleep(probed: &Probed, seconds: &str) -> TcpStream {
    let mut stream = probed.daemon.connect();
    let request = preprocessed("cc1", &format!("sleep {seconds}"));
    stream.write_all(&request.encode()).unwrap();
    wait_until("the compiler runs", || is_sleeping(seconds));
    stream
}

/// Both views, with a daemon in a group of its own.
fn each(options: &[&str], check: impl Fn(&Group, &mut Probed)) {
    for view in VIEWS {
        let Some(group) = Group::new() else { return };
        let Some(mut probed) = group.probed(view, options) else {
            continue;
        };
        check(&group, &mut probed);
        probed.daemon.assert_alive();
        wait_until("no job's group is left", || group.jobs().is_empty());
        assert!(probed.daemon.stop(libc::SIGTERM).success());
        group.assert_as_before();
    }
}

#[test]
fn a_job_has_a_group_while_it_lasts() {
    each(&["--job-memory", "200M"], |group, probed| {
        let seconds = unique(3201);
        let client = asleep(probed, &seconds);
        let jobs = group.jobs();
        assert_eq!(jobs.len(), 1);
        let read = |name: &str| fs::read_to_string(jobs[0].join(name)).unwrap();
        assert_eq!(read("memory.max").trim(), (200 << 20).to_string());
        assert_eq!(read("pids.max").trim(), "256");
        assert_eq!(read("memory.oom.group").trim(), "1");
        if jobs[0].join("memory.swap.max").exists() {
            assert_eq!(read("memory.swap.max").trim(), (200 << 20).to_string());
        }
        let pid = read("cgroup.procs");
        let command = fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap();
        assert!(command.starts_with(b"sleep\0"), "{pid}");
        let own = group.read("distccd-itself/cgroup.procs");
        assert_eq!(own.trim(), probed.daemon.pid().to_string());
        assert_eq!(group.read("cgroup.procs"), "");
        // The client vanishes.
        drop(client);
        wait_until("the compiler is killed", || !is_sleeping(&seconds));
    });
}

#[test]
fn processes_of_a_job_share_its_memory_and_others_go_on() {
    each(&["--job-memory", "200M"], |group, probed| {
        let seconds = unique(3202);
        let other = asleep(probed, &seconds);
        // Each may have that much, all together may not.
        let reply = probed.reply("together 4 80").expect("a reply");
        assert_eq!(reply.status.signal(), Some(9), "{}", probed.daemon.log());
        let said = String::from_utf8_lossy(&reply.stderr).into_owned();
        let why = "distccd: the compile was killed because it needed more than 200 MiB of memory";
        assert!(said.starts_with(why), "{said}");
        let why = "a.c: the compile was killed because it needed more than 200 MiB";
        assert!(probed.daemon.log().contains(why), "{}", probed.daemon.log());
        assert!(is_sleeping(&seconds));
        assert_eq!(group.jobs().len(), 1);
        drop(other);
        probed.expect("memory 150", "ok");
    });
}

#[test]
fn what_a_job_reads_from_the_disk_is_not_its_memory() {
    let gcc = run(Command::new("gcc").arg("-print-prog-name=cc1"));
    let path = String::from_utf8(gcc.stdout).unwrap();
    let bytes = fs::metadata(path.trim()).unwrap().len();
    // Half of the file has room.
    let limit = (bytes / 2).to_string();
    each(&["--job-memory", &limit], |_, probed| {
        probed.expect(&format!("devour {}", path.trim()), "ok");
    });
}

#[test]
fn a_fork_bomb_ends_at_the_groups_limit() {
    each(&["--job-lifetime", &short_lifetime()], |_, probed| {
        // Without namespaces, no other limit is as low.
        let said = probed.probe("processes 10000");
        assert_eq!(said, ["EAGAIN after few", "processes 10000: EAGAIN"]);
        let reply = probed.reply("bomb").expect("a reply");
        assert_eq!(reply.status.exit_code(), 118);
        let own = probed.installed().display().to_string();
        let running = || run(Command::new("pgrep").args(["-f", &own])).stdout;
        wait_until("the bomb is gone", || running().is_empty());
    });
}

#[test]
fn a_killed_daemons_groups_are_taken_over() {
    for view in VIEWS {
        let Some(group) = Group::new() else { return };
        let Some(mut probed) = group.probed(view, &[]) else {
            continue;
        };
        let seconds = unique(3203);
        let client = asleep(&probed, &seconds);
        probed.daemon.stop(libc::SIGKILL);
        drop(client);
        assert!(is_sleeping(&seconds));
        assert_eq!(group.jobs().len(), 1);
        // The kernel lets nobody into a divided group itself.
        let next = Probed::start(view, |command, _| {
            enter_group(command, &group.0.join("distccd-itself"));
        });
        let mut next = next.unwrap();
        assert_in_force(&next.daemon);
        assert!(!is_sleeping(&seconds), "the killed daemon's job goes on");
        assert_eq!(group.jobs(), [""; 0].map(PathBuf::from));
        let seconds = unique(3204);
        let client = asleep(&next, &seconds);
        assert_eq!(group.jobs().len(), 1);
        drop(client);
        wait_until("no job's group is left", || group.jobs().is_empty());
        assert!(next.daemon.stop(libc::SIGTERM).success());
    }
}

#[test]
fn a_daemon_in_the_background_divides_its_group_too() {
    let Some(group) = Group::new() else { return };
    let dir = crate::harness::scratch();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let (pid_file, log) = (dir.path().join("work/pid"), dir.path().join("log"));
    let mut command = crate::harness::distccd();
    command
        .args(["--daemon", "--listen", "127.0.0.1", "--enable-tcp-insecure"])
        .args(["--port", &port, "--pid-file"])
        .arg(&pid_file)
        .arg("--log-file")
        .arg(&log)
        .env("TMPDIR", dir.path().join("tmp"));
    enter_group(&mut command, &group.0);
    assert!(run(&mut command).status.success());
    let pid = fs::read_to_string(&pid_file).unwrap();
    let own = group.read("distccd-itself/cgroup.procs");
    let log = fs::read_to_string(&log).unwrap();
    send_signal(pid.trim().parse().unwrap(), libc::SIGTERM);
    assert_eq!(own, pid, "{log}");
    assert!(log.contains(", control groups"), "{log}");
    wait_until("the daemon ends", || {
        !Path::new(&format!("/proc/{}", pid.trim())).exists()
    });
    group.assert_as_before();
}

#[test]
fn a_limit_above_the_daemon_is_seen() {
    let Some(group) = Group::new() else { return };
    fs::write(group.0.join("memory.max"), (512 << 20).to_string()).unwrap();
    // More than all that there is below the limit.
    let Some(probed) = group.probed(View::Namespace, &["--min-free-memory", "600M"]) else {
        return;
    };
    let log = probed.daemon.log();
    assert!(log.contains("limits (384 MiB, "), "{log}");
    let seconds = unique(3205);
    let first = asleep(&probed, &seconds);
    let second = unique(3206);
    let mut waiting = probed.daemon.connect();
    let request = preprocessed("cc1", &format!("sleep {second}"));
    waiting.write_all(&request.encode()).unwrap();
    wait_until("it waits", || {
        probed.daemon.log().contains("compiles wait for memory")
    });
    assert!(!is_sleeping(&second));
    drop(first);
    wait_until("the next compiler runs", || is_sleeping(&second));
}
