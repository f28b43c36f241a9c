"""verified.py save|compare SCAN.jsonl VERIFIED.json: remembers the answers of a scan that a check has just found right, or
compares another scan with them. Real paths, as a check compares. A compiler's answers cost 100 times what ours do, so
this tells within seconds whether a change of the scanner changed an answer; what is right, only a check tells.
"""
import json
import os
import sys


def answers(path):
    """For each unit: its source, and its files' real paths in order, or None when it was declined."""
    known = {}
    with open(path) as file:
        for text in file:
            line = json.loads(text)
            names = None
            if not line["declined"]:
                names = set()
                for name in line["deps"]:
                    name = os.path.join(line["directory"], name)
                    if name not in known:
                        known[name] = os.path.realpath(name)
                    names.add(known[name])
            yield line["file"], names and sorted(names)


def save(scan, verified):
    """Writes VERIFIED.json: every path once."""
    paths, units = {}, []
    for source, names in answers(scan):
        units.append([source, names and [paths.setdefault(name, len(paths)) for name in names]])
    with open(verified + ".new", "w") as file:
        json.dump({"paths": list(paths), "units": units}, file)
    os.rename(verified + ".new", verified)


def compare(scan, verified):
    """Tells each difference; the number of differing units."""
    with open(verified) as file:
        data = json.load(file)
    before = [(source, names and {data["paths"][number] for number in names}) for source, names in data["units"]]
    now = [(source, names and set(names)) for source, names in answers(scan)]
    if [source for source, _ in before] != [source for source, _ in now]:
        print("other commands than those that were checked: check again")
        return 1
    differing = 0
    for (source, old), (_, new) in zip(before, now):
        if old == new:
            continue
        differing += 1
        if old is None or new is None:
            print(f"{source}: {'declined' if new is None else 'answered'} now")
            continue
        for what, names in (("missing", old - new), ("extra", new - old)):
            for name in sorted(names):
                print(f"{source}: {what} now: {name}")
    print(f"{len(now)} units, {differing} differ from the checked answers")
    return differing


if __name__ == "__main__":
    if sys.argv[1] == "save":
        save(*sys.argv[2:])
    else:
        sys.exit(bool(compare(*sys.argv[2:])))
