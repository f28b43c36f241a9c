//! `#if` arithmetic: 64-bit integers, signed or unsigned, all of C's operators.
//!
//! First the line is expanded into a flat list in which `defined`, `__has_include` and assertions are already numbers; then the list
//! is evaluated, with `&&`, `||` and `?:` leaving their unused operands unevaluated (but parsed).

mod arithmetic;
mod constant;
mod shortcut;

pub use shortcut::shortcut;

use crate::atom::{Atom, known};
use crate::configuration::Dialect;
use crate::macros::{Environment, Expander, Fault};
use crate::program::{Binary, Kind, PRODUCT, Token, Unary, Value};

/// The operator that a C++ operator's name stands for.
pub fn operator_name(name: Atom) -> Option<Atom> {
    Some(match name {
        known::WORD_AND => known::AND,
        known::WORD_AND_EQ => known::AND_ASSIGN,
        known::WORD_BITAND => known::BIT_AND,
        known::WORD_BITOR => known::BIT_OR,
        known::WORD_COMPL => known::COMPLEMENT,
        known::WORD_NOT => known::NOT,
        known::WORD_NOT_EQ => known::NOT_EQUAL,
        known::WORD_OR => known::OR,
        known::WORD_OR_EQ => known::OR_ASSIGN,
        known::WORD_XOR => known::BIT_XOR,
        known::WORD_XOR_EQ => known::XOR_ASSIGN,
        _ => return None,
    })
}

/// Evaluates the condition that `expander` reads. `items` is memory to work in.
pub fn evaluate<E: Environment>(
    expander: &mut Expander<'_, E>,
    dialect: &Dialect,
    items: &mut Vec<Item>,
) -> Result<bool, Fault> {
    items.clear();
    flatten(expander, dialect, items)?;
    let mut parser = Parser {
        items,
        at: 0,
        depth: 0,
        clang: dialect.lexing.clang,
    };
    let value = parser.comma(true)?;
    match parser.peek() {
        None => Ok(value.is_true()),
        Some(item) => Fault::malformed(format!(
            "missing binary operator before token \"{}\"",
            text(item)
        )),
    }
}

fn text(item: &Item) -> String {
    match item {
        Item::Value(value) => value.bits.to_string(),
        Item::Operator(operator) => operator.display().into_owned(),
    }
}

/// A condition's token after expansion.
pub enum Item {
    /// An operand.
    Value(Value),
    /// An operator.
    Operator(Atom),
}

fn flatten<E: Environment>(
    expander: &mut Expander<'_, E>,
    dialect: &Dialect,
    items: &mut Vec<Item>,
) -> Result<(), Fault> {
    loop {
        let token = expander.next(true)?;
        let item = match token.kind {
            Kind::End => return Ok(()),
            Kind::Number => Item::Value(constant::number(token.spelling())?),
            Kind::Char => Item::Value(constant::character(token.spelling(), dialect)?),
            Kind::Punctuator if token.is(known::HASH) => {
                Item::Value(Value::truth(assertion(expander)?))
            }
            Kind::Punctuator => Item::Operator(token.atom),
            Kind::Identifier if token.atom == known::DEFINED => {
                Item::Value(Value::truth(defined(expander)?))
            }
            Kind::Identifier => identifier(token, dialect),
            Kind::String => return Fault::malformed("a string literal is not valid in #if"),
            _ => {
                let spelling = String::from_utf8_lossy(token.spelling()).into_owned();
                return Fault::malformed(format!("token \"{spelling}\" is not valid in #if"));
            }
        };
        items.push(item);
    }
}

fn identifier(token: Token, dialect: &Dialect) -> Item {
    if dialect.operator_names
        && let Some(operator) = operator_name(token.atom)
    {
        return Item::Operator(operator);
    }
    Item::Value(Value::truth(
        dialect.true_false && token.atom == known::TRUE,
    ))
}

/// The operand of `defined`, which is never expanded.
fn defined<E: Environment>(expander: &mut Expander<'_, E>) -> Result<bool, Fault> {
    let mut token = expander.next(false)?;
    let parenthesis = token.is(known::OPEN);
    if parenthesis {
        token = expander.next(false)?;
    }
    if token.kind != Kind::Identifier {
        return Fault::malformed("operator \"defined\" requires an identifier");
    }
    let defined = expander.is_defined(token.atom);
    if parenthesis && !expander.next(false)?.is(known::CLOSE) {
        return Fault::malformed("missing ')' after \"defined\"");
    }
    Ok(defined)
}

/// `#predicate` or `#predicate(answer)`.
fn assertion<E: Environment>(expander: &mut Expander<'_, E>) -> Result<bool, Fault> {
    let predicate = expander.next(false)?;
    if predicate.kind != Kind::Identifier {
        return Fault::malformed("predicate must be an identifier");
    }
    let answer = assertion_answer(expander)?;
    expander.is_asserted(predicate.atom, answer.as_deref())
}

/// The `(answer)` that may follow a predicate, spelled with single spaces.
fn assertion_answer<E: Environment>(
    expander: &mut Expander<'_, E>,
) -> Result<Option<Vec<u8>>, Fault> {
    if !expander.follows(known::OPEN)? {
        return Ok(None);
    }
    expander.next(false)?;
    let mut answer = Vec::new();
    let mut depth = 1;
    loop {
        let token = expander.next(false)?;
        match token.kind {
            Kind::End => return Fault::malformed("missing ')' to complete answer"),
            _ if token.is(known::OPEN) => depth += 1,
            _ if token.is(known::CLOSE) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(Some(answer));
        }
        if token.has_space() && !answer.is_empty() {
            answer.push(b' ');
        }
        answer.extend_from_slice(token.spelling());
    }
}

/// The answer and predicate of a `#assert` or `#unassert` line.
pub(crate) fn assertion_line<E: Environment>(
    expander: &mut Expander<'_, E>,
) -> Result<(Atom, Option<Vec<u8>>), Fault> {
    let predicate = expander.next(false)?;
    if predicate.kind != Kind::Identifier {
        return Fault::malformed("predicate must be an identifier");
    }
    let answer = assertion_answer(expander)?;
    Ok((predicate.atom, answer))
}

/// How deep parentheses and conditionals may nest.
const DEPTH_LIMIT: u32 = 1024;

struct Parser<'i> {
    items: &'i [Item],
    at: usize,
    depth: u32,
    /// clang's rules hold.
    clang: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Item> {
        self.items.get(self.at)
    }

    fn operator(&self) -> Option<Atom> {
        match self.peek() {
            Some(Item::Operator(operator)) => Some(*operator),
            _ => None,
        }
    }

    fn accept(&mut self, operator: Atom) -> bool {
        let accepted = self.operator() == Some(operator);
        self.at += usize::from(accepted);
        accepted
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= DEPTH_LIMIT {
            return Err(Fault::TooMuchWork);
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn comma(&mut self, live: bool) -> Result<Value, Fault> {
        let mut value = self.conditional(live)?;
        while self.accept(known::COMMA) {
            value = self.conditional(live)?;
        }
        Ok(value)
    }

    fn conditional(&mut self, live: bool) -> Result<Value, Fault> {
        self.nested(|parser| {
            let condition = parser.binary(0, live)?;
            if !parser.accept(known::QUESTION) {
                return Ok(condition);
            }
            let first = parser.comma(live && condition.is_true())?;
            if !parser.accept(known::COLON) {
                return Fault::malformed("'?' without following ':'");
            }
            let second = parser.conditional(live && !condition.is_true())?;
            let unsigned = first.unsigned || second.unsigned;
            let bits = if condition.is_true() {
                first.bits
            } else {
                second.bits
            };
            Ok(Value { bits, unsigned })
        })
    }

    fn binary(&mut self, least: u8, live: bool) -> Result<Value, Fault> {
        let mut left = self.unary(live)?;
        while let Some(operator) = self.operator() {
            let Some(precedence) = precedence(operator).filter(|precedence| *precedence >= least)
            else {
                break;
            };
            self.at += 1;
            let right_live = match operator {
                known::AND => live && left.is_true(),
                known::OR => live && !left.is_true(),
                _ => live,
            };
            let right = self.binary(precedence + 1, right_live)?;
            left = match operator {
                known::DIVIDE | known::REMAINDER if right.bits == 0 && right_live => {
                    return Fault::malformed("division by zero in #if");
                }
                // gcc leaves the left operand as it is, its signedness too.
                known::DIVIDE | known::REMAINDER if right.bits == 0 && !self.clang => left,
                known::SHIFT_LEFT | known::SHIFT_RIGHT if self.clang => {
                    arithmetic::clang_shift(operator == known::SHIFT_LEFT, left, right)
                }
                _ => apply(operator, left, right),
            };
        }
        Ok(left)
    }

    fn prefixed(&mut self, operator: Unary, live: bool) -> Result<Value, Fault> {
        Ok(arithmetic::unary(operator, self.unary(live)?))
    }

    fn unary(&mut self, live: bool) -> Result<Value, Fault> {
        self.nested(|parser| {
            let item = match parser.peek() {
                None => {
                    return Fault::malformed(
                        "operator has no right operand, or #if with no expression",
                    );
                }
                Some(Item::Value(value)) => {
                    let value = *value;
                    parser.at += 1;
                    return Ok(value);
                }
                Some(Item::Operator(operator)) => *operator,
            };
            parser.at += 1;
            match item {
                known::OPEN => {
                    let value = parser.comma(live)?;
                    match parser.accept(known::CLOSE) {
                        true => Ok(value),
                        false => Fault::malformed("missing ')' in expression"),
                    }
                }
                known::PLUS => parser.unary(live),
                known::MINUS => parser.prefixed(Unary::Negate, live),
                known::COMPLEMENT => parser.prefixed(Unary::Complement, live),
                known::NOT => parser.prefixed(Unary::Not, live),
                other => Fault::malformed(format!(
                    "token \"{}\" is not valid here in #if",
                    other.display()
                )),
            }
        })
    }
}

fn precedence(operator: Atom) -> Option<u8> {
    match operator {
        known::DIVIDE | known::REMAINDER => Some(PRODUCT),
        _ => Binary::of(operator).map(|(_, precedence)| precedence),
    }
}

fn apply(operator: Atom, left: Value, right: Value) -> Value {
    match Binary::of(operator) {
        Some((operator, _)) => arithmetic::binary(operator, left, right),
        None => arithmetic::divide(operator == known::REMAINDER, left, right),
    }
}
