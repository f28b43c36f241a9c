//! Fixtures as strings, our scan, and the compilers' own answer to compare with.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use include_server::closure::Closure;
use include_server::configuration::{
    CommandMacro, CompilerFamily, Configuration, Dialect, FeatureOracle, Forced, Language,
    Question, TranslationUnit,
};
use include_server::decline::Decline;
use include_server::file_table::FileTable;
use include_server::scan::scan;
use include_server::search::{RawSearch, SearchPath};

/// A compiler that may be installed.
pub struct Compiler {
    pub program: String,
    pub family: CompilerFamily,
}

/// The compiler, unless it is not installed; with REQUIRE_PEERS=1 that fails.
pub fn compiler(program: &str) -> Option<Compiler> {
    let output = Command::new(program)
        .args(["-dM", "-E", "-x", "c", "/dev/null"])
        .output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        assert_ne!(
            std::env::var("REQUIRE_PEERS").as_deref(),
            Ok("1"),
            "{program} is not installed"
        );
        eprintln!("skipped: {program} is not installed");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("#define {name} ")))?;
        line.parse::<u32>().ok()
    };
    let family = match value("__clang_major__") {
        Some(major) => CompilerFamily::Clang { major },
        None => CompilerFamily::Gcc {
            major: value("__GNUC__").expect("__GNUC__"),
        },
    };
    Some(Compiler {
        program: program.into(),
        family,
    })
}

/// Asks the compiler for every single question.
struct AskingOracle {
    command: Vec<String>,
    answers: Mutex<HashMap<Question, Option<i64>>>,
}

impl FeatureOracle for AskingOracle {
    fn answer(&self, question: &Question, _: &dyn Fn() -> Vec<Question>) -> Option<i64> {
        if let Some(answer) = self.answers.lock().unwrap().get(question) {
            return *answer;
        }
        let expression = String::from_utf8_lossy(&question.expression()).into_owned();
        let mut text = String::new();
        for bit in 0..32 {
            text += &format!("#if ({expression}) & (1 << {bit})\n1\n#else\n0\n#endif\n");
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("question");
        std::fs::write(&file, text).unwrap();
        let output = Command::new(&self.command[0])
            .args(&self.command[1..])
            .arg("-P")
            .arg(&file)
            .output()
            .unwrap();
        let answer = output.status.success().then(|| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let bits = text.chars().filter(char::is_ascii_digit);
            bits.enumerate()
                .map(|(bit, digit)| i64::from(digit == '1') << bit)
                .sum()
        });
        self.answers
            .lock()
            .unwrap()
            .insert(question.clone(), answer);
        answer
    }
}

/// A compile as the tests need it, from a command line of few kinds of options.
pub struct Job {
    pub configuration: Configuration,
    pub unit: TranslationUnit,
}

fn language_of(name: &str) -> Language {
    match name {
        "c++" => Language::Cxx,
        "assembler-with-cpp" => Language::AsmWithCpp,
        "objective-c" => Language::ObjC,
        _ => Language::C,
    }
}

pub fn language_name(source: &str) -> &'static str {
    match Path::new(source)
        .extension()
        .and_then(|suffix| suffix.to_str())
    {
        Some("cc" | "cpp" | "cxx" | "C") => "c++",
        Some("S") => "assembler-with-cpp",
        Some("m") => "objective-c",
        _ => "c",
    }
}

/// Runs a compiler on nothing; each command once per test run.
fn probe(words: Vec<String>) -> Output {
    static KEPT: Mutex<Option<HashMap<Vec<String>, Output>>> = Mutex::new(None);
    let kept = KEPT
        .lock()
        .unwrap()
        .get_or_insert_default()
        .get(&words)
        .cloned();
    kept.unwrap_or_else(|| {
        let mut command = Command::new(&words[0]);
        let output = command
            .args(&words[1..])
            .arg("/dev/null")
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        KEPT.lock()
            .unwrap()
            .get_or_insert_default()
            .insert(words, output.clone());
        output
    })
}

/// Takes apart `arguments` (options, then one source) and asks the compiler for the rest.
pub fn job(compiler: &Compiler, cwd: &Path, arguments: &[String]) -> Job {
    let mut raw = RawSearch::default();
    let mut unit = TranslationUnit {
        cwd: cwd.into(),
        source: OsString::new(),
        command_macros: Vec::new(),
        forced: Vec::new(),
    };
    let mut flags: Vec<String> = Vec::new();
    let mut standard: Option<Vec<u8>> = None;
    let mut language: Option<String> = None;
    let mut after = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = |option: &str| -> Option<String> {
            let rest = argument.strip_prefix(option)?;
            Some(if rest.is_empty() {
                arguments.next().expect("a value").clone()
            } else {
                rest.into()
            })
        };
        if let Some(path) = value("-isystem") {
            raw.system.push(path.into());
        } else if let Some(path) = value("-iquote") {
            raw.quote.push(path.into());
        } else if let Some(path) = value("-idirafter") {
            after.push(PathBuf::from(path));
        } else if let Some(name) = value("-include") {
            unit.forced.push(Forced::Include(name.into()));
        } else if let Some(name) = value("-imacros") {
            unit.forced.push(Forced::Macros(name.into()));
        } else if let Some(path) = value("-I") {
            raw.bracket.push(path.into());
        } else if let Some(text) = value("-D") {
            unit.command_macros.push(CommandMacro::Define(text.into()));
        } else if let Some(text) = value("-U") {
            unit.command_macros
                .push(CommandMacro::Undefine(text.into()));
        } else if let Some(text) = value("-A") {
            unit.command_macros.push(CommandMacro::Assert(text.into()));
        } else if let Some(text) = value("-x") {
            language = Some(text);
        } else if argument.starts_with('-') {
            if let Some(text) = argument.strip_prefix("-std=") {
                standard = Some(text.into());
            } else if argument == "-ansi" {
                standard = Some(b"ansi".to_vec());
            }
            flags.push(argument.clone());
        } else {
            unit.source = argument.into();
        }
    }
    let language = language.unwrap_or_else(|| language_name(&unit.source.to_string_lossy()).into());
    let mut dialect = Dialect::derive(language_of(&language), compiler.family, standard.as_deref())
        .expect("a standard");
    for flag in &flags {
        dialect.apply_option(flag.as_bytes());
    }
    let probe = |more: &[&str]| {
        let mut words: Vec<String> = vec![compiler.program.clone()];
        words.extend(flags.iter().cloned());
        words.extend(["-x", &language, "-E"].map(String::from));
        words.extend(more.iter().map(|word| word.to_string()));
        probe(words)
    };
    let builtins = probe(&["-dM", "-nostdinc"]).stdout;
    dialect.apply_builtins(&builtins, compiler.family);
    let listing = String::from_utf8_lossy(&probe(&["-v"]).stderr).into_owned();
    let directories = listing
        .lines()
        .skip_while(|line| !line.starts_with("#include <...>"))
        .skip(1);
    let directories: Vec<PathBuf> = directories
        .take_while(|line| line.starts_with(' '))
        .map(|line| line.trim().into())
        .collect();
    let no_includes = flags.iter().any(|flag| flag == "-nostdinc");
    raw.system.extend(directories.clone());
    raw.after = after;
    let mut command: Vec<String> = vec![compiler.program.clone()];
    command.extend(flags.iter().cloned());
    command.extend(["-x", &language, "-E"].map(String::from));
    let configuration = Configuration {
        language: language_of(&language),
        compiler: compiler.family,
        dialect,
        builtins: builtins.into(),
        pre_includes_stdc_predef: !compiler.family.is_clang()
            && !no_includes
            && !flags.iter().any(|flag| flag == "-ffreestanding"),
        search: SearchPath::build(raw, compiler.family),
        max_include_depth: 200,
        macro_prefix_maps: Vec::new(),
        oracle: Arc::new(AskingOracle {
            command,
            answers: Mutex::default(),
        }),
    };
    Job {
        configuration,
        unit,
    }
}

/// What the compiler itself says it reads (`-M`), or `None` when it fails. A leading `./` is dropped, as gcc does.
pub fn reference(
    compiler: &Compiler,
    cwd: &Path,
    arguments: &[String],
) -> Option<BTreeSet<String>> {
    let output = Command::new(&compiler.program)
        .current_dir(cwd)
        .args(arguments)
        .arg("-M")
        .output()
        .unwrap();
    if !output.status.success() {
        eprintln!(
            "{}: {}",
            compiler.program,
            String::from_utf8_lossy(&output.stderr)
        );
        return None;
    }
    Some(rule_names(&String::from_utf8_lossy(&output.stdout)))
}

/// The prerequisites of a make rule.
pub fn rule_names(rule: &str) -> BTreeSet<String> {
    let rule = rule.replace("\\\n", " ");
    let Some((_, names)) = rule.split_once(": ") else {
        return BTreeSet::new();
    };
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
    found.extend((!name.is_empty()).then(|| plain(&name)));
    found
}

/// A name without leading `./`.
pub fn plain(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = name.strip_prefix("./") {
        name = rest.trim_start_matches('/');
    }
    name.into()
}

/// The names of a closure's files.
pub fn names(closure: &Closure) -> BTreeSet<String> {
    closure
        .files
        .iter()
        .map(|file| plain(&file.name.to_string_lossy()))
        .collect()
}

/// A fixture's tree in a directory of its own: `//- name` begins a file, `//- name -> target` is a link, and
/// `//- name => target` a hard link to a file before it.
pub fn plant(fixture: &str) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let mut current: Option<(PathBuf, String)> = None;
    let finish = |current: Option<(PathBuf, String)>| {
        if let Some((path, text)) = current {
            std::fs::write(path, text).unwrap();
        }
    };
    for line in fixture.split_inclusive('\n') {
        let Some(header) = line.strip_prefix("//- ") else {
            if let Some((_, text)) = &mut current {
                text.push_str(line);
            }
            continue;
        };
        finish(current.take());
        if let Some((name, target)) = header.trim_end().split_once(" => ") {
            let path = tree.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::hard_link(tree.path().join(target), path).unwrap();
            continue;
        }
        let (name, target) = match header.trim_end().split_once(" -> ") {
            Some((name, target)) => (name, Some(target)),
            None => (header.trim_end(), None),
        };
        let path = tree.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match target {
            Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            None if name.ends_with('/') => std::fs::create_dir_all(path).unwrap(),
            None => current = Some((path, String::new())),
        }
    }
    finish(current);
    tree
}

/// Splits a command line at blanks; `'...'` keeps them.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            match words.last_mut() {
                Some(last) if !line.split('\'').nth(at - 1).unwrap().ends_with(' ') => {
                    *last = format!("{last}{part}")
                }
                _ => words.push(part.to_string()),
            }
        } else {
            words.extend(part.split_whitespace().map(String::from));
        }
    }
    words
}

/// Scans in a planted tree.
pub fn scan_in(compiler: &Compiler, cwd: &Path, arguments: &[String]) -> Result<Closure, Decline> {
    let job = job(compiler, cwd, arguments);
    scan(&job.unit, &job.configuration, &FileTable::new())
}
