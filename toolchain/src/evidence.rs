//! Why a remembered identity may still be believed: every name that it rests on, with what stood there.
//!
//! Absent names count too: a `specs` file that appears beside gcc's own programs, or an `as` in an earlier directory of
//! `PATH`, makes another compiler of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use protocol::bundle::number::{Body, put_bytes, put_number};
use protocol::error::WireError;

use crate::error::IdentifyError;
use crate::stamp::{Seen, now};

/// Bytes of a path in evidence that was kept.
const LONGEST_PATH: u32 = 64 << 10;

/// All that an identity rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The compiler as it was named, and the file that its links lead to: it looks for its parts beside that.
    program: (PathBuf, PathBuf),
    seen: BTreeMap<PathBuf, Seen>,
    /// Nothing changed while the compiler was asked.
    settled: bool,
}

impl Evidence {
    /// Whether all is as it was: one or two system calls for each name, some 50 in all (90 µs).
    #[must_use]
    pub fn holds(&self) -> bool {
        let (program, real) = &self.program;
        self.settled
            && program.canonicalize().is_ok_and(|now| now == *real)
            && self.seen.iter().all(|(path, seen)| Seen::at(path) == *seen)
    }

    /// For keeping it on disk; `None` when it is not to be believed later.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        put_bytes(&mut out, &bytes(&self.program.0));
        put_bytes(&mut out, &bytes(&self.program.1));
        put_number(&mut out, self.seen.len() as u64);
        for (path, seen) in &self.seen {
            put_bytes(&mut out, &bytes(path));
            seen.put(&mut out);
        }
        self.settled.then_some(out)
    }

    /// Reads what [`Evidence::encode`] wrote.
    ///
    /// # Errors
    /// [`WireError`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut body = Body::new(bytes);
        let path = |body: &mut Body<'_>| -> Result<PathBuf, WireError> {
            Ok(OsStr::from_bytes(body.bytes(LONGEST_PATH)?).into())
        };
        let program = (path(&mut body)?, path(&mut body)?);
        let mut seen = BTreeMap::new();
        for _ in 0..body.count(u32::MAX, 2)? {
            let path = path(&mut body)?;
            seen.insert(path, Seen::take(&mut body)?);
        }
        body.end()?;
        Ok(Self {
            program,
            seen,
            settled: true,
        })
    }

    /// The names, in order. Whoever is told of changes to them need not call [`Evidence::holds`] again, if it held once after
    /// the telling began.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.seen.keys().map(PathBuf::as_path)
    }
}

/// Evidence that is being gathered while a compiler is asked.
pub(crate) struct Gathering {
    program: PathBuf,
    real: PathBuf,
    /// As it stood before the compiler was started.
    first: Seen,
    started: i64,
    seen: BTreeMap<PathBuf, Seen>,
}

impl Gathering {
    /// To be called before the compiler is asked anything.
    pub(crate) fn begin(program: &Path) -> Result<Self, IdentifyError> {
        let started = now();
        let real = program
            .canonicalize()
            .map_err(|error| IdentifyError::unreadable(program, error))?;
        let first = Seen::at(&real);
        Ok(Self {
            program: program.to_owned(),
            real,
            first,
            started,
            seen: BTreeMap::new(),
        })
    }

    /// The compiler's own file.
    pub(crate) fn real(&self) -> &Path {
        &self.real
    }

    /// Writes down what stands at `path`. If even a directory on the way is missing, that one says it all, and for many
    /// other names too.
    pub(crate) fn note(&mut self, path: &Path) {
        if self.seen.contains_key(path) {
            return;
        }
        let mut seen = Seen::at(path);
        let mut noted = path;
        while let (Seen::Error(_), Some(parent)) = (seen, noted.parent())
            && let above @ Seen::Error(_) = Seen::at(parent)
        {
            (seen, noted) = (above, parent);
        }
        self.seen.insert(noted.to_owned(), seen);
    }

    /// Looks at the compiler again: it must be the one that was asked.
    pub(crate) fn finish(mut self) -> Result<Evidence, IdentifyError> {
        let again = self.program.canonicalize();
        if again.ok().as_ref() != Some(&self.real) || Seen::at(&self.real) != self.first {
            return Err(IdentifyError::Changed { path: self.program });
        }
        self.seen.insert(self.real.clone(), self.first);
        let program = self.program.clone();
        self.note(&program);
        let mut seen = self.seen.iter();
        if let Some((path, _)) = seen.find(|(path, seen)| Seen::at(path) != **seen) {
            return Err(IdentifyError::Changed { path: path.clone() });
        }
        // What changed after the start may have been read before or after its change.
        let ended = now();
        let mut seen = self.seen.values();
        let settled = !seen.any(|seen| seen.changed_within(self.started, ended));
        Ok(Evidence {
            program: (self.program, self.real),
            seen: self.seen,
            settled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_the_same_and_damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("cc"), "").unwrap();
        std::os::unix::fs::symlink("cc", path("gcc")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("broken")).unwrap();
        let mut gathering = Gathering::begin(&path("gcc")).unwrap();
        for name in ["broken", "specs", "no/such/as"] {
            gathering.note(&path(name));
        }
        let evidence = Evidence {
            settled: true,
            ..gathering.finish().unwrap()
        };
        assert_eq!(evidence.paths().count(), 5);
        let bytes = evidence.encode().expect("it is settled");
        assert_eq!(Evidence::decode(&bytes), Ok(evidence.clone()));
        assert!(evidence.holds());
        for length in 0..bytes.len() {
            assert!(Evidence::decode(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Evidence::decode(&[&bytes[..], b"x"].concat()).is_err());
        std::fs::write(path("specs"), "").unwrap();
        assert!(!Evidence::decode(&bytes).unwrap().holds());
        let unsettled = Evidence {
            settled: false,
            ..evidence
        };
        assert_eq!(unsettled.encode(), None);
    }
}
