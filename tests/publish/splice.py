#!/usr/bin/env python3
"""tests/publish/splice.py BERTH STATIC: published ports whose callers' octets are carried: asked for, or as the acceptor is outside."""
import hashlib
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading

from harness import *

MIB = 1 << 20
# Each caller says in a line what he wants: echo; source N; sink; names; sent; unread; reset?
PROGRAM = r'''
import hashlib, os, socket, sys, threading
sent = {}
ends = {}
def serve(c):
    line = b""
    while not line.endswith(b"\n"):
        d = c.recv(1)
        if not d: return
        line += d
    w = line.decode().split()
    if w[0] == "names":
        n = lambda a: "%s %s" % (a[0], a[1])
        c.sendall((n(c.getpeername()) + "|" + n(c.getsockname())).encode())
    elif w[0] == "echo":         # until his end; then ours
        while True:
            d = c.recv(65536)
            if not d: break
            c.sendall(d)
    elif w[0] == "sink":         # all of it, then its digest, behind his end
        h, n = hashlib.sha256(), 0
        while True:
            d = c.recv(65536)
            if not d: break
            h.update(d); n += len(d)
        c.sendall(("%d %s" % (n, h.hexdigest())).encode())
    elif w[0] == "source":       # TAG MIB: our end comes first; then what he says behind it is counted
        block = bytes(range(256)) * 4096
        sent[w[1]] = 0
        for i in range(int(w[2])):
            at = 0
            while at < len(block):
                k = c.send(block[at:])
                at += k
                sent[w[1]] += k
        c.shutdown(socket.SHUT_WR)
        n = 0
        while True:
            d = c.recv(65536)
            if not d: break
            n += len(d)
        ends[w[1]] = n
    elif w[0] == "sent":         # TAG
        c.sendall(str(sent.get(w[1], -1)).encode())
    elif w[0] == "end":          # TAG: what was counted, or how it ended
        c.sendall(str(ends.get(w[1], "none")).encode())
    elif w[0] == "watch":        # TAG: until it ends, and how
        c.sendall(b".")
        try:
            ends[w[1]] = "more" if c.recv(1) else "EOF"
        except OSError as e:
            ends[w[1]] = type(e).__name__
    elif w[0] == "unread":       # close with something unread: a reset
        c.sendall(b".")
        c.recv(1, socket.MSG_PEEK)
    elif w[0] == "deaf":         # reads no more, and writes
        c.shutdown(socket.SHUT_RD)
        c.sendall(b".")
        d = b"y" * 1000
        import time
        for i in range(20):
            c.sendall(d); time.sleep(0.01)
    c.close()
def quiet(c):
    try: serve(c)
    except OSError: pass
s = socket.create_server(("", int(sys.argv[1])), backlog=512)
print("up", flush=True)
while True:
    c, a = s.accept()
    if a != c.getpeername(): print("accept said", a, flush=True)
    threading.Thread(target=quiet, args=(c,), daemon=True).start()
'''
BLOCK = bytes(range(256)) * 4096


def start(b, *options, host="web"):
    p = b.popen("run", "-H", host, *options, "--", sys.executable, "-c", PROGRAM, "80", stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = p.stdout.readline()
    if line != "up\n":
        raise RuntimeError(line + p.stderr.read())
    return p


def call(port, *words, addr="127.0.0.1"):
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET)
    s.settimeout(60)
    s.connect((addr, port))
    if words:
        s.sendall((" ".join(map(str, words)) + "\n").encode())
    return s


def all_of(s):
    out = []
    while True:
        d = s.recv(1 << 16)
        if not d:
            return b"".join(out)
        out.append(d)


def told(port, *words):
    try:
        with call(port, *words) as s:
            return all_of(s).decode()
    except OSError as e:
        return errno.errorcode.get(e.errno, repr(e))


def listed(b):
    return json.loads(b.call("ls", "--published", "--json").stdout)


def n_files(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return -1


def names(b, static):
    """The caller's address and the INNER port, for programs of both nets; and how it is shown."""
    port = free_port()
    p = start(b, "-p", f"{port}:80/tcp+splice")
    host = "127.0.0.1"
    becomes(lambda: told(port, "names") != "ECONNREFUSED", True)
    with call(port, "names") as s:
        me = s.getsockname()
        got = all_of(s).decode()
    check("names: the caller's own, and the loopback with the inner port", got == f"127.0.0.1 {me[1]}|{host} 80", got)
    rows = listed(b)
    check("names: JSON says it is spliced", [r["spliced"] for r in rows] == [True], rows)
    got = b.call("ls", "--published").stdout
    check("names: the table does", "web:80/tcp+splice" in got, got)
    r = b.call("publish", "web:80", "0")
    other = r.stdout.split(" ")[0].rsplit(":", 1)[-1]
    check("names: handed over beside it", other.isdigit() and
          becomes(lambda: told(int(other), "names").endswith(f" {other}"), True), r)
    check("names: JSON says that one is not", sorted(r["spliced"] for r in listed(b)) == [False, True], listed(b))
    r = b.call("publish", "web:80/tcp+splice", "0")
    third = r.stdout.split(" ")[0].rsplit(":", 1)[-1]
    check("names: publish takes it, too", "leads to web:80/tcp+splice" in r.stdout and
          becomes(lambda: told(int(third), "names").endswith(" 80"), True), r)
    # one port of the caller's to two published ports of one program
    a = call(port)
    c = socket.socket()
    c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    a2 = socket.socket()
    a2.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    a.close()
    mine = free_port()
    for s, to in ((a2, port), (c, int(third))):
        s.settimeout(30)
        s.bind(("127.0.0.1", mine))
        s.connect(("127.0.0.1", to))
    for s in a2, c:
        s.sendall(b"names\n")
    got = [all_of(s).decode() for s in (a2, c)]
    check("names: one port of the caller's to two published ports", got == [f"127.0.0.1 {mine}|{host} 80"] * 2, got)
    a2.close()
    c.close()
    p.terminate()
    p.wait(20)
    # at another address of the machine's, which only a namespace of our own is sure to have
    if ALONE and shutil.which("ip"):
        subprocess.run(["ip", "addr", "add", "192.0.2.7/32", "dev", "lo"], check=True)
        p = start(b, "-p", f"192.0.2.7:{port}:80+splice")
        inside = subprocess.run([b.exe, "exec", "web", "--", "getent", "ahostsv4", "web"], env=b.env, capture_output=True, text=True)
        inside = inside.stdout.split()[0]
        s = socket.socket()
        s.bind(("192.0.2.7", 0))
        s.settimeout(30)
        becomes(lambda: s.connect_ex(("192.0.2.7", port)), 0)
        s.sendall(b"names\n")
        got = all_of(s).decode()
        check("names: the host's own address, for who calls from elsewhere", got == f"192.0.2.7 {s.getsockname()[1]}|{inside} 80", got)
        s.close()
        p.terminate()
        p.wait(20)
    for text, why in (("80/udp+splice", "only TCP"), ("80+slice", "only splice"), ("80/sctp+splice", "tcp or udp")):
        r = b.call("run", "-p", text, "--", "true")
        check(f"names: {text} is refused", r.returncode == 2 and why in r.stderr, r)
    r = b.call("publish", "web:80/udp+splice", "0")
    check("names: UDP is not published so", r.returncode == 2 and "only TCP" in r.stderr, r)
    with open(b.dir + "/berth.conf", "w") as f:
        f.write(f"host = conf\npublish = {port}:80+splice\n")
    p = start(b, host="conf")
    becomes(lambda: told(port, "names") != "ECONNREFUSED", True)
    got = told(port, "names")
    check("names: berth.conf takes it", got.endswith(" 80"), got)
    p.terminate()
    p.wait(20)
    os.unlink(b.dir + "/berth.conf")
    p = b.popen("run", "-q", "-H", "static", "-p", f"{port}:80+splice", "--", static, stdin=subprocess.DEVNULL)
    becomes(lambda: ask("127.0.0.1", port) != "ECONNREFUSED", True)
    with call(port) as s:
        me = s.getsockname()[1]
        got = all_of(s).decode().split()
    check("names: a static program", got[1:4:2] == [f"127.0.0.1:{me}"] * 2 and got[5].endswith(":80") and
          got[6:] == ["blocks", "1", "cloexec", str(1)], got)
    p.terminate()
    p.wait(20)


def send_all(s, n_mib, end=True):
    for _ in range(n_mib):
        s.sendall(BLOCK)
    if end:
        s.shutdown(socket.SHUT_WR)


def data(b, static):
    """64 MiB each way, alone and both at once; ends of either side first."""
    port = free_port()
    p = start(b, "-p", f"{port}:80+splice")
    becomes(lambda: told(port, "names") != "ECONNREFUSED", True)
    n = 64
    whole = hashlib.sha256()
    for _ in range(n):
        whole.update(BLOCK)
    with call(port, "sink") as s:
        send_all(s, n)
        got = all_of(s).decode()
    check("data: to the program", got == f"{n * MIB} {whole.hexdigest()}", got)
    with call(port, "source", "one", n) as s:
        got = all_of(s)
        check("data: from the program", len(got) == n * MIB and hashlib.sha256(got).digest() == whole.digest(), len(got))
        s.sendall(b"behind its end")
        s.shutdown(socket.SHUT_WR)
        check("data: the way to the program goes on behind its end",
              becomes(lambda: told(port, "end", "one"), "14") == "14", told(port, "end", "one"))
    with call(port, "echo") as s:
        t = threading.Thread(target=send_all, args=(s, n))
        t.start()
        got = all_of(s)
        t.join()
        check("data: both ways at once", len(got) == n * MIB and hashlib.sha256(got).digest() == whole.digest(), len(got))
    with call(port, "echo") as s:
        s.shutdown(socket.SHUT_WR)
        check("data: an end without a word", all_of(s) == b"")
    with call(port, "echo") as s:
        good = 0
        for i in range(500):
            s.sendall(b"%d" % i)
            good += s.recv(100) == b"%d" % i
        check("data: 500 small ones, there and back", good == 500, good)
    with call(port, "deaf") as s:
        s.recv(1)
        s.sendall(b"z" * MIB)
        got = all_of(s)
        check("data: a program that reads no more still writes", got == b"y" * 20000, len(got))
    p.terminate()
    p.wait(20)


def many(b, static):
    """300 at once, one who does not read, and what is left of them."""
    port = free_port()
    p = start(b, "-p", f"127.0.0.1:{port}:80+splice")
    becomes(lambda: told(port, "names") != "ECONNREFUSED", True)
    pid = b.publishers()[0]
    before = n_files(pid)
    slow = call(port, "source", "slow", 64)
    socks = [call(port, "echo") for _ in range(300)]
    for i, s in enumerate(socks):
        s.sendall((b"%d " % i) * 2000)
        s.shutdown(socket.SHUT_WR)
    bad = [i for i, s in enumerate(socks) if all_of(s) != (b"%d " % i) * 2000]
    check("many: 300 at once", bad == [], bad)
    for s in socks:
        s.close()
    sent = int(told(port, "sent", "slow"))
    check("many: who does not read stops his own program, and only that", 0 < sent < 48 * MIB, sent)
    got = all_of(slow)
    check("many: and has all of it later", got == BLOCK * 64, len(got))
    slow.close()
    left = becomes(lambda: n_files(pid) <= before + 40, True)  # 16 spare pipes are kept
    check("many: no descriptors are left", left, (before, n_files(pid)))
    limit = n_files(pid) + 64 + 6 * 12  # a dozen, about
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
    socks = [call(port, "echo") for _ in range(60)]
    for i, s in enumerate(socks):
        s.sendall(b"%d" % i)
    select.select(socks[:1], [], [], 30)
    now = [s for s in socks if select.select([s], [], [], 0.05)[0]]
    check("many: without descriptors some are served at once and some wait", 0 < len(now) < 40, len(now))
    good = 0
    for i, s in enumerate(socks):  # each one's end makes room
        s.shutdown(socket.SHUT_WR)
        good += all_of(s) == b"%d" % i
        s.close()
    check("many: and the others then", good == 60, good)
    p.terminate()
    p.wait(20)
    check("many: no publisher is left", becomes(b.publishers, []) == [], b.publishers())


def resets(b, static):
    port = free_port()
    p = start(b, "-p", f"{port}:80+splice")
    becomes(lambda: told(port, "names") != "ECONNREFUSED", True)
    s = call(port, "watch", "reset")
    s.recv(1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    s.close()
    got = becomes(lambda: told(port, "end", "reset") != "none", True) and told(port, "end", "reset")
    check("resets: the caller's ends the program's connection", got in ("EOF", "ConnectionResetError"), got)
    s = call(port, "unread")
    s.recv(1)
    s.sendall(b"not read")
    try:
        got = s.recv(1)
    except OSError as e:
        got = errno.errorcode[e.errno]
    check("resets: a program that leaves something unread resets the caller", got == "ECONNRESET", got)
    s.close()
    p.terminate()
    p.wait(20)
    check("resets: refused when the program has gone", becomes(lambda: told(port, "names"), "ECONNREFUSED") == "ECONNREFUSED")


def comes_and_goes(b, static):
    port = free_port()
    s = Server(b, "web", "-p", f"127.0.0.1:{port}:80+splice")
    s.do("listen", "4", "0.0.0.0", 81)
    for family, addr in (("4", "0.0.0.0"), ("dual", "::"), ("4", "127.0.0.1")):
        if family != "4" and not HAS6:
            continue
        check("comes and goes: nobody listens", becomes(lambda: ask("127.0.0.1", port), "ECONNREFUSED") == "ECONNREFUSED")
        s.do("listen", family, addr, 80)
        got = becomes(lambda: not isinstance(ask("127.0.0.1", port), str), True)
        check(f"comes and goes: heard at {addr}", got, ask("127.0.0.1", port))
        c = socket.create_connection(("127.0.0.1", port))
        c.settimeout(30)
        f = c.makefile("rwb")
        f.readline()
        s.do("close", family, addr, 80)
        f.write(b"still here\n")
        f.flush()
        check("comes and goes: a connection outlives the listener", f.readline() == b"still here\n")
        f.close()
        c.close()
    check("comes and goes: the program ends well", s.end() == 0 and s.err == "", s.err)


def killed(b, static):
    """The publisher is killed: both sides see the end, and it is none that looks like a whole answer."""
    port = free_port()
    p = start(b, "-p", f"127.0.0.1:{port}:80+splice")
    becomes(lambda: told(port, "names") != "ECONNREFUSED", True)
    inner = call(port, "watch", "killed")
    inner.recv(1)
    half = call(port, "echo")
    half.sendall(b"half")
    check("killed: it was carried", half.recv(4) == b"half")
    for pid in b.publishers():
        os.kill(pid, signal.SIGKILL)
    try:
        got = half.recv(1)
    except OSError as e:
        got = errno.errorcode[e.errno]
    check("killed: the caller is reset", got == "ECONNRESET", got)
    check("killed: refused", becomes(lambda: told(port, "names"), "ECONNREFUSED") == "ECONNREFUSED")
    r = b.call("publish", "web:80+splice", str(port))
    got = becomes(lambda: told(port, "end", "killed"), "EOF")
    check("killed: the program read the end", got == "EOF", (got, r))
    inner.close()
    half.close()
    check("killed: unpublished", b.call("unpublish", str(port)).returncode == 0)
    p.terminate()
    p.wait(20)
    check("killed: nobody is left", becomes(b.publishers, []) == [], b.publishers())


GIVER = r'''
import socket, sys
s = socket.create_server(("", 80))
u = socket.socket(socket.AF_UNIX)
u.connect(sys.argv[1])
print("up", flush=True)
sys.stdin.readline()
socket.send_fds(u, [b"x"], [s.fileno()])
s.close()
u.recv(1)
print("given", flush=True)
sys.stdin.readline()
'''


def outside(b, static):
    """The listener is handed to a process that knows nothing of berth; found when that happens, and when the door opens."""
    port = free_port()
    with socket.socket(socket.AF_UNIX) as u:
        u.bind(b.dir + "/u")
        u.listen()
        p = b.popen("run", "-H", "web", "-p", f"127.0.0.1:{port}:80", "--", sys.executable, "-c", GIVER, b.dir + "/u",
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        c = u.accept()[0]
    p.stdout.readline()
    becomes(lambda: [r["open"] for r in listed(b)], [1])
    check("outside: handed over while the program has it", [r["spliced"] for r in listed(b)] == [False], listed(b))
    p.stdin.write("\n")
    p.stdin.flush()
    listener = socket.recv_fds(c, 1, 1)[1][0]
    c.sendall(b"x")
    p.stdout.readline()
    got = becomes(lambda: [r["spliced"] for r in listed(b)], [True], 20)
    check("outside: found out, and shown", got == [True], listed(b))
    listener = socket.socket(fileno=listener)
    listener.settimeout(20)

    def serve(n):
        for _ in range(n):
            conn = listener.accept()[0]
            conn.settimeout(20)
            conn.sendall(all_of(conn)[::-1])
            conn.close()

    def asked(to):
        t = threading.Thread(target=serve, args=(1,))
        t.start()
        try:
            with call(to) as s:
                s.sendall(b"abc" * 100000)
                s.shutdown(socket.SHUT_WR)
                return all_of(s) == b"cba" * 100000
        except OSError as e:
            return repr(e)
        finally:
            t.join()
    check("outside: served by the other process", asked(port) is True)
    r = b.call("publish", "web:80", "0")
    second = int(r.stdout.split(" ")[0].rsplit(":", 1)[-1])
    becomes(lambda: [r["open"] for r in listed(b)], [1, 1])
    check("outside: known at once by who publishes it now", all(r["spliced"] for r in listed(b)), listed(b))
    check("outside: served there, too", asked(second) is True)
    listener.close()
    c.close()
    got = becomes(lambda: told(port, "names"), "ECONNREFUSED")
    check("outside: closed there, refused", got == "ECONNREFUSED", got)
    p.stdin.close()
    p.wait(20)
    p.stdout.close()


def resolver(b, static):
    """dnsmasq over TCP at another OUTER than INNER: it compares getsockname() with what it bound."""
    if not shutil.which("dnsmasq") or not shutil.which("dig"):
        print("left out: dnsmasq or dig not installed")
        return
    port = free_port()
    p = b.popen("run", "-q", "-H", "dns", "-p", f"{port}:53/tcp+splice", "--", "dnsmasq", "-d", "-C", "/dev/null", "-R", "-h",
                "--address=/x.test/10.1.2.3", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def dig():
        return subprocess.run(["dig", "+tcp", "+short", "+tries=1", "+time=10", "-p", str(port), "@127.0.0.1", "x.test"],
                              capture_output=True, text=True, timeout=60).stdout
    got = becomes(dig, "10.1.2.3\n", 20)
    check("resolver: dnsmasq answers over TCP", got == "10.1.2.3\n", got)
    p.terminate()
    p.wait(20)


def main():
    for case in (names, data, many, resets, comes_and_goes, killed, outside, resolver):
        b = Berth(sys.argv[1])
        try:
            case(b, os.path.realpath(sys.argv[2]))
        finally:
            b.end()
    finish()


main()
