//! Which compiler a program name means. Owns no state; looks at the name only.

/// The compiler that a program's name promises.
///
/// The name is all there is here: `cc` may be gcc or clang, only running it can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompilerKind {
    /// `gcc`, `x86_64-linux-gnu-gcc-12`.
    Gcc,
    /// `g++`, `aarch64-linux-gnu-g++`.
    Gxx,
    /// `clang`, `clang-19`.
    Clang,
    /// `clang++`, `clang++-19`.
    Clangxx,
    /// `cc`, `c89`, `c99`: the system's C compiler.
    Cc,
    /// `c++`: the system's C++ compiler.
    Cxx,
    /// `nvcc`, which takes options of its own.
    Nvcc,
    /// Any other name.
    Other,
}

impl CompilerKind {
    /// True when the driver takes `.c`, `.h` and `.i` operands as C++.
    pub fn assumes_cxx(self) -> bool {
        matches!(self, Self::Gxx | Self::Clangxx | Self::Cxx)
    }

    /// True when the name says clang.
    pub fn is_clang(self) -> bool {
        matches!(self, Self::Clang | Self::Clangxx)
    }
}

/// The kind of compiler that `argv0` names, by its last path component without a target prefix
/// (`x86_64-linux-gnu-`) and without a version suffix (`-12`, `-19.1`, `12`).
pub fn compiler_kind(argv0: &[u8]) -> CompilerKind {
    let name = argv0.rsplit(|&b| b == b'/').next().unwrap_or(argv0);
    let name = strip_version_suffix(name);
    let kinds: [(&[u8], CompilerKind); 14] = [
        (b"clang++", CompilerKind::Clangxx),
        (b"clang", CompilerKind::Clang),
        (b"g++", CompilerKind::Gxx),
        (b"gcc", CompilerKind::Gcc),
        (b"c++", CompilerKind::Cxx),
        (b"cc", CompilerKind::Cc),
        (b"c89", CompilerKind::Cc),
        (b"c99", CompilerKind::Cc),
        (b"nvcc", CompilerKind::Nvcc),
        (b"c89-gcc", CompilerKind::Gcc),
        (b"c99-gcc", CompilerKind::Gcc),
        (b"clang-cpp", CompilerKind::Other),
        (b"clang-cl", CompilerKind::Other),
        (b"gcc-ar", CompilerKind::Other),
    ];
    for (base, kind) in kinds {
        if name == base {
            return kind;
        }
    }
    for (base, kind) in kinds {
        let prefixed = name.len() > base.len() + 1
            && name.ends_with(base)
            && name[name.len() - base.len() - 1] == b'-';
        if prefixed {
            return kind;
        }
    }
    CompilerKind::Other
}

/// `name` without the version that distributions append: `gcc-12`, `clang++-19`, `clang19`,
/// `gcc-4.9.4`. `c89` and `c99` are names, not versions.
pub fn strip_version_suffix(name: &[u8]) -> &[u8] {
    let digits = |b: &u8| b.is_ascii_digit() || *b == b'.';
    let end = name.len() - name.iter().rev().take_while(|b| digits(b)).count();
    let stem = &name[..end];
    if end == name.len() || stem.is_empty() || stem.ends_with(b"c") && is_standard_c(name) {
        return name;
    }
    stem.strip_suffix(b"-").unwrap_or(stem)
}

/// True for `c89` and `c99`, alone or after a target prefix.
fn is_standard_c(name: &[u8]) -> bool {
    let last = name.rsplit(|&b| b == b'-').next().unwrap_or(name);
    last == b"c89" || last == b"c99"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_prefix_and_version() {
        let cases: [(&str, CompilerKind); 22] = [
            ("gcc", CompilerKind::Gcc),
            ("/usr/bin/gcc-12", CompilerKind::Gcc),
            ("x86_64-linux-gnu-gcc", CompilerKind::Gcc),
            ("x86_64-linux-gnu-gcc-12.2.0", CompilerKind::Gcc),
            ("g++", CompilerKind::Gxx),
            ("aarch64-linux-gnu-g++-12", CompilerKind::Gxx),
            ("clang", CompilerKind::Clang),
            ("clang-19", CompilerKind::Clang),
            ("clang19", CompilerKind::Clang),
            ("clang++-19", CompilerKind::Clangxx),
            ("x86_64-pc-linux-gnu-clang++", CompilerKind::Clangxx),
            ("cc", CompilerKind::Cc),
            ("c99", CompilerKind::Cc),
            ("c99-gcc", CompilerKind::Gcc),
            ("c++", CompilerKind::Cxx),
            ("nvcc", CompilerKind::Nvcc),
            ("clang-cpp-19", CompilerKind::Other),
            ("clang-cl", CompilerKind::Other),
            ("gcc-ar", CompilerKind::Other),
            ("ccache", CompilerKind::Other),
            ("", CompilerKind::Other),
            ("12", CompilerKind::Other),
        ];
        for (name, kind) in cases {
            assert_eq!(compiler_kind(name.as_bytes()), kind, "{name}");
        }
    }
}
