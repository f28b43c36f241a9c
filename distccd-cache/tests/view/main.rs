//! Jobs through real compilers: what comes back is what a compile at the client would have written.

mod support;

mod ending;
mod hostile;
mod identity;
mod rewriting;
mod system;
