//! Names that the preprocessor defines by itself and does not list with `-dM`.

use crate::atom::{Atom, known};
use crate::configuration::{CompilerFamily, Language};

/// A macro that the preprocessor computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// `__FILE__`
    File,
    /// `__FILE_NAME__`
    FileName,
    /// `__BASE_FILE__`
    BaseFile,
    /// `__LINE__`
    Line,
    /// `__INCLUDE_LEVEL__`
    IncludeLevel,
    /// `__COUNTER__`
    Counter,
    /// `__DATE__`, `__TIME__`, `__TIMESTAMP__`: strings, of no use in a directive.
    Moment,
    /// `_Pragma`
    Pragma,
    /// `__has_include`
    HasInclude,
    /// `__has_include_next`
    HasIncludeNext,
    /// `__has_embed`
    HasEmbed,
    /// A function-like one that the compiler must be asked about.
    Question,
}

impl Builtin {
    /// In the order of their numbers.
    pub const ALL: [Builtin; 12] = [
        Builtin::File,
        Builtin::FileName,
        Builtin::BaseFile,
        Builtin::Line,
        Builtin::IncludeLevel,
        Builtin::Counter,
        Builtin::Moment,
        Builtin::Pragma,
        Builtin::HasInclude,
        Builtin::HasIncludeNext,
        Builtin::HasEmbed,
        Builtin::Question,
    ];
}

/// The built-in names of a compiler and language, with what they are.
pub fn names(family: CompilerFamily, language: Language) -> impl Iterator<Item = (Atom, Builtin)> {
    let assembler = language == Language::AsmWithCpp;
    let (gcc, clang) = match family {
        CompilerFamily::Gcc { major } => (major, 0),
        CompilerFamily::Clang { major } => (0, major),
    };
    // For each name: gcc since (0 never), clang since (0 never), also in assembler with gcc.
    let table: [(Atom, Builtin, u32, u32, bool); 30] = [
        (known::FILE, Builtin::File, 1, 1, true),
        (known::FILE_NAME, Builtin::FileName, 12, 9, true),
        (known::BASE_FILE, Builtin::BaseFile, 1, 1, true),
        (known::LINE, Builtin::Line, 1, 1, true),
        (known::INCLUDE_LEVEL, Builtin::IncludeLevel, 1, 1, true),
        (known::COUNTER, Builtin::Counter, 4, 1, true),
        (known::DATE, Builtin::Moment, 1, 1, true),
        (known::TIME, Builtin::Moment, 1, 1, true),
        (known::TIMESTAMP, Builtin::Moment, 4, 1, true),
        (known::PRAGMA, Builtin::Pragma, 3, 1, true),
        (known::HAS_INCLUDE, Builtin::HasInclude, 5, 1, true),
        (known::HAS_INCLUDE_NEXT, Builtin::HasIncludeNext, 5, 1, true),
        (known::HAS_EMBED, Builtin::HasEmbed, 15, 19, true),
        (known::HAS_ATTRIBUTE, Builtin::Question, 5, 1, false),
        (known::HAS_CPP_ATTRIBUTE, Builtin::Question, 5, 4, false),
        (known::HAS_C_ATTRIBUTE, Builtin::Question, 11, 9, false),
        (
            known::HAS_DECLSPEC_ATTRIBUTE,
            Builtin::Question,
            0,
            4,
            false,
        ),
        (known::HAS_BUILTIN, Builtin::Question, 10, 1, false),
        (
            known::HAS_CONSTEXPR_BUILTIN,
            Builtin::Question,
            0,
            19,
            false,
        ),
        (known::HAS_FEATURE, Builtin::Question, 14, 1, false),
        (known::HAS_EXTENSION, Builtin::Question, 14, 1, false),
        (known::HAS_WARNING, Builtin::Question, 0, 1, false),
        (known::IS_IDENTIFIER, Builtin::Question, 0, 3, false),
        (known::BUILDING_MODULE, Builtin::Question, 0, 3, false),
        (known::IS_TARGET_ARCH, Builtin::Question, 0, 6, false),
        (known::IS_TARGET_VENDOR, Builtin::Question, 0, 6, false),
        (known::IS_TARGET_OS, Builtin::Question, 0, 6, false),
        (known::IS_TARGET_ENVIRONMENT, Builtin::Question, 0, 6, false),
        (known::IS_TARGET_VARIANT_OS, Builtin::Question, 0, 17, false),
        (
            known::IS_TARGET_VARIANT_ENVIRONMENT,
            Builtin::Question,
            0,
            17,
            false,
        ),
    ];
    table.into_iter().filter_map(
        move |(name, builtin, since_gcc, since_clang, in_assembler)| {
            let known = (since_gcc > 0 && gcc >= since_gcc && (!assembler || in_assembler))
                || (since_clang > 0 && clang >= since_clang);
            known.then_some((name, builtin))
        },
    )
}

/// Whether `#pragma GCC target` may define, undefine or change this macro. Target macros look like `__AVX2__`, on Arm also like
/// `__ARM_FEATURE_SVE`; names known to mean something else are excepted.
pub fn may_depend_on_target(name: &[u8]) -> bool {
    const OTHERS: [&str; 55] = [
        "__iamcu",
        "__GNUC",
        "__GNUG",
        "__STDC",
        "__cplusplus",
        "__cpp_",
        "__has_",
        "__x86_64",
        "__i386",
        "__aarch64",
        "__linux",
        "__gnu_linux",
        "__unix",
        "__ELF",
        "__LP64",
        "__CHAR",
        "__INT",
        "__UINT",
        "__SIZE",
        "__WCHAR",
        "__WINT",
        "__PTRDIFF",
        "__BYTE_ORDER",
        "__ORDER_",
        "__FLOAT_WORD",
        "__USE_",
        "__DISABLE_",
        "__need_",
        "__GLIBC",
        "__OPTIMIZE",
        "__VERSION",
        "__EXCEPTIONS",
        "__STRICT_ANSI",
        "__KERNEL",
        "__ASSEMBLER",
        "__NO_INLINE",
        "__USER_LABEL",
        "__clang",
        "__OBJC",
        "__SSP",
        "__DEPRECATED",
        "__INTEL_COMPILER",
        "__ICC",
        "__CUDA",
        "__CYGWIN",
        "__MINGW",
        "__APPLE",
        "__ANDROID",
        "__FreeBSD",
        "__NetBSD",
        "__OpenBSD",
        "__sun",
        "__hpux",
        "__WORDSIZE",
        "__LDBL_MANT",
    ];
    let looks = (name.starts_with(b"__") && name.ends_with(b"__")) || name.starts_with(b"__ARM_");
    // `__STDDEF_H__` is an include guard.
    let guard = name.ends_with(b"_H__") || name.ends_with(b"_HPP__");
    looks
        && !guard
        && !OTHERS
            .iter()
            .any(|other| name.starts_with(other.as_bytes()))
}

/// Whether `#pragma GCC optimize` may define, undefine or change this macro.
pub fn may_depend_on_optimization(name: &[u8]) -> bool {
    const TOUCHED: [&str; 16] = [
        "__OPTIMIZE",
        "__NO_INLINE__",
        "__FAST_MATH__",
        "__FINITE_MATH_ONLY__",
        "__NO_MATH_ERRNO__",
        "__ROUNDING_MATH__",
        "__SUPPORT_SNAN__",
        "__NO_SIGNED_ZEROS__",
        "__NO_TRAPPING_MATH__",
        "__RECIPROCAL_MATH__",
        "__ASSOCIATIVE_MATH__",
        "__GCC_IEC_559",
        "__GNUC_GNU_INLINE__",
        "__GNUC_STDC_INLINE__",
        "__SSP",
        "__CET__",
    ];
    TOUCHED
        .iter()
        .any(|touched| name.starts_with(touched.as_bytes()))
}
