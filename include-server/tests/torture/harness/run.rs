//! The rounds: change, ask, compare.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::comparison::{Outcome, compare};
use super::dice::Dice;
use super::mutation::{Mutator, coarse_times, own_mounts};
use super::race;
use super::text::Author;
use super::tree::{self, Tree};
use super::witness::{Mode, Witness};

/// How to torture.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides all that is left to chance.
    pub seed: u64,
    /// Changes to make.
    pub mutations: usize,
    /// How the include server learns of changes.
    pub mode: Mode,
    /// Ask through the sockets.
    pub through_service: bool,
    /// Multiplies the changes before a comparison.
    pub density: usize,
    /// On a file system with coarse time stamps.
    pub coarse_times: bool,
    /// Say every so many changes how far it is; 0: never.
    pub progress: usize,
}

/// What was done.
#[derive(Default)]
pub struct Report {
    /// Changes.
    pub mutations: usize,
    /// Comparisons with the compiler.
    pub comparisons: usize,
    /// Comparisons in which both had files.
    pub same: usize,
    /// Comparisons in which the compiler failed and the include server had a doubt.
    pub both_fail: usize,
    /// Comparisons in which only the include server had a doubt, by reason.
    pub declined: BTreeMap<String, usize>,
    /// Scans between changes that were not compared.
    pub scans_between: usize,
    /// Rounds with a second writer, and what came of them.
    pub races: usize,
    /// All races together.
    pub race: race::Score,
}

impl Report {
    /// How many comparisons ended with a doubt of the include server alone.
    pub fn declines(&self) -> usize {
        self.declined.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} mutations, {} comparisons: {} equal, {} fail for both, {} declined; {} scans between",
            self.mutations,
            self.comparisons,
            self.same,
            self.both_fail,
            self.declines(),
            self.scans_between
        )?;
        writeln!(
            formatter,
            "{} races: {} writes, {} answers, {} texts of changing names, {} seen half-written",
            self.races, self.race.writes, self.race.answers, self.race.texts, self.race.mixtures
        )?;
        for (reason, count) in &self.declined {
            writeln!(formatter, "  {count:6} {reason}")?;
        }
        Ok(())
    }
}

/// Changes remembered for a report of a difference.
const REMEMBERED: usize = 60;

/// After this time a file is old enough to be remembered.
const SETTLED: Duration = Duration::from_millis(25);

struct Torture {
    plan: Plan,
    dice: Dice,
    tree: Tree,
    mutator: Mutator,
    witness: Witness,
    report: Report,
    round: usize,
    last: VecDeque<String>,
}

/// Tortures by plan.
///
/// # Errors
/// The first stale answer, with all that is needed to find its cause. The tree stays on disk then.
pub fn run(plan: Plan) -> Result<Report, String> {
    // On a thread of its own, whose mounts nobody else has.
    std::thread::spawn(move || {
        let may_mount = own_mounts();
        Torture::new(plan, may_mount).run()
    })
    .join()
    .map_err(|_| "the torture itself failed".to_owned())?
}

impl Torture {
    fn new(plan: Plan, may_mount: bool) -> Self {
        let mut dice = Dice::new(plan.seed);
        let prepare = |directory: &Path| {
            if plan.coarse_times {
                coarse_times(directory);
            }
        };
        let (tree, author) = Tree::plant(&mut dice, prepare, |root| Author::new(0, root));
        let mutator = Mutator::new(dice.fork(), author, may_mount);
        let witness = match plan.through_service {
            true => Witness::service(plan.mode),
            false => Witness::direct(plan.mode),
        };
        Self {
            plan,
            dice,
            tree,
            mutator,
            witness,
            report: Report::default(),
            round: 0,
            last: VecDeque::new(),
        }
    }

    fn run(mut self) -> Result<Report, String> {
        let mut told = 0;
        while self.report.mutations < self.plan.mutations {
            self.round += 1;
            if let Err(what) = self.round() {
                self.tree.keep();
                let last: Vec<String> = self.last.iter().cloned().collect();
                return Err(format!(
                    "seed {}, round {}, after {} mutations, tree {}\n{}\n{what}",
                    self.plan.seed,
                    self.round,
                    self.report.mutations,
                    self.tree.base().display(),
                    last.join("\n")
                ));
            }
            let step = self.plan.progress;
            if step > 0 && self.report.mutations / step > told {
                told = self.report.mutations / step;
                println!("{}", self.report);
            }
        }
        self.mutator.finish(&self.tree);
        Ok(self.report)
    }

    fn remember(&mut self, what: String) {
        self.last.push_back(format!("round {}: {what}", self.round));
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
    }

    fn round(&mut self) -> Result<(), String> {
        let changes = match self.dice.below(10) {
            0..=2 => 1,
            3..=7 => self.dice.between(2, 6),
            _ => self.dice.between(6, 16),
        };
        let between = self.dice.chance(50);
        let unit = self.dice.below(self.tree.units.len());
        if self.dice.chance(50) {
            self.acquaint(unit)?;
        }
        for _ in 0..changes * self.plan.density {
            let done = self.mutator.mutate(&self.tree);
            self.remember(done);
            self.report.mutations += 1;
            // A scan at once after a change puts the next change into the same tick of the clock.
            if between && self.dice.chance(60) {
                self.scan_between(unit)?;
            }
        }
        if self.dice.chance(40) {
            self.acquaint(unit)?;
        }
        let units = if self.dice.chance(10) { 3 } else { 1 };
        self.check(unit)?;
        for _ in 1..units {
            let other = self.dice.below(self.tree.units.len());
            self.check(other)?;
        }
        if self.dice.chance(6) {
            self.race(unit)?;
        }
        Ok(())
    }

    fn scan_between(&mut self, unit: usize) -> Result<(), String> {
        let unit = match self.dice.chance(70) {
            true => unit,
            false => self.dice.below(self.tree.units.len()),
        };
        // Whatever it says: it must not remember it for too long.
        let query = self.tree.units[unit].query();
        let told = self.witness.ask(&query);
        self.report.scans_between += 1;
        self.remember(format!("scan of unit {unit}"));
        if let Ok(told) = told
            && self.dice.chance(50)
        {
            // Its job may still run when others come.
            self.witness.offer(&query, &BTreeSet::new(), &told.absent)?;
        }
        Ok(())
    }

    /// Scans of all units like that one, each with its source written anew, so that what headers come to is learnt in one and
    /// had again in the next.
    fn acquaint(&mut self, number: usize) -> Result<(), String> {
        if self.dice.chance(30) {
            // What was written a moment ago is remembered for no other request.
            std::thread::sleep(SETTLED);
        }
        for other in 0..self.tree.units.len() {
            let unit = &self.tree.units[other];
            if !unit.is_like(&self.tree.units[number]) {
                continue;
            }
            let source = unit.source();
            if let Ok(text) = std::fs::read(&source) {
                // It may be read-only, or lie on a file system that is.
                let _ = std::fs::write(&source, text);
            }
            let query = unit.query();
            let told = self.witness.ask(&query);
            self.report.scans_between += 1;
            self.remember(format!("scan of unit {other}, its source written anew"));
            if let Ok(told) = told {
                self.witness.offer(&query, &BTreeSet::new(), &told.absent)?;
            }
        }
        Ok(())
    }

    fn check(&mut self, number: usize) -> Result<(), String> {
        let with_stock = self.dice.chance(10);
        let unit = &self.tree.units[number];
        self.report.comparisons += 1;
        match compare(unit, &self.witness, with_stock) {
            Outcome::Same { files } => {
                self.report.same += 1;
                self.mutator.remember(files);
            }
            Outcome::BothFail => {
                self.report.both_fail += 1;
                if self.dice.chance(60) {
                    let made = self.mutator.mend(&self.tree);
                    self.report.mutations += made;
                    self.remember(format!("mend, {made} things"));
                }
            }
            Outcome::Declined(why) => *self.report.declined.entry(kind(&why)).or_default() += 1,
            Outcome::Different(what) => {
                return Err(format!(
                    "unit {number}: cd {} && {}\n{what}",
                    unit.cwd.display(),
                    unit.words().join(" ")
                ));
            }
        }
        self.remember(format!("comparison of unit {number}"));
        Ok(())
    }

    /// A race over some files of the last answer, and an exact comparison after it.
    fn race(&mut self, number: usize) -> Result<(), String> {
        let headers: Vec<_> = self
            .mutator
            .recent()
            .iter()
            .filter(|path| !tree::is_source(path) && path.extension().is_some_and(|e| e == "h"))
            .filter(|path| !["pre.h", "mac.h"].iter().any(|name| path.ends_with(name)))
            .cloned()
            .collect();
        if headers.is_empty() {
            return Ok(());
        }
        let mut names = Vec::new();
        for _ in 0..self.dice.between(1, 3) {
            names.push(self.dice.pick(&headers).clone());
        }
        let writes = self.dice.between(4, 24);
        let second = (self.dice.fork(), self.mutator.author.fork());
        self.remember(format!("race with unit {number} over {names:?}"));
        let score = race::run(
            &self.tree.units[number],
            &self.witness,
            &names,
            second,
            writes,
        )?;
        self.report.races += 1;
        self.report.mutations += score.writes;
        self.report.race.writes += score.writes;
        self.report.race.answers += score.answers;
        self.report.race.texts += score.texts;
        self.report.race.mixtures += score.mixtures;
        self.check(number)
    }
}

/// A reason without the names in it.
fn kind(reason: &str) -> String {
    let words = reason
        .split_whitespace()
        .filter(|word| !word.contains(['/', '.', '<', '"', ':']))
        .map(|word| match word.chars().all(|c| c.is_ascii_digit()) {
            true => "N",
            false => word,
        });
    words.collect::<Vec<_>>().join(" ")
}
