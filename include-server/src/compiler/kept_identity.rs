//! Compilers' identities on disk, beside their answers (see [`super::kept`]): to find one out takes nine processes and a
//! digest over all that a compiler is made of, some 100 ms at the start of each session.
//!
//! One file for each subject: the identity with the evidence that it rests on, and a digest of the whole, which shows damage.

use std::os::unix::ffi::OsStrExt;

use protocol::bundle::number::{Body, put_bytes};
use protocol::error::WireError;
use toolchain::Evidence;

use super::identity::Subject;
use super::kept::{Kept, is_binary, seal, unseal};

/// The form of the files. Raise the number with any change of it, of what an identity is made of, or of its evidence.
pub(super) const MAGIC: &[u8] = b"Pumphouse compiler identity 1\n";

/// Bytes of each part of a file.
const LONGEST: u32 = 4 << 20;

impl Kept {
    /// The identity of a compiler, in the form for servers, if all that it rests on is as it was.
    pub(super) fn identity(&self, subject: &Subject) -> Option<(Vec<u8>, Evidence)> {
        let key = self.subject_key(subject);
        let bytes = self.get(&key)?;
        let (identity, evidence) = decode(&bytes, &key).ok()?;
        evidence.holds().then_some((identity, evidence))
    }

    /// Keeps an identity, if it can be believed later: of a program that is no script.
    pub(super) fn put_identity(&self, subject: &Subject, identity: &[u8], evidence: &Evidence) {
        if is_binary(&subject.program)
            && let Some(evidence) = evidence.encode()
        {
            let key = self.subject_key(subject);
            self.put(&key, &encode(&key, identity, &evidence));
        }
    }

    /// All that decides an identity besides files.
    fn subject_key(&self, subject: &Subject) -> Vec<u8> {
        let mut key = MAGIC.to_vec();
        put_bytes(&mut key, env!("CARGO_PKG_VERSION").as_bytes());
        put_bytes(&mut key, self.machine());
        put_bytes(&mut key, subject.program.as_os_str().as_bytes());
        put_bytes(&mut key, format!("{:?}", subject.language).as_bytes());
        key.push(u8::from(subject.external_assembler));
        for (name, value) in &subject.environment {
            put_bytes(&mut key, name);
            put_bytes(&mut key, value);
        }
        key
    }
}

pub(super) fn encode(key: &[u8], identity: &[u8], evidence: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in [key, identity, evidence] {
        put_bytes(&mut body, part);
    }
    seal(MAGIC, &body)
}

/// Reads what [`encode`] wrote for this key.
pub(super) fn decode(bytes: &[u8], key: &[u8]) -> Result<(Vec<u8>, Evidence), WireError> {
    let mut body = Body::new(unseal(MAGIC, bytes).ok_or(WireError::ShortBody)?);
    if body.bytes(LONGEST)? != key {
        return Err(WireError::ShortBody);
    }
    let identity = body.bytes(LONGEST)?.to_vec();
    let evidence = Evidence::decode(body.bytes(LONGEST)?)?;
    body.end()?;
    Ok((identity, evidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::command_line::Language;
    use std::path::{Path, PathBuf};

    /// A C compiler with this directory first in its path.
    fn subject(program: PathBuf, first: &Path) -> Subject {
        let path = format!("{}:/usr/bin:/bin", first.display());
        Subject {
            program,
            language: Language::C,
            external_assembler: false,
            environment: vec![(b"PATH".to_vec(), path.into_bytes())],
        }
    }

    fn ask(subject: &Subject) -> (Vec<u8>, Evidence) {
        super::super::identity::find_out(subject).unwrap()
    }

    #[test]
    fn an_identity_is_found_again_while_its_evidence_holds() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::open(&directory.path().join("kept")).unwrap();
        let gcc = subject("/usr/bin/gcc".into(), directory.path());
        assert_eq!(kept.identity(&gcc), None);
        let (identity, evidence) = ask(&gcc);
        kept.put_identity(&gcc, &identity, &evidence);
        let found = Kept::open(&directory.path().join("kept"))
            .unwrap()
            .identity(&gcc);
        assert_eq!(found, Some((identity.clone(), evidence.clone())));
        let others = [
            subject("/usr/bin/cc".into(), directory.path()),
            Subject {
                language: Language::Cxx,
                ..gcc.clone()
            },
            Subject {
                external_assembler: true,
                ..gcc.clone()
            },
            Subject {
                environment: Vec::new(),
                ..gcc.clone()
            },
        ];
        for other in others {
            assert_eq!(kept.identity(&other), None, "{other:?}");
        }
        // An assembler that comes earlier on the path makes another compiler of it.
        let assembler = directory.path().join("as");
        std::fs::write(&assembler, "").unwrap();
        assert_eq!(kept.identity(&gcc), None);
        std::fs::remove_file(&assembler).unwrap();
        assert_eq!(kept.identity(&gcc), Some((identity, evidence)));
    }

    #[test]
    fn damage_is_seen_wherever_it_is_and_scripts_are_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::open(&directory.path().join("kept")).unwrap();
        let gcc = subject("/usr/bin/gcc".into(), directory.path());
        let (identity, evidence) = ask(&gcc);
        let key = kept.subject_key(&gcc);
        let whole = encode(&key, &identity, &evidence.encode().unwrap());
        assert!(decode(&whole, &key).is_ok());
        assert!(decode(&whole, b"another").is_err());
        for at in 0..whole.len() {
            assert!(decode(&whole[..at], &key).is_err(), "cut off at {at}");
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged, &key).is_err(), "changed at {at}");
        }
        let script = directory.path().join("cc");
        std::fs::write(&script, "#!/bin/sh\nexec gcc \"$@\"\n").unwrap();
        let script = subject(script, directory.path());
        kept.put_identity(&script, &identity, &evidence);
        assert_eq!(kept.identity(&script), None);
        assert!(is_binary(Path::new("/usr/bin/gcc")));
    }
}
