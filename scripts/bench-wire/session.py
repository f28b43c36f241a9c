"""Runs a list of compiles, and accounts for the CPU time of all that a build starts.

  session.py account RESULT COMMAND...              runs COMMAND and waits for every process that it leaves behind, daemons included
  session.py jobs RESULT JOBS COMMANDS [PREFIX...]  runs the commands of a compile_commands.json, JOBS at a time, PREFIX in front

RESULT gets JSON. `jobs` runs inside `account` (`pump session.py jobs ...`): its own time is not the build's and can be taken off.
"""
import concurrent.futures
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
LINGER = 15.0


def cpu(usage):
    return usage.ru_utime + usage.ru_stime


def children():
    """Processes whose parent is this one."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children") as file:
            found += [int(word) for word in file.read().split()]
    return found


def account(result, command):
    # What daemonises becomes our child when its parent ends, so its time is counted, too.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.exit("session: cannot adopt what daemonises")
    began = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    elapsed, total, end = time.monotonic() - began, cpu(usage), time.monotonic() + LINGER
    left = []
    while True:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid:
            total += cpu(usage)
        elif time.monotonic() < end:
            time.sleep(0.02)
        else:
            left = children()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            end = float("inf")
    with open(result, "w") as file:
        json.dump({"status": os.waitstatus_to_exitcode(status), "elapsed": elapsed, "cpu": total, "left": len(left)}, file)


def jobs(result, count, commands, prefix):
    with open(commands) as file:
        commands = json.load(file)

    walls = []

    def run(command):
        words = [*prefix, *command["arguments"]]
        began = time.monotonic()
        process = subprocess.Popen(
            words, cwd=command["directory"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        walls.append(time.monotonic() - began)
        return os.waitstatus_to_exitcode(status), cpu(usage), said.decode(errors="replace")[-600:]

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        done = list(pool.map(run, commands))
    elapsed = time.monotonic() - began
    with open(result, "w") as file:
        own = cpu(resource.getrusage(resource.RUSAGE_SELF))
        json.dump({"elapsed": elapsed, "own": own, "jobs": done, "walls": walls}, file)
    sys.exit(any(status for status, _, _ in done))


if __name__ == "__main__":
    if sys.argv[1] == "account":
        account(sys.argv[2], sys.argv[3:])
    else:
        jobs(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5:])
