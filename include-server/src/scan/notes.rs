//! What a stretch of a scan touches besides macros: lookups, files, what text mentions. See [`crate::macros::Effect`] for the
//! macros.

use std::sync::Arc;

use super::world::World;
use crate::chain::Resolved;
use crate::closure::Grounds;

/// What happened to one record within one stretch.
#[derive(Clone, Copy, Default)]
pub(super) struct Touch {
    pub(super) record: usize,
    pub(super) once_before: Option<bool>,
    pub(super) marks_once: bool,
    pub(super) listed: bool,
    pub(super) text_read: bool,
    pub(super) compared: bool,
}

/// The ends of what is noted.
#[derive(Clone, Copy, Default)]
pub(super) struct Ends {
    pub(super) touches: usize,
    pub(super) lookups: usize,
    pub(super) grounds: usize,
    pub(super) listed: usize,
    pub(super) hits: usize,
    pub(super) looked_for: usize,
}

/// What is noted while a stretch is recorded. Notes of an inner stretch are also those of the outer one.
#[derive(Default)]
pub(super) struct Notes {
    /// How many stretches are being recorded, one in the other.
    depth: u32,
    /// Where the innermost begins.
    begin: Ends,
    pub(super) touches: Vec<Touch>,
    pub(super) lookups: Vec<Arc<Resolved>>,
    pub(super) grounds: Vec<Arc<Grounds>>,
    pub(super) listed: Vec<usize>,
    /// More than what is noted decided what happened.
    pub(super) spoiled: bool,
    /// The greatest depth of included files.
    pub(super) deepest: usize,
    /// What text mentioned.
    pub(super) mentions: u16,
}

/// A stretch that is being noted.
pub(super) struct Stretch {
    pub(super) begin: Ends,
    pub(super) depth: usize,
    outer: Ends,
    outer_spoiled: bool,
    outer_deepest: usize,
    outer_mentions: u16,
}

/// A stretch that was noted.
pub(super) struct Noted {
    pub(super) begin: Ends,
    pub(super) spoiled: bool,
    pub(super) height: usize,
    pub(super) mentions: u16,
}

impl Notes {
    /// Forgets all, whatever was being noted.
    pub(super) fn clear(&mut self) {
        let Notes {
            touches,
            lookups,
            grounds,
            listed,
            ..
        } = self;
        touches.clear();
        lookups.clear();
        grounds.clear();
        listed.clear();
        *self = Notes {
            touches: std::mem::take(touches),
            lookups: std::mem::take(lookups),
            grounds: std::mem::take(grounds),
            listed: std::mem::take(listed),
            ..Notes::default()
        };
    }

    fn is_on(&self) -> bool {
        self.depth > 0
    }

    /// Where the notes of the innermost stretch begin among lookups.
    pub(super) fn lookups_begin(&self) -> usize {
        self.begin.lookups
    }
}

impl World<'_> {
    /// Begins to note.
    pub(super) fn begin_stretch(&mut self) -> Stretch {
        let begin = Ends {
            touches: self.notes.touches.len(),
            lookups: self.notes.lookups.len(),
            grounds: self.notes.grounds.len(),
            listed: self.notes.listed.len(),
            hits: self.hits.len(),
            looked_for: self.looked_for.len(),
        };
        let depth = self.frames.len();
        let notes = &mut self.notes;
        let stretch = Stretch {
            begin,
            depth,
            outer: notes.begin,
            outer_spoiled: std::mem::take(&mut notes.spoiled),
            outer_deepest: std::mem::replace(&mut notes.deepest, depth),
            outer_mentions: std::mem::take(&mut notes.mentions),
        };
        notes.begin = begin;
        notes.depth += 1;
        stretch
    }

    /// Ends a stretch; its notes go from its beginning to their ends.
    pub(super) fn end_stretch(&mut self, stretch: Stretch) -> Noted {
        let notes = &mut self.notes;
        let noted = Noted {
            begin: stretch.begin,
            spoiled: notes.spoiled,
            height: notes.deepest.saturating_sub(stretch.depth),
            mentions: notes.mentions,
        };
        notes.begin = stretch.outer;
        notes.spoiled |= stretch.outer_spoiled;
        notes.deepest = notes.deepest.max(stretch.outer_deepest);
        notes.mentions |= stretch.outer_mentions;
        notes.depth -= 1;
        noted
    }

    /// Whether anything is being noted.
    pub(super) fn is_noting(&self) -> bool {
        self.notes.is_on()
    }

    /// The innermost stretch's note of a record, if one is being made.
    pub(super) fn touch(&mut self, record: usize) -> Option<&mut Touch> {
        if !self.notes.is_on() {
            return None;
        }
        let touches = &mut self.notes.touches;
        let known = &mut self.records[record].touch;
        // One more than the index of its last note.
        if *known <= self.notes.begin.touches {
            touches.push(Touch {
                record,
                ..Touch::default()
            });
            *known = touches.len();
        }
        touches.get_mut(*known - 1)
    }

    /// Whether a record is marked as read only once.
    pub(super) fn is_once(&mut self, record: usize) -> bool {
        let once = self.records[record].once;
        if let Some(touch) = self.touch(record)
            && !touch.marks_once
        {
            touch.once_before.get_or_insert(once);
        }
        once
    }
}
