//! Bodies of the fuzz targets of this crate: programs' headers, what drivers and loaders print, and evidence that was kept on disk. Owns no state.
//!
//! As in [`protocol::fuzz`], a body takes any bytes and panics when something that should hold does not.

use std::os::unix::ffi::OsStrExt;

use protocol::mutation::Body;

use crate::command_lines::Command;
use crate::evidence::Evidence;
use crate::libraries::{interpreter, listed};
use crate::report::{Report, nested, search_directories};

/// All bodies, by the names of their corpora.
pub const BODIES: [Body; 3] = [
    ("program_head", program_head),
    ("driver_report", driver_report),
    ("evidence", evidence),
];

/// The start of a file: what is found in it is found in a longer one, too; another file than a program's has nothing.
fn program_head(data: &[u8]) {
    let found = interpreter(data);
    if found.is_some() {
        assert!(data.starts_with(b"\x7fELF"));
        let longer = [data, &[0xff; 64]].concat();
        assert_eq!(interpreter(&longer), found);
    }
    let mut other = data.to_vec();
    if let Some(first) = other.first_mut() {
        *first = b'!';
    }
    assert_eq!(interpreter(&other), None);
}

/// What a driver or a loader printed: words that are quoted as drivers do are read as they were, and paths stand in the text.
fn driver_report(data: &[u8]) {
    let stands = |part: &[u8]| part.is_empty() || data.windows(part.len()).any(|at| at == part);
    if let Some(report) = Report::parse(data) {
        assert!(!report.banner().contains('\n'));
        assert!(stands(&report.version) && stands(&report.target));
        for path in report.defaults.iter().chain(&report.directories) {
            assert!(stands(path.as_os_str().as_bytes()));
        }
    }
    for command in Command::all(data) {
        let settings = command.settings();
        assert!(settings.iter().all(|word| command.has(word)));
        assert!(!command.name().contains(&b'/'));
        let _ = command.loads();
    }
    for directory in search_directories(data, b"programs") {
        assert!(directory.is_absolute() && stands(directory.as_os_str().as_bytes()));
    }
    for library in listed(data).unwrap_or_default() {
        assert!(library.is_absolute() && stands(library.as_os_str().as_bytes()));
    }
    assert!(nested(data).is_none_or(|word| word.chars().count() <= 100));
    assert!(nested(&[data, b"\n@more.cfg\n"].concat()).is_some());
    let words: Vec<&[u8]> = data.split(|&byte| byte == b'\n').collect();
    let mut line = Vec::new();
    for word in &words {
        line.extend_from_slice(b" \"");
        for &byte in *word {
            if matches!(byte, b'"' | b'\\' | b'$') {
                line.push(b'\\');
            }
            line.push(byte);
        }
        line.push(b'"');
    }
    let commands = Command::all(&line);
    assert_eq!(commands.len(), 1);
    assert!(words.iter().all(|word| commands[0].has(word)));
    assert_eq!(commands[0].program().as_os_str().as_bytes(), words[0]);
}

/// Kept evidence: what is read is written again and read as the same, and is none when it is cut.
fn evidence(data: &[u8]) {
    let Ok(read) = Evidence::decode(data) else {
        return;
    };
    let again = read.encode().expect("what was kept can be kept");
    assert!(again.len() <= data.len());
    assert_eq!(Evidence::decode(&again).as_ref(), Ok(&read));
    let cut = data.len() * 31 % again.len();
    assert!(Evidence::decode(&again[..cut]).is_err());
}
