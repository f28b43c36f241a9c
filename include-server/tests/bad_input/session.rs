//! A running service, and clients that do not wait for ever.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use include_server::answer::Answerer;
use include_server::facts::Freshness;
use include_server::mirror::Mirror;
use include_server::service::{ServiceError, Sockets, serve};
use protocol::include_dialogue::{Answer, Query, decode_stock_answer, rich_socket_path};
use protocol::limits::Limits;
use protocol::tree::{EntryContent, decode_entries};

/// Past this a client takes the service for hung.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Session {
    directory: tempfile::TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    service: Option<JoinHandle<Result<(), ServiceError>>>,
}

impl Session {
    pub fn start() -> Self {
        Self::with_mirror(Path::new("/tmp"))
    }

    /// With another directory for stock's dialogue.
    pub fn with_mirror(base: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let environment = vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())];
        let mirror = Mirror::new(Some(base)).unwrap();
        let answerer = Answerer::new(environment, Freshness::Auto, Some(mirror)).unwrap();
        let sockets = Sockets::bind(&directory.path().join("socket")).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let service = std::thread::spawn(move || {
            serve(sockets, Arc::new(answerer), || {
                Ok(async {
                    // A dropped sender stops the service as well.
                    let _ = stopped.await;
                })
            })
        });
        let session = Self {
            directory,
            stop: Some(stop),
            service: Some(service),
        };
        session.write("good.c", "#include \"good.h\"\n");
        session.write("good.h", "int good;\n");
        session
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A program `bin/NAME`, first in the path of each query.
    pub fn program(&self, name: &str, script: &str) {
        let aside = self.write(&format!("bin/{name}.new"), format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(aside, self.path(&format!("bin/{name}"))).unwrap();
    }

    pub fn query(&self, command: &str) -> Query {
        self.query_of(
            command
                .split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect(),
        )
    }

    pub fn query_of(&self, argv: Vec<Vec<u8>>) -> Query {
        let path = format!("PATH={}:/usr/bin:/bin", self.path("bin").display());
        Query {
            cwd: self.path("").as_os_str().as_bytes().to_vec(),
            environment: Some(vec![path.into_bytes()]),
            argv,
        }
    }

    pub fn stock_socket(&self) -> PathBuf {
        self.path("socket")
    }

    pub fn rich_socket(&self) -> PathBuf {
        let path = rich_socket_path(self.stock_socket().as_os_str().as_bytes());
        PathBuf::from(std::ffi::OsStr::from_bytes(&path))
    }

    /// The answer in the richer dialogue: how many files, or the reason.
    pub fn ask(&self, query: &Query) -> Result<usize, String> {
        let bytes = exchange(&self.rich_socket(), &query.encode());
        match Answer::decode(&bytes, Limits::DEFAULT).unwrap() {
            Answer::Doubt(reason) => {
                assert!(!reason.contains('\n'), "{reason}");
                assert!(
                    !reason.is_empty() && reason.len() < 4096,
                    "{} bytes",
                    reason.len()
                );
                assert!(!reason.contains("include server failed"), "{reason}");
                Err(reason)
            }
            Answer::Closure(section) => {
                let entries = decode_entries(&section, Limits::DEFAULT).unwrap();
                let file = |content: &EntryContent| matches!(content, EntryContent::File(_));
                Ok(entries.iter().filter(|entry| file(&entry.content)).count())
            }
        }
    }

    /// The answer in stock's dialogue.
    pub fn ask_stock(&self, query: &Query) -> Vec<Vec<u8>> {
        let query = Query {
            environment: None,
            ..query.clone()
        };
        let bytes = exchange(&self.stock_socket(), &query.encode());
        decode_stock_answer(&bytes, Limits::DEFAULT).unwrap()
    }

    /// There is a reason, and it says `part`.
    #[track_caller]
    pub fn doubts(&self, command: &str, part: &str) {
        match self.ask(&self.query(command)) {
            Ok(files) => panic!("{command}: {files} files"),
            Err(reason) => assert!(reason.contains(part), "{command}: {reason}"),
        }
        self.lives_on();
    }

    /// There is an answer or a reason.
    #[track_caller]
    pub fn answers(&self, command: &str) {
        let _either = self.ask(&self.query(command));
        self.lives_on();
    }

    /// A good query is answered, in both dialogues.
    #[track_caller]
    pub fn lives_on(&self) {
        let query = self.query("/usr/bin/gcc -c good.c");
        assert_eq!(self.ask(&query), Ok(2));
        assert!(!self.ask_stock(&query).is_empty());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(service) = self.service.take() {
            service.join().unwrap().unwrap();
        }
    }
}

pub fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn exchange(socket: &Path, query: &[u8]) -> Vec<u8> {
    let mut stream = connect(socket);
    stream.write_all(query).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer in time");
    answer
}
