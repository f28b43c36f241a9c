//! Asking the include server what a compile reads.
//!
//! First in the richer dialogue, on the socket beside stock's: its answer is the closure, ready for the wire, or a doubt
//! with its reason. When there is no such socket, in stock's dialogue: its answer names files of a mirror tree
//! (compressed copies and links), which are read here. Every wait is bounded. Owns no state.

use crate::environment::Environment;
use crate::frames::Incoming;
use crate::log;
use protocol::bundle::{Frame, put_frame};
use protocol::error::WireError;
use protocol::include_dialogue::{
    Answer, AnswerDecoder, Query, RichVersion, decode_manifest_answer, decode_stock_answer,
    rich_socket_path,
};
use protocol::limits::Limits;
use protocol::token::{TOKEN_BYTES, Tag, Token, put_token};
use protocol::tree::{EntryContent, TreeEntry, put_entries};
use protocol::tree_path::TreePath;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Components of a mirror's own path, before the path of the file that is mirrored.
const MIRROR_COMPONENTS: usize = 3;

/// What came of asking.
#[derive(Debug)]
pub enum Closure {
    /// The files by their digests, and the include server at the other end, which gives what a server lacks.
    Manifest(Conversation),
    /// The files and links, as they follow the words of a protocol 3 request.
    Section(Vec<u8>),
    /// The include server does not vouch for a closure, for this reason.
    Doubt(String),
}

/// Why there is no answer at all.
#[derive(Debug, thiserror::Error)]
pub enum IncludeServerError {
    /// `INCLUDE_SERVER_PORT` is not set.
    #[error("INCLUDE_SERVER_PORT is not set")]
    Unset,
    /// No connection, or it broke.
    #[error("include server at {socket}: {error}")]
    Io {
        /// The socket.
        socket: String,
        /// Why.
        error: io::Error,
    },
    /// It did not speak either dialogue.
    #[error("include server at {socket}: {error}")]
    Wire {
        /// The socket.
        socket: String,
        /// What was wrong.
        error: WireError,
    },
    /// It no longer has what its manifest names.
    #[error("the include server gave up: {0}")]
    Withheld(String),
    /// A file of its mirror tree cannot be read.
    #[error("include server's file {file}: {problem}")]
    Mirror {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
}

/// Asks for the closure of `argv`, run in `cwd`. `path` is the `PATH` on which the compiler is found. A manifest is what is `wanted`; an include
/// server that knows no manifests gives a section.
///
/// # Errors
/// See [`IncludeServerError`].
pub fn closure(
    environment: &Environment,
    cwd: &[u8],
    argv: &[Vec<u8>],
    path: &std::ffi::OsString,
    wanted: RichVersion,
) -> Result<Closure, IncludeServerError> {
    if let Some(stub) = &environment.include_server_stub {
        let files = stub
            .as_bytes()
            .split(u8::is_ascii_whitespace)
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        return read_mirror(files);
    }
    let socket = environment
        .include_server_port
        .as_ref()
        .ok_or(IncludeServerError::Unset)?;
    let timeout = environment.io_timeout();
    let mut query = Query {
        cwd: cwd.to_vec(),
        environment: Some(Environment::relevant_entries(path)),
        argv: argv.to_vec(),
    };
    let rich = rich_socket_path(socket.as_bytes());
    if let Some(conversation) = Conversation::open(OsStr::from_bytes(&rich), timeout)? {
        return conversation.ask(&query, wanted);
    }
    query.environment = None;
    let files = ask_stock(socket, &query, timeout)?;
    if files.is_empty() {
        return Ok(Closure::Doubt(
            "the include server does not cover it".into(),
        ));
    }
    read_mirror(files)
}

/// The richer dialogue with an include server.
#[derive(Debug)]
pub struct Conversation {
    socket: OsString,
    stream: UnixStream,
    incoming: Incoming,
    /// The body of its answer.
    manifest: Vec<u8>,
}

impl Conversation {
    /// `None` when nobody listens there.
    fn open(socket: &OsStr, timeout: Duration) -> Result<Option<Self>, IncludeServerError> {
        let stream = match UnixStream::connect(socket) {
            Ok(stream) => stream,
            Err(error) => {
                log::debug!(
                    "no richer dialogue at {}: {error}",
                    socket.to_string_lossy()
                );
                return Ok(None);
            }
        };
        set_timeouts(&stream, timeout).map_err(|error| io_error(socket, error))?;
        Ok(Some(Self {
            socket: socket.to_owned(),
            stream,
            incoming: Incoming::default(),
            manifest: Vec::new(),
        }))
    }

    fn ask(mut self, query: &Query, wanted: RichVersion) -> Result<Closure, IncludeServerError> {
        self.send(&query.encode_for(wanted))?;
        if wanted == RichVersion::Section {
            return self.answer();
        }
        let frame = self.next(&[Tag::MANI, Tag::CLOS, Tag::DOUB])?;
        match frame.tag {
            Tag::DOUB => Ok(Closure::Doubt(reason(&frame.body))),
            Tag::CLOS => Ok(Closure::Section(frame.body)),
            _ => {
                self.manifest = frame.body;
                Ok(Closure::Manifest(self))
            }
        }
    }

    /// The manifest and the platform, as the include server wrote them.
    ///
    /// # Errors
    /// [`IncludeServerError::Wire`].
    pub fn manifest(&self) -> Result<(&[u8], &[u8]), IncludeServerError> {
        decode_manifest_answer(&self.manifest).map_err(|error| self.wire(error))
    }

    /// Passes on what a server lacks, `need` being that server's own words, message by message.
    ///
    /// # Errors
    /// See [`IncludeServerError`], and those of `pass_on`.
    pub fn give<E: From<IncludeServerError>>(
        &mut self,
        need: &[u8],
        mut pass_on: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut message = Vec::with_capacity(need.len() + 16);
        put_frame(&mut message, Tag::NEED, need);
        self.send(&message)?;
        loop {
            let frame = self.next(&[Tag::TABL, Tag::PACK, Tag::HAVE, Tag::DOUB])?;
            if frame.tag == Tag::DOUB {
                return Err(IncludeServerError::Withheld(reason(&frame.body)).into());
            }
            message.clear();
            put_frame(&mut message, frame.tag, &frame.body);
            pass_on(&message)?;
            if frame.tag == Tag::HAVE {
                return Ok(());
            }
        }
    }

    /// The closure as a section, for a server that does not speak the bundle dialect.
    ///
    /// # Errors
    /// See [`IncludeServerError`].
    pub fn into_section(mut self) -> Result<Closure, IncludeServerError> {
        let mut message = Vec::new();
        put_token(&mut message, Tag::SECT, 0);
        self.send(&message)?;
        self.answer()
    }

    /// The answer of the dialogue's first version.
    fn answer(mut self) -> Result<Closure, IncludeServerError> {
        let mut decoder = AnswerDecoder::new(Limits::DEFAULT);
        let (stream, socket) = (&mut self.stream, &self.socket);
        let fed = self
            .incoming
            .feed(&mut |buffer| receive(stream, buffer), |bytes| {
                Ok((decoder.feed(bytes)?, decoder.is_complete()))
            });
        fed.map_err(|failure| failure.at(socket))?;
        Ok(match decoder.finish().map_err(|error| self.wire(error))? {
            Answer::Closure(section) => Closure::Section(section),
            Answer::Doubt(reason) => Closure::Doubt(reason),
        })
    }

    fn next(&mut self, tags: &'static [Tag]) -> Result<Frame, IncludeServerError> {
        let stream = &mut self.stream;
        let frame = self
            .incoming
            .next(tags, &mut |buffer| receive(stream, buffer));
        frame.map_err(|failure| failure.at(&self.socket))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), IncludeServerError> {
        let sent = self.stream.write_all(bytes);
        sent.map_err(|error| io_error(&self.socket, error))
    }

    fn wire(&self, error: WireError) -> IncludeServerError {
        StreamFailure::Wire(error).at(&self.socket)
    }
}

/// What is wrong with the stream from an include server.
enum StreamFailure {
    Io(io::Error),
    Wire(WireError),
}

impl From<WireError> for StreamFailure {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl StreamFailure {
    fn at(self, socket: &OsStr) -> IncludeServerError {
        match self {
            Self::Io(error) => io_error(socket, error),
            Self::Wire(error) => IncludeServerError::Wire {
                socket: socket.to_string_lossy().into_owned(),
                error,
            },
        }
    }
}

fn receive(stream: &mut UnixStream, buffer: &mut [u8]) -> Result<usize, StreamFailure> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map_err(StreamFailure::Io),
        }
    }
}

/// A reason as text.
fn reason(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// Stock's dialogue. A server that closes without a word does not cover the command.
fn ask_stock(
    socket: &OsStr,
    query: &Query,
    timeout: Duration,
) -> Result<Vec<Vec<u8>>, IncludeServerError> {
    let failed = |error| io_error(socket, error);
    let wire = |error| IncludeServerError::Wire {
        socket: socket.to_string_lossy().into_owned(),
        error,
    };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    set_timeouts(&stream, timeout).map_err(failed)?;
    stream.write_all(&query.encode()).map_err(failed)?;
    let answer = read_words(&mut stream).map_err(failed)?;
    decode_stock_answer(&answer, Limits::DEFAULT).map_err(wire)
}

/// Reads `ARGC n (ARGV word)*n`. A stock include server keeps the connection open after its answer, so the bytes have
/// to be counted; what is wrong with them is the decoder's to say, so this stops where it cannot go on.
pub(crate) fn read_words(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut stream = io::BufReader::with_capacity(64 << 10, stream);
    let mut bytes = Vec::with_capacity(16 << 10);
    let limits = Limits::DEFAULT;
    let Some(count) = read_token(&mut stream, &mut bytes)? else {
        return Ok(bytes);
    };
    if count.tag != Tag::ARGC || count.value > limits.files {
        return Ok(bytes);
    }
    for _ in 0..count.value {
        match read_token(&mut stream, &mut bytes)? {
            Some(word) if word.tag == Tag::ARGV && word.value <= limits.path_bytes => {
                let taken = (&mut stream)
                    .take(u64::from(word.value))
                    .read_to_end(&mut bytes)?;
                if taken < word.value as usize {
                    return Ok(bytes);
                }
            }
            _ => return Ok(bytes),
        }
    }
    Ok(bytes)
}

/// Reads one token onto `bytes`; `None` when the stream ends or it is no token.
fn read_token(stream: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<Option<Token>> {
    let start = bytes.len();
    let taken = stream.take(TOKEN_BYTES as u64).read_to_end(bytes)?;
    let token = <&[u8; TOKEN_BYTES]>::try_from(&bytes[start..start + taken])
        .ok()
        .and_then(|token| Token::decode(token).ok());
    Ok(token)
}

fn set_timeouts(stream: &UnixStream, timeout: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))
}

fn io_error(socket: &OsStr, error: io::Error) -> IncludeServerError {
    IncludeServerError::Io {
        socket: socket.to_string_lossy().into_owned(),
        error,
    }
}

/// Turns the files of a mirror tree into a request's section.
fn read_mirror(files: Vec<Vec<u8>>) -> Result<Closure, IncludeServerError> {
    let mut entries = Vec::with_capacity(files.len());
    for file in files {
        let entry = read_mirrored(&file).map_err(|problem| IncludeServerError::Mirror {
            file: String::from_utf8_lossy(&file).into_owned(),
            problem,
        })?;
        entries.push(entry);
    }
    let mut section = Vec::with_capacity(64 << 10);
    put_entries(&mut section, &entries);
    Ok(Closure::Section(section))
}

fn read_mirrored(file: &[u8]) -> Result<TreeEntry, String> {
    let path = Path::new(OsStr::from_bytes(file));
    let data = std::fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    let (name, content) = if data.is_symlink() {
        let target = std::fs::read_link(path).map_err(|error| error.to_string())?;
        (file, EntryContent::Link(target.into_os_string().into_vec()))
    } else if data.is_file() {
        if data.len() > u64::from(Limits::DEFAULT.body_bytes) {
            return Err("larger than a request may carry".into());
        }
        let block = std::fs::read(path).map_err(|error| error.to_string())?;
        let name = file.strip_suffix(b".lzo").unwrap_or(file);
        // `.lzo.abs` marks a header reached through an absolute directory; the mark may stand on either side.
        let name = name.strip_suffix(b".abs").unwrap_or(name);
        let name = name.strip_suffix(b".lzo").unwrap_or(name);
        (name, EntryContent::File(block))
    } else {
        return Err("neither a file nor a link".into());
    };
    let original = without_components(name, MIRROR_COMPONENTS)
        .ok_or_else(|| "not below a mirror's root".to_owned())?;
    let path = TreePath::new(original).map_err(|error| error.to_string())?;
    Ok(TreeEntry { path, content })
}

/// An absolute path without its first components, still absolute.
fn without_components(path: &[u8], count: usize) -> Option<&[u8]> {
    let mut rest = path.strip_prefix(b"/")?;
    for _ in 0..count {
        let slash = rest.iter().position(|&b| b == b'/')?;
        rest = &rest[slash + 1..];
    }
    let start = path.len() - rest.len();
    Some(&path[start - 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_lose_three_components() {
        let original = |path: &str| {
            without_components(path.as_bytes(), MIRROR_COMPONENTS)
                .map(|p| String::from_utf8(p.to_vec()).unwrap())
        };
        assert_eq!(
            original("/dev/shm/tmpx.include_server-1-1/tmp/p/a.c").as_deref(),
            Some("/tmp/p/a.c")
        );
        assert_eq!(original("/tmp/padding/tmpx/a.c").as_deref(), Some("/a.c"));
        assert_eq!(original("/a/b/c"), None);
        assert_eq!(original("a/b/c/d"), None);
    }

    #[test]
    fn an_answer_is_read_to_its_end_and_no_further() {
        let answer = b"ARGC00000002ARGV00000002/aARGV00000003/bc".to_vec();
        let mut stream = io::Cursor::new([answer.clone(), b"more".to_vec()].concat());
        assert_eq!(read_words(&mut stream).unwrap(), answer);
        for cut in 0..answer.len() {
            let mut stream = io::Cursor::new(&answer[..cut]);
            assert_eq!(read_words(&mut stream).unwrap(), &answer[..cut]);
        }
    }

    #[test]
    fn a_mirror_becomes_a_section() {
        let directory = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        // /tmp/X is two components; one more makes a mirror's root of three.
        let root = directory.path().join("root/home/u");
        std::fs::create_dir_all(&root).unwrap();
        let block = protocol::lzo::compress(b"int x;\n");
        std::fs::write(root.join("a.c.lzo"), &block).unwrap();
        std::os::unix::fs::symlink("/home/u/real.h", root.join("v.h")).unwrap();
        let file = |name: &str| root.join(name).into_os_string().into_vec();
        let closure = read_mirror(vec![file("a.c.lzo"), file("v.h")]).unwrap();
        let expected = [
            TreeEntry {
                path: TreePath::new(b"/home/u/a.c").unwrap(),
                content: EntryContent::File(block),
            },
            TreeEntry {
                path: TreePath::new(b"/home/u/v.h").unwrap(),
                content: EntryContent::Link(b"/home/u/real.h".to_vec()),
            },
        ];
        let mut section = Vec::new();
        put_entries(&mut section, &expected);
        assert!(matches!(closure, Closure::Section(bytes) if bytes == section));
        assert!(matches!(
            read_mirror(vec![file("gone.lzo")]),
            Err(IncludeServerError::Mirror { .. })
        ));
    }
}
