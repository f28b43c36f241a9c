//! Which compiler a job is meant for, as two machines say it to each other. Owns the identity's bytes; how a machine
//! finds out about its own compilers is the `toolchain` crate's.
//!
//! # Bytes
//! ```text
//! family        1   1 gcc, 2 clang, other values are kept as they are
//! alike        32   digest, see [`Identity`]
//! description  32   digest
//! exact        32   digest
//! length        2   of the banner, big endian, at most 512
//! banner            UTF-8 without control characters
//! ```

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 32;

/// Most bytes of a banner; vendors' version lines have about 100.
pub const BANNER_BYTES: usize = 512;

/// Bytes before the banner.
const HEAD_BYTES: usize = 1 + 3 * DIGEST_BYTES + 2;

/// Whose rules a compiler follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// The GNU compiler collection.
    Gcc,
    /// LLVM's clang.
    Clang,
    /// A family that is not known here, by its number.
    Other(u8),
}

/// How much alike two compilers must be for one to do the other's work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Release, target, defaults and assembler are the same; how the compiler was built may differ. A cross compiler may
    /// stand in for a native one. The objects do the same work but need not have the same bytes.
    Alike,
    /// All that the compiler says of itself is the same, its configuration too.
    #[default]
    Described,
    /// Its programs and their libraries have the same bytes.
    Exact,
}

/// Which compiler this is. Equal digests mean equal compilers, each in its own sense; a later one implies the earlier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Whose rules it follows.
    pub family: Family,
    /// One line for people, such as `gcc 12.2.0 (Debian 12.2.0-14) for x86_64-linux-gnu`.
    pub banner: String,
    /// Of what [`Policy::Alike`] demands.
    pub alike: [u8; DIGEST_BYTES],
    /// Of what [`Policy::Described`] demands.
    pub description: [u8; DIGEST_BYTES],
    /// Of what [`Policy::Exact`] demands.
    pub exact: [u8; DIGEST_BYTES],
}

/// Bytes that are no identity. The peer is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// They end too early.
    #[error("the peer stopped in the middle of a compiler's identity")]
    Truncated,
    /// The banner's length is above its limit.
    #[error(
        "the peer announced {0} bytes for a compiler's banner, above the limit of {BANNER_BYTES}"
    )]
    LongBanner(usize),
    /// The banner is not one line of UTF-8.
    #[error("a compiler's banner holds bytes that are no text")]
    NoText,
}

impl Identity {
    /// Appends the identity's bytes. A banner that is too long or no line is made one.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let banner = line(&self.banner);
        out.reserve(HEAD_BYTES + banner.len());
        out.push(match self.family {
            Family::Gcc => 1,
            Family::Clang => 2,
            Family::Other(number) => number,
        });
        for digest in [&self.alike, &self.description, &self.exact] {
            out.extend_from_slice(digest);
        }
        let length = u16::try_from(banner.len()).expect("a line is short");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(banner.as_bytes());
    }

    /// Reads an identity; gives the bytes behind it, too.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), IdentityError> {
        let (family, bytes) = bytes.split_first().ok_or(IdentityError::Truncated)?;
        let (alike, bytes) = digest(bytes)?;
        let (description, bytes) = digest(bytes)?;
        let (exact, bytes) = digest(bytes)?;
        let (length, bytes) = bytes.split_first_chunk().ok_or(IdentityError::Truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length > BANNER_BYTES {
            return Err(IdentityError::LongBanner(length));
        }
        let (banner, rest) = bytes
            .split_at_checked(length)
            .ok_or(IdentityError::Truncated)?;
        let banner = std::str::from_utf8(banner).map_err(|_| IdentityError::NoText)?;
        if banner.chars().any(char::is_control) {
            return Err(IdentityError::NoText);
        }
        let identity = Self {
            family: match family {
                1 => Family::Gcc,
                2 => Family::Clang,
                other => Family::Other(*other),
            },
            banner: banner.to_owned(),
            alike,
            description,
            exact,
        };
        Ok((identity, rest))
    }

    /// Whether this compiler may do the other's work.
    #[must_use]
    pub fn agrees(&self, other: &Self, policy: Policy) -> bool {
        match policy {
            Policy::Alike => self.alike == other.alike,
            Policy::Described => self.description == other.description,
            Policy::Exact => self.exact == other.exact,
        }
    }
}

fn digest(bytes: &[u8]) -> Result<([u8; DIGEST_BYTES], &[u8]), IdentityError> {
    let (digest, rest) = bytes.split_first_chunk().ok_or(IdentityError::Truncated)?;
    Ok((*digest, rest))
}

/// `text` as a banner: one line, nothing that moves a terminal's cursor, not too long.
fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(BANNER_BYTES));
    for char in text.chars() {
        let char = if char.is_control() { '?' } else { char };
        if line.len() + char.len_utf8() > BANNER_BYTES {
            break;
        }
        line.push(char);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            family: Family::Clang,
            banner: "clang 19.1.7 für x86_64".into(),
            alike: [1; 32],
            description: [2; 32],
            exact: [3; 32],
        }
    }

    fn encoded(identity: &Identity) -> Vec<u8> {
        let mut out = Vec::new();
        identity.encode(&mut out);
        out
    }

    #[test]
    fn what_is_written_is_read() {
        for family in [Family::Gcc, Family::Clang, Family::Other(77)] {
            let identity = Identity {
                family,
                ..identity()
            };
            let mut bytes = encoded(&identity);
            bytes.extend(b"rest");
            assert_eq!(Identity::decode(&bytes), Ok((identity, &b"rest"[..])));
        }
    }

    #[test]
    fn every_shorter_message_is_truncated() {
        let bytes = encoded(&identity());
        for end in 0..bytes.len() {
            assert_eq!(
                Identity::decode(&bytes[..end]),
                Err(IdentityError::Truncated)
            );
        }
    }

    #[test]
    fn banners_are_lines() {
        let mut bytes = encoded(&identity());
        let length = bytes.len();
        bytes[length - 1] = 0x1b;
        assert_eq!(Identity::decode(&bytes), Err(IdentityError::NoText));
        bytes[length - 1] = 0xff;
        assert_eq!(Identity::decode(&bytes), Err(IdentityError::NoText));
        bytes[HEAD_BYTES - 2..HEAD_BYTES].copy_from_slice(&513u16.to_be_bytes());
        assert_eq!(
            Identity::decode(&bytes),
            Err(IdentityError::LongBanner(513))
        );
        let long = Identity {
            banner: format!("a\nb\x1b[2J{}", "ü".repeat(600)),
            ..identity()
        };
        let (read, _) = Identity::decode(&encoded(&long)).unwrap();
        assert!(read.banner.starts_with("a?b?[2Jü"));
        assert_eq!(read.banner.len(), BANNER_BYTES - 1);
    }

    #[test]
    fn each_policy_asks_for_its_own_digest() {
        let ours = identity();
        let differing = |change: fn(&mut Identity)| {
            let mut other = identity();
            change(&mut other);
            [Policy::Alike, Policy::Described, Policy::Exact]
                .map(|policy| ours.agrees(&other, policy))
        };
        assert_eq!(differing(|other| other.exact[0] = 9), [true, true, false]);
        assert_eq!(
            differing(|other| other.description[31] = 9),
            [true, false, true]
        );
        assert_eq!(differing(|other| other.alike[7] = 9), [false, true, true]);
        assert_eq!(differing(|other| other.banner.clear()), [true; 3]);
    }
}
