//! One job in the bundle dialect: offer, compiler, what is lacking, a slot, the compile, the reply. Owns the order of the steps.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, OnceLock};

use protocol::bundle::BUNDLE_VERSION;
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::Content;
use protocol::bundle::offer::Offer;
use protocol::bundle::refusal::{Refusal, RefusalKind};
use protocol::bundle::reply::BundleReply;
use protocol::bundle::setting::Setting;
use protocol::token::Tag;
use protocol::tree_path::TreePath;
use tokio::io::{AsyncRead, AsyncWrite};

use super::compilers;
use super::exchange::{Exchange, broken, unsuited};
use super::frames::Frames;
use crate::arguments;
use crate::failure::{Done, Failure, ending_of};
use crate::house::House;
use crate::job::{BundleJob, Finished, JobError};
use crate::log::shown;
use crate::reply::{log_cost, send};
use crate::shelf::Shelf;
use crate::table::Table;
use crate::workshop::Workshop;

/// How often a compile may start anew because a file of it was evicted meanwhile.
const ATTEMPTS: usize = 4;

/// Variables of the client's that go to the compiler; others are none of its business.
const VARIABLES: [&[u8]; 1] = [b"SOURCE_DATE_EPOCH="];

/// Serves one offer; `first` was read from the connection. A refusal is told to the client.
pub(crate) async fn converse<R, W>(
    house: &House,
    shelf: &Arc<Shelf>,
    peer: &str,
    first: Vec<u8>,
    reader: &mut R,
    writer: &mut W,
) -> Result<Done, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let settings = &house.settings;
    let mut exchange = Exchange {
        house,
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
    let result = tokio::select! {
        result = exchange.job(peer) => result,
        () = house.stopping() => Err(Failure::Stopping),
    };
    if let Err(failure) = &result
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
        Failure::Stopping => RefusalKind::Busy,
        Failure::Arguments(_) | Failure::Job(_) | Failure::Reply(_) => RefusalKind::Unsuited,
    };
    let text = failure.to_string();
    Some(Refusal { kind, text })
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Exchange<'_, R, W> {
    async fn job(&mut self, peer: &str) -> Result<Done, Failure> {
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
        let (setting, mut table) = self.terms(&offer).await?;
        let argv = offer
            .command_line(&setting.words)
            .map_err(|error| broken(error.to_string()))?;
        tracing::debug!("{peer}: {}", shown(&argv.join(&b' ')));
        let environment = environment_of(&setting);
        let platform = &setting.platform;
        let compiler = compilers::find(self.house, &self.shelf, &argv, platform).await?;
        if let Some(refusal) = arguments::refused(&argv, settings.sysroot.as_deref()) {
            return Err(Failure::Arguments(refusal));
        }
        self.check_system_headers(&offer, &table).await?;
        for _ in 0..ATTEMPTS {
            let pins = self.blobs(&offer, &table).await?;
            let job = BundleJob {
                argv: argv.clone(),
                cwd: setting.cwd.clone(),
                system_directories: setting.platform.system_directories.clone(),
                environment: environment.clone(),
                table: Arc::clone(&table),
                manifest: offer.manifest.clone(),
            };
            let slot = tokio::select! {
                slot = self.house.slots.acquire() => slot,
                () = self.frames.left() => return Err(Failure::ClientLeft),
            };
            let content = contents(&self.shelf, &settings.workshop, &offer, &table);
            let cancelled = async {
                tokio::select! {
                    () = self.frames.left() => {}
                    () = self.house.stopping() => {}
                }
            };
            let finished = settings
                .workshop
                .run_bundle(job, &compiler, content, cancelled)
                .await;
            drop(slot);
            drop(pins);
            match finished {
                Ok(finished) => return self.finish(peer, &offer, shown(&argv[0]), finished).await,
                Err(JobError::Vanished(digests)) => {
                    tracing::info!("{peer}: {} files were evicted meanwhile", digests.len());
                    forget(&table, &offer, &digests);
                    (_, table) = self.terms(&offer).await?;
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

    async fn finish(
        &mut self,
        peer: &str,
        offer: &Offer,
        compiler: String,
        finished: Finished,
    ) -> Result<Done, Failure> {
        log_cost(peer, &finished);
        let ending = ending_of(finished.outcome, self.house.is_stopping())?;
        let reply = BundleReply {
            status: finished.reply.status,
            stderr: finished.reply.stderr,
            stdout: finished.reply.stdout,
            object: finished.reply.object,
            dependencies: finished.reply.dependencies.unwrap_or_default(),
            side: finished.side,
        };
        let status = reply.status;
        let codec = offer.codecs.best();
        send(self.house, peer, move || reply.encode(codec), self.writer).await?;
        Ok(Done {
            ending,
            status,
            compiler,
            source: shown(&finished.source),
        })
    }
}

/// Where a job's files come from: the store, or this server's own copy.
fn contents(
    shelf: &Arc<Shelf>,
    workshop: &Workshop,
    offer: &Arc<Offer>,
    table: &Arc<Table>,
) -> impl Fn(&Digest) -> io::Result<Option<Vec<u8>>> + Send + Sync + 'static + use<> {
    let (shelf, workshop) = (Arc::clone(shelf), workshop.clone());
    let (offer, table) = (Arc::clone(offer), Arc::clone(table));
    // The files that the server may have of its own; looked up when the first one is not in the store.
    let own = OnceLock::new();
    move |wanted| {
        if let Some(bytes) = shelf.store.get(&wanted.0).map_err(io::Error::other)? {
            return Ok(Some(bytes));
        }
        let own: &HashMap<Digest, TreePath> = own.get_or_init(|| {
            let rows = table.entries(offer.manifest.used.iter());
            let system = rows.iter().filter(|(_, entry)| entry.system);
            let named = system.filter_map(|(_, entry)| match entry.content {
                Content::File { digest, .. } => Some((digest, entry.path.clone())),
                _ => None,
            });
            named.collect()
        });
        let path = own.get(wanted);
        Ok(path.and_then(|path| workshop.own_files().read(path.as_bytes(), wanted)))
    }
}

/// What was thought to be here is not.
fn forget(table: &Table, offer: &Offer, gone: &[Digest]) {
    for (index, entry) in table.entries(offer.manifest.used.iter()) {
        if matches!(&entry.content, Content::File { digest, .. } if gone.contains(digest)) {
            table.set_provided(index, false);
        }
    }
}

fn environment_of(setting: &Setting) -> Vec<(OsString, OsString)> {
    let entries = setting.platform.environment.iter();
    let allowed = entries.filter(|entry| VARIABLES.iter().any(|name| entry.starts_with(name)));
    let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    allowed
        .filter(|entry| !entry.contains(&0))
        .filter_map(|entry| {
            let equals = entry.iter().position(|&byte| byte == b'=')?;
            Some((text(&entry[..equals]), text(&entry[equals + 1..])))
        })
        .collect()
}
