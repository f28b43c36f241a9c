//! Where the crates' corpora are. Also part of `tests/fuzz_corpus.rs`. Owns no state.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of a crate's corpora.
pub(crate) fn corpora(of_crate: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(of_crate).join("fuzz-corpus")
}

/// The messages of a corpus, always in the same order.
pub(crate) fn seeds(of_crate: &str, name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(corpora(of_crate).join(name))
        .unwrap()
        .map(|seed| seed.unwrap().path())
        .collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "no corpus of {name}");
    seeds
}
