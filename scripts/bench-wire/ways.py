"""The ways of distributing that are compared: their daemons, and how a build is run through them."""
import collections
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from link import wait_until

HERE = os.path.dirname(os.path.realpath(__file__))
SCRIPTS = os.path.dirname(HERE)
# Programs that pump finds by name must be ours or stock's; nothing of the caller's session may leak in.
UNWANTED = re.compile(r"DISTCC.*|INCLUDE_SERVER.*|PUMPHOUSE_(?!PEERS).*|MAKE.*|MFLAGS|C.*FLAGS|LDFLAGS|CC|CXX|C.*PATH|SOURCE_DATE_EPOCH")
STOCK_PUMP = """
/usr/bin/python3 "$PEER/include_server/include_server.py" --port "$STATE/socket" --pid_file "$STATE/pid" > "$STATE/include-server" 2>&1 || exit
export INCLUDE_SERVER_PORT="$STATE/socket"
"$@"; status=$?
kill "$(cat "$STATE/pid")"
exit $status
"""

FOREIGN = """
over=$1 root=$2; shift 2
mount -t overlay foreign -o "lowerdir=$over:/" "$root" || exit
for name in proc dev sys tmp; do mount --rbind "/$name" "$root/$name" || exit; done
# Not chroot: in one no user namespace may be made.
cd "$root" && pivot_root . . && umount -l . && exec "$@"
"""


def stop_when_ended(name):
    """Ended by a signal, a benchmark still stops its daemons and the build that runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{name}: ended"))


def clean_environment():
    kept = {name: value for name, value in os.environ.items() if not UNWANTED.fullmatch(name)}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def process_cpu(pid):
    """Seconds of CPU time of a process with all its threads, ended ones included; without its children. 0 when it is gone."""
    try:
        # The clock that clock_getcpuclockid(3) names: nanoseconds, where /proc has ticks.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


class Server:
    """A daemon with an empty store behind a counting proxy; `direct` leaves the proxy out, and no bytes are counted. `foreign` names a directory whose files
    stand in place of the system's, for the daemon."""

    def __init__(self, way, work, place, jobs, foreign=None, follow=True, direct=False):
        self.way, self.place, self.processes, self.cpu = way, place, [], {}
        self.state = os.path.join(work, f"server-{way.name.replace(' ', '-')}-{os.urandom(3).hex()}")
        # The daemon gives up root, and must be able to write here.
        os.makedirs(self.state)
        for name in ("tmp", "store"):
            os.mkdir(os.path.join(self.state, name))
        try:
            user = pwd.getpwnam("distccd")
            for name in ("tmp", "store"):
                os.chown(os.path.join(self.state, name), user.pw_uid, user.pw_gid)
            os.chmod(self.state, 0o755)
        except (KeyError, PermissionError):
            os.chmod(os.path.join(self.state, "tmp"), 0o1777)
        self.log, self.bytes = os.path.join(self.state, "log"), os.path.join(self.state, "bytes")
        with open(self.log, "w"), open(self.bytes, "w"):
            pass
        os.chmod(self.log, 0o666)
        # Namespaces have all ports; on loopback ask for free ones.
        self.port, self.stats_port, proxied = 3632, 3633, 3640
        if not place.server:
            self.port, self.stats_port, proxied = free_ports(3)
        # Where clients go.
        self.door = self.port if direct else proxied
        words = [way.daemon, "--daemon", "--no-detach", "--listen", "127.0.0.1", "--port", str(self.port)]
        words += ["--allow", "127.0.0.1", "--enable-tcp-insecure", "--jobs", str(jobs), "--log-file", self.log]
        words += ["--stats", "--stats-port", str(self.stats_port), *way.daemon_options(os.path.join(self.state, "store"))]
        environment = {**clean_environment(), "TMPDIR": os.path.join(self.state, "tmp"), **way.daemon_environment}
        if foreign:
            root = os.path.join(self.state, "root")
            os.mkdir(root)
            words = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", FOREIGN, "sh", foreign, root, *words]
        self.daemon = self.start([*place.server, *words], environment)
        wait_until(self.listening, f"{way.daemon} does not listen; see {self.log}")
        if not direct:
            self.start_proxy()
        self.exec_log = self.follow(work) if follow else None
        self.watching = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def start(self, words, environment, **more):
        process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, **more)
        self.processes.append(process)
        return process

    def start_proxy(self):
        words = [sys.executable, os.path.join(HERE, "proxy.py"), self.place.address, str(self.door), str(self.port), self.bytes]
        proxy = self.start([*self.place.server, *words], clean_environment(), stdout=subprocess.PIPE)
        if proxy.stdout.readline() != b"ready\n":
            sys.exit("bench-wire: the counting proxy did not start")

    def follow(self, work):
        """Starts before-exec; returns the file that it writes."""
        program, log = os.path.join(work, "before-exec"), os.path.join(self.state, "exec")
        if not os.path.exists(program):
            subprocess.run(["gcc", "-O2", "-o", program, os.path.join(HERE, "before-exec.c")], check=True)
        with open(log, "w") as file:
            process = self.start([program, str(self.daemon.pid)], clean_environment(), stdout=file)
        wait_until(lambda: process.poll() is not None or os.path.getsize(log), "before-exec does not start")
        if process.poll() is not None:
            sys.exit("bench-wire: before-exec ended at its start; --no-follow does without it")
        return log

    def before_exec(self):
        """Seconds of CPU of all processes that the daemon has started, until they became another program."""
        if not self.exec_log:
            return 0.0
        with open(self.exec_log) as file:
            return int(file.read().split()[-1]) / 1e9

    def inside(self, words, **more):
        """Runs a command where the server is."""
        return subprocess.run([*self.place.server, *words], capture_output=True, **more)

    def listening(self):
        if self.daemon.poll() is not None:
            with open(self.log) as file:
                sys.exit(f"bench-wire: {self.way.daemon} ended at its start:\n{file.read()[-2000:]}")
        with open(f"/proc/{self.daemon.pid}/net/tcp") as file:  # of its network namespace
            return any(f":{self.port:04X} 00000000:0000 0A" in line for line in file)

    def look(self):
        """Notes the CPU time of the daemon's own processes. Stock's workers are forked and replaced; compilers are not its own."""
        own = [self.daemon.pid]
        if self.way.forks_workers:
            with open(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children") as file:
                own += [int(word) for word in file.read().split()]
        for pid in own:
            self.cpu[pid] = max(self.cpu.get(pid, 0.0), process_cpu(pid))

    def watch(self):
        while not self.watching.wait(0.1):
            try:
                self.look()
            except OSError:
                return

    def cpu_seconds(self):
        self.look()
        return sum(self.cpu.values())

    def statistics(self):
        """The statistics page's lines as a table."""
        url = f"http://127.0.0.1:{self.stats_port}/"
        program = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())"
        page = self.inside([sys.executable, "-c", program, url]).stdout.decode(errors="replace")
        return dict(re.findall(r"^(dcc_\w+) (.*)$", page, re.MULTILINE))

    def counted(self):
        """(connections by first token, bytes up, bytes down) of all connections so far."""
        tokens, up, down = collections.Counter(), 0, 0
        with open(self.bytes) as file:
            for line in file:
                token, sent, received, _ = line.split()
                tokens[token] += 1
                up, down = up + int(sent), down + int(received)
        return tokens, up, down

    def close(self):
        self.watching.set()
        self.watcher.join()
        for process in reversed(self.processes):
            process.terminate()
            process.wait()
        shutil.rmtree(self.state, ignore_errors=True)


def free_ports(count):
    import socket

    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Build:
    """What one build cost."""

    def __init__(self, result, inner, units):
        self.status, self.elapsed, self.left = result["status"], result["elapsed"], result["left"]
        self.jobs, self.units = inner["jobs"], units
        # Without the session's start and end.
        self.jobs_elapsed = inner["elapsed"]
        # Of each job, from its start to its end.
        self.walls = inner["walls"]
        # The list's runner stands for make, which is not what is measured.
        self.client_cpu = result["cpu"] - inner["own"]
        self.server_cpu = self.before_exec = 0.0
        self.up = self.down = 0
        self.modes, self.local_reasons, self.tokens = collections.Counter(), collections.Counter(), collections.Counter()
        self.local_sources = []


class Local:
    """No distribution: the truth."""

    name = "local"
    forks_workers = False

    def __init__(self):
        self.prefix, self.wrapper = [], []

    def environment(self, _state):
        return {}

    def modes(self, build, _state, _tokens):
        build.modes["local"] = len(build.jobs)


class Stock:
    """Stock's own programs in plain mode: preprocessed at home, LZO."""

    name, host_options, forks_workers = "stock plain,lzo", ",lzo", True
    daemon, daemon_environment = "/usr/bin/distccd", {}
    prefix, wrapper = ["/usr/bin/distcc"], []

    def daemon_options(self, _store):
        return []

    def environment(self, state):
        return {"DISTCC_LOG": os.path.join(state, "log")}

    def modes(self, build, state, tokens):
        with open(os.path.join(state, "log"), errors="replace") as file:
            build.local_sources = re.findall(r"compile (\S+) on localhost completed", file.read())
        os.unlink(os.path.join(state, "log"))
        build.modes["pump"], build.modes["plain"] = tokens["DIST00000003"], tokens["DIST00000002"]
        build.modes["local"] = len(build.local_sources)


class StockPump(Stock):
    """Stock's programs in pump mode. Its include server as installed dies on Python 3.10 and later: the peer built from the same
    source with upstream's fix stands in for it (scripts/peer-build.sh)."""

    name, host_options = "stock pump", ",lzo,cpp"

    def __init__(self):
        self.peer = subprocess.run([os.path.join(SCRIPTS, "peer-build.sh")], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        run = subprocess.run(["./find_c_extension.sh", "."], cwd=self.peer, check=True, stdout=subprocess.PIPE, text=True)
        self.extension = os.path.join(self.peer, run.stdout.strip())
        self.wrapper = ["/bin/sh", "-c", STOCK_PUMP, "sh"]

    def environment(self, state):
        return {
            **super().environment(state), "PEER": self.peer, "STATE": state,
            "PYTHONOPTIMIZE": "1", "PYTHONPATH": self.extension, "DISTCC_MAX_DISCREPANCY": "1000000",
        }


class Ours:
    """Pumphouse's programs."""

    name, host_options, forks_workers = "ours", ",lzo,cpp", False

    def __init__(self, programs, view, results="yes"):
        """`results` is whether the daemon keeps results: with them a second build compiles nothing."""
        self.results = results
        self.prefix, self.wrapper = [f"{programs}/distcc"], [f"{programs}/pump"]
        self.daemon, self.daemon_environment = f"{programs}/distccd", {"PUMPHOUSE_VIEW": view} if view else {}
        said = subprocess.run([self.daemon, "--help"], capture_output=True, text=True).stdout
        self.keeps = "--cache-dir" in said

    def daemon_options(self, store):
        return ["--cache-dir", store, "--cache-results", self.results] if self.keeps else []

    def environment(self, state):
        return {"PUMPHOUSE_JOURNAL": os.path.join(state, "journal")}

    def modes(self, build, state, _tokens):
        with open(os.path.join(state, "journal"), errors="replace") as file:
            for line in file:
                _time, mode, _host, _status, reason, source = line.rstrip("\n").split("\t")[:6]
                build.modes[mode] += 1
                if mode == "local":
                    build.local_sources.append(source)
                if mode != "pump":
                    build.local_reasons[f"{mode}: {reason}"] += 1
        os.unlink(os.path.join(state, "journal"))


def run_group(words, environment):
    """Runs a command in a process group of its own, which ends with this program; returns what it said."""
    process = subprocess.Popen(
        words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    try:
        return process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def build(way, project, state, place, jobs, server=None, user=None):
    """Runs the project's commands through the way; `state` is the client's own directory, which a second build finds again. `user` is a name, if not the caller's."""
    os.makedirs(os.path.join(state, "home"), exist_ok=True)
    home, outer, inner = (os.path.join(state, name) for name in ("home", "outer.json", "inner.json"))
    environment = {**clean_environment(), "HOME": home, "DISTCC_DIR": f"{home}/.distcc", "DISTCC_BACKOFF_PERIOD": "0"}
    environment |= way.environment(state)
    os.makedirs(f"{home}/.distcc", exist_ok=True)
    if server:
        environment["DISTCC_HOSTS"] = f"{place.address}:{server.door}/{jobs}{way.host_options}"
        before, cpu_before, exec_before = server.counted(), server.cpu_seconds(), server.before_exec()
    session = os.path.join(HERE, "session.py")
    # Another user may not run an interpreter that is in this one's home.
    python, become = sys.executable, []
    if user:
        python, account = "/usr/bin/python3", pwd.getpwnam(user)
        become = ["setpriv", f"--reuid={user}", f"--regid={account.pw_gid}", "--clear-groups"]
        subprocess.run(["chown", "-R", f"{user}:{account.pw_gid}", state], check=True)
    words = [*place.client, *become, python, session, "account", outer, *way.wrapper]
    words += [python, session, "jobs", inner, str(jobs), project.file, *way.prefix]
    out, err = run_group(words, environment)
    try:
        with open(outer) as file, open(inner) as more:
            made = Build(json.load(file), json.load(more), len(project.commands))
    except (OSError, ValueError):
        sys.exit(f"bench-wire: {project.name} through {way.name} did not run:\n{out[-2000:]}{err[-2000:]}")
    tokens = collections.Counter()
    if server:
        time.sleep(0.2)  # The proxy writes its line when both ends are closed.
        now = server.counted()
        tokens = now[0] - before[0]
        made.server_cpu, made.before_exec = server.cpu_seconds() - cpu_before, server.before_exec() - exec_before
        made.up, made.down = now[1] - before[1], now[2] - before[2]
    made.tokens, made.said = tokens, err
    way.modes(made, state, tokens)
    for name in (outer, inner):
        os.unlink(name)
    return made
