//! `--zeroconf`: says on the local network that this server is there. Owns the process that does so.
//!
//! It is this program once more, in a process of its own: what strangers on the network say is remembered by a library
//! for as long as they want, so its memory is bounded, and the daemon neither shares it nor ends with it. It ends when its standard
//! input does, that is with the daemon, and takes back what it said.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use mdns_sd::{IfKind, IfPredicate, ServiceDaemon, ServiceInfo};
use protocol::zeroconf::{Announcement, SERVICE};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::log::notice;

/// The word that makes this program announce another process's server.
pub(crate) const WORD: &str = "--announce";

/// Memory of the process beyond its program, in bytes.
const MEMORY: u64 = 128 << 20;

/// Before it is started again, when it has ended by itself: at first, and doubled each time up to the most. The network may be there only a moment after the
/// daemon; and whatever ends it again and again shall not keep a processor busy.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long taking back may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The announcement of a running server.
pub(crate) struct Announcer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Announcer {
    /// Begins to announce a server that listens on `address`. `path` is where its compilers are.
    pub(crate) fn start(address: SocketAddr, jobs: usize, path: Option<OsString>) -> Option<Self> {
        if address.ip().is_loopback() {
            tracing::warn!("--zeroconf has no effect: only this machine can reach {address}");
            return None;
        }
        let words = [WORD.to_owned(), address.to_string(), jobs.to_string()];
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(tend(words, path, stopped));
        Some(Self { stop, task })
    }

    /// Takes it back.
    pub(crate) async fn stop(self) {
        // The task may have given up before.
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(FAREWELL, self.task).await;
    }
}

/// Starts the process, and again when it ends.
async fn tend(words: [String; 3], path: Option<OsString>, mut stopped: oneshot::Receiver<()>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut child = match launch(&words, path.as_deref()) {
            Ok(child) => child,
            Err(error) => {
                tracing::error!("--zeroconf has no effect: {error}");
                return;
            }
        };
        // Its end is what the process waits for.
        let stdin = child.stdin.take();
        let ended = child.wait_with_output();
        tokio::pin!(ended);
        let ended = tokio::select! {
            _ = &mut stopped => {
                drop(stdin);
                let _ = ended.await;
                return;
            }
            ended = &mut ended => ended,
        };
        match ended {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.lines().last().unwrap_or("it said nothing");
                let status = output.status;
                tracing::warn!("--zeroconf: the announcing process has ended ({status}: {said})");
            }
            Err(error) => tracing::warn!("--zeroconf: the announcing process is lost: {error}"),
        }
        tokio::select! {
            _ = &mut stopped => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

fn launch(words: &[String; 3], path: Option<&OsStr>) -> io::Result<Child> {
    // Also when the file has been replaced by a newer one.
    let mut command = Command::new("/proc/self/exe");
    command
        .args(words)
        .env_clear()
        .env("PATH", path.unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command.spawn()?;
    notice!(
        "announcing this server on the local network as distcc@{}",
        host_name()
    );
    Ok(child)
}

/// The first label of this machine's name.
fn host_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let label: String = name
        .split('.')
        .next()
        .unwrap_or_default()
        .chars()
        .take(40)
        .collect();
    if label.is_empty() {
        "server".to_owned()
    } else {
        label
    }
}

/// The process: announces until standard input ends. The result is the exit code.
pub(crate) fn run(words: &[OsString], path: &OsStr) -> u8 {
    let announced = parse(words)
        .ok_or_else(|| io::Error::other(format!("{WORD} is not for people")))
        .and_then(|(address, jobs)| announce(address, jobs, path));
    match announced {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

fn parse(words: &[OsString]) -> Option<(SocketAddr, u32)> {
    let [address, jobs] = words else { return None };
    Some((
        address.to_str()?.parse().ok()?,
        jobs.to_str()?.parse().ok()?,
    ))
}

fn announce(address: SocketAddr, jobs: u32, path: &OsStr) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(MEMORY),
        maximum: Some(MEMORY),
    };
    setrlimit(Resource::Data, limit)?;
    let daemon = ServiceDaemon::new().map_err(io::Error::other)?;
    let service = service(address, jobs, path).map_err(io::Error::other)?;
    let name = service.get_fullname().to_owned();
    daemon.register(service).map_err(io::Error::other)?;
    // Nothing is ever written there.
    io::copy(&mut io::stdin().lock().take(1), &mut io::sink())?;
    let farewell = daemon.unregister(&name).map_err(io::Error::other)?;
    let _ = farewell.recv_timeout(FAREWELL);
    Ok(())
}

/// What is announced: only where the server listens, under a host name that is nobody else's (Avahi may announce the machine's own).
fn service(address: SocketAddr, jobs: u32, path: &OsStr) -> mdns_sd::Result<ServiceInfo> {
    let compiler = toolchain::default_compiler(path);
    let kind = compiler
        .as_ref()
        .map_or_else(|| SERVICE.to_owned(), |compiler| compiler.subtype());
    let announcement = Announcement {
        jobs,
        lzo: true,
        cpp: true,
        compiler,
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let triple = format!("{}-pc-linux-gnu", std::env::consts::ARCH);
    let properties = announcement.properties(processors, &triple, env!("CARGO_PKG_VERSION"));
    let (name, port) = (host_name(), address.port());
    let host = format!("distccd-{port}-{name}.local.");
    let instance = format!("distcc@{name}");
    let (ip, any) = (address.ip(), address.ip().is_unspecified());
    let addresses = if any { String::new() } else { ip.to_string() };
    let mut service = ServiceInfo::new(&kind, &instance, &host, addresses, port, &properties[..])?;
    if any {
        service = service.enable_addr_auto();
    }
    service.set_interfaces(vec![IfKind::Predicate(IfPredicate::new(
        move |interface| {
            let is_one = match any {
                // A socket for all of IPv6 takes IPv4, too.
                true => ip.is_ipv6() || interface.ip().is_ipv4(),
                false => interface.ip() == ip,
            };
            is_one && !interface.is_loopback()
        },
    ))]);
    Ok(service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced() {
        let of =
            |address: &str| service(address.parse().unwrap(), 7, OsStr::new("/nowhere")).unwrap();
        let any = of("0.0.0.0:3632");
        assert!(
            any.get_fullname().starts_with("distcc@"),
            "{}",
            any.get_fullname()
        );
        assert!(any.get_fullname().ends_with("._distcc._tcp.local."));
        assert_eq!(any.get_property_val_str("jobs"), Some("7"));
        assert_eq!(any.get_property_val_str("features"), Some("lzo,cpp"));
        assert_eq!(
            any.get_property_val_str("cc_version"),
            None,
            "there is no cc"
        );
        assert!(any.get_hostname().starts_with("distccd-3632-"));
        let one = of("192.0.2.7:4000");
        let addresses: Vec<String> = one
            .get_addresses()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(addresses, ["192.0.2.7"]);
    }
}
