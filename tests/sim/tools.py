#!/usr/bin/env python3
"""The simulator's own tools: captures say what connections know.

    tools.py SIM            prints TAP
"""
import os
import re
import struct
import subprocess
import sys
import tempfile

SIM = sys.argv[1]
NUMBERS = (r"([A-Z0-9-]+) una (\d+) nxt (\d+) rcv_nxt (\d+) cwnd (\d+) ssthresh (none|\d+) pipe (\d+) "
           r"srtt (\d+) us rto (\d+) us (open|disorder|cwr|recovery|loss)")


def sim(*args):
    r = subprocess.run([SIM, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
    return r.returncode, r.stdout


def expect(good, what):
    if not good:
        raise AssertionError(what)


# --- captures ---

def blocks(octets):
    at = 0
    while at < len(octets):
        kind, length = struct.unpack_from(">II", octets, at)
        yield kind, octets[at + 8:at + length - 4]
        at += length


def capture(*args):
    """The kinds of link of a capture's interfaces, and of each packet its interface, its octets and its comment."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.pcapng")
        code, out = sim(*args, "--pcap", path)
        expect(code == 0, out)
        with open(path, "rb") as f:
            octets = f.read()
    links, packets = [], []
    for kind, body in blocks(octets):
        if kind == 1:
            links.append(struct.unpack_from(">H", body)[0])
        if kind != 6:
            continue
        iface, _, _, length = struct.unpack_from(">IIII", body)
        at, comment = 20 + (length + 3) // 4 * 4, ""
        while at + 4 <= len(body):
            option, n = struct.unpack_from(">HH", body, at)
            if option == 1:
                comment = body[at + 4:at + 4 + n].decode()
            at += 4 + (n + 3) // 4 * 4
        packets.append((iface, body[20:20 + length], comment))
    return links, packets


def comments_tell_states():
    """Row 2 of the table: segment 30 is lost, and sent again."""
    links, packets = capture("recovery_branches", "--seed", "2")
    expect(links == [101], f"a raw IP wire is LINKTYPE_RAW, not {links}")
    states, ways = set(), set()
    for i, (iface, octets, comment) in enumerate(packets):
        expect(iface == 0 and octets[0] >> 4 == 4, "an IPv4 packet on the one wire")
        m = re.match(rf"host ([01]), frame {i + 1}(: {NUMBERS})?(; for host ([01]): {NUMBERS})?$", comment)
        expect(m, comment)
        if not m.group(2):
            continue
        una, nxt, rcv_nxt, cwnd, pipe = (int(m.group(k)) for k in (4, 5, 6, 7, 9))
        seq, ack = struct.unpack_from(">II", octets, 24)
        syn = octets[33] & 2
        if syn and m.group(1) == "0":
            isn = seq
            expect((una, nxt, rcv_nxt) == (0, 1, 0) and m.group(3) == "SYN-SENT", comment)
        elif m.group(1) == "0":
            expect(una <= (seq - isn) % 2**32 <= nxt, f"the segment lies in what is in flight: {comment}")
            expect(pipe <= nxt - una and pipe <= cwnd + 1448, comment)
        else:
            expect((ack - isn) % 2**32 == rcv_nxt, f"it acknowledges what came: {comment}")
        states.add(m.group(3))
        ways.add(m.group(12))
    expect({"SYN-SENT", "ESTABLISHED", "FIN-WAIT-1"} <= states, str(states))
    expect({"open", "recovery"} <= ways and "loss" not in ways, str(ways))


def each_wire_has_its_kind():
    links, packets = capture("nobody_listens", "--seed", "1")
    expect(links == [1] and any(p[1][12:14] == b"\x08\x06" for p in packets), f"Ethernet, with ARP: {links}")


ROWS = [comments_tell_states, each_wire_has_its_kind]

print(f"1..{len(ROWS)}")
failed = 0
for number, row in enumerate(ROWS, 1):
    try:
        row()
        print(f"ok {number} - {row.__name__}")
    except AssertionError as e:
        failed += 1
        print(f"not ok {number} - {row.__name__}")
        for line in str(e).splitlines()[:20]:
            print("#", line)
sys.exit(failed > 0)
