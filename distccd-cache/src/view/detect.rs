//! Whether this system lets the daemon's user make namespaces, found out by doing it. Owns no state.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::path::Path;

use crate::child::{self, Access, MountStep, Stage, StartError};
use crate::confinement::Confinement;
use crate::tree::{JobDir, JobLimits, Layout, Planned, Tree, TreeError};
use crate::view::layers::{MemoryBytes, Spots, root_overlay};
use crate::view::namespace;
use crate::view::skeleton::{Skeleton, bind};

/// Which of the things that the namespace view can use were found to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// A `/proc` of the namespace's own can be mounted. Compilers work without.
    pub proc: bool,
    /// Directories can be merged, which clients need whose files lie below a toolchain's directories.
    pub overlay: bool,
    /// A job's own files can be laid upon a tree that outlives it; else all of its files are written for each job.
    pub root_overlay: bool,
}

impl fmt::Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("user, mount, pid and ipc namespaces")?;
        f.write_str(if self.proc {
            ", own /proc"
        } else {
            ", no /proc"
        })?;
        f.write_str(if self.overlay {
            ", overlays"
        } else {
            ", no overlays"
        })?;
        f.write_str(if self.root_overlay {
            ", trees kept between jobs"
        } else {
            ", no overlay in the temporary directory, so no trees kept between jobs"
        })
    }
}

/// Why there can be no namespace view.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The trial's directory could not be made ready.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file for the trial could not be opened.
    #[error("a trial could not be prepared: {0}")]
    Io(#[from] io::Error),
    /// The system refused.
    #[error("this system refuses namespaces to the daemon's user: {0}")]
    Refused(String),
    /// A program ran in the namespace but not to a good end.
    #[error("a program in a trial namespace ended with {0}")]
    TrialFailed(String),
}

/// Runs a program in a namespace view with nothing of a client in it.
///
/// # Errors
/// See [`NamespaceError`].
pub(crate) fn try_namespaces(job: &JobDir) -> Result<Namespaces, NamespaceError> {
    // A process that changed its user is not dumpable, and then /proc/self/uid_map belongs to root.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable);
    let mut tree = Tree::new(job, Layout::OwnPaths, JobLimits::DEFAULT)?;
    let everything = Namespaces {
        proc: true,
        overlay: true,
        root_overlay: false,
    };
    let mut plan = namespace::Plan::new(job, &mut tree, everything, None)?;
    let proc_step = plan
        .steps
        .iter()
        .position(|step| matches!(step, MountStep::Proc { .. }));
    let overlay_step = plan.steps.len();
    plan.steps.push(namespace::overlay(
        &job.root(),
        Path::new("/usr"),
        &job.view().join("mnt"),
        Access::ReadOnly,
    )?);
    tree.make_dirs(b"/mnt")?;
    let mut found = everything;
    let mut launch = child::Launch {
        program: c"/bin/sh".into(),
        argv: vec![c"sh".into(), c"-c".into(), c"exit 0".into()],
        environment: Vec::new(),
        cwd: c"/".into(),
        streams: crate::child::null_streams()?,
        nice: 0,
        new_root: Some(plan.into_new_root()?),
        confinement: Confinement::default(),
    };
    loop {
        let error = match child::start(&launch) {
            Ok(mut child) => {
                let (status, _) = child.reap();
                return if status.success() {
                    Ok(found)
                } else {
                    Err(NamespaceError::TrialFailed(status.to_string()))
                };
            }
            Err(error) => error,
        };
        let steps = launch.new_root.as_mut().map(|root| &mut root.steps);
        match (error, steps) {
            // All of the view was built; that there is no shell is no matter.
            (
                StartError {
                    stage: Stage::Exec, ..
                },
                _,
            ) => return Ok(found),
            (
                StartError {
                    stage: Stage::Mount(index),
                    ..
                },
                Some(steps),
            ) if index == overlay_step && found.overlay => {
                found.overlay = false;
                steps.pop();
            }
            (
                StartError {
                    stage: Stage::Mount(index),
                    ..
                },
                Some(steps),
            ) if Some(index) == proc_step && found.proc => {
                found.proc = false;
                // Keeps the other steps' indices: the directory is bound to itself instead.
                let proc_dir = crate::child::c_string(job.view().join("proc").into_os_string())?;
                steps[index] = MountStep::Bind {
                    source: proc_dir.clone(),
                    target: proc_dir,
                    access: Access::Same,
                };
            }
            (error, _) => return Err(NamespaceError::Refused(error.to_string())),
        }
    }
}

/// Tries to write a file through an overlay of memory upon a directory, as bundle jobs do.
pub(crate) fn try_root_overlay(job: &JobDir) -> Result<bool, NamespaceError> {
    let lower = job.root();
    let mut tree = Tree::at(lower.clone(), Layout::OwnPaths, JobLimits::DEFAULT)?;
    let skeleton = Skeleton::lay(&mut tree, false)?;
    let spots = Spots::below(job.path());
    for spot in [&spots.base, &spots.memory] {
        std::fs::create_dir(spot)?;
    }
    let plan = vec![Planned::File(b"/given".to_vec(), b"given".to_vec(), 0)];
    let mut steps = Vec::new();
    let memory = MemoryBytes(1 << 20);
    if root_overlay(&spots, memory, plan, &lower, &mut steps).is_err() {
        return Ok(false);
    }
    steps.push(bind(&spots.base, &spots.view, "", Access::Same)?);
    skeleton.mount_roots(&spots.view, &mut steps)?;
    let script = c"read x < /given; echo $x > /trial";
    let launch = child::Launch {
        program: c"/bin/sh".into(),
        argv: vec![c"sh".into(), c"-c".into(), script.into()],
        environment: Vec::new(),
        cwd: c"/".into(),
        streams: crate::child::null_streams()?,
        nice: 0,
        new_root: Some(child::NewRoot {
            uid_map: id_map(rustix::process::geteuid().as_raw())?,
            gid_map: id_map(rustix::process::getegid().as_raw())?,
            steps,
            root: crate::child::c_string(spots.view.clone().into_os_string())?,
            toolchains: skeleton.roots.clone(),
            kept: Some(crate::child::c_string(spots.upper().into_os_string())?),
        }),
        confinement: Confinement::default(),
    };
    let mut child = match child::start(&launch) {
        Ok(child) => child,
        // All of the view was built; that there is no shell is no matter.
        Err(error) => return Ok(error.stage == Stage::Exec),
    };
    let (status, _) = child.reap();
    let Some(upper) = child.take_kept() else {
        return Ok(false);
    };
    let mut written = Tree::planned(spots.upper(), Layout::OwnPaths, JobLimits::DEFAULT);
    written.made(upper);
    let trial = written.read_output(b"/trial", 100)?;
    Ok(status.success() && trial.as_deref() == Some(b"given\n"))
}

/// A line that maps the daemon's own id to nobody's in the namespace, so that no program there is root.
pub(crate) fn id_map(own: u32) -> Result<CString, io::Error> {
    crate::child::c_string(format!("65534 {own} 1\n").into())
}
