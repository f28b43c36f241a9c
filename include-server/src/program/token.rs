//! Tokens of directive lines: eight bytes each, spelled by an atom.

use crate::atom::{Atom, known};
use crate::lexer::Shape;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name that may be a macro.
    Identifier,
    /// A preprocessing number.
    Number,
    /// A character constant.
    Char,
    /// A string literal.
    String,
    /// `<...>` lexed as a header name.
    HeaderName,
    /// An operator or punctuator.
    Punctuator,
    /// Anything else.
    Other,
    /// A macro parameter in a replacement list; the atom's number is its index.
    Parameter,
    /// An empty argument beside `##`.
    Placemarker,
    /// Remembers white space around an argument, for stringification.
    Padding,
    /// The end of the line or of an argument.
    End,
}

/// White space precedes the token.
pub const SPACE: u8 = 1;
/// The name was met while its macro was being expanded; it never expands again.
pub const NO_EXPAND: u8 = 2;
/// `##` follows in the replacement list.
pub const PASTE_LEFT: u8 = 4;
/// `#` precedes the parameter (or `__VA_OPT__`) in the replacement list.
pub const STRINGIFY: u8 = 8;
/// A padding that stands for no token.
pub const SOURCELESS: u8 = 16;
/// `#` or `##` is spelled `%:` or `%:%:`.
pub const DIGRAPH: u8 = 32;

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// `SPACE` and its like.
    pub flags: u8,
    /// Its spelling (or a parameter's index).
    pub atom: Atom,
}

impl Token {
    /// The end of a line.
    pub const END: Token = Token {
        kind: Kind::End,
        flags: 0,
        atom: known::EMPTY,
    };

    /// Whether it is the punctuator with that spelling.
    pub fn is(&self, punctuator: Atom) -> bool {
        self.kind == Kind::Punctuator && self.atom == punctuator
    }

    /// Whether white space precedes it.
    pub fn has_space(&self) -> bool {
        self.flags & SPACE != 0
    }

    /// Its spelling; nothing for tokens that have none.
    pub fn spelling(&self) -> &'static [u8] {
        match self.kind {
            Kind::Parameter | Kind::Placemarker | Kind::Padding | Kind::End => b"",
            Kind::Punctuator if self.flags & DIGRAPH != 0 => match self.atom {
                known::HASH => b"%:",
                _ => b"%:%:",
            },
            _ => self.atom.spelling(),
        }
    }
}

impl From<Shape> for Kind {
    fn from(shape: Shape) -> Kind {
        match shape {
            Shape::Identifier => Kind::Identifier,
            Shape::Number => Kind::Number,
            Shape::Char => Kind::Char,
            Shape::String => Kind::String,
            Shape::HeaderName => Kind::HeaderName,
            Shape::Punctuator => Kind::Punctuator,
            Shape::Other => Kind::Other,
        }
    }
}
