//! The header store on a real file system: what is put is got, whatever else happens.

mod crash;
mod crowd;
mod damage;
mod eviction;
mod full;
mod opening;
mod support;
mod use_of;
