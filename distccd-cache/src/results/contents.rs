//! What is known of contents, by digest: what they mention and which names they look for. Owns that memory; each content is read once.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use protocol::bundle::digest::Digest;

use super::memory::{Memory, Remembered};
use super::mentions::Mentions;
use super::probes::Probes;

/// Bytes of memory for what is remembered, some 300 for each content; with more, all is forgotten. What one content looks for may be as much as the content.
const KEPT: usize = 96 << 20;

/// What is known of one content.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) mentions: Mentions,
    pub(crate) probes: Probes,
}

impl Content {
    /// Reads a content. A line that is continued behind a backslash is one.
    pub(crate) fn of(content: &[u8]) -> Self {
        let text = joined(content);
        Self {
            mentions: Mentions::of(&text),
            probes: Probes::of(&text),
        }
    }
}

impl Remembered for Content {
    fn bytes(&self) -> usize {
        size_of::<Digest>() + size_of::<Mentions>() + self.probes.bytes()
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    known: Memory<Digest, Arc<Content>, KEPT>,
}

impl Contents {
    /// What is known of the content of a digest; reads it when nobody did before. `None` when it cannot be read any more.
    pub(crate) fn of(
        &self,
        digest: &Digest,
        content: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<Option<Arc<Content>>> {
        if let Some(known) = self.known.get(digest) {
            return Ok(Some(known));
        }
        let Some(content) = content()? else {
            return Ok(None);
        };
        let found = Arc::new(Content::of(&content));
        self.known.insert(*digest, Arc::clone(&found));
        Ok(Some(found))
    }
}

/// A text with its continued lines joined.
fn joined(text: &[u8]) -> Cow<'_, [u8]> {
    let mut joined = Vec::new();
    let mut taken = 0;
    for at in memchr::memchr_iter(b'\\', text) {
        if let Some(length) = line_end(&text[at + 1..]) {
            joined.extend_from_slice(&text[taken..at]);
            taken = at + 1 + length;
        }
    }
    match taken {
        0 => Cow::Borrowed(text),
        _ => {
            joined.extend_from_slice(&text[taken..]);
            Cow::Owned(joined)
        }
    }
}

/// How long the end of a line is that a text begins with. Compilers see none of the blanks before it.
pub(super) fn line_end(text: &[u8]) -> Option<usize> {
    let blanks = text
        .iter()
        .take_while(|byte| b" \t\x0b\x0c\0".contains(byte));
    let blanks = blanks.count();
    match &text[blanks..] {
        [b'\n', ..] => Some(blanks + 1),
        [b'\r', b'\n', ..] => Some(blanks + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continued_lines_are_joined() {
        for (text, words) in [
            ("__DA\\\nTE__", "__DATE__"),
            ("__TI\\\r\nME\\\n__", "__TIME__"),
            ("a \\ b __TIME\\__", ""),
            // With a warning, or without.
            ("__DA\\ \t\nTE__", "__DATE__"),
        ] {
            assert_eq!(
                Content::of(text.as_bytes()).mentions.words(),
                words,
                "{text}"
            );
        }
        let content = Content::of(b"#inc\\\nlude <a\\\n.h>\n");
        assert_eq!(content.probes.included.written, [b"a.h"[..].into()]);
    }

    #[test]
    fn large_contents_do_not_fill_the_memory() {
        let known = Contents::default();
        for name in 0..200 {
            let include = |at: usize| format!("#include <{name}/{at:0200}>\n");
            let text: String = (0..5000).map(include).collect();
            let read = known.of(&Digest([name; 32]), || Ok(Some(text.into_bytes())));
            assert_eq!(read.unwrap().unwrap().probes.included.written.len(), 5000);
        }
        let kept = known.known.sizes().iter().sum();
        assert!((1 << 20..=KEPT).contains(&kept));
    }

    #[test]
    fn a_content_is_read_once() {
        let known = Contents::default();
        let digest = Digest([5; 32]);
        let read = known.of(&digest, || Ok(Some(b"__TIME__".to_vec())));
        assert_eq!(read.unwrap().unwrap().mentions.words(), "__TIME__");
        let again = known.of(&digest, || panic!("read again"));
        assert!(!again.unwrap().unwrap().mentions.is_nothing());
        let gone = known.of(&Digest([6; 32]), || Ok(None));
        assert!(gone.unwrap().is_none());
    }
}
