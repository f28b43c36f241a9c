//! Bytes in one of several compressed forms.
//!
//! ```text
//! block:  codec (1 byte: 0 as they are, 1 LZO, 2 zstd)  plain length  byte string
//! ```
//! The plain length is compared with the reader's cap before a byte is reserved, and with what comes out.

use std::cell::Cell;

use zstd::bulk::Compressor;

use super::number::{Body, put_bytes, put_number};
use crate::error::WireError;

/// A compressed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// As they are.
    None = 0,
    /// One LZO1X block.
    Lzo = 1,
    /// One zstd frame.
    Zstd = 2,
}

/// How hard zstd tries, as its levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Objects, which cross once: the server's time counts more than the last bytes.
    Quick = 1,
    /// Sources, which are compressed once for all who want them: about the time of LZO for half its bytes.
    Thorough = 3,
}

impl Codec {
    fn from_byte(byte: u8) -> Result<Self, WireError> {
        match byte {
            0 => Ok(Self::None),
            1 => Ok(Self::Lzo),
            2 => Ok(Self::Zstd),
            other => Err(WireError::UnknownCodec(other)),
        }
    }

    /// The compressed form of `plain`.
    #[must_use]
    pub fn compress(self, plain: &[u8], effort: Effort) -> Vec<u8> {
        match self {
            Self::None => plain.to_vec(),
            Self::Lzo => crate::lzo::compress(plain),
            Self::Zstd => zstd_frame(plain, effort),
        }
    }

    /// The `length` plain bytes of a compressed form.
    ///
    /// # Errors
    /// [`WireError::BadBlock`] when they are not so many, or the form is corrupt.
    pub fn decompress(self, compressed: &[u8], length: usize) -> Result<Vec<u8>, WireError> {
        let plain = match self {
            Self::None => compressed.to_vec(),
            Self::Lzo => crate::lzo::decompress(compressed, length)?,
            // Straight into the result: a frame's own window needs no memory.
            Self::Zstd => {
                zstd::bulk::decompress(compressed, length).map_err(|_| WireError::BadBlock)?
            }
        };
        match plain.len() == length {
            true => Ok(plain),
            false => Err(WireError::BadBlock),
        }
    }
}

thread_local! {
    /// A compressor's tables are as large as many a plain text: making them anew for each costs more than the text. One for each effort.
    static COMPRESSORS: [Cell<Option<Compressor<'static>>>; 2] = const { [Cell::new(None), Cell::new(None)] };
}

fn zstd_frame(plain: &[u8], effort: Effort) -> Vec<u8> {
    COMPRESSORS.with(|kept| {
        let kept = &kept[usize::from(effort == Effort::Thorough)];
        let mut compressor = kept
            .take()
            .unwrap_or_else(|| Compressor::new(effort as i32).expect("zstd has this level"));
        let frame = compressor.compress(plain);
        kept.set(Some(compressor));
        frame.expect("compressing into memory of the right size does not fail")
    })
}

/// The codecs that a side reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codecs(pub u8);

impl Codecs {
    /// All that there are.
    pub const ALL: Self = Self(0b111);

    /// Whether `codec` is one of them.
    #[must_use]
    pub fn contains(self, codec: Codec) -> bool {
        self.0 & (1 << codec as u8) != 0
    }

    /// The one that makes the fewest bytes.
    #[must_use]
    pub fn best(self) -> Codec {
        [Codec::Zstd, Codec::Lzo]
            .into_iter()
            .find(|&codec| self.contains(codec))
            .unwrap_or(Codec::None)
    }
}

/// Bytes that are not worth a compressor's start.
const SMALL: usize = 64;

/// Appends a block; in its plain form when that is shorter.
pub fn put_block(out: &mut Vec<u8>, plain: &[u8], codec: Codec, effort: Effort) {
    let packed = (plain.len() > SMALL).then(|| codec.compress(plain, effort));
    let (codec, bytes) = match &packed {
        Some(packed) if packed.len() < plain.len() => (codec, packed.as_slice()),
        _ => (Codec::None, plain),
    };
    out.push(codec as u8);
    put_number(out, plain.len() as u64);
    put_bytes(out, bytes);
}

/// Reads a block of at most `cap` plain bytes.
///
/// # Errors
/// [`WireError`].
pub fn take_block(body: &mut Body<'_>, codecs: Codecs, cap: usize) -> Result<Vec<u8>, WireError> {
    let codec = Codec::from_byte(body.byte()?)?;
    if !codecs.contains(codec) {
        return Err(WireError::UnknownCodec(codec as u8));
    }
    let length = body.number(cap as u64)? as usize;
    let compressed = body.bytes(u32::MAX)?;
    codec.decompress(compressed, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_read_back_in_every_codec() {
        for plain in [&b""[..], b"short", &b"int x;\n".repeat(500)] {
            for codec in [Codec::None, Codec::Lzo, Codec::Zstd] {
                let mut out = Vec::new();
                put_block(&mut out, plain, codec, Effort::Thorough);
                let mut body = Body::new(&out);
                let read = take_block(&mut body, Codecs::ALL, plain.len());
                assert_eq!(read.as_deref(), Ok(plain));
                assert_eq!(body.end(), Ok(()));
                if !plain.is_empty() {
                    let capped = take_block(&mut Body::new(&out), Codecs::ALL, plain.len() - 1);
                    assert!(matches!(capped, Err(WireError::NumberTooLarge { .. })));
                }
            }
        }
    }

    #[test]
    fn a_lie_about_the_length_is_found() {
        let plain = b"int x;\n".repeat(500);
        for codec in [Codec::None, Codec::Lzo, Codec::Zstd] {
            let packed = codec.compress(&plain, Effort::Quick);
            for wrong in [0, plain.len() - 1, plain.len() + 1, 1 << 28] {
                assert!(
                    codec.decompress(&packed, wrong).is_err(),
                    "{codec:?} {wrong}"
                );
            }
        }
    }
}
