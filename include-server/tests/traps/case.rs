//! One trap: a tree of files, a command line, the compilers it is for, and what our answer must be.
//!
//! [`Trap::exact`] asks each compiler twice, with `-M` and with a real compile. Our answer must be what the compile reads;
//! where `-M` lists more, their union will do. Then the tree is put aside, only the files that we would send are put in its
//! place, and the compile must read the same again: what was left out was not needed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use include_server::answer::{Answered, Answerer};
use include_server::closure::ClosureFile;
use include_server::facts::Freshness;
use protocol::include_dialogue::{Answer, Query};
use protocol::limits::Limits;
use protocol::tree::{EntryContent, TreeEntry, decode_entries};

pub const GCC: &[&str] = &["gcc"];
pub const CLANG: &[&str] = &["clang-19"];
/// For C, Objective-C and assembler; clang finds C++ by the suffix as well.
pub const BOTH: &[&str] = &["gcc", "clang-19"];
pub const GXX: &[&str] = &["g++"];
/// For C++.
pub const BOTHXX: &[&str] = &["g++", "clang-19"];
pub const CROSS: &[&str] = &["aarch64-linux-gnu-gcc"];
pub const CROSSXX: &[&str] = &["aarch64-linux-gnu-g++"];

/// One answerer for all cases of a process, as in a service: compilers are asked once.
static ANSWERER: LazyLock<Answerer> = LazyLock::new(|| {
    Answerer::new(Vec::new(), Freshness::Auto, None).expect("a temporary directory")
});

/// A case, to be judged by [`Trap::exact`] or [`Trap::declined`].
pub struct Trap {
    compilers: &'static [&'static str],
    command: String,
    fixture: Vec<u8>,
    environment: Vec<(&'static str, String)>,
    compiles: bool,
    sends: bool,
    quick: bool,
}

/// A case for `compilers`: `command` without the compiler's name, and the tree.
///
/// In the tree `//- name` begins a file; `//- name -> target` is a symbolic link, `//- name => other` a hard link, and
/// `//- name @ N` a file last modified in second N. `$ROOT` is the working directory, here and in the command; names may
/// begin with one `../`.
pub fn trap(compilers: &'static [&'static str], command: &str, fixture: impl AsRef<[u8]>) -> Trap {
    Trap {
        compilers,
        command: command.into(),
        fixture: fixture.as_ref().to_vec(),
        environment: Vec::new(),
        compiles: true,
        sends: true,
        quick: false,
    }
}

/// A source between two empty headers, `yes.h` and `no.h`.
pub fn source(compilers: &'static [&'static str], command: &str, text: impl AsRef<[u8]>) -> Trap {
    let name = words(command).pop().expect("a source");
    let text = text.as_ref();
    let fixture = [b"//- yes.h\n//- no.h\n//- ", name.as_bytes(), b"\n", text].concat();
    trap(compilers, command, fixture)
}

/// A condition that must hold, after a prelude.
pub fn holds(
    compilers: &'static [&'static str],
    command: &str,
    prelude: &str,
    condition: &str,
) -> Trap {
    let text = format!(
        "{prelude}\n#if {condition}\n#include \"yes.h\"\n#else\n#include \"no.h\"\n#endif\n"
    );
    source(compilers, command, text)
}

impl Trap {
    /// With an environment variable, for the compilers and for us.
    pub fn environment(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// The text is no program, so it can be preprocessed only.
    pub fn preprocessed_only(mut self) -> Self {
        self.compiles = false;
        self
    }

    /// One of many of its kind: the compile alone is asked, once.
    pub fn quick(mut self) -> Self {
        self.quick = true;
        self
    }

    /// The tree cannot be judged by what is sent of it (a part of it plays the compiler's own directory).
    pub fn not_sent(mut self) -> Self {
        self.sends = false;
        self
    }

    /// As [`Trap::exact`], with more files in the tree.
    #[track_caller]
    pub fn exact_with(mut self, more: &str) {
        self.fixture = [more.as_bytes(), &self.fixture].concat();
        self.exact();
    }

    /// Our answer is the set of files that the compile reads, with every compiler; it has a `yes.h` where the tree has one,
    /// and no `no.h`.
    #[track_caller]
    pub fn exact(self) {
        for program in self.compilers {
            if let Some(run) = Run::new(&self, program)
                && let Err(Failure::Rejected(why) | Failure::Declined(why) | Failure::Wrong(why)) =
                    run.exact()
            {
                panic!("{}", run.describe(&why));
            }
        }
    }

    /// As [`Trap::exact`], unless we decline or the compiler itself rejects the case.
    #[track_caller]
    pub fn exact_or_declined(self) {
        for program in self.compilers {
            if let Some(run) = Run::new(&self, program)
                && let Err(Failure::Wrong(why)) = run.exact()
            {
                panic!("{}", run.describe(&why));
            }
        }
    }

    /// We decline, and the reason is one line and says all of `says`.
    #[track_caller]
    pub fn declined(self, says: &[&str]) {
        for program in self.compilers {
            let Some(run) = Run::new(&self, program) else {
                continue;
            };
            match run.ours() {
                Ok(answer) => panic!(
                    "{program}: not declined: {:?}",
                    names(&answer.closure.files)
                ),
                Err(reason) => {
                    assert!(!reason.contains('\n'), "{program}: {reason}");
                    for word in says {
                        assert!(
                            reason.contains(word),
                            "{program}: no {word:?} in {reason:?}"
                        );
                    }
                }
            }
        }
    }

    /// Our answers, with each compiler: all files that a server is sent, by name, directories with a slash and links with
    /// their target; and the names that must not exist there.
    pub fn sent(self) -> Vec<Sent> {
        let runs = self
            .compilers
            .iter()
            .filter_map(|program| Run::new(&self, program));
        runs.map(|run| {
            let answer = run.ours().expect("an answer");
            let root = run.root().canonicalize().unwrap();
            let root = root.to_str().unwrap().to_owned() + "/";
            let entries = run.entries().expect("what is sent");
            let shown = entries.iter().filter(|entry| !entry.is_system_link());
            Sent {
                entries: shown
                    .map(|entry| {
                        let path = entry.path.to_string();
                        let path = path.strip_prefix(&root).unwrap_or(&path).to_owned();
                        match &entry.content {
                            EntryContent::Link(target) => {
                                format!("{path} -> {}", String::from_utf8_lossy(target))
                            }
                            EntryContent::File(_) => path,
                        }
                    })
                    .collect(),
                absent: answer
                    .closure
                    .probed_absent()
                    .iter()
                    .map(|name| plain(name.to_str().unwrap()))
                    .collect(),
            }
        })
        .collect()
    }
}

/// What a server is given, and must not have.
#[derive(Debug)]
pub struct Sent {
    pub entries: BTreeSet<String>,
    pub absent: BTreeSet<String>,
}

/// A case with one compiler, in a directory of its own.
struct Run<'t> {
    trap: &'t Trap,
    program: &'t str,
    is_clang: bool,
    arguments: Vec<OsString>,
    directory: tempfile::TempDir,
}

/// How a case fails.
enum Failure {
    /// The compiler does not take it.
    Rejected(String),
    /// We do not.
    Declined(String),
    /// The answers differ.
    Wrong(String),
}

/// What is asked of a compiler, and how.
const RULE: &[&str] = &["-M"];
const PREPROCESS: &[&str] = &["-E", "-MD"];
const COMPILE: &[&str] = &["-fsyntax-only", "-MD"];

impl<'t> Run<'t> {
    fn new(trap: &'t Trap, program: &'t str) -> Option<Self> {
        if !is_installed(program) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("t/w");
        let root_text = root.to_str().unwrap().to_owned();
        plant(&root, &trap.fixture, &root_text);
        let arguments = words(&trap.command)
            .iter()
            .map(|word| OsString::from(word.replace("$ROOT", &root_text)))
            .collect();
        Some(Self {
            trap,
            program,
            is_clang: program.contains("clang"),
            arguments,
            directory,
        })
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("t/w")
    }

    fn query(&self) -> Query {
        let mut argv = vec![self.program.as_bytes().to_vec()];
        argv.extend(self.arguments.iter().map(|word| word.as_bytes().to_vec()));
        let mut environment = vec![b"PATH=/usr/bin:/bin".to_vec()];
        for (name, value) in &self.trap.environment {
            let value = value.replace("$ROOT", self.root().to_str().unwrap());
            environment.push(format!("{name}={value}").into_bytes());
        }
        Query {
            cwd: self.root().into_os_string().into_vec(),
            environment: Some(environment),
            argv,
        }
    }

    fn ours(&self) -> Result<Arc<Answered>, String> {
        let answer = ANSWERER.answer(&self.query());
        answer.map_err(|doubt| doubt.to_string())
    }

    fn describe(&self, why: &str) -> String {
        let fixture = String::from_utf8_lossy(&self.trap.fixture);
        format!("{} {}: {why}\n{fixture}", self.program, self.trap.command)
    }

    /// What the compiler says it reads; its complaint when it fails.
    fn theirs(&self, mode: &[&str]) -> Result<BTreeSet<String>, Failure> {
        let rule = self.directory.path().join("rule");
        // Nothing of an earlier run may be taken for this one's.
        let _ = std::fs::remove_file(&rule);
        let mut command = Command::new(self.program);
        command
            .current_dir(self.root())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .args(&self.arguments)
            .args(mode)
            .args(["-MT", "x", "-MF"])
            .arg(&rule);
        for (name, value) in &self.trap.environment {
            command.env(name, value.replace("$ROOT", self.root().to_str().unwrap()));
        }
        let output = command.output().unwrap();
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Failure::Rejected(format!("{mode:?}: {text}")));
        }
        // Where the command names the output, -M of old prints the rule there all the same.
        let none = |error: std::io::Error| Failure::Wrong(format!("no rule: {error}"));
        let text = std::fs::read(&rule).map_err(none)?;
        let mut names = rule_names(&String::from_utf8_lossy(&text));
        // clang lists a data file of its own sanitizer, which each compiler has for itself.
        names.retain(|name| !name.ends_with("/share/asan_ignorelist.txt"));
        Ok(names)
    }

    /// What a server is sent.
    fn entries(&self) -> Result<Vec<TreeEntry>, String> {
        match ANSWERER.rich(&self.query()) {
            Answer::Doubt(reason) => Err(format!("not sent: {reason}")),
            Answer::Closure(section) => Ok(decode_entries(&section, Limits::DEFAULT).unwrap()),
        }
    }

    /// The mode of a compile that is a real one.
    fn real(&self) -> &'static [&'static str] {
        let assembler = self.arguments.iter().any(|word| {
            word.as_bytes().ends_with(b".S") || word.as_bytes() == b"assembler-with-cpp"
        });
        if self.trap.compiles && !assembler {
            COMPILE
        } else {
            PREPROCESS
        }
    }

    fn exact(&self) -> Result<(), Failure> {
        let answer = self.ours().map_err(Failure::Declined)?;
        let closure = &answer.closure;
        let wanted = self.theirs(self.real())?;
        let mut union = wanted.clone();
        if !self.trap.quick {
            union.extend(self.theirs(RULE)?);
        }
        let mut found = names(&closure.files);
        if self.is_clang {
            // clang lists what __has_include finds; gcc does not.
            found.extend(names(&closure.has_include_hits));
        }
        if found != union && found != wanted {
            return Err(Failure::Wrong(format!("ours {found:?}, theirs {wanted:?}")));
        }
        let ends_with = |name: &str| {
            let slashed = format!("/{name}");
            wanted
                .iter()
                .any(|file| file == name || file.ends_with(&slashed))
        };
        let has_yes = memchr::memmem::find(&self.trap.fixture, b"yes.h\n").is_some();
        if ends_with("no.h") || (has_yes && !ends_with("yes.h")) {
            let what = "the compiler reads another set than this case is about";
            return Err(Failure::Wrong(format!("{what}: {wanted:?}")));
        }
        match self.trap.sends && !self.trap.quick {
            true => self.send(&wanted).map_err(Failure::Wrong),
            false => Ok(()),
        }
    }

    /// Puts what we would send in the place of the tree, and compiles again.
    fn send(&self, wanted: &BTreeSet<String>) -> Result<(), String> {
        let entries = self.entries()?;
        let tree = self.directory.path().join("t").canonicalize().unwrap();
        std::fs::rename(&tree, self.directory.path().join("aside")).unwrap();
        std::fs::create_dir_all(self.root()).unwrap();
        for entry in entries.iter().filter(|entry| !entry.is_system_link()) {
            let path = Path::new(OsStr::from_bytes(entry.path.as_bytes()));
            if !path.starts_with(&tree) {
                continue;
            }
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match &entry.content {
                EntryContent::File(block) => {
                    let text = protocol::lzo::decompress(block, 1 << 30).unwrap();
                    std::fs::write(path, text).unwrap();
                }
                EntryContent::Link(target) => {
                    std::os::unix::fs::symlink(OsStr::from_bytes(target), path).unwrap();
                }
            }
        }
        match self.theirs(self.real()) {
            Ok(found) if found == *wanted => Ok(()),
            Ok(found) => Err(format!("with what is sent {found:?}, before {wanted:?}")),
            Err(Failure::Rejected(why) | Failure::Declined(why) | Failure::Wrong(why)) => {
                Err(format!("what is sent is not enough: {why}"))
            }
        }
    }
}

/// Whether the compiler is there; with REQUIRE_PEERS=1 it must be.
fn is_installed(program: &str) -> bool {
    let found = Path::new("/usr/bin").join(program).exists();
    if !found {
        assert_ne!(
            std::env::var("REQUIRE_PEERS").as_deref(),
            Ok("1"),
            "{program} is not installed"
        );
        eprintln!("skipped: {program} is not installed");
    }
    found
}

fn names(files: &[ClosureFile]) -> BTreeSet<String> {
    files
        .iter()
        .map(|file| plain(&file.name.to_string_lossy()))
        .collect()
}

/// A name without leading `./`, which gcc drops as well.
pub fn plain(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = name.strip_prefix("./") {
        name = rest.trim_start_matches('/');
    }
    name.into()
}

/// The prerequisites of a make rule.
fn rule_names(rule: &str) -> BTreeSet<String> {
    let rule = rule.replace("\\\n", " ");
    let names = rule.strip_prefix("x:").unwrap_or(&rule);
    let mut found = BTreeSet::new();
    let mut name = String::new();
    let mut characters = names.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some(&(' ' | '#'))) => name.extend(characters.next()),
            ('$', Some('$')) => name.extend(characters.next()),
            (' ' | '\n', _) => {
                found.extend((!name.is_empty()).then(|| plain(&name)));
                name.clear();
            }
            _ => name.push(character),
        }
    }
    found
}

/// Splits a command line at blanks; `'...'` keeps them.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// Makes the tree.
fn plant(root: &Path, fixture: &[u8], root_text: &str) {
    std::fs::create_dir_all(root).unwrap();
    let fixture = replace(fixture, b"$ROOT", root_text.as_bytes());
    let mut rest = fixture.as_slice();
    let mut later: Vec<(PathBuf, u64)> = Vec::new();
    while let Some(header) = rest.strip_prefix(b"//- ") {
        let end = memchr::memchr(b'\n', header).expect("a line end after a name");
        let line = std::str::from_utf8(&header[..end]).unwrap();
        rest = &header[end + 1..];
        let length = memchr::memmem::find(rest, b"\n//- ").map_or(rest.len(), |at| at + 1);
        let length = if rest.starts_with(b"//- ") { 0 } else { length };
        let text = &rest[..length];
        rest = &rest[length..];
        let (name, how) = match line.split_once(" -> ").or_else(|| line.split_once(" => ")) {
            Some((name, target)) => (name, Some(target)),
            None => (line, None),
        };
        let (name, time) = match name.split_once(" @ ") {
            Some((name, seconds)) => (name, Some(seconds.parse().unwrap())),
            None => (name, None),
        };
        let path = root.join(name);
        if name.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
            continue;
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match how {
            Some(target) if line.contains(" -> ") => {
                std::os::unix::fs::symlink(target, path).unwrap();
            }
            Some(other) => std::fs::hard_link(root.join(other), path).unwrap(),
            None => std::fs::write(&path, text).unwrap(),
        }
        if let Some(seconds) = time {
            later.push((root.join(name), seconds));
        }
    }
    assert!(rest.is_empty(), "a fixture begins with a name");
    for (path, seconds) in later {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds);
        file.set_modified(time).unwrap();
    }
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}
