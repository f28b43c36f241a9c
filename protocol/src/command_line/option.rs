//! The types of the option table: what an option takes and what it means. Owns no state.

/// Where an option finds its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// No value; the word is exactly the spelling.
    Nothing,
    /// The value is the next word; the word is exactly the spelling.
    Separate,
    /// The value is glued to the spelling and may be empty (`-W`, `-Wall`, `-std=c99`).
    Joined,
    /// The value is glued, or, when nothing is glued, the next word (`-Idir`, `-I dir`).
    JoinedOrSeparate,
    /// A GNU long option: `--name=VALUE` or `--name VALUE`. The spelling has no `=`.
    Long,
    /// Something is glued and the next word belongs to it too (`-Xopenmp-target=T ARG`).
    JoinedAndSeparate,
    /// That many following words belong to it (`-sectcreate SEG SECT FILE`).
    Words(u8),
}

/// What the compiler is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Nothing said: compile and link.
    Link,
    /// `-c`.
    Compile,
    /// `-S`.
    Assemble,
    /// `-fsyntax-only`.
    SyntaxOnly,
    /// `-E`.
    Preprocess,
    /// `-M`, `-MM`: print dependencies instead of compiling.
    Dependencies,
}

/// Which list of directories a search option feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchKind {
    /// `-iquote`: for `#include "x"` only.
    Quote,
    /// `-I`: for both forms, before system directories. A value `-` is the old `-I-`.
    Bracket,
    /// `-isystem`.
    System,
    /// clang's `-cxx-isystem`, `-c-isystem`: as `-isystem`, for one language.
    LanguageSystem,
    /// `-idirafter`, clang's `-isystem-after`.
    After,
    /// `-iprefix`.
    Prefix,
    /// `-iwithprefix`.
    WithPrefix,
    /// `-iwithprefixbefore`.
    WithPrefixBefore,
    /// clang's `-iwithsysroot`.
    WithSysroot,
    /// `-F`, `-iframework`: framework directories.
    Framework,
    /// `-isysroot`.
    HeaderSysroot,
    /// `--sysroot`.
    Sysroot,
    /// `-imultilib`, `-imultiarch`.
    Multilib,
    /// `-nostdinc`.
    NoStandard,
    /// `-nostdinc++`, `-nostdlibinc`, `-nobuiltininc`.
    NoStandardPart,
    /// `-I-`.
    Split,
    /// `-B`: programs, and `DIR/include`.
    Programs,
    /// `-ivfsoverlay`, `-index-header-map`: other names for files.
    Overlay,
    /// `-stdlib=`, `-resource-dir`, `--gcc-toolchain=`: select default directories.
    Toolchain,
}

/// What a macro option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacroKind {
    /// `-D`.
    Define,
    /// `-U`.
    Undefine,
    /// `-A`: an assertion (`#if #x(y)`).
    Assert,
}

/// How a forced file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForcedKind {
    /// `-include`.
    Include,
    /// `-imacros`: for its macros only, before every `-include`.
    Macros,
    /// clang's `-include-pch`.
    Precompiled,
}

/// Which part of dependency output an option sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyKind {
    /// `-MD`: write a `.d` file beside the output.
    All,
    /// `-MMD`: the same without system headers.
    User,
    /// `-MF`: its name.
    File,
    /// `-MT`: a target, as it stands.
    Target,
    /// `-MQ`: a target, quoted for make.
    QuotedTarget,
    /// `-MP`: a phony rule for each header.
    Phony,
    /// `-MG`: missing headers are taken as generated.
    MissingGenerated,
}

/// Options that carry words for another stage of the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// `-Wp,A,B`: words for the preprocessor, separated by commas.
    WpCommas,
    /// `-Xpreprocessor A`.
    Preprocessor,
    /// clang's `-Xclang A`.
    Clang,
    /// `-Wa,A,B`.
    WaCommas,
    /// `-Xassembler A`.
    Assembler,
    /// `-Wl,`, `-Xlinker`, `-z`: nothing that a compile reads.
    Linker,
}

/// The one thing that an option is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// What to do.
    Action(Action),
    /// `-x`.
    Language,
    /// `-o`.
    Output,
    /// Include search path.
    Search(SearchKind),
    /// Macros given by the user.
    Macro(MacroKind),
    /// A file read before the source.
    Forced(ForcedKind),
    /// Dependency output.
    Dependency(DependencyKind),
    /// `-std=`, `-ansi`.
    Standard,
    /// Carries words for another stage.
    Forward(Forward),
    /// Libraries and their directories: nothing that a compile reads.
    Link,
    /// Warnings and the look of diagnostics.
    Warning,
    /// Debug information.
    Debug,
    /// Everything else: code generation, dialect, target. May change built-in macros.
    Code,
}

/// A file that a compile writes beside its object and its `.d`, or instead of them. Protocols 1
/// to 3 carry none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtraOutput {
    /// `.dwo`, from `-gsplit-dwarf`.
    SplitDwarf,
    /// `.i`, `.s` and friends, from `-save-temps`.
    Temporaries,
    /// Compiler dumps (`-fdump-*`, `-da`).
    Dump,
    /// `.su`, from `-fstack-usage`.
    StackUsage,
    /// Prototypes, from `-aux-info`.
    Prototypes,
    /// `.ci`, from `-fcallgraph-info`.
    CallGraph,
    /// An optimisation report (`-fopt-info-...=FILE`, `-fsave-optimization-record`).
    OptimisationReport,
    /// `.gcno`, from `-ftest-coverage` and `--coverage`.
    CoverageNotes,
    /// `.json`, from clang's `-ftime-trace`.
    TimeTrace,
    /// A compilation database fragment (`-MJ`, `-gen-cdb-fragment-path`).
    CompilationDatabase,
    /// Serialised diagnostics.
    Diagnostics,
    /// Crash reproducers.
    CrashReport,
    /// A precompiled header or module.
    Precompiled,
    /// An assembler listing (`-Wa,-a`).
    Listing,
    /// Dependencies that the assembler writes (`-Wa,--MD`).
    AssemblerDependencies,
    /// Any other side file.
    Other,
}

/// Why an option keeps a job at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LocalClass {
    /// The answer is about the compiler; nothing is compiled.
    NotACompile,
    /// The result depends on the processor of this machine.
    ThisMachine,
    /// Writes or reads profiles of this machine's runs.
    Profile,
    /// Writes a file that the protocols do not carry.
    Writes(ExtraOutput),
    /// Reads a file that is not found by following includes.
    ReadsFile,
    /// Loads or starts a program of the user's choice.
    RunsProgram,
    /// C++ modules and header units.
    Modules,
    /// Prints timings or statistics of this very run.
    Statistics,
    /// Shows the commands that it runs, with this machine's paths.
    ShowsCommands,
    /// Changes how output files are named.
    NamesOutputs,
    /// Puts the command line into the output.
    RecordsCommand,
    /// Several compiles in one command (offloading, several architectures).
    SeveralCompiles,
    /// Passes words on whose meaning is unknown here.
    UnknownForwarded,
    /// Other reasons of a single option, told by its own word.
    Unsupported,
}

/// Why an option makes a job preprocess at home instead of going in pump mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlainClass {
    /// Changes the search path in a way that the scanner does not follow.
    Search,
    /// Overlays the file system.
    Overlay,
    /// The source is not in UTF-8.
    Charset,
    /// The old preprocessor.
    Traditional,
    /// Words for the preprocessor whose meaning is unknown here.
    UnknownForwarded,
    /// The compiler would print names of headers.
    PrintsHeaders,
    /// Missing headers are not an error.
    MissingGenerated,
    /// Changes how the preprocessor works in a way the scanner does not follow.
    Preprocessor,
}

/// Why a server refuses an option from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedClass {
    /// Loads code of the client's choice into the compiler.
    LoadsCode,
    /// Replaces or wraps programs that the compiler starts.
    RunsProgram,
    /// Replaces the compiler's specs, which name programs.
    Specs,
    /// Reads more options from a file.
    ReadsOptions,
    /// Writes to a place that the client chooses.
    WritesFile,
    /// Carries words to where this table does not follow them.
    UnknownForwarded,
    /// Makes the compiler understand its words otherwise than this table does.
    OtherSyntax,
}

/// Whether an option is given to the compiler when it is asked for its built-in macros and default
/// search directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// May change the answer.
    Keep,
    /// Cannot change the answer.
    Drop,
    /// Changes the search path: kept only when the compiler's own list is wanted.
    Search,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionRow {
    /// The option as written, without its value.
    pub spelling: &'static str,
    /// Where its value stands.
    pub takes: Takes,
    /// What it is about.
    pub means: Meaning,
    /// Why it keeps the job at home, if it does.
    pub local: Option<LocalClass>,
    /// Why it keeps the job out of pump mode, if it does.
    pub plain: Option<PlainClass>,
    /// Why a server refuses it, if it does.
    pub refused: Option<RefusedClass>,
    /// Its value is a path that the compiler reads, to be mapped into the client's root.
    pub path: bool,
    /// A stock server maps that path into the client's root itself.
    pub stock_relocates: bool,
    /// Whether the compiler probe gets it.
    pub probe: Probe,
    /// Only the word after `-Xclang` or `-Wp,` may be this, not a driver's argument.
    pub forwarded_only: bool,
}

/// Starts a row; the methods below add to it.
pub(super) const fn row(spelling: &'static str, takes: Takes, means: Meaning) -> OptionRow {
    let probe = match means {
        Meaning::Output
        | Meaning::Action(_)
        | Meaning::Macro(_)
        | Meaning::Forced(_)
        | Meaning::Dependency(_)
        | Meaning::Link
        | Meaning::Warning
        | Meaning::Debug
        | Meaning::Forward(Forward::Linker | Forward::WaCommas | Forward::Assembler) => Probe::Drop,
        Meaning::Search(kind) => match kind {
            SearchKind::HeaderSysroot
            | SearchKind::Sysroot
            | SearchKind::Multilib
            | SearchKind::NoStandard
            | SearchKind::NoStandardPart
            | SearchKind::Programs
            | SearchKind::Toolchain => Probe::Keep,
            _ => Probe::Search,
        },
        Meaning::Language | Meaning::Standard | Meaning::Forward(_) | Meaning::Code => Probe::Keep,
    };
    OptionRow {
        spelling,
        takes,
        means,
        local: None,
        plain: None,
        refused: None,
        path: false,
        stock_relocates: false,
        probe,
        forwarded_only: false,
    }
}

impl OptionRow {
    /// The job stays at home.
    pub(super) const fn local(mut self, class: LocalClass) -> Self {
        self.local = Some(class);
        self
    }

    /// The job stays at home because a file would be lost.
    pub(super) const fn writes(self, output: ExtraOutput) -> Self {
        self.local(LocalClass::Writes(output))
    }

    /// The job is preprocessed at home.
    pub(super) const fn plain(mut self, class: PlainClass) -> Self {
        self.plain = Some(class);
        self
    }

    /// A server refuses it.
    pub(super) const fn refused(mut self, class: RefusedClass) -> Self {
        self.refused = Some(class);
        self
    }

    /// The value is a path, which a stock server leaves alone.
    pub(super) const fn path(mut self) -> Self {
        self.path = true;
        self
    }

    /// The value is a path, which a stock server maps into the client's root.
    pub(super) const fn stock_path(mut self) -> Self {
        self.path = true;
        self.stock_relocates = true;
        self
    }

    /// Sets what the probe does with it.
    pub(super) const fn probe(mut self, probe: Probe) -> Self {
        self.probe = probe;
        self
    }

    /// Known only behind `-Xclang` or `-Wp,`.
    pub(super) const fn forwarded_only(mut self) -> Self {
        self.forwarded_only = true;
        self
    }
}
