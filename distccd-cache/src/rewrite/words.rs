//! The command line for a compiler that sees the client's files below a root. Owns no state.

use protocol::command_line::DependencyKind::{All, File, QuotedTarget, Target, User};
use protocol::command_line::{CommandLine, Meaning, Role, Span};

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
    let line = CommandLine::parse(&out);
    let own_maps: Vec<(usize, Vec<u8>)> = line
        .items()
        .iter()
        .filter(|item| item.role == Role::Option && item.carrier.is_none())
        .filter_map(|item| Some((item.text.word, moved_map(&out[item.text.word], root)?)))
        .collect();
    // Behind the last of them, as the last map that applies wins. The line's end may be behind a `--`, or the value of an option.
    if let Some(&(last, _)) = own_maps.last() {
        out.splice(last + 1..last + 1, own_maps.into_iter().map(|(_, map)| map));
    }
    out.splice(1..1, maps.iter().cloned());
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::tree::{JobLimits, Layout};

    fn below(line: &str) -> String {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.into()).collect();
        let tree = Tree::planned(PathBuf::from("/t/r"), Layout::BelowRoot, JobLimits::DEFAULT);
        let words = argv(
            &words,
            &tree,
            b"/t/r",
            &[b"-ffile-prefix-map=/t/r=".to_vec()],
        );
        String::from_utf8(words.join(&b" "[..])).expect("text")
    }

    /// They stood at the end: sources, where options end; an option's value; and before a client's map of every path that should win.
    #[test]
    fn the_maps_of_the_client_are_moved_where_they_are() {
        for (line, moved) in [
            (
                "clang -ffile-prefix-map=/h=. -c -o a.o -- /h/a.c",
                "clang -ffile-prefix-map=/t/r= -ffile-prefix-map=/h=. -ffile-prefix-map=/t/r/h=. -c -o a.o -- /t/r/h/a.c",
            ),
            (
                "gcc -fmacro-prefix-map=/h=. -fdebug-prefix-map=/v=V -c a.c -I",
                "gcc -ffile-prefix-map=/t/r= -fmacro-prefix-map=/h=. -fdebug-prefix-map=/v=V \
                 -fmacro-prefix-map=/t/r/h=. -fdebug-prefix-map=/t/r/v=V -c a.c -I",
            ),
            (
                "clang -c -- -ffile-prefix-map=/h=.c",
                "clang -ffile-prefix-map=/t/r= -c -- -ffile-prefix-map=/h=.c",
            ),
            (
                "gcc -c a.c -I -ffile-prefix-map=/h=.",
                "gcc -ffile-prefix-map=/t/r= -c a.c -I -ffile-prefix-map=/h=.",
            ),
            ("gcc -c a.c", "gcc -ffile-prefix-map=/t/r= -c a.c"),
        ] {
            assert_eq!(below(line), moved);
        }
    }
}
