//! Asking the system about one node.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::medium::Medium;
use super::node::{
    BY_NAME, DirectoryTimes, Held, LAID, Node, OPENED, PROGRAM, READING, REMOTE, SEARCHED, SHOWN,
    State, UNSETTLED, WATCHED,
};
use super::{Facts, NodeId, Value, lock};
use crate::files::{self, FileContent, FileStamp, ReadError};

/// How often a file is looked at again that is replaced while its watch is laid.
const WATCH_ATTEMPTS: usize = 3;

impl Facts {
    /// Asks the system what stands at `node`, unless the directory's times vouch for it. The node's directory was checked
    /// before in the same request. Says whether that counted as an alteration.
    pub(super) fn verify(&self, id: NodeId, node: &Node) -> bool {
        if self.is_unchanged(node) {
            return false;
        }
        let mut state = lock(&node.state);
        // Somebody else may have asked meanwhile.
        if self.is_clean(node) || self.is_vouched_by_directory(node) {
            return false;
        }
        // A file that somebody opened is believed again when nobody has it open for writing.
        let was_opened = node.has(OPENED) && self.hold(node, &mut state);
        let tick = self.tick();
        let held = state.held.as_ref().filter(|_| was_opened);
        let written = held.is_some_and(|held| has_writer(&held.file));
        let asked_of = held.map(|held| held.inode);
        if held.is_some_and(|held| !held.counted) {
            self.let_go(&mut state);
        }
        // Before the system is asked: this thread may be kept waiting in between.
        let asked = files::now();
        let (value, watched) = self.look(id, node, &mut state, asked);
        let known = state.value != Value::Unknown;
        let changed = !same(&state.value, &value);
        let is_directory = |value: &Value| matches!(value, Value::Directory(..));
        let restructured = changed && (is_directory(&state.value) || is_directory(&value));
        // Another file may have come to the name after the question about writers.
        let another = asked_of.is_some_and(|inode| match &value {
            Value::File(stamp) => (stamp.device, stamp.inode) != inode,
            _ => false,
        });
        if written || another {
            node.put(UNSETTLED, true);
        }
        // What may change without a sign is a new version each time.
        if changed || node.has(UNSETTLED) {
            node.renew();
            if known {
                let now = self.tick();
                self.disturbed.fetch_max(now, Ordering::AcqRel);
            }
        }
        let is_altered = self.note_alteration(node, &state.value, &value);
        if !matches!(value, Value::File(_)) {
            state.content = None;
            self.let_go(&mut state);
            node.put(UNSETTLED, false);
        }
        node.put(BY_NAME, matches!(value, Value::Missing | Value::Link(..)));
        state.value = value;
        node.put(WATCHED, watched && !node.has(UNSETTLED));
        node.set_checked(tick);
        drop(state);
        // What is below a directory that was replaced may be other files.
        if restructured && known {
            self.flood();
        }
        is_altered
    }

    /// To be called under the node's lock before it gets another value, so that whoever sees the value finds tick and number
    /// moved. Says whether the number was.
    fn note_alteration(&self, node: &Node, before: &Value, after: &Value) -> bool {
        let is_first = *before == Value::Unknown;
        let leads = |value: &Value| value.leads_as(value);
        let leads_elsewhere = match is_first {
            true => !leads(after),
            false => !before.leads_as(after) && before != after,
        };
        if leads_elsewhere {
            node.set_other(self.tick());
        }
        let is_altered = !is_first && !same(before, after);
        if is_altered {
            self.alterations.fetch_add(1, Ordering::AcqRel);
        }
        is_altered
    }

    /// Sees to it that the file which stands at `node` is open here; false when there is none that can be opened. What others did with it
    /// before this call is taken in.
    fn hold(&self, node: &Node, state: &mut State) -> bool {
        let named = self.ask(node).map(|stat| FileStamp::new(&stat));
        let inode = named.map(|stamp| (stamp.device, stamp.inode)).ok();
        let is_held = state
            .held
            .as_ref()
            .is_some_and(|held| Some(held.inode) == inode);
        if !is_held {
            self.let_go(state);
            let Ok(file) = files::open(node.path()) else {
                return false;
            };
            let Ok(stat) = rustix::fs::fstat(&file) else {
                return false;
            };
            let stamp = FileStamp::new(&stat);
            state.held = Some(Box::new(Held {
                file,
                inode: (stamp.device, stamp.inode),
                counted: self.take_handle(),
            }));
        }
        // Our own opening must not look like another's: its event is taken in before the mark goes.
        self.catch_up();
        node.put(OPENED, false);
        true
    }

    fn let_go(&self, state: &mut State) {
        if state.held.take().is_some_and(|held| held.counted) {
            self.handles_left.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes one of the descriptors that may be kept open.
    fn take_handle(&self) -> bool {
        let take = |left: usize| left.checked_sub(1);
        let taken = self
            .handles_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.is_ok()
    }

    /// The common case without inotify: a file or directory that is as it was. The lock is not held while the system is
    /// asked, since many threads ask for the same headers.
    fn is_unchanged(&self, node: &Node) -> bool {
        if self.watch.is_some() || node.has(UNSETTLED | REMOTE | BY_NAME) {
            return false;
        }
        let state = lock(&node.state);
        let times = state.times;
        let known = match state.value {
            Value::File(stamp) => Ok(stamp),
            Value::Directory(device, inode) => Err((device, inode)),
            _ => return false,
        };
        drop(state);
        let parent = self.node(node.parent);
        if !parent.was_opened() {
            self.open_directory(parent);
        }
        let Ok(stat) = self.ask(node) else {
            return false;
        };
        let found = FileStamp::new(&stat);
        match known {
            Ok(stamp) => found.same_content(&stamp),
            Err(inode) => {
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                    && (found.device, found.inode) == inode
                    && times == Some(DirectoryTimes::of(&found))
            }
        }
    }

    /// What the system says of a node: in one step from its directory where that is kept open, instead of one for each
    /// component of the path. The directory was checked before in the same request.
    fn ask(&self, node: &Node) -> rustix::io::Result<Stat> {
        match (self.node(node.parent).handle(), node.name()) {
            (Some(directory), Some(name)) => {
                rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            }
            _ => rustix::fs::lstat(node.path()),
        }
    }

    /// Opens a directory in which a name is asked for again, if there may be another open one. While it is open, nothing
    /// else gets its inode, so that it is the one that stands there as long as the node's value is the same.
    fn open_directory(&self, node: &Node) {
        if self.handles_left.load(Ordering::Relaxed) == 0 {
            return;
        }
        let state = lock(&node.state);
        let Value::Directory(device, inode) = state.value else {
            return;
        };
        let version = node.version();
        drop(state);
        if !self.take_handle() {
            return;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(directory) = rustix::fs::open(node.path(), flags, Mode::empty())
            && let Ok(stat) = rustix::fs::fstat(&directory)
            && (stat.st_dev, stat.st_ino) == (device, inode)
        {
            node.set_handle(directory, version);
        }
    }

    /// Whether a directory that is not watched, and that was asked in this request, shows by its times that no name in it
    /// came or went since the node was checked. That vouches for absence and for links, not for what files hold.
    pub(super) fn is_vouched_by_directory(&self, node: &Node) -> bool {
        if !node.has(BY_NAME) {
            return false;
        }
        let parent = self.node(node.parent);
        !parent.has(WATCHED)
            && node.checked() > self.flooded.load(Ordering::Acquire)
            && node.checked() > parent.names()
            && !std::ptr::eq(parent, node)
    }

    /// What stands at `node`, and whether inotify would report a change from now on.
    fn look(&self, id: NodeId, node: &Node, state: &mut State, asked: i64) -> (Value, bool) {
        let mut watched = self.watches_names(node);
        let mut found = self.ask(node);
        for _ in 0..WATCH_ATTEMPTS {
            let Ok(stat) = &found else { break };
            if !watched || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                break;
            }
            let stamp = FileStamp::new(stat);
            let inode = (stamp.device, stamp.inode);
            if lies_on(node, state, inode) {
                break;
            }
            // A file that is about to be read gets its watch then. Those that are not read (compilers) get it when they
            // are asked for again.
            if !matches!(&state.value, Value::File(known) if known.same_content(&stamp)) {
                break;
            }
            let medium = self.media.of(stamp.device, node.path());
            watched = medium == Medium::Local
                && self
                    .watch
                    .as_ref()
                    .is_some_and(|watch| watch.file(node, id));
            state.watched = watched.then_some(inode);
            // The watch may lie on what has just been put there.
            found = rustix::fs::lstat(node.path());
        }
        let value = match found {
            Ok(stat) => self.value(node, state, &stat, asked),
            Err(Errno::NOENT | Errno::NOTDIR) => Value::Missing,
            Err(errno) => Value::Refused(errno),
        };
        let watched = match &value {
            Value::File(stamp) => watched && lies_on(node, state, (stamp.device, stamp.inode)),
            Value::Refused(_) => false,
            _ => watched,
        };
        (value, watched)
    }

    fn value(&self, node: &Node, state: &mut State, stat: &Stat, asked: i64) -> Value {
        let stamp = FileStamp::new(stat);
        let medium = self.media.of(stamp.device, node.path());
        node.put(REMOTE, medium == Medium::Remote);
        if medium == Medium::Peculiar {
            return Value::Refused(Errno::NOTSUP);
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if medium == Medium::Remote => {
                // Opening asks the other machine anew.
                let asked = files::open(node.path()).and_then(|file| rustix::fs::fstat(&file));
                Value::File(asked.map_or(stamp, |stat| FileStamp::new(&stat)))
            }
            FileType::RegularFile => Value::File(stamp),
            FileType::Directory => {
                let settled = medium != Medium::Remote && !files::is_recent(&stamp, asked);
                self.look_at_times(node, state, &stamp, settled);
                Value::Directory(stamp.device, stamp.inode)
            }
            FileType::Symlink => match rustix::fs::readlink(node.path(), Vec::new()) {
                Ok(target) => Value::Link(stamp.device, stamp.inode, target.into_bytes().into()),
                Err(Errno::NOENT | Errno::INVAL) => Value::Missing,
                Err(errno) => Value::Refused(errno),
            },
            _ => Value::Other,
        }
    }

    /// Notes when names in a directory came or went, as far as its times show it.
    fn look_at_times(&self, node: &Node, state: &mut State, stamp: &FileStamp, settled: bool) {
        let times = DirectoryTimes::of(stamp);
        if state.times != Some(times) || !settled {
            node.set_names(self.tick());
        }
        state.times = settled.then_some(times);
    }

    /// Whether inotify reports whatever happens to the name of `node` in its directory; lays that watch if need be.
    fn watches_names(&self, node: &Node) -> bool {
        let (Some(watch), parent) = (&self.watch, self.node(node.parent)) else {
            return false;
        };
        if std::ptr::eq(parent, node) {
            // The root has no name that could change.
            return true;
        }
        let mut state = lock(&parent.state);
        let Value::Directory(device, inode) = state.value else {
            return false;
        };
        if lies_on(parent, &state, (device, inode)) {
            return true;
        }
        let path = parent.path();
        let sound = self.media.of(device, path) == Medium::Local && !watch.is_layer(path);
        if !sound || !watch.directory(parent, node.parent, self.is_shown_by_its_parent(parent)) {
            return false;
        }
        // The watch may lie on what has just been put there.
        let found = rustix::fs::lstat(path).map(|stat| FileStamp::new(&stat));
        let same = found.is_ok_and(|stamp| (stamp.device, stamp.inode) == (device, inode));
        state.watched = same.then_some((device, inode));
        same
    }

    /// Whether the watch on the directory that `node` is in reports its permissions, for a directory whose own watch should
    /// not. That is not so for the root of a mount: in its own file system it is elsewhere.
    fn is_shown_by_its_parent(&self, node: &Node) -> bool {
        if !node.has(SEARCHED) || !self.node(node.parent).has(SHOWN) {
            return false;
        }
        let root = StatxAttributes::MOUNT_ROOT;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let found = rustix::fs::statx(CWD, node.path(), flags, StatxFlags::INO);
        found.is_ok_and(|found| {
            found.stx_attributes_mask.contains(root) && !found.stx_attributes.contains(root)
        })
    }

    /// What the regular file at `node` holds, remembered or read, and whether reading it counted as an alteration.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) fn content(
        &self,
        id: NodeId,
        node: &Node,
    ) -> Result<(Arc<FileContent>, bool), ReadError> {
        let mut state = lock(&node.state);
        let Value::File(stamp) = state.value else {
            return Err(ReadError::NotAFile);
        };
        if let Some(content) = &state.content
            && content.stamp().same_content(&stamp)
            && !node.has(UNSETTLED)
        {
            return Ok((Arc::clone(content), false));
        }
        if node.has(PROGRAM) {
            // Its bytes count after all: another watch is laid.
            node.put(PROGRAM | LAID, false);
        }
        let names_watched = self.watches_names(node);
        let laid = names_watched && lies_on(node, &state, (stamp.device, stamp.inode));
        let lay =
            names_watched && !laid && self.media.of(stamp.device, node.path()) == Medium::Local;
        // Where the watch is laid now, nothing reports our own opening, and whatever is reported counts as later than that.
        let tick = Cell::new(0);
        let begin = || {
            tick.set(self.tick());
            files::open(node.path())
        };
        let inspect = |file: &OwnedFd| {
            // After the opening: it is not somebody else's.
            let watched = match &self.watch {
                Some(watch) if lay => watch.file(node, id),
                _ => {
                    // The event of our own opening is taken in first.
                    self.catch_up();
                    tick.set(self.tick());
                    laid
                }
            };
            node.put(OPENED, false);
            (watched, has_writer(file))
        };
        node.put(READING, true);
        let read = files::read_stable(begin, inspect);
        node.put(READING, false);
        let ((watched, written), read) = read?;
        // The name may have gone to another file after the opening, and the events that said so may be taken in already.
        // (Without a watch the next request asks; with a new one they count as later.)
        let is_named = lay || !names_watched || {
            let named = rustix::fs::lstat(node.path());
            named.is_ok_and(|stat| FileStamp::new(&stat).same_content(&read.stamp))
        };
        // A write may have set the times before our reading and the bytes after it: the event that follows finds the same
        // stamp. The bytes are read once more when the times are older.
        let unsettled = written || files::is_recent(&read.stamp, read.began);
        let content = match &state.content {
            Some(kept) => kept.renewed(read.stamp, read.bytes),
            None => Arc::new(FileContent::new(read.stamp, read.bytes)),
        };
        if lay && watched {
            state.watched = Some((read.stamp.device, read.stamp.inode));
        }
        let same_inode = (read.stamp.device, read.stamp.inode) == (stamp.device, stamp.inode);
        let changed = !read.stamp.same_content(&stamp) || !is_named;
        let mut is_altered = false;
        if changed {
            let value = Value::File(read.stamp);
            is_altered = self.note_alteration(node, &state.value, &value);
            state.value = value;
            node.renew();
        }
        node.put(UNSETTLED, unsettled);
        node.put(
            WATCHED,
            watched && is_named && !unsettled && (lay || same_inode),
        );
        if changed || unsettled {
            let now = self.tick();
            self.disturbed.fetch_max(now, Ordering::AcqRel);
        }
        node.set_checked(tick.get());
        state.content = Some(Arc::clone(&content));
        Ok((content, is_altered))
    }
}

/// Whether two values are the same for whoever relies on them.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::File(one), Value::File(other)) => one.same_content(other),
        _ => one == other,
    }
}

/// Whether a living watch of the node's lies on this inode.
fn lies_on(node: &Node, state: &State, inode: (u64, u64)) -> bool {
    state.watched == Some(inode) && node.has(LAID)
}

/// The signal for a lease that must be given back, fcntl(2); not in `libc`.
const F_SETSIG: libc::c_int = 10;

/// Whether somebody has the file open for writing, a shared memory map included. A read lease is only given when nobody
/// has, see fcntl(2); it is returned at once. Only a file's owner gets leases: of files of others (the system's
/// headers) this is not known, and they are taken to have no writer.
fn has_writer(file: &OwnedFd) -> bool {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: plain system calls on an open descriptor, with integer arguments. SIGURG instead of the SIGIO that would
    // end the process, should a writer come while the lease is held: SIGURG is ignored unless somebody asks for it.
    unsafe {
        if libc::fcntl(file, F_SETSIG, libc::SIGURG) != 0 {
            return false;
        }
        if libc::fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) == 0 {
            libc::fcntl(file, libc::F_SETLEASE, libc::F_UNLCK);
            return false;
        }
        Errno::from_raw_os_error(*libc::__errno_location()) == Errno::AGAIN
    }
}
