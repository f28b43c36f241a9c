//! What contents mention that makes a result depend on more than its inputs: the time, and files that no list names. Owns no state.

use memchr::memmem;

/// See the module's text. A set of what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mentions(u8);

/// What is looked for. A word in a comment or a string counts, too: whoever reads a content to the end like this need not parse it.
const WORDS: [&str; 7] = [
    "__DATE__",
    "__TIME__",
    "__TIMESTAMP__",
    // They read files by the assembler, which says so in no list.
    ".incbin",
    ".include",
    // An old compiler's list does not name what this reads.
    "#embed",
    "__has_embed",
];

impl Mentions {
    /// What a text mentions whose continued lines are joined.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut found = 0;
        for (bit, word) in WORDS.iter().enumerate() {
            if memmem::find(text, word.as_bytes()).is_some() {
                found |= 1 << bit;
            }
        }
        Self(found)
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// What was found, for people.
    pub(crate) fn words(self) -> String {
        let bits = WORDS.iter().enumerate();
        let found = bits.filter(|(bit, _)| self.0 & (1 << bit) != 0);
        let words: Vec<&str> = found.map(|(_, word)| *word).collect();
        words.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_and_hidden_files_are_found() {
        for (text, words) in [
            ("int x;\n", ""),
            ("char *d = __DATE__;", "__DATE__"),
            ("__DATE__ __TIME__", "__DATE__ and __TIME__"),
            ("asm(\".incbin \\\"x\\\"\");", ".incbin"),
            ("#embed <x>", "#embed"),
        ] {
            assert_eq!(Mentions::of(text.as_bytes()).words(), words, "{text}");
        }
    }
}
