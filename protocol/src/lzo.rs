//! LZO1X blocks as distcc frames them: one block a body, the plain length not sent.
//!
//! Compression is the `lzo1x` crate's level 3, whose bytes equal those of stock's bundled compressor. Decompression
//! wants the exact plain length, and the wire carries none; stock guesses and doubles without a bound. Here the block
//! is walked once, instruction by instruction, adding up what each would write ([`plain_length`]); the sum is compared
//! with the caller's cap before anything is reserved.

/// A block that cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LzoError {
    /// The block ends inside an instruction, goes on after its end mark, or copies from before its start.
    #[error("a compressed body is corrupt")]
    Corrupt,
    /// It would decompress to more than the cap.
    #[error("a compressed body holds more than {cap} bytes, the limit")]
    TooLarge {
        /// The cap, in bytes.
        cap: usize,
    },
}

/// Compresses one body. An empty body stays empty, as on the wire.
#[must_use]
pub fn compress(plain: &[u8]) -> Vec<u8> {
    if plain.is_empty() {
        return Vec::new();
    }
    lzo1x::compress(plain, lzo1x::CompressLevel::new(3))
}

/// Decompresses one body of at most `cap` plain bytes.
///
/// # Errors
/// See [`LzoError`]; memory is reserved only after the length was found to be at most `cap`.
pub fn decompress(block: &[u8], cap: usize) -> Result<Vec<u8>, LzoError> {
    if block.is_empty() {
        return Ok(Vec::new());
    }
    let mut plain = vec![0; plain_length(block, cap)?];
    lzo1x::decompress(block, &mut plain).map_err(|_| LzoError::Corrupt)?;
    Ok(plain)
}

/// The number of bytes that `block` decompresses to, without decompressing it.
///
/// # Errors
/// [`LzoError::TooLarge`] as soon as the sum passes `cap`; [`LzoError::Corrupt`] when the block has no proper end.
/// A block that passes may still be corrupt in its distances; [`decompress`] finds that out.
pub fn plain_length(block: &[u8], cap: usize) -> Result<usize, LzoError> {
    let mut walk = Walk {
        rest: block,
        plain: 0,
        cap,
    };
    let mut state = walk.first_literals()?;
    loop {
        let op = usize::from(walk.byte()?);
        // How many bytes the match copies, and where the two bits are that say how many literals follow it.
        let (length, trailing) = match op {
            0..=15 if state == 0 => {
                let run = walk.extended(op, 15)? + 3;
                walk.literals(run)?;
                state = 4;
                continue;
            }
            0..=15 => {
                walk.byte()?;
                (if state == 4 { 3 } else { 2 }, op & 3)
            }
            16..=31 => {
                let length = walk.extended(op & 7, 7)? + 2;
                let distance = walk.two_bytes()?;
                if op & 8 == 0 && distance >> 2 == 0 {
                    return if walk.rest.is_empty() && length == 3 {
                        Ok(walk.plain)
                    } else {
                        Err(LzoError::Corrupt)
                    };
                }
                (length, distance & 3)
            }
            32..=63 => {
                let length = walk.extended(op & 31, 31)? + 2;
                (length, walk.two_bytes()? & 3)
            }
            _ => {
                walk.byte()?;
                let length = if op < 128 {
                    3 + (op >> 5 & 1)
                } else {
                    5 + (op >> 5 & 3)
                };
                (length, op & 3)
            }
        };
        walk.add(length)?;
        walk.literals(trailing)?;
        state = trailing;
    }
}

/// A position in a block and the plain bytes counted so far.
struct Walk<'a> {
    rest: &'a [u8],
    plain: usize,
    cap: usize,
}

impl Walk<'_> {
    /// The block's first byte may stand for a run of literals; returns the decoder's state after it.
    fn first_literals(&mut self) -> Result<usize, LzoError> {
        match self.rest.first() {
            Some(&first) if first > 17 => {
                self.byte()?;
                let run = usize::from(first) - 17;
                self.literals(run)?;
                Ok(run.min(4))
            }
            _ => Ok(0),
        }
    }

    fn byte(&mut self) -> Result<u8, LzoError> {
        let (&first, rest) = self.rest.split_first().ok_or(LzoError::Corrupt)?;
        self.rest = rest;
        Ok(first)
    }

    fn two_bytes(&mut self) -> Result<usize, LzoError> {
        Ok(usize::from(self.byte()?) | usize::from(self.byte()?) << 8)
    }

    /// A length whose short form is 0: then zero bytes stand for 255 each and the next byte ends it.
    fn extended(&mut self, short: usize, base: usize) -> Result<usize, LzoError> {
        if short != 0 {
            return Ok(short);
        }
        let mut length = base;
        loop {
            match self.byte()? {
                0 => length += 255,
                last => return Ok(length + usize::from(last)),
            }
            if length > self.cap {
                return Err(LzoError::TooLarge { cap: self.cap });
            }
        }
    }

    fn literals(&mut self, run: usize) -> Result<(), LzoError> {
        self.rest = self.rest.get(run..).ok_or(LzoError::Corrupt)?;
        self.add(run)
    }

    fn add(&mut self, length: usize) -> Result<(), LzoError> {
        self.plain += length;
        if self.plain > self.cap {
            Err(LzoError::TooLarge { cap: self.cap })
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes with repeats at many distances, so that every kind of instruction occurs.
    fn repetitive() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((any::<u8>(), 1usize..700, 0usize..60_000), 0..60).prop_map(|steps| {
            let mut out: Vec<u8> = Vec::new();
            for (byte, count, distance) in steps {
                if out.len() > distance && distance > 0 {
                    for _ in 0..count {
                        out.push(out[out.len() - distance]);
                    }
                } else {
                    out.extend(
                        (0..count).map(|i| byte.wrapping_mul(i as u8).wrapping_add((i >> 3) as u8)),
                    );
                }
            }
            out
        })
    }

    proptest! {
        #[test]
        fn round_trip_and_length(plain in repetitive()) {
            let block = compress(&plain);
            prop_assert_eq!(decompress(&block, plain.len()).unwrap(), plain.clone());
            if !plain.is_empty() {
                let cap = plain.len() - 1;
                prop_assert_eq!(decompress(&block, cap), Err(LzoError::TooLarge { cap }));
            }
        }

        #[test]
        fn any_bytes_are_survived(block in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = decompress(&block, 1 << 16);
        }

        #[test]
        fn every_truncation_is_corrupt(plain in prop::collection::vec(0u8..4, 1..300)) {
            let block = compress(&plain);
            for end in 1..block.len() {
                prop_assert_eq!(decompress(&block[..end], 1 << 20), Err(LzoError::Corrupt));
            }
        }
    }

    #[test]
    fn far_matches_and_long_runs() {
        let mut plain: Vec<u8> = (0..40_000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        plain.extend_from_within(100..9_000);
        plain.extend_from_within(39_000..40_000);
        plain.extend(std::iter::repeat_n(7, 100_000));
        let block = compress(&plain);
        assert_eq!(plain_length(&block, 1 << 30), Ok(plain.len()));
        assert_eq!(decompress(&block, 1 << 30).unwrap(), plain);
    }

    #[test]
    fn a_small_bomb_is_refused_before_memory_is_reserved() {
        // A literal and a match whose length is 10 MB of zero bytes: 2.5 GB plain.
        let mut block = vec![18, b'x', 32];
        block.extend(std::iter::repeat_n(0, 10_000_000));
        block.extend([1, 0, 0, 17, 0, 0]);
        assert_eq!(
            decompress(&block, 1 << 20),
            Err(LzoError::TooLarge { cap: 1 << 20 })
        );
    }

    #[test]
    fn empty_stays_empty() {
        assert_eq!(compress(b""), b"");
        assert_eq!(decompress(b"", 0), Ok(Vec::new()));
    }

    #[test]
    fn the_bytes_that_stock_sends() {
        // From a capture of stock 3.4 (facts/distcc-baseline.md §2.1): a 12-byte header in one literal run.
        let block = [
            0x1d, 0x23, 0x64, 0x65, 0x66, 0x69, 0x6e, 0x65, 0x20, 0x56, 0x20, 0x31, 0x0a, 0x11, 0,
            0,
        ];
        assert_eq!(decompress(&block, 100).unwrap(), b"#define V 1\n");
        assert_eq!(compress(b"#define V 1\n"), block);
    }
}
