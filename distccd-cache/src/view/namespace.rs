//! The namespace view: the mounts that show the client's files at the client's own paths. Owns no state; it makes a
//! plan that [`crate::child`] carries out between clone and exec.
//!
//! The new root is the job's `root` directory itself, so all of the client's files are in place at once. Upon it come,
//! read-only, the server's toolchain directories, a few files of `/etc`, and some devices. The compiler sees no other
//! file of the server. Where the client has files of its own below a toolchain directory:
//!
//! * below a directory that is no part of a toolchain (`/usr/src`, `/opt/project`), the client's directory stands in
//!   the place of the server's;
//! * else (`/usr/local/include`) the two are merged, the client's files first where both have one of a name. What the compiler
//!   read of the server's is judged afterwards by [`is_expected`].
//!
//! Nothing of the client's can be executed, and no file that a compiler would obey by itself may be among it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::child::{Access, MountStep, NewRoot, c_string};
use crate::tree::{JobDir, Tree, is_below, parent_of};
use crate::view::Unsuited;
use crate::view::detect::{Namespaces, id_map};
use crate::view::meeting::{Meeting, Meetings, host_path, is_obeyed};
use crate::view::skeleton::{Skeleton, TOOLCHAIN_ROOTS, bind};

/// The mounts of one job's view.
#[derive(Debug)]
pub(crate) struct Plan {
    view: PathBuf,
    pub(crate) steps: Vec<MountStep>,
    /// The server's toolchain directories that are mounted.
    toolchains: Vec<&'static str>,
    /// Where the client's directory stands in the place of the server's.
    replaced: BTreeSet<Vec<u8>>,
    /// Where the two are merged, and whether the client's files have to come first.
    merged: BTreeMap<Vec<u8>, bool>,
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
            toolchains: Vec::new(),
            replaced: BTreeSet::new(),
            merged: BTreeMap::new(),
        };
        plan.bind(tree.root(), Path::new(""))?;
        let skeleton = Skeleton::lay(tree, namespaces.proc)?;
        skeleton.mount_roots(&plan.view, &mut plan.steps)?;
        plan.find_meetings(tree, &skeleton)?;
        plan.show_meetings(tree, namespaces)?;
        if let Some(compiler) = compiler {
            check_compiler(compiler, &skeleton, plan.replaced.iter())?;
        }
        skeleton.mount_others(&plan.view, &mut plan.steps)?;
        plan.toolchains = skeleton.roots;
        Ok(plan)
    }

    /// What the child carries out.
    pub(crate) fn into_new_root(self) -> io::Result<NewRoot> {
        Ok(NewRoot {
            uid_map: id_map(rustix::process::geteuid().as_raw())?,
            gid_map: id_map(rustix::process::getegid().as_raw())?,
            root: c_string(self.view.into_os_string())?,
            toolchains: self.toolchains,
            steps: self.steps,
            kept: None,
        })
    }

    fn bind(&mut self, source: &Path, below_view: &Path) -> io::Result<()> {
        // Nothing of a client's is a program or library.
        let step = bind(source, &self.view, below_view, Access::Data)?;
        self.steps.push(step);
        Ok(())
    }

    /// Finds where the client's tree and the server's toolchain directories both have something.
    fn find_meetings(&mut self, tree: &Tree, skeleton: &Skeleton) -> Result<(), Unsuited> {
        let mut meetings = Meetings::new(tree.system_dirs().map(<[u8]>::to_vec).collect());
        for path in tree.paths() {
            if let Some(root) = skeleton.root_of(path) {
                if is_obeyed(path) {
                    return Err(Unsuited::InTheWay(host_path(path).display().to_string()));
                }
                match meetings.at(root.as_bytes(), path) {
                    Meeting::None => {}
                    Meeting::Replace(dir) => _ = self.replaced.insert(dir),
                    Meeting::Merge { dir, over, .. } => {
                        *self.merged.entry(dir).or_default() |= over;
                    }
                }
            }
        }
        let merged = &self.merged;
        let inner = |dir: &Vec<u8>| {
            merged
                .keys()
                .any(|outer| outer != dir && is_below(dir, outer))
        };
        let outermost = merged.keys().filter(|dir| !inner(dir));
        let with_inner = outermost.map(|dir| {
            let mut within = merged.iter().filter(|(other, _)| is_below(other, dir));
            (dir.clone(), within.any(|(_, over)| *over))
        });
        self.merged = with_inner.collect();
        Ok(())
    }

    fn show_meetings(&mut self, tree: &Tree, namespaces: Namespaces) -> Result<(), Unsuited> {
        for (dir, client_first) in self.merged.clone() {
            let host = host_path(&dir);
            if !namespaces.overlay || fs::canonicalize(&host).ok().as_deref() != Some(&host) {
                return Err(Unsuited::NoOverlay(host.display().to_string()));
            }
            let (of_client, target) = (tree.host_path(&dir), self.view.join(below_root(&dir)));
            self.steps.push(match client_first {
                // Where the server's programs and libraries are, the client's must not come before them.
                true if holds_programs(&dir) => {
                    return Err(Unsuited::NoOverlay(host.display().to_string()));
                }
                true => overlay(&of_client, &host, &target, Access::ReadOnlyData)?,
                false => overlay(&host, &of_client, &target, Access::ReadOnly)?,
            });
            // The merged directory is read-only. What is the client's alone is shown as itself, writable for outputs.
            for own in own_dirs(tree, &dir) {
                self.bind(&tree.host_path(&own), below_root(&own))?;
            }
        }
        for dir in self.replaced.clone() {
            self.bind(&tree.host_path(&dir), below_root(&dir))?;
        }
        Ok(())
    }
}

/// Whether compilers are started or linked from a directory of this name.
fn holds_programs(dir: &[u8]) -> bool {
    let mut components = dir.split(|&b| b == b'/');
    let starts: [&[u8]; 3] = [b"lib", b"bin", b"sbin"];
    components.any(|name| starts.iter().any(|start| name.starts_with(start)))
}

/// A read-only overlay of `upper` upon `lower`.
pub(crate) fn overlay(
    upper: &Path,
    lower: &Path,
    target: &Path,
    access: Access,
) -> Result<MountStep, Unsuited> {
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
        access,
    })
}

/// Refuses the view to a compiler that would not be seen in it: one that is below none of the toolchain roots, or below a directory
/// in whose place another is shown.
pub(crate) fn check_compiler<'a>(
    compiler: &Path,
    skeleton: &Skeleton,
    mut replaced: impl Iterator<Item = &'a Vec<u8>>,
) -> Result<(), Unsuited> {
    let real = fs::canonicalize(compiler).unwrap_or_else(|_| compiler.to_owned());
    let real = real.as_os_str().as_bytes();
    if skeleton.root_of(real).is_none() || replaced.any(|dir| is_below(real, dir)) {
        return Err(Unsuited::HiddenCompiler(compiler.to_owned()));
    }
    Ok(())
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

fn below_root(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
}
