//! Numbers and byte strings in the bodies of bundle messages.
//!
//! A number is written in groups of seven bits, the least significant first; every byte but the last has its highest bit set. The shortest form
//! is the only valid one. A byte string is its length as a number, and its bytes.

use crate::error::WireError;

/// Appends a number.
pub fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a byte string.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A body that is being read from its front. Nothing is reserved on a peer's word: strings are parts of the body.
#[derive(Clone, Debug)]
pub struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// One byte.
    ///
    /// # Errors
    /// [`WireError::ShortBody`] at the end of the body.
    pub fn byte(&mut self) -> Result<u8, WireError> {
        let (&first, rest) = self.0.split_first().ok_or(WireError::ShortBody)?;
        self.0 = rest;
        Ok(first)
    }

    /// So many bytes.
    ///
    /// # Errors
    /// [`WireError::ShortBody`] when there are fewer.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(WireError::ShortBody)?;
        self.0 = rest;
        Ok(taken)
    }

    /// An array.
    ///
    /// # Errors
    /// As [`Body::take`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (&array, rest) = self.0.split_first_chunk().ok_or(WireError::ShortBody)?;
        self.0 = rest;
        Ok(array)
    }

    /// A number of at most `limit`.
    ///
    /// # Errors
    /// [`WireError::ShortBody`], [`WireError::BadNumber`] for a form that is not the shortest or has more than 64 bits, and
    /// [`WireError::NumberTooLarge`].
    pub fn number(&mut self, limit: u64) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(WireError::BadNumber);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return match (byte, value) {
                    (0, _) if shift > 0 => Err(WireError::BadNumber),
                    (_, value) if value > limit => Err(WireError::NumberTooLarge { value, limit }),
                    (_, value) => Ok(value),
                };
            }
        }
        Err(WireError::BadNumber)
    }

    /// A count of things of at least `each` bytes, of which there are at most `limit`: no more than the body can hold.
    ///
    /// # Errors
    /// As [`Body::number`].
    pub fn count(&mut self, limit: u32, each: usize) -> Result<usize, WireError> {
        let count = self.number(limit.into())? as usize;
        match count.checked_mul(each) {
            Some(bytes) if bytes <= self.0.len() => Ok(count),
            _ => Err(WireError::ShortBody),
        }
    }

    /// A byte string of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Body::number`] and [`Body::take`].
    pub fn bytes(&mut self, limit: u32) -> Result<&'a [u8], WireError> {
        let length = self.number(limit.into())? as usize;
        self.take(length)
    }

    /// Nothing is left.
    ///
    /// # Errors
    /// [`WireError::TrailingBytes`] otherwise.
    pub fn end(&self) -> Result<(), WireError> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(WireError::TrailingBytes(more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_read_back(value: u64) {
            let mut out = Vec::new();
            put_number(&mut out, value);
            let mut body = Body::new(&out);
            prop_assert_eq!(body.number(u64::MAX), Ok(value));
            prop_assert_eq!(body.end(), Ok(()));
            if value > 0 {
                prop_assert!(Body::new(&out).number(value - 1).is_err());
            }
        }

        #[test]
        fn a_number_has_one_form(bytes in proptest::collection::vec(any::<u8>(), 1..12)) {
            let mut body = Body::new(&bytes);
            if let Ok(value) = body.number(u64::MAX) {
                let mut out = Vec::new();
                put_number(&mut out, value);
                prop_assert_eq!(out.as_slice(), &bytes[..bytes.len() - body.rest().len()]);
            }
        }
    }

    #[test]
    fn claims_are_compared_with_what_is_there() {
        assert_eq!(Body::new(&[5, 1, 2]).bytes(100), Err(WireError::ShortBody));
        assert_eq!(
            Body::new(&[2, 1, 2]).count(100, 2),
            Err(WireError::ShortBody)
        );
        assert_eq!(Body::new(&[2, 1, 2]).count(100, 1), Ok(2));
        assert!(Body::new(&[2, 1, 2]).count(1, 1).is_err());
    }
}
