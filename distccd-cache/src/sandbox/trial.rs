//! Which layers work here, found out by running a shell under each. Owns no state.

use std::sync::Arc;

use super::cgroups::Cgroups;
use super::places::Places;
use super::said;
use crate::child::{self, Launch, Stage};
use crate::confinement::{Abi, Confinement, Filter, Others, Ruleset};

/// The filters for hidden and for seen processes, if they can be laid on a process.
pub(super) fn seccomp() -> Result<[Arc<Filter>; 2], String> {
    let filter = |others| {
        let filter = Filter::new(others).ok_or("there is no table for this kind of processor")?;
        Ok::<_, &str>(Arc::new(filter))
    };
    let [hidden, seen] = [filter(Others::Hidden)?, filter(Others::Seen)?];
    // This one refuses all that the other refuses.
    run(Confinement {
        filter: Some(Arc::clone(&seen)),
        ..Confinement::default()
    })?;
    Ok([hidden, seen])
}

/// The version of Landlock, if rules can be laid on a process.
pub(super) fn landlock(places: &Places) -> Result<Abi, String> {
    let abi = Abi::of_kernel().map_err(|error| said(&error))?;
    let rules = places.for_nothing();
    let confinement = Confinement {
        ruleset: Some(Ruleset { abi, rules }),
        ..Confinement::default()
    };
    run(confinement)?;
    Ok(abi)
}

/// Whether a process can be put into a group below.
pub(super) fn cgroups(cgroups: &Cgroups) -> Result<(), String> {
    let group = cgroups.of_job(None, 16).map_err(|error| said(&error))?;
    run(Confinement {
        cgroup: Some(Arc::new(group)),
        ..Confinement::default()
    })
}

fn run(confinement: Confinement) -> Result<(), String> {
    let launch = Launch {
        program: c"/bin/sh".into(),
        argv: vec![c"sh".into(), c"-c".into(), c"exit 0".into()],
        environment: Vec::new(),
        cwd: c"/".into(),
        streams: child::null_streams().map_err(|error| said(&error))?,
        nice: 0,
        new_root: None,
        confinement,
    };
    match child::start(&launch) {
        Ok(mut child) => match child.reap().0 {
            status if status.success() => Ok(()),
            status => Err(format!("a program under it ended with {status}")),
        },
        // The layer was laid; that there is no shell is no matter.
        Err(error) if error.stage == Stage::Exec && said(&error.source).contains("No such") => {
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}
