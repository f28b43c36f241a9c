//! What a bundle job's compiler may have read: what its manifest names. Owns that list, and the job's stay in its grove.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use protocol::bundle::indices::Indices;

use crate::grove::Tenancy;
use crate::refusal::JobError;
use crate::tree::{Tree, parent_of};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct ManifestReads {
    /// The job's grove, if it has one.
    pub(crate) tenancy: Option<Tenancy>,
    /// Entries of the table that the job uses.
    pub(crate) used: Arc<Indices>,
    /// Files of this machine that were found to be the client's; for the rewriting view, which does not write them.
    pub(crate) own_copies: HashSet<Vec<u8>>,
    /// The client asked for the dependency file.
    pub(crate) listed_for_client: bool,
}

/// Where a name in a dependency file is.
pub(crate) enum Named<'a> {
    /// At this path of the client's, which may go through links.
    Client(Cow<'a, [u8]>),
    /// On this machine, in the rewriting view.
    Server(Cow<'a, [u8]>),
}

impl ManifestReads {
    /// Compares a list of what was read with the manifest.
    ///
    /// # Errors
    /// [`JobError::UnexpectedFile`] for the first file that the manifest does not name.
    pub(crate) fn check<'a>(
        &self,
        tree: &Tree,
        names: impl Iterator<Item = Named<'a>>,
    ) -> Result<(), JobError> {
        match &self.tenancy {
            None => self.check_with(tree, names, &|_| None),
            Some(tenancy) => tenancy.look(|file| self.check_with(tree, names, file)),
        }
    }

    fn check_with<'a>(
        &self,
        tree: &Tree,
        names: impl Iterator<Item = Named<'a>>,
        file: &dyn Fn(&[u8]) -> Option<u32>,
    ) -> Result<(), JobError> {
        let named = |path: &[u8]| {
            // Most are the table's.
            file(path).is_some_and(|index| self.used.contains(index)) || tree.has_file(path)
        };
        // Most of what is read lies in a few directories.
        let mut directories: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for name in names {
            let path = match name {
                Named::Client(path) => path,
                Named::Server(path) if self.is_own_copy(&path) => continue,
                Named::Server(path) => return Err(unexpected(&path)),
            };
            if named(&path) || *path == *b"/dev/null" {
                continue;
            }
            let dir = parent_of(&path);
            let base = &path[path.iter().rposition(|&b| b == b'/').unwrap_or(0)..];
            let real = match directories.get(dir) {
                Some(real) => real,
                None => {
                    let real = tree.resolve(dir)?;
                    directories.entry(dir.to_vec()).or_insert(real)
                }
            };
            let joined = match real.as_slice() {
                b"/" => base.to_vec(),
                dir => [dir, base].concat(),
            };
            if !named(&joined) && !named(&tree.resolve(&path)?) {
                return Err(unexpected(&path));
            }
        }
        Ok(())
    }

    fn is_own_copy(&self, path: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let real = std::fs::canonicalize(std::ffi::OsStr::from_bytes(path));
        path == b"/dev/null"
            || self.own_copies.contains(path)
            || real.is_ok_and(|real| self.own_copies.contains(real.as_os_str().as_bytes()))
    }
}

fn unexpected(path: &[u8]) -> JobError {
    JobError::UnexpectedFile(String::from_utf8_lossy(path).into_owned())
}
