//! What the user typed after `pump top`: pure. Owns no state.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// What is to be shown, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopOptions {
    /// One picture as plain text instead of the terminal's screen.
    pub once: bool,
    /// How long between two looks.
    pub interval: Duration,
    /// The session's directory; those that run are looked for otherwise.
    pub session: Option<PathBuf>,
    /// Which servers are asked for their statistics.
    pub pages: Pages,
}

/// Servers' statistics pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Those of servers with the usual port, at the usual place: the page of another daemon of that machine would be somebody else's.
    Usual,
    /// Those of all servers, at this port.
    At(u16),
    /// Nobody's.
    None,
}

impl Default for TopOptions {
    fn default() -> Self {
        Self {
            once: false,
            interval: Duration::from_millis(500),
            session: None,
            pages: Pages::Usual,
        }
    }
}

/// Words that mean nothing to `pump top`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TopUsageError {
    /// Something that is no option of it.
    #[error(
        "\"pump top\" shows what runs and takes no {0:?}; for a program of that name: \"pump -- top\""
    )]
    Unknown(OsString),
    /// `--interval` without a sensible number.
    #[error("--interval takes seconds from 0.1 to 3600, not {0:?}")]
    Interval(OsString),
    /// `--session` without a directory.
    #[error("--session takes a session's directory")]
    Session,
    /// `--stats-port` without a port.
    #[error("--stats-port takes a port, or 0 to ask no server, not {0:?}")]
    Port(OsString),
}

/// Reads the words behind `top`; none when the help is wanted.
///
/// # Errors
/// See [`TopUsageError`].
pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Option<TopOptions>, TopUsageError> {
    let mut options = TopOptions::default();
    let mut words = words;
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        let (name, joined) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(at) if bytes.starts_with(b"--") => (&bytes[..at], Some(&bytes[at + 1..])),
            _ => (bytes, None),
        };
        let mut value = || match joined {
            Some(joined) => std::ffi::OsStr::from_bytes(joined).to_owned(),
            None => words.next().unwrap_or_default(),
        };
        match name {
            b"-h" | b"--help" => return Ok(None),
            b"--once" if joined.is_none() => options.once = true,
            b"--interval" => options.interval = interval(value())?,
            b"--session" => {
                let value = value();
                if value.is_empty() {
                    return Err(TopUsageError::Session);
                }
                options.session = Some(PathBuf::from(value));
            }
            b"--stats-port" => options.pages = port(value())?,
            _ => return Err(TopUsageError::Unknown(word)),
        }
    }
    Ok(Some(options))
}

fn interval(value: OsString) -> Result<Duration, TopUsageError> {
    match value.to_str().and_then(|text| text.parse::<f64>().ok()) {
        Some(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(TopUsageError::Interval(value)),
    }
}

fn port(value: OsString) -> Result<Pages, TopUsageError> {
    match value.to_str().and_then(|text| text.parse::<u16>().ok()) {
        Some(0) => Ok(Pages::None),
        Some(port) => Ok(Pages::At(port)),
        None => Err(TopUsageError::Port(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Option<TopOptions>, TopUsageError> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn options_and_mistakes() {
        assert_eq!(parsed(&[]), Ok(Some(TopOptions::default())));
        assert_eq!(parsed(&["--once", "--help"]), Ok(None));
        let all = TopOptions {
            once: true,
            interval: Duration::from_millis(2500),
            session: Some("/tmp/s".into()),
            pages: Pages::None,
        };
        for words in [
            &[
                "--once",
                "--interval=2.5",
                "--session=/tmp/s",
                "--stats-port=0",
            ][..],
            &[
                "--stats-port",
                "0",
                "--session",
                "/tmp/s",
                "--interval",
                "2.5",
                "--once",
            ],
        ] {
            assert_eq!(parsed(words), Ok(Some(all.clone())));
        }
        for bad in ["-b", "make", "--once=1", "--"] {
            assert_eq!(parsed(&[bad]), Err(TopUsageError::Unknown(bad.into())));
        }
        for bad in ["0", "-1", "x", "nan", "inf", ""] {
            let error = TopUsageError::Interval(bad.into());
            assert_eq!(parsed(&["--interval", bad]), Err(error));
        }
        assert_eq!(parsed(&["--session"]), Err(TopUsageError::Session));
        let port = parsed(&["--stats-port=3634"]).map(|options| options.map(|all| all.pages));
        assert_eq!(port, Ok(Some(Pages::At(3634))));
        let error = TopUsageError::Port("99999".into());
        assert_eq!(parsed(&["--stats-port=99999"]), Err(error));
    }
}
