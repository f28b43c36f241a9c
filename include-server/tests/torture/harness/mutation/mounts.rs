//! File systems that are mounted over a directory of the search path, and other names of directories by mounts.

use std::fs;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::{Mutator, shown};
use crate::harness::tree::{self, Tree};

/// Where something is mounted.
const PLACES: [&str; 2] = ["tree/mnt", "tree/q"];

/// What is mounted now.
#[derive(Default)]
pub(super) struct Mounts {
    mounted: Vec<&'static str>,
}

/// Gives this thread, and those that it starts, mounts of their own, so that nobody else sees the tree's. Whether that
/// is allowed; says so when it is not.
pub fn own_mounts() -> bool {
    // SAFETY: a new mount namespace and file system context for this thread changes nothing that Rust relies on; other
    // threads keep theirs.
    let unshared = unsafe { unshare_unsafe(UnshareFlags::NEWNS) };
    let private = unshared.and_then(|()| {
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )
    });
    if let Err(error) = private {
        println!("skipped: mounts, which this user may not make ({error})");
        return false;
    }
    true
}

/// Puts a file system over `directory` whose time stamps have only the steps of the kernel's clock, as all had before Linux
/// 6.13. It stays until this thread's mounts end with it.
pub fn coarse_times(directory: &std::path::Path) {
    mount("torture", directory, "ramfs", MountFlags::empty(), None).expect("a ramfs");
}

impl Mounts {
    /// Takes all away.
    pub(super) fn finish(&mut self, tree: &Tree) {
        for place in self.mounted.drain(..).rev() {
            let _ = unmount(tree.path(place), UnmountFlags::DETACH);
        }
    }
}

pub(super) fn change(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let mounts = mutator.mounts.as_mut()?;
    if !mounts.mounted.is_empty() && (mounts.mounted.len() >= 3 || mutator.dice.chance(50)) {
        let place = mounts.mounted.pop()?;
        let path = tree.path(place);
        unmount(&path, UnmountFlags::DETACH).ok()?;
        return Some(format!("unmount {}", shown(&path)));
    }
    let place = *mutator.dice.pick(&PLACES);
    let path = tree.path(place);
    if mutator.dice.chance(50) {
        let source = tree.path(mutator.dice.name(&["tree/alt", "tree/gen", "outside/ext"]));
        mount_bind(&source, &path).ok()?;
        mounts.mounted.push(place);
        return Some(format!("mount {} on {}", shown(&source), shown(&path)));
    }
    mount("torture", &path, "tmpfs", MountFlags::empty(), None).ok()?;
    mounts.mounted.push(place);
    for _ in 0..mutator.dice.below(4) {
        let header = path.join(tree::header_name(&mut mutator.dice));
        let text = mutator.text(&header, None);
        let _ = fs::write(header, text);
    }
    Some(format!("mount a file system on {}", shown(&path)))
}
