//! Text between directives, passed over without making tokens of it.
//!
//! Only what decides where a logical line ends is looked at: comments, literals and splices. Whatever is not plain (a raw string,
//! a splice, a trigraph, a digit separator) is left to the tokens, which are right about everything and slower.

use memchr::{memchr, memchr2};

use super::{CLASS, Cursor, marks};

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
    /// directive, that is not plain, or that holds the place `limit`.
    pub fn skip_text(&mut self, limit: usize) {
        let bytes = self.bytes;
        // Most directives follow one another.
        if self.mode.assembler || bytes.get(self.position) == Some(&b'#') {
            return;
        }
        let end = limit.min(bytes.len());
        let mut at = self.position;
        let mut line = self.line;
        while let Some(next) = self.pass_block(at, end, &mut line) {
            at = next;
        }
    }

    /// Passes over text from `at` to the end of its block, or farther if something that begins in it ends there. The cursor
    /// moves to the start of the last line that was begun; `line` is the physical one at `at`. `None` when that is all.
    fn pass_block(&mut self, from: usize, end: usize, line: &mut u32) -> Option<usize> {
        let bytes = self.bytes;
        if from >= end {
            if end == bytes.len() {
                self.position = end;
                self.line = *line;
            }
            return None;
        }
        let base = from - from % marks::BLOCK;
        let marks::Text { stops, newlines } = marks::text(bytes, base);
        let block_end = base + marks::BLOCK;
        let mut at = from;
        while at < block_end {
            let ahead = u64::MAX << (at - base);
            let stop = (base + (stops & ahead).trailing_zeros() as usize).min(end);
            let before = match stop - base {
                marks::BLOCK => u64::MAX,
                bits => (1 << bits) - 1,
            };
            let passed = newlines & ahead & before;
            if passed != 0 {
                *line += passed.count_ones();
                self.position = block_end - passed.leading_zeros() as usize;
                self.line = *line;
            }
            if stop >= end {
                return Some(end);
            }
            at = stop;
            if stop < block_end {
                at = self.pass_stop(stop, line)?;
            }
        }
        Some(at)
    }

    /// Passes over what begins at a mark of text, or over the mark; `None` where the line is not plain, or a directive.
    fn pass_stop(&mut self, stop: usize, line: &mut u32) -> Option<usize> {
        let bytes = self.bytes;
        match bytes[stop] {
            b'"' | b'\'' => self.plain_literal(stop),
            b'/' => Some(match self.plain_comment(stop)? {
                Some(comment) => {
                    *line += comment.lines;
                    comment.end
                }
                None => stop + 1,
            }),
            b'#' | b'%' => {
                let before = &bytes[self.position..stop];
                let last = before.iter().rev().find(|byte| !is_blank(**byte));
                // Behind what may be a comment it may begin the line.
                (!matches!(last, None | Some(b'/'))).then_some(stop + 1)
            }
            b'?' => (!self.is_odd_question(stop)).then_some(stop + 1),
            b'\r' => {
                if bytes.get(stop + 1) != Some(&b'\n') {
                    *line += 1;
                    self.position = stop + 1;
                    self.line = *line;
                }
                Some(stop + 1)
            }
            _ => None,
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

    /// The rest of the logical line as bytes, and the cursor behind it, if it has no `#` and no `%` in it and is plain but for
    /// splices between tokens.
    pub fn plain_body(&self) -> Option<(&'a [u8], Cursor<'a>)> {
        if self.mode.assembler {
            return None;
        }
        let bytes = self.bytes;
        let mut end = self.position;
        let mut lines = 0;
        let plain = loop {
            match self.plain_until(end) {
                Ok(rest) => break rest,
                Err(odd) if bytes[odd.end..].starts_with(b"\\\n") && !self.joins(odd.end) => {
                    lines += odd.lines + 1;
                    end = odd.end + 2;
                }
                Err(_) => return None,
            }
        };
        let body = &bytes[self.position..plain.end];
        let after = Cursor {
            position: plain.end,
            line: self.line + lines + plain.lines,
            ..*self
        };
        memchr2(b'#', b'%', body).is_none().then_some((body, after))
    }

    /// Whether the splice at `splice` may stand within a token, or within a word that is watched for.
    fn joins(&self, splice: usize) -> bool {
        let blank_before = splice > 0 && is_blank(self.bytes[splice - 1]);
        let next = self.bytes.get(splice + 2);
        !blank_before && !next.is_some_and(|next| is_blank(*next))
    }

    /// The identifier that comes next in the line, if nothing unusual is in it or around it; the cursor is behind it then.
    #[inline]
    pub fn plain_word(&mut self) -> Option<&'a [u8]> {
        let bytes = self.bytes;
        let blanks = bytes[self.position..]
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'));
        let start = self.position + blanks.count();
        let word = Cursor {
            position: start,
            ..*self
        };
        let end = word.plain_identifier()?;
        self.position = end;
        Some(&bytes[start..end])
    }

    /// Steps over blanks and this byte, if it comes next.
    #[inline]
    pub fn take_plain(&mut self, byte: u8) -> bool {
        let rest = &self.bytes[self.position..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
        let at = blanks.count();
        let found = rest.get(at) == Some(&byte);
        if found {
            self.position += at + 1;
        }
        found
    }

    /// Whether a line feed comes next.
    #[inline]
    pub fn is_at_newline(&self) -> bool {
        self.bytes.get(self.position) == Some(&b'\n')
    }

    /// Steps over a `#` that certainly begins a directive, if one comes next.
    #[inline]
    pub fn take_plain_hash(&mut self) -> bool {
        let rest = &self.bytes[self.position..];
        let plain = matches!(rest, [b'#', next, ..] if !matches!(next, b'#' | b'\\' | b'?' | b'%'));
        self.position += usize::from(plain);
        plain
    }

    /// The end of the logical line, from between two tokens; `None` if it is not plain.
    fn plain_rest(&self, from: usize) -> Option<Plain> {
        self.plain_until(from).ok()
    }

    /// As [`Cursor::plain_rest`]; an error where it is not plain.
    fn plain_until(&self, from: usize) -> Result<Plain, Plain> {
        let bytes = self.bytes;
        let mut at = from;
        let mut lines = 0;
        loop {
            at = marks::next_stop(bytes, at);
            let here = Plain { end: at, lines };
            match bytes.get(at) {
                None | Some(b'\n' | b'\r') => return Ok(here),
                Some(b'"' | b'\'') => at = self.plain_literal(at).ok_or(here)?,
                Some(b'/') => match self.plain_comment(at).ok_or(here)? {
                    Some(comment) => {
                        at = comment.end;
                        lines += comment.lines;
                    }
                    None => at += 1,
                },
                Some(b'#' | b'%') => at += 1,
                Some(b'?') if !self.is_odd_question(at) => at += 1,
                Some(_) => return Err(here),
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
            at = marks::next_in_literal(bytes, at, quote);
            let Some(&byte) = bytes.get(at) else {
                return Some(at);
            };
            match byte {
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
        let mut base = start - start % marks::BLOCK;
        let mut inside = u64::MAX << (start - base);
        let mut lines = 0;
        // Whether the byte before the block is a star of the comment, or a line feed.
        let (mut star, mut newline) = (0, 0);
        while base < bytes.len() {
            let marks = marks::comment(bytes, base);
            let stars = marks.stars & inside;
            let newlines = marks.newlines & inside;
            let ends = marks.slashes & (stars << 1 | star);
            let before = ends.wrapping_sub(1) & !ends;
            // A splice may stand between the star and the slash, and a carriage return may be a line end.
            let odd = marks.returns | (marks.slashes & (newlines << 1 | newline));
            if odd & inside & before != 0 {
                return self.odd_block_comment(at);
            }
            lines += (newlines & before).count_ones();
            if ends != 0 {
                let end = base + ends.trailing_zeros() as usize + 1;
                return Some(Plain { end, lines });
            }
            (star, newline) = (stars >> 63, newlines >> 63);
            inside = u64::MAX;
            base += marks::BLOCK;
        }
        None
    }

    /// As [`Cursor::plain_block_comment`], slowly.
    fn odd_block_comment(&self, at: usize) -> Option<Plain> {
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
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\"",
        "\"",
        "'",
        "'",
        "\\",
        "\\\n",
        "\\ \n",
        "/",
        "/*",
        "*/",
        "*",
        "//",
        "?",
        "??/",
        "??/\n",
        "??=",
        "#",
        "%:",
        "R\"",
        "u8R\"x(",
        ")x\"",
        "(",
        ")\"",
        "L'",
        "u8'",
        "1'0",
        "1e+'",
        "x",
        " ",
        "\t",
        "\0",
        "\u{e9}",
        "\\u00e9",
        "\\\\",
        "\\\"",
        "\\?",
        ".",
        "+",
        "\u{b}",
        "import x",
        "1.R",
        "$",
        "a long run of text without anything in it, longer than a block is; and more\n",
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
        let (mut passed, mut bodies) = (0, 0);
        for _ in 0..60_000 {
            let most = [8, 24, 60][random(3)];
            let count = 1 + random(most);
            let text: String = (0..count).map(|_| PIECES[random(PIECES.len())]).collect();
            let limit = [usize::MAX, random(text.len() + 4)][random(2)];
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
            let place = |cursor: &Cursor| (cursor.position(), cursor.line());
            let spellings = |cursor: &mut Cursor| {
                let mut spellings = Vec::new();
                let mut scratch = Vec::new();
                while let Some(token) = cursor.next_token(&mut scratch, true) {
                    let spelling = cursor.spelling(&token, &scratch).to_vec();
                    spellings.push((token.shape, token.space, spelling));
                }
                spellings
            };
            let mut tokens = cursor;
            let expected = spellings(&mut tokens);
            if let Some((body, after)) = cursor.plain_body() {
                assert_eq!(place(&after), place(&tokens), "{text:?} {mode:?}");
                let found = spellings(&mut Cursor::within(body, mode));
                assert_eq!(found, expected, "{text:?} {mode:?}");
                bodies += usize::from(body.contains(&b'\n'));
            }
            let mut word = cursor;
            if let Some(spelling) = word.plain_word() {
                let token = cursor.next_token(&mut scratch, true);
                let token = token.map(|token| cursor.spelling(&token, &scratch).to_vec());
                assert_eq!(token.as_deref(), Some(spelling), "{text:?} {mode:?}");
                assert_eq!(place(&word), place(&cursor), "{text:?} {mode:?}");
                tokens = cursor;
                while tokens.next_token(&mut scratch, false).is_some() {}
            }
            if cursor.skip_plain_rest() {
                assert_eq!(place(&cursor), place(&tokens), "{text:?} {mode:?}");
            }
        }
        assert!(passed > 1000, "only {passed} texts had plain lines");
        assert!(bodies > 100, "only {bodies} bodies had splices");
    }
}
