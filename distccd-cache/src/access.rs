//! Which clients are served, by address. Owns the list of networks, which never changes after start.

use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};

use ipnet::IpNet;

/// The networks that `--allow-private` means: RFC 1918, loopback, IPv6 link-local and unique local addresses.
const PRIVATE: [&str; 7] = [
    "192.168.0.0/16",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "127.0.0.0/8",
    "fe80::/10",
    "fc00::/7",
    "::1/128",
];

/// An `--allow` value that names no network.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The part behind the slash is no number or too large for the address.
    #[error("--allow {spec}: the number of bits must be 0 to {largest}")]
    Bits {
        /// The whole value.
        spec: String,
        /// The largest number that would be right.
        largest: u8,
    },
    /// The part before the slash is no address, and no host of that name is known.
    #[error("--allow {spec}: neither an address nor a known host name")]
    Host {
        /// The whole value.
        spec: String,
        /// What the resolver said, if it was asked.
        source: Option<std::io::Error>,
    },
}

/// The clients that are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    networks: Vec<IpNet>,
    by_default: bool,
}

impl Access {
    /// Makes the list from `--allow` values and `--allow-private`; with neither, private networks are served. Host names
    /// are looked up now and never again.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn new(specs: &[String], private: bool) -> Result<Self, AccessError> {
        let by_default = specs.is_empty() && !private;
        let mut networks = Vec::new();
        if private || by_default {
            networks.extend(PRIVATE.iter().filter_map(|text| text.parse::<IpNet>().ok()));
        }
        for spec in specs {
            networks.extend(parse(spec)?);
        }
        Ok(Self {
            networks,
            by_default,
        })
    }

    /// Whether a client with this address is served. An IPv4 address in IPv6 clothes counts as what it is.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Whether nobody said who is to be served.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.by_default
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.networks.iter().enumerate() {
            write!(f, "{}{network}", if index > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

/// The networks that one `--allow` value names: more than one when a host name has several addresses.
fn parse(spec: &str) -> Result<Vec<IpNet>, AccessError> {
    let (host, bits) = match spec.split_once('/') {
        Some((host, bits)) => (host, Some(bits)),
        None => (spec, None),
    };
    let unknown = |source| AccessError::Host {
        spec: spec.to_owned(),
        source,
    };
    if host.is_empty() {
        return Err(unknown(None));
    }
    let addresses: Vec<IpAddr> = match host.parse() {
        Ok(address) => vec![address],
        Err(_) => {
            let found = (host, 0)
                .to_socket_addrs()
                .map_err(|error| unknown(Some(error)))?;
            found.map(|address| address.ip()).collect()
        }
    };
    let mut networks = Vec::new();
    for address in addresses {
        let largest = if address.is_ipv4() { 32 } else { 128 };
        let length = match bits {
            None => Some(largest),
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse::<u8>().ok(),
            Some(_) => None,
        };
        let network = length.and_then(|length| IpNet::new(address, length).ok());
        let network = network.ok_or_else(|| AccessError::Bits {
            spec: spec.to_owned(),
            largest,
        })?;
        if !networks.contains(&network.trunc()) {
            networks.push(network.trunc());
        }
    }
    if networks.is_empty() {
        Err(unknown(None))
    } else {
        Ok(networks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(spec: &str, client: &str) -> Option<bool> {
        let access = Access::new(&[spec.to_owned()], false).ok()?;
        Some(access.allows(client.parse().unwrap()))
    }

    #[test]
    fn masks_match_as_stocks_do() {
        for (spec, client, expected) in [
            ("127.0.0.1", "127.0.0.1", Some(true)),
            ("127.0.0.1", "127.0.0.3", Some(false)),
            ("10.9.0.0/16", "10.9.200.1", Some(true)),
            ("10.9.0.0/16", "10.8.200.1", Some(false)),
            // Bits behind the mask mean nothing.
            ("10.9.77.1/16", "10.9.200.1", Some(true)),
            ("1.2.3.4/0", "250.1.1.1", Some(true)),
            ("1.2.3.4/1", "127.0.0.1", Some(true)),
            ("1.2.3.4/1", "128.0.0.1", Some(false)),
            ("192.168.1.32/27", "192.168.1.63", Some(true)),
            ("192.168.1.32/27", "192.168.1.64", Some(false)),
            ("1.2.3.4/32", "1.2.3.4", Some(true)),
            ("1.2.3.4/33", "1.2.3.4", None),
            ("1.2.3.4/", "1.2.3.4", None),
            ("1.2.3.4/-1", "1.2.3.4", None),
            ("1.2.3.4/+8", "1.2.3.4", None),
            ("1.2.3.4/8x", "1.2.3.4", None),
            ("1.2.3.4/256", "1.2.3.4", None),
            ("1.2.3.4.5.6.7", "1.2.3.4", None),
            ("", "1.2.3.4", None),
            ("/8", "1.2.3.4", None),
            ("localhost", "127.0.0.1", Some(true)),
            ("localhost", "127.0.0.2", Some(false)),
            ("fd00::/8", "fd12::1", Some(true)),
            ("fd00::/8", "fe12::1", Some(false)),
            ("fd00::/129", "fd12::1", None),
            ("::1", "::1", Some(true)),
            // An IPv4 client of an IPv6 socket.
            ("10.0.0.0/8", "::ffff:10.1.2.3", Some(true)),
            ("10.0.0.0/8", "::ffff:11.1.2.3", Some(false)),
            // An IPv6 network says nothing of IPv4 clients.
            ("::/0", "10.1.2.3", Some(false)),
        ] {
            assert_eq!(
                allowed(spec, client),
                expected,
                "--allow {spec}, client {client}"
            );
        }
    }

    #[test]
    fn private_networks_are_served_unless_told_otherwise() {
        let default = Access::new(&[], false).unwrap();
        let private = Access::new(&[], true).unwrap();
        let both = Access::new(&["8.8.8.8".to_owned()], true).unwrap();
        assert!(default.is_default() && !private.is_default());
        for (client, expected) in [
            ("192.168.3.4", true),
            ("10.1.1.1", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("127.1.2.3", true),
            ("::1", true),
            ("fe80::1", true),
            ("fd00::1", true),
            ("2001:db8::1", false),
            ("8.8.8.8", false),
        ] {
            let address = client.parse().unwrap();
            assert_eq!(default.allows(address), expected, "{client}");
            assert_eq!(private.allows(address), expected, "{client}");
        }
        assert!(
            both.allows("8.8.8.8".parse().unwrap()) && both.allows("10.0.0.1".parse().unwrap())
        );
    }
}
