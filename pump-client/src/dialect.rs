//! Which hosts are known not to speak the bundle dialect.
//!
//! A stock server hangs up on the dialect's first token. So that not every job has to find that out, the host is marked for a while:
//! `state/stock_HOST`, an empty file whose modification time is the moment when it was found out. Nobody else reads it.

use crate::host_list::{Host, Place};
use crate::log;
use crate::state_directory::StateDirectory;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

/// How long a mark holds: a server that was replaced by ours is found out within the hour.
const PERIOD: Duration = Duration::from_secs(3600);

/// The marks.
#[derive(Debug)]
pub struct Dialects {
    directory: Option<StateDirectory>,
}

impl Dialects {
    /// Marks in `directory`.
    #[must_use]
    pub fn new(directory: Option<StateDirectory>) -> Self {
        Self { directory }
    }

    /// Whether the host speaks stock's protocols only, as far as is known. Behind ssh there is a daemon for one job, which keeps nothing.
    #[must_use]
    pub fn is_stock(&self, host: &Host) -> bool {
        if matches!(host.place, Place::Ssh { .. }) {
            return true;
        }
        let age = self
            .mark(host)
            .and_then(|path| std::fs::metadata(path).ok()?.modified().ok())
            .map(|time| time.elapsed().unwrap_or_default());
        age.is_some_and(|age| age < PERIOD)
    }

    /// The host hung up on the dialect and then did the job by protocol 3.
    pub fn note_stock(&self, host: &Host) {
        if let Some(path) = self.mark(host)
            && let Err(error) = std::fs::write(&path, "")
        {
            log::debug!("cannot write {}: {error}", path.display());
        }
    }

    fn mark(&self, host: &Host) -> Option<PathBuf> {
        let name = [b"stock_", host.lock_key().as_slice()].concat();
        Some(
            self.directory
                .as_ref()?
                .state_file(OsString::from_vec(name)),
        )
    }
}
