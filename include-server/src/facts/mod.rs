//! What the file system says about names, remembered, and believed only while it is vouched for.
//!
//! The table is a tree of names as the kernel has one: a [`Node`] is one name in one real directory, and says what stands
//! there (nothing, a file, a directory, a link). Two vouchers exist. A node that is *watched* is believed until inotify
//! reports something about it; any other is asked of the system again in each request. [`Session`] is one request's view:
//! it asks for each node at most once and writes down every node that it relied on, so that whoever remembers a result can
//! later ask whether all of it still holds.
//!
//! Time is counted by a clock of ticks. A node holds when it was checked after everything that may have disturbed it;
//! a check's tick is taken before the system is asked, so that what happens meanwhile counts as later.

mod check;
mod medium;
mod node;
mod passage;
mod session;
pub(crate) mod watch;

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

pub(crate) use medium::keeps_stamps;
pub use node::{NodeId, Value};
pub use passage::{End, Passage, Step};
pub use session::{Evidence, Located, Session, Vouched};
pub use watch::WatchError;

use medium::Media;
use node::Node;
use watch::Watch;

/// How facts are vouched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Freshness {
    /// inotify where it can be relied on, `stat` elsewhere.
    #[default]
    Auto,
    /// `stat` only.
    Stat,
    /// As `Auto`, but it is an error when inotify cannot be had at all.
    Watch,
}

/// All names that were ever asked for, shared by all threads.
pub struct Facts {
    /// Chunk `k` holds `FIRST_CHUNK << k` nodes, so that readers need no lock.
    chunks: [OnceLock<Box<[OnceLock<Node>]>>; CHUNKS],
    next: Mutex<u32>,
    clock: AtomicU64,
    /// When all nodes were last put in doubt at once.
    flooded: AtomicU64,
    /// When something that was known was last disturbed or found changed.
    disturbed: AtomicU64,
    /// How often something else was found under a name that was known.
    alterations: AtomicU64,
    media: Media,
    /// Directories that may still be kept open.
    handles_left: AtomicUsize,
    watch: Option<Watch>,
    /// Working memory of sessions that are over.
    spare: Mutex<Vec<session::Scratch>>,
}

const FIRST_CHUNK: usize = 4096;
const CHUNKS: usize = 18;

/// Directories and files kept open at most, if the limit on open files leaves room for so many four times.
const HANDLES: u64 = 4096;

fn handles() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let quarter = limit.current.map_or(HANDLES, |files| files / 4);
    usize::try_from(quarter.min(HANDLES)).unwrap_or(0)
}

/// The chunk of a node's number and the place in it.
fn place(number: u32) -> (usize, usize) {
    let chunk = (number as usize / FIRST_CHUNK + 1).ilog2() as usize;
    (chunk, number as usize - FIRST_CHUNK * ((1 << chunk) - 1))
}

impl Facts {
    /// Nothing known yet.
    ///
    /// # Errors
    /// [`WatchError`] when `freshness` is [`Freshness::Watch`] and inotify cannot be had.
    pub fn new(freshness: Freshness) -> Result<Facts, WatchError> {
        let watch = match freshness {
            Freshness::Stat => None,
            Freshness::Watch => Some(Watch::new()?),
            Freshness::Auto => Watch::new()
                .inspect_err(|error| tracing::info!("{error}; every file is checked by stat"))
                .ok(),
        };
        let facts = Facts {
            chunks: std::array::from_fn(|_| OnceLock::new()),
            next: Mutex::new(0),
            clock: AtomicU64::new(1),
            flooded: AtomicU64::new(0),
            disturbed: AtomicU64::new(0),
            alterations: AtomicU64::new(0),
            media: Media::default(),
            handles_left: AtomicUsize::new(handles()),
            watch,
            spare: Mutex::default(),
        };
        facts.add(Node::root());
        Ok(facts)
    }

    /// How many names are known.
    pub fn len(&self) -> usize {
        *lock(&self.next) as usize
    }

    /// Whether nothing but the root is known.
    pub fn is_empty(&self) -> bool {
        self.len() <= 1
    }

    fn node(&self, id: NodeId) -> &Node {
        let (chunk, at) = place(id.0);
        let node = self.chunks[chunk].get().and_then(|nodes| nodes[at].get());
        node.expect("an id is given out after its node is in place")
    }

    fn add(&self, node: Node) -> NodeId {
        let mut next = lock(&self.next);
        let (chunk, at) = place(*next);
        let nodes = self.chunks[chunk]
            .get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| OnceLock::new()).collect());
        // The place is ours alone: the lock is held.
        let _ = nodes[at].set(node);
        *next += 1;
        NodeId(*next - 1)
    }

    /// The node of `name` in the directory `parent`, made if need be.
    fn child(&self, parent: NodeId, name: &[u8]) -> NodeId {
        let directory = self.node(parent);
        if let Some(child) = directory.child(name) {
            return child;
        }
        directory.child_or(name, |path| self.add(Node::new(parent, path)))
    }

    /// How often something else was found under a name that was known. While the number stays the same, so does all that
    /// [`Facts::standing`] gives for such names.
    pub fn alterations(&self) -> u64 {
        self.alterations.load(Ordering::Acquire)
    }

    /// What was last found at a node, whether or not it still holds.
    pub fn standing(&self, id: NodeId) -> Value {
        lock(&self.node(id).state).value.clone()
    }

    /// The tick at which the name of a node was last found to lead elsewhere than it does now, or nowhere; 0 for never.
    pub fn was_other(&self, id: NodeId) -> u64 {
        self.node(id).other()
    }

    /// The directory a node is in; the root is in itself.
    pub fn parent(&self, id: NodeId) -> NodeId {
        self.node(id).parent
    }

    /// The real path of a node.
    pub fn path(&self, id: NodeId) -> &[u8] {
        self.node(id).path().to_bytes()
    }

    /// The real path of a node, for the system.
    pub fn c_path(&self, id: NodeId) -> &CStr {
        self.node(id).path()
    }

    /// Another tick.
    pub fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::AcqRel) + 1
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Acquire)
    }

    /// Puts all nodes in doubt.
    fn flood(&self) {
        let now = self.tick();
        self.flooded.fetch_max(now, Ordering::AcqRel);
        self.disturbed.fetch_max(now, Ordering::AcqRel);
    }

    fn is_clean(&self, node: &Node) -> bool {
        node.holds_since(self.flooded.load(Ordering::Acquire))
    }

    /// Takes in what inotify has to say. Whatever changed before this call is known after it.
    fn catch_up(&self) {
        if let Some(watch) = &self.watch {
            watch.drain(self);
        }
    }
}

/// A lock whose holder panicked guards nothing that could be half-written here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
