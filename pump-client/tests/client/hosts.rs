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
    let outcome = desk.distcc("--show-hosts");
    outcome.says(116, "+zeroconf is not built in yet");
    std::fs::create_dir_all(desk.at("state/zeroconf")).unwrap();
    std::fs::write(desk.at("state/zeroconf/hosts"), "10.0.0.1:3632/8\n").unwrap();
    assert_eq!(desk.distcc("--show-hosts").stdout, "10.0.0.1:3632/8\n");
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
