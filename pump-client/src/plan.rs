//! What is to become of a job: local (and why), preprocessed here, or pump mode. Pure.

use crate::environment::Environment;
use protocol::command_line::{
    CommandLine, Distribution, Item, LocalClass, LocalReason, Meaning, PlainReason,
    needs_make_quoting, verdict,
};
use std::os::unix::ffi::OsStrExt;

/// The plan for one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Run it here.
    Local {
        /// Why.
        reason: String,
        /// Which slots it takes.
        slots: LocalSlots,
    },
    /// Compile it elsewhere, in pump mode unless `pump` says why not.
    Remote {
        /// Why it is preprocessed here, if it must be.
        pump: Result<(), String>,
    },
}

/// Which of this machine's slots a local job takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalSlots {
    /// None: it costs nothing, or the distcc above holds one.
    None,
    /// A slot for preprocessors.
    Cpp,
    /// A slot for compiles.
    Compile,
}

/// Makes the plan. `cwd_alias` says that the shell's name of the working directory is not the kernel's.
#[must_use]
pub fn plan(command: &CommandLine, environment: &Environment, cwd_alias: bool) -> Plan {
    if environment.safeguard > 0 {
        return Plan::Local {
            reason: "distcc was called by distcc".into(),
            slots: LocalSlots::None,
        };
    }
    match verdict(command) {
        Distribution::Local(reason) => Plan::Local {
            slots: slots_for(&reason),
            reason: reason.to_string(),
        },
        Distribution::Remote { pump } => Plan::Remote {
            pump: pump
                .map_err(|reason: PlainReason| reason.to_string())
                .and_then(|()| {
                    more_reasons_for_plain(command, environment, cwd_alias).map_or(Ok(()), Err)
                }),
        },
    }
}

fn slots_for(reason: &LocalReason) -> LocalSlots {
    match reason {
        LocalReason::Option(LocalClass::NotACompile, _) => LocalSlots::None,
        LocalReason::PreprocessOnly | LocalReason::DependenciesOnly => LocalSlots::Cpp,
        _ => LocalSlots::Compile,
    }
}

/// What the command line's own verdict cannot know: the environment, and what servers do with protocol 3.
fn more_reasons_for_plain(
    command: &CommandLine,
    environment: &Environment,
    cwd_alias: bool,
) -> Option<String> {
    // Protocol 3 has one name for the directory, the kernel's; compilers write $PWD into debug information.
    let debug = |item: &Item| item.means() == Some(Meaning::Debug) && item.carrier.is_none();
    if cwd_alias && command.items().iter().any(debug) {
        return Some(
            "debug information names the working directory as $PWD does, by a link".into(),
        );
    }
    if let Some(name) = environment.include_path_variable {
        return Some(format!(
            "{name} is set, which changes the search path on this machine only"
        ));
    }
    if environment.sunpro_dependencies {
        return Some("SUNPRO_DEPENDENCIES is set, which servers do not heed".into());
    }
    let dependencies_output = environment
        .dependencies_output
        .as_ref()
        .map(|v| v.as_bytes());
    let quoted = command
        .dependency_targets(dependencies_output)
        .into_iter()
        .find(|(target, quoted)| *quoted && needs_make_quoting(target));
    if let Some((target, _)) = quoted {
        let target = String::from_utf8_lossy(&target).into_owned();
        return Some(format!(
            "the dependency target {target} needs quoting, which servers lose"
        ));
    }
    // A stock server would look for these paths on its own disk. Prefix maps are let through: a stock server's objects
    // then name its own directories in debug information, as they do without maps; ours heeds them.
    let lost = command
        .stock_server_cannot_relocate()
        .filter(|word| !word.windows(11).any(|part| part == b"prefix-map="))?;
    let word = String::from_utf8_lossy(lost).into_owned();
    Some(format!("{word} names a path that a server may not have"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_for(command: &str, change: impl FnOnce(&mut Environment)) -> Plan {
        let mut environment = Environment::default();
        change(&mut environment);
        let words: Vec<Vec<u8>> = command.split(' ').map(|w| w.as_bytes().to_vec()).collect();
        plan(&CommandLine::parse(&words), &environment, false)
    }

    fn word(plan: &Plan) -> String {
        match plan {
            Plan::Local { slots, .. } => format!("local {slots:?}"),
            Plan::Remote { pump: Ok(()) } => "pump".into(),
            Plan::Remote { pump: Err(reason) } => format!("plain: {reason}"),
        }
    }

    #[test]
    fn a_directory_behind_a_link_keeps_debug_information_at_home() {
        let words = |line: &str| -> Vec<Vec<u8>> { line.split(' ').map(|w| w.into()).collect() };
        let planned = |line: &str, alias| {
            word(&plan(
                &CommandLine::parse(&words(line)),
                &Environment::default(),
                alias,
            ))
        };
        assert_eq!(planned("gcc -g -c a.c", false), "pump");
        assert_eq!(planned("gcc -O2 -c a.c", true), "pump");
        let reason = "plain: debug information names the working directory as $PWD does, by a link";
        assert_eq!(planned("gcc -O2 -ggdb -c a.c", true), reason);
    }

    #[test]
    fn the_command_decides() {
        let table = [
            ("gcc -c a.c", "pump"),
            ("gcc -c a.c -o a.o -MD -MF a.d", "pump"),
            ("gcc --version", "local None"),
            ("gcc -E a.c", "local Cpp"),
            ("gcc a.o", "local Compile"),
            ("gcc -c conftest.c", "local Compile"),
            ("gcc -c a.i", "plain: the source is preprocessed already"),
            (
                "gcc -MD -c a.c -o a:b.o",
                "plain: the dependency target a:b.o needs quoting, which servers lose",
            ),
            ("gcc -c a.c -o a:b.o", "pump"),
            (
                "gcc --sysroot=/s -c a.c",
                "plain: --sysroot=/s names a path that a server may not have",
            ),
        ];
        for (command, expected) in table {
            assert_eq!(word(&plan_for(command, |_| ())), expected, "{command}");
        }
    }

    #[test]
    fn the_environment_decides() {
        let inside = plan_for("gcc -c a.c", |e| e.safeguard = 1);
        assert_eq!(word(&inside), "local None");
        let cpath = plan_for("gcc -c a.c", |e| e.include_path_variable = Some("CPATH"));
        assert!(word(&cpath).starts_with("plain: CPATH is set"));
    }
}
