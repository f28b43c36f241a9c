//! What a server of the bundle dialect is told of a compile's surroundings: the compiler's names and identity, the directories
//! that are its own, and the variables that change what it writes.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use protocol::bundle::setting::Platform;

use crate::compiler::{LocatedCompiler, Probe};
use crate::facts::{End, NodeId, Session, Value};

/// Variables that a server's compiler is given. `SOURCE_DATE_EPOCH` is what `__DATE__` shows; the other two choose the language
/// and the quotation marks of diagnostics, which a user sees (objects do not depend on them: gcc and clang take
/// sources for UTF-8 in every locale).
const VARIABLES: [&str; 3] = ["SOURCE_DATE_EPOCH", "LANG", "LC_ALL"];

/// The platform of a compile. `name` is the compiler's name on the command line, `variable` gives the value of a variable.
pub fn platform<'e>(
    name: &[u8],
    compiler: &LocatedCompiler,
    identity: Vec<u8>,
    probe: &Probe,
    variable: impl Fn(&str) -> Option<&'e [u8]>,
    session: &mut Session<'_>,
) -> Platform {
    let called = memchr::memrchr(b'/', name).map_or(name, |slash| &name[slash + 1..]);
    let mut names = vec![called.to_vec()];
    let real = compiler.real.file_name().map(OsStrExt::as_bytes);
    names.extend(real.filter(|real| *real != called).map(<[u8]>::to_vec));
    let mut system_directories: Vec<Vec<u8>> = Vec::new();
    for directory in probe.bracket.iter().chain(&probe.missing) {
        if directory.is_absolute()
            && let Some(real) = real_path(session, directory)
            && !system_directories.contains(&real)
        {
            system_directories.push(real);
        }
    }
    let entry = |name: &&str| {
        let value = variable(name).filter(|value| !value.is_empty())?;
        Some([name.as_bytes(), b"=", value].concat())
    };
    Platform {
        names,
        identity,
        system_directories,
        environment: VARIABLES.iter().filter_map(entry).collect(),
    }
}

/// Where an absolute name leads, or would lead if there were directories where there is nothing yet: on a server there may be
/// some. The part that is there is followed as the kernel does, so that only `..` behind what is missing is taken as text. `None` for
/// the root, and for what cannot be followed.
fn real_path(session: &mut Session<'_>, name: &Path) -> Option<Vec<u8>> {
    let mut components: Vec<Component<'_>> = name.components().collect();
    let mut missing = Vec::new();
    loop {
        let prefix: PathBuf = components.iter().collect();
        let way = session.passage(NodeId::ROOT, prefix.as_os_str().as_bytes());
        if let End::At(node) = way.end
            && matches!(session.value(node), Value::Directory(..))
        {
            let mut real = PathBuf::from(std::ffi::OsStr::from_bytes(session.path(node)));
            for component in missing.into_iter().rev() {
                match component {
                    Component::ParentDir => drop(real.pop()),
                    component => real.push(component),
                }
            }
            let real = real.into_os_string();
            return (real != "/").then(|| real.as_bytes().to_vec());
        }
        if let End::Refused(_) = way.end {
            return None;
        }
        missing.push(components.pop()?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Facts, Freshness};

    #[test]
    fn missing_directories_have_a_place() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("lib/gcc/12")).unwrap();
        std::os::unix::fs::symlink("lib/gcc", root.join("link")).unwrap();
        let facts = Facts::new(Freshness::Stat).unwrap();
        let mut session = facts.session();
        let mut check = |name: &str, expected: Option<&str>| {
            let found = real_path(&mut session, &root.join(name));
            let expected = expected.map(|path| root.join(path).into_os_string());
            let expected = expected.map(|path| path.as_bytes().to_vec());
            assert_eq!(found, expected, "{name}");
        };
        check("lib/gcc/12", Some("lib/gcc/12"));
        check("lib/gcc/12/../../../x/include", Some("x/include"));
        // Through the link, `..` is in lib.
        check("link/../include", Some("lib/include"));
        check("none/../include", Some("include"));
        check("none/sub/../include", Some("none/include"));
        assert_eq!(real_path(&mut session, Path::new("/")), None);
        assert_eq!(
            real_path(&mut session, Path::new("/no/such")),
            Some(b"/no/such".to_vec())
        );
    }
}
