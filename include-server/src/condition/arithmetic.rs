//! Operators on values.

use crate::program::{Binary, Unary, Value};

/// The result of an operator with one operand.
#[inline]
pub(super) fn unary(operator: Unary, value: Value) -> Value {
    match operator {
        Unary::Not => Value::truth(!value.is_true()),
        Unary::Negate => Value {
            bits: value.bits.wrapping_neg(),
            ..value
        },
        Unary::Complement => Value {
            bits: !value.bits,
            ..value
        },
    }
}

/// The result of an operator with two operands.
#[inline]
pub(super) fn binary(operator: Binary, left: Value, right: Value) -> Value {
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
    match operator {
        Binary::Or => Value::truth(left.is_true() || right.is_true()),
        Binary::And => Value::truth(left.is_true() && right.is_true()),
        Binary::BitOr => value(a | b),
        Binary::BitXor => value(a ^ b),
        Binary::BitAnd => value(a & b),
        Binary::Equal => Value::truth(a == b),
        Binary::NotEqual => Value::truth(a != b),
        Binary::Less => compare(a < b, signed_a < signed_b),
        Binary::Greater => compare(a > b, signed_a > signed_b),
        Binary::LessOrEqual => compare(a <= b, signed_a <= signed_b),
        Binary::GreaterOrEqual => compare(a >= b, signed_a >= signed_b),
        Binary::ShiftLeft => shift(left, right, true),
        Binary::ShiftRight => shift(left, right, false),
        Binary::Plus => value(a.wrapping_add(b)),
        Binary::Minus => value(a.wrapping_sub(b)),
        Binary::Times => value(a.wrapping_mul(b)),
    }
}

/// `/` or `%`; by 0 (in an operand that does not count) the result is 0.
pub(super) fn divide(remainder: bool, left: Value, right: Value) -> Value {
    let unsigned = left.unsigned || right.unsigned;
    let (a, b) = (left.bits, right.bits);
    let (signed_a, signed_b) = (a as i64, b as i64);
    let bits = match (remainder, unsigned) {
        _ if b == 0 => 0,
        (false, true) => a / b,
        (false, false) => signed_a.wrapping_div(signed_b) as u64,
        (true, true) => a % b,
        (true, false) => signed_a.wrapping_rem(signed_b) as u64,
    };
    Value { bits, unsigned }
}

/// To clang a count is never negative, only large; and to the right only its lower 32 bits count.
pub(super) fn clang_shift(to_left: bool, left: Value, right: Value) -> Value {
    let count = match to_left {
        true => right.bits,
        false => right.bits & 0xFFFF_FFFF,
    };
    let count = count.min(63);
    let bits = match (to_left, left.unsigned) {
        (true, _) if right.bits > 63 => 0,
        (true, _) => left.bits << count,
        (false, true) => left.bits >> count,
        (false, false) => ((left.bits as i64) >> count) as u64,
    };
    Value {
        bits,
        unsigned: left.unsigned,
    }
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
