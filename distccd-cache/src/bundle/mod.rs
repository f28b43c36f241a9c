//! Jobs in the bundle dialect, from a client's offer to our reply. In reading order:

// One conversation.
mod conversation;
mod exchange;
mod supply;

// The job that it is about.
mod work;

pub(crate) mod compilers;

mod frames;

pub(crate) use conversation::converse;
