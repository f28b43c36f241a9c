//! A compiler of the hunt's own that is upgraded in place: its driver, `cc1`, a header of its own, and its specs change while the path stays. Owns the
//! directory where it is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

use crate::Dice;
use crate::support::run_ok;

/// Below the installation. By stock's protocol a server knows a compiler by its name alone, so no other has this one.
const DRIVER: &str = "bin/x86_64-hunt-linux-gnu-gcc";

/// See the module's text.
pub struct Toolchain {
    installed: TempDir,
    /// Where `cc1` and the compiler's own headers are.
    library: PathBuf,
    driver: Vec<u8>,
    cc1: Vec<u8>,
    /// The last bytes of the version that `cc1` writes into objects.
    versions: Vec<usize>,
    header: Vec<u8>,
}

impl Toolchain {
    /// Installs a copy of gcc where the view shows programs; `None` after saying that none is upgraded. Only root may write there.
    pub fn install() -> Option<Self> {
        let mut builder = tempfile::Builder::new();
        let installed = match builder.prefix("pumphouse-hunt.").tempdir_in("/opt") {
            Ok(installed) => installed,
            Err(error) => {
                let required = std::env::var_os("REQUIRE_PEERS").is_some_and(|v| v == "1");
                assert!(!required, "no directory for a compiler: {error}");
                eprintln!("skipped: upgrades of a compiler: no directory for it: {error}");
                return None;
            }
        };
        let asked = |option: &str| {
            let output = run_ok(Command::new("gcc").arg(option));
            String::from_utf8(output.stdout).unwrap()
        };
        let cc1 = PathBuf::from(asked("-print-prog-name=cc1").trim());
        let of_system = cc1.parent().unwrap();
        let below = of_system.strip_prefix("/usr").expect("Debian's");
        let library = installed.path().join(below);
        let banner = asked("--version");
        let version = banner.split(['(', ')']).nth(1).expect("(vendor's version)");
        let driver = fs::canonicalize("/usr/bin/gcc").unwrap();
        fs::set_permissions(installed.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(installed.path().join("bin")).unwrap();
        fs::create_dir_all(&library).unwrap();
        let headers = of_system.join("include");
        run_ok(Command::new("cp").arg("-r").arg(&headers).arg(&library));
        let cc1 = fs::read(&cc1).unwrap();
        let windows = cc1.windows(version.len()).enumerate();
        let versions = windows.filter(|(_, window)| *window == version.as_bytes());
        let toolchain = Self {
            driver: fs::read(driver).unwrap(),
            versions: versions.map(|(at, _)| at + version.len() - 1).collect(),
            cc1,
            header: fs::read(headers.join("stddef.h")).unwrap(),
            library,
            installed,
        };
        toolchain.put("bin/proper", &toolchain.driver);
        toolchain.put(DRIVER, &toolchain.driver);
        toolchain.put_cc1(0);
        Some(toolchain)
    }

    /// Its driver.
    pub fn driver(&self) -> PathBuf {
        self.installed.path().join(DRIVER)
    }

    /// Changes one of its parts, or changes it back.
    pub fn upgrade(&self, dice: &mut Dice) -> String {
        let number = dice.below(3);
        match dice.below(4) {
            0 => {
                self.put_cc1(number);
                format!("cc1 of release {number}")
            }
            1 => {
                let mut header = self.header.clone();
                let own = format!("\n#ifndef UPGRADED\n#define UPGRADED {number}\n#endif\n");
                header.extend(own.bytes());
                self.put_in_library("include/stddef.h", &header);
                format!("stddef.h of release {number}")
            }
            2 if number == 0 => {
                let _ = fs::remove_file(self.library.join("specs"));
                "no specs".to_owned()
            }
            2 => {
                let specs = format!("*cc1:\n+ -DUPGRADED={number}\n\n");
                self.put_in_library("specs", specs.as_bytes());
                format!("specs of release {number}")
            }
            _ if number == 0 => {
                self.put(DRIVER, &self.driver);
                "a driver".to_owned()
            }
            _ => {
                let proper = self.installed.path().join("bin/proper");
                let proper = proper.display();
                let script = format!("#!/bin/sh\nexec {proper} -DUPGRADED={number} \"$@\"\n");
                self.put(DRIVER, script.as_bytes());
                format!("a script as driver, of release {number}")
            }
        }
    }

    /// The compiler proper, whose version differs in one byte from the system's.
    fn put_cc1(&self, release: usize) {
        let mut bytes = self.cc1.clone();
        for at in &self.versions {
            bytes[*at] = b'a' + u8::try_from(release).unwrap();
        }
        assert!(!self.versions.is_empty(), "cc1 says its version");
        self.put_in_library("cc1", &bytes);
    }

    fn put_in_library(&self, name: &str, bytes: &[u8]) {
        let below = self.library.strip_prefix(self.installed.path());
        let path = below.unwrap().join(name);
        self.put(path, bytes);
    }

    /// Written aside and renamed, as package managers do.
    fn put(&self, name: impl AsRef<Path>, bytes: &[u8]) {
        let aside = self.installed.path().join("aside");
        fs::write(&aside, bytes).unwrap();
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(aside, self.installed.path().join(name)).unwrap();
    }
}
