//! Replays the committed fuzz corpora of all crates, and a bounded number of mutations of them, through the fuzz bodies. `fuzz-parsers`, an example of this
//! package, does so for as long as you like.

#[path = "../examples/fuzz-parsers/corpora.rs"]
mod corpora;

use corpora::{corpora, seeds};
use protocol::mutation::{Body, Dice, mutated};
use std::collections::BTreeSet;
use std::fs;

/// Mutations for each seed.
const MUTATIONS: usize = 1000;

/// Runs a crate's bodies on its corpora; each corpus has a body.
fn replay(of_crate: &str, bodies: &[Body]) {
    let there: BTreeSet<String> = fs::read_dir(corpora(of_crate))
        .unwrap()
        .map(|corpus| corpus.unwrap().file_name().into_string().unwrap())
        .collect();
    let known: BTreeSet<String> = bodies.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(there, known);
    for (name, body) in bodies {
        let seeds = seeds(of_crate, name);
        // Shown when the body fails.
        println!("{of_crate}: {name}");
        seeds.iter().for_each(|seed| body(seed));
        body(b"");
        let mut dice = Dice::new(1);
        for _ in 0..MUTATIONS * seeds.len() {
            body(&mutated(&mut dice, &seeds));
        }
    }
}

#[test]
fn messages() {
    replay("protocol", &protocol::fuzz::BODIES);
}

#[test]
fn what_compilers_and_programs_say_of_themselves() {
    replay("toolchain", &toolchain::fuzz::BODIES);
}

#[test]
fn what_the_include_server_reads_besides_sources() {
    replay("include-server", &include_server::fuzz::BODIES);
}

#[test]
fn what_clients_and_pump_read() {
    replay("pump-client", &pump_client::fuzz::BODIES);
}

#[test]
fn what_the_daemon_reads() {
    replay("distccd-cache", &distccd_cache::fuzz::BODIES);
}
