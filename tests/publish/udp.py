#!/usr/bin/env python3
"""tests/publish/udp.py BERTH: published UDP ports: who is heard, from which address answers come, and what is left."""
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import time

from harness import *

# Binds, closes and ends as its standard input says; answers each datagram with whom it sees, and from where it sends.
UDP_SERVER = r'''
import os, select, socket, sys
socks = {}
while True:
    for s in select.select([sys.stdin] + list(socks.values()), [], [])[0]:
        if s is not sys.stdin:
            d, a = s.recvfrom(70000)
            s.sendto(("%s %d|" % a[:2]).encode() + d, a)
            continue
        w = sys.stdin.readline().split()
        if not w or w[0] == "exit": os._exit(0)
        k = tuple(w[1:4])
        if w[0] == "bind":        # bind FAMILY ADDR PORT
            s = socket.socket(socket.AF_INET if w[1] == "4" else socket.AF_INET6, socket.SOCK_DGRAM)
            if w[1] != "4": s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, w[1] == "6")
            s.bind((w[2], int(w[3]))); socks[k] = s
        elif w[0] == "close": socks.pop(k).close()
        elif w[0] == "pid": print(os.getpid(), flush=True); break
        elif w[0] == "tell":      # tell FAMILY ADDR PORT TO TOPORT
            socks[k].sendto(b"unasked", (w[4], int(w[5])))
        elif w[0] == "answer":    # answer FAMILY ADDR PORT: connect to the next caller, as nc -l does
            s = socks[k]; d, a = s.recvfrom(100); s.connect(a); s.send(b"connected")
        print("done", flush=True)
        break
'''


class UdpServer(Server):
    def __init__(self, b, host, *options):
        self.p = b.popen("run", "-H", host, *options, "--", sys.executable, "-c", UDP_SERVER, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def pid(self):
        self.p.stdin.write("pid\n")
        self.p.stdin.flush()
        return int(self.p.stdout.readline())


def call(addr, port, data=b"hello", timeout=2.0):
    """Whom the program sees, if the caller is answered from where it called (a connected socket hears nobody else); an
    errno's name; TIMEOUT."""
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(timeout)
    try:
        s.connect((addr, port))
        s.send(data)
        who, back = s.recv(70000).split(b"|", 1)
        if back != data:
            return "WRONG DATA"
        return "heard" if who.decode().split()[1] == str(s.getsockname()[1]) else who.decode()
    except socket.timeout:
        return "TIMEOUT"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    finally:
        s.close()


def is_taken(addr, port):
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.bind((addr, port))
        return False
    except OSError as e:
        return e.errno == errno.EADDRINUSE
    finally:
        s.close()


LOOPS = ["127.0.0.1"] + (["::1"] if HAS6 else [])


def matrix(b):
    """{v4, v6, dual} x {one, range, two addresses} x {bound before, after, never} x {stopped, killed, restarted}."""
    kinds = {"4": "0.0.0.0", "6": "::", "dual": "::"} if HAS6 else {"4": "0.0.0.0"}
    for kind, ports, when, end in itertools.product(kinds, ("one", "range", "two"), ("before", "after", "never"),
                                                    ("stopped", "killed", "restarted")):
        name = f"{kind}, {ports}, {when}, {end}"
        n = 3 if ports == "range" else 1
        port = free_port(n)
        addrs = ["127.0.0.1", "127.0.0.2"] if ports == "two" else LOOPS
        options = [x for a in addrs for x in ("-p", f"{a}:{port}:53/udp")] if ports == "two" else \
            ["-p", f"{port}-{port + n - 1}:53-{52 + n}/udp" if n > 1 else f"{port}:53/udp"]
        other = None
        if when == "before":
            other = UdpServer(b, "web")
            for i in range(n):
                other.do("bind", kind, kinds[kind], 53 + i)
        for round in range(2 if end == "restarted" else 1):
            s = UdpServer(b, "web", *options)
            if when == "after":
                s.pid()
                check(f"{name}: refused before", [call(a, port) for a in addrs] == ["ECONNREFUSED"] * len(addrs))
                for i in range(n):
                    s.do("bind", kind, kinds[kind], 53 + i)
            s.pid()
            want = "ECONNREFUSED" if when == "never" else "heard"
            for a, i in itertools.product(addrs, range(n)):
                got = becomes(lambda: call(a, port + i), want)
                check(f"{name}: {a} {i}", got == want, got)
                check(f"{name}: {a} {i} is held", is_taken(a, port + i))
            if end == "killed":
                for pid in b.publishers():
                    os.kill(pid, signal.SIGKILL)
                got = becomes(lambda: is_taken(addrs[0], port), False)
                check(f"{name}: killed: free at once", not got, got)
                check(f"{name}: killed: refused", call(addrs[0], port) == "ECONNREFUSED")
            elif when == "after" and round == 0:
                os.kill(s.pid(), signal.SIGKILL)
                got = becomes(lambda: call(addrs[0], port, timeout=0.3), "ECONNREFUSED")
                check(f"{name}: the program was killed: refused", got == "ECONNREFUSED", got)
            s.end()
            got = becomes(lambda: b.publishers(), [])
            check(f"{name}: no publisher is left", got == [], got)
            check(f"{name}: the port is free", not is_taken(addrs[0], port))
        if other:
            other.end()


def comes_and_goes(b):
    port = free_port()
    s = UdpServer(b, "web", "-p", f"127.0.0.1:{port}:53/udp")
    s.pid()
    for round in range(3):
        check(f"round {round}: refused", call("127.0.0.1", port) == "ECONNREFUSED")
        s.do("bind", "4", ("0.0.0.0", "127.0.0.1", "0.0.0.0")[round], 53)
        got = becomes(lambda: call("127.0.0.1", port), "heard")
        check(f"round {round}: heard", got == "heard", got)
        check(f"round {round}: at once", call("127.0.0.1", port) == "heard")
        s.do("close", "4", ("0.0.0.0", "127.0.0.1", "0.0.0.0")[round], 53)
        got = becomes(lambda: call("127.0.0.1", port, timeout=0.3), "ECONNREFUSED")
        check(f"round {round}: refused again", got == "ECONNREFUSED", got)
    s.end()


def many_callers(b):
    """Each is answered, with what it said, and sizes up to the largest."""
    port = free_port()
    s = UdpServer(b, "web", "-p", f"127.0.0.1:{port}:53/udp")
    s.do("bind", "4", "0.0.0.0", 53)
    becomes(lambda: call("127.0.0.1", port), "heard")
    callers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(300)]
    for i, c in enumerate(callers):
        c.connect(("127.0.0.1", port))
        c.settimeout(3)
    for turn in range(3):
        for i, c in enumerate(callers):
            c.send(b"%d %d" % (turn, i))
            if i % 50 == 49:
                time.sleep(0.02)
        for i, c in enumerate(callers):
            try:
                got = c.recv(100)
            except OSError as e:
                got = repr(e).encode()
            check(f"caller {i}, turn {turn}", got.endswith(b" %d|%d %d" % (c.getsockname()[1], turn, i)), got)
    for c in callers:
        c.close()
    for size in (0, 1, 1400, 9000, 65000):
        check(f"{size} octets", call("127.0.0.1", port, b"x" * size) == "heard")
    s.end()


def says_first(b):
    """From a published port to one who has not called; and what connects to its caller."""
    port = free_port()
    s = UdpServer(b, "web", "-p", f"127.0.0.1:{port}:53/udp", "-p", f"127.0.0.1:{port + 1}:54/udp")
    s.do("bind", "4", "0.0.0.0", 53)
    check("heard", becomes(lambda: call("127.0.0.1", port), "heard") == "heard")
    c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    c.bind(("127.0.0.1", 0))
    c.settimeout(3)
    gateway = b.call("net", "show", "--json").stdout
    import json
    net = json.loads(gateway)
    subnet = (net[0] if isinstance(net, list) else net)["subnet4"].split("/")[0]
    gateway = subnet.rsplit(".", 1)[0] + ".1"
    s.do("tell", "4", "0.0.0.0", 53, gateway, c.getsockname()[1])
    try:
        got = c.recvfrom(100)
    except OSError as e:
        got = repr(e)
    check("unasked: from the published port", got == (b"unasked", ("127.0.0.1", port)), got)
    c.close()

    s.do("bind", "4", "0.0.0.0", 54)
    c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    c.settimeout(3)
    c.connect(("127.0.0.1", port + 1))
    s.p.stdin.write("answer 4 0.0.0.0 54\n")
    s.p.stdin.flush()
    for _ in range(100):  # until the door is open
        try:
            c.send(b"hello")
            got = c.recv(100)
            break
        except OSError as e:
            got = repr(e)
            time.sleep(0.01)
    check("a program that connects to its caller", got == b"connected", got)
    check("and goes on", s.p.stdout.readline() == "done\n")
    c.send(b"more")
    try:
        got = c.recv(100)
    except OSError as e:
        got = repr(e)
    check("a connected program hears its caller", got.endswith(b"|more"), got)
    c.close()
    s.end()


def taken(b):
    """All or nothing, and who has it."""
    port = free_port(3)
    h = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    h.bind(("127.0.0.1", port + 1))
    r = b.call("run", "-H", "web", "-p", f"{port}-{port + 2}:53-55/udp", "--", "true")
    check("taken: fails", r.returncode != 0, r)
    check("taken: says who", f"{port + 1}" in r.stderr and "python3" in r.stderr, r.stderr)
    check("taken: the others are free", not is_taken("127.0.0.1", port) and not is_taken("127.0.0.1", port + 2))
    h.close()


def programs(b):
    """dig through a published dnsmasq, iperf3 -u; both where they are."""
    if shutil.which("dnsmasq") and shutil.which("dig"):
        port = free_port()
        p = b.popen("run", "-q", "-H", "dns", "-p", f"{port}:53/udp", "--", "dnsmasq", "-d", "-C", "/dev/null", "-R", "-h",
                    "--address=/there.example/192.0.2.7", "--user=root", stderr=subprocess.DEVNULL)
        for server in LOOPS:
            dig = lambda: subprocess.run(["dig", f"@{server}", "-p", str(port), "+short", "+tries=1", "+time=2",
                                          "there.example"], capture_output=True, text=True).stdout.strip()
            got = becomes(dig, "192.0.2.7", 10)
            check(f"dig @{server}", got == "192.0.2.7", got)
        p.terminate()
        p.wait()
    if shutil.which("iperf3"):
        port = free_port()
        p = b.popen("run", "-q", "-H", "perf", "-p", f"127.0.0.1:{port}:5201", "-p", f"127.0.0.1:{port}:5201/udp", "--",
                    "iperf3", "-s", "-1", stdout=subprocess.DEVNULL)
        run = lambda: subprocess.run(["iperf3", "-u", "-c", "127.0.0.1", "-p", str(port), "-t", "1", "-b", "20M"],
                                     capture_output=True, text=True)
        r = run()
        for _ in range(50):
            if r.returncode == 0:
                break
            time.sleep(0.1)
            r = run()
        lines = [l for l in r.stdout.splitlines() if "receiver" in l]
        check("iperf3 -u", r.returncode == 0 and lines and "(0%)" in lines[0], r)
        p.wait(10)


def main():
    for case in (matrix, comes_and_goes, many_callers, says_first, taken, programs):
        if len(sys.argv) > 2 and sys.argv[2] not in case.__name__:
            continue
        b = Berth(sys.argv[1])
        try:
            case(b)
        finally:
            b.end()
    finish()


main()
