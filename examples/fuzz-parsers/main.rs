//! Runs every parser on mutated messages for some time: `fuzz-parsers [--seconds N] [--seed N] [--only NAME]`. The seconds are those of all parsers together.
//!
//! The bodies are those of the crates' `fuzz` modules, which fail by a panic; the seeds are the crates' `fuzz-corpus/` and what mutation made of them, a limited
//! number of which is kept and mutated on. It finds less than a fuzzer that watches branches, and needs nothing but this program. A body that takes memory
//! without a limit fails, too: there is not much of it here. One that takes too long for one message is told of.

mod corpora;

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use corpora::seeds;
use protocol::mutation::{Body, Dice, mutated};

/// Crates by their directories, and their bodies.
const CRATES: [(&str, &[Body]); 5] = [
    ("protocol", &protocol::fuzz::BODIES),
    ("toolchain", &toolchain::fuzz::BODIES),
    ("include-server", &include_server::fuzz::BODIES),
    ("pump-client", &pump_client::fuzz::BODIES),
    ("distccd-cache", &distccd_cache::fuzz::BODIES),
];

/// Messages that are kept for each parser.
const KEPT: usize = 2000;

/// Memory of this process, in bytes.
const MEMORY: u64 = 2 << 30;

/// A message of 64 KiB at most is read in less, even beside other work.
const PATIENCE: Duration = Duration::from_secs(10);

fn argument<T: std::str::FromStr>(name: &str) -> Option<T> {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.nth(1)?.parse().ok()
}

/// Runs one body for some time; whether it never took too long.
fn campaign((name, body): Body, seeds: Vec<Vec<u8>>, dice: &mut Dice, share: Duration) -> bool {
    let given = seeds.len();
    let mut kept = seeds;
    let (start, mut runs) = (Instant::now(), 0_u64);
    let mut slowest = Duration::ZERO;
    let keep = |data: &[u8], what: &str| {
        let file = format!("fuzz-{name}-{what}");
        let written = fs::write(&file, data);
        eprintln!("{name}: {what}: see {file} ({written:?})");
    };
    let mut last = start;
    while last - start < share {
        let data = mutated(dice, &kept);
        if let Err(panic) = std::panic::catch_unwind(|| body(&data)) {
            keep(&data, "fails");
            std::panic::resume_unwind(panic);
        }
        runs += 1;
        let now = Instant::now();
        let took = std::mem::replace(&mut last, now);
        let took = now - took;
        if took > slowest {
            slowest = took;
            if took > PATIENCE {
                keep(&data, "slow");
            }
        }
        if dice.roll(64) == 0 {
            if kept.len() < KEPT {
                kept.push(data);
            } else {
                // The given ones stay.
                let at = given + dice.roll(KEPT - given);
                kept[at] = data;
            }
        }
    }
    println!(
        "{name}: {given} seeds, {runs} runs, {} s, the slowest {} ms",
        share.as_secs(),
        slowest.as_millis()
    );
    slowest <= PATIENCE
}

fn main() -> ExitCode {
    let seconds = argument("--seconds").unwrap_or(60);
    let only: Option<String> = argument("--only");
    let mut dice = Dice::new(argument("--seed").unwrap_or(1));
    let limit = libc::rlimit {
        rlim_cur: MEMORY,
        rlim_max: MEMORY,
    };
    // SAFETY: the call reads one valid struct.
    let limited = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(limited, 0, "memory can be limited");
    let chosen: Vec<(&str, Body)> = CRATES
        .iter()
        .flat_map(|(of_crate, bodies)| bodies.iter().map(|body| (*of_crate, *body)))
        .filter(|(_, (name, _))| only.as_ref().is_none_or(|only| only == name))
        .collect();
    if chosen.is_empty() {
        eprintln!("no parser of this name; there are:");
        for (name, _) in CRATES.iter().flat_map(|(_, bodies)| bodies.iter()) {
            eprintln!("  {name}");
        }
        return ExitCode::FAILURE;
    }
    let share = Duration::from_secs(seconds) / chosen.len() as u32;
    let mut in_time = true;
    for (of_crate, body) in chosen {
        in_time &= campaign(body, seeds(of_crate, body.0), &mut dice, share);
    }
    match in_time {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
