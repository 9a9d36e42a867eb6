#!/usr/bin/env python3
"""bench/tap.py: TCP between the stack on a TAP and the kernel, beside the kernel itself over veth, and lwIP on a TAP.

    tap.py DRIVER [ROUNDS] [LWIP]        DRIVER: tests/tap/tap_driver; LWIP: bench/tap_lwip, if it was built

One stream of IPv4 at MTU 1500, each direction. The one measured runs on processor 0, the kernel's program on processor 1. The order
rotates and figures are medians over the rounds, so that a machine that is busy for a while hurts all. Two figures: Gbit/s as the clock
has it, and Gbit for each second of processor time (user and system) that the measured process took, which a busy machine
changes less: what one core can do alone. The kernel's work for what is written to a device is done, and counted, in the process that writes.
Over veth it is done by whoever sends, so "to it" costs the measured process little more than recv(2).
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests/tap"))
import peer  # noqa: E402
from peer import V4, World, enter_namespace, sh  # noqa: E402

FORGET, SOURCE = 11, 19
GIB = 1 << 30
CHUNK = 1 << 20
GOAL = 10.0


def die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def to_it(address, n):
    data = memoryview(peer.LOOKUP)[:CHUNK]
    with socket.create_connection((address, FORGET), timeout=120) as s:
        left = n
        while left:
            left -= s.send(data[:left])
        s.shutdown(socket.SHUT_WR)
        s.recv(1)  # its end of stream: it has read all


def from_it(address, n):
    room = bytearray(CHUNK)
    got = 0
    with socket.create_connection((address, SOURCE), timeout=120) as s:
        s.sendall(b"%d\n" % n)
        while got < n:
            k = s.recv_into(room)
            if k == 0:
                raise SystemExit(f"tap.py: {got} of {n} octets came")
            got += k


def serve():
    """The kernel's end of a veth, in a namespace of its own."""

    def listen(port, f):
        def one(s):
            with s:
                f(s)

        def accept(l):
            while True:
                s = l.accept()[0]
                threading.Thread(target=one, args=(s,), daemon=True).start()

        l = socket.create_server(("0.0.0.0", port))
        threading.Thread(target=accept, args=(l,), daemon=True).start()

    def forget(s):
        room = bytearray(CHUNK)
        while s.recv_into(room):
            pass

    def source(s):
        left = int(peer.recv_line(s))
        data = memoryview(peer.LOOKUP)[:CHUNK]
        while left:
            left -= s.send(data[:left])

    listen(FORGET, forget)
    listen(SOURCE, source)
    print("ready", flush=True)
    sys.stdin.read()


def start(argv):
    def prepare():
        die_with_us()
        os.sched_setaffinity(0, {0})

    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=prepare)
    if p.stdout.readline() != "ready\n":
        raise SystemExit(f"{argv}: not ready")
    return p


def veth():
    p = start(["unshare", "-n", sys.executable, os.path.abspath(__file__), "--serve"])
    there = ["nsenter", f"--net=/proc/{p.pid}/ns/net"]
    sh("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(p.pid))
    sh("ip", "addr", "add", "10.7.0.1/24", "dev", "near")
    sh("ip", "link", "set", "near", "up")
    sh(*there, "ip", "addr", "add", "10.7.0.2/24", "dev", "far")
    sh(*there, "ip", "link", "set", "far", "up")
    return p.pid, "10.7.0.2"


def lwip(exe):
    sh("ip", "tuntap", "add", "dev", "lwip0", "mode", "tap")
    sh("ip", "addr", "add", "10.9.0.1/24", "dev", "lwip0")
    sh("ip", "link", "set", "lwip0", "up")
    return start([exe, "lwip0"])


def measure(pid, address, f, n):
    cpu, began = cpu_s(pid), time.monotonic()
    f(address, n)
    took, cpu = time.monotonic() - began, cpu_s(pid) - cpu
    return n * 8 / 1e9 / took, n * 8 / 1e9 / max(cpu, 0.01)


def yes(figure):
    return "yes" if figure >= GOAL else "NO"


def middle(values):
    values = sorted(values)
    return values[len(values) // 2]


def main():
    if sys.argv[1:] == ["--serve"]:
        serve()
        return
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    driver = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    exe = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
    if exe and not os.access(exe, os.X_OK):
        sys.exit(f"{exe} is not there: liblwip-dev is needed to build it")
    enter_namespace()
    os.sched_setaffinity(0, {1} if os.cpu_count() > 1 else {0})
    ways = ["berth", "veth"] + (["lwip"] if exe else [])
    octets = {"berth": GIB, "veth": GIB, "lwip": GIB // 16}
    figures = {(w, f): [] for w in ways for f in (to_it, from_it)}
    kernel = veth()
    for i in range(rounds):
        for w in ways[i % len(ways):] + ways[: i % len(ways)]:
            if w == "berth":
                world = World(driver, "--cpu", "0", "--ring", str(4 << 20))
                pid, address, close = world.p.pid, "10.9.0.2", world.close
            elif w == "veth":
                pid, address, close = *kernel, None
            else:
                p = lwip(exe)
                pid, address = p.pid, "10.9.0.2"

                def close(p=p):
                    p.kill()
                    p.wait()
                    sh("ip", "link", "del", "lwip0")

            for f in (to_it, from_it):
                f(address, octets[w] // 16)  # warm
                figures[w, f].append(measure(pid, address, f, octets[w]))
            if close:
                close()
    print(f"TCP over IPv4, MTU 1500, one stream, medians of {rounds} rounds    Gbit/s    Gbit per CPU second    of veth's")
    names = {"berth": "berth, TAP with offloads", "veth": "the kernel, veth", "lwip": "lwIP, TAP"}
    for f, text in ((to_it, "to it"), (from_it, "from it")):
        base = [middle(v[k] for v in figures["veth", f]) for k in (0, 1)]
        for w in ways:
            wall, cpu = (middle(v[k] for v in figures[w, f]) for k in (0, 1))
            goal = f"  goal {GOAL:.0f}: {yes(wall)} by the clock, {yes(cpu)} by processor time" if w == "berth" else ""
            print(f"  {text:8} {names[w]:28} {wall:27.2f} {cpu:22.2f} {wall / base[0]:9.2f} {cpu / base[1]:5.2f}{goal}")
    shutil.rmtree(peer.FOLDER, ignore_errors=True)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
