//! inotify: which names and files somebody has touched.
//!
//! Watches lie on directories, for what happens to the names in them, and on files themselves, so that changes through
//! another hard link, or through a descriptor that was opened long ago, are reported too. Events are put into the queue
//! within the changing system call, so after [`Watch::drain`] all that changed before it is known. What inotify does not
//! report is found by other means: writing through a memory map (see `OPENED` in `node`), and mounting (by polling
//! `mountinfo`).

use std::ffi::CStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};

use foldhash::HashMap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::node::{LAID, Node, OPENED, PROGRAM, SHOWN, UNSETTLED};
use super::{Facts, NodeId, lock};

/// Why there is no inotify.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Most often `fs.inotify.max_user_instances` is used up.
    #[error("inotify cannot be had: {0}")]
    Start(std::io::Error),
    /// No `/proc`.
    #[error("changes of mounts cannot be watched (/proc/thread-self/mountinfo): {0}")]
    Mounts(std::io::Error),
}

/// One inotify instance and what its watches mean.
pub(super) struct Watch {
    instance: OwnedFd,
    mounts: File,
    /// The nodes of each watch; several where hard links or bind mounts show one inode under several names. The lock is
    /// held while watches are added and while events are read, so that no event comes before its watch is known.
    watches: Mutex<Watches>,
    /// No more watches are to be had.
    exhausted: AtomicBool,
    /// Directories that are layers of overlay file systems: files in them change unseen through the overlay.
    layers: RwLock<Vec<PathBuf>>,
}

type Watches = HashMap<i32, Laid>;

/// One watch.
struct Laid {
    nodes: Vec<NodeId>,
    on_directory: bool,
}

const ON_DIRECTORY: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    // Another node of the same directory may have asked for more.
    .union(WatchFlags::MASK_ADD)
    .union(WatchFlags::DONT_FOLLOW);

const ON_FILE: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::OPEN)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::DONT_FOLLOW);

impl Watch {
    pub(super) fn new() -> Result<Watch, WatchError> {
        let instance = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|errno| WatchError::Start(errno.into()))?;
        let mounts = File::open("/proc/thread-self/mountinfo").map_err(WatchError::Mounts)?;
        Ok(Watch {
            instance,
            mounts,
            watches: Mutex::default(),
            exhausted: AtomicBool::new(false),
            layers: RwLock::new(layers()),
        })
    }

    /// Watches the names in a directory, and unless `names_only` its permissions and those of the directories in it; false when
    /// that cannot be. Watching permissions, the kernel goes through all names that it remembers of the directory, those that
    /// were looked for in vain included, and slows down everybody's use of the files in it.
    pub(super) fn directory(&self, node: &Node, id: NodeId, names_only: bool) -> bool {
        let events = match names_only {
            true => ON_DIRECTORY,
            false => ON_DIRECTORY.union(WatchFlags::ATTRIB),
        };
        self.add(node, id, events, true)
    }

    /// Watches what a file holds; false when that cannot be.
    pub(super) fn file(&self, node: &Node, id: NodeId) -> bool {
        let events = match node.has(PROGRAM) {
            // What another name of the same file asked for stays.
            true => ON_FILE
                .difference(WatchFlags::OPEN)
                .union(WatchFlags::MASK_ADD),
            false => ON_FILE,
        };
        self.add(node, id, events, false)
    }

    fn add(&self, node: &Node, id: NodeId, events: WatchFlags, on_directory: bool) -> bool {
        if self.exhausted.load(Ordering::Relaxed) {
            return false;
        }
        let mut watches = lock(&self.watches);
        match inotify::add_watch(&self.instance, node.path(), events) {
            Ok(watch) => {
                let laid = watches.entry(watch).or_insert(Laid {
                    nodes: Vec::new(),
                    on_directory,
                });
                if !laid.nodes.contains(&id) {
                    laid.nodes.push(id);
                }
                // Under the lock: the event that ends this watch comes later.
                let shown = on_directory && events.contains(WatchFlags::ATTRIB);
                node.put(if shown { LAID | SHOWN } else { LAID }, true);
                true
            }
            Err(Errno::NOSPC | Errno::NOMEM) => {
                if !self.exhausted.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "no inotify watches left (fs.inotify.max_user_watches): other files are checked by stat"
                    );
                }
                false
            }
            // It has just gone, or may not be read.
            Err(_) => false,
        }
    }

    /// Whether `path` lies in a layer of an overlay.
    pub(super) fn is_layer(&self, path: &CStr) -> bool {
        let layers = self.layers.read().unwrap_or_else(|e| e.into_inner());
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
        layers.iter().any(|layer| path.starts_with(layer))
    }

    /// Takes in all events that are there.
    pub(super) fn drain(&self, facts: &Facts) {
        let mut watches = lock(&self.watches);
        let mut ready = [
            PollFd::new(&self.instance, PollFlags::IN),
            PollFd::new(&self.mounts, PollFlags::PRI),
        ];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // An error (a signal) is no reason not to look.
        let failed = poll(&mut ready, Some(&at_once)).is_err();
        let [events, mounts] = ready.map(|ready| failed || !ready.revents().is_empty());
        if mounts {
            facts.media.forget();
            *self.layers.write().unwrap_or_else(|e| e.into_inner()) = layers();
            facts.flood();
        }
        if !events {
            return;
        }
        let mut buffer = [MaybeUninit::<u8>::uninit(); 16 << 10];
        let mut reader = Reader::new(&self.instance, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(CStr::to_bytes);
                    facts.take_in(&mut watches, event.wd(), event.events(), name);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(errno) => {
                    // Nothing is known any more.
                    tracing::warn!("inotify: {}", std::io::Error::from(errno));
                    facts.flood();
                    return;
                }
            }
        }
    }
}

impl Facts {
    /// One event.
    fn take_in(&self, watches: &mut Watches, watch: i32, events: ReadFlags, name: Option<&[u8]>) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            tracing::info!("inotify's queue overflowed: every file is checked once");
            self.flood();
            return;
        }
        if events.contains(ReadFlags::UNMOUNT) {
            self.flood();
        }
        if events.contains(ReadFlags::IGNORED) {
            // The inode is gone, and its number may come again.
            if let Some(laid) = watches.remove(&watch) {
                for id in laid.nodes {
                    self.node(id).put(LAID | SHOWN, false);
                    self.disturb(id);
                }
                if laid.on_directory {
                    self.flood();
                }
            }
            return;
        }
        let Some(laid) = watches.get(&watch) else {
            return;
        };
        for &id in &laid.nodes {
            let node = self.node(id);
            match name {
                Some(name) => {
                    let names = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM;
                    if !events.intersects(names | ReadFlags::MOVED_TO) {
                        // A child's attributes; a file's own watch tells if it matters.
                        if events.contains(ReadFlags::ISDIR) && node.child(name).is_some() {
                            self.flood();
                        }
                        continue;
                    }
                    // A name that nobody asked for is of no interest.
                    if let Some(child) = node.child(name) {
                        // Another inode may stand there now, or have stood there when a watch was laid.
                        self.node(child).put(LAID | SHOWN, false);
                        self.disturb(child);
                        if events.contains(ReadFlags::ISDIR) {
                            self.flood();
                        }
                    }
                }
                None if laid.on_directory => self.flood(),
                None => {
                    if events.contains(ReadFlags::OPEN) {
                        node.put(OPENED, true);
                    }
                    // A write sets the times first and the bytes later: an equal stamp says nothing.
                    if events.intersects(ReadFlags::MODIFY | ReadFlags::CLOSE_WRITE) {
                        node.put(UNSETTLED, true);
                    }
                    self.disturb(id);
                }
            }
        }
    }

    fn disturb(&self, id: NodeId) {
        let tick = self.tick();
        self.node(id).set_event(tick);
        self.disturbed.fetch_max(tick, Ordering::AcqRel);
    }
}

/// The directories that overlay mounts are made of.
fn layers() -> Vec<PathBuf> {
    let table = std::fs::read("/proc/thread-self/mountinfo").unwrap_or_default();
    layers_in(&table)
}

pub(crate) fn layers_in(mountinfo: &[u8]) -> Vec<PathBuf> {
    let mut layers = Vec::new();
    for line in mountinfo.split(|&byte| byte == b'\n') {
        let is_overlay = memchr::memmem::find(line, b" - overlay ").is_some();
        let options = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
        if !is_overlay {
            continue;
        }
        for option in options.split(|&byte| byte == b',') {
            let value = [&b"upperdir="[..], b"lowerdir=", b"workdir="]
                .iter()
                .find_map(|name| option.strip_prefix(*name));
            for layer in value.unwrap_or_default().split(|&byte| byte == b':') {
                if layer.first() == Some(&b'/') {
                    layers.push(PathBuf::from(std::ffi::OsStr::from_bytes(layer)));
                }
            }
        }
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_of_overlays_are_found() {
        let table = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            99 22 0:50 / /merged rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=/c/up,workdir=/c/work\n";
        let expected = ["/a", "/b", "/c/up", "/c/work"];
        assert_eq!(layers_in(table), expected.map(PathBuf::from));
    }
}
