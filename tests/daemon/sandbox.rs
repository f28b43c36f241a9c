//! What compilers cannot do, layer by layer, tried from inside by a program in a compiler's place; and that real compilers do not notice.

use std::process::Stdio;

use crate::harness::{
    Daemon, distccd, is_sleeping, preprocessed, run, short_lifetime, stderr, wait_until,
};
use crate::probe::{Probed, VIEWS, View};

/// A probe in each view with these options.
fn each(options: &[&str], check: impl Fn(View, &Probed)) {
    for view in VIEWS {
        let Some(probed) = Probed::start(view, |command, _| {
            command.args(options);
        }) else {
            continue;
        };
        check(view, &probed);
        probed.daemon.assert_alive();
        wait_until("nothing is left", || probed.daemon.leftovers().is_empty());
    }
}

#[test]
fn the_log_says_what_is_in_force_and_what_is_not() {
    each(&[], |_, probed| {
        let log = probed.daemon.log();
        let line = log.lines().find(|line| line.contains("confined")).unwrap();
        for layer in ["seccomp (", "Landlock ", "limits (", "256 processes"] {
            assert!(line.contains(layer), "{line}");
        }
        let groups = line.contains(", control groups") || line.contains("no control groups: ");
        assert!(groups, "{line}");
    });
    each(&["--sandbox=off"], |_, probed| {
        let log = probed.daemon.log();
        assert!(
            log.contains("by nothing but their view; --sandbox=off"),
            "{log}"
        );
    });
}

#[test]
fn a_sandbox_that_cannot_be_had_is_no_start() {
    let mut command = distccd();
    command
        .args([
            "--daemon",
            "--no-detach",
            "--log-stderr",
            "--allow",
            "127.0.0.1",
        ])
        .args(["--sandbox=required", "--port", "1"])
        .env("PUMPHOUSE_VIEW", "rewrite")
        .stdout(Stdio::null());
    let output = run(&mut command);
    let said = stderr(&output);
    if said.contains("bind") {
        // The port of this number is somebody's: only root comes further.
        eprintln!("skipped: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(101), "{said}");
    assert!(
        said.contains("--sandbox=required, but the view without"),
        "{said}"
    );
}

#[test]
fn with_a_required_sandbox_compiles_go_on() {
    let daemon = Daemon::start(|command, dir| {
        std::fs::write(dir.join("list"), "/usr/bin/gcc\n").unwrap();
        command.env("DISTCC_CMDLIST", dir.join("list"));
        command.arg("--sandbox=required");
    });
    let reply = daemon.job(&preprocessed("gcc", "int x;\n")).unwrap();
    assert!(reply.status.success() && reply.object.starts_with(b"\x7fELF"));
}

#[test]
fn seccomp_refuses_what_no_compiler_needs() {
    each(&[], |_, probed| {
        for family in [
            libc::AF_UNIX,
            libc::AF_INET,
            libc::AF_INET6,
            libc::AF_NETLINK,
            40,
        ] {
            probed.expect(&format!("socket {family} 1"), "EPERM");
            probed.expect(&format!("socket {family} 2"), "EPERM");
        }
        for number in [
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_mount,
            libc::SYS_pivot_root,
            libc::SYS_userfaultfd,
            libc::SYS_setns,
            libc::SYS_shmget,
            libc::SYS_memfd_create,
            libc::SYS_reboot,
        ] {
            probed.expect(&format!("call {number} 0 0"), "EPERM");
        }
        let newuser = libc::CLONE_NEWUSER;
        probed.expect(&format!("call {} {newuser} 0", libc::SYS_unshare), "EPERM");
        let flags = newuser | libc::SIGCHLD;
        probed.expect(&format!("call {} {flags} 0", libc::SYS_clone), "EPERM");
        probed.expect(&format!("call {} 0 0", libc::SYS_clone3), "ENOSYS");
        probed.expect(&format!("call {} 8 0", libc::SYS_io_uring_setup), "ENOSYS");
        probed.expect("call 135 0x40000 0", "EPERM");
        probed.expect("type", "EPERM");
        if cfg!(target_arch = "x86_64") {
            // getpid and socket by x32's numbers.
            probed.expect("call 0x40000027 0 0", "ENOSYS");
            probed.expect("call 0x40000029 1 1", "ENOSYS");
        }
        let reply = probed.reply("i386").expect("a reply");
        assert_eq!(reply.status.signal(), Some(libc::SIGSYS as u8));
    });
    // What the filter does, not something else: without it most of this is allowed.
    each(&["--sandbox=off"], |_, probed| {
        probed.expect(&format!("socket {} 1", libc::AF_UNIX), "ok");
        probed.expect("call 135 0x40000 0", "ok");
        let newuser = libc::CLONE_NEWUSER;
        probed.expect(&format!("call {} {newuser} 0", libc::SYS_unshare), "ok");
    });
}

#[test]
fn landlock_allows_toolchain_and_job_and_nothing_else() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "secret").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(secret.path(), open).unwrap();
    let secret = secret.path().display().to_string();
    each(&[], |view, probed| {
        let absent = match view {
            View::Namespace => "ENOENT",
            View::Rewrite => "EACCES",
        };
        probed.expect("read /usr/bin/gcc", "ok");
        probed.expect("list /usr/lib", "ok");
        probed.expect("write /dev/null", "ok");
        probed.expect("create made", "ok");
        probed.expect(&format!("read {secret}"), absent);
        probed.expect(&format!("write {secret}"), absent);
        probed.expect("read /etc/passwd", absent);
        probed.expect("fifo pipe", "EPERM");
        probed.expect("device null", "EPERM");
        probed.expect("descriptors", "EBADF");
        // A program of the client's own.
        let said = probed.probe("symlink /bin/true way\nexecute way\nlink /bin/true copy");
        assert_eq!(said[..2], ["symlink /bin/true way: ok", "execute way: ok"]);
        assert_ne!(said[2], "link /bin/true copy: ok");
    });
    each(&["--sandbox=off"], |view, probed| {
        let outcome = match view {
            View::Namespace => "ENOENT",
            View::Rewrite => "ok",
        };
        probed.expect(&format!("read {secret}"), outcome);
        probed.expect("fifo pipe", "ok");
    });
}

#[test]
fn no_signal_and_no_limit_reaches_the_daemon() {
    each(&[], |view, probed| {
        let outcome = match view {
            View::Namespace => "ESRCH",
            View::Rewrite => "EPERM",
        };
        probed.expect("signal-parent 0", outcome);
        probed.expect("signal-parent 9", outcome);
        let daemon = probed.daemon.pid();
        probed.expect(&format!("signal {daemon} 15"), outcome);
        // The number of seconds that it may run.
        let limit = libc::SYS_prlimit64;
        probed.expect(&format!("call {limit} {daemon} 0"), outcome);
        probed.expect(&format!("call {limit} 0 0"), "ok");
    });
    each(&["--sandbox=off"], |view, probed| {
        let outcome = match view {
            View::Namespace => "ESRCH",
            View::Rewrite => "ok",
        };
        probed.expect(&format!("signal {} 0", probed.daemon.pid()), outcome);
    });
}

#[test]
fn fork_bombs_end_at_a_limit_and_leave_nothing() {
    // As another user than the daemons of other tests, whose processes would count, too, where there are no namespaces.
    each(
        &["--job-lifetime", &short_lifetime(), "--user", "games"],
        |view, probed| {
            if view == View::Namespace {
                let said = probed.probe("processes 10000");
                assert_eq!(said, ["EAGAIN after few", "processes 10000: EAGAIN"]);
            }
            let reply = probed.reply("bomb").expect("a reply");
            assert_eq!(reply.status.exit_code(), 118);
            let own = probed.installed().display().to_string();
            let running = || run(std::process::Command::new("pgrep").args(["-f", &own])).stdout;
            wait_until("the bomb is gone", || running().is_empty());
        },
    );
}

#[test]
fn a_process_that_detaches_itself_is_killed_with_its_job() {
    each(&[], |view, probed| {
        let seconds = format!("{}.{}", 4001 + view as u32, std::process::id());
        assert_eq!(
            probed.probe(&format!("detach {seconds}")),
            ["setsid: EPERM", "setpgid: EPERM"]
        );
        wait_until("the process is gone", || !is_sleeping(&seconds));
    });
}

#[test]
fn memory_and_files_are_limited() {
    each(&["--job-memory", "200M"], |view, probed| {
        probed.expect("memory 50", "ok");
        probed.expect("memory 400", "ENOMEM");
        // Twice of what may go back may be written. The first process of a namespace gets an error where others get a signal.
        probed.expect("fill a.big 900", "ok");
        for endless in ["say 1100", "fill a.big 1100"] {
            let reply = probed.reply(endless).expect("a reply");
            match view {
                View::Namespace => assert!(!reply.stdout.ends_with(b"ok\n"), "{endless}"),
                View::Rewrite => assert_eq!(reply.status.signal(), Some(25), "{endless}"),
            }
        }
        // What could be written and is too much is no reply.
        assert_eq!(probed.reply("say 900"), None);
    });
}
