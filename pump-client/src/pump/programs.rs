//! Where the other programs of the house are: beside this one, else in `PATH`. Owns that directory's name.

use super::environment::Environment;
use super::error::PumpError;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds sibling programs.
pub struct Programs {
    location: PathBuf,
    path: OsString,
}

impl Programs {
    /// Looks in `DISTCC_LOCATION`, else where this executable is.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        let beside = || {
            let own = std::fs::read_link("/proc/self/exe").ok()?;
            Some(own.parent()?.to_owned())
        };
        let location = environment
            .location
            .as_deref()
            .and_then(|location| std::path::absolute(location).ok())
            .or_else(beside)
            .unwrap_or_else(|| PathBuf::from("/usr/bin"));
        Self {
            location,
            path: environment.path.clone(),
        }
    }

    /// The path of one of our programs.
    ///
    /// # Errors
    /// [`PumpError::ProgramMissing`].
    pub fn find(&self, name: &'static str) -> Result<PathBuf, PumpError> {
        let beside = self.location.join(name);
        if is_executable(&beside) {
            return Ok(beside);
        }
        in_path(&self.path, OsStr::new(name)).ok_or(PumpError::ProgramMissing {
            name,
            location: self.location.clone(),
        })
    }

    /// The directory that is looked in first.
    #[must_use]
    pub fn location(&self) -> &Path {
        &self.location
    }
}

/// Whether there is a regular file that somebody may execute.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The first executable of that name in the absolute directories of a `PATH`.
#[must_use]
pub fn in_path(path: &OsStr, name: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|candidate| is_executable(candidate))
}
