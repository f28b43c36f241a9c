//! A session from its first file to its last: chooses hosts, makes the directory, starts the helpers, looks after them,
//! and takes everything down again. Owns the session and its helpers.

use super::about::{About, command_line};
use super::environment::Environment;
use super::error::PumpError;
use super::helper::{Health, Helper};
use super::hosts_choice::{self, HostsChoice};
use super::include_service;
use super::journal;
use super::masquerade::{self, Survey};
use super::masquerade_place;
use super::options::Options;
use super::private_server::{self, PrivateServer};
use super::process::pid_namespace;
use super::programs::Programs;
use super::session::{self, Record, Session};
use super::summary;
use super::system::Signals;
use super::trace;
use crate::timeline;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A variable that the session's commands get.
pub type Export = (&'static str, OsString);

/// What is done with the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It lives as long as one command, whose parent this process is.
    Command,
    /// It lives until `--shutdown`.
    Daemon,
}

/// A running session.
pub struct Keeper {
    session: Session,
    purpose: Purpose,
    progress: Progress,
    include_server: Option<Helper>,
    private: Option<PrivateServer>,
    exports: Vec<Export>,
    journal: JournalStart,
    about: About,
}

/// Progress lines for the user. They go to stderr: what a build prints on stdout is the build's.
#[derive(Clone, Copy)]
struct Progress {
    wanted: bool,
    verbose: bool,
}

impl Progress {
    fn say(self, text: &str) {
        if self.wanted {
            eprintln!("__________{text}");
        }
    }

    fn detail(self, text: impl FnOnce() -> String) {
        if self.wanted && self.verbose {
            eprintln!("  {}", text());
        }
    }
}

/// Where the session's part of the journal begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalStart {
    /// The file.
    pub path: PathBuf,
    /// Its length before the session, in bytes.
    pub from: u64,
}

impl Keeper {
    /// Starts a session for one command, or for whoever calls `--shutdown`.
    ///
    /// # Errors
    /// See [`PumpError`]; nothing is left behind then.
    pub fn start(
        environment: &Environment,
        options: &Options,
        command: Option<&[OsString]>,
        signals: &mut Signals,
    ) -> Result<Self, PumpError> {
        let purpose = match command {
            Some(_) => Purpose::Command,
            None => Purpose::Daemon,
        };
        let about = About {
            command: command.map(command_line).unwrap_or_default(),
            hosts: environment.distcc_hosts.clone(),
            distcc_dir: environment.distcc_dir.clone(),
            trace: begin_trace(options)?,
            began: timeline::now(),
        };
        let programs = Programs::new(environment);
        let progress = Progress {
            wanted: environment.progress && (purpose == Purpose::Command || options.verbose),
            verbose: options.verbose,
        };
        let distcc = programs.find("distcc")?;
        progress.say(&format!(
            "Using distcc-pump from {}",
            programs.location().display()
        ));
        note_older_session(environment, purpose);
        let choice = hosts_choice::choose(environment, &programs)?;
        let base = environment
            .temporary
            .clone()
            .unwrap_or_else(|| PathBuf::from("/tmp"));
        session::sweep(&base);
        let private = matches!(choice, HostsChoice::Private { .. });
        let base = if private {
            private_server::reachable_base(base)
        } else {
            base
        };
        let session = Session::create(&base, private, purpose == Purpose::Command)?;
        let mut keeper = Self {
            journal: JournalStart::of(environment, &session),
            session,
            purpose,
            progress,
            include_server: None,
            private: None,
            exports: Vec::new(),
            about,
        };
        let up = keeper.bring_up(environment, options, &programs, &distcc, choice, signals);
        if let Err(error) = up {
            keeper.end_helpers();
            keeper.session.remove();
            return Err(error);
        }
        Ok(keeper)
    }

    fn bring_up(
        &mut self,
        environment: &Environment,
        options: &Options,
        programs: &Programs,
        distcc: &Path,
        choice: HostsChoice,
        signals: &mut Signals,
    ) -> Result<(), PumpError> {
        let survey = masquerade::survey(&environment.path);
        self.progress
            .detail(|| format!("session directory: {}", self.session.directory().display()));
        if let Some(hosts) = self.choose_hosts(&choice, options, programs, &survey)? {
            self.about.hosts = Some(hosts.clone());
            self.exports.push(("DISTCC_HOSTS", hosts));
        }
        self.record()?;
        let program = programs.find("include-server")?;
        let include_server = include_service::start(&program, &self.session, environment, signals)?;
        self.include_server = Some(include_server);
        self.record()?;
        self.session.append("journal")?;
        self.journal.note(&self.session)?;
        self.about.write(&self.session)?;
        self.export_session();
        self.export_path(environment, options, &survey, distcc)
    }

    /// Says which hosts are used, starts a private one if there are none, and returns a new host list if there is one.
    fn choose_hosts(
        &mut self,
        choice: &HostsChoice,
        options: &Options,
        programs: &Programs,
        survey: &Survey,
    ) -> Result<Option<OsString>, PumpError> {
        match choice {
            HostsChoice::Configured { hosts, pump_hosts } => {
                let server_word = if *hosts == 1 { "server" } else { "servers" };
                self.progress.say(&if hosts == pump_hosts {
                    format!("Using {hosts} distcc {server_word} in pump mode")
                } else {
                    format!("Using {hosts} distcc {server_word}, of which only {pump_hosts} support(s) pump mode")
                });
                Ok(None)
            }
            HostsChoice::Found { hosts, list } => {
                self.progress
                    .say(&format!("Found {hosts} available distcc servers"));
                if *hosts == 0 {
                    eprintln!(
                        "pump: none of DISTCC_POTENTIAL_HOSTS answered: everything will be compiled here"
                    );
                }
                Ok(Some(list.clone()))
            }
            HostsChoice::Private { because } => {
                let program = programs.find("distccd")?;
                let server = PrivateServer::start(&program, &self.session, survey, options.jobs)?;
                self.progress.say(&server.announcement(because));
                let hosts = server.hosts().clone();
                self.private = Some(server);
                Ok(Some(hosts))
            }
        }
    }

    fn export_session(&mut self) {
        let keeping = match self.purpose {
            // What ends or watches an include server by this number means the server itself ...
            Purpose::Command => self
                .include_server
                .as_ref()
                .and_then(Helper::process)
                .map(|process| process.pid),
            // ... but a session that outlives its `pump` ends with its keeper.
            Purpose::Daemon => i32::try_from(std::process::id()).ok(),
        };
        let pid = keeping.map_or_else(String::new, |pid| pid.to_string());
        self.exports.push(("INCLUDE_SERVER_PID", pid.into()));
        self.exports
            .push(("INCLUDE_SERVER_DIR", self.session.directory().into()));
        self.exports
            .push(("INCLUDE_SERVER_PORT", self.session.socket().into()));
        self.exports
            .push(("PUMPHOUSE_JOURNAL", self.journal.path.clone().into()));
    }

    fn export_path(
        &mut self,
        environment: &Environment,
        options: &Options,
        survey: &Survey,
        distcc: &Path,
    ) -> Result<(), PumpError> {
        let mut directories = Vec::new();
        let bin = distcc.parent().map(Path::to_owned);
        if options.masquerade {
            let path = self.session.file(masquerade::DIRECTORY);
            let links = masquerade_place::directory(environment, survey, distcc, &path);
            directories.push(links.map_err(|cause| PumpError::SessionFile { path, cause })?);
            directories.extend(survey.outer_path.iter().cloned());
            directories.extend(bin.filter(|bin| !survey.outer_path.contains(bin)));
            self.progress
                .detail(|| format!("compilers led to distcc: {}", list(&survey.names)));
        } else {
            directories.extend(bin);
            directories.extend(survey.outer_path.iter().cloned());
        }
        let joined = std::env::join_paths(&directories).map_err(|error| PumpError::System {
            what: "cannot put the session's directory into PATH",
            cause: std::io::Error::other(error),
        })?;
        self.exports.push(("PATH", joined));
        if options.masquerade && survey.has_ccache {
            self.export_for_ccache(environment, survey, distcc);
        }
        Ok(())
    }

    /// Lets ccache run distcc for what it has not cached, unless the user has set it up otherwise.
    fn export_for_ccache(&mut self, environment: &Environment, survey: &Survey, distcc: &Path) {
        let prefix = environment.ccache_prefix.as_deref();
        if environment.ccache_path || prefix.is_some_and(|prefix| prefix != "distcc") {
            return;
        }
        self.progress
            .detail(|| "ccache will run distcc for what it has not cached".to_owned());
        // The whole path: looking for the name, ccache passes over what is the same program as its compiler, which a link
        // that CMake found in the masquerade directory is. The value is split at blanks.
        let blank = |byte: &u8| byte.is_ascii_whitespace();
        let prefix = match distcc.as_os_str().as_bytes().iter().any(blank) {
            true => "distcc".into(),
            false => distcc.into(),
        };
        self.exports.push(("CCACHE_PREFIX", prefix));
        self.exports.push((
            "CCACHE_PATH",
            std::env::join_paths(&survey.real_path).unwrap_or_default(),
        ));
    }

    /// The variables for the session's commands.
    #[must_use]
    pub fn exports(&self) -> &[Export] {
        &self.exports
    }

    /// The session's directory.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Starts helpers again that have stopped.
    pub fn tend(&mut self) {
        let mut changed = false;
        if let Some(helper) = &mut self.include_server {
            let health = helper.tend();
            changed |= health != Health::Unchanged;
            if health == Health::GivenUp {
                eprintln!("pump: the include server keeps stopping: the rest is preprocessed here");
            }
        }
        if let Some(server) = &mut self.private {
            let health = server.helper().tend();
            changed |= health != Health::Unchanged;
            if health == Health::GivenUp {
                server.close();
                let log = self.session.file(private_server::LOG);
                let last = std::fs::read(&log).unwrap_or_default();
                let last = String::from_utf8_lossy(&last);
                let last = last.lines().last().unwrap_or("it said nothing").trim();
                eprintln!(
                    "pump: the private distccd keeps stopping ({last}): the rest is compiled here"
                );
            }
        }
        if changed && let Err(error) = self.record() {
            eprintln!("pump: {error}");
        }
    }

    /// Writes down which processes there are.
    fn record(&mut self) -> Result<(), PumpError> {
        let keeper = super::process::Process::own()
            .map_err(PumpError::system("cannot read /proc/self/stat"))?;
        let helpers = [
            self.include_server.as_mut(),
            self.private.as_mut().map(PrivateServer::helper),
        ];
        self.session.write_record(&Record {
            namespace: pid_namespace(),
            keeper: Some(keeper),
            has_command: self.purpose == Purpose::Command,
            helpers: helpers
                .into_iter()
                .flatten()
                .filter_map(|helper| helper.process())
                .collect(),
        })
    }

    fn end_helpers(&mut self) {
        if let Some(helper) = &mut self.include_server {
            helper.end();
        }
        if let Some(server) = &mut self.private {
            server.close();
            server.helper().end();
        }
    }

    fn incidents(&mut self) -> Vec<String> {
        let helpers = [
            self.include_server.as_mut(),
            self.private.as_mut().map(PrivateServer::helper),
        ];
        helpers
            .into_iter()
            .flatten()
            .filter_map(|helper| helper.incident())
            .collect()
    }

    /// Ends a command's session: helpers, their last words, the summary, the directory.
    pub fn finish(mut self, summary_wanted: bool) {
        if summary_wanted {
            self.progress
                .say("Shutting down distcc-pump include server");
        }
        self.end_helpers();
        write_trace(&self.about, &self.journal);
        if summary_wanted {
            let incidents = self.incidents();
            report(&self.session, &self.journal, &incidents);
        }
        self.session.remove();
    }

    /// Ends the helpers of a daemon's session and leaves the rest to `--shutdown`.
    pub fn retire(mut self) {
        self.end_helpers();
        let incidents = self.incidents();
        if incidents.is_empty() {
            return;
        }
        let written = self
            .session
            .append(INCIDENTS)
            .map(|mut file| writeln!(file, "{}", incidents.join("\n")));
        if let Err(error) = written {
            eprintln!("pump: {error}");
        }
    }
}

/// What happened to a daemon's session, one a line.
pub const INCIDENTS: &str = "incidents";

/// The include server's output, if any, and the summary, all on stderr.
pub fn report(session: &Session, start: &JournalStart, incidents: &[String]) {
    for name in include_service::OUTPUT {
        let text = std::fs::read(session.file(name)).unwrap_or_default();
        // Nothing can be done about a closed stderr.
        let _ = std::io::stderr().write_all(&text);
    }
    match journal::read(&start.path, start.from) {
        Ok(jobs) => eprint!("{}", summary::render(&jobs, incidents)),
        Err(error) => eprintln!(
            "pump: cannot read the journal {}: {error}",
            start.path.display()
        ),
    }
}

/// Makes sure that the trace can be written before anything is built: it is there, empty, from the beginning.
fn begin_trace(options: &Options) -> Result<Option<PathBuf>, PumpError> {
    let Some(path) = &options.trace else {
        return Ok(None);
    };
    let failed = |cause| PumpError::Trace {
        path: path.clone(),
        cause,
    };
    let path = std::path::absolute(path).map_err(failed)?;
    let empty = trace::render(&[], timeline::now(), "").map_err(|error| failed(error.into()))?;
    if !trace::is_special(&path) {
        trace::write(&path, &empty)?;
    }
    Ok(Some(path))
}

/// Writes the trace of all jobs of a session, if one is wanted.
pub fn write_trace(about: &About, start: &JournalStart) {
    let Some(path) = &about.trace else { return };
    let failed = |cause| PumpError::Trace {
        path: path.clone(),
        cause,
    };
    let written = journal::read(&start.path, start.from)
        .and_then(|jobs| {
            let command = about.command.to_string_lossy();
            Ok(trace::render(&jobs, about.began, &command)?)
        })
        .map_err(failed)
        .and_then(|text| trace::write(path, &text));
    if let Err(error) = written {
        eprintln!("pump: {error}");
    }
}

impl JournalStart {
    /// The user's own journal when one is named; else the session's. A journal in some session's directory is left over
    /// from that session, not the user's choice.
    fn of(environment: &Environment, session: &Session) -> Self {
        let chosen = environment
            .journal
            .as_deref()
            .filter(|path| !session::is_in_a_session(path))
            .and_then(|path| std::path::absolute(path).ok());
        let path = chosen.unwrap_or_else(|| session.file("journal"));
        let from = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        Self { path, from }
    }

    /// Writes it into the session's directory, for `--shutdown`.
    fn note(&self, session: &Session) -> Result<(), PumpError> {
        use std::os::unix::ffi::OsStrExt;
        let path = session.file(JOURNAL_START);
        let mut text = format!("{}\n", self.from).into_bytes();
        text.extend_from_slice(self.path.as_os_str().as_bytes());
        std::fs::write(&path, text).map_err(|cause| PumpError::SessionFile { path, cause })
    }

    /// Reads what [`JournalStart::note`] wrote; the session's own journal when it did not.
    #[must_use]
    pub fn noted(session: &Session) -> Self {
        use std::os::unix::ffi::OsStringExt;
        let read = || -> Option<Self> {
            let text = std::fs::read(session.file(JOURNAL_START)).ok()?;
            let end = text.iter().position(|&byte| byte == b'\n')?;
            let from = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
            let path = PathBuf::from(OsString::from_vec(text[end + 1..].to_vec()));
            Some(Self { path, from })
        };
        read().unwrap_or_else(|| Self {
            path: session.file("journal"),
            from: 0,
        })
    }
}

const JOURNAL_START: &str = "journal-start";

/// Says what becomes of a session that the environment still names.
fn note_older_session(environment: &Environment, purpose: Purpose) {
    let Some(port) = &environment.include_server_port else {
        return;
    };
    let Some(directory) = port.parent() else {
        return;
    };
    match Session::open(directory) {
        // A command's session inside another one: the outer one goes on, and ends by itself.
        Ok((_, record))
            if record.is_kept() && (record.has_command || purpose == Purpose::Command) => {}
        Ok((_, record)) if record.is_kept() => eprintln!(
            "pump: the session in {0} goes on, too; end it with: INCLUDE_SERVER_DIR={0} pump --shutdown",
            directory.display()
        ),
        Ok(_) | Err(session::NotASession::Gone) => {
            eprintln!(
                "pump: ignoring INCLUDE_SERVER_PORT of a session that is gone ({})",
                directory.display()
            );
        }
        Err(_) => {}
    }
}

fn list(names: &std::collections::BTreeSet<OsString>) -> String {
    let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
    names.join(" ")
}
