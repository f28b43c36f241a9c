//! `-march=native` and its like: sent as what the compiler here makes of them, or compiled here; the same object either way.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use support::{Client, Daemon, IncludeServer, Maker, peer, run_ok, scratch};

const SOURCE: &str = "#include <stddef.h>\n\
    #ifdef __AVX2__\nint has_avx2 = 1;\n#endif\n\
    float dot(const float *a, const float *b, size_t n)\n\
    { float sum = 0; for (size_t i = 0; i < n; i++) sum += a[i] * b[i]; return sum; }\n\
    void add(float *a, const float *b) { for (int i = 0; i < 64; i++) a[i] += b[i] * 3; }\n\
    int bits(unsigned x) { return __builtin_popcount(x); }\n";

/// Compiles by distcc and by the compiler itself, and says whether the server did it.
fn goes_out(client: &Client, daemon: &Daemon, dir: &Path, line: &str) -> bool {
    let before = daemon.compiled();
    let words: Vec<&str> = line.split(' ').collect();
    run_ok(Command::new(words[0]).args(&words[1..]).current_dir(dir));
    let object = dir.join("a.o");
    let local = fs::read(&object).unwrap();
    fs::remove_file(&object).unwrap();
    client.compile(dir, &words);
    assert!(
        fs::read(&object).unwrap() == local,
        "{line}: another object"
    );
    daemon.compiled() > before
}

#[test]
fn native_is_sent_as_what_it_means_here() {
    if peer("/usr/bin/clang-19").is_none() {
        return;
    }
    let dir = scratch();
    support::write_tree(dir.path(), &[("a.c", SOURCE), ("a.cc", SOURCE)]);
    let daemon = Daemon::start(Maker::Ours, dir.path(), &[]);
    let server = IncludeServer::start(dir.path());
    let host = format!("127.0.0.1:{}/4,cpp,lzo", daemon.port);
    let client = Client::new(Maker::Ours, dir.path(), &host).with_include_server(&server.socket);
    for line in [
        "gcc -O3 -march=native -c a.c",
        "gcc -O2 -ffast-math -fno-math-errno -march=native -c a.c",
        "gcc -O2 -mtune=native -c a.c",
        "g++ -O3 -march=native -mtune=native -c a.cc -o a.o",
        "clang-19 -O3 -g -march=native -c a.c",
        "clang-19 -O2 -mtune=native -c a.c",
        "clang++-19 -O3 -march=native -c a.cc -o a.o",
    ] {
        // Asked of the compiler, and then from what is kept.
        for _ in 0..2 {
            assert!(goes_out(&client, &daemon, dir.path(), line), "{line}");
        }
    }
    let kept = fs::read_dir(dir.path().join("home/state"))
        .unwrap()
        .flatten();
    let kept: Vec<_> = kept
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("/native_"))
        .collect();
    assert!(kept.len() >= 6, "{kept:?}");
    // Where no words would give the very same object, nothing is sent.
    for line in [
        "clang-19 -O3 -march=native -mno-avx -c a.c",
        "gcc -O2 -Wp,-DX -march=native -c a.c",
    ] {
        assert!(!goes_out(&client, &daemon, dir.path(), line), "{line}");
    }
    // gcc writes its options into debug information, with their order, and its driver drops what a later word takes back: the
    // same object, wherever it was compiled.
    for line in [
        "gcc -O2 -g -march=native -c a.c",
        "gcc -O3 -march=native -mno-avx2 -c a.c",
    ] {
        goes_out(&client, &daemon, dir.path(), line);
    }
    // A kept answer of another boot, another compiler, or half an answer is none.
    for path in kept {
        let text = fs::read(&path).unwrap();
        let mut other = text.clone();
        let at = text.iter().position(|&byte| byte == 0).unwrap() + 1;
        other[at] = b'!';
        fs::write(&path, &other).unwrap();
        assert!(goes_out(
            &client,
            &daemon,
            dir.path(),
            "gcc -O3 -march=native -c a.c"
        ));
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        assert!(goes_out(
            &client,
            &daemon,
            dir.path(),
            "gcc -O3 -march=native -c a.c"
        ));
    }
}
