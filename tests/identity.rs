//! Our three programs together: object, dependency file and diagnostics are those of the local compile, byte for byte,
//! however files are named and whatever is recorded about them.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};
use support::{Client, Daemon, IncludeServer, Maker, peer, run, run_ok, scratch, write_tree};

/// Read twice it says so; a third time would be an error.
const TWIN: &str = "#pragma once\n#ifdef TWO\n#error three\n#endif\n#ifdef ONE\n#define TWO 2\n#endif\n#define ONE\n";

fn make_tree(root: &Path) {
    write_tree(
        root,
        &[
            (
                "src/main.c",
                "#include <inc.h>\n#include \"sub/../local.h\"\n#include <marked.h>\n#include <assert.h>\n\
                 int f(int i) { assert(i == INC + LOCAL + MARKED); return unused(i); }\n\
                 const char *names[] = { __FILE__, INC_FILE, __BASE_FILE__ };\n",
            ),
            (
                "src/local.h",
                "#define LOCAL 2\nstatic int unused(int x) { int y; return x; }\n",
            ),
            ("src/sub/nothing.h", ""),
            (
                "inc/inc.h",
                "#pragma once\n#define INC 1\n#define INC_FILE __FILE__\n",
            ),
            ("inc/marked.h", "\u{feff}#define MARKED 3\n"),
            (
                "inc/linked/deep.h",
                "#define DEEP __FILE__\nstatic inline int deep(void) { return 4; }\n",
            ),
            (
                "src/deep.c",
                "#include <deep.h>\nconst char *d = DEEP;\nint g(void) { return deep(); }\n",
            ),
            (
                "src/more.cc",
                "#include <deep.h>\n#include <inc.h>\n#include <vector>\n\
                 std::vector<int> v{INC, deep()}; const char *n = INC_FILE;\n",
            ),
            ("inc/twin.h", TWIN),
            ("src/twin.h", TWIN),
            (
                "src/twins.c",
                "#include \"twin.h\"\n#include <twin.h>\n#include <twin.h>\nint t = TWO;\n",
            ),
        ],
    );
    // To gcc these are two files by their times alone.
    for (name, seconds) in [("inc/twin.h", 5), ("src/twin.h", 7)] {
        let file = fs::File::options().write(true).open(root.join(name));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds);
        file.unwrap().set_modified(time).unwrap();
    }
    std::os::unix::fs::symlink("inc/linked", root.join("link")).unwrap();
}

/// What the compile of one line leaves behind: exit code, object, dependency file, diagnostics.
fn products(cwd: &Path, command: &mut Command) -> (Option<i32>, Vec<u8>, String, String) {
    let (object, depfile) = (cwd.join("out.o"), cwd.join("out.d"));
    let _ = fs::remove_file(&object);
    let _ = fs::remove_file(&depfile);
    let output = run(command);
    (
        output.status.code(),
        fs::read(&object).unwrap_or_default(),
        fs::read_to_string(&depfile).unwrap_or_default(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Compiles many lines here and there, in our dialect or by protocol 3.
fn same_products(compilers: [&str; 2], in_bundles: bool) {
    let dir = scratch();
    make_tree(dir.path());
    let root = dir.path().display().to_string();
    let view = [("PUMPHOUSE_VIEW", "namespace")];
    let daemon = Daemon::start(Maker::Ours, dir.path(), &view);
    let include_server = IncludeServer::start(dir.path());
    let tap = support::tap::Tap::before(daemon.port);
    let client = Client::new(
        Maker::Ours,
        dir.path(),
        &format!("127.0.0.1:{}/4,cpp,lzo", tap.port),
    )
    .with_include_server(&include_server.socket)
    .with(
        "PUMPHOUSE_STOCK_PROTOCOLS",
        if in_bundles { "0" } else { "1" },
    );
    let cwd = dir.path().join("src");
    let [c, cxx] = compilers;
    let lines = [
        format!("{c} -O2 -Wall -I../inc -c main.c"),
        format!("{c} -O2 -g -Wall -I{root}/inc -c main.c"),
        format!("{c} -g -I{root}/src/../inc -c main.c"),
        format!("{c} -g -gdwarf-4 -I{root}/inc -c {root}/src/main.c"),
        format!("{c} -g3 -I../inc -c ../src/main.c"),
        format!("{c} -g -I{root}/link -c deep.c"),
        format!("{c} -g -I../link -c deep.c"),
        format!("{c} -g -O1 -ffile-prefix-map={root}=/p -I{root}/inc -c main.c"),
        format!("{c} -g -I../inc -c twins.c"),
        format!("{c} -g -I{root}/inc -c {root}/src/twins.c"),
        format!("{cxx} -O2 -g -std=c++17 -I{root}/src/../link -I../inc -c more.cc"),
    ];
    for line in &lines {
        let words: Vec<&str> = line.split(' ').chain(["-MD", "-o", "out.o"]).collect();
        let local = products(
            &cwd,
            Command::new(words[0]).args(&words[1..]).current_dir(&cwd),
        );
        assert_eq!(local.0, Some(0), "{line}\n{}", local.3);
        let remote = products(&cwd, &mut client.command(&cwd, &words));
        assert_eq!(remote.0, Some(0), "{line}\n{}", remote.3);
        assert!(remote.1 == local.1, "{line}: the objects differ");
        assert_eq!(remote.2, local.2, "{line}: the dependency files differ");
        assert_eq!(remote.3, local.3, "{line}: the diagnostics differ");
    }
    let opening = if in_bundles {
        "BNDL00000002"
    } else {
        "DIST00000003"
    };
    assert_eq!(tap.versions(), vec![opening; lines.len()]);
}

#[test]
fn gcc_in_the_namespace_view() {
    for in_bundles in [true, false] {
        same_products(["gcc", "g++"], in_bundles);
    }
}

#[test]
fn clang_in_the_namespace_view() {
    if peer("/usr/bin/clang-19").is_some() {
        for in_bundles in [true, false] {
            same_products(["clang-19", "clang++-19"], in_bundles);
        }
    }
}

/// Everything that a directory holds after a command, but for the sources.
fn everything(cwd: &Path, command: &mut Command) -> BTreeMap<String, Vec<u8>> {
    run_ok(command);
    let names = fs::read_dir(cwd)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_new = |path: &std::path::PathBuf| {
        !["c", "cc", "h"]
            .iter()
            .any(|suffix| path.extension() == Some(suffix.as_ref()))
    };
    names
        .filter(is_new)
        .filter(|path| path.is_file())
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                bytes,
            )
        })
        .collect()
}

#[test]
fn options_with_further_outputs_lose_none() {
    let dir = scratch();
    make_tree(dir.path());
    let daemon = Daemon::start(Maker::Ours, dir.path(), &[]);
    let include_server = IncludeServer::start(dir.path());
    let client = Client::new(
        Maker::Ours,
        dir.path(),
        &format!("127.0.0.1:{}/4,cpp,lzo", daemon.port),
    )
    .with_include_server(&include_server.socket);
    let cwd = dir.path().join("src");
    for options in [
        "-g -gsplit-dwarf",
        "--coverage -frandom-seed=1",
        "-ftest-coverage -fprofile-arcs -frandom-seed=1",
        "-save-temps",
        "-save-temps=obj",
        "-fstack-usage",
        "-MD -MF out.d -MT one -MT two",
        "-MD -MF out.d -MQ a$b -MT two",
        "-Wa,-adhln=out.lst",
        "-fdump-tree-optimized",
        "-fopt-info-vec=out.txt",
        "-fcallgraph-info",
    ] {
        let line = format!("gcc -O2 -I../inc {options} -c main.c -o out.o");
        let words: Vec<&str> = line.split(' ').collect();
        let mut here = Command::new(words[0]);
        here.args(&words[1..]).current_dir(&cwd);
        let local = everything(&cwd, &mut here);
        let remote = everything(&cwd, &mut client.command(&cwd, &words));
        let names = |products: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
            products.keys().cloned().collect()
        };
        assert!(local.contains_key("out.o"), "{options}");
        assert_eq!(names(&remote), names(&local), "{options}");
        assert!(remote == local, "{options}: the products differ");
    }
}
