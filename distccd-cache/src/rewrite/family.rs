//! Which options keep a path out of a compiler's objects, asked of each compiler once. Owns the answers.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// What vouches for an answer: the compiler's device, inode, size, and times of modification and change.
type Identity = (u64, u64, u64, i64, i64);

/// The answers for all compilers asked so far.
#[derive(Debug, Default)]
pub(crate) struct Families {
    known: Mutex<HashMap<PathBuf, (Identity, bool)>>,
}

impl Families {
    /// The options that map `root` to nothing, for gcc from version 8 and clang from version 10 on. Older ones refuse
    /// them, and so the job.
    pub(crate) fn prefix_maps(&self, compiler: &Path, root: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut options = vec![[b"-ffile-prefix-map=", root, b"="].concat()];
        if self.normalises_paths(compiler)? {
            // As soon as there is a map, clang also takes "./" out of __FILE__, which then differs from the client's.
            options.push(b"-fno-file-reproducible".to_vec());
        }
        Ok(options)
    }

    /// Whether the compiler knows `-fno-file-reproducible` (clang does, from version 15 on).
    fn normalises_paths(&self, compiler: &Path) -> io::Result<bool> {
        let file = fs::metadata(compiler)?;
        let identity = (file.dev(), file.ino(), file.size(), file.mtime(), file.ctime());
        let lock = || self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((known, answer)) = lock().get(compiler) {
            if *known == identity {
                return Ok(*answer);
            }
        }
        let status = Command::new(compiler)
            .args(["-fno-file-reproducible", "-E", "-x", "c", "/dev/null"])
            .env_remove("CPATH")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        lock().insert(compiler.to_owned(), (identity, status.success()));
        Ok(status.success())
    }
}
