//! From a query (directory, environment, command line) to what the scanner wants: a translation unit and the
//! configuration of its option set.
//!
//! Owns the configurations made so far; each belongs to one compiler's answer and goes with it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dashmap::DashMap;
use protocol::bundle::setting::Platform;
use protocol::command_line::Language as SourceKind;
use protocol::command_line::{
    CommandLine, CompilerKind, ExtraOutput, ForcedKind, LocalClass, MacroKind, Meaning,
    PlainReason, Role, SearchKind, SearchOption, SourceLanguage, compiler_kind,
};
use protocol::include_dialogue::Query;

use crate::compiler::identity::{Identifier, Subject};
use crate::compiler::{CompilerError, Compilers, Invocation, Kept, LocatedCompiler, Probe};
use crate::configuration::{
    CommandMacro, Configuration, Dialect, Forced, Language, TranslationUnit,
};
use crate::facts::Session;
use crate::layout::SystemDirectories;
use crate::platform::platform;
use crate::search::{RawSearch, SearchPath};

/// Why a command line is not covered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The working directory is not absolute.
    #[error("the working directory {0} is not an absolute path")]
    WorkingDirectory(String),
    /// There is not exactly one source.
    #[error("the command has {0} sources; exactly one can be scanned")]
    Sources(usize),
    /// The source is in a language that the scanner does not know.
    #[error("{0} is not C, C++, Objective-C or assembler with preprocessor")]
    Language(String),
    /// A word after which the rest cannot be trusted to mean what it seems to.
    #[error("{0} cannot be interpreted")]
    Word(String),
    /// An option that makes the files read depend on something the scanner does not follow.
    #[error("{0} changes what is read in a way that is not followed")]
    Unfollowed(String),
    /// An option that keeps the command from pump mode.
    #[error("{0}")]
    Plain(PlainReason),
    /// A standard that this version does not know.
    #[error("the standard {0} is not known for this language")]
    Standard(String),
    /// An option whose number is no number.
    #[error("{0} has no usable number")]
    Number(String),
    /// An environment variable that changes the search path here and would not be set on a server.
    #[error("{0} is set, and servers do not know it")]
    Environment(&'static str),
    /// Framework directories or header maps are on the search path.
    #[error("the search path has framework directories")]
    Frameworks,
    /// The compiler cannot be asked.
    #[error(transparent)]
    Compiler(#[from] CompilerError),
}

/// What a query means.
#[derive(Clone)]
pub struct Interpretation {
    /// This compile's own part.
    pub unit: TranslationUnit,
    /// Its option set's part.
    pub configuration: Arc<Configuration>,
    /// The compiler's own directories.
    pub system: Arc<SystemDirectories>,
    /// Directories that a server must have because the compiler is told to warn of missing ones.
    pub warned_directories: Vec<PathBuf>,
}

/// What else a query tells of its compile.
struct Surroundings {
    compiler: LocatedCompiler,
    language: SourceKind,
    external_assembler: bool,
    probe: Arc<Probe>,
}

/// Interprets queries; shared by all threads.
pub struct Options {
    compilers: Compilers,
    identifier: Identifier,
    configurations: DashMap<ConfigurationKey, Prepared>,
    /// What stands for a query's environment when its dialogue has none.
    environment: Vec<(Vec<u8>, Vec<u8>)>,
}

/// All that a configuration depends on besides the probe it is made of.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ConfigurationKey {
    invocation: Invocation,
    /// The invocation that was made to list the whole search path, if one was.
    search: Option<Invocation>,
    directories: RawSearch,
    standard: Option<Vec<u8>>,
    /// Options for lexing, prefix maps and the depth of includes, in order.
    words: Vec<Vec<u8>>,
}

/// A configuration with the answers that it was made of.
#[derive(Clone)]
struct Prepared {
    probe: Arc<Probe>,
    listed: Option<Arc<Probe>>,
    configuration: Arc<Configuration>,
    system: Arc<SystemDirectories>,
}

/// Configurations kept at most: a bound on memory, far above what a build has.
const CONFIGURATIONS_KEPT: usize = 4096;

/// Variables that add to the search path.
const SEARCH_VARIABLES: [&str; 5] = [
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH",
];

/// Variables that a probe is given.
const PROBE_VARIABLES: [&str; 7] = [
    "PATH",
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "LIBRARY_PATH",
    "SDKROOT",
    "CCC_OVERRIDE_OPTIONS",
    "LANG",
];

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(200).collect()
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(os(bytes))
}

/// The variables of one query.
struct Environment(HashMap<Vec<u8>, Vec<u8>>);

impl Environment {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name.as_bytes()).map(Vec::as_slice)
    }

    /// Those of `names` that are set, in this order.
    fn entries(&self, names: &[&str]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let entry = |name: &&str| Some((name.as_bytes().to_vec(), self.get(name)?.to_vec()));
        names.iter().filter_map(entry).collect()
    }
}

impl Options {
    /// With an environment for queries that carry none.
    ///
    /// # Errors
    /// [`CompilerError::Temporary`].
    pub fn new(environment: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, CompilerError> {
        Self::with_kept(environment, None)
    }

    /// As [`Options::new`], with what compilers said to earlier sessions.
    ///
    /// # Errors
    /// [`CompilerError::Temporary`].
    pub fn with_kept(
        environment: Vec<(Vec<u8>, Vec<u8>)>,
        kept: Option<Arc<Kept>>,
    ) -> Result<Self, CompilerError> {
        Ok(Self {
            compilers: Compilers::new(kept.clone())?,
            identifier: Identifier::new(kept),
            configurations: DashMap::new(),
            environment,
        })
    }

    /// Removes what is in the file system; compilers cannot be asked any more.
    pub(crate) fn clean_up(&self) {
        self.compilers.clean_up();
    }

    fn environment_of(&self, query: &Query) -> Environment {
        let pairs = match &query.environment {
            None => self.environment.clone(),
            Some(entries) => entries
                .iter()
                .filter_map(|entry| {
                    let equals = memchr::memchr(b'=', entry)?;
                    Some((entry[..equals].to_vec(), entry[equals + 1..].to_vec()))
                })
                .collect(),
        };
        Environment(pairs.into_iter().collect())
    }

    /// The compiler that `query` would start.
    ///
    /// # Errors
    /// [`CompilerError::NotFound`], [`CompilerError::Wrapper`].
    pub fn locate(
        &self,
        query: &Query,
        session: &mut Session<'_>,
    ) -> Result<LocatedCompiler, CompilerError> {
        self.locate_in(query, &self.environment_of(query), session)
    }

    fn locate_in(
        &self,
        query: &Query,
        environment: &Environment,
        session: &mut Session<'_>,
    ) -> Result<LocatedCompiler, CompilerError> {
        let name = query.argv.first().map_or(&b""[..], Vec::as_slice);
        let search = environment.get("PATH").unwrap_or(b"/usr/bin:/bin");
        self.compilers
            .locate(name, &path(&query.cwd), search, session)
    }

    /// What `query` means.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn interpret(
        &self,
        query: &Query,
        session: &mut Session<'_>,
    ) -> Result<Interpretation, OptionsError> {
        let environment = self.environment_of(query);
        self.read(query, &environment, session)
            .map(|(interpretation, _)| interpretation)
    }

    /// As [`Options::interpret`]; also what a server of the bundle dialect is told of the surroundings.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn interpret_with_platform(
        &self,
        query: &Query,
        session: &mut Session<'_>,
    ) -> Result<(Interpretation, Platform), OptionsError> {
        let environment = self.environment_of(query);
        let (interpretation, surroundings) = self.read(query, &environment, session)?;
        let Surroundings {
            compiler,
            language,
            external_assembler,
            probe,
        } = surroundings;
        let subject = Subject {
            program: compiler.path.clone(),
            language,
            external_assembler,
            environment: environment.entries(&toolchain::VARIABLES),
        };
        let identity = self.identifier.identity(&subject, session);
        let name = query.argv.first().map_or(&b""[..], Vec::as_slice);
        let variable = |name: &str| environment.get(name);
        let platform = platform(name, &compiler, identity, &probe, variable, session);
        Ok((interpretation, platform))
    }

    fn read(
        &self,
        query: &Query,
        environment: &Environment,
        session: &mut Session<'_>,
    ) -> Result<(Interpretation, Surroundings), OptionsError> {
        let cwd = path(&query.cwd);
        if !cwd.is_absolute() {
            return Err(OptionsError::WorkingDirectory(shown(&query.cwd)));
        }
        for name in SEARCH_VARIABLES {
            if environment.get(name).is_some_and(|value| !value.is_empty()) {
                return Err(OptionsError::Environment(name));
            }
        }
        let compiler = self.locate_in(query, environment, session)?;
        let name = query.argv.first().map_or(&b""[..], Vec::as_slice);
        let command = CommandLine::parse_as(&query.argv, kind_of(name, &compiler));
        check(&command)?;
        let (source, kind, language) = only_source(&command)?;
        let prepared = self.prepare(&command, &compiler, language, &cwd, environment, session)?;
        let unit = TranslationUnit {
            source: os(source),
            command_macros: command_macros(&command),
            forced: forced(&command)?,
            cwd,
        };
        let warned_directories = warned_directories(&command, &prepared);
        let mut words = command.words().iter().rev();
        let assembler = words.find(|word| word.ends_with(b"integrated-as"));
        let surroundings = Surroundings {
            compiler,
            language: kind,
            external_assembler: assembler.is_some_and(|word| word == b"-fno-integrated-as"),
            probe: prepared.probe,
        };
        let interpretation = Interpretation {
            unit,
            configuration: prepared.configuration,
            system: prepared.system,
            warned_directories,
        };
        Ok((interpretation, surroundings))
    }

    /// The configuration of a command's option set.
    fn prepare(
        &self,
        command: &CommandLine,
        compiler: &LocatedCompiler,
        language: Language,
        cwd: &Path,
        environment: &Environment,
        session: &mut Session<'_>,
    ) -> Result<Prepared, OptionsError> {
        let invoke = |with_search: bool| {
            let words = command.probe_words(with_search).split_off(1);
            let relative = names_relative_path(command, with_search);
            Invocation {
                program: compiler.path.clone(),
                words,
                language,
                environment: environment.entries(&PROBE_VARIABLES),
                cwd: relative.then(|| cwd.to_owned()),
            }
        };
        let key = ConfigurationKey {
            invocation: invoke(false),
            search: needs_listed_path(command).then(|| invoke(true)),
            directories: directories(command),
            standard: command.standard().map(<[u8]>::to_vec),
            words: dialect_words(command),
        };
        let probe = self.compilers.probe(&key.invocation, session)?;
        let listed = match &key.search {
            Some(invocation) => Some(self.compilers.probe(invocation, session)?),
            None => None,
        };
        if let Some(known) = self.configurations.get(&key)
            && Arc::ptr_eq(&known.probe, &probe)
            && same_probe(known.listed.as_ref(), listed.as_ref())
        {
            return Ok(known.clone());
        }
        // `-undef` hides what tells the character types.
        let types = match key.invocation.words.iter().any(|word| word == b"-undef") {
            true => {
                let mut plain = key.invocation.clone();
                plain.words.retain(|word| word != b"-undef");
                self.compilers.probe(&plain, session)?
            }
            false => Arc::clone(&probe),
        };
        let prepared = build(&key, probe, &types, listed, language)?;
        if self.configurations.len() >= CONFIGURATIONS_KEPT {
            self.configurations.clear();
        }
        self.configurations.insert(key, prepared.clone());
        Ok(prepared)
    }
}

fn same_probe(one: Option<&Arc<Probe>>, other: Option<&Arc<Probe>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

/// The kind of compiler, by its name, or by what the name leads to (`cc` to `gcc-12`).
fn kind_of(name: &[u8], compiler: &LocatedCompiler) -> CompilerKind {
    let by_name = compiler_kind(name);
    let real = compiler_kind(compiler.real.as_os_str().as_bytes());
    match (by_name, real) {
        (CompilerKind::Cc | CompilerKind::Other, real) if real != CompilerKind::Other => real,
        // The same program serves C and C++; the name says which.
        (CompilerKind::Cxx, CompilerKind::Clang | CompilerKind::Clangxx) => CompilerKind::Clangxx,
        (CompilerKind::Cxx, CompilerKind::Gcc | CompilerKind::Gxx) => CompilerKind::Gxx,
        _ => by_name,
    }
}

fn only_source(command: &CommandLine) -> Result<(&[u8], SourceKind, Language), OptionsError> {
    let mut sources = command.sources();
    let (Some((source, language)), None) = (sources.next(), sources.next()) else {
        return Err(OptionsError::Sources(command.sources().count()));
    };
    let known = match language {
        SourceLanguage {
            preprocessed: true, ..
        } => {
            return Err(OptionsError::Plain(PlainReason::Preprocessed));
        }
        SourceLanguage { language, .. } => language,
    };
    let language = match known {
        SourceKind::C => Language::C,
        SourceKind::Cxx => Language::Cxx,
        SourceKind::ObjC => Language::ObjC,
        SourceKind::ObjCxx => Language::ObjCxx,
        SourceKind::AssemblerWithCpp => Language::AsmWithCpp,
        SourceKind::Assembler | SourceKind::Other => {
            return Err(OptionsError::Language(shown(source)));
        }
    };
    Ok((source, known, language))
}

/// Whether the scanner can know what the command reads. Whether the command should be distributed is not asked here:
/// that is for the client, and a person may want to see the files of any command.
fn check(command: &CommandLine) -> Result<(), OptionsError> {
    for item in command.items() {
        let word = || shown(&command.shown(item));
        match item.role {
            Role::StandardInput | Role::ResponseFile | Role::EndOfOptions => {
                return Err(OptionsError::Word(word()));
            }
            _ if item.lacks_value => return Err(OptionsError::Word(word())),
            Role::Operand if item.carrier.is_some() => return Err(OptionsError::Word(word())),
            _ => {}
        }
        let Some(row) = item.row else {
            if item.role == Role::Option && item.carrier.is_some() {
                return Err(OptionsError::Unfollowed(word()));
            }
            continue;
        };
        if let Some(class) = row.plain {
            let reason = PlainReason::Option(class, command.shown(item));
            return Err(OptionsError::Plain(reason));
        }
        if row.local.is_some_and(changes_reading) {
            return Err(OptionsError::Unfollowed(word()));
        }
    }
    Ok(())
}

/// Whether an option that must stay at home also keeps the scanner from knowing what is read, or would make the probe
/// write files.
fn changes_reading(class: LocalClass) -> bool {
    match class {
        LocalClass::ThisMachine | LocalClass::Profile | LocalClass::NamesOutputs => false,
        LocalClass::Writes(output) => !matches!(
            output,
            ExtraOutput::SplitDwarf
                | ExtraOutput::StackUsage
                | ExtraOutput::CoverageNotes
                | ExtraOutput::Listing
                | ExtraOutput::AssemblerDependencies
        ),
        _ => true,
    }
}

fn command_macros(command: &CommandLine) -> Vec<CommandMacro> {
    command
        .macros()
        .map(|option| {
            let text = option.text.to_vec();
            match option.kind {
                MacroKind::Define => CommandMacro::Define(text),
                MacroKind::Undefine => CommandMacro::Undefine(text),
                MacroKind::Assert => CommandMacro::Assert(text),
            }
        })
        .collect()
}

fn forced(command: &CommandLine) -> Result<Vec<Forced>, OptionsError> {
    command
        .forced_includes()
        .map(|option| match option.kind {
            ForcedKind::Include => Ok(Forced::Include(os(option.file))),
            ForcedKind::Macros => Ok(Forced::Macros(os(option.file))),
            ForcedKind::Precompiled => Err(OptionsError::Unfollowed(shown(option.file))),
        })
        .collect()
}

/// Whether the option only adds a directory to a list, at the list's end.
fn adds_directory(option: &SearchOption<'_>) -> bool {
    let simple = matches!(
        option.kind,
        SearchKind::Quote | SearchKind::Bracket | SearchKind::System | SearchKind::After
    );
    let sysroot = option
        .directory
        .is_some_and(|directory| directory.starts_with(b"=") || directory.starts_with(b"$SYSROOT"));
    simple && option.carrier.is_none() && !sysroot
}

/// Whether only the compiler's own list tells the search path. Options that only choose the compiler's default
/// directories are in the ordinary probe.
fn needs_listed_path(command: &CommandLine) -> bool {
    command.search_options().any(|option| {
        let chooses_defaults = matches!(
            option.kind,
            SearchKind::NoStandard
                | SearchKind::NoStandardPart
                | SearchKind::Sysroot
                | SearchKind::HeaderSysroot
                | SearchKind::Toolchain
        ) && option.carrier.is_none();
        !adds_directory(&option) && !chooses_defaults
    })
}

/// Directories that the command line adds.
fn directories(command: &CommandLine) -> RawSearch {
    let mut raw = RawSearch::default();
    for option in command.search_options().filter(adds_directory) {
        let Some(directory) = option.directory else {
            continue;
        };
        let list = match option.kind {
            SearchKind::Quote => &mut raw.quote,
            SearchKind::Bracket => &mut raw.bracket,
            SearchKind::System => &mut raw.system,
            _ => &mut raw.after,
        };
        list.push(path(directory));
    }
    raw
}

/// Whether the probe's words name a path that is taken from the working directory.
fn names_relative_path(command: &CommandLine, with_search: bool) -> bool {
    command.items().iter().any(|item| {
        let Some(row) = item.row else {
            // An unknown option may name anything.
            return item.role == Role::Option;
        };
        let searched = matches!(row.means, Meaning::Search(_));
        let relative = command
            .value(item)
            .is_some_and(|value| !value.is_empty() && value.first() != Some(&b'/'));
        let probed = match row.probe {
            protocol::command_line::Probe::Keep => true,
            protocol::command_line::Probe::Drop => false,
            protocol::command_line::Probe::Search => with_search,
        };
        probed && relative && (row.path || searched)
    })
}

/// The options that change lexing, `__FILE__` or the depth of includes, in order.
fn dialect_words(command: &CommandLine) -> Vec<Vec<u8>> {
    const EXACT: [&[u8]; 10] = [
        b"-trigraphs",
        b"-ftrigraphs",
        b"-fno-trigraphs",
        b"-fdollars-in-identifiers",
        b"-fno-dollars-in-identifiers",
        b"-fextended-identifiers",
        b"-fno-extended-identifiers",
        b"-fcanonical-system-headers",
        b"-fno-canonical-system-headers",
        b"-fno-operator-names",
    ];
    command
        .items()
        .iter()
        .filter(|item| item.role == Role::Option)
        .map(|item| command.bytes(item.text))
        .filter(|word| {
            EXACT.contains(word)
                || word.starts_with(DEPTH)
                || PREFIX_MAPS.iter().any(|option| word.starts_with(option))
        })
        .map(<[u8]>::to_vec)
        .collect()
}

const DEPTH: &[u8] = b"-fmax-include-depth=";
const PREFIX_MAPS: [&[u8]; 2] = [b"-fmacro-prefix-map=", b"-ffile-prefix-map="];

/// The depth of includes that gcc and clang allow if nothing is said.
const DEFAULT_DEPTH: u32 = 200;

fn build(
    key: &ConfigurationKey,
    probe: Arc<Probe>,
    types: &Probe,
    listed: Option<Arc<Probe>>,
    language: Language,
) -> Result<Prepared, OptionsError> {
    if probe.has_frameworks || listed.as_ref().is_some_and(|listed| listed.has_frameworks) {
        return Err(OptionsError::Frameworks);
    }
    let family = probe.family;
    let unknown = || OptionsError::Standard(shown(key.standard.as_deref().unwrap_or(b"")));
    let mut dialect =
        Dialect::derive(language, family, key.standard.as_deref()).ok_or_else(unknown)?;
    let mut max_include_depth = DEFAULT_DEPTH;
    let mut macro_prefix_maps = Vec::new();
    for word in &key.words {
        if let Some(number) = word.strip_prefix(DEPTH) {
            max_include_depth = std::str::from_utf8(number)
                .ok()
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| OptionsError::Number(shown(word)))?;
        } else if let Some(map) = PREFIX_MAPS
            .iter()
            .find_map(|option| word.strip_prefix(*option))
        {
            let equals = memchr::memchr(b'=', map);
            let equals = equals.ok_or_else(|| OptionsError::Word(shown(word)))?;
            macro_prefix_maps.push((map[..equals].to_vec(), map[equals + 1..].to_vec()));
        } else {
            dialect.apply_option(word);
        }
    }
    dialect.apply_builtins(&types.builtins, family);
    let mut raw;
    if let Some(listed) = &listed {
        // The compiler has joined the lists and removed duplicates; as one list they stay as they are.
        raw = RawSearch {
            quote: listed.quote.clone(),
            bracket: listed.bracket.clone(),
            ..RawSearch::default()
        };
    } else {
        raw = key.directories.clone();
        raw.system.extend(probe.bracket.iter().cloned());
    }
    raw.quote_ignores_source_dir = false;
    let system = Arc::new(SystemDirectories::new(&probe.bracket));
    let configuration = Configuration {
        language,
        compiler: family,
        dialect,
        builtins: Arc::clone(&probe.builtins),
        pre_includes_stdc_predef: probe.pre_includes_stdc_predef,
        search: SearchPath::build(raw, family),
        max_include_depth,
        macro_prefix_maps,
        oracle: Arc::clone(&probe.oracle) as Arc<_>,
    };
    Ok(Prepared {
        probe,
        listed,
        configuration: Arc::new(configuration),
        system,
    })
}

/// The user's directories, when the compiler is told to warn of those that are missing.
fn warned_directories(command: &CommandLine, prepared: &Prepared) -> Vec<PathBuf> {
    let warns = command
        .words()
        .iter()
        .any(|word| word == b"-Wmissing-include-dirs");
    if !warns {
        return Vec::new();
    }
    let raw = prepared.configuration.search.raw();
    [&raw.quote, &raw.bracket, &raw.system, &raw.after]
        .into_iter()
        .flatten()
        .filter(|directory| !prepared.probe.bracket.contains(directory))
        .cloned()
        .collect()
}

/// Whether `entry` (of an environment) is one that a probe or the interpretation looks at.
#[must_use]
pub fn is_relevant(name: &OsStr) -> bool {
    protocol::include_dialogue::RELEVANT_ENVIRONMENT
        .iter()
        .any(|relevant| name.as_bytes() == relevant.as_bytes())
}
