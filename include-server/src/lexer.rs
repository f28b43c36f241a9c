//! Translation phases 1 to 3, lazily, on bytes: trigraphs, splices, comments, and preprocessing tokens.
//!
//! `Cursor` owns nothing but a position. Characters are seen through [`Cursor::peek`], which skips splices and replaces trigraphs;
//! raw strings go around it and see the physical bytes. Spellings become `Atom`s only when the caller asks for it, so that ordinary
//! text costs no interning.

mod likeness;
mod marks;
mod text;

pub use likeness::Oddities;

use memchr::{memchr_iter, memchr2, memmem};

use crate::configuration::LexingMode;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An identifier or keyword.
    Identifier,
    /// A preprocessing number.
    Number,
    /// A character constant with its prefix.
    Char,
    /// A string literal with its prefix; raw ones too.
    String,
    /// `<...>` where a header name is expected.
    HeaderName,
    /// An operator or punctuator.
    Punctuator,
    /// A lone quote with the rest of its line, or any other byte.
    Other,
}

/// A token as lexed: its shape, and where its spelling is.
#[derive(Clone, Copy, Debug)]
pub struct RawToken {
    /// What it is.
    pub shape: Shape,
    /// Whether white space or a comment precedes it.
    pub space: bool,
    start: usize,
    end: usize,
    /// The spelling is in the scratch buffer because a splice, trigraph or UCN stands in it.
    spliced: bool,
}

/// A place in a file, and how to read on from there.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    line: u32,
    width: usize,
    mode: LexingMode,
    /// `"` and `<` start header names, in which nothing escapes.
    angled: bool,
    /// An unterminated comment or raw string was met.
    broken: Option<&'static str>,
}

const IDENTIFIER: u8 = 1;
const DIGIT: u8 = 2;

/// Class bits of ASCII bytes.
static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        if character.is_ascii_alphabetic() || character == b'_' {
            table[byte] = IDENTIFIER;
        } else if character.is_ascii_digit() {
            table[byte] = DIGIT;
        }
        byte += 1;
    }
    table
};

/// Longer punctuators first among those with the same beginning.
const PUNCTUATORS: [&[u8]; 42] = [
    b"...", b"<<=", b">>=", b"<=>", b"->*", b"%:%:", b"##", b"++", b"--", b"&&", b"||", b"<<",
    b">>", b"<=", b">=", b"==", b"!=", b"+=", b"-=", b"*=", b"/=", b"%=", b"&=", b"|=", b"^=",
    b"->", b"::", b".*", b"<%", b"%>", b"<:", b":>", b"%:", b"(", b")", b",", b"#", b"<", b">",
    b"?", b":", b"!",
];

impl<'a> Cursor<'a> {
    /// A cursor at the start of a file; a byte order mark is skipped.
    pub fn new(bytes: &'a [u8], mode: LexingMode) -> Cursor<'a> {
        let position = if bytes.starts_with(b"\xEF\xBB\xBF") {
            3
        } else {
            0
        };
        Cursor {
            position,
            ..Cursor::within(bytes, mode)
        }
    }

    /// A cursor at the start of a part of a file.
    pub fn within(bytes: &'a [u8], mode: LexingMode) -> Cursor<'a> {
        Cursor {
            bytes,
            position: 0,
            line: 1,
            width: 1,
            mode,
            angled: false,
            broken: None,
        }
    }

    /// The physical line, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The offset of the next physical byte.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The physical bytes before an offset.
    pub fn bytes_before(&self, end: usize) -> &[u8] {
        &self.bytes[..end.min(self.bytes.len())]
    }

    /// What is wrong with the file so far, if anything.
    pub fn broken(&self) -> Option<&'static str> {
        self.broken
    }

    /// Switches the lexing of header names on or off.
    pub fn set_angled(&mut self, angled: bool) {
        self.angled = angled;
    }

    /// Whether all bytes are consumed (a final splice counts as nothing).
    pub fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// The length of blanks and a line end at `from`, where a backslash precedes; `None` if that is no splice.
    fn splice(&self, from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            match self.bytes.get(at) {
                None => return Some(at - from),
                Some(b'\n') => return Some(at + 1 - from),
                Some(b'\r') => {
                    let crlf = self.bytes.get(at + 1) == Some(&b'\n');
                    return Some(at + 1 + usize::from(crlf) - from);
                }
                Some(b' ' | b'\t' | b'\x0b' | b'\x0c' | 0) => at += 1,
                Some(_) => return None,
            }
        }
    }

    /// The next character after splices and trigraphs; `None` at the end.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.position)?;
        if byte != b'\\' && byte != b'?' {
            self.width = 1;
            return Some(byte);
        }
        self.peek_slowly()
    }

    fn peek_slowly(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.position)?;
            let (character, width) = match self.trigraph(self.position) {
                Some(character) => (character, 3),
                None => (byte, 1),
            };
            if character == b'\\'
                && let Some(length) = self.splice(self.position + width)
            {
                self.position += width + length;
                self.line += 1;
                continue;
            }
            self.width = width;
            return Some(character);
        }
    }

    fn trigraph(&self, at: usize) -> Option<u8> {
        if !self.mode.trigraphs || !self.bytes[at..].starts_with(b"??") {
            return None;
        }
        Some(match self.bytes.get(at + 2)? {
            b'=' => b'#',
            b'/' => b'\\',
            b'\'' => b'^',
            b'(' => b'[',
            b')' => b']',
            b'!' => b'|',
            b'<' => b'{',
            b'>' => b'}',
            b'-' => b'~',
            _ => return None,
        })
    }

    /// Steps over the character that [`Cursor::peek`] returned.
    #[inline]
    fn bump(&mut self) {
        self.position += self.width;
    }

    fn peek_second(&self) -> Option<u8> {
        let mut ahead = *self;
        ahead.peek()?;
        ahead.bump();
        ahead.peek()
    }

    /// Steps over a line end, if one is next.
    pub fn take_newline(&mut self) -> bool {
        match self.peek() {
            Some(b'\n') => self.bump(),
            Some(b'\r') => {
                self.bump();
                if self.bytes.get(self.position) == Some(&b'\n') {
                    self.position += 1;
                }
            }
            _ => return false,
        }
        self.line += 1;
        true
    }

    /// Skips white space and comments within a logical line; tells whether there was any.
    pub fn skip_blanks(&mut self) -> bool {
        let mut any = false;
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\x0b' | b'\x0c' | 0) => self.bump(),
                Some(b'/') => match self.peek_second() {
                    Some(b'*') => self.skip_block_comment(),
                    Some(b'/') if self.mode.line_comments => self.skip_line_comment(),
                    _ => return any,
                },
                // A splice, with blanks after its backslash or without, is no white space.
                _ => return any,
            }
            any = true;
        }
    }

    fn skip_block_comment(&mut self) {
        self.peek();
        self.bump();
        self.peek();
        self.bump();
        let start = self.position;
        let mut from = start;
        loop {
            let Some(star) = memchr::memchr(b'*', &self.bytes[from..]) else {
                self.count_lines(start, self.bytes.len());
                self.position = self.bytes.len();
                self.broken.get_or_insert("unterminated comment");
                return;
            };
            let after = from + star + 1;
            // A splice may stand between the star and the slash.
            let mut ahead = Cursor {
                position: after,
                ..*self
            };
            if ahead.peek() == Some(b'/') {
                ahead.bump();
                self.count_lines(start, ahead.position);
                self.position = ahead.position;
                return;
            }
            from = after;
        }
    }

    fn count_lines(&mut self, from: usize, to: usize) {
        self.line += self.lines_in(from, to);
    }

    /// Line ends in these bytes. A carriage return that stands alone ends a line as well.
    fn lines_in(&self, from: usize, to: usize) -> u32 {
        let bytes = &self.bytes[from..to];
        let lone = |&at: &usize| self.bytes.get(from + at + 1) != Some(&b'\n');
        let count =
            memchr_iter(b'\n', bytes).count() + memchr_iter(b'\r', bytes).filter(lone).count();
        count as u32
    }

    fn skip_line_comment(&mut self) {
        loop {
            let Some(end) = memchr2(b'\n', b'\r', &self.bytes[self.position..]) else {
                self.position = self.bytes.len();
                return;
            };
            let end = self.position + end;
            let mut last = end;
            while last > self.position
                && matches!(self.bytes[last - 1], b' ' | b'\t' | b'\x0b' | b'\x0c' | 0)
            {
                last -= 1;
            }
            let spliced = last > self.position
                && (self.bytes[last - 1] == b'\\'
                    || (last >= self.position + 3 && self.trigraph(last - 3) == Some(b'\\')));
            self.position = end;
            if !spliced {
                return;
            }
            self.take_physical_newline();
        }
    }

    fn take_physical_newline(&mut self) {
        let crlf = self.bytes[self.position..].starts_with(b"\r\n");
        self.position += 1 + usize::from(crlf);
        self.line += 1;
    }

    /// The next token of the logical line, after blanks and comments; `None` at the line's end. `scratch` receives the spelling
    /// where it differs from the bytes. With `whole` false, punctuators come one character at a time (for text, where it is all one).
    pub fn next_token(&mut self, scratch: &mut Vec<u8>, whole: bool) -> Option<RawToken> {
        let space = self.skip_blanks();
        if let Some(end) = self.plain_identifier() {
            let start = std::mem::replace(&mut self.position, end);
            return Some(RawToken {
                shape: Shape::Identifier,
                space,
                start,
                end,
                spliced: false,
            });
        }
        let first = self.peek()?;
        let start = self.position;
        let token = |shape, end, spliced| {
            Some(RawToken {
                shape,
                space,
                start,
                end,
                spliced,
            })
        };
        match first {
            b'\n' | b'\r' => None,
            b'0'..=b'9' => {
                let spliced = self.number(scratch);
                token(Shape::Number, self.position, spliced)
            }
            b'.' if self.peek_second().is_some_and(|next| next.is_ascii_digit()) => {
                let spliced = self.number(scratch);
                token(Shape::Number, self.position, spliced)
            }
            b'"' | b'\'' => {
                let (shape, spliced) = self.literal(first, start, scratch);
                token(shape, self.position, spliced)
            }
            b'<' if self.angled => match self.header_name(scratch) {
                Some(spliced) => token(Shape::HeaderName, self.position, spliced),
                None => {
                    let spliced = self.punctuator(scratch, whole);
                    token(Shape::Punctuator, self.position, spliced)
                }
            },
            _ if self.starts_identifier(first) => {
                let spliced = self.identifier(scratch);
                let end = self.position;
                if let Some(b'"' | b'\'') = self.peek() {
                    let spelling = if spliced {
                        scratch.as_slice()
                    } else {
                        &self.bytes[start..end]
                    };
                    if let Some(prefix) = self.literal_prefix(spelling) {
                        return self.prefixed_literal(prefix, start, space, scratch);
                    }
                }
                token(Shape::Identifier, end, spliced)
            }
            _ => {
                let known =
                    first.is_ascii_punctuation() && !matches!(first, b'\\' | b'@' | b'$' | b'`');
                let spliced = self.punctuator(scratch, whole);
                token(
                    if known {
                        Shape::Punctuator
                    } else {
                        Shape::Other
                    },
                    self.position,
                    spliced,
                )
            }
        }
    }

    /// The spelling of a token that this cursor returned last.
    pub fn spelling<'s>(&self, token: &RawToken, scratch: &'s [u8]) -> &'s [u8]
    where
        'a: 's,
    {
        if token.spliced {
            scratch
        } else {
            &self.bytes[token.start..token.end]
        }
    }

    /// Consumes the rest of the logical line without looking at it closely; returns its text from here (for messages).
    pub fn rest_of_line(&mut self, scratch: &mut Vec<u8>) -> &'a [u8] {
        let start = self.position;
        while self.next_token(scratch, false).is_some() {}
        &self.bytes[start..self.position]
    }

    fn starts_identifier(&mut self, first: u8) -> bool {
        match first {
            _ if CLASS[first as usize] & IDENTIFIER != 0 => true,
            b'$' => self.mode.dollars,
            b'\\' => self.mode.extended_identifiers && self.universal_name().is_some(),
            0x80.. => self.mode.extended_identifiers && self.utf8_character().is_some(),
            _ => false,
        }
    }

    /// The UCN at the position and the cursor after it.
    fn universal_name(&self) -> Option<(char, Cursor<'a>)> {
        let mut ahead = *self;
        ahead.peek()?;
        ahead.bump();
        let digits = match ahead.peek()? {
            b'u' => 4,
            b'U' => 8,
            _ => return None,
        };
        ahead.bump();
        let mut value = 0u32;
        for _ in 0..digits {
            let digit = (ahead.peek()? as char).to_digit(16)?;
            value = value.checked_mul(16)? | digit;
            ahead.bump();
        }
        Some((
            char::from_u32(value).filter(|character| !character.is_ascii())?,
            ahead,
        ))
    }

    /// The UTF-8 character at the position, if it may stand in an identifier.
    fn utf8_character(&self) -> Option<char> {
        let window = &self.bytes[self.position..(self.position + 4).min(self.bytes.len())];
        let valid = match std::str::from_utf8(window) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&window[..error.valid_up_to()]).ok()?,
        };
        let character = valid.chars().next()?;
        let punctuation = matches!(character as u32, 0x80..=0xA9 | 0xAB..=0xB4 | 0xB6 | 0xB8..=0xBF | 0xD7 | 0xF7 | 0x2000..=0x203E | 0x2041..=0x2053 | 0x2190..=0x245F | 0x2500..=0x2775 | 0x2794..=0x2BFF | 0x3000..=0x3003 | 0x3008..=0x3020 | 0xFEFF);
        (!character.is_ascii() && !punctuation).then_some(character)
    }

    /// The end of the identifier at the position, if it is one that nothing unusual follows.
    #[inline]
    fn plain_identifier(&self) -> Option<usize> {
        let start = self.position;
        if CLASS[*self.bytes.get(start)? as usize] & IDENTIFIER == 0 {
            return None;
        }
        let mut end = start + 1;
        while let Some(&byte) = self.bytes.get(end) {
            if CLASS[byte as usize] == 0 {
                let unusual = matches!(byte, b'\\' | b'?' | b'$' | b'"' | b'\'' | 0x80..);
                return (!unusual).then_some(end);
            }
            end += 1;
        }
        Some(end)
    }

    /// Consumes an identifier; true when its spelling is in `scratch`.
    fn identifier(&mut self, scratch: &mut Vec<u8>) -> bool {
        let start = self.position;
        let mut at = start;
        while self
            .bytes
            .get(at)
            .is_some_and(|&byte| CLASS[byte as usize] != 0 || (byte == b'$' && self.mode.dollars))
        {
            at += 1;
        }
        match self.bytes.get(at) {
            Some(b'\\' | b'?' | 0x80..) => {}
            _ => {
                self.position = at;
                return false;
            }
        }
        scratch.clear();
        while let Some(character) = self.peek() {
            if !self.push_identifier_character(character, scratch) {
                break;
            }
        }
        true
    }

    /// Appends one identifier character and steps over it; false if the next character is none.
    fn push_identifier_character(&mut self, character: u8, scratch: &mut Vec<u8>) -> bool {
        let mut encoded = [0; 4];
        match character {
            _ if CLASS[character as usize] != 0 || (character == b'$' && self.mode.dollars) => {
                scratch.push(character);
                self.bump();
            }
            b'\\' if self.mode.extended_identifiers => match self.universal_name() {
                Some((name, after)) => {
                    scratch.extend_from_slice(name.encode_utf8(&mut encoded).as_bytes());
                    *self = after;
                }
                None => return false,
            },
            0x80.. if self.mode.extended_identifiers => match self.utf8_character() {
                Some(name) => {
                    scratch.extend_from_slice(name.encode_utf8(&mut encoded).as_bytes());
                    self.position += name.len_utf8();
                }
                None => return false,
            },
            _ => return false,
        }
        true
    }

    /// Consumes a preprocessing number; true when its spelling is in `scratch`.
    fn number(&mut self, scratch: &mut Vec<u8>) -> bool {
        let start = self.position;
        let digits = self.bytes[start..]
            .iter()
            .take_while(|byte| CLASS[**byte as usize] != 0);
        let end = start + digits.count();
        let ends = |byte: &u8| match byte {
            b'+' | b'-' => !matches!(self.bytes[end - 1], b'e' | b'E' | b'p' | b'P'),
            _ => !matches!(byte, b'.' | b'\'' | b'\\' | b'?' | b'$' | 0x80..),
        };
        // Most numbers hold nothing but letters and digits.
        if end > start && self.bytes.get(end).is_none_or(ends) {
            self.position = end;
            return false;
        }
        scratch.clear();
        let mut previous = 0;
        while let Some(character) = self.peek() {
            let sign =
                matches!(character, b'+' | b'-') && matches!(previous, b'e' | b'E' | b'p' | b'P');
            let separator = character == b'\''
                && self.mode.digit_separators
                && self
                    .peek_second()
                    .is_some_and(|next| CLASS[next as usize] != 0);
            if character == b'.' || sign || separator {
                scratch.push(character);
                self.bump();
            } else if !self.push_identifier_character(character, scratch) {
                break;
            }
            previous = character;
        }
        scratch.as_slice() != &self.bytes[start..self.position]
    }

    /// Consumes a string or character literal from its opening quote on. `start` is where its token begins.
    fn literal(&mut self, quote: u8, start: usize, scratch: &mut Vec<u8>) -> (Shape, bool) {
        let from = self.position;
        // A prefix may be spliced.
        let prefix = &self.bytes[start..from];
        let whole_prefix = prefix.iter().all(u8::is_ascii_alphanumeric);
        let trigraphs = self.mode.trigraphs;
        let special = |byte: &u8| {
            *byte == quote || matches!(byte, b'\\' | b'\n' | b'\r') || (trigraphs && *byte == b'?')
        };
        if whole_prefix
            && let Some(length) = self.bytes[from + 1..].iter().position(special)
            && self.bytes[from + 1 + length] == quote
        {
            self.position = from + length + 2;
            let shape = match quote {
                b'"' => Shape::String,
                _ => Shape::Char,
            };
            return (shape, false);
        }
        scratch.clear();
        scratch.extend(prefix.iter().filter(|byte| byte.is_ascii_alphanumeric()));
        scratch.push(quote);
        self.bump();
        let shape = loop {
            match self.peek() {
                // A lone quote takes the rest of the line with it, and does no other harm.
                None | Some(b'\n' | b'\r') => break Shape::Other,
                Some(character) => {
                    scratch.push(character);
                    self.bump();
                    if character == quote {
                        break if quote == b'"' {
                            Shape::String
                        } else {
                            Shape::Char
                        };
                    }
                    if character == b'\\'
                        && !self.angled
                        && let Some(escaped) = self.peek()
                        && !matches!(escaped, b'\n' | b'\r')
                    {
                        scratch.push(escaped);
                        self.bump();
                    }
                }
            }
        };
        (
            shape,
            scratch.as_slice() != &self.bytes[start..self.position],
        )
    }

    /// Consumes `<...>`; `None` and nothing consumed when the line has no `>`.
    fn header_name(&mut self, scratch: &mut Vec<u8>) -> Option<bool> {
        let before = *self;
        let start = self.position;
        let special = |byte: &u8| matches!(byte, b'>' | b'\\' | b'?' | b'\n' | b'\r');
        if let Some(length) = self.bytes[start..].iter().position(special)
            && self.bytes[start + length] == b'>'
        {
            self.position = start + length + 1;
            return Some(false);
        }
        scratch.clear();
        while let Some(character) = self.peek() {
            if matches!(character, b'\n' | b'\r') {
                break;
            }
            scratch.push(character);
            self.bump();
            if character == b'>' {
                return Some(scratch.as_slice() != &self.bytes[start..self.position]);
            }
        }
        *self = before;
        None
    }

    /// The prefix of a literal that `spelling` is, if the mode knows it.
    fn literal_prefix(&self, spelling: &[u8]) -> Option<Prefix> {
        let mode = &self.mode;
        let raw = mode.raw_strings;
        let known = match spelling {
            b"L" => true,
            b"u" | b"U" => mode.unicode_literals,
            b"u8" => mode.unicode_literals,
            b"R" | b"LR" | b"uR" | b"UR" | b"u8R" => raw,
            _ => false,
        };
        known.then_some(Prefix {
            raw: spelling.ends_with(b"R"),
            utf8: spelling == b"u8",
        })
    }

    fn prefixed_literal(
        &mut self,
        prefix: Prefix,
        start: usize,
        space: bool,
        scratch: &mut Vec<u8>,
    ) -> Option<RawToken> {
        let end = self.position;
        let quote = self.peek()?;
        let token = |shape, end, spliced| {
            Some(RawToken {
                shape,
                space,
                start,
                end,
                spliced,
            })
        };
        let character = quote == b'\'';
        let plain_identifier =
            character && (prefix.raw || (prefix.utf8 && !self.mode.utf8_char_literals));
        if plain_identifier {
            return token(Shape::Identifier, end, false);
        }
        if prefix.raw {
            let before = *self;
            if self.raw_string() {
                return token(Shape::String, self.position, false);
            }
            *self = before;
        }
        let (shape, spliced) = self.literal(quote, start, scratch);
        token(shape, self.position, spliced)
    }

    /// Consumes a raw string from its quote on, on physical bytes; false if its delimiter is not valid.
    fn raw_string(&mut self) -> bool {
        let from = self.position + 1;
        let rest = &self.bytes[from..];
        let Some(open) = rest.iter().take(17).position(|&byte| byte == b'(') else {
            return false;
        };
        let delimiter = &rest[..open];
        if delimiter
            .iter()
            .any(|byte| byte.is_ascii_whitespace() || matches!(byte, b')' | b'\\' | b'"' | 0))
        {
            return false;
        }
        let closing = [b")", delimiter, b"\""].concat();
        let end = match memmem::find(&rest[open..], &closing) {
            Some(at) => from + open + at + closing.len(),
            None => {
                self.broken.get_or_insert("unterminated raw string");
                self.bytes.len()
            }
        };
        self.count_lines(self.position, end);
        self.position = end;
        true
    }

    /// Consumes a punctuator or any other byte.
    fn punctuator(&mut self, scratch: &mut Vec<u8>, whole: bool) -> bool {
        let start = self.position;
        let Some(first) = self.peek() else {
            return false;
        };
        let next = self.bytes.get(start + 1).copied().unwrap_or(b' ');
        let alone = !whole || matches!(first, b'(' | b')' | b',') || !next.is_ascii_punctuation();
        if alone && self.width == 1 && first == self.bytes[start] {
            self.bump();
            return false;
        }
        scratch.clear();
        scratch.push(first);
        self.bump();
        if whole {
            let mut length = 1;
            let mut ahead = *self;
            let mut text = [first, 0, 0, 0];
            for (at, slot) in text.iter_mut().enumerate().skip(1) {
                match ahead.peek() {
                    Some(next) if next.is_ascii_punctuation() => *slot = next,
                    _ => break,
                }
                ahead.bump();
                let candidate = at + 1;
                if candidate == 2 || candidate == 3 || candidate == 4 {
                    length = length.max(candidate);
                }
            }
            let digraph =
                |text: &[u8]| matches!(text, b"<%" | b"%>" | b"<:" | b":>" | b"%:" | b"%:%:");
            let longest = (2..=length).rev().find(|&length| {
                let text = &text[..length];
                PUNCTUATORS.contains(&text) && (self.mode.digraphs || !digraph(text))
            });
            for _ in 1..longest.unwrap_or(1) {
                if let Some(next) = self.peek() {
                    scratch.push(next);
                    self.bump();
                }
            }
        }
        scratch.as_slice() != &self.bytes[start..self.position]
    }
}

#[derive(Clone, Copy)]
struct Prefix {
    raw: bool,
    utf8: bool,
}
