//! Compilers' answers that outlive a session: used while all that they rest on is as it was, and never otherwise.
//!
//! Each [`Tree::scan`] is a session of its own. Whether an answer came from disk is seen by marking what lies there.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use include_server::answer::Answerer;
use include_server::compiler::Kept;
use include_server::facts::Freshness;
use protocol::include_dialogue::Query;

/// A place for compilers' answers, and a compiler of the tests' own: a copy of gcc, which finds what belongs to it
/// beside itself.
struct Tree {
    /// Removed at the end.
    _directory: tempfile::TempDir,
    root: PathBuf,
}

/// A macro that gcc has, and another of the same length that it has not.
const MACRO: &[u8] = b"#define __unix__ 1";
const MARK: &[u8] = b"#define __disk__ 1";

impl Tree {
    /// `None` where the system does not tell what a compiler looks at: then nothing is kept.
    fn new() -> Option<Tree> {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let tree = Tree {
            _directory: directory,
            root,
        };
        let cc1 = Command::new("/usr/bin/gcc")
            .arg("-print-prog-name=cc1")
            .output()
            .unwrap();
        let cc1 = String::from_utf8(cc1.stdout).unwrap();
        let cc1 = Path::new(cc1.trim()).canonicalize().unwrap();
        let own = cc1.parent().unwrap();
        let version = own.strip_prefix("/usr").unwrap();
        let copied = tree.root.join("gcc").join(version);
        std::fs::create_dir_all(&copied).unwrap();
        std::fs::create_dir_all(tree.root.join("gcc/bin")).unwrap();
        for name in ["include", "liblto_plugin.so"] {
            symlink(own.join(name), copied.join(name)).unwrap();
        }
        // Made now: a directory around the compiler that has just changed vouches for nothing.
        Kept::open(&tree.cache()).unwrap();
        std::fs::copy(&cc1, copied.join("cc1")).unwrap();
        tree.copy_driver();
        tree.write(
            "a.c",
            "#ifdef __disk__\n#include \"disk.h\"\n#endif\n#ifdef NEWER\n#include \"newer.h\"\n#endif\n\
             #if __has_attribute(noreturn) && !__has_attribute(none_of_these)\n#include \"has.h\"\n#endif\n",
        );
        for header in ["disk.h", "newer.h", "has.h"] {
            tree.write(header, "");
        }
        // What has just changed vouches for nothing.
        settle();
        assert_eq!(tree.scan(), ["a.c", "has.h"]);
        if tree.files().is_empty() {
            eprintln!("nothing can be kept here: nothing is tested");
            return None;
        }
        Some(tree)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.root.join(name), text).unwrap();
    }

    /// Where the copy looks for files of its own.
    fn own(&self) -> PathBuf {
        let mut found = vec![self.root.join("gcc")];
        while let Some(directory) = found.pop() {
            if directory.join("cc1").exists() {
                return directory;
            }
            let entries = std::fs::read_dir(&directory).unwrap();
            let entries = entries.map(|entry| entry.unwrap().path());
            found.extend(entries.filter(|path| path.is_dir() && !path.is_symlink()));
        }
        panic!("no cc1");
    }

    fn compiler(&self) -> PathBuf {
        self.root.join("gcc/bin/gcc")
    }

    /// Puts the driver there as an upgrade does.
    fn copy_driver(&self) {
        let aside = self.compiler().with_extension("new");
        std::fs::copy("/usr/bin/gcc", &aside).unwrap();
        std::fs::rename(aside, self.compiler()).unwrap();
    }

    fn cache(&self) -> PathBuf {
        self.root.join("cache/compilers")
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.cache()).into_iter().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// A session; the names of the files that it finds.
    fn scan(&self) -> Vec<String> {
        self.scan_with(&self.compiler(), "", "/usr/bin:/bin")
    }

    fn scan_with(&self, compiler: &Path, options: &str, path: &str) -> Vec<String> {
        let kept = Kept::open(&self.cache()).ok().map(Arc::new);
        let answerer = Answerer::with_kept(Vec::new(), Freshness::Auto, None, kept).unwrap();
        let words = ["-c", "a.c"].into_iter().chain(options.split_whitespace());
        let words = words.map(|word| word.as_bytes().to_vec());
        let program = compiler.as_os_str().as_bytes().to_vec();
        let query = Query {
            cwd: self.root.as_os_str().as_bytes().to_vec(),
            environment: Some(vec![[b"PATH=", path.as_bytes()].concat()]),
            argv: std::iter::once(program).chain(words).collect(),
        };
        let answer = answerer.answer(&query).unwrap();
        let files = answer.closure.files.iter().map(|file| file.name.as_path());
        let own = files.filter(|name| name.is_relative());
        let mut names: Vec<String> = own.map(|name| name.display().to_string()).collect();
        names.sort();
        names
    }

    /// Makes what lies on disk different from what the compiler would say, as nothing but this test does.
    fn mark(&self) {
        for file in self.files() {
            let mut bytes = std::fs::read(&file).unwrap();
            let Some(at) = memchr::memmem::find(&bytes, MACRO) else {
                assert!(memchr::memmem::find(&bytes, MARK).is_some());
                continue;
            };
            bytes[at..at + MARK.len()].copy_from_slice(MARK);
            // The digest stands after the first line.
            let body = memchr::memchr(b'\n', &bytes).unwrap() + 1 + 32;
            let digest = blake3::hash(&bytes[body..]);
            bytes[body - 32..body].copy_from_slice(digest.as_bytes());
            std::fs::write(&file, bytes).unwrap();
        }
        assert_eq!(self.scan(), FROM_DISK);
    }

    /// Asserts that the compiler is asked, and that its answer is kept in place of what was there.
    fn is_asked(&self, what: &str) {
        assert_eq!(self.scan(), ["a.c", "has.h"], "{what}");
        settle();
        // What had changed just before is kept now at last.
        self.scan();
        self.mark();
    }
}

const FROM_DISK: [&str; 3] = ["a.c", "disk.h", "has.h"];

/// Waits until what is there now is older than the clock's own step.
fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(50));
}

#[test]
fn the_next_session_takes_the_answer() {
    let Some(tree) = Tree::new() else { return };
    assert_eq!(tree.files().len(), 1);
    tree.mark();
    assert_eq!(tree.scan(), FROM_DISK);
    // Each session has a PATH of its own.
    let path = format!("{}/session:/usr/bin", tree.root.display());
    assert_eq!(tree.scan_with(&tree.compiler(), "", &path), FROM_DISK);
    assert_eq!(tree.files().len(), 1);
    // Another option set is another question.
    let asked = tree.scan_with(&tree.compiler(), "-std=c99", "/usr/bin");
    assert_eq!(asked, ["a.c", "has.h"]);
    assert_eq!(tree.files().len(), 2);
    // A new question is put to the compiler, and its answer added to what is known.
    tree.write("a.c", "#ifdef __disk__\n#if !__has_attribute(nor_of_these)\n#include \"disk.h\"\n#endif\n#endif\n");
    assert_eq!(tree.scan(), ["a.c", "disk.h"]);
    let texts = tree
        .files()
        .into_iter()
        .map(|file| std::fs::read(file).unwrap());
    let knowing = texts.filter(|text| {
        ["none_of_these", "nor_of_these"]
            .iter()
            .all(|name| memchr::memmem::find(text, name.as_bytes()).is_some())
    });
    assert_eq!(knowing.count(), 1);
}

#[test]
fn a_compiler_that_changes_is_asked_again() {
    let Some(tree) = Tree::new() else { return };
    tree.mark();
    tree.copy_driver();
    tree.is_asked("another driver");
    let cc1 = tree.own().join("cc1");
    let aside = cc1.with_extension("new");
    std::fs::copy(&cc1, &aside).unwrap();
    std::fs::rename(&aside, &cc1).unwrap();
    tree.is_asked("another compiler proper");
    // The same bytes, the same inode, the same time of modification.
    let times = std::fs::metadata(&cc1).unwrap().modified().unwrap();
    std::fs::set_permissions(&cc1, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::set_permissions(&cc1, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(std::fs::metadata(&cc1).unwrap().modified().unwrap(), times);
    tree.is_asked("a changed inode");
    let include = tree.own().join("include");
    let target = std::fs::read_link(&include).unwrap();
    std::fs::remove_file(&include).unwrap();
    tree.is_asked("a directory of its own is gone");
    symlink(target, &include).unwrap();
    tree.is_asked("a directory of its own appeared");
}

#[test]
fn a_change_of_the_compilers_defaults_is_seen() {
    let Some(tree) = Tree::new() else { return };
    tree.mark();
    let specs = tree.own().join("specs");
    std::fs::write(&specs, "*cpp:\n+ -DNEWER\n\n").unwrap();
    assert_eq!(tree.scan(), ["a.c", "has.h", "newer.h"]);
    settle();
    assert_eq!(tree.scan(), ["a.c", "has.h", "newer.h"]);
    assert_eq!(tree.scan(), ["a.c", "has.h", "newer.h"]);
    std::fs::write(&specs, "*cpp:\n+ -DOLDER\n\n").unwrap();
    assert_eq!(tree.scan(), ["a.c", "has.h"]);
    std::fs::remove_file(&specs).unwrap();
    tree.is_asked("no specs any more");
    // By a link on the way, while each file stays what it is.
    symlink("gcc", tree.root.join("current")).unwrap();
    let linked = tree.root.join("current/bin/gcc");
    let scan = || tree.scan_with(&linked, "", "/usr/bin");
    settle();
    scan();
    assert_eq!(tree.files().len(), 2);
    tree.mark();
    assert_eq!(scan(), FROM_DISK);
    std::fs::rename(tree.root.join("gcc"), tree.root.join("moved")).unwrap();
    std::fs::remove_file(tree.root.join("current")).unwrap();
    symlink("moved", tree.root.join("current")).unwrap();
    assert_eq!(scan(), ["a.c", "has.h"]);
}

#[test]
fn files_that_are_not_as_they_should_be_are_replaced() {
    let Some(tree) = Tree::new() else { return };
    let file = tree.files().remove(0);
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    let at = memchr::memmem::find(&damaged, MACRO).unwrap();
    damaged[at..at + MARK.len()].copy_from_slice(MARK);
    let mut older = whole.clone();
    older[MACRO.len()] ^= 1;
    let half = &whole[..whole.len() / 2];
    for (what, bytes) in [
        ("damaged", &damaged[..]),
        ("of another version", &older),
        ("cut off", half),
        ("empty", b""),
    ] {
        std::fs::write(&file, bytes).unwrap();
        tree.is_asked(what);
    }
    for mode in [0o620, 0o602] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        tree.is_asked("others may write to it");
    }
}

#[test]
fn a_directory_that_cannot_be_used_changes_nothing() {
    let Some(tree) = Tree::new() else { return };
    let permit = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(tree.cache(), permissions).unwrap();
    };
    tree.mark();
    permit(0o777);
    assert_eq!(tree.scan(), ["a.c", "has.h"]);
    permit(0o700);
    assert_eq!(tree.scan(), FROM_DISK);
    std::fs::remove_dir_all(tree.cache()).unwrap();
    std::fs::write(tree.cache(), "a file").unwrap();
    assert_eq!(tree.scan(), ["a.c", "has.h"]);
    // No place for it at all.
    std::fs::remove_file(tree.cache()).unwrap();
    std::fs::remove_dir(tree.cache().parent().unwrap()).unwrap();
    std::fs::write(tree.cache().parent().unwrap(), "a file").unwrap();
    assert_eq!(tree.scan(), ["a.c", "has.h"]);
}

#[test]
fn scripts_are_asked_in_each_session() {
    let Some(tree) = Tree::new() else { return };
    let before = tree.files();
    let script = tree.root.join("gcc-script");
    tree.write("gcc-script", "#!/bin/sh\nexec /usr/bin/gcc \"$@\"\n");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    settle();
    assert_eq!(tree.scan_with(&script, "", "/usr/bin"), ["a.c", "has.h"]);
    assert_eq!(tree.files(), before);
    let native = tree.scan_with(&tree.compiler(), "-march=native", "/usr/bin");
    assert_eq!(native, ["a.c", "has.h"]);
    assert_eq!(tree.files(), before);
}

#[test]
fn many_sessions_at_once_leave_whole_files() {
    let Some(tree) = Tree::new() else { return };
    let standards = ["-std=c99", "-std=c11", "-std=c17", "-std=gnu99"];
    for _ in 0..3 {
        for file in tree.files() {
            std::fs::remove_file(file).unwrap();
        }
        std::thread::scope(|scope| {
            for _ in 0..3 {
                for standard in standards {
                    let tree = &tree;
                    scope.spawn(move || {
                        let names = tree.scan_with(&tree.compiler(), standard, "/usr/bin");
                        assert_eq!(names, ["a.c", "has.h"]);
                    });
                }
            }
        });
        let files: HashSet<PathBuf> = tree.files().into_iter().collect();
        assert_eq!(files.len(), standards.len());
    }
    // What many wrote at once can be read by all.
    tree.scan();
    tree.mark();
    for standard in standards {
        let names = tree.scan_with(&tree.compiler(), standard, "/usr/bin");
        assert_eq!(names, FROM_DISK);
    }
}

/// One change of the compiler or of what it finds; some leave all as it was.
fn change(tree: &Tree, own: &Path, number: u64) {
    let specs = own.join("specs");
    let include = own.join("include");
    match number % 9 {
        0 => tree.copy_driver(),
        1 | 2 => {
            let name = ["NEWER", "OLDER", "EQUAL"][(number / 9 % 3) as usize];
            std::fs::write(specs, format!("*cpp:\n+ -D{name}\n\n")).unwrap();
        }
        3 => drop(std::fs::remove_file(specs)),
        4 => match std::fs::read_link(&include) {
            Ok(target) => {
                let aside = include.with_extension("aside");
                symlink(target, &aside).unwrap();
                std::fs::remove_file(&include).unwrap();
            }
            Err(_) => std::fs::rename(include.with_extension("aside"), include).unwrap(),
        },
        5 => {
            // Away and back.
            let (there, away) = (tree.root.join("gcc"), tree.root.join("away"));
            std::fs::rename(&there, &away).unwrap();
            std::fs::rename(&away, &there).unwrap();
        }
        6 => {
            let above = own.parent().unwrap().join("specs");
            match above.exists() {
                true => std::fs::remove_file(above).unwrap(),
                false => std::fs::write(above, "*cpp:\n+ -DNEWER\n\n").unwrap(),
            }
        }
        7 => {
            for file in tree.files() {
                let bytes = std::fs::read(&file).unwrap();
                let half = number as usize % bytes.len();
                std::fs::write(file, &bytes[..half]).unwrap();
            }
        }
        _ => settle(),
    }
}

#[test]
fn after_any_change_a_session_says_what_the_compiler_says() {
    let Some(tree) = Tree::new() else { return };
    let own = tree.own();
    tree.write(
        "a.c",
        "#ifdef NEWER\n#include \"newer.h\"\n#endif\n#if __has_include(<stddef.h>)\n#include \"has.h\"\n#endif\n",
    );
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for step in 0..60 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        change(&tree, &own, state >> 8);
        let told = Command::new(tree.compiler())
            .args(["-MM", "a.c"])
            .current_dir(&tree.root)
            .output()
            .unwrap();
        assert!(told.status.success(), "{told:?}");
        let told = String::from_utf8(told.stdout).unwrap();
        let mut expected: Vec<&str> = told.split_whitespace().skip(1).collect();
        expected.sort_unstable();
        // The first may learn it, the second find it on disk.
        for session in 0..2 {
            assert_eq!(tree.scan(), expected, "step {step}, session {session}");
        }
    }
}
