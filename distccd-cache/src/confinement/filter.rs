//! The filter of system calls: the table of [`super::calls`] as a program for the kernel's packet filter machine. Owns the program.
//!
//! The kernel runs it once for each number when it is installed and remembers which calls are always allowed, so it costs a compile next to nothing
//! per call but some for each instruction at the start. Hence a tree of comparisons instead of a chain.

use libc::sock_filter;

use super::calls::{self, Call, When};

/// The machine's own kind of system calls, as the kernel names it to filters; none where we have no filter.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_003e);
/// The machine's own kind of system calls, as the kernel names it to filters; none where we have no filter.
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_00b7);
/// The machine's own kind of system calls, as the kernel names it to filters; none where we have no filter.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<u32> = None;

/// On x86_64, numbers from here on are x32's: the same calls by other numbers.
const X32: u32 = 0x4000_0000;

// Places in what the kernel shows a filter (struct seccomp_data). Both machines are little-endian: an argument's low half comes first.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST: u32 = 16;
const SECOND: u32 = 24;

// Instructions.
const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const JUMP_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_FROM: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const JUMP_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// The program, for all processes of the daemon alike.
#[derive(Debug)]
pub(crate) struct Filter {
    program: Box<[sock_filter]>,
    refused: usize,
}

/// An instruction; `jt` and `jf` are how many to skip if the comparison holds or not.
fn step(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    let code = u16::try_from(code).unwrap_or(u16::MAX);
    sock_filter { code, jt, jf, k }
}

fn refuse(errno: i32) -> sock_filter {
    let errno = errno.cast_unsigned() & libc::SECCOMP_RET_DATA;
    step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno)
}

fn allow() -> sock_filter {
    step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW)
}

/// What is done with one call.
fn judge(call: &Call) -> Vec<sock_filter> {
    match call.when {
        When::Always => vec![refuse(call.errno)],
        When::Flags(bits) => vec![
            step(LOAD, 0, 0, FIRST),
            step(JUMP_ANY_BIT, 0, 1, bits),
            refuse(call.errno),
            allow(),
        ],
        When::Second(values) => one_of(SECOND, values, refuse(call.errno), allow()),
        When::FirstIsNot(values) => one_of(FIRST, values, allow(), refuse(call.errno)),
    }
}

/// Compares an argument with a few values.
fn one_of(argument: u32, values: &[u32], then: sock_filter, or: sock_filter) -> Vec<sock_filter> {
    let mut steps = vec![step(LOAD, 0, 0, argument)];
    for value in values {
        steps.extend([step(JUMP_EQUAL, 0, 1, *value), then]);
    }
    steps.push(or);
    steps
}

/// The part of the tree for numbers from each start to the next.
fn tree(parts: &[(u32, Vec<sock_filter>)]) -> Vec<sock_filter> {
    match parts {
        [] => vec![allow()],
        [(_, steps)] => steps.clone(),
        parts => {
            let (low, high) = parts.split_at(parts.len() / 2);
            let below = tree(low);
            let length = u32::try_from(below.len()).unwrap_or(u32::MAX);
            let mut steps = vec![step(JUMP_FROM, 0, 1, high[0].0), step(JUMP, 0, 0, length)];
            steps.extend(below);
            steps.extend(tree(high));
            steps
        }
    }
}

impl Filter {
    /// The filter for this machine; `None` where there is none.
    pub(crate) fn new() -> Option<Self> {
        let architecture = ARCHITECTURE?;
        let mut judged: Vec<(u32, Vec<sock_filter>)> = Vec::new();
        for call in calls::all() {
            judged.push((u32::try_from(call.number).ok()?, judge(call)));
        }
        judged.sort_by_key(|(number, _)| *number);
        let mut parts = vec![(0, vec![allow()])];
        for (number, steps) in judged {
            if parts.last().is_some_and(|(start, _)| *start == number) {
                parts.pop();
            }
            parts.push((number, steps));
            parts.push((number + 1, vec![allow()]));
        }
        if cfg!(target_arch = "x86_64") {
            parts.push((X32, vec![refuse(libc::ENOSYS)]));
        }
        let mut program = vec![
            step(LOAD, 0, 0, ARCH),
            step(JUMP_EQUAL, 1, 0, architecture),
            // Programs for another processor could not do anything useful.
            step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
            step(LOAD, 0, 0, NUMBER),
        ];
        program.extend(tree(&parts));
        Some(Self {
            program: program.into(),
            refused: calls::all().count(),
        })
    }

    /// How many calls it refuses.
    pub(crate) fn refused(&self) -> usize {
        self.refused
    }

    /// Runs in the child: no allocation, no lock, no panic.
    pub(super) fn enter(&self) -> Result<(), ()> {
        let program = libc::sock_fprog {
            len: self.program.len() as u16,
            filter: self.program.as_ptr().cast_mut(),
        };
        // SAFETY: the kernel only reads `program` and the steps that it points to, which outlive the call.
        let installed = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                // Else old kernels turn off a processor's speculation for the whole compile.
                libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                &raw const program,
            )
        };
        if installed == 0 { Ok(()) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel's machine makes of a call; the few instructions that we use.
    fn run(filter: &Filter, number: u32, architecture: u32, arguments: [u32; 2]) -> u32 {
        let mut held = 0;
        let mut at = 0;
        loop {
            let now = filter.program[at];
            at += 1;
            let mut jump = |so: bool| at += usize::from(if so { now.jt } else { now.jf });
            match u32::from(now.code) {
                LOAD => {
                    held = match now.k {
                        NUMBER => number,
                        ARCH => architecture,
                        FIRST => arguments[0],
                        SECOND => arguments[1],
                        other => panic!("loads from {other}"),
                    }
                }
                JUMP => at += now.k as usize,
                JUMP_EQUAL => jump(held == now.k),
                JUMP_FROM => jump(held >= now.k),
                JUMP_ANY_BIT => jump(held & now.k != 0),
                RETURN => return now.k,
                other => panic!("unknown instruction {other}"),
            }
        }
    }

    fn filter() -> (Filter, u32) {
        (
            Filter::new().expect("a filter for this machine"),
            ARCHITECTURE.expect("a machine with a filter"),
        )
    }

    #[test]
    fn the_program_does_what_the_table_says_for_every_number() {
        let (filter, here) = filter();
        assert!(filter.program.len() < 1000, "{}", filter.program.len());
        for number in 0..1000 {
            let row = calls::all().find(|call| call.number == i64::from(number));
            let expected = match row {
                Some(call) if call.when == When::Always => refuse(call.errno).k,
                Some(_) => continue,
                None => libc::SECCOMP_RET_ALLOW,
            };
            assert_eq!(run(&filter, number, here, [0, 0]), expected, "{number}");
        }
    }

    #[test]
    fn arguments_are_looked_at() {
        let (filter, here) = filter();
        let run = |number: libc::c_long, arguments| run(&filter, number as u32, here, arguments);
        let (yes, no) = (libc::SECCOMP_RET_ALLOW, refuse(libc::EPERM).k);
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_FS) as u32;
        assert_eq!(run(libc::SYS_clone, [thread, 0]), yes);
        assert_eq!(run(libc::SYS_clone, [libc::SIGCHLD as u32, 0]), yes);
        assert_eq!(run(libc::SYS_clone, [libc::CLONE_NEWUSER as u32, 0]), no);
        assert_eq!(
            run(libc::SYS_clone, [libc::CLONE_NEWNET as u32 | 17, 0]),
            no
        );
        assert_eq!(run(libc::SYS_ioctl, [1, libc::TCGETS as u32]), yes);
        assert_eq!(run(libc::SYS_ioctl, [1, libc::TIOCSTI as u32]), no);
        assert_eq!(run(libc::SYS_personality, [u32::MAX, 0]), yes);
        assert_eq!(run(libc::SYS_personality, [0, 0]), yes);
        assert_eq!(run(libc::SYS_personality, [0x0040_0000, 0]), no);
    }

    #[test]
    fn calls_by_another_way_are_no_way() {
        let (filter, here) = filter();
        let kill = libc::SECCOMP_RET_KILL_PROCESS;
        assert_eq!(run(&filter, 1, here ^ 1, [0, 0]), kill);
        // i386 on x86_64, arm on aarch64.
        for other in [0x4000_0003, 0x4000_0028] {
            assert_eq!(run(&filter, 1, other, [0, 0]), kill);
        }
        if cfg!(target_arch = "x86_64") {
            for number in [X32, X32 + 41, X32 + 512, u32::MAX] {
                let absent = refuse(libc::ENOSYS).k;
                assert_eq!(run(&filter, number, here, [0, 0]), absent, "{number:x}");
            }
        }
    }
}
