#!/usr/bin/env python3
"""tests/free/commands.py BERTH: `berth free` as a person and a script use it.

In a network namespace of its own: it gives all leases back, and a developer's own are not to be among them.
"""
import atexit
import errno
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "publish"))
from harness import ALONE, HAS6, Berth, becomes, check, finish  # noqa: E402

PY = sys.executable
if not ALONE:
    if "BERTH_TEST_AGAIN" not in os.environ and shutil.which("unshare"):
        os.environ["BERTH_TEST_AGAIN"] = "1"
        if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0:
            os.execvp("unshare", ["unshare", "-rn", PY, *sys.argv])
    print("no network namespace of our own can be made (root, or user namespaces)")
    sys.exit(77)
with open("/proc/self/uid_map") as f:
    ROOT = os.geteuid() == 0 and int(f.read().split()[2]) > 65534
b = Berth(sys.argv[1])
atexit.register(lambda: os.path.isdir(b.dir) and b.call("free", "--drop", "all"))  # when this file fails midway
MINE = f"berth-free-{os.geteuid()}-"


def try_bind(port, address="", family=socket.AF_INET, kind=socket.SOCK_STREAM, flag=None, listen=True):
    """0, or the errno's name."""
    with socket.socket(family, kind) as s:
        if flag:
            s.setsockopt(socket.SOL_SOCKET, flag, 1)
        try:
            s.bind((address, port))
            if listen and kind == socket.SOCK_STREAM:
                s.listen()
            return 0
        except OSError as e:
            return errno.errorcode[e.errno]


def flagless(port, kind=socket.SOCK_STREAM):
    return try_bind(port, kind=kind, listen=False)


HELD, NOT_HELD = "EADDRINUSE", 0


def free(*args, **kw):
    return b.call("free", *args, **kw)


def ports_of(answer):
    return [int(x) for x in answer.stdout.split()]


# --- with a command ---

r = free("--", "sh", "-c", "echo $PORT {} {1} x{}y{2}; echo err >&2; exit 7")
words = r.stdout.split()
check("PORT and {} are the port, the exit code is the command's",
      r.returncode == 7 and len(words) == 4 and words[0] == words[1] == words[2] and words[3] == f"x{words[0]}y{{2}}"
      and 1024 <= int(words[0]) < 65536 and r.stderr == "err\n", (r.returncode, r.stdout, r.stderr))
r = free("3", "--env", "WEB", "--", "sh", "-c", "echo $PORT $PORT_1 $PORT_2 $PORT_3 $WEB $WEB_1 $WEB_2 $WEB_3 {} {1} {2} {3} {4}")
w = r.stdout.split()
check("three ports, and a name for them", len(w) == 13 and len(set(w[1:4])) == 3 and w[0] == w[1] and w[4:8] == w[:4]
      and w[8:12] == w[:4] and w[12] == "{4}", r.stdout)
r = free("--env", "A_PORT", "--env", "B_PORT", "--", "sh", "-c", "echo $PORT $A_PORT $B_PORT")
w = r.stdout.split()
check("a name for each", len(w) == 3 and w[0] == w[1] != w[2], r.stdout)
r = free("4", "--consecutive", "--", "echo", "{1}", "{2}", "{3}", "{4}")
w = [int(x) for x in r.stdout.split()]
check("four in a row", len(w) == 4 and w == list(range(w[0], w[0] + 4)), r.stdout)
r = free("--no-braces", "--", "echo", "{}", "{1}")
check("braces are left alone when asked", r.stdout == "{} {1}\n", r.stdout)
r = free("--", "sh", "-c", "kill -TERM $$")
check("a command that died of a signal", r.returncode == -signal.SIGTERM, r.returncode)
script = b.dir + "/no-first-line"
with open(script, "w") as f:
    f.write("echo port $PORT $0 $1\n")
os.chmod(script, 0o755)
r = free("--", script, "{}")
check("a script without a first line", re.fullmatch(r"port (\d+) \S+/no-first-line \1\n", r.stdout), r.stdout + r.stderr)
with open(script, "w") as f:
    f.write("#!/no/such/interpreter\n")
r = free("--", script)
check("an interpreter that there is not", r.returncode == 126 and "interpreter" in r.stderr, (r.returncode, r.stderr))
r = b.call("free", "--", "sh", "-c", "ulimit -n", timeout=10)
r2 = b.call("free", "500", "--both", "--", "sh", "-c", "ulimit -n", timeout=10)
check("the command's limit of descriptors is its own", r.stdout == r2.stdout != "", (r.stdout, r2.stdout))
r = free("--", "ls", "/proc/self/fd")
r2 = subprocess.run(["ls", "/proc/self/fd"], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=b.dir)
check("and it inherits no descriptor of ours", r.stdout == r2.stdout, (r.stdout, r2.stdout))

# What a server meets inside.
SERVER = r'''
import socket, sys, os
port = int(os.environ["PORT"])
for name, flags, want in (("addr", [2], 0), ("port", [15], 0), ("both", [2, 15], 0), ("none", [], 98)):
    for family, address in ((2, "0.0.0.0"), (2, "127.0.0.1"), (10, "::"), (10, "::1")):
        if family == 10 and sys.argv[1] == "4": continue
        with socket.socket(family) as s:
            for f in flags: s.setsockopt(1, f, 1)
            try:
                s.bind((address, port)); s.listen(); got = 0
                c = socket.create_connection(("127.0.0.1" if family == 2 else "::1", port)); a, _ = s.accept()
                c.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0"); c.close(); a.close()
            except OSError as e: got = e.errno
            if got != want: print(name, address, got)
'''
r = free("--", PY, "-c", SERVER, "6" if HAS6 else "4")
check("a server with a flag listens and is heard, one without is refused", r.returncode == 0 and r.stdout == "", r.stdout + r.stderr)
with socket.socket() as s:
    for i in range(30):
        r = free("--", "true") if i % 3 else free("--", "sh", "-c", "kill -9 $$")
    r = free("--range", "28999", "--", "true")
    check("when it has ended the port is anybody's, at once", r.returncode == 0 and flagless(28999) == NOT_HELD, r.stderr)

# --- signals, and ends that nobody planned ---


def held_run(*args, kind=socket.SOCK_STREAM):
    """A command that runs until we end it; the port it was given."""
    p = b.popen("free", *args, "--", PY, "-c",
                "import os, signal, sys, time\n"
                "signal.signal(signal.SIGUSR1, lambda *a: os.write(1, b'usr1\\n'))\n"
                "signal.signal(signal.SIGHUP, lambda *a: sys.exit(3))\n"
                "print(os.environ['PORT'], os.getpid(), flush=True)\n"
                "while True: time.sleep(100)\n", stdout=subprocess.PIPE, text=True)
    port, pid = map(int, p.stdout.readline().split())
    check("held while it runs", flagless(port, kind) == HELD, flagless(port, kind))
    return p, port, pid


p, port, pid = held_run()
p.send_signal(signal.SIGUSR1)
check("a signal sent to berth reaches the command", p.stdout.readline() == "usr1\n")
p.send_signal(signal.SIGHUP)
check("and its end is its own", p.wait(10) == 3, p.returncode)
check("free again", flagless(port) == NOT_HELD)
p.stdout.close()
p, port, pid = held_run("--udp", kind=socket.SOCK_DGRAM)
check("TCP is not held by --udp", flagless(port) == NOT_HELD)
p.terminate()
check("SIGTERM ends both, by the signal", p.wait(10) == -signal.SIGTERM, p.returncode)
check("free for UDP again", flagless(port, socket.SOCK_DGRAM) == NOT_HELD)
p.stdout.close()
for i in range(12):
    p, port, pid = held_run(*(["--both"] if i % 2 else []))
    time.sleep(random.random() * 0.01)
    os.kill(pid if i % 3 else p.pid, signal.SIGKILL)
    code = p.wait(10)
    # Past the end of berth the kernel has closed its sockets.
    check("kill -9 of the command, or of berth, leaves nothing held", flagless(port) == NOT_HELD
          and flagless(port, socket.SOCK_DGRAM) == NOT_HELD, (i, code))
    if i % 3 == 0:
        os.kill(pid, signal.SIGKILL)  # it outlives berth
    p.stdout.close()
for i in range(40):  # at any moment of its life
    p = b.popen("free", "1", "--both", "--range", "29100-29103", "--registered", "--", "sleep", "0.02", stderr=subprocess.DEVNULL)
    time.sleep(random.random() * 0.02)
    p.kill()
    p.wait(10)
check("kill -9 at random moments: nothing stays held",
      becomes(lambda: [flagless(q, k) for q in range(29100, 29104) for k in (1, 2)], [0] * 8) == [0] * 8)

# --- descriptors ---

TAKES = r'''
import os, socket, sys
n, names = int(os.environ["LISTEN_FDS"]), os.environ["LISTEN_FDNAMES"].split(":")
assert int(os.environ["LISTEN_PID"]) == os.getpid() and len(names) == n, (os.environ["LISTEN_PID"], names)
for i in range(n):
    s = socket.socket(fileno=3 + i)
    a = s.getsockname()
    if s.type == socket.SOCK_STREAM:
        listening = s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        s.listen()
        c = socket.create_connection(("127.0.0.1" if a[0] != "::1" else "::1", a[1])); d, _ = s.accept()
        c.sendall(b"x"); ok = d.recv(1) == b"x"
        c.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0"); c.close()
    else:
        listening = 0
        c = socket.socket(s.family, socket.SOCK_DGRAM); c.sendto(b"x", ("127.0.0.1" if s.family == 2 else "::1", a[1]))
        s.settimeout(5); ok = s.recv(1) == b"x"
    print(names[i], a[0], a[1], "tcp" if s.type == 1 else "udp", listening, ok, flush=True)
'''
ANY = "::" if HAS6 else "0.0.0.0"
r = free("--listen-fds", "--", PY, "-c", TAKES)
check("a server that sets no flag takes a descriptor", re.fullmatch(rf"PORT {ANY} \d+ tcp 0 True\n", r.stdout), r.stdout + r.stderr)
r = free("--listening", "--address", "127.0.0.1", "--env", "WEB", "--", PY, "-c", TAKES)
check("one that listens already, on one address", re.fullmatch(r"WEB 127.0.0.1 \d+ tcp 1 True\n", r.stdout), r.stdout + r.stderr)
r = free("2", "--both", "--listen-fds", "--env", "A", "--env", "B", "--", PY, "-c", TAKES)
check("two ports of two protocols", re.fullmatch(rf"A {ANY} (\d+) tcp 0 True\nA-udp {ANY} \1 udp 0 True\nB {ANY} (\d+) tcp 0 True\n"
      rf"B-udp {ANY} \2 udp 0 True\n", r.stdout), r.stdout + r.stderr)
r = free("--listen-fds", "--address", "192.0.2.1", "--", "true")
check("an address that is not ours", r.returncode == 125 and re.search(r"cannot have port \d+ on 192.0.2.1: Cannot assign", r.stderr), r.stderr)
r = free("--listening", "--", "sh", "-c", "exec 3>&-; echo {}; sleep 0.1")
port = int(r.stdout)
check("berth keeps no copy of a listener", r.returncode == 0 and try_bind(port) == NOT_HELD, r.stderr)
r = subprocess.run([b.exe, "free", "--listen-fds", "--", PY, "-c", TAKES], env=b.env, cwd=b.dir, capture_output=True, text=True,
                   pass_fds=[os.dup2(0, 3), os.dup2(0, 4)], timeout=30)
check("where 3 and 4 were taken by others", re.fullmatch(rf"PORT {ANY} \d+ tcp 0 True\n", r.stdout), r.stdout + r.stderr)
os.close(3)
os.close(4)

# --- servers that set no flag ---

FLAGLESS = r'''
import os, socket, subprocess, sys, threading
port, mine = int(os.environ["PORT"]), 0
def one(kind, family, address):
    with socket.socket(family, kind) as s:
        try:
            s.bind((address, port))
            if kind == 1: s.listen()
            return "ok"
        except OSError as e: return e.errno
t = []
for kind in (1, 2):
    for family, address in ((2, "0.0.0.0"), (2, "127.0.0.1")) + (((10, "::"), (10, "::1")) if sys.argv[1] == "6" else ()):
        t.append(one(kind, family, address))
thread = threading.Thread(target=lambda: t.append(one(1, 2, "127.0.0.1"))); thread.start(); thread.join()
t.append(one(1, 2, "192.0.2.1"))   # EADDRNOTAVAIL is the kernel's as ever
with socket.socket() as s:
    s.bind(("127.0.0.1", 0)); t.append(s.getsockopt(1, 2))   # others are left alone
if os.fork() == 0: print("child", one(1, 2, "0.0.0.0"), flush=True); os._exit(0)
os.wait()
print(*t); sys.exit(6)
'''
V = "6" if HAS6 else "4"
N = 8 if HAS6 else 4
r = free("--both", "--any-server", "--", PY, "-c", FLAGLESS, V)
check("--any-server sets the flag for them", r.returncode == 6 and r.stderr == ""
      and r.stdout == "child ok\n" + "ok " * N + "ok 99 0\n", (r.returncode, r.stdout, r.stderr))
r = free("--both", "--explain", "--", PY, "-c", FLAGLESS, V)
said = re.findall(r"^berth: (\S+) \(pid \d+\) was refused (\d+)/(tcp|udp), which is held for it: EADDRINUSE$", r.stderr, re.M)
check("--explain names them afterwards, once each", r.returncode == 6 and r.stdout == "child 98\n" + "98 " * N + "98 99 0\n"
      and [x[2] for x in said] == ["tcp", "udp", "tcp"] and len({x[1] for x in said}) == 1
      and r.stderr.count("sets neither SO_REUSEADDR nor SO_REUSEPORT") == 3, (r.stdout, r.stderr))
r = free("--both", "--explain", "--", PY, "-c", SERVER.replace('("none", [], 98)', '("none", [2], 0)'), V)
check("and has nothing to say of who sets one", r.returncode == 0 and r.stdout + r.stderr == "", r.stdout + r.stderr)
r = free("6", "--both", "--listen-fds", "--any-server", "--", PY, "-c", TAKES + FLAGLESS, V)
check("with descriptors that come to lie where ours were", r.returncode == 6 and r.stdout.count(" True\n") == 12 and "child ok" in r.stdout,
      (r.returncode, r.stdout, r.stderr))
r = free("--explain", "--", script)
check("what cannot be started is said", r.returncode == 126 and "interpreter" in r.stderr, r.stderr)
r = b.call("run", "--", b.exe, "free", "-q", "--any-server", "--", "true")
check("in a berth run it cannot be had", r.returncode == 125 and "watched already" in r.stderr, (r.returncode, r.stderr))
p = b.popen("free", "--any-server", "--", PY, "-c", "import os, socket, time\nprint(os.getpid(), flush=True)\n"
            "while True:\n    time.sleep(0.001)\n    s = socket.socket()\n    s.bind(('127.0.0.1', int(os.environ['PORT'])))\n",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
pid = int(p.stdout.readline())
p.kill()
p.wait(10)
check("kill -9 of berth: the command cannot bind any more, and does not hang", "OSError" in p.stderr.read(), "")
p.stdout.close()
p.stderr.close()

# --- leases ---


def leases():
    return {q["port"]: q for q in json.loads(free("--list", "--json").stdout)}


r = free()
port = ports_of(r)[0]
check("a port without more is held for a minute", flagless(port) == HELD and 50 < leases()[port]["left_s"] <= 60, leases())
check("a server takes it", try_bind(port, flag=socket.SO_REUSEADDR) == 0 and try_bind(port, flag=socket.SO_REUSEPORT) == 0)
check("and is given back", free("--drop", str(port)).returncode == 0 and flagless(port) == NOT_HELD and port not in leases())
r = free("--drop", str(port))
check("twice is no", r.returncode == 1 and "no lease holds" in r.stderr, (r.returncode, r.stderr))
r = free("2", "--both", "--lease", "1h30m", "--json")
j = json.loads(r.stdout)
all_of_it = leases()
check("JSON says what it is", sorted(j) == ["host", "pid", "ports", "tcp", "udp", "until_unix_s", "with"] and len(j["ports"]) == 2
      and j["tcp"] and j["udp"] and abs(j["until_unix_s"] - time.time() - 5400) < 60 and j["host"] is None, r.stdout)
check("and so does the list", all(q in all_of_it and all_of_it[q]["pid"] == j["pid"] and all_of_it[q]["tcp"] and all_of_it[q]["udp"]
      and all_of_it[q]["with"] is None for q in j["ports"]), all_of_it)
first, second = j["ports"]
check("one protocol of one is given back", free("--drop", f"{first}/udp").returncode == 0
      and flagless(first, socket.SOCK_DGRAM) == NOT_HELD and flagless(first) == HELD
      and flagless(second, socket.SOCK_DGRAM) == HELD and leases()[first]["udp"] is False)
r = free("--list")
check("the list is for people, too", re.search(rf"^{first}/tcp +90 min +\S+ +pid {j['pid']}$", r.stdout, re.M)
      and re.search(rf"^{second}/tcp\+udp +90 min", r.stdout, re.M), r.stdout)
os.kill(j["pid"], signal.SIGKILL)
check("kill -9 of its process frees it", becomes(lambda: [flagless(q) for q in j["ports"]], [0, 0]) == [0, 0])
check("and it is listed no more", becomes(lambda: first in leases(), False) is False)
r = free("--lease", "1", "--range", "28990")
check("a lease of a second", becomes(lambda: flagless(28990), NOT_HELD, 20) == NOT_HELD, r.stderr)
sleeper = subprocess.Popen(["sleep", "1000"])
port = ports_of(free("--with", str(sleeper.pid)))[0]
check("held with a process, without an end", flagless(port) == HELD and leases()[port]["left_s"] is None
      and leases()[port]["with"] == sleeper.pid, leases())
sleeper.kill()
sleeper.wait()
check("and gone with it", becomes(lambda: flagless(port), NOT_HELD) == NOT_HELD)
r = subprocess.run(["sh", "-c", f'a=$("{b.exe}" free --with $$); b=$("{b.exe}" free --udp --with $$); echo $a $b; exec sleep 0.3'],
                   env=b.env, capture_output=True, text=True, timeout=30)
a1, a2 = map(int, r.stdout.split())
check("a script's ports end with it", becomes(lambda: [flagless(a1), flagless(a2, 2)], [0, 0]) == [0, 0], r)
r = free("3", "--lease", "1h")
r2 = free("--lease", "1h")
check("all of ours are dropped at once", free("--drop", "all").returncode == 0 and [flagless(q) for q in ports_of(r) + ports_of(r2)] == [0] * 4)
check("and then there is none", free("--drop", "all").returncode == 1)
j = json.loads(free("--lease", "1h", "--json").stdout)
with open(f"/proc/{j['pid']}/comm") as f:
    check("its process says what it is", f.read() == "berth-lease\n")
check("and has nothing of ours", all(os.readlink(f"/proc/{j['pid']}/fd/{fd}") == "/dev/null" for fd in "012")
      and os.readlink(f"/proc/{j['pid']}/cwd") == "/")
check("and is small", len(os.listdir(f"/proc/{j['pid']}/fd")) <= 7, os.listdir(f"/proc/{j['pid']}/fd"))
os.kill(j["pid"], signal.SIGSTOP)
r = free("--list")
check("a stopped one is named", r.returncode == 0 and f"process {j['pid']}, which holds ports, does not answer" in r.stderr, r.stderr)
r = free("--drop", str(j["ports"][0]))
check("and what it holds cannot be had", r.returncode == 125 and "is it stopped?" in r.stderr, (r.returncode, r.stderr))
os.kill(j["pid"], signal.SIGCONT)
check("until it goes on", becomes(lambda: free("--drop", str(j["ports"][0])).returncode, 0) == 0 or flagless(j["ports"][0]) == 0)
# Somebody else's process under such a name, who says nothing or nonsense.
fake = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
fake.bind("\0" + MINE + "machine-1-00000000")
fake.listen()
check("a name that is no lease is waited for in vain, and said", "does not answer" in free("--list").stderr)
fake.close()
if ROOT:
    port = ports_of(free("--lease", "1h"))[0]
    other = {"user": 65534, "group": 65534, "extra_groups": [], "executable": b.for_others()}
    seen = b.call("free", "--list", "--json", **other)
    check("another user sees nothing of it", seen.returncode == 0 and json.loads(seen.stdout) == [], seen.stdout + seen.stderr)
    check("and cannot drop it", b.call("free", "--drop", str(port), **other).returncode == 1 and flagless(port) == HELD)
    theirs = b.call("free", "--lease", "1h", **other)
    their = ports_of(theirs)[0]
    check("root sees theirs", their in leases(), theirs.stderr)
    check("'all' are not theirs", free("--drop", "all").returncode == 0 and flagless(port) == 0 and flagless(their) == HELD)
    check("but root may", free("--drop", str(their)).returncode == 0 and flagless(their) == 0)

# --- too little of it ---

with socket.socket() as s, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
    s.bind(("127.0.0.1", 28801))
    s.listen()
    u.bind(("127.0.0.1", 28802))
    r = free("4", "--range", "28800-28803")
    check("how many there are, and who has the others", r.returncode == 125 and r.stdout == ""
          and re.search(r"28800-28803 has 3 free ports, and 4 were asked for: 1 is taken \(28801/tcp: .*pid %d\) listens there\)"
                        % os.getpid(), r.stderr), r.stderr)
    r = free("4", "--both", "--range", "28800-28803")
    check("of both protocols", "has 2 free ports" in r.stderr and "2 are taken" in r.stderr, r.stderr)
    r = free("3", "--consecutive", "--range", "28800-28803")
    check("enough, but not in a row", "has 3 free ports, but no 3 of them in a row: 1 is taken" in r.stderr, r.stderr)
    r = free("--range", "28801")
    check("one that is taken", re.search(r"port 28801 is taken \(28801/tcp: .*listens there\)$", r.stderr), r.stderr)
    r = free("3", "--range", "28800-28803")
    check("what there is is given", sorted(ports_of(r)) == [28800, 28802, 28803], r.stdout + r.stderr)
    free("--drop", "all")
r = free("200", "--range", "28800-28999", "--registered", "--lease", "1h")
with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as f:
    f.write("28800 28999")
got = {try_bind(0, flag=f) for f in (None, socket.SO_REUSEADDR, socket.SO_REUSEPORT) for _ in range(3)}
check("with all of its range held, the kernel has nothing to give", len(ports_of(r)) == 200 and got == {"EADDRINUSE"}, (r.stderr, got))
free("--drop", "all")
with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as f:
    f.write("1024 65000")
with open("/proc/sys/net/ipv4/ip_local_reserved_ports", "w") as f:
    f.write("65001-65520")
got = ports_of(free("10"))
check("outside the kernel's range first, and what is reserved not at all", all(65521 <= q <= 65535 for q in got), got)
r = free("10", "--range", "65001-65500")
check("reserved is said", "500 are reserved (net.ipv4.ip_local_reserved_ports)" in r.stderr, r.stderr)
with open("/proc/sys/net/ipv4/ip_local_reserved_ports", "w") as f:
    f.write("\n")
with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as f:
    f.write("32768 60999")
free("--drop", "all")

# --- many at the same time, by the command itself ---

ps = [b.popen("free", "5", "--", PY, "-c",
              "import os, socket, time\n"
              "ss = []\n"
              "for i in range(1, 6):\n"
              "    s = socket.socket(); s.setsockopt(1, 2, 1); s.bind(('127.0.0.1', int(os.environ['PORT_%d' % i]))); s.listen(); ss.append(s)\n"
              "print(*[os.environ['PORT_%d' % i] for i in range(1, 6)], flush=True); input()\n",
              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(30)]
got = [p.stdout.readline().split() for p in ps]
check("thirty commands with five servers each", sum(map(len, got)) == 150 == len({q for g in got for q in g}),
      [p.communicate("\n")[1] for p, g in zip(ps, got) if len(g) != 5][:2])
for p in ps:
    if p.poll() is None:
        p.communicate("\n")
    check("each ended well", p.wait(20) == 0, p.returncode)

# --- in a network ---

r = b.call("run", "-H", "web", "--", b.exe, "free", "--", PY, "-c",
           SERVER + "\nprint('host', os.environ['BERTH_HOST'])", "6")
check("in a network it is the host's port, and said so", r.returncode == 0 and r.stdout == "host web\n"
      and "what is free here is a port of host web, not of the machine" in r.stderr, r.stdout + r.stderr)
r = b.call("run", "-H", "web", "--", "sh", "-c",
           f'p=$("{b.exe}" free -q --with $$); "{b.exe}" free -q --list --json; "{b.exe}" who $p -H web; "{b.exe}" free --list -q >/dev/null;'
           'echo port $p')
port = int(re.search(r"port (\d+)", r.stdout)[1]) if "port " in r.stdout else 0
check("a lease there holds a port of the host", f'"port": {port},' in r.stdout and "berth-lease" in r.stdout and r.stderr == "", r.stdout + r.stderr)
p = b.popen("run", "-H", "web", "--", "sh", "-c", f'"{b.exe}" free -q --lease 1h; read x; "{b.exe}" free --drop all', stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
port = int(p.stdout.readline())
check("which the machine's list does not have, and the machine's port is free", port not in leases() and flagless(port) == NOT_HELD)
r = b.call("run", "-H", "web", "--", PY, "-c", "import socket\ns = socket.socket(); s.bind(('', %d))" % port)
check("while on the host it is refused, and explained", r.returncode == 1 and "EADDRINUSE" in r.stderr and "berth-lease" in r.stderr, r.stderr)
p.communicate("\n")
check("and is dropped there", p.returncode == 0, p.returncode)

# Nothing of ours is left.
free("--drop", "all")


def left():
    with open("/proc/net/unix") as f:
        return [x for x in f.read().split("\n") if MINE in x and "machine" in x]


check("no process is left", becomes(left, []) == [], left())
b.end()
finish()
