//! A job of stock's protocols that was received and may run: looked for among the results, compiled, kept, answered. Owns the order of these steps.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use protocol::bundle::digest::Digest;
use protocol::identity::Identity;
use protocol::request::Request;
use protocol::wait_status::WaitStatus;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::bundle::compilers::Asked;
use crate::command::source_name;
use crate::failure::{Cached, Done, Failure, ending_of};
use crate::house::House;
use crate::job::Finished;
use crate::log::shown;
use crate::peer::Peer;
use crate::reply::{log_cost, off_thread, send};
use crate::results::{Begun, Entrance, Flight, Kept, Named, Plan, Requested, Results};
use crate::roster::Phase;
use crate::shelf::Shelf;
use crate::statistics::Ending;
use crate::workshop::Workshop;

/// See the module's text.
#[derive(Clone)]
pub(crate) struct Task {
    request: Arc<Request>,
    /// The program that the whitelist allowed.
    compiler: PathBuf,
    /// Of the whole request.
    digest: Digest,
    /// Digests of what was sent, once somebody asked for them.
    digests: Arc<OnceLock<Arc<[Digest]>>>,
}

impl Task {
    /// A task that may run.
    pub(crate) fn new(request: Request, digest: Digest, compiler: PathBuf) -> Self {
        Self {
            request: Arc::new(request),
            compiler,
            digest,
            digests: Arc::default(),
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
        let asked = Asked::new(house, &shelf, self.compiler.clone());
        let (identity, plan, begun) = self.plan(house, &results, asked).await?;
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
        let request = Arc::clone(&self.request);
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
            compiler: shown(&self.request.argv[0]),
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
            compiler: shown(&self.request.argv[0]),
            source: source_name(&self.request.argv),
            cache: Cached::Hit,
        }
    }

    /// Who the compiler is, what is to become of the result, and a first look for it.
    async fn plan(
        &self,
        house: &House,
        results: &Arc<Results>,
        asked: Asked,
    ) -> Result<(Option<Arc<Identity>>, Plan, Option<Begun>), Failure> {
        let task = self.clone();
        let (results, workshop) = (Arc::clone(results), house.settings.workshop.clone());
        off_thread(move || match asked.identify(&task.request.argv) {
            Ok(identity) => {
                let requested = task.requested(&results, &identity);
                let plan = requested.plan(&results, &workshop);
                let begun = results.begin(&plan);
                (Some(identity), plan, begun)
            }
            Err(why) => (None, Plan::Not(why), None),
        })
        .await
    }

    fn requested<'a>(&'a self, results: &Results, identity: &'a Identity) -> Requested<'a> {
        let digests = || results.sent.digests(&self.digest, &self.request);
        Requested {
            compiler: &self.compiler,
            identity,
            request: &self.request,
            digests: self.digests.get_or_init(digests),
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
                let requested = self.requested(results, identity);
                self.may_keep(&requested, results, workshop, named, finished)
                    .map(|()| {
                        results.keep(&named.for_result(finished), reply);
                        requested.explain(results, workshop)
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

    /// Whether a result is one for everybody who asks for the same.
    fn may_keep(
        &self,
        requested: &Requested<'_>,
        results: &Results,
        workshop: &Workshop,
        named: &Named,
        finished: &Finished,
    ) -> Result<(), String> {
        finished.is_fit_to_keep(workshop)?;
        let limit = usize::try_from(workshop.limits().tree_bytes).unwrap_or(usize::MAX);
        let unpack = |wire: &[u8]| self.request.version.unpack(wire.to_vec(), limit).ok();
        if let Some(doubt) = requested.doubt(results, &finished.own_reads, unpack) {
            return Err(doubt);
        }
        // This server's headers may have changed while it compiled.
        match requested.plan(results, workshop) {
            Plan::Keep(after) if after == *named => Ok(()),
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
