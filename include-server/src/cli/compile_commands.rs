//! `compile_commands.json`, in both of its forms, as queries.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use protocol::command_line::{ResponseLimits, expand_response_files};
use protocol::include_dialogue::Query;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use super::CliError;

/// One entry as the file has it. Names are bytes: JSON should be UTF-8, and CMake writes what it finds.
#[derive(Deserialize)]
struct Entry {
    directory: Bytes,
    file: Bytes,
    arguments: Option<Vec<Bytes>>,
    command: Option<Bytes>,
}

/// A JSON string that need not be UTF-8.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a string")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes(text.as_bytes().to_vec()))
            }
        }
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

/// One compile of the project.
pub(super) struct CompileCommand {
    /// For messages, as the file has it.
    pub(super) directory: String,
    /// For messages, as the file has it.
    pub(super) file: String,
    pub(super) query: Query,
}

/// Reads the file. Every entry is given `environment`.
pub(super) fn read(
    path: &Path,
    environment: &[(Vec<u8>, Vec<u8>)],
) -> Result<Vec<CompileCommand>, CliError> {
    let bytes = std::fs::read(path).map_err(CliError::io(format!("{}", path.display())))?;
    let shown = path.to_owned();
    let wrong = |why: String| CliError::CompileCommands {
        path: shown.clone(),
        why,
    };
    let entries: Vec<Entry> =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    // A relative directory is taken from the file's own.
    let path = std::path::absolute(path).map_err(CliError::io("the working directory"))?;
    let base = path.parent().unwrap_or(Path::new("/"));
    entries
        .into_iter()
        .enumerate()
        .map(|(number, entry)| {
            let words = match (entry.arguments, entry.command) {
                (Some(words), _) => words.into_iter().map(|word| word.0).collect(),
                (None, Some(command)) => shell_words(&command.0),
                (None, None) => {
                    let why = format!("entry {number} has neither \"arguments\" nor \"command\"");
                    return Err(wrong(why));
                }
            };
            if words.is_empty() {
                return Err(wrong(format!("entry {number} has an empty command")));
            }
            let cwd = working_directory(base, Path::new(OsStr::from_bytes(&entry.directory.0)));
            let text = |bytes: &Bytes| String::from_utf8_lossy(&bytes.0).into_owned();
            Ok(CompileCommand {
                query: query(words, &cwd, environment),
                directory: text(&entry.directory),
                file: text(&entry.file),
            })
        })
        .collect()
}

/// The directory of an entry, as a compiler that was started there would know it.
fn working_directory(base: &Path, directory: &Path) -> PathBuf {
    if directory.is_absolute() {
        return directory.to_owned();
    }
    let joined = base.join(directory);
    // Without `.` and `..`, as the system would name it; a directory that is gone cannot be named better.
    std::fs::canonicalize(&joined).unwrap_or(joined)
}

/// The words of a command as a shell without variables splits them.
pub(crate) fn shell_words(command: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = command.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (None, b' ' | b'\t' | b'\n') => words.extend(word.take()),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (Some(mark), _) if byte == mark => quote = None,
            // Within double quotes a backslash stands for itself before most.
            (Some(b'"'), b'\\')
                if !matches!(bytes.peek(), Some(b'"' | b'\\' | b'$' | b'`' | b'\n')) =>
            {
                word.get_or_insert_default().push(byte);
            }
            (None | Some(b'"'), b'\\') => match bytes.next() {
                Some(b'\n') => {}
                Some(next) => word.get_or_insert_default().push(next),
                None => word.get_or_insert_default().push(byte),
            },
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

/// A query for one command, its response files expanded.
pub(super) fn query(words: Vec<Vec<u8>>, cwd: &Path, environment: &[(Vec<u8>, Vec<u8>)]) -> Query {
    let read = |name: &[u8]| {
        let path: PathBuf = cwd.join(OsStr::from_bytes(name));
        std::fs::read(path).ok()
    };
    // Files that cannot be expanded stay as words, which the interpretation then refuses by name.
    let words = expand_response_files(&words, ResponseLimits::default(), read).unwrap_or(words);
    Query {
        cwd: cwd.as_os_str().as_bytes().to_vec(),
        environment: Some(
            environment
                .iter()
                .map(|(name, value)| [name, b"=".as_slice(), value].concat())
                .collect(),
        ),
        argv: words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> Result<Vec<Vec<u8>>, CliError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("compile_commands.json");
        std::fs::write(&path, json).unwrap();
        std::fs::write(directory.path().join("more"), "-DB -DC='x y'").unwrap();
        let commands = read(&path, &[])?;
        assert_eq!(commands.len(), 1);
        let real = directory.path().canonicalize().unwrap();
        assert_eq!(commands[0].query.cwd, real.as_os_str().as_bytes());
        Ok(commands.into_iter().next().unwrap().query.argv)
    }

    #[test]
    fn both_forms() {
        let quoted = r#"[{"directory": ".", "file": "a.c", "command": "gcc -DA=\\\"x\\\" '-DS=a b' \"-I d\" @more -c a.c"}]"#;
        let expected = [
            "gcc",
            "-DA=\"x\"",
            "-DS=a b",
            "-I d",
            "-DB",
            "-DC=x y",
            "-c",
            "a.c",
        ];
        assert_eq!(
            words(quoted).unwrap(),
            expected.map(|w| w.as_bytes().to_vec())
        );
        let listed =
            r#"[{"directory": ".", "file": "a.c", "arguments": ["gcc", "-DS=a b", "a.c"]}]"#;
        let expected = ["gcc", "-DS=a b", "a.c"];
        assert_eq!(
            words(listed).unwrap(),
            expected.map(|w| w.as_bytes().to_vec())
        );
        for wrong in [
            "",
            "{}",
            r#"[{"directory": ".", "file": "a.c"}]"#,
            r#"[{"directory": ".", "file": "a.c", "command": " "}]"#,
            r#"[{"directory": ".", "file": "a.c", "arguments": []}]"#,
        ] {
            assert!(matches!(
                words(wrong),
                Err(CliError::CompileCommands { .. })
            ));
        }
    }

    #[test]
    fn a_command_is_split_as_a_shell_does() {
        let split = |text: &str| -> Vec<String> {
            let words = shell_words(text.as_bytes()).into_iter();
            words.map(|word| String::from_utf8(word).unwrap()).collect()
        };
        assert_eq!(split(r#"a  'b c'd "e f" ''"#), ["a", "b cd", "e f", ""]);
        assert_eq!(
            split(r#"-DA=\"x\" "-DB=\"y\"""#),
            ["-DA=\"x\"", "-DB=\"y\""]
        );
        // A response file would lose these backslashes.
        assert_eq!(split(r#"'a\n' "b\n" c\n"#), ["a\\n", "b\\n", "cn"]);
        assert_eq!(split("a\\\nb \"c\\\nd\""), ["ab", "cd"]);
        assert_eq!(split(r"end\"), ["end\\"]);
        assert!(split(" \t\n").is_empty());
    }

    #[test]
    fn directories() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("a/b")).unwrap();
        let of = |directory: &str| working_directory(&base, Path::new(directory));
        assert_eq!(of("a/./b"), base.join("a/b"));
        assert_eq!(of("a/b/.."), base.join("a"));
        assert_eq!(of("gone"), base.join("gone"));
        // As the build knew it.
        assert_eq!(of("/x/../y"), Path::new("/x/../y"));
    }

    #[test]
    fn names_need_not_be_utf_8() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("compile_commands.json");
        let json =
            b"[{\"directory\": \"/\xe9\", \"file\": \"\xe9.c\", \"command\": \"gcc -c \xe9.c\"}]";
        std::fs::write(&path, json).unwrap();
        let commands = read(&path, &[]).unwrap();
        assert_eq!(commands[0].query.cwd, b"/\xe9");
        assert_eq!(commands[0].query.argv[2], b"\xe9.c");
    }
}
