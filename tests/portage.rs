//! `FEATURES="distcc distcc-pump"` in today's Portage, by the hook in `packaging/portage`.
//!
//! Portage is PyPI's, in `target/portage` (`.ci/run` puts it there). `tests/portage` has what makes a directory a Gentoo
//! prefix for it, and a repository of five packages: three that Debian has sources of, and two of our own that change
//! headers while they are compiled. As root all of Portage's namespaces are on, and packages are built as `nobody`.

#[path = "../pump-client/tests/client/heeding.rs"]
mod heeding;
mod support;

use heeding::heeding;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use support::{Daemon, Maker, ours, peer, run, run_ok, scratch, wait_until};
use tempfile::TempDir;

/// The packages, and how many compiles of each have to be done in pump mode.
const PACKAGES: [(&str, usize); 5] = [
    ("popt", 10),
    ("zopfli", 15),
    ("lz4", 4),
    ("generated", 11),
    ("stages", 4),
];

/// A Gentoo prefix of the test's own.
struct Prefix {
    dir: TempDir,
    portage: PathBuf,
}

impl Prefix {
    /// `None` where Portage is missing.
    fn new(sources: &[&str]) -> Option<Self> {
        let programs = ours("distcc").parent()?.to_owned();
        let portage = programs.parent()?.join("portage");
        peer(portage.join("bin/ebuild").to_str()?)?;
        // Short, because a socket's name in a package's temporary directory has to fit.
        let dir = tempfile::Builder::new().prefix("gp.").tempdir().ok()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).ok()?;
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut prepare = Command::new(here.join("tests/portage/prepare.sh"));
        prepare.arg(dir.path()).arg(&portage).arg(&programs);
        for name in sources {
            let fetched = run_ok(Command::new(here.join("scripts/debian-source.sh")).arg(name));
            prepare.arg(String::from_utf8(fetched.stdout).ok()?.trim());
        }
        run_ok(&mut prepare);
        Some(Self { dir, portage })
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Sets what a user would.
    fn configure(&self, features: &str, more: &str) {
        let is_root = rustix::process::getuid().is_root();
        let name = |flag| {
            let said = run_ok(Command::new("id").arg(flag)).stdout;
            String::from_utf8(said).unwrap().trim().to_owned()
        };
        let (user, group) = match is_root {
            true => ("nobody".to_owned(), "nogroup".to_owned()),
            false => (name("-un"), name("-gn")),
        };
        // libsandbox is Gentoo's own; what it would allow is checked by looking at what was written.
        let text = format!(
            "PORTAGE_USERNAME=\"{user}\"\nPORTAGE_GRPNAME=\"{group}\"\n\
             FEATURES=\"-sandbox -usersandbox {features}\"\n{more}\n"
        );
        fs::write(self.root().join("etc/portage/make.conf/20-user"), text).unwrap();
    }

    /// Puts the hook in a file of Portage's configuration.
    fn hook(&self, file: &str) {
        let text = format!(
            "source {}/usr/share/distcc/pump.bashrc\n",
            self.root().display()
        );
        fs::write(self.root().join("etc/portage").join(file), text).unwrap();
    }

    /// `ebuild PACKAGE PHASE...`
    fn ebuild(&self, package: &str, phases: &[&str]) -> Command {
        let root = self.root();
        let mut command = Command::new(self.portage.join("bin/ebuild"));
        let recipe = format!("repository/app-pump/{package}/{package}-1.ebuild");
        command
            .arg(root.join(recipe))
            .args(phases)
            .env_clear()
            .env(
                "PATH",
                format!("{}/usr/bin:/usr/bin:/bin:/usr/sbin:/sbin", root.display()),
            )
            .env("PORTAGE_OVERRIDE_EPREFIX", root)
            .env("PORTAGE_CONFIGROOT", root)
            .env("HOME", root)
            .current_dir(root)
            .stdin(Stdio::null());
        command
    }

    fn build_dir(&self, package: &str) -> PathBuf {
        let below = format!("var/tmp/portage/app-pump/{package}-1");
        self.root().join(below)
    }

    /// All packages at once, as `emerge --jobs` does, and their images.
    fn build_all(&self) -> BTreeMap<&'static str, Image> {
        let start = |(package, _): (&'static str, usize)| -> (&str, Child) {
            let mut command = self.ebuild(package, &["clean", "install"]);
            let log = fs::File::create(self.root().join(format!("{package}.out"))).unwrap();
            command.stdout(log.try_clone().unwrap()).stderr(log);
            (package, command.spawn().unwrap())
        };
        let running = PACKAGES.map(start);
        let mut images = BTreeMap::new();
        for (package, mut child) in running {
            let status = child.wait().unwrap();
            assert!(status.success(), "{}", self.said(package));
            images.insert(package, image(&self.build_dir(package).join("image")));
        }
        images
    }

    /// What `ebuild` printed for a package that was built with others.
    fn said(&self, package: &str) -> String {
        fs::read_to_string(self.root().join(format!("{package}.out"))).unwrap()
    }

    /// No process of a build runs.
    fn is_quiet(&self) -> bool {
        self.processes("").is_empty()
    }

    /// Processes of builds whose command line mentions something.
    fn processes(&self, mention: &str) -> Vec<i32> {
        let mark = format!("PORTAGE_CONFIGROOT={}", self.root().display());
        let found = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| {
                let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
                let environment = fs::read(entry.path().join("environ")).ok()?;
                let words = fs::read(entry.path().join("cmdline")).ok()?;
                let has = |text: &[u8], part: &str| {
                    part.is_empty() || text.windows(part.len()).any(|at| at == part.as_bytes())
                };
                (has(&environment, &mark) && has(&words, mention)).then_some(pid)
            });
        found.collect()
    }
}

/// All that a package would install: names with modes, link targets, contents.
type Image = BTreeMap<PathBuf, (u32, Vec<u8>)>;

fn image(root: &Path) -> Image {
    let entries = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    let entry = |entry: walkdir::DirEntry| {
        let path = entry.path();
        let content = match entry.file_type() {
            kind if kind.is_symlink() => fs::read_link(path)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes(),
            kind if kind.is_file() => fs::read(path).unwrap(),
            _ => Vec::new(),
        };
        let mode = entry.metadata().unwrap().permissions().mode();
        (path.strip_prefix(root).unwrap().to_owned(), (mode, content))
    };
    entries.map(entry).collect()
}

fn differences(one: &Image, other: &Image) -> Vec<PathBuf> {
    let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name));
    differ.cloned().collect()
}

fn text_of(output: &Output) -> String {
    [&output.stdout[..], &output.stderr]
        .map(String::from_utf8_lossy)
        .concat()
}

fn hosts(daemon: &Daemon) -> String {
    format!(
        "DISTCC_HOSTS=\"127.0.0.1:{}/4,cpp,lzo --localslots=2\"\nDISTCC_FALLBACK=\"0\"",
        daemon.port
    )
}

/// The jobs in pump mode that the session's summaries in a build log add up to, and the others that were compiled.
fn summed_up(log: &str) -> (usize, usize) {
    let summaries = log.lines().filter_map(|line| {
        let (_, counts) = line.split_once("__________Summary: ")?.1.split_once(": ")?;
        let count = |at: usize| counts.split(", ").nth(at)?.split(' ').next()?.parse().ok();
        Some((count(0)?, count(1)?))
    });
    summaries.fold((0, 0), |sum, (pump, plain): (usize, usize)| {
        (sum.0 + pump, sum.1 + plain)
    })
}

#[test]
fn images_are_the_same_with_and_without_pump_mode() {
    let Some(prefix) = Prefix::new(&["popt", "zopfli", "lz4"]) else {
        return;
    };
    let temporary = scratch();
    let daemon = Daemon::start(Maker::Ours, temporary.path(), &[]);
    prefix.hook("bashrc");
    prefix.configure("-distcc", "");
    let expected = prefix.build_all();
    assert_eq!(daemon.compiled(), 0);

    prefix.configure("distcc distcc-pump", &hosts(&daemon));
    let images = prefix.build_all();
    let mut in_pump_mode = 0;
    for (package, least) in PACKAGES {
        let differ = differences(&expected[package], &images[package]);
        assert!(
            differ.is_empty(),
            "{package}: {differ:?}\n{}",
            prefix.said(package)
        );
        assert!(expected[package].len() > 4, "{package} installs something");
        let (pump, plain) = summed_up(&prefix.said(package));
        assert!(
            pump >= least && plain == 0,
            "{package}\n{}",
            prefix.said(package)
        );
        in_pump_mode += pump;
        // Nothing of a session is left, and nothing of the hook in what Portage remembers of the package.
        let temp = prefix.build_dir(package).join("temp");
        let left = fs::read_dir(temp).unwrap().flatten();
        let session = |entry: &fs::DirEntry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("distcc-pump.")
                && entry.path().join("session").exists()
        };
        assert_eq!(left.filter(session).count(), 0, "{package}");
        let remembered = prefix.build_dir(package).join("build-info/environment.bz2");
        let remembered = text_of(&run_ok(Command::new("bzip2").arg("-dc").arg(remembered)));
        assert!(!remembered.contains("distcc_pump") && !remembered.contains("DISTCC_PUMP"));
        assert!(!remembered.contains("INCLUDE_SERVER"), "{package}");
    }
    // The daemon saw them all, and besides those what CMake tried in the configure phase, by another protocol.
    assert!(daemon.compiled() >= in_pump_mode, "{}", daemon.log_text());
    // Of the state directory Portage makes all but the two kinds of file that distcc has always had there.
    let state = prefix.root().join("var/tmp/portage/.distcc");
    let names: Vec<_> = fs::read_dir(state)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        names.iter().all(|name| name == "lock" || name == "state"),
        "{names:?}"
    );
    wait_until("nothing of the builds runs", || prefix.is_quiet());
}

#[test]
fn a_profile_may_have_the_hook_and_a_variable_may_ask_for_it() {
    let Some(prefix) = Prefix::new(&[]) else {
        return;
    };
    let temporary = scratch();
    let daemon = Daemon::start(Maker::Ours, temporary.path(), &[]);
    prefix.hook("profile/profile.bashrc");
    // A temporary directory whose name is too long for a socket is no obstacle.
    let long = prefix
        .root()
        .join("var/tmp/long-long-long-long-long-long-name");
    fs::create_dir(&long).unwrap();
    let more = format!(
        "DISTCC_PUMP=\"1\"\nPORTAGE_TMPDIR=\"{}\"\n{}",
        long.display(),
        hosts(&daemon)
    );
    prefix.configure("distcc", &more);
    let said = text_of(&run_ok(
        &mut prefix.ebuild("generated", &["clean", "install"]),
    ));
    assert_eq!(summed_up(&said), (11, 0), "{said}");
    assert!(!said.contains("unknown value"), "{said}");

    // Off for one package, and on without hosts for it: compiled without pump mode, and said why.
    prefix.configure(
        "distcc distcc-pump",
        &format!("DISTCC_PUMP=\"0\"\n{}", hosts(&daemon)),
    );
    let said = text_of(&run_ok(&mut prefix.ebuild("stages", &["clean", "install"])));
    assert_eq!(summed_up(&said), (0, 0), "{said}");
    prefix.configure("distcc distcc-pump", "DISTCC_HOSTS=\"localhost\"");
    let said = text_of(&run_ok(&mut prefix.ebuild("stages", &["clean", "install"])));
    assert!(said.contains("no host for pump mode"), "{said}");
    wait_until("nothing of the builds runs", || prefix.is_quiet());
}

#[test]
fn a_build_that_is_interrupted_leaves_nothing_running() {
    let Some(prefix) = Prefix::new(&[]) else {
        return;
    };
    let temporary = scratch();
    let daemon = Daemon::start(Maker::Ours, temporary.path(), &[]);
    prefix.hook("bashrc");
    let recipe = "EAPI=8\nDESCRIPTION=x\nSLOT=0\nKEYWORDS=amd64\nS=${WORKDIR}\nsrc_unpack() { :; }\n\
                  src_compile() { echo 'int x;' > x.c; gcc -c x.c || die; sleep 600; }\n";
    support::write_tree(
        &prefix.root().join("repository/app-pump/waits"),
        &[("waits-1.ebuild", recipe)],
    );
    let temp = prefix.build_dir("waits").join("temp");
    let sessions = || {
        let entries = fs::read_dir(&temp).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().join("session").exists())
            .count()
    };
    // By the user, with Portage's own process namespace; and without it by the worst of signals, which no trap sees.
    for (features, signal) in [("", libc::SIGINT), ("-pid-sandbox", libc::SIGKILL)] {
        prefix.configure(&format!("distcc distcc-pump {features}"), &hosts(&daemon));
        let before = daemon.compiled();
        let mut command = prefix.ebuild("waits", &["clean", "compile"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        heeding(&mut command, libc::SIGINT).process_group(0);
        let mut child = command.spawn().unwrap();
        wait_until("the compile is done", || daemon.compiled() > before);
        assert_eq!(sessions(), 1);
        let victims = match signal {
            // As a terminal does: to all that are in the foreground.
            libc::SIGINT => vec![-i32::try_from(child.id()).unwrap()],
            _ => {
                let spared = [
                    prefix.processes("keep-session"),
                    prefix.processes("include-server"),
                ]
                .concat();
                assert!(spared.len() >= 2, "{spared:?}");
                let mut all = prefix.processes("");
                all.retain(|pid| !spared.contains(pid));
                all
            }
        };
        for pid in victims {
            // SAFETY: a plain system call; the processes are this test's own.
            unsafe { libc::kill(pid, signal) };
        }
        assert!(!child.wait().unwrap().success());
        wait_until("nothing of the build runs", || prefix.is_quiet());
        assert_eq!(sessions(), 0);
    }
    let again = run(&mut prefix.ebuild("waits", &["clean"]));
    assert!(again.status.success(), "{}", text_of(&again));
}
