#!/usr/bin/env python3
"""compare.py NATIVE BERTH DIFFERENCES GOLDEN: what calls.c was answered, line by line.

GOLDEN is what Linux 6.18 answers natively. Under berth every line must be as GOLDEN or as NATIVE (this
machine's kernel, when it could be asked; - when not), except where differences.txt wants it otherwise;
and every difference it wants must be there, so that the list cannot rot. Where this machine's kernel
itself answers otherwise than 6.18 is reported apart and is no failure.
"""
import errno
import re
import sys


def answers(path):
    """Each line is 'section NN what: answer'. An errno by its number and by its name is one answer."""
    found = []
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            what, _, answer = line.rstrip("\n").partition(": ")
            section, _, rest = what.partition(" ")
            number, _, asked = rest.partition(" ")
            answer = re.sub(r"\berrno (\d+)$", lambda m: errno.errorcode.get(int(m[1]), m[0]), answer)
            found.append((section, number, asked, answer))
    return found


def wanted(path):
    """'section what | natively | under berth | why', '#' starts a comment."""
    found = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            parts = [part.strip() for part in line.split("|")]
            if len(parts) != 4 or not parts[3]:
                sys.exit(f"{path}: not four columns, or no reason: {line}")
            found[(parts[0], parts[1], parts[2])] = 0
    return found


def main():
    golden, berth, want = answers(sys.argv[4]), answers(sys.argv[2]), wanted(sys.argv[3])
    native = golden if sys.argv[1] == "-" else answers(sys.argv[1])
    bad = kernel = 0
    for name, lines in (("natively", native), ("under berth", berth)):
        if len(lines) != len(golden):
            print(f"{len(lines)} lines {name}, {len(golden)} wanted: the script did not run as it should")
            bad += 1
    for n, b, g in zip(native, berth, golden):
        if n[:3] != g[:3] or b[:3] != g[:3]:
            print(f"the outputs lost each other; the rest is not compared:\n    {' '.join(g)}\n    {' '.join(n)}\n    {' '.join(b)}")
            bad += 1
            break
        if n != g:
            print(f"this kernel: {n[0]} {n[1]} {n[2]}: {n[3]} (6.18: {g[3]})")
            kernel += 1
        if b in (n, g):
            continue
        key = (f"{g[0]} {g[2]}", g[3], b[3])
        if key in want:
            want[key] += 1
            continue
        print(f"{g[0]} {g[1]} {g[2]}:\n    natively     {g[3]}\n    under berth  {b[3]}")
        bad += 1
    for key, seen in want.items():
        if not seen:
            print("a wanted difference did not show: " + " | ".join(key))
            bad += 1
    print(f"{len(golden)} calls compared, {sum(want.values())} wanted differences, {bad} others; "
          f"this kernel differs from 6.18 in {kernel}")
    sys.exit(1 if bad else 0)


main()
