//! Blobs to put, and a store to put them in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use distccd_cache::store::{Digest, Statistics, Store};

/// No test reaches it.
pub const LARGE: u64 = 1 << 30;

/// A directory that is removed, and a name in it for a store.
pub fn place() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let dir = temp.path().join("store");
    (temp, dir)
}

pub fn open(dir: &Path, limit: u64) -> Store {
    Store::open(dir, limit).expect("the store opens")
}

pub fn digest(bytes: &[u8]) -> Digest {
    blake3::hash(bytes).into()
}

/// Different bytes for each number.
pub fn blob(number: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// Puts a blob and gives its digest.
pub fn put(store: &Store, bytes: &[u8]) -> Digest {
    let digest = digest(bytes);
    store.put(digest, bytes).expect("the store takes it");
    digest
}

pub fn get(store: &Store, digest: &Digest) -> Option<Vec<u8>> {
    store.get(digest).expect("the store can be read")
}

/// Where a blob is.
pub fn file_of(dir: &Path, digest: &Digest) -> PathBuf {
    let hex = blake3::Hash::from(*digest).to_hex();
    let (shard, name) = hex.split_at(2);
    dir.join("blobs").join(shard).join(name)
}

/// All files below the store's `blobs`.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(dir) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    };
    let shards = list(&dir.join("blobs"));
    shards.iter().flat_map(|shard| list(shard)).collect()
}

/// Number of files, and their room in blocks.
pub fn walk(dir: &Path) -> (u64, u64) {
    let files = files(dir);
    let room = files.iter().map(|file| {
        let size = fs::symlink_metadata(file).expect("it is there").len();
        size.max(1).div_ceil(4096) * 4096
    });
    (files.len() as u64, room.sum())
}

/// The digest that a blob's file is named by.
pub fn digest_of(file: &Path) -> Digest {
    let parts: Vec<_> = file
        .iter()
        .rev()
        .take(2)
        .map(|part| part.to_str().expect("hex"))
        .collect();
    let hex = format!("{}{}", parts[1], parts[0]);
    blake3::Hash::from_hex(hex).expect("a digest").into()
}

/// Waits until old blobs are counted.
pub fn counted(store: &Store) -> Statistics {
    for _ in 0..60_000 {
        let statistics = store.statistics();
        if !statistics.counting {
            return statistics;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the store counts for ever");
}

/// Waits until a store that was opened beyond its limit is within it.
pub fn shrunk(store: &Store, limit: u64) {
    for _ in 0..60_000 {
        if counted(store).bytes <= limit {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the store stays beyond its limit");
}

/// Checks that the totals are those of the directory.
pub fn assert_totals(store: &Store, dir: &Path) {
    let statistics = counted(store);
    assert_eq!((statistics.blobs, statistics.bytes), walk(dir));
}

/// Makes a blob last used so many hours ago.
pub fn used_before(dir: &Path, digest: &Digest, hours: u64) {
    let then = SystemTime::now() - Duration::from_secs(hours * 3600);
    let file = fs::File::open(file_of(dir, digest)).expect("it is there");
    file.set_modified(then).expect("it is ours");
}

/// Whole hours since a blob's last use.
pub fn hours_since_use(dir: &Path, digest: &Digest) -> u64 {
    let about = fs::metadata(file_of(dir, digest)).expect("it is there");
    let since = about.modified().expect("a time").elapsed();
    since.expect("in the past").as_secs() / 3600
}
