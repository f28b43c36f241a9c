//! The only name a received file may have.

use std::fmt;

/// Why a path from a peer is not a [`TreePath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreePathError {
    /// It does not start with `/`.
    #[error("a file's path must be absolute")]
    NotAbsolute,
    /// It has a `..` component, which could leave the tree.
    #[error("a file's path must not contain '..'")]
    ParentComponent,
    /// It has a NUL byte, which the kernel would take for its end.
    #[error("a file's path must not contain a NUL byte")]
    NulByte,
    /// It names the root itself.
    #[error("a file's path must name something below the root")]
    Root,
    /// It is longer than `PATH_MAX` or has a component longer than `NAME_MAX`.
    #[error("a file's path is too long")]
    TooLong,
}

/// A path of a client's file: absolute, without `.` or `..` or empty components, without NUL, below one root.
///
/// Invariant: `as_bytes` is `/` followed by components joined by single slashes; none is `.` or `..`. Joining it below
/// any directory stays below that directory as long as no link on the way leads out (which is the opener's care).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// Longest path, as Linux's `PATH_MAX` (which counts the final NUL).
    pub const MAX_BYTES: usize = 4095;
    /// Longest component, as Linux's `NAME_MAX`.
    pub const MAX_COMPONENT_BYTES: usize = 255;

    /// Checks and normalises a path: doubled slashes and `.` components, which mean nothing, are dropped.
    ///
    /// # Errors
    /// See [`TreePathError`].
    pub fn new(path: &[u8]) -> Result<Self, TreePathError> {
        if path.first() != Some(&b'/') {
            return Err(TreePathError::NotAbsolute);
        }
        if path.contains(&0) {
            return Err(TreePathError::NulByte);
        }
        if path.len() > Self::MAX_BYTES {
            return Err(TreePathError::TooLong);
        }
        let mut clean = Vec::with_capacity(path.len());
        for component in path.split(|&b| b == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(TreePathError::ParentComponent),
                _ if component.len() > Self::MAX_COMPONENT_BYTES => {
                    return Err(TreePathError::TooLong);
                }
                _ => {
                    clean.push(b'/');
                    clean.extend_from_slice(component);
                }
            }
        }
        if clean.is_empty() {
            return Err(TreePathError::Root);
        }
        Ok(Self(clean))
    }

    /// The whole path, with its leading slash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path without its leading slash: ready to be joined below a directory.
    #[must_use]
    pub fn relative(&self) -> &[u8] {
        &self.0[1..]
    }

    /// The components, outermost first; never empty.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.relative().split(|&b| b == b'/')
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        let start = self
            .0
            .iter()
            .rposition(|&b| b == b'/')
            .map_or(0, |slash| slash + 1);
        &self.0[start..]
    }

    /// The directory above, or `None` when that is the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self.0.iter().rposition(|&b| b == b'/') {
            None | Some(0) => None,
            Some(slash) => Some(Self(self.0[..slash].to_vec())),
        }
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_or_refused() {
        let ok = |s: &str| TreePath::new(s.as_bytes()).map(|p| p.to_string());
        assert_eq!(ok("//home/./u//a.h/"), Ok("/home/u/a.h".into()));
        assert_eq!(ok("home/a.h"), Err(TreePathError::NotAbsolute));
        assert_eq!(ok(""), Err(TreePathError::NotAbsolute));
        assert_eq!(ok("/a/../b"), Err(TreePathError::ParentComponent));
        assert_eq!(ok("/.."), Err(TreePathError::ParentComponent));
        assert_eq!(ok("/a\0b"), Err(TreePathError::NulByte));
        assert_eq!(ok("/./"), Err(TreePathError::Root));
        assert_eq!(
            ok(&format!("/{}", "x".repeat(256))),
            Err(TreePathError::TooLong)
        );
        assert_eq!(ok(&"/x".repeat(3000)), Err(TreePathError::TooLong));
        assert_eq!(ok("/...").as_deref(), Ok("/..."));
    }

    #[test]
    fn parts_of_a_path() {
        let path = TreePath::new(b"/home/u/a.h").unwrap();
        assert_eq!(path.file_name(), b"a.h");
        assert_eq!(path.parent().unwrap().as_bytes(), b"/home/u");
        assert_eq!(path.components().count(), 3);
        assert_eq!(TreePath::new(b"/top").unwrap().parent(), None);
    }
}
