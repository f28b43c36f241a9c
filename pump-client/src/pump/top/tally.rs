//! A session's counts, kept up to date by reading only what its journal has got since the last look. [`Tally`] owns the place
//! up to which it has read.

use super::super::journal::{self, Answer, Job, Mode};
use super::super::keeper::JournalStart;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes of the journal that are read in one look; the next look goes on. A build's whole journal is a few of these.
const PIECE: u64 = 8 << 20;

/// Different reasons that are counted apart; the rest is one. Reasons may name files, so a long build has many.
const REASONS: usize = 2000;

/// Jobs whose end is remembered, for the rate.
const ENDS: usize = 1000;

/// What stands for reasons beyond [`REASONS`].
const OTHERS: &str = "other reasons";

/// Why a job cost more than it had to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Done here.
    Local,
    /// Done here after a server had failed.
    Failed,
    /// Preprocessed here.
    Plain,
    /// Compiled, as there was no result yet.
    Miss,
    /// Compiled, and the result was not kept.
    NotKept,
}

/// The counts of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostTally {
    /// Jobs that it did.
    pub done: usize,
    /// Of those, jobs of which it said how it came to the answer.
    pub answered: usize,
    /// Of those, with an earlier result.
    pub hits: usize,
}

/// The counts of a session.
#[derive(Debug, Default)]
pub struct Tally {
    /// Jobs by how they were done: pump, plain, local.
    pub modes: [usize; 3],
    /// Jobs whose exit status is not 0.
    pub failed: usize,
    /// All hosts together.
    pub all: HostTally,
    /// Each host, as the journal names it.
    pub hosts: BTreeMap<String, HostTally>,
    /// Reasons with their counts.
    pub reasons: BTreeMap<(Kind, String), usize>,
    /// When the last jobs ended, by [`crate::timeline::now`].
    ends: VecDeque<u64>,
    /// Bytes of the journal that were counted; none before the first look.
    read: Option<u64>,
    /// The journal: it goes with its session, but what was written last is still to be read.
    file: Option<File>,
}

impl Tally {
    /// Jobs that ended in the last `span` microseconds before `now`.
    #[must_use]
    pub fn ended_within(&self, span: u64, now: u64) -> usize {
        let from = now.saturating_sub(span);
        self.ends.iter().filter(|&&end| end >= from).count()
    }

    /// Counts what is new. A journal that has become shorter is another one: it is counted anew.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn catch_up(&mut self, journal: &JournalStart) -> io::Result<()> {
        let mut file = match (File::open(&journal.path), self.file.take()) {
            (Ok(file), _) | (Err(_), Some(file)) => file,
            (Err(error), None) => return Err(error),
        };
        let length = file.metadata()?.len();
        let mut from = self.read.unwrap_or(journal.from);
        if length < from {
            *self = Self::default();
            from = journal.from.min(length);
        }
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        (&file).take(PIECE).read_to_end(&mut bytes)?;
        self.file = Some(file);
        // A line without its end is still being written.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n');
        let whole = match whole {
            Some(at) => at + 1,
            // Nothing that a client writes is as long as this.
            None if bytes.len() as u64 == PIECE => bytes.len(),
            None => 0,
        };
        for line in bytes[..whole].split(|&byte| byte == b'\n') {
            if let Some(job) = journal::parse_line(line) {
                self.add(job);
            }
        }
        self.read = Some(from + whole as u64);
        Ok(())
    }

    fn add(&mut self, job: Job) {
        self.modes[job.mode as usize] += 1;
        self.failed += usize::from(job.status != 0);
        if let Some(times) = &job.times {
            self.ends.push_back(times.end);
            if self.ends.len() > ENDS {
                self.ends.pop_front();
            }
        }
        let is_home = job.host == "localhost";
        match job.mode {
            Mode::Pump => {}
            Mode::Plain => self.count(Kind::Plain, job.reason),
            Mode::Local if is_home => self.count(Kind::Local, job.reason),
            Mode::Local => self.count(Kind::Failed, job.reason),
        }
        if job.mode == Mode::Local && !is_home {
            return;
        }
        let one = HostTally {
            done: 1,
            answered: usize::from(job.answer.is_some()),
            hits: usize::from(job.answer == Some(Answer::Hit)),
        };
        self.all.add(one);
        self.hosts.entry(job.host).or_default().add(one);
        match job.answer {
            Some(Answer::Miss(why)) => self.count(Kind::Miss, why),
            Some(Answer::None(why)) => self.count(Kind::NotKept, why),
            Some(Answer::Hit) | None => {}
        }
    }

    fn count(&mut self, kind: Kind, reason: String) {
        let reason = match reason.is_empty() {
            true => "no reason was given".to_owned(),
            false => reason,
        };
        let key = (kind, reason);
        if let Some(count) = self.reasons.get_mut(&key) {
            *count += 1;
        } else if self.reasons.len() < REASONS {
            self.reasons.insert(key, 1);
        } else {
            *self.reasons.entry((kind, OTHERS.to_owned())).or_default() += 1;
        }
    }
}

impl HostTally {
    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.answered += other.answered;
        self.hits += other.hits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_what_is_new_is_counted() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let old = "1\tpump\ta:1\t0\t\told.c\n";
        write!(file, "{old}").expect("it can be written");
        let journal = JournalStart {
            path: file.path().to_owned(),
            from: old.len() as u64,
        };
        let mut tally = Tally::default();
        tally.catch_up(&journal).expect("it can be read");
        assert_eq!(tally.modes, [0; 3]);
        write!(
            file,
            "2\tpump\ta:1\t0\t\ta.c\thit\t\t5 end+2\n3\tpump\ta:1\t1\t\tb.c\tmiss\tb.h has changed\t6 end+1\n4\tlocal\tloca"
        )
        .expect("it can be written");
        for _ in 0..2 {
            tally.catch_up(&journal).expect("it can be read");
            assert_eq!(tally.modes, [2, 0, 0]);
        }
        writeln!(file, "lhost\t0\ta link\tx\n5\tlocal\ta:1\t0\tit died\tx").expect("written");
        tally.catch_up(&journal).expect("it can be read");
        assert_eq!((tally.modes, tally.failed), ([2, 0, 2], 1));
        assert_eq!(tally.hosts["a:1"].hits, 1);
        assert_eq!(tally.all.answered, 2);
        assert_eq!(tally.ended_within(1, 8), 2);
        let reasons: Vec<_> = tally.reasons.keys().collect();
        assert_eq!(
            reasons,
            [
                &(Kind::Local, "a link".to_owned()),
                &(Kind::Failed, "it died".to_owned()),
                &(Kind::Miss, "b.h has changed".to_owned()),
            ]
        );
        // The session is over, and somebody else puts another file there.
        let path = file.path().with_extension("gone");
        std::fs::rename(file.path(), &path).expect("it can be renamed");
        writeln!(file, "6\tpump\ta:1\t0\t\tlast.c").expect("written");
        tally.catch_up(&journal).expect("it is still known");
        assert_eq!(tally.modes, [3, 0, 2]);
        std::fs::rename(&path, file.path()).expect("it can be renamed");
        file.as_file().set_len(0).expect("it can be emptied");
        tally.catch_up(&journal).expect("it can be read");
        assert_eq!(tally.modes, [0; 3]);
    }

    #[test]
    fn reasons_are_bounded() {
        let mut tally = Tally::default();
        for number in 0..REASONS + 50 {
            tally.count(Kind::Miss, format!("{number}.h has changed"));
        }
        assert_eq!(tally.reasons.len(), REASONS + 1);
        assert_eq!(tally.reasons[&(Kind::Miss, OTHERS.to_owned())], 50);
    }
}
