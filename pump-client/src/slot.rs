//! Slots: how many jobs at a time a host gets from this machine, counted by locks that stock clients honour too.
//!
//! Slot `i` of a host is the file `lock/cpu_tcp_HOST_PORT_i` (`cpu_ssh_HOST_i`, `cpu_localhost_i`), held by an `fcntl`
//! write lock on the whole file for as long as the job runs; the kernel frees it with the process. Files are never
//! removed. `fcntl` locks have a trap: closing any descriptor of a file drops the process's lock on it. So this
//! process opens no lock file twice: [`Slots`] remembers which names it holds.

use crate::backoff::Backoff;
use crate::host_list::Host;
use crate::log;
use crate::state_directory::StateDirectory;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::cell::RefCell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::time::Duration;

/// First sleep when every slot is taken; it doubles up to `DISTCC_PAUSE_TIME_MSEC`.
const FIRST_PAUSE: Duration = Duration::from_millis(4);

/// The slots of this machine, as one client sees them.
#[derive(Debug)]
pub struct Slots {
    directory: Option<StateDirectory>,
    held: Rc<RefCell<Vec<OsString>>>,
    longest_pause: Duration,
}

/// A slot that is held until this value is dropped.
#[derive(Debug)]
pub struct Slot {
    /// The slot's number.
    pub number: u32,
    _held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    _file: OwnedFd,
    name: OsString,
    names: Rc<RefCell<Vec<OsString>>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.names.borrow_mut().retain(|name| *name != self.name);
    }
}

/// The outcome of one try.
enum Try {
    Locked(OwnedFd),
    Busy,
}

impl Slots {
    /// Slots kept in `directory`; without one every slot is free.
    #[must_use]
    pub fn new(directory: Option<StateDirectory>, longest_pause: Duration) -> Self {
        Self {
            directory,
            held: Rc::default(),
            longest_pause,
        }
    }

    /// Takes the first free slot: slot 0 of all hosts in their order, then slot 1, and so on. Hosts that are down or
    /// disliked are passed over. Waits while all are taken. `None` when no host can be used at all.
    pub fn lock_any<'a>(&self, hosts: &[&'a Host], backoff: &Backoff) -> Option<(&'a Host, Slot)> {
        let mut pause = FIRST_PAUSE;
        loop {
            let usable: Vec<&'a Host> = hosts
                .iter()
                .copied()
                .filter(|host| !host.down && !backoff.is_disliked(host))
                .collect();
            let most = usable.iter().map(|host| host.slots).max()?;
            for number in 0..most {
                for host in usable.iter().filter(|host| number < host.slots) {
                    if let Some(slot) = self.try_lock(&host.lock_key(), number) {
                        log::debug!("got cpu lock on {} slot {number}", host.label());
                        return Some((host, slot));
                    }
                }
            }
            pause = self.sleep(pause);
        }
    }

    /// Takes one of `count` local slots; waits while all are taken.
    pub fn lock_local(&self, count: u32) -> Slot {
        let mut pause = FIRST_PAUSE;
        loop {
            for number in 0..count.max(1) {
                if let Some(slot) = self.try_lock(b"localhost", number) {
                    return slot;
                }
            }
            pause = self.sleep(pause);
        }
    }

    fn sleep(&self, pause: Duration) -> Duration {
        let pause = pause.min(self.longest_pause.max(Duration::from_millis(1)));
        log::debug!("all slots are taken; sleeping {} ms", pause.as_millis());
        std::thread::sleep(pause);
        pause * 2
    }

    /// A lock that cannot be tried (no directory, no permission) is no reason to wait for ever: the job gets a slot
    /// that is not shared.
    fn try_lock(&self, key: &[u8], number: u32) -> Option<Slot> {
        let unshared = Slot {
            number,
            _held: None,
        };
        let Some(directory) = &self.directory else {
            return Some(unshared);
        };
        let name = OsString::from_vec([b"cpu_", key, format!("_{number}").as_bytes()].concat());
        if self.held.borrow().contains(&name) {
            return None;
        }
        match try_file(&directory.lock_file(&name)) {
            Ok(Try::Busy) => None,
            Ok(Try::Locked(file)) => {
                self.held.borrow_mut().push(name.clone());
                let held = Held {
                    _file: file,
                    name,
                    names: Rc::clone(&self.held),
                };
                Some(Slot {
                    number,
                    _held: Some(held),
                })
            }
            Err(error) => {
                log::warning!(
                    "cannot lock {}: {error}; going on without it",
                    directory.lock_file(&name).display()
                );
                Some(unshared)
            }
        }
    }
}

impl Slot {
    /// A slot of nobody: for jobs that count nowhere.
    #[must_use]
    pub const fn uncounted() -> Self {
        Self {
            number: 0,
            _held: None,
        }
    }
}

fn try_file(path: &std::path::Path) -> Result<Try, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?;
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Try::Locked(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(Try::Busy),
        Err(error) => Err(error),
    }
}
