//! Which names a stretch of a scan reads before it sets them, and which it sets.
//!
//! Stretches nest, as included files do. What a stretch reads decides all that it does, so that its effect may be had again
//! without executing it wherever the same names stand for the same.

use super::{Definition, Macros, Slot};
use crate::atom::Atom;

/// A name that was read or set.
#[derive(Clone, Copy)]
struct Event {
    name: Atom,
    written: bool,
    /// What it stood for when it was read.
    slot: Slot,
}

/// The positions of a name's last events, from 1 and through all scans, and the number of the effect that has it.
#[derive(Clone, Copy, Default)]
struct Mark {
    read: u32,
    written: u32,
    effect: u32,
}

/// What is being recorded.
#[derive(Default)]
pub(super) struct Tape {
    /// How many stretches are being recorded, one in the other.
    depth: u32,
    /// Where the innermost begins: events in it have greater positions.
    begin: u32,
    /// Positions that scans before this one have used.
    base: u32,
    effects: u32,
    events: Vec<Event>,
    marks: Vec<Mark>,
    spoiled: bool,
    /// Room for the next effect.
    spare: Effect,
}

/// A stretch that is being recorded.
#[must_use]
pub struct Recording {
    start: usize,
    outer_begin: u32,
    outer_spoiled: bool,
}

/// What a stretch did to macros.
#[derive(Default)]
pub struct Effect {
    /// What names stood for that were read before the stretch itself had set them.
    pub reads: Vec<(Atom, Option<Definition>)>,
    /// Names that were set, with what they stood for at its end.
    pub writes: Vec<(Atom, Option<Definition>)>,
}

impl Tape {
    pub(super) fn reset(&mut self) {
        self.depth = 0;
        self.begin = 0;
        self.spoiled = false;
        let used = self.base as usize + self.events.len();
        self.events.clear();
        if used > 1 << 31 || self.effects > 1 << 31 {
            self.marks.clear();
            self.base = 0;
            self.effects = 0;
        } else {
            self.base = used as u32;
        }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.depth > 0
    }

    fn mark(&mut self, name: Atom) -> &mut Mark {
        let index = name.0 as usize;
        if index >= self.marks.len() {
            let length = (index + 1).max(crate::atom::count());
            self.marks.resize(length, Mark::default());
        }
        &mut self.marks[index]
    }

    pub(super) fn read(&mut self, name: Atom, slot: Slot) {
        let begin = self.begin;
        let position = self.base + self.events.len() as u32 + 1;
        let mark = self.mark(name);
        if mark.read <= begin && mark.written <= begin {
            mark.read = position;
            self.events.push(Event {
                name,
                written: false,
                slot,
            });
        }
    }

    pub(super) fn write(&mut self, name: Atom) {
        let begin = self.begin;
        let position = self.base + self.events.len() as u32 + 1;
        let mark = self.mark(name);
        if mark.written <= begin {
            mark.written = position;
            self.events.push(Event {
                name,
                written: true,
                slot: Slot::default(),
            });
        }
    }
}

impl Macros {
    /// Begins to record a stretch.
    pub fn record(&mut self) -> Recording {
        let tape = &mut self.tape;
        let recording = Recording {
            start: tape.events.len(),
            outer_begin: tape.begin,
            outer_spoiled: std::mem::take(&mut tape.spoiled),
        };
        tape.begin = tape.base + tape.events.len() as u32;
        tape.depth += 1;
        recording
    }

    /// Ends a stretch: what it did; `None` if more than macros decided that, or it is not wanted.
    pub fn recorded(&mut self, recording: Recording, wanted: bool) -> Option<Effect> {
        let spoiled = self.tape.spoiled;
        let effect = (wanted && !spoiled).then(|| self.effect(recording.start));
        let tape = &mut self.tape;
        tape.spoiled |= recording.outer_spoiled;
        tape.begin = recording.outer_begin;
        tape.depth -= 1;
        effect
    }

    fn effect(&mut self, start: usize) -> Effect {
        let mut effect = std::mem::take(&mut self.tape.spare);
        let (generation, tape) = (self.generation, &mut self.tape);
        // One number for what was read, and the next for what was set.
        tape.effects += 2;
        let (read, written) = (tape.effects - 1, tape.effects);
        for at in start..tape.events.len() {
            let event = tape.events[at];
            let mark = &mut tape.marks[event.name.0 as usize].effect;
            if event.written {
                if *mark != written {
                    *mark = written;
                    effect.writes.push((event.name, None));
                }
            } else if *mark != read && *mark != written {
                *mark = read;
                effect
                    .reads
                    .push((event.name, event.slot.meaning(generation)));
            }
        }
        for (name, definition) in &mut effect.writes {
            *definition = self.get(*name);
        }
        effect
    }

    /// Takes an effect back that nobody needs any more: its memory is the next one's.
    pub fn give_back(&mut self, mut effect: Effect) {
        effect.reads.clear();
        effect.writes.clear();
        self.tape.spare = effect;
    }

    /// What is being recorded depends on more than macros.
    pub fn spoil(&mut self) {
        self.tape.spoiled = true;
    }

    /// Whether a stretch is being recorded.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.tape.is_on()
    }

    /// Notes that a name was read, whose reading was left out.
    #[inline]
    pub fn note_read(&mut self, name: Atom) {
        if self.tape.is_on() {
            let slot = self.slots.get(name.0 as usize).copied();
            self.tape.read(name, slot.unwrap_or_default());
        }
    }
}
