//! Executing directives.

use std::sync::Arc;

use super::Scan;
use super::memo::{Line, Outcome};
use super::recall::Recalled;
use super::world::{Frame, World};
use crate::atom::Atom;
use crate::chain::{Origin, Resolved};
use crate::condition;
use crate::configuration::{CompilerFamily, LexingMode};
use crate::decline::Decline;
use crate::macros::{Definition, Expander, Fault, HeaderName, Rules};
use crate::program::{
    Directive, IncludeStyle, Kind, Mention, Op, Pragma, Program, Target, TokenRange,
};

/// Where execution stands in a program.
#[derive(Clone, Copy)]
struct Position {
    /// The index of the next directive.
    at: usize,
    /// Whether that directive asks if its branch is to be taken: an `#if`, or an `#elif` after branches that were not taken.
    asks: bool,
}

impl Position {
    fn after(at: usize) -> Position {
        Position {
            at: at.saturating_add(1),
            asks: false,
        }
    }
}

impl Scan<'_> {
    /// Executes the files on the stack until fewer than `depth` are left.
    pub(super) fn execute(&mut self, depth: usize) -> Result<(), Decline> {
        while self.world.frames.len() >= depth {
            self.execute_top()?;
        }
        Ok(())
    }

    /// Executes the topmost file until it ends or includes another.
    fn execute_top(&mut self) -> Result<(), Decline> {
        let Some(frame) = self.world.frames.last() else {
            return Ok(());
        };
        let index = frame.program_index;
        let mut position = Position {
            at: frame.position,
            asks: false,
        };
        while let Some(directive) = self.advance(index, &mut position)? {
            if let Some(frame) = self.world.frames.last_mut() {
                frame.line = directive.line;
            }
            if position.asks {
                position = match self.holds(index, directive.op)? {
                    true => Position::after(position.at),
                    false => Position {
                        at: directive.next as usize,
                        asks: true,
                    },
                };
                continue;
            }
            position = Position::after(position.at);
            if let Op::Include(style, target) = directive.op {
                if let Some(frame) = self.world.frames.last_mut() {
                    frame.position = position.at;
                }
                if self.include_directive(index, style, target)? {
                    return Ok(());
                }
            } else {
                self.simple(&directive, index)?;
            }
        }
        if let Some((line, what)) = self.programs[index].broken {
            if let Some(frame) = self.world.frames.last_mut() {
                frame.line = line;
            }
            return Err(self.malformed(what));
        }
        let frame = self.world.frames.pop();
        if let Some(recorder) = frame.and_then(|frame| frame.recorder) {
            self.recorded(*recorder);
        }
        Ok(())
    }

    /// Executes what only defines, undefines, and asks for macros without expansion. Stops at any other directive, which it
    /// returns, and at the end of the program. A scan spends its time here: nothing allocates, counts references or can fail.
    fn advance(
        &mut self,
        index: u32,
        position: &mut Position,
    ) -> Result<Option<Directive>, Decline> {
        let programs = &self.programs;
        let program = &programs[index];
        let macros = &mut self.macros;
        // What a pragma has put in doubt is read with more care, elsewhere.
        let careful = macros.is_any_doubt();
        let mut executed = 0;
        let Position { mut at, mut asks } = *position;
        let stopped = loop {
            let Some(directive) = program.directives.get(at) else {
                break None;
            };
            executed += 1;
            let holds = match directive.op {
                Op::Define(name, number) => {
                    let definition = Definition::User {
                        program: index,
                        index: number,
                    };
                    macros.set(name, Some(definition));
                    true
                }
                Op::Undefine(name) => {
                    macros.set(name, None);
                    true
                }
                Op::Endif => true,
                // The end of a branch that was taken.
                Op::Elif(_) | Op::Elifdef(_) | Op::Elifndef(_) | Op::Else if !asks => {
                    at = directive.end as usize;
                    true
                }
                Op::Else => true,
                Op::If(_)
                | Op::Elif(_)
                | Op::Ifdef(_)
                | Op::Elifdef(_)
                | Op::Ifndef(_)
                | Op::Elifndef(_)
                    if careful =>
                {
                    asks = true;
                    break Some(*directive);
                }
                Op::Ifdef(name) | Op::Elifdef(name) => macros.is_defined(name),
                Op::Ifndef(name) | Op::Elifndef(name) => !macros.is_defined(name),
                Op::If(condition) | Op::Elif(condition) => {
                    let condition = &program.conditions[condition as usize];
                    match condition::shortcut(program, condition, macros, programs) {
                        Some(holds) => holds,
                        None => {
                            asks = true;
                            break Some(*directive);
                        }
                    }
                }
                _ => {
                    asks = false;
                    break Some(*directive);
                }
            };
            asks = !holds;
            at = match holds {
                true => at.saturating_add(1),
                false => directive.next as usize,
            };
        };
        *position = Position { at, asks };
        match self.directives_left.checked_sub(executed) {
            Some(left) => self.directives_left = left,
            None => {
                return Err(Decline::TooMuchWork {
                    place: self.world.place(),
                    what: "executing directives",
                });
            }
        }
        Ok(stopped)
    }

    /// Whether the condition of an `#if`, an `#elif` or one of their like holds.
    fn holds(&mut self, index: u32, op: Op) -> Result<bool, Decline> {
        match op {
            Op::If(condition) | Op::Elif(condition) => self.evaluate(index, condition),
            Op::Ifdef(name) | Op::Elifdef(name) => self.is_defined(name),
            Op::Ifndef(name) | Op::Elifndef(name) => Ok(!self.is_defined(name)?),
            _ => Ok(true),
        }
    }

    fn malformed(&self, what: &str) -> Decline {
        Decline::Malformed {
            place: self.world.place(),
            what: what.into(),
        }
    }

    fn unsupported(&self, what: &str) -> Decline {
        Decline::Unsupported {
            place: self.world.place(),
            what: what.into(),
        }
    }

    /// A directive that neither branches nor includes.
    pub(super) fn simple(&mut self, directive: &Directive, index: u32) -> Result<(), Decline> {
        let program = &self.programs[index];
        match directive.op {
            Op::Define(name, number) => {
                let definition = Definition::User {
                    program: index,
                    index: number,
                };
                self.macros.set(name, Some(definition));
            }
            Op::Undefine(name) => self.macros.set(name, None),
            Op::Pragma(pragma) => self.pragma(index, pragma)?,
            Op::Line(range) => self.line(index, range, true)?,
            Op::Marker(range) => self.line(index, range, false)?,
            Op::Assertion(positive, range) => self.assertion(index, positive, range)?,
            Op::Error(message) => {
                return Err(Decline::ErrorDirective {
                    place: self.world.place(),
                    message: program.message(message).into(),
                });
            }
            Op::Malformed(what) => return Err(self.malformed(program.message(what))),
            Op::Unsupported(what) => return Err(self.unsupported(program.message(what))),
            Op::MalformedElif(what) => return Err(self.malformed(what)),
            Op::Mention(mention) => self.mention(mention)?,
            _ => {}
        }
        Ok(())
    }

    fn is_defined(&mut self, name: Atom) -> Result<bool, Decline> {
        let defined = self.macros.is_defined(name);
        self.check_doubt()?;
        Ok(defined)
    }

    /// Declines when a macro was read that a pragma may have changed. gcc's own headers are excepted: they read target
    /// macros within each other's `target` pragmas, only to choose further pragmas.
    fn check_doubt(&mut self) -> Result<(), Decline> {
        match self.macros.doubtful_read.take() {
            None => Ok(()),
            Some(_) if self.world.in_compilers_header() => Ok(()),
            Some(name) => {
                let what = format!(
                    "{} is read after a pragma that may have changed it",
                    name.display()
                );
                Err(self.unsupported(&what))
            }
        }
    }

    /// Reads a directive's tokens; white space around arguments is remembered where a header name may come of them.
    fn read<T>(
        &mut self,
        index: u32,
        range: TokenRange,
        padding: bool,
        read: impl FnOnce(&mut Expander<'_, World<'_>>) -> Result<T, Fault>,
    ) -> Result<T, Decline> {
        let rules = Rules {
            padding,
            ..self.rules
        };
        let outcome = {
            let mut expander = Expander::new(
                &mut self.macros,
                &self.programs,
                &mut self.world,
                rules,
                &mut self.workspace,
                self.programs[index].tokens(range),
            );
            read(&mut expander)
        };
        let value = outcome.map_err(|fault| self.world.decline(fault))?;
        self.check_doubt()?;
        if std::mem::take(&mut self.world.line_was_read) {
            self.check_line(index)?;
        }
        Ok(value)
    }

    /// Declines `__LINE__` in a directive over several lines: it is the line of its own token, or of the macro it comes from.
    fn check_line(&self, index: u32) -> Result<(), Decline> {
        let line = self.world.frames.last().map_or(0, |frame| frame.line);
        match self.programs[index].last_line(line) {
            last if last == line => Ok(()),
            _ => Err(self.unsupported("__LINE__ in a directive over several lines")),
        }
    }

    fn evaluate(&mut self, index: u32, condition: u32) -> Result<bool, Decline> {
        let line = Line::Condition(condition);
        if let Some(Outcome::Holds(holds)) = self.remembered(index, line) {
            return Ok(holds);
        }
        let dialect = self.configuration.dialect;
        let tokens = self.programs[index].conditions[condition as usize].tokens;
        let mut items = std::mem::take(&mut self.items);
        let outcome = self.read(index, tokens, false, |expander| {
            condition::evaluate(expander, &dialect, &mut items)
        });
        self.items = items;
        let holds = outcome?;
        self.remember(index, line, Outcome::Holds(holds));
        Ok(holds)
    }

    /// What a line came to when it was read with the macros that are defined now. A doubt must be noticed where the doubtful
    /// name is read, so nothing is remembered while there is one.
    fn remembered(&mut self, index: u32, line: Line) -> Option<Outcome> {
        if self.macros.is_any_doubt() {
            return None;
        }
        let program = &self.programs[index];
        let (outcome, reads) = self
            .memo
            .outcome(program, line, &self.macros, &self.programs)?;
        if self.macros.is_recording() {
            for &(name, _) in reads {
                self.macros.note_read(name);
            }
        }
        Some(outcome)
    }

    /// Remembers what the line that was read last came to.
    fn remember(&mut self, index: u32, line: Line, outcome: Outcome) {
        if let Some(reads) = self.workspace.reads()
            && !self.macros.is_any_doubt()
        {
            let program = &self.programs[index];
            let known = (reads, outcome);
            self.memo
                .keep(program, line, &self.macros, &self.programs, known);
        }
    }

    fn assertion(&mut self, index: u32, positive: bool, range: TokenRange) -> Result<(), Decline> {
        let (predicate, answer) = self.read(index, range, false, |expander| {
            condition::assertion_line(expander)
        })?;
        match (positive, answer) {
            (true, Some(answer)) => self.macros.assert(predicate, answer),
            (true, None) => return Err(self.malformed("assertion without answer")),
            (false, answer) => self.macros.unassert(predicate, answer.as_deref()),
        }
        Ok(())
    }

    /// `#line` and line markers change `__LINE__` and `__FILE__`, never the search directory.
    fn line(&mut self, index: u32, range: TokenRange, expand: bool) -> Result<(), Decline> {
        let (number, name) = self.read(index, range, false, |expander| {
            Ok((expander.next(expand)?, expander.next(expand)?))
        })?;
        let value = std::str::from_utf8(number.spelling())
            .ok()
            .and_then(|text| text.parse::<i64>().ok());
        let Some(value) = value else {
            return Err(self.malformed("a line directive without a line number"));
        };
        let name = match (name.kind, name.spelling()) {
            (Kind::End, _) => None,
            (Kind::String, [b'"', inner @ .., b'"']) => Some(unescape(inner)),
            _ => return Err(self.malformed("a line directive with an invalid file name")),
        };
        if let Some(frame) = self.world.frames.last_mut() {
            // The number is that of the line after the directive, which may go over several lines. To clang it is that of
            // the line after the number's.
            let last = self.programs[index].last_line(frame.line);
            if self.rules.mode.clang && last != frame.line {
                return Err(self.unsupported("#line in a directive over several lines"));
            }
            frame.line_shift = value - i64::from(last) - 1;
            if name.is_some() {
                frame.presumed_name = name;
            }
        }
        Ok(())
    }

    fn pragma(&mut self, index: u32, pragma: Pragma) -> Result<(), Decline> {
        match pragma {
            Pragma::Once => {
                if let Some(record) = self.world.frames.last().and_then(|frame| frame.record) {
                    self.world.mark_once(record);
                }
            }
            Pragma::PushMacro(name) => self.macros.push(name),
            Pragma::PopMacro(name) => self.macros.pop(name),
            Pragma::Dependency(target) => {
                if let Some((bracket, name)) = self.header(index, target)? {
                    self.world.find_only(IncludeStyle::Include, bracket, name)?;
                }
            }
            _ if self.pragmas_change_macros() => {
                self.macros.spoil();
                self.macros.doubt = self.options.apply(pragma);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether `#pragma GCC target` and `optimize` change built-in macros while the file is read. Up to gcc 12 the C++ compiler
    /// reads the whole file before it obeys such pragmas; clang never does.
    fn pragmas_change_macros(&self) -> bool {
        match self.configuration.compiler {
            CompilerFamily::Clang { .. } => false,
            CompilerFamily::Gcc { major } => !(self.configuration.language.is_cxx() && major <= 12),
        }
    }

    fn mention(&mut self, mention: Mention) -> Result<(), Decline> {
        let time = |macro_name| Decline::Timestamp {
            file: self.world.place().file,
            macro_name,
        };
        match mention {
            Mention::Timestamp => return Err(time("__TIMESTAMP__")),
            // Whose clock and time zone it is shows, and `SOURCE_DATE_EPOCH`, which stock's servers do not hear of.
            Mention::Date => return Err(time("__DATE__")),
            Mention::Time => return Err(time("__TIME__")),
            Mention::AssemblerInclude => {
                return Err(self.unsupported(".incbin or .include of the assembler"));
            }
            Mention::Module => return Err(self.unsupported("a C++ module line")),
            Mention::Counter => self.world.text_counts = true,
            _ => {}
        }
        self.mentions |= mention.bit();
        self.world.notes.mentions |= mention.bit();
        let has = |mention: Mention| self.mentions & mention.bit() != 0;
        if has(Mention::PragmaOperator) && has(Mention::MacroStackWord) {
            return Err(self.unsupported("push_macro or pop_macro, perhaps by _Pragma"));
        }
        if has(Mention::PragmaOperator) && has(Mention::OnceWord) {
            return Err(self.unsupported("once, perhaps by _Pragma"));
        }
        let (target, optimize) = (has(Mention::TargetWord), has(Mention::OptimizeWord));
        if has(Mention::PragmaOperator) && (target || optimize) && self.pragmas_change_macros() {
            self.macros.spoil();
            self.macros.doubt = self.options.doubt_for_good(target, optimize);
        }
        Ok(())
    }

    /// The name and style (true for brackets) that an include means; `None` when it names nothing.
    fn header(&mut self, index: u32, target: Target) -> Result<Option<(bool, Atom)>, Decline> {
        let range = match target {
            Target::Quote(name) => return Ok(Some((false, name))),
            Target::Bracket(name) => return Ok(Some((true, name))),
            Target::Computed(range) => range,
        };
        let line = Line::Include(range.indices().start as u32);
        if let Some(Outcome::Header(header)) = self.remembered(index, line) {
            return Ok(header);
        }
        let parsed = self.read(index, range, true, |expander| {
            let first = expander.next(true)?;
            expander.header_name(first)
        })?;
        let header = parsed.map(|HeaderName { bracket, name }| (bracket, Atom::of(&name)));
        self.remember(index, line, Outcome::Header(header));
        Ok(header)
    }

    /// Executes an include; true when a file was pushed.
    fn include_directive(
        &mut self,
        index: u32,
        style: IncludeStyle,
        target: Target,
    ) -> Result<bool, Decline> {
        let Some((bracket, name)) = self.header(index, target)? else {
            return Err(self.malformed("#include expects \"FILENAME\" or <FILENAME>"));
        };
        if name.spelling().is_empty() {
            return Err(self.malformed("empty filename in #include"));
        }
        self.world.check_first_header(style, bracket, name)?;
        let found = self.world.find(style, bracket, name)?;
        match found.hit {
            Some(_) => self.include(&found, (style == IncludeStyle::Import).then_some(name)),
            None => Err(self.world.not_found(style, bracket, name)),
        }
    }

    /// Enters a found file unless it is to be read only once; true when it was pushed. With `import`, the name that `#import` has.
    pub(super) fn include(
        &mut self,
        found: &Arc<Resolved>,
        import: Option<Atom>,
    ) -> Result<bool, Decline> {
        let Some(hit) = &found.hit else {
            return Ok(false);
        };
        if self.world.frames.len() >= self.configuration.max_include_depth as usize {
            return Err(Decline::TooDeep {
                place: self.world.place(),
                limit: self.configuration.max_include_depth,
            });
        }
        self.world.notes.deepest = self.world.notes.deepest.max(self.world.frames.len());
        match self.includes_left.checked_sub(1) {
            Some(left) => self.includes_left = left,
            None => {
                return Err(Decline::TooMuchWork {
                    place: self.world.place(),
                    what: "entering files",
                });
            }
        }
        self.read_ahead_of(found);
        let Some(record) = self.world.open(found)? else {
            return Ok(false);
        };
        self.world.note_header(hit.kind);
        let listed = self.world.records[record].listed;
        if self.world.is_once(record) {
            return Ok(false);
        }
        if let Some(name) = import {
            // What follows hangs on all that was read and looked for before.
            self.macros.spoil();
            self.world.mark_once(record);
            if listed {
                return Ok(false);
            }
            self.world.check_looked_for(record, name, hit.kind)?;
        }
        if self.world.is_twin_of_once(record, import.is_some())? {
            // The compiler opens it, sees that it knows the content, and goes on. It must still be there to be opened.
            self.world.hits.push(record);
            return Ok(false);
        }
        self.world.list(record);
        let content = Arc::clone(&self.world.records[record].file.content);
        let system = self.world.found_is_system(hit.kind);
        if content.is_being_built() {
            self.read_ahead_while(|_| content.is_being_built());
        }
        let program = self.world.program(record, self.mode_of(system))?;
        if let Some(guard) = program.guard
            && self.macros.is_defined(guard)
        {
            return Ok(false);
        }
        let place = (hit.origin, system);
        match self.recall(record, &program, place) {
            Recalled::Done => Ok(false),
            Recalled::Execute(key) => {
                self.enter(record, program, place)?;
                if let Some(key) = key {
                    self.record(key);
                }
                Ok(true)
            }
        }
    }

    /// How a file is read, which may be a system header.
    pub(super) fn mode_of(&self, system: bool) -> LexingMode {
        let mut mode = self.rules.mode;
        // In its system headers gcc takes `//` for a comment in C90 too.
        mode.line_comments |= system && !mode.clang;
        mode
    }

    /// Pushes a file.
    pub(super) fn enter(
        &mut self,
        record: usize,
        program: Arc<Program>,
        origin: (Origin, bool),
    ) -> Result<(), Decline> {
        let index = self.add_program(program);
        let first = self.world.read_as(record)?;
        self.world.read_text(record);
        let name = self.world.records[first].name;
        let mut frame = Frame::new(record, directory_of(name), index, origin);
        if first != record {
            frame.presumed_name = Some(name.spelling().to_vec());
        }
        self.world.frames.push(frame);
        Ok(())
    }
}

/// The directory part of a name, with its slash.
fn directory_of(name: Atom) -> Atom {
    let name = name.spelling();
    let length = memchr::memrchr(b'/', name).map_or(0, |slash| slash + 1);
    Atom::of(&name[..length])
}

/// The characters of a string literal's inside.
fn unescape(inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            _ => out.push(byte),
        }
    }
    out
}
