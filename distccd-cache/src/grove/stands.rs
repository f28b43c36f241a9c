//! What stands at each path of a grove. Owns that map, and no file: [`super::disk`] carries out what is decided here.

pub(crate) mod fuzz;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;
use protocol::bundle::entry::{Content, Entry};

use crate::tree::{Links, TreeError, is_below, link_target, parent_of};

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stand {
    /// A directory: how many things are in it, and the entries that say that it exists. One that nothing says, that is not fixed and has nothing
    /// in it, is taken away.
    Directory {
        children: u32,
        claims: Vec<u32>,
        fixed: bool,
    },
    /// The file of this entry.
    File(u32),
    /// The link of this entry.
    Link(u32),
    /// A mount point or link of the server's.
    Fixed,
}

/// What is in the way of a new entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Nothing.
    None,
    /// What stands at this path.
    At(Vec<u8>),
    /// Something of the server's.
    Fixed,
}

/// Something that was taken out of the map and is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) path: Vec<u8>,
    pub(super) directory: bool,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Stands {
    /// A thousand paths are looked up for each job. They are the client's, who harms itself alone if it makes them collide.
    at: HashMap<Vec<u8>, Stand, RandomState>,
    /// Of the client and of the server; shared with running jobs, so it is copied when it changes.
    links: Arc<Links>,
}

impl Stands {
    /// An empty root with some fixed directories, files and links (of which it knows the targets).
    pub(super) fn new(
        directories: impl Iterator<Item = Vec<u8>>,
        files: impl Iterator<Item = Vec<u8>>,
        links: Links,
    ) -> Self {
        let mut stands = Self {
            at: HashMap::default(),
            links: Arc::default(),
        };
        stands.at.insert(b"/".to_vec(), fixed_directory());
        for path in directories {
            stands.fix_directory(&path);
        }
        for path in files.chain(links.keys().cloned()) {
            stands.fix_directory(parent_of(&path));
            stands.at.insert(path, Stand::Fixed);
        }
        stands.links = Arc::new(links);
        stands
    }

    /// How many things there are, directories on the way included.
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// All links.
    pub(super) fn links(&self) -> &Arc<Links> {
        &self.links
    }

    /// Whether a directory is there.
    pub(super) fn has_directory(&self, path: &[u8]) -> bool {
        matches!(self.at.get(path), Some(Stand::Directory { .. }))
    }

    /// Whether a directory is there that stays.
    pub(super) fn is_fixed(&self, path: &[u8]) -> bool {
        matches!(
            self.at.get(path),
            Some(Stand::Directory { fixed: true, .. })
        )
    }

    /// The entry whose file is there.
    pub(super) fn file(&self, path: &[u8]) -> Option<u32> {
        match self.at.get(path) {
            Some(Stand::File(index)) => Some(*index),
            _ => None,
        }
    }

    /// Makes a directory and those above it fixed. False, with part of them fixed, when something else is in the way.
    pub(super) fn fix_directory(&mut self, path: &[u8]) -> bool {
        let ends = (1..path.len()).filter(|&i| path[i] == b'/');
        for end in ends.chain([path.len()]) {
            let dir = &path[..end];
            match self.at.get_mut(dir) {
                Some(Stand::Directory { fixed, .. }) => *fixed = true,
                Some(_) => return false,
                None => {
                    self.count(parent_of(dir), true);
                    self.at.insert(dir.to_vec(), fixed_directory());
                }
            }
        }
        true
    }

    /// What is in the way of an entry.
    pub(super) fn obstacle(&self, entry: &Entry) -> Obstacle {
        let path = entry.path.as_bytes();
        match self.at.get(path) {
            Some(Stand::Directory { .. }) if entry.content == Content::Directory => Obstacle::None,
            Some(Stand::Directory { fixed: true, .. } | Stand::Fixed) => Obstacle::Fixed,
            Some(_) => Obstacle::At(path.to_vec()),
            None => {
                let mut dir = parent_of(path);
                loop {
                    match self.at.get(dir) {
                        None => dir = parent_of(dir),
                        Some(Stand::Directory { .. }) => return Obstacle::None,
                        Some(Stand::Fixed) => return Obstacle::Fixed,
                        Some(_) => return Obstacle::At(dir.to_vec()),
                    }
                }
            }
        }
    }

    /// Records an entry that has no obstacle.
    ///
    /// # Errors
    /// [`TreeError`] for a link that leads nowhere; nothing is recorded then.
    pub(super) fn place(&mut self, index: u32, entry: &Entry) -> Result<(), TreeError> {
        let path = entry.path.as_bytes();
        let stand = match &entry.content {
            Content::Directory => {
                if let Some(Stand::Directory { claims, .. }) = self.at.get_mut(path) {
                    claims.push(index);
                    return Ok(());
                }
                Stand::Directory {
                    children: 0,
                    claims: vec![index],
                    fixed: false,
                }
            }
            Content::File { .. } => Stand::File(index),
            Content::Link(target) => {
                let (_, leads_to) = link_target(&entry.path, target)?;
                Arc::make_mut(&mut self.links).insert(path.to_vec(), leads_to);
                Stand::Link(index)
            }
        };
        let mut dir = parent_of(path);
        self.at.insert(path.to_vec(), stand);
        while !self.count(dir, true) {
            let above = Stand::Directory {
                children: 1,
                claims: Vec::new(),
                fixed: false,
            };
            self.at.insert(dir.to_vec(), above);
            dir = parent_of(dir);
        }
        Ok(())
    }

    /// All entries at a path and below it.
    pub(super) fn entries_at(&self, path: &[u8]) -> Vec<u32> {
        let inside = self.at.iter().filter(|(other, _)| is_below(other, path));
        let mut entries = Vec::new();
        for (_, stand) in inside {
            match stand {
                Stand::Directory { claims, .. } => entries.extend(claims),
                Stand::File(index) | Stand::Link(index) => entries.push(*index),
                Stand::Fixed => {}
            }
        }
        entries
    }

    /// Takes an entry back that was placed. A directory stays while anything else needs it. Returns what is to be removed, inner things first.
    pub(super) fn withdraw(&mut self, index: u32, entry: &Entry) -> Vec<Gone> {
        let path = entry.path.as_bytes();
        if let Some(Stand::Directory {
            children,
            claims,
            fixed,
        }) = self.at.get_mut(path)
        {
            claims.retain(|claim| *claim != index);
            if *children > 0 || !claims.is_empty() || *fixed {
                return Vec::new();
            }
        }
        self.remove(path).0
    }

    /// Counts one thing more or less in a directory; false when there is no such directory.
    fn count(&mut self, dir: &[u8], more: bool) -> bool {
        match self.at.get_mut(dir) {
            Some(Stand::Directory { children, .. }) => {
                *children = match more {
                    true => *children + 1,
                    false => children.saturating_sub(1),
                };
                true
            }
            _ => false,
        }
    }

    /// Takes away what stands at a path, all below it, and directories above it that nothing is left for. Fixed things stay.
    /// Returns what is to be removed, inner things first, and the entries that are no longer there.
    pub(super) fn remove(&mut self, path: &[u8]) -> (Vec<Gone>, Vec<u32>) {
        let (mut gone, mut cleared) = (Vec::new(), Vec::new());
        let mut inner: Vec<Vec<u8>> = match self.at.get(path) {
            Some(Stand::Directory { children, .. }) if *children > 0 => {
                let below = self
                    .at
                    .keys()
                    .filter(|other| *other != path && is_below(other, path));
                below.cloned().collect()
            }
            _ => Vec::new(),
        };
        // What is inside a directory comes after it in this order.
        inner.sort_unstable();
        for path in inner.iter().rev().map(Vec::as_slice).chain([path]) {
            self.remove_one(path, &mut gone, &mut cleared);
        }
        let mut dir = parent_of(path);
        while let Some(Stand::Directory {
            children: 0,
            claims,
            fixed: false,
        }) = self.at.get(dir)
            && claims.is_empty()
        {
            self.remove_one(dir, &mut gone, &mut cleared);
            dir = parent_of(dir);
        }
        (gone, cleared)
    }

    fn remove_one(&mut self, path: &[u8], gone: &mut Vec<Gone>, cleared: &mut Vec<u32>) {
        let directory = match self.at.get_mut(path) {
            None | Some(Stand::Fixed) => return,
            Some(Stand::Directory { claims, fixed, .. }) => {
                cleared.append(claims);
                if *fixed {
                    return;
                }
                true
            }
            Some(Stand::Link(index)) => {
                cleared.push(*index);
                Arc::make_mut(&mut self.links).remove(path);
                false
            }
            Some(Stand::File(index)) => {
                cleared.push(*index);
                false
            }
        };
        self.at.remove(path);
        self.count(parent_of(path), false);
        gone.push(Gone {
            path: path.to_vec(),
            directory,
        });
    }
}

fn fixed_directory() -> Stand {
    Stand::Directory {
        children: 0,
        claims: Vec::new(),
        fixed: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::bundle::digest::Digest;
    use protocol::bundle::entry::Name;
    use protocol::tree_path::TreePath;

    fn entry(path: &str, content: Content) -> Entry {
        Entry {
            path: TreePath::new(path.as_bytes()).expect("a good path"),
            content,
            late: false,
            system: false,
            name: Name::Relative,
        }
    }

    fn file(path: &str) -> Entry {
        let content = Content::File {
            digest: Digest::of(b""),
            size: 0,
            modified: 0,
        };
        entry(path, content)
    }

    fn link(path: &str, target: &str) -> Entry {
        entry(path, Content::Link(target.as_bytes().to_vec()))
    }

    fn stands(entries: &[Entry]) -> Stands {
        let fixed = [b"/usr".to_vec(), b"/dev".to_vec()].into_iter();
        let files = [b"/dev/null".to_vec()].into_iter();
        let links = Links::from([(b"/bin".to_vec(), b"/usr/bin".to_vec())]);
        let mut stands = Stands::new(fixed, files, links);
        for (index, entry) in (0..).zip(entries) {
            assert_eq!(stands.obstacle(entry), Obstacle::None, "{entry:?}");
            stands.place(index, entry).expect("it can be placed");
        }
        stands
    }

    fn removed(stands: &mut Stands, path: &str) -> (Vec<String>, Vec<u32>) {
        let (gone, mut cleared) = stands.remove(path.as_bytes());
        cleared.sort_unstable();
        let text = |gone: Gone| String::from_utf8_lossy(&gone.path).into_owned();
        (gone.into_iter().map(text).collect(), cleared)
    }

    #[test]
    fn directories_go_with_the_last_thing_in_them() {
        let mut stands = stands(&[
            file("/h/p/a.h"),
            file("/h/p/q/b.h"),
            entry("/h/p", Content::Directory),
            file("/usr/include/x.h"),
        ]);
        let all = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            removed(&mut stands, "/h/p/q/b.h"),
            (all(&["/h/p/q/b.h", "/h/p/q"]), vec![1])
        );
        assert_eq!(
            removed(&mut stands, "/h/p/a.h"),
            (all(&["/h/p/a.h"]), vec![0])
        );
        assert_eq!(
            removed(&mut stands, "/h/p"),
            (all(&["/h/p", "/h"]), vec![2])
        );
        assert_eq!(
            removed(&mut stands, "/usr"),
            (all(&["/usr/include/x.h", "/usr/include"]), vec![3])
        );
        assert_eq!(removed(&mut stands, "/nothing"), (Vec::new(), Vec::new()));
        assert!(stands.has_directory(b"/usr"));
    }

    #[test]
    fn what_is_in_the_way() {
        let stands = stands(&[
            file("/h/a"),
            link("/h/l", "../x"),
            entry("/h/d", Content::Directory),
        ]);
        let at = |path: &str| Obstacle::At(path.as_bytes().to_vec());
        for (entry, expected) in [
            (file("/h/b"), Obstacle::None),
            (file("/h/a"), at("/h/a")),
            (file("/h/a/b/c"), at("/h/a")),
            (file("/h/l/b"), at("/h/l")),
            (file("/h/d"), at("/h/d")),
            (entry("/h/d", Content::Directory), Obstacle::None),
            (entry("/h", Content::Directory), Obstacle::None),
            (entry("/h/a", Content::Directory), at("/h/a")),
            (file("/dev/null"), Obstacle::Fixed),
            (file("/dev/null/x"), Obstacle::Fixed),
            (file("/bin/x"), Obstacle::Fixed),
            (file("/dev"), Obstacle::Fixed),
            (file("/dev/shm"), Obstacle::None),
        ] {
            assert_eq!(stands.obstacle(&entry), expected, "{entry:?}");
        }
    }

    #[test]
    fn links_are_known_by_their_targets() {
        let mut stands = stands(&[link("/h/l", "../x"), link("/h/m", "/y")]);
        let before = Arc::clone(stands.links());
        assert_eq!(before.get(b"/h/l".as_slice()), Some(&b"/h/../x".to_vec()));
        removed(&mut stands, "/h/l");
        assert_eq!((before.len(), stands.links().len()), (3, 2));
        assert!(stands.place(9, &link("/h/n", "../../../etc")).is_err());
        assert!(stands.place(9, &link("/h/n", "")).is_err());
    }
}
