#!/usr/bin/python3
"""Compares two builds' objects and dependency files, and the client's journal, and prints one table row.

Used by real-projects.sh. Exits 1 on any difference, on a job in plain mode and on a local job without a reason.
"""

import argparse
import collections
import os
import re
import struct
import sys

SHF_ALLOC = 2
# Reasons that say "this is no compile that could go anywhere": linking, preprocessing, asking for dependencies.
NOT_A_COMPILE = re.compile(r"link|no source|-E\b|preprocess|-M|version|no input|nothing to compile", re.I)


DEPENDENCIES = (".d", ".o.cmd", ".Po", ".Plo")


def kind(path):
    """What a product is: "object", "dependencies" or "linked" (an archive, a library, a program); else None."""
    if path.endswith(DEPENDENCIES):
        return "dependencies"
    with open(path, "rb") as f:
        head = f.read(20)
    if head.startswith((b"!<arch>\n", b"!<thin>\n")):
        return "linked"
    if not head.startswith(b"\x7fELF"):
        return None
    return "object" if head[16:18] == b"\1\0" else "linked"


def tree(root):
    """{path from root: kind} of all products."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            if kind(path):
                found[os.path.relpath(path, root)] = kind(path)
    return found


def read(path):
    with open(path, "rb") as f:
        return f.read()


def sections(elf):
    """{name: content} of what is loaded (code and data) and of its relocations, of a 64-bit little-endian ELF object."""
    if elf[:6] != b"\x7fELF\x02\x01":
        return {"whole file": elf}
    offset, = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + i * size) for i in range(count)]
    table = headers[names]

    def name(header):
        start = table[4] + header[0]
        return elf[start:elf.index(b"\0", start)].decode("latin-1")

    found = {}
    for index, header in enumerate(headers):
        _, kind, flags, _, start, length, _, info, _, _ = header
        loaded = flags & SHF_ALLOC or (kind == 4 and info < count and headers[info][2] & SHF_ALLOC)
        if loaded and kind != 8:
            # COMDAT groups repeat names: keep their order.
            found[f"{name(header)}#{sum(1 for key in found if key.startswith(name(header) + '#'))}"] = elf[start:start + length]
    return found


def joined(text):
    return re.sub(rb"[ \t]+", b" ", text.replace(b"\\\n", b" ")).strip()


def differs(path, local, remote, view, server):
    """Why two products differ, or None."""
    a, b = read(local), read(remote)
    if view != "rewrite":
        return None if a == b else f"differs ({len(a)} and {len(b)} bytes)"
    if server.encode() in b:
        return "contains the server's directory"
    if path.endswith(DEPENDENCIES):
        return None if joined(a) == joined(b) else "differs after joining lines"
    a, b = sections(a), sections(b)
    if a.keys() != b.keys():
        return "has other sections: " + " ".join(sorted(a.keys() ^ b.keys()))
    wrong = [name for name in a if a[name] != b[name]]
    return f"differs in {' '.join(wrong)}" if wrong else None


def main():
    parser = argparse.ArgumentParser()
    for name in ("name", "flags", "view", "local", "remote", "journal", "server"):
        parser.add_argument("--" + name, required=True)
    # Two optional-looking values begin with a dash: give them as --flags=VALUE when calling by hand.
    args, bad = parser.parse_args([re.sub(r"^(-O.*)$", r" \1", word) for word in sys.argv[1:]]), []
    local, remote = tree(args.local), tree(args.remote)
    for path in sorted(local.keys() ^ remote.keys()):
        bad.append(f"{path}: only in the {'local' if path in local else 'remote'} build")
    count = {kind: [0, 0] for kind in ("object", "dependencies", "linked")}
    for path in sorted(local.keys() & remote.keys()):
        why = differs(path, os.path.join(args.local, path), os.path.join(args.remote, path), args.view, args.server)
        count[local[path]][0] += why is None
        count[local[path]][1] += 1
        if why:
            bad.append(f"{path}: {why}")

    modes, reasons = collections.Counter(), collections.Counter()
    for line in open(args.journal, errors="surrogateescape"):
        field = line.rstrip("\n").split("\t")
        if len(field) < 6:
            bad.append(f"journal: not six fields: {line!r}")
            continue
        _time, mode, _host, status, reason, source = field[:6]
        modes[mode] += 1
        if mode == "plain":
            bad.append(f"journal: {source}: plain mode: {reason}")
        if mode == "local":
            reasons[reason] += 1
            if not reason:
                bad.append(f"journal: {source}: local, and no reason")
        if status != "0" and mode != "local":
            bad.append(f"journal: {source}: status {status} in {mode} mode")
    units = sum(kind == "object" for kind in local.values())
    compiles = modes["pump"] + sum(n for reason, n in reasons.items() if not NOT_A_COMPILE.search(reason))
    if args.view not in ("stock", "self") and compiles < units:
        bad.append(f"journal: {units} objects, but only {compiles} compiles are accounted for")
    why = "; ".join(f"{n} {reason}" for reason, n in reasons.most_common()) or "-"
    print(f"| {args.name} | {args.flags.strip()} | {args.view} | {units} | {modes['pump']} | {modes['plain']} "
          f"| {modes['local']} ({why}) | " + " | ".join(f"{same}/{all}" for same, all in count.values()) + " |", flush=True)
    for line in bad[:20]:
        print(f"real-projects: {args.name} {args.flags.strip()} {args.view}: {line}", file=sys.stderr)
    if len(bad) > 20:
        print(f"real-projects: {args.name}: and {len(bad) - 20} more", file=sys.stderr)
    return 1 if bad or not units else 0


if __name__ == "__main__":
    sys.exit(main())
