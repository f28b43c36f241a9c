//! One case, two answers: the scanner's and the compiler's. Owns the scanner under test and the compilers' inner command
//! lines (`cc1 ...`), which cost half of what the driver costs.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use include_server::answer::{Answerer, Doubt};
use include_server::facts::Freshness;
use protocol::include_dialogue::Query;

use super::case::Case;
use super::setup::Setup;

/// What a case shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both read the same files; so many.
    Equal(usize),
    /// The scanner declines, with its reason; the compiler does not.
    Declined(String),
    /// The compiler reports errors: the case shows nothing.
    Rejected(String),
    /// They differ.
    Different(Difference),
    /// The scanner failed in itself.
    Panicked(String),
}

impl Verdict {
    /// Whether the scanner is wrong.
    pub fn is_failure(&self) -> bool {
        matches!(self, Verdict::Different(_) | Verdict::Panicked(_))
    }
}

/// Two sets of files that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Only the compiler reads these.
    pub missing: Vec<String>,
    /// Only the scanner reports these.
    pub extra: Vec<String>,
}

/// How the compiler is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `cc1` itself, where it can be called; the driver otherwise.
    Cheap,
    /// The driver, `-E -MD`.
    Driver,
    /// The driver, `-M`.
    RuleOnly,
}

/// Compares answers in one working directory.
pub struct Judge {
    cwd: PathBuf,
    environment: Vec<Vec<u8>>,
    answerer: Answerer,
    inner: HashMap<Setup, Option<Vec<String>>>,
}

impl Judge {
    /// A judge for cases that are planted in `cwd`, with a scanner that knows nothing yet.
    pub fn new(cwd: &Path) -> Judge {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
        Judge {
            cwd: cwd.to_owned(),
            environment: vec![format!("PATH={path}").into_bytes()],
            answerer: answerer(),
            inner: HashMap::new(),
        }
    }

    /// Forgets all that the scanner remembers.
    pub fn refresh(&mut self) {
        self.answerer = answerer();
    }

    /// The working directory.
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// Compares the answers for a case that is planted.
    pub fn judge(&mut self, case: &Case, way: Way) -> Verdict {
        let ours = self.scan(case);
        let theirs = self.reference(case, way);
        match (ours, theirs) {
            (Err(Doubt::Panic(why)), _) => Verdict::Panicked(why),
            (_, Err(why)) => Verdict::Rejected(why),
            (Err(doubt), Ok(_)) => Verdict::Declined(doubt.to_string()),
            (Ok(ours), Ok(theirs)) => match self.compare(&ours, &theirs) {
                // Where -M and the compile differ, a server may be given the files of both.
                Verdict::Different(difference) if difference.missing.is_empty() => self
                    .reference(case, Way::RuleOnly)
                    .map(|also| theirs.union(&also).cloned().collect())
                    .map_or(Verdict::Different(difference), |both: BTreeSet<String>| {
                        self.compare(&ours, &both)
                    }),
                verdict => verdict,
            },
        }
    }

    fn compare(&self, ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> Verdict {
        if ours == theirs {
            return Verdict::Equal(ours.len());
        }
        let real = |names: &BTreeSet<String>| -> BTreeSet<PathBuf> {
            names
                .iter()
                .map(|name| self.cwd.join(name))
                .map(|path| path.canonicalize().unwrap_or(path))
                .collect()
        };
        let (real_ours, real_theirs) = (real(ours), real(theirs));
        if real_ours == real_theirs {
            return Verdict::Equal(ours.len());
        }
        let shown = |path: &PathBuf| {
            let path = path.strip_prefix(&self.cwd).unwrap_or(path);
            path.display().to_string()
        };
        Verdict::Different(Difference {
            missing: real_theirs.difference(&real_ours).map(shown).collect(),
            extra: real_ours.difference(&real_theirs).map(shown).collect(),
        })
    }

    /// The names that the scanner reports.
    fn scan(&self, case: &Case) -> Result<BTreeSet<String>, Doubt> {
        let mut argv = vec![case.setup.compiler.clone().into_bytes()];
        argv.extend(case.arguments().into_iter().map(String::into_bytes));
        argv.push(b"-c".to_vec());
        let query = Query {
            cwd: self.cwd.as_os_str().as_bytes().to_vec(),
            environment: Some(self.environment.clone()),
            argv,
        };
        let answer = self.answerer.answer(&query)?;
        let closure = &answer.closure;
        let mut files: Vec<_> = closure.files.iter().collect();
        if case.setup.traits().clang {
            // clang lists what __has_include finds; gcc does not.
            files.extend(&closure.has_include_hits);
        }
        let name = |file: &&include_server::closure::ClosureFile| {
            plain(&String::from_utf8_lossy(file.name.as_os_str().as_bytes()))
        };
        Ok(files.iter().map(name).collect())
    }

    /// The names that the compiler reports, or its first error.
    pub fn reference(&mut self, case: &Case, way: Way) -> Result<BTreeSet<String>, String> {
        let mut command = match way {
            Way::Cheap => self.inner_command(case),
            _ => None,
        }
        .unwrap_or_else(|| {
            let mut command = Command::new(&case.setup.compiler);
            command.args(case.arguments());
            match way {
                Way::RuleOnly => command.args(["-M", "-MF", "x.d"]),
                _ => command.args(["-E", "-MD", "-MF", "x.d", "-o", "/dev/null"]),
            };
            command
        });
        let output = command
            .arg("-w")
            .current_dir(&self.cwd)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("{}: {error}", case.setup.compiler))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let line = text.lines().find(|line| line.contains("error: "));
            return Err(line.unwrap_or(&text).trim().into());
        }
        let rule = std::fs::read(self.cwd.join("x.d")).map_err(|error| error.to_string())?;
        Ok(rule_names(&String::from_utf8_lossy(&rule)))
    }

    /// `cc1` with the case's options.
    fn inner_command(&mut self, case: &Case) -> Option<Command> {
        let inner = self
            .inner
            .entry(case.setup.clone())
            .or_insert_with(|| inner_words(&case.setup));
        let words = inner.as_ref()?;
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(case.options.iter().flatten());
        Some(command)
    }
}

fn answerer() -> Answerer {
    Answerer::new(Vec::new(), Freshness::Stat, None).expect("a temporary directory")
}

/// What the driver would start, without looking at anything but the setup. clang's driver does it all in one process.
fn inner_words(setup: &Setup) -> Option<Vec<String>> {
    if setup.traits().clang {
        return None;
    }
    let output = Command::new(&setup.compiler)
        .args(&setup.flags)
        .args(["-###", "-E", "-MD", "-MF", "x.d", "-o", "/dev/null"])
        .arg(setup.language.source())
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text
        .lines()
        .find(|line| line.starts_with(' ') && line.contains("/cc1"))?;
    let words = line.split_whitespace().map(|word| word.trim_matches('"'));
    Some(words.map(String::from).collect())
}

/// Whether a compiler can be started.
pub fn is_installed(compiler: &str) -> bool {
    let run = Command::new(compiler)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    run.is_ok_and(|status| status.success())
}

/// The names that a planted case includes, whether or not they exist, or the compiler's messages.
pub fn includes(case: &Case, cwd: &Path) -> Option<Result<BTreeSet<String>, String>> {
    let output = Command::new(&case.setup.compiler)
        .args(case.arguments())
        .args(["-M", "-MG", "-w"])
        .current_dir(cwd)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(match output.status.success() {
        true => Ok(rule_names(&text(&output.stdout))),
        false => Err(text(&output.stderr)),
    })
}

/// The prerequisites of a make rule.
fn rule_names(rule: &str) -> BTreeSet<String> {
    let rule = rule.replace("\\\n", " ");
    let mut found = BTreeSet::new();
    let Some((_, names)) = rule.split_once(": ") else {
        return found;
    };
    let mut name = Vec::new();
    let bytes = names.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'$') => {
                name.push(b'$');
                at += 1;
            }
            // A blank or tab is quoted by a backslash, and so are the backslashes before it.
            b'\\' => {
                let run = bytes[at..]
                    .iter()
                    .take_while(|&&byte| byte == b'\\')
                    .count();
                match bytes.get(at + run) {
                    Some(&next @ (b' ' | b'\t')) if run % 2 == 1 => {
                        name.extend(std::iter::repeat_n(b'\\', run / 2));
                        name.push(next);
                        at += run;
                    }
                    Some(b'#') => {
                        name.extend(std::iter::repeat_n(b'\\', run - 1));
                        name.push(b'#');
                        at += run;
                    }
                    _ => {
                        name.extend(std::iter::repeat_n(b'\\', run));
                        at += run - 1;
                    }
                }
            }
            b' ' | b'\n' => {
                found.extend((!name.is_empty()).then(|| plain(&String::from_utf8_lossy(&name))));
                name.clear();
            }
            byte => name.push(byte),
        }
        at += 1;
    }
    found.extend((!name.is_empty()).then(|| plain(&String::from_utf8_lossy(&name))));
    found
}

/// A name without leading `./`.
fn plain(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = name.strip_prefix("./") {
        name = rest.trim_start_matches('/');
    }
    name.into()
}
