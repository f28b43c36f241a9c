//! One job in the bundle dialect: offer, compiler, what is lacking, a slot, the compile, the reply. Owns the order of the steps.

use std::sync::Arc;
use std::time::Duration;

use protocol::bundle::BUNDLE_VERSION;
use protocol::bundle::offer::Offer;
use protocol::bundle::refusal::{Refusal, RefusalKind};
use protocol::bundle::reply::{Fate, Note};
use protocol::token::Tag;
use protocol::wait_status::WaitStatus;
use tokio::io::{AsyncRead, AsyncWrite};

use super::compilers;
use super::exchange::{Exchange, Progress, broken, unsuited};
use super::frames::Frames;
use super::work::{Work, contents};
use crate::arguments;
use crate::command::source_name;
use crate::failure::{Cached, Done, Failure, ending_of};
use crate::house::House;
use crate::job::{Finished, JobError};
use crate::log::shown;
use crate::peer::Peer;
use crate::reply::{log_cost, off_thread, send};
use crate::results::{Begun, Entrance, Flight, Hidden, Kept, Plan};
use crate::roster::Phase;
use crate::shelf::Shelf;
use crate::statistics::Ending;
use crate::table::Table;

/// How often a compile may start anew because a file of it was evicted meanwhile.
const ATTEMPTS: usize = 4;

/// How long a client waits for a slot at most: it can try another server, or compile by itself.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Serves one offer; `first` was read from the connection. A refusal is told to the client.
pub(crate) async fn converse<R, W>(
    house: &House,
    shelf: &Arc<Shelf>,
    peer: &Peer,
    first: Vec<u8>,
    reader: &mut R,
    writer: &mut W,
) -> Result<Done, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let settings = &house.settings;
    let progress = Progress::default();
    let mut exchange = Exchange {
        house,
        progress: &progress,
        shelf: Arc::clone(shelf),
        frames: Frames::new(
            reader,
            first,
            settings.limits,
            &house.budget,
            settings.io_timeout,
        ),
        writer,
    };
    let handed_back = async {
        house.finishing().await;
        if progress.may_end() {
            house.stopping().await;
        }
    };
    let result = tokio::select! {
        result = exchange.job(peer) => result,
        () = handed_back => Err(Failure::Stopping),
    };
    if let Err(failure) = &result
        && !progress.is_in_message()
        && let Some(refusal) = refusal_for(failure)
    {
        // It may be gone already.
        let _ = exchange.send(Tag::REFU, &refusal.encode()).await;
    }
    result
}

/// What a client is told; nothing when nobody is there to read it.
fn refusal_for(failure: &Failure) -> Option<Refusal> {
    let kind = match failure {
        Failure::Refused(refusal) => return Some(refusal.clone()),
        Failure::ClientLeft => return None,
        Failure::Receive(_) => RefusalKind::Broken,
        Failure::Compiler(_) => RefusalKind::Compiler,
        Failure::Stopping | Failure::TurnedBack(_) => RefusalKind::Busy,
        Failure::Arguments(_) | Failure::Job(_) | Failure::Reply(_) => RefusalKind::Unsuited,
    };
    let text = failure.to_string();
    Some(Refusal { kind, text })
}

/// A job whose compile ended, and what is needed to reply and to keep the result.
struct Ended {
    work: Work,
    plan: Plan,
    hidden: Option<Hidden>,
    flight: Option<Flight>,
    finished: Finished,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Exchange<'_, R, W> {
    async fn job(&mut self, peer: &Peer) -> Result<Done, Failure> {
        let settings = &self.house.settings;
        let opening = self.frames.token().await?;
        if opening.value != BUNDLE_VERSION {
            return Err(unsuited(format!(
                "this server speaks version {BUNDLE_VERSION} of the dialect, not {}",
                opening.value
            )));
        }
        let (frame, _memory) = self.frames.next(&[Tag::OFFR]).await?;
        let offer = Offer::decode(&frame.body, &settings.limits)
            .map_err(|error| broken(error.to_string()))?;
        let offer = Arc::new(offer);
        let (setting, table) = self.terms(&offer).await?;
        let argv = offer
            .command_line(&setting.words)
            .map_err(|error| broken(error.to_string()))?;
        tracing::debug!("{peer}: {}", shown(&argv.join(&b' ')));
        let roster = &self.house.roster;
        if let Some(compiler) = argv.first() {
            roster.name(peer, compiler, &source_name(&argv));
        }
        roster.note(peer, Phase::LookUp);
        let results = self.shelf.results.clone();
        let (kept, shelf) = (results.clone(), Arc::clone(&self.shelf));
        let (whitelist, workshop) = (Arc::clone(&settings.whitelist), settings.workshop.clone());
        let sysroot = settings.sysroot.clone();
        // Before anything is uploaded: what was done before costs its client one round trip.
        let look = move || -> Result<(Work, Plan, Option<Begun>), Failure> {
            let (compiler, identity) =
                compilers::find(&whitelist, &shelf, &workshop, &argv, &setting.platform)?;
            if let Some(refusal) = arguments::refused(&argv, sysroot.as_deref()) {
                return Err(Failure::Arguments(refusal));
            }
            let work = Work {
                offer,
                setting,
                table,
                argv,
                compiler,
                identity,
                used: Arc::default(),
            };
            let Some(kept) = kept else {
                let why = "results are not kept here (--cache-results)".to_owned();
                return Ok((work, Plan::Not(why), None));
            };
            let plan = work.plan(&workshop);
            let begun = kept.begin(&plan);
            Ok((work, plan, begun))
        };
        let (work, plan, begun) = off_thread(look).await??;
        self.check_system_headers(&work.offer, &work.table).await?;
        let flight = match (&plan, begun, results) {
            (Plan::Keep(named), Some(begun), Some(results)) => tokio::select! {
                entrance = results.enter(named, begun) => match entrance {
                    Entrance::Hit(kept) => return self.give_again(peer, work, kept).await,
                    Entrance::Miss(flight) => Some(flight),
                },
                () = self.frames.left() => return Err(Failure::ClientLeft),
            },
            _ => None,
        };
        self.compile(peer, work, plan, flight).await
    }

    /// Sends what was kept of an earlier compile.
    async fn give_again(&mut self, peer: &Peer, work: Work, kept: Kept) -> Result<Done, Failure> {
        let done = Done {
            ending: Ending::CompileOk,
            status: WaitStatus::SUCCESS,
            compiler: shown(&work.argv[0]),
            source: source_name(&work.argv),
            cache: Cached::Hit,
        };
        let note = Note {
            fate: Fate::Hit,
            text: String::new(),
        };
        let bytes = work.wrapped(&note, kept.0);
        self.progress.replies();
        send(self.house, peer, bytes, self.writer).await;
        Ok(done)
    }

    /// Gets what is lacking, compiles and replies.
    async fn compile(
        &mut self,
        peer: &Peer,
        mut work: Work,
        plan: Plan,
        flight: Option<Flight>,
    ) -> Result<Done, Failure> {
        let settings = &self.house.settings;
        let roster = &self.house.roster;
        let admission = &self.house.admission;
        // Before anything is uploaded in vain.
        admission.check(peer.machine(), LONGEST_WAIT)?;
        for _ in 0..ATTEMPTS {
            roster.note(peer, Phase::Fetch);
            let pins = self.blobs(&work.offer, &work.table).await?;
            roster.note(peer, Phase::Wait);
            let mut slot = tokio::select! {
                slot = admission.enter(peer.machine()) => slot?,
                () = self.frames.left() => return Err(Failure::ClientLeft),
            };
            self.progress.compiles();
            roster.note(peer, Phase::Compile);
            let content = contents(&self.shelf, &settings.workshop, &work.offer, &work.table);
            let cancelled = async {
                tokio::select! {
                    () = self.frames.left() => {}
                    () = self.house.stopping() => {}
                }
            };
            let (shelf, workshop) = (Arc::clone(&self.shelf), settings.workshop.clone());
            let (asked, mut planned) = (work.clone(), plan.clone());
            let make = move || {
                let hidden = asked.hidden(&shelf, &workshop, &mut planned);
                (asked.job(hidden.as_ref()), (hidden, planned))
            };
            let workshop = &settings.workshop;
            let finished = workshop
                .run_made(make, &work.compiler, content, cancelled)
                .await;
            if let Ok((finished, _)) = &finished {
                slot.used(finished.usage.max_rss_kib << 10);
            }
            drop(slot);
            match finished {
                Ok((finished, (hidden, plan))) => {
                    let ended = Ended {
                        work,
                        plan,
                        hidden,
                        flight,
                        finished,
                    };
                    let done = self.finish(peer, ended).await;
                    drop(pins);
                    return done;
                }
                Err(JobError::Vanished(digests)) => {
                    drop(pins);
                    tracing::info!("{peer}: {} files were evicted meanwhile", digests.len());
                    work.forget(&digests);
                    (_, work.table) = self.terms(&work.offer).await?;
                    work.used = Arc::default();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(unsuited("the server loses files faster than it compiles"))
    }

    /// Without namespaces the compiler sees this server's own system headers: they must be the client's. Asked before anything is uploaded.
    async fn check_system_headers(
        &self,
        offer: &Arc<Offer>,
        table: &Arc<Table>,
    ) -> Result<(), Failure> {
        let workshop = &self.house.settings.workshop;
        if workshop.shows_own_paths() {
            return Ok(());
        }
        let (workshop, offer, table) = (workshop.clone(), Arc::clone(offer), Arc::clone(table));
        let look = move || {
            let rows = table.entries(offer.manifest.used.iter());
            let mut system = rows.into_iter().filter(|(_, entry)| entry.system);
            let differs = system.find(|(_, entry)| !workshop.own_files().stands(entry));
            differs.map(|(_, entry)| entry.path.clone())
        };
        match tokio::task::spawn_blocking(look)
            .await
            .map_err(Failure::Reply)?
        {
            None => Ok(()),
            Some(path) => Err(unsuited(format!(
                "the server's own {path} differs and namespaces are not allowed here"
            ))),
        }
    }

    async fn finish(&mut self, peer: &Peer, ended: Ended) -> Result<Done, Failure> {
        let Ended {
            work,
            plan,
            hidden,
            flight,
            finished,
        } = ended;
        log_cost(peer, &finished);
        let ending = ending_of(finished.outcome, self.house.is_stopping())?;
        let status = finished.reply.status;
        let (compiler, source) = (shown(&work.argv[0]), shown(&finished.source));
        let (shelf, workshop) = (
            Arc::clone(&self.shelf),
            self.house.settings.workshop.clone(),
        );
        let encode = move || work.reply(&shelf, &workshop, &plan, hidden.as_ref(), finished);
        let (bytes, cache) = off_thread(encode).await?;
        // Before the reply is sent: whoever waits for the result does not wait for a slow client.
        if let Some(flight) = flight {
            flight.over();
        }
        self.progress.replies();
        send(self.house, peer, bytes, self.writer).await;
        Ok(Done {
            ending,
            status,
            compiler,
            source,
            cache,
        })
    }
}
