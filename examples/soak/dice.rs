//! Numbers by chance, the same for the same seed. Owns the generator's state.

/// SplitMix64.
pub(crate) struct Dice {
    state: u64,
    client: u64,
}

impl Dice {
    /// The dice of a client.
    pub(crate) fn new(seed: u64, client: u64) -> Self {
        let state = seed.wrapping_add(client << 32);
        Self { state, client }
    }

    /// Whose they are.
    pub(crate) fn client(&self) -> u64 {
        self.client
    }

    /// From 0 to one less than `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.roll(all.len() as u64) as usize]
    }
}
