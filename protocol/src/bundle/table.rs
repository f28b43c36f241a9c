//! The table of entries that an include server's session and a server have in common.
//!
//! A session numbers every entry that it ever puts into a manifest. The table only grows, so an index always means the same; which entries are still true is
//! said by each manifest. A length of the table has a *link*: a digest over the session's name and all entries up to there. A manifest carries it, so that a server whose copy
//! differs for any reason finds out and asks for the table anew.
//!
//! ```text
//! link of 0:      BLAKE3("pumphouse table 1" id)
//! link of n + 1:  BLAKE3(link of n, entry n as on the wire)
//! TABL body:      id (16)  from  block of entries (see block, entry)
//! ```

use super::block::{Codec, Codecs, Effort, put_block, take_block};
use super::digest::Digest;
use super::entry::{Entry, put_entries, put_entry, take_entries};
use super::number::{Body, put_number};
use crate::error::WireError;
use crate::limits::Limits;

/// A session's name: random, so that nobody else can add to its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableId(pub [u8; 16]);

/// The digest over a table up to some length.
pub type Link = Digest;

impl TableId {
    /// The link of the empty table.
    #[must_use]
    pub fn first_link(&self) -> Link {
        Digest::of(&[b"pumphouse table 1".as_slice(), &self.0].concat())
    }
}

/// The link of a table that is one entry longer.
#[must_use]
pub fn next_link(link: &Link, entry: &Entry) -> Link {
    let mut bytes = Vec::with_capacity(192);
    bytes.extend_from_slice(&link.0);
    put_entry(&mut bytes, entry);
    Digest::of(&bytes)
}

/// Part of a table on its way to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Whose table.
    pub id: TableId,
    /// The first entry's index.
    pub from: u32,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// The body of `TABL` for some entries, from the index `from` on.
#[must_use]
pub fn encode_extension(id: TableId, from: u32, entries: &[Entry], codec: Codec) -> Vec<u8> {
    let mut plain = Vec::with_capacity(entries.len() * 100);
    put_entries(&mut plain, entries);
    let mut out = Vec::with_capacity(plain.len() / 2 + 64);
    out.extend_from_slice(&id.0);
    put_number(&mut out, from.into());
    put_block(&mut out, &plain, codec, Effort::Thorough);
    out
}

impl Extension {
    /// Reads the body of `TABL`.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, WireError> {
        let mut body = Body::new(bytes);
        let id = TableId(body.array()?);
        let from = body.number(u32::MAX.into())? as u32;
        let plain = take_block(&mut body, Codecs::ALL, limits.table_bytes)?;
        body.end()?;
        let mut body = Body::new(&plain);
        let entries = take_entries(&mut body, limits)?;
        body.end()?;
        Ok(Self { id, from, entries })
    }
}
