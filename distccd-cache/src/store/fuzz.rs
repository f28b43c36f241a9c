//! Bodies of the fuzz targets about what stands in a store's files, whatever happened to them. Owns no state.

use super::layout::{BlobPath, SHARDS, key_of};
use super::{record, state};

/// A record: what was sealed is found again, under its own name only; a file that was cut or changed anywhere is none.
pub(crate) fn stored_record(data: &[u8]) {
    let name: [u8; 32] = std::array::from_fn(|at| data.get(at).copied().unwrap_or(at as u8));
    let file = record::seal(&name, data);
    assert_eq!(
        record::body(&name, &file).map(|range| &file[range]),
        Some(data)
    );
    let sum: usize = data.iter().map(|&byte| usize::from(byte)).sum();
    let at = sum % file.len();
    assert_eq!(record::body(&name, &file[..at]), None, "cut at {at}");
    let mut other = file.clone();
    other[at] ^= 1 << (sum % 8);
    assert_eq!(record::body(&name, &other), None, "changed at {at}");
    let mut other = name;
    other[sum % 32] ^= 1;
    assert_eq!(record::body(&other, &file), None);
    // Only what was sealed is a record.
    if let Some(body) = record::body(&name, data) {
        assert_eq!(record::seal(&name, &data[body]), data);
    }
}

/// The totals at a clean end, as they are and with the digest that their writer would have given them: what is read is written again and read as the same, and is
/// never so much that a sum of it overflows.
pub(crate) fn store_state(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let sealed = state::sealed(&text);
    for text in [text.as_ref(), &sealed] {
        let Some(read) = state::parse(text) else {
            continue;
        };
        let sum = |of: fn(&super::shelf::Shard) -> u64| {
            let known = read.iter().flatten();
            known
                .map(|known| of(&known.shard))
                .try_fold(0, u64::checked_add)
        };
        assert!(sum(|shard| shard.blobs).is_some() && sum(|shard| shard.bytes).is_some());
        let again = state::write(&read);
        assert!(again.len() as u64 <= state::LARGEST);
        let again = state::parse(&again).map(|again| format!("{again:?}"));
        assert_eq!(again, Some(format!("{read:?}")));
    }
}

/// A name in a shard's directory: it stands for a key only if that key's blob has this name.
pub(crate) fn blob_name(data: &[u8]) {
    for name in data.split(|&byte| byte == b'\n') {
        let shard = name.len() * 7 % (SHARDS + 2);
        if let Some(key) = key_of(shard, name) {
            let path = BlobPath::new(&key);
            let expected = [format!("blobs/{shard:02x}/").as_bytes(), name].concat();
            assert_eq!(path.bytes(), expected);
        }
    }
}
