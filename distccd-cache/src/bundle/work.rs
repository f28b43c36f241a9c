//! An offered job with all that is known of it before its files are here. Owns that.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use protocol::bundle::block::Codec;
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry};
use protocol::bundle::offer::Offer;
use protocol::bundle::reply::{BundleReply, Fate, Note};
use protocol::bundle::setting::Setting;
use protocol::command_line::Word;
use protocol::identity::Identity;
use protocol::limits::Limits;
use protocol::tree_path::TreePath;

use crate::failure::Cached;
use crate::job::{BundleJob, Finished};
use crate::results::{Hidden, Offered, Plan, used};
use crate::shelf::Shelf;
use crate::table::Table;
use crate::workshop::Workshop;

/// Variables of the client's that go to the compiler; others are none of its business.
const VARIABLES: [&[u8]; 1] = [b"SOURCE_DATE_EPOCH="];

/// See the module's text.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) offer: Arc<Offer>,
    pub(super) setting: Arc<Setting>,
    pub(super) table: Arc<Table>,
    pub(super) argv: Vec<Word>,
    pub(super) compiler: PathBuf,
    pub(super) identity: Arc<Identity>,
    /// What it uses of the table, in the order of the paths; worked out when it is first asked for.
    pub(super) used: Arc<OnceLock<Vec<Arc<Entry>>>>,
}

impl Work {
    /// What the workshop needs.
    pub(super) fn job(&self, hidden: Option<&Hidden>) -> BundleJob {
        BundleJob {
            hidden: hidden.map_or_else(Vec::new, |hidden| hidden.paths.clone()),
            argv: self.argv.clone(),
            cwd: self.setting.cwd.clone(),
            system_directories: self.setting.platform.system_directories.clone(),
            environment: self.environment(),
            table: Arc::clone(&self.table),
            manifest: self.offer.manifest.clone(),
        }
    }

    /// What is to become of the result.
    pub(super) fn plan(&self, workshop: &Workshop) -> Plan {
        self.offered(&self.environment()).plan(workshop)
    }

    /// The reply to a compile that ended, and the result kept if it may be. Blocks on the disk.
    pub(super) fn reply(
        &self,
        shelf: &Arc<Shelf>,
        workshop: &Workshop,
        plan: &Plan,
        hidden: Option<&Hidden>,
        finished: Finished,
    ) -> (Vec<u8>, Cached) {
        let kept = match (plan, &shelf.results) {
            (Plan::Not(reason), _) => Err(reason.clone()),
            (Plan::Keep(_), None) => Err("results are not kept here".to_owned()),
            (Plan::Keep(named), Some(results)) => finished
                .is_fit_to_keep(workshop)
                .and_then(|()| match hidden {
                    Some(hidden) => hidden.still_does(&self.offer.manifest, &self.table),
                    None => Err("it is not known what the job looks for".to_owned()),
                })
                .map(|()| (named.for_result(&finished), results)),
        };
        let reply = BundleReply {
            note: Note::default(),
            status: finished.reply.status,
            stderr: finished.reply.stderr,
            stdout: finished.reply.stdout,
            object: finished.reply.object,
            dependencies: finished.reply.dependencies.unwrap_or_default(),
            side: finished.side,
        };
        match kept {
            Ok((name, results)) => {
                let outcome = reply.encode_outcome(Codec::Zstd);
                results.keep(&name, &outcome);
                let environment = self.environment();
                let text = self.offered(&environment).explain(results, workshop);
                let fate = Fate::Compiled;
                let note = Note { fate, text };
                (self.wrapped(&note, outcome), Cached::Kept(note.text))
            }
            Err(text) => {
                if let Some(results) = &shelf.results {
                    results.count_not_kept();
                }
                let fate = Fate::NotKept;
                let note = Note { fate, text };
                let outcome = reply.encode_outcome(self.offer.codecs.best());
                let bytes = BundleReply::with_outcome(&note, &outcome);
                (bytes, Cached::Not(note.text))
            }
        }
    }

    /// What is to be hidden from the job so that its result is one for everybody; where that cannot be done the plan is changed. Blocks on the disk.
    pub(super) fn hidden(
        &self,
        shelf: &Arc<Shelf>,
        workshop: &Workshop,
        plan: &mut Plan,
    ) -> Option<Hidden> {
        let (Plan::Keep(_), Some(results)) = (&plan, &shelf.results) else {
            return None;
        };
        let content = contents(shelf, workshop, &self.offer, &self.table);
        match self.offered(&[]).hidden(results, content) {
            Ok(hidden) => Some(hidden),
            Err(reason) => {
                *plan = Plan::Not(reason);
                None
            }
        }
    }

    /// A reply with a kept outcome, in a form that the client reads.
    pub(super) fn wrapped(&self, note: &Note, outcome: Vec<u8>) -> Vec<u8> {
        let codecs = self.offer.codecs;
        if codecs.contains(Codec::Zstd) {
            return BundleReply::with_outcome(note, &outcome);
        }
        // It was made here and read back whole.
        let reply = BundleReply::decode_outcome(&outcome, Limits::DEFAULT).unwrap_or_default();
        BundleReply::with_outcome(note, &reply.encode_outcome(codecs.best()))
    }

    fn offered<'a>(&'a self, environment: &'a [(OsString, OsString)]) -> Offered<'a> {
        Offered {
            compiler: &self.compiler,
            identity: &self.identity,
            argv: &self.argv,
            setting: &self.setting,
            environment,
            manifest: &self.offer.manifest,
            table: &self.table,
            used: self.used(),
        }
    }

    fn used(&self) -> &[Arc<Entry>] {
        self.used
            .get_or_init(|| used(&self.offer.manifest, &self.table))
    }

    /// The job's own variables.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let entries = self.setting.platform.environment.iter();
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

    /// What was thought to be here is not.
    pub(super) fn forget(&self, gone: &[Digest]) {
        for (index, entry) in self.table.entries(self.offer.manifest.used.iter()) {
            if matches!(&entry.content, Content::File { digest, .. } if gone.contains(digest)) {
                self.table.set_provided(index, false);
            }
        }
    }
}

/// Where a job's files come from: the store, or this server's own copy.
pub(super) fn contents(
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
