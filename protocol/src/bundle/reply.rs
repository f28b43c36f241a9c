//! What a server answers to an offer that it carried out: all that the compiler wrote.
//!
//! ```text
//! DONE version  CACH note  STAT status  SERR block  SOUT block  DOTO block  DOTD block  SIDE n  (NAME path  FILE block)*n
//! note:  fate (1 byte: 0 compiled and kept, 1 kept from an earlier compile, 2 compiled and not kept)  text
//! ```
//! `version` is the dialect's. The note says how the server came to its answer; its text is a line for people, at most [`NOTE_BYTES`]. What follows it is the
//! *outcome*, which a server can keep and send again as it is. The blocks are those of [`super::block`]. The object and what follows it are empty when the compiler failed. `SIDE` announces files that
//! the compiler wrote besides, under the names that the command line gives them on the client.

use super::block::{Codec, Codecs, Effort, put_block, take_block};
use super::number::Body;
use crate::decoder::{Decoder, Grammar, Step, capped, decode_all, expect};
use crate::error::WireError;
use crate::limits::Limits;
use crate::token::{Tag, Token, put_body, put_token};
use crate::wait_status::WaitStatus;

/// Most bytes of a note's text.
pub const NOTE_BYTES: u32 = 1024;

/// How a server came to its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// It compiled, and keeps the result for others.
    #[default]
    Compiled = 0,
    /// It had compiled the same before.
    Hit = 1,
    /// It compiled, and does not keep the result.
    NotKept = 2,
}

/// What a server says of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// How it came to it.
    pub fate: Fate,
    /// Why, in a line; may be empty.
    pub text: String,
}

impl Note {
    fn put(&self, out: &mut Vec<u8>) {
        let mut text = self.text.as_bytes();
        text = &text[..text.len().min(NOTE_BYTES as usize - 1)];
        put_token(out, Tag::CACH, text.len() as u32 + 1);
        out.push(self.fate as u8);
        out.extend_from_slice(text);
    }

    fn take(bytes: &[u8]) -> Result<Self, WireError> {
        let mut body = Body::new(bytes);
        let fate = match body.byte()? {
            0 => Fate::Compiled,
            1 => Fate::Hit,
            2 => Fate::NotKept,
            _ => return Err(WireError::BadEntry),
        };
        // A line for people: whatever could move a terminal's cursor goes.
        let text = String::from_utf8_lossy(body.rest());
        let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        Ok(Self {
            fate,
            text: text.collect(),
        })
    }
}

/// See the module's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleReply {
    /// How the server came to it.
    pub note: Note,
    /// How the compiler ended.
    pub status: WaitStatus,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// The object file.
    pub object: Vec<u8>,
    /// The dependency file; empty when the job has none.
    pub dependencies: Vec<u8>,
    /// Further files: name and content.
    pub side: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The four bodies that every reply has.
const BODIES: [(Tag, &str); 4] = [
    (Tag::SERR, "SERR"),
    (Tag::SOUT, "SOUT"),
    (Tag::DOTO, "DOTO"),
    (Tag::DOTD, "DOTD"),
];

/// Side files at most: a compile writes a handful.
const SIDE_FILES: u32 = 64;

impl BundleReply {
    /// The reply's bytes on the wire, in a codec that the client reads.
    #[must_use]
    pub fn encode(&self, codec: Codec) -> Vec<u8> {
        Self::with_outcome(&self.note, &self.encode_outcome(codec))
    }

    /// A reply's bytes from an outcome as [`BundleReply::encode_outcome`] made it.
    #[must_use]
    pub fn with_outcome(note: &Note, outcome: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + note.text.len() + outcome.len());
        put_token(&mut out, Tag::DONE, super::BUNDLE_VERSION);
        note.put(&mut out);
        out.extend_from_slice(outcome);
        out
    }

    /// All of a reply behind its note.
    #[must_use]
    pub fn encode_outcome(&self, codec: Codec) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.object.len() / 2 + self.stderr.len());
        put_token(&mut out, Tag::STAT, self.status.0);
        let put = |out: &mut Vec<u8>, tag, plain: &[u8]| {
            let mut block = Vec::with_capacity(plain.len() / 2 + 16);
            put_block(&mut block, plain, codec, Effort::Quick);
            put_body(out, tag, &block);
        };
        put(&mut out, Tag::SERR, &self.stderr);
        put(&mut out, Tag::SOUT, &self.stdout);
        put(&mut out, Tag::DOTO, &self.object);
        put(&mut out, Tag::DOTD, &self.dependencies);
        let count = u32::try_from(self.side.len()).expect("a handful of files");
        put_token(&mut out, Tag::SIDE, count);
        for (name, content) in &self.side {
            put_body(&mut out, Tag::NAME, name);
            put(&mut out, Tag::FILE, content);
        }
        out
    }

    /// Reads a reply from a slice that holds exactly one.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(bytes: &[u8], limits: Limits) -> Result<Self, WireError> {
        Ok(decode_all(BundleReplyGrammar::default(), bytes, limits)?.into_reply())
    }

    /// Reads what [`BundleReply::encode_outcome`] made; the note is the default one.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode_outcome(bytes: &[u8], limits: Limits) -> Result<Self, WireError> {
        let grammar = BundleReplyGrammar {
            greeted: true,
            note: Some(Note::default()),
            ..BundleReplyGrammar::default()
        };
        Ok(decode_all(grammar, bytes, limits)?.into_reply())
    }
}

/// A reply that is being read from a connection.
pub struct BundleReplyDecoder(Decoder<BundleReplyGrammar>);

impl BundleReplyDecoder {
    /// A decoder that has seen nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Decoder::new(BundleReplyGrammar::default(), limits))
    }

    /// Takes bytes from the server and returns how many were used; fewer than given means that the reply is complete.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, WireError> {
        self.0.feed(input)
    }

    /// Whether the whole reply was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// The reply.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when it is not complete.
    pub fn finish(self) -> Result<BundleReply, WireError> {
        Ok(self.0.finish()?.into_reply())
    }
}

#[derive(Default)]
struct BundleReplyGrammar {
    greeted: bool,
    note: Option<Note>,
    status: Option<WaitStatus>,
    bodies: Vec<Vec<u8>>,
    side_count: Option<u32>,
    name: Option<Vec<u8>>,
    side: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the body to come is a name.
    naming: bool,
}

impl BundleReplyGrammar {
    fn into_reply(self) -> BundleReply {
        let mut bodies = self.bodies.into_iter();
        let mut next = || bodies.next().unwrap_or_default();
        BundleReply {
            note: self.note.unwrap_or_default(),
            status: self.status.unwrap_or_default(),
            stderr: next(),
            stdout: next(),
            object: next(),
            dependencies: next(),
            side: self.side,
        }
    }
}

impl Grammar for BundleReplyGrammar {
    fn token(&mut self, token: Token, limits: &Limits) -> Result<Step, WireError> {
        if !self.greeted {
            expect(token, Tag::DONE, "DONE")?;
            if token.value != super::BUNDLE_VERSION {
                return Err(WireError::UnknownVersion(token.value));
            }
            self.greeted = true;
            return Ok(Step::Token);
        }
        if self.note.is_none() {
            expect(token, Tag::CACH, "CACH")?;
            return Ok(Step::Body(capped(token, NOTE_BYTES)?));
        }
        if self.status.is_none() {
            expect(token, Tag::STAT, "STAT")?;
            self.status = Some(WaitStatus(token.value));
            return Ok(Step::Token);
        }
        if let Some((tag, name)) = BODIES.get(self.bodies.len()) {
            expect(token, *tag, name)?;
            return Ok(Step::Body(capped(token, limits.body_bytes)?));
        }
        if self.side_count.is_none() {
            expect(token, Tag::SIDE, "SIDE")?;
            self.side_count = Some(capped(token, SIDE_FILES)?);
            return Ok(Step::Token);
        }
        self.naming = self.name.is_none();
        if self.naming {
            expect(token, Tag::NAME, "NAME")?;
            return Ok(Step::Body(capped(token, limits.path_bytes)?));
        }
        expect(token, Tag::FILE, "FILE")?;
        Ok(Step::Body(capped(token, limits.body_bytes)?))
    }

    fn body(&mut self, bytes: Vec<u8>, limits: &Limits) -> Result<(), WireError> {
        if self.note.is_none() {
            self.note = Some(Note::take(&bytes)?);
            return Ok(());
        }
        if self.naming {
            self.name = Some(bytes);
            return Ok(());
        }
        let mut body = Body::new(&bytes);
        let plain = take_block(&mut body, Codecs::ALL, limits.plain_bytes)?;
        body.end()?;
        match self.name.take() {
            Some(name) => self.side.push((name, plain)),
            None => self.bodies.push(plain),
        }
        Ok(())
    }

    fn expected(&self) -> Option<&'static str> {
        if !self.greeted {
            return Some("DONE");
        }
        if self.note.is_none() {
            return Some("CACH");
        }
        if self.status.is_none() {
            return Some("STAT");
        }
        if let Some((_, name)) = BODIES.get(self.bodies.len()) {
            return Some(name);
        }
        match self.side_count {
            None => Some("SIDE"),
            Some(_) if self.name.is_some() => Some("FILE"),
            Some(count) if self.side.len() < count as usize => Some("NAME"),
            Some(_) => None,
        }
    }
}
