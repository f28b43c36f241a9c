//! What contents weigh compressed: the yardstick of `scripts/bench-wire.py`, which has no LZO at hand.
//!
//! Reads file names, one a line, from standard input. Prints for each distinct content one line with tabs between: bytes plain, as an LZO
//! block, as a zstd frame of its own, and the first name that had it. The last line is the sum of all, and all of them as one
//! zstd stream in the order of the names, in packs as the bundle dialect makes them.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use protocol::bundle::block::{Codec, Effort, put_block};
use protocol::bundle::digest::Digest;
use protocol::bundle::pack::PACK_BYTES;

/// Bytes of `plain` as a block of `codec`, its few bytes of frame included.
fn packed(plain: &[u8], codec: Codec) -> usize {
    let mut out = Vec::new();
    put_block(&mut out, plain, codec, Effort::Thorough);
    out.len()
}

fn main() -> io::Result<()> {
    let mut seen = HashSet::new();
    let mut sums = [0; 4];
    let mut pack = Vec::new();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().split(b'\n') {
        let name = OsString::from_vec(line?);
        let content = std::fs::read(&name).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", name.display()))
        })?;
        if !seen.insert(Digest::of(&content)) {
            continue;
        }
        if pack.len() + content.len() > PACK_BYTES {
            sums[3] += packed(&pack, Codec::Zstd);
            pack.clear();
        }
        pack.extend_from_slice(&content);
        let sizes = [
            content.len(),
            protocol::lzo::compress(&content).len(),
            packed(&content, Codec::Zstd),
        ];
        write!(out, "{}\t{}\t{}\t", sizes[0], sizes[1], sizes[2])?;
        out.write_all(name.as_bytes())?;
        writeln!(out)?;
        for (sum, size) in sums.iter_mut().zip(sizes) {
            *sum += size;
        }
    }
    sums[3] += packed(&pack, Codec::Zstd);
    writeln!(
        out,
        "sum\t{}\t{}\t{}\t{}",
        sums[0], sums[1], sums[2], sums[3]
    )?;
    out.flush()
}
