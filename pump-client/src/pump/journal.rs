//! The journal: one line for each job, which clients append and `pump` reads at the end. Owns nothing.
//!
//! A line is `time_ms TAB mode TAB host TAB status TAB reason TAB source TAB answer TAB why TAB times`; mode is `pump`, `plain` or `local`, answer
//! `hit`, `miss`, `none` or nothing. Lines of clients that do not write all of it count, too.

use super::times::Times;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How a job was done in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Preprocessed and compiled by a server.
    Pump,
    /// Preprocessed here, compiled by a server.
    Plain,
    /// Compiled here.
    Local,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// How it was done.
    pub mode: Mode,
    /// The server, or `localhost`; of a job that a server failed to do and that was done here: that server.
    pub host: String,
    /// The exit status.
    pub status: i32,
    /// Why it was not done in pump mode; empty if it was.
    pub reason: String,
    /// How the server came to its answer, if it said so.
    pub answer: Option<Answer>,
    /// The source, or what stands for it.
    pub source: String,
    /// When it was where.
    pub times: Option<Times>,
}

/// How a server came to its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It had done the same job before.
    Hit,
    /// It had not, and why; it keeps the result.
    Miss(String),
    /// It keeps no result of this job, and why.
    None(String),
}

/// Reads the lines from a byte offset on. Lines that are no journal lines are left out.
///
/// # Errors
/// When the file cannot be read; a missing file is an empty journal.
pub fn read(path: &Path, from: u64) -> io::Result<Vec<Job>> {
    let mut bytes = Vec::new();
    match std::fs::File::open(path) {
        Ok(mut file) => {
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut bytes)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(parse(&bytes))
}

/// Reads journal lines.
#[must_use]
pub fn parse(bytes: &[u8]) -> Vec<Job> {
    bytes
        .split(|&byte| byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

/// Reads one line, without its end.
#[must_use]
pub fn parse_line(line: &[u8]) -> Option<Job> {
    let line = String::from_utf8_lossy(line);
    let fields: Vec<&str> = line.split('\t').collect();
    let (&[_time, mode, host, status, reason, source], rest) = fields.split_first_chunk()?;
    let answer = match rest {
        ["hit", ..] => Some(Answer::Hit),
        ["miss", why, ..] => Some(Answer::Miss((*why).to_owned())),
        ["none", why, ..] => Some(Answer::None((*why).to_owned())),
        _ => None,
    };
    let mode = match mode {
        "pump" => Mode::Pump,
        "plain" => Mode::Plain,
        "local" => Mode::Local,
        _ => return None,
    };
    Some(Job {
        mode,
        host: host.to_owned(),
        status: status.trim().parse().ok()?,
        reason: reason.trim().to_owned(),
        answer,
        source: source.to_owned(),
        times: rest.get(2).and_then(|field| Times::parse(field)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_are_left_out() {
        let text = b"1\tpump\ta:3632\t0\t\ta.c\tmiss\tb.h has changed\t7 end+5\nnonsense\n2\tlocal\tlocalhost\t1\tno compile\tb.o\n3\tpump\ta";
        let jobs = parse(text);
        assert_eq!(jobs.len(), 2);
        assert_eq!(jobs[0].mode, Mode::Pump);
        let why = "b.h has changed".to_owned();
        assert_eq!(jobs[0].answer, Some(Answer::Miss(why)));
        assert_eq!(jobs[0].source, "a.c");
        assert_eq!(jobs[0].times.as_ref().map(Times::duration), Some(5));
        assert_eq!((&jobs[1].answer, &jobs[1].times), (&None, &None));
        assert_eq!((jobs[1].status, jobs[1].reason.as_str()), (1, "no compile"));
    }

    #[test]
    fn a_journal_is_read_from_where_the_session_began() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let old = "1\tpump\ta\t0\t\told.c\n";
        std::fs::write(file.path(), format!("{old}2\tplain\tb\t0\twhy\tnew.c\n"))
            .expect("it can be written");
        let jobs = read(file.path(), old.len() as u64).expect("it can be read");
        assert_eq!(
            jobs.iter().map(|job| job.host.as_str()).collect::<Vec<_>>(),
            ["b"]
        );
        assert!(
            read(Path::new("/nowhere/journal"), 0)
                .expect("nothing yet")
                .is_empty()
        );
    }
}
