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
    /// A `#include` of a macro's name: one of `defined`, in this or in another content.
    pub(crate) is_by_macro: bool,
    /// What macros stand for that may be a header's name.
    pub(crate) defined: Vec<Box<[u8]>>,
    /// Macros that stand for `__has_include`, or pass their argument on to it. Whoever calls one in an `#if` asks for its argument, so all names in brackets on
    /// such lines are among `asked`.
    pub(crate) wrappers: Vec<Box<[u8]>>,
    /// It may be taken for a system header, whatever directory it is found in: a list of what was read may leave out what it includes.
    pub(crate) is_system: bool,
    /// Hashes of what is called in `#if` with something else than a written name: if it is a wrapper, a name is made by macros.
    pub(crate) calls: Vec<u64>,
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
                    Operand::Computed if asks => match wrapper(text, at, after) {
                        Some(name) => probes.wrappers.push(name.into()),
                        // Elsewhere than in a directive it is a word in a comment.
                        None => names.computed |= is_in_directive(&text[..at]),
                    },
                    Operand::Computed if is_name_alone(after) => probes.is_by_macro = true,
                    Operand::Computed => names.computed = true,
                    // Another name for it, which a macro has at the end of its line.
                    Operand::None if asks => {
                        let name = wrapper(text, at, after);
                        probes.wrappers.extend(name.map(Into::into));
                    }
                    Operand::None => {}
                }
            }
        }
        probes.is_system = memmem::find(text, b"system_header").is_some() || has_line_marker(text);
        for line in directives(text) {
            probes.read_condition(line);
            if let Some((_, _, body)) = definition(line)
                && let Operand::Written(name) = operand(body, false, || false)
            {
                probes.defined.push(name.into());
            }
        }
        probes.add_outer_wrappers(text);
        probes.calls.sort_unstable();
        probes.calls.dedup();
        for names in [&mut probes.asked, &mut probes.included] {
            names.written.sort_unstable();
            names.written.dedup();
            names.written.shrink_to_fit();
        }
        probes
    }
}

impl Probes {
    /// What a directive calls if it is `#if` or `#elif`, and with which names.
    fn read_condition(&mut self, line: &[u8]) {
        let Some(rest) = directive(line, b"if").or_else(|| directive(line, b"elif")) else {
            return;
        };
        for at in memchr::memchr_iter(b'(', rest) {
            let argument = without_blanks(&rest[at + 1..]);
            let end = match argument.first() {
                Some(b'<') => b'>',
                Some(b'"') => b'"',
                _ => {
                    if let Some(name) = last_name(&rest[..at]) {
                        self.calls.push(hash(name));
                    }
                    continue;
                }
            };
            if let Some(length) = memchr::memchr(end, &argument[1..]) {
                self.asked.written.push(argument[1..=length].into());
            }
        }
    }

    /// Macros that pass their argument on to a wrapper.
    fn add_outer_wrappers(&mut self, text: &[u8]) {
        let mut known = 0;
        while known < self.wrappers.len() {
            let wrapper = self.wrappers[known].clone();
            known += 1;
            for line in directives(text) {
                let Some((name, _, body)) = definition(line) else {
                    continue;
                };
                let is_called = memmem::find(body, &wrapper).is_some();
                if is_called && !self.wrappers.iter().any(|other| **other == *name) {
                    self.wrappers.push(name.into());
                }
            }
        }
    }
}

/// How calls are told apart.
pub(crate) fn hash(name: &[u8]) -> u64 {
    use std::hash::BuildHasher as _;
    foldhash::fast::FixedState::default().hash_one(name)
}

/// What stands behind each `#` on its line: directives, and some other things.
fn directives(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let marks = [&b"#"[..], b"%:", b"??="];
    marks.into_iter().flat_map(move |mark| {
        let after = memmem::find_iter(text, mark).map(move |at| &text[at + mark.len()..]);
        after.map(|after| &after[..memchr::memchr(b'\n', after).unwrap_or(after.len())])
    })
}

/// Whether a text has a line like those that preprocessors write, which may call what follows a system header.
fn has_line_marker(text: &[u8]) -> bool {
    let marks = [&b"#"[..], b"%:", b"??="];
    marks.into_iter().any(|mark| {
        memmem::find_iter(text, mark).any(|at| {
            // A comment may stand before the number: it is not read to its end, which may be far away behind each of many marks.
            let after = &text[at + mark.len()..];
            let blanks = after
                .iter()
                .take_while(|byte| b" \t\x0b\x0c".contains(byte));
            let after = &after[blanks.count()..];
            let is_marker =
                after.first().is_some_and(u8::is_ascii_digit) || after.starts_with(b"/*");
            let before = text[..at].trim_ascii_end();
            let begins = text[before.len()..at].contains(&b'\n') || before.is_empty();
            let begins = begins || before.ends_with(b"*/");
            begins && is_marker
        })
    })
}

/// What follows a directive's name, behind its `#`.
fn directive<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = without_blanks(line).strip_prefix(name)?;
    let ends = rest.first().is_none_or(|byte| !is_name(*byte));
    ends.then_some(rest)
}

/// A macro that a directive defines: its name, its parameters' text, what stands behind.
fn definition(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let rest = without_blanks(directive(line, b"define")?);
    let end = rest.iter().position(|byte| !is_name(*byte))?;
    let (name, rest) = rest.split_at(end);
    match rest.strip_prefix(b"(") {
        None => Some((name, b"", rest)),
        Some(rest) => {
            let end = memchr::memchr(b')', rest)?;
            Some((name, &rest[..end], &rest[end + 1..]))
        }
    }
}

/// The macro that a line defines as another name for `__has_include`, or as one that passes its parameter on to it.
fn wrapper<'a>(text: &'a [u8], at: usize, after: &[u8]) -> Option<&'a [u8]> {
    let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |at| at + 1);
    let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
    let line = &text[start..end];
    let (name, parameters, _) = directives(line).find_map(definition)?;
    let Some(argument) = without_blanks(after).strip_prefix(b"(") else {
        return Some(name);
    };
    let argument = without_blanks(argument);
    let length = argument.iter().position(|byte| !is_name(*byte))?;
    let mut parameters = parameters.split(|&byte| byte == b',');
    let passes = parameters.any(|parameter| parameter.trim_ascii() == &argument[..length]);
    (length > 0 && passes).then_some(name)
}

/// The name at the end of a text.
fn last_name(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_end();
    let start = text
        .iter()
        .rposition(|byte| !is_name(*byte))
        .map_or(0, |at| at + 1);
    (start < text.len()).then(|| &text[start..])
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn operand<'a>(after: &'a [u8], asks: bool, is_directive: impl Fn() -> bool) -> Operand<'a> {
    let rest = without_blanks(after);
    let rest = match (asks, rest.first()) {
        (true, Some(b'(')) => without_blanks(&rest[1..]),
        // `#ifdef __has_include`, `defined(__has_include)`.
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

/// Whether a word stands on a line that begins with `#`, as far as a look tells.
fn is_in_directive(before: &[u8]) -> bool {
    let line = &before[memchr::memrchr(b'\n', before).map_or(0, |at| at + 1)..];
    let begins = |mark: &[u8]| line.trim_ascii_start().starts_with(mark);
    begins(b"#") || begins(b"%:") || begins(b"??=") || memmem::find(line, b"*/").is_some()
}

/// Whether nothing but a name stands on the rest of a line.
fn is_name_alone(after: &[u8]) -> bool {
    let line = &after[..memchr::memchr(b'\n', after).unwrap_or(after.len())];
    let rest = without_blanks(line);
    let end = rest
        .iter()
        .position(|byte| !is_name(*byte))
        .unwrap_or(rest.len());
    end > 0 && without_blanks(&rest[end..]).trim_ascii().is_empty()
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
        check(
            "#if __has_include(X) || Y\n#define H X\n",
            &[],
            &[],
            (true, false),
        );
        check("#include X(a)\n%: include Y(b)\n", &[], &[], (false, true));
        check(
            "/* a\n __has_include argument */\n#include X\n",
            &[],
            &[],
            plain,
        );
        let by_macro = Probes::of(b"#include X\n#define X \"x.h\"\n# define Y <y.h>\n");
        assert!(by_macro.is_by_macro);
        let defined: Vec<&[u8]> = by_macro.defined.iter().map(|name| &**name).collect();
        assert_eq!(defined, [&b"x.h"[..], b"y.h"]);
        check(
            "we include this and \"that\"; import it\n#endif /* include guard */\n",
            &[],
            &[],
            plain,
        );
        check("#include \"unfinished\nint x;", &[], &[], (false, true));
    }
    #[test]
    fn macros_that_ask_are_known() {
        let check = |text: &str, wrappers: &[&str], asked: &[&str], calls: &[&str]| {
            let probes = Probes::of(text.as_bytes());
            let text_of = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
            let found: Vec<String> = probes.wrappers.iter().map(|name| text_of(name)).collect();
            assert_eq!(found, wrappers, "{text}");
            let found: Vec<String> = probes
                .asked
                .written
                .iter()
                .map(|name| text_of(name))
                .collect();
            assert_eq!(found, asked, "{text}");
            assert!(!probes.asked.computed, "{text}");
            for call in calls {
                assert!(probes.calls.contains(&hash(call.as_bytes())), "{text}");
            }
        };
        check("#  define HAS(x) __has_include(x)\n", &["HAS"], &[], &[]);
        check(
            "#define HAS(a, b) (a && __has_include( b ))\n",
            &["HAS"],
            &[],
            &[],
        );
        check("#define HAS __has_include\n", &["HAS"], &[], &[]);
        check(
            "#define HAS(x) __has_include(x)\n#define OUTER(y) HAS(y)\n",
            &["HAS", "OUTER"],
            &[],
            &[],
        );
        check(
            "#if HAS(<a/b.h>) && defined(X)\n",
            &[],
            &["a/b.h"],
            &["defined"],
        );
        check("# elif A || HAS( \"c.h\" )\n", &[], &["c.h"], &[]);
        check("#if HAS(NAME)\n", &[], &[], &["HAS"]);
    }
}
