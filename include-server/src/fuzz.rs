//! Bodies of the fuzz targets of this crate besides the scanner, which has its own: what compilers print, what is kept of it, and what people's build systems
//! write. Owns no state.
//!
//! As in [`protocol::fuzz`], a body takes any bytes and panics when something that should hold does not.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use protocol::mutation::Body;

use crate::cli::check::examine::prerequisites;
use crate::cli::compile_commands;
use crate::compiler::fuzz::{compiler_output, kept_answer, kept_identity};
use crate::facts::watch::layers_in;

/// All bodies, by the names of their corpora.
pub const BODIES: [Body; 6] = [
    ("kept_answer", kept_answer),
    ("kept_identity", kept_identity),
    ("compiler_output", compiler_output),
    ("shell_words", shell_words),
    ("make_rule", make_rule),
    ("mounts", mounts),
];

/// A command of `compile_commands.json`: words that are quoted are read as they were, in either way to quote.
fn shell_words(data: &[u8]) {
    let total: usize = compile_commands::shell_words(data)
        .iter()
        .map(Vec::len)
        .sum();
    assert!(total <= data.len());
    let words: Vec<Vec<u8>> = data
        .split(|&byte| byte == b'\0')
        .map(<[u8]>::to_vec)
        .collect();
    let mut line = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let is_single = at % 2 == 0;
        line.extend_from_slice(if is_single { b" '" } else { b"\t\"" });
        for &byte in word {
            match (is_single, byte) {
                (true, b'\'') => line.extend_from_slice(b"'\\''"),
                (false, b'"' | b'\\' | b'$' | b'`') => line.extend([b'\\', byte]),
                _ => line.push(byte),
            }
        }
        line.push(if is_single { b'\'' } else { b'"' });
    }
    assert_eq!(compile_commands::shell_words(&line), words);
}

/// A make rule as compilers write them: names are read as they were.
fn make_rule(data: &[u8]) {
    let total: usize = prerequisites(data)
        .iter()
        .map(|name| name.as_os_str().len())
        .sum();
    assert!(total <= data.len());
    let names: Vec<&[u8]> = data
        .split(|byte| matches!(byte, b'\n' | b'\0' | b'\\' | b'\t'))
        .filter(|name| !name.is_empty())
        .collect();
    let mut rule = b"a.o:".to_vec();
    for name in &names {
        rule.extend_from_slice(b" \\\n ");
        for &byte in *name {
            match byte {
                b' ' | b'#' => rule.push(b'\\'),
                b'$' => rule.push(b'$'),
                _ => {}
            }
            rule.push(byte);
        }
    }
    rule.push(b'\n');
    let read = prerequisites(&rule);
    let read: Vec<&[u8]> = read
        .iter()
        .map(|name| name.as_os_str().as_bytes())
        .collect();
    assert_eq!(read, names);
}

/// The kernel's list of mounts: the layers that are found stand there, and those of another mount behind it are found, too.
fn mounts(data: &[u8]) {
    let found = layers_in(data);
    for layer in &found {
        let name = layer.as_os_str().as_bytes();
        assert!(layer.is_absolute() && memchr::memmem::find(data, name).is_some());
    }
    let more = b"\n99 22 0:50 / /m rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/c";
    let longer = layers_in(&[data, more].concat());
    assert_eq!(longer[..found.len()], found);
    assert_eq!(longer[found.len()..], ["/a", "/b", "/c"].map(PathBuf::from));
}
