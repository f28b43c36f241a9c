//! Pump mode: both dialogues with an include server in this process, protocol 3 to stock's daemon and to servers that
//! fail.

use crate::support::{Desk, FakeServer, PATIENCE, StockDaemon};
use protocol::include_dialogue::{
    Answer, Dialogue, Query, QueryDecoder, encode_stock_answer, rich_socket_path,
};
use protocol::limits::Limits;
use protocol::reply::Reply;
use protocol::request::Input;
use protocol::tree::{EntryContent, FORCING_FILE, TreeEntry, put_entries};
use protocol::tree_path::TreePath;
use protocol::version::Version;
use protocol::wait_status::WaitStatus;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

const SOURCE: &str =
    "#include <stdio.h>\n#include \"inc/h.h\"\nint f(void) { return printf(\"%d\\n\", NUMBER); }\n";

/// A desk with a source and a header, and the path of an include server's socket in its environment.
fn desk(hosts: &str) -> Desk {
    let desk = Desk::with_hosts(hosts);
    let socket = desk.at("socket");
    desk.set("INCLUDE_SERVER_PORT", socket.to_str().unwrap())
        .source("a.c", SOURCE)
        .source("inc/h.h", "#define NUMBER 42\n")
}

/// Answers every query on the desk's socket of that dialogue; the receiver gets the queries.
fn include_server(
    desk: &Desk,
    dialogue: Dialogue,
    answer: impl Fn(&Query) -> Vec<u8> + Send + 'static,
) -> Receiver<Query> {
    let stock = desk.at("socket");
    let path = match dialogue {
        Dialogue::Stock => stock.as_os_str().as_bytes().to_vec(),
        Dialogue::Rich => rich_socket_path(stock.as_os_str().as_bytes()),
    };
    let listener = UnixListener::bind(OsStr::from_bytes(&path)).unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let query = read_query(&mut stream, dialogue);
            let _ = stream.write_all(&answer(&query));
            // A stock include server keeps the connection open until the client closes it.
            let _ = stream.read(&mut [0]);
            let _ = sender.send(query);
        }
    });
    receiver
}

fn read_query(stream: &mut UnixStream, dialogue: Dialogue) -> Query {
    let mut decoder = QueryDecoder::new(dialogue, Limits::DEFAULT);
    let mut byte = [0];
    while !decoder.is_complete() {
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        decoder.feed(&byte).unwrap();
    }
    decoder.finish().unwrap()
}

/// The closure of the desk's source, as an include server makes it.
fn closure(desk: &Desk) -> Vec<TreeEntry> {
    let work = desk.at("work").canonicalize().unwrap();
    let file = |name: &str| TreeEntry {
        path: TreePath::new(work.join(name).as_os_str().as_bytes()).unwrap(),
        content: EntryContent::File(protocol::lzo::compress(&desk.read(name))),
    };
    let mut entries = vec![file("a.c"), file("inc/h.h")];
    for directory in [
        "/usr/include",
        "/usr/local/include",
        "/usr/lib/gcc/x86_64-linux-gnu/12/include",
    ] {
        if Path::new(directory).is_dir() {
            entries.push(TreeEntry::system_link(
                TreePath::new(directory.as_bytes()).unwrap(),
            ));
        }
    }
    let forcing = [work.as_os_str().as_bytes(), b"/", FORCING_FILE].concat();
    entries.push(TreeEntry {
        path: TreePath::new(&forcing).unwrap(),
        content: EntryContent::File(Vec::new()),
    });
    entries
}

fn section(entries: &[TreeEntry]) -> Vec<u8> {
    let mut section = Vec::new();
    put_entries(&mut section, entries);
    section
}

/// The journal's lines from mode to source.
fn journal(desk: &Desk) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(desk.at("journal")).unwrap();
    text.lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .map(|fields: Vec<String>| fields[1..6].to_vec())
        .collect()
}

fn journaled(desk: Desk) -> Desk {
    let journal = desk.at("journal");
    desk.set("PUMPHOUSE_JOURNAL", journal.to_str().unwrap())
}

#[test]
fn the_richer_dialogue_and_stocks_daemon() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = journaled(desk(&daemon.host(",cpp,lzo")))
        .set("DISTCC_FALLBACK", "0")
        .with_counted_gcc();
    let answer = Answer::Closure(section(&closure(&desk))).encode();
    let queries = include_server(&desk, Dialogue::Rich, move |_| answer.clone());
    desk.distcc("gcc -O2 -MD -c a.c -o out.o").silent_success();
    desk.gcc("-O2 -MD -MT out.o -MF l.d -c a.c -o l.o")
        .silent_success();
    assert!(desk.read("out.o") == desk.read("l.o"));
    let joined = |name: &str| {
        let text = String::from_utf8(desk.read(name)).unwrap();
        text.replace("\\\n", "")
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(joined("out.d"), joined("l.d"));
    assert_eq!(desk.calls(), Vec::<String>::new(), "no compiler ran here");
    let query = queries.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        query.argv[1..],
        [&b"-O2"[..], b"-MD", b"-c", b"a.c", b"-o", b"out.o"].map(<[u8]>::to_vec)
    );
    assert_eq!(
        query.cwd,
        desk.at("work")
            .canonicalize()
            .unwrap()
            .as_os_str()
            .as_bytes()
    );
    assert!(
        query
            .environment
            .unwrap()
            .iter()
            .any(|entry| entry.starts_with(b"PATH="))
    );
    let host = daemon.host("");
    assert_eq!(journal(&desk), [["pump", &host, "0", "", "a.c"]]);
    let slot = format!("@{host}/0");
    let steps = [
        "blocked", &slot, "scan", "connect", "send", "compile", "receive", "free", "end",
    ];
    assert_eq!(steps_of(&desk), steps);
}

/// The names of the steps in the journal's only line.
fn steps_of(desk: &Desk) -> Vec<String> {
    let text = std::fs::read_to_string(desk.at("journal")).unwrap();
    let times = text.trim_end().rsplit('\t').next().unwrap();
    let steps = times.split(' ').skip(1);
    steps
        .map(|step| step.rsplit_once('+').unwrap().0.to_owned())
        .collect()
}

#[test]
fn stocks_dialogue_with_its_mirror() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = desk(&daemon.host(",cpp,lzo"))
        .set("DISTCC_FALLBACK", "0")
        .with_counted_gcc();
    // Three components that the client drops: /tmp, the directory, and one more.
    let mirror = tempfile::Builder::new()
        .prefix("mirror")
        .tempdir_in("/tmp")
        .unwrap();
    let root = mirror.path().join("padding");
    let mut files = Vec::new();
    for entry in closure(&desk) {
        let mut path = root.join(OsStr::from_bytes(entry.path.relative()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match &entry.content {
            EntryContent::File(block) => {
                path.as_mut_os_string().push(".lzo");
                std::fs::write(&path, block).unwrap();
            }
            EntryContent::Link(target) => {
                std::os::unix::fs::symlink(OsStr::from_bytes(target), &path).unwrap();
            }
        }
        files.push(path.into_os_string().into_encoded_bytes());
    }
    let queries = include_server(&desk, Dialogue::Stock, move |_| encode_stock_answer(&files));
    desk.distcc("gcc -O2 -c a.c -o out.o").silent_success();
    desk.gcc("-O2 -c a.c -o l.o").silent_success();
    assert!(desk.read("out.o") == desk.read("l.o"));
    assert_eq!(desk.calls(), Vec::<String>::new());
    assert_eq!(queries.recv_timeout(PATIENCE).unwrap().environment, None);
    // What would be sent is shown, and nothing is compiled.
    let shown = desk.distcc("--scan-includes gcc -c a.c");
    shown.silent_success();
    let work = desk.at("work").canonicalize().unwrap();
    let expected = [
        format!("FILE      {}/a.c", work.display()),
        format!("FILE      {}/inc/h.h", work.display()),
        "SYSTEMDIR /usr/include".to_owned(),
        format!("DIRECTORY {}", work.display()),
    ];
    for line in expected {
        assert!(
            shown.stdout.lines().any(|shown| shown == line),
            "{line}: {}",
            shown.stdout
        );
    }
    assert!(!desk.has("a.o"));
}

#[test]
fn a_doubt_is_preprocessed_here_without_a_word() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = journaled(desk(&daemon.host(",cpp,lzo")))
        .set("DISTCC_FALLBACK", "0")
        .with_counted_gcc();
    let answer = Answer::Doubt("a.c:1: a computed include".into()).encode();
    let _queries = include_server(&desk, Dialogue::Rich, move |_| answer.clone());
    desk.distcc("gcc -c a.c").silent_success();
    assert_eq!(desk.calls(), ["-E a.c"]);
    assert_eq!(
        journal(&desk),
        [[
            "plain",
            &daemon.host(""),
            "0",
            "a.c:1: a computed include",
            "a.c"
        ]]
    );
    let mut command = desk.distcc_command("gcc -c a.c");
    let status = command
        .env("DISTCC_TESTING_INCLUDE_SERVER", "1")
        .output()
        .unwrap()
        .status;
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_dead_include_server_is_one_warning() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = desk(&daemon.host(",cpp,lzo")).set("DISTCC_FALLBACK", "0");
    let outcome = desk.distcc("gcc -c a.c");
    outcome.says(0, "failed to get includes from include server");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    // One that dies in the middle of its answer, likewise.
    let _queries = include_server(&desk, Dialogue::Rich, |_| b"CLOS000000ffNFIL".to_vec());
    let desk = desk.set("DISTCC_IO_TIMEOUT", "1");
    desk.distcc("gcc -c a.c")
        .says(0, "failed to get includes from include server");
}

#[test]
fn an_include_path_in_the_environment_is_preprocessed_here() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = journaled(desk(&daemon.host(",cpp,lzo"))).set("CPATH", "inc");
    desk.distcc("gcc -c a.c").silent_success();
    assert!(
        journal(&desk)[0][3].starts_with("CPATH is set"),
        "{:?}",
        journal(&desk)
    );
    assert_eq!(journal(&desk)[0][0], "plain");
}

fn reply(status: u8, stderr: &str) -> Vec<u8> {
    let status = WaitStatus::exited(status);
    Reply {
        version: Version::Pump3,
        status,
        stderr: stderr.into(),
        stdout: Vec::new(),
        object: if status.success() {
            b"object".to_vec()
        } else {
            Vec::new()
        },
        dependencies: status.success().then(|| b"a.o: a.c\n".to_vec()),
    }
    .encode()
}

#[test]
fn errors_are_final_only_in_files_that_were_sent() {
    for (stderr, code, local) in [
        ("a.c:3:1: error: expected ';'\n", 1, false),
        ("inc/h.h:1:1: error: unknown type name 'x'\n", 1, false),
        (
            "a.c:2:10: fatal error: inc/h.h: No such file or directory\n",
            0,
            true,
        ),
        ("/usr/include/stdio.h:3:1: error: expected ';'\n", 0, true),
    ] {
        let (server, _requests) = FakeServer::answering(move |_, _| reply(1, stderr));
        let desk = desk(&server.host(",cpp,lzo")).with_counted_gcc();
        let answer = Answer::Closure(section(&closure(&desk))).encode();
        let _queries = include_server(&desk, Dialogue::Rich, move |_| answer.clone());
        let outcome = desk.distcc("gcc -c a.c");
        assert_eq!(outcome.code, Some(code), "{stderr} {outcome:?}");
        assert_eq!(desk.calls().len(), usize::from(local), "{stderr}");
        let reasons = outcome.stderr.matches("retrying locally").count();
        assert_eq!(reasons, usize::from(local), "{outcome:?}");
    }
}

#[test]
fn a_pump_reply_cut_at_every_byte_leaves_no_file() {
    let whole = reply(0, "");
    let length = whole.len();
    let (server, requests) =
        FakeServer::answering(move |number, _| whole[..number.min(length)].to_vec());
    let desk = desk(&server.host(",cpp,lzo"))
        .set("DISTCC_BACKOFF_PERIOD", "0")
        .set("DISTCC_FALLBACK", "0");
    let entries = closure(&desk);
    let answer = Answer::Closure(section(&entries)).encode();
    let _queries = include_server(&desk, Dialogue::Rich, move |_| answer.clone());
    for cut in 0..length {
        assert_eq!(
            desk.distcc("gcc -MD -c a.c").code,
            Some(116),
            "cut at {cut}"
        );
        assert!(!desk.has("a.o") && !desk.has("a.d"), "cut at {cut}");
    }
    desk.distcc("gcc -MD -c a.c").silent_success();
    assert_eq!(desk.read("a.o"), b"object");
    assert_eq!(desk.read("a.d"), b"a.o: a.c\n");
    let request = requests.recv_timeout(PATIENCE).unwrap();
    assert_eq!(request.version, Version::Pump3);
    assert_eq!(request.input, Input::Tree(entries));
    let words: Vec<_> = request
        .argv
        .iter()
        .map(|w| String::from_utf8_lossy(w))
        .collect();
    assert_eq!(words[1..], ["-MD", "-c", "a.c", "-o", "a.o", "-MT", "a.o"]);
}
