#!/usr/bin/env python3
"""bench-scan.py: what a scan costs, beside clang-scan-deps and the compilers' own -M, in one run over real corpora.

  PROGRAMS=target/release scripts/bench-scan.py [--rounds 5] [--sample 40] [--callgrind NAME] [--scan-option WORD]... [NAME...]

NAME is a corpus of scripts/corpora.sh that has been prepared (default: all that are). Only commands that the scanner
answers count, for every tool. One markdown table; times are CPU time, user and system, of the tool and all it starts.

  cold     a new process, the best of three: every file read. Mean of the thread's time alone, and of all, with the start and JSON written: first
           with compilers' answers kept by an earlier process, then with every compiler asked
  warm     the last of --rounds rounds in one process, its facts vouched for by inotify: mean/median/99th percentile of the
           thread's time per TU
  by stat  the same with --freshness stat; what stating the same files costs by itself; how many times the second median the
           first is
  2 thr    elapsed time with one thread divided by that with two: of a cold round, and of many warm ones
  s-d      clang-scan-deps-19 -format make -mode preprocess-dependency-directives -j 1; how many TUs it answered; how many times
           our cold processes it is
  -M       the compiler's own -M, over a sample: mean/median/99th percentile
  MB       peak memory of one process

--callgrind NAME counts instructions for that corpus instead: of a cold process and of one warm round.
--scan-option WORD goes to `include-server scan`, and may be repeated.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
CACHE = os.environ.get("PUMPHOUSE_PEERS") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pumphouse-peers"
)
SCAN_DEPS = "clang-scan-deps-19"
# Options of gcc that clang takes for an error: without them scan-deps answers more, and none changes what is included.
GCC_ONLY = re.compile(
    r"-f(conserve-stack|no-allow-store-data-races|no-reorder-blocks|no-ipa-.*|no-tree-.*|no-guess-.*|no-delete-.*"
    r"|ipa-.*|zero-init-.*|no-stack-clash-.*|record-gcc-.*|min-function-.*|no-code-hoisting|no-inline-functions-.*)"
    r"|-m(preferred-stack-boundary=.*|indirect-branch.*|function-return=.*|record-mcount|no-fp-ret-in-387|skip-rax-setup"
    r"|harden-sls=.*|accumulate-.*)|--param(=.*)?|-W.*|-fno-semantic-.*"
)


class Run:
    """A finished program: CPU seconds with all children, peak megabytes of the largest process, elapsed, output."""

    def __init__(self, words, cwd=None, keep=True):
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.NamedTemporaryFile() as peak:
            # Not of wait4: there a new process counts this one's memory as its own.
            words = ["/usr/bin/time", "-q", "-f", "%M", "-o", peak.name, *words]
            began = time.monotonic()
            process = subprocess.Popen(
                words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out if keep else subprocess.DEVNULL, stderr=err
            )
            _, self.status, usage = os.wait4(process.pid, 0)
            process.returncode = self.status
            self.elapsed = time.monotonic() - began
            for file in (out, err):
                file.seek(0)
            self.out, self.err = out.read(), err.read().decode(errors="replace")
            self.megabytes = int(peak.read().split()[-1]) / 1024
        self.cpu = usage.ru_utime + usage.ru_stime


def spread(values, digits):
    """Mean, median and 99th percentile."""
    ordered = sorted(values)
    last = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return "/".join(f"{value:.{digits}f}" for value in (statistics.fmean(ordered), statistics.median(ordered), last))


class Corpus:
    """The commands of a corpus that the scanner answers, in a file of their own."""

    def __init__(self, name, work, program, options):
        self.name, self.program, self.options = name, program, options
        self.cache = os.path.join(work, "compilers")
        self.file = os.path.join(work, name, "compile_commands.json")
        os.makedirs(os.path.dirname(self.file))
        with open(os.path.join(CACHE, "corpora", name, "compile_commands.json")) as file:
            commands = json.load(file)
        with open(self.file, "w") as file:
            json.dump(commands, file)
        lines = self.lines(self.scan(2, 1))
        self.commands = [command for command, line in zip(commands, lines) if not line["declined"]]
        with open(self.file, "w") as file:
            json.dump(self.commands, file)
        self.deps = [
            [os.path.join(line["directory"], name) for name in line["deps"]] for line in lines if not line["declined"]
        ]

    def scan(self, jobs, rounds, prefix=(), options=(), keep=True, kept=True):
        cache = self.cache if kept else "none"
        words = [*prefix, self.program, "scan", "--compile-commands", self.file, *options]
        run = Run([*words, "--jobs", str(jobs), "--repeat", str(rounds), "--cache-dir", cache, *self.options], keep=keep)
        if run.status:
            sys.exit(f"bench-scan: {self.name}: scan failed: {run.err[-500:]}")
        return run

    @staticmethod
    def lines(run):
        return [json.loads(line) for line in run.out.splitlines() if b'"declined"' in line]

    def per_unit(self, run):
        """Microseconds of CPU of each unit in the last round."""
        return [line["cpu_us"] for line in self.lines(run)]

    def threads(self, warm_us):
        """How much faster two threads are than one: cold, and warm."""
        # Enough warm rounds for a second of work.
        rounds = max(3, int(1e6 / max(1.0, warm_us * len(self.commands))))
        cold, warm = {}, {}
        for jobs in (1, 2, 1, 2):
            run = self.scan(jobs, rounds, keep=False)
            elapsed = [float(value) for value in re.findall(r"([\d.]+) ms elapsed", run.err)]
            cold[jobs] = min(elapsed[0], cold.get(jobs, elapsed[0]))
            # The last round also prints.
            total = sum(elapsed[2:-1]) or elapsed[1]
            warm[jobs] = min(total, warm.get(jobs, total))
        return f"{cold[1] / cold[2]:.2f} / {warm[1] / warm[2]:.2f}"

    def stat_cost(self, work, rounds):
        """Microseconds of stating each unit's files, unit by unit."""
        program, paths = os.path.join(work, "stat-cost"), os.path.join(work, "paths")
        if not os.path.exists(program):
            subprocess.run(["gcc", "-O2", "-o", program, os.path.join(HERE, "corpora/stat-cost.c")], check=True)
        with open(paths, "wb") as file:
            for deps in self.deps:
                file.writelines(os.fsencode(name) + b"\0" for name in deps)
                file.write(b"\0")
        costs = subprocess.run([program, paths, str(rounds)], check=True, capture_output=True).stdout
        return [float(cost) for cost in costs.split()]

    def scan_deps(self, work):
        """The run of clang-scan-deps and how many units it answered."""
        database = os.path.join(work, self.name, "scan-deps.json")
        commands = []
        for number, command in enumerate(self.commands):
            # A name of its own for each object, so that answers can be counted.
            words = [word for word in command["arguments"] if not GCC_ONLY.fullmatch(word)]
            words = without(words, {"-o", "-MF", "-MT", "-MQ"}, {"-MD", "-MMD", "-MP"})
            commands.append({**command, "arguments": [*words, "-o", f"unit-{number}.o"]})
        with open(database, "w") as file:
            json.dump(commands, file)
        words = [SCAN_DEPS, "-compilation-database", database, "-format", "make", "-j", "1"]
        run = Run([*words, "-mode", "preprocess-dependency-directives"])
        return run, len(set(re.findall(rb"^unit-(\d+)\.o:", run.out, re.MULTILINE)))

    def compilers(self, sample):
        """CPU milliseconds of -M for a sample of the units."""
        step = max(1, len(self.commands) // sample)
        times = []
        for command in self.commands[::step][:sample]:
            words = without(command["arguments"], {"-o", "-MF", "-MT", "-MQ"}, {"-MD", "-MMD", "-MP", "-c"})
            words = [word for word in words if not word.startswith("-Wp,-M")]
            run = Run([*words, "-M"], cwd=command["directory"], keep=False)
            if run.status == 0:
                times.append(run.cpu * 1e3)
        return times


def without(words, with_value, alone):
    """The words without these options."""
    left, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in with_value:
            skip = True
        elif word not in alone:
            left.append(word)
    return left


HEAD = [
    "corpus", "TUs", "files/TU", "cold ms/TU: scan; all; all, asked", "warm us/TU", "by stat us/TU", "stat alone us/TU", "times", "2 thr", "s-d ms/TU (TUs)",
    "s-d : cold",
    "-M ms/TU", "MB", "s-d MB",
]


def measure(corpus, work, rounds, sample):
    """A row of the table."""
    units = len(corpus.commands)
    # The first of several still pays for what the machine itself learns.
    cold = min((corpus.scan(1, 1) for _ in range(3)), key=lambda run: run.cpu)
    asked = min((corpus.scan(1, 1, kept=False) for _ in range(3)), key=lambda run: run.cpu)
    warm = corpus.scan(1, rounds)
    by_stat = corpus.scan(1, rounds, options=["--freshness", "stat"])
    warm_us, by_stat_us = corpus.per_unit(warm), corpus.per_unit(by_stat)
    stat_us = corpus.stat_cost(work, 5)
    theirs, answered = corpus.scan_deps(work) if shutil.which(SCAN_DEPS) else (None, 0)
    cold_ms, asked_ms = (run.cpu * 1e3 / units for run in (cold, asked))
    theirs_ms = theirs.cpu * 1e3 / units if theirs else float("nan")
    return [
        corpus.name,
        units,
        f"{statistics.fmean(map(len, corpus.deps)):.0f}",
        f"{statistics.fmean(corpus.per_unit(cold)) / 1e3:.2f}; {cold_ms:.2f}; {asked_ms:.2f}",
        spread(warm_us, 0),
        spread(by_stat_us, 0),
        spread(stat_us, 0),
        f"{statistics.median(by_stat_us) / statistics.median(stat_us):.2f}",
        corpus.threads(statistics.fmean(warm_us)),
        f"{theirs_ms:.1f} ({answered})",
        f"{theirs_ms / cold_ms:.1f}; {theirs_ms / asked_ms:.1f}",
        spread(corpus.compilers(sample), 0),
        f"{warm.megabytes:.0f}",
        f"{theirs.megabytes:.0f}" if theirs else "",
    ]


def instructions(corpus, rounds):
    """Instructions of a process with so many rounds, in all."""
    prefix = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=no"]
    run = corpus.scan(1, rounds, prefix)
    return int(re.findall(r"Collected : (\d+)", run.err)[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--callgrind", metavar="NAME")
    parser.add_argument("--scan-option", action="append", default=[], metavar="WORD")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    programs = os.environ.get("PROGRAMS") or sys.exit("bench-scan: PROGRAMS must name the directory of the programs")
    program = os.path.join(os.path.realpath(programs), "include-server")
    if not os.path.exists("/usr/bin/time"):
        sys.exit("bench-scan: /usr/bin/time is missing (Debian package time)")
    os.environ["LC_ALL"] = "C"
    with tempfile.TemporaryDirectory(prefix="pumphouse-bench-") as work:
        if arguments.callgrind:
            corpus = Corpus(arguments.callgrind, work, program, arguments.scan_option)
            units = len(corpus.commands)
            first, second, third = (instructions(corpus, rounds) for rounds in (1, 2, 3))
            print("| corpus | TUs | cold process, instructions/TU | warm round, instructions/TU |\n|---|---|---|---|")
            print(f"| {corpus.name} | {units} | {first // units} | {min(second - first, third - second) // units} |")
            return
        known = sorted(os.listdir(os.path.join(CACHE, "corpora")))
        known = [name for name in known if os.path.exists(os.path.join(CACHE, "corpora", name, "compile_commands.json"))]
        print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|", flush=True)
        for name in arguments.names or known:
            corpus = Corpus(name, work, program, arguments.scan_option)
            row = measure(corpus, work, arguments.rounds, arguments.sample)
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
