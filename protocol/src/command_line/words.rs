//! Splitting text into words as the compilers do: response files (`@file`) and comma lists.
//! Owns no state; files are read through a function that the caller gives.

use super::Word;

/// Splits the text of a response file as libiberty's `buildargv` does: blanks separate words;
/// `'...'` and `"..."` quote, and may stand in the middle of a word; a backslash takes the next
/// byte as it is, also inside both kinds of quotes; an empty pair of quotes is an empty word.
pub fn expand_response_text(text: &[u8]) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word = Word::new();
    let mut inside_word = false;
    let mut quote = None;
    let mut escaped = false;
    for &byte in text {
        if escaped {
            escaped = false;
            word.push(byte);
        } else if byte == b'\\' {
            escaped = true;
            inside_word = true;
        } else if Some(byte) == quote {
            quote = None;
        } else if quote.is_some() {
            word.push(byte);
        } else if byte == b'\'' || byte == b'"' {
            quote = Some(byte);
            inside_word = true;
        } else if is_blank(byte) {
            if inside_word {
                words.push(std::mem::take(&mut word));
                inside_word = false;
            }
        } else {
            word.push(byte);
            inside_word = true;
        }
    }
    if inside_word {
        words.push(word);
    }
    words
}

/// C's `isspace`.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// How much response files may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseLimits {
    /// Files inside files; 1 allows no nesting.
    pub depth: usize,
    /// Bytes of all files together.
    pub bytes: usize,
    /// Words of the whole command line.
    pub words: usize,
}

impl Default for ResponseLimits {
    /// 10 levels, 16 MiB, one million words: far above what a build uses, and harmless in memory.
    fn default() -> Self {
        Self {
            depth: 10,
            bytes: 16 << 20,
            words: 1_000_000,
        }
    }
}

/// Why response files could not be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// A file names itself, directly or through others.
    #[error("response file {} names itself", String::from_utf8_lossy(.0))]
    Recursive(Word),
    /// Too many files inside files.
    #[error("response file {} is nested too deep", String::from_utf8_lossy(.0))]
    TooDeep(Word),
    /// Too many bytes.
    #[error("response file {} is too long", String::from_utf8_lossy(.0))]
    TooLong(Word),
    /// Too many words.
    #[error("response files hold too many words")]
    TooManyWords,
}

/// Replaces every `@FILE` by the words of that file, also inside files, as gcc and clang do.
///
/// `read` gives a file's bytes, or `None` when it cannot be read: such a word stays as it is, and
/// the compilers take it for a file name. The first word is the compiler and is never expanded.
/// Bytes are counted against `limits` only after `read` returned, so `read` should cap itself.
pub fn expand_response_files(
    words: &[Word],
    limits: ResponseLimits,
    mut read: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<Word>, ResponseError> {
    let mut expansion = Expansion {
        limits,
        bytes: 0,
        open: Vec::new(),
        out: Vec::new(),
        read: &mut read,
    };
    let mut words = words.iter();
    expansion.out.extend(words.next().cloned());
    for word in words {
        expansion.add(word)?;
    }
    Ok(expansion.out)
}

struct Expansion<'a> {
    limits: ResponseLimits,
    bytes: usize,
    /// Names of the files being expanded, outermost first.
    open: Vec<Word>,
    out: Vec<Word>,
    read: &'a mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
}

impl Expansion<'_> {
    fn add(&mut self, word: &[u8]) -> Result<(), ResponseError> {
        let Some(name) = word.strip_prefix(b"@").filter(|name| !name.is_empty()) else {
            return self.push(word);
        };
        if self.open.iter().any(|open| open == name) {
            return Err(ResponseError::Recursive(name.to_vec()));
        }
        if self.open.len() >= self.limits.depth {
            return Err(ResponseError::TooDeep(name.to_vec()));
        }
        let Some(text) = (self.read)(name) else {
            return self.push(word);
        };
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > self.limits.bytes {
            return Err(ResponseError::TooLong(name.to_vec()));
        }
        self.open.push(name.to_vec());
        for inner in expand_response_text(&text) {
            self.add(&inner)?;
        }
        self.open.pop();
        Ok(())
    }

    fn push(&mut self, word: &[u8]) -> Result<(), ResponseError> {
        if self.out.len() >= self.limits.words {
            return Err(ResponseError::TooManyWords);
        }
        self.out.push(word.to_vec());
        Ok(())
    }
}

/// The pieces of a comma list from `start` on, as byte ranges of `word`. An empty list has one
/// empty piece, as with gcc's `-Wp,`.
pub fn split_commas(word: &[u8], start: usize) -> Vec<std::ops::Range<usize>> {
    let mut pieces = Vec::new();
    let mut from = start.min(word.len());
    for (at, &byte) in word.iter().enumerate().skip(from) {
        if byte == b',' {
            pieces.push(from..at);
            from = at + 1;
        }
    }
    pieces.push(from..word.len());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let words = expand_response_text(text.as_bytes());
        words
            .into_iter()
            .map(|w| String::from_utf8(w).expect("test text is UTF-8"))
            .collect()
    }

    #[test]
    fn quoting_as_libiberty() {
        assert_eq!(split("  -c a.c\n\t-o\x0bx\x0c"), ["-c", "a.c", "-o", "x"]);
        assert_eq!(
            split(r#"-DX="a b" 'c d' e\ f "g\"h" 'i\'j'"#),
            ["-DX=a b", "c d", "e f", "g\"h", "i'j"]
        );
        assert_eq!(split(r#""" '' a"#), ["", "", "a"]);
        assert_eq!(split("'open end"), ["open end"]);
        assert_eq!(split("a\\"), ["a"]);
        assert_eq!(split(""), Vec::<String>::new());
    }

    fn expand(first: &str, files: &[(&str, &str)]) -> Result<Vec<Word>, ResponseError> {
        let limits = ResponseLimits {
            depth: 3,
            bytes: 100,
            words: 12,
        };
        expand_response_files(&[b"gcc".to_vec(), first.into()], limits, |name| {
            let text = files.iter().find(|(n, _)| n.as_bytes() == name)?.1;
            Some(text.as_bytes().to_vec())
        })
    }

    #[test]
    fn files_nest_and_absent_ones_stay() {
        let words = expand("@a", &[("a", "-c @b @gone @"), ("b", "x.c")]).expect("expands");
        let expected: Vec<Word> = ["gcc", "-c", "x.c", "@gone", "@"]
            .iter()
            .map(|w| w.as_bytes().to_vec())
            .collect();
        assert_eq!(words, expected);
    }

    #[test]
    fn limits_and_self_reference() {
        let name = |n: &str| n.as_bytes().to_vec();
        assert_eq!(
            expand("@a", &[("a", "@a")]),
            Err(ResponseError::Recursive(name("a")))
        );
        assert_eq!(
            expand("@a", &[("a", "@b"), ("b", "@a")]),
            Err(ResponseError::Recursive(name("a")))
        );
        assert_eq!(
            expand("@a", &[("a", "@b"), ("b", "@c"), ("c", "@d"), ("d", "x")]),
            Err(ResponseError::TooDeep(name("d")))
        );
        let long = "y".repeat(101);
        assert_eq!(
            expand("@a", &[("a", &long)]),
            Err(ResponseError::TooLong(name("a")))
        );
        let many = "z ".repeat(40);
        assert_eq!(
            expand("@a", &[("a", &many)]),
            Err(ResponseError::TooManyWords)
        );
    }

    #[test]
    fn commas() {
        let pieces = |word: &str, start| {
            let ranges = split_commas(word.as_bytes(), start);
            ranges
                .into_iter()
                .map(|r| word[r].to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(pieces("-Wp,-MD,f", 4), ["-MD", "f"]);
        assert_eq!(pieces("-Wp,", 4), [""]);
        assert_eq!(pieces("-Wp", 4), [""]);
        assert_eq!(pieces("-Wp,,a", 4), ["", "a"]);
    }
}
