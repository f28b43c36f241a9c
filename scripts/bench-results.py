#!/usr/bin/env python3
"""bench-results.py: real projects built again and again on a server that keeps results: what hits, what a hit costs, and whether it is right.

  PROGRAMS=target/release scripts/bench-results.py [--elsewhere [--as USER]] [--ways ours,plain,pump,ccache] [--flags WORDS] [--units N] [--jobs N] [--first-jobs N] [--direct] [NAME...]

NAME is redis, sqlite3, fmtlib, abseil or linux-tiny (default: redis, fmtlib, linux-tiny). Each project is built locally once; then twice through each way (`second`:
after all objects are gone and all sources touched), all ways on servers of their own. Every output is compared with the local build's, and the second build's
objects with the first one's.

  ours    our client in the bundle dialect        plain   stock's client, which preprocesses at home, to our server
  pump    stock's client in pump mode, with our include server, to our server        ccache  Debian's ccache, no server at all

--elsewhere   builds a copy of the project in another directory, too, on the server that `ours` has filled; its truth is a local build there, and no output may
              name the first directory. With --as (wants root) that build is another user's
--jobs N      compiles at a time in the builds that must hit (4); --first-jobs N in all others, which take the time (as --jobs)
--direct      no proxy that counts bytes stands before the server: it takes a millisecond of each job's time, more of large objects. For `ours` and `ccache`
  hits        jobs that the server answered with the result of an earlier compile (ccache: its own count), of all compiles
  client      CPU ms/TU of all that the build starts here; server: CPU ms/job of the daemon and its children outside the compiler
  wall        ms/TU, --jobs at a time; and of the jobs' own times, from start to end, the median
  session     ms for its start and end, that of this benchmark's runner (a Python) included
A wrong output, or a second build that does not hit throughout, is exit status 1.
"""
import argparse
import collections
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "bench-wire"))
import ways
from link import Loopback
from projects import Project

HEAD = "project | way | build | TUs | hits | up kB | wall ms/TU; a job's median | session ms | client ms/TU | server ms/job | same".split(" | ")
# Ends by itself when the build has ended: its standard input is closed then.
OUR_INCLUDE_SERVER = """
"$PROGRAMS/include-server" --foreground --port "$STATE/socket" & server=$!
export INCLUDE_SERVER_PORT="$STATE/socket"
until [ -S "$STATE/socket" ]; do sleep 0.05; done
"$@"; status=$?
kill $server; wait $server
exit $status
"""


def row(cells):
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


class StockPlain(ways.Stock):
    """Stock's client in plain mode to our server."""

    name, forks_workers = "stock plain,lzo client", False

    def __init__(self, programs):
        self.daemon = f"{programs}/distccd"

    def daemon_options(self, store):
        return ["--cache-dir", store]


class StockPump(StockPlain):
    """Stock's client in pump mode, with our include server, to our server."""

    name, host_options = "stock pump client", ",lzo,cpp"

    def __init__(self, programs):
        super().__init__(programs)
        self.programs, self.wrapper = programs, ["/bin/sh", "-c", OUR_INCLUDE_SERVER, "sh"]

    def environment(self, state):
        return {**super().environment(state), "PROGRAMS": self.programs, "STATE": state}


class Ccache(ways.Local):
    """No server: ccache at home."""

    name = "ccache"

    def __init__(self):
        self.prefix, self.wrapper = ["ccache"], []

    def environment(self, state):
        return {"CCACHE_DIR": os.path.join(state, "ccache")}

    def hits(self, state):
        said = subprocess.run(["ccache", "--print-stats"], env={**os.environ, "CCACHE_DIR": os.path.join(state, "ccache")}, capture_output=True, text=True).stdout
        counts = dict(line.split("\t") for line in said.splitlines() if "\t" in line)
        return int(counts.get("direct_cache_hit", 0)) + int(counts.get("preprocessed_cache_hit", 0))


class Bench:
    def __init__(self, arguments, work, programs):
        self.arguments, self.work, self.programs, self.failures = arguments, work, programs, []

    def fail(self, text):
        self.failures.append(text)
        print(f"bench-results: {text}", file=sys.stderr, flush=True)

    def build_locally(self, project):
        mark = os.path.join(self.work, "mark")
        with open(mark, "w"):
            pass
        state = os.path.join(self.work, f"client-{project.name}-local")
        made = ways.build(ways.Local(), project, state, Loopback(), self.arguments.first_jobs)
        project.built_locally(made.jobs)
        project.keep_outputs(mark)

    def measure(self, project, way, elsewhere):
        server = None
        if not isinstance(way, Ccache):
            jobs = max(self.arguments.jobs, self.arguments.first_jobs)
            server = ways.Server(way, self.work, Loopback(), jobs, direct=self.arguments.direct)
        state = os.path.join(self.work, f"client-{project.name}-{way.name.replace(' ', '-')}")
        try:
            self.once(project, way, "first", server, state, must_hit=False)
            first = project.objects()
            self.once(project, way, "second", server, state, must_hit=True)
            second = project.objects()
            if others := [path for path in first if second.get(path) != first[path]]:
                self.fail(f"{project.name}, {way.name}, second build: {len(others)} objects are not the first build's, such as {others[0]}")
            if elsewhere and isinstance(way, ways.Ours):
                self.once(elsewhere, way, "elsewhere", server, state + "-elsewhere", must_hit=False, user=self.arguments.user)
                self.look_for(project.place, elsewhere)
        finally:
            if server:
                server.close()

    def once(self, project, way, which, server, state, must_hit, user=None):
        project.forget_outputs()
        project.touch_sources()
        count = lambda: int(server.statistics().get("dcc_cache_hits", 0)) if server else way.hits(state)
        before = count()
        if user:
            subprocess.run(["chown", "-R", user, project.place], check=True)
        jobs = self.arguments.jobs if must_hit else self.arguments.first_jobs
        made = ways.build(way, project, state, Loopback(), jobs, server, user)
        hits, units = count() - before, len(project.commands)
        whole = isinstance(way, ways.Ours)
        same, compared, wrong = project.wrong(objects_only=not whole)
        # Preprocessed text makes other line tables and warnings' state than the source does, with stock as with us.
        if (whole or isinstance(way, StockPump)) and wrong:
            self.fail(f"{project.name}, {way.name}, {which} build: {len(wrong)} wrong, such as {wrong[0]}")
        at_home = made.modes["local"] if server else 0
        if must_hit and hits + at_home < units:
            self.fail(f"{project.name}, {way.name}, {which} build: {hits} hits of {units - at_home}")
        for reason, number in made.local_reasons.most_common(3):
            print(f"bench-results: {project.name}, {which}: {number} {reason}", file=sys.stderr)
        if server:
            with open(server.log, errors="replace") as file:
                reasons = collections.Counter(re.findall(r"dcc_job_cache\).* not kept \((.*)\): ", file.read()))
            for reason, number in reasons.most_common(5):
                print(f"bench-results: {project.name}, {way.name}, so far: {number} not kept: {reason}", file=sys.stderr)
        sent = max(1, units - at_home)
        row([
            project.name, way.name, which, units, f"{hits}/{units - at_home}", "" if self.arguments.direct else f"{made.up / 1e3:.0f}",
            f"{made.jobs_elapsed * 1e3 / units:.1f}; {statistics.median(made.walls) * 1e3:.1f}",
            f"{(made.elapsed - made.jobs_elapsed) * 1e3:.0f}",
            f"{made.client_cpu * 1e3 / units:.2f}", f"{made.server_cpu * 1e3 / sent:.2f} + {made.before_exec * 1e3 / sent:.2f}", f"{same}/{compared}",
        ])

    def look_for(self, place, project):
        for path in project.outputs:
            with open(path, "rb") as file:
                if place.encode() + b"/" in file.read():
                    self.fail(f"{path} names {place}")


def copy_of(project, work):
    """The project in another directory, of another depth."""
    place = os.path.join(work, "elsewhere", "deeper", project.name + "-2")
    os.makedirs(os.path.dirname(place))
    shutil.copytree(project.place, place, symlinks=True)
    other = object.__new__(Project)
    other.name, other.place, other.outputs, other.cpu = project.name + " elsewhere", place, {}, {}
    other.file = os.path.join(work, f"{project.name}-elsewhere.json")
    move = lambda text: re.sub(re.escape(project.place) + r"(?![\w.-])", place, text)
    other.commands = [
        {**command, "directory": move(command["directory"]), "file": move(command["file"]), "arguments": [move(word) for word in command["arguments"]]}
        for command in project.commands
    ]
    other.save()
    return other


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elsewhere", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--as", dest="user", metavar="USER", help=argparse.SUPPRESS)
    parser.add_argument("--ways", default="ours,plain,pump,ccache", metavar="WAYS")
    parser.add_argument("--flags", default="-O0", metavar="WORDS", help="go to the end of every compile but the kernel's")
    parser.add_argument("--jobs", type=int, default=4, metavar="N")
    parser.add_argument("--first-jobs", type=int, metavar="N", help=argparse.SUPPRESS)
    parser.add_argument("--units", type=int, metavar="N", help="only N compiles of each project, spread over it")
    parser.add_argument("--direct", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    arguments.first_jobs = arguments.first_jobs or arguments.jobs
    if arguments.direct and set(arguments.ways.split(",")) & {"plain", "pump"}:
        sys.exit("bench-results: with --direct nobody counts what stock's clients do: --ways ours,ccache")
    programs = os.path.realpath(os.environ.get("PROGRAMS") or sys.exit("bench-results: PROGRAMS must name the directory of the programs"))
    makers = {"ours": lambda: ways.Ours(programs, None), "plain": lambda: StockPlain(programs), "pump": lambda: StockPump(programs), "ccache": Ccache}
    ways.stop_when_ended("bench-results")
    work = tempfile.mkdtemp(prefix="pumphouse-results-")
    os.chmod(work, 0o755)
    bench = Bench(arguments, work, programs)
    try:
        row(HEAD)
        row(["---"] * len(HEAD))
        for name in arguments.names or ["redis", "fmtlib", "linux-tiny"]:
            project = Project(name, work, arguments.flags.split(), arguments.units)
            elsewhere = copy_of(project, work) if arguments.elsewhere else None
            for each in filter(None, (project, elsewhere)):
                bench.build_locally(each)
            for way in arguments.ways.split(","):
                bench.measure(project, makers[way](), elsewhere)
            shutil.rmtree(project.place)
            shutil.rmtree(os.path.join(work, "elsewhere"), ignore_errors=True)
        return bool(bench.failures)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
