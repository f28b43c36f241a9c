//! The programs that a scan's definitions refer to, by small numbers.

use std::sync::Arc;

use crate::program::Program;

/// Programs that came together, and are kept together.
pub type Block = Arc<[Arc<Program>]>;

/// Where a program is.
#[derive(Clone, Copy)]
struct Place {
    /// [`Program::number`], kept here so that comparing definitions touches no program.
    number: u64,
    block: u32,
    at: u32,
}

/// The programs of one scan; the first is the compiler's built-ins. A block costs one count of references, however many
/// programs it has.
#[derive(Default)]
pub struct Programs {
    places: Vec<Place>,
    singles: Vec<Arc<Program>>,
    blocks: Vec<Block>,
}

/// In the place of a block's index: the program is one of the singles.
const SINGLE: u32 = u32::MAX;

impl Programs {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.places.clear();
        self.singles.clear();
        self.blocks.clear();
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty)] // a scan has at least the built-ins
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds a program; gives its index.
    pub fn add(&mut self, program: Arc<Program>) -> u32 {
        self.places.push(Place {
            number: program.number(),
            block: SINGLE,
            at: self.singles.len() as u32,
        });
        self.singles.push(program);
        self.places.len() as u32 - 1
    }

    /// Adds a block of programs; gives the index of its first.
    pub fn add_block(&mut self, programs: &Block) -> u32 {
        let first = self.places.len() as u32;
        let block = self.blocks.len() as u32;
        let places = programs.iter().enumerate().map(|(at, program)| Place {
            number: program.number(),
            block,
            at: at as u32,
        });
        self.places.extend(places);
        self.blocks.push(Arc::clone(programs));
        first
    }

    /// A program, to keep.
    pub fn shared(&self, index: u32) -> &Arc<Program> {
        let place = self.places[index as usize];
        match place.block {
            SINGLE => &self.singles[place.at as usize],
            block => &self.blocks[block as usize][place.at as usize],
        }
    }

    /// A program's number.
    #[inline]
    pub fn number(&self, index: u32) -> u64 {
        self.places[index as usize].number
    }
}

impl std::ops::Index<u32> for Programs {
    type Output = Program;

    #[inline]
    fn index(&self, index: u32) -> &Program {
        self.shared(index)
    }
}
