//! The tree of compressed copies that stock's dialogue answers with.
//!
//! Stock's client is given names below a *client root*, drops the root's three components and the suffixes `.lzo` and
//! `.abs`, and sends what it finds there, a while after our answer. So nothing that was ever named in an answer is
//! changed: a file with new content goes to another root (a *generation*), written under a temporary name and renamed.
//! Generations that no answer named for [`RETIREMENT`] are removed, and all of them when the service ends. Each root is
//! locked while its server lives, so that roots of a killed server can be told and are removed by the next one.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::tree::{EntryContent, TreeEntry};
use rustix::fs::FlockOperation;

use crate::entry::Node;
use crate::files::ReadError;
use crate::layout::{CompressedForms, Layout};

/// How long a generation is kept after the last answer that named it. A client that is slower than that to read its
/// files finds them missing and compiles at home.
pub const RETIREMENT: Duration = Duration::from_secs(600);

/// Generations that are kept without looking at their age.
const GENERATIONS_KEPT: usize = 16;

/// Why a layout has no names in stock's dialogue.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Most often a full temporary directory.
    #[error("cannot write to the client root {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is not kept, and cannot be read again.
    #[error("{} cannot be sent: {source}", path.display())]
    Read {
        /// The client's path.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// The client would take the end of the name for a mark of ours.
    #[error("stock's dialogue cannot name {}", path.display())]
    Name {
        /// The client's path.
        path: PathBuf,
    },
    /// Stock's dialogue names files, and this one would have to be another for each compile.
    #[error("{} is kept apart from an equal header by empty lines at its end", path.display())]
    Twins {
        /// The client's path.
        path: PathBuf,
    },
    /// `DISTCC_CLIENT_TMP` is not what stock's client can use.
    #[error("DISTCC_CLIENT_TMP={} is not an absolute path of one or two components", path.display())]
    Base {
        /// The value.
        path: PathBuf,
    },
}

/// All generations of one service.
pub struct Mirror {
    base: PathBuf,
    retirement: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The next generation's number.
    next: u32,
    generations: Vec<Generation>,
    /// For each name below a root: where it is now and what it holds.
    entries: HashMap<Vec<u8>, Entry>,
    swept: bool,
}

struct Generation {
    number: u32,
    /// What is prepended to a name: three components.
    root: PathBuf,
    /// What is made and removed; the root itself or its parent.
    top: PathBuf,
    /// Names that exist, present or past.
    names: std::collections::HashSet<Vec<u8>>,
    last_named: Instant,
    /// Keeps the lock.
    _lock: File,
}

struct Entry {
    generation: u32,
    holds: Holds,
}

/// What a name holds, for comparison.
#[derive(Clone, PartialEq, Eq)]
enum Holds {
    File([u8; 32], Option<Vec<u8>>),
    Empty,
    Link(Vec<u8>),
}

/// The start of our roots' names; stock's start otherwise, so that ours are never taken for its.
const ROOT_PREFIX: &str = "pumphouse-";

impl Mirror {
    /// A mirror below `base` (`DISTCC_CLIENT_TMP`), or below `/dev/shm` or `/tmp`; nothing is created yet.
    ///
    /// # Errors
    /// [`MirrorError::Base`] when `base` has more than two components or is not absolute.
    pub fn new(base: Option<&Path>) -> Result<Self, MirrorError> {
        let base = match base {
            Some(base) => base.to_owned(),
            None if Path::new("/dev/shm").is_dir() => PathBuf::from("/dev/shm"),
            None => PathBuf::from("/tmp"),
        };
        let components = base.components().count().saturating_sub(1);
        let dots = base
            .components()
            .any(|c| c == std::path::Component::ParentDir);
        if !base.is_absolute() || components > 2 || dots {
            return Err(MirrorError::Base { path: base });
        }
        Ok(Self {
            base: base.components().collect(),
            retirement: RETIREMENT,
            state: Mutex::default(),
        })
    }

    /// The same with another time until a generation that nobody is told of is removed.
    #[must_use]
    pub fn with_retirement(mut self, retirement: Duration) -> Self {
        self.retirement = retirement;
        self
    }

    /// The names of a layout's files in this mirror, made to exist with the layout's content.
    ///
    /// # Errors
    /// See [`MirrorError`]; what was written before stays for later answers.
    pub fn names(
        &self,
        layout: &Layout,
        forms: &CompressedForms,
    ) -> Result<Vec<Vec<u8>>, MirrorError> {
        let wanted: Vec<Wanted> = layout
            .nodes
            .iter()
            .map(|entry| Wanted::new(entry.path.as_bytes(), &entry.node, forms))
            .collect::<Result<_, _>>()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.swept {
            state.swept = true;
            sweep(&self.base);
        }
        let names = wanted
            .iter()
            .map(|wanted| self.provide(&mut state, wanted))
            .collect();
        state.retire(self.retirement);
        names
    }

    /// Where `wanted` is, after making it if need be.
    fn provide(&self, state: &mut State, wanted: &Wanted) -> Result<Vec<u8>, MirrorError> {
        let now = Instant::now();
        if let Some(entry) = state.entries.get(&wanted.name)
            && entry.holds == wanted.holds
            && let Some(generation) = state
                .generations
                .iter_mut()
                .find(|generation| generation.number == entry.generation)
            // Somebody who cleans temporary directories may have been there.
            && rustix::fs::lstat(generation.full(&wanted.name).as_slice()).is_ok()
        {
            generation.last_named = now;
            return Ok(generation.full(&wanted.name));
        }
        // In the newest generation if the name is free there, else in a new one; a fresh one has no names at all.
        for attempt in 0..2 {
            let fresh = state.generations.is_empty() || attempt == 1;
            if fresh {
                let generation = Generation::create(&self.base, state.next)?;
                state.next = state.next.wrapping_add(1);
                state.generations.push(generation);
            }
            let Some(newest) = state.generations.last_mut() else {
                continue;
            };
            if newest.names.contains(&wanted.name) {
                continue;
            }
            match newest.write(wanted) {
                Ok(()) => {
                    newest.last_named = now;
                    newest.names.insert(wanted.name.clone());
                    let full = newest.full(&wanted.name);
                    let entry = Entry {
                        generation: newest.number,
                        holds: wanted.holds.clone(),
                    };
                    state.entries.insert(wanted.name.clone(), entry);
                    return Ok(full);
                }
                // A directory where a file was or the other way round: the next generation has neither.
                Err(error) if !fresh && is_in_the_way(&error) => {}
                Err(source) => {
                    return Err(MirrorError::Write {
                        path: PathBuf::from(OsString::from_vec(newest.full(&wanted.name))),
                        source,
                    });
                }
            }
        }
        Err(MirrorError::Name {
            path: PathBuf::from(OsStr::from_bytes(&wanted.name)),
        })
    }

    /// Removes every generation.
    pub fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for generation in state.generations.drain(..) {
            generation.remove();
        }
        state.entries.clear();
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.clear();
    }
}

fn is_in_the_way(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory};
    matches!(error.kind(), AlreadyExists | IsADirectory | NotADirectory)
}

impl State {
    /// Removes old generations when there are many.
    fn retire(&mut self, retirement: Duration) {
        if self.generations.len() <= GENERATIONS_KEPT {
            return;
        }
        let newest = self.generations.last().map(|newest| newest.number);
        let (old, kept) =
            std::mem::take(&mut self.generations)
                .into_iter()
                .partition(|generation| {
                    Some(generation.number) != newest
                        && generation.last_named.elapsed() >= retirement
                });
        self.generations = kept;
        let old: Vec<Generation> = old;
        if old.is_empty() {
            return;
        }
        self.entries.retain(|_, entry| {
            !old.iter()
                .any(|generation| generation.number == entry.generation)
        });
        for generation in old {
            generation.remove();
        }
    }
}

/// One file, link or empty file as the mirror has it.
struct Wanted {
    /// Below the root, with the leading slash and the suffixes.
    name: Vec<u8>,
    holds: Holds,
    /// The bytes of a file, the target of a link.
    bytes: std::sync::Arc<[u8]>,
}

impl Wanted {
    fn new(path: &[u8], node: &Node, forms: &CompressedForms) -> Result<Self, MirrorError> {
        let unnameable = || MirrorError::Name {
            path: PathBuf::from(OsStr::from_bytes(path)),
        };
        Ok(match node {
            // Another compile may be told of the same file without its empty lines, and there is one file for both.
            Node::File { empty_lines, .. } if *empty_lines > 0 => {
                return Err(MirrorError::Twins {
                    path: PathBuf::from(OsStr::from_bytes(path)),
                });
            }
            Node::File { content, line, .. } => {
                let block = forms.block(content, line.as_deref(), 0);
                let unread = |source| MirrorError::Read {
                    path: PathBuf::from(OsStr::from_bytes(path)),
                    source,
                };
                let suffix: &[u8] = if line.is_some() { b".lzo.abs" } else { b".lzo" };
                Self {
                    name: [path, suffix].concat(),
                    holds: Holds::File(*content.digest(), line.clone()),
                    bytes: block.map_err(unread)?,
                }
            }
            Node::Forcing => Self {
                name: path.to_vec(),
                holds: Holds::Empty,
                bytes: [].into(),
            },
            // A link keeps its name, so it must not look as if it had a suffix.
            Node::Link(_) if path.ends_with(b".lzo") || path.ends_with(b".abs") => {
                return Err(unnameable());
            }
            Node::Link(target) => Self::link(path, target),
            Node::System => {
                let path = protocol::tree_path::TreePath::new(path).map_err(|_| unnameable())?;
                match TreeEntry::system_link(path.clone()).content {
                    EntryContent::Link(target) => Self::link(path.as_bytes(), &target),
                    EntryContent::File(_) => return Err(unnameable()),
                }
            }
        })
    }

    fn link(path: &[u8], target: &[u8]) -> Self {
        Self {
            name: path.to_vec(),
            holds: Holds::Link(target.to_vec()),
            bytes: target.into(),
        }
    }
}

impl Generation {
    /// Makes and locks a new root below `base`.
    fn create(base: &Path, number: u32) -> Result<Self, MirrorError> {
        let failed = |source| MirrorError::Write {
            path: base.to_owned(),
            source,
        };
        let top = tempfile::Builder::new()
            .prefix(ROOT_PREFIX)
            .suffix(&format!(".include_server-{}-{number}", std::process::id()))
            .tempdir_in(base)
            .map_err(failed)?
            .keep();
        let lock = File::open(&top).map_err(failed)?;
        // Nobody else can have locked a directory that was just made; a file system without locks leaves it unlocked.
        let _ = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
        // The client drops three components, so there must be three.
        let mut root = top.clone();
        while root.components().count() < 1 + 3 {
            root.push("padding");
        }
        Ok(Self {
            number,
            root,
            top,
            names: std::collections::HashSet::new(),
            last_named: Instant::now(),
            _lock: lock,
        })
    }

    fn full(&self, name: &[u8]) -> Vec<u8> {
        [self.root.as_os_str().as_bytes(), name].concat()
    }

    /// Puts `wanted` at its name, whole or not at all.
    fn write(&self, wanted: &Wanted) -> std::io::Result<()> {
        let path = PathBuf::from(OsString::from_vec(self.full(&wanted.name)));
        let directory = path.parent().unwrap_or(&self.root);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        if let Holds::Link(target) = &wanted.holds {
            // A link is made in one step.
            return symlink(OsStr::from_bytes(target), &path);
        }
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.top)?;
        file.write_all(&wanted.bytes)?;
        file.persist_noclobber(&path)
            .map(drop)
            .map_err(|error| error.error)
    }

    fn remove(self) {
        if let Err(error) = std::fs::remove_dir_all(&self.top) {
            tracing::warn!("cannot remove {}: {error}", self.top.display());
        }
    }
}

/// Removes the roots of our user's servers that were killed: nobody holds their lock.
fn sweep(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else {
        return;
    };
    let own = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_bytes();
        if !name.starts_with(ROOT_PREFIX.as_bytes())
            || memchr::memmem::find(name, b".include_server-").is_none()
        {
            continue;
        }
        let path = entry.path();
        let is_ours = entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == own);
        if !is_ours {
            continue;
        }
        // A root that was made this moment may not be locked yet; a dead server's is older.
        let is_old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > Duration::from_secs(5)));
        let Ok(lock) = File::open(&path) else {
            continue;
        };
        if is_old && rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // What cannot be removed now, the next server finds again.
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests;
