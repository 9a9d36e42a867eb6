#!/usr/bin/env python3
"""The simulator's own tools: captures say what connections know, a failure replays and shrinks, enough worlds run.

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


# --- failures ---

WORLD, BROKEN = "two_hosts_and_a_good_link", "0x8"
FAIL = re.compile(rf"^FAIL {WORLD}: (every octet once and in order): (.*)$", re.M)
REPLAY = re.compile(r"^replay: build/tests/sim/sim (.*)$", re.M)


def failure(code, out):
    fails, replays = FAIL.findall(out), REPLAY.findall(out)
    expect(code == 1 and len(fails) == 1 and len(replays) == 1, f"one failure, one line that replays it: {out}")
    expect(f"--seed {BROKEN} " in replays[0] and "--trace" in replays[0], replays[0])
    return fails[0], replays[0].split()


def a_failure_replays():
    """One of twenty seeds fails; its line alone fails in the same words at the same time, told frame by frame."""
    code, out = sim(WORLD, "--seeds", "20", "--break", BROKEN)
    first, line = failure(code, out)
    expect("20 worlds, 1 failed" in out and "octet 3000 is wrong" in first[1], out)
    code, out = sim(*line)
    again, _ = failure(code, out)
    expect(again == first, f"{again}, not {first}")
    expect(out.count(" sends ") > 5, "it is told")
    code, out = sim(*[a for a in line if a not in ("--break", BROKEN)], "--seed", BROKEN)
    expect(code == 0 and "FAIL" not in out, f"only what was broken fails: {out[-500:]}")


def a_failure_shrinks():
    """What is left: one end writes 3001 octets or a few more, and next to nothing else is drawn."""
    code, out = sim(WORLD, "--seed", BROKEN, "--break", BROKEN, "--shrink")
    first, line = failure(code, out)
    tries = re.search(r"^after (\d+) worlds:$", out, re.M)
    expect(tries and int(tries.group(1)) > 10, out)
    given = dict(a.split("=") for a in line if "=" in a)
    expect("--low" in line and 1 <= len(given) <= 2, f"few draws are left: {given}")
    expect([int(v) for k, v in given.items() if k.startswith("bytes")] == [3001], f"the least that fails: {given}")
    code, out = sim(*line)
    again, _ = failure(code, out)
    expect(again == first, f"{again}, not {first}")
    code, out = sim(*[a.replace("=3001", "=3000") for a in line])
    expect(code == 0, "an octet less does not fail")


# --- how many ---

def enough_worlds_run():
    """When the time is over the worlds that must run do, and no others. Fewer seeds than that are a failure."""
    code, out = sim("nobody_listens", "--seeds", "50", "--seconds", "0", "--least", "30")
    expect(code == 0 and "30 worlds, 0 failed" in out, out)
    code, out = sim("nobody_listens", "--seeds", "20", "--seconds", "100", "--least", "30")
    expect(code == 1 and "fewer than 30" in out, out)


ROWS = [comments_tell_states, each_wire_has_its_kind, a_failure_replays, a_failure_shrinks, enough_worlds_run]

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
