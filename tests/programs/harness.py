"""harness.py: what a row of the matrix is made of.

A row starts real servers on hosts of a network of its own, uses them with their real clients from
another host, and looks at what arrived. It is a function in rows/*.py:

    @row("memcached", needs="memcached:memcached nc:netcat-openbsd")
    def memcached(t):
        t.serve("cache", "memcached", "-u", "nobody", "-p", "11211")
        t.wait_port("cache", 11211)
        t.same("a value comes back", "42", t.run("client", "nc", "-N", "cache", "11211", input="get berth\r\n"))

Rows of the well-known table say table=True and which ports must be seen; they share one network and one
host, and `yield` between their setup and their use: nobody is used before all are up.

    process tree        what each level is for
    run                 chooses rows, prints lines, ends what does not end by itself
     +- a job           one row, or the table; child subreaper: whoever daemonises stays below it
         +- berth run   one for each program that was started

A row never sleeps to wait: it waits for a port in `berth ls`, or for a command that succeeds. Every wait
ends at the row's deadline. When a row is over its process tree is ended (TERM, then KILL), the network
is removed without force, which proves that nobody holds a port, and the directory goes unless logs
are to be kept. Before that, no process of the row may have had a socket on the machine's own network.
"""
import ctypes
import glob
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
SERVER = "server"  # the host of the well-known table
CLIENT = "client"
SETUP_S = 30  # until all of the table have their ports
TIMEOUT_S = 60
POLL_S = 0.05
PR_SET_CHILD_SUBREAPER = 36
IS_ROOT = os.geteuid() == 0


class Failed(Exception):
    """The row does not show what it should."""


class Skipped(Exception):
    """The row cannot run here; the text says what would be needed."""


class Row:
    def __init__(self, function, name, needs, ports, table, root, timeout, folders, why):
        self.function, self.name, self.ports = function, name, ports
        self.needs = [tuple(x.split(":", 1)) for x in needs.split()]
        self.table, self.root, self.timeout, self.folders, self.why = table, root, timeout, folders, why

    def missing(self):
        """Packages to install, in order, each once."""
        return list(dict.fromkeys(package for command, package in self.needs if not find_command(command)))


ROWS = []


def row(name, needs="", ports=(), table=False, root=False, timeout=TIMEOUT_S, folders=()):
    """needs: "COMMAND:PACKAGE ..."; a COMMAND with a slash is a file, and may be a glob.

    ports: of SERVER, when table: (number, protocol, "name" or "name|name"). root: the server must start as
    root. folders: outside of the row's own, which a server has compiled in; made for root, and removed."""
    def add(function):
        why = (function.__doc__ or "").strip().splitlines()
        ROWS.append(Row(function, name, needs, list(ports), table, root, timeout, list(folders), why[0] if why else ""))
        return function
    return add


def find_command(name):
    if "/" in name:
        found = sorted(glob.glob(name))
        return found[-1] if found else None
    return shutil.which(name, path=os.environ.get("PATH", "") + ":" + SBIN)


# --- processes ---

def be_subreaper():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root_pid):
    """Every living process below one, nearest first."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as f:
                    fields = f.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] not in (b"Z", b"X"):
                children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [root_pid]
    while todo:
        for pid in children.get(todo.pop(0), ()):
            found.append(pid)
            todo.append(pid)
    return found


def send(pid, number):
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def end_tree(root_pid, term_s):
    """TERM and, after term_s, KILL to all below root_pid. True: KILL was not needed."""
    until, gentle, asked, empty = time.monotonic() + term_s, True, set(), 0
    while True:
        reap()
        left = descendants(root_pid)
        # A process that changes its parent while /proc is read may be missed: twice nobody is nobody.
        empty = 0 if left else empty + 1
        if empty == 2:
            return gentle
        for pid in left:
            # berth and runuser end with their program; runuser kills it 2 s after a TERM
            if pid not in asked and name_of(pid) not in ("berth", "runuser"):
                send(pid, signal.SIGTERM)
            asked.add(pid)
        if left and time.monotonic() > until:
            gentle = False
            for pid in left:
                send(pid, signal.SIGKILL)
            if time.monotonic() > until + 10:
                return False
        time.sleep(POLL_S)


OWN_CHILDREN = set()  # reaped by who started them


def reap():
    """Collects adopted processes that have ended."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in OWN_CHILDREN:
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as f:
                fields = f.read().rpartition(b")")[2].split()
            if fields[0] == b"Z" and int(fields[1]) == os.getpid():
                os.waitpid(int(entry), os.WNOHANG)
        except OSError:
            pass


def kernel_sockets():
    """inode -> "udp 0.0.0.0:53" of what the machine's own network has bound or connected."""
    found = {}
    for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        try:
            with open(f"/proc/net/{kind}", encoding="ascii") as f:
                rows = f.read().splitlines()[1:]
        except OSError:
            continue
        for line in rows:
            fields = line.split()
            address, _, port = fields[1].rpartition(":")
            found[fields[9]] = f"{kind} {address}:{int(port, 16)}"
    return found


def loose(root_pid):
    """Sockets that processes below root_pid hold on the machine's own network: there must be none."""
    sockets, bad = kernel_sockets(), []
    for pid in descendants(root_pid):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as f:
                comm = f.read().strip()
            fds = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for fd in fds:
            try:
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
            except OSError:
                continue
            inode = target[8:-1] if target.startswith("socket:[") else None
            if inode in sockets:
                bad.append(f"{comm} (pid {pid}): {sockets[inode]}")
    return sorted(set(bad))


class Server:
    """A program that was started and goes on."""

    def __init__(self, popen, name, log):
        self.popen, self.name, self.log = popen, name, log

    def pid(self):
        """The program itself, not the `berth run` that started it."""
        below = descendants(self.popen.pid)
        return below[0] if below else self.popen.pid

    def tree(self):
        return descendants(self.popen.pid)

    def stop(self, number=signal.SIGTERM, timeout=10):
        """By its pid; its exit code."""
        send(self.popen.pid, number)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} does not end within {timeout} s of signal {int(number)}") from None

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()


# --- the stage: what a row gets as `t` ---

class Stage:
    """A network, a directory, and the means to start programs in it."""

    def __init__(self, row_name, directory, network, berth_dir, berth, deadline):
        self.name, self.dir, self.network, self.berth_dir, self.berth = row_name, directory, network, berth_dir, berth
        self.deadline, self.root = deadline, IS_ROOT
        self.logs = os.path.join(directory, "log")
        os.makedirs(self.logs, mode=0o755)
        self.servers, self.lock, self.n_logs = [], threading.Lock(), 0
        self.cleanups = []

    # files

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def mkdir(self, *parts, mode=0o755, user=None):
        d = self.path(*parts)
        os.makedirs(d, exist_ok=True)
        os.chmod(d, mode)
        self.own(d, user)
        return d

    def write(self, name, text, mode=0o644, user=None):
        p = self.path(name)
        os.makedirs(os.path.dirname(p), exist_ok=True)
        with open(p, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(p, mode)
        self.own(p, user)
        return p

    def read(self, name):
        with open(self.path(name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def own(self, path, user):
        if user and IS_ROOT:
            who = pwd.getpwnam(user)
            os.chown(path, who.pw_uid, who.pw_gid)

    def certificate(self):
        """A key and a certificate for TLS on host SERVER: two paths."""
        key, cert = self.path("tls.key"), self.path("tls.crt")
        self.shell("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-days", "2", "-subj", f"/CN={SERVER}", "-keyout", key, "-out", cert)
        os.chmod(key, 0o644)
        return key, cert

    # time

    def left(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Failed("its time is up")
        return left

    def until(self, what, test):
        """Waits until test() is true; what: a sentence for when it never is."""
        while True:
            value = test()
            if value:
                return value
            if time.monotonic() > self.deadline - 1:
                raise Failed(f"time is up: {what}")
            time.sleep(POLL_S)

    # programs

    def environment(self, extra=None):
        keep = {k: v for k, v in os.environ.items()
                if k in ("PATH", "TERM", "USER", "LOGNAME", "BERTH_SHIM") or k.startswith(("ASAN_", "UBSAN_"))}
        keep.update(BERTH_DIR=self.berth_dir, LC_ALL="C.UTF-8", HOME=self.mkdir("home"), TMPDIR="/tmp")
        keep["PATH"] = keep.get("PATH", "") + ":" + SBIN
        keep.update(extra or {})
        return keep

    def on(self, host, argv):
        argv = [str(a) for a in argv]
        argv[0] = find_command(argv[0]) or argv[0]
        return [self.berth, "run", "-n", self.network, "-H", host, "--", *argv]

    def as_user(self, user, *argv):
        """As root: through runuser to that user. A plain user stays what they are."""
        return ["runuser", "-u", user, "--", *argv] if IS_ROOT else list(argv)

    def note(self, text):
        with self.lock, open(os.path.join(self.logs, "row.log"), "a", encoding="utf-8") as f:
            f.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")

    def serve(self, host, *argv, env=None, cwd=None, log=None):
        """Starts a program on a host and goes on."""
        name = log or os.path.basename(str(argv[0]))
        with self.lock:
            self.n_logs += 1
            log_path = os.path.join(self.logs, f"{self.n_logs:02}-{host}-{name}.log")
        full = self.on(host, argv)
        self.note(f"serve {shlex.join(full)}  # {os.path.basename(log_path)}")
        with open(log_path, "wb") as out:
            popen = subprocess.Popen(full, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                     env=self.environment(env), cwd=cwd or self.dir, start_new_session=True)
        OWN_CHILDREN.add(popen.pid)
        server = Server(popen, name, log_path)
        with self.lock:
            self.servers.append(server)
        return server

    def _run(self, full, input, env, cwd, timeout, code, both):
        limit = min(self.left(), timeout)
        started = time.monotonic()
        data = input.encode() if isinstance(input, str) else input
        p = subprocess.Popen(full, stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT if both else subprocess.PIPE,
                             env=self.environment(env), cwd=cwd or self.dir, start_new_session=True)
        OWN_CHILDREN.add(p.pid)
        try:
            out, err = p.communicate(data, timeout=limit)
            late = False
        except subprocess.TimeoutExpired:
            for pid in [p.pid, *descendants(p.pid)]:
                send(pid, signal.SIGKILL)
            out, err = p.communicate()
            late = True
        out, err = out.decode("utf-8", "replace"), (err or b"").decode("utf-8", "replace")
        self.note(f"$ {shlex.join(full)}\n# exit code {p.returncode}{', out of time' if late else ''}"
                  f", {time.monotonic() - started:.2f} s\n{out[-20000:]}{'# stderr' if err else ''}\n{err[-20000:]}")
        shown = shlex.join(full[full.index("--") + 1:] if "--" in full else full)
        if late:
            raise Failed(f"no end within {limit:.0f} s: {shown[:300]}: {tail(out + err)}")
        if code is not None and p.returncode != code:
            raise Failed(f"exit code {p.returncode}: {shown[:300]}: {tail(err or out)}")
        return out if code is not None else (p.returncode, out + err)

    def run(self, host, *argv, input=None, env=None, cwd=None, timeout=30, code=0, both=False):
        """Runs a command on a host to its end: its output. code=None: (exit code, output and errors)."""
        return self._run(self.on(host, argv), input, env, cwd, timeout, code, both)

    def shell(self, *argv, input=None, env=None, cwd=None, timeout=60, code=0):
        """The same outside berth: for preparations."""
        argv = [str(a) for a in argv]
        argv[0] = find_command(argv[0]) or argv[0]
        return self._run(argv, input, env, cwd, timeout, code, False)

    def try_until(self, what, host, *argv, **options):
        """Runs a command on a host again and again until it exits with 0: its output."""
        options.update(code=None)
        last = [""]

        def test():
            code, last[0] = self.run(host, *argv, **options)
            return code == 0

        try:
            self.until(what, test)
        except Failed as e:
            raise Failed(f"{e}: {tail(last[0])}") from None
        return last[0]

    # ports

    def ls(self, host, *options):
        """What `berth ls --json` shows of a host; nothing before the network exists."""
        p = subprocess.run([self.berth, "ls", "-n", self.network, "-H", host, "--json", *options],
                           env=self.environment(), capture_output=True, text=True)
        try:
            return json.loads(p.stdout) if p.returncode == 0 and p.stdout.strip() else []
        except ValueError:
            raise Failed(f"berth ls --json printed no JSON: {tail(p.stdout)}") from None

    def wait_port(self, host, port, proto="tcp", server=None):
        """Until somebody listens there (UDP: is bound). server: fails at once when that one ends."""
        def test():
            for r in self.ls(host):
                if r["port"] == port and r["proto"] == proto and (proto == "udp" or r["state"] == "listening"):
                    return r
            if server and server.popen.poll() not in (None, 0):
                raise Failed(f"{server.name} ended with code {server.popen.returncode} before it had "
                             f"{port}/{proto}: {tail(server.text())}")
            return None

        return self.until(f"nobody has {port}/{proto} on {host}" +
                          (f"; {server.name} says: {tail(server.text())}" if server else ""), test)

    def up(self, host, port, *argv, proto="tcp", **options):
        """serve(), then wait_port()."""
        server = self.serve(host, *argv, **options)
        self.wait_port(host, port, proto, server)
        return server

    # what must be so

    def true(self, what, value):
        self.note(f"{'ok' if value else 'NOT SO'}: {what}")
        if not value:
            raise Failed(f"not so: {what}")

    def same(self, what, wanted, got):
        wanted, got = str(wanted).strip(), str(got).strip()
        self.note(f"{'ok' if wanted == got else 'NOT SO'}: {what}")
        if wanted != got:
            raise Failed(f"{what}: wanted {wanted[:300]!r}, got {got[:300]!r}")

    def has(self, what, pattern, text):
        """A regular expression somewhere in the text: the match."""
        m = re.search(pattern, text, re.M)
        self.note(f"{'ok' if m else 'NOT SO'}: {what}")
        if not m:
            raise Failed(f"{what}: no {pattern!r} in {tail(text)!r}")
        return m

    def address(self, host):
        """A host's IPv4 address; the host is made if it is missing."""
        self.run(host, "true")
        p = subprocess.run([self.berth, "net", "show", "--json", self.network], env=self.environment(),
                           capture_output=True, text=True, check=True)
        return next(h["address4"] for h in json.loads(p.stdout)["hosts"] if h["host"] == host)


def tail(text, n_chars=400):
    lines = [x.strip() for x in text.splitlines() if x.strip()]
    return " | ".join(lines)[-n_chars:]
