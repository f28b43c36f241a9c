//! The environment, read here only.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// What the program takes from its environment.
pub(super) struct Environment {
    /// Variables that change what a compiler reads.
    pub(super) relevant: Vec<(Vec<u8>, Vec<u8>)>,
    /// `DISTCC_CLIENT_TMP`: where the copies for stock's dialogue go.
    pub(super) client_tmp: Option<PathBuf>,
}

impl Environment {
    pub(super) fn read() -> Self {
        let bytes = |value: OsString| value.into_vec();
        Self {
            relevant: std::env::vars_os()
                .filter(|(name, _)| crate::options::is_relevant(name))
                .map(|(name, value)| (bytes(name), bytes(value)))
                .collect(),
            client_tmp: std::env::var_os("DISTCC_CLIENT_TMP")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
        }
    }
}
