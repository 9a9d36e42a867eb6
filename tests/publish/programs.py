#!/usr/bin/env python3
"""tests/publish/programs.py BERTH STATIC: real programs behind published ports, asked by real clients outside.

A program that is not installed is left out, by name; at least python and the static server are always there.
"""
import hashlib
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
    p = under(b, "four", ["-p", f"{port}:80"], [sys.executable, "-m", "http.server", "-b", "0.0.0.0", "80"])
    becomes(lambda: get(port)[:1], b"<")
    if HAS6 and has("curl"):
        r = subprocess.run(["curl", "-s", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code} %{remote_ip}", "--resolve",
                            f"both.example:{port}:[::1],127.0.0.1", f"http://both.example:{port}/"],
                           capture_output=True, text=True, timeout=30)
        check("IPv4 only: curl goes on from ::1 to 127.0.0.1", r.stdout == "200 127.0.0.1", r)
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
    got = becomes(lambda: b.call("ls", "-n", "default").stdout.startswith("no program"), True)
    check("ten nodes: nothing is left", got and b.publishers() == [], b.call("ls", "-n", "default").stdout)


def iperf3(b):
    """Both directions, TCP and UDP; -R sends from inside to the caller."""
    if not has("iperf3"):
        return
    port = free_port()
    p = under(b, "perf", ["-p", f"127.0.0.1:{port}:5201", "-p", f"127.0.0.1:{port}:5201/udp"], ["iperf3", "-s"])
    for name, options in (("up", ["-n", "200M"]), ("down", ["-n", "200M", "-R"]), ("four at once", ["-n", "200M", "-P", "4"]),
                          ("both ways", ["-t", "1", "--bidir"]),
                          ("UDP", ["-u", "-b", "50M", "-t", "1"]), ("UDP down", ["-u", "-b", "50M", "-t", "1", "-R"])):
        def once():
            r = subprocess.run(["iperf3", "-J", "-c", "127.0.0.1", "-p", str(port), *options], capture_output=True, text=True,
                               timeout=60)
            try:
                end = json.loads(r.stdout)["end"]
                return r.returncode == 0 and (end["sum_received"]["bytes"] if "sum_received" in end else
                                              end["sum"]["packets"]) > 0 or r.stdout
            except (ValueError, KeyError):
                return r.stdout + r.stderr
        got = becomes(once, True, 15)
        check(f"iperf3, {name}", got is True, got)
    stop(p)


def redis(b):
    if not has("redis-server", "redis-benchmark", "redis-cli"):
        return
    port = free_port()
    p = under(b, "db", ["-p", f"{port}:6379"], ["redis-server", "--save", "", "--dir", b.dir])
    cli = lambda *w: subprocess.run(["redis-cli", "-h", "127.0.0.1", "-p", str(port), *w], capture_output=True,
                                    text=True).stdout.strip()
    check("redis: up", becomes(lambda: cli("ping"), "PONG", 10) == "PONG")
    value = "v" * 500_000
    cli("set", "k", "small")
    got = subprocess.run(["redis-cli", "-p", str(port), "-x", "set", "big"], input=value, capture_output=True, text=True)
    check("redis: a big value", got.stdout.strip() == "OK" and cli("get", "big") == value, got.stderr)
    check("redis: sees its caller", "addr=127.0.0.1:" in cli("client", "list"), cli("client", "list"))
    r = subprocess.run(["redis-benchmark", "-p", str(port), "-n", "5000", "-c", "50", "-q", "-t", "ping,set,get", "--csv"],
                       capture_output=True, text=True, timeout=60)
    check("redis: redis-benchmark", r.returncode == 0 and r.stdout.count("\n") >= 4 and "rror" not in r.stdout + r.stderr, r)
    stop(p)


# A server of web sockets in as few lines as there can be: it says back each text frame.
WEBSOCKETS = r"""
const c = require('crypto')
require('http').createServer((q, r) => r.end('plain')).on('upgrade', (q, s) => {
  const k = c.createHash('sha1').update(q.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
  s.write(['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Accept: ' + k, '', '']
    .join('\r\n'))
  let have = Buffer.alloc(0)
  s.on('error', () => {})
  s.on('data', d => {
    have = Buffer.concat([have, d])
    while (have.length >= 6) {
      const n = have[1] & 127, end = 6 + n
      if (have.length < end) return
      const t = Buffer.from(have.subarray(6, end)), m = have.subarray(2, 6)
      for (let i = 0; i < n; i++) t[i] ^= m[i & 3]
      const op = have[0] & 15
      s.write(Buffer.concat([Buffer.from([0x80 | op, n]), t]))
      have = have.subarray(end)
      if (op == 8) s.end()
    }
  })
}).listen(3000)
"""

def websockets(b):
    if not has("node"):
        return
    port = free_port()
    p = under(b, "ws", ["-p", f"{port}:3000"], ["node", "-e", WEBSOCKETS])
    becomes(lambda: get(port), b"plain", 20)
    s = socket.create_connection(("127.0.0.1", port), timeout=20)
    f = s.makefile("rb")
    s.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    head = []
    while (line := f.readline().strip()):
        head.append(line)
    check("web sockets: switched", head[:1] == [b"HTTP/1.1 101 Switching Protocols"] and
          b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head)
    good = 0
    for i in range(300):
        text = b"message %d" % i
        s.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
        good += f.read(2 + len(text)) == bytes([0x81, len(text)]) + text
    check("web sockets: 300 messages", good == 300, good)
    s.sendall(bytes([0x88, 0x80, 0, 0, 0, 0]))
    check("web sockets: closed", f.read() == bytes([0x88, 0]))
    s.close()
    stop(p)


# Reads to the end, then says how much it was and its sum, and as much again as it is told to.
HALVES = """
import hashlib, os, socket, threading
s = socket.socket()
s.bind(("", 80))
s.listen(1024)
def serve(c):
    h, n = hashlib.sha256(), 0
    while d := c.recv(1 << 16):
        h.update(d)
        n += len(d)
    c.sendall(b"%d %s\\n" % (n, h.hexdigest().encode()))
    data = b"0123456789abcdef" * 4096
    for _ in range(n // len(data)):
        c.sendall(data)
    c.close()
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""


def halves(b):
    """Upload, half close, download: and a thousand callers at once."""
    port = free_port()
    p = under(b, "half", ["-p", f"127.0.0.1:{port}:80"], [sys.executable, "-c", HALVES])
    becomes(lambda: socket.socket().connect_ex(("127.0.0.1", port)), 0)
    data = os.urandom(1 << 20) * 32
    s = socket.create_connection(("127.0.0.1", port), timeout=30)
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    f = s.makefile("rb")
    line = f.readline().split()
    check("upload, half close", line == [b"%d" % len(data), hashlib.sha256(data).hexdigest().encode()], line)
    rest = f.read()
    check("and download", rest == b"0123456789abcdef" * (len(data) // 16), len(rest))
    s.close()
    socks = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(1000)]
    for i, c in enumerate(socks):
        c.sendall(b"caller %d" % i)
        c.shutdown(socket.SHUT_WR)
    good = 0
    for i, c in enumerate(socks):
        text = b"caller %d" % i
        good += c.makefile("rb").read() == b"%d %s\n" % (len(text), hashlib.sha256(text).hexdigest().encode())
        c.close()
    check("a thousand at once", good == 1000, good)
    stop(p)


def workers(b):
    """Processes forked after listen() share the callers; one that dies takes nobody along; keep-alive connections stay."""
    port = free_port()
    code = """
import os, socket
s = socket.socket()
s.bind(("", 80))
s.listen(64)
for _ in range(4):
    if os.fork() == 0:
        while True:
            c, a = s.accept()
            while c.recv(100): c.sendall(b"%d\\n" % os.getpid())
            c.close()
s.close()
while True:
    try: os.wait()
    except OSError: break
"""
    p = under(b, "work", ["-p", f"127.0.0.1:{port}:80"], [sys.executable, "-c", code])
    becomes(lambda: socket.socket().connect_ex(("127.0.0.1", port)), 0)
    seen = []
    for _ in range(3):
        socks = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(4 - len(seen))]
        names = []
        for c in socks:
            for _ in range(20):  # keep-alive
                c.sendall(b"?")
                names.append(c.recv(100))
        check(f"workers, {len(seen)} killed: each has a caller", len(set(names)) == 4 - len(seen), names)
        os.kill(int(names[0]), signal.SIGKILL)
        seen.append(names[0])
        check("the others keep theirs", [c.sendall(b"?") or c.recv(100) for c in socks[1:]] == names[20::20])
        check("the killed one's is closed", socks[0].recv(100) == b"")
        for c in socks:
            c.close()
    s = socket.create_connection(("127.0.0.1", port), timeout=10)
    s.sendall(b"?")
    os.kill(int(s.recv(100)), signal.SIGKILL)
    check("workers: the last one's end is the program's", p.wait(20) == 0)
    check("workers: refused afterwards", becomes(lambda: ask("127.0.0.1", port), "ECONNREFUSED") == "ECONNREFUSED")


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


run_cases(curl_python, static, nginx, ten_nodes, browser, iperf3, redis, websockets, halves, workers, only=3)
