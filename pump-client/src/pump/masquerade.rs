//! The masquerade directory: links with compilers' names that lead to `distcc`. Owns no state; [`survey`] looks at the
//! directories of `PATH`, [`Survey::create`] makes the links.
//!
//! A name that leads to ccache already keeps doing so: ccache is told, by `CCACHE_PREFIX`, to run `distcc` on a miss, and by
//! `CCACHE_PATH`, to look for compilers where they were before (else it would take `distcc` for the compiler, and not
//! notice when the real one changes).

use super::programs::is_executable;
use protocol::command_line::{CompilerKind, compiler_kind};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

/// The compilers that `PATH` offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Names that are to lead to `distcc`.
    pub names: BTreeSet<OsString>,
    /// Names that lead to ccache and stay as they are.
    pub through_ccache: BTreeSet<OsString>,
    /// Real compilers, with their whole paths, in the order of `PATH`.
    pub compilers: Vec<PathBuf>,
    /// `PATH` without masquerade directories, of ours or of others, and without ccache's.
    pub real_path: Vec<PathBuf>,
    /// `PATH` without masquerade directories of other sessions of ours.
    pub outer_path: Vec<PathBuf>,
    /// ccache itself is there.
    pub has_ccache: bool,
}

/// What a file with a compiler's name really is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    Compiler,
    Distcc,
    Ccache,
}

/// Whether a program of this name is a compiler whose jobs can be distributed.
#[must_use]
pub fn is_compiler_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    match compiler_kind(bytes) {
        CompilerKind::Other | CompilerKind::Nvcc => false,
        // `c89` and `c99` are scripts that run `gcc`, which is found in its turn.
        CompilerKind::Cc => !bytes.ends_with(b"c89") && !bytes.ends_with(b"c99"),
        _ => true,
    }
}

/// Looks which compilers `PATH` offers. Directories that cannot be read offer none.
#[must_use]
pub fn survey(path: &OsStr) -> Survey {
    let mut survey = Survey::default();
    for directory in std::env::split_paths(path) {
        if is_session_masquerade(&directory) || is_lasting(&directory) {
            continue;
        }
        survey.outer_path.push(directory.clone());
        let wrappers = directory.is_absolute() && look_into(&directory, &mut survey);
        if !wrappers {
            survey.real_path.push(directory);
        }
    }
    survey
}

/// Notes the compilers of one directory. True when the directory holds wrappers rather than compilers.
fn look_into(directory: &Path, survey: &mut Survey) -> bool {
    let mut wrappers = false;
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names {
        let file = directory.join(&name);
        if name == "ccache" && is_executable(&file) {
            survey.has_ccache = true;
        }
        if !is_compiler_name(&name) || !is_executable(&file) {
            continue;
        }
        match nature(&file) {
            Nature::Compiler => survey.compilers.push(file),
            Nature::Distcc => wrappers = true,
            Nature::Ccache => {
                wrappers = true;
                survey.has_ccache = true;
                if !survey.names.contains(&name) {
                    survey.through_ccache.insert(name);
                }
                continue;
            }
        }
        if !survey.through_ccache.contains(&name) {
            survey.names.insert(name);
        }
    }
    wrappers
}

fn nature(file: &Path) -> Nature {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let is_called = |name: &str| real.file_name() == Some(OsStr::new(name));
    if is_called("ccache") {
        Nature::Ccache
    } else if is_called("distcc") || is_distcc_directory(file) {
        Nature::Distcc
    } else {
        Nature::Compiler
    }
}

/// `/usr/lib/distcc` and `/usr/lib/distcc/bin`, which may hold scripts instead of links.
fn is_distcc_directory(file: &Path) -> bool {
    let Some(directory) = file.parent() else {
        return false;
    };
    directory.ends_with("lib/distcc") || directory.ends_with("lib/distcc/bin")
}

/// The masquerade directory of a session, this one's outer one or one that is gone.
fn is_session_masquerade(directory: &Path) -> bool {
    let session = directory.parent().and_then(Path::file_name);
    directory.ends_with(DIRECTORY)
        && session.is_some_and(|name| {
            name.as_bytes()
                .starts_with(super::session::PREFIX.as_bytes())
        })
}

/// A directory of links that outlives sessions; see [`super::masquerade_place`].
#[must_use]
pub fn is_lasting(directory: &Path) -> bool {
    let is_digest = |name: &[u8]| name.len() == 16 && name.iter().all(u8::is_ascii_hexdigit);
    let name = directory.file_name();
    let family = directory.parent().and_then(Path::file_name);
    name.is_some_and(|name| is_digest(name.as_bytes()))
        && family.is_some_and(|family| family == DIRECTORY)
}

/// The directory's name inside a session's directory, and that of the one which holds those that outlive sessions.
pub const DIRECTORY: &str = "masquerade";

impl Survey {
    /// Makes the directory with its links, and one named `distcc` for `CC="distcc gcc"` and ccache.
    ///
    /// # Errors
    /// When the directory or a link cannot be made.
    pub fn create(&self, directory: &Path, distcc: &Path) -> io::Result<()> {
        // What stands in front of PATH is nobody else's to change, whatever the umask.
        DirBuilder::new().mode(0o755).create(directory)?;
        symlink(distcc, directory.join("distcc"))?;
        for name in &self.names {
            symlink(distcc, directory.join(name))?;
        }
        Ok(())
    }

    /// Whether the directory has these links and nothing else.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_in(&self, directory: &Path, distcc: &Path) -> io::Result<bool> {
        let mut links = 0;
        for entry in std::fs::read_dir(directory)? {
            let name = entry?.file_name();
            let wanted = name == "distcc" || self.names.contains(&name);
            if !wanted || std::fs::read_link(directory.join(&name))? != distcc {
                return Ok(false);
            }
            links += 1;
        }
        Ok(links == self.names.len() + 1)
    }

    /// The list of compilers for the private server: each path exactly, and each name as `PATH` finds it.
    #[must_use]
    pub fn compiler_list(&self) -> Vec<u8> {
        let names: BTreeSet<&OsStr> = self
            .compilers
            .iter()
            .filter_map(|path| path.file_name())
            .collect();
        let paths = self.compilers.iter().map(|path| path.as_os_str());
        let mut list = Vec::new();
        for line in names.into_iter().chain(paths) {
            // A name with a newline would be two entries.
            if !line.as_bytes().contains(&b'\n') {
                list.extend_from_slice(line.as_bytes());
                list.push(b'\n');
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a temporary directory"))
        }

        fn program(&self, name: &str) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::create_dir_all(path.parent().expect("not the root")).expect("a directory");
            std::fs::write(&path, "#!/bin/sh\n").expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                .expect("a mode");
            path
        }

        fn link(&self, target: &Path, name: &str) {
            let path = self.0.path().join(name);
            std::fs::create_dir_all(path.parent().expect("not the root")).expect("a directory");
            symlink(target, path).expect("a link");
        }

        fn survey(&self, directories: &[&str]) -> Survey {
            let paths = directories.iter().map(|name| self.0.path().join(name));
            survey(&std::env::join_paths(paths).expect("no colons"))
        }
    }

    fn names(set: &BTreeSet<OsString>) -> Vec<&str> {
        set.iter().filter_map(|name| name.to_str()).collect()
    }

    #[test]
    fn names_of_compilers() {
        for name in [
            "cc",
            "c++",
            "gcc",
            "g++-12",
            "x86_64-linux-gnu-gcc-12",
            "clang-19",
            "clang++",
            "c89-gcc",
        ] {
            assert!(is_compiler_name(OsStr::new(name)), "{name}");
        }
        for name in [
            "c89",
            "c99",
            "gcc-ar",
            "gcc-ranlib-12",
            "clang-format",
            "clang-cpp",
            "cpp",
            "ld",
            "gcov",
            "nvcc",
        ] {
            assert!(!is_compiler_name(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_executed_is_no_compiler() {
        let place = Place::new();
        let gcc = place.program("bin/gcc");
        std::fs::write(place.0.path().join("bin/clang"), "").expect("a file");
        std::fs::create_dir(place.0.path().join("bin/g++")).expect("a directory");
        place.link(Path::new("/nowhere"), "bin/cc");
        let survey = place.survey(&["bin", "gone"]);
        assert_eq!(names(&survey.names), ["gcc"]);
        assert_eq!(survey.compilers, [gcc]);
    }

    #[test]
    fn other_masquerades_are_seen_through() {
        let place = Place::new();
        let distcc = place.program("usr/bin/distcc");
        let gcc = place.program("usr/bin/gcc");
        place.link(&distcc, "usr/lib/masq/gcc");
        let script = place.program("usr/lib/distcc/g++");
        place.link(&distcc, "tmp/distcc-pump.abcdef/masquerade/clang");
        let survey = place.survey(&[
            "tmp/distcc-pump.abcdef/masquerade",
            "usr/lib/distcc",
            "usr/lib/masq",
            "usr/bin",
        ]);
        assert_eq!(names(&survey.names), ["g++", "gcc"]);
        assert_eq!(survey.compilers, [gcc]);
        assert_eq!(survey.real_path, [place.0.path().join("usr/bin")]);
        assert_eq!(survey.outer_path.len(), 3);
        assert!(script.exists());
    }

    #[test]
    fn ccache_in_front_stays_in_front() {
        let place = Place::new();
        let ccache = place.program("usr/bin/ccache");
        place.program("usr/bin/gcc");
        place.program("usr/bin/clang");
        place.link(&ccache, "usr/lib/ccache/gcc");
        let before = place.survey(&["usr/lib/ccache", "usr/bin"]);
        assert_eq!(names(&before.names), ["clang"]);
        assert_eq!(names(&before.through_ccache), ["gcc"]);
        assert!(before.has_ccache);
        assert_eq!(before.real_path, [place.0.path().join("usr/bin")]);
        let behind = place.survey(&["usr/bin", "usr/lib/ccache"]);
        assert_eq!(names(&behind.names), ["clang", "gcc"]);
        assert!(behind.through_ccache.is_empty());
    }

    #[test]
    fn links_and_the_list_of_compilers() {
        let place = Place::new();
        let distcc = place.program("usr/bin/distcc");
        place.program("a/gcc");
        place.program("b/gcc");
        let survey = place.survey(&["a", "b"]);
        let directory = place.0.path().join("m");
        survey.create(&directory, &distcc).expect("room for links");
        for name in ["gcc", "distcc"] {
            assert_eq!(
                std::fs::read_link(directory.join(name)).expect("a link"),
                distcc
            );
        }
        let root = place.0.path().display();
        let list = format!("gcc\n{root}/a/gcc\n{root}/b/gcc\n");
        assert_eq!(survey.compiler_list(), list.as_bytes());
    }
}
