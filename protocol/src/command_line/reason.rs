//! Why a job does not go where it might: one typed reason, one line for a person. Owns no state.

use super::Word;
use super::option::{ExtraOutput, LocalClass, PlainClass, RefusedClass};
use std::fmt;

/// Why a command runs on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LocalReason {
    /// No operand is a source.
    NoSource,
    /// More than one operand is a source.
    SeveralSources(usize),
    /// More than one `-o`.
    SeveralOutputs(usize),
    /// Neither `-c` nor `-S`.
    Links,
    /// `-E`.
    PreprocessOnly,
    /// `-M`, `-MM`.
    DependenciesOnly,
    /// `-fsyntax-only`.
    SyntaxOnly,
    /// The source is `-`.
    StandardInput,
    /// An output is `-`.
    StandardOutput,
    /// An operand beside the source, which only a linker would use.
    OtherOperand(Word),
    /// `conftest.c` and friends: short probes of a configure script, which rewrites them.
    ConfigureProbe(Word),
    /// Assembler source.
    Assembler,
    /// A compiler with a command line of its own (`nvcc`).
    Compiler(Word),
    /// `-x` names a language that is not distributed, or the suffix does.
    Language(Word),
    /// A suffix that servers do not know, so they would not find the source.
    Suffix(Word),
    /// The source is a header: the result is a precompiled header.
    PrecompiledHeader,
    /// `@file` was not expanded before parsing.
    ResponseFile(Word),
    /// The last option lacks its value.
    MissingValue(Word),
    /// The target that `-Wp,-MD,F` writes depends on which compiler this name is.
    UncertainDependencyTarget(Word),
    /// One option's own reason.
    Option(LocalClass, Word),
}

/// Why a job is preprocessed here, although it is compiled elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PlainReason {
    /// The source is preprocessed already.
    Preprocessed,
    /// More than one `-MT` or `-MQ`; servers lose one.
    SeveralDependencyTargets,
    /// One option's own reason.
    Option(PlainClass, Word),
}

/// Why a server does not run a command line from a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerRefusal {
    /// What is wrong with it.
    pub class: RefusedClass,
    /// The word.
    pub word: Word,
}

impl std::error::Error for ServerRefusal {}

/// A word for a message: printable, at most 120 characters.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        for c in text.chars().take(120) {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?
            } else {
                write!(f, "{c}")?
            }
        }
        if text.chars().nth(120).is_some() {
            f.write_str("...")
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for LocalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSource => f.write_str("names no source file, so runs here"),
            Self::SeveralSources(n) => write!(f, "compiles {n} sources in one command"),
            Self::SeveralOutputs(n) => write!(f, "names {n} outputs"),
            Self::Links => f.write_str("links, so runs here"),
            Self::PreprocessOnly => f.write_str("only preprocesses (-E)"),
            Self::DependenciesOnly => f.write_str("only prints dependencies (-M or -MM)"),
            Self::SyntaxOnly => f.write_str("only checks syntax (-fsyntax-only)"),
            Self::StandardInput => f.write_str("reads its source from standard input"),
            Self::StandardOutput => f.write_str("writes to standard output"),
            Self::OtherOperand(word) => {
                write!(f, "also names {}, which is not a source", Shown(word))
            }
            Self::ConfigureProbe(word) => write!(f, "{} is a configure probe", Shown(word)),
            Self::Assembler => f.write_str("assembler source is assembled here"),
            Self::Compiler(word) => write!(f, "{} is not gcc or clang", Shown(word)),
            Self::Language(word) => write!(f, "language of {} is not distributed", Shown(word)),
            Self::Suffix(word) => write!(f, "servers do not know the suffix of {}", Shown(word)),
            Self::PrecompiledHeader => f.write_str("makes a precompiled header"),
            Self::ResponseFile(word) => write!(f, "{} was not expanded", Shown(word)),
            Self::MissingValue(word) => write!(f, "{} lacks its value", Shown(word)),
            Self::UncertainDependencyTarget(word) => write!(
                f,
                "the target in the file of {} depends on the compiler; call it gcc or clang",
                Shown(word)
            ),
            Self::Option(class, word) => fmt_local_class(f, *class, &Shown(word)),
        }
    }
}

fn fmt_local_class(f: &mut fmt::Formatter<'_>, class: LocalClass, word: &Shown<'_>) -> fmt::Result {
    match class {
        LocalClass::NotACompile => write!(f, "{word} asks about the compiler"),
        LocalClass::ThisMachine => write!(f, "{word} depends on this machine"),
        LocalClass::Profile => write!(f, "{word} reads or writes profiles of this machine"),
        LocalClass::Writes(output) => write!(f, "{word} writes {}", describe(output)),
        LocalClass::ReadsFile => write!(f, "{word} reads a file that is not shipped"),
        LocalClass::RunsProgram => write!(f, "{word} brings code into the compiler"),
        LocalClass::Modules => write!(f, "{word} uses modules"),
        LocalClass::Statistics => write!(f, "{word} reports on this very run"),
        LocalClass::ShowsCommands => write!(f, "{word} shows commands with this machine's paths"),
        LocalClass::NamesOutputs => write!(f, "{word} changes how outputs are named"),
        LocalClass::RecordsCommand => write!(f, "{word} puts the command line into the output"),
        LocalClass::SeveralCompiles => write!(f, "{word} makes several compiles of one"),
        LocalClass::UnknownForwarded => write!(f, "{word} passes on a word of unknown meaning"),
        LocalClass::Unsupported => write!(f, "{word} is not distributed"),
    }
}

/// What an extra output is, in the middle of a sentence.
fn describe(output: ExtraOutput) -> &'static str {
    match output {
        ExtraOutput::SplitDwarf => "FILE.dwo beside the object",
        ExtraOutput::Temporaries => "temporary files beside the object",
        ExtraOutput::Dump => "compiler dumps",
        ExtraOutput::StackUsage => "FILE.su beside the object",
        ExtraOutput::Prototypes => "a file of prototypes",
        ExtraOutput::CallGraph => "FILE.ci beside the object",
        ExtraOutput::OptimisationReport => "an optimisation report",
        ExtraOutput::CoverageNotes => "FILE.gcno beside the object",
        ExtraOutput::TimeTrace => "a time trace",
        ExtraOutput::CompilationDatabase => "a compilation database entry",
        ExtraOutput::Diagnostics => "a file of diagnostics",
        ExtraOutput::CrashReport => "crash reports",
        ExtraOutput::Precompiled => "a precompiled header",
        ExtraOutput::Listing => "an assembler listing",
        ExtraOutput::AssemblerDependencies => "dependencies of the assembler",
        ExtraOutput::Other => "one more file",
    }
}

impl fmt::Display for PlainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, word) = match self {
            Self::Preprocessed => return f.write_str("the source is preprocessed already"),
            Self::SeveralDependencyTargets => {
                return f.write_str("several -MT or -MQ targets, of which servers lose one");
            }
            Self::Option(class, word) => (class, Shown(word)),
        };
        match class {
            PlainClass::Search => write!(f, "{word} changes the search path in an unusual way"),
            PlainClass::Overlay => write!(f, "{word} overlays the file system"),
            PlainClass::Charset => write!(f, "{word}: the source is not in UTF-8"),
            PlainClass::Traditional => write!(f, "{word} asks for the old preprocessor"),
            PlainClass::UnknownForwarded => {
                write!(f, "{word} passes an unknown word to the preprocessor")
            }
            PlainClass::PrintsHeaders => write!(f, "{word} prints the names of headers"),
            PlainClass::MissingGenerated => write!(f, "{word} takes missing headers as generated"),
            PlainClass::Preprocessor => write!(f, "{word} changes the preprocessor"),
        }
    }
}

impl fmt::Display for ServerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Shown(&self.word);
        match self.class {
            RefusedClass::LoadsCode => write!(f, "{word} loads code into the compiler"),
            RefusedClass::RunsProgram => write!(f, "{word} chooses programs to run"),
            RefusedClass::Specs => write!(f, "{word} replaces the compiler's specs"),
            RefusedClass::ReadsOptions => write!(f, "{word} reads options from a file"),
            RefusedClass::WritesFile => write!(f, "{word} writes a file of the client's choice"),
            RefusedClass::UnknownForwarded => {
                write!(f, "{word} passes on words whose meaning is unknown here")
            }
            RefusedClass::OtherSyntax => {
                write!(
                    f,
                    "{word} makes the compiler read its options in another way"
                )
            }
        }
    }
}
