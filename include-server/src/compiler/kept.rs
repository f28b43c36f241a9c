//! Compilers' answers on disk, so that a new session need not ask what the last one knew.
//!
//! One file for each invocation, in a directory that only its owner can write to. A file holds what the compiler said, the
//! answers to questions about features, and the evidence for all of it (see [`super::evidence`]); a digest of the whole
//! shows damage. Whatever is not as it should be is as if it were not there: the compiler is asked, and the file replaced.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags, Timespec, Timestamps};

use super::evidence::{Aspect, Evidence};
use super::{Invocation, probe};
use crate::configuration::Question;

/// The form of the files. Raise the number with any change of it, of what is asked, or of how evidence is looked at.
pub(super) const MAGIC: &[u8] = b"Pumphouse compiler answer 1\n";

/// Larger files are not read, nor written. One has about 40 kB.
const SIZE_LIMIT: u64 = 4 << 20;

/// Files kept at most.
const FILES_KEPT: usize = 256;

/// How many stay when there were too many.
const FILES_LEFT: usize = 192;

/// What starts the name of a file that is being written.
const UNFINISHED: &str = "unfinished.";

/// A file that was not used for so long is marked as used again.
const MARK_USED: Duration = Duration::from_secs(24 * 3600);

/// After so long whoever was writing a file is gone.
const GIVEN_UP: Duration = Duration::from_secs(3600);

/// The directory.
#[derive(Debug)]
pub struct Kept {
    directory: PathBuf,
    /// What distinguishes this machine from others that share the directory.
    machine: Vec<u8>,
}

/// One invocation's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) said: Said,
    pub(super) answers: HashMap<Question, i64>,
    pub(super) evidence: Evidence,
}

/// What a compiler said to its probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Built-in `#define` lines.
    pub(super) builtins: Vec<u8>,
    /// It looks for `stdc-predef.h`.
    pub(super) saw_stdc_predef: bool,
    /// What `-v` printed.
    pub(super) verbose: Vec<u8>,
    /// The directory of ours that is in it.
    pub(super) bait: PathBuf,
}

/// Why a directory cannot hold answers.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// It is somebody else's, or others may write to it: they could put answers there.
    #[error("{} is not ours alone", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// The system's error.
    #[error("{}: {source}", path.display())]
    System {
        /// The directory.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
}

impl Kept {
    /// Answers in `directory`, which is made if need be, with those that it is in.
    ///
    /// # Errors
    /// [`KeptError`]; there is none then.
    pub fn open(directory: &Path) -> Result<Kept, KeptError> {
        let failed = |source| KeptError::System {
            path: directory.to_owned(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed)?;
        let found = std::fs::symlink_metadata(directory).map_err(failed)?;
        if !found.is_dir() || !is_ours(&found) {
            return Err(KeptError::NotOurs {
                path: directory.to_owned(),
            });
        }
        let name = rustix::system::uname();
        let (one, two) = rustix::param::linux_hwcap();
        let mut machine = Writer::default();
        machine.bytes(name.nodename().to_bytes());
        machine.bytes(name.machine().to_bytes());
        machine.bytes(format!("{one:x} {two:x}").as_bytes());
        Ok(Kept {
            directory: directory.to_owned(),
            machine: machine.0,
        })
    }

    /// Whether answers to `invocation` can be kept at all: of a program that is no script, and not told to look at this
    /// machine's processor.
    pub(super) fn covers(invocation: &Invocation) -> bool {
        let is_native = |word: &Vec<u8>| memchr::memmem::find(word, b"native").is_some();
        let is_native = invocation.words.iter().any(is_native);
        is_binary(&invocation.program) && !is_native && invocation.search().is_some()
    }

    /// What distinguishes this machine from others that share the directory.
    pub(super) fn machine(&self) -> &[u8] {
        &self.machine
    }

    /// The answer to `invocation`; whether its evidence holds is for the caller to see.
    pub(super) fn load(&self, invocation: &Invocation) -> Option<Entry> {
        let key = self.key(invocation);
        let bytes = self.get(&key)?;
        let entry = decode(&bytes, &key);
        if entry.is_none() {
            tracing::debug!("{} is damaged or of another version", name_of(&key));
        }
        entry
    }

    /// Keeps an answer, together with what another process may have learnt about the same compiler.
    pub(super) fn save(&self, invocation: &Invocation, mut entry: Entry) {
        let search = invocation.search().unwrap_or_default();
        if let Some(other) = self.load(invocation)
            && other.said.builtins == entry.said.builtins
            && other.evidence.holds(search)
        {
            entry.answers.extend(other.answers);
            entry.evidence.0.extend(other.evidence.0);
        }
        self.write(&self.key(invocation), &entry);
    }

    /// Adds answers of a compiler that said `builtins`, if what it said is kept and holds still.
    pub(super) fn add(
        &self,
        invocation: &Invocation,
        builtins: &[u8],
        answers: impl Iterator<Item = (Question, i64)>,
        evidence: Evidence,
    ) {
        let search = invocation.search().unwrap_or_default();
        if let Some(mut entry) = self.load(invocation)
            && entry.said.builtins == builtins
            && entry.evidence.holds(search)
        {
            entry.answers.extend(answers);
            entry.evidence.0.extend(evidence.0);
            self.write(&self.key(invocation), &entry);
        }
    }

    fn write(&self, key: &[u8], entry: &Entry) {
        self.put(key, &encode(entry, key));
    }

    /// The file of a key, if there is one that may be used.
    pub(super) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let path = self.directory.join(name_of(key));
        match read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::debug!("{} is not used: {error}", path.display());
                None
            }
        }
    }

    /// Writes the file of a key. That it cannot be written costs a question later, no more.
    pub(super) fn put(&self, key: &[u8], bytes: &[u8]) {
        if bytes.len() as u64 > SIZE_LIMIT {
            return;
        }
        let path = self.directory.join(name_of(key));
        let written = (|| {
            let mut file = tempfile::Builder::new()
                .prefix(UNFINISHED)
                .tempfile_in(&self.directory)?;
            file.write_all(bytes)?;
            file.persist(&path).map_err(|error| error.error)?;
            self.make_room()
        })();
        if let Err(error) = written {
            tracing::debug!("a compiler's answer is not kept: {error}");
        }
    }

    /// Removes the files that were used least lately when there are too many, and what was never finished.
    fn make_room(&self) -> std::io::Result<()> {
        let now = SystemTime::now();
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            // It may have been removed by another process meanwhile.
            let Ok(used) = entry.metadata().and_then(|found| found.modified()) else {
                continue;
            };
            let unfinished = entry
                .file_name()
                .as_bytes()
                .starts_with(UNFINISHED.as_bytes());
            let old = now.duration_since(used).is_ok_and(|age| age > GIVEN_UP);
            match (unfinished, old) {
                (true, true) => std::fs::remove_file(entry.path())?,
                (true, false) => {}
                (false, _) => files.push((used, entry.path())),
            }
        }
        if files.len() <= FILES_KEPT {
            return Ok(());
        }
        files.sort();
        let surplus = files.len() - FILES_LEFT;
        for (_, path) in &files[..surplus] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// All that the answer depends on besides files. `PATH` is not in it, since each session has its own: what a compiler
    /// searches it for is part of the evidence.
    fn key(&self, invocation: &Invocation) -> Vec<u8> {
        let mut key = Writer::default();
        key.bytes(env!("CARGO_PKG_VERSION").as_bytes());
        key.bytes(&self.machine);
        key.bytes(invocation.program.as_os_str().as_bytes());
        key.number(invocation.words.len() as u64);
        for word in &invocation.words {
            key.bytes(word);
        }
        key.bytes(probe::language_name(invocation.language).as_bytes());
        let entries = &invocation.environment;
        let counted = || entries.iter().filter(|(name, _)| name != b"PATH");
        key.number(counted().count() as u64);
        for (name, value) in counted() {
            key.bytes(name);
            key.bytes(value);
        }
        let cwd = invocation.cwd.as_deref().unwrap_or(Path::new(""));
        key.bytes(cwd.as_os_str().as_bytes());
        key.0
    }
}

/// Whether a program is no script, which might do anything.
pub(super) fn is_binary(program: &Path) -> bool {
    let mut start = [0; 4];
    let program = std::fs::File::open(program);
    program.is_ok_and(|mut file| file.read_exact(&mut start).is_ok()) && start == *b"\x7fELF"
}

/// Whether nobody else can have written what is there.
fn is_ours(found: &std::fs::Metadata) -> bool {
    let others = Mode::WGRP | Mode::WOTH;
    found.uid() == rustix::process::geteuid().as_raw()
        && found.permissions().mode() & others.as_raw_mode() == 0
}

fn name_of(key: &[u8]) -> String {
    blake3::hash(key).to_hex().as_str()[..32].to_owned()
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = std::fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let found = file.metadata()?;
    if !found.is_file() || !is_ours(&found) {
        return Err(std::io::Error::other("it is not ours alone"));
    }
    if found.len() > SIZE_LIMIT {
        return Err(std::io::Error::other("it is too large"));
    }
    let mut bytes = Vec::with_capacity(found.len() as usize + 1);
    (&file).take(SIZE_LIMIT).read_to_end(&mut bytes)?;
    let unused = found.modified()?.elapsed().unwrap_or_default();
    if unused > MARK_USED {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        // Without it the file is removed earlier, no more.
        let _ = rustix::fs::futimens(&file, &times);
    }
    Ok(bytes)
}

/// Numbers and byte strings one after the other.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }
}

/// Reads what [`Writer`] wrote.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

pub(super) fn encode(entry: &Entry, key: &[u8]) -> Vec<u8> {
    let mut body = Writer::default();
    body.bytes(key);
    body.bytes(&entry.said.builtins);
    body.number(u64::from(entry.said.saw_stdc_predef));
    body.bytes(&entry.said.verbose);
    body.bytes(entry.said.bait.as_os_str().as_bytes());
    body.number(entry.answers.len() as u64);
    for (question, value) in &entry.answers {
        let (kind, text) = match question {
            Question::Defined(name) => (0, name),
            Question::Call(call) => (1, call),
        };
        body.number(kind);
        body.bytes(text);
        body.number(value.cast_unsigned());
    }
    body.number(entry.evidence.0.len() as u64);
    for ((name, aspect), seen) in &entry.evidence.0 {
        body.number(*aspect as u64);
        body.bytes(name);
        body.bytes(seen);
    }
    seal(MAGIC, &body.0)
}

/// A file's bytes: its form, a digest of what it holds, which shows damage, and that.
pub(super) fn seal(magic: &[u8], body: &[u8]) -> Vec<u8> {
    [magic, blake3::hash(body).as_bytes(), body].concat()
}

/// What [`seal`] was given; `None` if it is another form, or damaged.
pub(super) fn unseal<'a>(magic: &[u8], bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (digest, body) = bytes.strip_prefix(magic)?.split_first_chunk::<32>()?;
    (blake3::hash(body) == *digest).then_some(body)
}

/// `None` if anything is not as [`encode`] writes it, or the key is another.
pub(super) fn decode(bytes: &[u8], key: &[u8]) -> Option<Entry> {
    let mut body = Reader(unseal(MAGIC, bytes)?);
    if body.bytes()? != key {
        return None;
    }
    let mut entry = Entry {
        said: Said {
            builtins: body.bytes()?.to_vec(),
            saw_stdc_predef: body.number()? != 0,
            verbose: body.bytes()?.to_vec(),
            bait: Path::new(OsStr::from_bytes(body.bytes()?)).to_owned(),
        },
        ..Entry::default()
    };
    for _ in 0..body.number()? {
        let kind = body.number()?;
        let text = body.bytes()?.to_vec();
        let question = match kind {
            0 => Question::Defined(text),
            1 => Question::Call(text),
            _ => return None,
        };
        entry.answers.insert(question, body.number()?.cast_signed());
    }
    for _ in 0..body.number()? {
        let aspect = usize::try_from(body.number()?).ok()?;
        let aspect = *Aspect::ALL.get(aspect)?;
        let name = body.bytes()?.to_vec();
        entry
            .evidence
            .0
            .insert((name, aspect), body.bytes()?.to_vec());
    }
    body.0.is_empty().then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Language;
    use std::os::unix::fs::symlink;

    fn invocation(program: &str) -> Invocation {
        Invocation {
            program: program.into(),
            words: vec![b"-O2".to_vec()],
            language: Language::C,
            environment: vec![(b"PATH".to_vec(), b"/bin".to_vec())],
            cwd: None,
        }
    }

    fn entry() -> Entry {
        let mut entry = Entry::default();
        entry.said.builtins = b"#define A 1\n".to_vec();
        entry.said.verbose = b"gcc version 12\n".to_vec();
        entry.said.saw_stdc_predef = true;
        entry.said.bait = "/tmp/bait".into();
        for (name, value) in [("a", 1), ("b", -1), ("c", i64::MAX)] {
            let question = Question::Call(format!("__has_builtin({name})").into_bytes());
            entry.answers.insert(question, value);
        }
        let key = (b"/no/such/file".to_vec(), Aspect::Stands);
        entry.evidence.0.insert(key, b"-".to_vec());
        entry
    }

    fn open() -> (tempfile::TempDir, Kept) {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::open(&directory.path().join("a/b")).unwrap();
        (directory, kept)
    }

    fn file(kept: &Kept) -> PathBuf {
        kept.directory
            .join(name_of(&kept.key(&invocation("/bin/gcc"))))
    }

    #[test]
    fn what_was_kept_is_found() {
        let (_directory, kept) = open();
        assert_eq!(kept.load(&invocation("/bin/gcc")), None);
        kept.save(&invocation("/bin/gcc"), entry());
        assert_eq!(kept.load(&invocation("/bin/gcc")), Some(entry()));
        let mut other_path = invocation("/bin/gcc");
        other_path.environment[0].1 = b"/usr/bin".to_vec();
        assert_eq!(kept.load(&other_path), Some(entry()));
        let mut others = vec![invocation("/bin/g++"); 4];
        others[1] = invocation("/bin/gcc");
        others[1].words.push(b"-m32".to_vec());
        others[2] = invocation("/bin/gcc");
        others[2].language = Language::Cxx;
        others[3] = invocation("/bin/gcc");
        others[3]
            .environment
            .push((b"LANG".to_vec(), b"C".to_vec()));
        for other in others {
            assert_eq!(kept.load(&other), None);
        }
    }

    #[test]
    fn answers_of_two_writers_are_joined() {
        let (_directory, kept) = open();
        kept.save(&invocation("/bin/gcc"), entry());
        let mut other = entry();
        other.answers.clear();
        other.answers.insert(Question::Defined(b"X".to_vec()), 1);
        kept.save(&invocation("/bin/gcc"), other);
        let both = kept.load(&invocation("/bin/gcc")).unwrap();
        assert_eq!(both.answers.len(), 4);
        // But not with those of a compiler that is no longer.
        let mut other = entry();
        other.said.builtins.clear();
        other.answers.clear();
        kept.save(&invocation("/bin/gcc"), other.clone());
        assert_eq!(kept.load(&invocation("/bin/gcc")), Some(other));
    }

    #[test]
    fn damage_is_seen_wherever_it_is() {
        let key = b"key";
        let whole = encode(&entry(), key);
        assert_eq!(decode(&whole, key), Some(entry()));
        assert_eq!(decode(&whole, b"other"), None);
        for at in 0..whole.len() {
            assert_eq!(decode(&whole[..at], key), None, "cut off at {at}");
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged, key), None, "changed at {at}");
        }
        assert_eq!(decode(&[&whole[..], b"x"].concat(), key), None);
        // Lengths that lead out of the file, with the right digest: an entry or none, but no panic.
        for at in 0..whole.len() - MAGIC.len() - 32 {
            let mut body = whole[MAGIC.len() + 32..].to_vec();
            body[at] = 0xFF;
            let bytes = [MAGIC, blake3::hash(&body).as_bytes(), &body].concat();
            let _ = decode(&bytes, key);
        }
    }

    #[test]
    fn files_of_others_are_not_read() {
        let (directory, kept) = open();
        let gcc = invocation("/bin/gcc");
        kept.save(&gcc, entry());
        let path = file(&kept);
        let permit = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for mode in [0o620, 0o602, 0o666] {
            permit(&path, mode);
            assert_eq!(kept.load(&gcc), None, "{mode:o}");
        }
        permit(&path, 0o644);
        assert!(kept.load(&gcc).is_some());
        // A link, a fifo, a directory, a file without end.
        let aside = directory.path().join("aside");
        std::fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        assert_eq!(kept.load(&gcc), None);
        std::fs::remove_file(&path).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(kept.load(&gcc), None);
        std::fs::remove_file(&path).unwrap();
        let huge = std::fs::File::create(&path).unwrap();
        huge.set_len(1 << 40).unwrap();
        assert_eq!(kept.load(&gcc), None);
        // It is replaced by the next answer.
        kept.save(&gcc, entry());
        assert!(kept.load(&gcc).is_some());
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(kept.load(&gcc), None);
        kept.save(&gcc, entry());

        for mode in [0o770, 0o707] {
            permit(&kept.directory, mode);
            let opened = Kept::open(&kept.directory);
            assert!(matches!(opened, Err(KeptError::NotOurs { .. })), "{mode:o}");
        }
        let link = directory.path().join("link");
        symlink(directory.path(), &link).unwrap();
        assert!(matches!(Kept::open(&link), Err(KeptError::NotOurs { .. })));
        assert!(Kept::open(&aside).is_err());
        assert!(matches!(
            Kept::open(&aside.join("x")),
            Err(KeptError::System { .. })
        ));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&aside, Some(12345), None).unwrap();
            std::fs::rename(&aside, file(&kept).with_extension("foreign")).unwrap();
            assert!(read(&file(&kept).with_extension("foreign")).is_err());
        }
    }

    #[test]
    fn old_files_make_room() {
        let (_directory, kept) = open();
        let unfinished = kept.directory.join("unfinished.x");
        let writing = kept.directory.join("unfinished.y");
        std::fs::write(&unfinished, "").unwrap();
        std::fs::write(&writing, "").unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(7200);
        let open = |path: &Path| std::fs::File::options().append(true).open(path).unwrap();
        open(&unfinished).set_modified(long_ago).unwrap();
        for number in 0..FILES_KEPT {
            let path = kept.directory.join(format!("{number}"));
            std::fs::write(&path, "").unwrap();
            let age = Duration::from_secs(number as u64);
            open(&path).set_modified(long_ago + age).unwrap();
        }
        kept.save(&invocation("/bin/gcc"), entry());
        assert!(!unfinished.exists() && writing.exists());
        assert!(!kept.directory.join("0").exists());
        assert!(kept.directory.join(format!("{}", FILES_KEPT - 1)).exists());
        assert!(kept.load(&invocation("/bin/gcc")).is_some());
        let left = std::fs::read_dir(&kept.directory).unwrap().count();
        assert_eq!(left, FILES_LEFT + 1);
    }

    #[test]
    fn a_file_in_use_is_marked() {
        let (_directory, kept) = open();
        kept.save(&invocation("/bin/gcc"), entry());
        let long_ago = SystemTime::now() - 2 * MARK_USED;
        let opened = std::fs::File::options().append(true).open(file(&kept));
        opened.unwrap().set_modified(long_ago).unwrap();
        assert!(kept.load(&invocation("/bin/gcc")).is_some());
        let used = std::fs::metadata(file(&kept)).unwrap().modified().unwrap();
        assert!(used > long_ago + MARK_USED);
    }

    #[test]
    fn scripts_and_native_options_are_not_covered() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("gcc");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(!Kept::covers(&invocation(&script.display().to_string())));
        assert!(!Kept::covers(&invocation("/no/such/gcc")));
        let real = std::env::current_exe().unwrap().display().to_string();
        let mut real = invocation(&real);
        assert!(Kept::covers(&real));
        real.words.push(b"-march=native".to_vec());
        assert!(!Kept::covers(&real));
    }
}
