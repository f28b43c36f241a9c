//! The daemon alone, as its clients and its administrator see it: stock's client is the peer where it is installed, a
//! plain socket everywhere.

mod harness;

mod start;
mod serving;
mod hostile;
mod ending;
