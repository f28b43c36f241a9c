//! How one path of a client's meets the server's directories. Owns a memory of what the server has at each path, for one walk over many.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::tree::is_below;

/// The directories that make up an installation of a toolchain, below its prefix.
const INSTALLED: [&[u8]; 10] = [
    b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32", b"libexec", b"include", b"share",
    b"etc",
];

/// How a path of the client's meets the server's directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// Not at all: the server has a directory there, too, and nothing of the client's is at stake.
    None,
    /// The client's directory of this path goes in the place of the server's.
    Replace(Vec<u8>),
    /// A directory has both.
    Merge {
        /// The directory.
        dir: Vec<u8>,
        /// The path of the client's in it: the first one on the way that is no directory of the server's.
        next: Vec<u8>,
        /// The server has something else there: a file or a link.
        over: bool,
    },
}

/// Whether a compiler obeys a file of this name by itself when it lies where toolchains are: gcc's specs name programs to run, clang's configuration
/// holds options. The server's own are obeyed, a client's must not be.
pub(crate) fn is_obeyed(path: &[u8]) -> bool {
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
    let ends: [&[u8]; 3] = [b".cfg", b".spec", b".specs"];
    name == b"specs" || ends.iter().any(|end| name.ends_with(end))
}

/// What the server has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Absent,
    Directory { toolchain: bool },
    Other,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Meetings {
    system_dirs: Vec<Vec<u8>>,
    known: HashMap<Vec<u8>, Kind>,
}

impl Meetings {
    /// For clients' paths where the compiler looks in these directories by itself: they and those above are a toolchain's.
    pub(crate) fn new(system_dirs: Vec<Vec<u8>>) -> Self {
        Self {
            system_dirs,
            known: HashMap::new(),
        }
    }

    /// Walks down from a toolchain root towards a path of the client's.
    pub(crate) fn at(&mut self, root: &[u8], path: &[u8]) -> Meeting {
        let mut dir_end = root.len();
        let ends = (root.len() + 1..=path.len()).filter(|&i| i == path.len() || path[i] == b'/');
        for end in ends {
            if end == dir_end {
                continue;
            }
            let (dir, next) = (&path[..dir_end], &path[..end]);
            match self.kind(dir, next) {
                Kind::Directory { toolchain: true } => dir_end = end,
                Kind::Directory { toolchain: false } => return Meeting::Replace(next.to_vec()),
                kind => {
                    return Meeting::Merge {
                        dir: dir.to_vec(),
                        next: next.to_vec(),
                        over: kind == Kind::Other,
                    };
                }
            }
        }
        Meeting::None
    }

    fn kind(&mut self, dir: &[u8], path: &[u8]) -> Kind {
        if let Some(kind) = self.known.get(path) {
            return *kind;
        }
        let kind = match fs::symlink_metadata(host_path(path)) {
            Ok(meta) if meta.is_dir() => Kind::Directory {
                toolchain: self.is_toolchain(dir, path),
            },
            Ok(_) => Kind::Other,
            Err(_) => Kind::Absent,
        };
        self.known.insert(path.to_vec(), kind);
        kind
    }

    /// Whether a directory of the server may hold what a compiler needs.
    fn is_toolchain(&self, dir: &[u8], path: &[u8]) -> bool {
        let name = &path[path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1)..];
        let has = |name: &str| host_path(path).join(name).is_dir();
        let inside_installed = || {
            let mut components = dir.split(|&b| b == b'/');
            components.any(|component| INSTALLED.contains(&component))
        };
        INSTALLED.contains(&name)
            || has("bin")
            || has("lib")
            || has("include")
            || inside_installed()
            || self
                .system_dirs
                .iter()
                .any(|system| is_below(system, path) || is_below(path, system))
    }
}

/// A path as this machine names it.
pub(crate) fn host_path(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}
