//! What has to vanish when the client ends, however it ends: temporary files, and running children.
//!
//! Owns two fixed tables that a signal handler may read: paths to unlink, and process ids to pass the signal on to.
//! This is the crate's one module of system calls that need `unsafe` around signals. After a TERM, INT or HUP the
//! handler removes the files, signals the children, and lets the default action end the process, so that the caller
//! sees which signal it was.

use rustix::process::Pid;
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

const FILES: usize = 16;
const CHILDREN: usize = 4;

static PATHS: [AtomicPtr<c_char>; FILES] = [const { AtomicPtr::new(std::ptr::null_mut()) }; FILES];
static PIDS: [AtomicI32; CHILDREN] = [const { AtomicI32::new(0) }; CHILDREN];

/// A child is being started: it may run already and is not in the table yet.
static SPAWNING: AtomicBool = AtomicBool::new(false);
/// A signal that came meanwhile; 0 for none.
static PENDING: AtomicI32 = AtomicI32::new(0);

/// The signals after which the client cleans up.
const SIGNALS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Installs the handlers. A signal that was ignored at start (`nohup`) stays ignored.
pub fn install() {
    for signal in SIGNALS {
        // SAFETY: both structures are plain data for which zero is valid; the handler only makes async-signal-safe
        // calls (unlink, kill, sigaction, raise) and reads atomics.
        unsafe {
            let mut old: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &raw mut old) != 0
                || old.sa_sigaction == libc::SIG_IGN
            {
                continue;
            }
            let mut new: libc::sigaction = std::mem::zeroed();
            let handler: extern "C" fn(i32) = on_signal;
            new.sa_sigaction = handler as libc::sighandler_t;
            libc::sigemptyset(&raw mut new.sa_mask);
            libc::sigaction(signal, &raw const new, std::ptr::null_mut());
        }
    }
}

extern "C" fn on_signal(signal: i32) {
    if SPAWNING.load(Ordering::SeqCst) {
        PENDING.store(signal, Ordering::SeqCst);
        return;
    }
    for entry in &PATHS {
        let path = entry.load(Ordering::SeqCst);
        if !path.is_null() {
            // SAFETY: a non-null entry is a NUL-terminated string that is never freed while it is in the table.
            unsafe { libc::unlink(path) };
        }
    }
    for entry in &PIDS {
        let pid = entry.load(Ordering::SeqCst);
        if pid > 0 {
            // SAFETY: kill has no memory effects; the process is ours and not yet reaped.
            unsafe { libc::kill(pid, signal) };
        }
    }
    // SAFETY: restores the default action and raises the signal again; it is delivered when this handler returns.
    unsafe {
        let mut default: libc::sigaction = std::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal, &raw const default, std::ptr::null_mut());
        libc::raise(signal);
    }
}

/// A file that is removed when this value is dropped or when a signal ends the process.
#[derive(Debug)]
pub struct DoomedFile {
    path: PathBuf,
    slot: Option<usize>,
}

impl DoomedFile {
    /// Registers `path` before the file exists: from its first moment on it cannot be left behind.
    #[must_use]
    pub fn register(path: PathBuf) -> Self {
        let slot = CString::new(path.as_os_str().as_bytes())
            .ok()
            .and_then(|name| {
                let raw = name.into_raw();
                let free = PATHS.iter().position(|entry| {
                    entry
                        .compare_exchange(
                            std::ptr::null_mut(),
                            raw,
                            Ordering::SeqCst,
                            Ordering::SeqCst,
                        )
                        .is_ok()
                });
                if free.is_none() {
                    // SAFETY: `raw` came from into_raw just now and was not stored anywhere.
                    drop(unsafe { CString::from_raw(raw) });
                }
                free
            });
        Self { path, slot }
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the file to its final name, after which it is no longer doomed. On failure it still is.
    ///
    /// # Errors
    /// What `rename` says.
    pub fn rename_to(mut self, target: &Path) -> std::io::Result<()> {
        std::fs::rename(&self.path, target)?;
        self.forget();
        Ok(())
    }

    /// Leaves the file where it is.
    pub fn keep(mut self) {
        self.forget();
    }

    fn forget(&mut self) {
        if let Some(slot) = self.slot.take() {
            // The string is leaked on purpose: a handler on this very moment may still read it.
            PATHS[slot].store(std::ptr::null_mut(), Ordering::SeqCst);
        }
        self.path = PathBuf::new();
    }
}

impl Drop for DoomedFile {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.path);
            self.forget();
        }
    }
}

/// A child that gets the signals that end the client, until this value is dropped.
#[derive(Debug)]
pub struct ForwardedChild(Option<usize>);

impl ForwardedChild {
    /// Starts a child and registers it. A signal that comes in between waits until the child can get it, too. Drop the
    /// second value only after the child was reaped or needs no signal any more.
    ///
    /// # Errors
    /// What starting says.
    pub fn spawn(command: &mut Command) -> std::io::Result<(Child, Self)> {
        SPAWNING.store(true, Ordering::SeqCst);
        let started = command
            .spawn()
            .map(|child| (Self::register(Pid::from_child(&child)), child));
        SPAWNING.store(false, Ordering::SeqCst);
        let signal = PENDING.swap(0, Ordering::SeqCst);
        if signal != 0 {
            on_signal(signal);
        }
        started.map(|(forwarded, child)| (child, forwarded))
    }

    fn register(pid: Pid) -> Self {
        let pid = pid.as_raw_nonzero().get();
        Self(PIDS.iter().position(|entry| {
            entry
                .compare_exchange(0, pid, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        }))
    }
}

impl Drop for ForwardedChild {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            PIDS[slot].store(0, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doomed_file_vanishes_unless_renamed() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b, c) = (
            directory.path().join("a"),
            directory.path().join("b"),
            directory.path().join("c"),
        );
        let doomed = DoomedFile::register(a.clone());
        std::fs::write(&a, "x").unwrap();
        drop(doomed);
        assert!(!a.exists());
        let doomed = DoomedFile::register(b.clone());
        std::fs::write(&b, "x").unwrap();
        doomed.rename_to(&c).unwrap();
        assert!(!b.exists() && c.exists());
    }
}
