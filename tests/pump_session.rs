//! `pump` with real processes. The other programs are stand-ins: a fake include server that is this very
//! test program, and a `distcc` and `distccd` that write down how they were called.

#[path = "../pump-client/tests/client/heeding.rs"]
mod heeding;

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use heeding::heeding;

/// How long something may take that happens soon. Nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the tests' programs are, what they wrote, and what is left behind.
struct House {
    dir: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("pump-test.")
            .tempdir()
            .expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let house = Self { dir };
        for name in ["bin", "home", "tmp", "compilers", "work"] {
            fs::create_dir(house.path(name)).expect("a directory");
        }
        fs::set_permissions(house.path("tmp"), fs::Permissions::from_mode(0o777)).expect("a mode");
        house.script("bin/distcc", "echo \"distcc $0 $*\"");
        // The stand-in for the daemon says how it was started, then waits to be ended.
        house.script(
            "bin/distccd",
            "{ echo \"$@\"; echo \"fd=$PUMPHOUSE_LISTEN_FD\"; ls -l /proc/$$/fd/$PUMPHOUSE_LISTEN_FD; \
             echo \"words=$DISTCC_CMDLIST_NUMWORDS\"; cat \"$DISTCC_CMDLIST\"; } > \"$HOME/distccd.new\"; \
             mv \"$HOME/distccd.new\" \"$HOME/distccd\"; exec sleep 600",
        );
        house.fake_include_server("serve");
        house.script("compilers/gcc", "echo \"real gcc $*\"");
        house.script("compilers/x86_64-linux-gnu-g++-12", "echo \"real g++ $*\"");
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn script(&self, name: &str, body: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    /// Lets `include-server` be this test program in another role.
    fn fake_include_server(&self, role: &str) {
        let program = std::env::current_exe().expect("this program");
        let body = format!(
            "echo \"$@\" >> \"$HOME/include-server\"\nexport FAKE_ROLE={role} FAKE_SOCKET=\"$3\"\n\
             exec '{}' --exact fake_include_server --nocapture",
            program.display()
        );
        self.script("bin/include-server", &body);
    }

    /// A `pump` command in this house's environment.
    fn pump<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pump"));
        let path = format!("{}:/usr/bin:/bin", self.path("compilers").display());
        command
            .args(words)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("DISTCC_DIR", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("DISTCC_LOCATION", self.path("bin"))
            .env("DISTCC_HOSTS", "a,cpp,lzo")
            .current_dir(self.path("work"))
            .stdin(Stdio::null());
        command
    }

    fn said(&self, name: &str) -> String {
        fs::read_to_string(self.path("home").join(name)).unwrap_or_default()
    }

    /// Nothing may be left in the temporary directory, and no helper may run.
    fn is_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp"))
            .expect("it is there")
            .flatten()
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let mark = self.dir.path().as_os_str().as_encoded_bytes().to_vec();
        wait_until("no helper runs", || !any_process_with(&mark));
    }
}

/// Whether a process has these bytes in its environment, other than as its own temporary directory's owner.
fn any_process_with(mark: &[u8]) -> bool {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").expect("it is there").flatten();
    processes
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .bytes()
                .all(|byte| byte.is_ascii_digit())
        })
        .filter(|entry| entry.file_name().to_string_lossy() != own)
        .filter_map(|entry| fs::read(entry.path().join("environ")).ok())
        .any(|environment| environment.windows(mark.len()).any(|window| window == mark))
}

fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn run(mut command: Command) -> Output {
    command.output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Not a test of anything: what `include-server` is in these tests. Without its variables it does nothing.
#[test]
fn fake_include_server() {
    let (Ok(role), Some(socket)) = (std::env::var("FAKE_ROLE"), std::env::var_os("FAKE_SOCKET"))
    else {
        return;
    };
    if role == "refuse" {
        eprintln!("include-server: the moon is full");
        std::process::exit(3);
    }
    let rich = Path::new(&socket).with_file_name("socket.pumphouse");
    let plain = UnixListener::bind(&socket).expect("a free socket");
    let _rich = UnixListener::bind(rich).expect("a free socket");
    loop {
        let _ = plain.accept();
    }
}

#[test]
fn the_exit_status_is_the_commands() {
    let house = House::new();
    for (script, code) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
    ] {
        let output = run(house.pump(&["sh", "-c", script]));
        assert_eq!(
            output.status.code(),
            Some(code),
            "{script}: {}",
            stderr(&output)
        );
        house.is_clean();
    }
    let missing = run(house.pump(&["no-such-command"]));
    assert_eq!(missing.status.code(), Some(127));
    assert!(stderr(&missing).contains("cannot run \"no-such-command\""));
    let forbidden = run(house.pump(&["/etc/passwd"]));
    assert_eq!(forbidden.status.code(), Some(126));
    house.is_clean();
}

#[test]
fn the_builds_stdout_is_the_builds() {
    let house = House::new();
    let output = run(house.pump(&["echo", "built"]));
    assert_eq!(stdout(&output), "built\n");
    let said = stderr(&output);
    assert!(said.contains("__________Using distcc-pump from "), "{said}");
    assert!(
        said.contains("__________Using 1 distcc server in pump mode\n"),
        "{said}"
    );
    assert!(
        said.contains("__________Shutting down distcc-pump include server\n"),
        "{said}"
    );
    let mut quiet = house.pump(&["echo", "built"]);
    quiet
        .env("DISTCC_TESTING_INCLUDE_SERVER", "1")
        .env("PUMPHOUSE_SUMMARY", "0");
    assert_eq!(stderr(&run(quiet)), "");
    let mut mixed = house.pump(&["true"]);
    mixed.env("DISTCC_HOSTS", "a,cpp,lzo b,lzo c");
    assert!(
        stderr(&run(mixed))
            .contains("Using 3 distcc servers, of which only 1 support(s) pump mode\n")
    );
}

#[test]
fn the_command_finds_the_session() {
    let house = House::new();
    let script = "test -S \"$INCLUDE_SERVER_PORT\" && test -S \"$INCLUDE_SERVER_PORT.pumphouse\" && \
                  kill -0 $INCLUDE_SERVER_PID && test -d \"$INCLUDE_SERVER_DIR\" && test -f \"$PUMPHOUSE_JOURNAL\" && \
                  stat -c %a \"$INCLUDE_SERVER_DIR\" && echo \"${DISTCC_HOSTS}\"";
    let output = run(house.pump(&["sh", "-c", script]));
    assert_eq!(stdout(&output), "700\na,cpp,lzo\n", "{}", stderr(&output));
    assert!(
        house
            .said("include-server")
            .starts_with("--foreground --port ")
    );
}

#[test]
fn compilers_lead_to_distcc() {
    let house = House::new();
    let output = run(house.pump(&[
        "sh",
        "-c",
        "gcc -c a.c; x86_64-linux-gnu-g++-12 b.cc; distcc gcc c.c",
    ]));
    let lines = stdout(&output);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, (name, rest)) in lines.iter().zip([
        ("gcc", "-c a.c"),
        ("x86_64-linux-gnu-g++-12", "b.cc"),
        ("distcc", "gcc c.c"),
    ]) {
        assert!(
            line.starts_with("distcc ")
                && line.contains("/masquerade/")
                && line.ends_with(&format!("/{name} {rest}")),
            "{line}"
        );
    }
    let output = run(house.pump(&["--no-masquerade", "sh", "-c", "gcc -c a.c; distcc gcc c.c"]));
    let plain = format!(
        "real gcc -c a.c\ndistcc {} gcc c.c\n",
        house.path("bin/distcc").display()
    );
    assert_eq!(stdout(&output), plain);
    // A compiler as the command itself.
    let itself = stdout(&run(house.pump(&["gcc", "x.c"])));
    assert!(itself.contains("/masquerade/") && itself.ends_with("/gcc x.c\n"));
    // The link is the same in the next session, so that what a build system wrote down stays right; without a home it is
    // the session's own.
    assert_eq!(stdout(&run(house.pump(&["gcc", "x.c"]))), itself);
    let mut homeless = house.pump(&["gcc", "x.c"]);
    homeless.env("XDG_CACHE_HOME", "/dev/null");
    let session = format!("distcc {}/distcc-pump.", house.path("tmp").display());
    assert!(stdout(&run(homeless)).starts_with(&session));
}

#[test]
fn without_hosts_there_is_a_private_server() {
    let house = House::new();
    let mut command = house.pump(&[
        "--jobs",
        "3",
        "sh",
        "-c",
        "echo \"$DISTCC_HOSTS\"; until test -s $HOME/distccd; do :; done",
    ]);
    command.env("DISTCC_HOSTS", "");
    let output = run(command);
    let hosts = stdout(&output);
    let port = hosts
        .strip_prefix("127.0.0.1:")
        .and_then(|rest| rest.strip_suffix("/5,cpp,lzo\n"));
    let port: u16 = port.expect("a loopback host").parse().expect("a port");
    let said = stderr(&output);
    assert!(
        said.contains(&format!(
            "using a private distccd on 127.0.0.1:{port} with 3 jobs"
        )),
        "{said}"
    );
    let daemon = house.said("distccd");
    assert!(
        daemon.contains(&format!("--port {port} --jobs 3")),
        "{daemon}"
    );
    assert!(
        daemon.contains("--allow 127.0.0.1") && daemon.contains("socket:"),
        "{daemon}"
    );
    assert!(
        daemon.contains("\ngcc\nx86_64-linux-gnu-g++-12\n") || daemon.contains("\ngcc\n"),
        "{daemon}"
    );
    assert!(
        daemon.contains(&format!("\n{}\n", house.path("compilers/gcc").display())),
        "{daemon}"
    );
    house.is_clean();
}

#[test]
fn hosts_without_pump_mode_are_an_error() {
    let house = House::new();
    for (hosts, wanted) in [
        ("a b,lzo", "',cpp'"),
        ("a,cpp", "requires compression"),
        ("a,nonsense", "nonsense"),
    ] {
        let mut command = house.pump(&["echo", "ran"]);
        command.env("DISTCC_HOSTS", hosts);
        let output = run(command);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stdout(&output), "");
        let said = stderr(&output);
        assert!(said.contains(wanted), "{said}");
        house.is_clean();
    }
}

#[test]
fn potential_hosts_are_tried() {
    let house = House::new();
    house.script(
        "bin/lsdistcc",
        "echo \"$@\" > \"$HOME/lsdistcc\"; echo one; echo two:4000",
    );
    let mut command = house.pump(&["sh", "-c", "echo \"$DISTCC_HOSTS\""]);
    command
        .env("DISTCC_POTENTIAL_HOSTS", " one two:4000\nthree")
        .env("LSDISTCC_ARGS", "-n -t1");
    let output = run(command);
    assert_eq!(
        stdout(&output),
        "--randomize one,cpp,lzo two:4000,cpp,lzo\n"
    );
    assert_eq!(house.said("lsdistcc"), "-c150 -n -t1 one two:4000 three\n");
    assert!(stderr(&output).contains("__________Found 2 available distcc servers\n"));
}

#[test]
fn an_include_server_that_does_not_start_is_an_error() {
    let house = House::new();
    house.fake_include_server("refuse");
    let output = run(house.pump(&["echo", "ran"]));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    let said = stderr(&output);
    assert!(
        said.contains("could not start the include server: include-server: the moon is full"),
        "{said}"
    );
    house.is_clean();
}

#[test]
fn an_include_server_that_is_killed_comes_back() {
    let house = House::new();
    let script = "kill -9 $INCLUDE_SERVER_PID; while test $(wc -l < $HOME/include-server) -lt 2; do sleep 0.01; done";
    let output = run(house.pump(&["sh", "-c", script]));
    assert_eq!(output.status.code(), Some(0));
    let said = stderr(&output);
    assert!(
        said.contains("the include server stopped once and was started again"),
        "{said}"
    );
    house.is_clean();
}

#[test]
fn the_summary_comes_from_the_journal() {
    let house = House::new();
    let script = "printf '1\\tpump\\ta:3632\\t0\\t\\ta.c\\n2\\tlocal\\tlocalhost\\t0\\tlinking\\tb.o\\n' >> \"$PUMPHOUSE_JOURNAL\"";
    let said = stderr(&run(house.pump(&["sh", "-c", script])));
    assert!(
        said.contains("Summary: 2 jobs: 1 in pump mode, 0 preprocessed here, 1 done here"),
        "{said}"
    );
    assert!(said.contains("     1  linking\n"), "{said}");
    // A journal of the user's own stays, and what was in it before is not counted.
    let kept = house.path("work/kept");
    for _ in 0..2 {
        let mut command = house.pump(&["sh", "-c", script]);
        command.env("PUMPHOUSE_JOURNAL", "kept");
        let said = stderr(&run(command));
        assert!(said.contains("Summary: 2 jobs"), "{said}");
    }
    assert_eq!(
        fs::read_to_string(kept).expect("it stays").lines().count(),
        4
    );
}

#[test]
fn signals_end_the_command_and_leave_nothing() {
    let house = House::new();
    for (signal, code) in [
        (libc::SIGTERM, 143),
        (libc::SIGINT, 130),
        (libc::SIGHUP, 129),
    ] {
        let _ = fs::remove_file(house.path("home/started"));
        let script = "echo x > $HOME/started; exec sleep 600";
        let mut command = house.pump(&["sh", "-c", script]);
        let mut child = heeding(command.stderr(Stdio::null()), signal)
            .spawn()
            .expect("it runs");
        wait_until("the command runs", || !house.said("started").is_empty());
        // SAFETY: a plain system call on a child that has not been waited for.
        unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        assert_eq!(child.wait().expect("a child").code(), Some(code));
        house.is_clean();
    }
}

#[test]
fn what_a_killed_pump_leaves_the_next_one_removes() {
    let house = House::new();
    let mut child = house
        .pump(&["sh", "-c", "echo $$ > $HOME/started; exec sleep 600"])
        .process_group(0)
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    wait_until("the command runs", || !house.said("started").is_empty());
    // SAFETY: plain system calls on a child that has not been waited for, and on the group that it leads.
    unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
    child.wait().expect("a child");
    assert_eq!(
        fs::read_dir(house.path("tmp"))
            .expect("it is there")
            .count(),
        1
    );
    assert_eq!(run(house.pump(&["true"])).status.code(), Some(0));
    house.is_clean();
}

/// Evaluates `pump --startup` in a shell, runs a script, and shuts down.
fn in_a_shell(house: &House, script: &str) -> Output {
    let pump = env!("CARGO_BIN_EXE_pump");
    let whole = format!(
        "settings=$('{pump}' --startup) || exit 9; eval \"$settings\"; pump='{pump}'; {script}"
    );
    let template = house.pump(&["unused"]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &whole])
        .env_clear()
        .stdin(Stdio::null())
        .current_dir(house.path("work"));
    shell.envs(
        template
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    run(shell)
}

#[test]
fn startup_and_shutdown() {
    let house = House::new();
    let output = in_a_shell(
        &house,
        "test -S \"$INCLUDE_SERVER_PORT\" && gcc x.c && kill -0 $INCLUDE_SERVER_PID && \"$pump\" --shutdown && \
         ! test -e \"$INCLUDE_SERVER_DIR\" && \"$pump\" --shutdown",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).ends_with("/gcc x.c\n") && stdout(&output).contains("/masquerade/"),
        "{}",
        stdout(&output)
    );
    let said = stderr(&output);
    assert!(
        said.contains("__________Shutting down distcc-pump include server\n"),
        "{said}"
    );
    assert!(said.contains("has been shut down already"), "{said}");
    house.is_clean();
}

#[test]
fn a_session_ends_with_its_owner() {
    let house = House::new();
    // The owner is killed in a way that no trap sees, as an interrupted build may be.
    let mut owner = Command::new("sleep")
        .arg("600")
        .spawn()
        .expect("sleep runs");
    let output = run(house.pump(&[&format!("--owner={}", owner.id()), "--startup"]));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("INCLUDE_SERVER_PORT='"));
    assert_eq!(
        fs::read_dir(house.path("tmp"))
            .expect("it is there")
            .count(),
        1
    );
    owner.kill().expect("a child of ours");
    owner.wait().expect("a child of ours");
    wait_until("the session is gone", || {
        fs::read_dir(house.path("tmp"))
            .expect("it is there")
            .count()
            == 0
    });
    house.is_clean();
    // Its number means nobody now.
    let output = run(house.pump(&[&format!("--owner={}", owner.id()), "--startup"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot watch process"),
        "{}",
        stderr(&output)
    );
    house.is_clean();
}

#[test]
fn one_variable_is_enough_to_shut_down() {
    let house = House::new();
    let output = in_a_shell(
        &house,
        "export DISTCC_PUMP_SESSION=$INCLUDE_SERVER_DIR; unset INCLUDE_SERVER_DIR INCLUDE_SERVER_PID INCLUDE_SERVER_PORT; \
         \"$pump\" --shutdown && ! test -e \"$DISTCC_PUMP_SESSION\"",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    house.is_clean();
}

#[test]
fn a_daemon_session_is_looked_after_too() {
    let house = House::new();
    let output = in_a_shell(
        &house,
        "kill -9 $(pgrep -P $INCLUDE_SERVER_PID); while test $(wc -l < $HOME/include-server) -lt 2; do sleep 0.01; done; \
         \"$pump\" --shutdown",
    );
    let said = stderr(&output);
    assert!(
        said.contains("the include server stopped once and was started again"),
        "{said}"
    );
    house.is_clean();
}

#[test]
fn startup_holds_no_descriptor_of_its_caller() {
    let house = House::new();
    let template = house.pump(&["--startup"]);
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "exec 7>&1; exec \"$0\" --startup",
        env!("CARGO_BIN_EXE_pump"),
    ]);
    shell.env_clear().envs(
        template
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let mut child = shell
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut settings = String::new();
    let mut pipe = child.stdout.take().expect("a pipe");
    // Would never end if the keeper still had descriptor 7.
    pipe.read_to_string(&mut settings).expect("it ends");
    assert!(child.wait().expect("a child").success());
    assert!(
        settings.contains("export INCLUDE_SERVER_PORT='"),
        "{settings}"
    );
    let dir = settings
        .split("INCLUDE_SERVER_DIR='")
        .nth(1)
        .and_then(|rest| rest.split('\'').next());
    let mut shutdown = house.pump(&["--shutdown"]);
    shutdown.env("INCLUDE_SERVER_DIR", dir.expect("a directory"));
    assert!(run(shutdown).status.success());
    house.is_clean();
}

#[test]
fn startup_that_fails_prints_no_settings() {
    let house = House::new();
    house.fake_include_server("refuse");
    let output = run(house.pump(&["--startup"]));
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(1), "")
    );
    assert!(stderr(&output).contains("the moon is full"));
    house.is_clean();
}

#[test]
fn shutdown_removes_nothing_that_is_not_a_session() {
    let house = House::new();
    let precious = house.path("tmp/distcc-pump.precious");
    fs::create_dir(&precious).expect("a directory");
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o700)).expect("a mode");
    fs::write(precious.join("file"), "x").expect("a file");
    let mut sleeper = Command::new("sleep").arg("600").spawn().expect("it runs");
    let mut command = house.pump(&["--shutdown"]);
    command
        .env("INCLUDE_SERVER_DIR", &precious)
        .env("INCLUDE_SERVER_PID", sleeper.id().to_string());
    let output = run(command);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("nothing is removed"),
        "{}",
        stderr(&output)
    );
    assert!(precious.join("file").exists());
    assert!(sleeper.try_wait().expect("a child").is_none());
    sleeper.kill().expect("a child");
    sleeper.wait().expect("a child");
    let nothing = run(house.pump(&["--shutdown"]));
    assert_eq!(nothing.status.code(), Some(0));
}

#[test]
fn a_commands_session_is_not_shut_down_under_it() {
    let house = House::new();
    let pump = env!("CARGO_BIN_EXE_pump");
    let output = run(house.pump(&[
        "sh",
        "-c",
        "\"$0\" --shutdown; echo $?; test -S \"$INCLUDE_SERVER_PORT\"",
        pump,
    ]));
    assert_eq!(
        (stdout(&output).as_str(), output.status.code()),
        ("1\n", Some(0)),
        "{}",
        stderr(&output)
    );
}

#[test]
fn stale_variables_are_named_and_ignored() {
    let house = House::new();
    let mut command = house.pump(&["sh", "-c", "echo $INCLUDE_SERVER_PORT"]);
    let stale = house.path("tmp/distcc-pump.gone42/socket");
    command
        .env("INCLUDE_SERVER_PORT", &stale)
        .env("PUMPHOUSE_JOURNAL", stale.with_file_name("journal"));
    let output = run(command);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("ignoring INCLUDE_SERVER_PORT of a session that is gone"));
    assert!(!stdout(&output).contains("gone42"));
}

#[test]
fn bad_temporary_directories_are_one_line() {
    let house = House::new();
    let long = house.path("tmp").join("d".repeat(100));
    fs::create_dir(&long).expect("a directory");
    for (dir, wanted) in [
        (long.clone(), "too long"),
        (house.path("nowhere"), "cannot make a session directory"),
    ] {
        let mut command = house.pump(&["echo", "ran"]);
        command.env("TMPDIR", dir);
        let output = run(command);
        assert_eq!(
            (output.status.code(), stdout(&output).as_str()),
            (Some(1), "")
        );
        let said = stderr(&output);
        assert!(
            said.lines()
                .filter(|line| line.starts_with("pump: "))
                .count()
                == 1
                && said.contains(wanted),
            "{said}"
        );
    }
    fs::remove_dir(long).expect("it is empty");
    house.is_clean();
}

#[test]
fn words_of_its_own() {
    let house = House::new();
    for words in [&[][..], &["--help"], &["-h"]] {
        let output = run(house.pump(words));
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).starts_with("Usage:\n"));
    }
    assert!(stdout(&run(house.pump(&["--version"]))).starts_with("pump (Pumphouse) "));
    let unknown = run(house.pump(&["--bogus", "make"]));
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("unknown option \"--bogus\""));
    let mut command = house.pump(&["true"]);
    command.env("DISTCC_MAX_DISCREPANCY", "0");
    assert_eq!(run(command).status.code(), Some(1));
}

#[test]
fn ccache_keeps_its_place() {
    let house = House::new();
    house.script(
        "bin/ccache",
        "echo \"ccache $CCACHE_PREFIX $CCACHE_PATH $*\"",
    );
    fs::create_dir(house.path("cc")).expect("a directory");
    std::os::unix::fs::symlink(house.path("bin/ccache"), house.path("cc/gcc")).expect("a link");
    let compilers = house.path("compilers");
    let path = format!(
        "{}:{}:/bin",
        house.path("cc").display(),
        compilers.display()
    );
    let mut command = house.pump(&["gcc", "x.c"]);
    command.env("PATH", &path);
    let wanted = format!(
        "ccache {} {}:/bin x.c\n",
        house.path("bin/distcc").display(),
        compilers.display()
    );
    assert_eq!(stdout(&run(command)), wanted);
    let mut own = house.pump(&["gcc", "x.c"]);
    own.env("PATH", path).env("CCACHE_PREFIX", "icecc");
    assert_eq!(stdout(&run(own)), "ccache icecc  x.c\n");
}
