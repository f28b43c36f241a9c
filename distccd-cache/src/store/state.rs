//! The totals at a clean end, as a file, so that opening a store lists nothing. Owns no state.
//!
//! Lines of text: a head, `<shard> <blobs> <bytes> <oldest use> <directory's modification time>` (the shard in
//! hexadecimal, times in nanoseconds since 1970) for each shard that was counted, and `end` with a digest of all before. The modification time
//! vouches for a line: a shard whose directory has changed since is counted anew. A file that is not exactly like this,
//! for example after a power cut, vouches for nothing.

use std::fmt::Write;

use super::layout::SHARDS;
use super::shelf::Shard;

const HEAD: &str = "pumphouse-store state 2";
const END: &str = "end ";

/// More than the longest state, in bytes.
pub(super) const LARGEST: u64 = 64 << 10;

/// No store comes near; a sum of shards stays below 2^64.
const MOST: u64 = 1 << 55;

/// A shard's totals and what vouches for them.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShardState {
    pub(super) shard: Shard,
    /// When its directory last changed.
    pub(super) changed: i64,
}

/// All shards' totals; `None` for a shard that has to be counted, or does not exist.
pub(super) type State = [Option<ShardState>; SHARDS];

/// Nothing is known.
pub(super) const UNKNOWN: State = [None; SHARDS];

/// A state as text.
pub(super) fn write(state: &State) -> String {
    let mut lines = String::new();
    for (index, known) in state.iter().enumerate() {
        if let Some(ShardState { shard, changed }) = known {
            let (blobs, bytes, oldest) = (shard.blobs, shard.bytes, shard.oldest);
            // Writing to a string does not fail.
            let _ = writeln!(lines, "{index:02x} {blobs} {bytes} {oldest} {changed}");
        }
    }
    sealed(&lines)
}

/// Lines with what a state begins and ends with.
pub(super) fn sealed(lines: &str) -> String {
    let text = format!("{HEAD}\n{lines}");
    let end = end_of(&text);
    text + &end
}

/// The last line of a file whose other lines are these.
fn end_of(lines: &str) -> String {
    let digest = blake3::hash(lines.as_bytes()).to_hex();
    format!("{END}{digest}\n")
}

/// The state that a text holds; `None` when it is damaged.
pub(super) fn parse(text: &str) -> Option<State> {
    let (lines, _) = text.split_at(text.rfind(END)?);
    if text[lines.len()..] != end_of(lines) {
        return None;
    }
    let inner = lines.strip_prefix(HEAD)?.strip_prefix('\n')?;
    let mut state = UNKNOWN;
    for line in inner.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [index, blobs, bytes, oldest, changed] = fields.try_into().ok()?;
        let known = state.get_mut(usize::from_str_radix(index, 16).ok()?)?;
        *known = Some(ShardState {
            shard: Shard {
                blobs: blobs.parse().ok().filter(|blobs| *blobs < MOST)?,
                bytes: bytes.parse().ok().filter(|bytes| *bytes < MOST)?,
                oldest: oldest.parse().ok()?,
                ..Shard::EMPTY
            },
            changed: changed.parse().ok()?,
        });
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> State {
        let mut state = UNKNOWN;
        for (index, known) in state
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| index % 3 > 0)
        {
            let number = index as u64;
            *known = Some(ShardState {
                shard: Shard {
                    blobs: number,
                    bytes: number * 4096,
                    oldest: i64::MAX - i64::from(index as u32),
                    ..Shard::EMPTY
                },
                changed: -5,
            });
        }
        state
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let text = write(&sample());
        assert!(text.len() as u64 <= LARGEST);
        let read = parse(&text).expect("it is whole");
        assert_eq!(format!("{read:?}"), format!("{:?}", sample()));
        assert!(
            parse(&write(&UNKNOWN))
                .expect("it is whole")
                .iter()
                .all(Option::is_none)
        );
    }

    #[test]
    fn a_longest_state_is_below_the_limit() {
        let most = ShardState {
            shard: Shard {
                blobs: MOST,
                bytes: MOST,
                oldest: i64::MIN,
                ..Shard::EMPTY
            },
            changed: i64::MIN,
        };
        assert!(write(&[Some(most); SHARDS]).len() as u64 <= LARGEST);
    }

    #[test]
    fn a_damaged_state_vouches_for_nothing() {
        let text = write(&sample());
        for end in 0..text.len() {
            assert!(parse(&text[..end]).is_none(), "cut after {end} bytes");
        }
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            let other = String::from_utf8(other).expect("it is ASCII");
            assert!(parse(&other).is_none(), "changed at {at}");
        }
        // What is not damaged and yet makes no sense.
        let lines = &text[..text.find(END).expect("it has an end")];
        for (from, to) in [
            ("state 2", "state 3"),
            ("\n01 ", "\n100 "),
            ("\n01 1 ", "\n01 -1 "),
            ("\n01 1 ", "\n01 "),
            ("\n01 1 ", "\n01 1 1 "),
            ("\n01 1 ", "\n01 99999999999999999 "),
        ] {
            assert!(lines.contains(from), "{from}");
            let other = lines.replace(from, to);
            let other = format!("{other}{}", end_of(&other));
            assert!(parse(&other).is_none(), "{from} → {to}");
        }
    }
}
