//! `+zeroconf`, as a client sees it: a file of hosts, `zeroconf/hosts` in the state directory, and a process that keeps
//! it (`crate::finder`), started by whoever needs it first. Owns no state.
//!
//! Files are as stock has them: `lock` is locked by the process for as long as it lives; `hosts` is a host list. A client
//! tells that it uses the file by setting its access time, so that the process ends when nobody does. A build waits for
//! the process to have looked around for a moment, once.

use rustix::fs::{CWD, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::process::{Flock, FlockType, fcntl_getlk};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The word that makes `pump` keep the file.
pub const FIND: &str = "--find-hosts";

/// The most that a client waits for hosts.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest file that is read.
const LONGEST: u64 = 100 << 10;

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Place {
    directory: PathBuf,
}

/// Why there is no file of hosts.
#[derive(Debug, thiserror::Error)]
pub enum ZeroconfError {
    /// Nowhere to keep it.
    #[error("+zeroconf needs a state directory (DISTCC_DIR or HOME)")]
    NoStateDirectory,
    /// A file that cannot be made or read.
    #[error("+zeroconf: cannot use {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The process that looks for hosts cannot be started.
    #[error("+zeroconf: cannot start {} to look for hosts: {error}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It has ended at once.
    #[error(
        "+zeroconf: \"pump {FIND}\" cannot look for hosts; started by hand with a directory it says why"
    )]
    Failed,
    /// It has written nothing.
    #[error("+zeroconf: nothing was found within {} seconds", PATIENCE.as_secs())]
    TooSlow,
}

impl Place {
    /// Below a state directory.
    #[must_use]
    pub fn below(state: &Path) -> Self {
        Self {
            directory: state.join("zeroconf"),
        }
    }

    /// The same directory, by its own name.
    #[must_use]
    pub const fn named(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The list of hosts.
    #[must_use]
    pub fn hosts(&self) -> PathBuf {
        self.directory.join("hosts")
    }

    /// The lock of the process that keeps it.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }

    /// The list of hosts as it is now; starts the process that keeps it, and waits for that, if it is not there.
    fn read(&self) -> Result<Vec<u8>, ZeroconfError> {
        std::fs::create_dir_all(&self.directory).map_err(self.failed(&self.directory))?;
        let mut started = None;
        if !self.is_kept()? {
            match self.start() {
                Ok(child) => started = Some(child),
                // Somebody else's program may keep the file.
                Err(error) => return self.look().ok_or(error),
            }
        }
        let start = Instant::now();
        loop {
            // A file without a keeper is left over: the one that was just started will replace it.
            let kept = started.is_none() || self.is_kept()?;
            if kept && let Some(text) = self.look() {
                return Ok(text);
            }
            let ended = started.as_mut().and_then(|child| child.try_wait().ok()?);
            if ended.is_some_and(|status| !status.success()) {
                return Err(ZeroconfError::Failed);
            }
            if start.elapsed() > PATIENCE {
                // The next ones are not to wait in vain, too. Whatever is found later replaces this file.
                let _ = std::fs::File::create_new(self.hosts());
                return Err(ZeroconfError::TooSlow);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn failed(&self, path: &Path) -> impl Fn(io::Error) -> ZeroconfError + use<> {
        let path = path.to_owned();
        move |error| ZeroconfError::File {
            path: path.clone(),
            error,
        }
    }

    /// Whether a process keeps the file.
    fn is_kept(&self) -> Result<bool, ZeroconfError> {
        let path = self.lock();
        let failed = |error: rustix::io::Errno| self.failed(&path)(error.into());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o666)).map_err(failed)?;
        let lock = Flock::from(FlockType::WriteLock);
        Ok(fcntl_getlk(&file, &lock).map_err(failed)?.is_some())
    }

    /// The file's text, and a sign that it is in use.
    fn look(&self) -> Option<Vec<u8>> {
        use std::io::Read;
        let file = std::fs::File::open(self.hosts()).ok()?;
        let [now, omit] = [UTIME_NOW, UTIME_OMIT].map(|tv_nsec| Timespec { tv_sec: 0, tv_nsec });
        let times = Timestamps {
            last_access: now,
            last_modification: omit,
        };
        // Another user's file has the access time that reading gives it.
        let _ = rustix::fs::futimens(&file, &times);
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).ok()?;
        Some(text)
    }

    /// Starts the process, with nothing of this one's: a build system waits for whoever has its pipe open.
    fn start(&self) -> Result<Child, ZeroconfError> {
        // Beside this program only: another `pump` may be stock's, which would take the word for a command.
        let own = rustix::fs::readlinkat(CWD, "/proc/self/exe", Vec::new());
        let own = own.map(|path| {
            use std::os::unix::ffi::OsStringExt;
            PathBuf::from(std::ffi::OsString::from_vec(path.into_bytes()))
        });
        let program = own.unwrap_or_default().with_file_name("pump");
        let spawned = Command::new(&program)
            .arg(FIND)
            .arg(&self.directory)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        spawned.map_err(|error| ZeroconfError::Start { program, error })
    }
}

/// What was found on the local network, as the text of a host list.
///
/// # Errors
/// See [`ZeroconfError`].
pub fn found(state: Option<&Path>) -> Result<(PathBuf, Vec<u8>), ZeroconfError> {
    let state = state.ok_or(ZeroconfError::NoStateDirectory)?;
    // The process has another working directory.
    let absolute = std::path::absolute(state).map_err(|error| ZeroconfError::File {
        path: state.to_owned(),
        error,
    })?;
    let place = Place::below(&absolute);
    Ok((place.hosts(), place.read()?))
}
