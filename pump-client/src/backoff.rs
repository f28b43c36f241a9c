//! Hosts that could not be reached are left alone for a while, by all clients of this state directory.
//!
//! The mark is stock's: `lock/backoff_tcp_HOST_PORT_0`, one byte, whose modification time is the moment of the last
//! failure. Unlike stock, only failures of the connection are marked: a server that reported a compile error, or that
//! refused a program, is innocent. `DISTCC_BACKOFF_PERIOD=0` switches marks off. The set of hosts disliked by this very
//! job is kept here as well, so that one job never tries a host twice.

use crate::host_list::Host;
use crate::log;
use crate::state_directory::StateDirectory;
use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

/// The marks, and what this job has learnt itself.
#[derive(Debug)]
pub struct Backoff {
    directory: Option<StateDirectory>,
    period: Duration,
    own: RefCell<Vec<Vec<u8>>>,
}

impl Backoff {
    /// Marks in `directory` that hold for `period`.
    #[must_use]
    pub fn new(directory: Option<StateDirectory>, period: Duration) -> Self {
        Self {
            directory,
            period,
            own: RefCell::default(),
        }
    }

    /// Whether the host is to be passed over.
    #[must_use]
    pub fn is_disliked(&self, host: &Host) -> bool {
        if host.is_local() {
            return false;
        }
        if self.own.borrow().contains(&host.spec) {
            return true;
        }
        let Some(path) = self.mark(host) else {
            return false;
        };
        let age = std::fs::metadata(path)
            .and_then(|data| data.modified())
            .map(|time| time.elapsed().unwrap_or_default());
        age.is_ok_and(|age| age < self.period)
    }

    /// The host failed: this job does not try it again, and others wait a while.
    pub fn dislike(&self, host: &Host) {
        self.own.borrow_mut().push(host.spec.clone());
        if let Some(path) = self.mark(host)
            && let Err(error) = std::fs::write(&path, "x")
        {
            log::warning!("cannot write {}: {error}", path.display());
        }
    }

    /// The host was the wrong one for this job only.
    pub fn pass_over(&self, host: &Host) {
        self.own.borrow_mut().push(host.spec.clone());
    }

    /// The host answered: an old mark is removed.
    pub fn enjoy(&self, host: &Host) {
        if let Some(path) = self.mark(host)
            && let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::debug!("cannot remove {}: {error}", path.display());
        }
    }

    fn mark(&self, host: &Host) -> Option<PathBuf> {
        if self.period.is_zero() || host.is_local() {
            return None;
        }
        let name = [b"backoff_", host.lock_key().as_slice(), b"_0"].concat();
        Some(self.directory.as_ref()?.lock_file(OsString::from_vec(name)))
    }
}
