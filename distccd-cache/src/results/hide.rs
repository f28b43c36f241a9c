//! What a job must not see of the files that a server shows it beside those that it uses (see [`super::probes`]). Owns what one job looks for.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::bundle::entry::{Content, Entry};
use protocol::bundle::manifest::Manifest;
use protocol::command_line::CommandLine;

use super::probes::{Names, Probes};
use crate::table::Table;
use crate::tree::is_below;

/// Files that are hidden at most; a job from which more would have to be hidden keeps no result.
const MOST: usize = 256;

/// What the contents of a job look for.
pub(crate) struct Wanted {
    /// Whole names, without `.` and with what is behind the last `..`.
    names: HashSet<Vec<u8>>,
    /// Their last components.
    bases: HashSet<Vec<u8>>,
    /// All components but the last.
    directories: HashSet<Vec<u8>>,
    is_computed: bool,
    /// The compiler's list of what it read leaves the system's headers out, so that names in `#include` count, too.
    is_unlisted: bool,
}

impl Wanted {
    /// What the command line asks for.
    pub(crate) fn of(line: &CommandLine) -> Self {
        let mut wanted = Self {
            names: HashSet::new(),
            bases: HashSet::new(),
            directories: HashSet::new(),
            is_computed: false,
            is_unlisted: line.dependencies().user_only,
        };
        for forced in line.forced_includes() {
            wanted.add_name(forced.file);
        }
        wanted
    }

    /// What a content asks for.
    pub(crate) fn add(&mut self, probes: &Probes) {
        self.add_names(&probes.asked, true);
        self.add_names(&probes.included, self.is_unlisted);
    }

    fn add_names(&mut self, names: &Names, counts: bool) {
        self.is_computed |= counts && names.computed;
        for name in &names.written {
            match counts {
                true => self.add_name(name),
                false => self.add_directories(name),
            }
        }
    }

    fn add_name(&mut self, written: &[u8]) {
        self.add_directories(written);
        let parts = written.split(|&byte| byte == b'/');
        let mut name: Vec<&[u8]> = Vec::new();
        for part in parts {
            match part {
                b"" | b"." => {}
                b".." => name.clear(),
                part => name.push(part),
            }
        }
        let Some(base) = name.last() else {
            return;
        };
        if !self.bases.contains(*base) {
            self.bases.insert(base.to_vec());
        }
        self.names.insert(name.join(&b'/'));
    }

    fn add_directories(&mut self, written: &[u8]) {
        let Some(slash) = written.iter().rposition(|&byte| byte == b'/') else {
            return;
        };
        for part in written[..slash].split(|&byte| byte == b'/') {
            if !self.directories.contains(part) {
                self.directories.insert(part.to_vec());
            }
        }
    }

    /// The paths to hide.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub(crate) fn hidden(
        &self,
        manifest: &Manifest,
        table: &Table,
    ) -> Result<Vec<Vec<u8>>, String> {
        let all = table.entries(0..manifest.length);
        let is_unused =
            |index: u32| !manifest.used.contains(index) && !manifest.dead.contains(index);
        let links = all
            .iter()
            .any(|(_, entry)| matches!(entry.content, Content::Link(_)));
        let used: Vec<&Arc<Entry>> = all
            .iter()
            .filter(|(index, _)| manifest.used.contains(*index))
            .map(|(_, entry)| entry)
            .collect();
        let mut hidden = Vec::new();
        for (_, entry) in all.iter().filter(|(index, _)| is_unused(*index)) {
            let path = entry.path.as_bytes();
            let own = manifest
                .own
                .iter()
                .any(|own| is_below(own.path.as_bytes(), path));
            if own || !self.may_find(entry, links) {
                continue;
            }
            if self.is_computed {
                return Err(format!(
                    "a name is looked for that macros make, and {} is no file of the job",
                    entry.path
                ));
            }
            // What stands on the way to a file that is used is there for everybody.
            let is_on_the_way = used.iter().any(|used| is_below(used.path.as_bytes(), path));
            if !is_on_the_way {
                hidden.push(path.to_vec());
            }
            if hidden.len() > MOST {
                return Err("too many files would have to be hidden from the job".to_owned());
            }
        }
        // A path may have been entered more than once.
        hidden.sort_unstable();
        hidden.dedup();
        Ok(hidden)
    }

    /// Whether the job's compiler might find an entry.
    fn may_find(&self, entry: &Entry, links: bool) -> bool {
        let path = entry.path.as_bytes();
        let start = path
            .iter()
            .rposition(|&byte| byte == b'/')
            .map_or(0, |at| at + 1);
        let base = &path[start..];
        match entry.content {
            Content::Directory | Content::Link(_) => {
                self.directories.contains(base) || self.bases.contains(base)
            }
            // A compiler takes it in the place of a header without being asked.
            Content::File { .. } if base.ends_with(b".gch") || base.ends_with(b".pch") => true,
            Content::File { .. } if self.is_computed => true,
            Content::File { .. } if !self.bases.contains(base) => false,
            // Behind a link a file has another name than its path ends with.
            Content::File { .. } if links => true,
            Content::File { .. } => {
                let mut slashes = memchr::memrchr_iter(b'/', path);
                slashes.any(|at| self.names.contains(&path[at + 1..]))
            }
        }
    }
}
