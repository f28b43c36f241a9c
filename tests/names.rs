//! The names that compilers go by, and what stands between a build and `distcc`: each job is done by the server, in pump
//! mode, and comes out byte for byte as without distcc.

mod support;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Client, Daemon, IncludeServer, Maker, ours, peer, run_ok, scratch, write_tree};
use tempfile::TempDir;

/// A tree, a server, and what a client has to know of them.
struct Bench {
    dir: TempDir,
    daemon: Daemon,
    include_server: IncludeServer,
}

impl Bench {
    fn new() -> Self {
        let dir = scratch();
        write_tree(
            dir.path(),
            &[
                (
                    "src/a.c",
                    "#include \"h.h\"\n#include <stdio.h>\nint f(void) { return puts(WORDS) + sizeof(long); }\n",
                ),
                (
                    "src/b.cc",
                    "#include \"h.h\"\n#include <string>\nstd::string f() { return WORDS; }\n",
                ),
                ("src/h.h", "#define WORDS __FILE__ \" at work\"\n"),
            ],
        );
        let daemon = Daemon::start(Maker::Ours, dir.path(), &[]);
        let include_server = IncludeServer::start(dir.path());
        Self {
            dir,
            daemon,
            include_server,
        }
    }

    fn src(&self) -> PathBuf {
        self.dir.path().join("src")
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    /// A client whose jobs are written down.
    fn client(&self) -> Client {
        let hosts = format!("127.0.0.1:{}/4,cpp,lzo", self.daemon.port);
        Client::new(Maker::Ours, self.dir.path(), &hosts)
            .with_include_server(&self.include_server.socket)
            .with("PUMPHOUSE_JOURNAL", self.journal())
    }

    /// A command in the client's environment, with these directories in front of `PATH`.
    fn command(&self, words: &[&str], in_front: &[PathBuf]) -> Command {
        let template = self.client().command(&self.src(), &[] as &[&str]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.src());
        for (name, value) in template.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env("PATH", path_with(in_front))
            .env("CCACHE_DIR", self.dir.path().join("ccache"))
            .env_remove("CCACHE_DISABLE");
        command
    }

    /// Runs a command; returns how many jobs the server did for it and how many of the client's were in pump mode.
    fn jobs_of(&self, command: &mut Command) -> (usize, usize) {
        let before = self.daemon.compiled();
        let _ = fs::remove_file(self.journal());
        run_ok(command);
        let journal = fs::read_to_string(self.journal()).unwrap_or_default();
        let pumped = journal.lines().filter(|line| {
            let mode = line.split('\t').nth(1);
            mode == Some("pump")
        });
        (self.daemon.compiled() - before, pumped.count())
    }

    /// A directory of links to a program.
    fn links(&self, name: &str, to: &Path, links: &[&str]) -> PathBuf {
        let directory = self.dir.path().join(name);
        fs::create_dir(&directory).unwrap();
        for link in links {
            symlink(to, directory.join(link)).unwrap();
        }
        directory
    }

    /// What a build leaves, taken away.
    fn take(&self, names: &[&str]) -> Vec<Vec<u8>> {
        let path = |name: &&str| self.src().join(name);
        let bytes = names
            .iter()
            .map(|name| fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
            .collect();
        for name in names {
            fs::remove_file(path(name)).unwrap();
        }
        bytes
    }

    /// Compiles without distcc.
    fn local(&self, words: &[&str], products: &[&str]) -> Vec<Vec<u8>> {
        run_ok(
            Command::new(words[0])
                .args(&words[1..])
                .current_dir(self.src())
                .env("CCACHE_DISABLE", "1"),
        );
        self.take(products)
    }
}

fn path_with(in_front: &[PathBuf]) -> OsString {
    let own = std::env::var_os("PATH").unwrap();
    let behind = std::env::split_paths(&own).filter(|dir| !dir.ends_with("ccache"));
    std::env::join_paths(in_front.iter().cloned().chain(behind)).unwrap()
}

const PRODUCTS: [&str; 2] = ["o.o", "o.d"];

/// A compile by each name that is installed.
fn lines() -> Vec<Vec<&'static str>> {
    let names = [
        ("/usr/bin/cc", "cc"),
        ("/usr/bin/c++", "c++"),
        ("/usr/bin/gcc", "gcc"),
        ("/usr/bin/g++", "g++"),
        ("/usr/bin/gcc-12", "gcc-12"),
        ("/usr/bin/x86_64-linux-gnu-gcc", "x86_64-linux-gnu-gcc"),
        (
            "/usr/bin/x86_64-linux-gnu-g++-12",
            "x86_64-linux-gnu-g++-12",
        ),
        ("/usr/bin/clang-19", "clang-19"),
        ("/usr/bin/clang++-19", "clang++-19"),
        ("/usr/bin/aarch64-linux-gnu-gcc", "aarch64-linux-gnu-gcc"),
        ("/usr/bin/aarch64-linux-gnu-g++", "aarch64-linux-gnu-g++"),
        ("/usr/bin/gcc", "/usr/bin/gcc"),
        ("/usr/bin/clang-19", "/usr/bin/clang-19"),
        ("/etc/alternatives/cc", "/etc/alternatives/cc"),
    ];
    let mut lines = Vec::new();
    for (path, name) in names {
        if peer(path).is_some() {
            let source = if name.contains("++") { "b.cc" } else { "a.c" };
            lines.push(vec![name, "-O1", "-g", "-MD", "-c", source, "-o", "o.o"]);
        }
    }
    lines
}

#[test]
fn every_name_of_a_compiler_is_distributed() {
    let bench = Bench::new();
    for words in lines() {
        let local = bench.local(&words, &PRODUCTS);
        let mut command = bench.client().command(&bench.src(), &words);
        assert_eq!(bench.jobs_of(&mut command), (1, 1), "{words:?}");
        assert!(bench.take(&PRODUCTS) == local, "{words:?}: another result");
    }
    // Compilers for two machines, on one daemon.
    let is_cross = peer("/usr/bin/aarch64-linux-gnu-gcc").is_some();
    let log = bench.daemon.log_text();
    assert!(!is_cross || log.contains("aarch64-linux-gnu-gcc"));
}

/// `/usr/lib/distcc`, by that name and as `/usr/lib/distcc/bin`, which is a link to itself.
#[test]
fn every_name_is_distributed_by_a_masquerade_directory() {
    let bench = Bench::new();
    let lines = lines();
    let names: Vec<&str> = lines
        .iter()
        .map(|words| words[0])
        .filter(|name| !name.contains('/'))
        .collect();
    let links = bench.links("lib-distcc", &ours("distcc"), &names);
    symlink(".", links.join("bin")).unwrap();
    for (words, front) in lines
        .iter()
        .filter(|words| !words[0].contains('/'))
        .zip([links.clone(), links.join("bin")].into_iter().cycle())
    {
        let local = bench.local(words, &PRODUCTS);
        // Found on PATH, and by its whole path as CMake writes it down.
        let whole = links.join(words[0]).display().to_string();
        let mut by_path = words.clone();
        by_path[0] = &whole;
        for words in [words, &by_path] {
            let mut command = bench.command(words, std::slice::from_ref(&front));
            assert_eq!(bench.jobs_of(&mut command), (1, 1), "{words:?}");
            assert!(bench.take(&PRODUCTS) == local, "{words:?}: another result");
        }
    }
}

/// A miss is distributed, a hit is not; both give the local compile's object.
#[test]
fn ccache_in_front_of_distcc() {
    let Some(ccache) = peer("/usr/bin/ccache") else {
        return;
    };
    let bench = Bench::new();
    let distcc_alone = bench.links("distcc-alone", &ours("distcc"), &["distcc"]);
    let distcc = bench.links("lib-distcc", &ours("distcc"), &["gcc"]);
    let through_ccache = bench.links("lib-ccache", &ccache, &["gcc"]);
    let whole = distcc.join("gcc").display().to_string();
    let launched = format!("{}", ours("distcc").display());
    // The words in front of the arguments, PATH's first directories, CCACHE_PREFIX.
    let ways: [(&[&str], Vec<PathBuf>, Option<&str>); 4] = [
        (
            &["ccache", "gcc"],
            vec![distcc_alone.clone()],
            Some("distcc"),
        ),
        (
            &["gcc"],
            vec![through_ccache.clone(), distcc_alone.clone()],
            Some("distcc"),
        ),
        (&["gcc"], vec![through_ccache, distcc.clone()], None),
        // CMake, configured with a masquerade directory in front and told to use ccache.
        (&["ccache", &whole], vec![distcc], Some(&launched)),
    ];
    let arguments = ["-O1", "-g", "-c", "a.c", "-o", "o.o"];
    for (words, in_front, prefix) in ways {
        let _ = fs::remove_dir_all(bench.dir.path().join("ccache"));
        let local = bench.local(&[&["gcc"][..], &arguments].concat(), &["o.o"]);
        let words = [words, &arguments].concat();
        for (round, jobs) in [("miss", 1), ("hit", 0)] {
            let mut command = bench.command(&words, &in_front);
            if let Some(prefix) = prefix {
                command.env("CCACHE_PREFIX", prefix);
            }
            let found = bench.jobs_of(&mut command);
            assert_eq!(found, (jobs, jobs), "{words:?} {prefix:?}: {round}");
            assert!(bench.take(&["o.o"]) == local, "{words:?}: {round}");
        }
    }
}

/// libtool compiles twice, for a shared library and for a static one.
#[test]
fn libtool_compiles_both_objects_elsewhere() {
    let Some(libtool) = peer("/usr/bin/libtool") else {
        return;
    };
    let bench = Bench::new();
    let libtool = libtool.display().to_string();
    let rest = ["gcc", "-O1", "-g", "-c", "a.c", "-o", "a.lo"];
    let head = [libtool.as_str(), "--tag=CC", "--mode=compile"];
    let products = ["a.o", ".libs/a.o", "a.lo"];
    let local = bench.local(&[&head[..], &rest].concat(), &products);
    assert!(local[0] != local[1], "one of them is position independent");
    let distcc = ours("distcc").display().to_string();
    let words = [&head[..], &[&distcc], &rest].concat();
    let mut command = bench.command(&words, &[]);
    assert_eq!(bench.jobs_of(&mut command), (2, 2));
    assert!(bench.take(&products) == local, "another result");
}
