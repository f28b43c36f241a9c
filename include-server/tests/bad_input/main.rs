//! Input that is wrong, hostile or endless: each time there is an answer or a reason, in bounded time and memory, and the
//! service answers a good query afterwards.
//!
//! Nothing here measures time. A client waits two minutes for its answer; who needs longer hangs.

mod clients;
mod compilers;
mod files;
mod session;
mod temporary;
