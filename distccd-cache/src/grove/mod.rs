//! Groves: clients' files as directory trees that outlive a job, so that a job writes only what no earlier one has written.
//!
//! A grove belongs to one table (see [`crate::table`]) and holds some of its entries as real files, each with an inode and the client's time of
//! its own, at the client's paths below one directory. Compilers see it as the lower, read-only layer of their root.
//!
//! A table's entries do not all agree: a path may have had several contents, be gone, or have come late. What a grove may hold
//! while a job runs in it follows from the job's manifest:
//!
//! * all entries that the job uses, complete;
//! * no entry that is dead for the job;
//! * no late entry that the job's table did not have yet: its search may have passed there;
//! * any other entry: the job does not look there, or finds what the entry says.
//!
//! So jobs share a grove while they agree. A job that does not agree waits for nobody: it changes a grove in which no job runs, or gets a new one.

mod bits;
mod disk;
mod groves;
mod limits;
mod stands;
mod tenancy;

pub(crate) use groves::Groves;
pub use limits::GroveLimits;
pub(crate) use stands::fuzz;
pub(crate) use tenancy::{GroveError, Needs, Tenancy};
