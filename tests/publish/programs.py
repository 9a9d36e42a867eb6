#!/usr/bin/env python3
"""tests/publish/programs.py BERTH STATIC: real programs behind published ports, asked by real clients outside.

A program that is not installed is left out, by name; at least python and the static server are always there.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from harness import *

URL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(port, path="/", addr="127.0.0.1"):
    host = f"[{addr}]" if ":" in addr else addr
    try:
        with URL.open(f"http://{host}:{port}{path}", timeout=10) as f:
            return f.read()
    except OSError as e:
        return repr(e).encode()


def has(*names):
    missing = [n for n in names if not shutil.which(n)]
    if missing:
        print(f"left out: {', '.join(missing)} not installed")
    return not missing


def under(b, host, options, command, **kw):
    kw = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **kw}
    return b.popen("run", "-q", "-H", host, *options, "--", *command, stdin=subprocess.DEVNULL, **kw)


def stop(p, sig=signal.SIGTERM):
    p.send_signal(sig)
    return p.wait(20)


def curl_python(b):
    port = free_port()
    with open(b.dir + "/big", "wb") as f:
        f.write(os.urandom(3_000_000))
    p = under(b, "web", ["-p", f"{port}:80"], [sys.executable, "-m", "http.server", "80"])
    becomes(lambda: get(port)[:1], b"<")
    check("python: urllib", get(port, "/big") == open(b.dir + "/big", "rb").read())
    if has("curl"):
        r = subprocess.run(["curl", "-s", "--noproxy", "*", "-o", b.dir + "/got", "-w", "%{http_code} %{remote_ip}",
                            f"http://localhost:{port}/big"], capture_output=True, text=True, timeout=30)
        check("python: curl", r.stdout == "200 127.0.0.1" and
              open(b.dir + "/got", "rb").read() == open(b.dir + "/big", "rb").read(), r)
    stop(p)
    r = get(port)
    check("python: refused afterwards", b"refused" in r, r)


def nginx(b):
    if not has("nginx"):
        return
    port = free_port()
    d = b.dir + "/nginx"
    os.makedirs(d)
    user = "user root;" if os.geteuid() == 0 else ""
    with open(d + "/conf", "w") as f:
        f.write(f"""{user} worker_processes 4; pid {d}/pid; error_log {d}/err; daemon on;
events {{ worker_connections 256; }}
http {{ access_log off; client_body_temp_path {d}/a; proxy_temp_path {d}/b; fastcgi_temp_path {d}/c; uwsgi_temp_path {d}/e;
scgi_temp_path {d}/f;
server {{ listen 80 reuseport; listen [::]:80 reuseport ipv6only=on; location / {{ return 200 "$remote_addr $remote_port $pid\\n"; }} }} }}
""")
    p = under(b, "web", ["-p", f"{port}:80"], ["nginx", "-c", d + "/conf"])
    check("nginx: the starter ends", p.wait(20) == 0)
    becomes(lambda: b"127.0.0.1" in get(port), True)
    seen = set()
    good = 0
    for i in range(200):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        body = s.makefile("rb").read().split(b"\r\n\r\n")[-1].decode().split()
        good += body[:2] == ["127.0.0.1", str(s.getsockname()[1])]
        seen.add(body[2] if len(body) > 2 else "")
        s.close()
    check("nginx: 200 callers by their own names", good == 200, good)
    check("nginx: several workers served", len(seen) > 1, seen)
    if HAS6:
        got = get(port, addr="::1")
        check("nginx: at ::1", got.startswith(b"::1 "), got)
    check("nginx: the daemon is published though `berth run` has ended", len(b.publishers()) == 1)
    os.kill(int(open(d + "/pid").read()), signal.SIGTERM)
    check("nginx: the daemon's end ends it", becomes(b.publishers, []) == [], b.publishers())
    check("nginx: refused", b"refused" in get(port))


def ten_nodes(b):
    """Ten copies of one development server on its port 3000, published on ten ports, up at once, then killed."""
    if not has("node"):
        return
    with open(b.dir + "/server.js", "w") as f:
        f.write("""require('http').createServer((q, r) => r.end(process.env.ME + ' ' + q.socket.remoteAddress + '\\n'))
.listen(3000, () => console.log('up'))""")
    first = free_port(10)
    nodes = []
    for i in range(10):
        b.env["ME"] = f"tree{i}"
        nodes.append(under(b, f"tree{i}", ["-p", f"{first + i}:3000"], ["node", "server.js"]))
    for i in range(10):
        got = becomes(lambda: get(first + i), f"tree{i} ::ffff:127.0.0.1\n".encode(), 30)
        check(f"node {i}", got == f"tree{i} ::ffff:127.0.0.1\n".encode(), got)
    rows = json.loads(b.call("ls", "--published", "--json").stdout)
    check("ten nodes: listed", [(r["outer"], r["host"], r["open"]) for r in rows] ==
          [(first + i, f"tree{i}", 1) for i in range(10)], rows)
    for p in nodes:
        p.kill()  # berth run, not node: the keeper and node go on
    for p in nodes:
        p.wait()
    check("ten nodes, berth run killed: heard", get(first).startswith(b"tree0"), get(first))
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if ("BERTH_DIR=" + b.env["BERTH_DIR"]).encode() in open(f"/proc/{pid}/environ", "rb").read().split(b"\0"):
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass
    for i in range(10):
        got = becomes(lambda: b"refused" in get(first + i), True)
        check(f"node {i}: killed, refused", got)
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", first + i))
        except OSError as e:
            check(f"node {i}: killed, the port is free", False, e)
        s.close()
    got = becomes(lambda: b.call("ls").stdout.startswith("no program"), True)
    check("ten nodes: nothing is left", got and b.publishers() == [], b.call("ls").stdout)


def static(b):
    port = free_port()
    p = under(b, "st", ["-p", f"127.0.0.1:{port}:80"], [os.path.realpath(sys.argv[2])])
    for i in range(20):
        def once():
            try:
                s = socket.create_connection(("127.0.0.1", port), timeout=10)
                me = s.getsockname()[1]
                line = s.makefile().readline()
                s.close()
                return line == f"accept 127.0.0.1:{me} peer 127.0.0.1:{me} own 127.0.0.1:{port} blocks 1 cloexec 1\n" or line
            except OSError as e:
                return str(e)
        got = becomes(once, True)
        check(f"static: {i}", got is True, got)
    stop(p)
    check("static: refused afterwards", ask("127.0.0.1", port) == "ECONNREFUSED")


def browser(b):
    exe = next((n for n in ("chromium", "chromium-browser", "google-chrome") if shutil.which(n)), None)
    if not exe or not has("node"):
        print("left out: chromium not installed")
        return
    port = free_port()
    with open(b.dir + "/page.js", "w") as f:
        f.write("""require('http').createServer((q, r) => { r.setHeader('content-type', 'text/html');
if (q.url == '/data') r.end('came'); else
r.end('<body><script>fetch("/data").then(x => x.text()).then(t => document.body.append("data " + t))</script></body>') })
.listen(3000, 'localhost')""")
    p = under(b, "page", ["-p", f"{port}:3000"], ["node", "page.js"])
    becomes(lambda: get(port, "/data"), b"came", 20)
    env = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    try:
        r = subprocess.run([exe, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={b.dir}/chrome",
                            "--virtual-time-budget=3000", "--dump-dom", f"http://localhost:{port}/"], env=env,
                           capture_output=True, text=True, timeout=60)
        check("a browser loads a page and fetches from it", "data came" in r.stdout, r.stdout + r.stderr[-600:])
    except subprocess.TimeoutExpired:
        check("a browser loads a page and fetches from it", False, "it did not end in 60 s")
    stop(p)


def main():
    for case in (curl_python, static, nginx, ten_nodes, browser):
        b = Berth(sys.argv[1])
        try:
            case(b)
        finally:
            b.end()
    finish()


main()
