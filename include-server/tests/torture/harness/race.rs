//! A second writer that changes files during scans. Each text that an answer ships must be one that the name led to at
//! some moment between question and answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::dice::Dice;
use super::text::Author;
use super::tree::{self, Unit};
use super::witness::Witness;

/// What a name led to, from a moment on.
struct State {
    /// Just before the change was begun.
    begun: Instant,
    text: Vec<u8>,
    /// A text that is written in place may be seen half-written.
    in_place: bool,
}

/// All that the writer's names ever led to.
type History = BTreeMap<PathBuf, Vec<State>>;

/// What a race came to.
#[derive(Default)]
pub struct Score {
    /// Changes made by the second writer.
    pub writes: usize,
    /// Answers during them.
    pub answers: usize,
    /// Texts of the writer's names in those answers.
    pub texts: usize,
    /// Texts that were seen half-written.
    pub mixtures: usize,
}

/// Lets a second writer change `names` while `unit` is asked about again and again.
///
/// # Errors
/// What was shipped that never was.
pub fn run(
    unit: &Unit,
    witness: &Witness,
    names: &[PathBuf],
    (mut dice, author): (Dice, Author),
    writes: usize,
) -> Result<Score, String> {
    let names = &separate(names);
    let start = Instant::now();
    let first = |path: &PathBuf| {
        let text = fs::read(path).ok()?;
        let state = State {
            begun: start,
            text,
            in_place: false,
        };
        Some((path.clone(), vec![state]))
    };
    let history: Mutex<History> = Mutex::new(names.iter().filter_map(first).collect());
    let done = AtomicBool::new(false);
    let query = unit.query();
    let mut answers = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = Writer {
                author,
                history: &history,
            };
            for _ in 0..writes {
                if names.is_empty() {
                    break;
                }
                let name = dice.pick(names).clone();
                writer.change(&mut dice, &name);
                if dice.chance(30) {
                    std::thread::yield_now();
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            let asked = Instant::now();
            if let Ok(told) = witness.ask(&query) {
                answers.push((asked, Instant::now(), told));
            }
        }
    });
    let history = history.into_inner().map_err(|error| error.to_string())?;
    let mut score = Score {
        writes,
        answers: answers.len(),
        ..Score::default()
    };
    for (asked, answered, told) in answers {
        let shipped = told.texts.iter().map(|(name, text)| {
            let path = unit.cwd.join(name);
            (tidy(&path), text)
        });
        let laid_out = told.files.iter().map(|(path, text)| (path.clone(), text));
        for (path, text) in shipped.chain(laid_out) {
            let Some(states) = history.get(&path) else {
                continue;
            };
            score.texts += 1;
            match judge(states, text, asked, answered) {
                Seen::Whole => {}
                Seen::Mixture => score.mixtures += 1,
                Seen::Never => {
                    return Err(format!(
                        "{} was shipped with a text that it did not hold between question and answer ({} changes, \
                         question after {:?}, answer after {:?}):\n{}\n{}",
                        path.display(),
                        states.len(),
                        asked - start,
                        answered - start,
                        String::from_utf8_lossy(text),
                        times(states, start),
                    ));
                }
            }
        }
    }
    Ok(score)
}

/// The names as files of their own: no other name leads to them, and none of them leads to another.
fn separate(names: &[PathBuf]) -> Vec<PathBuf> {
    let renew = |path: &&PathBuf| {
        let aside = path.with_extension("race");
        let text = fs::read(path)?;
        let _ = fs::remove_file(&aside);
        fs::write(&aside, text)?;
        fs::rename(&aside, path)
    };
    let renewed: BTreeSet<&PathBuf> = names.iter().filter(|path| renew(path).is_ok()).collect();
    let mut identities = BTreeSet::new();
    let single = |path: &&PathBuf| {
        // A directory may have two names, by a mount.
        fs::symlink_metadata(path).is_ok_and(|found| identities.insert((found.dev(), found.ino())))
    };
    renewed.into_iter().filter(single).cloned().collect()
}

fn times(states: &[State], start: Instant) -> String {
    let line = |state: &State| {
        let mark = String::from_utf8_lossy(&state.text[..state.text.len().min(14)]).into_owned();
        format!(
            "  after {:?}: {} ({} bytes)\n",
            state.begun - start,
            mark.trim(),
            state.text.len()
        )
    };
    states.iter().map(line).collect()
}

/// A path without `.` and without `..` after plain directories: the writer's names have no links before their last part
/// (see the choice of names), so the text decides.
fn tidy(path: &Path) -> PathBuf {
    match (path.parent().map(fs::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

enum Seen {
    Whole,
    Mixture,
    Never,
}

/// Whether `text` was there between the two moments.
fn judge(states: &[State], text: &[u8], asked: Instant, answered: Instant) -> Seen {
    let mut mixable = Vec::new();
    for (index, state) in states.iter().enumerate() {
        // The next change ends after it was begun, at the latest when the one after it begins.
        let ended = states.get(index + 2).map(|after| after.begun);
        let possible = state.begun <= answered && ended.is_none_or(|ended| ended >= asked);
        if !possible {
            continue;
        }
        if state.text == text {
            return Seen::Whole;
        }
        mixable.push(state);
    }
    let in_place = mixable.iter().any(|state| state.in_place);
    // Half-written: each line is that of a text which was being written then (an empty file has none).
    let known = |line: &[u8]| {
        mixable.iter().any(|state| {
            state
                .text
                .split(|&byte| byte == b'\n')
                .any(|other| other.starts_with(line))
        })
    };
    match in_place && text.split(|&byte| byte == b'\n').all(known) {
        true => Seen::Mixture,
        false => Seen::Never,
    }
}

struct Writer<'a> {
    author: Author,
    history: &'a Mutex<History>,
}

impl Writer<'_> {
    /// Writes a change down, then makes it. The lock is not held meanwhile: readers do not wait for the writer.
    fn change(&mut self, dice: &mut Dice, path: &Path) {
        let size = fs::metadata(path).map(|found| found.len() as usize).ok();
        let kind = dice.below(5);
        let wanted = size.filter(|_| kind < 3);
        let text = self.author.header(dice, tree::layer(path), wanted);
        // A link's target may be that of before.
        let in_place = kind != 2;
        let state = State {
            begun: Instant::now(),
            text: text.clone(),
            in_place,
        };
        let mut history = self.history.lock().expect("the history");
        history.entry(path.to_owned()).or_default().push(state);
        drop(history);
        let aside = path.with_extension("race");
        let target = path.with_extension(format!("race{}", dice.below(20)));
        // They may be links to another name by now.
        let _ = fs::remove_file(&aside);
        if kind == 4 {
            let _ = fs::remove_file(&target);
        }
        let made = match kind {
            0 | 1 => fs::OpenOptions::new()
                .write(true)
                .open(path)
                .and_then(|file| file.write_all_at(&text, 0)),
            2 => fs::write(&aside, &text).and_then(|()| fs::rename(&aside, path)),
            3 => fs::write(path, &text),
            _ => {
                // By a link: the name leads to the new text at once.
                fs::write(&target, &text)
                    .and_then(|()| symlink(target.file_name().unwrap_or_default(), &aside))
                    .and_then(|()| fs::rename(&aside, path))
            }
        };
        if made.is_err() {
            // The file is as it was (a directory has the temporary name, for example).
            let mut history = self.history.lock().expect("the history");
            history.entry(path.to_owned()).or_default().pop();
        }
    }
}
