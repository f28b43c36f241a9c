//! The tree that is mutated, and the compiles that are asked about.
//!
//! `BASE/tree` is the working directory of most compiles; `BASE/outside` is where files are reached by ways that no
//! include search goes; `BASE/w` and `BASE/w2` change places; `BASE/tool` holds compilers of the tree's own.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use protocol::command_line::{ResponseLimits, expand_response_files};
use protocol::include_dialogue::Query;

use super::dice::Dice;
use super::text::{Author, LAYERS, OPTIONAL};

/// Directories with headers, relative to `BASE`; the search paths name them in this order, or near it.
pub const DIRECTORIES: [&str; 18] = [
    "tree/early",
    "tree/q",
    "tree/inc",
    "tree/inc/sub",
    "tree/alt",
    "tree/alt/sub",
    "tree/gen",
    "tree/sysd",
    "tree/mnt",
    "tree/late",
    "tree/base",
    "tree/base/sub",
    "tree/m1/x",
    "tree/m2/x",
    "tree/src",
    "outside/ext",
    "w/c",
    "w2/c",
];

/// Links to directories, relative to `BASE`, each with the targets that it may have.
pub const LINKS: [(&str, [&str; 3]); 6] = [
    ("tree/inc/lnk", ["sub", "../alt", "../alt/sub"]),
    ("tree/base/lnk", ["sub", "../inc/sub", "../gen"]),
    ("tree/inc/mid", ["../m1", "../m2", "nowhere"]),
    (
        "tree/inc/ext",
        ["../../outside/ext", "../../outside/ext2", "../gen"],
    ),
    // Absolute; the root is put in front.
    ("tree/inc/abs", ["/tree/alt", "/outside/ext", "/tree/gen"]),
    ("tree/sr/usr", ["usr-a", "usr-b", "usr-a"]),
];

/// Sources that are compiled as one of the others is.
const LIKE: [(usize, &str); 9] = [
    (0, "t10.c"),
    (0, "t20.c"),
    (1, "t11.c"),
    (2, "src/t12.c"),
    (3, "t13.cc"),
    (3, "t23.cc"),
    (7, "t17.c"),
    (9, "t19.c"),
    (9, "t29.c"),
];

/// A compile: its directory relative to `BASE`, and its words.
pub struct Unit {
    /// Where it is started.
    pub cwd: PathBuf,
    words: Vec<String>,
}

impl Unit {
    /// Program and arguments, response files not expanded.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Its source.
    pub fn source(&self) -> PathBuf {
        self.cwd.join(self.words.last().expect("a source"))
    }

    /// Whether both have the same options, so that they share what headers come to.
    pub fn is_like(&self, other: &Unit) -> bool {
        let options = |unit: &Unit| unit.words.split_last().map(|(_, rest)| rest.to_vec());
        self.cwd == other.cwd && options(self) == options(other)
    }

    /// What a client would ask.
    pub fn query(&self) -> Query {
        let words: Vec<Vec<u8>> = self
            .words
            .iter()
            .map(|word| word.clone().into_bytes())
            .collect();
        let read = |name: &[u8]| {
            fs::read(self.cwd.join(Path::new(std::ffi::OsStr::from_bytes(name)))).ok()
        };
        let words = expand_response_files(&words, ResponseLimits::default(), read).unwrap_or(words);
        Query {
            cwd: self.cwd.as_os_str().as_bytes().to_vec(),
            environment: Some(vec![b"PATH=/usr/bin:/bin".to_vec()]),
            argv: words,
        }
    }
}

/// The tree on disk.
pub struct Tree {
    directory: Option<tempfile::TempDir>,
    base: PathBuf,
    /// The compiles.
    pub units: Vec<Unit>,
}

/// The layer that a header's name belongs to.
pub fn layer(path: &Path) -> usize {
    let name = path.file_name().unwrap_or_default().as_bytes();
    match name {
        [b'h', digit, ..] if digit.is_ascii_digit() => usize::from(digit - b'0').min(LAYERS - 1),
        _ => LAYERS - 1,
    }
}

/// Whether a path is one of the sources.
pub fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.first() == Some(&b't') && path.extension().is_some_and(|suffix| suffix != "h")
}

impl Tree {
    /// Plants a tree in a new directory that `prepare` is shown first.
    pub fn plant(
        dice: &mut Dice,
        prepare: impl FnOnce(&Path),
        author: impl FnOnce(String) -> Author,
    ) -> (Self, Author) {
        let directory = tempfile::Builder::new()
            .prefix("torture.")
            .tempdir()
            .expect("a temporary directory");
        prepare(directory.path());
        let base = directory.path().canonicalize().expect("a real path");
        let mut author = author(base.join("tree").display().to_string());
        let units = units(&base);
        let tree = Self {
            directory: Some(directory),
            base,
            units,
        };
        for name in DIRECTORIES {
            if name != "tree/late" && name != "tree/early" {
                fs::create_dir_all(tree.path(name)).expect("a directory");
            }
        }
        for name in [
            "outside/ext2",
            "outside/last",
            "tree/sr/usr-a/include",
            "tree/sr/usr-b",
        ] {
            fs::create_dir_all(tree.path(name)).expect("a directory");
        }
        for (link, targets) in LINKS {
            symlink(tree.link_target(targets[0]), tree.path(link)).expect("a link");
        }
        tree.mend(dice, &mut author);
        tree.scatter(dice, &mut author);
        tree.tools();
        (tree, author)
    }

    /// The directory of everything.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// A path below `BASE`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// What a link is to hold.
    pub fn link_target(&self, target: &str) -> PathBuf {
        match target.strip_prefix('/') {
            Some(rest) => self.base.join(rest),
            None => PathBuf::from(target),
        }
    }

    /// Leaves the tree on disk for a person to look at.
    pub fn keep(&mut self) {
        if let Some(directory) = self.directory.take() {
            let _ = directory.keep();
        }
    }

    /// Makes what every compile needs, where it is missing. Returns how many things it made.
    pub fn mend(&self, dice: &mut Dice, author: &mut Author) -> usize {
        let mut made = 0;
        for name in ["tree/base", "tree/base/sub", "tree/src", "w/c", "w2/c"] {
            let path = self.path(name);
            if !path.is_dir() {
                let _ = fs::remove_file(&path);
                made += usize::from(fs::create_dir_all(&path).is_ok());
            }
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o755));
        }
        let mut file = |path: PathBuf, text: &mut dyn FnMut(&mut Dice, &mut Author) -> Vec<u8>| {
            let readable = fs::metadata(&path)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o400 != 0);
            if !readable {
                let _ = fs::remove_dir_all(&path);
                let _ = fs::remove_file(&path);
                made += usize::from(fs::write(&path, text(dice, author)).is_ok());
            }
        };
        for number in 0..LAYERS {
            file(
                self.path(&format!("tree/base/h{number}.h")),
                &mut |dice, author| author.header(dice, number, None),
            );
            if number >= 4 {
                file(
                    self.path(&format!("tree/base/sub/h{number}.h")),
                    &mut |dice, author| author.header(dice, number, None),
                );
            }
        }
        for unit in &self.units {
            file(unit.source(), &mut |dice, author| author.source(dice, None));
        }
        file(self.path("w2/c/t8.c"), &mut |dice, author| {
            author.source(dice, None)
        });
        for name in ["tree/pre.h", "tree/mac.h", "outside/last/last.h"] {
            file(self.path(name), &mut |dice, author| {
                author.macros(dice, None)
            });
        }
        made
    }

    /// Headers here and there.
    fn scatter(&self, dice: &mut Dice, author: &mut Author) {
        for name in DIRECTORIES {
            for _ in 0..3 {
                let header = header_name(dice);
                let path = self.path(name).join(header);
                if path.parent().is_some_and(Path::is_dir) {
                    let text = author.header(dice, layer(&path), None);
                    fs::write(&path, text).expect("a header");
                }
            }
        }
    }

    /// A compiler behind a script, a copied one, and a response file.
    fn tools(&self) {
        fs::create_dir_all(self.path("tool/bin")).expect("a directory");
        fs::create_dir_all(self.path("tool/rel/bin")).expect("a directory");
        // The copied driver finds the rest of the compiler beside itself.
        let own = self.path("tool/rel/lib/gcc/x86_64-linux-gnu/12");
        fs::create_dir_all(&own).expect("a directory");
        let parts = fs::read_dir("/usr/lib/gcc/x86_64-linux-gnu/12").expect("gcc 12");
        for part in parts.flatten() {
            symlink(part.path(), own.join(part.file_name())).expect("a link");
        }
        write_program(&self.path("tool/bin/gcc"), &wrapper("-DV0=1"));
        fs::copy("/usr/bin/gcc", self.path("tool/rel/bin/gcc")).expect("a copy of gcc");
        fs::write(self.path("tree/opts.rsp"), "-Igen -DV2=1\n").expect("a response file");
    }
}

/// The name of some header.
pub fn header_name(dice: &mut Dice) -> String {
    match dice.chance(25) {
        true => format!("o{}.h", dice.below(OPTIONAL)),
        false => format!("h{}.h", dice.below(LAYERS)),
    }
}

/// A script that is a compiler with some options more.
pub fn wrapper(options: &str) -> String {
    format!("#!/bin/sh\nexec /usr/bin/gcc {options} \"$@\"\n")
}

/// Writes a program aside and renames it, as an upgrade does: nobody executes a file that is being written.
pub fn write_program(path: &Path, text: &str) {
    let aside = path.with_extension("new");
    fs::write(&aside, text).expect("a program");
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).expect("its permissions");
    fs::rename(&aside, path).expect("its name");
}

/// All compiles of a tree at `base`.
fn units(base: &Path) -> Vec<Unit> {
    let shown = base.display();
    let unit = |cwd: &str, command: String| Unit {
        cwd: base.join(cwd),
        words: command.split_whitespace().map(str::to_owned).collect(),
    };
    let gcc = "gcc -nostdinc";
    // gcc fails where `#include_next` has no directory left to search.
    let last = format!("-idirafter {shown}/outside/last");
    let mut units = vec![
        unit(
            "tree",
            format!("{gcc} -Iearly -Iinc -Ialt -Ilate -idirafter base {last} -c t0.c"),
        ),
        unit(
            "tree",
            format!("{gcc} @opts.rsp -Iinc -Imnt -isystem sysd -Ibase {last} -c t1.c"),
        ),
        unit(
            "tree",
            format!(
                "{gcc} -include pre.h -imacros mac.h -iquote q -Ialt -Iinc -Ilate -Ibase {last} -c src/t2.c"
            ),
        ),
        unit(
            "tree",
            format!(
                "g++ -nostdinc -nostdinc++ -I{shown}/tree/inc -Iinc/lnk -Ibase {last} -c t3.cc"
            ),
        ),
        unit(
            "tree",
            format!(
                "{shown}/tool/bin/gcc -nostdinc -Iearly -Igen -Iinc -isystem base {last} -c t4.c"
            ),
        ),
        unit(
            "tree",
            format!("{shown}/tool/rel/bin/gcc -nostdinc -Imnt -Iearly -Iinc -Ibase {last} -c t5.c"),
        ),
        unit(
            "tree",
            format!("{gcc} -Dasm(x)= -Iinc/lnk/.. -Igen -Ibase {last} -c t6.S"),
        ),
        unit(
            "tree",
            format!("gcc --sysroot={shown}/tree/sr -Igen -Iinc -idirafter base {last} -c t7.c"),
        ),
        unit(
            "w/c",
            format!(
                "{gcc} -I. -I../../tree/inc -I../../tree/early -I../../tree/base {last} -c t8.c"
            ),
        ),
        unit(
            "tree/src",
            format!("{gcc} -I../inc/mid/x -I../late -I../alt -I../base {last} -c t9.c"),
        ),
    ];
    // Further sources with the options of some of them.
    for (number, source) in LIKE {
        let like: &Unit = &units[number];
        let mut words = like.words.clone();
        words.pop();
        words.push(source.into());
        let cwd = like.cwd.clone();
        units.push(Unit { cwd, words });
    }
    units
}
