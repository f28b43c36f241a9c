//! The scanner against the compilers on random translation units; a bounded run. The long one is
//! `cargo run --release -p include-server --example fuzz-scanner`.

#[allow(dead_code)]
mod differential;

use differential::campaign::{Plan, run, scratch_directory};
use differential::judge::is_installed;
use include_server::facts::Freshness;

/// Runs so many cases, none of which may differ.
#[track_caller]
fn no_difference(compiler: &str, cases: u64) {
    if !is_installed(compiler) {
        assert_ne!(
            std::env::var("REQUIRE_PEERS").as_deref(),
            Ok("1"),
            "{compiler} is not installed"
        );
        eprintln!("skipped: {compiler} is not installed");
        return;
    }
    let directory = scratch_directory(compiler);
    let plan = Plan {
        compiler: compiler.into(),
        seed: 1,
        cases: 0..cases,
        setups: 12,
        failures: 1,
        directory: directory.clone(),
        freshness: Freshness::Stat,
        progress: false,
    };
    let report = run(&plan).expect("a directory to work in");
    std::fs::remove_dir_all(directory).expect("the directory of the run");
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    eprintln!("{compiler}: {report}");
    // A generator that makes nothing but nonsense would find nothing.
    assert!(report.equal * 2 > report.cases, "{report}");
}

#[test]
fn gcc() {
    no_difference("gcc", 250);
}

#[test]
fn gxx() {
    no_difference("g++", 150);
}

#[test]
fn clang() {
    no_difference("clang-19", 60);
}

#[test]
fn gcc_for_another_machine() {
    no_difference("aarch64-linux-gnu-gcc", 60);
}
