//! What a server of the bundle dialect is offered for one query, and what it is given of it when it lacks something.
//!
//! A [`Bundle`] belongs to an answer and owns its place in a [`Ledger`]; an [`Offered`] belongs to one client and keeps the answer alive,
//! so that the bytes that were scanned can be given for as long as the client asks.

use std::sync::{Arc, Mutex, PoisonError};

use foldhash::{HashMap, HashSet};
use protocol::bundle::block::Codec;
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::Entry;
use protocol::bundle::indices::Indices;
use protocol::bundle::need::Need;
use protocol::bundle::pack::{PACK_BYTES, encode_pack};
use protocol::bundle::put_frame;
use protocol::bundle::table::{TableId, encode_extension};
use protocol::include_dialogue::encode_manifest_answer;
use protocol::token::Tag;

use crate::closure::Closure;
use crate::facts::Facts;
use crate::files::{FileContent, ReadError, Text};
use crate::layout::bundle::BundleLayout;
use crate::ledger::{Ledger, Quote};

/// An answer as a manifest.
pub struct Bundle {
    table: TableId,
    used: Indices,
    own: Vec<Entry>,
    /// As it goes over the wire.
    platform: Arc<[u8]>,
    /// The manifest when it was last drawn up.
    last: Mutex<Option<Arc<Sheet>>>,
}

/// A manifest that was drawn up.
pub struct Sheet {
    manifest: Vec<u8>,
    /// How long the table was.
    pub length: u32,
    edition: u64,
}

impl From<Quote> for Sheet {
    fn from(quote: Quote) -> Sheet {
        Sheet {
            manifest: quote.manifest,
            length: quote.length,
            edition: quote.edition,
        }
    }
}

impl Bundle {
    /// Enters what `layout` wants into the ledger. `None` when that is full.
    pub fn enter(
        ledger: &Ledger,
        facts: &Facts,
        layout: BundleLayout,
        platform: Arc<[u8]>,
    ) -> Option<Bundle> {
        Some(Bundle {
            table: ledger.id(),
            used: ledger.enter(facts, &layout.wants)?,
            own: layout.own,
            platform,
            last: Mutex::default(),
        })
    }

    /// Whether its place is in this ledger.
    pub fn is_in(&self, ledger: &Ledger) -> bool {
        self.table == ledger.id()
    }

    /// The manifest as things stand, and the number of alterations that it knows of.
    pub fn sheet(&self, ledger: &Ledger, facts: &Facts) -> (u64, Arc<Sheet>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let edition = last.as_ref().map(|sheet| sheet.edition);
        let (alterations, quote) = ledger.quote(facts, &self.used, &self.own, edition);
        let sheet = match (quote, &*last) {
            (None, Some(known)) => Arc::clone(known),
            (Some(quote), _) => Arc::clone(last.insert(Arc::new(quote.into()))),
            // There is one whenever there is an edition.
            (None, None) => Arc::new(ledger.quote_alone(&self.used, &self.own).into()),
        };
        (alterations, sheet)
    }

    /// The manifest if nothing is certain of what else is in the table.
    pub fn sheet_alone(&self, ledger: &Ledger) -> Arc<Sheet> {
        Arc::new(ledger.quote_alone(&self.used, &self.own).into())
    }

    /// The body of `MANI`.
    pub fn body(&self, sheet: &Sheet) -> Vec<u8> {
        encode_manifest_answer(&sheet.manifest, &self.platform)
    }
}

/// Why a server's wish is not fulfilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// It asks for entries past the manifest's.
    #[error(
        "the server asks for the table from entry {0} on, of which this job has been told {1} entries"
    )]
    NoSuchEntry(u32, u32),
    /// It asks for what the job does not have.
    #[error("the server asks for a file that is not of this job ({0})")]
    NotOfThisJob(Digest),
    /// It is not kept, and cannot be read again.
    #[error("a file of this job cannot be sent ({0}): {1}")]
    Unread(Digest, ReadError),
}

/// Entries in one message at most: far below what a message may hold.
const ENTRIES_AT_ONCE: u32 = 1 << 15;

/// One message's worth of what a server lacks.
pub enum Parcel {
    /// Entries of the table.
    Entries(Arc<Ledger>, std::ops::Range<u32>),
    /// Files.
    Files(Vec<(Digest, Text)>),
}

impl Parcel {
    /// Appends the message.
    pub fn put(&self, out: &mut Vec<u8>, codec: Codec) {
        match self {
            Parcel::Entries(ledger, range) => {
                let entries = ledger.entries(range.clone());
                let body = encode_extension(ledger.id(), range.start, &entries, codec);
                put_frame(out, Tag::TABL, &body);
            }
            Parcel::Files(files) => {
                let blobs = files.iter().map(|(digest, text)| (*digest, &text[..]));
                let blobs: Vec<(Digest, &[u8])> = blobs.collect();
                put_frame(out, Tag::PACK, &encode_pack(&blobs, codec));
            }
        }
    }
}

/// The messages for what a server lacks, in order, from the table of which it was told `length` entries and the files of one
/// closure. All is checked before anything is given.
///
/// # Errors
/// [`OfferError`].
pub fn parcels(
    need: &Need,
    ledger: &Arc<Ledger>,
    length: u32,
    closure: &Closure,
) -> Result<Vec<Parcel>, OfferError> {
    let mut parcels = Vec::new();
    if let Some(from) = need.table {
        if from > length {
            return Err(OfferError::NoSuchEntry(from, length));
        }
        let mut start = from;
        // One that is empty says so, too.
        while parcels.is_empty() || start < length {
            let end = length.min(start.saturating_add(ENTRIES_AT_ONCE));
            parcels.push(Parcel::Entries(Arc::clone(ledger), start..end));
            start = end;
        }
    }
    if need.blobs.is_empty() {
        return Ok(parcels);
    }
    let files = closure.files.iter().chain(&closure.has_include_hits);
    let contents: HashMap<&[u8; 32], &Arc<FileContent>> = files
        .map(|file| (file.content.digest(), &file.content))
        .collect();
    let mut given = HashSet::default();
    let mut pack: Vec<(Digest, Text)> = Vec::new();
    let mut bytes = 0;
    for digest in &need.blobs {
        let content = contents.get(&digest.0);
        let content = *content.ok_or(OfferError::NotOfThisJob(*digest))?;
        if !given.insert(digest) {
            continue;
        }
        let text = content.bytes();
        let text = text.map_err(|error| OfferError::Unread(*digest, error))?;
        let size = text.len();
        if bytes + size > PACK_BYTES && !pack.is_empty() {
            parcels.push(Parcel::Files(std::mem::take(&mut pack)));
            bytes = 0;
        }
        bytes += size;
        pack.push((*digest, text));
    }
    if !pack.is_empty() {
        parcels.push(Parcel::Files(pack));
    }
    Ok(parcels)
}
