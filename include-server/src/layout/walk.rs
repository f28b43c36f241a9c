//! What names pass on their way, for a server that has to follow the same names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::{HashMap, HashSet};

use super::LayoutError;
use super::system::RealDirectories;
use crate::atom::Atom;
use crate::chain::FoundFile;
use crate::facts::{End, Facts, NodeId, Passage, Session, Step, Value};

/// Where a name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Into a directory that the server has of its own.
    System,
    /// Among the client's files.
    Client,
}

/// What a server needs in order to follow the same names.
#[derive(Default)]
pub(super) struct Noted {
    /// Links with their targets, in the order in which they were met.
    pub(super) links: Vec<(NodeId, Vec<u8>)>,
    /// Directories that names pass through and leave by `..`.
    pub(super) directories: Vec<NodeId>,
}

/// Which files a server is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Those of the client, below a directory that stands for the root; in the compiler's own directories it has files of its
    /// own.
    Clients,
    /// All, at the client's own paths.
    All,
}

/// A position on the way.
#[derive(Clone, Copy)]
struct Position {
    at: NodeId,
    /// A directory of the server's own was entered: whatever follows happens in the server's own tree.
    in_system: bool,
    /// And left again by `..`.
    left_system: bool,
}

impl Position {
    const START: Position = Position {
        at: NodeId::ROOT,
        in_system: false,
        left_system: false,
    };
}

/// One request's walks.
pub(super) struct Walk<'a, 'f> {
    session: &'a mut Session<'f>,
    /// Where the working directory is.
    start: Position,
    system: &'a RealDirectories,
    shown: Shown,
    /// Ways through directories, by their address, to where they lead; each is kept, so that the address stays taken.
    ways: HashMap<usize, (Arc<Passage>, Position)>,
    /// Where the directory parts of names lead.
    directories: HashMap<Atom, Position>,
    noted: Noted,
    noted_links: HashSet<NodeId>,
    noted_directories: HashSet<NodeId>,
}

impl<'a, 'f> Walk<'a, 'f> {
    /// Starts with nothing known but that `cwd` has to be free of links.
    pub(super) fn new(
        session: &'a mut Session<'f>,
        cwd: &Path,
        system: &'a RealDirectories,
        shown: Shown,
    ) -> Result<Self, LayoutError> {
        let way = session.passage(NodeId::ROOT, cwd.as_os_str().as_bytes());
        let mut walk = Self {
            session,
            start: Position::START,
            system,
            shown,
            ways: HashMap::default(),
            directories: HashMap::default(),
            noted: Noted::default(),
            noted_links: HashSet::default(),
            noted_directories: HashSet::default(),
        };
        walk.start = walk.pass(Position::START, &way, cwd)?;
        if let Some((link, _)) = walk.noted.links.first() {
            return Err(LayoutError::LinkedWorkingDirectory {
                cwd: cwd.to_owned(),
                link: PathBuf::from(OsStr::from_bytes(walk.path(*link))),
            });
        }
        Ok(walk)
    }

    pub(super) fn into_noted(self) -> Noted {
        self.noted
    }

    /// Where the nodes are.
    pub(super) fn facts(&self) -> &'f Facts {
        self.session.facts()
    }

    /// The real path of a node.
    pub(super) fn path(&self, node: NodeId) -> &'f [u8] {
        self.session.path(node)
    }

    /// Where the name of a file leads under which this request has found it; relative names start in the working directory.
    pub(super) fn follow(&mut self, file: &FoundFile) -> Result<Way, LayoutError> {
        let name = file.name.as_path();
        let bytes = name.as_os_str().as_bytes();
        if let Some(&position) = self.directories.get(&file.directory)
            && self.session.parent(file.node) == position.at
            && self
                .path(file.node)
                .strip_suffix(&bytes[file.directory.spelling().len()..])
                .is_some_and(|rest| rest.ends_with(b"/"))
        {
            // No link at its end.
            return self.way(position, name);
        }
        let start = match bytes.first() {
            Some(b'/') => Position::START,
            _ => self.start,
        };
        let located = self.session.locate(self.start.at, bytes);
        let key = Arc::as_ptr(&located.way) as usize;
        let way = match self.ways.get(&key) {
            Some((_, position)) => *position,
            None => {
                let position = self.pass(start, &located.way, name)?;
                self.ways.insert(key, (Arc::clone(&located.way), position));
                position
            }
        };
        let end = match (&located.last, located.end) {
            (Some(last), _) => self.pass(way, last, name)?,
            (None, End::At(node)) if node != way.at => self.enter(way, node),
            (None, _) => way,
        };
        if located.last.is_none() {
            self.directories.insert(file.directory, way);
        }
        self.way(end, name)
    }

    /// Whose file stands at the end of `name`.
    fn way(&self, end: Position, name: &Path) -> Result<Way, LayoutError> {
        if !end.in_system {
            return Ok(Way::Client);
        }
        if end.left_system && !self.is_system(end.at) {
            return Err(LayoutError::LeavesSystem {
                path: name.to_owned(),
                real: PathBuf::from(OsStr::from_bytes(self.path(end.at))),
            });
        }
        Ok(Way::System)
    }

    /// Notes the directory `name` and the links on the way to it, if there is such a directory.
    pub(super) fn existing_directory(&mut self, name: &Path) -> Result<(), LayoutError> {
        let bytes = name.as_os_str().as_bytes();
        let way = self.session.passage(self.start.at, bytes);
        let End::At(node) = way.end else {
            return Ok(());
        };
        if !matches!(self.session.value(node), Value::Directory(..)) {
            return Ok(());
        }
        let start = match bytes.first() {
            Some(b'/') => Position::START,
            _ => self.start,
        };
        let end = self.pass(start, &way, name)?;
        self.note_directory(end);
        Ok(())
    }

    /// Goes the way of a passage from `position`.
    fn pass(
        &mut self,
        mut position: Position,
        way: &Passage,
        name: &Path,
    ) -> Result<Position, LayoutError> {
        if !matches!(way.end, End::At(_)) {
            return Err(LayoutError::Broken {
                path: name.to_owned(),
                why: "it is gone".into(),
            });
        }
        for step in &way.steps {
            match *step {
                Step::Root => position.at = NodeId::ROOT,
                Step::Enter(node) => position = self.enter(position, node),
                Step::Follow(link) => {
                    if self.is_shown(&position) {
                        self.note_link(link);
                    }
                }
                Step::Leave(directory) => {
                    position.at = directory;
                    self.leave(&mut position);
                }
            }
        }
        Ok(position)
    }

    fn enter(&self, position: Position, node: NodeId) -> Position {
        Position {
            at: node,
            in_system: position.in_system || self.is_system(node),
            ..position
        }
    }

    /// `..`: the directory that is left must exist on the server.
    fn leave(&mut self, position: &mut Position) {
        self.note_directory(*position);
        position.at = self.session.parent(position.at);
        // The server goes up from the real place of its own directory, which is not among the client's files. If the
        // name comes to another directory of the server's own, all is well; its end tells.
        position.left_system |= position.in_system && !self.is_system(position.at);
    }

    /// Whether what stands in the directory at `position` is shown by us; otherwise it is the server's own.
    fn is_shown(&self, position: &Position) -> bool {
        self.shown == Shown::All || !position.in_system
    }

    fn is_system(&self, node: NodeId) -> bool {
        self.system.hold(self.path(node))
    }

    fn note_directory(&mut self, position: Position) {
        if self.is_shown(&position) && self.noted_directories.insert(position.at) {
            self.noted.directories.push(position.at);
        }
    }

    fn note_link(&mut self, link: NodeId) {
        let Value::Link(_, _, target) = self.session.value(link) else {
            return;
        };
        if !self.noted_links.insert(link) {
            return;
        }
        let path = self.path(link);
        let target = if self.shown == Shown::All || stays_in_tree(path, &target) {
            target.to_vec()
        } else {
            // What the kernel stops at the root would lead out of a server's tree. The end of the link is what counts.
            match self.session.passage(NodeId::ROOT, path).end {
                End::At(end) => self.path(end).to_vec(),
                _ => target.to_vec(),
            }
        };
        self.noted.links.push((link, target));
    }
}

/// Whether a link's target, taken from the link's directory, never goes above the root. Absolute targets are mapped into
/// the tree by the server.
fn stays_in_tree(link: &[u8], target: &[u8]) -> bool {
    if target.first() == Some(&b'/') {
        return true;
    }
    let mut depth = link.iter().filter(|&&byte| byte == b'/').count() - 1;
    let mut went_down = false;
    for component in target.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            // After going down, `..` may start from anywhere if what was passed is a link: judged by its end instead.
            b".." if went_down || depth == 0 => return false,
            b".." => depth -= 1,
            _ => went_down = true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_targets_stay() {
        for (target, stays) in [
            ("b.h", true),
            ("../b.h", true),
            ("../../b.h", true),
            ("../../../b.h", false),
            ("x/../b.h", false),
            ("/anywhere/../at/all", true),
            ("./x//y", true),
        ] {
            assert_eq!(
                stays_in_tree(b"/home/u/a.h", target.as_bytes()),
                stays,
                "{target}"
            );
        }
        assert!(!stays_in_tree(b"/a", b"../b"));
    }
}
