//! A client of the bundle dialect without a wire: a table, its blobs, and jobs that name entries of both.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use distccd_cache::job::{BundleJob, Finished, JobError};
use distccd_cache::table::Table;
use distccd_cache::workshop::{ViewPolicy, Workshop, WorkshopSettings};
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry, Name};
use protocol::bundle::manifest::Manifest;
use protocol::bundle::table::TableId;

use crate::support::path;

/// The directories of this machine's compilers, as a client with the same system would list them.
pub const SYSTEM: [&str; 6] = [
    "/usr/lib/gcc/x86_64-linux-gnu/12/include",
    "/usr/local/include",
    "/usr/include/x86_64-linux-gnu",
    "/usr/include",
    "/usr/lib/llvm-19/lib/clang/19/include",
    "/usr/x86_64-linux-gnu/include",
];

/// All blobs; one that was taken out is as if evicted.
#[derive(Clone, Debug, Default)]
pub struct Blobs(pub Arc<Mutex<HashMap<Digest, Vec<u8>>>>);

impl Blobs {
    pub fn add(&self, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        self.0
            .lock()
            .expect("not poisoned")
            .insert(digest, content.to_vec());
        digest
    }

    pub fn remove(&self, content: &[u8]) {
        let digest = Digest::of(content);
        self.0.lock().expect("not poisoned").remove(&digest);
    }

    fn get(&self, digest: &Digest) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().expect("not poisoned").get(digest).cloned())
    }
}

/// A session of an include server.
pub struct Session {
    pub table: Arc<Table>,
    pub blobs: Blobs,
    indices: BTreeMap<String, u32>,
}

impl Session {
    pub fn new() -> Self {
        Self {
            table: Arc::new(Table::new(TableId([7; 16]))),
            blobs: Blobs::default(),
            indices: BTreeMap::new(),
        }
    }

    /// A file's entry, and its blob.
    pub fn file(&self, at: &str, content: &[u8], modified: i64) -> Entry {
        Entry {
            path: path(at),
            content: Content::File {
                digest: self.blobs.add(content),
                size: content.len() as u64,
                modified,
            },
            late: false,
            system: SYSTEM.iter().any(|dir| at.starts_with(dir)),
            name: Name::Relative,
        }
    }

    /// Appends an entry to the table.
    pub fn add(&mut self, entry: Entry) -> u32 {
        let index = self.table.len();
        self.indices.insert(entry.path.to_string(), index);
        self.table.extend(vec![entry]);
        index
    }

    /// Appends a file with a time of its own.
    pub fn add_file(&mut self, at: &str, content: &[u8]) -> u32 {
        let time = 1_000_000 + i64::from(self.table.len());
        let entry = self.file(at, content, time);
        self.add(entry)
    }

    /// The last index of a path.
    pub fn index(&self, at: &str) -> u32 {
        self.indices[at]
    }

    /// A job with these own files.
    pub fn job(&self, cwd: &str, words: &[&str], used: &[u32], own: Vec<Entry>) -> BundleJob {
        let length = self.table.len();
        BundleJob {
            argv: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
            cwd: cwd.as_bytes().to_vec(),
            system_directories: SYSTEM.iter().map(|dir| dir.as_bytes().to_vec()).collect(),
            environment: Vec::new(),
            table: Arc::clone(&self.table),
            manifest: Manifest {
                table: self.table.id(),
                length,
                link: self.table.link(length).expect("it is that long"),
                used: used.iter().copied().collect(),
                dead: Default::default(),
                own,
            },
            hidden: Vec::new(),
        }
    }
}

/// Adds every file that a compiler reads for a source on this machine, links resolved; returns their indices.
pub fn add_closure(session: &mut Session, compiler: &Path, words: &[&str], cwd: &Path) -> Vec<u32> {
    let output = std::process::Command::new(compiler)
        .args(words)
        .args(["-M", "-MT", "x"])
        .current_dir(cwd)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("the compiler runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("plain names");
    let names = text
        .split_whitespace()
        .filter(|word| !["x:", "\\"].contains(word));
    let mut used = Vec::new();
    for name in names {
        let real = cwd.join(name).canonicalize().expect("it is there");
        let at = real.to_str().expect("a plain name").to_owned();
        let content = std::fs::read(&real).expect("it can be read");
        let time = std::fs::metadata(&real).expect("it is there");
        let time = std::os::unix::fs::MetadataExt::mtime(&time);
        let index = match session.indices.get(&at) {
            Some(index) => *index,
            None => {
                let entry = session.file(&at, &content, time);
                session.add(entry)
            }
        };
        used.push(index);
    }
    used.sort_unstable();
    used.dedup();
    used
}

/// A workshop in a temporary directory of its own.
pub struct BundleShop {
    pub shop: Workshop,
    pub temp: tempfile::TempDir,
}

impl BundleShop {
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

    pub fn run(
        &self,
        session: &Session,
        job: BundleJob,
        compiler: &Path,
    ) -> Result<Finished, JobError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let blobs = session.blobs.clone();
        let content = move |digest: &Digest| blobs.get(digest);
        runtime.block_on(
            self.shop
                .run_bundle(job, compiler, content, std::future::pending::<()>()),
        )
    }

    /// Directories of jobs that are still there.
    pub fn left_over(&self) -> usize {
        std::fs::read_dir(self.temp.path())
            .expect("the directory is there")
            .map(|entry| entry.expect("an entry").file_name())
            .filter(|name| !name.to_string_lossy().starts_with("distccd_grove_"))
            .count()
    }

    /// How many groves there are.
    pub fn groves(&self) -> usize {
        let home = std::fs::read_dir(self.temp.path())
            .expect("the directory is there")
            .map(|entry| entry.expect("an entry").path())
            .find(|path| path.to_string_lossy().contains("distccd_grove_"));
        home.map_or(0, |home| {
            std::fs::read_dir(home).expect("it is there").count()
        })
    }
}

/// The compiler's words, for a failed assertion.
pub fn words_of(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.reply.stderr).into_owned()
}
