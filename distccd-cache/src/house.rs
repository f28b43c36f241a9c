//! What all connections of the daemon share: settings, slots, the memory budget, the statistics, and the word that it is
//! time to stop. Owns all of that; serving is the business of the modules above.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::limits::Limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::access::Access;
use crate::receive::Budget;
use crate::roster::Roster;
use crate::shelf::Shelf;
use crate::statistics::Statistics;
use crate::whitelist::Whitelist;
use crate::workshop::Workshop;

/// Clients at a time unless configured otherwise.
pub const MAX_CONNECTIONS: usize = 1024;

/// Bytes that the requests of all clients may use together.
pub const REQUEST_MEMORY: u64 = 2 << 30;

/// What a [`House`] is made from.
#[derive(Debug)]
pub struct HouseSettings {
    /// Where jobs run.
    pub workshop: Workshop,
    /// What is kept for jobs in the bundle dialect; none where it is not spoken.
    pub shelf: Option<Arc<Shelf>>,
    /// Which compilers clients may name.
    pub whitelist: Whitelist,
    /// Which clients are served.
    pub access: Access,
    /// Compiles at a time.
    pub jobs: usize,
    /// How long a peer may be silent.
    pub io_timeout: Duration,
    /// Where the owner's `-specs` files are.
    pub sysroot: Option<PathBuf>,
    /// Where jobs live; the statistics page says how much room is left there.
    pub temp_dir: PathBuf,
    /// Caps on a request.
    pub limits: Limits,
    /// Clients at a time, those included that wait for a slot. More are turned away.
    pub connections: usize,
}

/// What all connections share.
#[derive(Debug)]
pub struct House {
    pub(crate) settings: HouseSettings,
    /// One permit per compile that may run.
    pub(crate) slots: Semaphore,
    pub(crate) budget: Budget,
    pub(crate) statistics: Statistics,
    /// Who is here, for the status page.
    pub(crate) roster: Roster,
    /// One permit per connection.
    doors: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

impl House {
    /// A house that has no client yet.
    #[must_use]
    pub fn new(settings: HouseSettings) -> Arc<Self> {
        Arc::new(Self {
            slots: Semaphore::new(settings.jobs),
            budget: Budget::new(REQUEST_MEMORY),
            statistics: Statistics::default(),
            roster: Roster::default(),
            doors: Arc::new(Semaphore::new(settings.connections)),
            stop: watch::Sender::new(false),
            settings,
        })
    }

    /// Ends when the daemon is to stop.
    pub(crate) async fn stopping(&self) {
        // Fails only when the sender is gone, which `self` owns.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Says that the daemon is to stop.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// A place for one more connection, given back when dropped; `None` when there are too many.
    pub(crate) fn door(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.doors).try_acquire_owned().ok()
    }
}
