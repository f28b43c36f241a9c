//! Directories below `TMPDIR` that live no longer than their daemon, and what killed daemons have left of them. Owns the locks that tell the one from the
//! other.
//!
//! Each is private to the daemon's user and locked as long as the daemon lives. What a daemon that was killed has left behind is not locked, and the next one
//! that starts removes it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::FlockOperation;
use tempfile::TempDir;

/// How the names of all of them begin.
const BEGINNING: &str = "distccd_";

/// Characters by chance at the end of a name.
const RANDOM: usize = 6;

/// What a directory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// One job.
    Job,
    /// Clients' trees.
    Groves,
    /// A store of this run's own.
    Store,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Job, Self::Groves, Self::Store];

    fn prefix(self) -> String {
        let word = match self {
            Self::Job => "",
            Self::Groves => "grove_",
            Self::Store => "store_",
        };
        format!("{BEGINNING}{word}")
    }

    /// Whether a directory has the name of one of these.
    fn is_named(self, name: &str) -> bool {
        let random = name.strip_prefix(&self.prefix());
        random.is_some_and(|random| {
            random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    }
}

/// See the module's text. Removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(crate) struct LockedDir {
    dir: TempDir,
    _lock: File,
}

impl LockedDir {
    /// Makes one. One that is to be kept is left behind for a person, under a name that no daemon takes for its own.
    pub(crate) fn create(temp_dir: &Path, purpose: Purpose, keep: bool) -> io::Result<Self> {
        loop {
            let dir = tempfile::Builder::new()
                .prefix(&purpose.prefix())
                .rand_bytes(if keep { RANDOM + 2 } else { RANDOM })
                .disable_cleanup(keep)
                .tempdir_in(temp_dir)?;
            let lock = File::open(dir.path())?;
            // Another daemon that starts just now may have taken it for one left behind.
            let locked = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
            if locked.is_ok() && dir.path().exists() {
                return Ok(Self { dir, _lock: lock });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes what dead daemons of this user left in `temp_dir`.
pub(crate) fn remove_left_over(temp_dir: &Path) {
    let Ok(entries) = std::fs::read_dir(temp_dir) else {
        return;
    };
    let is_named = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_str();
        name.is_some_and(|name| Purpose::ALL.iter().any(|purpose| purpose.is_named(name)))
    };
    for entry in entries.flatten().filter(is_named) {
        let path = entry.path();
        let is_own = |meta: std::fs::Metadata| {
            meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw()
        };
        if !path.symlink_metadata().is_ok_and(is_own) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_removed_and_all_else_stays() {
        let temp = tempfile::tempdir().unwrap();
        let create = |purpose, keep| LockedDir::create(temp.path(), purpose, keep).unwrap();
        let held = Purpose::ALL.map(|purpose| create(purpose, false));
        let kept = create(Purpose::Job, true);
        let others = ["distccd_a-b-cd", "distccd_sevenxx", "distccd_", "other"];
        for name in others
            .iter()
            .chain(&["distccd_abc123", "distccd_store_abc123"])
        {
            std::fs::create_dir_all(temp.path().join(name).join("x")).unwrap();
        }
        std::fs::write(temp.path().join("distccd_afile0"), "").unwrap();
        let kept_path = kept.path().to_owned();
        drop(kept);
        remove_left_over(temp.path());
        assert!(held.iter().all(|dir| dir.path().exists()));
        assert!(others.iter().all(|name| temp.path().join(name).exists()));
        assert!(kept_path.exists() && temp.path().join("distccd_afile0").exists());
        assert!(!temp.path().join("distccd_abc123").exists());
        assert!(!temp.path().join("distccd_store_abc123").exists());
        let paths = held.map(|dir| dir.path().to_owned());
        assert!(paths.iter().all(|path| !path.exists()));
    }
}
