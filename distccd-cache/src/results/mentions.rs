//! What contents mention that makes a result depend on more than its inputs: the time, and files that no list names. Owns what is known of contents, by
//! digest.

use std::io;

use dashmap::DashMap;
use memchr::memmem;
use protocol::bundle::digest::Digest;

/// Contents that are remembered; with more, all are forgotten. Some 40 bytes each.
const KEPT: usize = 1 << 20;

/// See the module's text. A set of what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mentions(u8);

/// What is looked for. A word in a comment or a string counts, too: whoever reads a content to the end like this need not parse it.
const WORDS: [&str; 6] = [
    "__DATE__",
    "__TIME__",
    "__TIMESTAMP__",
    // They read files by the assembler, which says so in no list.
    ".incbin",
    ".include",
    // An old compiler's list does not name what this reads.
    "#embed",
];

impl Mentions {
    /// What a content mentions. A line that is continued behind a backslash is one.
    pub(crate) fn of(content: &[u8]) -> Self {
        let mut found = Self::in_text(content);
        if memmem::find(content, b"\\\n").is_some() || memmem::find(content, b"\\\r\n").is_some() {
            found.0 |= Self::in_text(&joined(content)).0;
        }
        found
    }

    fn in_text(text: &[u8]) -> Self {
        let mut found = 0;
        for (bit, word) in WORDS.iter().enumerate() {
            if memmem::find(text, word.as_bytes()).is_some() {
                found |= 1 << bit;
            }
        }
        Self(found)
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// What was found, for people.
    pub(crate) fn words(self) -> String {
        let bits = WORDS.iter().enumerate();
        let found = bits.filter(|(bit, _)| self.0 & (1 << bit) != 0);
        let words: Vec<&str> = found.map(|(_, word)| *word).collect();
        words.join(" and ")
    }
}

/// A text with its continued lines joined.
fn joined(text: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        joined.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        match rest {
            [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] => rest = after,
            _ => joined.push(b'\\'),
        }
    }
    joined.extend_from_slice(rest);
    joined
}

/// What is known of contents.
#[derive(Debug, Default)]
pub(crate) struct Known(DashMap<Digest, Mentions, foldhash::fast::RandomState>);

impl Known {
    /// What the content of a digest mentions; reads it when nobody did before. `None` when it cannot be read any more.
    pub(crate) fn of(
        &self,
        digest: &Digest,
        content: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<Option<Mentions>> {
        if let Some(known) = self.0.get(digest) {
            return Ok(Some(*known));
        }
        let Some(content) = content()? else {
            return Ok(None);
        };
        let found = Mentions::of(&content);
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        self.0.insert(*digest, found);
        Ok(Some(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_and_hidden_files_are_found() {
        for (text, words) in [
            ("int x;\n", ""),
            ("char *d = __DATE__;", "__DATE__"),
            ("__DATE__ __TIME__", "__DATE__ and __TIME__"),
            ("__DA\\\nTE__", "__DATE__"),
            ("__TI\\\r\nME\\\n__", "__TIME__"),
            ("a \\ b __TIME\\__", ""),
            ("asm(\".incbin \\\"x\\\"\");", ".incbin"),
            ("#embed <x>", "#embed"),
        ] {
            assert_eq!(Mentions::of(text.as_bytes()).words(), words, "{text}");
        }
    }

    #[test]
    fn a_content_is_read_once() {
        let known = Known::default();
        let digest = Digest([5; 32]);
        let read = known.of(&digest, || Ok(Some(b"__TIME__".to_vec())));
        assert_eq!(
            read.unwrap().map(Mentions::words).as_deref(),
            Some("__TIME__")
        );
        let again = known.of(&digest, || panic!("read again"));
        assert!(!again.unwrap().unwrap().is_nothing());
        let gone = known.of(&Digest([6; 32]), || Ok(None));
        assert_eq!(gone.unwrap(), None);
    }
}
