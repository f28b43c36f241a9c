//! No room for what is written.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::session::Session;

/// A small file system of its own, in a directory that stock's dialogue can use.
struct Small(PathBuf);

impl Small {
    /// `None` where this user may not mount.
    fn mounted() -> Option<Self> {
        let directory = tempfile::Builder::new()
            .prefix("small-")
            .tempdir_in("/tmp")
            .unwrap()
            .keep();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(&directory)
            .status();
        if status.is_ok_and(|status| status.success()) {
            return Some(Self(directory));
        }
        std::fs::remove_dir(directory).unwrap();
        eprintln!("skipped: no file system can be mounted");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A lazy one, in case somebody still looks at it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_full_temporary_directory() {
    let Some(small) = Small::mounted() else {
        return;
    };
    let session = Session::with_mirror(&small.0);
    session.lives_on();
    let mut state = 3u64;
    let noise: Vec<u8> = (0..2_000_000)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            b'a' + (state >> 40) as u8 % 26
        })
        .collect();
    session.write("large.c", [b"/* ", noise.as_slice(), b" */\n"].concat());
    let large = session.query("/usr/bin/gcc -c large.c");
    for _ in 0..3 {
        // Stock's client preprocesses at home; ours needs no files.
        assert!(session.ask_stock(&large).is_empty());
        assert_eq!(session.ask(&large), Ok(1));
        session.lives_on();
    }
    // Now with not a byte left.
    let filler = small.0.join("filler");
    let _ = std::fs::write(&filler, vec![1; 1 << 20]);
    session.write("other.c", "int other;\n");
    let other = session.query("/usr/bin/gcc -c other.c");
    assert!(session.ask_stock(&other).is_empty());
    assert_eq!(session.ask(&other), Ok(1));
    std::fs::remove_file(filler).unwrap();
    assert!(!session.ask_stock(&other).is_empty());
}

#[test]
fn a_temporary_directory_that_is_not_there() {
    let session = Session::with_mirror(Path::new("/nonexistent/directory"));
    let query = session.query("/usr/bin/gcc -c good.c");
    assert!(session.ask_stock(&query).is_empty());
    assert_eq!(session.ask(&query), Ok(2));
}
