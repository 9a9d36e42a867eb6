#!/usr/bin/env python3
"""compare_options.py NATIVE BERTH DIFFERENCES DOCS: what options.c was answered, answer by answer.

Each line of DIFFERENCES allows one: 'which | natively | under berth | why', the first three as shell patterns, the
first over 'KIND STATE LEVEL NUMBER'. A difference that no line allows fails, and so does a line that allows none.
DOCS is docs/sockets.md: each option that the kernel knows has a row there, and no row says 'same' of one that differs.
"""
import fnmatch
import re
import sys


def answers(path):
    with open(path, encoding="utf-8", errors="replace") as lines:
        return dict(line.rstrip("\n").partition(": ")[::2] for line in lines)


def wanted(path):
    rows = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                parts = [part.strip() for part in line.split("|")]
                if len(parts) != 4 or not parts[3]:
                    sys.exit(f"{path}: not four columns, or no reason: {line}")
                rows.append([*parts, 0])
    return rows


def tokens(text):
    return [t for t in re.split(r" (?=get |child |client |listener |[\w-]+[>:])| \| \w+", text) if t]


def check_docs(path, native, differing):
    """Rows are '| LEVEL NUMBER | name | same, differs or refused | text |'."""
    with open(path, encoding="utf-8") as lines:
        rows = dict(re.findall(r"^\| ((?:SO|IP|IPV6|TCP|UDP) \d+) \| [^|]+ \| (\w+) \|", lines.read(), re.M))
    known = {" ".join(key.split()[2:]) for key in native if key.split()[1] != "inherit"}
    wrong = [f"{path} has no row for {o}" for o in sorted(known) if o not in rows and not o.endswith("unknown")]
    wrong += [f"{path} says 'same' of {o}, which differs" for o in sorted(differing) if rows.get(o) == "same"]
    for line in wrong:
        print(line)
    return len(wrong)


def main():
    native, berth, rows = answers(sys.argv[1]), answers(sys.argv[2]), wanted(sys.argv[3])
    compared = bad = 0
    differing = set()
    kinds = {key.split()[0] for key in berth}
    if len(native) < 1000:
        sys.exit("the native run did not end as it should")
    for key in [*native, *(k for k in berth if k not in native)]:
        unknown = key.rsplit(" ", 1)[0] + " unknown"
        n, b = (side.get(key, side.get(unknown, "")) for side in (native, berth))
        nt, bt = tokens(n), tokens(b)
        if len(nt) != len(bt):
            nt, bt = [n], [b]
        compared += len(nt)
        for x, y in zip(nt, bt):
            if x == y:
                continue
            for row in rows:
                if all(fnmatch.fnmatchcase(v, p) for v, p in zip((key, x, y), row)):
                    row[4] += 1
                    differing.add(" ".join(key.split()[2:]))
                    break
            else:
                bad += 1
                if bad <= 40:
                    print(f"{key}\n    natively     {x}\n    under berth  {y}")
    for row in rows:
        if not row[4]:
            print("a wanted difference did not show: " + " | ".join(row[:4]))
            bad += 1
    bad += check_docs(sys.argv[4], native, differing)
    print(f"{compared} answers on {len(native)} sockets ({', '.join(sorted(kinds))}) compared, "
          f"{sum(row[4] for row in rows)} wanted differences, {bad} others")
    sys.exit(1 if bad else 0)


main()
