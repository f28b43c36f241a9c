//! The surface of stock distcc 3.4, row by row: `tests/surface/table.tsv` says for each option, variable, file and exit code which
//! test vouches for it, which command shows it, or which row of `packaging/COMPATIBILITY.md` says what differs. A row with none of
//! these, or with one that is not there, fails.

mod support;

use protocol::exit_code::ExitCode;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use support::{ours, run, scratch};

/// One row of the table.
struct Row {
    line: usize,
    programs: String,
    kind: String,
    name: String,
    meaning: String,
    vouchers: Vec<String>,
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(here().join("tests/surface/table.tsv")).unwrap();
    let numbered = text.lines().enumerate();
    let lines = numbered.filter(|(_, line)| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|(number, line)| {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), 5, "line {}: five columns", number + 1);
            Row {
                line: number + 1,
                programs: cells[0].to_owned(),
                kind: cells[1].to_owned(),
                name: cells[2].to_owned(),
                meaning: cells[3].to_owned(),
                vouchers: cells[4].split(" & ").map(str::to_owned).collect(),
            }
        })
        .collect()
}

/// The vouchers of one kind, with their rows.
fn vouchers<'a>(rows: &'a [Row], kind: &str) -> Vec<(&'a Row, String)> {
    let of = |row: &'a Row| {
        let texts = row.vouchers.iter().filter_map(|voucher| {
            let text = voucher.strip_prefix(kind)?.strip_prefix(':')?;
            Some((row, text.to_owned()))
        });
        texts.collect::<Vec<_>>()
    };
    rows.iter().flat_map(of).collect()
}

#[test]
fn every_row_has_a_voucher() {
    let rows = rows();
    assert!(rows.len() > 150, "the whole surface");
    let mut seen = BTreeSet::new();
    for row in &rows {
        let place = format!("line {}: {}", row.line, row.name);
        assert!(
            !row.meaning.is_empty() && !row.vouchers.is_empty(),
            "{place}"
        );
        let kinds = ["option", "variable", "file", "host", "exit", "behaviour"];
        assert!(kinds.contains(&row.kind.as_str()), "{place}: {}", row.kind);
        for voucher in &row.vouchers {
            let kind = voucher.split(':').next().unwrap();
            assert!(
                ["test", "run", "differs"].contains(&kind),
                "{place}: {voucher}"
            );
        }
        assert!(
            seen.insert((&row.programs, &row.kind, &row.name)),
            "{place}: twice"
        );
    }
}

/// The names of all tests of the project.
fn all_tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let sources = walkdir::WalkDir::new(here())
        .into_iter()
        .filter_entry(|entry| {
            let name = entry.file_name();
            name != "target" && name != ".git"
        });
    for entry in sources.flatten() {
        if entry.path().extension().is_none_or(|suffix| suffix != "rs") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some((_, rest)) = line.split_once("fn ") {
                let name = rest.split('(').next().unwrap();
                if std::mem::take(&mut is_test) {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    names
}

#[test]
fn every_test_that_is_named_is_there() {
    let tests = all_tests();
    let rows = rows();
    let named = vouchers(&rows, "test");
    assert!(named.len() > 100);
    let missing: Vec<_> = named
        .iter()
        .filter(|(_, test)| !tests.contains(test))
        .map(|(row, test)| format!("line {}: {}: no test {test}", row.line, row.name))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_difference_that_is_named_is_explained() {
    let text = fs::read_to_string(here().join("packaging/COMPATIBILITY.md")).unwrap();
    let differences: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .collect();
    let rows = rows();
    let missing: Vec<_> = vouchers(&rows, "differs")
        .iter()
        .filter(|(_, words)| {
            let mut found = differences
                .iter()
                .filter(|(stock, _)| stock.contains(words.as_str()));
            !found.any(|(_, ours)| ours.len() > 5)
        })
        .map(|(row, words)| format!("line {}: {}: nothing about {words}", row.line, row.name))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_command_of_the_table_does_what_its_row_says() {
    let programs = ours("distcc").parent().unwrap().to_owned();
    let rows = rows();
    let commands = vouchers(&rows, "run");
    assert!(commands.len() > 30);
    let mut wrong = Vec::new();
    for (row, text) in &commands {
        let (status, rest) = text.split_once(':').unwrap();
        let (command, mention) = rest.split_once(" => ").unwrap_or((rest, ""));
        let dir = scratch();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display()),
            )
            .env("T", dir.path())
            .env("HOME", dir.path())
            .env("DISTCC_DIR", dir.path().join("state"))
            .current_dir(dir.path());
        let output = run(&mut shell);
        let said = [&output.stdout[..], &output.stderr]
            .map(String::from_utf8_lossy)
            .concat();
        if output.status.code() != status.parse().ok() || !said.contains(mention) {
            wrong.push(format!(
                "line {}: {command}: {}\n{said}",
                row.line, output.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Scripts test these numbers.
#[test]
fn exit_codes_are_stocks() {
    let codes = [
        ExitCode::DistccFailed,
        ExitCode::BadArguments,
        ExitCode::BindFailed,
        ExitCode::ConnectFailed,
        ExitCode::CompilerCrashed,
        ExitCode::OutOfMemory,
        ExitCode::BadHostSpec,
        ExitCode::IoError,
        ExitCode::Truncated,
        ExitCode::ProtocolError,
        ExitCode::CompilerMissing,
        ExitCode::Recursion,
        ExitCode::SetuidFailed,
        ExitCode::AccessDenied,
        ExitCode::Busy,
        ExitCode::NoSuchFile,
        ExitCode::NoHosts,
        ExitCode::Gone,
        ExitCode::Timeout,
        ExitCode::GssApiFailed,
        ExitCode::LocalCpp,
    ];
    let numbers: Vec<u8> = codes.iter().map(|code| code.code()).collect();
    assert_eq!(numbers, (100..=120).collect::<Vec<u8>>());
}
