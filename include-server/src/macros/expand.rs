//! Expansion, by a stack of token lists: the line, the replacement lists being read, and arguments being expanded.
//!
//! A macro is disabled from the moment its replacement list is pushed until the list is used up and popped, exactly as in gcc and
//! clang; a disabled name that is read is marked for good.

use super::substitute::Argument;
use super::{Builtin, Definition, Macros, Programs};
use crate::atom::{Atom, known};
use crate::configuration::{LexingMode, Question};
use crate::decline::Decline;
use crate::program::{Kind, NO_EXPAND, Program, SOURCELESS, SPACE, Token};

/// Why expansion or evaluation stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The compiler would reject the directive.
    Malformed(String),
    /// The scanner does not follow this.
    Unsupported(String),
    /// Only the compiler knows, and it could not be asked.
    Unknown(String),
    /// The budget is used up.
    TooMuchWork,
    /// A reason that is complete by itself.
    Declined(Box<Decline>),
}

impl Fault {
    pub(crate) fn malformed<T>(what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::Malformed(what.into()))
    }
}

/// A header's name with its style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName {
    /// `<name>` rather than `"name"`.
    pub bracket: bool,
    /// The name.
    pub name: Vec<u8>,
}

/// What expansion needs to know about the place it happens in.
pub trait Environment {
    /// The value of a built-in that stands for one token.
    fn value(&mut self, builtin: Builtin) -> Result<Token, Fault>;
    /// Whether `__has_include` (or, with `next`, `__has_include_next`) finds a file.
    fn has_include(&mut self, next: bool, header: &HeaderName) -> Result<bool, Fault>;
    /// The compiler's answer.
    fn ask(&mut self, question: &Question) -> Result<i64, Fault>;
}

/// Rules of the configuration that expansion follows.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// For lexing the results of `##`.
    pub mode: LexingMode,
    /// `,##__VA_ARGS__` keeps its comma when there is no other parameter.
    pub strict_comma_paste: bool,
    /// White space around arguments is remembered (gcc, in `#include`).
    pub padding: bool,
}

enum Tokens<'e> {
    Kept(&'e [Token]),
    Owned(Vec<Token>),
}

struct Context<'e> {
    tokens: Tokens<'e>,
    at: usize,
    /// The macro to enable again when the list is used up.
    name: Option<Atom>,
    /// Reading stops at the end of this list.
    barrier: bool,
    /// The first token's white space is that of the macro's name (clang).
    first_space: Option<bool>,
    /// White space that came before arguments of no tokens, at the end of the list (clang).
    last_space: bool,
}

impl Context<'_> {
    #[inline]
    fn take(&mut self) -> Option<Token> {
        let tokens = match &self.tokens {
            Tokens::Kept(tokens) => tokens,
            Tokens::Owned(tokens) => tokens.as_slice(),
        };
        let mut token = *tokens.get(self.at)?;
        if self.at == 0
            && let Some(space) = self.first_space
        {
            token.flags = (token.flags & !SPACE) | if space { SPACE } else { 0 };
        }
        self.at += 1;
        Some(token)
    }
}

/// Memory that expansion works in, kept from one line to the next.
#[derive(Default)]
pub struct Workspace {
    /// Empty between lines.
    contexts: Vec<Context<'static>>,
    /// Empty lists.
    lists: Vec<Vec<Token>>,
    /// Empty lists of arguments.
    arguments: Vec<Vec<Argument>>,
    /// Tokens that may still be produced in this translation unit.
    pub budget: u64,
    /// Names whose definitions the last line asked for.
    reads: Vec<Atom>,
    /// Whether the last line asked for more than that and the compiler's tables.
    depends_on_more: bool,
}

/// Reads of one line that are written down.
const READS_KEPT: usize = 1024;

impl Workspace {
    /// The names whose definitions, with the compiler's tables, decided what the last line came to; `None` when more did, or
    /// there were too many.
    pub fn reads(&self) -> Option<&[Atom]> {
        (!self.depends_on_more).then_some(&self.reads)
    }
}

/// Lists kept at most.
const LISTS_KEPT: usize = 64;
/// The largest list kept, in tokens.
const LIST_KEPT: usize = 4096;

/// An empty vector with the same memory, for things of another lifetime: `collect` works in place.
#[allow(clippy::unnecessary_filter_map)] // `filter` would keep the lifetime
fn recycled<'b>(mut contexts: Vec<Context<'_>>) -> Vec<Context<'b>> {
    contexts.clear();
    contexts
        .into_iter()
        .filter_map(|_| None::<Context<'b>>)
        .collect()
}

/// How deep arguments may nest in arguments.
const NESTING_LIMIT: u32 = 256;

/// Reads one directive's tokens with expansion.
pub struct Expander<'e, E: Environment> {
    pub(super) macros: &'e mut Macros,
    /// The programs that definitions refer to.
    programs: &'e Programs,
    environment: &'e mut E,
    pub(super) rules: Rules,
    contexts: Vec<Context<'e>>,
    nesting: u32,
    /// White space before a macro of no tokens, which the next token gets (clang).
    owed_space: bool,
    workspace: &'e mut Workspace,
}

impl<E: Environment> Drop for Expander<'_, E> {
    /// Macros whose replacement was not read to its end must not stay disabled.
    fn drop(&mut self) {
        while !self.contexts.is_empty() {
            self.pop();
        }
        self.workspace.contexts = recycled(std::mem::take(&mut self.contexts));
    }
}

impl<'e, E: Environment> Expander<'e, E> {
    /// An expander of one line.
    pub fn new(
        macros: &'e mut Macros,
        programs: &'e Programs,
        environment: &'e mut E,
        rules: Rules,
        workspace: &'e mut Workspace,
        line: &'e [Token],
    ) -> Expander<'e, E> {
        workspace.reads.clear();
        workspace.depends_on_more = false;
        let mut contexts = recycled(std::mem::take(&mut workspace.contexts));
        contexts.push(Context {
            tokens: Tokens::Kept(line),
            at: 0,
            name: None,
            barrier: true,
            first_space: None,
            last_space: false,
        });
        Expander {
            macros,
            programs,
            environment,
            rules,
            contexts,
            nesting: 0,
            owed_space: false,
            workspace,
        }
    }

    /// An empty list.
    pub(super) fn list(&mut self) -> Vec<Token> {
        self.workspace.lists.pop().unwrap_or_default()
    }

    /// Keeps a list's memory.
    pub(super) fn keep(&mut self, mut list: Vec<Token>) {
        if self.workspace.lists.len() < LISTS_KEPT && list.capacity() <= LIST_KEPT {
            list.clear();
            self.workspace.lists.push(list);
        }
    }

    /// An empty list of arguments.
    pub(super) fn argument_list(&mut self) -> Vec<Argument> {
        self.workspace.arguments.pop().unwrap_or_default()
    }

    fn keep_arguments(&mut self, mut arguments: Vec<Argument>) {
        for argument in arguments.drain(..) {
            self.keep(argument.raw);
            if let Some(expanded) = argument.expanded {
                self.keep(expanded);
            }
        }
        if self.workspace.arguments.len() < LISTS_KEPT && arguments.capacity() <= LIST_KEPT {
            self.workspace.arguments.push(arguments);
        }
    }

    /// Whether a name is defined, for `defined`.
    pub fn is_defined(&mut self, name: Atom) -> bool {
        self.definition(name).is_some()
    }

    /// What a name stands for; that it was asked for is written down.
    pub(super) fn definition(&mut self, name: Atom) -> Option<Definition> {
        if self.workspace.reads.len() < READS_KEPT {
            self.workspace.reads.push(name);
        } else {
            self.workspace.depends_on_more = true;
        }
        self.macros.read(name)
    }

    /// Whether an assertion holds; the compiler makes some by itself.
    pub fn is_asserted(&mut self, predicate: Atom, answer: Option<&[u8]>) -> Result<bool, Fault> {
        self.workspace.depends_on_more = true;
        self.macros.spoil();
        if let Some(known) = self.macros.is_asserted(predicate, answer)? {
            return Ok(known);
        }
        let mut call = [b"#", predicate.spelling()].concat();
        if let Some(answer) = answer {
            call.extend([b"(", answer, b")"].concat());
        }
        Ok(self.environment.ask(&Question::Call(call))? != 0)
    }

    /// The next token, expanded where `expand` says so; paddings are left out.
    pub fn next(&mut self, expand: bool) -> Result<Token, Fault> {
        loop {
            let token = self.next_with_padding(expand)?;
            if token.kind != Kind::Padding {
                return Ok(token);
            }
        }
    }

    /// The next token, unexpanded, and which of the paddings before it counts.
    fn next_and_padding(&mut self) -> Result<(Token, Option<Token>), Fault> {
        let mut padding: Option<Token> = None;
        loop {
            let token = self.next_with_padding(false)?;
            if token.kind != Kind::Padding {
                return Ok((token, padding));
            }
            let takes_over = padding.is_none_or(|before| {
                let sourceless = |token: Token| token.flags & SOURCELESS != 0;
                sourceless(before) || (!before.has_space() && sourceless(token))
            });
            if takes_over {
                padding = Some(token);
            }
        }
    }

    /// Whether the next token is that punctuator; it is not consumed.
    pub fn follows(&mut self, punctuator: Atom) -> Result<bool, Fault> {
        let token = self.next(false)?;
        self.put_back(token);
        Ok(token.is(punctuator))
    }

    /// Undoes the reading of the token that was read last.
    fn put_back(&mut self, token: Token) {
        if token.kind != Kind::End
            && let Some(context) = self.contexts.last_mut()
        {
            context.at -= 1;
            self.owed_space = self.rules.mode.clang && token.has_space();
        }
    }

    /// Takes `count` tokens from the budget.
    pub(super) fn spend(&mut self, count: usize) -> Result<(), Fault> {
        match self.workspace.budget.checked_sub(count as u64) {
            Some(left) => self.workspace.budget = left,
            None => return Err(Fault::TooMuchWork),
        }
        Ok(())
    }

    fn raw(&mut self) -> Result<Token, Fault> {
        self.spend(1)?;
        loop {
            let Some(context) = self.contexts.last_mut() else {
                return Ok(Token::END);
            };
            if let Some(mut token) = context.take() {
                if std::mem::take(&mut self.owed_space) {
                    token.flags |= SPACE;
                }
                return Ok(token);
            }
            if context.barrier {
                return Ok(Token::END);
            }
            self.owed_space |=
                context.last_space || (context.at == 0 && context.first_space == Some(true));
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(context) = self.contexts.pop() else {
            return;
        };
        if let Some(name) = context.name {
            self.macros.set_disabled(name, false);
        }
        if let Tokens::Owned(tokens) = context.tokens {
            self.keep(tokens);
        }
    }

    fn next_with_padding(&mut self, expand: bool) -> Result<Token, Fault> {
        loop {
            let mut token = self.raw()?;
            if token.kind != Kind::Identifier || token.flags & NO_EXPAND != 0 {
                return Ok(token);
            }
            let Some(definition) = self.definition(token.atom) else {
                return Ok(token);
            };
            if self.macros.is_disabled(token.atom) {
                token.flags |= NO_EXPAND;
                return Ok(token);
            }
            if !expand {
                return Ok(token);
            }
            match definition {
                Definition::Builtin(Builtin::Pragma) => return Ok(token),
                Definition::Builtin(builtin) => return self.builtin(token, builtin),
                Definition::User { program, index } => {
                    if !self.enter(token, program, index)? {
                        return Ok(token);
                    }
                }
            }
        }
    }

    /// Pushes the replacement of a macro; false when it is function-like and no `(` follows.
    fn enter(&mut self, name: Token, program: u32, index: u32) -> Result<bool, Fault> {
        let programs: &'e Programs = self.programs;
        let program: &'e Program = &programs[program];
        let definition = &program.macros[index as usize];
        let mut arguments = Vec::new();
        if let Some(parameters) = &definition.parameters {
            let (open, padding) = self.next_and_padding()?;
            if !open.is(known::OPEN) {
                self.put_back(open);
                if let Some(padding) = padding {
                    self.contexts.push(Context {
                        tokens: Tokens::Owned(vec![padding]),
                        at: 0,
                        name: None,
                        barrier: false,
                        first_space: None,
                        last_space: false,
                    });
                }
                return Ok(false);
            }
            arguments = self.collect(name.atom, parameters)?;
        }
        let space = self.rules.mode.clang.then_some(name.has_space());
        let (tokens, last_space) = if definition.needs_substitution {
            let (replacement, last_space) = self.substitute(program, definition, &mut arguments)?;
            self.keep_arguments(arguments);
            (Tokens::Owned(replacement), last_space)
        } else {
            (Tokens::Kept(program.body(definition)), false)
        };
        self.macros.set_disabled(name.atom, true);
        self.contexts.push(Context {
            tokens,
            at: 0,
            name: Some(name.atom),
            barrier: false,
            first_space: space,
            last_space,
        });
        Ok(true)
    }

    /// The tokens of an argument, one by one, for the collection of arguments.
    pub(super) fn argument_token(&mut self) -> Result<Token, Fault> {
        self.next_with_padding(false)
    }

    /// Expands tokens completely and by themselves.
    pub(super) fn expand_alone(&mut self, tokens: &[Token]) -> Result<Vec<Token>, Fault> {
        if self.nesting >= NESTING_LIMIT {
            return Err(Fault::TooMuchWork);
        }
        self.nesting += 1;
        let mut list = self.list();
        list.extend_from_slice(tokens);
        let base = Context {
            tokens: Tokens::Owned(list),
            at: 0,
            name: None,
            barrier: true,
            first_space: None,
            last_space: false,
        };
        self.contexts.push(base);
        let mut expanded = self.list();
        loop {
            let token = self.next_with_padding(true)?;
            if token.kind == Kind::End {
                break;
            }
            expanded.push(token);
        }
        self.pop();
        self.owed_space = false;
        self.nesting -= 1;
        Ok(expanded)
    }

    fn builtin(&mut self, name: Token, builtin: Builtin) -> Result<Token, Fault> {
        self.workspace.depends_on_more |= builtin != Builtin::Question;
        let mut token = match builtin {
            Builtin::HasInclude | Builtin::HasIncludeNext => {
                // While clang reads a macro's tokens it does not know where the file was found, and begins anew.
                let forgets = self.rules.mode.clang && self.contexts.len() > 1;
                let header = self.header_operand(name)?;
                let next = builtin == Builtin::HasIncludeNext && !forgets;
                let found = self.environment.has_include(next, &header)?;
                let atom = if found { known::ONE } else { known::ZERO };
                Token {
                    kind: Kind::Number,
                    flags: 0,
                    atom,
                }
            }
            Builtin::HasEmbed => return Err(Fault::Unsupported("__has_embed".into())),
            Builtin::Question => {
                let question = Question::Call(self.call(name)?);
                let value = self.environment.ask(&question)?;
                Token {
                    kind: Kind::Number,
                    flags: 0,
                    atom: Atom::of(value.to_string().as_bytes()),
                }
            }
            _ => self.environment.value(builtin)?,
        };
        // In a directive gcc forgets the white space before a built-in.
        if self.rules.mode.clang {
            token.flags |= name.flags & SPACE;
        }
        Ok(token)
    }

    /// The operand of `__has_include`.
    fn header_operand(&mut self, name: Token) -> Result<HeaderName, Fault> {
        if !self.next(true)?.is(known::OPEN) {
            return Fault::malformed(format!("missing '(' after {}", name.atom.display()));
        }
        let first = self.next(true)?;
        let header = self.header_name(first)?;
        let Some(header) = header.filter(|header| !header.name.is_empty()) else {
            return Fault::malformed(format!(
                "{} expects \"FILENAME\" or <FILENAME>",
                name.atom.display()
            ));
        };
        if !self.next(true)?.is(known::CLOSE) {
            return Fault::malformed(format!("missing ')' after {}", name.atom.display()));
        }
        if header.name.is_empty() {
            // gcc finds one in quotes and none in brackets; clang reports an error.
            return Err(Fault::Unsupported(
                "an empty file name in __has_include".into(),
            ));
        }
        Ok(header)
    }

    /// The header name that begins with `first`; `None` if none does.
    pub fn header_name(&mut self, first: Token) -> Result<Option<HeaderName>, Fault> {
        let spelling = first.spelling();
        match (first.kind, spelling) {
            (Kind::String, [b'"', name @ .., b'"']) => Ok(Some(HeaderName {
                bracket: false,
                name: name.to_vec(),
            })),
            (Kind::HeaderName, [b'<', name @ .., b'>']) => Ok(Some(HeaderName {
                bracket: true,
                name: name.to_vec(),
            })),
            _ if first.is(known::LESS) => {
                let mut name = Vec::new();
                loop {
                    let token = self.next(true)?;
                    if token.is(known::GREATER) {
                        if self.rules.mode.clang && token.has_space() {
                            name.push(b' ');
                        }
                        return Ok(Some(HeaderName {
                            bracket: true,
                            name,
                        }));
                    }
                    if token.kind == Kind::End {
                        return Fault::malformed("missing terminating > character");
                    }
                    if token.has_space() {
                        name.push(b' ');
                    }
                    name.extend_from_slice(token.spelling());
                }
            }
            _ => Ok(None),
        }
    }

    /// The text of a call of a function-like built-in. gcc expands its argument, clang only that of attributes.
    fn call(&mut self, name: Token) -> Result<Vec<u8>, Fault> {
        let expand = !self.rules.mode.clang || name.atom.spelling().ends_with(b"_attribute");
        let mut text = name.atom.spelling().to_vec();
        if !self.next(expand)?.is(known::OPEN) {
            return Fault::malformed(format!("missing '(' after {}", name.atom.display()));
        }
        text.push(b'(');
        let mut depth = 1;
        while depth > 0 {
            let token = self.next(expand)?;
            match token.kind {
                Kind::End => {
                    return Fault::malformed(format!("missing ')' after {}", name.atom.display()));
                }
                _ if token.is(known::OPEN) => depth += 1,
                _ if token.is(known::CLOSE) => depth -= 1,
                _ => {}
            }
            if token.has_space() && text.last() != Some(&b'(') && !token.is(known::CLOSE) {
                text.push(b' ');
            }
            text.extend_from_slice(token.spelling());
        }
        Ok(text)
    }
}
