//! The environment, read here only.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::compiler::Kept;

/// What the program takes from its environment.
pub(super) struct Environment {
    /// Variables that change what a compiler reads.
    pub(super) relevant: Vec<(Vec<u8>, Vec<u8>)>,
    /// `DISTCC_CLIENT_TMP`: where the copies for stock's dialogue go.
    pub(super) client_tmp: Option<PathBuf>,
    /// Where compilers' answers are kept if no option says where.
    pub(super) cache_directory: Option<PathBuf>,
}

impl Environment {
    pub(super) fn read() -> Self {
        let bytes = |value: OsString| value.into_vec();
        let directory = |name: &str| {
            let path = PathBuf::from(std::env::var_os(name)?);
            (path.is_absolute() && path.is_dir()).then_some(path)
        };
        // Portage gives each package a home of its own, and DISTCC_DIR to all of them; it may be shared by users.
        let user = rustix::process::geteuid().as_raw();
        let shared = directory("DISTCC_DIR").map(|path| path.join(format!("compilers-{user}")));
        // With sudo the home is somebody else's, who could not remove what is put there.
        let own = |name| {
            let is_own = |path: &PathBuf| path.metadata().is_ok_and(|found| found.uid() == user);
            directory(name).filter(is_own)
        };
        let cache = || {
            let base = match std::env::var_os("XDG_CACHE_HOME") {
                Some(value) if !value.is_empty() => own("XDG_CACHE_HOME")?,
                _ => own("HOME")?.join(".cache"),
            };
            Some(base.join("pumphouse/compilers"))
        };
        Self {
            relevant: std::env::vars_os()
                .filter(|(name, _)| crate::options::is_relevant(name))
                .map(|(name, value)| (bytes(name), bytes(value)))
                .collect(),
            client_tmp: std::env::var_os("DISTCC_CLIENT_TMP")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            cache_directory: shared.or_else(cache),
        }
    }

    /// Compilers' answers to earlier sessions; none where they cannot be kept, or `option` is `none`.
    pub(super) fn kept(&self, option: Option<&Path>) -> Option<Arc<Kept>> {
        let directory = option.or(self.cache_directory.as_deref())?;
        if directory == "none" {
            return None;
        }
        match Kept::open(directory) {
            Ok(kept) => Some(Arc::new(kept)),
            Err(error) if option.is_some() => {
                tracing::warn!("compilers' answers are not kept: {error}");
                None
            }
            Err(error) => {
                tracing::debug!("compilers' answers are not kept: {error}");
                None
            }
        }
    }
}
