//! Limits of resources, as every Unix has them: for each process, except where it says otherwise. Owns no state.

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Bytes of memory of a process's own (`RLIMIT_DATA`): what it allocates, not the files that it maps.
    Memory,
    /// Bytes of a file that it writes.
    FileSize,
    /// Processes and threads of the user in the user namespace: of the job where it has a namespace of its own, else of the user on the machine.
    Processes,
    /// Open files.
    Files,
    /// Seconds of processor time.
    Time,
    /// Bytes of messages in queues.
    Queues,
}

/// A limit, as high as it can be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// What.
    pub(crate) resource: Resource,
    /// How much.
    pub(crate) most: u64,
}

impl Limit {
    /// Runs in the child: no allocation, no lock, no panic. A stricter limit that is in force stays.
    pub(super) fn set(&self) -> Result<(), ()> {
        let resource = match self.resource {
            Resource::Memory => libc::RLIMIT_DATA,
            Resource::FileSize => libc::RLIMIT_FSIZE,
            Resource::Processes => libc::RLIMIT_NPROC,
            Resource::Files => libc::RLIMIT_NOFILE,
            Resource::Time => libc::RLIMIT_CPU,
            Resource::Queues => libc::RLIMIT_MSGQUEUE,
        };
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: plain system calls on a struct of ours.
        unsafe {
            if libc::getrlimit(resource, &raw mut limit) < 0 {
                return Err(());
            }
            limit.rlim_max = limit.rlim_max.min(self.most);
            limit.rlim_cur = limit.rlim_cur.min(limit.rlim_max);
            if libc::setrlimit(resource, &raw const limit) < 0 {
                return Err(());
            }
        }
        Ok(())
    }
}
