//! Reading a message from bytes as they arrive, without doing the reading.
//!
//! A [`Decoder`] is fed whatever came from the socket and asks a [`Grammar`] what each token means at that place. It
//! owns the half-read token and the half-read body, nothing else; blocking and asynchronous programs use the same one.

use crate::error::WireError;
use crate::limits::Limits;
use crate::token::{TOKEN_BYTES, Tag, Token};

/// Bytes reserved for a body when its length arrives; the rest is reserved as it comes, so that a claim costs nothing.
const FIRST_RESERVATION: usize = 1 << 20;

/// What a token leads to.
pub(crate) enum Step {
    /// The next token.
    Token,
    /// A body of this many bytes; already compared with its limit.
    Body(u32),
    /// The same, of which nothing is kept: the grammar takes an empty one.
    Skip(u32),
}

/// The order of tokens in one kind of message, and what is kept of it.
pub(crate) trait Grammar {
    /// Takes the next token.
    fn token(&mut self, token: Token, limits: &Limits) -> Result<Step, WireError>;
    /// Takes the body that the last token announced.
    fn body(&mut self, body: Vec<u8>, limits: &Limits) -> Result<(), WireError>;
    /// What comes next, for an error message; `None` when the message is complete.
    fn expected(&self) -> Option<&'static str>;
}

/// A body that is being read.
struct Partial {
    missing: usize,
    is_kept: bool,
    bytes: Vec<u8>,
}

/// A message that is being read. See the module's text.
pub(crate) struct Decoder<G> {
    grammar: G,
    limits: Limits,
    head: [u8; TOKEN_BYTES],
    head_bytes: usize,
    body: Option<Partial>,
    body_total: u64,
}

impl<G: Grammar> Decoder<G> {
    pub(crate) fn new(grammar: G, limits: Limits) -> Self {
        Self {
            grammar,
            limits,
            head: [0; TOKEN_BYTES],
            head_bytes: 0,
            body: None,
            body_total: 0,
        }
    }

    /// What was understood so far.
    pub(crate) fn grammar(&self) -> &G {
        &self.grammar
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.head_bytes == 0 && self.body.is_none() && self.grammar.expected().is_none()
    }

    /// Takes bytes; returns how many were used. Fewer than given means that the message is complete.
    pub(crate) fn feed(&mut self, input: &[u8]) -> Result<usize, WireError> {
        let mut rest = input;
        while !rest.is_empty() && !self.is_complete() {
            let used = match &mut self.body {
                Some(partial) => {
                    let take = partial.missing.min(rest.len());
                    if partial.is_kept {
                        partial.bytes.extend_from_slice(&rest[..take]);
                    }
                    partial.missing -= take;
                    take
                }
                None => {
                    let take = (TOKEN_BYTES - self.head_bytes).min(rest.len());
                    self.head[self.head_bytes..self.head_bytes + take]
                        .copy_from_slice(&rest[..take]);
                    self.head_bytes += take;
                    take
                }
            };
            rest = &rest[used..];
            self.advance()?;
        }
        Ok(input.len() - rest.len())
    }

    /// Begins a body.
    fn begin(&mut self, tag: Tag, length: u32, is_kept: bool) -> Result<(), WireError> {
        self.body_total += u64::from(length);
        if self.body_total > self.limits.message_bytes {
            return Err(WireError::TooLarge {
                tag,
                value: self.body_total,
                limit: self.limits.message_bytes,
            });
        }
        let missing = length as usize;
        let reserved = if is_kept {
            missing.min(FIRST_RESERVATION)
        } else {
            0
        };
        self.body = Some(Partial {
            missing,
            is_kept,
            bytes: Vec::with_capacity(reserved),
        });
        Ok(())
    }

    /// Hands a finished token or body to the grammar.
    fn advance(&mut self) -> Result<(), WireError> {
        if self.head_bytes == TOKEN_BYTES {
            self.head_bytes = 0;
            let token = Token::decode(&self.head)?;
            match self.grammar.token(token, &self.limits)? {
                Step::Token => {}
                Step::Body(length) => self.begin(token.tag, length, true)?,
                Step::Skip(length) => self.begin(token.tag, length, false)?,
            }
        }
        if self
            .body
            .as_ref()
            .is_some_and(|partial| partial.missing == 0)
            && let Some(partial) = self.body.take()
        {
            self.grammar.body(partial.bytes, &self.limits)?;
        }
        Ok(())
    }

    /// The grammar with all that it kept, if the message is complete.
    pub(crate) fn finish(self) -> Result<G, WireError> {
        if self.is_complete() {
            return Ok(self.grammar);
        }
        let expected = if self.body.is_some() {
            "the rest of a body"
        } else {
            self.grammar.expected().unwrap_or("a token")
        };
        Err(WireError::Truncated { expected })
    }
}

/// Reads a whole message from a slice and refuses bytes behind it.
pub(crate) fn decode_all<G: Grammar>(
    grammar: G,
    bytes: &[u8],
    limits: Limits,
) -> Result<G, WireError> {
    let mut decoder = Decoder::new(grammar, limits);
    let used = decoder.feed(bytes)?;
    let grammar = decoder.finish()?;
    if used < bytes.len() {
        Err(WireError::TrailingBytes(bytes.len() - used))
    } else {
        Ok(grammar)
    }
}

/// Refuses a token whose tag is not the one that the grammar has here.
pub(crate) fn expect(token: Token, tag: Tag, expected: &'static str) -> Result<(), WireError> {
    if token.tag == tag {
        Ok(())
    } else {
        Err(WireError::UnexpectedToken {
            expected,
            got: token.tag.to_string(),
        })
    }
}

/// Refuses a number above its limit.
pub(crate) fn capped(token: Token, limit: u32) -> Result<u32, WireError> {
    if token.value <= limit {
        Ok(token.value)
    } else {
        Err(WireError::TooLarge {
            tag: token.tag,
            value: token.value.into(),
            limit: limit.into(),
        })
    }
}
