//! One random compile: a tree, options, a source; how it is written to disk, and how it is shown as a test to paste.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::setup::Setup;

/// What a name in the tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file with its bytes.
    File(Vec<u8>),
    /// A symbolic link with its target.
    Link(String),
    /// Another name of a file before it, which is named relative to the working directory.
    HardLink(String),
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

/// Another compile in the same tree.
#[derive(Clone, Debug)]
pub struct Relative {
    /// See [`Case::setup`].
    pub setup: Setup,
    /// See [`Case::options`].
    pub options: Vec<Vec<String>>,
    /// The name of the source.
    pub source: String,
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
    /// Compiles that the same scanner sees before it.
    pub relatives: Vec<Relative>,
}

/// A tree this old is believed to be as it is: what was written a moment ago may be written again without a sign.
pub const SETTLED: Duration = Duration::from_millis(30);

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
        arguments(&self.setup, &self.options, self.setup.language.source())
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
                Content::HardLink(target) => fs::hard_link(cwd.join(target), path)?,
                Content::Directory => fs::create_dir_all(path)?,
            }
        }
        Ok(())
    }

    /// The case as a call of `check` in tests/scanner.
    pub fn as_test(&self) -> String {
        let mut text = String::new();
        let mut leaves = Vec::new();
        let command = |words: Vec<String>| {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!("{:?}", words.join(" "))
        };
        let main = command(self.arguments());
        // Writing to a string does not fail.
        let _ = match self.relatives.is_empty() {
            true => writeln!(text, "check(&[{:?}], {main}, concat!(", self.setup.compiler),
            false => {
                let relatives = self.relatives.iter().map(|relative| {
                    command(arguments(
                        &relative.setup,
                        &relative.options,
                        &relative.source,
                    ))
                });
                let commands: Vec<String> = relatives.chain([main]).collect();
                writeln!(
                    text,
                    "check_after({:?}, &[{}], concat!(",
                    self.setup.compiler,
                    commands.join(", ")
                )
            }
        };
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
                Content::HardLink(target) => {
                    let _ = writeln!(text, "    \"//- {} => {target}\\n\",", entry.name);
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

/// All options and the source, without the compiler's name.
pub fn arguments(setup: &Setup, options: &[Vec<String>], source: &str) -> Vec<String> {
    let flags = setup.flags.iter().map(|flag| flag.to_string());
    let mut words: Vec<String> = flags.collect();
    words.extend(options.iter().flatten().cloned());
    words.push(source.into());
    words
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
