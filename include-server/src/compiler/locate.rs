//! Which program a compiler's name means. Owns no state beyond what its caller lends it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use dashmap::DashMap;
use rustix::fs::Access;
use toolchain::is_wrapper;

use super::CompilerError;
use crate::facts::{End, NodeId, Session};
use crate::files::{FileStamp, Status};

/// A compiler that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedCompiler {
    /// Where it was found: the name that was asked for, in a directory of `PATH`.
    pub path: PathBuf,
    /// The file behind all links.
    pub real: PathBuf,
}

/// Where paths led, and what stood there then.
pub(super) type Known = DashMap<PathBuf, (FileStamp, LocatedCompiler)>;

/// Finds the compiler `name`; `known` remembers which were programs.
pub(super) fn locate(
    name: &[u8],
    cwd: &Path,
    search: &[u8],
    known: &Known,
    session: &mut Session<'_>,
) -> Result<LocatedCompiler, CompilerError> {
    let not_found = || CompilerError::NotFound {
        name: String::from_utf8_lossy(name).into_owned(),
    };
    let name_path = Path::new(OsStr::from_bytes(name));
    if name.is_empty() {
        return Err(not_found());
    }
    if name.contains(&b'/') {
        let found = candidate(&cwd.join(name_path), known, session).ok_or_else(not_found)?;
        return match is_wrapper(&found.real) {
            true => Err(CompilerError::Wrapper { path: found.path }),
            false => Ok(found),
        };
    }
    search
        .split(|&byte| byte == b':')
        // An empty element of PATH is the working directory.
        .map(|directory| {
            cwd.join(Path::new(OsStr::from_bytes(directory)))
                .join(name_path)
        })
        .filter_map(|path| candidate(&path, known, session))
        .find(|found| !is_wrapper(&found.real))
        .ok_or_else(not_found)
}

/// The program at `path`, if there is one that may be executed.
fn candidate(path: &Path, known: &Known, session: &mut Session<'_>) -> Option<LocatedCompiler> {
    let located = session.locate(NodeId::ROOT, path.as_os_str().as_bytes());
    let (Status::Regular(stamp), End::At(node)) = (session.status(&located), located.end) else {
        return None;
    };
    let real = Path::new(OsStr::from_bytes(session.path(node)));
    if let Some(entry) = known.get(path)
        && entry.0 == stamp
        && entry.1.real == real
    {
        return Some(entry.1.clone());
    }
    rustix::fs::access(path, Access::EXEC_OK).ok()?;
    let found = LocatedCompiler {
        path: path.to_owned(),
        real: real.to_owned(),
    };
    known.insert(path.to_owned(), (stamp, found.clone()));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Facts, Freshness};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn program(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn masquerade_links_and_plain_files_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        program(&root.join("bin/distcc"));
        program(&root.join("real/gcc-99"));
        std::fs::create_dir_all(root.join("masquerade")).unwrap();
        std::fs::create_dir_all(root.join("plain")).unwrap();
        std::fs::create_dir_all(root.join("last/gcc")).unwrap();
        symlink("../bin/distcc", root.join("masquerade/gcc")).unwrap();
        std::fs::write(root.join("plain/gcc"), "not executable").unwrap();
        symlink("gcc-99", root.join("real/gcc")).unwrap();
        let known = DashMap::new();
        let facts = Facts::new(Freshness::Stat).unwrap();
        let locate = |name: &[u8], cwd: &Path, search: &[u8]| {
            locate(name, cwd, search, &known, &mut facts.session())
        };
        let search = format!(
            "{0}/none:{0}/masquerade:{0}/plain:{0}/last:real",
            root.display()
        );
        for _ in 0..2 {
            let found = locate(b"gcc", &root, search.as_bytes()).unwrap();
            assert_eq!(found.path, root.join("real/gcc"));
            assert_eq!(found.real, root.join("real/gcc-99"));
        }
        let found = locate(b"real/gcc-99", &root, b"").unwrap();
        assert_eq!(found.path, root.join("real/gcc-99"));
        assert!(matches!(
            locate(b"masquerade/gcc", &root, b""),
            Err(CompilerError::Wrapper { .. })
        ));
        for missing in ["gcc-98", "", "./gcc"] {
            assert!(matches!(
                locate(missing.as_bytes(), &root, search.as_bytes()),
                Err(CompilerError::NotFound { .. })
            ));
        }
    }

    #[test]
    fn a_retargeted_link_is_followed_anew() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        program(&root.join("a"));
        program(&root.join("b"));
        symlink("a", root.join("cc")).unwrap();
        let known = DashMap::new();
        let facts = Facts::new(Freshness::Stat).unwrap();
        let locate = |name: &[u8], cwd: &Path, search: &[u8]| {
            locate(name, cwd, search, &known, &mut facts.session())
        };
        let path = root.as_os_str().as_bytes().to_vec();
        assert_eq!(locate(b"cc", &root, &path).unwrap().real, root.join("a"));
        std::fs::remove_file(root.join("cc")).unwrap();
        symlink("b", root.join("cc")).unwrap();
        assert_eq!(locate(b"cc", &root, &path).unwrap().real, root.join("b"));
    }
}
