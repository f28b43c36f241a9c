//! What stands at one path of the tree that a server is given.

use std::sync::Arc;

use protocol::tree_path::TreePath;

use crate::files::FileContent;

/// What stands at one path of the server's tree.
#[derive(Clone, Debug)]
pub enum Node {
    /// A file. With `line`, a directive `#line 1 "line"` goes first: servers show files at other paths than the
    /// client's, so names that the compiler makes of an absolute directory would be wrong.
    File {
        /// What it holds.
        content: Arc<FileContent>,
        /// The absolute name by which the compiler knows it here.
        line: Option<Vec<u8>>,
        /// Empty lines that go last: see [`with_empty_lines`].
        empty_lines: u32,
    },
    /// A symbolic link.
    Link(Vec<u8>),
    /// An empty file that is there only to make its directory exist.
    Forcing,
    /// A directory that the server has of its own.
    System,
}

/// A path and what stands there.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The path.
    pub path: TreePath,
    /// What stands there.
    pub node: Node,
}

/// A file with empty lines at its end, which mean nothing. They keep gcc from taking it for an equal file that is read only
/// once, where their times do that here and would not on a server.
pub fn with_empty_lines(bytes: &[u8], count: u32) -> Vec<u8> {
    let mut longer = Vec::with_capacity(bytes.len() + count as usize);
    longer.extend_from_slice(bytes);
    longer.resize(bytes.len() + count as usize, b'\n');
    longer
}
