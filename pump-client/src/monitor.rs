//! `distccmon-text`: shows what the clients of this user do now, read from their state files. Owns no state.
//!
//! Output and exit codes are stock's. Other than stock, a job that runs longer than a minute stays on the list: only the
//! file of a process that is gone is removed.

use crate::environment::Environment;
use crate::job_state::{STATE_BYTES, STATE_MAGIC};
use crate::state_directory::StateDirectory;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// How long the file of a process that is gone may stay, in case its number means another machine's process.
const STALE: Duration = Duration::from_secs(60);

const USAGE: &str = "usage: distccmon-text [DELAY]

Shows the compile jobs that run now, one a line.

With DELAY, shows them again every DELAY seconds, which may have a fraction.
";

/// The phases' names, by their numbers. The last one is not shown.
const PHASES: [&str; 8] = [
    "Startup",
    "Blocked",
    "Connect",
    "Preprocess",
    "Send",
    "Compile",
    "Receive",
    "Done",
];
const DONE: i32 = 7;

/// One running job.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    /// The client's process.
    pub pid: u64,
    /// The number of its phase; see [`phase_name`].
    pub phase: i32,
    /// The source, without directories.
    pub file: Vec<u8>,
    /// The host's bare name.
    pub host: Vec<u8>,
    /// The host's slot.
    pub slot: i32,
    /// When the job began and when it came to its phase, if the system knows.
    pub since: Option<(SystemTime, SystemTime)>,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let delay = match words.as_slice() {
        [] => Some(Duration::ZERO),
        [word] => parse_delay(word.as_bytes()),
        _ => None,
    };
    let Some(delay) = delay else {
        eprint!("{USAGE}");
        return ExitCode::from(1);
    };
    let state = match StateDirectory::open(&Environment::read()) {
        Ok(state) => state.state_file(""),
        Err(error) => {
            eprintln!("distccmon-text: {error}");
            return ExitCode::from(protocol::exit_code::ExitCode::IoError.code());
        }
    };
    loop {
        let mut text = Vec::new();
        let complain = |problem: &str, path: &Path| {
            eprintln!("distccmon-text: {problem}: {}", path.display());
        };
        for job in running_jobs(&state, complain) {
            put_line(&mut text, &job);
        }
        text.push(b'\n');
        let mut stdout = io::stdout().lock();
        if stdout
            .write_all(&text)
            .and_then(|()| stdout.flush())
            .is_err()
        {
            // Nobody reads any more.
            return ExitCode::SUCCESS;
        }
        if delay.is_zero() {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(delay);
    }
}

/// Seconds with a fraction; nothing means 0, as stock has it.
fn parse_delay(word: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(word).ok()?;
    if text.is_empty() {
        return Some(Duration::ZERO);
    }
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// The jobs of all state files, by host and slot. Files that are no state files are complained of.
pub fn running_jobs(state: &Path, mut complain: impl FnMut(&str, &Path)) -> Vec<Job> {
    let mut jobs = Vec::new();
    for entry in std::fs::read_dir(state).into_iter().flatten().flatten() {
        if !entry.file_name().as_bytes().starts_with(b"binstate_") {
            continue;
        }
        let path = entry.path();
        // A client may remove its file at any moment.
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        let mut job = match parse_state(&bytes) {
            Ok(job) => job,
            Err(problem) => {
                complain(problem, &path);
                continue;
            }
        };
        if !is_running(job.pid) {
            remove_if_stale(&path);
        } else if job.phase != DONE {
            job.since = times_of(&entry);
            jobs.push(job);
        }
    }
    jobs.sort_by(|a, b| (&a.host, a.slot, a.pid).cmp(&(&b.host, b.slot, b.pid)));
    jobs
}

/// A client makes its file when it begins and writes it again at each phase.
fn times_of(entry: &std::fs::DirEntry) -> Option<(SystemTime, SystemTime)> {
    let meta = entry.metadata().ok()?;
    let written = meta.modified().ok()?;
    Some((meta.created().unwrap_or(written), written))
}

fn is_running(pid: u64) -> bool {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    // A process of another user cannot be signalled, but is there.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

fn remove_if_stale(path: &Path) {
    let age = std::fs::metadata(path)
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|written| SystemTime::now().duration_since(written).ok());
    if age.is_some_and(|age| age > STALE) {
        let _ = std::fs::remove_file(path);
    }
}

/// Reads a state file; its layout is in [`crate::job_state`].
pub(crate) fn parse_state(bytes: &[u8]) -> Result<Job, &'static str> {
    let bytes: &[u8; STATE_BYTES] = bytes.try_into().map_err(|_| "wrong size of a state file")?;
    let long = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
    let int = |at: usize| i32::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
    let name = |at: usize| {
        let field = &bytes[at..at + 128];
        field
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or(field)
            .to_vec()
    };
    if long(0) != STATE_BYTES as u64 {
        return Err("wrong size written in a state file");
    }
    if long(8) != STATE_MAGIC {
        return Err("wrong magic number in a state file");
    }
    Ok(Job {
        pid: long(16),
        file: name(24),
        host: name(152),
        slot: int(280),
        phase: int(284),
        since: None,
    })
}

/// A phase's name.
#[must_use]
pub fn phase_name(phase: i32) -> &'static str {
    let known = usize::try_from(phase)
        .ok()
        .and_then(|number| PHASES.get(number));
    known.copied().unwrap_or("???")
}

/// One line, laid out as stock's: `%6ld  %-10.10s  %-30.30s %24.24s[%d]`, by bytes.
pub(crate) fn put_line(text: &mut Vec<u8>, job: &Job) {
    let _ = write!(text, "{:>6}  ", job.pid);
    put_left(text, phase_name(job.phase).as_bytes(), 10);
    text.extend_from_slice(b"  ");
    put_left(text, &job.file, 30);
    text.push(b' ');
    let host = &job.host[..job.host.len().min(24)];
    text.resize(text.len() + 24 - host.len(), b' ');
    text.extend_from_slice(host);
    let _ = writeln!(text, "[{}]", job.slot);
}

fn put_left(text: &mut Vec<u8>, word: &[u8], width: usize) {
    let word = &word[..word.len().min(width)];
    text.extend_from_slice(word);
    text.resize(text.len() + width - word.len(), b' ');
}

/// A state file as a client writes it, for tests of those who read them.
#[cfg(test)]
pub(crate) fn example(pid: u64, file: &str, host: &str, slot: i32, phase: i32) -> Vec<u8> {
    let mut bytes = vec![0; STATE_BYTES];
    bytes[0..8].copy_from_slice(&(STATE_BYTES as u64).to_ne_bytes());
    bytes[8..16].copy_from_slice(&STATE_MAGIC.to_ne_bytes());
    bytes[16..24].copy_from_slice(&pid.to_ne_bytes());
    bytes[24..24 + file.len()].copy_from_slice(file.as_bytes());
    bytes[152..152 + host.len()].copy_from_slice(host.as_bytes());
    bytes[280..284].copy_from_slice(&slot.to_ne_bytes());
    bytes[284..288].copy_from_slice(&phase.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::example as state;
    use super::*;

    #[test]
    fn lines_are_laid_out_as_stocks() {
        let mut text = Vec::new();
        let long = state(11139, &"b".repeat(44), &"hosta".repeat(8), 0, 3);
        put_line(&mut text, &parse_state(&long).expect("a whole state"));
        put_line(
            &mut text,
            &parse_state(&state(1, "neg.c", "hostb", 10, 0)).expect("a whole state"),
        );
        // Printed by Debian's distccmon-text for the same two files.
        let wanted = " 11139  Preprocess  bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb hostahostahostahostahost[0]\n\
                      \x20    1  Startup     neg.c                                             hostb[10]\n";
        assert_eq!(String::from_utf8_lossy(&text), wanted);
    }

    #[test]
    fn jobs_come_by_host_and_slot_without_the_done_and_the_dead() {
        let dir = tempfile::tempdir().expect("a directory");
        let own = u64::from(std::process::id());
        let put = |name: &str, bytes: &[u8]| {
            std::fs::write(dir.path().join(name), bytes).expect("a file")
        };
        put("binstate_1", &state(own, "c.c", "b", 2, 5));
        put("binstate_2", &state(own, "b.c", "b", 1, 4));
        put("binstate_3", &state(own, "a.c", "a", 9, 5));
        put("binstate_4", &state(own, "done.c", "a", 0, DONE));
        put(
            "binstate_5",
            &state(u64::from(u32::MAX), "dead.c", "a", 0, 5),
        );
        put("binstate_6", b"short");
        put("other", &state(own, "other.c", "a", 0, 5));
        let mut complaints = 0;
        let files: Vec<_> = running_jobs(dir.path(), |_, _| complaints += 1)
            .into_iter()
            .map(|job| job.file)
            .collect();
        assert_eq!((files.len(), complaints), (3, 1));
        assert_eq!(files, [b"a.c", b"b.c", b"c.c"]);
        assert!(
            dir.path().join("binstate_5").exists(),
            "it is not stale yet"
        );
        let old = SystemTime::now() - STALE * 2;
        for name in ["binstate_5", "binstate_1"] {
            let file = std::fs::File::options()
                .write(true)
                .open(dir.path().join(name))
                .expect("a file");
            file.set_modified(old).expect("a time");
        }
        assert_eq!(running_jobs(dir.path(), |_, _| {}).len(), 3);
        assert!(!dir.path().join("binstate_5").exists());
        assert!(
            dir.path().join("binstate_1").exists(),
            "its process is there"
        );
    }

    #[test]
    fn damaged_files_are_named() {
        let mut bytes = state(1, "a.c", "a", 0, 5);
        bytes[8] ^= 1;
        assert_eq!(
            parse_state(&bytes),
            Err("wrong magic number in a state file")
        );
        bytes[0] ^= 1;
        assert_eq!(
            parse_state(&bytes),
            Err("wrong size written in a state file")
        );
        for length in 0..STATE_BYTES {
            assert!(parse_state(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn delays() {
        assert_eq!(parse_delay(b"0.5"), Some(Duration::from_millis(500)));
        assert_eq!(parse_delay(b""), Some(Duration::ZERO));
        for bad in ["x", "-1", "1s", "inf", "nan", "1e300"] {
            assert_eq!(parse_delay(bad.as_bytes()), None, "{bad}");
        }
    }
}
