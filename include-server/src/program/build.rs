//! From bytes to directives.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem;

use super::watch::Watch;
use super::{
    Condition, DIGRAPH, Directive, IncludeStyle, Mention, Message, Op, Pragma, Program, SPACE,
    Step, Target, Token, TokenRange, Unary, define, formula, pragma,
};
use crate::atom::{Atom, known};
use crate::configuration::LexingMode;
use crate::lexer::{Cursor, RawToken, Shape};

/// The number of the next program; 0 is that of the empty one.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// A thread's room for the program that is being built: what is kept is a copy that is no larger than it has to be.
    static ROOM: RefCell<Program> = RefCell::default();
}

/// Builds a program; see [`Program::build`].
pub(super) fn build(bytes: &[u8], mode: LexingMode) -> Program {
    let mut builder = Builder {
        cursor: Cursor::new(bytes, mode),
        mode,
        program: Program {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            mode: Some(mode),
            ..ROOM.take()
        },
        open: Vec::new(),
        scratch: Vec::new(),
        watch: Watch::new(bytes, mode),
    };
    builder.file();
    let program = builder.program.kept();
    ROOM.set(builder.program);
    program
}

/// An `#if` that waits for its `#endif`.
struct Open {
    /// Index of the `#if`.
    first: u32,
    /// Index of the last `#if`, `#elif` or `#else` of the group.
    last: u32,
    has_else: bool,
    line: u32,
}

/// What a condition asks.
enum Test {
    Defined(Atom),
    NotDefined(Atom),
    /// An index of `Program::conditions`.
    Other(u32),
}

pub(super) struct Builder<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) mode: LexingMode,
    pub(super) program: Program,
    open: Vec<Open>,
    pub(super) scratch: Vec<u8>,
    pub(super) watch: Watch<'a>,
}

/// A line that is `#pragma once` by the operator.
const ONCE: [&[u8]; 4] = [b"_Pragma", b"(", b"\"once\"", b")"];

impl<'a> Builder<'a> {
    fn file(&mut self) {
        loop {
            let next = self.watch.next_from(self.cursor.position());
            self.cursor.skip_text(next);
            if self.cursor.at_end() {
                break;
            }
            self.cursor.skip_blanks();
            let before = self.cursor;
            match self.cursor.peek() {
                Some(b'#') if self.cursor.take_plain_hash() => self.directive(before.line()),
                Some(b'#' | b'%') => {
                    // `##` and `%:%:` begin no directive.
                    match self.next() {
                        Some(token) if matches!(self.spelling(&token), b"#" | b"%:") => {
                            self.directive(before.line());
                        }
                        _ => {
                            self.cursor = before;
                            self.text();
                        }
                    }
                }
                Some(_) => self.text(),
                None => break,
            }
            self.cursor.take_newline();
        }
        if let Some(open) = self.open.first() {
            self.program.broken = Some((open.line, "#if without #endif"));
        }
        if let Some(what) = self.cursor.broken() {
            self.program.broken = Some((self.cursor.line(), what));
        }
        let mut directives = self.program.directives.iter();
        self.program.includes = directives.any(|directive| matches!(directive.op, Op::Include(..)));
        self.find_guard();
    }

    /// A guard is one group around all directives, that begins with `#ifndef X` (as `#if !defined X` does) and has no other branch.
    /// Text outside the group does not matter here, because text has no effect.
    fn find_guard(&mut self) {
        let program = &mut self.program;
        let (Some(first), Some(last)) = (
            program.directives.first(),
            program.directives.len().checked_sub(1),
        ) else {
            return;
        };
        if first.next as usize != last || program.broken.is_some() || last == 0 {
            return;
        }
        program.guard = match first.op {
            Op::Ifndef(name) => Some(name),
            _ => None,
        };
    }

    pub(super) fn next(&mut self) -> Option<RawToken> {
        self.cursor.next_token(&mut self.scratch, true)
    }

    pub(super) fn spelling(&self, token: &RawToken) -> &[u8] {
        self.cursor.spelling(token, &self.scratch)
    }

    pub(super) fn token(&self, raw: &RawToken) -> Token {
        let (atom, digraph) = match (raw.shape, self.spelling(raw)) {
            (Shape::Punctuator, b"%:") => (known::HASH, DIGRAPH),
            (Shape::Punctuator, b"%:%:") => (known::PASTE, DIGRAPH),
            (Shape::Punctuator, spelling) => (known::punctuator(spelling), 0),
            (_, spelling) => (Atom::of(spelling), 0),
        };
        Token {
            kind: raw.shape.into(),
            flags: digraph | if raw.space { SPACE } else { 0 },
            atom,
        }
    }

    pub(super) fn push(&mut self, op: Op, line: u32) {
        self.program.directives.push(Directive {
            op,
            line,
            next: u32::MAX,
            end: u32::MAX,
        });
    }

    /// A text for a person.
    pub(super) fn message(&mut self, text: &str) -> Message {
        self.program.messages.push(text.into());
        Message(self.program.messages.len() as u32 - 1)
    }

    pub(super) fn malformed(&mut self, what: &str, line: u32) {
        let message = self.message(what);
        self.push(Op::Malformed(message), line);
    }

    /// One directive for each thing mentioned.
    pub(super) fn push_mentions(&mut self, found: u16, line: u32) {
        if found != 0 {
            for mention in Mention::ALL {
                if found & mention.bit() != 0 {
                    self.push(Op::Mention(mention), line);
                }
            }
        }
    }

    fn skip_line(&mut self) {
        if !self.cursor.is_at_newline() && !self.cursor.skip_plain_rest() {
            while self.next().is_some() {}
        }
    }

    /// The rest of the line as tokens of the program.
    pub(super) fn rest(&mut self) -> TokenRange {
        let start = self.program.tokens.len() as u32;
        while let Some(raw) = self.next() {
            let token = self.token(&raw);
            self.program.tokens.push(token);
        }
        TokenRange {
            start,
            end: self.program.tokens.len() as u32,
        }
    }

    /// As [`Builder::rest`], but a header name may follow `__has_include (`.
    fn condition(&mut self) -> Test {
        let start = self.program.tokens.len() as u32;
        let mut expects = 0;
        while let Some(raw) = self.next() {
            let token = self.token(&raw);
            self.program.tokens.push(token);
            expects = match expects {
                _ if matches!(
                    token.atom,
                    known::HAS_INCLUDE | known::HAS_INCLUDE_NEXT | known::HAS_EMBED
                ) =>
                {
                    1
                }
                1 if token.is(known::OPEN) => 2,
                _ => 0,
            };
            self.cursor.set_angled(expects > 0);
        }
        self.cursor.set_angled(false);
        let tokens = TokenRange {
            start,
            end: self.program.tokens.len() as u32,
        };
        let steps = formula::add(&mut self.program, tokens);
        match self.program.steps[steps.indices()] {
            [Step::Defined(name)] => Test::Defined(name),
            [Step::Defined(name), Step::Unary(Unary::Not)] => Test::NotDefined(name),
            _ => {
                self.program.conditions.push(Condition { tokens, steps });
                Test::Other(self.program.conditions.len() as u32 - 1)
            }
        }
    }

    /// One line of text; its tokens are skipped, and looked at only where the file has a word of interest.
    fn text(&mut self) {
        let line = self.cursor.line();
        let start = self.cursor.position();
        let mut found = 0u16;
        let mut at = 0;
        let mut is_once = true;
        let mut previous = Vec::new();
        let mut current = Vec::new();
        while let Some(raw) = self.cursor.next_token(&mut self.scratch, false) {
            std::mem::swap(&mut previous, &mut current);
            current.clear();
            current.extend_from_slice(self.cursor.spelling(&raw, &self.scratch));
            found |= mentions(raw.shape, &current, &previous, self.mode);
            if self.mode.cxx && is_module_line(at, raw.shape, &current, &previous) {
                found |= Mention::Module.bit();
            }
            is_once &= ONCE.get(at).is_some_and(|token| *token == current);
            at += 1;
        }
        if is_once && at == ONCE.len() && self.is_outside_arguments(start) {
            self.push(Op::Pragma(Pragma::Once), line);
        } else {
            self.push_mentions(found, line);
        }
    }

    /// Whether text that ends at `end` certainly does not stand in the arguments of a macro that began before, in this
    /// file: there is no parenthesis before it but in directives. (One in a comment counts, too; it is only a doubt.)
    fn is_outside_arguments(&self, end: usize) -> bool {
        let mut continued = false;
        self.cursor
            .bytes_before(end)
            .split(|&byte| byte == b'\n')
            .all(|line| {
                let is_directive = continued || line.trim_ascii_start().starts_with(b"#");
                continued = is_directive && line.trim_ascii_end().ends_with(b"\\");
                is_directive || !line.contains(&b'(')
            })
    }

    /// One line that begins with a `#`, from behind it on.
    fn directive(&mut self, line: u32) {
        match self.cursor.plain_word() {
            Some(name) => self.directive_named(name, line),
            None => self.odd_directive(line),
        }
        self.skip_line();
        let last = self.cursor.line();
        if last > line {
            self.program.long_lines.push((line, last));
        }
    }

    /// A directive whose name is not a word just there, or that has none.
    fn odd_directive(&mut self, line: u32) {
        let Some(name) = self.next() else {
            return;
        };
        if name.shape == Shape::Number && !self.mode.assembler {
            let first = self.token(&name);
            let start = self.program.tokens.len() as u32;
            self.program.tokens.push(first);
            let TokenRange { end, .. } = self.rest();
            return self.push(Op::Marker(TokenRange { start, end }), line);
        }
        let spelling = self.spelling(&name).to_vec();
        self.directive_named(&spelling, line);
    }

    fn directive_named(&mut self, spelling: &[u8], line: u32) {
        match spelling {
            b"define" => define::define(self, line),
            b"undef" => match self.macro_name() {
                Ok(name) => self.push(Op::Undefine(name), line),
                Err(what) => self.malformed(what, line),
            },
            b"include" => self.include(IncludeStyle::Include, line),
            b"include_next" => self.include(IncludeStyle::Next, line),
            b"import" => self.include(IncludeStyle::Import, line),
            b"pragma" => pragma::pragma(self, line),
            b"line" => {
                let range = self.rest();
                self.push(Op::Line(range), line);
            }
            b"error" => {
                let text = self.cursor.rest_of_line(&mut self.scratch);
                let text = self.message(String::from_utf8_lossy(text).trim());
                self.push(Op::Error(text), line);
            }
            b"assert" | b"unassert" => {
                let range = self.rest();
                self.push(Op::Assertion(spelling.starts_with(b"a"), range), line);
            }
            b"warning" | b"ident" | b"sccs" => {}
            b"__include_macros" if self.mode.clang => self.include(IncludeStyle::Include, line),
            b"__public_macro" | b"__private_macro" if self.mode.clang => {}
            b"embed" => {
                let message = self.message("#embed");
                self.push(Op::Unsupported(message), line);
            }
            _ => self.conditional(spelling, line),
        }
    }

    /// `#if` and its like, or a directive nobody knows.
    fn conditional(&mut self, spelling: &[u8], line: u32) {
        match spelling {
            b"if" => {
                let op = match self.condition() {
                    Test::Defined(name) => Op::Ifdef(name),
                    Test::NotDefined(name) => Op::Ifndef(name),
                    Test::Other(index) => Op::If(index),
                };
                self.begin_group(op, line);
            }
            b"ifdef" | b"ifndef" => {
                let positive = spelling == b"ifdef";
                let op = match self.macro_name() {
                    Ok(name) if positive => Op::Ifdef(name),
                    Ok(name) => Op::Ifndef(name),
                    Err(what) => {
                        self.malformed(what, line);
                        // The group exists all the same, for the jumps of a group around it.
                        Op::Ifdef(known::EMPTY)
                    }
                };
                self.begin_group(op, line);
            }
            b"elif" => {
                let op = match self.condition() {
                    Test::Defined(name) => Op::Elifdef(name),
                    Test::NotDefined(name) => Op::Elifndef(name),
                    Test::Other(index) => Op::Elif(index),
                };
                self.continue_group(op, line);
            }
            b"elifdef" | b"elifndef" if self.mode.elifdef => {
                let positive = spelling == b"elifdef";
                let op = match self.macro_name() {
                    Ok(name) if positive => Op::Elifdef(name),
                    Ok(name) => Op::Elifndef(name),
                    Err(what) => Op::MalformedElif(what),
                };
                self.continue_group(op, line);
            }
            b"else" => self.continue_group(Op::Else, line),
            b"endif" => match self.open.pop() {
                None => self.malformed("#endif without #if", line),
                Some(open) => {
                    let index = self.program.directives.len() as u32;
                    self.push(Op::Endif, line);
                    self.program.directives[open.last as usize].next = index;
                    let mut member = open.first;
                    while member != index {
                        let directive = &mut self.program.directives[member as usize];
                        directive.end = index;
                        member = directive.next;
                    }
                }
            },
            // To the assembler a line with `#` may be a comment.
            _ if self.mode.assembler => {}
            _ => {
                let what = format!(
                    "invalid preprocessing directive #{}",
                    String::from_utf8_lossy(spelling)
                );
                self.malformed(&what, line);
            }
        }
    }

    fn begin_group(&mut self, op: Op, line: u32) {
        let index = self.program.directives.len() as u32;
        self.push(op, line);
        self.open.push(Open {
            first: index,
            last: index,
            has_else: false,
            line,
        });
    }

    fn continue_group(&mut self, op: Op, line: u32) {
        let index = self.program.directives.len() as u32;
        let is_else = op == Op::Else;
        let Some(open) = self.open.last_mut() else {
            return self.malformed("#elif or #else without #if", line);
        };
        if open.has_else {
            self.program
                .broken
                .get_or_insert((line, "#elif or #else after #else"));
        }
        let before = std::mem::replace(&mut open.last, index);
        open.has_else |= is_else;
        self.program.directives[before as usize].next = index;
        self.push(op, line);
    }

    /// The name after `#ifdef`, `#undef` and their like.
    fn macro_name(&mut self) -> Result<Atom, &'static str> {
        if let Some(name) = self.cursor.plain_word()
            && name != b"defined"
        {
            return Ok(Atom::of(name));
        }
        let Some(raw) = self.next() else {
            return Err("no macro name given");
        };
        match (raw.shape, self.token(&raw).atom) {
            (Shape::Identifier, known::DEFINED) => {
                Err("\"defined\" cannot be used as a macro name")
            }
            (Shape::Identifier, name) => Ok(name),
            _ => Err("macro names must be identifiers"),
        }
    }

    fn include(&mut self, style: IncludeStyle, line: u32) {
        match self.target() {
            Some(target) => self.push(Op::Include(style, target), line),
            None => self.malformed("#include expects \"FILENAME\" or <FILENAME>", line),
        }
    }

    /// What an include-like directive names; `None` if nothing follows.
    pub(super) fn target(&mut self) -> Option<Target> {
        self.cursor.set_angled(true);
        let first = self.next();
        let target = first.and_then(|first| {
            let spelling = self.spelling(&first);
            match (first.shape, spelling) {
                (Shape::HeaderName, _) => {
                    Some(Target::Bracket(Atom::of(&spelling[1..spelling.len() - 1])))
                }
                (Shape::String, [b'"', ..]) => {
                    Some(Target::Quote(Atom::of(&spelling[1..spelling.len() - 1])))
                }
                (Shape::Other, [b'"', ..]) => None,
                _ => {
                    let start = self.program.tokens.len() as u32;
                    let token = self.token(&first);
                    self.program.tokens.push(token);
                    // gcc lexes the arguments of a macro as everywhere else: `<` is an operator, and quotes can be escaped.
                    self.cursor.set_angled(self.mode.clang);
                    let TokenRange { end, .. } = self.rest();
                    Some(Target::Computed(TokenRange { start, end }))
                }
            }
        });
        self.skip_line();
        self.cursor.set_angled(false);
        target
    }
}

/// What one token of text or of a replacement list mentions; `previous` is the spelling before it.
pub(super) fn mentions(shape: Shape, spelling: &[u8], previous: &[u8], mode: LexingMode) -> u16 {
    match (shape, spelling) {
        (Shape::Identifier, b"__COUNTER__") => Mention::Counter.bit(),
        (Shape::Identifier, b"__TIMESTAMP__") => Mention::Timestamp.bit(),
        (Shape::Identifier, b"__DATE__") => Mention::Date.bit(),
        (Shape::Identifier, b"__TIME__") => Mention::Time.bit(),
        (Shape::Identifier, b"_Pragma") => Mention::PragmaOperator.bit(),
        (Shape::Identifier, b"push_macro" | b"pop_macro") => Mention::MacroStackWord.bit(),
        (Shape::Identifier, b"target") if previous == b"GCC" => Mention::TargetWord.bit(),
        (Shape::Identifier, b"optimize") if previous == b"GCC" => Mention::OptimizeWord.bit(),
        // In other languages a member may be called `include`, and a string may be made of `.incbin`.
        (Shape::Identifier, b"incbin") if previous == b"." => Mention::AssemblerInclude.bit(),
        (Shape::Identifier, b"include") if mode.assembler && previous == b"." => {
            Mention::AssemblerInclude.bit()
        }
        (Shape::String, _) => {
            let has = |word: &str| memmem::find(spelling, word.as_bytes()).is_some();
            let mut found = 0;
            if has(".incbin") || has(".include") {
                found |= Mention::AssemblerInclude.bit();
            }
            if has("push_macro") || has("pop_macro") {
                found |= Mention::MacroStackWord.bit();
            }
            if previous == b"(" && spelling.trim_ascii() == b"\"once\"" {
                found |= Mention::OnceWord.bit();
            }
            if has("GCC target") {
                found |= Mention::TargetWord.bit();
            }
            if has("GCC optimize") {
                found |= Mention::OptimizeWord.bit();
            }
            found
        }
        _ => 0,
    }
}

/// Whether the second or third token of a text line shows that it is a C++20 module line.
fn is_module_line(at: usize, shape: Shape, current: &[u8], previous: &[u8]) -> bool {
    let names = shape == Shape::Identifier;
    match previous {
        b"import" if at == 1 => names || matches!(current, b"<" | b":") || shape == Shape::String,
        b"module" if at == 1 => names || matches!(current, b";" | b":"),
        b"export" if at == 1 => matches!(current, b"import" | b"module"),
        _ => false,
    }
}
