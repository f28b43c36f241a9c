//! One job from its plan to its exit code: hosts in turn, then here.
//!
//! [`Job::run`] is the client's main line. It owns the order of attempts and what is said when one fails; what each
//! failure means is in [`crate::trouble`].

use crate::backoff::Backoff;
use crate::bundle::Outcome;
use crate::compiler::Launcher;
use crate::dialect::Dialects;
use crate::environment::Environment;
use crate::host_list::{self, Host, HostList};
use crate::include_client::{self, Closure};
use crate::job_state::{JobState, Phase};
use crate::journal::{self, Entry, Mode};
use crate::log;
use crate::output::{self, OutputError};
use crate::plan::{LocalSlots, Plan, plan};
use crate::remote::{Attempt, PlainOutcome, shown};
use crate::remote_failure::{Evidence, Judgement, Shipment, judge};
use crate::slot::{Slot, Slots};
use crate::state_directory::StateDirectory;
use crate::timeline::{Step, Timeline};
use crate::trouble::{Next, Trouble};
use protocol::bundle::reply::{BundleReply, Fate, Note};
use protocol::command_line::{CommandLine, Word};
use protocol::include_dialogue::RichVersion;
use protocol::reply::Reply;
use protocol::version::Version;
use protocol::wait_status::WaitStatus;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// One job.
pub struct Job<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// How children are started.
    pub launcher: Launcher,
    /// The words as the user gave them; local runs use these.
    pub typed: Vec<Word>,
    /// The portable command line, response files expanded.
    pub command: CommandLine,
    /// The working directory, as the kernel names it.
    pub cwd: Vec<u8>,
    /// Whether `PWD` names the working directory by another path.
    pub cwd_alias: bool,
    /// When it came to its steps.
    pub timeline: Rc<Timeline>,
}

/// How a job ended.
struct Ending {
    mode: Mode,
    host: Vec<u8>,
    status: u8,
    reason: String,
    answer: Option<Note>,
}

/// What came of pump mode.
enum Pumped {
    Ended(Ending),
    /// The include server has no closure, for this reason.
    NoClosure(String),
    /// The server wants the job in another way, for this reason.
    Unsuited(String),
}

/// Asked for a section, an include server must not answer with a manifest.
const NO_SECTION: &str =
    "the include server answered with a manifest where a section was asked for";

/// What is shared by all steps of a job.
struct Workplace {
    slots: Slots,
    backoff: Backoff,
    dialects: Dialects,
    state: JobState,
}

impl Job<'_> {
    /// Runs the job; the result is the exit code.
    #[must_use]
    pub fn run(&self) -> u8 {
        let start = Instant::now();
        let ending = match plan(&self.command, self.environment, self.cwd_alias) {
            Plan::Local { reason, slots } => self.run_as_planned(reason, slots),
            Plan::Remote { pump } => self.distribute(pump),
        };
        log::info!(
            "elapsed compilation time {:.6}s",
            start.elapsed().as_secs_f64()
        );
        if let Some(journal) = &self.environment.journal {
            let entry = Entry {
                mode: ending.mode,
                host: &ending.host,
                status: ending.status,
                reason: &ending.reason,
                source: self.command.source().unwrap_or_default(),
                answer: ending.answer.as_ref(),
                times: &self.timeline.finish(),
            };
            journal::append(journal, &entry);
        }
        ending.status
    }

    /// The source for messages.
    fn source(&self) -> String {
        let source = self
            .command
            .source()
            .or_else(|| self.command.sources().next().map(|(source, _)| source));
        source.map_or_else(
            || "(no source)".into(),
            |s| String::from_utf8_lossy(s).into_owned(),
        )
    }

    fn workplace(&self) -> Workplace {
        let directory = StateDirectory::open_or_warn(self.environment);
        let source = self.command.source().unwrap_or_default();
        Workplace {
            state: JobState::new(directory.as_ref(), source, Rc::clone(&self.timeline)),
            backoff: Backoff::new(directory.clone(), self.environment.backoff_period),
            dialects: Dialects::new(directory.clone()),
            slots: Slots::new(directory, self.environment.pause),
        }
    }

    /// A job that was never to leave this machine.
    fn run_as_planned(&self, reason: String, slots: LocalSlots) -> Ending {
        log::info!("running locally: {reason}");
        if slots == LocalSlots::None {
            if self.environment.journal.is_none() {
                // Nothing is left to be done afterwards.
                let error = self.launcher.replace_self(&self.typed);
                log::error!("{error}");
                return Ending::local(error.exit_code(), reason);
            }
            return self.run_local(None, Slot::uncounted(), reason);
        }
        // Only the numbers of local slots are wanted; a bad list is the business of jobs that need hosts.
        let list = host_list::settings(self.environment);
        let mut place = self.workplace();
        place.state.note(Phase::Blocked);
        let slot = place.slots.lock_local(match slots {
            LocalSlots::Cpp => list.localslots_cpp,
            LocalSlots::None | LocalSlots::Compile => list.localslots,
        });
        self.run_local(Some(&mut place), slot, reason)
    }

    /// Runs the user's own command here.
    fn run_local(&self, place: Option<&mut Workplace>, slot: Slot, reason: String) -> Ending {
        if log::wants(log::Level::Info) {
            log::info!("exec on localhost: {}", shown(&self.typed));
        }
        match place {
            Some(place) => {
                place.state.assign(b"localhost", b"localhost", slot.number);
                place.state.note(Phase::Compile);
            }
            None => self.timeline.step(Step::Compile),
        }
        let status = match self.launcher.run(&self.typed) {
            Ok(status) => {
                self.say_completed("localhost", status);
                status.shell_code()
            }
            Err(error) => {
                log::error!("{error}");
                error.exit_code()
            }
        };
        self.timeline.free();
        drop(slot);
        Ending::local(status, reason)
    }

    /// A compile that may go elsewhere.
    fn distribute(&self, pump: Result<(), String>) -> Ending {
        let mut place = self.workplace();
        let list = match host_list::load(self.environment) {
            Ok(list) => list,
            Err(error) => {
                log::warning!("{error}");
                return self.fall_back(
                    &mut place,
                    &HostList::default(),
                    None,
                    Trouble::NoHosts(error),
                );
            }
        };
        let hosts: Vec<&Host> = list.hosts.iter().collect();
        let mut last: Option<(&Host, Trouble)> = None;
        loop {
            place.state.note(Phase::Blocked);
            let Some((host, slot)) = place.slots.lock_any(&hosts, &place.backoff) else {
                let (host, trouble) = match last {
                    Some((host, trouble)) => (Some(host), trouble),
                    None => (None, Trouble::NoUsableHost),
                };
                return self.fall_back(&mut place, &list, host, trouble);
            };
            if let Some((failed, trouble)) = &last {
                log::warning!("{}: {trouble}; trying {}", failed.label(), host.label());
            }
            if host.is_local() {
                let reason = "the host list chose localhost".into();
                return self.run_local(Some(&mut place), slot, reason);
            }
            let journal_name = host.journal_name();
            place.state.assign(host.name(), &journal_name, slot.number);
            let outcome = self.attempt(&place, &list, host, pump.clone());
            self.timeline.free();
            drop(slot);
            match outcome {
                Ok(ending) => {
                    place.backoff.enjoy(host);
                    return ending;
                }
                Err(trouble) => {
                    let reaction = trouble.reaction();
                    if reaction.dislike {
                        place.backoff.dislike(host);
                    }
                    if reaction.next == Next::Local {
                        return self.fall_back(&mut place, &list, Some(host), trouble);
                    }
                    place.backoff.pass_over(host);
                    last = Some((host, trouble));
                }
            }
        }
    }

    /// Says why, and compiles here; or ends, if that is forbidden.
    fn fall_back(
        &self,
        place: &mut Workplace,
        list: &HostList,
        host: Option<&Host>,
        trouble: Trouble,
    ) -> Ending {
        let reason = trouble.to_string();
        let source = self.source();
        if !self.environment.fallback {
            log::critical!("failed to distribute {source} and fallbacks are disabled: {reason}");
            return Ending {
                mode: Mode::Local,
                host: host.map(Host::journal_name).unwrap_or_default(),
                status: trouble.reaction().exit_code,
                reason,
                answer: None,
            };
        }
        match (host, &trouble) {
            (_, Trouble::NoHosts(_)) => {
                // The cause was said just before, in stock's own words.
                log::warning!("failed to distribute, running locally instead");
            }
            // The run below fails in the same way and says so.
            (_, Trouble::Launch(_)) => log::info!("running locally: {reason}"),
            (Some(host), Trouble::RemoteFailure { .. } | Trouble::EmptyResult) => log::warning!(
                "remote compilation of '{source}' failed on {}, retrying locally: {reason}",
                host.label()
            ),
            (Some(host), _) => log::warning!(
                "failed to distribute {source} to {} ({reason}), running locally instead",
                host.label()
            ),
            (None, _) => log::warning!("failed to distribute ({reason}), running locally instead"),
        }
        place.state.note(Phase::Blocked);
        let slot = place.slots.lock_local(list.localslots);
        self.run_local(Some(place), slot, reason)
    }

    /// One host, in the best mode that it and the job allow.
    fn attempt(
        &self,
        place: &Workplace,
        list: &HostList,
        host: &Host,
        pump: Result<(), String>,
    ) -> Result<Ending, Trouble> {
        let attempt = Attempt {
            environment: self.environment,
            launcher: &self.launcher,
            command: &self.command,
            host,
            list,
            slots: &place.slots,
            state: &place.state,
        };
        let (version, reason) = match (host.version, pump) {
            (Version::Pump3, Ok(())) => match self.pump(&attempt, place)? {
                Pumped::Ended(ending) => return Ok(ending),
                // For tests of an include server: no list from it ends the job.
                Pumped::NoClosure(reason) if self.environment.testing_include_server => {
                    log::critical!("DISTCC_TESTING_INCLUDE_SERVER is set: {reason}");
                    return Ok(Ending {
                        mode: Mode::Plain,
                        host: host.journal_name(),
                        status: 1,
                        reason,
                        answer: None,
                    });
                }
                Pumped::NoClosure(reason) => (Version::Lzo2, reason),
                Pumped::Unsuited(reason) => {
                    log::info!("preprocessing {} locally: {reason}", self.source());
                    (Version::Lzo2, reason)
                }
            },
            (Version::Pump3, Err(reason)) => {
                log::info!("preprocessing locally: {reason}");
                (Version::Lzo2, reason)
            }
            (version, _) => (version, "the host is listed without ',cpp'".into()),
        };
        self.plain(&attempt, version, reason)
    }

    /// Pump mode: in the bundle dialect where the server speaks it, else by protocol 3.
    fn pump(&self, attempt: &Attempt<'_>, place: &Workplace) -> Result<Pumped, Trouble> {
        let host = attempt.host;
        let wanted = match self.environment.stock_protocols || place.dialects.is_stock(host) {
            true => RichVersion::Section,
            false => RichVersion::Manifest,
        };
        let mut closure = self.closure(attempt, place, wanted);
        let mut hung_up = false;
        if let Ok(Closure::Manifest(mut conversation)) = closure {
            match attempt.bundle(&self.cwd, &mut conversation)? {
                Outcome::Answered(reply) => {
                    return self.end_bundle(attempt, reply).map(Pumped::Ended);
                }
                Outcome::Unsuited(reason) => return Ok(Pumped::Unsuited(reason)),
                Outcome::HungUp => {
                    log::debug!("{} hung up on the bundle dialect", host.label());
                    hung_up = true;
                    closure = conversation
                        .into_section()
                        .map_err(|error| error.to_string());
                }
            }
        }
        let section = match closure {
            Ok(Closure::Section(section)) => section,
            Ok(Closure::Doubt(reason)) => {
                log::info!("preprocessing {} locally: {reason}", self.source());
                return Ok(Pumped::NoClosure(reason));
            }
            Ok(Closure::Manifest(_)) => return Ok(Pumped::NoClosure(NO_SECTION.into())),
            Err(reason) => {
                log::warning!(
                    "failed to get includes from include server, preprocessing locally: {reason}"
                );
                return Ok(Pumped::NoClosure(reason));
            }
        };
        let ending = self.pump_by_section(attempt, &section)?;
        if hung_up {
            place.dialects.note_stock(host);
        }
        Ok(Pumped::Ended(ending))
    }

    fn closure(
        &self,
        attempt: &Attempt<'_>,
        place: &Workplace,
        wanted: RichVersion,
    ) -> Result<Closure, String> {
        place.state.note_scan();
        // A scan may be as heavy as a preprocessor: it takes the same kind of slot.
        let _slot = place.slots.lock_local(attempt.list.localslots_cpp);
        let words = self.command.words();
        let path = &self.launcher.path;
        include_client::closure(self.environment, &self.cwd, words, path, wanted)
            .map_err(|error| error.to_string())
    }

    /// What a server answered in the bundle dialect. It had this machine's compiler and files, so that nothing but its own
    /// troubles makes a failure doubtful.
    fn end_bundle(&self, attempt: &Attempt<'_>, reply: BundleReply) -> Result<Ending, Trouble> {
        let note = reply.note;
        let reply = Reply {
            version: Version::Pump3,
            status: reply.status,
            stderr: reply.stderr,
            stdout: reply.stdout,
            object: reply.object,
            dependencies: Some(reply.dependencies),
        };
        match note.fate {
            Fate::Hit => log::info!("the server had compiled this before"),
            Fate::Compiled => log::info!("the server had no result of this: {}", note.text),
            Fate::NotKept => log::info!("the server keeps no result of this: {}", note.text),
        }
        let ending = self.end_pump(attempt, &reply, None)?;
        Ok(Ending {
            answer: Some(note),
            ..ending
        })
    }

    fn plain(
        &self,
        attempt: &Attempt<'_>,
        version: Version,
        reason: String,
    ) -> Result<Ending, Trouble> {
        let host = attempt.host;
        let ending = |status: WaitStatus| Ending {
            mode: Mode::Plain,
            host: host.journal_name(),
            status: status.shell_code(),
            reason,
            answer: None,
        };
        let (reply, early) = match attempt.plain(version)? {
            PlainOutcome::PreprocessorFailed(capture) => {
                output::replay(&[], &capture.stderr);
                log::error!("cpp {} on localhost failed", self.source());
                return Ok(ending(capture.status));
            }
            PlainOutcome::Answered {
                reply,
                preprocessor_stderr,
            } => (reply, preprocessor_stderr),
        };
        let object_name = self.object_name();
        if reply.status.success() {
            self.accept(host, &object_name, &reply, None)?;
        } else {
            self.judge_failure(&reply, None)?;
        }
        let stderr = [early, reply.stderr].concat();
        output::replay(&reply.stdout, &stderr);
        self.say_completed(&host.label(), reply.status);
        Ok(ending(reply.status))
    }

    /// Protocol 3.
    fn pump_by_section(&self, attempt: &Attempt<'_>, section: &[u8]) -> Result<Ending, Trouble> {
        let reply = attempt.pump(&self.cwd, section)?;
        let shipment = Shipment {
            section,
            cwd: &self.cwd,
            same_system: attempt.host.is_loopback(),
        };
        self.end_pump(attempt, &reply, Some(shipment))
    }

    fn end_pump(
        &self,
        attempt: &Attempt<'_>,
        reply: &Reply,
        shipment: Option<Shipment<'_>>,
    ) -> Result<Ending, Trouble> {
        let host = attempt.host;
        if reply.status.success() {
            let dependencies_output = self.environment.dependencies_output.as_ref();
            let file = self
                .command
                .dependency_file(dependencies_output.map(|v| v.as_bytes()));
            self.accept(host, &self.object_name(), reply, file.as_ref())?;
        } else {
            self.judge_failure(reply, shipment)?;
        }
        output::replay(&reply.stdout, &reply.stderr);
        self.say_completed(&host.label(), reply.status);
        Ok(Ending {
            mode: Mode::Pump,
            host: host.journal_name(),
            status: reply.status.shell_code(),
            reason: String::new(),
            answer: None,
        })
    }

    fn object_name(&self) -> Word {
        self.command.output_file().unwrap_or_default()
    }

    /// Writes the results of a compile that succeeded: all of them, or none.
    fn accept(
        &self,
        host: &Host,
        object: &[u8],
        reply: &Reply,
        dependencies: Option<&protocol::command_line::DependencyFile>,
    ) -> Result<(), Trouble> {
        // What is sent to /dev/null is not sent back by a server that does as it is told.
        if reply.object.is_empty() && object != b"/dev/null" {
            return Err(Trouble::EmptyResult);
        }
        let path = |name: &[u8]| Path::new(OsStr::from_bytes(name)).to_owned();
        let prepared = output::prepare(&path(object), &reply.object)?;
        if let Some(file) = dependencies {
            let text = reply.dependencies.as_deref().unwrap_or_default();
            write_dependencies(&path(&file.path), file.append, text)?;
        }
        prepared.publish()?;
        log::info!(
            "{} bytes of object from {}",
            reply.object.len(),
            host.label()
        );
        Ok(())
    }

    /// A failure that must be the user's own is the result; one that may not be is trouble.
    fn judge_failure(&self, reply: &Reply, pump: Option<Shipment<'_>>) -> Result<(), Trouble> {
        if self.environment.skip_local_retry || !self.environment.fallback {
            return Ok(());
        }
        let evidence = Evidence {
            status: reply.status,
            stderr: &reply.stderr,
            pump,
        };
        match judge(evidence) {
            Judgement::Genuine => Ok(()),
            Judgement::Doubtful(reason) => Err(Trouble::RemoteFailure {
                reason,
                status: reply.status,
            }),
        }
    }

    fn say_completed(&self, host: &str, status: WaitStatus) {
        let source = self.source();
        match (status.signal(), status.exit_code()) {
            (Some(signal), _) => {
                log::error!("compile {source} on {host} died with signal {signal}")
            }
            (None, 0) => log::info!("compile {source} on {host} completed ok"),
            (None, 1) => log::error!("compile {source} on {host} failed"),
            (None, code) => log::error!("compile {source} on {host} failed with exit code {code}"),
        }
    }
}

fn write_dependencies(path: &Path, append: bool, text: &[u8]) -> Result<(), OutputError> {
    if append {
        output::append(path, text)
    } else {
        output::prepare(path, text)?.publish()
    }
}

impl Ending {
    fn local(status: u8, reason: String) -> Self {
        Self {
            mode: Mode::Local,
            host: b"localhost".to_vec(),
            status,
            reason,
            answer: None,
        }
    }
}
