//! The clients: what each does next is chance. Owns how programs are run.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::dice::Dice;
use crate::project::{Epoch, Unit};
use crate::raw::{self, Cut};
use crate::{Failure, Shared, project, watch};

/// Whose client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    Ours,
    Stock,
}

/// Where programs are, and the session of ours in which pump mode works.
pub(crate) struct Workshop {
    distcc: PathBuf,
    pump: PathBuf,
    dir: PathBuf,
    session: HashMap<OsString, OsString>,
}

const STOCK: &str = "/usr/bin/distcc";

/// Seconds after which a client is taken to hang for ever.
const HANGS: &str = "180";

impl Workshop {
    pub(crate) fn new(programs: &Path, dir: &Path, port: u16) -> Result<Self, Failure> {
        if !Path::new(STOCK).exists() {
            return Err(format!("{STOCK} is missing").into());
        }
        let mut workshop = Self {
            distcc: programs.join("distcc"),
            pump: programs.join("pump"),
            dir: dir.to_owned(),
            session: HashMap::new(),
        };
        let script = "eval \"$(\"$0\" --startup)\" && exec env -0";
        let output = workshop
            .clean(Command::new("sh").args(["-c", script]).arg(&workshop.pump))
            .env("DISTCC_HOSTS", hosts(port, ",lzo,cpp"))
            .output()?;
        let variables = output.stdout.split(|byte| *byte == 0);
        workshop.session = variables
            .filter_map(|variable| {
                let at = variable.iter().position(|byte| *byte == b'=')?;
                let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
                Some((text(&variable[..at]), text(&variable[at + 1..])))
            })
            .collect();
        if !workshop
            .session
            .contains_key(OsStr::new("INCLUDE_SERVER_PORT"))
        {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(format!("pump --startup: {text}").into());
        }
        Ok(workshop)
    }

    /// Without what the user's own environment says of distcc.
    fn clean<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("DISTCC") || name_text.starts_with("INCLUDE_SERVER") {
                command.env_remove(name);
            }
        }
        command
            .env("DISTCC_DIR", self.dir.join("state"))
            .env("DISTCC_IO_TIMEOUT", "60")
            .stdin(Stdio::null())
    }

    /// A client for one job on a port.
    fn client(&self, maker: Maker, is_pump: bool, port: u16, own: &Path) -> Command {
        let mut command = Command::new("timeout");
        // It takes a signal along to the client.
        command.args(["--kill-after=5", HANGS]).arg(match maker {
            Maker::Ours => self.distcc.as_path(),
            Maker::Stock => Path::new(STOCK),
        });
        if is_pump {
            command.envs(&self.session);
        }
        // What is killed leaves its temporary files.
        self.clean(&mut command).env("TMPDIR", own);
        match maker {
            Maker::Ours => command.env("DISTCC_BACKOFF_PERIOD", "0"),
            // Without a pause it would try a host that hangs up for ever. A place of its own, so that others do not pause with it.
            Maker::Stock => command.env("DISTCC_DIR", own),
        };
        let options = if is_pump { ",lzo,cpp" } else { ",lzo" };
        command.env("DISTCC_HOSTS", hosts(port, options));
        if is_pump {
            for (name, value) in &self.session {
                if name.to_string_lossy().starts_with("INCLUDE_SERVER") {
                    command.env(name, value);
                }
            }
        }
        command
    }

    /// A directory that nobody had before, which is removed with all that a client leaves in it.
    fn place(&self) -> Result<tempfile::TempDir, Failure> {
        let mut builder = tempfile::Builder::new();
        Ok(builder.prefix("job.").tempdir_in(&self.dir)?)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let mut command = Command::new(&self.pump);
        let command = command.arg("--shutdown").envs(&self.session);
        // The session's own end tells nothing about the daemon.
        let _ = command.stdout(Stdio::null()).status();
    }
}

fn hosts(port: u16, options: &str) -> String {
    format!("127.0.0.1:{port}/8{options}")
}

/// One client after the other, until it is over.
pub(crate) fn work(shared: &Shared, mut dice: Dice, pace: u64) {
    while !shared.is_over.load(Ordering::Relaxed) {
        {
            let Ok(epoch) = shared.epoch.read() else {
                return;
            };
            if let Err(error) = one(shared, &epoch, &mut dice) {
                shared.finding(error.to_string());
            }
            shared.jobs.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(dice.roll(2 * pace + 1)));
    }
}

fn one(shared: &Shared, epoch: &Epoch, dice: &mut Dice) -> Result<(), Failure> {
    let maker = *dice.one_of(&[Maker::Ours, Maker::Ours, Maker::Stock]);
    match dice.roll(100) {
        0..50 => good(shared, epoch, dice, maker, None),
        50..60 => bad(shared, epoch, dice, maker),
        60..78 => {
            // Somebody in between who hangs up, so that each side sees the other go.
            let cut = Cut::new(shared.port, dice)?;
            good(shared, epoch, dice, maker, Some(cut))
        }
        78..92 => killed(shared, epoch, dice, maker),
        _ => raw::nonsense(shared.port, dice),
    }
}

/// Words for one unit: sometimes known before, sometimes new.
fn words(unit: &Unit, debug: bool, object: &Path, dice: &mut Dice) -> Vec<OsString> {
    let mut words: Vec<OsString> = [unit.compiler, "-O1", "-c", &unit.source, "-o"]
        .map(OsString::from)
        .to_vec();
    words.push(object.into());
    if debug {
        words.push("-g".into());
    }
    if dice.roll(3) == 0 {
        words.push(format!("-DNEW={}", dice.roll(u64::MAX)).into());
    }
    words
}

/// A job whose result is the local one, whatever happens on the way.
fn good(
    shared: &Shared,
    epoch: &Epoch,
    dice: &mut Dice,
    maker: Maker,
    cut: Option<Cut>,
) -> Result<(), Failure> {
    let place = shared.workshop.place()?;
    let unit = dice.one_of(&epoch.units);
    let is_pump = dice.roll(3) > 0;
    let debug = is_pump && maker == Maker::Ours && dice.roll(2) == 0;
    // A client's objects have one name, so that the same words come again.
    let object = epoch.dir.join(format!("object-{}.o", dice.client()));
    let port = cut.as_ref().map_or(shared.port, |cut| cut.port);
    let workshop = &shared.workshop;
    let mut client = workshop.client(maker, is_pump, port, place.path());
    let output = client
        .args(words(unit, debug, &object, dice))
        .current_dir(&epoch.dir)
        .output()?;
    let what = format!("{maker:?} {} pump={is_pump} cut={cut:?}", unit.source);
    if !output.status.success() {
        return Err(format!("{what}: {}: {}", output.status, said(&output)).into());
    }
    let bytes = fs::read(&object)?;
    fs::remove_file(&object)?;
    if bytes != unit.objects[usize::from(debug)] {
        let kept = shared.workshop.dir.join("wrong");
        project::everybodys(&kept)?;
        let kept = kept.join(format!("{}.o", unit.source));
        fs::write(&kept, bytes)?;
        return Err(format!("{what}: a wrong object, kept as {}", kept.display()).into());
    }
    if said(&output).contains("locally instead") && cut.is_none() {
        shared.local.fetch_add(1, Ordering::Relaxed);
        if !shared.is_restarting() {
            return Err(format!("{what}: compiled here: {}", said(&output)).into());
        }
    }
    Ok(())
}

/// A job that fails with the compiler's own words.
fn bad(shared: &Shared, epoch: &Epoch, dice: &mut Dice, maker: Maker) -> Result<(), Failure> {
    let place = shared.workshop.place()?;
    let (workshop, is_pump) = (&shared.workshop, dice.roll(2) == 0);
    let mut client = workshop.client(maker, is_pump, shared.port, place.path());
    let object = place.path().join("object.o");
    let client = client.args(["gcc", "-c", "bad.c", "-o"]).arg(&object);
    let output = client.current_dir(&epoch.dir).output()?;
    if output.status.code() != Some(1) || !said(&output).contains("bad.c:2") || object.exists() {
        return Err(format!("{maker:?} bad.c: {}: {}", output.status, said(&output)).into());
    }
    Ok(())
}

/// A client that is killed at any moment.
fn killed(shared: &Shared, epoch: &Epoch, dice: &mut Dice, maker: Maker) -> Result<(), Failure> {
    let place = shared.workshop.place()?;
    let unit = dice.one_of(&epoch.units);
    let object = place.path().join("object.o");
    let (workshop, is_pump) = (&shared.workshop, dice.roll(3) > 0);
    let mut client = workshop.client(maker, is_pump, shared.port, place.path());
    client
        .args(words(unit, false, &object, dice))
        .current_dir(&epoch.dir);
    let mut child = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_micros(dice.roll(40_000)));
    let client = watch::children(child.id());
    for pid in client {
        // SAFETY: a plain system call; the number is its until its parent, which still runs, has waited for it.
        unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
    }
    child.wait()?;
    Ok(())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
