//! What a job has in common with most others of its build: where it runs, with which compiler, and most of its command line. Named by its digest, so that it
//! crosses once.
//!
//! ```text
//! setting:  cwd  n (compiler name)*n  identity  n (directory)*n  n (NAME=value)*n  n (word)*n       all byte strings
//! SETT body: block of a setting
//! ```

use super::block::{Codec, Codecs, Effort, put_block, take_block};
use super::number::{Body, put_bytes, put_number};
use crate::error::WireError;
use crate::limits::Limits;

/// See the module's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// The working directory.
    pub cwd: Vec<u8>,
    /// What the include server knows of compiler and directories.
    pub platform: Platform,
    /// The words of the command line that are not the job's own, the compiler's name first.
    pub words: Vec<Vec<u8>>,
}

/// The compiler, and the directories that are its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    /// Names under which a server may have the compiler, the likeliest first: as it was called, and as its links end.
    pub names: Vec<Vec<u8>>,
    /// The compiler's identity, as the `toolchain` crate encodes it; empty when it is not known.
    pub identity: Vec<u8>,
    /// Real paths of all directories in which the compiler looks by itself, also of those that do not exist: a server shows the client's files there, and
    /// nothing of its own.
    pub system_directories: Vec<Vec<u8>>,
    /// `NAME=value` of variables that change what the compiler writes.
    pub environment: Vec<Vec<u8>>,
}

fn put_list(out: &mut Vec<u8>, list: &[Vec<u8>]) {
    put_number(out, list.len() as u64);
    list.iter().for_each(|item| put_bytes(out, item));
}

fn take_list(body: &mut Body<'_>, limits: &Limits) -> Result<Vec<Vec<u8>>, WireError> {
    let count = body.count(limits.arguments, 1)?;
    (0..count)
        .map(|_| body.bytes(limits.argument_bytes).map(<[u8]>::to_vec))
        .collect()
}

impl Platform {
    /// Appends it.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_list(out, &self.names);
        put_bytes(out, &self.identity);
        put_list(out, &self.system_directories);
        put_list(out, &self.environment);
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn take(body: &mut Body<'_>, limits: &Limits) -> Result<Self, WireError> {
        Ok(Self {
            names: take_list(body, limits)?,
            identity: body.bytes(limits.argument_bytes)?.to_vec(),
            system_directories: take_list(body, limits)?,
            environment: take_list(body, limits)?,
        })
    }
}

impl Setting {
    /// The setting's plain bytes, whose digest is its name. `platform` is as [`Platform::put`] wrote it.
    #[must_use]
    pub fn encode(cwd: &[u8], platform: &[u8], words: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        put_bytes(&mut out, cwd);
        out.extend_from_slice(platform);
        put_number(&mut out, words.len() as u64);
        words.iter().for_each(|word| put_bytes(&mut out, word));
        out
    }

    /// Reads what [`Setting::encode`] wrote.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(plain: &[u8], limits: &Limits) -> Result<Self, WireError> {
        let mut body = Body::new(plain);
        let setting = Self {
            cwd: body.bytes(limits.path_bytes)?.to_vec(),
            platform: Platform::take(&mut body, limits)?,
            words: take_list(&mut body, limits)?,
        };
        body.end()?;
        Ok(setting)
    }
}

/// The body of `SETT`.
#[must_use]
pub fn encode_setting(plain: &[u8], codec: Codec) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() / 2 + 16);
    put_block(&mut out, plain, codec, Effort::Thorough);
    out
}

/// The plain bytes in the body of `SETT`.
///
/// # Errors
/// [`WireError`].
pub fn decode_setting(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, WireError> {
    let mut body = Body::new(bytes);
    let plain = take_block(&mut body, Codecs::ALL, limits.setting_bytes)?;
    body.end()?;
    Ok(plain)
}
