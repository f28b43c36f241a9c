//! From a request to a running compiler. Owns a job's directory and files until they are collected.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use protocol::request::{Input, Request};
use protocol::tree_path::TreePath;
use protocol::version::Version;

use crate::child::{self, Child, Launch, NewRoot, Stage, c_string};
use crate::command::{Command, CommandError, base_name};
use crate::compile::Streams;
use crate::reads::ManifestReads;
use crate::refusal::{JobError, io_at};
use crate::rewrite;
use crate::tree::{JobDir, Layout, Tree};
use crate::view::namespace::Plan;
use crate::view::{Unsuited, View};
use crate::workshop::{Shared, ViewPolicy};

/// A job whose compiler was started.
/// Fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) version: Version,
    pub(crate) view: View,
    pub(crate) tree: Tree,
    pub(crate) streams: Streams,
    /// The client's working directory, resolved.
    pub(crate) cwd: Vec<u8>,
    /// Where the compiler writes the object, resolved.
    pub(crate) object: Vec<u8>,
    /// Where it writes the dependency file, resolved, if it writes one.
    pub(crate) dependencies: Option<Vec<u8>>,
    /// The source's name without its directories.
    pub(crate) source: Vec<u8>,
    /// Something to say on standard error before the compiler's own words.
    pub(crate) notice: Vec<u8>,
    /// Whether a job whose files are all the client's sees files of this server's beside them.
    pub(crate) is_merged: bool,
    /// What the compiler may have read.
    pub(crate) reads: Reads,
    /// The job's directory, if it has one. Last, so that it is removed when nothing else uses it.
    pub(crate) job: Option<JobDir>,
}

/// What a compiler may have read besides the files in the job's tree.
#[derive(Debug)]
pub(crate) enum Reads {
    /// What the client left to the server's toolchain.
    Toolchain,
    /// What the job's manifest names.
    Manifest(ManifestReads),
}

/// What became of the start.
#[derive(Debug)]
pub(crate) enum Start {
    /// The compiler runs.
    Running(Child),
    /// The program could not be executed; the run's notice says why.
    NoCompiler,
}

/// Why a job does not start in one view.
pub(crate) enum Failure {
    /// It would fail in any.
    Job(JobError),
    /// It may start in the other.
    View(String),
}

impl<E: Into<JobError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Job(error.into())
    }
}

impl From<Unsuited> for Failure {
    fn from(unsuited: Unsuited) -> Self {
        match unsuited {
            Unsuited::Tree(error) => Self::Job(error.into()),
            Unsuited::Io(source) => Self::Job(JobError::Io {
                what: "planning the view",
                source,
            }),
            other => Self::View(other.to_string()),
        }
    }
}

/// Lays out the client's files and starts the compiler.
pub(crate) fn prepare(
    shared: &Shared,
    request: &Request,
    compiler: &Path,
) -> Result<(Start, Run), JobError> {
    let command = Command::parse(&request.argv)?;
    let job = Preparation {
        shared,
        request,
        compiler,
        command,
    };
    in_some_view(shared, job.command.source(), |view| job.start(view))
}

/// Starts a job in the namespace view if it is in force and suits the job, else in the other.
pub(crate) fn in_some_view<T>(
    shared: &Shared,
    source: &[u8],
    start: impl Fn(View) -> Result<T, Failure>,
) -> Result<T, JobError> {
    if shared.namespaces.is_ok() {
        match start(View::Namespace) {
            Ok(started) => return Ok(started),
            Err(Failure::Job(error)) => return Err(error),
            Err(Failure::View(why)) if shared.settings.view == ViewPolicy::Namespace => {
                return Err(JobError::NoView(why));
            }
            Err(Failure::View(why)) => {
                tracing::info!("a job of {} gets the rewriting view: {why}", text(source));
            }
        }
    }
    start(View::Rewrite).map_err(|failure| match failure {
        Failure::Job(error) => error,
        Failure::View(why) => JobError::NoView(why),
    })
}

struct Preparation<'a> {
    shared: &'a Shared,
    request: &'a Request,
    compiler: &'a Path,
    command: Command,
}

/// Where everything of a job is, as paths of the tree.
pub(crate) struct Places {
    pub(crate) cwd: Vec<u8>,
    pub(crate) object: Vec<u8>,
    pub(crate) dependencies: Option<Vec<u8>>,
    pub(crate) argv: Vec<Vec<u8>>,
}

impl Preparation<'_> {
    fn start(&self, view: View) -> Result<(Start, Run), Failure> {
        let settings = &self.shared.settings;
        let job = JobDir::create(&settings.temp_dir, settings.keep_temps)
            .map_err(io_at("making a directory for the job"))?;
        let layout = match view {
            View::Namespace => Layout::OwnPaths,
            View::Rewrite => Layout::BelowRoot,
        };
        let mut tree = Tree::new(&job, layout, settings.limits)?;
        let temp = tree.make_dirs(b"/tmp")?;
        let places = match &self.request.input {
            Input::Tree(entries) => {
                tree.add_all(entries)?;
                let cwd = self.request.cwd.as_deref().unwrap_or_default();
                place(
                    &mut tree,
                    &self.command,
                    &self.request.argv,
                    cwd,
                    &temp,
                    b"-MMD",
                )?
            }
            Input::Preprocessed(_) => self.place_preprocessed(&mut tree, &temp)?,
        };
        let (argv, cwd, new_root) = match view {
            View::Namespace => {
                let namespaces = self
                    .shared
                    .namespaces
                    .as_ref()
                    .map_err(|_| Failure::View("not in force".to_owned()))?;
                let plan = Plan::new(&job, &mut tree, *namespaces, Some(self.compiler))?;
                let new_root = plan.into_new_root().map_err(io_at("planning the view"))?;
                (places.argv.clone(), places.cwd.clone(), Some(new_root))
            }
            View::Rewrite => {
                let root = tree.root().as_os_str().as_bytes();
                let maps = self
                    .shared
                    .families
                    .prefix_maps(self.compiler, root, &places.argv);
                let maps = maps.map_err(io_at("asking the compiler"))?;
                let argv = rewrite::argv(&places.argv, &tree, root, &maps);
                (
                    argv,
                    tree.host_path(&places.cwd).into_os_string().into_vec(),
                    None,
                )
            }
        };
        let streams =
            Streams::create(job.path()).map_err(io_at("making files for the compiler's words"))?;
        let temp_dir = match view {
            View::Namespace => PathBuf::from("/tmp"),
            View::Rewrite => tree.host_path(&temp),
        };
        let launching = Launching {
            shared: self.shared,
            compiler: self.compiler,
            environment: &[],
        };
        let launch = launching.launch(argv, cwd, &temp_dir, &streams, (new_root, tree.root()))?;
        let run = Run {
            version: self.request.version,
            view,
            tree,
            streams,
            cwd: places.cwd,
            object: places.object,
            dependencies: places.dependencies,
            source: base_name(self.command.source()).to_vec(),
            notice: Vec::new(),
            is_merged: false,
            reads: Reads::Toolchain,
            job: Some(job),
        };
        launching.start(&launch, run)
    }

    /// The client preprocessed: its source is the only file, and its paths mean nothing here.
    fn place_preprocessed(&self, tree: &mut Tree, temp: &[u8]) -> Result<Places, Failure> {
        let cap = usize::try_from(self.shared.settings.limits.tree_bytes).unwrap_or(usize::MAX);
        let Some(plain) = self.request.plain_source(cap) else {
            return Err(CommandError::NoCompile.into());
        };
        let plain = plain.map_err(JobError::Source)?;
        let source = [temp, b"/distccd", self.command.preprocessed_suffix()].concat();
        let object = [temp, b"/distccd.o"].concat();
        let path = TreePath::new(&source).map_err(|_| CommandError::NoCompile)?;
        tree.write_file(&path, &plain)?;
        let argv = self.command.with_files(&source, &object);
        Ok(Places {
            cwd: temp.to_vec(),
            object,
            dependencies: None,
            argv,
        })
    }
}

/// What the start of a compiler needs besides its files.
pub(crate) struct Launching<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) compiler: &'a Path,
    /// Variables of the job's own.
    pub(crate) environment: &'a [(OsString, OsString)],
}

impl Launching<'_> {
    /// Starts the compiler of a job that is ready.
    pub(crate) fn start(&self, launch: &Launch, mut run: Run) -> Result<(Start, Run), Failure> {
        match child::start(launch) {
            Ok(mut child) => {
                if let Some(root) = child.take_kept() {
                    run.tree.made(root);
                }
                Ok((Start::Running(child), run))
            }
            Err(error) if error.stage == Stage::Exec => {
                run.notice = format!(
                    "distccd: cannot run {}: {}\n",
                    self.compiler.display(),
                    error.source
                )
                .into_bytes();
                Ok((Start::NoCompiler, run))
            }
            Err(error) if run.view == View::Namespace => Err(Failure::View(error.to_string())),
            Err(error) => Err(Failure::Job(JobError::Start(error.to_string()))),
        }
    }

    /// The process to start, in a root of its own or below a directory of ours.
    pub(crate) fn launch(
        &self,
        mut argv: Vec<Vec<u8>>,
        cwd: Vec<u8>,
        temp_dir: &Path,
        streams: &Streams,
        (new_root, below): (Option<NewRoot>, &Path),
    ) -> Result<Launch, Failure> {
        let settings = &self.shared.settings;
        let sandbox = &self.shared.sandbox;
        let confinement = match &new_root {
            Some(new_root) => sandbox.in_own_root(&new_root.toolchains),
            None => sandbox.in_directory(self.compiler, below),
        };
        // gcc looks for its own parts, and for specs, relative to its first word. A name that is nowhere on `PATH` would lead it to `../lib`, and a path
        // of the client's to specs of the client's.
        if Some(OsStr::from_bytes(&argv[0])) != self.compiler.file_name() {
            argv[0] = self.compiler.as_os_str().as_bytes().to_vec();
        }
        let path = self.shared.program_path(self.compiler);
        let fixed = [
            (OsString::from("PATH"), path),
            (OsString::from("TMPDIR"), temp_dir.as_os_str().to_owned()),
        ];
        let is_fixed = |name: &OsString| fixed.iter().any(|(fixed, _)| fixed == name);
        let own = self.environment.iter().filter(|(name, _)| !is_fixed(name));
        let is_own = |name: &OsString| self.environment.iter().any(|(own, _)| own == name);
        let configured = settings
            .environment
            .iter()
            .filter(|(name, _)| !is_own(name));
        let pairs = fixed
            .iter()
            .chain(configured)
            .chain(own)
            .map(|(name, value)| {
                let mut pair = name.clone();
                pair.push("=");
                pair.push(value);
                pair
            });
        let strings = |texts: &mut dyn Iterator<Item = OsString>| {
            texts
                .map(c_string)
                .collect::<Result<Vec<_>, _>>()
                .map_err(io_at("writing the command line"))
        };
        Ok(Launch {
            program: c_string(self.compiler.as_os_str().to_owned())
                .map_err(io_at("naming the compiler"))?,
            argv: strings(&mut argv.into_iter().map(OsString::from_vec))?,
            environment: strings(&mut pairs.into_iter())?,
            cwd: c_string(OsString::from_vec(cwd))
                .map_err(io_at("naming the working directory"))?,
            streams: streams
                .for_child()
                .map_err(io_at("opening the compiler's streams"))?,
            nice: settings.nice,
            new_root,
            confinement,
        })
    }
}

/// The client's files are in the tree: adds its working directory and directories for outputs, and says where the outputs will be. A job that
/// asks for no dependency file gets one by the option `list`.
pub(crate) fn place(
    tree: &mut Tree,
    command: &Command,
    argv: &[Vec<u8>],
    cwd: &[u8],
    temp: &[u8],
    list: &[u8],
) -> Result<Places, Failure> {
    if cwd.first() != Some(&b'/') || cwd.contains(&0) {
        return Err(CommandError::WorkingDirectory.into());
    }
    let cwd = tree.make_dirs(cwd)?;
    let object = output_place(tree, &cwd, &command.output)?;
    let mut argv = argv.to_vec();
    let dependencies = match &command.dependencies {
        Some(file) => Some(output_place(tree, &cwd, file)?),
        // Nobody asked for one, and asking ourselves would change the object.
        None if command.is_recorded() => None,
        None => {
            // It says what was read. This one is below the view's own /tmp.
            let file = unused_name(tree, temp, b".d");
            let shown = [b"/tmp/", base_name(&file)].concat();
            // At the end it may be behind a `--`.
            argv.splice(1..1, [list.to_vec(), b"-MF".to_vec(), shown]);
            Some(file)
        }
    };
    Ok(Places {
        cwd,
        object,
        dependencies,
        argv,
    })
}

/// Where an output will be: its directory is made, and it is no file of the client's.
fn output_place(tree: &mut Tree, cwd: &[u8], written: &[u8]) -> Result<Vec<u8>, JobError> {
    let absolute = if written.first() == Some(&b'/') {
        written.to_vec()
    } else {
        [cwd, b"/", written].concat()
    };
    let slash = absolute.iter().rposition(|&b| b == b'/').unwrap_or(0);
    let dir = tree.make_dirs(&absolute[..slash.max(1)])?;
    let name = &absolute[slash + 1..];
    let joined = if dir == b"/" {
        [b"/", name].concat()
    } else {
        [dir.as_slice(), b"/", name].concat()
    };
    let real = tree.resolve(&joined)?;
    if tree.has(&real) || real != joined {
        return Err(JobError::OverwritesInput(text(&absolute)));
    }
    Ok(real)
}

/// A name in a directory that no file of the client's has.
fn unused_name(tree: &Tree, dir: &[u8], suffix: &[u8]) -> Vec<u8> {
    let mut name = [dir, b"/distccd", suffix].concat();
    while tree.has(&name) {
        name.truncate(name.len() - suffix.len());
        name.push(b'_');
        name.extend_from_slice(suffix);
    }
    name
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
