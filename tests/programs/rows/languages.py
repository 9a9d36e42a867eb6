"""languages.py: what programs are written in. The scripts are in scripts/: a server and a client for each."""
import os

from harness import CLIENT, HERE, ROOT, row


def script(name):
    return os.path.join(HERE, "scripts", name)


def pair(t, server, client, tcp=(), udp=()):
    """The server on one host, and when it has its ports the client on another: it says OK, line by line."""
    s = t.serve("far", *server)
    for port in tcp:
        t.wait_port("far", port, "tcp", s)
    for port in udp:
        t.wait_port("far", port, "udp", s)
    out = t.run(CLIENT, *client, timeout=45)
    t.has("the client has seen all it should", r"^all is well$", out)
    return s


@row("python-asyncio", "python3:python3")
def python_asyncio(t):
    """python asyncio: streams over both families, datagrams, 200 clients at once, a cancelled connect"""
    pair(t, ["python3", script("asyncio_server.py")], ["python3", script("asyncio_client.py"), "far", t.address("far")], tcp=[7000], udp=[7000])


@row("node-http", "node:nodejs")
def node_http(t):
    """node: http and net, over both families, keep-alive, a refused port"""
    pair(t, ["node", script("node_server.js")], ["node", script("node_client.js"), "far"], tcp=[8000, 7000])


@row("node-dgram", "node:nodejs")
def node_dgram(t):
    """node: dgram, udp4 and udp6, connected and not"""
    pair(t, ["node", script("dgram_server.js")], ["node", script("dgram_client.js"), "far"], udp=[7000])


@row("node-cluster", "node:nodejs curl:curl")
def node_cluster(t):
    """node: cluster, four workers behind one port, by round robin and by a shared listener"""
    for policy, port in (("rr", 8001), ("none", 8002)):
        t.up("far", port, "node", script("cluster.js"), str(port), env={"NODE_CLUSTER_SCHED_POLICY": policy})
        pids = set()
        t.until(f"two workers answer ({policy})", lambda: pids.add(t.run(CLIENT, "curl", "-sSf", "-m", "10", f"http://far:{port}/"))
                or len(pids) > 1)


@row("java", "javac:default-jdk-headless java:default-jdk-headless")
def java(t):
    """java: HttpServer and HttpClient, ServerSocket, NIO, DatagramSocket"""
    classes = t.mkdir("classes")
    t.shell("javac", "-d", classes, script("Server.java"), script("Client.java"))
    small = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", classes]
    pair(t, ["java", *small, "Server"], ["java", *small, "Client", "far"], tcp=[8000, 7000], udp=[7000])


@row("php", "php:php-cli")
def php(t):
    """php -S with four workers; file_get_contents, stream_socket_client, sockets over UDP"""
    t.write("www/index.php", "<?php echo 'hello ', $_GET['who'], ' from ', $_SERVER['REMOTE_ADDR'];")
    t.up("web", 80, "php", "-S", "[::]:80", "-t", t.path("www"), env={"PHP_CLI_SERVER_WORKERS": "4"})
    t.same("file_get_contents", f"hello you from ::ffff:{t.address(CLIENT)}",
           t.run(CLIENT, "php", "-r", f"echo file_get_contents('http://{t.address('web')}/?who=you');"))
    t.serve("far", "php", script("php_server.php"))
    t.wait_port("far", 7000)
    t.wait_port("far", 7000, "udp")
    t.has("streams, TCP and UDP", "^all is well$", t.run(CLIENT, "php", script("php_client.php"), "far"))


@row("perl", "perl:perl")
def perl(t):
    """perl: IO::Socket::INET and ::IP, a forking server, IO::Select, UDP"""
    pair(t, ["perl", script("server.pl")], ["perl", script("client.pl"), "far"], tcp=[7000], udp=[7000])


@row("ruby", "ruby:ruby")
def ruby(t):
    """ruby: TCPServer with threads, TCPSocket, Net::HTTP, UDPSocket"""
    pair(t, ["ruby", script("server.rb")], ["ruby", script("client.rb"), "far"], tcp=[7000, 8000], udp=[7000])


def go_build(t, cgo):
    """Server and client. Go compiles its library once; that cache stays beside the build, not with the row."""
    cache = os.path.join(ROOT, "build", "go-cache")
    os.makedirs(cache, exist_ok=True)
    env = {"GOCACHE": cache, "CGO_ENABLED": "1" if cgo else "0", "GO111MODULE": "off"}
    names = [script("go_names_cgo.go"), script("go_names_pure.go")]
    t.shell("go", "build", "-tags", "netcgo", "-o", t.path("server"), script("go_server.go"), env=env, timeout=100)
    t.shell("go", "build", "-tags", "netcgo", "-o", t.path("client"), script("go_client.go"), names[0] if cgo else names[1], env=env,
            timeout=100)
    pair(t, [t.path("server")], [t.path("client"), "far", t.address("far")], tcp=[8000, 7000], udp=[7000])


@row("go", "go:golang-go", timeout=120)
def go(t):
    """Go without cgo, static: net/http server and client, net over TCP and UDP, by address"""
    go_build(t, cgo=False)


@row("go-cgo", "go:golang-go gcc:gcc", timeout=120)
def go_cgo(t):
    """Go with cgo: names by libc, all other calls past it"""
    go_build(t, cgo=True)
