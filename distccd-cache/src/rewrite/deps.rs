//! Dependency files as gcc and clang write them: make rules. Owns no state.

/// The prerequisites of the first rule, which are the files that the compiler read, without make's quoting.
pub(crate) fn prerequisites(rules: &[u8]) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    let mut word: Vec<u8> = Vec::new();
    let mut after_colon = false;
    let mut at = 0;
    while let Some(&byte) = rules.get(at) {
        let next = rules.get(at + 1).copied();
        at += 1;
        match (byte, next) {
            (b'\\', Some(b'\n')) => {
                at += 1;
                finish(&mut word, &mut files, after_colon);
            }
            (b'\\', Some(b'\r')) if rules.get(at + 1) == Some(&b'\n') => {
                at += 2;
                finish(&mut word, &mut files, after_colon);
            }
            (b'\\', Some(quoted @ (b' ' | b'\t' | b'#' | b':'))) => {
                at += 1;
                // Before a blank the compilers double each backslash of the name itself.
                let doubled = word.iter().rev().take_while(|&&b| b == b'\\').count() / 2;
                word.truncate(
                    word.len()
                        - if matches!(quoted, b' ' | b'\t') {
                            doubled
                        } else {
                            0
                        },
                );
                word.push(quoted);
            }
            (b'$', Some(b'$')) => {
                at += 1;
                word.push(b'$');
            }
            (b':', None | Some(b' ' | b'\t' | b'\n' | b'\\')) if !after_colon => {
                after_colon = true;
                word.clear();
            }
            (b' ' | b'\t', _) => finish(&mut word, &mut files, after_colon),
            (b'\n', _) => {
                finish(&mut word, &mut files, after_colon);
                if after_colon {
                    return files;
                }
            }
            _ => word.push(byte),
        }
    }
    finish(&mut word, &mut files, after_colon);
    files
}

fn finish(word: &mut Vec<u8>, files: &mut Vec<Vec<u8>>, wanted: bool) {
    let word = std::mem::take(word);
    if wanted && !word.is_empty() {
        files.push(word);
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
