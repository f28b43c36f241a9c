//! Every program of ours with stock distcc 3.4's other two, on real compiles.
//!
//! Each pair compiles the same small tree: links, directories that are only passed through, absolute and relative
//! search directories, C++ with system headers. A tap between client and daemon shows that the job crossed in the
//! protocol that the pair is about, and each object is compared with the local compiler's.

mod support;

use std::fs;
use std::path::Path;
use support::tap::Tap;
use support::{Client, Daemon, IncludeServer, Maker, run_ok, scratch, stock_installed, write_tree};

/// The tree that is compiled.
fn make_tree(root: &Path) {
    write_tree(
        root,
        &[
            (
                "src/plain.c",
                "#include \"local.h\"\n#include <stdio.h>\nint f(void) { return printf(\"%d\\n\", LOCAL); }\n",
            ),
            ("src/local.h", "#define LOCAL 42\n"),
            (
                "src/links.c",
                "#include \"v.h\"\n#include \"gone/../w.h\"\nint v = V + W;\nconst char *file = __FILE__;\n",
            ),
            ("src/w.h", "#define W 2\n"),
            ("src/gone/unused.h", ""),
            ("inc/real.h", "#define V 1\n"),
            (
                "inc/only.hpp",
                "template <class T> T twice(T t) { return t + t; }\n",
            ),
            (
                "src/cxx.cc",
                "#include <only.hpp>\n#include <map>\n#include <string>\n#if __has_include(\"maybe.h\")\nint maybe;\n#endif\n\
                 std::map<std::string, int> m; int g() { return twice(m[\"x\"]); }\n",
            ),
            ("src/maybe.h", "#error never read\n"),
            (
                "src/assert.c",
                "#include <assert.h>\n#include <inc.h>\nvoid h(int i) { assert(i == INC); }\n",
            ),
            ("inc/inc.h", "#define INC 7\n"),
        ],
    );
    std::os::unix::fs::symlink("../inc/real.h", root.join("src/v.h")).unwrap();
}

/// The compiles: a name for the output, and the command line without `-o`.
fn compiles(root: &Path) -> Vec<(&'static str, Vec<String>)> {
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let inc = root.join("inc").display().to_string();
    vec![
        ("plain", words("gcc -O2 -Wall -c plain.c")),
        ("links", words("gcc -O2 -c links.c")),
        ("cxx", words("g++ -O1 -I../inc -c cxx.cc")),
        ("assert", words(&format!("gcc -O2 -I{inc} -c assert.c"))),
    ]
}

/// Compiles the tree locally and by the client; every object and dependency file must be the same.
fn compare(client: &Client, root: &Path) -> usize {
    let cwd = root.join("src");
    let mut count = 0;
    for (name, words) in compiles(root) {
        let object = format!("{name}.o");
        let depfile = format!("{name}.d");
        let all: Vec<String> = [
            words,
            vec![
                "-MMD".into(),
                "-MF".into(),
                depfile.clone(),
                "-o".into(),
                object.clone(),
            ],
        ]
        .concat();
        run_ok(
            std::process::Command::new(&all[0])
                .args(&all[1..])
                .current_dir(&cwd),
        );
        let local = fs::read(cwd.join(&object)).unwrap();
        let local_d = fs::read_to_string(cwd.join(&depfile)).unwrap();
        fs::remove_file(cwd.join(&object)).unwrap();
        fs::remove_file(cwd.join(&depfile)).unwrap();
        client.compile(&cwd, &all);
        assert!(
            fs::read(cwd.join(&object)).unwrap() == local,
            "{name}: the object differs"
        );
        let remote_d = fs::read_to_string(cwd.join(&depfile)).unwrap();
        assert_eq!(
            joined(&remote_d),
            joined(&local_d),
            "{name}: the dependency file differs"
        );
        count += 1;
    }
    count
}

/// A dependency file's words: where it wraps its lines depends on the server's path lengths with a stock daemon.
fn joined(depfile: &str) -> Vec<String> {
    depfile
        .split_whitespace()
        .filter(|word| *word != "\\")
        .map(str::to_owned)
        .collect()
}

/// One pair of the matrix: who plays what, and the hosts' options; `openings` are the first tokens that crossed, in order, those of the last
/// repeated for all further jobs.
fn pair(client: Maker, daemon: Maker, options: &str, openings: &[&str]) {
    if !stock_installed() {
        return;
    }
    let dir = scratch();
    make_tree(dir.path());
    let daemon = Daemon::start(daemon, dir.path(), &[]);
    let tap = Tap::before(daemon.port);
    let mut client = Client::new(
        client,
        dir.path(),
        &format!("127.0.0.1:{}/4{options}", tap.port),
    );
    let include_server = options
        .contains("cpp")
        .then(|| IncludeServer::start(dir.path()));
    if let Some(server) = &include_server {
        client = client.with_include_server(&server.socket);
    }
    let count = compare(&client, dir.path());
    let mut expected: Vec<&str> = openings.to_vec();
    expected.resize(count + openings.len() - 1, openings[openings.len() - 1]);
    assert_eq!(tap.versions(), expected);
    support::wait_until("the daemon's log lines", || daemon.compiled() == count);
}

const PROTOCOL_1: &[&str] = &["DIST00000001"];
const PROTOCOL_2: &[&str] = &["DIST00000002"];
const PROTOCOL_3: &[&str] = &["DIST00000003"];
const BUNDLES: &[&str] = &["BNDL00000002"];

#[test]
fn stock_client_our_include_server_our_daemon() {
    pair(Maker::Stock, Maker::Ours, ",cpp,lzo", PROTOCOL_3);
}

#[test]
fn stock_client_our_include_server_stock_daemon() {
    pair(Maker::Stock, Maker::Stock, ",cpp,lzo", PROTOCOL_3);
}

#[test]
fn our_client_our_include_server_stock_daemon() {
    // The first job finds out that the server is stock's, and all know it from then on.
    let openings = &["BNDL00000002", "DIST00000003"];
    pair(Maker::Ours, Maker::Stock, ",cpp,lzo", openings);
}

#[test]
fn our_client_our_include_server_our_daemon() {
    pair(Maker::Ours, Maker::Ours, ",cpp,lzo", BUNDLES);
}

#[test]
fn our_client_stock_daemon_protocol_1() {
    pair(Maker::Ours, Maker::Stock, "", PROTOCOL_1);
}

#[test]
fn our_client_stock_daemon_protocol_2() {
    pair(Maker::Ours, Maker::Stock, ",lzo", PROTOCOL_2);
}

#[test]
fn our_client_our_daemon_protocol_1() {
    pair(Maker::Ours, Maker::Ours, "", PROTOCOL_1);
}

#[test]
fn our_client_our_daemon_protocol_2() {
    pair(Maker::Ours, Maker::Ours, ",lzo", PROTOCOL_2);
}

#[test]
fn stock_client_our_daemon_protocol_1() {
    pair(Maker::Stock, Maker::Ours, "", PROTOCOL_1);
}

#[test]
fn stock_client_our_daemon_protocol_2() {
    pair(Maker::Stock, Maker::Ours, ",lzo", PROTOCOL_2);
}
