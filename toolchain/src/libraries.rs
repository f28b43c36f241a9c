//! Which shared libraries a program loads. Owns no state.
//!
//! The dynamic loader that the program itself names is asked (`--list`, which does not run the program): nobody else
//! knows its cache, its search path and its variables.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::digests;
use crate::error::IdentifyError;
use crate::run;

/// What the start of a file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A program that needs nothing else.
    Static,
    /// A program that is started by this dynamic loader.
    Dynamic(PathBuf),
    /// Text for an interpreter.
    Script,
    /// None of these.
    Other,
}

/// What stands at `path`.
pub(crate) fn kind(path: &Path) -> Result<Kind, IdentifyError> {
    let unreadable = |error| IdentifyError::unreadable(path, error);
    let (file, _) = digests::open(path).map_err(unreadable)?;
    let mut head = Vec::new();
    (&file)
        .take(HEAD)
        .read_to_end(&mut head)
        .map_err(unreadable)?;
    if head.starts_with(b"#!") {
        return Ok(Kind::Script);
    }
    let (offset, size) = match interpreter(&head) {
        None => return Ok(Kind::Other),
        Some(None) => return Ok(Kind::Static),
        Some(Some(place)) => place,
    };
    let mut name = vec![0; size.min(NAME)];
    file.read_exact_at(&mut name, offset).map_err(unreadable)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Ok(Kind::Dynamic(OsStr::from_bytes(&name).into()))
}

/// Bytes in which a program's headers stand.
const HEAD: u64 = 64 << 10;

/// Longest name of a dynamic loader.
const NAME: usize = 4096;

/// Where the name of the dynamic loader is, and its length, if the program names one; nothing if it is no program.
pub(crate) fn interpreter(head: &[u8]) -> Option<Option<(u64, usize)>> {
    const INTERPRETER: u64 = 3;
    let headers = Headers::parse(head)?;
    for index in 0..headers.count {
        let at = headers.offset.checked_add(index * headers.entry)?;
        if headers.number(head, at, 4)? == INTERPRETER {
            let (offset, size) = if headers.wide { (8, 32) } else { (4, 16) };
            let size = usize::try_from(headers.word(head, at.checked_add(size)?)?).ok()?;
            return Some(Some((headers.word(head, at + offset)?, size)));
        }
    }
    Some(None)
}

/// Where a program's headers are, by the ELF specification.
struct Headers {
    wide: bool,
    little: bool,
    offset: u64,
    entry: u64,
    count: u64,
}

impl Headers {
    fn parse(head: &[u8]) -> Option<Self> {
        if !head.starts_with(b"\x7fELF") {
            return None;
        }
        let mut headers = Self {
            wide: *head.get(4)? == 2,
            little: *head.get(5)? == 1,
            offset: 0,
            entry: 0,
            count: 0,
        };
        let (offset, entry) = if headers.wide { (32, 54) } else { (28, 42) };
        headers.offset = headers.word(head, offset)?;
        headers.entry = headers.number(head, entry, 2)?;
        headers.count = headers.number(head, entry + 2, 2)?;
        Some(headers)
    }

    /// A number as wide as the program's addresses.
    fn word(&self, head: &[u8], at: u64) -> Option<u64> {
        self.number(head, at, if self.wide { 8 } else { 4 })
    }

    fn number(&self, head: &[u8], at: u64, bytes: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = head.get(at..at.checked_add(bytes)?)?;
        let join = |number, byte: &u8| (number << 8) | u64::from(*byte);
        Some(match self.little {
            true => bytes.iter().rev().fold(0, join),
            false => bytes.iter().fold(0, join),
        })
    }
}

/// The libraries that `program` loads, its dynamic loader among them.
pub(crate) fn libraries(
    program: &Path,
    environment: &[(Vec<u8>, Vec<u8>)],
    limit: Duration,
) -> Result<Vec<PathBuf>, IdentifyError> {
    let loader = match kind(program)? {
        Kind::Dynamic(loader) => loader,
        Kind::Static => return Ok(Vec::new()),
        Kind::Script => {
            return Err(IdentifyError::Script {
                path: program.to_owned(),
            });
        }
        Kind::Other => {
            return Err(IdentifyError::NoProgram {
                path: program.to_owned(),
            });
        }
    };
    let failed = |what: String| IdentifyError::Libraries {
        path: program.to_owned(),
        what,
    };
    let mut command = run::command(&loader, environment, None);
    command.arg("--list").arg(program);
    let output = run::run_within(&mut command, b"", limit)
        .map_err(|error| failed(format!("{}: {error}", loader.display())))?;
    if !output.success {
        return Err(failed(run::first_error(&output.stderr)));
    }
    let mut found = vec![loader];
    found.extend(listed(&output.stdout).map_err(failed)?);
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The paths in lines such as `libz.so.1 => /lib/libz.so.1 (0x7f…)` and `/lib/ld.so.1 (0x7f…)`.
pub(crate) fn listed(text: &[u8]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        let path = match line.windows(4).position(|window| window == b" => ") {
            Some(at) => &line[at + 4..],
            None => line,
        };
        let end = path.windows(2).rposition(|window| window == b" (");
        let path = &path[..end.unwrap_or(path.len())];
        if path.starts_with(b"/") {
            found.push(OsStr::from_bytes(path).into());
        } else if path.ends_with(b"not found") {
            return Err(String::from_utf8_lossy(line).into_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaders_lists_are_read() {
        let text = b"\tlinux-vdso.so.1 (0x00007f9b1a75c000)\n\tlibz.so.1 => /my lib/libz.so.1 (0x00007f9b16200000)\n\
\t/lib64/ld-linux-x86-64.so.2 (0x00007f9b1a75e000)\n\tstatically linked\n";
        let paths = ["/my lib/libz.so.1", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(listed(text).unwrap(), paths.map(PathBuf::from));
        assert!(listed(b"\tlibno.so.1 => not found\n").is_err());
    }

    #[test]
    fn a_cut_or_hostile_header_is_no_program() {
        let program = std::env::current_exe().unwrap();
        let whole = std::fs::read(program).unwrap();
        let head = &whole[..4096];
        assert!(interpreter(head).unwrap().is_some());
        for end in 0..64 {
            assert_eq!(interpreter(&head[..end]), None);
        }
        let mut hostile = head.to_vec();
        hostile[16..64].fill(0xff);
        assert_eq!(interpreter(&hostile), None);
    }

    #[test]
    fn files_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            kind(&path).unwrap()
        };
        assert_eq!(file("script", b"#!/bin/sh\n"), Kind::Script);
        assert_eq!(file("text", b"hello\n"), Kind::Other);
        assert_eq!(file("empty", b""), Kind::Other);
        let own = std::env::current_exe().unwrap();
        assert!(matches!(kind(&own), Ok(Kind::Dynamic(_))));
    }
}
