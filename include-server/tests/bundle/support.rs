//! A directory with sources, an include server, and a server that takes its offers.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use include_server::answer::{Answerer, Offered};
use include_server::facts::Freshness;
use protocol::bundle::entry::Entry;
use protocol::bundle::need::Need;
use protocol::include_dialogue::Query;
use protocol::token::{Tag, put_token};

use crate::server::{Job, Server, frames};

/// After so long the times of a file vouch for it.
pub const SETTLED: Duration = Duration::from_millis(40);

pub const MODES: [Freshness; 2] = [Freshness::Stat, Freshness::Auto];

pub struct Site {
    directory: tempfile::TempDir,
    pub answerer: Answerer,
    pub server: Server,
}

impl Site {
    pub fn new(freshness: Freshness) -> Self {
        let environment = vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())];
        Self {
            directory: tempfile::tempdir().unwrap(),
            answerer: Answerer::new(environment, freshness, None).unwrap(),
            server: Server::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn settle(&self) {
        std::thread::sleep(SETTLED);
    }

    pub fn query(&self, command: &str) -> Query {
        let root = self.directory.path().canonicalize().unwrap();
        let command = command.replace("ROOT", root.to_str().unwrap());
        Query {
            cwd: self.path("").as_os_str().as_bytes().to_vec(),
            environment: Some(vec![b"PATH=/usr/bin:/bin".to_vec()]),
            argv: command
                .split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect(),
        }
    }

    pub fn offer(&self, command: &str) -> Offered {
        let offered = self.answerer.offer(&self.query(command));
        offered.unwrap_or_else(|doubt| panic!("{command}: {doubt}"))
    }

    /// Has a job offered and taken, and compares it with the disk and with what the compiler says.
    #[track_caller]
    pub fn check(&mut self, command: &str) -> Job {
        let query = self.query(command);
        let answer = self.answerer.answer(&query).unwrap();
        let absent = answer.closure.probed_absent();
        let offered = self.offer(command);
        let cwd = self.path("");
        let job = self
            .server
            .take(&offered.body, &cwd, absent, |need| {
                Ok(given(&offered, need))
            })
            .unwrap();
        self.server.compare_with_disk(&job).unwrap();
        self.server.finds(&job, &self.truth(&query)).unwrap();
        self.server.nothing_unexpected().unwrap();
        job
    }

    /// What the compiler says that it reads.
    fn truth(&self, query: &Query) -> BTreeSet<String> {
        let words: Vec<&std::ffi::OsStr> = query
            .argv
            .iter()
            .map(|word| std::ffi::OsStr::from_bytes(word))
            .collect();
        let output = Command::new(words[0])
            .args(&words[1..])
            .arg("-M")
            .current_dir(self.path(""))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let rule = String::from_utf8(output.stdout)
            .unwrap()
            .replace("\\\n", " ");
        let (_, names) = rule.split_once(": ").unwrap();
        names.split_whitespace().map(str::to_owned).collect()
    }

    /// The entry that a job has at a path below the directory.
    pub fn entry(&self, job: &Job, name: &str) -> Option<Entry> {
        let path = self.path(name);
        let entries = self.server.entries(job);
        let mut found = entries
            .into_iter()
            .filter(|entry| entry.path.as_bytes() == path.as_os_str().as_bytes());
        found.next()
    }
}

/// What an offer gives for a need.
pub fn given(offered: &Offered, need: &Need) -> Vec<protocol::bundle::Frame> {
    let mut bytes = Vec::new();
    for parcel in offered.parcels(need).unwrap() {
        parcel.put(&mut bytes, need.codecs.best());
    }
    put_token(&mut bytes, Tag::HAVE, 0);
    frames(&bytes)
}
