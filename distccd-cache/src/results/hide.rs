//! What a job must not see of the files that a server shows it beside those that it uses (see [`super::probes`]). Owns what one job looks for.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::bundle::entry::{Content, Entry};
use protocol::bundle::manifest::Manifest;
use protocol::command_line::CommandLine;

use super::probes::{Names, Probes, hash};
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
    /// What macros stand for, and whether one of these is included by its macro's name.
    defined: HashSet<Box<[u8]>>,
    is_by_macro: bool,
    /// Hashes of macros that ask, and of what is called in `#if` with a name that macros make.
    wrappers: HashSet<u64>,
    calls: HashSet<u64>,
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
            defined: HashSet::new(),
            is_by_macro: false,
            wrappers: HashSet::new(),
            calls: HashSet::new(),
            is_unlisted: line.dependencies().user_only,
        };
        for forced in line.forced_includes() {
            wanted.add_name(forced.file);
        }
        for given in line.macros() {
            let body = given.text.splitn(2, |&byte| byte == b'=').nth(1);
            if let Some([b'<' | b'"', name @ .., b'>' | b'"']) = body {
                wanted.defined.insert(name.into());
            }
        }
        wanted
    }

    /// What a content asks for.
    pub(crate) fn add(&mut self, probes: &Probes) {
        self.wrappers
            .extend(probes.wrappers.iter().map(|name| hash(name)));
        self.calls.extend(&probes.calls);
        self.add_names(&probes.asked, true);
        self.add_names(&probes.included, self.is_unlisted);
        if self.is_unlisted {
            self.is_by_macro |= probes.is_by_macro;
            self.defined.extend(probes.defined.iter().cloned());
        }
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
        mut self,
        manifest: &Manifest,
        table: &Table,
    ) -> Result<Vec<Vec<u8>>, String> {
        if self.is_by_macro {
            let defined = std::mem::take(&mut self.defined);
            self.is_computed |= defined.is_empty();
            defined.iter().for_each(|name| self.add_name(name));
        }
        let is_computed = self.is_computed || !self.wrappers.is_disjoint(&self.calls);
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
            if own || !is_computed && !self.may_find(entry, links) {
                continue;
            }
            if is_computed {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::contents::Content as Read;
    use protocol::bundle::digest::Digest;
    use protocol::bundle::entry::Name;
    use protocol::bundle::table::TableId;
    use protocol::tree_path::TreePath;

    /// What is hidden from a job that uses the first of some paths, with this content.
    fn hidden(line: &str, paths: &[&str], text: &str) -> Result<Vec<String>, String> {
        let table = Table::new(TableId([3; 16]));
        let entry = |path: &&str| Entry {
            path: TreePath::new(path.as_bytes()).unwrap(),
            content: match path.ends_with('/') {
                true => Content::Directory,
                false => Content::File {
                    digest: Digest([1; 32]),
                    size: 0,
                    modified: 0,
                },
            },
            late: false,
            system: false,
            name: Name::Relative,
        };
        table.extend(paths.iter().map(entry).collect());
        let length = table.len();
        let manifest = Manifest {
            table: table.id(),
            length,
            link: table.link(length).unwrap(),
            used: [0].into_iter().collect(),
            dead: Default::default(),
            own: Vec::new(),
        };
        let words: Vec<Vec<u8>> = line
            .split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect();
        let mut wanted = Wanted::of(&CommandLine::parse(&words));
        wanted.add(&Read::of(text.as_bytes()).probes);
        let hidden = wanted.hidden(&manifest, &table)?;
        let text = |path: Vec<u8>| String::from_utf8(path).unwrap();
        Ok(hidden.into_iter().map(text).collect())
    }

    #[test]
    fn what_may_be_found_is_hidden_and_nothing_else() {
        let line = "gcc -MD -c a.c";
        let paths = ["/p/a.h", "/p/x.h", "/q/deep/x.h", "/q/y.h", "/p/a.h.gch"];
        let check = |line: &str, text: &str, expected: &[&str]| {
            assert_eq!(hidden(line, &paths, text).unwrap(), expected, "{text}");
        };
        check(line, "int x;\n", &["/p/a.h.gch"]);
        let asks = "#if __has_include(\"x.h\")\n";
        check(line, asks, &["/p/a.h.gch", "/p/x.h", "/q/deep/x.h"]);
        let asks = "#if __has_include(<deep/x.h>)\n";
        check(line, asks, &["/p/a.h.gch", "/q/deep/x.h"]);
        check(line, "#include \"y.h\"\n", &["/p/a.h.gch"]);
        // A list of what was read without the system's headers does not tell.
        let unlisted = "gcc -MMD -c a.c";
        check(unlisted, "#include <y.h>\n", &["/p/a.h.gch", "/q/y.h"]);
        let by_macro = "#include Y\n#define Y <y.h>\n";
        check(unlisted, by_macro, &["/p/a.h.gch", "/q/y.h"]);
        let given = "gcc -MMD -DY=<y.h> -c a.c";
        check(given, "#include Y\n", &["/p/a.h.gch", "/q/y.h"]);
        let wrapped = "#define HAS(x) __has_include(x)\n#if HAS(<y.h>)\n";
        check(line, wrapped, &["/p/a.h.gch", "/q/y.h"]);
    }

    #[test]
    fn names_that_macros_make_cannot_be_told() {
        let line = "gcc -MD -c a.c";
        for text in [
            "#if __has_include(NAME)\n",
            "#define HAS(x) __has_include(x)\n#if HAS(NAME)\n",
        ] {
            assert!(hidden(line, &["/p/a.h", "/q/y.h"], text).is_err(), "{text}");
            // Nothing else is shown.
            assert_eq!(hidden(line, &["/p/a.h"], text), Ok(vec![]), "{text}");
        }
    }
}
