//! A job of stock's protocols that was received and may run: looked for among the results, compiled, kept, answered. Owns the order of these steps.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use protocol::bundle::digest::Digest;
use protocol::error::WireError;
use protocol::identity::Identity;
use protocol::request::{Head, Request};
use protocol::wait_status::WaitStatus;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::bundle::compilers::identify;
use crate::command::source_name;
use crate::failure::{Cached, Done, Failure, ending_of};
use crate::house::House;
use crate::job::Finished;
use crate::log::shown;
use crate::peer::Peer;
use crate::receive::{ReceiveError, Wire};
use crate::reply::{log_cost, off_thread, send};
use crate::results::{
    Begun, Entrance, Files, Flight, Kept, Named, Plan, Requested, Results, digests_of,
};
use crate::roster::Phase;
use crate::shelf::Shelf;
use crate::statistics::Ending;
use crate::workshop::Workshop;

/// See the module's text.
#[derive(Clone)]
pub(crate) struct Task {
    head: Arc<Head>,
    sent: Arc<Mutex<Sent>>,
    /// The program that the whitelist allowed.
    compiler: PathBuf,
    /// Of the whole request.
    digest: Digest,
}

/// What came.
enum Sent {
    Wire(Wire),
    Decoded(Arc<Decoded>),
    Refused(WireError),
}

/// A request of which somebody wanted the files.
struct Decoded {
    request: Arc<Request>,
    /// Digests of what was sent, once somebody asked for them.
    digests: OnceLock<Vec<Digest>>,
}

impl Decoded {
    fn files(&self) -> Files<'_> {
        Files {
            request: &self.request,
            digests: self.digests.get_or_init(|| digests_of(&self.request)),
        }
    }
}

impl Task {
    /// A task that may run.
    pub(crate) fn new(head: Head, wire: Wire, digest: Digest, compiler: PathBuf) -> Self {
        Self {
            head: Arc::new(head),
            sent: Arc::new(Mutex::new(Sent::Wire(wire))),
            compiler,
            digest,
        }
    }

    /// The whole request, if somebody wanted it.
    fn decoded_before(&self) -> Option<Arc<Decoded>> {
        match &*self.sent.lock().unwrap_or_else(PoisonError::into_inner) {
            Sent::Decoded(decoded) => Some(Arc::clone(decoded)),
            Sent::Wire(_) | Sent::Refused(_) => None,
        }
    }

    /// The whole request. Takes its time the first time.
    fn decoded(&self) -> Result<Arc<Decoded>, WireError> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        // Until it is decoded; whoever panics in between leaves this.
        let missing = WireError::Truncated {
            expected: "a request",
        };
        *sent = match std::mem::replace(&mut *sent, Sent::Refused(missing)) {
            Sent::Wire(wire) => match wire.decode() {
                Ok(request) => Sent::Decoded(Arc::new(Decoded {
                    request: Arc::new(request),
                    digests: OnceLock::new(),
                })),
                Err(error) => Sent::Refused(error),
            },
            known => known,
        };
        match &*sent {
            Sent::Decoded(decoded) => Ok(Arc::clone(decoded)),
            Sent::Refused(error) => Err(error.clone()),
            Sent::Wire(_) => Err(WireError::Truncated {
                expected: "a request",
            }),
        }
    }

    /// Serves the client that sent it.
    pub(crate) async fn serve<R, W>(
        &self,
        house: &House,
        peer: &Peer,
        reader: &mut R,
        writer: &mut W,
    ) -> Result<Done, Failure>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        house.roster.note(peer, Phase::LookUp);
        let shelf = house.settings.shelf.as_ref();
        let with_results =
            |shelf: &'_ Arc<Shelf>| shelf.results.clone().map(|kept| (Arc::clone(shelf), kept));
        let Some((shelf, results)) = shelf.and_then(with_results) else {
            let finished = self.compile(house, peer, reader).await?;
            return self.give(house, peer, finished, None, writer).await;
        };
        let (identity, plan, begun) = self.plan(house, shelf, &results).await?;
        let flight = match (&plan, begun) {
            (Plan::Keep(named), Some(begun)) => tokio::select! {
                entrance = results.enter(named, begun) => match entrance {
                    Entrance::Hit(kept) => return Ok(self.give_again(house, peer, kept, writer).await),
                    Entrance::Miss(flight) => Some(flight),
                },
                () = left(reader) => return Err(Failure::ClientLeft),
                () = house.finishing() => return Err(Failure::Stopping),
            },
            _ => None,
        };
        let finished = self.compile(house, peer, reader).await?;
        let keeping = Keeping {
            results,
            plan,
            identity,
            flight,
        };
        self.give(house, peer, finished, Some(keeping), writer)
            .await
    }

    /// Waits for a slot, and compiles.
    async fn compile<R>(
        &self,
        house: &House,
        peer: &Peer,
        reader: &mut R,
    ) -> Result<Finished, Failure>
    where
        R: AsyncRead + Unpin,
    {
        house.roster.note(peer, Phase::Wait);
        let mut slot = tokio::select! {
            slot = house.admission.enter(peer.machine()) => slot?,
            () = left(reader) => return Err(Failure::ClientLeft),
        };
        house.roster.note(peer, Phase::Compile);
        let cancelled = async {
            tokio::select! {
                () = left(reader) => {}
                () = house.stopping() => {}
            }
        };
        let workshop = &house.settings.workshop;
        let decoded = match self.decoded_before() {
            Some(decoded) => decoded,
            None => {
                let task = self.clone();
                let decoded = off_thread(move || task.decoded()).await?;
                decoded.map_err(ReceiveError::from)?
            }
        };
        let request = Arc::clone(&decoded.request);
        let finished = workshop.run(request, &self.compiler, cancelled).await?;
        slot.used(finished.usage.max_rss_kib << 10);
        drop(slot);
        Ok(finished)
    }

    /// Sends what a compile gave, and keeps it if it may be.
    async fn give<W: AsyncWrite + Unpin>(
        &self,
        house: &House,
        peer: &Peer,
        finished: Finished,
        keeping: Option<Keeping>,
        writer: &mut W,
    ) -> Result<Done, Failure> {
        log_cost(peer, &finished);
        let ending = ending_of(finished.outcome, house.is_stopping())?;
        let status = finished.reply.status;
        let source = shown(&finished.source);
        let (task, workshop) = (self.clone(), house.settings.workshop.clone());
        let encoded = off_thread(move || {
            let bytes = finished.reply.encode();
            let cache = keeping.map_or(Cached::Unasked, |keeping| {
                let cache = task.keep(&keeping, &workshop, &finished, &bytes);
                // Before the reply is sent: whoever waits for the result does not wait for a slow client.
                if let Some(flight) = keeping.flight {
                    flight.over();
                }
                cache
            });
            (bytes, cache)
        });
        let (bytes, cache) = encoded.await?;
        send(house, peer, bytes, writer).await;
        Ok(Done {
            ending,
            status,
            compiler: shown(&self.head.argv[0]),
            source,
            cache,
        })
    }

    /// Sends what was kept of an earlier compile.
    async fn give_again<W: AsyncWrite + Unpin>(
        &self,
        house: &House,
        peer: &Peer,
        kept: Kept,
        writer: &mut W,
    ) -> Done {
        send(house, peer, kept.0, writer).await;
        Done {
            ending: Ending::CompileOk,
            status: WaitStatus::SUCCESS,
            compiler: shown(&self.head.argv[0]),
            source: source_name(&self.head.argv),
            cache: Cached::Hit,
        }
    }

    /// Who the compiler is, what is to become of the result, and a first look for it.
    async fn plan(
        &self,
        house: &House,
        shelf: Arc<Shelf>,
        results: &Arc<Results>,
    ) -> Result<(Option<Arc<Identity>>, Plan, Option<Begun>), Failure> {
        let task = self.clone();
        let (results, workshop) = (Arc::clone(results), house.settings.workshop.clone());
        let planned = off_thread(move || {
            let identity = match identify(&shelf, &workshop, &task.head.argv, &task.compiler) {
                Ok(identity) => identity,
                Err(why) => return Ok((None, Plan::Not(why), None)),
            };
            let plan = task.planned(&results, &identity, &workshop)?;
            let begun = results.begin(&plan);
            Ok((Some(identity), plan, begun))
        });
        let planned: Result<_, WireError> = planned.await?;
        Ok(planned.map_err(ReceiveError::from)?)
    }

    /// What is to become of the result.
    fn planned(
        &self,
        results: &Results,
        identity: &Identity,
        workshop: &Workshop,
    ) -> Result<Plan, WireError> {
        let requested = self.requested(identity);
        let known = results.sent.known(&self.digest, || {
            let decoded = self.decoded();
            decoded.map(|decoded| requested.known(&decoded.files(), workshop))
        })?;
        Ok(requested.plan(results, workshop, &known))
    }

    fn requested<'a>(&'a self, identity: &'a Identity) -> Requested<'a> {
        Requested {
            compiler: &self.compiler,
            identity,
            head: &self.head,
        }
    }

    /// Keeps a result and says why there was none, or why it cannot be kept. Blocks on the disk.
    fn keep(
        &self,
        keeping: &Keeping,
        workshop: &Workshop,
        finished: &Finished,
        reply: &[u8],
    ) -> Cached {
        let results = &keeping.results;
        let kept = match (&keeping.plan, &keeping.identity) {
            (Plan::Keep(named), Some(identity)) => {
                let may = self.may_keep(identity, results, workshop, named, finished);
                may.map(|decoded| {
                    results.keep(&named.for_result(finished), reply);
                    let requested = self.requested(identity);
                    requested.explain(results, workshop, &decoded.files())
                })
            }
            (Plan::Not(reason), _) => Err(reason.clone()),
            (Plan::Keep(_), None) => Err("it is not known who the compiler is".to_owned()),
        };
        if kept.is_err() {
            results.count_not_kept();
        }
        kept.map_or_else(Cached::Not, Cached::Kept)
    }

    /// Whether a result is one for everybody who asks for the same; the files from which it was made.
    fn may_keep(
        &self,
        identity: &Identity,
        results: &Results,
        workshop: &Workshop,
        named: &Named,
        finished: &Finished,
    ) -> Result<Arc<Decoded>, String> {
        finished.is_fit_to_keep(workshop)?;
        let limit = usize::try_from(workshop.limits().tree_bytes).unwrap_or(usize::MAX);
        let unpack = |wire: &[u8]| self.head.version.unpack(wire.to_vec(), limit).ok();
        let decoded = self.decoded().map_err(|error| error.to_string())?;
        let files = decoded.files();
        if let Some(doubt) = files.doubt(results, &finished.own_reads, unpack) {
            return Err(doubt);
        }
        // This server's headers may have changed while it compiled.
        match self.planned(results, identity, workshop) {
            Ok(Plan::Keep(after)) if after == *named => Ok(decoded),
            _ => Err("this server's headers changed meanwhile".to_owned()),
        }
    }
}

/// What is needed to keep a result.
struct Keeping {
    results: Arc<Results>,
    plan: Plan,
    /// The compiler's, where it is known.
    identity: Option<Arc<Identity>>,
    /// Those who wait for the result.
    flight: Option<Flight>,
}

/// Ends when the client is gone. A client that has sent its request sends nothing more until it has the reply; one that
/// does has lost count and will understand no reply.
async fn left<R: AsyncRead + Unpin>(reader: &mut R) {
    let _ = reader.read(&mut [0]).await;
}
