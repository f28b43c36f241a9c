//! Dependency files as gcc and clang write them: make rules. Owns no state.

use std::borrow::Cow;
use std::ops::Range;

/// The prerequisites of the first rule, which are the files that the compiler read, without make's quoting.
pub(crate) fn prerequisites(rules: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut files = Vec::new();
    let mut word = Word::default();
    let mut after_colon = false;
    let mut at = 0;
    loop {
        let plain = rules[at..].iter().position(|&byte| MEANS[byte as usize]);
        let end = plain.map_or(rules.len(), |plain| at + plain);
        word.take(rules, at..end);
        at = end;
        let Some(&byte) = rules.get(at) else {
            break;
        };
        let next = rules.get(at + 1).copied();
        match (byte, next) {
            (b'\\', Some(b'\n')) => {
                word.finish(rules, &mut files, after_colon);
                at += 2;
            }
            (b'\\', Some(b'\r')) if rules.get(at + 2) == Some(&b'\n') => {
                word.finish(rules, &mut files, after_colon);
                at += 3;
            }
            (b'\\', Some(quoted @ (b' ' | b'\t' | b'#' | b':'))) => {
                let unquoted = word.unquoted(rules);
                if matches!(quoted, b' ' | b'\t') {
                    // Before a blank the compilers double each backslash of the name itself.
                    let doubled = unquoted.iter().rev().take_while(|&&b| b == b'\\').count() / 2;
                    unquoted.truncate(unquoted.len() - doubled);
                }
                unquoted.push(quoted);
                at += 2;
            }
            (b'$', Some(b'$')) => {
                word.unquoted(rules).push(b'$');
                at += 2;
            }
            (b':', None | Some(b' ' | b'\t' | b'\n' | b'\\')) if !after_colon => {
                after_colon = true;
                word = Word::default();
                at += 1;
            }
            (b' ' | b'\t', _) => {
                word.finish(rules, &mut files, after_colon);
                at += 1;
            }
            (b'\n', _) => {
                word.finish(rules, &mut files, after_colon);
                if after_colon {
                    return files;
                }
                at += 1;
            }
            _ => {
                word.take(rules, at..at + 1);
                at += 1;
            }
        }
    }
    word.finish(rules, &mut files, after_colon);
    files
}

/// Which bytes may be something else than a part of a name.
const MEANS: [bool; 256] = {
    let mut means = [false; 256];
    let bytes = b"\\$: \t\n";
    let mut at = 0;
    while at < bytes.len() {
        means[bytes[at] as usize] = true;
        at += 1;
    }
    means
};

/// A word that is being read: where it is in the text, or what it is if something in it was quoted. Most are not.
#[derive(Default)]
struct Word {
    place: Range<usize>,
    unquoted: Option<Vec<u8>>,
}

impl Word {
    /// Appends a piece of the text, which follows the last one unless that was quoted.
    fn take(&mut self, text: &[u8], piece: Range<usize>) {
        match &mut self.unquoted {
            Some(unquoted) => unquoted.extend_from_slice(&text[piece]),
            None if self.place.is_empty() => self.place = piece,
            None => self.place.end = piece.end,
        }
    }

    fn unquoted(&mut self, text: &[u8]) -> &mut Vec<u8> {
        let place = self.place.clone();
        self.unquoted.get_or_insert_with(|| text[place].to_vec())
    }

    fn finish<'a>(&mut self, text: &'a [u8], files: &mut Vec<Cow<'a, [u8]>>, wanted: bool) {
        let word = std::mem::take(self);
        let word = match word.unquoted {
            Some(unquoted) => Cow::Owned(unquoted),
            None => Cow::Borrowed(&text[word.place]),
        };
        if wanted && !word.is_empty() {
            files.push(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::prerequisites;

    fn check(rules: &str, expected: &[&str]) {
        let files = prerequisites(rules.as_bytes());
        let files: Vec<_> = files.iter().map(|f| String::from_utf8_lossy(f)).collect();
        assert_eq!(files, expected, "{rules:?}");
    }

    #[test]
    fn rules_of_gcc_and_clang() {
        check(
            "a.o: a.c inc/a.h \\\n /usr/include/x.h\n",
            &["a.c", "inc/a.h", "/usr/include/x.h"],
        );
        check("a.o: a.c a.h\n\na.h:\n", &["a.c", "a.h"]);
        check("a.o b.o: \\\n  a.c\n", &["a.c"]);
        check("a.o:a.c\n", &[]);
        check("a.o: a.c", &["a.c"]);
        check("", &[]);
        check("a.o:\n", &[]);
    }

    #[test]
    fn quoting_of_make() {
        check(
            "a.o: a\\ b.c c$$d.h e\\#f.h g\\h.h\n",
            &["a b.c", "c$d.h", "e#f.h", "g\\h.h"],
        );
        check("a.o: x\\\\\\ y.c\n", &["x\\ y.c"]);
        check("a\\ b.o: a.c\n", &["a.c"]);
        check("c\\:d.o: a.c\n", &["a.c"]);
    }
}
