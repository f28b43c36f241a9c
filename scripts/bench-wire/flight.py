"""Jobs that all start at once on a cold server, and want the same headers: each must cross once."""
import os
import random

import ways
from projects import Project
from yardstick import Yardstick

JOBS, HEADERS, ROUNDS = 21, 300, 3
# Random names cannot be made much shorter by a compressor, and twice the bytes cannot hide.
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"


class Flight(Project):
    """21 units that include the same 300 headers."""

    def __init__(self, work):
        self.name, self.place, self.outputs, self.cpu = "flight", os.path.join(work, "flight"), {}, {}
        self.file = os.path.join(work, "flight.json")
        chance = random.Random(21)
        os.makedirs(os.path.join(self.place, "include"))
        for number in range(HEADERS):
            with open(os.path.join(self.place, "include", f"header-{number}.h"), "w") as file:
                for _ in range(chance.randrange(10, 60)):
                    file.write(f"extern int a{''.join(chance.choices(LETTERS, k=70))};\n")
        self.commands = []
        for number in range(JOBS):
            name = f"unit-{number}.c"
            with open(os.path.join(self.place, name), "w") as file:
                file.writelines(f'#include "header-{header}.h"\n' for header in range(HEADERS))
                file.write(f"int unit_{number}(void) {{ return {number}; }}\n")
            words = ["gcc", "-O0", "-Iinclude", "-MD", "-c", name, "-o", f"unit-{number}.o"]
            self.commands.append({"directory": self.place, "file": name, "arguments": words})
        self.save()


def run(bench, way, programs, row):
    """Prints a row for each of some cold servers."""
    project = Flight(bench.work)
    bench.build_locally(project)
    yardstick = Yardstick(project, programs)
    # The job's setting (directories, options, the compiler's identity) is kept as a blob, too.
    distinct = yardstick.own_count + 1
    # Packed as streams: the least that any number of packs can be.
    limit = 1.1 * yardstick.own_streams + 1500 * JOBS
    print(f"{JOBS} jobs at once on a cold server, {HEADERS} headers each; {distinct} distinct contents with the jobs' setting, "
          f"{yardstick.own_streams} bytes as zstd streams; {bench.place.name}\n")
    head = "server | jobs: pump/plain/local | blobs kept | already there | waited for another's | bytes up | limit | same".split(" | ")
    row(head)
    row(["---"] * len(head))
    for number in range(1, ROUNDS + 1):
        project.forget_outputs()
        server = ways.Server(way, bench.work, bench.place, JOBS)
        try:
            made = ways.build(way, project, os.path.join(bench.work, f"client-flight-{number}"), bench.place, JOBS, server)
            statistics = server.statistics()
        finally:
            server.close()
        puts, there, shared = (statistics.get(f"dcc_store_{name}", "?") for name in ("puts", "already_there", "uploads_shared"))
        same, compared, wrong = project.wrong(objects_only=False)
        row([number, f"{made.modes['pump']}/{made.modes['plain']}/{made.modes['local']}", puts, there, shared, made.up, f"{limit:.0f}", f"{same}/{compared}"])
        if wrong or made.modes["pump"] != JOBS:
            bench.fail(f"flight {number}: {len(wrong)} wrong outputs; {dict(made.modes)} {dict(made.local_reasons)}")
        # Every blob once, and no blob that was there already: that one would have crossed twice.
        if puts != str(distinct) or there not in ("0", "?"):
            bench.fail(f"flight {number}: the store's counters say {puts} blobs kept and {there} sent in vain, of {distinct} distinct ones")
        if made.up > limit:
            bench.fail(f"flight {number}: {made.up} bytes up, the limit is {limit:.0f}")
