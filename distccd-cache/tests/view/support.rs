//! A client's project on this machine: compiled here, then taken away and compiled by the daemon's modules.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use distccd_cache::job::{Finished, JobError};
use distccd_cache::workshop::{ViewPolicy, Workshop, WorkshopSettings};
use protocol::request::{Input, Request};
use protocol::tree::{EntryContent, TreeEntry};
use protocol::tree_path::TreePath;
use protocol::version::Version;

/// A workshop in a temporary directory of its own.
pub struct TestShop {
    pub shop: Workshop,
    pub temp: tempfile::TempDir,
}

impl TestShop {
    pub fn new(view: ViewPolicy) -> Self {
        Self::with(view, |_| {})
    }

    pub fn with(view: ViewPolicy, change: impl FnOnce(&mut WorkshopSettings)) -> Self {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let mut settings = WorkshopSettings::new(temp.path().to_owned());
        settings.view = view;
        change(&mut settings);
        let shop = Workshop::new(settings).expect("this machine can run jobs");
        Self { shop, temp }
    }

    pub fn run(&self, request: Request, compiler: &Path) -> Result<Finished, JobError> {
        self.run_until(request, compiler, std::future::pending::<()>())
    }

    pub fn run_until(
        &self,
        request: Request,
        compiler: &Path,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Finished, JobError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let result = runtime.block_on(self.shop.run(request, compiler, cancelled));
        assert_eq!(
            self.left_over(),
            Vec::<PathBuf>::new(),
            "nothing is left of a job"
        );
        result
    }

    pub fn left_over(&self) -> Vec<PathBuf> {
        fs::read_dir(self.temp.path())
            .expect("the directory is there")
            .map(|e| e.expect("an entry").path())
            .collect()
    }
}

/// Files of a client below a directory that exists only while the client compiles.
pub struct Project {
    dir: PathBuf,
    /// Removed with the project; above `dir` when `dir` is deeper.
    made: PathBuf,
    files: Vec<(String, String)>,
    links: Vec<(String, String)>,
    system: Vec<&'static str>,
}

/// What a compile wrote.
#[derive(Debug, PartialEq, Eq)]
pub struct Outputs {
    pub object: Vec<u8>,
    pub dependencies: Option<Vec<u8>>,
    pub stderr: Vec<u8>,
}

impl Project {
    /// A project in a new directory below `parent`.
    pub fn below(parent: &str, files: &[(&str, &str)]) -> Self {
        let made = tempfile::Builder::new()
            .prefix("pumphouse-client-")
            .tempdir_in(parent)
            .expect("a project")
            .keep();
        let dir = made.join("project");
        fs::create_dir(&dir).expect("a directory");
        let files = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let system = vec![
            "/usr/include",
            "/usr/local/include",
            "/usr/lib/gcc",
            "/usr/lib/llvm-19/lib/clang",
        ];
        Self {
            dir,
            made,
            files,
            links: Vec::new(),
            system,
        }
    }

    pub fn new(files: &[(&str, &str)]) -> Self {
        Self::below("/tmp", files)
    }

    /// Adds a link; the target may name the project's directory as `{}`.
    pub fn link(mut self, name: &str, target: &str) -> Self {
        let target = target.replace("{}", &self.dir.to_string_lossy());
        self.links.push((name.to_owned(), target));
        self
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Words with `{}` replaced by the project's directory.
    pub fn words(&self, words: &str) -> Vec<Vec<u8>> {
        let dir = self.dir.to_string_lossy();
        words
            .split_whitespace()
            .map(|word| word.replace("{}", &dir).into_bytes())
            .collect()
    }

    /// Compiles at home, with all files in place, and takes them away again.
    pub fn compile_here(
        &self,
        compiler: &Path,
        words: &str,
        object: &str,
        dependencies: Option<&str>,
    ) -> Outputs {
        for (name, text) in &self.files {
            let path = self.dir.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, text).expect("a file");
        }
        for (name, target) in &self.links {
            std::os::unix::fs::symlink(target, self.dir.join(name)).expect("a link");
        }
        let words = self.words(words);
        for output in [Some(object), dependencies].into_iter().flatten() {
            fs::create_dir_all(self.dir.join(output).parent().expect("a parent"))
                .expect("directories");
        }
        let output = Command::new(compiler)
            .args(
                words[1..]
                    .iter()
                    .map(|word| std::ffi::OsStr::from_bytes(word)),
            )
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .output()
            .expect("the compiler runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let read = |name: &str| fs::read(self.dir.join(name)).expect("an output");
        let outputs = Outputs {
            object: read(object),
            dependencies: dependencies.map(read),
            stderr: output.stderr.clone(),
        };
        fs::remove_dir_all(&self.dir).expect("the project goes");
        outputs
    }

    /// The request that a client sends for these words.
    pub fn request(&self, words: &str) -> Request {
        let at = |name: &str| {
            TreePath::new(self.dir.join(name).as_os_str().as_bytes()).expect("a good path")
        };
        let files = self
            .files
            .iter()
            .map(|(name, text)| file(at(name), text.as_bytes()));
        let system = self
            .system
            .iter()
            .map(|dir| TreeEntry::system_link(path(dir)));
        let links = self.links.iter().map(|(name, target)| TreeEntry {
            path: at(name),
            content: EntryContent::Link(target.clone().into_bytes()),
        });
        Request {
            version: Version::Pump3,
            cwd: Some(self.dir.as_os_str().as_bytes().to_vec()),
            argv: self.words(words),
            input: Input::Tree(files.chain(system).chain(links).collect()),
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.made);
    }
}

/// A path of a client's.
pub fn path(path: &str) -> TreePath {
    TreePath::new(path.as_bytes()).expect("a good path")
}

/// A file of a client's.
pub fn file(path: TreePath, content: &[u8]) -> TreeEntry {
    TreeEntry {
        path,
        content: EntryContent::File(protocol::lzo::compress(content)),
    }
}

/// A link of a client's.
pub fn link(at: &str, target: &str) -> TreeEntry {
    TreeEntry {
        path: path(at),
        content: EntryContent::Link(target.as_bytes().to_vec()),
    }
}

/// A compiler of `/usr/bin`, or `None` after saying that its part is skipped. With `REQUIRE_PEERS=1` in the environment a
/// missing one is a failure.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/bin").join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("REQUIRE_PEERS").is_none_or(|v| v != "1"),
        "{name} is missing and REQUIRE_PEERS=1"
    );
    eprintln!("skipped: {name} is not installed");
    None
}

/// The compilers of a kind that this machine has; at least one.
pub fn compilers(names: &[&str]) -> Vec<PathBuf> {
    let found: Vec<_> = names.iter().filter_map(|name| installed(name)).collect();
    assert!(!found.is_empty(), "none of {names:?} is installed");
    found
}

/// Compares objects and says what differs without printing them.
#[track_caller]
pub fn assert_same(what: &str, ours: &[u8], theirs: &[u8]) {
    let at = ours.iter().zip(theirs).position(|(a, b)| a != b);
    assert!(
        ours == theirs,
        "{what}: {} bytes here, {} at the client, first difference at {at:?}",
        ours.len(),
        theirs.len()
    );
}
