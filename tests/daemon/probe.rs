//! A daemon whose compiler does what the client says: see `probe.c`. Owns the program's directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use protocol::reply::Reply;
use tempfile::TempDir;

use crate::harness::{Daemon, preprocessed, run, stderr};

/// Which view the probe runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// In a root and namespaces of its own.
    Namespace,
    /// In the daemon's root.
    Rewrite,
}

/// Both.
pub const VIEWS: [View; 2] = [View::Namespace, View::Rewrite];

/// A daemon with the probe as its only compiler, called `cc1`.
pub struct Probed {
    pub daemon: Daemon,
    /// Removed with it.
    _installed: TempDir,
}

/// The compiled probe.
fn program() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/probe.c");
        let built = dir.path().join("probe");
        let output = run(Command::new("gcc")
            .arg("-O1")
            .arg("-o")
            .arg(&built)
            .arg(source));
        assert!(output.status.success(), "{}", stderr(&output));
        fs::read(built).unwrap()
    })
}

/// A directory where the view shows programs, or `None` after saying that the test is skipped. Only root may write there.
fn place(view: View) -> Option<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("pumphouse-probe.");
    let made = match view {
        View::Namespace => builder.tempdir_in("/opt"),
        View::Rewrite => builder.tempdir(),
    };
    match made {
        Ok(dir) => Some(dir),
        Err(error) => {
            let required = std::env::var_os("REQUIRE_PEERS").is_some_and(|v| v == "1");
            assert!(!required, "no directory for the probe: {error}");
            eprintln!("skipped: no directory for the probe: {error}");
            None
        }
    }
}

impl Probed {
    /// Starts it with further options; `None` after saying that the test is skipped.
    pub fn start(view: View, configure: impl FnOnce(&mut Command, &Path)) -> Option<Self> {
        let installed = place(view)?;
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(installed.path(), open.clone()).unwrap();
        let compiler = installed.path().join("cc1");
        fs::write(&compiler, program()).unwrap();
        fs::set_permissions(&compiler, open).unwrap();
        let daemon = Daemon::start(|command, dir| {
            fs::write(
                dir.join("list"),
                format!("{}\n/usr/bin/gcc\n", compiler.display()),
            )
            .unwrap();
            command.env("DISTCC_CMDLIST", dir.join("list"));
            let policy = match view {
                View::Namespace => "namespace",
                View::Rewrite => "rewrite",
            };
            command.env("PUMPHOUSE_VIEW", policy);
            configure(command, dir);
        });
        Some(Self {
            daemon,
            _installed: installed,
        })
    }

    /// Where the probe is.
    pub fn installed(&self) -> PathBuf {
        self._installed.path().to_owned()
    }

    /// Has the probe do something; the whole reply, or `None` when there was none.
    pub fn reply(&self, script: &str) -> Option<Reply> {
        self.daemon.job(&preprocessed("cc1", script))
    }

    /// Has the probe do something; what it printed, a line each.
    pub fn probe(&self, script: &str) -> Vec<String> {
        let reply = self.reply(script).expect("a reply");
        let text = String::from_utf8_lossy(&reply.stdout).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// Has the probe do one thing and checks what came of it.
    #[track_caller]
    pub fn expect(&self, line: &str, outcome: &str) {
        assert_eq!(self.probe(line), [format!("{line}: {outcome}")]);
    }
}
