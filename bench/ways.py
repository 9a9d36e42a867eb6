#!/usr/bin/env python3
"""The ways in and out, beside the kernel's own loopback and beside what others use: pasta, slirp4netns, rootlesskit.

    bench/ways.py BERTH BENCH_WAYS [--rounds N] [--only published|outside] [--figures trip,conn] [--ways pasta,...] [--4]
                  [--other BERTH]...                         beside other builds of berth: before and after
                  [--wait SECONDS]                           of all, for moments when the machine has nothing else to do
                  [--cpu N]                                  all of it on one processor: what things cost, and little chance
                                                                       (make bench-ways ARGS="--rounds 15")

The same server and the same client (bench/ways.c) everywhere. `published`: the server is inside, the client on the machine.
`outside`: the client is inside, the server on the machine's loopback. The ways take turns at each figure, in an order that
rotates; what is shown are medians over the rounds, and the ratio is the median of those of each round, so that a machine that
is busy for a while hurts all alike. Everything runs at nice -20 where that is allowed.

How the others are run (as root; else unshare(1) is told -r, and pasta not --runas):

    pasta         pasta --runas 0 --config-net -t P -u P -- SERVER                       on all addresses: it takes one or all
                  pasta --runas 0 --config-net -t none -u none -T P -U P -- CLIENT     to 127.0.0.1 and ::1: its short way
    slirp4netns   unshare -n SERVER or CLIENT; slirp4netns --configure --mtu=65520 --enable-ipv6 --api-socket S PID tap0; over S:
                  add_hostfwd 127.0.0.1:P to 8080, tcp and udp. The machine's loopback is 10.0.2.2 and fd00::2 there
    rootlesskit   rootlesskit --net=slirp4netns --mtu=65520 --port-driver=builtin -p 127.0.0.1:P:8080/tcp -p ...udp SERVER, in a
                  mount namespace where /etc/subuid and /etc/subgid give root a range. Its way out is slirp4netns

Each lives in a process namespace of its own, which is killed as a whole; every wait has an end. A way that is not installed, or
does not come up, is named and left out; what a way cannot do is a dash.
"""
import argparse
import json
import os
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

INNER = 8080
UP_S = 15  # for a way to come up
ANSWER_S = 20  # for one measurement; the client's own patience is less

FIGURES = {  # key: what it is, unit, less is better, goal of berth / kernel
    "throughput": ("TCP, one way", "GB/s", False, 0.95),
    "back": ("TCP, the other way", "GB/s", False, 0.95),
    "trip": ("TCP, round trip", "us", True, 0.95),
    "conn": ("connections, one by one", "k/s", False, 0.7),
    "conns": ("connections, 16 at once", "k/s", False, 0.7),
    "utrip": ("UDP, round trip", "us", True, 0),
    "udp": ("UDP, datagrams", "k/s", False, 0),
}


class NotHere(Exception):
    pass


def free_port():
    """One that nobody has, of both protocols and families."""
    for _ in range(100):
        with socket.socket(socket.AF_INET6) as t, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as u:
            t.bind(("::", 0))
            try:
                u.bind(("::", t.getsockname()[1]))
                return t.getsockname()[1]
            except OSError:
                continue
    raise NotHere("no free port")


class Program:
    """One of bench/ways.c's, behind pipes: ends with its input, or is killed."""

    def __init__(self, argv, log):
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        self.rest = b""

    def line(self, patience_s):
        end = time.monotonic() + patience_s
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.p.stdout], [], [], left)[0]:
                return None
            got = os.read(self.p.stdout.fileno(), 4096)
            if not got:
                return None
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def ready(self):
        """The port that it says it is ready at. Others may speak before (slirp4netns's PID)."""
        end = time.monotonic() + UP_S
        while time.monotonic() < end:
            line = self.line(end - time.monotonic())
            if line is None:
                break
            if line.startswith("ready "):
                return int(line.split()[1])
        raise NotHere("it did not come up")

    def ask(self, figure, addr, port):
        """A figure; None: it cannot."""
        try:
            self.p.stdin.write(f"{figure} {addr} {port}\n".encode())
            self.p.stdin.flush()
        except OSError:
            return None
        line = self.line(ANSWER_S)
        return None if not line or line.startswith("-") else float(line)

    def end(self):
        try:
            self.p.stdin.close()
        except OSError:
            pass
        try:
            self.p.wait(3)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
        self.p.stdout.close()


ROOT = os.geteuid() == 0
# A process namespace of its own: nothing in it outlives unshare(1).
CONFINED = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] + ([] if ROOT else ["-r"])


class Way:
    """Brings up self.program, inside (published: a server; else a client), and says where the other side finds what it needs."""

    name = needs = None

    def __init__(self, bench, folder, published, server_port):
        self.bench, self.folder, self.published, self.server_port = bench, folder, published, server_port
        self.log = open(os.path.join(folder, f"{self.name}.{'in' if published else 'out'}"), "ab")
        self.program, self.helpers = None, []
        self.where = {"4": "127.0.0.1", "6": "::1"}  # for the client
        self.port = free_port() if published else server_port
        if self.needs and not shutil.which(self.needs):
            raise NotHere("not installed")

    def inner(self, port=INNER):
        return [self.bench, "server", str(port)] if self.published else [self.bench, "client"]

    def start(self, argv):
        self.program = Program(argv, self.log)
        return self.program.ready()

    def why(self, what):
        with open(self.log.name, encoding="utf-8", errors="replace") as f:
            said = [x.strip() for x in f if x.strip() and "syslog" not in x]
        return what + (": " + said[-1] if said else "")

    def end(self):
        if self.program:
            self.program.end()
        for p in self.helpers:
            p.kill()
            p.wait()
        self.log.close()


class Kernel(Way):
    name = "kernel"

    def up(self):
        self.port = self.start(self.inner(0)) if self.published else self.port
        if not self.published:
            self.start(self.inner())


class Berth(Way):
    name, tcp = "berth", ""

    def up(self):
        run = [self.command, "run", "-q", "-n", self.name, "-H", "inside" if self.published else "client"]
        if self.published:
            for what in self.tcp, "/udp":
                run += ["-p", f"{self.port}:{INNER}{what}"]
        else:
            names = subprocess.run(run + ["--", "getent", "ahosts", "gateway.berth"], stdout=subprocess.PIPE, timeout=UP_S)
            for line in names.stdout.decode().split("\n"):
                if " STREAM" in line:
                    self.where["6" if ":" in line.split()[0] else "4"] = line.split()[0]
        self.start(run + ["--"] + self.inner())


class Spliced(Berth):
    """Its callers' octets are carried (UDP's are as ever)."""

    name, tcp = "spliced", "/tcp+splice"

    def up(self):
        if not self.published:
            raise NotHere("there is one way out only")
        super().up()


class Pasta(Way):
    name = needs = "pasta"

    def up(self):
        run = ["pasta"] + (["--runas", "0"] if ROOT else []) + ["-q", "-f", "--config-net"]
        if self.published:
            run += ["-t", str(self.port), "-u", str(self.port)]
        else:
            run += ["-t", "none", "-u", "none", "-T", str(self.port), "-U", str(self.port)]
        self.start(CONFINED + run + ["--"] + self.inner(self.port))


class Slirp(Way):
    name = needs = "slirp4netns"

    def up(self):
        self.start(["unshare", "--net"] + CONFINED[1:] + ["sh", "-c", 'ip link set lo up; exec "$@"', "sh"] + self.inner())
        # unshare's child has the namespace, too, but its number is not known; unshare itself has it.
        api, ready = os.path.join(self.folder, f"slirp.{self.published}"), os.pipe()
        argv = ["slirp4netns", "--configure", "--mtu=65520", "--enable-ipv6", f"--ready-fd={ready[1]}", "--api-socket", api]
        argv += [] if ROOT else [f"--userns-path=/proc/{self.program.p.pid}/ns/user"]
        self.helpers.append(subprocess.Popen(argv + [str(self.program.p.pid), "tap0"], stdin=subprocess.DEVNULL,
                                             stdout=self.log, stderr=self.log, pass_fds=[ready[1]]))
        os.close(ready[1])
        there = select.select([ready[0]], [], [], UP_S)[0] and os.read(ready[0], 1)
        os.close(ready[0])
        if not there:
            raise NotHere("it did not come up")
        if not self.published:
            self.where = {"4": "10.0.2.2", "6": "fd00::2"}
            return
        del self.where["6"]  # its forwarder is IPv4's
        for proto in "tcp", "udp":
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(UP_S)
                s.connect(api)
                s.sendall(json.dumps({"execute": "add_hostfwd", "arguments": {
                    "proto": proto, "host_addr": "127.0.0.1", "host_port": self.port, "guest_port": INNER}}).encode())
                s.shutdown(socket.SHUT_WR)
                answer = s.recv(4096)
            if b"error" in answer:
                raise NotHere(answer.decode().strip())


class Rootlesskit(Way):
    name = needs = "rootlesskit"

    def up(self):
        if not self.published:
            raise NotHere("its way out is slirp4netns")
        del self.where["6"]  # its driver connects to 127.0.0.1
        run = ["rootlesskit", "--net=slirp4netns", "--mtu=65520", "--port-driver=builtin",
               "--state-dir", os.path.join(self.folder, "rootlesskit")]
        for proto in "tcp", "udp":
            run += ["-p", f"127.0.0.1:{self.port}:{INNER}/{proto}"]
        ids = os.path.join(self.folder, "subid")
        with open(ids, "w") as f:
            f.write("root:100000:65536\n")
        bind = f"mount --bind {ids} /etc/subuid && mount --bind {ids} /etc/subgid && " * ROOT
        self.start(CONFINED + ["sh", "-c", bind + 'exec "$@"', "sh"] + run + self.inner())


WAYS = [Kernel, Berth, Spliced, Pasta, Slirp, Rootlesskit]


def stolen():
    with open("/proc/stat", encoding="ascii") as f:
        v = [int(x) for x in f.readline().split()[1:9]]
    return v[7], sum(v)


class Quiet:
    """Others' work on this machine is waited for: a set of turns begins when processors idle, or when its part of the time is over."""

    def __init__(self, left_s, n_sets):
        self.left_s, self.n_sets, self.n_begun, self.n_quiet = left_s, n_sets, 0, 0

    @staticmethod
    def idle():
        def read():
            with open("/proc/stat", encoding="ascii") as f:
                v = [int(x) for x in f.readline().split()[1:9]]
            return v[3] + v[4], sum(v)
        a = read()
        time.sleep(0.1)
        b = read()
        return b[0] - a[0] > 0.7 * (b[1] - a[1])

    def wait(self):
        if self.left_s <= 0:
            return
        began = time.monotonic()
        mine_s = 2 * self.left_s / max(1, self.n_sets - self.n_begun)
        self.n_begun += 1
        there = self.idle()
        while not there and time.monotonic() - began < min(mine_s, self.left_s):
            there = self.idle()
        self.n_quiet += there
        self.left_s -= time.monotonic() - began


def begin(way, args, folder, published, port, client):
    """The way, and who asks: the machine's client, or the way's own. Ends when the way answers."""
    try:
        way = way(args.bench, folder, published, port)
    except NotHere as e:
        return None, str(e)
    try:
        way.up()
        asked = client or way.program
        end = time.monotonic() + UP_S
        while asked.ask("conn", way.where["4"], way.port) is None:
            if time.monotonic() > end:
                raise NotHere("nobody is reached")
            time.sleep(0.05)
        return way, None
    except (NotHere, subprocess.TimeoutExpired, OSError) as e:
        way.end()
        return None, way.why(str(e))


def cell(w, kernel, mine, unit, less):
    """A way's median, and its ratio to the kernel's; and that ratio."""
    v, k = [x for x in mine if x is not None], [x for x in kernel if x is not None]
    if not v or not k:
        return f"{'-':>13}" + ("" if w.name == "kernel" else f"{'':7}"), None
    text = f"{statistics.median(v):9.2f} {unit:4}"[:14].rstrip().rjust(13)
    if w.name == "kernel":
        return text, None
    pairs = [(x, y) for x, y in zip(kernel, mine) if x and y]
    ratio = statistics.median(x / y if less else y / x for x, y in pairs) if pairs else 0
    return text + f"{ratio:7.2f}", ratio


def show(title, ways, got, figures, family):
    print(f"\n{title}, IPv{family}")
    print(f"{'':25}{'kernel':>13}" + "".join(f"{w.name:>13}{'ratio':>7}" for w in ways[1:]) + "   goal of berth")
    for f in figures:
        what, unit, less, goal = FIGURES[f]
        line, verdict = f"{what:25}", ""
        for w in ways:
            text, ratio = cell(w, got[(ways[0].name, family, f)], got[(w.name, family, f)], unit, less)
            line += text
            if w.name == "berth" and goal and ratio is not None:
                verdict = f"   {goal:.2f}" + ("" if round(ratio, 2) >= goal else ", NOT MET")
        print(line + verdict)


def run(args, folder, published):
    here, client, ways = None, None, []
    try:
        if published:
            client = Program([args.bench, "client"], subprocess.DEVNULL)
            client.ready()
        else:
            here = Program([args.bench, "server", "0"], subprocess.DEVNULL)
        port = 0 if published else here.ready()
        for w in WAYS:
            if args.ways and not issubclass(w, (Kernel, Berth)) and w.name not in args.ways.split(","):
                continue
            way, why = begin(w, args, folder, published, port, client)
            if way:
                ways.append(way)
            else:
                print(f"{w.name}: left out: {why}", flush=True)
        if not ways or ways[0].name != "kernel":
            print("ways: the kernel's own loopback does not answer")
            return 1
        figures = [f for f in FIGURES if not args.figures or f in args.figures.split(",")]
        families = ["4"] if args.four else ["4", "6"]
        got = {(w.name, family, f): [] for w in ways for family in families for f in figures}
        for r in range(args.rounds):
            for family in families:
                for f in figures:
                    args.quiet.wait()
                    for k in range(len(ways)):
                        w = ways[(k + r) % len(ways)]
                        v = (client or w.program).ask(f, w.where[family], w.port) if family in w.where else None
                        got[(w.name, family, f)].append(v)
        for family in families:
            show("published: the server is inside" if published else "outside: the client is inside", ways, got, figures, family)
        return 0
    finally:
        for p in [client, here] + ways:
            if p:
                p.end()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("berth")
    ap.add_argument("bench")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--only", choices=["published", "outside"])
    ap.add_argument("--figures")
    ap.add_argument("--ways")
    ap.add_argument("--cpu", type=int, help="everything on this processor alone")
    ap.add_argument("--wait", type=float, default=0, metavar="SECONDS")
    ap.add_argument("--other", action="append", default=[])
    ap.add_argument("--4", dest="four", action="store_true", help="IPv4 alone")
    args = ap.parse_args()
    Berth.command, args.bench = os.path.abspath(args.berth), os.path.abspath(args.bench)
    for i, other in enumerate(args.other):
        WAYS.insert(3 + i, type("Other", (Berth,), {"name": f"other{i + 1}", "command": os.path.abspath(other)}))
    for s in signal.SIGTERM, signal.SIGHUP:
        signal.signal(s, lambda *_: sys.exit(1))
    if args.cpu is not None:
        os.sched_setaffinity(0, {args.cpu})
    try:
        os.nice(-20)
    except OSError:
        pass
    folder = tempfile.mkdtemp(prefix="berth-ways-")
    os.environ["BERTH_DIR"] = os.path.join(folder, "berth")
    os.mkdir(os.environ["BERTH_DIR"], 0o700)
    before, failed = stolen(), 0
    n_figures = len(args.figures.split(",")) if args.figures else len(FIGURES)
    args.quiet = Quiet(args.wait, args.rounds * n_figures * (1 if args.four else 2) * (1 if args.only else 2))
    try:
        for published in True, False:
            if args.only in (None, "published" if published else "outside"):
                failed |= run(args, folder, published)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    after = stolen()
    print(f"\n{args.rounds} rounds; {100 * (after[0] - before[0]) / max(1, after[1] - before[1]):.1f} % of processor time stolen by "
          f"other machines, load {os.getloadavg()[0]:.1f}" + (f", {args.quiet.n_quiet} of {args.quiet.n_begun} sets of turns began on "
                                                             "idle processors" if args.wait else ""))
    return failed


if __name__ == "__main__":
    sys.exit(main())
