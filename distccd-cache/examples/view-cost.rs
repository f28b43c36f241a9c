//! What a warm bundle job costs this server outside the compiler: `view-cost [--dir DIR] [--headers N] [--jobs N] [--plain] [--open] [--gcc]`.
//!
//! Lays a table of headers once, then runs jobs that use all of it, and prints the CPU time of a job in the daemon's process and in the child, the
//! latter with a compiler that does nothing (its start alone is printed beside it), or with gcc, which includes them all. `--open` is without the sandbox.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use distccd_cache::job::{BundleJob, Finished};
use distccd_cache::table::Table;
use distccd_cache::workshop::{SandboxPolicy, ViewPolicy, Workshop, WorkshopSettings};
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry, Name};
use protocol::bundle::manifest::Manifest;
use protocol::bundle::table::TableId;
use protocol::tree_path::TreePath;

struct Arguments {
    dir: PathBuf,
    headers: u32,
    jobs: u32,
    plain: bool,
    open: bool,
    gcc: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments {
        dir: PathBuf::from("/tmp"),
        headers: 1200,
        jobs: 200,
        plain: false,
        open: false,
        gcc: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--dir" => found.dir = value()?.into(),
            "--headers" => found.headers = value()?.parse().map_err(|e| format!("{e}"))?,
            "--jobs" => found.jobs = value()?.parse().map_err(|e| format!("{e}"))?,
            "--plain" => found.plain = true,
            "--open" => found.open = true,
            "--gcc" => found.gcc = true,
            _ => return Err(format!("no such option: {word}")),
        }
    }
    Ok(found)
}

fn file(path: &str, content: &[u8]) -> Result<Entry, String> {
    Ok(Entry {
        path: TreePath::new(path.as_bytes()).map_err(|error| error.to_string())?,
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
    let text = format!("#pragma once\nextern int v{number};\n");
    (
        format!("{base}/d{dir}/h{name}.h"),
        text.repeat(100).into_bytes(),
    )
}

fn job(table: &Arc<Table>, arguments: &Arguments) -> Result<BundleJob, String> {
    let length = table.len();
    let mut source = String::new();
    if arguments.gcc {
        for number in 0..arguments.headers {
            source += &format!("#include \"{}\"\n", header(number).0);
        }
    }
    source += "int x;\n";
    let words = ["gcc", "-MD", "-MF", "a.d", "-c", "src/a.c", "-o", "obj/a.o"];
    let system = [
        "/usr/lib/gcc/x86_64-linux-gnu/12/include",
        "/usr/local/include",
        "/usr/include/x86_64-linux-gnu",
        "/usr/include",
    ];
    Ok(BundleJob {
        argv: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
        cwd: b"/home/u/project".to_vec(),
        system_directories: system.iter().map(|dir| dir.as_bytes().to_vec()).collect(),
        environment: Vec::new(),
        table: Arc::clone(table),
        manifest: Manifest {
            table: table.id(),
            length,
            link: table.link(length).ok_or("no such length")?,
            used: (0..length).collect(),
            dead: Default::default(),
            own: vec![file("/home/u/project/src/a.c", source.as_bytes())?],
        },
        hidden: Vec::new(),
    })
}

/// CPU time of this process, or of its children that have ended: user, system.
fn cpu(children: bool) -> (Duration, Duration) {
    let who = if children {
        libc::RUSAGE_CHILDREN
    } else {
        libc::RUSAGE_SELF
    };
    // SAFETY: a plain system call into a local of the right type.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(who, &mut usage);
        usage
    };
    let time = |t: libc::timeval| {
        Duration::from_micros(t.tv_sec.cast_unsigned() * 1_000_000 + t.tv_usec.cast_unsigned())
    };
    (time(usage.ru_utime), time(usage.ru_stime))
}

fn per_job(before: (Duration, Duration), after: (Duration, Duration), jobs: u32) -> String {
    let ms = |d: Duration| d.as_secs_f64() * 1e3 / f64::from(jobs);
    let (user, system) = (ms(after.0 - before.0), ms(after.1 - before.1));
    format!(
        "{:6.3} ms (user {user:.3}, system {system:.3})",
        user + system
    )
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let mut settings = WorkshopSettings::new(arguments.dir.clone());
    settings.view = ViewPolicy::Namespace;
    settings.keep_trees = !arguments.plain;
    if arguments.open {
        settings.sandbox.policy = SandboxPolicy::Off;
    }
    settings.nice = 0;
    let shop = Workshop::new(settings).map_err(|error| error.to_string())?;
    println!("{}; {}", arguments.dir.display(), shop.describe());
    let table = Arc::new(Table::new(TableId([1; 16])));
    let mut blobs = std::collections::HashMap::new();
    let mut entries = Vec::new();
    for number in 0..arguments.headers {
        let (path, content) = header(number);
        entries.push(file(&path, &content)?);
        blobs.insert(Digest::of(&content), content);
    }
    table.extend(entries);
    let job = job(&table, arguments)?;
    if let Some(Content::File { .. }) = job.manifest.own.first().map(|own| &own.content) {
        let mut text = String::new();
        if arguments.gcc {
            for number in 0..arguments.headers {
                text += &format!("#include \"{}\"\n", header(number).0);
            }
        }
        text += "int x;\n";
        blobs.insert(Digest::of(text.as_bytes()), text.into_bytes());
    }
    let blobs = Arc::new(blobs);
    let compiler = Path::new(if arguments.gcc {
        "/usr/bin/gcc"
    } else {
        "/bin/false"
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let once = || -> Result<Finished, String> {
        let blobs = Arc::clone(&blobs);
        let content = move |digest: &Digest| Ok(blobs.get(digest).cloned());
        let never = std::future::pending::<()>();
        let finished = shop.run_bundle(job.clone(), compiler, content, never);
        runtime
            .block_on(finished)
            .map_err(|error| error.to_string())
    };
    let (cpu_before, started) = (cpu(false), Instant::now());
    once()?;
    println!(
        "first job:  daemon {}, wall {:?}",
        per_job(cpu_before, cpu(false), 1),
        started.elapsed()
    );
    for _ in 0..10 {
        once()?;
    }
    let (own, children, started) = (cpu(false), cpu(true), Instant::now());
    for _ in 0..arguments.jobs {
        once()?;
    }
    println!(
        "a warm job: daemon {}",
        per_job(own, cpu(false), arguments.jobs)
    );
    println!(
        "            child  {}",
        per_job(children, cpu(true), arguments.jobs)
    );
    println!(
        "            wall   {:6.3} ms",
        started.elapsed().as_secs_f64() * 1e3 / f64::from(arguments.jobs)
    );
    let (children, started) = (cpu(true), Instant::now());
    for _ in 0..arguments.jobs {
        let status = std::process::Command::new("/bin/false").status();
        status.map_err(|error| error.to_string())?;
    }
    println!(
        "for comparison, starting /bin/false outside: child {}, wall {:.3} ms",
        per_job(children, cpu(true), arguments.jobs),
        started.elapsed().as_secs_f64() * 1e3 / f64::from(arguments.jobs)
    );
    Ok(())
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("view-cost: {error}");
            ExitCode::FAILURE
        }
    }
}
