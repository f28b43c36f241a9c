//! The compiler's own directories: what is in them, the server has of its own.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::tree_path::TreePath;

use crate::entry::{Entry, Node};
use crate::facts::{End, Evidence, NodeId, Session, Value};

/// The directories as the compiler spells them, and where they were last.
#[derive(Debug, Default)]
pub struct SystemDirectories {
    directories: Vec<PathBuf>,
    /// With a slash at the end.
    spelled: Vec<Vec<u8>>,
    real: Mutex<Option<(Evidence, Arc<RealDirectories>)>>,
}

/// The real directories behind them; none below another.
#[derive(Debug, Default)]
pub(super) struct RealDirectories {
    pub(super) paths: Vec<Vec<u8>>,
    /// As a server is told of them.
    pub(super) entries: Vec<Arc<Entry>>,
}

impl RealDirectories {
    /// Whether a real path is one of them or below one.
    pub(super) fn hold(&self, real: &[u8]) -> bool {
        self.paths.iter().any(|directory| {
            real.strip_prefix(directory.as_slice())
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        })
    }
}

impl SystemDirectories {
    /// From the directories as the compiler lists them; relative ones do not count.
    pub fn new(listed: &[PathBuf]) -> Self {
        let absolute = listed.iter().filter(|path| path.is_absolute());
        let directories: Vec<PathBuf> = absolute.cloned().collect();
        Self {
            spelled: directories
                .iter()
                .map(|path| [path.as_os_str().as_bytes(), b"/"].concat())
                .collect(),
            directories,
            real: Mutex::default(),
        }
    }

    /// Where they are now; those that are not there do not count.
    pub(super) fn real(&self, session: &mut Session<'_>) -> Arc<RealDirectories> {
        let known = self
            .real
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((evidence, real)) = known
            && session.holds(&evidence)
        {
            return real;
        }
        let (mut found, evidence) = session.traced(|session| self.find(session));
        found.sort_by(|one, other| Path::new(one).cmp(Path::new(other)));
        let mut real = RealDirectories::default();
        for path in found {
            let bytes = path.as_os_str().as_bytes();
            // Sorted by components: whatever holds it came before it.
            if real.hold(bytes) {
                continue;
            }
            if let Ok(tree_path) = TreePath::new(bytes) {
                real.entries.push(Arc::new(Entry {
                    path: tree_path,
                    node: Node::System,
                }));
            }
            real.paths.push(bytes.to_vec());
        }
        let real = Arc::new(real);
        let mut kept = self.real.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((evidence, Arc::clone(&real)));
        real
    }

    fn find(&self, session: &mut Session<'_>) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for path in &self.directories {
            let way = session.passage(NodeId::ROOT, path.as_os_str().as_bytes());
            if let End::At(node) = way.end
                // A client's whole tree cannot be the server's own.
                && node != NodeId::ROOT
                && matches!(session.value(node), Value::Directory(..))
            {
                let real = std::ffi::OsStr::from_bytes(session.path(node));
                found.push(PathBuf::from(real));
            }
        }
        found
    }

    /// Whether the compiler came to `name` through a directory of its own and stayed in it, by the text alone.
    pub(super) fn holds(&self, name: &[u8]) -> bool {
        name.first() == Some(&b'/')
            && self.spelled.iter().any(|directory| {
                name.strip_prefix(directory.as_slice()).is_some_and(|rest| {
                    !rest
                        .split(|&byte| byte == b'/')
                        .any(|component| component == b"..")
                })
            })
    }
}
