//! Names of the files that a compile writes, as gcc and clang derive them. Owns no state.

use super::Word;
use super::language::base_name;
use super::option::Action;
use super::parse::CommandLine;

/// The dependency file that a compile writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyFile {
    /// Its name, relative to the working directory if not absolute.
    pub path: Word,
    /// System headers are left out (`-MMD`, and `DEPENDENCIES_OUTPUT`).
    pub user_only: bool,
    /// The compiler appends to an existing file (`DEPENDENCIES_OUTPUT`) instead of replacing it.
    pub append: bool,
}

/// True when make needs quoting in this target name: blanks, `$`, `#`, `%`, `:`, `\`, and what
/// else a makefile takes specially. `-MT` writes a name as it is, `-MQ` quotes it.
pub fn needs_make_quoting(target: &[u8]) -> bool {
    target
        .iter()
        .any(|b| b.is_ascii_whitespace() || b" \t$#%\\:;|&*?[]~".contains(b))
}

/// `path` with the suffix of its last component replaced; appended when it has none. A component
/// that starts with its only dot is all suffix, as for gcc and clang (`.o` gives `.d`).
fn with_suffix(path: &[u8], suffix: &[u8]) -> Word {
    let name_at = path.len() - base_name(path).len();
    let end = match path[name_at..].iter().rposition(|&b| b == b'.') {
        Some(dot) => name_at + dot,
        None => path.len(),
    };
    [&path[..end], suffix].concat()
}

impl CommandLine {
    /// The object (or assembler, with `-S`) file that the compile writes: the value of `-o`, or
    /// the source's name in the working directory with `.o` (`.s`). `None` without a single
    /// source, or when the command is no compile.
    pub fn output_file(&self) -> Option<Word> {
        let suffix: &[u8] = match self.action() {
            Action::Compile => b".o",
            Action::Assemble => b".s",
            _ => return None,
        };
        if let Some(output) = self.output() {
            return Some(output.to_vec());
        }
        let llvm = self
            .items()
            .iter()
            .any(|item| self.bytes(item.text) == b"-emit-llvm");
        let suffix = match suffix {
            b".o" if llvm => b".bc",
            _ if llvm => b".ll",
            _ => suffix,
        };
        Some(with_suffix(base_name(self.source()?), suffix))
    }

    /// The target that a preprocessor without orders writes: the source's base name with `.o`,
    /// also with `-S`.
    pub fn default_dependency_target(&self) -> Option<Word> {
        Some(with_suffix(base_name(self.source()?), b".o"))
    }

    /// The dependency file that the compile writes, if any.
    ///
    /// `dependencies_output` is the environment variable `DEPENDENCIES_OUTPUT` ("FILE" or "FILE
    /// TARGET"), which gcc heeds only without `-MD` and `-MMD`, and clang never.
    pub fn dependency_file(&self, dependencies_output: Option<&[u8]>) -> Option<DependencyFile> {
        let dependencies = self.dependencies();
        if !dependencies.wanted {
            let (path, _) = self.environment(dependencies_output)?;
            return Some(DependencyFile {
                path: path.to_vec(),
                user_only: true,
                append: true,
            });
        }
        let path = match (dependencies.file, self.output()) {
            (Some(file), _) => file.to_vec(),
            (None, Some(output)) => with_suffix(output, b".d"),
            (None, None) => with_suffix(base_name(self.source()?), b".d"),
        };
        Some(DependencyFile {
            path,
            user_only: dependencies.user_only,
            append: false,
        })
    }

    /// File and target in `DEPENDENCIES_OUTPUT`, which clang does not heed.
    fn environment<'a>(&self, value: Option<&'a [u8]>) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        if self.kind().is_clang() {
            None
        } else {
            split_environment(value?)
        }
    }

    /// The targets that the dependency file names: text, and whether make's quoting applies.
    /// Empty when no dependency file is written.
    pub fn dependency_targets(&self, dependencies_output: Option<&[u8]>) -> Vec<(Word, bool)> {
        let dependencies = self.dependencies();
        let default = || {
            self.default_dependency_target()
                .map(|target| (target, true))
        };
        if !dependencies.wanted {
            return match self.environment(dependencies_output) {
                None => Vec::new(),
                Some((_, Some(target))) => vec![(target.to_vec(), false)],
                Some((_, None)) => default().into_iter().collect(),
            };
        }
        if !dependencies.targets.is_empty() {
            return dependencies
                .targets
                .iter()
                .map(|(t, q)| (t.to_vec(), *q))
                .collect();
        }
        // The driver passes the output's name on for its own -MD; gcc's does not look into -Wp.
        let from_output = dependencies.direct || self.kind().is_clang();
        match self.output().filter(|_| from_output) {
            Some(output) => vec![(output.to_vec(), true)],
            None => default().into_iter().collect(),
        }
    }
}

/// Splits `FILE TARGET` at the first blank.
fn split_environment(value: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if value.is_empty() {
        return None;
    }
    match value.iter().position(|&b| b == b' ') {
        Some(blank) => Some((&value[..blank], Some(&value[blank + 1..]))),
        None => Some((value, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_of_the_last_component_only() {
        let cases = [
            ("foo.o", "foo.d"),
            ("foo", "foo.d"),
            ("foo.", "foo.d"),
            (".o", ".d"),
            ("a.b.o", "a.b.d"),
            ("dir.x/foo", "dir.x/foo.d"),
            ("dir.x/foo.o", "dir.x/foo.d"),
            ("", ".d"),
        ];
        for (from, to) in cases {
            assert_eq!(with_suffix(from.as_bytes(), b".d"), to.as_bytes(), "{from}");
        }
    }

    #[test]
    fn the_environment_names_file_and_target() {
        assert_eq!(split_environment(b""), None);
        assert_eq!(split_environment(b"f"), Some((&b"f"[..], None)));
        assert_eq!(
            split_environment(b"f t u"),
            Some((&b"f"[..], Some(&b"t u"[..])))
        );
    }
}
