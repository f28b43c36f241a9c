//! Changes of what names lead to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Mutator, shown};
use crate::harness::tree::{self, DIRECTORIES, Tree};

/// Hard links outside the tree at most.
pub(super) const OTHER_NAMES: usize = 12;

/// Targets of links to files, from a directory in `tree`.
const TARGETS: [&str; 6] = [
    "../alt/",
    "../gen/",
    "../base/",
    "",
    "sub/",
    "../../outside/ext/",
];

pub(super) fn delete(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = mutator.slot(tree);
    // What every compile needs goes away only now and then.
    if path.starts_with(tree.path("tree/base")) && !mutator.dice.chance(10) {
        return None;
    }
    fs::remove_file(&path).ok()?;
    Some(format!("delete {}", shown(&path)))
}

pub(super) fn create(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = mutator.slot(tree);
    if fs::symlink_metadata(&path).is_ok() {
        return None;
    }
    let text = mutator.text(&path, None);
    if mutator.dice.chance(30) {
        let aside = mutator.aside(&tree.path("outside/aside"));
        fs::write(&aside, text).ok()?;
        fs::rename(&aside, &path).ok()?;
        return Some(format!(
            "rename {} to the new {}",
            shown(&aside),
            shown(&path)
        ));
    }
    fs::write(&path, text).ok()?;
    Some(format!("create {}", shown(&path)))
}

fn link_target(mutator: &mut Mutator, tree: &Tree, path: &Path) -> String {
    let name = match mutator.dice.chance(70) {
        true => path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        false => tree::header_name(&mut mutator.dice),
    };
    if mutator.dice.chance(15) {
        let directory = *mutator.dice.pick(&DIRECTORIES);
        return tree.path(directory).join(name).display().to_string();
    }
    let directory = *mutator.dice.pick(&TARGETS);
    format!("{directory}{name}")
}

pub(super) fn replace_by_link(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = mutator.header(tree)?;
    if path.starts_with(tree.path("tree/base")) && !mutator.dice.chance(10) {
        return None;
    }
    let target = link_target(mutator, tree, &path);
    if mutator.dice.chance(50) {
        fs::remove_file(&path).ok()?;
        symlink(&target, &path).ok()?;
    } else {
        let aside = mutator.aside(&path);
        let _ = fs::remove_file(&aside);
        symlink(&target, &aside).ok()?;
        fs::rename(&aside, &path).ok()?;
    }
    Some(format!("replace {} by a link to {target}", shown(&path)))
}

pub(super) fn retarget_file_link(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = (0..30).find_map(|_| {
        let path = mutator.slot(tree);
        fs::read_link(&path).is_ok().then_some(path)
    })?;
    let target = link_target(mutator, tree, &path);
    fs::remove_file(&path).ok()?;
    symlink(&target, &path).ok()?;
    Some(format!("retarget {} to {target}", shown(&path)))
}

pub(super) fn hard_link_outside(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = mutator.header(tree)?;
    let number = mutator.dice.below(OTHER_NAMES);
    let other = tree.path(&format!("outside/other{number}"));
    let _ = fs::remove_file(&other);
    fs::hard_link(&path, &other).ok()?;
    Some(format!(
        "{} is another name of {}",
        shown(&other),
        shown(&path)
    ))
}

pub(super) fn hard_link_from_outside(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = mutator.slot(tree);
    if path.starts_with(tree.path("tree/base")) {
        return None;
    }
    let number = mutator.dice.below(OTHER_NAMES);
    let other = tree.path(&format!("outside/other{number}"));
    let aside = mutator.aside(&path);
    let _ = fs::remove_file(&aside);
    fs::hard_link(&other, &aside).ok()?;
    fs::rename(&aside, &path).ok()?;
    // Both are names of one file: rename does nothing then.
    let _ = fs::remove_file(&aside);
    Some(format!(
        "{} becomes another name of {}",
        shown(&path),
        shown(&other)
    ))
}

pub(super) fn exchange_files(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let (one, two) = (mutator.header(tree)?, mutator.header(tree)?);
    if one == two {
        return None;
    }
    renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).ok()?;
    Some(format!("exchange {} and {}", shown(&one), shown(&two)))
}

pub(super) fn rename_file(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let (from, to) = (mutator.header(tree)?, mutator.slot(tree));
    if from.starts_with(tree.path("tree/base")) || from == to {
        return None;
    }
    fs::rename(&from, &to).ok()?;
    Some(format!("rename {} to {}", shown(&from), shown(&to)))
}

pub(super) fn file_becomes_directory(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = mutator.slot(tree);
    if path.starts_with(tree.path("tree/base")) {
        return None;
    }
    let before = fs::symlink_metadata(&path)
        .ok()
        .filter(|found| !found.is_dir())?;
    fs::remove_file(&path).ok()?;
    fs::create_dir(&path).ok()?;
    Some(format!(
        "{} ({} bytes) becomes a directory",
        shown(&path),
        before.len()
    ))
}

pub(super) fn directory_becomes_file(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = (0..60).find_map(|_| {
        let path = mutator.slot(tree);
        fs::symlink_metadata(&path)
            .is_ok_and(|found| found.is_dir())
            .then_some(path)
    })?;
    fs::remove_dir(&path).ok()?;
    let text = mutator.text(&path, None);
    fs::write(&path, text).ok()?;
    Some(format!("directory {} becomes a file", shown(&path)))
}

/// A header behind a link out of the tree, replaced by its own path.
pub(super) fn replace_through_outside(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let directory = *mutator.dice.pick(&["outside/ext", "outside/ext2"]);
    let path = tree
        .path(directory)
        .join(tree::header_name(&mut mutator.dice));
    let text = mutator.text(&path, None);
    let aside = mutator.aside(&tree.path("outside/aside"));
    fs::write(&aside, text).ok()?;
    fs::rename(&aside, &path).ok()?;
    Some(format!("replace {} outside", shown(&path)))
}
