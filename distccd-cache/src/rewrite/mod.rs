//! The rewriting view: the client's files are below a temporary root, so the command line names them there, and the
//! root is taken out of all that goes back. Owns no state.
//!
//! The compiler keeps the root out of the object itself (`-ffile-prefix-map`); what it writes about the root into
//! dependency files and diagnostics is removed here. An object that still mentions the root is refused.

pub(crate) mod deps;
mod family;
mod leak;
mod words;

pub(crate) use family::Families;
pub(crate) use leak::mentions;
pub(crate) use words::argv;

/// `text` without any mention of the root.
pub(crate) fn without_root(text: &[u8], root: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest, root) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + root.len()..];
    }
    out.extend_from_slice(rest);
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

    #[test]
    fn every_mention_of_the_root_goes() {
        assert_eq!(
            without_root(b"a.o: /t/r/home/a.c \\\n /t/r/home/a.h\n", b"/t/r"),
            b"a.o: /home/a.c \\\n /home/a.h\n"
        );
        assert_eq!(without_root(b"//t/r//t/r", b"/t/r"), b"//");
        assert_eq!(without_root(b"/t/", b"/t/r"), b"/t/");
        assert_eq!(without_root(b"", b"/t/r"), b"");
    }
}
