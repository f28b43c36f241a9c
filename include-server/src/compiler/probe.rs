//! One question to a compiler (`-E -dD -v`) and its answer: built-in macros, search directories, whose rules hold, whether
//! `stdc-predef.h` is read first. Questions about features go along (see [`super::oracle`]).
//!
//! `-dD` prints the same macros as `-dM`, in order and under the name of the file each comes from, so those of
//! `stdc-predef.h` can be told from built-ins. A directory of ours with an empty `stdc-predef.h`, last on the search
//! path, shows that the compiler looks for that file even where no directory of its own has one.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::evidence::Evidence;
use super::kept::{Entry, Kept, Said};
use super::oracle::{AskedQuestions, CompilerOracle};
use super::voucher::Voucher;
use super::{CompilerError, Invocation, batch, run};
use crate::configuration::{CompilerFamily, Language, Question};
use crate::facts::{NodeId, Session};
pub(crate) use toolchain::run::first_error;

/// A compiler's answer for one option set.
pub struct Probe {
    /// `#define` lines in the compiler's order, without those of `stdc-predef.h`.
    pub builtins: Arc<[u8]>,
    /// Whose rules hold.
    pub family: CompilerFamily,
    /// The target, such as `x86_64-linux-gnu`; empty if it was not printed.
    pub target: Vec<u8>,
    /// Directories for `#include "..."` only.
    pub quote: Vec<PathBuf>,
    /// Directories for both forms, as the compiler spells them, in its order.
    pub bracket: Vec<PathBuf>,
    /// Directories that would be among them if they were there, as the compiler spells them.
    pub missing: Vec<PathBuf>,
    /// `stdc-predef.h` is included first when it is there.
    pub pre_includes_stdc_predef: bool,
    /// A framework directory or header map is on the search path.
    pub has_frameworks: bool,
    /// Answers what else only this compiler knows.
    pub oracle: Arc<CompilerOracle>,
    vouchers: Vec<Voucher>,
}

/// How compilers are asked.
pub(super) struct Asking {
    /// Holds an empty `stdc-predef.h`, to learn whether a compiler looks for one.
    pub(super) bait: tempfile::TempDir,
    pub(super) questions: AskedQuestions,
    /// Answers of earlier sessions.
    pub(super) kept: Option<Arc<Kept>>,
}

impl Probe {
    /// Asks the compiler, or takes what it said to an earlier session.
    pub(super) fn ask(
        invocation: &Invocation,
        asking: &Arc<Asking>,
        session: &mut Session<'_>,
    ) -> Result<Self, CompilerError> {
        // Taken before the run, so that a compiler which is replaced meanwhile is asked again.
        let program = Voucher::of(invocation.program.clone(), session);
        let kept = asking.kept.as_ref().filter(|_| Kept::covers(invocation));
        if let Some(entry) = kept.and_then(|kept| kept.load(invocation)) {
            let answers = entry.answers.into_iter();
            let answers = answers.map(|(question, value)| (question, Some(value)));
            let program = program.clone();
            let probe = Self::new(invocation, entry.said, asking, program, session);
            let search = invocation.search().unwrap_or_default();
            // The vouchers are of a moment before this one: what changes from here on, they will tell.
            if let Ok(probe) = probe
                && entry.evidence.holds(search)
            {
                probe.oracle.learn(answers);
                return Ok(probe);
            }
        }
        let first = First::ask(invocation, asking, kept.is_some())?;
        let bait = asking.bait.path().to_owned();
        let macros = Macros::parse(&first.output.stdout);
        let said = Said {
            builtins: macros.lines,
            saw_stdc_predef: macros.saw_stdc_predef,
            verbose: first.output.stderr,
            bait,
        };
        // An option in its configuration may make it look at the processor.
        let is_native = memchr::memmem::find(&said.verbose, b"=native").is_some();
        let entry = first.evidence.filter(|_| !is_native).map(|evidence| Entry {
            said: said.clone(),
            answers: first.answers.clone(),
            evidence,
        });
        let probe = Self::new(invocation, said, asking, program, session)?;
        let answers = first.answers.into_iter();
        let answers = answers.map(|(question, value)| (question, Some(value)));
        probe.oracle.learn(answers);
        if let (Some(kept), Some(entry)) = (kept, entry) {
            kept.save(invocation, entry);
        }
        Ok(probe)
    }

    /// What follows from a compiler's words.
    fn new(
        invocation: &Invocation,
        said: Said,
        asking: &Arc<Asking>,
        program: Voucher,
        session: &mut Session<'_>,
    ) -> Result<Self, CompilerError> {
        let unknown = |what| CompilerError::Unknown {
            path: invocation.program.clone(),
            what,
        };
        let told = Told::parse(&said.verbose, &said.bait);
        if !told.complete {
            return Err(unknown("-v printed no include search list"));
        }
        let family = told
            .family
            .or_else(|| family_of(&said.builtins))
            .ok_or_else(|| unknown("-v printed no version"))?;
        let sources = match family {
            CompilerFamily::Gcc { .. } => invocation.default_directories(&told.target),
            CompilerFamily::Clang { .. } => told.bracket.clone(),
        };
        let specs = told.specs();
        let missing = told.missing.clone();
        let places = [specs, told.files, sources, told.missing];
        let mut vouchers = vec![program];
        session.expect_searches(NodeId::ROOT, told.bracket.iter().map(PathBuf::as_path));
        for place in places.into_iter().flatten() {
            vouchers.push(Voucher::of(place, session));
        }
        let builtins: Arc<[u8]> = said.builtins.into();
        let oracle = CompilerOracle::new(
            invocation.clone(),
            Arc::clone(&builtins),
            Arc::clone(asking),
        );
        Ok(Self {
            builtins,
            family,
            target: told.target,
            quote: told.quote,
            bracket: told.bracket,
            missing,
            pre_includes_stdc_predef: said.saw_stdc_predef,
            has_frameworks: told.has_frameworks,
            oracle: Arc::new(oracle),
            vouchers,
        })
    }

    /// Whether compiler, its specs, its own directories and its missing ones are as they were when it was asked.
    pub fn is_vouched(&self, session: &mut Session<'_>) -> bool {
        self.vouchers.iter().all(|voucher| voucher.holds(session))
    }
}

/// What a compiler printed when it was started for the first time.
struct First {
    output: run::Output,
    answers: HashMap<Question, i64>,
    evidence: Option<Evidence>,
}

impl First {
    /// Starts the compiler, once if all goes well.
    fn ask(
        invocation: &Invocation,
        asking: &Asking,
        with_evidence: bool,
    ) -> Result<Self, CompilerError> {
        let questions = asking.questions.first(invocation.language);
        let (text, lines) = batch::first_text(&questions);
        let ask = |text: &[u8]| {
            let bait = asking.bait.path();
            let mut command = invocation.command();
            command.args(["-E", "-dD", "-v", "-idirafter"]).arg(bait);
            command.arg(if text.is_empty() { "/dev/null" } else { "-" });
            let (output, evidence) = match with_evidence {
                true => Evidence::gather(invocation, command, text, bait),
                false => {
                    let output = run::run(&mut command, text);
                    (output.map_err(|error| error.to_string()), None)
                }
            };
            let output = output.map_err(|why| CompilerError::Run {
                path: invocation.program.clone(),
                why,
            })?;
            Ok((output, evidence))
        };
        let (mut output, mut evidence) = ask(&text)?;
        let mut answers = HashMap::new();
        if output.success {
            let words = String::from_utf8_lossy(&output.stdout);
            let values = batch::read_values(questions.len(), &words);
            let values = batch::without_blamed(values, &lines, &output);
            // What is not certain is asked again when somebody wants to know.
            for (question, value) in questions.into_iter().zip(values) {
                if let Some(value) = value.filter(|value| *value != batch::RARE) {
                    answers.insert(question, value);
                }
            }
        } else if !text.is_empty() && Told::parse(&output.stderr, asking.bait.path()).complete {
            // It may have stumbled over a question.
            (output, evidence) = ask(b"")?;
        }
        if !output.success {
            return Err(CompilerError::Refused {
                path: invocation.program.clone(),
                message: first_error(&output.stderr),
            });
        }
        Ok(Self {
            output,
            answers,
            evidence,
        })
    }
}

impl Invocation {
    /// The value of `PATH`.
    pub(super) fn search(&self) -> Option<&[u8]> {
        let mut entries = self.environment.iter();
        let (_, value) = entries.find(|(name, _)| name == b"PATH")?;
        Some(value)
    }

    /// The command so far: program, options, `-x`.
    pub(super) fn command(&self) -> std::process::Command {
        let mut command = run::command(&self.program, &self.environment, self.cwd.as_deref());
        command.args(self.words.iter().map(|word| OsStr::from_bytes(word)));
        command.args(["-x", language_name(self.language)]);
        command
    }

    /// Where gcc looks for the system's headers. It prints their real paths, which do not tell of the links on the way:
    /// `SYSROOT/usr` that is made to lead elsewhere changes the answer, and nothing in it does.
    fn default_directories(&self, target: &[u8]) -> Vec<PathBuf> {
        let mut root = Vec::new();
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            let value = match word.as_slice() {
                b"--sysroot" | b"-isysroot" => words.next().map(Vec::as_slice),
                word => word
                    .strip_prefix(b"--sysroot=")
                    .or_else(|| word.strip_prefix(b"-isysroot")),
            };
            if let Some(value) = value {
                let cwd = self.cwd.as_deref().unwrap_or(Path::new("/"));
                root = cwd.join(path(value)).into_os_string().into_vec();
            }
        }
        let mut directories = Vec::new();
        for place in [&b"/usr/include"[..], b"/usr/local/include"] {
            let directory = [root.as_slice(), place].concat();
            if !target.is_empty() {
                directories.push(path(&[directory.as_slice(), b"/", target].concat()));
            }
            directories.push(path(&directory));
        }
        directories
    }
}

/// The word after `-x`.
pub(super) fn language_name(language: Language) -> &'static str {
    match language {
        Language::C => "c",
        Language::Cxx => "c++",
        Language::ObjC => "objective-c",
        Language::ObjCxx => "objective-c++",
        Language::AsmWithCpp => "assembler-with-cpp",
    }
}

/// What `-v` prints.
#[derive(Default)]
struct Told {
    complete: bool,
    family: Option<CompilerFamily>,
    target: Vec<u8>,
    quote: Vec<PathBuf>,
    bracket: Vec<PathBuf>,
    has_frameworks: bool,
    /// Programs, specs and configuration files that the answer came from.
    files: Vec<PathBuf>,
    /// Directories that were looked for in vain.
    missing: Vec<PathBuf>,
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// The number that a version starts with.
fn major(version: &[u8]) -> Option<u32> {
    let digits = version
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(&version[..digits]).ok()?.parse().ok()
}

fn after<'a>(line: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find(line, mark).map(|at| &line[at + mark.len()..])
}

impl Told {
    fn parse(stderr: &[u8], bait: &Path) -> Self {
        #[derive(PartialEq)]
        enum List {
            None,
            Quote,
            Bracket,
        }
        let mut told = Self::default();
        let mut list = List::None;
        for line in stderr.split(|&byte| byte == b'\n') {
            if line.starts_with(b"#include \"...\" search starts here") {
                list = List::Quote;
            } else if line.starts_with(b"#include <...> search starts here") {
                list = List::Bracket;
            } else if line.starts_with(b"End of search list") {
                list = List::None;
                told.complete = true;
            } else if list != List::None {
                let Some(mut entry) = line.strip_prefix(b" ") else {
                    continue;
                };
                for mark in [&b" (framework directory)"[..], b" (headermap)"] {
                    if let Some(rest) = entry.strip_suffix(mark) {
                        told.has_frameworks = true;
                        entry = rest;
                    }
                }
                match list {
                    List::Quote => told.quote.push(path(entry)),
                    _ if entry == bait.as_os_str().as_bytes() => {}
                    _ => told.bracket.push(path(entry)),
                }
            } else {
                told.other_line(line);
            }
        }
        told
    }

    /// Where gcc looks for specs beside its own programs; it does not tell when it finds none.
    fn specs(&self) -> Vec<PathBuf> {
        let program = self.files.iter().find(|path| {
            path.file_name()
                .is_some_and(|name| name.as_bytes().starts_with(b"cc1"))
        });
        let Some(directory) = program.and_then(|program| program.parent()) else {
            return Vec::new();
        };
        let places = ["specs", "../specs", "../../specs"];
        places.map(|place| directory.join(place)).to_vec()
    }

    fn other_line(&mut self, line: &[u8]) {
        if let Some(rest) = line.strip_prefix(b"ignoring nonexistent directory \"") {
            self.missing
                .push(path(rest.strip_suffix(b"\"").unwrap_or(rest)));
        } else if let Some(rest) = line.strip_prefix(b"Target: ") {
            self.target = rest.to_vec();
        } else if let Some(rest) = line.strip_prefix(b"gcc version ") {
            self.family = major(rest).map(|major| CompilerFamily::Gcc { major });
        } else if let Some(rest) = line.strip_prefix(b"Reading specs from ") {
            self.files.push(path(rest));
        } else if let Some(rest) = line.strip_prefix(b"Configuration file: ") {
            self.files.push(path(rest));
        } else if let Some(rest) = line.strip_prefix(b" ") {
            // The command that the driver starts: `/usr/lib/gcc/.../cc1 -E ...`, quoted by clang.
            let program = match rest.strip_prefix(b"\"") {
                Some(quoted) => quoted.split(|&byte| byte == b'"').next(),
                None => rest.split(|&byte| byte == b' ').next(),
            };
            if let Some(program) = program
                && program.starts_with(b"/")
            {
                self.files.push(path(program));
            }
        } else if self.family.is_none()
            && let Some(rest) = after(line, b"clang version ")
        {
            self.family = major(rest).map(|major| CompilerFamily::Clang { major });
        }
    }
}

/// What `-dD` prints.
#[derive(Default)]
struct Macros {
    lines: Vec<u8>,
    saw_stdc_predef: bool,
}

impl Macros {
    fn parse(stdout: &[u8]) -> Self {
        let mut defined: Vec<&[u8]> = Vec::with_capacity(512);
        let mut saw_stdc_predef = false;
        let mut builtin = false;
        for line in stdout.split(|&byte| byte == b'\n') {
            if let Some(marker) = line.strip_prefix(b"# ") {
                let name = marker.split(|&byte| byte == b'"').nth(1).unwrap_or(b"");
                builtin = matches!(name, b"<built-in>" | b"<command-line>" | b"<command line>");
                saw_stdc_predef |= name.ends_with(b"/stdc-predef.h");
            } else if !builtin {
            } else if line.starts_with(b"#define ") {
                defined.push(line);
            } else if let Some(name) = line.strip_prefix(b"#undef ") {
                defined.retain(|define| macro_name(define) != name);
            }
        }
        let mut lines = defined.join(&b'\n');
        lines.push(b'\n');
        Self {
            lines,
            saw_stdc_predef,
        }
    }
}

/// Fuzz body of both: every name is one that was printed, the bait is none of the directories, and a macro that was undefined is not defined.
pub(super) fn check(printed: &[u8], bait: &Path) {
    let told = Told::parse(printed, bait);
    let bait = bait.as_os_str();
    assert!(
        !told
            .bracket
            .iter()
            .any(|directory| directory.as_os_str() == bait)
    );
    let lists = told.quote.iter().chain(&told.bracket).chain(&told.files);
    for name in lists.chain(&told.missing) {
        let name = name.as_os_str().as_bytes();
        assert!(memchr::memmem::find(printed, name).is_some() && !name.contains(&b'\n'));
    }
    let undefined = b"\n# 1 \"<built-in>\"\n#define OWN(x) 1\n#define OTHER 2\n#undef OWN\n";
    for printed in [printed, &[printed, undefined].concat()] {
        let macros = Macros::parse(printed);
        assert!(macros.lines.len() <= printed.len() + 1);
        let lines = || macros.lines.split(|&byte| byte == b'\n');
        assert!(lines().all(|line| line.is_empty() || line.starts_with(b"#define ")));
        if printed.ends_with(undefined) {
            assert!(lines().any(|line| line == b"#define OTHER 2"));
            assert!(!lines().any(|line| macro_name(line) == b"OWN"));
        }
        let _ = family_of(&macros.lines);
    }
}

/// Whose rules hold, by the macros that name the compiler.
fn family_of(builtins: &[u8]) -> Option<CompilerFamily> {
    let value = |name: &[u8]| {
        let at = after(builtins, &[b"#define ", name, b" "].concat())?;
        major(at)
    };
    value(b"__clang_major__")
        .map(|major| CompilerFamily::Clang { major })
        .or_else(|| value(b"__GNUC__").map(|major| CompilerFamily::Gcc { major }))
}

/// The name in a `#define` line.
fn macro_name(define: &[u8]) -> &[u8] {
    let rest = define.strip_prefix(b"#define ").unwrap_or(define);
    let end = rest
        .iter()
        .position(|&byte| byte == b' ' || byte == b'(')
        .unwrap_or(rest.len());
    &rest[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCC: &[u8] = b"Using built-in specs.\nTarget: x86_64-linux-gnu\ngcc version 12.2.0 (Debian)\n \
/usr/lib/gcc/12/cc1 -E -quiet -v /dev/null\nReading specs from /opt/my.specs\nignoring nonexistent directory \"/usr/local/no\"\n\
ignoring duplicate directory \"/usr/include/\"\n  as it is a non-system directory that duplicates a system directory\n\
#include \"...\" search starts here:\n quoted dir\n#include <...> search starts here:\n /usr/lib/gcc/12/include\n \
/Library/Frameworks (framework directory)\n /tmp/bait\nEnd of search list.\nCOMPILER_PATH=/usr/\n";

    #[test]
    fn no_common_question_makes_a_compiler_stumble() {
        let asking = Asking {
            bait: tempfile::tempdir().unwrap(),
            questions: AskedQuestions::default(),
            kept: None,
        };
        let standards =
            "c89 iso9899:199409 gnu89 c99 c11 gnu17 c2x c++98 c++11 gnu++14 c++17 gnu++20 c++2b";
        for program in ["/usr/bin/gcc", "/usr/bin/clang", "/usr/bin/clang-19"] {
            if !Path::new(program).exists() {
                continue;
            }
            for standard in standards.split(' ') {
                let language = match standard.contains("++") {
                    true => Language::Cxx,
                    false => Language::C,
                };
                let words = [&format!("-std={standard}"), "-pedantic-errors"];
                let invocation = Invocation {
                    program: program.into(),
                    words: words.map(|word| word.as_bytes().to_vec()).to_vec(),
                    language,
                    environment: Vec::new(),
                    cwd: None,
                };
                let first = First::ask(&invocation, &asking, false).unwrap();
                // Nothing is known when the compiler had to be started again.
                assert!(first.answers.len() > 100, "{program} {standard}");
                let packed = Question::Call(b"__has_attribute(packed)".to_vec());
                assert_eq!(first.answers.get(&packed), Some(&1));
            }
        }
    }

    #[test]
    fn what_gcc_tells() {
        let told = Told::parse(GCC, Path::new("/tmp/bait"));
        assert!(told.complete && told.has_frameworks);
        assert_eq!(told.family, Some(CompilerFamily::Gcc { major: 12 }));
        assert_eq!(told.target, b"x86_64-linux-gnu");
        assert_eq!(told.quote, [PathBuf::from("quoted dir")]);
        let bracket = ["/usr/lib/gcc/12/include", "/Library/Frameworks"];
        assert_eq!(told.bracket, bracket.map(PathBuf::from));
        let files = ["/usr/lib/gcc/12/cc1", "/opt/my.specs"];
        assert_eq!(told.files, files.map(PathBuf::from));
        assert_eq!(told.missing, [PathBuf::from("/usr/local/no")]);
    }

    #[test]
    fn what_clang_tells() {
        let text = b"Debian clang version 19.1.7 (3)\nTarget: x86_64-pc-linux-gnu\n (in-process)\n \
\"/usr/lib/llvm-19/bin/clang\" -cc1 -triple x\nclang -cc1 version 19.1.7 based upon LLVM 19.1.7\n#include <...> search starts here:\n /usr/include\nEnd of search list.\n";
        let told = Told::parse(text, Path::new("/bait"));
        assert_eq!(told.family, Some(CompilerFamily::Clang { major: 19 }));
        assert_eq!(told.files, [PathBuf::from("/usr/lib/llvm-19/bin/clang")]);
    }

    #[test]
    fn a_cut_off_answer_is_not_complete() {
        for end in 0..GCC.len() {
            let told = Told::parse(&GCC[..end], Path::new("/tmp/bait"));
            assert_eq!(
                told.complete,
                end >= GCC.len() - b".\nCOMPILER_PATH=/usr/\n".len()
            );
        }
    }

    #[test]
    fn macros_of_stdc_predef_are_left_out() {
        let macros = Macros::parse(
            b"# 0 \"/dev/null\"\n# 0 \"<built-in>\"\n#define __STDC__ 1\n#define __GNUC__ 13\n#define F(a) a\n\
# 0 \"<command-line>\"\n#define _REENTRANT 1\n#undef F\n# 1 \"/usr/include/stdc-predef.h\" 1 3 4\n#define _STDC_PREDEF_H 1\n\
# 0 \"<command-line>\" 2\n#define LAST x y\n# 1 \"/dev/null\"\n#define NOT 1\n",
        );
        assert_eq!(
            macros.lines,
            b"#define __STDC__ 1\n#define __GNUC__ 13\n#define _REENTRANT 1\n#define LAST x y\n"
        );
        assert!(macros.saw_stdc_predef);
        assert_eq!(
            family_of(&macros.lines),
            Some(CompilerFamily::Gcc { major: 13 })
        );
    }
}
