"""Transfers over a bad link: link/fault between the device and the stack, in both directions."""
import socket
import time

from peer import ECHO, FAMILY, LONG, STACK, V4, V6, Failed, Servers, World, expect, four_ways, k_echo, row, sysctl

KIB = 1 << 10
# name, faults, octets, which counter must have moved
FAULTS = (
    ("1 % of loss", "loss=10000 delay_us=1000", 512 * KIB, "lost"),
    ("5 % of loss", "loss=50000 delay_us=1000", 256 * KIB, "lost"),
    ("10 % of loss", "loss=100000 delay_us=500", 64 * KIB, "lost"),
    ("a delay of 30 ms with jitter", "delay_us=30000 jitter_us=5000", 512 * KIB, "delayed"),
    ("reordering", "delay_us=2000 reorder=50000 reorder_us=3000", 512 * KIB, "reordered"),
    ("duplication", "delay_us=500 dup=100000", 512 * KIB, "duplicated"),
    ("corruption", "delay_us=500 corrupt=10000", 512 * KIB, "corrupted"),
    ("all of it", "loss=10000 delay_us=3000 jitter_us=1000 reorder=20000 reorder_us=4000 dup=20000 corrupt=5000", 256 * KIB, "lost"),
    ("congestion marks", "delay_us=1000 ce=50000", 512 * KIB, "tcp_ecn_ce_in"),
    ("whole super-frames lost", "super loss=10000 delay_us=500", 2048 * KIB, "lost"),
)


def happened(w, counter, before):
    if w.counters().get(counter, 0) == before:
        raise Failed(f"{counter} did not move: the rows show nothing")
    w.is_quiet()


def round_trip(family, least_s):
    """A datagram goes there and back, delayed both times; never less, however fast the machine is."""
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(LONG)
        s.connect((STACK[family], ECHO))
        for _ in range(5):
            began = time.monotonic()
            s.send(b"there and back")
            expect("the answer", s.recv(64), b"there and back")
            took = time.monotonic() - began
            if took < least_s:
                raise Failed(f"a round trip of {took * 1000:.1f} ms")


def device(exe, what, flags, mtu, times, servers):
    w = World(exe, "--seed", "6", *flags, mtu=mtu)
    for fault, faults, n, counter in FAULTS:
        if "super" in faults and flags:
            continue  # there are none
        name = f"{what}: {fault}"
        expect("fault", w.ask("fault " + faults), "ok")
        before = w.counters().get(counter, 0)
        for family in (V4, V6):
            f = FAMILY[family]
            four_ways(name, w, family, n * times)
            row(f"{name}: {f}, both ways at once", k_echo, family, n * times // 4)
            if counter == "delayed":
                row(f"{name}: {f}, a round trip takes both delays", round_trip, family, 0.06)
        row(f"{name}: it happened, and the stack is sound", happened, w, counter, before)
    row(f"{what}: the kernel's servers saw nothing wrong", servers.is_quiet)
    w.close()


def run(exe):
    servers = Servers()
    sysctl("ipv4/tcp_ecn", "1")
    # Faults strike frames: where these are larger, more octets are sent.
    for what, flags, mtu, times in (("offloads", (), 1500, 1), ("no offloads", ("--no-offload",), 1500, 1),
                                    ("no offloads, MTU 9000", ("--no-offload",), 9000, 4)):
        device(exe, what, flags, mtu, times, servers)
