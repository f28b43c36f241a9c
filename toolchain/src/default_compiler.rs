//! What this machine's `cc` says of itself: servers on the local network are told apart by it. Owns no state.

use crate::run;
use protocol::zeroconf::DefaultCompiler;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest answer that is an answer.
const LONGEST: usize = 64;

/// Asks `cc`, as `path` (a `PATH`) has it; `None` where there is none, or none that answers.
#[must_use]
pub fn default_compiler(path: &OsStr) -> Option<DefaultCompiler> {
    let mut directories = path.as_bytes().split(|&byte| byte == b':');
    let program = directories.find_map(|directory| {
        let program = Path::new(OsStr::from_bytes(directory)).join("cc");
        (program.is_absolute() && program.is_file()).then_some(program)
    })?;
    let environment = [
        (b"PATH".to_vec(), path.as_bytes().to_vec()),
        // A link to distcc runs the real one then.
        (b"DISTCC_HOSTS".to_vec(), b"localhost".to_vec()),
    ];
    let ask = |question: &str| -> Option<String> {
        let mut command = run::command(&program, &environment, None);
        let output = run::run(command.arg(question), b"").ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let word = text.split_whitespace().next()?;
        let usable = output.success && word.len() <= LONGEST;
        usable.then(|| word.to_owned())
    };
    Some(DefaultCompiler {
        machine: ask("-dumpmachine")?,
        version: ask("-dumpversion")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_cc_answers() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(default_compiler(place.path().as_os_str()), None);
        let script =
            "#!/bin/sh\ncase $1 in -dumpmachine) echo some-machine;; *) echo 7.1 x;; esac\n";
        let cc = place.path().join("cc");
        std::fs::write(&cc, script).unwrap();
        std::fs::set_permissions(&cc, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("/nowhere:{}", place.path().display());
        let found = default_compiler(OsStr::new(&path)).unwrap();
        assert_eq!((&*found.machine, &*found.version), ("some-machine", "7.1"));
    }
}
