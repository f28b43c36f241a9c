//! One random compile: a tree, options, a source; how it is written to disk, and how it is shown as a test to paste.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use super::setup::Setup;

/// What a name in the tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file with its bytes.
    File(Vec<u8>),
    /// A symbolic link with its target.
    Link(String),
    /// An empty directory.
    Directory,
}

/// A name in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the working directory.
    pub name: String,
    /// What it is.
    pub content: Content,
}

/// One compile. Besides its tree there are always the empty files `leaf/l0.h`, `leaf/l1.h`, ...
#[derive(Clone, Debug)]
pub struct Case {
    /// The compiler, language and options that many cases share.
    pub setup: Setup,
    /// Further options; each group stays together.
    pub options: Vec<Vec<String>>,
    /// The tree. The source is one of the files.
    pub tree: Vec<Entry>,
}

/// Leaf headers that a working directory has.
pub const LEAVES: usize = 1500;

/// Makes the leaf headers.
pub fn plant_leaves(cwd: &Path) -> io::Result<()> {
    fs::create_dir_all(cwd.join("leaf"))?;
    (0..LEAVES).try_for_each(|leaf| fs::write(cwd.join(format!("leaf/l{leaf}.h")), b""))
}

impl Case {
    /// All options and the source, without the compiler's name.
    pub fn arguments(&self) -> Vec<String> {
        let mut words: Vec<String> = self
            .setup
            .flags
            .iter()
            .map(|flag| flag.to_string())
            .collect();
        words.extend(self.options.iter().flatten().cloned());
        words.push(self.setup.language.source().into());
        words
    }

    /// Replaces what `cwd` holds, except the leaves, with the tree.
    pub fn plant(&self, cwd: &Path) -> io::Result<()> {
        for old in fs::read_dir(cwd)? {
            let old = old?;
            if old.file_name() == "leaf" {
                continue;
            }
            match old.file_type()?.is_dir() {
                true => fs::remove_dir_all(old.path())?,
                false => fs::remove_file(old.path())?,
            }
        }
        for entry in &self.tree {
            let path = cwd.join(&entry.name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            match &entry.content {
                Content::File(bytes) => fs::write(path, bytes)?,
                Content::Link(target) => std::os::unix::fs::symlink(target, path)?,
                Content::Directory => fs::create_dir_all(path)?,
            }
        }
        Ok(())
    }

    /// The case as a call of `check` in tests/scanner.
    pub fn as_test(&self) -> String {
        let mut text = String::new();
        let mut leaves = Vec::new();
        let words: Vec<String> = self.arguments().iter().map(|word| quoted(word)).collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "check(&[{:?}], {:?}, concat!(",
            self.setup.compiler,
            words.join(" ")
        );
        for entry in &self.tree {
            match &entry.content {
                Content::File(bytes) => {
                    let _ = writeln!(text, "    \"//- {}\\n\",", shown(entry.name.as_bytes()));
                    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                        let _ = writeln!(text, "    \"{}\",", shown(line));
                        leaves.extend(leaf_names(line));
                    }
                    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
                        text.push_str(
                            "    // (no newline at the end of this file)\n    \"\\n\",\n",
                        );
                    }
                }
                Content::Link(target) => {
                    let _ = writeln!(text, "    \"//- {} -> {target}\\n\",", entry.name);
                }
                Content::Directory => {
                    let _ = writeln!(text, "    \"//- {}/\\n\",", entry.name);
                }
            }
        }
        leaves.sort();
        leaves.dedup();
        for leaf in leaves {
            let _ = writeln!(text, "    \"//- leaf/{leaf}\\n\",");
        }
        text.push_str("));\n");
        text
    }
}

fn quoted(word: &str) -> String {
    match word.contains([' ', '\n', '\'']) {
        true => format!("'{word}'"),
        false => word.into(),
    }
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .flat_map(char::escape_debug)
        .collect::<String>()
        .replace("\\'", "'")
}

/// Names of leaves that a line mentions.
fn leaf_names(line: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(line);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    words
        .filter(|word| {
            word.strip_prefix('l')
                .and_then(|word| word.strip_suffix(".h"))
                .is_some_and(|number| number.parse::<u32>().is_ok())
        })
        .map(String::from)
        .collect()
}
