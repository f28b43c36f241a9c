//! The command line for a compiler that sees the client's files below a root. Owns no state.

use protocol::command_line::DependencyKind::{All, File, QuotedTarget, Target, User};
use protocol::command_line::{CommandLine, Meaning, Span};

use crate::tree::{Tree, is_below};
use crate::view::skeleton::TOOLCHAIN_ROOTS;

/// The words with the client's absolute paths moved below the tree's root, and `maps` (options that keep the root out of
/// the object) right behind the compiler, so that the client's own maps, which follow, win where both apply.
pub(crate) fn argv(words: &[Vec<u8>], tree: &Tree, root: &[u8], maps: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let line = CommandLine::parse(words);
    let below_root = |path: &[u8]| [root, path].concat();
    let read = line.map_paths(|path| {
        // A sysroot, `-B` and the like may as well be the server's own.
        let real = tree.resolve(path).ok()?;
        let of_server = TOOLCHAIN_ROOTS
            .iter()
            .any(|dir| is_below(&real, dir.as_bytes()));
        (tree.has(&real) || tree.is_system(&real) || !of_server).then(|| below_root(path))
    });
    let line = CommandLine::parse(&read);
    let written = line.items().iter().filter_map(|item| match item.means() {
        Some(Meaning::Output | Meaning::Dependency(All | User | File | Target | QuotedTarget)) => {
            item.value
        }
        _ => None,
    });
    let mut places: Vec<Span> = written
        .filter(|span| line.bytes(*span).starts_with(b"/"))
        .collect();
    // From the end, so that the places before stay right.
    places.sort_by_key(|span| std::cmp::Reverse((span.word, span.start)));
    places.dedup();
    let mut out = read.clone();
    for place in places {
        out[place.word].splice(place.start..place.start, root.iter().copied());
    }
    let own_maps: Vec<Vec<u8>> = out
        .iter()
        .filter_map(|word| moved_map(word, root))
        .collect();
    out.splice(1..1, maps.iter().cloned());
    out.extend(own_maps);
    out
}

/// For a prefix map of the client's that starts from an absolute path: the same for that path below the root.
fn moved_map(word: &[u8], root: &[u8]) -> Option<Vec<u8>> {
    let options = [
        "-ffile-prefix-map=",
        "-fdebug-prefix-map=",
        "-fmacro-prefix-map=",
    ];
    let option = options
        .iter()
        .find(|option| word.starts_with(option.as_bytes()))?;
    let map = &word[option.len()..];
    map.starts_with(b"/")
        .then(|| [option.as_bytes(), root, map].concat())
}
