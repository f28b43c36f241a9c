//! Many cases in a row: what they showed, and each failure made small.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use include_server::facts::Freshness;

use super::case::{Case, SETTLED, plant_leaves};
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
    /// How the scanner is sure of what it remembers.
    pub freshness: Freshness,
    /// Whether to say on stderr how far it is.
    pub progress: bool,
}

/// What a run showed.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases judged.
    pub cases: u64,
    /// Compiles that came before one of them, each scanned with and without memory.
    pub relatives: u64,
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
    fn add(&mut self, number: u64, case: &Case, verdict: &Verdict) {
        self.cases += 1;
        self.relatives += case.relatives.len() as u64;
        match verdict {
            Verdict::Equal(files) => {
                self.equal += 1;
                self.files += *files as u64;
            }
            Verdict::Declined(why) => count(&mut self.declined, number, why),
            Verdict::Rejected(why) => count(&mut self.rejected, number, why),
            Verdict::Different(_) | Verdict::Forgetful(_) | Verdict::Panicked(_) => {}
        }
    }

    /// Takes in another run's.
    pub fn merge(&mut self, other: Report) {
        self.cases += other.cases;
        self.relatives += other.relatives;
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
            "{} cases with {} relatives: {} equal ({} files), {} declined, {} rejected by the compiler, {} different",
            self.cases,
            self.relatives,
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

/// One case and the way its compiler is asked. `cwd` is where it will be planted.
pub fn case(plan: &Plan, number: u64, cwd: &Path) -> Option<(Case, Way)> {
    let mut random = Random::new(plan.seed, number + 1);
    let setups = |number: usize| {
        let mut random = Random::new(plan.seed, u64::MAX - number as u64);
        Setup::random(&plan.compiler, &mut random)
    };
    let setup = setups(random.below(plan.setups as usize));
    let other = setups(random.below(plan.setups as usize));
    let way = match random.percent(2) {
        true => Way::Driver,
        false => Way::Cheap,
    };
    Some((generate::case(&setup, &other, &mut random, cwd)?, way))
}

/// Trees that are planted before the first of them is judged, so that each is old enough.
const SLOTS: usize = 5;

/// A case in its directory.
struct Planted {
    number: u64,
    case: Case,
    way: Way,
    cwd: PathBuf,
    at: Instant,
}

/// Runs the plan.
pub fn run(plan: &Plan) -> io::Result<Report> {
    if plan.directory.exists() {
        std::fs::remove_dir_all(&plan.directory)?;
    }
    let mut free: VecDeque<PathBuf> = (0..SLOTS)
        .map(|slot| {
            let cwd = plan.directory.join(slot.to_string());
            plant_leaves(&cwd)?;
            cwd.canonicalize()
        })
        .collect::<io::Result<_>>()?;
    let mut judge = Judge::new(plan.freshness);
    let mut report = Report::default();
    let mut progress = Progress::new(plan);
    let mut waiting: VecDeque<Planted> = VecDeque::new();
    let mut numbers = plan.cases.clone();
    loop {
        while let Some(cwd) = free.pop_front() {
            let Some(number) = numbers.next() else { break };
            match plant(plan, number, &cwd) {
                Some(planted) => waiting.push_back(planted),
                None => free.push_back(cwd),
            }
        }
        let Some(planted) = waiting.pop_front() else {
            break;
        };
        std::thread::sleep(SETTLED.saturating_sub(planted.at.elapsed()));
        let verdict = judge.judge(&planted.case, &planted.cwd, planted.way);
        report.add(planted.number, &planted.case, &verdict);
        if verdict.is_failure() {
            let failure = examine(plan, &planted, &verdict, &mut judge)?;
            if plan.progress {
                eprintln!("{failure}");
            }
            report.failures.push(failure);
            if report.failures.len() >= plan.failures {
                break;
            }
        }
        progress.tell(&report, planted.number);
        free.push_back(planted.cwd);
    }
    Ok(report)
}

/// Puts a case where it belongs, unless there is none, or names that an expansion made stand in each other's way.
fn plant(plan: &Plan, number: u64, cwd: &Path) -> Option<Planted> {
    let (case, way) = case(plan, number, cwd)?;
    case.plant(cwd).ok()?;
    Some(Planted {
        number,
        case,
        way,
        cwd: cwd.into(),
        at: Instant::now(),
    })
}

/// Says on stderr how far a run is.
struct Progress {
    wanted: bool,
    began: Instant,
    told: Instant,
}

impl Progress {
    fn new(plan: &Plan) -> Progress {
        Progress {
            wanted: plan.progress,
            began: Instant::now(),
            told: Instant::now(),
        }
    }

    fn tell(&mut self, report: &Report, number: u64) {
        if !self.wanted || self.told.elapsed() < Duration::from_secs(20) {
            return;
        }
        self.told = Instant::now();
        let rate = report.cases as f64 / self.began.elapsed().as_secs_f64();
        eprintln!(
            "case {number}: {} equal, {} declined, {} rejected, {} different, {rate:.0} a second",
            report.equal,
            report.declines(),
            report.rejections(),
            report.failures.len()
        );
    }
}

/// A failure for a person: how to repeat it, both sides, and a test to paste.
fn examine(
    plan: &Plan,
    planted: &Planted,
    verdict: &Verdict,
    judge: &mut Judge,
) -> io::Result<String> {
    let (case, cwd) = (&planted.case, planted.cwd.as_path());
    let mut text = format!(
        "FAILURE: --compiler {} --seed {} --setups {} --only {}\n",
        plan.compiler, plan.seed, plan.setups, planted.number
    );
    // Writing to a string does not fail.
    let _ = writeln!(text, "first seen: {verdict:?}");
    judge.refresh();
    let again = judge.judge(case, cwd, Way::Driver);
    if !again.is_failure() {
        let _ = writeln!(
            text,
            "a scanner that remembers no case before it, beside the driver: {again:?} (so that memory, or cc1 without the driver, is at fault)"
        );
        return Ok(text);
    }
    let small = shrink(case, &again, judge, cwd);
    small.plant(cwd)?;
    std::thread::sleep(SETTLED);
    for (name, way) in [("-E -MD", Way::Driver), ("-M", Way::RuleOnly)] {
        judge.refresh();
        let verdict = judge.judge(&small, cwd, way);
        let _ = writeln!(text, "small, {name}: {verdict:?}");
    }
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
