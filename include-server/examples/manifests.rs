//! What manifests of a project cost: bytes, and time when nothing has changed.
//! `cargo run --release -p include-server --example manifests -- auto COMMANDS.json`, where each command has `arguments`.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use include_server::answer::Answerer;
use include_server::facts::Freshness;
use protocol::bundle::manifest::Manifest;
use protocol::bundle::number::Body;
use protocol::include_dialogue::{Query, decode_manifest_answer};
use protocol::limits::Limits;

#[derive(serde::Deserialize)]
struct Command {
    directory: String,
    arguments: Vec<String>,
}

fn median<T: Copy + Ord>(list: &mut [T]) -> T {
    list.sort_unstable();
    list[list.len() / 2]
}

fn resident_megabytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    number.unwrap_or_default() / 1024
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(mode), Some(path)) = (arguments.next(), arguments.next()) else {
        eprintln!("manifests (auto|stat) COMMANDS.json [ROUNDS [sections]]");
        return;
    };
    let rounds = arguments
        .next()
        .map_or(6, |text| text.parse().expect("a number"));
    let sections_only = arguments.next().is_some();
    let freshness = Freshness::from_str(&mode, true).expect("a mode");
    let text = std::fs::read(path).expect("a readable file");
    let commands: Vec<Command> = serde_json::from_slice(&text).expect("commands");
    let search = std::env::var("PATH").unwrap_or_default();
    let queries: Vec<Query> = commands
        .into_iter()
        .map(|command| Query {
            cwd: command.directory.into_bytes(),
            environment: Some(vec![format!("PATH={search}").into_bytes()]),
            argv: command
                .arguments
                .into_iter()
                .map(String::into_bytes)
                .collect(),
        })
        .collect();
    let answerer = Answerer::new(Vec::new(), freshness, None).expect("an answerer");
    let mut sizes = Vec::new();
    let mut files = Vec::new();
    for round in 0..rounds {
        let mut times = Vec::new();
        (sizes, files) = (Vec::new(), Vec::new());
        let (mut doubts, mut length, mut runs, mut bodies) = (0, 0, 0, Duration::ZERO);
        for query in &queries {
            let start = Instant::now();
            if sections_only {
                doubts += usize::from(answerer.answer(query).is_err());
                times.push(start.elapsed());
                continue;
            }
            let Ok(offered) = answerer.offer(query) else {
                doubts += 1;
                continue;
            };
            let spent = start.elapsed();
            times.push(spent);
            bodies += spent;
            sizes.push(offered.body.len());
            let (manifest, _) = decode_manifest_answer(&offered.body).expect("an answer");
            let manifest = Manifest::take(&mut Body::new(manifest), &Limits::DEFAULT);
            let manifest = manifest.expect("a manifest");
            files.push(manifest.used.len());
            runs += manifest.used.runs().len();
            length = length.max(manifest.length);
        }
        let total: Duration = times.iter().sum();
        println!(
            "round {round}: {} offers, {doubts} doubts; time: all {total:.1?}, median {:.1?}; table {length}; runs {}; {} MB",
            times.len(),
            median(&mut times),
            runs / files.len().max(1),
            resident_megabytes(),
        );
    }
    if !sizes.is_empty() {
        let mut by_files: Vec<(usize, usize)> =
            files.iter().copied().zip(sizes.iter().copied()).collect();
        by_files.sort_unstable();
        println!("largest: (files, bytes) {:?}", by_files.last());
        println!(
            "bytes of MANI: median {}, most {}; files: median {}",
            median(&mut sizes.clone()),
            sizes.iter().max().expect("one"),
            median(&mut files)
        );
    }
}
