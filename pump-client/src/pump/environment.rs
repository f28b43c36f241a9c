//! The one place where `pump` reads its environment. Owns a snapshot of the variables that it heeds.

use std::ffi::OsString;
use std::path::PathBuf;

/// The variables that `pump` heeds, as they were when it started. Empty means unset, save for `distcc_hosts`.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `DISTCC_HOSTS`, kept when it is empty: then it means "no hosts" to the client, too.
    pub distcc_hosts: Option<OsString>,
    /// `DISTCC_POTENTIAL_HOSTS`.
    pub potential_hosts: Option<OsString>,
    /// `LSDISTCC_ARGS`.
    pub lsdistcc_args: Option<OsString>,
    /// `INCLUDE_SERVER_ARGS`.
    pub include_server_args: Option<OsString>,
    /// `DISTCC_LOCATION`.
    pub location: Option<PathBuf>,
    /// `DISTCC_MAX_DISCREPANCY`.
    pub max_discrepancy: Option<OsString>,
    /// `DISTCC_DIR`.
    pub distcc_dir: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`.
    pub cache_home: Option<PathBuf>,
    /// `TMPDIR`.
    pub temporary: Option<PathBuf>,
    /// `PATH`.
    pub path: OsString,
    /// `INCLUDE_SERVER_PORT` of an earlier session.
    pub include_server_port: Option<PathBuf>,
    /// `INCLUDE_SERVER_PID` of an earlier session.
    pub include_server_pid: Option<OsString>,
    /// `INCLUDE_SERVER_DIR`, else `DISTCC_PUMP_SESSION`, of an earlier session.
    pub include_server_dir: Option<PathBuf>,
    /// `PUMPHOUSE_JOURNAL`.
    pub journal: Option<PathBuf>,
    /// Whether a summary is wanted: `PUMPHOUSE_SUMMARY` is not 0.
    pub summary: bool,
    /// Whether progress lines are wanted: `DISTCC_TESTING_INCLUDE_SERVER` is unset or 0.
    pub progress: bool,
    /// `COLUMNS`, the width of a picture for `pump top --once`: 1 to 500.
    pub columns: Option<u16>,
    /// `CCACHE_PREFIX`.
    pub ccache_prefix: Option<OsString>,
    /// Whether `CCACHE_PATH` is set.
    pub ccache_path: bool,
}

impl Environment {
    /// Reads this process's environment.
    #[must_use]
    pub fn capture() -> Self {
        let raw = |name: &str| std::env::var_os(name);
        let get = |name: &str| raw(name).filter(|value| !value.is_empty());
        let path = |name: &str| get(name).map(PathBuf::from);
        Self {
            distcc_hosts: raw("DISTCC_HOSTS"),
            potential_hosts: get("DISTCC_POTENTIAL_HOSTS"),
            lsdistcc_args: get("LSDISTCC_ARGS"),
            include_server_args: get("INCLUDE_SERVER_ARGS"),
            location: path("DISTCC_LOCATION"),
            max_discrepancy: get("DISTCC_MAX_DISCREPANCY"),
            distcc_dir: path("DISTCC_DIR"),
            home: path("HOME"),
            cache_home: path("XDG_CACHE_HOME"),
            temporary: path("TMPDIR"),
            path: get("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
            include_server_port: path("INCLUDE_SERVER_PORT"),
            include_server_pid: get("INCLUDE_SERVER_PID"),
            include_server_dir: path("INCLUDE_SERVER_DIR")
                .or_else(|| path(crate::environment::SESSION)),
            journal: path("PUMPHOUSE_JOURNAL"),
            summary: get("PUMPHOUSE_SUMMARY").is_none_or(|value| value != "0"),
            progress: get("DISTCC_TESTING_INCLUDE_SERVER").is_none_or(|value| value == "0"),
            columns: get("COLUMNS")
                .and_then(|value| value.to_str()?.parse().ok())
                .filter(|columns| (1..=500).contains(columns)),
            ccache_prefix: get("CCACHE_PREFIX"),
            ccache_path: get("CCACHE_PATH").is_some(),
        }
    }
}
