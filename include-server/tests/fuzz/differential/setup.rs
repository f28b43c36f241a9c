//! Option sets: compiler, language, standard and flags that many cases share, so that neither side has to ask the compiler
//! about each case anew.

use super::random::Random;

/// The language of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// C
    C,
    /// C++
    Cxx,
    /// Objective-C
    ObjC,
    /// Assembler with preprocessor
    Assembler,
}

impl Language {
    /// The source's name.
    pub fn source(self) -> &'static str {
        match self {
            Language::C => "a.c",
            Language::Cxx => "a.cc",
            Language::ObjC => "a.m",
            Language::Assembler => "a.S",
        }
    }
}

/// One option set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setup {
    /// The compiler's name.
    pub compiler: String,
    /// The language.
    pub language: Language,
    /// Options.
    pub flags: Vec<&'static str>,
    /// The year of the standard.
    pub year: u32,
    /// `-std=c..` rather than `-std=gnu..`.
    pub strict: bool,
}

/// What a setup's preprocessor knows, as far as it makes sense to use it. A wrong guess only costs cases that the compiler
/// rejects.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// clang rather than gcc.
    pub clang: bool,
    /// C++.
    pub cxx: bool,
    /// Assembler.
    pub assembler: bool,
    /// `//` begins a comment.
    pub line_comments: bool,
    /// `??=` is `#`.
    pub trigraphs: bool,
    /// `%:` is `#`.
    pub digraphs: bool,
    /// `R"()"` is a string.
    pub raw_strings: bool,
    /// `1'000` is a number.
    pub separators: bool,
    /// `u'x'` is a character.
    pub unicode: bool,
    /// `u8'x'` is a character.
    pub utf8_char: bool,
    /// `#elifdef` is known.
    pub elifdef: bool,
    /// `$` and letters beyond ASCII may stand in names.
    pub odd_names: bool,
    /// `1uz` is a number.
    pub size_suffix: bool,
}

const C: [(&str, u32, bool); 9] = [
    ("", 2017, false),
    ("-std=c90", 1990, true),
    ("-std=gnu89", 1990, false),
    ("-std=c99", 1999, true),
    ("-std=gnu99", 1999, false),
    ("-std=c11", 2011, true),
    ("-std=gnu17", 2017, false),
    ("-std=c2x", 2023, true),
    ("-std=gnu2x", 2023, false),
];
const CXX: [(&str, u32, bool); 9] = [
    ("", 2017, false),
    ("-std=c++98", 1998, true),
    ("-std=gnu++98", 1998, false),
    ("-std=c++11", 2011, true),
    ("-std=gnu++14", 2014, false),
    ("-std=c++17", 2017, true),
    ("-std=gnu++20", 2020, false),
    ("-std=c++20", 2020, true),
    ("-std=c++23", 2023, true),
];
const FLAGS: [&str; 8] = [
    "-O2",
    "-funsigned-char",
    "-trigraphs",
    "-fno-dollars-in-identifiers",
    "-undef",
    "-ffreestanding",
    "-m32",
    "-fshort-wchar",
];

impl Setup {
    /// A random option set of a compiler.
    pub fn random(compiler: &str, random: &mut Random) -> Setup {
        let cxx = compiler.ends_with("++");
        let language = match random.below(20) {
            0 => Language::Assembler,
            1 => Language::ObjC,
            2..=6 if compiler.starts_with("clang") => Language::Cxx,
            _ if cxx => Language::Cxx,
            _ => Language::C,
        };
        let table = if language == Language::Cxx { CXX } else { C };
        let (standard, year, strict) = match language {
            Language::Assembler => ("", 2017, false),
            _ => table[random.below(table.len())],
        };
        let mut flags = Vec::new();
        flags.extend((!standard.is_empty()).then_some(standard));
        // The compiler's own directories cost time and show little.
        if random.percent(80) {
            flags.push("-nostdinc");
        }
        if random.percent(40) {
            let flag = FLAGS[random.below(FLAGS.len())];
            if flag != "-m32" || !compiler.contains("aarch64") {
                flags.push(flag);
            }
        }
        Setup {
            compiler: compiler.into(),
            language,
            flags,
            year,
            strict,
        }
    }

    /// What its preprocessor knows.
    pub fn traits(&self) -> Traits {
        let cxx = self.language == Language::Cxx;
        let assembler = self.language == Language::Assembler;
        let clang = self.compiler.starts_with("clang");
        let c90 = !cxx && self.year < 1999;
        let (year, strict) = (self.year, self.strict);
        Traits {
            clang,
            cxx,
            assembler,
            line_comments: !(c90 && strict),
            trigraphs: self.flags.contains(&"-trigraphs")
                || (strict && year < if cxx { 2017 } else { 2023 }),
            digraphs: !(assembler || c90 && strict),
            raw_strings: !assembler
                && if cxx {
                    year >= 2011
                } else {
                    !clang && year >= 1999 && !strict
                },
            separators: !assembler && year >= if cxx { 2014 } else { 2023 },
            unicode: !assembler && year >= 2011,
            utf8_char: !assembler && year >= if cxx { 2017 } else { 2023 },
            elifdef: clang || (!assembler && (!strict || year >= 2023)),
            odd_names: !assembler && !c90,
            size_suffix: cxx && year >= 2023,
        }
    }
}
