//! Generations, as a client sees them.

use std::sync::Arc;

use protocol::tree_path::TreePath;

use super::*;
use crate::entry::Entry;
use crate::facts::{End, NodeId};
use crate::file_table::FileTable;
use crate::files::FileContent;

/// A mirror needs a base of at most two components, so these tests use `/tmp` itself.
fn mirror() -> Mirror {
    Mirror::new(Some(Path::new("/tmp"))).unwrap()
}

fn content(directory: &Path, text: &str) -> Arc<FileContent> {
    let path = directory.join("file");
    std::fs::write(&path, text).unwrap();
    let table = FileTable::new();
    let mut session = table.facts().session();
    let path = std::fs::canonicalize(path).unwrap();
    let located = session.locate(NodeId::ROOT, path.as_os_str().as_bytes());
    let End::At(file) = located.end else {
        panic!("no file");
    };
    session.content(file).unwrap()
}

fn layout(nodes: Vec<(&str, Node)>) -> Layout {
    let path = |path: &str| TreePath::new(path.as_bytes()).unwrap();
    Layout {
        nodes: nodes
            .into_iter()
            .map(|(name, node)| {
                Arc::new(Entry {
                    path: path(name),
                    node,
                })
            })
            .collect(),
    }
}

/// What the client makes of a name: the path it sends, and what it sends.
fn as_client(name: &[u8]) -> (String, String) {
    let name = std::str::from_utf8(name).unwrap();
    let mut rest = name;
    for _ in 0..3 {
        rest = &rest[1..];
        rest = &rest[rest.find('/').unwrap()..];
    }
    let rest = rest.strip_suffix(".abs").unwrap_or(rest);
    let rest = rest.strip_suffix(".lzo").unwrap_or(rest);
    let holds = match std::fs::read_link(name) {
        Ok(target) => format!("-> {}", target.display()),
        Err(_) => {
            let block = std::fs::read(name).unwrap();
            String::from_utf8(protocol::lzo::decompress(&block, 1 << 20).unwrap()).unwrap()
        }
    };
    (rest.to_owned(), holds)
}

fn sent(mirror: &Mirror, layout: &Layout) -> Vec<(String, String)> {
    let names = mirror.names(layout, &CompressedForms::default()).unwrap();
    names.iter().map(|name| as_client(name)).collect()
}

fn pair(path: &str, holds: &str) -> (String, String) {
    (path.to_owned(), holds.to_owned())
}

#[test]
fn a_client_finds_what_the_layout_says() {
    let directory = tempfile::tempdir().unwrap();
    let file = |line: Option<&str>| Node::File {
        content: content(directory.path(), "int x;"),
        line: line.map(|line| line.as_bytes().to_vec()),
        empty_lines: 0,
    };
    let mirror = mirror();
    let layout = layout(vec![
        ("/p/l", Node::Link(b"../q".to_vec())),
        ("/p/a.c", file(None)),
        ("/q/b.h", file(Some("/q/b.h"))),
        ("/q/sub/forcing_technique_271828", Node::Forcing),
        ("/usr/include", Node::System),
    ]);
    let expected = [
        pair("/p/l", "-> ../q"),
        pair("/p/a.c", "int x;"),
        pair("/q/b.h", "#line 1 \"/q/b.h\"\nint x;"),
        pair("/q/sub/forcing_technique_271828", ""),
        pair(
            "/usr/include",
            &format!("-> {}usr/include", "../".repeat(22)),
        ),
    ];
    assert_eq!(sent(&mirror, &layout), expected);
    let first = mirror.names(&layout, &CompressedForms::default()).unwrap();
    assert_eq!(
        first,
        mirror.names(&layout, &CompressedForms::default()).unwrap()
    );
    let root = Path::new(std::str::from_utf8(&first[0]).unwrap())
        .ancestors()
        .nth(3)
        .unwrap()
        .to_owned();
    assert!(root.is_dir());
    drop(mirror);
    assert!(!root.exists(), "{} is left", root.display());
}

#[test]
fn what_was_named_is_never_changed() {
    let directory = tempfile::tempdir().unwrap();
    let mirror = mirror();
    let forms = CompressedForms::default();
    let mut seen: Vec<(Vec<u8>, String)> = Vec::new();
    for round in 0..40 {
        let text = format!("int v = {round};");
        let node = Node::File {
            content: content(directory.path(), &text),
            line: None,
            empty_lines: 0,
        };
        let stable = ("/p/forcing_technique_271828", Node::Forcing);
        let names = mirror
            .names(&layout(vec![("/p/a.h", node), stable]), &forms)
            .unwrap();
        seen.push((names[0].clone(), text));
        for (name, text) in &seen {
            assert_eq!(as_client(name), pair("/p/a.h", text));
        }
    }
}

#[test]
fn a_directory_may_become_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let mirror = mirror();
    let file = |text: &str| Node::File {
        content: content(directory.path(), text),
        line: None,
        empty_lines: 0,
    };
    let as_directory = layout(vec![("/p/d/a.h", file("one"))]);
    let as_link = layout(vec![
        ("/p/d", Node::Link(b"e".to_vec())),
        ("/p/e/a.h", file("two")),
    ]);
    for _ in 0..3 {
        assert_eq!(sent(&mirror, &as_directory), [pair("/p/d/a.h", "one")]);
        assert_eq!(
            sent(&mirror, &as_link),
            [pair("/p/d", "-> e"), pair("/p/e/a.h", "two")]
        );
    }
}

#[test]
fn a_file_that_somebody_removed_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let mirror = mirror();
    let node = Node::File {
        content: content(directory.path(), "text"),
        line: None,
        empty_lines: 0,
    };
    let layout = layout(vec![("/p/a.h", node)]);
    let names = mirror.names(&layout, &CompressedForms::default()).unwrap();
    std::fs::remove_file(OsStr::from_bytes(&names[0])).unwrap();
    assert_eq!(sent(&mirror, &layout), [pair("/p/a.h", "text")]);
}

#[test]
fn many_old_generations_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let mirror = mirror().with_retirement(Duration::ZERO);
    for round in 0..GENERATIONS_KEPT * 2 {
        let node = Node::File {
            content: content(directory.path(), &round.to_string()),
            line: None,
            empty_lines: 0,
        };
        assert_eq!(
            sent(&mirror, &layout(vec![("/p/a.h", node)])),
            [pair("/p/a.h", &round.to_string())]
        );
    }
    assert!(mirror.state.lock().unwrap().generations.len() <= GENERATIONS_KEPT + 1);
}

#[test]
fn names_and_bases_that_the_client_would_misread() {
    let mirror = mirror();
    let link = layout(vec![("/p/x.lzo", Node::Link(b"y".to_vec()))]);
    assert!(matches!(
        mirror.names(&link, &CompressedForms::default()),
        Err(MirrorError::Name { .. })
    ));
    for base in ["relative", "/a/b/c", "/tmp/..", ""] {
        assert!(Mirror::new(Some(Path::new(base))).is_err(), "{base}");
    }
    assert!(Mirror::new(Some(Path::new("/dev/shm/"))).is_ok());
}

#[test]
fn the_root_of_a_killed_server_is_removed_and_a_living_ones_is_not() {
    let base = tempfile::tempdir().unwrap();
    let root = |name: &str| {
        let path = base.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(60);
        let directory = File::open(&path).unwrap();
        directory.set_modified(long_ago).unwrap();
        (path, directory)
    };
    let (dead, _unlocked) = root("pumphouse-a.include_server-1-0");
    let (alive, lock) = root("pumphouse-b.include_server-2-0");
    let (stocks, _) = root("tmpx.include_server-3-0");
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    sweep(base.path());
    assert!(!dead.exists() && alive.exists() && stocks.exists());
}
