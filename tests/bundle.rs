//! The bundle dialect between our client, our include server and our daemon: what crosses, how often, and what happens when a side forgets, lacks or
//! damages something. Objects are compared with the local compiler's each time.

mod support;

use protocol::request::{Input, Request};
use protocol::version::Version;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::tap::{Crossing, Tap};
use support::{Client, Daemon, IncludeServer, Maker, run, run_ok, scratch, wait_until, write_tree};

/// Text that does not compress well: names of random look.
fn noise(seed: u64, lines: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let line = |_| format!("enum {{ e{:016x} = {} }};\n", next(), seed);
    (0..lines).map(line).collect()
}

/// A project of `count` sources that all include the same ten headers of some 30 KB each.
fn make_project(root: &Path, count: usize) {
    let mut includes = String::from("#include <stddef.h>\n#include <stdio.h>\n");
    for number in 0..10 {
        let text = format!("#pragma once\n{}", noise(number + 1, 900));
        write_tree(root, &[(&format!("inc/h{number}.h"), &text)]);
        includes.push_str(&format!("#include \"h{number}.h\"\n"));
    }
    for number in 0..count {
        let text = format!("{includes}const char *f{number}(void) {{ return __FILE__; }}\n");
        write_tree(root, &[(&format!("src/s{number}.c"), &text)]);
    }
}

fn words(number: usize) -> Vec<String> {
    format!("gcc -O1 -g -Wall -I../inc -MMD -MF s{number}.d -c s{number}.c -o s{number}.o")
        .split(' ')
        .map(str::to_owned)
        .collect()
}

/// The whole house on loopback, with a tap before the daemon.
struct House {
    root: PathBuf,
    tap: Tap,
    client: Client,
    _include_server: IncludeServer,
}

impl House {
    fn new(root: &Path, daemon: &Daemon) -> Self {
        let tap = Tap::before(daemon.port);
        let include_server = IncludeServer::start(root);
        let hosts = format!("127.0.0.1:{}/30,cpp,lzo", tap.port);
        let client = Client::new(Maker::Ours, root, &hosts);
        Self {
            root: root.to_owned(),
            tap,
            client: client.with_include_server(&include_server.socket),
            _include_server: include_server,
        }
    }

    fn src(&self) -> PathBuf {
        self.root.join("src")
    }

    /// Compiles one source here and there; object and dependency file must be the same.
    fn compare(&self, number: usize) {
        let local = local(&self.src(), number);
        self.client.compile(&self.src(), &words(number));
        assert!(
            taken(&self.src(), number) == local,
            "s{number}: the results differ"
        );
    }

    /// The crossings since `before`; each in the dialect.
    fn crossings(&self, before: usize) -> Vec<Crossing> {
        let crossings = self.tap.crossings().split_off(before);
        for crossing in &crossings {
            assert_eq!(crossing.greeting, b"BNDL00000002");
        }
        crossings
    }
}

/// Object and dependency file as the compiler here makes them; removed again.
fn local(src: &Path, number: usize) -> [Vec<u8>; 2] {
    local_with(src, number, &[])
}

fn local_with(src: &Path, number: usize, variables: &[(&str, &str)]) -> [Vec<u8>; 2] {
    let words = words(number);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).envs(variables.iter().copied());
    run_ok(command.current_dir(src));
    taken(src, number)
}

fn taken(src: &Path, number: usize) -> [Vec<u8>; 2] {
    ["o", "d"].map(|suffix| {
        let path = src.join(format!("s{number}.{suffix}"));
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        bytes
    })
}

/// A number from the daemon's statistics page.
fn counter(port: u16, name: &str) -> u64 {
    let page = support::exchange(port, b"GET / HTTP/1.0\r\n\r\n");
    let page = String::from_utf8(page).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {page}"))
        .trim()
        .parse()
        .unwrap()
}

/// A TU costs at most so many bytes when the server has everything but its source.
const FEW: usize = 1500;

#[test]
fn a_header_crosses_once() {
    let dir = scratch();
    make_project(dir.path(), 3);
    let daemon = Daemon::start(Maker::Ours, dir.path(), &[]);
    let house = House::new(dir.path(), &daemon);
    for number in [0, 1, 2, 0] {
        house.compare(number);
    }
    let up: Vec<usize> = house.crossings(0).iter().map(|c| c.up).collect();
    assert_eq!(up.len(), 4);
    assert!(up[0] > 50_000, "the headers had to cross: {up:?}");
    assert!(up[1] < FEW && up[2] < FEW, "{up:?}");
    assert!(up[3] < up[1], "the source is there, too: {up:?}");
}

/// A server's clock and time zone are its own: what shows in an object is this machine's.
#[test]
fn the_date_in_an_object_is_this_machines() {
    let dir = scratch();
    make_project(dir.path(), 0);
    let text = "const char day[] = \"pumphouse \" __DATE__;\n";
    write_tree(dir.path(), &[("src/s0.c", text)]);
    let daemon = Daemon::start(Maker::Ours, dir.path(), &[]);
    let house = House::new(dir.path(), &daemon);
    let src = house.src();
    // It is tomorrow here.
    let zone = ("TZ", "AAA-24");
    let local = || local_with(&src, 0, &[zone]);
    let before = local();
    let client = house.client.with(zone.0, zone.1);
    client.compile(&src, &words(0));
    let ours = taken(&src, 0);
    // Midnight may have come between two of them.
    assert!(ours == before || ours == local(), "it has another day");
    assert_eq!(daemon.compiled(), 1);
}

/// A client may call its compiler by a name that the server does not have, as CHOST-gcc on another distribution. gcc looks
/// for its own parts relative to its first word, so it must not see that name.
#[test]
fn a_compiler_of_another_name_finds_its_parts() {
    let dir = scratch();
    let root = dir.path().join("deep/down");
    make_project(&root, 1);
    let daemon = Daemon::start(Maker::Ours, dir.path(), &[]);
    let house = House::new(&root, &daemon);
    let bin = root.join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/usr/bin/gcc", bin.join("somewhere-unknown-gcc")).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let mut words = words(0);
    let local = local(&house.src(), 0);
    words[0] = "somewhere-unknown-gcc".to_owned();
    run_ok(house.client.command(&house.src(), &words).env("PATH", path));
    assert!(taken(&house.src(), 0) == local, "the results differ");
    assert_eq!(house.crossings(0).len(), 1);
}

#[test]
fn jobs_at_once_upload_each_header_once() {
    const JOBS: usize = 21;
    let dir = scratch();
    make_project(dir.path(), JOBS);
    let stats = support::free_port().to_string();
    let options = ["--stats", "--stats-port", &stats];
    let daemon = Daemon::start_with(Maker::Ours, dir.path(), &[], &options);
    let house = House::new(dir.path(), &daemon);
    let expected: Vec<_> = (0..JOBS)
        .map(|number| local(&house.src(), number))
        .collect();
    let start = |number| -> Child {
        let mut command = house.client.command(&house.src(), &words(number));
        command.stderr(Stdio::inherit()).spawn().unwrap()
    };
    let mut jobs: Vec<Child> = (0..JOBS).map(start).collect();
    for job in &mut jobs {
        assert!(job.wait().unwrap().success());
    }
    for (number, expected) in expected.iter().enumerate() {
        assert!(taken(&house.src(), number) == *expected, "s{number}");
    }
    let port = stats.parse().unwrap();
    assert_eq!(counter(port, "dcc_store_already_there"), 0);
    // Ten headers, a source each, the setting, and what of the system's headers differs (nothing: it is this machine).
    assert_eq!(counter(port, "dcc_store_puts"), 10 + JOBS as u64 + 1);
}

#[test]
fn a_store_outlives_its_daemon() {
    let dir = scratch();
    make_project(dir.path(), 2);
    let cache = support::daemons_directory(dir.path(), "cache");
    let options = ["--cache-dir", cache.to_str().unwrap()];
    let start = || Daemon::start_with(Maker::Ours, dir.path(), &[], &options);
    let daemon = start();
    House::new(dir.path(), &daemon).compare(0);
    drop(daemon);
    fs::remove_file(dir.path().join("socket")).unwrap_or_default();
    let daemon = start();
    let house = House::new(dir.path(), &daemon);
    house.compare(1);
    let up = house.crossings(0)[0].up;
    // The table crosses again, the headers do not.
    assert!(up < 12_000, "{up}");
}

#[test]
fn a_store_too_small_for_one_job_is_no_obstacle() {
    let dir = scratch();
    make_project(dir.path(), 2);
    let options = ["--cache-size", "64K"];
    let daemon = Daemon::start_with(Maker::Ours, dir.path(), &[], &options);
    let house = House::new(dir.path(), &daemon);
    for number in [0, 1, 0] {
        house.compare(number);
    }
    house.crossings(0);
}

#[test]
fn a_damaged_blob_is_asked_for_again() {
    let dir = scratch();
    make_project(dir.path(), 2);
    let daemon = Daemon::start(Maker::Ours, dir.path(), &[]);
    let house = House::new(dir.path(), &daemon);
    house.compare(0);
    let mut damaged = 0;
    for entry in walkdir::WalkDir::new(dir.path()).into_iter().flatten() {
        if entry.file_type().is_file()
            && entry.path().components().any(|c| c.as_os_str() == "blobs")
        {
            let mut bytes = fs::read(entry.path()).unwrap();
            bytes[0] ^= 1;
            fs::write(entry.path(), bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 10);
    // Another client's tree is laid out anew, from the store.
    let other = scratch();
    make_project(other.path(), 2);
    let house = House::new(other.path(), &daemon);
    house.compare(1);
    assert!(daemon.log_text().contains("damaged") || daemon.log_text().contains("digest"));
}

#[test]
fn a_server_without_the_compiler_refuses_in_a_line_and_another_does_it() {
    let dir = scratch();
    make_project(dir.path(), 1);
    // Its only compiler is called gcc, and is another.
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let Some(clang) = support::peer("/usr/bin/clang-19") else {
        return;
    };
    std::os::unix::fs::symlink(clang, bin.join("gcc")).unwrap();
    let path = bin.to_str().unwrap();
    let list = dir.path().join("list");
    fs::write(&list, format!("{path}/gcc\n")).unwrap();
    let environment = [("DISTCC_CMDLIST", list.to_str().unwrap()), ("PATH", path)];
    let other = Daemon::start(Maker::Ours, dir.path(), &environment);
    let right = Daemon::start(Maker::Ours, dir.path(), &[]);
    let include_server = IncludeServer::start(dir.path());
    let (src, hosts) = (dir.path().join("src"), |hosts: String| {
        let client = Client::new(Maker::Ours, dir.path(), &hosts);
        client.with_include_server(&include_server.socket)
    });
    let only_other = hosts(format!("127.0.0.1:{}/4,cpp,lzo", other.port));
    let refused = run(&mut only_other.command(&src, &words(0)));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(
        said.contains("the client compiles with gcc") && said.contains("clang version"),
        "{said}"
    );
    let expected = local(&src, 0);
    let both = hosts(format!(
        "127.0.0.1:{}/4,cpp,lzo 127.0.0.1:{}/4,cpp,lzo",
        other.port, right.port
    ));
    both.compile(&src, &words(0));
    assert!(taken(&src, 0) == expected);
    // The daemon writes its line when the client has its reply.
    support::wait_until("the job is counted", || right.compiled() == 1);
    assert_eq!((other.compiled(), right.compiled()), (0, 1));
}

#[test]
fn a_changed_header_crosses_again_and_nothing_else() {
    let dir = scratch();
    make_project(dir.path(), 2);
    let daemon = Daemon::start(Maker::Ours, dir.path(), &[]);
    let house = House::new(dir.path(), &daemon);
    house.compare(0);
    let header = dir.path().join("inc/h3.h");
    let text = fs::read_to_string(&header).unwrap();
    fs::write(
        &header,
        text.replace("#pragma once", "#pragma once\nenum { ADDED };"),
    )
    .unwrap();
    house.compare(0);
    house.compare(1);
    fs::write(&header, text).unwrap();
    house.compare(1);
    let up: Vec<usize> = house.crossings(0).iter().map(|c| c.up).collect();
    let one_header = 4_000..25_000;
    assert!(one_header.contains(&up[1]), "{up:?}");
    assert!(up[2] < FEW && up[3] < FEW, "{up:?}");
}

/// A program that becomes our daemon in a mount namespace where other headers stand in /usr/include: one that differs, one that the client has not, and one
/// less. `None` where namespaces are not allowed.
fn daemon_on_another_system(dir: &Path) -> Option<PathBuf> {
    let include = dir.join("other-include");
    run_ok(
        Command::new("cp")
            .args(["-a", "/usr/include"])
            .arg(&include),
    );
    let limits = include.join("stdio.h");
    let text = fs::read_to_string(&limits).unwrap();
    let changed = format!("#define BUFSIZ 77\n{text}").replace("#define BUFSIZ 8192", "");
    fs::write(&limits, changed).unwrap();
    write_tree(
        &include,
        &[("only_there.h", "#error read on the server only\n")],
    );
    fs::remove_file(include.join("errno.h")).unwrap();
    // As a user the mount needs a user namespace, too.
    // SAFETY: a plain system call.
    let flags = if unsafe { libc::geteuid() } == 0 {
        "-m"
    } else {
        "-rm"
    };
    let starter = dir.join("starter");
    let mount = format!("mount --bind {} /usr/include", include.display());
    let distccd = support::ours("distccd");
    let script = format!(
        "#!/bin/sh\nexec unshare {flags} sh -c '{mount} && exec {} \"$@\"' distccd \"$@\"\n",
        distccd.display()
    );
    fs::write(&starter, script).unwrap();
    run_ok(Command::new("chmod").arg("755").arg(&starter));
    let try_it = run(Command::new("unshare").args([flags, "sh", "-c", &mount]));
    if !try_it.status.success() {
        eprintln!("skipped: no mount namespaces here");
        return None;
    }
    Some(starter)
}

#[test]
fn a_server_with_other_system_headers_gives_the_clients_object() {
    let dir = scratch();
    let Some(starter) = daemon_on_another_system(dir.path()) else {
        return;
    };
    write_tree(
        dir.path(),
        &[(
            "src/s0.c",
            "#include <stdio.h>\n#include <errno.h>\n#if __has_include(<only_there.h>)\n#include <only_there.h>\n#endif\n\
             int size = BUFSIZ;\nint f(void) { return printf(\"%d\", errno); }\n",
        )],
    );
    fs::create_dir_all(dir.path().join("inc")).unwrap();
    let daemon = Daemon::start_by(&starter, Maker::Ours, dir.path(), &[], &[]);
    let house = House::new(dir.path(), &daemon);
    house.compare(0);
    house.crossings(0);
    // By protocol 3 that server would have come to another result, or to none.
    let stock = Client::new(
        Maker::Ours,
        dir.path(),
        &format!("127.0.0.1:{}/4,cpp,lzo", daemon.port),
    )
    .with_include_server(&dir.path().join("socket"))
    .with("PUMPHOUSE_STOCK_PROTOCOLS", "1");
    let expected = local(&house.src(), 0);
    let outcome = run(&mut stock.command(&house.src(), &words(0)));
    let object = fs::read(house.src().join("s0.o")).unwrap_or_default();
    assert!(!outcome.status.success() || object != expected[0]);
}

#[test]
fn without_namespaces_other_system_headers_are_refused_before_anything_is_sent() {
    let dir = scratch();
    let Some(starter) = daemon_on_another_system(dir.path()) else {
        return;
    };
    make_project(dir.path(), 1);
    let view = [("PUMPHOUSE_VIEW", "rewrite")];
    let daemon = Daemon::start_by(&starter, Maker::Ours, dir.path(), &view, &[]);
    let house = House::new(dir.path(), &daemon);
    // Preprocessed at home instead; line tables may differ then.
    house.client.compile(&house.src(), &words(0));
    let crossings = house.tap.crossings();
    let greetings: Vec<_> = crossings.iter().map(|c| c.greeting.as_slice()).collect();
    assert_eq!(greetings, [b"BNDL00000002", b"DIST00000002"]);
    assert!(crossings[0].up < 6000, "{crossings:?}");
}

/// Whether any process runs `sleep` for so long.
fn is_sleeping(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|process| fs::read(process.path().join("cmdline")).unwrap_or_default())
        .any(|command| command.ends_with(wanted.as_bytes()))
}

#[test]
fn a_busy_server_sends_a_job_to_another_host_or_home_and_is_not_blamed() {
    let dir = scratch();
    make_project(dir.path(), 3);
    // A compiler that holds the only slot until its client leaves.
    let seconds = format!("3201.{}", std::process::id());
    let text =
        format!("#!/bin/sh\nfor w; do [ \"$w\" = -c ] && exec sleep {seconds}; done\nexit 1\n");
    write_tree(dir.path(), &[("bin/slow-gcc", &text)]);
    run_ok(
        Command::new("chmod")
            .arg("755")
            .arg(dir.path().join("bin/slow-gcc")),
    );
    let list = dir.path().join("list");
    fs::write(
        &list,
        format!("/usr/bin/gcc\n{}/bin/slow-gcc\n", dir.path().display()),
    )
    .unwrap();
    let environment = [("DISTCC_CMDLIST", list.to_str().unwrap())];
    let options = ["--jobs", "1", "--queue", "0"];
    let busy = Daemon::start_with(Maker::Ours, dir.path(), &environment, &options);
    let free = Daemon::start(Maker::Ours, dir.path(), &[]);
    let argv = ["slow-gcc", "-c", "a.c", "-o", "a.o"];
    let request = Request {
        version: Version::Plain1,
        cwd: None,
        argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
        input: Input::Preprocessed(b"int x;\n".to_vec()),
    };
    let mut occupant = TcpStream::connect(("127.0.0.1", busy.port)).unwrap();
    occupant.write_all(&request.encode()).unwrap();
    wait_until("the slot is taken", || is_sleeping(&seconds));

    let include_server = IncludeServer::start(dir.path());
    let client = |hosts: String| {
        let client = Client::new(Maker::Ours, dir.path(), &hosts);
        // For as long as a host that is blamed is left alone.
        let client = client.with("DISTCC_BACKOFF_PERIOD", "600");
        client.with_include_server(&include_server.socket)
    };
    let host = |daemon: &Daemon| format!("127.0.0.1:{}/4,cpp,lzo", daemon.port);
    let src = dir.path().join("src");
    let said = |output: std::process::Output| String::from_utf8(output.stderr).unwrap();

    let text = said(client(format!("{} {}", host(&busy), host(&free))).compile(&src, &words(0)));
    assert!(
        text.contains("the server refused: busy: too many jobs wait; trying"),
        "{text}"
    );
    assert_eq!(free.compiled(), 1);
    let alone = client(host(&busy)).with("DISTCC_FALLBACK", "1");
    let text = said(alone.compile(&src, &words(1)));
    assert!(
        text.contains("(the server refused: busy: too many jobs wait), running locally"),
        "{text}"
    );
    for number in [0, 1] {
        let compiled = taken(&src, number);
        assert!(compiled == local(&src, number), "s{number}");
    }
    drop(occupant);
    wait_until("the slot is free", || {
        busy.log_text().contains("CLI_DISCONN")
    });
    client(host(&busy)).compile(&src, &words(2));
    assert_eq!(busy.compiled(), 1);
    assert!(taken(&src, 2) == local(&src, 2));
}
