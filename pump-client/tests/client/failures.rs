//! Remote failures that may be the server's own, jobs that end by a signal, and places that cannot be written.

use crate::heeding::heeding;
use crate::support::{Desk, FakeServer, Outcome, PATIENCE, read_request};
use protocol::reply::Reply;
use protocol::version::Version;
use protocol::wait_status::WaitStatus;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc::channel;

fn failing(status: WaitStatus, stderr: &'static str) -> FakeServer {
    let reply = Reply {
        version: Version::Plain1,
        status,
        stderr: stderr.into(),
        stdout: Vec::new(),
        object: Vec::new(),
        dependencies: None,
    };
    FakeServer::answering(move |_, _| reply.encode()).0
}

fn run(
    status: WaitStatus,
    stderr: &'static str,
    variable: Option<(&str, &str)>,
) -> (Outcome, Vec<String>) {
    let server = failing(status, stderr);
    let mut desk = Desk::with_hosts(&server.host(""))
        .with_counted_gcc()
        .source("a.c", "int x = 1;\n");
    if let Some((name, value)) = variable {
        desk = desk.set(name, value);
    }
    let outcome = desk.distcc("gcc -c a.c");
    let marks = std::fs::read_dir(desk.at("state/lock"))
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .starts_with("backoff")
        })
        .count();
    assert_eq!(marks, 0, "a server that answered is innocent");
    (outcome, desk.calls())
}

#[test]
fn doubtful_failures_are_repeated_here() {
    let doubtful = [
        (
            WaitStatus::exited(1),
            "gcc: error: unrecognized command-line option '-fnew'\n",
        ),
        (
            WaitStatus::exited(1),
            "a.c:1:1: internal compiler error: Segmentation fault\n",
        ),
        (WaitStatus::exited(1), ""),
        (WaitStatus::exited(110), "a.c:1:1: error: x\n"),
        (WaitStatus(9), "a.c:1:1: error: x\n"),
    ];
    for (status, stderr) in doubtful {
        let (outcome, calls) = run(status, stderr, None);
        outcome.says(0, "remote compilation of 'a.c' failed");
        assert_eq!(calls, ["-E a.c", "-c a.c"], "{stderr}");
        assert!(
            !outcome.stderr.starts_with("a.c:"),
            "the server's output is not accepted: {outcome:?}"
        );
    }
}

#[test]
fn genuine_failures_are_final() {
    let (outcome, calls) = run(
        WaitStatus::exited(1),
        "a.c:1:1: error: expected ';'\n",
        None,
    );
    outcome.says(1, "a.c:1:1: error: expected ';'");
    assert_eq!(calls, ["-E a.c"]);
}

#[test]
fn the_user_may_make_every_failure_final() {
    for variable in [("DISTCC_SKIP_LOCAL_RETRY", "1"), ("DISTCC_FALLBACK", "0")] {
        let (outcome, calls) = run(WaitStatus::exited(4), "Killed\n", Some(variable));
        outcome.says(4, "Killed");
        assert_eq!(calls, ["-E a.c"]);
    }
}

#[test]
fn signals_leave_nothing_behind() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let (arrived, waiting) = channel();
        let server = FakeServer::start(move |_, mut stream| {
            let _ = read_request(&mut stream);
            // The beginning of a reply: the client is in the middle of receiving.
            let _ = stream
                .write_all(b"DONE00000001STAT00000000SERR00000000SOUT00000000DOTO00000100abc");
            let _ = arrived.send(stream);
        });
        let desk = Desk::with_hosts(&server.host("")).source("a.c", "int x = 1;\n");
        let mut command = desk.distcc_command("gcc -c a.c");
        let mut client = heeding(&mut command, signal).spawn().unwrap();
        let stream = waiting.recv_timeout(PATIENCE).unwrap();
        // SAFETY: kill has no memory effects; the child is ours and not reaped.
        unsafe { libc::kill(i32::try_from(client.id()).unwrap(), signal) };
        assert_eq!(client.wait().unwrap().signal(), Some(signal));
        assert!(!desk.has("a.o"));
        drop(stream);
    }
}

#[test]
fn a_signal_reaches_the_local_compiler() {
    let desk = Desk::with_hosts("localhost").source("a.c", "int x;\n");
    let (gate, pid) = (desk.at("started"), desk.at("pid"));
    let script = format!(
        "#!/bin/sh\necho $$ > {0}.new\nmv {0}.new {0}\n: > {1}\nexec sleep 1000\n",
        pid.display(),
        gate.display()
    );
    let desk = desk.program("gcc", &script);
    let mut client = desk.distcc_command("gcc -c a.c").spawn().unwrap();
    let start = std::time::Instant::now();
    while !gate.exists() {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    // SAFETY: as above.
    unsafe { libc::kill(i32::try_from(client.id()).unwrap(), libc::SIGTERM) };
    assert_eq!(client.wait().unwrap().signal(), Some(libc::SIGTERM));
    let compiler: i32 = std::fs::read_to_string(&pid)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let start = std::time::Instant::now();
    // A zombie of ours it is not: its parent was the client. Gone, or dead and waiting for init.
    while std::fs::read_to_string(format!("/proc/{compiler}/stat"))
        .is_ok_and(|s| !s.contains(") Z"))
    {
        assert!(start.elapsed() < PATIENCE, "the compiler still runs");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn an_output_that_cannot_be_written_is_the_compilers_to_complain_about() {
    let reply = Reply {
        version: Version::Plain1,
        status: WaitStatus::SUCCESS,
        stderr: Vec::new(),
        stdout: Vec::new(),
        object: b"object".to_vec(),
        dependencies: None,
    };
    let (server, _requests) = FakeServer::answering(move |_, _| reply.encode());
    let desk = Desk::with_hosts(&server.host("")).source("a.c", "int x;\n");
    let outcome = desk.distcc("gcc -c a.c -o missing/a.o");
    outcome.says(1, "cannot write missing/a.o");
    assert!(outcome.stderr.contains("running locally instead"));
}

#[test]
fn a_missing_compiler() {
    let server = failing(WaitStatus::exited(110), "");
    let desk = Desk::with_hosts(&server.host(""))
        .source("a.c", "int x;\n")
        .source("p.i", "int x;\n");
    desk.distcc("nosuchcc -c a.c")
        .says(110, "failed to exec nosuchcc: No such file or directory");
    // No preprocessor is needed here, so it is the server that says so; the fallback then agrees.
    desk.distcc("nosuchcc -c p.i")
        .says(110, "failed to exec nosuchcc");
}
