//! Ordinary work: protocols, whitelist, access, inetd, statistics.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use protocol::lzo;
use protocol::request::{Input, Request};
use protocol::tree::{EntryContent, TreeEntry};
use protocol::tree_path::TreePath;
use protocol::version::Version;

use crate::harness::{
    Daemon, distccd, preprocessed, read_to_close, run, scratch, script, stderr, stock_client,
    wait_for, wait_until,
};

fn open_daemon() -> Daemon {
    Daemon::start(|command, _| {
        command.arg("--enable-tcp-insecure");
    })
}

#[test]
fn stocks_client_compiles_with_protocols_1_and_2() {
    let daemon = open_daemon();
    let source = daemon.path("work/hello.c");
    fs::write(&source, "#include <stddef.h>\nint main(void) { return (int) offsetof(struct {int a; int b;}, b); }\n")
        .unwrap();
    fs::write(daemon.path("work/broken.c"), "int x y;\n").unwrap();
    for options in ["", ",lzo"] {
        let Some(mut client) = daemon.stock_client(options) else {
            return;
        };
        let output = run(client.args(["gcc", "-O2", "-g", "-c", "hello.c", "-o", "hello.o"]));
        assert!(
            output.status.success(),
            "{options}: {}\n{}",
            stderr(&output),
            daemon.log()
        );
        let local = run(std::process::Command::new("gcc")
            .args(["hello.o", "-o", "hello"])
            .current_dir(daemon.path("work")));
        assert!(local.status.success(), "{}", stderr(&local));
        assert_eq!(
            run(&mut std::process::Command::new(daemon.path("work/hello")))
                .status
                .code(),
            Some(4)
        );

        // Not retried at home: the server's word is final and its text is shown.
        let mut client = daemon.stock_client(options).unwrap();
        client
            .env("DISTCC_SKIP_LOCAL_RETRY", "1")
            .env_remove("DISTCC_FALLBACK");
        let output = run(client.args(["gcc", "-c", "broken.c"]));
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("broken.c:1:"),
            "{}",
            stderr(&output)
        );
    }
    let summaries = daemon.wait_for_summaries(4);
    assert!(
        summaries[0].starts_with("COMPILE_OK exit:0 sig:0 core:0 ret:0 "),
        "{summaries:?}"
    );
    assert!(summaries[0].ends_with("gcc hello.c"), "{summaries:?}");
    assert!(
        summaries[1].starts_with("COMPILE_ERROR exit:1 sig:0 core:0 ret:0 "),
        "{summaries:?}"
    );
    assert_eq!(daemon.leftovers(), [""; 0]);
}

#[test]
fn protocols_1_2_and_3_over_a_plain_socket() {
    let daemon = open_daemon();
    let argv = ["gcc", "-c", "a.c", "-o", "a.o"]
        .map(|word| word.as_bytes().to_vec())
        .to_vec();
    let entry = |path: &str, text: &str| TreeEntry {
        path: TreePath::new(path.as_bytes()).unwrap(),
        content: EntryContent::File(lzo::compress(text.as_bytes())),
    };
    let tree = vec![
        entry(
            "/home/somebody/project/a.c",
            "#include \"a.h\"\nint f(void) { return ANSWER; }\n",
        ),
        entry("/home/somebody/project/a.h", "#define ANSWER 42\n"),
    ];
    for (version, cwd, input) in [
        (
            Version::Plain1,
            None,
            Input::Preprocessed(b"int x;\n".to_vec()),
        ),
        (
            Version::Lzo2,
            None,
            Input::Preprocessed(lzo::compress(b"int x;\n")),
        ),
        (
            Version::Pump3,
            Some(b"/home/somebody/project".to_vec()),
            Input::Tree(tree),
        ),
    ] {
        let request = Request {
            version,
            cwd,
            argv: argv.clone(),
            input,
        };
        let reply = daemon.job(&request).unwrap();
        assert!(
            reply.status.success(),
            "{version:?}: {}",
            String::from_utf8_lossy(&reply.stderr)
        );
        assert!(reply.object.starts_with(b"\x7fELF"), "{version:?}");
        if let Some(dependencies) = reply.dependencies {
            let text = String::from_utf8(dependencies).unwrap();
            assert!(text.contains("a.h"), "{text}");
        }
    }
    assert_eq!(
        daemon.wait_for_summaries(3),
        ["COMPILE_OK exit:0 sig:0 core:0 ret:0 gcc a.c"; 3]
    );
}

#[test]
fn the_whitelist_decides() {
    let daemon = Daemon::start(|command, dir| {
        script(&dir.join("allowed/gcc"), "exit 99");
        script(&dir.join("allowed/uninstalled"), "exit 99");
        command
            .env("PUMPHOUSE_WHITELIST", dir.join("allowed"))
            .env("DISTCCD_PATH", "/usr/bin:/bin");
    });
    assert!(
        daemon
            .job(&preprocessed("gcc", "int x;\n"))
            .unwrap()
            .status
            .success()
    );
    for name in ["sh", "cc1", "/bin/sh", "/tmp/gcc", "../gcc", "", ".."] {
        assert_eq!(daemon.job(&preprocessed(name, "int x;\n")), None, "{name}");
    }
    let reply = daemon
        .job(&preprocessed("uninstalled", "int x;\n"))
        .unwrap();
    assert_eq!(reply.status.exit_code(), 110);
    assert!(String::from_utf8_lossy(&reply.stderr).contains("failed to exec uninstalled"));
    let mut evil = preprocessed("gcc", "int x;\n");
    evil.argv.push(b"-fplugin=/tmp/evil.so".to_vec());
    assert_eq!(daemon.job(&evil), None);
    assert!(daemon.log().contains("CRITICAL! "));
    assert_eq!(
        daemon.wait_for_summaries(10)[1],
        "OTHER exit:0 sig:0 core:0 ret:100"
    );
}

#[test]
fn a_client_that_is_not_allowed_gets_nothing() {
    let daemon = Daemon::start_for("192.0.2.1", |command, _| {
        command.arg("--enable-tcp-insecure");
    });
    let mut stream = daemon.connect();
    assert_eq!(read_to_close(&mut stream), b"");
    wait_until("the refusal is logged", || daemon.log().contains("denied"));
    fs::write(daemon.path("work/a.c"), "int x;\n").unwrap();
    if let Some(mut client) = daemon.stock_client("") {
        // Without a pause after failures, stock's client would try for ever.
        client.env_remove("DISTCC_BACKOFF_PERIOD");
        let output = run(client.args(["gcc", "-c", "a.c"]));
        assert_eq!(output.status.code(), Some(116), "{}", stderr(&output));
    }
}

#[test]
fn inetd_over_pipes_as_ssh_has_it() {
    let Some(mut client) = stock_client() else {
        return;
    };
    let dir = scratch();
    script(
        &dir.path().join("ssh"),
        "shift\nexec \"$@\" --log-file \"$SSH_LOG\" --verbose",
    );
    fs::write(dir.path().join("work/a.c"), "int f(void) { return 1; }\n").unwrap();
    let log = dir.path().join("log");
    client
        .env("DISTCC_SSH", dir.path().join("ssh"))
        .env("SSH_LOG", &log)
        .env("TMPDIR", dir.path().join("tmp"))
        .env("DISTCC_DIR", dir.path().join("state"))
        .env(
            "DISTCC_HOSTS",
            format!("@somewhere:{},lzo", env!("CARGO_BIN_EXE_distccd")),
        )
        .current_dir(dir.path().join("work"));
    let output = run(client.args(["gcc", "-c", "a.c"]));
    let log = fs::read_to_string(log).unwrap_or_default();
    assert!(output.status.success(), "{}\n{log}", stderr(&output));
    assert!(log.contains("COMPILE_OK"), "{log}");
}

/// Runs a daemon whose standard input and output are one end of a connection; returns the other end and the process.
fn behind_a_socket(allow: &str) -> (TcpStream, std::process::Child, tempfile::TempDir) {
    let dir = scratch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client
        .set_read_timeout(Some(*crate::harness::PATIENCE))
        .unwrap();
    let (server, _) = listener.accept().unwrap();
    let child = distccd()
        .args([
            "--enable-tcp-insecure",
            "--verbose",
            "--allow",
            allow,
            "--log-file",
        ])
        .arg(dir.path().join("log"))
        .env("TMPDIR", dir.path().join("tmp"))
        .stdin(Stdio::from(OwnedFd::from(server.try_clone().unwrap())))
        .stdout(Stdio::from(OwnedFd::from(server)))
        .spawn()
        .unwrap();
    (client, child, dir)
}

#[test]
fn a_socket_on_standard_input_means_inetd() {
    let (mut client, mut child, _dir) = behind_a_socket("127.0.0.0/8");
    client
        .write_all(&preprocessed("gcc", "int x;\n").encode())
        .unwrap();
    assert!(read_to_close(&mut client).starts_with(b"DONE00000001STAT00000000"));
    assert_eq!(wait_for(&mut child).code(), Some(0));

    let (mut client, mut child, _dir) = behind_a_socket("192.0.2.1");
    let _ = client.write_all(&preprocessed("gcc", "int x;\n").encode());
    assert_eq!(read_to_close(&mut client), b"");
    assert_eq!(wait_for(&mut child).code(), Some(113));
}

#[test]
fn the_statistics_page_counts() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let daemon = Daemon::start(|command, _| {
        command.args([
            "--enable-tcp-insecure",
            "--stats",
            "--listen",
            "127.0.0.1",
            "--stats-port",
        ]);
        command.arg(free.port().to_string());
    });
    daemon.job(&preprocessed("gcc", "int x;\n")).unwrap();
    daemon.job(&preprocessed("gcc", "int x y;\n")).unwrap();
    assert_eq!(daemon.exchange(b"GARBAGE-IN-ANY-CASE"), b"");
    daemon.wait_for_summaries(3);
    let mut stream = TcpStream::connect(free).unwrap();
    stream
        .set_read_timeout(Some(*crate::harness::PATIENCE))
        .unwrap();
    stream.write_all(b"GET /anything HTTP/1.0\r\n\r\n").unwrap();
    let page = String::from_utf8(read_to_close(&mut stream)).unwrap();
    assert!(
        page.starts_with("HTTP/1.0 200 OK\nContent-Type: text/plain\n"),
        "{page}"
    );
    for line in [
        "dcc_tcp_accept 3",
        "dcc_rej_bad_req 1",
        "dcc_compile_ok 1",
        "dcc_compile_error 1",
        "dcc_other 0",
        "dcc_longest_job a.c",
        "dcc_longest_job_compiler gcc",
        "dcc_num_compiles3 2",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    assert!(page.ends_with("</distccstats>\n"), "{page}");
}
