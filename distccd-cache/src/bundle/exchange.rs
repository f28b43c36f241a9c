//! Asking a client for what is lacking, and taking it in: settings, parts of tables, blobs. Nothing is kept that was not asked for or does not have the
//! digest that it was asked for by.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::bundle::block::Codecs;
use protocol::bundle::digest::Digest;
use protocol::bundle::need::Need;
use protocol::bundle::pack::Pack;
use protocol::bundle::put_frame;
use protocol::bundle::refusal::{Refusal, RefusalKind};
use protocol::bundle::setting::{Setting, decode_setting};
use protocol::bundle::table::Extension;
use protocol::error::WireError;
use protocol::token::Tag;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::frames::Frames;
use crate::failure::Failure;
use crate::house::House;
use crate::receive::ReceiveError;
use crate::shelf::Shelf;
use crate::store::{StoreError, Ticket};
use crate::table::Table;

/// One client at the other end.
pub(super) struct Exchange<'a, R, W> {
    pub(super) house: &'a House,
    pub(super) progress: &'a Progress,
    pub(super) shelf: Arc<Shelf>,
    pub(super) frames: Frames<'a, R>,
    pub(super) writer: &'a mut W,
}

/// How far a conversation is, for whoever ends it from outside.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// It compiles or is being answered, so that it may go on when the daemon is to stop.
    may_end: AtomicBool,
    /// A part of a message was written: what is written now would be taken for the rest of it.
    is_in_message: AtomicBool,
}

impl Progress {
    pub(super) fn may_end(&self) -> bool {
        self.may_end.load(Ordering::Relaxed)
    }

    pub(super) fn is_in_message(&self) -> bool {
        self.is_in_message.load(Ordering::Relaxed)
    }

    /// The compile begins.
    pub(super) fn compiles(&self) {
        self.may_end.store(true, Ordering::Relaxed);
    }

    /// The reply begins, after which nothing is sent.
    pub(super) fn replies(&self) {
        self.may_end.store(true, Ordering::Relaxed);
        self.is_in_message.store(true, Ordering::Relaxed);
    }
}

/// The messages by which a client gives what it was asked for.
const GIFTS: &[Tag] = &[Tag::SETT, Tag::TABL, Tag::PACK, Tag::HAVE];

/// A client that broke a rule.
pub(super) fn broken(text: impl Into<String>) -> Failure {
    Failure::Refused(Refusal {
        kind: RefusalKind::Broken,
        text: text.into(),
    })
}

/// A job that is better done in another way.
pub(super) fn unsuited(text: impl Into<String>) -> Failure {
    Failure::Refused(Refusal {
        kind: RefusalKind::Unsuited,
        text: text.into(),
    })
}

fn wire(error: WireError) -> Failure {
    ReceiveError::Wire(error).into()
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Exchange<'_, R, W> {
    /// Sends one message.
    pub(super) async fn send(&mut self, tag: Tag, body: &[u8]) -> Result<(), Failure> {
        let mut message = Vec::with_capacity(body.len() + 16);
        put_frame(&mut message, tag, body);
        let latest = Instant::now() + self.house.settings.io_timeout;
        let written = async {
            timeout_at(latest, self.writer.write_all(&message)).await??;
            timeout_at(latest, self.writer.flush()).await??;
            Ok::<(), std::io::Error>(())
        };
        let is_in_message = &self.progress.is_in_message;
        is_in_message.store(true, Ordering::Relaxed);
        written.await.map_err(|_| Failure::ClientLeft)?;
        is_in_message.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Asks for a setting, and for a table from its end on.
    pub(super) async fn fetch_terms(
        &mut self,
        setting: Option<Digest>,
        table: Option<&Arc<Table>>,
    ) -> Result<(), Failure> {
        let need = Need {
            codecs: Codecs::ALL,
            setting: setting.is_some(),
            table: table.map(|table| table.len()),
            blobs: Vec::new(),
        };
        self.send(Tag::NEED, &need.encode()).await?;
        let limits = self.house.settings.limits;
        let mut setting = setting;
        loop {
            let (frame, _memory) = self.frames.next(GIFTS).await?;
            match frame.tag {
                Tag::HAVE => break,
                Tag::SETT => {
                    let name = setting.take().ok_or_else(|| broken(UNASKED))?;
                    let plain = decode_setting(&frame.body, &limits).map_err(wire)?;
                    if Digest::of(&plain) != name {
                        return Err(broken(
                            "the setting has not the digest that it was offered by",
                        ));
                    }
                    let known = Arc::new(Setting::decode(&plain, &limits).map_err(wire)?);
                    if let Err(error) = self.shelf.keep_setting(name, &plain, &known) {
                        tracing::warn!("a setting is kept in memory only: {error}");
                    }
                }
                Tag::TABL => {
                    let table = table.ok_or_else(|| broken(UNASKED))?;
                    let extension = Extension::decode(&frame.body, &limits).map_err(wire)?;
                    let length = u64::from(table.len()) + extension.entries.len() as u64;
                    // A long table comes in several parts.
                    if extension.id != table.id() || extension.from != table.len() {
                        return Err(broken(
                            "the table's entries are not those that were asked for",
                        ));
                    }
                    if length > u64::from(limits.table_entries) {
                        return Err(broken("the table is longer than any may be"));
                    }
                    table.extend(extension.entries);
                }
                _ => return Err(broken(UNASKED)),
            }
        }
        match setting.is_some() {
            true => Err(broken(WITHHELD)),
            false => Ok(()),
        }
    }

    /// Asks for blobs, some of them without a ticket, and puts them into the store. A ticket is given back as soon as its blob is there.
    pub(super) async fn fetch_blobs(
        &mut self,
        tickets: Vec<Ticket>,
        others: impl Iterator<Item = Digest>,
    ) -> Result<(), Failure> {
        let others = others.map(|digest| (digest, None));
        let mut awaited: HashMap<Digest, Option<Ticket>> = tickets
            .into_iter()
            .map(|ticket| (Digest(*ticket.digest()), Some(ticket)))
            .chain(others)
            .collect();
        let need = Need {
            codecs: Codecs::ALL,
            setting: false,
            table: None,
            blobs: awaited.keys().copied().collect(),
        };
        self.send(Tag::NEED, &need.encode()).await?;
        let limits = self.house.settings.limits;
        loop {
            let (frame, _memory) = self.frames.next(GIFTS).await?;
            match frame.tag {
                Tag::HAVE if awaited.is_empty() => return Ok(()),
                Tag::HAVE => return Err(broken(WITHHELD)),
                Tag::PACK => {
                    let shelf = Arc::clone(&self.shelf);
                    let unpack = move || -> Result<_, Failure> {
                        let pack = Pack::decode(&frame.body, &limits).map_err(wire)?;
                        for (digest, bytes) in pack.blobs() {
                            let ticket = awaited.remove(&digest).ok_or_else(|| broken(UNASKED))?;
                            shelf.store.put(digest.0, bytes).map_err(refused_by_store)?;
                            if let Some(ticket) = ticket {
                                ticket.done();
                            }
                        }
                        Ok(awaited)
                    };
                    let unpacked = tokio::task::spawn_blocking(unpack).await;
                    awaited = unpacked.map_err(Failure::Reply)??;
                }
                _ => return Err(broken(UNASKED)),
            }
        }
    }
}

const UNASKED: &str = "the client sent something that it was not asked for";
const WITHHELD: &str = "the client did not send all that it was asked for";

fn refused_by_store(error: StoreError) -> Failure {
    match error {
        StoreError::WrongDigest { .. } => broken(error.to_string()),
        _ => unsuited(format!("the server cannot keep files: {error}")),
    }
}
