//! What a file costs the first time: `first-read FILES... < names` looks at each file that standard input names, reads it, and
//! reduces it to its directives, as a scan that meets it for the first time does.
//!
//! `include-server scan --compile-commands F` prints the names that a project reads (`deps`). Each step is timed by itself, so
//! that a change of the lexer or of the facts can be judged without a scan around it.

use std::hint::black_box;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use include_server::configuration::{CompilerFamily, Dialect, Language, LexingMode};
use include_server::facts::{End, Facts, Freshness, NodeId};
use include_server::files::FileContent;
use include_server::program::Program;

/// Time the first reading of files.
#[derive(Debug, Parser)]
struct Arguments {
    /// Lex as C++.
    #[arg(long)]
    cxx: bool,
    /// How often the directives are found; the file system is asked once only.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// How facts are vouched for.
    #[arg(long, value_enum, default_value_t = Freshness::Auto)]
    freshness: Freshness,
}

fn mode(cxx: bool) -> Option<LexingMode> {
    let (language, standard): (_, &[u8]) = match cxx {
        true => (Language::Cxx, b"gnu++17"),
        false => (Language::C, b"gnu17"),
    };
    let gcc = CompilerFamily::Gcc { major: 12 };
    Dialect::derive(language, gcc, Some(standard)).map(|dialect| dialect.lexing)
}

fn read(facts: &Facts, names: &[&str]) -> (Vec<Arc<FileContent>>, Duration, Duration) {
    let mut session = facts.session();
    let began = Instant::now();
    let found: Vec<_> = names
        .iter()
        .map(|name| session.locate(NodeId::ROOT, name.as_bytes()).end)
        .collect();
    let located = began.elapsed();
    let began = Instant::now();
    let contents = found
        .into_iter()
        .filter_map(|end| match end {
            End::At(node) => session.content(node).ok(),
            _ => None,
        })
        .collect();
    (contents, located, began.elapsed())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("standard input: {error}");
        return ExitCode::FAILURE;
    }
    let names: Vec<&str> = text
        .lines()
        .filter(|name| Path::new(name).is_absolute())
        .collect();
    let (Some(mode), Ok(facts)) = (mode(arguments.cxx), Facts::new(arguments.freshness)) else {
        eprintln!("inotify cannot be had");
        return ExitCode::FAILURE;
    };
    let (contents, located, read) = read(&facts, &names);
    let bytes: u64 = contents.iter().map(|content| content.size()).sum();
    let text = |content: &FileContent| content.bytes().expect("no file is put away here");
    let began = Instant::now();
    for content in &contents {
        let _ = black_box(content.program(mode));
    }
    let first = began.elapsed();
    let began = Instant::now();
    for _ in 1..arguments.rounds {
        for content in &contents {
            black_box(Program::build(&text(content), mode));
        }
    }
    let again = began.elapsed() / arguments.rounds.saturating_sub(1).max(1);
    let files = contents.len().max(1) as f64;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / files;
    let per_byte = |time: Duration| time.as_secs_f64() * 1e9 / bytes.max(1) as f64;
    println!(
        "{} files, {bytes} bytes; us per file: locate {:.2}, read {:.2}, directives {:.2} ({:.3} ns per byte), again {:.2} ({:.3})",
        contents.len(),
        each(located),
        each(read),
        each(first),
        per_byte(first),
        each(again),
        per_byte(again)
    );
    ExitCode::SUCCESS
}
