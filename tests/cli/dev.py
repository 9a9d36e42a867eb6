#!/usr/bin/env python3
"""tests/cli/dev.py BERTH HOLDER [NAME...]: the commands for everyday development: wait, exec, auto hosts, berth.conf.

Each check is a function below, with a berth directory and a folder of its own; names on the command line pick checks.
Nothing asserts how long a thing took: who waits in vain runs into the limit that each command has here.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

BERTH, HOLDER = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
LIMIT_S = 60
SCRUB = ("BERTH_HOST", "BERTH_RUN", "BERTH_NETWORK_DIR", "LD_PRELOAD", "BROWSER", "DISPLAY", "WAYLAND_DISPLAY")


class World:
    """A check's own berth directory, and what it started."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="berth-dev-")
        self.dir = os.path.join(self.top, "berth")
        self.home = os.path.join(self.top, "home")
        os.mkdir(self.home)
        self.env = {k: v for k, v in os.environ.items() if k not in SCRUB}
        self.env.update(BERTH_DIR=self.dir, HOME=self.home, LC_ALL="C", TERM="dumb")
        self.children = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in self.children:
            for f in (p.stdin, p.stdout):
                if f:
                    f.close()
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.terminate()
                p.wait()
        shutil.rmtree(self.top, ignore_errors=True)

    def folder(self, name):
        path = os.path.join(self.home, name)
        os.makedirs(path)
        return path

    def run(self, *args, cwd=None, env=None, **more):
        """Exit code, standard output, standard error."""
        p = subprocess.run([BERTH, *args], capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL,
                           cwd=cwd or self.home, env={**self.env, **(env or {})}, **more)
        return p.returncode, p.stdout, p.stderr

    def start(self, *args, cwd=None):
        p = subprocess.Popen([BERTH, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, cwd=cwd or self.home, env=self.env)
        self.children.append(p)
        return p

    def hold(self, host, *args, **more):
        """A program that has a port until its standard input ends."""
        p = self.start("run", "-q", "-H", host, "--", HOLDER, *args, **more)
        assert p.stdout.readline() == "ready\n"
        return p


def end(p):
    p.stdin.close()
    p.wait(LIMIT_S)


def inner_pid(host_line):
    return int(re.search(r"pid (\d+)", host_line).group(1))


# --- wait ---

def wait_returns_when_the_port_listens(w):
    waiter = w.start("wait", "web:80", "--timeout", str(LIMIT_S))  # neither network nor host exist
    time.sleep(0.05)
    w.run("run", "-H", "other", "--", "true")
    w.run("run", "-H", "web", "--", "true")
    assert waiter.poll() is None
    bound = w.hold("web", "0.0.0.0", "80")  # not listening
    time.sleep(0.05)
    assert waiter.poll() is None
    end(bound)
    w.hold("web", "0.0.0.0", "80", "listen")
    assert waiter.wait(LIMIT_S) == 0
    assert waiter.stdout.read() == ""
    assert w.run("wait", "web:80", "-t", "0") == (0, "", "")
    assert w.run("wait", "web.default.berth:80", "WEB:http", "80", "-H", "web", "-t", "0")[0] == 0


def wait_is_woken_and_does_not_poll(w):
    """Asleep, it makes about one look a second: the processor time of a waiter is next to nothing."""
    w.run("run", "-H", "web", "--", "true")
    waiter = w.start("wait", "web:80")
    time.sleep(1)

    def switches():
        with open(f"/proc/{waiter.pid}/status") as f:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))

    before = switches()
    time.sleep(2)
    assert switches() - before <= 8, switches() - before
    w.hold("web", "::", "80", "listen")
    assert waiter.wait(LIMIT_S) == 0


TRIER = ("import socket, sys, time\n"
         "for i in range(30):\n"
         "    s = socket.create_server(('0.0.0.0', 80))\n"
         "    t = time.perf_counter()\n    while time.perf_counter() - t < 0.002: pass\n    s.close()\n    time.sleep(0.005)\n"
         "s = socket.create_server(('127.0.0.1', 80)); print('ready', flush=True); sys.stdin.read()")


def wait_is_not_taken_in_by_a_trial(w):
    """vite, next and others listen on a port for a moment to see whether it is free."""
    waiters = [w.start("wait", "web:80") for _ in range(3)]
    p = w.start("run", "-q", "-H", "web", "--", sys.executable, "-c", TRIER)
    for waiter in waiters:
        assert waiter.wait(LIMIT_S) == 0
        assert w.run("wait", "web:80", "-t", "0") == (0, "", "")
    assert p.stdout.readline() == "ready\n"


def wait_names_the_host_that_auto_is(w):
    shop = w.folder("shop")
    w.run("run", "-H", "auto", "--", "true", cwd=shop)
    code, _, err = w.run("wait", "auto:80", "-t", "0", cwd=shop)
    assert code == 1 and "80/tcp of host shop" in err, err


def wait_sees_udp_and_any_address(w):
    waiter = w.start("wait", "dns:53/udp")
    w.hold("dns", "127.0.0.1", "53", "udp")
    assert waiter.wait(LIMIT_S) == 0
    assert w.run("wait", "dns:53", "-t", "0")[0] == 1  # TCP is another port
    w.hold("web", "127.0.0.1", "80", "listen")
    assert w.run("wait", "web:80", "-t", "0")[0] == 0
    assert w.run("wait", "127.0.0.1:80", "-H", "web", "-t", "0")[0] == 0
    assert w.run("wait", "[::1]:80", "-H", "web", "-t", "0")[0] == 1
    code, out, _ = w.run("run", "-H", "web", "--", "sh", "-c", "getent ahostsv4 web | sed 's/ .*//;q'")
    assert code == 0
    assert w.run("wait", out.strip() + ":80", "-t", "0")[0] == 1  # it listens on the loopback only
    w.hold("web", "0.0.0.0", "81", "listen")
    assert w.run("wait", out.strip() + ":81", "-t", "0")[0] == 0


def wait_for_all_or_for_any(w):
    w.hold("web", "0.0.0.0", "80", "listen")
    assert w.run("wait", "web:80", "web:81", "-t", "0.05")[0] == 1
    assert w.run("wait", "--any", "web:81", "web:80", "-t", "0")[0] == 0
    waiter = w.start("wait", "web:80", "web:81", "db:5432")
    w.hold("web", "0.0.0.0", "81", "listen")
    time.sleep(0.05)
    assert waiter.poll() is None
    w.hold("db", "0.0.0.0", "5432", "listen")
    assert waiter.wait(LIMIT_S) == 0


def wait_in_a_run_is_about_the_run(w):
    def inside(*args):
        return w.run("run", "-n", "lab", "-H", "web", "--", BERTH, "wait", *args, "-t", "0")

    code, _, err = inside("80")
    assert code == 1 and "80/tcp of host web" in err and "no such" not in err and "no network" not in err, err
    code, _, err = inside("80", "-H", "other")
    assert code == 1 and "80/tcp of host other; there is no such host in network 'lab'" in err, err
    code, _, err = inside("80", "-n", "away")
    assert code == 1 and "80/tcp of host local; there is no network 'away'" in err, err


def wait_says_what_is_missing(w):
    code, out, err = w.run("wait", "web:80", "-t", "0")
    assert code == 1 and out == ""
    assert re.sub(r"after [0-9.]+ s", "after T s", err) == "berth: after T s nobody listens on 80/tcp of host web; there is no network 'default'\n", err
    w.hold("a", "0.0.0.0", "80", "listen")
    w.hold("a", "0.0.0.0", "81")
    code, out, err = w.run("wait", "a:80", "a:81", "b:82", "a:53/udp", "-t", "0.1")
    assert code == 1 and out == ""
    lines = re.sub(r"pid \d+", "pid N", re.sub(r"after [0-9.]+ s", "after T s", err)).splitlines()
    assert lines == [
        "berth: after T s nobody listens on 81/tcp of host a; cli-holder (pid N) has it, bound and not listening",
        "berth: after T s nobody listens on 82/tcp of host b; there is no such host in network 'default'",
        "berth: after T s nobody receives on 53/udp of host a",
    ], err
    assert w.run("wait", "-q", "a:82", "-t", "0") == (1, "", "")


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_does_not_take_a_dead_claim_for_a_listener(w):
    p = w.hold("web", "0.0.0.0", "80", "listen")
    _, out, _ = w.run("who", "80", "-H", "web")
    pid = inner_pid(out)
    os.kill(p.pid, signal.SIGKILL)  # nobody sweeps
    os.kill(pid, signal.SIGKILL)
    p.wait()
    while lives(pid):
        time.sleep(0.01)
    code, _, err = w.run("wait", "web:80", "-t", "0")
    assert code == 1 and "is gone or has closed it" in err, err
    assert w.run("wait", "--gone", "web:80")[0] == 0
    p = w.hold("web", "0.0.0.0", "80", "listen")
    _, out, _ = w.run("who", "80", "-H", "web")
    waiter = w.start("wait", "web:80", "web:81", "-t", "0.5")
    time.sleep(0.1)
    os.kill(p.pid, signal.SIGKILL)
    os.kill(inner_pid(out), signal.SIGKILL)
    waiter.wait(LIMIT_S)
    err = re.sub(r"pid \d+", "pid N", waiter.stdout.read())
    assert "80/tcp of host web; cli-holder (pid N) had it, and is gone or has closed it\n" in err, err


def wait_gone_returns_when_nobody_listens(w):
    assert w.run("wait", "--gone", "web:80")[0] == 0  # no network
    p = w.hold("web", "0.0.0.0", "80", "listen")
    assert w.run("wait", "--gone", "web:81", "nosuch:80")[0] == 0
    code, _, err = w.run("wait", "--gone", "web:80", "-t", "0.05")
    assert code == 1
    assert re.search(r"somebody still listens on 80/tcp of host web; cli-holder \(pid \d+\) has it$", err.strip()), err
    waiter = w.start("wait", "--gone", "web:80")
    time.sleep(0.3)
    assert waiter.poll() is None
    end(p)
    assert waiter.wait(LIMIT_S) == 0
    # A program that closes its listener and lives on, and one whose child has the socket, too.
    p = w.start("run", "-H", "web", "--", sys.executable, "-c",
                "import socket, sys, os; s = socket.create_server(('', 80)); print('ready', flush=True); "
                "sys.stdin.readline(); s.close(); print('closed', flush=True); sys.stdin.readline()")
    assert p.stdout.readline() == "ready\n"
    waiter = w.start("wait", "--gone", "web:80")
    time.sleep(0.1)
    p.stdin.write("\n")
    p.stdin.flush()
    assert p.stdout.readline() == "closed\n"
    assert waiter.wait(LIMIT_S) == 0 and p.poll() is None
    p.stdin.write("\n")
    p.stdin.flush()
    p.wait(LIMIT_S)


def wait_outlives_its_network(w):
    w.run("run", "-H", "web", "--", "true")
    waiter = w.start("wait", "web:80")
    time.sleep(0.1)
    assert w.run("net", "rm", "default")[0] == 0
    time.sleep(0.1)
    w.hold("web", "0.0.0.0", "80", "listen")
    assert waiter.wait(LIMIT_S) == 0


def wait_refuses_what_makes_no_sense(w):
    for args in ((), ("web:80-90",), ("web:0",), ("bad_:80",), ("-t", "x", "web:80"), ("-t", "-1", "web:80"),
                 ("-t", "nan", "web:80"), ("web:99999",), ("web:80/sctp",)):
        code, out, err = w.run("wait", *args)
        assert code == 2 and out == "" and err.startswith("berth wait: "), (args, code, err)


# --- exec ---

def exec_runs_beside_what_runs(w):
    assert w.run("exec", "web", "--", "true")[0] == 125  # no network
    w.run("run", "-H", "web", "--", "true")
    code, out, err = w.run("exec", "wbe", "--", "true")
    assert code == 125 and "there is no host 'wbe' in network 'default'; did you mean 'web'?" in err, err
    assert "wbe" not in w.run("net", "show")[1]  # nothing is made
    code, out, err = w.run("exec", "web", "--", "true")
    assert code == 125 and out == "" and "nothing runs on host 'web' of network 'default'" in err, err
    assert w.run("exec", "--any", "web", "--", "sh", "-c", "echo $BERTH_HOST; exit 7") == (7, "web\n", "")
    w.hold("web", "127.0.0.1", "80", "listen")
    code, out, err = w.run("exec", "web", "--", "sh", "-c", "echo ${BERTH_NETWORK_DIR##*/} ${LD_PRELOAD##*/} $no_proxy")
    assert code == 0 and re.match(r"default libberth\.so localhost,127", out), (out, err)
    code, out, err = w.run("exec", "web", HOLDER, "0.0.0.0", "80")  # the same ports, and the same explanations
    assert code == 3 and out == "bind EADDRINUSE\n" and "was refused 80/tcp on host web" in err, err
    assert w.run("exec", "web", "--", "sh", "-c", "kill -TERM $$")[0] == -signal.SIGTERM
    assert w.run("exec", "web", "--", "no-such-program")[0] == 127


def exec_sees_a_program_without_a_port(w):
    p = w.start("run", "-H", "web", "--", "sh", "-c", "echo up; read line")
    p.stdout.readline()
    assert w.run("exec", "web", "--", "true")[0] == 0
    assert w.run("exec", "-n", "lab", "web", "--", "true")[0] == 125
    end(p)
    assert w.run("exec", "web", "--", "true")[0] == 125


def exec_refuses_what_makes_no_sense(w):
    for args in ((), ("web",), ("web", "--"), ("bad_name", "true"), ("-z", "web", "true")):
        assert w.run("exec", *args)[0] == 2, args
    code, _, err = w.run("exec", "web", "-n", "lab", "--", "true")  # no command is called -n
    assert code == 2 and "options come before the host: berth exec -n ... web -- COMMAND" in err, err


# --- hosts named after folders ---

def auto_names_a_host_after_the_work_tree(w):
    a = w.folder("src/My Shop.v2")
    os.mkdir(os.path.join(a, ".git"))
    os.makedirs(os.path.join(a, "web/src"))
    host = ("run", "-H", "auto", "--", "sh", "-c", "echo $BERTH_HOST")
    assert w.run(*host, cwd=a)[1] == "my-shop-v2\n"
    assert w.run(*host, cwd=os.path.join(a, "web/src"))[1] == "my-shop-v2\n"
    b = w.folder("other/my-shop-v2")  # a linked work tree has a file
    with open(os.path.join(b, ".git"), "w") as f:
        f.write("gitdir: /nowhere\n")
    assert w.run(*host, cwd=b)[1] == "my-shop-v2-2\n"
    c = w.folder("plain")
    assert w.run(*host, cwd=c)[1] == "plain\n"
    os.symlink(a, os.path.join(w.home, "link"))
    assert w.run(*host, cwd=os.path.join(w.home, "link"))[1] == "my-shop-v2\n"
    for _ in range(2):
        assert w.run(*host, cwd=a)[1] == "my-shop-v2\n"
        assert w.run(*host, cwd=b)[1] == "my-shop-v2-2\n"


def auto_makes_a_name_of_anything(w):
    for folder, host in (("local", "local-tree"), ("auto", "auto-tree"), ("\u043f\u0440\u043e", "tree"),
                         ("..a__b--", "a-b"), ("X" * 200, "x" * 48), ("new\nline%", "new-line"), ("%0A", "0a"),
                         ("LOCALHOST", "localhost-tree")):
        out = w.run("run", "-H", "auto", "--", "sh", "-c", "echo $BERTH_HOST", cwd=w.folder(folder))[1]
        assert out == host + "\n", (folder, out)
        out = w.run("run", "-H", "auto", "--", "sh", "-c", "echo $BERTH_HOST", cwd=os.path.join(w.home, folder))[1]
        assert out == host + "\n", (folder, out)


def auto_takes_no_host_of_somebody_else(w):
    w.run("run", "-H", "shop", "--", "true")
    a, b = w.folder("a/shop"), w.folder("b/shop")
    host = ("run", "-H", "auto", "--", "sh", "-c", "echo $BERTH_HOST")
    assert w.run(*host, cwd=a)[1] == "shop-2\n"
    assert w.run(*host, cwd=b)[1] == "shop-3\n"
    os.rmdir(a)  # its host is free again for the next of that name
    assert w.run(*host, cwd=w.folder("c/shop"))[1] == "shop-2\n"
    p = w.hold("auto", "0.0.0.0", "80", "listen", cwd=b)
    os.rmdir(b)
    assert w.run(*host, cwd=w.folder("d/shop"))[1] == "shop-4\n"  # something still listens on shop-3
    end(p)


def auto_gives_each_of_many_at_once_its_own(w):
    folders = [w.folder(f"{i}/shop") for i in range(10)]
    ps = [w.start("run", "-H", "auto", "--", "sh", "-c", "echo $BERTH_HOST", cwd=f) for f in folders for _ in range(2)]
    hosts = [p.stdout.readline() for p in ps]
    assert hosts[0::2] == hosts[1::2], hosts
    assert sorted(hosts[0::2]) == sorted(["shop\n"] + [f"shop-{i}\n" for i in range(2, 11)]), hosts


def auto_is_understood_by_the_others(w):
    a = w.folder("shop")
    code, _, err = w.run("ls", "-H", "auto", cwd=a)
    assert code == 0
    w.run("run", "-H", "other", "--", "true")
    assert w.run("wait", "auto:80", "-t", "0", cwd=a)[0] == 1
    assert "shop" not in w.run("net", "show")[1]  # asking makes nothing
    w.hold("auto", "0.0.0.0", "80", "listen", cwd=a)
    assert w.run("wait", "auto:80", "-t", "0", cwd=a)[0] == 0
    assert w.run("wait", "80", "-H", "auto", "-t", "0", cwd=a)[0] == 0
    assert "on host shop is held" in w.run("who", "80", "-H", "auto", cwd=a)[1]
    assert "on host shop is held" in w.run("who", "auto:80", cwd=a)[1]
    assert w.run("why", "80", "-H", "auto", cwd=a)[0] == 1
    assert w.run("exec", "auto", "--", "sh", "-c", "echo $BERTH_HOST", cwd=a)[1] == "shop\n"
    assert w.run("exec", "auto", "--", "true", cwd=w.folder("b"))[0] == 125


# --- berth.conf ---

HOST = ("run", "--", "sh", "-c", "echo ${BERTH_NETWORK_DIR##*/} $BERTH_HOST $COLOUR")


def write(folder, text, name="berth.conf", mode=0o644):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def conf_says_network_host_and_environment(w):
    a = w.folder("src/shop")
    write(a, "# ours\nnetwork = lab\nhost = web\n\n[environment]\nCOLOUR = red blue ; and a remark\n")
    assert w.run(*HOST, cwd=a) == (0, "lab web red blue\n", "")
    assert w.run(*HOST, cwd=w.folder("src/shop/a/b")) == (0, "lab web red blue\n", "")
    assert w.run(*HOST, cwd=w.folder("src/other")) == (0, "default local\n", "")
    # The command line comes first, then what is in the environment.
    assert w.run("run", "-n", "net2", *HOST[1:], cwd=a)[1] == "net2 web red blue\n"
    assert w.run("run", "-H", "db", *HOST[1:], cwd=a)[1] == "lab db red blue\n"
    assert w.run(*HOST, cwd=a, env={"COLOUR": "green"})[1] == "lab web green\n"
    # Other commands are about the same network and host.
    p = w.hold("web", "0.0.0.0", "80", "listen", cwd=a)
    assert "80" in w.run("ls", cwd=a)[1] and "cli-holder" not in w.run("ls", "-n", "default")[1]
    assert w.run("wait", "80", "-t", "0", cwd=a)[0] == 0
    assert w.run("why", "80", cwd=a)[0] == 1 and w.run("why", "80")[0] == 0
    assert w.run("exec", "web", *HOST[2:], cwd=a)[1] == "lab web red blue\n"
    assert w.run("net", "show", cwd=a)[1].startswith("network    lab\n")
    assert w.run("net", "policy", "-n", "default", cwd=a)[1].startswith("outside of network default:")
    end(p)


def conf_is_looked_for_up_to_the_top_only(w):
    write(w.home, "host = of-home\n")
    a = w.folder("a/b")
    assert w.run(*HOST, cwd=a)[1] == "default of-home\n"
    os.mkdir(os.path.join(w.home, "a", ".git"))  # a work tree: home is above its top
    assert w.run(*HOST, cwd=a)[1] == "default local\n"
    write(os.path.join(w.home, "a"), "host = of-a\n")
    assert w.run(*HOST, cwd=a)[1] == "default of-a\n"
    write(a, "network = lab\n")  # the nearest, and only that one
    assert w.run(*HOST, cwd=a)[1] == "lab local\n"
    write(w.top, "host = above-home\n")
    os.remove(os.path.join(w.home, "berth.conf"))
    assert w.run(*HOST)[1] == "default local\n"
    assert w.run(*HOST, cwd=a, env={"BERTH_CONF": ""})[1] == "default local\n"
    assert w.run(*HOST, cwd=a, env={"BERTH_CONF": os.path.join(w.top, "berth.conf")})[1] == "default above-home\n"
    code, _, err = w.run(*HOST, env={"BERTH_CONF": "/nowhere/berth.conf"})
    assert code == 125 and err == "berth: cannot read /nowhere/berth.conf: No such file or directory\n", err


def conf_of_somebody_else_is_not_used(w):
    a = w.folder("a")
    path = write(a, "host = theirs\n")
    for spoil, why in ((lambda: os.chmod(path, 0o666), "everybody may write it"),
                       (lambda: os.chmod(a, 0o777), "everybody may write to its folder"),
                       (lambda: os.geteuid() == 0 and os.chown(path, 12345, -1), "it belongs to user uid 12345"),
                       (lambda: os.geteuid() == 0 and os.chown(a, 12345, -1), "its folder belongs to user uid 12345")):
        if spoil() is False:
            continue  # only root can give a file away
        code, out, err = w.run(*HOST, cwd=a)
        assert (code, out, err) == (0, "default local\n", f"berth: {path} is not used: {why}\n"), (out, err)
        os.chmod(path, 0o644)
        os.chmod(a, 0o755)
        if os.geteuid() == 0:
            os.chown(path, 0, -1)
            os.chown(a, 0, -1)
    assert w.run(*HOST, cwd=a)[1] == "default theirs\n"
    os.rename(path, path + ".real")
    os.symlink(path + ".real", path)
    code, out, err = w.run(*HOST, cwd=a)
    assert out == "default local\n" and err == f"berth: {path} is not used: it is not a plain file\n", err


def conf_errors_name_file_and_line(w):
    a = w.folder("a")
    cases = (
        ("x\n", 1, "this is neither 'key = value' nor a [section]"),
        ("\n[enviroment]\nA = b\n", 3, "there is no section [enviroment]: [environment] is the only one"),
        ("netwrok = lab\n", 1, "there is no key 'netwrok'; did you mean 'network'?"),
        ("zzz = lab\n", 1, "there is no key 'zzz' (variables belong under [environment])"),
        ("network = a\nnetwork = b\n", 2, "'network' is given a second time (an indented line continues the one above)"),
        ("network = a\n  host = b\n", 2, "'network' is given a second time (an indented line continues the one above)"),
        ("host = a_b\n", 1, "'a_b' cannot be the name of a host"),
        ("host = localhost\n", 1, "'localhost' cannot be the name of a host"),
        ("host =\n", 1, "'' cannot be the name of a host"),
        ("network = " + "n" * 64 + "\n", 1, f"'{'n' * 64}' cannot be the name of a network"),
        ("isolated = perhaps\n", 1, "'isolated' is yes or no, not 'perhaps'"),
        ("isolated = no\nisolated = yes\nisolated = yes\n", 2, "'isolated' is given a second time"),
        ("# " + "x" * 300 + "\n", 1, "the line is longer than 196 characters"),
        ("host = a\n[environment]\nLD_PRELOAD = ./x.so\n", 3,
         "LD_PRELOAD is not set by a berth.conf: it decides which code programs run"),
        ("[environment]\nPATH = .\n", 2, "PATH is not set by a berth.conf: it decides which code programs run"),
        ("[environment]\nA B = .\n", 2, "'A B' cannot be the name of a variable"),
        ("[environment]\nA = 1\nA = 2\n", 3, "A is set a second time (an indented line continues the one above)"),
        ("host = \"web\"\n", 1, "a value is written without quotes: host = web"),
        ("[environment]\nA = 'b c'\n", 2, "a value is written without quotes: A = b c"),
        ("host = a\0b\n", 1, "there is a NUL character in the line"),
    )
    for text, line, why in cases:
        path = write(a, text)
        for args in (HOST, ("ls",)):
            code, out, err = w.run(*args, cwd=a)
            assert (code, out, err) == (125, "", f"berth: {path}:{line}: {why}\n"), (text, out, err)
    assert w.run("run", "--help", cwd=a)[0] == 0  # help is to be had all the same
    write(a, "x" * 70000)
    assert "is larger than 64 KiB" in w.run("ls", cwd=a)[2]


def conf_publishes_and_isolates(w):
    a = w.folder("a")
    conf = write(a, "publish = 0:80,\n   127.0.0.1:0:81\nisolated = yes\nallow = 192.0.2.1:443\n")

    def published():
        return sorted(r["inner"] for r in json.loads(w.run("ls", "--published", "--json")[1]))

    def policy(command, *args):
        show = "import os; print(os.environ.get('BERTH_POLICY'))"
        return w.run(command, *args, sys.executable, "-c", show, cwd=a)[1]

    p = w.start("run", "-q", "--", "sh", "-c", "echo ready; read line", cwd=a)
    while p.stdout.readline() != "ready\n":
        pass
    assert published() == [80, 81], published()
    end(p)
    p = w.start("run", "-q", "-p", "0:82", "--", "sh", "-c", "echo ready; read line", cwd=a)
    while p.stdout.readline() != "ready\n":
        pass
    assert published() == [82], published()
    closed, own, one = policy("run"), policy("run", "--deny", "192.0.2.9"), policy("exec", "local")
    assert "192.0.2.1" in closed and one == closed, (closed, one)
    assert "192.0.2.9" in own and "192.0.2.1" not in own, own
    end(p)
    os.remove(conf)
    assert policy("run") == "None\n"
    for text, line, why in (("host = a\npublish = 80, 99999\n", 2, "    99999\n"), ("publish-all = maybe\n", 1, "yes or no"),
                            ("allow =\n\ndeny = 10.0.0.0/99\n", 3, "    10.0.0.0/99\n")):
        write(a, text)
        code, out, err = w.run("run", "true", cwd=a)
        assert code in (2, 125) and f"{conf}:{line}: " in err and why in err, err


def folder_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:  # it has ended, or nobody has asked yet how
        return None


def ten_work_trees_need_no_flag(w):
    """The same development server on the same port in ten copies of one repository, at once."""
    node = shutil.which("node")
    server = ("require('http').createServer((q, r) => r.end(process.env.BERTH_HOST + ' ' + process.cwd()))"
              ".listen(3000, () => console.log('up'));process.stdin.resume().on('end', () => process.exit(0))")
    python = ("import http.server, os, sys, threading\n"
              "class H(http.server.BaseHTTPRequestHandler):\n"
              "    def do_GET(s):\n        s.send_response(200); s.end_headers()\n"
              "        s.wfile.write((os.environ['BERTH_HOST'] + ' ' + os.getcwd()).encode())\n"
              "    def log_message(s, *a): pass\n"
              "h = http.server.ThreadingHTTPServer(('', 3000), H); print('up', flush=True)\n"
              "threading.Thread(target=h.serve_forever, daemon=True).start(); sys.stdin.read()")
    command = (node, "-e", server) if node else (sys.executable, "-c", python)
    trees = [w.folder(f"{i}/shop") for i in range(10)]
    for t in trees:
        os.mkdir(os.path.join(t, ".git"))
        write(t, "network = shops\nhost = auto\npublish = 0:3000\n[environment]\nNODE_ENV = development\n")
    ps = [w.start("run", *command, cwd=t) for t in trees]
    for t in trees:
        assert w.run("wait", "3000", "-t", str(LIMIT_S), cwd=t) == (0, "", "")
    inside = "import os, urllib.request; print(urllib.request.urlopen('http://%s:3000/').read().decode())"
    seen, urls = set(), {}
    for t in trees:
        host, cwd = w.run("run", sys.executable, "-c", inside % "localhost", cwd=t)[1].split()
        assert cwd == os.path.realpath(t), (cwd, t)
        seen.add(host)
        urls[host] = w.run("open", "--print", "3000", cwd=t)[1].strip()
        assert fetch(urls[host]).split() == [host, cwd]
        assert w.run("run", "-H", "client", sys.executable, "-c", inside % host, cwd=t)[1].split() == [host, cwd]
    assert seen == {"shop"} | {f"shop-{i}" for i in range(2, 11)}, seen
    assert len(set(urls.values())) == 10, urls
    rows = json.loads(w.run("ls", "-n", "shops", "3000", "--json")[1])
    for p in ps[:5]:
        end(p)
    for p, t in list(zip(ps, trees))[5:]:  # and the others are killed: berth, its keeper and publisher, the server
        p.kill()
        for r in rows:
            if folder_of(r["pid"]) == os.path.realpath(t):
                os.kill(r["pid"], signal.SIGKILL)
    assert w.run("wait", "--gone", *[f"{h}:3000" for h in seen], "-n", "shops")[0] == 0
    for url in urls.values():
        while True:  # until the publisher has noticed, at most a moment
            try:
                fetch(url)
            except OSError as e:
                if "refused" in str(e):
                    break
            time.sleep(0.02)
    assert w.run("ls", "-n", "shops")[1] == "no program holds a port in network 'shops'\n"
    while json.loads(w.run("ls", "-n", "shops", "--published", "--json")[1]):
        time.sleep(0.02)
    assert w.run("net", "rm", "shops")[0] == 0


# --- open ---

PAGE = ("import http.server, sys, threading\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(s):\n        s.send_response(200); s.end_headers(); s.wfile.write(s.path.encode())\n"
        "    def log_message(s, *a): pass\n"
        "h = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), H); print('ready', flush=True)\n"
        "threading.Thread(target=h.serve_forever, daemon=True).start(); sys.stdin.read()")


def page(w, host, port, *options, addr="127.0.0.1", cwd=None):
    """A server whose pages are their own paths."""
    p = w.start("run", "-q", "-H", host, *options, sys.executable, "-c", PAGE, addr, str(port), cwd=cwd)
    line = p.stdout.readline()
    while line.startswith("berth: "):
        line = p.stdout.readline()
    assert line == "ready\n", line
    return p


def fetch(url):
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=LIMIT_S).read().decode()


def open_publishes_what_is_not(w):
    p = page(w, "web", 80)
    code, out, err = w.run("open", "--print", "web:80")
    assert code == 0 and re.fullmatch(r"berth: 127.0.0.1:\d+ leads to web:80\n", err), (out, err)
    assert re.fullmatch(r"http://(localhost|127\.0\.0\.1):\d+/\n", out), out
    assert fetch(out.strip()) == "/"
    code, again, _ = w.run("open", "--print", "web:80", "a b/\u00e9?q=1&r=%20#x")
    assert again == out.strip() + "a%20b/%C3%A9?q=1&r=%20#x\n", again  # the same port, not one more
    assert fetch(again.strip()) == "/a%20b/%C3%A9?q=1&r=%20"
    data = json.loads(w.run("open", "--json", "web.default.berth:80")[1])
    assert data == {"url": out.strip(), "host": "web", "port": 80, "network": "default", "published_before": True}, data
    assert w.run("open", "--https", "--print", "web:80")[1].startswith("https://")
    end(p)
    assert w.run("wait", "--gone", "web:80")[0] == 0
    code, out, err = w.run("open", "--print", "web:80")
    assert (code, out, err) == (125, "", "berth: nobody listens on 80/tcp of host web "
                                "('berth wait web:80' returns when somebody does)\n"), err


def open_takes_the_port_that_is_published(w):
    page(w, "web", 3000, "-p", "0:3000", addr="0.0.0.0")

    def published():
        return [(r["outer"], r["inner"]) for r in json.loads(w.run("ls", "--published", "--json")[1])]

    before = published()
    code, out, err = w.run("open", "--print", "web:3000", "/x")
    assert code == 0 and fetch(out.strip()) == "/x", (out, err)
    assert published() == before and f":{before[0][0]}/" in out, (before, out)
    tree = w.folder("shop")
    write(tree, "host = auto\npublish = 0:3000\n")
    p = w.start("run", "-q", sys.executable, "-c", PAGE, "127.0.0.1", "3000", cwd=tree)
    assert w.run("wait", "3000", "-t", str(LIMIT_S), cwd=tree)[0] == 0
    code, out, err = w.run("open", "--print", "3000", cwd=tree)
    assert code == 0 and fetch(out.strip()) == "/", (out, err)
    assert w.run("open", "--print", "auto:3000", cwd=tree)[1] == out
    assert [r["host"] for r in json.loads(w.run("ls", "--published", "--json")[1])].count("shop") == 1
    end(p)


def open_starts_the_browser(w):
    page(w, "web", 80)
    script = write(w.home, "#!/bin/sh\necho \"browser: $*\"\nexit 9\n", "a-browser", 0o755)
    url = w.run("open", "--print", "web:80")[1].strip()
    for browser, said in ((script, f"browser: {url}"), (f"{script} --new %s x", f"browser: --new {url} x"),
                          (f"no-such-program:{script} --to=%s!", f"browser: --to={url}!")):
        code, out, err = w.run("open", "web:80", env={"BROWSER": browser})
        assert (code, out, err) == (9, f"{url}\n{said}\n", ""), (out, err)
    code, out, err = w.run("open", "web:80", env={"BROWSER": "no-such-program"})
    assert code == 125 and err == "berth: no command of BROWSER can be run\n", err
    code, out, err = w.run("open", "web:80", env={"PATH": w.home})
    assert code == 125 and "install xdg-utils" in err, err
    os.rename(script, os.path.join(w.home, "xdg-open"))
    assert w.run("open", "web:80", env={"PATH": w.home + ":/bin:/usr/bin"})[1] == f"{url}\nbrowser: {url}\n"


def open_needs_nothing_published_inside(w):
    page(w, "web", 80)
    code, out, err = w.run("run", "-H", "client", "--", BERTH, "open", "--print", "web:80")
    assert (code, out) == (0, "http://web/\n"), (out, err)
    assert json.loads(w.run("ls", "--published", "--json")[1]) == []


def open_refuses_what_makes_no_sense(w):
    for args in ((), ("web:80/udp",), ("127.0.0.1:80",), ("web:80", "/a", "/b"), ("web:80-90",), ("bad_:80",)):
        assert w.run("open", *args)[0] == 2, args
    w.run("run", "-H", "web", "--", "true")
    code, _, err = w.run("open", "--print", "wbe:80")
    assert code == 125 and "did you mean 'web'?" in err, err


def main():
    only = sys.argv[3:]
    checks = [f for name, f in globals().items()
              if callable(f) and getattr(f, "__code__", None) and f.__code__.co_varnames[:1] == ("w",)
              and f.__code__.co_argcount == 1]
    failed = 0
    for f in checks:
        if only and not any(o in f.__name__ for o in only):
            continue
        try:
            with World() as w:
                f(w)
            print("ok:", f.__name__.replace("_", " "), flush=True)
        except Exception as e:  # noqa: BLE001: any end of a check is a failure of it
            failed += 1
            tb = e.__traceback__
            while tb.tb_next and tb.tb_next.tb_frame.f_code.co_filename == __file__:
                tb = tb.tb_next
            print(f"FAIL: {f.__name__} (line {tb.tb_lineno}): {type(e).__name__} {e}", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
