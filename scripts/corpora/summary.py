"""summary.py row NAME SECONDS CHECK.jsonl: one line for `table`, from `include-server check --json`; differences and declines
go to standard error. Fails when a file is missing or extra, or nothing was compared.
summary.py table ROWS: the lines as a markdown table with sums.
"""
import json
import sys

COLUMNS = ["corpus", "TUs", "compared", "equal", "missing", "extra", "declined", "refused", "no scan", "pump", "s"]
FIELDS = ["units", "compared", "equal", "missing_files", "extra_files", "declined", "refused", "outside", "pump"]


def row(name, seconds, path):
    """Prints the row and tells whether all is well."""
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    if not lines or "summary" not in lines[-1]:
        print(f"corpora: {name}: check ended early", file=sys.stderr)
        return False
    *units, last = lines
    for unit in units:
        for kind in ("missing", "extra"):
            for path in unit[kind]:
                print(f"corpora: {name}: {unit['file']}: {kind} {path}", file=sys.stderr)
    for kind, reasons in (("declined", last["declined_reasons"]), ("refused", last["reasons"])):
        for reason in reasons:
            if kind == "declined" or reason["group"].startswith("refused"):
                example = reason["example"] or reason["what"]
                print(f"corpora: {name}: {reason['units']} {kind}: {reason['what']}; {example}", file=sys.stderr)
    summary = last["summary"]
    print(json.dumps([name, *(summary[field] for field in FIELDS), int(seconds)]))
    return summary["different"] == 0 and summary["compared"] > 0


def table(path):
    """Prints all rows and their sum."""
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    rows.append(["all", *(sum(row[i] for row in rows) for i in range(1, len(COLUMNS)))])
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---" * len(COLUMNS) + "|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    compared, declined = rows[-1][2], rows[-1][6]
    if compared + declined:
        print(f"\ndeclined: {100 * declined / (compared + declined):.3f} % of what the compilers accept")


if __name__ == "__main__":
    if sys.argv[1] == "row":
        sys.exit(not row(*sys.argv[2:]))
    table(sys.argv[2])
