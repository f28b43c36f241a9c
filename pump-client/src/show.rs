//! What `distcc` prints about itself: `--version`, `--help`, `--show-hosts`, `-j`.
//!
//! Owns the texts. The first two lines of the version are what scripts and build systems look for.

use crate::cross;
use crate::environment::Environment;
use crate::host_list;
use crate::log;
use protocol::exit_code::ExitCode;
use std::io::Write;

/// The version of distcc whose behaviour this client has.
pub const COMPATIBLE_VERSION: &str = "3.4";

/// `--version`.
#[must_use]
pub fn version() -> String {
    format!(
        "distcc {COMPATIBLE_VERSION} {}\n  (protocols 1, 2 and 3) (default port {})\n  Pumphouse {} (pump client)\n\
         This is free software under the GNU General Public License, version 2 or later; there is NO WARRANTY.\n",
        cross::version_triple(),
        host_list::DEFAULT_PORT,
        env!("CARGO_PKG_VERSION"),
    )
}

/// `--help`.
#[must_use]
pub fn help() -> &'static str {
    "\
Usage:
   distcc [COMPILER] [compile options] -o OBJECT -c SOURCE
   distcc --scan-includes COMPILER [compile options] -c SOURCE
   distcc [--help|--version|--show-hosts|-j]

Options (only as the first word):
   COMPILER          The compiler to run; \"cc\" if it is left out.
   --help            Show this text, and exit.
   --version         Show the version, and exit.
   --show-hosts      Show the list of hosts, one a line, and exit.
   -j                Show how many jobs the hosts take together, and exit.
   --scan-includes   Show the files that would be sent in pump mode, and exit.

Environment (see distcc(1) for all of it):
   DISTCC_HOSTS      The list of hosts.
   DISTCC_DIR        Directory of locks, states and the file \"hosts\" (~/.distcc).
   DISTCC_VERBOSE=1  Show everything that happens.
   DISTCC_LOG        Write messages to this file.
   DISTCC_FALLBACK=0 Never compile here what should have been compiled elsewhere.
   DISTCC_SSH        The command that opens ssh connections.
   DISTCC_SOCKS_PROXY
                     A SOCKS5 proxy: path of a unix socket, or HOST:PORT.

Hosts are read from $DISTCC_HOSTS, $DISTCC_DIR/hosts or /etc/distcc/hosts:
   localhost[/N]               Here, without network.
   HOST[:PORT][/N][,OPTION...] A TCP server; port 3632, 4 jobs at a time.
   [USER]@HOST[/N][:COMMAND]   A server started through ssh.
   HOST,lzo                    Compress.
   HOST,cpp,lzo                Pump mode: the server preprocesses.
   +zeroconf                   Servers that are found on the local network.
   --randomize                 Use the hosts in another order each time.
   --localslots=N              Compiles here at a time (4).
   --localslots_cpp=N          Preprocessors here at a time (8).
"
}

/// `--show-hosts`: the tokens as written, `--randomize` applied.
#[must_use]
pub fn show_hosts(environment: &Environment) -> u8 {
    with_hosts(environment, |list| {
        let mut text = Vec::new();
        for host in &list.hosts {
            text.extend_from_slice(&host.spec);
            text.push(b'\n');
        }
        text
    })
}

/// `-j`: the sum of all slots.
#[must_use]
pub fn concurrency(environment: &Environment) -> u8 {
    with_hosts(environment, |list| {
        let slots: u64 = list.hosts.iter().map(|host| u64::from(host.slots)).sum();
        format!("{slots}\n").into_bytes()
    })
}

fn with_hosts(environment: &Environment, text: impl FnOnce(&host_list::HostList) -> Vec<u8>) -> u8 {
    match host_list::load(environment) {
        Ok(list) => print(&text(&list)),
        Err(error) => {
            log::critical!("Failed to get host list: {error}");
            error.exit_code().code()
        }
    }
}

/// Writes to standard output; a failure is a failure of the command, whose only purpose this is.
#[must_use]
pub fn print(text: &[u8]) -> u8 {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Ok(()) => 0,
        Err(error) => {
            log::error!("cannot write to standard output: {error}");
            ExitCode::IoError.code()
        }
    }
}
