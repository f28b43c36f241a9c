//! What is compiled: trees of sources, each with what the local compiler makes of them. Owns a tree.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;

/// Units of a tree; every sixth is C++.
pub(crate) const UNITS: u64 = 18;

/// Headers of a tree.
const HEADERS: u64 = 40;

/// A directory that every user may enter and write: the daemon is another when root starts it.
pub(crate) fn everybodys(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777))?;
    Ok(())
}

/// A unit of the tree.
pub(crate) struct Unit {
    /// Its source, without a directory.
    pub(crate) source: String,
    pub(crate) compiler: &'static str,
    /// The local object without and with debug information.
    pub(crate) objects: [Vec<u8>; 2],
}

/// One state of the project. Trees differ in what all headers hold.
pub(crate) struct Epoch {
    pub(crate) dir: PathBuf,
    pub(crate) units: Vec<Unit>,
}

impl Epoch {
    /// Writes a tree and compiles it here.
    pub(crate) fn new(above: &Path, number: u64) -> Result<Self, Failure> {
        let dir = above.join(format!("tree-{number}"));
        fs::create_dir_all(dir.join("include"))?;
        for header in 0..HEADERS {
            let padding = format!("/* {number} */\n").repeat(40 + header as usize);
            let next = match header + 1 < HEADERS && header % 3 != 0 {
                true => format!("#include \"h{}.h\"\n", header + 1),
                false => String::new(),
            };
            let text = format!(
                "#ifndef H{header}\n#define H{header} {}\n{next}{padding}#endif\n",
                number * 1000 + header
            );
            fs::write(dir.join(format!("include/h{header}.h")), text)?;
        }
        fs::write(
            dir.join("bad.c"),
            "#include \"include/h1.h\"\nint broken( { return H1 }\n",
        )?;
        let mut units = Vec::new();
        for unit in 0..UNITS {
            let is_cpp = unit % 6 == 5;
            let (suffix, compiler) = if is_cpp { ("cc", "g++") } else { ("c", "gcc") };
            let source = format!("u{unit}.{suffix}");
            let first = unit * 2 % HEADERS;
            let system = if is_cpp { "vector" } else { "stdlib.h" };
            let mut text = format!("#include <{system}>\n#include \"include/h{first}.h\"\n");
            for function in 0..unit * 3 + 3 {
                text += &format!(
                    "int f{unit}_{function}(int x) {{ return x * {function} + H{first}; }}\n"
                );
            }
            fs::write(dir.join(&source), text)?;
            let objects = [
                compile(&dir, compiler, &source, &[])?,
                compile(&dir, compiler, &source, &["-g"])?,
            ];
            units.push(Unit {
                source,
                compiler,
                objects,
            });
        }
        Ok(Self { dir, units })
    }
}

/// The local compiler's object.
fn compile(dir: &Path, compiler: &str, source: &str, words: &[&str]) -> Result<Vec<u8>, Failure> {
    let object = dir.join("local.o");
    let output = Command::new(compiler)
        .args(["-O1", "-c", source, "-o"])
        .arg("local.o")
        .args(words)
        .current_dir(dir)
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{compiler} {source}: {text}").into());
    }
    Ok(fs::read(object)?)
}
