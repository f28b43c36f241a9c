//! A set of table indices that is compared with a job's in a few instructions for 64 of them. Owns the bits.

use protocol::bundle::indices::Indices;

/// A growing set of bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    pub(super) fn insert(&mut self, index: u32) {
        let word = index as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (index % 64);
    }

    pub(super) fn remove(&mut self, index: u32) {
        if let Some(word) = self.words.get_mut(index as usize / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    /// Calls `each` with the words that a set touches: the word's number, the set's bits in it, and ours.
    fn compare(&self, set: &Indices, mut each: impl FnMut(u32, u64, u64)) {
        for run in set.runs() {
            let mut at = run.start;
            while at < run.end {
                let word = at / 64;
                let end = run.end.min((word + 1) * 64);
                let low = u64::MAX << (at % 64);
                let high = u64::MAX >> (63 - (end - 1) % 64);
                let ours = self.words.get(word as usize).copied().unwrap_or(0);
                each(word, low & high, ours);
                at = end;
            }
        }
    }

    /// The indices of `set` that are not here.
    pub(super) fn missing(&self, set: &Indices) -> Vec<u32> {
        let mut missing = Vec::new();
        self.compare(set, |word, theirs, ours| {
            push_bits(&mut missing, word, theirs & !ours)
        });
        missing
    }

    /// The indices of `set` that are here.
    pub(super) fn common(&self, set: &Indices) -> Vec<u32> {
        let mut common = Vec::new();
        self.compare(set, |word, theirs, ours| {
            push_bits(&mut common, word, theirs & ours)
        });
        common
    }
}

fn push_bits(out: &mut Vec<u32>, word: u32, mut bits: u64) {
    while bits != 0 {
        out.push(word * 64 + bits.trailing_zeros());
        bits &= bits - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_compared_as_lists_would_be() {
        let ours: Vec<u32> = (0..300).filter(|n| n % 7 < 3).collect();
        let mut bits = Bits::default();
        ours.iter().for_each(|&n| bits.insert(n));
        bits.remove(7);
        for (from, to) in [
            (0, 1),
            (0, 64),
            (63, 65),
            (1, 300),
            (128, 192),
            (250, 500),
            (640, 641),
        ] {
            let set: Indices = (from..to).filter(|n| n % 5 != 0).collect();
            let here = |n: &u32| ours.contains(n) && *n != 7;
            let missing: Vec<u32> = set.iter().filter(|n| !here(n)).collect();
            let common: Vec<u32> = set.iter().filter(here).collect();
            assert_eq!(
                (bits.missing(&set), bits.common(&set)),
                (missing, common),
                "{from}..{to}"
            );
        }
    }
}
