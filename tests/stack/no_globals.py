#!/usr/bin/env python3
"""no_globals.py LIBRARY...: libberth-stack and libberth-dhcp have no global variable (include/berth/stack.h promises it).

Of each library, shared and static, all symbols that stand in a section which can be written and stays so (.data.rel.ro is the
loader's: tables of pointers) are ours to explain: there may be none but those that a compiler adds to any program.
Exit code 77: no readelf."""
import re
import shutil
import subprocess
import sys

# crtbegin's and the linker's, in each shared library.
NOT_OURS = {"completed.0", "__dso_handle", "__TMC_END__", "__bss_start", "_edata", "_end", "_DYNAMIC", "_GLOBAL_OFFSET_TABLE_"}
SECTION = re.compile(r"^\s*\[\s*(\d+)\]\s+(\S+)\s+\S+\s+[0-9a-f]+\s+[0-9a-f]+\s+[0-9a-f]+\s+[0-9a-f]+\s+([A-Za-z]*)\s+\d+\s+\d+\s+\d+")
SYMBOL = re.compile(r"^\s*\d+:\s+[0-9a-f]+\s+(\S+)\s+(\S+)\s+\S+\s+\S+\s+(\d+|COM)\s+(\S+)")
LOADERS = re.compile(r"\.data\.rel\.ro|\.(init|fini|preinit)_array|\.(got|dynamic|ctors|dtors)\b")


def written(library):
    """(symbols seen, {"name in section"})"""
    def readelf(*what):
        return subprocess.run(["readelf", "-W", *what, library], capture_output=True, text=True, check=True).stdout.splitlines()

    sections = {m[1]: m[2] for m in map(SECTION.match, readelf("-S")) if m and "W" in m[3] and not LOADERS.match(m[2])}
    symbols = [m for m in map(SYMBOL.match, readelf("-s")) if m]
    found = {f"{m[4]} in {sections.get(m[3], m[3])}" for m in symbols
             if (m[3] in sections or m[3] == "COM") and m[2] != "SECTION" and m[2] != "FILE" and m[4] not in NOT_OURS
             and m[1] not in ("0", "0x0")}
    return len(symbols), found


if not shutil.which("readelf"):
    print("no readelf (package binutils)")
    sys.exit(77)
bad = False
for path in sys.argv[1:]:
    n, found = written(path)
    if n < 30:
        print(f"FAIL {path}: it has {n} symbols only: nothing was seen")
        bad = True
    for f in sorted(found):
        print(f"FAIL {path}: {f} can be written")
        bad = True
    print(f"{path}: {n} symbols")
sys.exit(1 if bad else 0)
