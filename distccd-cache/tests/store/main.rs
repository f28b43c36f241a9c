//! The header store on a real file system: what is put is got, whatever else happens.

mod clocks;
mod crash;
mod crowd;
mod damage;
mod eviction;
mod flips;
mod full;
mod opening;
mod steps;
mod support;
mod tracer;
mod use_of;
