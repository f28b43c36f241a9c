//! A session's directory: made, found again, swept and removed. Owns the names of the files in it.
//!
//! The file `session` says which processes belong to the session, so that `--shutdown` and a later `pump` can tell them
//! from other processes that got their numbers. A directory without that file is not ours to remove.

use super::error::PumpError;
use super::process::{Process, pid_namespace};
use super::system::own_user;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How the names of session directories begin, as stock's do.
pub const PREFIX: &str = "distcc-pump.";

/// The most bytes that a unix socket's path may have. Source: unix(7), `sun_path` holds 108 with the NUL.
const SOCKET_PATH_LIMIT: usize = 107;

/// First line of the record.
const MAGIC: &str = "pumphouse-session 1";

/// A session's directory.
#[derive(Clone, Debug)]
pub struct Session {
    directory: PathBuf,
}

/// What the record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The PID namespace in which the numbers mean something.
    pub namespace: u64,
    /// The process that keeps the session.
    pub keeper: Option<Process>,
    /// The keeper runs a command: the session ends with it, not by `--shutdown`.
    pub has_command: bool,
    /// Its helpers.
    pub helpers: Vec<Process>,
}

/// Why a directory is not a session of ours.
#[derive(Debug, thiserror::Error)]
pub enum NotASession {
    /// Nothing is there.
    #[error("is gone")]
    Gone,
    /// Something else is there.
    #[error("is not a session directory of ours ({0})")]
    Foreign(&'static str),
    /// It cannot be looked at.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Session {
    /// Makes a directory that only this user may list; with `shared`, others may pass through it, which a private server
    /// that runs as another user needs.
    ///
    /// # Errors
    /// When `base` cannot be written to, or its name is too long for sockets.
    pub fn create(base: &Path, shared: bool, has_command: bool) -> Result<Self, PumpError> {
        let failed = |cause| PumpError::SessionDirectory {
            base: base.to_owned(),
            cause,
        };
        let base_path = std::path::absolute(base).map_err(failed)?;
        let example = base_path.join(format!("{PREFIX}XXXXXX/socket"));
        let length =
            protocol::include_dialogue::rich_socket_path(example.as_os_str().as_bytes()).len();
        if length > SOCKET_PATH_LIMIT {
            let limit = SOCKET_PATH_LIMIT;
            return Err(PumpError::SocketPathTooLong { length, limit });
        }
        let mode = if shared { 0o711 } else { 0o700 };
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(6)
            .permissions(Permissions::from_mode(mode))
            .tempdir_in(&base_path)
            .map_err(failed)?;
        // A umask may have taken bits away.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(mode)).map_err(failed)?;
        let session = Self {
            directory: directory.keep(),
        };
        let prepared = session.prepare(has_command);
        if prepared.is_err() {
            session.remove();
        }
        prepared.map(|()| session)
    }

    fn prepare(&self, has_command: bool) -> Result<(), PumpError> {
        let keeper = Process::own().map_err(PumpError::system("cannot read /proc/self/stat"))?;
        self.write_record(&Record {
            namespace: pid_namespace(),
            keeper: Some(keeper),
            has_command,
            helpers: Vec::new(),
        })
    }

    /// A directory that looks in every way like one that [`Session::create`] made.
    ///
    /// # Errors
    /// See [`NotASession`].
    pub fn open(directory: &Path) -> Result<(Self, Record), NotASession> {
        let name = directory.file_name().map_or(&b""[..], OsStrExt::as_bytes);
        if !directory.is_absolute() || !name.starts_with(PREFIX.as_bytes()) {
            return Err(NotASession::Foreign("its name is another"));
        }
        let meta = match std::fs::symlink_metadata(directory) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NotASession::Gone),
            Err(error) => return Err(error.into()),
        };
        if !meta.is_dir() {
            return Err(NotASession::Foreign("it is no directory"));
        }
        if meta.uid() != own_user() {
            return Err(NotASession::Foreign("it belongs to another user"));
        }
        if meta.mode() & 0o066 != 0 {
            return Err(NotASession::Foreign("others may look into it"));
        }
        let session = Self {
            directory: directory.to_owned(),
        };
        let record = session.read_record()?;
        Ok((session, record))
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stock's dialogue's socket: `INCLUDE_SERVER_PORT`.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// The richer dialogue's socket.
    #[must_use]
    pub fn rich_socket(&self) -> PathBuf {
        let path =
            protocol::include_dialogue::rich_socket_path(self.socket().as_os_str().as_bytes());
        PathBuf::from(std::ffi::OsStr::from_bytes(&path))
    }

    /// A file of the session.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Opens a file of the session for appending, for this user only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&self, name: &str) -> Result<File, PumpError> {
        let path = self.file(name);
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        options
            .open(&path)
            .map_err(|cause| PumpError::SessionFile { path, cause })
    }

    /// Replaces the record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_record(&self, record: &Record) -> Result<(), PumpError> {
        let path = self.file("session");
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
            file.write_all(record.to_text().as_bytes())?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|cause| PumpError::SessionFile {
            path: path.clone(),
            cause,
        })
    }

    fn read_record(&self) -> Result<Record, NotASession> {
        let path = self.file("session");
        let foreign = NotASession::Foreign("it has no record of its processes");
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() && meta.uid() == own_user() && meta.len() < 4096 => {}
            _ => return Err(foreign),
        }
        Record::from_text(&std::fs::read_to_string(&path)?).ok_or(foreign)
    }

    /// Removes the directory with all that is in it; links are removed, not followed. A file that resists stays.
    pub fn remove(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.directory)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("pump: cannot remove {}: {error}", self.directory.display());
        }
    }
}

impl Record {
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{MAGIC}\nnamespace {}\n", self.namespace);
        let role = if self.has_command {
            "command-keeper"
        } else {
            "keeper"
        };
        let keeper = self.keeper.iter().map(|process| (role, process));
        let helpers = self.helpers.iter().map(|process| ("helper", process));
        for (role, process) in keeper.chain(helpers) {
            text.push_str(&format!("{role} {} {}\n", process.pid, process.start_time));
        }
        text
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != MAGIC {
            return None;
        }
        let mut record = Self::default();
        for line in lines {
            let mut words = line.split(' ');
            let role = words.next()?;
            let first: u64 = words.next()?.parse().ok()?;
            if role == "namespace" {
                record.namespace = first;
                continue;
            }
            let process = Process {
                pid: i32::try_from(first).ok()?,
                start_time: words.next()?.parse().ok()?,
            };
            match role {
                "keeper" => record.keeper = Some(process),
                "command-keeper" => {
                    record.keeper = Some(process);
                    record.has_command = true;
                }
                "helper" => record.helpers.push(process),
                _ => return None,
            }
        }
        Some(record)
    }

    /// Whether the numbers mean something to this process.
    #[must_use]
    pub fn is_of_this_namespace(&self) -> bool {
        self.namespace == pid_namespace()
    }

    /// Whether the process that keeps the session runs, as far as this process can see.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.is_of_this_namespace() && self.keeper.is_some_and(|keeper| keeper.is_alive())
    }
}

/// Removes what sessions of this user left in `base` when they were killed, and ends their helpers. Sessions that live,
/// that other PID namespaces own, or that cannot be understood are left alone.
pub fn sweep(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        if !entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let Ok((session, record)) = Session::open(&entry.path()) else {
            continue;
        };
        if !record.is_of_this_namespace() || record.is_kept() {
            continue;
        }
        for helper in &record.helpers {
            let _ = helper.end();
        }
        session.remove();
    }
}

/// Whether a file lies in the directory of some session, which may be gone at any time.
#[must_use]
pub fn is_in_a_session(file: &Path) -> bool {
    let mut names = file.iter();
    names.any(|name| name.as_bytes().starts_with(PREFIX.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back() {
        let record = Record {
            namespace: 4_026_531_836,
            keeper: Some(Process {
                pid: 12,
                start_time: 34,
            }),
            has_command: true,
            helpers: vec![Process {
                pid: 56,
                start_time: 78,
            }],
        };
        let text = record.to_text();
        assert_eq!(Record::from_text(&text), Some(record));
        for bad in [
            "",
            "x\n",
            "pumphouse-session 1\nkeeper\n",
            "pumphouse-session 1\nthief 1 2\n",
        ] {
            assert_eq!(Record::from_text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_our_own_directories_are_opened() {
        let base = tempfile::tempdir().expect("a temporary directory");
        let session = Session::create(base.path(), false, true).expect("it can be written");
        let directory = session.directory().to_owned();
        assert!(Session::open(&directory).expect("just made").1.is_kept());
        let link = base.path().join("distcc-pump.link");
        std::os::unix::fs::symlink(&directory, &link).expect("a link");
        assert!(matches!(Session::open(&link), Err(NotASession::Foreign(_))));
        assert!(matches!(
            Session::open(base.path()),
            Err(NotASession::Foreign(_))
        ));
        let empty = base.path().join("distcc-pump.empty");
        std::fs::create_dir(&empty).expect("a directory");
        std::fs::set_permissions(&empty, Permissions::from_mode(0o700)).expect("a mode");
        assert!(matches!(
            Session::open(&empty),
            Err(NotASession::Foreign(_))
        ));
        session.remove();
        assert!(matches!(Session::open(&directory), Err(NotASession::Gone)));
    }

    #[test]
    fn sweeping_takes_the_dead_and_leaves_the_living() {
        let base = tempfile::tempdir().expect("a temporary directory");
        let living = Session::create(base.path(), false, true).expect("it can be written");
        let dead = Session::create(base.path(), true, true).expect("it can be written");
        let foreign = Session::create(base.path(), false, true).expect("it can be written");
        let mut helper = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep runs");
        let gone = Process {
            pid: 1,
            start_time: u64::MAX,
        };
        let record = Record {
            namespace: pid_namespace(),
            keeper: Some(gone),
            has_command: false,
            helpers: vec![Process::of(helper.id() as i32).expect("it is there")],
        };
        dead.write_record(&record).expect("it can be written");
        let elsewhere = Record {
            namespace: 1,
            ..record
        };
        foreign.write_record(&elsewhere).expect("it can be written");
        sweep(base.path());
        assert!(living.directory().exists());
        assert!(foreign.directory().exists());
        assert!(!dead.directory().exists());
        assert!(!helper.wait().expect("a child of ours").success());
    }

    #[test]
    fn a_long_base_is_refused_before_anything_is_made() {
        let base = tempfile::tempdir().expect("a temporary directory");
        let long = base.path().join("x".repeat(80));
        std::fs::create_dir(&long).expect("a directory");
        assert!(matches!(
            Session::create(&long, false, true),
            Err(PumpError::SocketPathTooLong { .. })
        ));
        assert_eq!(std::fs::read_dir(&long).expect("it is there").count(), 0);
    }
}
