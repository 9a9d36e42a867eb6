#!/usr/bin/env python3
"""compare.py NATIVE BERTH DIFFERENCES: the two outputs of calls.c, line by line.

Every line must be the same, except where differences.txt wants it otherwise; and every difference
it wants must be there, so that the list cannot rot.
"""
import sys


def answers(path):
    """Each line is 'section NN what: answer'."""
    found = []
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            what, _, answer = line.rstrip("\n").partition(": ")
            section, _, rest = what.partition(" ")
            number, _, asked = rest.partition(" ")
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
    native, berth, want = answers(sys.argv[1]), answers(sys.argv[2]), wanted(sys.argv[3])
    bad = 0
    if len(native) < 1000:
        print(f"only {len(native)} lines natively: the script did not run to its end")
        bad += 1
    if len(native) != len(berth):
        print(f"{len(native)} lines natively, {len(berth)} under berth")
        bad += 1
    for n, b in zip(native, berth):
        if n == b:
            continue
        key = (f"{n[0]} {n[2]}", n[3], b[3])
        if n[:3] == b[:3] and key in want:
            want[key] += 1
            continue
        print(f"{n[0]} {n[1]} {n[2]}:\n    natively     {n[3]}\n    under berth  {' '.join(b) if n[:3] != b[:3] else b[3]}")
        bad += 1
        if n[:3] != b[:3]:
            print("the outputs lost each other; the rest is not compared")
            break
    for key, seen in want.items():
        if not seen:
            print("a wanted difference did not show: " + " | ".join(key))
            bad += 1
    print(f"{len(native)} calls compared, {sum(want.values())} wanted differences, {bad} others")
    sys.exit(1 if bad else 0)


main()
