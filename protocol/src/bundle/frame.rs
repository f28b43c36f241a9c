//! Messages of the dialect as they arrive: a token and the body that its number announces.

use crate::decoder::{Decoder, Grammar, Step, capped};
use crate::error::WireError;
use crate::limits::Limits;
use crate::token::{Tag, Token, put_body};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub tag: Tag,
    /// Its body.
    pub body: Vec<u8>,
}

/// Appends a message.
pub fn put_frame(out: &mut Vec<u8>, tag: Tag, body: &[u8]) {
    put_body(out, tag, body);
}

/// A message that is being read from a connection.
pub struct FrameDecoder(Decoder<FrameGrammar>);

impl FrameDecoder {
    /// A decoder that takes messages with one of these tags and no other.
    #[must_use]
    pub fn new(tags: &'static [Tag], limits: Limits) -> Self {
        let grammar = FrameGrammar {
            tags,
            tag: None,
            body: None,
        };
        Self(Decoder::new(grammar, limits))
    }

    /// Takes bytes from the peer and returns how many were used; fewer than given means that the message is complete.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, WireError> {
        self.0.feed(input)
    }

    /// Whether the whole message was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// The message.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when it is not complete.
    pub fn finish(self) -> Result<Frame, WireError> {
        let grammar = self.0.finish()?;
        match (grammar.tag, grammar.body) {
            (Some(tag), Some(body)) => Ok(Frame { tag, body }),
            _ => Err(WireError::Truncated {
                expected: "a message",
            }),
        }
    }
}

struct FrameGrammar {
    tags: &'static [Tag],
    tag: Option<Tag>,
    body: Option<Vec<u8>>,
}

impl Grammar for FrameGrammar {
    fn token(&mut self, token: Token, limits: &Limits) -> Result<Step, WireError> {
        if !self.tags.contains(&token.tag) {
            return Err(WireError::UnexpectedToken {
                expected: "a message of the bundle dialect",
                got: token.tag.to_string(),
            });
        }
        self.tag = Some(token.tag);
        let limit = match token.tag {
            Tag::OFFR | Tag::NEED | Tag::MANI => limits.offer_bytes,
            Tag::SETT => u32::try_from(limits.setting_bytes).unwrap_or(u32::MAX),
            Tag::TABL => u32::try_from(limits.table_bytes).unwrap_or(u32::MAX),
            Tag::HAVE => 0,
            Tag::REFU => 4096,
            _ => limits.body_bytes,
        };
        Ok(Step::Body(capped(token, limit)?))
    }

    fn body(&mut self, body: Vec<u8>, _limits: &Limits) -> Result<(), WireError> {
        self.body = Some(body);
        Ok(())
    }

    fn expected(&self) -> Option<&'static str> {
        self.body.is_none().then_some("a message")
    }
}
