//! What servers are given, for small trees made here.

use std::os::unix::fs::symlink;

use protocol::limits::Limits;
use protocol::tree::{EntryContent, TreeEntry, decode_entries};

use super::*;
use crate::chain::{Hit, Origin};
use crate::facts::End;
use crate::file_table::FileTable;

struct Tree {
    directory: tempfile::TempDir,
    system: Vec<PathBuf>,
}

impl Tree {
    /// Directories end with a slash; `link -> target` makes a link; the rest are files that hold their own name.
    fn new(entries: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tree = Self {
            directory,
            system: Vec::new(),
        };
        for entry in entries {
            let (name, target) = entry.split_once(" -> ").unwrap_or((entry, ""));
            let path = tree.root().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if !target.is_empty() {
                let target = target.replace("ROOT", tree.root().to_str().unwrap());
                symlink(target, path).unwrap();
            } else if name.ends_with('/') {
                std::fs::create_dir_all(path).unwrap();
            } else {
                std::fs::write(path, name).unwrap();
            }
        }
        tree
    }

    fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap()
    }

    fn system(mut self, directory: &str) -> Self {
        self.system.push(self.root().join(directory));
        self
    }

    /// Lays out files named as the compiler names them (`ROOT` is the tree's), seen from the directory `cwd`; the text of a
    /// `(silent)` one is not read.
    fn lay_out(&self, cwd: &str, names: &[&str]) -> Result<Vec<String>, String> {
        let cwd = self.root().join(cwd);
        let table = FileTable::new();
        let mut session = table.facts().session();
        let way = session.passage(NodeId::ROOT, cwd.as_os_str().as_bytes());
        let End::At(start) = way.end else {
            panic!("no directory {}", cwd.display());
        };
        let root = self.root().to_str().unwrap().to_owned();
        let files = names
            .iter()
            .enumerate()
            .map(|(number, name)| {
                let (name, text_read) = match name.strip_suffix(" (silent)") {
                    Some(name) => (name, false),
                    None => (*name, true),
                };
                let name = name.replace("ROOT", &root);
                let End::At(node) = session.locate(start, name.as_bytes()).end else {
                    panic!("no file {name}");
                };
                let content = session.content(node).unwrap();
                let kind = match number {
                    0 => SearchKind::Source,
                    _ => SearchKind::Includer,
                };
                let hit = Hit::new(name.as_bytes(), node, Origin::Nowhere, kind);
                ClosureFile::new(hit.file(&content), text_read, 0)
            })
            .collect();
        let closure = Closure {
            files,
            ..Closure::default()
        };
        let unit = TranslationUnit {
            cwd,
            source: names[0].into(),
            command_macros: Vec::new(),
            forced: Vec::new(),
        };
        let system = SystemDirectories::new(&self.system);
        let layout = lay_out(&mut session, &unit, &closure, &system, &[])
            .map_err(|error| error.to_string().replace(&root, "ROOT"))?;
        let section = layout.section(&CompressedForms::default()).unwrap();
        let entries = decode_entries(&section, Limits::DEFAULT).unwrap();
        Ok(entries
            .iter()
            .map(|entry| shown(entry).replace(&root, "ROOT"))
            .collect())
    }
}

fn shown(entry: &TreeEntry) -> String {
    match &entry.content {
        EntryContent::File(block) => {
            let content = protocol::lzo::decompress(block, 1 << 20).unwrap();
            format!("{} = {}", entry.path, content.escape_ascii())
        }
        EntryContent::Link(_) if entry.is_system_link() => format!("{} of its own", entry.path),
        EntryContent::Link(target) => format!("{} -> {}", entry.path, target.escape_ascii()),
    }
}

#[test]
fn relative_names_and_absolute_names() {
    let tree = Tree::new(&["p/a.c", "p/inc/b.h", "p/inc/c.h"]);
    assert_eq!(
        tree.lay_out("p", &["a.c", "./inc//b.h", "ROOT/p/inc/c.h"])
            .unwrap(),
        [
            "ROOT/p/a.c = p/a.c",
            "ROOT/p/inc/b.h = p/inc/b.h",
            "ROOT/p/inc/c.h = #line 1 \\\"ROOT/p/inc/c.h\\\"\\np/inc/c.h",
        ]
    );
}

#[test]
fn links_come_first_and_files_lie_at_their_real_path() {
    let tree = Tree::new(&[
        "p/a.c",
        "p/inc -> ../deps/v2",
        "deps/v2/b.h -> real/b.h",
        "deps/v2/real/b.h",
        "abs -> ROOT/deps",
    ]);
    assert_eq!(
        tree.lay_out("p", &["a.c", "inc/b.h", "../abs/v2/real/b.h"])
            .unwrap(),
        [
            "ROOT/p/inc -> ../deps/v2",
            "ROOT/deps/v2/b.h -> real/b.h",
            "ROOT/abs -> ROOT/deps",
            "ROOT/p/a.c = p/a.c",
            "ROOT/deps/v2/real/b.h = deps/v2/real/b.h",
        ]
    );
}

#[test]
fn a_directory_that_a_name_leaves_must_exist() {
    let tree = Tree::new(&[
        "p/a.c",
        "p/none/",
        "p/some/d.h",
        "p/b.h",
        "far/away/",
        "far/x.h",
        "l -> far/away",
    ]);
    assert_eq!(
        tree.lay_out(
            "p",
            &[
                "a.c",
                "none/../b.h",
                "some/d.h",
                "some/../b.h",
                "../l/../x.h"
            ]
        )
        .unwrap(),
        [
            "ROOT/l -> far/away",
            "ROOT/p/a.c = p/a.c",
            "ROOT/p/b.h = p/b.h",
            "ROOT/p/some/d.h = p/some/d.h",
            "ROOT/far/x.h = far/x.h",
            "ROOT/p/none/forcing_technique_271828 = ",
            "ROOT/far/away/forcing_technique_271828 = ",
        ]
    );
}

#[test]
fn the_compilers_own_directories_are_named_and_not_sent() {
    let tree = Tree::new(&[
        "p/a.c",
        "usr/include/s.h",
        "usr/include/sub/t.h",
        "p/sys -> ROOT/usr/include",
    ])
    .system("usr/include")
    .system("usr/include/sub")
    .system("usr/none");
    assert_eq!(
        tree.lay_out(
            "p",
            &[
                "a.c",
                "ROOT/usr/include/s.h",
                "sys/sub/t.h",
                "ROOT/usr/include/sub/../s.h"
            ]
        )
        .unwrap(),
        [
            "ROOT/p/sys -> ROOT/usr/include",
            "ROOT/p/a.c = p/a.c",
            "ROOT/usr/include of its own",
        ]
    );
}

#[test]
fn leaving_the_compilers_own_directories_for_a_file_of_the_client_is_refused() {
    let tree = Tree::new(&["p/a.c", "usr/include/", "usr/x.h"]).system("usr/include");
    assert_eq!(
        tree.lay_out("p", &["a.c", "ROOT/usr/include/../x.h"]),
        Err(
            "ROOT/usr/include/../x.h leaves a directory of the compiler's own for ROOT/usr/x.h"
                .into()
        )
    );
    let tree = Tree::new(&["usr/include/a.c"]).system("usr/include");
    let refused = tree.lay_out("usr/include", &["a.c"]).unwrap_err();
    assert_eq!(
        refused,
        "the source a.c lies in a directory of the compiler's own"
    );
}

#[test]
fn a_link_that_climbs_above_the_root_is_sent_with_its_end() {
    let tree = Tree::new(&["p/a.c", "p/b.h"]);
    let root = tree.root();
    let climbs = "../".repeat(40) + root.join("p/b.h").to_str().unwrap().trim_start_matches('/');
    symlink(climbs, root.join("p/l.h")).unwrap();
    assert_eq!(
        tree.lay_out("p", &["a.c", "l.h"]).unwrap(),
        [
            "ROOT/p/l.h -> ROOT/p/b.h",
            "ROOT/p/a.c = p/a.c",
            "ROOT/p/b.h = p/b.h"
        ]
    );
}

#[test]
fn names_that_a_server_cannot_show_are_refused() {
    let tree = Tree::new(&["p/a.c", "p/b\"q.h", "w/real/a.c", "w/link -> real"]);
    let refused = tree.lay_out("p", &["a.c", "ROOT/p/b\"q.h"]).unwrap_err();
    assert!(refused.contains("#line"), "{refused}");
    assert!(tree.lay_out("p", &["a.c", "b\"q.h"]).is_ok());
    assert_eq!(
        tree.lay_out("w/link", &["a.c"]),
        Err("the working directory ROOT/w/link is reached through the link ROOT/w/link".into())
    );
}

#[test]
fn content_that_looks_like_our_own_line_is_refused() {
    let tree = Tree::new(&["p/a.c"]);
    let source = tree.root().join("p/a.c");
    let line = format!("#line 1 \"{}\"\nint x;", source.display());
    std::fs::write(&source, line).unwrap();
    let refused = tree.lay_out("p", &["a.c"]).unwrap_err();
    assert_eq!(
        refused,
        "ROOT/p/a.c starts with a #line directive that names itself"
    );
    // With a line of ours before it, a server takes away that one only.
    assert!(tree.lay_out("p", &["ROOT/p/a.c"]).is_ok());
}

#[test]
fn a_file_under_two_names() {
    let tree = Tree::new(&["p/a.c", "p/inc/g.h", "p/x.def"]);
    // Its guard silences it under the second name.
    assert_eq!(
        tree.lay_out("p", &["a.c", "inc/g.h", "ROOT/p/inc/g.h (silent)"])
            .unwrap(),
        ["ROOT/p/a.c = p/a.c", "ROOT/p/inc/g.h = p/inc/g.h"]
    );
    assert_eq!(
        tree.lay_out("p", &["a.c", "ROOT/p/inc/g.h", "inc/g.h (silent)"])
            .unwrap(),
        [
            "ROOT/p/a.c = p/a.c",
            "ROOT/p/inc/g.h = #line 1 \\\"ROOT/p/inc/g.h\\\"\\np/inc/g.h",
        ]
    );
    // Read twice: two relative names need no help, others cannot both be right.
    assert!(tree.lay_out("p", &["a.c", "x.def", "inc/../x.def"]).is_ok());
    assert_eq!(
        tree.lay_out("p", &["a.c", "x.def", "ROOT/p/x.def"]),
        Err("ROOT/p/x.def is read both as x.def and as ROOT/p/x.def".into())
    );
}
