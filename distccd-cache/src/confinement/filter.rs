//! The filter of system calls: the table of [`super::calls`] as a program for the kernel's packet filter machine. Owns the program.
//!
//! The kernel runs it once for each number when it is installed and remembers which calls are always allowed, and it translates the program for each
//! process anew; so it costs a compile next to nothing per call but some for each instruction at the start. Hence a tree of comparisons instead of a
//! chain, numbers that are treated alike as one range, and all ranges' ends in common.

use libc::sock_filter;

use super::calls::{self, Call, FIRST_PROCESS, Others, When};

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

/// More than there are in any of our programs.
const MOST_STEPS: usize = 256;

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

/// What is done with a call that is refused with an error number at times.
fn judge(when: When, errno: i32) -> Vec<sock_filter> {
    match when {
        When::Always => vec![refuse(errno)],
        When::Flags(bits) => vec![
            step(LOAD, 0, 0, FIRST),
            step(JUMP_ANY_BIT, 0, 1, bits),
            refuse(errno),
            allow(),
        ],
        When::Second(values) => one_of(SECOND, values, refuse(errno), allow()),
        When::FirstIsNot(values) => one_of(FIRST, values, allow(), refuse(errno)),
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

/// What is done with all numbers from one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allow,
    Refuse(i32),
    /// It depends on the arguments.
    Judge(When, i32),
}

impl Verdict {
    fn of(call: Call) -> Self {
        match call.when {
            When::Always => Self::Refuse(call.errno),
            when => Self::Judge(when, call.errno),
        }
    }
}

/// The first numbers of all ranges, in order, each with what is done there.
fn ranges(others: Others) -> Option<Vec<(u32, Verdict)>> {
    let mut rows: Vec<(u32, Call)> = Vec::new();
    for call in calls::all(others) {
        rows.push((u32::try_from(call.number).ok()?, *call));
    }
    rows.sort_by_key(|(number, _)| *number);
    let mut starts = vec![(0, Verdict::Allow)];
    for (number, call) in rows {
        if starts.last().is_some_and(|(start, _)| *start == number) {
            starts.pop();
        }
        starts.push((number, Verdict::of(call)));
        starts.push((number + 1, Verdict::Allow));
    }
    if cfg!(target_arch = "x86_64") {
        starts.push((X32, Verdict::Refuse(libc::ENOSYS)));
    }
    starts.dedup_by_key(|(_, verdict)| *verdict);
    Some(starts)
}

/// More numbers than kernels have calls; what is behind them takes part in a tree as one.
const NUMBERS: u32 = 500;

/// Where to part ranges, two at least, so that both sides have as many numbers as may be.
fn middle(ranges: &[(u32, Verdict)]) -> usize {
    let start = |at: usize| ranges[at].0.min(NUMBERS);
    let (first, last) = (start(0), start(ranges.len() - 1).saturating_add(1));
    let off_balance = |&at: &usize| start(at).abs_diff(first + (last - first) / 2);
    (1..ranges.len()).min_by_key(off_balance).unwrap_or(1)
}

/// A program that is written from its end to its start, because jumps lead forward only. A place is a number of steps from the end.
#[derive(Default)]
struct Backward {
    steps: Vec<sock_filter>,
    /// Where each is done.
    ends: Vec<(Verdict, usize)>,
}

impl Backward {
    /// Puts a step before all others; gives its place.
    fn put(&mut self, step: sock_filter) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// A place from which `target` is reached, near enough for a comparison that comes within the next two steps.
    fn near(&mut self, target: usize) -> usize {
        match self.steps.len() + 1 - target > usize::from(u8::MAX) {
            true => self.put(step(JUMP, 0, 0, (self.steps.len() - target - 1) as u32)),
            false => target,
        }
    }

    /// Does what is to be done, and gives the place.
    fn end(&mut self, verdict: Verdict) -> usize {
        let mut ends = self.ends.iter();
        if let Some((_, place)) = ends.find(|(known, _)| *known == verdict) {
            return *place;
        }
        let place = match verdict {
            Verdict::Allow => self.put(allow()),
            Verdict::Refuse(errno) => self.put(refuse(errno)),
            Verdict::Judge(when, errno) => {
                self.steps.extend(judge(when, errno).into_iter().rev());
                self.steps.len() - 1
            }
        };
        self.ends.push((verdict, place));
        place
    }

    /// The tree for these ranges; gives the place where it begins.
    fn tree(&mut self, ranges: &[(u32, Verdict)]) -> usize {
        match ranges {
            [] => self.end(Verdict::Allow),
            [(_, verdict)] => self.end(*verdict),
            ranges => {
                let (low, high) = ranges.split_at(middle(ranges));
                let (from, below) = (self.tree(high), self.tree(low));
                let (from, below) = (self.near(from), self.near(below));
                let skipped = |target| u8::try_from(self.steps.len() - target - 1);
                let (from, below) = (skipped(from), skipped(below));
                let near = "a jump led nearer where it was far";
                let (from, below) = (from.expect(near), below.expect(near));
                self.put(step(JUMP_FROM, from, below, high[0].0))
            }
        }
    }
}

impl Filter {
    /// The filter for this machine; `None` where there is none.
    pub(crate) fn new(others: Others) -> Option<Self> {
        let architecture = ARCHITECTURE?;
        let mut program = Backward::default();
        program.tree(&ranges(others)?);
        let first = [
            step(LOAD, 0, 0, ARCH),
            step(JUMP_EQUAL, 1, 0, architecture),
            // Programs for another processor could not do anything useful.
            step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
            step(LOAD, 0, 0, NUMBER),
        ];
        program.steps.extend(first.into_iter().rev());
        let program: Vec<sock_filter> = program.steps.into_iter().rev().collect();
        Some(Self {
            program: program.into(),
            refused: calls::all(others).count(),
        })
    }

    /// How many calls it refuses.
    pub(crate) fn refused(&self) -> usize {
        self.refused
    }

    /// Runs in the child: no allocation, no lock, no panic.
    pub(super) fn enter(&self) -> Result<(), ()> {
        // SAFETY: `getpid` has no requirements.
        let itself = unsafe { libc::getpid() }.cast_unsigned();
        // All children's is one, but for their numbers.
        let mut steps = [allow(); MOST_STEPS];
        let steps = steps.get_mut(..self.program.len()).ok_or(())?;
        for (own, step) in steps.iter_mut().zip(&self.program) {
            *own = *step;
            if (u32::from(own.code), own.k) == (JUMP_EQUAL, FIRST_PROCESS) {
                own.k = itself;
            }
        }
        let program = libc::sock_fprog {
            len: steps.len() as u16,
            filter: steps.as_mut_ptr(),
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

    fn filter(others: Others) -> (Filter, u32) {
        (
            Filter::new(others).expect("a filter for this machine"),
            ARCHITECTURE.expect("a machine with a filter"),
        )
    }

    #[test]
    fn the_program_does_what_the_table_says_for_every_number() {
        // The kernel translates each step for each compile.
        for (others, steps) in [(Others::Hidden, 160), (Others::Seen, 190)] {
            let (filter, here) = filter(others);
            assert!(filter.program.len() < steps, "{}", filter.program.len());
            for number in 0..1000 {
                let row = calls::all(others).find(|call| call.number == i64::from(number));
                let expected = match row {
                    Some(call) if call.when == When::Always => refuse(call.errno).k,
                    Some(_) => continue,
                    None => libc::SECCOMP_RET_ALLOW,
                };
                assert_eq!(run(&filter, number, here, [0, 0]), expected, "{number}");
            }
        }
    }

    #[test]
    fn ranges_that_are_far_apart_are_reached() {
        for count in [1, 2, 3, 100, 1000] {
            // No two of them can be one.
            let ranges: Vec<(u32, Verdict)> = (0..count)
                .map(|number| (number * 2, Verdict::Refuse(number as i32)))
                .collect();
            let mut program = Backward::default();
            program.tree(&ranges);
            program.put(step(LOAD, 0, 0, NUMBER));
            let filter = Filter {
                program: program.steps.into_iter().rev().collect(),
                refused: 0,
            };
            for number in 0..count {
                for called in [number * 2, number * 2 + 1] {
                    assert_eq!(
                        run(&filter, called, 0, [0, 0]),
                        refuse(number as i32).k,
                        "{called} of {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn arguments_are_looked_at() {
        let (filter, here) = filter(Others::Seen);
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
        for other in [1, 4711, u32::MAX] {
            assert_eq!(run(libc::SYS_prlimit64, [other, 0]), no);
            assert_eq!(run(libc::SYS_sched_setaffinity, [other, 0]), no);
        }
        assert_eq!(run(libc::SYS_prlimit64, [0, 0]), yes);
        for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_tkill] {
            let outcomes = [0, FIRST_PROCESS, 1, 4711, u32::MAX].map(|to| run(call, [to, 0]));
            assert_eq!(outcomes, [yes, yes, no, no, no]);
        }
    }

    #[test]
    fn calls_by_another_way_are_no_way() {
        let (filter, here) = filter(Others::Hidden);
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
