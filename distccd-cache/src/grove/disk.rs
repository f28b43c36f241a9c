//! A grove's files. Owns its directory, which is removed with it.
//!
//! A file is written aside and renamed into its place, so that no compiler sees half of one. All names are resolved below the grove's root without
//! following links.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::stands::Gone;
use crate::tree::{inside, parent_of};
use crate::view::layers::Spots;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    root: OwnedFd,
    /// Where files are written.
    fresh: OwnedFd,
    next: AtomicU64,
}

/// A directory of a grove that was opened to write into it, kept because the next file is likely in it.
pub(super) type OpenDirectory = Option<(Vec<u8>, OwnedFd)>;

impl Disk {
    /// Makes the directories.
    pub(super) fn create(dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir(&dir)?;
        let spots = Spots::below(&dir);
        for spot in [&spots.view, &spots.base, &spots.memory] {
            std::fs::create_dir(spot)?;
        }
        let open = |name: &str| {
            let path = dir.join(name);
            std::fs::create_dir(&path)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok::<_, io::Error>(rustix::fs::open(&path, flags, Mode::empty())?)
        };
        Ok(Self {
            root: open("root")?,
            fresh: open("fresh")?,
            next: AtomicU64::new(0),
            dir,
        })
    }

    /// Where its jobs mount things.
    pub(super) fn spots(&self) -> Spots {
        Spots::below(&self.dir)
    }

    /// Where the client's `/` is.
    pub(super) fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Writes a file at a path where nothing stands.
    pub(super) fn write(
        &self,
        path: &[u8],
        content: &[u8],
        modified: i64,
        last: &mut OpenDirectory,
    ) -> io::Result<()> {
        let name = format!("{}", self.next.fetch_add(1, Ordering::Relaxed));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let mut fill = || {
            let mut file = File::from(rustix::fs::openat(&self.fresh, &name, flags, mode)?);
            file.write_all(content)?;
            let time = Timespec {
                tv_sec: modified,
                tv_nsec: 0,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::futimens(&file, &times)?;
            let dir = self.open_directory(parent_of(path), last)?;
            let to = last_component(path)?;
            rustix::fs::renameat_with(&self.fresh, &name, dir, to, RenameFlags::NOREPLACE)?;
            Ok(())
        };
        let filled = fill();
        if filled.is_err() {
            // Whether or not there is anything: the error that counts is the first.
            let _ = rustix::fs::unlinkat(&self.fresh, &name, AtFlags::empty());
        }
        filled
    }

    /// Makes a link at a path where nothing stands.
    pub(super) fn link(
        &self,
        path: &[u8],
        target: &[u8],
        last: &mut OpenDirectory,
    ) -> io::Result<()> {
        let dir = self.open_directory(parent_of(path), last)?;
        Ok(rustix::fs::symlinkat(target, dir, last_component(path)?)?)
    }

    /// Makes a directory, and those above it, unless they are there.
    pub(super) fn directory(&self, path: &[u8]) -> io::Result<()> {
        self.open_directory(path, &mut None).map(|_| ())
    }

    /// Removes things; one that is not there is none to remove.
    pub(super) fn remove(&self, gone: &[Gone]) -> io::Result<()> {
        for Gone { path, directory } in gone {
            let flags = match directory {
                true => AtFlags::REMOVEDIR,
                false => AtFlags::empty(),
            };
            let removed = self
                .existing(parent_of(path))
                .and_then(|dir| Ok(rustix::fs::unlinkat(dir, last_component(path)?, flags)?));
            match removed {
                Err(error) if error.raw_os_error() != Some(Errno::NOENT.raw_os_error()) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn existing(&self, dir: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let relative: &[u8] = match &dir[1..] {
            b"" => b".",
            relative => relative,
        };
        let root = self.root.as_fd();
        Ok(rustix::fs::openat2(
            root,
            relative,
            flags,
            Mode::empty(),
            inside(),
        )?)
    }

    /// An open directory, made with those above it if need be.
    fn open_directory<'a>(
        &self,
        dir: &[u8],
        last: &'a mut OpenDirectory,
    ) -> io::Result<&'a OwnedFd> {
        if last.as_ref().is_none_or(|(known, _)| known != dir) {
            let fd = match self.existing(dir) {
                Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
                    self.make(dir)?;
                    self.existing(dir)?
                }
                other => other?,
            };
            *last = Some((dir.to_vec(), fd));
        }
        match last {
            Some((_, fd)) => Ok(fd),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn make(&self, dir: &[u8]) -> io::Result<()> {
        let ends = (1..dir.len()).filter(|&i| dir[i] == b'/');
        for end in ends.chain([dir.len()]) {
            let above = self.existing(parent_of(&dir[..end]))?;
            let mode = Mode::from_raw_mode(0o755);
            match rustix::fs::mkdirat(above, last_component(&dir[..end])?, mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            tracing::warn!("cannot remove {}: {error}", self.dir.display());
        }
    }
}

fn last_component(path: &[u8]) -> io::Result<CString> {
    let start = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    CString::new(&path[start..]).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}
