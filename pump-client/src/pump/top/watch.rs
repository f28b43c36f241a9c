//! Looking: from state files, sessions and pages to a [`Scene`]. [`Watch`] owns what is kept from look to look: which sessions are
//! known and how far their journals have been read.

use super::options::{Pages, TopOptions};
use super::places::Places;
use super::scene::{Counts, JobView, Scene, SessionView, printable};
use super::servers::Servers;
use super::tally::Tally;
use crate::environment::Environment as ClientEnvironment;
use crate::host_list::{self, DEFAULT_PORT, HostList, Place};
use crate::monitor::running_jobs;
use crate::pump::about::About;
use crate::pump::environment::Environment;
use crate::pump::keeper::JournalStart;
use crate::pump::session::{NotASession, PREFIX, Record, Session};
use crate::timeline;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// Sessions that are watched at a time.
const SESSIONS: usize = 16;

/// Reasons that a scene has.
const REASONS: usize = 50;

/// The span over which the rate is taken, in microseconds.
const RATE_SPAN: u64 = 10_000_000;

/// See the module's text.
pub struct Watch {
    environment: Environment,
    named: Option<PathBuf>,
    pages: Pages,
    servers: Servers,
    /// Where sessions are looked for.
    bases: Vec<PathBuf>,
    /// By directory. Those that are over stay until another one takes their place on the screen.
    sessions: Vec<Watched>,
    /// The directory of the one that is shown.
    shown: Option<PathBuf>,
    /// The person has chosen it; without that the newest is shown.
    is_chosen: bool,
}

/// A session that is watched.
struct Watched {
    session: Session,
    record: Record,
    about: About,
    journal: JournalStart,
    tally: Tally,
    /// When it was found to be over.
    over: Option<u64>,
}

impl Watch {
    /// Begins.
    ///
    /// # Errors
    /// When the session that the user named is none.
    pub fn new(environment: &Environment, options: &TopOptions) -> Result<Self, NotASession> {
        let named = match &options.session {
            Some(path) => {
                let path = std::path::absolute(path)?;
                Session::open(&path)?;
                Some(path)
            }
            None => None,
        };
        Ok(Self {
            environment: environment.clone(),
            named,
            pages: options.pages,
            servers: Servers::default(),
            bases: bases(environment),
            sessions: Vec::new(),
            shown: None,
            is_chosen: false,
        })
    }

    /// Shows the next session.
    pub fn next_session(&mut self) {
        let at = self.shown_index();
        let next = at.map_or(0, |at| (at + 1) % self.sessions.len());
        let next = self.sessions.get(next);
        self.shown = next.map(|watched| watched.session.directory().to_owned());
        self.is_chosen = true;
    }

    /// Gives servers a moment to answer.
    pub fn wait_for_pages(&self, time: Duration) {
        self.servers.wait(time);
    }

    /// Looks once.
    pub fn look(&mut self) -> Scene {
        self.find_sessions();
        for watched in &mut self.sessions {
            // A session that is just beginning has not said yet what it is.
            if watched.about.began == 0 {
                watched.about = About::read(&watched.session);
                watched.journal = JournalStart::noted(&watched.session);
                watched.tally = Tally::default();
            }
            // A journal that is gone, or not there yet, has nothing new.
            let _ = watched.tally.catch_up(&watched.journal);
        }
        let at = self.shown_index();
        let shown = at.map(|at| &self.sessions[at]);
        let client = self.client_environment(shown);
        let (list, trouble) = match host_list::look(&client) {
            Ok(list) => (list, None),
            Err(error) => (HostList::default(), Some(error.to_string())),
        };
        self.ask_servers(&list);
        let jobs = client.state_directory().map_or_else(Vec::new, |root| {
            running_jobs(&root.join("state"), |_, _| {})
        });
        let mut places = Places::of(&list);
        let jobs = jobs.iter().map(|job| places.add(job)).collect();
        let mut hosts = places.hosts;
        for host in &mut hosts {
            if let Some(tally) = shown.map(|watched| &watched.tally) {
                host.view.tally = tally
                    .hosts
                    .get(&host.journal_name)
                    .copied()
                    .unwrap_or_default();
            }
            host.view.page = self.servers.page(&host.name);
        }
        let place = at.map_or((0, 0), |at| (at + 1, self.sessions.len()));
        Scene {
            session: shown.map(|watched| watched.view(place)),
            hosts: hosts.into_iter().map(|host| host.view).collect(),
            jobs: in_order(jobs),
            counts: shown.map(|watched| counts(&watched.tally)),
            trouble: trouble.map(|text| printable(text.as_bytes())),
        }
    }

    fn shown_index(&self) -> Option<usize> {
        let shown = self.shown.as_ref()?;
        let mut sessions = self.sessions.iter();
        sessions.position(|watched| watched.session.directory() == shown)
    }

    /// Takes up sessions that are new, and lets go those that are over and not shown.
    fn find_sessions(&mut self) {
        for watched in &mut self.sessions {
            if watched.over.is_none() && !is_running(&watched.session, &watched.record) {
                watched.over = Some(timeline::now());
            }
        }
        for directory in self.candidates() {
            let is_known = |watched: &Watched| watched.session.directory() == directory;
            if self.sessions.len() >= SESSIONS || self.sessions.iter().any(is_known) {
                continue;
            }
            if let Ok((session, record)) = Session::open(&directory)
                && (is_running(&session, &record) || self.named.as_ref() == Some(&directory))
            {
                self.sessions.push(Watched {
                    about: About::read(&session),
                    journal: JournalStart::noted(&session),
                    session,
                    record,
                    tally: Tally::default(),
                    over: None,
                });
            }
        }
        let at = self.shown_index();
        let is_running = at.is_some_and(|at| self.sessions[at].over.is_none());
        self.is_chosen &= is_running;
        if !self.is_chosen {
            self.shown = self.best();
        }
        let shown = self.shown.clone();
        self.sessions.retain(|watched| {
            watched.over.is_none() || Some(watched.session.directory()) == shown.as_deref()
        });
    }

    /// The session to show: the user's own, else the newest. One that is over stays until a newer one begins.
    fn best(&self) -> Option<PathBuf> {
        let own = self.own();
        let candidates = self.sessions.iter().filter(|watched| {
            watched.over.is_none() || self.shown.as_deref() == Some(watched.session.directory())
        });
        let best = candidates.max_by_key(|watched| {
            let is_own = own.as_deref() == Some(watched.session.directory());
            (is_own && watched.over.is_none(), watched.about.began)
        });
        best.map(|watched| watched.session.directory().to_owned())
    }

    /// The session that the user or the environment names.
    fn own(&self) -> Option<PathBuf> {
        let own = self
            .named
            .as_ref()
            .or(self.environment.include_server_dir.as_ref());
        own.cloned()
    }

    /// Directories that may be sessions.
    fn candidates(&self) -> Vec<PathBuf> {
        if let Some(named) = &self.named {
            return vec![named.clone()];
        }
        let entries = self
            .bases
            .iter()
            .flat_map(|base| std::fs::read_dir(base).into_iter().flatten().flatten());
        let named = entries
            .filter(|entry| entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()))
            .map(|entry| entry.path());
        self.own().into_iter().chain(named).collect()
    }

    /// The environment of the jobs that are shown, as far as it says where they go.
    fn client_environment(&self, shown: Option<&Watched>) -> ClientEnvironment {
        let about = shown.map(|watched| &watched.about);
        let own = &self.environment;
        ClientEnvironment {
            hosts: match about {
                Some(about) => about.hosts.clone(),
                None => own.distcc_hosts.clone(),
            },
            distcc_dir: match about {
                Some(about) => about.distcc_dir.clone(),
                None => own.distcc_dir.clone(),
            },
            home: own.home.clone(),
            ..ClientEnvironment::default()
        }
    }

    fn ask_servers(&self, list: &HostList) {
        for host in &list.hosts {
            let Place::Tcp { name, port } = &host.place else {
                continue;
            };
            let Ok(name) = std::str::from_utf8(name) else {
                continue;
            };
            match self.pages {
                Pages::At(page) => self.servers.ask(name, page),
                Pages::Usual if *port == DEFAULT_PORT => self.servers.ask(name, DEFAULT_PORT + 1),
                Pages::Usual | Pages::None => {}
            }
        }
    }
}

/// Where sessions make their directories.
fn bases(environment: &Environment) -> Vec<PathBuf> {
    let usual = PathBuf::from("/tmp");
    match &environment.temporary {
        // The second is for root's sessions whose private server could not reach the first.
        Some(base) if *base != usual => vec![base.clone(), usual],
        _ => vec![usual],
    }
}

/// Whether a session's keeper runs; one of another PID namespace is taken to run as long as its directory is there.
fn is_running(session: &Session, record: &Record) -> bool {
    session.directory().is_dir() && (record.is_kept() || !record.is_of_this_namespace())
}

impl Watched {
    fn view(&self, place: (usize, usize)) -> SessionView {
        let until = self.over.unwrap_or_else(timeline::now);
        let age = until.checked_sub(self.about.began);
        SessionView {
            command: printable(self.about.command.as_bytes()),
            age: age
                .filter(|_| self.about.began > 0)
                .map(Duration::from_micros),
            is_over: self.over.is_some(),
            place,
        }
    }
}

/// Jobs that wait come last; the others are by host and slot already.
fn in_order(jobs: Vec<JobView>) -> Vec<JobView> {
    let (waiting, mut running): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|job| job.place.is_empty());
    running.extend(waiting);
    running
}

fn counts(tally: &Tally) -> Counts {
    let [pump, plain, local] = tally.modes;
    let hits = tally.all.hits.min(pump);
    let mut reasons: Vec<_> = tally
        .reasons
        .iter()
        .map(|((kind, reason), &count)| (*kind, reason, count))
        .collect();
    reasons.sort_by_key(|&(kind, reason, count)| (std::cmp::Reverse(count), kind, reason));
    let all = reasons.len();
    let top = reasons.into_iter().take(REASONS);
    let top = top.map(|(kind, reason, count)| (kind, printable(reason.as_bytes()), count));
    let ended = tally.ended_within(RATE_SPAN, timeline::now());
    Counts {
        fates: [hits, pump - hits, plain, local],
        failed: tally.failed,
        hits: (tally.all.answered, tally.all.hits),
        rate: ended as f64 / (RATE_SPAN / 1_000_000) as f64,
        reasons: (top.collect(), all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_state::Phase;
    use crate::monitor;
    use std::ffi::OsString;
    use std::path::Path;

    fn environment(temporary: &Path) -> Environment {
        Environment {
            temporary: Some(temporary.to_owned()),
            home: Some(temporary.join("home")),
            ..Environment::default()
        }
    }

    fn state(dir: &Path, name: &str, host: &str, slot: i32, phase: Phase) {
        let pid = u64::from(std::process::id());
        let bytes = monitor::example(pid, name, host, slot, phase as i32);
        let folder = dir.join("state");
        std::fs::create_dir_all(&folder).expect("a directory");
        std::fs::write(folder.join(format!("binstate_{name}")), bytes).expect("a file");
    }

    #[test]
    fn jobs_are_on_the_slots_of_their_hosts() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut own = environment(dir.path());
        own.distcc_dir = Some(dir.path().join("d"));
        own.distcc_hosts = Some("box/2,cpp,lzo other:99/1 --localslots=3 localhost/1".into());
        state(&dir.path().join("d"), "a.c", "box", 1, Phase::Compile);
        state(
            &dir.path().join("d"),
            "b.c",
            "localhost",
            0,
            Phase::Preprocess,
        );
        state(&dir.path().join("d"), "c.c", "gone", 4, Phase::Send);
        state(&dir.path().join("d"), "d.c", "box", 0, Phase::Blocked);
        let folder = dir.path().join("d/state");
        std::fs::write(folder.join("binstate_9"), b"half").expect("a file");
        let options = TopOptions {
            pages: Pages::None,
            ..TopOptions::default()
        };
        let mut watch = Watch::new(&own, &options).expect("no session is named");
        watch.bases.truncate(1);
        let scene = watch.look();
        let hosts: Vec<_> = scene.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(hosts, ["box", "other:99", "gone", "here"]);
        assert_eq!(scene.hosts[0].slots, [None, Some(Phase::Compile)]);
        assert_eq!(scene.hosts[1].slots, [None]);
        assert_eq!(scene.hosts[2].slots[4], Some(Phase::Send));
        assert_eq!(scene.hosts[3].slots, [Some(Phase::Preprocess), None, None]);
        let jobs: Vec<_> = scene
            .jobs
            .iter()
            .map(|job| (&*job.place, &*job.file))
            .collect();
        assert_eq!(
            jobs,
            [
                ("box/1", "a.c"),
                ("gone/4", "c.c"),
                ("here/0", "b.c"),
                ("", "d.c")
            ]
        );
        assert_eq!((&scene.session, &scene.trouble), (&None, &None));
    }

    #[test]
    fn a_session_is_found_followed_and_kept_when_it_is_over() {
        let base = tempfile::tempdir().expect("a directory");
        let session = Session::create(base.path(), false, true).expect("it can be made");
        let about = About {
            command: OsString::from("make \u{1b}[2J -j4"),
            hosts: Some("box,cpp,lzo".into()),
            distcc_dir: Some(base.path().join("nowhere")),
            trace: None,
            began: timeline::now(),
        };
        about.write(&session).expect("it can be written");
        let line = "1\tpump\tbox:3632\t0\t\ta.c\thit\t\n1\tlocal\tlocalhost\t1\ta link\tb\n";
        std::fs::write(session.file("journal"), line).expect("it can be written");
        let options = TopOptions {
            pages: Pages::None,
            ..TopOptions::default()
        };
        let mut watch = Watch::new(&environment(base.path()), &options).expect("none is named");
        watch.bases.truncate(1);
        let scene = watch.look();
        let view = scene.session.expect("it is found");
        assert_eq!(
            (view.command.as_str(), view.is_over),
            ("make ?[2J -j4", false)
        );
        let counts = scene.counts.expect("it has counts");
        assert_eq!((counts.fates, counts.failed), ([1, 0, 0, 1], 1));
        assert_eq!(scene.hosts[0].tally.hits, 1);
        session.remove();
        for _ in 0..2 {
            let scene = watch.look();
            assert!(scene.session.expect("it stays").is_over);
            assert_eq!(scene.counts.expect("they stay").total(), 2);
        }
        // A newer one takes its place, unless the person has chosen otherwise.
        let next = Session::create(base.path(), false, true).expect("it can be made");
        let newer = |about: &About| About {
            began: about.began + 1,
            ..about.clone()
        };
        newer(&about).write(&next).expect("it can be written");
        let view = watch.look().session.expect("the new one");
        assert_eq!((view.is_over, view.place), (false, (1, 1)));
        let third = Session::create(base.path(), false, true).expect("it can be made");
        newer(&newer(&about))
            .write(&third)
            .expect("it can be written");
        assert_eq!(watch.look().session.expect("the third").place, (2, 2));
        watch.next_session();
        assert_eq!(watch.look().session.expect("the second").place, (1, 2));
        third.remove();
        assert_eq!(watch.look().session.expect("the second").place, (1, 1));
        next.remove();
    }

    #[test]
    fn a_directory_that_is_no_session_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = TopOptions {
            session: Some(dir.path().to_owned()),
            ..TopOptions::default()
        };
        assert!(Watch::new(&environment(dir.path()), &options).is_err());
    }
}
