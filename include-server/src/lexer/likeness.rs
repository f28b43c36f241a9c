//! Which bytes mean the same in several modes.
//!
//! A project compiles some units as C99 and others as C11, and most headers have nothing in them that the two read differently.

use memchr::{memchr2_iter, memmem};

use crate::configuration::LexingMode;

/// What a file has in it that some modes know and others do not. Where it says no, there certainly is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oddities {
    /// A trigraph.
    trigraphs: bool,
    /// A literal with a prefix other than `L`.
    prefixes: bool,
}

impl Oddities {
    /// Those of a file.
    pub fn of(bytes: &[u8]) -> Oddities {
        let mut quotes = memchr2_iter(b'"', b'\'', bytes);
        Oddities {
            trigraphs: memmem::find(bytes, b"??").is_some(),
            prefixes: quotes.any(|at| may_have_prefix(&bytes[..at])),
        }
    }

    /// Whether the file is the same tokens in both modes.
    pub fn allow(self, one: LexingMode, other: LexingMode) -> bool {
        let mut same = one;
        if !self.trigraphs {
            same.trigraphs = other.trigraphs;
        }
        if !self.prefixes {
            same.raw_strings = other.raw_strings;
            same.unicode_literals = other.unicode_literals;
            same.utf8_char_literals = other.utf8_char_literals;
        }
        same == other
    }
}

/// Whether what stands before a quote may end with one of `R`, `u`, `U`, `u8`, perhaps with a splice behind it or spelled as
/// a universal character name.
fn may_have_prefix(before: &[u8]) -> bool {
    const LONGEST_NAME: usize = 10;
    let near = &before[before.len().saturating_sub(LONGEST_NAME)..];
    matches!(
        before.last(),
        Some(b'R' | b'u' | b'U' | b'8' | b'\n' | b'\r')
    ) || near.windows(2).any(|pair| matches!(pair, b"\\u" | b"\\U"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{CompilerFamily, Dialect, Language};

    fn mode(language: Language, standard: &str) -> LexingMode {
        let family = CompilerFamily::Clang { major: 19 };
        let dialect = Dialect::derive(language, family, Some(standard.as_bytes()));
        dialect.unwrap().lexing
    }

    #[test]
    fn only_what_modes_read_differently_keeps_them_apart() {
        let (old, new) = (mode(Language::C, "c99"), mode(Language::C, "gnu17"));
        assert_ne!(old, new);
        let alike = |text: &str| Oddities::of(text.as_bytes()).allow(old, new);
        for text in [
            "",
            "#define A L\"wide\" /* don't */\n#if 'a' == 97\n",
            "int x = 1 ? 2 : 3; char *s = \"a\\\"b ?\";\n",
        ] {
            assert!(alike(text), "{text}");
        }
        for text in [
            "??=define A\n",
            "#define A u\"x\"\n",
            "#define A u8'x'\n",
            "#define A R\"(x)\"\n",
            "#define A uR\"(x)\"\n",
            "#define A u\\\n\"x\"\n",
            "#define A u\\ \r\n\"x\"\n",
            "#define A \\u0075\"x\"\n",
            "#define A \\U00000075'x'\n",
        ] {
            assert!(!alike(text), "{text}");
        }
        assert!(!Oddities::of(b"").allow(old, mode(Language::Cxx, "c++17")));
    }
}
