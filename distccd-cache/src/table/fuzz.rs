//! The body of the fuzz target about tables, and entries for this and others. Owns no state.

use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry, Name};
use protocol::bundle::table::TableId;
use protocol::tree_path::TreePath;

use super::Table;

/// Some file.
pub(crate) const FILE: Content = Content::File {
    digest: Digest([1; 32]),
    size: 0,
    modified: 0,
};

/// An entry of a project's, without anything special.
pub(crate) fn entry(path: TreePath, content: Content) -> Entry {
    Entry {
        path,
        content,
        late: false,
        system: false,
        name: Name::Relative,
    }
}

/// A client's table of files: lines of paths. In whatever pieces it came it is the same, and its entries are put in order.
pub(crate) fn table(data: &[u8]) {
    let entries: Vec<Entry> = data
        .split(|&byte| byte == b'\n')
        .take(500)
        .filter_map(|line| TreePath::new(line).ok())
        .map(|path| {
            let content = match path.as_bytes().len() % 3 {
                0 => Content::Directory,
                1 => Content::Link(b"x".to_vec()),
                _ => FILE,
            };
            entry(path, content)
        })
        .collect();
    let [whole, pieces] = [(); 2].map(|()| Table::new(TableId([5; 16])));
    whole.extend(entries.clone());
    let cut = data.len() % (entries.len() + 1);
    pieces.extend(entries[..cut].to_vec());
    let before = pieces.in_order();
    assert_eq!(before.len(), cut);
    pieces.extend(entries[cut..].to_vec());
    for length in 0..=whole.len() {
        assert_eq!(whole.link(length), pieces.link(length));
        let links = entries[..length as usize].iter();
        let mut links = links.filter(|entry| matches!(entry.content, Content::Link(_)));
        assert_eq!(whole.has_link(length), links.next().is_some());
    }
    assert_eq!(whole.link(whole.len() + 1), None);
    let order = pieces.in_order();
    assert_eq!(order, whole.in_order());
    let mut all: Vec<u32> = order.to_vec();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..whole.len()));
    let key = |index: &u32| (entries[*index as usize].path.as_bytes(), *index);
    assert!(order.is_sorted_by_key(key));
}
