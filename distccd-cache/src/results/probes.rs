//! Which header names a content looks for, by `#include` and by `__has_include`. Owns no state.
//!
//! A server shows a job more of a client's table than the job says that it uses; an honest client has looked, and its compiler finds none of the rest. A result
//! that others will get must not rest on that honesty: whatever of the rest might be found under a name that the job's contents look for is hidden from
//! it. Too many names do no harm, so this reads text, not tokens.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::reading;

/// What a content looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Probes {
    /// Operands of `__has_include` and its like.
    pub(crate) asked: Names,
    /// Operands of `#include` and its like.
    pub(crate) included: Names,
    /// Directories in all these names.
    pub(crate) directories: Directories,
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

/// Directories in header names, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directories {
    /// All components but the last: a link of such a name may lead to a header.
    pub(crate) named: HashSet<Box<[u8]>, RandomState>,
    /// Those in names with a `..`: such a directory is looked for to leave it again, or with the header in it.
    pub(crate) crossed: HashSet<Box<[u8]>, RandomState>,
}

impl Directories {
    /// Adds those of one name.
    pub(crate) fn add(&mut self, written: &[u8]) {
        let Some(slash) = memchr::memrchr(b'/', written) else {
            return;
        };
        let parts = || written[..slash].split(|&byte| byte == b'/');
        add(&mut self.named, parts());
        if parts().any(|part| part == b"..") {
            add(&mut self.crossed, parts());
        }
    }

    /// Adds another list.
    pub(crate) fn extend(&mut self, other: &Self) {
        add(&mut self.named, other.named.iter().map(|name| &**name));
        add(&mut self.crossed, other.crossed.iter().map(|name| &**name));
    }
}

fn add<'a>(set: &mut HashSet<Box<[u8]>, RandomState>, names: impl Iterator<Item = &'a [u8]>) {
    for name in names {
        if !set.contains(name) {
            set.insert(name.into());
        }
    }
}

impl Probes {
    /// Reads a text whose continued lines are joined. Takes a time that the text's length bounds, whatever is in it.
    pub(crate) fn of(text: &[u8]) -> Self {
        // It may look for anything.
        let mut probes = reading::probes(text).unwrap_or_else(|_| Self {
            asked: Names::any(),
            included: Names::any(),
            is_system: true,
            ..Self::default()
        });
        probes.calls.sort_unstable();
        probes.calls.dedup();
        for names in [&mut probes.asked, &mut probes.included] {
            names.written.sort_unstable();
            names.written.dedup();
            names.written.shrink_to_fit();
            for name in &names.written {
                probes.directories.add(name);
            }
        }
        probes
    }
}

impl Probes {
    /// About how many bytes of memory this takes.
    pub(crate) fn bytes(&self) -> usize {
        // A list's entry and what an allocation of its own needs.
        const EACH: usize = 32;
        let names = [
            &self.asked.written,
            &self.included.written,
            &self.defined,
            &self.wrappers,
        ];
        let Directories { named, crossed } = &self.directories;
        let directories = named.iter().chain(crossed);
        let names = names.into_iter().flatten().chain(directories);
        let names: usize = names.map(|name| EACH + name.len()).sum();
        size_of::<Self>() + names + size_of_val(&*self.calls)
    }
}

impl Names {
    fn any() -> Self {
        Self {
            written: Vec::new(),
            computed: true,
        }
    }
}

/// How calls are told apart.
pub(crate) fn hash(name: &[u8]) -> u64 {
    use std::hash::BuildHasher as _;
    foldhash::fast::FixedState::default().hash_one(name)
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

    /// Each of these took time by the square of its length: minutes, at which nextest ends a test.
    #[test]
    fn a_huge_line_or_comment_is_given_up_and_may_look_for_anything() {
        const HUGE: usize = 8 << 20;
        let any = Probes::of(b"\0");
        assert!(any.asked.computed && any.included.computed && any.is_system);
        for (begin, piece) in [
            ("", "include/*"),
            ("", "include<"),
            ("", "__has_include(X)"),
            ("", "__has_include/*"),
            ("*/", "__has_include X "),
            ("", "#if "),
            ("", "%:elif "),
            ("", "#define "),
            ("", "#define a/* */ "),
            ("", "#define a( "),
            ("", "#/*"),
            ("#if ", "(/*"),
            ("#if ", "(<"),
            ("#define A(x", ",x) __has_include(y)"),
            ("", "#define A __has_include\n"),
        ] {
            let text = begin.to_owned() + &piece.repeat(HUGE / piece.len());
            assert_eq!(Probes::of(text.as_bytes()), any, "{begin}{piece}...");
        }
        // Wrappers that wrap one another.
        let chain = |length: usize| -> String {
            let define = |at: usize| format!("#define W{:07}(x) W{at:07}(x)\n", at + 1);
            let ask = "#define W0000000(x) __has_include(x)\n".to_owned();
            ask + &(0..length).map(define).collect::<String>()
        };
        assert_eq!(Probes::of(chain(HUGE / 30).as_bytes()), any);
        assert_eq!(Probes::of(chain(40).as_bytes()).wrappers.len(), 41);
    }

    #[test]
    fn huge_ordinary_contents_are_read_to_their_end() {
        const HUGE: usize = 8 << 20;
        let asks = "#if __has_include(<a.h>)\n#include \"b.h\"\n";
        for (piece, calls) in [
            ("\\x23\\x40 include this # ", 0),
            ("#x ##y #", 0),
            ("0x23, ", 0),
            ("/* include */", 0),
            ("#define A(x) (x) /* what it is */\n", 0),
            ("# define A 1 /* what\n it is */\n", 0),
            ("#ifdef A\n#if defined(A) && B(2)\n#endif\n#endif\n", 2),
        ] {
            let text = piece.repeat(HUGE / piece.len()) + "\n" + asks;
            let probes = Probes::of(text.as_bytes());
            assert_eq!(probes.asked.written, [b"a.h"[..].into()], "{piece}");
            assert_eq!(probes.included.written, [b"b.h"[..].into()], "{piece}");
            assert_eq!(probes.calls.len(), calls, "{piece}");
            assert!(
                !probes.asked.computed && !probes.included.computed,
                "{piece}"
            );
        }
    }

    #[test]
    fn directives_go_on_behind_comments_of_several_lines() {
        let probes = Probes::of(b"#define HAS(x) __has_include(x)\n#if 1 /*\n */ && HAS(NAME)\n");
        assert!(probes.calls.contains(&hash(b"HAS")));
        let probes = Probes::of(b"#define Y /*\n*/ <y.h>\n# /*\n*/ if HAS(<x.h>)\n");
        assert_eq!(probes.defined, [b"y.h"[..].into()]);
        assert_eq!(probes.asked.written, [b"x.h"[..].into()]);
        let probes = Probes::of(b"int x;\n\x0b# 1 \"x\" 3\n");
        assert!(probes.is_system);
    }
}
