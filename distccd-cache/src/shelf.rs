//! What the daemon keeps between jobs: blobs and results on disk; tables, settings and compilers' identities in memory.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::bundle::digest::Digest;
use protocol::bundle::setting::Setting;
use protocol::identity::Policy;
use protocol::limits::Limits;
use toolchain::Identities;

use crate::locked_dir::{LockedDir, Purpose};
use crate::results::Results;
use crate::store::{Store, StoreError};
use crate::table::Tables;

/// Settings kept in memory; one for each directory and option set of a build.
const SETTINGS_KEPT: usize = 4096;

/// Bytes that they may take together. Ordinary ones have a few hundred; a client may send some that are thousands of times larger.
const SETTINGS_BYTES: usize = 64 << 20;

/// How long a compiler may take to answer one question about itself.
const COMPILER_LIMIT: Duration = Duration::from_secs(20);

/// See the module's text.
pub struct Shelf {
    /// Contents by digest.
    pub store: Store,
    /// Clients' tables.
    pub(crate) tables: Tables,
    /// Which compilers are here.
    pub(crate) identities: Identities,
    /// When two compilers count as the same.
    pub(crate) policy: Policy,
    /// What compiles gave; in the same store. None where it is not kept.
    pub(crate) results: Option<Arc<Results>>,
    settings: Mutex<Settings>,
}

/// Settings by digest, the one used last at the end.
#[derive(Default)]
struct Settings {
    kept: VecDeque<(Digest, Arc<Setting>)>,
    bytes: usize,
}

impl Settings {
    fn take(&mut self, name: &Digest) -> Option<Arc<Setting>> {
        let at = self.kept.iter().rposition(|(known, _)| known == name)?;
        let (_, setting) = self.kept.remove(at)?;
        self.bytes -= room_of(&setting);
        Some(setting)
    }

    fn put(&mut self, name: Digest, setting: Arc<Setting>) {
        self.bytes += room_of(&setting);
        self.kept.push_back((name, setting));
        while (self.kept.len() > SETTINGS_KEPT || self.bytes > SETTINGS_BYTES)
            && let Some((_, oldest)) = self.kept.pop_front()
        {
            self.bytes -= room_of(&oldest);
        }
    }
}

/// The memory that a setting takes, about.
fn room_of(setting: &Setting) -> usize {
    let platform = &setting.platform;
    let lists = [
        &platform.names,
        &platform.system_directories,
        &platform.environment,
        &setting.words,
    ];
    let words = lists.into_iter().flatten();
    // A short word takes more for its place than for itself.
    let words: usize = words.map(|word| word.len() + 48).sum();
    words + platform.identity.len() + setting.cwd.len() + 256
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Where a daemon keeps its store.
#[derive(Debug)]
pub struct StorePlace {
    dir: PathBuf,
    limit: u64,
    /// Removed at the end.
    private: Option<LockedDir>,
}

impl StorePlace {
    /// The directory that the administrator gave; or one of this run's own in `temp_dir`, with at most a quarter of the room there.
    ///
    /// # Errors
    /// When there is no place for a directory in `temp_dir`.
    pub fn new(given: Option<&Path>, limit: u64, temp_dir: &Path) -> std::io::Result<Self> {
        if let Some(dir) = given {
            let dir = std::path::absolute(dir)?;
            return Ok(Self {
                dir,
                limit,
                private: None,
            });
        }
        let private = LockedDir::create(temp_dir, Purpose::Store, false)?;
        let room = rustix::fs::statvfs(temp_dir)?;
        Ok(Self {
            dir: private.path().to_owned(),
            limit: limit.min(room.f_bavail * room.f_frsize / 4),
            private: Some(private),
        })
    }

    /// Opens the store.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.dir, self.limit)
    }
}

impl std::fmt::Display for StorePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kept = match self.private {
            Some(_) => "for this run only, see --cache-dir",
            None => "kept between runs",
        };
        let mib = self.limit >> 20;
        write!(f, "{} ({kept}; at most {mib} MiB)", self.dir.display())
    }
}

impl Shelf {
    /// A shelf with nothing in memory.
    #[must_use]
    pub fn new(store: Store, policy: Policy) -> Self {
        Self {
            results: None,
            store,
            tables: Tables::default(),
            identities: Identities::new(COMPILER_LIMIT),
            policy,
            settings: Mutex::default(),
        }
    }

    /// The same, with results kept.
    #[must_use]
    pub fn with_results(mut self) -> Self {
        self.results = Some(Arc::new(Results::new(self.store.clone())));
        self
    }

    /// A setting that is known; reads the disk when memory does not have it.
    pub(crate) fn setting(&self, name: &Digest, limits: &Limits) -> Option<Arc<Setting>> {
        if let Some(setting) = self.remembered(name) {
            return Some(setting);
        }
        let plain = self.store.get(&name.0).ok().flatten()?;
        let setting = Arc::new(Setting::decode(&plain, limits).ok()?);
        self.remember(*name, &setting);
        Some(setting)
    }

    /// Keeps a setting whose bytes were compared with its name. That it cannot be written to disk costs a question later, no more.
    pub(crate) fn keep_setting(
        &self,
        name: Digest,
        plain: &[u8],
        setting: &Arc<Setting>,
    ) -> Result<(), StoreError> {
        self.remember(name, setting);
        self.store.put(name.0, plain)
    }

    fn remembered(&self, name: &Digest) -> Option<Arc<Setting>> {
        let mut settings = self.settings();
        let setting = settings.take(name)?;
        settings.put(*name, Arc::clone(&setting));
        Some(setting)
    }

    fn remember(&self, name: Digest, setting: &Arc<Setting>) {
        let mut settings = self.settings();
        // Another job may have been quicker.
        settings.take(&name);
        settings.put(name, Arc::clone(setting));
    }

    /// What a panic elsewhere left is a memory of settings, whole or not.
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(word: usize) -> Arc<Setting> {
        Arc::new(Setting {
            words: vec![vec![b'x'; word]],
            ..Setting::default()
        })
    }

    fn name(number: usize) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    #[test]
    fn settings_are_bounded_in_number_and_in_bytes_and_the_last_ones_stay() {
        let mut settings = Settings::default();
        for number in 0..SETTINGS_KEPT + 10 {
            settings.put(name(number), setting(100));
            assert!(settings.take(&name(0)).is_some() || number > SETTINGS_KEPT);
            settings.put(name(0), setting(100));
        }
        assert_eq!(settings.kept.len(), SETTINGS_KEPT);
        assert!(settings.take(&name(5)).is_none());
        for number in 0..20 {
            settings.put(name(number), setting(16 << 20));
            assert!(settings.bytes <= SETTINGS_BYTES);
        }
        assert_eq!(settings.kept.len(), 3);
        for number in [17, 18, 19] {
            assert!(settings.take(&name(number)).is_some());
        }
        assert_eq!((settings.kept.len(), settings.bytes), (0, 0));
    }
}
