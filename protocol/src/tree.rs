//! The files of a pump-mode request: what the server's preprocessor may see of the client.

use crate::decoder::{Grammar, Step, capped, decode_all, expect};
use crate::error::WireError;
use crate::limits::Limits;
use crate::token::{Tag, Token, put_body, put_token};
use crate::tree_path::TreePath;

/// One file or link of the client, as protocol 3 carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Where it is on the client.
    pub path: TreePath,
    /// What it is.
    pub content: EntryContent,
}

/// What stands at a [`TreeEntry`]'s path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryContent {
    /// A regular file; the bytes are an LZO block (empty for an empty file), as on the wire.
    File(Vec<u8>),
    /// A symbolic link; the bytes are its target, never compressed. A relative target of many `../` and then the
    /// entry's own path is stock's way to name a directory of the server's own system: see [`TreeEntry::is_system_link`].
    Link(Vec<u8>),
}

/// The name of the empty file that stock's include server puts into a directory only to make it exist.
pub const FORCING_FILE: &[u8] = b"forcing_technique_271828";

impl TreeEntry {
    /// Whether this link stands for a directory that the server has of its own (`/usr/include` and the like).
    ///
    /// Stock's include server writes them as `../` repeated more often than the path is deep, and then the path.
    #[must_use]
    pub fn is_system_link(&self) -> bool {
        let EntryContent::Link(target) = &self.content else {
            return false;
        };
        let mut rest = target.as_slice();
        let mut climbs = 0;
        while let Some(above) = rest.strip_prefix(b"../") {
            rest = above;
            climbs += 1;
        }
        climbs >= self.path.components().count()
            && TreePath::new(&[b"/", rest].concat()).is_ok_and(|p| p == self.path)
    }

    /// The link by which a pump-mode request names a directory of the server's own system.
    #[must_use]
    pub fn system_link(path: TreePath) -> Self {
        // Stock's depth: the temporary directory of a server may lie this deep and the link still reaches its root.
        let climbs = 20 + path.components().count();
        let target = [b"../".repeat(climbs).as_slice(), path.relative()].concat();
        Self {
            path,
            content: EntryContent::Link(target),
        }
    }
}

/// A file's content behind `#line 1 "name"`, for a server that shows it under another name; a byte order mark stays first, where alone it is
/// allowed.
#[must_use]
pub fn with_line(content: &[u8], name: &[u8]) -> Vec<u8> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let (mark, text) = match content.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) => (BYTE_ORDER_MARK, text),
        None => (&b""[..], content),
    };
    [mark, b"#line 1 \"", name, b"\"\n", text].concat()
}

/// Appends `NFIL` and its entries to a message that is being built. The same bytes are the closure's section in the
/// include server's richer dialogue, so that the client passes them on without looking at them.
pub fn put_entries(out: &mut Vec<u8>, entries: &[TreeEntry]) {
    put_token(
        out,
        Tag::NFIL,
        u32::try_from(entries.len()).expect("fewer than 2^32 files"),
    );
    for entry in entries {
        put_entry(out, &entry.path, &entry.content);
    }
}

/// Appends one entry; the caller has written `NFIL` with the right count before.
pub fn put_entry(out: &mut Vec<u8>, path: &TreePath, content: &EntryContent) {
    put_body(out, Tag::NAME, path.as_bytes());
    match content {
        EntryContent::File(block) => put_body(out, Tag::FILE, block),
        EntryContent::Link(target) => put_body(out, Tag::LINK, target),
    }
}

/// Reads a section that [`put_entries`] wrote.
///
/// # Errors
/// [`WireError`] for anything else, including bytes behind the section.
pub fn decode_entries(section: &[u8], limits: Limits) -> Result<Vec<TreeEntry>, WireError> {
    Ok(decode_all(EntriesGrammar::default(), section, limits)?.entries)
}

/// `NFIL n (NAME path (FILE block | LINK target))*n`.
#[derive(Default)]
pub(crate) struct EntriesGrammar {
    pub(crate) entries: Vec<TreeEntry>,
    expected: Option<u32>,
    path: Option<TreePath>,
    kind: Option<Tag>,
}

impl EntriesGrammar {
    /// What a token leads to that stands in an entry, behind its path or before.
    fn entry(token: Token, has_path: bool, limits: &Limits) -> Result<u32, WireError> {
        if !has_path {
            expect(token, Tag::NAME, "NAME")?;
            return capped(token, limits.path_bytes);
        }
        match token.tag {
            Tag::FILE => capped(token, limits.body_bytes),
            Tag::LINK => capped(token, limits.path_bytes),
            _ => Err(WireError::UnexpectedToken {
                expected: "FILE or LINK",
                got: token.tag.to_string(),
            }),
        }
    }
}

/// The same, of which nothing is kept.
#[derive(Default)]
pub(crate) struct SkimmedEntries {
    /// Paths and contents that are still to come.
    missing: Option<u64>,
}

impl Grammar for SkimmedEntries {
    fn token(&mut self, token: Token, limits: &Limits) -> Result<Step, WireError> {
        let Some(missing) = self.missing else {
            expect(token, Tag::NFIL, "NFIL")?;
            self.missing = Some(2 * u64::from(capped(token, limits.files)?));
            return Ok(Step::Token);
        };
        let has_path = missing % 2 == 1;
        Ok(Step::Skip(EntriesGrammar::entry(token, has_path, limits)?))
    }

    fn body(&mut self, _body: Vec<u8>, _limits: &Limits) -> Result<(), WireError> {
        self.missing = self.missing.map(|missing| missing.saturating_sub(1));
        Ok(())
    }

    fn expected(&self) -> Option<&'static str> {
        match self.missing {
            None => Some("NFIL"),
            Some(0) => None,
            Some(missing) if missing % 2 == 1 => Some("FILE or LINK"),
            Some(_) => Some("NAME"),
        }
    }
}

impl Grammar for EntriesGrammar {
    fn token(&mut self, token: Token, limits: &Limits) -> Result<Step, WireError> {
        if self.expected.is_none() {
            expect(token, Tag::NFIL, "NFIL")?;
            self.expected = Some(capped(token, limits.files)?);
            return Ok(Step::Token);
        }
        let length = Self::entry(token, self.path.is_some(), limits)?;
        self.kind = Some(token.tag);
        Ok(Step::Body(length))
    }

    fn body(&mut self, body: Vec<u8>, _limits: &Limits) -> Result<(), WireError> {
        match (self.kind, self.path.take()) {
            (Some(Tag::FILE), Some(path)) => self.entries.push(TreeEntry {
                path,
                content: EntryContent::File(body),
            }),
            (_, Some(path)) => self.entries.push(TreeEntry {
                path,
                content: EntryContent::Link(body),
            }),
            (_, None) => self.path = Some(TreePath::new(&body)?),
        }
        Ok(())
    }

    fn expected(&self) -> Option<&'static str> {
        match self.expected {
            None => Some("NFIL"),
            Some(_) if self.path.is_some() => Some("FILE or LINK"),
            Some(count) if self.entries.len() < count as usize => Some("NAME"),
            Some(_) => None,
        }
    }
}
