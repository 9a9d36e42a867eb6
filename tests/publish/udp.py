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


# Answers each datagram, as it came.
ECHO = """
import socket, sys, time
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, "group" in sys.argv)
s.bind(("", int(sys.argv[1])))
print("up", flush=True)
while True:
    d, a = s.recvfrom(70000)
    if d == b"late": time.sleep(0.5)
    s.sendto(b"%d" % __import__("os").getpid() if "group" in sys.argv else d, a)
"""


def echo(b, *options, args=("53",)):
    p = b.popen("run", "-H", "web", *options, "--", sys.executable, "-c", ECHO, *args, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True)
    p.stdout.readline()
    return p


def said(addr, port, data, timeout=3.0):
    """What a caller is answered, who hears the address it called only; or an errno's name."""
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(timeout)
    try:
        s.connect((addr, port))
        s.send(data)
        return s.recv(70000)
    except socket.timeout:
        return "TIMEOUT"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    finally:
        s.close()


def largest(b):
    """What the kernel's own loopback carries: 65,507 octets, 65,527 of IPv6; and nothing at all."""
    port = free_port()
    p = echo(b, "-p", f"{port}:53/udp")
    becomes(lambda: said("127.0.0.1", port, b"x"), b"x")
    for addr in LOOPS:
        for n in (0, 1, 65507) + ((65527,) if ":" in addr else ()):
            got = said(addr, port, b"y" * n)
            check(f"{n} octets at {addr}", got == b"y" * n, got if isinstance(got, str) else len(got))
    p.kill()


def many_addresses(b):
    """A port on all of the machine's addresses answers from the one that was called."""
    port = free_port()
    addrs = LOOPS + ["127.0.0.5"]
    if ALONE and shutil.which("ip"):
        mine = ["10.99.0.1", "10.99.0.2"] + (["fd00:99::1", "fd00:99::2"] if HAS6 else [])
        addrs += [a for a in mine if subprocess.run(["ip", "addr", "add", a + ("/128" if ":" in a else "/32"), "dev", "lo"],
                                                     stderr=subprocess.DEVNULL).returncode == 0]
    p = echo(b, "-p", f"*:{port}:53/udp")
    becomes(lambda: said("127.0.0.1", port, b"x"), b"x")
    for a in addrs:
        got = said(a, port, b"hello")
        check(f"one of all: {a}", got == b"hello", got)
    p.kill()
    p.wait()
    for a in addrs[2:]:
        if a.startswith("127") or not ALONE:
            continue
        one = port = free_port()
        name = f"[{a}]" if ":" in a else a
        p = echo(b, "-p", f"{name}:{port}:{one}/udp", args=(str(one),))
        got = becomes(lambda: said(a, port, b"hello"), b"hello")
        check(f"alone: {a}", got == b"hello", got)
        other = addrs[-1] if ":" in a else "127.0.0.1"
        s = socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((other, 0))
        s.settimeout(3)
        s.connect((a, port))
        s.send(b"from another")
        try:
            got = s.recv(100)
        except OSError as e:
            got = repr(e)
        check(f"alone: {a}, called from {other}", got == b"from another", got)
        s.close()
        p.kill()
        p.wait()


def idle(b):
    """A caller who is silent for too long is forgotten: the answer does not come from where he called any more."""
    port = free_port()
    b.env["BERTH_PUBLISH_IDLE_MS"] = "100"
    p = echo(b, "-p", f"*:{port}:53/udp")
    becomes(lambda: said("127.0.0.1", port, b"x"), b"x")
    check("not idle", said("127.0.0.5", port, b"at once") == b"at once")
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.settimeout(5)
    s.sendto(b"late", ("127.0.0.5", port))
    try:
        got = s.recvfrom(100)
    except OSError as e:
        got = repr(e)
    check("idle: answered as one who never called", got == (b"late", ("127.0.0.1", port)), got)
    s.close()
    p.kill()


def group(b):
    """SO_REUSEPORT inside: callers are shared out, each stays with one."""
    port = free_port()
    members = [echo(b, *(["-p", f"127.0.0.1:{port}:53/udp"] if i == 0 else []), args=("53", "group")) for i in range(3)]
    becomes(lambda: said("127.0.0.1", port, b"x") != "ECONNREFUSED", True)
    seen = {}
    for i in range(100):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(3)
        s.connect(("127.0.0.1", port))
        got = set()
        for _ in range(3):
            s.send(b"who")
            got.add(s.recv(100))
        seen[tuple(got)] = seen.get(tuple(got), 0) + 1
        s.close()
    check("a group: all three are heard, a caller by one", len(seen) == 3 and all(len(k) == 1 for k in seen), seen)
    for p in members:
        p.kill()


def two_thousand(b):
    """As many callers at once, each with an answer of his own; then kill -9 in the middle of it."""
    import resource
    import threading
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n = 2000 if hard >= 2500 or hard == resource.RLIM_INFINITY else 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n + 500), hard))
    port = free_port()
    p = echo(b, "-p", f"127.0.0.1:{port}:53/udp")
    becomes(lambda: said("127.0.0.1", port, b"x"), b"x")
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(n)]
    for c in socks:
        c.connect(("127.0.0.1", port))
        c.settimeout(5)
    for turn in range(2):
        good = 0
        for at in range(0, n, 50):
            for i in range(at, at + 50):
                socks[i].send(b"%d %d" % (turn, i))
            for i in range(at, at + 50):
                try:
                    good += socks[i].recv(100) == b"%d %d" % (turn, i)
                except OSError:
                    pass
        check(f"two thousand callers, turn {turn}", good == n, good)
    for c in socks[8:]:
        c.close()
    over = threading.Event()

    def go(c):
        c.settimeout(0.05)
        while not over.is_set():
            try:
                c.send(b"z" * 500)
                c.recv(1000)
            except OSError:
                pass

    threads = [threading.Thread(target=go, args=(c,)) for c in socks[:8]]
    for t in threads:
        t.start()
    for _ in range(3):
        for pid in b.publishers():
            os.kill(pid, signal.SIGKILL)
        check("killed in the middle of traffic: gone", becomes(b.publishers, []) == [])
        got = becomes(lambda: b.call("publish", "web:53/udp", f"127.0.0.1:{port}").returncode, 0)
        check("killed in the middle of traffic: published again", got == 0)
        got = becomes(lambda: said("127.0.0.1", port, b"again"), b"again")
        check("killed in the middle of traffic: heard again", got == b"again", got)
    over.set()
    for t in threads:
        t.join()
    for c in socks[:8]:
        c.close()
    p.kill()
    for pid in b.publishers():
        os.kill(pid, signal.SIGKILL)


def two_doors(b):
    """Two published ports that lead to one: an answer leaves from that which was called, and from no other."""
    port = free_port(2)
    for way in ("one publisher", "two"):
        p = echo(b, "-p", f"127.0.0.1:{port}:53/udp", *(["-p", f"127.0.0.1:{port + 1}:53/udp"] if way != "two" else []))
        if way == "two":
            r = b.call("publish", "web:53/udp", f"127.0.0.1:{port + 1}")
            check("two publishers", r.returncode == 0, r)
        for i in range(2):
            becomes(lambda: said("127.0.0.1", port + i, b"x"), b"x")
        socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        good = 0
        for i in range(200):
            c = socks[i % 2 if way == "two" else 0]  # with two, who called one and then the other is answered by the one
            c.settimeout(3)
            c.sendto(b"%d" % i, ("127.0.0.1", port + i % 2))
            try:
                good += c.recvfrom(100) == (b"%d" % i, ("127.0.0.1", port + i % 2))
            except OSError:
                break
        check(f"{way}: who called is answered, once", good == 200, good)
        for c in socks:
            c.setblocking(False)
            try:
                check(f"{way}: and no more", False, c.recvfrom(100))
            except BlockingIOError:
                c.close()
        p.terminate()
        p.wait()
        becomes(b.publishers, [])


def no_descriptors(b):
    """Without descriptors what is served is served; what needs one is said once, and comes when there are some again."""
    import resource
    first = free_port(100)
    p = echo(b, "-p", f"127.0.0.1:{first}-{first + 99}:53-152/udp")
    becomes(lambda: said("127.0.0.1", first, b"x"), b"x")
    pid = b.publishers()[0]
    was = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, was[1]))
    others = [echo(b, args=(str(54 + i),)) for i in range(3)]
    check("no descriptors: served all the same", said("127.0.0.1", first, b"still") == b"still")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, was)
    for i in range(3):
        got = becomes(lambda: said("127.0.0.1", first + 1 + i, b"again"), b"again")
        check(f"no descriptors: {i} is heard afterwards", got == b"again", got)
    for q in others:
        q.kill()
    for pid in b.publishers():
        os.kill(pid, signal.SIGTERM)
    p.terminate()
    err = p.communicate(timeout=20)[1]
    check("no descriptors: said once", err.count("no descriptors left") == 1 and "is not published" not in err, err)


def all_of_it(b):
    """-P: a UDP port that a program names is published as it binds it, and until it closes it."""
    named = free_port(2)
    s = UdpServer(b, "web", "-P")
    s.do("bind", "4", "0.0.0.0", named)
    got = becomes(lambda: call("127.0.0.1", named), "heard")
    check("-P: heard", got == "heard", got)
    s.do("bind", "4", "0.0.0.0", 0)
    s.do("bind", "4", "0.0.0.0", named + 1)
    got = becomes(lambda: call("127.0.0.1", named + 1), "heard")
    check("-P: another", got == "heard", got)
    rows = b.call("ls", "--published").stdout
    check("-P: not a port that was chosen for it", rows.count("/udp") == 2, rows)
    s.do("close", "4", "0.0.0.0", named)
    got = becomes(lambda: is_taken("127.0.0.1", named), False)
    check("-P: closed, free", not got)
    many = free_port(20)
    for i in range(20):
        s.do("bind", "4", "0.0.0.0", many + i)
        becomes(lambda: call("127.0.0.1", many + i), "heard")
    s.end()
    check("-P: not for ever", s.err.count("/udp") == 16 and "not told" in s.err, s.err)
    check("-P: told", f"127.0.0.1:{named} leads to web:{named}/udp" in s.err, s.err)
    check("-P: nothing is left", becomes(b.publishers, []) == [])


def programs(b):
    """dig through a published dnsmasq, iperf3 -u; both where they are."""
    if shutil.which("dnsmasq") and shutil.which("dig"):
        # Over TCP it takes only who calls the port it listens on, as getsockname() tells it.
        port = 53 if ALONE else free_port()
        p = b.popen("run", "-q", "-H", "dns", "-p", f"{port}:53/udp", "-p", f"{port}:53", "--", "dnsmasq", "-d", "-C", "/dev/null", "-R", "-h",
                    "--address=/there.example/192.0.2.7", "--user=root", stderr=subprocess.DEVNULL)
        for server in LOOPS:
            dig = lambda *how: subprocess.run(["dig", *how, f"@{server}", "-p", str(port), "+short", "+tries=1", "+time=2",
                                          "there.example"], capture_output=True, text=True).stdout.strip()
            got = becomes(dig, "192.0.2.7", 10)
            check(f"dig @{server}", got == "192.0.2.7", got)
            got = becomes(lambda: dig("+tcp"), "192.0.2.7", 10) if port == 53 else ""
            check(f"dig +tcp @{server}", got == "192.0.2.7" or port != 53, got)
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
        got = lines and int(lines[0].split("/")[-1].split()[0])  # of 77; how many are lost is the machine's load
        check("iperf3 -u", r.returncode == 0 and got and got > 0, r)
        p.wait(10)


run_cases(matrix, comes_and_goes, many_callers, says_first, taken, largest, many_addresses, idle, group, two_thousand, two_doors, no_descriptors, all_of_it, programs, only=2)
