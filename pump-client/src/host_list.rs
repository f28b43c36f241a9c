//! The list of hosts: its grammar, and the places it may stand in.
//!
//! [`parse`] is pure and total over bytes: it gives a list or the first bad token with its place. One bad token rejects
//! the whole list, as in stock. Where stock silently reads nonsense (`a/3x`, `--bogus`, `+typo` as host names), this
//! parser says so instead. [`load`] finds the text: `$DISTCC_HOSTS`, then `hosts` in the state directory, then
//! `/etc/distcc/hosts`.

use crate::environment::Environment;
use crate::log;
use crate::zeroconf::{self, ZeroconfError};
use protocol::exit_code::ExitCode;
use protocol::version::Version;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The port of a host that names none.
pub const DEFAULT_PORT: u16 = 3632;
/// Slots of a remote host that names none.
pub const DEFAULT_REMOTE_SLOTS: u32 = 4;
/// Slots of `localhost` when it names none.
pub const DEFAULT_LOCALHOST_SLOTS: u32 = 2;
/// Local jobs at a time, when `--localslots` is absent.
pub const DEFAULT_LOCAL_SLOTS: u32 = 4;
/// Local preprocessors at a time, when `--localslots_cpp` is absent.
pub const DEFAULT_LOCAL_CPP_SLOTS: u32 = 8;
/// The list of the whole system.
const SYSTEM_FILE: &str = "/etc/distcc/hosts";

/// A parsed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostList {
    /// The hosts in the order of the text.
    pub hosts: Vec<Host>,
    /// `--localslots`: local jobs at a time.
    pub localslots: u32,
    /// `--localslots_cpp`: local preprocessors at a time.
    pub localslots_cpp: u32,
    /// `--randomize`: the order is to be shuffled.
    pub randomize: bool,
    /// `+zeroconf`: hosts found on the network are to be added.
    pub zeroconf: bool,
}

impl Default for HostList {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            localslots: DEFAULT_LOCAL_SLOTS,
            localslots_cpp: DEFAULT_LOCAL_CPP_SLOTS,
            randomize: false,
            zeroconf: false,
        }
    }
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The token as written; messages and `--show-hosts` print it.
    pub spec: Vec<u8>,
    /// Where it is.
    pub place: Place,
    /// Jobs at a time.
    pub slots: u32,
    /// Which protocol its options ask for.
    pub version: Version,
    /// `,down`: never picked.
    pub down: bool,
}

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// This machine, without network.
    Local,
    /// A TCP server.
    Tcp {
        /// Name or address, without brackets.
        name: Vec<u8>,
        /// Port.
        port: u16,
    },
    /// A server started through ssh.
    Ssh {
        /// The user to log in as.
        user: Option<Vec<u8>>,
        /// Name or address.
        name: Vec<u8>,
        /// The program to run there.
        command: Option<Vec<u8>>,
    },
}

impl Host {
    /// The token for a person.
    #[must_use]
    pub fn label(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.spec)
    }

    /// The host's bare name, as state files show it.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        match &self.place {
            Place::Local => b"localhost",
            Place::Tcp { name, .. } | Place::Ssh { name, .. } => name,
        }
    }

    /// `NAME:PORT` for TCP, the name for others: how the journal names a host.
    #[must_use]
    pub fn journal_name(&self) -> Vec<u8> {
        match &self.place {
            Place::Tcp { name, port } => [name, format!(":{port}").as_bytes()].concat(),
            _ => self.name().to_vec(),
        }
    }

    /// The part of a lock or back-off file's name that says which host it is for: `tcp_HOST_PORT`, `ssh_HOST`,
    /// `localhost`. It never leaves the lock directory.
    #[must_use]
    pub fn lock_key(&self) -> Vec<u8> {
        let (kind, name, end) = match &self.place {
            Place::Local => return b"localhost".to_vec(),
            Place::Tcp { name, port } => ("tcp_", name, format!("_{port}")),
            Place::Ssh { name, .. } => ("ssh_", name, String::new()),
        };
        let mut key = kind.as_bytes().to_vec();
        key.extend(name.iter().map(|&b| if b == b'/' { b'_' } else { b }));
        key.extend_from_slice(end.as_bytes());
        key
    }

    /// Whether this is the machine itself, run without network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.place == Place::Local
    }

    /// Whether the server runs on this machine, so that it has the very same system headers.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.place {
            Place::Local => true,
            Place::Ssh { .. } => false,
            Place::Tcp { name, .. } => {
                name == b"localhost"
                    || std::str::from_utf8(name)
                        .ok()
                        .and_then(|text| text.parse::<std::net::IpAddr>().ok())
                        .is_some_and(|address| address.is_loopback())
            }
        }
    }
}

/// A token that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostListError {
    /// Byte offset of the token in the text.
    pub at: usize,
    /// The token.
    pub token: Vec<u8>,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for HostListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = String::from_utf8_lossy(&self.token);
        write!(
            f,
            "{} in host specification \"{token}\" (at byte {})",
            self.problem, self.at
        )
    }
}

impl std::error::Error for HostListError {}

/// What may be wrong with a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No host name.
    #[error("hostname is required")]
    NoName,
    /// `[` without `]`.
    #[error("IPv6 Hostname requires closing ']'")]
    OpenBracket,
    /// A port that is no number from 1 to 65535.
    #[error("invalid tcp port specification")]
    BadPort,
    /// A number of slots that is no positive number.
    #[error("bad multiplier")]
    BadSlots,
    /// An option after a comma that is not known.
    #[error("unrecognized option \",{0}\"")]
    UnknownOption(String),
    /// `,cpp` without `,lzo`.
    #[error("pump mode (',cpp') requires compression (',lzo')")]
    CppWithoutLzo,
    /// `,auth`.
    #[error("',auth' (GSS-API) is not supported by this client")]
    Auth,
    /// A word that starts with `--` or `+` and is not known.
    #[error("unrecognized setting")]
    UnknownSetting,
    /// Something follows where the token should end.
    #[error("unexpected text \"{0}\"")]
    Trailing(String),
}

/// Reads a list of hosts.
///
/// # Errors
/// [`HostListError`] names the first token that cannot be read. A text without hosts is no error here.
pub fn parse(text: &[u8]) -> Result<HostList, HostListError> {
    let mut list = HostList::default();
    for (at, token) in tokens(text) {
        let problem = |problem| HostListError {
            at,
            token: token.to_vec(),
            problem,
        };
        if token.starts_with(b"--") || token.starts_with(b"+") {
            setting(token, &mut list).map_err(problem)?;
        } else {
            list.hosts.push(host(token).map_err(problem)?);
        }
    }
    Ok(list)
}

/// The tokens of a text with their places: separated by white space, `#` starts a comment to the end of the line.
fn tokens(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let blank = |b: u8| matches!(b, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r' | b'\x0b');
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let byte = *text.get(at)?;
            if blank(byte) {
                at += 1;
            } else if byte == b'#' {
                at += text[at..]
                    .iter()
                    .position(|&b| b == b'\n')
                    .unwrap_or(text.len() - at);
            } else {
                let start = at;
                let length = text[at..].iter().position(|&b| blank(b) || b == b'#');
                at = length.map_or(text.len(), |n| at + n);
                return Some((start, &text[start..at]));
            }
        }
    })
}

/// A word that is no host but says something about the list.
fn setting(token: &[u8], list: &mut HostList) -> Result<(), Problem> {
    let slots_of = |value: &[u8]| match value {
        [b'=' | b'/', number @ ..] => slots(number),
        _ => Err(Problem::UnknownSetting),
    };
    if token == b"--randomize" {
        list.randomize = true;
    } else if token == b"+zeroconf" {
        list.zeroconf = true;
    } else if let Some(value) = token.strip_prefix(b"--localslots_cpp") {
        list.localslots_cpp = slots_of(value)?;
    } else if let Some(value) = token.strip_prefix(b"--localslots") {
        list.localslots = slots_of(value)?;
    } else {
        return Err(Problem::UnknownSetting);
    }
    Ok(())
}

fn slots(number: &[u8]) -> Result<u32, Problem> {
    std::str::from_utf8(number)
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|&n| n > 0)
        .ok_or(Problem::BadSlots)
}

/// Splits at the first byte that `stop` accepts; the stop byte stays with the rest.
fn split_before(text: &[u8], stop: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&b| stop(b)).unwrap_or(text.len());
    text.split_at(end)
}

fn host(token: &[u8]) -> Result<Host, Problem> {
    let (address, options) = split_before(token, |b| b == b',');
    let options = Options::parse(options)?;
    let (place, slots) = if address == b"localhost"
        || address.starts_with(b"localhost/")
        || address.starts_with(b"localhost=")
    {
        local(address)?
    } else if let Some(at) = address.iter().position(|&b| b == b'@') {
        ssh(&address[..at], &address[at + 1..])?
    } else {
        tcp(address)?
    };
    // A bare `localhost` with options is a server there, as in stock: the options make no sense without a network.
    let (place, slots) = match place {
        Place::Local if address == b"localhost" && options.any => tcp(address)?,
        place => (place, slots),
    };
    Ok(Host {
        spec: token.to_vec(),
        place,
        slots,
        version: options.version()?,
        down: options.down,
    })
}

fn local(address: &[u8]) -> Result<(Place, u32), Problem> {
    let count = match &address[b"localhost".len()..] {
        [] => DEFAULT_LOCALHOST_SLOTS,
        rest => slots(&rest[1..])?,
    };
    Ok((Place::Local, count))
}

/// `HOST[:PORT][/N]` or `HOST[/N][:PORT]`.
fn tcp(address: &[u8]) -> Result<(Place, u32), Problem> {
    let (name, mut rest) = host_name(address, b":/=")?;
    let (mut port, mut count) = (None, None);
    while let [kind, tail @ ..] = rest {
        let (number, after) = split_before(tail, |b| matches!(b, b':' | b'/' | b'='));
        match kind {
            b':' if port.is_none() => port = Some(tcp_port(number)?),
            b'/' | b'=' if count.is_none() => count = Some(slots(number)?),
            _ => {
                return Err(Problem::Trailing(
                    String::from_utf8_lossy(rest).into_owned(),
                ));
            }
        }
        rest = after;
    }
    let place = Place::Tcp {
        name: name.to_vec(),
        port: port.unwrap_or(DEFAULT_PORT),
    };
    Ok((place, count.unwrap_or(DEFAULT_REMOTE_SLOTS)))
}

/// The name at the start of an address, brackets around an IPv6 address removed; and what follows.
fn host_name<'a>(address: &'a [u8], stops: &[u8]) -> Result<(&'a [u8], &'a [u8]), Problem> {
    let (name, rest) = if let Some(inner) = address.strip_prefix(b"[") {
        let end = inner
            .iter()
            .position(|&b| b == b']')
            .ok_or(Problem::OpenBracket)?;
        (&inner[..end], &inner[end + 1..])
    } else {
        split_before(address, |b| stops.contains(&b))
    };
    if name.is_empty() {
        return Err(Problem::NoName);
    }
    match rest.first() {
        Some(byte) if !stops.contains(byte) => Err(Problem::Trailing(
            String::from_utf8_lossy(rest).into_owned(),
        )),
        _ => Ok((name, rest)),
    }
}

/// A port; none after the colon means the default, as in stock.
fn tcp_port(number: &[u8]) -> Result<u16, Problem> {
    if number.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    std::str::from_utf8(number)
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|&port| port > 0)
        .ok_or(Problem::BadPort)
}

/// `[USER]@HOST[/N][:COMMAND]`; the command may hold slashes.
fn ssh(user: &[u8], address: &[u8]) -> Result<(Place, u32), Problem> {
    let (name, mut rest) = host_name(address, b":/=")?;
    let mut count = DEFAULT_REMOTE_SLOTS;
    if let [b'/' | b'=', tail @ ..] = rest {
        let (number, after) = split_before(tail, |b| b == b':');
        count = slots(number)?;
        rest = after;
    }
    let command = match rest {
        [] | [b':'] => None,
        [_, command @ ..] => Some(command.to_vec()),
    };
    let place = Place::Ssh {
        user: (!user.is_empty()).then(|| user.to_vec()),
        name: name.to_vec(),
        command,
    };
    Ok((place, count))
}

/// What stands behind the commas.
#[derive(Default)]
struct Options {
    any: bool,
    lzo: bool,
    cpp: bool,
    down: bool,
}

impl Options {
    fn parse(text: &[u8]) -> Result<Self, Problem> {
        let mut options = Self::default();
        // The text is empty or starts with a comma: the first piece is empty and no option.
        for word in text.split(|&b| b == b',').skip(1) {
            options.any = true;
            match word {
                b"lzo" => options.lzo = true,
                b"cpp" => options.cpp = true,
                b"down" => options.down = true,
                b"auth" => return Err(Problem::Auth),
                _ if word.starts_with(b"auth=") => return Err(Problem::Auth),
                _ => {
                    let word = String::from_utf8_lossy(word).into_owned();
                    return Err(Problem::UnknownOption(word));
                }
            }
        }
        Ok(options)
    }

    fn version(&self) -> Result<Version, Problem> {
        match (self.lzo, self.cpp) {
            (true, true) => Ok(Version::Pump3),
            (true, false) => Ok(Version::Lzo2),
            (false, false) => Ok(Version::Plain1),
            (false, true) => Err(Problem::CppWithoutLzo),
        }
    }
}

/// Why there is no list of hosts.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// A bad token.
    #[error("{source_name}: {error}")]
    Bad {
        /// Where the text stands.
        source_name: String,
        /// The token.
        error: HostListError,
    },
    /// A text without hosts.
    #[error("{0} contained no hosts; can't distribute work")]
    Empty(String),
    /// `+zeroconf`, and no server.
    #[error("+zeroconf has found no servers on the local network; can't distribute work")]
    NobodyFound,
    /// `+zeroconf`, and no way to find one.
    #[error("{0}; can't distribute work")]
    NotFound(FindError),
    /// No variable and no file.
    #[error("no hostlist is set; can't distribute work")]
    Unset,
    /// A file that cannot be read.
    #[error("cannot read {}: {error}; can't distribute work", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl HostsError {
    /// The exit code when nothing may be done locally.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        // Stock ends with "no hosts" also for a bad token when the fallback is off.
        ExitCode::NoHosts
    }
}

/// Finds and reads the list of hosts, shuffled if it asks for that, with the hosts of `+zeroconf` added.
///
/// # Errors
/// See [`HostsError`].
pub fn load(environment: &Environment) -> Result<HostList, HostsError> {
    let state = environment.state_directory();
    let (source_name, text) = find_text(environment, state.as_deref())?;
    let bad = |error| HostsError::Bad {
        source_name: source_name.clone(),
        error,
    };
    let mut list = parse(&text).map_err(bad)?;
    let found = list
        .zeroconf
        .then(|| add_found(&mut list, state.as_deref()));
    if list.hosts.is_empty() {
        return Err(match found {
            Some(Err(error)) => HostsError::NotFound(error),
            Some(Ok(())) => HostsError::NobodyFound,
            None => HostsError::Empty(source_name),
        });
    }
    if let Some(Err(error)) = found {
        log::warning!("{error}; going on with the other hosts");
    }
    if list.randomize {
        shuffle(&mut list.hosts, std::process::id());
    }
    Ok(list)
}

/// The same list for those who only show it: in its own order, and without warnings.
///
/// # Errors
/// See [`HostsError`].
pub fn look(environment: &Environment) -> Result<HostList, HostsError> {
    let state = environment.state_directory();
    let (source_name, text) = find_text(environment, state.as_deref())?;
    let bad = |error| HostsError::Bad { source_name, error };
    let mut list = parse(&text).map_err(bad)?;
    if list.zeroconf
        && let Some(state) = state
        && let Ok(text) = std::fs::read(state.join("zeroconf/hosts"))
        && let Ok(found) = parse(&text)
    {
        list.hosts.extend(found.hosts);
    }
    Ok(list)
}

/// The list's settings, for jobs that need no hosts: nobody is looked for.
#[must_use]
pub fn settings(environment: &Environment) -> HostList {
    let state = environment.state_directory();
    let text = find_text(environment, state.as_deref());
    text.ok()
        .and_then(|(_, text)| parse(&text).ok())
        .unwrap_or_default()
}

fn find_text(
    environment: &Environment,
    state: Option<&Path>,
) -> Result<(String, Vec<u8>), HostsError> {
    if let Some(text) = &environment.hosts {
        log::debug!("read hosts from environment");
        return Ok(("$DISTCC_HOSTS".into(), text.as_bytes().to_vec()));
    }
    let files = [state.map(|s| s.join("hosts")), Some(SYSTEM_FILE.into())];
    for path in files.into_iter().flatten() {
        match std::fs::read(&path) {
            Ok(text) => {
                log::debug!("read hosts from {}", path.display());
                return Ok((path.display().to_string(), text));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(HostsError::Unreadable { path, error }),
        }
    }
    Err(HostsError::Unset)
}

/// Adds what was found on the local network.
///
/// # Errors
/// See [`FindError`].
pub fn add_found(list: &mut HostList, state: Option<&Path>) -> Result<(), FindError> {
    let (file, text) = zeroconf::found(state)?;
    let found = parse(&text).map_err(|error| FindError::Bad { file, error })?;
    list.hosts.extend(found.hosts);
    Ok(())
}

/// Why `+zeroconf` adds nothing.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is no file.
    #[error(transparent)]
    Unread(#[from] ZeroconfError),
    /// Somebody wrote something else into it.
    #[error("{}: {error}", file.display())]
    Bad {
        /// The file.
        file: PathBuf,
        /// The token.
        error: HostListError,
    },
}

/// Another order for each process, so that parallel jobs spread.
fn shuffle(hosts: &mut [Host], seed: u32) {
    // splitmix64: any generator does, and this one needs no crate.
    let mut state = u64::from(seed);
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    for i in (1..hosts.len()).rev() {
        let j = usize::try_from(next() % (i as u64 + 1)).unwrap_or(0);
        hosts.swap(i, j);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(name: &str, port: u16) -> Place {
        Place::Tcp {
            name: name.into(),
            port,
        }
    }

    fn ssh(user: &str, name: &str, command: &str) -> Place {
        let some = |text: &str| (!text.is_empty()).then(|| text.into());
        Place::Ssh {
            user: some(user),
            name: name.into(),
            command: some(command),
        }
    }

    #[test]
    fn every_form_of_host() {
        let table = [
            ("localhost", Place::Local, 2),
            ("localhost/7", Place::Local, 7),
            ("localhost/3,lzo", Place::Local, 3),
            ("localhost,lzo", tcp("localhost", 3632), 4),
            ("localhost:99", tcp("localhost", 99), 4),
            ("localhostx", tcp("localhostx", 3632), 4),
            ("a", tcp("a", 3632), 4),
            ("a:", tcp("a", 3632), 4),
            ("a:99", tcp("a", 99), 4),
            ("a/3", tcp("a", 3632), 3),
            ("a=3", tcp("a", 3632), 3),
            ("a:99/3", tcp("a", 99), 3),
            ("a/3:99", tcp("a", 99), 3),
            ("[::1]", tcp("::1", 3632), 4),
            ("[::1]:99/3,lzo", tcp("::1", 99), 3),
            ("@h", ssh("", "h", ""), 4),
            ("u@h", ssh("u", "h", ""), 4),
            ("u@h/3:cmd", ssh("u", "h", "cmd"), 3),
            ("u@h:/usr/bin/distccd", ssh("u", "h", "/usr/bin/distccd"), 4),
            ("@[::1]/2", ssh("", "::1", ""), 2),
        ];
        for (text, place, slots) in table {
            let list = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(list.hosts.len(), 1, "{text}");
            assert_eq!(
                (&list.hosts[0].place, list.hosts[0].slots),
                (&place, slots),
                "{text}"
            );
            assert_eq!(list.hosts[0].spec, text.as_bytes());
        }
    }

    #[test]
    fn options_choose_the_protocol() {
        let version = |text: &str| parse(text.as_bytes()).unwrap().hosts[0].version;
        assert_eq!(version("a"), Version::Plain1);
        assert_eq!(version("a,lzo"), Version::Lzo2);
        assert_eq!(version("a,cpp,lzo"), Version::Pump3);
        assert_eq!(version("a,lzo,cpp"), Version::Pump3);
        assert!(parse(b"a,down").unwrap().hosts[0].down);
    }

    #[test]
    fn settings_comments_and_every_kind_of_blank() {
        let text = b"# all of it\n--localslots=3\t--localslots_cpp/5\r\n--randomize\x0c+zeroconf a#b\nc # d";
        let list = parse(text).unwrap();
        assert_eq!((list.localslots, list.localslots_cpp), (3, 5));
        assert!(list.randomize && list.zeroconf);
        let names: Vec<_> = list.hosts.iter().map(Host::label).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(parse(b" \n # x").unwrap(), HostList::default());
    }

    #[test]
    fn a_bad_token_is_named_with_its_place() {
        let table = [
            ("x @", 2, "hostname is required"),
            (",cpp", 0, "hostname is required"),
            ("u@/3", 0, "hostname is required"),
            ("::1", 0, "hostname is required"),
            ("[::1", 0, "closing ']'"),
            ("[::1]x", 0, "unexpected text \"x\""),
            ("a/0", 0, "bad multiplier"),
            ("a/x", 0, "bad multiplier"),
            ("a/-1", 0, "bad multiplier"),
            ("a/3x", 0, "bad multiplier"),
            ("a/99999999999", 0, "bad multiplier"),
            ("a/3/4", 0, "unexpected text \"/4\""),
            ("localhost/0", 0, "bad multiplier"),
            ("a:x", 0, "invalid tcp port"),
            ("a:0", 0, "invalid tcp port"),
            ("a:65536", 0, "invalid tcp port"),
            ("a:1:2", 0, "unexpected text \":2\""),
            ("a,foo", 0, "unrecognized option \",foo\""),
            ("a,", 0, "unrecognized option \",\""),
            ("a,cpp", 0, "requires compression"),
            ("a,auth", 0, "GSS-API"),
            ("a,lzo,auth=x", 0, "GSS-API"),
            ("ok --bogus", 3, "unrecognized setting"),
            ("--localslots a", 0, "unrecognized setting"),
            ("--localslots=0", 0, "bad multiplier"),
            ("+foo", 0, "unrecognized setting"),
        ];
        for (text, at, problem) in table {
            let error = parse(text.as_bytes()).expect_err(text);
            assert_eq!(error.at, at, "{text}");
            assert!(error.to_string().contains(problem), "{text}: {error}");
        }
        assert!(parse(b"\xff\xfe/2").is_ok(), "names are bytes");
    }

    #[test]
    fn lock_names_stay_in_their_directory() {
        let key = |text: &str| {
            String::from_utf8(parse(text.as_bytes()).unwrap().hosts[0].lock_key()).unwrap()
        };
        assert_eq!(key("10.0.0.1:99"), "tcp_10.0.0.1_99");
        assert_eq!(key("u@h/3:cmd"), "ssh_h");
        assert_eq!(key("localhost"), "localhost");
        assert_eq!(key("[../x]"), "tcp_.._x_3632");
    }

    #[test]
    fn shuffling_loses_nobody() {
        let mut list = parse(b"a b c d e").unwrap();
        for seed in 0..50 {
            shuffle(&mut list.hosts, seed);
            let mut names: Vec<_> = list
                .hosts
                .iter()
                .map(|host| host.label().into_owned())
                .collect();
            names.sort_unstable();
            assert_eq!(names.concat(), "abcde");
        }
    }

    #[test]
    fn loopback_is_told_by_address() {
        for (text, is) in [
            ("localhost", true),
            ("127.0.0.1:9", true),
            ("127.8.0.1", true),
            ("[::1]", true),
            ("@localhost", false),
            ("10.0.0.1", false),
            ("localhost.example", false),
        ] {
            assert_eq!(
                parse(text.as_bytes()).unwrap().hosts[0].is_loopback(),
                is,
                "{text}"
            );
        }
    }
}
