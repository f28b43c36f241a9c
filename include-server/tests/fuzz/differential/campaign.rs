//! Many cases in a row: what they showed, and each failure made small.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::case::{Case, plant_leaves};
use super::generate;
use super::judge::{Judge, Verdict, Way};
use super::random::Random;
use super::setup::Setup;
use super::shrink::shrink;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The compiler.
    pub compiler: String,
    /// The seed; with a case's number it decides everything.
    pub seed: u64,
    /// Numbers of the cases.
    pub cases: std::ops::Range<u64>,
    /// Distinct option sets.
    pub setups: u64,
    /// Stop after so many failures.
    pub failures: usize,
    /// The directory to work in; it is emptied.
    pub directory: PathBuf,
    /// Whether to say on stderr how far it is.
    pub progress: bool,
}

/// What a run showed.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases judged.
    pub cases: u64,
    /// Cases in which both read the same files.
    pub equal: u64,
    /// Files in those.
    pub files: u64,
    /// Cases that the compiler rejects, by its message with names and numbers left out.
    pub rejected: BTreeMap<String, Kind>,
    /// Cases that only the scanner declines, by reason.
    pub declined: BTreeMap<String, Kind>,
    /// Failures, ready to read.
    pub failures: Vec<String>,
}

/// How often something happened, and once in full.
#[derive(Debug)]
pub struct Kind {
    count: u64,
    example: String,
}

fn count(kinds: &mut BTreeMap<String, Kind>, number: u64, message: &str) {
    let new = || Kind {
        count: 0,
        example: format!("case {number}: {message}"),
    };
    kinds.entry(kind_of(message)).or_insert_with(new).count += 1;
}

fn sum(kinds: &BTreeMap<String, Kind>) -> u64 {
    kinds.values().map(|kind| kind.count).sum()
}

fn merge(kinds: &mut BTreeMap<String, Kind>, others: BTreeMap<String, Kind>) {
    for (message, kind) in others {
        let count = kind.count;
        let known = kinds.entry(message).or_insert(Kind { count: 0, ..kind });
        known.count += count;
    }
}

/// The most frequent ones, a line each.
fn list(
    out: &mut std::fmt::Formatter<'_>,
    what: &str,
    kinds: &BTreeMap<String, Kind>,
) -> std::fmt::Result {
    let mut kinds: Vec<_> = kinds.values().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    for Kind { count, example } in kinds.into_iter().take(15) {
        writeln!(out, "  {what} {count}, such as {example}")?;
    }
    Ok(())
}

impl Report {
    fn add(&mut self, number: u64, verdict: &Verdict) {
        self.cases += 1;
        match verdict {
            Verdict::Equal(files) => {
                self.equal += 1;
                self.files += *files as u64;
            }
            Verdict::Declined(why) => count(&mut self.declined, number, why),
            Verdict::Rejected(why) => count(&mut self.rejected, number, why),
            Verdict::Different(_) | Verdict::Panicked(_) => {}
        }
    }

    /// Takes in another run's.
    pub fn merge(&mut self, other: Report) {
        self.cases += other.cases;
        self.equal += other.equal;
        self.files += other.files;
        merge(&mut self.rejected, other.rejected);
        merge(&mut self.declined, other.declined);
        self.failures.extend(other.failures);
    }

    /// How many cases were declined.
    pub fn declines(&self) -> u64 {
        sum(&self.declined)
    }

    /// How many cases the compiler rejected.
    pub fn rejections(&self) -> u64 {
        sum(&self.rejected)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            out,
            "{} cases: {} equal ({} files), {} declined, {} rejected by the compiler, {} different",
            self.cases,
            self.equal,
            self.files,
            self.declines(),
            self.rejections(),
            self.failures.len()
        )?;
        list(out, "declined", &self.declined)?;
        list(out, "rejected", &self.rejected)
    }
}

/// A message without places, names and numbers.
fn kind_of(message: &str) -> String {
    let message = match message.split_once("error: ") {
        Some((_, rest)) => rest,
        None => message
            .split_once(": ")
            .filter(|(place, _)| place.contains(".h:") || place.contains("a."))
            .map_or(message, |(_, rest)| rest),
    };
    let mut kind = String::new();
    let mut quote = None;
    for character in message.chars().take(300) {
        match (quote, character) {
            (Some(end), _) if character == end => {
                quote = None;
                kind.push(character);
            }
            (Some(_), _) => {}
            (None, '"' | '`') => {
                quote = Some(character);
                kind.push(character);
            }
            (None, _) if character.is_ascii_digit() => kind.push('#'),
            (None, _) => kind.push(character),
        }
    }
    kind.chars().take(100).collect()
}

/// One case and the way its compiler is asked.
pub fn case(plan: &Plan, number: u64) -> Option<(Case, Way)> {
    let mut random = Random::new(plan.seed, number + 1);
    let setup = random.below(plan.setups as usize) as u64;
    let setup = Setup::random(
        &plan.compiler,
        &mut Random::new(plan.seed, u64::MAX - setup),
    );
    let way = match random.percent(2) {
        true => Way::Driver,
        false => Way::Cheap,
    };
    Some((generate::case(&setup, &mut random, &plan.directory)?, way))
}

/// Runs the plan.
pub fn run(plan: &Plan) -> io::Result<Report> {
    if plan.directory.exists() {
        std::fs::remove_dir_all(&plan.directory)?;
    }
    plant_leaves(&plan.directory)?;
    let mut judge = Judge::new(&plan.directory.canonicalize()?);
    let mut report = Report::default();
    let began = Instant::now();
    let mut told = Instant::now();
    for number in plan.cases.clone() {
        let Some((case, way)) = case(plan, number) else {
            continue;
        };
        // Names that an expansion made may stand in each other's way.
        if case.plant(&plan.directory).is_err() {
            continue;
        }
        let verdict = judge.judge(&case, way);
        report.add(number, &verdict);
        if verdict.is_failure() {
            let failure = examine(plan, number, &case, &verdict, &mut judge)?;
            if plan.progress {
                eprintln!("{failure}");
            }
            report.failures.push(failure);
            if report.failures.len() >= plan.failures {
                break;
            }
        }
        if plan.progress && told.elapsed() > Duration::from_secs(20) {
            told = Instant::now();
            let rate = report.cases as f64 / began.elapsed().as_secs_f64();
            eprintln!(
                "case {number}: {} equal, {} declined, {} rejected, {} different, {rate:.0} a second",
                report.equal,
                report.declines(),
                report.rejections(),
                report.failures.len()
            );
        }
    }
    Ok(report)
}

/// A failure for a person: how to repeat it, both sides, and a test to paste.
fn examine(
    plan: &Plan,
    number: u64,
    case: &Case,
    verdict: &Verdict,
    judge: &mut Judge,
) -> io::Result<String> {
    let mut text = format!(
        "FAILURE: --compiler {} --seed {} --setups {} --only {number}\n",
        plan.compiler, plan.seed, plan.setups
    );
    // Writing to a string does not fail.
    let _ = writeln!(text, "first seen: {verdict:?}");
    judge.refresh();
    let again = judge.judge(case, Way::Driver);
    if !again.is_failure() {
        let _ = writeln!(
            text,
            "a scanner that remembers nothing, beside the driver: {again:?} (so memory, or cc1 without the driver, is at fault)"
        );
        return Ok(text);
    }
    let small = shrink(case, &again, judge);
    small.plant(judge.cwd())?;
    judge.refresh();
    let _ = writeln!(
        text,
        "small, -E -MD: {:?}",
        judge.judge(&small, Way::Driver)
    );
    let _ = writeln!(
        text,
        "small, -M:     {:?}",
        judge.judge(&small, Way::RuleOnly)
    );
    text.push_str(&small.as_test());
    Ok(text)
}

/// A directory in memory where there is one.
pub fn scratch_directory(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let base = match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    };
    base.join(format!("fuzz-scanner.{}.{name}", std::process::id()))
}
