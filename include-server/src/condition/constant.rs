//! Numbers and character constants in `#if`.

use super::Value;
use crate::configuration::Dialect;
use crate::macros::Fault;

/// The value of a preprocessing number, which must be an integer.
pub(super) fn number(spelling: &[u8]) -> Result<Value, Fault> {
    Value::of_number(spelling).ok_or_else(|| {
        let text = String::from_utf8_lossy(spelling).into_owned();
        Fault::Malformed(format!("\"{text}\" is not a valid integer constant in #if"))
    })
}

/// One element of a literal: a code point, or a byte given by number.
enum Element {
    Character(u32),
    Number(u64),
}

/// The value of a character constant.
pub(super) fn character(spelling: &[u8], dialect: &Dialect) -> Result<Value, Fault> {
    let quote = spelling.iter().position(|&byte| byte == b'\'').unwrap_or(0);
    let (prefix, rest) = spelling.split_at(quote);
    let inner = rest
        .get(1..rest.len().saturating_sub(1))
        .unwrap_or_default();
    let elements = elements(inner)?;
    if elements.is_empty() {
        return Fault::malformed("empty character constant");
    }
    let (width, unsigned) = match prefix {
        b"" => (8, !dialect.signed_char),
        b"u8" => (8, dialect.unsigned_utf8_char),
        b"L" => (dialect.wchar_bits, !dialect.signed_wchar),
        b"u" => (16, true),
        _ => (32, true),
    };
    let mask = if width == 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    };
    let mut units: Vec<u64> = Vec::new();
    for element in elements {
        match element {
            Element::Number(number) => units.push(number & mask),
            Element::Character(code) if width == 8 && code < 0x80 => units.push(u64::from(code)),
            Element::Character(code) if width == 8 => {
                let mut buffer = [0; 4];
                let text = char::from_u32(code)
                    .unwrap_or('\u{fffd}')
                    .encode_utf8(&mut buffer);
                units.extend(text.bytes().map(u64::from));
            }
            Element::Character(code) => units.push(u64::from(code) & mask),
        }
    }
    if prefix.is_empty() && units.len() > 1 {
        let value = units
            .iter()
            .fold(0u32, |value, unit| (value << 8) | *unit as u32);
        // To gcc it is an int; to clang it has the sign of `char`.
        let unsigned = unsigned && dialect.lexing.clang;
        let bits = match unsigned {
            true => u64::from(value),
            false => i64::from(value as i32) as u64,
        };
        return Ok(Value { bits, unsigned });
    }
    let unit = units.last().copied().unwrap_or(0);
    let negative = !unsigned && unit & (1 << (width - 1)) != 0;
    let bits = if negative { unit | !mask } else { unit };
    Ok(Value { bits, unsigned })
}

fn elements(mut inner: &[u8]) -> Result<Vec<Element>, Fault> {
    let mut elements = Vec::new();
    while let Some((&first, rest)) = inner.split_first() {
        if first != b'\\' {
            let length = if first < 0x80 { 1 } else { utf8_length(inner) };
            let code = match std::str::from_utf8(&inner[..length]) {
                Ok(text) => text.chars().next().map_or(0, u32::from),
                Err(_) => {
                    elements.push(Element::Number(u64::from(first)));
                    inner = rest;
                    continue;
                }
            };
            elements.push(Element::Character(code));
            inner = &inner[length..];
            continue;
        }
        let Some((&kind, rest)) = rest.split_first() else {
            return Fault::malformed("incomplete escape in character constant");
        };
        let (element, after) = escape(kind, rest)?;
        elements.push(element);
        inner = after;
    }
    Ok(elements)
}

fn utf8_length(bytes: &[u8]) -> usize {
    let length = match bytes[0] {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0.. => 4,
        _ => 1,
    };
    length.min(bytes.len())
}

fn escape(kind: u8, rest: &[u8]) -> Result<(Element, &[u8]), Fault> {
    let digits = |base: u32, most: usize| {
        rest.iter()
            .take(most)
            .take_while(|byte| (**byte as char).is_digit(base))
            .count()
    };
    let value = |length: usize, base: u32| {
        rest[..length].iter().fold(0u64, |value, byte| {
            value.wrapping_mul(u64::from(base))
                + u64::from((*byte as char).to_digit(base).unwrap_or(0))
        })
    };
    let simple = |code: u32| Ok((Element::Character(code), rest));
    match kind {
        b'n' => simple(10),
        b't' => simple(9),
        b'r' => simple(13),
        b'a' => simple(7),
        b'b' => simple(8),
        b'f' => simple(12),
        b'v' => simple(11),
        b'e' | b'E' => simple(27),
        b'\\' | b'\'' | b'"' | b'?' | b'(' | b'{' | b'[' | b'%' => simple(u32::from(kind)),
        b'0'..=b'7' => {
            let length = digits(8, 2);
            let first = u64::from(kind - b'0');
            let number = (first << (3 * length)) | value(length, 8);
            Ok((Element::Number(number), &rest[length..]))
        }
        b'x' if rest.first() != Some(&b'{') => {
            let length = digits(16, usize::MAX);
            if length == 0 {
                return Fault::malformed("\\x used with no following hex digits");
            }
            Ok((Element::Number(value(length, 16)), &rest[length..]))
        }
        b'u' | b'U' => {
            let wanted = if kind == b'u' { 4 } else { 8 };
            let length = digits(16, wanted);
            if length != wanted {
                return Err(Fault::Unsupported(
                    "this universal character name in a character constant".into(),
                ));
            }
            Ok((
                Element::Character(value(length, 16) as u32),
                &rest[length..],
            ))
        }
        _ => Err(Fault::Unsupported(
            "this escape in a character constant".into(),
        )),
    }
}
