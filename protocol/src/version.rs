//! The three versions of the distcc protocol.

use crate::error::WireError;

/// A protocol version. The number on the wire is the one in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Version {
    /// Preprocessed source, nothing compressed.
    Plain1 = 1,
    /// Preprocessed source, bodies compressed by LZO.
    Lzo2 = 2,
    /// Pump mode: sources and headers, compressed by LZO; the server preprocesses.
    Pump3 = 3,
}

impl Version {
    /// The version's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The version of this number.
    ///
    /// # Errors
    /// [`WireError::UnknownVersion`] for any number but 1, 2 and 3.
    pub const fn from_number(number: u32) -> Result<Self, WireError> {
        match number {
            1 => Ok(Self::Plain1),
            2 => Ok(Self::Lzo2),
            3 => Ok(Self::Pump3),
            other => Err(WireError::UnknownVersion(other)),
        }
    }

    /// Whether bodies are LZO blocks.
    #[must_use]
    pub const fn compresses(self) -> bool {
        !matches!(self, Self::Plain1)
    }

    /// Whether the server preprocesses.
    #[must_use]
    pub const fn server_preprocesses(self) -> bool {
        matches!(self, Self::Pump3)
    }

    /// A body as this version has it on the wire.
    #[must_use]
    pub fn pack(self, plain: &[u8]) -> Vec<u8> {
        if self.compresses() {
            crate::lzo::compress(plain)
        } else {
            plain.to_vec()
        }
    }

    /// The plain bytes of a body of this version, at most `cap`.
    ///
    /// # Errors
    /// [`WireError::BadCompression`] when the body is not a valid block of at most `cap` plain bytes.
    pub fn unpack(self, wire: Vec<u8>, cap: usize) -> Result<Vec<u8>, WireError> {
        if self.compresses() {
            Ok(crate::lzo::decompress(&wire, cap)?)
        } else {
            Ok(wire)
        }
    }
}
