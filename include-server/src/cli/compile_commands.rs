//! `compile_commands.json`, in both of its forms, as queries.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use protocol::command_line::{ResponseLimits, expand_response_files, expand_response_text};
use protocol::include_dialogue::Query;
use serde::Deserialize;

use super::CliError;

/// One entry as the file has it.
#[derive(Deserialize)]
struct Entry {
    directory: String,
    file: String,
    arguments: Option<Vec<String>>,
    command: Option<String>,
}

/// One compile of the project.
pub(super) struct CompileCommand {
    pub(super) directory: String,
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
                (Some(words), _) => words.into_iter().map(String::into_bytes).collect(),
                // The quoting of a shell and that of a response file agree.
                (None, Some(command)) => expand_response_text(command.as_bytes()),
                (None, None) => {
                    let why = format!("entry {number} has neither \"arguments\" nor \"command\"");
                    return Err(wrong(why));
                }
            };
            let cwd = base.join(&entry.directory);
            Ok(CompileCommand {
                query: query(words, &cwd, environment),
                directory: entry.directory,
                file: entry.file,
            })
        })
        .collect()
}

/// A query for one command, its response files expanded.
pub(super) fn query(words: Vec<Vec<u8>>, cwd: &Path, environment: &[(Vec<u8>, Vec<u8>)]) -> Query {
    let read = |name: &[u8]| {
        let path: PathBuf = cwd.join(std::ffi::OsStr::from_bytes(name));
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
        assert_eq!(
            commands[0].query.cwd,
            directory.path().join(".").as_os_str().as_bytes()
        );
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
        for wrong in ["", "{}", r#"[{"directory": ".", "file": "a.c"}]"#] {
            assert!(matches!(
                words(wrong),
                Err(CliError::CompileCommands { .. })
            ));
        }
    }
}
