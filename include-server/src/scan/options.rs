//! `#pragma GCC push_options` and its like: which built-in macros are in doubt.

use crate::macros::Doubt;
use crate::program::Pragma;

/// The doubt in force and those pushed.
#[derive(Default)]
pub(super) struct OptionStack {
    current: Doubt,
    pushed: Vec<Doubt>,
}

impl OptionStack {
    /// Applies a pragma; returns the doubt now in force.
    pub(super) fn apply(&mut self, pragma: Pragma) -> Doubt {
        match pragma {
            Pragma::Target => self.current.target = true,
            Pragma::Optimize => self.current.optimize = true,
            Pragma::PushOptions => self.pushed.push(self.current),
            // Without a push the compiler only warns.
            Pragma::PopOptions => self.current = self.pushed.pop().unwrap_or(self.current),
            Pragma::ResetOptions => self.current = Doubt::default(),
            _ => {}
        }
        self.current
    }

    /// Something may have changed options of these kinds, for good: nobody knows what it pushes and pops.
    pub(super) fn doubt_for_good(&mut self, target: bool, optimize: bool) -> Doubt {
        for doubt in self.pushed.iter_mut().chain([&mut self.current]) {
            doubt.target |= target;
            doubt.optimize |= optimize;
        }
        self.current
    }
}
