//! Identities are asked for once while nothing changes.

use std::sync::Barrier;
use std::time::Duration;

use toolchain::{IdentifyError, Identities, Language, Question};

use crate::support::{Fake, LIMIT, ask, question, settled, usual, variables};

#[test]
fn jobs_that_ask_at_once_ask_once() {
    let fake = Fake::new("honest");
    let compiler = fake.compiler();
    settled(|| ask(&compiler, Language::C).unwrap());
    let environment = usual();
    let question = question(&compiler, &environment);
    let identities = Identities::new(LIMIT);
    let before = fake.starts();
    let barrier = Barrier::new(8);
    let found: Vec<_> = std::thread::scope(|scope| {
        let ask = || {
            barrier.wait();
            identities.identity(&question).unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(fake.starts(), before + 1);
    assert!(found.iter().all(|identity| *identity == found[0]));
    // Other variables of the user's do not count, another PATH does.
    let environment = variables(&[("PATH", "/usr/bin:/bin"), ("MAKELEVEL", "2")]);
    let other = Question {
        environment: &environment,
        ..question
    };
    identities.identity(&other).unwrap();
    assert_eq!(fake.starts(), before + 1);
    let environment = variables(&[("PATH", "/bin:/usr/bin")]);
    let other = Question {
        environment: &environment,
        ..question
    };
    identities.identity(&other).unwrap();
    assert_eq!(fake.starts(), before + 2);
    // An upgrade.
    fake.set("new");
    std::fs::copy("/usr/bin/as", fake.path("cc1.new")).unwrap();
    std::fs::rename(fake.path("cc1.new"), fake.path("cc1")).unwrap();
    let upgraded = identities.identity(&question).unwrap();
    assert_ne!(upgraded, found[0]);
    assert!(upgraded.banner.ends_with("for fake-new"));
}

#[test]
fn a_compiler_that_hung_is_not_asked_again_until_it_is_another() {
    let fake = Fake::new("hang");
    let compiler = fake.compiler();
    let environment = usual();
    let question = question(&compiler, &environment);
    let identities = Identities::new(Duration::from_secs(2));
    for _ in 0..3 {
        let found = identities.identity(&question);
        assert!(matches!(found, Err(IdentifyError::Run { .. })));
    }
    assert_eq!(fake.starts(), 1);
    fake.set("honest");
    let copy = fake.path("copy");
    std::fs::copy(&compiler, &copy).unwrap();
    std::fs::rename(copy, &compiler).unwrap();
    identities.identity(&question).unwrap();
}

#[test]
fn other_failures_are_not_remembered() {
    let fake = Fake::new("crash");
    let compiler = fake.compiler();
    let environment = usual();
    let question = question(&compiler, &environment);
    let identities = Identities::new(LIMIT);
    identities.identity(&question).unwrap_err();
    fake.set("honest");
    identities.identity(&question).unwrap();
}
