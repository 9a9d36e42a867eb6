"""tools.py: what people type when they want to see whether a port answers."""
import json
import re

from harness import CLIENT, row


@row("socat", "socat:socat")
def socat(t):
    """socat: TCP over both families with a child for each client, UDP, and a relay between hosts"""
    t.up("echo", 7, "socat", "TCP6-LISTEN:7,fork,ipv6only=0", "EXEC:cat")
    for family in ("TCP4", "TCP6"):
        t.same(family, "there and back", t.run(CLIENT, "socat", "-t5", "-", f"{family}:echo:7", input="there and back\n"))
    t.up("relay", 80, "socat", "TCP-LISTEN:80,fork,reuseaddr", "TCP:echo:7")
    t.same("through a relay", "and further", t.run(CLIENT, "socat", "-t5", "-", "TCP:relay:80", input="and further\n"))
    t.up("echo", 7, "socat", "UDP4-LISTEN:7,fork", "EXEC:cat", proto="udp")
    t.same("UDP", "a datagram", t.run(CLIENT, "socat", "-T2", "-t1", "-", "UDP4:echo:7", input="a datagram\n"))
    t.up("drop", 9, "socat", "-u", "UDP4-RECVFROM:9,fork", f"OPEN:{t.path('got')},creat,append", proto="udp")
    for word in ("one", "two", "three"):
        t.run(CLIENT, "socat", "-u", "-", "UDP4-SENDTO:drop:9", input=word + "\n")
    t.until("three datagrams arrive", lambda: sorted(t.read("got").split()) == ["one", "three", "two"])


@row("netcat-openbsd", "nc.openbsd:netcat-openbsd")
def netcat_openbsd(t):
    """netcat of OpenBSD: listen and send, both families, UDP, a scan of ports, a refusal"""
    for family in ("-4", "-6"):
        ear = t.up("ear", 5000, "nc.openbsd", family, "-l", "5000")
        t.run(CLIENT, "nc.openbsd", family, "-N", "ear", "5000", input="heard\n")
        t.until("the listener ends with its client", lambda: ear.popen.poll() is not None)
        t.same(f"TCP {family}", "heard", ear.text())
    ear = t.up("ear", 5001, "nc.openbsd", "-u", "-l", "5001", proto="udp")
    t.run(CLIENT, "nc.openbsd", "-u", "-w", "1", "ear", "5001", input="heard by UDP\n")
    t.until("a datagram arrives", lambda: "heard by UDP" in ear.text())
    t.up("ear", 5003, "nc.openbsd", "-k", "-l", "5003")
    code, out = t.run(CLIENT, "nc.openbsd", "-z", "-v", "-w", "3", "ear", "5002-5004", code=None)
    t.has("a scan finds the open port", "5003 port .* succeeded", out)
    t.same("and no other", "['5002', '5004']", sorted(set(re.findall(r"port (\d+) .* failed: Connection refused", out))))


@row("netcat-traditional", "nc.traditional:netcat-traditional")
def netcat_traditional(t):
    """the older netcat: listen, serve a program, UDP"""
    ear = t.up("ear", 5000, "nc.traditional", "-l", "-p", "5000")
    t.run(CLIENT, "nc.traditional", "-q", "0", "ear", "5000", input="heard\n")
    t.until("the listener ends with its client", lambda: ear.popen.poll() is not None)
    t.same("TCP", "heard", ear.text())
    t.up("clock", 13, "nc.traditional", "-l", "-p", "13", "-c", "echo it is late")
    t.same("a program behind a port", "it is late", t.run(CLIENT, "nc.traditional", "clock", "13"))
    ear = t.up("ear", 5001, "nc.traditional", "-u", "-l", "-p", "5001", proto="udp")
    t.run(CLIENT, "nc.traditional", "-u", "-q", "0", "-w", "1", "ear", "5001", input="heard by UDP\n")
    t.until("a datagram arrives", lambda: "heard by UDP" in ear.text())


@row("iperf3-tcp", "iperf3:iperf3")
def iperf3_tcp(t):
    """iperf3 over TCP: four streams, the other way, both families"""
    t.up("far", 5201, "iperf3", "-s", "--forceflush")
    for options in (["-P", "4"], ["-R"], ["-6"]):
        out = json.loads(t.run(CLIENT, "iperf3", "-c", "far", "-t", "1", "-J", *options))
        t.true(f"{options}: no error", "error" not in out)
        t.true(f"{options}: octets arrive", out["end"]["sum_received"]["bytes"] > 1_000_000)


@row("iperf3-udp", "iperf3:iperf3")
def iperf3_udp(t):
    """iperf3 over UDP: 50 Mbit/s, hardly a datagram lost; the other way, too"""
    t.up("far", 5201, "iperf3", "-s", "--forceflush")
    for options in ([], ["-R"]):
        # 50 Mbit/s fill the receive buffer in 30 ms: a machine that stands still for longer loses some, natively too.
        shares = []
        for _ in range(4):
            out = json.loads(t.run(CLIENT, "iperf3", "-c", "far", "-u", "-b", "50M", "-l", "1400", "-t", "1", "-J", *options))
            total = out["end"]["sum"]
            t.true(f"{options}: datagrams arrive", total["packets"] > 1000)
            shares.append(total["lost_packets"] / total["packets"])
            if shares[-1] < 0.02:
                break
        t.true(f"{options}: fewer than 2 % are lost, not {shares}", min(shares) < 0.02)


@row("curl", "curl:curl python3:python3")
def curl(t):
    """curl: parallel, upload, a refused port, a name nobody has, a chosen local port, --resolve and --interface"""
    t.up("web", 80, "python3", "-c", """
import http.server
class P(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self, body):
        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        self.answer(f'{self.client_address[0]} {self.client_address[1]}'.encode())
    def do_PUT(self):
        self.answer(str(len(self.rfile.read(int(self.headers['Content-Length'])))).encode())
http.server.ThreadingHTTPServer(('', 80), P).serve_forever()
""")
    me = t.address(CLIENT)
    t.has("from a port that was asked for", f"^{me} 33333$", t.run(CLIENT, "curl", "-sSf", "-m", "20", "--local-port", "33333", "http://web/"))
    t.has("from an address that was asked for", f"^{me} ", t.run(CLIENT, "curl", "-sSf", "-m", "20", "--interface", me, "http://web/"))
    t.has("--resolve", f"^{me} ", t.run(CLIENT, "curl", "-sSf", "-m", "20", "--resolve", f"shop.example:80:{t.address('web')}",
                                        "http://shop.example/"))
    big = t.write("big", b"y" * 5_000_000)
    t.same("an upload", 5_000_000, t.run(CLIENT, "curl", "-sSf", "-m", "20", "-T", big, "http://web/up"))
    out = t.run(CLIENT, "curl", "-sSf", "-m", "20", "-Z", "--parallel-max", "30", "http://web/[1-60]")
    t.same("sixty at once", 60, out.count(me))
    for code, url in ((7, "http://web:81/"), (6, "http://nobody.default.berth/")):
        t.same(f"{url} fails with {code}", code, t.run(CLIENT, "curl", "-s", "-m", "20", url, code=None)[0])
