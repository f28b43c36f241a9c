//! Changes of compilers, of their defaults, and of what command lines name.

use std::fs;
use std::path::Path;

use super::{Mutator, shown};
use crate::harness::text::VALUES;
use crate::harness::tree::{self, Tree};

/// Where the copied compiler looks for specs of its own.
const SPECS: &str = "tool/rel/lib/gcc/x86_64-linux-gnu/12/specs";

/// A directory or a definition for a response file.
fn option(mutator: &mut Mutator) -> String {
    match mutator.dice.below(4) {
        0 => "-Ilate".into(),
        1 => "-isystem gen".into(),
        _ => definition(mutator),
    }
}

fn definition(mutator: &mut Mutator) -> String {
    let (name, number) = (mutator.dice.below(VALUES), mutator.dice.below(3));
    format!("-DV{name}={number}")
}

/// What a script adds: behind everything else, as the compiler's own directories are.
fn addition(mutator: &mut Mutator, tree: &Tree) -> String {
    match mutator.dice.below(4) {
        0 => format!("-idirafter {}", shown(&tree.path("tree/late"))),
        _ => definition(mutator),
    }
}

pub(super) fn wrapper(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let options = addition(mutator, tree);
    let path = tree.path("tool/bin/gcc");
    tree::write_program(&path, &tree::wrapper(&options));
    Some(format!("{} adds {options}", shown(&path)))
}

/// The copied compiler is upgraded to itself, or to a script, or back.
pub(super) fn copied_compiler(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = tree.path("tool/rel/bin/gcc");
    if mutator.dice.chance(50) {
        let options = addition(mutator, tree);
        tree::write_program(&path, &tree::wrapper(&options));
        return Some(format!(
            "{} becomes a script that adds {options}",
            shown(&path)
        ));
    }
    let aside = path.with_extension("copy");
    fs::copy("/usr/bin/gcc", &aside).ok()?;
    fs::rename(&aside, &path).ok()?;
    Some(format!("{} becomes gcc", shown(&path)))
}

pub(super) fn specs(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = tree.path(SPECS);
    if path.exists() && mutator.dice.chance(40) {
        fs::remove_file(&path).ok()?;
        return Some(format!("delete {}", shown(&path)));
    }
    let (name, number) = (mutator.dice.below(VALUES), mutator.dice.below(3));
    fs::create_dir_all(path.parent()?).ok()?;
    fs::write(&path, format!("*cpp:\n+ -DV{name}={number}\n\n")).ok()?;
    Some(format!("{} defines V{name} as {number}", shown(&path)))
}

pub(super) fn response_file(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let (one, two) = (option(mutator), option(mutator));
    let path = tree.path("tree/opts.rsp");
    fs::write(&path, format!("-Igen {one} {two}\n")).ok()?;
    Some(format!("{} holds {one} {two}", shown(&path)))
}

pub(super) fn forced_header(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let path = tree.path(mutator.dice.name(&["tree/pre.h", "tree/mac.h"]));
    let size = fs::metadata(&path).ok().map(|found| found.len() as usize);
    let size = size.filter(|_| mutator.dice.chance(50));
    let text = mutator.text(&path, size);
    fs::write(&path, text).ok()?;
    Some(format!("rewrite {}", shown(&path)))
}

/// In the compiler's default directories below a sysroot: directories and headers come and go.
pub(super) fn default_directory(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let directory = *mutator.dice.pick(&[
        "tree/sr/usr-a/include",
        "tree/sr/usr-b/include",
        "tree/sr/usr-a/include/x86_64-linux-gnu",
        "tree/sr/usr-a/local/include",
    ]);
    let path = tree.path(directory);
    if mutator.dice.chance(20) {
        fs::remove_dir_all(&path).ok()?;
        return Some(format!("remove {}", shown(&path)));
    }
    fs::create_dir_all(&path).ok()?;
    let name = match mutator.dice.chance(15) {
        true => "stdc-predef.h".to_owned(),
        false => tree::header_name(&mut mutator.dice),
    };
    let path = path.join(name);
    let text = match path.ends_with("stdc-predef.h") {
        true => mutator.author.macros(&mut mutator.dice, None),
        false => mutator.text(&path, None),
    };
    fs::write(&path, text).ok()?;
    Some(format!("write {}", shown(&path)))
}

/// A source is generated anew, by temporary file and rename or in place.
pub(super) fn source(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let unit = mutator.dice.pick(&tree.units);
    let path = unit.cwd.join(Path::new(unit.words().last()?));
    let size = fs::metadata(&path).ok().map(|found| found.len() as usize);
    let size = size.filter(|_| mutator.dice.chance(50));
    let text = mutator.author.source(&mut mutator.dice, size);
    if mutator.dice.chance(50) {
        let aside = mutator.aside(&path);
        fs::write(&aside, text).ok()?;
        fs::rename(&aside, &path).ok()?;
        return Some(format!("generate {} by rename", shown(&path)));
    }
    fs::write(&path, text).ok()?;
    Some(format!("generate {}", shown(&path)))
}
