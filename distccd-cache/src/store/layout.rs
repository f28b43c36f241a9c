//! The names in a store's directory, and which key a name stands for. Owns no state.
//!
//! All names are relative to the directory. A shard is named by the first byte of a key, a blob in it by the other 31,
//! in lower-case hexadecimal.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Digest;

/// The file that makes a directory a store; it names the format.
pub(super) const MARK: &str = "pumphouse-store";
/// The mark while it is being written.
pub(super) const NEW_MARK: &str = "pumphouse-store.new";
/// The file that the daemon keeps locked.
pub(super) const LOCK: &str = "lock";
/// Where the shards are.
pub(super) const BLOBS: &str = "blobs";
/// Blobs being written, and damaged things being removed.
pub(super) const INCOMING: &str = "incoming";
/// The totals at the last clean end.
pub(super) const STATE: &str = "state";
/// The totals while they are being written.
pub(super) const NEW_STATE: &str = "state.new";

/// Shards in a store.
pub(super) const SHARDS: usize = 256;

/// Disks hand out room in blocks; nearly all file systems in blocks of this many bytes.
const BLOCK: u64 = 4096;

/// The room that a blob of `size` bytes takes on disk, in bytes. An empty blob still takes its inode.
pub(super) fn room(size: u64) -> u64 {
    size.max(1).div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// The shard of a key.
pub(super) fn shard_of(key: &Digest) -> usize {
    usize::from(key[0])
}

const HEX: &[u8; 16] = b"0123456789abcdef";
const BLOB_NAME: usize = 2 * (size_of::<Digest>() - 1);

/// `blobs/ab`.
pub(super) fn shard_name(shard: usize) -> String {
    format!("{BLOBS}/{shard:02x}")
}

/// A blob's name below the directory, `blobs/ab/<62 hex>`, made without allocation: every look-up makes one.
#[derive(Clone, Copy)]
pub(super) struct BlobPath([u8; BLOBS.len() + 4 + BLOB_NAME]);

impl BlobPath {
    pub(super) fn new(key: &Digest) -> Self {
        let mut path = [b'/'; BLOBS.len() + 4 + BLOB_NAME];
        let (top, rest) = path.split_at_mut(BLOBS.len());
        top.copy_from_slice(BLOBS.as_bytes());
        let (head, tail) = key.split_at(1);
        write_hex(head, &mut rest[1..3]);
        write_hex(tail, &mut rest[4..]);
        Self(path)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

fn write_hex(bytes: &[u8], text: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
}

/// A key in hexadecimal, for people.
pub(super) fn hex(key: &Digest) -> String {
    let mut text = [0; 2 * size_of::<Digest>()];
    write_hex(key, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The key of a blob called `name` in `shard`; `None` for a name that no blob has.
pub(super) fn key_of(shard: usize, name: &[u8]) -> Option<Digest> {
    if name.len() != BLOB_NAME {
        return None;
    }
    let mut key = Digest::default();
    key[0] = u8::try_from(shard).ok()?;
    for (byte, pair) in key[1..].iter_mut().zip(name.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(key)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_found_again_by_its_name() {
        let mut key = Digest::default();
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = u8::try_from(index * 8 + 7).expect("below 256");
        }
        let path = BlobPath::new(&key);
        let text = std::str::from_utf8(path.bytes()).expect("ASCII");
        let name = text.strip_prefix("blobs/07/").expect("in its shard");
        assert_eq!(
            name,
            "0f171f272f373f474f575f676f777f878f979fa7afb7bfc7cfd7dfe7eff7ff"
        );
        assert_eq!(hex(&key), format!("07{name}"));
        assert_eq!(key_of(7, name.as_bytes()), Some(key));
    }

    #[test]
    fn other_names_are_no_blobs() {
        let good = "0".repeat(BLOB_NAME);
        assert_eq!(key_of(0, good.as_bytes()), Some(Digest::default()));
        for bad in [
            String::new(),
            "0".repeat(BLOB_NAME - 1),
            "0".repeat(BLOB_NAME + 2),
            good.replace("00", "0A"),
            good.replace("00", "0g"),
        ] {
            assert_eq!(key_of(0, bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn room_is_whole_blocks() {
        assert_eq!(room(0), 4096);
        assert_eq!(room(1), 4096);
        assert_eq!(room(4096), 4096);
        assert_eq!(room(4097), 8192);
        assert_eq!(room(u64::MAX), u64::MAX);
    }
}
