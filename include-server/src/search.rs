//! The include search path, and where a name leads on it.
//!
//! `SearchPath` holds the directories as listed, whether they exist or not. Which of them count is decided anew in each scan
//! (`EffectivePath`), because a directory may come into being during a build.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::closure::SearchKind;
use crate::configuration::CompilerFamily;
use crate::decline::Decline;
use crate::files::{FileStamp, Snapshot, Status};

/// Directories as command line, environment and compiler list them, each list in the compiler's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RawSearch {
    /// `-iquote`.
    pub quote: Vec<PathBuf>,
    /// `-I`, then `-iwithprefixbefore`, then `CPATH`.
    pub bracket: Vec<PathBuf>,
    /// `-isystem`, then `C_INCLUDE_PATH` or its like, then the compiler's own directories.
    pub system: Vec<PathBuf>,
    /// `-idirafter`.
    pub after: Vec<PathBuf>,
    /// `-I-`: quoted includes are not searched in the including file's directory.
    pub quote_ignores_source_dir: bool,
}

/// The include search path of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SearchPath {
    raw: RawSearch,
    family: CompilerFamily,
}

/// One directory of the effective chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchDirectory {
    /// As spelled.
    pub path: PathBuf,
    /// A system directory.
    pub system: bool,
}

impl SearchPath {
    /// A search path from its raw lists; existence and duplicates are judged in each scan.
    pub fn build(raw: RawSearch, family: CompilerFamily) -> SearchPath {
        SearchPath { raw, family }
    }

    /// The lists it was built from.
    pub fn raw(&self) -> &RawSearch {
        &self.raw
    }

    /// Whether an absolute name lies in a listed system directory.
    pub fn is_compilers_own(&self, name: &[u8]) -> bool {
        let below = |directory: &PathBuf| {
            let rest = name.strip_prefix(directory.as_os_str().as_bytes());
            directory.is_absolute() && rest.is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        self.raw.system.iter().any(below)
    }

    /// The directories that count now, without missing ones and duplicates, as the compiler removes them.
    pub fn effective(&self, snapshot: &mut Snapshot<'_>) -> EffectivePath {
        let mut existing = |paths: &[PathBuf], system: bool| -> Vec<Candidate> {
            let mut found = Vec::with_capacity(paths.len());
            for path in paths {
                if let Status::Directory(device, inode) =
                    snapshot.status(path.as_os_str().as_bytes())
                {
                    found.push(Candidate {
                        path: path.clone(),
                        system,
                        identity: (device, inode),
                    });
                }
            }
            found
        };
        let quote = existing(&self.raw.quote, false);
        let bracket = existing(&self.raw.bracket, false);
        let mut system = existing(&self.raw.system, true);
        system.extend(existing(&self.raw.after, true));
        let (quote, chain) = match self.family {
            CompilerFamily::Gcc { .. } => {
                let system = without_duplicates(system, &[], None);
                let head = system.first().map(|first| first.identity);
                let mut bracket = without_duplicates(bracket, &system, head);
                let system_identities = system.clone();
                bracket.extend(system);
                let head = bracket.first().map(|first| first.identity);
                (without_duplicates(quote, &system_identities, head), bracket)
            }
            CompilerFamily::Clang { .. } => {
                let mut chain = bracket;
                chain.extend(system);
                (
                    without_duplicates(quote, &[], None),
                    clang_without_duplicates(chain),
                )
            }
        };
        let quote_count = quote.len();
        let directories = quote
            .into_iter()
            .chain(chain)
            .map(|candidate| SearchDirectory {
                path: spelled(candidate.path, self.family),
                system: candidate.system,
            })
            .collect();
        EffectivePath {
            directories,
            quote_count,
            quote_ignores_source_dir: self.raw.quote_ignores_source_dir,
        }
    }
}

/// The directory as the compiler joins names to it; clang drops all trailing slashes.
fn spelled(path: PathBuf, family: CompilerFamily) -> PathBuf {
    let mut bytes = path.as_os_str().as_bytes();
    if family.is_clang() {
        while let [rest @ .., b'/'] = bytes
            && !rest.is_empty()
        {
            bytes = rest;
        }
    }
    PathBuf::from(OsStr::from_bytes(bytes))
}

#[derive(Clone)]
struct Candidate {
    path: PathBuf,
    system: bool,
    identity: (u64, u64),
}

/// gcc's rule: a directory goes if it is in the system chain, or earlier in its own chain, or if it is the last of its chain and
/// the chain it will be joined to begins with it.
fn without_duplicates(
    chain: Vec<Candidate>,
    system: &[Candidate],
    join: Option<(u64, u64)>,
) -> Vec<Candidate> {
    let count = chain.len();
    let mut kept: Vec<Candidate> = Vec::with_capacity(count);
    for (position, candidate) in chain.into_iter().enumerate() {
        let same = |other: &Candidate| other.identity == candidate.identity;
        let last_and_joined = position + 1 == count && join == Some(candidate.identity);
        if !system.iter().any(same) && !kept.iter().any(same) && !last_and_joined {
            kept.push(candidate);
        }
    }
    kept
}

/// clang's rule: the first of equal directories stays, but a system directory displaces an earlier user directory.
fn clang_without_duplicates(chain: Vec<Candidate>) -> Vec<Candidate> {
    let mut kept: Vec<Candidate> = Vec::with_capacity(chain.len());
    for candidate in chain {
        match kept
            .iter()
            .position(|other| other.identity == candidate.identity)
        {
            None => kept.push(candidate),
            Some(earlier) if candidate.system && !kept[earlier].system => {
                kept.remove(earlier);
                kept.push(candidate);
            }
            Some(_) => {}
        }
    }
    kept
}

/// Where a file was found, which is where `#include_next` goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The including file's directory, or the working directory for `-include`: the whole chain follows.
    BeforeChain,
    /// The directory of the chain with this index.
    Chain(usize),
    /// An absolute name, or the source: there is no next.
    Nowhere,
}

/// What kind of include asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start<'n> {
    /// `"name"`: this directory first (empty, or ending with a slash), then the whole chain.
    Quote(&'n [u8]),
    /// `<name>`.
    Bracket,
    /// Directories from this index on.
    Next(usize),
}

/// A file that a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// As the compiler spells it.
    pub name: Vec<u8>,
    /// What `stat` said.
    pub stamp: FileStamp,
    /// Where `#include_next` goes on.
    pub origin: Origin,
    /// For the closure.
    pub kind: SearchKind,
}

/// The directories that count in one scan.
#[derive(Clone, Debug)]
pub struct EffectivePath {
    /// Quote directories, then bracket directories.
    pub directories: Vec<SearchDirectory>,
    /// How many of them are quote directories.
    pub quote_count: usize,
    /// `-I-`.
    pub quote_ignores_source_dir: bool,
}

impl EffectivePath {
    /// Looks `name` up as the compiler does. Names tried in vain go to `absent`. `None`: nowhere.
    pub fn find(
        &self,
        name: &[u8],
        start: Start<'_>,
        snapshot: &mut Snapshot<'_>,
        absent: &mut Vec<Vec<u8>>,
    ) -> Result<Option<Found>, Decline> {
        let found = |name: Vec<u8>, stamp, origin, kind| {
            Ok(Some(Found {
                name,
                stamp,
                origin,
                kind,
            }))
        };
        if name.first() == Some(&b'/') {
            return match probe(name, snapshot, absent)? {
                Some(stamp) => found(name.to_vec(), stamp, Origin::Nowhere, SearchKind::Absolute),
                None => Ok(None),
            };
        }
        let first = match start {
            Start::Quote(directory) => {
                if !self.quote_ignores_source_dir {
                    let candidate = [directory, name].concat();
                    if let Some(stamp) = probe(&candidate, snapshot, absent)? {
                        return found(candidate, stamp, Origin::BeforeChain, SearchKind::Includer);
                    }
                }
                0
            }
            Start::Bracket => self.quote_count,
            Start::Next(index) => index,
        };
        for (index, directory) in self.directories.iter().enumerate().skip(first) {
            let mut candidate = directory.path.as_os_str().as_bytes().to_vec();
            if !candidate.is_empty() && candidate.last() != Some(&b'/') {
                candidate.push(b'/');
            }
            candidate.extend_from_slice(name);
            // Most names of the form `dir/file.h` fail because there is no `dir`: one stat answers for all files in it.
            if let Some(slash) = memchr::memrchr(b'/', name) {
                let parent = candidate.len() - name.len() + slash;
                if matches!(snapshot.status(&candidate[..parent]), Status::Missing) {
                    absent.push(candidate);
                    continue;
                }
            }
            if let Some(stamp) = probe(&candidate, snapshot, absent)? {
                let kind = SearchKind::Directory {
                    index: index as u32,
                    system: directory.system,
                };
                return found(candidate, stamp, Origin::Chain(index), kind);
            }
        }
        Ok(None)
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
    pub fn describe(&self, start: Start<'_>) -> String {
        let first = match start {
            Start::Quote(_) => 0,
            Start::Bracket => self.quote_count,
            Start::Next(index) => index.min(self.directories.len()),
        };
        let mut words: Vec<String> = Vec::new();
        if let Start::Quote(directory) = start {
            let directory = if directory.is_empty() {
                b"./"
            } else {
                directory
            };
            words.push(
                Path::new(OsStr::from_bytes(directory))
                    .display()
                    .to_string(),
            );
        }
        words.extend(
            self.directories[first..]
                .iter()
                .map(|directory| directory.path.display().to_string()),
        );
        match words.is_empty() {
            true => "no directory".into(),
            false => words.join(", "),
        }
    }
}

/// Whether `candidate` is a file the compiler would open.
fn probe(
    candidate: &[u8],
    snapshot: &mut Snapshot<'_>,
    absent: &mut Vec<Vec<u8>>,
) -> Result<Option<FileStamp>, Decline> {
    let unreadable = |why: String| Decline::Unreadable {
        path: PathBuf::from(OsStr::from_bytes(candidate)),
        why,
    };
    match snapshot.status(candidate) {
        Status::Regular(stamp) => Ok(Some(stamp)),
        Status::Missing => {
            absent.push(candidate.to_vec());
            Ok(None)
        }
        // A directory named like a header is skipped; it cannot be "absent" on the server either, and does no harm there.
        Status::Directory(..) => Ok(None),
        Status::Other => Err(unreadable("not a regular file".into())),
        Status::Refused(errno) => Err(unreadable(std::io::Error::from(errno).to_string())),
    }
}
