//! The process that looks for servers on the local network (`+zeroconf`) and keeps what it found in a file for clients.
//! Owns that file, and the lock that says that it is kept.
//!
//! It is started by a client (see `crate::zeroconf`) and ends when no client has looked at the file for a while. Everything
//! that it hears is said by strangers: it writes addresses and numbers only, of a bounded number of servers, and its own
//! memory is bounded, since what the network says is remembered by a library for as long as the network wants.

use crate::zeroconf::Place;
use mdns_sd::{Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent};
use protocol::zeroconf::{Announcement, DefaultCompiler, SERVICE};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::process::{Resource, Rlimit};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How long nobody may look at the file before this process ends.
const IDLE: Duration = Duration::from_secs(60);

/// The most servers that are remembered.
const MOST_SERVERS: usize = 256;

/// Memory of this process beyond its program, in bytes: what the network says is kept in it.
const MEMORY: u64 = 128 << 20;

/// When the first list is written although nobody has answered.
const FIRST_LOOK: Duration = Duration::from_millis(1000);

/// How long an answer waits for others, so that the file is not written for each.
const SETTLE: Duration = Duration::from_millis(200);

/// Keeps the file in `directory` until nobody wants it any more. The result is the exit code.
#[must_use]
pub fn run(directory: &Path, path: &OsStr) -> u8 {
    // A session of its own: the terminal's signals are the build's. It fails only for a process that has one.
    let _ = rustix::process::setsid();
    let limit = Rlimit {
        current: Some(MEMORY),
        maximum: Some(MEMORY),
    };
    let place = Place::named(directory.to_owned());
    let kept = rustix::process::setrlimit(Resource::Data, limit)
        .map_err(io::Error::from)
        .and_then(|()| keep(&place, path));
    match kept {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("pump: cannot keep {}: {error}", place.hosts().display());
            1
        }
    }
}

fn keep(place: &Place, path: &OsStr) -> io::Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let lock = rustix::fs::open(place.lock(), flags, Mode::from_raw_mode(0o666))?;
    // Another one keeps it already.
    if rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    remove(&place.hosts())?;
    let outcome = match listen() {
        Ok((daemon, events)) => {
            let compiler = toolchain::default_compiler(path);
            let outcome = follow(place, &events, compiler);
            // Nothing is announced here that would have to be taken back.
            let _ = daemon.shutdown();
            outcome
        }
        // Without a network clients go on without hosts, and this process is not started again for each of them.
        Err(error) => {
            write(place, &format!("# {error}\n"))?;
            while !is_idle(place) {
                std::thread::sleep(Duration::from_secs(1));
            }
            Ok(())
        }
    };
    // Not what the next one would have to tell from its own.
    remove(&place.hosts())?;
    drop(lock);
    outcome
}

fn listen() -> Result<(ServiceDaemon, Receiver<ServiceEvent>), mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    let events = daemon.browse(SERVICE)?;
    Ok((daemon, events))
}

/// Writes down what happens until nobody looks.
fn follow(
    place: &Place,
    events: &Receiver<ServiceEvent>,
    compiler: Option<DefaultCompiler>,
) -> io::Result<()> {
    let mut servers = Servers::new(compiler);
    let mut due = Some(Instant::now() + FIRST_LOOK);
    let mut written = false;
    loop {
        let wait = due.map_or(Duration::from_secs(1), |due| {
            due.saturating_duration_since(Instant::now())
        });
        match events.recv_timeout(wait) {
            Ok(event) => {
                if servers.hear(event) {
                    let soon = Instant::now() + SETTLE;
                    due = Some(due.map_or(soon, |due| due.min(soon)));
                }
            }
            Err(_) if events.is_disconnected() => {
                return Err(io::Error::other("nothing is heard of the network any more"));
            }
            Err(_) => {}
        }
        if due.is_some_and(|due| due <= Instant::now()) {
            write(place, &servers.list())?;
            (due, written) = (None, true);
        }
        if written && is_idle(place) {
            return Ok(());
        }
    }
}

/// Whether nobody has looked at the file for a while; also when it is gone.
fn is_idle(place: &Place) -> bool {
    let Ok(used) = std::fs::metadata(place.hosts()).and_then(|meta| meta.accessed()) else {
        return true;
    };
    // A clock that was set back is no reason to end.
    let idle = SystemTime::now().duration_since(used);
    idle.is_ok_and(|idle| idle > IDLE)
}

fn write(place: &Place, text: &str) -> io::Result<()> {
    let used = std::fs::metadata(place.hosts()).and_then(|meta| meta.accessed());
    let fresh = place.hosts().with_extension("new");
    remove(&fresh)?;
    let mut file = std::fs::File::create_new(&fresh)?;
    file.write_all(text.as_bytes())?;
    if let Ok(used) = used {
        // That something was written does not mean that somebody looked.
        file.set_times(std::fs::FileTimes::new().set_accessed(used))?;
    }
    std::fs::rename(fresh, place.hosts())
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The servers that are there now.
struct Servers {
    compiler: Option<DefaultCompiler>,
    /// Lines of the list, by the service's full name.
    known: BTreeMap<String, String>,
}

impl Servers {
    const fn new(compiler: Option<DefaultCompiler>) -> Self {
        Self {
            compiler,
            known: BTreeMap::new(),
        }
    }

    /// Takes in an event; whether the list is another one now.
    fn hear(&mut self, event: ServiceEvent) -> bool {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let name = service.get_fullname().to_owned();
                match self.line(&service) {
                    Some(line) if self.known.contains_key(&name) || self.has_room() => {
                        self.known.insert(name, line.clone()) != Some(line)
                    }
                    Some(_) => false,
                    None => self.known.remove(&name).is_some(),
                }
            }
            ServiceEvent::ServiceRemoved(_, name) => self.known.remove(&name).is_some(),
            _ => false,
        }
    }

    fn has_room(&self) -> bool {
        self.known.len() < MOST_SERVERS
    }

    /// A server's line, if it is one for this machine: its `cc` is ours, and it has an address that can be reached.
    fn line(&self, service: &ResolvedService) -> Option<String> {
        let announced = Announcement::read(|key| service.get_property_val(key).flatten());
        if announced.compiler.is_none() || announced.compiler != self.compiler {
            return None;
        }
        let port = service.get_port();
        let address = reachable(service.get_addresses()).filter(|_| port > 0)?;
        let address = SocketAddr::new(address, port);
        Some(format!("{address}{}\n", announced.host_options()))
    }

    /// The list, the same for the same servers.
    fn list(&self) -> String {
        let mut lines: Vec<&str> = self.known.values().map(String::as_str).collect();
        lines.sort_unstable();
        lines.dedup();
        lines.concat()
    }
}

/// The address to use. What every machine has is nobody's: jobs for 127.0.0.1 would be this machine's own, whoever said so. An
/// IPv6 address that means something on one link only has no place in a host list.
fn reachable<'a>(addresses: impl IntoIterator<Item = &'a ScopedIp>) -> Option<IpAddr> {
    let addresses = addresses.into_iter().map(ScopedIp::to_ip_addr);
    let usable = addresses.filter(|address| match address {
        IpAddr::V4(v4) => {
            let nobodys = v4.is_unspecified() || v4.is_loopback() || v4.octets()[0] == 0;
            !nobodys && !v4.is_multicast() && !v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            let nobodys = v6.is_unspecified() || v6.is_loopback() || v6.is_multicast();
            !nobodys && !v6.is_unicast_link_local() && v6.to_ipv4_mapped().is_none()
        }
    });
    // IPv4 first, as its order has it: servers listen there if nothing else is said.
    usable.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdns_sd::ServiceInfo;

    fn cc() -> DefaultCompiler {
        DefaultCompiler {
            machine: "m".into(),
            version: "1".into(),
        }
    }

    fn heard(name: &str, addresses: &str, port: u16, pairs: &[(&str, &str)]) -> ServiceEvent {
        let info = ServiceInfo::new(SERVICE, name, "host.local.", addresses, port, pairs).unwrap();
        ServiceEvent::ServiceResolved(Box::new(info.as_resolved_service()))
    }

    const OURS: [(&str, &str); 4] = [
        ("jobs", "6"),
        ("features", "lzo,cpp"),
        ("cc_machine", "m"),
        ("cc_version", "1"),
    ];

    #[test]
    fn servers_come_and_go() {
        let mut servers = Servers::new(Some(cc()));
        assert!(servers.hear(heard("b", "10.0.0.2", 3632, &OURS)));
        assert!(servers.hear(heard("a", "10.0.0.1", 3632, &OURS[2..])));
        assert!(servers.hear(heard("six", "fd00::1", 9, &OURS)));
        let list = "10.0.0.1:3632/4\n10.0.0.2:3632/6,cpp,lzo\n[fd00::1]:9/6,cpp,lzo\n";
        assert_eq!(servers.list(), list);
        assert!(crate::host_list::parse(list.as_bytes()).is_ok());
        assert!(
            !servers.hear(heard("b", "10.0.0.2", 3632, &OURS)),
            "the same"
        );
        assert!(
            servers.hear(heard("b", "10.0.0.2", 3632, &OURS[1..])),
            "other jobs"
        );
        let gone = |name: &str| {
            let name = format!("{name}.{SERVICE}");
            ServiceEvent::ServiceRemoved(SERVICE.into(), name)
        };
        assert!(servers.hear(gone("b")));
        assert!(!servers.hear(gone("b")));
        // Another compiler since.
        assert!(servers.hear(heard("six", "fd00::1", 9, &OURS[..2])));
        assert_eq!(servers.list(), "10.0.0.1:3632/4\n");
    }

    #[test]
    fn strangers_addresses_are_looked_at() {
        for (addresses, line) in [
            ("10.0.0.9,10.0.0.3,fd00::1", Some("10.0.0.3:1/6,cpp,lzo\n")),
            ("127.0.0.1", None),
            ("127.0.0.1,10.0.0.3", Some("10.0.0.3:1/6,cpp,lzo\n")),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
            ("0.0.0.0", None),
            ("0.1.2.3", None),
            ("224.0.0.1", None),
            ("255.255.255.255", None),
            ("fe80::1", None),
            ("ff02::1", None),
            ("::", None),
        ] {
            let mut servers = Servers::new(Some(cc()));
            servers.hear(heard("x", addresses, 1, &OURS));
            assert_eq!(servers.list(), line.unwrap_or_default(), "{addresses}");
        }
        let mut servers = Servers::new(Some(cc()));
        assert!(!servers.hear(heard("x", "10.0.0.1", 0, &OURS)), "no port");
        let mut nothing_here = Servers::new(None);
        assert!(!nothing_here.hear(heard("x", "10.0.0.1", 1, &OURS)));
        assert!(!nothing_here.hear(heard("x", "10.0.0.1", 1, &OURS[..2])));
    }

    #[test]
    fn a_crowd_is_not_remembered() {
        let mut servers = Servers::new(Some(cc()));
        for number in 0..2 * MOST_SERVERS {
            let address = format!("10.0.{}.{}", number / 200, number % 200 + 1);
            servers.hear(heard(&number.to_string(), &address, 1, &OURS));
        }
        assert_eq!(servers.list().lines().count(), MOST_SERVERS);
        assert!(
            servers.hear(heard("0", "10.9.9.9", 1, &OURS)),
            "who is known may change"
        );
    }

    #[test]
    fn the_file_is_replaced_and_looking_at_it_counts() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::named(directory.path().to_owned());
        assert!(is_idle(&place), "there is none");
        write(&place, "a\n").unwrap();
        assert!(!is_idle(&place));
        let long_ago = SystemTime::now() - 2 * IDLE;
        let set = |time| {
            let file = std::fs::File::options()
                .write(true)
                .open(place.hosts())
                .unwrap();
            file.set_times(std::fs::FileTimes::new().set_accessed(time))
                .unwrap();
        };
        set(long_ago);
        write(&place, "b\n").unwrap();
        assert!(is_idle(&place), "writing is not looking");
        assert_eq!(std::fs::read(place.hosts()).unwrap(), b"b\n");
        set(SystemTime::now() + IDLE);
        assert!(!is_idle(&place), "a clock that was set back");
        let names = std::fs::read_dir(directory.path()).unwrap();
        assert_eq!(names.count(), 1, "nothing else is left");
    }
}
