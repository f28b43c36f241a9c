//! Answers with our code what stock distcc's test suite asks of its internal programs `h_*`.
//!
//! One program under many names: `scripts/peer-suite.sh` links `h_scanargs`, `h_hosts` and so on to it. What each name
//! takes and prints, and which case asks it, stands in `tests/peers/HELPERS.md`. Names that ask for something we do not
//! have (`h_compile`, `h_getline`) are refused.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode as ProcessExit;

use distccd_cache::access::Access;
use protocol::command_line::{
    CommandLine, Distribution, Word, is_object, is_preprocessed, is_source, suffix, verdict,
};
use protocol::exit_code::ExitCode;
use pump_client::host_list::{self, Host, Place};

/// What is printed, and the exit code.
type Answer = (Vec<u8>, u8);

fn main() -> ProcessExit {
    let mut words = std::env::args_os().map(OsStringExt::into_vec);
    let called = words.next().unwrap_or_default();
    let name = Path::new(OsStr::from_bytes(&called))
        .file_name()
        .map(OsStrExt::as_bytes)
        .unwrap_or_default()
        .to_vec();
    let words: Vec<Word> = words.collect();
    let first = words.first().map(Vec::as_slice).unwrap_or_default();
    let (text, status) = match name.as_slice() {
        b"h_exten" => (extension(first), 0),
        b"h_issource" => (kind_of_file(first), 0),
        b"h_scanargs" => (scanned(words), 0),
        b"h_strip" => (stripped(&words), 0),
        b"h_hosts" => hosts(),
        b"h_parsemask" => mask(&words),
        b"h_dotd" if first == b"dcc_get_dotd_info" => (dependency_file(&words[1..]), 0),
        other => {
            eprintln!(
                "{}: no code of ours answers this",
                String::from_utf8_lossy(other)
            );
            (Vec::new(), ExitCode::DistccFailed.code())
        }
    };
    match io::stdout().write_all(&text) {
        Ok(()) => ProcessExit::from(status),
        Err(_) => ProcessExit::from(ExitCode::IoError.code()),
    }
}

fn extension(file: &[u8]) -> Vec<u8> {
    suffix(file).map_or(b"(NULL)".to_vec(), |suffix| [b".", suffix].concat())
}

/// A source, for distcc, is what a compile of it alone may leave this machine with.
fn kind_of_file(file: &[u8]) -> Vec<u8> {
    let command = CommandLine::parse(&[b"gcc".to_vec(), b"-c".to_vec(), file.to_vec()]);
    let source = matches!(verdict(&command), Distribution::Remote { .. });
    let source = if source { "source" } else { "not-source" };
    let preprocessed = if is_preprocessed(file) {
        "preprocessed"
    } else {
        "not-preprocessed"
    };
    format!("{source} {preprocessed}\n").into_bytes()
}

fn scanned(mut words: Vec<Word>) -> Vec<u8> {
    // As `distcc` itself does: a first word that can be no compiler means `cc`.
    if words
        .first()
        .is_some_and(|first| first.starts_with(b"-") || is_source(first) || is_object(first))
    {
        words.insert(0, b"cc".to_vec());
    }
    let command = CommandLine::parse(&words);
    let place = match verdict(&command) {
        Distribution::Remote { .. } => b"distribute",
        Distribution::Local(_) => b"local".as_slice(),
    };
    let or_null = |name: Option<Word>| name.unwrap_or_else(|| b"(NULL)".to_vec());
    let input = or_null(command.source().map(<[u8]>::to_vec));
    let output = or_null(command.output_file());
    [place, b" ", &input, b" ", &output, b"\n"].concat()
}

fn stripped(words: &[Word]) -> Vec<u8> {
    let mut line = CommandLine::parse(words)
        .for_remote_preprocessed()
        .join(&b' ');
    line.push(b'\n');
    line
}

fn hosts() -> Answer {
    let text = std::env::var_os("DISTCC_HOSTS").unwrap_or_default();
    let list = match host_list::parse(text.as_bytes()) {
        Ok(list) if !list.hosts.is_empty() => list,
        Ok(_) => {
            eprintln!("DISTCC_HOSTS contains no hosts");
            return (Vec::new(), ExitCode::BadHostSpec.code());
        }
        Err(error) => {
            eprintln!("{error}");
            return (Vec::new(), ExitCode::BadHostSpec.code());
        }
    };
    let mut text = format!("{}\n", list.hosts.len()).into_bytes();
    for host in &list.hosts {
        text.extend(described(host));
    }
    (text, 0)
}

fn described(host: &Host) -> Vec<u8> {
    let place = match &host.place {
        Place::Local => b"LOCAL".to_vec(),
        Place::Tcp { name, port } => {
            [b"TCP ", name.as_slice(), format!(" {port}").as_bytes()].concat()
        }
        Place::Ssh {
            user,
            name,
            command,
        } => {
            let user = user.as_deref().unwrap_or(b"(no-user)");
            let command = command.as_deref().unwrap_or(b"(no-command)");
            [b"SSH ", user, b" ", name, b" ", command].concat()
        }
    };
    [format!("{:4} ", host.slots).as_bytes(), &place, b"\n"].concat()
}

fn mask(words: &[Word]) -> Answer {
    let bad = (Vec::new(), ExitCode::BadArguments.code());
    let text = |index: usize| {
        words
            .get(index)
            .and_then(|word| std::str::from_utf8(word).ok())
    };
    let (Some(mask), Some(Ok(client))) = (text(0), text(1).map(str::parse::<IpAddr>)) else {
        return bad;
    };
    match Access::new(&[mask.to_owned()], false) {
        Err(error) => {
            eprintln!("{error}");
            bad
        }
        Ok(access) if access.allows(client) => (Vec::new(), 0),
        Ok(_) => (Vec::new(), ExitCode::AccessDenied.code()),
    }
}

fn dependency_file(words: &[Word]) -> Vec<u8> {
    let environment = std::env::var_os("DEPENDENCIES_OUTPUT").map(OsStringExt::into_vec);
    let environment = environment.as_deref();
    let command = CommandLine::parse(words);
    let written = command.dependency_file(environment);
    let needed = u8::from(written.is_some());
    // The name that would be used is asked for also where no file is written.
    let name = written.or_else(|| {
        let wanting = [words, &[b"-MD".to_vec()]].concat();
        CommandLine::parse(&wanting).dependency_file(None)
    });
    let name = name.map(|file| file.path).unwrap_or_default();
    let on_the_line = !command.dependencies().targets.is_empty();
    let named_elsewhere = command
        .dependency_targets(environment)
        .into_iter()
        .find(|(_, quoted)| !quoted)
        .filter(|_| !on_the_line);
    let target = named_elsewhere.map_or_else(|| b"None".to_vec(), |(target, _)| target);
    format!(
        "{{'dotd_fname':'{}', 'needs_dotd':{needed}, 'sets_dotd_target':{}, 'dotd_target':'{}'}}",
        String::from_utf8_lossy(&name),
        u8::from(on_the_line),
        String::from_utf8_lossy(&target)
    )
    .into_bytes()
}
