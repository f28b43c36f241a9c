//! What is known of contents, by digest: what they mention and which names they look for. Owns that memory; each content is read once.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use dashmap::DashMap;
use memchr::memmem;
use protocol::bundle::digest::Digest;

use super::mentions::Mentions;
use super::probes::Probes;

/// Contents that are remembered; with more, all are forgotten. Some 300 bytes each.
const KEPT: usize = 1 << 18;

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

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Contents(DashMap<Digest, Arc<Content>, foldhash::fast::RandomState>);

impl Contents {
    /// What is known of the content of a digest; reads it when nobody did before. `None` when it cannot be read any more.
    pub(crate) fn of(
        &self,
        digest: &Digest,
        content: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<Option<Arc<Content>>> {
        if let Some(known) = self.0.get(digest) {
            return Ok(Some(Arc::clone(&known)));
        }
        let Some(content) = content()? else {
            return Ok(None);
        };
        let found = Arc::new(Content::of(&content));
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        self.0.insert(*digest, Arc::clone(&found));
        Ok(Some(found))
    }
}

/// A text with its continued lines joined.
fn joined(text: &[u8]) -> Cow<'_, [u8]> {
    let is_continued = |end: &[u8]| memmem::find(text, end).is_some();
    if !is_continued(b"\\\n") && !is_continued(b"\\\r\n") {
        return Cow::Borrowed(text);
    }
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
    Cow::Owned(joined)
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
