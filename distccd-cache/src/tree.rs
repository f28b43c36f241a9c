//! A job's directory and the client's files in it. Owns both: the directory goes when the job ends, however it ends.
//!
//! The layout is `<TMPDIR>/distccd_XXXXXX/` with `root/` (the client's files, each below its own path), `view/` (where a
//! namespace shows them) and files of the daemon's own beside them. Nothing of a client's is written outside `root`:
//! paths are [`TreePath`]s, every link that was created is known here, and no file is created through one; the kernel is
//! told the same (`RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`).
//!
//! Each file is a file of its own with a modification time of its own. Compilers take two files for one when `#pragma
//! once` is in both and inode (clang) or size, time and content (gcc) agree, so neither may be shared.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::lzo::LzoError;
use protocol::tree::{EntryContent, FORCING_FILE, TreeEntry};
use protocol::tree_path::{TreePath, TreePathError};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};

use crate::locked_dir::{LockedDir, Purpose};

/// Caps on what one job may use of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobLimits {
    /// Bytes of all files of the client together, decompressed.
    pub tree_bytes: u64,
    /// Files, links and directories of the client, those on the way included.
    pub tree_entries: usize,
    /// Bytes of each thing that goes back: object, dependency file, standard error, standard output.
    pub output_bytes: u64,
}

impl JobLimits {
    /// The limits in force unless configured otherwise.
    pub const DEFAULT: Self = Self {
        tree_bytes: 2 << 30,
        tree_entries: 200_000,
        output_bytes: 512 << 20,
    };
}

impl Default for JobLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why a client's files cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file's block is corrupt, or larger than what is left of the job's quota.
    #[error("the client's {path}: {source}")]
    Unpack {
        /// The file.
        path: TreePath,
        /// What is wrong with the block.
        source: LzoError,
    },
    /// Two entries cannot both be: the same path twice, or a file where another entry needs a directory.
    #[error("the client sent two different things for {0}")]
    Conflict(String),
    /// A link that leads out of the client's files.
    #[error("the client's link {path} leads out of its own files, to {target}")]
    EscapingLink {
        /// The link.
        path: TreePath,
        /// Where it leads.
        target: String,
    },
    /// A file below a link. Clients send files under their real names.
    #[error("the client's file {0} lies behind a link")]
    ThroughLink(TreePath),
    /// A path that follows more links than the kernel would.
    #[error("too many links on the way to {0}")]
    TooManyLinks(String),
    /// A path with more `..` than there are directories to leave.
    #[error("the path {0} climbs above the root")]
    ClimbsOut(String),
    /// More files, links and directories than one job may have.
    #[error("the client sent more than {0} files and directories")]
    TooManyEntries(usize),
    /// A file that is larger or smaller than was said.
    #[error("the client's {0} has another size than was said")]
    OtherSize(TreePath),
    /// More bytes than one job may have.
    #[error("with {0} the client's files are larger than one job's may be")]
    TooManyBytes(TreePath),
    /// A path that cannot be one of a client's.
    #[error("the path {path} cannot be used: {source}")]
    BadPath {
        /// The path.
        path: String,
        /// Why not.
        source: TreePathError,
    },
    /// The file system refused, for example because it is full.
    #[error("cannot write {path} for the job: {source}")]
    Io {
        /// What was being written, as a path of the client's.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl TreeError {
    /// Whether the request is to blame, and not this machine.
    #[must_use]
    pub fn is_bad_request(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }
}

/// A directory for one job, private to the daemon's user and removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(crate) struct JobDir {
    dir: LockedDir,
}

impl JobDir {
    /// Makes the directory below `temp_dir`, an absolute path without links.
    pub(crate) fn create(temp_dir: &Path, keep: bool) -> io::Result<Self> {
        let dir = LockedDir::create(temp_dir, Purpose::Job, keep)?;
        let job = Self { dir };
        std::fs::create_dir(job.root())?;
        std::fs::create_dir(job.view())?;
        Ok(job)
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the client's files are.
    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    /// An empty directory, where a namespace mounts its view.
    pub(crate) fn view(&self) -> PathBuf {
        self.path().join("view")
    }
}

/// How paths inside the client's files (links' targets, `#line`) are to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The compiler will see each file at the client's own path.
    OwnPaths,
    /// The compiler will see each file below the root's path on this machine.
    BelowRoot,
}

/// What is at a path of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File,
    /// With its target, made absolute.
    Link(Vec<u8>),
    /// The server's own directory of this name.
    System,
}

/// Something that a child is to make before its program runs. Paths are the tree's own.
#[derive(Debug)]
pub(crate) enum Planned {
    /// A directory.
    Directory(Vec<u8>),
    /// A file, its content, and when it was last modified.
    File(Vec<u8>, Vec<u8>, i64),
    /// A link and its target.
    Link(Vec<u8>, Vec<u8>),
    /// Nothing, whatever lies beneath.
    Absent(Vec<u8>),
}

impl Planned {
    /// Where it is.
    pub(crate) fn path(&self) -> &[u8] {
        match self {
            Self::Directory(path)
            | Self::File(path, ..)
            | Self::Link(path, _)
            | Self::Absent(path) => path,
        }
    }
}

/// The client's files, laid out below a job's root.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    /// `None` while the tree is a plan.
    root_fd: Option<OwnedFd>,
    /// What is to be made, in order, if the tree is a plan.
    plan: Vec<Planned>,
    layout: Layout,
    nodes: HashMap<Vec<u8>, Node>,
    system_dirs: BTreeSet<Vec<u8>>,
    limits: JobLimits,
    bytes_left: u64,
    /// Links of the client that are not in this tree but will be seen through it, with their targets made absolute.
    links_beneath: Arc<Links>,
    /// The directory that was used last, open: clients send files grouped by directory.
    last_dir: Option<(Vec<u8>, OwnedFd)>,
    /// Seconds since the epoch for the next file; each gets one less, so that no two agree.
    next_mtime: i64,
}

/// Links, by their paths; their targets made absolute.
pub(crate) type Links = BTreeMap<Vec<u8>, Vec<u8>>;

/// How far the kernel follows links (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

impl Tree {
    /// An empty tree in a job's directory.
    pub(crate) fn new(job: &JobDir, layout: Layout, limits: JobLimits) -> Result<Self, TreeError> {
        Self::at(job.root(), layout, limits)
    }

    /// An empty tree in an empty directory, whose path is absolute and has no links.
    pub(crate) fn at(root: PathBuf, layout: Layout, limits: JobLimits) -> Result<Self, TreeError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root_fd =
            rustix::fs::open(&root, flags, Mode::empty()).map_err(|e| io_error(b"/", e))?;
        let mut tree = Self::planned(root, layout, limits);
        tree.root_fd = Some(root_fd);
        Ok(tree)
    }

    /// A tree that is not on this machine's disks: a child makes it in a file system of its own, where it will be at `root`.
    pub(crate) fn planned(root: PathBuf, layout: Layout, limits: JobLimits) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        Self {
            root,
            root_fd: None,
            plan: Vec::new(),
            layout,
            nodes: HashMap::new(),
            system_dirs: BTreeSet::new(),
            limits,
            bytes_left: limits.tree_bytes,
            links_beneath: Arc::default(),
            last_dir: None,
            next_mtime: i64::try_from(now).unwrap_or(0),
        }
    }

    /// What a child is to make.
    pub(crate) fn take_plan(&mut self) -> Vec<Planned> {
        std::mem::take(&mut self.plan)
    }

    /// Plans that nothing is seen at a path, whatever lies beneath; `false` where the tree itself has something.
    pub(crate) fn hide(&mut self, path: &[u8]) -> Result<bool, TreeError> {
        if self.has(path) || self.make_dirs(parent_of(path))? != parent_of(path) {
            return Ok(false);
        }
        self.plan.push(Planned::Absent(path.to_vec()));
        Ok(true)
    }

    /// A child has made what was planned; this is its root.
    pub(crate) fn made(&mut self, root: OwnedFd) {
        self.root_fd = Some(root);
    }

    /// Lays out all entries of a request: links first, because a file's first line may name it through one.
    pub(crate) fn add_all(&mut self, entries: &[TreeEntry]) -> Result<(), TreeError> {
        for entry in entries {
            match &entry.content {
                EntryContent::File(_) => {}
                EntryContent::Link(_) if entry.is_system_link() => {
                    self.add_system_dir(&entry.path)?
                }
                EntryContent::Link(target) => self.add_link(&entry.path, target)?,
            }
        }
        for entry in entries {
            let EntryContent::File(block) = &entry.content else {
                continue;
            };
            if block.is_empty() && entry.path.file_name() == FORCING_FILE {
                if let Some(parent) = entry.path.parent() {
                    self.make_dirs(parent.as_bytes())?;
                }
            } else {
                self.add_file(&entry.path, block)?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &TreePath, block: &[u8]) -> Result<(), TreeError> {
        let cap = usize::try_from(self.bytes_left).unwrap_or(usize::MAX);
        let plain = protocol::lzo::decompress(block, cap).map_err(|source| TreeError::Unpack {
            path: path.clone(),
            source,
        })?;
        self.bytes_left -= plain.len() as u64;
        let content = match self.layout {
            Layout::OwnPaths => self.without_line_directive(&plain, path),
            Layout::BelowRoot => Cow::Borrowed(plain.as_slice()),
        };
        self.write_file(path, &content)
    }

    /// Include servers put `#line 1 "PATH"` before files that are reached through an absolute directory, PATH being
    /// the name that the compiler would use, because stock's daemon shows them at another path. Where the paths are
    /// right by themselves the line would only be in the way. It is theirs, and not the file's own, when PATH leads to
    /// this very file.
    fn without_line_directive<'a>(&self, content: &'a [u8], path: &TreePath) -> Cow<'a, [u8]> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let mark = if content.starts_with(MARK) { MARK } else { b"" };
        let line = content[mark.len()..].strip_prefix(b"#line 1 \"");
        let end = line.and_then(|line| line.iter().position(|&b| b == b'"' || b == b'\n'));
        let (Some(line), Some(end)) = (line, end) else {
            return Cow::Borrowed(content);
        };
        let (name, rest) = line.split_at(end);
        let ours =
            name.starts_with(b"/") && self.resolve(name).is_ok_and(|real| real == path.as_bytes());
        match rest.strip_prefix(b"\"\n") {
            Some(rest) if ours && mark.is_empty() => Cow::Borrowed(rest),
            Some(rest) if ours => Cow::Owned([mark, rest].concat()),
            _ => Cow::Borrowed(content),
        }
    }

    /// Writes one new file, plain.
    pub(crate) fn write_file(&mut self, path: &TreePath, content: &[u8]) -> Result<(), TreeError> {
        let mtime = self.next_mtime;
        self.next_mtime -= 1;
        self.write_dated(path, content, mtime)
    }

    /// Writes one new file that was last modified at the client at `mtime`, in seconds since 1970.
    pub(crate) fn write_dated(
        &mut self,
        path: &TreePath,
        content: &[u8],
        mtime: i64,
    ) -> Result<(), TreeError> {
        self.make_parent_unlinked(path)?;
        self.claim(path.as_bytes(), Node::File)?;
        if self.root_fd.is_none() {
            let file = Planned::File(path.as_bytes().to_vec(), content.to_vec(), mtime);
            self.plan.push(file);
            return Ok(());
        }
        let mut write = || -> io::Result<()> {
            let dir = self.directory_of(path.as_bytes())?;
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(dir, path.file_name(), flags, Mode::from_raw_mode(0o644))?;
            let mut file = std::fs::File::from(fd);
            file.write_all(content)?;
            let time = Timespec {
                tv_sec: mtime,
                tv_nsec: 0,
            };
            rustix::fs::futimens(
                &file,
                &Timestamps {
                    last_access: time,
                    last_modification: time,
                },
            )?;
            Ok(())
        };
        write().map_err(|source| TreeError::Io {
            path: path.to_string(),
            source,
        })
    }

    /// Makes a directory that has to be one under just this path.
    pub(crate) fn add_directory(&mut self, path: &TreePath) -> Result<(), TreeError> {
        match self.resolve(path.as_bytes())? == path.as_bytes() {
            true => self.make_dirs(path.as_bytes()).map(|_| ()),
            false => Err(TreeError::ThroughLink(path.clone())),
        }
    }

    /// From now on, these links are followed where the tree has nothing itself.
    pub(crate) fn lay_upon(&mut self, links: Arc<Links>) {
        self.links_beneath = links;
    }

    /// Takes bytes off the job's quota.
    pub(crate) fn charge(&mut self, path: &TreePath, bytes: u64) -> Result<(), TreeError> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => Err(TreeError::TooManyBytes(path.clone())),
        }
    }

    /// Makes a link.
    pub(crate) fn add_link(&mut self, path: &TreePath, target: &[u8]) -> Result<(), TreeError> {
        let (normal, leads_to) = link_target(path, target)?;
        let node = Node::Link(leads_to);
        if self.nodes.get(path.as_bytes()) == Some(&node) {
            return Ok(());
        }
        self.make_parent_unlinked(path)?;
        self.claim(path.as_bytes(), node)?;
        let written = match self.layout {
            Layout::BelowRoot if target[0] == b'/' => {
                [self.root.as_os_str().as_bytes(), &normal].concat()
            }
            _ => target.to_vec(),
        };
        self.symlink(path, &written)
    }

    fn add_system_dir(&mut self, path: &TreePath) -> Result<(), TreeError> {
        if !self.system_dirs.insert(path.as_bytes().to_vec()) {
            return Ok(());
        }
        if self.layout == Layout::OwnPaths {
            // The server's own directory stands at this path by itself.
            return Ok(());
        }
        self.make_parent_unlinked(path)?;
        self.claim(path.as_bytes(), Node::System)?;
        self.symlink(path, path.as_bytes())
    }

    /// Makes a symbolic link without recording what it leads to.
    pub(crate) fn symlink(&mut self, path: &TreePath, target: &[u8]) -> Result<(), TreeError> {
        if self.root_fd.is_none() {
            let link = Planned::Link(path.as_bytes().to_vec(), target.to_vec());
            self.plan.push(link);
            return Ok(());
        }
        let name = path.file_name();
        self.directory_of(path.as_bytes())
            .and_then(|dir| Ok(rustix::fs::symlinkat(target, dir, name)?))
            .map_err(|source| TreeError::Io {
                path: path.to_string(),
                source,
            })
    }

    /// Makes the directories that a path needs, none of them through a link.
    fn make_parent_unlinked(&mut self, path: &TreePath) -> Result<(), TreeError> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        if self.nodes.get(parent.as_bytes()) == Some(&Node::Directory) {
            return Ok(());
        }
        if self.resolve(parent.as_bytes())? != parent.as_bytes() {
            return Err(TreeError::ThroughLink(path.clone()));
        }
        self.make_dirs(parent.as_bytes()).map(|_| ())
    }

    /// Makes a directory and those above it, and returns its path after following the client's links.
    pub(crate) fn make_dirs(&mut self, path: &[u8]) -> Result<Vec<u8>, TreeError> {
        let real = self.resolve(path)?;
        let ends = (1..real.len())
            .filter(|&i| real[i] == b'/')
            .chain([real.len()]);
        for end in ends.collect::<Vec<_>>() {
            let dir = &real[..end];
            if dir == b"/" || self.nodes.get(dir) == Some(&Node::Directory) {
                continue;
            }
            self.claim(dir, Node::Directory)?;
            if self.root_fd.is_none() {
                self.plan.push(Planned::Directory(dir.to_vec()));
                continue;
            }
            let name = &dir[dir
                .iter()
                .rposition(|&b| b == b'/')
                .map_or(0, |slash| slash + 1)..];
            self.directory_of(dir)
                .and_then(|above| {
                    Ok(rustix::fs::mkdirat(
                        above,
                        name,
                        Mode::from_raw_mode(0o755),
                    )?)
                })
                .map_err(|source| TreeError::Io {
                    path: text(dir),
                    source,
                })?;
        }
        Ok(real)
    }

    /// Records what is at a path; refuses a second claim.
    fn claim(&mut self, path: &[u8], node: Node) -> Result<(), TreeError> {
        if let Err(source) = TreePath::new(path) {
            return Err(TreeError::BadPath {
                path: text(path),
                source,
            });
        }
        if self.nodes.len() >= self.limits.tree_entries {
            return Err(TreeError::TooManyEntries(self.limits.tree_entries));
        }
        match self.nodes.insert(path.to_vec(), node) {
            None => Ok(()),
            Some(_) => Err(TreeError::Conflict(text(path))),
        }
    }

    /// The open directory that holds `path`, whose parent exists and has no link in its path.
    fn directory_of(&mut self, path: &[u8]) -> io::Result<&OwnedFd> {
        let slash = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
        let dir = &path[..slash];
        let Some(root) = &self.root_fd else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if dir.is_empty() {
            return Ok(root);
        }
        if self.last_dir.as_ref().is_none_or(|(last, _)| last != dir) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = rustix::fs::openat2(root, &dir[1..], flags, Mode::empty(), inside())?;
            self.last_dir = Some((dir.to_vec(), fd));
        }
        Ok(self.last_dir.as_ref().map_or(root, |(_, fd)| fd))
    }

    /// Where a path leads after all links of the client and all `..`: an absolute, normal path. What does not exist
    /// is taken as if it were a directory. Climbing above `/` is refused: below a temporary root it would lead out.
    pub(crate) fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, TreeError> {
        let mut todo: Vec<Vec<u8>> = Vec::new();
        let push = |todo: &mut Vec<Vec<u8>>, path: &[u8]| {
            todo.extend(
                path.split(|&b| b == b'/')
                    .rev()
                    .filter(|c| !c.is_empty() && *c != b".")
                    .map(<[u8]>::to_vec),
            );
        };
        push(&mut todo, path);
        let mut real: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(component) = todo.pop() {
            if component == b".." {
                if real.is_empty() {
                    return Err(TreeError::ClimbsOut(text(path)));
                }
                real.truncate(real.iter().rposition(|&b| b == b'/').unwrap_or(0));
                continue;
            }
            real.push(b'/');
            real.extend_from_slice(&component);
            let link = match self.nodes.get(&real) {
                Some(Node::Link(target)) => Some(target),
                Some(_) => None,
                None => self.links_beneath.get(&real),
            };
            if let Some(target) = link {
                links += 1;
                if links > MAX_LINKS {
                    return Err(TreeError::TooManyLinks(text(path)));
                }
                push(&mut todo, target);
                real.clear();
            }
        }
        if real.is_empty() {
            real.push(b'/');
        }
        Ok(real)
    }

    /// Whether the client sent a file of this path, which is a result of [`Self::resolve`].
    pub(crate) fn has_file(&self, real: &[u8]) -> bool {
        self.nodes.get(real) == Some(&Node::File)
    }

    /// Whether a directory of this path is in the tree.
    pub(crate) fn has_dir(&self, real: &[u8]) -> bool {
        self.nodes.get(real) == Some(&Node::Directory)
    }

    /// Whether anything is at this path.
    pub(crate) fn has(&self, real: &[u8]) -> bool {
        self.nodes.contains_key(real)
    }

    /// All paths in the tree.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.nodes.keys().map(Vec::as_slice)
    }

    /// Whether a path is at or below a directory that the client left to the server's own system.
    pub(crate) fn is_system(&self, real: &[u8]) -> bool {
        self.system_dirs.iter().any(|dir| is_below(real, dir))
    }

    /// The directories that the client left to the server's own system.
    pub(crate) fn system_dirs(&self) -> impl Iterator<Item = &[u8]> {
        self.system_dirs.iter().map(Vec::as_slice)
    }

    /// How its links and lines are to be taken.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Where the tree is on this machine.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path of the tree as a path of this machine.
    pub(crate) fn host_path(&self, real: &[u8]) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(
            &[self.root.as_os_str().as_bytes(), real].concat(),
        ))
    }

    /// Makes an empty file, or nothing if there is one already, for something to be mounted on.
    pub(crate) fn make_mount_point_file(&mut self, path: &TreePath) -> Result<(), TreeError> {
        self.write_file(path, b"")
    }

    /// Reads a file that the compiler made; `None` when there is no regular file of that name or it cannot be reached
    /// without following a link.
    pub(crate) fn read_output(&self, real: &[u8], cap: u64) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Some(fd) = self.open(real, flags)? else {
            return Ok(None);
        };
        let file = std::fs::File::from(fd);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        read_capped(&file, metadata.len(), cap).map(Some)
    }

    /// The names of what is in a directory now, without the marks of an overlay for what is hidden or was removed.
    pub(crate) fn list(&self, real: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Some(fd) = self.open(real, flags)? else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes().to_vec();
            let is_mark = entry.file_type() == FileType::CharacterDevice;
            if name != b"." && name != b".." && !is_mark {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, real: &[u8], flags: OFlags) -> io::Result<Option<OwnedFd>> {
        use rustix::io::Errno;
        let Some(root) = &self.root_fd else {
            return Ok(None);
        };
        let relative = match real.strip_prefix(b"/").unwrap_or(real) {
            b"" => b".",
            relative => relative,
        };
        match rustix::fs::openat2(root, relative, flags, Mode::empty(), inside()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where a link of the client's leads, as an absolute path: normalised by its text alone, and as it is to be resolved (a relative
/// target may itself go through links).
///
/// # Errors
/// [`TreeError::EscapingLink`] for a target that no path can be, or that climbs above the root.
pub(crate) fn link_target(path: &TreePath, target: &[u8]) -> Result<(Vec<u8>, Vec<u8>), TreeError> {
    let escaping = || TreeError::EscapingLink {
        path: path.clone(),
        target: String::from_utf8_lossy(target).into_owned(),
    };
    if target.is_empty() || target.contains(&0) {
        return Err(escaping());
    }
    let parent = path
        .parent()
        .map_or_else(|| b"/".to_vec(), |p| p.as_bytes().to_vec());
    let normal = lexically_joined(&parent, target).ok_or_else(escaping)?;
    let leads_to = if target[0] == b'/' {
        normal.clone()
    } else {
        [parent.as_slice(), b"/", target].concat()
    };
    Ok((normal, leads_to))
}

/// Reads the rest of a file, or fails when that is more than `cap` bytes. `size` is what the file has, if nobody writes to it.
pub(crate) fn read_capped(file: &std::fs::File, size: u64, cap: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than the limit of {cap} bytes"),
        )
    };
    if size > cap {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    // In one call if it has the size that it should have, and one more for the end.
    loop {
        bytes.reserve(1);
        match rustix::io::read(file, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(bytes),
            Ok(_) if bytes.len() as u64 > cap => return Err(too_large()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether `path` is `dir` or below it; both are absolute and normal.
pub(crate) fn is_below(path: &[u8], dir: &[u8]) -> bool {
    dir == b"/"
        || path
            .strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The directory of an absolute, normal path.
pub(crate) fn parent_of(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&b| b == b'/') {
        None | Some(0) => b"/",
        Some(slash) => &path[..slash],
    }
}

/// Never leave the tree, never follow a link.
pub(crate) fn inside() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

/// `path`, which may be relative to `dir`, without `.` and `..` and doubled slashes; `None` when a relative one climbs
/// above the root. (An absolute one cannot: `/..` is `/`.)
fn lexically_joined(dir: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let absolute = path.first() == Some(&b'/');
    let mut components: Vec<&[u8]> = Vec::new();
    if !absolute {
        components.extend(dir.split(|&b| b == b'/').filter(|c| !c.is_empty()));
    }
    for component in path.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                if components.pop().is_none() && !absolute {
                    return None;
                }
            }
            _ => components.push(component),
        }
    }
    let mut joined = Vec::new();
    for component in components {
        joined.push(b'/');
        joined.extend_from_slice(component);
    }
    if joined.is_empty() {
        joined.push(b'/');
    }
    Some(joined)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn io_error(path: &[u8], error: rustix::io::Errno) -> TreeError {
    TreeError::Io {
        path: text(path),
        source: error.into(),
    }
}
