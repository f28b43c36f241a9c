"""commands.py LOG OUTPUT: makes compile_commands.json of what the shim wrote down, and prints how many commands it has.

Only compiles whose source and directory are still there count: a configure probe's are gone. The same command in the same
directory counts once.
"""
import json
import os
import sys

SOURCES = (".c", ".cc", ".cpp", ".cxx", ".c++", ".C", ".S", ".s", ".sx", ".m", ".mm")
TAKE_A_WORD = {
    "-o", "-I", "-D", "-U", "-include", "-imacros", "-isystem", "-iquote", "-idirafter", "-x", "-MF", "-MT", "-MQ",
    "-Xclang", "-Xassembler", "-Xlinker", "-Xpreprocessor", "-isysroot", "-target", "--param", "-arch", "-L", "-T",
}


def records(log):
    """Yields (directory, words) of each call."""
    with open(log, "rb") as file:
        parts = file.read().split(b"\0")
    at = 0
    while at + 1 < len(parts):
        count = int(parts[at])
        words = [os.fsdecode(word) for word in parts[at + 2 : at + 2 + count]]
        yield os.fsdecode(parts[at + 1]), words
        at += 2 + count


def sources(words):
    """The source files that the words name."""
    skip = False
    for word in words[1:]:
        if skip:
            skip = False
        elif word in TAKE_A_WORD:
            skip = True
        elif not word.startswith("-") and word.endswith(SOURCES):
            yield word


def entries(log):
    """The entries of compile_commands.json, in the order of the calls."""
    seen = set()
    for directory, words in records(log):
        names = list(sources(words))
        key = (directory, *words)
        if len(names) != 1 or key in seen or not os.path.isfile(os.path.join(directory, names[0])):
            continue
        seen.add(key)
        yield {"directory": directory, "file": names[0], "arguments": words}


def main():
    log, output = sys.argv[1:]
    made = list(entries(log))
    with open(output, "w") as file:
        json.dump(made, file, indent=0)
    print(len(made))


if __name__ == "__main__":
    main()
