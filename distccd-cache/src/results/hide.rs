//! What a job must not see of the files that a server shows it beside those that it uses (see [`super::probes`]). Owns what one job looks for.

use std::collections::HashSet;
use std::ops::Range;

use protocol::bundle::entry::{Content, Entry};
use protocol::bundle::manifest::Manifest;
use protocol::command_line::{CommandLine, SearchKind};

use super::bundle::marks;
use super::probes::{Directories, Names, Probes, hash};
use crate::table::Table;

/// Files and directories that are hidden at most, some 5 us each; a job from which more would have to be hidden keeps no result.
const MOST: usize = 4096;

/// What is hidden from a job, and what it looks for.
#[derive(Debug)]
pub(crate) struct Hidden {
    /// In order; a directory with all that is in it.
    pub(crate) paths: Vec<Vec<u8>>,
    wanted: Wanted,
    needed: Vec<Vec<u8>>,
    /// How many entries the table had.
    seen: u32,
}

impl Hidden {
    /// What is to be hidden of all that the table has by now. `needed` are directories that stay whatever is in them: where the job writes, where something
    /// is mounted.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub(crate) fn of(
        mut wanted: Wanted,
        needed: Vec<Vec<u8>>,
        manifest: &Manifest,
        table: &Table,
    ) -> Result<Self, String> {
        if wanted.is_by_macro {
            let defined = std::mem::take(&mut wanted.defined);
            wanted.is_computed |= defined.is_empty();
            defined.iter().for_each(|name| wanted.add_given(name));
        }
        let seen = table.len();
        Ok(Self {
            paths: wanted.found(manifest, table, &needed, 0..seen)?,
            wanted,
            needed,
            seen,
        })
    }

    /// Whether all that came into the table since is of no use to the job, or hidden: a grove may show what other jobs of the same client brought.
    ///
    /// # Errors
    /// That it is not, or cannot be told.
    pub(crate) fn still_does(&self, manifest: &Manifest, table: &Table) -> Result<(), String> {
        let new = self.seen..table.len();
        let found = match new.is_empty() {
            true => Vec::new(),
            false => self.wanted.found(manifest, table, &self.needed, new)?,
        };
        let is_hidden = |path: &[u8]| {
            let known = |way: &[u8]| self.paths.binary_search_by(|known| (**known).cmp(way));
            ways_to(path).any(|way| known(way).is_ok())
        };
        match found.iter().find(|path| !is_hidden(path)) {
            None => Ok(()),
            Some(path) => Err(format!(
                "{} came meanwhile, which the job might have found",
                String::from_utf8_lossy(path)
            )),
        }
    }
}

/// Whether a command line has the compiler look in system directories.
fn has_system(line: &CommandLine) -> bool {
    let kinds = || line.search_options().map(|option| option.kind);
    let has_standard = !kinds().any(|kind| kind == SearchKind::NoStandard);
    has_standard
        || kinds().any(|kind| {
            use SearchKind::{Bracket, NoStandard, Quote};
            !matches!(kind, Quote | Bracket | NoStandard)
        })
}

/// An absolute path and the directories on the way to it, the outermost first and without the root.
fn ways_to(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let ends = (1..=path.len()).filter(|&end| end == path.len() || path[end] == b'/');
    ends.map(|end| &path[..end])
}

/// Some paths and all directories on the ways to them.
fn ways_of<'a>(paths: impl Iterator<Item = &'a [u8]>) -> HashSet<&'a [u8]> {
    let mut all = HashSet::new();
    for path in paths {
        let mut ways = ways_to(path).rev();
        while ways.next().is_some_and(|way| all.insert(way)) {}
    }
    all
}

/// The last component of a path.
fn base(path: &[u8]) -> &[u8] {
    let slash = memchr::memrchr(b'/', path);
    &path[slash.map_or(0, |at| at + 1)..]
}

/// What the contents of a job look for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Whole names, without `.` and with what is behind the last `..`.
    names: HashSet<Vec<u8>>,
    /// Their last components.
    bases: HashSet<Vec<u8>>,
    directories: Directories,
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
    /// What the command line asks for. `in_system`: a content may say of itself that it is a system header.
    pub(crate) fn of(line: &CommandLine, in_system: bool) -> Self {
        let mut wanted = Self {
            names: HashSet::new(),
            bases: HashSet::new(),
            directories: Directories::default(),
            is_computed: false,
            defined: HashSet::new(),
            is_by_macro: false,
            wrappers: HashSet::new(),
            calls: HashSet::new(),
            is_unlisted: line.dependencies().user_only && (in_system || has_system(line)),
        };
        for forced in line.forced_includes() {
            wanted.add_given(forced.file);
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
        self.directories.extend(&probes.directories);
        self.add_names(&probes.asked);
        if self.is_unlisted {
            self.add_names(&probes.included);
            self.is_by_macro |= probes.is_by_macro;
            self.defined.extend(probes.defined.iter().cloned());
        }
    }

    fn add_names(&mut self, names: &Names) {
        self.is_computed |= names.computed;
        names.written.iter().for_each(|name| self.add_name(name));
    }

    /// A name that no content has by itself.
    fn add_given(&mut self, written: &[u8]) {
        self.directories.add(written);
        self.add_name(written);
    }

    fn add_name(&mut self, written: &[u8]) {
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

    /// What the job's compiler might find among some entries that the job does not use.
    fn found(
        &self,
        manifest: &Manifest,
        table: &Table,
        needed: &[Vec<u8>],
        among: Range<u32>,
    ) -> Result<Vec<Vec<u8>>, String> {
        // A name that macros make may be any.
        let finds_all = self.is_computed || !self.wrappers.is_disjoint(&self.calls);
        // What was there before is not looked at again.
        let links = among.start > 0 || table.has_link(among.end);
        let is_used = marks(&manifest.used, manifest.length);
        // Late ones are not shown to a job that was offered before.
        let is_shown = |index: u32, entry: &Entry| match index < manifest.length {
            true => !is_used(index) && !manifest.dead.contains(index),
            false => !entry.late,
        };
        let leads = |way: &[u8]| self.directories.crossed.contains(base(way));
        let is_crossed =
            |path: &[u8]| !self.directories.crossed.is_empty() && ways_to(path).any(leads);
        let found = table.which(among, |index, entry| {
            let may_find = || self.may_find(entry, links) || is_crossed(entry.path.as_bytes());
            is_shown(index, entry) && (finds_all || may_find())
        });
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let used = table.which(manifest.used.iter(), |_, _| true);
        let own = manifest.own.iter().map(|entry| entry.path.as_bytes());
        let stays = ways_of(
            used.iter()
                .map(|entry| entry.path.as_bytes())
                .chain(own)
                .chain(needed.iter().map(Vec::as_slice)),
        );
        let mut paths: HashSet<&[u8]> = HashSet::new();
        for entry in &found {
            // The first step on the way that is there for nobody else hides all behind it.
            let path = entry.path.as_bytes();
            let Some(first) = ways_to(path).find(|way| !stays.contains(way)) else {
                continue;
            };
            let mut new =
                ways_to(path).filter(|way| (first.len()..path.len()).contains(&way.len()));
            if finds_all || self.may_find(entry, links) || new.any(leads) {
                paths.insert(first);
            }
            if paths.len() > MOST {
                return Err("too many files would have to be hidden from the job".to_owned());
            }
        }
        let mut paths: Vec<Vec<u8>> = paths.into_iter().map(<[u8]>::to_vec).collect();
        paths.sort_unstable();
        Ok(paths)
    }

    /// Whether the job's compiler might find an entry.
    fn may_find(&self, entry: &Entry, links: bool) -> bool {
        let path = entry.path.as_bytes();
        let base = base(path);
        match entry.content {
            Content::Directory => self.directories.crossed.contains(base),
            Content::Link(_) => self.directories.named.contains(base) || self.bases.contains(base),
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
    use crate::table::fuzz::{FILE, entry};
    use protocol::bundle::table::TableId;
    use protocol::tree_path::TreePath;

    /// What is hidden from a job that uses the first of some paths, with this content.
    fn hidden(line: &str, paths: &[&str], text: &str) -> Result<Vec<String>, String> {
        let table = Table::new(TableId([3; 16]));
        let entry = |path: &&str| {
            let content = match path.ends_with('/') {
                true => Content::Directory,
                false => FILE,
            };
            entry(TreePath::new(path.as_bytes()).unwrap(), content)
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
        let read = Read::of(text.as_bytes());
        let mut wanted = Wanted::of(&CommandLine::parse(&words), read.probes.is_system);
        wanted.add(&read.probes);
        let hidden = Hidden::of(wanted, vec![b"/q/out".to_vec()], &manifest, &table)?;
        assert_eq!(hidden.still_does(&manifest, &table), Ok(()));
        // What others bring meanwhile: seen unless it is hidden, or of no use.
        let bring = |path: &str, late: bool| {
            let entry = Entry {
                late,
                ..entry(&path)
            };
            table.extend(vec![entry]);
            hidden.still_does(&manifest, &table)
        };
        assert_eq!(bring("/r/of/no/use.txt", true), Ok(()));
        for path in paths
            .iter()
            .filter(|path| hidden.paths.contains(&path.as_bytes().to_vec()))
        {
            assert_eq!(bring(path, false), Ok(()), "{path}");
        }
        assert!(bring("/elsewhere/b.gch", false).is_err());
        let text = |path: Vec<u8>| String::from_utf8(path).unwrap();
        Ok(hidden.paths.into_iter().map(text).collect())
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
        check(line, asks, &["/p/a.h.gch", "/p/x.h", "/q/deep"]);
        let asks = "#if __has_include(<deep/x.h>)\n";
        check(line, asks, &["/p/a.h.gch", "/q/deep"]);
        // A directory that is there only for others would be a way to a header.
        check(
            line,
            "#include \"deep/../y.h\"\n",
            &["/p/a.h.gch", "/q/deep"],
        );
        check(line, "#include \"y.h\"\n", &["/p/a.h.gch"]);
        // A list of what was read without the system's headers does not tell.
        let unlisted = "gcc -MMD -c a.c";
        check(unlisted, "#include <y.h>\n", &["/p/a.h.gch", "/q/y.h"]);
        let by_macro = "#include Y\n#define Y <y.h>\n";
        check(unlisted, by_macro, &["/p/a.h.gch", "/q/y.h"]);
        let given = "gcc -MMD -DY=<y.h> -c a.c";
        check(given, "#include Y\n", &["/p/a.h.gch", "/q/y.h"]);
        // Where there are no system's headers all that is read is listed.
        let own = "gcc -nostdinc -Ii -MMD -c a.c";
        check(own, "#include <y.h>\n", &["/p/a.h.gch"]);
        for text in [
            "#include <y.h>\n#pragma GCC system_header\n",
            "# 1 \"x\" 3\n#include <y.h>\n",
        ] {
            check(own, text, &["/p/a.h.gch", "/q/y.h"]);
        }
        check(own, "/* see #1 */\n#include <y.h>\n", &["/p/a.h.gch"]);
        let unlisted = "gcc -nostdinc -isystem i -MMD -c a.c";
        check(unlisted, "#include <y.h>\n", &["/p/a.h.gch", "/q/y.h"]);
        let wrapped = "#define HAS(x) __has_include(x)\n#if HAS(<y.h>)\n";
        check(line, wrapped, &["/p/a.h.gch", "/q/y.h"]);
    }

    #[test]
    fn where_macros_make_names_nothing_else_is_seen() {
        let line = "gcc -MD -c a.c";
        let paths = ["/p/a.h", "/q/y.h", "/q/deep/x.h", "/q/out/z.h", "/r/s/t.h"];
        for text in [
            "#if __has_include(NAME)\n",
            "#define HAS(x) __has_include(x)\n#if HAS(NAME)\n",
        ] {
            let expected = ["/q/deep", "/q/out/z.h", "/q/y.h", "/r"];
            assert_eq!(hidden(line, &paths, text).unwrap(), expected, "{text}");
            // Nothing else is shown.
            assert_eq!(hidden(line, &["/p/a.h"], text), Ok(vec![]), "{text}");
        }
    }
}
