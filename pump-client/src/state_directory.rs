//! `$DISTCC_DIR` with its `lock` and `state` directories, made when first needed, as stock makes them.
//!
//! Without a usable directory jobs still run: slots are then not shared with other clients, which is said once.

use crate::environment::Environment;
use crate::log;
use std::io;
use std::path::{Path, PathBuf};

/// Where locks, back-off marks and states are kept.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    root: PathBuf,
}

/// Why there is no state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateDirectoryError {
    /// Neither `DISTCC_DIR` nor `HOME` is set.
    #[error("neither DISTCC_DIR nor HOME is set")]
    Unset,
    /// It cannot be created.
    #[error("cannot create {}: {error}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl StateDirectory {
    /// Opens the state directory, creating it and its two folders with `0777 & ~umask`.
    ///
    /// Stock does not create a `DISTCC_DIR` that is missing and then runs every job without locks; creating it is
    /// kinder.
    ///
    /// # Errors
    /// See [`StateDirectoryError`].
    pub fn open(environment: &Environment) -> Result<Self, StateDirectoryError> {
        let root = environment
            .state_directory()
            .ok_or(StateDirectoryError::Unset)?;
        for name in ["lock", "state"] {
            let path = root.join(name);
            match std::fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    std::fs::create_dir_all(&path)
                        .map_err(|error| StateDirectoryError::Create { path, error })?;
                }
                Err(error) => return Err(StateDirectoryError::Create { path, error }),
            }
        }
        Ok(Self { root })
    }

    /// The same, but a failure is only a warning.
    #[must_use]
    pub fn open_or_warn(environment: &Environment) -> Option<Self> {
        Self::open(environment)
            .inspect_err(|error| {
                log::warning!("no state directory ({error}); going on without slots")
            })
            .ok()
    }

    /// A file in `lock/`.
    #[must_use]
    pub fn lock_file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join("lock").join(name)
    }

    /// A file in `state/`.
    #[must_use]
    pub fn state_file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join("state").join(name)
    }
}
