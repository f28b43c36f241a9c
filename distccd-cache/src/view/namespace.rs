//! The namespace view: the mounts that show the client's files at the client's own paths. Owns no state; it makes a
//! plan that [`crate::child`] carries out between clone and exec.
//!
//! The new root is the job's `root` directory itself, so all of the client's files are in place at once. Upon it come,
//! read-only, the server's toolchain directories, a few files of `/etc`, and some devices. The compiler sees no other
//! file of the server. Where the client has files of its own below a toolchain directory:
//!
//! * below a directory that is no part of a toolchain (`/usr/src`, `/opt/project`), the client's directory stands in
//!   the place of the server's;
//! * else (`/usr/local/include`) the two are merged, the client's files first. What the compiler read of the server's
//!   is judged afterwards by [`is_expected`].

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use protocol::tree_path::TreePath;

use crate::child::{MountStep, NewRoot, c_string};
use crate::tree::{JobDir, Tree, TreeError, is_below, parent_of};
use crate::view::detect::{Namespaces, id_map};

/// Where toolchains are installed. Each that exists is shown, as the link that it is or read-only as a whole.
pub(crate) const TOOLCHAIN_ROOTS: [&str; 10] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu",
];

/// What of `/etc` compilers, their wrappers and the dynamic linker read.
const ETC: [&str; 14] = [
    "/etc/alternatives",
    "/etc/clang",
    "/etc/debian_version",
    "/etc/env.d",
    "/etc/gentoo-release",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld-musl-x86_64.path",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/os-release",
    "/etc/redhat-release",
    "/etc/SuSE-release",
];

/// The devices that programs take for granted.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// The directories that make up an installation of a toolchain, below its prefix.
const INSTALLED: [&[u8]; 10] = [
    b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32", b"libexec", b"include", b"share",
    b"etc",
];

/// Why a job's files cannot be shown in a namespace, though namespaces work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsuited {
    /// The client has something where the view needs the server's.
    #[error("the client's {0} is in the place of a file of the server's system")]
    InTheWay(String),
    /// Directories would have to be merged, which this system does not allow or which this path does not.
    #[error("the client's files cannot be merged into the server's {0}")]
    NoOverlay(String),
    /// The compiler is not where toolchains are, or the client's files are there.
    #[error("the compiler {} is in none of the directories that the view shows", .0.display())]
    HiddenCompiler(PathBuf),
    /// The tree could not be completed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The file system did not say what is there.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Unsuited> for crate::view::detect::NamespaceError {
    fn from(unsuited: Unsuited) -> Self {
        match unsuited {
            Unsuited::Tree(error) => Self::Tree(error),
            Unsuited::Io(error) => Self::Io(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// The mounts of one job's view.
#[derive(Debug)]
pub(crate) struct Plan {
    view: PathBuf,
    pub(crate) steps: Vec<MountStep>,
    /// Where the client's directory stands in the place of the server's.
    replaced: BTreeSet<Vec<u8>>,
    /// Where the two are merged.
    merged: BTreeSet<Vec<u8>>,
}

impl Plan {
    /// The plan for a tree that holds all of the client's files, its working directory and its output directories.
    /// Adds mount points to the tree.
    pub(crate) fn new(
        job: &JobDir,
        tree: &mut Tree,
        namespaces: Namespaces,
        compiler: Option<&Path>,
    ) -> Result<Self, Unsuited> {
        let mut plan = Self {
            view: job.view(),
            steps: Vec::new(),
            replaced: BTreeSet::new(),
            merged: BTreeSet::new(),
        };
        plan.bind(tree.root(), Path::new(""), false)?;
        let mut roots = Vec::new();
        for path in TOOLCHAIN_ROOTS {
            if plan.show(tree, path)? {
                roots.push(path.as_bytes());
            }
        }
        plan.find_meetings(tree, &roots);
        plan.show_meetings(tree, namespaces)?;
        if let Some(compiler) = compiler {
            plan.check_compiler(compiler, &roots)?;
        }
        for path in ETC.iter().chain(&DEVICES) {
            plan.show(tree, path)?;
        }
        if namespaces.proc {
            if tree.has(b"/proc") {
                return Err(Unsuited::InTheWay("/proc".to_owned()));
            }
            tree.make_dirs(b"/proc")?;
            plan.steps.push(MountStep::Proc {
                target: c_string(plan.view.join("proc").into_os_string())?,
            });
        }
        Ok(plan)
    }

    /// What the child carries out.
    pub(crate) fn into_new_root(self) -> io::Result<NewRoot> {
        Ok(NewRoot {
            uid_map: id_map(rustix::process::geteuid().as_raw())?,
            gid_map: id_map(rustix::process::getegid().as_raw())?,
            root: c_string(self.view.into_os_string())?,
            steps: self.steps,
        })
    }

    /// Shows a file or directory of the server at its own path, if there is one. True when a directory was bound, so
    /// that what the client has below it is hidden.
    fn show(&mut self, tree: &mut Tree, path: &str) -> Result<bool, Unsuited> {
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return Ok(false);
        };
        let bytes = path.as_bytes();
        let in_the_way = || Unsuited::InTheWay(path.to_owned());
        let tree_path = TreePath::new(bytes).map_err(|_| in_the_way())?;
        // A link of the client on the way would lead the mount elsewhere.
        if tree.resolve(bytes)? != bytes {
            return Err(in_the_way());
        }
        if metadata.is_dir() {
            if tree.has(bytes) && !tree.has_dir(bytes) {
                return Err(in_the_way());
            }
            tree.make_dirs(bytes)?;
        } else {
            if tree.has(bytes) {
                return Err(in_the_way());
            }
            tree.make_dirs(parent_of(bytes))?;
            if metadata.is_symlink() {
                tree.symlink(&tree_path, fs::read_link(path)?.as_os_str().as_bytes())?;
                return Ok(false);
            }
            tree.make_mount_point_file(&tree_path)?;
        }
        let is_device = path.starts_with("/dev/");
        self.bind(Path::new(path), Path::new(&path[1..]), !is_device)?;
        Ok(metadata.is_dir())
    }

    fn bind(&mut self, source: &Path, below_view: &Path, read_only: bool) -> io::Result<()> {
        self.steps.push(MountStep::Bind {
            source: c_string(source.as_os_str().to_owned())?,
            target: c_string(self.view.join(below_view).into_os_string())?,
            read_only,
        });
        Ok(())
    }

    /// Refuses the view to a compiler that would not be seen in it.
    fn check_compiler(&self, compiler: &Path, roots: &[&[u8]]) -> Result<(), Unsuited> {
        let real = fs::canonicalize(compiler).unwrap_or_else(|_| compiler.to_owned());
        let real = real.as_os_str().as_bytes();
        let shown = roots.iter().any(|root| is_below(real, root));
        if !shown || self.replaced.iter().any(|dir| is_below(real, dir)) {
            return Err(Unsuited::HiddenCompiler(compiler.to_owned()));
        }
        Ok(())
    }

    /// Finds where the client's tree and the server's toolchain directories both have something.
    fn find_meetings(&mut self, tree: &Tree, roots: &[&[u8]]) {
        for path in tree.paths() {
            if let Some(root) = roots.iter().find(|root| is_below(path, root)) {
                match meeting(tree, root, path) {
                    Meeting::None => {}
                    Meeting::Replace(dir) => _ = self.replaced.insert(dir),
                    Meeting::Merge(dir) => _ = self.merged.insert(dir),
                }
            }
        }
        let merged = &self.merged;
        let inner = |dir: &Vec<u8>| {
            merged
                .iter()
                .any(|outer| outer != dir && is_below(dir, outer))
        };
        self.merged = merged.iter().filter(|dir| !inner(dir)).cloned().collect();
    }

    fn show_meetings(&mut self, tree: &Tree, namespaces: Namespaces) -> Result<(), Unsuited> {
        for dir in self.merged.clone() {
            let host = host_path(&dir);
            if !namespaces.overlay || fs::canonicalize(&host).ok().as_deref() != Some(&host) {
                return Err(Unsuited::NoOverlay(host.display().to_string()));
            }
            self.steps.push(overlay(
                &tree.host_path(&dir),
                &host,
                &self.view.join(below_root(&dir)),
            )?);
            // The merged directory is read-only. What is the client's alone is shown as itself, writable for outputs.
            for own in own_dirs(tree, &dir) {
                self.bind(&tree.host_path(&own), below_root(&own), false)?;
            }
        }
        for dir in self.replaced.clone() {
            self.bind(&tree.host_path(&dir), below_root(&dir), false)?;
        }
        Ok(())
    }
}

/// A read-only overlay of `upper` upon `lower`.
pub(crate) fn overlay(upper: &Path, lower: &Path, target: &Path) -> Result<MountStep, Unsuited> {
    let mut options = b"lowerdir=".to_vec();
    for (index, path) in [upper, lower].into_iter().enumerate() {
        let path = path.as_os_str().as_bytes();
        // These have a meaning in the option's syntax; the kernel takes one page of it.
        if path.iter().any(|b| b":,\\".contains(b)) || options.len() + path.len() > 4000 {
            return Err(Unsuited::NoOverlay(lower.display().to_string()));
        }
        if index > 0 {
            options.push(b':');
        }
        options.extend_from_slice(path);
    }
    Ok(MountStep::Overlay {
        options: c_string(std::ffi::OsString::from_vec(options))?,
        target: c_string(target.as_os_str().to_owned())?,
    })
}

/// How a path of the client's meets the server's directories.
enum Meeting {
    /// Not at all: the server has a directory there, too, and nothing of the client's is at stake.
    None,
    /// The client's directory of this path goes in the place of the server's.
    Replace(Vec<u8>),
    /// The directory of this path has both.
    Merge(Vec<u8>),
}

/// Walks down from a toolchain root towards a path of the client's.
fn meeting(tree: &Tree, root: &[u8], path: &[u8]) -> Meeting {
    let mut dir = root.to_vec();
    let components = path[root.len()..]
        .split(|&b| b == b'/')
        .filter(|c| !c.is_empty());
    for component in components {
        let next = [dir.as_slice(), b"/", component].concat();
        if !fs::symlink_metadata(host_path(&next)).is_ok_and(|m| m.is_dir()) {
            return Meeting::Merge(dir);
        }
        if !is_toolchain(tree, &dir, component, &next) {
            return Meeting::Replace(next);
        }
        dir = next;
    }
    Meeting::None
}

/// Whether a directory of the server may hold what a compiler needs.
fn is_toolchain(tree: &Tree, dir: &[u8], name: &[u8], path: &[u8]) -> bool {
    let has = |dir: &[u8], name: &str| host_path(dir).join(name).is_dir();
    let is_prefix = |dir: &[u8]| has(dir, "bin") || has(dir, "lib") || has(dir, "include");
    let inside_installed = || {
        let components: Vec<&[u8]> = dir.split(|&b| b == b'/').collect();
        components.iter().any(|c| INSTALLED.contains(c))
    };
    INSTALLED.contains(&name)
        || is_prefix(path)
        || inside_installed()
        || tree
            .system_dirs()
            .any(|system| is_below(system, path) || is_below(path, system))
}

/// The outermost directories below `dir` that only the client has.
fn own_dirs(tree: &Tree, dir: &[u8]) -> Vec<Vec<u8>> {
    let only_the_clients =
        |path: &[u8]| tree.has_dir(path) && fs::symlink_metadata(host_path(path)).is_err();
    tree.paths()
        .filter(|path| {
            is_below(path, dir) && only_the_clients(path) && !only_the_clients(parent_of(path))
        })
        .map(<[u8]>::to_vec)
        .collect()
}

/// Whether a compile may have read this file, whose path is resolved: the client sent it, or the client leaves it to
/// the server's toolchain. A file that happens to be on the server in a directory of the client's is neither.
pub(crate) fn is_expected(tree: &Tree, path: &[u8]) -> bool {
    if tree.has_file(path) || tree.is_system(path) {
        return true;
    }
    let Some(root) = TOOLCHAIN_ROOTS
        .iter()
        .map(|root| root.as_bytes())
        .find(|root| is_below(path, root))
    else {
        return false;
    };
    let mut dir = parent_of(path);
    while dir.len() > root.len() {
        if tree.has_dir(dir) && dir != b"/usr/local" {
            return false;
        }
        dir = parent_of(dir);
    }
    true
}

fn host_path(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}

fn below_root(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
}
