//! Follows names as the kernel does, one `lstat` for each path in a request, and notes links and directories passed.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::FileType;

use super::LayoutError;

/// Links followed in one name at most, as Linux.
const LINK_LIMIT: usize = 40;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Into a directory that the server has of its own.
    System,
    /// To this real path among the client's files.
    Client(Vec<u8>),
}

/// What a server needs in order to follow the same names. Paths are real ones: no component of theirs is a link, except
/// the last of a link's own path.
#[derive(Default)]
pub(super) struct Noted {
    /// Links with their targets, in the order in which they were met.
    pub(super) links: Vec<(Vec<u8>, Vec<u8>)>,
    /// Directories that names pass through and leave by `..`.
    pub(super) directories: Vec<Vec<u8>>,
}

#[derive(Clone)]
enum Kind {
    Directory,
    Link(Rc<[u8]>),
    /// A file, or anything else that is not passed through.
    End,
}

/// A position on the way.
#[derive(Clone, Default)]
struct Position {
    /// The real path so far, empty for the root.
    real: Vec<u8>,
    /// A directory of the server's own was entered: whatever follows happens in the server's own tree.
    in_system: bool,
    /// And left again by `..`.
    left_system: bool,
}

/// One request's walks.
pub(super) struct Walk<'a> {
    cwd: &'a Path,
    /// Where `cwd` is.
    start: Position,
    system: &'a [PathBuf],
    kinds: HashMap<Vec<u8>, Kind>,
    /// Directory part of a name, as spelled, to where it leads.
    directories: HashMap<Vec<u8>, Position>,
    noted: Noted,
    noted_links: HashSet<Vec<u8>>,
    noted_directories: HashSet<Vec<u8>>,
}

impl<'a> Walk<'a> {
    /// Starts with nothing known but that `cwd` has to be free of links.
    pub(super) fn new(cwd: &'a Path, system: &'a [PathBuf]) -> Result<Self, LayoutError> {
        let mut walk = Self {
            cwd,
            start: Position::default(),
            system,
            kinds: HashMap::new(),
            directories: HashMap::new(),
            noted: Noted::default(),
            noted_links: HashSet::new(),
            noted_directories: HashSet::new(),
        };
        let start = walk.absolute(cwd.as_os_str().as_bytes(), cwd)?;
        if let Some((link, _)) = walk.noted.links.first() {
            return Err(LayoutError::LinkedWorkingDirectory {
                cwd: cwd.to_owned(),
                link: PathBuf::from(OsStr::from_bytes(link)),
            });
        }
        walk.start = start;
        Ok(walk)
    }

    pub(super) fn into_noted(self) -> Noted {
        self.noted
    }

    /// Where `name` leads; relative names start in the working directory.
    pub(super) fn follow(&mut self, name: &Path) -> Result<Way, LayoutError> {
        let bytes = name.as_os_str().as_bytes();
        let (directory, last) = match memchr::memrchr(b'/', bytes) {
            Some(slash) => bytes.split_at(slash + 1),
            None => (&b""[..], bytes),
        };
        let start = match self.directories.get(directory) {
            Some(position) => position.clone(),
            None => {
                let position = if directory.first() == Some(&b'/') {
                    self.absolute(directory, name)?
                } else {
                    let cwd = self.start.clone();
                    self.steps(cwd, directory, name)?
                };
                self.directories
                    .insert(directory.to_vec(), position.clone());
                position
            }
        };
        let end = self.steps(start, last, name)?;
        if !end.in_system {
            return Ok(Way::Client(end.real));
        }
        if end.left_system && !self.is_system(&end.real) {
            return Err(LayoutError::LeavesSystem {
                path: name.to_owned(),
                real: PathBuf::from(OsStr::from_bytes(&end.real)),
            });
        }
        Ok(Way::System)
    }

    /// Notes the directory `name` and the links on the way to it.
    pub(super) fn directory(&mut self, name: &Path) -> Result<(), LayoutError> {
        let path = self.cwd.join(name);
        let end = self.absolute(path.as_os_str().as_bytes(), name)?;
        self.note_directory(&end);
        Ok(())
    }

    fn absolute(&mut self, path: &[u8], name: &Path) -> Result<Position, LayoutError> {
        self.steps(Position::default(), path, name)
    }

    /// Goes on from `position` through the components of `path`.
    fn steps(
        &mut self,
        mut position: Position,
        path: &[u8],
        name: &Path,
    ) -> Result<Position, LayoutError> {
        // The components to come, the next one last.
        let mut todo: Vec<Vec<u8>> = Vec::new();
        push_components(&mut todo, path);
        let mut links = 0;
        while let Some(component) = todo.pop() {
            if component == b".." {
                self.leave(&mut position);
                continue;
            }
            let mut next = position.real.clone();
            next.push(b'/');
            next.extend_from_slice(&component);
            let in_system = position.in_system || self.is_system(&next);
            match self.kind(&next, name)? {
                Kind::Directory | Kind::End => {
                    position.real = next;
                    position.in_system = in_system;
                }
                Kind::Link(target) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(broken(name, "too many levels of links"));
                    }
                    // A link inside a system directory is the server's own.
                    if !position.in_system {
                        self.note_link(&next, &target);
                    }
                    if target.first() == Some(&b'/') {
                        position.real.clear();
                    }
                    push_components(&mut todo, &target);
                }
            }
        }
        Ok(position)
    }

    /// `..`: the directory that is left must exist on the server.
    fn leave(&mut self, position: &mut Position) {
        self.note_directory(position);
        let end = memchr::memrchr(b'/', &position.real).unwrap_or(0);
        position.real.truncate(end);
        // The server goes up from the real place of its own directory, which is not among the client's files. If the
        // name comes to another directory of the server's own, all is well; its end tells.
        position.left_system |= position.in_system && !self.is_system(&position.real);
    }

    fn is_system(&self, real: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(real));
        self.system
            .iter()
            .any(|directory| path.starts_with(directory))
    }

    fn note_directory(&mut self, position: &Position) {
        if !position.in_system && self.noted_directories.insert(position.real.clone()) {
            self.noted.directories.push(position.real.clone());
        }
    }

    fn note_link(&mut self, path: &[u8], target: &[u8]) {
        if !self.noted_links.insert(path.to_vec()) {
            return;
        }
        let target = if stays_in_tree(path, target) {
            target.to_vec()
        } else {
            // What the kernel stops at the root would lead out of a server's tree. The end of the link is what counts.
            match std::fs::canonicalize(OsStr::from_bytes(path)) {
                Ok(real) => real.into_os_string().into_encoded_bytes(),
                Err(_) => target.to_vec(),
            }
        };
        self.noted.links.push((path.to_vec(), target));
    }

    fn kind(&mut self, path: &[u8], name: &Path) -> Result<Kind, LayoutError> {
        if let Some(kind) = self.kinds.get(path) {
            return Ok(kind.clone());
        }
        let stat = rustix::fs::lstat(path)
            .map_err(|errno| broken(name, &std::io::Error::from(errno).to_string()))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::Symlink => {
                let target = rustix::fs::readlink(path, Vec::new())
                    .map_err(|errno| broken(name, &std::io::Error::from(errno).to_string()))?;
                Kind::Link(target.into_bytes().into())
            }
            _ => Kind::End,
        };
        self.kinds.insert(path.to_vec(), kind.clone());
        Ok(kind)
    }
}

fn broken(name: &Path, why: &str) -> LayoutError {
    LayoutError::Broken {
        path: name.to_owned(),
        why: why.to_owned(),
    }
}

/// Puts the components of `path` in front of those to come. A slash at the end names the directory itself.
fn push_components(todo: &mut Vec<Vec<u8>>, path: &[u8]) {
    todo.extend(
        path.split(|&byte| byte == b'/')
            .rev()
            .filter(|component| !component.is_empty() && *component != b".")
            .map(<[u8]>::to_vec),
    );
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
