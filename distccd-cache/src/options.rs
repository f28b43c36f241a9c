//! What the user typed: stock distccd's options, and nothing derived from them. Owns the table of options.
//!
//! Like stock's, every option takes its value as `--x=V` or `--x V`, a later one replaces an earlier one, and words
//! that are no options are ignored. Whatever is wrong here ends the program with exit code 101.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::admission::QUEUE;
use crate::sandbox::SandboxPolicy;

/// The first two lines are stock's, for scripts that look at them; the third says who we are.
const VERSION: &str = concat!(
    "3.4 x86_64-pc-linux-gnu\n",
    "  (protocols 1, 2 and 3) (default port 3632)\n",
    "Pumphouse ",
    env!("CARGO_PKG_VERSION"),
    ": a distcc server compatible with distcc 3.4; GPL-2.0-or-later, without any warranty"
);

/// The default port, as IANA has it for distcc.
pub const DEFAULT_PORT: u16 = 3632;

/// The default port of the statistics page.
pub const DEFAULT_STATS_PORT: u16 = 3633;

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// How much alike a client's compiler and this server's must be; see `protocol::identity::Policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SameCompiler {
    /// Release, target, defaults and assembler.
    Alike,
    /// Also how it was configured.
    Described,
    /// Also the bytes of its programs and libraries.
    Exact,
}

/// distccd's command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "distccd",
    version = VERSION,
    about = "Compiles files that distcc clients send. Run it on trusted networks only.",
    args_override_self = true,
    disable_version_flag = true,
    disable_help_flag = true
)]
pub struct Options {
    /// Explain usage and exit
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Show version and exit
    #[arg(long, action = clap::ArgAction::Version)]
    version: Option<bool>,

    /// Listen on a socket (the default unless standard input is a socket)
    #[arg(long, help_heading = "Mode of operation")]
    pub daemon: bool,
    /// Serve the one client that is connected to standard input and output
    #[arg(long, help_heading = "Mode of operation", conflicts_with = "daemon")]
    pub inetd: bool,
    /// Stay in the foreground
    #[arg(long, help_heading = "Mode of operation")]
    pub no_detach: bool,
    /// Accepted for stock's sake: this daemon never forks to serve
    #[arg(long, help_heading = "Mode of operation")]
    pub no_fork: bool,
    /// Accepted for stock's sake
    #[arg(long, hide = true)]
    pub no_fifo: bool,
    /// Debugging: --log-stderr --daemon --no-detach --log-level debug
    #[arg(short = 'W', long, help_heading = "Mode of operation")]
    pub wizard: bool,
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS", hide = true)]
    pub lifetime: Option<u64>,

    /// TCP port to listen on
    #[arg(short, long, value_name = "PORT", default_value_t = DEFAULT_PORT, help_heading = "Networking",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Address to listen on (default: all)
    #[arg(long, value_name = "ADDRESS", help_heading = "Networking")]
    pub listen: Option<String>,
    /// Serve these clients: address, network or host name; may be repeated
    #[arg(short, long, value_name = "IP[/BITS]", help_heading = "Networking")]
    pub allow: Vec<String>,
    /// Serve clients on private networks (the default when nothing is allowed)
    #[arg(long, help_heading = "Networking")]
    pub allow_private: bool,
    /// Serve statistics over HTTP: a page for browsers at /pumphouse, /metrics for Prometheus, stock's page at all other paths
    #[arg(long, help_heading = "Networking")]
    pub stats: bool,
    /// TCP port of the statistics page
    #[arg(long, value_name = "PORT", default_value_t = DEFAULT_STATS_PORT, help_heading = "Networking",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub stats_port: u16,
    /// Announce this server on the local network (mDNS), for clients with +zeroconf
    #[arg(long, help_heading = "Networking")]
    pub zeroconf: bool,
    /// Refused: GSS-API is not built in
    #[arg(long, help_heading = "Networking")]
    pub auth: bool,
    /// Refused: GSS-API is not built in
    #[arg(long, hide = true)]
    pub show_principal: bool,
    /// Refused: GSS-API is not built in
    #[arg(long, value_name = "FILE", hide = true)]
    pub blacklist: Option<PathBuf>,
    /// Refused: GSS-API is not built in
    #[arg(long, value_name = "FILE", hide = true)]
    pub whitelist: Option<PathBuf>,

    /// Compiles at a time (default: processors + 2)
    #[arg(short, long, value_name = "LIMIT", help_heading = "Jobs",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub jobs: Option<u32>,
    /// Jobs that wait for a slot, machine by machine in turn; more are turned away
    #[arg(long, value_name = "LIMIT", default_value_t = QUEUE, help_heading = "Jobs",
          value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub queue: u32,
    /// Kill a compile that takes longer; 0 is never
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        help_heading = "Jobs"
    )]
    pub job_lifetime: u64,
    /// Lower the priority of compilers, 20 is lowest
    #[arg(
        short = 'N',
        long,
        value_name = "LEVEL",
        default_value_t = 5,
        help_heading = "Jobs",
        allow_negative_numbers = true
    )]
    pub nice: i32,
    /// Make the kernel prefer (1..1000) or spare (-1..-1000) this daemon's processes when memory runs out
    #[arg(long, value_name = "N", help_heading = "Jobs", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub oom_score_adj: Option<i32>,
    /// Allow -specs=FILE when FILE is a regular file below this directory
    #[arg(long, value_name = "DIR", help_heading = "Jobs")]
    pub sysroot: Option<PathBuf>,

    /// Keep clients' files in this directory, so that they cross the wire once (default: a directory of this run's own in TMPDIR)
    #[arg(long, value_name = "DIR", help_heading = "Cache")]
    pub cache_dir: Option<PathBuf>,
    /// Keep at most so many bytes; K, M, G and T stand for powers of 1024
    #[arg(long, value_name = "SIZE", default_value = "5G", help_heading = "Cache", value_parser = size)]
    pub cache_size: u64,

    /// Keep the results of compiles there, too, and give them to whoever asks for the same again
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t = Switch::Yes, help_heading = "Cache")]
    pub cache_results: Switch,

    /// Confine compilers by namespaces, seccomp and Landlock: as far as this system can, or else not start, or not at all
    #[arg(long, value_name = "HOW", value_enum, default_value_t = SandboxPolicy::Auto, help_heading = "Security")]
    pub sandbox: SandboxPolicy,
    /// Without namespaces: let compilers read and run what is below this directory, too; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Security")]
    pub sandbox_read: Vec<PathBuf>,
    /// Memory of one compile; 0 is no limit (default: three quarters of the machine's, or of what a control group leaves)
    #[arg(long, value_name = "SIZE", help_heading = "Jobs", value_parser = size)]
    pub job_memory: Option<u64>,

    /// Start no further compile while less memory than this is available; 0 is no limit (default: a twentieth of the machine's)
    #[arg(long, value_name = "SIZE", help_heading = "Jobs", value_parser = size)]
    pub min_free_memory: Option<u64>,

    /// When this server's compiler counts as the client's: built alike, the same by all that it says of itself, or with the same bytes
    #[arg(long, value_name = "HOW", value_enum, default_value_t = SameCompiler::Described, help_heading = "Security")]
    pub same_compiler: SameCompiler,

    /// User to become when started by root (default: distcc, distccd or nobody)
    #[arg(long, value_name = "USER", help_heading = "Security")]
    pub user: Option<OsString>,
    /// Run whatever program a client names: turns off the whitelist of compilers
    #[arg(long, help_heading = "Security")]
    pub enable_tcp_insecure: bool,
    /// The same as --enable-tcp-insecure
    #[arg(long, hide = true)]
    pub make_me_a_botnet: bool,

    /// Save the daemon's process id to this file
    #[arg(short = 'P', long, value_name = "FILE", help_heading = "Messages")]
    pub pid_file: Option<PathBuf>,
    /// Append messages to this file instead of syslog
    #[arg(long, value_name = "FILE", help_heading = "Messages")]
    pub log_file: Option<PathBuf>,
    /// Detail of messages: critical, error, warning, notice, info, debug
    #[arg(long, value_name = "LEVEL", help_heading = "Messages")]
    pub log_level: Option<String>,
    /// Send messages to standard error
    #[arg(long, help_heading = "Messages")]
    pub log_stderr: bool,
    /// The same as --log-level debug
    #[arg(long, help_heading = "Messages")]
    pub verbose: bool,

    /// Words that are no options
    #[arg(hide = true)]
    pub ignored: Vec<OsString>,
}

/// A number of bytes.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        unit => return Err(format!("{unit} is no unit: use K, M, G or T")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a number of bytes".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}

impl Options {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// What to print and where; see [`clap::Error`]. `--help` and `--version` arrive as errors, too.
    pub fn parse_from_words<I>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator,
        I::Item: Into<OsString> + Clone,
    {
        let mut options = Self::try_parse_from(words)?;
        if options.wizard {
            options.log_stderr = true;
            options.daemon = true;
            options.no_detach = true;
            options.verbose = true;
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::parse_from_words(["distccd"].into_iter().chain(line.split_whitespace()))
    }

    fn good(line: &str) -> Options {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn every_option_of_stock_in_both_spellings() {
        for line in [
            "--daemon",
            "--inetd",
            "--no-detach",
            "--no-fork",
            "--no-fifo",
            "--wizard",
            "-W",
            "--lifetime 5",
            "--lifetime=5",
            "--port 1",
            "--port=65535",
            "-p 4000",
            "-p4000",
            "--listen 127.0.0.1",
            "--listen=::1",
            "--allow 10.0.0.0/8",
            "--allow=10.0.0.0/8",
            "-a localhost",
            "--allow-private",
            "--stats",
            "--stats-port 4001",
            "--stats-port=4001",
            "--zeroconf",
            "--auth",
            "--show-principal",
            "--blacklist=/x",
            "--whitelist=/x",
            "--jobs 4",
            "--jobs=4",
            "-j 4",
            "-j4",
            "--job-lifetime 9",
            "--job-lifetime=9",
            "--nice 3",
            "--nice=-3",
            "--nice -3",
            "-N 3",
            "--oom-score-adj -500",
            "--oom-score-adj=500",
            "--sysroot /opt",
            "--sysroot=/opt",
            "--same-compiler exact",
            "--same-compiler=alike",
            "--sandbox required",
            "--sandbox=off",
            "--sandbox-read /x",
            "--sandbox-read=/x",
            "--job-memory 4G",
            "--job-memory=0",
            "--min-free-memory 1G",
            "--min-free-memory=0",
            "--queue 50",
            "--queue=0",
            "--cache-dir /x",
            "--cache-dir=/x",
            "--cache-size 10G",
            "--cache-size=512M",
            "--cache-results no",
            "--cache-results=yes",
            "--user nobody",
            "--user=nobody",
            "--enable-tcp-insecure",
            "--make-me-a-botnet",
            "--pid-file /run/x",
            "--pid-file=/run/x",
            "-P /run/x",
            "--log-file /x",
            "--log-file=/x",
            "--log-level debug",
            "--log-level=debug",
            "--log-stderr",
            "--verbose",
            "words that are no options",
        ] {
            good(line);
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for line in [
            "--bogus",
            "-Z",
            "--port 0",
            "--port 65536",
            "--port x",
            "--port",
            "--jobs 0",
            "--jobs -1",
            "--jobs many",
            "--nice",
            "--nice low",
            "--stats-port 0",
            "--job-lifetime -1",
            "--lifetime soon",
            "--sandbox maybe",
            "--job-memory much",
            "--min-free-memory much",
            "--queue -1",
            "--queue long",
            "--cache-size much",
            "--cache-size 5X",
            "--cache-size 99999999999T",
            "--oom-score-adj 1001",
            "--daemon --inetd",
            "--daemon=yes",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_later_value_replaces_an_earlier_one_except_for_allow() {
        let options = good("--daemon --daemon -p 5 --port 6 --allow 1.1.1.1 -a 2.2.2.2 -j 3 -j 4");
        assert_eq!(options.port, 6);
        assert_eq!(options.jobs, Some(4));
        assert_eq!(options.allow, ["1.1.1.1", "2.2.2.2"]);
    }

    #[test]
    fn defaults_are_stocks() {
        let options = good("");
        assert_eq!(options.port, 3632);
        assert_eq!(options.stats_port, 3633);
        assert_eq!(options.nice, 5);
        assert_eq!(options.job_lifetime, 0);
        assert!(!options.enable_tcp_insecure && !options.stats && options.jobs.is_none());
    }

    #[test]
    fn the_wizard_is_an_abbreviation() {
        let options = good("--wizard");
        assert!(options.daemon && options.no_detach && options.log_stderr && options.verbose);
    }

    #[test]
    fn version_begins_as_stocks_does() {
        let text = parse("--version").unwrap_err().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "distccd 3.4 x86_64-pc-linux-gnu");
        assert_eq!(lines[1], "  (protocols 1, 2 and 3) (default port 3632)");
        assert!(lines[2].contains("Pumphouse"));
    }
}
