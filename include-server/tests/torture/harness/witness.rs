//! The include server under torture: in this process, or behind its sockets.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use include_server::answer::Answerer;
use include_server::entry::Node;
use include_server::facts::Freshness;
use include_server::mirror::Mirror;
use include_server::service::{ServiceError, Sockets, serve};
use protocol::bundle::{Frame, put_frame};
use protocol::include_dialogue::{
    Answer, Query, RichVersion, decode_stock_answer, rich_socket_path,
};
use protocol::limits::Limits;
use protocol::token::{TOKEN_BYTES, Tag, Token, put_token};
use protocol::tree::{EntryContent, FORCING_FILE, decode_entries};

use super::rule;
use super::server::{Server, frames};

/// How the include server learns that something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every file is asked for at each request.
    Stat,
    /// The kernel tells, where it can.
    Watch,
}

/// What the include server says about a compile.
#[derive(Default)]
pub struct Testimony {
    /// The files read as the compiler spells them; the service does not tell.
    pub names: Option<BTreeSet<String>>,
    /// Each of those with what it held; the service does not tell.
    pub texts: Vec<(PathBuf, Vec<u8>)>,
    /// Names that must not exist; the service does not tell.
    pub absent: Vec<PathBuf>,
    /// Files for the server, at their real paths, without the `#line` before them.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// Links for the server.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Directories for the server.
    pub directories: Vec<PathBuf>,
    /// Directories that the server has of its own.
    pub system: Vec<PathBuf>,
}

/// Somebody to be asked.
pub struct Witness {
    include_server: IncludeServer,
    server: Mutex<Server>,
}

enum IncludeServer {
    /// The answerer itself.
    Direct(Box<Answerer>),
    /// Its service.
    Service(Service),
}

impl From<IncludeServer> for Witness {
    fn from(include_server: IncludeServer) -> Self {
        Self {
            include_server,
            server: Mutex::default(),
        }
    }
}

fn answerer(mode: Mode) -> Answerer {
    let environment = vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())];
    let mirror = Mirror::new(Some(Path::new("/tmp"))).expect("a mirror");
    let freshness = match mode {
        Mode::Stat => Freshness::Stat,
        Mode::Watch => Freshness::Watch,
    };
    let answerer = Answerer::new(environment, freshness, Some(mirror)).expect("an answerer");
    // Its units are few.
    answerer.record_from(2);
    // Some two of them.
    answerer.keep_sources(400);
    answerer
}

impl Witness {
    /// An answerer in this process.
    pub fn direct(mode: Mode) -> Self {
        IncludeServer::Direct(Box::new(answerer(mode))).into()
    }

    /// A service with its sockets in a directory of its own.
    pub fn service(mode: Mode) -> Self {
        IncludeServer::Service(Service::start(answerer(mode))).into()
    }

    /// What it says, or why it says nothing.
    pub fn ask(&self, query: &Query) -> Result<Testimony, String> {
        match &self.include_server {
            IncludeServer::Direct(answerer) => direct(answerer, query),
            IncludeServer::Service(service) => service.rich(query),
        }
    }

    /// Has it offer the job to a server, which compares everything with the disk: what the compiler reads is there and found,
    /// and what it looks for in vain cannot be found, now or by a job that came before.
    pub fn offer(
        &self,
        query: &Query,
        truth: &BTreeSet<String>,
        absent: &[PathBuf],
    ) -> Result<(), String> {
        let mut server = self.server.lock().expect("nobody panicked");
        let cwd = PathBuf::from(OsStr::from_bytes(&query.cwd));
        let absent = absent.to_vec();
        let job = match &self.include_server {
            IncludeServer::Direct(answerer) => {
                let offered = answerer.offer(query).map_err(|doubt| doubt.to_string())?;
                server.take(&offered.body, &cwd, absent, |need| {
                    let parcels = offered.parcels(need).map_err(|error| error.to_string())?;
                    let mut bytes = Vec::new();
                    let codec = need.codecs.best();
                    parcels
                        .iter()
                        .for_each(|parcel| parcel.put(&mut bytes, codec));
                    put_token(&mut bytes, Tag::HAVE, 0);
                    Ok(frames(&bytes))
                })?
            }
            IncludeServer::Service(service) => {
                let mut wire = service.connect();
                wire.write_all(&query.encode_for(RichVersion::Manifest))
                    .expect("a question asked");
                let answer = read_frame(&mut wire);
                if answer.tag != Tag::MANI {
                    return Err(String::from_utf8_lossy(&answer.body).into_owned());
                }
                server.take(&answer.body, &cwd, absent, |need| {
                    let mut message = Vec::new();
                    put_frame(&mut message, Tag::NEED, &need.encode());
                    wire.write_all(&message).expect("a need told");
                    let mut frames = Vec::new();
                    loop {
                        let frame = read_frame(&mut wire);
                        let is_last = matches!(frame.tag, Tag::HAVE | Tag::DOUB);
                        frames.push(frame);
                        if is_last {
                            return Ok(frames);
                        }
                    }
                })?
            }
        };
        server.compare_with_disk(&job)?;
        server.finds(&job, truth)?;
        server.nothing_unexpected()
    }

    /// The same question in stock's dialogue: the files' bytes alone, in no order; empty when it is not covered.
    pub fn ask_stock(&self, query: &Query) -> Vec<(PathBuf, Vec<u8>)> {
        let names = match &self.include_server {
            IncludeServer::Direct(answerer) => answerer.stock(query),
            IncludeServer::Service(service) => service.stock(query),
        };
        names.iter().filter_map(|name| mirrored(name)).collect()
    }
}

fn direct(answerer: &Answerer, query: &Query) -> Result<Testimony, String> {
    let answer = answerer.answer(query).map_err(|doubt| doubt.to_string())?;
    let closure = &answer.closure;
    let layout = answer.layout.as_ref().map_err(|error| error.to_string())?;
    let mut told = Testimony {
        names: Some(
            closure
                .files
                .iter()
                .map(|file| rule::plain(&file.name.to_string_lossy()))
                .collect(),
        ),
        absent: closure.probed_absent(),
        ..Testimony::default()
    };
    for file in closure.files.iter().chain(&closure.has_include_hits) {
        let text = file.content.bytes().map_err(|error| error.to_string())?;
        told.texts.push((file.name.clone(), text.to_vec()));
    }
    for entry in &layout.nodes {
        let path = PathBuf::from(OsStr::from_bytes(entry.path.as_bytes()));
        match &entry.node {
            Node::File { content, .. } => {
                let text = content.bytes().map_err(|error| error.to_string())?;
                told.files.push((path, text.to_vec()));
            }
            Node::Link(target) => told
                .links
                .push((path, PathBuf::from(OsStr::from_bytes(target)))),
            Node::Forcing => told
                .directories
                .push(path.parent().expect("a directory").to_owned()),
            Node::System => told.system.push(path),
        }
    }
    Ok(told)
}

/// The file that a name in the mirror stands for, and what the mirror holds of it.
fn mirrored(name: &[u8]) -> Option<(PathBuf, Vec<u8>)> {
    let path = Path::new(OsStr::from_bytes(name));
    let block = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => std::fs::read(path).ok()?,
        _ => return None,
    };
    let text = protocol::lzo::decompress(&block, 1 << 24).ok()?;
    // BASE of the mirror, then the real path, then `.lzo`.
    let text_path = String::from_utf8_lossy(name).into_owned();
    let at = text_path.find("/torture.")?;
    let start = text_path[..at].rfind("/tmp").unwrap_or(at);
    let real = text_path[start..].strip_suffix(".lzo")?;
    Some((PathBuf::from(real), without_line(text)))
}

/// A file's own text, without the `#line` that an include server puts before it.
fn without_line(text: Vec<u8>) -> Vec<u8> {
    match text.strip_prefix(b"#line 1 \"") {
        Some(rest) => {
            let end = rest
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(rest.len(), |end| end + 1);
            rest[end..].to_vec()
        }
        None => text,
    }
}

fn read_frame(wire: &mut UnixStream) -> Frame {
    let mut head = [0; TOKEN_BYTES];
    wire.read_exact(&mut head).expect("a message");
    let token = Token::decode(&head).expect("a token");
    let mut body = vec![0; token.value as usize];
    wire.read_exact(&mut body).expect("its body");
    Frame {
        tag: token.tag,
        body,
    }
}

/// A service in threads of this process.
pub struct Service {
    directory: tempfile::TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServiceError>>>,
}

impl Service {
    fn start(answerer: Answerer) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let sockets = Sockets::bind(&directory.path().join("socket")).expect("sockets");
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            serve(sockets, Arc::new(answerer), || {
                Ok(async {
                    // A dropped sender stops the service as well.
                    let _ = stopped.await;
                })
            })
        });
        Self {
            directory,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn exchange(&self, socket: &Path, query: &Query) -> Vec<u8> {
        let mut stream = UnixStream::connect(socket).expect("a connection");
        stream.write_all(&query.encode()).expect("a question asked");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        answer
    }

    fn stock(&self, query: &Query) -> Vec<Vec<u8>> {
        let query = Query {
            environment: None,
            ..query.clone()
        };
        let bytes = self.exchange(&self.directory.path().join("socket"), &query);
        decode_stock_answer(&bytes, Limits::DEFAULT).expect("an answer in stock's words")
    }

    fn rich_socket(&self) -> PathBuf {
        let socket = self.directory.path().join("socket");
        let socket = rich_socket_path(socket.as_os_str().as_bytes());
        PathBuf::from(OsStr::from_bytes(&socket))
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.rich_socket()).expect("a connection")
    }

    fn rich(&self, query: &Query) -> Result<Testimony, String> {
        let bytes = self.exchange(&self.rich_socket(), query);
        let section = match Answer::decode(&bytes, Limits::DEFAULT).expect("an answer") {
            Answer::Doubt(reason) => return Err(reason),
            Answer::Closure(section) => section,
        };
        let mut told = Testimony::default();
        for entry in decode_entries(&section, Limits::DEFAULT).expect("entries") {
            let path = PathBuf::from(OsStr::from_bytes(entry.path.as_bytes()));
            if entry.is_system_link() {
                told.system.push(path);
                continue;
            }
            match entry.content {
                EntryContent::Link(target) => told
                    .links
                    .push((path, PathBuf::from(OsStr::from_bytes(&target)))),
                EntryContent::File(_) if entry.path.file_name() == FORCING_FILE => {
                    let directory = path.parent().expect("a directory");
                    told.directories.push(directory.to_owned());
                }
                EntryContent::File(block) => {
                    let text = match block.is_empty() {
                        true => Vec::new(),
                        false => protocol::lzo::decompress(&block, 1 << 24).expect("a block"),
                    };
                    told.files.push((path, without_line(text)));
                }
            }
        }
        Ok(told)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
