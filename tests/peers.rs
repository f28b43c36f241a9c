//! The peer's own test suite, real projects built through pump, and the scanner beside the compilers on real projects: the
//! committed scripts, run as tests.
//!
//! Both fetch Debian source packages into a cache outside the repository. Where the tools or the network for that are
//! missing the test is skipped, unless `REQUIRE_PEERS=1` says that it must run.

use std::path::Path;
use std::process::Command;

/// Whether the peers must be there.
fn peers_required() -> bool {
    std::env::var_os("REQUIRE_PEERS").is_some_and(|value| value == "1")
}

/// Whether `package` is in the cache, or can be fetched; says why not.
fn fetched(package: &str) -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/debian-source.sh");
    let output = Command::new(script).arg(package).output().unwrap();
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        assert!(
            !peers_required(),
            "{package} cannot be fetched and REQUIRE_PEERS=1: {reason}"
        );
        eprintln!("skipped: {package} cannot be fetched: {reason}");
    }
    output.status.success()
}

/// Exit status of a script that cannot run here because something is not installed.
const SKIPPED: i32 = 77;

/// Runs a script of ours on the programs of this build; it must succeed.
fn run_script(name: &str, arguments: &[&str]) {
    let programs = Path::new(env!("CARGO_BIN_EXE_distcc")).parent().unwrap();
    let mut command = Command::new(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("scripts")
            .join(name),
    );
    command.args(arguments).env("PROGRAMS", programs);
    let output = command.output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.code() == Some(SKIPPED) && !peers_required() {
        eprintln!("skipped: {said}");
        return;
    }
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}",
        output.status
    );
    print!("{said}");
}

#[test]
fn the_peers_own_suite_finds_what_it_expects() {
    if fetched("distcc") {
        run_script("peer-suite.sh", &[]);
    }
}

#[test]
fn real_projects_come_out_byte_identical() {
    if ["lua5.4", "zlib", "fmtlib"].into_iter().all(fetched) {
        run_script("real-projects.sh", &["--quick"]);
    }
}

/// CMake with ninja, CMake with make, meson, autotools with libtool. The kernel's build takes minutes: by hand, see CONTRIBUTING.
#[test]
fn every_build_system_comes_out_byte_identical() {
    if ["brotli", "libjsoncpp", "fribidi", "popt"]
        .into_iter()
        .all(fetched)
    {
        run_script("real-projects.sh", &["--build-systems", "--quick"]);
    }
}

#[test]
fn the_scanner_agrees_with_the_compilers_on_real_projects() {
    if ["lua5.4", "zlib", "redis"].into_iter().all(fetched) {
        run_script("corpora.sh", &["--quick"]);
    }
}
