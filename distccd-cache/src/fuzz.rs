//! Bodies of the fuzz targets of this crate: what a peer sends, what stands in the store's files, what a compiler made of a client's sources. Owns no state.
//!
//! As in [`protocol::fuzz`], a body takes any bytes and panics when something that should hold does not.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use protocol::command_line::{CommandLine, Item, Meaning};
use protocol::mutation::Body;
use protocol::tree_path::TreePath;

use crate::command::{Command, base_name};
use crate::results::fuzz::{content, hidden, search_list};
use crate::rewrite::fuzz::{dependencies, mentions_of_root, object, words_below_root};
use crate::store::fuzz::{blob_name, store_state, stored_record};
use crate::table::fuzz::table;
use crate::tree::{JobLimits, Layout, Tree, TreeError, link_target};
use crate::whitelist::Whitelist;
use crate::{arguments, grove, page};

/// All bodies, by the names of their corpora.
pub const BODIES: [Body; 16] = [
    ("content", content),
    ("hidden", hidden),
    ("search_list", search_list),
    ("stored_record", stored_record),
    ("store_state", store_state),
    ("blob_name", blob_name),
    ("dependencies", dependencies),
    ("mentions_of_root", mentions_of_root),
    ("object", object),
    ("words_below_root", words_below_root),
    ("status_request", page::fuzz_request),
    ("links", links),
    ("stands", grove::fuzz::stands),
    ("table", table),
    ("job_command", job_command),
    ("compiler_name", compiler_name),
];

/// Whether a path is absolute and has no `.`, no `..` and no empty component.
fn is_normal(path: &[u8]) -> bool {
    let mut parts = path.split(|&byte| byte == b'/');
    path == b"/"
        || parts.next() == Some(b"") && parts.all(|part| !matches!(part, b"" | b"." | b".."))
}

/// Links of a client's and where they lead: lines of a path, a blank and a target. Whatever they are, a path that is resolved is a normal one below the root, and no link
/// is on the way to it.
fn links(data: &[u8]) {
    let limits = JobLimits {
        tree_entries: 500,
        ..JobLimits::DEFAULT
    };
    let mut tree = Tree::planned(PathBuf::from("/t/r"), Layout::BelowRoot, limits);
    let lines = || data.split(|&byte| byte == b'\n').take(200);
    for line in lines() {
        let path = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        let target = &line[(path.len() + 1).min(line.len())..];
        let Ok(path) = TreePath::new(path) else {
            continue;
        };
        if let Ok((normal, leads_to)) = link_target(&path, target) {
            assert!(is_normal(&normal), "{}", normal.escape_ascii());
            assert!(leads_to.starts_with(b"/"));
        }
        match target {
            b"" => _ = tree.add_directory(&path),
            target => _ = tree.add_link(&path, target),
        }
    }
    assert!(tree.paths().count() <= 500);
    for line in lines() {
        let of_line = line.split(|&byte| byte == b' ');
        for path in of_line {
            let Ok(real) = tree.resolve(path) else {
                continue;
            };
            assert!(is_normal(&real), "{}", real.escape_ascii());
            match tree.resolve(&real) {
                Ok(again) => assert_eq!(again, real),
                Err(TreeError::TooManyLinks(_)) => unreachable!("there are none"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A job's command line, words ended by NUL: what is taken for its source and its output is what a compiler takes for them, also with others in their places.
fn job_command(data: &[u8]) {
    let words: Vec<Vec<u8>> = data.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    let nowhere = Path::new("/nowhere/at/all");
    // No file stands below such a directory, so that nothing more is allowed.
    let refused = arguments::refused(&words, None);
    assert_eq!(refused, arguments::refused(&words, Some(nowhere)));
    let Ok(command) = Command::parse(&words) else {
        return;
    };
    assert_eq!(command.line.source(), Some(command.source()));
    assert!(!base_name(command.source()).contains(&b'/'));
    let other = command.with_files(b"other.i", b"other.o");
    let other = CommandLine::parse(&other);
    let is_bare = |item: &Item| item.means() == Some(Meaning::Output) && item.value.is_none();
    if refused.is_none() && !command.line.items().iter().any(is_bare) {
        assert_eq!(other.source(), Some(&b"other.i"[..]));
        assert_eq!(other.output_file().as_deref(), Some(&b"other.o"[..]));
    }
}

/// A compiler's name as a client gives it. Only a program of the search path is run for it, of just that name.
fn compiler_name(data: &[u8]) {
    static WHITELIST: OnceLock<Option<Whitelist>> = OnceLock::new();
    let whitelist = WHITELIST.get_or_init(|| {
        let search_path = Some("/usr/bin:/bin".into());
        Whitelist::directories(Some("/usr/bin".as_ref()), search_path).ok()
    });
    let Some(whitelist) = whitelist else {
        return;
    };
    for name in data.split(|&byte| byte == b'\n').take(20) {
        if let Ok(program) = whitelist.admit(name) {
            let path = program.as_os_str().as_bytes();
            assert!(is_normal(path), "{}", path.escape_ascii());
            assert_eq!(base_name(path), base_name(name));
            let rest = &name[..name.len() - base_name(name).len()];
            assert!(rest.is_empty() || rest.to_ascii_lowercase().ends_with(b"bin/"));
        }
    }
}
