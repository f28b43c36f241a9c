//! What a session must see, whatever vouches for it. The torture (`tests/torture`) does the same at random.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::*;

/// Files in a directory of their own, and facts about them.
struct Tree {
    directory: tempfile::TempDir,
    facts: Facts,
}

impl Tree {
    fn both() -> [Tree; 2] {
        [Freshness::Stat, Freshness::Watch].map(|freshness| Tree {
            directory: tempfile::tempdir().unwrap(),
            facts: Facts::new(freshness).unwrap(),
        })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// What a request finds under a name; `None` when there is no file.
    fn text(&self, name: &str) -> Option<String> {
        text(&self.facts, &self.path(name))
    }
}

fn text(facts: &Facts, path: &Path) -> Option<String> {
    let mut session = facts.session();
    let located = session.locate(NodeId::ROOT, path.as_os_str().as_bytes());
    let End::At(node) = located.end else {
        return None;
    };
    let content = session.content(node).ok()?;
    Some(String::from_utf8_lossy(&content.bytes().unwrap()).into_owned())
}

#[test]
fn a_queue_that_overflows_puts_everything_in_doubt() {
    for tree in Tree::both() {
        let names = ["a.h", "b.h", "c.h"];
        for name in names {
            fs::write(tree.path(name), "old").unwrap();
            assert_eq!(tree.text(name).as_deref(), Some("old"));
        }
        // Events of the same kind about the same file are merged, so two files take turns.
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        let files = names.map(|name| File::options().write(true).open(tree.path(name)).unwrap());
        for turn in 0..limit + 100 {
            files[turn % 2].write_all_at(b"new", 0).unwrap();
        }
        // The event of this one is lost.
        files[2].write_all_at(b"new", 0).unwrap();
        drop(files);
        for name in names {
            assert_eq!(tree.text(name).as_deref(), Some("new"), "{name}");
        }
    }
}

#[test]
fn a_change_through_another_hard_link_is_seen() {
    for tree in Tree::both() {
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(tree.path("a.h"), "one").unwrap();
        assert_eq!(tree.text("a.h").as_deref(), Some("one"));
        let other = elsewhere.path().join("other");
        fs::hard_link(tree.path("a.h"), &other).unwrap();
        assert_eq!(tree.text("a.h").as_deref(), Some("one"));
        fs::write(&other, "two").unwrap();
        assert_eq!(tree.text("a.h").as_deref(), Some("two"));
    }
}

#[test]
fn a_descriptor_opened_before_the_reading_changes_the_file() {
    for tree in Tree::both() {
        fs::write(tree.path("a.h"), "one").unwrap();
        let mut open = File::options().append(true).open(tree.path("a.h")).unwrap();
        assert_eq!(tree.text("a.h").as_deref(), Some("one"));
        open.write_all(b" two").unwrap();
        assert_eq!(tree.text("a.h").as_deref(), Some("one two"));
        drop(open);
        assert_eq!(tree.text("a.h").as_deref(), Some("one two"));
    }
}

#[test]
fn a_directory_that_is_replaced_takes_its_files_along() {
    for tree in Tree::both() {
        for (directory, text) in [("d", "one"), ("e", "two")] {
            fs::create_dir(tree.path(directory)).unwrap();
            fs::write(tree.path(directory).join("a.h"), text).unwrap();
        }
        assert_eq!(tree.text("d/a.h").as_deref(), Some("one"));
        assert_eq!(tree.text("d/none.h"), None);
        fs::rename(tree.path("d"), tree.path("old")).unwrap();
        assert_eq!(tree.text("d/a.h"), None);
        fs::rename(tree.path("e"), tree.path("d")).unwrap();
        assert_eq!(tree.text("d/a.h").as_deref(), Some("two"));
        fs::remove_dir_all(tree.path("d")).unwrap();
        std::os::unix::fs::symlink("old", tree.path("d")).unwrap();
        assert_eq!(tree.text("d/a.h").as_deref(), Some("one"));
        fs::write(tree.path("old/none.h"), "here").unwrap();
        assert_eq!(tree.text("d/none.h").as_deref(), Some("here"));
    }
}

#[test]
fn names_are_followed_as_the_kernel_does() {
    for tree in Tree::both() {
        fs::create_dir_all(tree.path("real/inner")).unwrap();
        fs::write(tree.path("real/up.h"), "up").unwrap();
        fs::write(tree.path("file"), "file").unwrap();
        std::os::unix::fs::symlink("real/inner", tree.path("link")).unwrap();
        std::os::unix::fs::symlink("loop", tree.path("loop")).unwrap();
        // `..` goes up from where the link leads.
        assert_eq!(tree.text("link/../up.h").as_deref(), Some("up"));
        for nothing in [
            "up.h",
            "none/../file",
            "file/",
            "file/.",
            "file/../file",
            "loop",
        ] {
            assert_eq!(tree.text(nothing), None, "{nothing}");
        }
        assert_eq!(tree.text("./real//inner/../up.h").as_deref(), Some("up"));
    }
}

#[test]
fn the_permissions_of_a_searched_directory_are_watched_from_its_parent() {
    let directory = tempfile::tempdir().unwrap();
    let facts = Facts::new(Freshness::Watch).unwrap();
    let searched = directory.path().join("include");
    let inner = searched.join("inner");
    fs::create_dir_all(&inner).unwrap();
    fs::write(searched.join("a.h"), "a").unwrap();
    fs::write(inner.join("b.h"), "b").unwrap();
    let node = |path: &Path| {
        let mut session = facts.session();
        let located = session.locate(NodeId::ROOT, path.as_os_str().as_bytes());
        let End::At(node) = located.end else {
            panic!("{} leads nowhere", path.display());
        };
        node
    };
    let listed = std::iter::once(searched.as_path());
    facts.session().expect_searches(NodeId::ROOT, listed);
    for (path, expected) in [(searched.join("a.h"), "a"), (inner.join("b.h"), "b")] {
        assert_eq!(text(&facts, &path).as_deref(), Some(expected));
    }
    assert!(!facts.node(node(&searched)).has(node::SHOWN));
    assert!(facts.node(node(&inner)).has(node::SHOWN));
    for changed in [&searched, &inner] {
        let before = facts.session().begun();
        let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode;
        fs::set_permissions(changed, mode(0o700)).unwrap();
        facts.session();
        assert!(!facts.is_quiet_since(before), "{}", changed.display());
    }
    // Another directory of that name is watched in its turn.
    let moved = directory.path().join("moved");
    fs::rename(&searched, &moved).unwrap();
    assert_eq!(text(&facts, &searched.join("a.h")), None);
    fs::create_dir(&searched).unwrap();
    fs::write(searched.join("a.h"), "other").unwrap();
    let other = text(&facts, &searched.join("a.h"));
    assert_eq!(other.as_deref(), Some("other"));
    let before = facts.session().begun();
    fs::remove_file(searched.join("a.h")).unwrap();
    facts.session();
    assert!(!facts.is_quiet_since(before));
}

#[test]
fn two_include_servers_leave_each_other_alone() {
    use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
    let tree = Tree::both().into_iter().next_back().unwrap();
    let other = Facts::new(Freshness::Watch).unwrap();
    fs::write(tree.path("a.h"), "text").unwrap();
    let path = tree.path("a.h");
    // Until its times are old enough to be trusted it is read again at every request.
    let settled = std::time::Duration::from_millis(50);
    for _ in 0..3 {
        std::thread::sleep(settled);
        assert_eq!(text(&tree.facts, &path).as_deref(), Some("text"));
        assert_eq!(text(&other, &path).as_deref(), Some("text"));
    }
    let instance = inotify::init(CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&instance, &path, WatchFlags::OPEN).unwrap();
    for _ in 0..5 {
        assert_eq!(text(&tree.facts, &path).as_deref(), Some("text"));
        assert_eq!(text(&other, &path).as_deref(), Some("text"));
    }
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(&instance, &mut buffer);
    let event = reader.next().map(|event| event.events());
    assert!(
        matches!(event, Err(rustix::io::Errno::AGAIN)),
        "opened again: {event:?}"
    );
    // What they are kept open for: a writer through a memory map is still noticed.
    let file = File::options().read(true).write(true).open(&path).unwrap();
    assert_eq!(text(&tree.facts, &path).as_deref(), Some("text"));
    file.write_all_at(b"next", 0).unwrap();
    drop(file);
    assert_eq!(text(&tree.facts, &path).as_deref(), Some("next"));
    assert_eq!(text(&other, &path).as_deref(), Some("next"));
}

#[test]
fn a_name_that_is_asked_for_before_its_directory_is_no_staler() {
    for tree in Tree::both() {
        for name in ["w", "w2"] {
            fs::create_dir_all(tree.path(name).join("c")).unwrap();
            fs::write(tree.path(name).join("c/h"), name).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(40));
        let directory = tree.path("w/c");
        let start = {
            let mut session = tree.facts.session();
            let way = session.passage(NodeId::ROOT, directory.as_os_str().as_bytes());
            let End::At(start) = way.end else {
                panic!("no directory");
            };
            start
        };
        // As evidence does that was gathered from the working directory on.
        let read = |expected: &str| {
            let mut session = tree.facts.session();
            session.check(start);
            let End::At(file) = session.locate(start, b"h").end else {
                panic!("no file");
            };
            let content = session.content(file).unwrap();
            assert_eq!(&content.bytes().unwrap()[..], expected.as_bytes());
        };
        // So often that directories are kept open.
        (0..3).for_each(|_| read("w"));
        fs::rename(tree.path("w"), tree.path("w3")).unwrap();
        fs::rename(tree.path("w2"), tree.path("w")).unwrap();
        read("w2");
    }
}
