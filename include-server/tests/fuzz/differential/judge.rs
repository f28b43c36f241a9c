//! One case, two answers: the scanner's and the compiler's. Owns the scanner under test and the compilers' inner command
//! lines (`cc1 ...`), which cost half of what the driver costs.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use include_server::answer::{Answerer, Doubt};
use include_server::closure::{Closure, ClosureFile, SearchKind};
use include_server::facts::Freshness;
use include_server::file_table::FileTable;
use include_server::options::Options;
use include_server::scan::scan;
use protocol::include_dialogue::Query;
use rustix::process::{Resource, Rlimit};

use super::case::{Case, arguments};
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
    /// What the scanner remembers changes its answer about one of the compiles.
    Forgetful(Memory),
    /// The scanner failed in itself.
    Panicked(String),
}

impl Verdict {
    /// Whether the scanner is wrong.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Verdict::Different(_) | Verdict::Forgetful(_) | Verdict::Panicked(_)
        )
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

/// Two answers of the scanner about one compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The source.
    pub source: String,
    /// What a scanner says that has seen other compiles, as far as the other does not.
    pub remembered: Vec<String>,
    /// What one says that remembers nothing, as far as the other does not.
    pub fresh: Vec<String>,
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

/// What a compiler may take.
const SECONDS: u64 = 10;

/// Compares answers.
pub struct Judge {
    environment: Vec<Vec<u8>>,
    freshness: Freshness,
    answerer: Answerer,
    /// What queries mean, for scans that remember nothing else.
    options: Options,
    meanings: FileTable,
    inner: HashMap<Setup, Option<Vec<String>>>,
}

impl Judge {
    /// A judge with a scanner that knows nothing yet.
    pub fn new(freshness: Freshness) -> Judge {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
        Judge {
            environment: vec![format!("PATH={path}").into_bytes()],
            freshness,
            answerer: answerer(freshness),
            options: Options::new(Vec::new()).expect("a temporary directory"),
            meanings: FileTable::new(),
            inner: HashMap::new(),
        }
    }

    /// Forgets all that the scanner remembers.
    pub fn refresh(&mut self) {
        self.answerer = answerer(self.freshness);
    }

    /// Compares the answers for a case that is planted.
    pub fn judge(&mut self, case: &Case, cwd: &Path, way: Way) -> Verdict {
        for relative in &case.relatives {
            let words = arguments(&relative.setup, &relative.options, &relative.source);
            let query = self.query(&relative.setup, words, cwd);
            if let Err(verdict) = self.scan(&query, &relative.source) {
                return verdict;
            }
        }
        let query = self.query(&case.setup, case.arguments(), cwd);
        let ours = match self.scan(&query, case.setup.language.source()) {
            Ok(ours) => ours.map(|closure| names(&closure, case.setup.traits().clang)),
            Err(verdict) => return verdict,
        };
        let theirs = self.reference(case, cwd, way);
        match (ours, theirs) {
            (_, Err(why)) => Verdict::Rejected(why),
            (Err(doubt), Ok(_)) => Verdict::Declined(doubt),
            (Ok(ours), Ok(theirs)) => match compare(&ours, &theirs, cwd) {
                // Where -M and the compile differ, a server may be given the files of both.
                Verdict::Different(difference) if difference.missing.is_empty() => self
                    .reference(case, cwd, Way::RuleOnly)
                    .map(|also| theirs.union(&also).cloned().collect())
                    .map_or(Verdict::Different(difference), |both: BTreeSet<String>| {
                        compare(&ours, &both, cwd)
                    }),
                verdict => verdict,
            },
        }
    }

    fn query(&self, setup: &Setup, words: Vec<String>, cwd: &Path) -> Query {
        let mut argv = vec![setup.compiler.clone().into_bytes()];
        argv.extend(words.into_iter().map(String::into_bytes));
        argv.push(b"-c".to_vec());
        Query {
            cwd: cwd.as_os_str().as_bytes().to_vec(),
            environment: Some(self.environment.clone()),
            argv,
        }
    }

    /// What the scanner says, which must be what one says that remembers nothing.
    fn scan(&self, query: &Query, source: &str) -> Result<Result<Closure, String>, Verdict> {
        let remembered = match self.answerer.answer(query) {
            Ok(answer) => Ok(answer.closure.clone()),
            Err(Doubt::Panic(why)) => return Err(Verdict::Panicked(why)),
            Err(doubt) => Err(doubt.to_string()),
        };
        let fresh = self.scan_freshly(query)?;
        let (one, other) = (lines(&remembered), lines(&fresh));
        if one == other {
            return Ok(remembered);
        }
        let only = |these: &[String], those: &[String]| {
            let lines = these.iter().filter(|line| !those.contains(line));
            let lines: Vec<String> = lines.cloned().collect();
            match lines.is_empty() {
                true => vec!["(in another order)".to_string()],
                false => lines,
            }
        };
        Err(Verdict::Forgetful(Memory {
            source: source.into(),
            remembered: only(&one, &other),
            fresh: only(&other, &one),
        }))
    }

    /// As a scanner without memory, on a thread without memory.
    fn scan_freshly(&self, query: &Query) -> Result<Result<Closure, String>, Verdict> {
        let mut session = self.meanings.facts().session();
        let meaning = match self.options.interpret(query, &mut session) {
            Ok(meaning) => meaning,
            Err(error) => return Ok(Err(error.to_string())),
        };
        std::thread::scope(|scope| {
            let body = || scan(&meaning.unit, &meaning.configuration, &FileTable::new());
            let thread = std::thread::Builder::new().stack_size(16 << 20);
            let thread = thread.spawn_scoped(scope, body).expect("a thread");
            match thread.join() {
                Ok(closure) => Ok(closure.map_err(|decline| decline.to_string())),
                Err(_) => Err(Verdict::Panicked("without memory".into())),
            }
        })
    }

    /// The names that the compiler reports, or its first error.
    pub fn reference(
        &mut self,
        case: &Case,
        cwd: &Path,
        way: Way,
    ) -> Result<BTreeSet<String>, String> {
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
            .current_dir(cwd)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|child| {
                // What explodes is killed, and shows nothing.
                let limit = Rlimit {
                    current: Some(SECONDS),
                    maximum: Some(SECONDS),
                };
                let pid = rustix::process::Pid::from_child(&child);
                rustix::process::prlimit(Some(pid), Resource::Cpu, limit)?;
                child.wait_with_output()
            })
            .map_err(|error| format!("{}: {error}", case.setup.compiler))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let line = text.lines().find(|line| line.contains("error: "));
            return Err(line.unwrap_or(&text).trim().into());
        }
        let rule = std::fs::read(cwd.join("x.d")).map_err(|error| error.to_string())?;
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

fn compare(ours: &BTreeSet<String>, theirs: &BTreeSet<String>, cwd: &Path) -> Verdict {
    if ours == theirs {
        return Verdict::Equal(ours.len());
    }
    let real = |names: &BTreeSet<String>| -> BTreeSet<PathBuf> {
        names
            .iter()
            .map(|name| cwd.join(name))
            .map(|path| path.canonicalize().unwrap_or(path))
            .collect()
    };
    let (real_ours, real_theirs) = (real(ours), real(theirs));
    if real_ours == real_theirs {
        return Verdict::Equal(ours.len());
    }
    let shown = |path: &PathBuf| {
        let path = path.strip_prefix(cwd).unwrap_or(path);
        path.display().to_string()
    };
    Verdict::Different(Difference {
        missing: real_theirs.difference(&real_ours).map(shown).collect(),
        extra: real_ours.difference(&real_theirs).map(shown).collect(),
    })
}

/// The names of a closure, as the compiler would print them.
fn names(closure: &Closure, clang: bool) -> BTreeSet<String> {
    let mut files: Vec<_> = closure.files.iter().collect();
    if clang {
        // clang lists what __has_include finds; gcc does not.
        files.extend(&closure.has_include_hits);
    }
    let name =
        |file: &&ClosureFile| plain(&String::from_utf8_lossy(file.name.as_os_str().as_bytes()));
    files.iter().map(name).collect()
}

/// All of an answer that must not depend on memory.
fn lines(answer: &Result<Closure, String>) -> Vec<String> {
    let closure = match answer {
        Ok(closure) => closure,
        Err(why) => return vec![format!("declined: {why}")],
    };
    let line = |what: &str, file: &ClosureFile| {
        let source = match file.opened_by == SearchKind::Source {
            true => "source ",
            false => "",
        };
        format!("{what} {source}{:?} {}", file.name, file.text_read)
    };
    let files = closure.files.iter().map(|file| line("file", file));
    let hits = closure.has_include_hits.iter();
    let hits = hits.map(|file| line("hit", file));
    let mut absent = closure.probed_absent();
    absent.sort();
    let absent = absent.iter().map(|path| format!("absent {path:?}"));
    files.chain(hits).chain(absent).collect()
}

fn answerer(freshness: Freshness) -> Answerer {
    let answerer = Answerer::new(Vec::new(), freshness, None).expect("a temporary directory");
    answerer.record_from(2);
    // The first variant's source is put away for the next one's, and so on.
    answerer.keep_sources(0);
    answerer
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
