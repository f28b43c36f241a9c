//! One request's view of the file system.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::HashMap;

use super::node::{PROGRAM, READING, SEARCHED, UNSETTLED};
use super::passage::{self, End, Passage};
use super::{Facts, NodeId, Value, lock};
use crate::files::{FileContent, ReadError, Status};

/// Nodes with the versions that a result rests on, parents before what is below them.
pub type Evidence = Box<[(NodeId, u32)]>;

/// When evidence was last found to hold by watched nodes alone.
#[derive(Debug, Default)]
pub struct Vouched(AtomicU64);

/// What a session needs to ask for each node only once.
#[derive(Default)]
pub(super) struct Scratch {
    /// For each node the number of the last session that asked for it.
    seen: Vec<u32>,
    /// And of the last one that has it in its evidence.
    noted: Vec<u32>,
    number: u32,
    /// Empty.
    contents: HashMap<NodeId, (Arc<FileContent>, u32)>,
}

/// One request. What changed before it began is seen; each node is asked for once.
pub struct Session<'f> {
    facts: &'f Facts,
    scratch: Scratch,
    begun: u64,
    /// How many alterations there were when it began, and those that it found itself.
    alterations: u64,
    evidence: Vec<(NodeId, u32)>,
    /// While something is found whose evidence is kept elsewhere.
    aside: bool,
    /// While something is looked up whose evidence is wanted by itself: all nodes it consulted.
    trace: Option<Vec<(NodeId, u32)>>,
    /// With the version that each had just before it was read.
    contents: HashMap<NodeId, (Arc<FileContent>, u32)>,
}

impl Facts {
    /// Begins a request.
    pub fn session(&self) -> Session<'_> {
        self.catch_up();
        let mut scratch = lock(&self.spare).pop().unwrap_or_default();
        scratch.number = match scratch.number.checked_add(1) {
            Some(number) => number,
            None => {
                scratch.seen.clear();
                scratch.noted.clear();
                1
            }
        };
        Session {
            facts: self,
            contents: std::mem::take(&mut scratch.contents),
            scratch,
            begun: self.now(),
            alterations: self.alterations(),
            evidence: Vec::new(),
            aside: false,
            trace: None,
        }
    }

    /// Whether nothing known was disturbed since `tick`: whatever then rested on watched nodes only still holds.
    pub fn is_quiet_since(&self, tick: u64) -> bool {
        self.disturbed.load(Ordering::Acquire) <= tick
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.contents.clear();
        self.scratch.contents = std::mem::take(&mut self.contents);
        lock(&self.facts.spare).push(std::mem::take(&mut self.scratch));
    }
}

impl<'f> Session<'f> {
    /// The facts behind it.
    pub fn facts(&self) -> &'f Facts {
        self.facts
    }

    /// The tick at which it began.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// [`Facts::alterations`], if there were none in this request but those that it found itself. Then the facts say what it
    /// saw.
    pub fn alterations(&self) -> u64 {
        self.alterations
    }

    /// Makes sure that what is known of a node holds in this request; gives its version.
    pub fn check(&mut self, id: NodeId) -> u32 {
        let node = self.facts.node(id);
        let index = id.0 as usize;
        self.refresh(id);
        let version = node.version();
        if !self.aside && self.scratch.noted.get(index) != Some(&self.scratch.number) {
            if index >= self.scratch.noted.len() {
                let length = (index + 1).next_power_of_two().max(4096);
                self.scratch.noted.resize(length, 0);
            }
            self.scratch.noted[index] = self.scratch.number;
            self.evidence.push((id, version));
        }
        if let Some(trace) = &mut self.trace {
            trace.push((id, version));
        }
        version
    }

    /// Makes sure that what is known of a node holds, if that was not done in this request. A node that is not watched is
    /// asked for from its directory, or vouched for by it, so that comes first.
    fn refresh(&mut self, id: NodeId) {
        let index = id.0 as usize;
        if self.scratch.seen.get(index) == Some(&self.scratch.number) {
            return;
        }
        let node = self.facts.node(id);
        if !self.facts.is_clean(node) {
            if node.parent != id {
                self.refresh(node.parent);
            }
            if !self.facts.is_vouched_by_directory(node) {
                self.alterations += u64::from(self.facts.verify(id, node));
            }
        }
        if index >= self.scratch.seen.len() {
            let length = (index + 1).next_power_of_two().max(4096);
            self.scratch.seen.resize(length, 0);
        }
        self.scratch.seen[index] = self.scratch.number;
    }

    /// Whether all of `evidence` still holds.
    pub fn holds(&mut self, evidence: &[(NodeId, u32)]) -> bool {
        evidence
            .iter()
            .all(|&(id, version)| self.check(id) == version)
    }

    /// As [`Session::holds`], in one step where `vouched` says that the evidence held by watched nodes alone and nothing
    /// has happened since.
    pub fn still_holds(&mut self, evidence: &[(NodeId, u32)], vouched: &Vouched) -> bool {
        if self.is_quiet(vouched) {
            return true;
        }
        if !self.holds(evidence) {
            return false;
        }
        self.vouch(vouched, self.all_watched(evidence));
        true
    }

    /// Finds something whose evidence is kept elsewhere: it does not become part of this request's own.
    pub fn aside<T>(&mut self, find: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.aside, true);
        let found = find(self);
        self.aside = outer;
        found
    }

    /// Whether every node of `evidence` is watched, so that silence means that it holds.
    pub fn all_watched(&self, evidence: &[(NodeId, u32)]) -> bool {
        evidence
            .iter()
            .all(|&(id, _)| self.facts.is_clean(self.facts.node(id)))
    }

    /// Notes that many names will be looked for in vain in these directories, as far as there are any. (Say so before the
    /// first is.)
    pub fn expect_searches<'p>(&mut self, start: NodeId, paths: impl Iterator<Item = &'p Path>) {
        let mut paths: Vec<&[u8]> = paths.map(|path| path.as_os_str().as_bytes()).collect();
        // A directory comes before those in it.
        paths.sort_unstable_by_key(|path| path.len());
        for path in paths {
            let found = self.aside(|session| {
                let located = session.locate(start, path);
                (session.status(&located), located.end)
            });
            if let (Status::Directory(..), End::At(node)) = found {
                self.facts.node(node).put(SEARCHED, true);
            }
        }
    }

    /// Notes that of a file only the stamp counts, unless it was read. (Say so before it is asked for again.)
    pub fn expect_no_reading(&mut self, located: &Located) {
        if let End::At(id) = located.end {
            let node = self.facts.node(id);
            let state = lock(&node.state);
            if matches!(state.value, Value::File(_)) && state.content.is_none() {
                node.put(PROGRAM, true);
            }
        }
    }

    /// What stands at a node.
    pub fn value(&mut self, id: NodeId) -> Value {
        self.check(id);
        lock(&self.facts.node(id).state).value.clone()
    }

    /// The real path of a node.
    pub fn path(&self, id: NodeId) -> &'f [u8] {
        self.facts.node(id).path().to_bytes()
    }

    /// The directory a node is in; the root is in itself.
    pub fn parent(&self, id: NodeId) -> NodeId {
        self.facts.node(id).parent
    }

    pub(super) fn child(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        self.facts.child(parent, name)
    }

    /// Where `path` leads from the directory `start`, links followed.
    pub fn passage(&mut self, start: NodeId, path: &[u8]) -> Arc<Passage> {
        let node = self.facts.node(start);
        if let Some(known) = node.passage(path)
            && self.holds(&known.evidence)
        {
            return known;
        }
        let ((end, steps), evidence) = self.traced(|session| passage::walk(session, start, path));
        let passage = Arc::new(Passage {
            end,
            steps: steps.into(),
            evidence,
        });
        node.set_passage(path, Arc::clone(&passage));
        passage
    }

    /// The node that `path` leads to from the directory `start`, and the passage if it ends in a link. The way through
    /// directories, which many files share, is remembered; the last step is not.
    pub fn locate(&mut self, start: NodeId, path: &[u8]) -> Located {
        let slash = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
        let (directory, name) = path.split_at(slash);
        if matches!(name, b"" | b"." | b"..") || memchr::memchr(0, name).is_some() {
            return Located::from(self.passage(start, path));
        }
        let way = self.passage(start, directory);
        let parent = match way.end {
            End::At(parent) => parent,
            _ => return Located::from(way),
        };
        match self.value(parent) {
            Value::Directory(..) => {}
            Value::Refused(errno) => return Located::at(End::Refused(errno), way),
            _ => return Located::at(End::Nowhere, way),
        }
        let child = self.child(parent, name);
        match self.value(child) {
            Value::Link(..) => {
                let last = self.passage(parent, name);
                Located {
                    end: last.end,
                    way,
                    last: Some(last),
                }
            }
            Value::Refused(errno) => Located::at(End::Refused(errno), way),
            _ => Located::at(End::At(child), way),
        }
    }

    /// Runs `work` and gives the evidence for its outcome beside it.
    pub fn traced<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> (T, Evidence) {
        let outer = self.trace.replace(Vec::new());
        let outcome = work(self);
        let trace = std::mem::replace(&mut self.trace, outer).unwrap_or_default();
        if let Some(outer) = &mut self.trace {
            outer.extend_from_slice(&trace);
        }
        let mut seen = foldhash::HashSet::default();
        // The first of each stays: parents come before what is below them.
        let evidence = trace.into_iter().filter(|(id, _)| seen.insert(*id));
        (outcome, evidence.collect())
    }

    /// What stands at the end of a located name, links followed.
    pub fn status(&mut self, located: &Located) -> Status {
        match located.end {
            End::Nowhere => Status::Missing,
            End::Refused(errno) => Status::Refused(errno),
            End::At(id) => match self.value(id) {
                Value::File(stamp) => Status::Regular(stamp),
                Value::Directory(device, inode) => Status::Directory(device, inode),
                Value::Refused(errno) => Status::Refused(errno),
                Value::Other => Status::Other,
                Value::Missing | Value::Link(..) | Value::Unknown => Status::Missing,
            },
        }
    }

    /// What a regular file holds; the same for the whole request.
    ///
    /// # Errors
    /// [`ReadError`], and what stands there if it is no regular file.
    pub fn content(&mut self, id: NodeId) -> Result<Arc<FileContent>, ReadError> {
        self.versioned_content(id).map(|(content, _)| content)
    }

    /// As [`Session::content`], with the node's version, as evidence.
    ///
    /// # Errors
    /// As there.
    pub fn versioned_content(&mut self, id: NodeId) -> Result<(Arc<FileContent>, u32), ReadError> {
        if let Some((content, version)) = self.contents.get(&id) {
            return Ok((Arc::clone(content), *version));
        }
        let version = self.check(id);
        let (content, is_altered) = self.facts.content(id, self.facts.node(id))?;
        self.alterations += u64::from(is_altered);
        self.contents.insert(id, (Arc::clone(&content), version));
        Ok((content, version))
    }

    /// Whether another thread is just reading what the file holds.
    pub fn is_being_read(&self, id: NodeId) -> bool {
        self.facts.node(id).has(READING)
    }

    /// Reads a file of at most `limit` bytes that this request may ask for later, so that it is known then.
    pub fn read_ahead(&mut self, id: NodeId, limit: u64) -> Option<Arc<FileContent>> {
        match self.aside(|session| session.value(id)) {
            Value::File(stamp) if stamp.size <= limit => {}
            _ => return None,
        }
        // It does not become this request's: whoever asks relies on it, and that is noted then.
        let (content, is_altered) = self.facts.content(id, self.facts.node(id)).ok()?;
        self.alterations += u64::from(is_altered);
        Some(content)
    }

    /// Whether what `vouched` belongs to held by watched nodes alone, and nothing has happened since.
    pub fn is_quiet(&self, vouched: &Vouched) -> bool {
        let since = vouched.0.load(Ordering::Acquire);
        since != 0 && self.facts.is_quiet_since(since)
    }

    /// What `vouched` belongs to was found to hold in this request; `watched` says whether by watched nodes alone.
    pub fn vouch(&self, vouched: &Vouched, watched: bool) {
        let since = if watched { self.begun } else { 0 };
        vouched.0.store(since, Ordering::Release);
    }

    /// Whether a file's content can change without a new version.
    pub fn is_settled(&self, id: NodeId) -> bool {
        !self.facts.node(id).has(UNSETTLED)
    }

    /// All that this request relied on so far.
    pub fn evidence(&self) -> Evidence {
        self.evidence.clone().into()
    }

    /// Whether what this request relied on may be relied on again at all: a file whose content may change unseen may not.
    pub fn is_lasting(&self) -> bool {
        self.evidence.iter().all(|&(id, _)| self.is_settled(id))
    }
}

/// Where a name leads.
pub struct Located {
    /// Its end.
    pub end: End,
    /// The way through its directories.
    pub way: Arc<Passage>,
    /// The way on from a link at its end.
    pub last: Option<Arc<Passage>>,
}

impl Located {
    fn at(end: End, way: Arc<Passage>) -> Located {
        Located {
            end,
            way,
            last: None,
        }
    }
}

impl From<Arc<Passage>> for Located {
    fn from(way: Arc<Passage>) -> Located {
        Located::at(way.end, way)
    }
}
