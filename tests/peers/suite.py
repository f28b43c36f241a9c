#!/usr/bin/python3
"""Runs stock distcc's own test suite against a directory of programs, one process and one time limit per case.

    suite.py --suite DIR --programs DIR --helpers DIR --mode plain|lzo|pump --out FILE
             [--port N] [--only CASE,CASE] [--limit SECONDS] [--keep]

DIR given by --suite holds testdistcc.py and comfychair.py (fetched, never committed). Runs as the user that calls
it; scripts/peer-suite.sh calls it once per mode and user. FILE gets one line per case, tab separated:
case, result (pass, fail, skip, time), milliseconds, and what the journal says of its jobs (pump/plain/local).

The driver is a child subreaper: daemons that a case leaves behind become its children, and it ends exactly those.
"""

import argparse
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
OPTIONS = {"plain": [], "lzo": ["--lzo"], "pump": ["--pump"]}


def children():
    """Pids of this process's direct children, adopted ones included."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children") as f:
            return [int(pid) for pid in f.read().split()]
    except OSError:
        return []


def end_children(spare=()):
    """Ends what a case left behind, and waits for it."""
    deadline = time.time() + 10
    while True:
        left = [pid for pid in children() if pid not in spare]
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGTERM if time.time() < deadline - 5 else signal.SIGKILL)
            except OSError:
                pass
            try:
                os.waitpid(pid, os.WNOHANG)
            except OSError:
                pass
        if time.time() > deadline:
            return
        time.sleep(0.05)


def wait_reaping(pid, limit):
    """Waits up to `limit` seconds for `pid` and returns its wait status; reaps everything else that ends meanwhile.

    The suite waits until `kill(daemon, 0)` fails, and the daemons are ours once they detach: unreaped, they stay.
    """
    deadline = time.time() + limit
    while time.time() < deadline:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if ended == pid:
            return status
        if ended == 0:
            time.sleep(0.01)
    return None


def jobs_of(journal, start):
    """Counts the journal's lines from byte `start` on: {mode: jobs}, and reasons of those not in pump mode."""
    counts, reasons = {}, []
    try:
        with open(journal, errors="surrogateescape") as f:
            f.seek(start)
            for line in f:
                field = line.rstrip("\n").split("\t")
                if len(field) >= 6:
                    counts[field[1]] = counts.get(field[1], 0) + 1
                    if field[1] != "pump":
                        reasons.append(field[4])
    except OSError:
        pass
    return counts, reasons


def size_of(path):
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def start_pump(programs, env):
    """Starts the include server as `pump --startup` does, and takes over the environment it prints."""
    done = subprocess.run([os.path.join(programs, "pump"), "--startup"], env=env, stdout=subprocess.PIPE, timeout=30)
    if done.returncode != 0:
        sys.exit(f"suite: pump --startup exited with {done.returncode}")
    for name, value in re.findall(rb"^\s*(?:export\s+)?(\w+)='([^']*)'", done.stdout, re.M):
        # The suite must find the compilers themselves in PATH, not a masquerade directory: it names them by full path.
        if name not in (b"PATH", b"DISTCC_HOSTS"):
            env[name.decode()] = value.decode()
    if "INCLUDE_SERVER_PORT" not in env:
        sys.exit(f"suite: pump --startup printed no INCLUDE_SERVER_PORT: {done.stdout!r}")
    return int(env.get("INCLUDE_SERVER_PID", 0))


def main():
    parser = argparse.ArgumentParser()
    for name in ("suite", "programs", "helpers", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--mode", choices=OPTIONS, required=True)
    parser.add_argument("--port", type=int, default=22000)
    parser.add_argument("--only", default="")
    parser.add_argument("--limit", type=float, default=90)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    work = tempfile.mkdtemp(prefix="pumphouse-suite-")
    # A daemon started by root opens its log and pid files as the user it drops to, inside the case's directory.
    os.umask(0)
    os.chmod(work, 0o777)
    for name in ("testdistcc.py", "comfychair.py"):
        shutil.copy(os.path.join(args.suite, name), work)
    # The suite's port is a constant; runs side by side need ports of their own.
    path = os.path.join(work, "testdistcc.py")
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(re.sub(r"(?m)^DISTCC_TEST_PORT\s*=.*$", f"DISTCC_TEST_PORT = {args.port}", text))

    journal = os.path.join(work, "journal")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("DISTCC", "INCLUDE_SERVER"))}
    env.update(PATH=f"{args.programs}:{args.helpers}:/usr/local/bin:/usr/bin:/bin", HOME=work, TMPDIR=work,
               PUMPHOUSE_JOURNAL=journal, PYTHONDONTWRITEBYTECODE="1")
    # (The suite's own --list never returns: its option loop does not know the option.)
    listing = subprocess.run([sys.executable, "-c", "import testdistcc; [print(c.__name__) for c in testdistcc.tests]"],
                             env=env, cwd=work, stdout=subprocess.PIPE, check=True, timeout=30)
    cases = listing.stdout.decode().split()
    if args.only:
        wanted = [name if name.endswith("_Case") else name + "_Case" for name in args.only.split(",")]
        missing = [name for name in wanted if name not in cases]
        if missing:
            sys.exit(f"suite: no such case: {' '.join(missing)}")
        cases = wanted

    def stop(_signal, _frame):
        end_children()
        os._exit(143)

    signal.signal(signal.SIGTERM, stop)
    spare = []
    if args.mode == "pump":
        env["DISTCC_HOSTS"] = f"127.0.0.1:{args.port},lzo,cpp"
        spare.append(start_pump(args.programs, env))
        env.pop("DISTCC_HOSTS")

    with open(args.out, "w") as out:
        for case in cases:
            start, begun = size_of(journal), time.time()
            log = open(os.path.join(work, case + ".log"), "w+", errors="surrogateescape")
            child = subprocess.Popen([sys.executable, path, *OPTIONS[args.mode], case], env=env, cwd=work,
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                     start_new_session=True)
            status = wait_reaping(child.pid, args.limit)
            if status is None:
                os.killpg(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
                result = "time"
            else:
                log.seek(0)
                result = "skip" if "NOTRUN" in log.read() else "pass" if status == 0 else "fail"
            log.close()
            end_children(spare)
            counts, reasons = jobs_of(journal, start)
            jobs = "/".join(str(counts.get(mode, 0)) for mode in ("pump", "plain", "local"))
            why = "; ".join(sorted(set(reasons)))
            out.write(f"{case.removesuffix('_Case')}\t{result}\t{(time.time() - begun) * 1000:.0f}\t{jobs}\t{why}\n")
            out.flush()
            if result in ("fail", "time"):
                # Beside the results: what keeps those keeps this, and the work directory can go.
                kept = os.path.join(os.path.dirname(args.out), f"{args.mode}-{case}.log")
                shutil.copy(log.name, kept)
                print(f"suite: {case} ({args.mode}): {result}; log in {kept}", file=sys.stderr)

    if spare:
        subprocess.run([os.path.join(args.programs, "pump"), "--shutdown"], env=env, stdout=subprocess.DEVNULL)
    end_children()
    if not args.keep:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
