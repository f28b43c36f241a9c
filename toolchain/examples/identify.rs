//! Prints who each of the compilers named is, what it costs to ask, and what it costs to see that nothing has changed.
//! `cargo run --release -p toolchain --example identify -- /usr/bin/gcc /usr/bin/clang++`

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use toolchain::{Language, Question, identify};

fn main() {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    for compiler in std::env::args_os().skip(1) {
        let compiler = Path::new(&compiler);
        let is_cxx = compiler.to_string_lossy().contains("++");
        let question = Question {
            compiler,
            language: if is_cxx { Language::Cxx } else { Language::C },
            external_assembler: false,
            environment: &environment,
        };
        let start = Instant::now();
        let (identity, evidence) = match identify(&question, Duration::from_secs(10)) {
            Ok(found) => found,
            Err(error) => {
                println!("{error}");
                continue;
            }
        };
        let asked = start.elapsed();
        const TIMES: u32 = 1000;
        let start = Instant::now();
        let held = (0..TIMES).filter(|_| evidence.holds()).count();
        let holds = start.elapsed() / TIMES;
        println!("{}: {}", compiler.display(), identity.banner);
        let digests = [
            ("alike", identity.alike),
            ("description", identity.description),
            ("exact", identity.exact),
        ];
        for (name, digest) in digests {
            let digits: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
            println!("  {name} {digits}");
        }
        let names = evidence.paths().count();
        if std::env::var_os("NAMES").is_some() {
            evidence
                .paths()
                .for_each(|path| println!("  {}", path.display()));
        }
        println!(
            "  asked in {asked:?}; {names} names, held {held} of {TIMES} times, each in {holds:?}"
        );
    }
}
