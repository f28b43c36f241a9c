//! What these tests share: asking with a known environment, and compilers made for a test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use toolchain::{Evidence, IdentifyError, Identity, Language, Question, identify};

/// Far more than any compiler here needs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What the tests' environment is made of.
pub fn variables(entries: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    let entries = entries.iter();
    entries
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

/// The usual environment.
pub fn usual() -> Vec<(OsString, OsString)> {
    variables(&[("PATH", "/usr/bin:/bin")])
}

/// Asks with the usual environment.
pub fn ask(compiler: &Path, language: Language) -> Result<(Identity, Evidence), IdentifyError> {
    ask_in(compiler, language, &usual())
}

/// A question about a C compiler.
pub fn question<'a>(compiler: &'a Path, environment: &'a [(OsString, OsString)]) -> Question<'a> {
    Question {
        compiler,
        language: Language::C,
        external_assembler: false,
        environment,
    }
}

/// Asks with this environment.
pub fn ask_in(
    compiler: &Path,
    language: Language,
    environment: &[(OsString, OsString)],
) -> Result<(Identity, Evidence), IdentifyError> {
    let question = Question {
        language,
        ..question(compiler, environment)
    };
    identify(&question, LIMIT)
}

/// The identity of a C compiler that is sound.
pub fn identity(compiler: impl AsRef<Path>) -> Identity {
    let compiler = compiler.as_ref();
    let found = ask(compiler, Language::C);
    found
        .unwrap_or_else(|error| panic!("{}: {error}", compiler.display()))
        .0
}

/// Asks until the evidence holds: what has only just been written vouches for nothing.
pub fn settled(mut ask: impl FnMut() -> (Identity, Evidence)) -> (Identity, Evidence) {
    loop {
        let (identity, evidence) = ask();
        if evidence.holds() {
            return (identity, evidence);
        }
    }
}

/// The programs of these that are installed; says which are not.
pub fn installed<'a>(programs: &[&'a str]) -> Vec<&'a str> {
    let (there, missing): (Vec<&str>, Vec<&str>) = programs
        .iter()
        .partition(|program| Path::new(program).exists());
    if !missing.is_empty() {
        eprintln!("not installed, so not tested: {}", missing.join(" "));
    }
    there
}

/// A directory with a compiler that does as it is told.
pub struct Fake {
    directory: tempfile::TempDir,
}

impl Fake {
    pub fn new(mode: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Self { directory };
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/identity/fake_compiler.c"
        );
        let built = Command::new("/usr/bin/gcc")
            .args(["-O1", source, "-o"])
            .arg(fake.compiler())
            .status();
        assert!(built.unwrap().success());
        std::fs::copy("/usr/bin/as", fake.path("cc1")).unwrap();
        fake.set(mode);
        fake
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    pub fn compiler(&self) -> PathBuf {
        self.path("gcc")
    }

    /// What it does from now on.
    pub fn set(&self, mode: &str) {
        std::fs::write(self.path("mode"), mode).unwrap();
    }

    /// How often it was asked for an identity.
    pub fn starts(&self) -> usize {
        std::fs::read_to_string(self.path("starts")).map_or(0, |text| text.lines().count())
    }
}
