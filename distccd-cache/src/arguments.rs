//! Which command lines are not run for a client. Owns nothing; the rules are `protocol`'s, this adds `--sysroot`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use protocol::command_line::{CommandLine, ServerRefusal, Word};

/// Why this command line is not run for a client; `None` when it may be. `-specs=X` names programs to run and is
/// refused, except when X is a regular file below `sysroot`: the server's owner put it there.
#[must_use]
pub fn refused(argv: &[Word], sysroot: Option<&Path>) -> Option<ServerRefusal> {
    let Some(sysroot) = sysroot else {
        return CommandLine::parse(argv).refused_by_server();
    };
    // A harmless option takes the place of each allowed word, so that the rest is parsed as the compiler will.
    let judged: Vec<Word> = argv
        .iter()
        .map(|word| {
            if is_owners_specs(word, sysroot) {
                b"-w".to_vec()
            } else {
                word.clone()
            }
        })
        .collect();
    CommandLine::parse(&judged).refused_by_server()
}

/// Whether a word is `-specs=X` (or `--specs=X`) with X a regular file below the directory.
fn is_owners_specs(word: &[u8], sysroot: &Path) -> bool {
    let name = word
        .strip_prefix(b"-specs=")
        .or_else(|| word.strip_prefix(b"--specs="));
    let Some(name) = name.filter(|name| !name.is_empty() && !name.contains(&0)) else {
        return false;
    };
    let relative = Path::new(OsStr::from_bytes(name));
    let relative = relative.strip_prefix("/").unwrap_or(relative);
    let below = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    below
        && sysroot
            .join(relative)
            .symlink_metadata()
            .is_ok_and(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str, sysroot: Option<&Path>) -> Option<String> {
        let argv: Vec<Word> = line
            .split_whitespace()
            .map(|word| word.as_bytes().to_vec())
            .collect();
        refused(&argv, sysroot).map(|refusal| refusal.to_string())
    }

    #[test]
    fn what_loads_code_or_runs_programs_is_refused() {
        for line in [
            "gcc -fplugin=/tmp/x.so -c a.c",
            "gcc -specs=/tmp/x -c a.c",
            "gcc --specs=/tmp/x -c a.c",
            "gcc -wrapper sh,-c -c a.c",
        ] {
            assert!(refusal(line, None).is_some(), "{line}");
        }
        assert_eq!(refusal("gcc -O2 -Wall -c a.c -o a.o", None), None);
    }

    #[test]
    fn the_owners_specs_are_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("lib")).unwrap();
        std::fs::write(root.join("lib/ok.specs"), "").unwrap();
        std::fs::write(dir.path().join("outside"), "").unwrap();
        let sysroot = Some(root.as_path());
        for line in [
            "gcc -specs=lib/ok.specs -c a.c",
            "gcc -specs=/lib/ok.specs -c a.c",
        ] {
            assert_eq!(refusal(line, sysroot), None, "{line}");
            assert!(refusal(line, None).is_some(), "{line}");
        }
        for line in [
            "gcc -specs=lib -c a.c",
            "gcc -specs= -c a.c",
            "gcc -specs=../outside -c a.c",
            "gcc -specs=lib/../../outside -c a.c",
            "gcc -specs=lib/absent -c a.c",
            // The allowed word is the output's name here, so that the plugin is loaded.
            "gcc -c a.c -o -specs=lib/ok.specs -fplugin=evil",
            "gcc -c a.c -specs=lib/ok.specs -fplugin=evil",
        ] {
            assert!(refusal(line, sysroot).is_some(), "{line}");
        }
    }
}
