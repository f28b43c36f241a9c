//! Bodies of the fuzz targets about what contents of clients look for, and what is hidden because of that. Owns no state.

mod reference;

use std::collections::HashSet;

use memchr::memmem;
use protocol::bundle::entry::{Content as Stands, Entry};
use protocol::bundle::indices::Indices;
use protocol::bundle::manifest::Manifest;
use protocol::bundle::table::TableId;
use protocol::command_line::CommandLine;
use protocol::tree_path::TreePath;

use super::contents::Content;
use super::hide::{Hidden, Wanted};
use super::own_headers;
use super::probes::Probes;
use super::request::joined;
use crate::table::Table;
use crate::table::fuzz::{FILE, entry};

/// A content of a client's. What a compiler would plainly find in it is found; so is what stands behind it, whatever it is. Where its lines are broken does not
/// count. It takes a bounded memory.
pub(crate) fn content(data: &[u8]) {
    let read = Content::of(data);
    let is_given_up =
        |probes: &Probes| probes.asked.computed && probes.included.computed && probes.is_system;
    let probes = &read.probes;
    assert!(probes.bytes() <= 64 * (16 * data.len() + (256 << 10)));
    // Behind a backslash at the end of a line it is gone.
    if data.contains(&0) && !data.contains(&b'\\') {
        assert!(is_given_up(probes));
    }
    for (asked, name) in reference::names(data).unwrap_or_default() {
        let names = match asked {
            true => &probes.asked,
            false => &probes.included,
        };
        let is_known = names.computed || names.written.iter().any(|known| **known == *name);
        assert!(is_known, "{}", name.escape_ascii());
    }
    let more =
        b"\n#include \"own/a.h\"\n#if __has_include(<own/b.h>)\n#endif\nchar t[] = __TIME__;\n";
    let longer = Content::of(&[data, more].concat());
    let has = |names: &[Box<[u8]>], name: &[u8]| names.iter().any(|known| **known == *name);
    let probes = &longer.probes;
    if !is_given_up(probes) {
        assert!(has(&probes.included.written, b"own/a.h"));
        assert!(has(&probes.asked.written, b"own/b.h"));
        assert!(probes.directories.named.contains(&b"own"[..]));
    }
    assert!(longer.mentions.words().contains("__TIME__"));
    // Elsewhere it may be the backslash of another line's end.
    if !data.contains(&b'\\') {
        let at = data
            .iter()
            .fold(7_usize, |sum, byte| sum * 31 % 65_521 + usize::from(*byte))
            % (data.len() + 1);
        let broken = Content::of(&[&data[..at], b"\\\n", &data[at..]].concat());
        assert_eq!(broken.mentions, read.mentions, "broken at {at}");
        assert_eq!(broken.probes, read.probes, "broken at {at}");
    }
}

/// What a line of [`hidden`]'s data says.
#[derive(Default)]
struct Case {
    command: Vec<Vec<u8>>,
    used: Vec<u32>,
    entries: Vec<Entry>,
    own: Vec<Entry>,
    needed: Vec<Vec<u8>>,
    /// What comes into the table later.
    late: Vec<Entry>,
    text: Vec<u8>,
}

/// Entries of a case: it is compared name by name.
const ENTRIES: usize = 48;

impl Case {
    /// Lines of a letter and a path; `-` and a command line; all others are the content.
    fn of(data: &[u8]) -> Self {
        let mut case = Self::default();
        for line in data.split(|&byte| byte == b'\n') {
            let rest = &line[line.len().min(1)..];
            let place = rest.split(|&byte| byte == b' ').next().unwrap_or_default();
            let entry = TreePath::new(place).ok().map(|path| {
                let content = match line[0] {
                    b'd' => Stands::Directory,
                    b'l' => Stands::Link(rest[place.len()..].trim_ascii().to_vec()),
                    _ => FILE,
                };
                entry(path, content)
            });
            match (line.first(), entry) {
                (Some(b'-'), _) if case.command.is_empty() => {
                    case.command = rest.split(|&b| b == b' ').map(<[u8]>::to_vec).collect();
                }
                (Some(letter @ (b'u' | b'f' | b'd' | b'l')), Some(entry)) => {
                    if *letter == b'u' {
                        case.used.push(case.entries.len() as u32);
                    }
                    case.entries.push(entry);
                }
                (Some(b'o'), Some(entry)) => case.own.push(entry),
                (Some(b'm'), Some(entry)) => case.late.push(entry),
                (Some(b'n'), Some(entry)) => case.needed.push(entry.path.as_bytes().to_vec()),
                _ => {
                    case.text.extend_from_slice(line);
                    case.text.push(b'\n');
                }
            }
            if case.entries.len() + case.own.len() + case.late.len() + case.needed.len() > ENTRIES {
                break;
            }
        }
        case
    }
}

/// All prefixes of a path that are paths, itself among them.
fn ways(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    (1..=path.len())
        .filter(|&end| end == path.len() || path[end] == b'/')
        .map(|end| &path[..end])
}

/// What a job must not see. Whatever its content asks for by a name, below whatever directory, is hidden unless it is the job's own; nothing that the job needs is
/// hidden; nothing is hidden twice.
pub(crate) fn hidden(data: &[u8]) {
    let case = Case::of(data);
    let line = CommandLine::parse(&case.command);
    let read = Content::of(&case.text);
    let table = Table::new(TableId([3; 16]));
    table.extend(case.entries.clone());
    let length = table.len();
    let Some(link) = table.link(length) else {
        return;
    };
    let manifest = Manifest {
        table: table.id(),
        length,
        link,
        used: case.used.iter().copied().collect(),
        dead: Indices::default(),
        own: case.own.clone(),
    };
    let mut wanted = Wanted::of(&line, read.probes.is_system);
    wanted.add(&read.probes);
    let hidden = match Hidden::of(wanted, case.needed.clone(), &manifest, &table) {
        Ok(hidden) => hidden,
        Err(_) => return,
    };
    let used = case.used.iter().map(|index| &case.entries[*index as usize]);
    let used = used.chain(&case.own).map(|entry| entry.path.as_bytes());
    let needed: HashSet<&[u8]> = used
        .chain(case.needed.iter().map(Vec::as_slice))
        .flat_map(ways)
        .collect();
    let paths: HashSet<&[u8]> = hidden.paths.iter().map(Vec::as_slice).collect();
    assert!(hidden.paths.is_sorted() && paths.len() == hidden.paths.len());
    for path in &paths {
        assert!(!needed.contains(path), "{}", path.escape_ascii());
        let above = ways(path).filter(|way| paths.contains(way)).count();
        assert_eq!(above, 1, "{}", path.escape_ascii());
    }
    let is_gone = |path: &[u8]| ways(path).any(|way| paths.contains(way));
    let directories: HashSet<&[u8]> = case
        .entries
        .iter()
        .chain(&case.late)
        .flat_map(|entry| ways(entry.path.as_bytes()))
        .chain([&b"/"[..]])
        .collect();
    let is_file = |name: &&[u8]| {
        let last = name.rsplit(|&byte| byte == b'/').next();
        !matches!(last, None | Some(b"" | b"." | b".."))
    };
    let asked = read.probes.asked.written.iter().map(|name| &**name);
    let asked: Vec<&[u8]> = asked.filter(is_file).collect();
    let may_be_found: HashSet<Vec<u8>> = directories
        .iter()
        .flat_map(|directory| asked.iter().map(|name| joined(directory, name)))
        .collect();
    let check = |entry: &Entry| {
        let path = entry.path.as_bytes();
        let is_seen = matches!(entry.content, Stands::File { .. }) && !needed.contains(path);
        if is_seen && (read.probes.asked.computed || may_be_found.contains(path)) {
            assert!(is_gone(path), "{}", path.escape_ascii());
        }
    };
    case.entries.iter().for_each(check);
    assert_eq!(hidden.still_does(&manifest, &table), Ok(()));
    table.extend(case.late.clone());
    if hidden.still_does(&manifest, &table).is_ok() {
        case.late.iter().for_each(check);
    }
}

/// What a compiler prints of where it looks for headers: a list that was printed is read as it is, and whatever is read stands there.
pub(crate) fn search_list(data: &[u8]) {
    for directory in own_headers::search_list(data).unwrap_or_default() {
        assert!(memmem::find(data, directory).is_some());
        assert!(!directory.contains(&b'\n'));
    }
    let names: Vec<&[u8]> = data
        .split(|byte| matches!(byte, b'\n' | b'"' | b'(' | b'\0'))
        .collect();
    let mut printed = b"#include \"...\" search starts here:\n".to_vec();
    for name in &names {
        printed.extend_from_slice(&[b" ", *name, b"\n"].concat());
    }
    assert_eq!(own_headers::search_list(&printed), None);
    printed.extend_from_slice(b"End of search list.\n x\n");
    assert_eq!(own_headers::search_list(&printed), Some(names));
}
