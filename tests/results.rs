//! The daemon's result cache as clients see it: what is given again, to whom, and what never is. Objects are compared with the local compiler's each time.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::tap::Tap;
use support::{Client, Daemon, IncludeServer, Maker, run, run_ok, scratch, wait_until, write_tree};

/// A project that warns, tells its place, and has a header beside and one below.
const PROJECT: &[(&str, &str)] = &[
    (
        "src/a.c",
        "#include <stdio.h>\n#include \"a.h\"\n#include \"deep/b.h\"\nint f(void) { int unused; puts(__FILE__ B); return A; }\n",
    ),
    ("src/a.h", "#define A 1\n"),
    ("inc/deep/b.h", "#pragma once\n#define B \"b\"\n"),
];

const LINE: &str = "gcc -O1 -Wall -I../inc -MD -MF a.d -c a.c -o a.o";

/// The whole house on loopback.
struct House {
    daemon: Daemon,
    tap: Tap,
    home: PathBuf,
    include_server: IncludeServer,
}

/// By which door a job comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    Bundle,
    Pump3,
    StockPump,
    Lzo2,
    Plain1,
}

impl House {
    fn new(dir: &Path, options: &[&str]) -> Self {
        let daemon = Daemon::start_with(Maker::Ours, dir, &[], options);
        let tap = Tap::before(daemon.port);
        let home = dir.join("clients");
        fs::create_dir_all(&home).unwrap();
        let include_server = IncludeServer::start(&home);
        Self {
            daemon,
            tap,
            home,
            include_server,
        }
    }

    fn client(&self, door: Door) -> Client {
        let maker = match door {
            Door::StockPump => Maker::Stock,
            _ => Maker::Ours,
        };
        let options = match door {
            Door::Plain1 => "",
            Door::Lzo2 => ",lzo",
            _ => ",cpp,lzo",
        };
        let hosts = format!("127.0.0.1:{}/8{options}", self.tap.port);
        let client = Client::new(maker, &self.home, &hosts).with("DISTCC_NO_REWRITE_CROSS", "1");
        match door {
            Door::Plain1 | Door::Lzo2 => client,
            Door::Pump3 => client
                .with_include_server(&self.include_server.socket)
                .with("PUMPHOUSE_STOCK_PROTOCOLS", "1"),
            Door::Bundle | Door::StockPump => {
                client.with_include_server(&self.include_server.socket)
            }
        }
    }

    /// What the daemon's log says of the result of the last job.
    fn compile(&self, door: Door, cwd: &Path, line: &str) -> (Output, String) {
        let lines = || -> Vec<String> {
            let log = self.daemon.log_text();
            let lines = log.lines().filter(|line| line.contains("(dcc_job_cache)"));
            lines.map(str::to_owned).collect()
        };
        let before = lines().len();
        let output = self
            .client(door)
            .compile(cwd, &line.split(' ').collect::<Vec<_>>());
        wait_until("a line about the result", || lines().len() > before);
        let word = lines()[before].clone();
        let rest = word.split_once("client: ").unwrap().1.to_owned();
        (output, rest.split_once(' ').unwrap().1.to_owned())
    }

    /// Compiles and compares with the local compiler.
    fn compare(&self, door: Door, cwd: &Path, line: &str) -> String {
        let mut local = Results::of(cwd, || run_ok(&mut local(cwd, line)));
        let mut word = String::new();
        let remote = Results::of(cwd, || {
            let (output, said) = self.compile(door, cwd, line);
            word = said;
            output
        });
        if matches!(door, Door::Lzo2 | Door::Plain1) {
            // A server that has no source shows no lines of it.
            let line = |text: &str| text.lines().filter(|line| line.starts_with("a.c:")).count();
            assert_eq!(
                line(&local.stderr),
                line(&remote.stderr),
                "{}",
                remote.stderr
            );
            local.stderr.clone_from(&remote.stderr);
        }
        assert!(
            local == remote,
            "{door:?} {line}: {local:?}\nis not {remote:?}\n{word}"
        );
        word
    }
}

fn local(cwd: &Path, line: &str) -> Command {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(cwd);
    command
}

/// What a compile left: a.o, a.d and its diagnostics.
#[derive(PartialEq)]
struct Results {
    object: Vec<u8>,
    dependencies: Option<Vec<u8>>,
    stderr: String,
}

impl std::fmt::Debug for Results {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dependencies = self.dependencies.as_deref().unwrap_or_default();
        f.debug_struct("Results")
            .field("object", &blake3_like(&self.object))
            .field("dependencies", &String::from_utf8_lossy(dependencies))
            .field("stderr", &self.stderr)
            .finish()
    }
}

/// Enough of an object to tell it from another.
fn blake3_like(bytes: &[u8]) -> (usize, u64) {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    (bytes.len(), hasher.finish())
}

impl Results {
    fn of(cwd: &Path, compile: impl FnOnce() -> Output) -> Self {
        for name in ["a.o", "a.d"] {
            let _ = fs::remove_file(cwd.join(name));
        }
        let output = compile();
        Self {
            object: fs::read(cwd.join("a.o")).unwrap(),
            dependencies: fs::read(cwd.join("a.d")).ok(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn project(dir: &Path, name: &str) -> PathBuf {
    let root = dir.join(name);
    write_tree(&root, PROJECT);
    root.join("src")
}

fn is_hit(word: &str) -> bool {
    word.starts_with("hit")
}

#[test]
fn the_same_again_is_given_again_by_every_door() {
    let dir = scratch();
    let house = House::new(dir.path(), &[]);
    let cwd = project(dir.path(), "p");
    let mut doors = vec![Door::Bundle, Door::Pump3, Door::Lzo2, Door::Plain1];
    if support::stock_installed() {
        doors.push(Door::StockPump);
    }
    for door in doors {
        for line in [LINE.to_owned(), LINE.replace("-O1", "-O1 -g")] {
            if line.contains("-g") && matches!(door, Door::Lzo2 | Door::Plain1) {
                // Debug information of a preprocessed source is another, as with stock.
                continue;
            }
            let first = house.compare(door, &cwd, &line);
            // Stock's client in pump mode sends what ours sends by the same protocol.
            assert_eq!(is_hit(&first), door == Door::StockPump, "{door:?} {first}");
            let second = house.compare(door, &cwd, &line);
            assert!(is_hit(&second), "{door:?} {line}: {second}");
        }
    }
}

#[test]
fn a_hit_asks_for_nothing() {
    let dir = scratch();
    let house = House::new(dir.path(), &[]);
    let cwd = project(dir.path(), "p");
    house.compare(Door::Bundle, &cwd, LINE);
    // A source that was touched is the same source, also for an include server that has just begun.
    fs::write(cwd.join("a.c"), fs::read(cwd.join("a.c")).unwrap()).unwrap();
    house.compare(Door::Bundle, &cwd, LINE);
    let crossing = house.tap.crossings().pop().unwrap();
    assert!(crossing.up < 1500, "{} bytes up", crossing.up);
}

#[test]
fn whatever_changes_is_compiled_anew() {
    let dir = scratch();
    let house = House::new(dir.path(), &[]);
    let cwd = project(dir.path(), "p");
    let root = cwd.parent().unwrap().to_owned();
    house.compare(Door::Bundle, &cwd, LINE);
    let write = |name: &str, text: &str| write_tree(&root, &[(name, text)]);
    let check = |line: &str, why: &str| {
        let word = house.compare(Door::Bundle, &cwd, line);
        assert!(word.starts_with(&format!("miss ({why}")), "{why}: {word}");
    };
    write("src/a.h", "#define A 2\n");
    check(LINE, "a.h has changed");
    let line = &LINE.replace("-O1", "-O2");
    check(line, "-O2 was not among the options last time");
    let line = &format!("gcc -DX -O2 {}", &line[8..]);
    check(line, "-DX was not among the options last time");
    // A header that comes earlier on the path, with the same bytes.
    write("src/deep/b.h", "#pragma once\n#define B \"b\"\n");
    let word = house.compare(Door::Bundle, &cwd, line);
    assert!(word.contains("is read now"), "{word}");
    fs::remove_dir_all(root.join("src/deep")).unwrap();
    assert!(is_hit(&house.compare(Door::Bundle, &cwd, line)));
    // The other compiler.
    let line = LINE.replace("gcc", "g++").replace("a.c", "a.c -x none");
    assert!(!is_hit(&house.compare(Door::Bundle, &cwd, &line)));
    // Back to what was.
    write("src/a.h", "#define A 1\n");
    assert!(is_hit(&house.compare(Door::Bundle, &cwd, LINE)));
}

/// As the Linux kernel's trace events do it, with a list of what was read that leaves the system's headers out.
#[test]
fn a_header_whose_name_macros_make_is_no_reason_to_compile_again() {
    let dir = scratch();
    let house = House::new(dir.path(), &[]);
    let cwd = project(dir.path(), "p");
    let text = "/* nobody writes asm(\".include x.h\") here */\n#include <stddef.h>\n#define QUOTED(x) #x\n#define TEXT(x) QUOTED(x)\n\
        #define HEADER(x) TEXT(x.h)\n#define THIS made\n#include HEADER(THIS)\nint f(void) { return MADE; }\n";
    write_tree(
        &cwd,
        &[
            ("a.c", text),
            ("made.h", "#define MADE 7\n"),
            ("b.c", "#include \"deep/other.h\"\nint g = OTHER;\n"),
            ("deep/other.h", "#define OTHER 8\n"),
        ],
    );
    let line = "gcc -O1 -I. -MMD -MF a.d -c a.c -o a.o";
    // Another unit brings files that this one does not use.
    house.compile(Door::Bundle, &cwd, "gcc -O1 -I. -MMD -c b.c -o b.o");
    let first = house.compare(Door::Bundle, &cwd, line);
    assert!(first.starts_with("miss"), "{first}");
    let second = house.compare(Door::Bundle, &cwd, line);
    assert!(is_hit(&second), "{second}");
}

#[test]
fn two_headers_that_change_places_make_another_object() {
    let dir = scratch();
    let house = House::new(dir.path(), &[]);
    let cwd = project(dir.path(), "p");
    write_tree(&cwd, &[("x.h", "#define X 1\n"), ("y.h", "#define Y 2\n")]);
    write_tree(
        &cwd,
        &[(
            "a.c",
            "#include \"x.h\"\n#include \"y.h\"\nint z = X + 10 * Y;\n",
        )],
    );
    house.compare(Door::Bundle, &cwd, LINE);
    write_tree(&cwd, &[("x.h", "#define Y 2\n"), ("y.h", "#define X 1\n")]);
    assert!(!is_hit(&house.compare(Door::Bundle, &cwd, LINE)));
}

#[test]
fn the_same_sources_elsewhere_are_given_without_anybodys_paths() {
    let dir = scratch();
    let house = House::new(dir.path(), &[]);
    let (one, two) = (
        project(dir.path(), "one"),
        project(dir.path(), "two/deeper"),
    );
    for door in [Door::Bundle, Door::Pump3] {
        house.compare(door, &one, LINE);
        let word = house.compare(door, &two, LINE);
        assert!(is_hit(&word), "{door:?}: {word}");
        // What shows the place is for that place only.
        for more in ["-g", "-flto -frandom-seed=1", "-DP=\"/x\""] {
            let line = LINE.replace("-O1", &format!("-O1 {more}"));
            let first = house.compare(door, &one, &line);
            let second = house.compare(door, &two, &line);
            let moves = !more.starts_with("-g") && !more.starts_with("-flto");
            assert_eq!(is_hit(&second), moves, "{door:?} {more}: {first} {second}");
        }
        let own = format!("{LINE} -I{}", one.parent().unwrap().display());
        house.compare(door, &one, &own);
        assert!(!is_hit(&house.compare(door, &two, &own)));
    }
}

#[test]
fn a_build_in_a_directory_that_a_link_leads_to() {
    let dir = scratch();
    let house = House::new(dir.path(), &[]);
    let one = project(dir.path(), "one");
    symlink("../inc/deep", one.join("linked")).unwrap();
    write_tree(
        &one,
        &[(
            "a.c",
            "#include \"linked/b.h\"\nconst char *f(void) { return __FILE__ B; }\n",
        )],
    );
    house.compare(Door::Bundle, &one, LINE);
    assert!(is_hit(&house.compare(Door::Bundle, &one, LINE)));
    // The link leads elsewhere now, to a file with the same bytes.
    write_tree(
        &one,
        &[("../inc/other/b.h", "#pragma once\n#define B \"b\"\n")],
    );
    fs::remove_file(one.join("linked")).unwrap();
    symlink("../inc/other", one.join("linked")).unwrap();
    assert!(!is_hit(&house.compare(Door::Bundle, &one, LINE)));
}

#[test]
fn what_depends_on_the_time_or_failed_is_not_kept() {
    let dir = scratch();
    let house = House::new(dir.path(), &[]);
    let cwd = project(dir.path(), "p");
    // A client of stock's protocols, with an include server that does not mind, sends such sources.
    write_tree(
        &cwd,
        &[(
            "a.c",
            "asm(\".pushsection .x\\n.incbin \\\"/dev/null\\\"\\n.popsection\");\n",
        )],
    );
    for door in [Door::Lzo2, Door::Plain1] {
        let line = "gcc -c a.c -o a.o";
        let before = house.daemon.log_text().len();
        let _ = run(&mut house
            .client(door)
            .command(&cwd, &line.split(' ').collect::<Vec<_>>()));
        let log = house.daemon.settled_log()[before..].to_owned();
        assert!(log.contains("not kept ("), "{log}");
    }
    // A failure is told again and again.
    write_tree(&cwd, &[("a.c", "int f( { }\n")]);
    for _ in 0..2 {
        let words: Vec<&str> = "gcc -c a.c -o a.o".split(' ').collect();
        let output = run(&mut house.client(Door::Bundle).command(&cwd, &words));
        assert!(!output.status.success());
    }
    let log = house.daemon.settled_log();
    assert_eq!(
        log.matches("not kept (the compile failed)").count(),
        4,
        "{log}"
    );
}

#[test]
fn results_outlive_the_daemon_that_made_them() {
    let dir = scratch();
    let cache = support::daemons_directory(dir.path(), "cache");
    let option = format!("--cache-dir={}", cache.display());
    let cwd = project(dir.path(), "p");
    {
        let house = House::new(dir.path(), &[&option]);
        assert!(!is_hit(&house.compare(Door::Bundle, &cwd, LINE)));
        assert!(!is_hit(&house.compare(Door::Lzo2, &cwd, LINE)));
        assert!(!is_hit(&house.compare(Door::Pump3, &cwd, LINE)));
        let pid = libc::pid_t::try_from(house.daemon.pid()).unwrap();
        // SAFETY: a plain system call on the id of a child that has not been waited for.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    let house = House::new(dir.path(), &[&option]);
    for door in [Door::Bundle, Door::Lzo2, Door::Pump3] {
        let word = house.compare(door, &cwd, LINE);
        assert!(is_hit(&word), "{door:?}: {word}");
    }
}

#[test]
fn a_damaged_result_is_compiled_again() {
    let dir = scratch();
    let cache = support::daemons_directory(dir.path(), "cache");
    let house = House::new(dir.path(), &[&format!("--cache-dir={}", cache.display())]);
    let cwd = project(dir.path(), "p");
    house.compare(Door::Bundle, &cwd, LINE);
    let mut damaged = 0;
    for shard in fs::read_dir(cache.join("blobs")).unwrap() {
        for file in fs::read_dir(shard.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            if bytes.starts_with(b"pumphouse rec") {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x40;
                fs::write(&path, bytes).unwrap();
                damaged += 1;
            }
        }
    }
    assert_eq!(damaged, 1);
    assert!(!is_hit(&house.compare(Door::Bundle, &cwd, LINE)));
    assert!(is_hit(&house.compare(Door::Bundle, &cwd, LINE)));
}

#[test]
fn many_who_want_the_same_at_once_compile_once() {
    let dir = scratch();
    let house = House::new(dir.path(), &[]);
    let slow: String = (0..400)
        .map(|n| format!("int f{n}(int *a) {{ int s = 0; for (int i = 0; i < {n}; i++) s += a[i] * {n}; return s; }}\n"))
        .collect();
    // One job, which eight clients have at eight places.
    let copies: Vec<PathBuf> = (0..8)
        .map(|n| dir.path().join(format!("copy{n}/src")))
        .collect();
    for copy in &copies {
        write_tree(copy, &[("a.c", &slow)]);
    }
    std::thread::scope(|scope| {
        for copy in &copies {
            let house = &house;
            scope.spawn(move || {
                let words = ["gcc", "-O3", "-c", "a.c", "-o", "a.o"];
                house.client(Door::Bundle).compile(copy, &words);
            });
        }
    });
    let object = fs::read(copies[0].join("a.o")).unwrap();
    for copy in &copies {
        assert!(fs::read(copy.join("a.o")).unwrap() == object);
    }
    let log = house.daemon.settled_log();
    assert_eq!(log.matches(" miss (").count(), 1, "{log}");
    assert_eq!(log.matches(" hit: ").count(), 7, "{log}");
}

#[test]
fn a_daemon_that_is_told_not_to_keep_results_keeps_none() {
    let dir = scratch();
    let house = House::new(dir.path(), &["--cache-results=no"]);
    let cwd = project(dir.path(), "p");
    for _ in 0..2 {
        let word = house.compare(Door::Bundle, &cwd, LINE);
        assert!(word.starts_with("not kept ("), "{word}");
        run_ok(
            &mut house
                .client(Door::Lzo2)
                .command(&cwd, &["gcc", "-c", "a.c", "-I../inc"]),
        );
    }
}
