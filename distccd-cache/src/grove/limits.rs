//! How much the groves of a daemon may take. Owns no state.

/// How much the groves may take. A grove in which a job runs stays, so for a while it may be more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroveLimits {
    /// How many there may be.
    pub number: usize,
    /// Files, links and directories of all of them.
    pub entries: usize,
    /// Bytes of all their files.
    pub bytes: u64,
}

impl GroveLimits {
    /// The limits in force unless configured otherwise.
    pub const DEFAULT: Self = Self {
        number: 16,
        entries: 400_000,
        bytes: 2 << 30,
    };
}

impl Default for GroveLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
