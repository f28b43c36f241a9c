//! Results: what compiles gave, kept for everybody who asks for the same again. In reading order:

// All results of this daemon, and what becomes of a job that may be among them.
mod shelf;

// One job: may its result be kept, under which name?
mod bundle;
mod plan;
mod request;

// What is kept in memory, within bounds.
mod memory;

// What files a request that came before consists of.
mod sent;

// Why there is no result yet.
mod explain;

// What a name is made of.
pub(crate) mod key;
mod place;
mod suitable;

// What contents mention that makes a result depend on more than its inputs, and what they look for.
mod contents;
mod hide;
mod mentions;
mod probes;
mod reading;

// Entry points for fuzzers.
pub(crate) mod fuzz;

// What this server's own headers are, for jobs that are compiled with them.
mod own_headers;

pub(crate) use bundle::{Offered, used};
pub(crate) use hide::Hidden;
pub(crate) use plan::{Named, Plan};
pub(crate) use request::{Files, Requested};
pub(crate) use sent::digests_of;
pub(crate) use shelf::{Begun, Entrance, Flight, Kept, Results, Tally};
