//! Protocols 1 and 2 against stock's daemon.

use crate::support::{Desk, StockDaemon};

const HELLO: &str = "#include <stdio.h>\n#include \"inc/h.h\"\nint main(void) { return printf(\"%d\\n\", NUMBER); }\n";

fn hello(desk: Desk) -> Desk {
    desk.source("a.c", HELLO)
        .source("inc/h.h", "#define NUMBER 42\n")
}

#[test]
fn objects_and_dependencies_equal_those_of_the_compiler() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    for options in ["", ",lzo"] {
        // Without fallback: what comes out was made by the server.
        let desk = hello(Desk::with_hosts(&daemon.host(options)).set("DISTCC_FALLBACK", "0"));
        for flags in ["-O2", "-O2 -g"] {
            desk.distcc(&format!("gcc {flags} -MD -MF a.d -c a.c -o a.o"))
                .silent_success();
            desk.gcc(&format!("{flags} -MD -MF l.d -MT a.o -c a.c -o l.o"))
                .silent_success();
            assert!(desk.read("a.o") == desk.read("l.o"), "{options} {flags}");
            assert_eq!(desk.read("a.d"), desk.read("l.d"));
        }
    }
}

#[test]
fn implied_names_and_assembler_output() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = hello(Desk::with_hosts(&daemon.host(",lzo")).set("DISTCC_FALLBACK", "0"));
    desk.distcc("gcc -c a.c").silent_success();
    assert!(desk.has("a.o"));
    desk.distcc("gcc -S -c a.c").silent_success();
    assert!(desk.has("a.s"));
    desk.gcc("-S a.c -o l.s").silent_success();
    assert_eq!(desk.read("a.s"), desk.read("l.s"));
    desk.distcc("gcc -c a.c -o /dev/null").silent_success();
}

#[test]
fn warnings_of_both_stages_are_shown_once() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = Desk::with_hosts(&daemon.host(",lzo"))
        .set("DISTCC_FALLBACK", "0")
        .source(
            "w.c",
            "#warning early\nint f(void) { int unused; return 0; }\n",
        );
    let outcome = desk.distcc("gcc -Wall -c w.c");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for text in ["#warning early", "unused variable"] {
        assert_eq!(
            outcome.stderr.matches(&format!("warning: {text}")).count(),
            1,
            "{outcome:?}"
        );
    }
}

#[test]
fn preprocessed_sources_need_no_preprocessor() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = Desk::with_hosts(&daemon.host(""))
        .set("DISTCC_FALLBACK", "0")
        .with_counted_gcc()
        .source("p.i", "int x = 3;\n");
    desk.distcc("gcc -c p.i").silent_success();
    assert!(desk.has("p.o"));
    assert_eq!(desk.calls(), Vec::<String>::new());
}

#[test]
fn the_mode_is_the_umasks() {
    use std::os::unix::fs::PermissionsExt;
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = hello(Desk::with_hosts(&daemon.host("")).set("DISTCC_FALLBACK", "0"));
    let program = env!("CARGO_BIN_EXE_distcc-under-test");
    let mut shell = desk.command(std::path::Path::new("/bin/sh"), "-c");
    shell.arg(format!(
        "umask 0; ln -s {program} ../bin/distcc; ../bin/distcc gcc -c a.c"
    ));
    assert!(shell.status().unwrap().success());
    let mode = desk
        .at("work")
        .join("a.o")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o666);
}

#[test]
fn a_genuine_error_is_not_compiled_twice() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = Desk::with_hosts(&daemon.host(",lzo"))
        .with_counted_gcc()
        .source("bad.c", "int x = y;\n");
    let outcome = desk.distcc("gcc -c bad.c");
    outcome.says(1, "bad.c:1:9: error: ");
    assert!(!desk.has("bad.o"));
    assert_eq!(desk.calls(), ["-E bad.c"]);
    // And the server is not blamed for it.
    assert!(
        !std::fs::read_dir(desk.at("state/lock"))
            .unwrap()
            .any(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .starts_with("backoff")
            })
    );
}

#[test]
fn a_preprocessor_error_is_final() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = Desk::with_hosts(&daemon.host(",lzo"))
        .with_counted_gcc()
        .source("bad.c", "#error \"not tonight\"\n");
    let outcome = desk.distcc("gcc -c bad.c");
    outcome.says(1, "not tonight");
    assert_eq!(desk.calls(), ["-E bad.c"]);
}

#[test]
fn slots_are_shared_with_stock_clients() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let stock = std::path::Path::new("/usr/bin/distcc");
    let desk = hello(Desk::with_hosts(&daemon.host("/2"))).set("DISTCC_FALLBACK", "0");
    std::fs::create_dir(desk.at("state")).unwrap();
    assert!(
        desk.command(stock, "gcc -c a.c")
            .status()
            .unwrap()
            .success()
    );
    let names = |desk: &Desk| {
        let mut names: Vec<_> = std::fs::read_dir(desk.at("state/lock"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let by_stock = names(&desk);
    desk.distcc("gcc -c a.c").silent_success();
    assert_eq!(names(&desk), by_stock);
    // While a stock client's lock on slot 0 is held, we take slot 1.
    let lock = desk
        .at("state/lock")
        .join(format!("cpu_tcp_127.0.0.1_{}_0", daemon.port));
    let file = std::fs::OpenOptions::new().write(true).open(&lock).unwrap();
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    desk.distcc("gcc -c a.c").silent_success();
    assert!(
        lock.with_file_name(format!("cpu_tcp_127.0.0.1_{}_1", daemon.port))
            .exists()
    );
    // And a stock client finds the slot that we hold taken: it logs that it got slot 1.
    drop(file);
    let ours = HeldSlot::take(&desk, &daemon);
    let mut command = desk.command(stock, "gcc -c a.c -o b.o");
    let log =
        String::from_utf8(command.env("DISTCC_VERBOSE", "1").output().unwrap().stderr).unwrap();
    assert!(log.contains("slot 1 as"), "{log}");
    drop(ours);
}

/// Our client in the middle of a job, held up by its preprocessor.
struct HeldSlot {
    client: std::process::Child,
    gate: std::path::PathBuf,
}

impl HeldSlot {
    fn take(desk: &Desk, daemon: &StockDaemon) -> Self {
        let gate = desk.at("gate");
        let slow = desk.at("slow");
        let script = format!(
            "#!/bin/sh\n: > {0}.open\nwhile [ ! -e {0} ]; do sleep 0.02; done\nexec /usr/bin/gcc \"$@\"\n",
            gate.display()
        );
        std::fs::write(&slow, script).unwrap();
        std::fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let client = desk
            .distcc_command(&format!("{} -c a.c -o held.o", slow.display()))
            .env("DISTCC_HOSTS", daemon.host("/2"))
            .env("DISTCC_FALLBACK", "1")
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let open = gate.with_extension("open");
        let start = std::time::Instant::now();
        while !open.exists() {
            assert!(start.elapsed() < crate::support::PATIENCE);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        Self { client, gate }
    }
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        std::fs::write(&self.gate, "").unwrap();
        let _ = self.client.wait();
    }
}
