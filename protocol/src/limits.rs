//! What a peer may make us allocate.
//!
//! Every length that arrives is compared with a field of [`Limits`] before a byte is reserved for it. The defaults are
//! far above what real builds send (a Linux kernel TU ships about 1,000 files and 4 MB) and far below what hurts.

/// Caps on one message. A reader takes them by value, so that tests can set small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Words on a command line. Linux itself stops at about 2 MiB of arguments.
    pub arguments: u32,
    /// Bytes of one command-line word; Linux's `MAX_ARG_STRLEN` is 128 KiB.
    pub argument_bytes: u32,
    /// Bytes of one path, as Linux's `PATH_MAX`.
    pub path_bytes: u32,
    /// Files, links and forced directories in one protocol 3 request.
    pub files: u32,
    /// Bytes of one body as it crosses the wire (a source, an object, a diagnostic text).
    pub body_bytes: u32,
    /// Bytes of all bodies of one message as they cross the wire.
    pub message_bytes: u64,
    /// Bytes that one body may have after decompression.
    pub plain_bytes: usize,
    /// Bytes of an offer, a manifest or a list of needs (bundle dialect).
    pub offer_bytes: u32,
    /// Bytes of a setting, plain and compressed (bundle dialect).
    pub setting_bytes: usize,
    /// Bytes of a table's extension, plain and compressed (bundle dialect).
    pub table_bytes: usize,
    /// Entries of a table (bundle dialect).
    pub table_entries: u32,
    /// Plain bytes of all blobs in one pack (bundle dialect).
    pub pack_bytes: usize,
}

impl Limits {
    /// The limits in force outside tests.
    pub const DEFAULT: Self = Self {
        arguments: 65_536,
        argument_bytes: 128 * 1024,
        path_bytes: 4096,
        files: 100_000,
        body_bytes: 512 << 20,
        message_bytes: 1 << 30,
        plain_bytes: 1 << 30,
        offer_bytes: 16 << 20,
        setting_bytes: 16 << 20,
        table_bytes: 64 << 20,
        table_entries: 1 << 18,
        pack_bytes: 256 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
