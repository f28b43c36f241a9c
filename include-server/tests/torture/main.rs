//! The mutation torture, a small part of it: some hundred changes in each mode. The long run is
//! `cargo run --release -p include-server --example torture -- --help`.

mod harness;

use harness::run::{Plan, run};
use harness::witness::Mode;

#[track_caller]
fn torture(mode: Mode, through_service: bool, mutations: usize) {
    let plan = Plan {
        seed: 1,
        mutations,
        mode,
        through_service,
        density: 1,
        coarse_times: false,
        progress: 0,
    };
    match run(plan) {
        Ok(report) => {
            println!("{report}");
            assert!(report.same > 0, "nothing was compared\n{report}");
            assert!(
                report.declines() * 3 < report.comparisons,
                "most was declined\n{report}"
            );
        }
        Err(difference) => panic!("{difference}"),
    }
}

#[test]
fn an_answerer_that_asks_at_each_request_is_never_stale() {
    torture(Mode::Stat, false, 400);
}

#[test]
fn a_service_that_asks_at_each_request_is_never_stale() {
    torture(Mode::Stat, true, 200);
}

#[test]
fn an_answerer_that_watches_is_never_stale() {
    torture(Mode::Watch, false, 400);
}

#[test]
fn a_service_that_watches_is_never_stale() {
    torture(Mode::Watch, true, 200);
}
