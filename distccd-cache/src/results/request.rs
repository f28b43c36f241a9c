//! Plans for jobs of stock's protocols: clients that say nothing of digests. Owns no state.
//!
//! What a client sends is hashed as it is on the wire; it need not be unpacked, nor even told apart, for a job that was done before.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use protocol::bundle::digest::Digest;
use protocol::command_line::{CommandLine, Meaning, SearchKind};
use protocol::identity::Identity;
use protocol::request::{Head, Input as Sent, Request};
use protocol::tree::EntryContent;
use protocol::version::Version;

use super::key::{Door, Ingredients, Input, What};
use super::plan::{Placed, Plan};
use super::sent::Known;
use super::shelf::Results;
use crate::command::Command;
use crate::tree::{is_below, parent_of};
use crate::view::skeleton::TOOLCHAIN_ROOTS;
use crate::workshop::Workshop;

/// A job as a client of stock's protocols sends it.
pub(crate) struct Requested<'a> {
    pub(crate) compiler: &'a Path,
    pub(crate) identity: &'a Identity,
    pub(crate) head: &'a Head,
}

/// Its files, for a job that was not done before.
pub(crate) struct Files<'a> {
    pub(crate) request: &'a Request,
    /// Of what was sent, in its order.
    pub(crate) digests: &'a [Digest],
}

impl Requested<'_> {
    /// What is to become of its result. Blocks on the disk when this server's headers have changed.
    pub(crate) fn plan(&self, results: &Results, workshop: &Workshop, known: &Known) -> Plan {
        let plan = self.look(results, workshop, |line, ingredients| {
            let mut meetings = known.meetings.iter();
            match meetings.find(|path| is_unwatched(path, results, workshop)) {
                Some(path) => Plan::Not(unwatched(path)),
                None => Plan::of(line, ingredients, &known.placed),
            }
        });
        plan.unwrap_or_else(Plan::Not)
    }

    /// What a name says of its files, and where they meet this server's.
    pub(crate) fn known(&self, files: &Files<'_>, workshop: &Workshop) -> Known {
        let inputs = files.inputs();
        let cwd = self.head.cwd.as_deref().unwrap_or_default();
        let is_tree = self.door() == Door::Tree;
        let may_move = is_tree && workshop.shows_own_paths() && all_are_near(cwd, &inputs);
        let line = CommandLine::parse(&self.head.argv);
        Known {
            placed: Placed::of(cwd, &line, &inputs, may_move),
            meetings: match is_tree {
                true => meetings(&inputs, workshop),
                false => Vec::new(),
            },
        }
    }

    fn door(&self) -> Door {
        match self.head.version.server_preprocesses() {
            true => Door::Tree,
            false => Door::Preprocessed,
        }
    }

    /// Why there is no result yet, in a line.
    pub(crate) fn explain(
        &self,
        results: &Results,
        workshop: &Workshop,
        files: &Files<'_>,
    ) -> String {
        let explained = self.look(results, workshop, |line, ingredients| {
            let source = line.source().unwrap_or_default();
            let inputs = files.inputs();
            results.explanations.of(source, ingredients, &inputs)
        });
        explained.unwrap_or_else(|reason| reason)
    }

    /// Brings together what the result depends on beside its inputs, or says why that is not known.
    fn look<T>(
        &self,
        results: &Results,
        workshop: &Workshop,
        then: impl FnOnce(&CommandLine, &Ingredients<'_>) -> T,
    ) -> Result<T, String> {
        let command = Command::parse(&self.head.argv).map_err(|error| error.to_string())?;
        let line = &command.line;
        let door = self.door();
        let argv = match door {
            Door::Preprocessed => Cow::Owned(without_names(&command)),
            _ => Cow::Borrowed(&self.head.argv),
        };
        let path = workshop.program_path(self.compiler);
        let own_headers = self.own_headers(results, line, door, &path, workshop)?;
        let environment = workshop.environment(&[]);
        let ingredients = Ingredients {
            door,
            compiler: self.compiler.as_os_str(),
            identity: self.identity,
            program_path: OsStr::new(&path),
            environment: &environment,
            own_paths: workshop.shows_own_paths(),
            cwd: self.head.cwd.as_deref().unwrap_or_default(),
            argv: &argv,
            system_directories: &[],
            own_headers,
        };
        Ok(then(line, &ingredients))
    }

    /// What this server's headers are, for a job that may read them.
    fn own_headers(
        &self,
        results: &Results,
        line: &CommandLine,
        door: Door,
        program_path: &OsStr,
        workshop: &Workshop,
    ) -> Result<Option<Digest>, String> {
        let names_language = line
            .items()
            .iter()
            .any(|item| item.means() == Some(Meaning::Language));
        if door == Door::Preprocessed && !names_language {
            return Ok(None);
        }
        let language = line.language().map(|language| language.language);
        let language = language.ok_or("the command line names no language that is known here")?;
        let own = &results.own_headers;
        let digest = own
            .digest(self.compiler, language, self.identity, program_path)
            .map_err(|why| format!("nothing vouches for this server's headers: {why}"))?;
        let cwd = self.head.cwd.as_deref().unwrap_or(b"/");
        let elsewhere = line.items().iter().find_map(|item| {
            let row = item.row?;
            if matches!(row.means, Meaning::Search(kind) if changes_defaults(kind)) {
                return Some(item.text);
            }
            let span = item.value.filter(|_| row.path)?;
            let path = joined(cwd, line.bytes(span));
            is_unwatched(&path, results, workshop).then_some(span)
        });
        match elsewhere {
            None => Ok(Some(digest)),
            Some(span) => Err(unwatched(line.bytes(span))),
        }
    }
}

impl Files<'_> {
    /// Why the result is not kept after all: something mentions the time, reads files by itself, or is none of the headers that are watched.
    pub(crate) fn doubt(
        &self,
        results: &Results,
        own_reads: &[Vec<u8>],
        unpack: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Option<String> {
        if let Some(path) = own_reads
            .iter()
            .find(|path| !results.own_headers.covers(path))
        {
            return Some(unwatched(path));
        }
        for (path, bytes, digest) in self.files() {
            let path = String::from_utf8_lossy(path);
            match results.content(digest, || Ok(unpack(bytes))) {
                Ok(Some(found)) if found.mentions.is_nothing() => {}
                Ok(Some(found)) => {
                    return Some(format!("{path} mentions {}", found.mentions.words()));
                }
                _ => return Some(format!("{path} cannot be unpacked")),
            }
        }
        None
    }

    /// All files that were sent, in the order of their paths.
    fn inputs(&self) -> Vec<Input<'_>> {
        let entries = match &self.request.input {
            Sent::Tree(entries) => entries,
            Sent::Preprocessed(_) => {
                return vec![Input {
                    // Packed and plain bytes are different things.
                    path: match self.request.version {
                        Version::Plain1 => b"plain",
                        _ => b"packed",
                    },
                    what: What::Wire(&self.digests[0]),
                    name: None,
                }];
            }
        };
        let mut inputs: Vec<Input<'_>> = entries
            .iter()
            .zip(self.digests)
            .map(|(entry, digest)| Input {
                path: entry.path.as_bytes(),
                what: match &entry.content {
                    EntryContent::File(_) => What::Wire(digest),
                    EntryContent::Link(target) => What::Link(target),
                },
                name: None,
            })
            .collect();
        // Stable: of two entries with one path the later one wins, and their order counts.
        inputs.sort_by_key(|input| input.path);
        inputs
    }

    /// The files that were sent: path, bytes on the wire, and digest of those.
    fn files(&self) -> Vec<(&[u8], &[u8], &Digest)> {
        let entries = match &self.request.input {
            Sent::Preprocessed(source) => return vec![(b"the source", source, &self.digests[0])],
            Sent::Tree(entries) => entries.iter().zip(self.digests),
        };
        let files = entries.filter_map(|(entry, digest)| match &entry.content {
            EntryContent::File(bytes) => Some((entry.path.as_bytes(), &bytes[..], digest)),
            EntryContent::Link(_) => None,
        });
        files.collect()
    }
}

/// The command line of a preprocessed job as it is carried out: source and object have names of this server's.
fn without_names(command: &Command) -> Vec<Vec<u8>> {
    let mut words = command.with_source(command.preprocessed_suffix());
    words.extend([b"-o".to_vec(), Vec::new()]);
    for item in command.line.items() {
        if item.means() == Some(Meaning::Output) {
            words[item.words.clone()].fill(b"-o".to_vec());
        }
    }
    words
}

/// Options that make a compiler look in other places than it says by itself.
fn changes_defaults(kind: SearchKind) -> bool {
    match kind {
        SearchKind::Prefix
        | SearchKind::WithPrefix
        | SearchKind::WithPrefixBefore
        | SearchKind::WithSysroot
        | SearchKind::Framework
        | SearchKind::HeaderSysroot
        | SearchKind::Sysroot
        | SearchKind::Multilib
        | SearchKind::Programs
        | SearchKind::Overlay
        | SearchKind::Toolchain => true,
        SearchKind::Quote
        | SearchKind::Bracket
        | SearchKind::System
        | SearchKind::LanguageSystem
        | SearchKind::After
        | SearchKind::NoStandard
        | SearchKind::NoStandardPart
        | SearchKind::Split => false,
    }
}

fn unwatched(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    format!("{path} is outside the directories that this server watches")
}

/// Whether a job may see something of this server's at a path, for which no digest vouches.
fn is_unwatched(path: &[u8], results: &Results, workshop: &Workshop) -> bool {
    is_shown(path, workshop) && !results.own_headers.covers(path)
}

/// The places at which a job may come to something of this server's, which somebody must watch.
fn meetings(inputs: &[Input<'_>], workshop: &Workshop) -> Vec<Vec<u8>> {
    let places = inputs.iter().filter_map(|input| match input.what {
        What::Link(target) => Some(joined(parent_of(input.path), target)),
        // Where the client and this server both have files, a job may see both.
        What::Wire(_) => Some(input.path.to_vec()),
        _ => None,
    });
    // What is there only now and then is looked for each time.
    let may_be_shown = |path: &Vec<u8>| !workshop.shows_own_paths() || is_shown(path, workshop);
    places.filter(may_be_shown).collect()
}

/// Whether a job may see something of this server's at a path.
fn is_shown(path: &[u8], workshop: &Workshop) -> bool {
    let mut roots = TOOLCHAIN_ROOTS.iter();
    roots.any(|root| is_below(path, root.as_bytes()))
        || !workshop.shows_own_paths() && Path::new(OsStr::from_bytes(path)).exists()
}

/// An absolute path without `.` and `..`, which may be another than the one behind links: it is only asked whether it may be the server's.
pub(super) fn joined(cwd: &[u8], path: &[u8]) -> Vec<u8> {
    let cwd = if path.starts_with(b"/") {
        &b""[..]
    } else {
        cwd
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in cwd.split(|&b| b == b'/').chain(path.split(|&b| b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.iter().fold(Vec::new(), |mut all, part| {
        all.push(b'/');
        all.extend_from_slice(part);
        all
    })
}

/// Whether all files are below the first directory of the working directory: by which names the compiler knows files elsewhere, such a client does not say.
fn all_are_near(cwd: &[u8], inputs: &[Input<'_>]) -> bool {
    let end = cwd.iter().skip(1).position(|&byte| byte == b'/');
    let Some(top) = end.map(|end| &cwd[..=end]) else {
        return false;
    };
    let mut files = inputs
        .iter()
        .filter(|input| matches!(input.what, What::Wire(_)));
    files.all(|input| is_below(input.path, top))
}
