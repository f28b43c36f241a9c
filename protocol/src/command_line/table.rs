//! The option table and how a word finds its row. The data is in the sub-modules, one per theme,
//! one row per option; no state.

use super::option::{OptionRow, Takes};
use std::borrow::Cow;

mod code;
mod dependency;
mod forward;
mod generic;
mod link;
mod preprocess;
mod search;
mod side_outputs;

/// The themes. Each is sorted by spelling; no spelling is in two of them.
const THEMES: [&[OptionRow]; 8] = [
    code::ROWS,
    dependency::ROWS,
    forward::ROWS,
    generic::ROWS,
    link::ROWS,
    preprocess::ROWS,
    search::ROWS,
    side_outputs::ROWS,
];

/// For each theme and each byte after the dash: the rows that start so, as first and one past last.
/// Made at compile time; it spares most themes a search for most words.
static BY_SECOND_BYTE: [[(u16, u16); 256]; 8] = by_second_byte();

const fn by_second_byte() -> [[(u16, u16); 256]; 8] {
    let mut all = [[(0, 0); 256]; 8];
    let mut theme = 0;
    while theme < THEMES.len() {
        let mut at = 0;
        while at < THEMES[theme].len() {
            let range = &mut all[theme][THEMES[theme][at].spelling.as_bytes()[1] as usize];
            if range.1 == 0 {
                range.0 = at as u16;
            }
            range.1 = at as u16 + 1;
            at += 1;
        }
        theme += 1;
    }
    all
}

/// Every row of the table, theme by theme.
pub fn all_rows() -> impl Iterator<Item = &'static OptionRow> {
    THEMES.into_iter().flatten()
}

/// The row that a driver's argument belongs to: the longest spelling that fits, as gcc and clang
/// choose it. `None` for an option that the table does not know, and for words that are not
/// options (no leading `-`, or `-` alone).
pub fn lookup(word: &[u8]) -> Option<&'static OptionRow> {
    find(word, false)
}

/// The same for a word that `-Wp,`, `-Xpreprocessor` or `-Xclang` carries.
pub(super) fn lookup_forwarded(word: &[u8]) -> Option<&'static OptionRow> {
    find(word, true)
}

fn find(word: &[u8], forwarded: bool) -> Option<&'static OptionRow> {
    if word.len() < 2 || word[0] != b'-' {
        return None;
    }
    let direct = longest(word, forwarded);
    let Some(long) = word.strip_prefix(b"--") else {
        return direct;
    };
    if direct.is_some_and(|row| row.spelling.len() > 2) {
        return direct;
    }
    longest(&canonical_long(long)?, forwarded)
}

fn longest(word: &[u8], forwarded: bool) -> Option<&'static OptionRow> {
    let second = usize::from(*word.get(1)?);
    THEMES
        .iter()
        .zip(&BY_SECOND_BYTE)
        .filter_map(|(rows, ranges)| {
            let (start, end) = ranges[second];
            longest_in(
                rows.get(usize::from(start)..usize::from(end))?,
                word,
                forwarded,
            )
        })
        .max_by_key(|row| row.spelling.len())
}

/// The longest fitting row of one sorted theme. Every spelling that is a prefix of `word` sorts at
/// or before it, so the search walks down from the word's place, cutting the word to what it has
/// in common with each row that does not fit.
fn longest_in(
    rows: &'static [OptionRow],
    word: &[u8],
    forwarded: bool,
) -> Option<&'static OptionRow> {
    let mut key = word;
    loop {
        let at = rows.partition_point(|row| row.spelling.as_bytes() <= key);
        let row = rows.get(at.checked_sub(1)?)?;
        let spelling = row.spelling.as_bytes();
        let common = spelling.iter().zip(key).take_while(|(a, b)| a == b).count();
        if common == spelling.len() {
            if fits(row, word) && (forwarded || !row.forwarded_only) {
                return Some(row);
            }
            key = &key[..common.checked_sub(1)?];
        } else {
            key = &key[..common];
        }
    }
}

/// Whether a word that starts with the row's spelling can be that option.
fn fits(row: &OptionRow, word: &[u8]) -> bool {
    let glued = &word[row.spelling.len()..];
    match row.takes {
        Takes::Nothing | Takes::Separate | Takes::Words(_) => glued.is_empty(),
        Takes::Joined | Takes::JoinedOrSeparate | Takes::JoinedAndSeparate => true,
        Takes::Long => glued.is_empty() || glued[0] == b'=',
    }
}

/// gcc's rules for long options without a row of their own: `--warn-x` is `-Wx`, `--machine-x` is
/// `-mx`, `--optimize=x` is `-Ox`, `--debug=x` is `-gx`, `--no-x` is `-fno-x`, and `--x` is `-fx`.
fn canonical_long(long: &[u8]) -> Option<Cow<'static, [u8]>> {
    let rules: [(&[u8], &[u8]); 7] = [
        (b"warn-", b"-W"),
        (b"machine-", b"-m"),
        (b"machine=", b"-m"),
        (b"optimize=", b"-O"),
        (b"debug=", b"-g"),
        (b"std=", b"-std="),
        (b"", b"-f"),
    ];
    let (rest, short) = rules
        .iter()
        .find_map(|(prefix, short)| Some((long.strip_prefix(*prefix)?, *short)))?;
    (!rest.is_empty()).then(|| Cow::Owned([short, rest].concat()))
}
