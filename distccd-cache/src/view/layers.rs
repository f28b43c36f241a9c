//! The namespace view of a bundle job: the mounts that show what its manifest names, and nothing else that its compiler could find. Owns no state.
//!
//! The root is an overlay: above, the job's own files and outputs; beneath, a grove (see [`crate::grove`]). Where the system has no such overlay, the root is the
//! job's directory with all of its files. Upon it come, read-only, the server's toolchain directories, and upon those again the client's:
//!
//! * each system directory that the server has, too, is hidden by the client's, which may be empty;
//! * directories of the client's where the server has none, or none of a toolchain's, as in the view of older protocols.
//!
//! Nothing of the client's can be executed, whether program or library.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::child::{Access, MountStep, NewRoot, c_string};
use crate::tree::{Planned, Tree, is_below};
use crate::view::Unsuited;
use crate::view::detect::{Namespaces, id_map};
use crate::view::meeting::host_path;
use crate::view::namespace::check_compiler;
use crate::view::skeleton::{Skeleton, bind};
use crate::view::terrain::{MOST_PLACES, Place, SystemDirectory};

/// A tree beneath the job's own.
pub(crate) trait Beneath {
    /// Where it is.
    fn root(&self) -> PathBuf;
    /// Directories to mount on.
    fn spots(&self) -> Spots;
    /// Whether it has a directory of this path.
    fn has_directory(&self, path: &[u8]) -> bool;
}

/// Directories to mount things on. Each job mounts in a namespace of its own, so jobs can share them.
#[derive(Clone, Debug)]
pub(crate) struct Spots {
    /// What becomes the root.
    pub(crate) view: PathBuf,
    /// The overlay.
    pub(crate) base: PathBuf,
    /// The memory for the job's own files and outputs.
    pub(crate) memory: PathBuf,
}

impl Spots {
    /// Those below a directory.
    pub(crate) fn below(dir: &Path) -> Self {
        Self {
            view: dir.join("view"),
            base: dir.join("base"),
            memory: dir.join("memory"),
        }
    }

    /// Where the job's own files are, in its namespace.
    pub(crate) fn upper(&self) -> PathBuf {
        self.memory.join("upper")
    }
}

/// How much memory one job's own files and outputs may take; what is not written takes none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryBytes(pub(crate) u64);

/// What the mounts follow from.
pub(crate) struct Layers<'a> {
    pub(crate) spots: Spots,
    /// The job's own files, as a plan if there is something beneath; or all.
    pub(crate) tree: &'a mut Tree,
    pub(crate) beneath: Option<&'a dyn Beneath>,
    pub(crate) skeleton: &'a Skeleton,
    pub(crate) system: &'a [SystemDirectory],
    /// In any order, none twice.
    pub(crate) places: Vec<Place>,
    /// Directories that the compiler writes to.
    pub(crate) outputs: Vec<&'a [u8]>,
    pub(crate) compiler: &'a Path,
    pub(crate) namespaces: Namespaces,
    pub(crate) memory: MemoryBytes,
}

/// Something to mount upon a toolchain directory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Upon {
    /// The client's directory.
    Client(Vec<u8>),
    /// Both; and whether the client's comes first.
    Both(Vec<u8>, bool),
}

impl Upon {
    fn path(&self) -> &[u8] {
        match self {
            Self::Client(path) | Self::Both(path, _) => path,
        }
    }
}

impl Layers<'_> {
    /// The mounts, for the child to carry out.
    ///
    /// # Errors
    /// See [`Unsuited`].
    pub(crate) fn new_root(mut self) -> Result<NewRoot, Unsuited> {
        let view = self.spots.view.clone();
        let mut steps = Vec::with_capacity(32);
        let mut own = Vec::new();
        let base = match self.beneath {
            Some(beneath) => {
                let plan = self.tree.take_plan();
                own.extend(plan.iter().map(|planned| planned.path().to_vec()));
                root_overlay(&self.spots, self.memory, plan, &beneath.root(), &mut steps)?;
                self.spots.base.clone()
            }
            None => self.tree.root().to_owned(),
        };
        steps.push(bind(&base, &view, "", Access::Data)?);
        self.skeleton.mount_roots(&view, &mut steps)?;
        if self.places.len() > 2 * MOST_PLACES {
            return Err(Unsuited::TooManyPlaces(self.places.len()));
        }
        let upon = self.upon();
        let shown = upon.iter().filter_map(|upon| match upon {
            Upon::Client(dir) => Some(dir),
            Upon::Both(..) => None,
        });
        check_compiler(self.compiler, self.skeleton, shown.clone())?;
        for dir in &self.outputs {
            let of_server = self.skeleton.root_of(dir).is_some();
            if of_server && !shown.clone().any(|client| is_below(dir, client)) {
                return Err(Unsuited::OutputInToolchain(text(dir)));
            }
        }
        for upon in &upon {
            // A link of the client's on the way would have us show another directory of this machine.
            if self.tree.resolve(upon.path())? != upon.path() {
                return Err(Unsuited::InTheWay(text(upon.path())));
            }
            match upon {
                Upon::Client(dir) => {
                    let (source, access) = match self.beneath {
                        Some(beneath) if self.is_as_beneath(dir, &own, beneath) => {
                            (beneath.root(), Access::ReadOnlyData)
                        }
                        // A part of the overlay is what the overlay is.
                        Some(_) => (base.clone(), Access::Same),
                        None => (base.clone(), Access::Data),
                    };
                    let source = source.join(relative(dir));
                    steps.push(bind(&source, &view, relative(dir), access)?);
                }
                Upon::Both(dir, over) => steps.push(self.merged(dir, *over, &view)?),
            }
        }
        self.skeleton.mount_others(&view, &mut steps)?;
        Ok(NewRoot {
            uid_map: id_map(rustix::process::geteuid().as_raw())?,
            gid_map: id_map(rustix::process::getegid().as_raw())?,
            root: c_string(view.into_os_string())?,
            toolchains: self.skeleton.roots.clone(),
            steps,
            kept: match self.beneath {
                Some(_) => Some(c_string(self.spots.upper().into_os_string())?),
                None => None,
            },
        })
    }

    /// Whether the job has nothing of its own in a directory and writes nothing there. Then the directory is shown as the grove has it: in an overlay that
    /// is the job's alone the kernel would look up every header anew.
    fn is_as_beneath(&self, dir: &[u8], own: &[Vec<u8>], beneath: &dyn Beneath) -> bool {
        let has_own = own.iter().any(|path| path != dir && is_below(path, dir));
        let is_written = self.outputs.iter().any(|output| is_below(output, dir));
        !has_own && !is_written && beneath.has_directory(dir)
    }

    /// What to mount upon toolchain directories, outer things first.
    fn upon(&mut self) -> Vec<Upon> {
        let hidden = self.system.iter().filter(|dir| dir.hides);
        let mut client: Vec<Vec<u8>> = hidden.map(|dir| dir.path.clone()).collect();
        let mut both: Vec<(Vec<u8>, bool)> = Vec::new();
        for place in std::mem::take(&mut self.places) {
            match place {
                Place::Replace(dir) => client.push(dir),
                Place::Merge { dir, next, over } => {
                    client.extend(next);
                    match both.iter_mut().find(|(known, _)| *known == dir) {
                        Some((_, first)) => *first |= over,
                        None => both.push((dir, over)),
                    }
                }
            }
        }
        client.sort_unstable();
        client.dedup();
        // What is inside a directory of the client's is seen with it.
        let outer = |dir: &Vec<u8>| {
            let mut others = client.iter();
            !others.any(|other| other != dir && is_below(dir, other))
        };
        let client_outer = client.iter().filter(|dir| outer(dir)).cloned();
        let both_outer = both.into_iter().filter(|(dir, _)| {
            let mut clients = client.iter();
            !clients.any(|other| is_below(dir, other))
        });
        let mut upon: Vec<Upon> = client_outer.map(Upon::Client).collect();
        upon.extend(both_outer.map(|(dir, over)| Upon::Both(dir, over)));
        upon.sort_by_key(|upon| upon.path().iter().filter(|&&b| b == b'/').count());
        upon
    }

    /// The client's directory and the server's of one path, merged. What has both is the client's if it comes first, and then nothing of it can be executed.
    fn merged(&self, dir: &[u8], client_first: bool, view: &Path) -> Result<MountStep, Unsuited> {
        let host = host_path(dir);
        let no_overlay = || Unsuited::NoOverlay(host.display().to_string());
        if !self.namespaces.overlay || std::fs::canonicalize(&host).ok().as_ref() != Some(&host) {
            return Err(no_overlay());
        }
        let mut layers = Vec::with_capacity(3);
        if self.tree.has_dir(dir) {
            layers.push(self.tree.host_path(dir));
        }
        if let Some(beneath) = self.beneath.filter(|beneath| beneath.has_directory(dir)) {
            layers.push(beneath.root().join(relative(dir)));
        }
        match client_first {
            true => layers.push(host.clone()),
            false => layers.insert(0, host.clone()),
        }
        let mut options = b"lowerdir=".to_vec();
        for (index, layer) in layers.iter().enumerate() {
            if index > 0 {
                options.push(b':');
            }
            options.extend_from_slice(plain(layer).ok_or_else(no_overlay)?);
        }
        if options.len() > OPTION_BYTES {
            return Err(no_overlay());
        }
        Ok(MountStep::Overlay {
            options: c_string(OsString::from_vec(options))?,
            target: c_string(view.join(relative(dir)).into_os_string())?,
            access: match client_first {
                true => Access::ReadOnlyData,
                false => Access::ReadOnly,
            },
        })
    }
}

/// Files, directories and links that a job may make; each takes memory that the size does not count.
const INODES: u32 = 400_000;

/// The kernel takes one page of options.
const OPTION_BYTES: usize = 4000;

/// Appends what makes the job's own files and lays them upon a grove's. They are in memory: files that live for a moment are dear on a disk
/// (ext4 looks at every inode that was freed in the last minutes before it takes one), and the kernel need not sync them when the job ends.
/// `userxattr`: an ordinary user may keep the overlay's marks.
pub(crate) fn root_overlay(
    spots: &Spots,
    memory: MemoryBytes,
    plan: Vec<Planned>,
    lower: &Path,
    steps: &mut Vec<MountStep>,
) -> Result<(), Unsuited> {
    let no_overlay = || Unsuited::NoOverlay("/".to_owned());
    let c_path = |path: &Path| c_string(path.as_os_str().to_owned());
    let (upper, work) = (spots.upper(), spots.memory.join("work"));
    steps.push(MountStep::Memory {
        target: c_path(&spots.memory)?,
        options: c_string(format!("mode=700,size={},nr_inodes={INODES}", memory.0).into())?,
    });
    steps.push(MountStep::Directory(c_path(&upper)?));
    steps.push(MountStep::Directory(c_path(&work)?));
    let below = |path: &[u8]| c_path(&upper.join(relative(path)));
    for planned in plan {
        steps.push(match planned {
            Planned::Directory(path) => MountStep::Directory(below(&path)?),
            Planned::File(path, content, modified) => MountStep::File {
                path: below(&path)?,
                content,
                modified,
            },
            Planned::Absent(path) => MountStep::Absent(below(&path)?),
            Planned::Link(path, target) => MountStep::Link {
                path: below(&path)?,
                target: c_string(OsString::from_vec(target))?,
            },
        });
    }
    let mut options = b"userxattr,volatile".to_vec();
    let parts = [
        (",lowerdir=", lower),
        (",upperdir=", &upper),
        (",workdir=", &work),
    ];
    for (name, path) in parts {
        options.extend_from_slice(name.as_bytes());
        options.extend_from_slice(plain(path).ok_or_else(no_overlay)?);
    }
    if options.len() > OPTION_BYTES {
        return Err(no_overlay());
    }
    steps.push(MountStep::Overlay {
        options: c_string(OsString::from_vec(options))?,
        target: c_path(&spots.base)?,
        access: Access::Data,
    });
    Ok(())
}

/// A path without the characters that have a meaning in the options.
fn plain(path: &Path) -> Option<&[u8]> {
    let bytes = path.as_os_str().as_bytes();
    let plain = !bytes.iter().any(|byte| b":,\\".contains(byte));
    plain.then_some(bytes)
}

/// Whether an own file of a job is where the view has something of the server's.
///
/// # Errors
/// [`Unsuited`] if so.
pub(crate) fn check_own(tree: &Tree, skeleton: &Skeleton) -> Result<(), Unsuited> {
    for (path, is_directory) in skeleton.paths() {
        let above = || (1..path.len()).filter(|&end| path[end] == b'/');
        let taken = tree.has(path) && !(tree.has_dir(path) && is_directory);
        if taken || above().any(|end| tree.has(&path[..end]) && !tree.has_dir(&path[..end])) {
            return Err(Unsuited::InTheWay(text(path)));
        }
    }
    Ok(())
}

fn relative(path: &[u8]) -> &Path {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    Path::new(std::ffi::OsStr::from_bytes(relative))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
