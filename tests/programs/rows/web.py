"""web.py: web servers, proxies and those who load them."""
import os
import signal

from harness import CLIENT, IS_ROOT, row
from rows.table import nginx_conf

PYTHON_SERVER = """
import http.server, os, sys
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = f"{sys.argv[1]} {self.path} for {self.headers.get('X-Forwarded-For', '-')} from {self.client_address[0]}\\n".encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a):
        pass
http.server.ThreadingHTTPServer(('', 80), Page).serve_forever()
"""


def backends(t, *hosts):
    for h in hosts:
        t.up(h, 80, "python3", "-c", PYTHON_SERVER, h)


def fetch(t, *args, host=CLIENT):
    return t.run(host, "curl", "-sSf", "-m", "20", *args)


@row("nginx-proxy", "nginx:nginx-light|nginx curl:curl python3:python3 ab:apache2-utils")
def nginx_proxy(t):
    """nginx, four workers as www-data, proxies by name to two upstreams on other hosts"""
    backends(t, "up1", "up2")
    conf = nginx_conf(t, "upstream up { server up1; server up2; } server { listen 80; location / { proxy_pass http://up; "
                         "proxy_set_header X-Forwarded-For $remote_addr; } }", workers=4)
    t.up("front", 80, "nginx", "-p", t.dir + "/", "-c", conf)
    seen = {fetch(t, "http://front/x").split()[0] for _ in range(8)}
    t.same("both upstreams answer", "['up1', 'up2']", sorted(seen))
    t.has("the upstream sees the proxy, and the proxy the client", f"/x for {t.address(CLIENT)} from {t.address('front')}",
          fetch(t, "http://front/x"))
    out = t.run(CLIENT, "ab", "-q", "-n", "1000", "-c", "20", "http://front/")
    t.has("1,000 requests, 20 at once: none fails", "^Failed requests: +0$", out)
    t.true("none was answered by an error", "Non-2xx" not in out)


@row("nginx-upgrade", "nginx:nginx-light|nginx curl:curl")
def nginx_upgrade(t):
    """nginx -USR2: the binary is changed under a client that notices nothing"""
    t.write("www/index.html", "a page\n")
    conf = nginx_conf(t, "server { listen 80; listen [::]:80; root " + t.mkdir("www") + "; }")
    with open(conf, encoding="utf-8") as f:
        text = f.read().replace("daemon off;", "").replace("error_log stderr notice;", f"error_log {t.path('log', 'error.log')} notice;")
    t.write("nginx.conf", text)
    t.up("web", 80, "nginx", "-p", t.dir + "/", "-c", conf)
    old = int(t.read("nginx.pid"))
    client = t.serve(CLIENT, "sh", "-c", "n=0; while [ ! -e stop ]; do curl -sSf -m 10 http://web/ >/dev/null || { echo failed; exit 1; }; "
                                         "n=$((n + 1)); echo $n >count; done; echo all were answered")
    t.until("the client gets pages", lambda: os.path.exists(t.path("count")))
    os.kill(old, signal.SIGUSR2)
    t.until("a new master writes its pid", lambda: os.path.exists(t.path("nginx.pid.oldbin")) and os.path.exists(t.path("nginx.pid"))
            and t.read("nginx.pid").strip() not in ("", str(old)))
    new = int(t.read("nginx.pid"))
    os.kill(old, signal.SIGQUIT)
    t.until("the old master ends", lambda: not os.path.exists(f"/proc/{old}") or not os.path.exists(t.path("nginx.pid.oldbin")))
    t.same("IPv4, by the new one", "a page", fetch(t, "-4", "http://web/"))
    t.same("IPv6, by the new one", "a page", fetch(t, "-6", "http://web/"))
    t.write("stop", "")
    t.until("the client ends", lambda: client.popen.poll() is not None)
    t.has("no request failed meanwhile", "^all were answered", client.text())
    # nginx closes its listeners when it is told to end: the port is free at once for the next one
    os.kill(new, signal.SIGTERM)
    t.until("the port is free again", lambda: not [r for r in t.ls("web") if r["port"] == 80])
    t.up("web", 80, "nginx", "-p", t.dir + "/", "-c", conf)
    t.same("and had by the next", "a page", fetch(t, "http://web/"))


@row("haproxy", "haproxy:haproxy curl:curl python3:python3 ab:apache2-utils")
def haproxy(t):
    """haproxy as Debian runs it, chrooted and as user haproxy: http and tcp mode, health checks, a reload"""
    backends(t, "app1", "app2")
    jail = t.mkdir("jail")
    conf = t.write("haproxy.cfg", f"""
global
  log stderr format raw local0 notice
  {f'chroot {jail}' if IS_ROOT else ''}
  {'user haproxy' if IS_ROOT else ''}
  {'group haproxy' if IS_ROOT else ''}
defaults
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend web
  mode http
  bind :80
  bind :::80 v6only
  option forwardfor
  http-request deny if {{ path /forbidden }}
  default_backend apps
backend apps
  mode http
  balance roundrobin
  option httpchk GET /health
  default-server check inter 200ms
  server app1 app1:80
  server app2 app2:80
listen pipe
  mode tcp
  bind :8000
  server app1 app1:80
listen stats
  mode http
  bind :9000
  stats enable
  stats uri /
""")
    t.up("front", 80, "haproxy", "-W", "-db", "-f", conf)
    t.wait_port("front", 9000)
    def up():
        return t.run(CLIENT, "curl", "-sS", "-m", "5", "http://front:9000/;csv").count(",UP,")
    t.until("the health checks find both", lambda: up() >= 4)  # two servers, their backend, the pipe's
    t.same("both are asked in turn", "['app1', 'app2']", sorted({fetch(t, "http://front/x").split()[0] for _ in range(6)}))
    t.has("http mode names the client", f"for {t.address(CLIENT)} from {t.address('front')}", fetch(t, "http://front/x"))
    t.has("IPv6", "^app", fetch(t, "-6", "http://front/x"))
    t.has("tcp mode", "^app1 /y for - from", fetch(t, "http://front:8000/y"))
    t.same("a rule denies", "403", t.run(CLIENT, "curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "http://front/forbidden"))
    t.has("1,000 requests, 20 at once", "^Failed requests: +0$", t.run(CLIENT, "ab", "-q", "-l", "-n", "1000", "-c", "20", "http://front/"))


@row("wrk", "wrk:wrk nginx:nginx-light|nginx")
def wrk(t):
    """wrk with two threads and 40 connections at nginx"""
    t.write("www/index.html", "a page\n")
    conf = nginx_conf(t, "server { listen 80 reuseport backlog=4096; root " + t.mkdir("www") + "; }")
    t.up("web", 80, "nginx", "-p", t.dir + "/", "-c", conf)
    out = t.run(CLIENT, "wrk", "-t2", "-c40", "-d2s", "http://web/")
    t.true("more than a thousand requests", int(t.has("wrk counts", r"(\d+) requests in", out)[1]) > 1000)
    t.true("no socket errors, no bad answers", "Socket errors" not in out and "Non-2xx" not in out)


@row("ab", "ab:apache2-utils nginx:nginx-light|nginx")
def ab(t):
    """ab: 3,000 connections, and 5,000 requests over kept ones"""
    t.write("www/index.html", "a page\n")
    conf = nginx_conf(t, "server { listen 80; root " + t.mkdir("www") + "; }")
    t.up("web", 80, "nginx", "-p", t.dir + "/", "-c", conf)
    for options in (["-n", "3000"], ["-k", "-n", "5000"]):
        out = t.run(CLIENT, "ab", "-q", "-c", "50", *options, "http://web/")
        t.has("all complete", f"^Complete requests: +{options[-1]}$", out)
        t.has("none fails", "^Failed requests: +0$", out)


@row("wget", "wget:wget python3:python3")
def wget(t):
    """wget: a page, a tree, a file gone on with, and a server that is not there"""
    t.write("www/index.html", "<a href='sub/one.html'>one</a>")
    t.write("www/sub/one.html", "the first\n")
    t.write("www/large", b"x" * 3_000_000)
    t.up("web", 80, "python3", "-m", "http.server", "80", "--directory", t.path("www"))
    out = t.mkdir("out")
    t.run(CLIENT, "wget", "-q", "-r", "-T", "20", "-t", "1", "http://web/", cwd=out)
    t.same("a tree", "the first", t.read("out/web/sub/one.html"))
    t.write("out/large", b"x" * 10)
    t.run(CLIENT, "wget", "-q", "-T", "20", "-t", "1", "-O", "large", "http://web/large", cwd=out)
    t.same("three million octets", 3_000_000, os.path.getsize(t.path("out/large")))
    code, text = t.run(CLIENT, "wget", "-T", "20", "-t", "1", "http://web:81/", code=None)
    t.true("a closed port is refused", code == 4 and "Connection refused" in text)


@row("chromium", "chromium:chromium python3:python3")
def chromium(t):
    """chromium, headless, fetches a page from a host by name, with a script that fetches from another"""
    t.write("www/index.html", "<html><body><p id=x>the page</p><script>fetch('http://api/data').then(a => a.text())"
                              ".then(s => { document.getElementById('x').textContent += ' and ' + s; });</script></body></html>")
    t.up("web", 80, "python3", "-m", "http.server", "80", "--directory", t.path("www"))
    t.up("api", 80, "python3", "-c", "import http.server\n"
         "class P(http.server.BaseHTTPRequestHandler):\n"
         "    def do_GET(self):\n"
         "        self.send_response(200); self.send_header('Access-Control-Allow-Origin', '*'); self.end_headers()\n"
         "        self.wfile.write(b'what the script fetched')\n"
         "http.server.ThreadingHTTPServer(('', 80), P).serve_forever()")
    out = t.run(CLIENT, "chromium", "--headless=new", *(["--no-sandbox"] if IS_ROOT else []), "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", f"--user-data-dir={t.mkdir('profile')}", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--virtual-time-budget=8000", "--dump-dom", "http://web/", timeout=50)
    t.has("the page, and what its script fetched", "the page and what the script fetched", out)
