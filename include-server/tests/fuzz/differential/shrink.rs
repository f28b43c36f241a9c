//! Makes a failing case small: fewer options, files, lines, and then tokens, as long as it fails.

use std::path::Path;

use super::case::{Case, Content, Entry, SETTLED};
use super::judge::{Judge, Verdict, Way};

/// Tries a smaller case at most so many times.
const TRIES: usize = 3000;

struct Shrinker<'j> {
    judge: &'j mut Judge,
    cwd: &'j Path,
    tries: usize,
    /// A file that must stay among those that differ, so that one failure does not turn into another.
    anchor: Option<String>,
    /// Whether the failure is one of memory.
    forgetful: bool,
}

/// The smallest case found that still fails in the same file as `verdict` says.
pub fn shrink(case: &Case, verdict: &Verdict, judge: &mut Judge, cwd: &Path) -> Case {
    let anchor = match verdict {
        Verdict::Different(difference) => {
            let mut files = difference.missing.iter().chain(&difference.extra);
            files.next().cloned()
        }
        _ => None,
    };
    let mut shrinker = Shrinker {
        judge,
        cwd,
        forgetful: matches!(verdict, Verdict::Forgetful(_)),
        tries: TRIES,
        anchor,
    };
    let mut best = case.clone();
    loop {
        let measure = |case: &Case| (size(case), case.options.len(), case.relatives.len());
        let before = measure(&best);
        shrinker.relatives(&mut best);
        shrinker.options(&mut best);
        shrinker.flags(&mut best);
        shrinker.entries(&mut best);
        shrinker.pieces(&mut best, lines);
        shrinker.pieces(&mut best, tokens);
        if measure(&best) == before || shrinker.tries == 0 {
            return best;
        }
    }
}

fn size(case: &Case) -> usize {
    let bytes = |entry: &Entry| match &entry.content {
        Content::File(bytes) => bytes.len() + 1,
        _ => 1,
    };
    case.tree.iter().map(bytes).sum()
}

impl Shrinker<'_> {
    fn fails(&mut self, case: &Case) -> bool {
        let Some(tries) = self.tries.checked_sub(1) else {
            return false;
        };
        self.tries = tries;
        if case.plant(self.cwd).is_err() {
            return false;
        }
        if !case.relatives.is_empty() {
            // What one compile leaves to the next one would show in nothing else.
            self.judge.refresh();
            std::thread::sleep(SETTLED);
        }
        match self.judge.judge(case, self.cwd, Way::Cheap) {
            Verdict::Panicked(_) => true,
            Verdict::Forgetful(_) => self.forgetful,
            Verdict::Different(_) if self.forgetful => false,
            Verdict::Different(difference) => self.anchor.as_ref().is_none_or(|anchor| {
                difference.missing.contains(anchor) || difference.extra.contains(anchor)
            }),
            _ => false,
        }
    }

    fn relatives(&mut self, best: &mut Case) {
        for at in (0..best.relatives.len()).rev() {
            let mut smaller = best.clone();
            smaller.relatives.remove(at);
            if self.fails(&smaller) {
                *best = smaller;
                continue;
            }
            for option in (0..best.relatives[at].options.len()).rev() {
                let mut smaller = best.clone();
                smaller.relatives[at].options.remove(option);
                if self.fails(&smaller) {
                    *best = smaller;
                }
            }
        }
    }

    fn options(&mut self, best: &mut Case) {
        for at in (0..best.options.len()).rev() {
            let mut smaller = best.clone();
            smaller.options.remove(at);
            if self.fails(&smaller) {
                *best = smaller;
            }
        }
    }

    fn flags(&mut self, best: &mut Case) {
        for at in (0..best.setup.flags.len()).rev() {
            let mut smaller = best.clone();
            smaller.setup.flags.remove(at);
            if self.fails(&smaller) {
                *best = smaller;
            }
        }
    }

    fn entries(&mut self, best: &mut Case) {
        for at in (0..best.tree.len()).rev() {
            let mut smaller = best.clone();
            smaller.tree.remove(at);
            if self.fails(&smaller) {
                *best = smaller;
                continue;
            }
            let empty = Content::File(Vec::new());
            if matches!(
                best.tree[at].content,
                Content::Link(_) | Content::HardLink(_)
            ) {
                let mut smaller = best.clone();
                smaller.tree[at].content = empty;
                if self.fails(&smaller) {
                    *best = smaller;
                }
            }
        }
    }

    /// Removes runs of the pieces that `split` makes of each file: half of them, a quarter, and so on.
    fn pieces(&mut self, best: &mut Case, split: fn(&[u8]) -> Vec<Vec<u8>>) {
        for at in 0..best.tree.len() {
            let Content::File(bytes) = &best.tree[at].content else {
                continue;
            };
            let mut pieces = split(bytes);
            let mut run = pieces.len().div_ceil(2);
            while run > 0 {
                let mut from = 0;
                while from < pieces.len() {
                    let mut fewer = pieces.clone();
                    fewer.drain(from..(from + run).min(pieces.len()));
                    let mut smaller = best.clone();
                    smaller.tree[at].content = Content::File(fewer.concat());
                    if self.fails(&smaller) {
                        pieces = fewer;
                        *best = smaller;
                    } else {
                        from += run;
                    }
                }
                run /= 2;
            }
        }
    }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    lines.map(<[u8]>::to_vec).collect()
}

/// Words, and every other byte by itself.
fn tokens(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    for &byte in bytes {
        match pieces.last_mut() {
            Some(last) if is_word(byte) && last.last().copied().is_some_and(is_word) => {
                last.push(byte);
            }
            _ => pieces.push(vec![byte]),
        }
    }
    pieces
}
