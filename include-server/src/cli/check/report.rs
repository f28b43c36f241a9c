//! The results of all commands together: for people, or as JSON. Owns the sums and the groups of reasons.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::examine::{Examined, Outcome};
use super::{Group, Reason};
use crate::cli::compile_commands::CompileCommand;

/// Files named for a reason.
const EXAMPLES: usize = 3;
/// Reasons that are told without `--verbose`.
const SHOWN_REASONS: usize = 12;

/// The sums.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Tally {
    /// Commands, each counted once.
    pub(super) units: usize,
    /// Entries that were the same command again.
    pub(super) repeated: usize,
    /// Commands with the same files from scanner and compiler.
    pub(super) equal: usize,
    /// Commands with a file missing or extra.
    pub(super) different: usize,
    /// `equal` and `different`.
    pub(super) compared: usize,
    /// Files, over all commands.
    pub(super) missing_files: usize,
    /// Files, over all commands.
    pub(super) extra_files: usize,
    /// Accepted by the compiler, not answered by the scanner.
    pub(super) declined: usize,
    /// Not accepted by the compiler.
    pub(super) refused: usize,
    /// Not one compile of one source.
    pub(super) outside: usize,
    /// Would go in pump mode.
    pub(super) pump: usize,
}

impl Tally {
    /// Percentage of `declined` among what the compiler accepts and the scanner could be asked.
    fn declined_percent(&self) -> f64 {
        match self.compared + self.declined {
            0 => 0.0,
            accepted => 100.0 * self.declined as f64 / accepted as f64,
        }
    }
}

/// A line of `--json`.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    file: &'a str,
    directory: &'a str,
    /// `equal`, `different`, `declined`, `refused` or `outside`.
    outcome: &'static str,
    pump: bool,
    /// Why it does not go in pump mode.
    why: Option<String>,
    missing: Vec<String>,
    extra: Vec<String>,
}

/// The last line of `--json`.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    summary: &'a Tally,
    declined_percent: f64,
    /// Why the scanner declined, whatever else keeps a command from pump mode.
    declined_reasons: Vec<SummaryReason<'a>>,
    /// Why commands would not go in pump mode.
    reasons: Vec<SummaryReason<'a>>,
}

#[derive(Serialize)]
struct SummaryReason<'a> {
    group: &'static str,
    what: &'a str,
    units: usize,
    examples: Vec<&'a str>,
    /// The first command's own words.
    example: Option<&'a str>,
}

/// A command that compares differently.
struct Difference {
    file: String,
    missing: Vec<PathBuf>,
    extra: Vec<PathBuf>,
}

/// Commands with the same reason.
struct Members {
    /// Each with its own words.
    files: Vec<(String, Option<String>)>,
    advice: &'static str,
}

/// Commands by reason.
#[derive(Default)]
struct Reasons(BTreeMap<(Group, String), Members>);

impl Reasons {
    fn add(&mut self, file: &str, reason: Reason) {
        let group = self.0.entry((reason.group, reason.what));
        let members = group.or_insert_with(|| Members {
            files: Vec::new(),
            advice: reason.advice,
        });
        members.files.push((file.to_owned(), reason.detail));
    }

    /// Largest groups first.
    fn by_size(&self) -> Vec<(&(Group, String), &Members)> {
        let mut groups: Vec<_> = self.0.iter().collect();
        groups.sort_by_key(|(key, members)| (std::cmp::Reverse(members.files.len()), *key));
        groups
    }

    fn summary(&self) -> Vec<SummaryReason<'_>> {
        let reasons = self.by_size().into_iter().map(|((group, what), members)| {
            let examples = members.files.iter().take(EXAMPLES);
            SummaryReason {
                group: group.shown(),
                what,
                units: members.files.len(),
                examples: examples.map(|(file, _)| file.as_str()).collect(),
                example: members
                    .files
                    .first()
                    .and_then(|(_, detail)| detail.as_deref()),
            }
        });
        reasons.collect()
    }

    fn write(&self, out: &mut impl Write, verbose: bool) -> std::io::Result<()> {
        let groups = self.by_size();
        let shown = if verbose { groups.len() } else { SHOWN_REASONS };
        for ((group, what), members) in groups.iter().take(shown) {
            let count = members.files.len();
            writeln!(out, "{count:6}  {what}: {}", group.shown())?;
            if verbose {
                for (file, detail) in &members.files {
                    match detail {
                        Some(detail) => writeln!(out, "          {file}: {detail}")?,
                        None => writeln!(out, "          {file}")?,
                    }
                }
            } else {
                let first = members.files.iter().take(EXAMPLES);
                let first: Vec<&str> = first.map(|(file, _)| file.as_str()).collect();
                let more = match count.saturating_sub(EXAMPLES) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                writeln!(out, "          {}{more}", first.join(", "))?;
                if let Some((_, Some(detail))) = members.files.first() {
                    writeln!(out, "          for example: {detail}")?;
                }
            }
            writeln!(out, "          {}", members.advice)?;
        }
        let rest = groups.get(shown..).unwrap_or_default();
        if !rest.is_empty() {
            let units: usize = rest.iter().map(|(_, members)| members.files.len()).sum();
            let reasons = counted(rest.len(), "more reason");
            writeln!(out, "{units:6}  for {reasons}; --verbose tells them all")?;
        }
        Ok(())
    }
}

/// All that was found.
pub(super) struct Report {
    tally: Tally,
    differences: Vec<Difference>,
    /// Why commands would not go in pump mode.
    reasons: Reasons,
    /// Why the scanner declined commands.
    declines: Reasons,
    /// The part of `declines` that `reasons` does not show: commands that would not go in pump mode anyway.
    hidden_declines: Reasons,
}

impl Report {
    pub(super) fn new(repeated: usize) -> Self {
        Self {
            tally: Tally {
                repeated,
                ..Tally::default()
            },
            differences: Vec::new(),
            reasons: Reasons::default(),
            declines: Reasons::default(),
            hidden_declines: Reasons::default(),
        }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn add(&mut self, command: &CompileCommand, examined: Examined) {
        let tally = &mut self.tally;
        tally.units += 1;
        match examined.outcome {
            Outcome::Outside => tally.outside += 1,
            Outcome::Declined(reason) => {
                tally.declined += 1;
                if examined.not_pump.as_ref() != Some(&reason) {
                    self.hidden_declines.add(&command.file, reason.clone());
                }
                self.declines.add(&command.file, reason);
            }
            Outcome::Refused => tally.refused += 1,
            Outcome::Compared { missing, extra } => {
                tally.compared += 1;
                tally.missing_files += missing.len();
                tally.extra_files += extra.len();
                if missing.is_empty() && extra.is_empty() {
                    tally.equal += 1;
                } else {
                    tally.different += 1;
                    self.differences.push(Difference {
                        file: command.file.clone(),
                        missing,
                        extra,
                    });
                }
            }
        }
        let Some(reason) = examined.not_pump else {
            tally.pump += 1;
            return;
        };
        self.reasons.add(&command.file, reason);
    }

    /// For `--json`.
    pub(super) fn summary(&self) -> Summary<'_> {
        Summary {
            summary: &self.tally,
            declined_percent: self.tally.declined_percent(),
            declined_reasons: self.declines.summary(),
            reasons: self.reasons.summary(),
        }
    }

    /// For people.
    pub(super) fn print(&self, verbose: bool) -> std::io::Result<()> {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        self.write(&mut out, verbose)?;
        out.flush()
    }

    fn write(&self, out: &mut impl Write, verbose: bool) -> std::io::Result<()> {
        self.write_differences(out)?;
        let tally = &self.tally;
        write!(out, "{}", counted(tally.units, "translation unit"))?;
        match tally.repeated {
            0 => writeln!(out)?,
            repeated => writeln!(out, " ({repeated} more entries say the same again)")?,
        }
        let percent = tally.declined_percent();
        writeln!(
            out,
            "  scanner:   {} compared with the compiler's list, {} equal; {} missing, {} extra; {} declined ({percent:.2} %)",
            tally.compared,
            tally.equal,
            counted(tally.missing_files, "file"),
            counted(tally.extra_files, "file"),
            tally.declined,
        )?;
        if tally.refused > 0 {
            writeln!(
                out,
                "  compiler:  refuses {}; these are not compared",
                tally.refused
            )?;
        }
        if tally.outside > 0 {
            writeln!(
                out,
                "  no scan:   {} (not one compile of one source)",
                tally.outside
            )?;
        }
        let percent = 100.0 * tally.pump as f64 / tally.units.max(1) as f64;
        writeln!(
            out,
            "  pump mode: {} of {} would go ({percent:.1} %)",
            tally.pump, tally.units
        )?;
        self.write_reasons(out, verbose)
    }

    fn write_differences(&self, out: &mut impl Write) -> std::io::Result<()> {
        if self.differences.is_empty() {
            return Ok(());
        }
        let units = counted(self.differences.len(), "translation unit");
        writeln!(
            out,
            "WRONG ANSWERS in {units}. MISSING: the compiler reads it, the scanner does not say so.\n\
             Do not use pump mode for this project, and please report it.\n"
        )?;
        // A missing file breaks a build, an extra one only costs.
        let (missing, extra): (Vec<_>, Vec<_>) = self
            .differences
            .iter()
            .partition(|difference| !difference.missing.is_empty());
        for difference in missing.into_iter().chain(extra) {
            writeln!(out, "{}:", difference.file)?;
            for path in &difference.missing {
                writeln!(out, "    MISSING {}", path.display())?;
            }
            for path in &difference.extra {
                writeln!(out, "    extra   {}", path.display())?;
            }
        }
        writeln!(out)
    }

    fn write_reasons(&self, out: &mut impl Write, verbose: bool) -> std::io::Result<()> {
        if !self.reasons.0.is_empty() {
            writeln!(out, "\nWhy the others would not go in pump mode:")?;
            self.reasons.write(out, verbose)?;
        }
        if !self.hidden_declines.0.is_empty() {
            writeln!(out, "\nThe scanner also declined some of these:")?;
            self.hidden_declines.write(out, verbose)?;
        }
        Ok(())
    }
}

/// A command's own line.
pub(super) fn line<'a>(command: &'a CompileCommand, examined: &Examined) -> Line<'a> {
    let text = |paths: &[PathBuf]| -> Vec<String> {
        let shown = paths.iter().map(|path| path.display().to_string());
        shown.collect()
    };
    let (outcome, missing, extra) = match &examined.outcome {
        Outcome::Outside => ("outside", Vec::new(), Vec::new()),
        Outcome::Declined(_) => ("declined", Vec::new(), Vec::new()),
        Outcome::Refused => ("refused", Vec::new(), Vec::new()),
        Outcome::Compared { missing, extra } if missing.is_empty() && extra.is_empty() => {
            ("equal", Vec::new(), Vec::new())
        }
        Outcome::Compared { missing, extra } => ("different", text(missing), text(extra)),
    };
    let whole = |reason: &Reason| reason.detail.clone().unwrap_or_else(|| reason.what.clone());
    Line {
        file: &command.file,
        directory: &command.directory,
        outcome,
        pump: examined.not_pump.is_none(),
        why: examined.not_pump.as_ref().map(whole),
        missing,
        extra,
    }
}

/// Writes one line of JSON.
pub(super) fn print_json(value: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    std::io::stdout().lock().write_all(&text)
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::compile_commands::query;
    use protocol::command_line::{LocalClass, LocalReason, PlainReason};
    use std::path::Path;

    fn command(file: &str) -> CompileCommand {
        CompileCommand {
            directory: "/p".into(),
            file: file.into(),
            query: query(Vec::new(), Path::new("/p"), &[]),
        }
    }

    fn compared(missing: &[&str], extra: &[&str]) -> Outcome {
        Outcome::Compared {
            missing: missing.iter().map(PathBuf::from).collect(),
            extra: extra.iter().map(PathBuf::from).collect(),
        }
    }

    fn shown(report: &Report, verbose: bool) -> String {
        let mut out = Vec::new();
        report.write(&mut out, verbose).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn native() -> Reason {
        Reason::local(&LocalReason::Option(
            LocalClass::ThisMachine,
            b"-march=native".to_vec(),
        ))
    }

    #[test]
    fn missing_files_come_first() {
        let mut report = Report::new(0);
        for (file, outcome) in [
            ("fine.c", compared(&[], &[])),
            ("more.c", compared(&[], &["/p/x.h"])),
            ("less.c", compared(&["/p/y.h"], &[])),
        ] {
            let not_pump = None;
            report.add(&command(file), Examined { not_pump, outcome });
        }
        let text = shown(&report, false);
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
        assert_eq!(at("WRONG ANSWERS in 2 translation units"), 0);
        assert!(at("less.c:\n    MISSING /p/y.h") < at("more.c:\n    extra   /p/x.h"));
        assert!(at("more.c:") < at("3 translation units\n"));
        at(
            "3 compared with the compiler's list, 1 equal; 1 file missing, 1 file extra; 0 declined (0.00 %)",
        );
    }

    #[test]
    fn reasons_are_grouped_with_examples_and_advice() {
        let mut report = Report::new(2);
        for number in 0..5 {
            let not_pump = Some(native());
            let outcome = compared(&[], &[]);
            report.add(
                &command(&format!("{number}.c")),
                Examined { not_pump, outcome },
            );
        }
        let refused = Reason::refused("z.c:1:1: fatal error: gen.h: No such file or directory");
        report.add(
            &command("z.c"),
            Examined {
                not_pump: Some(refused),
                outcome: Outcome::Refused,
            },
        );
        let text = shown(&report, false);
        for expected in [
            "6 translation units (2 more entries say the same again)\n",
            "  compiler:  refuses 1; these are not compared\n",
            "  pump mode: 0 of 6 would go (0.0 %)\n",
            "     5  -march=native depends on this machine: compiled here\n          0.c, 1.c, 2.c and 2 more\n",
            "     1  gen.h: No such file or directory: refused by the compiler\n          z.c\n",
            "Build the project once",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("WRONG"));
        assert!(shown(&report, true).contains("\n          4.c\n"));
        assert_eq!(report.tally().declined_percent(), 0.0);
    }

    #[test]
    fn many_reasons_are_cut_short() {
        let mut report = Report::new(0);
        for number in 0..SHOWN_REASONS + 2 {
            let not_pump = Some(Reason::refused(&format!("a.c:1: error: {number}.h")));
            let outcome = Outcome::Refused;
            report.add(&command("a.c"), Examined { not_pump, outcome });
        }
        let text = shown(&report, false);
        assert!(
            text.ends_with("     2  for 2 more reasons; --verbose tells them all\n"),
            "{text}"
        );
        assert!(!shown(&report, true).contains("more reasons"));
    }

    #[test]
    fn what_the_compiler_refuses_is_no_decline() {
        let mut report = Report::new(0);
        let add = |report: &mut Report, outcome| {
            let not_pump = Some(native());
            report.add(&command("a.c"), Examined { not_pump, outcome });
        };
        let plain = Reason::plain(&PlainReason::Preprocessed);
        add(&mut report, Outcome::Declined(plain));
        for _ in 0..3 {
            add(&mut report, compared(&[], &[]));
        }
        for _ in 0..6 {
            add(&mut report, Outcome::Refused);
            add(&mut report, Outcome::Outside);
        }
        assert_eq!(report.tally().declined_percent(), 25.0);
        let summary = serde_json::to_value(report.summary()).unwrap();
        assert_eq!(summary["summary"]["declined"], 1);
        assert_eq!(summary["summary"]["outside"], 6);
        assert_eq!(summary["reasons"][0]["units"], 16);
        assert_eq!(summary["declined_reasons"][0]["units"], 1);
        let text = shown(&report, false);
        let also =
            "The scanner also declined some of these:\n     1  the source is preprocessed already";
        assert!(text.contains(also), "{text}");
    }
}
