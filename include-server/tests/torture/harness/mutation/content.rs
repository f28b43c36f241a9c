//! Changes of what files hold.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Mutator, shown};
use crate::harness::tree::{self, Tree};

/// Sources are files too; but most changes are those of headers.
pub(super) fn file(mutator: &mut Mutator, tree: &Tree) -> Option<PathBuf> {
    if mutator.dice.chance(10) {
        let unit = mutator.dice.pick(&tree.units);
        let source = unit.cwd.join(unit.words().last()?);
        return source.is_file().then_some(source);
    }
    mutator.header(tree)
}

pub(super) fn size_of(path: &Path) -> Option<usize> {
    usize::try_from(fs::metadata(path).ok()?.len()).ok()
}

fn open(path: &Path) -> Option<File> {
    // O_NONBLOCK, should it be a fifo.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).ok()?;
    OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(path)
        .ok()
}

/// Writes over the start of a file, whose size stays.
fn overwrite(mutator: &mut Mutator, file: &File, path: &Path) -> Option<usize> {
    let size = usize::try_from(file.metadata().ok()?.len()).ok()?;
    let text = mutator.text(path, Some(size));
    if text.len() != size {
        return None;
    }
    file.write_all_at(&text, 0).ok()?;
    Some(size)
}

pub(super) fn edit_of_equal_size(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = file(mutator, tree)?;
    let size = overwrite(mutator, &open(&path)?, &path)?;
    Some(format!("edit {} in place, {size} bytes", shown(&path)))
}

pub(super) fn edit_of_equal_size_and_time(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = file(mutator, tree)?;
    let file = open(&path)?;
    let before = file.metadata().ok()?;
    let times = FileTimes::new()
        .set_modified(before.modified().ok()?)
        .set_accessed(before.accessed().ok()?);
    let size = overwrite(mutator, &file, &path)?;
    file.set_times(times).ok()?;
    Some(format!(
        "edit {} in place, {size} bytes, its time set back",
        shown(&path)
    ))
}

pub(super) fn edit_of_any_size(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = file(mutator, tree)?;
    let text = mutator.text(&path, None);
    fs::write(&path, &text).ok()?;
    Some(format!("rewrite {}, {} bytes", shown(&path), text.len()))
}

pub(super) fn append(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = file(mutator, tree)?;
    let size = size_of(&path).filter(|&size| size < 4096)?;
    let text = mutator.author.macros(&mut mutator.dice, Some(64));
    let mut file = OpenOptions::new().append(true).open(&path).ok()?;
    file.write_all(&text).ok()?;
    Some(format!("append to {}, {size} bytes before", shown(&path)))
}

pub(super) fn empty_and_fill(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = file(mutator, tree)?;
    let file = open(&path)?;
    file.set_len(0).ok()?;
    if mutator.dice.chance(30) {
        return Some(format!("empty {}", shown(&path)));
    }
    let text = mutator.text(&path, None);
    // In two parts, as a program with a small buffer does.
    let (head, tail) = text.split_at(text.len() / 2);
    file.write_all_at(head, 0).ok()?;
    file.write_all_at(tail, head.len() as u64).ok()?;
    Some(format!("empty and fill {}", shown(&path)))
}

pub(super) fn rename_over(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = file(mutator, tree)?;
    let size = size_of(&path).filter(|_| mutator.dice.chance(50));
    let text = mutator.text(&path, size);
    let outside = mutator.dice.chance(30);
    let beside = match outside {
        true => tree.path("outside/aside"),
        false => path.clone(),
    };
    let aside = mutator.aside(&beside);
    fs::write(&aside, text).ok()?;
    fs::rename(&aside, &path).ok()?;
    Some(format!("rename {} over {}", shown(&aside), shown(&path)))
}

pub(super) fn rewrite_in_a_loop(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = file(mutator, tree)?;
    let size = size_of(&path)?;
    let count = mutator.dice.between(2, 12);
    for _ in 0..count {
        let text = mutator.text(&path, Some(size));
        fs::write(&path, text).ok()?;
    }
    Some(format!("rewrite {} {count} times", shown(&path)))
}

pub(super) fn write_through_an_old_descriptor(
    mutator: &mut Mutator,
    tree: &Tree,
) -> Option<String> {
    if mutator.handles.len() < 8 || mutator.dice.chance(20) {
        let path = file(mutator, tree)?;
        let file = open(&path)?;
        mutator.handles.push((path, file));
        if mutator.handles.len() > 12 {
            let old = mutator.dice.below(mutator.handles.len());
            mutator.handles.swap_remove(old);
        }
    }
    let chosen = mutator.dice.below(mutator.handles.len());
    let (path, file) = mutator.handles.swap_remove(chosen);
    let size = overwrite(mutator, &file, &path);
    mutator.handles.push((path.clone(), file));
    size.map(|size| {
        format!(
            "write {size} bytes through a descriptor opened as {}",
            shown(&path)
        )
    })
}

/// Files in `outside`: some of them are other names of headers.
pub(super) fn write_through_another_name(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let number = mutator.dice.below(super::names::OTHER_NAMES);
    let path = tree.path(&format!("outside/other{number}"));
    let file = open(&path)?;
    let before = file.metadata().ok()?;
    let back = mutator.dice.chance(50);
    // Any layer: the guards end what may come of it.
    let size = overwrite(mutator, &file, Path::new("h5.h"))?;
    if back {
        let times = FileTimes::new().set_modified(before.modified().ok()?);
        file.set_times(times).ok()?;
    }
    Some(format!(
        "edit {} in place, {size} bytes, inode {}, {} names{}",
        shown(&path),
        before.ino(),
        before.nlink(),
        if back { ", its time set back" } else { "" }
    ))
}

pub(super) fn touch(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = file(mutator, tree)?;
    let time = match mutator.dice.chance(50) {
        true => SystemTime::now(),
        false => SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
    };
    open(&path)?.set_modified(time).ok()?;
    Some(format!("touch {}", shown(&path)))
}

pub(super) fn permissions(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = file(mutator, tree)?;
    if tree::is_source(&path) {
        return None;
    }
    let mode = *mutator.dice.pick(&[0o644, 0o600, 0o644, 0o000]);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).ok()?;
    Some(format!("permissions {mode:o} for {}", shown(&path)))
}

/// Deleted and made anew at once: the same size, the same time, often the same inode.
pub(super) fn replace_with_equal_stamp(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = file(mutator, tree)?;
    let before = fs::symlink_metadata(&path)
        .ok()
        .filter(fs::Metadata::is_file)?;
    let text = mutator.text(&path, size_of(&path));
    let times = FileTimes::new().set_modified(before.modified().ok()?);
    fs::remove_file(&path).ok()?;
    let mut file = File::create(&path).ok()?;
    file.write_all(&text).ok()?;
    file.set_times(times).ok()?;
    Some(format!(
        "delete and make {}, inode {} then {}",
        shown(&path),
        before.ino(),
        file.metadata().map_or(0, |found| found.ino())
    ))
}
