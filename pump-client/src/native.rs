//! `-march=native` and its like, replaced by what they mean here, so that the job can go to a machine with another processor.
//!
//! The compiler itself says what it makes of the words (`-###`), and is then asked what it makes of their replacement: only when
//! both come to the same for the compiler proper is the replacement used. Otherwise the words stay, and the job stays here. The
//! answer is kept in `state/native_UID_KEY` as long as machine (its boot), compiler, and words are the same.

use crate::compiler::Launcher;
use crate::environment::Environment;
use crate::log;
use crate::path_search;
use crate::state_directory::StateDirectory;
use protocol::command_line::{CompilerKind, Word};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The words that this is about.
const NATIVE: [&[u8]; 3] = [b"-march=native", b"-mcpu=native", b"-mtune=native"];

/// Options whose value is the next word, whatever that looks like.
const WITH_VALUE: [&[u8]; 16] = [
    b"-o",
    b"-x",
    b"-I",
    b"-D",
    b"-U",
    b"-L",
    b"-l",
    b"-MF",
    b"-MT",
    b"-MQ",
    b"-include",
    b"-imacros",
    b"-isystem",
    b"-Xlinker",
    b"-Xassembler",
    b"-Xpreprocessor",
];

/// The most bytes of a kept answer.
const KEPT_LIMIT: u64 = 64 << 10;

/// What begins a kept answer.
const MAGIC: &str = concat!("pumphouse native 1 ", env!("CARGO_PKG_VERSION"));

/// A command line's words about the processor.
struct Processor {
    /// Where the first of them stands.
    at: usize,
    /// They, in their order.
    words: Vec<Word>,
    /// The other words.
    others: Vec<Word>,
    /// Those among the others that say for which machine to compile at all.
    target: Vec<Word>,
}

impl Processor {
    /// Whether gcc writes the options themselves into its output, with their order.
    fn options_are_written(&self) -> bool {
        self.others.iter().any(|word| {
            let debug = word.starts_with(b"-g") && word != b"-g0";
            debug || word.starts_with(b"-frecord") || word == b"-fverbose-asm" || word == b"-S"
        })
    }
}

/// The command line with other words for the native ones; `None` when it has none, or none can be found that mean the same.
#[must_use]
pub fn resolve(
    words: &[Word],
    kind: CompilerKind,
    launcher: &Launcher,
    environment: &Environment,
) -> Option<Vec<Word>> {
    let is_native = |word: &Word| NATIVE.contains(&word.as_slice());
    // On other machines than these the assembler is told of the processor, too, which is not looked at here.
    if !cfg!(target_arch = "x86_64") || !words.iter().any(is_native) {
        return None;
    }
    let processor = take_apart(words)?;
    let question = Question::new(&words[0], &processor, launcher);
    let kept = question
        .as_ref()
        .and_then(|question| question.kept(environment));
    let replacement = match kept {
        Some(words) => words,
        None => {
            let (replacement, proper) = ask(&words[0], &processor, kind, launcher)?;
            if let Some(question) = &question {
                question.keep(environment, &proper, &replacement);
            }
            replacement
        }
    };
    log::debug!("{} words say what native is here", replacement.len());
    let mut result = processor.others;
    result.splice(processor.at..processor.at, replacement);
    Some(result)
}

/// `None` when a word is a native one in form alone.
fn take_apart(words: &[Word]) -> Option<Processor> {
    let mut processor = Processor {
        at: 0,
        words: Vec::new(),
        others: vec![words.first()?.clone()],
        target: Vec::new(),
    };
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        if word.starts_with(b"-m") || word.starts_with(b"--param=") {
            if processor.words.is_empty() {
                processor.at = processor.others.len();
            }
            processor.words.push(word.clone());
        } else if word == b"--param" {
            if processor.words.is_empty() {
                processor.at = processor.others.len();
            }
            processor
                .words
                .push([b"--param=", rest.next()?.as_slice()].concat());
        } else if word == b"-Xclang" || word.starts_with(b"-Wp,") || word == b"-specs" {
            // What is carried past the driver is seen by nobody here.
            return None;
        } else {
            processor.others.push(word.clone());
            let names_target = word == b"-target" || word.starts_with(b"--target");
            if names_target {
                processor.target.push(word.clone());
            }
            if word == b"-target" || WITH_VALUE.contains(&word.as_slice()) {
                let value = rest.next()?;
                if names_target {
                    processor.target.push(value.clone());
                }
                processor.others.push(value.clone());
            }
        }
    }
    Some(processor)
}

/// Asks the compiler, and checks the answer with it: the replacement, and the compiler proper's path.
fn ask(
    compiler: &Word,
    processor: &Processor,
    kind: CompilerKind,
    launcher: &Launcher,
) -> Option<(Vec<Word>, Word)> {
    if kind.is_clang()
        && !processor
            .words
            .iter()
            .all(|word| NATIVE.contains(&word.as_slice()))
    {
        // Features imply others, so their order would matter.
        return None;
    }
    let makes_of = |words: &[Word]| proper_words(compiler, &processor.target, words, launcher);
    let wanted = makes_of(&processor.words)?;
    let replacement = if kind.is_clang() {
        clangs_words(&processor.words, &wanted)
    } else {
        let [options, parameters, _] = grouped(&wanted);
        [options, parameters].concat()
    };
    if replacement
        .iter()
        .any(|word| NATIVE.contains(&word.as_slice()))
    {
        return None;
    }
    let got = makes_of(&replacement)?;
    let same = if kind.is_clang() {
        machine(&got) == machine(&wanted)
    } else {
        // The driver puts parameters behind other options, which changes nothing but where options are written down.
        let [.., parameters, _] = grouped(&got);
        let reordered = !parameters.is_empty() && processor.options_are_written();
        grouped(&got) == grouped(&wanted) && !reordered
    };
    if !same {
        log::info!("the compiler makes something else of the words that stand for native");
        return None;
    }
    let proper = wanted.into_iter().next()?;
    Some((replacement, proper))
}

/// Options about the machine, parameters, each in their order, and all other words.
fn grouped(words: &[Word]) -> [Vec<Word>; 3] {
    let mut groups: [Vec<Word>; 3] = Default::default();
    for word in words {
        let group = match word.as_slice() {
            word if word.starts_with(b"-m") => 0,
            word if word.starts_with(b"--param=") => 1,
            _ => 2,
        };
        groups[group].push(word.clone());
    }
    groups[2].sort();
    groups
}

/// How the driver would call the compiler proper.
fn proper_words(
    compiler: &Word,
    target: &[Word],
    words: &[Word],
    launcher: &Launcher,
) -> Option<Vec<Word>> {
    let mut command = vec![compiler.clone()];
    let fixed = |words: &[&str]| {
        words
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect::<Vec<_>>()
    };
    command.extend(fixed(&["-###", "-S", "-o", "/dev/null", "-x", "c"]));
    command.extend_from_slice(target);
    command.extend_from_slice(words);
    command.extend(fixed(&["/dev/null"]));
    let capture = launcher.capture(&command).ok()?.finish().ok()?;
    if capture.status.exit_code() != 0 {
        return None;
    }
    let lines = capture.stderr.split(|&byte| byte == b'\n');
    let is_proper = |words: &Vec<Word>| {
        let name = words
            .first()
            .and_then(|word| word.rsplit(|&byte| byte == b'/').next());
        name == Some(b"cc1") || words.get(1).is_some_and(|word| word == b"-cc1")
    };
    lines
        .filter(|line| line.starts_with(b" "))
        .map(split_quoted)
        .find(is_proper)
}

/// Splits as drivers quote: blanks separate, double quotes hold together, backslashes in them protect. The two spellings of
/// `--param` become one.
pub(crate) fn split_quoted(line: &[u8]) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut quoted = false;
    let mut bytes = line.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            b' ' | b'\t' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    let mut joined: Vec<Word> = Vec::with_capacity(words.len());
    for word in words {
        match joined.last_mut() {
            Some(last) if last == b"--param" => {
                last.push(b'=');
                last.extend(word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

/// What clang's compiler proper is told of the machine: single values, and features in their order.
fn machine(words: &[Word]) -> (BTreeMap<Word, Word>, Vec<Word>) {
    let (mut values, mut features) = (BTreeMap::new(), Vec::new());
    for pair in words.windows(2) {
        match pair[0].as_slice() {
            b"-target-cpu" | b"-tune-cpu" | b"-triple" | b"-target-abi" => {
                values.insert(pair[0].clone(), pair[1].clone());
            }
            b"-target-feature" => features.push(pair[1].clone()),
            _ => {}
        }
    }
    (values, features)
}

/// Words for clang's driver: the processor by its name, each feature by the compiler proper's own word for it.
fn clangs_words(typed: &[Word], wanted: &[Word]) -> Vec<Word> {
    let (values, features) = machine(wanted);
    let named = |option: &[u8], key: &[u8]| {
        values
            .get(key)
            .map(|value| [option, value.as_slice()].concat())
    };
    let mut words = Vec::new();
    for word in typed {
        match word.as_slice() {
            b"-march=native" => words.extend(named(b"-march=", b"-target-cpu")),
            b"-mtune=native" => words.extend(named(b"-mtune=", b"-tune-cpu")),
            b"-mcpu=native" => words.extend(named(b"-mcpu=", b"-target-cpu")),
            _ => words.push(word.clone()),
        }
    }
    if typed
        .iter()
        .any(|word| word == b"-march=native" || word == b"-mcpu=native")
    {
        for feature in features {
            let carried = [b"-target-feature".to_vec(), feature];
            words.extend(
                carried
                    .into_iter()
                    .flat_map(|word| [b"-Xclang".to_vec(), word]),
            );
        }
    }
    words
}

/// What an answer rests on.
struct Question {
    /// All of it that is known before the answer.
    fields: Vec<Vec<u8>>,
}

impl Question {
    /// `None` when the machine cannot be told from others: then nothing is kept.
    fn new(compiler: &Word, processor: &Processor, launcher: &Launcher) -> Option<Self> {
        // Of this machine and this start of it, so that a shared home directory does no harm.
        let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
        let program = path_search::resolve(compiler, &launcher.path)?;
        let mut fields = vec![
            MAGIC.as_bytes().to_vec(),
            boot,
            program.as_os_str().as_bytes().to_vec(),
            stamp(&program)?,
        ];
        fields.extend(Environment::relevant_entries(&launcher.path));
        fields.push(b"words".to_vec());
        fields.push(vec![b'0' + u8::from(processor.options_are_written())]);
        fields.extend(processor.target.iter().chain(&processor.words).cloned());
        Some(Self { fields })
    }

    fn name(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.fields.hash(&mut hasher);
        let user = rustix::process::geteuid().as_raw();
        format!("native_{user}_{:016x}", hasher.finish())
    }

    /// An answer of before, if all that it rests on is as it was.
    fn kept(&self, environment: &Environment) -> Option<Vec<Word>> {
        let path = StateDirectory::open(environment)
            .ok()?
            .state_file(self.name());
        let found = std::fs::symlink_metadata(&path).ok()?;
        let is_ours = found.is_file() && found.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || found.mode() & 0o002 != 0 || found.len() > KEPT_LIMIT {
            return None;
        }
        let text = std::fs::read(&path).ok()?;
        let mut fields = text.strip_suffix(b"\0end")?.split(|&byte| byte == 0);
        for field in &self.fields {
            (fields.next()? == field).then_some(())?;
        }
        let proper = fields.next()?.to_vec();
        (fields.next()? == evidence(&proper)?).then_some(())?;
        Some(fields.map(<[u8]>::to_vec).collect())
    }

    /// Keeps an answer. That it cannot be kept costs time at the next job, nothing else.
    fn keep(&self, environment: &Environment, proper: &Word, replacement: &[Word]) {
        let keep = || -> Option<()> {
            let path = StateDirectory::open(environment)
                .ok()?
                .state_file(self.name());
            let mut fields = self.fields.clone();
            fields.extend([proper.clone(), evidence(proper)?]);
            fields.extend_from_slice(replacement);
            fields.push(b"end".to_vec());
            if fields.iter().any(|field| field.contains(&0)) {
                return None;
            }
            let mut file = tempfile::NamedTempFile::new_in(path.parent()?).ok()?;
            file.write_all(&fields.join(&0)).ok()?;
            file.persist(path).ok()?;
            Some(())
        };
        if keep().is_none() {
            log::debug!("cannot keep what native is");
        }
    }
}

/// The compiler proper, and its directory, where specs may appear.
fn evidence(proper: &Word) -> Option<Vec<u8>> {
    let path = Path::new(std::ffi::OsStr::from_bytes(proper));
    Some([stamp(path)?, stamp(path.parent()?)?].join(&b'/'))
}

/// What changes when a file does.
fn stamp(path: &Path) -> Option<Vec<u8>> {
    let found = std::fs::metadata(path).ok()?;
    let times = (
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    );
    Some(format!("{} {} {} {times:?}", found.dev(), found.ino(), found.len()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Word> {
        line.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }

    #[test]
    fn words_about_the_processor_are_taken_out() {
        let line = "gcc -O2 -march=native -o -mad -DX --param a=1 -mno-avx -c a.c";
        let processor = take_apart(&words(line)).unwrap();
        assert_eq!(processor.words, words("-march=native --param=a=1 -mno-avx"));
        assert_eq!(processor.others, words("gcc -O2 -o -mad -DX -c a.c"));
        assert_eq!(processor.at, 2);
        for unseen in [
            "clang -march=native -Xclang -x -c a.c",
            "gcc -march=native -Wp,-mx -c a.c",
            "gcc -march=native --param",
        ] {
            assert!(take_apart(&words(unseen)).is_none(), "{unseen}");
        }
        let clang = take_apart(&words("clang -target t -mtune=native -c a.c")).unwrap();
        assert_eq!(clang.target, words("-target t"));
    }

    #[test]
    fn lines_of_drivers_are_split() {
        let line = br#" /lib/cc1 -quiet "-march=x" --param "l1=32" "a \"b\" c" -mx"#;
        let expected: [&[u8]; 6] = [
            b"/lib/cc1",
            b"-quiet",
            b"-march=x",
            b"--param=l1=32",
            b"a \"b\" c",
            b"-mx",
        ];
        assert_eq!(split_quoted(line), expected);
    }

    #[test]
    fn features_keep_their_order() {
        let (values, features) = machine(&words(
            "clang -cc1 -target-cpu x -target-feature +a -target-feature -a",
        ));
        assert_eq!(values[&b"-target-cpu".to_vec()], b"x");
        assert_eq!(features, words("+a -a"));
    }
}
