//! Which header names a text looks for, read as a compiler reads it: comments, strings, directives. To compare with what [`super::super::reading`] finds, which must
//! be no less. Owns no state.

use memchr::memmem;

/// Names in `#include` and its like, and, with `true`, names in `__has_include` on `#if` lines. `None` where compilers and dialects differ on what the text is.
pub(super) fn names(text: &[u8]) -> Option<Vec<(bool, Vec<u8>)>> {
    // Other line ends, trigraphs, raw strings.
    let unclear = [&b"\r"[..], b"\0", b"??", b"R\""];
    if unclear
        .iter()
        .any(|what| memmem::find(text, what).is_some())
    {
        return None;
    }
    let mut joined = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in memmem::find_iter(text, b"\\\n") {
        joined.extend_from_slice(&text[from..at]);
        from = at + 2;
    }
    joined.extend_from_slice(&text[from..]);
    // Blanks behind a backslash at the end of a line: some compilers join there, too.
    let mut ends = memchr::memchr_iter(b'\n', &joined);
    if ends.any(|end| joined[..end].trim_ascii_end().ends_with(b"\\")) {
        return None;
    }
    let mut reader = Reader {
        rest: &joined,
        found: Vec::new(),
    };
    reader.read();
    Some(reader.found)
}

struct Reader<'a> {
    rest: &'a [u8],
    found: Vec<(bool, Vec<u8>)>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut begins = true;
        loop {
            self.skip_blanks();
            let Some(&byte) = self.rest.first() else {
                return;
            };
            match byte {
                b'\n' => {
                    self.skip(1);
                    begins = true;
                    continue;
                }
                b'#' if begins => {
                    self.skip(1);
                    self.directive();
                }
                b'%' if begins && self.rest.starts_with(b"%:") => {
                    self.skip(2);
                    self.directive();
                }
                _ => self.skip_token(),
            }
            begins = false;
        }
    }

    fn directive(&mut self) {
        self.skip_blanks();
        let keyword = self.word();
        match keyword {
            b"include" | b"include_next" | b"import" => self.take_name(false),
            b"if" | b"elif" => self.condition(),
            _ => {}
        }
    }

    /// What `#if` asks for, to the end of its line.
    fn condition(&mut self) {
        loop {
            self.skip_blanks();
            match self.rest.first() {
                None | Some(b'\n') => return,
                Some(byte) if is_name(*byte) => {
                    if matches!(self.word(), b"__has_include" | b"__has_include_next") {
                        self.skip_blanks();
                        if self.rest.first() == Some(&b'(') {
                            self.skip(1);
                            self.take_name(true);
                        }
                    }
                }
                Some(_) => self.skip_token(),
            }
        }
    }

    /// A header's name, if one is written here.
    fn take_name(&mut self, asked: bool) {
        self.skip_blanks();
        let end = match self.rest.first() {
            Some(b'<') => b'>',
            Some(b'"') => b'"',
            _ => return,
        };
        let name = &self.rest[1..];
        if let Some(length) = memchr::memchr2(end, b'\n', name)
            && name[length] == end
        {
            self.found.push((asked, name[..length].to_vec()));
            self.skip(length + 2);
        }
    }

    /// Skips blanks and comments; a comment without an end goes to the end.
    fn skip_blanks(&mut self) {
        loop {
            match self.rest {
                [b' ' | b'\t' | b'\x0b' | b'\x0c', rest @ ..] => self.rest = rest,
                [b'/', b'*', comment @ ..] => {
                    let end = memmem::find(comment, b"*/").map_or(comment.len(), |end| end + 2);
                    self.rest = &comment[end..];
                }
                [b'/', b'/', ..] => {
                    let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
                    self.skip(end);
                }
                _ => return,
            }
        }
    }

    /// Skips a name, a string to its end or that of its line, or one byte.
    fn skip_token(&mut self) {
        let Some(&first) = self.rest.first() else {
            return;
        };
        if is_name(first) {
            self.word();
            return;
        }
        self.skip(1);
        if !matches!(first, b'"' | b'\'') {
            return;
        }
        while let Some(&byte) = self.rest.first() {
            match byte {
                b'\n' => return,
                b'\\' if self.rest.get(1).is_some_and(|next| *next != b'\n') => self.skip(2),
                byte => {
                    self.skip(1);
                    if byte == first {
                        return;
                    }
                }
            }
        }
    }

    fn word(&mut self) -> &[u8] {
        let text = self.rest;
        let end = text.iter().position(|byte| !is_name(*byte));
        let (word, rest) = text.split_at(end.unwrap_or(text.len()));
        self.rest = rest;
        word
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes.min(self.rest.len())..];
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_are_read_as_compilers_do() {
        let text = b"#include <a.h> /* #include <no.h>\n*/\nchar *s = \"\\\"/*\"; // \"\n %: inc\\\nlude/**/\"b.h\"\n\
            #if X && __has_include /* */ ( <c.h>) || '\"'\n#include X\nx #include <no.h>\n";
        let found = names(text).unwrap();
        let found: Vec<(bool, &[u8])> = found.iter().map(|(a, n)| (*a, n.as_slice())).collect();
        let expected = [(false, &b"a.h"[..]), (false, b"b.h"), (true, b"c.h")];
        assert_eq!(found, expected);
        assert_eq!(names(b"R\"(\"\n#include <a.h>"), None);
    }
}
