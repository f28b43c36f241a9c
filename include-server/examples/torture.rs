//! The mutation torture at length: changes a tree at random, asks one long-lived include server about compiles in it, and
//! compares each answer with the compiler's own and with the disk. Ends with 1 at the first stale answer and keeps the tree.

#[path = "../tests/torture/harness/mod.rs"]
mod harness;

use std::process::ExitCode;

use clap::Parser;
use harness::run::{Plan, run};
use harness::witness::Mode;

/// Changes a tree at random and looks for stale answers.
#[derive(Parser)]
struct Arguments {
    /// Changes to make.
    #[arg(long, default_value_t = 10_000)]
    mutations: usize,
    /// How the include server learns of changes.
    #[arg(long, default_value = "stat", value_parser = ["stat", "watch"])]
    mode: String,
    /// The same seed makes the same changes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many times as many changes before each comparison, to be faster.
    #[arg(long, default_value_t = 1)]
    density: usize,
    /// On a file system with coarse time stamps (ramfs, for which one must be root).
    #[arg(long)]
    coarse_times: bool,
    /// Ask through the service's sockets.
    #[arg(long)]
    service: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan {
        seed: arguments.seed,
        mutations: arguments.mutations,
        mode: match arguments.mode.as_str() {
            "watch" => Mode::Watch,
            _ => Mode::Stat,
        },
        through_service: arguments.service,
        density: arguments.density.max(1),
        coarse_times: arguments.coarse_times,
        progress: (arguments.mutations / 20).max(1),
    };
    match run(plan) {
        Ok(report) => {
            println!("seed {}: no stale answer\n{report}", plan.seed);
            ExitCode::SUCCESS
        }
        Err(difference) => {
            println!("{difference}");
            ExitCode::FAILURE
        }
    }
}
