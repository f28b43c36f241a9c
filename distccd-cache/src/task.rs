//! A job of stock's protocols that was received and may run: looked for among the results, compiled, kept, answered. Owns the order of these steps.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::bundle::reply::BundleReply;
use protocol::identity::Identity;
use protocol::limits::Limits;
use protocol::reply::Reply;
use protocol::request::Request;
use protocol::wait_status::WaitStatus;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::bundle;
use crate::command::source_name;
use crate::failure::{Cached, Done, Failure, ending_of};
use crate::house::House;
use crate::job::Finished;
use crate::log::shown;
use crate::reply::{log_cost, off_thread, send};
use crate::results::{Begun, Entrance, Kept, Named, Plan, Requested, Results};
use crate::shelf::Shelf;
use crate::statistics::Ending;
use crate::workshop::Workshop;

/// See the module's text.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) request: Arc<Request>,
    /// The program that the whitelist allowed.
    pub(crate) compiler: PathBuf,
}

impl Task {
    /// Serves the client that sent it.
    pub(crate) async fn serve<R, W>(
        &self,
        house: &House,
        peer: &str,
        reader: &mut R,
        writer: &mut W,
    ) -> Result<Done, Failure>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let shelf = house.settings.shelf.as_ref();
        let with_results =
            |shelf: &'_ Arc<Shelf>| shelf.results.clone().map(|kept| (Arc::clone(shelf), kept));
        let Some((shelf, results)) = shelf.and_then(with_results) else {
            let finished = self.compile(house, reader).await?;
            return self
                .give(house, peer, finished, Cached::Unasked, writer)
                .await;
        };
        let asked = bundle::compilers::identify(house, &shelf, &self.request.argv, &self.compiler);
        let ((plan, begun), identity) = match asked.await? {
            Ok(identity) => (self.plan(house, &results, &identity).await?, Some(identity)),
            Err(why) => ((Plan::Not(why), None), None),
        };
        let _flight = match (&plan, begun) {
            (Plan::Keep(named), Some(begun)) => tokio::select! {
                entrance = results.enter(named, begun) => match entrance {
                    Entrance::Hit(kept) => return self.give_again(house, peer, &kept, writer).await,
                    Entrance::Miss(flight) => Some(flight),
                },
                () = left(reader) => return Err(Failure::ClientLeft),
                () = house.stopping() => return Err(Failure::Stopping),
            },
            _ => None,
        };
        let finished = self.compile(house, reader).await?;
        let kept = self.keep(house, &results, plan, identity, finished);
        let (finished, cache) = kept.await?;
        self.give(house, peer, finished, cache, writer).await
    }

    /// Waits for a slot, and compiles.
    async fn compile<R>(&self, house: &House, reader: &mut R) -> Result<Finished, Failure>
    where
        R: AsyncRead + Unpin,
    {
        let slot = tokio::select! {
            slot = house.slots.acquire() => slot,
            () = left(reader) => return Err(Failure::ClientLeft),
            () = house.stopping() => return Err(Failure::Stopping),
        };
        let cancelled = async {
            tokio::select! {
                () = left(reader) => {}
                () = house.stopping() => {}
            }
        };
        let workshop = &house.settings.workshop;
        let request = Arc::clone(&self.request);
        let finished = workshop.run(request, &self.compiler, cancelled).await?;
        drop(slot);
        Ok(finished)
    }

    /// Sends what a compile gave.
    async fn give<W: AsyncWrite + Unpin>(
        &self,
        house: &House,
        peer: &str,
        finished: Finished,
        cache: Cached,
        writer: &mut W,
    ) -> Result<Done, Failure> {
        log_cost(peer, &finished);
        let ending = ending_of(finished.outcome, house.is_stopping())?;
        let status = finished.reply.status;
        let source = shown(&finished.source);
        let bytes = off_thread(move || finished.reply.encode()).await?;
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
        peer: &str,
        kept: &Kept,
        writer: &mut W,
    ) -> Result<Done, Failure> {
        let version = self.request.version;
        let outcome = BundleReply::decode_outcome(&kept.0, Limits::DEFAULT)
            .map_err(|error| Failure::Receive(error.into()))?;
        let reply = Reply {
            version,
            status: outcome.status,
            stderr: outcome.stderr,
            stdout: outcome.stdout,
            object: outcome.object,
            dependencies: version
                .server_preprocesses()
                .then_some(outcome.dependencies),
        };
        let bytes = off_thread(move || reply.encode()).await?;
        send(house, peer, bytes, writer).await;
        Ok(Done {
            ending: Ending::CompileOk,
            status: WaitStatus::SUCCESS,
            compiler: shown(&self.request.argv[0]),
            source: source_name(&self.request.argv),
            cache: Cached::Hit,
        })
    }

    /// What is to become of the result, and a first look for it.
    async fn plan(
        &self,
        house: &House,
        results: &Arc<Results>,
        identity: &Arc<Identity>,
    ) -> Result<(Plan, Option<Begun>), Failure> {
        let (task, identity) = (self.clone(), Arc::clone(identity));
        let (results, workshop) = (Arc::clone(results), house.settings.workshop.clone());
        off_thread(move || {
            let plan = task.requested(&identity).plan(&results, &workshop);
            let begun = results.begin(&plan);
            (plan, begun)
        })
        .await
    }

    /// Keeps the result of a compile if it may be.
    async fn keep(
        &self,
        house: &House,
        results: &Arc<Results>,
        plan: Plan,
        identity: Option<Arc<Identity>>,
        finished: Finished,
    ) -> Result<(Finished, Cached), Failure> {
        let (task, results) = (self.clone(), Arc::clone(results));
        let workshop = house.settings.workshop.clone();
        let keep = move || {
            let kept = match (plan, identity) {
                (Plan::Keep(named), Some(identity)) => {
                    task.keep_as(&results, &workshop, &named, &identity, &finished)
                }
                (Plan::Not(reason), _) => Err(reason),
                (Plan::Keep(_), None) => Err("it is not known who the compiler is".to_owned()),
            };
            let cache = kept.map_or_else(Cached::Not, Cached::Kept);
            if matches!(cache, Cached::Not(_)) {
                results.count_not_kept();
            }
            (finished, cache)
        };
        off_thread(keep).await
    }

    fn requested<'a>(&'a self, identity: &'a Identity) -> Requested<'a> {
        Requested {
            compiler: &self.compiler,
            identity,
            request: &self.request,
        }
    }

    /// Keeps a result and says why there was none, or why it cannot be kept. Blocks on the disk.
    fn keep_as(
        &self,
        results: &Results,
        workshop: &Workshop,
        named: &Named,
        identity: &Identity,
        finished: &Finished,
    ) -> Result<String, String> {
        finished.is_fit_to_keep(workshop)?;
        let requested = self.requested(identity);
        let limit = usize::try_from(workshop.limits().tree_bytes).unwrap_or(usize::MAX);
        let unpack = |wire: &[u8]| self.request.version.unpack(wire.to_vec(), limit).ok();
        if let Some(doubt) = requested.doubt(results, &finished.own_reads, unpack) {
            return Err(doubt);
        }
        // This server's headers may have changed while it compiled.
        match requested.plan(results, workshop) {
            Plan::Keep(after) if after == *named => {}
            _ => return Err("this server's headers changed meanwhile".to_owned()),
        }
        let reply = &finished.reply;
        let reply = BundleReply {
            status: reply.status,
            stderr: reply.stderr.clone(),
            stdout: reply.stdout.clone(),
            object: reply.object.clone(),
            dependencies: reply.dependencies.clone().unwrap_or_default(),
            ..BundleReply::default()
        };
        results.keep(named, &reply);
        Ok(requested.explain(results, workshop))
    }
}

/// Ends when the client is gone. A client that has sent its request sends nothing more until it has the reply; one that
/// does has lost count and will understand no reply.
async fn left<R: AsyncRead + Unpin>(reader: &mut R) {
    let _ = reader.read(&mut [0]).await;
}
