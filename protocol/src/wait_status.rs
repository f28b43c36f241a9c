//! How a process ended, as `wait(2)` packs it; distcc sends the raw number.

use std::fmt;

/// A raw `wait(2)` status: exit code in bits 8-15, or the signal in bits 0-6.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct WaitStatus(pub u32);

impl WaitStatus {
    /// The status of a process that ended with exit code 0.
    pub const SUCCESS: Self = Self(0);

    /// The status of a process that ended with this exit code.
    #[must_use]
    pub const fn exited(code: u8) -> Self {
        Self((code as u32) << 8)
    }

    /// Whether the process ended with exit code 0.
    #[must_use]
    pub const fn success(self) -> bool {
        self.0 == 0
    }

    /// The signal that ended it, if one did.
    #[must_use]
    pub const fn signal(self) -> Option<u8> {
        match (self.0 & 0x7f) as u8 {
            0 => None,
            signal => Some(signal),
        }
    }

    /// Whether a core was dumped.
    #[must_use]
    pub const fn core_dumped(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// The exit code; 0 when a signal ended it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        if self.signal().is_some() {
            0
        } else {
            (self.0 >> 8) as u8
        }
    }

    /// The exit code that distcc itself ends with for this status: the compiler's, or 128 + signal.
    #[must_use]
    pub const fn shell_code(self) -> u8 {
        match self.signal() {
            Some(signal) => 128u8.wrapping_add(signal),
            None => self.exit_code(),
        }
    }
}

impl fmt::Debug for WaitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for WaitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal() {
            Some(signal) => write!(f, "signal {signal}"),
            None => write!(f, "exit code {}", self.exit_code()),
        }
    }
}
