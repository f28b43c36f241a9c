//! Macros of one translation unit: what is defined, and expansion.
//!
//! The table maps a name's atom to its definition in one step. It is kept from one scan to the next; a new generation number empties
//! it. Definitions themselves stay in the programs they come from.

mod builtin;
mod expand;
mod programs;
mod substitute;
mod tape;

use std::collections::HashMap;

pub use builtin::{Builtin, names as builtin_names};
pub use expand::{Environment, Expander, Fault, HeaderName, Rules, Workspace};
pub use programs::{Block, Programs};
pub use tape::{Effect, Recording};

use crate::atom::Atom;
use tape::Tape;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition {
    /// A macro of one of the scan's programs; program 0 is the compiler's built-ins.
    User {
        /// Index of the program among those of the scan.
        program: u32,
        /// Index of the macro in it.
        index: u32,
    },
    /// A macro that the preprocessor computes.
    Builtin(Builtin),
}

/// A name's definition in eight bytes: from the highest bit, 16 of generation, one that disables, 23 of program, 24 of index.
/// A slot of another generation is one of an undefined name; generation 0 never comes.
#[derive(Clone, Copy, Default)]
struct Slot(u64);

const GENERATION: u32 = 48;
const DISABLED: u64 = 1 << 47;
const PROGRAM: u32 = 24;
/// In the place of a program's number: the index is that of a built-in.
const BUILTIN: u32 = (1 << 23) - 1;

impl Slot {
    #[inline]
    fn new(generation: u16, definition: Definition) -> Slot {
        let (program, index) = match definition {
            Definition::User { program, index } => (program, index),
            Definition::Builtin(builtin) => (BUILTIN, builtin as u32),
        };
        debug_assert!(program <= BUILTIN && index < 1 << PROGRAM);
        Slot(u64::from(generation) << GENERATION | u64::from(program) << PROGRAM | u64::from(index))
    }

    #[inline]
    fn generation(self) -> u16 {
        (self.0 >> GENERATION) as u16
    }

    /// What it stands for in the scan with this generation.
    #[inline]
    fn meaning(self, generation: u16) -> Option<Definition> {
        (self.generation() == generation).then(|| self.definition())
    }

    #[inline]
    fn definition(self) -> Definition {
        let program = (self.0 >> PROGRAM) as u32 & BUILTIN;
        let index = self.0 as u32 & ((1 << PROGRAM) - 1);
        match program {
            BUILTIN => Definition::Builtin(Builtin::ALL[index as usize % Builtin::ALL.len()]),
            _ => Definition::User { program, index },
        }
    }
}

/// Which groups of built-in macros a pragma may have changed in a way the scanner does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// `#pragma GCC target` is in force.
    pub target: bool,
    /// `#pragma GCC optimize` is in force.
    pub optimize: bool,
}

/// The macros of one translation unit.
#[derive(Default)]
pub struct Macros {
    slots: Vec<Slot>,
    generation: u16,
    pushed: HashMap<Atom, Vec<Option<Definition>>>,
    /// Assertions that were made, or (`false`) taken back, all answers or one; later ones count.
    assertions: Vec<(bool, Atom, Option<Vec<u8>>)>,
    /// What pragmas have put in doubt.
    pub doubt: Doubt,
    /// A doubtful name that was read.
    pub doubtful_read: Option<Atom>,
    tape: Tape,
}

impl Macros {
    /// Forgets all macros, quickly.
    pub fn reset(&mut self) {
        match self.generation.checked_add(1) {
            Some(next) => self.generation = next,
            None => {
                self.slots.clear();
                self.generation = 1;
            }
        }
        self.pushed.clear();
        self.assertions.clear();
        self.doubt = Doubt::default();
        self.doubtful_read = None;
        self.tape.reset();
    }

    /// What `name` stands for.
    #[inline]
    pub fn get(&self, name: Atom) -> Option<Definition> {
        self.slots.get(name.0 as usize)?.meaning(self.generation)
    }

    /// Whether `name` is defined; a doubt about it is noted.
    #[inline]
    pub fn is_defined(&mut self, name: Atom) -> bool {
        let generation = self
            .slots
            .get(name.0 as usize)
            .map(|slot| slot.generation());
        if self.is_any_doubt() || self.is_recording() {
            return self.read(name).is_some();
        }
        generation == Some(self.generation)
    }

    /// Whether anything is in doubt.
    #[inline]
    pub fn is_any_doubt(&self) -> bool {
        self.doubt.target || self.doubt.optimize
    }

    /// As [`Macros::get`], and notes when the answer is in doubt.
    #[inline]
    pub fn read(&mut self, name: Atom) -> Option<Definition> {
        self.note_read(name);
        let definition = self.get(name);
        if self.is_any_doubt() && self.is_doubtful(name, definition) {
            self.doubtful_read.get_or_insert(name);
        }
        definition
    }

    /// Defines or (with `None`) undefines `name`.
    #[inline]
    pub fn set(&mut self, name: Atom, definition: Option<Definition>) {
        let slot = match definition {
            Some(definition) => Slot::new(self.generation, definition),
            None => Slot::default(),
        };
        if self.tape.is_on() {
            self.tape.write(name);
        }
        match self.slots.get_mut(name.0 as usize) {
            Some(place) => *place = slot,
            None => self.grow(name, slot),
        }
    }

    #[cold]
    fn grow(&mut self, name: Atom, slot: Slot) {
        let index = name.0 as usize;
        self.slots
            .resize((index + 1).max(crate::atom::count()), Slot::default());
        self.slots[index] = slot;
    }

    fn is_disabled(&self, name: Atom) -> bool {
        self.slots
            .get(name.0 as usize)
            .is_some_and(|slot| slot.0 & DISABLED != 0)
    }

    fn set_disabled(&mut self, name: Atom, disabled: bool) {
        if let Some(slot) = self.slots.get_mut(name.0 as usize) {
            slot.0 = slot.0 & !DISABLED | if disabled { DISABLED } else { 0 };
        }
    }

    /// `#pragma push_macro`.
    pub fn push(&mut self, name: Atom) {
        self.spoil();
        let definition = self.get(name);
        self.pushed.entry(name).or_default().push(definition);
    }

    /// `#pragma pop_macro`; nothing happens when nothing was pushed.
    pub fn pop(&mut self, name: Atom) {
        self.spoil();
        if let Some(definition) = self.pushed.get_mut(&name).and_then(Vec::pop) {
            self.set(name, definition);
        }
    }

    /// `#assert predicate(answer)`.
    pub fn assert(&mut self, predicate: Atom, answer: Vec<u8>) {
        self.spoil();
        self.assertions.push((true, predicate, Some(answer)));
    }

    /// `#unassert predicate` or `#unassert predicate(answer)`.
    pub fn unassert(&mut self, predicate: Atom, answer: Option<&[u8]>) {
        self.spoil();
        self.assertions
            .push((false, predicate, answer.map(<[u8]>::to_vec)));
    }

    /// `#predicate` or `#predicate(answer)` in a condition; `None` when only the compiler knows.
    ///
    /// # Errors
    /// When an answer was taken back and nobody says whether there are others.
    pub fn is_asserted(
        &self,
        predicate: Atom,
        answer: Option<&[u8]>,
    ) -> Result<Option<bool>, Fault> {
        // Answers that stand, those of the compiler's own that were taken back, and whether all of these were.
        let mut standing: Vec<&[u8]> = Vec::new();
        let mut taken_back: Vec<&[u8]> = Vec::new();
        let mut all_taken_back = false;
        for (made, _, which) in self.assertions.iter().filter(|(_, of, _)| *of == predicate) {
            let Some(which) = which.as_deref() else {
                standing.clear();
                all_taken_back = true;
                continue;
            };
            let known = standing.iter().position(|answer| *answer == which);
            match (made, known) {
                (true, None) => standing.push(which),
                (true, Some(_)) => {}
                (false, Some(at)) => drop(standing.swap_remove(at)),
                (false, None) => taken_back.push(which),
            }
        }
        match answer {
            Some(answer) if standing.contains(&answer) => Ok(Some(true)),
            None if !standing.is_empty() => Ok(Some(true)),
            _ if all_taken_back => Ok(Some(false)),
            Some(answer) if taken_back.contains(&answer) => Ok(Some(false)),
            None if !taken_back.is_empty() => Err(Fault::Unsupported(
                "a predicate without answer, after #unassert of one answer".into(),
            )),
            _ => Ok(None),
        }
    }

    /// Whether a pragma in force may have changed what `name` stands for. Macros the user defines are beyond doubt; of the others, a
    /// name that no target or optimisation option is known to touch is.
    fn is_doubtful(&self, name: Atom, definition: Option<Definition>) -> bool {
        match definition {
            Some(Definition::User { program, .. }) if program != 0 => return false,
            Some(Definition::Builtin(_)) => return false,
            _ => {}
        }
        let spelling = name.spelling();
        (self.doubt.target && builtin::may_depend_on_target(spelling))
            || (self.doubt.optimize && builtin::may_depend_on_optimization(spelling))
    }
}
