//! What this server's own headers are at this moment, as one digest. Jobs of stock's protocols are compiled with them, and no client says what they hold; so
//! the digest is part of such a result's name. Owns the memory of it.
//!
//! The digest is over the stamps (device, inode, size, times) of all files below the compilers' own search directories, some ten thousand. It is used again
//! while inotify vouches for it: a watch on each directory, read before each use, and a look at the table of mounts. Where no watch can be had there is no
//! digest, and results of such jobs are not kept. Not noticed: a write through a hard link that lies elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::bundle::digest::Digest;
use protocol::command_line::{Language, SourceLanguage};
use protocol::identity::Identity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;
use toolchain::run::run_within;

/// Files and directories that are looked at; whoever has more has no digest.
const LARGEST: usize = 400_000;

/// How often a digest is made anew because something changed meanwhile.
const ATTEMPTS: usize = 3;

/// How long a compiler may take to say where it looks.
const COMPILER_LIMIT: Duration = Duration::from_secs(20);

/// How long nobody looks again after there was no digest: a look costs some 50 ms.
const FAILURE_REMEMBERED: Duration = Duration::from_secs(60);

/// Everything that changes a name or a file's content.
const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct OwnHeaders {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where compilers said that they look.
    asked: HashMap<Who, Places>,
    watched: Option<Watched>,
    /// When there was none, and why.
    failed: Option<(Instant, Doubt)>,
}

/// A compiler by its path, language and exact identity.
type Who = (PathBuf, Language, [u8; 32]);

/// Where compilers look.
#[derive(Clone, Debug, Default)]
struct Places {
    /// Real paths of the directories below which everything counts.
    roots: BTreeSet<PathBuf>,
    /// What there is of the way to directories that do not exist.
    edges: BTreeSet<PathBuf>,
}

/// Digests and what vouches for them.
#[derive(Debug)]
struct Watched {
    /// By directory; none is below another.
    digests: BTreeMap<PathBuf, Digest>,
    events: OwnedFd,
    mounts: File,
}

/// Why there is no digest, for the log.
type Doubt = String;

impl OwnHeaders {
    /// The digest of all headers that a compiler finds by itself.
    ///
    /// # Errors
    /// A line that says why there is none.
    pub(crate) fn digest(
        &self,
        compiler: &Path,
        language: Language,
        identity: &Identity,
        program_path: &OsStr,
    ) -> Result<Digest, Doubt> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if state
            .watched
            .as_ref()
            .is_some_and(|watched| !watched.holds())
        {
            // What was missing may be there now.
            *state = State::default();
        }
        let who = (compiler.to_owned(), language, identity.exact);
        if let (Some(places), Some(watched)) = (state.asked.get(&who), &state.watched) {
            return Ok(watched.digest(places));
        }
        if let Some((at, why)) = &state.failed
            && at.elapsed() < FAILURE_REMEMBERED
        {
            return Err(why.clone());
        }
        let found = state.look(who, program_path);
        state.failed = found
            .as_ref()
            .err()
            .map(|why| (Instant::now(), why.clone()));
        found
    }

    /// Whether a path of this server's is below the directories that the digest is about.
    pub(crate) fn covers(&self, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut digests = state
            .watched
            .iter()
            .flat_map(|watched| watched.digests.keys());
        digests.any(|root| real.starts_with(root))
    }
}

impl State {
    /// Asks one more compiler, and looks at everything.
    fn look(&mut self, who: Who, program_path: &OsStr) -> Result<Digest, Doubt> {
        self.watched = None;
        let asked = Places::of(&who.0, who.1, program_path);
        let places = asked
            .map_err(|error| format!("{} does not say where it looks: {error}", who.0.display()))?;
        self.asked.insert(who, places.clone());
        let mut all = Places::default();
        for asked in self.asked.values().cloned() {
            all.roots.extend(asked.roots);
            all.edges.extend(asked.edges);
        }
        let watched = Watched::begin(&all)?;
        let digest = watched.digest(&places);
        self.watched = Some(watched);
        Ok(digest)
    }
}

impl Places {
    /// Asks a compiler where it looks by itself.
    fn of(compiler: &Path, language: Language, path: &OsStr) -> io::Result<Self> {
        let mut places = Self::default();
        let language = SourceLanguage {
            language,
            preprocessed: false,
            header: false,
        };
        let mut command = Command::new(compiler);
        command
            .args(["-E", "-v", "-x"])
            .arg(OsStr::from_bytes(language.name()))
            .arg("/dev/null");
        command.env_clear().env("PATH", path).env("LC_ALL", "C");
        let output = run_within(&mut command, b"", COMPILER_LIMIT).map_err(io::Error::other)?;
        let list = search_list(&output.stderr)
            .ok_or_else(|| io::Error::other("it printed no search list"))?;
        for dir in list {
            places.add(Path::new(OsStr::from_bytes(dir)));
        }
        Ok(places)
    }

    fn add(&mut self, dir: &Path) {
        if let Ok(real) = fs::canonicalize(dir) {
            self.roots.insert(real);
            return;
        }
        let mut above = dir.ancestors().skip(1);
        if let Some(edge) = above.find_map(|dir| fs::canonicalize(dir).ok()) {
            self.edges.insert(edge);
        }
    }
}

/// The directories in what `-v` prints, those that do not exist among them; `None` without a whole list.
pub(super) fn search_list(printed: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in printed.split(|&byte| byte == b'\n') {
        let missing = line.strip_prefix(b"ignoring nonexistent directory \"");
        if let Some(dir) = missing.and_then(|rest| rest.strip_suffix(b"\"")) {
            found.push(dir);
        } else if line.starts_with(b"#include ") && line.ends_with(b"search starts here:") {
            inside = true;
        } else if line.starts_with(b"End of search list") {
            return inside.then_some(found);
        } else if inside && let Some(dir) = line.strip_prefix(b" ") {
            found.push(dir.strip_suffix(b" (framework directory)").unwrap_or(dir));
        }
    }
    None
}

impl Watched {
    /// Looks at everything, with watches that were there before.
    fn begin(places: &Places) -> Result<Self, Doubt> {
        for _ in 0..ATTEMPTS {
            let mounts = File::open("/proc/self/mountinfo")
                .map_err(|error| format!("mounts cannot be watched: {error}"))?;
            let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
                .map_err(|error| format!("inotify cannot be had: {error}"))?;
            let mut digests: BTreeMap<PathBuf, Digest> = BTreeMap::new();
            // Ascending, so what is above another comes first.
            for root in &places.roots {
                if !digests.keys().any(|above| root.starts_with(above)) {
                    digests.insert(root.clone(), Walk::digest(&events, root)?);
                }
            }
            for edge in &places.edges {
                let came = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
                inotify::add_watch(&events, edge, came | WatchFlags::MASK_ADD)
                    .map_err(|error| format!("{} cannot be watched: {error}", edge.display()))?;
            }
            let watched = Self {
                digests,
                events,
                mounts,
            };
            if watched.holds() {
                return Ok(watched);
            }
        }
        Err("this server's headers change all the time".to_owned())
    }

    /// The digest of some of the places.
    fn digest(&self, places: &Places) -> Digest {
        let mut hasher =
            blake3::Hasher::new_derive_key("pumphouse 2026-11-30 a compiler's headers");
        for (dir, digest) in &self.digests {
            if places.roots.iter().any(|root| root.starts_with(dir)) {
                hasher.update(dir.as_os_str().as_bytes());
                hasher.update(&digest.0);
            }
        }
        Digest(*hasher.finalize().as_bytes())
    }

    /// Whether nothing has changed.
    fn holds(&self) -> bool {
        let mut changed = [PollFd::new(&self.mounts, PollFlags::PRI)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if !matches!(poll(&mut changed, Some(&at_once)), Ok(0)) {
            return false;
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        matches!(
            Reader::new(&self.events, &mut buffer).next(),
            Err(Errno::AGAIN)
        )
    }
}

/// A look at all that is below some directories.
struct Walk<'a> {
    events: &'a OwnedFd,
    /// By path: what stands there.
    stamps: BTreeMap<PathBuf, Vec<u8>>,
    /// Directories that were entered, by device and inode.
    entered: HashSet<(u64, u64)>,
}

impl Walk<'_> {
    fn enter(&mut self, dir: &Path) -> Result<(), Doubt> {
        let mut waiting = vec![dir.to_owned()];
        while let Some(dir) = waiting.pop() {
            let failed = |error: io::Error| format!("{} cannot be watched: {error}", dir.display());
            let about = fs::metadata(&dir).map_err(failed)?;
            if !self.entered.insert((about.dev(), about.ino())) {
                continue;
            }
            // Before anything in it is looked at.
            inotify::add_watch(self.events, &dir, CHANGES).map_err(|error| failed(error.into()))?;
            if !is_vouched_for(&dir) {
                return Err(format!(
                    "{} is on a file system whose changes are not told",
                    dir.display()
                ));
            }
            for entry in fs::read_dir(&dir).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let about = fs::symlink_metadata(&path).map_err(failed)?;
                if about.is_dir() {
                    waiting.push(path.clone());
                }
                if about.is_symlink() {
                    self.follow(&path, &mut waiting)?;
                }
                self.stamps.insert(path, stamp(&about));
                if self.stamps.len() > LARGEST {
                    return Err(format!("there are more than {LARGEST} headers"));
                }
            }
        }
        Ok(())
    }

    /// A link: what it leads to counts.
    fn follow(&mut self, link: &Path, waiting: &mut Vec<PathBuf>) -> Result<(), Doubt> {
        let Ok(real) = fs::canonicalize(link) else {
            // Leads nowhere. What would have to come for it to lead somewhere may be out of sight.
            return Ok(());
        };
        let Ok(about) = fs::metadata(&real) else {
            return Ok(());
        };
        if about.is_dir() {
            waiting.push(real.clone());
        } else if let Some(dir) = real.parent() {
            let failed = |error: Errno| format!("{} cannot be watched: {error}", dir.display());
            inotify::add_watch(self.events, dir, CHANGES).map_err(failed)?;
        }
        let mut stamp = stamp(&about);
        stamp.extend_from_slice(real.as_os_str().as_bytes());
        self.stamps.insert(link.join("->"), stamp);
        Ok(())
    }

    /// Of all that is below a directory.
    fn digest(events: &OwnedFd, root: &Path) -> Result<Digest, Doubt> {
        let mut walk = Walk {
            events,
            stamps: BTreeMap::new(),
            entered: HashSet::new(),
        };
        walk.enter(root)?;
        let mut hasher =
            blake3::Hasher::new_derive_key("pumphouse 2026-11-30 a server's own headers");
        for (path, stamp) in &walk.stamps {
            let path = path.as_os_str().as_bytes();
            hasher.update(&(path.len() as u64).to_le_bytes());
            hasher.update(path);
            hasher.update(&(stamp.len() as u64).to_le_bytes());
            hasher.update(stamp);
        }
        Ok(Digest(*hasher.finalize().as_bytes()))
    }
}

fn stamp(about: &Metadata) -> Vec<u8> {
    let numbers = [
        u64::from(about.mode()),
        about.dev(),
        about.ino(),
        // A directory's own times say nothing that its names do not.
        if about.is_dir() { 0 } else { about.size() },
        if about.is_dir() {
            0
        } else {
            about.mtime().cast_unsigned()
        },
        if about.is_dir() {
            0
        } else {
            about.mtime_nsec().cast_unsigned()
        },
        if about.is_dir() {
            0
        } else {
            about.ctime().cast_unsigned()
        },
        if about.is_dir() {
            0
        } else {
            about.ctime_nsec().cast_unsigned()
        },
    ];
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// Whether inotify tells all changes on this file system: not on those that other machines write to.
fn is_vouched_for(dir: &Path) -> bool {
    /// ext4, xfs, btrfs, tmpfs, f2fs, bcachefs, overlay, squashfs, erofs.
    const LOCAL: [u64; 9] = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0x0102_1994,
        0xf2f5_2010,
        0xca45_1a4e,
        0x794c_7630,
        0x7371_7368,
        0xe0f5_e1e2,
    ];
    rustix::fs::statfs(dir).is_ok_and(|found| LOCAL.contains(&(found.f_type as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(roots: &[&Path]) -> (Watched, Digest) {
        let mut places = Places::default();
        roots.iter().for_each(|root| places.add(root));
        let watched = Watched::begin(&places).unwrap();
        let digest = watched.digest(&places);
        (watched, digest)
    }

    #[test]
    fn every_change_below_a_root_is_another_digest() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("include/sys")).unwrap();
        fs::create_dir(root.join("elsewhere")).unwrap();
        fs::write(root.join("include/a.h"), "1").unwrap();
        fs::write(root.join("include/sys/b.h"), "1").unwrap();
        fs::write(root.join("elsewhere/c.h"), "1").unwrap();
        let include = root.join("include");
        std::os::unix::fs::symlink(root.join("elsewhere"), include.join("more")).unwrap();
        std::os::unix::fs::symlink(root.join("elsewhere/c.h"), include.join("c.h")).unwrap();
        type Change = fn(&Path);
        let changes: [Change; 8] = [
            |root| fs::write(root.join("include/a.h"), "2").unwrap(),
            |root| fs::write(root.join("include/sys/b.h"), "22").unwrap(),
            |root| fs::write(root.join("include/sys/new.h"), "").unwrap(),
            |root| fs::remove_file(root.join("include/sys/new.h")).unwrap(),
            |root| fs::create_dir(root.join("include/net")).unwrap(),
            |root| fs::rename(root.join("include/net"), root.join("include/nets")).unwrap(),
            |root| fs::write(root.join("elsewhere/c.h"), "3").unwrap(),
            |root| fs::write(root.join("elsewhere/new.h"), "").unwrap(),
        ];
        let mut digests = vec![];
        for change in changes {
            let (before, digest) = watched(&[&include]);
            assert!(before.holds());
            digests.push(digest);
            change(&root);
            assert!(!before.holds());
        }
        digests.push(watched(&[&include]).1);
        for (at, pair) in digests.windows(2).enumerate() {
            assert_ne!(pair[0], pair[1], "{at}");
        }
        // A name that came and went is none.
        assert_eq!(digests[2], digests[4]);
        assert_eq!(watched(&[&include]).1, digests[8]);
        // Another root beside it or below it changes nothing.
        let below = watched(&[&include.join("sys"), &include, &root.join("elsewhere")]);
        let mut places = Places::default();
        places.add(&include);
        assert_eq!(below.0.digest(&places), digests[8]);
    }

    #[test]
    fn a_directory_that_comes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("there")).unwrap();
        let (watched, _) = watched(&[&root.join("there"), &root.join("local/include")]);
        assert!(watched.holds());
        fs::create_dir(root.join("local")).unwrap();
        assert!(!watched.holds());
    }

    #[test]
    fn a_compiler_says_where_it_looks() {
        let path = OsStr::new("/usr/bin:/bin");
        let places = Places::of(Path::new("/usr/bin/gcc"), Language::C, path).unwrap();
        assert!(
            places.roots.contains(Path::new("/usr/include")),
            "{places:?}"
        );
        assert!(Places::of(Path::new("/bin/true"), Language::C, path).is_err());
    }
}
