#!/usr/bin/env python3
"""tests/publish/matrix.py BERTH: every way to publish, with every way the program and the publisher can go.

    {IPv4, IPv6, both} x {one port, a range, the same port on two addresses}
        x {the program listens before, after, never} x {the publisher is stopped, killed, killed and started again}

In each: the right data, the caller's own address, refusal where nobody listens, and in the end nothing is left.
"""
import errno
import os
import signal
import socket
import subprocess
import sys

from harness import *

EXTRA6 = "fd00:be::1"
TWO6 = ALONE and HAS6 and subprocess.run(["ip", "addr", "add", EXTRA6 + "/128", "dev", "lo"],
                                         stderr=subprocess.DEVNULL).returncode == 0


def shapes(family):
    """Of each shape: its name, what publish is told for (port), and the (address, offset) to call."""
    a = {"v4": "127.0.0.1", "v6": "[::1]", "dual": None}[family]
    callers = {"v4": ["127.0.0.1"], "v6": ["::1"], "dual": ["127.0.0.1", "::1"]}[family]
    front = a + ":" if a else ""
    yield "one port", lambda p: [f"{front}{p}"], 1, [(c, 0) for c in callers]
    yield "a range", lambda p: [f"{front}{p}-{p + 2}"], 3, [(c, i) for c in callers for i in range(3)]
    if family == "v4":
        yield "two addresses", lambda p: [f"127.0.0.1:{p}", f"127.0.0.2:{p}"], 1, [("127.0.0.1", 0), ("127.0.0.2", 0)]
    elif family == "v6" and TWO6:
        yield "two addresses", lambda p: [f"[::1]:{p}", f"[{EXTRA6}]:{p}"], 1, [("::1", 0), (EXTRA6, 0)]
    elif family == "dual":
        yield "two addresses", lambda p: [f"127.0.0.1:{p}", f"[::1]:{p}"], 1, [("127.0.0.1", 0), ("::1", 0)]


LISTENER = {"v4": ("4", "0.0.0.0", socket.AF_INET), "v6": ("6", "::", socket.AF_INET6),
            "dual": ("dual", "::", socket.AF_INET6)}


def publish(b, outers, n):
    inner = "3000" if n == 1 else f"3000-{3000 + n - 1}"
    return [b.call("publish", f"web:{inner}", o) for o in outers]


def heard_well(addr, port, tag, family):
    r = ask(addr, port)
    if isinstance(r, str):
        return r
    mapped = "::ffff:" if family == socket.AF_INET6 and ":" not in addr else ""
    return "well" if (r[0], r[1], r[2], r[3]) == (str(tag), mapped + r[4], f"{mapped}{addr} {port}", family) else str(r)


def bindable(addr, port):
    c = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # our own connections of a moment ago
    try:
        c.bind((addr, port))
        c.listen()
        return "free"
    except OSError as e:
        return str(e)
    finally:
        c.close()


def one(b, s, family, shape, outers, n, calls, when, what):
    name = f"{family}, {shape}, listens {when}, publisher {what}"
    port = free_port(n)
    kind, addr, af = LISTENER[family]
    opened = []

    def program_listens():
        for i in range(n):
            s.do("listen", kind, addr, 3000 + i)
            opened.append((kind, addr, 3000 + i))

    def all_say(want, how):
        for a, i in calls:
            got = becomes(lambda: heard_well(a, port + i, 3000 + i, af), want)
            check(f"{name}: {how} at {a} + {i}", got == want, got)

    if when == "before":
        program_listens()
    done = publish(b, outers(port), n)
    check(f"{name}: published", all(r.returncode == 0 and not r.stderr for r in done), done)
    if when == "before":
        for a, i in calls:  # at once, without waiting
            got = heard_well(a, port + i, 3000 + i, af)
            check(f"{name}: heard at {a} + {i}", got == "well", got)
    else:
        for a, i in calls:
            got = ask(a, port + i)
            check(f"{name}: refused at {a} + {i}", got == "ECONNREFUSED", got)
    if when == "after":
        program_listens()
        all_say("well", "heard")
    pids = b.publishers()
    check(f"{name}: a publisher each", len(pids) == len(outers(port)), pids)
    for pid in pids:
        os.kill(pid, signal.SIGTERM if what == "stopped" else signal.SIGKILL)
    check(f"{name}: it is gone", becomes(b.publishers, []) == [])
    if what == "restarted":
        done = publish(b, outers(port), n)
        check(f"{name}: again", all(r.returncode == 0 and not r.stderr for r in done), done)
        all_say("ECONNREFUSED" if when == "never" else "well", "again")
        for o in outers(port):
            r = b.call("unpublish", o)
            check(f"{name}: unpublish {o}", r.returncode == 0 and not r.stderr, r)
        check(f"{name}: ended", becomes(b.publishers, []) == [])
    all_say("ECONNREFUSED", "refused in the end")
    for a, i in calls:
        got = becomes(lambda: bindable(a, port + i), "free")  # a killed process is seen gone before its sockets are
        check(f"{name}: the port is free at {a} + {i}", got == "free", got)
    for l in opened:
        s.do("close", *l)
    left = b.call("ls", "--published").stdout
    check(f"{name}: nothing is listed", left == "nothing is published in network 'default'\n", left)


def main():
    b = Berth(sys.argv[1])
    try:
        s = Server(b, "web")
        s.do("listen", "4", "0.0.0.0", 1)
        for family in ("v4", "v6", "dual"):
            if family != "v4" and not HAS6:
                continue
            for shape, outers, n, calls in shapes(family):
                for when in ("before", "after", "never"):
                    for what in ("stopped", "killed", "restarted"):
                        one(b, s, family, shape, outers, n, calls, when, what)
        check("the program ends well", s.end() == 0)
    finally:
        b.end()
    finish()


main()
