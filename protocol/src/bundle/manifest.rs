//! The files of one job.
//!
//! ```text
//! manifest:  table id (16)  length  link (32)  used (indices)  dead (indices)  n (entry)*n
//! ```
//! An index below `length` that is neither used nor dead may be shown to the job or not: its compiler does not look there, or finds what the entry says.

use super::entry::{Entry, put_entries, take_entries};
use super::indices::Indices;
use super::number::{Body, put_number};
use super::table::{Link, TableId};
use crate::error::WireError;
use crate::limits::Limits;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Whose table.
    pub table: TableId,
    /// How long it was when the manifest was made.
    pub length: u32,
    /// Its link at that length.
    pub link: Link,
    /// The entries that the job reads or finds.
    pub used: Indices,
    /// Entries that are no longer true and not used: their paths must not be as they say.
    pub dead: Indices,
    /// Further files of the job, which shadow those of the table: its source, above all.
    pub own: Vec<Entry>,
}

impl Manifest {
    /// Appends it.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.table.0);
        put_number(out, self.length.into());
        out.extend_from_slice(&self.link.0);
        self.used.put(out);
        self.dead.put(out);
        put_entries(out, &self.own);
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`WireError`]; an index that is both used and dead is one.
    pub fn take(body: &mut Body<'_>, limits: &Limits) -> Result<Self, WireError> {
        let table = TableId(body.array()?);
        let length = body.number(limits.table_entries.into())? as u32;
        let manifest = Self {
            table,
            length,
            link: super::digest::Digest(body.array()?),
            used: Indices::take(body, length)?,
            dead: Indices::take(body, length)?,
            own: take_entries(body, limits)?,
        };
        let files = manifest.used.len() + manifest.own.len();
        if files > limits.files as usize {
            return Err(WireError::NumberTooLarge {
                value: files as u64,
                limit: limits.files.into(),
            });
        }
        let contradicts = manifest
            .used
            .iter()
            .any(|index| manifest.dead.contains(index));
        match contradicts {
            true => Err(WireError::BadEntry),
            false => Ok(manifest),
        }
    }
}
