//! Is a failed remote compile the user's own error, or could this machine do better?
//!
//! Stock compiles every failure again at home, so each genuine error costs two compiles, and it then benches the
//! innocent server. Here the diagnostics are read: an error that must come out the same at home is final; anything that
//! smells of another compiler, of missing files or of other system headers is doubtful and compiled here. Pure, and
//! total over bytes. When in doubt: doubtful, since that only costs time.

use protocol::limits::Limits;
use protocol::tree::decode_entries;
use protocol::tree_path::TreePath;
use protocol::wait_status::WaitStatus;
use std::collections::HashSet;

/// What a server said about a failed compile.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// How the compiler ended.
    pub status: WaitStatus,
    /// What it wrote to standard error.
    pub stderr: &'a [u8],
    /// What was shipped, if the server preprocessed.
    pub pump: Option<Shipment<'a>>,
}

/// The files of a pump-mode job.
#[derive(Clone, Copy, Debug)]
pub struct Shipment<'a> {
    /// The request's section of files and links.
    pub section: &'a [u8],
    /// The working directory on the client.
    pub cwd: &'a [u8],
    /// The server has this machine's own system headers.
    pub same_system: bool,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The same would come out here.
    Genuine,
    /// It might not; the reason, for one line.
    Doubtful(String),
}

/// Exit codes from here on are distcc's own or a shell's, never a compiler's verdict on its input.
const FIRST_FOREIGN_EXIT_CODE: u8 = 100;

/// Errors that another compiler, or a broken one, makes of good input.
const OTHER_COMPILER: [&str; 17] = [
    "unrecognized",
    "unrecognised",
    "unknown argument",
    "unknown option",
    "unsupported option",
    "unknown target",
    "unknown attribute",
    "not supported",
    "invalid value",
    "invalid argument",
    "bad value",
    "not found",
    "internal compiler error",
    "out of memory",
    "cannot allocate",
    "no space left",
    "sorry, unimplemented",
];

/// Signs that the server saw other files than the client has.
const MISSING_FILES: [&str; 5] = [
    "no such file or directory",
    "file not found",
    "#error",
    "cannot open",
    "not a directory",
];

/// Kinds of errors that other system headers than the client's could cause.
const OTHER_HEADERS: [&str; 20] = [
    "undeclared",
    "was not declared",
    "not declared",
    "unknown type",
    "does not name a type",
    "has no member",
    "no member named",
    "is not a member of",
    "implicit declaration",
    "implicitly declaring",
    "no matching",
    "no type named",
    "incomplete type",
    "redefinition",
    "redeclared",
    "conflicting",
    "static assertion",
    "undefined macro",
    "is not a template",
    "too many arguments",
];

/// Judges a failed compile.
#[must_use]
pub fn judge(evidence: Evidence<'_>) -> Judgement {
    match doubt(evidence) {
        Some(reason) => Judgement::Doubtful(reason),
        None => Judgement::Genuine,
    }
}

fn doubt(evidence: Evidence<'_>) -> Option<String> {
    let status = evidence.status;
    if let Some(signal) = status.signal() {
        return Some(format!(
            "the server's compiler was killed by signal {signal}"
        ));
    }
    if status.exit_code() >= FIRST_FOREIGN_EXIT_CODE {
        return Some(format!(
            "the server ended with exit code {}",
            status.exit_code()
        ));
    }
    let text = without_colours(evidence.stderr);
    let lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
    let errors: Vec<(&[u8], &[u8])> = lines.iter().filter_map(|line| error_line(line)).collect();
    if errors.is_empty() {
        return Some("the server's compiler failed without an error message".into());
    }
    let quote = |line: &[u8]| String::from_utf8_lossy(line).trim().to_owned();
    for (file, message) in &errors {
        if file.is_empty() {
            return Some(format!("the server's compiler said: {}", quote(message)));
        }
        if mentions(message, &OTHER_COMPILER) {
            return Some(format!(
                "the server's compiler may differ: {}",
                quote(message)
            ));
        }
    }
    if let Some(line) = lines
        .iter()
        .find(|line| mentions(line, &["assembler messages"]))
    {
        return Some(format!(
            "the server's assembler may differ: {}",
            quote(line)
        ));
    }
    let shipment = evidence.pump?;
    if let Some(line) = lines.iter().find(|line| mentions(line, &MISSING_FILES)) {
        return Some(format!("the server may lack a file: {}", quote(line)));
    }
    doubt_about_files(&errors, shipment)
}

fn doubt_about_files(errors: &[(&[u8], &[u8])], shipment: Shipment<'_>) -> Option<String> {
    let Ok(entries) = decode_entries(shipment.section, Limits::DEFAULT) else {
        return Some("the files sent cannot be named".into());
    };
    let shipped: HashSet<TreePath> = entries.into_iter().map(|entry| entry.path).collect();
    for (file, message) in errors {
        let absolute = if file.starts_with(b"/") {
            file.to_vec()
        } else {
            [shipment.cwd, b"/", file].concat()
        };
        let known = TreePath::new(&absolute).is_ok_and(|path| shipped.contains(&path));
        if !known {
            let file = String::from_utf8_lossy(file);
            return Some(format!("the error is in {file}, which is the server's own"));
        }
        if !shipment.same_system && mentions(message, &OTHER_HEADERS) {
            let message = String::from_utf8_lossy(message);
            return Some(format!(
                "the server's system headers may differ: {}",
                message.trim()
            ));
        }
    }
    None
}

/// The file and the message of a line that reports an error; the file is empty when a program, not a place, is named.
fn error_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    const MARKS: [&[u8]; 3] = [b": fatal error: ", b": error: ", b": Error: "];
    let found = MARKS
        .iter()
        .filter_map(|mark| Some((find(line, mark)?, mark.len())));
    let (at, length) = found.min()?;
    let message = &line[at + length..];
    let mut place = &line[..at];
    let mut numbers = 0;
    while let Some(colon) = place.iter().rposition(|&b| b == b':') {
        let digits = &place[colon + 1..];
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            break;
        }
        place = &place[..colon];
        numbers += 1;
    }
    Some((if numbers == 0 { b"" } else { place }, message))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn mentions(line: &[u8], signs: &[&str]) -> bool {
    let line = line.to_ascii_lowercase();
    signs
        .iter()
        .any(|sign| find(&line, sign.as_bytes()).is_some())
}

/// The text without terminal escape sequences (`ESC [ ... letter`).
pub(crate) fn without_colours(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(escape) = rest.iter().position(|&b| b == 0x1b) {
        plain.extend_from_slice(&rest[..escape]);
        rest = &rest[escape + 1..];
        if let Some(sequence) = rest.strip_prefix(b"[") {
            let end = sequence.iter().position(u8::is_ascii_alphabetic);
            rest = end.map_or(&[][..], |end| &sequence[end + 1..]);
        }
    }
    plain.extend_from_slice(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::tree::{EntryContent, TreeEntry, put_entries};

    fn plain(exit: u8, stderr: &str) -> Judgement {
        judge(Evidence {
            status: WaitStatus::exited(exit),
            stderr: stderr.as_bytes(),
            pump: None,
        })
    }

    fn pump(same_system: bool, stderr: &str) -> Judgement {
        let entries = ["/p/a.c", "/p/inc/a.h"].map(|path| TreeEntry {
            path: TreePath::new(path.as_bytes()).unwrap(),
            content: EntryContent::File(Vec::new()),
        });
        let mut section = Vec::new();
        put_entries(&mut section, &entries);
        judge(Evidence {
            status: WaitStatus::exited(1),
            stderr: stderr.as_bytes(),
            pump: Some(Shipment {
                section: &section,
                cwd: b"/p",
                same_system,
            }),
        })
    }

    fn genuine(judgement: &Judgement) -> bool {
        *judgement == Judgement::Genuine
    }

    #[test]
    fn plain_mode() {
        let good = [
            "a.c:1:9: error: 'y' undeclared here (not in a function)\n    1 | int x = y;\n",
            "\x1b[01m\x1b[Ka.c:1:9:\x1b[m\x1b[K \x1b[01;31m\x1b[Kerror: \x1b[m\x1b[Kexpected ';'\n",
            "a.c:3: error: expected expression\ncc1: all warnings being treated as errors\n",
            "/usr/include/x.h:3:1: error: unknown type name 'foo'\n",
            "a.c:1:1: error: bad\ncc1: note: unrecognized command-line option '-Wno-foo'\n",
        ];
        for text in good {
            assert!(genuine(&plain(1, text)), "{text}");
        }
        let doubtful = [
            "",
            "Killed\n",
            "gcc: error: unrecognized command-line option '-ffoo'\n",
            "a.c:1:1: internal compiler error: Segmentation fault\n",
            "a.c:1:1: error: unrecognized argument in option\n",
            "clang: error: unknown argument: '-ffoo'\n",
            "/tmp/x.s: Assembler messages:\n/tmp/x.s:3: Error: no such instruction: `foo'\n",
            "cc1: fatal error: /tmp/x.i: No such file or directory\n",
        ];
        for text in doubtful {
            assert!(!genuine(&plain(1, text)), "{text}");
        }
        assert!(!genuine(&plain(110, "a.c:1:1: error: x")));
        let killed = Evidence {
            status: WaitStatus(9),
            stderr: b"a.c:1:1: error: x",
            pump: None,
        };
        assert!(!genuine(&judge(killed)));
    }

    #[test]
    fn pump_mode() {
        assert!(genuine(&pump(
            false,
            "a.c:1:9: error: expected ';' before '}'\n"
        )));
        assert!(genuine(&pump(
            false,
            "./inc/a.h:1:9: error: expected ';'\n"
        )));
        assert!(genuine(&pump(true, "/p/a.c:1:9: error: 'y' undeclared\n")));
        assert!(!genuine(&pump(
            false,
            "/p/a.c:1:9: error: 'y' undeclared\n"
        )));
        assert!(!genuine(&pump(true, "other.h:1:9: error: expected ';'\n")));
        assert!(!genuine(&pump(
            true,
            "/usr/include/x.h:1:9: error: expected ';'\n"
        )));
        assert!(!genuine(&pump(
            true,
            "a.c:1:10: fatal error: gone.h: No such file or directory\n"
        )));
        assert!(!genuine(&pump(true, "a.c:1:2: error: #error \"no\"\n")));
        assert!(!genuine(&pump(
            true,
            "a.c:1:2: error: \"no\"\n#error \"no\"\n"
        )));
    }
}
