//! Bytes that matter in text, found many at a time.
//!
//! The baseline of x86-64 compares 16 bytes in one instruction; elsewhere a table is asked for each byte. The results are the
//! same bits.

/// Bytes looked at together.
pub(super) const BLOCK: usize = 64;

/// One bit for each byte of a block, the first byte lowest. Bytes behind the end of the file have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// Bytes that may begin something else than text, or that need a closer look: one of `"` `'` `/` `\` `#` `%` `?` and CR.
    pub(super) stops: u64,
    /// Line feeds.
    pub(super) newlines: u64,
}

/// As [`Text`], in a block comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comment {
    pub(super) stars: u64,
    pub(super) slashes: u64,
    pub(super) newlines: u64,
    pub(super) returns: u64,
}

/// The marks of text in the block that begins at `base`, which is a multiple of [`BLOCK`] within the file.
#[inline]
pub(super) fn text(bytes: &[u8], base: usize) -> Text {
    match bytes[base..].first_chunk() {
        Some(block) => lanes::text(block),
        None => lanes::text(&padded(&bytes[base..])),
    }
}

/// The marks of a block comment.
#[inline]
pub(super) fn comment(bytes: &[u8], base: usize) -> Comment {
    match bytes[base..].first_chunk() {
        Some(block) => lanes::comment(block),
        None => lanes::comment(&padded(&bytes[base..])),
    }
}

/// The first of the stops of text, or line feed, at `from` or later; the file's length if there is none.
#[inline]
pub(super) fn next_stop(bytes: &[u8], from: usize) -> usize {
    next(bytes, from, lanes::stops, is_stop)
}

/// The first byte at `from` or later that may end a literal with this quote, or needs a closer look there: the quote, `\`, `?`,
/// and line ends.
#[inline]
pub(super) fn next_in_literal(bytes: &[u8], from: usize, quote: u8) -> usize {
    next(
        bytes,
        from,
        |lane| lanes::literal(lane, quote),
        |byte| byte == quote || matches!(byte, b'\\' | b'?' | b'\n' | b'\r'),
    )
}

fn is_stop(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'\'' | b'/' | b'\\' | b'#' | b'%' | b'?' | b'\r' | b'\n'
    )
}

#[inline(always)]
fn next(
    bytes: &[u8],
    from: usize,
    lane: impl Fn(&[u8; LANE]) -> u32,
    byte: impl Fn(u8) -> bool,
) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes[at..].first_chunk() {
        let found = lane(chunk);
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += LANE;
    }
    let rest = bytes[at..].iter().position(|&b| byte(b));
    rest.map_or(bytes.len(), |length| at + length)
}

/// Bytes that are compared in one step.
const LANE: usize = 16;

/// The end of a file as a block. No mark is a NUL byte.
#[cold]
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

#[cfg(target_arch = "x86_64")]
mod lanes {
    use super::{BLOCK, Comment, LANE, Text};

    pub(super) fn text(block: &[u8; BLOCK]) -> Text {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { sse2::text(block) }
    }

    pub(super) fn comment(block: &[u8; BLOCK]) -> Comment {
        // SAFETY: as above.
        unsafe { sse2::comment(block) }
    }

    /// Stops of text and line feeds.
    pub(super) fn stops(lane: &[u8; LANE]) -> u32 {
        // SAFETY: as above.
        unsafe { sse2::stops(lane) }
    }

    pub(super) fn literal(lane: &[u8; LANE], quote: u8) -> u32 {
        // SAFETY: as above.
        unsafe { sse2::literal(lane, quote) }
    }

    mod sse2 {
        use std::arch::x86_64::{
            __m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        };

        use super::{BLOCK, Comment, LANE, Text};

        #[inline]
        #[target_feature(enable = "sse2")]
        fn load(lane: &[u8; LANE]) -> __m128i {
            let whole = u128::from_le_bytes(*lane);
            _mm_set_epi64x((whole >> 64) as i64, whole as i64)
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        fn is(lane: __m128i, byte: u8) -> __m128i {
            _mm_cmpeq_epi8(lane, _mm_set1_epi8(byte as i8))
        }

        /// One of two bytes that differ in one bit.
        #[inline]
        #[target_feature(enable = "sse2")]
        fn is_either(lane: __m128i, one: u8, other: u8) -> __m128i {
            let bit = _mm_set1_epi8((one ^ other) as i8);
            is(_mm_or_si128(lane, bit), one | other)
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        fn text_stops(lane: __m128i) -> __m128i {
            let first = _mm_or_si128(is_either(lane, b'"', b'#'), is_either(lane, b'%', b'\''));
            let second = _mm_or_si128(is_either(lane, b'/', b'?'), is(lane, b'\\'));
            _mm_or_si128(_mm_or_si128(first, second), is(lane, b'\r'))
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        pub(super) fn stops(lane: &[u8; LANE]) -> u32 {
            let lane = load(lane);
            _mm_movemask_epi8(_mm_or_si128(text_stops(lane), is(lane, b'\n'))) as u32
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        pub(super) fn literal(lane: &[u8; LANE], quote: u8) -> u32 {
            let lane = load(lane);
            let ends = _mm_or_si128(is(lane, b'\n'), is(lane, b'\r'));
            let escapes = _mm_or_si128(is(lane, b'\\'), is(lane, b'?'));
            let all = _mm_or_si128(_mm_or_si128(ends, escapes), is(lane, quote));
            _mm_movemask_epi8(all) as u32
        }

        /// The bits of four lanes.
        #[inline]
        #[target_feature(enable = "sse2")]
        fn bits(lanes: [__m128i; BLOCK / LANE]) -> u64 {
            let [a, b, c, d] = lanes.map(|lane| u64::from(_mm_movemask_epi8(lane) as u32));
            a | b << LANE | c << (2 * LANE) | d << (3 * LANE)
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        fn split(block: &[u8; BLOCK]) -> [__m128i; BLOCK / LANE] {
            let (lanes, _) = block.as_chunks();
            [0, 1, 2, 3].map(|at| load(&lanes[at]))
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        pub(super) fn text(block: &[u8; BLOCK]) -> Text {
            let lanes = split(block);
            Text {
                stops: bits(lanes.map(|lane| text_stops(lane))),
                newlines: bits(lanes.map(|lane| is(lane, b'\n'))),
            }
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        pub(super) fn comment(block: &[u8; BLOCK]) -> Comment {
            let lanes = split(block);
            Comment {
                stars: bits(lanes.map(|lane| is(lane, b'*'))),
                slashes: bits(lanes.map(|lane| is(lane, b'/'))),
                newlines: bits(lanes.map(|lane| is(lane, b'\n'))),
                returns: bits(lanes.map(|lane| is(lane, b'\r'))),
            }
        }
    }
}

/// The same, byte by byte.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod bytewise {
    use super::{BLOCK, Comment, LANE, Text, is_stop};

    fn mask(bytes: &[u8], is: impl Fn(u8) -> bool) -> u64 {
        let bit = |(at, &byte): (usize, &u8)| u64::from(is(byte)) << at;
        bytes
            .iter()
            .enumerate()
            .map(bit)
            .fold(0, |all, bit| all | bit)
    }

    pub(super) fn stops(lane: &[u8; LANE]) -> u32 {
        mask(lane, is_stop) as u32
    }

    pub(super) fn literal(lane: &[u8; LANE], quote: u8) -> u32 {
        mask(lane, |byte| {
            byte == quote || matches!(byte, b'\\' | b'?' | b'\n' | b'\r')
        }) as u32
    }

    pub(super) fn text(block: &[u8; BLOCK]) -> Text {
        Text {
            stops: mask(block, |byte| byte != b'\n' && is_stop(byte)),
            newlines: mask(block, |byte| byte == b'\n'),
        }
    }

    pub(super) fn comment(block: &[u8; BLOCK]) -> Comment {
        Comment {
            stars: mask(block, |byte| byte == b'*'),
            slashes: mask(block, |byte| byte == b'/'),
            newlines: mask(block, |byte| byte == b'\n'),
            returns: mask(block, |byte| byte == b'\r'),
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
use bytewise as lanes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_the_same_marks_either_way() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                // A neighbour shows that bits do not run over.
                let mut block = [b'x'; BLOCK];
                block[at] = byte;
                block[BLOCK - 1 - at] = byte.wrapping_add(1);
                assert_eq!(lanes::text(&block), bytewise::text(&block));
                assert_eq!(lanes::comment(&block), bytewise::comment(&block));
                if let Some(lane) = block.first_chunk() {
                    assert_eq!(lanes::stops(lane), bytewise::stops(lane));
                    for quote in *b"\"'" {
                        assert_eq!(lanes::literal(lane, quote), bytewise::literal(lane, quote));
                    }
                }
            }
        }
    }

    #[test]
    fn the_end_of_a_file_is_a_block_like_any() {
        for length in 0..3 * BLOCK {
            let bytes: Vec<u8> = (0..length).map(|at| b"a\"b\nc*/d"[at * 7 % 8]).collect();
            for base in (0..length).step_by(BLOCK) {
                let rest = &bytes[base..length.min(base + BLOCK)];
                let expected = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
                let expected = expected.fold(0, |all, (at, _)| all | 1u64 << at);
                assert_eq!(text(&bytes, base).newlines, expected);
                assert_eq!(comment(&bytes, base).newlines, expected);
            }
            for from in 0..=length {
                let stop = bytes[from..].iter().position(|byte| is_stop(*byte));
                let stop = stop.map_or(length, |stop| from + stop);
                assert_eq!(next_stop(&bytes, from), stop);
            }
        }
    }
}
