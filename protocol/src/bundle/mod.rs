//! The bundle dialect: jobs whose files are named by their content, so that each crosses the wire once.
//!
//! It is ours alone. A client opens it with a token that a stock server takes for a derailed protocol: that server hangs up without
//! an answer, the client remembers it as stock for a while and speaks protocol 3. Every message is one token (see
//! [`crate::token`]) whose number is the length of the body behind it; numbers in bodies are [`number`]s unless said otherwise.
//!
//! ```text
//! client:  BNDL version   OFFR body      the job: see offer
//! server:  NEED body                     what it lacks: see need. Any number of times, until it lacks nothing
//! client:    SETT body                     if asked for: the setting
//!            TABL body                     if asked for: entries of the table
//!            PACK body ...                 the blobs that were asked for, in any number of packs
//!            HAVE 0                        that was all
//! server:  DONE version  STAT status  SERR block  SOUT block  DOTO block  DOTD block  SIDE n  (NAME path  FILE block)*n
//!      or  REFU body                     why not, in one line: see refusal
//! ```
//! When the server lacks nothing it answers at once, so that a job costs one round trip.
//!
//! The files of a job are a *manifest*: entries of a table that both sides know, by their indices, and a few entries of the job's own.
//! The table belongs to one session of an include server ([`table`]); it only grows, and what a server lacks of it, it asks for by index. A
//! server may forget tables, settings and blobs at any time: it asks again.
//!
//! The client does not look into manifests and packs. Its include server makes them and the client passes them on, so that a
//! client's work does not grow with the number of headers (see [`crate::include_dialogue`]).

pub mod block;
pub mod digest;
pub mod entry;
pub mod indices;
pub mod manifest;
pub mod need;
pub mod number;
pub mod offer;
pub mod pack;
pub mod refusal;
pub mod reply;
pub mod setting;
pub mod table;

mod frame;

pub use frame::{Frame, FrameDecoder, put_frame};

/// The version of the dialect.
pub const BUNDLE_VERSION: u32 = 2;
