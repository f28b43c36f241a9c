//! Which header names a content looks for, by `#include` and by `__has_include`. Owns no state.
//!
//! A server shows a job more of a client's table than the job says that it uses; an honest client has looked, and its compiler finds none of the rest. A result
//! that others will get must not rest on that honesty: whatever of the rest might be found under a name that the job's contents look for is hidden from
//! it. Too many names do no harm, so this reads text, not tokens.

use memchr::memmem;

/// What a content looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Probes {
    /// Operands of `__has_include` and its like.
    pub(crate) asked: Names,
    /// Operands of `#include` and its like.
    pub(crate) included: Names,
}

/// Header names as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) written: Vec<Box<[u8]>>,
    /// Some are made by macros.
    pub(crate) computed: bool,
}

/// What follows `include`, `import` or `embed`.
enum Operand<'a> {
    Written(&'a [u8]),
    Computed,
    /// No operand: prose, or `#ifdef __has_include`.
    None,
}

impl Probes {
    /// Reads a text whose continued lines are joined.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut probes = Self::default();
        for word in [&b"include"[..], b"import", b"embed"] {
            for at in memmem::find_iter(text, word) {
                let asks = text[..at].ends_with(b"__has_") || text[..at].ends_with(b"__has_c_");
                let after = text[at + word.len()..].strip_prefix(b"_next");
                let after = after.unwrap_or(&text[at + word.len()..]);
                let names = match asks {
                    true => &mut probes.asked,
                    false => &mut probes.included,
                };
                match operand(after, asks, || is_directive(&text[..at])) {
                    Operand::Written(name) => names.written.push(name.into()),
                    Operand::Computed => names.computed = true,
                    Operand::None => {}
                }
            }
        }
        for names in [&mut probes.asked, &mut probes.included] {
            names.written.sort_unstable();
            names.written.dedup();
            names.written.shrink_to_fit();
        }
        probes
    }
}

fn operand<'a>(after: &'a [u8], asks: bool, is_directive: impl Fn() -> bool) -> Operand<'a> {
    let rest = without_blanks(after);
    let rest = match (asks, rest.first()) {
        (true, Some(b'(')) => without_blanks(&rest[1..]),
        // `#ifdef __has_include`, `defined(__has_include)`; or another name for it, which a macro has.
        (true, Some(b')' | b'\n' | b'\r' | b'&' | b'|') | None) => return Operand::None,
        (true, _) => rest,
        (false, _) => rest,
    };
    let end = match rest.first() {
        Some(b'<') => b'>',
        Some(b'"') => b'"',
        _ if asks || is_directive() => return Operand::Computed,
        _ => return Operand::None,
    };
    let line = &rest[1..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
    match memchr::memchr(end, line) {
        Some(length) => Operand::Written(&line[..length]),
        None => Operand::Computed,
    }
}

/// Behind blanks and comments.
fn without_blanks(text: &[u8]) -> &[u8] {
    let mut rest = text;
    loop {
        let blanks = rest.iter().take_while(|byte| b" \t\x0b\x0c".contains(byte));
        rest = &rest[blanks.count()..];
        let Some(comment) = rest.strip_prefix(b"/*") else {
            return rest;
        };
        match memmem::find(comment, b"*/") {
            Some(end) => rest = &comment[end + 2..],
            None => return b"",
        }
    }
}

/// Whether a `#` stands before a word, with blanks between them at most. A comment may begin on another line: then it counts as one.
fn is_directive(before: &[u8]) -> bool {
    let mut before = before;
    while let [rest @ .., b' ' | b'\t' | b'\x0b' | b'\x0c'] = before {
        before = rest;
    }
    [&b"#"[..], b"%:", b"??=", b"*/"]
        .iter()
        .any(|end| before.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_written() {
        let check = |text: &str, asked: &[&str], included: &[&str], computed: (bool, bool)| {
            let probes = Probes::of(text.as_bytes());
            let names = |names: &Names| -> Vec<String> {
                let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
                names.written.iter().map(|name| text(name)).collect()
            };
            assert_eq!(names(&probes.asked), asked, "{text}");
            assert_eq!(names(&probes.included), included, "{text}");
            let found = (probes.asked.computed, probes.included.computed);
            assert_eq!(found, computed, "{text}");
        };
        let plain = (false, false);
        check(
            "#include <a.h>\n # include \"b/c.h\"\n",
            &[],
            &["a.h", "b/c.h"],
            plain,
        );
        check(
            "#include_next <a.h>\n#import <d.h>\n",
            &[],
            &["a.h", "d.h"],
            plain,
        );
        check("#include/* x */<a.h>\n", &[], &["a.h"], plain);
        check(
            "#if __has_include(<x.h>) && __has_include_next( \"y.h\" )\n",
            &["x.h", "y.h"],
            &[],
            plain,
        );
        check(
            "#ifdef __has_include\n#if defined(__has_include) && __has_include(<z.h>)\n",
            &["z.h"],
            &[],
            plain,
        );
        check("#if __has_include(X)\n", &[], &[], (true, false));
        check("#define H __has_include x\n", &[], &[], (true, false));
        check("#include X\n%: include Y\n", &[], &[], (false, true));
        check(
            "we include this and \"that\"; import it\n#endif /* include guard */\n",
            &[],
            &[],
            plain,
        );
        check("#include \"unfinished\nint x;", &[], &[], (false, true));
    }
}
