//! The search: looks names up and tries the hosts at the same time, until the names or the time are over. Owns the threads
//! that do it; one that still waits for the resolver when the time is over ends with the program.

use super::options::{Names, Plan};
use super::trial::{Host, try_host};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// Something that a thread works out and that is asked for once.
struct Pending<T>(Receiver<T>);

impl<T: Send + 'static> Pending<T> {
    fn start(work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        let worker = std::thread::Builder::new().spawn(move || {
            // Nobody may be waiting any more.
            let _ = sender.send(work());
        });
        // Without a thread the sender is gone, too, and the answer is "nothing".
        drop(worker);
        Self(receiver)
    }

    /// The result, unless the time is over first.
    fn wait(&self, until: Instant) -> Option<T> {
        // Also nothing when the thread could not be started.
        let left = until.saturating_duration_since(Instant::now());
        self.0.recv_timeout(left).ok()
    }
}

/// All hosts that have an address, in the order of their names, with what trying them gave.
#[must_use]
pub fn search(plan: &Plan) -> Vec<Host> {
    let until = Instant::now() + plan.search_time;
    let domain = if plan.domain { domain() } else { None };
    if plan.domain && domain.is_none() {
        eprintln!("lsdistcc: this machine has no DNS domain that could be found");
        return Vec::new();
    }
    let suffix = domain
        .map(|domain| format!(".{domain}"))
        .unwrap_or_default();
    // A list is looked up at once, numbered names only so far ahead.
    let (ahead, gap) = match &plan.names {
        Names::Listed(names) => (names.len(), names.len()),
        Names::Numbered { .. } => (plan.overlap + 1, plan.gap),
    };
    let mut lookups = std::collections::VecDeque::new();
    let mut trials: Vec<Pending<Host>> = Vec::new();
    let mut next = 0;
    let mut missing = 0;
    let mut first: Option<IpAddr> = None;
    while missing <= gap && Instant::now() < until {
        while lookups.len() < ahead
            && let Some(name) = plan.names.get(next)
        {
            next += 1;
            lookups.push_back(start_lookup(name + &suffix, plan));
        }
        let Some((name, lookup)) = lookups.pop_front() else {
            break;
        };
        let address = lookup.wait(until).flatten();
        let fits = |address: &SocketAddr| {
            let first = *first.get_or_insert(address.ip());
            has_same_bits(first, address.ip(), plan.same_bits)
        };
        let Some(address) = address.filter(fits) else {
            if plan.verbose {
                eprintln!("lsdistcc: {name} has no address");
            }
            missing += 1;
            continue;
        };
        missing = 0;
        let plan = plan.clone();
        trials.push(Pending::start(move || try_host(name, address, &plan)));
    }
    trials
        .iter()
        .filter_map(|trial| trial.wait(until))
        .collect()
}

type Lookup = (String, Pending<Option<SocketAddr>>);

fn start_lookup(name: String, plan: &Plan) -> Lookup {
    if plan.verbose {
        eprintln!("lsdistcc: looking up {name}");
    }
    let (host, port) = split_port(&name, plan.port);
    let lookup = Pending::start(move || {
        let addresses = (host.as_str(), port).to_socket_addrs().ok()?;
        // As stock, which knows no other: IPv4 first.
        let mut addresses: Vec<SocketAddr> = addresses.collect();
        addresses.sort_by_key(|address| address.is_ipv6());
        addresses.first().copied()
    });
    (name, lookup)
}

/// `HOST:PORT` and `[ADDRESS]:PORT`; an IPv6 address without brackets has no port.
fn split_port(name: &str, default: u16) -> (String, u16) {
    let bare = |host: &str| {
        host.trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned()
    };
    match name.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (bare(host), port),
            Err(_) => (bare(name), default),
        },
        _ => (bare(name), default),
    }
}

fn has_same_bits(a: IpAddr, b: IpAddr, bits: u32) -> bool {
    let (a, b, width) = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return bits == 0,
    };
    let ignored = width - bits.min(width);
    a.checked_shr(ignored) == b.checked_shr(ignored)
}

/// This machine's DNS domain: what follows the first dot of its name, else what its resolver appends.
fn domain() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    if let Some((_, domain)) = name.trim().split_once('.') {
        return Some(domain.to_owned());
    }
    let settings = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let mut lines = settings.lines().map(str::split_whitespace);
    lines.find_map(|mut words| match words.next() {
        Some("domain" | "search") => words.next().map(str::to_owned),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_names() {
        assert_eq!(split_port("a", 1), ("a".into(), 1));
        assert_eq!(split_port("a:2", 1), ("a".into(), 2));
        assert_eq!(split_port("::1", 1), ("::1".into(), 1));
        assert_eq!(split_port("[::1]", 1), ("::1".into(), 1));
        assert_eq!(split_port("[::1]:2", 1), ("::1".into(), 2));
    }

    #[test]
    fn leading_bits() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(has_same_bits(address("10.0.0.1"), address("10.0.0.9"), 24));
        assert!(!has_same_bits(address("10.0.0.1"), address("10.0.1.1"), 24));
        assert!(has_same_bits(address("10.0.0.1"), address("99.0.1.1"), 0));
        assert!(!has_same_bits(address("10.0.0.1"), address("::1"), 8));
    }
}
