//! What all scans share: the facts about names (which own the contents), search paths as they were found, and programs of
//! texts that are no files.

use std::sync::Arc;

use dashmap::DashMap;
use foldhash::fast::RandomState;

use crate::chain::Chains;
use crate::configuration::LexingMode;
use crate::facts::{Facts, Freshness, WatchError};
use crate::files::Sources;
use crate::program::Program;
use crate::summary::Summaries;

/// The program of a text that is no file, and the text, so that its address stays taken.
struct Generated {
    _text: Arc<[u8]>,
    program: Arc<Program>,
}

/// Directives of command lines kept at most.
const COMMAND_LINES_KEPT: usize = 1 << 16;

/// All that scans share.
pub struct FileTable {
    facts: Facts,
    chains: Chains,
    /// Programs of texts that are no files (the compiler's built-in macros), by the address of the text, which is kept alive.
    generated: DashMap<(usize, LexingMode), Generated>,
    /// Programs of what the command line says.
    command_lines: DashMap<(Vec<u8>, LexingMode), Arc<Program>, RandomState>,
    summaries: Summaries,
    sources: Sources,
}

impl Default for FileTable {
    fn default() -> FileTable {
        FileTable::new()
    }
}

impl FileTable {
    /// An empty table; every fact is vouched for by `stat`.
    pub fn new() -> FileTable {
        let table = FileTable::with_freshness(Freshness::Stat);
        table.expect("stat needs nothing")
    }

    /// An empty table.
    ///
    /// # Errors
    /// See [`Facts::new`].
    pub fn with_freshness(freshness: Freshness) -> Result<FileTable, WatchError> {
        Ok(FileTable {
            facts: Facts::new(freshness)?,
            chains: Chains::default(),
            generated: DashMap::new(),
            command_lines: DashMap::default(),
            summaries: Summaries::default(),
            sources: Sources::default(),
        })
    }

    /// What is known about names.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What is known about search paths.
    pub fn chains(&self) -> &Chains {
        &self.chains
    }

    /// What including files came to.
    pub fn summaries(&self) -> &Summaries {
        &self.summaries
    }

    /// Which sources' bytes are kept.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The program of a directive that a command line stands for: the same one for all command lines that have it, so that
    /// the macro it defines is the same one, too.
    pub fn command_line(&self, text: &[u8], mode: LexingMode) -> Arc<Program> {
        let key = (text.to_vec(), mode);
        if let Some(kept) = self.command_lines.get(&key) {
            return Arc::clone(&kept);
        }
        let program = Arc::new(Program::build(text, mode));
        if self.command_lines.len() >= COMMAND_LINES_KEPT {
            self.command_lines.clear();
        }
        self.command_lines.insert(key, Arc::clone(&program));
        program
    }

    /// The program of a text that is no file and is shared by many scans.
    pub fn generated(&self, text: &Arc<[u8]>, mode: LexingMode) -> Arc<Program> {
        let key = (text.as_ptr() as usize, mode);
        if let Some(kept) = self.generated.get(&key) {
            return Arc::clone(&kept.program);
        }
        let program = Arc::new(Program::build(text, mode));
        self.generated.insert(
            key,
            Generated {
                _text: Arc::clone(text),
                program: Arc::clone(&program),
            },
        );
        program
    }
}
