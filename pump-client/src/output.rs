//! Writing results so that none is visible before it is complete: temporary file in the same directory, then rename.
//!
//! A target that is no regular file (`/dev/null`, a fifo, a link) is written in place, as the compilers do it. Files
//! get the mode `0666 & ~umask`, as from a compiler. Owns no state; half-written files are removed on every way out
//! (see [`crate::cleanup`]).

use crate::cleanup::DoomedFile;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// A result that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", path.display())]
pub struct OutputError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// A result that is complete on disk but not yet at its name.
#[derive(Debug)]
pub struct Prepared {
    target: PathBuf,
    /// `None` when it was written in place.
    temporary: Option<DoomedFile>,
}

/// Writes `bytes` for `target`, but not to its name yet: several results can so appear together or not at all.
///
/// # Errors
/// [`OutputError`]; the target is then untouched, unless it is written in place.
pub fn prepare(target: &Path, bytes: &[u8]) -> Result<Prepared, OutputError> {
    let failed = |error: io::Error| OutputError {
        path: target.to_owned(),
        error,
    };
    let in_place = || {
        write_in_place(target, bytes).map_err(failed)?;
        Ok(Prepared {
            target: target.to_owned(),
            temporary: None,
        })
    };
    match rustix::fs::lstat(target) {
        Ok(data) if !FileType::from_raw_mode(data.st_mode).is_file() => return in_place(),
        _ => {}
    }
    match create_beside(target) {
        Ok((file, doomed)) => {
            write_all(&file, bytes).map_err(failed)?;
            Ok(Prepared {
                target: target.to_owned(),
                temporary: Some(doomed),
            })
        }
        // A directory that may not be written, with a file in it that may be.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => in_place(),
        Err(error) => Err(failed(error)),
    }
}

impl Prepared {
    /// Gives the result its name.
    ///
    /// # Errors
    /// [`OutputError`]; the target is then untouched.
    pub fn publish(self) -> Result<(), OutputError> {
        let Some(temporary) = self.temporary else {
            return Ok(());
        };
        temporary
            .rename_to(&self.target)
            .map_err(|error| OutputError {
                path: self.target,
                error,
            })
    }
}

/// Appends to a file, as the compilers do for `DEPENDENCIES_OUTPUT`; one write.
///
/// # Errors
/// See [`OutputError`].
pub fn append(target: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
    rustix::fs::open(target, flags, Mode::from_raw_mode(0o666))
        .map_err(io::Error::from)
        .and_then(|file| write_all(&file, bytes))
        .map_err(|error| OutputError {
            path: target.to_owned(),
            error,
        })
}

fn write_in_place(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::open(target, flags, Mode::from_raw_mode(0o666))?;
    write_all(&file, bytes)
}

/// A new file in the target's directory, with a name that says whose it is. It is hidden, so that no `*.o` matches it.
fn create_beside(target: &Path) -> io::Result<(OwnedFd, DoomedFile)> {
    let directory = target.parent().unwrap_or(Path::new(""));
    for attempt in 0..100u32 {
        let name = format!(".distcc_{:08x}_{attempt:x}", std::process::id());
        let doomed_path = directory.join(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let doomed = DoomedFile::register(doomed_path);
        match rustix::fs::openat(CWD, doomed.path(), flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => return Ok((file, doomed)),
            Err(Errno::EXIST) => doomed.keep(),
            Err(error) => {
                doomed.keep();
                return Err(error.into());
            }
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Passes a compiler's own output on. A reader that went away is no reason to fail.
pub fn replay(stdout: &[u8], stderr: &[u8]) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(stdout);
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().write_all(stderr);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn nothing_shows_before_publish() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.o");
        std::fs::write(&target, "old").unwrap();
        let prepared = prepare(&target, b"new").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        prepared.publish().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        drop(prepare(&target, b"never").unwrap());
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_and_devices_are_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        prepare(&link, b"new").unwrap().publish().unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
        prepare(Path::new("/dev/null"), b"gone")
            .unwrap()
            .publish()
            .unwrap();
        assert_eq!(
            std::fs::metadata("/dev/null").unwrap().mode() & 0o170_000,
            0o020_000
        );
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_file() {
        let error = prepare(Path::new("/nonexistent/dir/a.o"), b"x").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot write /nonexistent/dir/a.o: "),
            "{error}"
        );
    }
}
