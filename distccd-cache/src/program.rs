//! The program: everything that happens from the command line to the first client, in order. Owns the table from what
//! can go wrong at start to an exit code.
//!
//! The order matters: ports are bound and the kernel is spoken to while we may be root; then root's privileges go, and
//! only after that files are opened. The process forks, if it has to, before it has threads.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode as ProcessExit;
use std::sync::Arc;
use std::time::Duration;

use protocol::exit_code::ExitCode;
use protocol::identity::Policy;
use protocol::limits::Limits;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::access::{Access, AccessError};
use crate::announce::{self, Announcer};
use crate::detach::{Detached, PidFile, Starting, detach};
use crate::environment::{self, Environment, EnvironmentError};
use crate::house::{House, HouseSettings, MAX_CONNECTIONS};
use crate::inetd;
use crate::listen::{self, ListenError};
use crate::log::{self, Severity, Sink, notice};
use crate::options::{Options, SameCompiler, Switch};
use crate::privileges::{self, PrivilegesError};
use crate::service;
use crate::shelf::{Shelf, StorePlace};
use crate::whitelist::{Whitelist, WhitelistError};
use crate::workshop::{SandboxSettings, ViewPolicy, Workshop, WorkshopError, WorkshopSettings};

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0} needs GSS-API, which is not built in; use --allow, or ssh")]
    NoGssApi(&'static str),
    #[error("PUMPHOUSE_VIEW must be auto, namespace or rewrite, but is {0:?}")]
    View(std::ffi::OsString),
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Privileges(#[from] PrivilegesError),
    #[error(transparent)]
    Whitelist(#[from] WhitelistError),
    #[error(transparent)]
    Workshop(#[from] WorkshopError),
    #[error("cannot write the pid file {}: {source}", path.display())]
    PidFile { path: PathBuf, source: io::Error },
    #[error("cannot {what}: {source}")]
    System {
        what: &'static str,
        source: io::Error,
    },
}

impl StartError {
    /// The exit code, as stock's.
    fn code(&self) -> ExitCode {
        match self {
            Self::Workshop(WorkshopError::Sandbox(_)) => ExitCode::BadArguments,
            Self::NoGssApi(_) | Self::View(_) | Self::Environment(_) | Self::Access(_) => {
                ExitCode::BadArguments
            }
            Self::Listen(ListenError::Address { .. } | ListenError::Inherited { .. }) => {
                ExitCode::BadArguments
            }
            Self::Listen(ListenError::Bind { .. }) => ExitCode::BindFailed,
            Self::Privileges(_) => ExitCode::SetuidFailed,
            Self::Whitelist(WhitelistError::NothingAllowed(_)) => ExitCode::CompilerMissing,
            Self::Whitelist(WhitelistError::List { .. }) => ExitCode::NoSuchFile,
            Self::Workshop(_) | Self::PidFile { .. } | Self::System { .. } => ExitCode::IoError,
        }
    }
}

/// Names what the system refused.
fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// The `distccd` program.
#[must_use]
pub fn main() -> ProcessExit {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == announce::WORD) {
        let words: Vec<_> = words.collect();
        return announce::run(&words, &environment::search_path()).into();
    }
    let options = match Options::parse_from_words(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => {
            // A terminal that is gone needs no word.
            let _ = error.print();
            let code = if error.use_stderr() {
                ExitCode::BadArguments.code()
            } else {
                0
            };
            return code.into();
        }
    };
    let to_stderr = options.log_stderr;
    match run(options) {
        Ok(code) => code.into(),
        Err(error) => report(&error, to_stderr).into(),
    }
}

/// Says why the daemon does not start, where messages go and to whoever started it. Returns the exit code.
fn report(error: &StartError, to_stderr: bool) -> u8 {
    tracing::error!("{error}");
    let was_seen = to_stderr && tracing::dispatcher::has_been_set();
    if !was_seen {
        eprintln!("distccd: ERROR: {error}");
    }
    error.code().code()
}

fn run(options: Options) -> Result<u8, StartError> {
    refuse_gss_api(&options)?;
    let environment = Environment::read()?;
    let view = view_policy(environment.view.as_deref())?;
    let is_inetd = options.inetd || (!options.daemon && listen::stdin_is_socket());
    let access = Access::new(&options.allow, options.allow_private)?;

    // As the user who started us.
    let listeners = if is_inetd {
        None
    } else {
        Some(Listeners::open(&options, &environment)?)
    };
    let oom = options.oom_score_adj.map(privileges::adjust_oom_score);
    privileges::raise_descriptor_limit(4 * MAX_CONNECTIONS as u64);
    let outcome = privileges::give_up(options.user.as_deref())?;

    // As the user who serves.
    start_log(&options);
    log_start(&options, outcome, oom);
    let whitelist = whitelist(&options, &environment)?;
    if !is_inetd {
        describe(&access, &whitelist);
    }

    let starting = if is_inetd || options.no_detach {
        Starting::in_foreground()
    } else {
        match detach().map_err(system("go to the background"))? {
            Detached::Daemon(starting) => starting,
            Detached::Parent(code) => return Ok(code),
        }
    };
    let jobs = jobs(&options);
    let prepared = match prepare(
        &options,
        &environment,
        view,
        access,
        whitelist,
        jobs,
        is_inetd,
    ) {
        Ok(prepared) => prepared,
        Err(error) => {
            // Before the process that was started ends, so that its message is its own.
            let code = report(&error, options.log_stderr);
            starting.failed(code);
            return Ok(code);
        }
    };
    let Prepared {
        runtime,
        end,
        house,
        shelf,
        place,
        pid_file,
    } = prepared;
    let lifetime = options.lifetime.map(Duration::from_secs);
    let bringer = runtime.spawn(end.bring(Arc::clone(&house), lifetime));
    let code = match listeners {
        None => runtime
            .block_on(inetd::serve(house))
            .map_err(system("use standard input")),
        Some(listeners) => {
            let to_stderr = options.log_stderr;
            let announced = options.zeroconf.then(|| environment.search_path.clone());
            let serving = serve_network(house, listeners, jobs, starting, to_stderr, announced);
            // On a thread that serves connections: this one would have to be woken for each client, to wake another.
            let served = runtime.block_on(runtime.spawn(serving));
            served
                .unwrap_or_else(|ended| Err(io::Error::other(ended)))
                .map(|()| 0)
                .map_err(system("use the listening socket"))
        }
    };
    // It holds the house, whose directories are removed with it.
    bringer.abort();
    let _ = runtime.block_on(bringer);
    // A thread may be blocked in reading standard input for ever; it has nothing left to do.
    runtime.shutdown_background();
    if let Some(shelf) = shelf {
        shelf.store.close();
    }
    drop(place);
    drop(pid_file);
    code
}

/// The sockets that clients come to.
struct Listeners {
    jobs: TcpListener,
    statistics: Option<TcpListener>,
}

impl Listeners {
    fn open(options: &Options, environment: &Environment) -> Result<Self, ListenError> {
        let jobs = match environment.listen_fd {
            Some(fd) => listen::inherit(fd)?,
            None => listen::bind(options.listen.as_deref(), options.port)?,
        };
        let statistics = if options.stats {
            Some(listen::bind(options.listen.as_deref(), options.stats_port)?)
        } else {
            None
        };
        Ok(Self { jobs, statistics })
    }
}

/// All that serving needs beside sockets.
struct Prepared {
    runtime: Runtime,
    end: End,
    house: Arc<House>,
    shelf: Option<Arc<Shelf>>,
    place: Option<StorePlace>,
    pid_file: Option<PidFile>,
}

/// Processors for which one thread serves connections. It only passes messages on: what takes time, or waits for the disk, is done on threads of
/// their own. Each further one would be woken in vain whenever another finds work.
const PROCESSORS_PER_THREAD: usize = 8;

fn runtime() -> io::Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.div_ceil(PROCESSORS_PER_THREAD))
        .enable_all()
        .build()
}

/// From here on the process has threads.
fn prepare(
    options: &Options,
    environment: &Environment,
    view: ViewPolicy,
    access: Access,
    whitelist: Whitelist,
    jobs: usize,
    is_inetd: bool,
) -> Result<Prepared, StartError> {
    let runtime = runtime().map_err(system("start threads"))?;
    let end = {
        let _inside = runtime.enter();
        End::new().map_err(system("watch for signals"))?
    };
    let workshop = Workshop::new(workshop_settings(options, environment, view))?;
    notice!("{}", workshop.describe());
    notice!("{}", workshop.describe_sandbox());
    let temp_dir = &environment.temp_dir;
    let temp_dir = temp_dir
        .canonicalize()
        .map_err(system("find the temporary directory"))?;
    let sysroot = options.sysroot.as_ref().map(std::path::absolute);
    // A daemon for one job would get every file anew.
    let (place, shelf) = match is_inetd {
        true => (None, None),
        false => open_shelf(options, &temp_dir),
    };
    let house = House::new(HouseSettings {
        workshop,
        shelf: shelf.clone(),
        whitelist: Arc::new(whitelist),
        access,
        jobs,
        io_timeout: environment.io_timeout,
        // Absolute: the working directory changes below.
        sysroot: sysroot.transpose().map_err(system("find --sysroot"))?,
        temp_dir: temp_dir.clone(),
        limits: Limits::DEFAULT,
        connections: MAX_CONNECTIONS,
        queue: options.queue as usize,
        min_free_memory: options.min_free_memory,
    });
    let pid_file = options.pid_file.as_ref().map(|path| {
        PidFile::write(path).map_err(|source| StartError::PidFile {
            path: path.clone(),
            source,
        })
    });
    let pid_file = pid_file.transpose()?;
    // So that no file system is kept busy that an administrator wants to unmount.
    std::env::set_current_dir(temp_dir).map_err(system("enter the temporary directory"))?;
    Ok(Prepared {
        runtime,
        end,
        house,
        shelf,
        place,
        pid_file,
    })
}

/// The store of files, without which the daemon goes on by stock's protocols.
fn open_shelf(options: &Options, temp_dir: &Path) -> (Option<StorePlace>, Option<Arc<Shelf>>) {
    let given = options.cache_dir.as_deref();
    let place = match StorePlace::new(given, options.cache_size, temp_dir) {
        Ok(place) => place,
        Err(error) => {
            tracing::error!("no store of clients' files: {error}; jobs go by stock's protocols");
            return (None, None);
        }
    };
    match place.open() {
        Ok(store) => {
            notice!("clients' files are kept in {place}");
            let policy = match options.same_compiler {
                SameCompiler::Alike => Policy::Alike,
                SameCompiler::Described => Policy::Described,
                SameCompiler::Exact => Policy::Exact,
            };
            let shelf = match options.cache_results {
                Switch::Yes => Shelf::new(store, policy).with_results(),
                Switch::No => Shelf::new(store, policy),
            };
            (Some(place), Some(Arc::new(shelf)))
        }
        Err(error) => {
            tracing::error!("{error}; jobs go by stock's protocols");
            (None, None)
        }
    }
}

async fn serve_network(
    house: Arc<House>,
    listeners: Listeners,
    jobs: usize,
    starting: Starting,
    keep_stderr: bool,
    announced: Option<Option<OsString>>,
) -> io::Result<()> {
    let to_async = |listener: TcpListener| {
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    let address = listeners.jobs.local_addr()?;
    let listener = to_async(listeners.jobs)?;
    let statistics = listeners.statistics.map(to_async).transpose()?;
    notice!("listening on {address}, allowing up to {jobs} active jobs");
    let announcer = announced.and_then(|path| Announcer::start(address, jobs, path));
    starting.ready(keep_stderr);
    service::run(house, listener, statistics).await;
    if let Some(announcer) = announcer {
        announcer.stop().await;
    }
    notice!("stopped");
    Ok(())
}

/// How long compiles may take that run when the daemon is asked to end. Service managers wait for 20 seconds and more.
const FINISH_TIME: Duration = Duration::from_secs(15);

/// What ends the daemon: a signal, or `--lifetime`.
struct End([Signal; 4]);

impl End {
    fn new() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::alarm())?,
        ]))
    }

    /// Brings the end when it is time. SIGTERM and the end of the lifetime let what compiles come to its end; another signal, or a second one, does not.
    async fn bring(mut self, house: Arc<House>, lifetime: Option<Duration>) {
        let over = async {
            match lifetime {
                Some(lifetime) => tokio::time::sleep(lifetime).await,
                None => std::future::pending().await,
            }
        };
        let (why, may_finish) = tokio::select! {
            (why, may_finish) = self.next() => (why, may_finish),
            () = over => ("--lifetime is over", true),
        };
        if may_finish {
            house.finish();
            let running = house.admission.tally().running;
            let seconds = FINISH_TIME.as_secs();
            notice!("stopping: {why}; {running} compiles may run for {seconds} s more");
            let why = tokio::select! {
                (why, _) = self.next() => why,
                () = tokio::time::sleep(FINISH_TIME) => "the time is over",
            };
            notice!("stopping at once: {why}");
        } else {
            notice!("stopping: {why}");
        }
        house.stop();
    }

    /// The next signal, and whether it lets compiles come to their end.
    async fn next(&mut self) -> (&'static str, bool) {
        let Self([terminate, interrupt, hangup, alarm]) = self;
        tokio::select! {
            _ = terminate.recv() => ("SIGTERM", true),
            _ = interrupt.recv() => ("SIGINT", false),
            _ = hangup.recv() => ("SIGHUP", false),
            _ = alarm.recv() => ("SIGALRM", false),
        }
    }
}

fn refuse_gss_api(options: &Options) -> Result<(), StartError> {
    let given = [
        ("--auth", options.auth),
        ("--show-principal", options.show_principal),
        ("--blacklist", options.blacklist.is_some()),
        ("--whitelist", options.whitelist.is_some()),
    ];
    match given.into_iter().find(|&(_, given)| given) {
        Some((option, _)) => Err(StartError::NoGssApi(option)),
        None => Ok(()),
    }
}

fn view_policy(value: Option<&OsStr>) -> Result<ViewPolicy, StartError> {
    match value.map(OsStr::as_encoded_bytes) {
        None | Some(b"auto") => Ok(ViewPolicy::Auto),
        Some(b"namespace") => Ok(ViewPolicy::Namespace),
        Some(b"rewrite") => Ok(ViewPolicy::Rewrite),
        Some(_) => Err(StartError::View(value.unwrap_or_default().to_owned())),
    }
}

/// Opens the log. A file that cannot be opened is no reason not to serve, as in stock: then syslog it is.
fn start_log(options: &Options) {
    let named = options
        .log_level
        .as_deref()
        .map(|name| (name, Severity::from_name(name)));
    let level = match named {
        _ if options.verbose => Severity::Debug,
        Some((_, Some(level))) => level,
        Some((_, None)) | None => Severity::Notice,
    };
    let mut problem = None;
    let sink = match &options.log_file {
        _ if options.log_stderr => Sink::Stderr,
        Some(path) => Sink::file(path).unwrap_or_else(|error| {
            problem = Some(format!(
                "cannot open the log file {}: {error}",
                path.display()
            ));
            Sink::Syslog
        }),
        None => Sink::Syslog,
    };
    log::start(sink, level);
    if let Some(problem) = problem {
        eprintln!("distccd: Warning: {problem}; using syslog");
        tracing::warn!("{problem}");
    }
    if let Some((name, None)) = named {
        tracing::warn!("--log-level {name} is not known; using notice");
    }
}

/// Says what became of privileges and of options without effect.
fn log_start(options: &Options, outcome: privileges::Outcome, oom: Option<io::Result<()>>) {
    for warning in outcome.warnings {
        tracing::warn!(target: "privileges", "{warning}");
    }
    if let Some(identity) = outcome.identity {
        tracing::info!(target: "privileges", "{identity}");
    }
    if let Some(Err(error)) = oom {
        tracing::warn!("--oom-score-adj has no effect: {error}");
    }
    for word in &options.ignored {
        tracing::warn!("ignored on the command line: {}", word.display());
    }
}

/// Says who may do what. A client on standard input was let in by somebody else.
fn describe(access: &Access, whitelist: &Whitelist) {
    if access.is_default() {
        tracing::warn!("no --allow was given: serving private networks only ({access})");
    }
    if whitelist.is_open() {
        tracing::warn!("{}", whitelist.describe());
    } else {
        notice!("{}", whitelist.describe());
    }
}

fn whitelist(options: &Options, environment: &Environment) -> Result<Whitelist, WhitelistError> {
    let search_path = environment.search_path.clone();
    if let Some(list) = &environment.command_list {
        return Whitelist::list(list, environment.command_list_words, search_path);
    }
    if options.enable_tcp_insecure || options.make_me_a_botnet {
        return Ok(Whitelist::open(search_path));
    }
    Whitelist::directories(environment.whitelist.as_deref(), search_path)
}

fn workshop_settings(
    options: &Options,
    environment: &Environment,
    view: ViewPolicy,
) -> WorkshopSettings {
    let mut for_compilers = environment.for_compilers.clone();
    // A compiler that is a link to distcc after all then notices that it calls itself.
    for_compilers.push(("_DISTCC_SAFEGUARD".into(), "1".into()));
    WorkshopSettings {
        view,
        nice: options.nice,
        job_lifetime: (options.job_lifetime > 0).then(|| Duration::from_secs(options.job_lifetime)),
        keep_temps: environment.save_temps,
        compiler_path: environment.search_path.clone(),
        sandbox: sandbox_settings(options, environment),
        environment: for_compilers,
        ..WorkshopSettings::new(environment.temp_dir.clone())
    }
}

/// What the administrator named as places of compilers, they may read.
fn sandbox_settings(options: &Options, environment: &Environment) -> SandboxSettings {
    let paths = environment.search_path.iter();
    let libraries = environment.for_compilers.iter();
    let libraries = libraries.filter(|(name, _)| name == "LD_LIBRARY_PATH");
    let lists = paths.chain(libraries.map(|(_, value)| value));
    let mut readable: Vec<PathBuf> = lists.flat_map(std::env::split_paths).collect();
    readable.extend(options.sysroot.clone());
    readable.extend(options.sandbox_read.clone());
    SandboxSettings {
        policy: options.sandbox,
        memory: options.job_memory,
        readable,
    }
}

/// Compiles at a time: stock's default keeps the processors busy while files are read and written.
fn jobs(options: &Options) -> usize {
    match options.jobs {
        Some(jobs) => jobs as usize,
        None => std::thread::available_parallelism().map_or(1, usize::from) + 2,
    }
}
