//! One answer beside the compiler's, and beside the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::reference;
use super::tree::Unit;
use super::witness::{Mode, Testimony, Witness};

/// What came of one comparison.
pub enum Outcome {
    /// Both know the same files, which hold what they hold.
    Same {
        /// The real paths of the client's files, sorted.
        files: Vec<PathBuf>,
    },
    /// The compiler fails, and there is no answer.
    BothFail,
    /// The compiler reads files, and there is no answer: why.
    Declined(String),
    /// A stale or wrong answer: what is wrong.
    Different(String),
}

/// Asks both about the tree as it is; and a witness without memories when only the include server has a doubt.
pub fn compare(unit: &Unit, witness: &Witness, with_stock: bool) -> Outcome {
    let query = unit.query();
    let told = witness.ask(&query);
    let stock = with_stock.then(|| witness.ask_stock(&query));
    let truth = reference::ask(unit);
    match (truth, told) {
        (Err(_), Err(_)) => Outcome::BothFail,
        (Ok(_), Err(why)) => match Witness::direct(Mode::Stat).ask(&query) {
            Err(_) => Outcome::Declined(why),
            Ok(_) => Outcome::Different(format!(
                "only a new include server answers; this one says: {why}"
            )),
        },
        (Err(complaint), Ok(told)) => Outcome::Different(format!(
            "the compiler fails and the include server does not\n{complaint}\nits files: {:#?}",
            told.names
        )),
        (Ok(truth), Ok(told)) => match judge(unit, &truth, &told, stock).and_then(|files| {
            let offered = witness.offer(&query, &truth, &told.absent);
            offered.map_err(|what| format!("as a manifest: {what}"))?;
            Ok(files)
        }) {
            Ok(files) => Outcome::Same { files },
            Err(what) => Outcome::Different(format!(
                "{what}\nthe compiler: {truth:#?}\nthe include server: {:#?}\nlinks: {:#?}",
                told.names, told.links
            )),
        },
    }
}

fn judge(
    unit: &Unit,
    truth: &BTreeSet<String>,
    told: &Testimony,
    stock: Option<Vec<(PathBuf, Vec<u8>)>>,
) -> Result<Vec<PathBuf>, String> {
    if let Some(names) = &told.names
        && names != truth
    {
        let missing: Vec<_> = truth.difference(names).collect();
        let extra: Vec<_> = names.difference(truth).collect();
        return Err(format!(
            "other files: missing {missing:?}, too many {extra:?}"
        ));
    }
    for (name, text) in &told.texts {
        same_text(&unit.cwd.join(name), text)?;
    }
    for name in &told.absent {
        if fs::metadata(unit.cwd.join(name)).is_ok_and(|found| found.is_file()) {
            return Err(format!("{} is there, said to be absent", name.display()));
        }
    }
    let mut files = BTreeMap::new();
    for (path, text) in &told.files {
        if fs::canonicalize(path).ok().as_ref() != Some(path) {
            return Err(format!("{} is no real path", path.display()));
        }
        same_text(path, text)?;
        files.insert(path.clone(), text);
    }
    for (path, target) in &told.links {
        let real = fs::read_link(path).map_err(|error| {
            format!(
                "{} is no link on disk ({error}), said to lead to {}",
                path.display(),
                target.display()
            )
        })?;
        if real != *target && fs::canonicalize(path).ok().as_ref() != Some(target) {
            return Err(format!(
                "{} leads to {}, said to lead to {}",
                path.display(),
                real.display(),
                target.display()
            ));
        }
    }
    for path in &told.directories {
        if !fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
            return Err(format!("{} is no directory on disk", path.display()));
        }
    }
    for path in &told.system {
        if fs::canonicalize(path).ok().as_ref() != Some(path) {
            return Err(format!(
                "{} is no real path of a system directory",
                path.display()
            ));
        }
    }
    reachable(unit, truth, told, &files)?;
    if let Some(stock) = stock {
        for (path, text) in stock {
            same_text(&path, &text).map_err(|what| format!("in stock's mirror: {what}"))?;
        }
    }
    Ok(files.into_keys().collect())
}

fn same_text(path: &Path, text: &[u8]) -> Result<(), String> {
    match fs::read(path) {
        Ok(real) if real == text => Ok(()),
        Ok(real) => Err(format!(
            "{} holds\n{}\nand not\n{}\n{:?}",
            path.display(),
            String::from_utf8_lossy(&real),
            String::from_utf8_lossy(text),
            fs::metadata(path).map(|found| (found.ino(), found.mtime(), found.mtime_nsec()))
        )),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Whether every file that the compiler reads is among the server's files, and every link on the way to it.
fn reachable(
    unit: &Unit,
    truth: &BTreeSet<String>,
    told: &Testimony,
    files: &BTreeMap<PathBuf, &Vec<u8>>,
) -> Result<(), String> {
    let links: BTreeSet<&PathBuf> = told.links.iter().map(|(path, _)| path).collect();
    for name in truth {
        let spelled = unit.cwd.join(name);
        let Ok(real) = fs::canonicalize(&spelled) else {
            return Err(format!("{name} went away"));
        };
        // What a directory of the server's own holds is the server's, wherever links in it lead.
        let of_server = |system: &PathBuf| real.starts_with(system) || spelled.starts_with(system);
        if told.system.iter().any(of_server) {
            continue;
        }
        if !files.contains_key(&real) {
            return Err(format!("{} is not sent", real.display()));
        }
        if let Some(link) = links_on_the_way(&spelled)
            .into_iter()
            .find(|link| !links.contains(link))
        {
            return Err(format!(
                "{} is not sent, on the way to {name}",
                link.display()
            ));
        }
    }
    Ok(())
}

/// The links that the kernel follows from a name to its file, at their real paths.
fn links_on_the_way(name: &Path) -> Vec<PathBuf> {
    let mut links = Vec::new();
    let mut real = PathBuf::from("/");
    let mut todo: Vec<PathBuf> = vec![name.to_owned()];
    while let Some(path) = todo.pop() {
        let mut components = path.components();
        let Some(first) = components.next() else {
            continue;
        };
        todo.push(components.as_path().to_owned());
        match first {
            Component::RootDir => real = PathBuf::from("/"),
            Component::ParentDir => {
                real.pop();
            }
            Component::Normal(step) => {
                let next = real.join(step);
                match fs::read_link(&next) {
                    Ok(target) if links.len() < 64 => {
                        links.push(next);
                        todo.push(target);
                    }
                    _ => real = next,
                }
            }
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    links
}
