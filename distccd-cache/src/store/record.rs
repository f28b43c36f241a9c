//! Records: contents that are named by what they came of, not by their own digest. They lie among the blobs and have room, use and eviction in common
//! with them. Owns the form of their files.
//!
//! ```text
//! magic (16)  name (32)  body  BLAKE3 digest of all before (32)
//! ```
//! A record vouches for itself: it holds its own name, so a file that got under another one is none, and one that lost or changed a byte is none. No client
//! can plant one, since what clients send is only ever stored under the digest of the whole file.

use super::Digest;

const MAGIC: &[u8; 16] = b"pumphouse rec 1\n";
const DIGEST: usize = size_of::<Digest>();
const HEAD: usize = MAGIC.len() + DIGEST;

/// The file of a record.
pub(super) fn seal(name: &Digest, body: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEAD + body.len() + DIGEST);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(name);
    file.extend_from_slice(body);
    let digest = blake3::hash(&file);
    file.extend_from_slice(digest.as_bytes());
    file
}

/// Where the body of a record is in its file; `None` when it is not this record, or not whole.
pub(super) fn body(name: &Digest, file: &[u8]) -> Option<std::ops::Range<usize>> {
    let end = file.len().checked_sub(DIGEST).filter(|end| *end >= HEAD)?;
    let (sealed, digest) = file.split_at(end);
    let is_whole = sealed.starts_with(MAGIC)
        && sealed[MAGIC.len()..HEAD] == *name
        && *blake3::hash(sealed).as_bytes() == digest;
    is_whole.then_some(HEAD..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_whole_or_nothing() {
        let name = [7; 32];
        for content in [&b""[..], b"x", &[0x55; 5000]] {
            let file = seal(&name, content);
            assert_eq!(body(&name, &file).map(|range| &file[range]), Some(content));
            assert_eq!(body(&[8; 32], &file), None);
            for cut in 0..file.len() {
                assert_eq!(body(&name, &file[..cut]), None);
            }
            for at in 0..file.len() {
                let mut other = file.clone();
                other[at] ^= 1;
                assert_eq!(body(&name, &other), None, "{at}");
            }
        }
    }
}
