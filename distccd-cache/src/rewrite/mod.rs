//! The rewriting view: the client's files are below a temporary root, so the command line names them there, and the
//! root is taken out of all that goes back. Owns no state.
//!
//! The compiler keeps the root out of the object itself (`-ffile-prefix-map`); what it writes about the root into
//! dependency files and diagnostics is removed here. An object that still mentions the root is refused.

pub(crate) mod deps;
mod family;
pub(crate) mod fuzz;
mod leak;
mod words;

pub(crate) use family::Families;
pub(crate) use leak::mentions;
pub(crate) use words::argv;

/// `text` without any mention of the root, also of one that comes of what is around another.
pub(crate) fn without_root(text: &[u8], root: &[u8]) -> Vec<u8> {
    let Some(first) = find(text, root) else {
        return text.to_vec();
    };
    let mut out = Vec::with_capacity(text.len());
    let (before, rest) = text.split_at(first);
    out.extend_from_slice(before);
    for &byte in rest {
        out.push(byte);
        if root.last() == Some(&byte) && out.ends_with(root) {
            out.truncate(out.len() - root.len());
        }
    }
    out
}

/// Where `needle` first is in `haystack`.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (&first, tail) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|&b| b == first) {
        let start = from + at;
        if haystack[start + 1..].starts_with(tail) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::without_root;

    /// These came out of it: what was around a mention was another one.
    #[test]
    fn no_mention_of_the_root_comes_of_what_is_around_another() {
        for text in [&b"/t/t/r/r"[..], b"/t/t/t/r/r/r", b"/t//t/r/t/r/r/a/t/r"] {
            let text = without_root(text, b"/t/r");
            let left = text.windows(4).filter(|window| window == b"/t/r");
            assert_eq!(left.count(), 0, "{}", text.escape_ascii());
        }
        assert_eq!(without_root(b"/t/t/r/x/r", b"/t/r"), b"/t/x/r");
    }

    #[test]
    fn every_mention_of_the_root_goes() {
        assert_eq!(
            without_root(b"a.o: /t/r/home/a.c \\\n /t/r/home/a.h\n", b"/t/r"),
            b"a.o: /home/a.c \\\n /home/a.h\n"
        );
        assert_eq!(without_root(b"//t/r//t/r", b"/t/r"), b"//");
        assert_eq!(without_root(b"/t/r", b"/t/r"), b"");
        assert_eq!(without_root(b"/t/", b"/t/r"), b"/t/");
        assert_eq!(without_root(b"", b"/t/r"), b"");
    }
}
