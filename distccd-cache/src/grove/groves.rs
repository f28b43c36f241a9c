//! All groves of a daemon. Owns their directory, chooses one for each job, and removes those that were not used for longest.
//!
//! The directory is `<TMPDIR>/distccd_grove_XXXXXX/`, private to the daemon's user and locked as long as the daemon lives. What a daemon that was killed has left
//! behind is not locked, and the next one removes it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::bundle::digest::Digest;
use rustix::fs::FlockOperation;

use super::limits::GroveLimits;
use super::tenancy::{Fit, Grove, GroveError, Needs, Tenancy};
use crate::tree::JobLimits;

/// How often a job is tried in another grove when others were quicker. Then it gets a new one.
const ATTEMPTS: usize = 8;

const PREFIX: &str = "distccd_grove_";

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Groves {
    temp_dir: PathBuf,
    limits: GroveLimits,
    /// Whether a `/proc` can be mounted.
    proc: bool,
    home: Mutex<Home>,
}

#[derive(Debug, Default)]
struct Home {
    /// The one used last at the end. Before `dir`, so that they go first.
    groves: Vec<Arc<Grove>>,
    /// Made for the first job.
    dir: Option<LockedDir>,
    planted: u64,
}

#[derive(Debug)]
struct LockedDir {
    dir: tempfile::TempDir,
    _lock: File,
}

impl Groves {
    /// Removes what dead daemons left in `temp_dir`.
    pub(crate) fn new(temp_dir: &Path, limits: GroveLimits, proc: bool) -> Self {
        remove_left_over(temp_dir);
        Self {
            temp_dir: temp_dir.to_owned(),
            limits,
            proc,
            home: Mutex::default(),
        }
    }

    /// Finds or plants a grove that suits a job, and has it hold all that the job needs. `content` gives the verified bytes of a digest, or `None`
    /// when they are no longer known. No job may have more written than `quota` says.
    ///
    /// # Errors
    /// [`GroveError`].
    pub(crate) fn enter(
        &self,
        needs: &Needs,
        quota: &JobLimits,
        content: &dyn Fn(&Digest) -> io::Result<Option<Vec<u8>>>,
    ) -> Result<Tenancy, GroveError> {
        for attempt in 0.. {
            let grove = self.choose(needs, attempt >= ATTEMPTS)?;
            let entered = grove.enter(needs, quota, content);
            self.thin_out();
            if let Some(tenancy) = entered? {
                return Ok(tenancy);
            }
        }
        Err(io::Error::other("no grove suits the job").into())
    }

    /// The grove that suits a job best: one where all is well with the fewest files to write; else one where nobody is; else a
    /// new one.
    fn choose(&self, needs: &Needs, new: bool) -> Result<Arc<Grove>, GroveError> {
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        let mut best: Option<(Fit, usize)> = None;
        let candidates = home.groves.iter().enumerate().rev();
        for (at, grove) in candidates.filter(|(_, grove)| !new && grove.is_of(&needs.table)) {
            let Some(fit) = grove.fit(needs, &self.limits)? else {
                continue;
            };
            let rank = |fit: &Fit| (!fit.agrees, fit.missing);
            let usable = fit.agrees || fit.idle;
            if usable
                && best
                    .as_ref()
                    .is_none_or(|(other, _)| rank(&fit) < rank(other))
            {
                best = Some((fit, at));
            }
        }
        if let Some((_, at)) = best {
            let grove = home.groves.remove(at);
            home.groves.push(Arc::clone(&grove));
            return Ok(grove);
        }
        let number = home.planted;
        home.planted += 1;
        let dir = match &home.dir {
            Some(dir) => dir,
            None => home.dir.insert(LockedDir::create(&self.temp_dir)?),
        };
        let dir = dir.dir.path().join(number.to_string());
        let grove = Arc::new(Grove::plant(Arc::clone(&needs.table), dir, self.proc)?);
        home.groves.push(Arc::clone(&grove));
        Ok(grove)
    }

    /// Removes groves until the rest is within the limits, those that were not used for longest first.
    fn thin_out(&self) {
        let mut removed = Vec::new();
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        let mut loads: Vec<_> = home.groves.iter().map(|grove| grove.load()).collect();
        let mut at = 0;
        while at < loads.len() {
            let entries: usize = loads.iter().map(|(_, entries, _)| entries).sum();
            let bytes: u64 = loads.iter().map(|(_, _, bytes)| bytes).sum();
            let limits = &self.limits;
            if loads.len() <= limits.number && entries <= limits.entries && bytes <= limits.bytes {
                break;
            }
            // One that somebody has chosen and not yet entered is held by him, too.
            let chosen = Arc::strong_count(&home.groves[at]) > 1;
            match loads[at].0 && !chosen {
                true => {
                    loads.remove(at);
                    removed.push(home.groves.remove(at));
                }
                false => at += 1,
            }
        }
        drop(home);
        // Their files go here, while others may go on.
        drop(removed);
    }
}

impl LockedDir {
    fn create(temp_dir: &Path) -> io::Result<Self> {
        loop {
            let dir = tempfile::Builder::new()
                .prefix(PREFIX)
                .rand_bytes(6)
                .tempdir_in(temp_dir)?;
            let lock = File::open(dir.path())?;
            // Another daemon that starts just now may have taken it for one left behind.
            let locked = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
            if locked.is_ok() && dir.path().exists() {
                return Ok(Self { dir, _lock: lock });
            }
        }
    }
}

/// Removes directories of groves whose daemon is dead.
fn remove_left_over(temp_dir: &Path) {
    let Ok(entries) = std::fs::read_dir(temp_dir) else {
        return;
    };
    let ours = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
    };
    for entry in entries.flatten().filter(ours) {
        let path = entry.path();
        let own = |meta: std::fs::Metadata| {
            use std::os::unix::fs::MetadataExt;
            meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw()
        };
        if !path.symlink_metadata().is_ok_and(own) {
            continue;
        }
        let Ok(lock) = File::open(&path) else {
            continue;
        };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
            && let Err(error) = std::fs::remove_dir_all(&path)
        {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
}
