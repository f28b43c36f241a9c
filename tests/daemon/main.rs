//! The daemon alone, as its clients and its administrator see it: stock's client is the peer where it is installed, a
//! plain socket everywhere.

mod harness;

mod bundles;
mod control_groups;
mod corpus;
mod ending;
mod faults;
mod hostile;
mod load;
mod probe;
mod sandbox;
mod serving;
mod start;
mod status;
mod webdriver;
