//! A file reduced to its directives.

use crate::configuration::LexingMode;

/// The directives of one file under one lexing mode.
pub struct Program {
    /// Number of bytes it was built from.
    pub length: usize,
}

impl Program {
    /// Lexes `bytes` and keeps the directives.
    pub fn build(bytes: &[u8], _mode: LexingMode) -> Program {
        Program {
            length: bytes.len(),
        }
    }
}
