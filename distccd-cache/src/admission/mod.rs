//! Which compile starts when: as many as there are slots, as long as there is memory, machine by machine in turn, and not more waiting than can be served.
//! Owns the slots, the queue and their counts.
//!
//! A place in the queue is given up by dropping the future that waits for it, a slot by dropping the [`Slot`]. Whatever is held back, one compile may
//! always run, so that the queue moves.

mod memory;
mod queue;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub(crate) use memory::{Memory, Reading};

use crate::log::notice;
use queue::Queue;

/// How often the memory is looked at again while compiles are held back.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How long a look at the memory is true, where there is not much more than is needed.
const LOOK_LASTS: Duration = Duration::from_millis(100);

/// As many times as much memory as is needed is plenty, and a look at that is true for ten times as long: compiles take longer to use it up.
const PLENTY: u64 = 4;

/// How long a compile takes to use what it will use, about: until then it is counted with what compiles used before.
const YOUNG: Duration = Duration::from_secs(2);

/// Percent of time in which nothing goes on for lack of memory, from which on no further compile starts.
const STALLED: f64 = 10.0;

/// Jobs that wait for a slot, unless configured otherwise.
pub const QUEUE: u32 = 1000;

/// The memory to be kept free on a machine that has so much in all: a twentieth of it, within reason.
#[must_use]
pub fn reserve_of(total: u64) -> u64 {
    (total / 20).clamp(128 << 20, 2 << 30).min(total / 4)
}

/// Why a job does not get a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TurnedBack {
    /// More wait than may.
    #[error("busy: too many jobs wait")]
    Full,
    /// The client is better off elsewhere.
    #[error("busy: the job would wait too long")]
    TooLong,
    /// The daemon stops.
    #[error("stopping; the job is handed back")]
    Closing,
}

/// What there is to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Compiles that may run at a time.
    pub(crate) slots: usize,
    /// Compiles that run.
    pub(crate) running: usize,
    /// Jobs that wait.
    pub(crate) waiting: usize,
    /// Whether compiles are held back for lack of memory.
    pub(crate) is_holding: bool,
    /// Compiles that have started.
    pub(crate) started: u64,
    /// How long those waited, together.
    pub(crate) waited: Duration,
    /// Jobs that were turned back because of too many others.
    pub(crate) turned_back: u64,
}

/// How slots are given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Compiles at a time.
    pub(crate) slots: usize,
    /// Jobs that may wait.
    pub(crate) queue: usize,
    /// Bytes of memory that must be free for a further compile; 0 is no such rule.
    pub(crate) reserve: u64,
}

type Look = Box<dyn Fn() -> Reading + Send + Sync>;
type Turn = Result<Slot, TurnedBack>;

/// See the module's text.
pub(crate) struct Admission {
    rules: Rules,
    look: Look,
    look_lasts: Duration,
    state: Mutex<State>,
    started: AtomicU64,
    waited_micros: AtomicU64,
    turned_back: AtomicU64,
    /// For those who are given a slot.
    own: Weak<Self>,
}

struct State {
    running: usize,
    queue: Queue<Option<IpAddr>, oneshot::Sender<Turn>>,
    is_closed: bool,
    is_holding: bool,
    /// A task looks at the memory again.
    is_watched: bool,
    last_look: Option<(Instant, Reading)>,
    /// When compiles started that are young.
    young: VecDeque<Instant>,
    /// Typical of those that ended, later ones counting more.
    usual_time: Duration,
    usual_memory: u64,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission")
            .field("rules", &self.rules)
            .field("tally", &self.tally())
            .finish_non_exhaustive()
    }
}

impl Admission {
    /// Slots under these rules, on this machine.
    pub(crate) fn new(rules: Rules, memory: Memory) -> Arc<Self> {
        Self::with(rules, Box::new(move || memory.read()), LOOK_LASTS)
    }

    fn with(rules: Rules, look: Look, look_lasts: Duration) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            rules,
            look,
            look_lasts,
            state: Mutex::new(State {
                running: 0,
                queue: Queue::new(),
                is_closed: false,
                is_holding: false,
                is_watched: false,
                last_look: None,
                young: VecDeque::new(),
                usual_time: Duration::ZERO,
                usual_memory: 0,
            }),
            started: AtomicU64::new(0),
            waited_micros: AtomicU64::new(0),
            turned_back: AtomicU64::new(0),
            own: Weak::clone(own),
        })
    }

    /// The numbers now.
    pub(crate) fn tally(&self) -> Tally {
        let state = self.lock();
        Tally {
            slots: self.rules.slots,
            running: state.running,
            waiting: state.queue.len(),
            is_holding: state.is_holding,
            started: self.started.load(Ordering::Relaxed),
            waited: Duration::from_micros(self.waited_micros.load(Ordering::Relaxed)),
            turned_back: self.turned_back.load(Ordering::Relaxed),
        }
    }

    /// Whether a job of this machine would be turned back now; asked before anything is done for it. `patience` is how long its client is to wait at most.
    pub(crate) fn check(
        &self,
        machine: Option<IpAddr>,
        patience: Duration,
    ) -> Result<(), TurnedBack> {
        let state = self.lock();
        let ahead = state.queue.ahead_of(machine);
        let is_free = state.running < self.rules.slots && state.queue.len() == 0;
        let turned = if state.is_closed {
            Err(TurnedBack::Closing)
        } else if !is_free && self.is_full_for(&state, machine) {
            Err(TurnedBack::Full)
        } else if !is_free && self.expected_wait(&state, ahead) > patience {
            Err(TurnedBack::TooLong)
        } else {
            Ok(())
        };
        drop(state);
        turned.inspect_err(|turned| self.count(*turned))
    }

    /// Waits for a slot.
    pub(crate) async fn enter(&self, machine: Option<IpAddr>) -> Turn {
        let asked = Instant::now();
        let (tell, hear) = oneshot::channel();
        let place = self.line_up(machine, tell)?;
        // Nobody drops the other end but to say why.
        let turn = hear.await.unwrap_or(Err(TurnedBack::Closing));
        drop(place);
        if turn.is_ok() {
            let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.waited_micros.fetch_add(micros, Ordering::Relaxed);
            self.started.fetch_add(1, Ordering::Relaxed);
        }
        turn
    }

    /// Turns back all that wait or come.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let waiting: Vec<_> = state.queue.clear().collect();
        drop(state);
        for tell in waiting {
            // It may have left by itself.
            let _ = tell.send(Err(TurnedBack::Closing));
        }
    }

    /// A place in the queue, which may be a slot at once.
    fn line_up(
        &self,
        machine: Option<IpAddr>,
        tell: oneshot::Sender<Turn>,
    ) -> Result<Place<'_>, TurnedBack> {
        let mut state = self.lock();
        let mut displaced = None;
        if state.is_closed {
            return Err(TurnedBack::Closing);
        }
        let is_free = state.running < self.rules.slots && state.queue.len() == 0;
        if !is_free && self.is_full_for(&state, machine) {
            drop(state);
            self.count(TurnedBack::Full);
            return Err(TurnedBack::Full);
        }
        if !is_free && state.queue.len() >= self.rules.queue {
            let own = state.queue.of(machine);
            displaced = state.queue.pop_longest(own + 1);
        }
        let number = state.queue.push(machine, tell);
        let unwanted = self.advance(&mut state);
        drop(state);
        drop(unwanted);
        if let Some(tell) = displaced {
            self.count(TurnedBack::Full);
            let _ = tell.send(Err(TurnedBack::Full));
        }
        Ok(Place {
            admission: self,
            machine,
            number,
        })
    }

    /// Whether one more of this machine cannot wait: the queue is full, and no other machine takes more of it.
    fn is_full_for(&self, state: &State, machine: Option<IpAddr>) -> bool {
        state.queue.len() >= self.rules.queue
            && state.queue.longest() <= state.queue.of(machine) + 1
    }

    fn expected_wait(&self, state: &State, ahead: usize) -> Duration {
        let at_a_time = match state.is_holding {
            true => state.running,
            false => self.rules.slots,
        };
        let turns = ahead / at_a_time.max(1) + 1;
        let turns = u32::try_from(turns).unwrap_or(u32::MAX);
        state.usual_time.saturating_mul(turns)
    }

    fn count(&self, turned: TurnedBack) {
        if turned != TurnedBack::Closing {
            self.turned_back.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives free slots to those who are next. What comes back was given to somebody who had just left: to be dropped when the state is unlocked.
    fn advance(&self, state: &mut State) -> Vec<Turn> {
        let mut unwanted = Vec::new();
        while !state.is_closed
            && state.queue.len() > 0
            && state.running < self.rules.slots
            && self.may_start(state)
        {
            let (Some(tell), Some(own)) = (state.queue.pop(), self.own.upgrade()) else {
                break;
            };
            state.running += 1;
            let now = Instant::now();
            if self.rules.reserve > 0 {
                state.young.push_back(now);
            }
            let slot = Slot {
                admission: own,
                since: now,
                memory: 0,
            };
            if let Err(slot) = tell.send(Ok(slot)) {
                unwanted.push(slot);
            }
        }
        if state.is_holding
            && state.queue.len() > 0
            && !state.is_watched
            && let Ok(runtime) = Handle::try_current()
        {
            state.is_watched = true;
            runtime.spawn(watch(Weak::clone(&self.own)));
        }
        unwanted
    }

    /// Whether memory allows one more compile.
    fn may_start(&self, state: &mut State) -> bool {
        if self.rules.reserve == 0 {
            return true;
        }
        let now = Instant::now();
        while state
            .young
            .front()
            .is_some_and(|then| now.duration_since(*then) >= YOUNG)
        {
            state.young.pop_front();
        }
        let expected = state.usual_memory.saturating_mul(state.young.len() as u64);
        // Once held back, they start again when there is a little more.
        let wanted = match state.is_holding {
            true => self.rules.reserve + self.rules.reserve / 4,
            false => self.rules.reserve,
        };
        let wanted = wanted.saturating_add(expected);
        let is_plenty = |reading: &Reading| {
            let plenty = wanted.saturating_mul(PLENTY);
            reading.stalled == 0.0 && reading.available.is_some_and(|there| there >= plenty)
        };
        let lasts = |reading: &Reading| match is_plenty(reading) {
            true => self.look_lasts * 10,
            false => self.look_lasts,
        };
        let reading = match state.last_look {
            Some((then, reading)) if now.duration_since(then) < lasts(&reading) => reading,
            _ => {
                let reading = (self.look)();
                state.last_look = Some((now, reading));
                reading
            }
        };
        let is_short = reading.stalled >= STALLED
            || reading
                .available
                .is_some_and(|available| available < wanted);
        if is_short != state.is_holding && (state.running > 0 || !is_short) {
            state.is_holding = is_short;
            self.tell(is_short, reading);
        }
        !is_short || state.running == 0
    }

    fn tell(&self, is_short: bool, reading: Reading) {
        let mib = |bytes: u64| bytes >> 20;
        let free = reading.available.map_or(0, mib);
        match is_short {
            true => notice!(
                "compiles wait for memory: {free} MiB are available, {} MiB of them are to stay so (--min-free-memory), and the machine stalls {:.0} % of the time",
                mib(self.rules.reserve),
                reading.stalled
            ),
            false => notice!("compiles wait for memory no longer: {free} MiB are available"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole after every statement that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the memory again until compiles are held back no longer, or none waits.
async fn watch(admission: Weak<Admission>) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let Some(admission) = admission.upgrade() else {
            return;
        };
        let mut state = admission.lock();
        let unwanted = admission.advance(&mut state);
        let is_over = !state.is_holding || state.queue.len() == 0;
        state.is_watched = !is_over;
        drop(state);
        drop(unwanted);
        if is_over {
            return;
        }
    }
}

/// A place in the queue, until it is dropped.
struct Place<'a> {
    admission: &'a Admission,
    machine: Option<IpAddr>,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        let left = state.queue.remove(self.machine, self.number);
        drop(state);
        drop(left);
    }
}

/// The right to compile, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    admission: Arc<Admission>,
    since: Instant,
    memory: u64,
}

impl Slot {
    /// Says how many bytes the compile needed.
    pub(crate) fn used(&mut self, memory: u64) {
        self.memory = memory;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.running -= 1;
        if self.memory > 0 {
            state.usual_time = usual(state.usual_time, self.since.elapsed());
            state.usual_memory = match state.usual_memory {
                0 => self.memory,
                before => before / 8 * 7 + self.memory / 8,
            };
        }
        let unwanted = self.admission.advance(&mut state);
        drop(state);
        drop(unwanted);
    }
}

/// An average in which the last one counts an eighth.
fn usual(before: Duration, last: Duration) -> Duration {
    match before.is_zero() {
        true => last,
        false => before / 8 * 7 + last / 8,
    }
}

#[cfg(test)]
mod tests;
