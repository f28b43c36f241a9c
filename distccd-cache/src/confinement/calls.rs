//! The system calls that no compiler needs and that a hostile source could use against the machine. Owns the table: a row a call, with its reason.
//!
//! It is a list of what is refused, since a list of what is allowed would break with the next C library. A refused call fails with an error number;
//! compilers ask for some of these in passing and go on without.

use libc::c_long;

/// Whether a compiler can name processes that are not its job's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// A pid namespace hides them.
    Hidden,
    /// They are the same user's, the daemon among them.
    Seen,
}

/// When a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Always.
    Always,
    /// When its first argument has one of these bits.
    Flags(u32),
    /// When its second argument is one of these.
    Second(&'static [u32]),
    /// When its first argument is none of these.
    FirstIsNot(&'static [u32]),
}

/// A refused call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Its name, as in the manual.
    pub(super) name: &'static str,
    pub(super) number: c_long,
    pub(super) when: When,
    /// What it fails with.
    pub(super) errno: i32,
    /// Why no compiler gets it.
    pub(super) why: &'static str,
}

const fn refused(name: &'static str, number: c_long, why: &'static str) -> Call {
    Call {
        name,
        number,
        when: When::Always,
        errno: libc::EPERM,
        why,
    }
}

/// As on a kernel that does not have it, so that the C library takes the older way.
const fn absent(name: &'static str, number: c_long, why: &'static str) -> Call {
    Call {
        errno: libc::ENOSYS,
        ..refused(name, number, why)
    }
}

const fn refused_when(name: &'static str, number: c_long, when: When, why: &'static str) -> Call {
    Call {
        when,
        ..refused(name, number, why)
    }
}

/// All flags of `clone` that make namespaces.
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

/// `TIOCSTI` types into a terminal, `TIOCLINUX` into the console; `TIOCSETD` chooses a line discipline.
const TERMINAL: &[u32] = &[0x5412, 0x541c, 0x5423];

/// A process by this number is the one that asks.
const ITSELF: &[u32] = &[0];

/// Stands for the number of the job's first process, until that is known.
pub(super) const FIRST_PROCESS: u32 = 0x8000_0001;

/// For a signal 0 is the group of the process that asks, which is its job's.
const ITS_JOB: &[u32] = &[0, FIRST_PROCESS];

/// Asking, and the usual one.
const PERSONALITIES: &[u32] = &[0xffff_ffff, 0];

// Newer than some tables of the libc crate; the same on every machine.
const PROCESS_MADVISE: c_long = 440;
const QUOTACTL_FD: c_long = 443;
const MEMFD_SECRET: c_long = 447;
const OPEN_TREE_ATTR: c_long = 467;

/// Those that every machine has, by theme.
pub(super) const COMMON: &[Call] = &[
    // The network, and sockets of other programs on this machine.
    refused("socket", libc::SYS_socket, "a compile speaks to nobody"),
    refused(
        "socketpair",
        libc::SYS_socketpair,
        "descriptors could be kept in flight",
    ),
    // Other processes.
    refused(
        "ptrace",
        libc::SYS_ptrace,
        "reads and steers other processes",
    ),
    refused(
        "process_vm_readv",
        libc::SYS_process_vm_readv,
        "reads other processes",
    ),
    refused(
        "process_vm_writev",
        libc::SYS_process_vm_writev,
        "writes into other processes",
    ),
    refused(
        "process_madvise",
        PROCESS_MADVISE,
        "steers the memory of other processes",
    ),
    refused(
        "pidfd_getfd",
        libc::SYS_pidfd_getfd,
        "takes descriptors of other processes",
    ),
    refused(
        "kcmp",
        libc::SYS_kcmp,
        "tells kernel addresses of other processes apart",
    ),
    refused(
        "move_pages",
        libc::SYS_move_pages,
        "moves the memory of other processes",
    ),
    refused(
        "migrate_pages",
        libc::SYS_migrate_pages,
        "moves the memory of other processes",
    ),
    refused(
        "setsid",
        libc::SYS_setsid,
        "leaves the session by which the job is killed",
    ),
    refused(
        "setpgid",
        libc::SYS_setpgid,
        "leaves the group by which the job is killed",
    ),
    // What outlives the job.
    refused("shmget", libc::SYS_shmget, "memory that outlives the job"),
    refused(
        "semget",
        libc::SYS_semget,
        "semaphores that outlive the job",
    ),
    refused("msgget", libc::SYS_msgget, "a queue that outlives the job"),
    refused(
        "mq_open",
        libc::SYS_mq_open,
        "a queue that outlives the job",
    ),
    refused(
        "add_key",
        libc::SYS_add_key,
        "keys are shared with the user's other processes",
    ),
    refused(
        "request_key",
        libc::SYS_request_key,
        "has the kernel start a program",
    ),
    refused(
        "keyctl",
        libc::SYS_keyctl,
        "keys are shared with the user's other processes",
    ),
    // Files beside the rules for files.
    refused("mknodat", libc::SYS_mknodat, "devices and pipes with names"),
    refused(
        "memfd_create",
        libc::SYS_memfd_create,
        "a program that lies in no directory",
    ),
    refused(
        "memfd_secret",
        MEMFD_SECRET,
        "memory that nobody can look into",
    ),
    refused(
        "open_by_handle_at",
        libc::SYS_open_by_handle_at,
        "opens files past their directories",
    ),
    refused(
        "name_to_handle_at",
        libc::SYS_name_to_handle_at,
        "the other half of open_by_handle_at",
    ),
    refused(
        "fanotify_init",
        libc::SYS_fanotify_init,
        "watches all files of a mount",
    ),
    refused("quotactl", libc::SYS_quotactl, "the administrator's"),
    refused("quotactl_fd", QUOTACTL_FD, "the administrator's"),
    refused("acct", libc::SYS_acct, "the administrator's"),
    // Mounts and roots.
    refused("mount", libc::SYS_mount, "changes what the view shows"),
    refused("umount2", libc::SYS_umount2, "uncovers what the view hides"),
    refused("pivot_root", libc::SYS_pivot_root, "leaves the view"),
    refused("chroot", libc::SYS_chroot, "leaves the view"),
    refused(
        "move_mount",
        libc::SYS_move_mount,
        "changes what the view shows",
    ),
    refused("open_tree", libc::SYS_open_tree, "copies mounts"),
    refused("open_tree_attr", OPEN_TREE_ATTR, "copies mounts"),
    refused("fsopen", libc::SYS_fsopen, "makes file systems"),
    refused("fsconfig", libc::SYS_fsconfig, "makes file systems"),
    refused("fsmount", libc::SYS_fsmount, "makes file systems"),
    refused("fspick", libc::SYS_fspick, "changes file systems"),
    refused(
        "mount_setattr",
        libc::SYS_mount_setattr,
        "makes read-only mounts writable",
    ),
    refused("swapon", libc::SYS_swapon, "the administrator's"),
    refused("swapoff", libc::SYS_swapoff, "the administrator's"),
    // Namespaces, in which a process has capabilities and so more of the kernel to attack.
    refused("unshare", libc::SYS_unshare, "makes namespaces"),
    refused("setns", libc::SYS_setns, "enters namespaces"),
    refused_when(
        "clone",
        libc::SYS_clone,
        When::Flags(NEW_NAMESPACES),
        "makes namespaces",
    ),
    absent(
        "clone3",
        libc::SYS_clone3,
        "its flags are in memory, where a filter cannot look; clone does as well",
    ),
    // Parts of the kernel with a history of holes, of no use here.
    refused("bpf", libc::SYS_bpf, "programs in the kernel"),
    refused(
        "perf_event_open",
        libc::SYS_perf_event_open,
        "watches kernel and processor",
    ),
    refused(
        "userfaultfd",
        libc::SYS_userfaultfd,
        "holds the kernel up at a chosen moment",
    ),
    absent(
        "io_uring_setup",
        libc::SYS_io_uring_setup,
        "does what this filter refuses",
    ),
    absent(
        "io_uring_enter",
        libc::SYS_io_uring_enter,
        "does what this filter refuses",
    ),
    absent(
        "io_uring_register",
        libc::SYS_io_uring_register,
        "does what this filter refuses",
    ),
    refused_when(
        "ioctl",
        libc::SYS_ioctl,
        When::Second(TERMINAL),
        "types into somebody's terminal",
    ),
    refused_when(
        "personality",
        libc::SYS_personality,
        When::FirstIsNot(PERSONALITIES),
        "turns off address randomisation and execute protection",
    ),
    // The machine.
    refused("init_module", libc::SYS_init_module, "code in the kernel"),
    refused("finit_module", libc::SYS_finit_module, "code in the kernel"),
    refused(
        "delete_module",
        libc::SYS_delete_module,
        "the administrator's",
    ),
    refused("kexec_load", libc::SYS_kexec_load, "another kernel"),
    refused(
        "reboot",
        libc::SYS_reboot,
        "ends the machine, or its pid namespace",
    ),
    refused(
        "settimeofday",
        libc::SYS_settimeofday,
        "the administrator's",
    ),
    refused(
        "clock_settime",
        libc::SYS_clock_settime,
        "the administrator's",
    ),
    refused(
        "clock_adjtime",
        libc::SYS_clock_adjtime,
        "the administrator's",
    ),
    refused("adjtimex", libc::SYS_adjtimex, "the administrator's"),
    refused("sethostname", libc::SYS_sethostname, "the administrator's"),
    refused(
        "setdomainname",
        libc::SYS_setdomainname,
        "the administrator's",
    ),
    refused("syslog", libc::SYS_syslog, "kernel messages tell addresses"),
    refused("vhangup", libc::SYS_vhangup, "the administrator's"),
];

/// Those that reach a process by its number, for where others' numbers are known. The job's first process, the compiler's driver, may still end itself by
/// a signal. What it starts cannot: its numbers are not known before, and what such a process ends itself by (`abort`) goes another way then.
pub(super) const TO_OTHERS: &[Call] = &[
    refused_when(
        "kill",
        libc::SYS_kill,
        When::FirstIsNot(ITS_JOB),
        "signals other processes",
    ),
    refused_when(
        "tkill",
        libc::SYS_tkill,
        When::FirstIsNot(ITS_JOB),
        "signals other processes",
    ),
    refused_when(
        "tgkill",
        libc::SYS_tgkill,
        When::FirstIsNot(ITS_JOB),
        "signals other processes",
    ),
    refused_when(
        "rt_sigqueueinfo",
        libc::SYS_rt_sigqueueinfo,
        When::FirstIsNot(ITS_JOB),
        "signals other processes",
    ),
    refused_when(
        "rt_tgsigqueueinfo",
        libc::SYS_rt_tgsigqueueinfo,
        When::FirstIsNot(ITS_JOB),
        "signals other processes",
    ),
    refused(
        "pidfd_send_signal",
        libc::SYS_pidfd_send_signal,
        "signals other processes",
    ),
    refused_when(
        "prlimit64",
        libc::SYS_prlimit64,
        When::FirstIsNot(ITSELF),
        "limits other processes, their time for one",
    ),
    refused_when(
        "sched_setaffinity",
        libc::SYS_sched_setaffinity,
        When::FirstIsNot(ITSELF),
        "takes processors from other processes",
    ),
    refused_when(
        "sched_setparam",
        libc::SYS_sched_setparam,
        When::FirstIsNot(ITSELF),
        "makes other processes wait",
    ),
    refused_when(
        "sched_setscheduler",
        libc::SYS_sched_setscheduler,
        When::FirstIsNot(ITSELF),
        "makes other processes wait",
    ),
    refused_when(
        "sched_setattr",
        libc::SYS_sched_setattr,
        When::FirstIsNot(ITSELF),
        "makes other processes wait",
    ),
    refused(
        "setpriority",
        libc::SYS_setpriority,
        "makes other processes wait",
    ),
    refused(
        "ioprio_set",
        libc::SYS_ioprio_set,
        "makes other processes wait",
    ),
];

/// Those of this kind of processor alone.
#[cfg(target_arch = "x86_64")]
pub(super) const OF_MACHINE: &[Call] = &[
    refused("mknod", libc::SYS_mknod, "devices and pipes with names"),
    refused(
        "kexec_file_load",
        libc::SYS_kexec_file_load,
        "another kernel",
    ),
    refused("iopl", libc::SYS_iopl, "ports of devices"),
    refused("ioperm", libc::SYS_ioperm, "ports of devices"),
    refused(
        "modify_ldt",
        libc::SYS_modify_ldt,
        "a part of the kernel with a history of holes",
    ),
    refused("uselib", libc::SYS_uselib, "obsolete"),
    refused("_sysctl", libc::SYS__sysctl, "obsolete"),
    refused("ustat", libc::SYS_ustat, "obsolete"),
    refused("sysfs", libc::SYS_sysfs, "obsolete"),
    refused(
        "lookup_dcookie",
        libc::SYS_lookup_dcookie,
        "tells kernel addresses",
    ),
];

/// Those of this kind of processor alone.
#[cfg(target_arch = "aarch64")]
pub(super) const OF_MACHINE: &[Call] = &[
    refused(
        "kexec_file_load",
        libc::SYS_kexec_file_load,
        "another kernel",
    ),
    refused(
        "lookup_dcookie",
        libc::SYS_lookup_dcookie,
        "tells kernel addresses",
    ),
];

/// Other processors have no filter.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) const OF_MACHINE: &[Call] = &[];

/// All that are refused here.
pub(super) fn all(others: Others) -> impl Iterator<Item = &'static Call> {
    let to_others: &[Call] = match others {
        Others::Hidden => &[],
        Others::Seen => TO_OTHERS,
    };
    COMMON.iter().chain(OF_MACHINE).chain(to_others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_call_stands_once_and_has_a_reason() {
        let all = || all(Others::Seen);
        let numbers: BTreeSet<c_long> = all().map(|call| call.number).collect();
        let names: BTreeSet<&str> = all().map(|call| call.name).collect();
        assert_eq!((numbers.len(), names.len()), (all().count(), all().count()));
        for call in all() {
            assert!(call.number >= 0 && call.why.len() > 5, "{call:?}");
        }
    }
}
