//! What all connections of the daemon share: settings, slots, the memory budget, the statistics, and the word that it is
//! time to stop. Owns all of that; serving is the business of the modules above.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::limits::Limits;
use tokio::sync::watch;

use crate::access::Access;
use crate::admission::{Admission, Memory, Rules, reserve_of};
use crate::receive::Budget;
use crate::roster::Roster;
use crate::shelf::Shelf;
use crate::statistics::Statistics;
use crate::whitelist::Whitelist;
use crate::workshop::Workshop;

/// Clients at a time unless configured otherwise.
pub const MAX_CONNECTIONS: usize = 2048;

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
    pub whitelist: Arc<Whitelist>,
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
    /// Clients at a time, those included that wait for a slot; one machine may be half of them. More are turned away.
    pub connections: usize,
    /// Jobs that may wait for a slot.
    pub queue: usize,
    /// Bytes of memory without which no further compile starts; 0 is no such limit, `None` what suits this machine.
    pub min_free_memory: Option<u64>,
}

/// How far the daemon is with stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Only what compiles goes on.
    Finishing,
    /// Nothing goes on.
    Stopping,
}

/// What all connections share.
#[derive(Debug)]
pub struct House {
    pub(crate) settings: HouseSettings,
    /// Which compiles may run.
    pub(crate) admission: Arc<Admission>,
    pub(crate) budget: Budget,
    pub(crate) statistics: Statistics,
    /// Who is here, for the status page.
    pub(crate) roster: Roster,
    doors: Arc<Mutex<Doors>>,
    phase: watch::Sender<Phase>,
}

/// Connections that are open.
#[derive(Debug, Default)]
struct Doors {
    all: usize,
    of: HashMap<Option<IpAddr>, usize>,
}

/// A place for a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Door {
    doors: Arc<Mutex<Doors>>,
    machine: Option<IpAddr>,
}

impl Drop for Door {
    fn drop(&mut self) {
        let mut doors = lock(&self.doors);
        doors.all -= 1;
        if let Some(count) = doors.of.get_mut(&self.machine) {
            *count -= 1;
            if *count == 0 {
                doors.of.remove(&self.machine);
            }
        }
    }
}

/// Numbers, whole after every statement that could panic.
fn lock(doors: &Mutex<Doors>) -> MutexGuard<'_, Doors> {
    doors.lock().unwrap_or_else(PoisonError::into_inner)
}

impl House {
    /// A house that has no client yet.
    #[must_use]
    pub fn new(settings: HouseSettings) -> Arc<Self> {
        let memory = Memory::of_this_process();
        let reserve = settings
            .min_free_memory
            .unwrap_or_else(|| memory.total().map_or(0, reserve_of));
        let rules = Rules {
            slots: settings.jobs,
            queue: settings.queue,
            reserve,
        };
        Arc::new(Self {
            admission: Admission::new(rules, memory),
            budget: Budget::new(REQUEST_MEMORY),
            statistics: Statistics::default(),
            roster: Roster::default(),
            doors: Arc::default(),
            phase: watch::Sender::new(Phase::Serving),
            settings,
        })
    }

    async fn reaches(&self, phase: Phase) {
        // Fails only when the sender is gone, which `self` owns.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Ends when only compiles may go on that have begun.
    pub(crate) async fn finishing(&self) {
        self.reaches(Phase::Finishing).await;
    }

    /// Ends when everything is to end.
    pub(crate) async fn stopping(&self) {
        self.reaches(Phase::Stopping).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.phase.borrow() == Phase::Stopping
    }

    /// Says that nothing new is to begin, and turns back what waits.
    pub(crate) fn finish(&self) {
        self.enter(Phase::Finishing);
    }

    /// Says that everything is to end.
    pub(crate) fn stop(&self) {
        self.enter(Phase::Stopping);
    }

    fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let is_later = *now < phase;
            *now = phase.max(*now);
            is_later
        });
        self.admission.close();
    }

    /// A place for one more connection, given back when dropped; `None` when there are too many, or too many of this machine.
    pub(crate) fn door(&self, machine: Option<IpAddr>) -> Option<Door> {
        let most = self.settings.connections;
        let mut doors = lock(&self.doors);
        let own = doors.of.get(&machine).copied().unwrap_or(0);
        if doors.all >= most || own >= most.div_ceil(2) {
            return None;
        }
        doors.all += 1;
        doors.of.insert(machine, own + 1);
        Some(Door {
            doors: Arc::clone(&self.doors),
            machine,
        })
    }
}
