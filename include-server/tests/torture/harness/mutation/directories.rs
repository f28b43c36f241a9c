//! Changes of directories and of links to them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Mutator, shown};
use crate::harness::tree::{self, LINKS, Tree};

/// Directories that may go away for a while.
const MOVABLE: [&str; 9] = [
    "tree/early",
    "tree/q",
    "tree/inc",
    "tree/inc/sub",
    "tree/alt",
    "tree/gen",
    "tree/m1",
    "tree/m2/x",
    "outside/ext",
];

pub(super) fn retarget(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let (link, targets) = *mutator.dice.pick(&LINKS);
    let target: &str = mutator.dice.pick::<&str>(&targets);
    let target = tree.link_target(target);
    let path = tree.path(link);
    let before = fs::read_link(&path).ok();
    if before.as_ref() == Some(&target) {
        return None;
    }
    if before.is_none() && fs::symlink_metadata(&path).is_ok() {
        return None;
    }
    if mutator.dice.chance(50) {
        let _ = fs::remove_file(&path);
        symlink(&target, &path).ok()?;
    } else {
        let aside = mutator.aside(&path);
        let _ = fs::remove_file(&aside);
        symlink(&target, &aside).ok()?;
        fs::rename(&aside, &path).ok()?;
    }
    Some(format!("retarget {} to {}", shown(&path), shown(&target)))
}

pub(super) fn exchange(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let one = tree.path(mutator.dice.name(&MOVABLE));
    let two = tree.path(mutator.dice.name(&MOVABLE));
    if one.starts_with(&two) || two.starts_with(&one) {
        return None;
    }
    renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).ok()?;
    Some(format!("exchange {} and {}", shown(&one), shown(&two)))
}

pub(super) fn rename_away(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    if mutator.away.len() >= 3 {
        return None;
    }
    let path = tree.path(mutator.dice.name(&MOVABLE));
    let aside = mutator.aside(&tree.path("outside/aside"));
    let away = aside.with_extension(format!("away{}", mutator.aside));
    fs::rename(&path, &away).ok()?;
    mutator.away.push((path.clone(), away));
    Some(format!("rename {} away", shown(&path)))
}

pub(super) fn rename_back(mutator: &mut Mutator, _: &Tree) -> Option<String> {
    if mutator.away.is_empty() {
        return None;
    }
    let chosen = mutator.dice.below(mutator.away.len());
    let (path, away) = mutator.away.swap_remove(chosen);
    // Something else may have its name now; a directory that is not empty stays.
    let _ = fs::remove_file(&path);
    match fs::rename(&away, &path) {
        Ok(()) => Some(format!("rename {} back to {}", shown(&away), shown(&path))),
        Err(_) => {
            let _ = fs::remove_dir_all(&away);
            None
        }
    }
}

/// A directory of the search path that comes into being, with or without headers, and goes.
pub(super) fn late_directory(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let name = *mutator.dice.pick(&[
        "tree/late",
        "tree/early",
        "tree/q",
        "tree/gen",
        "tree/inc/sub",
        "tree/m1/x",
        "tree/inc",
        "tree/alt/sub",
    ]);
    let path = tree.path(name);
    if path.is_dir() {
        if name != "tree/late" && name != "tree/early" {
            return None;
        }
        fs::remove_dir_all(&path).ok()?;
        return Some(format!("remove {}", shown(&path)));
    }
    if mutator.dice.chance(50) {
        let aside = mutator
            .aside(&tree.path("outside/aside"))
            .with_extension("made");
        let _ = fs::remove_dir_all(&aside);
        fs::create_dir_all(&aside).ok()?;
        fill(mutator, &aside);
        fs::rename(&aside, &path).ok()?;
        return Some(format!("rename a full directory to {}", shown(&path)));
    }
    fs::create_dir_all(&path).ok()?;
    fill(mutator, &path);
    Some(format!("create {}", shown(&path)))
}

fn fill(mutator: &mut Mutator, directory: &Path) {
    for _ in 0..mutator.dice.below(4) {
        let path = directory.join(tree::header_name(&mut mutator.dice));
        let text = mutator.text(&path, None);
        let _ = fs::write(path, text);
    }
}

pub(super) fn remove_all(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = tree.path(mutator.dice.name(&MOVABLE));
    if !fs::symlink_metadata(&path).ok()?.is_dir() {
        return None;
    }
    // A directory with links to other parts stays.
    if path.ends_with("inc") {
        return None;
    }
    fs::remove_dir_all(&path).ok()?;
    let again = mutator.dice.chance(60);
    if again {
        fs::create_dir_all(&path).ok()?;
        fill(mutator, &path);
    }
    Some(format!(
        "remove {}{}",
        shown(&path),
        if again { " and make it anew" } else { "" }
    ))
}

pub(super) fn exchange_working_directories(_: &mut Mutator, tree: &Tree) -> Option<String> {
    let (one, two) = (tree.path("w"), tree.path("w2"));
    renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).ok()?;
    Some("exchange w and w2".into())
}

pub(super) fn directory_permissions(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = tree.path(mutator.dice.name(&MOVABLE));
    let mode = *mutator.dice.pick(&[0o755, 0o755, 0o700, 0o000, 0o644]);
    if !fs::symlink_metadata(&path).ok()?.is_dir() {
        return None;
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).ok()?;
    Some(format!("permissions {mode:o} for {}", shown(&path)))
}

/// A directory becomes a link to where it is now, or the link the directory again.
pub(super) fn directory_becomes_link(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let name = *mutator
        .dice
        .pick(&["tree/q", "tree/gen", "tree/alt", "tree/sysd"]);
    let path = tree.path(name);
    let moved = path.with_extension("moved");
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => {
            fs::rename(&path, &moved).ok()?;
            symlink(moved.file_name()?, &path).ok()?;
            Some(format!("{} becomes a link", shown(&path)))
        }
        Ok(found) if found.is_symlink() => {
            fs::remove_file(&path).ok()?;
            fs::rename(&moved, &path).ok()?;
            Some(format!("{} becomes a directory again", shown(&path)))
        }
        _ => None,
    }
}
