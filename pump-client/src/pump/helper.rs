//! A helper program of a session: started, watched, started again a few times, ended. Owns its process.

use super::error::PumpError;
use super::process::Process;
use std::process::{Child, Command};

/// How often a helper that stopped by itself is started again.
const RESTARTS: u32 = 5;

/// Makes the command that starts a helper; called again for each restart.
pub type Recipe = Box<dyn Fn() -> Result<Command, PumpError>>;

/// A program that serves the session.
pub struct Helper {
    name: &'static str,
    recipe: Recipe,
    child: Option<Child>,
    stops: u32,
}

/// What looking after a helper found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It runs, or was given up before.
    Unchanged,
    /// It had stopped and was started again.
    Restarted,
    /// It had stopped too often, or could not be started again.
    GivenUp,
}

impl Helper {
    /// Starts it. `name` is what a person calls it.
    ///
    /// # Errors
    /// When the program cannot be executed.
    pub fn start(name: &'static str, recipe: Recipe) -> Result<Self, PumpError> {
        let mut helper = Self {
            name,
            recipe,
            child: None,
            stops: 0,
        };
        helper.launch()?;
        Ok(helper)
    }

    fn launch(&mut self) -> Result<(), PumpError> {
        let mut command = (self.recipe)()?;
        let child = command.spawn().map_err(|cause| PumpError::Spawn {
            program: command.get_program().into(),
            cause,
        })?;
        self.child = Some(child);
        Ok(())
    }

    /// Starts it again if it has stopped.
    pub fn tend(&mut self) -> Health {
        if self.is_running() || self.child.is_none() {
            return Health::Unchanged;
        }
        self.child = None;
        self.stops += 1;
        if self.stops <= RESTARTS && self.launch().is_ok() {
            return Health::Restarted;
        }
        Health::GivenUp
    }

    /// Whether its process has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its process, while there is one.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        let pid = i32::try_from(self.child.as_ref()?.id()).ok()?;
        Process::of(pid).ok()
    }

    /// Ends it and waits for it.
    pub fn end(&mut self) {
        let process = self.process();
        let Some(mut child) = self.child.take() else {
            return;
        };
        let ended = process.is_none_or(|process| process.end().is_ok());
        if !ended {
            // A child that has become another user's: root may end it all the same, so this is not reached in practice.
            eprintln!(
                "pump: cannot end the {} (process {})",
                self.name,
                child.id()
            );
            return;
        }
        let _ = child.wait();
    }

    /// What happened to it, for the summary; nothing when it never stopped.
    #[must_use]
    pub fn incident(&self) -> Option<String> {
        let times = match self.stops {
            0 => return None,
            1 => "once".to_owned(),
            stops => format!("{stops} times"),
        };
        let outcome = if self.stops > RESTARTS {
            "and was given up"
        } else {
            "and was started again"
        };
        Some(format!("the {} stopped {times} {outcome}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn helper(script: &'static str) -> Helper {
        let recipe = move || {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Ok(command)
        };
        Helper::start("helper", Box::new(recipe)).expect("sh runs")
    }

    fn wait_until_stopped(helper: &mut Helper) {
        while helper.is_running() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_that_stops_is_started_again_but_not_forever() {
        let mut helper = helper("exit 0");
        for _ in 0..RESTARTS {
            wait_until_stopped(&mut helper);
            assert_eq!(helper.tend(), Health::Restarted);
        }
        assert_eq!(
            helper.incident().expect("it stopped"),
            "the helper stopped 5 times and was started again"
        );
        wait_until_stopped(&mut helper);
        assert_eq!(helper.tend(), Health::GivenUp);
        assert_eq!(helper.tend(), Health::Unchanged);
        assert_eq!(
            helper.incident().expect("it stopped"),
            "the helper stopped 6 times and was given up"
        );
    }

    #[test]
    fn ending_it_leaves_no_process() {
        let mut helper = helper("exec sleep 60");
        assert_eq!(helper.tend(), Health::Unchanged);
        let process = helper.process().expect("it runs");
        helper.end();
        assert!(!process.is_alive());
        assert_eq!(helper.incident(), None);
    }
}
