//! Where a name leads on the include search path.
//!
//! Which directories count depends on what is there now, because a directory may come into being during a build. A chain is
//! those that count, seen from one working directory; it remembers where each name led, with the facts that decided it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use rustix::io::Errno;

use crate::atom::Atom;
use crate::decline::Decline;
use crate::entry::Entry;
use crate::facts::{End, Evidence, NodeId, Session, Vouched};
use crate::files::{FileContent, Status};
use crate::search::{SearchDirectory, SearchPath};

/// Where a file was found, which is where `#include_next` goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The including file's directory, or the working directory for `-include`: the whole chain follows.
    BeforeChain,
    /// The directory of the chain with this index.
    Chain(usize),
    /// An absolute name, or the source: there is no next.
    Nowhere,
}

/// How the preprocessor came to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SearchKind {
    /// The translation unit's source.
    Source,
    /// `stdc-predef.h`, which gcc includes by itself.
    Predefined,
    /// An absolute name in the include.
    Absolute,
    /// The working directory, for `-include` and `-imacros`.
    WorkingDirectory,
    /// The directory of the including file.
    Includer,
    /// An entry of the effective search path (quote directories first).
    Directory {
        /// Position in the effective chain, quote directories first.
        index: u32,
        /// Whether the directory is a system one (`-isystem`, the compiler's own).
        system: bool,
    },
}

/// A file under one name, with what it held: one object for all closures that have it.
#[derive(Debug)]
pub struct FoundFile {
    /// The name as the compiler spells it (it may be relative to the working directory; `gcc -M` also drops a leading `./`).
    pub name: PathBuf,
    /// The directory part of the name, with its slash.
    pub(crate) directory: Atom,
    /// What the file held when it was scanned.
    pub content: Arc<FileContent>,
    /// How it was found.
    pub opened_by: SearchKind,
    /// The file itself.
    pub node: NodeId,
    /// How it is shown to a server.
    pub(crate) entry: OnceLock<Arc<Entry>>,
    /// And how in a manifest.
    pub(crate) listed: OnceLock<Arc<protocol::bundle::entry::Entry>>,
}

impl FoundFile {
    pub(crate) fn new(hit: &Hit, content: Arc<FileContent>) -> FoundFile {
        FoundFile {
            name: PathBuf::from(OsStr::from_bytes(hit.name.spelling())),
            directory: hit.directory,
            content,
            opened_by: hit.kind,
            node: hit.node,
            entry: OnceLock::new(),
            listed: OnceLock::new(),
        }
    }
}

/// Where a search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Begin {
    /// `"name"`: this directory first (empty, or ending with a slash), then the whole chain. And whether the includer is a
    /// system header.
    Quote(Atom, bool),
    /// `<name>`.
    Bracket,
    /// Directories from this index on.
    Next(usize),
    /// `-include`, `-imacros`: as `"name"` in a file of this directory, which is the working directory.
    Forced(Atom),
    /// A file that the compiler includes by itself, as by `<name>`.
    Predefined,
}

/// Where a name led.
#[derive(Debug)]
pub struct Resolved {
    /// The name looked up.
    name: Atom,
    begin: Begin,
    /// The file, if there is one.
    pub hit: Option<Hit>,
    /// Which of the candidates before the hit were directories named like a header, by their position: not absent.
    passed_over: Box<[u32]>,
    /// What decided it beyond the chain's own evidence.
    evidence: Evidence,
    vouched: Vouched,
}

impl Resolved {
    /// The source, which no search found.
    pub(crate) fn source(hit: Hit) -> Resolved {
        Resolved {
            name: hit.name,
            begin: Begin::Bracket,
            hit: Some(hit),
            passed_over: Box::default(),
            evidence: Box::default(),
            vouched: Vouched::default(),
        }
    }

    /// Whether the name still leads there; its chain is known to hold.
    pub(crate) fn holds(&self, session: &mut Session<'_>) -> bool {
        session.still_holds(&self.evidence, &self.vouched)
    }

    /// Whether it was found to hold by watched nodes alone.
    pub(crate) fn is_quiet(&self, session: &Session<'_>) -> bool {
        session.is_quiet(&self.vouched)
    }
}

/// A file that a search found.
#[derive(Debug)]
pub struct Hit {
    /// As the compiler spells it.
    pub name: Atom,
    /// The name by which it was found, where the compiler goes on with a shorter one.
    pub found_as: Option<Atom>,
    /// The directory part of the name, with its slash.
    pub directory: Atom,
    /// The file itself.
    pub node: NodeId,
    /// Where `#include_next` goes on.
    pub origin: Origin,
    /// For the closure.
    pub kind: SearchKind,
    /// The file as closures have it; its content is the one last seen.
    file: Mutex<Option<Arc<FoundFile>>>,
}

impl Hit {
    pub(crate) fn new(name: &[u8], node: NodeId, origin: Origin, kind: SearchKind) -> Hit {
        let length = memchr::memrchr(b'/', name).map_or(0, |slash| slash + 1);
        Hit {
            name: Atom::of(name),
            found_as: None,
            directory: Atom::of(&name[..length]),
            node,
            origin,
            kind,
            file: Mutex::default(),
        }
    }

    /// The file with this content; one object for all closures that have it.
    pub(crate) fn file(&self, content: &Arc<FileContent>) -> Arc<FoundFile> {
        let mut kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(file) if Arc::ptr_eq(&file.content, content) => Arc::clone(file),
            _ => {
                let file = Arc::new(FoundFile::new(self, Arc::clone(content)));
                *kept = Some(Arc::clone(&file));
                file
            }
        }
    }
}

/// A search path for which a chain was made: the path, whether system headers go by shorter canonical names, and the
/// working directory.
pub type ChainKey = (SearchPath, bool, PathBuf);

/// The directories that count, seen from one working directory, and where names led on them.
#[derive(Debug)]
pub struct Chain {
    /// Quote directories, then bracket directories.
    directories: Vec<SearchDirectory>,
    /// How many of them are quote directories.
    quote_count: usize,
    /// A directory that may not be looked at, which gcc takes for an error.
    refused: Option<(PathBuf, Errno)>,
    quote_ignores_source_dir: bool,
    canonical_names: bool,
    cwd: NodeId,
    evidence: Evidence,
    vouched: Vouched,
    resolved: DashMap<(Atom, Begin), Arc<Resolved>, RandomState>,
}

/// Chains kept at most: a bound on memory, far above what a build has.
const CHAINS_KEPT: usize = 4096;

/// All chains, shared by all threads.
#[derive(Debug, Default)]
pub struct Chains {
    known: DashMap<ChainKey, Arc<Chain>, RandomState>,
}

impl Chains {
    /// The chain of `search`, seen from the directory `cwd`.
    pub fn chain(
        &self,
        search: &SearchPath,
        canonical_names: bool,
        cwd: &Path,
        session: &mut Session<'_>,
    ) -> Arc<Chain> {
        let key = (search.clone(), canonical_names, cwd.to_owned());
        let known = self.known.get(&key).map(|known| Arc::clone(&known));
        if let Some(known) = known
            && known.holds(session)
        {
            return known;
        }
        let ((start, (directories, quote_count), refused), evidence) = session.traced(|session| {
            let way = session.passage(NodeId::ROOT, cwd.as_os_str().as_bytes());
            // A working directory that is not there has no names in it: the root's child of no name has none either.
            let start = match way.end {
                End::At(node) => node,
                _ => NodeId::ROOT,
            };
            session.expect_searches(start, search.raw().listed());
            let mut refused = None;
            let reduced = search.reduced(|path| {
                let located = session.locate(start, path.as_os_str().as_bytes());
                match session.status(&located) {
                    Status::Directory(device, inode) => Some((device, inode)),
                    Status::Refused(errno) if !search.family().is_clang() => {
                        refused.get_or_insert((path.to_owned(), errno));
                        None
                    }
                    _ => None,
                }
            });
            (start, reduced, refused)
        });
        let chain = Arc::new(Chain {
            directories,
            quote_count,
            refused,
            quote_ignores_source_dir: search.raw().quote_ignores_source_dir,
            canonical_names,
            cwd: start,
            evidence,
            vouched: Vouched::default(),
            resolved: DashMap::default(),
        });
        if self.known.len() >= CHAINS_KEPT {
            self.known.clear();
        }
        self.known.insert(key, Arc::clone(&chain));
        chain
    }
}

/// One name that a search tries.
struct Candidate {
    name: Vec<u8>,
    origin: Origin,
    kind: SearchKind,
    /// Found there, it is a system header.
    system: bool,
}

/// `name` in a directory, the chain's `index`-th.
fn candidate(directory: &SearchDirectory, index: usize, name: &[u8], begin: Begin) -> Candidate {
    let mut joined = directory.path.as_os_str().as_bytes().to_vec();
    if !joined.is_empty() && joined.last() != Some(&b'/') {
        joined.push(b'/');
    }
    joined.extend_from_slice(name);
    let kind = match begin {
        Begin::Predefined => SearchKind::Predefined,
        _ => SearchKind::Directory {
            index: index as u32,
            system: directory.system,
        },
    };
    Candidate {
        name: joined,
        origin: Origin::Chain(index),
        kind,
        system: directory.system,
    }
}

/// Directories of a search path that a message names.
const DIRECTORIES_SHOWN: usize = 20;

impl Chain {
    /// Declines when the compiler would fail for a directory that it may not look at.
    pub fn check(&self) -> Result<(), Decline> {
        match &self.refused {
            None => Ok(()),
            Some((path, errno)) => Err(Decline::Unreadable {
                path: path.clone(),
                why: std::io::Error::from(*errno).to_string(),
            }),
        }
    }

    /// The working directory.
    pub fn cwd(&self) -> NodeId {
        self.cwd
    }

    /// Looks `name` up as the compiler does.
    ///
    /// # Errors
    /// [`Decline::Unreadable`] for something in the way that is neither file nor directory, or may not be looked at.
    pub fn find(
        &self,
        name: Atom,
        begin: Begin,
        session: &mut Session<'_>,
    ) -> Result<Arc<Resolved>, Decline> {
        let known = self
            .resolved
            .get(&(name, begin))
            .map(|known| Arc::clone(&known));
        if let Some(known) = known
            && known.holds(session)
        {
            return Ok(known);
        }
        let mut passed_over = Vec::new();
        let (hit, evidence) = session
            .traced(|session| self.search(name.spelling(), begin, session, &mut passed_over));
        // Most is the way to the directories of the chain, and asked once for all names.
        let own = |(id, _): &&(NodeId, u32)| !self.evidence.iter().any(|(known, _)| known == id);
        let resolved = Arc::new(Resolved {
            name,
            begin,
            hit: hit?,
            passed_over: passed_over.into(),
            evidence: evidence.iter().filter(own).copied().collect(),
            vouched: Vouched::default(),
        });
        self.resolved.insert((name, begin), Arc::clone(&resolved));
        Ok(resolved)
    }

    /// Whether the same directories still count.
    pub(crate) fn holds(&self, session: &mut Session<'_>) -> bool {
        session.still_holds(&self.evidence, &self.vouched)
    }

    /// What a search for `name` tries, in order.
    fn candidates<'c>(
        &'c self,
        name: &'c [u8],
        begin: Begin,
    ) -> impl Iterator<Item = Candidate> + 'c {
        let is_absolute = name.first() == Some(&b'/');
        let (first, beside) = match begin {
            Begin::Quote(directory, system) => (0, Some((directory, system, SearchKind::Includer))),
            Begin::Forced(directory) => (0, Some((directory, false, SearchKind::WorkingDirectory))),
            Begin::Bracket | Begin::Predefined => (self.quote_count, None),
            Begin::Next(index) => (index, None),
        };
        let absolute = is_absolute.then(|| Candidate {
            name: name.to_vec(),
            origin: Origin::Nowhere,
            kind: SearchKind::Absolute,
            system: false,
        });
        let beside = beside.filter(|_| !is_absolute && !self.quote_ignores_source_dir);
        let beside = beside.map(move |(directory, system, kind)| Candidate {
            name: [directory.spelling(), name].concat(),
            origin: Origin::BeforeChain,
            kind,
            system,
        });
        let first = if is_absolute { usize::MAX } else { first };
        let chain = self.directories.iter().enumerate().skip(first);
        let chain = chain.map(move |(index, directory)| candidate(directory, index, name, begin));
        absolute.into_iter().chain(beside).chain(chain)
    }

    fn search(
        &self,
        name: &[u8],
        begin: Begin,
        session: &mut Session<'_>,
        passed_over: &mut Vec<u32>,
    ) -> Result<Option<Hit>, Decline> {
        for (position, candidate) in self.candidates(name, begin).enumerate() {
            let unreadable = |why: String| {
                Err(Decline::Unreadable {
                    path: PathBuf::from(OsStr::from_bytes(&candidate.name)),
                    why,
                })
            };
            let located = session.locate(self.cwd, &candidate.name);
            match (session.status(&located), located.end) {
                (Status::Regular(_), End::At(node)) => {
                    return Ok(Some(self.hit(&candidate, node, session)));
                }
                (Status::Missing | Status::Regular(_), _) => {}
                // It is skipped; it cannot be "absent" on the server either, and does no harm there.
                (Status::Directory(..), _) => passed_over.push(position as u32),
                (Status::Other, _) => return unreadable("not a regular file".into()),
                (Status::Refused(errno), _) => {
                    return unreadable(std::io::Error::from(errno).to_string());
                }
            }
        }
        Ok(None)
    }

    /// A candidate that is a file. gcc gives a system header its canonical name where that is shorter.
    fn hit(&self, candidate: &Candidate, node: NodeId, session: &Session<'_>) -> Hit {
        let hit = Hit::new(&candidate.name, node, candidate.origin, candidate.kind);
        let real = session.path(node);
        let shorter = candidate.system && self.canonical_names && real.len() < candidate.name.len();
        match shorter {
            false => hit,
            true => Hit {
                found_as: Some(hit.name),
                ..Hit::new(real, node, hit.origin, hit.kind)
            },
        }
    }

    /// The names that a lookup tried in vain, as spelled, in order.
    pub(crate) fn absent(&self, lookup: &Resolved) -> Vec<Vec<u8>> {
        let hit = lookup.hit.as_ref();
        let found_as = hit.map(|hit| hit.found_as.unwrap_or(hit.name).spelling());
        self.candidates(lookup.name.spelling(), lookup.begin)
            .map(|candidate| candidate.name)
            .take_while(|candidate| Some(candidate.as_slice()) != found_as)
            .enumerate()
            .filter(|(position, _)| !lookup.passed_over.contains(&(*position as u32)))
            .map(|(_, candidate)| candidate)
            .collect()
    }

    /// The index that `#include_next` starts at, in a file found at `origin`; `None` when it means `#include`.
    pub fn next_after(&self, origin: Origin) -> Option<usize> {
        match origin {
            Origin::BeforeChain => Some(0),
            Origin::Chain(index) => Some(index + 1),
            Origin::Nowhere => None,
        }
    }

    /// The directories a search goes through, in words, for messages.
    pub fn describe(&self, begin: Begin) -> String {
        let first = match begin {
            Begin::Quote(..) | Begin::Forced(_) => 0,
            Begin::Bracket | Begin::Predefined => self.quote_count,
            Begin::Next(index) => index.min(self.directories.len()),
        };
        let mut words: Vec<String> = Vec::new();
        if let Begin::Quote(directory, _) | Begin::Forced(directory) = begin {
            let directory = match directory.spelling() {
                b"" => b"./",
                directory => directory,
            };
            words.push(
                Path::new(OsStr::from_bytes(directory))
                    .display()
                    .to_string(),
            );
        }
        let directories = &self.directories[first..];
        words.extend(
            directories
                .iter()
                .take(DIRECTORIES_SHOWN)
                .map(|directory| directory.path.display().to_string()),
        );
        if directories.len() > DIRECTORIES_SHOWN {
            words.push(format!("{} more", directories.len() - DIRECTORIES_SHOWN));
        }
        match words.is_empty() {
            true => "no directory".into(),
            false => words.join(", "),
        }
    }
}
