"""The projects that are built: copies of their sources in a directory of this run's own, and the commands that compile them."""
import hashlib
import json
import os
import shutil
import subprocess
import sys

SCRIPTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
CACHE = os.environ.get("PUMPHOUSE_PEERS") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pumphouse-peers"
)
# Directories of the compiler's own: what is below is the system's, not the project's.
SYSTEM = ("/usr/include/", "/usr/local/include/", "/usr/lib/gcc/")
FMT_TESTS = (
    "args assert chrono color compile core enforce-checks format gtest-extra noexception os ostream posix-mock printf ranges"
    " scan std unicode xchar"
).split()


class Project:
    """A project's directory, its commands, and what a local build makes of them."""

    def __init__(self, name, work, flags, units=None):
        self.name, self.place = name, os.path.join(work, name)
        self.commands = RECIPES[name](self.place)
        if name != "linux-tiny":  # The kernel does not build but with its own.
            self.commands = [{**command, "arguments": command["arguments"] + flags} for command in self.commands]
        self.commands.sort(key=lambda command: (command["directory"], command["file"]))
        self.commands = one_for_each_output(self.commands)
        self.commands = self.commands[:: max(1, len(self.commands) // units)][:units] if units else self.commands
        self.file = os.path.join(work, f"{name}.json")
        self.outputs, self.cpu = {}, {}
        self.save()

    def save(self):
        with open(self.file, "w") as file:
            json.dump(self.commands, file)

    def sources(self):
        return [os.path.join(command["directory"], command["file"]) for command in self.commands]

    def built_locally(self, jobs):
        """Takes the products of a local build as the truth. Commands that fail here are left out; returns their number."""
        failed = sum(status != 0 for status, _, _ in jobs)
        self.cpu = {
            command["file"]: cpu for command, (_, cpu, _) in zip(self.commands, jobs)
        }
        kept = [command for command, (status, _, _) in zip(self.commands, jobs) if status == 0]
        dropped = [command for command, (status, _, _) in zip(self.commands, jobs) if status != 0]
        for command in dropped:
            remove(output(command))
        self.commands = kept
        self.save()
        return failed

    def keep_outputs(self, since):
        """Every file that was written since the mark `since`, with its content's digest."""
        mark = os.stat(since).st_mtime_ns
        for directory, _, names in os.walk(self.place):
            for name in names:
                path = os.path.join(directory, name)
                status = os.lstat(path)
                if status.st_mtime_ns >= mark and os.path.isfile(path):
                    self.outputs[path] = digest(path)

    def forget_outputs(self):
        for path in self.outputs:
            remove(path)

    def touch_sources(self):
        for path in self.sources():
            os.utime(path)

    def wrong(self, objects_only):
        """(outputs that are as a local build's, outputs compared, names of the others)."""
        names = [path for path in self.outputs if not objects_only or is_object(path)]
        wrong = [path for path in names if not os.path.exists(path) or digest(path) != self.outputs[path]]
        return len(names) - len(wrong), len(names), wrong

    def objects(self):
        """The objects that are there, with their contents' digests."""
        return {path: digest(path) for path in self.outputs if is_object(path) and os.path.exists(path)}


def is_object(path):
    return path.endswith((".o", ".lo"))


def output(command):
    words = command["arguments"]
    if "-o" in words:
        name = words[words.index("-o") + 1]
    else:
        name = os.path.splitext(os.path.basename(command["file"]))[0] + ".o"
    return os.path.normpath(os.path.join(command["directory"], name))


def one_for_each_output(commands):
    """Two commands that write one file would race: the first is kept."""
    kept = {}
    for command in commands:
        kept.setdefault(output(command), command)
    return list(kept.values())


def digest(path):
    with open(path, "rb") as file:
        return hashlib.blake2b(file.read()).digest()


def remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def debian_source(package):
    run = subprocess.run([os.path.join(SCRIPTS, "debian-source.sh"), package], check=True, stdout=subprocess.PIPE)
    return os.fsdecode(run.stdout).strip()


def copy(origin, place):
    subprocess.run(["cp", "-a", "--reflink=auto", origin, place], check=True)


def corpus(name):
    """A recipe: the commands of a corpus of scripts/corpora.sh, without a compiler shim's traces."""

    def recipe(place):
        origin = os.path.join(CACHE, "corpora", name)
        if not os.path.exists(os.path.join(origin, "compile_commands.json")):
            subprocess.run([os.path.join(SCRIPTS, "corpora.sh"), "--prepare", name], check=True, stdout=sys.stderr)
        copy(origin, place)
        with open(os.path.join(origin, "compile_commands.json")) as file:
            text = file.read()
        commands = json.loads(text.replace(origin + "/", place + "/"))
        for command in commands:
            remove(output(command))  # The shim left empty objects.
        return commands

    return recipe


def fmtlib(place):
    copy(debian_source("fmtlib"), place)
    named = ["src/format.cc", "src/os.cc", "test/util.cc", "test/test-main.cc", "test/gtest-extra.cc"]
    named += [f"test/{test}-test.cc" for test in FMT_TESTS]
    units = [(name, ["-std=c++17", "-Iinclude", "-Itest", "-MP"]) for name in dict.fromkeys(named)]
    for part in ("gtest", "gmock"):
        directory = f"/usr/src/googletest/google{'test' if part == 'gtest' else 'mock'}"
        name = f"{directory}/src/{part}-all.cc"
        if not os.path.exists(name):
            sys.exit(f"bench-wire: fmtlib's tests need {name} (Debian packages libgtest-dev and libgmock-dev)")
        # A copy, so that its time can be touched.
        shutil.copytree(directory, os.path.join(place, os.path.basename(directory)))
        units.append((f"{os.path.basename(directory)}/src/{part}-all.cc", [f"-I{os.path.basename(directory)}"]))
    return [
        {"directory": place, "file": name, "arguments": ["g++", *options, "-MD", "-c", name, "-o", name[:-3] + ".o"]}
        for name, options in units
    ]


def redis(place):
    """Redis's own make, with the compiler shim of corpora.sh in front of it: each compile is written down and makes an empty object."""
    copy(debian_source("redis"), place)
    shims = place + "-shims"
    os.makedirs(shims)
    subprocess.run(["gcc", "-O1", "-o", f"{shims}/gcc", os.path.join(SCRIPTS, "corpora/shim.c")], check=True)
    for name in ("g++", "cc", "c++"):
        os.link(f"{shims}/gcc", f"{shims}/{name}")
    subprocess.run(["gcc", "-c", "-x", "c", "/dev/null", "-o", f"{shims}/stub.o"], check=True)
    environment = {
        **os.environ,
        "PATH": f"{shims}:{os.environ['PATH']}",
        "CORPORA_LOG": f"{shims}/log",
        "CORPORA_REAL_PATH": "/usr/bin",
        "CORPORA_STUB": f"{shims}/stub.o",
    }
    words = "make -k -j2 -C src MALLOC=libc V=1 OPTIMIZATION=-O2 DEBUG= DEBUG_FLAGS= redis-server redis-cli redis-benchmark".split()
    subprocess.run([*words, "REDIS_CFLAGS=-MD", "CFLAGS=-MD"], cwd=place, env=environment, capture_output=True)
    made = os.path.join(shims, "commands.json")
    tool = os.path.join(SCRIPTS, "corpora/commands.py")
    subprocess.run([sys.executable, tool, f"{shims}/log", made], check=True, stdout=subprocess.DEVNULL)
    with open(made) as file:
        commands = json.load(file)
    if len(commands) < 100:
        sys.exit(f"bench-wire: redis: only {len(commands)} compiles were written down; is make here?")
    for command in commands:
        remove(output(command))
    shutil.rmtree(shims)
    return commands


RECIPES = {
    "redis": redis,
    "sqlite3": corpus("sqlite3"),
    "fmtlib": fmtlib,
    "abseil": corpus("abseil"),
    "linux-tiny": corpus("linux-tiny"),
}
