//! Who is at the other end of a connection: a name for the log, and what connections of one machine have in common. Owns both.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A client, for as long as it is connected.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// As stock logs it.
    name: String,
    /// The machine; `None` for whoever speaks to a pipe of ours.
    machine: Option<IpAddr>,
}

impl Peer {
    /// A client of the network; an IPv4 client of an IPv6 socket is taken for what it is.
    pub(crate) fn network(address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        Self {
            name: SocketAddr::new(ip, address.port()).to_string(),
            machine: Some(ip),
        }
    }

    /// A client on standard input and output.
    pub(crate) fn pipe() -> Self {
        Self {
            name: "(pipe)".to_owned(),
            machine: None,
        }
    }

    /// What all connections of one machine have in common.
    pub(crate) fn machine(&self) -> Option<IpAddr> {
        self.machine
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_by_two_kinds_of_address() {
        let peer = |address: &str| Peer::network(address.parse().unwrap());
        let (old, new) = (peer("192.0.2.7:9"), peer("[::ffff:192.0.2.7]:10"));
        assert_eq!(old.to_string(), "192.0.2.7:9");
        assert_eq!(new.to_string(), "192.0.2.7:10");
        assert_eq!(old.machine(), new.machine());
        assert_ne!(old.machine(), peer("192.0.2.8:9").machine());
        assert_eq!(Peer::pipe().machine(), None);
    }
}
