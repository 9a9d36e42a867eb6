#!/usr/bin/env python3
"""tests/cli/doctor.py BERTH [NAME...]: `berth doctor` on a machine that the test makes ill.

The test runs itself again in a network namespace of its own, so that every socket and setting there is the test's. Each check makes one
trouble, wants the finding, follows the line that mends it where there is one, and wants it gone. Without the right to make a
namespace it is skipped (77).
"""
import fcntl
import json
import os
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

BERTH = os.path.realpath(sys.argv[1])
LIMIT_S = 60
LOOP = "127.0.0.1"
SCRUB = ("BERTH_HOST", "BERTH_RUN", "BERTH_NETWORK_DIR", "BERTH_MACHINE_ROOT", "LD_PRELOAD", "BERTH_DOCTOR_INSIDE")
RANGE, RESERVED = "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"


def setting(name, value=None):
    path = "/proc/sys/" + name.replace(".", "/")
    if value is None:
        with open(path) as f:
            return " ".join(f.read().split())
    with open(path, "w") as f:
        f.write(value + "\n")


class World:
    """A check's sockets, and the settings as they were before it."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="berth-doctor-")
        os.chmod(self.top, 0o755)
        self.env = {k: v for k, v in os.environ.items() if k not in SCRUB}
        self.env.update(BERTH_DIR=self.top + "/berth", HOME=self.top, LC_ALL="C", TERM="dumb")
        self.sockets = []
        self.berth = BERTH

    def __enter__(self):
        setting(RANGE, "32768 60999")
        setting(RESERVED, "")
        setting("net.ipv4.tcp_tw_reuse", "0")
        setting("net.core.somaxconn", "4096")
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()
        shutil.rmtree(self.top, ignore_errors=True)

    def run(self, *args, user=None):
        p = subprocess.run([self.berth, "doctor", *args], capture_output=True, text=True, errors="replace", timeout=LIMIT_S, cwd=self.top,
                           stdin=subprocess.DEVNULL, env=self.env, **({"user": user, "extra_groups": []} if user else {}))
        return p.returncode, p.stdout, p.stderr

    def findings(self, *args, **kw):
        """By code; they hang together whatever they say."""
        code, out, err = self.run("--json", *args, **kw)
        assert err == "" and code in (0, 1), (code, err)
        whole = json.loads(out)
        found = {f["code"]: f for f in whole["findings"]}
        assert len(found) == len(whole["findings"])
        assert whole["ok"] == (code == 0) == all(f["state"] != "trouble" for f in found.values()), out
        for f in found.values():
            assert f["state"] in ("trouble", "note", "good", "unseen") and f["value"], f
            assert (f["state"] in ("trouble", "note")) == bool(f["means"]), f
            assert f["state"] in ("trouble", "note") or not (f["now"] or f["keep"]), f
        return found

    def ports(self, code):
        return self.findings("ports")[code]

    def until(self, code, state):
        """The kernel moves sockets on in its own time."""
        end = time.monotonic() + LIMIT_S
        while True:
            f = self.ports(code)
            if f["state"] == state or time.monotonic() > end:
                assert f["state"] == state, f
                return f
            time.sleep(0.05)

    def bound(self, port=0, addr=LOOP, kind=socket.SOCK_STREAM, listen=None):
        s = socket.socket(socket.AF_INET, kind)
        self.sockets.append(s)
        s.bind((addr, port))
        if listen is not None:
            s.listen(listen)
        return s

    def connect(self, server):
        s = socket.create_connection(server.getsockname(), timeout=LIMIT_S)
        self.sockets.append(s)
        return s


def follow(f):
    """What root's shell would do with `now`; `keep` must say the same."""
    words = shlex.split(f["now"])
    assert words[:2] == ["sysctl", "-w"], f
    for word in words[2:]:
        name, value = word.split("=", 1)
        setting(name, value)
        assert f"echo '{name} = {value}' >> /etc/sysctl.d/90-ports.conf" in f["keep"], f


# --- the checks ---

def a_quiet_machine_is_well(w):
    found = w.findings("ports")
    assert not [f for f in found.values() if f["state"] == "trouble"], found
    for code in ("range", "range-used", "range-half", "time-wait", "range-service", "range-listener", "backlog", "somaxconn"):
        assert found[code]["state"] == "good", found[code]


def a_server_in_the_range(w):
    setting(RESERVED, "8080,9000-9001")
    w.bound(5432, listen=8)
    w.bound(45678, listen=8)
    f = w.ports("range-listener")
    assert f["state"] == "note" and re.search(r"python\S* on 45678/tcp", f["value"]) and "5432" not in f["value"], f
    follow(f)
    assert setting(RESERVED) == "8080,9000-9001,45678", setting(RESERVED)
    assert w.ports("range-listener")["state"] == "good"
    # What the line promises: never given out, and still to be had by name.
    setting(RANGE, "45677 45678")
    w.sockets.pop().close()
    assert w.bound(0).getsockname()[1] == 45677
    w.bound(45678)


def a_service_in_the_range(w):
    """What makes a service is its unit, and that is its cgroup."""
    mounts = [m for m in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if os.path.exists(m + "/cgroup.procs")]
    if not mounts:
        return "no cgroup2 here"
    top = f"{mounts[0]}/berth-doctor-{os.getpid()}"
    unit = top + "/system.slice/db.service"
    try:
        os.makedirs(unit)
    except OSError:
        return "a cgroup cannot be made here"
    text = ("import os, socket, sys\nopen(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
            "s = socket.socket(); s.bind(('127.0.0.2', 45680)); s.listen()\nprint('ready', flush=True)\nsys.stdin.read()\n")
    w.bound(45680, listen=8)  # another program's, on the same number and before it in the list
    p = subprocess.Popen([sys.executable, "-c", text, unit], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if p.stdout.readline() != "ready\n":
            return "a cgroup cannot be entered here"
        found = w.findings("ports")
        f = found["range-service"]
        assert f["state"] == "trouble" and re.fullmatch(r"python\S* \(db\.service\) on 45680/tcp", f["value"]), f
        assert found["range-listener"]["state"] == "good"
        follow(f)
        assert w.ports("range-service")["state"] == "good"
    finally:
        p.communicate()
        for folder in (unit, top + "/system.slice", top):
            for _ in range(600):  # it is empty a moment after its last process was waited for
                try:
                    os.rmdir(folder)
                    break
                except OSError:
                    time.sleep(0.05)
    return None


def half_the_range_to_one_destination(w):
    setting(RANGE, "40000 40199")
    server, other = w.bound(5432, listen=1024), w.bound(5433, listen=1024)
    ports = [w.connect(server).getsockname()[1] for _ in range(79)]
    for _ in range(30):
        w.connect(other)
    assert w.ports("range-half")["state"] == "good"
    ports.append(w.connect(server).getsockname()[1])
    f = w.ports("range-half")
    assert f["state"] == "note" and "80 of 200 ports (40 %) from 127.0.0.1 to 127.0.0.1:5432" in f["value"], f
    ports += [w.connect(server).getsockname()[1] for _ in range(20)]
    assert all(p % 2 == 0 for p in ports), ports  # the kernel does as docs/doctor.md says
    f = w.ports("range-half")
    assert f["state"] == "trouble" and "tried first 100 of 100 (100 %)" in f["value"] and "all even ports" in f["means"], f
    assert w.connect(server).getsockname()[1] % 2 == 1
    for _ in range(79):
        w.connect(server)
    f = w.ports("range-half")
    assert f["state"] == "trouble" and "180 of 200 ports (90 %)" in f["value"] and "EADDRNOTAVAIL" in f["means"], f
    follow(f)
    assert setting(RANGE) == "16384 65535" and w.ports("range-half")["state"] == "good"


def a_heap_of_time_wait(w):
    setting(RANGE, "41000 41099")
    server = w.bound(5434, listen=64)

    def closed(n):
        for _ in range(n):
            c = socket.create_connection(server.getsockname(), timeout=LIMIT_S)
            a = server.accept()[0]
            c.close()
            assert a.recv(1) == b""
            a.close()

    closed(20)
    assert w.ports("time-wait")["state"] == "good"
    closed(10)
    f = w.until("time-wait", "note")
    assert "30 of them on ports of the range (30 %)" in f["value"], f
    closed(25)
    f = w.until("time-wait", "trouble")
    assert "55 of them" in f["value"] and "55 in TIME_WAIT" in w.ports("range-half")["value"], f
    follow(f)
    f = w.ports("time-wait")
    assert f["state"] == "note" and f["now"] is None and "eases" in f["means"], f
    setting("net.ipv4.tcp_timestamps", "0")
    f = w.ports("tw-reuse")
    assert f["state"] == "note" and "tcp_timestamps=1" in f["now"], f
    follow(f)
    assert w.ports("tw-reuse")["state"] == "good"


def a_server_that_does_not_accept(w):
    server = w.bound(5435, listen=2)
    for _ in range(5):
        s = socket.socket()
        s.setblocking(False)
        w.sockets.append(s)
        s.connect_ex(server.getsockname())
    f = w.until("backlog", "trouble")
    assert re.search(r"python\S* on 5435/tcp, 3 waiting to be accepted of 2; 1 full", f["value"]), f
    assert "its configuration" in f["means"] and f["now"] is None, f
    f = w.until("listen-overflow", "note")
    assert int(re.search(r"ListenOverflows (\d+)", f["value"])[1]) >= 1, f
    for _ in range(3):
        server.accept()[0].close()


def a_queue_that_somaxconn_cuts(w):
    setting("net.core.somaxconn", "3")
    server = w.bound(5436, listen=1000)
    for _ in range(6):
        s = socket.socket()
        s.setblocking(False)
        w.sockets.append(s)
        s.connect_ex(server.getsockname())
    f = w.until("backlog", "trouble")
    assert "4 waiting to be accepted of 3" in f["value"] and "started again" in f["means"], f
    assert "1 listener has" in w.ports("somaxconn")["value"]
    follow(f)
    assert setting("net.core.somaxconn") == "4096" and w.ports("somaxconn")["state"] == "good"


def most_of_the_range_is_bound(w):
    setting(RANGE, "42000 42099")
    for i in range(74):
        w.bound(42000 + i)
    assert w.ports("range-used")["state"] == "good"
    w.bound(42080, addr="0.0.0.0")
    f = w.ports("range-used")
    assert f["state"] == "note" and "75 of 100 ports (75 %), at most 75 on one address (127.0.0.1)" in f["value"], f
    for i in range(15):
        w.bound(42081 + i)
    assert w.ports("range-used")["state"] == "trouble"
    w.sockets.clear()
    for i in range(91):
        w.bound(42000 + i, kind=socket.SOCK_DGRAM)
    f = w.ports("range-used")
    assert f["state"] == "trouble" and "UDP 91" in f["value"] and "EAGAIN" in f["means"], f


def a_range_that_is_odd(w):
    setting(RANGE, "50000 50001")
    assert w.ports("range")["state"] == "note"
    setting(RANGE, "20000 60000")
    f = w.ports("range")
    assert f["state"] == "note" and "even" in f["means"], f
    follow(f)
    assert w.ports("range")["state"] == "good"


def it_leaves_nothing_behind(w):
    def state():
        with open("/proc/net/dev") as dev, open("/proc/net/tcp") as tcp, open("/proc/net/udp") as udp:
            links = [line.split(":")[0] for line in dev]
            sockets = tcp.read().count("\n"), udp.read().count("\n")
        return links, sockets, os.path.exists(w.top + "/berth"), sorted(os.listdir(w.top))

    before = state()
    codes = {f for f in w.findings()}
    assert {"tap", "net-namespaces", "preload", "second-net"} <= codes
    assert state() == before, (before, state())


def as_another_user(w):
    w.berth = w.top + "/berth-copy"  # the tree may be in a folder that is its owner's alone
    shutil.copy(BERTH, w.berth)
    try:
        subprocess.run([w.berth, "version"], user=65534, extra_groups=[], capture_output=True, check=True)
    except PermissionError:
        return "another user cannot be had"
    w.bound(45679, listen=8)
    f = w.findings("ports", user=65534)["range-listener"]
    assert f["state"] == "note" and "another user's program on 45679/tcp" in f["value"] and f["root_helps"], f
    w.findings(user=65534)
    return None


def text_and_json_agree(w):
    setting(RANGE, "40000 40099")
    w.bound(40000, listen=8)
    code, out, err = w.run("ports")
    found = w.findings("ports")
    assert err == ""
    heads = re.findall(r"^(trouble|note|unseen) +(\S+)$", out, re.M)
    assert heads == sorted(heads, key=lambda h: ("trouble", "note", "unseen").index(h[0])), heads
    assert {c: s for s, c in heads} == {c: f["state"] for c, f in found.items() if f["state"] != "good"}, heads
    for f in found.values():
        assert f["now"] is None or f"\n  now    {f['now']}\n" in out, f
    assert code == any(s == "trouble" for s, _ in heads)


CHECKS = [a_quiet_machine_is_well, a_server_in_the_range, a_service_in_the_range, half_the_range_to_one_destination, a_heap_of_time_wait, a_server_that_does_not_accept,
          a_queue_that_somaxconn_cuts, most_of_the_range_is_bound, a_range_that_is_odd, it_leaves_nothing_behind, as_another_user,
          text_and_json_agree]


def main():
    if os.environ.get("BERTH_DOCTOR_INSIDE") != "1":
        how = ["unshare", "-n"] if os.getuid() == 0 else ["unshare", "-rn"]
        if not shutil.which("unshare") or subprocess.run(how + ["true"], capture_output=True, check=False).returncode != 0:
            print("skipped: a network namespace cannot be made here")
            return 77
        os.environ["BERTH_DOCTOR_INSIDE"] = "1"
        os.execvp(how[0], how + [sys.executable] + sys.argv)
    try:
        setting(RESERVED, "")
    except OSError:
        print("skipped: the namespace's settings cannot be changed here")
        return 77
    s = socket.socket()
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1 | 0x40))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
    s.close()
    failed, wanted = 0, sys.argv[2:]
    for check in CHECKS:
        if wanted and check.__name__ not in wanted:
            continue
        name = check.__name__.replace("_", " ")
        try:
            with World() as w:
                skipped = check(w)
            print(f"skipped: {name}: {skipped}" if skipped else f"ok: {name}", flush=True)
        except Exception as e:  # pylint: disable=broad-except
            failed += 1
            print(f"FAIL: {name}: {type(e).__name__} line {e.__traceback__.tb_next.tb_lineno if e.__traceback__.tb_next else 0}: {e}",
                  flush=True)
    return 1 if failed else 0


sys.exit(main())
