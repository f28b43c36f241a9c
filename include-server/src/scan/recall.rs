//! Recording what a file came to, and having it again: see [`crate::summary`].

use std::sync::Arc;

use foldhash::HashMap;

use super::Scan;
use super::memo::identity;
use super::notes::{Ends, Stretch};
use super::world::World;
use crate::atom::Atom;
use crate::chain::{Origin, Resolved};
use crate::closure::{Grounds, SearchKind};
use crate::facts::Evidence;
use crate::macros::{Definition, Effect, Recording};
use crate::program::{Mention, Program};
use crate::summary::{Advice, Key, Summary, Touched};

/// What records a file's effect, from its first directive to its end.
pub(super) struct Recorder {
    key: Key,
    macros: Recording,
    stretch: Stretch,
    directives_left: u64,
    includes_left: u64,
    tokens_left: u64,
    outer_inside: u64,
}

/// A stretch is not kept when a single one inside it is this large a part of it, in percent: that one is as good, and
/// keeping all levels of nested files would take memory by their depth.
const MOST_INSIDE: u64 = 70;

/// No file of a summary.
const NOWHERE: u32 = u32::MAX;

/// No record.
const NO_RECORD: usize = usize::MAX;

/// What to do with a file.
pub(super) enum Recalled {
    /// Nothing: its effect was had.
    Done,
    /// Execute it, and record its effect under the key if there is one.
    Execute(Option<Key>),
}

/// How a summary fits what surrounds the macros.
enum Fit {
    /// It may be used.
    Yes,
    /// Not now.
    No,
    /// Never again: files have changed.
    Stale,
}

impl Scan<'_> {
    /// Has the effect of a file without executing it, where it is known.
    pub(super) fn recall(
        &mut self,
        record: usize,
        program: &Arc<Program>,
        (origin, system): (Origin, bool),
    ) -> Recalled {
        // What includes nothing is executed as quickly. And the first header of all may be a precompiled one.
        if !program.includes || !self.world.headers_read || self.macros.is_any_doubt() {
            return Recalled::Execute(None);
        }
        let this = &self.world.records[record];
        if self.world.is_read_as_another(this.name, &this.file.content) {
            return Recalled::Execute(None);
        }
        let key = Key {
            scope: self.scope,
            program: program.number(),
            name: self.world.records[record].name,
            origin,
            system,
        };
        let (macros, programs) = (&self.macros, &self.programs);
        let differs = |reads: &[(Atom, u64)]| {
            let mut reads = reads.iter().copied();
            reads.find(|&(name, then)| identity(macros.get(name), programs) != then)
        };
        let summaries = self.files.summaries();
        let summary = match summaries.advice(&key, differs) {
            Advice::Take(summary) => summary,
            Advice::Record => return Recalled::Execute(Some(key)),
            Advice::Execute => return Recalled::Execute(None),
        };
        if !self.may_take(&summary) {
            return Recalled::Execute(None);
        }
        match self.world.fit(&summary) {
            Fit::Yes => {
                self.take(&summary);
                self.world.read_text(record);
                Recalled::Done
            }
            Fit::No => Recalled::Execute(None),
            Fit::Stale => {
                summaries.forget(&key, &summary);
                Recalled::Execute(Some(key))
            }
        }
    }

    /// Whether limits and what text has mentioned leave room for it. Where they do not, execution says why.
    fn may_take(&self, summary: &Summary) -> bool {
        let mentions = self.mentions | summary.mentions;
        let has = |mention: Mention| mentions & mention.bit() != 0;
        let words = has(Mention::MacroStackWord)
            || has(Mention::OnceWord)
            || has(Mention::TargetWord)
            || has(Mention::OptimizeWord);
        let depth = self.world.frames.len() + 1 + summary.height;
        depth < self.configuration.max_include_depth as usize
            && !(has(Mention::PragmaOperator) && words)
            && self.directives_left >= summary.directives
            && self.includes_left >= summary.includes
            && self.workspace.budget >= summary.tokens
    }

    fn take(&mut self, summary: &Summary) {
        self.world.take(summary);
        if self.macros.is_recording() {
            for &(name, _) in &summary.reads {
                self.macros.note_read(name);
            }
        }
        let first = self.programs.add_block(&summary.programs);
        for &(name, definition) in &summary.writes {
            let definition = definition.map(|(program, index)| Definition::User {
                program: first + program,
                index,
            });
            self.macros.set(name, definition);
        }
        self.inside = self.inside.max(summary.directives);
        self.directives_left -= summary.directives;
        self.includes_left -= summary.includes;
        self.workspace.budget -= summary.tokens;
        self.mentions |= summary.mentions;
    }

    /// Begins to record the file that was just pushed.
    pub(super) fn record(&mut self, key: Key) {
        let recorder = Box::new(Recorder {
            key,
            macros: self.macros.record(),
            stretch: self.world.begin_stretch(),
            directives_left: self.directives_left,
            includes_left: self.includes_left,
            tokens_left: self.workspace.budget,
            outer_inside: std::mem::take(&mut self.inside),
        });
        if let Some(frame) = self.world.frames.last_mut() {
            frame.recorder = Some(recorder);
        }
    }

    /// Keeps what a file came to, at its end.
    pub(super) fn recorded(&mut self, recorder: Recorder) {
        let noted = self.world.end_stretch(recorder.stretch);
        let directives = recorder.directives_left - self.directives_left;
        let spoiled = noted.spoiled || self.macros.is_any_doubt();
        let barren = spoiled || self.inside * 100 > directives * MOST_INSIDE;
        let effect = self.macros.recorded(recorder.macros, !barren);
        let Some(effect) = effect else {
            self.inside = self.inside.max(recorder.outer_inside);
            self.files.summaries().leave(&recorder.key);
            return;
        };
        self.inside = directives.max(recorder.outer_inside);
        let summary = self.world.summary(&noted.begin).map(|mut summary| {
            self.put_macros(&effect, &mut summary);
            summary
        });
        self.macros.give_back(effect);
        let Some(mut summary) = summary else {
            return;
        };
        summary.height = noted.height;
        summary.directives = directives;
        summary.includes = recorder.includes_left - self.includes_left;
        summary.tokens = recorder.tokens_left - self.workspace.budget;
        summary.mentions = noted.mentions;
        self.files.summaries().keep(recorder.key, summary);
    }

    fn put_macros(&self, effect: &Effect, summary: &mut Summary) {
        let programs = &self.programs;
        let reads = effect.reads.iter();
        summary.reads = reads
            .map(|&(name, definition)| (name, identity(definition, programs)))
            .collect();
        let mut numbers: HashMap<u64, u32> = HashMap::default();
        let mut block = Vec::new();
        let mut last = (u32::MAX, 0);
        let mut place = |program: u32| {
            // Most macros stand beside others of the same file.
            if program != last.0 {
                let place = *numbers.entry(programs.number(program)).or_insert_with(|| {
                    block.push(Arc::clone(programs.shared(program)));
                    block.len() as u32 - 1
                });
                last = (program, place);
            }
            last.1
        };
        let writes = effect.writes.iter();
        summary.writes = writes
            .map(|&(name, definition)| match definition {
                Some(Definition::User { program, index }) => (name, Some((place(program), index))),
                // Only what spoils a recording defines a built-in macro again.
                Some(Definition::Builtin(_)) | None => (name, None),
            })
            .collect();
        summary.programs = block.into();
    }
}

impl World<'_> {
    /// Whether the files and lookups of a summary are as they were, and would be had in the same way here.
    fn fit(&mut self, summary: &Summary) -> Fit {
        let grounds = &summary.grounds;
        if !self.session.aside(|session| grounds.hold(session)) {
            return Fit::Stale;
        }
        self.fitted.clear();
        for touched in &summary.files {
            let record = self.by_name.get(&touched.name).copied();
            self.fitted.push(record.unwrap_or(NO_RECORD));
            let known = record.map(|at| &self.records[at]);
            let content = &touched.file.content;
            if known.is_some_and(|record| !Arc::ptr_eq(&record.file.content, content)) {
                return Fit::Stale;
            }
            let once = known.is_some_and(|record| record.once);
            if touched.once_before.is_some_and(|before| before != once) {
                return Fit::No;
            }
            if touched.text_read && self.is_read_as_another(touched.name, content) {
                return Fit::No;
            }
            if touched.compared && self.resembles_once(touched.name, touched.file.node, content) {
                return Fit::No;
            }
        }
        Fit::Yes
    }

    /// Takes files and lookups over, of a summary that was just found to fit.
    fn take(&mut self, summary: &Summary) {
        self.grounds.push(Arc::clone(&summary.grounds));
        if self.is_noting() {
            self.notes.grounds.push(Arc::clone(&summary.grounds));
        }
        let mut records = std::mem::take(&mut self.fitted);
        for (file, place) in summary.files.iter().zip(&mut records) {
            if *place == NO_RECORD {
                *place = self.add_record(file.name, Arc::clone(&file.file), file.version);
            }
            let record = *place;
            if let Some(touch) = self.touch(record) {
                if !touch.marks_once && touch.once_before.is_none() {
                    touch.once_before = file.once_before;
                }
                touch.compared |= file.compared;
            }
            if file.marks_once {
                self.mark_once(record);
            }
            if file.text_read {
                self.read_text(record);
            }
        }
        let record = |&at: &u32| records[at as usize];
        for at in &summary.listed {
            self.list(record(at));
        }
        self.hits.extend(summary.hits.iter().map(record));
        let looked_for = summary.looked_for.iter();
        self.looked_for
            .extend(looked_for.map(|(at, how)| (record(at), *how)));
        self.fitted = records;
        self.text_counts |= summary.mentions & Mention::Counter.bit() != 0;
        self.notes.mentions |= summary.mentions;
        let deepest = self.frames.len() + 1 + summary.height;
        self.notes.deepest = self.notes.deepest.max(deepest);
    }

    /// Files and lookups of what was noted since `begin`; the rest of the summary is empty. `None` if something is not noted
    /// that should be.
    fn summary(&self, begin: &Ends) -> Option<Summary> {
        let mut places = vec![NOWHERE; self.records.len()];
        let mut files: Vec<Touched> = Vec::new();
        for touch in &self.notes.touches[begin.touches..] {
            let place = &mut places[touch.record];
            if *place == NOWHERE {
                *place = files.len() as u32;
                let record = &self.records[touch.record];
                files.push(Touched {
                    name: record.name,
                    file: Arc::clone(&record.file),
                    version: record.version,
                    once_before: None,
                    marks_once: false,
                    text_read: false,
                    compared: false,
                });
            }
            let file = &mut files[*place as usize];
            if file.once_before.is_none() && !file.marks_once {
                file.once_before = touch.once_before;
            }
            file.marks_once |= touch.marks_once;
            file.text_read |= touch.text_read;
            file.compared |= touch.compared;
        }
        // Another unit's source is a header like any other to this one.
        if files
            .iter()
            .any(|file| file.file.opened_by == SearchKind::Source)
        {
            return None;
        }
        let place = |record: &usize| Some(places[*record]).filter(|place| *place != NOWHERE);
        let mut seen = vec![false; files.len()];
        let mut listed = Vec::new();
        for record in &self.notes.listed[begin.listed..] {
            let place = place(record)?;
            if !std::mem::replace(&mut seen[place as usize], true) {
                listed.push(place);
            }
        }
        let nodes = files.iter().map(|file| (file.file.node, file.version));
        let contents: Evidence = nodes.collect();
        if !contents
            .iter()
            .all(|(node, _)| self.session.is_settled(*node))
        {
            return None;
        }
        let taken_over = self.notes.grounds[begin.grounds..].iter();
        let taken_over = taken_over.flat_map(|grounds| grounds.lookups());
        let mut lookups: Vec<&Arc<Resolved>> = self.notes.lookups[begin.lookups..]
            .iter()
            .chain(taken_over)
            .collect();
        lookups.sort_unstable_by_key(|lookup| Arc::as_ptr(lookup));
        lookups.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let lookups = lookups.into_iter().cloned().collect();
        let looked_for = self.looked_for[begin.looked_for..].iter();
        Some(Summary {
            reads: Box::default(),
            writes: Box::default(),
            programs: Arc::default(),
            grounds: Arc::new(Grounds::new(lookups, contents)),
            files: files.into(),
            listed: listed.into(),
            hits: self.hits[begin.hits..]
                .iter()
                .map(place)
                .collect::<Option<_>>()?,
            looked_for: looked_for
                .map(|(record, how)| Some((place(record)?, *how)))
                .collect::<Option<_>>()?,
            height: 0,
            directives: 0,
            includes: 0,
            tokens: 0,
            mentions: 0,
        })
    }
}
