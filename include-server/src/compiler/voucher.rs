//! Why a remembered answer may still be believed: what stood at the paths that it came from.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::facts::{NodeId, Session};
use crate::files::Status;

/// One path and what was there, links followed, when an answer was made; of a directory only which one it was. The answer
/// holds while the same is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voucher {
    path: PathBuf,
    seen: Status,
}

impl Voucher {
    /// Vouches for the present state of the absolute `path`, absent or not.
    pub fn of(path: PathBuf, session: &mut Session<'_>) -> Self {
        let located = session.locate(NodeId::ROOT, path.as_os_str().as_bytes());
        let seen = session.status(&located);
        session.expect_no_reading(&located);
        Self { path, seen }
    }

    /// Whether `path` is still as it was.
    pub fn holds(&self, session: &mut Session<'_>) -> bool {
        look(&self.path, session) == self.seen
    }
}

fn look(path: &std::path::Path, session: &mut Session<'_>) -> Status {
    let located = session.locate(NodeId::ROOT, path.as_os_str().as_bytes());
    session.status(&located)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Facts, Freshness};

    #[test]
    fn a_voucher_falls_with_any_change_but_not_with_a_directorys_entries() {
        for freshness in [Freshness::Stat, Freshness::Auto] {
            let facts = Facts::new(freshness).unwrap();
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("cc1");
            let of = |path: &std::path::Path| Voucher::of(path.to_owned(), &mut facts.session());
            let holds = |voucher: &Voucher| voucher.holds(&mut facts.session());
            let absent = of(&file);
            let around = of(directory.path());
            assert!(holds(&absent) && holds(&around));
            std::fs::write(&file, "one").unwrap();
            assert!(!holds(&absent) && holds(&around));
            let present = of(&file);
            assert!(holds(&present));
            std::fs::write(&file, "three").unwrap();
            assert!(!holds(&present));
        }
    }
}
