"""What a project's units read, and what each distinct content weighs: the least that must cross the wire once."""
import json
import os
import subprocess
import sys

from projects import SYSTEM


class Yardstick:
    """Unique contents of a project: (plain, LZO, zstd) bytes of the project's own and of the system's, and of all in zstd streams."""

    def __init__(self, project, programs):
        self.name, self.units = project.name, len(project.commands)
        words = [f"{programs}/include-server", "scan", "--cache-dir", "none", "--compile-commands", project.file]
        run = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        self.declined, self.files, names = 0, 0, {}
        for line in run.stdout.splitlines():
            if b'"declined"' not in line:
                continue
            unit = json.loads(line)
            if unit["file"].endswith((".S", ".s")):
                continue  # Assembled at home, all ways.
            # A declined unit's headers are not known; it is preprocessed at home.
            self.declined += unit["declined"] is not None
            self.files += len(unit["deps"])
            for name in unit["deps"] or [unit["file"]]:
                names[os.path.realpath(os.path.join(unit["directory"], name))] = None
        own = [name for name in names if not name.startswith(SYSTEM)]
        self.own, self.own_streams, self.own_count = weigh(own, programs)
        self.system_names = [name for name in names if name.startswith(SYSTEM)]
        self.system, self.system_streams, self.system_count = weigh(self.system_names, programs)

    def lzo(self, shipped_system):
        return self.own[1] + (self.system[1] if shipped_system else 0)

    def foreign_copies(self, place):
        """Writes other versions of the system's headers, below `place`: none of a server's files is the client's."""
        for name in self.system_names:
            os.makedirs(place + os.path.dirname(name), exist_ok=True)
            with open(name, "rb") as file, open(place + name, "wb") as copy:
                copy.write(file.read() + b"\n/* the server's own */\n")

    @staticmethod
    def table(yardsticks, row):
        """The second table: what is unique, in kB."""
        print("\nUnique contents: how many, and kB plain / LZO / zstd, each by itself / zstd, all in streams\n")
        row(["project", "TUs (declined by the scanner)", "files/TU", "the project's own", "the system's"])
        row(["---"] * 5)
        for yard in yardsticks:
            parts = [
                f"{count}: " + " / ".join(f"{size / 1e3:.0f}" for size in (*sizes, streams))
                for count, sizes, streams in ((yard.own_count, yard.own, yard.own_streams), (yard.system_count, yard.system, yard.system_streams))
            ]
            row([yard.name, f"{yard.units} ({yard.declined})", f"{yard.files / yard.units:.0f}", *parts])


def weigh(names, programs):
    """((plain, LZO, zstd), zstd in streams, distinct contents) of these files."""
    program = f"{programs}/examples/lzo-size"
    if not os.path.exists(program):
        sys.exit(f"bench-wire: {program} is missing: cargo build --release -p protocol --example lzo-size")
    run = subprocess.run([program], input=b"".join(os.fsencode(name) + b"\n" for name in names), stdout=subprocess.PIPE, check=True)
    *each, total = run.stdout.splitlines()
    plain, lzo, zstd, streams = map(int, total.split(b"\t")[1:])
    return (plain, lzo, zstd), streams, len(each)
