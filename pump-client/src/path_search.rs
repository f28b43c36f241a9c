//! Finding programs on a `PATH`, and knowing distcc itself when it is found there.
//!
//! Owns no state; every question goes to the file system.

use rustix::fs::{Access, AtFlags, CWD, Stat};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The directories of a `PATH`; an empty entry is the working directory.
pub fn directories(path: &OsStr) -> impl Iterator<Item = &OsStr> {
    path.as_bytes()
        .split(|&b| b == b':')
        .map(|entry| OsStr::from_bytes(if entry.is_empty() { b"." } else { entry }))
}

/// The first file of that name on `path` that may be executed.
#[must_use]
pub fn find(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    directories(path)
        .map(|directory| Path::new(directory).join(name))
        .find(|candidate| is_program(candidate))
}

/// The program that a command's first word means: itself when it has a slash, else the first on `path`.
#[must_use]
pub fn resolve(word: &[u8], path: &OsStr) -> Option<PathBuf> {
    let word = OsStr::from_bytes(word);
    if word.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(word));
    }
    find(word, path)
}

/// Whether a file is a regular file that may be executed.
#[must_use]
pub fn is_program(candidate: &Path) -> bool {
    rustix::fs::accessat(CWD, candidate, Access::EXEC_OK, AtFlags::empty()).is_ok()
        && rustix::fs::stat(candidate)
            .is_ok_and(|data| rustix::fs::FileType::from_raw_mode(data.st_mode).is_file())
}

/// The very file that this process runs, to be compared with what a `PATH` offers.
#[derive(Clone, Copy, Debug)]
pub struct OwnProgram(Option<(u64, u64)>);

impl OwnProgram {
    /// Asks the kernel which file this process runs.
    #[must_use]
    pub fn ask() -> Self {
        Self(identity(Path::new("/proc/self/exe")))
    }

    /// Whether `candidate` is this program, through any links.
    #[must_use]
    pub fn is(self, candidate: &Path) -> bool {
        self.0.is_some() && identity(candidate) == self.0
    }
}

/// Whether two paths are the same file.
#[must_use]
pub fn same_file(a: &Path, b: &Path) -> bool {
    let a = identity(a);
    a.is_some() && a == identity(b)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let data: Stat = rustix::fs::stat(path).ok()?;
    Some((data.st_dev, data.st_ino))
}

/// What is left of `path` behind the first entry for which `is_last` says so; `None` when none is.
#[must_use]
pub fn behind(path: &OsStr, is_last: impl Fn(&OsStr) -> bool) -> Option<OsString> {
    let mut entries = path.as_bytes().split(|&b| b == b':');
    entries.by_ref().find(|entry| {
        is_last(OsStr::from_bytes(if entry.is_empty() {
            b"."
        } else {
            entry
        }))
    })?;
    let rest: Vec<&[u8]> = entries.collect();
    Some(OsString::from_vec(rest.join(&b':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_path() {
        let rest = |path: &str, last: &str| {
            behind(OsStr::new(path), |entry| entry == last).map(|s| s.into_string().unwrap())
        };
        assert_eq!(rest("/a:/b:/c", "/b").as_deref(), Some("/c"));
        assert_eq!(rest("/a:/b", "/b").as_deref(), Some(""));
        assert_eq!(rest("/a:/b", "/x"), None);
        assert_eq!(rest("/a::/b", ".").as_deref(), Some("/b"));
    }

    #[test]
    fn programs_are_found_in_order() {
        let path = OsStr::new("/nonexistent:/bin:/usr/bin");
        assert_eq!(find(OsStr::new("sh"), path), Some("/bin/sh".into()));
        assert_eq!(find(OsStr::new("no-such-program-here"), path), None);
        assert_eq!(resolve(b"/x/y", path), Some("/x/y".into()));
    }
}
