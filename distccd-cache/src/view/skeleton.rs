//! What of the server every view shows: toolchains, a few files of `/etc`, devices, `/proc`. Owns the lists; a
//! [`Skeleton`] is what of them was found when it was laid, with its mount points in a tree.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use protocol::tree_path::TreePath;

use crate::child::{Access, MountStep, c_string};
use crate::tree::{Links, Tree, parent_of};
use crate::view::Unsuited;

/// Where toolchains are installed. Each that exists is shown, as the link that it is or read-only as a whole.
pub(crate) const TOOLCHAIN_ROOTS: [&str; 10] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu",
];

/// What of `/etc` compilers, their wrappers and the dynamic linker read.
pub(crate) const ETC: [&str; 14] = [
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
pub(crate) const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// The mount points of one tree.
#[derive(Clone, Debug)]
pub(crate) struct Skeleton {
    /// Toolchain directories that are mounted.
    pub(crate) roots: Vec<&'static str>,
    /// What is mounted upon them or beside them, and whether it is a directory.
    others: Vec<(&'static str, Access, bool)>,
    /// Links of the server's at these paths, their targets made absolute.
    links: Links,
    /// Whether there is a `/proc`.
    proc: bool,
}

/// What was laid for one path.
enum Laid {
    Nothing,
    Link(Vec<u8>),
    File,
    Directory,
}

impl Skeleton {
    /// Makes the mount points, and the links that are links at the server.
    ///
    /// # Errors
    /// [`Unsuited`] when the tree has something in the place of one of them.
    pub(crate) fn lay(tree: &mut Tree, proc: bool) -> Result<Self, Unsuited> {
        let mut skeleton = Self {
            roots: Vec::new(),
            others: Vec::new(),
            links: Links::new(),
            proc,
        };
        let all = TOOLCHAIN_ROOTS.iter().map(|path| (*path, Access::ReadOnly));
        let etc = ETC.iter().map(|path| (*path, Access::ReadOnly));
        let devices = DEVICES.iter().map(|path| (*path, Access::Same));
        for (path, access) in all.chain(etc).chain(devices) {
            match lay_one(tree, path)? {
                Laid::Nothing => {}
                Laid::Link(target) => _ = skeleton.links.insert(path.into(), target),
                Laid::Directory if TOOLCHAIN_ROOTS.contains(&path) => skeleton.roots.push(path),
                Laid::File => skeleton.others.push((path, access, false)),
                Laid::Directory => skeleton.others.push((path, access, true)),
            }
        }
        if proc {
            if tree.has(b"/proc") {
                return Err(Unsuited::InTheWay("/proc".to_owned()));
            }
            tree.make_dirs(b"/proc")?;
        }
        Ok(skeleton)
    }

    /// Every path that it takes, and whether a directory stands there.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let roots = self.roots.iter().map(|root| (root.as_bytes(), true));
        let others = self.others.iter();
        let others = others.map(|(path, _, is_directory)| (path.as_bytes(), *is_directory));
        let links = self.links.keys().map(|path| (path.as_slice(), false));
        let proc = self.proc.then_some((&b"/proc"[..], true));
        roots.chain(others).chain(links).chain(proc)
    }

    /// The server's links in its place.
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// The toolchain root that a path is below, if any.
    pub(crate) fn root_of(&self, path: &[u8]) -> Option<&'static str> {
        let mut roots = self.roots.iter().copied();
        roots.find(|root| crate::tree::is_below(path, root.as_bytes()))
    }

    /// Appends the mounts of the toolchains.
    pub(crate) fn mount_roots(&self, view: &Path, steps: &mut Vec<MountStep>) -> io::Result<()> {
        for root in &self.roots {
            steps.push(bind(Path::new(root), view, root, Access::ReadOnly)?);
        }
        Ok(())
    }

    /// Appends all other mounts.
    pub(crate) fn mount_others(&self, view: &Path, steps: &mut Vec<MountStep>) -> io::Result<()> {
        for (path, access, _) in &self.others {
            steps.push(bind(Path::new(path), view, path, *access)?);
        }
        if self.proc {
            steps.push(MountStep::Proc {
                target: c_string(view.join("proc").into_os_string())?,
            });
        }
        Ok(())
    }
}

/// `source`, shown at the path `at` of the view.
pub(crate) fn bind(
    source: &Path,
    view: &Path,
    at: impl AsRef<Path>,
    access: Access,
) -> io::Result<MountStep> {
    let at = at.as_ref();
    Ok(MountStep::Bind {
        source: c_string(source.as_os_str().to_owned())?,
        target: c_string(
            view.join(at.strip_prefix("/").unwrap_or(at))
                .into_os_string(),
        )?,
        access,
    })
}

/// Makes one mount point or link.
fn lay_one(tree: &mut Tree, path: &str) -> Result<Laid, Unsuited> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(Laid::Nothing);
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
        return Ok(Laid::Directory);
    }
    if tree.has(bytes) {
        return Err(in_the_way());
    }
    tree.make_dirs(parent_of(bytes))?;
    if metadata.is_symlink() {
        let target = fs::read_link(path)?;
        let target = target.as_os_str().as_bytes();
        tree.symlink(&tree_path, target)?;
        let absolute = match target.first() {
            Some(b'/') => target.to_vec(),
            _ => [parent_of(bytes), b"/", target].concat(),
        };
        return Ok(Laid::Link(absolute));
    }
    tree.make_mount_point_file(&tree_path)?;
    Ok(Laid::File)
}
