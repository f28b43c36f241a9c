//! Clients that leave, jobs that take too long, and daemons that are told to stop: no compiler and no file stays behind.

use std::fs;
use std::io::Write;

use crate::harness::{
    Daemon, is_sleeping, preprocessed, read_to_close, run, script, send_signal, stderr, wait_for,
    wait_until,
};

/// A number of seconds that no other process sleeps for, so that the compiler can be told from all others.
pub fn unique(seconds: u32) -> String {
    format!("{seconds}.{}", std::process::id())
}

/// A daemon whose compiler sleeps for so many seconds when it compiles; other questions it answers at once.
fn slow_daemon(seconds: &str, options: &[&str]) -> Daemon {
    let text = format!("for w; do [ \"$w\" = -c ] && exec sleep {seconds}; done; exit 1");
    Daemon::with_compiler(&text, |command, dir| {
        command
            .args(options)
            .arg("--pid-file")
            .arg(dir.join("work/pid"));
    })
}

#[test]
fn a_client_that_is_killed_takes_its_compiler_along() {
    let seconds = &unique(3001);
    let daemon = slow_daemon(seconds, &[]);
    let Some(mut client) = daemon.stock_client("") else {
        return;
    };
    // The client's own `cc1` preprocesses.
    script(&daemon.path("client/cc1"), "exec gcc \"$@\"");
    fs::write(daemon.path("work/a.c"), "int x;\n").unwrap();
    let path = std::env::join_paths(std::iter::once(daemon.path("client")).chain(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()),
    ))
    .unwrap();
    let mut client = client
        .args(["cc1", "-c", "a.c"])
        .env("PATH", path)
        .spawn()
        .unwrap();
    wait_until("the compiler runs", || is_sleeping(seconds));
    client.kill().unwrap();
    wait_for(&mut client);
    wait_until("the compiler is gone", || !is_sleeping(seconds));
    assert_eq!(
        daemon.wait_for_summaries(1),
        ["CLI_DISCONN exit:0 sig:0 core:0 ret:107"]
    );
    wait_until("nothing is left", || daemon.leftovers().is_empty());
}

#[test]
fn a_client_that_leaves_the_queue_is_forgotten() {
    let seconds = &unique(3002);
    let daemon = slow_daemon(seconds, &["--jobs", "1"]);
    let request = preprocessed("cc1", "int x;\n").encode();
    let mut first = daemon.connect();
    first.write_all(&request).unwrap();
    wait_until("the compiler runs", || is_sleeping(seconds));
    let mut second = daemon.connect();
    second.write_all(&request).unwrap();
    drop(second);
    // The only slot is still taken when the second client's end is noticed.
    assert_eq!(
        daemon.wait_for_summaries(1),
        ["CLI_DISCONN exit:0 sig:0 core:0 ret:107"]
    );
    assert!(is_sleeping(seconds));
    drop(first);
    wait_until("the compiler is gone", || !is_sleeping(seconds));
}

#[test]
fn a_client_that_sends_more_than_a_request_is_dropped() {
    let seconds = &unique(3003);
    let daemon = slow_daemon(seconds, &[]);
    let mut stream = daemon.connect();
    stream
        .write_all(&preprocessed("cc1", "int x;\n").encode())
        .unwrap();
    wait_until("the compiler runs", || is_sleeping(seconds));
    stream.write_all(b"DIST00000001").unwrap();
    assert_eq!(read_to_close(&mut stream), b"");
    wait_until("the compiler is gone", || !is_sleeping(seconds));
}

#[test]
fn a_job_that_takes_too_long_is_ended() {
    let seconds = &unique(3004);
    let daemon = slow_daemon(seconds, &["--job-lifetime", "1"]);
    let reply = daemon.job(&preprocessed("cc1", "int x;\n")).unwrap();
    assert_eq!(reply.status.exit_code(), 118);
    assert!(!is_sleeping(seconds));
    let summaries = daemon.wait_for_summaries(1);
    assert!(
        summaries[0].starts_with("COMPILE_TIMEOUT exit:118 "),
        "{summaries:?}"
    );
}

#[test]
fn a_signal_ends_the_daemon_with_all_its_compilers() {
    for (signal, seconds) in [
        (libc::SIGTERM, 3005),
        (libc::SIGINT, 3006),
        (libc::SIGHUP, 3007),
        (libc::SIGALRM, 3008),
    ] {
        let seconds = &unique(seconds);
        let mut daemon = slow_daemon(seconds, &["--jobs", "1"]);
        let request = preprocessed("cc1", "int x;\n").encode();
        // One compiling, one waiting for the slot, one silent.
        let mut clients: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
        clients[0].write_all(&request).unwrap();
        wait_until("the compiler runs", || is_sleeping(seconds));
        clients[1].write_all(&request).unwrap();
        clients[2].write_all(&request[..30]).unwrap();
        assert!(daemon.path("work/pid").exists());
        if signal == libc::SIGTERM {
            // What compiles may come to its end, unless the daemon is told twice.
            send_signal(daemon.pid(), signal);
            for client in &mut clients[1..] {
                assert_eq!(read_to_close(client), b"");
            }
            assert!(is_sleeping(seconds));
        }
        assert!(daemon.stop(signal).success(), "signal {signal}");
        assert!(!is_sleeping(seconds), "signal {signal}");
        assert!(!daemon.path("work/pid").exists(), "signal {signal}");
        assert_eq!(daemon.leftovers(), [""; 0], "signal {signal}");
        for client in &mut clients {
            assert_eq!(read_to_close(client), b"");
        }
    }
}

#[test]
fn a_compiler_that_crashes_is_reported_as_it_ended() {
    let daemon = Daemon::with_compiler("echo oops >&2; kill -SEGV $$", |_, _| {});
    let reply = daemon.job(&preprocessed("cc1", "int x;\n")).unwrap();
    assert_eq!(reply.status.signal(), Some(11));
    assert_eq!(reply.stderr, b"oops\n");
    let summaries = daemon.wait_for_summaries(1);
    assert!(
        summaries[0].starts_with("COMPILE_ERROR exit:0 sig:11 "),
        "{summaries:?}"
    );
    // Stock's client understands it.
    if let Some(mut client) = daemon.stock_client("") {
        fs::write(daemon.path("work/a.i"), "int x;\n").unwrap();
        client
            .env("DISTCC_SKIP_LOCAL_RETRY", "1")
            .env_remove("DISTCC_FALLBACK");
        let output = run(client.args(["cc1", "-c", "a.i"]));
        assert!(!output.status.success(), "{}", stderr(&output));
    }
}
