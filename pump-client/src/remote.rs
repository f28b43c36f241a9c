//! One job on one server: protocols 1 and 2 with the preprocessor run here, protocol 3 with the include server's
//! closure.
//!
//! Owns the order of steps: the remote slot is held by the caller; for protocols 1 and 2 a local cpp slot is taken, the
//! preprocessor started, and while it runs the connection is opened and the request's head sent.

use crate::compiler::{Capture, Captured, Launcher};
use crate::connection::{Connection, ConnectionError};
use crate::environment::Environment;
use crate::host_list::{Host, HostList};
use crate::job_state::{JobState, Phase};
use crate::log;
use crate::slot::{Slot, Slots};
use crate::trouble::Trouble;
use protocol::command_line::{CommandLine, Word, is_preprocessed};
use protocol::limits::Limits;
use protocol::reply::{Reply, ReplyDecoder};
use protocol::request::encode_head;
use protocol::token::{Tag, put_body};
use protocol::version::Version;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Bytes read from a server at once.
const CHUNK: usize = 64 << 10;

/// What all attempts of one job share.
pub struct Attempt<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// How children are started.
    pub launcher: &'a Launcher,
    /// The portable command line.
    pub command: &'a CommandLine,
    /// The host, whose slot the caller holds.
    pub host: &'a Host,
    /// The list, for the number of local cpp slots.
    pub list: &'a HostList,
    /// This machine's slots.
    pub slots: &'a Slots,
    /// The job's state for monitors.
    pub state: &'a JobState,
}

/// What came of an attempt with the preprocessor run here.
#[derive(Debug)]
pub enum PlainOutcome {
    /// The preprocessor already failed: its own output and status are the job's.
    PreprocessorFailed(Capture),
    /// The server answered.
    Answered {
        /// Its reply.
        reply: Reply,
        /// What the preprocessor wrote to standard error.
        preprocessor_stderr: Vec<u8>,
    },
}

/// The preprocessed source, or how it comes.
enum Source {
    Ready(Vec<u8>),
    Coming { child: Captured, slot: Slot },
}

impl Attempt<'_> {
    /// Protocols 1 and 2.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn plain(&self, version: Version) -> Result<PlainOutcome, Trouble> {
        self.state.note(Phase::Preprocess);
        let source = self.start_source()?;
        let mut words = self.command.for_remote_preprocessed();
        if self.command.output().is_none()
            && let Some(output) = self.command.output_file()
        {
            words.extend([b"-o".to_vec(), output]);
        }
        self.log_exec(&words);
        self.state.note(Phase::Connect);
        let mut connection = Connection::open(self.host, self.environment)?;
        send(&mut connection, &encode_head(version, None, &words))?;
        let (text, preprocessor_stderr) = match source {
            Source::Ready(text) => (text, Vec::new()),
            Source::Coming { child, slot } => {
                self.state.note(Phase::Preprocess);
                let capture = child.finish().map_err(|error| Trouble::Here {
                    doing: "reading from the preprocessor",
                    error,
                })?;
                drop(slot);
                if !capture.status.success() {
                    return Ok(PlainOutcome::PreprocessorFailed(capture));
                }
                self.save_text(&capture.stdout);
                (capture.stdout, capture.stderr)
            }
        };
        self.state.note(Phase::Send);
        let mut body = Vec::with_capacity(text.len() / 3 + 64);
        put_body(&mut body, Tag::DOTI, &version.pack(&text));
        drop(text);
        send(&mut connection, &body)?;
        let reply = self.receive(connection, version)?;
        Ok(PlainOutcome::Answered {
            reply,
            preprocessor_stderr,
        })
    }

    /// Protocol 3 with a closure's section.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn pump(&self, cwd: &[u8], section: &[u8]) -> Result<Reply, Trouble> {
        let dependencies_output = self.environment.dependencies_output.as_ref();
        let words = self
            .command
            .for_remote_pump(dependencies_output.map(|v| v.as_bytes()));
        self.log_exec(&words);
        self.state.note(Phase::Connect);
        let mut connection = Connection::open(self.host, self.environment)?;
        self.state.note(Phase::Send);
        send(
            &mut connection,
            &encode_head(Version::Pump3, Some(cwd), &words),
        )?;
        send(&mut connection, section)?;
        self.receive(connection, Version::Pump3)
    }

    fn start_source(&self) -> Result<Source, Trouble> {
        let source = self.command.source().unwrap_or_default();
        let preprocessed = self
            .command
            .language()
            .is_some_and(|language| language.preprocessed);
        if preprocessed || is_preprocessed(source) {
            let text = std::fs::read(OsStr::from_bytes(source)).map_err(|error| Trouble::Here {
                doing: "reading the source",
                error,
            })?;
            return Ok(Source::Ready(text));
        }
        let slot = self.slots.lock_local(self.list.localslots_cpp);
        let words = self.command.for_preprocessing();
        let child = self.launcher.capture(&words)?;
        Ok(Source::Coming { child, slot })
    }

    fn receive(&self, mut connection: Connection, version: Version) -> Result<Reply, Trouble> {
        connection.flush();
        log::debug!("client finished sending request to server");
        self.state.note(Phase::Compile);
        let mut decoder = ReplyDecoder::new(version, Limits::DEFAULT);
        let mut buffer = vec![0; CHUNK];
        let mut received = 0;
        while !decoder.is_complete() {
            let n = match connection.receive(&mut buffer) {
                Ok(n) => n,
                // A server that closes with our bytes unread resets the connection: no answer, as well.
                Err(error) if received == 0 && error.is_reset() => 0,
                Err(error) => return Err(error.into()),
            };
            if n == 0 {
                break;
            }
            if received == 0 {
                self.state.note(Phase::Receive);
            }
            received += n;
            decoder.feed(&buffer[..n])?;
        }
        if received == 0 {
            return Err(Trouble::NoAnswer);
        }
        Ok(decoder.finish()?)
    }

    pub(crate) fn log_exec(&self, words: &[Word]) {
        if log::wants(log::Level::Info) {
            log::info!("exec on {}: {}", self.host.label(), shown(words));
        }
    }

    /// With `DISTCC_SAVE_TEMPS=1` the preprocessed text is kept, under a name as stock gives it.
    fn save_text(&self, text: &[u8]) {
        if !self.environment.save_temps {
            return;
        }
        let suffix = self.command.preprocessed_suffix().unwrap_or(b".i");
        let mut name = format!("distcc_{:08x}", std::process::id()).into_bytes();
        name.extend_from_slice(suffix);
        let path = self
            .environment
            .temporary_directory
            .join(OsStr::from_bytes(&name));
        match std::fs::write(&path, text) {
            Ok(()) => log::info!("preprocessed text kept in {}", path.display()),
            Err(error) => log::warning!("cannot write {}: {error}", path.display()),
        }
    }
}

/// Sends; a server that hangs up meanwhile gave no answer.
pub(crate) fn send(connection: &mut Connection, bytes: &[u8]) -> Result<(), Trouble> {
    connection.send(bytes).map_err(hung_up)
}

/// A server that hangs up gave no answer.
pub(crate) fn hung_up(error: ConnectionError) -> Trouble {
    match error.is_reset() {
        true => Trouble::NoAnswer,
        false => error.into(),
    }
}

/// A command line for a message.
#[must_use]
pub fn shown(words: &[Word]) -> String {
    String::from_utf8_lossy(&words.join(&b' ')).into_owned()
}
