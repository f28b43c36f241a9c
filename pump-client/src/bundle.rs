//! One job on one server in the bundle dialect: an offer, what the server lacks, the result.
//!
//! The include server makes the manifest and everything that a server may ask for; this side puts the command line beside it and passes
//! the rest on. Owns the order of steps.

use crate::connection::Connection;
use crate::frames::Incoming;
use crate::include_client::Conversation;
use crate::job_state::Phase;
use crate::log;
use crate::remote::{Attempt, hung_up, send};
use crate::trouble::Trouble;
use protocol::bundle::block::Codecs;
use protocol::bundle::digest::Digest;
use protocol::bundle::need::Need;
use protocol::bundle::offer::{encode_offer, split_words};
use protocol::bundle::refusal::{Refusal, RefusalKind};
use protocol::bundle::reply::{BundleReply, BundleReplyDecoder};
use protocol::bundle::setting::{Setting, encode_setting};
use protocol::bundle::{BUNDLE_VERSION, put_frame};
use protocol::command_line::CommandLine;
use protocol::limits::Limits;
use protocol::token::{Tag, put_token};
use std::os::unix::ffi::OsStrExt;

/// What came of an offer.
#[derive(Debug)]
pub enum Outcome {
    /// The server ran the compiler.
    Answered(BundleReply),
    /// It hung up without a byte, as a stock server does.
    HungUp,
    /// It is to be done in another way, for this reason.
    Unsuited(String),
}

/// How often a server may find that it lacks something. It asks more than once when somebody else's upload failed, or when it had
/// to forget something.
const ROUNDS: usize = 32;

impl Attempt<'_> {
    /// Offers the job that `conversation` is about.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn bundle(&self, cwd: &[u8], conversation: &mut Conversation) -> Result<Outcome, Trouble> {
        let dependencies_output = self.environment.dependencies_output.as_ref();
        let words = self
            .command
            .for_remote_pump(dependencies_output.map(|value| value.as_bytes()));
        self.log_exec(&words);
        let stem = stem(self.command);
        let is_own = |word: &[u8]| {
            self.command.output() == Some(word)
                || !stem.is_empty() && word.windows(stem.len()).any(|part| part == stem)
        };
        let (common, own) = split_words(&words, is_own);
        let (manifest, platform) = conversation.manifest()?;
        let setting = Setting::encode(cwd, platform, &common);
        let name = Digest::of(&setting);
        let mut opening = Vec::with_capacity(1024);
        put_token(&mut opening, Tag::BNDL, BUNDLE_VERSION);
        let offer = encode_offer(Codecs::ALL, &name, &own, manifest);
        put_frame(&mut opening, Tag::OFFR, &offer);
        self.state.note(Phase::Connect);
        let mut connection = Connection::open(self.host, self.environment)?;
        self.state.note(Phase::Send);
        match send(&mut connection, &opening) {
            Err(Trouble::NoAnswer) => return Ok(Outcome::HungUp),
            sent => sent?,
        }
        self.converse(connection, conversation, &setting)
    }

    /// From the offer to the reply.
    fn converse(
        &self,
        mut connection: Connection,
        conversation: &mut Conversation,
        setting: &[u8],
    ) -> Result<Outcome, Trouble> {
        const REPLIES: &[Tag] = &[Tag::NEED, Tag::REFU];
        let mut incoming = Incoming::default();
        for round in 0..=ROUNDS {
            connection.flush();
            self.state.note(Phase::Compile);
            let tag = incoming.next_tag(&mut |buffer| receive(&mut connection, buffer));
            match tag {
                Err(Trouble::NoAnswer) | Ok(None) if round == 0 => return Ok(Outcome::HungUp),
                Ok(Some(Tag::DONE)) => break,
                other => _ = other?,
            }
            let mut read = |buffer: &mut [u8]| receive(&mut connection, buffer);
            let frame = incoming.next(REPLIES, &mut read)?;
            if frame.tag == Tag::REFU {
                return refused(Refusal::decode(&frame.body)?);
            }
            log::debug!(
                "the server lacks something: {} bytes of names",
                frame.body.len()
            );
            self.state.note(Phase::Send);
            let need = Need::decode(&frame.body, &Limits::DEFAULT)?;
            if need.setting {
                let mut message = Vec::with_capacity(setting.len() + 64);
                put_frame(
                    &mut message,
                    Tag::SETT,
                    &encode_setting(setting, need.codecs.best()),
                );
                send(&mut connection, &message)?;
            }
            let passed = match need.blobs.is_empty() && need.table.is_none() {
                true => have(&mut connection),
                false => conversation.give(&frame.body, |message| send(&mut connection, message)),
            };
            match passed {
                Err(Trouble::IncludeServer(error)) => {
                    return Ok(Outcome::Unsuited(error.to_string()));
                }
                passed => passed?,
            }
        }
        self.state.note(Phase::Receive);
        let mut decoder = BundleReplyDecoder::new(Limits::DEFAULT);
        incoming.feed(&mut |buffer| receive(&mut connection, buffer), |bytes| {
            Ok((decoder.feed(bytes)?, decoder.is_complete()))
        })?;
        Ok(Outcome::Answered(decoder.finish()?))
    }
}

/// The end of what was asked for, when only the setting was.
fn have(connection: &mut Connection) -> Result<(), Trouble> {
    let mut message = Vec::new();
    put_token(&mut message, Tag::HAVE, 0);
    send(connection, &message)
}

fn receive(connection: &mut Connection, buffer: &mut [u8]) -> Result<usize, Trouble> {
    connection.receive(buffer).map_err(hung_up)
}

fn refused(refusal: Refusal) -> Result<Outcome, Trouble> {
    match refusal.kind {
        RefusalKind::Unsuited => Ok(Outcome::Unsuited(refusal.text)),
        RefusalKind::Compiler | RefusalKind::Busy | RefusalKind::Broken => {
            Err(Trouble::Refused(refusal.text))
        }
    }
}

/// The source's name without directories and suffix: words that contain it are this job's own, and not its build's.
fn stem(command: &CommandLine) -> &[u8] {
    let source = command.source().unwrap_or_default();
    let name = source.rsplit(|&byte| byte == b'/').next().unwrap_or(source);
    match name.iter().rposition(|&byte| byte == b'.') {
        Some(dot) if dot > 0 => &name[..dot],
        _ => name,
    }
}
