//! Source languages and the file name suffixes that select them. Owns the suffix table.

/// What a compiler takes a file to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
    /// Objective-C.
    ObjC,
    /// Objective-C++.
    ObjCxx,
    /// Assembler, never preprocessed (`.s`).
    Assembler,
    /// Assembler through the C preprocessor (`.S`, `.sx`).
    AssemblerWithCpp,
    /// A language that is never distributed (Fortran, Ada, CUDA, LLVM IR, ...).
    Other,
}

/// A file's language together with the stage it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceLanguage {
    /// The language.
    pub language: Language,
    /// The file went through the preprocessor before (`.i`, `-x cpp-output`).
    pub preprocessed: bool,
    /// The file is a header, so compiling it writes a precompiled header.
    pub header: bool,
}

impl SourceLanguage {
    const fn source(language: Language) -> Self {
        Self {
            language,
            preprocessed: false,
            header: false,
        }
    }

    const fn cpp_output(language: Language) -> Self {
        Self {
            language,
            preprocessed: true,
            header: false,
        }
    }

    const fn header(language: Language) -> Self {
        Self {
            language,
            preprocessed: false,
            header: true,
        }
    }

    /// The suffix, with its dot, of this language's preprocessed files: `.i .ii .mi .mii`, and
    /// `.s` for assembler.
    pub fn preprocessed_suffix(self) -> &'static [u8] {
        match self.language {
            Language::C | Language::Other => b".i",
            Language::Cxx => b".ii",
            Language::ObjC => b".mi",
            Language::ObjCxx => b".mii",
            Language::Assembler | Language::AssemblerWithCpp => b".s",
        }
    }

    /// The `-x` word for this language.
    pub fn name(self) -> &'static [u8] {
        match (self.language, self.header) {
            _ if self.preprocessed => self.preprocessed_name(),
            (Language::C | Language::Other, false) => b"c",
            (Language::C | Language::Other, true) => b"c-header",
            (Language::Cxx, false) => b"c++",
            (Language::Cxx, true) => b"c++-header",
            (Language::ObjC, false) => b"objective-c",
            (Language::ObjC, true) => b"objective-c-header",
            (Language::ObjCxx, false) => b"objective-c++",
            (Language::ObjCxx, true) => b"objective-c++-header",
            (Language::Assembler, _) => b"assembler",
            (Language::AssemblerWithCpp, _) => b"assembler-with-cpp",
        }
    }

    /// The `-x` word for this language after preprocessing, as gcc and clang both know it.
    pub fn preprocessed_name(self) -> &'static [u8] {
        match self.language {
            Language::C | Language::Other => b"cpp-output",
            Language::Cxx => b"c++-cpp-output",
            Language::ObjC => b"objective-c-cpp-output",
            Language::ObjCxx => b"objective-c++-cpp-output",
            Language::Assembler | Language::AssemblerWithCpp => b"assembler",
        }
    }
}

/// One suffix: its spelling without the dot, and what it means.
struct SuffixRow {
    suffix: &'static str,
    is: SourceLanguage,
    /// Stock distcc 3.4 takes such an operand for a source. A server of that age refuses others.
    stock: bool,
}

const fn stock(suffix: &'static str, is: SourceLanguage) -> SuffixRow {
    SuffixRow {
        suffix,
        is,
        stock: true,
    }
}

const fn other(suffix: &'static str, is: SourceLanguage) -> SuffixRow {
    SuffixRow {
        suffix,
        is,
        stock: false,
    }
}

/// Sorted by suffix. Suffixes that are not here belong to objects, libraries or nothing we know.
const SUFFIXES: &[SuffixRow] = &[
    other("ASM", SourceLanguage::source(Language::Other)),
    stock("C", SourceLanguage::source(Language::Cxx)),
    other("CC", SourceLanguage::source(Language::Cxx)),
    other("CPP", SourceLanguage::source(Language::Cxx)),
    other("CXX", SourceLanguage::source(Language::Cxx)),
    other("F", SourceLanguage::source(Language::Other)),
    other("F03", SourceLanguage::source(Language::Other)),
    other("F08", SourceLanguage::source(Language::Other)),
    other("F90", SourceLanguage::source(Language::Other)),
    other("F95", SourceLanguage::source(Language::Other)),
    other("FOR", SourceLanguage::source(Language::Other)),
    other("FPP", SourceLanguage::source(Language::Other)),
    other("FTN", SourceLanguage::source(Language::Other)),
    other("H", SourceLanguage::header(Language::Cxx)),
    other("HPP", SourceLanguage::header(Language::Cxx)),
    stock("M", SourceLanguage::source(Language::ObjCxx)),
    stock("S", SourceLanguage::source(Language::AssemblerWithCpp)),
    other("adb", SourceLanguage::source(Language::Other)),
    other("ads", SourceLanguage::source(Language::Other)),
    other("asm", SourceLanguage::source(Language::Other)),
    other("ast", SourceLanguage::source(Language::Other)),
    other("bc", SourceLanguage::source(Language::Other)),
    stock("c", SourceLanguage::source(Language::C)),
    stock("c++", SourceLanguage::source(Language::Cxx)),
    other("c++m", SourceLanguage::source(Language::Other)),
    stock("cc", SourceLanguage::source(Language::Cxx)),
    other("ccm", SourceLanguage::source(Language::Other)),
    other("cir", SourceLanguage::source(Language::Other)),
    other("cl", SourceLanguage::source(Language::Other)),
    other("clcpp", SourceLanguage::source(Language::Other)),
    stock("cp", SourceLanguage::source(Language::Cxx)),
    stock("cpp", SourceLanguage::source(Language::Cxx)),
    other("cppm", SourceLanguage::source(Language::Other)),
    other("cu", SourceLanguage::source(Language::Other)),
    other("cui", SourceLanguage::source(Language::Other)),
    stock("cxx", SourceLanguage::source(Language::Cxx)),
    other("cxxm", SourceLanguage::source(Language::Other)),
    other("d", SourceLanguage::source(Language::Other)),
    other("di", SourceLanguage::source(Language::Other)),
    other("f", SourceLanguage::source(Language::Other)),
    other("f03", SourceLanguage::source(Language::Other)),
    other("f08", SourceLanguage::source(Language::Other)),
    other("f90", SourceLanguage::source(Language::Other)),
    other("f95", SourceLanguage::source(Language::Other)),
    other("for", SourceLanguage::source(Language::Other)),
    other("fpp", SourceLanguage::source(Language::Other)),
    other("ftn", SourceLanguage::source(Language::Other)),
    other("go", SourceLanguage::source(Language::Other)),
    other("h", SourceLanguage::header(Language::C)),
    other("h++", SourceLanguage::header(Language::Cxx)),
    other("hh", SourceLanguage::header(Language::Cxx)),
    other("hip", SourceLanguage::source(Language::Other)),
    other("hlsl", SourceLanguage::source(Language::Other)),
    other("hp", SourceLanguage::header(Language::Cxx)),
    other("hpp", SourceLanguage::header(Language::Cxx)),
    other("hxx", SourceLanguage::header(Language::Cxx)),
    stock("i", SourceLanguage::cpp_output(Language::C)),
    other("ifs", SourceLanguage::source(Language::Other)),
    stock("ii", SourceLanguage::cpp_output(Language::Cxx)),
    other("iii", SourceLanguage::source(Language::Other)),
    other("iim", SourceLanguage::source(Language::Other)),
    other("ixx", SourceLanguage::source(Language::Other)),
    other("ll", SourceLanguage::source(Language::Other)),
    stock("m", SourceLanguage::source(Language::ObjC)),
    stock("mi", SourceLanguage::cpp_output(Language::ObjC)),
    stock("mii", SourceLanguage::cpp_output(Language::ObjCxx)),
    stock("mm", SourceLanguage::source(Language::ObjCxx)),
    other("pcm", SourceLanguage::source(Language::Other)),
    other("rs", SourceLanguage::source(Language::Other)),
    stock("s", SourceLanguage::source(Language::Assembler)),
    other("sx", SourceLanguage::source(Language::AssemblerWithCpp)),
    other("tcc", SourceLanguage::header(Language::Cxx)),
];

/// The suffix of a path without its dot: what follows the last dot of the last component.
/// A name without a dot, and one that ends in its only dot, has none.
pub fn suffix(path: &[u8]) -> Option<&[u8]> {
    let name = base_name(path);
    let dot = name.iter().rposition(|&b| b == b'.')?;
    let suffix = &name[dot + 1..];
    (!suffix.is_empty()).then_some(suffix)
}

/// The last component of a path.
pub(super) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

fn row(suffix: &[u8]) -> Option<&'static SuffixRow> {
    let at = SUFFIXES
        .binary_search_by(|row| row.suffix.as_bytes().cmp(suffix))
        .ok()?;
    Some(&SUFFIXES[at])
}

/// The language that a suffix (without dot) selects with the drivers `gcc` and `clang`; with
/// `cxx_driver` as `g++` and `clang++` do, for which `.c`, `.h` and `.i` are C++.
pub fn language_of_suffix(suffix: &[u8], cxx_driver: bool) -> Option<SourceLanguage> {
    let mut is = row(suffix)?.is;
    if cxx_driver && is.language == Language::C {
        is.language = Language::Cxx;
    }
    Some(is)
}

/// The language that the word after `-x` selects; `None` for `none` (back to suffixes).
pub fn language_of_name(name: &[u8]) -> Option<SourceLanguage> {
    let is = match name {
        b"none" => return None,
        b"c" => SourceLanguage::source(Language::C),
        b"c++" => SourceLanguage::source(Language::Cxx),
        b"objective-c" => SourceLanguage::source(Language::ObjC),
        b"objective-c++" => SourceLanguage::source(Language::ObjCxx),
        b"cpp-output" => SourceLanguage::cpp_output(Language::C),
        b"c++-cpp-output" => SourceLanguage::cpp_output(Language::Cxx),
        b"objective-c-cpp-output" | b"objc-cpp-output" => {
            SourceLanguage::cpp_output(Language::ObjC)
        }
        b"objective-c++-cpp-output" | b"objc++-cpp-output" => {
            SourceLanguage::cpp_output(Language::ObjCxx)
        }
        b"c-header" => SourceLanguage::header(Language::C),
        b"c++-header" | b"c++-system-header" | b"c++-user-header" => {
            SourceLanguage::header(Language::Cxx)
        }
        b"objective-c-header" => SourceLanguage::header(Language::ObjC),
        b"objective-c++-header" => SourceLanguage::header(Language::ObjCxx),
        b"assembler" => SourceLanguage::source(Language::Assembler),
        b"assembler-with-cpp" => SourceLanguage::source(Language::AssemblerWithCpp),
        _ => SourceLanguage::source(Language::Other),
    };
    Some(is)
}

/// True when the suffix says that a file is source in some language a compiler driver knows
/// (headers included: naming one compiles it).
pub fn is_source(path: &[u8]) -> bool {
    suffix(path).is_some_and(|s| row(s).is_some())
}

/// True when stock distcc 3.4 takes a file of that name for a source.
pub(super) fn is_source_for_stock(path: &[u8]) -> bool {
    suffix(path).and_then(row).is_some_and(|row| row.stock)
}

/// True for an object file's name (`.o`).
pub fn is_object(path: &[u8]) -> bool {
    suffix(path) == Some(b"o")
}

/// True when the suffix says that the file was preprocessed before: `.i .ii .mi .mii`.
pub fn is_preprocessed(path: &[u8]) -> bool {
    suffix(path)
        .and_then(row)
        .is_some_and(|row| row.is.preprocessed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_sorted_and_found() {
        for pair in SUFFIXES.windows(2) {
            assert!(
                pair[0].suffix < pair[1].suffix,
                "{} {}",
                pair[0].suffix,
                pair[1].suffix
            );
        }
        for row in SUFFIXES {
            let name = format!("dir.x/a.b.{}", row.suffix);
            assert!(is_source(name.as_bytes()), "{name}");
            assert_eq!(
                language_of_suffix(row.suffix.as_bytes(), false),
                Some(row.is)
            );
        }
        assert!(!is_source(b"dir.c/plain"));
        assert!(!is_source(b"a.o") && is_object(b"a.o"));
        assert!(!is_source(b"c") && !is_source(b"a."));
        assert!(is_source(b".c"));
        assert!(is_preprocessed(b"x.mii") && !is_preprocessed(b"x.mm"));
    }

    #[test]
    fn a_cxx_driver_takes_c_for_cxx() {
        assert_eq!(
            language_of_suffix(b"c", true),
            Some(SourceLanguage::source(Language::Cxx))
        );
        assert_eq!(
            language_of_suffix(b"i", true),
            Some(SourceLanguage::cpp_output(Language::Cxx))
        );
        assert_eq!(
            language_of_suffix(b"m", true),
            Some(SourceLanguage::source(Language::ObjC))
        );
        assert_eq!(
            language_of_suffix(b"c", false),
            Some(SourceLanguage::source(Language::C))
        );
    }

    #[test]
    fn names_after_dash_x() {
        assert_eq!(language_of_name(b"none"), None);
        assert_eq!(
            language_of_name(b"c++"),
            Some(SourceLanguage::source(Language::Cxx))
        );
        assert_eq!(
            language_of_name(b"ada"),
            Some(SourceLanguage::source(Language::Other))
        );
        for language in [Language::C, Language::Cxx, Language::ObjC, Language::ObjCxx] {
            let name = SourceLanguage::source(language).preprocessed_name();
            assert_eq!(
                language_of_name(name),
                Some(SourceLanguage::cpp_output(language))
            );
            let suffix = &SourceLanguage::source(language).preprocessed_suffix()[1..];
            assert_eq!(
                language_of_suffix(suffix, false),
                Some(SourceLanguage::cpp_output(language))
            );
        }
    }
}
