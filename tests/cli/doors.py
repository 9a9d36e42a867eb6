#!/usr/bin/env python3
"""tests/cli/doors.py BERTH HOLDER [NAME...]: `berth ls` and `berth who` on a machine of the test's own.

The test runs itself again in a network namespace of its own, where every socket is the test's: what ls lists is compared with
what was made, with ss and with /proc/net. Without the right to make one it is skipped (77).
"""
import ctypes
import fcntl
import json
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

BERTH, HOLDER = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
LIMIT_S = 60
ANY4, ANY6, LOOP4, LOOP6 = "0.0.0.0", "::", "127.0.0.1", "::1"
SCRUB = ("BERTH_HOST", "BERTH_RUN", "BERTH_NETWORK_DIR", "BERTH_MACHINE_ROOT", "LD_PRELOAD")


class World:
    """A check's own berth directory, and the sockets and programs it made."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="berth-doors-")
        os.chmod(self.top, 0o755)
        self.env = {k: v for k, v in os.environ.items() if k not in SCRUB}
        self.env.update(BERTH_DIR=self.top + "/berth", HOME=self.top, LC_ALL="C", TERM="dumb")
        self.sockets, self.programs = [], []
        self.berth = BERTH

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()
        for p in self.programs:
            p.stdin.close()
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        shutil.rmtree(self.top, ignore_errors=True)

    def run(self, *args, user=None, env=None):
        """Exit code, standard output, standard error."""
        p = subprocess.run([self.berth, *args], capture_output=True, text=True, errors="replace", timeout=LIMIT_S, cwd=self.top,
                           stdin=subprocess.DEVNULL, env={**self.env, **(env or {})},
                           **({"user": user, "extra_groups": []} if user else {}))
        return p.returncode, p.stdout, p.stderr

    def rows(self, *args, **kw):
        code, out, err = self.run("ls", "--json", *args, **kw)
        assert code == 0, (code, out, err)
        return json.loads(out)

    def socket(self, addr, port=0, kind=socket.SOCK_STREAM, listen=False, peer=None, **options):
        family = socket.AF_INET6 if ":" in addr else socket.AF_INET
        s = socket.socket(family, kind)
        self.sockets.append(s)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, options.get("v6only", 0))
        for name in ("SO_REUSEADDR", "SO_REUSEPORT"):
            if options.get(name):
                s.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)
        s.bind((addr, port))
        if listen:
            s.listen(options.get("backlog", 16))
        if peer:
            s.connect(peer)
        return s

    def program(self, text, name=None, args=(), user=None):
        """A python program that prints a line when it is ready, and ends with its standard input."""
        code = ("import sys, socket, os\n" + ("open('/proc/self/comm', 'wb').write(%r)\n" % name if name else "") + text
                + "\nprint('ready', flush=True)\nsys.stdin.read()\n")
        p = subprocess.Popen([sys.executable, "-c", code, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             cwd=self.top, env=self.env, **({"user": user, "extra_groups": []} if user else {}))
        self.programs.append(p)
        assert p.stdout.readline() == "ready\n"
        return p

    def on_terminal(self, columns, *args):
        """What it prints on a terminal that wide."""
        pid, fd = pty.fork()
        if pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.execve(BERTH, [BERTH, *args], self.env)
        octets = b""
        while True:
            try:
                more = os.read(fd, 65536)
            except OSError:
                break
            if not more:
                break
            octets += more
        os.close(fd)
        os.waitpid(pid, 0)
        return octets.decode().replace("\r\n", "\n")


def some_unseen():
    """Are there processes here that even this user may not look into (some sandboxes)?"""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd")[:1]:
                os.readlink(f"/proc/{pid}/fd/{fd}")
        except PermissionError:
            return True
        except OSError:
            pass
    return os.getuid() != 0


SOME_UNSEEN = some_unseen()


def port_of(s):
    return s.getsockname()[1]


def listen4(port=0, host=LOOP4):
    return f"s=socket.socket(); s.bind(({host!r}, {port})); s.listen()"


def many(w):
    """A house: servers of all kinds. Returns how many sockets that hold no connection it made."""
    n = 0
    for i in range(12):
        w.socket((ANY4, LOOP4)[i % 2], listen=True)
        w.socket((ANY6, LOOP6)[i % 2], listen=True, v6only=i % 3 == 0)
        w.socket(ANY4, kind=socket.SOCK_DGRAM)
        w.socket(ANY6, kind=socket.SOCK_DGRAM, v6only=i % 2)
        n += 4
    for addr in (ANY4, LOOP4, ANY6, LOOP6):
        w.socket(addr)  # bound, and idle
        n += 1
    shared = port_of(w.socket(ANY4, listen=True, SO_REUSEPORT=1))
    for _ in range(3):
        w.socket(ANY4, shared, listen=True, SO_REUSEPORT=1)
    again = port_of(w.socket(ANY4, SO_REUSEADDR=1))
    w.socket(ANY4, again, SO_REUSEADDR=1)
    return n + 6


def connections(w):
    server = w.socket(ANY6, listen=True)
    for addr in (LOOP4, LOOP6):
        for i in range(4):
            c = w.socket(addr, peer=(addr, port_of(server)))
            a = server.accept()[0]
            w.sockets.append(a)
            if i == 0:
                c.close()  # FIN_WAIT2 without a program, and CLOSE_WAIT
            if i == 1:
                a.close()
                c.close()  # TIME_WAIT at the server
    waiting = w.socket(LOOP4, peer=(LOOP4, port_of(server)))  # not accepted
    udp = w.socket(LOOP4, kind=socket.SOCK_DGRAM)
    w.socket(LOOP4, kind=socket.SOCK_DGRAM, peer=udp.getsockname())
    # A descriptor on its way in a message: no process has it.
    a, b = socket.socketpair(socket.AF_UNIX)
    flying = w.socket(LOOP4, listen=True)
    socket.send_fds(a, [b"x"], [flying.fileno()])
    w.sockets += [a, b]
    port = port_of(flying)
    flying.close()
    return port_of(server), port_of(waiting), port


def hexed(addr, family):
    words = struct.unpack("=4I" if family == 6 else "=I", socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, addr))
    return "".join(f"{x:08X}" for x in words)


def of_proc():
    """(protocol, family, address, port, peer's port) of every line."""
    found = []
    for name in ("tcp", "udp", "tcp6", "udp6"):
        with open("/proc/net/" + name) as f:
            for line in f.read().splitlines()[1:]:
                local, peer = line.split()[1:3]
                addr, port = local.split(":")
                found.append((name[:3], 6 if name.endswith("6") else 4, addr, int(port, 16), int(peer.split(":")[1], 16)))
    return sorted(found)


def of_rows(rows):
    def address(r):
        a = r["addresses"][-1]
        if r["family"] == 6 and ":" not in a:
            a = "::ffff:" + a
        return hexed(a, r["family"])

    return sorted((r["proto"], r["family"], address(r), r["port"], int(r["peer"].rsplit(":", 1)[1]) if r["peer"] else 0)
                  for r in rows)


# --- the checks ---

def ls_lists_every_socket_and_no_other(w):
    n = many(w)
    rows = w.rows("-m")
    assert len(rows) == n, (len(rows), n)
    connections(w)
    for _ in range(20):  # a handshake's end may come between two looks
        before, rows, after = of_proc(), w.rows("-a", "-m"), of_proc()
        if before == after:
            break
    assert all(r["world"] == "machine" and r["host"] is None for r in rows)
    idle = [r for r in rows if r["proto"] == "tcp" and r["state"] == "bound"]
    assert len(idle) == 6, idle
    listed = of_rows(r for r in rows if r not in idle)
    assert listed == before, (set(listed) ^ set(before))
    if shutil.which("ss"):
        out = subprocess.run(["ss", "-tulnaHpe"], capture_output=True, text=True).stdout
        inodes = {int(x) for x in re.findall(r" ino:(\d+)", out)} - {0}
        mine = {r["inode"] for r in rows if r not in idle} - {None}
        assert inodes == mine, inodes ^ mine
    nobody = "unseen" if SOME_UNSEEN else "kernel"
    assert {r["holder"] for r in rows} == {"process", "time-wait", "orphan", "unaccepted", nobody}, {r["holder"] for r in rows}
    for r in rows:
        assert (r["holder"] == "process") == (r["pid"] == os.getpid()), r
        assert (r["state"] == "time-wait") == (r["ends_in_s"] is not None), r


def one_program_is_one_row_and_two_are_a_split_door(w):
    a = w.socket(ANY4, listen=True)
    w.socket(ANY6, port_of(a), listen=True, v6only=1)
    text = w.run("ls", "-m")[1].splitlines()
    assert len(text) == 2 and "0.0.0.0 [::]" in text[1] and "SPLIT" not in text[1], text
    assert [r["split"] for r in w.rows("-m")] == [False, False]
    out = w.run("who", str(port_of(a)))[1]
    assert "options  IPV6_V6ONLY on [::]\n           none on 0.0.0.0\n" in out, out
    assert [r["options"]["v6only"] for r in json.loads(w.run("who", str(port_of(a)), "--json")[1])] == [True, False]
    b = w.socket(LOOP4, listen=True)
    p = w.program(f"s=socket.socket(socket.AF_INET6); s.setsockopt(41, 26, 1); s.bind(('::1', {port_of(b)})); s.listen()")
    code, out, _ = w.run("ls", "-m", str(port_of(b)))
    assert code == 0 and "SPLIT IPv4" in out and "SPLIT IPv6" in out and "is a split door: over IPv4" in out, out
    assert {(r["split"], r["pid"]) for r in w.rows("-m", str(port_of(b)))} == {(True, os.getpid()), (True, p.pid)}
    assert w.run("who", str(port_of(b)))[1].count("other family's half") == 2
    # The workers of one server.
    c = port_of(w.socket(LOOP4, listen=True, SO_REUSEPORT=1))
    w.socket(LOOP4, c, listen=True, SO_REUSEPORT=1)
    w.socket(LOOP4, c, listen=True, SO_REUSEPORT=1)
    text = w.run("ls", "-m", str(c))[1].splitlines()
    assert len(text) == 2 and f"{os.getpid()}+2 " in text[1], text
    assert len(w.rows("-m", str(c))) == 3


def filters_columns_and_order(w):
    a, b = w.socket(LOOP4, listen=True), w.socket(ANY6, listen=True, v6only=1)
    u = w.socket(LOOP4, kind=socket.SOCK_DGRAM)
    p = w.program(listen4(), name=b"filtered")
    ports = lambda *args: sorted(r["port"] for r in w.rows("-m", *args))
    every = ports()
    its = [x for x in every if x not in map(port_of, (a, b, u))]
    assert len(every) == 4 and len(its) == 1
    assert ports("-u") == [port_of(u)] and ports("-t", "-u") == every
    assert ports("-6") == [port_of(b)] and ports("-4", "-6") == every
    assert ports(str(port_of(a))) == [port_of(a)] and ports(f"{port_of(u)}/udp") == [port_of(u)] and ports(f"{port_of(u)}/tcp") == []
    assert ports("--program", "FILTER") == its and ports("--pid", str(p.pid)) == its
    assert ports("--state", "listening", "-4") == sorted([port_of(a)] + its) and ports("--state", "bound") == [port_of(u)]
    assert ports("--address", LOOP4) == sorted(set(every) - {port_of(b)}) and ports("--address", "::5") == [port_of(b)]
    assert ports("--user", str(os.getuid())) == every and ports("--user", "65533") == []
    assert ports(f"{min(every)}-{max(every)}") == every
    c = w.socket(LOOP4, peer=(LOOP4, port_of(a)))
    states = {r["port"]: r["state"] for r in w.rows("-m", "--state", "connected,accepted")}
    assert states == {port_of(c): "connected", port_of(a): "accepted"}, states
    assert [r["state"] for r in w.rows("-m", "-a", str(port_of(a)), "--sort", "-state")] == ["listening", "accepted"]
    out = w.run("ls", "-m", "-o", "port,pid", "--sort", "-port")[1].split()
    assert out[:2] == ["PORT", "PID"] and [int(x) for x in out[2::2]] == sorted(every, reverse=True), out
    lines = w.run("ls", "-m", "--ndjson", "-o", "port,addresses", "--sort", "port")[1].splitlines()
    assert [json.loads(x)["port"] for x in lines] == every and all(list(json.loads(x)) == ["port", "addresses"] for x in lines)
    assert w.run("ls", "-m", "--ndjson", "--program", "nobody-is-called-so")[:2] == (0, "")


def who_tells_the_story(w):
    q = subprocess.Popen([sys.executable, "-c", "import socket, sys\ns=socket.socket(); s.setsockopt(1, 2, 1); s.bind(('127.0.0.1', 0))\n"
                          "s.listen(7); print(s.getsockname()[1], flush=True)\nc=[s.accept()[0] for i in range(2)]\nprint('both', flush=True)\n"
                          "sys.stdin.read()", "an argument"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=w.top, env=w.env)
    w.programs.append(q)
    port = int(q.stdout.readline())
    for _ in range(2):
        w.socket("127.0.0.9", peer=(LOOP4, port))
    assert q.stdout.readline() == "both\n"
    w.socket("127.0.0.10", peer=(LOOP4, port))  # waits
    code, out, err = w.run("who", str(port))
    assert code == 0, (out, err)
    flat = " ".join(out.split())
    for text in (f"{port}/tcp", f"(pid {q.pid}) of user", "started 2", "ago)", "of user", "127.0.0.1, listening; 1 of at most 7 callers",
                 "an argument", f"folder {w.top}", f"({os.getpid()})", "options SO_REUSEADDR", "3 connections: 3 established",
                 "127.0.0.9 (2), 127.0.0.10 (1)", f"stop kill {q.pid}"):
        assert text in flat, (text, out)
    rows = json.loads(w.run("who", str(port), "--json")[1])
    assert len(rows) == 4
    door = [r for r in rows if r["state"] == "listening"][0]
    assert door["options"]["reuseaddr"] and door["folder"] == w.top and door["stop"] == f"kill {q.pid}", door
    assert door["parents"][0]["pid"] == os.getpid() and abs(door["started_unix_s"] - time.time()) < 1000, door
    assert door["receive_queue"] == 1 and door["send_queue"] == 7


def memory_timers_and_congestion(w):
    """What ss -tiom tells, on wish: the same numbers, and null where the kernel says nothing."""
    s = w.socket(LOOP4, 47031, listen=True)
    c = w.socket(LOOP4, peer=(LOOP4, 47031))
    a = s.accept()[0]
    w.sockets.append(a)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    c.send(b"x" * 1000)
    gone = w.socket(LOOP4, peer=(LOOP4, 47031))
    s.accept()[0].close()
    gone.close()
    u = w.socket(LOOP4, kind=socket.SOCK_DGRAM)
    names = "port,state,proto,memory,timers,congestion"
    rows = w.rows("-m", "-a", "-o", names)
    assert "cwnd" not in w.rows("-m")[0], "only when they are named"
    told = {(r["port"], r["state"]): r for r in rows}
    door, client, server = told[47031, "listening"], told[port_of(c), "connected"], told[47031, "accepted"]
    assert door["congestion_control"] and door["rtt_us"] is None and door["rcvbuf"] > 0 and door["timer"] is None, door
    assert server["rmem"] > 0 and server["bytes_received"] == 1000 and server["timer"] is None, server
    assert client["timer"] == "keepalive" and 0 < client["timer_s"] <= 7200 and client["retransmits"] == 0 and client["cwnd"] > 0, client
    assert client["bytes_acked"] >= 1000 and client["rtt_us"] > 0 and client["total_retrans"] == 0 and client["last_sent_s"] < 60, client
    waits = [r for r in rows if r["state"] == "time-wait" and r["port"] == 47031]
    assert len(waits) == 1 and waits[0]["timer"] == "time-wait" and 0 < waits[0]["timer_s"] <= 60 and waits[0]["cwnd"] is None, waits
    assert told[port_of(u), "bound"]["rcvbuf"] > 0 and told[port_of(u), "bound"]["cwnd"] is None, told
    by = w.rows("-m", "-a", "-t", "--sort", "-bytes_received", "-o", "port")
    assert by[0]["port"] == 47031 and list(by[0]) == ["port"], by
    out = w.run("ls", "-m", "-a", "-t", "-o", "port,peer,rtt,cwnd,timer,timer_s", "47031")[1]
    assert re.search(r"^47031 +127.0.0.1:\d+ +\d+\.\d\d ms +\d+ +- +-$", out, re.M), out
    if shutil.which("ss"):
        text = subprocess.run(["ss", "-Htinm", "sport", "=", f":{port_of(c)}"], capture_output=True, text=True).stdout
        for key, ss in ("cwnd", "cwnd"), ("mss", "mss"), ("bytes_acked", "bytes_acked"):
            assert f" {ss}:{client[key]} " in text, (key, text, client)
        assert f"rb{client['rcvbuf']}," in text and f"tb{client['sndbuf']}," in text and client["congestion_control"] in text, text
    rows = json.loads(w.run("who", "-m", "47031", "--json")[1])
    assert {r["state"] for r in rows} == {"listening", "accepted", "time-wait"} and all("min_rtt_us" in r for r in rows), rows


def workers_with_many_descriptors(w):
    """Beside programs with thousands of descriptors processes are sought, not all read: and nobody is missed, and none is invented."""
    many = "import os\nkeep = [os.dup(0) for i in range(%d)]\n"
    w.program(many % 1500 + listen4(24741))
    master = w.program(listen4(24742) + "\nread, write = os.pipe()\nfor i in range(3):\n  if os.fork() == 0:\n"
                       "    keep = [os.dup(0) for i in range(600)]\n    os.write(write, b'x')\n    sys.stdin.read(); os._exit(0)\n"
                       "for i in range(3): os.read(read, 1)\n" + many % 700)
    late = w.program(many % 900 + listen4(24743))  # its listener has the highest number
    out = w.run("who", "-m", "24742")[1]
    assert f"is held by python3 (pid {master.pid})" in out and out.count("(pid ") == 4, out
    rows = json.loads(w.run("who", "-m", "24742", "--json")[1])
    whole = w.rows("-m", "24742")
    assert len(rows) == 1 and len(rows[0]["pids"]) == 4 and rows[0]["pids"] == whole[0]["pids"], (rows, whole)
    for port, pid in (24742, master.pid), (24743, late.pid):
        code, out, _ = w.run("why", "-m", str(port), "--json")
        assert code == 1 and json.loads(out)["holder"]["pid"] == pid, (port, out)
        assert re.search(rf"^ *{port} .* {pid} ", w.run("ls", "-m")[1], re.M), port
    s = w.socket(LOOP4, 24744, listen=True, SO_REUSEADDR=1)
    c = [w.socket(LOOP4, peer=(LOOP4, 24744)) for _ in range(3)]
    for x in c:
        s.accept()[0].close()
        x.close()
    assert f"(pid {os.getpid()})" in w.run("why", "-m", "24744")[1]
    # Connections: a child that has one is told of; those of the listener's own process, which has many, are not looked for.
    for port, extra, more in (24745, "", True), (24746, many % 400, False):
        p = w.program(extra + listen4(port) + f"\nc = socket.create_connection(('127.0.0.1', {port})); a = s.accept()[0]\n"
                      + ("pid = os.fork()\nif pid == 0:\n    s.close(); c.close(); sys.stdin.read(); os._exit(0)\na.close()" if more else ""))
        answer = json.loads(w.run("why", "-m", str(port), "--json")[1])
        assert answer["holder"]["pid"] == p.pid and answer["how"] == "listens", answer
        told = [n["text"] for n in answer["notes"] if n["code"] == "MORE_HOLDERS"]
        assert bool(told) == more and (not more or str(p.pid) not in told[0]), answer


def who_of_nobody(w):
    code, out, _ = w.run("who", "45")
    assert code == 1 and out.startswith("nobody holds 45 on this machine"), out
    assert w.run("who", "45", "--json")[:2] == (1, "[]\n")
    s = w.socket(LOOP4, listen=True)
    c = w.socket(LOOP4, peer=(LOOP4, port_of(s)))
    port = port_of(s)
    a = s.accept()[0]
    a.close()
    c.close()
    s.close()
    code, out, _ = w.run("who", str(port))
    assert code == 1 and "1 connection of" in out and "lingers (TIME_WAIT): the last ends in" in out, out
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low = int(f.read().split()[0])
    code, out, _ = w.run("who", str(low))
    assert code == 1 and "range from which the kernel gives ports" in out, out
    # The port of an outgoing connection, and a descriptor on its way.
    server, client, flying = connections(w)
    code, out, _ = w.run("who", str(client))
    assert code == 0 and f"{os.getpid()}" in out and f"{LOOP4} -> {LOOP4}:{server}, connected" in out, out
    code, out, _ = w.run("who", str(flying))
    assert code == 0 and "stop " not in out, out
    assert f"most likely it is on its way in a message that process {os.getpid()} has not read" in out or SOME_UNSEEN, out
    out = w.run("who", str(server))[1]
    assert "established" in out and "time-wait" in out and "the last ends in" in out, out


def both_worlds(w):
    holder = subprocess.Popen([BERTH, "run", "-q", "-n", "lab", "-H", "web", "--", HOLDER, "0.0.0.0", "8080", "listen"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=w.env, cwd=w.top)
    w.programs.append(holder)
    assert holder.stdout.readline() == "ready\n"
    s = w.socket(ANY4, 8080, listen=True, SO_REUSEADDR=1)
    rows = w.rows()
    assert [(r["world"], r["network"], r["host"]) for r in rows] == [("machine", None, None), ("network", "lab", "web")], rows
    out = w.run("ls")[1]
    assert re.search(r"listening +machine ", out) and re.search(r"listening +lab/web ", out), out
    assert [r["world"] for r in w.rows("-m")] == ["machine"] and [r["world"] for r in w.rows("-n", "lab")] == ["network"]
    code, out, _ = w.run("who", "8080")
    assert code == 0 and "8080/tcp (http-alt) on the machine is held by" in out and "on host web is held by cli-holder" in out, out
    assert "on the machine" not in w.run("who", "8080", "-n", "lab", "-H", "web")[1] and "host web" not in w.run("who", "8080", "-m")[1]
    s.close()
    # Inside of berth: the machine is the machine, and it says who is who.
    inside = subprocess.run([BERTH, "run", "-q", "-n", "lab", "-H", "web", "--", BERTH, "ls"], capture_output=True, text=True, env=w.env, cwd=w.top)
    assert inside.returncode == 0 and "this is inside of 'berth run'" in inside.stdout and "lab/web" in inside.stdout, inside
    s = w.socket(LOOP4, 8081, listen=True, SO_REUSEADDR=1)
    inside = subprocess.run([BERTH, "run", "-q", "-n", "lab", "-H", "web", "--", BERTH, "who", "8081"], capture_output=True, text=True,
                            env=w.env, cwd=w.top)
    assert inside.returncode == 0 and f"(pid {os.getpid()})" in inside.stdout and "options  SO_REUSEADDR" in inside.stdout, inside
    # What berth publishes.
    w.run("publish", "-n", "lab", "web:8080", "8090")
    published = [r for r in w.rows("8090") if r["world"] == "machine"]
    assert published and all(r["leads_to"] == "web:8080 of network 'lab'" for r in published), published
    out = w.run("who", "8090")[1]
    assert "berth publishes it: it leads to web:8080 of network 'lab'" in out and "berth unpublish -n lab 8090" in out, out
    stop = re.search(r"stop +berth (.*)", out).group(1).split()
    assert w.run(*stop)[0] == 0 and w.run("who", "8090")[0] == 1
    # A folder that cannot be berth's does not keep the machine's ports from being shown.
    os.mkdir(w.top + "/open", 0o777)
    os.chmod(w.top + "/open", 0o777)
    code, out, err = w.run("ls", env={"BERTH_DIR": w.top + "/open"})
    assert code == 0 and "8081" in out and "berth's networks are not shown" in err, (out, err)


def ordinary_user(w):
    with open("/proc/self/uid_map") as f:
        if os.getuid() != 0 or int(f.read().split()[2]) < 65535:
            return "only root can become another user"
    berth, holder = w.top + "/berth-copy", w.top + "/holder"
    shutil.copy(BERTH, berth)
    shutil.copy(HOLDER, holder)
    s = w.socket(LOOP4, listen=True)
    p = subprocess.Popen([holder, LOOP4, "40003", "listen"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
                         user=65534, extra_groups=[])
    w.programs.append(p)
    assert p.stdout.readline() == "ready\n"
    w.berth = berth
    env = {"BERTH_DIR": w.top + "/other"}
    rows = {r["port"]: r for r in w.rows("-m", user=65534, env=env)}
    mine = [r for r in rows.values() if r["pid"] == p.pid]
    assert len(mine) == 1 and mine[0]["holder"] == "process", rows
    r = rows[port_of(s)]
    assert r["holder"] == "unseen" and r["pid"] is None and r["uid"] == 0 and r["program"] is None, r
    code, out, err = w.run("ls", "-m", user=65534, env=env)
    assert code == 0 and err == "" and "root would see their names" in out, (out, err)
    code, out, _ = w.run("who", str(port_of(s)), user=65534, env=env)
    assert code == 0 and "a process that you may not look into; root may: sudo berth who" in out, out
    out = w.run("who", str(mine[0]["port"]), user=65534, env=env)[1]
    assert f"kill {p.pid}" in out and "sudo kill" not in out, out
    return None


def refuse_pidfd_getfd():
    """In the child, before berth: a filter as some containers have it."""
    libc = ctypes.CDLL(None, use_errno=True)
    rules = b"".join(struct.pack("HBBI", *r) for r in ((0x20, 0, 0, 0), (0x15, 0, 1, 438), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)))
    octets = ctypes.create_string_buffer(rules)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(octets)))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0):
        os._exit(77)


def options_by_trial_binds(w):
    """Where a socket may not be asked, a bind beside it tells what TCP lets it tell, and takes nothing."""

    def who(port, *args, **kw):
        p = subprocess.run([w.berth, "who", "-m", *args, str(port)], capture_output=True, text=True, timeout=LIMIT_S, cwd=w.top, env=w.env,
                           stdin=subprocess.DEVNULL, **({"preexec_fn": refuse_pidfd_getfd} if not kw else kw))
        return p.returncode, " ".join(p.stdout.split())

    group = w.socket(LOOP4, 47041, listen=True, SO_REUSEPORT=1)
    w.socket(LOOP4, 47042, listen=True, SO_REUSEADDR=1)
    w.socket(LOOP4, 47043, SO_REUSEADDR=1)
    w.socket(ANY6, 47044)
    w.socket(LOOP4, 47045, kind=socket.SOCK_DGRAM, SO_REUSEADDR=1)
    w.socket(LOOP4, 47046)
    w.socket("127.0.0.2", 47046, listen=True)
    if who(47041)[0] == 77:
        return "no filter can be installed here"
    for port, want in ((47041, "options SO_REUSEPORT (found by binds beside it); others not known"),
                       (47042, "options no SO_REUSEPORT (found by binds beside it)"),
                       (47043, "options SO_REUSEADDR, no SO_REUSEPORT (found by binds"),
                       (47044, "options no SO_REUSEADDR, no SO_REUSEPORT (found by binds"),
                       (47045, "options not known"), (47046, "options not known")):
        code, out = who(port)
        assert code == 0 and want in out, (port, want, out)
    rows = json.loads(subprocess.run([w.berth, "who", "-m", "--json", "47043"], capture_output=True, text=True, env=w.env,
                                     preexec_fn=refuse_pidfd_getfd).stdout)
    assert rows[0]["options"]["reuseaddr"] is True and rows[0]["options"]["reuseport"] is False and rows[0]["options"]["nodelay"] is None, rows
    assert rows == [] or rows[0]["options"].keys() == json.loads(w.run("who", "-m", "--json", "47042")[1])[0]["options"].keys()
    # Callers of a group are not lost to the bind.
    group.settimeout(20)
    asking = subprocess.Popen([sys.executable, "-c", "import os, subprocess, sys\nfor i in range(15): subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)",
                               w.berth, "who", "-m", "47041"], env=w.env, preexec_fn=refuse_pidfd_getfd)
    n = 0
    while asking.poll() is None or n < 50:
        c = socket.create_connection((LOOP4, 47041), timeout=20)
        group.accept()[0].close()
        c.close()
        n += 1
    # Another user's: what is bound and idle tells SO_REUSEADDR to everybody, a listener nothing.
    with open("/proc/self/uid_map") as f:
        if os.getuid() != 0 or int(f.read().split()[2]) < 65535:
            return None
    shutil.copy(BERTH, w.top + "/berth-copy")
    w.berth = w.top + "/berth-copy"
    w.env = {**w.env, "BERTH_DIR": w.top + "/other"}
    nobody = {"user": 65534, "extra_groups": []}
    for port, want in ((47043, "options SO_REUSEADDR (found by binds beside it); others not known; root could read them"),
                       (47044, "options no SO_REUSEADDR (found by binds beside it)")):
        code, out = who(port, **nobody)
        assert code == 0 and want in out, (port, want, out)
    for port in 47041, 47042, 47045, 47046:
        assert "options" not in who(port, **nobody)[1], port
    return None


def container_of_a_program_that_is_not_seen(w):
    """The kernel tells the cgroup of anybody's socket, so an ordinary user is told the container and how to stop it."""
    top = next((m for m in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if os.path.exists(m + "/cgroup.procs")), None)
    if os.getuid() != 0 or not top:
        return "only root makes cgroups of version 2"
    folder = f"{top}/berth-doors-{os.getpid()}"
    groups = [folder + "/docker/" + "0123456789abcdef" * 4, folder + "/berth-doors.service"]
    try:
        for g in groups:
            os.makedirs(g)
    except OSError as e:
        return f"no cgroup can be made here: {e}"
    programs = []
    try:
        ports = [24751, 24752]
        programs += [w.program("open(sys.argv[1] + '/cgroup.procs', 'w').write('0')\n"
                              "s = socket.socket()\ns.setsockopt(1, 2, 1)\ns.bind(('127.0.0.1', int(sys.argv[2])))\ns.listen()",
                              args=(g, str(port))) for g, port in zip(groups, ports)]
        shutil.copy2(BERTH, w.top + "/berth-copy")
        w.berth = w.top + "/berth-copy"
        env = {"BERTH_DIR": w.top + "/other"}
        told = [w.run("who", "-m", str(port), user=65534, env=env)[1] for port in ports]
        w.berth = BERTH
        assert "  unit     docker:0123456789ab\n" in told[0] and "docker stop 0123456789ab" in told[0], told[0]
        assert "  unit     berth-doors.service\n" in told[1] and "systemctl stop berth-doors.service" in told[1], told[1]
    finally:
        for p in programs:
            p.stdin.close()
            p.wait(10)
            w.programs.remove(p)
        for g in (*groups, folder + "/docker", folder):
            os.rmdir(g)


def bad_input(w):
    for args, want in ((("who", "0"), "port 0"), (("ls", "0"), "port 0"), (("who", "65536"), "65535"), (("who", "http:"), "http:"),
                       (("ls", "htpp"), "htpp"), (("ls", "--state", "listning"), "did you mean 'listening'"),
                       (("ls", "-o", "prot"), "did you mean 'port'"), (("ls", "--sort", ""), "no column"),
                       (("ls", "--user", "nosuchuser"), "no user 'nosuchuser'"), (("ls", "--pid", "-4"), "no process's number"),
                       (("ls", "--address", "1.2.3"), "1.2.3"), (("ls", "-m", "-n", "lab"), "--machine"), (("ls", "--", "-1"), "-1")):
        code, out, err = w.run(*args)
        assert code == 2 and out == "" and want in err, (args, code, out, err)


def names_of_this_machine(w):
    """/etc/services has a name that no registry has: what ls shows is taken as an argument, too."""
    w.socket(LOOP4, 47011, listen=True)
    with open("/etc/services") as f, open(w.top + "/services", "w") as own:
        own.write(f.read() + "\nberth-doors\t47011/tcp\nberth-doors-udp\t47012/udp\n")
    inside = "mount --bind services /etc/services || exit 77; for a; do $BERTH $a || exit 1; done"
    p = subprocess.run(["unshare", "-m", "sh", "-c", inside, "sh", "ls -m berth-doors", "who -m berth-doors/tcp", "ls -m berth-doors-udp"],
                       capture_output=True, text=True, cwd=w.top, env={**w.env, "BERTH": BERTH}, timeout=LIMIT_S)
    if p.returncode == 77:
        return "nothing can be mounted here"
    assert p.returncode == 0 and p.stdout.count("berth-doors") >= 2 and "no program holds" in p.stdout, p
    return None


def names_are_harmless(w):
    evil = b"\x1b[2J\x07\xff\xc2\x9b1m"
    w.program(listen4(40001, LOOP4), name=evil, args=["\x1b]0;owned\x07" + "x" * 10000])
    for args in (("ls", "-m"), ("who", "40001"), ("ls", "-m", "-o", "command,program"), ("ls", "-m", "--json"), ("who", "40001", "--json")):
        code, out, err = w.run(*args)
        assert code == 0 and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", out + err), (args, out)
        assert "\\u001b" not in out
    rows = w.rows("-m")
    assert len(rows[0]["command"]) <= 255 and rows[0]["command"].endswith("..."), rows
    text = w.on_terminal(80, "ls", "-m")
    assert not re.search("[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f-\x9f]", text) and "\x1b[2J" not in text, text


def as_wide_as_the_terminal(w):
    many(w)
    connections(w)
    w.program(listen4(40002, LOOP4), name=b"a-longish-name", args=["one", "two", "x" * 300])
    for columns in (30, 40, 60, 80, 100, 132, 200, 400):
        for args in (("ls", "-m"), ("ls", "-m", "-a"), ("ls", "-m", "-o", "port,command,unit,addresses")):
            text = w.on_terminal(columns, *args)
            rows = [x for x in text.splitlines() if re.match(r" *(\x1b\[1m)?(PORT|\d+ )", x)]
            assert len(rows) > 20 and max(len(x) for x in rows) <= columns, (columns, max(rows, key=len))
            assert all(re.match(r" *\d+", x) for x in rows[1:])
    titles = lambda columns: w.on_terminal(columns, "ls", "-m").splitlines()[0].split()
    assert titles(200)[-1] == "COMMAND" and {"PORT", "ADDRESS", "PROGRAM", "PID", "USER"} <= set(titles(80)) and "COMMAND" not in titles(80), titles(80)


def without_netlink_it_reads_text(w):
    a = w.socket(LOOP4, listen=True)
    top = w.top + "/root"
    os.mkdir(top)
    os.symlink("/proc", top + "/proc")
    code, out, err = w.run("ls", "-m", env={"BERTH_MACHINE_ROOT": top})
    assert code == 0 and str(port_of(a)) in out and "read from /proc/net" in out and str(os.getpid()) in out, (out, err)
    shutil.rmtree(top, ignore_errors=True)
    os.mkdir(w.top + "/none")
    code, out, err = w.run("ls", "-m", env={"BERTH_MACHINE_ROOT": w.top + "/none"})
    assert code == 125 and "cannot read the machine's ports" in err, (code, out, err)


def processes_that_vanish(w):
    """Programs come and go while it looks: no row makes no sense, and no call fails."""
    text = ("import os, socket\nfor i in range(300):\n  pid = os.fork()\n  if pid == 0:\n    s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
            "    os._exit(0)\n  os.waitpid(pid, 0)\n")
    p = subprocess.Popen([sys.executable, "-c", text])
    n = 0
    while p.poll() is None or n < 5:
        for r in w.rows("-m", "-a"):
            assert r["holder"] in ("process", "kernel", "unseen", "orphan", "time-wait", "unaccepted"), r
            assert (r["holder"] == "process") == (r["pid"] is not None), r
        assert w.run("ls", "-m", "--user", "root")[0] == 0
        n += 1
    assert p.returncode == 0


CHECKS = [v for k, v in list(globals().items()) if callable(v) and getattr(v, "__code__", None) and v.__code__.co_varnames[:1] == ("w",)
          and k not in ("many", "connections")]


def loopback_up():
    s = socket.socket()
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1 | 0x40))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
    s.close()


def main():
    if os.environ.get("BERTH_DOORS_INSIDE") != "1":
        how = ["unshare", "-n"] if os.getuid() == 0 else ["unshare", "-rn"]
        if not shutil.which("unshare") or subprocess.run(how + ["true"], capture_output=True).returncode != 0:
            print("skipped: a network namespace cannot be made here")
            return 77
        os.environ["BERTH_DOORS_INSIDE"] = "1"
        os.execvp(how[0], how + [sys.executable] + sys.argv)
    loopback_up()
    failed = 0
    wanted = sys.argv[3:]
    for check in CHECKS:
        if wanted and check.__name__ not in wanted:
            continue
        name = check.__name__.replace("_", " ")
        try:
            with World() as w:
                skipped = check(w)
            print(f"ok: {name}" + (f" # skipped: {skipped}" if skipped else ""), flush=True)
        except Exception as e:  # noqa: BLE001
            failed += 1
            import traceback
            traceback.print_exc(limit=-2, file=sys.stdout)
            print(f"FAIL: {name}", flush=True)
    return 1 if failed else 0


sys.exit(main())
