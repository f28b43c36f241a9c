//! What a process may not do any more once it is a compiler. Owns no state: a [`Confinement`] is made ready before the process is, and the process
//! puts itself into it between clone and exec, by plain system calls only.
//!
//! Five layers, each of use without the others: limits of resources, a control group, rules for files (Landlock), a filter of system calls (seccomp),
//! and, beside this module, the namespaces of [`crate::view`]. Which of them this system has, [`crate::sandbox`] finds out.

mod calls;
mod cgroup;
mod filter;
mod landlock;
mod limits;

use std::sync::Arc;

pub(crate) use calls::Others;
pub(crate) use cgroup::{Exceeded, JobCgroup, end_group};
pub(crate) use filter::Filter;
pub(crate) use landlock::{Abi, Right, Rule, Ruleset};
pub(crate) use limits::{Limit, Resource};

/// All layers of one process. An empty one takes nothing away.
#[derive(Debug, Default)]
pub(crate) struct Confinement {
    /// What it may use.
    pub(crate) limits: Vec<Limit>,
    /// Where it and all its children are counted together.
    pub(crate) cgroup: Option<Arc<JobCgroup>>,
    /// Which files it may use.
    pub(crate) ruleset: Option<Ruleset>,
    /// Which system calls it may use.
    pub(crate) filter: Option<Arc<Filter>>,
}

/// A layer, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// A limit of resources.
    Limits,
    /// The control group.
    Cgroup,
    /// The rules for files.
    Landlock,
    /// The filter of system calls.
    Seccomp,
}

impl Layer {
    /// Its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limits => "a limit of resources",
            Self::Cgroup => "the control group",
            Self::Landlock => "Landlock",
            Self::Seccomp => "seccomp",
        }
    }
}

impl Confinement {
    /// Runs in the child, last before exec: no allocation, no lock, no panic. The process must have given up gaining privileges.
    ///
    /// # Errors
    /// The layer that failed; `errno` says why.
    pub(crate) fn enter(&self) -> Result<(), Layer> {
        if let Some(cgroup) = &self.cgroup {
            cgroup.enter().map_err(|()| Layer::Cgroup)?;
        }
        for limit in &self.limits {
            limit.set().map_err(|()| Layer::Limits)?;
        }
        if let Some(ruleset) = &self.ruleset {
            ruleset.enter().map_err(|()| Layer::Landlock)?;
        }
        if let Some(filter) = &self.filter {
            filter.enter().map_err(|()| Layer::Seccomp)?;
        }
        Ok(())
    }
}
