//! Which compilers a client may name, and which program each name stands for (CVE-2004-2687). Owns the rule in force;
//! the directories are looked at for every job, so that `update-distcc-symlinks` takes effect at once.
//!
//! A name is allowed when one of the whitelist directories has an executable entry of that name. The entry only decides;
//! it usually is a masquerade link to `distcc` itself, so the compiler is then looked for in the search path, where such
//! links are passed over.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The directories whose entries are allowed, unless the environment names others.
const DIRECTORIES: &[&str] = match option_env!("PUMPHOUSE_LIBDIR_DISTCC") {
    Some(libdir) => &[libdir, "/usr/lib/distcc"],
    None => &["/usr/lib/distcc"],
};

/// The search path when the environment has none.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What decides whether a name is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// Everything is (`--enable-tcp-insecure`).
    Open,
    /// What these directories have an entry for.
    Directories(Vec<PathBuf>),
    /// What this list has (`DISTCC_CMDLIST`): entries, and how many last components must be equal.
    List { entries: Vec<Vec<u8>>, words: usize },
}

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WhitelistError {
    /// No directory has an entry.
    #[error(
        "no compiler is allowed: {} missing or empty; run update-distcc-symlinks, or list compilers in a file named by \
         DISTCC_CMDLIST, or allow everything to everybody with --enable-tcp-insecure",
        .0.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NothingAllowed(Vec<PathBuf>),
    /// The list cannot be read.
    #[error("cannot read the list of compilers {} (DISTCC_CMDLIST): {source}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Why a compiler is not run. The client is told nothing, as stock does, except in the last case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompilerRefusal {
    /// A path where only a name is allowed.
    #[error("compiler name {} cannot be an absolute path (or must set DISTCC_CMDLIST or pass --enable-tcp-insecure)", show(.0))]
    IsPath(Vec<u8>),
    /// Not on the list, or nothing of that name in the directories.
    #[error("compiler {} is not in the whitelist; run update-distcc-symlinks if it should be", show(.0))]
    NotListed(Vec<u8>),
    /// Allowed, but not installed. The client is told so by exit code 110 and stock's first words.
    #[error("failed to exec {}: allowed, but not in this server's search path", show(.0))]
    NotInstalled(Vec<u8>),
}

fn show(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

/// The compilers that clients may name.
#[derive(Clone, Debug)]
pub struct Whitelist {
    rule: Rule,
    search_path: OsString,
}

impl Whitelist {
    /// Whatever a client names, looked for in `search_path`.
    #[must_use]
    pub fn open(search_path: Option<OsString>) -> Self {
        Self::new(Rule::Open, search_path)
    }

    /// What the directories (separated by colons; `None`: the built-in ones) have entries for.
    ///
    /// # Errors
    /// [`WhitelistError::NothingAllowed`].
    pub fn directories(
        directories: Option<&OsStr>,
        search_path: Option<OsString>,
    ) -> Result<Self, WhitelistError> {
        let directories: Vec<PathBuf> = match directories {
            Some(list) => std::env::split_paths(list)
                .filter(|dir| dir.is_absolute())
                .collect(),
            None => DIRECTORIES.iter().map(PathBuf::from).collect(),
        };
        let has_entry = |dir: &PathBuf| {
            std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
        };
        if !directories.iter().any(has_entry) {
            return Err(WhitelistError::NothingAllowed(directories));
        }
        Ok(Self::new(Rule::Directories(directories), search_path))
    }

    /// What the file has a line for; a request and a line are the same when their last `words` components are.
    ///
    /// # Errors
    /// [`WhitelistError::List`].
    pub fn list(
        path: &Path,
        words: usize,
        search_path: Option<OsString>,
    ) -> Result<Self, WhitelistError> {
        let text = std::fs::read(path).map_err(|source| WhitelistError::List {
            path: path.to_owned(),
            source,
        })?;
        let entries = text
            .split(|&b| b == b'\n')
            .map(|line| line.trim_ascii().to_vec())
            .filter(|line| !line.is_empty())
            .collect();
        Ok(Self::new(Rule::List { entries, words }, search_path))
    }

    fn new(rule: Rule, search_path: Option<OsString>) -> Self {
        Self {
            rule,
            search_path: search_path.unwrap_or_else(|| DEFAULT_PATH.into()),
        }
    }

    /// Whether clients may run whatever they name.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.rule == Rule::Open
    }

    /// A line for the log.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.rule {
            Rule::Open => "clients may run any program here (--enable-tcp-insecure)".to_owned(),
            Rule::Directories(dirs) => {
                let dirs: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
                format!(
                    "clients may run the compilers named in {}",
                    dirs.join(" and ")
                )
            }
            Rule::List { entries, .. } => {
                format!(
                    "clients may run the {} compilers of DISTCC_CMDLIST",
                    entries.len()
                )
            }
        }
    }

    /// The program to run when a client names `name` as its compiler.
    ///
    /// # Errors
    /// See [`CompilerRefusal`].
    pub fn admit(&self, name: &[u8]) -> Result<PathBuf, CompilerRefusal> {
        let not_listed = || CompilerRefusal::NotListed(name.to_vec());
        let program: &[u8] = match &self.rule {
            Rule::Open => name,
            Rule::List { entries, words } => entries
                .iter()
                .find(|entry| last_words(entry, *words) == last_words(name, *words))
                .ok_or_else(not_listed)?,
            Rule::Directories(directories) => {
                let entry = without_bin(name);
                if entry.contains(&b'/') {
                    return Err(CompilerRefusal::IsPath(name.to_vec()));
                }
                let allows = |dir: &PathBuf| is_program(&dir.join(OsStr::from_bytes(entry)));
                if entry.contains(&0) || !directories.iter().any(allows) {
                    return Err(not_listed());
                }
                name
            }
        };
        self.find(program)
            .ok_or_else(|| CompilerRefusal::NotInstalled(name.to_vec()))
    }

    /// The file of this program. A path must be absolute: a relative one could name a file of the client's.
    fn find(&self, program: &[u8]) -> Option<PathBuf> {
        let program = Path::new(OsStr::from_bytes(program));
        if program.as_os_str().is_empty() || program.as_os_str().as_bytes().contains(&0) {
            return None;
        }
        if program.as_os_str().as_bytes().contains(&b'/') {
            return (program.is_absolute() && is_program(program)).then(|| program.to_owned());
        }
        std::env::split_paths(&self.search_path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(program))
            .find(|candidate| is_program(candidate) && !is_masquerade(candidate))
    }
}

/// A regular file that this process may execute.
fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// A link under a compiler's name that leads to a distcc client.
fn is_masquerade(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|real| {
        real.file_name() == Some(OsStr::new("distcc")) && path.file_name() != real.file_name()
    })
}

/// The name without a leading `/bin/` or `/usr/bin/`, in whatever case.
fn without_bin(name: &[u8]) -> &[u8] {
    for prefix in [b"/bin/".as_slice(), b"/usr/bin/"] {
        if let Some((head, rest)) = name.split_at_checked(prefix.len())
            && head.eq_ignore_ascii_case(prefix)
        {
            return rest;
        }
    }
    name
}

/// The last `words` components of a path; all of it when there are fewer.
fn last_words(path: &[u8], words: usize) -> &[u8] {
    let slashes = path.iter().enumerate().rev().filter(|&(_, &b)| b == b'/');
    match slashes.map(|(index, _)| index).nth(words.saturating_sub(1)) {
        Some(slash) => &path[slash + 1..],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    /// A place with a whitelist `w`, a search path `m:p` of masquerade links and compilers, and `distcc` itself.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path();
            for name in ["w", "m", "p", "d", "w/directory", "empty"] {
                fs::create_dir(root.join(name)).unwrap();
            }
            for (name, mode) in [
                ("d/distcc", 0o755),
                ("p/gcc", 0o755),
                ("p/cc", 0o755),
                ("p/evil", 0o755),
                ("p/plain", 0o644),
                ("w/absent", 0o755),
                ("w/locked", 0o644),
                ("w/plain", 0o755),
            ] {
                fs::write(root.join(name), "#!/bin/sh\n").unwrap();
                fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
            }
            for name in ["w/gcc", "m/gcc", "w/cc"] {
                symlink(root.join("d/distcc"), root.join(name)).unwrap();
            }
            symlink(root.join("nowhere"), root.join("w/dangling")).unwrap();
            Self(dir)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn search_path(&self) -> Option<OsString> {
            Some(std::env::join_paths([self.path("m"), self.path("p")]).unwrap())
        }

        fn directories(&self) -> Whitelist {
            let list = self.path("w");
            Whitelist::directories(Some(list.as_os_str()), self.search_path()).unwrap()
        }
    }

    #[test]
    fn an_entry_decides_and_the_search_path_names_the_program() {
        let place = Place::new();
        let whitelist = place.directories();
        assert_eq!(whitelist.admit(b"gcc"), Ok(place.path("p/gcc")));
        assert_eq!(whitelist.admit(b"cc"), Ok(place.path("p/cc")));
        let missing = |name: &[u8]| Err(CompilerRefusal::NotInstalled(name.to_vec()));
        assert_eq!(whitelist.admit(b"absent"), missing(b"absent"));
        assert_eq!(whitelist.admit(b"plain"), missing(b"plain"));
    }

    #[test]
    fn what_has_no_executable_entry_is_refused() {
        let place = Place::new();
        let whitelist = place.directories();
        for name in [
            "evil",
            "dangling",
            "directory",
            "locked",
            "",
            ".",
            "..",
            "/bin/",
            "/usr/bin/evil",
            "gcc\0",
        ] {
            // Root may execute no file without an x bit either.
            let refused = Err(CompilerRefusal::NotListed(name.as_bytes().to_vec()));
            assert_eq!(whitelist.admit(name.as_bytes()), refused, "{name:?}");
        }
    }

    #[test]
    fn paths_are_refused_except_in_bin() {
        let place = Place::new();
        let whitelist = place.directories();
        let evil = place.path("p/evil").into_os_string().into_vec();
        for name in [
            evil.as_slice(),
            b"./gcc",
            b"../p/evil",
            b"/bin/../x/gcc",
            b"/sbin/gcc",
            b"/usr/bin/x/gcc",
        ] {
            assert_eq!(
                whitelist.admit(name),
                Err(CompilerRefusal::IsPath(name.to_vec()))
            );
        }
        // Allowed by the entry `gcc`; what runs is the file that was named.
        if Path::new("/usr/bin/gcc").exists() {
            assert_eq!(
                whitelist.admit(b"/usr/bin/gcc"),
                Ok(PathBuf::from("/usr/bin/gcc"))
            );
        }
        assert_eq!(without_bin(b"/USR/bin/gcc"), b"gcc");
        assert_eq!(without_bin(b"/Bin/gcc"), b"gcc");
    }

    #[test]
    fn nothing_allowed_is_an_error_at_start() {
        let place = Place::new();
        let both = std::env::join_paths([place.path("empty"), place.path("nowhere")]).unwrap();
        let error = Whitelist::directories(Some(&both), None).unwrap_err();
        assert!(
            error.to_string().contains("update-distcc-symlinks"),
            "{error}"
        );
    }

    #[test]
    fn a_list_is_matched_by_its_last_words() {
        let place = Place::new();
        let list = place.path("list");
        let lines = format!(
            "\n{0}/p/gcc\n  {0}/p/cc \ngcc-nowhere\n",
            place.0.path().display()
        );
        fs::write(&list, lines).unwrap();
        let one = Whitelist::list(&list, 1, place.search_path()).unwrap();
        let two = Whitelist::list(&list, 2, place.search_path()).unwrap();
        assert_eq!(one.admit(b"gcc"), Ok(place.path("p/gcc")));
        assert_eq!(one.admit(b"/anything/cc"), Ok(place.path("p/cc")));
        assert!(matches!(
            one.admit(b"evil"),
            Err(CompilerRefusal::NotListed(_))
        ));
        assert!(matches!(one.admit(b""), Err(CompilerRefusal::NotListed(_))));
        assert!(matches!(
            one.admit(b"gcc-nowhere"),
            Err(CompilerRefusal::NotInstalled(_))
        ));
        assert_eq!(two.admit(b"/x/p/gcc"), Ok(place.path("p/gcc")));
        assert!(matches!(
            two.admit(b"/x/q/gcc"),
            Err(CompilerRefusal::NotListed(_))
        ));
        assert!(matches!(
            two.admit(b"gcc"),
            Err(CompilerRefusal::NotListed(_))
        ));
        assert!(Whitelist::list(&place.path("nowhere"), 1, None).is_err());
    }

    #[test]
    fn an_open_daemon_still_runs_no_file_of_the_clients() {
        let place = Place::new();
        let open = Whitelist::open(place.search_path());
        let evil = place.path("p/evil");
        assert_eq!(open.admit(b"evil"), Ok(evil.clone()));
        assert_eq!(open.admit(evil.as_os_str().as_bytes()), Ok(evil));
        assert!(open.admit(b"./evil").is_err() && open.admit(b"p/evil").is_err());
        assert!(open.admit(b"nosuchcc").is_err() && open.admit(b"").is_err());
        assert_eq!(open.admit(b"gcc"), Ok(place.path("p/gcc")));
    }

    #[test]
    fn last_words_of_a_path() {
        assert_eq!(last_words(b"/usr/bin/gcc", 1), b"gcc");
        assert_eq!(last_words(b"/usr/bin/gcc", 2), b"bin/gcc");
        assert_eq!(last_words(b"/usr/bin/gcc", 3), b"usr/bin/gcc");
        assert_eq!(last_words(b"/usr/bin/gcc", 4), b"/usr/bin/gcc");
        assert_eq!(last_words(b"gcc", 1), b"gcc");
        assert_eq!(last_words(b"", 1), b"");
    }
}
