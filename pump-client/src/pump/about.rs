//! What a session says of itself to those who watch it: the file `about` in its directory. Owns nothing but its form:
//! `NAME=VALUE` entries, each ended by a NUL, as in `/proc/PID/environ`.

use super::error::PumpError;
use super::session::Session;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The file's name.
const NAME: &str = "about";

/// Bytes of it that are read; a command line may be longer.
const LIMIT: u64 = 64 << 10;

/// What is known of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The command that it runs, in words; empty for one of `--startup`.
    pub command: OsString,
    /// The host list that its jobs get by `DISTCC_HOSTS`, if they get one.
    pub hosts: Option<OsString>,
    /// Its jobs' `DISTCC_DIR`, if they have one.
    pub distcc_dir: Option<PathBuf>,
    /// Where the trace goes, if one is wanted.
    pub trace: Option<PathBuf>,
    /// When it began, by [`crate::timeline::now`].
    pub began: u64,
}

impl About {
    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, session: &Session) -> Result<(), PumpError> {
        session
            .append(NAME)?
            .write_all(&self.encode())
            .map_err(|cause| PumpError::SessionFile {
                path: session.file(NAME),
                cause,
            })
    }

    /// Reads the file; a session that has none says nothing.
    #[must_use]
    pub fn read(session: &Session) -> Self {
        let mut bytes = Vec::new();
        if let Ok(file) = std::fs::File::open(session.file(NAME)) {
            // What cannot be read is not known.
            let _ = file.take(LIMIT).read_to_end(&mut bytes);
        }
        Self::decode(&bytes)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let began = OsString::from(self.began.to_string());
        let entries = [
            ("BEGAN", Some(began.as_os_str())),
            ("DISTCC_HOSTS", self.hosts.as_deref()),
            (
                "DISTCC_DIR",
                self.distcc_dir.as_ref().map(|dir| dir.as_os_str()),
            ),
            ("TRACE", self.trace.as_ref().map(|path| path.as_os_str())),
            // The last: it may be cut off.
            ("COMMAND", Some(self.command.as_os_str())),
        ];
        for (name, value) in entries {
            if let Some(value) = value {
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(b'=');
                bytes.extend_from_slice(value.as_bytes());
                bytes.push(0);
            }
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let value = |name: &str| {
            let mut entries = bytes.split(|&byte| byte == 0);
            let found =
                entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
            found.map(|value| OsString::from_vec(value.to_vec()))
        };
        let began = value("BEGAN").and_then(|text| text.to_str()?.parse().ok());
        Self {
            command: value("COMMAND").unwrap_or_default(),
            hosts: value("DISTCC_HOSTS"),
            distcc_dir: value("DISTCC_DIR").map(PathBuf::from),
            trace: value("TRACE").map(PathBuf::from),
            began: began.unwrap_or(0),
        }
    }
}

/// A command's words as one line for people.
#[must_use]
pub fn command_line(words: &[OsString]) -> OsString {
    words.join(OsStr::new(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back() {
        let about = About {
            command: OsString::from_vec(b"make CFLAGS=-g \n\xff".to_vec()),
            hosts: Some("".into()),
            distcc_dir: Some("/a b".into()),
            trace: None,
            began: 77,
        };
        assert_eq!(About::decode(&about.encode()), about);
        assert_eq!(About::decode(b"nonsense"), About::default());
    }
}
