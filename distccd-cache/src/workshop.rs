//! Where and how jobs run. Owns the settings and what was found out about the system at start; both never change.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use crate::grove::GroveLimits;
pub use crate::own_files::OwnFiles;
pub use crate::sandbox::{SandboxError, SandboxPolicy, SandboxSettings};
pub use crate::tree::JobLimits;

use crate::compile::Blank;
use crate::grove::Groves;
use crate::locked_dir::remove_left_over;
use crate::rewrite::Families;
use crate::sandbox::Sandbox;
use crate::view::detect::{self, Namespaces};
use crate::view::terrain::Terrains;

/// Which file view jobs get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ViewPolicy {
    /// The namespace view where the system allows it, else the rewriting view.
    #[default]
    Auto,
    /// The namespace view or no service.
    Namespace,
    /// The rewriting view, also where namespaces would work.
    Rewrite,
}

/// What a [`Workshop`] is made from.
#[derive(Clone, Debug)]
pub struct WorkshopSettings {
    /// The directory in which each job gets a directory of its own (`TMPDIR`).
    pub temp_dir: PathBuf,
    /// Which view jobs get.
    pub view: ViewPolicy,
    /// Added to the niceness of compilers.
    pub nice: i32,
    /// How long a compiler may run; `None` is for ever.
    pub job_lifetime: Option<Duration>,
    /// Leave job directories behind, for a person who looks for an error.
    pub keep_temps: bool,
    /// The compilers' `PATH`; `None` is [`Workshop::DEFAULT_PATH`].
    pub compiler_path: Option<OsString>,
    /// Further variables for compilers, such as `LANG`. They get no other; nothing of the client's environment arrives.
    pub environment: Vec<(OsString, OsString)>,
    /// What one job may use.
    pub limits: JobLimits,
    /// Whether clients' trees outlive a job, where the system allows it.
    pub keep_trees: bool,
    /// What those trees may use.
    pub groves: GroveLimits,
    /// How compilers are confined.
    pub sandbox: SandboxSettings,
}

impl WorkshopSettings {
    /// Settings with the given temporary directory and stock's defaults for the rest.
    #[must_use]
    pub fn new(temp_dir: PathBuf) -> Self {
        Self {
            temp_dir,
            view: ViewPolicy::Auto,
            nice: 5,
            job_lifetime: None,
            keep_temps: false,
            compiler_path: None,
            environment: Vec::new(),
            limits: JobLimits::DEFAULT,
            keep_trees: true,
            groves: GroveLimits::DEFAULT,
            sandbox: SandboxSettings::default(),
        }
    }
}

/// Why no job can run here.
#[derive(Debug, thiserror::Error)]
pub enum WorkshopError {
    /// The temporary directory cannot be used.
    #[error("cannot make directories in {}: {source} (set TMPDIR to a directory that the daemon's user may write)", dir.display())]
    TempDir {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Namespaces were required and are refused by the system.
    #[error("the namespace view was required, but {0}")]
    NoNamespaces(detect::NamespaceError),
    /// A sandbox was required and cannot be had.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

/// Where and how jobs run; made once at start, after privileges were dropped, and shared by all jobs.
#[derive(Clone, Debug)]
pub struct Workshop {
    pub(crate) shared: Arc<Shared>,
}

/// What all jobs read.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: WorkshopSettings,
    /// What the namespace view can use; or why there is none, `None` being that nobody wants it.
    pub(crate) namespaces: Result<Namespaces, Option<detect::NamespaceError>>,
    /// What the rewriting view learnt of compilers.
    pub(crate) families: Families,
    /// Clients' trees that outlive a job.
    pub(crate) groves: Groves,
    /// Where those meet the server's directories.
    pub(crate) terrains: Terrains,
    /// What is known of the server's own files.
    pub(crate) own_files: OwnFiles,
    /// Files for the next compilers' words.
    pub(crate) blank: Arc<Blank>,
    /// How compilers are confined.
    pub(crate) sandbox: Sandbox,
}

impl Workshop {
    /// The compilers' `PATH` when none is configured.
    pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// Tries out the temporary directory and, in a child process, whether namespaces work.
    ///
    /// # Errors
    /// See [`WorkshopError`].
    pub fn new(mut settings: WorkshopSettings) -> Result<Self, WorkshopError> {
        let temp_dir = settings.temp_dir.clone();
        let unusable = |source| WorkshopError::TempDir {
            dir: temp_dir.clone(),
            source,
        };
        // Mounts and prefix maps need the real, absolute name.
        let real = settings.temp_dir.canonicalize().map_err(unusable)?;
        if settings.sandbox.policy == SandboxPolicy::Required {
            if settings.view == ViewPolicy::Rewrite {
                let why = "the view without namespaces is configured";
                return Err(SandboxError(why.to_owned()).into());
            }
            // Also a job that they do not suit is refused then.
            settings.view = ViewPolicy::Namespace;
        }
        remove_left_over(&real);
        let trial = crate::tree::JobDir::create(&real, false).map_err(unusable)?;
        let sandbox = Sandbox::new(
            &settings.sandbox,
            settings.limits.output_bytes,
            settings.job_lifetime,
        )?;
        let namespaces = match settings.view {
            ViewPolicy::Rewrite => Err(None),
            ViewPolicy::Auto => detect::try_namespaces(&trial).map_err(Some),
            ViewPolicy::Namespace => match detect::try_namespaces(&trial) {
                Ok(found) => Ok(found),
                Err(why) if settings.sandbox.policy == SandboxPolicy::Required => {
                    return Err(SandboxError(why.to_string()).into());
                }
                Err(why) => return Err(WorkshopError::NoNamespaces(why)),
            },
        };
        drop(trial);
        let namespaces = namespaces.map(|mut found| {
            // The view can do without; `describe` says so.
            found.root_overlay = settings.keep_trees
                && crate::tree::JobDir::create(&real, false)
                    .map_err(detect::NamespaceError::from)
                    .and_then(|job| detect::try_root_overlay(&job))
                    .unwrap_or(false);
            found
        });
        let proc = namespaces.as_ref().is_ok_and(|found| found.proc);
        let groves = Groves::new(&real, settings.groves, proc);
        settings.temp_dir = real;
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                namespaces,
                families: Families::default(),
                groves,
                terrains: Terrains::default(),
                own_files: OwnFiles::default(),
                blank: Arc::default(),
                sandbox,
            }),
        })
    }

    /// What one job may use.
    pub(crate) fn limits(&self) -> JobLimits {
        self.shared.settings.limits
    }

    /// What is known of the server's own files.
    #[must_use]
    pub fn own_files(&self) -> &OwnFiles {
        &self.shared.own_files
    }

    /// Whether jobs see the client's files at the client's own paths, system headers included.
    #[must_use]
    pub fn shows_own_paths(&self) -> bool {
        self.shared.namespaces.is_ok()
    }

    /// The `PATH` that a compiler gets: its own directory first.
    pub(crate) fn program_path(&self, compiler: &Path) -> OsString {
        self.shared.program_path(compiler)
    }

    /// The variables that a compiler gets besides its `PATH` and directory for temporary files: the daemon's, where the job has none of its own.
    pub(crate) fn environment(&self, own: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
        let is_own = |name: &OsString| own.iter().any(|(other, _)| other == name);
        let configured = self.shared.settings.environment.iter();
        let configured = configured.filter(|(name, _)| !is_own(name));
        configured.chain(own).cloned().collect()
    }

    /// How compilers are confined and how not, as a line for the log.
    #[must_use]
    pub fn describe_sandbox(&self) -> String {
        self.shared.sandbox.describe()
    }

    /// The view that jobs get, and why, as a line for the log.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.shared.namespaces {
            Ok(found) => format!("jobs see the client's files at the client's own paths ({found})"),
            Err(None) => {
                "jobs see the client's files below a temporary root, as configured".to_owned()
            }
            Err(Some(why)) => {
                format!("jobs see the client's files below a temporary root, because {why}")
            }
        }
    }
}

impl Shared {
    /// The `PATH` that a compiler gets: its own directory first.
    pub(crate) fn program_path(&self, compiler: &Path) -> OsString {
        let mut path = compiler
            .parent()
            .unwrap_or(Path::new("/"))
            .as_os_str()
            .to_owned();
        path.push(":");
        let configured = self.settings.compiler_path.as_deref();
        path.push(configured.unwrap_or(OsStr::new(Workshop::DEFAULT_PATH)));
        path
    }
}
