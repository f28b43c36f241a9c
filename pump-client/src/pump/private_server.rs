//! A private `distccd` on loopback, for sessions without hosts. Owns the listening socket, so that the daemon can be started
//! again on the same port.
//!
//! Other users of this machine can connect to it, too, so it keeps its whitelist: the compilers of `PATH`, exactly. Started
//! by root it runs as an ordinary user and has a directory of that user's inside the session's directory.

use super::error::PumpError;
use super::helper::Helper;
use super::masquerade::Survey;
use super::session::Session;
use super::system::{make_helper, own_user, unprivileged_user};
use std::ffi::OsString;
use std::fs::Permissions;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Slots that clients get beyond the server's jobs, so that the next job's bytes are there when one ends.
const QUEUED: usize = 2;

/// The daemon and its port.
pub struct PrivateServer {
    helper: Helper,
    listener: Option<TcpListener>,
    hosts: OsString,
    port: u16,
    jobs: usize,
}

/// The name of the daemon's log in the session's directory.
pub const LOG: &str = "distccd.log";

impl PrivateServer {
    /// Binds a port and starts the daemon with it.
    ///
    /// # Errors
    /// When there is no port, the files for the daemon cannot be written, or it cannot be executed.
    pub fn start(
        program: &Path,
        session: &Session,
        survey: &Survey,
        jobs: Option<usize>,
    ) -> Result<Self, PumpError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(PumpError::Listen)?;
        let port = listener.local_addr().map_err(PumpError::Listen)?.port();
        let jobs =
            jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
        let (home, user) = prepare_home(session, survey)?;
        let setting = Setting {
            program: program.to_owned(),
            session: session.clone(),
            path: std::env::join_paths(&survey.real_path).unwrap_or_default(),
            descriptor: listener.as_raw_fd(),
            port,
            jobs,
            home,
            user,
        };
        let helper = Helper::start("private distccd", Box::new(move || setting.command()))?;
        Ok(Self {
            helper,
            listener: Some(listener),
            hosts: format!("127.0.0.1:{port}/{},cpp,lzo", jobs + QUEUED).into(),
            port,
            jobs,
        })
    }

    /// The list of hosts that has just this one.
    #[must_use]
    pub fn hosts(&self) -> &OsString {
        &self.hosts
    }

    /// What to tell the user.
    #[must_use]
    pub fn announcement(&self, because: &str) -> String {
        let jobs_word = if self.jobs == 1 { "job" } else { "jobs" };
        format!(
            "{because}: using a private distccd on 127.0.0.1:{} with {} {jobs_word}",
            self.port, self.jobs
        )
    }

    /// The daemon.
    pub fn helper(&mut self) -> &mut Helper {
        &mut self.helper
    }

    /// Closes the port, so that clients notice at once that nobody serves it.
    pub fn close(&mut self) {
        self.listener = None;
    }
}

/// All that starting the daemon needs.
struct Setting {
    program: PathBuf,
    session: Session,
    path: OsString,
    descriptor: i32,
    port: u16,
    jobs: usize,
    home: PathBuf,
    user: Option<String>,
}

impl Setting {
    fn command(&self) -> Result<Command, PumpError> {
        let log = self.session.append(LOG)?;
        let mut command = Command::new(&self.program);
        command
            .args(["--daemon", "--no-detach", "--log-stderr", "--nice", "0"])
            .args(["--listen", "127.0.0.1", "--allow", "127.0.0.1"])
            .args([
                "--port",
                &self.port.to_string(),
                "--jobs",
                &self.jobs.to_string(),
            ]);
        if let Some(user) = &self.user {
            command.args(["--user", user]);
        }
        command
            .env("PUMPHOUSE_LISTEN_FD", self.descriptor.to_string())
            .env("DISTCC_CMDLIST", self.home.join("compilers"))
            // More words than a path has: entries match as a whole. By its last word alone, one gcc would stand for another.
            .env("DISTCC_CMDLIST_NUMWORDS", "4096")
            .env("DISTCCD_PATH", &self.path)
            .env("TMPDIR", &self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        make_helper(&mut command, Some(self.descriptor));
        Ok(command)
    }
}

/// Makes the daemon's directory with the list of compilers in it, and says which user it is to run as, if another.
fn prepare_home(
    session: &Session,
    survey: &Survey,
) -> Result<(PathBuf, Option<String>), PumpError> {
    let home = session.file("daemon");
    let failed = |cause| PumpError::SessionFile {
        path: home.clone(),
        cause,
    };
    std::fs::create_dir(&home).map_err(failed)?;
    std::fs::set_permissions(&home, Permissions::from_mode(0o700)).map_err(failed)?;
    let list = home.join("compilers");
    std::fs::write(&list, survey.compiler_list()).map_err(failed)?;
    std::fs::set_permissions(&list, Permissions::from_mode(0o644)).map_err(failed)?;
    if own_user() != 0 {
        return Ok((home, None));
    }
    let (name, user, group) = unprivileged_user();
    let user = match std::os::unix::fs::chown(&home, Some(user), Some(group)) {
        Ok(()) => name,
        // A user namespace that has only its root, which is an ordinary user outside: nobody else to become.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => "root".to_owned(),
        Err(error) => return Err(failed(error)),
    };
    Ok((home, Some(user)))
}

/// A directory for the session that the daemon's user can reach: `base`, or `/tmp` when root's `base` is closed to others.
#[must_use]
pub fn reachable_base(base: PathBuf) -> PathBuf {
    if own_user() != 0 || is_open_to_others(&base).unwrap_or(false) {
        return base;
    }
    PathBuf::from("/tmp")
}

fn is_open_to_others(base: &Path) -> io::Result<bool> {
    for directory in base.canonicalize()?.ancestors() {
        if std::fs::metadata(directory)?.permissions().mode() & 0o001 == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
