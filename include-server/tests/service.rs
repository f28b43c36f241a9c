//! The service on its two sockets: right answers, bad clients, compilers that change.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use include_server::answer::Answerer;
use include_server::facts::Freshness;
use include_server::mirror::Mirror;
use include_server::service::{ServiceError, Sockets, serve};
use protocol::include_dialogue::{Answer, Query, decode_stock_answer, rich_socket_path};
use protocol::limits::Limits;
use protocol::tree::{EntryContent, decode_entries};

/// A running service and a directory with sources.
struct Session {
    directory: tempfile::TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    service: Option<JoinHandle<Result<(), ServiceError>>>,
}

impl Session {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let environment = vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())];
        let mirror = Mirror::new(Some(Path::new("/tmp"))).unwrap();
        let answerer = Arc::new(Answerer::new(environment, Freshness::Auto, Some(mirror)).unwrap());
        let sockets = Sockets::bind(&directory.path().join("socket")).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let service = std::thread::spawn(move || {
            serve(sockets, answerer, || {
                Ok(async {
                    // A dropped sender stops the service as well.
                    let _ = stopped.await;
                })
            })
        });
        Self {
            directory,
            stop: Some(stop),
            service: Some(service),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A program that notes each start in `NAME.log` and then does as `script` says.
    fn program(&self, name: &str, script: &str) {
        let log = self.path(name).with_extension("log");
        let text = format!("#!/bin/sh\necho x >> {}\n{script}\n", log.display());
        // Written aside and renamed, as an upgrade is: nobody executes a file that is being written.
        let aside = self.write(&format!("{name}.new"), &text);
        std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(aside, self.path(name)).unwrap();
    }

    fn starts(&self, name: &str) -> usize {
        let log = self.path(name).with_extension("log");
        std::fs::read_to_string(log).map_or(0, |log| log.lines().count())
    }

    fn query(&self, command: &str) -> Query {
        let path = format!("PATH={}:/usr/bin:/bin", self.path("bin").display());
        Query {
            cwd: self.path("").as_os_str().as_bytes().to_vec(),
            environment: Some(vec![path.into_bytes()]),
            argv: command
                .split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect(),
        }
    }

    fn rich_socket(&self) -> PathBuf {
        let socket = self.path("socket");
        let path = rich_socket_path(socket.as_os_str().as_bytes());
        PathBuf::from(std::ffi::OsStr::from_bytes(&path))
    }

    fn ask_rich(&self, query: &Query) -> Result<Vec<(String, String)>, String> {
        let bytes = exchange(&self.rich_socket(), &query.encode());
        match Answer::decode(&bytes, Limits::DEFAULT).unwrap() {
            Answer::Doubt(reason) => Err(reason),
            Answer::Closure(section) => Ok(decode_entries(&section, Limits::DEFAULT)
                .unwrap()
                .iter()
                .filter_map(|entry| match &entry.content {
                    EntryContent::File(block) => {
                        let text = protocol::lzo::decompress(block, 1 << 20).unwrap();
                        let name = entry.path.to_string();
                        let root = self.path("").display().to_string();
                        let name = name.strip_prefix(&root).unwrap_or(&name).to_owned();
                        Some((name, String::from_utf8(text).unwrap()))
                    }
                    EntryContent::Link(_) => None,
                })
                .collect()),
        }
    }

    fn ask_stock(&self, query: &Query) -> Vec<Vec<u8>> {
        let query = Query {
            environment: None,
            ..query.clone()
        };
        let bytes = exchange(&self.path("socket"), &query.encode());
        decode_stock_answer(&bytes, Limits::DEFAULT).unwrap()
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(service) = self.service.take() {
            service.join().unwrap().unwrap();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

fn exchange(socket: &Path, query: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(query).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |&(name, text): &(&str, &str)| (name.to_owned(), text.to_owned());
    expected.iter().map(pair).collect()
}

#[test]
fn both_dialogues_answer_with_the_files_as_they_are_now() {
    let session = Session::start();
    session.write("a.c", "#include \"inc/b.h\"\n");
    session.write("inc/b.h", "#include <stddef.h>\nint b;\n");
    let query = session.query("gcc -O2 -c a.c -o a.o");
    let expected = [
        ("a.c", "#include \"inc/b.h\"\n"),
        ("inc/b.h", "#include <stddef.h>\nint b;\n"),
    ];
    assert_eq!(session.ask_rich(&query).unwrap(), pairs(&expected));
    let first = session.ask_stock(&query);
    let ends =
        |names: &[Vec<u8>], end: &str| names.iter().any(|name| name.ends_with(end.as_bytes()));
    assert!(
        ends(&first, "/a.c.lzo") && ends(&first, "/inc/b.h.lzo") && ends(&first, "/usr/include")
    );

    // Same size, at once.
    session.write("inc/b.h", "#include <stddef.h>\nint c;\n");
    let expected = [expected[0], ("inc/b.h", "#include <stddef.h>\nint c;\n")];
    assert_eq!(session.ask_rich(&query).unwrap(), pairs(&expected));
    let second = session.ask_stock(&query);
    let header = |names: &[Vec<u8>]| {
        names
            .iter()
            .find(|name| name.ends_with(b"b.h.lzo"))
            .cloned()
            .unwrap()
    };
    assert_ne!(header(&first), header(&second));
    let old = std::fs::read(std::ffi::OsStr::from_bytes(&header(&first))).unwrap();
    assert_eq!(
        protocol::lzo::decompress(&old, 1 << 20).unwrap(),
        b"#include <stddef.h>\nint b;\n"
    );

    // A header that goes away is a doubt, and comes back.
    std::fs::remove_file(session.path("inc/b.h")).unwrap();
    let reason = session.ask_rich(&query).unwrap_err();
    assert!(
        reason.contains("inc/b.h") && reason.contains("not found"),
        "{reason}"
    );
    assert_eq!(session.ask_stock(&query), Vec::<Vec<u8>>::new());
    session.write("inc/b.h", "");
    assert_eq!(
        session.ask_rich(&query).unwrap()[1],
        ("inc/b.h".to_owned(), String::new())
    );
}

#[test]
fn every_doubt_has_its_reason() {
    let session = Session::start();
    session.write("a.c", "int a;\n");
    session.write("e.c", "#if __has_attribute(noreturn) && !__has_builtin(__builtin_nonsense)\n#error seen\n#endif\n");
    let cases = [
        ("gcc -c none.c", "none.c"),
        ("gcc -c a.c e.c", "2 sources"),
        ("gcc -c e.c", "#error seen"),
        ("nosuchcc -c a.c", "nosuchcc was not found"),
        ("gcc -c a.s", "a.s"),
        ("gcc @words -c a.c", "@words"),
        ("gcc -std=c77 -c a.c", "c77"),
        ("gcc -fno-such-option -c a.c", "no-such-option"),
        ("gcc -I- -c a.c", "-I-"),
        ("/usr/bin/env -c a.c", "/usr/bin/env"),
    ];
    for (command, part) in cases {
        let reason = session.ask_rich(&session.query(command)).unwrap_err();
        assert!(reason.contains(part), "{command}: {reason}");
        assert!(!reason.contains('\n'), "{command}: {reason}");
    }
    let mut query = session.query("gcc -c a.c");
    query
        .environment
        .as_mut()
        .unwrap()
        .push(b"CPATH=/opt".to_vec());
    let reason = session.ask_rich(&query).unwrap_err();
    assert!(reason.contains("CPATH"), "{reason}");
    query.environment.as_mut().unwrap().pop();
    query.cwd = b"relative".to_vec();
    assert!(session.ask_rich(&query).unwrap_err().contains("relative"));
}

#[test]
fn jobs_that_need_the_same_probe_at_once_run_the_compiler_once() {
    let session = Session::start();
    session.program("bin/gcc", "sleep 0.2; exec /usr/bin/gcc \"$@\"");
    session.write("a.c", "int a;\n");
    let query = session.query("gcc -O2 -c a.c");
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..21)
            .map(|_| scope.spawn(|| session.ask_rich(&query).unwrap()))
            .collect();
        for job in jobs {
            assert_eq!(job.join().unwrap(), pairs(&[("a.c", "int a;\n")]));
        }
    });
    assert_eq!(session.starts("bin/gcc"), 1);
    // Other output and warning options ask the same question; another standard does not.
    assert!(
        session
            .ask_rich(&session.query("gcc -O2 -Wall -c a.c -o x.o -MD -DX=1"))
            .is_ok()
    );
    assert_eq!(session.starts("bin/gcc"), 1);
    assert!(
        session
            .ask_rich(&session.query("gcc -O2 -std=c99 -c a.c"))
            .is_ok()
    );
    assert_eq!(session.starts("bin/gcc"), 2);
}

#[test]
fn a_compiler_that_changes_is_asked_anew() {
    let session = Session::start();
    session.write("a.c", "#ifdef NEWER\n#include \"b.h\"\n#endif\n");
    session.write("b.h", "int b;\n");
    session.program("bin/gcc", "echo 'gcc: error: out of order' >&2; exit 1");
    let query = session.query("gcc -c a.c");
    for starts in 1..=2 {
        let reason = session.ask_rich(&query).unwrap_err();
        assert!(
            reason.ends_with("says: gcc: error: out of order"),
            "{reason}"
        );
        assert_eq!(session.starts("bin/gcc"), starts);
    }
    session.program("bin/gcc", "exec /usr/bin/gcc \"$@\"");
    assert_eq!(session.ask_rich(&query).unwrap().len(), 1);
    assert_eq!(session.ask_rich(&query).unwrap().len(), 1);
    assert_eq!(session.starts("bin/gcc"), 3);
    session.program("bin/gcc", "exec /usr/bin/gcc -DNEWER \"$@\"");
    assert_eq!(session.ask_rich(&query).unwrap().len(), 2);
    assert_eq!(session.starts("bin/gcc"), 4);
}

#[test]
fn bad_clients_hurt_nobody() {
    let session = Session::start();
    session.write("a.c", "int a;\n");
    let query = session.query("gcc -c a.c");
    let rich = query.encode();
    let stock = Query {
        environment: None,
        ..query.clone()
    }
    .encode();
    let sockets = [
        (session.path("socket"), &stock),
        (session.rich_socket(), &rich),
    ];
    // Silent ones, kept open; ones that stop anywhere; ones that do not wait for the answer; garbage.
    let silent: Vec<UnixStream> = (0..70)
        .map(|n| UnixStream::connect(&sockets[n % 2].0).unwrap())
        .collect();
    for (socket, message) in &sockets {
        for end in 0..message.len() {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.write_all(&message[..end]).unwrap();
        }
        let mut unheard = UnixStream::connect(socket).unwrap();
        unheard.write_all(message).unwrap();
        drop(unheard);
        for garbage in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"CDIRffffffff",
            b"PUMP00000002",
            b"CDIR00000001/ARGC00000000",
            &[0; 4096],
        ] {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.write_all(garbage).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            // Closing with unread bytes may show as a reset; either way nothing is said.
            let _ = stream.read_to_end(&mut answer);
            assert_eq!(answer, b"");
        }
    }
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                assert_eq!(
                    session.ask_rich(&query).unwrap(),
                    pairs(&[("a.c", "int a;\n")])
                );
                assert!(!session.ask_stock(&query).is_empty());
            });
        }
    });
    drop(silent);
}

#[test]
fn sockets_are_private_replaced_when_stale_and_removed() {
    let mut session = Session::start();
    for socket in [session.path("socket"), session.rich_socket()] {
        let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(matches!(
        Sockets::bind(&session.path("socket")),
        Err(ServiceError::Taken { .. })
    ));
    session.write("a.c", "int a;\n");
    let names = session.ask_stock(&session.query("gcc -c a.c"));
    let name = PathBuf::from(std::ffi::OsStr::from_bytes(&names[0]));
    assert!(name.exists());
    session.end();
    assert!(!session.path("socket").exists() && !session.rich_socket().exists());
    assert!(!name.exists());

    // Left by a server that was killed.
    drop(std::os::unix::net::UnixListener::bind(session.path("socket")).unwrap());
    assert!(session.path("socket").exists());
    drop(Sockets::bind(&session.path("socket")).unwrap());
    let file = session.write("plain", "");
    assert!(matches!(
        Sockets::bind(&file),
        Err(ServiceError::NotASocket { .. })
    ));
    assert!(matches!(
        Sockets::bind(Path::new("/nonexistent/socket")),
        Err(ServiceError::Bind { .. })
    ));
}

#[test]
fn masquerade_links_are_passed_over() {
    let session = Session::start();
    session.write("a.c", "int a;\n");
    session.program("wrappers/distcc", "exit 1");
    std::fs::create_dir_all(session.path("bin")).unwrap();
    std::os::unix::fs::symlink("../wrappers/distcc", session.path("bin/gcc")).unwrap();
    assert!(session.ask_rich(&session.query("gcc -c a.c")).is_ok());
    assert_eq!(session.starts("wrappers/distcc"), 0);
}
