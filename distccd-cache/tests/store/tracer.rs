//! Failures of the disk, and sudden deaths, at any system call that changes files below a directory. Owns the processes that it traces.
//!
//! Works by ptrace(2) (`PTRACE_SEIZE`, and `PTRACE_GET_SYSCALL_INFO` of Linux 5.3), so that the program under test is the one that users run. A call that is to fail gets
//! the number of no call at its entry, and its result at its exit; where registers are is known here for x86-64 only.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::ptr;

use libc::{c_int, c_long, c_void, pid_t};

/// What happens at the calls that change files, which are numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The process is killed before this one.
    KillBefore(u64),
    /// The process is killed after this one; a write has written half.
    KillAfter(u64),
    /// This one fails with an error.
    Fail(u64, c_int),
    /// This one and all that write or make anything after it.
    FailFrom(u64, c_int),
}

/// How a traced process ended.
#[derive(Debug)]
pub struct Outcome {
    /// Calls that changed files, or would have.
    pub changes: u64,
    /// Calls that were made to fail.
    pub failed: u64,
    /// How it ended, as waitpid says it.
    pub status: c_int,
}

impl Outcome {
    /// Whether it ended by itself, with exit code 0.
    pub fn is_success(&self) -> bool {
        libc::WIFEXITED(self.status) && libc::WEXITSTATUS(self.status) == 0
    }
}

/// Where a call names what it changes.
#[derive(Clone, Copy)]
enum Place {
    /// A descriptor, the first argument.
    Descriptor,
    /// A path, this argument, from the working directory.
    Path(usize),
    /// A directory's descriptor and a path, these arguments.
    At(usize, usize),
}

/// A call that changes files.
struct Call {
    place: Place,
    /// Whether it takes room on a disk.
    takes_room: bool,
    is_write: bool,
}

const CREATING: u64 = (libc::O_CREAT | libc::O_TRUNC) as u64;

/// Calls that change files, of all those that programs of Rust make.
fn call(number: c_long, arguments: &[u64; 6]) -> Option<Call> {
    let (place, takes_room) = match number {
        libc::SYS_openat if arguments[2] & CREATING != 0 => (Place::At(0, 1), true),
        libc::SYS_write
        | libc::SYS_writev
        | libc::SYS_pwrite64
        | libc::SYS_pwritev
        | libc::SYS_fallocate
        | libc::SYS_fsync
        | libc::SYS_fdatasync => (Place::Descriptor, true),
        libc::SYS_ftruncate => (Place::Descriptor, false),
        // Without a path it means the descriptor.
        libc::SYS_utimensat if arguments[1] == 0 => (Place::Descriptor, false),
        libc::SYS_utimensat | libc::SYS_unlinkat => (Place::At(0, 1), false),
        libc::SYS_mkdirat | libc::SYS_mknodat => (Place::At(0, 1), true),
        libc::SYS_renameat | libc::SYS_renameat2 => (Place::At(2, 3), true),
        libc::SYS_linkat => (Place::At(2, 3), true),
        libc::SYS_symlinkat => (Place::At(1, 2), true),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open if arguments[1] & CREATING != 0 => (Place::Path(0), true),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => (Place::Path(0), true),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink | libc::SYS_rmdir => (Place::Path(0), false),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename | libc::SYS_link | libc::SYS_symlink => (Place::Path(1), true),
        _ => return None,
    };
    let is_write = number == libc::SYS_write || number == libc::SYS_pwrite64;
    Some(Call {
        place,
        takes_room,
        is_write,
    })
}

/// What is to be done at a thread's exit from the call that it is in.
#[derive(Clone, Copy)]
enum AtExit {
    Kill,
    Fail(c_int),
}

/// A process with all its threads.
pub struct Tracer {
    pid: pid_t,
    below: PathBuf,
    fault: Fault,
    pending: HashMap<pid_t, AtExit>,
    outcome: Outcome,
}

/// One request to the kernel about a thread.
fn ptrace(request: libc::c_uint, tid: pid_t, address: usize, data: usize) -> io::Result<c_long> {
    // SAFETY: requests that read or write memory of ours get pointers to locals of the right size from their callers here.
    let result = unsafe { libc::ptrace(request, tid, address as *mut c_void, data as *mut c_void) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

impl Tracer {
    /// Begins to trace a process that runs; the calling thread has to [`run`](Self::run) it.
    ///
    /// # Errors
    /// When the system does not allow it, or registers are not known.
    pub fn seize(pid: u32, below: &Path, fault: Fault) -> io::Result<Self> {
        if !cfg!(target_arch = "x86_64") {
            return Err(io::Error::other("registers are known on x86-64 only"));
        }
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE;
        // Threads may start while we look; those of traced threads come by themselves.
        let mut seized: Vec<pid_t> = Vec::new();
        loop {
            let before = seized.len();
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                let name = thread?.file_name().into_string();
                let tid = name.ok().and_then(|name| name.parse().ok());
                let Some(tid) = tid.filter(|tid| !seized.contains(tid)) else {
                    continue;
                };
                match ptrace(libc::PTRACE_SEIZE, tid, 0, options as usize) {
                    // Fails when it has ended since.
                    Ok(_) => _ = ptrace(libc::PTRACE_INTERRUPT, tid, 0, 0),
                    // It has ended, or is traced because its parent is.
                    Err(_) if !seized.is_empty() => {}
                    Err(error) => return Err(error),
                }
                seized.push(tid);
            }
            if seized.len() == before {
                break;
            }
        }
        Ok(Self {
            pid: pid.cast_signed(),
            below: below.to_owned(),
            fault,
            pending: HashMap::new(),
            outcome: Outcome {
                changes: 0,
                failed: 0,
                status: 0,
            },
        })
    }

    /// Lets the process run to its end.
    pub fn run(mut self) -> Outcome {
        loop {
            let mut status = 0;
            // SAFETY: plain system call into a local.
            let tid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
            if tid < 0 {
                match io::Error::last_os_error().kind() {
                    io::ErrorKind::Interrupted => continue,
                    _ => return self.outcome,
                }
            }
            if !libc::WIFSTOPPED(status) {
                if tid == self.pid {
                    self.outcome.status = status;
                    return self.outcome;
                }
                continue;
            }
            let signal = libc::WSTOPSIG(status);
            let is_event = status >> 16 != 0;
            let deliver = match signal {
                _ if is_event => 0,
                signal if signal == libc::SIGTRAP | 0x80 => {
                    self.at_call(tid);
                    0
                }
                signal => signal,
            };
            // A thread that was killed meanwhile is heard of in the next round.
            let _ = ptrace(libc::PTRACE_SYSCALL, tid, 0, deliver as usize);
        }
    }

    /// A thread enters a call, or comes out.
    fn at_call(&mut self, tid: pid_t) {
        // SAFETY: all zeros is a value of it.
        let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
        let size = size_of_val(&info);
        let into = ptr::from_mut(&mut info) as usize;
        if ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, size, into).is_err() {
            return;
        }
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                // SAFETY: the kernel says that it is this one.
                let entry = unsafe { info.u.entry };
                self.at_entry(tid, entry.nr as c_long, &entry.args);
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => match self.pending.remove(&tid) {
                Some(AtExit::Kill) => self.kill(),
                Some(AtExit::Fail(errno)) => set_result(tid, -i64::from(errno)),
                None => {}
            },
            _ => {}
        }
    }

    fn at_entry(&mut self, tid: pid_t, number: c_long, arguments: &[u64; 6]) {
        let Some(call) = call(number, arguments) else {
            return;
        };
        if !self.is_below(tid, call.place, arguments) {
            return;
        }
        self.outcome.changes += 1;
        let count = self.outcome.changes;
        let at_exit = match self.fault {
            Fault::KillBefore(at) if count == at => return self.kill(),
            Fault::KillAfter(at) if count == at => {
                if call.is_write && arguments[2] > 1 {
                    set_third(tid, arguments[2] / 2);
                }
                AtExit::Kill
            }
            Fault::Fail(at, errno) if count == at => AtExit::Fail(errno),
            Fault::FailFrom(at, errno) if count >= at && call.takes_room => AtExit::Fail(errno),
            _ => return,
        };
        if let AtExit::Fail(_) = at_exit {
            self.outcome.failed += 1;
            set_number(tid, -1);
        }
        self.pending.insert(tid, at_exit);
    }

    fn kill(&self) {
        // SAFETY: plain system call on a process that has not been waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    fn is_below(&self, tid: pid_t, place: Place, arguments: &[u64; 6]) -> bool {
        let descriptor = |at: usize| match arguments[at] as c_int {
            libc::AT_FDCWD => fs::read_link(format!("/proc/{tid}/cwd")),
            fd => fs::read_link(format!("/proc/{tid}/fd/{fd}")),
        };
        let path = match place {
            Place::Descriptor => descriptor(0),
            Place::Path(at) => text(tid, arguments[at]),
            Place::At(dir, at) => {
                text(tid, arguments[at]).map(|path| descriptor(dir).unwrap_or_default().join(path))
            }
        };
        path.is_ok_and(|path| path.starts_with(&self.below))
    }
}

/// A path in a traced process's memory.
fn text(tid: pid_t, address: u64) -> io::Result<PathBuf> {
    let memory = File::open(format!("/proc/{tid}/mem"))?;
    let mut bytes = Vec::new();
    // In pieces, since what follows may not be there.
    while bytes.len() < 4096 {
        let mut piece = [0; 64];
        let count = memory.read_at(&mut piece, address + bytes.len() as u64)?;
        let end = piece[..count].iter().position(|byte| *byte == 0);
        bytes.extend_from_slice(&piece[..end.unwrap_or(count)]);
        if end.is_some() || count == 0 {
            break;
        }
    }
    Ok(OsString::from_vec(bytes).into())
}

#[cfg(target_arch = "x86_64")]
fn poke(tid: pid_t, offset: usize, value: i64) {
    // A thread that was killed meanwhile needs none.
    let _ = ptrace(libc::PTRACE_POKEUSER, tid, offset, value as usize);
}

#[cfg(target_arch = "x86_64")]
fn set_number(tid: pid_t, number: i64) {
    poke(
        tid,
        std::mem::offset_of!(libc::user_regs_struct, orig_rax),
        number,
    );
}

#[cfg(target_arch = "x86_64")]
fn set_result(tid: pid_t, result: i64) {
    poke(
        tid,
        std::mem::offset_of!(libc::user_regs_struct, rax),
        result,
    );
}

#[cfg(target_arch = "x86_64")]
fn set_third(tid: pid_t, argument: u64) {
    let argument = i64::try_from(argument).unwrap_or(i64::MAX);
    poke(
        tid,
        std::mem::offset_of!(libc::user_regs_struct, rdx),
        argument,
    );
}

/// [`Tracer::seize`] refuses before any of these is called.
#[cfg(not(target_arch = "x86_64"))]
fn set_number(_: pid_t, _: i64) {}
#[cfg(not(target_arch = "x86_64"))]
fn set_result(_: pid_t, _: i64) {}
#[cfg(not(target_arch = "x86_64"))]
fn set_third(_: pid_t, _: u64) {}
