//! The views and argument lists that clients, include servers and daemons take from a command line.

use protocol::command_line::{
    CommandLine, ForcedKind, Language, MacroKind, SearchKind, Word, needs_make_quoting,
};

fn words(line: &str) -> Vec<Word> {
    line.split_ascii_whitespace()
        .map(|w| w.as_bytes().to_vec())
        .collect()
}

fn parse(line: &str) -> CommandLine {
    CommandLine::parse(&words(line))
}

fn joined(words: &[Word]) -> String {
    let text: Vec<String> = words
        .iter()
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    text.join(" ")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn views_are_in_the_compilers_order() {
    let line = "gcc -Wp,-DW,-Iw -DA=1 -I i -isystem/s -iquote=q -D B -UA -A x=y -include f.h \
                -imacros m.h --include-directory=l -idirafter a -nostdinc --sysroot /r -ansi -c a.c";
    let command = parse(line);
    let macros: Vec<(MacroKind, String)> =
        command.macros().map(|m| (m.kind, text(m.text))).collect();
    let expected = [
        (MacroKind::Define, "A=1"),
        (MacroKind::Define, "B"),
        (MacroKind::Undefine, "A"),
        (MacroKind::Assert, "x=y"),
        (MacroKind::Define, "W"),
    ];
    assert_eq!(macros, expected.map(|(kind, text)| (kind, text.to_owned())));
    let search: Vec<(SearchKind, String)> = command
        .search_options()
        .map(|s| (s.kind, text(s.directory.unwrap_or(b""))))
        .collect();
    let expected = [
        (SearchKind::Bracket, "i"),
        (SearchKind::System, "/s"),
        (SearchKind::Quote, "=q"),
        (SearchKind::Bracket, "l"),
        (SearchKind::After, "a"),
        (SearchKind::NoStandard, ""),
        (SearchKind::Sysroot, "/r"),
        (SearchKind::Bracket, "w"),
    ];
    assert_eq!(search, expected.map(|(kind, text)| (kind, text.to_owned())));
    let forced: Vec<(ForcedKind, String)> = command
        .forced_includes()
        .map(|f| (f.kind, text(f.file)))
        .collect();
    let expected = [(ForcedKind::Include, "f.h"), (ForcedKind::Macros, "m.h")];
    assert_eq!(forced, expected.map(|(kind, text)| (kind, text.to_owned())));
    assert_eq!(command.standard(), Some(&b"ansi"[..]));
    assert_eq!(
        parse("gcc -std=c99 --std gnu11 -c a.c").standard(),
        Some(&b"gnu11"[..])
    );
    assert!(command.needs_compiler_search());
    assert!(!parse("gcc -Ix -isystem y -c a.c").needs_compiler_search());
}

#[test]
fn languages() {
    let language = |line: &str| parse(line).language().map(|l| (l.language, l.preprocessed));
    assert_eq!(language("gcc -c a.c"), Some((Language::C, false)));
    assert_eq!(language("g++ -c a.c"), Some((Language::Cxx, false)));
    assert_eq!(language("g++ -c a.i"), Some((Language::Cxx, true)));
    assert_eq!(language("gcc -c a.C"), Some((Language::Cxx, false)));
    assert_eq!(language("gcc -c a.c -x c++"), Some((Language::C, false)));
    assert_eq!(language("gcc -xc++ -c a.o"), Some((Language::Cxx, false)));
    assert_eq!(language("gcc -c a.c b.c"), None);
    assert_eq!(parse("g++ -c a.c").preprocessed_suffix(), Some(&b".ii"[..]));
    assert_eq!(
        parse("gcc -c a.mm").preprocessed_suffix(),
        Some(&b".mii"[..])
    );
    assert_eq!(parse("gcc -c").preprocessed_suffix(), None);
}

/// A command, its output, its dependency file and that file's targets.
type Names<'a> = (&'a str, Option<&'a str>, Option<&'a str>, &'a [&'a str]);

#[test]
fn names_of_outputs() {
    let cases: [Names; 16] = [
        ("clang -emit-llvm -c d/a.c", Some("a.bc"), None, &[]),
        ("clang -emit-llvm -S d/a.c", Some("a.ll"), None, &[]),
        ("gcc -c d/a.b.c", Some("a.b.o"), None, &[]),
        ("gcc -S d/a.c -MD", Some("a.s"), Some("a.d"), &["a.o"]),
        (
            "gcc -S d/a.c -o y.s -MMD",
            Some("y.s"),
            Some("y.d"),
            &["y.s"],
        ),
        (
            "gcc -c a.c -ox/y.o -MD",
            Some("x/y.o"),
            Some("x/y.d"),
            &["x/y.o"],
        ),
        (
            "gcc -c a.c --output=x.d/y -MD",
            Some("x.d/y"),
            Some("x.d/y.d"),
            &["x.d/y"],
        ),
        (
            "gcc -c a.c -o foo. -MD",
            Some("foo."),
            Some("foo.d"),
            &["foo."],
        ),
        (
            "gcc -c a.c -o y.o -MD -MF f",
            Some("y.o"),
            Some("f"),
            &["y.o"],
        ),
        (
            "gcc -c a.c -o y.o -MD -MFf -MTt",
            Some("y.o"),
            Some("f"),
            &["t"],
        ),
        (
            "gcc -c a.c -o x/y.o -Wp,-MD,f",
            Some("x/y.o"),
            Some("f"),
            &["a.o"],
        ),
        (
            "clang -c a.c -o x/y.o -Wp,-MD,f",
            Some("x/y.o"),
            Some("f"),
            &["x/y.o"],
        ),
        (
            "gcc -c a.c -o y.o -MD -Wp,-MD,f",
            Some("y.o"),
            Some("f"),
            &["y.o"],
        ),
        (
            "gcc -c a.c -o y.o -Wp,-MMD,f -MF g",
            Some("y.o"),
            Some("f"),
            &["a.o"],
        ),
        ("gcc -c a.c -MF f -MT t", Some("a.o"), None, &[]),
        ("gcc a.c -o x", None, None, &[]),
    ];
    for (line, output, file, targets) in cases {
        let command = parse(line);
        assert_eq!(
            command.output_file().map(|o| text(&o)).as_deref(),
            output,
            "{line}"
        );
        let dependency = command.dependency_file(None).map(|d| text(&d.path));
        assert_eq!(dependency.as_deref(), file, "{line}");
        let found: Vec<String> = command
            .dependency_targets(None)
            .iter()
            .map(|(t, _)| text(t))
            .collect();
        assert_eq!(found, targets, "{line}");
    }
}

#[test]
fn the_environment_asks_for_dependencies() {
    let command = parse("gcc -c a.c -o x/y.o");
    let file = command
        .dependency_file(Some(b"all.d all"))
        .expect("a file is written");
    assert!(file.path == b"all.d" && file.append && file.user_only);
    assert_eq!(
        command.dependency_targets(Some(b"all.d all")),
        [(b"all".to_vec(), false)]
    );
    assert_eq!(
        command.dependency_targets(Some(b"all.d")),
        [(b"a.o".to_vec(), true)]
    );
    assert_eq!(command.dependency_file(Some(b"")), None);
    assert_eq!(parse("clang -c a.c").dependency_file(Some(b"all.d")), None);
    let own = parse("gcc -c a.c -MD -o y.o").dependency_file(Some(b"all.d"));
    assert_eq!(own.map(|file| file.path), Some(b"y.d".to_vec()));
}

#[test]
fn probe_words_hold_what_may_matter() {
    let line = "gcc -O2 -g3 -Wall -std=c99 -DX -Ii -isystem s -include f.h -MD -MF d -fPIC -m32 \
                -nostdinc -Wp,-MD,x,-undef -Wl,-O1 -lm -quirk -x c -c a.c -o a.o --sysroot=/r";
    let command = parse(line);
    assert_eq!(
        joined(&command.probe_words(false)),
        "gcc -O2 -std=c99 -fPIC -m32 -nostdinc -Wp,-undef -quirk --sysroot=/r"
    );
    assert_eq!(
        joined(&command.probe_words(true)),
        "gcc -O2 -std=c99 -Ii -isystem s -fPIC -m32 -nostdinc -Wp,-undef -quirk --sysroot=/r"
    );
    let carried = parse("gcc -Xpreprocessor -fopenmp -Xpreprocessor -DX -c a.c");
    assert_eq!(
        joined(&carried.probe_words(false)),
        "gcc -Xpreprocessor -fopenmp"
    );
}

#[test]
fn for_preprocessing() {
    let cases = [
        ("gcc -O2 -c a.c -o a.o", "gcc -O2 -E a.c"),
        ("gcc -S a.c -c -oa.s -P", "gcc -E a.c"),
        (
            "gcc -MD -c a.c -o x/y.o",
            "gcc -MD -E a.c -MF x/y.d -MQ x/y.o",
        ),
        ("gcc -MMD -c d/a.c", "gcc -MMD -E d/a.c -MF a.d -MQ a.o"),
        (
            "gcc -MD -MF f -c a.c -o y.o",
            "gcc -MD -MF f -E a.c -MQ y.o",
        ),
        (
            "gcc -MD -MT t -c a.c -o y.o",
            "gcc -MD -MT t -E a.c -MF y.d",
        ),
        ("gcc -Wp,-MD,f -c a.c -o y.o", "gcc -Wp,-MD,f -E a.c"),
        (
            "clang -Wp,-MD,f -c a.c -o y.o",
            "clang -Wp,-MD,f -E a.c -MQ y.o",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(joined(&parse(line).for_preprocessing()), expected, "{line}");
    }
}

#[test]
fn for_remote_preprocessed() {
    let cases = [
        (
            "gcc -Wall -DX -D Y -Ii -I j -UZ -L. -L x -lm -l m -MD -MF f -MTt -MQ q -MP -O2 -c a.c \
             -o a.o -include f.h -imacros m -isystem s -iquote q -idirafter d -iprefix p \
             -iwithprefix w -iwithprefixbefore v -nostdinc -nostdinc++ -undef -Wp,-MD,x -Wl,-z \
             -stdlib=libc++ -Xpreprocessor -DX -g",
            "gcc -Wall -O2 -c a.c -o a.o -g",
        ),
        ("gcc -x c -c a.c", "gcc -x cpp-output -c a.c"),
        ("gcc -xc++ -c a.c", "gcc -xc++-cpp-output -c a.c"),
        (
            "gcc --language=c -c a.c",
            "gcc --language=cpp-output -c a.c",
        ),
        ("gcc -Wp,-DX,-fopenmp -c a.c", "gcc -Wp,-fopenmp -c a.c"),
        (
            "gcc -Xpreprocessor -fopenmp -c a.c",
            "gcc -Xpreprocessor -fopenmp -c a.c",
        ),
        (
            "gcc -finput-charset=latin1 -fexec-charset=x -c a.c",
            "gcc -fexec-charset=x -c a.c",
        ),
        (
            "gcc --define-macro=X --include=f --include-directory d -c a.c",
            "gcc -c a.c",
        ),
        (
            "clang -target arm -fuse-ld=lld -c a.c",
            "clang -target arm -c a.c",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(
            joined(&parse(line).for_remote_preprocessed()),
            expected,
            "{line}"
        );
    }
}

#[test]
fn for_remote_pump() {
    let cases = [
        ("gcc -O2 -Ii -c a.c -o a.o", "gcc -O2 -Ii -c a.c -o a.o"),
        ("gcc -c d/a.c", "gcc -c d/a.c -o a.o"),
        ("gcc -MD -c a.c -o a.o", "gcc -MD -c a.c -o a.o -MT a.o"),
        ("gcc -MD -S a.c", "gcc -MD -S a.c -o a.s -MT a.o"),
        ("gcc -MD -c a.c -o a$.o", "gcc -MD -c a.c -o a$.o -MQ a$.o"),
        ("gcc -MD -MTt -c a.c -o a.o", "gcc -MD -MTt -c a.c -o a.o"),
        ("gcc -MD -MQ t -c a.c -o a.o", "gcc -MD -MQ t -c a.c -o a.o"),
        (
            "gcc -Wp,-MD,f -c a.c -o x/a.o",
            "gcc -c a.c -o x/a.o -MD -MF f -MT a.o",
        ),
        (
            "clang -Wp,-MMD,f -c a.c -o x/a.o",
            "clang -c a.c -o x/a.o -MMD -MF f -MT x/a.o",
        ),
        (
            "gcc -Wp,-DX,-MD,f,-MT,t -c a.c -o a.o",
            "gcc -Wp,-DX -c a.c -o a.o -MD -MF f -MT t",
        ),
        (
            "gcc -Xpreprocessor -MMD -Xpreprocessor f -Wp,-MTt -MP -c a.c -o a.o",
            "gcc -MP -c a.c -o a.o -MMD -MF f -MTt",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(
            joined(&parse(line).for_remote_pump(None)),
            expected,
            "{line}"
        );
    }
    let environment = parse("gcc -c a.c -o a.o").for_remote_pump(Some(b"f t"));
    assert_eq!(joined(&environment), "gcc -c a.c -o a.o -MT t");
}

#[test]
fn source_and_output_are_replaced() {
    let command = parse("gcc -c a.c -oa.o");
    assert_eq!(
        joined(&command.with_source(b"/t/b.i")),
        "gcc -c /t/b.i -oa.o"
    );
    assert_eq!(
        joined(&command.with_output(b"/t/b.o")),
        "gcc -c a.c -o/t/b.o"
    );
    let long = parse("gcc -c a.c --output=a.o");
    assert_eq!(joined(&long.with_output(b"b")), "gcc -c a.c --output=b");
    assert_eq!(
        joined(&parse("gcc -c a.c").with_output(b"b")),
        "gcc -c a.c -o b"
    );
}

#[test]
fn absolute_paths_are_mapped() {
    let line = "gcc -I/i -I /j -Irel -include/f.h -isystem /s -iquote/q -idirafter /d -iprefix /p/ \
                --sysroot=/r -isysroot /y --include-directory=/l --include-directory /m -Wp,-I/w,-I/v \
                -Xpreprocessor -I/u -I=/t -DP=/n -o /o/a.o -MF /o/a.d -c /a.c";
    let command = parse(line);
    let mapped = command.map_paths(|path| Some([b"/root", path].concat()));
    assert_eq!(
        joined(&mapped),
        "gcc -I/root/i -I /root/j -Irel -include/root/f.h -isystem /root/s -iquote/root/q \
         -idirafter /root/d -iprefix /root/p/ --sysroot=/root/r -isysroot /root/y \
         --include-directory=/root/l --include-directory /root/m -Wp,-I/root/w,-I/root/v \
         -Xpreprocessor -I/root/u -I=/t -DP=/n -o /o/a.o -MF /o/a.d -c /root/a.c"
    );
    let some = command.map_paths(|path| (path == b"/j").then(|| b"/other".to_vec()));
    assert_eq!(
        joined(&some),
        line.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace(" /j ", " /other ")
    );
}

#[test]
fn what_a_stock_server_does_not_map() {
    let found = |line: &str| parse(line).stock_server_cannot_relocate().map(|w| text(w));
    for line in [
        "gcc -I/i -I /j -include /f -imacros/m -isystem/s -iquote /q -idirafter /d -c /a.c",
        "gcc --sysroot=rel -I=/x --include-directory=rel -Wp,-Irel -c a.c",
    ] {
        assert_eq!(found(line), None, "{line}");
    }
    for (line, word) in [
        ("gcc --sysroot=/r -c a.c", "--sysroot=/r"),
        ("gcc -isysroot /r -c a.c", "-isysroot"),
        (
            "gcc --include-directory=/r -c a.c",
            "--include-directory=/r",
        ),
        ("gcc --include /r -c a.c", "--include"),
        ("clang -isystem-after /r -c a.c", "-isystem-after"),
        ("gcc -Wp,-I/r -c a.c", "-Wp,-I/r"),
        (
            "gcc -ffile-prefix-map=/r=x -c a.c",
            "-ffile-prefix-map=/r=x",
        ),
    ] {
        assert_eq!(found(line).as_deref(), Some(word), "{line}");
    }
}

#[test]
fn names_that_make_would_misread() {
    assert!(!needs_make_quoting(b"dir/a-b_c.1+2,3.o"));
    for name in ["a b", "a$b", "a#b", "a%b", "a:b", "a\\b", "a\tb"] {
        assert!(needs_make_quoting(name.as_bytes()), "{name}");
    }
}
