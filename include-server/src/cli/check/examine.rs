//! One command: would it go in pump mode, does its compiler accept it, and do scanner and compiler name the same files?

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::command_line::{
    CommandLine, Distribution, Forward, Item, Language, LocalReason, Meaning, verdict,
};

use super::{Environment, Reason};
use crate::answer::{Answerer, Doubt};
use crate::cli::CliError;
use crate::cli::compile_commands::CompileCommand;
use crate::cli::scan::names;
use crate::closure::Closure;
use crate::compiler::{probe::first_error, run};
use crate::facts::Freshness;
use crate::options::Interpretation;

/// How long a compiler may take for one command. `-M` of the largest headers takes a few seconds, a whole parse more.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The result for one command.
pub(super) struct Examined {
    /// Why it would not go in pump mode.
    pub(super) not_pump: Option<Reason>,
    pub(super) outcome: Outcome,
}

/// The scanner's answer beside the compiler's.
pub(super) enum Outcome {
    /// Both answered. Real paths that one side has and the other has not.
    Compared {
        missing: Vec<PathBuf>,
        extra: Vec<PathBuf>,
    },
    /// The compiler accepts the command; the scanner does not answer, for this reason.
    Declined(Reason),
    /// The compiler does not accept the command.
    Refused,
    /// Not one compile of one source, so nobody will ever ask the scanner.
    Outside,
}

/// Examines commands; shared by all threads.
pub(super) struct Examiner<'a> {
    answerer: Answerer,
    environment: &'a Environment,
    /// Whether the compile's own dependency list counts too.
    compile: bool,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(environment: &'a Environment, compile: bool) -> Result<Self, CliError> {
        Ok(Self {
            answerer: Answerer::new(environment.relevant.clone(), Freshness::Auto, None)?,
            environment,
            compile,
        })
    }

    pub(super) fn examine(&self, command: &CompileCommand) -> Examined {
        let parsed = CommandLine::parse(&command.query.argv);
        let by_words = match verdict(&parsed) {
            Distribution::Local(reason) if is_outside(&reason, &parsed) => {
                return Examined {
                    not_pump: Some(Reason::local(&reason)),
                    outcome: Outcome::Outside,
                };
            }
            Distribution::Local(reason) => Some(Reason::local(&reason)),
            Distribution::Remote { pump: Err(reason) } => Some(Reason::plain(&reason)),
            Distribution::Remote { pump: Ok(()) } => None,
        };
        let theirs = match self.ask_compiler(command, &parsed) {
            Ok(theirs) => theirs,
            Err(why) => {
                let reason = Reason::refused(&why);
                return Examined {
                    not_pump: Some(reason),
                    outcome: Outcome::Refused,
                };
            }
        };
        let answer = match self.answerer.answer(&command.query) {
            Ok(answer) => answer,
            Err(doubt) => {
                let reason = Reason::doubt(&doubt);
                return Examined {
                    not_pump: Some(by_words.unwrap_or_else(|| reason.clone())),
                    outcome: Outcome::Declined(reason),
                };
            }
        };
        let by_layout = || {
            let error = answer.layout.as_ref().err()?;
            Some(Reason::doubt(&Doubt::Layout(error.clone())))
        };
        Examined {
            not_pump: by_words.or_else(by_layout),
            outcome: compared(&answer.meaning, &answer.closure, &theirs),
        }
    }

    /// The files that the compiler names, by `-M` and perhaps by a compile. An error is its first message.
    fn ask_compiler(
        &self,
        command: &CompileCommand,
        parsed: &CommandLine,
    ) -> Result<Theirs, String> {
        let by_preprocessor = self.dependencies(command, parsed, Question::Preprocessor)?;
        let by_compile = match self.compile {
            true => self.dependencies(command, parsed, Question::Compile)?,
            false => by_preprocessor.clone(),
        };
        Ok(Theirs {
            by_preprocessor,
            by_compile,
        })
    }

    fn dependencies(
        &self,
        command: &CompileCommand,
        parsed: &CommandLine,
        question: Question,
    ) -> Result<Vec<PathBuf>, String> {
        let query = &command.query;
        let compiler = self.answerer.locate(query).map_err(|e| e.to_string())?;
        let cwd = Path::new(OsStr::from_bytes(&query.cwd));
        if !cwd.is_dir() {
            return Err(format!("the directory {} does not exist", cwd.display()));
        }
        let writes = ["DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"];
        let variables: Vec<(Vec<u8>, Vec<u8>)> = self
            .environment
            .relevant
            .iter()
            .filter(|(name, _)| !writes.iter().any(|write| name == write.as_bytes()))
            .cloned()
            .collect();
        let mut command = run::command(&compiler.path, &variables, Some(cwd));
        for word in words_without_output(parsed) {
            command.arg(OsStr::from_bytes(&word));
        }
        // A named file: the list must not mix with what a compile prints.
        let list = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        match question {
            Question::Preprocessor => command.arg("-M"),
            Question::Compile => command.args(["-fsyntax-only", "-MD"]),
        };
        command.arg("-MF").arg(list.path());
        let output = run::run_within(&mut command, b"", TIME_LIMIT).map_err(|e| e.to_string())?;
        if !output.success {
            return Err(first_error(&output.stderr));
        }
        let rule = std::fs::read(list.path()).map_err(|error| error.to_string())?;
        Ok(prerequisites(&rule))
    }
}

/// Which of the compiler's lists.
#[derive(Clone, Copy)]
enum Question {
    Preprocessor,
    Compile,
}

/// The compiler's lists. Where they differ, the scanner may give either or both.
struct Theirs {
    by_preprocessor: Vec<PathBuf>,
    by_compile: Vec<PathBuf>,
}

/// Whether the reason means that there is nothing to scan.
fn is_outside(reason: &LocalReason, parsed: &CommandLine) -> bool {
    match reason {
        LocalReason::NoSource
        | LocalReason::SeveralSources(_)
        | LocalReason::StandardInput
        | LocalReason::Compiler(_)
        | LocalReason::Language(_) => true,
        // Without a preprocessor it includes nothing.
        LocalReason::Assembler => parsed
            .sources()
            .all(|(_, language)| language.language == Language::Assembler),
        _ => false,
    }
}

fn compared(meaning: &Interpretation, closure: &Closure, theirs: &Theirs) -> Outcome {
    let cwd = &meaning.unit.cwd;
    let real_paths = |names: &[PathBuf]| -> BTreeSet<PathBuf> {
        names.iter().map(|name| real(cwd, name)).collect()
    };
    let ours: BTreeSet<PathBuf> = names(closure).map(|name| real(cwd, name)).collect();
    // What `__has_include` finds must be sent, and gcc's -M does not name it: no surplus.
    let hits: BTreeSet<PathBuf> = closure
        .has_include_hits
        .iter()
        .map(|file| real(cwd, &file.name))
        .collect();
    let by_preprocessor = real_paths(&theirs.by_preprocessor);
    let by_compile = real_paths(&theirs.by_compile);
    Outcome::Compared {
        missing: by_compile.difference(&ours).cloned().collect(),
        extra: ours
            .difference(&by_compile)
            .filter(|path| !by_preprocessor.contains(*path))
            .filter(|path| !hits.contains(*path))
            .cloned()
            .collect(),
    }
}

fn real(cwd: &Path, name: &Path) -> PathBuf {
    let path = cwd.join(name);
    std::fs::canonicalize(&path).unwrap_or(path)
}

/// The command's words without action, output and dependency options.
fn words_without_output(parsed: &CommandLine) -> Vec<Vec<u8>> {
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
    words
}

/// The prerequisites of a make rule.
pub(crate) fn prerequisites(rule: &[u8]) -> Vec<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::compile_commands::query;

    #[test]
    fn a_make_rule_is_read_back() {
        let rule = b"a.o: a.c dir/b\\ c.h \\\n /usr/x$$y.h \\\n q\\#.h\n";
        let expected = ["a.c", "dir/b c.h", "/usr/x$y.h", "q#.h"];
        assert_eq!(prerequisites(rule), expected.map(PathBuf::from));
        assert!(prerequisites(b"").is_empty());
    }

    #[test]
    fn words_for_a_dependency_run() {
        let words = "gcc -O2 -Wp,-MD,x.d -Wp,-DX -MMD -MF y.d -MT z -c -o a.o -Iinc a.c";
        let words: Vec<Vec<u8>> = words.split(' ').map(|w| w.as_bytes().to_vec()).collect();
        let expected = "-O2 -Wp,-DX -Iinc a.c";
        assert_eq!(
            words_without_output(&CommandLine::parse(&words)).join(&b' '),
            expected.as_bytes()
        );
    }

    /// Examines `words` in a directory with a few files. gcc is always there: cargo itself links with it.
    fn examine(words: &str, compile: bool) -> Examined {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        write("a.c", "#include \"a.h\"\nint a;\n");
        write("a.h", "");
        write("gone.c", "#include \"gone.h\"\n");
        write("wrong.c", "int a = ;\n");
        write("plain.s", "");
        write("date.c", "char a[] = __DATE__;\n");
        let environment = Environment {
            relevant: vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())],
            client_tmp: None,
            cache_directory: None,
        };
        let words = words.split(' ').map(|word| word.as_bytes().to_vec());
        let cwd = directory.path();
        let cwd = if compile {
            cwd.to_owned()
        } else {
            cwd.join(".")
        };
        let command = CompileCommand {
            directory: ".".into(),
            file: "a.c".into(),
            query: query(words.collect(), &cwd, &environment.relevant),
        };
        let examiner = Examiner::new(&environment, compile).unwrap();
        examiner.examine(&command)
    }

    fn is_equal(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Compared { missing, extra } if missing.is_empty() && extra.is_empty())
    }

    #[test]
    fn a_compile_is_compared() {
        for compile in [false, true] {
            let examined = examine("gcc -c a.c -o a.o", compile);
            assert!(is_equal(&examined.outcome));
            assert_eq!(examined.not_pump, None);
        }
    }

    #[test]
    fn a_command_that_runs_here_is_compared_too() {
        let examined = examine("gcc -march=native -c a.c", false);
        assert!(is_equal(&examined.outcome));
        assert_eq!(examined.not_pump.unwrap().group, super::super::Group::Local);
    }

    #[test]
    fn several_sources_and_plain_assembler_are_outside() {
        for words in ["gcc -c a.c date.c", "gcc -c plain.s", "gcc -c a.o"] {
            let examined = examine(words, false);
            assert!(matches!(examined.outcome, Outcome::Outside), "{words}");
            assert!(examined.not_pump.is_some());
        }
    }

    #[test]
    fn what_the_compiler_refuses_is_told_apart() {
        let refused = |words: &str, compile| {
            let examined = examine(words, compile);
            match examined.outcome {
                Outcome::Refused => examined.not_pump.map(|reason| reason.what),
                _ => None,
            }
        };
        let what = refused("gcc -c gone.c", false).unwrap();
        assert_eq!(what, "gone.h: No such file or directory");
        assert!(refused("gcc -c nowhere.c", false).is_some());
        assert!(refused("no-such-gcc -c a.c", false).is_some());
        // Only a compile sees it.
        assert!(refused("gcc -c wrong.c", false).is_none());
        assert!(refused("gcc -c wrong.c", true).is_some());
    }
}
