//! What can be wrong with bytes from a peer.

use crate::token::Tag;

/// A message that is not what the protocol allows. The peer is to blame, never the user's own input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The stream ended inside a message.
    #[error("the peer stopped in the middle of a message (expected {expected})")]
    Truncated {
        /// What was to come next.
        expected: &'static str,
    },
    /// Another token came than the one the protocol has here.
    #[error("protocol derailment: expected {expected}, got {got}")]
    UnexpectedToken {
        /// The tokens that would have been right, for a person.
        expected: &'static str,
        /// What came, with unprintable bytes escaped.
        got: String,
    },
    /// Twelve bytes that are no token at all.
    #[error("protocol derailment: {0:?} is not a token")]
    MalformedToken(String),
    /// A protocol version that does not exist, or not the one that was asked for.
    #[error("the peer speaks protocol version {0}, which is not known here")]
    UnknownVersion(u32),
    /// A length or count above its limit.
    #[error("the peer announced {value} for {tag}, above the limit of {limit}")]
    TooLarge {
        /// The token that carried the number.
        tag: Tag,
        /// The number.
        value: u64,
        /// The limit it broke; see [`crate::limits::Limits`].
        limit: u64,
    },
    /// Bytes after the end of a message that has a defined end.
    #[error("{0} bytes follow the end of the message")]
    TrailingBytes(usize),
    /// A path that no file of a client may have.
    #[error(transparent)]
    BadPath(#[from] crate::tree_path::TreePathError),
    /// A body that is not a valid compressed block.
    #[error(transparent)]
    BadCompression(#[from] crate::lzo::LzoError),
    /// A body that ends before what it announces.
    #[error("a message is shorter than it says")]
    ShortBody,
    /// A number that is not written in its shortest form, or does not fit.
    #[error("a number in a message is malformed")]
    BadNumber,
    /// A number in a body above its limit.
    #[error("the peer announced {value}, above the limit of {limit}")]
    NumberTooLarge {
        /// The number.
        value: u64,
        /// The limit it broke.
        limit: u64,
    },
    /// Compressed in a way that this side does not read.
    #[error("the peer compressed in an unknown way ({0})")]
    UnknownCodec(u8),
    /// A compressed block that is corrupt or does not hold as many bytes as it says.
    #[error("a compressed body is corrupt")]
    BadBlock,
    /// Parts of a message that contradict each other.
    #[error("a message contradicts itself")]
    BadEntry,
    /// A request without a single command-line word.
    #[error("the request names no compiler")]
    NoArguments,
}
