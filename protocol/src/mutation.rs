//! Messages changed at random, for the programs that run fuzz bodies. Owns nothing but a generator's state.

/// A fuzz body by its corpus's name.
pub type Body = (&'static str, fn(&[u8]));

/// No message grows beyond this.
pub const LONGEST: usize = 1 << 16;

/// A small generator of its own, so that a seed always gives the same.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// The generator of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`; 0 where there is none.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }
}

/// One of some messages with a few of its bytes changed, or with a part of another one. The bytes that are put in are those that mean something to our
/// parsers.
#[must_use]
pub fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let pick = dice.roll(seeds.len());
    let Some(mut data) = seeds.get(pick).cloned() else {
        return Vec::new();
    };
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(data.len());
        match dice.roll(9) {
            0 => data.truncate(at),
            1 if !data.is_empty() => data[at] = dice.roll(256) as u8,
            2 if !data.is_empty() => data[at] ^= 1 << dice.roll(8),
            3 => data.insert(at, b"0fF\0/.-@"[dice.roll(8)]),
            4 => data.insert(at, b"\\\n\"'<># *(),:\t$+"[dice.roll(16)]),
            5 if !data.is_empty() => _ = data.remove(at),
            6 if data.len() >= at + 8 => data[at..at + 8].copy_from_slice(b"7fffffff"),
            7 => {
                let other = &seeds[dice.roll(seeds.len())];
                let from = dice.roll(other.len());
                let to = from + dice.roll(other.len() - from + 1);
                // A part of another one in the middle, or all that follows from there on.
                let rest = data.split_off(at);
                data.extend_from_slice(&other[from..to]);
                if dice.roll(2) == 0 {
                    data.extend_from_slice(&rest);
                }
            }
            _ => {
                let end = at + dice.roll(data.len() - at + 1);
                data.extend_from_within(at..end);
            }
        }
        data.truncate(LONGEST);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_and_nothing_is_too_long() {
        let seeds = vec![b"one message".to_vec(), vec![b'x'; LONGEST]];
        let all = |seed: u64| -> Vec<Vec<u8>> {
            let mut dice = Dice::new(seed);
            (0..500).map(|_| mutated(&mut dice, &seeds)).collect()
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
        assert!(all(7).iter().all(|message| message.len() <= LONGEST));
        assert!(mutated(&mut Dice::new(1), &[]).is_empty());
        assert!(mutated(&mut Dice::new(1), &[Vec::new()]).len() <= LONGEST);
    }
}
