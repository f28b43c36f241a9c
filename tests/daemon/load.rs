//! More clients than a daemon has slots, memory or time for: each gets what is right or a clear word, machines take turns, and nothing is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::FromRawFd;

use protocol::bundle::refusal::RefusalKind;
use protocol::request::Request;
use protocol::version::Version;

use crate::bundles::{Job, Said, listen};
use crate::ending::unique;
use crate::harness::{
    Daemon, is_sleeping, preprocessed, read_to_close, script, send_signal, wait_until,
};

/// A compiler that makes its object of its source's text, and nothing else.
const COPY: &str = "for w; do case $w in *.i) in=$w;; esac; [ \"$last\" = -o ] && out=$w; last=$w; done\n\
                    [ -n \"$in\" ] && exec cat \"$in\" > \"$out\"";

/// A compiler that takes as many seconds as its source says.
const SLEEP: &str = "for w; do case $w in *.i) in=$w;; esac; [ \"$last\" = -o ] && out=$w; last=$w; done\n\
                     [ -n \"$in\" ] || exit 1; sleep \"$(cat \"$in\")\"; exec cat \"$in\" > \"$out\"";

/// A daemon with a script for a compiler, and with gcc for jobs of the bundle dialect.
fn daemon(compiler: &str, options: &[&str]) -> Daemon {
    Daemon::with_compiler(compiler, |command, dir| {
        let list = fs::read_to_string(dir.join("list")).unwrap() + "/usr/bin/gcc\n";
        fs::write(dir.join("list"), list).unwrap();
        command.args(options);
    })
}

/// What a daemon holds of the machine.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    children: usize,
    mounts: usize,
    leftovers: Vec<String>,
}

impl Held {
    fn by(daemon: &Daemon) -> Self {
        let pid = daemon.pid();
        let parent = format!("PPid:\t{pid}\n");
        let children = fs::read_dir("/proc").unwrap().flatten().filter(|process| {
            let status = fs::read_to_string(process.path().join("status"));
            status.is_ok_and(|status| status.contains(&parent))
        });
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        Self {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            children: children.count(),
            mounts: mounts.lines().count(),
            leftovers: daemon.leftovers(),
        }
    }

    /// Waits until nothing of any job is left but what is kept for the next ones: a file each for what a compiler may say, twice for each slot.
    fn assert_no_more(&self, daemon: &Daemon, slots: usize) {
        let mut now = Self::by(daemon);
        wait_until("nothing is left of any job", || {
            now = Self::by(daemon);
            now.children == 0
                && now.leftovers.is_empty()
                && now.mounts == self.mounts
                && now.descriptors <= self.descriptors + 2 * slots + 8
        });
    }
}

/// A daemon's statistics port.
struct Page(SocketAddr);

impl Page {
    fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self(free.local_addr().unwrap())
    }

    fn options(&self) -> [String; 4] {
        let port = format!("--stats-port={}", self.0.port());
        let words = ["--stats", &port, "--listen", "127.0.0.1"];
        words.map(str::to_owned)
    }

    /// Whether it has this line.
    fn has(&self, line: &str) -> bool {
        let mut stream = TcpStream::connect(self.0).unwrap();
        let asked = stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n");
        asked.unwrap();
        let text = String::from_utf8(read_to_close(&mut stream)).unwrap();
        text.lines().any(|other| other == line)
    }

    fn wait_for(&self, line: &str) {
        wait_until(line, || self.has(line));
    }
}

/// Numbers by chance.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

fn gcc_with(number: usize) -> Job {
    let word = format!("-DN={number}");
    Job::saying(1, &["gcc", "-O1", &word, "-c", "a.c", "-o", "a.o"])
}

#[test]
fn five_hundred_clients_at_once_on_eight_slots() {
    let daemon = daemon(COPY, &["--jobs", "8"]);
    gcc_with(0).assert_done(&daemon);
    let before = Held::by(&daemon);
    std::thread::scope(|scope| {
        for client in 0..500_usize {
            let daemon = &daemon;
            let serve = move || {
                if client % 10 == 0 {
                    return gcc_with(client % 7).assert_done(daemon);
                }
                let source = format!("the source of client {client}\n").repeat(client);
                let reply = daemon.job(&preprocessed("cc1", &source)).unwrap();
                assert!(reply.status.success(), "{client}");
                assert!(reply.object == source.as_bytes(), "{client}");
            };
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            thread.spawn_scoped(scope, serve).unwrap();
        }
    });
    let mut endings = BTreeMap::new();
    for line in daemon.wait_for_summaries(501) {
        *endings
            .entry(line.split(' ').next().unwrap().to_owned())
            .or_insert(0) += 1;
    }
    assert_eq!(endings, BTreeMap::from([("COMPILE_OK".to_owned(), 501)]));
    before.assert_no_more(&daemon, 8);
}

#[test]
fn clients_that_vanish_at_any_byte_of_either_direction() {
    let daemon = daemon(COPY, &["--jobs", "4"]);
    gcc_with(0).assert_done(&daemon);
    let before = Held::by(&daemon);
    let source = "a source\n".repeat(40_000);
    let mut dice = Dice(std::process::id().into());
    for round in 0..100 {
        // One that nobody has sent before.
        let job = gcc_with(0).with_source(format!("int i{round};\n").as_bytes());
        let bytes = match dice.roll(3) {
            0 => preprocessed("cc1", &source).encode(),
            1 => job.opening(),
            _ => {
                let (mut stream, need) = job.up_to_blobs(&daemon);
                let gifts = job.gifts(&need);
                vanish(&mut stream, &gifts, &mut dice);
                continue;
            }
        };
        vanish(&mut daemon.connect(), &bytes, &mut dice);
    }
    before.assert_no_more(&daemon, 4);
    gcc_with(0).assert_done(&daemon);
    daemon.assert_alive();
}

/// Sends all or some of what a client sends, reads none or some of what comes, and leaves.
fn vanish(stream: &mut TcpStream, bytes: &[u8], dice: &mut Dice) {
    let sent = match dice.roll(2) {
        0 => bytes.len(),
        _ => dice.roll(bytes.len()),
    };
    // The daemon may have had enough.
    let _ = stream.write_all(&bytes[..sent]);
    if dice.roll(4) == 0 {
        let _ = stream.shutdown(Shutdown::Write);
    }
    if sent == bytes.len() && dice.roll(3) == 0 {
        let mut some = vec![0; 1 + dice.roll(3000)];
        let _ = stream.read(&mut some);
    }
}

/// A source of so many seconds that no other process sleeps.
fn sleeper(seconds: &str) -> Request {
    preprocessed("cc1", seconds)
}

/// A connection from another address of this machine.
fn connect_from(address: [u8; 4], daemon: &Daemon) -> TcpStream {
    let name = |address: [u8; 4], port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(address),
        },
        sin_zero: [0; 8],
    };
    let (from, to) = (
        name(address, 0),
        name([127, 0, 0, 1], daemon.address.port()),
    );
    let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: plain system calls on addresses of the size that is said; the descriptor is owned by the stream alone.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        assert!(socket >= 0);
        let stream = TcpStream::from_raw_fd(socket);
        assert_eq!(libc::bind(socket, (&raw const from).cast(), size), 0);
        assert_eq!(libc::connect(socket, (&raw const to).cast(), size), 0);
        stream
    }
}

#[test]
fn one_machine_with_many_connections_does_not_keep_another_waiting() {
    let page = Page::new();
    let daemon = Daemon::start_for("127.0.0.0/8", |command, dir| {
        let compiler = dir.join("server/cc1");
        script(&compiler, SLEEP);
        fs::write(dir.join("list"), format!("{}\n", compiler.display())).unwrap();
        command.env("DISTCC_CMDLIST", dir.join("list"));
        command.args(["--jobs", "1"]).args(page.options());
    });
    let seconds = unique(3101);
    let mut first = daemon.connect();
    first.write_all(&sleeper(&seconds).encode()).unwrap();
    wait_until("the compiler runs", || is_sleeping(&seconds));
    let greedy: Vec<TcpStream> = (1..=20)
        .map(|count| {
            let mut stream = daemon.connect();
            stream.write_all(&sleeper(&seconds).encode()).unwrap();
            page.wait_for(&format!("distccd_queue_jobs {count}"));
            stream
        })
        .collect();
    let mut modest = connect_from([127, 0, 0, 2], &daemon);
    modest.write_all(&sleeper("0").encode()).unwrap();
    page.wait_for("distccd_queue_jobs 21");
    // Of the others, which take for ever, one is before it.
    let mut leaving = greedy.into_iter();
    drop(first);
    page.wait_for("distccd_queue_jobs 20");
    drop(leaving.next());
    let reply = read_to_close(&mut modest);
    assert!(reply.starts_with(b"DONE"), "{}", daemon.log());
    drop(leaving);
}

#[test]
fn a_full_queue_sends_clients_elsewhere() {
    let seconds = unique(3102);
    let daemon = daemon(SLEEP, &["--jobs", "1", "--queue", "0"]);
    gcc_with(0).assert_done(&daemon);
    let mut first = daemon.connect();
    first.write_all(&sleeper(&seconds).encode()).unwrap();
    wait_until("the compiler runs", || is_sleeping(&seconds));
    // What was compiled before needs no slot.
    gcc_with(0).assert_done(&daemon);
    match gcc_with(1).run(&daemon) {
        Said::Refused(refusal) => {
            assert_eq!(refusal.kind, RefusalKind::Busy, "{refusal}");
            assert!(refusal.text.contains("busy"), "{refusal}");
        }
        said => panic!("{said:?}"),
    }
    assert_eq!(daemon.job(&sleeper("0")), None);
    let summaries = daemon.wait_for_summaries(4);
    let overload = "REJ_OVERLOAD exit:0 sig:0 core:0 ret:114";
    assert_eq!(summaries[2..4], [overload, overload]);
    drop(first);
    daemon.wait_for_summaries(5);
    assert!(daemon.job(&sleeper("0")).is_some());
}

#[test]
fn without_memory_to_spare_one_compile_runs_at_a_time() {
    let page = Page::new();
    let mut options = vec!["--jobs", "4", "--min-free-memory", "900T"];
    let further = page.options();
    options.extend(further.iter().map(String::as_str));
    let daemon = daemon(SLEEP, &options);
    let (first, second) = (unique(3103), unique(3104));
    let mut slow = daemon.connect();
    slow.write_all(&sleeper(&first).encode()).unwrap();
    wait_until("the compiler runs", || is_sleeping(&first));
    let mut waiting: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(&sleeper(&second).encode()).unwrap();
            stream
        })
        .collect();
    page.wait_for("distccd_queue_jobs 3");
    assert!(page.has("distccd_slots_busy 1") && page.has("distccd_memory_short 1"));
    drop(slow);
    wait_until("the next compiler runs", || is_sleeping(&second));
    assert!(page.has("distccd_slots_busy 1"));
    waiting.clear();
    page.wait_for("distccd_queue_jobs 0");
    page.wait_for("distccd_slots_busy 0");
    let said = daemon.log().matches("compiles wait for memory").count();
    assert_eq!(said, 1, "{}", daemon.log());
}

#[test]
fn sigterm_lets_a_compile_end_and_hands_back_what_waits() {
    let store = tempfile::tempdir().unwrap();
    fs::set_permissions(
        store.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    let cache = store.path().join("cache").display().to_string();
    let mut daemon = daemon(SLEEP, &["--jobs", "1", "--cache-dir", &cache]);
    gcc_with(0).assert_done(&daemon);
    // Long enough for all that happens meanwhile, and not for ever.
    let seconds = format!("4.{}", std::process::id());
    let mut running = daemon.connect();
    running.write_all(&sleeper(&seconds).encode()).unwrap();
    wait_until("the compiler runs", || is_sleeping(&seconds));
    let mut stock = daemon.connect();
    stock.write_all(&sleeper("0").encode()).unwrap();
    let job = gcc_with(1);
    let mut ours = daemon.connect();
    ours.write_all(&job.opening()).unwrap();
    if let Said::Need(need) = listen(&mut ours) {
        // Another setting; the files are known.
        ours.write_all(&job.gifts(&need)).unwrap();
    }
    wait_until("all wait", || {
        daemon.log().matches("connected").count() >= 4
    });
    send_signal(daemon.pid(), libc::SIGTERM);
    assert_eq!(read_to_close(&mut stock), b"");
    match listen(&mut ours) {
        Said::Refused(refusal) => {
            assert_eq!(refusal.kind, RefusalKind::Busy, "{refusal}");
            assert!(refusal.text.contains("stopping"), "{refusal}");
        }
        said => panic!("{said:?}"),
    }
    wait_until("no new client is let in", || {
        TcpStream::connect(daemon.address).is_err()
    });
    let bytes = read_to_close(&mut running);
    let limits = protocol::limits::Limits::DEFAULT;
    let reply = protocol::reply::Reply::decode(&bytes, Version::Plain1, limits).unwrap();
    assert_eq!(reply.object, seconds.as_bytes());
    assert!(daemon.wait().success());

    let next = self::daemon(SLEEP, &["--jobs", "1", "--cache-dir", &cache]);
    gcc_with(0).assert_done(&next);
    wait_until("it says so", || next.log().contains("(dcc_job_cache)"));
    assert!(next.log().contains(" hit: gcc a.c"), "{}", next.log());
}

#[test]
fn whoever_waits_for_anothers_compile_takes_its_place_when_it_leaves() {
    let daemon = daemon(SLEEP, &["--jobs", "1"]);
    let seconds = unique(3106);
    // Holds the slot, so that the first of the others is at it without compiling.
    let mut holder = daemon.connect();
    holder.write_all(&sleeper(&seconds).encode()).unwrap();
    wait_until("the compiler runs", || is_sleeping(&seconds));
    let offer = || {
        let job = gcc_with(5);
        let mut stream = daemon.connect();
        stream.write_all(&job.opening()).unwrap();
        (job, stream)
    };
    let (job, mut leader) = offer();
    loop {
        match listen(&mut leader) {
            Said::Need(need) => {
                let blobs = !need.blobs.is_empty();
                leader.write_all(&job.gifts(&need)).unwrap();
                if blobs {
                    break;
                }
            }
            said => panic!("{said:?}"),
        }
    }
    let followers: Vec<_> = (0..5).map(|_| offer()).collect();
    std::thread::scope(|scope| {
        for (job, mut stream) in followers {
            scope.spawn(move || {
                loop {
                    match listen(&mut stream) {
                        Said::Need(need) => stream.write_all(&job.gifts(&need)).unwrap(),
                        Said::Done(reply) => break assert!(reply.status.success()),
                        said => panic!("{said:?}"),
                    }
                }
            });
        }
        wait_until("all have come", || {
            daemon.log().matches("connected").count() >= 7
        });
        drop(leader);
        wait_until("the leader is gone", || {
            daemon.log().contains("CLI_DISCONN")
        });
        drop(holder);
    });
    daemon.wait_for_summaries(7);
    wait_until("all are told", || {
        daemon.log().matches("(dcc_job_cache)").count() >= 5
    });
    let log = daemon.log();
    assert_eq!(log.matches(" miss (").count(), 1, "{log}");
    assert_eq!(log.matches(" hit: gcc a.c").count(), 4, "{log}");
}
