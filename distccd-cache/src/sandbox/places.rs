//! What a compiler may read where it shares the daemon's root. Owns the list that is the same for all jobs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::child::c_string;
use crate::confinement::{Right, Rule};
use crate::view::skeleton::{DEVICES, ETC, TOOLCHAIN_ROOTS};

/// Files of the kernel that tell about the machine, not about its processes.
const MACHINE: [&str; 6] = [
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
];

/// The list.
#[derive(Debug)]
pub(super) struct Places {
    rules: Vec<Rule>,
}

/// A rule; none for a path that no kernel takes.
pub(super) fn rule(path: &Path, right: Right) -> Option<Rule> {
    let path = c_string(path.as_os_str().to_owned()).ok()?;
    Some(Rule { path, right })
}

impl Places {
    /// Toolchains, what they read beside their own files, and what the administrator adds.
    pub(super) fn new(readable: &[PathBuf]) -> Self {
        let given = readable.iter().map(PathBuf::as_path);
        // The root directory as a whole would be no rule at all.
        let given = given.filter(|path| path.is_absolute() && path.parent().is_some());
        let run = TOOLCHAIN_ROOTS.iter().map(Path::new).chain(given);
        let run = run.map(|path| rule(path, Right::Run));
        let read = ETC.iter().chain(&MACHINE);
        let read = read.map(|path| rule(Path::new(path), Right::Read));
        let devices = DEVICES.iter();
        let devices = devices.map(|path| rule(Path::new(path), Right::Use));
        Self {
            rules: run.chain(read).chain(devices).flatten().collect(),
        }
    }

    /// All rules for a job: the list, the compiler's own installation, and the job's directory.
    pub(super) fn rules(&self, compiler: &Path, directory: &Path) -> impl Iterator<Item = Rule> {
        let real = compiler.canonicalize().unwrap_or_default();
        let installed = [installation(compiler), installation(&real)];
        let installed = installed.into_iter().flatten();
        let installed = installed.filter_map(|path| rule(&path, Right::Run));
        let installed: Vec<Rule> = installed.collect();
        self.rules
            .iter()
            .cloned()
            .chain(installed)
            .chain(rule(directory, Right::Change))
    }

    /// The rules for a program that writes nothing.
    pub(super) fn for_nothing(&self) -> Vec<Rule> {
        self.rules.clone()
    }
}

/// The directory in which a compiler is installed with all that belongs to it, if that is not where all toolchains are.
fn installation(compiler: &Path) -> Option<PathBuf> {
    if TOOLCHAIN_ROOTS
        .iter()
        .any(|root| compiler.starts_with(root))
    {
        return None;
    }
    let dir = compiler.parent()?;
    let prefix = match dir.file_name().and_then(OsStr::to_str) {
        Some("bin") => dir.parent()?,
        _ => dir,
    };
    // Never the root directory, nor one directly below it such as /home or /tmp.
    (prefix.components().count() > 2).then(|| prefix.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_brings_its_installation_and_no_more() {
        let of = |compiler: &str| installation(Path::new(compiler));
        let is = |path: &str| Some(PathBuf::from(path));
        assert_eq!(of("/home/u/gcc-15/bin/gcc"), is("/home/u/gcc-15"));
        assert_eq!(of("/srv/tools/gcc"), is("/srv/tools"));
        for compiler in [
            "/usr/bin/gcc",
            "/opt/x/bin/gcc",
            "/home/bin/gcc",
            "/tmp/gcc",
            "/gcc",
            "",
        ] {
            assert_eq!(of(compiler), None, "{compiler}");
        }
    }

    #[test]
    fn the_administrator_cannot_open_everything_by_accident() {
        let plain = Places::new(&[]).rules.len();
        let given = ["/", "", "relative", "/srv/sdk"].map(PathBuf::from);
        assert_eq!(Places::new(&given).rules.len(), plain + 1);
    }
}
