//! Runs every parser on mutated messages for some time: `fuzz-parsers [--seconds N] [--seed N]`.
//!
//! The bodies are those of `protocol::fuzz`, which fail by a panic; the seeds are `fuzz-corpus/` and what mutation made of it, a limited number of which is
//! kept and mutated on. It finds less than a fuzzer that watches branches, and needs nothing but this program.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use protocol::command_line::fuzz_command_line;
use protocol::fuzz;

/// A parser by its corpus's name.
type Body = (&'static str, fn(&[u8]));

const BODIES: [Body; 7] = [
    ("request", fuzz::request),
    ("reply", fuzz::reply),
    ("include_dialogue", fuzz::include_dialogue),
    ("entries", fuzz::entries),
    ("lzo", fuzz::lzo),
    ("bundle", fuzz::bundle),
    ("command_line", fuzz_command_line),
];

/// Messages that are kept for each parser.
const KEPT: usize = 2000;

/// No message grows beyond this.
const LONGEST: usize = 1 << 16;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }
}

/// A message with some of its bytes changed, or with a part of another one.
fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut data = seeds[dice.roll(seeds.len())].clone();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(data.len());
        match dice.roll(8) {
            0 => data.truncate(at),
            1 if !data.is_empty() => data[at] = dice.roll(256) as u8,
            2 if !data.is_empty() => data[at] ^= 1 << dice.roll(8),
            3 => data.insert(at, *b"0fF\0/.-@".get(dice.roll(8)).unwrap_or(&0)),
            4 if !data.is_empty() => _ = data.remove(at),
            5 if data.len() >= at + 8 => data[at..at + 8].copy_from_slice(b"7fffffff"),
            6 => {
                let other = &seeds[dice.roll(seeds.len())];
                let from = dice.roll(other.len());
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            _ => {
                let end = at + dice.roll(data.len() - at + 1);
                data.extend_from_within(at..end);
            }
        }
    }
    data.truncate(LONGEST);
    data
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz-corpus")
        .join(name);
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    let seeds: Vec<Vec<u8>> = found
        .filter_map(|file| fs::read(file.path()).ok())
        .collect();
    assert!(!seeds.is_empty(), "no corpus of {name}");
    seeds
}

fn argument(name: &str) -> Option<u64> {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.nth(1)?.parse().ok()
}

fn main() -> ExitCode {
    let seconds = argument("--seconds").unwrap_or(60);
    let mut dice = Dice(
        argument("--seed")
            .unwrap_or(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            | 1,
    );
    let share = Duration::from_secs(seconds) / BODIES.len() as u32;
    for (name, body) in BODIES {
        let mut kept = seeds(name);
        let given = kept.len();
        let (start, mut runs) = (Instant::now(), 0_u64);
        while start.elapsed() < share {
            for _ in 0..256 {
                let data = mutated(&mut dice, &kept);
                if let Err(panic) = std::panic::catch_unwind(|| body(&data)) {
                    let file = format!("fuzz-{name}-{runs}");
                    let written = fs::write(&file, &data);
                    eprintln!("{name} fails on {file} ({written:?})");
                    std::panic::resume_unwind(panic);
                }
                runs += 1;
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
        }
        println!("{name}: {given} seeds, {runs} runs, {} s", share.as_secs());
    }
    ExitCode::SUCCESS
}
