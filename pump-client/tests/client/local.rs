//! Which compiler is meant, what stays here, and what `distcc` says of itself.

use crate::support::{Desk, Outcome};
use std::os::unix::process::CommandExt;

#[test]
fn version_and_help() {
    let desk = Desk::new();
    let version = desk.distcc("--version").stdout;
    let mut lines = version.lines();
    let first: Vec<_> = lines.next().unwrap().split(' ').collect();
    assert_eq!(first[..2], ["distcc", "3.4"]);
    assert!(first[2].contains("linux"));
    assert_eq!(
        lines.next(),
        Some("  (protocols 1, 2 and 3) (default port 3632)")
    );
    assert!(desk.distcc("--help").stdout.starts_with("Usage:"));
    desk.distcc("").says(101, "missing option/operand");
}

#[test]
fn compilers_options_are_the_compilers() {
    let desk = Desk::new();
    assert!(desk.distcc("gcc --help").stdout.starts_with("Usage: gcc"));
    assert!(
        desk.distcc("--bogus-option")
            .stderr
            .contains("unrecognized command-line option")
    );
    assert_eq!(
        desk.distcc("gcc --bogus-option").code,
        desk.gcc("--bogus-option").code
    );
}

#[test]
fn the_compiler_is_implied_or_masqueraded() {
    let desk = Desk::with_hosts("localhost").source("a.c", "int x;\n");
    desk.distcc("a.c -c -o implied.o").silent_success();
    desk.distcc("-c a.c -o dash.o").silent_success();
    assert!(desk.has("implied.o") && desk.has("dash.o"));
    // A link named gcc in front of PATH; twice, as a distribution's and pump's may both be there.
    let program = env!("CARGO_BIN_EXE_distcc-under-test");
    for directory in ["one", "two"] {
        std::fs::create_dir(desk.at(directory)).unwrap();
        std::os::unix::fs::symlink(program, desk.at(directory).join("gcc")).unwrap();
    }
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        desk.at("one").display(),
        desk.at("two").display()
    );
    let run = |name: &str, program: &str, words: &str| {
        let mut command = desk.command(std::path::Path::new(program), words);
        Outcome::of(command.arg0(name).env("PATH", &path).output().unwrap())
    };
    run("gcc", program, "-c a.c -o masked.o").silent_success();
    assert!(desk.has("masked.o"));
    let full = desk.at("one/gcc");
    run(full.to_str().unwrap(), program, "-c a.c -o full.o").silent_success();
    assert!(desk.has("full.o"));
    run("distcc", program, "gcc -c a.c -o explicit.o").silent_success();
    assert!(desk.has("explicit.o"));
    // As CMake has it that was configured with the link in front, and has distcc for a launcher besides.
    let launched = format!("{} -c a.c -o launched.o", full.display());
    run("distcc", program, &launched).silent_success();
    assert!(desk.has("launched.o"));
}

#[test]
fn recursion_is_refused() {
    let desk = Desk::with_hosts("localhost").source("a.c", "int x;\n");
    let looped = desk.set("_DISTCC_SAFEGUARD", "1");
    looped
        .distcc("gcc -c a.c")
        .says(111, "invoked itself recursively");
    // A compiler that calls distcc again ends the same way instead of for ever.
    let program = env!("CARGO_BIN_EXE_distcc-under-test");
    let script = format!("#!/bin/sh\nexec {program} mycc \"$@\"\n");
    let desk = Desk::with_hosts("localhost")
        .source("a.c", "int x;\n")
        .program("mycc", &script);
    assert_ne!(desk.distcc("mycc -c a.c").code, Some(0));
}

#[test]
fn bad_numbers_are_refused() {
    for name in ["DISTCC_MAX_DISCREPANCY", "DISTCC_IO_TIMEOUT"] {
        let desk = Desk::with_hosts("localhost")
            .source("a.c", "int x;\n")
            .set(name, "0");
        desk.distcc("gcc -c a.c").says(101, name);
        assert!(!desk.has("a.o"));
    }
}

#[test]
fn local_jobs_come_out_as_from_the_compiler() {
    let desk = Desk::with_hosts("nowhere").source("a.c", "int main(void) { return 7; }\n");
    desk.distcc("gcc a.c -o prog").silent_success();
    assert!(desk.has("prog"));
    let text = desk.distcc("gcc -E a.c");
    text.silent_success();
    assert_eq!(text.stdout, desk.gcc("-E a.c").stdout);
    assert_eq!(desk.distcc("sh -c false").code, Some(1));
    let missing = "sh script-that-is-not-there";
    let itself = desk.command(std::path::Path::new("/bin/sh"), "script-that-is-not-there");
    assert_eq!(
        desk.distcc(missing).code,
        Outcome::of({ itself }.output().unwrap()).code
    );
}

#[test]
fn response_files_are_read() {
    let desk = Desk::with_hosts("nowhere.invalid")
        .set("DISTCC_FALLBACK", "0")
        .source("a.c", "int x;\n")
        .source("link.rsp", "a.c -o prog\n")
        .source("compile.rsp", "-c a.c");
    // Expanded it is a compile, which needs a host; not expanded it would have been local.
    assert_eq!(desk.distcc("gcc @compile.rsp").code, Some(116));
}

#[test]
fn the_journal_has_one_line_a_job() {
    let desk = Desk::with_hosts("localhost")
        .source("a.c", "int x;\n")
        .source("bad.c", "int x = y;\n");
    let journal = desk.at("journal");
    let desk = desk.set("PUMPHOUSE_JOURNAL", journal.to_str().unwrap());
    desk.distcc("gcc -c a.c").silent_success();
    assert_eq!(desk.distcc("gcc -c bad.c").code, Some(1));
    desk.distcc("gcc -shared a.o -o lib.so").silent_success();
    let text = std::fs::read_to_string(&journal).unwrap();
    let fields: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').skip(1).collect())
        .collect();
    assert_eq!(
        fields[0][..5],
        [
            "local",
            "localhost",
            "0",
            "the host list chose localhost",
            "a.c"
        ]
    );
    assert_eq!(
        fields[1][2..5],
        ["1", "the host list chose localhost", "bad.c"]
    );
    assert_eq!(fields[2][..3], ["local", "localhost", "0"]);
    for line in &fields {
        let names = line[7].split(' ').skip(1);
        let names: Vec<&str> = names.map(|step| step.split('+').next().unwrap()).collect();
        assert_eq!(names.join(" "), "blocked @localhost/0 compile free end");
    }
    assert_eq!(fields.len(), 3);
}

#[test]
fn messages_go_where_they_are_sent() {
    let desk = Desk::with_hosts("").source("a.c", "int x;\n");
    let log = desk.at("log");
    let mut command = desk.distcc_command("gcc -c a.c");
    let outcome = Outcome::of(command.env("DISTCC_LOG", &log).output().unwrap());
    outcome.silent_success();
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(
        text.contains("failed to distribute, running locally instead"),
        "{text}"
    );
    assert!(text.contains("exec on localhost: gcc -c a.c"), "{text}");
    assert!(text.contains("elapsed compilation time"), "{text}");
    let mut command = desk.distcc_command("gcc -c a.c");
    let outcome = Outcome::of(
        command
            .env("DISTCC_LOG", "/nonexistent/log")
            .output()
            .unwrap(),
    );
    outcome.says(0, "failed to open logfile");
}

#[test]
fn no_state_directory_is_no_obstacle() {
    let desk = Desk::with_hosts("localhost").source("a.c", "int x;\n");
    let mut command = desk.distcc_command("gcc -c a.c");
    let outcome = Outcome::of(command.env("DISTCC_DIR", "/proc/nowhere").output().unwrap());
    outcome.says(0, "going on without slots");
    assert!(desk.has("a.o"));
}
