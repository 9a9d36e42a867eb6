#!/usr/bin/env python3
"""tests/cli/why.py BERTH HOLDER: `berth why` of a machine of its own: who is in the way, as what, notes; and `why -- COMMAND`.

Runs itself again in a network namespace, where nobody but this test has ports.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

from alone import BERTH, HOLDER, check, env, failed, scratch

A, P = socket.SO_REUSEADDR, socket.SO_REUSEPORT
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


def berth(*argv):
    return subprocess.run([BERTH, *argv], stdin=subprocess.DEVNULL, capture_output=True, env=env, timeout=60, check=False, text=True)


def why(*argv):
    r = berth("why", "--json", *argv)
    check(f"why {' '.join(argv)}: exit code {r.returncode}", r.returncode in (0, 1), r.stderr)
    j = json.loads(r.stdout)
    j["codes"] = [n["code"] for n in j["notes"] if n["code"] not in ("OTHER_NAMESPACE", "NAMESPACES_LEFT")]  # others' tests
    check(f"why {' '.join(argv)}: the exit code is the machine's answer", j["free"] == (r.returncode == 0), j)
    return j


def made(kind, addr, port, *flags, listen=False, peer=None):
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, kind)
    for f in flags:
        s.setsockopt(socket.SOL_SOCKET, f, 1)
    s.bind((addr, port))
    if listen:
        s.listen()
    if peer:
        s.connect(peer)
    return s


def tells(what, j, **want):
    got = {k: j.get(k) for k in want}
    check(what, got == want, j)


# --- how a port is held ---
server = made(TCP, "127.0.0.1", 2000, A, listen=True)
j = why("2000")
tells("a listener", j, reason="IN_USE_LISTEN", how="listens", errno="EADDRINUSE", held_at="127.0.0.1:2000", certain=True)
check("its process is named", j["holder"]["pid"] == os.getpid(), j["holder"])
check("loopback only", j["codes"] == ["LOOPBACK_ONLY"], j)
check("the port that is advised is free", socket.socket().bind(("0.0.0.0", j["nearest_free"])) is None)
idle = made(TCP, "0.0.0.0", 2001)
tells("bound and idle", why("2001"), reason="IN_USE_BOUND", how="idle", free=False)
out = made(TCP, "127.0.0.1", 40000, peer=("127.0.0.1", 2000))
taken = server.accept()[0]
j = why("40000")
tells("an outgoing connection", j, reason="IN_USE_FLOW", free=False)
check("with its peer", "127.0.0.1:2000" in j["is"], j)
check("in the ephemeral range", "EPHEMERAL" in j["codes"], j)
past = made(TCP, "127.0.0.1", 2002, A, peer=("127.0.0.1", 2000))
other = server.accept()[0]
past.close()
check("the end has come", other.recv(1) == b"")
other.close()
j = why("2002")
tells("TIME_WAIT", j, reason="IN_USE_LINGER", how="time-wait", holder=j["holder"], free=False)
check("its end is told", 0 < j["ends_in_s"] <= 60, j)
check("SO_REUSEADDR is found out to help", any("SO_REUSEADDR" in t for t in j["try"]), j)
tells("and it helps", why("2002", "--reuseaddr"), free=True, proved=True)
tells("free, and proved so", why("2003"), reason="OK", free=True, proved=True, how=None)
server.close()
j = why("2000")
tells("a connection outlives its listener", j, reason="IN_USE_FLOW", how="connection", free=False)
check("and is not called outgoing", "a connection holds 127.0.0.1:2000" in j["what"] and "outgoing" not in j["what"], j)
server = made(TCP, "127.0.0.1", 2000, A, listen=True)

both = made(TCP, "::1", 2007, listen=True)
half = made(TCP, "127.0.0.1", 2007, listen=True)
check("advice is about all who are there", why("2007")["try"][-1].startswith("bind 127.0.0.2:2007"), why("2007"))

# --- who else is in the way ---
one = made(TCP, "127.0.0.1", 2008, listen=True)
two = subprocess.Popen([HOLDER, "127.0.0.2", "2008", "listen"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
two.stdout.readline()
j = why("2008")
check("another holder is told", "MORE_HOLDERS" in j["codes"] and {j["holder"]["pid"]} <= {os.getpid(), two.pid}, j)
other_pid = two.pid if j["holder"]["pid"] == os.getpid() else os.getpid()
check("by its name", any(f"(pid {other_pid}) is in the way" in n["text"] for n in j["notes"]), j)
check("not one that is not", "MORE_HOLDERS" not in why("2008", "-a", "127.0.0.1")["codes"])
two.stdin.close()
two.wait()
busy = made(TCP, "127.0.0.1", 2009, A, listen=True)
caller = made(TCP, "127.0.0.1", 0, peer=("127.0.0.1", 2009))
served = busy.accept()[0]
served.close()
check("served", caller.recv(1) == b"")
caller.close()
check("what it leaves is told", "TIME_WAIT_TOO" in why("2009")["codes"], why("2009"))
busy.close()
tells("and is what is left", why("2009"), how="time-wait")
tells("which a server with the flag may have", why("2009", "--reuseaddr", "--listen"), free=True)

# --- notes ---
six = made(TCP, "::1", 2004, listen=True)
check("split", why("2004", "-a", "127.0.0.1")["codes"] == ["SPLIT", "LOOPBACK_ONLY"], why("2004", "-a", "127.0.0.1"))
four = subprocess.Popen([sys.executable, "-c", "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 2004)); s.listen()\n"
                         "print('ready', flush=True); sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
four.stdout.readline()
j = why("2004", "-a", "127.0.0.1")
check("split, and in use", j["reason"] == "IN_USE_LISTEN" and j["holder"]["pid"] == four.pid and "SPLIT" in j["codes"], j)
four.communicate()
four = made(TCP, "127.0.0.1", 2004, listen=True)
j = why("2004", "-a", "127.0.0.1")
check("both halves are one program's", j["reason"] == "IN_USE_LISTEN" and "SPLIT" not in j["codes"], j)
four.close()
group = made(TCP, "0.0.0.0", 2005, P, listen=True)
check("shared", why("2005", "--reuseport", "--listen")["codes"] == ["SHARED"])
if os.getuid() == 0:
    tells("of one user only", why("2005", "--reuseport", "--user", "65534"), reason="OTHER_USER", errno="EADDRINUSE")
check("more exact", why("2005", "-a", "127.0.0.1", "--reuseport")["codes"] == ["SPECIFIC_WINS"])
dns = made(UDP, "127.0.0.1", 2006, A)
check("UDP beside a specific one", why("2006/udp", "--reuseaddr")["codes"][:2] == ["SPECIFIC_WINS", "UDP_STEALABLE"])
check("the last wins", why("2006/udp", "-a", "127.0.0.1", "--reuseaddr")["codes"][:2] == ["UDP_LAST_WINS", "UDP_STEALABLE"])
tells("UDP without the flag", why("2006/udp"), reason="IN_USE_BOUND", how="udp", free=False)
check("browsers", why("6000")["codes"] == ["BROWSER_BLOCKED"])
tells("not for everybody", why("80", "--user", "65534"), reason="PRIVILEGED", errno="EACCES")
tells("another address", why("2003", "-a", "192.0.2.1"), reason="NOT_LOCAL", errno="EADDRNOTAVAIL")
check("from afar", why("2000", "--from", "192.0.2.7")["codes"] == ["FROM_LOOPBACK"])
check("from here", why("2000", "--from", "127.0.0.1")["codes"] == ["FROM_REACHES"])
check("over the other family", why("2005", "--from", "2001:db8::1")["codes"] == ["FROM_OTHER_FAMILY"])
check("and from afar to nobody", why("2003", "--from", "192.0.2.7")["codes"] == ["FROM_NOBODY"])


# --- elsewhere: another namespace, a container behind its proxy ---
INSIDE = """
import socket, subprocess, sys
subprocess.run(f"ip link set lo up; ip addr add {sys.argv[1]}/32 dev lo", shell=True, check=True)
s = []
for a, p in ("0.0.0.0", 2010), ("127.0.0.1", 2011), ("0.0.0.0", 2012):
    s.append(socket.socket()); s[-1].bind((a, p)); s[-1].listen()
print("ready", flush=True)
sys.stdin.read()
"""
address = f"172.30.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"  # other runs of this test have their own
inner = subprocess.Popen(["unshare", "-n", sys.executable, "-c", INSIDE, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
ready = inner.stdout.readline() == b"ready\n"
if ready and os.getuid() == 0:
    j = why("2012")
    tells("another namespace is in nobody's way", j, free=True)
    check("and is told of", any(n["code"] == "OTHER_NAMESPACE" and f"(pid {inner.pid})" in n["text"] for n in j["notes"]), j)
    for port, target, code in (2020, 2010, "CONTAINER_PROXY"), (2021, 2011, "CONTAINER_LOOPBACK"), (2022, 2013, "CONTAINER_SILENT"):
        s = made(TCP, "0.0.0.0", port, listen=True)
        p = subprocess.Popen([sys.executable, "-c", "import ctypes, sys, os\n"
                              "ctypes.CDLL(None).prctl(15, b'docker-proxy', 0, 0, 0)\nprint('ready', flush=True)\nsys.stdin.read()",
                              "-proto", "tcp", "-container-ip", address, "-container-port", str(target)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[s.fileno()])
        p.stdout.readline()
        s.close()
        j = why(str(port))
        check(f"a container: {code}", code in j["codes"], j)
        p.stdin.close()
        p.wait()
inner.stdin.close()
inner.wait()

# --- beside a network ---
web = subprocess.Popen([BERTH, "run", "-H", "web", "--", HOLDER, "0.0.0.0", "80", "listen"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
web.stdout.readline()
j = why("80")
check("hosts that have it are told", j["free"] and j["hosts"] == ["web"] and j["networks"] == [], j)
check("to people, too", "(berth why web:80)" in berth("why", "80").stdout)
check("not with --machine", why("80", "--machine")["hosts"] == [])
p = subprocess.run([BERTH, "publish", "web:80", "2030"], capture_output=True, env=env, timeout=60, check=False, text=True)
check("it is published", p.returncode == 0, p)
check("berth's own port", "PUBLISHED_BY_BERTH" in why("2030")["codes"], why("2030"))
p = subprocess.run([BERTH, "run", "-H", "web", "--", BERTH, "why", "80", "--json"], capture_output=True, env=env, timeout=60, check=False, text=True)
check("inside a run its host is asked", json.loads(p.stdout).get("host") == "web" and p.returncode == 1, p)
p = subprocess.run([BERTH, "run", "-H", "web", "--", BERTH, "why", "--json", "--machine", "2000"], capture_output=True, env=env, timeout=60, check=False,
                   text=True)
check("and the machine with --machine", json.loads(p.stdout)["reason"] == "IN_USE_LISTEN", p)
local = subprocess.Popen([BERTH, "run", "--", HOLDER, "0.0.0.0", "81", "listen"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
local.stdout.readline()
r = berth("why", "81")
check("host local's answer follows", r.returncode == 0 and "on host local would fail" in r.stdout, r)
check("in JSON, too", [n["reason"] for n in why("81")["networks"]] == ["IN_USE_LISTEN"])
berth("unpublish", "2030")
for p in web, local:
    p.stdin.close()
    p.wait()

# --- why -- COMMAND ---
TAKE = "import socket, sys\ns = socket.socket()\ntry:\n s.bind(('127.0.0.1', %d))\nexcept OSError as e:\n print(e.errno)\n%s"
r = berth("why", "--", sys.executable, "-c", TAKE % (2000, "sys.exit(7)"))
if "watched already" in r.stderr or "cannot start" in r.stderr:
    print(f"skipped: why -- COMMAND: {r.stderr.strip()}")
else:
    check("the command's answer and exit code are its own", r.returncode == 7 and r.stdout == "98\n", r)
    check("it is told who was refused", "is refused" in r.stderr and f"(pid {os.getpid()}" in r.stderr and "EADDRINUSE" in r.stderr, r)
    r = berth("why", "--", sys.executable, "-c", TAKE % (2003, ""))
    check("nothing is refused", r.returncode == 0 and r.stdout == "" and "none of its binds was refused" in r.stderr, r)
    r = berth("why", "--", "true")
    check("nothing binds", r.returncode == 0 and "no bind to a port was seen" in r.stderr, r)
    r = berth("why", "--", sys.executable, "-c", TAKE % (2000, "s.bind(('127.0.0.1', 2003))"))
    check("a hop is told", "then has 127.0.0.1:2003" in r.stderr, r)
    r = berth("why", "--", sys.executable, "-c", "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)")
    check("it dies of the command's signal", r.returncode == -signal.SIGTERM, r)
    r = berth("why", "--", sys.executable, "-c", TAKE % (2000, "for i in range(3):\n try: s.bind(('127.0.0.1', 2000))\n except OSError: pass"))
    check("each refusal is explained once", r.stderr.count("EADDRINUSE") == 1 and "3 more of its binds" in r.stderr, r)
check("no such command", berth("why", "--", "nosuchcommand").returncode == 127)
check("a port and a command", berth("why", "80", "--", "true").returncode == 2)
check("options and a command", berth("why", "--udp", "--", "true").returncode == 2)
check("no command", berth("why", "--").returncode == 2)
shutil.rmtree(scratch)
print(f"{failed()} failed")
sys.exit(failed() != 0)
