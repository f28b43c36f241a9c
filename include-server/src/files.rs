//! Every file the scanner has ever seen, and what the file system says about names during one request.
//!
//! `FileTable` is shared by all threads and owns contents and their directive programs, keyed by device and inode and valid only
//! while `stat` tells the same size and times. `Snapshot` belongs to one request and remembers each `stat` of it, so that one
//! request sees one state and asks once per name.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dashmap::DashMap;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::configuration::LexingMode;
use crate::decline::Decline;
use crate::program::Program;

/// The largest file the scanner reads, in bytes.
pub const FILE_SIZE_LIMIT: u64 = 256 << 20;

/// A file whose times are this close to the moment of reading may change again without its times showing it.
const CLOCK_GRANULARITY: Duration = Duration::from_millis(20);

/// How often a file that changes under the reader is read again before the scan declines.
const READ_ATTEMPTS: u32 = 5;

/// What `stat` says about a file: the voucher for its cached content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileStamp {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Time of last modification, in nanoseconds since 1970.
    pub modified: i128,
    /// Time of last change of the inode, in nanoseconds since 1970.
    pub changed: i128,
    /// Type and permission bits.
    pub mode: u32,
    /// Number of hard links.
    pub links: u64,
}

impl FileStamp {
    // The field types of `stat` differ between platforms, so some of these casts are no-ops on this one.
    #[allow(clippy::unnecessary_cast)]
    fn new(stat: &rustix::fs::Stat) -> FileStamp {
        let nanoseconds = |seconds: i128, rest: i128| seconds * 1_000_000_000 + rest;
        FileStamp {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size.max(0) as u64,
            modified: nanoseconds(stat.st_mtime as i128, stat.st_mtime_nsec as i128),
            changed: nanoseconds(stat.st_ctime as i128, stat.st_ctime_nsec as i128),
            mode: stat.st_mode as u32,
            links: stat.st_nlink as u64,
        }
    }

    /// Whether two stamps vouch for the same content.
    fn same_content(&self, other: &FileStamp) -> bool {
        self.device == other.device
            && self.inode == other.inode
            && self.size == other.size
            && self.modified == other.modified
            && self.changed == other.changed
    }
}

/// Bytes and what follows from bytes alone; survives a `touch`.
struct Body {
    bytes: Arc<[u8]>,
    digest: OnceLock<[u8; 32]>,
    lzo: OnceLock<Arc<[u8]>>,
    programs: RwLock<Vec<(LexingMode, Arc<Program>)>>,
}

/// What a file held when it was read, with the stamp that vouched for it.
pub struct FileContent {
    stamp: FileStamp,
    body: Arc<Body>,
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FileContent")
            .field("stamp", &self.stamp)
            .finish_non_exhaustive()
    }
}

impl FileContent {
    fn new(stamp: FileStamp, bytes: Vec<u8>) -> FileContent {
        let body = Body {
            bytes: bytes.into(),
            digest: OnceLock::new(),
            lzo: OnceLock::new(),
            programs: RwLock::new(Vec::new()),
        };
        FileContent {
            stamp,
            body: Arc::new(body),
        }
    }

    /// The bytes that were scanned; these are the bytes to ship.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.body.bytes
    }

    /// What `stat` said when the bytes were read.
    pub fn stamp(&self) -> &FileStamp {
        &self.stamp
    }

    /// The BLAKE3 digest of the bytes, computed once.
    pub fn digest(&self) -> &[u8; 32] {
        self.body
            .digest
            .get_or_init(|| *blake3::hash(&self.body.bytes).as_bytes())
    }

    /// The bytes as stock distcc compresses them (one LZO block), computed once.
    pub fn compressed(&self) -> &Arc<[u8]> {
        self.body
            .lzo
            .get_or_init(|| protocol::lzo::compress(&self.body.bytes).into())
    }

    /// The directive program of the bytes under `mode`, built once per mode.
    pub fn program(&self, mode: LexingMode) -> Arc<Program> {
        let kept = |programs: &[(LexingMode, Arc<Program>)]| {
            programs
                .iter()
                .find(|(of, _)| *of == mode)
                .map(|(_, program)| Arc::clone(program))
        };
        let read = self
            .body
            .programs
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(program) = kept(&read) {
            return program;
        }
        drop(read);
        let built = Arc::new(Program::build(&self.body.bytes, mode));
        let mut write = self
            .body
            .programs
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(program) = kept(&write) {
            return program;
        }
        write.push((mode, Arc::clone(&built)));
        built
    }
}

struct Entry {
    content: Arc<FileContent>,
    /// Nanoseconds since 1970 just before the last reading.
    read_at: i128,
}

impl Entry {
    /// Whether the file may have changed after the reading without its times showing it.
    fn is_racy(&self) -> bool {
        let granularity = CLOCK_GRANULARITY.as_nanos() as i128;
        let stamp = &self.content.stamp;
        stamp.changed > self.read_at - granularity
            || (stamp.modified - self.read_at).abs() <= granularity
    }
}

/// The program of a text that is no file, and the text, so that its address stays taken.
struct Generated {
    _text: Arc<[u8]>,
    program: Arc<Program>,
}

/// All files ever seen, shared by all threads.
#[derive(Default)]
pub struct FileTable {
    entries: DashMap<(u64, u64), Entry>,
    /// Programs of texts that are no files (the compiler's built-in macros), by the address of the text, which is kept alive.
    generated: DashMap<(usize, LexingMode), Generated>,
}

impl FileTable {
    /// An empty table.
    pub fn new() -> FileTable {
        FileTable::default()
    }

    /// The state of the file system for one request; relative names are taken from `cwd`.
    pub fn snapshot(&self, cwd: &Path) -> Snapshot<'_> {
        let mut cwd = cwd.as_os_str().as_bytes().to_vec();
        if cwd.last() != Some(&b'/') {
            cwd.push(b'/');
        }
        Snapshot {
            table: self,
            cwd,
            statuses: HashMap::new(),
            contents: HashMap::new(),
            links: HashSet::new(),
            real_directories: HashMap::new(),
            buffer: Vec::new(),
        }
    }

    /// The program of a text that is no file and is shared by many scans.
    pub fn generated(&self, text: &Arc<[u8]>, mode: LexingMode) -> Arc<Program> {
        let key = (text.as_ptr() as usize, mode);
        if let Some(kept) = self.generated.get(&key) {
            return Arc::clone(&kept.program);
        }
        let program = Arc::new(Program::build(text, mode));
        self.generated.insert(
            key,
            Generated {
                _text: Arc::clone(text),
                program: Arc::clone(&program),
            },
        );
        program
    }

    /// Number of files kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no file is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The content of the file at the absolute `path`, whose `stat` just said `stamp`.
    fn content(&self, path: &[u8], stamp: &FileStamp) -> Result<Arc<FileContent>, Decline> {
        let key = (stamp.device, stamp.inode);
        let kept = match self.entries.get(&key) {
            Some(entry) if entry.content.stamp.same_content(stamp) && !entry.is_racy() => {
                return Ok(Arc::clone(&entry.content));
            }
            Some(entry) => Some(Arc::clone(&entry.content)),
            None => None,
        };
        let (read_at, stamp, bytes) = read_stable(path)?;
        let content = match kept {
            Some(kept) if *kept.body.bytes == *bytes => {
                if kept.stamp == stamp {
                    kept
                } else {
                    Arc::new(FileContent {
                        stamp,
                        body: Arc::clone(&kept.body),
                    })
                }
            }
            _ => Arc::new(FileContent::new(stamp, bytes)),
        };
        let key = (stamp.device, stamp.inode);
        self.entries.insert(
            key,
            Entry {
                content: Arc::clone(&content),
                read_at,
            },
        );
        Ok(content)
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn now() -> i128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i128)
}

/// Reads a regular file so that its stamp before and after are equal.
fn read_stable(path: &[u8]) -> Result<(i128, FileStamp, Vec<u8>), Decline> {
    let unreadable = |why: String| Decline::Unreadable {
        path: path_of(path),
        why,
    };
    let failed = |errno: Errno| unreadable(std::io::Error::from(errno).to_string());
    for _ in 0..READ_ATTEMPTS {
        let read_at = now();
        // O_NONBLOCK: should the name have become a fifo since its stat, opening must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let before = rustix::fs::fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            return Err(unreadable("not a regular file".into()));
        }
        let stamp = FileStamp::new(&before);
        if stamp.size > FILE_SIZE_LIMIT {
            return Err(Decline::TooLarge {
                path: path_of(path),
                size: stamp.size,
                limit: FILE_SIZE_LIMIT,
            });
        }
        let mut bytes = Vec::with_capacity(stamp.size as usize + 1);
        let mut file = std::fs::File::from(file);
        let limited = &mut std::io::Read::take(&mut file, FILE_SIZE_LIMIT + 1);
        std::io::Read::read_to_end(limited, &mut bytes)
            .map_err(|error| unreadable(error.to_string()))?;
        let after = FileStamp::new(&rustix::fs::fstat(&file).map_err(failed)?);
        if after.same_content(&stamp) && bytes.len() as u64 == stamp.size {
            return Ok((read_at, stamp, bytes));
        }
    }
    Err(Decline::Unstable {
        path: path_of(path),
    })
}

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing has that name (or something on the way is no directory).
    Missing,
    /// A regular file.
    Regular(FileStamp),
    /// A directory, with device and inode.
    Directory(u64, u64),
    /// A fifo, a device, a socket.
    Other,
    /// The system refuses to say.
    Refused(Errno),
}

/// The file system as one request sees it.
pub struct Snapshot<'t> {
    table: &'t FileTable,
    /// Ends with a slash.
    cwd: Vec<u8>,
    statuses: HashMap<Box<[u8]>, Status>,
    /// By what `stat` said: a file that is deleted during the request may leave its inode to another.
    contents: HashMap<FileStamp, Arc<FileContent>>,
    /// Names that are symbolic links.
    links: HashSet<Box<[u8]>>,
    real_directories: HashMap<Box<[u8]>, Option<Vec<u8>>>,
    buffer: Vec<u8>,
}

impl Snapshot<'_> {
    /// The absolute form of a name, by prepending the working directory only (nothing is normalised).
    pub fn absolute(&self, name: &[u8]) -> Vec<u8> {
        match name.first() {
            Some(b'/') => name.to_vec(),
            _ => [self.cwd.as_slice(), name].concat(),
        }
    }

    /// The canonical form of the absolute form of `name`, if it is shorter than `name` itself.
    pub fn shorter_canonical(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let slash = memchr::memrchr(b'/', name)?;
        self.status(name);
        let absolute = self.absolute(name);
        let canonical = if self.links.contains(absolute.as_slice()) {
            std::fs::canonicalize(path_of(&absolute))
                .ok()?
                .into_os_string()
                .into_vec()
        } else {
            // Only the directory can hold links; many files share it.
            let directory = &absolute[..absolute.len() - (name.len() - slash)];
            if !self.real_directories.contains_key(directory) {
                let shown = if directory.is_empty() {
                    b"/"
                } else {
                    directory
                };
                let real = std::fs::canonicalize(path_of(shown)).ok();
                let real = real.map(|real| real.into_os_string().into_vec());
                self.real_directories.insert(directory.into(), real);
            }
            let mut real = self.real_directories.get(directory)?.clone()?;
            if real.last() != Some(&b'/') {
                real.push(b'/');
            }
            real.extend_from_slice(&name[slash + 1..]);
            real
        };
        (canonical.len() < name.len()).then_some(canonical)
    }

    /// What `name` is, following links; asked of the system once per request.
    pub fn status(&mut self, name: &[u8]) -> Status {
        self.buffer.clear();
        if name.first() != Some(&b'/') {
            self.buffer.extend_from_slice(&self.cwd);
        }
        self.buffer.extend_from_slice(name);
        if let Some(status) = self.statuses.get(self.buffer.as_slice()) {
            return *status;
        }
        // A name that is no link, the common case, costs one call.
        let mut answer = rustix::fs::lstat(self.buffer.as_slice());
        if let Ok(stat) = &answer
            && FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
        {
            self.links.insert(self.buffer.as_slice().into());
            answer = rustix::fs::stat(self.buffer.as_slice());
        }
        let status = match answer {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Status::Regular(FileStamp::new(&stat)),
                FileType::Directory => {
                    let stamp = FileStamp::new(&stat);
                    Status::Directory(stamp.device, stamp.inode)
                }
                _ => Status::Other,
            },
            Err(Errno::NOENT | Errno::NOTDIR) => Status::Missing,
            // A name with a NUL byte cannot exist.
            Err(Errno::INVAL) => Status::Missing,
            Err(errno) => Status::Refused(errno),
        };
        self.statuses.insert(self.buffer.as_slice().into(), status);
        status
    }

    /// The content of the regular file `name`, whose stamp [`Snapshot::status`] gave.
    pub fn content(&mut self, name: &[u8], stamp: &FileStamp) -> Result<Arc<FileContent>, Decline> {
        if let Some(content) = self.contents.get(stamp) {
            return Ok(Arc::clone(content));
        }
        let content = self.table.content(&self.absolute(name), stamp)?;
        self.contents.insert(*stamp, Arc::clone(&content));
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_that_is_used_again_during_a_request_is_another_file() {
        let directory = tempfile::tempdir().unwrap();
        let table = FileTable::new();
        for round in 0..50 {
            let mut snapshot = table.snapshot(directory.path());
            for name in ["a.h", "b.h"] {
                let path = directory.path().join(name);
                let text = format!("{name} {round}");
                std::fs::write(&path, &text).unwrap();
                let Status::Regular(stamp) = snapshot.status(name.as_bytes()) else {
                    panic!("no file");
                };
                let content = snapshot.content(name.as_bytes(), &stamp).unwrap();
                assert_eq!(String::from_utf8_lossy(content.bytes()), text);
                // The next file likely gets this one's inode.
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}
