//! `pump top`: what the clients, servers and sessions of this user do now, on a terminal. Owns no state.
//!
//! It only reads: state files of clients, journals of sessions, statistics pages of servers. Whatever it reads may vanish or be
//! half written at any moment; it then shows what is left. Modules in reading order.

pub mod options;
pub mod screen;
pub mod watch;

mod draw;
mod paint;
mod places;
mod scene;
pub(crate) mod servers;
mod tables;
mod tally;
