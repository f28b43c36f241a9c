//! What the compiler itself says that it reads, of the state in which it finds the tree.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::rule;
use super::tree::Unit;

/// The names that the compiler prints with `-M`, or its complaint.
pub fn ask(unit: &Unit) -> Result<BTreeSet<String>, String> {
    let words = unit.words();
    let output = Command::new(&words[0])
        .args(&words[1..])
        .arg("-M")
        .current_dir(&unit.cwd)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(rule::names(&String::from_utf8_lossy(&output.stdout))),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
