//! Our reading of command lines against that of the real compilers: what `-###` hands to the
//! compiler proper, and what real compiles of small files write.
//!
//! A compiler that is not installed is skipped with a line on stdout; with `REQUIRE_PEERS=1` that
//! is a failure.

use protocol::command_line::{
    CommandLine, ForcedKind, MacroKind, SearchKind, Takes, Word, expand_response_text, lookup,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

const COMPILERS: [&str; 4] = ["gcc", "g++", "clang-19", "clang++-19"];

/// A directory with a few small files, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("command-line-{}-{count}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        for dir in ["inc", "out", "dir.x", "sub"] {
            std::fs::create_dir_all(folder.0.join(dir)).expect("a temporary directory");
        }
        let source = "#include <stddef.h>\n#include \"inc/own.h\"\n#ifdef X\nint x = X;\n#endif\n\
                      int f(int a) { return OWN(a); }\n";
        for name in ["a.c", "b.cc", "sub/c.d.c", "p q.c", "x.inc"] {
            let source = source.replace(
                "\"inc/",
                if name.contains('/') {
                    "\"../inc/"
                } else {
                    "\"inc/"
                },
            );
            folder.write(name, source.as_bytes());
        }
        folder.write("inc/own.h", b"#define OWN(a) ((a) + 1)\n");
        folder.write("inc/f.h", b"extern int forced;\n");
        folder.write("inc/m.h", b"#define M 1\n");
        folder
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.0.join(name), content).expect("a temporary file");
    }

    fn run(&self, words: &[Word]) -> Output {
        Command::new(OsStr::from_bytes(&words[0]))
            .args(words[1..].iter().map(|word| OsStr::from_bytes(word)))
            .current_dir(&self.0)
            .env("LC_ALL", "C")
            .env_remove("DEPENDENCIES_OUTPUT")
            .stdin(Stdio::null())
            .output()
            .expect("the compiler starts")
    }

    /// Every file below whose name the filter accepts, with its content.
    fn files(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.0.clone()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(&dir).expect("own directory") {
                let path = entry.expect("own directory").path();
                let name = path
                    .strip_prefix(&self.0)
                    .unwrap_or(Path::new(""))
                    .to_string_lossy()
                    .into_owned();
                if path.is_dir() {
                    open.push(path);
                } else if wanted(&name) {
                    found.insert(name, std::fs::read(&path).expect("own file"));
                }
            }
        }
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Those of [`COMPILERS`] that are installed.
fn compilers() -> Vec<&'static str> {
    let installed = |name: &&&str| {
        let answer = Command::new(name).arg("--version").output();
        let there = answer.is_ok_and(|output| output.status.success());
        if !there {
            assert_ne!(
                std::env::var("REQUIRE_PEERS").as_deref(),
                Ok("1"),
                "{name} is missing"
            );
            println!("skipped: {name} is not installed");
        }
        there
    };
    COMPILERS.iter().filter(installed).copied().collect()
}

fn line(compiler: &str, rest: &str) -> Vec<Word> {
    expand_response_text(format!("{compiler} {rest}").as_bytes())
}

/// The words that the driver gives to the compiler proper.
fn compiler_proper(output: &Output) -> Option<Vec<Word>> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| {
        let head: Vec<&str> = line.split_whitespace().take(2).collect();
        head.len() == 2 && (head[0].contains("/cc1") || head[1] == "\"-cc1\"")
    })?;
    Some(expand_response_text(line.as_bytes()))
}

/// What matters to the preprocessor, in order, list by list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    macros: Vec<(char, String)>,
    dirs: BTreeMap<&'static str, Vec<String>>,
    forced: Vec<(&'static str, String)>,
    output: Option<String>,
}

const DIRS: [(&str, SearchKind); 8] = [
    ("-I", SearchKind::Bracket),
    ("-iquote", SearchKind::Quote),
    ("-isystem", SearchKind::System),
    ("-idirafter", SearchKind::After),
    ("-isysroot", SearchKind::HeaderSysroot),
    ("-iprefix", SearchKind::Prefix),
    ("-iwithprefix", SearchKind::WithPrefix),
    ("-iwithprefixbefore", SearchKind::WithPrefixBefore),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads the compiler proper's words without our table.
fn seen_by_compiler(words: &[Word]) -> Seen {
    let mut seen = Seen::default();
    let mut words = words.iter().map(|word| text(word)).skip(1).peekable();
    while let Some(word) = words.next() {
        let mut value = |name: &str| {
            let glued = word.strip_prefix(name)?;
            if glued.is_empty() {
                words.next()
            } else {
                Some(glued.to_owned())
            }
        };
        if word.starts_with("-internal") || word == "-imultiarch" {
            words.next();
            continue;
        }
        if let Some((name, _)) = DIRS.iter().rev().find(|(name, _)| word.starts_with(name)) {
            let found = value(name).unwrap_or_default();
            seen.dirs.entry(name).or_default().push(found);
        } else if word.starts_with("-D__GCC_HAVE") {
            // clang tells itself that its assembler knows CFI directives.
        } else if ["-D", "-U", "-A"].iter().any(|name| word.starts_with(name)) {
            let kind = word.chars().nth(1).unwrap_or(' ');
            let found = value(&word[..2]).unwrap_or_default();
            // The drivers define this for C++ by themselves.
            if found != "_GNU_SOURCE" {
                seen.macros.push((kind, found));
            }
        } else if word == "-include" || word == "-imacros" {
            let name = if word == "-include" {
                "-include"
            } else {
                "-imacros"
            };
            seen.forced.push((name, value(name).unwrap_or_default()));
        } else if word == "-o" {
            seen.output = words.next();
        }
    }
    seen
}

fn seen_by_us(command: &CommandLine) -> Seen {
    let mut seen = Seen::default();
    for m in command.macros() {
        let kind = match m.kind {
            MacroKind::Define => 'D',
            MacroKind::Undefine => 'U',
            MacroKind::Assert => 'A',
        };
        seen.macros.push((kind, text(m.text)));
    }
    for option in command.search_options() {
        if let Some((name, _)) = DIRS.iter().find(|(_, kind)| *kind == option.kind) {
            let directory = text(option.directory.unwrap_or_default());
            seen.dirs.entry(name).or_default().push(directory);
        }
    }
    for forced in command.forced_includes() {
        let name = if forced.kind == ForcedKind::Macros {
            "-imacros"
        } else {
            "-include"
        };
        seen.forced.push((name, text(forced.file)));
    }
    seen.output = command.output_file().map(|output| text(&output));
    seen
}

#[test]
fn search_path_macros_source_and_output_are_the_drivers() {
    let lines = [
        "-S a.c",
        "-S a.c -o out/x.s",
        "-S a.c -oout/x.s",
        "-S 'p q.c' -o 'x y.s'",
        "-S sub/c.d.c",
        "-S -DA=1 -D B -UC -U D a.c",
        "-S -D 'F(a, b)=a b' '-DS=\"x\\y\"' -D E= a.c",
        "-S -Iinc -I sub -iquote inc -iquotesub -isystem inc -isystemsub -idirafter inc a.c",
        "-S -include inc/f.h -imacros inc/m.h -includeinc/own.h a.c",
        "-S -DA -Wp,-DB,-Iinc -Isub -DC -Xpreprocessor -UD -Wp,-UE a.c",
        "-S --include-directory=inc -D X=a.c -I b.cc -MF sub/c.d.c -MD a.c",
        "-S -iprefix sub/ -iwithprefix x -iwithprefixbefore y a.c",
        "-S -isysroot / a.c",
        "-S -x c++ x.inc -o y.s",
        "-S -x c -x none b.cc",
        "-S -include inc/f.h -T b.cc -u b.cc -z b.cc -L b.cc -Xlinker b.cc -e b.cc a.c",
        "-S --param ggc-min-expand=1 a.c",
    ];
    let gcc_only = [
        "-S --define-macro=X=1 --define-macro Y --undefine-macro Z a.c",
        "-S --include-directory inc --include inc/f.h --imacros=inc/m.h --include=inc/own.h a.c",
        "-S --output=out/x.s a.c",
        "--assemble --language=c++ --output out/x.s x.inc",
        "-S -A 'x(y)' -D Q a.c",
        "-S -aux-info b.cc -dumpbase a.c -T b.cc a.c",
    ];
    let clang_only = [
        "-S -target x86_64-linux-gnu -Xclang -fno-validate-pch -mllvm -stats a.c",
        "-S -target b.cc a.c --target=x86_64-linux-gnu",
        "-S -serialize-diagnostics b.cc -MJ b.cc -dumpdir b.cc -working-directory . a.c",
    ];
    let mut compared = 0;
    for compiler in compilers() {
        let own: &[&str] = if compiler.contains("clang") {
            &clang_only
        } else {
            &gcc_only
        };
        for rest in lines.iter().chain(own) {
            let folder = Folder::new();
            let words = line(compiler, rest);
            let command = CommandLine::parse(&words);
            let mut asked = words.clone();
            asked.insert(1, b"-###".to_vec());
            let output = folder.run(&asked);
            let proper = compiler_proper(&output)
                .unwrap_or_else(|| panic!("{compiler} {rest}: {}", text(&output.stderr)));
            let mut theirs = seen_by_compiler(&proper);
            let mut ours = seen_by_us(&command);
            if compiler.starts_with('g') {
                // Debian's gcc sorts no lists, but moves -I before other -i options: by list.
                theirs.forced.sort();
                ours.forced.sort();
            }
            assert_eq!(ours, theirs, "{compiler} {rest}");
            let source = command
                .source()
                .unwrap_or_else(|| panic!("{compiler} {rest}: no source"));
            assert!(
                proper.iter().any(|word| word == source),
                "{compiler} {rest}"
            );
            compared += 1;
        }
    }
    println!("compared {compared} command lines");
}

/// Options that `--help` says take a separate value must not make a source of that value.
#[test]
fn separate_values_named_by_help_are_known() {
    let folder = Folder::new();
    let mut known = 0;
    for compiler in compilers() {
        let clang = compiler.contains("clang");
        let helps: Vec<String> = if clang {
            vec!["--help-hidden".into()]
        } else {
            ["common", "target", "c", "c++", "objc", "objc++", "driver"]
                .iter()
                .map(|class| format!("--help={class},separate"))
                .collect()
        };
        for help in helps {
            let output = folder.run(&line(compiler, &help));
            for option in text(&output.stdout)
                .lines()
                .filter_map(|l| separate_option(l, clang))
            {
                // Options of other front ends, which these drivers refuse.
                if [
                    "-Hd",
                    "-Hf",
                    "-Xf",
                    "-J",
                    "-gnatO",
                    "-fintrinsic-modules-path",
                ]
                .contains(&option.as_str())
                {
                    continue;
                }
                let row = lookup(option.as_bytes());
                let takes = row.map(|row| row.takes);
                let separate = matches!(
                    takes,
                    Some(
                        Takes::Separate
                            | Takes::JoinedOrSeparate
                            | Takes::Long
                            | Takes::JoinedAndSeparate
                    )
                );
                // The compiler proper's own form of them takes the file; the driver's does not.
                let dependency_flag = [
                    "-MD",
                    "-MMD",
                    "--write-dependencies",
                    "--write-user-dependencies",
                ]
                .contains(&option.as_str());
                assert!(
                    separate || dependency_flag,
                    "{compiler} {help}: {option} is {takes:?}"
                );
                known += 1;
            }
        }
    }
    println!("{known} options with a separate value are known");
}

/// The option that a line of help shows with a separate value. clang shows it as `-opt <value>`.
/// gcc's lists hold options with a separate value, but also show some forms that are glued, with
/// `<value>` or `=` right behind the spelling.
fn separate_option(line: &str, clang: bool) -> Option<String> {
    let spelling = line.strip_prefix("  ")?.split_whitespace().next()?;
    let option = spelling.starts_with('-') && !spelling.contains('<');
    let shown = line.get(2 + spelling.len()..)?.starts_with(" <");
    let separate = if clang {
        shown
    } else {
        !spelling.ends_with('=')
    };
    (option && separate).then(|| spelling.to_owned())
}

/// Dependency files of the preprocessing step must be those of the real compile, byte for byte;
/// and compiling the preprocessed text gives the same object.
#[test]
fn preprocessing_here_and_compiling_there_equal_the_compile() {
    let lines = [
        "-MD -c a.c",
        "-MD -c a.c -o a.o",
        "-MMD -c a.c -o out/x.o",
        "-MD -c a.c -o dir.x/x",
        "-MD -c a.c -o foo.",
        "-MD -c a.c -o .o",
        "-MD -c sub/c.d.c",
        "-MD -S sub/c.d.c",
        "-MD -S a.c -o out/x.s",
        "-MD -MF dep -c a.c -o out/x.o",
        "-MMD -MFout/dep -MP -c a.c",
        "-MD -MT 't$(x) u' -c a.c -o out/x.o",
        "-MD -MQ 't$(x) u' -c a.c -o out/x.o",
        "-MD -MT t -MQ u -MTv -c a.c",
        "-MD -c 'p q.c'",
        "-MD -c a.c -o 'out/x y$.o'",
        "-Wp,-MD,dep.d -c a.c",
        "-Wp,-MD,dep.d -c a.c -o out/x.o",
        "-Wp,-MMD,dep.d -c sub/c.d.c -o out/x.o",
        "-Wp,-MD,dep.d -MT t -c a.c -o out/x.o",
        "-Wp,-MD,dep.d -MP -c a.c -o out/x.o",
        "-DX=1 -O2 -MMD -c a.c",
        "-x c++ -MD -c x.inc -o x.o",
        "-xc -DX=2 -c b.cc -MD",
        "-Wp,-DX=3 -include inc/f.h -imacros inc/m.h -c a.c -MD",
        "-g3 -DX=4 -c a.c",
        "-c -P a.c",
    ];
    let gcc_only = [
        "-Wp,-MD,dep.d,-MT,t -c a.c -o out/x.o",
        "-Wp,-MMD,dep.d -MD -c a.c -o out/x.o",
        "-Wp,-MD,dep.d -MF other -c a.c -o out/x.o",
        "-Xpreprocessor -MD -Xpreprocessor dep.d -c a.c -o out/x.o",
        "-fdirectives-only -DX=5 -c a.c",
    ];
    let mut compared = 0;
    for compiler in compilers() {
        let own: &[&str] = if compiler.contains("clang") {
            &[]
        } else {
            &gcc_only
        };
        // The C++ drivers are the same programs: a third of the lines will do.
        let step = if compiler.contains("++") { 3 } else { 1 };
        for rest in lines.iter().chain(own).step_by(step) {
            check_stages(compiler, rest);
            compared += 1;
        }
    }
    println!("compared {compared} compiles");
}

fn check_stages(compiler: &str, rest: &str) {
    let command = CommandLine::parse(&line(compiler, rest));
    let folder = Folder::new();
    let before = folder.files(|_| true);
    let is_new = |name: &str| !before.contains_key(name);
    let whole = folder.run(command.words());
    assert!(
        whole.status.success(),
        "{compiler} {rest}: {}",
        text(&whole.stderr)
    );
    let mut written = folder.files(is_new);

    // What we say is written is what is written.
    let object = text(&command.output_file().expect("a compile has an output"));
    let object_bytes = written
        .remove(&object)
        .unwrap_or_else(|| panic!("{compiler} {rest}: no {object} in {:?}", written.keys()));
    let named = command.dependency_file(None).map(|file| text(&file.path));
    let names: Vec<String> = written.keys().cloned().collect();
    assert_eq!(
        names,
        named.into_iter().collect::<Vec<_>>(),
        "{compiler} {rest}"
    );
    for (target, quoted) in command.dependency_targets(None) {
        let rule = written
            .values()
            .next()
            .expect("a dependency file has targets");
        let first_target = text(&target);
        let plain = !quoted
            || first_target
                .chars()
                .all(|c| c.is_alphanumeric() || "./_".contains(c));
        assert!(
            !plain || text(rule).contains(&first_target),
            "{compiler} {rest}: {first_target}"
        );
    }

    // The same dependency file from preprocessing alone, in the same place.
    for name in std::iter::once(&object).chain(written.keys()) {
        std::fs::remove_file(folder.0.join(name)).expect("own file");
    }
    let cpp = folder.run(&command.for_preprocessing());
    assert!(
        cpp.status.success(),
        "{compiler} {rest}: {}",
        text(&cpp.stderr)
    );
    assert_eq!(folder.files(is_new), written, "{compiler} {rest}");

    // The same object from the preprocessed text, written as a server does it.
    let suffix = command
        .preprocessed_suffix()
        .expect("a compile has a source");
    let name = format!("text{}", text(suffix));
    folder.write(&name, &cpp.stdout);
    let remote = CommandLine::parse_as(&command.for_remote_preprocessed(), command.kind());
    let remote = folder.run(&remote.with_source(name.as_bytes()));
    assert!(
        remote.status.success(),
        "{compiler} {rest}: {}",
        text(&remote.stderr)
    );
    // With -g3 the object names the macros' place in the driver's own list of options.
    let produced = folder
        .files(|name| name == object)
        .remove(&remote_output(&command, &object));
    let Some(produced) = produced else { return };
    if !rest.contains("-g3") && !rest.contains("-S") {
        assert!(
            produced == object_bytes,
            "{compiler} {rest}: the objects differ"
        );
    }
}

/// Where the compile of the preprocessed text puts its object.
fn remote_output(command: &CommandLine, object: &str) -> String {
    match command.output() {
        Some(_) => object.to_owned(),
        None => String::new(),
    }
}

/// A stock server in pump mode: it looks for a separate `-MT`, takes it out, and adds its own
/// `-MF` and `-o`. What it then sends is the local dependency file.
#[test]
fn pump_words_give_the_same_dependency_file() {
    let lines = [
        "-MD -c a.c",
        "-MD -c a.c -o out/x.o",
        "-MMD -S sub/c.d.c",
        "-MD -c a.c -o 'out/x y$.o'",
        "-MD -MF dep -MP -c a.c -o out/x.o",
        "-MD -MT t -c a.c -o out/x.o",
        "-MD -MTt -c a.c -o out/x.o",
        "-MD -MQ 't u$' -c a.c -o out/x.o",
        "-Wp,-MD,dep.d -c a.c -o out/x.o",
        "-Wp,-MMD,dep.d -c a.c -o out/x.o",
        "-Wp,-MD,dep.d -MT t -c a.c -o out/x.o",
    ];
    for compiler in compilers() {
        let step = if compiler.contains("++") { 3 } else { 1 };
        for rest in lines.into_iter().step_by(step) {
            let command = CommandLine::parse(&line(compiler, rest));
            let folder = Folder::new();
            assert!(
                folder.run(command.words()).status.success(),
                "{compiler} {rest}"
            );
            let file = command
                .dependency_file(None)
                .expect("dependencies are wanted");
            let local = std::fs::read(folder.0.join(OsStr::from_bytes(&file.path)));
            let local = local.expect("the compile wrote it");

            let mut words = command.for_remote_pump(None);
            let at = words.iter().position(|word| word == b"-MT");
            let target = at.map(|at| words.drain(at..at + 2).nth(1).unwrap_or_default());
            let served = CommandLine::parse_as(&words, command.kind());
            let mut words = served.with_output(b"srv.o");
            words.extend([b"-MF".to_vec(), b"srv.d".to_vec()]);
            assert!(folder.run(&words).status.success(), "{compiler} {rest}");
            let mut sent = std::fs::read(folder.0.join("srv.d")).expect("the server wrote it");
            if let Some(target) = target {
                assert!(
                    sent.starts_with(b"srv.o:"),
                    "{compiler} {rest}: {}",
                    text(&sent)
                );
                sent.splice(..5, target);
            }
            let joined = |bytes: &[u8]| {
                text(bytes)
                    .replace("\\\n", " ")
                    .split(' ')
                    .filter(|w| !w.is_empty())
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            assert_eq!(joined(&sent), joined(&local), "{compiler} {rest}");
        }
    }
}
