"""tests/publish/harness.py: a network of the kernel's own to publish on, a berth directory, and a program to publish.

Where we may (root), everything runs in a network namespace of its own with nothing in it but a loopback. Else the
machine's loopback is used, on ports that were free a moment ago.
"""
import ctypes
import errno
import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

CLONE_NEWNET = 0x40000000
LINGER_RESET = struct.pack("ii", 1, 0)
failures = []
checks = 0


def own_namespace():
    """True: the kernel's ports are all ours."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNET) != 0:
        return False
    s = socket.socket()
    req = bytearray(struct.pack("16sh22x", b"lo", 0x1 | 0x40))  # IFF_UP | IFF_RUNNING
    fcntl.ioctl(s, 0x8914, req)  # SIOCSIFFLAGS
    s.close()
    return True


ALONE = own_namespace()
HAS6 = True
try:
    socket.socket(socket.AF_INET6).bind(("::1", 0))
except OSError:
    HAS6 = False


def below_the_chosen():
    """Where ports of the kernel's own choice begin: below it no outgoing connection, past or present, holds any."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
            low = int(f.read().split()[0])
    except OSError:
        low = 32768
    return low if low > 12000 else 32768


CHOSEN_FROM = below_the_chosen()


def free_port(n=1):
    """The first of n ports in a row that nobody has, on either loopback, TCP or UDP."""
    while True:
        holders = []
        first = random.randrange(12000, CHOSEN_FROM - n)
        try:
            for i in range(n):
                for family, addr in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                    if family == socket.AF_INET6 and not HAS6:
                        continue
                    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
                        s = socket.socket(family, kind)
                        holders.append(s)
                        s.bind((addr, first + i))
            return first
        except OSError:
            continue
        finally:
            for s in holders:
                s.close()


class Berth:
    def __init__(self, exe):
        self.exe = os.path.realpath(exe)
        self.dir = tempfile.mkdtemp(prefix="berth-publish-")
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("BERTH_") and k not in ("LD_PRELOAD", "no_proxy", "NO_PROXY", "http_proxy")}
        self.env.update(BERTH_DIR=self.dir + "/berth", LC_ALL="C", TERM="dumb")
        self.children = []

    def popen(self, *args, **kw):
        p = subprocess.Popen([self.exe, *args], env=self.env, cwd=self.dir, **kw)
        self.children.append(p)
        return p

    def call(self, *args, timeout=30, **kw):
        return subprocess.run([self.exe, *args], env=self.env, cwd=self.dir, capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, **kw)

    def for_others(self):
        """A copy of berth that every user may execute: this tree may be in a folder that is its owner's alone. Its path."""
        tree = self.dir + "/for-others"
        if not os.path.isdir(tree):
            os.chmod(self.dir, 0o711)
            here = os.path.dirname(self.exe)
            for file in (self.exe, os.path.join(here, "..", "shim", "libberth.so")):
                to = os.path.join(tree, os.path.basename(os.path.dirname(os.path.realpath(file))))
                os.makedirs(to)
                shutil.copy(file, to)
        return tree + "/" + os.path.basename(os.path.dirname(self.exe)) + "/" + os.path.basename(self.exe)

    def publishers(self):
        """Pids of the publishers of this directory."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/comm", "rb") as f:  # other tests' programs have names that are no text
                    if f.read() != b"berth-publish\n":
                        continue
                with open(f"/proc/{pid}/environ", "rb") as f:
                    if ("BERTH_DIR=" + self.env["BERTH_DIR"]).encode() in f.read().split(b"\0"):
                        with open(f"/proc/{pid}/stat") as s:
                            if s.read().rsplit(")", 1)[1].split()[0] != "Z":
                                found.append(int(pid))
            except OSError:
                pass
        return found

    def everybody(self):
        """Pids of all that were started with this directory: a killed `berth run` leaves its keeper and its program."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    if ("BERTH_DIR=" + self.env["BERTH_DIR"]).encode() in f.read().split(b"\0"):
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def end(self):
        for p in self.children:
            if p.poll() is None:
                p.kill()
            p.wait()
        for _ in range(100):  # who was just being forked is there the next time
            left = self.everybody()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            if not left:
                break
            time.sleep(0.01)
        shutil.rmtree(self.dir, ignore_errors=True)


# What is published: listens, closes and ends as its standard input says; answers each caller with the names it sees.
SERVER = r'''
import socket, sys, threading, select
listeners = {}
def serve(c, tag):
    def name(n):
        return "%s %s" % (n[0], n[1])
    c.setblocking(True)
    try:
        c.sendall(("%s|%s|%s|%d\n" % (tag, name(c.getpeername()), name(c.getsockname()), c.family)).encode())
        while True:
            d = c.recv(65536)
            if not d: break
            c.sendall(d)
    except OSError: pass
    c.close()
def open_one(family, addr, port):
    s = socket.socket(socket.AF_INET6 if family != "4" else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family != "4": s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, family == "6")
    s.bind((addr, port)); s.listen(); return s
def accept(s, tag):
    try: c, a = s.accept()
    except BlockingIOError: return
    try: peer = c.getpeername()
    except OSError: peer = a # it was reset before
    if tuple(a[:2]) != tuple(peer[:2]): print("accept said", a, "getpeername", peer, flush=True)
    if c.gettimeout() == 0 or not c.getblocking(): print("it does not block", flush=True)
    threading.Thread(target=serve, args=(c, tag), daemon=True).start()
over = False
while not over:
    for s in select.select([sys.stdin] + list(listeners.values()), [], [])[0]:
        if s is not sys.stdin:
            accept(s, [k[2] for k, v in listeners.items() if v is s][0])
            continue
        w = sys.stdin.readline().split()
        if not w or w[0] == "exit": over = True; break
        k = tuple(w[1:4])
        if w[0] == "listen":      # listen FAMILY ADDR PORT
            listeners[k] = open_one(w[1], w[2], int(w[3])); listeners[k].setblocking(False)
        elif w[0] == "close":     # close FAMILY ADDR PORT [shutdown]
            s = listeners.pop(k); s.shutdown(2) if len(w) > 4 else None; s.close()
        print("done", flush=True)
        break
'''


class Server:
    """The program, on a host, under `berth run` with the given options."""

    def __init__(self, b, host, *options):
        self.p = b.popen("run", "-H", host, *options, "--", sys.executable, "-c", SERVER, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def do(self, *words):
        self.p.stdin.write(" ".join(map(str, words)) + "\n")
        self.p.stdin.flush()
        answer = self.p.stdout.readline()
        if answer != "done\n":
            raise RuntimeError(f"{words}: {answer!r} {self.p.stderr.read() if not answer else ''}")

    def end(self):
        try:
            self.p.stdin.close()
        except OSError:
            pass
        code = self.p.wait(20)
        self.err = self.p.stderr.read()
        self.p.stdout.close()
        self.p.stderr.close()
        return code


def ask(addr, port, timeout=5.0, data=b"x" * 5000):
    """What the server says to a caller: (its tag, our name there, its own name, its family); or an errno's name."""
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET)
    s.settimeout(timeout)
    try:
        s.connect((addr, port))
        f = s.makefile("rwb")
        line = f.readline().decode().strip()
        if not line:
            return "EOF"
        f.write(data)
        f.flush()
        s.shutdown(socket.SHUT_WR)
        if f.read() != data:
            return "WRONG DATA"
        tag, peer, own, family = line.split("|")
        me = s.getsockname()
        return tag, peer, own, int(family), f"{me[0]} {me[1]}"
    except socket.timeout:
        return "TIMEOUT"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    finally:
        s.close()


def becomes(what, want, within=5.0):
    """Does what() become want? The last answer."""
    end = time.monotonic() + within
    while True:
        got = what()
        if got == want or time.monotonic() > end:
            return got
        time.sleep(0.01)


def check(name, ok, detail=""):
    global checks
    checks += 1
    if not ok:
        failures.append(name)
        print(f"FAIL {name}: {detail}", flush=True)


def finish():
    print(f"{checks} checks, {len(failures)} failed" + ("" if ALONE else " (on the machine's own loopback)"))
    sys.exit(1 if failures else 0)


def run_cases(*cases, only=0):
    """Each with a directory of its own; argument `only` of the command line, if there is one, is a part of the names wanted."""
    for case in cases:
        if only and len(sys.argv) > only and sys.argv[only] not in case.__name__:
            continue
        b = Berth(sys.argv[1])
        try:
            case(b)
        finally:
            b.end()
    finish()
