//! Which host's slot a job is on. [`Places`] owns the hosts of one picture while jobs are put on them.

use super::scene::{HostView, JobView, phase, printable};
use crate::host_list::{DEFAULT_PORT, Host, HostList, Place};
use crate::job_state::Phase;
use crate::monitor;
use std::path::Path;
use std::time::SystemTime;

/// Slots that are shown of a host at most.
const SLOTS: usize = 512;

/// A host with the names by which it is found.
pub(super) struct HostPlace {
    /// As state files have it.
    pub(super) name: String,
    /// As the journal has it.
    pub(super) journal_name: String,
    /// How the names of its locks begin.
    lock: String,
    pub(super) view: HostView,
}

/// The hosts, while jobs are put on their slots.
pub(super) struct Places {
    pub(super) hosts: Vec<HostPlace>,
}

impl Places {
    /// The hosts of a list, and this machine as the last.
    pub(super) fn of(list: &HostList) -> Self {
        let mut hosts: Vec<HostPlace> = Vec::new();
        for host in list.hosts.iter().filter(|host| !host.is_local()) {
            hosts.push(HostPlace::listed(host));
        }
        let local = list.hosts.iter().find(|host| host.is_local());
        let slots = local.map_or(list.localslots, |host| host.slots.max(list.localslots));
        hosts.push(HostPlace {
            name: "localhost".to_owned(),
            journal_name: "localhost".to_owned(),
            lock: "cpu_localhost_".to_owned(),
            view: HostView {
                name: "here".to_owned(),
                is_here: true,
                slots: vec![None; bounded(slots)],
                ..HostView::default()
            },
        });
        Self { hosts }
    }

    /// Puts a job where it is.
    pub(super) fn add(&mut self, job: &monitor::Job) -> JobView {
        let phase = phase(job.phase);
        let name = String::from_utf8_lossy(&job.host).into_owned();
        let waits = name.is_empty() || matches!(phase, Some(Phase::Startup | Phase::Blocked));
        let now = SystemTime::now();
        let began = job.since.map_or(now, |(began, _)| began);
        let mut view = JobView {
            phase,
            age: now.duration_since(began).unwrap_or_default(),
            place: String::new(),
            file: printable(&job.file),
        };
        if waits {
            return view;
        }
        let at = self.find(&name, job.pid);
        let host = &mut self.hosts[at].view;
        view.place = format!("{}/{}", host.name, job.slot);
        if let Ok(slot) = usize::try_from(job.slot)
            && slot < SLOTS
        {
            if host.slots.len() <= slot {
                host.slots.resize(slot + 1, None);
            }
            host.slots[slot] = Some(phase.unwrap_or(Phase::Startup));
        }
        view
    }

    /// The host of a job. State files name no port: where several hosts have one name, the lock that the job holds tells which it is.
    fn find(&mut self, name: &str, pid: u64) -> usize {
        let mut same = (0..self.hosts.len()).filter(|&at| self.hosts[at].name == name);
        match (same.next(), same.next()) {
            (Some(only), None) => only,
            (Some(first), Some(_)) => {
                let locks = locks_of(pid);
                // Behind a remote slot a job may hold a local one, and this machine is the last in the list.
                let holds = |host: &HostPlace| {
                    host.name == name && locks.iter().any(|lock| lock.starts_with(&host.lock))
                };
                self.hosts.iter().position(holds).unwrap_or(first)
            }
            (None, _) => {
                let view = HostView {
                    name: printable(name.as_bytes()),
                    ..HostView::default()
                };
                let at = self.hosts.len() - 1;
                let seen = HostPlace {
                    name: name.to_owned(),
                    journal_name: name.to_owned(),
                    lock: String::new(),
                    view,
                };
                self.hosts.insert(at, seen);
                at
            }
        }
    }
}

impl HostPlace {
    fn listed(host: &Host) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = match &host.place {
            Place::Tcp { name, port } if *port == DEFAULT_PORT => name.clone(),
            _ => host.journal_name(),
        };
        Self {
            name: text(host.name()),
            journal_name: text(&host.journal_name()),
            lock: format!("cpu_{}_", text(&host.lock_key())),
            view: HostView {
                name: printable(&shown),
                is_down: host.down,
                slots: vec![None; bounded(host.slots)],
                ..HostView::default()
            },
        }
    }
}

fn bounded(slots: u32) -> usize {
    usize::try_from(slots).unwrap_or(SLOTS).min(SLOTS)
}

/// The names of the lock files that a process has open.
fn locks_of(pid: u64) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let links = open.into_iter().flatten().flatten();
    let files = links.filter_map(|link| std::fs::read_link(link.path()).ok());
    let names = files.filter_map(|file| Some(file_name(&file)?.to_owned()));
    names.filter(|name| name.starts_with("cpu_")).collect()
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_list;

    #[test]
    fn two_hosts_of_one_name_are_told_apart_by_the_lock() {
        let dir = tempfile::tempdir().expect("a directory");
        let list = host_list::parse(b"box:1/2 box:2/2").expect("a list");
        let lock = dir.path().join("cpu_tcp_box_2_1");
        let _held = std::fs::File::create(lock).expect("a file");
        let job = monitor::Job {
            pid: u64::from(std::process::id()),
            phase: 5,
            file: b"a.c".to_vec(),
            host: b"box".to_vec(),
            slot: 1,
            since: None,
        };
        let mut places = Places::of(&list);
        assert_eq!(places.add(&job).place, "box:2/1");
        assert_eq!(places.hosts[1].view.slots, [None, Some(Phase::Compile)]);
    }
}
