//! What around a compiler makes another one of it, and what does not.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use toolchain::{IdentifyError, Language, Policy};

use crate::support::{ask, ask_in, identity, settled, usual, variables};

const GCC: &str = "/usr/bin/gcc";

fn gcc_says(word: &str) -> String {
    let output = Command::new(GCC).arg(word).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A place for gcc's own files, with its compiler proper; gives the value of `GCC_EXEC_PREFIX` and the directory.
fn prefix(root: &Path) -> (String, PathBuf) {
    let base = root.join("gcc");
    let inner = base
        .join(gcc_says("-dumpmachine"))
        .join(gcc_says("-dumpversion"));
    std::fs::create_dir_all(&inner).unwrap();
    symlink(gcc_says("-print-prog-name=cc1"), inner.join("cc1")).unwrap();
    (format!("{}/", base.display()), inner)
}

#[test]
fn a_specs_file_makes_another_compiler() {
    let root = tempfile::tempdir().unwrap();
    let (value, inner) = prefix(root.path());
    let environment = variables(&[("PATH", "/usr/bin"), ("GCC_EXEC_PREFIX", &value)]);
    let gcc = || ask_in(GCC.as_ref(), Language::C, &environment);
    let (plain, evidence) = settled(|| gcc().unwrap());
    assert!(plain.agrees(&identity(GCC), Policy::Exact));
    let specs = inner.join("specs");
    std::fs::write(&specs, "*cc1_options:\n+ -fstack-protector-all\n\n").unwrap();
    assert!(!evidence.holds());
    let (hardened, evidence) = settled(|| gcc().unwrap());
    assert!(!plain.agrees(&hardened, Policy::Alike));
    assert!(!plain.agrees(&hardened, Policy::Described));
    assert!(!plain.agrees(&hardened, Policy::Exact));
    // Where it makes no difference at once it is another one all the same: it may with other options.
    std::fs::write(&specs, "*cc1:\n+ %{O3:-fno-inline}\n\n").unwrap();
    assert!(!evidence.holds());
    let (other, _) = gcc().unwrap();
    assert!(!plain.agrees(&other, Policy::Alike) && !hardened.agrees(&other, Policy::Alike));
    std::fs::write(&specs, "*cc1:\n+ %{O3:-fplugin=/opt/plugin.so}\n\n").unwrap();
    assert!(matches!(gcc(), Err(IdentifyError::Loads { .. })));
    std::fs::write(&specs, "%nonsense\n").unwrap();
    assert!(matches!(gcc(), Err(IdentifyError::Refused { .. })));
    std::fs::remove_file(&specs).unwrap();
    assert_eq!(gcc().unwrap().0, plain);
}

#[test]
fn clangs_configuration_counts_with_what_it_says() {
    let clang = Path::new("/usr/bin/clang-19");
    if !clang.exists() {
        return eprintln!("{} is not installed", clang.display());
    }
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("my.cfg");
    let words = format!("+--config={}", file.display());
    let environment = variables(&[("PATH", "/usr/bin"), ("CCC_OVERRIDE_OPTIONS", &words)]);
    let clang = || ask_in(clang, Language::C, &environment);
    std::fs::write(&file, "-fno-plt\n").unwrap();
    let (one, evidence) = settled(|| clang().unwrap());
    std::fs::write(&file, "-fno-plt -DX\n").unwrap();
    assert!(!evidence.holds());
    assert!(!one.agrees(&clang().unwrap().0, Policy::Alike));
    std::fs::write(&file, "@other.cfg\n").unwrap();
    std::fs::write(root.path().join("other.cfg"), "-fno-plt\n").unwrap();
    assert!(matches!(clang(), Err(IdentifyError::Loads { .. })));
}

/// A copy of gcc's driver. It looks for its parts beside itself, and finds the installed ones.
fn copied(directory: &Path) -> PathBuf {
    let programs = directory.join("my \"own\" place/bin");
    std::fs::create_dir_all(&programs).unwrap();
    symlink("/usr/lib", programs.join("../lib")).unwrap();
    let copy = programs.join("my-gcc");
    std::fs::copy(GCC, &copy).unwrap();
    copy
}

#[test]
fn another_byte_in_a_file_is_seen_by_the_exact_policy_alone() {
    let directory = tempfile::tempdir().unwrap();
    let copy = copied(directory.path());
    let gcc = identity(GCC);
    let (same, evidence) = settled(|| ask(&copy, Language::C).unwrap());
    assert_eq!(same, gcc);
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&copy)
        .unwrap();
    file.write_all(b"\n").unwrap();
    drop(file);
    assert!(!evidence.holds());
    let other = identity(&copy);
    assert!(other.agrees(&gcc, Policy::Described) && other.agrees(&gcc, Policy::Alike));
    assert!(!other.agrees(&gcc, Policy::Exact));
}

#[test]
fn evidence_falls_with_each_change() {
    let directory = tempfile::tempdir().unwrap();
    let copy = copied(directory.path());
    let programs = copy.parent().unwrap();
    let link = programs.join("cc");
    symlink("my-gcc", &link).unwrap();
    let fresh = || settled(|| ask(&link, Language::C).unwrap());
    let (first, evidence) = fresh();
    // Touched.
    let now = std::time::SystemTime::now();
    let file = std::fs::File::options().append(true).open(&copy).unwrap();
    file.set_modified(now).unwrap();
    drop(file);
    assert!(!evidence.holds());
    // Permissions.
    let (second, evidence) = fresh();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!evidence.holds());
    // Replaced by an equal one.
    let (third, evidence) = fresh();
    let replacement = programs.join("replacement");
    std::fs::copy(GCC, &replacement).unwrap();
    std::fs::rename(&replacement, &copy).unwrap();
    assert!(!evidence.holds());
    // The link leads to another name of the same file.
    let (fourth, evidence) = fresh();
    std::fs::hard_link(&copy, programs.join("gcc-2")).unwrap();
    std::fs::remove_file(&link).unwrap();
    symlink("gcc-2", &link).unwrap();
    assert!(!evidence.holds());
    // Gone.
    let (fifth, evidence) = fresh();
    std::fs::remove_file(&link).unwrap();
    assert!(!evidence.holds());
    for identity in [second, third, fourth, fifth] {
        assert_eq!(identity, first);
    }
}

#[test]
fn an_assembler_that_is_found_first_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    let environment = variables(&[("PATH", &path)]);
    let gcc = || ask_in(GCC.as_ref(), Language::C, &environment);
    let (plain, evidence) = settled(|| gcc().unwrap());
    let assembler = directory.path().join("as");
    std::fs::copy("/usr/bin/as", &assembler).unwrap();
    assert!(!evidence.holds());
    // An equal one in another place.
    let (same, evidence) = settled(|| gcc().unwrap());
    assert_eq!(same, plain);
    std::fs::copy("/usr/bin/ld", &assembler).unwrap();
    assert!(!evidence.holds());
    assert!(!gcc().unwrap().0.agrees(&plain, Policy::Alike));
    std::fs::write(&assembler, "#!/bin/sh\nexit 0\n").unwrap();
    assert!(matches!(gcc(), Err(IdentifyError::Script { .. })));
}

#[test]
fn a_users_other_variables_make_no_difference() {
    let directory = tempfile::tempdir().unwrap();
    let written = directory.path().join("dependencies");
    let home = directory.path().display().to_string();
    let environment = variables(&[
        ("CPATH", "/opt/include"),
        ("C_INCLUDE_PATH", "include"),
        ("LIBRARY_PATH", "/opt/lib"),
        ("SOURCE_DATE_EPOCH", "1"),
        ("LANG", "de_DE.UTF-8"),
        ("LC_MESSAGES", "de_DE.UTF-8"),
        ("GCC_COLORS", "error=01;31"),
        ("TMPDIR", "/nowhere"),
        ("HOME", &home),
        ("DEPENDENCIES_OUTPUT", written.to_str().unwrap()),
        ("PATH", "/usr/bin:/bin"),
    ]);
    for name in crate::support::installed(&[GCC, "/usr/bin/clang-19"]) {
        let found = ask_in(name.as_ref(), Language::C, &environment).unwrap();
        assert_eq!(found.0, identity(name));
    }
    assert!(!written.exists());
}

#[test]
fn relative_places_are_refused() {
    let relative = |entries: &[(&str, &str)]| {
        let found = ask_in(GCC.as_ref(), Language::C, &variables(entries));
        matches!(found, Err(IdentifyError::RelativeVariable { .. }))
    };
    assert!(relative(&[("PATH", ".:/usr/bin")]));
    assert!(relative(&[("PATH", ":/usr/bin")]));
    assert!(relative(&[
        ("PATH", "/usr/bin"),
        ("COMPILER_PATH", "tools")
    ]));
    // Behind the assembler they do not matter.
    assert!(!relative(&[("PATH", "/usr/bin:.")]));
    let found = ask_in("gcc".as_ref(), Language::C, &usual());
    assert!(matches!(found, Err(IdentifyError::Relative { .. })));
    let found = ask_in(
        GCC.as_ref(),
        Language::C,
        &variables(&[("PATH", "/nowhere")]),
    );
    assert!(matches!(found, Err(IdentifyError::Missing { .. })));
    let found = ask(GCC.as_ref(), Language::Other);
    assert!(matches!(found, Err(IdentifyError::Language)));
}
