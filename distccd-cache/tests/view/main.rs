//! Jobs through real compilers: what comes back is what a compile at the client would have written.

mod bundle_support;
mod support;

mod bundle_groves;
mod bundle_identity;
mod bundle_system;
mod ending;
mod hostile;
mod identity;
mod rewriting;
mod system;
