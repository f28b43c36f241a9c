//! Where the masquerade directory stands. Owns no state; the directories it makes are kept from session to session.
//!
//! CMake and its like write a compiler's whole path into the build directory, so the path has to hold when the session
//! is over: a build that was configured in one session goes on in the next, and without any. So there is one directory
//! for each set of links, named by a digest of them, in the user's cache. What is in front of `PATH` decides what runs, so
//! it is used only where nobody else can write; otherwise the links stand in the session's own directory, and a path
//! into it ends with the session.

use super::environment::Environment;
use super::masquerade::{DIRECTORY, Survey};
use std::fs::{DirBuilder, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A directory with the links of `survey` to `distcc`, made if it is not there; `in_session` where the user's cache
/// will not do.
///
/// # Errors
/// When not even the session's directory can be made.
pub fn directory(
    environment: &Environment,
    survey: &Survey,
    distcc: &Path,
    in_session: &Path,
) -> io::Result<PathBuf> {
    if let Some(family) = family(environment)
        && let Ok(lasting) = lasting(&family, survey, distcc)
    {
        return Ok(lasting);
    }
    survey.create(in_session, distcc)?;
    Ok(in_session.to_owned())
}

fn family(environment: &Environment) -> Option<PathBuf> {
    let cache = environment.cache_home.clone();
    let cache = cache.or_else(|| Some(environment.home.as_ref()?.join(".cache")))?;
    // The client would look for a relative one in each directory anew.
    let absolute = cache.is_absolute();
    absolute.then(|| cache.join("pumphouse").join(DIRECTORY))
}

fn lasting(family: &Path, survey: &Survey, distcc: &Path) -> io::Result<PathBuf> {
    make_ours(family)?;
    let mut digest = DefaultHasher::new();
    (distcc, &survey.names).hash(&mut digest);
    let path = family.join(format!("{:016x}", digest.finish()));
    if !path.exists() {
        let fresh = tempfile::Builder::new().prefix("new-").tempdir_in(family)?;
        let made = fresh.path().join("links");
        survey.create(&made, distcc)?;
        // Another session may have been first; then its directory is as good.
        let _ = std::fs::rename(made, &path);
    }
    let is_ours = |path: &Path| std::fs::symlink_metadata(path).map(|it| is_kept_from(&it, 0o022));
    let right = is_ours(family)? && is_ours(&path)? && survey.is_in(&path, distcc)?;
    right
        .then_some(path)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Makes a directory and those above it, as far as the first that is there, which has to be this user's.
fn make_ours(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        // A home whose group is the user's own is as good.
        Ok(there) if is_kept_from(&there, 0o002) => Ok(()),
        Ok(_) => Err(io::ErrorKind::PermissionDenied.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_ours(path.parent().ok_or(io::ErrorKind::NotFound)?)?;
            match DirBuilder::new().mode(0o755).create(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        }
        Err(error) => Err(error),
    }
}

/// A directory of this user's that none of these others can write to.
fn is_kept_from(there: &Metadata, others: u32) -> bool {
    let owner = rustix::process::geteuid().as_raw();
    there.is_dir() && there.uid() == owner && there.mode() & others == 0
}

#[cfg(test)]
mod tests {
    use super::super::masquerade::is_lasting;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn user(home: &Path) -> Environment {
        Environment {
            home: Some(home.to_owned()),
            ..Environment::default()
        }
    }

    fn offering(name: &str) -> Survey {
        let mut survey = Survey::default();
        survey.names.insert(name.into());
        survey
    }

    #[test]
    fn the_same_links_have_the_same_place_and_others_another() {
        let home = tempfile::tempdir().unwrap();
        let place = |name: &str, distcc: &str| {
            let session = home.path().join(format!("session-{name}"));
            let (environment, survey) = (user(home.path()), offering(name));
            directory(&environment, &survey, Path::new(distcc), &session).unwrap()
        };
        let first = place("gcc", "/bin/distcc");
        assert!(is_lasting(&first), "{}", first.display());
        assert!(first.starts_with(home.path().join(".cache/pumphouse/masquerade")));
        assert_eq!(place("gcc", "/bin/distcc"), first);
        assert_ne!(place("clang", "/bin/distcc"), first);
        assert_ne!(place("gcc", "/opt/distcc"), first);
        let link = std::fs::read_link(first.join("gcc")).unwrap();
        assert_eq!(link, Path::new("/bin/distcc"));
        // What somebody put there is not put in front of PATH.
        std::fs::write(first.join("make"), "").unwrap();
        assert_eq!(place("gcc", "/bin/distcc"), home.path().join("session-gcc"));
    }

    #[test]
    fn a_cache_that_others_can_write_to_is_not_used() {
        let home = tempfile::tempdir().unwrap();
        let family = home.path().join(".cache/pumphouse/masquerade");
        std::fs::create_dir_all(&family).unwrap();
        let session = home.path().join("session");
        let survey = offering("gcc");
        let distcc = Path::new("/bin/distcc");
        for mode in [0o777, 0o775] {
            std::fs::set_permissions(&family, std::fs::Permissions::from_mode(mode)).unwrap();
            let place = directory(&user(home.path()), &survey, distcc, &session).unwrap();
            assert_eq!(place, session, "{mode:o}");
            std::fs::remove_dir_all(&session).unwrap();
        }
        let nobodys = Environment::default();
        assert_eq!(
            directory(&nobodys, &survey, distcc, &session).unwrap(),
            session
        );
        assert!(!is_lasting(&session));
    }
}
