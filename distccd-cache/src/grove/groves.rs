//! All groves of a daemon. Owns their directory, chooses one for each job, and removes those that were not used for longest.
//!
//! The directory is `<TMPDIR>/distccd_grove_XXXXXX/`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::bundle::digest::Digest;

use super::limits::GroveLimits;
use super::tenancy::{Fit, Grove, GroveError, Needs, Tenancy};
use crate::locked_dir::{LockedDir, Purpose};
use crate::tree::JobLimits;

/// How often a job is tried in another grove when others were quicker. Then it gets a new one.
const ATTEMPTS: usize = 8;

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

impl Groves {
    /// None yet.
    pub(crate) fn new(temp_dir: &Path, limits: GroveLimits, proc: bool) -> Self {
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
            None => home
                .dir
                .insert(LockedDir::create(&self.temp_dir, Purpose::Groves, false)?),
        };
        let dir = dir.path().join(number.to_string());
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
