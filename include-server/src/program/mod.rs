//! A file reduced, once, to its directives: interned names, resolved jumps, include guard, and what its text mentions that matters.
//!
//! A `Program` depends on the bytes and the lexing mode only; it is immutable and shared by all threads and translation units.

mod build;
mod define;
mod formula;
mod pragma;
mod token;
mod value;
mod watch;

use std::ops::Range;
use std::sync::OnceLock;

pub use formula::{Binary, PRODUCT, STACK, Step, Unary};
pub use token::{DIGRAPH, Kind, NO_EXPAND, PASTE_LEFT, SOURCELESS, SPACE, STRINGIFY, Token};
pub use value::Value;

use crate::atom::Atom;
use crate::configuration::LexingMode;

/// A range of a program's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRange {
    start: u32,
    end: u32,
}

impl TokenRange {
    /// As indices.
    pub fn indices(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Which include directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncludeStyle {
    /// `#include`
    Include,
    /// `#include_next`
    Next,
    /// `#import`
    Import,
}

/// What an include names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `"name"`, without the quotes.
    Quote(Atom),
    /// `<name>`, without the brackets.
    Bracket(Atom),
    /// Tokens to expand.
    Computed(TokenRange),
}

/// Something that the text (or a macro's replacement list) mentions and that matters to the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mention {
    /// `__COUNTER__`: its value in conditions depends on text.
    Counter,
    /// `__TIMESTAMP__`
    Timestamp,
    /// `__DATE__`
    Date,
    /// `__TIME__`
    Time,
    /// `_Pragma`
    PragmaOperator,
    /// The words `push_macro` or `pop_macro`, which a `_Pragma` could be given.
    MacroStackWord,
    /// The words `GCC target`, which a `_Pragma` could be given.
    TargetWord,
    /// The words `GCC optimize`, which a `_Pragma` could be given.
    OptimizeWord,
    /// The string `("once"`, which a `_Pragma` could be given.
    OnceWord,
    /// `.incbin` or `.include`, for the assembler.
    AssemblerInclude,
    /// A C++20 `import` or `module` line.
    Module,
}

/// A pragma that changes what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pragma {
    /// `once`
    Once,
    /// `push_macro("X")`
    PushMacro(Atom),
    /// `pop_macro("X")`
    PopMacro(Atom),
    /// `GCC target`: target macros change.
    Target,
    /// `GCC optimize`: `__OPTIMIZE__` and its like change.
    Optimize,
    /// `GCC push_options`
    PushOptions,
    /// `GCC pop_options`
    PopOptions,
    /// `GCC reset_options`
    ResetOptions,
    /// `GCC dependency`: the file is looked for, not read.
    Dependency(Target),
}

/// One directive, or a mention between directives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `#define`: the name, and an index of `Program::macros`.
    Define(Atom, u32),
    /// `#undef`
    Undefine(Atom),
    /// `#if`: an index of `Program::conditions`. `#if defined X` is an `Ifdef`.
    If(u32),
    /// `#ifdef`
    Ifdef(Atom),
    /// `#ifndef`
    Ifndef(Atom),
    /// `#elif`
    Elif(u32),
    /// `#elifdef`
    Elifdef(Atom),
    /// `#elifndef`
    Elifndef(Atom),
    /// `#elif` and its like whose condition cannot be parsed: an error if it is evaluated.
    MalformedElif(&'static str),
    /// `#else`
    Else,
    /// `#endif`
    Endif,
    /// `#include` and its like.
    Include(IncludeStyle, Target),
    /// A pragma that matters.
    Pragma(Pragma),
    /// `#line` (tokens are expanded first).
    Line(TokenRange),
    /// `# 33 "file"` (tokens are not expanded).
    Marker(TokenRange),
    /// `#assert` (`true`) or `#unassert`.
    Assertion(bool, TokenRange),
    /// `#error`, with its text.
    Error(Message),
    /// A directive the compiler rejects.
    Malformed(Message),
    /// Something the scanner does not follow.
    Unsupported(Message),
    /// Text mentions something.
    Mention(Mention),
}

/// A text for a person: an index of `Program::messages`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message(u32);

/// A directive with its place and its jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directive {
    /// What it does.
    pub op: Op,
    /// The physical line it starts at, from 1.
    pub line: u32,
    /// For `#if` and `#elif`: the index of the next `#elif`, `#else` or `#endif` of the group.
    pub next: u32,
    /// For members of a group: the index of its `#endif`.
    pub end: u32,
}

/// The parameters of a function-like macro.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Their names, the variadic one last.
    pub names: Box<[Atom]>,
    /// Whether the last one takes all further arguments.
    pub variadic: bool,
}

/// A macro as defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacroDefinition {
    /// Its name.
    pub name: Atom,
    /// `None` for an object-like macro.
    pub parameters: Option<Parameters>,
    /// The replacement list; see [`Program::body`].
    body: Body,
    /// Whether the body holds `##`, parameters or `__VA_OPT__`, so that it must be worked on before it is read.
    pub needs_substitution: bool,
    /// What it stands for in a condition, where that can be told without expanding it.
    pub meaning: Meaning,
}

/// A replacement list. Most macros are never expanded by a directive, so most replacement lists are kept as text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    /// Tokens of the program.
    Tokens(TokenRange),
    /// A range of the program's text, and its tokens once they were needed. It holds no `#`, so nothing can be wrong with it.
    Text(u32, u32, OnceLock<Box<[Token]>>),
}

/// What an object-like macro stands for in a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// One number, perhaps in parentheses.
    Value(Value),
    /// One other name.
    Alias(Atom),
    /// Only expansion tells.
    Unknown,
}

/// What follows an `#if` or `#elif`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// As written.
    pub tokens: TokenRange,
    /// The steps that evaluate it without expansion; empty when there is no such shortcut.
    steps: TokenRange,
}

impl Mention {
    /// All mentions.
    pub const ALL: [Mention; 11] = [
        Mention::Counter,
        Mention::Timestamp,
        Mention::Date,
        Mention::Time,
        Mention::PragmaOperator,
        Mention::MacroStackWord,
        Mention::TargetWord,
        Mention::OptimizeWord,
        Mention::OnceWord,
        Mention::AssemblerInclude,
        Mention::Module,
    ];

    /// As a bit of a set.
    pub fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The directives of one file under one lexing mode.
#[derive(Debug, Default)]
pub struct Program {
    /// See [`Program::number`].
    number: u64,
    /// What it was lexed by, and what is left is to be lexed by.
    mode: Option<LexingMode>,
    /// Replacement lists that are not lexed yet.
    text: Vec<u8>,
    /// In file order.
    pub directives: Vec<Directive>,
    /// What `Op::Define` refers to.
    pub macros: Vec<MacroDefinition>,
    /// What `Op::If` and `Op::Elif` refer to.
    pub conditions: Vec<Condition>,
    /// What conditions refer to.
    steps: Vec<Step>,
    /// Numbers that steps refer to.
    values: Vec<Value>,
    /// What messages refer to.
    messages: Vec<Box<str>>,
    /// What token ranges refer to.
    pub tokens: Vec<Token>,
    /// First and last physical line of each directive that has more than one, in file order.
    long_lines: Vec<(u32, u32)>,
    /// The macro that guards the whole file, if one does: when it is defined, the file does nothing.
    pub guard: Option<Atom>,
    /// Whether it has an include directive.
    pub includes: bool,
    /// What is wrong with the file as a whole (an `#if` without `#endif`, an `#else` after `#else`, an unterminated comment), and the line.
    pub broken: Option<(u32, &'static str)>,
}

impl Program {
    /// Lexes `bytes` and keeps the directives.
    pub fn build(bytes: &[u8], mode: LexingMode) -> Program {
        build::build(bytes, mode)
    }

    /// Moves the program out of the vectors that it was built in, which are left empty.
    fn kept(&mut self) -> Program {
        fn kept<T>(from: &mut Vec<T>) -> Vec<T> {
            // Few files are so large; the room is not to stay.
            const LARGE: usize = 1 << 16;
            if from.len() > LARGE {
                return std::mem::take(from);
            }
            let mut kept = Vec::with_capacity(from.len());
            kept.append(from);
            kept
        }
        Program {
            number: self.number,
            mode: self.mode,
            text: kept(&mut self.text),
            directives: kept(&mut self.directives),
            macros: kept(&mut self.macros),
            conditions: kept(&mut self.conditions),
            steps: kept(&mut self.steps),
            values: kept(&mut self.values),
            messages: kept(&mut self.messages),
            tokens: kept(&mut self.tokens),
            long_lines: kept(&mut self.long_lines),
            guard: self.guard.take(),
            includes: std::mem::take(&mut self.includes),
            broken: self.broken.take(),
        }
    }

    /// A number that no other program of this process has or will have. It has 40 bits at most.
    #[inline]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The steps that evaluate a condition without expansion, if there are any.
    #[inline]
    pub fn steps(&self, condition: &Condition) -> &[Step] {
        &self.steps[condition.steps.indices()]
    }

    /// A number that a step refers to.
    #[inline]
    pub fn value(&self, index: u32) -> Value {
        self.values[index as usize]
    }

    /// A message's text.
    pub fn message(&self, message: Message) -> &str {
        &self.messages[message.0 as usize]
    }

    /// The last physical line of the directive that begins at `line`.
    pub fn last_line(&self, line: u32) -> u32 {
        let known = self
            .long_lines
            .binary_search_by_key(&line, |(first, _)| *first);
        known.map_or(line, |at| self.long_lines[at].1)
    }

    /// A macro's replacement list.
    #[inline]
    pub fn body<'p>(&'p self, definition: &'p MacroDefinition) -> &'p [Token] {
        match &definition.body {
            Body::Tokens(range) => self.tokens(*range),
            Body::Text(start, end, tokens) => tokens.get_or_init(|| {
                let text = &self.text[*start as usize..*end as usize];
                let parameters = definition.parameters.as_ref();
                self.mode
                    .map(|mode| define::plain_body(text, mode, parameters))
                    .unwrap_or_default()
            }),
        }
    }

    /// The tokens of a range.
    pub fn tokens(&self, range: TokenRange) -> &[Token] {
        &self.tokens[range.indices()]
    }
}
