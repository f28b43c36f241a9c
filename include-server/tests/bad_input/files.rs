//! Sources and headers.

use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::session::Session;

/// The length of a long line: less where nothing is optimised.
const LONG: usize = if cfg!(debug_assertions) {
    4 << 20
} else {
    100 << 20
};

#[test]
fn cycles_and_depth() {
    let session = Session::start();
    session.write("self.c", "#include \"self.c\"\n");
    session.doubts("gcc -c self.c", "deeper than 200");
    session.write("a.c", "#include \"b.h\"\n");
    session.write("b.h", "#include \"c.h\"\n");
    session.write("c.h", "#include \"b.h\"\n");
    session.doubts("gcc -c a.c", "deeper than 200");
    for n in 0..300 {
        session.write(&format!("d{n}.h"), format!("#include \"d{}.h\"\n", n + 1));
    }
    session.write("deep.c", "#include \"d0.h\"\n");
    session.doubts("gcc -c deep.c", "deeper than 200");
    // Each file includes the next twice: two to the power of a hundred.
    for n in 0..100 {
        let next = format!("#include \"e{}.h\"\n", n + 1);
        session.write(&format!("e{n}.h"), next.repeat(2));
    }
    session.write("e100.h", "");
    session.write("wide.c", "#include \"e0.h\"\n");
    session.doubts("gcc -c wide.c", "takes too long");
    session.write("link.c", "#include \"l/l/l/l/l/l/l/x.h\"\n");
    std::os::unix::fs::symlink(".", session.path("l")).unwrap();
    session.write("x.h", "#include \"l/x.h\"\n");
    session.answers("gcc -c link.c");
}

/// The most memory that this process ever had, in bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes.unwrap().parse::<usize>().unwrap() << 10
}

/// A source of one long line: what stands before, what is repeated, what stands behind, and whether that is a program.
type Line = (&'static str, &'static str, &'static str, bool);

fn check_lines(cases: &[Line]) {
    let session = Session::start();
    for (before, piece, behind, is_program) in cases {
        let path = session.path("long.c");
        {
            use std::io::Write;
            let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
            let block = piece.repeat((1 << 16) / piece.len());
            write!(file, "{before}").unwrap();
            for _ in 0..LONG / block.len() {
                file.write_all(block.as_bytes()).unwrap();
            }
            write!(file, "{behind}\n#include \"good.h\"\n").unwrap();
        }
        let outcome = session.ask(&session.query("gcc -c long.c"));
        if *is_program {
            assert_eq!(outcome, Ok(2), "{before}{piece}");
        }
        std::fs::remove_file(path).unwrap();
        session.lives_on();
        let peak = peak_memory();
        assert!(
            peak < (2 << 30) + 20 * LONG,
            "{before}{piece}: {peak} bytes"
        );
    }
}

#[test]
fn lines_of_text_without_end() {
    check_lines(&[
        ("", "int x; ", "", true),
        ("/*", "* /", "*/", true),
        ("//", "x", "", true),
        ("/*", "x", "", false),
        ("const char *s = \"", "\\\"", "\";", true),
        ("const char *s = \"", "x", "", false),
        ("int ", "x", ";", true),
        ("int i = ", "1", ";", true),
        ("", "'", "", false),
        ("", "a##b ", "", true),
        ("int x;", "\\\n", "", true),
        ("", "??/\n", "", true),
    ]);
}

#[test]
fn conditions_without_end() {
    check_lines(&[
        ("#if ", "1 + ", "1\n#endif", false),
        ("#if ", "(", "1\n#endif", false),
        ("#if ", "!", "1\n#endif", false),
        ("#if ", "x", "\n#endif", true),
    ]);
}

#[test]
fn macros_without_end() {
    check_lines(&[
        ("#define X ", "1 + ", "\n#if X 1\n#endif", false),
        ("#define X(", "a,", "b) 1", false),
        ("#define X(x) #x\n#include X(", "y ", ")", false),
    ]);
}

#[test]
fn other_directives_without_end() {
    check_lines(&[
        ("#include \"", "x", "\"", false),
        ("#pragma ", "x ", "", true),
        ("#error ", "x ", "", false),
        ("#line 1 \"", "x", "\"", false),
    ]);
}

#[test]
fn many_of_everything() {
    let session = Session::start();
    let count = if cfg!(debug_assertions) {
        20_000
    } else {
        200_000
    };
    let cases = [
        ("#if 1\n".repeat(count) + &"#endif\n".repeat(count)),
        ("#if 1\n".repeat(count)),
        ("#endif\n".repeat(count)),
        (0..count)
            .map(|n| format!("#define X{n} X{}\n", n + 1))
            .collect::<String>()
            + "#if X0\n#endif\n",
        (0..count)
            .map(|n| format!("#define F{n}(x) F{}(x)\n", n + 1))
            .collect::<String>()
            + "#if F0(1)\n#endif\n",
        ("#pragma push_macro(\"X\")\n".repeat(count)),
        ("#include \"good.h\"\n".repeat(count)),
        format!(
            "#define F({}) 1\n#if F({})\n#endif\n",
            (0..count).map(|n| format!("a{n},")).collect::<String>() + "z",
            ",".repeat(count)
        ),
        format!(
            "#define A(x) x\n#if {}1{}\n#endif\n",
            "A(".repeat(count),
            ")".repeat(count)
        ),
        format!("#if {}\n#endif\n", "1 ? ".repeat(count)),
    ];
    for text in cases {
        session.write("many.c", text);
        session.answers("gcc -c many.c");
    }
}

#[test]
fn names_that_are_no_files() {
    let session = Session::start();
    let long = "x".repeat(5000);
    for name in [
        "sub",
        "",
        ".",
        "/",
        "/dev/zero",
        "/dev/null",
        "/proc/self/mem",
        "/proc/cpuinfo",
        "/proc/self/fd/0",
        "/",
        &long,
        "nul\0.h",
        "/etc/shadow/x",
    ] {
        session.write("sub/x", "");
        session.write("odd.c", format!("#include \"{name}\"\n"));
        session.answers("gcc -c odd.c");
        session.write(
            "odd.c",
            format!("#if __has_include(\"{name}\")\n#endif\n#include \"good.h\"\n"),
        );
        session.answers("gcc -c odd.c");
    }
    session.doubts("gcc -c sub", "0 sources");
    session.doubts("gcc -x c -c sub", "not a regular file");
    session.doubts("gcc -x c -c /dev/zero", "not a regular file");
    session.doubts("gcc -x c -c /nonexistent/a.c", "no such file");
    session.answers("gcc -x c -c /proc/nothing");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        session.path("fifo.h"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    session.write("a.c", "#include \"fifo.h\"\n");
    session.doubts("gcc -c a.c", "not a regular file");
}

#[test]
fn files_too_large() {
    let session = Session::start();
    let path = session.write("huge.h", "");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    // Sparse: it takes no room.
    file.set_len(10 << 30).unwrap();
    session.write("a.c", "#include \"huge.h\"\n");
    session.doubts("gcc -c a.c", "more than the scanner takes");
}

#[test]
fn binary_sources() {
    let session = Session::start();
    let mut bytes = std::fs::read("/proc/self/exe").unwrap();
    bytes.truncate(1 << 20);
    session.write("binary.c", &bytes);
    session.answers("gcc -c binary.c");
    // Everything is possible in noise: directives, quotes, splices.
    let mut state = 1u64;
    for alphabet in [
        &b"#\n\\ \"'/*?<>()="[..],
        b"#if\nelsdn0 ",
        b"R\"()\\\n#x/*'",
    ] {
        for _ in 0..20 {
            let noise: Vec<u8> = (0..20_000)
                .map(|_| {
                    state = state
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    alphabet[(state >> 33) as usize % alphabet.len()]
                })
                .collect();
            session.write("noise.cc", noise);
            let _either = session.ask(&session.query("g++ -c noise.cc"));
        }
        session.lives_on();
    }
}

#[test]
fn unreadable_files() {
    if rustix::process::geteuid().is_root() {
        // Root can read everything; somebody else runs this test.
        let program = std::env::current_exe().unwrap();
        // Binding a socket changes the mask for a moment, in another test's thread perhaps.
        let script = "umask 022; exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"";
        let status = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(program)
            .args(["--exact", "files::unreadable_files", "--nocapture"])
            .env("TMPDIR", "/tmp")
            .current_dir("/")
            .status();
        match status {
            // 126 and 127: nobody may not come to the program.
            Ok(status) if !matches!(status.code(), Some(126 | 127)) => {
                assert!(status.success(), "as nobody: {status}");
            }
            other => eprintln!("skipped: cannot run as somebody else: {other:?}"),
        }
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let session = Session::start();
    let forbid = |name: &str| {
        let path = session.path(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).unwrap();
    };
    session.write("shut.h", "int x;\n");
    session.write("shut/x.h", "int x;\n");
    session.write("shut.c", "int x;\n");
    forbid("shut.h");
    forbid("shut");
    forbid("shut.c");
    session.write("a.c", "#include \"shut.h\"\n");
    session.doubts("gcc -c a.c", "shut.h");
    session.write("b.c", "#include \"shut/x.h\"\n");
    session.doubts("gcc -c b.c", "shut");
    session.doubts("gcc -c shut.c", "shut.c");
    session.write("c.c", "#if __has_include(\"shut.h\")\n#endif\n");
    session.answers("gcc -c c.c");
    session.answers("gcc -Ishut -c good.c");
    // It can be removed again.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(session.path("shut"), open).unwrap();
}

#[test]
fn files_that_change_while_they_are_read() {
    let session = Session::start();
    session.write("a.c", "#include \"moving.h\"\n#include \"good.h\"\n");
    let path = session.write("moving.h", "");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0usize;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                // Errors are part of the game: the file may just be gone.
                let _ = match round % 5 {
                    0 => std::fs::remove_file(&path),
                    1 => std::fs::write(&path, "#define X\n".repeat(round % 1000)),
                    2 => std::fs::File::options()
                        .append(true)
                        .open(&path)
                        .and_then(|mut file| std::io::Write::write_all(&mut file, &[b'\n'; 4096])),
                    3 => std::fs::File::options()
                        .write(true)
                        .open(&path)
                        .and_then(|file| file.set_len(1 << 20)),
                    _ => std::fs::write(&path, ""),
                };
            }
        });
        for _ in 0..200 {
            match session.ask(&session.query("gcc -c a.c")) {
                Ok(files) => assert_eq!(files, 3),
                Err(reason) => assert!(reason.contains("moving.h"), "{reason}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    session.write("moving.h", "");
    assert_eq!(session.ask(&session.query("gcc -c a.c")), Ok(3));
}

#[test]
fn ten_thousand_directories() {
    let session = Session::start();
    session.write(
        "a.c",
        "#include <good.h>\n#include <stdio.h>\n#include <none.h>\n",
    );
    for missing in [true, false] {
        let mut argv: Vec<Vec<u8>> = vec![b"gcc".to_vec()];
        for n in 0..10_000 {
            let name = format!("i/{n}");
            if !missing && n % 10 == 0 {
                std::fs::create_dir_all(session.path(&name)).unwrap();
            }
            argv.push(format!("-I{name}").into_bytes());
        }
        argv.extend(["-I.", "-c", "a.c"].map(|word| word.as_bytes().to_vec()));
        let reason = session.ask(&session.query_of(argv)).unwrap_err();
        assert!(reason.contains("<none.h>"), "{reason}");
        session.lives_on();
    }
}

#[test]
fn odd_command_lines() {
    let session = Session::start();
    session.write("self.rsp", "@self.rsp\n");
    session.doubts("gcc @self.rsp -c good.c", "@self.rsp");
    for command in [
        "",
        " ",
        "gcc",
        "gcc -c",
        "gcc -I",
        "gcc -D",
        "gcc -include",
        "gcc -x",
        "gcc -c good.c -I",
        "gcc -c -o",
        "gcc -Wp, -c good.c",
        "gcc -Xpreprocessor",
        "gcc -D= -c good.c",
        "gcc -D1 -c good.c",
        "gcc -U -c good.c",
        "gcc -A -c good.c",
        "gcc -I= -c good.c",
        "gcc -std= -c good.c",
        "gcc -x nothing -c good.c",
        "gcc -fmax-include-depth=x -c good.c",
        "gcc -fmax-include-depth=99999999999 -c good.c",
        "gcc -fmacro-prefix-map=x -c good.c",
        "gcc --sysroot= -c good.c",
        "gcc -B -c good.c",
        "gcc -specs=/dev/zero -c good.c",
        ". -c good.c",
        "/ -c good.c",
        "good.c -c good.c",
    ] {
        session.answers(command);
    }
    let mut query = session.query("gcc -c good.c");
    query.argv.push(vec![b'x'; 100_000]);
    let _either = session.ask(&query);
    query.argv = vec![b"gcc".to_vec(); 60_000];
    let _either = session.ask(&query);
    query = session.query("gcc -c good.c");
    for cwd in [
        &b"/nonexistent"[..],
        b"/proc/self/fd",
        b"/\xff\xfe",
        b"/dev/null",
        &[b'/'; 4000],
    ] {
        query.cwd = cwd.to_vec();
        assert!(session.ask(&query).is_err());
    }
    query.cwd = session.path("").as_os_str().as_bytes().to_vec();
    query.environment = Some(vec![
        b"PATH".to_vec(),
        b"=".to_vec(),
        b"".to_vec(),
        vec![b'='; 1000],
    ]);
    let _either = session.ask(&query);
    session.lives_on();
}
