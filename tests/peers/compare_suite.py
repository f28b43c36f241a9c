#!/usr/bin/python3
"""Compares the results of the peer's suite with suite-expectations.txt and says every difference.

An expectation line is tab separated: case, mode, user, stock's result, ours, reason. Ours may differ from "pass" only
with a reason, wherever stock passes in plain mode. Results are DIR/out-USER/MODE as suite.py writes them.
"""

import argparse
import os
import sys

# Cases whose jobs may not go in pump mode, with the reason: all else that is compiled remotely must.
NOT_PUMPED = {
    "CompressedCompile": "sets a host without ,cpp",
    "MissingCompiler": "compiles a preprocessed .i",
    "BinFalse": "compiles a preprocessed .i",
    "BinTrue": "compiles a preprocessed .i",
    "EmptySource": "compiles a preprocessed .i",
    "NoHosts": "no hosts",
    "NoServer": "the host does not exist",
    "AccessDenied": "the daemon refuses",
    "RemoteAssemble": "assembler is local",
    "PreprocessAsm": "assembler is local",
    "MultipleCompile": "two sources at once are local",
    "CppError": "the scanner declines a unit that stops at #error",
    "BadInclude": "the scanner declines a unit whose header is missing",
    "ObjectiveC": "the scanner may decline Objective-C",
    "ObjectiveCPlusPlus": "the scanner may decline Objective-C++",
}


def read_expectations(path):
    table = {}
    with open(path) as f:
        for number, line in enumerate(f, 1):
            if line.startswith("#") or not line.strip():
                continue
            field = line.rstrip("\n").split("\t")
            if len(field) < 5:
                sys.exit(f"{path}:{number}: five or six fields wanted: {line!r}")
            table[tuple(field[:3])] = (field[3], field[4], field[5] if len(field) > 5 else "")
    return table


def main():
    parser = argparse.ArgumentParser()
    for name in ("expectations", "results", "modes", "users"):
        parser.add_argument("--" + name, required=True)
    for name in ("stock", "update", "partial"):
        parser.add_argument("--" + name, action="store_true")
    args = parser.parse_args()
    expected = read_expectations(args.expectations)
    column = 0 if args.stock else 1
    wrong, seen, total = [], set(), {}
    for user in args.users.split(","):
        for mode in args.modes.split(","):
            path = os.path.join(args.results, f"out-{user}", mode)
            count = {}
            try:
                lines = open(path).read().splitlines()
            except OSError as error:
                wrong.append(f"no results for mode {mode} as {user}: {error}")
                continue
            for line in lines:
                case, result, _ms, jobs, reasons = (line.split("\t") + [""] * 5)[:5]
                key = (case, mode, user)
                seen.add(key)
                count[result] = count.get(result, 0) + 1
                if args.update:
                    print("\t".join([case, mode, user, result]))
                    continue
                if key not in expected:
                    wrong.append(f"{case} {mode} {user}: {result}, and no expectation")
                    continue
                want = expected[key][column]
                if want != "-" and result not in want.split("|"):
                    wrong.append(f"{case} {mode} {user}: {result}, expected {want}")
                pumped, plain, _local = (int(n) for n in jobs.split("/"))
                if mode == "pump" and not args.stock and result == "pass" and plain and case not in NOT_PUMPED:
                    wrong.append(f"{case} {mode} {user}: {plain} job(s) went in plain mode ({reasons}), {pumped} pumped")
            total[(mode, user)] = count
    for (case, mode, user), (stock, ours, reason) in sorted(expected.items()):
        chosen = mode in args.modes.split(",") and user in args.users.split(",")
        if chosen and not args.partial and (case, mode, user) not in seen:
            wrong.append(f"{case} {mode} {user}: expected, but did not run")
        plain = expected.get((case, "plain", user), ("-",))[0]
        if ours not in ("pass", "-") and plain.startswith("pass") and not reason:
            wrong.append(f"{case} {mode} {user}: stock passes in plain mode, ours is {ours}, and no reason is given")
    if args.update:
        return 0
    for (mode, user), count in total.items():
        print(f"peer suite, {'stock' if args.stock else 'ours'}, {mode} as {user}: "
              + ", ".join(f"{n} {result}" for result, n in sorted(count.items())))
    for line in wrong:
        print("peer suite: " + line, file=sys.stderr)
    print(f"peer suite: {len(wrong)} difference(s) from tests/peers/suite-expectations.txt")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
