//! What regular files hold, with what follows from the bytes alone: directive programs, digest, compressed form.

mod sources;
mod text;

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::configuration::LexingMode;
use crate::lexer::Oddities;
use crate::program::Program;
pub(crate) use sources::Sources;
pub use text::Text;

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
    pub modified: i64,
    /// Time of last change of the inode, in nanoseconds since 1970.
    pub changed: i64,
    /// Type and permission bits.
    pub mode: u32,
    /// Number of hard links.
    pub links: u64,
}

impl FileStamp {
    // The field types of `stat` differ between platforms, so some of these casts are no-ops on this one.
    #[allow(clippy::unnecessary_cast)]
    pub(crate) fn new(stat: &rustix::fs::Stat) -> FileStamp {
        // Times of a far future wrap around; only equality and nearness count.
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest);
        FileStamp {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size.max(0) as u64,
            modified: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            mode: stat.st_mode as u32,
            links: stat.st_nlink as u64,
        }
    }

    /// Whether two stamps vouch for the same content.
    pub fn same_content(&self, other: &FileStamp) -> bool {
        self.device == other.device
            && self.inode == other.inode
            && self.size == other.size
            && self.modified == other.modified
            && self.changed == other.changed
    }
}

/// Bytes and what follows from bytes alone; survives a `touch`.
struct Body {
    /// `None` when it was put away.
    bytes: RwLock<Option<Text>>,
    size: u64,
    /// Known at the latest when the bytes are put away.
    digest: OnceLock<[u8; 32]>,
    lzo: RwLock<Option<Arc<[u8]>>>,
    /// Where it is read again after it was put away.
    path: OnceLock<CString>,
    /// It is among the [`Sources`], or was.
    is_source: AtomicBool,
    /// For the mode that asked first, which is nearly always the only one.
    program: OnceLock<(LexingMode, Arc<Program>)>,
    /// A thread has begun to build it.
    begun: AtomicBool,
    /// Decides which other modes have the same program.
    oddities: OnceLock<Oddities>,
    other_programs: RwLock<Vec<(LexingMode, Arc<Program>)>>,
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
    pub(crate) fn new(stamp: FileStamp, bytes: Text) -> FileContent {
        let body = Body {
            size: bytes.len() as u64,
            bytes: RwLock::new(Some(bytes)),
            digest: OnceLock::new(),
            lzo: RwLock::default(),
            path: OnceLock::new(),
            is_source: AtomicBool::new(false),
            program: OnceLock::new(),
            begun: AtomicBool::new(false),
            oddities: OnceLock::new(),
            other_programs: RwLock::default(),
        };
        FileContent {
            stamp,
            body: Arc::new(body),
        }
    }

    /// The same file read again: what follows from the bytes stays when they are the same, and were not put away.
    pub(crate) fn renewed(&self, stamp: FileStamp, bytes: Text) -> Arc<FileContent> {
        match self.here().as_ref() == Some(&bytes) {
            true => Arc::new(FileContent {
                stamp,
                body: Arc::clone(&self.body),
            }),
            false => Arc::new(FileContent::new(stamp, bytes)),
        }
    }

    /// The bytes that were scanned; these are the bytes to ship.
    ///
    /// # Errors
    /// [`ReadError`] when they were put away and the file no longer holds them.
    pub fn bytes(&self) -> Result<Text, ReadError> {
        match self.here() {
            Some(bytes) => Ok(bytes),
            None => self.read_again(),
        }
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.body.size
    }

    /// Whether both hold the same bytes.
    pub fn equals(&self, other: &FileContent) -> bool {
        self.size() == other.size()
            && match (self.here(), other.here()) {
                (Some(one), Some(other)) => one == other,
                _ => self.digest() == other.digest(),
            }
    }

    /// The bytes, if they were not put away.
    fn here(&self) -> Option<Text> {
        self.body.here()
    }

    fn read_again(&self) -> Result<Text, ReadError> {
        let path = self.body.path.get();
        let path = path.expect("a path is noted before the bytes are put away");
        let ((), read) = read_stable(|| open(path), |_| ())?;
        match blake3::hash(&read.bytes).as_bytes() == self.digest() {
            true => Ok(read.bytes),
            false => Err(ReadError::Changed),
        }
    }

    /// What `stat` said when the bytes were read.
    pub fn stamp(&self) -> &FileStamp {
        &self.stamp
    }

    /// The BLAKE3 digest of the bytes, computed once.
    pub fn digest(&self) -> &[u8; 32] {
        self.body.digest()
    }

    /// The bytes as stock distcc compresses them (one LZO block), computed once as long as they are not put away.
    ///
    /// # Errors
    /// As [`FileContent::bytes`].
    pub fn compressed(&self) -> Result<Arc<[u8]>, ReadError> {
        if let Some(block) = &*read(&self.body.lzo) {
            return Ok(Arc::clone(block));
        }
        let mut kept = write(&self.body.lzo);
        if let Some(block) = &*kept {
            return Ok(Arc::clone(block));
        }
        let block: Arc<[u8]> = protocol::lzo::compress(&self.bytes()?).into();
        if self.body.path.get().is_none() {
            *kept = Some(Arc::clone(&block));
        }
        Ok(block)
    }

    /// Whether another thread is just building the first program.
    pub fn is_being_built(&self) -> bool {
        self.body.program.get().is_none() && self.body.begun.load(Ordering::Relaxed)
    }

    /// The directive program of the bytes under `mode`, built once for all modes that read them alike.
    ///
    /// # Errors
    /// As [`FileContent::bytes`].
    pub fn program(&self, mode: LexingMode) -> Result<Arc<Program>, ReadError> {
        let known = self.body.program.get();
        if let Some((first, program)) = known
            && *first == mode
        {
            return Ok(Arc::clone(program));
        }
        let bytes = self.bytes()?;
        let build = || Arc::new(Program::build(&bytes, mode));
        let first = || {
            self.body.begun.store(true, Ordering::Relaxed);
            (mode, build())
        };
        let (first, program) = self.body.program.get_or_init(first);
        let oddities = || *self.body.oddities.get_or_init(|| Oddities::of(&bytes));
        if *first == mode || oddities().allow(*first, mode) {
            return Ok(Arc::clone(program));
        }
        let kept = |programs: &[(LexingMode, Arc<Program>)]| {
            let known = programs.iter().find(|(of, _)| *of == mode);
            known.map(|(_, program)| Arc::clone(program))
        };
        let others = &self.body.other_programs;
        if let Some(program) = kept(&read(others)) {
            return Ok(program);
        }
        let built = build();
        let mut write = write(others);
        if let Some(program) = kept(&write) {
            return Ok(program);
        }
        write.push((mode, Arc::clone(&built)));
        Ok(built)
    }
}

impl Body {
    fn here(&self) -> Option<Text> {
        read(&self.bytes).clone()
    }

    fn digest(&self) -> &[u8; 32] {
        self.digest.get_or_init(|| {
            let bytes = self.here();
            let bytes = bytes.expect("nothing is put away before its digest is known");
            *blake3::hash(&bytes).as_bytes()
        })
    }

    /// Frees the bytes. Whoever wants them gets them from the file of this path, if that still holds them.
    fn put_away(&self, path: &CStr) {
        self.digest();
        self.path.get_or_init(|| path.to_owned());
        *write(&self.bytes) = None;
        *write(&self.lzo) = None;
    }
}

/// A lock whose holder panicked guards nothing that could be half-written here.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// As [`read`].
fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Why a file could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is no regular file, or no longer one.
    #[error("not a regular file")]
    NotAFile,
    /// It is larger than [`FILE_SIZE_LIMIT`].
    #[error("it has {0} bytes, more than the scanner takes")]
    TooLarge(u64),
    /// It changed again and again while it was read.
    #[error("it keeps changing while it is read")]
    Unstable,
    /// It was scanned, and holds something else now.
    #[error("it has changed since it was scanned")]
    Changed,
    /// The system's error.
    #[error("{}", std::io::Error::from(*.0))]
    System(Errno),
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64)
}

/// Whether another change after the moment `at` could get the same times.
pub(crate) fn is_recent(stamp: &FileStamp, at: i64) -> bool {
    let granularity = CLOCK_GRANULARITY.as_nanos() as i64;
    stamp.changed > at.saturating_sub(granularity)
        || stamp.modified.wrapping_sub(at).unsigned_abs() <= granularity.unsigned_abs()
}

/// A file's bytes with the stamp they had.
pub(crate) struct StableRead {
    pub(crate) stamp: FileStamp,
    pub(crate) bytes: Text,
    /// When the reading began, in nanoseconds since 1970.
    pub(crate) began: i64,
}

/// Reads a regular file so that its stamp before and after are equal; `inspect` sees the open file before its stamp is
/// taken.
pub(crate) fn read_stable<T>(
    open: impl Fn() -> rustix::io::Result<OwnedFd>,
    inspect: impl Fn(&OwnedFd) -> T,
) -> Result<(T, StableRead), ReadError> {
    for _ in 0..READ_ATTEMPTS {
        let began = now();
        let file = open().map_err(ReadError::System)?;
        let inspected = inspect(&file);
        let before = rustix::fs::fstat(&file).map_err(ReadError::System)?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            return Err(ReadError::NotAFile);
        }
        let stamp = FileStamp::new(&before);
        if stamp.size > FILE_SIZE_LIMIT {
            return Err(ReadError::TooLarge(stamp.size));
        }
        let most = stamp.size as usize + 1;
        let bytes = READ_BUFFER.with_borrow_mut(|buffer| Text::read(&file, most, buffer));
        let bytes = bytes.map_err(ReadError::System)?;
        let after = rustix::fs::fstat(&file).map_err(ReadError::System)?;
        if FileStamp::new(&after).same_content(&stamp) && bytes.len() as u64 == stamp.size {
            return Ok((
                inspected,
                StableRead {
                    stamp,
                    bytes,
                    began,
                },
            ));
        }
    }
    Err(ReadError::Unstable)
}

/// Opens what should be a regular file: a fifo must not make us wait, a link must not be followed.
pub(crate) fn open(path: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags =
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::empty())
}

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
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
