//! Attacks against a daemon at work: through every protocol, through command lines, through sources, and from inside of a compiler, in both views. Each
//! has its expected end; after each the daemon serves a good job, and nothing of the attack is left: no file, no process, no descriptor.

use std::cell::Cell;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use protocol::bundle::entry::{Content, Entry};
use protocol::lzo;
use protocol::request::{Input, Request};
use protocol::tree::{EntryContent, TreeEntry};
use protocol::tree_path::TreePath;
use protocol::version::Version;

use crate::bundles::{HEADER, Job, Said, file};
use crate::harness::{Daemon, preprocessed, read_to_close, run, short_lifetime, wait_until};
use crate::probe::{Probed, VIEWS, View};

/// What the daemon opens for groves and the store.
const KEPT_DESCRIPTORS: usize = 80;

/// A secret that the daemon's user may read, and its text.
struct Target {
    probed: Probed,
    secret: String,
    mark: String,
    descriptors: usize,
    jobs: Cell<u32>,
}

impl Target {
    fn start(view: View, options: &[&str]) -> Option<Self> {
        let probed = Probed::start(view, |command, dir| {
            command.args(options);
            command.env("DISTCC_IO_TIMEOUT", "2");
            let path = dir.join("secret");
            fs::write(&path, format!("leaked_{}\n", std::process::id())).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        })?;
        let mut target = Self {
            secret: probed.daemon.path("secret").display().to_string(),
            mark: format!("leaked_{}", std::process::id()),
            probed,
            descriptors: 0,
            jobs: Cell::new(0),
        };
        target.serves();
        target.descriptors = target.open();
        Some(target)
    }

    fn daemon(&self) -> &Daemon {
        &self.probed.daemon
    }

    /// The daemon's open descriptors.
    fn open(&self) -> usize {
        let dir = format!("/proc/{}/fd", self.daemon().pid());
        fs::read_dir(dir).unwrap().count()
    }

    /// A good job that no other was like.
    fn serves(&self) {
        self.jobs.set(self.jobs.get() + 1);
        let source = format!("int good_{};\n", self.jobs.get());
        let reply = self.daemon().job(&preprocessed("gcc", &source));
        let reply = reply.expect("the daemon serves");
        assert!(reply.status.success() && reply.object.starts_with(b"\x7fELF"));
    }

    /// Nothing of an attack is left.
    fn is_clean(&self, attack: &str) {
        self.serves();
        let children = self.daemon().pid().to_string();
        let none = |command: &mut Command| run(command).stdout.is_empty();
        wait_until(&format!("{attack}: no process is left"), || {
            none(Command::new("pgrep").args(["-P", &children]))
                && none(Command::new("pgrep").arg("-f").arg(self.probed.installed()))
        });
        wait_until(&format!("{attack}: no file is left"), || {
            self.daemon().leftovers().is_empty()
        });
        // The daemon keeps some for what it keeps between jobs (groves, the store), of which there is a bounded number.
        wait_until(&format!("{attack}: no descriptor is left"), || {
            self.open() <= self.descriptors + KEPT_DESCRIPTORS
        });
    }

    fn text(&self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// Runs attacks in both views.
fn each<T>(attacks: &[(&str, T)], attempt: impl Fn(&Target, View, &str, &T)) {
    each_with(&[], attacks, attempt);
}

/// The same with options for the daemon.
fn each_with<T>(
    options: &[&str],
    attacks: &[(&str, T)],
    attempt: impl Fn(&Target, View, &str, &T),
) {
    for view in VIEWS {
        let Some(target) = Target::start(view, options) else {
            continue;
        };
        for (name, attack) in attacks {
            attempt(&target, view, name, attack);
            target.is_clean(name);
        }
    }
}

const ARGV: &str = "ARGC00000002ARGV00000003gccARGV00000002-c";
const PUMP: &str = "DIST00000003CDIR00000002/pARGC00000002ARGV00000003gccARGV00000002-c";

/// Bytes that are no request: the daemon hangs up by itself.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let texts: Vec<(&str, String)> = vec![
        ("version 0", "DIST00000000".into()),
        ("version 4", "DIST00000004".into()),
        ("version of all bits", "DISTffffffff".into()),
        ("no distcc at all", "GET / HTTP/1.0\r\n\r\n".into()),
        ("a flood of arguments", "DIST00000001ARGCffffffff".into()),
        (
            "no arguments",
            "DIST00000001ARGC00000000DOTI00000000".into(),
        ),
        (
            "a long argument",
            "DIST00000001ARGC00000001ARGVffffffff".into(),
        ),
        (
            "an empty compiler",
            "DIST00000001ARGC00000001ARGV00000000DOTI00000000".into(),
        ),
        ("a large source", format!("DIST00000001{ARGV}DOTIffffffff")),
        (
            "a large compressed source",
            format!("DIST00000002{ARGV}DOTIffffffff"),
        ),
        ("a long directory", "DIST00000003CDIRffffffff".into()),
        ("a flood of files", format!("{PUMP}NFILffffffff")),
        ("a long name", format!("{PUMP}NFIL00000001NAMEffffffff")),
        (
            "a large file",
            format!("{PUMP}NFIL00000001NAME00000006/p/a.cFILEffffffff"),
        ),
        (
            "a long link",
            format!("{PUMP}NFIL00000001NAME00000006/p/a.cLINKffffffff"),
        ),
        (
            "fewer files than said",
            format!("{PUMP}NFIL00000002NAME00000006/p/a.cFILE00000000"),
        ),
        (
            "parts out of order",
            format!("DIST00000003{ARGV}CDIR00000002/p"),
        ),
        (
            "a name that climbs",
            format!("{PUMP}NFIL00000001NAME00000008/../../xFILE00000000"),
        ),
        (
            "a name that climbs inside",
            format!("{PUMP}NFIL00000001NAME00000009/p/../../xFILE00000000"),
        ),
        (
            "a relative name",
            format!("{PUMP}NFIL00000001NAME00000003a.cFILE00000000"),
        ),
        (
            "a name with a NUL",
            format!("{PUMP}NFIL00000001NAME00000006/p/\0.cFILE00000000"),
        ),
        (
            "a name of the root",
            format!("{PUMP}NFIL00000001NAME00000001/FILE00000000"),
        ),
        ("digits that are none", "DIST0000000gARGC00000001".into()),
        (
            "more than a request",
            format!("DIST00000001{ARGV}DOTI00000000more"),
        ),
        ("silence", String::new()),
        (
            "silence after a word",
            "DIST00000001ARGC00000002ARGV000000".into(),
        ),
        ("the dialect's version", "BNDLffffffff".into()),
        ("an endless offer", "BNDL00000002OFFRffffffff".into()),
        ("a pack for nothing", "BNDL00000002PACK00000010".into()),
    ];
    texts
        .into_iter()
        .map(|(name, text)| (name, text.into_bytes()))
        .collect()
}

#[test]
fn what_is_no_request_is_dropped() {
    each(&malformed(), |target, _, name, bytes| {
        let mut stream = target.daemon().connect();
        // The daemon may close before all is sent; our side stays open.
        let _ = stream.write_all(bytes);
        let answer = read_to_close(&mut stream);
        assert!(
            answer.is_empty() || answer.starts_with(b"REFU"),
            "{name}: {answer:?}"
        );
    });
}

fn path(path: &str) -> TreePath {
    TreePath::new(path.as_bytes()).unwrap()
}

fn entry(at: &str, content: &[u8]) -> TreeEntry {
    let content = EntryContent::File(lzo::compress(content));
    TreeEntry {
        path: path(at),
        content,
    }
}

fn link(at: &str, target: &str) -> TreeEntry {
    let content = EntryContent::Link(target.as_bytes().to_vec());
    TreeEntry {
        path: path(at),
        content,
    }
}

fn pump(cwd: &str, words: &str, entries: Vec<TreeEntry>) -> Request {
    Request {
        version: Version::Pump3,
        cwd: Some(cwd.as_bytes().to_vec()),
        argv: words
            .split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect(),
        input: Input::Tree(entries),
    }
}

/// An LZO block of so many bytes that stands for 255 times as many: a match whose length is counted in zeros.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut block = vec![21, b'b', b'o', b'm', b'b', 0x20];
    block.resize(block.len() + bytes, 0);
    block.extend([1, 0, 0, 0x11, 0, 0]);
    block
}

/// Requests in protocols 2 and 3 that are well formed and must get no reply.
fn refused() -> Vec<(&'static str, Request)> {
    let source = || entry("/p/a.c", b"int x;\n");
    let with = |more: TreeEntry| pump("/p", "gcc -c a.c -o a.o", vec![source(), more]);
    let saying = |words: &str| {
        pump(
            "/p",
            words,
            vec![source(), entry("/p/opts", b"-fplugin=./x.so")],
        )
    };
    let packed = |version, body: Vec<u8>| {
        let mut request = preprocessed("gcc", "");
        request.version = version;
        request.input = Input::Preprocessed(body);
        request
    };
    let bombed = TreeEntry {
        path: path("/p/b.h"),
        content: EntryContent::File(bomb(12 << 20)),
    };
    vec![
        (
            "a source that does not decompress",
            packed(Version::Lzo2, vec![0xff; 4000]),
        ),
        (
            "a source that is a bomb",
            packed(Version::Lzo2, bomb(12 << 20)),
        ),
        ("a file that is a bomb", with(bombed)),
        (
            "a file that does not decompress",
            with(TreeEntry {
                path: path("/p/b.h"),
                content: EntryContent::File(vec![0xff; 40]),
            }),
        ),
        (
            "a directory that climbs",
            pump("/../../..", "gcc -c a.c", vec![source()]),
        ),
        (
            "a directory that is relative",
            pump("p", "gcc -c a.c", vec![source()]),
        ),
        ("an object outside", saying("gcc -c a.c -o ../../../../x.o")),
        (
            "a dependency file outside",
            saying("gcc -c a.c -MD -MF ../../../x.d -o a.o"),
        ),
        ("an object upon the source", saying("gcc -c a.c -o a.c")),
        (
            "an object through a link",
            pump("/p", "gcc -c a.c -o l", vec![source(), link("/p/l", "a.c")]),
        ),
        ("a link that climbs", with(link("/p/l", "../../../etc"))),
        (
            "a file below a link",
            pump(
                "/p",
                "gcc -c a.c",
                vec![source(), link("/p/l", "/etc"), entry("/p/l/x.h", b"x")],
            ),
        ),
        ("a file below a file", with(entry("/p/a.c/x.h", b"x"))),
        ("two files of a name", with(source())),
        (
            "links in a circle",
            pump(
                "/p",
                "gcc -c a.c -o p/a.o",
                vec![source(), link("/p/p", "q"), link("/p/q", "p")],
            ),
        ),
        ("no source", saying("gcc -c -o a.o")),
        ("two sources", saying("gcc -c a.c b.c")),
        ("no compile", saying("gcc a.c -o /bin/x")),
        ("a shell for a compiler", saying("sh -c id")),
        ("a path for a compiler", saying("/bin/sh -c a.c")),
        ("a climbing compiler", saying("../../bin/sh -c a.c")),
        ("a compiler of the client's own", saying("/p/evil -c a.c")),
        ("a response file", saying("gcc -c a.c @opts")),
        ("a response file as a value", saying("gcc -c a.c -I @opts")),
        (
            "a response file as the output",
            saying("gcc -c a.c -o @opts"),
        ),
        ("a response file for cc1", saying("gcc -c a.c -Wp,@opts")),
        (
            "a response file for the assembler",
            saying("gcc -c a.c -Wa,@opts"),
        ),
        ("a plugin", saying("gcc -c a.c -fplugin=./x.so")),
        ("specs", saying("gcc -c a.c -specs=opts")),
        ("a wrapper", saying("gcc -c a.c -wrapper sh,-c,id")),
        ("programs from a directory", saying("gcc -c a.c -B/p")),
        ("a front end of its own", saying("gcc -cc1 -S -load x a.c")),
        ("Microsoft's options", saying("gcc --driver-mode=cl -c a.c")),
        (
            "a library for clang",
            saying("gcc -c a.c -Xclang -load -Xclang ./x.so"),
        ),
        (
            "a library for LLVM",
            saying("gcc -c a.c -mllvm -load=./x.so"),
        ),
        (
            "options in a file for clang",
            saying("gcc -c a.c --config=opts"),
        ),
        ("a listing to a file", saying("gcc -c a.c -Wa,-al=/p/x")),
        (
            "a dump to a file",
            saying("gcc -c a.c -fdump-tree-all=/p/x"),
        ),
        (
            "an output for the preprocessor",
            saying("gcc -c a.c -Wp,-MD,/p/x"),
        ),
    ]
}

#[test]
fn requests_that_reach_too_far_are_refused() {
    each(&refused(), |target, _, name, request| {
        let reply = target.daemon().job(request);
        assert_eq!(reply, None, "{name}");
    });
}

/// Sources and options that read what is not the client's. `SECRET` is a file that the daemon's user may read.
const READS: [(&str, &str, &str); 17] = [
    ("an include of a secret", "#include \"SECRET\"\n", ""),
    ("an include of the shadow", "#include \"/etc/shadow\"\n", ""),
    (
        "an include through /proc",
        "#include \"/proc/self/root/SECRET\"\n",
        "",
    ),
    (
        "an include through another's root",
        "#include \"/proc/1/root/SECRET\"\n",
        "",
    ),
    (
        "the environment of the first process",
        "__asm__(\".incbin \\\"/proc/1/environ\\\"\");\n",
        "",
    ),
    (
        "a binary include",
        "__asm__(\".incbin \\\"SECRET\\\"\");\n",
        "",
    ),
    (
        "an assembler's include",
        "__asm__(\".include \\\"SECRET\\\"\");\n",
        "",
    ),
    (
        "a binary include of the shadow",
        "__asm__(\".incbin \\\"/etc/shadow\\\"\");\n",
        "",
    ),
    ("a forced include", "int x;\n", "-include SECRET"),
    ("forced macros", "int x;\n", "-imacros SECRET"),
    (
        "a search in the daemon's directory",
        "#include <secret>\n",
        "-IDIR",
    ),
    ("a search in everything", "#include <SECRET>\n", "-I/"),
    (
        "a system root",
        "#include <secret>\n",
        "--sysroot=/ -isystem DIR",
    ),
    (
        "a search after others",
        "#include <secret>\n",
        "-idirafter DIR",
    ),
    (
        "an assembler's search",
        "__asm__(\".include \\\"secret\\\"\");\n",
        "-Wa,-IDIR",
    ),
    (
        "a profile",
        "int f(void) { return 1; }\n",
        "-fprofile-use=SECRET -Werror",
    ),
    ("an include of a link to a secret", "#include \"way\"\n", ""),
];

#[test]
fn no_source_reads_what_is_not_the_clients() {
    let attacks = READS.map(|(name, source, words)| (name, (source, words)));
    each(&attacks, |target, _, name, (source, words)| {
        let dir = target.secret.strip_suffix("/secret").unwrap();
        let fill = |text: &str| text.replace("SECRET", &target.secret).replace("DIR", dir);
        let mut argv = format!("gcc -c a.c -o a.o {}", fill(words));
        argv.truncate(argv.trim_end().len());
        let mut entries = vec![entry("/p/a.c", fill(source).as_bytes())];
        if name.contains("link") {
            entries.push(link("/p/way", &target.secret));
        }
        // A profile that cannot be read is none; in a namespace the first process is the compiler.
        let may_compile = name.contains("profile") || name.contains("first process");
        if let Some(reply) = target.daemon().job(&pump("/p", &argv, entries)) {
            assert!(may_compile || !reply.status.success(), "{name}");
            let all = [reply.stderr, reply.stdout, reply.object].map(|bytes| target.text(&bytes));
            for secret in [&target.mark, "root:", "PUMPHOUSE_LISTEN_FD="] {
                assert!(
                    !all.iter().any(|text| text.contains(secret)),
                    "{name}: {all:?}"
                );
            }
        }
    });
}

#[test]
fn no_source_can_tell_whether_a_file_is_there() {
    let attacks = [
        "SECRET",
        "/etc/shadow",
        "/etc/hostname",
        "/proc/1/environ",
        "/root",
    ];
    let attacks = attacks.map(|file| (file, file));
    each(&attacks, |target, view, name, file| {
        let file = file.replace("SECRET", &target.secret);
        let source = format!("#if __has_include(\"{file}\")\n#error seen\n#endif\nint x;\n");
        let request = pump(
            "/p",
            "gcc -c a.c -o a.o",
            vec![entry("/p/a.c", source.as_bytes())],
        );
        let reply = target.daemon().job(&request).expect("a reply");
        // In the daemon's own root the name can be looked up, and no more than that. In a namespace the first process is the compiler.
        assert!(
            view == View::Rewrite || file.contains("/proc/1/") || reply.status.success(),
            "{name}"
        );
    });
}

/// From inside of a compiler: what it does, and what it must not say. Empty: it says nothing at all, since it does not come that far.
const INSIDE: [(&str, &str, &str); 40] = [
    ("reading the shadow", "read /etc/shadow", "ok"),
    ("reading a secret", "read SECRET", "ok"),
    (
        "reading it through /proc",
        "read /proc/self/root/SECRET",
        "ok",
    ),
    (
        "reading it through the daemon's root",
        "read /proc/DAEMON/root/SECRET",
        "ok",
    ),
    (
        "reading the daemon's environment",
        "read /proc/DAEMON/environ",
        "ok",
    ),
    ("reading the daemon's memory", "read /proc/DAEMON/mem", "ok"),
    ("listing the store", "list DIR/tmp", "ok"),
    ("listing the root's home", "list /root", "ok"),
    ("writing a secret", "write SECRET", "ok"),
    ("writing the daemon's log", "write DIR/log", "ok"),
    ("writing into the toolchain", "create /usr/bin/evil", "ok"),
    (
        "writing into the server's configuration",
        "create /etc/evil",
        // In a root of its own it may; what is looked at is the server's.
        "of the server's",
    ),
    ("writing outside", "create DIR/evil", "ok"),
    ("writing beside other jobs", "create DIR/tmp/evil", "ok"),
    ("removing a secret", "remove SECRET", "ok"),
    ("moving a secret", "rename SECRET mine", "ok"),
    ("linking a secret", "link SECRET mine", "ok"),
    (
        "a link to a secret",
        "symlink SECRET way\nread way",
        "ok\nread",
    ),
    ("a device", "device null", "ok"),
    ("a pipe", "fifo pipe", "ok"),
    (
        "a program of its own",
        "symlink a.o way\nexecute way",
        "execute way: ok",
    ),
    ("a socket of this machine", "socket 1 1", "ok"),
    ("a socket of the network", "socket 2 1", "ok"),
    ("a raw socket", "socket 17 3", "ok"),
    ("a kernel socket", "socket 16 3", "ok"),
    ("a signal to the daemon", "signal DAEMON 15", "ok"),
    ("the end of the daemon", "signal DAEMON 9", "ok"),
    ("tracing the daemon", "call 101 16 DAEMON", "ok"),
    ("a user namespace", "call 272 0x10000000 0", "ok"),
    ("a mount", "call 165 0 0", "ok"),
    ("a descriptor that was left open", "descriptors", "ok"),
    ("another architecture", "i386\n# not reached", "ok"),
    ("memory without end", "memory 100000", "ok"),
    ("words without end", "say 100000", "ok"),
    ("a file without end", "fill big 100000", "ok"),
    ("a compile without end", "spin", "ok"),
    ("sleep without end", "ignore 15\nsleep 100000", "ok"),
    ("a process that stopped itself", "stop", "ok"),
    ("processes without end", "bomb", "ok"),
    ("a process that detaches", "detach 100000", "setsid: ok"),
];

#[test]
fn nothing_gets_out_of_a_compiler() {
    if cfg!(not(target_arch = "x86_64")) {
        eprintln!("skipped: the calls have other numbers here");
        return;
    }
    let attacks = INSIDE.map(|(name, script, bad)| (name, (script, bad)));
    // As another user than the daemons of other tests, `sandbox` has the bomb of "games": a fork bomb fills the user's processes where there are no
    // namespaces.
    let lifetime = short_lifetime();
    let options = [
        "--job-lifetime",
        &lifetime,
        "--job-memory",
        "300M",
        "--user",
        "news",
    ];
    each_with(&options, &attacks, |target, _, name, (script, bad)| {
        let dir = target.secret.strip_suffix("/secret").unwrap();
        let pid = target.daemon().pid().to_string();
        let script = script.replace("SECRET", &target.secret);
        let script = script.replace("DIR", dir).replace("DAEMON", &pid);
        let text = target
            .probed
            .reply(&script)
            .map(|reply| target.text(&reply.stdout));
        let said = text.unwrap_or_default();
        let bad = bad.replace("ok\nread", "read way: ok");
        let lines: Vec<&str> = said.lines().collect();
        let is_bad = |line: &&str| line.ends_with(&format!(": {bad}")) || **line == bad;
        assert!(!lines.iter().any(is_bad), "{name}: {lines:?}");
        assert_eq!(
            fs::read_to_string(&target.secret).unwrap().trim(),
            target.mark,
            "{name}"
        );
        for evil in ["/usr/bin/evil", "/etc/evil"] {
            assert!(!fs::exists(evil).unwrap(), "{name}");
        }
    });
}

/// What a compiler leaves in the place of its object: no reply, or one without it.
const OBJECTS: [(&str, &str); 6] = [
    ("no object", "no-object"),
    (
        "a link to a secret as object",
        "no-object\nsymlink SECRET OBJECT",
    ),
    ("a hard link as object", "no-object\nlink SECRET OBJECT"),
    ("a pipe as object", "no-object\nfifo OBJECT"),
    ("a device as object", "no-object\ndevice OBJECT"),
    ("an object too large", "no-object\nfill OBJECT 800"),
];

#[test]
fn no_object_is_what_it_should_not_be() {
    let attacks = OBJECTS;
    each(&attacks, |target, _, name, script| {
        let script = script
            .replace("SECRET", &target.secret)
            .replace("OBJECT", "/p/a.o");
        let script = script.replace("/p/a.o", "a.o");
        let request = pump(
            "/p",
            "cc1 -c a.c -o a.o",
            vec![entry("/p/a.c", script.as_bytes())],
        );
        assert_eq!(target.daemon().job(&request), None, "{name}");
    });
}

fn own_link(at: &str, target: &str) -> Entry {
    let content = Content::Link(target.as_bytes().to_vec());
    Entry {
        content,
        ..file(at, HEADER)
    }
}

/// A good job in the dialect. Without namespaces it would have to name the server's own headers, too.
fn honest_bundle(target: &Target, view: View) {
    if view == View::Namespace {
        Job::new(1).assert_done(target.daemon());
    }
}

#[test]
fn no_bundle_reaches_too_far() {
    // Entries beside the honest ones; the compile fails without its header, or the job is refused.
    let attacks: Vec<(&str, Vec<Entry>)> = vec![
        (
            "a header twice",
            vec![file("/p/q/h.h", HEADER), file("/p/q/h.h", b"other")],
        ),
        (
            "a header below a header",
            vec![file("/p/q/h.h", HEADER), file("/p/q/h.h/x", HEADER)],
        ),
        (
            "a file behind a link",
            vec![own_link("/p/q/out", "/etc"), file("/p/q/out/h.h", HEADER)],
        ),
        (
            "a header that is a link out",
            vec![own_link("/p/q/h.h", "../../../../etc/passwd")],
        ),
        (
            "a header that is a link to a secret",
            vec![own_link("/p/q/h.h", "/etc/shadow")],
        ),
        ("a header that is itself", vec![own_link("/p/q/h.h", "h.h")]),
        ("a device", vec![file("/dev/null", HEADER)]),
        ("a file of the kernel", vec![file("/proc/self/mem", HEADER)]),
        ("another compiler", vec![file("/usr/bin/gcc", HEADER)]),
        (
            "another library cache",
            vec![file("/etc/ld.so.cache", HEADER)],
        ),
        ("a file for a directory", vec![file("/tmp", HEADER)]),
        ("a file for its own directory", vec![file("/p", HEADER)]),
    ];
    let number = Cell::new(10);
    each(&attacks, |target, view, name, table| {
        number.set(number.get() + 1);
        let mut job = Job::new(number.get());
        job.used = (0..table.len() as u32).collect();
        job.table = table.clone();
        let other: &[u8] = b"other";
        job.contents
            .insert(protocol::bundle::digest::Digest::of(other), other.to_vec());
        match job.run(target.daemon()) {
            Said::Done(reply) => assert!(!reply.status.success(), "{name}"),
            Said::Refused(refusal) => assert!(!refusal.text.is_empty(), "{name}"),
            said => panic!("{name}: {said:?}"),
        }
        honest_bundle(target, view);
    });
}

#[test]
fn no_bundle_says_what_no_request_may_say() {
    let attacks = [
        ("a plugin", "gcc -c a.c -o a.o -fplugin=./h.h"),
        ("a response file", "gcc -c a.c -o a.o -D @h.h"),
        ("an object outside", "gcc -c a.c -o ../../../../a.o"),
        ("Microsoft's options by name", "/p/q/clang-cl -c a.c -o a.o"),
        ("an object upon a header", "gcc -c a.c -o h.h"),
    ];
    let number = Cell::new(100);
    each(&attacks, |target, view, name, words| {
        number.set(number.get() + 1);
        let words: Vec<&str> = words.split(' ').collect();
        let said = Job::saying(number.get(), &words).run(target.daemon());
        assert!(matches!(said, Said::Refused(_)), "{name}: {said:?}");
        honest_bundle(target, view);
    });
}

#[test]
fn the_corpus_is_large_and_no_attack_stands_twice() {
    let mut names: Vec<&str> = malformed().iter().map(|(name, _)| *name).collect();
    names.extend(refused().iter().map(|(name, _)| *name));
    names.extend(READS.iter().map(|(name, ..)| *name));
    names.extend(INSIDE.iter().map(|(name, ..)| *name));
    names.extend(OBJECTS.iter().map(|(name, _)| *name));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count >= 120, "{count}");
}
