//! Which compiler the user means: named after `distcc`, implied, or the name under which distcc was called.
//!
//! The last is masquerading: a link `gcc` -> `distcc` in a directory in front of `PATH`. The real compiler is then
//! looked for behind that directory. A `PATH` may hold several such directories (pump's own, a distribution's), also
//! when the compiler is named explicitly (`CC="distcc gcc"` inside `pump`), so every directory whose compiler is this
//! very program is passed over. Owns no state.

use crate::path_search::{self, OwnProgram};
use protocol::command_line::{Word, is_object, is_source};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What distcc was called for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// A compiler's command line, the compiler first, and the `PATH` to find it on.
    Compiler {
        /// The words.
        words: Vec<Word>,
        /// The `PATH` behind distcc's own directories.
        path: OsString,
        /// Something was cut off the user's `PATH`.
        trimmed: bool,
    },
    /// `distcc` without a command.
    Nothing,
}

/// Reads the words that this process was started with, its own name first.
#[must_use]
pub fn invocation(argv: &[Word], path: &OsStr, own: OwnProgram) -> Invocation {
    let Some((name, arguments)) = argv.split_first() else {
        return Invocation::Nothing;
    };
    let base = base_name(name);
    if !contains(base, b"distcc") {
        let words = std::iter::once(base.to_vec())
            .chain(arguments.iter().cloned())
            .collect();
        return masqueraded(name, words, path, own);
    }
    let mut words = match arguments.first() {
        None => return Invocation::Nothing,
        Some(first) if is_implicit(first) => std::iter::once(b"cc".to_vec())
            .chain(arguments.iter().cloned())
            .collect::<Vec<_>>(),
        Some(_) => arguments.to_vec(),
    };
    // A launcher (CMake's, ccache) that was told the compiler's path when a masquerade directory was in front.
    if words[0].contains(&b'/') && own.is(Path::new(OsStr::from_bytes(&words[0]))) {
        words[0] = base_name(&words[0]).to_vec();
    }
    let (path, trimmed) = behind_own_directories(&words[0], path.to_owned(), own);
    Invocation::Compiler {
        words,
        path,
        trimmed,
    }
}

/// Whether the first word after `distcc` cannot be a compiler, so that `cc` is meant.
#[must_use]
pub fn is_implicit(first: &[u8]) -> bool {
    first.starts_with(b"-") || is_source(first) || is_object(first)
}

fn masqueraded(called: &[u8], words: Vec<Word>, path: &OsStr, own: OwnProgram) -> Invocation {
    let called = Path::new(OsStr::from_bytes(called));
    let directory = called
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let rest = match directory {
        Some(directory) => path_search::behind(path, |entry| Path::new(entry) == directory),
        None => path_search::behind(path, |entry| {
            path_search::is_program(&Path::new(entry).join(called))
        }),
    };
    let (path, trimmed) = match rest {
        Some(rest) => (rest, true),
        None => (path.to_owned(), false),
    };
    let (path, again) = behind_own_directories(&words[0], path, own);
    Invocation::Compiler {
        words,
        path,
        trimmed: trimmed || again,
    }
}

/// Cuts `path` as long as the compiler found on it is distcc itself.
fn behind_own_directories(
    compiler: &[u8],
    mut path: OsString,
    own: OwnProgram,
) -> (OsString, bool) {
    if compiler.contains(&b'/') {
        return (path, false);
    }
    let compiler = OsStr::from_bytes(compiler);
    let mut trimmed = false;
    while let Some(found) = path_search::find(compiler, &path) {
        if !own.is(&found) {
            break;
        }
        let directory = found.parent().unwrap_or(Path::new("."));
        let Some(rest) = path_search::behind(&path, |entry| Path::new(entry) == directory) else {
            break;
        };
        path = rest;
        trimmed = true;
    }
    (path, trimmed)
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
