//! What a compiler's answer rests on, in a form that outlives the process: each name that it looked at, with what the
//! system said about it.
//!
//! A fact is looked at again with plain calls when an answer is taken from disk; from then on the answer's vouchers
//! hold it, as they hold any other.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::trail::{self, Trail};
use super::{Invocation, run};
use crate::facts::keeps_stamps;
use crate::files::{self, FileStamp};

/// What is asked about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Aspect {
    /// What stands there, links followed: a file's stamp, which directory, nothing, an error.
    Stands,
    /// Where a link leads, or that it is none.
    Links,
    /// The times of a directory, which change with the names in it.
    Lists,
    /// The real path.
    Leads,
    /// Where the dynamic loader's cache says that libraries are. The names are joined by line ends.
    Libraries,
    /// Whether a directory of `PATH` has it.
    Searches,
}

impl Aspect {
    pub(super) const ALL: [Aspect; 6] = [
        Aspect::Stands,
        Aspect::Links,
        Aspect::Lists,
        Aspect::Leads,
        Aspect::Libraries,
        Aspect::Searches,
    ];
}

/// Facts: what was asked, about what, and the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence(pub(super) BTreeMap<(Vec<u8>, Aspect), Vec<u8>>);

/// The dynamic loader's cache. Each change of any library writes it anew, so only what it says about the compiler's own
/// libraries counts.
const LOADER_CACHE: &str = "/etc/ld.so.cache";

/// Larger ones are not read.
const LOADER_CACHE_LIMIT: u64 = 16 << 20;

/// Names that do not decide an answer: devices without content, and what the C library asks to size its memory.
const INDIFFERENT: [&str; 11] = [
    "/dev/null",
    "/dev/random",
    "/dev/tty",
    "/dev/urandom",
    // A program's own path: it is known by where the program was started.
    "/proc/self/exe",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/cpu/possible",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
    LOADER_CACHE,
];

/// Here a program finds the real paths of what it has opened.
const DESCRIPTORS: &str = "/proc/self/fd";

/// Where names do not mean files that stay.
const PECULIAR: [&str; 3] = ["/proc", "/sys", "/dev"];

/// A directory that is not there, put in front of `PATH`: a program that looks into it searches `PATH`.
fn search_mark(bait: &Path) -> PathBuf {
    bait.join("search")
}

impl Evidence {
    /// Runs `command`, which is `invocation`'s, as [`run::run`] does; gives the evidence for what it prints, if there can be
    /// any.
    pub(super) fn gather(
        invocation: &Invocation,
        mut command: Command,
        input: &[u8],
        bait: &Path,
    ) -> (Result<run::Output, String>, Option<Evidence>) {
        let search = invocation.search().unwrap_or_default();
        let mark = search_mark(bait);
        let searched = [mark.as_os_str().as_bytes(), b":", search].concat();
        command.env("PATH", OsStr::from_bytes(&searched));
        let cwd = invocation.cwd.as_deref().unwrap_or(Path::new("/"));
        let started = files::now();
        let (output, trail) = trail::run_watched(&mut command, input, cwd);
        let taken = match &trail {
            Some(trail) => Self::take(trail, search, bait, started),
            None => Err("the system does not tell what it looks at".into()),
        };
        let program = invocation.program.display();
        let evidence = taken.inspect_err(|why| tracing::debug!("{program} is not kept: {why}"));
        (output, evidence.ok())
    }

    /// What the system says now about all names of `trail`. An error (in words, for the log) when an answer could not be
    /// vouched for by them. `search` is `PATH`. Names below `bait` are our own and made anew in each session. Nothing may have
    /// changed since `started` (nanoseconds since 1970), when the compiler had not yet looked.
    fn take(trail: &Trail, search: &[u8], bait: &Path, started: i64) -> Result<Evidence, String> {
        if let Some(why) = &trail.spoiled {
            return Err(why.clone());
        }
        let mut evidence = Evidence::default();
        let mut libraries = Vec::new();
        let mark = search_mark(bait);
        let mut names = trail.names.keys();
        let asks_real_paths = names.any(|path| path.starts_with(DESCRIPTORS));
        for (path, usage) in &trail.names {
            if let Ok(name) = path.strip_prefix(&mark) {
                let name = name.as_os_str().as_bytes();
                if found_in(search, name) != Some(false) {
                    let name = String::from_utf8_lossy(name);
                    return Err(format!("it searches PATH for {name}"));
                }
                let key = (name.to_vec(), Aspect::Searches);
                evidence.0.insert(key, ABSENT.to_vec());
                continue;
            }
            if bait.starts_with(path) || path.starts_with(bait) {
                continue;
            }
            if INDIFFERENT.iter().any(|name| path == Path::new(name))
                || path.starts_with(DESCRIPTORS)
            {
                continue;
            }
            if let Some(place) = PECULIAR.iter().find(|place| path.starts_with(place)) {
                return Err(format!("it looks at {} in {place}", path.display()));
            }
            let aspects = [
                (Aspect::Stands, true),
                (Aspect::Links, usage.link),
                (Aspect::Lists, usage.list),
                (
                    Aspect::Leads,
                    usage.start || (usage.open && asks_real_paths),
                ),
            ];
            let name = path.as_os_str().as_bytes();
            for (aspect, _) in aspects.iter().filter(|(_, wanted)| *wanted) {
                let seen = look(name, *aspect, search)
                    .ok_or_else(|| format!("{} cannot be vouched for", path.display()))?;
                if *aspect == Aspect::Stands
                    && seen.first() == Some(&FILE)
                    && let Some(name) = path.file_name()
                    && memchr::memmem::find(name.as_bytes(), b".so").is_some()
                {
                    libraries.push(name.as_bytes());
                }
                evidence.0.insert((name.to_vec(), *aspect), seen);
            }
        }
        if trail.names.contains_key(Path::new(LOADER_CACHE)) {
            libraries.sort_unstable();
            libraries.dedup();
            let names = libraries.join(&b'\n');
            let seen = look(&names, Aspect::Libraries, search)
                .ok_or_else(|| format!("{LOADER_CACHE} cannot be read"))?;
            evidence.0.insert((names, Aspect::Libraries), seen);
        }
        evidence.check_settled(bait, started)?;
        Ok(evidence)
    }

    /// Whether all is as it was, for an invocation that gives `search` as `PATH`.
    pub(super) fn holds(&self, search: &[u8]) -> bool {
        self.0
            .iter()
            .all(|((name, aspect), seen)| look(name, *aspect, search).as_ref() == Some(seen))
    }

    /// Whether what stands there now stood there when the compiler looked, and whether a later change will show. Times
    /// tell both; they must be there and older than the compiler's start.
    fn check_settled(&self, bait: &Path, started: i64) -> Result<(), String> {
        let mut devices = BTreeSet::new();
        let mut check = |path: &Path| {
            let Ok(stat) = rustix::fs::stat(path) else {
                return Ok(());
            };
            let stamp = FileStamp::new(&stat);
            if files::is_recent(&stamp, started) {
                return Err(format!("{} has just changed", path.display()));
            }
            if devices.insert(stamp.device) && !keeps_stamps(path) {
                let path = path.display();
                return Err(format!("the times of {path} cannot be relied on"));
            }
            Ok(())
        };
        let mut directories = BTreeSet::new();
        let mut parents = BTreeSet::new();
        for ((name, aspect), seen) in &self.0 {
            let path = Path::new(OsStr::from_bytes(name));
            match aspect {
                Aspect::Stands if seen.first() == Some(&FILE) => check(path)?,
                Aspect::Lists => check(path)?,
                Aspect::Libraries => check(Path::new(LOADER_CACHE))?,
                _ => {}
            }
            if matches!(aspect, Aspect::Libraries | Aspect::Searches) {
                continue;
            }
            // The name itself may be a directory's.
            directories.insert(path.to_owned());
            parents.extend(path.parent());
        }
        // Names that came and went on the way show in the times of directories, those behind links included.
        for parent in parents {
            let real = parent.canonicalize().ok();
            for path in [Some(parent), real.as_deref()].into_iter().flatten() {
                let above = path.ancestors().filter(|above| !bait.starts_with(above));
                directories.extend(above.map(Path::to_owned));
            }
        }
        directories.iter().try_for_each(|directory| {
            let is_directory = rustix::fs::stat(directory)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
            match is_directory {
                true => check(directory),
                false => Ok(()),
            }
        })
    }
}

/// What is found where nothing is.
const ABSENT: &[u8] = b"-";

/// The first byte of what [`Aspect::Stands`] finds at a regular file.
const FILE: u8 = b'f';

/// One look; `None` when nothing that could be told again is there.
fn look(name: &[u8], aspect: Aspect, search: &[u8]) -> Option<Vec<u8>> {
    let path = Path::new(OsStr::from_bytes(name));
    match aspect {
        Aspect::Stands => stands(rustix::fs::stat(path)),
        Aspect::Links => Some(match rustix::fs::readlink(path, Vec::new()) {
            Ok(target) => [b"l", target.as_bytes()].concat(),
            Err(errno) => error(errno),
        }),
        Aspect::Lists => {
            let stamp = FileStamp::new(&rustix::fs::stat(path).ok()?);
            let times = [stamp.modified, stamp.changed].map(i64::to_le_bytes);
            Some([which(&stamp), times.concat()].concat())
        }
        Aspect::Leads => Some(match path.canonicalize() {
            Ok(real) => [b"p", real.as_os_str().as_bytes()].concat(),
            Err(_) => b"e".to_vec(),
        }),
        Aspect::Libraries => libraries(name),
        Aspect::Searches => (!found_in(search, name)?).then(|| ABSENT.to_vec()),
    }
}

/// Whether a directory of `search` has this name; not known when one of them depends on the working directory.
fn found_in(search: &[u8], name: &[u8]) -> Option<bool> {
    let mut directories = search.split(|&byte| byte == b':').map(OsStr::from_bytes);
    let name = Path::new(OsStr::from_bytes(name));
    directories.try_fold(false, |found, directory| {
        let directory = Path::new(directory);
        let is_there = |path: &Path| rustix::fs::lstat(path).is_ok();
        directory
            .is_absolute()
            .then(|| found || is_there(&directory.join(name)))
    })
}

fn stands(found: rustix::io::Result<rustix::fs::Stat>) -> Option<Vec<u8>> {
    let stat = match found {
        Ok(stat) => stat,
        Err(errno) => return Some(error(errno)),
    };
    let stamp = FileStamp::new(&stat);
    let mode = stamp.mode.to_le_bytes();
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let times = [stamp.modified, stamp.changed].map(i64::to_le_bytes);
            let size = stamp.size.to_le_bytes();
            let parts = [&[FILE][..], &which(&stamp), &mode, &size, &times.concat()];
            Some(parts.concat())
        }
        FileType::Directory => Some([&b"d"[..], &which(&stamp), &mode].concat()),
        _ => None,
    }
}

fn which(stamp: &FileStamp) -> Vec<u8> {
    [stamp.device, stamp.inode].map(u64::to_le_bytes).concat()
}

fn error(errno: Errno) -> Vec<u8> {
    match errno {
        // To whoever looks for a name it is the same.
        Errno::NOENT | Errno::NOTDIR => ABSENT.to_vec(),
        errno => [&b"e"[..], &errno.raw_os_error().to_le_bytes()].concat(),
    }
}

/// A digest of all paths in the loader's cache that have one of these names.
fn libraries(names: &[u8]) -> Option<Vec<u8>> {
    let file = std::fs::File::open(LOADER_CACHE).ok()?;
    if file.metadata().ok()?.len() > LOADER_CACHE_LIMIT {
        return None;
    }
    let mut cache = Vec::new();
    std::io::Read::read_to_end(
        &mut std::io::Read::take(file, LOADER_CACHE_LIMIT),
        &mut cache,
    )
    .ok()?;
    let mut digest = blake3::Hasher::new();
    // Paths are strings that end with a NUL, in the order of the cache's own preference.
    for name in names.split(|&byte| byte == b'\n') {
        let end = [b"/", name, b"\0"].concat();
        for at in memchr::memmem::find_iter(&cache, &end) {
            let start = memchr::memrchr(0, &cache[..at]).map_or(0, |nul| nul + 1);
            digest.update(&cache[start..at + end.len()]);
        }
    }
    Some(digest.finalize().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::trail::Use;
    use std::fs;
    use std::os::unix::fs::symlink;

    struct Place {
        _directory: tempfile::TempDir,
        root: PathBuf,
        bait: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Place {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path().canonicalize().unwrap();
            Place {
                _directory: directory,
                root,
                bait: tempfile::tempdir().unwrap(),
            }
        }

        fn take(&self, names: &[(&str, Use)], started: i64) -> Result<Evidence, String> {
            let trail = Trail {
                names: names
                    .iter()
                    .map(|(name, usage)| (self.root.join(name), *usage))
                    .collect(),
                spoiled: None,
            };
            Evidence::take(&trail, b"/usr/bin", self.bait.path(), started)
        }

        /// As if the compiler were started later than all that has happened.
        fn later(&self) -> i64 {
            files::now() + 1_000_000_000
        }
    }

    fn used(change: impl Fn(&mut Use)) -> Use {
        let mut usage = Use::default();
        change(&mut usage);
        usage
    }

    #[test]
    fn each_change_is_seen() {
        let place = Place::new();
        let path = |name: &str| place.root.join(name);
        fs::write(path("file"), "1").unwrap();
        fs::create_dir(path("directory")).unwrap();
        symlink("file", path("link")).unwrap();
        let plain = Use::default();
        type Change<'a> = &'a dyn Fn();
        let cases: [(&str, Use, Change); 7] = [
            ("file", plain, &|| fs::write(path("file"), "2").unwrap()),
            ("absent", plain, &|| fs::write(path("absent"), "").unwrap()),
            ("absent/below", plain, &|| {
                fs::remove_file(path("absent")).unwrap();
                fs::create_dir_all(path("absent/below")).unwrap();
            }),
            ("link", used(|usage| usage.link = true), &|| {
                fs::hard_link(path("file"), path("same")).unwrap();
                fs::remove_file(path("link")).unwrap();
                symlink("same", path("link")).unwrap();
            }),
            ("directory", used(|usage| usage.list = true), &|| {
                fs::write(path("directory/new"), "").unwrap();
            }),
            ("link", used(|usage| usage.start = true), &|| {
                fs::remove_file(path("link")).unwrap();
                symlink("file", path("link")).unwrap();
            }),
            ("directory", plain, &|| {
                fs::rename(path("directory"), path("moved")).unwrap();
                fs::create_dir(path("directory")).unwrap();
            }),
        ];
        for (name, usage, change) in cases {
            let evidence = place.take(&[(name, usage)], place.later()).unwrap();
            assert!(evidence.holds(b"/usr/bin"), "{name}");
            change();
            assert!(!evidence.holds(b"/usr/bin"), "{name}");
        }
        // Of a directory that is only looked at, its names do not count.
        let evidence = place.take(&[("directory", plain)], place.later()).unwrap();
        fs::write(path("directory/newer"), "").unwrap();
        assert!(evidence.holds(b"/usr/bin"));
    }

    #[test]
    fn what_changed_meanwhile_vouches_for_nothing() {
        let place = Place::new();
        fs::write(place.root.join("file"), "1").unwrap();
        let started = files::now();
        for name in ["file", "absent", "absent/below"] {
            let taken = place.take(&[(name, Use::default())], started);
            assert!(taken.unwrap_err().ends_with("has just changed"), "{name}");
        }
    }

    #[test]
    fn names_that_cannot_be_vouched_for() {
        let place = Place::new();
        for name in ["/proc/cpuinfo", "/sys/devices/system/cpu", "/dev/zero"] {
            let taken = place.take(&[(name, Use::default())], place.later());
            assert!(taken.is_err(), "{name}");
        }
        let names = [
            ("/dev/null", Use::default()),
            ("/proc/self/exe", Use::default()),
        ];
        assert_eq!(place.take(&names, place.later()), Ok(Evidence::default()));
        let spoiled = Trail {
            spoiled: Some("it writes".into()),
            ..Trail::default()
        };
        let taken = Evidence::take(&spoiled, b"", place.bait.path(), place.later());
        assert_eq!(taken, Err("it writes".into()));
    }

    #[test]
    fn a_search_along_path_must_find_nothing() {
        let place = Place::new();
        let mark = search_mark(place.bait.path());
        let search = |name: &str| {
            let name = mark.join(name).display().to_string();
            place.take(&[(&name, Use::default())], place.later())
        };
        assert!(search("sh").unwrap_err().contains("searches PATH for sh"));
        let evidence = search("no-such-program").unwrap();
        assert!(evidence.holds(b"/usr/bin:/nowhere"));
        assert!(!evidence.holds(b"/usr/bin:relative"));
        let own = place.root.as_os_str().as_bytes();
        assert!(evidence.holds(own));
        fs::write(place.root.join("no-such-program"), "").unwrap();
        assert!(!evidence.holds(own));
    }
}
