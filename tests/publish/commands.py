#!/usr/bin/env python3
"""tests/publish/commands.py BERTH: publish, unpublish, ls, -P, ranges, and what is refused, with which words."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import *


def listed(b):
    r = b.call("ls", "--published", "--json")
    return json.loads(r.stdout)


def heard(addr, port):
    r = ask(addr, port)
    return r if isinstance(r, str) else r[0]


def by_hand(b):
    """publish before and after the program listens; unpublish; a restart; the host's last program ends."""
    port, other = free_port(), free_port()
    r = b.call("publish", "web:80", str(port))
    check("publish without a network", r.returncode == 125 and "there is no network" in r.stderr, r)
    s = Server(b, "web")
    s.do("listen", "4", "0.0.0.0", 81)
    r = b.call("publish", "web:80", f"127.0.0.1:{port}")
    check("publish", r.returncode == 0 and r.stdout == f"127.0.0.1:{port} leads to web:80\n" and not r.stderr, r)
    check("nobody listens: refused", heard("127.0.0.1", port) == "ECONNREFUSED")
    s.do("listen", "4", "0.0.0.0", 80)
    check("heard", becomes(lambda: heard("127.0.0.1", port), "80") == "80")
    r = b.call("publish", "web:81", f"127.0.0.1:{other}")
    check("publish what listens already", heard("127.0.0.1", other) == "81", r)
    rows = listed(b)
    check("ls --published", sorted((r["outer"], r["inner"], r["host"], r["open"], r["proto"]) for r in rows) ==
          sorted([(port, 80, "web", 1, "tcp"), (other, 81, "web", 1, "tcp")]), rows)
    check("ls shows them", f"127.0.0.1:{port}  web:80    open" in b.call("ls").stdout, b.call("ls").stdout)
    r = b.call("run", "-H", "elsewhere", "-p", f"127.0.0.1:{port}:80", "--", "true")
    check("taken by another publisher: said", r.returncode == 125 and "berth publishes it for web:80" in r.stderr, r)

    c = socket.create_connection(("127.0.0.1", other), timeout=10)
    c.recv(100)
    r = b.call("unpublish", str(other))
    check("unpublish", r.returncode == 0 and not r.stderr, r)
    check("unpublish: refused at once", heard("127.0.0.1", other) == "ECONNREFUSED")
    c.sendall(b"still")
    check("unpublish: connections of before go on", c.recv(100) == b"still")
    c.close()
    check("unpublish: not listed", [x["outer"] for x in listed(b)] == [port])
    r = b.call("unpublish", str(other))
    check("unpublish twice", r.returncode == 1 and "is not published" in r.stderr, r)
    r = b.call("publish", "web:80", f"0.0.0.0:{other}")
    check("IPv4 alone is not written '*'", r.stdout == f"0.0.0.0:{other} leads to web:80\n", r)
    r = b.call("run", "-p", f"0.0.0.0:{other}:80", "--", "true")
    check("nor where it cannot be had", f"cannot publish 0.0.0.0:{other}: " in r.stderr, r)
    b.call("unpublish", str(other))
    r = b.call("publish", "web:80", f"127.0.0.1:{other}")
    check("publish again at once", r.returncode == 0 and heard("127.0.0.1", other) == "80", r)
    r = b.call("unpublish", "web:80")
    check("unpublish by host", r.returncode == 0 and listed(b) == [], r)

    b.call("publish", "web:80", f"127.0.0.1:{port}")
    for pid in b.publishers():
        os.kill(pid, signal.SIGKILL)
    check("killed: refused", becomes(lambda: heard("127.0.0.1", port), "ECONNREFUSED") == "ECONNREFUSED")
    check("killed: not listed", listed(b) == [])
    r = b.call("publish", "web:80", f"127.0.0.1:{port}")
    check("killed, published again", r.returncode == 0 and heard("127.0.0.1", port) == "80", r)
    for i in range(30):
        for pid in b.publishers():
            os.kill(pid, signal.SIGKILL)
        r = b.call("publish", "web:80", f"127.0.0.1:{port}")
        check(f"killed, published again before it is gone, {i}", r.returncode == 0 and heard("127.0.0.1", port) == "80", r)
    for pid in b.publishers():
        os.kill(pid, signal.SIGSTOP)
    c = socket.create_connection(("127.0.0.1", port))
    r = b.call("unpublish", str(port))
    check("stopped: said", r.returncode == 125 and "is it stopped?" in r.stderr, r)
    waiting = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
    for pid in b.publishers():
        os.kill(pid, signal.SIGCONT)
    check("stopped and continued: ends as it was asked", becomes(lambda: b.publishers(), []) == [])
    c.close()
    for w in waiting:  # heard or reset; none is left without an answer
        try:
            got = w.recv(100)
        except OSError as e:
            got = errno.errorcode.get(e.errno, str(e))
        check("stopped and continued: who waited", got == "ECONNRESET" or str(got).startswith("b'80|"), got)
        w.close()
    b.call("publish", "web:80", f"127.0.0.1:{port}")
    for pid in b.publishers():
        os.kill(pid, signal.SIGTERM)
    check("SIGTERM ends it", becomes(lambda: heard("127.0.0.1", port), "ECONNREFUSED") == "ECONNREFUSED")
    check("SIGTERM ends it well", becomes(lambda: b.publishers(), []) == [] and listed(b) == [])

    b.call("publish", "web:80", f"127.0.0.1:{port}")
    second = Server(b, "web")
    second.do("listen", "4", "0.0.0.0", 82)
    s.end()
    check("the host has a program: published", [x["outer"] for x in listed(b)] == [port], listed(b))
    check("nobody listens any more", becomes(lambda: heard("127.0.0.1", port), "ECONNREFUSED") == "ECONNREFUSED")
    second.do("listen", "4", "0.0.0.0", 80)
    check("another program listens", becomes(lambda: heard("127.0.0.1", port), "80") == "80")
    second.end()
    check("the last program has gone: no publisher", becomes(lambda: b.publishers(), []) == [])
    check("the last program has gone: not listed", listed(b) == [])
    r = b.call("publish", "web:80", str(port))
    check("a host without programs", r.returncode == 125 and "no program runs on host 'web'" in r.stderr, r)
    r = b.call("publish", "wep:80", str(port))
    check("an unknown host", r.returncode == 125 and "did you mean 'web'" in r.stderr, r)
    r = b.call("publish", "-n", "nowhere", "web:80", str(port))
    check("an unknown network", r.returncode == 125 and "there is no network 'nowhere'" in r.stderr, r)


def ranges(b):
    """One record, all or nothing, each port to its own; a long one opens sockets only as they are needed."""
    for n in (11, 200):
        first = free_port(n)
        s = Server(b, "web", "-p", f"127.0.0.1:{first}-{first + n - 1}:3000-{3000 + n - 1}")
        for i in (0, 3, n - 1):
            s.do("listen", "4", "0.0.0.0", 3000 + i)
        for i in range(n):
            if i in (0, 3, n - 1):
                got = becomes(lambda: heard("127.0.0.1", first + i), str(3000 + i))
                check(f"{n} ports: {i}", got == str(3000 + i), got)
            elif i < 12:
                check(f"{n} ports: {i}, nobody", heard("127.0.0.1", first + i) == "ECONNREFUSED")
        got = becomes(lambda: [(x["outer"], x["outer_last"], x["open"]) for x in listed(b)], [(first, first + n - 1, 3)])
        check(f"{n} ports: one record", got == [(first, first + n - 1, 3)], got)
        s.do("close", "4", "0.0.0.0", 3003)
        got = becomes(lambda: heard("127.0.0.1", first + 3), "ECONNREFUSED")
        check(f"{n} ports: one is closed", got == "ECONNREFUSED", got)
        r = b.call("unpublish", str(first + 1))
        check(f"{n} ports: as a whole", r.returncode == 125 and "as a whole" in r.stderr, r)
        s.end()

        # All or nothing.
        holder = socket.socket()
        holder.bind(("127.0.0.1", first + n - 2))
        holder.listen()
        r = b.call("run", "-p", f"127.0.0.1:{first}-{first + n - 1}:3000-{3000 + n - 1}", "--", "true")
        check(f"{n} ports, one taken: said by whom", r.returncode == 125 and
              f"cannot publish 127.0.0.1:{first + n - 2}: python3 (pid {os.getpid()}) listens there" in r.stderr, r)
        r = b.call("run", "-p", f"127.0.0.1:{first}:80", "-p", f"127.0.0.1:{first + n - 2}:81", "--", "true")
        check(f"two -p, one taken: none", r.returncode == 125 and listed(b) == [], r)
        holder.close()


def all_of_it(b):
    """-P: as it begins to listen, on the same number or another, and told."""
    port, busy = free_port(), free_port()
    holder = socket.socket()
    holder.bind(("127.0.0.1", busy))
    holder.listen()
    s = Server(b, "web", "-P")
    s.do("listen", "4", "0.0.0.0", port)
    got = becomes(lambda: heard("127.0.0.1", port), str(port))
    check("-P: the same number", got == str(port), got)
    s.do("listen", "4", "0.0.0.0", busy)
    rows = becomes(lambda: len(listed(b)), 2) and listed(b)
    other = [x["outer"] for x in rows if x["inner"] == busy]
    check("-P: another number", len(other) == 1 and other[0] != busy, rows)
    if other:
        check("-P: another number is heard", heard("127.0.0.1", other[0]) == str(busy))
    s.do("close", "4", "0.0.0.0", port)
    got = becomes(lambda: len(listed(b)), 1)
    check("-P: what is closed is published no more", got == 1, listed(b))
    r = socket.socket()
    r.bind(("127.0.0.1", port))
    r.close()
    s.do("listen", "4", "0.0.0.0", port)
    got = becomes(lambda: heard("127.0.0.1", port), str(port))
    check("-P: and again", got == str(port), got)
    s.end()
    check("-P: told", f"127.0.0.1:{port} leads to web:{port}" in s.err and
          f"127.0.0.1:{other[0] if other else 0} leads to web:{busy}" in s.err, s.err)
    check("-P: nothing is left", listed(b) == [] and b.publishers() == [])
    holder.close()


def two_addresses(b):
    """The same port on two addresses, to two programs; any free port."""
    port = free_port()
    s = Server(b, "web", "-p", f"127.0.0.1:{port}:80", "-p", f"127.0.0.2:{port}:81")
    s.do("listen", "4", "0.0.0.0", 80)
    s.do("listen", "4", "0.0.0.0", 81)
    for addr, tag in (("127.0.0.1", "80"), ("127.0.0.2", "81")):
        check(f"the same port on {addr}", becomes(lambda: heard(addr, port), tag) == tag)
    check("and not on a third", heard("127.0.0.3", port) == "ECONNREFUSED")
    s.end()
    s = Server(b, "web", "-p", ":80", "-p", "0.0.0.0:0:81")
    s.do("listen", "4", "0.0.0.0", 80)
    s.do("listen", "4", "0.0.0.0", 81)
    rows = listed(b)
    chosen = {x["inner"]: x["outer"] for x in rows}
    check("any free port", sorted(chosen) == [80, 81], rows)
    check("any free port: heard", becomes(lambda: heard("127.0.0.1", chosen[80]), "80") == "80")
    check("everywhere: heard", becomes(lambda: heard("127.0.0.9", chosen[81]), "81") == "81")
    s.end()
    check("any free port: told", f"127.0.0.1:{chosen[80]} leads to web:80" in s.err, s.err)


def wrong(b):
    """Bad input: one clear line, the right exit code, nothing started."""
    for text, code, words in (
        ("8000-8010:80-91", 2, "not equally long"), ("80:", 2, "a port is expected"), ("x", 2, "a port is expected"),
        ("::1:80:80", 2, "brackets"), ("[::1]80", 2, "colon and a port"), ("[127.0.0.1]:80", 2, "IPv6"),
        ("90-80", 2, "from a port to a higher"), ("0", 2, "0:80"), ("80:0", 2, "1 to 65535"), ("70000", 2, "port"),
        ("0-5:80-85", 2, "range"), ("80/sctp", 2, "tcp or udp"), ("", 2, "no port"), ("1.2.3.4.5:80:80", 2, ""),
        ("[::1:80", 2, "not closed"), ("8080:80:90", 2, "too many colons"),
        ("localhost:8080:80", 2, "not a name"), ("foo.example:8080:80", 2, "not a name"), ("8080:http", 2, "port"),
        ("224.0.0.1:8080:80", 2, "multicast"), ("[ff02::1]:8080:80/udp", 2, "multicast"), ("[fe80::1]:8080:80", 2, "link-local"),
        ("192.0.2.7:8080:80", 125, "does not have that address")):
        r = b.call("run", "-p", text, "--", "touch", "started")
        check(f"-p '{text}'", r.returncode == code and words in r.stderr and not os.path.exists(b.dir + "/started"), r)
    r = b.call("publish")
    check("publish nothing", r.returncode == 2, r)
    r = b.call("unpublish", "80")
    check("unpublish without anything", r.returncode == 1, r)
    if os.geteuid() == 0 and ALONE:
        exe = b.for_others()
        d = b.dir + "/nobody"
        os.mkdir(d, 0o700)
        os.chown(d, 65534, 65534)
        r = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", exe, "run", "-p", "80",
                            "--", "true"], env={**b.env, "BERTH_DIR": d}, capture_output=True, text=True, cwd="/")
        check("a privileged port", r.returncode == 125 and "ip_unprivileged_port_start is 1024" in r.stderr and
              "8080:80" in r.stderr and "sysctl" in r.stderr, r)


def held_by(b):
    """Whoever has the port is named: one that only bound it, another user's, another network's publisher, ourselves."""
    port = free_port()
    for kind, what in ((socket.SOCK_STREAM, "has it and does not listen"), (socket.SOCK_DGRAM, "has it")):
        h = socket.socket(socket.AF_INET, kind)
        h.bind(("127.0.0.1", port))
        r = b.call("run", "-p", f"{port}:80" + ("/udp" if kind == socket.SOCK_DGRAM else ""), "--", "true")
        words = f"cannot publish 127.0.0.1:{port}: python3 (pid {os.getpid()}) {what}"
        older = kind == socket.SOCK_STREAM and "a program has it that does not listen yet" in r.stderr  # before Linux 6.8
        check(f"held, {what}", r.returncode == 125 and (words in r.stderr or older), r)
        h.close()
    s = Server(b, "web", "-p", f"127.0.0.1:{port}:80")
    s.do("listen", "4", "0.0.0.0", 80)
    r = b.call("run", "-n", "other", "-p", f"{port}:80", "--", "true")
    check("held by another network", r.returncode == 125 and "berth publishes it for web:80 of network default (pid" in r.stderr, r)
    s.end()
    r = b.call("run", "-p", f"{port}:80", "-p", f"{port}:81", "--", "true")
    check("held by ourselves", r.returncode == 125 and "asked for twice" in r.stderr, r)
    if ALONE:
        r = b.call("run", "-p", "20000-20100:1000-1100", "-p", "0.0.0.0:20050:99", "--", "echo", "started")
        check("in a large range of our own", r.returncode == 125 and not r.stdout and
              "cannot publish 0.0.0.0:20050: it is asked for twice, for local:1050, too" in r.stderr, r)
        r = b.call("run", "-p", "20000-20100:1000-1100", "-p", "20050:99/udp", "-p", "127.0.0.2:20050:1", "--", "true")
        check("beside it", r.returncode == 0, r)
    if os.geteuid() == 0 and ALONE and shutil.which("setpriv"):
        exe = b.for_others()
        d = b.dir + "/nobody"
        os.mkdir(d, 0o700)
        os.chown(d, 65534, 65534)
        for kind, proto in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
            h = socket.socket(socket.AF_INET, kind)
            h.bind(("127.0.0.1", port))
            if proto == "tcp":
                h.listen()
            r = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", exe, "run", "-p",
                                f"{port}:80/{proto}", "--", "true"], env={**b.env, "BERTH_DIR": d}, capture_output=True,
                               text=True, cwd="/")
            check(f"held by another user, {proto}", r.returncode == 125 and "a process of user root that cannot be seen" in
                  r.stderr and f"ss -Hanp{proto[0]} 'sport = :{port}'" in r.stderr, r)
            h.close()


def no_descriptors(b):
    """A publisher without descriptors lets callers wait, says so once, and goes on when it has some again."""
    port = free_port()
    s = Server(b, "web", "-p", f"127.0.0.1:{port}:80")
    s.do("listen", "4", "0.0.0.0", 80)
    check("no descriptors: heard before", becomes(lambda: heard("127.0.0.1", port), "80") == "80")
    pid = b.publishers()[0]
    import resource
    was = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, was[1]))
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    with open(f"/proc/{pid}/stat") as f:
        before = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    time.sleep(1)
    with open(f"/proc/{pid}/stat") as f:
        spent = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) - before
    check("no descriptors: it does not spin", spent < 20, f"{spent} of 100 ticks")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, was)
    lines = [c.makefile("rb").readline() for c in socks]
    check("no descriptors: all who waited are heard", all(l.startswith(b"80|") for l in lines), lines)
    check("no descriptors: heard again", heard("127.0.0.1", port) == "80")
    for c in socks:
        c.close()
    s.end()
    first = free_port(100)
    t = Server(b, "web", "-p", f"127.0.0.1:{first}-{first + 99}:100-199")
    t.do("listen", "4", "0.0.0.0", 100)
    becomes(lambda: heard("127.0.0.1", first), "100")
    pid = b.publishers()[0]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, was[1]))
    for i in (1, 2, 3):
        t.do("listen", "4", "0.0.0.0", 100 + i)
    time.sleep(0.1)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, was)
    for i in (0, 1, 2, 3):
        got = becomes(lambda: heard("127.0.0.1", first + i), str(100 + i))
        check(f"no descriptors, a long range: {i} is heard afterwards", got == str(100 + i), got)
    t.end()
    check("no descriptors, a long range: said once", t.err.count("has no descriptors left") == 1, t.err)
    check("no descriptors: said once", s.err.count("has no descriptors left") == 1, s.err)


def stuck(b):
    """A program that listens and never accepts: its callers wait, others are served, nothing breaks at its end."""
    port, other = free_port(), free_port()
    code = "import socket,time\ns=socket.socket(); s.bind(('',80)); s.listen(); print('up',flush=True); time.sleep(60)"
    p = b.popen("run", "-H", "web", "-p", f"127.0.0.1:{port}:80", "-p", f"127.0.0.1:{other}:81", "--", sys.executable, "-c",
                code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdout.readline()
    s = Server(b, "web")
    s.do("listen", "4", "0.0.0.0", 81)
    socks = []
    becomes(lambda: socket.socket().connect_ex(("127.0.0.1", port)), 0)
    for i in range(300):
        c = socket.socket()
        c.connect(("127.0.0.1", port))
        socks.append(c)
    check("stuck: another port is heard", becomes(lambda: heard("127.0.0.1", other), "81") == "81")
    for c in socks:
        c.close()
    p.kill()
    p.wait()
    s.end()


# Keeps every caller until it has no descriptor left; then lets the oldest go.
FULL = r"""
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
s = socket.socket()
s.bind(("", 80))
s.listen(100)
print("up", flush=True)
held = []
while True:
    try:
        held.append(s.accept()[0])
        held[-1].sendall(b"heard\n")
    except OSError as e:
        if not held: raise
        held.pop(0).close()
"""


def full(b):
    """A program that has one descriptor left, or none, loses nobody: by the library and past libc."""
    for name, front in (("library", []), ("past libc", ["env", "-u", "LD_PRELOAD"])):
        port = free_port()
        p = b.popen("run", "-H", "web", "-p", f"127.0.0.1:{port}:80", "--", *front, sys.executable, "-c", FULL,
                    stdout=subprocess.PIPE, text=True)
        p.stdout.readline()
        becomes(lambda: socket.socket().connect_ex(("127.0.0.1", port)), 0)
        socks = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(40)]
        lines = []
        for c in socks:
            try:
                lines.append(c.makefile("rb").readline())
            except OSError as e:
                lines.append(repr(e))
        check(f"full, {name}: all are heard", lines == [b"heard\n"] * 40, lines)
        for c in socks:
            c.close()
        p.terminate()
        p.wait()


def not_accepted(b):
    """A listener that goes with callers in its queue: they are reset, as the kernel does; closed or killed."""
    code = "import socket,sys\ns=socket.socket(); s.bind(('',80)); s.listen(3); print('up',flush=True); sys.stdin.readline(); " \
           "s.close(); print('closed',flush=True); sys.stdin.readline()"
    for how in ("closed", "killed"):
        port = free_port()
        p = b.popen("run", "-H", "web", "-p", f"127.0.0.1:{port}:80", "--", sys.executable, "-c", code, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, text=True)
        p.stdout.readline()
        becomes(lambda: socket.socket().connect_ex(("127.0.0.1", port)), 0)
        socks = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(10)]
        if how == "closed":
            p.stdin.write("\n")
            p.stdin.flush()
            p.stdout.readline()
        else:
            p.send_signal(signal.SIGTERM)
        got = []
        for c in socks:
            try:
                got.append(c.recv(10))
            except OSError as e:
                got.append(errno.errorcode.get(e.errno, str(e)))
            c.close()
        check(f"not accepted, {how}: reset", got == ["ECONNRESET"] * 10, got)
        p.stdin.close()
        p.wait()


def listener_goes(b):
    """Who calls when the listener has just gone is reset, and by that the port is known to be closed: the next are refused."""
    port = free_port()
    s = Server(b, "web", "-p", f"127.0.0.1:{port}:80")
    most = 0
    for i in range(20):
        s.do("listen", "4", "0.0.0.0", 80)
        becomes(lambda: heard("127.0.0.1", port), "80")
        s.do("close", "4", "0.0.0.0", 80)
        got = [ask("127.0.0.1", port) for _ in range(10)]
        most = max(most, sum(g != "ECONNREFUSED" for g in got))
        check("a listener goes: reset or refused", set(got) <= {"ECONNREFUSED", "ECONNRESET", "EPIPE"}, got)
    check("a listener goes: few are reset", most <= 3, most)
    s.end()


def removed(b):
    """`net rm -f` while published: callers are refused, not taken and left to wait."""
    for listens in (True, False):
        port = free_port()
        s = Server(b, "web", "-p", f"127.0.0.1:{port}:80")
        s.do("listen", "4", "0.0.0.0", 80 if listens else 81)
        if listens:
            check("removed: heard before", becomes(lambda: heard("127.0.0.1", port), "80") == "80")
        r = b.call("net", "rm", "-f", "default")
        check("removed", r.returncode == 0, r)
        check("removed: the publisher ends", becomes(b.publishers, []) == [])
        check("removed: refused", heard("127.0.0.1", port) == "ECONNREFUSED")
        s.end()
        check("removed: said", "was removed" in s.err, s.err)


def inside(b):
    """`publish` inside a run: the publisher is a child of the tree whose end it waits for."""
    port = free_port()
    for code in (f"{b.exe} publish web:80 127.0.0.1:{port}",
                 f"{b.exe} run -H elsewhere -- {b.exe} publish web:80 127.0.0.1:{port}"):
        r = b.call("run", "-H", "web", "--", "sh", "-c", code)
        check("inside: published", r.returncode == 0 and "leads to web:80" in r.stdout, r)
        check("inside: ends with the run", becomes(b.publishers, []) == [], b.call("ls", "--all").stdout)
        check("inside: nothing is listed", listed(b) == [])
    code = f"{b.exe} publish 80 127.0.0.1:{port} && {b.exe} open --print 80 && {b.exe} unpublish {port}"
    r = b.call("run", "-q", "-n", "lab", "-H", "web", "--", sys.executable, "-c", "import socket, subprocess, sys; "
               "l = socket.create_server(('0.0.0.0', 80)); sys.exit(subprocess.call(['sh', '-c', sys.argv[1]]))", code)
    check("inside: the run's own network and host", r.returncode == 0 and "leads to web:80" in r.stdout and
          "http://web/" in r.stdout, r)
    s = Server(b, "web")
    s.do("listen", "4", "0.0.0.0", 80)
    r = b.call("run", "-H", "elsewhere", "--", b.exe, "publish", "web:80", f"127.0.0.1:{port}")
    check("inside another host's run: published", r.returncode == 0, r)
    check("inside another host's run: outlives it", heard("127.0.0.1", port) == "80")
    s.end()
    check("inside another host's run: ends with its host", becomes(b.publishers, []) == [])


run_cases(by_hand, ranges, all_of_it, two_addresses, wrong, held_by, no_descriptors, stuck, full, not_accepted, listener_goes, removed, inside, only=2)
