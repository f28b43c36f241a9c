//! What a compile means to the scanner: one option set of one compiler (`Configuration`, shared by all translation units that have
//! it) and one compile's own part (`TranslationUnit`).
//!
//! Nothing here depends on the content of a user's file. The state is plain data; the only behaviour is how a dialect follows from
//! language, compiler and options.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::search::SearchPath;

/// The language that the preprocessor works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// `-x c`
    C,
    /// `-x c++`
    Cxx,
    /// `-x objective-c`
    ObjC,
    /// `-x objective-c++`
    ObjCxx,
    /// `-x assembler-with-cpp`
    AsmWithCpp,
}

impl Language {
    /// Whether the language is C++ or Objective-C++.
    pub fn is_cxx(self) -> bool {
        matches!(self, Language::Cxx | Language::ObjCxx)
    }
}

/// Which preprocessor's rules hold where gcc and clang differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompilerFamily {
    /// GNU cpp, and compilers that contain it.
    Gcc {
        /// The major version, as `__GNUC__` has it.
        major: u32,
    },
    /// clang and compilers that contain it.
    Clang {
        /// The major version, as `__clang_major__` has it.
        major: u32,
    },
}

impl CompilerFamily {
    /// Whether clang's rules hold.
    pub fn is_clang(self) -> bool {
        matches!(self, CompilerFamily::Clang { .. })
    }
}

/// The part of a dialect that decides how bytes become tokens. A directive program is kept per content and `LexingMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LexingMode {
    /// `//` starts a comment (not in strict C90).
    pub line_comments: bool,
    /// `??/` and its like are replaced (strict modes before C2X and C++17, `-trigraphs`).
    pub trigraphs: bool,
    /// `%:` is `#` (not in strict C90).
    pub digraphs: bool,
    /// `R"(..)"` is a raw string (C++11 and later, gnu99 and later).
    pub raw_strings: bool,
    /// `u""`, `U""`, `u8""` are one token each (C++11, C11, gnu99 and later).
    pub unicode_literals: bool,
    /// `u8'a'` is one token (C++17, C2X).
    pub utf8_char_literals: bool,
    /// `1'000` is one number (C++14, C2X).
    pub digit_separators: bool,
    /// `$` may stand in an identifier.
    pub dollars: bool,
    /// UCNs and UTF-8 letters may stand in an identifier (not in C90).
    pub extended_identifiers: bool,
    /// Assembler: `#` comments, no directive is unknown, lone quotes.
    pub assembler: bool,
    /// The language is C++ (`import` and `module` lines, `and`, `or`, `not` in `#if`).
    pub cxx: bool,
    /// `#elifdef` and `#elifndef` are directives.
    pub elifdef: bool,
    /// clang's rules hold where gcc's and clang's lexing differ.
    pub clang: bool,
}

/// Lexing and `#if` rules of one option set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// How bytes become tokens.
    pub lexing: LexingMode,
    /// A strict ISO mode (`-std=c11`, `-ansi`), not a GNU one.
    pub strict: bool,
    /// `,##__VA_ARGS__` keeps its comma when there is no named parameter (strict modes; of clang only those of C99 and later).
    pub strict_comma_paste: bool,
    /// A header found in a system directory goes by its canonical name where that is shorter (gcc, unless
    /// `-fno-canonical-system-headers`); its own quoted includes start from there.
    pub canonical_system_headers: bool,
    /// `true` and `false` are known in `#if`.
    pub true_false: bool,
    /// `and`, `or`, `not` and their like are operators in `#if` (C++ without `-fno-operator-names`).
    pub operator_names: bool,
    /// Plain `char` is signed.
    pub signed_char: bool,
    /// `wchar_t` is signed.
    pub signed_wchar: bool,
    /// `sizeof(wchar_t) * 8`.
    pub wchar_bits: u32,
    /// `u8'x'` has an unsigned type.
    pub unsigned_utf8_char: bool,
}

/// A standard's year and strictness, as `-std=` names it.
struct Standard {
    year: u32,
    strict: bool,
}

impl Standard {
    fn parse(std: &[u8], language: Language) -> Option<Standard> {
        let text = std::str::from_utf8(std).ok()?;
        let (family, year) = match text {
            "ansi" if language.is_cxx() => ("c++", "98"),
            "ansi" => ("c", "90"),
            _ => match text.split_once(':') {
                Some(("iso9899", "199409")) => ("c", "94"),
                Some(("iso9899", year)) => ("c", &year[year.len().saturating_sub(2)..]),
                Some(_) => return None,
                None => text.split_at(text.find(|c: char| c.is_ascii_digit())?),
            },
        };
        let strict = matches!(family, "c" | "c++");
        if !matches!(family, "c" | "c++" | "gnu" | "gnu++") {
            return None;
        }
        let cxx = family.ends_with("++");
        let year = match (cxx, year) {
            (true, "98" | "03") => 1998,
            (true, "0x" | "11") => 2011,
            (true, "1y" | "14") => 2014,
            (true, "1z" | "17") => 2017,
            (true, "2a" | "20") => 2020,
            (true, "2b" | "23") => 2023,
            (true, "2c" | "26") => 2026,
            (false, "89" | "90") => 1990,
            (false, "94") => 1994,
            (false, "9x" | "99") => 1999,
            (false, "1x" | "11") => 2011,
            (false, "17" | "18") => 2017,
            (false, "2x" | "23") => 2023,
            (false, "2y") => 2026,
            _ => return None,
        };
        Some(Standard { year, strict })
    }

    fn default_for(language: Language, family: CompilerFamily) -> Standard {
        let year = match (language.is_cxx(), family) {
            (false, CompilerFamily::Gcc { .. }) if language == Language::ObjC => 1990,
            (true, CompilerFamily::Gcc { major }) if major < 6 => 1998,
            (true, CompilerFamily::Gcc { major }) if major < 11 => 2014,
            (true, CompilerFamily::Clang { major }) if major < 6 => 1998,
            (true, CompilerFamily::Clang { major }) if major < 16 => 2014,
            (true, _) => 2017,
            (false, CompilerFamily::Gcc { major }) if major < 5 => 1990,
            (false, CompilerFamily::Gcc { major }) if major < 8 => 2011,
            (false, CompilerFamily::Gcc { major }) if major >= 15 => 2023,
            (false, CompilerFamily::Clang { major }) if major < 4 => 1999,
            (false, CompilerFamily::Clang { major }) if major < 11 => 2011,
            (false, _) => 2017,
        };
        Standard {
            year,
            strict: false,
        }
    }
}

impl Dialect {
    /// The dialect that `-std=` value `std` (without `-std=`; `ansi` for `-ansi`; the last one on the command line) means for a
    /// language and compiler, before any `-f` option.
    ///
    /// `None` for a standard this version does not know: the caller declines. Call [`Dialect::apply_option`] with the other options in
    /// order, and [`Dialect::apply_builtins`] with the compiler's built-in macros for the target's character types.
    pub fn derive(
        language: Language,
        family: CompilerFamily,
        std: Option<&[u8]>,
    ) -> Option<Dialect> {
        let clang = family.is_clang();
        let asm = language == Language::AsmWithCpp;
        let cxx = language.is_cxx();
        let standard = match std {
            // To gcc assembler is a language without standards, except that -ansi makes strict C of it; clang takes it for
            // C of the given standard.
            Some(b"ansi") if asm && !clang => return None,
            Some(std) if !asm || clang => Standard::parse(std, language)?,
            _ => Standard::default_for(language, family),
        };
        let Standard { year, strict } = standard;
        let c90 = !cxx && year < 1999;
        let raw_strings = match (cxx, clang) {
            (true, _) => year >= 2011,
            (false, true) => {
                matches!(family, CompilerFamily::Clang { major } if major >= 19)
                    && year >= 1999
                    && !strict
            }
            (false, false) => year >= 1999 && !strict,
        };
        let unicode_literals = match (cxx, clang) {
            (true, _) => year >= 2011,
            (false, true) => year >= 2011,
            (false, false) => year >= 2011 || (year >= 1999 && !strict),
        };
        let plain_asm = asm && !clang;
        // gcc 12 still has trigraphs in C2X.
        let c_with_trigraphs =
            year < 2023 || matches!(family, CompilerFamily::Gcc { major } if major <= 12);
        let trigraphs = strict && if cxx { year < 2017 } else { c_with_trigraphs };
        let lexing = LexingMode {
            line_comments: plain_asm || cxx || !c90 || !strict,
            trigraphs,
            digraphs: !plain_asm && (cxx || year >= 1994 || !strict),
            raw_strings: raw_strings && !plain_asm,
            unicode_literals: unicode_literals && !plain_asm,
            utf8_char_literals: !plain_asm && (if cxx { year >= 2017 } else { year >= 2023 }),
            digit_separators: !plain_asm && (if cxx { year >= 2014 } else { year >= 2023 }),
            dollars: !asm,
            extended_identifiers: !asm && !c90,
            assembler: asm,
            cxx,
            elifdef: match family {
                CompilerFamily::Clang { major } => major >= 13,
                CompilerFamily::Gcc { major } => major >= 12 && (!strict || year >= 2023),
            },
            clang,
        };
        Some(Dialect {
            lexing,
            strict,
            strict_comma_paste: strict && (!clang || (!cxx && year >= 1999)),
            canonical_system_headers: !clang,
            true_false: cxx
                || (year >= 2023
                    && (clang || matches!(family, CompilerFamily::Gcc { major } if major >= 13))),
            operator_names: cxx,
            signed_char: true,
            signed_wchar: true,
            wchar_bits: 32,
            unsigned_utf8_char: !cxx,
        })
    }

    /// Applies one option that changes lexing (`-trigraphs`, `-fno-dollars-in-identifiers`, ...). Unknown options change nothing.
    pub fn apply_option(&mut self, option: &[u8]) {
        match option {
            b"-trigraphs" | b"-ftrigraphs" => self.lexing.trigraphs = true,
            b"-fno-trigraphs" => self.lexing.trigraphs = false,
            b"-fdollars-in-identifiers" => self.lexing.dollars = true,
            b"-fno-dollars-in-identifiers" => self.lexing.dollars = false,
            b"-fextended-identifiers" => self.lexing.extended_identifiers = true,
            b"-fno-extended-identifiers" => self.lexing.extended_identifiers = false,
            b"-fcanonical-system-headers" => self.canonical_system_headers = !self.lexing.clang,
            b"-fno-canonical-system-headers" => self.canonical_system_headers = false,
            b"-fno-operator-names" => self.operator_names = false,
            _ => {}
        }
    }

    /// Takes the signedness and width of character types from the compiler's built-in `#define` lines.
    pub fn apply_builtins(&mut self, builtins: &[u8], family: CompilerFamily) {
        let mut wchar_unsigned = false;
        let mut char8_t = false;
        for line in builtins.split(|&byte| byte == b'\n') {
            let Some(line) = line.strip_prefix(b"#define ") else {
                continue;
            };
            if line.starts_with(b"__CHAR_UNSIGNED__ ") {
                self.signed_char = false;
            } else if line.starts_with(b"__cpp_char8_t ") {
                char8_t = true;
            } else if line.starts_with(b"__WCHAR_UNSIGNED__ ") {
                wchar_unsigned = true;
            } else if let Some(width) = line.strip_prefix(b"__SIZEOF_WCHAR_T__ ") {
                self.wchar_bits = match width.first() {
                    Some(b'2') => 16,
                    Some(b'1') => 8,
                    _ => 32,
                };
            } else if let Some(kind) = line.strip_prefix(b"__WCHAR_TYPE__ ") {
                wchar_unsigned |= kind.windows(8).any(|word| word == b"unsigned");
            }
        }
        self.signed_wchar = !wchar_unsigned;
        // Up to gcc 12 `u8'x'` is a plain char in C++.
        let ignores_char8_t = matches!(family, CompilerFamily::Gcc { major } if major <= 12);
        if self.lexing.cxx {
            self.unsigned_utf8_char = !self.signed_char || (char8_t && !ignores_char8_t);
        }
    }
}

/// A question that only the compiler can answer, because the answer is a table inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The value of `defined(NAME)` for a name the compiler may define without listing it (`__has_feature`).
    Defined(Vec<u8>),
    /// The value of a function-like built-in, as a preprocessor expression: `__has_attribute(noreturn)`,
    /// `__has_cpp_attribute(gnu::pure)`, `__has_builtin(__builtin_memcpy)`, `__has_warning("-Wfoo")`.
    Call(Vec<u8>),
}

impl Question {
    /// The question as an expression that may stand after `#if`.
    pub fn expression(&self) -> Vec<u8> {
        match self {
            Question::Defined(name) => [b"defined(", name.as_slice(), b")"].concat(),
            Question::Call(call) => call.clone(),
        }
    }
}

/// Answers what only the compiler knows, for one configuration. Implementations keep answers and may ask several at once.
pub trait FeatureOracle: Send + Sync {
    /// The integer value of `question`, or `None` when it cannot be known (the scan then declines).
    ///
    /// `related` gives questions that are likely to follow; it is called when the compiler must be asked.
    fn answer(&self, question: &Question, related: &dyn Fn() -> Vec<Question>) -> Option<i64>;
}

/// What one option set of one compiler means for preprocessing, whatever the files hold.
#[derive(Clone)]
pub struct Configuration {
    /// The language after `-x` and file suffix are considered.
    pub language: Language,
    /// Whose rules hold.
    pub compiler: CompilerFamily,
    /// Lexing and `#if` rules.
    pub dialect: Dialect,
    /// `#define` lines as the compiler prints them (`-dM`) for this option set, without those of `-D`, `-U`, `-include` and
    /// `stdc-predef.h`. With `-undef` as the compiler prints them then.
    pub builtins: Arc<[u8]>,
    /// gcc includes `<stdc-predef.h>` first when the search path has it.
    pub pre_includes_stdc_predef: bool,
    /// The include search path, as listed on the command line, by the environment and by the compiler.
    pub search: SearchPath,
    /// `-fmax-include-depth`, 200 by default.
    pub max_include_depth: u32,
    /// `-fmacro-prefix-map=OLD=NEW` and `-ffile-prefix-map`, in command-line order; they change what `__FILE__` expands to.
    pub macro_prefix_maps: Vec<(Vec<u8>, Vec<u8>)>,
    /// Answers what only the compiler knows.
    pub oracle: Arc<dyn FeatureOracle>,
}

/// One `-D`, `-U` or `-A` of the command line; the value is what follows the option letter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CommandMacro {
    /// `-Dvalue`: `X`, `X=1`, `F(a)=a`.
    Define(Vec<u8>),
    /// `-Uname`.
    Undefine(Vec<u8>),
    /// `-Apredicate=answer`, `-A-predicate`.
    Assert(Vec<u8>),
}

/// One file that the command line includes before the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Forced {
    /// `-imacros file`: macros are kept, text is dropped. Read before every `-include`.
    Macros(OsString),
    /// `-include file`.
    Include(OsString),
}

/// One compile's own part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TranslationUnit {
    /// The directory the compiler would be started in (absolute).
    pub cwd: PathBuf,
    /// The source as on the command line.
    pub source: OsString,
    /// `-D`, `-U`, `-A` in command-line order.
    pub command_macros: Vec<CommandMacro>,
    /// `-imacros` and `-include` in command-line order.
    pub forced: Vec<Forced>,
}
