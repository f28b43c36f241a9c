//! Compares the scanner with a compiler on random translation units, for as long as one likes:
//! `cargo run --release -p include-server --example fuzz-scanner -- --cases 100000 --seed 1 --jobs 2 --compiler g++`.
//!
//! Each failure is made small and printed as a test to paste. Exit status 1 when there was one.

#[allow(dead_code)]
#[path = "../tests/fuzz/differential/mod.rs"]
mod differential;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use differential::campaign::{Plan, Report, case, run, scratch_directory};
use differential::judge::{Judge, Way};
use include_server::facts::Freshness;

/// Compare the scanner with a compiler on random translation units.
#[derive(Debug, Parser)]
struct Arguments {
    /// The compiler: gcc, g++, clang-19, a cross compiler.
    #[arg(long, default_value = "gcc")]
    compiler: String,
    /// How many cases.
    #[arg(long, default_value_t = 1000)]
    cases: u64,
    /// The number of the first case.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Decides, with a case's number, everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Distinct option sets.
    #[arg(long, default_value_t = 60)]
    setups: u64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Stop a thread after so many failures.
    #[arg(long, default_value_t = 10)]
    failures: usize,
    /// Be sure of what is remembered by inotify instead of by stat.
    #[arg(long)]
    watch: bool,
    /// Only the case with this number.
    #[arg(long)]
    only: Option<u64>,
    /// With --only: leave the case in this directory, show how to run it, and what it shows.
    #[arg(long, requires = "only")]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let range = match arguments.only {
        Some(number) => number..number + 1,
        None => arguments.first..arguments.first + arguments.cases,
    };
    let plan = |job: u64, cases: std::ops::Range<u64>| Plan {
        compiler: arguments.compiler.clone(),
        seed: arguments.seed,
        cases,
        setups: arguments.setups,
        failures: arguments.failures,
        directory: scratch_directory(&format!("{job}")),
        freshness: match arguments.watch {
            true => Freshness::Watch,
            false => Freshness::Stat,
        },
        progress: true,
    };
    if let (Some(number), Some(directory)) = (arguments.only, &arguments.keep) {
        let mut plan = plan(0, range);
        plan.directory.clone_from(directory);
        return keep(&plan, number);
    }
    let jobs = arguments.jobs.max(1);
    let share = (range.end - range.start).div_ceil(jobs);
    let mut total = Report::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs)
            .map(|job| {
                let from = (range.start + job * share).min(range.end);
                let plan = plan(job, from..(from + share).min(range.end));
                let body = move || {
                    let report = run(&plan);
                    // What is left behind says more than this error would.
                    let _ = std::fs::remove_dir_all(&plan.directory);
                    report
                };
                let thread = std::thread::Builder::new().stack_size(16 << 20);
                thread.spawn_scoped(scope, body).expect("a thread")
            })
            .collect();
        for thread in threads {
            let report = thread.join().expect("a run that ends");
            total.merge(report.expect("a directory to work in"));
        }
    });
    println!("{} seed {}: {total}", arguments.compiler, arguments.seed);
    for failure in &total.failures {
        println!("{failure}");
    }
    ExitCode::from(u8::from(!total.failures.is_empty()))
}

fn keep(plan: &Plan, number: u64) -> ExitCode {
    differential::case::plant_leaves(&plan.directory).expect("a directory to work in");
    let directory = plan.directory.canonicalize().expect("a directory");
    let plan = Plan {
        directory,
        ..plan.clone()
    };
    let (case, _) = case(&plan, number, &plan.directory).expect("a case");
    case.plant(&plan.directory).expect("a tree");
    std::thread::sleep(differential::case::SETTLED);
    let mut judge = Judge::new(plan.freshness);
    println!("{} {:?}", plan.compiler, case.arguments());
    println!("{:#?}", judge.judge(&case, &plan.directory, Way::Driver));
    ExitCode::SUCCESS
}
