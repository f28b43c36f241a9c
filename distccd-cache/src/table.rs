//! What this server knows of clients' tables: the entries that an include server's session has numbered.
//!
//! A table belongs to one session of one client, named by a random number; it only grows. Tables are a memory and nothing more: one that is forgotten, or that turns out to
//! differ, is asked for anew. See `protocol::bundle::table`.

pub(crate) mod fuzz;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use protocol::bundle::entry::{Content, Entry};
use protocol::bundle::indices::Indices;
use protocol::bundle::table::{Link, TableId, next_link};
use tokio::sync::Mutex as AsyncMutex;

/// Entries that all tables together may have; some 200 bytes each.
const ENTRIES_KEPT: usize = 1 << 21;

/// One session's table.
#[derive(Debug)]
pub struct Table {
    id: TableId,
    rows: RwLock<Rows>,
    /// All indices in the order of their entries' paths, as far as they were put in order.
    order: RwLock<Arc<[u32]>>,
    /// A bit for each entry whose content was here when it was last looked for. Only a hint: it may have gone since.
    provided: RwLock<Vec<u64>>,
    /// Held while a client extends it: others wait instead of sending the same.
    pub growing: AsyncMutex<()>,
    serial: u64,
}

/// The serial number of the next table.
static NEXT: AtomicU64 = AtomicU64::new(1);

#[derive(Debug, Default)]
struct Rows {
    entries: Vec<Arc<Entry>>,
    /// The link behind each entry.
    links: Vec<Link>,
    /// The first entry that is a symbolic link.
    first_link: Option<u32>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(id: TableId) -> Self {
        Self {
            id,
            rows: RwLock::default(),
            order: RwLock::default(),
            provided: RwLock::default(),
            growing: AsyncMutex::new(()),
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn id(&self) -> TableId {
        self.id
    }

    /// A number that no other table of this process has, not even one of the same session that was forgotten: what was laid out for one is
    /// never shown to jobs of another.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// How many entries are known.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.read(|rows| rows.entries.len()) as u32
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry of this index.
    #[must_use]
    pub fn entry(&self, index: u32) -> Option<Arc<Entry>> {
        self.read(|rows| rows.entries.get(index as usize).map(Arc::clone))
    }

    /// The entries of these indices; those that are not known are left out.
    #[must_use]
    pub fn entries(&self, indices: impl Iterator<Item = u32>) -> Vec<(u32, Arc<Entry>)> {
        self.read(|rows| {
            let known = |index: u32| Some((index, Arc::clone(rows.entries.get(index as usize)?)));
            indices.filter_map(known).collect()
        })
    }

    /// The entries of some indices that `asks` for, looked at in place; those that are not known are left out. `asks` is short: nobody extends the table meanwhile.
    #[must_use]
    pub(crate) fn which(
        &self,
        indices: impl Iterator<Item = u32>,
        asks: impl Fn(u32, &Entry) -> bool,
    ) -> Vec<Arc<Entry>> {
        self.read(|rows| {
            let known =
                indices.filter_map(|index| Some((index, rows.entries.get(index as usize)?)));
            let asked = known.filter(|(index, entry)| asks(*index, entry));
            asked.map(|(_, entry)| Arc::clone(entry)).collect()
        })
    }

    /// Whether one of so many first entries is a link.
    #[must_use]
    pub(crate) fn has_link(&self, length: u32) -> bool {
        self.read(|rows| rows.first_link.is_some_and(|index| index < length))
    }

    /// The indices of all entries in the order of their paths; of two with one path the earlier one first.
    #[must_use]
    pub fn in_order(&self) -> Arc<[u32]> {
        let known = Arc::clone(&self.order.read().unwrap_or_else(PoisonError::into_inner));
        let order: Option<Arc<[u32]>> = self.read(|rows| {
            if rows.entries.len() == known.len() {
                return None;
            }
            let path = |index: &u32| rows.entries[*index as usize].path.as_bytes();
            let mut order: Vec<u32> = known.to_vec();
            order.extend(known.len() as u32..rows.entries.len() as u32);
            // Two runs in order, nearly: this sort merges them.
            order[known.len()..].sort_by(|one, other| path(one).cmp(path(other)));
            order.sort_by(|one, other| path(one).cmp(path(other)));
            Some(Arc::from(order))
        });
        let Some(order) = order else {
            return known;
        };
        let mut newest = self.order.write().unwrap_or_else(PoisonError::into_inner);
        if newest.len() < order.len() {
            *newest = Arc::clone(&order);
        }
        order
    }

    /// Those of some indices whose content was never seen here.
    #[must_use]
    pub fn not_provided(&self, indices: &Indices) -> Vec<u32> {
        let provided = self.provided.read().unwrap_or_else(PoisonError::into_inner);
        let lacks = |index: &u32| {
            let word = provided.get(*index as usize / 64).copied().unwrap_or(0);
            word & (1 << (index % 64)) == 0
        };
        indices.iter().filter(lacks).collect()
    }

    /// Notes whether the content of an entry is here.
    pub fn set_provided(&self, index: u32, here: bool) {
        let mut provided = self
            .provided
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let at = index as usize / 64;
        if provided.len() <= at {
            provided.resize(at + 1, 0);
        }
        match here {
            true => provided[at] |= 1 << (index % 64),
            false => provided[at] &= !(1 << (index % 64)),
        }
    }

    /// The link at a length; `None` when the table is shorter.
    #[must_use]
    pub fn link(&self, length: u32) -> Option<Link> {
        match length.checked_sub(1) {
            None => Some(self.id.first_link()),
            Some(last) => self.read(|rows| rows.links.get(last as usize).copied()),
        }
    }

    /// Appends entries.
    pub fn extend(&self, entries: Vec<Entry>) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let mut link = match rows.links.last() {
            Some(link) => *link,
            None => self.id.first_link(),
        };
        for entry in entries {
            link = next_link(&link, &entry);
            rows.links.push(link);
            if matches!(entry.content, Content::Link(_)) {
                let index = rows.entries.len() as u32;
                rows.first_link.get_or_insert(index);
            }
            rows.entries.push(Arc::new(entry));
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Rows) -> T) -> T {
        look(&self.rows.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All tables, the one used last at the end.
#[derive(Debug, Default)]
pub struct Tables {
    known: Mutex<Vec<Arc<Table>>>,
}

impl Tables {
    /// The table of a session; an empty one when none is known.
    pub fn of(&self, id: TableId) -> Arc<Table> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let table = match known.iter().position(|table| table.id == id) {
            Some(at) => known.remove(at),
            None => Arc::new(Table::new(id)),
        };
        known.push(Arc::clone(&table));
        let mut total: usize = known.iter().map(|table| table.len() as usize).sum();
        while total > ENTRIES_KEPT && known.len() > 1 {
            total -= known.remove(0).len() as usize;
        }
        table
    }

    /// A table turned out to be another than the client's: it is forgotten.
    pub fn forget(&self, table: &Arc<Table>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|other| !Arc::ptr_eq(other, table));
    }
}
