//! Manifests: what a server of the bundle dialect is offered and given, while files change, clients vanish and servers lie.

#[path = "../torture/harness/server.rs"]
#[allow(dead_code, reason = "the torture uses the rest")]
mod server;

mod changes;
mod contents;
mod support;
mod wire;
