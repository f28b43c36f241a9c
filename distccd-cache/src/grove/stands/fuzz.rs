//! The body of the fuzz target about what stands in a grove. Owns no state.

use std::collections::BTreeMap;

use protocol::bundle::entry::{Content, Entry};
use protocol::tree_path::TreePath;

use super::{Obstacle, Stand, Stands};
use crate::table::fuzz::{FILE, entry};
use crate::tree::{Links, is_below, parent_of};

/// Paths of the server's.
const FIXED: [&[u8]; 4] = [b"/", b"/u", b"/u/f", b"/b"];

/// A life of a grove: lines of `f`, `d` or `l` and the path of a file, directory or link that comes when nothing is in its way, `r` and a path that is cleared, `x` and
/// the path of a directory that stays, `w` and the length of which entry is taken back. Whatever they are, the record is that of a tree which holds just the entries
/// that came and did not go, what goes is told in an order in which it can be removed, and the server's things stay.
pub(crate) fn stands(data: &[u8]) {
    let links = Links::from([(b"/b".to_vec(), b"/u".to_vec())]);
    let [directories, files] = [&b"/u"[..], b"/u/f"].map(|path| std::iter::once(path.to_vec()));
    let mut stands = Stands::new(directories, files, links);
    let mut there: BTreeMap<u32, Entry> = BTreeMap::new();
    for (index, line) in (0..).zip(data.split(|&byte| byte == b'\n').take(200)) {
        let Some((what, path)) = line.split_first() else {
            continue;
        };
        if *what == b'w' {
            let at = there.keys().nth(path.len()).copied();
            if let Some((at, entry)) = at.and_then(|at| there.remove_entry(&at)) {
                let before = standing(&stands);
                let gone = stands.withdraw(at, &entry);
                assert_gone(&before, &stands, &gone);
            }
            check(&stands, &there);
            continue;
        }
        let Ok(path) = TreePath::new(path) else {
            continue;
        };
        match what {
            b'r' => forget(&mut stands, &mut there, path.as_bytes()),
            b'x' => _ = stands.fix_directory(path.as_bytes()),
            b'd' => come(
                &mut stands,
                &mut there,
                index,
                entry(path, Content::Directory),
            ),
            b'l' => {
                let target = path.as_bytes().iter().rev().copied().collect();
                let link = entry(path, Content::Link(target));
                come(&mut stands, &mut there, index, link);
            }
            _ => come(&mut stands, &mut there, index, entry(path, FILE)),
        }
        check(&stands, &there);
    }
}

/// An entry comes, after what is in its way has gone; it does not when that is the server's, or when it is a link that leads nowhere.
fn come(stands: &mut Stands, there: &mut BTreeMap<u32, Entry>, index: u32, entry: Entry) {
    if let Obstacle::At(path) = stands.obstacle(&entry) {
        assert!(is_below(entry.path.as_bytes(), &path));
        forget(stands, there, &path);
        assert_ne!(stands.obstacle(&entry), Obstacle::At(path));
    }
    if stands.obstacle(&entry) == Obstacle::None && stands.place(index, &entry).is_ok() {
        there.insert(index, entry);
    }
}

/// All at a path and below it goes.
fn forget(stands: &mut Stands, there: &mut BTreeMap<u32, Entry>, path: &[u8]) {
    let mut told = stands.entries_at(path);
    let before = standing(stands);
    let (gone, mut cleared) = stands.remove(path);
    assert_gone(&before, stands, &gone);
    told.sort_unstable();
    cleared.sort_unstable();
    assert_eq!(told, cleared);
    for index in cleared {
        let entry = there.remove(&index).expect("it had come");
        assert!(is_below(entry.path.as_bytes(), path));
    }
}

/// All paths, and whether each is a directory.
fn standing(stands: &Stands) -> BTreeMap<Vec<u8>, bool> {
    let one = |(path, stand): (&Vec<u8>, &Stand)| {
        (path.clone(), matches!(stand, Stand::Directory { .. }))
    };
    stands.at.iter().map(one).collect()
}

/// What is told to be gone is what is gone, inner things first.
fn assert_gone(before: &BTreeMap<Vec<u8>, bool>, stands: &Stands, gone: &[super::Gone]) {
    let mut left = before.clone();
    for one in gone {
        assert_eq!(left.remove(&one.path), Some(one.directory));
        let inside = left.keys().find(|path| is_below(path, &one.path));
        assert_eq!(inside, None);
    }
    assert_eq!(left, standing(stands));
}

/// The record is that of a tree with these entries.
fn check(stands: &Stands, there: &BTreeMap<u32, Entry>) {
    let mut all: Vec<u32> = Vec::new();
    let mut inside: BTreeMap<&[u8], u32> = BTreeMap::new();
    for (path, stand) in &stands.at {
        if path != b"/" {
            let parent = parent_of(path);
            assert!(stands.has_directory(parent), "{}", path.escape_ascii());
            *inside.entry(parent).or_default() += u32::from(*stand != Stand::Fixed);
        }
        let mut stands_for = |index: u32, is: fn(&Content) -> bool| {
            all.push(index);
            let entry = &there[&index];
            assert!(entry.path.as_bytes() == path.as_slice() && is(&entry.content));
        };
        match stand {
            Stand::Directory { claims, .. } => claims
                .iter()
                .for_each(|index| stands_for(*index, |content| *content == Content::Directory)),
            Stand::File(index) => stands_for(*index, |content| *content == FILE),
            Stand::Link(index) => stands_for(*index, |content| matches!(content, Content::Link(_))),
            Stand::Fixed => {}
        }
        let is_link = matches!(stand, Stand::Link(_)) || path == b"/b";
        assert_eq!(stands.links.contains_key(path), is_link);
    }
    all.sort_unstable();
    assert!(all.iter().eq(there.keys()));
    assert!(stands.links.keys().all(|path| stands.at.contains_key(path)));
    for (path, stand) in &stands.at {
        if let Stand::Directory {
            children,
            claims,
            fixed,
        } = stand
        {
            let counted = inside.get(path.as_slice()).copied().unwrap_or_default();
            assert_eq!(*children, counted, "{}", path.escape_ascii());
            assert!(*fixed || counted > 0 || !claims.is_empty());
        }
    }
    for path in FIXED {
        assert!(stands.is_fixed(path) || stands.at.get(path) == Some(&Stand::Fixed));
    }
}
