//! `#define` lines.

use std::sync::OnceLock;

use memchr::memmem;

use super::build::{Builder, mentions};
use super::{
    Body, Kind, MacroDefinition, Meaning, Op, PASTE_LEFT, Parameters, SPACE, STRINGIFY, Token,
    TokenRange, Value, formula,
};
use crate::atom::{Atom, known};
use crate::configuration::LexingMode;
use crate::lexer::{Cursor, Shape};

/// Most macros of one file: a macro's number has 24 bits.
const MOST: usize = 1 << 24;

/// Parses what follows `#define` and adds the macro, or what is wrong with it.
pub(super) fn define(builder: &mut Builder<'_>, line: u32) {
    let before = builder.program.tokens.len();
    match parse(builder) {
        Ok((definition, mentioned)) => {
            let index = builder.program.macros.len() as u32;
            builder.push(Op::Define(definition.name, index), line);
            builder.program.macros.push(definition);
            builder.push_mentions(mentioned, line);
        }
        Err(what) => {
            builder.program.tokens.truncate(before);
            builder.malformed(what, line);
        }
    }
}

/// The macro, and what its replacement list mentions.
fn parse(builder: &mut Builder<'_>) -> Result<(MacroDefinition, u16), &'static str> {
    if builder.program.macros.len() >= MOST {
        return Err("this file defines more macros than the scanner takes");
    }
    let name = match builder.cursor.plain_word() {
        Some(name) => Atom::of(name),
        None => {
            let Some(raw) = builder.next() else {
                return Err("no macro name given in #define");
            };
            if raw.shape != Shape::Identifier {
                return Err("macro names must be identifiers");
            }
            builder.token(&raw).atom
        }
    };
    if matches!(name, known::DEFINED | known::VA_ARGS) {
        return Err("this name cannot be a macro");
    }
    if builder.mode.cxx && crate::condition::operator_name(name).is_some() {
        return Err("a C++ operator's name cannot be a macro");
    }
    let parameters = match builder.cursor.peek() {
        Some(b'(') => {
            let before = builder.cursor;
            match plain_parameters(builder) {
                Some(parameters) => Some(parameters),
                None => {
                    builder.cursor = before;
                    builder.next();
                    Some(parse_parameters(builder)?)
                }
            }
        }
        _ => None,
    };
    if let Some((body, meaning)) = postponed(builder, parameters.is_some()) {
        let definition = MacroDefinition {
            name,
            needs_substitution: parameters.is_some(),
            parameters,
            body,
            meaning,
        };
        return Ok((definition, 0));
    }
    let start = builder.program.tokens.len() as u32;
    let mentions = body(builder, parameters.as_ref(), start as usize)?;
    let end = builder.program.tokens.len() as u32;
    let body = &builder.program.tokens[start as usize..];
    let meaning = match &parameters {
        None => meaning(body),
        Some(_) => Meaning::Unknown,
    };
    let needs_substitution = parameters.is_some()
        || body
            .iter()
            .any(|token| token.flags & (PASTE_LEFT | STRINGIFY) != 0);
    let definition = MacroDefinition {
        name,
        parameters,
        body: Body::Tokens(TokenRange { start, end }),
        needs_substitution,
        meaning,
    };
    Ok((definition, mentions))
}

/// The replacement list as text, when nothing in it has to be known now: no `#`, no word that matters. It has no meaning then,
/// unless that is plain to see.
fn postponed(builder: &mut Builder<'_>, has_parameters: bool) -> Option<(Body, Meaning)> {
    let from = builder.cursor.position();
    let (text, after) = builder.cursor.plain_body()?;
    if builder.watch.next_from(from) < from + text.len() {
        return None;
    }
    let mut meaning = Meaning::Unknown;
    if !has_parameters {
        match without_comment(text, builder.mode).trim_ascii() {
            [] => {
                builder.cursor = after;
                return Some((Body::Text(0, 0, OnceLock::new()), meaning));
            }
            number @ [b'0'..=b'9', ..] if number.iter().all(u8::is_ascii_alphanumeric) => {
                let value = Value::of_number(number);
                meaning = value.map_or(Meaning::Unknown, Meaning::Value);
            }
            name @ [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] if name.iter().all(is_word) => {
                builder.cursor = after;
                return Some(alias(builder, name));
            }
            _ if is_one_token(text) => return None,
            _ => {}
        }
    }
    let start = builder.program.text.len() as u32;
    builder.program.text.extend_from_slice(text);
    builder.cursor = after;
    let end = builder.program.text.len() as u32;
    Some((Body::Text(start, end, OnceLock::new()), meaning))
}

/// The replacement list that is one name.
fn alias(builder: &mut Builder<'_>, name: &[u8]) -> (Body, Meaning) {
    let token = Token {
        kind: Kind::Identifier,
        flags: 0,
        atom: Atom::of(name),
    };
    let start = builder.program.tokens.len() as u32;
    builder.program.tokens.push(token);
    let end = start + 1;
    (
        Body::Tokens(TokenRange { start, end }),
        self::meaning(&[token]),
    )
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

/// What precedes the comment that ends the text, if nothing but one word does.
fn without_comment(text: &[u8], mode: LexingMode) -> &[u8] {
    let word = |byte: &u8| is_word(byte) || matches!(byte, b' ' | b'\t');
    let Some(begin) = text.iter().position(|byte| !word(byte)) else {
        return text;
    };
    let ends = match &text[begin..] {
        [b'/', b'/', ..] => mode.line_comments,
        [b'/', b'*', rest @ ..] => {
            memmem::find(rest, b"*/").is_some_and(|end| rest[end + 2..].trim_ascii().is_empty())
        }
        _ => false,
    };
    if ends { &text[..begin] } else { text }
}

/// Whether a replacement list may be empty, a name or a number, perhaps in parentheses and before a comment.
fn is_one_token(text: &[u8]) -> bool {
    let open = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'(' | b'\\' | b'\n');
    let rest = &text[text.iter().take_while(open).count()..];
    let word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'\'');
    let rest = &rest[rest.iter().take_while(word).count()..];
    let close = |byte: &&u8| matches!(byte, b' ' | b'\t' | b')' | b'\\' | b'\n');
    let rest = &rest[rest.iter().take_while(close).count()..];
    rest.first().is_none_or(|byte| *byte == b'/')
}

/// Lexes a replacement list without `#`.
pub(super) fn plain_body(
    text: &[u8],
    mode: LexingMode,
    parameters: Option<&Parameters>,
) -> Box<[Token]> {
    let mut cursor = Cursor::within(text, mode);
    let mut scratch = Vec::new();
    let mut tokens = Vec::new();
    while let Some(raw) = cursor.next_token(&mut scratch, true) {
        let atom = Atom::of(cursor.spelling(&raw, &scratch));
        let mut token = Token {
            kind: raw.shape.into(),
            flags: if raw.space && !tokens.is_empty() {
                SPACE
            } else {
                0
            },
            atom,
        };
        let index = parameters
            .filter(|_| token.kind == Kind::Identifier)
            .and_then(|parameters| parameters.names.iter().position(|name| *name == atom));
        if let Some(index) = index {
            token.kind = Kind::Parameter;
            token.atom = Atom(index as u32);
        }
        tokens.push(token);
    }
    tokens.into()
}

/// What an object-like macro with this replacement list stands for in a condition.
fn meaning(body: &[Token]) -> Meaning {
    let one = match body {
        [one] => one,
        [open, one, close] if open.is(known::OPEN) && close.is(known::CLOSE) => one,
        _ => return Meaning::Unknown,
    };
    match one.kind {
        Kind::Number => Value::of_number(one.spelling()).map_or(Meaning::Unknown, Meaning::Value),
        Kind::Identifier if body.len() == 1 && formula::is_plain(one.atom) => {
            Meaning::Alias(one.atom)
        }
        _ => Meaning::Unknown,
    }
}

/// The most parameters: each name of a body is looked for among them.
const PARAMETER_LIMIT: usize = 4096;

/// A parameter list of plain names, from its parenthesis on.
fn plain_parameters(builder: &mut Builder<'_>) -> Option<Parameters> {
    const MOST: usize = 16;
    let mut names = [known::EMPTY; MOST];
    let mut count = 0;
    let cursor = &mut builder.cursor;
    if !cursor.take_plain(b'(') {
        return None;
    }
    while !(count == 0 && cursor.take_plain(b')')) {
        let name = Atom::of(cursor.plain_word()?);
        if count == MOST || name == known::VA_ARGS || names[..count].contains(&name) {
            return None;
        }
        names[count] = name;
        count += 1;
        if cursor.take_plain(b')') {
            break;
        }
        if !cursor.take_plain(b',') {
            return None;
        }
    }
    Some(Parameters {
        names: names[..count].into(),
        variadic: false,
    })
}

fn parse_parameters(builder: &mut Builder<'_>) -> Result<Parameters, &'static str> {
    const BAD: &str = "malformed macro parameter list";
    let mut names: Vec<Atom> = Vec::new();
    let mut variadic = false;
    let mut expects_name = true;
    loop {
        let raw = builder
            .next()
            .ok_or("missing ')' in macro parameter list")?;
        let token = builder.token(&raw);
        match (token.kind, token.atom) {
            (Kind::Punctuator, known::CLOSE) if !expects_name || names.is_empty() => break,
            (Kind::Punctuator, known::COMMA) if !expects_name && !variadic => expects_name = true,
            (Kind::Punctuator, known::ELLIPSIS) if !variadic => {
                // `...` alone is named __VA_ARGS__; after a name it makes that one variadic (GNU).
                if expects_name {
                    names.push(known::VA_ARGS);
                }
                variadic = true;
                expects_name = false;
            }
            (Kind::Identifier, name) if expects_name && !variadic => {
                if names.contains(&name) || name == known::VA_ARGS {
                    return Err("duplicate macro parameter");
                }
                if names.len() >= PARAMETER_LIMIT {
                    return Err("more macro parameters than the scanner takes");
                }
                names.push(name);
                expects_name = false;
            }
            _ => return Err(BAD),
        }
    }
    Ok(Parameters {
        names: names.into(),
        variadic,
    })
}

/// Lexes the replacement list; returns what it mentions.
fn body(
    builder: &mut Builder<'_>,
    parameters: Option<&Parameters>,
    start: usize,
) -> Result<u16, &'static str> {
    const EDGE: &str = "'##' cannot appear at either end of a macro expansion";
    let mut found = 0;
    let mut previous: Vec<u8> = Vec::new();
    let mut hash: Option<Token> = None;
    let mut paste = false;
    while let Some(raw) = builder.next() {
        found |= mentions(raw.shape, builder.spelling(&raw), &previous, builder.mode);
        previous.clear();
        previous.extend_from_slice(builder.cursor.spelling(&raw, &builder.scratch));
        let mut token = builder.token(&raw);
        if builder.program.tokens.len() == start && hash.is_none() {
            token.flags &= !SPACE;
        }
        let index = parameters
            .filter(|_| token.kind == Kind::Identifier)
            .and_then(|parameters| parameters.names.iter().position(|name| *name == token.atom));
        if let Some(hash_token) = hash.take() {
            let is_va_opt = token.kind == Kind::Identifier && token.atom == known::VA_OPT;
            if index.is_some() || is_va_opt {
                token.flags = (hash_token.flags & SPACE) | STRINGIFY;
            } else if builder.mode.assembler {
                builder.program.tokens.push(hash_token);
            } else {
                return Err("'#' is not followed by a macro parameter");
            }
        }
        if token.is(known::PASTE) {
            match builder.program.tokens[start..].last_mut() {
                Some(last) => last.flags |= PASTE_LEFT,
                None => return Err(EDGE),
            }
            paste = true;
            continue;
        }
        if token.is(known::HASH) && parameters.is_some() {
            hash = Some(token);
            continue;
        }
        paste = false;
        if let Some(index) = index {
            token.kind = Kind::Parameter;
            token.atom = Atom(index as u32);
        }
        builder.program.tokens.push(token);
    }
    match hash {
        Some(hash) if builder.mode.assembler => builder.program.tokens.push(hash),
        Some(_) => return Err("'#' is not followed by a macro parameter"),
        None => {}
    }
    if paste {
        return Err(EDGE);
    }
    Ok(found)
}
