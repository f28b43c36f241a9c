//! The daemon's environment: the only place of this crate that reads it. Owns nothing; [`Environment`] is a plain value.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

/// Variables that are handed on to compilers: the language of their messages and where their libraries are. Nothing
/// that names headers, libraries to link or programs is handed on, so that all servers compile alike.
const HANDED_ON: [&str; 5] = [
    "LANG",
    "LC_ALL",
    "LC_MESSAGES",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
];

/// All that the daemon takes from its environment.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `TMPDIR`, or `/tmp`: where jobs live.
    pub temp_dir: PathBuf,
    /// `DISTCCD_PATH`, or else `PATH`: where compilers are looked for.
    pub search_path: Option<OsString>,
    /// `DISTCC_CMDLIST`: a file of compilers that may be run; replaces the whitelist directories.
    pub command_list: Option<PathBuf>,
    /// `DISTCC_CMDLIST_NUMWORDS`: how many last components of a path a request and an entry must share; 1.
    pub command_list_words: usize,
    /// `PUMPHOUSE_WHITELIST`: directories, separated by colons, to use instead of the built-in whitelist directories.
    pub whitelist: Option<OsString>,
    /// `DISTCC_IO_TIMEOUT`: how long a peer may be silent; 300 seconds.
    pub io_timeout: Duration,
    /// `DISTCC_SAVE_TEMPS=1`: leave job directories behind.
    pub save_temps: bool,
    /// `PUMPHOUSE_LISTEN_FD`: a listening socket that whoever started us has bound.
    pub listen_fd: Option<i32>,
    /// `PUMPHOUSE_VIEW`: which file view jobs get; `auto`, `namespace` or `rewrite`.
    pub view: Option<OsString>,
    /// What compilers get of it.
    pub for_compilers: Vec<(OsString, OsString)>,
}

/// A variable with a value that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {name} must be {expected}, but is {value:?}")]
pub struct EnvironmentError {
    /// The variable.
    pub name: &'static str,
    /// What would be right.
    pub expected: &'static str,
    /// What is there.
    pub value: OsString,
}

/// `PATH`, for the process that announces a server: its daemon has put its own search path there.
#[must_use]
pub fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

impl Environment {
    /// The process's environment.
    ///
    /// # Errors
    /// See [`EnvironmentError`].
    pub fn read() -> Result<Self, EnvironmentError> {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// The environment that `lookup` answers for.
    ///
    /// # Errors
    /// See [`EnvironmentError`].
    pub fn from_lookup(
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, EnvironmentError> {
        let filled = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let number = |name: &'static str, expected: &'static str| match filled(name) {
            None => Ok(None),
            Some(value) => match value
                .to_str()
                .and_then(|text| text.trim().parse::<u32>().ok())
            {
                Some(number) => Ok(Some(number)),
                None => Err(EnvironmentError {
                    name,
                    expected,
                    value,
                }),
            },
        };
        let positive = |name: &'static str| {
            let expected = "a number above 0";
            match number(name, expected)? {
                Some(0) => Err(EnvironmentError {
                    name,
                    expected,
                    value: OsString::from("0"),
                }),
                other => Ok(other),
            }
        };
        let descriptor = number("PUMPHOUSE_LISTEN_FD", "the number of a descriptor")?;
        Ok(Self {
            temp_dir: filled("TMPDIR").unwrap_or_else(|| "/tmp".into()).into(),
            search_path: filled("DISTCCD_PATH").or_else(|| filled("PATH")),
            command_list: filled("DISTCC_CMDLIST").map(PathBuf::from),
            command_list_words: positive("DISTCC_CMDLIST_NUMWORDS")?.unwrap_or(1) as usize,
            whitelist: filled("PUMPHOUSE_WHITELIST"),
            io_timeout: Duration::from_secs(positive("DISTCC_IO_TIMEOUT")?.unwrap_or(300).into()),
            save_temps: filled("DISTCC_SAVE_TEMPS").as_deref() == Some(OsStr::new("1")),
            listen_fd: descriptor.and_then(|fd| i32::try_from(fd).ok()),
            view: filled("PUMPHOUSE_VIEW"),
            for_compilers: HANDED_ON
                .into_iter()
                .filter_map(|name| Some((name.into(), filled(name)?)))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::from_lookup(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn defaults() {
        let environment = with(&[]).unwrap();
        assert_eq!(environment.temp_dir, PathBuf::from("/tmp"));
        assert_eq!(environment.io_timeout, Duration::from_secs(300));
        assert_eq!(environment.command_list_words, 1);
        assert!(environment.for_compilers.is_empty() && !environment.save_temps);
    }

    #[test]
    fn the_daemons_path_wins() {
        assert_eq!(
            with(&[("PATH", "/a")]).unwrap().search_path,
            Some("/a".into())
        );
        let both = with(&[("PATH", "/a"), ("DISTCCD_PATH", "/b")]).unwrap();
        assert_eq!(both.search_path, Some("/b".into()));
    }

    #[test]
    fn numbers_are_checked() {
        for (name, value) in [
            ("DISTCC_IO_TIMEOUT", "0"),
            ("DISTCC_IO_TIMEOUT", "-3"),
            ("DISTCC_IO_TIMEOUT", "soon"),
            ("DISTCC_CMDLIST_NUMWORDS", "0"),
            ("PUMPHOUSE_LISTEN_FD", "x"),
        ] {
            assert_eq!(with(&[(name, value)]).unwrap_err().name, name);
        }
        let five = with(&[("DISTCC_IO_TIMEOUT", "5")]).unwrap();
        assert_eq!(five.io_timeout, Duration::from_secs(5));
    }

    #[test]
    fn compilers_get_only_what_is_listed() {
        let environment =
            with(&[("LANG", "de_DE"), ("CPATH", "/evil"), ("HOME", "/root")]).unwrap();
        assert_eq!(environment.for_compilers, [("LANG".into(), "de_DE".into())]);
    }
}
