//! Text between directives, passed over without making tokens of it.
//!
//! Only what decides where a logical line ends is looked at: comments, literals and splices. Whatever is not plain (a raw string,
//! a splice, a trigraph, a digit separator) is left to the tokens, which are right about everything and slower.

use memchr::{memchr, memchr2};

use super::{CLASS, Cursor};

const NEWLINE: u8 = 1;
const QUOTE: u8 = 2;
const SLASH: u8 = 3;
const ODD: u8 = 4;

/// What a byte of text may begin.
static TEXT: [u8; 256] = {
    let mut table = [0; 256];
    table[b'\n' as usize] = NEWLINE;
    table[b'\r' as usize] = NEWLINE;
    table[b'"' as usize] = QUOTE;
    table[b'\'' as usize] = QUOTE;
    table[b'/' as usize] = SLASH;
    table[b'\\' as usize] = ODD;
    table[b'?' as usize] = ODD;
    table
};

/// The end of something plain, and the line ends in it.
#[derive(Clone, Copy)]
struct Plain {
    end: usize,
    lines: u32,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0b' | b'\x0c' | 0)
}

impl<'a> Cursor<'a> {
    /// Passes over plain lines of text, from the start of a line on. Stops at the start of the first line that may be a
    /// directive, that is not plain, or that ends after `limit`.
    pub fn skip_text(&mut self, limit: usize) {
        if self.mode.assembler {
            return;
        }
        loop {
            let mut at = self.position;
            let mut lines = 0;
            let end = loop {
                match self.bytes.get(at) {
                    None | Some(b'#' | b'%' | b'\\' | b'?') => return,
                    Some(&byte) if is_blank(byte) => at += 1,
                    Some(b'\n' | b'\r') => break at,
                    Some(b'/') => match self.plain_comment(at) {
                        Some(Some(comment)) => {
                            at = comment.end;
                            lines += comment.lines;
                        }
                        Some(None) => match self.plain_rest(at + 1) {
                            Some(rest) => {
                                lines += rest.lines;
                                break rest.end;
                            }
                            None => return,
                        },
                        None => return,
                    },
                    Some(_) => match self.plain_rest(at) {
                        Some(rest) => {
                            lines += rest.lines;
                            break rest.end;
                        }
                        None => return,
                    },
                }
            };
            if end > limit {
                return;
            }
            self.position = end;
            self.line += lines;
            if end < self.bytes.len() {
                self.take_physical_newline();
            }
        }
    }

    /// Passes over the rest of the logical line, if it is plain; tells whether it was.
    pub fn skip_plain_rest(&mut self) -> bool {
        if self.angled || self.mode.assembler {
            return false;
        }
        let Some(rest) = self.plain_rest(self.position) else {
            return false;
        };
        self.position = rest.end;
        self.line += rest.lines;
        true
    }

    /// The rest of the logical line as bytes, and the cursor behind it, if it is plain and has no `#` and no `%` in it.
    pub fn plain_body(&self) -> Option<(&'a [u8], Cursor<'a>)> {
        if self.mode.assembler {
            return None;
        }
        let rest = self.plain_rest(self.position)?;
        let body = &self.bytes[self.position..rest.end];
        let after = Cursor {
            position: rest.end,
            line: self.line + rest.lines,
            ..*self
        };
        memchr2(b'#', b'%', body).is_none().then_some((body, after))
    }

    /// The end of the logical line, from between two tokens; `None` if it is not plain.
    fn plain_rest(&self, from: usize) -> Option<Plain> {
        let bytes = self.bytes;
        let mut at = from;
        let mut lines = 0;
        loop {
            let Some(step) = bytes[at..]
                .iter()
                .position(|byte| TEXT[*byte as usize] != 0)
            else {
                return Some(Plain {
                    end: bytes.len(),
                    lines,
                });
            };
            at += step;
            match TEXT[bytes[at] as usize] {
                NEWLINE => return Some(Plain { end: at, lines }),
                QUOTE => at = self.plain_literal(at)?,
                SLASH => match self.plain_comment(at)? {
                    Some(comment) => {
                        at = comment.end;
                        lines += comment.lines;
                    }
                    None => at += 1,
                },
                _ if bytes[at] == b'?' && !self.is_odd_question(at) => at += 1,
                _ => return None,
            }
        }
    }

    /// Whether a trigraph may begin here.
    fn is_odd_question(&self, at: usize) -> bool {
        self.mode.trigraphs && self.bytes.get(at + 1) == Some(&b'?')
    }

    /// The end of the literal that begins with the quote at `at`: behind its closing quote, or at the line's end without one.
    fn plain_literal(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes;
        let quote = bytes[at];
        let before = at.checked_sub(1).map_or(b'\n', |before| bytes[before]);
        if self.mode.raw_strings && quote == b'"' && before == b'R' {
            return None;
        }
        if self.mode.digit_separators && quote == b'\'' && self.may_be_number(at) {
            return None;
        }
        let mut at = at + 1;
        loop {
            let step = bytes[at..]
                .iter()
                .position(|&byte| byte == quote || matches!(byte, b'\\' | b'\n' | b'\r' | b'?'));
            let Some(step) = step else {
                return Some(bytes.len());
            };
            at += step;
            match bytes[at] {
                b'\n' | b'\r' => return Some(at),
                b'?' if !self.is_odd_question(at) => at += 1,
                b'?' => return None,
                b'\\' => {
                    let escaped = *bytes.get(at + 1)?;
                    let plain = !is_blank(escaped) && !matches!(escaped, b'\n' | b'\r' | b'?');
                    let spliced = || {
                        let next = bytes.get(at + 2).copied().unwrap_or(b'\n');
                        escaped == b'\\' && (is_blank(next) || matches!(next, b'\n' | b'\r'))
                    };
                    if !plain || spliced() {
                        return None;
                    }
                    at += 2;
                }
                _ => return Some(at + 1),
            }
        }
    }

    /// Whether what stands before `at` may be a number.
    fn may_be_number(&self, at: usize) -> bool {
        let before = |count: usize| at.checked_sub(count).map_or(b'\n', |at| self.bytes[at]);
        match before(1) {
            b'+' | b'-' => matches!(before(2), b'e' | b'E' | b'p' | b'P'),
            byte => CLASS[byte as usize] != 0 || byte >= 0x80 || matches!(byte, b'$' | b'.'),
        }
    }

    /// The end of the comment that begins with the slash at `at`; `Some(None)` if it begins none.
    fn plain_comment(&self, at: usize) -> Option<Option<Plain>> {
        match self.bytes.get(at + 1) {
            Some(b'*') => self.plain_block_comment(at).map(Some),
            Some(b'/') if self.mode.line_comments => self.plain_line_comment(at).map(Some),
            Some(b'\\') => None,
            Some(b'?') if self.is_odd_question(at + 1) => None,
            _ => Some(None),
        }
    }

    fn plain_block_comment(&self, at: usize) -> Option<Plain> {
        let bytes = self.bytes;
        let start = at + 2;
        // The slash of `/*/` does not end it.
        let mut from = start + 1;
        loop {
            let slash = from + memchr(b'/', bytes.get(from..)?)?;
            match bytes[slash - 1] {
                b'*' => {
                    let lines = self.lines_in(start, slash);
                    return Some(Plain {
                        end: slash + 1,
                        lines,
                    });
                }
                // A splice may stand between the star and the slash.
                b'\n' | b'\r' if self.may_be_spliced(start, slash - 1) => return None,
                _ => from = slash + 1,
            }
        }
    }

    /// The end of a line comment is that of its line.
    fn plain_line_comment(&self, at: usize) -> Option<Plain> {
        let start = at + 2;
        let end = memchr2(b'\n', b'\r', &self.bytes[start..])
            .map_or(self.bytes.len(), |length| start + length);
        if self.may_be_spliced(start, end) {
            return None;
        }
        Some(Plain { end, lines: 0 })
    }

    /// Whether the line end at `end` may be part of a splice that begins at `start` or later.
    fn may_be_spliced(&self, start: usize, end: usize) -> bool {
        let line = &self.bytes[start..end];
        let last = line
            .iter()
            .rev()
            .find(|byte| !is_blank(**byte) && !matches!(**byte, b'\n' | b'\r'));
        match last {
            Some(b'\\') => true,
            Some(b'/') => self.mode.trigraphs,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{CompilerFamily, Dialect, Language, LexingMode};

    /// Pieces that texts are made of: all that decides where a line ends, and what looks like it.
    const PIECES: &[&str] = &[
        "\n", "\n", "\n", "\r\n", "\r", "\"", "\"", "'", "'", "\\", "\\\n", "\\ \n", "/", "/*",
        "*/", "*", "//", "?", "??/", "??/\n", "??=", "#", "%:", "R\"", "u8R\"x(", ")x\"", "(",
        ")\"", "L'", "u8'", "1'0", "1e+'", "x", " ", "\t", "\0", "\u{e9}", "\\u00e9", "\\\\",
        "\\\"", "\\?", ".", "+", "\u{b}", "import x", "1.R", "$",
    ];

    fn modes() -> Vec<LexingMode> {
        let gcc = CompilerFamily::Gcc { major: 12 };
        let mode = |language, std: &[u8]| {
            Dialect::derive(language, gcc, Some(std))
                .expect("a standard that is known")
                .lexing
        };
        vec![
            mode(Language::C, b"gnu17"),
            mode(Language::C, b"c90"),
            mode(Language::C, b"c11"),
            mode(Language::Cxx, b"gnu++17"),
            mode(Language::Cxx, b"c++14"),
            mode(Language::AsmWithCpp, b"gnu17"),
        ]
    }

    /// The starts of logical lines as tokens tell, up to the first that begins a directive, with their physical lines.
    fn line_starts(bytes: &[u8], mode: LexingMode) -> Vec<(usize, u32)> {
        let mut cursor = Cursor::new(bytes, mode);
        let mut scratch = Vec::new();
        let mut starts = vec![(cursor.position(), cursor.line())];
        while !cursor.at_end() {
            let first = cursor.next_token(&mut scratch, true);
            if first.is_some_and(|first| {
                matches!(
                    cursor.spelling(&first, &scratch),
                    b"#" | b"%:" | b"##" | b"%:%:"
                )
            }) {
                break;
            }
            while cursor.next_token(&mut scratch, false).is_some() {}
            cursor.take_newline();
            starts.push((cursor.position(), cursor.line()));
        }
        starts
    }

    #[test]
    fn passing_over_text_is_lexing_it() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % below
        };
        let modes = modes();
        let mut passed = 0;
        for _ in 0..60_000 {
            let count = 1 + random(24);
            let text: String = (0..count).map(|_| PIECES[random(PIECES.len())]).collect();
            let limit = [usize::MAX, random(24)][random(2)];
            let mode = modes[random(modes.len())];
            let mut cursor = Cursor::new(text.as_bytes(), mode);
            cursor.skip_text(limit);
            let place = (cursor.position(), cursor.line());
            let starts = line_starts(text.as_bytes(), mode);
            assert!(
                starts.contains(&place),
                "{place:?} {starts:?} {text:?} {mode:?}"
            );
            assert!(
                place.0 <= limit.saturating_add(2) || place.0 <= 3,
                "{place:?} {limit} {text:?}"
            );
            passed += usize::from(place.0 > 0);

            // The rest of a line, after some tokens of it.
            let mut cursor = Cursor::new(text.as_bytes(), mode);
            let mut scratch = Vec::new();
            for _ in 0..random(4) {
                cursor.next_token(&mut scratch, true);
            }
            let mut tokens = cursor;
            if cursor.skip_plain_rest() {
                while tokens.next_token(&mut scratch, false).is_some() {}
                let (ours, theirs) = (
                    (cursor.position(), cursor.line()),
                    (tokens.position(), tokens.line()),
                );
                assert_eq!(ours, theirs, "{text:?} {mode:?}");
            }
        }
        assert!(passed > 1000, "only {passed} texts had plain lines");
    }
}
