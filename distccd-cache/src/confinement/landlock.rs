//! Rules for files, enforced by the kernel's Landlock: what is not named may not be read, written or executed. Owns no state.
//!
//! The rules are by path and are looked up by the process itself, in the root that it has by then. A path that is not there gives no right.

use std::ffi::{CString, c_int};
use std::os::fd::RawFd;

/// The version of Landlock that a kernel has; each can restrict more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Abi(pub(crate) u32);

// Rights (linux/landlock.h).
const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

/// What can be allowed of a file; all else is about directories.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

/// Binding and connecting of TCP sockets.
const TCP: u64 = 0b11;

/// Abstract sockets and signals of processes outside.
const OUTSIDE: u64 = 0b11;

// System calls, the same on every machine; musl's table lacks them.
const CREATE_RULESET: libc::c_long = 444;
const ADD_RULE: libc::c_long = 445;
const RESTRICT_SELF: libc::c_long = 446;

/// `LANDLOCK_CREATE_RULESET_VERSION`
const ASK_VERSION: c_int = 1;

/// `LANDLOCK_RULE_PATH_BENEATH`
const PATH_BENEATH: c_int = 1;

/// What is allowed at and below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Reading and executing.
    Run,
    /// Reading.
    Read,
    /// Reading and writing what is there.
    Use,
    /// Reading and writing, making and removing files, directories and links; no devices, named pipes and sockets.
    Change,
}

impl Right {
    fn bits(self) -> u64 {
        let read = READ_FILE | READ_DIR;
        match self {
            Self::Run => read | EXECUTE,
            Self::Read => read,
            Self::Use => read | WRITE_FILE | TRUNCATE,
            Self::Change => {
                let make = MAKE_DIR | MAKE_REG | MAKE_SYM | REFER;
                read | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | make
            }
        }
    }
}

/// What is allowed where.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// A file or directory.
    pub(crate) path: CString,
    /// What is allowed there and below.
    pub(crate) right: Right,
}

/// All that a process may do with files.
#[derive(Clone, Debug)]
pub(crate) struct Ruleset {
    /// What the kernel understands.
    pub(crate) abi: Abi,
    /// In any order; what one rule allows, no other takes away.
    pub(crate) rules: Vec<Rule>,
}

/// `struct landlock_ruleset_attr`
#[repr(C)]
struct Handled {
    files: u64,
    network: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: RawFd,
}

impl Abi {
    /// What this kernel has.
    ///
    /// # Errors
    /// When it has none, or has it turned off.
    pub(crate) fn of_kernel() -> std::io::Result<Self> {
        // SAFETY: with this flag the kernel takes no pointer and only answers.
        let version = unsafe {
            libc::syscall(
                CREATE_RULESET,
                std::ptr::null::<Handled>(),
                0_usize,
                ASK_VERSION,
            )
        };
        match u32::try_from(version) {
            Ok(version) => Ok(Self(version)),
            Err(_) => Err(std::io::Error::last_os_error()),
        }
    }

    /// Everything about files that it can restrict.
    fn files(self) -> u64 {
        let known = match self.0 {
            ..=1 => 13,
            2 => 14,
            3 | 4 => 15,
            5.. => 16,
        };
        (1 << known) - 1
    }

    /// Whether TCP is restricted.
    pub(crate) fn has_tcp(self) -> bool {
        self.0 >= 4
    }

    /// Whether signals to processes outside are restricted.
    pub(crate) fn has_scopes(self) -> bool {
        self.0 >= 6
    }
}

impl Ruleset {
    /// Runs in the child: no allocation, no lock, no panic.
    pub(super) fn enter(&self) -> Result<(), ()> {
        let handled = Handled {
            files: self.abi.files(),
            network: if self.abi.has_tcp() { TCP } else { 0 },
            scoped: if self.abi.has_scopes() { OUTSIDE } else { 0 },
        };
        let size: usize = match self.abi {
            abi if abi.has_scopes() => 24,
            abi if abi.has_tcp() => 16,
            _ => 8,
        };
        // SAFETY: the struct is at least as long as we say, and the kernel only reads it.
        let ruleset =
            unsafe { libc::syscall(CREATE_RULESET, &raw const handled, size, 0) } as c_int;
        if ruleset < 0 {
            return Err(());
        }
        for rule in &self.rules {
            add(ruleset, rule, handled.files)?;
        }
        // SAFETY: plain system calls on a descriptor of ours; nobody uses it after this.
        unsafe {
            if libc::syscall(RESTRICT_SELF, ruleset, 0) < 0 {
                return Err(());
            }
            libc::close(ruleset);
        }
        Ok(())
    }
}

/// Runs in the child.
fn add(ruleset: c_int, rule: &Rule, handled: u64) -> Result<(), ()> {
    // SAFETY: plain system calls on a C string, on descriptors of ours and on a struct that the kernel only reads.
    unsafe {
        let parent = libc::open(rule.path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        if parent < 0 {
            return Ok(());
        }
        let allow = |allowed| {
            let beneath = Beneath { allowed, parent };
            let beneath = &raw const beneath;
            libc::syscall(ADD_RULE, ruleset, PATH_BENEATH, beneath, 0)
        };
        let allowed = rule.right.bits() & handled;
        let mut added = allow(allowed);
        if added < 0 && *libc::__errno_location() == libc::EINVAL {
            // It is no directory.
            added = allow(allowed & OF_FILES);
        }
        libc::close(parent);
        if added < 0 { Err(()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_old_kernel_does_not_know_is_not_asked_of_it() {
        let last = |abi: u32| Abi(abi).files().trailing_ones();
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 7, 99].map(last),
            [13, 14, 15, 15, 16, 16, 16, 16]
        );
        assert!(!Abi(3).has_tcp() && Abi(4).has_tcp() && !Abi(5).has_scopes());
        let rights = [Right::Run, Right::Read, Right::Use, Right::Change];
        for right in rights {
            assert_eq!(right.bits() & IOCTL_DEV, 0);
            let executes = right.bits() & EXECUTE != 0;
            let writes = right.bits() & WRITE_FILE != 0;
            assert!(!(executes && writes), "{right:?}");
        }
    }
}
