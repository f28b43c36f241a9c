//! Which entries of a table jobs see while other jobs run: dead, late and contradicting ones, written once and by one.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use distccd_cache::job::{BundleJob, CompileOutcome, Finished, JobError};
use distccd_cache::workshop::{GroveLimits, ViewPolicy};
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry, Name};
use protocol::bundle::indices::Indices;
use rustix::fs::OFlags;

use crate::bundle_support::{BundleShop, Session, words_of};
use crate::ending::processes_with;
use crate::support::path;

const GCC: &str = "/usr/bin/gcc";

/// A job whose source includes nothing but what the given text does, in assembler output so that values can be read.
fn job(session: &Session, used: &[u32], text: &str) -> BundleJob {
    let source = session.file("/home/u/p/a.c", text.as_bytes(), 1_000);
    let words = ["gcc", "-Iinc", "-Iinc2", "-S", "a.c", "-o", "a.s"];
    session.job("/home/u/p", &words, used, vec![source])
}

fn value(finished: &Finished) -> i64 {
    let words = words_of(finished);
    assert_eq!(finished.outcome, CompileOutcome::Ok, "{words}");
    let text = String::from_utf8_lossy(&finished.reply.object).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(".long"));
    line.unwrap_or_else(|| panic!("no value in {text}"))
        .trim()
        .parse()
        .expect("a number")
}

/// What a unit sees that asks whether some names can be included.
fn finds(names: &[&str]) -> String {
    let bits: Vec<String> = names
        .iter()
        .zip(0..)
        .map(|(name, bit)| format!("(__has_include(\"{name}\") << {bit})"))
        .collect();
    format!(
        "#if {0} >= 0\n#define V ({0})\n#endif\n{1}",
        bits.join(" + "),
        value_of(names)
    )
}

/// `__has_include` is for directives only: one line for each outcome.
fn value_of(names: &[&str]) -> String {
    let mut text = String::new();
    for (name, bit) in names.iter().zip(0..) {
        text += &format!(
            "#if __has_include(\"{name}\")\n#define B{bit} {}\n#else\n#define B{bit} 0\n#endif\n",
            1 << bit
        );
    }
    let sum: Vec<String> = (0..names.len()).map(|bit| format!("B{bit}")).collect();
    text + &format!("int v = 1000 + {};\n", sum.join(" + "))
}

fn indices(list: &[u32]) -> Indices {
    list.iter().copied().collect()
}

#[test]
fn a_changed_header_takes_the_place_of_the_old_one() {
    let shop = BundleShop::new(ViewPolicy::Namespace);
    let mut session = Session::new();
    let old = session.add_file("/home/u/p/inc/v.h", b"#define V 1\n");
    let text = "#include \"v.h\"\nint v = V;\n";
    let first = job(&session, &[old], text);
    assert_eq!(
        value(&shop.run(&session, first, Path::new(GCC)).expect("a reply")),
        1
    );
    let new = session.add_file("/home/u/p/inc/v.h", b"#define V 2\n");
    let mut second = job(&session, &[new], text);
    second.manifest.dead = indices(&[old]);
    assert_eq!(
        value(&shop.run(&session, second, Path::new(GCC)).expect("a reply")),
        2
    );
    let again = job(&session, &[old], text);
    assert_eq!(
        value(&shop.run(&session, again, Path::new(GCC)).expect("a reply")),
        1
    );
    assert_eq!(
        shop.groves(),
        1,
        "no job was running, so there was no need for another tree"
    );
    assert_eq!(shop.left_over(), 0);
}

#[test]
fn a_file_becomes_a_directory_and_a_link_and_goes() {
    let shop = BundleShop::new(ViewPolicy::Namespace);
    let mut session = Session::new();
    let file = session.add_file("/home/u/p/inc/x", b"int v = 1;\n");
    let inner = session.add_file("/home/u/p/inc/x/y.h", b"int v = 2;\n");
    let other = session.add_file("/home/u/p/other/y.h", b"int v = 3;\n");
    let link = session.add(Entry {
        path: path("/home/u/p/inc/x"),
        content: Content::Link(b"../other".to_vec()),
        late: false,
        system: false,
        name: Name::Relative,
    });
    let run = |used: &[u32], dead: &[u32], text: &str| {
        let mut job = job(&session, used, text);
        job.manifest.dead = indices(dead);
        value(&shop.run(&session, job, Path::new(GCC)).expect("a reply"))
    };
    assert_eq!(run(&[file], &[inner, link], "#include \"inc/x\"\n"), 1);
    assert_eq!(run(&[inner], &[file, link], "#include \"inc/x/y.h\"\n"), 2);
    assert_eq!(
        run(&[other, link], &[file, inner], "#include \"inc/x/y.h\"\n"),
        3
    );
    assert_eq!(run(&[file], &[inner, link], "#include \"inc/x\"\n"), 1);
    assert_eq!(
        run(
            &[],
            &[file, inner, link, other],
            &finds(&["inc/x", "inc/x/y.h", "other/y.h"])
        ),
        1000
    );
    // The directory went with the last thing in it.
    let top = session.add_file("/home/u/p/top.h", b"");
    let mut last = job(&session, &[top], &finds(&["other/../top.h"]));
    last.manifest.dead = indices(&[file, inner, link, other]);
    assert_eq!(
        value(&shop.run(&session, last, Path::new(GCC)).expect("a reply")),
        1000
    );
}

#[test]
fn a_late_header_is_hidden_from_a_job_that_was_offered_before() {
    let shop = BundleShop::new(ViewPolicy::Namespace);
    let mut session = Session::new();
    let other = session.add_file("/home/u/p/inc2/v.h", b"int v = 2;\n");
    let text = "#include <v.h>\n";
    let early = job(&session, &[other], text);
    let mut late = session.file("/home/u/p/inc/v.h", b"int v = 1;\n", 5);
    late.late = true;
    let late = session.add(late);
    let after = job(&session, &[late], text);
    let run = |job: &BundleJob| {
        value(
            &shop
                .run(&session, job.clone(), Path::new(GCC))
                .expect("a reply"),
        )
    };
    assert_eq!(run(&after), 1);
    assert_eq!(run(&early), 2);
    assert_eq!(run(&after), 1);
}

/// A job whose compiler is the shell, and whose source a script that calls gcc for the given text.
fn scripted(session: &Session, used: &[u32], text: &str, script: &str) -> BundleJob {
    let script = format!("{script}\nexec gcc -Iinc -Iinc2 -MD -MF a.d -S b.c -o a.s\n");
    let own = vec![
        session.file("/home/u/p/a.c", script.as_bytes(), 1_000),
        session.file("/home/u/p/b.c", text.as_bytes(), 1_001),
    ];
    let words = ["sh", "a.c", "-S", "-MD", "-MF", "a.d", "-o", "a.s"];
    session.job("/home/u/p", &words, used, own)
}

/// One that waits until the file `gate`, which is among those it uses, has something in it. Its command line has a word by which it is found.
fn slow_job(session: &Session, used: &[u32], text: &str) -> (BundleJob, String) {
    let script = "while ! test -s gate; do sleep 0.01; done";
    let mut job = scripted(session, used, text, script);
    let mark = format!("-DSLOW_{}", std::process::id());
    job.argv.push(mark.clone().into_bytes());
    (job, mark)
}

/// Runs a slow job, does something while its compiler waits, and lets it go on.
fn while_running(
    shop: &BundleShop,
    session: &Session,
    (slow, mark): (BundleJob, String),
    meanwhile: impl FnOnce(),
) -> Result<Finished, JobError> {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| shop.run(session, slow, Path::new("/bin/sh")));
        while processes_with(&mark).is_empty() {
            assert!(!running.is_finished(), "it ended: {:?}", running.join());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let gates = gates(shop.temp.path());
        meanwhile();
        for gate in gates {
            std::fs::write(gate, b"go on").expect("the gate opens");
        }
        running.join().expect("it ran")
    })
}

/// The file `gate` of each grove.
fn gates(temp: &Path) -> Vec<std::path::PathBuf> {
    let inside = |dir: &Path| {
        let entries = std::fs::read_dir(dir).expect("the directory is there");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect::<Vec<_>>()
    };
    let homes = inside(temp);
    let homes = homes
        .iter()
        .filter(|home| home.to_string_lossy().contains("distccd_grove_"));
    let groves = homes.flat_map(|home| inside(home));
    let gates = groves.map(|grove| grove.join("root/home/u/p/gate"));
    let gates: Vec<_> = gates.filter(|gate| gate.exists()).collect();
    assert!(!gates.is_empty());
    gates
}

#[test]
fn running_jobs_keep_what_they_were_given() {
    let shop = BundleShop::new(ViewPolicy::Namespace);
    let mut session = Session::new();
    let old = session.add_file("/home/u/p/inc/v.h", b"#define V 1\n");
    let gone = session.add_file("/home/u/p/inc2/gone.h", b"");
    let text = "#include \"v.h\"\n#if __has_include(\"gone.h\") || __has_include(\"late.h\")\n#error seen\n#endif\nint v = V;\n";
    let gate = session.add_file("/home/u/p/gate", b"");
    let mut slow = slow_job(&session, &[old, gate], text);
    slow.0.manifest.dead = indices(&[gone]);
    let new = session.add_file("/home/u/p/inc/v.h", b"#define V 2\n");
    let mut late = session.file("/home/u/p/inc/late.h", b"#define V 3\n", 9);
    late.late = true;
    let late = session.add(late);
    let harmless = session.add_file("/home/u/p/inc/harmless.h", b"#define V 4\n");
    let finished = while_running(&shop, &session, slow, || {
        let run = |used: &[u32], text: &str| {
            let job = job(&session, used, text);
            value(&shop.run(&session, job, Path::new(GCC)).expect("a reply"))
        };
        assert_eq!(run(&[harmless], "#include \"harmless.h\"\nint v = V;\n"), 4);
        assert_eq!(shop.groves(), 1, "they agree");
        assert_eq!(run(&[new], "#include \"v.h\"\nint v = V;\n"), 2);
        assert_eq!(run(&[late], "#include \"late.h\"\nint v = V;\n"), 3);
        assert_eq!(run(&[gone], "#include \"gone.h\"\nint v = 5;\n"), 5);
        assert_eq!(shop.groves(), 2, "they do not, and agree among themselves");
    });
    assert_eq!(value(&finished.expect("a reply")), 1);
    assert_eq!(shop.left_over(), 0);
}

#[test]
fn outputs_never_reach_the_grove() {
    let shop = BundleShop::new(ViewPolicy::Namespace);
    let mut session = Session::new();
    let header = session.add_file("/home/u/p/inc/v.h", b"int v = 1;\n");
    let script = "echo 'int v = 2;' > inc/v.h; echo 'int v = 9;' > inc/new.h; rm -f /dev/null /usr/include/stdio.h";
    let bad = scripted(&session, &[header], "#include \"inc/v.h\"\n", script);
    let spoilt = shop
        .run(&session, bad, Path::new("/bin/sh"))
        .expect("a reply");
    assert_eq!(value(&spoilt), 2, "the job changed its own view");
    let good = job(&session, &[header], "#include \"inc/v.h\"\n");
    assert_eq!(
        value(&shop.run(&session, good, Path::new(GCC)).expect("a reply")),
        1
    );
    let other = job(&session, &[], &finds(&["inc/new.h"]));
    assert_eq!(
        value(&shop.run(&session, other, Path::new(GCC)).expect("a reply")),
        1000
    );
}

#[test]
fn system_directories_of_the_grove_are_not_written_to() {
    let shop = BundleShop::new(ViewPolicy::Namespace);
    let mut session = Session::new();
    let header = session.add_file("/usr/include/own/v.h", b"int v = 1;\n");
    let text = "#include <own/v.h>\n";
    let tries = [
        "echo 'int v = 2;' > /usr/include/own/v.h",
        "echo 'int v = 3;' > /usr/include/own/new.h",
        "rm -f /usr/include/own/v.h",
        "mv /usr/include/own /usr/include/other",
        "chmod 777 /usr/include/own/v.h && touch /usr/include/own/v.h",
        "ln -f /usr/include/own/v.h /home/u/p/v.h",
        "mount -o remount,rw /usr/include && echo > /usr/include/own/v.h",
    ];
    for script in tries {
        let bad = scripted(&session, &[header], text, script);
        // Whatever it made of its own view.
        let _ = shop.run(&session, bad, Path::new("/bin/sh"));
        let good = job(&session, &[header], text);
        let good = shop.run(&session, good, Path::new(GCC)).expect("a reply");
        assert_eq!(value(&good), 1, "{script}");
    }
    assert_eq!(shop.groves(), 1);
}

#[test]
fn many_jobs_at_once_write_each_entry_once() {
    let shop = BundleShop::new(ViewPolicy::Namespace);
    let mut session = Session::new();
    let mut text = String::new();
    let mut used = Vec::new();
    for number in 0..200 {
        let name = format!("h{number}.h");
        let content = format!("enum {{ E{number} = 1 }};\n");
        used.push(session.add_file(&format!("/home/u/p/inc/{name}"), content.as_bytes()));
        text += &format!("#include \"{name}\"\n");
    }
    text += "int v = E0 + E199;\n";
    let asked = Arc::new(AtomicUsize::new(0));
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let job = job(&session, &used, &text);
                let blobs = session.blobs.clone();
                let asked = Arc::clone(&asked);
                let content = move |digest: &Digest| {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let all = blobs.0.lock().expect("not poisoned");
                    Ok(all.get(digest).cloned())
                };
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                barrier.wait();
                let never = std::future::pending::<()>();
                let finished = shop.shop.run_bundle(job, Path::new(GCC), content, never);
                assert_eq!(value(&runtime.block_on(finished).expect("a reply")), 2);
            });
        }
    });
    // And each job its own source.
    assert_eq!(asked.load(Ordering::Relaxed), 200 + 8);
    assert_eq!((shop.groves(), shop.left_over()), (1, 0));
}

#[test]
fn blobs_that_vanished_are_named_and_can_be_sent_again() {
    for keep_trees in [true, false] {
        let shop = BundleShop::with(ViewPolicy::Namespace, |s| s.keep_trees = keep_trees);
        let mut session = Session::new();
        let (one, two) = (b"#define V 1\n", b"#define W 2\n");
        let used = [
            session.add_file("/home/u/p/inc/v.h", one),
            session.add_file("/home/u/p/inc/w.h", two),
            session.add_file("/home/u/p/inc/x.h", b"#define X 4\n"),
        ];
        let text = "#include \"v.h\"\n#include \"w.h\"\n#include \"x.h\"\nint v = V + W + X;\n";
        let job = job(&session, &used, text);
        session.blobs.remove(one);
        session.blobs.remove(two);
        match shop.run(&session, job.clone(), Path::new(GCC)) {
            Err(JobError::Vanished(mut digests)) => {
                digests.sort_unstable();
                let mut expected = vec![Digest::of(one), Digest::of(two)];
                expected.sort_unstable();
                assert_eq!(digests, expected);
            }
            other => panic!("{other:?}"),
        }
        session.blobs.add(one);
        session.blobs.add(two);
        let finished = shop.run(&session, job, Path::new(GCC)).expect("a reply");
        assert_eq!(value(&finished), 7);
        assert_eq!(shop.left_over(), 0);
    }
}

#[test]
fn groves_are_bounded_and_go_in_the_end() {
    let limits = GroveLimits {
        number: 2,
        entries: 1000,
        bytes: 1 << 20,
    };
    let shop = BundleShop::with(ViewPolicy::Namespace, |settings| settings.groves = limits);
    for number in 1..5 {
        let mut session = Session::new();
        let content = format!("int v = {number};\n");
        let header = session.add_file("/home/u/p/inc/v.h", content.as_bytes());
        let job = job(&session, &[header], "#include \"v.h\"\n");
        assert_eq!(
            value(&shop.run(&session, job, Path::new(GCC)).expect("a reply")),
            number
        );
        assert!(shop.groves() <= 2);
    }
    let mut session = Session::new();
    let large = session.add_file("/home/u/p/inc/v.h", &[b' '; 2 << 20]);
    let big = job(&session, &[large], "#include \"v.h\"\nint v = 1;\n");
    assert_eq!(
        value(&shop.run(&session, big, Path::new(GCC)).expect("a reply")),
        1
    );
    let mut session = Session::new();
    let small = session.add_file("/home/u/p/inc/v.h", b"int v = 3;\n");
    let small = job(&session, &[small], "#include \"v.h\"\n");
    assert_eq!(
        value(&shop.run(&session, small, Path::new(GCC)).expect("a reply")),
        3
    );
    assert_eq!(
        shop.groves(),
        1,
        "the large one is gone, and those before it"
    );
    let BundleShop { shop, temp } = shop;
    drop(shop);
    let left = std::fs::read_dir(temp.path()).expect("it is there").count();
    assert_eq!(left, 0);
}

#[test]
fn what_a_killed_daemon_left_is_removed_and_what_a_living_one_has_is_not() {
    let temp = tempfile::tempdir().expect("a directory");
    let dead = temp.path().join("distccd_grove_dead00/3/root/home");
    let living = temp.path().join("distccd_grove_living");
    let mine = temp.path().join("distccd_groves_of_my_own");
    for dir in [&dead, &living, &mine] {
        std::fs::create_dir_all(dir).expect("directories");
    }
    std::fs::write(dead.join("x.h"), b"x").expect("a file");
    let lock = rustix::fs::open(&living, OFlags::RDONLY, rustix::fs::Mode::empty()).expect("open");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    let mut settings = distccd_cache::workshop::WorkshopSettings::new(temp.path().to_owned());
    settings.view = ViewPolicy::Rewrite;
    distccd_cache::workshop::Workshop::new(settings).expect("this machine can run jobs");
    assert!(!temp.path().join("distccd_grove_dead00").exists());
    assert!(living.exists() && mine.exists());
}

#[test]
fn jobs_that_disagree_at_random_see_each_their_own() {
    const PATHS: u32 = 5;
    const VERSIONS: u32 = 3;
    let shop = BundleShop::new(ViewPolicy::Namespace);
    let mut session = Session::new();
    // Version v of path p has index p * VERSIONS + v - 1; the last version is late.
    for at in 0..PATHS {
        for version in 1..=VERSIONS {
            let text = format!("#define P{at} {version}\n");
            let mut entry = session.file(&format!("/home/u/p/inc/p{at}.h"), text.as_bytes(), 77);
            entry.late = version == VERSIONS;
            session.add(entry);
        }
    }
    let mut text = String::new();
    let mut sum = Vec::new();
    for at in 0..PATHS {
        text += &format!(
            "#if __has_include(\"p{at}.h\")\n#include \"p{at}.h\"\n#else\n#define P{at} 0\n#endif\n"
        );
        sum.push(format!("P{at} * {}", 10u32.pow(at)));
    }
    text += &format!("int v = 1000000 + {};\n", sum.join(" + "));
    let (shop, session, text) = (&shop, &session, &text);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            scope.spawn(move || {
                let mut random = thread * 7919 + 1;
                for _ in 0..25 {
                    let (mut used, mut dead, mut expected) = (Vec::new(), Vec::new(), 1_000_000);
                    for at in 0..PATHS {
                        random = random
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        let pick = (random >> 33) as u32 % (VERSIONS + 1);
                        expected += i64::from(pick * 10u32.pow(at));
                        for version in 1..=VERSIONS {
                            let index = at * VERSIONS + version - 1;
                            match version == pick {
                                true => used.push(index),
                                false => dead.push(index),
                            }
                        }
                    }
                    let mut job = job(session, &used, text);
                    job.manifest.dead = indices(&dead);
                    let finished = shop.run(session, job, Path::new(GCC)).expect("a reply");
                    assert_eq!(value(&finished), expected, "{used:?}");
                }
            });
        }
    });
    assert_eq!(shop.left_over(), 0);
    assert!(shop.groves() <= GroveLimits::DEFAULT.number);
}
