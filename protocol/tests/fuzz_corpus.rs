//! Replays the committed fuzz corpora, and a bounded number of mutations of each file, through the fuzz bodies.

use protocol::fuzz;
use std::fs;
use std::path::Path;

/// A small generator of its own, so that every run does the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }
}

fn mutate(dice: &mut Dice, seed: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(data.len());
        match dice.roll(5) {
            0 => data.truncate(at),
            1 if !data.is_empty() => data[at] = dice.roll(256) as u8,
            2 if !data.is_empty() => data[at] ^= 1 << dice.roll(8),
            3 => data.insert(at, *b"0fF\0/.".get(dice.roll(6)).unwrap_or(&0)),
            _ => {
                let end = at + dice.roll(data.len() - at + 1);
                data.extend_from_within(at..end);
            }
        }
    }
    data
}

fn replay(name: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz-corpus")
        .join(name);
    let mut seeds = 0;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for entry in fs::read_dir(&folder).unwrap() {
        let seed = fs::read(entry.unwrap().path()).unwrap();
        body(&seed);
        for _ in 0..2_000 {
            body(&mutate(&mut dice, &seed));
        }
        seeds += 1;
    }
    assert!(seeds > 0, "no corpus in {}", folder.display());
}

#[test]
fn requests() {
    replay("request", fuzz::request);
}

#[test]
fn replies() {
    replay("reply", fuzz::reply);
}

#[test]
fn include_dialogue() {
    replay("include_dialogue", fuzz::include_dialogue);
}

#[test]
fn entries() {
    replay("entries", fuzz::entries);
}

#[test]
fn lzo() {
    replay("lzo", fuzz::lzo);
}

#[test]
fn bundles() {
    replay("bundle", fuzz::bundle);
}
