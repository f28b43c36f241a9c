//! Replays the committed corpus through the fuzz body, then random lines of likely words.

use proptest::prelude::*;
use protocol::command_line::{all_rows, fuzz_command_line};
use std::path::Path;

#[test]
fn corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz-corpus/command_line");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("the corpus is readable").path();
        let data = std::fs::read(&path).expect("the corpus is readable");
        // Every prefix too: a value that is cut off is a word of its own.
        for end in 0..=data.len() {
            fuzz_command_line(&data[..end]);
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} files in {}", folder.display());
}

/// Spellings of the table and other words that mean something, glued to short values.
fn likely_word() -> impl Strategy<Value = Vec<u8>> {
    let mut heads: Vec<&'static str> = all_rows().map(|row| row.spelling).collect();
    heads.extend([
        "", "", "-", "--", "@", "a.c", "/b.cc", "x.o", "-c", "-c", "-o", "-MD",
    ]);
    let tails = [
        "", "", "", "x", "=x", "/p", "-MD", "-MT", "f", "a.c", "native", ",-MMD,g", ",", "\n",
    ];
    (
        proptest::sample::select(heads),
        proptest::sample::select(tails.to_vec()),
    )
        .prop_map(|(head, tail)| [head.as_bytes(), tail.as_bytes()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn likely_lines(words in prop::collection::vec(likely_word(), 0..12)) {
        fuzz_command_line(&words.join(&0));
        let compile: Vec<Vec<u8>> = [b"gcc".to_vec(), b"-c".to_vec(), b"src.c".to_vec()]
            .into_iter()
            .chain(words)
            .collect();
        fuzz_command_line(&compile.join(&0));
    }

    #[test]
    fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_command_line(&data);
    }
}
