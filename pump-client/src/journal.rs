//! One line a job, for `pump`: `time_ms mode host status reason source answer why times`, separated by tabs. `answer` and `why` say how a
//! server came to its answer: `hit`, `miss` or `none`, and why in its words; they are empty where it did not say. `times` is told in
//! [`crate::timeline`].
//!
//! Written only when `PUMPHOUSE_JOURNAL` names the file; one `O_APPEND` write, so that lines of parallel jobs do not
//! mix. Owns no state.

use crate::log;
use protocol::bundle::reply::{Fate, Note};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// How a job was done in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The server preprocessed and compiled.
    Pump,
    /// Preprocessed here, compiled there.
    Plain,
    /// All here.
    Local,
}

impl Mode {
    /// The word in the journal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pump => "pump",
            Self::Plain => "plain",
            Self::Local => "local",
        }
    }
}

/// One job's line.
#[derive(Debug)]
pub struct Entry<'a> {
    /// How it was done.
    pub mode: Mode,
    /// Where.
    pub host: &'a [u8],
    /// Exit code.
    pub status: u8,
    /// Why not in pump mode; empty if it was.
    pub reason: &'a str,
    /// The source, or what stands for it.
    pub source: &'a [u8],
    /// How the server came to its answer, if it said so.
    pub answer: Option<&'a Note>,
    /// When it came to its steps; see [`crate::timeline`].
    pub times: &'a [u8],
}

impl Entry<'_> {
    pub(crate) fn encode(&self, time_ms: u128) -> Vec<u8> {
        let mut line = Vec::with_capacity(400);
        // Writing to a vector cannot fail.
        let _ = write!(line, "{time_ms}\t{}\t", self.mode.word());
        put_field(&mut line, self.host);
        let _ = write!(line, "\t{}\t", self.status);
        put_field(&mut line, self.reason.as_bytes());
        line.push(b'\t');
        put_field(&mut line, self.source);
        let (answer, why) = self
            .answer
            .map_or(("", ""), |note| (word(note.fate), note.text.as_str()));
        let _ = write!(line, "\t{answer}\t");
        put_field(&mut line, why.as_bytes());
        line.push(b'\t');
        put_field(&mut line, self.times);
        line.push(b'\n');
        line
    }
}

/// How a server came to its answer, as the journal has it.
const fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Hit => "hit",
        Fate::Compiled => "miss",
        Fate::NotKept => "none",
    }
}

/// Tabs and newlines would break the line up; blanks take their place.
fn put_field(line: &mut Vec<u8>, field: &[u8]) {
    line.extend(field.iter().map(|&b| {
        if matches!(b, b'\t' | b'\n' | b'\r') {
            b' '
        } else {
            b
        }
    }));
}

/// Appends the line. A journal that cannot be written is only worth a debug message: the job is done.
pub fn append(path: &Path, entry: &Entry<'_>) {
    let time_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(&entry.encode(time_ms)));
    if let Err(error) = written {
        log::debug!("cannot write {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cannot_break_the_line() {
        let entry = Entry {
            mode: Mode::Local,
            host: b"localhost",
            status: 3,
            reason: "a\tb\nc",
            source: b"x\ty.c",
            answer: None,
            times: b"12 end+3",
        };
        assert_eq!(
            entry.encode(7),
            b"7\tlocal\tlocalhost\t3\ta b c\tx y.c\t\t\t12 end+3\n"
        );
        let note = Note {
            fate: Fate::Compiled,
            text: "a.h\thas changed".to_owned(),
        };
        let entry = Entry {
            answer: Some(&note),
            ..entry
        };
        assert!(
            entry
                .encode(7)
                .ends_with(b"\tmiss\ta.h has changed\t12 end+3\n")
        );
    }
}
