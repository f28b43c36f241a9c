//! Compilers that hang, crash, or say what no compiler says.

use crate::session::Session;

#[test]
fn a_compiler_that_hangs() {
    let session = Session::start();
    session.program("gcc", "sleep 1000");
    session.write("a.c", "int a;\n");
    // All at once, with as many option sets as jobs, and a good one among them.
    std::thread::scope(|scope| {
        for n in 0..64 {
            let session = &session;
            scope.spawn(move || {
                let query = session.query(&format!("gcc -c -O{} a.c -mtune=generic -fX{n}", n % 3));
                let reason = session.ask(&query).unwrap_err();
                assert!(reason.contains("no answer"), "{reason}");
            });
        }
        session.lives_on();
    });
    // It is believed to hang still.
    session.doubts("gcc -c -O2 -fno-inline a.c", "no answer");
    session.program("gcc", "exec /usr/bin/gcc \"$@\"");
    assert_eq!(session.ask(&session.query("gcc -c a.c")), Ok(1));
}

#[test]
fn a_compiler_that_leaves_a_child_behind() {
    let session = Session::start();
    session.program("gcc", "sleep 1000 & exec /usr/bin/gcc \"$@\"");
    session.write("a.c", "int a;\n");
    session.answers("gcc -c a.c");
}

#[test]
fn a_compiler_that_crashes() {
    let session = Session::start();
    session.write("a.c", "int a;\n");
    for script in [
        "kill -9 $$",
        "kill -SEGV $$",
        "exit 0",
        "exit 1",
        "exec /nonexistent/gcc",
        "echo gcc version 12.2.0 >&2",
        "head -c 100000 /dev/urandom; head -c 100000 /dev/urandom >&2",
        "yes '#define X 1'",
        "yes >&2",
        "/usr/bin/gcc \"$@\"; exit 1",
        "/usr/bin/gcc \"$@\" | head -c 3000",
        "/usr/bin/gcc \"$@\" 2>&1",
        "/usr/bin/gcc \"$@\" 2>/dev/null",
        "exec \"$0\" \"$@\" x",
        "exec 1>&- 2>&-; sleep 0.1",
    ] {
        session.program("gcc", script);
        session.answers("gcc -c a.c");
    }
}

#[test]
fn a_compiler_that_cannot_be_asked_about_features() {
    let session = Session::start();
    for (number, script) in [
        "case \"$*\" in *-P*) kill -9 $$;; *) exec /usr/bin/gcc \"$@\";; esac",
        "case \"$*\" in *-P*) echo noise; echo noise >&2; exit 3;; *) exec /usr/bin/gcc \"$@\";; esac",
        "case \"$*\" in *-P*) yes;; *) exec /usr/bin/gcc \"$@\";; esac",
        "case \"$*\" in *-P*) sleep 1000;; *) exec /usr/bin/gcc \"$@\";; esac",
    ]
    .iter()
    .enumerate()
    {
        // What was asked before is put to a new compiler at once, together with what can be asked.
        let question = format!("__has_attribute(question_{number})");
        session.write("a.c", format!("#if {question}\n#endif\n"));
        session.program("gcc", script);
        session.doubts("gcc -c a.c", &question);
    }
}

#[test]
fn programs_that_are_no_compilers() {
    let session = Session::start();
    session.write("a.c", "int a;\n");
    session.write("bin/text", "no program\n");
    session.write("bin/dir/x", "");
    for program in [
        "/bin/true",
        "/bin/false",
        "/bin/cat",
        "/bin/sh",
        "/dev/null",
        "/",
        "text",
        "dir",
        "bin/text",
        "./a.c",
        "nothing",
        "",
        "\u{fffd}",
    ] {
        let argv = [program, "-c", "a.c"].map(|word| word.as_bytes().to_vec());
        assert!(
            session.ask(&session.query_of(argv.to_vec())).is_err(),
            "{program}"
        );
    }
    session.lives_on();
}
