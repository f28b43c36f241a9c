//! From clone to exec and from exit to reaping: the system calls of one compiler process. Owns the [`Child`], which is
//! never left running and never left a zombie. All of this crate's `unsafe` for processes and mounts is here.
//!
//! The child shares the daemon's memory until it calls exec (as `posix_spawn` and `vfork` do), so that starting a
//! compiler does not copy the daemon's page tables. Between clone and exec it therefore runs only [`in_child`] and what
//! that calls: system calls on strings that were made ready before; no allocation, no lock, no panic.
//!
//! The calls, in order: `setsid`, reset of signals, user and group map, `mount` private, the [`MountStep`]s,
//! `pivot_root`, unmounting of the old root, `chdir`, no core, niceness, no-new-privs, `dup2` of the three streams, signal
//! mask, the [`Confinement`] (control group, limits, Landlock, seccomp), `execve`.

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use protocol::wait_status::WaitStatus;
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::confinement::{Confinement, Exceeded, JobCgroup, Layer};

/// What may be done with the files of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// All that its source allows.
    Same,
    /// Nothing can be written, and no device or set-user-id program used.
    ReadOnly,
    /// As [`Access::ReadOnly`], and no program or library used: for a client's files before the server's.
    ReadOnlyData,
    /// For a client's files: no program, library or device used.
    Data,
}

impl Access {
    /// The flags of `mount`.
    fn mount_flags(self) -> libc::c_ulong {
        let hardened = libc::MS_NOSUID | libc::MS_NODEV;
        match self {
            Self::Same => 0,
            Self::ReadOnly => hardened | libc::MS_RDONLY,
            Self::ReadOnlyData => hardened | libc::MS_RDONLY | libc::MS_NOEXEC,
            Self::Data => hardened | libc::MS_NOEXEC,
        }
    }

    /// The attributes of `mount_setattr`.
    fn attributes(self) -> u64 {
        let hardened = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        match self {
            Self::Same => 0,
            Self::ReadOnly => hardened | libc::MOUNT_ATTR_RDONLY,
            Self::ReadOnlyData => hardened | libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOEXEC,
            Self::Data => hardened | libc::MOUNT_ATTR_NOEXEC,
        }
    }
}

/// One thing to do while the new root is being built, mostly to mount something. Paths are the host's own, before the root is changed.
#[derive(Debug)]
pub(crate) enum MountStep {
    /// A directory or file of the host, shown at `target`; with what is mounted below it.
    Bind {
        /// What is shown.
        source: CString,
        /// Where; it exists and is of the same kind.
        target: CString,
        /// What may be done there.
        access: Access,
    },
    /// Several directories merged.
    Overlay {
        /// `lowerdir=…`, uppermost first, and the like.
        options: CString,
        /// Where.
        target: CString,
        /// What may be done there.
        access: Access,
    },
    /// An empty file system in memory, for one job.
    Memory {
        /// Where.
        target: CString,
        /// `size=…`.
        options: CString,
    },
    /// A directory to make.
    Directory(CString),
    /// A file to write.
    File {
        /// Where; nothing is there.
        path: CString,
        /// What it holds.
        content: Vec<u8>,
        /// Seconds since 1970.
        modified: i64,
    },
    /// A link to make.
    Link {
        /// Where; nothing is there.
        path: CString,
        /// Where it leads.
        target: CString,
    },
    /// A mark of the overlay file system: what is at this path of a lower layer is not seen.
    Absent(CString),
    /// A `/proc` that shows only the processes of the namespace.
    Proc {
        /// Where.
        target: CString,
    },
}

/// The namespaces that a child is to live in: user, mount, IPC and process ids.
#[derive(Debug)]
pub(crate) struct NewRoot {
    /// A line for `/proc/self/uid_map`.
    pub(crate) uid_map: CString,
    /// A line for `/proc/self/gid_map`.
    pub(crate) gid_map: CString,
    /// The mounts, first to last.
    pub(crate) steps: Vec<MountStep>,
    /// The directory that becomes `/`; one of the steps mounted something there.
    pub(crate) root: CString,
    /// The server's toolchain directories that are mounted in it.
    pub(crate) toolchains: Vec<&'static str>,
    /// A directory that the parent gets to keep ([`Child::take_kept`]), though the namespaces end.
    pub(crate) kept: Option<CString>,
}

/// All that is needed to start a process.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The program, as a path in the new root.
    pub(crate) program: CString,
    /// Its arguments, its own name first.
    pub(crate) argv: Vec<CString>,
    /// Its whole environment, `NAME=value`.
    pub(crate) environment: Vec<CString>,
    /// Its working directory, in the new root.
    pub(crate) cwd: CString,
    /// Its standard input, output and error.
    pub(crate) streams: [OwnedFd; 3],
    /// Added to its niceness.
    pub(crate) nice: i32,
    /// `None`: it lives in the daemon's own namespaces.
    pub(crate) new_root: Option<NewRoot>,
    /// What it may not do.
    pub(crate) confinement: Confinement,
}

/// What a job used of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode, of the compiler and its children.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// The largest resident set of any of its processes, in KiB.
    pub max_rss_kib: u64,
}

/// What a child was doing when it failed before its program ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Creating the process or its namespaces.
    Clone,
    /// Mapping its user and group.
    IdMap,
    /// One of the mounts, by its index.
    Mount(usize),
    /// Changing the root directory.
    Root,
    /// Entering the working directory.
    Cwd,
    /// Streams and the rest.
    Setup,
    /// Taking rights from it.
    Confine(Layer),
    /// Executing the program.
    Exec,
}

/// A child that failed before its program ran.
#[derive(Debug, thiserror::Error)]
#[error("{} failed: {source}", match stage {
    Stage::Clone => "creating namespaces".to_owned(),
    Stage::IdMap => "mapping the user into the namespace".to_owned(),
    Stage::Mount(index) => format!("mount {index} of the view"),
    Stage::Root => "changing the root directory".to_owned(),
    Stage::Cwd => "entering the working directory".to_owned(),
    Stage::Setup => "preparing the process".to_owned(),
    Stage::Confine(layer) => format!("confining the process by {}", layer.name()),
    Stage::Exec => "executing the program".to_owned(),
})]
pub(crate) struct StartError {
    /// What it was doing.
    pub(crate) stage: Stage,
    /// What the system said.
    pub(crate) source: io::Error,
}

/// What the child reads, and where it leaves word when it fails. Lives in the parent's frame, which waits.
struct Errand<'a> {
    launch: &'a Launch,
    argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    failure: UnsafeCell<Option<(Stage, c_int)>>,
    /// The descriptor of the directory to keep; negative when there is none.
    kept: UnsafeCell<c_int>,
}

/// Bytes of stack for the child until it calls exec. It has no deep calls and no big locals.
const STACK_BYTES: usize = 64 * 1024;

/// Starts a process and waits until its program runs or failed to.
///
/// # Errors
/// [`StartError`]; then no process is left.
pub(crate) fn start(launch: &Launch) -> Result<Child, StartError> {
    let pointers = |strings: &[CString]| {
        strings
            .iter()
            .map(|s| s.as_ptr())
            .chain([ptr::null()])
            .collect::<Vec<_>>()
    };
    let errand = Errand {
        launch,
        argv: pointers(&launch.argv),
        environment: pointers(&launch.environment),
        failure: UnsafeCell::new(None),
        kept: UnsafeCell::new(-1),
    };
    let mut flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    if launch.new_root.is_some() {
        flags |= libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWPID;
    }
    if launch
        .new_root
        .as_ref()
        .is_some_and(|root| root.kept.is_some())
    {
        // Until the child takes a copy: what it opens before that is ours.
        flags |= libc::CLONE_FILES;
    }
    let mut stack = Box::<[u128]>::new_uninit_slice(STACK_BYTES / 16);
    let mut pidfd: c_int = -1;
    // SAFETY: the stack's end is 16-byte aligned and the block outlives the child's use of it, because CLONE_VFORK
    // suspends this thread until the child has called exec or ended; so do `errand` and `launch`. All signals are
    // blocked meanwhile, so that no handler of the daemon runs on the child's stack. `in_child` keeps to what its own
    // comment says. `pidfd` is written by the kernel only.
    let pid = unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        let mut before = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let top = stack.as_mut_ptr().add(stack.len()).cast::<c_void>();
        let arg = ptr::from_ref(&errand).cast_mut().cast::<c_void>();
        let pid = libc::clone(in_child, top, flags, arg, &mut pidfd as *mut c_int);
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        if pid < 0 {
            return Err(StartError {
                stage: Stage::Clone,
                source: error,
            });
        }
        pid
    };
    // SAFETY: the kernel made this descriptor for us (CLONE_PIDFD) and nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let kept = errand.kept.into_inner();
    // SAFETY: the child opened it in the table that it shared with us, wrote it down, and touched it no more.
    let kept = (kept >= 0).then(|| unsafe { OwnedFd::from_raw_fd(kept) });
    let mut child = Child {
        pidfd,
        pid,
        reaped: false,
        kept,
        cgroup: launch.confinement.cgroup.clone(),
    };
    match errand.failure.into_inner() {
        None => Ok(child),
        Some((stage, errno)) => {
            child.reap();
            Err(StartError {
                stage,
                source: io::Error::from_raw_os_error(errno),
            })
        }
    }
}

/// The child's whole life until exec.
extern "C" fn in_child(arg: *mut c_void) -> c_int {
    // SAFETY: `start` passes a valid Errand and is suspended until we are done with it.
    let errand = unsafe { &*arg.cast::<Errand<'_>>() };
    let Err(stage) = become_program(errand);
    // SAFETY: errno is this thread's; the suspended parent does not look at `failure` meanwhile.
    unsafe {
        *errand.failure.get() = Some((stage, *libc::__errno_location()));
        libc::_exit(127)
    }
}

/// Turns the errno convention into one that `?` understands.
fn done(result: c_int, stage: Stage) -> Result<(), Stage> {
    if result < 0 { Err(stage) } else { Ok(()) }
}

/// Runs in the child: no allocation, no lock, no panic (see the module's header).
fn become_program(errand: &Errand<'_>) -> Result<std::convert::Infallible, Stage> {
    let launch = errand.launch;
    // SAFETY: plain system calls on integers and on C strings that live in `errand`.
    unsafe {
        done(libc::setsid(), Stage::Setup)?;
        for signal in 1..=libc::SIGRTMAX() {
            // Fails for SIGKILL, SIGSTOP and the C library's own; they need no reset.
            libc::signal(signal, libc::SIG_DFL);
        }
        if let Some(new_root) = &launch.new_root {
            enter_root(new_root, &errand.kept)?;
        }
        done(libc::chdir(launch.cwd.as_ptr()), Stage::Cwd)?;
        let no_core = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        done(libc::setrlimit(libc::RLIMIT_CORE, &no_core), Stage::Setup)?;
        if launch.nice != 0 {
            // Best effort: a daemon at the end of the range has nowhere to go.
            libc::nice(launch.nice);
        }
        libc::umask(0o022);
        done(
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            Stage::Setup,
        )?;
        for (number, stream) in (0..).zip(&launch.streams) {
            // The sources are above 2 (see `raise_above_standard`), so none is overwritten before its turn.
            done(libc::dup2(stream.as_raw_fd(), number), Stage::Setup)?;
        }
        // Whatever descriptor was made without it: closed on exec. Best effort, Linux 5.11 and later.
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        launch.confinement.enter().map_err(Stage::Confine)?;
        libc::execve(
            launch.program.as_ptr(),
            errand.argv.as_ptr(),
            errand.environment.as_ptr(),
        );
    }
    Err(Stage::Exec)
}

/// Runs in the child: builds the new root and moves there.
fn enter_root(new_root: &NewRoot, kept: &UnsafeCell<c_int>) -> Result<(), Stage> {
    write_file(c"/proc/self/uid_map", &new_root.uid_map)?;
    // Without this the kernel lets no unprivileged process map its group.
    write_file(c"/proc/self/setgroups", c"deny")?;
    write_file(c"/proc/self/gid_map", &new_root.gid_map)?;
    // SAFETY: plain system calls on C strings that live in `new_root`.
    unsafe {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        done(
            libc::mount(
                ptr::null(),
                c"/".as_ptr(),
                ptr::null(),
                private,
                ptr::null(),
            ),
            Stage::Root,
        )?;
        for (index, step) in new_root.steps.iter().enumerate() {
            mount_step(step).map_err(|()| Stage::Mount(index))?;
        }
        if let Some(dir) = &new_root.kept {
            let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
            let fd = libc::open(dir.as_ptr(), flags);
            done(fd, Stage::Root)?;
            // The suspended parent does not look at it meanwhile.
            *kept.get() = fd;
            // From here on a descriptor is this process's own.
            done(libc::unshare(libc::CLONE_FILES), Stage::Setup)?;
        }
        done(libc::chdir(new_root.root.as_ptr()), Stage::Root)?;
        let here = c".".as_ptr();
        // The old root is stacked upon the new one; taking it away leaves the new one (see pivot_root(2), NOTES).
        if libc::syscall(libc::SYS_pivot_root, here, here) < 0 {
            return Err(Stage::Root);
        }
        done(libc::umount2(here, libc::MNT_DETACH), Stage::Root)?;
        done(libc::chdir(c"/".as_ptr()), Stage::Root)
    }
}

/// Runs in the child.
fn write_file(path: &CStr, content: &CStr) -> Result<(), Stage> {
    // SAFETY: plain system calls; the length is the string's own.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        done(fd, Stage::IdMap)?;
        let length = content.count_bytes();
        if libc::write(fd, content.as_ptr().cast(), length) != length as isize {
            return Err(Stage::IdMap);
        }
        libc::close(fd);
    }
    Ok(())
}

/// Runs in the child.
fn mount_step(step: &MountStep) -> Result<(), ()> {
    // SAFETY: plain system calls on C strings that live in `step` and on a struct of the size we name.
    let result = unsafe {
        match step {
            MountStep::Bind {
                source,
                target,
                access,
            } => {
                let flags = libc::MS_BIND | libc::MS_REC;
                let bound = libc::mount(
                    source.as_ptr(),
                    target.as_ptr(),
                    ptr::null(),
                    flags,
                    ptr::null(),
                );
                if bound < 0 || *access == Access::Same {
                    bound
                } else {
                    // Adds to each mount's flags, where a remount would have to repeat those it may not take away.
                    let attributes = libc::mount_attr {
                        attr_set: access.attributes(),
                        attr_clr: 0,
                        propagation: 0,
                        userns_fd: 0,
                    };
                    libc::syscall(
                        libc::SYS_mount_setattr,
                        libc::AT_FDCWD,
                        target.as_ptr(),
                        libc::AT_RECURSIVE,
                        &attributes,
                        size_of::<libc::mount_attr>(),
                    ) as c_int
                }
            }
            MountStep::Overlay {
                options,
                target,
                access,
            } => {
                let kind = c"overlay".as_ptr();
                libc::mount(
                    kind,
                    target.as_ptr(),
                    kind,
                    access.mount_flags(),
                    options.as_ptr().cast(),
                )
            }
            MountStep::Memory { target, options } => {
                let kind = c"tmpfs".as_ptr();
                libc::mount(
                    kind,
                    target.as_ptr(),
                    kind,
                    libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
                    options.as_ptr().cast(),
                )
            }
            MountStep::Directory(path) => libc::mkdir(path.as_ptr(), 0o755),
            // Anybody may make this one, which is no device.
            MountStep::Absent(path) => libc::mknod(path.as_ptr(), libc::S_IFCHR, 0),
            MountStep::Link { path, target } => libc::symlink(target.as_ptr(), path.as_ptr()),
            MountStep::File {
                path,
                content,
                modified,
            } => write_new_file(path, content, *modified),
            MountStep::Proc { target } => {
                let kind = c"proc".as_ptr();
                libc::mount(
                    kind,
                    target.as_ptr(),
                    kind,
                    libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
                    ptr::null(),
                )
            }
        }
    };
    if result < 0 { Err(()) } else { Ok(()) }
}

/// Runs in the child: writes a file that is not there yet.
///
/// # Safety
/// None beyond plain system calls on valid strings; it is called between clone and exec.
unsafe fn write_new_file(path: &CStr, content: &[u8], modified: i64) -> c_int {
    // SAFETY: as above; the lengths are the slice's own, and the struct is the one that the call wants.
    unsafe {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let fd = libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644);
        if fd < 0 {
            return fd;
        }
        let mut written = 0;
        while written < content.len() {
            let rest = content.as_ptr().add(written);
            let some = libc::write(fd, rest.cast(), content.len() - written);
            if some <= 0 {
                let errno = *libc::__errno_location();
                libc::close(fd);
                *libc::__errno_location() = errno;
                return -1;
            }
            written += some.cast_unsigned();
        }
        let time = libc::timespec {
            tv_sec: modified,
            tv_nsec: 0,
        };
        let dated = libc::futimens(fd, [time, time].as_ptr());
        libc::close(fd);
        dated
    }
}

/// A copy of a descriptor with a number above those of the standard streams, closed on exec.
///
/// # Errors
/// When the process has no descriptor left.
pub(crate) fn raise_above_standard(fd: &impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?)
}

/// A running process and all that it started: killed and reaped at the latest when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    pidfd: OwnedFd,
    pid: libc::pid_t,
    reaped: bool,
    kept: Option<OwnedFd>,
    /// Removed when the process is gone.
    cgroup: Option<Arc<JobCgroup>>,
}

impl Child {
    /// The directory that was to be kept.
    pub(crate) fn take_kept(&mut self) -> Option<OwnedFd> {
        self.kept.take()
    }

    /// What its control group did not allow.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        self.cgroup.as_ref()?.exceeded()
    }

    /// Becomes readable when the process has ended. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the daemon has no descriptor left.
    pub(crate) fn exited(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let pidfd = self.pidfd.try_clone()?;
        // SAFETY: the AsyncFd owns this copy, and nothing else closes or replaces it while it is registered.
        unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }
            .map_err(io::Error::from)
    }

    /// Waits for the end of the process, but not for ever; `None` when it still runs.
    pub(crate) fn reap_within(&mut self, limit: Duration) -> Option<(WaitStatus, Usage)> {
        let limit = Timespec::try_from(limit).ok()?;
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&limit)) {
            Ok(1) => Some(self.reap()),
            _ => None,
        }
    }

    /// Sends a signal to the process and its session. In a process namespace of its own, SIGKILL takes every process
    /// there with it.
    pub(crate) fn signal(&self, signal: c_int) {
        if !self.reaped {
            // SAFETY: plain system call; the process is not reaped, so its number still means it and its group.
            unsafe { libc::kill(-self.pid, signal) };
        }
    }

    /// Waits for the end of the process.
    pub(crate) fn reap(&mut self) -> (WaitStatus, Usage) {
        let mut status: c_int = 0;
        // SAFETY: plain system call into two locals of the right types.
        let usage = unsafe {
            let mut usage = std::mem::zeroed::<libc::rusage>();
            while libc::wait4(self.pid, &mut status, 0, &mut usage) < 0 {
                if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                    break;
                }
            }
            usage
        };
        self.reaped = true;
        let time = |t: libc::timeval| {
            Duration::new(
                u64::try_from(t.tv_sec).unwrap_or(0),
                u32::try_from(t.tv_usec).unwrap_or(0) * 1000,
            )
        };
        let usage = Usage {
            user: time(usage.ru_utime),
            system: time(usage.ru_stime),
            max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        };
        (WaitStatus(status.cast_unsigned()), usage)
    }
}

impl Child {
    /// Kills the process and its session, whether or not it ended by itself, and waits until they are gone.
    pub(crate) fn end(&mut self) -> (WaitStatus, Usage) {
        self.signal(libc::SIGKILL);
        let ended = self.reap();
        // A process namespace ends as one. Elsewhere the others of the session die on their own time, and are reaped by
        // whoever inherited them; until then they may still finish the system call they were in.
        for _ in 0..1000 {
            // SAFETY: plain system call that only asks. As long as the session has a process, no other gets its number.
            if unsafe { libc::kill(-self.pid, 0) } < 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        ended
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.end();
        }
    }
}

/// A path or word as the kernel takes it.
///
/// # Errors
/// When it has a NUL byte.
pub(crate) fn c_string(text: std::ffi::OsString) -> io::Result<CString> {
    use std::os::unix::ffi::OsStringExt;
    CString::new(text.into_vec()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
}

/// Three of them, for a child that has nothing to say.
///
/// # Errors
/// As [`null`].
pub(crate) fn null_streams() -> io::Result<[OwnedFd; 3]> {
    Ok([null()?, null()?, null()?])
}

/// A stream that leads nowhere.
///
/// # Errors
/// When the process has no descriptor left.
pub(crate) fn null() -> io::Result<OwnedFd> {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    raise_above_standard(&file)
}
