//! `include-server check`: does pump mode fit a project? Every command is scanned and also given to its own compiler with
//! `-M`; a file that only the compiler names is an error of the scanner.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use protocol::command_line::{CommandLine, Distribution, Forward, Item, Meaning, verdict};
use protocol::include_dialogue::Query;

use super::compile_commands::{self, CompileCommand};
use super::environment::Environment;
use super::scan::names;
use super::{CheckArguments, CliError, workers};
use crate::answer::Answerer;
use crate::compiler::{probe::first_error, run};
use crate::options::Options;

/// Checks all commands of a project.
pub(super) fn run(arguments: &CheckArguments) -> Result<ExitCode, CliError> {
    let environment = Environment::read();
    let commands = compile_commands::read(&arguments.compile_commands, &environment.relevant)?;
    let answerer = Answerer::new(Options::new(environment.relevant.clone())?, None);
    let mut summary = Summary::default();
    let total = commands.len();
    let work = |command: &CompileCommand| check_one(command, &answerer, &environment);
    let take = |command: &CompileCommand, checked: Checked| {
        summary.add(command, checked);
        if summary.units.is_multiple_of(20) || summary.units == total {
            eprintln!("{} of {total} checked", summary.units);
        }
    };
    workers::in_order(&commands, arguments.jobs.unwrap_or(0), work, take)
        .map_err(CliError::io("cannot start a thread"))?;
    summary.print();
    Ok(match summary.missing {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// The result for one command.
struct Checked {
    /// Why it would not go in pump mode.
    not_pump: Option<String>,
    comparison: Comparison,
}

enum Comparison {
    /// The scanner declined.
    Declined,
    /// The compiler refused.
    Refused(String),
    /// Real paths that one side has and the other has not.
    Done {
        missing: Vec<PathBuf>,
        extra: Vec<PathBuf>,
    },
}

fn check_one(command: &CompileCommand, answerer: &Answerer, environment: &Environment) -> Checked {
    let parsed = CommandLine::parse(&command.query.argv);
    let by_words = match verdict(&parsed) {
        Distribution::Local(reason) => Some(format!("local: {reason}")),
        Distribution::Remote { pump: Err(reason) } => Some(format!("plain: {reason}")),
        Distribution::Remote { pump: Ok(()) } => None,
    };
    let (meaning, closure) = match answerer.closure(&command.query) {
        Ok(answer) => answer,
        Err(doubt) => {
            return Checked {
                not_pump: by_words.or_else(|| Some(format!("plain: {doubt}"))),
                comparison: Comparison::Declined,
            };
        }
    };
    let by_layout = || {
        let layout = answerer.lay_out(&meaning, &closure);
        layout.err().map(|doubt| format!("plain: {doubt}"))
    };
    let not_pump = by_words.or_else(by_layout);
    let comparison = match ask_compiler(&command.query, &parsed, answerer, environment) {
        Err(why) => Comparison::Refused(why),
        Ok(theirs) => {
            let cwd = &meaning.unit.cwd;
            let ours: BTreeSet<PathBuf> = names(&closure).map(|name| real(cwd, name)).collect();
            // What `__has_include` finds must be sent, and gcc's -M does not name it: no surplus.
            let hits: BTreeSet<PathBuf> = closure
                .has_include_hits
                .iter()
                .map(|file| real(cwd, &file.name))
                .collect();
            let theirs: BTreeSet<PathBuf> = theirs.iter().map(|name| real(cwd, name)).collect();
            Comparison::Done {
                missing: theirs.difference(&ours).cloned().collect(),
                extra: ours
                    .difference(&theirs)
                    .filter(|path| !hits.contains(*path))
                    .cloned()
                    .collect(),
            }
        }
    };
    Checked {
        not_pump,
        comparison,
    }
}

fn real(cwd: &Path, name: &Path) -> PathBuf {
    let path = cwd.join(name);
    std::fs::canonicalize(&path).unwrap_or(path)
}

/// The files that the compiler's `-M` names.
fn ask_compiler(
    query: &Query,
    parsed: &CommandLine,
    answerer: &Answerer,
    environment: &Environment,
) -> Result<Vec<PathBuf>, String> {
    let compiler = answerer
        .options()
        .locate(query)
        .map_err(|e| e.to_string())?;
    let cwd = Path::new(OsStr::from_bytes(&query.cwd));
    let writes = ["DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"];
    let variables: Vec<(Vec<u8>, Vec<u8>)> = environment
        .relevant
        .iter()
        .filter(|(name, _)| !writes.iter().any(|write| name == write.as_bytes()))
        .cloned()
        .collect();
    let mut command = run::command(&compiler.path, &variables, Some(cwd));
    for word in dependency_words(parsed) {
        command.arg(OsStr::from_bytes(&word));
    }
    let output = run::run(&mut command, b"")?;
    match output.success {
        true => Ok(dependencies(&output.stdout)),
        false => Err(first_error(&output.stderr)),
    }
}

/// The command's words without action, output and dependency options, and with `-M`.
fn dependency_words(parsed: &CommandLine) -> Vec<Vec<u8>> {
    let about_output = |item: &Item| {
        matches!(
            item.means(),
            Some(Meaning::Action(_) | Meaning::Output | Meaning::Dependency(_))
        )
    };
    let carried: Vec<&Item> = parsed
        .items()
        .iter()
        .filter(|item| item.carrier.is_some())
        .collect();
    let mut words = Vec::new();
    for item in parsed.items().iter().filter(|item| item.carrier.is_none()) {
        // `-Wp,-MD,FILE` goes as a whole: what else it may carry is seldom, and a wrong guess shows as a difference.
        let carries_output = matches!(
            item.means(),
            Some(Meaning::Forward(Forward::WpCommas | Forward::Preprocessor))
        ) && carried
            .iter()
            .any(|inner| inner.words == item.words && about_output(inner));
        if !about_output(item) && !carries_output {
            words.extend_from_slice(&parsed.words()[item.words.clone()]);
        }
    }
    words.push(b"-M".to_vec());
    words
}

/// The prerequisites of a make rule.
fn dependencies(rule: &[u8]) -> Vec<PathBuf> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut name = Vec::new();
    let mut bytes = rule.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek().copied()) {
            (b'\\', Some(b'\n')) => {
                bytes.next();
                names.push(std::mem::take(&mut name));
            }
            (b'\\', Some(next @ (b' ' | b'#' | b'\\' | b':'))) => {
                bytes.next();
                name.push(next);
            }
            (b'$', Some(b'$')) => {
                bytes.next();
                name.push(b'$');
            }
            (b' ' | b'\n' | b'\t', _) => names.push(std::mem::take(&mut name)),
            _ => name.push(byte),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    // The target ends in a colon.
    let target = names.iter().position(|name| name.ends_with(b":"));
    names
        .drain(..)
        .skip(target.map_or(0, |target| target + 1))
        .map(|name| PathBuf::from(OsStr::from_bytes(&name)))
        .collect()
}

#[derive(Default)]
struct Summary {
    units: usize,
    compared: usize,
    equal: usize,
    missing: usize,
    extra: usize,
    declined: usize,
    refused: usize,
    pump: usize,
    reasons: BTreeMap<String, usize>,
}

impl Summary {
    fn add(&mut self, command: &CompileCommand, checked: Checked) {
        self.units += 1;
        match checked.not_pump {
            None => self.pump += 1,
            Some(reason) => *self.reasons.entry(reason).or_default() += 1,
        }
        match checked.comparison {
            Comparison::Declined => self.declined += 1,
            Comparison::Refused(why) => {
                self.refused += 1;
                println!("{}: the compiler's -M fails: {why}", command.file);
            }
            Comparison::Done { missing, extra } => {
                self.compared += 1;
                self.equal += usize::from(missing.is_empty() && extra.is_empty());
                self.missing += missing.len();
                self.extra += extra.len();
                for path in missing {
                    println!("{}: missing {}", command.file, path.display());
                }
                for path in extra {
                    println!("{}: extra {}", command.file, path.display());
                }
            }
        }
    }

    fn print(&self) {
        println!(
            "{} translation units: {} compared with the compiler, {} equal, {} files missing, {} files extra; {} declined, {} refused by the compiler",
            self.units,
            self.compared,
            self.equal,
            self.missing,
            self.extra,
            self.declined,
            self.refused
        );
        println!("{} would go in pump mode", self.pump);
        for (reason, count) in &self.reasons {
            println!("{count} would not: {reason}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_make_rule_is_read_back() {
        let rule = b"a.o: a.c dir/b\\ c.h \\\n /usr/x$$y.h \\\n q\\#.h\n";
        let expected = ["a.c", "dir/b c.h", "/usr/x$y.h", "q#.h"];
        assert_eq!(dependencies(rule), expected.map(PathBuf::from));
    }

    #[test]
    fn words_for_a_dependency_run() {
        let words = "gcc -O2 -Wp,-MD,x.d -Wp,-DX -MMD -MF y.d -MT z -c -o a.o -Iinc a.c";
        let words: Vec<Vec<u8>> = words.split(' ').map(|w| w.as_bytes().to_vec()).collect();
        let expected = "-O2 -Wp,-DX -Iinc a.c -M";
        assert_eq!(
            dependency_words(&CommandLine::parse(&words)).join(&b' '),
            expected.as_bytes()
        );
    }
}
