//! Words in text that matter to a scan, found before the text is lexed: most lines have none and are passed over.

use std::sync::LazyLock;

use aho_corasick::packed::{FindIter, Searcher};

use crate::configuration::LexingMode;

/// Words that a [`super::Mention`] begins with or holds. A word in which there is a splice is not found; a line with splices is
/// always lexed.
const WORDS: [&str; 9] = [
    "__COUNTER__",
    "__TIME",
    "__DATE__",
    "_Pragma",
    "push_macro",
    "pop_macro",
    "GCC",
    ".incbin",
    ".include",
];

/// The words of C++20 module lines.
const MODULE_WORDS: [&str; 2] = ["import", "module"];

static C: LazyLock<Option<Searcher>> = LazyLock::new(|| Searcher::new(WORDS));
static CXX: LazyLock<Option<Searcher>> =
    LazyLock::new(|| Searcher::new(WORDS.iter().chain(&MODULE_WORDS)));

/// The places of such words in one file, found as they are needed.
pub(super) struct Watch<'a> {
    bytes: &'a [u8],
    words: Option<FindIter<'static, 'a>>,
    /// Where the next one begins; the file's length if there is none.
    next: usize,
}

impl<'a> Watch<'a> {
    pub(super) fn new(bytes: &'a [u8], mode: LexingMode) -> Watch<'a> {
        let words = if mode.cxx { &*CXX } else { &*C };
        let mut watch = Watch {
            bytes,
            words: words.as_ref().map(|words| words.find_iter(bytes)),
            next: 0,
        };
        watch.advance();
        watch
    }

    /// Where the first such word at `position` or later begins; a place behind the file if there is none.
    pub(super) fn next_from(&mut self, position: usize) -> usize {
        while self.next < position {
            self.advance();
        }
        self.next
    }

    fn advance(&mut self) {
        let Some(words) = &mut self.words else {
            // On a processor without the search, every line is looked at.
            self.next += 1;
            return;
        };
        self.next = words
            .find(|found| is_worth_a_look(self.bytes, found.start(), found.end()))
            .map_or(usize::MAX, |found| found.start());
    }
}

/// Whether the word from `start` to `end` may be one that matters.
fn is_worth_a_look(bytes: &[u8], start: usize, end: usize) -> bool {
    let rest = &bytes[end..];
    match &bytes[start..end] {
        // Only `GCC target` and `GCC optimize` matter.
        b"GCC" => {
            let next = rest
                .iter()
                .find(|byte| !matches!(byte, b' ' | b'\t' | b'\x0b' | b'\x0c' | 0));
            matches!(next, Some(b't' | b'o' | b'/' | b'\\' | b'?'))
        }
        b"import" | b"module" => {
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let before = start.checked_sub(1).and_then(|before| bytes.get(before));
            !before.is_some_and(is_name) && !rest.first().is_some_and(is_name)
        }
        _ => true,
    }
}
