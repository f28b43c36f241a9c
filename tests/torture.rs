//! The mutation torture through whole pump compiles: a tree that keeps changing, and objects that must be the local
//! compiler's. A small part of it; `PUMPHOUSE_TORTURE=2000 cargo test --release --test torture -- --nocapture` is the long
//! run, and `PUMPHOUSE_TORTURE_SEED` chooses other changes.

mod support;

#[allow(
    dead_code,
    unused_imports,
    reason = "the include server's own torture uses more of it"
)]
#[path = "../include-server/tests/torture/harness"]
mod harness {
    pub mod dice;
    pub mod mutation;
    pub mod text;
    pub mod tree;
}

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness::dice::Dice;
use harness::mutation::Mutator;
use harness::text::Author;
use harness::tree::{Tree, Unit};
use support::{Client, Daemon, IncludeServer, Maker, run, scratch};

/// Changes in the bounded run.
const MUTATIONS: usize = 40;

/// Steps remembered for a report of a difference.
const REMEMBERED: usize = 60;

/// The compiles that a server can do: those with a compiler of the tree's own or a sysroot stay at home.
const UNITS: [usize; 15] = [0, 1, 2, 3, 6, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18];

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A pump session that lives as long as the torture.
struct Session {
    dir: tempfile::TempDir,
    client: Client,
    _include_server: IncludeServer,
    _daemon: Daemon,
}

impl Session {
    fn start(freshness: &str) -> Self {
        let dir = scratch();
        let daemon = Daemon::start(Maker::Ours, dir.path(), &[]);
        let include_server =
            IncludeServer::start_with(dir.path(), &[&format!("--freshness={freshness}")]);
        let hosts = format!("127.0.0.1:{}/4,cpp,lzo", daemon.port);
        let client = Client::new(Maker::Ours, dir.path(), &hosts)
            .with_include_server(&include_server.socket)
            .with("PUMPHOUSE_JOURNAL", dir.path().join("journal"));
        Self {
            dir,
            client,
            _include_server: include_server,
            _daemon: daemon,
        }
    }

    /// The object, or nothing when the compile fails; and what was said.
    fn build(&self, command: &mut Command) -> (Option<Vec<u8>>, String) {
        let object = self.dir.path().join("out.o");
        let _ = fs::remove_file(&object);
        let output = run(command.args(["-g", "-o"]).arg(&object));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.success() {
            true => (Some(fs::read(&object).unwrap_or_default()), text),
            false => (None, text),
        }
    }

    /// Compiles here and through pump. Whether there is an object, or what differs.
    fn compare(&self, unit: &Unit) -> Result<bool, String> {
        let words = unit.words();
        let (remote, complaint) = self.build(&mut self.client.command(&unit.cwd, words));
        let mut command = Command::new(&words[0]);
        let (local, reason) = self.build(command.args(&words[1..]).current_dir(&unit.cwd));
        match remote == local {
            true => Ok(local.is_some()),
            false => Err(format!(
                "cd {} && {}\nlocal: {} bytes\n{reason}\nthrough pump: {} bytes\n{complaint}\nonly local: {:?}\nonly pump: {:?}",
                unit.cwd.display(),
                words.join(" "),
                local.as_ref().map_or(0, Vec::len),
                remote.as_ref().map_or(0, Vec::len),
                marks(local.as_ref(), remote.as_ref()),
                marks(remote.as_ref(), local.as_ref()),
            )),
        }
    }

    /// How the compiles went, by the client's journal.
    fn ways(&self) -> BTreeMap<String, usize> {
        let journal = fs::read_to_string(self.dir.path().join("journal")).unwrap_or_default();
        let mut ways = BTreeMap::new();
        for line in journal.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let way = match fields.as_slice() {
                [_, way @ ("local" | "plain"), _, _, reason, ..] => {
                    let words = reason
                        .split_whitespace()
                        .filter(|word| !word.contains(['/', '.']));
                    format!("{way}: {}", words.collect::<Vec<_>>().join(" "))
                }
                [_, way, ..] => (*way).to_owned(),
                _ => line.to_owned(),
            };
            *ways.entry(way).or_default() += 1;
        }
        ways
    }
}

/// The numbers of texts in an object that are not in another.
fn marks(object: Option<&Vec<u8>>, other: Option<&Vec<u8>>) -> Vec<String> {
    let of = |object: Option<&Vec<u8>>| -> Vec<String> {
        let bytes = object.map_or(&[][..], Vec::as_slice);
        let found = bytes
            .windows(10)
            .filter(|window| window[0] == b'v' && window[1..].iter().all(u8::is_ascii_digit));
        found
            .map(|window| String::from_utf8_lossy(window).into_owned())
            .collect()
    };
    let others = of(other);
    let mut own = of(object);
    own.retain(|mark| !others.contains(mark));
    own
}

fn torture(freshness: &str) {
    let wanted = number("PUMPHOUSE_TORTURE").unwrap_or(MUTATIONS);
    let seed = number("PUMPHOUSE_TORTURE_SEED").unwrap_or(1) as u64;
    let session = Session::start(freshness);
    let mut dice = Dice::new(seed);
    let (mut tree, author) = Tree::plant(&mut dice, |_| {}, |root| Author::new(0, root));
    // The daemon and the include server are processes of their own, which do not see this thread's mounts.
    let mut mutator = Mutator::new(dice.fork(), author, false);
    let mut last: VecDeque<String> = VecDeque::new();
    let (mut mutations, mut compiled, mut failed) = (0, 0, 0);
    while mutations < wanted {
        for _ in 0..dice.between(1, 3) {
            last.push_back(mutator.mutate(&tree));
            mutations += 1;
        }
        let number = *dice.pick(&UNITS);
        let unit = &tree.units[number];
        last.push_back(format!("compile unit {number}"));
        while last.len() > REMEMBERED {
            last.pop_front();
        }
        match session.compare(unit) {
            Ok(true) => {
                compiled += 1;
                mutator.remember(read_files(unit));
            }
            Ok(false) => {
                failed += 1;
                mutations += mutator.mend(&tree);
            }
            Err(what) => {
                tree.keep();
                let steps: Vec<String> = last.into();
                panic!(
                    "seed {seed}, after {mutations} mutations, tree {}\n{}\n{what}",
                    tree.base().display(),
                    steps.join("\n")
                );
            }
        }
    }
    mutator.finish(&tree);
    let ways = session.ways();
    println!(
        "{freshness}: {mutations} mutations, {compiled} equal objects, {failed} compiles that fail both ways\n{ways:#?}"
    );
    assert!(compiled > 0, "nothing was compiled");
    let pumped = ways.get("pump").copied().unwrap_or(0);
    assert!(pumped * 2 > compiled, "few in pump mode: {ways:#?}");
}

/// The headers that a compile reads now.
fn read_files(unit: &Unit) -> Vec<PathBuf> {
    let words = unit.words();
    let output = run(Command::new(&words[0])
        .args(&words[1..])
        .arg("-M")
        .current_dir(&unit.cwd));
    let rule = String::from_utf8_lossy(&output.stdout).replace("\\\n", " ");
    let names = rule.split_whitespace().skip(1);
    names
        .filter_map(|name| fs::canonicalize(unit.cwd.join(name)).ok())
        .collect()
}

#[test]
fn objects_through_pump_are_the_local_compilers_with_stat() {
    torture("stat");
}

#[test]
fn objects_through_pump_are_the_local_compilers_with_inotify() {
    torture("watch");
}
