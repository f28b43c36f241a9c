//! What a driver says of itself beside the commands that it would start. Owns no state.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use protocol::identity::Family;

/// Lines that say where something stands, how the driver was started, or what it finds on this machine for linking.
const PLACES: [&[u8]; 11] = [
    b"###",
    b"COLLECT_",
    b"COMPILER_PATH=",
    b"LIBRARY_PATH=",
    b"OFFLOAD_TARGET_",
    b"Using built-in specs.",
    b"Found candidate ",
    b"Selected ",
    b"Candidate multilib",
    b"Found CUDA installation",
    b"Found HIP installation",
];

const READS_SPECS: &[u8] = b"Reading specs from ";
const CONFIGURATION: &[u8] = b"Configuration file: ";
const SYSTEM_DIRECTORY: &[u8] = b"System configuration file directory: ";
const USER_DIRECTORY: &[u8] = b"User configuration file directory: ";

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) family: Family,
    pub(crate) target: Vec<u8>,
    /// The line with the version.
    pub(crate) version: Vec<u8>,
    /// Lines that are the same wherever this build of the compiler stands.
    pub(crate) build: Vec<Vec<u8>>,
    /// How gcc says that it was started.
    pub(crate) started_as: Option<Vec<u8>>,
    /// Files with defaults that were read.
    pub(crate) defaults: Vec<PathBuf>,
    /// Directories in which clang looks for files with defaults.
    pub(crate) directories: Vec<PathBuf>,
}

impl Report {
    /// Reads what `-###` printed; nothing when there is no version in it.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut family = None;
        let mut report = Self {
            family: Family::Gcc,
            target: Vec::new(),
            version: Vec::new(),
            build: Vec::new(),
            started_as: None,
            defaults: Vec::new(),
            directories: Vec::new(),
        };
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        for line in text.split(|&byte| byte == b'\n') {
            if line.is_empty() || line.starts_with(b" ") {
                continue;
            }
            if family.is_none() && line.starts_with(b"gcc version ") {
                family = Some(Family::Gcc);
                report.version = line.trim_ascii().to_vec();
            } else if family.is_none() && contains(line, b"clang version ") {
                family = Some(Family::Clang);
                report.version = line.trim_ascii().to_vec();
            } else if let Some(target) = line.strip_prefix(b"Target: ") {
                report.target = target.to_vec();
            } else if let Some(name) = line.strip_prefix(b"COLLECT_GCC=") {
                report.started_as = Some(name.to_vec());
            } else if let Some(file) = line
                .strip_prefix(READS_SPECS)
                .or_else(|| line.strip_prefix(CONFIGURATION))
            {
                report.defaults.push(path(file));
            } else if let Some(directory) = line
                .strip_prefix(SYSTEM_DIRECTORY)
                .or_else(|| line.strip_prefix(USER_DIRECTORY))
                .or_else(|| line.strip_prefix(b"InstalledDir: "))
            {
                report.directories.push(path(directory));
            } else if !PLACES.iter().any(|place| line.starts_with(place)) {
                report.build.push(line.to_vec());
            }
        }
        report.family = family?;
        Some(report)
    }

    /// One line for people.
    pub(crate) fn banner(&self) -> String {
        let version = String::from_utf8_lossy(&self.version);
        let version = match version.strip_prefix("gcc version ") {
            Some(rest) => format!("gcc {rest}"),
            None => version.into_owned(),
        };
        format!("{version} for {}", String::from_utf8_lossy(&self.target))
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// What a file with defaults says that makes the compiler read more files, or run code that is not its own.
/// gcc does not allow `%include` in the `specs` that it reads by itself.
pub(crate) fn nested(text: &[u8]) -> Option<String> {
    let mut words = text
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    let found = words.find(|word| {
        word.starts_with(b"@")
            || word.starts_with(b"--config")
            || contains(word, b"-fplugin=")
            || contains(word, b"-fpass-plugin=")
    });
    found.map(|word| String::from_utf8_lossy(word).chars().take(100).collect())
}

/// The directories in one line of `-print-search-dirs`.
pub(crate) fn search_directories(text: &[u8], kind: &[u8]) -> Vec<PathBuf> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(kind)?.strip_prefix(b": ="));
    let mut directories: Vec<PathBuf> = Vec::new();
    for directory in line.unwrap_or_default().split(|&byte| byte == b':') {
        let directory = PathBuf::from(OsStr::from_bytes(directory));
        if directory.is_absolute() && !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gcc_says() {
        let text = b"Reading specs from /g/specs\nCOLLECT_GCC=/usr/bin/cc\nTarget: x86_64-linux-gnu\n\
Configured with: ../configure --prefix=/usr\nThread model: posix\ngcc version 12.2.0 (Debian 12.2.0-14) \n\
COLLECT_GCC_OPTIONS='-c'\n cc1 -quiet\nLIBRARY_PATH=/lib/\n";
        let report = Report::parse(text).unwrap();
        assert_eq!(report.family, Family::Gcc);
        assert_eq!(
            report.banner(),
            "gcc 12.2.0 (Debian 12.2.0-14) for x86_64-linux-gnu"
        );
        assert_eq!(report.started_as.unwrap(), b"/usr/bin/cc");
        assert_eq!(report.defaults, [PathBuf::from("/g/specs")]);
        assert_eq!(report.build.len(), 2);
    }

    #[test]
    fn what_clang_says() {
        let text = b"Debian clang version 19.1.7 (3)\nTarget: x86_64-pc-linux-gnu\nThread model: posix\nInstalledDir: /l/bin\n\
Configuration file: /l/bin/clang.cfg\n (in-process)\n \"/l/bin/clang\" \"-cc1\"\n";
        let report = Report::parse(text).unwrap();
        assert_eq!(report.family, Family::Clang);
        assert_eq!(
            report.banner(),
            "Debian clang version 19.1.7 (3) for x86_64-pc-linux-gnu"
        );
        assert_eq!(report.defaults, [PathBuf::from("/l/bin/clang.cfg")]);
        assert_eq!(report.directories, [PathBuf::from("/l/bin")]);
        assert_eq!(report.build, [b"Thread model: posix"]);
    }

    #[test]
    fn others_have_no_report() {
        assert!(Report::parse(b"tcc version 0.9.27 (x86_64 Linux)\n").is_none());
        assert!(Report::parse(b"").is_none());
    }

    #[test]
    fn defaults_that_name_more() {
        assert_eq!(nested(b"-O2 -fno-plt\n"), None);
        assert_eq!(nested(b"-O2\n@more.cfg\n").unwrap(), "@more.cfg");
        assert!(nested(b"*cc1:\n+ %{!x:-fplugin=y.so}\n").is_some());
    }

    #[test]
    fn directories_are_listed_once() {
        let text = b"install: /i/\nprograms: =/a/:/b/:/a/:rel/\nlibraries: =/c/../d/:/lib/\n";
        assert_eq!(
            search_directories(text, b"programs"),
            ["/a/", "/b/"].map(PathBuf::from)
        );
        assert_eq!(search_directories(text, b"libraries").len(), 2);
        assert!(search_directories(b"", b"programs").is_empty());
    }
}
