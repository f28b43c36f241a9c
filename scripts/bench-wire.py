#!/usr/bin/env python3
"""bench-wire.py: what crosses the wire when real projects are built, and what it costs both ends; beside stock, in the same run.

  PROGRAMS=target/release scripts/bench-wire.py [--link] [--ways ours,plain,pump] [NAME...]
  PROGRAMS=target/release scripts/bench-wire.py --flight

NAME is redis, sqlite3, fmtlib, abseil or linux-tiny (default: all; with --link redis and fmtlib). PROGRAMS also needs examples/lzo-size:
cargo build --release && cargo build --release -p protocol --example lzo-size.

Each project's compiles are run in a copy of its sources, --jobs at a time, first locally, then through each way: twice with an empty server
(`first`: cold; `second`: all sources touched and all objects gone, the same server, a new session of pump), through a proxy that counts
bytes. Every object is compared with the local one. A wrong or missing output of ours, or a row of ours that is over its limit, is exit status 1.

  TUs         compiles; how many went in pump mode (the bundle dialect or protocol 3) / preprocessed at home / were not distributed.
              Ours by its journal, stock by the first token of each connection and the client's log
  up, down    kB of TCP payload to and from the server; up/TU in bytes, for each TU that is distributed
  limit/TU    first: 1.1 times what is unique, and 1.5 kB for each TU; second: 1.5 kB. Unique is every distinct content that the TUs read,
              each LZO-compressed by itself. A server that has the client's system headers needs none of them, and they do not count;
              with --foreign all its own are different, and they do. Both counts are in the table after the first
  wall        seconds, server and client on this one machine
  client      CPU ms/TU of all that the build starts here: clients, pump, include server, preprocessors; without the local
              compiles. The runner that stands for make is not counted
  server      CPU ms/job outside the compiler: of the daemon's own processes with all their threads, and of the processes that it starts, until
              they become the compiler (views and sandboxes are made there; by ptrace, so the first figure has some 20 us too much)
  same        outputs that are byte for byte a local build's, of all (stock: objects alone; some differ, as a compiler that is given
              preprocessed text writes other line tables and warnings' state)

--link        server and client in two network namespaces, with a link of --rate Mbit/s and --delay ms each way between them (wants root)
--flight      21 different units with the same headers, all at once on a cold server: is each blob uploaded exactly once?
--flags WORDS go to the end of every compile but the kernel's. The default is -O0: what a compiler does is not what is measured
--ways        stock plain and pump (stock's include server with upstream's fix, see scripts/peer-build.sh), and ours
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "bench-wire"))
import flight
import ways
from link import Link, Loopback
from projects import RECIPES, Project
from yardstick import Yardstick

PER_UNIT = 1500
HEAD = "project | way | build | TUs: pump/plain/local | up kB | down kB | up/TU | limit/TU | within | wall s | client ms/TU | server ms/job | same".split(" | ")


def row(cells):
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


class Bench:
    """One run: its directory, its place, its findings."""

    def __init__(self, arguments, work):
        self.arguments, self.work, self.failures, self.builds = arguments, work, [], {}
        self.place = Link(work, arguments.rate, arguments.delay) if arguments.link else Loopback()

    def fail(self, text):
        self.failures.append(text)
        print(f"bench-wire: {text}", file=sys.stderr, flush=True)

    def prepare(self, name):
        """The project with its local build."""
        project = Project(name, self.work, self.arguments.flags.split(), self.arguments.units)
        self.build_locally(project)
        if len(project.commands) < min(20, self.arguments.units or 20):
            sys.exit(f"bench-wire: {name}: only {len(project.commands)} compiles succeed here")
        return project

    def build_locally(self, project):
        mark = os.path.join(self.work, "mark")
        with open(mark, "w"):
            pass
        state = os.path.join(self.work, f"client-{project.name}-local")
        made = ways.build(ways.Local(), project, state, Loopback(), self.arguments.jobs)
        if failed := project.built_locally(made.jobs):
            print(f"bench-wire: {project.name}: {failed} commands do not compile here and are left out", file=sys.stderr)
        project.keep_outputs(mark)

    def measure(self, project, way, yardstick):
        """Both builds through a way, on a server of their own; a row each."""
        foreign = None
        if self.arguments.foreign:
            # Not below the root's own file system: overlapping layers are refused.
            foreign = tempfile.mkdtemp(prefix="pumphouse-wire-", dir="/dev/shm")
            os.chmod(foreign, 0o755)
            yardstick.foreign_copies(foreign)
        server = ways.Server(way, self.work, self.place, self.arguments.jobs, foreign, not self.arguments.no_follow)
        state = os.path.join(self.work, f"client-{project.name}-{way.name.replace(' ', '-')}")
        try:
            for which in ("first", "second"):
                project.forget_outputs()
                project.touch_sources()
                made = ways.build(way, project, state, self.place, self.arguments.jobs, server)
                self.report(project, way, which, made, yardstick)
        finally:
            if self.arguments.keep_log:
                shutil.copy(server.log, self.arguments.keep_log)
            server.close()
            if foreign:
                shutil.rmtree(foreign)

    def report(self, project, way, which, made, yardstick):
        ours, units = way.name == "ours", len(project.commands)
        what = f"{project.name}, {way.name}, {which} build"
        same, compared, wrong = project.wrong(objects_only=not ours)
        for path in wrong[:5] if ours else []:
            why = "differs from a local build's" if os.path.exists(path) else "was not made"
            self.fail(f"{what}: {os.path.relpath(path, project.place)} {why}")
        unique = yardstick.lzo(shipped_system=ours and self.arguments.foreign)
        distributed = max(1, units - made.modes["local"])
        limit = (1.1 * unique if which == "first" else 0) + PER_UNIT * distributed
        within = made.up <= limit
        if ours and not within:
            self.fail(f"{what}: {made.up} bytes up, the limit is {limit:.0f}")
        if made.status and ours:
            self.fail(f"{what}: exit status {made.status}: {[said for status, _, said in made.jobs if status][:1]} {made.said[-500:]}")
        for reason, count in made.local_reasons.most_common(5):
            print(f"bench-wire: {what}: {count} {reason}", file=sys.stderr)
        if strange := {token: count for token, count in made.tokens.items() if not re.fullmatch(r"(DIST|BNDL)\d+", token)}:
            print(f"bench-wire: {what}: connections without a request: {strange}", file=sys.stderr)
        local_cpu = sum(project.cpu.get(source, project.cpu.get(os.path.basename(source), 0.0)) for source in made.local_sources)
        self.builds[project.name, way.name, which] = made
        row([
            project.name, way.name, which,
            f"{units}: {made.modes['pump']}/{made.modes['plain']}/{made.modes['local']}",
            f"{made.up / 1e3:.0f}", f"{made.down / 1e3:.0f}", f"{made.up / distributed:.0f}", f"{limit / distributed:.0f}",
            "yes" if within else "NO", f"{made.elapsed:.1f}", f"{(made.client_cpu - local_cpu) * 1e3 / units:.1f}",
            f"{made.server_cpu * 1e3 / distributed:.2f} + {made.before_exec * 1e3 / distributed:.2f}", f"{same}/{compared}",
        ])

    def compare_link(self, name):
        """The promise over a slow link: the second build five times fewer bytes and clearly faster than stock's plain mode."""
        ours, plain = (self.builds.get((name, way, "second")) for way in ("ours", "stock plain,lzo"))
        if not ours or not plain:
            return
        fewer, faster = plain.up / max(1, ours.up), plain.elapsed / ours.elapsed
        both = (plain.up + plain.down) / max(1, ours.up + ours.down)
        verdict = "yes" if fewer >= 5 and faster >= 1.1 else "NO"
        print(f"\n{name}, second build: {fewer:.1f} times fewer bytes up than stock plain,lzo ({both:.1f} times with the objects that come back), "
              f"{faster:.2f} times as fast: {verdict}", flush=True)
        if verdict == "NO":
            self.fail(f"{name}: the second build over the link is not five times fewer bytes and a tenth faster than stock plain,lzo")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--link", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, default=20, metavar="MBIT")
    parser.add_argument("--delay", type=float, default=20, metavar="MS")
    parser.add_argument("--ways", default="plain,pump,ours", metavar="WAYS")
    parser.add_argument("--flags", default="-O0", metavar="WORDS", help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=4, metavar="N")
    parser.add_argument("--units", type=int, metavar="N", help="only N compiles of each project, spread over it")
    parser.add_argument("--view", choices=("namespace", "rewrite"), help="our daemon's view of files (default: its own choice)")
    parser.add_argument("--results", action="store_true", help="our daemon keeps results, so that the second build compiles nothing (see bench-results.py)")
    parser.add_argument("--foreign", action="store_true", help="the server's system headers differ from the client's (wants root)")
    parser.add_argument("--flight", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-follow", action="store_true", help="do not ask what the daemon's children cost before they become a compiler")
    parser.add_argument("--keep-log", metavar="FILE", help="copy the last daemon's log there")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    programs = os.path.realpath(os.environ.get("PROGRAMS") or sys.exit("bench-wire: PROGRAMS must name the directory of the programs"))
    names = arguments.names or (["redis", "fmtlib"] if arguments.link else list(RECIPES))
    if unknown := set(names) - set(RECIPES):
        sys.exit(f"bench-wire: no project {', '.join(sorted(unknown))}; there are {', '.join(RECIPES)}")
    makers = {
        "plain": ways.Stock,
        "pump": ways.StockPump,
        "ours": lambda: ways.Ours(programs, arguments.view, "yes" if arguments.results else "no"),
    }
    if unknown := set(arguments.ways.split(",")) - set(makers):
        sys.exit(f"bench-wire: no way {', '.join(sorted(unknown))}; there are {', '.join(makers)}")
    ways.stop_when_ended("bench-wire")
    work = tempfile.mkdtemp(prefix="pumphouse-wire-")
    os.chmod(work, 0o755)
    bench = None
    try:
        bench = Bench(arguments, work)
        if arguments.flight:
            flight.run(bench, makers["ours"](), programs, row)
            return bool(bench.failures)
        chosen = [makers[name]() for name in arguments.ways.split(",")]
        print(f"{bench.place.name}; {os.cpu_count()} CPUs, {arguments.jobs} jobs at a time, {arguments.flags}\n")
        row(HEAD)
        row(["---"] * len(HEAD))
        yardsticks = []
        for name in names:
            project = bench.prepare(name)
            yardstick = Yardstick(project, programs)
            yardsticks.append(yardstick)
            for way in chosen:
                bench.measure(project, way, yardstick)
            shutil.rmtree(project.place)
        Yardstick.table(yardsticks, row)
        if arguments.link:
            for name in names:
                bench.compare_link(name)
        return bool(bench.failures)
    finally:
        if bench:
            bench.place.close()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
