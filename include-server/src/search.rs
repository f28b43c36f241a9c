//! The include search path: directories as listed, and which of them count.

use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::configuration::CompilerFamily;

/// Directories as command line, environment and compiler list them, each list in the compiler's order.
#[derive(Clone, Debug, Default)]
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

impl RawSearch {
    /// All directories, whether they are there or not.
    pub fn listed(&self) -> impl Iterator<Item = &Path> {
        let lists = [&self.quote, &self.bracket, &self.system, &self.after];
        lists.into_iter().flatten().map(PathBuf::as_path)
    }

    /// All that tells it from others. A path is equal to one with other dots in it, which leads to other names of files.
    fn spelling(&self) -> (impl Iterator<Item = Option<&OsStr>>, bool) {
        let lists = [&self.quote, &self.bracket, &self.system, &self.after];
        let words = lists.into_iter().flat_map(|list| {
            let words = list.iter().map(|path| Some(path.as_os_str()));
            words.chain([None])
        });
        (words, self.quote_ignores_source_dir)
    }
}

impl PartialEq for RawSearch {
    fn eq(&self, other: &RawSearch) -> bool {
        let ((words, flag), (others, other_flag)) = (self.spelling(), other.spelling());
        flag == other_flag && words.eq(others)
    }
}

impl Eq for RawSearch {}

impl Hash for RawSearch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (words, flag) = self.spelling();
        words.for_each(|word| word.hash(state));
        flag.hash(state);
    }
}

/// The include search path of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SearchPath {
    raw: Arc<RawSearch>,
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
        SearchPath {
            raw: Arc::new(raw),
            family,
        }
    }

    /// Whose rules hold.
    pub fn family(&self) -> CompilerFamily {
        self.family
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

    /// The directories that count, without missing ones and duplicates, as the compiler removes them: quote directories
    /// first, and how many they are. `identity` gives device and inode of what is a directory.
    pub fn reduced(
        &self,
        mut identity: impl FnMut(&Path) -> Option<(u64, u64)>,
    ) -> (Vec<SearchDirectory>, usize) {
        let mut existing = |paths: &[PathBuf], system: bool| -> Vec<Existing> {
            let existing = paths.iter().filter_map(|path| {
                Some(Existing {
                    path: path.clone(),
                    system,
                    identity: identity(path)?,
                })
            });
            existing.collect()
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
        (directories, quote_count)
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
struct Existing {
    path: PathBuf,
    system: bool,
    identity: (u64, u64),
}

/// gcc's rule: a directory goes if it is in the system chain, or earlier in its own chain, or if it is the last of its chain and
/// the chain it will be joined to begins with it.
fn without_duplicates(
    chain: Vec<Existing>,
    system: &[Existing],
    join: Option<(u64, u64)>,
) -> Vec<Existing> {
    let count = chain.len();
    let mut kept: Vec<Existing> = Vec::with_capacity(count);
    for (position, candidate) in chain.into_iter().enumerate() {
        let same = |other: &Existing| other.identity == candidate.identity;
        let last_and_joined = position + 1 == count && join == Some(candidate.identity);
        if !system.iter().any(same) && !kept.iter().any(same) && !last_and_joined {
            kept.push(candidate);
        }
    }
    kept
}

/// clang's rule: the first of equal directories stays, but a system directory displaces an earlier user directory.
fn clang_without_duplicates(chain: Vec<Existing>) -> Vec<Existing> {
    let mut kept: Vec<Existing> = Vec::with_capacity(chain.len());
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
