//! What a server lacks for a job.
//!
//! ```text
//! NEED body:  codecs (1)  flags (1: bit 0 the setting, bit 1 the table)  [table: from]  n (digest (32))*n
//! ```
//! A client's include server reads this body as it came, and gives only what belongs to the job that was offered.

use super::block::Codecs;
use super::digest::{DIGEST_BYTES, Digest};
use super::number::{Body, put_number};
use crate::error::WireError;
use crate::limits::Limits;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The codecs that the server reads.
    pub codecs: Codecs,
    /// The setting.
    pub setting: bool,
    /// The table, from this index on.
    pub table: Option<u32>,
    /// These blobs.
    pub blobs: Vec<Digest>,
}

const SETTING: u8 = 1;
const TABLE: u8 = 2;

impl Need {
    /// The body of `NEED`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + DIGEST_BYTES * self.blobs.len());
        let flag = |set, bit| if set { bit } else { 0 };
        out.push(self.codecs.0);
        out.push(flag(self.setting, SETTING) | flag(self.table.is_some(), TABLE));
        if let Some(from) = self.table {
            put_number(&mut out, from.into());
        }
        put_number(&mut out, self.blobs.len() as u64);
        self.blobs
            .iter()
            .for_each(|digest| out.extend_from_slice(&digest.0));
        out
    }

    /// Reads the body of `NEED`.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, WireError> {
        let mut body = Body::new(bytes);
        let codecs = Codecs(body.byte()?);
        let flags = body.byte()?;
        if flags > (SETTING | TABLE) {
            return Err(WireError::BadEntry);
        }
        let table = match flags & TABLE {
            0 => None,
            _ => Some(body.number(u32::MAX.into())? as u32),
        };
        let count = body.count(limits.files, DIGEST_BYTES)?;
        let blobs = (0..count)
            .map(|_| body.array().map(Digest))
            .collect::<Result<_, _>>()?;
        body.end()?;
        Ok(Self {
            codecs,
            setting: flags & SETTING != 0,
            table,
            blobs,
        })
    }

    /// Whether nothing is lacking.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.setting && self.table.is_none() && self.blobs.is_empty()
    }
}
