//! Blobs on their way to a server, many in one compressed stream: alike files cost little.
//!
//! ```text
//! PACK body:  n (digest (32)  length)*n  block of all contents, one after the other
//! ```

use super::block::{Codec, Codecs, Effort, put_block, take_block};
use super::digest::{DIGEST_BYTES, Digest};
use super::number::{Body, put_number};
use crate::error::WireError;
use crate::limits::Limits;

/// Plain bytes after which a pack is closed. A single larger blob has a pack of its own.
pub const PACK_BYTES: usize = 4 << 20;

/// The body of a `PACK`.
#[must_use]
pub fn encode_pack(blobs: &[(Digest, &[u8])], codec: Codec) -> Vec<u8> {
    let total = blobs.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut out = Vec::with_capacity(total / 3 + 48 * blobs.len());
    let mut plain = Vec::with_capacity(total);
    put_number(&mut out, blobs.len() as u64);
    for (digest, bytes) in blobs {
        out.extend_from_slice(&digest.0);
        put_number(&mut out, bytes.len() as u64);
        plain.extend_from_slice(bytes);
    }
    put_block(&mut out, &plain, codec, Effort::Thorough);
    out
}

/// A pack as it arrived, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    names: Vec<(Digest, usize)>,
    plain: Vec<u8>,
}

impl Pack {
    /// Reads the body of `PACK`. The digests are as the peer claims: whoever keeps a blob compares.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, WireError> {
        let mut body = Body::new(bytes);
        let count = body.count(limits.files, DIGEST_BYTES + 1)?;
        let mut total = 0;
        let mut names = Vec::with_capacity(count);
        for _ in 0..count {
            let digest = Digest(body.array()?);
            let length = body.number((limits.pack_bytes - total) as u64)? as usize;
            total += length;
            names.push((digest, length));
        }
        let plain = take_block(&mut body, Codecs::ALL, total)?;
        body.end()?;
        match plain.len() == total {
            true => Ok(Self { names, plain }),
            false => Err(WireError::BadBlock),
        }
    }

    /// The blobs, each with the digest that it is said to have.
    pub fn blobs(&self) -> impl Iterator<Item = (Digest, &[u8])> {
        let mut rest = self.plain.as_slice();
        self.names.iter().map(move |(digest, length)| {
            let (bytes, more) = rest.split_at(*length);
            rest = more;
            (*digest, bytes)
        })
    }
}
