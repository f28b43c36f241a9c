//! Conditions as formulas in postfix order, for those in which every name stands for one value.
//!
//! Most conditions are of that kind: names that are not defined, or defined as one number. They are evaluated without any
//! expansion, and without leaving operands out, because no operand can have an effect. All others (calls of macros, division,
//! `?:`, what the compiler would reject) have no formula; they are expanded and parsed each time.

use super::{Kind, Program, Token, TokenRange, Value};
use crate::atom::{Atom, known};

/// One step of a formula: it works on a stack of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Pushes a number: an index for [`Program::value`].
    Value(u32),
    /// Pushes whether a macro is defined.
    Defined(Atom),
    /// Pushes what a name stands for.
    Name(Atom),
    /// Works on the topmost value.
    Unary(Unary),
    /// Works on the two topmost values.
    Binary(Binary),
}

/// An operator with one operand. (`+` does nothing.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unary {
    Not,
    Negate,
    Complement,
}

/// An operator with two operands that never fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Or,
    And,
    BitOr,
    BitXor,
    BitAnd,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    ShiftLeft,
    ShiftRight,
    Plus,
    Minus,
    Times,
}

impl Binary {
    /// What a punctuator means, and its precedence.
    pub fn of(punctuator: Atom) -> Option<(Binary, u8)> {
        Some(match punctuator {
            known::OR => (Binary::Or, 1),
            known::AND => (Binary::And, 2),
            known::BIT_OR => (Binary::BitOr, 3),
            known::BIT_XOR => (Binary::BitXor, 4),
            known::BIT_AND => (Binary::BitAnd, 5),
            known::EQUAL => (Binary::Equal, 6),
            known::NOT_EQUAL => (Binary::NotEqual, 6),
            known::LESS => (Binary::Less, 7),
            known::GREATER => (Binary::Greater, 7),
            known::LESS_OR_EQUAL => (Binary::LessOrEqual, 7),
            known::GREATER_OR_EQUAL => (Binary::GreaterOrEqual, 7),
            known::SHIFT_LEFT => (Binary::ShiftLeft, 8),
            known::SHIFT_RIGHT => (Binary::ShiftRight, 8),
            known::PLUS => (Binary::Plus, 9),
            known::MINUS => (Binary::Minus, 9),
            known::TIMES => (Binary::Times, PRODUCT),
            _ => return None,
        })
    }
}

/// The precedence of `*`, `/` and `%`.
pub const PRODUCT: u8 = 10;

/// Values a formula may need at once.
pub const STACK: usize = 16;

/// How deep parentheses and operators may nest in a formula.
const DEPTH: u32 = 64;

/// Adds the formula of a condition to the program, if it has one; gives its steps.
pub(super) fn add(program: &mut Program, tokens: TokenRange) -> TokenRange {
    let start = program.steps.len();
    let values = program.values.len();
    let mut parser = Parser {
        tokens: &program.tokens[tokens.indices()],
        steps: &mut program.steps,
        values: &mut program.values,
        height: 0,
        depth: 0,
    };
    if parser.binary(0).is_none() || !parser.tokens.is_empty() {
        program.steps.truncate(start);
        program.values.truncate(values);
    }
    TokenRange {
        start: start as u32,
        end: program.steps.len() as u32,
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    steps: &'t mut Vec<Step>,
    values: &'t mut Vec<Value>,
    /// Values on the stack after the steps so far.
    height: usize,
    depth: u32,
}

impl Parser<'_> {
    fn take(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(*first)
    }

    fn push(&mut self, step: Step) -> Option<()> {
        match step {
            Step::Value(_) | Step::Defined(_) | Step::Name(_) => self.height += 1,
            Step::Binary(_) => self.height -= 1,
            Step::Unary(_) => {}
        }
        self.steps.push(step);
        (self.height <= STACK).then_some(())
    }

    fn binary(&mut self, least: u8) -> Option<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        self.unary()?;
        while let Some(token) = self.tokens.first() {
            let Some((operator, precedence)) = (token.kind == Kind::Punctuator)
                .then(|| Binary::of(token.atom))
                .flatten()
                .filter(|(_, precedence)| *precedence >= least)
            else {
                break;
            };
            self.take();
            self.binary(precedence + 1)?;
            self.push(Step::Binary(operator))?;
        }
        self.depth -= 1;
        Some(())
    }

    fn unary(&mut self) -> Option<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        let token = self.take()?;
        match (token.kind, token.atom) {
            (Kind::Number, number) => {
                self.values.push(Value::of_number(number.spelling())?);
                self.push(Step::Value(self.values.len() as u32 - 1))?;
            }
            (Kind::Identifier, known::DEFINED) => {
                let name = self.defined()?;
                self.push(Step::Defined(name))?;
            }
            (Kind::Identifier, name) if is_plain(name) => self.push(Step::Name(name))?,
            (Kind::Punctuator, known::OPEN) => {
                self.binary(0)?;
                if !self.take()?.is(known::CLOSE) {
                    return None;
                }
            }
            (Kind::Punctuator, known::PLUS) => self.unary()?,
            (Kind::Punctuator, operator) => {
                let operator = match operator {
                    known::NOT => Unary::Not,
                    known::MINUS => Unary::Negate,
                    known::COMPLEMENT => Unary::Complement,
                    _ => return None,
                };
                self.unary()?;
                self.push(Step::Unary(operator))?;
            }
            _ => return None,
        }
        self.depth -= 1;
        Some(())
    }

    /// The name after `defined`.
    fn defined(&mut self) -> Option<Atom> {
        let mut token = self.take()?;
        let parenthesis = token.is(known::OPEN);
        if parenthesis {
            token = self.take()?;
        }
        let closed = !parenthesis || self.take()?.is(known::CLOSE);
        (token.kind == Kind::Identifier && closed).then_some(token.atom)
    }
}

/// Whether a name that is no macro stands for 0 in every dialect.
pub(super) fn is_plain(name: Atom) -> bool {
    !matches!(name, known::DEFINED | known::TRUE)
        && !(known::WORD_AND.0..=known::WORD_XOR_EQ.0).contains(&name.0)
}
