//! A server's reply, protocols 1, 2 and 3.
//!
//! ```text
//! DONE version  STAT status  SERR bytes  SOUT bytes  DOTO bytes  [3, and status 0:  DOTD bytes]
//! ```

use crate::decoder::{Decoder, Grammar, Step, capped, decode_all, expect};
use crate::error::WireError;
use crate::limits::Limits;
use crate::token::{Tag, Token, put_body, put_token};
use crate::version::Version;
use crate::wait_status::WaitStatus;

/// What a server answers. All bodies are plain here; [`Reply::encode`] and the decoder pack and unpack them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request's version.
    pub version: Version,
    /// How the compiler ended.
    pub status: WaitStatus,
    /// The compiler's standard error.
    pub stderr: Vec<u8>,
    /// The compiler's standard output.
    pub stdout: Vec<u8>,
    /// The object file; empty when the compiler failed.
    pub object: Vec<u8>,
    /// The dependency file; `Some` exactly for successful jobs of protocol 3.
    pub dependencies: Option<Vec<u8>>,
}

impl Reply {
    /// The reply's bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.object.len() / 2 + self.stderr.len());
        put_token(&mut out, Tag::DONE, self.version.number());
        put_token(&mut out, Tag::STAT, self.status.0);
        put_body(&mut out, Tag::SERR, &self.version.pack(&self.stderr));
        put_body(&mut out, Tag::SOUT, &self.version.pack(&self.stdout));
        if self.status.success() {
            put_body(&mut out, Tag::DOTO, &self.version.pack(&self.object));
        } else {
            put_token(&mut out, Tag::DOTO, 0);
        }
        if self.has_dependencies() {
            put_body(
                &mut out,
                Tag::DOTD,
                &self
                    .version
                    .pack(self.dependencies.as_deref().unwrap_or_default()),
            );
        }
        out
    }

    /// Reads a reply to a request of `version` from a slice that holds exactly one.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn decode(bytes: &[u8], version: Version, limits: Limits) -> Result<Self, WireError> {
        decode_all(ReplyGrammar::new(version), bytes, limits)?.into_reply()
    }

    fn has_dependencies(&self) -> bool {
        self.version.server_preprocesses() && self.status.success()
    }
}

/// A reply that is being read from a connection.
pub struct ReplyDecoder(Decoder<ReplyGrammar>);

impl ReplyDecoder {
    /// A decoder for the reply to a request of `version`.
    #[must_use]
    pub fn new(version: Version, limits: Limits) -> Self {
        Self(Decoder::new(ReplyGrammar::new(version), limits))
    }

    /// Takes bytes from the server and returns how many were used; fewer than given means that the reply is complete.
    ///
    /// # Errors
    /// See [`WireError`]; after an error the decoder is of no more use.
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
    pub fn finish(self) -> Result<Reply, WireError> {
        self.0.finish()?.into_reply()
    }
}

/// The bodies of a reply in their order.
const BODIES: [(Tag, &str); 4] = [
    (Tag::SERR, "SERR"),
    (Tag::SOUT, "SOUT"),
    (Tag::DOTO, "DOTO"),
    (Tag::DOTD, "DOTD"),
];

struct ReplyGrammar {
    version: Version,
    greeted: bool,
    status: Option<WaitStatus>,
    bodies: Vec<Vec<u8>>,
}

impl ReplyGrammar {
    fn new(version: Version) -> Self {
        Self {
            version,
            greeted: false,
            status: None,
            bodies: Vec::with_capacity(BODIES.len()),
        }
    }

    /// How many bodies this reply has; known once the status is.
    fn body_count(&self, status: WaitStatus) -> usize {
        if self.version.server_preprocesses() && status.success() {
            4
        } else {
            3
        }
    }

    fn into_reply(self) -> Result<Reply, WireError> {
        let status = self
            .status
            .ok_or(WireError::Truncated { expected: "STAT" })?;
        let mut bodies = self.bodies.into_iter();
        let mut next = || bodies.next().unwrap_or_default();
        let (stderr, stdout, object) = (next(), next(), next());
        Ok(Reply {
            version: self.version,
            status,
            stderr,
            stdout,
            object,
            dependencies: bodies.next(),
        })
    }
}

impl Grammar for ReplyGrammar {
    fn token(&mut self, token: Token, limits: &Limits) -> Result<Step, WireError> {
        if !self.greeted {
            expect(token, Tag::DONE, "DONE")?;
            if token.value != self.version.number() {
                return Err(WireError::UnknownVersion(token.value));
            }
            self.greeted = true;
            return Ok(Step::Token);
        }
        if self.status.is_none() {
            expect(token, Tag::STAT, "STAT")?;
            self.status = Some(WaitStatus(token.value));
            return Ok(Step::Token);
        }
        let (tag, name) = BODIES[self.bodies.len()];
        expect(token, tag, name)?;
        Ok(Step::Body(capped(token, limits.body_bytes)?))
    }

    fn body(&mut self, body: Vec<u8>, limits: &Limits) -> Result<(), WireError> {
        self.bodies
            .push(self.version.unpack(body, limits.plain_bytes)?);
        Ok(())
    }

    fn expected(&self) -> Option<&'static str> {
        match self.status {
            _ if !self.greeted => Some("DONE"),
            None => Some("STAT"),
            Some(status) if self.bodies.len() < self.body_count(status) => {
                Some(BODIES[self.bodies.len()].1)
            }
            Some(_) => None,
        }
    }
}
