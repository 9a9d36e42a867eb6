"""tests/tap/peer.py: what the tests against Linux share: a network namespace, a driver in it, the kernel's side of it.

The namespace is this process's own (unshare(2)): it is gone when the last process in it is. The device is the driver's, and gone with
it; the driver gets SIGKILL when we die. So nothing stays, however this ends.

A row is a function whose name, or the name given to `row`, reads as a sentence; it fails by an exception. Rows print TAP. Everything
has a time-out, and none of them is part of what is tested: they are long, and only there so that a hang becomes a failure.
"""
import ctypes
import glob
import json
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

CLONE_NEWNET = 0x40000000
LONG = 120.0  # seconds; how long anything may take on a machine that is very busy
V4, V6 = socket.AF_INET, socket.AF_INET6
KERNEL = {V4: "10.9.0.1", V6: "fd09::1"}
STACK = {V4: "10.9.0.2", V6: "fd09::2"}
FAMILY = {V4: "IPv4", V6: "IPv6"}
ECHO, SINK, SLOW, RESET, SOURCE, HTTP, HALF = 7, 9, 10, 13, 19, 80, 20

PATTERN = random.Random(9).randbytes(1048573)  # a prime: no shift by a power of two looks right
LOOKUP = PATTERN + PATTERN[: 1 << 20]
FOLDER = tempfile.mkdtemp(prefix=f"berth-tap-{os.getpid()}-")


class Failed(Exception):
    pass


def expect(what, got, wanted):
    if got != wanted:
        raise Failed(f"{what}: {got!r}, not {wanted!r}")


# --- TAP ---

n_rows = n_failed = 0
only = []


def row(name, function, *args):
    """One row: its own line of TAP. Returns whether it passed."""
    global n_rows, n_failed
    if only and not any(word in name for word in only):
        return True
    n_rows += 1
    began = time.monotonic()
    try:
        note = function(*args)
    except SkipRow as e:
        print(f"ok {n_rows} - {name} # SKIP {e}", flush=True)
        return True
    except Exception as e:  # noqa: BLE001: whatever it is, the row failed
        n_failed += 1
        print(f"not ok {n_rows} - {name}", flush=True)
        text = str(e) if isinstance(e, Failed) else traceback.format_exc()
        for line in text.splitlines():
            print(f"#   {line}", flush=True)
        return False
    print(f"ok {n_rows} - {name}", flush=True)
    if note or time.monotonic() - began > (0.3 if os.environ.get("TAP_TIMES") else 5):
        print(f"#   {note or ''} {time.monotonic() - began:.1f} s", flush=True)
    return True


class SkipRow(Exception):
    pass


def finish():
    print(f"1..{n_rows}", flush=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    sys.stdout.flush()
    os._exit(1 if n_failed else 0)  # threads that hang must not keep us


# --- the namespace and the driver ---


def skip_all(why):
    print(f"1..0 # SKIP {why}", flush=True)
    os.rmdir(FOLDER)
    os._exit(0)  # meson takes 77 for an error where TAP is spoken


def sh(*argv, ok=True, timeout=LONG):
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
    if ok and r.returncode != 0:
        raise Failed(f"{' '.join(argv)}: exit code {r.returncode}\n{r.stdout}")
    return r.stdout


def sysctl(name, value):
    with open("/proc/sys/net/" + name, "w") as f:
        f.write(value)


def sweep():
    """Folders of those that were killed."""
    for path in glob.glob(os.path.join(tempfile.gettempdir(), "berth-tap-*-*")):
        pid = os.path.basename(path).split("-")[2]
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}") and os.stat(path).st_uid == os.geteuid():
            shutil.rmtree(path, ignore_errors=True)


def enter_namespace():
    if os.geteuid() != 0:
        skip_all("needs root, for a network namespace and a TAP")
    if not os.path.exists("/dev/net/tun"):
        skip_all("no /dev/net/tun")
    sweep()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        skip_all(f"unshare: {os.strerror(ctypes.get_errno())}")
    try:
        sh("ip", "link", "set", "lo", "up")
    except (OSError, Failed) as e:
        skip_all(f"ip(8): {e}")
    try:
        sysctl("ipv6/conf/default/accept_dad", "0")
    except OSError:
        pass  # no IPv6 in the kernel: the rows will say
    with open(os.path.join(FOLDER, "pattern"), "wb") as f:
        f.write(PATTERN)


class World:
    """A driver and the kernel's side of its device."""

    @classmethod
    def bare(cls, exe, *flags):
        """Whose device is set up by somebody else."""
        return cls(exe, *flags, setup=False)

    def __init__(self, exe, *flags, mtu=1500, faults=None, pcap=None, setup=True):
        argv = [exe, "--mtu", str(mtu), *flags]
        if pcap:
            argv += ["--pcap", pcap]
        self.lines = []
        self.partial = b""
        self.p = subprocess.Popen(argv + [os.path.join(FOLDER, "pattern")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ends = {}
        self.n_ids = 0
        self.lock = threading.Lock()
        try:
            self.name = self.line("ready ").split()[1]
            if not setup:
                return
            sh("ip", "addr", "add", KERNEL[V4] + "/24", "dev", self.name)
            sh("ip", "addr", "add", KERNEL[V6] + "/64", "dev", self.name, "nodad")
            sh("ip", "link", "set", self.name, "mtu", str(mtu), "up")
            if faults:
                self.ask("fault " + faults)
            self.wait_for_stack()
            self.before = self.counters()  # what was sent before the device was up, it refused
        except BaseException:
            self.p.kill()
            raise

    def wait_for_stack(self):
        """Its IPv6 address is tentative for a second (RFC 4862, 5.4)."""
        for family in (V4, V6):
            until = time.monotonic() + LONG
            while True:
                s = socket.socket(family, socket.SOCK_DGRAM)
                s.settimeout(0.3)
                try:
                    s.connect((STACK[family], ECHO))
                    s.send(b"hello")
                    if s.recv(64) == b"hello":
                        break
                except OSError:
                    time.sleep(0.05)
                finally:
                    s.close()
                if time.monotonic() > until:
                    raise Failed(f"the stack does not answer over {FAMILY[family]}: {self.ask('counters')}")

    def line(self, wanted):
        """The next line of the driver's that begins so; ends of clients and notes are put aside."""
        until = time.monotonic() + LONG
        while True:
            while self.lines:
                text = self.lines.pop(0)
                if text.startswith("end "):
                    _, ident, how, sent, got = text.split()
                    self.ends[ident] = (how, int(sent), int(got))
                    if wanted == "end":
                        return text
                elif text.startswith("note "):
                    print("#   driver: " + text[5:], flush=True)
                elif text.startswith(wanted):
                    return text
                else:
                    raise Failed(f"the driver says: {text}")
            if not select.select([self.p.stdout], [], [], max(0, until - time.monotonic()))[0]:
                raise Failed(f"the driver says nothing ({wanted!r} was expected)")
            data = os.read(self.p.stdout.fileno(), 65536)
            if not data:
                raise Failed(f"the driver has ended: {self.p.wait(10)}")
            *whole, self.partial = (self.partial + data).split(b"\n")
            self.lines += [w.decode() for w in whole]

    def say(self, text):
        self.p.stdin.write((text + "\n").encode())
        self.p.stdin.flush()

    def ask(self, text):
        with self.lock:
            self.say(text)
            return self.line("")

    def counters(self):
        return json.loads(self.ask("counters"))

    def since(self, name):
        return self.counters().get(name, 0) - self.before.get(name, 0)

    def client(self, role, family, port, n=0, how="ok"):
        """One client inside the stack, to its end."""
        with self.lock:
            self.n_ids += 1
            ident = f"c{self.n_ids}"
            self.say(f"connect {ident} {role} {KERNEL[family]} {port} {n}")
            while ident not in self.ends:
                self.line("end")
            expect(f"{role} inside the stack", self.ends[ident][0], how)

    def clients(self, role, family, port, count, n):
        """Many at the same time."""
        with self.lock:
            names = [f"c{self.n_ids + i + 1}" for i in range(count)]
            self.n_ids += count
            for ident in names:
                self.say(f"connect {ident} {role} {KERNEL[family]} {port} {n}")
            while not all(ident in self.ends for ident in names):
                self.line("end")
            bad = [self.ends[i] for i in names if self.ends[i][0] != "ok"]
            expect(f"failures of {count} clients", bad, [])

    def is_quiet(self):
        """Every invariant holds, nothing was seen that is wrong, and in time everything is given back."""
        expect("berth_stack_check()", self.ask("check"), "ok")
        c = self.counters()
        expect("programs in the stack that saw something wrong", c["wrong"], 0)
        until = time.monotonic() + LONG
        while True:
            held = json.loads(self.ask("held"))
            n = held["apps"]
            if n == 8 and held == {"apps": n, "conns": n, "rings": 0, "bursts": 0, "gaps": 0, "syns": 0, "pkts": held["pkts"]}:
                break
            if time.monotonic() > until:
                raise Failed(f"not everything was given back: {held}")
            time.sleep(0.1)

    def close(self):
        self.p.stdin.close()
        try:
            code = self.p.wait(LONG)
        except subprocess.TimeoutExpired:
            self.p.kill()
            code = self.p.wait()
        self.p.stdout.close()
        expect("the driver's exit code", code, 0)


# --- the kernel's side: clients ---


def connect(family, port, timeout=LONG, **options):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(timeout)
    if "rcvbuf" in options:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["rcvbuf"])
    s.connect((STACK[family], port))
    return s


def send_pattern(s, n, at=0):
    while n:
        i = at % len(PATTERN)
        k = min(n, 1 << 18)
        sent = s.send(memoryview(LOOKUP)[i : i + k])
        at += sent
        n -= sent


def recv_pattern(s, n=None, at=0, chunk=1 << 18):
    """All octets up to the end of stream, or n; compared. Returns how many."""
    got = 0
    while n is None or got < n:
        data = s.recv(chunk if n is None else min(chunk, n - got))
        if not data:
            break
        i = (at + got) % len(PATTERN)
        if LOOKUP[i : i + len(data)] != data:
            raise Failed(f"wrong octets at {got} to {got + len(data)}")
        got += len(data)
    return got


def recv_text(s):
    text = b""
    while True:
        data = s.recv(4096)
        if not data:
            return text.decode()
        text += data


def recv_line(s):
    text = b""
    while not text.endswith(b"\n"):
        data = s.recv(1)
        if not data:
            raise Failed(f"end of stream in a line: {text!r}")
        text += data
    return text.decode()


def k_send(family, n, port=SINK):
    with connect(family, port) as s:
        send_pattern(s, n)
        s.shutdown(socket.SHUT_WR)
        expect("the sink's answer", recv_text(s), f"{n} ok\n")


def k_fetch(family, n, back=0, rcvbuf=None, pause=0):
    with connect(family, SOURCE, **({"rcvbuf": rcvbuf} if rcvbuf else {})) as s:
        s.sendall(b"%d\n" % n)
        time.sleep(pause)
        expect("octets from the source", recv_pattern(s), n)
        send_pattern(s, back)  # after its end of stream: the stack's side is half closed


def k_echo(family, n):
    with connect(family, ECHO) as s:
        problem = []

        def write():
            try:
                send_pattern(s, n)
                s.shutdown(socket.SHUT_WR)
            except OSError as e:
                problem.append(e)

        t = threading.Thread(target=write, daemon=True)
        t.start()
        expect("octets that came back", recv_pattern(s), n)
        t.join(LONG)
        expect("problems of the writer", problem, [])


def k_reset(family, n):
    """A connection of the kernel's ends with a reset while data is under way."""
    s = connect(family, ECHO)
    send_pattern(s, n)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def s_reset(family):
    with connect(family, RESET) as s:
        s.sendall(b"x")
        try:
            data = s.recv(100)
        except ConnectionResetError:
            return
        raise Failed(f"no reset: {data!r}")


# --- the kernel's side: servers ---


class Servers:
    """sink, source, echo, half, reset on the kernel, for clients inside the stack."""

    def __init__(self):
        self.problems = []
        for family in (V4, V6):
            for port, serve in ((SINK, self.sink), (SOURCE, self.source), (ECHO, self.echo), (HALF, self.half), (RESET, self.reset),
                                (SLOW, self.slow)):
                l = socket.socket(family, socket.SOCK_STREAM)
                l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == V6:
                    l.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if port == SLOW:
                    l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
                l.bind(("::" if family == V6 else "0.0.0.0", port))
                l.listen(1024)
                threading.Thread(target=self.accept, args=(l, serve), daemon=True).start()

    def accept(self, l, serve):
        while True:
            s, _ = l.accept()
            s.settimeout(LONG)
            threading.Thread(target=self.one, args=(s, serve), daemon=True).start()

    def one(self, s, serve):
        try:
            with s:
                serve(s)
        except Exception as e:  # noqa: BLE001: shown by the row
            self.problems.append(f"{serve.__name__}: {e!r}")

    @staticmethod
    def sink(s):
        n = recv_pattern(s)
        s.sendall(b"%d ok\n" % n)

    @classmethod
    def slow(cls, s):
        time.sleep(2)
        cls.sink(s)

    @staticmethod
    def source(s):
        send_pattern(s, int(recv_line(s)))

    @staticmethod
    def echo(s):
        while True:
            data = s.recv(1 << 16)
            if not data:
                return
            s.sendall(data)

    @staticmethod
    def half(s):
        n = int(recv_line(s))
        expect("end of stream before the answer", s.recv(1), b"")
        send_pattern(s, n)

    @staticmethod
    def reset(s):
        s.recv(1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def is_quiet(self):
        problems, self.problems = self.problems, []
        expect("problems of the kernel's servers", problems, [])


def four_ways(name, w, family, n):
    """n octets in both directions, whichever side opens."""
    f = f"{name}: {FAMILY[family]}"
    row(f"{f}, the kernel connects and sends", k_send, family, n)
    row(f"{f}, the kernel connects and reads", k_fetch, family, n)
    row(f"{f}, the stack connects and sends", w.client, "send", family, SINK, n)
    row(f"{f}, the stack connects and reads", w.client, "fetch", family, SOURCE, n)
