//! The twelve bytes that everything on the distcc wire is made of: four letters and eight hexadecimal digits.
//!
//! Source: stock distcc's `doc/protocol-*.txt` and facts/distcc-baseline.md §2.1.

use crate::error::WireError;
use std::fmt;

/// Bytes of a token on the wire.
pub const TOKEN_BYTES: usize = 12;

/// The four letters of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub [u8; 4]);

impl Tag {
    /// Opens a request; the number is the protocol version.
    pub const DIST: Self = Self(*b"DIST");
    /// Number of command-line words.
    pub const ARGC: Self = Self(*b"ARGC");
    /// One command-line word.
    pub const ARGV: Self = Self(*b"ARGV");
    /// The preprocessed source (protocols 1 and 2).
    pub const DOTI: Self = Self(*b"DOTI");
    /// The client's working directory (protocol 3).
    pub const CDIR: Self = Self(*b"CDIR");
    /// Number of files and links (protocol 3).
    pub const NFIL: Self = Self(*b"NFIL");
    /// The path of a file or link.
    pub const NAME: Self = Self(*b"NAME");
    /// The content of a file.
    pub const FILE: Self = Self(*b"FILE");
    /// The target of a link.
    pub const LINK: Self = Self(*b"LINK");
    /// Opens a reply; the number is the protocol version.
    pub const DONE: Self = Self(*b"DONE");
    /// The compiler's `wait(2)` status.
    pub const STAT: Self = Self(*b"STAT");
    /// The compiler's standard error.
    pub const SERR: Self = Self(*b"SERR");
    /// The compiler's standard output.
    pub const SOUT: Self = Self(*b"SOUT");
    /// The object file.
    pub const DOTO: Self = Self(*b"DOTO");
    /// The dependency file (protocol 3, successful jobs only).
    pub const DOTD: Self = Self(*b"DOTD");
    /// Opens a query in the include server's richer dialogue; the number is its version.
    pub const PUMP: Self = Self(*b"PUMP");
    /// Number of environment entries (richer dialogue).
    pub const ENVC: Self = Self(*b"ENVC");
    /// One `NAME=value` (richer dialogue).
    pub const ENVV: Self = Self(*b"ENVV");
    /// A closure follows, ready for the wire (richer dialogue).
    pub const CLOS: Self = Self(*b"CLOS");
    /// Opens a job in the bundle dialect; the number is its version.
    pub const BNDL: Self = Self(*b"BNDL");
    /// A job (bundle dialect).
    pub const OFFR: Self = Self(*b"OFFR");
    /// What a server lacks (bundle dialect).
    pub const NEED: Self = Self(*b"NEED");
    /// A setting (bundle dialect).
    pub const SETT: Self = Self(*b"SETT");
    /// Entries of a table (bundle dialect).
    pub const TABL: Self = Self(*b"TABL");
    /// Blobs (bundle dialect).
    pub const PACK: Self = Self(*b"PACK");
    /// All that was asked for was given (bundle dialect).
    pub const HAVE: Self = Self(*b"HAVE");
    /// Why a server does not do a job (bundle dialect).
    pub const REFU: Self = Self(*b"REFU");
    /// How a server came to its answer (bundle dialect).
    pub const CACH: Self = Self(*b"CACH");
    /// Number of further files (bundle dialect).
    pub const SIDE: Self = Self(*b"SIDE");
    /// A manifest follows (richer dialogue, version 2).
    pub const MANI: Self = Self(*b"MANI");
    /// The closure is wanted as a section after all (richer dialogue, version 2).
    pub const SECT: Self = Self(*b"SECT");
    /// Why there is no closure (richer dialogue).
    pub const DOUB: Self = Self(*b"DOUB");
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.escape_ascii().to_string())
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One token: a tag and its number (a length, a count, a version or a status).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The four letters.
    pub tag: Tag,
    /// The number.
    pub value: u32,
}

impl Token {
    /// The token's bytes on the wire.
    #[must_use]
    pub fn encode(self) -> [u8; TOKEN_BYTES] {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..4].copy_from_slice(&self.tag.0);
        for (i, digit) in bytes[4..].iter_mut().enumerate() {
            let nibble = (self.value >> (28 - 4 * i)) & 0xf;
            *digit = b"0123456789abcdef"[nibble as usize];
        }
        bytes
    }

    /// Reads a token. Upper-case digits are accepted, as stock accepts them.
    ///
    /// # Errors
    /// [`WireError::MalformedToken`] when the last eight bytes are not hexadecimal digits.
    pub fn decode(bytes: &[u8; TOKEN_BYTES]) -> Result<Self, WireError> {
        let malformed = || WireError::MalformedToken(bytes.escape_ascii().to_string());
        let mut value = 0u32;
        for &digit in &bytes[4..] {
            let nibble = char::from(digit).to_digit(16).ok_or_else(malformed)?;
            value = value << 4 | nibble;
        }
        Ok(Self {
            tag: Tag([bytes[0], bytes[1], bytes[2], bytes[3]]),
            value,
        })
    }
}

/// Appends a token to a message that is being built.
pub fn put_token(out: &mut Vec<u8>, tag: Tag, value: u32) {
    out.extend_from_slice(&Token { tag, value }.encode());
}

/// Appends a token whose number is the length of the bytes that follow it, and the bytes.
///
/// # Panics
/// When the body has 4 GiB or more, which no caller's limits allow.
pub fn put_body(out: &mut Vec<u8>, tag: Tag, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("bodies are capped far below 4 GiB");
    put_token(out, tag, length);
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_four_letters_and_eight_digits() {
        let token = Token {
            tag: Tag::ARGC,
            value: 0xdead_0042,
        };
        assert_eq!(&token.encode(), b"ARGCdead0042");
        assert_eq!(Token::decode(b"ARGCdead0042"), Ok(token));
        assert_eq!(Token::decode(b"ARGCDEAD0042"), Ok(token));
    }

    #[test]
    fn signs_blanks_and_prefixes_are_no_digits() {
        for bytes in [
            b"ARGC+0000001",
            b"ARGC 0000001",
            b"ARGC0x000001",
            b"ARGC0000000g",
        ] {
            assert!(matches!(
                Token::decode(bytes),
                Err(WireError::MalformedToken(_))
            ));
        }
    }
}
