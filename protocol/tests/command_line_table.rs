//! The option table, tested as a table: sorted, no duplicates, and every row is found by its own
//! spelling and takes exactly the words that it says it takes.

use protocol::command_line::{
    CommandLine, Forward, Meaning, OptionRow, Role, Takes, all_rows, lookup,
};
use std::collections::HashSet;

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn no_spelling_is_there_twice() {
    let mut seen = HashSet::new();
    for row in all_rows() {
        assert!(seen.insert(row.spelling), "{} has two rows", row.spelling);
        assert!(
            row.spelling.len() > 1 && row.spelling.starts_with('-'),
            "{}",
            row.spelling
        );
    }
    assert!(seen.len() > 300, "the table has only {} rows", seen.len());
}

#[test]
fn every_theme_is_sorted() {
    let spellings: Vec<&str> = all_rows().map(|row| row.spelling).collect();
    let descents = spellings
        .windows(2)
        .filter(|pair| pair[0] > pair[1])
        .count();
    // Eight themes one after the other go down seven times at most.
    assert!(descents < 8, "{descents} rows are out of order");
}

/// The forms in which a row's option is written: the words, and how many of them it takes.
fn forms(row: &OptionRow) -> Vec<(Vec<String>, usize)> {
    let spelling = row.spelling.to_owned();
    let glued = format!("{spelling}v.c");
    let separate = vec![spelling.clone(), "v.c".to_owned()];
    match row.takes {
        Takes::Nothing => vec![(vec![spelling], 1)],
        Takes::Separate => vec![(separate, 2)],
        Takes::Joined => vec![(vec![glued], 1)],
        Takes::JoinedOrSeparate => vec![(vec![glued], 1), (separate, 2)],
        Takes::Long => vec![(vec![format!("{spelling}=v.c")], 1), (separate, 2)],
        Takes::JoinedAndSeparate => vec![(vec![glued, "v.c".to_owned()], 2)],
        Takes::Words(n) => {
            let mut all = vec![spelling];
            all.extend((0..n).map(|_| "v.c".to_owned()));
            vec![(all, usize::from(n) + 1)]
        }
    }
}

#[test]
fn every_row_takes_what_it_says() {
    for row in all_rows().filter(|row| !row.forwarded_only) {
        for (form, count) in forms(row) {
            let mut line = vec!["gcc".to_owned(), "-c".to_owned()];
            line.extend(form.iter().cloned());
            line.push("source.c".to_owned());
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            let command = CommandLine::parse(&words(&line));
            let item = &command.items()[1];
            assert_eq!(item.role, Role::Option, "{line:?}");
            assert_eq!(item.row.map(|r| r.spelling), Some(row.spelling), "{line:?}");
            assert_eq!(item.words, 2..2 + count, "{line:?}");
            assert!(!item.lacks_value, "{line:?}");
            let takes_value = !matches!(
                row.takes,
                Takes::Nothing | Takes::JoinedAndSeparate | Takes::Words(_)
            );
            if takes_value {
                assert_eq!(command.value(item), Some(&b"v.c"[..]), "{line:?}");
            }
            let source = command
                .items()
                .iter()
                .find(|item| item.carrier.is_none() && item.words == (2 + count..3 + count));
            let source = source.expect("the word after the option is an item of its own");
            assert!(matches!(source.role, Role::Source(_)), "{line:?}");
        }
    }
}

#[test]
fn a_missing_value_is_seen() {
    for row in all_rows().filter(|row| !row.forwarded_only) {
        let takes_word = matches!(
            row.takes,
            Takes::Separate | Takes::JoinedOrSeparate | Takes::Long
        );
        let command = CommandLine::parse(&words(&["gcc", "-c", "source.c", row.spelling]));
        let item = command.items().iter().find(|item| item.words.start == 3);
        let item = item.expect("the option is an item");
        if takes_word {
            assert!(item.lacks_value, "{}", row.spelling);
        }
    }
}

#[test]
fn words_that_only_carriers_hold_are_not_driver_options() {
    for row in all_rows().filter(|row| row.forwarded_only) {
        let found = lookup(row.spelling.as_bytes()).map(|found| found.spelling);
        assert_ne!(found, Some(row.spelling));
        let carried = CommandLine::parse(&words(&[
            "clang",
            "-Xclang",
            row.spelling,
            "-Xclang",
            "v",
            "-c",
            "a.c",
        ]));
        let item = carried
            .items()
            .iter()
            .find(|item| item.carrier == Some(Forward::Clang));
        let item = item.expect("the carried option is an item");
        assert_eq!(item.row.map(|r| r.spelling), Some(row.spelling));
    }
}

#[test]
fn the_longest_spelling_wins() {
    let cases = [
        ("-I/x", "-I"),
        ("-I-", "-I-"),
        ("-include", "-include"),
        ("-includefoo.h", "-include"),
        ("-include-pch", "-include-pch"),
        ("-isystem-after", "-isystem-after"),
        ("-isystem/usr/x", "-isystem"),
        ("-iwithprefixbefore", "-iwithprefixbefore"),
        ("-MD", "-MD"),
        ("-MTtarget", "-MT"),
        ("-Wall", "-W"),
        ("-Wp,-MD,x", "-Wp,"),
        ("-W", "-W"),
        ("-fplugin=x", "-fplugin="),
        ("-fprofile-use=x", "-fprofile-"),
        ("-fprofile-abs-path", "-fprofile-abs-path"),
        ("-fno-plt", "-f"),
        ("-march=native", "-march=native"),
        ("-march=x86-64-v3", "-m"),
        ("-march=nativeish", "-m"),
        ("-mllvm", "-mllvm"),
        ("-gsplit-dwarf", "-gsplit-dwarf"),
        ("-ggdb3", "-g"),
        ("-dumpbase", "-dumpbase"),
        ("-dM", "-d"),
        ("-ox", "-o"),
        ("-Os", "-O"),
        ("-xc", "-x"),
        ("--include=x", "--include"),
        ("--include-directory=x", "--include-directory"),
        ("--sysroot=/x", "--sysroot"),
        ("--sysroot", "--sysroot"),
        ("--param=x=1", "--param"),
        ("--target=arm", "--target"),
        ("--warn-all", "-W"),
        ("--machine-arch=native", "-march=native"),
        ("--optimize=2", "-O"),
        ("--debug=3", "-g"),
        ("--std=c99", "--std"),
        ("--profile-arcs", "-fprofile-"),
        ("--no-builtin", "-f"),
        ("--stack-usage", "-fstack-usage"),
        ("--syntax-only", "-fsyntax-only"),
    ];
    for (word, spelling) in cases {
        assert_eq!(
            lookup(word.as_bytes()).map(|row| row.spelling),
            Some(spelling),
            "{word}"
        );
    }
    for unknown in [
        "-",
        "",
        "a.c",
        "-nonsense",
        "-pipes",
        "-stuff",
        "-c1",
        "-ansi2",
        "-isnot",
    ] {
        assert_eq!(lookup(unknown.as_bytes()), None, "{unknown}");
    }
}

#[test]
fn flags_of_rows_agree_with_their_meaning() {
    for row in all_rows() {
        let has_value = row.takes != Takes::Nothing;
        assert!(
            !row.path || has_value,
            "{} cannot carry a path",
            row.spelling
        );
        assert!(row.path || !row.stock_relocates, "{}", row.spelling);
        assert!(
            row.local.is_none() || row.plain.is_none(),
            "{} has two fates",
            row.spelling
        );
        if let Meaning::Macro(_) | Meaning::Forced(_) | Meaning::Output | Meaning::Language =
            row.means
        {
            assert!(has_value, "{}", row.spelling);
        }
    }
}
