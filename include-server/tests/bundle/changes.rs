//! The tree changes between jobs: each manifest is true of its own moment, and hides from jobs that still run what they count on
//! not finding.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use crate::server::Job;
use crate::support::{MODES, Site};

const A: &str = "gcc -Ione -Itwo -Ithree -c a.c";
const B: &str = "gcc -Ione -Itwo -Ithree -c b.c";
const C: &str = "gcc -Ione -Itwo -Ithree -c c.c";

/// `a.c` reads two headers of `two`, `b.c` another one, `c.c` asks for one that may be missing.
fn plant(site: &Site) {
    site.write("a.c", "#include <x.h>\n#include <sub/y.h>\n");
    site.write("b.c", "#include <z.h>\n");
    site.write(
        "c.c",
        "#include <z.h>\n#if __has_include(<x.h>)\nint x;\n#endif\n#if __has_include(<sub/y.h>)\nint y;\n#endif\n",
    );
    site.write("one/unused.h", "");
    site.write("two/x.h", "int x;\n");
    site.write("two/sub/y.h", "int y;\n");
    site.write("two/z.h", "int z;\n");
    site.write("three/x.h", "int other_x;\n");
    site.write("three/sub/y.h", "int other_y;\n");
    site.settle();
}

/// All units before and after a change; again at once, and again when times have settled.
fn around(change: impl Fn(&Site)) {
    for mode in MODES {
        let mut site = Site::new(mode);
        plant(&site);
        for command in [A, B, C] {
            site.check(command);
        }
        change(&site);
        for command in [B, C, A, B] {
            site.check(command);
        }
        site.settle();
        for command in [A, B, C] {
            site.check(command);
        }
    }
}

#[test]
fn a_header_is_edited() {
    around(|site| site.write("two/x.h", "long x;\n"));
}

#[test]
fn a_header_is_touched() {
    around(|site| {
        let file = File::options()
            .write(true)
            .open(site.path("two/x.h"))
            .unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(1000))
            .unwrap();
    });
}

#[test]
fn a_header_is_deleted() {
    around(|site| fs::remove_file(site.path("two/x.h")).unwrap());
}

#[test]
fn a_header_becomes_a_link() {
    around(|site| {
        fs::rename(site.path("two/x.h"), site.path("real.h")).unwrap();
        symlink("../real.h", site.path("two/x.h")).unwrap();
    });
}

#[test]
fn a_header_appears_earlier_on_the_search_path() {
    around(|site| site.write("one/x.h", "int early_x;\n"));
}

#[test]
fn a_directory_appears_earlier_on_the_search_path() {
    around(|site| site.write("one/sub/y.h", "int early_y;\n"));
}

#[test]
fn a_directory_is_renamed() {
    around(|site| fs::rename(site.path("two/sub"), site.path("two/bus")).unwrap());
}

#[test]
fn a_directory_becomes_a_link() {
    around(|site| {
        fs::remove_dir_all(site.path("two/sub")).unwrap();
        symlink("../three/sub", site.path("two/sub")).unwrap();
    });
}

#[test]
fn a_directory_becomes_a_file() {
    around(|site| {
        fs::remove_dir_all(site.path("two/sub")).unwrap();
        site.write("two/sub", "");
    });
}

#[test]
fn a_search_directory_goes_and_comes_back() {
    around(|site| fs::rename(site.path("two/z.h"), site.path("three/z.h")).unwrap());
    for mode in MODES {
        let mut site = Site::new(mode);
        plant(&site);
        site.write("three/z.h", "int three_z;\n");
        site.settle();
        for _ in 0..2 {
            for command in [A, B, C] {
                site.check(command);
            }
            fs::rename(site.path("two"), site.path("away")).unwrap();
            for command in [C, B, A] {
                site.check(command);
            }
            fs::rename(site.path("away"), site.path("two")).unwrap();
        }
        for command in [A, B, C] {
            site.check(command);
        }
    }
}

#[test]
fn a_link_is_led_elsewhere() {
    for mode in MODES {
        let mut site = Site::new(mode);
        site.write("v1/only_one.h", "int a;\n");
        site.write("v2/only_two.h", "int b;\n");
        site.write("common/only_one.h", "int c;\n");
        site.write("common/only_two.h", "int d;\n");
        site.write("a.c", "#include <only_one.h>\n");
        site.write("b.c", "#include <only_two.h>\n");
        symlink("v1", site.path("current")).unwrap();
        site.settle();
        let (a, b) = (
            "gcc -Icurrent -Icommon -c a.c",
            "gcc -Icurrent -Icommon -c b.c",
        );
        for target in ["v2", "v1", "v2"] {
            // `b.c` may look through the link in vain while the next job leads it elsewhere.
            site.check(a);
            site.check(b);
            fs::remove_file(site.path("current")).unwrap();
            symlink(target, site.path("current")).unwrap();
            site.check(b);
            site.check(a);
        }
    }
}

#[test]
fn what_was_looked_for_in_vain_is_late() {
    for mode in MODES {
        let mut site = Site::new(mode);
        plant(&site);
        let early = site.check(A);
        assert!(!site.entry(&early, "two/x.h").unwrap().late);
        // In a directory that was there, and in one that was not.
        site.write("one/x.h", "int early_x;\n");
        site.write("one/sub/y.h", "int early_y;\n");
        let job = site.check(A);
        assert!(site.entry(&job, "one/x.h").unwrap().late);
        assert!(site.entry(&job, "one/sub/y.h").unwrap().late);
        assert!(early.manifest.length < job.manifest.length);
    }
}

#[test]
fn what_nobody_looked_for_is_not_late() {
    for mode in MODES {
        let mut site = Site::new(mode);
        plant(&site);
        site.check(A);
        site.write("new/n.h", "int n;\n");
        site.write("d.c", "#include <n.h>\n");
        let job = site.check("gcc -Inew -Itwo -c d.c");
        assert!(!site.entry(&job, "new/n.h").unwrap().late);
    }
}

#[test]
fn what_vanished_and_came_back_is_another_entry() {
    for mode in MODES {
        let mut site = Site::new(mode);
        plant(&site);
        let before = site.check(A);
        fs::rename(site.path("two/x.h"), site.path("kept.h")).unwrap();
        let without = site.check(A);
        assert!(dead(&without) > 0);
        fs::rename(site.path("kept.h"), site.path("two/x.h")).unwrap();
        let after = site.check(A);
        assert!(!site.entry(&before, "two/x.h").unwrap().late);
        assert!(site.entry(&after, "two/x.h").unwrap().late);
    }
}

#[test]
fn an_edit_undone_has_its_old_index() {
    for mode in MODES {
        let mut site = Site::new(mode);
        plant(&site);
        let modified = fs::metadata(site.path("two/x.h"))
            .unwrap()
            .modified()
            .unwrap();
        let before = site.check(A);
        site.write("two/x.h", "long x;\n");
        let between = site.check(A);
        assert_ne!(before.manifest.used, between.manifest.used);
        assert_eq!(dead(&between), 1);
        site.write("two/x.h", "int x;\n");
        let file = File::options()
            .write(true)
            .open(site.path("two/x.h"))
            .unwrap();
        file.set_modified(modified).unwrap();
        let after = site.check(A);
        assert_eq!(before.manifest.used, after.manifest.used);
        assert_eq!(dead(&after), 1);
    }
}

#[test]
fn a_quiet_answer_is_the_same_whatever_others_add() {
    for mode in MODES {
        let mut site = Site::new(mode);
        plant(&site);
        let first = site.offer(A).body;
        site.write("new/n.h", "int n;\n");
        site.write("d.c", "#include <n.h>\n");
        site.check("gcc -Inew -Itwo -c d.c");
        assert_eq!(site.offer(A).body, first);
        // Until something is no longer true.
        site.write("new/n.h", "long n;\n");
        site.check("gcc -Inew -Itwo -c d.c");
        assert_ne!(site.offer(A).body, first);
        site.check(A);
    }
}

#[test]
fn bytes_that_were_scanned_are_given_after_a_change() {
    let site = Site::new(crate::support::MODES[1]);
    plant(&site);
    let offered = site.offer(A);
    site.write("two/x.h", "long x;\n");
    fs::remove_file(site.path("a.c")).unwrap();
    let mut server = crate::server::Server::default();
    let job = server.take(&offered.body, &site.path(""), Vec::new(), |need| {
        Ok(crate::support::given(&offered, need))
    });
    assert!(job.is_ok(), "{:?}", job.err());
}

fn dead(job: &Job) -> usize {
    job.manifest.dead.len()
}

#[test]
fn jobs_at_once_while_headers_change() {
    use std::sync::atomic::{AtomicBool, Ordering};
    for mode in MODES {
        let mut site = Site::new(mode);
        plant(&site);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (site, stop) = (&site, &stop);
            let asking = [A, B, C].map(|command| {
                scope.spawn(move || {
                    let mut count = 0;
                    while !stop.load(Ordering::Relaxed) {
                        // It may be asked just when a header is away: then it has a doubt.
                        count += usize::from(site.answerer.offer(&site.query(command)).is_ok());
                    }
                    count
                })
            });
            for round in 0..60 {
                let early = site.path("one/x.h");
                match round % 4 {
                    0 => fs::write(early, format!("int r{round};\n")).unwrap(),
                    1 => site.write("two/z.h", &format!("int r{round};\n")),
                    2 => fs::remove_file(early).unwrap(),
                    _ => site.write("two/sub/y.h", &format!("int r{round};\n")),
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            stop.store(true, Ordering::Relaxed);
            for thread in asking {
                assert!(thread.join().unwrap() > 0);
            }
        });
        for command in [A, B, C] {
            site.check(command);
        }
    }
}

#[test]
fn a_table_that_is_largely_untrue_is_begun_anew() {
    const HEADERS: usize = 4200;
    const EDITED: usize = 1600;
    let mut site = Site::new(MODES[1]);
    let header = |number: usize| format!("inc/h{number}.h");
    let mut source = String::new();
    for number in 0..HEADERS {
        site.write(&header(number), &format!("int h{number};\n"));
        source += &format!("#include \"{}\"\n", header(number));
    }
    site.write("a.c", &source);
    site.settle();
    let before = site.check("gcc -c a.c");
    assert_eq!(before.manifest.length as usize, HEADERS + 1);
    for number in 0..EDITED {
        site.write(&header(number), &format!("long h{number};\n"));
    }
    site.settle();
    let after = site.check("gcc -c a.c");
    assert_eq!(after.manifest.table, before.manifest.table);
    assert_eq!(dead(&after), EDITED);
    let anew = site.check("gcc -c a.c");
    assert_ne!(anew.manifest.table, before.manifest.table);
    assert_eq!(anew.manifest.length as usize, HEADERS + 1);
    assert!(anew.manifest.dead.is_empty());
}
