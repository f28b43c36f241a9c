//! `distcc --scan-includes COMPILER ...`: shows what pump mode would send, one path a line with its kind.
//!
//! As in stock: a command that must run locally is simply run, and a list of hosts whose first choice is without
//! `,cpp` is an error. Owns no state.

use crate::environment::Environment;
use crate::host_list;
use crate::include_client::{self, Closure};
use crate::job::Job;
use crate::log;
use crate::plan::{Plan, plan};
use crate::show;
use protocol::exit_code::ExitCode;
use protocol::include_dialogue::RichVersion;
use protocol::limits::Limits;
use protocol::tree::{EntryContent, FORCING_FILE, TreeEntry, decode_entries};
use protocol::version::Version;

/// Runs the scan; the result is the exit code.
#[must_use]
pub fn scan_includes(job: &Job<'_>, environment: &Environment) -> u8 {
    let pump = match plan(&job.command, environment, job.cwd_alias) {
        Plan::Local { .. } => return job.run(),
        Plan::Remote { pump } => pump,
    };
    let cpp = host_list::load(environment)
        .inspect_err(|error| log::warning!("{error}"))
        .ok()
        .and_then(|list| list.hosts.into_iter().find(|host| !host.down))
        .is_some_and(|host| host.version == Version::Pump3);
    if !cpp {
        log::error!(
            "'--scan_includes' specified, but distcc wouldn't have used include server (make sure hosts list includes \
             ',cpp' option)"
        );
        return ExitCode::DistccFailed.code();
    }
    let entries = pump.and_then(|()| entries(job, environment));
    match entries {
        Ok(entries) => {
            let mut text = Vec::with_capacity(entries.len() * 64);
            for entry in &entries {
                put_line(&mut text, entry);
            }
            show::print(&text)
        }
        Err(reason) => {
            log::error!("no list of includes: {reason}");
            ExitCode::DistccFailed.code()
        }
    }
}

fn entries(job: &Job<'_>, environment: &Environment) -> Result<Vec<TreeEntry>, String> {
    let words = job.command.words();
    match include_client::closure(
        environment,
        &job.cwd,
        words,
        &job.launcher.path,
        RichVersion::Section,
    ) {
        Ok(Closure::Section(section)) => {
            decode_entries(&section, Limits::DEFAULT).map_err(|error| error.to_string())
        }
        Ok(Closure::Doubt(reason)) => Err(reason),
        Ok(Closure::Manifest(_)) => Err("the include server answered with a manifest".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// `KIND      PATH`; the kind in nine columns.
fn put_line(text: &mut Vec<u8>, entry: &TreeEntry) {
    let (kind, path) = match &entry.content {
        EntryContent::Link(_) if entry.is_system_link() => ("SYSTEMDIR", entry.path.as_bytes()),
        EntryContent::Link(_) => ("SYMLINK", entry.path.as_bytes()),
        EntryContent::File(_) if entry.path.file_name() == FORCING_FILE => {
            let path = entry.path.as_bytes();
            let end = path.len() - FORCING_FILE.len() - 1;
            ("DIRECTORY", if end == 0 { &b"/"[..] } else { &path[..end] })
        }
        EntryContent::File(_) => ("FILE", entry.path.as_bytes()),
    };
    text.extend_from_slice(format!("{kind:<9} ").as_bytes());
    text.extend_from_slice(path);
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::tree_path::TreePath;

    #[test]
    fn kinds_are_named_as_stock_names_them() {
        let path = |p: &str| TreePath::new(p.as_bytes()).unwrap();
        let file = |p: &str| TreeEntry {
            path: path(p),
            content: EntryContent::File(Vec::new()),
        };
        let entries = [
            file("/p/a.c"),
            TreeEntry {
                path: path("/p/v.h"),
                content: EntryContent::Link(b"/p/real.h".to_vec()),
            },
            TreeEntry::system_link(path("/usr/include")),
            file("/p/gone/forcing_technique_271828"),
        ];
        let mut text = Vec::new();
        for entry in &entries {
            put_line(&mut text, entry);
        }
        let expected =
            "FILE      /p/a.c\nSYMLINK   /p/v.h\nSYSTEMDIR /usr/include\nDIRECTORY /p/gone\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
