//! Bytes that change on the disk.

use std::fs;
use std::path::PathBuf;

use distccd_cache::store::{Store, StoreError};

use crate::support::*;

const BLOBS: u64 = 12;

fn record_of(number: u64) -> Vec<u8> {
    blob(number + 500, 200)
}

fn name_of(number: u64) -> [u8; 32] {
    [u8::try_from(number).expect("small"); 32]
}

/// Changes one bit of one file of the store at a time: what is given is right or nothing, whichever it was.
#[test]
fn a_bit_of_any_file() {
    let (_temp, dir) = place();
    let fill = |store: &Store| {
        for number in 0..BLOBS {
            put(store, &blob(number, 150));
            store
                .put_record(name_of(number), &record_of(number))
                .expect("it takes a record");
        }
    };
    fill(&open(&dir, LARGE));
    let (mut damaged, mut dice) = (0, 1_u64);
    for round in 0..300 {
        let top = ["pumphouse-store", "state", "lock"].map(|name| dir.join(name));
        let mut all: Vec<PathBuf> = files(&dir);
        all.extend(top.into_iter().filter(|path| path.exists()));
        all.sort();
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let victim = &all[(dice >> 33) as usize % all.len()];
        let mut bytes = fs::read(victim).expect("it is there");
        let before = bytes.clone();
        let at = (dice >> 13) as usize % (bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        fs::write(victim, &bytes).expect("it is ours");

        let store = match Store::open(&dir, LARGE) {
            Ok(store) => store,
            Err(error) => {
                // Its mark is not what it was: it is left alone, whatever it is.
                assert!(matches!(error, StoreError::OtherFormat { .. }), "{error}");
                assert!(victim.ends_with("pumphouse-store"), "{error}");
                fs::write(victim, before).expect("it is ours");
                continue;
            }
        };
        for number in 0..BLOBS {
            let blob = blob(number, 150);
            let got = get(&store, &digest(&blob));
            assert!(got.is_none_or(|got| got == blob), "{round}: {victim:?}");
            let got = store.record(&name_of(number)).expect("it can be read");
            assert!(
                got.is_none_or(|got| got == record_of(number)),
                "{round}: {victim:?}"
            );
        }
        damaged += store.statistics().damaged;
        fill(&store);
        assert_totals(&store, &dir);
    }
    assert!(damaged > 200, "{damaged}: most files are blobs and records");
}
