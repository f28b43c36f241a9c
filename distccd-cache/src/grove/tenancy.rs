//! One grove and the jobs that run in it. Owns the record of what it holds and of who is there.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry};
use protocol::bundle::indices::Indices;

use super::bits::Bits;
use super::disk::Disk;
use super::limits::GroveLimits;
use super::stands::{Gone, Obstacle, Stands};
use crate::table::Table;
use crate::tree::{JobLimits, Layout, Links, Tree, TreeError};
use crate::view::Unsuited;
use crate::view::layers::{Beneath, Spots};
use crate::view::skeleton::Skeleton;

/// Why a job gets no grove.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroveError {
    /// The client's files cannot be laid out.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Something of the client's is in the place of something of the server's.
    #[error(transparent)]
    Unsuited(#[from] Unsuited),
    /// Blobs that were there are no longer.
    #[error("{} of the job's files are no longer in the store", .0.len())]
    Vanished(Vec<Digest>),
    /// The store, or the directory of all groves, could not be used.
    #[error("laying out a client's files: {0}")]
    Io(#[from] io::Error),
}

/// Entries of a table, with their indices.
type Rows = Vec<(u32, Arc<Entry>)>;

/// What a job needs of a table.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    pub(crate) table: Arc<Table>,
    pub(crate) length: u32,
    pub(crate) used: Arc<Indices>,
    pub(crate) dead: Arc<Indices>,
}

/// How a grove suits a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// How many entries would have to be written.
    pub(super) missing: usize,
    /// Nothing would have to go, and nobody who is there would mind.
    pub(super) agrees: bool,
    /// Nobody is there.
    pub(super) idle: bool,
}

/// A persistent tree.
#[derive(Debug)]
pub(crate) struct Grove {
    table: Arc<Table>,
    skeleton: Skeleton,
    disk: Disk,
    state: Mutex<State>,
    /// Rung when entries were written, or were not.
    written: Condvar,
}

#[derive(Debug)]
struct State {
    stands: Stands,
    /// All entries that are recorded, the pending ones included.
    present: Bits,
    /// Those that somebody is still writing.
    pending: Bits,
    /// Those that are late.
    late: BTreeSet<u32>,
    tenants: HashMap<u64, Needs>,
    next_ticket: u64,
    bytes: u64,
    /// Its mounts failed, or a removal did: no further job gets it.
    spoilt: bool,
}

impl Grove {
    /// Plants a grove in a directory that does not exist yet.
    pub(super) fn plant(table: Arc<Table>, dir: PathBuf, proc: bool) -> Result<Self, GroveError> {
        let disk = Disk::create(dir)?;
        let mut tree = Tree::at(disk.root(), Layout::OwnPaths, JobLimits::DEFAULT)?;
        let skeleton = Skeleton::lay(&mut tree, proc)?;
        // The compilers' directory for temporary files.
        tree.make_dirs(b"/tmp")?;
        let (directories, files): (Vec<&[u8]>, Vec<&[u8]>) =
            tree.paths().partition(|path| tree.has_dir(path));
        let stands = Stands::new(
            directories.into_iter().map(<[u8]>::to_vec),
            files.into_iter().map(<[u8]>::to_vec),
            skeleton.links().clone(),
        );
        let state = State {
            stands,
            present: Bits::default(),
            pending: Bits::default(),
            late: BTreeSet::new(),
            tenants: HashMap::new(),
            next_ticket: 0,
            bytes: 0,
            spoilt: false,
        };
        Ok(Self {
            table,
            skeleton,
            disk,
            state: Mutex::new(state),
            written: Condvar::new(),
        })
    }

    pub(super) fn is_of(&self, table: &Table) -> bool {
        self.table.serial() == table.serial()
    }

    /// Whether nobody is there; how many files, links and directories there are; bytes.
    pub(super) fn load(&self) -> (bool, usize, u64) {
        let state = self.lock();
        (state.tenants.is_empty(), state.stands.len(), state.bytes)
    }

    /// How it suits a job; `None` if no further job is to have it.
    ///
    /// # Errors
    /// [`Unsuited`] when the job can have no grove at all.
    pub(super) fn fit(
        &self,
        needs: &Needs,
        limits: &GroveLimits,
    ) -> Result<Option<Fit>, GroveError> {
        let state = self.lock();
        // One that is too large goes as soon as nobody is in it.
        let full = state.stands.len() > limits.entries || state.bytes > limits.bytes;
        if state.spoilt || full {
            return Ok(None);
        }
        let missing = self
            .table
            .entries(state.present.missing(&needs.used).into_iter());
        let mut agrees = !state.contradicts(needs);
        for (index, entry) in &missing {
            match state.stands.obstacle(entry) {
                Obstacle::None => agrees &= !state.disturbs(*index, entry),
                Obstacle::At(_) => agrees = false,
                Obstacle::Fixed => return Err(in_the_way(entry)),
            }
        }
        Ok(Some(Fit {
            missing: missing.len(),
            agrees,
            idle: state.tenants.is_empty(),
        }))
    }

    /// Lets a job in, and writes what it needs and nobody has written. `None`: it does not suit any more.
    ///
    /// # Errors
    /// [`GroveError`].
    pub(super) fn enter(
        self: &Arc<Self>,
        needs: &Needs,
        quota: &JobLimits,
        content: &dyn Fn(&Digest) -> io::Result<Option<Vec<u8>>>,
    ) -> Result<Option<Tenancy>, GroveError> {
        let mut tenancy: Option<Tenancy> = None;
        loop {
            let mut state = self.lock();
            if tenancy.is_none() {
                if state.spoilt || (state.contradicts(needs) && !state.tenants.is_empty()) {
                    return Ok(None);
                }
                if state.tenants.is_empty() {
                    self.clear_way(&mut state, needs)?;
                }
            }
            let missing = state.present.missing(&needs.used);
            if missing.is_empty() && !state.pending.common(&needs.used).is_empty() {
                if tenancy.is_none() {
                    tenancy = Some(self.admit(&mut state, needs));
                }
                drop(self.written.wait(state));
                continue;
            }
            let missing = self.table.entries(missing.into_iter());
            let Some(mine) = self.reserve(&mut state, missing, needs, quota)? else {
                return Ok(None);
            };
            let admitted = match tenancy.take() {
                Some(admitted) => admitted,
                None => self.admit(&mut state, needs),
            };
            drop(state);
            if mine.is_empty() {
                return Ok(Some(admitted));
            }
            tenancy = Some(admitted);
            let mut reservation = Reservation {
                grove: self,
                written: Vec::with_capacity(mine.len()),
                open: mine,
            };
            reservation.write(quota.tree_bytes, content)?;
        }
    }

    fn admit(self: &Arc<Self>, state: &mut State, needs: &Needs) -> Tenancy {
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.tenants.insert(ticket, needs.clone());
        Tenancy {
            grove: Arc::clone(self),
            ticket,
        }
    }

    /// Nobody is there: removes all that contradicts a job.
    fn clear_way(&self, state: &mut State, needs: &Needs) -> Result<(), GroveError> {
        let mut in_way: Vec<u32> = state.present.common(&needs.dead);
        in_way.extend(state.late.range(needs.length..));
        let mut paths: Vec<Vec<u8>> = Vec::new();
        for (_, entry) in self.table.entries(in_way.into_iter()) {
            paths.push(entry.path.as_bytes().to_vec());
        }
        let missing = state.present.missing(&needs.used);
        for (_, entry) in self.table.entries(missing.into_iter()) {
            match state.stands.obstacle(&entry) {
                Obstacle::None => {}
                Obstacle::At(path) => paths.push(path),
                Obstacle::Fixed => return Err(in_the_way(&entry)),
            }
        }
        for path in paths {
            let gone = self.forget(state, &path);
            if let Err(error) = self.disk.remove(&gone) {
                state.spoilt = true;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Takes what stands at a path out of the record.
    fn forget(&self, state: &mut State, path: &[u8]) -> Vec<Gone> {
        let (gone, cleared) = state.stands.remove(path);
        for (index, entry) in self.table.entries(cleared.into_iter()) {
            state.clear(index, &entry);
        }
        gone
    }

    /// Records the entries that a job will write. `None` when somebody who is there would mind, or something that is not the job's is in
    /// their way.
    ///
    /// # Errors
    /// The job's own entries contradict each other, or the server's system.
    fn reserve(
        &self,
        state: &mut State,
        entries: Rows,
        needs: &Needs,
        quota: &JobLimits,
    ) -> Result<Option<Rows>, GroveError> {
        let mut done: Rows = Vec::with_capacity(entries.len());
        let mut refused = None;
        let most = state.stands.len().saturating_add(quota.tree_entries);
        for (index, entry) in entries {
            match state.record(index, &entry, needs) {
                Ok(true) => done.push((index, entry)),
                Ok(false) => refused = Some(Ok(None)),
                Err(error) => refused = Some(Err(error)),
            }
            if state.stands.len() > most {
                refused = Some(Err(TreeError::TooManyEntries(quota.tree_entries).into()));
            }
            if refused.is_some() {
                break;
            }
        }
        match refused {
            None => Ok(Some(done)),
            Some(result) => {
                for (index, entry) in done.iter().rev() {
                    // Nothing of it was written yet.
                    state.withdraw(*index, entry);
                }
                result
            }
        }
    }

    /// Leaves a grove to those who are in it: no further job gets it.
    pub(crate) fn spoil(&self) {
        self.lock().spoilt = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether something is here that a job must not see.
    fn contradicts(&self, needs: &Needs) -> bool {
        self.late.last().is_some_and(|last| *last >= needs.length)
            || !self.present.common(&needs.dead).is_empty()
    }

    /// Whether somebody who is here must not see an entry.
    fn disturbs(&self, index: u32, entry: &Entry) -> bool {
        self.tenants
            .values()
            .any(|other| (entry.late && other.length <= index) || other.dead.contains(index))
    }

    /// Records one entry. False when it does not suit the others.
    fn record(&mut self, index: u32, entry: &Entry, needs: &Needs) -> Result<bool, GroveError> {
        match self.stands.obstacle(entry) {
            Obstacle::None if self.disturbs(index, entry) => return Ok(false),
            Obstacle::None => self.stands.place(index, entry)?,
            Obstacle::Fixed => return Err(in_the_way(entry)),
            Obstacle::At(path) => {
                let others = self.stands.entries_at(&path);
                return match others.into_iter().any(|other| needs.used.contains(other)) {
                    true => Err(TreeError::Conflict(entry.path.to_string()).into()),
                    false => Ok(false),
                };
            }
        }
        self.present.insert(index);
        self.pending.insert(index);
        self.bytes += size(entry);
        if entry.late {
            self.late.insert(index);
        }
        Ok(true)
    }

    /// Takes the record of one entry back. Returns what may have been written for it.
    fn withdraw(&mut self, index: u32, entry: &Entry) -> Vec<Gone> {
        self.clear(index, entry);
        self.stands.withdraw(index, entry)
    }

    fn clear(&mut self, index: u32, entry: &Entry) {
        self.present.remove(index);
        self.pending.remove(index);
        self.late.remove(&index);
        self.bytes = self.bytes.saturating_sub(size(entry));
    }
}

fn in_the_way(entry: &Entry) -> GroveError {
    Unsuited::InTheWay(entry.path.to_string()).into()
}

fn size(entry: &Entry) -> u64 {
    match entry.content {
        Content::File { size, .. } => size,
        _ => 0,
    }
}

/// Entries that a job has taken upon itself to write. When this is dropped, those that were not written are taken back, so that another job can.
struct Reservation<'a> {
    grove: &'a Grove,
    written: Vec<u32>,
    open: Rows,
}

impl Reservation<'_> {
    fn write(
        &mut self,
        quota: u64,
        content: &dyn Fn(&Digest) -> io::Result<Option<Vec<u8>>>,
    ) -> Result<(), GroveError> {
        let disk = &self.grove.disk;
        let mut left = quota;
        let mut last = None;
        let mut vanished = Vec::new();
        let mut kept = Vec::new();
        while let Some((index, entry)) = self.open.pop() {
            let path = entry.path.as_bytes();
            let written = match &entry.content {
                Content::Directory => disk.directory(path).map_err(|e| io_at(&entry, e)),
                Content::Link(target) => disk
                    .link(path, target, &mut last)
                    .map_err(|e| io_at(&entry, e)),
                Content::File {
                    digest,
                    size,
                    modified,
                } => match content(digest) {
                    Ok(Some(bytes)) => {
                        match checked(&entry, *size, bytes.len() as u64, &mut left) {
                            Ok(()) => disk
                                .write(path, &bytes, *modified, &mut last)
                                .map_err(|e| io_at(&entry, e)),
                            Err(error) => Err(error.into()),
                        }
                    }
                    Ok(None) => {
                        vanished.push(*digest);
                        kept.push((index, entry));
                        continue;
                    }
                    Err(error) => Err(error.into()),
                },
            };
            match written {
                Ok(()) => self.written.push(index),
                Err(error) => {
                    self.open.push((index, entry));
                    self.open.append(&mut kept);
                    return Err(error);
                }
            }
        }
        self.open = kept;
        match vanished.is_empty() {
            true => Ok(()),
            false => Err(GroveError::Vanished(vanished)),
        }
    }
}

/// A file is as large as its entry says, and the job's quota has room for it.
fn checked(entry: &Entry, said: u64, bytes: u64, left: &mut u64) -> Result<(), TreeError> {
    if said != bytes {
        return Err(TreeError::OtherSize(entry.path.clone()));
    }
    *left = left
        .checked_sub(bytes)
        .ok_or_else(|| TreeError::TooManyBytes(entry.path.clone()))?;
    Ok(())
}

fn io_at(entry: &Entry, source: io::Error) -> GroveError {
    let path = entry.path.to_string();
    TreeError::Io { path, source }.into()
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.grove.lock();
        for index in self.written.drain(..) {
            state.pending.remove(index);
        }
        for (index, entry) in self.open.drain(..) {
            let gone = state.withdraw(index, &entry);
            if self.grove.disk.remove(&gone).is_err() {
                state.spoilt = true;
            }
        }
        drop(state);
        self.grove.written.notify_all();
    }
}

/// A job's stay in a grove: as long as this lives, all that the job needs is there and nothing that it must not see.
#[derive(Debug)]
pub(crate) struct Tenancy {
    grove: Arc<Grove>,
    ticket: u64,
}

impl Tenancy {
    /// Its mount points.
    pub(crate) fn skeleton(&self) -> &Skeleton {
        &self.grove.skeleton
    }

    /// The links in it.
    pub(crate) fn links(&self) -> Arc<Links> {
        Arc::clone(self.grove.lock().stands.links())
    }

    /// Asks about many files: the entry of each path, if a file is there.
    pub(crate) fn look<T>(&self, ask: impl FnOnce(&dyn Fn(&[u8]) -> Option<u32>) -> T) -> T {
        let state = self.grove.lock();
        ask(&|path| state.stands.file(path))
    }

    /// Makes directories that stay, so that they can be mounted. False when something else stands there.
    ///
    /// # Errors
    /// The file system refused.
    pub(crate) fn fix_directories(&self, paths: &[&[u8]]) -> io::Result<bool> {
        let mut state = self.grove.lock();
        for path in paths {
            if state.stands.is_fixed(path) {
                continue;
            }
            if !state.stands.fix_directory(path) {
                return Ok(false);
            }
            self.grove.disk.directory(path)?;
        }
        Ok(true)
    }

    /// The grove itself.
    pub(crate) fn grove(&self) -> Arc<Grove> {
        Arc::clone(&self.grove)
    }
}

impl Beneath for Tenancy {
    fn root(&self) -> PathBuf {
        self.grove.disk.root()
    }

    fn spots(&self) -> Spots {
        self.grove.disk.spots()
    }

    fn has_directory(&self, path: &[u8]) -> bool {
        self.grove.lock().stands.has_directory(path)
    }
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        self.grove.lock().tenants.remove(&self.ticket);
    }
}
