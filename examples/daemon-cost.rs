//! What a warm job of the bundle dialect costs a whole `distccd` outside the compiler:
//! `daemon-cost [--dir DIR] [--headers N] [--jobs N] [--at-once N] [--functions N] [--new-sources] [--no-follow] [--distccd PROGRAM]
//! [--option WORD]...`
//!
//! Starts the daemon beside this program on a free port, and is its client: one table of headers, all used by one unit, offered again and again with
//! gcc to compile it, each time with another `-D`, so that no kept result serves. Prints the CPU time of a job in the daemon's process, with all its threads, and in the child before it becomes the compiler
//! (in a second round, because the ptrace of scripts/bench-wire/before-exec.c costs the daemon time, too).

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use protocol::bundle::BUNDLE_VERSION;
use protocol::bundle::block::{Codec, Codecs};
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry, Name};
use protocol::bundle::manifest::Manifest;
use protocol::bundle::need::Need;
use protocol::bundle::offer::{encode_offer, split_words};
use protocol::bundle::pack::encode_pack;
use protocol::bundle::put_frame;
use protocol::bundle::refusal::Refusal;
use protocol::bundle::reply::BundleReply;
use protocol::bundle::setting::{Platform, Setting, encode_setting};
use protocol::bundle::table::{Link, TableId, encode_extension, next_link};
use protocol::limits::Limits;
use protocol::token::{TOKEN_BYTES, Tag, Token, put_token};
use protocol::tree_path::TreePath;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const COMPILER: &str = "/usr/bin/gcc";
const ID: TableId = TableId([1; 16]);

struct Arguments {
    dir: PathBuf,
    headers: u32,
    jobs: u32,
    at_once: u32,
    functions: u32,
    new_sources: bool,
    follow: bool,
    distccd: PathBuf,
    /// Further options of the daemon.
    options: Vec<String>,
}

fn arguments() -> Result<Arguments, Failure> {
    let program = std::env::current_exe()?;
    let beside = program.parent().and_then(Path::parent);
    let mut found = Arguments {
        dir: PathBuf::from("/tmp"),
        headers: 1200,
        jobs: 200,
        at_once: 1,
        functions: 300,
        new_sources: false,
        follow: true,
        distccd: beside.unwrap_or(Path::new("")).join("distccd"),
        options: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--dir" => found.dir = value()?.into(),
            "--headers" => found.headers = value()?.parse()?,
            "--jobs" => found.jobs = value()?.parse()?,
            "--at-once" => found.at_once = value()?.parse()?,
            "--functions" => found.functions = value()?.parse()?,
            "--new-sources" => found.new_sources = true,
            "--no-follow" => found.follow = false,
            "--option" => found.options.push(value()?),
            "--distccd" => found.distccd = value()?.into(),
            _ => return Err(format!("no such option: {word}").into()),
        }
    }
    Ok(found)
}

/// A client with one unit.
struct Unit {
    table: Vec<Entry>,
    link: Link,
    contents: HashMap<Digest, Vec<u8>>,
    source: Vec<u8>,
    setting: Vec<u8>,
    new_sources: bool,
}

fn file(path: &str, content: &[u8]) -> Result<Entry, Failure> {
    Ok(Entry {
        path: TreePath::new(path.as_bytes())?,
        content: Content::File {
            digest: Digest::of(content),
            size: content.len() as u64,
            modified: 1_600_000_000,
        },
        late: false,
        system: path.starts_with("/usr/include"),
        name: Name::Relative,
    })
}

/// A tenth of the headers are the system's; all are in directories of ten, as they are in real projects.
fn header(number: u32) -> (String, Vec<u8>) {
    let (dir, name) = (number / 10, number % 10);
    let base = match number % 100 < 10 {
        true => "/usr/include",
        false => "/home/u/project/include",
    };
    let text = format!(
        "#pragma once\nextern int v{number};\n/*{}*/\n",
        " text".repeat(700)
    );
    (format!("{base}/d{dir}/h{name}.h"), text.into_bytes())
}

fn platform() -> Result<Vec<u8>, Failure> {
    let path = std::env::var_os("PATH").ok_or("PATH is not set")?;
    let question = toolchain::Question {
        compiler: Path::new(COMPILER),
        language: toolchain::Language::C,
        external_assembler: false,
        environment: &[("PATH".into(), path)],
    };
    let (identity, _) = toolchain::identify(&question, Duration::from_secs(60))?;
    let mut said = Vec::new();
    identity.encode(&mut said);
    let system = [
        "/usr/lib/gcc/x86_64-linux-gnu/12/include",
        "/usr/local/include",
        "/usr/include/x86_64-linux-gnu",
        "/usr/include",
    ];
    let platform = Platform {
        names: vec![b"gcc".to_vec()],
        identity: said,
        system_directories: system.map(|dir| dir.as_bytes().to_vec()).to_vec(),
        environment: Vec::new(),
    };
    let mut bytes = Vec::new();
    platform.put(&mut bytes);
    Ok(bytes)
}

/// A command line; the number makes another job of it for whoever remembers results.
fn words(number: u32) -> Vec<Vec<u8>> {
    let number = format!("-DJOB={number}");
    let words = [
        "gcc",
        "-O0",
        "-Wall",
        "-Iinclude",
        "-MD",
        "-MF",
        "obj/a.d",
        "-c",
        "src/a.c",
        "-o",
        "obj/a.o",
        &number,
    ];
    words.map(|word| word.as_bytes().to_vec()).to_vec()
}

fn is_own(word: &[u8]) -> bool {
    [&b"obj/"[..], b"src/", b"-DJOB"]
        .iter()
        .any(|start| word.starts_with(start))
}

impl Unit {
    fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let mut unit = Self {
            table: Vec::new(),
            link: ID.first_link(),
            contents: HashMap::new(),
            source: Vec::new(),
            setting: Vec::new(),
            new_sources: arguments.new_sources,
        };
        for number in 0..arguments.headers {
            let (path, content) = header(number);
            let entry = file(&path, &content)?;
            unit.link = next_link(&unit.link, &entry);
            unit.table.push(entry);
            unit.contents.insert(Digest::of(&content), content);
            unit.source
                .extend(format!("#include \"{path}\"\n").into_bytes());
        }
        for number in 0..arguments.functions {
            let text = format!("int f{number}(int x) {{ return x * {number} + JOB; }}\n");
            unit.source.extend(text.into_bytes());
        }
        let words = words(0);
        let (common, _) = split_words(&words, is_own);
        unit.setting = Setting::encode(b"/home/u/project", &platform()?, &common);
        Ok(unit)
    }

    fn source(&self, number: u32) -> Vec<u8> {
        let mut source = self.source.clone();
        if self.new_sources {
            source.extend(format!("/* {number} */\n").into_bytes());
        }
        source
    }

    fn opening(&self, number: u32, source: &[u8]) -> Result<Vec<u8>, Failure> {
        let manifest = Manifest {
            table: ID,
            length: self.table.len() as u32,
            link: self.link,
            used: (0..self.table.len() as u32).collect(),
            dead: Default::default(),
            own: vec![file("/home/u/project/src/a.c", source)?],
        };
        let mut said = Vec::new();
        manifest.put(&mut said);
        let words = words(number);
        let (_, own) = split_words(&words, is_own);
        let offer = encode_offer(Codecs::ALL, &Digest::of(&self.setting), &own, &said);
        let mut bytes = Vec::new();
        put_token(&mut bytes, Tag::BNDL, BUNDLE_VERSION);
        put_frame(&mut bytes, Tag::OFFR, &offer);
        Ok(bytes)
    }

    /// All that a daemon asked for.
    fn gifts(&self, need: &Need, source: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        if need.setting {
            let setting = encode_setting(&self.setting, Codec::Zstd);
            put_frame(&mut bytes, Tag::SETT, &setting);
        }
        if let Some(from) = need.table {
            let entries = &self.table[from as usize..];
            let extension = encode_extension(ID, from, entries, Codec::Zstd);
            put_frame(&mut bytes, Tag::TABL, &extension);
        }
        if !need.blobs.is_empty() {
            let content = |digest| self.contents.get(digest).map_or(source, Vec::as_slice);
            let blobs: Vec<(Digest, &[u8])> = need
                .blobs
                .iter()
                .map(|digest| (*digest, content(digest)))
                .collect();
            put_frame(&mut bytes, Tag::PACK, &encode_pack(&blobs, Codec::Zstd));
        }
        put_token(&mut bytes, Tag::HAVE, 0);
        bytes
    }

    /// One job from end to end; its object's size.
    fn run(&self, port: u16, number: u32) -> Result<usize, Failure> {
        let source = self.source(number);
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.write_all(&self.opening(number, &source)?)?;
        loop {
            let mut head = [0; TOKEN_BYTES];
            stream.read_exact(&mut head)?;
            let token = Token::decode(&head)?;
            if token.tag == Tag::DONE {
                let mut bytes = head.to_vec();
                stream.read_to_end(&mut bytes)?;
                let reply = BundleReply::decode(&bytes, Limits::DEFAULT)?;
                if !reply.status.success() {
                    return Err(String::from_utf8_lossy(&reply.stderr).into());
                }
                return Ok(reply.object.len());
            }
            let mut body = vec![0; token.value as usize];
            stream.read_exact(&mut body)?;
            match token.tag {
                Tag::NEED => {
                    let need = Need::decode(&body, &Limits::DEFAULT)?;
                    stream.write_all(&self.gifts(&need, &source))?;
                }
                Tag::REFU => return Err(Refusal::decode(&body)?.to_string().into()),
                other => return Err(format!("the daemon said {other}").into()),
            }
        }
    }

    /// Jobs with these numbers, several at a time.
    fn run_all(
        &self,
        port: u16,
        numbers: std::ops::Range<u32>,
        at_once: u32,
    ) -> Result<(), Failure> {
        std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..at_once)
                .map(|lane| {
                    let mut mine = numbers
                        .clone()
                        .skip(lane as usize)
                        .step_by(at_once as usize);
                    scope
                        .spawn(move || mine.try_for_each(|number| self.run(port, number).map(drop)))
                })
                .collect();
            let mut results = lanes.into_iter().map(|lane| lane.join());
            results
                .try_for_each(|result| result.unwrap_or_else(|_| Err("a client panicked".into())))
        })
    }
}

/// A daemon that ends with this.
struct Daemon {
    process: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Daemon {
    fn start(arguments: &Arguments) -> Result<Self, Failure> {
        let dir = tempfile::tempdir_in(&arguments.dir)?;
        // It gives up root, and must be able to write here.
        let all = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(dir.path(), all)?;
        std::fs::write(dir.path().join("list"), format!("{COMPILER}\n"))?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let process = Command::new(&arguments.distccd)
            .args(["--daemon", "--no-detach", "--listen", "127.0.0.1", "--port"])
            .arg(port.to_string())
            .args([
                "--allow",
                "127.0.0.1",
                "--nice",
                "0",
                "--jobs",
                "4",
                "--log-file",
            ])
            .arg(dir.path().join("log"))
            .args(&arguments.options)
            .env("TMPDIR", dir.path())
            .env("DISTCC_CMDLIST", dir.path().join("list"))
            .stdin(Stdio::null())
            .spawn()?;
        let daemon = Self {
            process,
            port,
            _dir: dir,
        };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if start.elapsed() > Duration::from_secs(10) {
                return Err("the daemon does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// CPU time of the process with all its threads, without its children.
    fn cpu(&self) -> Result<Duration, Failure> {
        let pid = libc::pid_t::try_from(self.process.id())?;
        // SAFETY: plain system calls into locals of the right types.
        let time = unsafe {
            let (mut clock, mut time) = (0, std::mem::zeroed::<libc::timespec>());
            if libc::clock_getcpuclockid(pid, &mut clock) != 0
                || libc::clock_gettime(clock, &mut time) != 0
            {
                return Err("the daemon has ended".into());
            }
            time
        };
        Ok(Duration::new(
            time.tv_sec.try_into()?,
            time.tv_nsec.try_into()?,
        ))
    }

    /// Voluntary changes of context of all its threads: how often one of them went to sleep.
    fn sleeps(&self) -> Result<u64, Failure> {
        let mut total = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let status = std::fs::read_to_string(task?.path().join("status"))?;
            let line = status
                .lines()
                .find(|line| line.starts_with("voluntary_ctxt"));
            let count = line.and_then(|line| line.split_whitespace().nth(1));
            total += count.unwrap_or("0").parse::<u64>()?;
        }
        Ok(total)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SAFETY: a plain system call; the process is not reaped yet.
        unsafe { libc::kill(self.process.id().cast_signed(), libc::SIGTERM) };
        let _ = self.process.wait();
    }
}

/// What a child costs before it becomes the compiler.
fn follow(unit: &Unit, arguments: &Arguments, daemon: &Daemon, from: u32) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let (program, log) = (dir.path().join("before-exec"), dir.path().join("log"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/bench-wire/before-exec.c");
    let mut compile = Command::new("gcc");
    compile.arg("-O2").arg("-o").arg(&program).arg(source);
    if !compile.status()?.success() {
        return Err("before-exec cannot be compiled".into());
    }
    let mut follower = Command::new(&program)
        .arg(daemon.process.id().to_string())
        .stdout(std::fs::File::create(&log)?)
        .spawn()?;
    while std::fs::metadata(&log)?.len() == 0 && follower.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let jobs = arguments.jobs.min(50);
    let run = unit.run_all(daemon.port, from..from + jobs, arguments.at_once);
    follower.kill()?;
    follower.wait()?;
    run?;
    let text = std::fs::read_to_string(&log)?;
    let last = text.lines().last().unwrap_or_default();
    let mut numbers = last.split_whitespace().map(str::parse::<f64>);
    if let (Some(Ok(count)), Some(Ok(nanoseconds))) = (numbers.next(), numbers.next()) {
        println!(
            "            child before exec {:.3} ms",
            nanoseconds / count / 1e6
        );
    }
    Ok(())
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let unit = Unit::new(arguments)?;
    let daemon = Daemon::start(arguments)?;
    let size = unit.run(daemon.port, 0)?;
    let source = unit.source.len();
    println!(
        "{source} bytes of source, {size} of object, {} headers",
        arguments.headers
    );
    unit.run_all(daemon.port, 1..11, arguments.at_once)?;
    let (cpu, sleeps, started) = (daemon.cpu()?, daemon.sleeps()?, Instant::now());
    let end = 11 + arguments.jobs;
    unit.run_all(daemon.port, 11..end, arguments.at_once)?;
    let jobs = f64::from(arguments.jobs);
    println!(
        "a warm job: daemon {:.3} ms of CPU, {:.1} changes of context; wall {:.1} ms",
        (daemon.cpu()? - cpu).as_secs_f64() * 1e3 / jobs,
        daemon.sleeps()?.saturating_sub(sleeps) as f64 / jobs,
        started.elapsed().as_secs_f64() * 1e3 / jobs
    );
    match arguments.follow {
        true => follow(&unit, arguments, &daemon, end),
        false => Ok(()),
    }
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("daemon-cost: {error}");
            ExitCode::FAILURE
        }
    }
}
