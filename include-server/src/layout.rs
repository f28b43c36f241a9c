//! From a closure to what a server must be given: the files at their real paths, every link on the way to them, every
//! directory that a name passes through, and the names of the server's own directories.
//!
//! A name is never normalised as text: `a/../b` leads where `a` leads, if `a` is a link. [`walk`] follows a name as the
//! kernel does and notes what a server needs in order to follow it too.

mod section;
mod walk;

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::tree::FORCING_FILE;
use protocol::tree_path::{TreePath, TreePathError};

use crate::closure::{Closure, ClosureFile, SearchKind};
use crate::configuration::TranslationUnit;
use crate::files::FileContent;
pub use section::CompressedForms;
use walk::{Walk, Way};

/// Why a closure cannot be shown to a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A name that protocol 3 cannot carry.
    #[error("{} cannot be sent: {error}", path.display())]
    Path {
        /// The name.
        path: PathBuf,
        /// What is wrong with it.
        error: TreePathError,
    },
    /// A path that cannot stand in a `#line` directive.
    #[error("{} cannot be sent: its path does not fit into a #line directive", path.display())]
    Unquotable {
        /// The name.
        path: PathBuf,
    },
    /// The file system changed under the scan, or a link cannot be followed.
    #[error("{} cannot be followed: {why}", path.display())]
    Broken {
        /// The name.
        path: PathBuf,
        /// What happened.
        why: String,
    },
    /// The server makes the working directory with real directories only.
    #[error("the working directory {} is reached through the link {}", cwd.display(), link.display())]
    LinkedWorkingDirectory {
        /// The working directory.
        cwd: PathBuf,
        /// The link.
        link: PathBuf,
    },
    /// A name that leaves one of the compiler's own directories by `..`: on the server, that leads out of the client's
    /// files.
    #[error("{} leaves a directory of the compiler's own for {}", path.display(), real.display())]
    LeavesSystem {
        /// The name.
        path: PathBuf,
        /// Where it leads.
        real: PathBuf,
    },
    /// The source would not be sent.
    #[error("the source {} lies in a directory of the compiler's own", path.display())]
    SystemSource {
        /// The source.
        path: PathBuf,
    },
    /// One file under several names, at least one absolute: the server has one copy, and `__FILE__` and diagnostics
    /// would be wrong for one of the names.
    #[error("{} is read both as {} and as {}", real.display(), first.display(), second.display())]
    SeveralNames {
        /// The file.
        real: PathBuf,
        /// Its first name.
        first: PathBuf,
        /// Its second name.
        second: PathBuf,
    },
    /// The first line is what an include server would have put there.
    #[error("{} starts with a #line directive that names itself", real.display())]
    NamesItself {
        /// The file.
        real: PathBuf,
    },
}

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
    },
    /// A symbolic link.
    Link(Vec<u8>),
    /// An empty file that is there only to make its directory exist.
    Forcing,
    /// A directory that the server has of its own.
    System,
}

/// What a server must be given for one translation unit: links before the files behind them, no path twice.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Paths in order.
    pub nodes: Vec<(TreePath, Node)>,
}

/// Lays `closure` out. `search_directories` are made to exist too (a compiler warns of missing ones if told to).
///
/// # Errors
/// See [`LayoutError`].
pub fn lay_out(
    unit: &TranslationUnit,
    closure: &Closure,
    system: &SystemDirectories,
    search_directories: &[PathBuf],
) -> Result<Layout, LayoutError> {
    let mut builder = Builder {
        walk: Walk::new(&unit.cwd, &system.real)?,
        system,
        cwd: &unit.cwd,
        files: HashMap::new(),
        nodes: Vec::with_capacity(closure.files.len() + 8),
    };
    for file in &closure.files {
        builder.file(file)?;
    }
    for file in &closure.has_include_hits {
        builder.unread_file(file)?;
    }
    for directory in search_directories {
        builder.directory(directory)?;
    }
    builder.finish()
}

/// The compiler's own directories: what is in them, the server has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemDirectories {
    /// As the compiler spells them, with a slash at the end.
    spelled: Vec<Vec<u8>>,
    /// Their real paths; none below another.
    real: Vec<PathBuf>,
}

impl SystemDirectories {
    /// From the directories as the compiler lists them; those that are not there, or are relative, do not count.
    pub fn new(spelled: &[PathBuf]) -> Self {
        let mut found: Vec<(PathBuf, &PathBuf)> = spelled
            .iter()
            .filter(|path| path.is_absolute())
            .filter_map(|path| Some((std::fs::canonicalize(path).ok()?, path)))
            // A client's whole tree cannot be the server's own.
            .filter(|(real, _)| real != Path::new("/"))
            .collect();
        found.sort();
        let mut system = Self::default();
        for (real, path) in found {
            system
                .spelled
                .push([path.as_os_str().as_bytes(), b"/"].concat());
            // Sorted by components: whatever holds it came before it.
            if !system.real.iter().any(|above| real.starts_with(above)) {
                system.real.push(real);
            }
        }
        system
    }

    /// Their real paths; none below another.
    pub fn real(&self) -> &[PathBuf] {
        &self.real
    }

    /// Whether the compiler came to `name` through a directory of its own and stayed in it, by the text alone.
    fn holds(&self, name: &[u8]) -> bool {
        self.spelled.iter().any(|directory| {
            name.strip_prefix(directory.as_slice()).is_some_and(|rest| {
                !rest
                    .split(|&byte| byte == b'/')
                    .any(|component| component == b"..")
            })
        })
    }
}

struct Builder<'a> {
    walk: Walk<'a>,
    system: &'a SystemDirectories,
    cwd: &'a Path,
    /// Real path of each file to its first name.
    files: HashMap<Vec<u8>, PathBuf>,
    nodes: Vec<(TreePath, Node)>,
}

fn tree_path(path: &[u8], name: &Path) -> Result<TreePath, LayoutError> {
    TreePath::new(path).map_err(|error| LayoutError::Path {
        path: name.to_owned(),
        error,
    })
}

impl Builder<'_> {
    /// A file that the compiler reads under this name.
    fn file(&mut self, file: &ClosureFile) -> Result<(), LayoutError> {
        let Some(real) = self.client_path(file)? else {
            return Ok(());
        };
        let is_absolute = file.name.is_absolute();
        let Some(first) = self.files.get(&real) else {
            return self.add(file, real, is_absolute);
        };
        // Names of which none is absolute are right on the server by themselves. And a file that its include guard
        // silences is opened under its second name, and not read.
        let harmless =
            !is_absolute && first.is_relative() || *first == file.name || !file.text_read;
        match harmless {
            true => Ok(()),
            false => Err(LayoutError::SeveralNames {
                real: real_path(&real),
                first: first.clone(),
                second: file.name.clone(),
            }),
        }
    }

    /// A file that only has to be there: no name for its text is wrong.
    fn unread_file(&mut self, file: &ClosureFile) -> Result<(), LayoutError> {
        match self.client_path(file)? {
            Some(real) if !self.files.contains_key(&real) => self.add(file, real, false),
            _ => Ok(()),
        }
    }

    /// The real path of a file that is not the server's own.
    fn client_path(&mut self, file: &ClosureFile) -> Result<Option<Vec<u8>>, LayoutError> {
        let is_source = file.opened_by == SearchKind::Source;
        if self.system.holds(file.name.as_os_str().as_bytes()) && !is_source {
            return Ok(None);
        }
        match self.walk.follow(&file.name)? {
            Way::Client(real) => Ok(Some(real)),
            Way::System if is_source => Err(LayoutError::SystemSource {
                path: file.name.clone(),
            }),
            Way::System => Ok(None),
        }
    }

    fn add(
        &mut self,
        file: &ClosureFile,
        real: Vec<u8>,
        with_line: bool,
    ) -> Result<(), LayoutError> {
        let path = tree_path(&real, &file.name)?;
        let line = with_line.then(|| file.name.as_os_str().as_bytes().to_vec());
        if let Some(line) = &line
            && !quotable(line)
        {
            return Err(LayoutError::Unquotable {
                path: file.name.clone(),
            });
        }
        if line.is_none() && names_itself(file.content.bytes(), &path) {
            return Err(LayoutError::NamesItself {
                real: real_path(&real),
            });
        }
        self.files.insert(real, file.name.clone());
        let content = Arc::clone(&file.content);
        self.nodes.push((path, Node::File { content, line }));
        Ok(())
    }

    fn directory(&mut self, name: &Path) -> Result<(), LayoutError> {
        if !self.cwd.join(name).is_dir() {
            return Ok(());
        }
        self.walk.directory(name)
    }

    fn finish(self) -> Result<Layout, LayoutError> {
        let noted = self.walk.into_noted();
        let mut nodes = Vec::with_capacity(self.nodes.len() + noted.links.len() + 8);
        for (path, target) in noted.links {
            nodes.push((tree_path(&path, &real_path(&path))?, Node::Link(target)));
        }
        nodes.extend(self.nodes);
        for directory in &self.system.real {
            if directory.is_dir() {
                let path = tree_path(directory.as_os_str().as_bytes(), directory)?;
                nodes.push((path, Node::System));
            }
        }
        for directory in noted.directories {
            // The root and the working directory exist, and so does a directory with anything in it.
            let exists = directory.is_empty()
                || directory == self.cwd.as_os_str().as_bytes()
                || nodes.iter().any(|(path, _)| {
                    path.as_bytes()
                        .strip_prefix(directory.as_slice())
                        .is_some_and(|rest| rest.first() == Some(&b'/'))
                });
            if !exists {
                let inside = [directory.as_slice(), b"/", FORCING_FILE].concat();
                nodes.push((tree_path(&inside, &real_path(&directory))?, Node::Forcing));
            }
        }
        Ok(Layout { nodes })
    }
}

fn real_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// Whether a path can stand between the quotes of a `#line` directive as it is: nothing to escape, no trigraph.
fn quotable(path: &[u8]) -> bool {
    !path
        .iter()
        .any(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | 0))
        && memchr::memmem::find(path, b"??").is_none()
}

/// Whether the content starts as if an include server had put a `#line` there: a server that shows files at the
/// client's own paths takes such a line away.
fn names_itself(content: &[u8], path: &TreePath) -> bool {
    content
        .strip_prefix(b"#line 1 \"")
        .and_then(|rest| rest.strip_prefix(path.as_bytes()))
        .is_some_and(|rest| rest.starts_with(b"\"\n"))
}

#[cfg(test)]
mod tests;
