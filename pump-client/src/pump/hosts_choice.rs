//! Which servers a session uses: those of the host list, those of `DISTCC_POTENTIAL_HOSTS` that answer, or a private one.
//! Owns no state.

use super::environment::Environment;
use super::error::PumpError;
use super::programs::Programs;
use crate::host_list::{self, FindError, HostList};
use protocol::version::Version;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The list of the whole system. Debian installs one that only names this machine, without `,cpp`.
const SYSTEM_LIST: &str = "/etc/distcc/hosts";

/// The servers of a session.
#[derive(Debug, PartialEq, Eq)]
pub enum HostsChoice {
    /// The list that the client finds by itself.
    Configured {
        /// How many hosts it has.
        hosts: usize,
        /// How many of them take jobs in pump mode.
        pump_hosts: usize,
    },
    /// Those potential hosts that answered, as a new `DISTCC_HOSTS`.
    Found {
        /// How many.
        hosts: usize,
        /// The list.
        list: OsString,
    },
    /// None are configured: a private server on this machine.
    Private {
        /// Why, in words that end a sentence.
        because: String,
    },
}

/// Decides.
///
/// # Errors
/// When there is a list, but it is wrong or has no host for pump mode; when `lsdistcc` cannot be run.
pub fn choose(environment: &Environment, programs: &Programs) -> Result<HostsChoice, PumpError> {
    if environment.potential_hosts.is_some() {
        return probe(environment, programs);
    }
    let system = PathBuf::from(SYSTEM_LIST);
    let own_state = match (&environment.distcc_dir, &environment.home) {
        (Some(dir), _) => Some(dir.clone()),
        (None, Some(home)) => Some(home.join(".distcc")),
        (None, None) => None,
    };
    let find = |list: &mut HostList| host_list::add_found(list, own_state.as_deref());
    if let Some(list) = &environment.distcc_hosts {
        return judge("$DISTCC_HOSTS", list.as_bytes(), false, find);
    }
    let own_list = own_state.as_ref().map(|dir| dir.join("hosts"));
    for (path, is_system) in own_list
        .map(|path| (path, false))
        .into_iter()
        .chain([(system, true)])
    {
        match std::fs::read(&path) {
            Ok(text) => return judge(&path.display().to_string(), &text, is_system, find),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(PumpError::HostsUnreadable { path, cause }),
        }
    }
    let because = "no distcc hosts are configured".to_owned();
    Ok(HostsChoice::Private { because })
}

/// What a list is good for. `find` adds what is found on the local network.
fn judge(
    source_name: &str,
    text: &[u8],
    is_system: bool,
    find: impl FnOnce(&mut HostList) -> Result<(), FindError>,
) -> Result<HostsChoice, PumpError> {
    let mut list = host_list::parse(text).map_err(|error| PumpError::BadHosts {
        source_name: source_name.to_owned(),
        reason: error.to_string(),
    })?;
    let found = list.zeroconf.then(|| find(&mut list));
    let pump_hosts = list
        .hosts
        .iter()
        .filter(|host| host.version == Version::Pump3)
        .count();
    if pump_hosts > 0 {
        let hosts = list.hosts.len();
        return Ok(HostsChoice::Configured { hosts, pump_hosts });
    }
    if list.hosts.is_empty() {
        let because = match found {
            Some(Ok(())) => {
                format!("+zeroconf in {source_name} has found no servers on the local network")
            }
            Some(Err(error)) => error.to_string(),
            None => format!("{source_name} names no distcc hosts"),
        };
        return Ok(HostsChoice::Private { because });
    }
    if is_system && names_this_machine_only(&list) {
        let because = format!("{source_name} names only this machine");
        return Ok(HostsChoice::Private { because });
    }
    Err(PumpError::NoPumpHosts(source_name.to_owned()))
}

/// A distribution's placeholder rather than somebody's choice.
fn names_this_machine_only(list: &HostList) -> bool {
    list.hosts.iter().all(host_list::Host::is_loopback)
}

/// Asks `lsdistcc` which of the potential hosts answer; they all get jobs in pump mode.
fn probe(environment: &Environment, programs: &Programs) -> Result<HostsChoice, PumpError> {
    let program = programs.find("lsdistcc")?;
    let words = |value: &Option<OsString>| -> Vec<OsString> {
        let bytes = value.as_ref().map_or(&b""[..], |value| value.as_bytes());
        let parts = bytes
            .split(u8::is_ascii_whitespace)
            .filter(|part| !part.is_empty());
        parts
            .map(|part| OsString::from_vec(part.to_vec()))
            .collect()
    };
    let output = Command::new(&program)
        .arg("-c150")
        .args(words(&environment.lsdistcc_args))
        .args(words(&environment.potential_hosts))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|cause| PumpError::Spawn { program, cause })?;
    let found: Vec<&[u8]> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let mut list = b"--randomize".to_vec();
    for host in &found {
        list.push(b' ');
        list.extend_from_slice(host);
        list.extend_from_slice(b",cpp,lzo");
    }
    Ok(HostsChoice::Found {
        hosts: found.len(),
        list: OsString::from_vec(list),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str, is_system: bool) -> Result<HostsChoice, String> {
        found(text, is_system, b"")
    }

    /// The same, where this is what is found on the local network.
    fn found(text: &str, is_system: bool, hosts: &[u8]) -> Result<HostsChoice, String> {
        let find = |list: &mut HostList| {
            list.hosts
                .extend(host_list::parse(hosts).expect("a list").hosts);
            Ok(())
        };
        judge("LIST", text.as_bytes(), is_system, find).map_err(|error| error.to_string())
    }

    #[test]
    fn hosts_of_the_local_network_count() {
        let both = b"10.0.0.1:3632/8,cpp,lzo\n10.0.0.2:3632/4\n";
        assert_eq!(
            found("+zeroconf", false, both),
            Ok(HostsChoice::Configured {
                hosts: 2,
                pump_hosts: 1
            })
        );
        assert!(found("+zeroconf", false, b"10.0.0.2:3632/4").is_err());
        let nobody = found("+zeroconf", false, b"");
        let why = "+zeroconf in LIST has found no servers on the local network".to_owned();
        assert_eq!(nobody, Ok(HostsChoice::Private { because: why }));
    }

    #[test]
    fn lists_with_pump_hosts_are_used() {
        assert_eq!(
            verdict("a,cpp,lzo b/5,lzo localhost", false),
            Ok(HostsChoice::Configured {
                hosts: 3,
                pump_hosts: 1
            })
        );
    }

    #[test]
    fn lists_without_any_host_mean_a_private_server() {
        for text in ["", " \n# nothing\n", "--randomize", "+zeroconf"] {
            assert!(
                matches!(verdict(text, false), Ok(HostsChoice::Private { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn hosts_without_cpp_are_an_error_but_for_a_placeholder() {
        for text in ["a", "127.0.0.1", "a,lzo localhost"] {
            let error = verdict(text, false).expect_err("no pump host");
            assert!(error.contains("',cpp'"), "{error}");
        }
        assert!(verdict("a", true).is_err());
        assert!(matches!(
            verdict("127.0.0.1\n", true),
            Ok(HostsChoice::Private { .. })
        ));
        assert!(matches!(
            verdict("localhost/4", true),
            Ok(HostsChoice::Private { .. })
        ));
    }

    #[test]
    fn a_bad_token_is_named() {
        let error = verdict("good,lzo,cpp bad,nonsense", false).expect_err("a bad token");
        assert!(
            error.starts_with("the host list in LIST is wrong") && error.contains("nonsense"),
            "{error}"
        );
    }
}
