//! `#if` arithmetic: 64-bit integers, signed or unsigned, all of C's operators.
//!
//! First the line is expanded into a flat list in which `defined`, `__has_include` and assertions are already numbers; then the list
//! is evaluated, with `&&`, `||` and `?:` leaving their unused operands unevaluated (but parsed).

mod constant;

use crate::atom::{Atom, known};
use crate::configuration::Dialect;
use crate::macros::{Environment, Expander, Fault};
use crate::program::{Kind, Token};

/// A value in a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Two's complement.
    pub bits: u64,
    /// Unsigned arithmetic applies.
    pub unsigned: bool,
}

impl Value {
    fn signed(value: i64) -> Value {
        Value {
            bits: value as u64,
            unsigned: false,
        }
    }

    fn truth(value: bool) -> Value {
        Value::signed(i64::from(value))
    }

    fn is_true(self) -> bool {
        self.bits != 0
    }
}

/// The operator that a C++ operator's name stands for.
pub fn operator_name(name: &[u8]) -> Option<&'static [u8]> {
    Some(match name {
        b"and" => b"&&",
        b"and_eq" => b"&=",
        b"bitand" => b"&",
        b"bitor" => b"|",
        b"compl" => b"~",
        b"not" => b"!",
        b"not_eq" => b"!=",
        b"or" => b"||",
        b"or_eq" => b"|=",
        b"xor" => b"^",
        b"xor_eq" => b"^=",
        _ => return None,
    })
}

/// Evaluates the condition that `expander` reads.
pub fn evaluate<E: Environment>(
    expander: &mut Expander<'_, E>,
    dialect: &Dialect,
) -> Result<bool, Fault> {
    let items = flatten(expander, dialect)?;
    let mut parser = Parser {
        items: &items,
        at: 0,
        depth: 0,
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
        Item::Operator(operator) => String::from_utf8_lossy(operator).into_owned(),
    }
}

enum Item {
    Value(Value),
    Operator(&'static [u8]),
}

fn flatten<E: Environment>(
    expander: &mut Expander<'_, E>,
    dialect: &Dialect,
) -> Result<Vec<Item>, Fault> {
    let mut items = Vec::new();
    loop {
        let token = expander.next(true)?;
        let item = match token.kind {
            Kind::End => return Ok(items),
            Kind::Number => Item::Value(constant::number(token.spelling())?),
            Kind::Char => Item::Value(constant::character(token.spelling(), dialect)?),
            Kind::Punctuator if token.is(known::HASH) => {
                Item::Value(Value::truth(assertion(expander)?))
            }
            Kind::Punctuator => Item::Operator(token.spelling()),
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
        && let Some(operator) = operator_name(token.spelling())
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
    Ok(expander.is_asserted(predicate.atom, answer.as_deref()))
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
const DEPTH_LIMIT: u32 = 256;

struct Parser<'i> {
    items: &'i [Item],
    at: usize,
    depth: u32,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Item> {
        self.items.get(self.at)
    }

    fn operator(&self) -> Option<&'static [u8]> {
        match self.peek() {
            Some(Item::Operator(operator)) => Some(operator),
            _ => None,
        }
    }

    fn accept(&mut self, operator: &[u8]) -> bool {
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
        while self.accept(b",") {
            value = self.conditional(live)?;
        }
        Ok(value)
    }

    fn conditional(&mut self, live: bool) -> Result<Value, Fault> {
        self.nested(|parser| {
            let condition = parser.binary(0, live)?;
            if !parser.accept(b"?") {
                return Ok(condition);
            }
            let first = parser.comma(live && condition.is_true())?;
            if !parser.accept(b":") {
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
                b"&&" => live && left.is_true(),
                b"||" => live && !left.is_true(),
                _ => live,
            };
            let right = self.binary(precedence + 1, right_live)?;
            left = apply(operator, left, right, right_live)?;
        }
        Ok(left)
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
                b"(" => {
                    let value = parser.comma(live)?;
                    match parser.accept(b")") {
                        true => Ok(value),
                        false => Fault::malformed("missing ')' in expression"),
                    }
                }
                b"+" => parser.unary(live),
                b"-" => parser.unary(live).map(|value| Value {
                    bits: value.bits.wrapping_neg(),
                    ..value
                }),
                b"~" => parser.unary(live).map(|value| Value {
                    bits: !value.bits,
                    ..value
                }),
                b"!" => parser
                    .unary(live)
                    .map(|value| Value::truth(!value.is_true())),
                other => Fault::malformed(format!(
                    "token \"{}\" is not valid here in #if",
                    String::from_utf8_lossy(other)
                )),
            }
        })
    }
}

fn precedence(operator: &[u8]) -> Option<u8> {
    Some(match operator {
        b"||" => 1,
        b"&&" => 2,
        b"|" => 3,
        b"^" => 4,
        b"&" => 5,
        b"==" | b"!=" => 6,
        b"<" | b">" | b"<=" | b">=" => 7,
        b"<<" | b">>" => 8,
        b"+" | b"-" => 9,
        b"*" | b"/" | b"%" => 10,
        _ => return None,
    })
}

fn apply(operator: &[u8], left: Value, right: Value, live: bool) -> Result<Value, Fault> {
    let unsigned = left.unsigned || right.unsigned;
    let compare = |unsigned_result: bool, signed_result: bool| {
        Value::truth(if unsigned {
            unsigned_result
        } else {
            signed_result
        })
    };
    let (a, b) = (left.bits, right.bits);
    let (signed_a, signed_b) = (a as i64, b as i64);
    let value = |bits| Value { bits, unsigned };
    Ok(match operator {
        b"||" => Value::truth(left.is_true() || right.is_true()),
        b"&&" => Value::truth(left.is_true() && right.is_true()),
        b"|" => value(a | b),
        b"^" => value(a ^ b),
        b"&" => value(a & b),
        b"==" => Value::truth(a == b),
        b"!=" => Value::truth(a != b),
        b"<" => compare(a < b, signed_a < signed_b),
        b">" => compare(a > b, signed_a > signed_b),
        b"<=" => compare(a <= b, signed_a <= signed_b),
        b">=" => compare(a >= b, signed_a >= signed_b),
        b"<<" => shift(left, right, true),
        b">>" => shift(left, right, false),
        b"+" => value(a.wrapping_add(b)),
        b"-" => value(a.wrapping_sub(b)),
        b"*" => value(a.wrapping_mul(b)),
        _ if b == 0 && !live => value(0),
        _ if b == 0 => return Fault::malformed("division by zero in #if"),
        b"/" if unsigned => value(a / b),
        b"/" => value(signed_a.wrapping_div(signed_b) as u64),
        _ if unsigned => value(a % b),
        _ => value(signed_a.wrapping_rem(signed_b) as u64),
    })
}

/// A shift by a negative number goes the other way; one by 64 or more leaves nothing but the sign.
fn shift(left: Value, right: Value, to_left: bool) -> Value {
    let negative = !right.unsigned && (right.bits as i64) < 0;
    let count = if negative {
        right.bits.wrapping_neg()
    } else {
        right.bits
    };
    let to_left = to_left != negative;
    let bits = match (to_left, left.unsigned) {
        (true, _) if count >= 64 => 0,
        (true, _) => left.bits << count,
        (false, true) if count >= 64 => 0,
        (false, true) => left.bits >> count,
        (false, false) => ((left.bits as i64) >> count.min(63)) as u64,
    };
    Value {
        bits,
        unsigned: left.unsigned,
    }
}
