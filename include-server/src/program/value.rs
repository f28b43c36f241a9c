//! Integers of conditions: 64 bits, signed or unsigned, and the numbers they are written as.

/// A value in a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Two's complement.
    pub bits: u64,
    /// Unsigned arithmetic applies.
    pub unsigned: bool,
}

impl Value {
    /// A signed value.
    pub fn signed(value: i64) -> Value {
        Value {
            bits: value as u64,
            unsigned: false,
        }
    }

    /// 1 or 0.
    pub fn truth(value: bool) -> Value {
        Value::signed(i64::from(value))
    }

    /// Whether it is not 0.
    pub fn is_true(self) -> bool {
        self.bits != 0
    }

    /// The value of a preprocessing number; `None` if it is no integer constant.
    pub fn of_number(spelling: &[u8]) -> Option<Value> {
        let (base, digits) = match spelling {
            [b'0', b'x' | b'X', rest @ ..] => (16, rest),
            [b'0', b'b' | b'B', rest @ ..] => (2, rest),
            [b'0', ..] => (8, spelling),
            all => (10, all),
        };
        let mut bits = 0u64;
        let mut any = false;
        let mut at = 0;
        while let Some(byte) = digits.get(at) {
            // Digit separators stand between digits, and nowhere else in a number that was lexed.
            if *byte != b'\'' {
                let Some(digit) = (*byte as char).to_digit(base) else {
                    break;
                };
                any = true;
                bits = bits
                    .wrapping_mul(u64::from(base))
                    .wrapping_add(u64::from(digit));
            }
            at += 1;
        }
        if !any {
            return None;
        }
        let mut suffix = [0u8; 3];
        let mut length = 0;
        for byte in digits[at..].iter().filter(|byte| **byte != b'\'') {
            *suffix.get_mut(length)? = byte.to_ascii_lowercase();
            length += 1;
        }
        let unsigned = match &suffix[..length] {
            b"" | b"l" | b"ll" | b"z" | b"i" | b"j" => false,
            b"u" | b"ul" | b"ull" | b"lu" | b"llu" | b"uz" | b"zu" => true,
            _ => return None,
        };
        // A constant too large for a signed type is unsigned.
        Some(Value {
            bits,
            unsigned: unsigned || (bits as i64) < 0,
        })
    }
}
