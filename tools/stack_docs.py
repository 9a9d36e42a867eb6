#!/usr/bin/env python3
"""Checks that what the tables about the stack name is there.

    tools/stack_docs.py                 docs/stack-rfc.md, docs/stack-security.md, docs/stack-tests.md
    tools/stack_docs.py --self-test     break each rule once; each must be noticed

  files      every file that is named exists
  functions  a function in the third column is defined in src/, and in the file that is named with it ("`f()` in `x.c`")
  tests      the last column is `PLACE, PLACE: NAME, NAME; PLACE: NAME`. A place is tests/unit/test_PLACE.c, `pdrill` (scripts of
             tests/packetdrill), `sim` (worlds), `tap` (groups), `captures` (of tests/captures), a target of fuzz/, a file or `make TARGET`; alone it means all of it. A name is "a row" or a
             part of one as the file has it (... stands for what is left out), `a function` or a world, or WORDS rows (also rows "WORDS",
             tests): one at least has these words. Every name is in one at least of the places before it, and every place has one of the names.
             Where there is no test the cell says "none: " and why
  ids        MUST-1 to MUST-69, SHLD-1 to SHLD-31, S1 to S30 have a row; so has each capture in docs/stack-security.md

Prints one line per check: "ok NAME" or "FAIL NAME" with the places. Exit code 1 when one failed.
"""
import argparse
import functools
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RFC, SECURITY, TESTS = (f"docs/stack-{n}.md" for n in ("rfc", "security", "tests"))
IDS = {"MUST": 69, "SHLD": 31}
FILE = re.compile(r"(?<![\w.*/-])(?:\.\./)?((?:[\w.-]+/)*[\w-]+\.(?:c|h|py|sh|md|txt|csv|map|build))\b")
STRING = r'"(?:[^"\\]|\\.)*"'


@functools.cache
def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


@functools.cache
def tree():
    """Every file, by its path from the top."""
    found = []
    for top in ("src", "include", "tests", "tools", "fuzz", "docs", "bench"):
        for where, _, names in os.walk(os.path.join(ROOT, top)):
            found += [os.path.relpath(os.path.join(where, n), ROOT) for n in names]
    return found


def files_named(name):
    return [p for p in tree() if p == name or p.endswith("/" + name)]


@functools.cache
def functions():
    """Name to the files of src/ in which it begins at a line's start, as definitions and prototypes do."""
    found = {}
    for p in tree():
        if p.startswith("src/") and p.endswith((".c", ".h")):
            for m in re.finditer(r"^(?:[a-zA-Z_#][^;=\n(]*[\s*])?(\w+)\(", text_of(os.path.join(ROOT, p)), re.M):
                found.setdefault(m.group(1), set()).add(p)
    return found


def plain(name):
    """As it is compared: a function's name is a row's with other spaces."""
    return re.sub(r"[_\s]+", " ", name).lower()


@functools.cache
def names_in(path):
    """Rows and functions of a test program: the first string of each row, and whatever cmocka is given."""
    text = re.sub(r'"\s*\n?\s*"', "", text_of(path))
    rows = {s[1:-1].replace('\\"', '"') for s in re.findall(r"\{\s*(" + STRING + ")", text)}
    return rows | set(re.findall(r"cmocka_unit_test(?:_\w+)?\(\s*(\w+)", text))


def scripts():
    return {os.path.basename(p)[:-4] for p in glob.glob(os.path.join(ROOT, "tests/packetdrill/scripts/*.pkt"))}


@functools.cache
def worlds():
    found = set()
    for p in glob.glob(os.path.join(ROOT, "tests/sim/*.c")):
        found |= set(re.findall(r"SIM_TEST\((\w+)\)", text_of(p)))
    return found


@functools.cache
def captures():
    return {os.path.basename(p)[:-7] for p in glob.glob(os.path.join(ROOT, "tests/captures/*.pcapng"))}


def place_names(place):
    """What a place has; None: there is no such place."""
    unit = os.path.join(ROOT, f"tests/unit/test_{place}.c")
    if os.path.exists(unit):
        return names_in(unit)
    if place == "pdrill":
        return scripts()
    if place == "sim":
        return worlds()
    if place == "tap":
        return {os.path.basename(p)[5:-3] for p in glob.glob(os.path.join(ROOT, "tests/tap/rows_*.py"))}
    if place == "captures":
        return captures()
    if place.startswith("fuzz_") and os.path.exists(os.path.join(ROOT, f"fuzz/{place}.c")):
        return set()
    path = os.path.join(ROOT, place.split(" ")[0])  # tools/x.py --option
    if FILE.fullmatch(place.split(" ")[0]) and os.path.exists(path):
        return {s[1:-1] for s in re.findall(STRING, text_of(path))}
    if re.fullmatch(r"make [\w-]+", place) and re.search(rf"^{place[5:]}:", text_of(os.path.join(ROOT, "Makefile")), re.M):
        return set()
    return None


def matches(name, has):
    """Is the name, as the table writes it, among these?"""
    m = re.fullmatch(r'(?:rows )?"(.*)"', name)
    if m:
        pattern = ".*".join(re.escape(part) for part in m.group(1).split("..."))
        return any(re.search(r"(?<!\w)" + pattern + r"(?!\w)", h) for h in has)
    m = re.fullmatch(r"`?(.+?)`? (?:rows|tests)", name)
    if m:
        word = plain(m.group(1)).strip()
        return any(re.search(rf"\b{re.escape(word)}\b", plain(h)) for h in has)
    return name.strip("`") in has


def split(text, by):
    """At `by`, but not within quotes."""
    return [p.strip() for p in re.findall(rf'(?:"[^"]*"|[^{by}"])+', text)]


def check_tests(cell):
    """What is wrong with a cell of the last column."""
    if re.match(r"none: \S", cell):
        return []
    if not cell:
        return ["it is empty"]
    wrong = []
    for part in split(cell, ";"):
        head, *tail = split(part, ":")
        places = [p.strip("`") for p in split(head, ",")]
        has = {p: place_names(p) for p in places}
        wrong += [f"no such place: {p}" for p, h in has.items() if h is None]
        names = split(":".join(tail), ",")
        if not tail:
            continue
        for n in names:
            if not any(h and matches(n, h) for h in has.values()):
                wrong.append(f"{', '.join(places)} has no {n}")
        if len(places) > 1:
            wrong += [f"{p} has none of {', '.join(names)}" for p, h in has.items() if h is not None and not any(matches(n, h) for n in names)]
    return wrong


def check_functions(cell):
    wrong = [f"no function {n}()" for n in re.findall(r"`(\w+)\(\)`", cell) if n not in functions()]
    for m in re.finditer(r"(`\w+\(\)`(?: and `\w+\(\)`)*) in (`?[\w/]+\.[ch]`?(?: and `?[\w/]+\.[ch]`?)*)", cell):
        for f in re.findall(r"[\w/]+\.[ch]", m.group(2)):
            for n in re.findall(r"`(\w+)\(\)`", m.group(1)):
                if not any(p.endswith("/" + f) for p in functions().get(n, ())):
                    wrong.append(f"{n}() is not in {f}")
    return wrong


def ids_in(cell):
    """MUST-60, 61, SHLD-27: all three."""
    kind, found = None, set()
    for m in re.finditer(r"\b(?:([A-Z]+)-)?(\d+)\b", cell):
        kind = m.group(1) or kind
        found.add((kind, int(m.group(2))))
    return found


def tables(text):
    """Line number and cells of each row, without the two lines at the top of each table."""
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if line.startswith("|") and not set(line) <= set("|- ") and not (i + 1 < len(lines) and lines[i + 1].startswith("| ---")):
            yield i + 1, [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]


def check(documents):
    """Name of the check to what is wrong, for {path: text}."""
    wrong = {"files": [], "functions": [], "tests": [], "ids": []}
    have, items = set(), set()
    for path, text in documents.items():
        for number, line in enumerate(text.splitlines(), 1):
            wrong["files"] += [f"{path}:{number}: no file {n}" for n in FILE.findall(line) if not files_named(n) and "NAME" not in n]
        for number, cells in tables(text):
            if path == TESTS:
                for n in re.findall(r"`([\w-]+)`", cells[-1]):
                    known = scripts() | names_in(os.path.join(ROOT, "tests/packetdrill/test_role.c"))
                    if not any(s == n or n.endswith("-") and s.startswith(n) for s in known):
                        wrong["tests"].append(f"{path}:{number}: no script {n}")
                continue
            if len(cells) != 4:
                wrong["tests"].append(f"{path}:{number}: {len(cells)} columns")
                continue
            have |= ids_in(cells[0]) if cells[0][:4] in ("MUST", "SHLD", "MAY-", "REC-") else set()
            items |= set(re.findall(r"^S\d+$", cells[0]))
            wrong["functions"] += [f"{path}:{number}: {w}" for w in check_functions(cells[2])]
            wrong["tests"] += [f"{path}:{number}: {w}" for w in check_tests(cells[3])]
    for kind, last in IDS.items():
        wrong["ids"] += [f"{RFC}: no {kind}-{i}" for i in range(1, last + 1) if (kind, i) not in have]
    wrong["ids"] += [f"{SECURITY}: no S{i}" for i in range(1, 31) if f"S{i}" not in items]
    wrong["ids"] += [f"{SECURITY}: no {n}" for n in sorted(captures()) if not re.search(rf"\b{n}(?![\w-])", documents.get(SECURITY, ""))]
    return wrong


def report(name, wrong):
    print(f"{'FAIL' if wrong else 'ok'} stack docs: {name}")
    for w in wrong:
        print(f"     {w}")
    return not wrong


def self_test(documents):
    """Each rule broken once. A checker that sees nothing is worse than none."""
    row = "| 1, 1 | what | {} | {} |\n"
    broken = [
        ("files", "See `nowhere.c`.\n", "no file nowhere.c"),
        ("files", row.format("`src/stack/nowhere.h`", "tcp_in"), "no file src/stack/nowhere.h"),
        ("functions", row.format("`nobody()`", "tcp_in"), "no function nobody()"),
        ("functions", row.format("`sack()` in `tcp_in.c`", "tcp_in"), "sack() is not in tcp_in.c"),
        ("tests", row.format("`sack()`", ""), "it is empty"),
        ("tests", row.format("`sack()`", "flight's"), "no such place: flight's"),
        ("tests", row.format("`sack()`", 'tcp_in: "no such row"'), 'tcp_in has no "no such row"'),
        ("tests", row.format("`sack()`", 'tcp_in: "RFC 5961, 4: ... nowhere"'), "tcp_in has no"),
        ("tests", row.format("`sack()`", "tcp_in: test_of_nothing"), "tcp_in has no test_of_nothing"),
        ("tests", row.format("`sack()`", "tcp_in: S29 rows"), "tcp_in has no S29 rows"),
        ("tests", row.format("`sack()`", "tcp_in, tcp_out: S10 rows"), "tcp_out has none of S10 rows"),
        ("tests", row.format("`sack()`", "sim: `no_world`"), "sim has no `no_world`"),
        ("tests", row.format("`sack()`", "pdrill: no-script"), "pdrill has no no-script"),
        ("tests", row.format("`sack()`", "captures: s5-nothing"), "captures has no s5-nothing"),
        ("tests", row.format("`sack()`", "fuzz_nothing"), "no such place: fuzz_nothing"),
    ]
    good = row.format("`sack()` in `tcp_ack.c`", 'tcp_in: S10 rows, "RFC 5961, 4: ...", test_budget_is_own; sim: `a_flood_of_syns`; pdrill: ecn; captures: s5-sack-outside; fuzz_wire')
    wrong = []
    for kind, line, want in broken:
        found = check({RFC: line})
        if len(found[kind]) != 1 or want not in found[kind][0]:
            wrong.append(f"{line.strip()!r}: wanted '{want}', got {found[kind]}")
    found = check({RFC: good})
    wrong += [f"{good.strip()!r} is clean, yet: {found[k]}" for k in ("files", "functions", "tests") if found[k]]
    found = check({TESTS: "| topic | what | `no-such-script` |\n"})
    if len(found["tests"]) != 1:
        wrong.append(f"a script that is not there: {found['tests']}")
    for what in ("MUST-13 ", "SHLD-25", "S30 ", "S12 "):
        without = {p: "".join(x for x in t.splitlines(True) if what not in x.split("|")[1 if "|" in x else 0]) for p, t in documents.items()}
        if len(check(without)["ids"]) == 0:
            wrong.append(f"{what} can be missing")
    return report("self-test: every broken rule is noticed", wrong)


def main():
    p = argparse.ArgumentParser(description="check that what the tables about the stack name is there")
    p.add_argument("--self-test", action="store_true")
    a = p.parse_args()
    documents = {p: text_of(os.path.join(ROOT, p)) for p in (RFC, SECURITY, TESTS)}
    if a.self_test:
        return 0 if self_test(documents) else 1
    good = [report(name, wrong) for name, wrong in check(documents).items()]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
