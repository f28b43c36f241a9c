//! Macros of one translation unit: what is defined, and expansion.
//!
//! The table maps a name's atom to its definition in one step. It is kept from one scan to the next; a new generation number empties
//! it. Definitions themselves stay in the programs they come from.

mod builtin;
mod expand;
mod substitute;

use std::collections::HashMap;
use std::sync::Arc;

pub use builtin::{Builtin, names as builtin_names};
pub use expand::{Environment, Expander, Fault, HeaderName, Rules};

use crate::atom::Atom;
use crate::program::Program;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition {
    /// A macro of `Macros::programs[program]`.
    User {
        /// Index of the program.
        program: u32,
        /// Index of the macro in it.
        index: u32,
    },
    /// A macro that the preprocessor computes.
    Builtin(Builtin),
}

#[derive(Clone, Copy, Default)]
struct Slot {
    generation: u32,
    disabled: bool,
    definition: Option<Definition>,
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
    generation: u32,
    /// Programs whose macros are referred to; index 0 is the compiler's built-ins.
    programs: Vec<Arc<Program>>,
    pushed: HashMap<Atom, Vec<Option<Definition>>>,
    assertions: Vec<(Atom, Vec<u8>)>,
    /// What pragmas have put in doubt.
    pub doubt: Doubt,
    /// A doubtful name that was read.
    pub doubtful_read: Option<Atom>,
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
        self.programs.clear();
        self.pushed.clear();
        self.assertions.clear();
        self.doubt = Doubt::default();
        self.doubtful_read = None;
    }

    /// Adds a program and returns its index.
    pub fn add_program(&mut self, program: Arc<Program>) -> u32 {
        self.programs.push(program);
        self.programs.len() as u32 - 1
    }

    /// The program with that index.
    pub fn program(&self, index: u32) -> &Arc<Program> {
        &self.programs[index as usize]
    }

    /// What `name` stands for.
    #[inline]
    pub fn get(&self, name: Atom) -> Option<Definition> {
        match self.slots.get(name.0 as usize) {
            Some(slot) if slot.generation == self.generation => slot.definition,
            _ => None,
        }
    }

    /// As [`Macros::get`], and notes when the answer is in doubt.
    #[inline]
    pub fn read(&mut self, name: Atom) -> Option<Definition> {
        let definition = self.get(name);
        if (self.doubt.target || self.doubt.optimize) && self.is_doubtful(name, definition) {
            self.doubtful_read.get_or_insert(name);
        }
        definition
    }

    /// Defines or (with `None`) undefines `name`.
    #[inline]
    pub fn set(&mut self, name: Atom, definition: Option<Definition>) {
        let index = name.0 as usize;
        if index >= self.slots.len() {
            self.slots
                .resize((index + 1).max(crate::atom::count()), Slot::default());
        }
        self.slots[index] = Slot {
            generation: self.generation,
            disabled: false,
            definition,
        };
    }

    fn is_disabled(&self, name: Atom) -> bool {
        self.slots
            .get(name.0 as usize)
            .is_some_and(|slot| slot.generation == self.generation && slot.disabled)
    }

    fn set_disabled(&mut self, name: Atom, disabled: bool) {
        if let Some(slot) = self.slots.get_mut(name.0 as usize) {
            slot.disabled = disabled;
        }
    }

    /// `#pragma push_macro`.
    pub fn push(&mut self, name: Atom) {
        let definition = self.get(name);
        self.pushed.entry(name).or_default().push(definition);
    }

    /// `#pragma pop_macro`; nothing happens when nothing was pushed.
    pub fn pop(&mut self, name: Atom) {
        if let Some(definition) = self.pushed.get_mut(&name).and_then(Vec::pop) {
            self.set(name, definition);
        }
    }

    /// `#assert predicate(answer)`.
    pub fn assert(&mut self, predicate: Atom, answer: Vec<u8>) {
        let pair = (predicate, answer);
        if !self.assertions.contains(&pair) {
            self.assertions.push(pair);
        }
    }

    /// `#unassert predicate` or `#unassert predicate(answer)`.
    pub fn unassert(&mut self, predicate: Atom, answer: Option<&[u8]>) {
        self.assertions.retain(|(of, kept)| {
            *of != predicate || answer.is_some_and(|answer| answer != kept.as_slice())
        });
    }

    /// `#predicate` or `#predicate(answer)` in a condition.
    pub fn is_asserted(&self, predicate: Atom, answer: Option<&[u8]>) -> bool {
        self.assertions.iter().any(|(of, kept)| {
            *of == predicate && answer.is_none_or(|answer| answer == kept.as_slice())
        })
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
