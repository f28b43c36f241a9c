//! Which entries of a table: a set of indices as runs.
//!
//! ```text
//! indices:  n  (gap  length)*n     gap: indices left out since the last run; length: indices in this run, minus one
//! ```
//! Runs after the first have a gap of at least one, written minus one, so that a set has one form.

use super::number::{Body, put_number};
use crate::error::WireError;
use std::ops::Range;

/// A set of indices as disjoint runs in ascending order, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indices {
    runs: Vec<Range<u32>>,
}

impl Indices {
    /// The runs.
    #[must_use]
    pub fn runs(&self) -> &[Range<u32>] {
        &self.runs
    }

    /// All indices, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().cloned().flatten()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// One more than the largest index.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.runs.last().map_or(0, |run| run.end)
    }

    /// Whether an index is in the set.
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        let after = self.runs.partition_point(|run| run.end <= index);
        self.runs.get(after).is_some_and(|run| run.contains(&index))
    }

    /// Appends the set.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.runs.len() as u64);
        let mut at = 0;
        for (number, run) in self.runs.iter().enumerate() {
            let gap = run.start - at - u32::from(number > 0);
            put_number(out, gap.into());
            put_number(out, u64::from(run.end - run.start - 1));
            at = run.end;
        }
    }

    /// Reads a set of indices below `length`.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn take(body: &mut Body<'_>, length: u32) -> Result<Self, WireError> {
        let count = body.count(length, 2)?;
        let mut runs: Vec<Range<u32>> = Vec::with_capacity(count);
        let mut at = 0u64;
        for number in 0..count {
            let start = at + body.number(length.into())? + u64::from(number > 0);
            let end = start + body.number(length.into())? + 1;
            if end > length.into() {
                return Err(WireError::NumberTooLarge {
                    value: end,
                    limit: length.into(),
                });
            }
            // Both are at most `length`, a u32.
            runs.push(start as u32..end as u32);
            at = end;
        }
        Ok(Self { runs })
    }
}

impl FromIterator<u32> for Indices {
    /// From indices in any order; twice the same counts once.
    fn from_iter<T: IntoIterator<Item = u32>>(indices: T) -> Self {
        let mut sorted: Vec<u32> = indices.into_iter().collect();
        sorted.sort_unstable();
        let mut runs: Vec<Range<u32>> = Vec::new();
        for index in sorted {
            match runs.last_mut() {
                Some(run) if run.end == index => run.end += 1,
                Some(run) if run.end > index => {}
                _ => runs.push(index..index + 1),
            }
        }
        Self { runs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sets_read_back(list in proptest::collection::vec(0u32..500, 0..200)) {
            let set: Indices = list.iter().copied().collect();
            let mut out = Vec::new();
            set.put(&mut out);
            let mut body = Body::new(&out);
            let read = Indices::take(&mut body, 500);
            prop_assert_eq!(read.as_ref(), Ok(&set));
            prop_assert_eq!(body.end(), Ok(()));
            for index in 0..501 {
                prop_assert_eq!(set.contains(index), list.contains(&index));
            }
            if set.end() > 0 {
                prop_assert!(Indices::take(&mut Body::new(&out), set.end() - 1).is_err());
            }
        }

        #[test]
        fn a_set_has_one_form(bytes in proptest::collection::vec(0u8..20, 0..40)) {
            let mut body = Body::new(&bytes);
            if let Ok(set) = Indices::take(&mut body, 100) {
                let mut out = Vec::new();
                set.put(&mut out);
                prop_assert_eq!(out.as_slice(), &bytes[..bytes.len() - body.rest().len()]);
            }
        }
    }
}
