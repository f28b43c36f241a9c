//! A compiler name that means the same on another machine: `cc` becomes `gcc`, `gcc` becomes `x86_64-linux-gnu-gcc`,
//! and clang is told its target.
//!
//! As stock does it, with one difference: a name is only exchanged for another that is **the same program here**. Stock
//! takes any `x86_64-linux-gnu-gcc` on `PATH`, also when the user's `gcc` is a newer one in front of it, and so
//! compiles with another compiler than asked for. Names with a slash are left alone, and `DISTCC_NO_REWRITE_CROSS`
//! switches all of it off. Owns no state.

use crate::log;
use crate::path_search;
use protocol::command_line::{CompilerKind, Word, compiler_kind, strip_version_suffix};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many links a compiler's name may go through.
const LINKS: usize = 16;

/// The compiler's words as they go to a server, and which compiler they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portable {
    /// The words.
    pub words: Vec<Word>,
    /// What the compiler is, looking through links.
    pub kind: CompilerKind,
}

/// Makes a command line portable. `enabled` is false under `DISTCC_NO_REWRITE_CROSS`; the kind is found all the same.
#[must_use]
pub fn portable(words: &[Word], path: &OsStr, enabled: bool) -> Portable {
    let mut words = words.to_vec();
    let Some(name) = words.first().cloned() else {
        return Portable {
            words,
            kind: CompilerKind::Other,
        };
    };
    let mut kind = compiler_kind(&name);
    let program = path_search::resolve(&name, path);
    let generic = matches!(kind, CompilerKind::Cc | CompilerKind::Cxx);
    if generic && let Some(program) = &program {
        kind = kind_behind_links(program).unwrap_or(kind);
    }
    let Some(program) = program.filter(|_| enabled && !name.contains(&b'/')) else {
        return Portable { words, kind };
    };
    if generic && let Some(specific) = specific_name(kind) {
        exchange(&mut words[0], specific.to_vec(), &program, path);
    }
    if kind.is_clang() {
        if !names_target(&words) {
            words.splice(1..1, [b"-target".to_vec(), target_triple().into_bytes()]);
        }
    } else if starts_like_gcc(&words[0]) {
        let triple = target_triple();
        let bare = without_vendor(&triple);
        for triple in [triple, bare] {
            let full = [triple.as_bytes(), b"-", &words[0]].concat();
            if exchange(&mut words[0], full, &program, path) {
                break;
            }
        }
    }
    Portable { words, kind }
}

/// Whether the name starts as stock wants it for the long form: `gcc`, `gcc-12`, `g++`.
fn starts_like_gcc(name: &[u8]) -> bool {
    matches!(strip_version_suffix(name), b"gcc" | b"g++")
}

/// The bare name of a specific compiler.
const fn specific_name(kind: CompilerKind) -> Option<&'static [u8]> {
    match kind {
        CompilerKind::Gcc => Some(b"gcc"),
        CompilerKind::Gxx => Some(b"g++"),
        CompilerKind::Clang => Some(b"clang"),
        CompilerKind::Clangxx => Some(b"clang++"),
        _ => None,
    }
}

/// Takes the other name if it is the same program.
fn exchange(name: &mut Word, other: Word, program: &Path, path: &OsStr) -> bool {
    let same = path_search::find(OsStr::from_bytes(&other), path)
        .is_some_and(|found| path_search::same_file(&found, program));
    if same {
        log::debug!(
            "Re-writing call to '{}' to '{}' to support cross-compilation.",
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(&other)
        );
        *name = other;
    }
    same
}

/// Follows the links of `cc` (`/etc/alternatives`) to the first name that says which compiler it is.
fn kind_behind_links(program: &Path) -> Option<CompilerKind> {
    let mut at = program.to_path_buf();
    for _ in 0..LINKS {
        let target: PathBuf = std::fs::read_link(&at).ok()?;
        let name = target.file_name()?.as_bytes().to_vec();
        let kind = compiler_kind(&name);
        if specific_name(kind).is_some() {
            return Some(kind);
        }
        at = at.parent().unwrap_or(Path::new("/")).join(target);
    }
    None
}

fn names_target(words: &[Word]) -> bool {
    words
        .iter()
        .any(|word| word == b"-target" || word == b"--target" || word.starts_with(b"--target="))
}

/// The machine's triple, as configure scripts guess it.
fn target_triple() -> String {
    let architecture = std::env::consts::ARCH;
    let vendor = if matches!(architecture, "x86_64" | "x86") {
        "pc"
    } else {
        "unknown"
    };
    format!(
        "{}-{vendor}-linux-{}",
        machine(architecture),
        libc_name(architecture)
    )
}

/// `x86_64-linux-gnu` of `x86_64-pc-linux-gnu`: how Debian names its compilers.
fn without_vendor(triple: &str) -> String {
    let parts: Vec<&str> = triple.splitn(3, '-').collect();
    match parts[..] {
        [machine, _, rest] => format!("{machine}-{rest}"),
        _ => triple.to_owned(),
    }
}

fn machine(architecture: &str) -> &str {
    match architecture {
        "x86" => "i686",
        "powerpc64" => "powerpc64le",
        other => other,
    }
}

/// The C library of the system, not of this program, which may be linked statically.
fn libc_name(architecture: &str) -> &'static str {
    let musl = Path::new("/lib").join(format!("ld-musl-{architecture}.so.1"));
    let glibc = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
        .iter()
        .any(|loader| Path::new(loader).exists());
    match (musl.exists() && !glibc, architecture) {
        (true, _) => "musl",
        (false, "arm") => "gnueabihf",
        (false, _) => "gnu",
    }
}

/// The triple that `--version` shows: that of this build of distcc.
#[must_use]
pub fn version_triple() -> String {
    target_triple()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        text.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }

    /// A directory with programs: `NAME` is a file, `NAME>TARGET` a link.
    fn programs(names: &[&str]) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            if let Some((link, target)) = name.split_once('>') {
                std::os::unix::fs::symlink(target, directory.path().join(link)).unwrap();
            } else {
                let path = directory.path().join(name);
                std::fs::write(&path, *name).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        directory
    }

    fn check(programs_here: &[&str], command: &str, expected: &str) {
        let directory = programs(programs_here);
        let result = portable(&words(command), directory.path().as_os_str(), true);
        let triple = target_triple();
        let bare = without_vendor(&target_triple());
        let expected = expected.replace("VENDOR", &triple).replace("TRIPLE", &bare);
        assert_eq!(
            result.words,
            words(&expected),
            "{programs_here:?} {command}: {:?}",
            String::from_utf8_lossy(&result.words[0])
        );
    }

    #[test]
    fn names_are_exchanged_for_the_same_program_only() {
        let long = format!("{}-gcc", without_vendor(&target_triple()));
        let link = format!("{long}>gcc");
        check(&["gcc", &link], "gcc -c a.c", "TRIPLE-gcc -c a.c");
        check(&["gcc", &long], "gcc -c a.c", "gcc -c a.c");
        check(&["gcc"], "gcc -c a.c", "gcc -c a.c");
        check(
            &["gcc", &link],
            "/usr/bin/gcc -c a.c",
            "/usr/bin/gcc -c a.c",
        );
        check(&["gcc", "cc>gcc", &link], "cc -c a.c", "TRIPLE-gcc -c a.c");
        check(&["gcc", "cc"], "cc -c a.c", "cc -c a.c");
        check(
            &["clang", "cc>clang"],
            "cc -c a.c",
            "clang -target VENDOR -c a.c",
        );
        check(
            &["clang"],
            "clang --target=x -c a.c",
            "clang --target=x -c a.c",
        );
        check(&["clang"], "clang -c a.c", "clang -target VENDOR -c a.c");
    }

    #[test]
    fn switched_off_only_the_kind_is_found() {
        let directory = programs(&["g++", "c++>g++"]);
        let result = portable(&words("c++ -c a.cc"), directory.path().as_os_str(), false);
        assert_eq!(result.words, words("c++ -c a.cc"));
        assert_eq!(result.kind, CompilerKind::Gxx);
    }
}
