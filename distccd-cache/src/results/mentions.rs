//! What contents mention that makes a result depend on more than its inputs: the time, and files that no list names. Owns no state.

use memchr::memmem;

use super::contents::line_end;

/// See the module's text. A set of what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mentions(u8);

/// What is looked for. A word in a string counts, too; one in a comment does not where it is plain that it is one.
const WORDS: [&str; 7] = [
    "__DATE__",
    "__TIME__",
    "__TIMESTAMP__",
    // They read files by the assembler, which says so in no list.
    ".incbin",
    ".include",
    // An old compiler's list does not name what this reads.
    "#embed",
    "__has_embed",
];

/// What stands at the end of its list: compilers differ on where such a line ends.
const PUZZLE: &str = "a line that some compilers continue or end";

/// In some dialects a backslash.
const TRIGRAPH: &[u8] = b"??/";

impl Mentions {
    /// What a text mentions whose continued lines are joined.
    pub(crate) fn of(text: &[u8]) -> Self {
        let found = Self::anywhere(text);
        // Headers of the Linux kernel tell in comments why they do without.
        match found.is_nothing() || found.is_puzzling() {
            true => found,
            false => without_comments(text).map_or(found, |code| Self::anywhere(&code)),
        }
    }

    fn anywhere(text: &[u8]) -> Self {
        let is_puzzling = has_return(text) || has_continuing_trigraph(text);
        let mut found = u8::from(is_puzzling) << WORDS.len();
        for (bit, word) in WORDS.iter().enumerate() {
            if memmem::find(text, word.as_bytes()).is_some() {
                found |= 1 << bit;
            }
        }
        Self(found)
    }

    /// Whether it is not even sure where lines end.
    fn is_puzzling(self) -> bool {
        self.0 >> WORDS.len() != 0
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// What was found, for people.
    pub(crate) fn words(self) -> String {
        let bits = WORDS.iter().chain([&PUZZLE]).enumerate();
        let found = bits.filter(|(bit, _)| self.0 & (1 << bit) != 0);
        let words: Vec<&str> = found.map(|(_, word)| *word).collect();
        words.join(" and ")
    }
}

/// Whether a carriage return stands elsewhere than before the end of a line.
fn has_return(text: &[u8]) -> bool {
    let mut returns = memchr::memchr_iter(b'\r', text);
    returns.any(|at| !matches!(text.get(at + 1), None | Some(b'\r' | b'\n')))
}

/// Whether a trigraph stands at the end of a line.
fn has_continuing_trigraph(text: &[u8]) -> bool {
    let mut found = memmem::find_iter(text, TRIGRAPH);
    found.any(|at| line_end(&text[at + TRIGRAPH.len()..]).is_some())
}

/// A text without what is between `/*` and `*/`, or `None` where that depends on language and dialect: raw strings, digits with separators, `/*` behind `//`, trigraphs.
fn without_comments(text: &[u8]) -> Option<Vec<u8>> {
    if memmem::find(text, TRIGRAPH).is_some() {
        return None;
    }
    let mut code = Vec::with_capacity(text.len());
    let mut rest = text;
    // How much was left at the end of the line that was looked for last: it is not looked for again for each string on the line.
    let mut behind = text.len() + 1;
    let mut line = |rest: &'_ [u8]| {
        if rest.len() < behind {
            behind = rest.len() - memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        }
        rest.len() - behind
    };
    // Whether a name or a number is just being read, and which of them.
    let (mut in_name, mut in_number) = (false, false);
    while let Some(&byte) = rest.first() {
        let length = match (byte, rest.get(1)) {
            (b'/', Some(b'*')) => {
                let end = memmem::find(&rest[2..], b"*/")?;
                rest = &rest[2 + end + 2..];
                code.push(b' ');
                (in_name, in_number) = (false, false);
                continue;
            }
            (b'/', Some(b'/')) => {
                let line = &rest[..line(rest)];
                // In C90 that is no comment yet.
                if memmem::find(line, b"/*").is_some() {
                    return None;
                }
                line.len()
            }
            (b'"', _) if code.last() == Some(&b'R') => return None,
            (b'\'', _) if in_number => return None,
            (b'"' | b'\'', _) => quoted(&rest[..line(rest)]),
            _ => 1,
        };
        let is_part = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' && in_number;
        in_number = is_part && (in_number || !in_name && byte.is_ascii_digit());
        in_name = is_part && !in_number;
        code.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    }
    Some(code)
}

/// How long a string or character is that a line begins with; one without an end goes to the end of the line.
fn quoted(line: &[u8]) -> usize {
    let mut at = 1;
    while at < line.len() {
        match line[at] {
            b'\\' => at += 1,
            byte if byte == line[0] => return at + 1,
            _ => {}
        }
        at += 1;
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_do_not_count_where_they_are_plain() {
        for (text, words) in [
            ("/* a\n * asm(\".include <x.h>\") */ int x;", ""),
            ("int x; // __DATE__\n", "__DATE__"),
            ("char *s = \"/*\", *d = __DATE__; /* */", "__DATE__"),
            ("char c = '\"'; /* __DATE__ */", ""),
            ("char c = '\\''; /* __DATE__ */", ""),
            ("#error don't\n/* __DATE__ */", ""),
            ("a //* x */ __DATE__\n;", "__DATE__"),
            ("a = 1'0 + '\"' \"/*\" __DATE__ /* */", "__DATE__"),
            ("R\"x(/*)x\" __DATE__ /* */", "__DATE__"),
            ("/* __DATE__", "__DATE__"),
            ("u8'x' /* __TIME__ */", ""),
        ] {
            assert_eq!(Mentions::of(text.as_bytes()).words(), words, "{text}");
        }
    }

    /// This took time by the square of its length: minutes, at which nextest ends a test.
    #[test]
    fn a_huge_line_of_strings_is_read_once() {
        const HUGE: usize = 8 << 20;
        for piece in ["\"\"", "'a'", "\"/*\"", "/**/", "\"\\\"", "R'"] {
            let text = piece.repeat(HUGE / piece.len());
            let mentions = |more: &str| Mentions::of((text.clone() + more).as_bytes()).words();
            assert_eq!(mentions("\n/* __DATE__ */"), "", "{piece}");
            assert_eq!(mentions("\n__DATE__"), "__DATE__", "{piece}");
        }
    }

    #[test]
    fn the_time_and_hidden_files_are_found() {
        for (text, words) in [
            ("int x;\n", ""),
            ("char *d = __DATE__;", "__DATE__"),
            ("__DATE__ __TIME__", "__DATE__ and __TIME__"),
            ("__DA??/ \nTE__", PUZZLE),
            ("is it so??/* yes */", ""),
            ("\"??/\" /* \" __DATE__ /* */", "__DATE__"),
            ("__DA\\\rTE__", PUZZLE),
            ("int x;\r\n/* __DATE__ */\r\r\n\r", ""),
            ("asm(\".incbin \\\"x\\\"\");", ".incbin"),
            ("#embed <x>", "#embed"),
        ] {
            assert_eq!(Mentions::of(text.as_bytes()).words(), words, "{text}");
        }
    }
}
