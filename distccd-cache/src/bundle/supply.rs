//! Finding out what a job lacks, until it lacks nothing. Blobs that another client is uploading at this moment are waited for instead of being
//! asked for once more.

use std::sync::Arc;
use std::time::Duration;

use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry};
use protocol::bundle::offer::Offer;
use protocol::bundle::setting::Setting;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};

use super::exchange::{Exchange, broken, unsuited};
use crate::failure::Failure;
use crate::shelf::Shelf;
use crate::store::{Claim, Pins, Ticket, Waiter};
use crate::table::Table;
use crate::workshop::Workshop;

/// How long a job waits for another client's uploads before it asks its own client for the same: nobody can hold others up by being slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a job may find something lacking that was there before: others' uploads may fail, and what is not in use may be evicted.
const ROUNDS: usize = 16;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Exchange<'_, R, W> {
    /// The setting and the table of an offer, asked for where they are not known.
    pub(super) async fn terms(
        &mut self,
        offer: &Offer,
    ) -> Result<(Arc<Setting>, Arc<Table>), Failure> {
        let shelf = Arc::clone(&self.shelf);
        let limits = self.house.settings.limits;
        let manifest = &offer.manifest;
        for _ in 0..ROUNDS {
            let table = shelf.tables.of(manifest.table);
            let setting = shelf.setting(&offer.setting, &limits);
            let length = manifest.length;
            if table.len() >= length {
                if table.link(length) != Some(manifest.link) {
                    tracing::info!(
                        "a client's table differs from what was known of it, which is forgotten"
                    );
                    shelf.tables.forget(&table);
                    continue;
                }
                if let Some(setting) = setting {
                    return Ok((setting, table));
                }
            }
            let growing = timeout(self.house.settings.io_timeout, table.growing.lock()).await;
            let growing =
                growing.map_err(|_| unsuited("another job took too long to send its table"))?;
            // Somebody else may have sent either meanwhile.
            let lacks_table = table.len() < length;
            let setting = shelf.setting(&offer.setting, &limits);
            let name = setting.is_none().then_some(offer.setting);
            if lacks_table || name.is_some() {
                self.fetch_terms(name, lacks_table.then_some(&table))
                    .await?;
            }
            drop(growing);
            if table.len() < length {
                return Err(broken(
                    "the client's table is shorter than its manifest says",
                ));
            }
        }
        Err(broken(
            "the client's table does not agree with its manifest",
        ))
    }

    /// Sees to it that every blob of the job is here; they are not evicted while the result is held.
    pub(super) async fn blobs(
        &mut self,
        offer: &Arc<Offer>,
        table: &Arc<Table>,
    ) -> Result<Pins, Failure> {
        let mut is_patient = true;
        for _ in 0..ROUNDS {
            let lack = self.lack(offer, table).await?;
            if lack.is_nothing() {
                return Ok(lack.pins);
            }
            let (theirs, mine) = match is_patient {
                true => (lack.theirs, Vec::new()),
                false => (Vec::new(), lack.theirs),
            };
            let mine = mine.into_iter().map(|(digest, _)| digest);
            if !lack.mine.is_empty() || mine.len() > 0 {
                self.fetch_blobs(lack.mine, mine).await?;
            }
            let patience = PATIENCE.min(self.house.settings.io_timeout);
            let until = Instant::now() + patience;
            for (_, waiter) in theirs {
                // Whatever came of it, the next round looks.
                is_patient = timeout_at(until, waiter.wait()).await.is_ok();
            }
        }
        Err(unsuited("the server loses files faster than it gets them"))
    }

    async fn lack(&self, offer: &Arc<Offer>, table: &Arc<Table>) -> Result<Lack, Failure> {
        let (offer, table) = (Arc::clone(offer), Arc::clone(table));
        let doubtful = table.not_provided(&offer.manifest.used);
        if doubtful.is_empty() && offer.manifest.own.is_empty() {
            return Ok(Lack::of(self.shelf.store.pin([])));
        }
        let shelf = Arc::clone(&self.shelf);
        let workshop = self.house.settings.workshop.clone();
        let own = &offer.manifest.own;
        let is_quick =
            doubtful.is_empty() && own.len() <= QUICK && !own.iter().any(|own| own.system);
        let look = move || Lack::look(&shelf, &workshop, &offer, &table, doubtful);
        match is_quick {
            true => Ok(look()),
            false => tokio::task::spawn_blocking(look)
                .await
                .map_err(Failure::Reply),
        }
    }
}

/// How many files are looked for where the connection is served: a warm job has its source, which memory mostly knows of; a call to the store's disk
/// at most for each.
const QUICK: usize = 4;

/// What a job lacks.
struct Lack {
    /// What this job asks its own client for.
    mine: Vec<Ticket>,
    /// What others are uploading.
    theirs: Vec<(Digest, Waiter)>,
    pins: Pins,
}

impl Lack {
    /// Looks for the entries that are in doubt, and the job's own files.
    fn look(
        shelf: &Shelf,
        workshop: &Workshop,
        offer: &Offer,
        table: &Table,
        doubtful: Vec<u32>,
    ) -> Self {
        let rows = table.entries(doubtful.into_iter());
        let indexed = rows.iter().map(|(index, entry)| (Some(*index), &**entry));
        let own = offer.manifest.own.iter().map(|entry| (None, entry));
        let files: Vec<(Option<u32>, &Entry, Digest)> = indexed
            .chain(own)
            .filter_map(|(index, entry)| match entry.content {
                Content::File { digest, .. } => Some((index, entry, digest)),
                _ => None,
            })
            .collect();
        // First, so that nothing goes while it is looked for.
        let pins = shelf.store.pin(files.iter().map(|(_, _, digest)| digest.0));
        let mut lack = Self::of(pins);
        for (index, entry, digest) in files {
            let own = entry.system && workshop.own_files().has(entry.path.as_bytes(), &digest);
            let claim = match own || shelf.store.contains(&digest.0) {
                true => None,
                false => shelf.store.claim(digest.0),
            };
            match (claim, index) {
                (Some(Claim::Mine(ticket)), _) => lack.mine.push(ticket),
                (Some(Claim::Theirs(waiter)), _) => lack.theirs.push((digest, waiter)),
                (None, Some(index)) => table.set_provided(index, true),
                (None, None) => {}
            }
        }
        lack
    }

    fn of(pins: Pins) -> Self {
        Self {
            mine: Vec::new(),
            theirs: Vec::new(),
            pins,
        }
    }

    fn is_nothing(&self) -> bool {
        self.mine.is_empty() && self.theirs.is_empty()
    }
}
