//! Where the list of hosts comes from, and what is said when it is of no use.

use crate::support::Desk;

#[test]
fn the_variable_wins_over_the_file() {
    let desk = Desk::new();
    std::fs::create_dir(desk.at("state")).unwrap();
    std::fs::write(
        desk.at("state/hosts"),
        "# ours\na/3 b,lzo --localslots=9\n[::1]:99/1 # end\n",
    )
    .unwrap();
    let shown = desk.distcc("--show-hosts");
    shown.silent_success();
    assert_eq!(shown.stdout, "a/3\nb,lzo\n[::1]:99/1\n");
    assert_eq!(desk.distcc("-j").stdout, "8\n");
    let desk = desk.set("DISTCC_HOSTS", "c/2,down localhost");
    assert_eq!(desk.distcc("--show-hosts").stdout, "c/2,down\nlocalhost\n");
    assert_eq!(desk.distcc("-j").stdout, "4\n");
}

#[test]
fn randomize_keeps_the_set() {
    let desk = Desk::with_hosts("--randomize a b c d e f g h");
    let shown = desk.distcc("--show-hosts");
    let mut names: Vec<_> = shown.stdout.lines().collect();
    names.sort_unstable();
    assert_eq!(names.concat(), "abcdefgh");
}

#[test]
fn zeroconf_reads_what_a_helper_found() {
    let desk = Desk::with_hosts("+zeroconf");
    std::fs::create_dir_all(desk.at("state/zeroconf")).unwrap();
    // This test keeps the file, as the helper does.
    let lock = std::fs::File::create(desk.at("state/zeroconf/lock")).unwrap();
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    rustix::fs::fcntl_lock(&lock, exclusive).unwrap();
    let hosts = desk.at("state/zeroconf/hosts");
    std::fs::write(&hosts, "10.0.0.1:3632/8\n").unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    let times = std::fs::FileTimes::new().set_accessed(long_ago);
    let file = std::fs::File::options().write(true).open(&hosts).unwrap();
    file.set_times(times).unwrap();
    assert_eq!(desk.distcc("--show-hosts").stdout, "10.0.0.1:3632/8\n");
    let used = std::fs::metadata(&hosts).unwrap().accessed().unwrap();
    assert!(used > long_ago, "the helper learns that somebody looked");
    // Nobody is there.
    std::fs::write(&hosts, "").unwrap();
    let desk = desk.source("a.c", "int x;\n");
    desk.distcc("gcc -c a.c")
        .says(0, "+zeroconf has found no servers on the local network");
    assert!(desk.has("a.o"));
    // What was found is added to what is named.
    std::fs::write(&hosts, "10.0.0.1:3632/8\n").unwrap();
    let desk = desk.set("DISTCC_HOSTS", "a/3 +zeroconf");
    assert_eq!(desk.distcc("-j").stdout, "11\n");
    std::fs::write(&hosts, "nonsense,what\n").unwrap();
    let bad = desk.distcc("--show-hosts");
    bad.says(0, "unrecognized option \",what\"");
    assert_eq!(bad.stdout, "a/3\n");
}

#[test]
fn without_its_helper_zeroconf_finds_nobody() {
    let desk = Desk::with_hosts("+zeroconf").source("a.c", "int x;\n");
    let alone = desk.at("distcc");
    std::fs::copy(env!("CARGO_BIN_EXE_distcc-under-test"), &alone).unwrap();
    let run = |words: &str| {
        let mut command = desk.command(&alone, words);
        crate::support::Outcome::of(command.output().unwrap())
    };
    run("gcc -c a.c").says(0, "+zeroconf: cannot start");
    assert!(desk.has("a.o"));
    // Somebody else's program may keep the list.
    std::fs::write(desk.at("state/zeroconf/hosts"), "10.0.0.1\n").unwrap();
    assert_eq!(run("--show-hosts").stdout, "10.0.0.1\n");
    // A helper that fails at once holds up nobody.
    let desk = desk.program("pump", "#!/bin/sh\nexit 1\n");
    let beside = desk.at("bin/distcc");
    std::fs::copy(&alone, &beside).unwrap();
    let mut command = desk.command(&beside, "--show-hosts");
    let failed = crate::support::Outcome::of(command.output().unwrap());
    failed.says(116, "cannot look for hosts");
}

#[test]
fn no_hosts_is_a_warning_and_a_local_compile() {
    let desk = Desk::with_hosts("").source("a.c", "int x;\n");
    let outcome = desk.distcc("gcc -c a.c");
    outcome.says(
        0,
        "Warning: $DISTCC_HOSTS contained no hosts; can't distribute work",
    );
    assert!(desk.has("a.o"));
}

#[test]
fn a_bad_token_names_itself() {
    let desk = Desk::with_hosts("good b,what").source("a.c", "int x;\n");
    desk.distcc("gcc -c a.c").says(
        0,
        "unrecognized option \",what\" in host specification \"b,what\" (at byte 5)",
    );
    assert!(desk.has("a.o"));
    let desk = Desk::with_hosts("b,what")
        .set("DISTCC_FALLBACK", "0")
        .source("a.c", "int x;\n");
    assert_eq!(desk.distcc("gcc -c a.c").code, Some(116));
}

#[test]
fn localhost_needs_no_server() {
    let desk = Desk::with_hosts("localhost").source("a.c", "int x;\n");
    desk.distcc("gcc -c a.c").silent_success();
    assert!(desk.has("a.o"));
    assert!(desk.at("state/lock/cpu_localhost_0").exists());
}
