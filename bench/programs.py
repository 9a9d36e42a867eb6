#!/usr/bin/env python3
"""Real servers and real clients, over the kernel's loopback and under berth, by turns in one run.

    bench/programs.py BERTH [--rounds N] [--seconds S] [--calls] [ROW...]     (make bench-programs)

nginx with wrk, redis with redis-benchmark, PostgreSQL with pgbench -S. Each row's client runs for a moment against
the server on the loopback, then against the same program under `berth run`, and so on; figures are medians,
so that a machine that is busy for a while hurts both. Server and client have a processor each where there
are two. The last lines are the rows below 1.0, if any, and the geometric mean.

--calls: the servers' and clients' system calls per request instead, natively and under berth, by strace -c.

A row whose program is missing is skipped, with the package's name. As root it works in a network namespace of
its own, so that neither side meets other programs' ports; PostgreSQL runs as user postgres then.
"""
import argparse
import math
import os
import pwd
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

NGINX = """daemon off; master_process on; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 100000000;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
  scgi_temp_path {dir}/t5; server {{ listen {port}; root {dir}/www; }} }}
"""


def find(name, *more):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    for pattern in more:
        if not path and os.path.isdir(pattern):
            for version in sorted(os.listdir(pattern)):
                candidate = os.path.join(pattern, version, "bin", name)
                if os.access(candidate, os.X_OK):
                    path = candidate
    return path


class Side:
    """One way of running a server and its clients."""

    def __init__(self, berth, under, directory, user=None):
        self.berth, self.under, self.dir, self.user = berth, under, directory, user
        self.env = dict(os.environ, BERTH_DIR=os.path.join(directory, "berth"))
        self.server_host = "server" if under else "127.0.0.1"
        self.name = "berth" if under else "kernel"

    def argv(self, host, cpu, argv):
        out = []
        if self.user:
            out += ["runuser", "-u", self.user, "--"]
        if (os.cpu_count() or 1) > 1:
            out += ["taskset", "-c", str(cpu)]
        if self.under:
            out += [self.berth, "run", "-q", "-n", "bench", "-H", host, "--"]
        return out + argv

    def start(self, argv, log):
        with open(os.path.join(self.dir, log), "w") as f:
            return subprocess.Popen(self.argv("server", 0, argv), stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                                    env=self.env, start_new_session=True)

    def client(self, argv, timeout=120):
        p = subprocess.run(self.argv("client", 1, argv), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           env=self.env, timeout=timeout)
        if p.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(argv)}: {p.stdout[-300:]}{p.stderr[-500:]}")
        return p.stdout + p.stderr

    def wait_for(self, port, server):
        """Until somebody listens there."""
        probe = ["python3", "-c", f"import socket; socket.create_connection(('{self.server_host}', {port}), 2)"]
        for _ in range(100):
            p = subprocess.run(self.argv("client", 1, probe), env=self.env, capture_output=True)
            if p.returncode == 0:
                return
            if server.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"{self.name}: no server on port {port}")


def stop(p):
    try:
        os.killpg(p.pid, signal.SIGTERM)
        p.wait(10)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.wait()


def number(pattern, text):
    m = re.search(pattern, text)
    if not m:
        raise RuntimeError(f"no figure in: {text[-300:]}")
    return float(m.group(1))


class Nginx:
    name, port = "nginx", 8080
    packages = {"nginx": "nginx", "wrk": "wrk"}
    user = None
    rows = [("small file, kept alive", "/small", []), ("small file, a connection each", "/small", ["-H", "Connection: close"]),
            ("100 KB file, kept alive", "/large", [])]

    def start(self, side):
        d = side.dir
        os.makedirs(d + "/www", exist_ok=True)
        os.chmod(d, 0o711)
        os.chmod(d + "/www", 0o755)
        for name, size in (("small", 612), ("large", 100000)):
            with open(f"{d}/www/{name}", "wb") as f:
                f.write(b"x" * size)
        with open(d + "/nginx.conf", "w") as f:
            f.write(NGINX.format(dir=d, port=self.port))
        return side.start([find("nginx"), "-c", d + "/nginx.conf", "-e", d + "/error.log"], "nginx.log")

    def measure(self, side, row, seconds):
        _, path, more = row
        out = side.client([find("wrk"), "-t1", "-c16", f"-d{max(1, round(seconds))}s", *more, f"http://{side.server_host}:{self.port}{path}"])
        if re.search(r"Socket errors|Non-2xx", out):
            raise RuntimeError(f"{side.name}: {out}")
        return number(r"Requests/sec:\s+([\d.]+)", out)

    def fixed(self, side, row):
        """A known number of requests, one connection each: (program and arguments, requests)."""
        if not find("ab"):
            return None, 0
        kept = [] if "-H" in row[2] else ["-k"]
        return [find("ab"), "-q", "-n", "1000", "-c", "1", *kept, f"http://{side.server_host}:{self.port}{row[1]}"], 1000


class Redis:
    name, port = "redis", 6379
    packages = {"redis-server": "redis-server", "redis-benchmark": "redis-tools"}
    user = None
    rows = [(f"{t.upper()} -P {p} -c {c}", t, p, c) for t in ("get", "set") for p in (1, 16) for c in (1, 50)]

    def start(self, side):
        return side.start([find("redis-server"), "--port", str(self.port), "--save", "", "--appendonly", "no",
                           "--dir", side.dir, "--protected-mode", "no", "--bind", "0.0.0.0"], "redis.log")

    def argv(self, side, row, n):
        _, test, pipeline, clients = row
        return [find("redis-benchmark"), "-h", side.server_host, "-p", str(self.port), "-t", test, "-n", str(n),
                "-c", str(clients), "-P", str(pipeline), "-q"]

    def measure(self, side, row, seconds):
        n = int(seconds * (15000 if row[3] == 1 else 50000) * (6 if row[2] > 1 else 1))
        return number(r"([\d.]+) requests per second", side.client(self.argv(side, row, n)))

    def fixed(self, side, row):
        return self.argv(side, row, 1000), 1000


class Postgres:
    name, port = "postgresql", 5432
    packages = {"initdb": "postgresql", "postgres": "postgresql", "pgbench": "postgresql-contrib"}
    user = "postgres"
    rows = [("pgbench -S -c 1", 1), ("pgbench -S -c 10", 10)]

    @staticmethod
    def tool(name):
        return find(name, "/usr/lib/postgresql")

    def start(self, side):
        data = side.dir + "/data"
        if not os.path.isdir(data):
            who = ["runuser", "-u", side.user, "--"] if side.user else []
            subprocess.run(who + [self.tool("initdb"), "-D", data, "-A", "trust", "-N"], check=True, capture_output=True)
            with open(data + "/pg_hba.conf", "a") as f:
                f.write("host all all 0.0.0.0/0 trust\n")
        return side.start([self.tool("postgres"), "-D", data, "-h", "*", "-p", str(self.port), "-k", "", "-F"], "pg.log")

    def fill(self, side):
        side.client([self.tool("pgbench"), "-h", side.server_host, "-p", str(self.port), "-i", "-q", "-s", "2", "postgres"])

    def measure(self, side, row, seconds):
        out = side.client([self.tool("pgbench"), "-h", side.server_host, "-p", str(self.port), "-n", "-S", "-c", str(row[1]),
                           "-T", str(max(1, int(seconds))), "postgres"])
        return number(r"tps = ([\d.]+)", out)

    def fixed(self, side, row):
        return [self.tool("pgbench"), "-h", side.server_host, "-p", str(self.port), "-n", "-S", "-c", "1", "-t", "1000", "postgres"], 1000


def prepare(base, kind, under, berth):
    d = os.path.join(base, kind.name + ("-berth" if under else "-kernel"))
    user = kind.user if os.geteuid() == 0 else None
    os.makedirs(d + "/berth", mode=0o700)
    if user:
        u = pwd.getpwnam(user)
        os.chown(d, u.pw_uid, u.pw_gid)
        os.chown(d + "/berth", u.pw_uid, u.pw_gid)
    return Side(berth, under, d, user)


def descendants(pid):
    """A process and all below it."""
    out = [pid]
    for p in out:
        try:
            with open(f"/proc/{p}/task/{p}/children") as f:
                out += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return out


def calls_of(side, server, argv, requests):
    """System calls per request of the server and of the client: {name: count}."""
    result = []
    with tempfile.TemporaryDirectory() as t:
        os.chmod(t, 0o777)  # the client may be another user
        pids = [p for p in descendants(server.pid)]
        attach = []
        for p in pids:
            attach += ["-p", str(p)]
        tracer = subprocess.Popen(["strace", "-f", "-c", "-o", t + "/server", *attach], stderr=subprocess.PIPE)
        time.sleep(0.7)
        full = side.argv("client", 1, ["strace", "-f", "-c", "-o", t + "/client", *argv])
        subprocess.run(full, env=side.env, capture_output=True, timeout=120)
        time.sleep(0.2)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        for which in ("server", "client"):
            counts = {}
            with open(f"{t}/{which}") as f:
                for line in f:
                    m = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
                    if m and m.group(2) != "total":
                        counts[m.group(2)] = int(m.group(1)) / requests
            result.append(counts)
    return result


def print_calls(kind, row, sides, servers):
    got = []
    for side, server in zip(sides, servers):
        argv, requests = kind.fixed(side, row)
        if not argv:
            return
        got.append(calls_of(side, server, argv, requests))
    for i, which in enumerate(("server", "client")):
        native, ours = got[0][i], got[1][i]
        print(f"{kind.name}, {row[0]}, {which}: {sum(native.values()):.2f} calls a request natively, "
              f"{sum(ours.values()):.2f} under berth", flush=True)
        for name in sorted(set(native) | set(ours)):
            a, b = native.get(name, 0), ours.get(name, 0)
            if abs(a - b) >= 0.02:
                print(f"    {name:<20} {a:8.2f} {b:8.2f}  {b - a:+.2f}")


def run_kind(kind, args, base, only):
    rows = [r for r in kind.rows if not only or any(o in f"{kind.name} {r[0]}" for o in only)]
    if not rows:
        return []
    missing = [pkg for tool, pkg in kind.packages.items() if not find(tool, "/usr/lib/postgresql")]
    if missing:
        print(f"skip {kind.name}: not installed: {' '.join(sorted(set(missing)))}")
        return []
    sides, servers, results = [], [], []
    try:
        for under in (False, True):
            side = prepare(base, kind, under, args.berth)
            server = kind.start(side)
            sides.append(side)
            servers.append(server)
            side.wait_for(kind.port, server)
            if hasattr(kind, "fill"):
                kind.fill(side)
        for row in rows:
            if args.calls:
                print_calls(kind, row, sides, servers)
                continue
            got = ([], [])
            for i in range(args.rounds):
                for turn in (0, 1):
                    which = (i + turn) % 2
                    got[which].append(kind.measure(sides[which], row, args.seconds))
            kernel, berth = statistics.median(got[0]), statistics.median(got[1])
            results.append((f"{kind.name} {row[0]}", berth / kernel))
            print(f"{kind.name:<11} {row[0]:<32} {kernel:>11.0f}/s {berth:>11.0f}/s   {berth / kernel:5.2f}", flush=True)
    finally:
        for server in servers:
            stop(server)
    return results


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("berth")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=float, default=1.5)
    ap.add_argument("--calls", action="store_true")
    ap.add_argument("only", nargs="*")
    args = ap.parse_intermixed_args()
    args.berth = os.path.abspath(args.berth)
    if os.geteuid() == 0 and not os.environ.get("BENCH_IN_NETNS"):
        test = subprocess.run(["unshare", "-n", "true"], capture_output=True)
        if test.returncode == 0:
            os.environ["BENCH_IN_NETNS"] = "1"
            os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    if os.environ.get("BENCH_IN_NETNS"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if args.calls and not find("strace"):
        print("skip: strace is not installed")
        return 77
    base = tempfile.mkdtemp(prefix="berth-bench-")
    os.chmod(base, 0o755)
    results = []
    try:
        if not args.calls:
            print(f"{'':<44} {'kernel':>11}   {'berth':>11}     ratio   (medians of {args.rounds})", flush=True)
        for kind in (Nginx(), Redis(), Postgres()):
            try:
                results += run_kind(kind, args, base, args.only)
            except (RuntimeError, subprocess.SubprocessError, OSError) as e:
                print(f"FAIL {kind.name}: {e}", flush=True)
                results.append((kind.name, 0))
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if args.calls or not results:
        return 0
    good = [r for _, r in results if r > 0]
    below = [f"{name} ({r:.2f})" for name, r in results if r < 1]
    mean = math.exp(sum(map(math.log, good)) / len(good)) if good else 0
    print(f"below 1.0: {', '.join(below) if below else 'none'}")
    print(f"geometric mean of {len(good)} rows: {mean:.2f} (wanted: at least 1.3)")
    return 1 if any(r == 0 for _, r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
