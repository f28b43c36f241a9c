//! Asks a compiler who it is. Owns no state; what it finds rests on the [`Evidence`] that it gives back.
//!
//! Nothing in an identity may depend on the name under which the compiler was started (`cc`, `gcc-12` and
//! `x86_64-linux-gnu-gcc` are one), on where it stands, or on the headers of this machine, which are the manifest's
//! matter: hence `-nostdinc`, and words with paths do not count.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::command_line::{Language, SourceLanguage};
use protocol::identity::{Family, Identity};

use crate::command_lines::{Command, INPUT};
use crate::digests::{Digests, Sections};
use crate::error::IdentifyError;
use crate::evidence::{Evidence, Gathering};
use crate::libraries::{self, Kind};
use crate::report::{self, Report};
use crate::run;
use crate::stamp::Seen;

/// The environment variables that make another compiler of one; all others are kept from it while it is asked. Those
/// that add directories of headers are not among them.
pub const VARIABLES: [&str; 9] = [
    "PATH",
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "CCC_OVERRIDE_OPTIONS",
    "CLANG_NO_DEFAULT_CONFIG",
    "SDKROOT",
    "HOME",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
];

/// Where programs are looked for when there is no `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Programs that stand in `PATH` under a compiler's name and start the real one.
const WRAPPERS: [&str; 6] = ["distcc", "ccache", "sccache", "icecc", "gomacc", "colorgcc"];

/// Whether the file behind a compiler's links is a program that only starts compilers.
#[must_use]
pub fn is_wrapper(real: &Path) -> bool {
    real.file_name()
        .is_some_and(|name| WRAPPERS.iter().any(|wrapper| name == *wrapper))
}

/// Which compiler is to say who it is, and as what.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Its absolute path, under the name by which the job will start it.
    pub compiler: &'a Path,
    /// What it is to compile.
    pub language: Language,
    /// `-fno-integrated-as` is among the job's options; it makes a difference for clang only.
    pub external_assembler: bool,
    /// The job's environment. Only [`VARIABLES`] count.
    pub environment: &'a [(OsString, OsString)],
}

impl Question<'_> {
    /// What counts of the environment, in the order of [`VARIABLES`].
    pub(crate) fn relevant(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let value = |name: &str| {
            let mut entries = self.environment.iter();
            let (_, value) = entries.find(|(own, _)| own == name)?;
            Some((name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        };
        VARIABLES.iter().filter_map(|name| value(name)).collect()
    }
}

/// Asks; each single question to it may take `limit`.
///
/// # Errors
/// [`IdentifyError`]: whoever cannot be told apart for certain has no identity.
pub fn identify(
    question: &Question<'_>,
    limit: Duration,
) -> Result<(Identity, Evidence), IdentifyError> {
    identify_with(question, limit, &Digests::default())
}

/// The same with a memory of digests.
pub(crate) fn identify_with(
    question: &Question<'_>,
    limit: Duration,
    digests: &Digests,
) -> Result<(Identity, Evidence), IdentifyError> {
    let mut inquiry = Inquiry::begin(question, limit)?;
    let (report, commands) = inquiry.dry_run()?;
    let mut alike = Sections::new("pumphouse 2026-11 a compiler's release, target and defaults");
    alike.add(b"family", &[u8::from(report.family == Family::Clang)]);
    alike.add(b"target", &report.target);
    alike.add(b"version", &report.version);
    for command in &commands {
        for word in command.settings() {
            alike.add(b"word", word);
        }
        alike.add(b"end", b"");
    }
    alike.add(b"macros", &inquiry.macros()?);
    inquiry.add_defaults(&report, &mut alike)?;
    let parts = inquiry.parts(&report, &commands)?;
    if let Some(assembler) = &parts.assembler {
        let version = inquiry.run(assembler, &["--version"])?.stdout;
        let line = version.split(|&byte| byte == b'\n').next();
        alike.add(b"assembler", line.unwrap_or_default());
    }
    let alike = alike.finish();
    let mut description = Sections::new("pumphouse 2026-11 what a compiler says of itself");
    description.add(b"alike", &alike);
    for line in &report.build {
        description.add(b"line", line);
    }
    if report.family == Family::Gcc {
        let specs = inquiry.ask(&["-dumpspecs"])?;
        description.add(b"specs", &specs);
    }
    let description = description.finish();
    let mut exact = Sections::new("pumphouse 2026-11 the files that a compiler is made of");
    exact.add(b"description", &description);
    inquiry.add_files(&parts, digests, &mut exact)?;
    let identity = Identity {
        family: report.family,
        banner: report.banner(),
        alike,
        description,
        exact: exact.finish(),
    };
    Ok((identity, inquiry.gathering.finish()?))
}

/// The programs that a compile consists of.
struct Parts {
    /// The compiler proper, when it is not the driver itself.
    compiler: Option<PathBuf>,
    /// `as`, when there is need of one.
    assembler: Option<PathBuf>,
}

/// One compiler that is being asked.
struct Inquiry<'a> {
    question: &'a Question<'a>,
    language: &'a OsStr,
    environment: Vec<(Vec<u8>, Vec<u8>)>,
    limit: Duration,
    gathering: Gathering,
}

impl<'a> Inquiry<'a> {
    fn begin(question: &'a Question<'a>, limit: Duration) -> Result<Self, IdentifyError> {
        let path = question.compiler;
        if question.language == Language::Other {
            return Err(IdentifyError::Language);
        }
        if path.is_relative() {
            return Err(IdentifyError::Relative {
                path: path.to_owned(),
            });
        }
        let language = SourceLanguage {
            language: question.language,
            preprocessed: false,
            header: false,
        };
        let inquiry = Self {
            question,
            language: OsStr::from_bytes(language.name()),
            environment: question.relevant(),
            limit,
            gathering: Gathering::begin(path)?,
        };
        inquiry.refuse_relative_prefixes()?;
        if is_wrapper(inquiry.gathering.real()) {
            return Err(IdentifyError::Wrapper {
                path: path.to_owned(),
                starts: "another compiler".into(),
            });
        }
        match libraries::kind(path)? {
            Kind::Static | Kind::Dynamic(_) => Ok(inquiry),
            Kind::Script => Err(IdentifyError::Script {
                path: path.to_owned(),
            }),
            Kind::Other => Err(IdentifyError::NoProgram {
                path: path.to_owned(),
            }),
        }
    }

    fn variable(&self, name: &str) -> Option<&[u8]> {
        let mut entries = self.environment.iter();
        let (_, value) = entries.find(|(own, _)| own == name.as_bytes())?;
        Some(value)
    }

    fn refuse_relative_prefixes(&self) -> Result<(), IdentifyError> {
        for variable in ["GCC_EXEC_PREFIX", "COMPILER_PATH"] {
            let value = self.variable(variable).unwrap_or_default();
            for directory in value.split(|&byte| byte == b':') {
                if !value.is_empty() && !directory.starts_with(b"/") {
                    return Err(IdentifyError::RelativeVariable {
                        variable,
                        value: String::from_utf8_lossy(directory).into_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    fn run(
        &self,
        program: &Path,
        words: &[impl AsRef<OsStr>],
    ) -> Result<run::Output, IdentifyError> {
        let mut command = run::command(program, &self.environment, None);
        let output = run::run_within(command.args(words), b"", self.limit);
        let path = program.to_owned();
        let output = output.map_err(|cause| IdentifyError::Run {
            path: path.clone(),
            cause,
        })?;
        match output.success {
            true => Ok(output),
            false => Err(IdentifyError::Refused {
                message: run::first_error(&output.stderr),
                path,
            }),
        }
    }

    /// Asks the compiler itself.
    fn ask(&self, words: &[impl AsRef<OsStr>]) -> Result<Vec<u8>, IdentifyError> {
        Ok(self.run(self.question.compiler, words)?.stdout)
    }

    /// What the compiler says of itself, and the commands that a compile would come to. With `-O2`, because some vendors'
    /// defaults show only there, and with `-pipe`, because there is no need of temporary files.
    fn dry_run(&self) -> Result<(Report, Vec<Command>), IdentifyError> {
        let mut words = vec![OsStr::new("-###"), "-pipe".as_ref(), "-O2".as_ref()];
        if self.question.external_assembler {
            words.push("-fno-integrated-as".as_ref());
        }
        words.extend(["-x".as_ref(), self.language]);
        words.extend(["-c", INPUT, "-o", INPUT].map(OsStr::new));
        let text = self.run(self.question.compiler, &words)?.stderr;
        let report =
            Report::parse(&text).ok_or_else(|| self.no_compiler("-### printed no version"))?;
        let commands = Command::all(&text);
        self.refuse_wrappers(&report, &commands)?;
        if let Some(word) = commands.iter().find_map(Command::loads) {
            return Err(IdentifyError::Loads {
                path: self.question.compiler.to_owned(),
                word: String::from_utf8_lossy(word).into_owned(),
            });
        }
        Ok((report, commands))
    }

    fn no_compiler(&self, what: &'static str) -> IdentifyError {
        IdentifyError::NoCompiler {
            path: self.question.compiler.to_owned(),
            what,
        }
    }

    /// gcc tells by which name it was started, and clang starts itself: a wrapper's answer is about somebody else.
    fn refuse_wrappers(&self, report: &Report, commands: &[Command]) -> Result<(), IdentifyError> {
        let path = self.question.compiler;
        let answering = match report.family {
            Family::Gcc => report.started_as.as_deref(),
            _ => {
                let own = commands.iter().find(|command| is_clangs_own(command));
                own.map(|command| command.program().as_os_str().as_bytes())
            }
        };
        let is_asked_one = match (report.family, answering) {
            (Family::Gcc, Some(name)) => name == path.as_os_str().as_bytes(),
            (_, Some(name)) => {
                let program = Path::new(OsStr::from_bytes(name)).canonicalize();
                let program = program.map(|program| Seen::at(&program));
                program.is_ok_and(|program| program == Seen::at(self.gathering.real()))
            }
            // Only an assembler is started, and it is named.
            (_, None) => report.family == Family::Clang,
        };
        match is_asked_one {
            true => Ok(()),
            false => Err(IdentifyError::Wrapper {
                path: path.to_owned(),
                starts: String::from_utf8_lossy(answering.unwrap_or(b"another compiler"))
                    .into_owned(),
            }),
        }
    }

    /// The built-in macros; assembler that is not preprocessed has none.
    fn macros(&self) -> Result<Vec<u8>, IdentifyError> {
        if self.question.language == Language::Assembler {
            return Ok(Vec::new());
        }
        let mut words = ["-nostdinc", "-O2", "-E", "-dM", "-x"]
            .map(OsStr::new)
            .to_vec();
        words.extend([self.language, INPUT.as_ref()]);
        let macros = self.ask(&words)?;
        match macros.starts_with(b"#define ") {
            true => Ok(macros),
            false => Err(self.no_compiler("-E -dM printed no macros")),
        }
    }

    /// Files with defaults: `specs` of gcc, configuration files of clang.
    fn add_defaults(&mut self, report: &Report, to: &mut Sections) -> Result<(), IdentifyError> {
        for path in &report.defaults {
            if path.is_relative() {
                return Err(IdentifyError::Relative { path: path.clone() });
            }
            self.gathering.note(path);
            let text =
                std::fs::read(path).map_err(|error| IdentifyError::unreadable(path, error))?;
            if let Some(word) = report::nested(&text) {
                return Err(IdentifyError::Loads {
                    path: path.clone(),
                    word,
                });
            }
            to.add(b"defaults", &text);
        }
        for directory in &report.directories {
            self.gathering.note(directory);
        }
        Ok(())
    }

    /// Finds the programs that the commands name, and writes down where others would have been found instead.
    fn parts(&mut self, report: &Report, commands: &[Command]) -> Result<Parts, IdentifyError> {
        let is_gcc = report.family == Family::Gcc;
        let compiler = commands.iter().rfind(|command| match is_gcc {
            true => command.name().starts_with(b"cc1"),
            false => is_clangs_own(command),
        });
        let assembler = commands
            .iter()
            .rfind(|command| command.name().ends_with(b"as"));
        let needs_compiler = self.question.language != Language::Assembler;
        let missing = |tool: &str| IdentifyError::Missing {
            path: self.question.compiler.to_owned(),
            tool: tool.to_owned(),
        };
        if needs_compiler && compiler.is_none() {
            return Err(missing("compiler proper for this language"));
        }
        if assembler.is_none() && (is_gcc || compiler.is_none()) {
            return Err(missing("assembler"));
        }
        let mut directories = Vec::new();
        if is_gcc || assembler.is_some() {
            let text = self.ask(&["-print-search-dirs"])?;
            directories = report::search_directories(&text, b"programs");
            if is_gcc {
                let libraries = report::search_directories(&text, b"libraries");
                for directory in directories.iter().chain(&libraries) {
                    self.gathering.note(&directory.join("specs"));
                }
            }
        }
        let compiler = match compiler.filter(|_| is_gcc) {
            Some(command) => Some(self.tool(command, report, &directories)?),
            None => None,
        };
        let assembler = match assembler {
            Some(command) => Some(self.tool(command, report, &directories)?),
            None => None,
        };
        Ok(Parts {
            compiler,
            assembler,
        })
    }

    /// The program of a command, which the driver looked for in `directories` and then on `PATH`.
    fn tool(
        &mut self,
        command: &Command,
        report: &Report,
        directories: &[PathBuf],
    ) -> Result<PathBuf, IdentifyError> {
        let name = OsStr::from_bytes(command.name());
        let full = [report.target.as_slice(), b"-", command.name()].concat();
        for directory in directories {
            self.gathering.note(&directory.join(name));
            if report.family == Family::Clang {
                self.gathering
                    .note(&directory.join(OsStr::from_bytes(&full)));
            }
        }
        let program = command.program();
        if program.is_absolute() {
            self.gathering.note(program);
            return Ok(program.to_owned());
        }
        let search = self.variable("PATH").unwrap_or(DEFAULT_PATH).to_vec();
        for directory in search.split(|&byte| byte == b':') {
            if !directory.starts_with(b"/") {
                return Err(IdentifyError::RelativeVariable {
                    variable: "PATH",
                    value: String::from_utf8_lossy(directory).into_owned(),
                });
            }
            let candidate = Path::new(OsStr::from_bytes(directory)).join(name);
            self.gathering.note(&candidate);
            if candidate.is_file() && is_executable(&candidate) {
                return Ok(candidate);
            }
        }
        Err(IdentifyError::Missing {
            path: self.question.compiler.to_owned(),
            tool: String::from_utf8_lossy(command.name()).into_owned(),
        })
    }

    /// Digests of all programs and of the libraries that they load, whatever their paths.
    fn add_files(
        &mut self,
        parts: &Parts,
        digests: &Digests,
        to: &mut Sections,
    ) -> Result<(), IdentifyError> {
        let driver = self.gathering.real().to_owned();
        let mut libraries = Vec::new();
        let programs = [
            (&b"driver"[..], Some(&driver)),
            (b"compiler", parts.compiler.as_ref()),
            (b"assembler", parts.assembler.as_ref()),
        ];
        for (role, program) in programs {
            let Some(program) = program else {
                continue;
            };
            to.add(role, &self.digest(program, digests)?);
            libraries.extend(libraries::libraries(
                program,
                &self.environment,
                self.limit,
            )?);
        }
        self.note_library_search(&libraries);
        let mut named = Vec::new();
        for library in &libraries {
            let name = library.file_name().unwrap_or_default().as_bytes();
            named.push((name, self.digest(library, digests)?));
        }
        named.sort_unstable();
        named.dedup();
        for (name, digest) in named {
            to.add(name, &digest);
        }
        Ok(())
    }

    fn digest(&mut self, path: &Path, digests: &Digests) -> Result<[u8; 32], IdentifyError> {
        self.gathering.note(path);
        let digest = digests.of(path);
        digest.map_err(|error| IdentifyError::unreadable(path, error))
    }

    /// Another library may appear where the loader looks first.
    fn note_library_search(&mut self, libraries: &[PathBuf]) {
        let search = self
            .variable("LD_LIBRARY_PATH")
            .unwrap_or_default()
            .to_vec();
        let search = search.split(|&byte| byte == b':');
        let search = search.filter(|directory| directory.starts_with(b"/"));
        for directory in search {
            self.gathering.note(Path::new(OsStr::from_bytes(directory)));
        }
        for directory in libraries.iter().filter_map(|library| library.parent()) {
            self.gathering.note(directory);
        }
        for name in ["/etc/ld.so.cache", "/etc/ld.so.preload"] {
            self.gathering.note(Path::new(name));
        }
    }
}

/// Whether clang would do this itself.
fn is_clangs_own(command: &Command) -> bool {
    command.has(b"-cc1") || command.has(b"-cc1as")
}

fn is_executable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
