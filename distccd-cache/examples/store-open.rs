//! Measures the header store: how long opening takes with many blobs in it, and what each call costs.
//!
//! `cargo run --release -p distccd-cache --example store-open -- DIRECTORY [BLOBS]` makes a store in DIRECTORY, which must
//! not be there yet, with BLOBS (a million) files of 8,000 bytes without blocks, and leaves it there.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use distccd_cache::store::{Digest, Store};

const LIMIT: u64 = 1 << 50;
/// Blobs for measuring calls.
const CALLS: u64 = 10_000;
/// The mean size of a header, in bytes.
const SIZE: usize = 7500;
/// Blobs that one job needs.
const JOB: u64 = 1200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = PathBuf::from(
        arguments
            .next()
            .ok_or("usage: store-open DIRECTORY [BLOBS]")?,
    );
    let blobs = match arguments.next() {
        Some(number) => number.to_string_lossy().parse()?,
        None => 1_000_000,
    };
    if dir.exists() {
        return Err(format!("{} exists", dir.display()).into());
    }
    drop(Store::open(&dir, LIMIT)?);
    fill(&dir, blobs)?;

    let start = Instant::now();
    let store = Store::open(&dir, LIMIT)?;
    println!("open after a crash: serves after {:?}", start.elapsed());
    while store.statistics().counting {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!(
        "  all {} counted after {:?}",
        store.statistics().blobs,
        start.elapsed()
    );
    let start = Instant::now();
    drop(store);
    println!("close: {:?}", start.elapsed());
    for _ in 0..3 {
        let start = Instant::now();
        let store = Store::open(&dir, LIMIT)?;
        println!("open after a clean end: {:?}", start.elapsed());
        if store.statistics().counting {
            return Err("it counts after a clean end".into());
        }
    }
    calls(&Store::open(&dir, LIMIT)?)?;

    // One shard in 256 has to go by a quarter of a thousandth of all.
    let bytes = Store::open(&dir, LIMIT)?.statistics().bytes;
    let store = Store::open(&dir, bytes)?;
    let blob = content(CALLS);
    let start = Instant::now();
    store.put(blake3::hash(&blob).into(), &blob)?;
    let statistics = store.statistics();
    println!(
        "a put that evicts: {:?} for {} blobs",
        start.elapsed(),
        statistics.evicted
    );
    Ok(())
}

/// Makes files that are named like blobs.
fn fill(dir: &Path, blobs: u64) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    for shard in 0..256 {
        fs::create_dir_all(dir.join(format!("blobs/{shard:02x}")))?;
    }
    for number in 0..blobs {
        let name = blake3::hash(&number.to_le_bytes()).to_hex();
        let (shard, rest) = name.split_at(2);
        File::create(dir.join("blobs").join(shard).join(rest))?.set_len(8000)?;
    }
    println!("{blobs} blobs made in {:?}", start.elapsed());
    Ok(())
}

fn content(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    blake3::Hasher::new()
        .update(&number.to_be_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Measures each call, many times.
fn calls(store: &Store) -> Result<(), Box<dyn Error>> {
    let blobs: Vec<(Digest, Vec<u8>)> = (0..CALLS)
        .map(|number| {
            let bytes = content(number);
            (blake3::hash(&bytes).into(), bytes)
        })
        .collect();
    measure("put, new", || {
        for (digest, bytes) in &blobs {
            store.put(*digest, bytes)?;
        }
        Ok(())
    })?;
    measure("put, there already", || {
        for (digest, bytes) in &blobs {
            store.put(*digest, bytes)?;
        }
        Ok(())
    })?;
    measure("get", || {
        for (digest, _) in &blobs {
            store.get(digest)?.ok_or("it is there")?;
        }
        Ok(())
    })?;
    measure("contains", || {
        let there = blobs.iter().filter(|(digest, _)| store.contains(digest));
        (there.count() == blobs.len())
            .then_some(())
            .ok_or_else(|| "all are there".into())
    })?;
    measure("claim, when there", || {
        let there = blobs
            .iter()
            .filter(|(digest, _)| store.claim(*digest).is_none());
        (there.count() == blobs.len())
            .then_some(())
            .ok_or_else(|| "all are there".into())
    })?;
    let job = || blobs.iter().map(|(digest, _)| *digest).take(JOB as usize);
    let start = cpu();
    let pins = store.pin(job());
    println!("pin {JOB}: {:?} CPU", cpu() - start);
    let start = cpu();
    let missing = pins.missing();
    println!(
        "which of them are missing ({}): {:?} CPU",
        missing.len(),
        cpu() - start
    );
    let start = cpu();
    drop(pins);
    println!("unpin them: {:?} CPU", cpu() - start);
    let start = cpu();
    let claims: Vec<_> = (0..JOB)
        .map(|number| store.claim(*blake3::hash(&number.to_be_bytes()).as_bytes()))
        .collect();
    println!(
        "claim {} that are missing: {:?} CPU",
        claims.len(),
        cpu() - start
    );
    let start = cpu();
    drop(claims);
    println!("give them back: {:?} CPU", cpu() - start);
    Ok(())
}

fn measure(
    what: &str,
    calls: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let start = cpu();
    calls()?;
    let each = (cpu() - start) / u32::try_from(CALLS)?;
    println!("{what}: {each:?} CPU each");
    Ok(())
}

/// This thread's CPU time: the machine may be busy with other things.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
