//! The house rules of CONTRIBUTING.md that a program can check, each as a test that names who breaks it and where.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a source file.
const LINES: usize = 800;

/// The crates that meet only as bytes on a socket.
const SIBLINGS: [&str; 3] = ["include-server", "pump-client", "distccd-cache"];

/// The files that may read the environment: one for each program. `src/environment.rs` of the client's crate is
/// `distcc`'s and the monitor's, the other `pump`'s.
const ENVIRONMENT_READERS: [&str; 4] = [
    "pump-client/src/environment.rs",
    "pump-client/src/pump/environment.rs",
    "distccd-cache/src/environment.rs",
    "include-server/src/cli/environment.rs",
];

/// Modules that do use each other in a circle, each with its reason. The list is to become shorter, not longer.
const CIRCLES: [(&str, &[&str], &str); 2] = [
    (
        "protocol",
        &["error", "token"],
        "an error names the tag that was not expected, and reading a tag fails with an error",
    ),
    (
        "include-server",
        &[
            "condition",
            "configuration",
            "lexer",
            "macros",
            "program",
            "search",
        ],
        "the scanner's types: a program holds conditions, a condition expands macros, a macro holds a program's tokens",
    ),
];

/// A source file of ours.
struct Source {
    /// Its path from the root of the workspace.
    name: String,
    text: String,
}

impl Source {
    /// The lines before the file's own unit tests, numbered from 1, without those that are comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self
            .text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        lines
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn is_in(&self, folder: &str) -> bool {
        self.name.starts_with(&format!("{folder}/"))
    }

    /// Whether it is part of a program rather than of its tests.
    fn is_product(&self) -> bool {
        self.name.starts_with("src/") || self.name.split('/').nth(1) == Some("src")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn sources() -> Vec<Source> {
    let folders = [
        "src",
        "tests",
        "protocol",
        "toolchain",
        "include-server",
        "pump-client",
        "distccd-cache",
    ];
    let mut sources = Vec::new();
    for folder in folders {
        for entry in walkdir::WalkDir::new(root().join(folder)).sort_by_file_name() {
            let path = entry.expect("a readable tree").into_path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(root())
                    .expect("below the root")
                    .display()
                    .to_string();
                let text = read(&name);
                sources.push(Source { name, text });
            }
        }
    }
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

/// Fails with a list, when there is something to list.
fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn siblings_never_import_each_other() {
    let mut found = Vec::new();
    for sibling in SIBLINGS {
        let manifest = read(&format!("{sibling}/Cargo.toml"));
        for other in SIBLINGS.into_iter().filter(|other| *other != sibling) {
            if manifest
                .lines()
                .any(|line| line.trim_start().starts_with(other))
            {
                found.push(format!("{sibling}/Cargo.toml depends on {other}"));
            }
            let path = format!("{}::", other.replace('-', "_"));
            for source in sources().iter().filter(|source| source.is_in(sibling)) {
                for (line, text) in source.code().filter(|(_, text)| text.contains(&path)) {
                    found.push(format!("{}:{line}: {}", source.name, text.trim()));
                }
            }
        }
    }
    none("sibling crates that import each other", found);
}

#[test]
fn protocol_does_no_io_and_reads_no_environment_and_no_clock() {
    let words = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::io",
        "Instant",
        "SystemTime",
        "std::os",
    ];
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.is_in("protocol/src"))
    {
        for (line, text) in source.code() {
            if let Some(word) = words.iter().find(|word| text.contains(*word)) {
                found.push(format!("{}:{line}: {word}", source.name));
            }
        }
    }
    none("I/O in protocol", found);
}

#[test]
fn shared_crates_do_not_know_those_that_share_them() {
    let mut found = Vec::new();
    for (shared, unknown) in [("protocol", "toolchain"), ("toolchain", "pumphouse")] {
        let manifest = read(&format!("{shared}/Cargo.toml"));
        for other in SIBLINGS.into_iter().chain([unknown]) {
            if manifest.contains(other) {
                found.push(format!("{shared}/Cargo.toml depends on {other}"));
            }
        }
    }
    none("shared crates that depend on those above them", found);
}

/// Which of a crate's modules use which, and where.
fn uses_between_modules(krate: &str, sources: &[Source]) -> BTreeMap<(String, String), String> {
    let lib = read(&format!("{krate}/src/lib.rs"));
    let declared = lib.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    let modules: BTreeSet<&str> = declared.collect();
    assert!(modules.len() > 3, "{krate} has no modules");
    let mut uses = BTreeMap::new();
    for source in sources
        .iter()
        .filter(|source| source.is_in(&format!("{krate}/src")))
    {
        let inner = source.name.trim_start_matches(&format!("{krate}/src/"));
        let module = inner.split(['/', '.']).next().unwrap_or(inner);
        for (line, text) in source.code() {
            for used in uses_of_own_crate(text) {
                if used != module && modules.contains(used) {
                    let edge = (module.to_owned(), used.to_owned());
                    uses.entry(edge)
                        .or_insert_with(|| format!("{}:{line}", source.name));
                }
            }
        }
    }
    uses
}

#[test]
fn modules_do_not_use_each_other_in_a_circle() {
    let sources = sources();
    let mut found = Vec::new();
    for krate in [
        "protocol",
        "toolchain",
        "include-server",
        "pump-client",
        "distccd-cache",
    ] {
        let known = CIRCLES.iter().find(|(of, _, _)| *of == krate);
        let known = known.map_or(&[][..], |(_, modules, _)| modules);
        let is_known = |name: &String| known.contains(&name.as_str());
        let mut uses = uses_between_modules(krate, &sources);
        // What is used by nobody, or uses nobody, is in no circle; without it others may become so.
        loop {
            let users: BTreeSet<String> = uses.keys().map(|(user, _)| user.clone()).collect();
            let used: BTreeSet<String> = uses.keys().map(|(_, used)| used.clone()).collect();
            let before = uses.len();
            uses.retain(|(from, to), _| used.contains(from) && users.contains(to));
            if uses.len() == before {
                break;
            }
        }
        for module in known {
            if !uses.keys().any(|(from, _)| from == module) {
                found.push(format!(
                    "{krate}: {module} is in no circle any more: take it off the list"
                ));
            }
        }
        uses.retain(|(from, to), _| !(is_known(from) && is_known(to)));
        let edges = uses
            .iter()
            .map(|((from, to), place)| format!("{krate}: {from} uses {to} at {place}"));
        found.extend(edges);
    }
    none("modules that use each other in a circle", found);
}

/// The modules that stand behind `crate::` in a line. Macros (`crate::log::warning!`) count as their module.
fn uses_of_own_crate(line: &str) -> Vec<&str> {
    let parts = line.split("crate::").skip(1);
    parts
        .map(|part| {
            part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .next()
                .unwrap_or(part)
        })
        .collect()
}

#[test]
fn files_are_of_a_size_to_read() {
    let long = sources().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > LINES).then(|| format!("{}: {lines} lines", source.name))
    });
    none("files that are too long", long.collect());
}

#[test]
fn every_file_says_why_it_exists() {
    let silent = sources().into_iter().filter(|source| {
        let first = source.text.lines().find(|line| !line.starts_with("#!["));
        !first.is_some_and(|line| line.starts_with("//! ") && line.len() > 12)
    });
    none(
        "files without a \"//!\" header",
        silent.map(|source| source.name).collect(),
    );
}

#[test]
fn modules_have_names_that_mean_something() {
    let empty = ["util", "utils", "manager", "common", "misc", "stuff"];
    let found = sources().into_iter().filter(|source| {
        let parts = source.name.trim_end_matches(".rs").split('/');
        parts
            .flat_map(|part| part.split('_'))
            .any(|word| empty.contains(&word))
    });
    none(
        "files with names that mean nothing",
        found.map(|source| source.name).collect(),
    );
}

#[test]
fn nothing_is_left_for_later() {
    // In two halves, so that this file does not name them.
    let marks = [
        ("to", "do!("),
        ("unimple", "mented!("),
        ("FIX", "ME"),
        ("TO", "DO"),
        ("#[ig", "nore"),
        ("XX", "X:"),
    ];
    let mut found = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            for (head, tail) in marks {
                if line.contains(&format!("{head}{tail}")) {
                    found.push(format!("{}:{}: {}", source.name, index + 1, line.trim()));
                }
            }
        }
    }
    none("marks of unfinished work", found);
}

#[test]
fn the_environment_is_read_in_one_place_per_program() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.is_product()) {
        if ENVIRONMENT_READERS.contains(&source.name.as_str()) {
            continue;
        }
        for (line, text) in source.code() {
            if [
                "env::var",
                "env::vars",
                "set_var(",
                "remove_var(",
                "getenv(",
            ]
            .iter()
            .any(|word| text.contains(word))
            {
                found.push(format!("{}:{line}: {}", source.name, text.trim()));
            }
        }
    }
    none("places that read the environment", found);
}

#[test]
fn every_unsafe_block_has_its_proof() {
    let mut found = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let trimmed = line.trim_start();
            let opens = trimmed.contains("unsafe {") || trimmed.starts_with("unsafe impl");
            if !opens || trimmed.starts_with("//") || trimmed.contains('"') {
                continue;
            }
            let before = &lines[index.saturating_sub(6)..=index];
            if !before.iter().any(|line| line.contains("SAFETY:")) {
                found.push(format!("{}:{}: {trimmed}", source.name, index + 1));
            }
        }
    }
    none("unsafe blocks without a SAFETY comment", found);
}

#[test]
fn the_documents_are_there_and_name_every_program() {
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "packaging/COMPATIBILITY.md",
    ] {
        assert!(
            read(name).lines().count() > 10,
            "{name} says next to nothing"
        );
    }
    assert!(read("LICENSE").contains("GNU GENERAL PUBLIC LICENSE"));
    let readme = read("README.md");
    let mut missing = Vec::new();
    for entry in fs::read_dir(root().join("src/bin"))
        .expect("the programs")
        .flatten()
    {
        let file: PathBuf = entry.file_name().into();
        let program = file
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if !readme.contains(&format!("`{program}`")) {
            missing.push(program);
        }
    }
    none("programs that README.md does not name", missing);
    let architecture = read("ARCHITECTURE.md");
    for krate in ["protocol", "include-server", "pump-client", "distccd-cache"] {
        assert!(
            architecture.contains(krate),
            "ARCHITECTURE.md does not name {krate}"
        );
    }
}

/// Reasons in the guide are quoted with `…` for what differs; what stands between must be said by some program.
#[test]
fn the_guides_reasons_are_the_programs() {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let product = sources().into_iter().filter(Source::is_product);
    // A string may go on in the next line.
    let code: Vec<String> = product
        .map(|source| squeezed(&source.text.replace("\\\n", "")))
        .collect();
    let guide = read("docs/guide.md");
    let start = guide.find("## Troubleshooting").expect("the section");
    let section = &guide[start..start + guide[start..].find("## Security").expect("its end")];
    let cells = section.lines().filter_map(|line| {
        let cell = line.strip_prefix("| ").map(|row| row.split(" | ").next());
        cell.unwrap_or_else(|| line.strip_prefix("- ")?.split(" — ").next())
    });
    let mut missing = Vec::new();
    let mut count = 0;
    for reason in cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        count += 1;
        let parts: Vec<String> = reason
            .split('…')
            .map(squeezed)
            .filter(|part| part.chars().any(char::is_alphabetic))
            .collect();
        // In one file, since a reason is made in one place.
        let said = |text: &String| parts.iter().all(|part| text.contains(part.as_str()));
        if parts.is_empty() || !code.iter().any(said) {
            missing.push(reason.to_owned());
        }
    }
    assert!(count > 40, "the guide has become short: {count} reasons");
    none("reasons of the guide that no program gives", missing);
}

#[test]
fn every_variable_of_ours_is_documented() {
    let readme = read("README.md");
    let mut missing = Vec::new();
    for source in sources().iter().filter(|source| source.is_product()) {
        for (_, text) in source.code() {
            for part in text
                .split('"')
                .filter(|part| part.starts_with("PUMPHOUSE_"))
            {
                let name = part.trim_end_matches(|c: char| !c.is_ascii_uppercase());
                if part == name && !readme.contains(name) && !missing.contains(&name.to_owned()) {
                    missing.push(name.to_owned());
                }
            }
        }
    }
    none("variables that README.md does not name", missing);
}

#[test]
fn the_lock_file_is_kept() {
    let lock = read("Cargo.lock");
    for package in [
        "pumphouse",
        "protocol",
        "toolchain",
        "include-server",
        "pump-client",
        "distccd-cache",
    ] {
        assert!(
            lock.contains(&format!("name = \"{package}\"\n")),
            "{package} is not in Cargo.lock"
        );
    }
    assert!(
        !read(".gitignore")
            .lines()
            .any(|line| line.contains("Cargo.lock")),
        "Cargo.lock is not to be ignored"
    );
}
