//! What all scans share: the facts about names (which own the contents), search paths as they were found, and programs of
//! texts that are no files.

use std::sync::Arc;

use dashmap::DashMap;

use crate::chain::Chains;
use crate::configuration::LexingMode;
use crate::facts::{Facts, Freshness, WatchError};
use crate::program::Program;

/// The program of a text that is no file, and the text, so that its address stays taken.
struct Generated {
    _text: Arc<[u8]>,
    program: Arc<Program>,
}

/// All that scans share.
pub struct FileTable {
    facts: Facts,
    chains: Chains,
    /// Programs of texts that are no files (the compiler's built-in macros), by the address of the text, which is kept alive.
    generated: DashMap<(usize, LexingMode), Generated>,
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
