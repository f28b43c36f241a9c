//! The numbering of all entries that manifests were made of: the include server's copy of a table that it shares with servers
//! (see [`protocol::bundle::table`]).
//!
//! A [`Ledger`] owns one table: it only grows, an index means the same for ever, and a new one (with a new name) is
//! begun when too much of it is no longer true. It goes with the facts that it was made from.
//!
//! **What a manifest says of entries that its unit does not use**, so that a server may leave them visible. Let a unit's scan
//! have looked at some names. Its compiler will look at the same ones, so for each of them the server must show what the
//! scan saw, or nothing where the scan went on because there was nothing.
//!
//! - *Entries in the table when the manifest is made* are compared with what the facts say: an entry whose path, or a directory
//!   on the way to it, was last found to be otherwise is **dead**. For a name that the scan looked at, the facts say what the
//!   scan saw, or the answer is made anew ([`Quote::alterations`] tells). So an entry that is not dead and in the way of a name looked
//!   at is as the scan saw it; if it stands where nobody looked, it does no harm.
//! - *Entries that are added later* the manifest cannot name. If the scan found nothing (or a link elsewhere) at the entry's path
//!   or at a directory on the way to it, the facts have noted that before ([`Facts::was_other`]), and the entry is **late**: a
//!   server shows it to no job with a shorter table.
//! - *An entry that vanished and came back* would be one that the manifests made meanwhile call dead. It is added again, as a
//!   late one, so that it cannot appear before a job that counts on its absence.
//!
//! An entry's `name` matters only to a server that has to rewrite paths. It is part of what tells entries apart, but a unit that
//! does not read the file takes any, and files in the compiler's own directories, which such a server has of its own, all
//! go by their paths.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use protocol::bundle::entry::{Content, Entry, Name};
use protocol::bundle::indices::Indices;
use protocol::bundle::manifest::Manifest;
use protocol::bundle::table::{Link, TableId, next_link};
use protocol::limits::Limits;

use crate::facts::{Facts, NodeId, Value};
use crate::files::FileStamp;

/// Entries of a table at most.
const ENTRIES: usize = Limits::DEFAULT.table_entries as usize;

/// A table with more entries may have no room for another unit's.
const ENTRIES_WITH_ROOM: usize = ENTRIES - Limits::DEFAULT.files as usize;

/// A table with fewer entries is not given up for being untrue.
const ENTRIES_WORTH_KEEPING_TIDY: usize = 4096;

/// Something that a unit needs at a path.
#[derive(Clone, Debug)]
pub struct Want {
    /// The path's node.
    pub node: NodeId,
    /// What it is to be; never late.
    pub entry: Arc<Entry>,
    /// What vouched for a file's content.
    pub stamp: Option<FileStamp>,
    /// Whether the compiler reads it under the entry's name; if not, any name will do.
    pub read: bool,
}

/// One table.
pub struct Ledger {
    id: TableId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    /// The link of each length.
    links: Vec<Link>,
    /// The rows of each path, the last one used last.
    of: HashMap<NodeId, Vec<u32>>,
    /// Rows that are no longer true, ascending.
    dead: Vec<u32>,
    /// Moves with `dead`, and with the last entry that is late.
    edition: u64,
    /// [`Facts::alterations`] when `dead` was found.
    alterations: u64,
}

struct Row {
    node: NodeId,
    entry: Arc<Entry>,
    /// What vouches for a file's content; `None` when another content was found under the same stamp.
    stamp: Option<FileStamp>,
    /// When it was added.
    born: u64,
}

/// A unit's part of a manifest, and where it stands.
pub struct Quote {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// How long the table was.
    pub length: u32,
    /// The state of the table in which this is the manifest.
    pub edition: u64,
    /// [`Facts::alterations`] when the table was compared with the facts.
    pub alterations: u64,
}

/// What is known of directories while rows are looked at.
#[derive(Default)]
struct Directories(HashMap<NodeId, Standing>);

#[derive(Clone, Copy)]
struct Standing {
    /// It and all above it are directories.
    stands: bool,
    /// When that was last otherwise.
    other: u64,
}

impl Directories {
    fn standing(&mut self, facts: &Facts, directory: NodeId) -> Standing {
        if let Some(known) = self.0.get(&directory) {
            return *known;
        }
        let own = Standing {
            stands: matches!(facts.standing(directory), Value::Directory(..)),
            other: facts.was_other(directory),
        };
        let standing = match directory == NodeId::ROOT {
            true => own,
            false => {
                let above = self.standing(facts, facts.parent(directory));
                Standing {
                    stands: own.stands && above.stands,
                    other: own.other.max(above.other),
                }
            }
        };
        self.0.insert(directory, standing);
        standing
    }
}

impl Ledger {
    /// An empty table; its name is random.
    ///
    /// # Errors
    /// The system's, when it has no random bytes.
    pub fn new() -> std::io::Result<Ledger> {
        let mut id = [0; 16];
        let flags = rustix::rand::GetRandomFlags::empty();
        // So few bytes come at once.
        rustix::rand::getrandom(&mut id, flags)?;
        let id = TableId(id);
        let state = State {
            links: vec![id.first_link()],
            ..State::default()
        };
        Ok(Ledger {
            id,
            state: Mutex::new(state),
        })
    }

    /// Its name.
    pub fn id(&self) -> TableId {
        self.id
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic may have left rows without links, never the other way round; `add` goes by the links.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries there are, and how many of them were last found to be no longer true.
    pub fn len(&self) -> (usize, usize) {
        let state = self.lock();
        (state.rows.len(), state.dead.len())
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len().0 == 0
    }

    /// Whether a new table is better.
    pub fn is_worn_out(&self) -> bool {
        let (rows, dead) = self.len();
        rows > ENTRIES_WITH_ROOM || (rows > ENTRIES_WORTH_KEEPING_TIDY && dead * 4 > rows)
    }

    /// Some of its entries.
    pub fn entries(&self, range: std::ops::Range<u32>) -> Vec<Entry> {
        let state = self.lock();
        let rows = state.rows.get(range.start as usize..range.end as usize);
        let rows = rows.unwrap_or_default().iter();
        rows.map(|row| Entry::clone(&row.entry)).collect()
    }

    /// The indices of what a unit needs; what is not there is added. `None` when the table is full.
    pub fn enter(&self, facts: &Facts, wants: &[Want]) -> Option<Indices> {
        let mut state = self.lock();
        let mut directories = Directories::default();
        let mut indices = Vec::with_capacity(wants.len());
        for want in wants {
            let above = directories.standing(facts, facts.parent(want.node));
            let other = above.other.max(facts.was_other(want.node));
            let (index, is_changed) = match state.find(want, other) {
                Some(index) => (index, state.take_up(index, want)),
                None if state.rows.len() < ENTRIES => {
                    (state.add(want, other > 0, facts.tick()), true)
                }
                None => return None,
            };
            if is_changed {
                // The facts may know better by now than whoever wants it.
                let row = &state.rows[index as usize];
                let is_dead = !row.is_true(facts, &mut Directories::default());
                state.mark(index, is_dead);
            }
            indices.push(index);
        }
        Some(indices.into_iter().collect())
    }

    /// The manifest of a unit that uses these entries, and files of its own; `None` if that would be what it was in `edition`.
    pub fn quote(
        &self,
        facts: &Facts,
        used: &Indices,
        own: &[Entry],
        edition: Option<u64>,
    ) -> (u64, Option<Quote>) {
        let mut state = self.lock();
        let alterations = state.compare(facts);
        if edition == Some(state.edition) {
            return (alterations, None);
        }
        let dead = state.dead.iter().copied();
        let dead = dead.filter(|index| !used.contains(*index)).collect();
        (alterations, Some(self.draw_up(&state, used, dead, own)))
    }

    /// The manifest of a unit for which no other entry of the table is vouched for.
    pub fn quote_alone(&self, used: &Indices, own: &[Entry]) -> Quote {
        let state = self.lock();
        let all = 0..state.length();
        let dead = all.filter(|index| !used.contains(*index)).collect();
        self.draw_up(&state, used, dead, own)
    }

    fn draw_up(&self, state: &State, used: &Indices, dead: Indices, own: &[Entry]) -> Quote {
        let length = state.length();
        let manifest = Manifest {
            table: self.id,
            length,
            link: state.links[length as usize],
            used: used.clone(),
            dead,
            own: own.to_vec(),
        };
        let mut bytes = Vec::with_capacity(512);
        manifest.put(&mut bytes);
        Quote {
            manifest: bytes,
            length,
            edition: state.edition,
            alterations: state.alterations,
        }
    }
}

impl State {
    fn length(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("fewer entries than their limit")
    }

    /// The row that is what is wanted, if its path was never otherwise since it was added. `other` is when it was.
    fn find(&self, want: &Want, other: u64) -> Option<u32> {
        let rows = self.of.get(&want.node)?.iter().rev().copied();
        let mut fitting = rows.filter(|&index| {
            let row = &self.rows[index as usize];
            let entry = &row.entry;
            row.born > other
                && entry.content == want.entry.content
                && entry.system == want.entry.system
                && (!want.read || entry.name == want.entry.name)
        });
        fitting.next()
    }

    /// Takes over what vouches for a row now; says whether that is something new.
    fn take_up(&mut self, index: u32, want: &Want) -> bool {
        let row = &mut self.rows[index as usize];
        let is_vouched = match (&row.stamp, &want.stamp) {
            (Some(known), Some(now)) => known.same_content(now),
            (known, now) => known.is_none() && now.is_none(),
        };
        if !is_vouched {
            row.stamp = want.stamp;
            self.doubt_others(index, want);
        }
        !is_vouched
    }

    fn mark(&mut self, index: u32, is_dead: bool) {
        match (self.dead.binary_search(&index), is_dead) {
            (Ok(at), false) => {
                self.dead.remove(at);
            }
            (Err(at), true) => self.dead.insert(at, index),
            _ => return,
        }
        self.edition += 1;
    }

    fn add(&mut self, want: &Want, late: bool, born: u64) -> u32 {
        let index = self.length();
        let entry = match late {
            true => Arc::new(Entry {
                late,
                ..Entry::clone(&want.entry)
            }),
            false => Arc::clone(&want.entry),
        };
        let link = next_link(&self.links[index as usize], &entry);
        self.links.truncate(index as usize + 1);
        self.links.push(link);
        self.rows.push(Row {
            node: want.node,
            entry,
            stamp: want.stamp,
            born,
        });
        self.doubt_others(index, want);
        self.of.entry(want.node).or_default().push(index);
        if late {
            // A manifest that knows of it is of more use to a server.
            self.edition += 1;
        }
        index
    }

    /// Rows of the same path with another content that have the same stamp: it did not tell.
    fn doubt_others(&mut self, index: u32, want: &Want) {
        let Some(stamp) = &want.stamp else { return };
        let others = self.of.get(&want.node).cloned().unwrap_or_default();
        for other in others {
            let row = &mut self.rows[other as usize];
            let is_other = other != index && row.entry.content != want.entry.content;
            if is_other && row.stamp.is_some_and(|known| known.same_content(stamp)) {
                row.stamp = None;
                self.mark(other, true);
            }
        }
    }

    /// Finds out which rows are no longer true, if something may have changed. Gives the state of the facts.
    fn compare(&mut self, facts: &Facts) -> u64 {
        // Before any value is looked at: one that changes meanwhile moves it first.
        let alterations = facts.alterations();
        if alterations == self.alterations {
            return alterations;
        }
        let mut directories = Directories::default();
        let rows = (0..).zip(&self.rows);
        let dead: Vec<u32> = rows
            .filter(|(_, row)| !row.is_true(facts, &mut directories))
            .map(|(index, _)| index)
            .collect();
        if dead != self.dead {
            self.dead = dead;
            self.edition += 1;
        }
        self.alterations = alterations;
        alterations
    }
}

impl Row {
    fn is_true(&self, facts: &Facts, directories: &mut Directories) -> bool {
        let parent = facts.parent(self.node);
        directories.standing(facts, parent).stands
            && match (&self.entry.content, facts.standing(self.node)) {
                (Content::File { .. }, Value::File(stamp)) => {
                    let known = self.stamp.as_ref();
                    known.is_some_and(|known| known.same_content(&stamp))
                }
                (Content::Link(target), Value::Link(_, _, found)) => target[..] == found[..],
                (Content::Directory, Value::Directory(..)) => true,
                _ => false,
            }
    }
}

/// By which name an entry says that its file is opened.
pub fn name_of(spelled: &[u8], path: &[u8], system: bool) -> Name {
    match spelled.first() {
        _ if system => Name::Path,
        Some(b'/') if spelled == path => Name::Path,
        Some(b'/') => Name::Other(spelled.to_vec()),
        _ => Name::Relative,
    }
}
