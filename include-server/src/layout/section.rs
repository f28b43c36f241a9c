//! A layout as bytes for the wire. Owns the compressed forms of files that are not sent as they are.

use std::sync::Arc;

use dashmap::DashMap;
use protocol::token::{Tag, put_body, put_token};
use protocol::tree::{EntryContent, TreeEntry, put_entry, with_line};

use super::{Layout, LayoutError};
use crate::entry::{Entry, Node, with_empty_lines};
use crate::files::{FileContent, ReadError};

/// Compressed forms of files behind a `#line` directive or before empty lines; shared by all requests. Forms without either
/// belong to the content itself.
#[derive(Default)]
pub struct CompressedForms {
    changed: DashMap<ChangedContent, Arc<[u8]>>,
}

/// A content's digest, the name in the directive before it, and the number of empty lines after it.
type ChangedContent = ([u8; 32], Option<Vec<u8>>, u32);

/// Forms kept at most. A large project has some 20,000 headers; past that, starting anew is cheap enough.
const FORMS_KEPT: usize = 65_536;

impl CompressedForms {
    /// The LZO block of `content`, behind `#line 1 "name"` if there is a name, with so many empty lines at its end.
    ///
    /// # Errors
    /// As [`FileContent::bytes`].
    pub fn block(
        &self,
        content: &FileContent,
        name: Option<&[u8]>,
        empty_lines: u32,
    ) -> Result<Arc<[u8]>, ReadError> {
        if name.is_none() && empty_lines == 0 {
            return content.compressed();
        }
        let key = (*content.digest(), name.map(<[u8]>::to_vec), empty_lines);
        if let Some(block) = self.changed.get(&key) {
            return Ok(Arc::clone(&block));
        }
        if self.changed.len() >= FORMS_KEPT {
            self.changed.clear();
        }
        let mut bytes = with_empty_lines(&content.bytes()?, empty_lines);
        if let Some(name) = name {
            bytes = with_line(&bytes, name);
        }
        let block: Arc<[u8]> = protocol::lzo::compress(&bytes).into();
        self.changed.insert(key, Arc::clone(&block));
        Ok(block)
    }
}

impl Layout {
    /// The layout as the client passes it on: `NFIL` and its entries.
    ///
    /// # Errors
    /// [`LayoutError::Unread`].
    pub fn section(&self, forms: &CompressedForms) -> Result<Vec<u8>, LayoutError> {
        let mut out = Vec::with_capacity(self.nodes.len() * 64);
        put_token(
            &mut out,
            Tag::NFIL,
            u32::try_from(self.nodes.len()).expect("fewer than 2^32 files"),
        );
        for Entry { path, node } in self.nodes.iter().map(|entry| &**entry) {
            match node {
                Node::File {
                    content,
                    line,
                    empty_lines,
                } => {
                    put_body(&mut out, Tag::NAME, path.as_bytes());
                    let block = forms.block(content, line.as_deref(), *empty_lines);
                    let block = block.map_err(|error| LayoutError::unread(path, error))?;
                    put_body(&mut out, Tag::FILE, &block);
                }
                Node::Link(target) => {
                    put_entry(&mut out, path, &EntryContent::Link(target.clone()));
                }
                Node::Forcing => put_entry(&mut out, path, &EntryContent::File(Vec::new())),
                Node::System => {
                    let entry = TreeEntry::system_link(path.clone());
                    put_entry(&mut out, &entry.path, &entry.content);
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_stays_first() {
        assert_eq!(
            with_line(b"int x;", b"/a/b.h"),
            b"#line 1 \"/a/b.h\"\nint x;"
        );
        assert_eq!(
            with_line(b"\xef\xbb\xbfint x;", b"/b.h"),
            b"\xef\xbb\xbf#line 1 \"/b.h\"\nint x;"
        );
    }
}
