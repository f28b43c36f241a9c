//! What a user sees while the compilers are asked: one line that is written over on a terminal, a line now and then
//! elsewhere. Owns the time of the last line.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::report::Tally;

/// Between two lines on a terminal: below that nobody can read it.
const ON_TERMINAL: Duration = Duration::from_millis(100);
/// Between two lines in a log.
const IN_LOG: Duration = Duration::from_secs(10);

/// The line on standard error.
pub(super) struct Progress {
    total: usize,
    terminal: bool,
    began: Instant,
    last: Instant,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let now = Instant::now();
        Self {
            total,
            terminal,
            began: now,
            last: now,
        }
    }

    /// Shows how far it is, unless it has just been shown.
    pub(super) fn show(&mut self, tally: &Tally) {
        let pause = if self.terminal { ON_TERMINAL } else { IN_LOG };
        if self.last.elapsed() < pause {
            return;
        }
        self.last = Instant::now();
        let line = line(tally, self.total, self.began.elapsed());
        // Nobody is lost when standard error is closed.
        let _ = match self.terminal {
            true => write!(std::io::stderr(), "\r\x1b[K{line}"),
            false => writeln!(std::io::stderr(), "{line}"),
        };
    }

    /// Leaves the terminal's line empty, for what comes on standard output.
    pub(super) fn clear(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(tally: &Tally, total: usize, elapsed: Duration) -> String {
    let done = tally.units;
    let mut line = format!("checked {done} of {total}");
    if tally.different > 0 {
        line += &format!(", {} DIFFERENT", tally.different);
    }
    if tally.declined > 0 {
        line += &format!(", {} declined", tally.declined);
    }
    if tally.refused > 0 {
        line += &format!(", {} refused by the compiler", tally.refused);
    }
    if done > 0 && done < total {
        let left = elapsed.as_secs_f64() / done as f64 * (total - done) as f64;
        line += &format!(", about {} left", shown_seconds(left.ceil() as u64));
    }
    line
}

fn shown_seconds(seconds: u64) -> String {
    match seconds {
        0..=90 => format!("{seconds} s"),
        _ => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_shows_at_once() {
        let tally = Tally {
            units: 50,
            different: 2,
            refused: 1,
            ..Tally::default()
        };
        let shown = line(&tally, 100, Duration::from_secs(200));
        let expected =
            "checked 50 of 100, 2 DIFFERENT, 1 refused by the compiler, about 4 min left";
        assert_eq!(shown, expected);
        let tally = Tally {
            units: 3,
            ..Tally::default()
        };
        assert_eq!(line(&tally, 3, Duration::ZERO), "checked 3 of 3");
    }
}
