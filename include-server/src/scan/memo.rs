//! Lines that need expansion (conditions, computed includes), remembered with the macros they read.
//!
//! What such a line comes to follows from the definitions of the names that were read on the way, and from the dialect and the
//! compiler's tables. So a value is used again while each of those names stands for the very same `#define` line (or for none).
//! The memory belongs to a thread. A program's number is never given twice, so nothing here keeps a program alive, or can mistake
//! one for another.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::atom::Atom;
use crate::configuration::{Configuration, Dialect, FeatureOracle};
use crate::macros::{Definition, Macros, Programs};
use crate::program::Program;

/// Outcomes of one line kept at most: headers that are read again and again, with other macros each time, have several.
const VALUES_KEPT: usize = 8;
/// Macros a remembered line may read.
const READS_KEPT: usize = 128;
/// Lines kept at most.
const LINES_KEPT: usize = 1 << 16;
/// Configurations kept at most.
const CONFIGURATIONS_KEPT: usize = 64;

/// Which line of a program.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Line {
    /// The condition with this index.
    Condition(u32),
    /// The include whose first token has this index.
    Include(u32),
}

/// What a line came to.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    /// Whether the condition holds.
    Holds(bool),
    /// The header's name, and whether it stands in brackets; `None` when there is none.
    Header(Option<(bool, Atom)>),
}

/// Which line, under which configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    program: u64,
    line: Line,
    configuration: u32,
}

/// An outcome, and the names it was found with.
struct Known {
    reads: Box<[(Atom, u64)]>,
    outcome: Outcome,
}

/// What a thread remembers of lines.
#[derive(Default)]
pub(super) struct Memo {
    /// A configuration's number is its index. The oracle is kept so that its address stays its own.
    configurations: Vec<(Arc<dyn FeatureOracle>, Dialect)>,
    configuration: u32,
    known: HashMap<Key, Vec<Known>, RandomState>,
}

/// What a name stands for, as a number that is the same in all scans: no two `#define` lines share one.
pub(super) fn identity(definition: Option<Definition>, programs: &Programs) -> u64 {
    match definition {
        None => 0,
        Some(Definition::Builtin(builtin)) => 1 + builtin as u64,
        Some(Definition::User { program, index }) => {
            programs.number(program) << 24 | u64::from(index)
        }
    }
}

impl Memo {
    /// Starts a scan under `configuration`.
    pub(super) fn begin(&mut self, configuration: &Configuration) {
        let same = |(oracle, dialect): &(Arc<dyn FeatureOracle>, Dialect)| {
            Arc::ptr_eq(oracle, &configuration.oracle) && *dialect == configuration.dialect
        };
        if let Some(index) = self.configurations.iter().position(same) {
            self.configuration = index as u32;
            return;
        }
        if self.configurations.len() >= CONFIGURATIONS_KEPT {
            self.configurations.clear();
            self.known.clear();
        }
        self.configuration = self.configurations.len() as u32;
        self.configurations
            .push((Arc::clone(&configuration.oracle), configuration.dialect));
    }

    fn key(&self, program: &Program, line: Line) -> Key {
        Key {
            program: program.number(),
            line,
            configuration: self.configuration,
        }
    }

    /// What a line of `program` comes to, if it was read with the same macros before, and these.
    pub(super) fn outcome(
        &self,
        program: &Program,
        line: Line,
        macros: &Macros,
        programs: &Programs,
    ) -> Option<(Outcome, &[(Atom, u64)])> {
        let known = self.known.get(&self.key(program, line))?;
        known
            .iter()
            .find(|known| {
                let mut reads = known.reads.iter();
                reads.all(|&(name, then)| identity(macros.get(name), programs) == then)
            })
            .map(|known| (known.outcome, &*known.reads))
    }

    /// Remembers what a line came to after reading these names.
    pub(super) fn keep(
        &mut self,
        program: &Program,
        line: Line,
        macros: &Macros,
        programs: &Programs,
        (reads, outcome): (&[Atom], Outcome),
    ) {
        if reads.len() > READS_KEPT {
            return;
        }
        let mut names: Vec<(Atom, u64)> = Vec::with_capacity(reads.len());
        for &name in reads {
            if !names.iter().any(|(known, _)| *known == name) {
                names.push((name, identity(macros.get(name), programs)));
            }
        }
        if self.known.len() >= LINES_KEPT {
            self.known.clear();
        }
        let known = self.known.entry(self.key(program, line)).or_default();
        if known.len() >= VALUES_KEPT {
            known.remove(0);
        }
        known.push(Known {
            reads: names.into(),
            outcome,
        });
    }
}
