#!/usr/bin/env python3
"""tests/publish/run_p.py BERTH: `berth run -p`: who is heard, who is refused, and that nothing is left."""
import os
import signal
import socket
import subprocess
import sys
import time

from harness import *


def answers_well(name, addr, port, tag, family):
    got = becomes(lambda: (lambda r: r if isinstance(r, str) else "heard")(ask(addr, port)), "heard")
    check(name, got == "heard", got)
    got = ask(addr, port)
    if isinstance(got, str):
        check(name, False, got)
        return
    mapped = "::ffff:" if family != socket.AF_INET and ":" not in addr else ""
    check(name + ": the right listener", got[0] == str(tag), got)
    check(name + ": the caller's own address", got[1] == mapped + got[4], got)
    check(name + ": the address that was called", got[2] == f"{mapped}{addr} {port}", got)
    check(name + ": of the listener's family", got[3] == family, got)


def families(b):
    """A listener of each kind, on each of its addresses; callers of both families."""
    for family, addr, heard4, heard6 in (
        ("4", "0.0.0.0", socket.AF_INET, None), ("4", "127.0.0.1", socket.AF_INET, None),
        ("6", "::", None, socket.AF_INET6), ("6", "::1", None, socket.AF_INET6),
        ("dual", "::", socket.AF_INET6, socket.AF_INET6)):
        if not HAS6 and family != "4":
            continue
        port = free_port()
        s = Server(b, "web", "-p", f"{port}:80")
        name = f"{family} on {addr}"
        s.do("listen", family, addr, 80)
        for who, heard in (("127.0.0.1", heard4), ("::1", heard6)):
            if ":" in who and not HAS6:
                continue
            if heard:
                answers_well(f"{name}, called at {who}", who, port, 80, heard)
            else:
                check(f"{name}, called at {who}", ask(who, port) == "ECONNREFUSED", ask(who, port))
        check(name + ": ends well", s.end() == 0, s.err)
        check(name + ": silent", s.err == "", s.err)
        check(name + ": refused afterwards", ask("127.0.0.1", port) == "ECONNREFUSED")
        check(name + ": no publisher is left", b.publishers() == [], b.publishers())


def comes_and_goes(b):
    """Refused, heard, refused: at once where the kernel can say it, within 50 ms where a listener went."""
    port = free_port()
    s = Server(b, "web", "-p", f"127.0.0.1:{port}:80")
    s.do("listen", "4", "0.0.0.0", 81)  # the program runs
    check("nobody listens yet", ask("127.0.0.1", port) == "ECONNREFUSED")
    for round in range(3):
        family, addr = (("4", "0.0.0.0"), ("dual", "::"), ("4", "127.0.0.1"))[round if HAS6 else 0]
        s.do("listen", family, addr, 80)
        answers_well(f"round {round}", "127.0.0.1", port, 80, socket.AF_INET if family == "4" else socket.AF_INET6)
        s.do("close", family, addr, 80, *(["shutdown"] if round == 1 else []))
        time.sleep(0.3)  # 50 ms on an idle machine
        check(f"round {round}: refused again", ask("127.0.0.1", port) == "ECONNREFUSED", ask("127.0.0.1", port))
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port))
            check(f"round {round}: the port is held all the time", False, "somebody else could bind it")
        except OSError as e:
            check(f"round {round}: the port is held all the time", e.errno == errno.EADDRINUSE, e)
        taken.close()
    s.end()


def restarts(b):
    """The same port again and again, with connections of before open, in TIME_WAIT, or reset."""
    port = free_port()
    kept = []
    for round in range(4):
        s = Server(b, "web", "-p", f"127.0.0.1:{port}:80")
        s.do("listen", "4", "0.0.0.0", 80)
        answers_well(f"restart {round}", "127.0.0.1", port, 80, socket.AF_INET)
        c = socket.create_connection(("127.0.0.1", port))
        c.recv(100)
        kept.append(c)
        if round % 2:
            s.p.send_signal(signal.SIGTERM)
        s.end()
    for c in kept:
        c.close()


def killed(b):
    """kill -9 of the publisher, of the front, of all: what the kernel closes is closed; the rest goes on."""
    port = free_port()
    s = Server(b, "web", "-p", f"127.0.0.1:{port}:80")
    s.do("listen", "4", "0.0.0.0", 80)
    answers_well("before the kill", "127.0.0.1", port, 80, socket.AF_INET)
    c = socket.create_connection(("127.0.0.1", port))
    c.recv(100)
    for pid in b.publishers():
        os.kill(pid, signal.SIGKILL)
    got = becomes(lambda: ask("127.0.0.1", port), "ECONNREFUSED")
    check("publisher killed: refused", got == "ECONNREFUSED", got)
    c.sendall(b"still")
    check("publisher killed: connections of before go on", c.recv(100) == b"still")
    s.do("listen", "4", "0.0.0.0", 81)
    check("publisher killed: the program ends well", s.end() == 0, s.err)
    check("publisher killed: said", "published no more" in s.err, s.err)
    c.close()

    s = Server(b, "web", "-p", f"127.0.0.1:{port}:80")
    s.do("listen", "4", "0.0.0.0", 80)
    answers_well("the front is to be killed", "127.0.0.1", port, 80, socket.AF_INET)
    s.p.kill()
    s.p.wait()
    answers_well("the front was killed", "127.0.0.1", port, 80, socket.AF_INET)
    s.end()
    got = becomes(lambda: b.publishers(), [])
    check("the front was killed, the program ended: no publisher", got == [], got)
    got = becomes(lambda: ask("127.0.0.1", port), "ECONNREFUSED")
    check("the front was killed, the program ended: refused", got == "ECONNREFUSED", got)


def many_callers(b):
    """More at once than the program accepts at once, and callers that are gone before."""
    port = free_port()
    s = Server(b, "web", "-p", f"127.0.0.1:{port}:80")
    s.do("listen", "4", "0.0.0.0", 80)
    answers_well("many callers", "127.0.0.1", port, 80, socket.AF_INET)
    socks = []
    for i in range(200):
        c = socket.socket()
        c.connect(("127.0.0.1", port))
        if i % 4 == 0:
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            c.close()
        else:
            socks.append(c)
    lines = [c.makefile("rb").readline() for c in socks]
    check("many callers: all are answered", all(l.startswith(b"80|") for l in lines), lines)
    check("many callers: each sees its own name",
          all(l.split(b"|")[1].decode().endswith(f" {c.getsockname()[1]}") for l, c in zip(lines, socks)))
    for c in socks:
        c.close()
    s.end()


run_cases(families, comes_and_goes, restarts, killed, many_callers)
