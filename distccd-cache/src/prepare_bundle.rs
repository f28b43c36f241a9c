//! From a bundle job to a running compiler. Owns no state: what it makes, the [`Run`] owns.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry, Name};
use protocol::bundle::manifest::Manifest;
use protocol::tree::with_line;
use protocol::version::Version;

use crate::child::NewRoot;
use crate::command::{Command, CommandError, base_name};
use crate::compile::Streams;
use crate::grove::{GroveError, Needs, Tenancy};
use crate::prepare::{Failure, Launching, Places, Reads, Run, Start, in_some_view, place};
use crate::reads::ManifestReads;
use crate::refusal::{JobError, io_at};
use crate::rewrite;
use crate::table::Table;
use crate::tree::{JobDir, Layout, Tree, TreeError, parent_of};
use crate::view::detect::Namespaces;
use crate::view::layers::{Beneath, Layers, MemoryBytes, Spots, check_own};
use crate::view::meeting::{Meetings, is_obeyed};
use crate::view::skeleton::Skeleton;
use crate::view::terrain::{Place, place_of, system_directories};
use crate::view::{Unsuited, View};
use crate::workshop::Shared;

/// A job whose files are named by digest. All of it is the client's word, read but not judged.
#[derive(Clone, Debug)]
pub struct BundleJob {
    /// The command line, the compiler as the client calls it first.
    pub argv: Vec<Vec<u8>>,
    /// The working directory.
    pub cwd: Vec<u8>,
    /// Real paths of all directories in which the client's compiler looks by itself, also of those that do not exist.
    pub system_directories: Vec<Vec<u8>>,
    /// Variables for the compiler.
    pub environment: Vec<(OsString, OsString)>,
    /// The table of the client's session, at least as long as the manifest says.
    pub table: Arc<Table>,
    /// Its files.
    pub manifest: Manifest,
    /// Paths of the table that it does not use and must not see, see [`crate::results`].
    pub hidden: Vec<Vec<u8>>,
}

/// Gives the verified bytes of a digest, or `None` when they are no longer known.
type Contents<'a> = dyn Fn(&Digest) -> io::Result<Option<Vec<u8>>> + 'a;

/// Lays out the client's files, as far as they are not there, and starts the compiler.
pub(crate) fn prepare_bundle(
    shared: &Shared,
    job: &BundleJob,
    compiler: &Path,
    content: &Contents<'_>,
) -> Result<(Start, Run), JobError> {
    let command = Command::parse(&job.argv)?;
    if job.manifest.length > job.table.len() || job.manifest.used.end() > job.manifest.length {
        return Err(JobError::Unsuited(
            "the job names entries that its table does not have".to_owned(),
        ));
    }
    let used = Arc::new(job.manifest.used.clone());
    let preparation = Preparation {
        shared,
        job,
        compiler,
        content,
        command,
        used,
    };
    in_some_view(shared, preparation.command.source(), |view| {
        preparation.start(view)
    })
}

struct Preparation<'a> {
    shared: &'a Shared,
    job: &'a BundleJob,
    compiler: &'a Path,
    content: &'a Contents<'a>,
    command: Command,
    used: Arc<protocol::bundle::indices::Indices>,
}

/// A job whose files are in place.
struct Laid {
    /// The job's directory, unless its files are in memory and in a grove.
    dir: Option<JobDir>,
    tree: Tree,
    places: Places,
    tenancy: Option<Tenancy>,
    own_copies: HashSet<Vec<u8>>,
    /// The directory for temporary files, as the compiler is to know it.
    temp_dir: PathBuf,
    /// Whether a directory shows the client's files and this server's.
    is_merged: bool,
}

impl Preparation<'_> {
    fn start(&self, view: View) -> Result<(Start, Run), Failure> {
        let (laid, argv, cwd, new_root) = match (view, &self.shared.namespaces) {
            (View::Namespace, Ok(namespaces)) => {
                let mut laid = self.lay(*namespaces)?;
                let new_root = self.mounts(&mut laid, *namespaces)?;
                let (argv, cwd) = (laid.places.argv.clone(), laid.places.cwd.clone());
                (laid, argv, cwd, Some(new_root))
            }
            (View::Namespace, Err(_)) => return Err(Failure::View("not in force".to_owned())),
            (View::Rewrite, _) => {
                let laid = self.lay_below_root()?;
                let root = laid.tree.root().as_os_str().as_bytes();
                let families = &self.shared.families;
                let maps = families.prefix_maps(self.compiler, root, &laid.places.argv);
                let maps = maps.map_err(io_at("asking the compiler"))?;
                let argv = rewrite::argv(&laid.places.argv, &laid.tree, root, &maps);
                let cwd = laid.tree.host_path(&laid.places.cwd);
                (laid, argv, cwd.into_os_string().into_vec(), None)
            }
        };
        let streams = match &laid.dir {
            Some(dir) => Streams::create(dir.path()),
            None => self.shared.blank.streams(&self.shared.settings.temp_dir),
        };
        let streams = streams.map_err(io_at("making files for the compiler's words"))?;
        let launching = Launching {
            shared: self.shared,
            compiler: self.compiler,
            environment: &self.job.environment,
        };
        let root = (new_root, laid.tree.root());
        let launch = launching.launch(argv, cwd, &laid.temp_dir, &streams, root)?;
        let grove = laid.tenancy.as_ref().map(Tenancy::grove);
        let run = Run {
            version: Version::Pump3,
            view,
            tree: laid.tree,
            streams,
            cwd: laid.places.cwd,
            object: laid.places.object,
            dependencies: laid.places.dependencies,
            source: base_name(self.command.source()).to_vec(),
            notice: Vec::new(),
            is_merged: laid.is_merged,
            reads: Reads::Manifest(ManifestReads {
                tenancy: laid.tenancy,
                used: Arc::clone(&self.used),
                own_copies: laid.own_copies,
                listed_for_client: self.command.dependencies.is_some(),
            }),
            job: laid.dir,
        };
        let started = launching.start(&launch, run);
        if let (Err(Failure::View(_)), Some(grove)) = (&started, grove) {
            // A directory of the server's may have come or gone since its mount points were made.
            grove.spoil();
        }
        started
    }

    /// Lays out the files at the client's own paths: what the table has in a grove if there are any, the rest in the job's tree.
    fn lay(&self, namespaces: Namespaces) -> Result<Laid, Failure> {
        let settings = &self.shared.settings;
        let (dir, mut tree, tenancy) = match namespaces.root_overlay {
            true => {
                let tenancy = self.enter_grove()?;
                let upper = tenancy.spots().upper();
                let mut tree = Tree::planned(upper, Layout::OwnPaths, settings.limits);
                tree.lay_upon(tenancy.links());
                (None, tree, Some(tenancy))
            }
            false => {
                let dir = self.job_dir()?;
                let tree = Tree::new(&dir, Layout::OwnPaths, settings.limits)?;
                (Some(dir), tree, None)
            }
        };
        let own: Vec<&Entry> = self.job.manifest.own.iter().collect();
        self.write_all(&mut tree, &own)?;
        match &tenancy {
            None => self.write_used(&mut tree, |_| true)?,
            Some(_) => self.hide(&mut tree)?,
        }
        let temp = tree.make_dirs(b"/tmp")?;
        let places = self.place(&mut tree, &temp)?;
        if let Some(tenancy) = &tenancy {
            let is_input = |path: &Vec<u8>| {
                tenancy.look(|file| file(path).is_some_and(|index| self.used.contains(index)))
            };
            let outputs = [Some(&places.object), places.dependencies.as_ref()];
            if let Some(path) = outputs.into_iter().flatten().find(|path| is_input(path)) {
                let path = String::from_utf8_lossy(path).into_owned();
                return Err(JobError::OverwritesInput(path).into());
            }
        }
        Ok(Laid {
            dir,
            tree,
            places,
            tenancy,
            own_copies: HashSet::new(),
            temp_dir: PathBuf::from("/tmp"),
            is_merged: false,
        })
    }

    /// Hides what the job must not see.
    fn hide(&self, tree: &mut Tree) -> Result<(), JobError> {
        for path in &self.job.hidden {
            if !tree.hide(path)? {
                let path = String::from_utf8_lossy(path);
                let why = format!("{path} cannot be hidden from a job that does not use it");
                return Err(JobError::Unsuited(why));
            }
        }
        Ok(())
    }

    fn enter_grove(&self) -> Result<Tenancy, Failure> {
        let manifest = &self.job.manifest;
        let needs = Needs {
            table: Arc::clone(&self.job.table),
            length: manifest.length,
            used: Arc::clone(&self.used),
            dead: Arc::new(manifest.dead.clone()),
        };
        let quota = &self.shared.settings.limits;
        let entered = self.shared.groves.enter(&needs, quota, self.content);
        entered.map_err(|error| match error {
            GroveError::Unsuited(unsuited) => unsuited.into(),
            other => Failure::Job(other.into()),
        })
    }

    fn mounts(&self, laid: &mut Laid, namespaces: Namespaces) -> Result<NewRoot, Failure> {
        let skeleton = match &laid.tenancy {
            Some(tenancy) => {
                check_own(&laid.tree, tenancy.skeleton())?;
                tenancy.skeleton().clone()
            }
            None => Skeleton::lay(&mut laid.tree, namespaces.proc)?,
        };
        let system = system_directories(&skeleton, &self.job.system_directories)?;
        let hides = system.iter().filter(|dir| dir.hides);
        let hidden: Vec<&[u8]> = hides.map(|dir| dir.path.as_slice()).collect();
        match &laid.tenancy {
            Some(tenancy) => {
                let fixed = tenancy.fix_directories(&hidden);
                if !fixed.map_err(io_at("making a directory of the view"))? {
                    let what = "a system directory of the client's is no directory".to_owned();
                    return Err(Failure::View(what));
                }
            }
            None => {
                for path in &hidden {
                    laid.tree.make_dirs(path)?;
                }
            }
        }
        let terrains = &self.shared.terrains;
        let mut places = terrains.places(&skeleton, &self.job.table, &system, &self.used)?;
        let outputs = self.outputs(&laid.places);
        let own = self.job.manifest.own.iter();
        let own = own.map(|entry| (entry.path.as_bytes(), entry.content == Content::Directory));
        let written = outputs.iter().map(|dir| (*dir, true));
        let mut meetings = Meetings::new(system.iter().map(|dir| dir.path.clone()).collect());
        for (path, is_directory) in own.chain(written) {
            if is_obeyed(path) && skeleton.root_of(path).is_some() {
                let path = String::from_utf8_lossy(path).into_owned();
                return Err(Unsuited::InTheWay(path).into());
            }
            places.extend(place_of(
                &skeleton,
                &system,
                &mut meetings,
                path,
                is_directory,
            ));
        }
        laid.is_merged = places
            .iter()
            .any(|place| matches!(place, Place::Merge { .. }));
        let spots = match (&laid.tenancy, &laid.dir) {
            (Some(tenancy), _) => tenancy.spots(),
            (None, Some(dir)) => Spots::below(dir.path()),
            (None, None) => return Err(Failure::View("the job has no directory".to_owned())),
        };
        let limits = &self.shared.settings.limits;
        let memory = limits
            .tree_bytes
            .saturating_add(limits.output_bytes.saturating_mul(2));
        let new_root = Layers {
            spots,
            memory: MemoryBytes(memory),
            tree: &mut laid.tree,
            beneath: laid.tenancy.as_ref().map(|tenancy| tenancy as &dyn Beneath),
            skeleton: &skeleton,
            system: &system,
            places,
            outputs,
            compiler: self.compiler,
            namespaces,
        }
        .new_root()?;
        Ok(new_root)
    }

    fn outputs<'a>(&self, places: &'a Places) -> Vec<&'a [u8]> {
        let dependencies = places.dependencies.as_deref().map(parent_of);
        let mut outputs = vec![places.cwd.as_slice(), parent_of(&places.object)];
        outputs.extend(dependencies);
        outputs.dedup();
        outputs
    }

    /// Lays out all files below a temporary root, except those that are the server's own.
    fn lay_below_root(&self) -> Result<Laid, Failure> {
        let dir = self.job_dir()?;
        let mut tree = Tree::new(&dir, Layout::BelowRoot, self.shared.settings.limits)?;
        let own: Vec<&Entry> = self.job.manifest.own.iter().collect();
        self.write_all(&mut tree, &own)?;
        let mut own_copies = HashSet::new();
        let system = |(_, entry): &(u32, Arc<Entry>)| entry.system;
        for (_, entry) in self.used().into_iter().filter(system) {
            self.check_own_copy(&entry)?;
            own_copies.insert(entry.path.as_bytes().to_vec());
        }
        self.write_used(&mut tree, |entry| !entry.system)?;
        let temp = tree.make_dirs(b"/tmp")?;
        let places = self.place(&mut tree, &temp)?;
        Ok(Laid {
            temp_dir: tree.host_path(&temp),
            dir: Some(dir),
            tree,
            places,
            tenancy: None,
            own_copies,
            is_merged: true,
        })
    }

    /// Refuses a job that would not find the same at this path of the server's.
    fn check_own_copy(&self, entry: &Entry) -> Result<(), JobError> {
        match self.shared.own_files.stands(entry) {
            true => Ok(()),
            false => Err(JobError::Unsuited(format!(
                "the server's own {} differs and namespaces are not allowed here",
                entry.path
            ))),
        }
    }

    fn job_dir(&self) -> Result<JobDir, JobError> {
        let settings = &self.shared.settings;
        JobDir::create(&settings.temp_dir, settings.keep_temps)
            .map_err(io_at("making a directory for the job"))
    }

    fn used(&self) -> Vec<(u32, Arc<Entry>)> {
        self.job.table.entries(self.used.iter())
    }

    /// Writes the job's entries of the table that no own file of the job shadows.
    fn write_used(&self, tree: &mut Tree, wanted: impl Fn(&Entry) -> bool) -> Result<(), JobError> {
        let used = self.used();
        let entries = used.iter().map(|(_, entry)| &**entry);
        let entries: Vec<&Entry> = entries
            .filter(|entry| wanted(entry) && !tree.has(entry.path.as_bytes()))
            .collect();
        self.write_all(tree, &entries)
    }

    /// Writes entries: links first, since they decide where the others lie.
    fn write_all(&self, tree: &mut Tree, entries: &[&Entry]) -> Result<(), JobError> {
        for entry in entries {
            if let Content::Link(target) = &entry.content {
                tree.add_link(&entry.path, target)?;
            }
        }
        let mut vanished = Vec::new();
        for entry in entries {
            match &entry.content {
                Content::Link(_) => {}
                Content::Directory => tree.add_directory(&entry.path)?,
                Content::File {
                    digest,
                    size,
                    modified,
                } => match (self.content)(digest).map_err(io_at("reading the store"))? {
                    None => vanished.push(*digest),
                    Some(bytes) if bytes.len() as u64 != *size => {
                        return Err(TreeError::OtherSize(entry.path.clone()).into());
                    }
                    Some(bytes) => {
                        tree.charge(&entry.path, *size)?;
                        let bytes = match tree.layout() {
                            Layout::OwnPaths => bytes,
                            Layout::BelowRoot => under_its_name(bytes, entry),
                        };
                        tree.write_dated(&entry.path, &bytes, *modified)?;
                    }
                },
            }
        }
        match vanished.is_empty() {
            true => Ok(()),
            false => Err(JobError::Vanished(vanished)),
        }
    }

    fn place(&self, tree: &mut Tree, temp: &[u8]) -> Result<Places, Failure> {
        let cwd = &self.job.cwd;
        if cwd.is_empty() {
            return Err(CommandError::WorkingDirectory.into());
        }
        // With system headers: what the compiler read of those is compared, too.
        place(tree, &self.command, &self.job.argv, cwd, temp, b"-MD")
    }
}

/// A file's content behind a `#line` directive, where the compiler has to know the file by another name than the one it is opened by.
fn under_its_name(content: Vec<u8>, entry: &Entry) -> Vec<u8> {
    match &entry.name {
        Name::Relative => content,
        Name::Path => with_line(&content, entry.path.as_bytes()),
        Name::Other(name) => with_line(&content, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::tree_path::TreePath;

    #[test]
    fn lines_come_after_a_byte_order_mark() {
        let entry = |name| Entry {
            path: TreePath::new(b"/h/a.h").expect("a good path"),
            content: Content::Directory,
            late: false,
            system: false,
            name,
        };
        let check = |content: &[u8], name, expected: &[u8]| {
            assert_eq!(under_its_name(content.to_vec(), &entry(name)), expected);
        };
        check(b"int x;", Name::Relative, b"int x;");
        check(b"int x;", Name::Path, b"#line 1 \"/h/a.h\"\nint x;");
        let other = Name::Other(b"/l/../a.h".to_vec());
        check(
            b"\xef\xbb\xbfint x;",
            other,
            b"\xef\xbb\xbf#line 1 \"/l/../a.h\"\nint x;",
        );
    }
}
