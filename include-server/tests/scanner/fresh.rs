//! A file table that lives on must never tell yesterday's news.

use std::time::{Duration, SystemTime};

use include_server::file_table::FileTable;
use include_server::scan::scan;

use crate::support::{Job, compiler, job, names, plant, words};

struct Session {
    tree: tempfile::TempDir,
    table: FileTable,
    job: Job,
}

fn session(command: &str, fixture: &str) -> Option<Session> {
    let compiler = compiler("gcc")?;
    let tree = plant(fixture);
    let mut arguments = words(command);
    arguments.insert(0, "-nostdinc".into());
    let job = job(&compiler, tree.path(), &arguments);
    Some(Session {
        tree,
        table: FileTable::new(),
        job,
    })
}

impl Session {
    #[track_caller]
    fn expect(&self, files: &[&str]) {
        let closure =
            scan(&self.job.unit, &self.job.configuration, &self.table).expect("a closure");
        assert_eq!(
            names(&closure),
            files.iter().map(|file| file.to_string()).collect()
        );
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.tree.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.tree.path().join(name)).unwrap();
    }
}

#[test]
fn an_edit_of_equal_size_at_once() {
    let Some(session) = session("a.c", "//- a.c\n#include \"b.h\"\n//- b.h\n//- c.h\n") else {
        return;
    };
    // No pause: the second edit may fall into the same tick of the clock as the first reading.
    for _ in 0..50 {
        session.write("a.c", "#include \"b.h\"\n");
        session.expect(&["a.c", "b.h"]);
        session.write("a.c", "#include \"c.h\"\n");
        session.expect(&["a.c", "c.h"]);
    }
}

#[test]
fn an_edit_with_its_time_set_back() {
    let Some(session) = session("a.c", "//- a.c\n//- b.h\n//- c.h\n") else {
        return;
    };
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for (text, file) in [("#include \"b.h\"\n", "b.h"), ("#include \"c.h\"\n", "c.h")] {
        session.write("a.c", text);
        std::fs::File::options()
            .write(true)
            .open(session.tree.path().join("a.c"))
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        session.expect(&["a.c", file]);
    }
}

#[test]
fn a_header_that_comes_and_goes() {
    let Some(session) = session("-Ii -Ij a.c", "//- a.c\n#include <x.h>\n//- j/x.h\n") else {
        return;
    };
    session.expect(&["a.c", "j/x.h"]);
    // Neither `i` nor the file in it was there before.
    session.write("i/x.h", "");
    session.expect(&["a.c", "i/x.h"]);
    session.remove("i/x.h");
    session.expect(&["a.c", "j/x.h"]);
    session.write("i/x.h", "#include \"y.h\"\n");
    session.write("i/y.h", "");
    session.expect(&["a.c", "i/x.h", "i/y.h"]);
}

#[test]
fn a_directory_and_a_link_that_change() {
    let Some(session) = session(
        "-Ii a.c",
        "//- a.c\n#include <d/x.h>\n//- one/x.h\n//- two/x.h\n#include \"y.h\"\n//- two/y.h\n",
    ) else {
        return;
    };
    let link = session.tree.path().join("i/d");
    std::fs::create_dir(session.tree.path().join("i")).unwrap();
    std::os::unix::fs::symlink("../one", &link).unwrap();
    session.expect(&["a.c", "i/d/x.h"]);
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../two", &link).unwrap();
    session.expect(&["a.c", "i/d/x.h", "i/d/y.h"]);
}

#[test]
fn a_file_replaced_by_rename() {
    let Some(session) = session(
        "a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n//- new.h\n#include \"y.h\"\n//- y.h\n",
    ) else {
        return;
    };
    session.expect(&["a.c", "b.h"]);
    std::fs::rename(
        session.tree.path().join("new.h"),
        session.tree.path().join("b.h"),
    )
    .unwrap();
    session.expect(&["a.c", "b.h", "y.h"]);
}

#[test]
fn many_threads_share_one_table() {
    let Some(session) = session(
        "a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n#ifndef B\n#define B\n#include \"y.h\"\n#endif\n//- y.h\n",
    ) else {
        return;
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    session.expect(&["a.c", "b.h", "y.h"]);
                }
            });
        }
    });
}
