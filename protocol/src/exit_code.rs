//! The exit codes that distcc's programs use for their own failures.
//!
//! Source: stock's `exitcode.h` as listed in facts/distcc-baseline.md §1.9. Scripts test these numbers.

/// A failure of distcc itself, as the number its programs exit with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// General failure.
    DistccFailed = 100,
    /// Bad command-line arguments or environment.
    BadArguments = 101,
    /// The daemon could not bind its port.
    BindFailed = 102,
    /// Connecting to a server failed.
    ConnectFailed = 103,
    /// The compiler crashed.
    CompilerCrashed = 104,
    /// Out of memory.
    OutOfMemory = 105,
    /// A host specification could not be read.
    BadHostSpec = 106,
    /// Reading or writing failed.
    IoError = 107,
    /// A message ended too early.
    Truncated = 108,
    /// The peer broke the protocol.
    ProtocolError = 109,
    /// The compiler was not found, or the daemon has no list of compilers.
    CompilerMissing = 110,
    /// distcc called itself.
    Recursion = 111,
    /// The daemon could not give up its privileges.
    SetuidFailed = 112,
    /// Access denied.
    AccessDenied = 113,
    /// In use by another process.
    Busy = 114,
    /// No such file.
    NoSuchFile = 115,
    /// No hosts are defined, or none can be used.
    NoHosts = 116,
    /// No longer relevant.
    Gone = 117,
    /// Timed out.
    Timeout = 118,
    /// GSS-API failure.
    GssApiFailed = 119,
    /// A local preprocessing slot is to be used; never the exit code of a program.
    LocalCpp = 120,
}

impl ExitCode {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}
