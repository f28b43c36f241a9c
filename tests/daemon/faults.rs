//! A daemon whose disk is full, and one whose clock jumps: jobs are done all the same.

use std::fs;
use std::process::Command;

use protocol::bundle::refusal::RefusalKind;

use crate::bundles::{Job, Said};
use crate::harness::{Daemon, preprocessed, run, scratch, send_signal, stderr, wait_until};

#[path = "../../distccd-cache/tests/store/tracer.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod tracer;

use tracer::{Fault, Tracer};

fn with_gcc(configure: impl FnOnce(&mut Command, &std::path::Path)) -> Daemon {
    Daemon::start(|command, dir| {
        fs::write(dir.join("list"), "/usr/bin/gcc\n").unwrap();
        command.env("DISTCC_CMDLIST", dir.join("list"));
        configure(command, dir);
    })
}

/// A job that nobody has sent before.
fn job(number: u8) -> Job {
    let source = format!("#include \"h.h\"\nint f{number}(void) {{ return H; }}\n");
    Job::new(number).with_source(source.as_bytes())
}

#[test]
fn a_store_on_a_full_disk_keeps_nothing_and_spoils_nothing() {
    let store = scratch();
    let cache = store.path().join("tmp/cache");
    let mut daemon = with_gcc(|command, _| {
        command.arg("--cache-dir").arg(&cache);
    });
    job(1).assert_done(&daemon);
    let (pid, below) = (daemon.pid(), cache.clone());
    let (tell, hear) = std::sync::mpsc::channel();
    // Whoever traces has to do so from one thread.
    let tracing = std::thread::spawn(move || {
        let tracer = Tracer::seize(pid, &below, Fault::FailFrom(1, libc::ENOSPC));
        tell.send(tracer.as_ref().err().map(ToString::to_string))
            .unwrap();
        tracer.ok().map(Tracer::run)
    });
    if let Some(error) = hear.recv().unwrap() {
        let required = std::env::var("REQUIRE_PEERS").as_deref() == Ok("1");
        assert!(!required, "processes cannot be traced: {error}");
        eprintln!("skipped: processes cannot be traced: {error}");
        return;
    }
    for number in 2..6 {
        // Its source has no room here: it comes preprocessed.
        match job(number).run(&daemon) {
            Said::Refused(refusal) => {
                assert_eq!(refusal.kind, RefusalKind::Unsuited, "{refusal}");
                assert!(refusal.text.contains("no room to write"), "{refusal}");
            }
            said => panic!("{said:?}"),
        }
        let source = format!("int g{number};\n");
        let reply = daemon.job(&preprocessed("gcc", &source)).unwrap();
        assert!(reply.status.success(), "{number}");
    }
    // Whoever traces waits for it, too.
    send_signal(daemon.pid(), libc::SIGTERM);
    let outcome = tracing.join().unwrap().unwrap();
    daemon.is_gone();
    assert!(outcome.failed > 0 && outcome.is_success(), "{outcome:?}");
    let log = daemon.log();
    let said = log.matches("results are not kept: there is no room to write");
    assert_eq!(said.count(), 1, "{log}");

    // With room again, the same store serves.
    let next = with_gcc(|command, _| {
        command.arg("--cache-dir").arg(&cache);
    });
    for number in 1..6 {
        job(number).assert_done(&next);
    }
    job(5).assert_done(&next);
    wait_until("it says so", || {
        next.log().matches("(dcc_job_cache)").count() >= 6
    });
    assert!(next.log().contains(" hit: gcc a.c"), "{}", next.log());
}

/// The clock of the process is ahead of the system's by the seconds in a file.
const SHIFTED: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, clock, now);
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("CLOCK_SHIFT"), "r") : 0;
    long long shift = 0;
    if (file) {
        if (fscanf(file, "%lld", &shift) != 1) shift = 0;
        fclose(file);
    }
    now->tv_sec += shift;
    return result;
}
"#;

#[test]
fn a_clock_that_jumps_changes_no_result() {
    let daemon = with_gcc(|command, dir| {
        fs::write(dir.join("clock.c"), SHIFTED).unwrap();
        let gcc = run(Command::new("gcc")
            .args(["-shared", "-fPIC", "-O1", "clock.c", "-o", "clock.so"])
            .current_dir(dir));
        assert!(gcc.status.success(), "{}", stderr(&gcc));
        command
            .args(["--cache-size", "200K"])
            .env("CLOCK_SHIFT", dir.join("shift"))
            .env("LD_PRELOAD", dir.join("clock.so"));
    });
    let year = 365 * 24 * 3600_i64;
    for (number, shift) in (1..).zip([0, 10 * year, -20 * year, 200 * year, -60 * year, 0]) {
        fs::write(daemon.path("shift"), shift.to_string()).unwrap();
        job(1).assert_done(&daemon);
        // New ones make room for themselves.
        for further in 0..6 {
            job(number * 20 + further).assert_done(&daemon);
        }
        job(1).assert_done(&daemon);
    }
    let log = daemon.log();
    assert!(log.contains(" hit: gcc a.c"), "{log}");
    assert!(
        !log.contains("removed"),
        "nothing was taken for damaged: {log}"
    );
}
