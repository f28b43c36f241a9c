//! Which names a compiler looks at while it answers: all that its answer can rest on.
//!
//! The compiler runs under a seccomp filter that reports each system call with a name in it to a thread of ours, which
//! writes the name down and lets the call go on. The filter lies on one thread made for the purpose, and so on the processes
//! that this thread starts. Where the kernel has no such filter (before Linux 5.19, or in a sandbox that has one already), the
//! compiler runs as ever and there is no trail.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use rustix::event::{PollFd, PollFlags, poll};

use super::{lock, run};

/// How a name was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    /// It was asked whether it is a link.
    pub(super) link: bool,
    /// The names in the directory were listed.
    pub(super) list: bool,
    /// It was started as a program.
    pub(super) start: bool,
    /// It was opened.
    pub(super) open: bool,
}

/// The names that the processes of one run looked at.
#[derive(Debug, Default)]
pub(super) struct Trail {
    pub(super) names: BTreeMap<PathBuf, Use>,
    /// Why the names are not all that the answer rests on, if so.
    pub(super) spoiled: Option<String>,
}

/// Runs `command`, which runs in the directory `cwd`, as [`run::run`] does; gives the trail where there is one.
pub(super) fn run_watched(
    command: &mut Command,
    input: &[u8],
    cwd: &Path,
) -> (Result<run::Output, String>, Option<Trail>) {
    let (sender, receiver) = channel();
    let trail = Arc::new(Mutex::new(Trail::default()));
    let watcher = Watcher {
        trail: Arc::clone(&trail),
        cwd: cwd.to_owned(),
        starter: Arc::new(AtomicI32::new(0)),
        started: false,
    };
    let starter = Arc::clone(&watcher.starter);
    // It must not have the filter itself, so it is started from here.
    let listening = std::thread::Builder::new().spawn(move || watcher.listen(&receiver));
    let has_listener = listening.is_ok();
    std::thread::scope(|scope| {
        let work = move || {
            let mut watched = false;
            if has_listener {
                starter.store(
                    rustix::thread::gettid().as_raw_nonzero().get(),
                    Ordering::Release,
                );
                if let Some(listener) = install() {
                    watched = sender.send(listener).is_ok();
                }
            }
            let output = run::run(command, input);
            (output.map_err(|error| error.to_string()), watched)
        };
        let worker = std::thread::Builder::new().spawn_scoped(scope, work);
        let done = worker.map(std::thread::ScopedJoinHandle::join);
        match done {
            // Every call was answered before its process ended, so all of them are written down.
            Ok(Ok((output, true))) => (output, Some(std::mem::take(&mut *lock(&trail)))),
            Ok(Ok((output, false))) => (output, None),
            Ok(Err(_)) => (Err("starting it failed".into()), None),
            Err(error) => (Err(error.to_string()), None),
        }
    })
}

/// The machine's own kind of system calls, as the kernel names it to filters.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_003E);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_00B7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<u32> = None;

/// What a system call means for the trail. Numbers are those of its arguments.
#[derive(Clone, Copy)]
enum Meaning {
    /// It opens a name in a directory.
    Open {
        at: Option<usize>,
        name: usize,
        flags: usize,
    },
    /// It asks about a name in a directory, perhaps with flags.
    Look {
        at: Option<usize>,
        name: usize,
        flags: Option<usize>,
    },
    /// It asks whether a name is a link.
    Link { at: Option<usize>, name: usize },
    /// It starts a program.
    Start { at: Option<usize>, name: usize },
    /// It lists the names in an open directory.
    List,
    /// It changes to another directory.
    Change,
    /// After it names are not all that counts.
    Spoil,
}

const CALLS: &[(libc::c_long, Meaning)] = &[
    (
        libc::SYS_openat,
        Meaning::Open {
            at: Some(0),
            name: 1,
            flags: 2,
        },
    ),
    (
        libc::SYS_newfstatat,
        Meaning::Look {
            at: Some(0),
            name: 1,
            flags: Some(3),
        },
    ),
    (
        libc::SYS_statx,
        Meaning::Look {
            at: Some(0),
            name: 1,
            flags: Some(2),
        },
    ),
    (
        libc::SYS_faccessat,
        Meaning::Look {
            at: Some(0),
            name: 1,
            flags: None,
        },
    ),
    (
        libc::SYS_faccessat2,
        Meaning::Look {
            at: Some(0),
            name: 1,
            flags: Some(3),
        },
    ),
    (
        libc::SYS_readlinkat,
        Meaning::Link {
            at: Some(0),
            name: 1,
        },
    ),
    (libc::SYS_execve, Meaning::Start { at: None, name: 0 }),
    (
        libc::SYS_execveat,
        Meaning::Start {
            at: Some(0),
            name: 1,
        },
    ),
    (libc::SYS_getdents64, Meaning::List),
    (libc::SYS_chdir, Meaning::Change),
    (libc::SYS_fchdir, Meaning::Spoil),
    (libc::SYS_chroot, Meaning::Spoil),
    (libc::SYS_mount, Meaning::Spoil),
    (libc::SYS_unshare, Meaning::Spoil),
    (libc::SYS_setns, Meaning::Spoil),
    (libc::SYS_connect, Meaning::Spoil),
    (libc::SYS_openat2, Meaning::Spoil),
    (libc::SYS_open_by_handle_at, Meaning::Spoil),
    (libc::SYS_io_uring_setup, Meaning::Spoil),
    (libc::SYS_unlinkat, Meaning::Spoil),
    (libc::SYS_renameat, Meaning::Spoil),
    (libc::SYS_renameat2, Meaning::Spoil),
    (libc::SYS_mkdirat, Meaning::Spoil),
    (libc::SYS_linkat, Meaning::Spoil),
    (libc::SYS_symlinkat, Meaning::Spoil),
];

/// Calls that only older machines have.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[(libc::c_long, Meaning)] = &[
    (
        libc::SYS_open,
        Meaning::Open {
            at: None,
            name: 0,
            flags: 1,
        },
    ),
    (
        libc::SYS_stat,
        Meaning::Look {
            at: None,
            name: 0,
            flags: None,
        },
    ),
    (libc::SYS_lstat, Meaning::Link { at: None, name: 0 }),
    (
        libc::SYS_access,
        Meaning::Look {
            at: None,
            name: 0,
            flags: None,
        },
    ),
    (libc::SYS_readlink, Meaning::Link { at: None, name: 0 }),
    (libc::SYS_getdents, Meaning::List),
    (libc::SYS_creat, Meaning::Spoil),
    (libc::SYS_unlink, Meaning::Spoil),
    (libc::SYS_rename, Meaning::Spoil),
    (libc::SYS_mkdir, Meaning::Spoil),
    (libc::SYS_link, Meaning::Spoil),
    (libc::SYS_symlink, Meaning::Spoil),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[(libc::c_long, Meaning)] = &[];

fn calls() -> impl Iterator<Item = &'static (libc::c_long, Meaning)> {
    CALLS.iter().chain(OLD_CALLS)
}

/// The filter: calls of [`calls`] and all of another architecture are reported, others go on unseen.
fn filter(architecture: u32) -> Vec<libc::sock_filter> {
    // struct seccomp_data: the call's number, then the architecture.
    const NUMBER: u32 = 0;
    const KIND: u32 = 4;
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    /// Numbers from here on are those of x32.
    const OTHER_NUMBERS: u32 = 0x4000_0000;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let report = step(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF);
    let mut filter = vec![
        step(LOAD, 0, 0, KIND),
        step(EQUAL, 1, 0, architecture),
        report,
        step(LOAD, 0, 0, NUMBER),
        step(AT_LEAST, 0, 1, OTHER_NUMBERS),
        report,
    ];
    for (number, _) in calls() {
        filter.push(step(
            EQUAL,
            0,
            1,
            u32::try_from(*number).unwrap_or(u32::MAX),
        ));
        filter.push(report);
    }
    filter.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    filter
}

/// Lays the filter on this thread and whatever it starts; the descriptor reports its calls.
fn install() -> Option<OwnedFd> {
    let mut filter = filter(ARCHITECTURE?);
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).ok()?,
        filter: filter.as_mut_ptr(),
    };
    // The second flag came with Linux 5.19, which has all that this needs.
    let flags =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: plain system calls on this thread alone; `program` and the filter that it points to outlive them. A
    // result that is not negative is a new descriptor that nobody else has.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return None;
        }
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        let listener = libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program);
        let listener = RawFd::try_from(listener).ok()?;
        (listener >= 0).then(|| OwnedFd::from_raw_fd(listener))
    }
}

/// Answers the filter's reports.
struct Watcher {
    trail: Arc<Mutex<Trail>>,
    cwd: PathBuf,
    /// The thread with the filter: its own calls are not the compiler's.
    starter: Arc<AtomicI32>,
    /// The compiler itself has been started.
    started: bool,
}

impl Watcher {
    /// Goes on until the last process with the filter has ended: without an answer its calls would fail.
    fn listen(mut self, receiver: &Receiver<OwnedFd>) {
        let Ok(listener) = receiver.recv() else {
            return;
        };
        loop {
            let mut polled = [PollFd::new(&listener, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            }
            let events = polled[0].revents();
            if !events.contains(PollFlags::IN) {
                return;
            }
            let Some(report) = receive(&listener) else {
                continue;
            };
            if i32::try_from(report.pid) != Ok(self.starter.load(Ordering::Acquire)) {
                self.note(&report);
            }
            go_on(&listener, report.id);
        }
    }

    fn note(&mut self, report: &libc::seccomp_notif) {
        let data = &report.data;
        let meaning = calls().find(|(number, _)| i32::try_from(*number) == Ok(data.nr));
        let meaning = match meaning {
            Some((_, meaning)) if Some(data.arch) == ARCHITECTURE => *meaning,
            _ => Meaning::Spoil,
        };
        // Before the compiler is started the new process goes to the compile's directory.
        if !self.started && !matches!(meaning, Meaning::Start { .. }) {
            return;
        }
        self.started = true;
        let flag = |flags: usize, flag: libc::c_int| data.args[flags] as libc::c_int & flag != 0;
        let mut usage = Use::default();
        let (at, name) = match meaning {
            Meaning::Spoil | Meaning::Change => {
                return self.spoil(format!("system call {}", data.nr));
            }
            Meaning::List => {
                usage.list = true;
                return match descriptor(report.pid, data.args[0]) {
                    Some(path) => self.add(path, usage),
                    None => self.spoil("a directory without a name is listed".into()),
                };
            }
            Meaning::Start { at, name } => {
                usage.start = true;
                (at, name)
            }
            Meaning::Link { at, name } => {
                usage.link = true;
                (at, name)
            }
            Meaning::Look { at, name, flags } => {
                usage.link = flags.is_some_and(|flags| flag(flags, libc::AT_SYMLINK_NOFOLLOW));
                (at, name)
            }
            Meaning::Open { at, name, flags } => {
                usage.open = true;
                usage.link = flag(flags, libc::O_NOFOLLOW);
                (at, name)
            }
        };
        let Some(text) = text_of(report.pid, data.args[name]) else {
            return self.spoil("a name cannot be read".into());
        };
        // The call is about a descriptor, and what it came from is on the trail.
        if text.is_empty() {
            return;
        }
        let mut path = PathBuf::from(OsStr::from_bytes(&text));
        if path.is_relative() {
            let directory = at.map(|at| data.args[at] as libc::c_int);
            let base = match directory {
                None | Some(libc::AT_FDCWD) => Some(self.cwd.clone()),
                Some(directory) => descriptor(report.pid, directory as u64),
            };
            let Some(base) = base else {
                return self.spoil("a directory has no name".into());
            };
            path = base.join(path);
        }
        if let Meaning::Open { flags, .. } = meaning
            && (flag(flags, libc::O_ACCMODE) || flag(flags, libc::O_CREAT))
            && !path.starts_with("/dev")
        {
            return self.spoil(format!("{} is opened for writing", path.display()));
        }
        self.add(path, usage);
    }

    fn add(&self, path: PathBuf, usage: Use) {
        let mut trail = lock(&self.trail);
        let known = trail.names.entry(path).or_default();
        known.link |= usage.link;
        known.list |= usage.list;
        known.start |= usage.start;
        known.open |= usage.open;
    }

    fn spoil(&self, why: String) {
        lock(&self.trail).spoiled.get_or_insert(why);
    }
}

/// The path behind a process's descriptor.
fn descriptor(pid: u32, number: u64) -> Option<PathBuf> {
    let link = format!("/proc/{pid}/fd/{}", number as libc::c_int);
    let target = rustix::fs::readlink(link, Vec::new()).ok()?;
    let target = std::ffi::OsString::from_vec(target.into_bytes());
    Path::new(&target).is_absolute().then(|| target.into())
}

/// The bytes up to a NUL at an address of another process.
fn text_of(pid: u32, address: u64) -> Option<Vec<u8>> {
    const PAGE: usize = 4096;
    const LONGEST: usize = 2 * PAGE;
    let pid = libc::pid_t::try_from(pid).ok()?;
    let mut text = Vec::new();
    let mut buffer = [0u8; PAGE];
    let mut at = usize::try_from(address).ok()?;
    while text.len() < LONGEST {
        // Not beyond a page, which need not be followed by another.
        let count = PAGE - at % PAGE;
        let local = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: count,
        };
        let remote = libc::iovec {
            iov_base: at as *mut libc::c_void,
            iov_len: count,
        };
        // SAFETY: the kernel writes at most `count` bytes to `buffer`, which has as many and is not used meanwhile. The
        // other address is of another process and only read.
        let read =
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        let read = usize::try_from(read).ok().filter(|&read| read > 0)?;
        let part = &buffer[..read];
        if let Some(end) = memchr::memchr(0, part) {
            text.extend_from_slice(&part[..end]);
            return Some(text);
        }
        text.extend_from_slice(part);
        at += read;
    }
    None
}

/// The next report; `None` when its process has just been killed.
fn receive(listener: &OwnedFd) -> Option<libc::seccomp_notif> {
    // SAFETY: the structure is plain integers, for which zero is a value, and the kernel wants them zero; it writes no more
    // than the structure, whose size is part of the request's number.
    unsafe {
        let mut report: libc::seccomp_notif = std::mem::zeroed();
        let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
        let done = libc::ioctl(listener.as_fd().as_raw_fd(), request, &raw mut report);
        (done == 0).then_some(report)
    }
}

/// Lets a reported call go on as if there were no filter.
fn go_on(listener: &OwnedFd, id: u64) {
    // SAFETY: as above; the kernel reads the structure during the call only. It fails only if the process is gone.
    unsafe {
        let mut answer: libc::seccomp_notif_resp = std::mem::zeroed();
        answer.id = id;
        answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        let request = libc::SECCOMP_IOCTL_NOTIF_SEND;
        libc::ioctl(listener.as_fd().as_raw_fd(), request, &raw mut answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(script: &str, cwd: &Path) -> Option<Trail> {
        let path = (b"PATH".to_vec(), b"/usr/bin:/bin".to_vec());
        let mut command = run::command(Path::new("/bin/sh"), &[path], Some(cwd));
        let (output, trail) = run_watched(command.arg("-c").arg(script), b"", cwd);
        assert!(output.unwrap().success);
        if trail.is_none() {
            eprintln!("no filter here: nothing is tested");
        }
        trail
    }

    #[test]
    fn names_are_written_down() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::write(root.join("read"), "x").unwrap();
        let script = "cat read; test -e absent; test -h link; ls below; exec true";
        std::fs::create_dir(root.join("below")).unwrap();
        let Some(trail) = trail(script, &root) else {
            return;
        };
        assert_eq!(trail.spoiled, None);
        let usage = |name: &str| trail.names.get(&root.join(name)).copied();
        let open = Use {
            open: true,
            ..Use::default()
        };
        assert_eq!(usage("read"), Some(open));
        assert_eq!(usage("absent"), Some(Use::default()));
        assert!(usage("link").unwrap().link);
        assert!(usage("below").unwrap().list);
        assert_eq!(usage("other"), None);
        assert!(trail.names[Path::new("/bin/sh")].start);
        assert!(trail.names[Path::new("/usr/bin/true")].start);
    }

    #[test]
    fn what_does_more_than_looking_spoils_the_trail() {
        let directory = tempfile::tempdir().unwrap();
        for script in ["cd /", "echo x > new", "rm new", "mkdir d"] {
            let Some(trail) = trail(script, directory.path()) else {
                return;
            };
            assert!(trail.spoiled.is_some(), "{script}");
        }
    }

    #[test]
    fn a_process_left_behind_can_still_open_files() {
        let directory = tempfile::tempdir().unwrap();
        let (left, done) = (directory.path().join("left"), directory.path().join("done"));
        let script = "{ read line < left; echo $line > done.new; mv done.new done; } >&- 2>&- &";
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &left,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        trail(script, directory.path());
        std::fs::write(&left, "word\n").unwrap();
        while !done.exists() {
            std::thread::yield_now();
        }
        assert_eq!(std::fs::read(&done).unwrap(), b"word\n");
    }
}
