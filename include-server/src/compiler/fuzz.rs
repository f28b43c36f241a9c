//! Bodies of the fuzz targets about what compilers printed and what was kept of it on disk. Owns no state.

use std::path::Path;

use super::{batch, kept, kept_identity, probe};

/// The key of what is kept.
const KEY: &[u8] = b"key";

/// The number of a length, as it stands in a kept answer.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

/// A kept answer, also with the digest that its writer would have given it: what is read is written again and read as the same; cut anywhere it is none, and for
/// another compiler it is none.
pub(crate) fn kept_answer(data: &[u8]) {
    let sealed = kept::seal(kept::MAGIC, &[counted(KEY), data.to_vec()].concat());
    for file in [data, sealed.as_slice()] {
        let Some(entry) = kept::decode(file, KEY) else {
            continue;
        };
        let again = kept::encode(&entry, KEY);
        assert!(again.len() <= file.len());
        assert_eq!(kept::decode(&again, KEY), Some(entry));
        assert_eq!(kept::decode(&again, b"other"), None);
        let cut = data.len() * 31 % again.len();
        assert_eq!(kept::decode(&again[..cut], KEY), None);
    }
}

/// A kept identity, likewise.
pub(crate) fn kept_identity(data: &[u8]) {
    let mut body = Vec::new();
    protocol::bundle::number::put_bytes(&mut body, KEY);
    body.extend_from_slice(data);
    let sealed = kept::seal(kept_identity::MAGIC, &body);
    for file in [data, sealed.as_slice()] {
        let Ok((identity, evidence)) = kept_identity::decode(file, KEY) else {
            continue;
        };
        let of_evidence = evidence.encode().expect("what was kept can be kept");
        let again = kept_identity::encode(KEY, &identity, &of_evidence);
        let read = kept_identity::decode(&again, KEY);
        assert_eq!(read.as_ref(), Ok(&(identity, evidence)));
        assert!(kept_identity::decode(&again, b"other").is_err());
        let cut = data.len() * 31 % again.len();
        assert!(kept_identity::decode(&again[..cut], KEY).is_err());
    }
}

/// What a compiler printed when it was asked what it is, and the answers to questions about its features.
pub(crate) fn compiler_output(data: &[u8]) {
    probe::check(data, Path::new("/bait"));
    let words = String::from_utf8_lossy(data);
    const ASKED: usize = 5;
    for answers in [
        batch::read_values(ASKED, &words),
        batch::read_bits(ASKED, &words),
    ] {
        assert_eq!(answers.len(), ASKED);
        let lines = [1, 10, 20, 30, 40, 50];
        for success in [true, false] {
            let output = super::run::Output {
                success,
                stdout: Vec::new(),
                stderr: data.to_vec(),
            };
            let left = batch::without_blamed(answers.clone(), &lines, &output);
            assert_eq!(left.len(), ASKED);
            for (left, answer) in left.iter().zip(&answers) {
                assert!(left.is_none() || left == answer);
            }
            // Whoever fails is to blame for something.
            assert!(success || left.contains(&None));
        }
    }
}
