//! Arguments, and their substitution into a replacement list: `#`, `##`, `__VA_ARGS__`, `__VA_OPT__` and GNU's `, ## args`.

use super::Fault;
use super::expand::{Environment, Expander};
use crate::atom::{Atom, known};
use crate::lexer::Cursor;
use crate::program::{
    Kind, MacroDefinition, NO_EXPAND, PASTE_LEFT, Parameters, Program, SOURCELESS, SPACE,
    STRINGIFY, Token,
};

/// The largest replacement in tokens.
const REPLACEMENT_LIMIT: usize = 1 << 22;

/// One argument of a call.
pub(super) struct Argument {
    pub(super) raw: Vec<Token>,
    pub(super) expanded: Option<Vec<Token>>,
    /// The call has no such argument at all (a variadic one left out).
    missing: bool,
}

impl Argument {
    fn new(raw: Vec<Token>) -> Argument {
        Argument {
            raw,
            expanded: None,
            missing: false,
        }
    }
}

fn placemarker() -> Token {
    Token {
        kind: Kind::Placemarker,
        flags: 0,
        atom: known::EMPTY,
    }
}

fn padding(flags: u8) -> Token {
    Token {
        kind: Kind::Padding,
        flags,
        atom: known::EMPTY,
    }
}

fn is_real(token: &Token) -> bool {
    !matches!(token.kind, Kind::Padding | Kind::Placemarker)
}

impl<E: Environment> Expander<'_, E> {
    /// Reads the arguments of a call, after its `(`.
    pub(super) fn collect(
        &mut self,
        name: Atom,
        parameters: &Parameters,
    ) -> Result<Vec<Argument>, Fault> {
        let expected = parameters.names.len();
        let mut arguments = self.argument_list();
        let mut current = self.list();
        let mut depth = 0u32;
        loop {
            let token = self.argument_token()?;
            if token.kind == Kind::End {
                return Fault::malformed(format!(
                    "unterminated argument list invoking macro \"{}\"",
                    name.display()
                ));
            }
            if token.is(known::CLOSE) && depth == 0 {
                break;
            }
            let last_takes_all = parameters.variadic && arguments.len() + 1 == expected;
            if token.is(known::COMMA) && depth == 0 && !last_takes_all {
                arguments.push(Argument::new(current));
                current = self.list();
                continue;
            }
            if token.is(known::OPEN) {
                depth += 1;
            } else if token.is(known::CLOSE) {
                depth -= 1;
            }
            if !(current.is_empty() && token.kind == Kind::Padding) {
                current.push(token);
            }
        }
        arguments.push(Argument::new(current));
        for argument in &mut arguments {
            while argument
                .raw
                .last()
                .is_some_and(|token| token.kind == Kind::Padding)
            {
                argument.raw.pop();
            }
        }
        let given = match (expected, arguments.as_slice()) {
            (0, [only]) if only.raw.is_empty() => 0,
            _ => arguments.len(),
        };
        let omitted = parameters.variadic && given + 1 == expected;
        if given != expected && !omitted {
            return Fault::malformed(format!(
                "macro \"{}\" requires {expected} arguments, but {given} given",
                name.display()
            ));
        }
        let lone_empty = parameters.variadic
            && expected == 1
            && arguments[0].raw.is_empty()
            && !self.rules.strict_comma_paste;
        arguments[0].missing = lone_empty;
        arguments.truncate(expected);
        if omitted {
            let mut missing = Argument::new(self.list());
            missing.missing = true;
            arguments.push(missing);
        }
        Ok(arguments)
    }

    /// The replacement list with arguments put in and `##` done; and, for clang, whether it ends with white space that
    /// stood before arguments of no tokens.
    pub(super) fn substitute(
        &mut self,
        program: &Program,
        definition: &MacroDefinition,
        arguments: &mut [Argument],
    ) -> Result<(Vec<Token>, bool), Fault> {
        let variadic = definition
            .parameters
            .as_ref()
            .is_some_and(|parameters| parameters.variadic);
        let (mut replacement, last_space) =
            self.substitute_list(program.body(definition), variadic, false, arguments)?;
        replacement.retain(|token| token.kind != Kind::Placemarker);
        self.spend(replacement.len())?;
        Ok((replacement, last_space))
    }

    fn expanded<'a>(&mut self, argument: &'a mut Argument) -> Result<&'a [Token], Fault> {
        if argument.expanded.is_none() {
            if self.is_final(&argument.raw) {
                return Ok(&argument.raw);
            }
            argument.expanded = Some(self.expand_alone(&argument.raw)?);
        }
        Ok(argument.expanded.as_deref().unwrap_or_default())
    }

    /// Whether no token is a macro's name, so that expansion changes nothing.
    fn is_final(&mut self, tokens: &[Token]) -> bool {
        tokens.iter().all(|token| {
            token.kind != Kind::Identifier
                || token.flags & NO_EXPAND != 0
                || self.definition(token.atom).is_none()
        })
    }

    fn substitute_list(
        &mut self,
        body: &[Token],
        variadic: bool,
        optional: bool,
        arguments: &mut [Argument],
    ) -> Result<(Vec<Token>, bool), Fault> {
        let pads = self.rules.padding && !self.rules.mode.clang;
        let mut out = self.list();
        let mut pastes = false;
        let mut owed_space = false;
        let mut at = 0;
        while at < body.len() {
            let token = body[at];
            owed_space |= at > 0 && !pastes && token.has_space();
            at += 1;
            let mut pastes_next = token.flags & PASTE_LEFT != 0;
            // What is to be pasted is collected apart from the rest.
            let apart = pastes;
            let mut piece = match apart {
                true => self.list(),
                false => std::mem::take(&mut out),
            };
            let from = piece.len();
            match token.kind {
                Kind::Parameter => {
                    let is_variadic = variadic && token.atom.0 as usize + 1 == arguments.len();
                    let Some(argument) = arguments.get_mut(token.atom.0 as usize) else {
                        return Fault::malformed("a macro parameter without argument");
                    };
                    if token.flags & STRINGIFY != 0 {
                        piece.push(self.stringify(&argument.raw, token.flags));
                    } else if pastes
                        && is_variadic
                        && out.last().is_some_and(|last| last.is(known::COMMA))
                    {
                        // GNU: the comma goes with a missing argument, and is never really pasted.
                        pastes = false;
                        if argument.missing {
                            out.pop();
                        }
                        push_or_placemarker(&argument.raw, &mut piece);
                    } else if pastes {
                        push_or_placemarker(&argument.raw, &mut piece);
                    } else {
                        // gcc remembers the white space before an argument where a string may be made of it later.
                        let first = match optional {
                            true => piece.is_empty(),
                            false => at == 1,
                        };
                        if pads && !first {
                            piece.push(padding(token.flags & SPACE));
                        }
                        if pastes_next {
                            push_or_placemarker(&argument.raw, &mut piece);
                        } else {
                            let skips = optional && piece.is_empty();
                            let expanded = self.expanded(argument)?.iter();
                            let tokens =
                                expanded.skip_while(|token| skips && token.kind == Kind::Padding);
                            piece.extend(tokens);
                        }
                    }
                }
                Kind::Identifier if token.atom == known::VA_OPT && variadic => {
                    let opening = at - 1;
                    let (inner, after) = optional_part(body, at)?;
                    at = after;
                    pastes_next = body[after - 1].flags & PASTE_LEFT != 0;
                    let present = match arguments.last_mut() {
                        Some(last) => self.expanded(last)?.iter().any(is_real),
                        None => false,
                    };
                    if pads && !pastes && opening > 0 {
                        piece.push(padding(token.flags & SPACE));
                    }
                    let mut part = if present {
                        self.substitute_list(inner, variadic, true, arguments)?.0
                    } else {
                        Vec::new()
                    };
                    if token.flags & STRINGIFY != 0 {
                        part.retain(|token| token.kind != Kind::Placemarker);
                        part = vec![self.stringify(&part, token.flags)];
                    } else if part.is_empty() {
                        part.push(placemarker());
                    }
                    piece.append(&mut part);
                    if pads && !pastes_next {
                        piece.push(padding(SOURCELESS));
                    }
                }
                _ => piece.push(Token {
                    flags: token.flags & !PASTE_LEFT,
                    ..token
                }),
            };
            if self.rules.mode.clang && piece.len() > from {
                let owed = std::mem::take(&mut owed_space);
                inherit_space(&mut piece[from..], owed, token.kind == Kind::Parameter);
            }
            if !apart {
                out = piece;
            } else {
                if pastes && let Some((first, rest)) = piece.split_first() {
                    while out.last().is_some_and(|last| last.kind == Kind::Padding) {
                        out.pop();
                    }
                    let left = out.pop().unwrap_or_else(placemarker);
                    self.paste(left, *first, &mut out)?;
                    out.extend_from_slice(rest);
                } else {
                    out.append(&mut piece);
                }
                self.keep(piece);
            }
            if out.len() > REPLACEMENT_LIMIT {
                return Err(Fault::TooMuchWork);
            }
            pastes = pastes_next;
        }
        Ok((out, owed_space && self.rules.mode.clang))
    }

    /// `#`: the argument as a string literal.
    fn stringify(&self, tokens: &[Token], flags: u8) -> Token {
        let mut text = vec![b'"'];
        // The padding whose white space counts for the next token: its space flag.
        let mut source: Option<u8> = None;
        for token in tokens {
            match token.kind {
                Kind::Placemarker => continue,
                Kind::Padding => {
                    let sourceless = token.flags & SOURCELESS != 0;
                    match source {
                        None if sourceless => {}
                        None => source = Some(token.flags),
                        Some(before) if before & SPACE == 0 && sourceless => source = None,
                        Some(_) => {}
                    }
                    continue;
                }
                _ => {}
            }
            if text.len() > 1 && source.unwrap_or(token.flags) & SPACE != 0 {
                text.push(b' ');
            }
            source = None;
            let escapes = matches!(token.kind, Kind::String | Kind::Char);
            for &byte in token.spelling() {
                if escapes && matches!(byte, b'"' | b'\\') {
                    text.push(b'\\');
                }
                text.push(byte);
            }
        }
        text.push(b'"');
        Token {
            kind: Kind::String,
            flags: flags & SPACE,
            atom: Atom::of(&text),
        }
    }

    /// `##`: appends the pasted token, or both where one is a placemarker.
    fn paste(&mut self, left: Token, right: Token, out: &mut Vec<Token>) -> Result<(), Fault> {
        if left.kind == Kind::Placemarker || right.kind == Kind::Placemarker {
            let kept = if left.kind == Kind::Placemarker {
                right
            } else {
                left
            };
            let flags = match self.rules.mode.clang {
                true => (kept.flags & !SPACE) | (left.flags & SPACE),
                false => kept.flags,
            };
            out.push(Token { flags, ..kept });
            return Ok(());
        }
        let text = [left.spelling(), right.spelling()].concat();
        let mut cursor = Cursor::new(&text, self.rules.mode);
        let mut scratch = Vec::new();
        if let Some(raw) = cursor.next_token(&mut scratch, true)
            && !raw.space
            && cursor.spelling(&raw, &scratch) == text.as_slice()
        {
            let flags = left.flags & SPACE;
            out.push(Token {
                kind: raw.shape.into(),
                flags,
                atom: Atom::of(&text),
            });
            return Ok(());
        }
        if self.rules.mode.assembler {
            out.push(left);
            out.push(right);
            return Ok(());
        }
        Fault::malformed(format!(
            "pasting \"{}\" and \"{}\" does not give a valid preprocessing token",
            left.atom.display(),
            right.atom.display()
        ))
    }
}

/// The argument's tokens, or a placemarker if there are none.
fn push_or_placemarker(tokens: &[Token], piece: &mut Vec<Token>) {
    let before = piece.len();
    piece.extend_from_slice(tokens);
    if !tokens.iter().any(is_real) {
        piece.truncate(before);
        piece.push(placemarker());
    }
}

/// clang: the first token of an argument has the white space of the parameter and of what came to nothing before it.
fn inherit_space(piece: &mut [Token], space: bool, is_argument: bool) {
    if let Some(first) = piece.first_mut() {
        if is_argument {
            first.flags &= !SPACE;
        }
        if space {
            first.flags |= SPACE;
        }
    }
}

/// What stands between the parentheses after `__VA_OPT__`, and the index after them.
fn optional_part(body: &[Token], from: usize) -> Result<(&[Token], usize), Fault> {
    const UNTERMINATED: &str = "unterminated __VA_OPT__";
    if !body.get(from).is_some_and(|token| token.is(known::OPEN)) {
        return Fault::malformed("__VA_OPT__ must be followed by an open parenthesis");
    }
    let mut depth = 0;
    for (at, token) in body.iter().enumerate().skip(from) {
        if token.is(known::OPEN) {
            depth += 1;
        } else if token.is(known::CLOSE) {
            depth -= 1;
            if depth == 0 {
                return Ok((&body[from + 1..at], at + 1));
            }
        }
    }
    Fault::malformed(UNTERMINATED)
}
