//! One name in one real directory.
//!
//! A node's value changes only under its lock. The ticks beside it are atomic: readers compare them without the lock, and
//! inotify's events set them while somebody holds it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use foldhash::HashMap;
use rustix::io::Errno;

use super::passage::Passage;
use crate::files::{FileContent, FileStamp};

/// The number of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    /// The root directory.
    pub const ROOT: NodeId = NodeId(0);
}

/// What stands under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Never asked.
    Unknown,
    /// Nothing.
    Missing,
    /// A regular file.
    File(FileStamp),
    /// A directory, with device and inode.
    Directory(u64, u64),
    /// A symbolic link, with device, inode and target.
    Link(u64, u64, Arc<[u8]>),
    /// A fifo, a device, a socket.
    Other,
    /// The system refuses to say.
    Refused(Errno),
}

impl Value {
    /// Whether a name that leads here, or on from here, leads there in both cases.
    pub(super) fn leads_as(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::File(_), Value::File(_)) | (Value::Directory(..), Value::Directory(..)) => true,
            (Value::Link(_, _, one), Value::Link(_, _, other)) => one == other,
            _ => false,
        }
    }
}

/// When a directory's own times said last that names in it came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DirectoryTimes {
    pub(super) modified: i64,
    pub(super) changed: i64,
}

impl DirectoryTimes {
    pub(super) fn of(stamp: &FileStamp) -> DirectoryTimes {
        DirectoryTimes {
            modified: stamp.modified,
            changed: stamp.changed,
        }
    }
}

/// What the lock of a node guards.
pub(super) struct State {
    pub(super) value: Value,
    /// A regular file's content when it was last read.
    pub(super) content: Option<Arc<FileContent>>,
    /// The inode on which inotify's watch lies, if one does.
    pub(super) watched: Option<(u64, u64)>,
    /// A directory's times at the last look, unless another change may still get the same ones.
    pub(super) times: Option<DirectoryTimes>,
    /// A file that others open, too: see [`Held`].
    pub(super) held: Option<Box<Held>>,
}

/// A file that is kept open, so that whether it has a writer can be asked again without opening it. Our opening is an event for every
/// other include server that watches the file; theirs, in answer, would be one for us, and so on for ever.
pub(super) struct Held {
    pub(super) file: OwnedFd,
    pub(super) inode: (u64, u64),
    /// It is counted among the files that may be kept open, and need not be closed at once.
    pub(super) counted: bool,
}

/// One name.
pub(super) struct Node {
    pub(super) parent: NodeId,
    /// The real path: no component but the last is a link.
    path: CString,
    pub(super) state: Mutex<State>,
    /// Counts the values it has had.
    version: AtomicU32,
    flags: AtomicU16,
    /// The tick of the last check.
    checked: AtomicU64,
    /// The tick of the last event about it.
    event: AtomicU64,
    /// For a directory that is not watched: the tick at which names in it were last seen to come or go.
    names: AtomicU64,
    /// The tick at which something else than a file, a directory or a link stood here last, or another kind of them, or a
    /// link elsewhere; 0 for never.
    other: AtomicU64,
    below: OnceLock<Box<Below>>,
}

/// What hangs on a directory.
#[derive(Default)]
struct Below {
    children: RwLock<HashMap<Box<[u8]>, NodeId>>,
    /// Where paths lead that start here.
    passages: RwLock<HashMap<Box<[u8]>, Arc<Passage>>>,
    handle: OnceLock<Handle>,
}

/// A directory by which names in it are found in one step.
struct Handle {
    directory: OwnedFd,
    /// The version of the node whose value it is.
    version: u32,
}

/// A directory in which names are looked for in vain: each leaves an entry in the kernel's cache.
pub(super) const SEARCHED: u16 = 64;
/// inotify's watch on the directory reports permissions of the directories in it, too.
pub(super) const SHOWN: u16 = 128;
/// inotify would report any change.
pub(super) const WATCHED: u16 = 1;
/// Part of a compiler, of which only the stamp counts. All processes of a machine open such files (the C library), so that is not
/// reported: whoever writes to them through a memory map closes what he opened for writing.
pub(super) const PROGRAM: u16 = 256;
/// inotify's watch lies on the inode that the state names.
pub(super) const LAID: u16 = 8;
/// Somebody has opened the file, perhaps to write to it through a memory map, which inotify does not report.
pub(super) const OPENED: u16 = 2;
/// A directory's own times vouch for it: nothing stands there, or a link.
pub(super) const BY_NAME: u16 = 16;
/// On a file system where only opening asks anew.
pub(super) const REMOTE: u16 = 32;
/// A thread is reading the content.
pub(super) const READING: u16 = 512;
/// The content may change without a change of its stamp: it is read again at every request.
pub(super) const UNSETTLED: u16 = 4;

impl Node {
    pub(super) fn root() -> Node {
        Node::new(NodeId::ROOT, c"/".into())
    }

    pub(super) fn new(parent: NodeId, path: CString) -> Node {
        Node {
            parent,
            path,
            state: Mutex::new(State {
                value: Value::Unknown,
                content: None,
                watched: None,
                times: None,
                held: None,
            }),
            version: AtomicU32::new(0),
            flags: AtomicU16::new(0),
            checked: AtomicU64::new(0),
            event: AtomicU64::new(0),
            names: AtomicU64::new(0),
            other: AtomicU64::new(0),
            below: OnceLock::new(),
        }
    }

    /// The real path.
    pub(super) fn path(&self) -> &CStr {
        &self.path
    }

    /// The last component of the path; the root has none.
    pub(super) fn name(&self) -> Option<&CStr> {
        let path = self.path.as_bytes_with_nul();
        let slash = memchr::memrchr(b'/', path)?;
        let name = CStr::from_bytes_with_nul(&path[slash + 1..]).ok()?;
        (!name.is_empty()).then_some(name)
    }

    pub(super) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    /// Marks a new value; the caller holds the lock.
    pub(super) fn renew(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    pub(super) fn put(&self, flag: u16, on: bool) {
        match on {
            true => self.flags.fetch_or(flag, Ordering::AcqRel),
            false => self.flags.fetch_and(!flag, Ordering::AcqRel),
        };
    }

    /// Whether it is watched and was checked after its last event and after `flooded`.
    #[inline]
    pub(super) fn holds_since(&self, flooded: u64) -> bool {
        let checked = self.checked.load(Ordering::Acquire);
        checked > flooded && checked > self.event.load(Ordering::Acquire) && self.has(WATCHED)
    }

    pub(super) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Acquire)
    }

    pub(super) fn set_checked(&self, tick: u64) {
        self.checked.fetch_max(tick, Ordering::AcqRel);
    }

    pub(super) fn set_event(&self, tick: u64) {
        self.event.fetch_max(tick, Ordering::AcqRel);
    }

    pub(super) fn names(&self) -> u64 {
        self.names.load(Ordering::Acquire)
    }

    pub(super) fn set_names(&self, tick: u64) {
        self.names.fetch_max(tick, Ordering::AcqRel);
    }

    pub(super) fn other(&self) -> u64 {
        self.other.load(Ordering::Acquire)
    }

    pub(super) fn set_other(&self, tick: u64) {
        self.other.fetch_max(tick, Ordering::AcqRel);
    }

    fn below(&self) -> &Below {
        self.below.get_or_init(Box::default)
    }

    /// The open directory, if it was opened and is still the one that stands here.
    pub(super) fn handle(&self) -> Option<BorrowedFd<'_>> {
        let handle = self.below.get()?.handle.get()?;
        (handle.version == self.version()).then(|| handle.directory.as_fd())
    }

    /// Whether it was opened at all, be it then the one that stands here or not.
    pub(super) fn was_opened(&self) -> bool {
        self.below
            .get()
            .is_some_and(|below| below.handle.get().is_some())
    }

    /// Keeps the directory that had this version.
    pub(super) fn set_handle(&self, directory: OwnedFd, version: u32) {
        // Somebody else's is as good.
        let _ = self.below().handle.set(Handle { directory, version });
    }

    /// The child of that name, if it was ever asked for.
    pub(super) fn child(&self, name: &[u8]) -> Option<NodeId> {
        let children = &self.below.get()?.children;
        let children = children.read().unwrap_or_else(|e| e.into_inner());
        children.get(name).copied()
    }

    /// The child of that name; `make` gives its number from its path. Names hold no NUL byte.
    pub(super) fn child_or(&self, name: &[u8], make: impl FnOnce(CString) -> NodeId) -> NodeId {
        let mut children = self.below().children.write();
        let children = children.as_mut().unwrap_or_else(|e| e.get_mut());
        if let Some(child) = children.get(name) {
            return *child;
        }
        let directory = match self.path.to_bytes() {
            b"/" => &b""[..],
            path => path,
        };
        let path = CString::new([directory, b"/", name].concat());
        let child = make(path.unwrap_or_default());
        children.insert(name.into(), child);
        child
    }

    /// Where `path` was found to lead from here.
    pub(super) fn passage(&self, path: &[u8]) -> Option<Arc<Passage>> {
        let passages = &self.below.get()?.passages;
        let passages = passages.read().unwrap_or_else(|e| e.into_inner());
        passages.get(path).map(Arc::clone)
    }

    pub(super) fn set_passage(&self, path: &[u8], passage: Arc<Passage>) {
        let mut passages = self.below().passages.write();
        let passages = passages.as_mut().unwrap_or_else(|e| e.get_mut());
        passages.insert(path.into(), passage);
    }
}
