//! Which options keep a path out of a compiler's objects, asked of each compiler once. Owns the answers.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use crate::child::{self, Launch, c_string, null_streams};
use crate::confinement::Confinement;

/// How long a compiler may take to preprocess an empty file; then it does not know the option.
const PATIENCE: Duration = Duration::from_secs(10);

/// What vouches for an answer: the compiler's device, inode, size, and times of modification and change.
type Identity = (u64, u64, u64, i64, i64);

/// The answers for all compilers asked so far.
#[derive(Debug, Default)]
pub(crate) struct Families {
    known: Mutex<HashMap<PathBuf, (Identity, bool)>>,
}

impl Families {
    /// The options that map `root` to nothing, for gcc from version 8 and clang from version 10 on. Older ones refuse
    /// them, and so the job. `words` are the client's.
    pub(crate) fn prefix_maps(
        &self,
        compiler: &Path,
        root: &[u8],
        words: &[Vec<u8>],
    ) -> io::Result<Vec<Vec<u8>>> {
        let mut options = vec![[b"-ffile-prefix-map=", root, b"="].concat()];
        let maps = |word: &Vec<u8>| {
            word.starts_with(b"-ffile-prefix-map=") || word.starts_with(b"-fmacro-prefix-map=")
        };
        if !words.iter().any(maps) && self.normalises_paths(compiler)? {
            // As soon as there is a map, clang also takes "./" out of __FILE__; at the client, without one, it does not.
            options.push(b"-fno-file-reproducible".to_vec());
        }
        Ok(options)
    }

    /// Whether the compiler knows `-fno-file-reproducible` (clang does, from version 15 on).
    fn normalises_paths(&self, compiler: &Path) -> io::Result<bool> {
        let Ok(file) = fs::metadata(compiler) else {
            return Ok(false);
        };
        let identity = (
            file.dev(),
            file.ino(),
            file.size(),
            file.mtime(),
            file.ctime(),
        );
        let lock = || {
            self.known
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        if let Some((known, answer)) = lock().get(compiler)
            && *known == identity
        {
            return Ok(*answer);
        }
        let words = ["-fno-file-reproducible", "-E", "-x", "c", "/dev/null"];
        let name = c_string(compiler.as_os_str().to_owned())?;
        let argv = std::iter::once(Ok(name.clone()))
            .chain(words.iter().map(|word| c_string((*word).into())));
        let launch = Launch {
            program: name,
            argv: argv.collect::<io::Result<_>>()?,
            environment: vec![c"PATH=/usr/local/bin:/usr/bin:/bin".into()],
            cwd: c"/".into(),
            streams: null_streams()?,
            nice: 0,
            new_root: None,
            // Its words are ours, and it reads nothing of a client's.
            confinement: Confinement::default(),
        };
        let answer = match child::start(&launch) {
            Ok(mut child) => child
                .reap_within(PATIENCE)
                .is_some_and(|(status, _)| status.success()),
            // That it cannot be run is for the job to say.
            Err(_) => return Ok(false),
        };
        lock().insert(compiler.to_owned(), (identity, answer));
        Ok(answer)
    }
}
