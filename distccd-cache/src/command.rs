//! What the daemon asks of a client's command line: source, object, dependency file. Owns no state.

use protocol::command_line::{CommandLine, Role, Span};

/// Why a command line is none that a server runs.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It does not compile exactly one source.
    #[error("the command line names {0} sources; a server compiles exactly one")]
    Sources(usize),
    /// It does something else than compile.
    #[error("the command line has neither -c nor -S")]
    NoCompile,
    /// A word with a NUL byte, which no program can be given.
    #[error("the command line has a NUL byte in it")]
    NulByte,
    /// No working directory, or one that is not absolute.
    #[error("the client's working directory is not an absolute path")]
    WorkingDirectory,
}

/// A command line that compiles one source.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) line: CommandLine,
    source: Span,
    /// The object (or assembler) file, as written or as the compiler would choose it.
    pub(crate) output: Vec<u8>,
    /// The dependency file, as written or as the compiler would choose it, if one was asked for.
    pub(crate) dependencies: Option<Vec<u8>>,
}

impl Command {
    /// Reads a request's words.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub(crate) fn parse(argv: &[Vec<u8>]) -> Result<Self, CommandError> {
        if argv.iter().any(|word| word.contains(&0)) {
            return Err(CommandError::NulByte);
        }
        let line = CommandLine::parse(argv);
        let mut sources = line
            .items()
            .iter()
            .filter(|item| matches!(item.role, Role::Source(_)));
        let (Some(source), None) = (sources.next().map(|item| item.text), sources.next()) else {
            return Err(CommandError::Sources(line.sources().count()));
        };
        let output = line.output_file().ok_or(CommandError::NoCompile)?;
        let dependencies = line.dependency_file(None).map(|file| file.path);
        Ok(Self {
            source,
            output,
            dependencies,
            line,
        })
    }

    /// The source as written.
    pub(crate) fn source(&self) -> &[u8] {
        self.line.bytes(self.source)
    }

    /// Whether the object will hold the command line itself, so that a word added to it would show.
    pub(crate) fn is_recorded(&self) -> bool {
        let options: [&[u8]; 4] = [
            b"-grecord-gcc-switches",
            b"-grecord-command-line",
            b"-frecord-gcc-switches",
            b"-frecord-command-line",
        ];
        self.line
            .words()
            .iter()
            .any(|word| options.contains(&word.as_slice()))
    }

    /// The words with another source.
    pub(crate) fn with_source(&self, source: &[u8]) -> Vec<Vec<u8>> {
        let mut words = self.line.words().to_vec();
        words[self.source.word] = source.to_vec();
        words
    }

    /// The words with another source and another output, for a source that was preprocessed elsewhere.
    pub(crate) fn with_files(&self, source: &[u8], output: &[u8]) -> Vec<Vec<u8>> {
        if self.line.output().is_some() {
            let mut words = self.line.with_output(output);
            words[self.source.word] = source.to_vec();
            return words;
        }
        let mut words = self.with_source(source);
        // At the end it may be behind a `--`, or the value of an option.
        words.splice(1..1, [b"-o".to_vec(), output.to_vec()]);
        words
    }

    /// The suffix, with its dot, of a preprocessed source of this language.
    pub(crate) fn preprocessed_suffix(&self) -> &'static [u8] {
        self.line
            .language()
            .map_or(b".i", |language| language.preprocessed_suffix())
    }
}

/// The name without directories of the source that a command line compiles, for people; empty when there is not one.
pub(crate) fn source_name(argv: &[Vec<u8>]) -> String {
    let line = CommandLine::parse(argv);
    crate::log::shown(base_name(line.source().unwrap_or_default()))
}

/// The last component of a path.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It stood at the end, where it was a source.
    #[test]
    fn another_output_is_one_also_where_options_end() {
        for line in [
            "gcc -c a.c",
            "gcc -c a.c -o b.o",
            "gcc -ob.o -c a.c",
            "clang -c -o b.o -- a.c",
            "clang -c -- a.c",
            "gcc -c a.c -I",
        ] {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.into()).collect();
            let moved = Command::parse(&words).unwrap().with_files(b"x.i", b"x.o");
            let moved = Command::parse(&moved).unwrap();
            assert_eq!(
                (moved.source(), &moved.output[..]),
                (&b"x.i"[..], &b"x.o"[..]),
                "{line}"
            );
        }
    }
}
