//! Why a server does not do a job, in one line.
//!
//! ```text
//! REFU body:  kind (1)  text
//! ```

use crate::error::WireError;
use std::fmt;

/// What a client may do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RefusalKind {
    /// This server has not the client's compiler: another may.
    Compiler = 1,
    /// This job cannot be done in this dialect on this server: protocol 3 or preprocessing may do.
    Unsuited = 2,
    /// The server cannot take it now: another may.
    Busy = 3,
    /// The client broke a rule.
    Broken = 4,
}

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What to do about it.
    pub kind: RefusalKind,
    /// Why, in one line for a person.
    pub text: String,
}

/// The longest text in bytes.
pub const TEXT_BYTES: usize = 2048;

impl Refusal {
    /// The body of `REFU`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut end = self.text.len().min(TEXT_BYTES);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let mut out = vec![self.kind as u8];
        out.extend_from_slice(&self.text.as_bytes()[..end]);
        out
    }

    /// Reads the body of `REFU`. What could disturb a terminal is taken out of the text.
    ///
    /// # Errors
    /// [`WireError::ShortBody`] for an empty body, [`WireError::BadEntry`] for a kind that is not known.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (&kind, text) = bytes.split_first().ok_or(WireError::ShortBody)?;
        let kind = match kind {
            1 => RefusalKind::Compiler,
            2 => RefusalKind::Unsuited,
            3 => RefusalKind::Busy,
            4 => RefusalKind::Broken,
            _ => return Err(WireError::BadEntry),
        };
        let text = String::from_utf8_lossy(text);
        let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        Ok(Self {
            kind,
            text: text.collect(),
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
