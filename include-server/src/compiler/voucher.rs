//! Why a remembered answer may still be believed: what `stat` said about the files it came from.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

/// What `stat`, following links, says of a path; of a directory only which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    device: u64,
    inode: u64,
    directory: bool,
    /// Size, modification and change times in nanoseconds; zero for a directory, whose entries may come and go.
    size: i64,
    modified: i128,
    changed: i128,
}

impl Seen {
    /// Asks the system; `None` when there is nothing at `path` (or it may not be seen).
    // The field types of `stat` differ between platforms, so some of these casts are no-ops on this one.
    #[allow(clippy::unnecessary_cast)]
    pub fn at(path: &Path) -> Option<Self> {
        let stat = rustix::fs::stat(path).ok()?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let nanoseconds =
            |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Some(Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            directory,
            size: if directory { 0 } else { stat.st_size as i64 },
            modified: if directory {
                0
            } else {
                nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64)
            },
            changed: if directory {
                0
            } else {
                nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64)
            },
        })
    }
}

/// One path and what was there when an answer was made. The answer holds while the same is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voucher {
    path: PathBuf,
    seen: Option<Seen>,
}

impl Voucher {
    /// Vouches for the present state of `path`, absent or not.
    pub fn of(path: PathBuf) -> Self {
        let seen = Seen::at(&path);
        Self { path, seen }
    }

    /// Whether `path` is still as it was.
    pub fn holds(&self) -> bool {
        Seen::at(&self.path) == self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voucher_falls_with_any_change_but_not_with_a_directorys_entries() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cc1");
        let absent = Voucher::of(file.clone());
        let around = Voucher::of(directory.path().to_owned());
        assert!(absent.holds() && around.holds());
        std::fs::write(&file, "one").unwrap();
        assert!(!absent.holds() && around.holds());
        let present = Voucher::of(file.clone());
        assert!(present.holds());
        std::fs::write(&file, "three").unwrap();
        assert!(!present.holds());
    }
}
