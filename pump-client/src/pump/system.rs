//! The few system calls of `pump` that Rust calls unsafe: signal handlers, and what a child does before it becomes
//! another program. Owns the pipe that signal handlers write to.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Something that a signal told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A child changed its state.
    Child,
    /// The user, or somebody, wants this process to end.
    End {
        /// The signal's number.
        signal: i32,
        /// It came from the terminal, so the whole foreground group has it already.
        from_terminal: bool,
    },
    /// The process that [`Signals::watch`] was given has ended.
    OwnerEnded,
}

/// The signals that mean "end".
pub const END_SIGNALS: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Where handlers write; -1 before there is a pipe.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// Signals turned into events that can be waited for.
pub struct Signals {
    pipe: File,
    owner: Option<OwnedFd>,
}

impl Signals {
    /// Takes over [`END_SIGNALS`] and SIGCHLD. A signal that this process was told to ignore (`nohup`) stays ignored.
    ///
    /// # Errors
    /// When the system refuses a pipe or a handler.
    pub fn take_over() -> io::Result<Self> {
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        let (read, write) = rustix::pipe::pipe_with(flags)?;
        PIPE.store(write.into_raw_fd(), Ordering::SeqCst);
        install(libc::SIGCHLD)?;
        for signal in END_SIGNALS {
            if !is_ignored(signal)? {
                install(signal)?;
            }
        }
        Ok(Self {
            pipe: File::from(read),
            owner: None,
        })
    }

    /// From now on the end of a process, by its descriptor, is an event, too.
    pub fn watch(&mut self, owner: OwnedFd) {
        self.owner = Some(owner);
    }

    /// Waits until something happens or the time is over, and returns what happened.
    ///
    /// # Errors
    /// When the pipe fails.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Vec<Event>> {
        let timeout = timeout
            .map(Timespec::try_from)
            .transpose()
            .map_err(io::Error::other)?;
        let mut polled = vec![PollFd::new(&self.pipe, PollFlags::IN)];
        polled.extend(
            self.owner
                .iter()
                .map(|owner| PollFd::new(owner, PollFlags::IN)),
        );
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let owner_ended = polled.get(1).is_some_and(|fd| !fd.revents().is_empty());
        drop(polled);
        let mut bytes = [0; 512];
        let count = match self.pipe.read(&mut bytes) {
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                0
            }
            Err(error) => return Err(error),
        };
        let told = bytes[..count]
            .chunks_exact(2)
            .map(|pair| decode(pair[0], pair[1]));
        Ok(told
            .chain(owner_ended.then_some(Event::OwnerEnded))
            .collect())
    }
}

fn decode(signal: u8, from_terminal: u8) -> Event {
    let signal = i32::from(signal);
    if signal == libc::SIGCHLD {
        return Event::Child;
    }
    Event::End {
        signal,
        from_terminal: from_terminal != 0,
    }
}

/// Runs when a signal arrives: writes its number and whether the kernel sent it (for these signals: the terminal).
extern "C" fn handle(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler installed with SA_SIGINFO; only its si_code is read.
    let code = if info.is_null() {
        0
    } else {
        unsafe { (*info).si_code }
    };
    let message = [signal as u8, u8::from(code > 0)];
    // SAFETY: errno belongs to this thread; it is put back so that the interrupted code sees nothing of the handler.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: write(2) is async-signal-safe, the buffer is two bytes long; a full or closed pipe is an error that is ignored.
    unsafe {
        let saved = *errno;
        libc::write(
            PIPE.load(Ordering::SeqCst),
            message.as_ptr().cast(),
            message.len(),
        );
        *errno = saved;
    }
}

fn install(signal: i32) -> io::Result<()> {
    // SAFETY: all-zero is a valid sigaction; the fields that matter are set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: `action` is fully initialised and its handler only does what a handler may do.
    check(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) })
}

fn is_ignored(signal: i32) -> io::Result<bool> {
    // SAFETY: all-zero is a valid sigaction, to be overwritten by the system.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only asks; `action` is valid for writing.
    check(unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) })?;
    Ok(action.sa_sigaction == libc::SIG_IGN)
}

fn check(result: i32) -> io::Result<()> {
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Sends a signal to a child that has not been waited for.
pub fn signal_child(child: &std::process::Child, signal: i32) {
    let Ok(pid) = libc::pid_t::try_from(child.id()) else {
        return;
    };
    // SAFETY: kill(2) touches no memory; the number is still that child's as nobody has waited for it.
    let _ = unsafe { libc::kill(pid, signal) };
}

/// Makes a command a helper of this process: in a session of its own, so that the terminal's signals pass it by; ended by
/// the kernel when this process dies; with one more open descriptor, when given.
pub fn make_helper(command: &mut Command, inherited: Option<RawFd>) {
    let parent = std::process::id();
    let prepare = move || {
        // SAFETY: setsid(2) touches no memory and is async-signal-safe; a new child is never a group leader.
        check(unsafe { libc::setsid() })?;
        // SAFETY: prctl(2) with these arguments touches no memory.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })?;
        // SAFETY: getppid(2) touches no memory. The parent may have died before the line above.
        if u32::try_from(unsafe { libc::getppid() }) != Ok(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        if let Some(descriptor) = inherited {
            // SAFETY: fcntl(2) with F_SETFD touches no memory; the descriptor is open, the caller holds it.
            check(unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) })?;
        }
        Ok(())
    };
    // SAFETY: the closure only makes system calls that are allowed between fork and exec, and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

/// Makes a command a daemon: in a session of its own, not tied to this process's life.
pub fn make_daemon(command: &mut Command) {
    // SAFETY: setsid(2) touches no memory and is async-signal-safe.
    let prepare = || check(unsafe { libc::setsid() });
    // SAFETY: the closure only makes one system call that is allowed between fork and exec.
    unsafe { command.pre_exec(prepare) };
}

/// Puts files in the place of this process's stdout and stderr.
///
/// # Errors
/// When the system refuses.
pub fn redirect_output(stdout: OwnedFd, stderr: OwnedFd) -> io::Result<()> {
    // SAFETY: dup2(2) touches no memory; both sources are open, and descriptors 1 and 2 are owned by nobody in Rust.
    check(unsafe { libc::dup2(stdout.as_raw_fd(), 1) })?;
    // SAFETY: as above.
    check(unsafe { libc::dup2(stderr.as_raw_fd(), 2) })
}

/// This process's user number.
#[must_use]
pub fn own_user() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The number of the user and group that a daemon started by root becomes: the first of these that exists.
#[must_use]
pub fn unprivileged_user() -> (String, u32, u32) {
    for name in ["distcc", "distccd", "nobody"] {
        let Ok(wanted) = std::ffi::CString::new(name) else {
            continue;
        };
        // SAFETY: getpwnam(3) gets a NUL-terminated string; this program has one thread, so its static buffer is not shared.
        let entry = unsafe { libc::getpwnam(wanted.as_ptr()) };
        if !entry.is_null() {
            // SAFETY: not null, so it points to a valid entry until the next call.
            let (user, group) = unsafe { ((*entry).pw_uid, (*entry).pw_gid) };
            return (name.to_owned(), user, group);
        }
    }
    ("65534".to_owned(), 65534, 65534)
}

/// Closes every descriptor above stderr that this process was born with, so that a daemon keeps no pipe of its caller open.
/// To be called first thing, before this process opens anything itself.
pub fn close_inherited() {
    // SAFETY: close_range(2) touches no memory, and nothing in this process owns a descriptor above 2 yet.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
}
