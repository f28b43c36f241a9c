//! Executing directives.

use std::sync::Arc;

use super::Scan;
use super::world::{Frame, World};
use crate::atom::Atom;
use crate::condition;
use crate::configuration::{CompilerFamily, TimePolicy};
use crate::decline::Decline;
use crate::macros::{Definition, Expander, Fault, HeaderName, Rules};
use crate::program::{
    Directive, IncludeStyle, Kind, Mention, Op, Pragma, Program, Target, TokenRange,
};
use crate::search::{Found, Origin};

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
        let program = Arc::clone(&frame.program);
        let index = frame.program_index;
        let mut position = frame.position;
        while let Some(directive) = program.directives.get(position) {
            self.spend_directive()?;
            if let Some(frame) = self.world.frames.last_mut() {
                frame.line = directive.line;
            }
            position += 1;
            match &directive.op {
                Op::Define(number) => self.define(&program, index, *number)?,
                Op::If(_) | Op::Ifdef(_) | Op::Ifndef(_) => {
                    position = self.branch(&program, position - 1)?;
                }
                Op::Elif(_) | Op::Elifdef(_) | Op::Elifndef(_) | Op::Else => {
                    position = directive.end as usize + 1
                }
                Op::MalformedElif(what) => return Err(self.malformed(what)),
                Op::Endif => {}
                Op::Include(style, target) => {
                    if let Some(frame) = self.world.frames.last_mut() {
                        frame.position = position;
                    }
                    if self.include_directive(&program, *style, *target)? {
                        return Ok(());
                    }
                }
                _ => self.simple(directive, index, &program)?,
            }
        }
        if let Some((line, what)) = program.broken {
            if let Some(frame) = self.world.frames.last_mut() {
                frame.line = line;
            }
            return Err(self.malformed(what));
        }
        self.world.frames.pop();
        Ok(())
    }

    fn spend_directive(&mut self) -> Result<(), Decline> {
        match self.directives_left.checked_sub(1) {
            Some(left) => self.directives_left = left,
            None => {
                return Err(Decline::TooMuchWork {
                    place: self.world.place(),
                    what: "executing directives",
                });
            }
        }
        Ok(())
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

    fn define(&mut self, program: &Program, index: u32, number: u32) -> Result<(), Decline> {
        let definition = &program.macros[number as usize];
        self.macros.set(
            definition.name,
            Some(Definition::User {
                program: index,
                index: number,
            }),
        );
        if definition.mentions != 0 {
            for mention in Mention::ALL {
                if definition.mentions & mention.bit() != 0 {
                    self.mention(mention)?;
                }
            }
        }
        Ok(())
    }

    /// A directive that neither branches nor includes.
    pub(super) fn simple(
        &mut self,
        directive: &Directive,
        index: u32,
        program: &Arc<Program>,
    ) -> Result<(), Decline> {
        match &directive.op {
            Op::Define(number) => self.define(program, index, *number)?,
            Op::Undefine(name) => self.macros.set(*name, None),
            Op::Pragma(pragma) => self.pragma(program, *pragma)?,
            Op::Line(range) => self.line(program, *range, true)?,
            Op::Marker(range) => self.line(program, *range, false)?,
            Op::Assertion(positive, range) => self.assertion(program, *positive, *range)?,
            Op::Error(message) => {
                return Err(Decline::ErrorDirective {
                    place: self.world.place(),
                    message: message.to_string(),
                });
            }
            Op::Malformed(what) => return Err(self.malformed(what)),
            Op::Unsupported(what) => return Err(self.unsupported(what)),
            Op::Mention(mention) => self.mention(*mention)?,
            _ => {}
        }
        Ok(())
    }

    /// The position after an `#if`, `#ifdef` or `#ifndef`: in the branch that is taken, or after the group.
    fn branch(&mut self, program: &Arc<Program>, at: usize) -> Result<usize, Decline> {
        let mut at = at;
        loop {
            let Some(directive) = program.directives.get(at) else {
                // The group never ends; the file is broken, which its end says.
                return Ok(program.directives.len());
            };
            if let Some(frame) = self.world.frames.last_mut() {
                frame.line = directive.line;
            }
            let taken = match &directive.op {
                Op::If(range) | Op::Elif(range) => self.evaluate(program, *range)?,
                Op::Ifdef(name) | Op::Elifdef(name) => self.is_defined(*name)?,
                Op::Ifndef(name) | Op::Elifndef(name) => !self.is_defined(*name)?,
                Op::MalformedElif(what) => return Err(self.malformed(what)),
                _ => true,
            };
            if taken {
                return Ok(at + 1);
            }
            at = directive.next as usize;
        }
    }

    fn is_defined(&mut self, name: Atom) -> Result<bool, Decline> {
        let defined = self.macros.read(name).is_some();
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
        program: &Arc<Program>,
        range: TokenRange,
        padding: bool,
        read: impl FnOnce(&mut Expander<'_, World<'_>>) -> Result<T, Fault>,
    ) -> Result<T, Decline> {
        let rules = Rules {
            padding,
            ..self.rules
        };
        let program = Arc::clone(program);
        let outcome = {
            let world = &mut self.world;
            let mut expander = Expander::new(
                &mut self.macros,
                world,
                rules,
                &mut self.tokens_left,
                program,
                range,
            );
            read(&mut expander)
        };
        let value = outcome.map_err(|fault| self.world.decline(fault))?;
        self.check_doubt()?;
        Ok(value)
    }

    fn evaluate(&mut self, program: &Arc<Program>, range: TokenRange) -> Result<bool, Decline> {
        let dialect = self.configuration.dialect;
        self.read(program, range, false, |expander| {
            condition::evaluate(expander, &dialect)
        })
    }

    fn assertion(
        &mut self,
        program: &Arc<Program>,
        positive: bool,
        range: TokenRange,
    ) -> Result<(), Decline> {
        let (predicate, answer) = self.read(program, range, false, |expander| {
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
    fn line(
        &mut self,
        program: &Arc<Program>,
        range: TokenRange,
        expand: bool,
    ) -> Result<(), Decline> {
        let (number, name) = self.read(program, range, false, |expander| {
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
            frame.line_shift = value - i64::from(frame.line) - 1;
            if name.is_some() {
                frame.presumed_name = name;
            }
        }
        Ok(())
    }

    fn pragma(&mut self, program: &Arc<Program>, pragma: Pragma) -> Result<(), Decline> {
        match pragma {
            Pragma::Once => {
                if let Some(record) = self.world.frames.last().and_then(|frame| frame.record) {
                    self.world.mark_once(record);
                }
            }
            Pragma::PushMacro(name) => self.macros.push(name),
            Pragma::PopMacro(name) => self.macros.pop(name),
            Pragma::Dependency(target) => {
                if let Some((bracket, name)) = self.header(program, target)? {
                    self.world.find_only(IncludeStyle::Include, bracket, name)?;
                }
            }
            _ if self.pragmas_change_macros() => self.macros.doubt = self.options.apply(pragma),
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
            Mention::Date if self.tu.embeds_time == TimePolicy::Decline => {
                return Err(time("__DATE__"));
            }
            Mention::Time if self.tu.embeds_time == TimePolicy::Decline => {
                return Err(time("__TIME__"));
            }
            Mention::AssemblerInclude => {
                return Err(self.unsupported(".incbin or .include of the assembler"));
            }
            Mention::Module => return Err(self.unsupported("a C++ module line")),
            Mention::Counter => self.world.text_counts = true,
            _ => {}
        }
        self.mentions |= mention.bit();
        let has = |mention: Mention| self.mentions & mention.bit() != 0;
        if has(Mention::PragmaOperator) && has(Mention::MacroStackWord) {
            return Err(self.unsupported("push_macro or pop_macro, perhaps by _Pragma"));
        }
        let (target, optimize) = (has(Mention::TargetWord), has(Mention::OptimizeWord));
        if has(Mention::PragmaOperator) && (target || optimize) && self.pragmas_change_macros() {
            self.macros.doubt = self.options.doubt_for_good(target, optimize);
        }
        Ok(())
    }

    /// The name and style (true for brackets) that an include means; `None` when it names nothing.
    fn header(
        &mut self,
        program: &Arc<Program>,
        target: Target,
    ) -> Result<Option<(bool, Atom)>, Decline> {
        let range = match target {
            Target::Quote(name) => return Ok(Some((false, name))),
            Target::Bracket(name) => return Ok(Some((true, name))),
            Target::Computed(range) => range,
        };
        let parsed = self.read(program, range, true, |expander| {
            let first = expander.next(true)?;
            expander.header_name(first)
        })?;
        Ok(parsed.map(|HeaderName { bracket, name }| (bracket, Atom::of(&name))))
    }

    /// Executes an include; true when a file was pushed.
    fn include_directive(
        &mut self,
        program: &Arc<Program>,
        style: IncludeStyle,
        target: Target,
    ) -> Result<bool, Decline> {
        let Some((bracket, name)) = self.header(program, target)? else {
            return Err(self.malformed("#include expects \"FILENAME\" or <FILENAME>"));
        };
        if name.spelling().is_empty() {
            return Err(self.malformed("empty filename in #include"));
        }
        self.world.check_first_header(style, bracket, name)?;
        match self.world.find(style, bracket, name)? {
            Some(found) => self.include(&found, style == IncludeStyle::Import),
            None => Err(self.world.not_found(style, bracket, name)),
        }
    }

    /// Enters a found file unless it is to be read only once; true when it was pushed.
    pub(super) fn include(&mut self, found: &Found, import: bool) -> Result<bool, Decline> {
        if self.world.frames.len() >= self.configuration.max_include_depth as usize {
            return Err(Decline::TooDeep {
                place: self.world.place(),
                limit: self.configuration.max_include_depth,
            });
        }
        match self.includes_left.checked_sub(1) {
            Some(left) => self.includes_left = left,
            None => {
                return Err(Decline::TooMuchWork {
                    place: self.world.place(),
                    what: "entering files",
                });
            }
        }
        let record = self.world.open(found)?;
        self.world.note_header(found.kind);
        let (once, listed) = (
            self.world.records[record].once,
            self.world.records[record].listed,
        );
        if once {
            return Ok(false);
        }
        if import {
            self.world.mark_once(record);
            if listed {
                return Ok(false);
            }
        }
        if self.world.is_twin_of_once(record, import)? {
            // The compiler opens it, sees that it knows the content, and goes on. It must still be there to be opened.
            self.world.hits.push(record);
            return Ok(false);
        }
        self.world.list(record);
        let content = Arc::clone(&self.world.records[record].content);
        let program = content.program(self.rules.mode);
        if let Some(guard) = program.guard
            && self.macros.read(guard).is_some()
        {
            return Ok(false);
        }
        let system = self.world.found_is_system(found.kind);
        self.enter(record, program, (found.origin, system));
        Ok(true)
    }

    /// Pushes a file.
    pub(super) fn enter(&mut self, record: usize, program: Arc<Program>, origin: (Origin, bool)) {
        let index = self.macros.add_program(Arc::clone(&program));
        self.world.records[record].text_read = true;
        let frame = Frame::new(
            record,
            &self.world.records[record].name,
            program,
            index,
            origin,
        );
        self.world.frames.push(frame);
    }
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
