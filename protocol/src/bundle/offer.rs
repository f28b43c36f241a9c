//! A job as a client offers it.
//!
//! ```text
//! OFFR body:  codecs (1)  setting's digest (32)  n (position  word)*n  manifest
//! ```
//! The job's command line is the setting's words with the job's own put in, each at its position in the whole. `codecs` has a bit for each codec that the
//! client reads: bit 0 none, bit 1 LZO, bit 2 zstd.

use super::block::Codecs;
use super::digest::Digest;
use super::manifest::Manifest;
use super::number::{Body, put_bytes, put_number};
use crate::error::WireError;
use crate::limits::Limits;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Which codecs the client reads.
    pub codecs: Codecs,
    /// The setting's name.
    pub setting: Digest,
    /// The job's own words with their positions, ascending.
    pub words: Vec<(u32, Vec<u8>)>,
    /// Its files.
    pub manifest: Manifest,
}

/// Words of the job's own with their positions in the whole command line.
pub type OwnWords<'a> = Vec<(u32, &'a [u8])>;

/// A command line in two parts: what goes into the setting, and the job's own words with their positions. `is_own` says of a word (never of the first,
/// the compiler's name) whether it is the job's own.
#[must_use]
pub fn split_words(
    words: &[Vec<u8>],
    mut is_own: impl FnMut(&[u8]) -> bool,
) -> (Vec<&[u8]>, OwnWords<'_>) {
    let mut common = Vec::with_capacity(words.len());
    let mut own = Vec::new();
    for (position, word) in (0..).zip(words) {
        match position > 0 && is_own(word) {
            true => own.push((position, word.as_slice())),
            false => common.push(word.as_slice()),
        }
    }
    (common, own)
}

/// The body of `OFFR`; `manifest` is as [`Manifest::put`] wrote it.
#[must_use]
pub fn encode_offer(
    codecs: Codecs,
    setting: &Digest,
    words: &[(u32, &[u8])],
    manifest: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(manifest.len() + 256);
    out.push(codecs.0);
    out.extend_from_slice(&setting.0);
    put_number(&mut out, words.len() as u64);
    for (position, word) in words {
        put_number(&mut out, (*position).into());
        put_bytes(&mut out, word);
    }
    out.extend_from_slice(manifest);
    out
}

impl Offer {
    /// Reads the body of `OFFR`.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, WireError> {
        let mut body = Body::new(bytes);
        let codecs = Codecs(body.byte()?);
        let setting = Digest(body.array()?);
        let count = body.count(limits.arguments, 2)?;
        let words = (0..count)
            .map(|_| {
                let position = body.number(limits.arguments.into())? as u32;
                Ok((position, body.bytes(limits.argument_bytes)?.to_vec()))
            })
            .collect::<Result<_, WireError>>()?;
        let manifest = Manifest::take(&mut body, limits)?;
        body.end()?;
        Ok(Self {
            codecs,
            setting,
            words,
            manifest,
        })
    }

    /// The whole command line, with the words of the setting.
    ///
    /// # Errors
    /// [`WireError::BadEntry`] when the positions do not fit, [`WireError::NoArguments`] when there is no word.
    pub fn command_line(&self, common: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, WireError> {
        let total = common.len() + self.words.len();
        let mut line: Vec<Vec<u8>> = Vec::with_capacity(total);
        let mut common = common.iter();
        let mut own = self.words.iter().peekable();
        while line.len() < total {
            let next = match own.next_if(|(position, _)| *position as usize == line.len()) {
                Some((_, word)) => word,
                None => common.next().ok_or(WireError::BadEntry)?,
            };
            line.push(next.clone());
        }
        match line.is_empty() {
            true => Err(WireError::NoArguments),
            false => Ok(line),
        }
    }
}
