//! Bodies of the fuzz targets about what a compiler made of a client's sources. Owns no state.

use std::borrow::Cow;
use std::path::PathBuf;

use memchr::memmem;
use object::{Object, ObjectSection};

use super::leak::{DECOMPRESSED, mentions};
use super::{argv, deps, without_root};
use crate::tree::{JobLimits, Layout, Tree};

/// Where the server laid out the client's files.
const ROOT: &[u8] = b"/t/r";

/// A dependency file. No name is longer than what stands there, and names that are written as compilers write them are read as they were.
pub(crate) fn dependencies(data: &[u8]) {
    let files = deps::prerequisites(data);
    let total: usize = files.iter().map(|file| file.len()).sum();
    assert!(total <= data.len() && files.iter().all(|file| !file.is_empty()));
    let names: Vec<&[u8]> = data
        .split(|&byte| matches!(byte, b'\n' | b'\0'))
        // Compilers' files are not clear about a backslash at the end or before a colon.
        .filter(|name| !name.is_empty() && !name.trim_ascii_end().ends_with(b"\\"))
        .filter(|name| memmem::find(name, b"\\:").is_none())
        .collect();
    let mut rules = b"a.o:".to_vec();
    for name in &names {
        rules.extend_from_slice(b" \\\n ");
        for (at, byte) in name.iter().enumerate() {
            match byte {
                b' ' | b'\t' => {
                    let before = name[..at].iter().rev();
                    let backslashes = before.take_while(|&&byte| byte == b'\\').count();
                    rules.extend(std::iter::repeat_n(b'\\', backslashes + 1));
                }
                b'#' => rules.push(b'\\'),
                b'$' => rules.push(b'$'),
                _ => {}
            }
            rules.push(*byte);
        }
    }
    rules.extend_from_slice(b"\n\nother.h:\n");
    let read = deps::prerequisites(&rules);
    assert_eq!(read, names.into_iter().map(Cow::from).collect::<Vec<_>>());
}

/// What a compiler printed: nothing of the root is left, also not of what was around a mention of it; the rest stays.
pub(crate) fn mentions_of_root(data: &[u8]) {
    let (first, last) = (&b"/t"[..], &b"/r"[..]);
    for root in [ROOT, b"/", first, last] {
        let text = without_root(data, root);
        assert!(memmem::find(&text, root).is_none());
        assert_eq!((data.len() - text.len()) % root.len(), 0);
        if memmem::find(data, root).is_none() {
            assert_eq!(text, data);
        }
        assert_eq!(without_root(&text, root), text);
    }
}

/// An object that mentions a path in plain mentions it. Of one that mentions none, all compressed sections were looked into, and they were not large.
pub(crate) fn object(data: &[u8]) {
    let found = mentions(data, ROOT);
    assert!(found || memmem::find(data, ROOT).is_none());
    let with = [data, b"/t", b"/r/a.c"].concat();
    assert!(mentions(&with, ROOT));
    let Ok(file) = object::File::parse(data) else {
        return;
    };
    let mut claimed = 0_u64;
    for section in file.sections() {
        let Ok(section) = section.compressed_data() else {
            assert!(found);
            return;
        };
        if section.format != object::CompressionFormat::None {
            claimed = claimed.saturating_add(section.uncompressed_size);
        }
    }
    assert!(found || claimed <= DECOMPRESSED);
}

/// A command line, words ended by NUL, for files below a root: it is the client's with the root in front of some paths, with the server's maps behind the compiler, and
/// with maps for the client's own right behind the last of those.
pub(crate) fn words_below_root(data: &[u8]) {
    if memmem::find(data, ROOT).is_some() {
        return;
    }
    let words: Vec<Vec<u8>> = data.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    let tree = Tree::planned(PathBuf::from("/t/r"), Layout::BelowRoot, JobLimits::DEFAULT);
    let maps = [b"-ffile-prefix-map=/t/r=".to_vec()];
    let moved = argv(&words, &tree, ROOT, &maps);
    assert_eq!(moved[1], maps[0]);
    let client = [&moved[..1], &moved[1 + maps.len()..]].concat();
    let own = client.len() - words.len();
    let is_map = |word: &Vec<u8>| memmem::find(word, b"-prefix-map=/").is_some();
    assert!(own <= words.iter().filter(|word| is_map(word)).count());
    let stays = |(now, before): &(&Vec<u8>, &Vec<u8>)| without_root(now, ROOT) == **before;
    let same = client.iter().zip(&words).take_while(stays).count();
    // The first of ours may be as the client's next word is without the root.
    let start = (0..=same).rev().find(|&at| {
        let rest = client[at + own..].iter().zip(&words[at..]);
        rest.clone().all(|pair| stays(&pair))
    });
    let start = start.expect("the client's words, and ours in one place among them");
    assert!(own == 0 || is_map(&words[start - 1]));
    assert!(client[start..start + own].iter().all(is_map));
}
