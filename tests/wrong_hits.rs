//! A hunt for wrong hits: one thing at a time changes at random (a byte of a file, an option, a header in another's place, a header that comes earlier on the
//! path, the compiler or a part of it, the directory, a variable), the job goes to a daemon that keeps results, and what comes back must be what the local compiler makes.
//!
//! `PUMPHOUSE_HUNT=20000 cargo test --release --test wrong_hits -- --nocapture` runs that many trials; `PUMPHOUSE_HUNT_SEED` chooses others.

mod support;
#[path = "wrong_hits/toolchain.rs"]
mod toolchain;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use support::{Client, Daemon, IncludeServer, Maker, run, scratch, write_tree};
use toolchain::Toolchain;

/// Trials when nobody says how many: enough to come by every kind of change.
const TRIALS: usize = 250;

/// Small numbers of random look.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// What a header may hold; `N` is a number that changes.
const HEADERS: [&str; 9] = [
    "#define V N\n",
    "#pragma once\n#define V (N + 1)\n",
    "#ifndef G\n#define G\n#define V N\n#endif\n",
    "#if __has_include(\"opt.h\")\n#include \"opt.h\"\n#define V (OPT + N)\n#else\n#define V N\n#endif\n",
    "#if __has_include(\"../common.h\")\n#include \"../common.h\"\n#define V (COMMON + N)\n#else\n#define V N\n#endif\n",
    "#ifdef X\n#define V (X + N)\n#else\n#define V N\n#endif\n",
    "#ifndef W\n#define W\nstatic const char where[] = __FILE__;\n#endif\n#define V ((int)sizeof where + N)\n",
    "#define V (__COUNTER__ + N)\n",
    "#pragma GCC warning \"N\"\n#define V (__LINE__ + N)\n",
];

/// Options, of which some at a time are there, in some order.
const OPTIONS: [&str; 14] = [
    "-O1",
    "-O2",
    "-g",
    "-DX=3",
    "-DX=4",
    "-UX",
    "-Wall",
    "-Iinc1",
    "-Iinc2",
    "-iquote inc3",
    "-include common.h",
    "-fPIC",
    "-DS=\"a b\"",
    "-fno-common",
];

/// Where a header may stand.
const PLACES: [&str; 8] = [
    "h.h",
    "inc1/h.h",
    "inc2/h.h",
    "inc3/h.h",
    "opt.h",
    "inc1/opt.h",
    "inc2/opt.h",
    "common.h",
];

/// Those that are installed.
fn compilers() -> &'static [&'static str] {
    static INSTALLED: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let mut all = vec!["gcc", "g++", "cc", "clang-19"];
        all.retain(|name| Path::new("/usr/bin").join(name).exists());
        all
    });
    &INSTALLED
}

/// One copy of the project.
struct Copy<'a> {
    root: PathBuf,
    dice: Dice,
    options: Vec<&'static str>,
    compiler: String,
    toolchain: Option<&'a Toolchain>,
    epoch: Option<&'static str>,
}

impl<'a> Copy<'a> {
    fn new(root: PathBuf, seed: u64, toolchain: Option<&'a Toolchain>) -> Self {
        write_tree(
            &root,
            &[
                ("common.h", "#define COMMON 7\n"),
                ("h.h", "#define V 1\n"),
                ("inc1/unused.h", ""),
                ("inc2/h.h", "#define V 2\n"),
                ("inc3/unused.h", ""),
                ("a.c", SOURCE),
            ],
        );
        Self {
            root,
            dice: Dice(seed | 1),
            options: vec!["-O1", "-Iinc2"],
            compiler: "gcc".to_owned(),
            toolchain,
            epoch: None,
        }
    }

    /// Changes one thing.
    fn change(&mut self) -> String {
        match self.dice.below(13) {
            0..=2 => {
                let option = *self.dice.one(&OPTIONS);
                match self.options.iter().position(|known| *known == option) {
                    Some(at) => _ = self.options.remove(at),
                    None => {
                        let at = self.dice.below(self.options.len() + 1);
                        self.options.insert(at, option);
                    }
                }
                format!("option {option}")
            }
            3 if self.options.len() > 1 => {
                let (one, other) = (
                    self.dice.below(self.options.len()),
                    self.dice.below(self.options.len()),
                );
                self.options.swap(one, other);
                "the order of the options".to_owned()
            }
            4 => {
                (*self.dice.one(compilers())).clone_into(&mut self.compiler);
                format!("compiler {}", self.compiler)
            }
            5 => {
                self.epoch = *self.dice.one(&[None, Some("1"), Some("86400")]);
                format!("SOURCE_DATE_EPOCH {:?}", self.epoch)
            }
            6 => {
                let (one, other) = (*self.dice.one(&PLACES), *self.dice.one(&PLACES));
                let (one, other) = (self.root.join(one), self.root.join(other));
                let aside = self.root.join("aside");
                let _ = fs::rename(&one, &aside);
                let _ = fs::rename(&other, &one);
                let _ = fs::rename(&aside, &other);
                format!("{one:?} and {other:?} change places")
            }
            7 => {
                let place = self.root.join(self.dice.one(&PLACES));
                let _ = fs::remove_file(&place);
                format!("{place:?} is gone")
            }
            8 => {
                let place = self.root.join(self.dice.one(&PLACES));
                let _ = fs::remove_file(&place);
                let target = *self.dice.one(&["h.h", "../h.h", "../inc2/h.h", "common.h"]);
                symlink(target, &place).unwrap();
                format!("{place:?} is a link to {target}")
            }
            9 => {
                let number = self.dice.below(3);
                let text = SOURCE.replace("return V", &format!("return {number} + V"));
                fs::write(self.root.join("a.c"), text).unwrap();
                "the source".to_owned()
            }
            10 => {
                let Some(toolchain) = self.toolchain else {
                    return "nothing".to_owned();
                };
                self.compiler = toolchain.driver().display().to_string();
                format!("upgraded to {}", toolchain.upgrade(&mut self.dice))
            }
            _ => {
                let place = *self.dice.one(&PLACES);
                let text = self.dice.one(&HEADERS);
                let text = text.replace('N', &self.dice.below(3).to_string());
                let text = match place.rsplit('/').next() {
                    Some("opt.h") => format!("#define OPT {}\n", self.dice.below(3)),
                    Some("common.h") => format!("#define COMMON {}\n", self.dice.below(3)),
                    _ => text,
                };
                let path = self.root.join(place);
                let _ = fs::remove_file(&path);
                fs::write(&path, text).unwrap();
                format!("{place} is written")
            }
        }
    }

    /// A project that cannot be compiled proves nothing: what is missing comes back.
    fn mend(&self) {
        for place in PLACES {
            let path = self.root.join(place);
            if fs::metadata(&path).is_err() {
                let _ = fs::remove_file(&path);
            }
        }
        for (place, text) in [("h.h", "#define V 1\n"), ("common.h", "#define COMMON 7\n")] {
            let path = self.root.join(place);
            if !path.exists() {
                fs::write(path, text).unwrap();
            }
        }
    }

    fn words(&self) -> Vec<String> {
        let mut words = vec![self.compiler.clone()];
        for option in &self.options {
            // A value with a blank is one word; an option with its value is two.
            match option.split_once(' ') {
                Some((name, value)) if !option.contains('"') => {
                    words.extend([name.to_owned(), value.to_owned()]);
                }
                _ => words.push((*option).to_owned()),
            }
        }
        words.extend("-MD -c a.c -o a.o".split(' ').map(str::to_owned));
        words
    }

    fn outcome(&self, command: &mut Command) -> Outcome {
        for name in ["a.o", "a.d"] {
            let _ = fs::remove_file(self.root.join(name));
        }
        match self.epoch {
            Some(epoch) => command.env("SOURCE_DATE_EPOCH", epoch),
            None => command.env_remove("SOURCE_DATE_EPOCH"),
        };
        let output = run(command.current_dir(&self.root));
        Outcome {
            object: fs::read(self.root.join("a.o")).ok(),
            dependencies: fs::read(self.root.join("a.d")).ok(),
            success: output.status.success(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

const SOURCE: &str = "#include <stddef.h>\n#include \"h.h\"\n#if __has_include(<h.h>)\n#include <h.h>\n#endif\n#ifndef UPGRADED\n#define UPGRADED 0\n#endif\nint f(void) { return V + UPGRADED; }\n";

/// What a compile left.
#[derive(Debug, PartialEq)]
struct Outcome {
    object: Option<Vec<u8>>,
    dependencies: Option<Vec<u8>>,
    success: bool,
    stderr: String,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The whole house, and what was found so far.
struct Hunt {
    daemon: Daemon,
    clients: Vec<Client>,
    journal: PathBuf,
    dice: Dice,
    /// Jobs that were done, and objects that were compared.
    trials: usize,
    compared: usize,
    _include_server: IncludeServer,
}

impl Hunt {
    fn new(dir: &Path, seed: u64, toolchain: Option<&Toolchain>) -> Self {
        let names = compilers().iter().map(|name| format!("/usr/bin/{name}\n"));
        let own = toolchain.map(|own| format!("{}\n", own.driver().display()));
        let list = dir.join("commands");
        fs::write(&list, names.chain(own).collect::<String>()).unwrap();
        let environment = [("DISTCC_CMDLIST", list.to_str().unwrap())];
        let options = ["--log-level", "notice"];
        let daemon = Daemon::start_with(Maker::Ours, dir, &environment, &options);
        let include_server = IncludeServer::start(dir);
        let hosts = format!("127.0.0.1:{}/8,cpp,lzo", daemon.port);
        let journal = dir.join("journal");
        let client = |protocols: &&str| {
            Client::new(Maker::Ours, dir, &hosts)
                .with("DISTCC_NO_REWRITE_CROSS", "1")
                .with("PUMPHOUSE_STOCK_PROTOCOLS", protocols)
                .with("DISTCC_FALLBACK", "1")
                .with("PUMPHOUSE_JOURNAL", &journal)
                .with_include_server(&include_server.socket)
        };
        Self {
            // Two jobs of three in our dialect, one by stock's protocol 3.
            clients: ["0", "0", "1"].iter().map(client).collect(),
            daemon,
            journal,
            dice: Dice(seed.wrapping_mul(0x94d0_49bb_1331_11eb) | 1),
            trials: 0,
            compared: 0,
            _include_server: include_server,
        }
    }

    /// Compiles here and there, and compares.
    fn try_out(&mut self, copy: &Copy, what: &str) {
        self.trials += 1;
        let words = copy.words();
        let local = copy.outcome(Command::new(&words[0]).args(&words[1..]));
        let client = self.dice.below(self.clients.len());
        let _ = fs::remove_file(&self.journal);
        let remote = copy.outcome(&mut self.clients[client].command(&copy.root, &words));
        let line = fs::read_to_string(&self.journal).unwrap_or_default();
        if line.split('\t').nth(1) == Some("plain") && words.iter().any(|word| word == "-g") {
            // Debug information of a source that was preprocessed here is another, as with stock.
            return;
        }
        let trial = format!(
            "trial {}: after {what}: {words:?} in {:?}: {line}",
            self.trials, copy.root
        );
        assert_eq!(local.success, remote.success, "{trial}\n{}", remote.stderr);
        // What a failure leaves behind is nobody's.
        if local.success {
            assert!(local.object == remote.object, "{trial}: another object");
            assert!(
                local.dependencies == remote.dependencies,
                "{trial}: another dependency file"
            );
            self.compared += 1;
        }
    }

    fn hits(&self) -> usize {
        self.daemon.log_text().matches(" hit: ").count()
    }

    fn say(&self) {
        let (trials, compared, hits) = (self.trials, self.compared, self.hits());
        eprintln!("{trials} trials: {compared} objects compared, {hits} hits");
    }
}

#[test]
fn a_result_is_what_the_local_compiler_makes_whatever_changed() {
    let trials = setting("PUMPHOUSE_HUNT").map_or(TRIALS, |trials| trials as usize);
    let seed = setting("PUMPHOUSE_HUNT_SEED").unwrap_or(20_261_130);
    let dir = scratch();
    let toolchain = Toolchain::install();
    let toolchain = toolchain.as_ref();
    let mut hunt = Hunt::new(dir.path(), seed, toolchain);
    // Two copies that change in the same way, so that one gets what was made in the other, and one that goes its own.
    let seeds = [
        0x9e37_79b9_7f4a_7c15,
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
    ];
    let places = ["one", "other/place", "third"];
    let copies = places.iter().zip(seeds);
    let mut copies: Vec<Copy> = copies
        .map(|(place, own)| Copy::new(dir.path().join(place), seed.wrapping_mul(own), toolchain))
        .collect();
    while hunt.trials < trials {
        for copy in &mut copies {
            let what = copy.change();
            copy.mend();
            hunt.try_out(copy, &what);
        }
        if hunt.trials % 1000 < copies.len() {
            hunt.say();
        }
    }
    hunt.say();
    let (hits, compared) = (hunt.hits(), hunt.compared);
    assert!(
        hits * 10 > trials,
        "{hits} hits in {trials} trials prove little"
    );
    assert!(
        compared * 2 > trials,
        "{compared} objects in {trials} trials prove little"
    );
}
