//! Ways to change a tree. Owns what outlives one change: descriptors kept open, other names of files, mounts.

mod content;
mod directories;
mod mapping;
mod mounts;
mod names;
mod tools;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::dice::Dice;
use super::text::Author;
use super::tree::{self, DIRECTORIES, Tree};
pub use mounts::{coarse_times, own_mounts};

/// A way to change something; `None` when it does not apply to what it met. Else what it did.
type Kind = fn(&mut Mutator, &Tree) -> Option<String>;

/// Each kind, so many times in all.
const KINDS: &[(usize, Kind)] = &[
    (10, content::edit_of_equal_size),
    (8, content::edit_of_equal_size_and_time),
    (8, content::edit_of_any_size),
    (3, content::append),
    (3, content::empty_and_fill),
    (8, content::rename_over),
    (4, content::rewrite_in_a_loop),
    (5, mapping::write_through_a_mapping),
    (4, mapping::write_through_an_old_mapping),
    (6, content::write_through_an_old_descriptor),
    (6, content::write_through_another_name),
    (3, content::touch),
    (3, content::permissions),
    (3, content::replace_with_equal_stamp),
    (8, names::delete),
    (14, names::create),
    (5, names::replace_by_link),
    (4, names::retarget_file_link),
    (4, names::hard_link_outside),
    (3, names::hard_link_from_outside),
    (3, names::exchange_files),
    (3, names::rename_file),
    (3, names::file_becomes_directory),
    (3, names::directory_becomes_file),
    (3, names::replace_through_outside),
    (10, directories::retarget),
    (4, directories::exchange),
    (3, directories::rename_away),
    (4, directories::rename_back),
    (4, directories::late_directory),
    (2, directories::remove_all),
    (2, directories::exchange_working_directories),
    (2, directories::directory_permissions),
    (3, directories::directory_becomes_link),
    (2, tools::wrapper),
    (1, tools::copied_compiler),
    (1, tools::specs),
    (3, tools::response_file),
    (3, tools::forced_header),
    (2, tools::default_directory),
    (6, tools::source),
    (2, mounts::change),
];

/// Changes a tree.
pub struct Mutator {
    /// What decides.
    pub dice: Dice,
    /// What texts come from.
    pub author: Author,
    /// Files of recent answers, whose change matters.
    recent: Vec<PathBuf>,
    /// Open for writing, some of them for long.
    handles: Vec<(PathBuf, File)>,
    /// Mapped for writing, some of them for long.
    mappings: Vec<(PathBuf, mapping::Mapping)>,
    /// Directories that were renamed away, and where they belong.
    away: Vec<(PathBuf, PathBuf)>,
    mounts: Option<mounts::Mounts>,
    /// Number of the next temporary name.
    aside: u64,
}

impl Mutator {
    /// With mounts, if this thread may make them (see [`own_mounts`]).
    pub fn new(dice: Dice, author: Author, may_mount: bool) -> Self {
        Self {
            dice,
            author,
            recent: Vec::new(),
            handles: Vec::new(),
            mappings: Vec::new(),
            away: Vec::new(),
            mounts: may_mount.then(mounts::Mounts::default),
            aside: 0,
        }
    }

    /// Changes one thing. Returns what was done.
    pub fn mutate(&mut self, tree: &Tree) -> String {
        let all: usize = KINDS.iter().map(|(weight, _)| weight).sum();
        for _ in 0..200 {
            let mut at = self.dice.below(all);
            let kind = KINDS.iter().find(|(weight, _)| {
                let here = at < *weight;
                at = at.wrapping_sub(*weight);
                here
            });
            if let Some((_, kind)) = kind
                && let Some(done) = kind(self, tree)
            {
                return done;
            }
        }
        let made = tree.mend(&mut self.dice, &mut self.author);
        format!("mend, {made} things")
    }

    /// Takes note of the files of an answer, but for what every compile must find as it is.
    pub fn remember(&mut self, files: Vec<PathBuf>) {
        self.recent = files;
        self.recent.retain(|path| !path.ends_with("last/last.h"));
    }

    /// Files of recent answers.
    pub fn recent(&self) -> &[PathBuf] {
        &self.recent
    }

    /// Makes what is missing for every compile. Returns how many things it made.
    pub fn mend(&mut self, tree: &Tree) -> usize {
        tree.mend(&mut self.dice, &mut self.author)
    }

    /// Ends what would keep the tree busy.
    pub fn finish(&mut self, tree: &Tree) {
        self.handles.clear();
        self.mappings.clear();
        if let Some(mounts) = &mut self.mounts {
            mounts.finish(tree);
        }
    }

    /// A place for a header, where there may or may not be one.
    fn slot(&mut self, tree: &Tree) -> PathBuf {
        if !self.recent.is_empty() && self.dice.chance(40) {
            let path = self.dice.pick(&self.recent).clone();
            if !tree::is_source(&path) {
                return path;
            }
        }
        let directory = *self.dice.pick(&DIRECTORIES);
        tree.path(directory).join(tree::header_name(&mut self.dice))
    }

    /// A header that is there; links lead on.
    fn header(&mut self, tree: &Tree) -> Option<PathBuf> {
        (0..30).find_map(|_| {
            let path = self.slot(tree);
            fs::metadata(&path)
                .is_ok_and(|found| found.is_file())
                .then_some(path)
        })
    }

    /// A name for something that is written before it gets its place.
    fn aside(&mut self, beside: &Path) -> PathBuf {
        self.aside += 1;
        beside.with_file_name(format!("aside{}", self.aside % 8))
    }

    /// A new text for a header's place.
    fn text(&mut self, path: &Path, size: Option<usize>) -> Vec<u8> {
        if tree::is_source(path) {
            return self.author.source(&mut self.dice, size);
        }
        let name = path.file_name().unwrap_or_default();
        if name == "pre.h" || name == "mac.h" {
            return self.author.macros(&mut self.dice, size);
        }
        self.author.header(&mut self.dice, tree::layer(path), size)
    }
}

/// A path in words.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
