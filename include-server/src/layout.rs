//! From a closure to what a server must be given: the files at their real paths, every link on the way to them, every
//! directory that a name passes through, and the names of the server's own directories.
//!
//! A name is never normalised as text: `a/../b` leads where `a` leads, if `a` is a link. [`walk`] follows a name as the
//! kernel does and notes what a server needs in order to follow it too.

pub mod bundle;
mod section;
mod system;
mod walk;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::HashMap;
use protocol::tree::FORCING_FILE;
use protocol::tree_path::{TreePath, TreePathError};

use crate::atom::Atom;
use crate::closure::{Closure, ClosureFile, SearchKind};
use crate::configuration::TranslationUnit;
use crate::entry::{Entry, Node};
use crate::facts::{NodeId, Session};
use crate::files::ReadError;
pub use section::CompressedForms;
use system::RealDirectories;
pub use system::SystemDirectories;
use walk::{Shown, Walk, Way};

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
    /// It is not kept, and cannot be read again.
    #[error("{} cannot be sent: {why}", path.display())]
    Unread {
        /// The name.
        path: PathBuf,
        /// What is wrong.
        why: ReadError,
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

impl LayoutError {
    fn unread(path: &TreePath, why: ReadError) -> LayoutError {
        LayoutError::Unread {
            path: real_path(path.as_bytes()),
            why,
        }
    }
}

/// What a server must be given for one translation unit: links before the files behind them, no path twice.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Entries in order.
    pub nodes: Vec<Arc<Entry>>,
}

/// Lays `closure` out, in the request that found it. `search_directories` are made to exist too (a compiler warns of
/// missing ones if told to).
///
/// # Errors
/// See [`LayoutError`].
pub fn lay_out(
    session: &mut Session<'_>,
    unit: &TranslationUnit,
    closure: &Closure,
    system: &SystemDirectories,
    search_directories: &[PathBuf],
) -> Result<Layout, LayoutError> {
    let real = system.real(session);
    let mut builder = Builder {
        walk: Walk::new(session, &unit.cwd, &real, Shown::Clients)?,
        system,
        real: &real,
        cwd: &unit.cwd,
        by_text: HashMap::default(),
        files: HashMap::with_capacity_and_hasher(closure.files.len(), Default::default()),
        nodes: Vec::with_capacity(closure.files.len() + 8),
    };
    for file in &closure.files {
        builder.file(file)?;
    }
    for file in &closure.has_include_hits {
        builder.unread_file(file)?;
    }
    for directory in search_directories {
        builder.walk.existing_directory(directory)?;
    }
    builder.finish()
}

struct Builder<'a, 'f> {
    walk: Walk<'a, 'f>,
    system: &'a SystemDirectories,
    real: &'a RealDirectories,
    cwd: &'a Path,
    /// Whether names with these directory parts are the compiler's own by their text.
    by_text: HashMap<Atom, bool>,
    /// The first name of each file.
    files: HashMap<NodeId, &'a Path>,
    nodes: Vec<Arc<Entry>>,
}

fn tree_path(path: &[u8], name: &Path) -> Result<TreePath, LayoutError> {
    TreePath::new(path).map_err(|error| LayoutError::Path {
        path: name.to_owned(),
        error,
    })
}

impl<'a> Builder<'a, '_> {
    /// A file that the compiler reads under this name.
    fn file(&mut self, file: &'a ClosureFile) -> Result<(), LayoutError> {
        if !self.is_clients(file)? {
            return Ok(());
        }
        let is_absolute = file.name.is_absolute();
        let Some(first) = self.files.get(&file.node) else {
            return self.add(file, is_absolute);
        };
        check_second_name(first, file, self.walk.path(file.node))
    }

    /// A file that only has to be there: no name for its text is wrong.
    fn unread_file(&mut self, file: &'a ClosureFile) -> Result<(), LayoutError> {
        match self.is_clients(file)? {
            true if !self.files.contains_key(&file.node) => self.add(file, false),
            _ => Ok(()),
        }
    }

    fn is_system_by_text(&mut self, file: &ClosureFile) -> bool {
        let system = self.system;
        let known = self.by_text.entry(file.directory);
        *known.or_insert_with(|| system.holds(file.name.as_os_str().as_bytes()))
    }

    /// Whether a file is not the server's own. Notes the links on the way to it.
    fn is_clients(&mut self, file: &'a ClosureFile) -> Result<bool, LayoutError> {
        let is_source = file.opened_by == SearchKind::Source;
        if !is_source && self.is_system_by_text(file) {
            return Ok(false);
        }
        match self.walk.follow(file)? {
            Way::Client => Ok(true),
            Way::System if is_source => Err(LayoutError::SystemSource {
                path: file.name.clone(),
            }),
            Way::System => Ok(false),
        }
    }

    fn add(&mut self, file: &'a ClosureFile, with_line: bool) -> Result<(), LayoutError> {
        self.files.insert(file.node, &file.name);
        let is_usual = with_line == file.name.is_absolute() && file.empty_lines == 0;
        if is_usual && let Some(known) = file.entry.get() {
            self.nodes.push(Arc::clone(known));
            return Ok(());
        }
        let path = tree_path(self.walk.path(file.node), &file.name)?;
        let line = with_line.then(|| file.name.as_os_str().as_bytes().to_vec());
        if let Some(line) = &line
            && !quotable(line)
        {
            return Err(LayoutError::Unquotable {
                path: file.name.clone(),
            });
        }
        if line.is_none() {
            let text = file.content.bytes();
            let text = text.map_err(|error| LayoutError::unread(&path, error))?;
            if names_itself(&text, &path) {
                return Err(LayoutError::NamesItself {
                    real: real_path(path.as_bytes()),
                });
            }
        }
        let content = Arc::clone(&file.content);
        let entry = Arc::new(Entry {
            path,
            node: Node::File {
                content,
                line,
                empty_lines: file.empty_lines,
            },
        });
        if is_usual {
            // Somebody else's is the same.
            let _ = file.entry.set(Arc::clone(&entry));
        }
        self.nodes.push(entry);
        Ok(())
    }

    fn finish(self) -> Result<Layout, LayoutError> {
        let facts = self.walk.facts();
        let noted = self.walk.into_noted();
        let mut nodes = Vec::with_capacity(self.nodes.len() + noted.links.len() + 8);
        for (link, target) in noted.links {
            let path = facts.path(link);
            nodes.push(Arc::new(Entry {
                path: tree_path(path, &real_path(path))?,
                node: Node::Link(target),
            }));
        }
        nodes.extend(self.nodes);
        nodes.extend(self.real.entries.iter().map(Arc::clone));
        for directory in noted.directories {
            let directory = facts.path(directory);
            // The root and the working directory exist, and so does a directory with anything in it.
            let exists = directory.is_empty()
                || directory == b"/"
                || directory == self.cwd.as_os_str().as_bytes()
                || nodes.iter().any(|entry| {
                    entry
                        .path
                        .as_bytes()
                        .strip_prefix(directory)
                        .is_some_and(|rest| rest.first() == Some(&b'/'))
                });
            if !exists {
                let inside = [directory, b"/", FORCING_FILE].concat();
                nodes.push(Arc::new(Entry {
                    path: tree_path(&inside, &real_path(directory))?,
                    node: Node::Forcing,
                }));
            }
        }
        Ok(Layout { nodes })
    }
}

/// Whether a server that shows a file as `first` may let the compiler open it as `file.name`, too. Names of which none is absolute
/// are right on the server by themselves. And a file that its include guard silences is opened under its second name, and
/// not read.
fn check_second_name(first: &Path, file: &ClosureFile, real: &[u8]) -> Result<(), LayoutError> {
    let are_relative = first.is_relative() && file.name.is_relative();
    match are_relative || *first == file.name || !file.text_read {
        true => Ok(()),
        false => Err(LayoutError::SeveralNames {
            real: real_path(real),
            first: first.to_path_buf(),
            second: file.name.clone(),
        }),
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
