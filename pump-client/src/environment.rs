//! The one place of the client that reads the process's environment.
//!
//! [`Environment::read`] is called once, at the start. Everything else takes the struct. It owns no state but the
//! values themselves; how a value is spelled (stock's rules: booleans are `0` and `1` only, numbers as `atoi` reads
//! them) is settled here too.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

/// Variables by which the user adds to the include search path; any of them set keeps a job out of pump mode.
const INCLUDE_PATH_VARIABLES: [&str; 5] = [
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH",
];

/// Names the directory of a `pump` session, where the session's own variables would not do: Portage passes only variables
/// that begin with `DISTCC_` from phase to phase, and puts all others into what it remembers of a package.
pub const SESSION: &str = "DISTCC_PUMP_SESSION";

/// The variable that counts how deep distcc runs inside distcc.
pub const SAFEGUARD: &str = "_DISTCC_SAFEGUARD";

/// What the environment says, as the client understands it.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `DISTCC_HOSTS`; set but empty is `Some("")`, which means "no hosts", not "look into the files".
    pub hosts: Option<OsString>,
    /// `DISTCC_DIR`.
    pub distcc_dir: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `DISTCC_VERBOSE=1`.
    pub verbose: bool,
    /// `DISTCC_LOG`, unless empty.
    pub log_file: Option<PathBuf>,
    /// `UNCACHED_ERR_FD`.
    pub uncached_err_fd: Option<i32>,
    /// `DISTCC_FALLBACK`: whether a job may be done locally when no server did it.
    pub fallback: bool,
    /// `DISTCC_SKIP_LOCAL_RETRY`: a failed remote compile is final.
    pub skip_local_retry: bool,
    /// `DISTCC_BACKOFF_PERIOD`: how long a host that could not be reached is left alone.
    pub backoff_period: Duration,
    /// `DISTCC_IO_TIMEOUT`, in seconds as given; see [`Environment::check`].
    pub io_timeout_seconds: i64,
    /// `DISTCC_PAUSE_TIME_MSEC`: longest sleep between two looks for a free slot.
    pub pause: Duration,
    /// `DISTCC_MAX_DISCREPANCY`, as given; only its sign matters here.
    pub max_discrepancy: i64,
    /// `DISTCC_SAVE_TEMPS=1`.
    pub save_temps: bool,
    /// `DISTCC_TCP_CORK`.
    pub tcp_cork: bool,
    /// `DISTCC_SSH`, split at blanks.
    pub ssh: Vec<OsString>,
    /// `DISTCC_NO_REWRITE_CROSS` is not set.
    pub rewrite_cross: bool,
    /// `INCLUDE_SERVER_PORT`, else the socket of the session that `DISTCC_PUMP_SESSION` names: the include server's.
    pub include_server_port: Option<OsString>,
    /// `INCLUDE_SERVER_STUB`: file names to take instead of asking, for tests of stock's.
    pub include_server_stub: Option<OsString>,
    /// `DISTCC_TESTING_INCLUDE_SERVER=1`: exit 1 where the client would go on without the include server.
    pub testing_include_server: bool,
    /// `DEPENDENCIES_OUTPUT`.
    pub dependencies_output: Option<OsString>,
    /// `SUNPRO_DEPENDENCIES` is set.
    pub sunpro_dependencies: bool,
    /// The first of `CPATH` and its like that is set.
    pub include_path_variable: Option<&'static str>,
    /// `_DISTCC_SAFEGUARD`: how deep distcc runs inside distcc.
    pub safeguard: u32,
    /// `TMPDIR`, else `/tmp`.
    pub temporary_directory: PathBuf,
    /// `PATH`.
    pub path: OsString,
    /// `PWD`: what the shell, and gcc in debug information, calls the working directory.
    pub pwd: Option<OsString>,
    /// `DISTCC_SOCKS_PROXY`.
    pub socks_proxy: Option<OsString>,
    /// `PUMPHOUSE_STOCK_PROTOCOLS=1`: no bundle dialect, also with servers that speak it.
    pub stock_protocols: bool,
    /// `PUMPHOUSE_JOURNAL`, else the journal of the session that `DISTCC_PUMP_SESSION` names.
    pub journal: Option<PathBuf>,
}

/// A value that makes every job impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// `DISTCC_IO_TIMEOUT` is zero or less.
    #[error("DISTCC_IO_TIMEOUT must be a positive number of seconds")]
    IoTimeout,
    /// `DISTCC_MAX_DISCREPANCY` is zero or less.
    #[error("DISTCC_MAX_DISCREPANCY must be positive")]
    MaxDiscrepancy,
}

impl Environment {
    /// Reads the environment of this process.
    #[must_use]
    pub fn read() -> Self {
        let value = |name: &str| std::env::var_os(name);
        let set = |name: &str| value(name).filter(|v| !v.is_empty());
        let in_session =
            |file: &str| set(SESSION).map(|dir| PathBuf::from(dir).join(file).into_os_string());
        let boolean = |name: &str, default: bool| match value(name) {
            Some(v) if v == "1" => true,
            Some(v) if v == "0" => false,
            _ => default,
        };
        let number = |name: &str, default: i64| value(name).map_or(default, |v| atoi(v.as_bytes()));
        let milliseconds = |n: i64| Duration::from_millis(u64::try_from(n).unwrap_or(0));
        let seconds = |n: i64| Duration::from_secs(u64::try_from(n).unwrap_or(0));
        Self {
            hosts: value("DISTCC_HOSTS"),
            distcc_dir: set("DISTCC_DIR").map(PathBuf::from),
            home: set("HOME").map(PathBuf::from),
            verbose: boolean("DISTCC_VERBOSE", false),
            log_file: set("DISTCC_LOG").map(PathBuf::from),
            uncached_err_fd: set("UNCACHED_ERR_FD")
                .map(|v| atoi(v.as_bytes()))
                .and_then(|n| i32::try_from(n).ok())
                .filter(|&fd| fd > 0),
            fallback: boolean("DISTCC_FALLBACK", true),
            skip_local_retry: value("DISTCC_SKIP_LOCAL_RETRY").is_some(),
            backoff_period: seconds(number("DISTCC_BACKOFF_PERIOD", 60)),
            io_timeout_seconds: number("DISTCC_IO_TIMEOUT", 300),
            pause: milliseconds(number("DISTCC_PAUSE_TIME_MSEC", 1000)),
            max_discrepancy: number("DISTCC_MAX_DISCREPANCY", 1),
            save_temps: boolean("DISTCC_SAVE_TEMPS", false),
            tcp_cork: boolean("DISTCC_TCP_CORK", true),
            ssh: split_blanks(&set("DISTCC_SSH").unwrap_or_else(|| "ssh".into())),
            rewrite_cross: value("DISTCC_NO_REWRITE_CROSS").is_none(),
            include_server_port: set("INCLUDE_SERVER_PORT").or_else(|| in_session("socket")),
            include_server_stub: set("INCLUDE_SERVER_STUB"),
            testing_include_server: boolean("DISTCC_TESTING_INCLUDE_SERVER", false),
            dependencies_output: set("DEPENDENCIES_OUTPUT"),
            sunpro_dependencies: set("SUNPRO_DEPENDENCIES").is_some(),
            include_path_variable: INCLUDE_PATH_VARIABLES
                .into_iter()
                .find(|name| value(name).is_some()),
            safeguard: u32::try_from(number(SAFEGUARD, 0)).unwrap_or(0),
            temporary_directory: set("TMPDIR").map_or_else(|| "/tmp".into(), PathBuf::from),
            path: value("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
            pwd: set("PWD"),
            socks_proxy: set("DISTCC_SOCKS_PROXY"),
            stock_protocols: boolean("PUMPHOUSE_STOCK_PROTOCOLS", false),
            journal: set("PUMPHOUSE_JOURNAL")
                .or_else(|| in_session("journal"))
                .map(PathBuf::from),
        }
    }

    /// Refuses values under which no job can run; stock ends with exit code 101 for them.
    ///
    /// # Errors
    /// See [`EnvironmentError`].
    pub fn check(&self) -> Result<(), EnvironmentError> {
        if self.io_timeout_seconds <= 0 {
            return Err(EnvironmentError::IoTimeout);
        }
        if self.max_discrepancy <= 0 {
            return Err(EnvironmentError::MaxDiscrepancy);
        }
        Ok(())
    }

    /// How long one wait for a peer may take.
    #[must_use]
    pub fn io_timeout(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.io_timeout_seconds).unwrap_or(1).max(1))
    }

    /// The state directory: `DISTCC_DIR`, else `~/.distcc`; `None` without a home.
    #[must_use]
    pub fn state_directory(&self) -> Option<PathBuf> {
        self.distcc_dir
            .clone()
            .or_else(|| Some(self.home.as_ref()?.join(".distcc")))
    }

    /// The variables that an include server has to know, as `NAME=value`. Read here and not kept, because only a job
    /// in pump mode needs them. `path` replaces `PATH`, which masquerading may have cut.
    #[must_use]
    pub fn relevant_entries(path: &OsString) -> Vec<Vec<u8>> {
        let mut entries = Vec::with_capacity(4);
        for name in protocol::include_dialogue::RELEVANT_ENVIRONMENT {
            let value = if name == "PATH" {
                Some(path.clone())
            } else {
                std::env::var_os(name)
            };
            if let Some(value) = value {
                entries.push([name.as_bytes(), b"=", value.as_bytes()].concat());
            }
        }
        entries
    }
}

/// A number as C's `atoi` reads it: blanks, a sign, digits, the rest ignored; 0 when there is none.
fn atoi(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (sign, digits) = match text.first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    let mut number = 0i64;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
        number = number
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'));
    }
    sign * number
}

fn split_blanks(text: &OsString) -> Vec<OsString> {
    text.as_bytes()
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_atoi_reads_them() {
        let table = [
            ("", 0),
            ("12", 12),
            (" 12s", 12),
            ("-3", -3),
            ("+4", 4),
            ("x4", 0),
            ("99999999999999999999", i64::MAX),
        ];
        for (text, number) in table {
            assert_eq!(atoi(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn ssh_commands_are_split_at_blanks() {
        let words = split_blanks(&OsString::from("  ssh -o  X=y "));
        assert_eq!(words, ["ssh", "-o", "X=y"]);
    }
}
