//! Starting: what is refused, with which exit code, and what a started daemon leaves on disk.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::harness::{
    Daemon, distccd, preprocessed, run, scratch, send_signal, stderr, wait_for, wait_until,
};

fn code(command: &mut Command) -> (Option<i32>, String) {
    let output = run(command);
    (output.status.code(), stderr(&output))
}

#[test]
fn wrong_command_lines_end_with_101() {
    for line in [
        "--bogus",
        "--port 0",
        "--port 65536",
        "--port many",
        "--jobs 0",
        "--nice",
        "--daemon --allow 1.2.3.4/40",
        "--daemon --allow 1.2.3.4.5.6",
        "--daemon --listen 1.2.3.4.5.6",
        "--auth",
        "--blacklist=/x",
    ] {
        let (code, message) = code(distccd().args(line.split(' ')));
        assert_eq!(code, Some(101), "{line}: {message}");
        assert!(!message.is_empty(), "{line}");
    }
}

#[test]
fn wrong_environment_ends_with_101() {
    for (name, value) in [
        ("DISTCC_IO_TIMEOUT", "0"),
        ("DISTCC_CMDLIST_NUMWORDS", "x"),
        ("PUMPHOUSE_VIEW", "mirror"),
        ("PUMPHOUSE_LISTEN_FD", "999"),
    ] {
        let (code, message) = code(distccd().arg("--daemon").env(name, value));
        assert_eq!(code, Some(101), "{name}: {message}");
        assert!(message.contains(name), "{name}: {message}");
    }
}

#[test]
fn help_and_version_succeed_on_standard_output() {
    for option in ["--help", "--version"] {
        let output = run(distccd().arg(option));
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout.starts_with(b"distccd 3.4 ") || option == "--help");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn a_taken_port_ends_with_102() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    // Also without --no-detach: the process that was started has to say so.
    let mut command = distccd();
    command.args([
        "--daemon",
        "--listen",
        "127.0.0.1",
        "--enable-tcp-insecure",
        "--port",
        &port,
    ]);
    let (code, message) = code(&mut command);
    assert_eq!(code, Some(102), "{message}");
    assert!(message.contains("cannot listen on 127.0.0.1"), "{message}");
}

#[test]
fn no_compiler_at_all_ends_with_110() {
    let dir = scratch();
    let start = |command: &mut Command| {
        let fixed = [
            "--daemon",
            "--no-detach",
            "--listen",
            "127.0.0.1",
            "--log-stderr",
            "--lifetime",
            "1",
        ];
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        drop(taken);
        code(
            command
                .args(fixed)
                .args(["--port", &port])
                .env("PUMPHOUSE_WHITELIST", dir.path().join("tmp")),
        )
    };
    let (refused, message) = start(&mut distccd());
    assert_eq!(refused, Some(110), "{message}");
    assert!(message.contains("update-distcc-symlinks"), "{message}");
    for switch in ["--enable-tcp-insecure", "--make-me-a-botnet"] {
        let (code, message) = start(distccd().arg(switch));
        assert_eq!(code, Some(0), "{switch}: {message}");
    }
    let list = dir.path().join("list");
    fs::write(&list, "/usr/bin/gcc\n").unwrap();
    assert_eq!(start(distccd().env("DISTCC_CMDLIST", &list)).0, Some(0));
    assert_eq!(
        start(distccd().env("DISTCC_CMDLIST", dir.path().join("absent"))).0,
        Some(115)
    );
}

/// Kills a detached daemon when a test fails.
struct Detached(u32);

impl Drop for Detached {
    fn drop(&mut self) {
        send_signal(self.0, libc::SIGKILL);
    }
}

#[test]
fn a_detached_daemon_has_a_pid_file_and_serves_when_its_parent_ends() {
    let dir = scratch();
    let pid_file = dir.path().join("work/pid");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut command = distccd();
    command
        .args([
            "--daemon",
            "--listen",
            "127.0.0.1",
            "--enable-tcp-insecure",
            "--port",
        ])
        .arg(free.port().to_string())
        .arg("--pid-file")
        .arg(&pid_file)
        .arg("--log-file")
        .arg(dir.path().join("log"))
        .env("TMPDIR", dir.path().join("tmp"));
    let (status, message) = code(&mut command);
    assert_eq!(status, Some(0), "{message}");
    let pid: u32 = fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let daemon = Detached(pid);
    assert!(TcpStream::connect(free).is_ok());
    // It let go of the terminal.
    for stream in [0, 1, 2] {
        assert_eq!(
            fs::read_link(format!("/proc/{pid}/fd/{stream}"))
                .unwrap()
                .to_str(),
            Some("/dev/null")
        );
    }
    send_signal(pid, libc::SIGTERM);
    wait_until("the pid file is removed", || !pid_file.exists());
    wait_until("the port is closed", || TcpStream::connect(free).is_err());
    std::mem::forget(daemon);
}

#[test]
fn a_pid_file_that_cannot_be_written_is_an_error_of_the_started_process() {
    let dir = scratch();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut command = distccd();
    command
        .args([
            "--daemon",
            "--listen",
            "127.0.0.1",
            "--enable-tcp-insecure",
            "--port",
        ])
        .arg(free.port().to_string())
        .arg("--pid-file")
        .arg(dir.path().join("absent/pid"))
        .env("TMPDIR", dir.path().join("tmp"));
    let (status, message) = code(&mut command);
    assert_eq!(status, Some(107), "{message}");
    assert!(message.contains("pid file"), "{message}");
}

#[test]
fn a_temporary_directory_that_is_missing_is_an_error() {
    let mut command = distccd();
    command
        .args(["--inetd", "--enable-tcp-insecure", "--log-stderr"])
        .env("TMPDIR", "/nonexistent/tmp");
    let (status, message) = code(&mut command);
    assert_eq!(status, Some(107), "{message}");
    assert!(
        message.contains("TMPDIR") && message.contains("/nonexistent/tmp"),
        "{message}"
    );
}

#[test]
fn root_becomes_another_user() {
    let daemon = Daemon::start(|command, _| {
        command.args(["--user", "nobody", "--enable-tcp-insecure"]);
    });
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = |key: &str| {
        status
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .to_owned()
    };
    assert_eq!(line("NoNewPrivs:"), "NoNewPrivs:\t1");
    // SAFETY: a plain system call.
    if unsafe { libc::getuid() } == 0 {
        assert!(
            !line("Uid:").split_whitespace().any(|id| id == "0"),
            "{}",
            line("Uid:")
        );
        assert!(
            !line("Gid:").split_whitespace().any(|id| id == "0"),
            "{}",
            line("Gid:")
        );
        assert!(
            !line("Groups:").split_whitespace().any(|id| id == "0"),
            "{}",
            line("Groups:")
        );
    } else {
        assert!(daemon.log().contains("--user is ignored"));
    }
    assert!(
        daemon
            .job(&preprocessed("gcc", "int x;\n"))
            .unwrap()
            .status
            .success()
    );
}

#[test]
fn options_without_effect_are_named_in_the_log() {
    let daemon = Daemon::start(|command, _| {
        command.args([
            "--zeroconf",
            "--log-level",
            "loud",
            "--no-fork",
            "--no-fifo",
            "word",
        ]);
        command.arg("--enable-tcp-insecure");
    });
    let log = daemon.log();
    for warning in [
        "--zeroconf has no effect: only this machine can reach 127.0.0.1",
        "--log-level loud",
        "ignored on the command line: word",
    ] {
        assert!(log.contains(warning), "{warning}");
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_no_reason_not_to_serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let mut command = distccd();
    command
        .args([
            "--daemon",
            "--no-detach",
            "--listen",
            "127.0.0.1",
            "--enable-tcp-insecure",
            "--port",
            &port,
        ])
        .args(["--log-file", "/nonexistent/log", "--lifetime", "1"])
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    assert_eq!(wait_for(&mut child).code(), Some(0));
    let output = child.wait_with_output().unwrap();
    assert!(
        stderr(&output).contains("/nonexistent/log"),
        "{}",
        stderr(&output)
    );
}
