//! Plans for jobs in the bundle dialect. Owns no state.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry, Name};
use protocol::bundle::indices::Indices;
use protocol::bundle::manifest::Manifest;
use protocol::bundle::setting::Setting;
use protocol::command_line::CommandLine;
use protocol::identity::Identity;

use super::hide::{Hidden, Wanted};
use super::key::{Door, Ingredients, Input, What};
use super::plan::{Placed, Plan};
use super::request::joined;
use super::shelf::Results;
use crate::command::Command;
use crate::table::Table;
use crate::tree::parent_of;
use crate::view::skeleton::{DEVICES, ETC, TOOLCHAIN_ROOTS};
use crate::workshop::Workshop;

/// A job as its client offers it.
pub(crate) struct Offered<'a> {
    pub(crate) compiler: &'a Path,
    pub(crate) identity: &'a Identity,
    pub(crate) argv: &'a [Vec<u8>],
    pub(crate) setting: &'a Setting,
    /// The job's own variables.
    pub(crate) environment: &'a [(OsString, OsString)],
    pub(crate) manifest: &'a Manifest,
    pub(crate) table: &'a Table,
    /// See [`used`].
    pub(crate) used: &'a [Arc<Entry>],
}

impl Offered<'_> {
    /// What is to become of its result.
    pub(crate) fn plan(&self, workshop: &Workshop) -> Plan {
        self.look(workshop, |line, ingredients, inputs| {
            // Corrected outputs are for one place only.
            let may_move = workshop.shows_own_paths();
            let placed = Placed::of(ingredients.cwd, line, inputs, may_move);
            Plan::of(line, ingredients, &placed)
        })
    }

    /// Why there is no result yet, in a line.
    pub(crate) fn explain(&self, results: &Results, workshop: &Workshop) -> String {
        self.look(workshop, |line, ingredients, inputs| {
            let source = line.source().unwrap_or_default();
            results.explanations.of(source, ingredients, inputs)
        })
    }

    /// Brings together what the result depends on.
    fn look<T>(
        &self,
        workshop: &Workshop,
        then: impl FnOnce(&CommandLine, &Ingredients<'_>, &[Input<'_>]) -> T,
    ) -> T {
        let mut inputs: Vec<Input<'_>> = self.used.iter().map(|entry| input(entry)).collect();
        let mut own: Vec<Input<'_>> = self.manifest.own.iter().map(input).collect();
        own.sort_by_key(|input| input.path);
        inputs = merged(inputs, own);
        let environment = workshop.environment(self.environment);
        let path = workshop.program_path(self.compiler);
        let ingredients = Ingredients {
            door: Door::Bundle,
            compiler: self.compiler.as_os_str(),
            identity: self.identity,
            program_path: OsStr::new(&path),
            environment: &environment,
            own_paths: workshop.shows_own_paths(),
            cwd: &self.setting.cwd,
            argv: self.argv,
            system_directories: &self.setting.platform.system_directories,
            own_headers: None,
        };
        then(&CommandLine::parse(self.argv), &ingredients, &inputs)
    }

    /// What is to be hidden from the job, so that its result is one for everybody, now that all contents are here.
    ///
    /// # Errors
    /// Why the result cannot be kept: a content mentions the time, or reads or looks for files that nobody can tell.
    pub(crate) fn hidden(
        &self,
        results: &Results,
        content: impl Fn(&Digest) -> std::io::Result<Option<Vec<u8>>>,
    ) -> Result<Hidden, String> {
        let command = Command::parse(self.argv).map_err(|error| error.to_string())?;
        let mut contents = Vec::with_capacity(self.used.len() + self.manifest.own.len());
        let used = self.used.iter().map(|entry| &**entry);
        for entry in self.manifest.own.iter().chain(used) {
            let Content::File { digest, .. } = &entry.content else {
                continue;
            };
            match results.content(digest, || content(digest)) {
                Ok(Some(found)) if found.mentions.is_nothing() => contents.push(found),
                Ok(Some(found)) => {
                    return Err(format!(
                        "{} mentions {}",
                        entry.path,
                        found.mentions.words()
                    ));
                }
                Ok(None) => return Err(format!("{} has gone meanwhile", entry.path)),
                Err(error) => return Err(format!("{} cannot be read: {error}", entry.path)),
            }
        }
        let in_system = contents.iter().any(|content| content.probes.is_system);
        let mut wanted = Wanted::of(&command.line, in_system);
        contents
            .iter()
            .for_each(|content| wanted.add(&content.probes));
        Hidden::of(wanted, self.needed(&command), self.manifest, self.table)
    }

    /// Directories that a job has whatever its files are.
    fn needed(&self, command: &Command) -> Vec<Vec<u8>> {
        let outputs = std::iter::once(&command.output).chain(&command.dependencies);
        let outputs = outputs.map(|file| parent_of(&joined(&self.setting.cwd, file)).to_vec());
        let mounted = TOOLCHAIN_ROOTS.iter().chain(&ETC).chain(&DEVICES);
        let mounted = mounted.chain(&["/proc", "/tmp"]);
        let system = &self.setting.platform.system_directories;
        outputs
            .chain([self.setting.cwd.clone()])
            .chain(mounted.map(|path| path.as_bytes().to_vec()))
            .chain(system.iter().cloned())
            .collect()
    }
}

/// The table's entries that a job uses, in the order of their paths.
pub(crate) fn used(manifest: &Manifest, table: &Table) -> Vec<Arc<Entry>> {
    let order = table.in_order();
    let is_used = marks(&manifest.used, table.len());
    table.which(order.iter().copied(), |index, _| is_used(index))
}

/// Whether an index below `length` is in a set, in a few instructions.
pub(super) fn marks(indices: &Indices, length: u32) -> impl Fn(u32) -> bool + use<> {
    let mut bits = vec![0u64; length as usize / 64 + 1];
    for index in indices.iter().take_while(|index| *index < length) {
        bits[index as usize / 64] |= 1 << (index % 64);
    }
    move |index| bits[index as usize / 64] & (1 << (index % 64)) != 0
}

fn input(entry: &Entry) -> Input<'_> {
    Input {
        path: entry.path.as_bytes(),
        what: match &entry.content {
            Content::Directory => What::Directory,
            Content::Link(target) => What::Link(target),
            Content::File {
                digest, modified, ..
            } => What::File(digest, *modified),
        },
        name: match &entry.name {
            Name::Relative => None,
            Name::Path => Some(entry.path.as_bytes()),
            Name::Other(name) => Some(name),
        },
    }
}

/// Two lists in the order of their paths as one; what both have is the second's.
fn merged<'a>(first: Vec<Input<'a>>, second: Vec<Input<'a>>) -> Vec<Input<'a>> {
    let mut all = Vec::with_capacity(first.len() + second.len());
    let mut second = second.into_iter().peekable();
    for input in first {
        while let Some(own) = second.next_if(|own| own.path < input.path) {
            all.push(own);
        }
        if second.peek().is_none_or(|own| own.path != input.path) {
            all.push(input);
        }
    }
    all.extend(second);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_shadow_those_of_the_table() {
        let digests = [Digest([1; 32]), Digest([2; 32])];
        let list = |paths: &[&'static str], digest: usize| -> Vec<Input<'_>> {
            let inputs = paths.iter().map(|path| Input {
                path: path.as_bytes(),
                what: What::File(&digests[digest], 0),
                name: None,
            });
            inputs.collect()
        };
        let all = merged(list(&["/a", "/c", "/e"], 0), list(&["/b", "/c", "/f"], 1));
        let shown: Vec<_> = all.iter().map(|input| (input.path, input.what)).collect();
        let file = |digest: usize| What::File(&digests[digest], 0);
        let expected: [(&[u8], What<'_>); 5] = [
            (b"/a", file(0)),
            (b"/b", file(1)),
            (b"/c", file(1)),
            (b"/e", file(0)),
            (b"/f", file(1)),
        ];
        assert_eq!(shown, expected);
    }
}
