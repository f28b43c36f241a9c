//! What the process may do: whom it runs as, and how much the kernel spares it. Owns nothing. All of this runs at start,
//! while the process has a single thread.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt as _;

/// Users to become when none is given, best first: upstream's, Debian's, anybody's.
const USERS: [&CStr; 3] = [c"distcc", c"distccd", c"nobody"];

/// The user and group to become when the system knows none of [`USERS`].
const LAST_RESORT: u32 = 65534;

/// Why privileges could not be given up.
#[derive(Debug, thiserror::Error)]
#[error("cannot give up root's privileges: {call} failed: {source}")]
pub struct PrivilegesError {
    /// The system call.
    pub call: &'static str,
    /// What the system said.
    pub source: io::Error,
}

/// A user to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    uid: u32,
    gid: u32,
}

/// What became of the process; for the log, which may not be open yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whom it runs as now, if that changed.
    pub identity: Option<String>,
    /// What the user asked for and did not get.
    pub warnings: Vec<String>,
}

/// Gives up root's privileges for good, and that of gaining others by executing a program.
///
/// # Errors
/// See [`PrivilegesError`]; the process must then end.
pub fn give_up(user: Option<&OsStr>) -> Result<Outcome, PrivilegesError> {
    let mut outcome = Outcome::default();
    rustix::thread::set_no_new_privs(true).map_err(|error| PrivilegesError {
        call: "no_new_privs",
        source: error.into(),
    })?;
    if !rustix::process::geteuid().is_root() {
        if user.is_some() {
            let warning = "--user is ignored: only root can become another user";
            outcome.warnings.push(warning.to_owned());
        }
        return Ok(outcome);
    }
    let name = user.and_then(|user| CString::new(user.as_bytes()).ok());
    let found = name.as_deref().and_then(look_up);
    if let Some(user) = user
        && found.is_none()
    {
        let warning = "becoming another unprivileged one";
        outcome
            .warnings
            .push(format!("there is no user {}; {warning}", user.display()));
    }
    let Identity { uid, gid } = found
        .or_else(|| USERS.into_iter().find_map(look_up))
        .unwrap_or(Identity {
            uid: LAST_RESORT,
            gid: LAST_RESORT,
        });
    become_user(Identity { uid, gid })?;
    outcome.identity = Some(format!("running as uid {uid} gid {gid}"));
    Ok(outcome)
}

/// The user of this name.
fn look_up(name: &CStr) -> Option<Identity> {
    // SAFETY: the name is terminated; the process has one thread, so nobody else calls getpwnam while its result, which
    // lives in a static buffer, is read.
    unsafe {
        let entry = libc::getpwnam(name.as_ptr());
        entry.as_ref().map(|entry| Identity {
            uid: entry.pw_uid,
            gid: entry.pw_gid,
        })
    }
}

/// Becomes this user, in the order that leaves no privilege behind: groups while still root, the user last.
fn become_user(identity: Identity) -> Result<(), PrivilegesError> {
    let check = |call, result: libc::c_int| {
        if result == 0 {
            Ok(())
        } else {
            Err(PrivilegesError {
                call,
                source: io::Error::last_os_error(),
            })
        }
    };
    // SAFETY: plain system calls; the list of groups has the one element that is announced.
    unsafe {
        check("setgroups", libc::setgroups(1, &identity.gid))?;
        check("setgid", libc::setgid(identity.gid))?;
        check("setuid", libc::setuid(identity.uid))?;
        if identity.uid != 0 && libc::setuid(0) == 0 {
            let source = io::ErrorKind::PermissionDenied.into();
            return Err(PrivilegesError {
                call: "setuid (root came back)",
                source,
            });
        }
        // A process that changed its user is not dumpable, which makes root the owner of its /proc files; but children
        // that share our memory until they call exec must write theirs (the user map of their namespace).
        check(
            "PR_SET_DUMPABLE",
            libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0),
        )
    }
}

/// Tells the kernel how gladly to kill this process and its children when memory runs out (-1000 never, 1000 first).
///
/// # Errors
/// What the system said; lowering the number needs root.
pub fn adjust_oom_score(value: i32) -> io::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", value.to_string())
}

/// Makes room for descriptors: one per connection, some per job.
pub fn raise_descriptor_limit(wanted: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let target = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if limit.current.is_some_and(|current| current < target) {
        // Failing is no harm: connections beyond the limit then wait to be accepted.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(target),
                maximum: limit.maximum,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        assert_eq!(look_up(c"root"), Some(Identity { uid: 0, gid: 0 }));
        assert_eq!(look_up(c"no-such-user-here"), None);
    }
}
