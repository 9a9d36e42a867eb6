"""How connections begin and end: closes, resets, refusals, closed windows, many at once, options, UDP, duplicate addresses, a router."""
import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import threading
import time

import peer
from peer import (CLONE_NEWNET, ECHO, FAMILY, HALF, HTTP, KERNEL, LONG, LOOKUP, PATTERN, RESET, SINK, SLOW, SOURCE, STACK, V4, V6, Failed,
                  Servers, World, connect, expect, k_echo, k_fetch, k_reset, k_send, recv_pattern, row, s_reset, send_pattern, sh, sysctl)

MIB = 1 << 20
UDP_SEGMENT = 103


def refused_by_stack(family):
    try:
        connect(family, 4242).close()
    except ConnectionRefusedError:
        return
    raise Failed("a closed port took a connection")


def unread(family):
    """Closed with octets unread: the kernel sends a reset, the stack's program hears of it."""
    with connect(family, SOURCE) as s:
        s.sendall(b"%d\n" % (4 * MIB))
        recv_pattern(s, 1000)


def one_by_one(family, n):
    for i in range(n):
        k_send(family, i)


def all_at_once(family, n):
    socks = [connect(family, ECHO) for _ in range(n)]
    for i, s in enumerate(socks):
        s.sendall(PATTERN[i : i + 200])
    for i, s in enumerate(socks):
        s.shutdown(socket.SHUT_WR)
    for i, s in enumerate(socks):
        expect("octets that came back", recv_pattern(s, at=i), 200)
        s.close()


def same_port_again(family):
    """The stack closed first and is in TIME-WAIT: a new SYN of the same flow may begin anew (RFC 9293, 3.10.7.4; RFC 6191)."""
    for i in range(10):
        s = socket.socket(family, socket.SOCK_STREAM)
        s.settimeout(LONG)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((KERNEL[family], 5678))  # not one that the kernel chooses for others
        until = time.monotonic() + LONG
        while True:
            try:
                s.connect((STACK[family], SOURCE))
                break
            except OSError as e:  # the kernel's own end is in LAST-ACK still
                if e.errno != errno.EADDRNOTAVAIL or time.monotonic() > until:
                    raise
                time.sleep(0.01)
        s.sendall(b"100\n")
        expect("octets", recv_pattern(s), 100)
        s.close()


def http_kept(family):
    with connect(family, HTTP) as s:
        for n in (0, 1, 1000, 100000):
            s.sendall(b"GET /%d HTTP/1.1\r\nHost: stack\r\n\r\n" % n)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += s.recv(1)
            expect("the length is named", b"Content-Length: %d\r\n" % n in head, True)
            expect("octets of the body", recv_pattern(s, n), n)


def urgent(family):
    """Urgent data is part of the stream in the stack."""
    with connect(family, ECHO) as s:
        s.sendall(PATTERN[:100])
        s.send(PATTERN[100:101], socket.MSG_OOB)
        s.sendall(PATTERN[101:200])
        s.shutdown(socket.SHUT_WR)
        expect("octets that came back", recv_pattern(s), 200)


def kept_alive(family):
    """The kernel's keepalive probes are answered."""
    with connect(family, ECHO) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 1)):
            s.setsockopt(socket.IPPROTO_TCP, option, value)
        time.sleep(4.5)
        s.sendall(PATTERN[:10])
        expect("octets that came back", recv_pattern(s, 10), 10)


def windows(w, family):
    """A window of the stack's closes, and one of the kernel's: all octets arrive once they open."""
    problems = []

    def try_it(f, *args):
        try:
            f(*args)
        except Exception as e:  # noqa: BLE001
            problems.append(repr(e))

    before = w.counters().get("tcp_zero_window_probes", 0)
    threads = [threading.Thread(target=try_it, args=a, daemon=True) for a in (
        (k_send, family, 2 * MIB, SLOW),  # the stack's program does not read
        (k_fetch, family, MIB, 0, 4096, 2),  # the kernel's does not
        (w.client, "send", family, SLOW, MIB),  # the same, and the stack has opened
    )]
    for t in threads:
        t.start()
    for t in threads:
        t.join(LONG)
    expect("problems", problems, [])
    probes = w.counters().get("tcp_zero_window_probes", 0) - before
    if probes == 0:
        raise Failed("no zero-window probe was sent")


def with_sysctl(name, value, f):
    path = f"ipv4/{name}"
    with open("/proc/sys/net/" + path) as old:
        before = old.read()
    sysctl(path, value)
    try:
        f()
    finally:
        sysctl(path, before)


def both_ways(w, family, n):
    k_send(family, n)
    k_fetch(family, n)
    w.client("send", family, SINK, n)
    w.client("fetch", family, SOURCE, n)


# --- UDP ---


def udp_sizes(family, largest):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(LONG)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.connect((STACK[family], ECHO))
        for n in (0, 1, 2, 7, 500, 1451, 1452, 1453, 1471, 1472, 1473, 2000, 2961, 9000, 32768, 65000, largest):
            for _ in range(5):  # a datagram may be lost
                s.send(PATTERN[:n])
                s.settimeout(1)
                try:
                    data = s.recv(65536)
                    break
                except TimeoutError:
                    continue
            else:
                raise Failed(f"{n} octets did not come back")
            if data != PATTERN[:n]:
                raise Failed(f"{n} octets came back as {len(data)}, or changed")


def udp_train(family, size, count):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.connect((STACK[family], ECHO))
        try:
            s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
            whole = b"".join(i.to_bytes(4, "big") + PATTERN[: size - 4] for i in range(count))
            s.send(whole)
        except OSError as e:
            raise peer.SkipRow(f"UDP_SEGMENT: {e}")
        s.settimeout(5)
        seen = set()
        for _ in range(count):
            data = s.recv(65536)
            if len(data) != size or data[4:] != PATTERN[: size - 4]:
                raise Failed(f"a datagram of {len(data)}, not {size}, or changed")
            seen.add(data[:4])
        expect("different datagrams", len(seen), count)


def udp_refused(family):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(LONG)
        s.connect((STACK[family], 4243))
        s.send(b"x")
        try:
            s.recv(10)
        except ConnectionRefusedError:
            return
    raise Failed("no ICMP error came")


# --- duplicate addresses ---


def duplicates(exe):
    """The kernel has the stack's addresses already: both are found out before use (RFC 4862, 5.4; RFC 5227)."""
    sh("ip", "tuntap", "add", "dev", "twice", "mode", "tap")
    try:
        sh("ip", "addr", "add", STACK[V4] + "/24", "dev", "twice")
        sh("ip", "addr", "add", STACK[V6] + "/64", "dev", "twice", "nodad")
        sh("ip", "link", "set", "twice", "up")
        w = World.bare(exe, "--dad", "--name", "twice")
        try:
            until = time.monotonic() + LONG
            while True:
                flags = json.loads(w.ask("addrs"))
                ours = {a: f for a, f in flags.items() if a in ("::ffff:10.9.0.2", "fd09::2")}
                if all(f & 2 for f in ours.values()):
                    break
                if time.monotonic() > until:
                    raise Failed(f"not known as duplicates: {flags}")
                time.sleep(0.1)
            expect("addresses", sorted(ours), ["::ffff:10.9.0.2", "fd09::2"])
        finally:
            w.close()
    finally:
        sh("ip", "link", "del", "twice")


# --- a router between the stack and the peer ---


class Beyond:
    """A second namespace, routed through ours over a link whose MTU is smaller on the way there."""

    FAR = {V4: "10.8.0.2", V6: "fd08::2"}

    def __init__(self):
        libc = ctypes.CDLL(None, use_errno=True)
        self.p = subprocess.Popen(["unshare", "-n", "sleep", "300"], preexec_fn=lambda: libc.prctl(1, signal.SIGKILL))
        ours = os.readlink("/proc/self/ns/net")
        until = time.monotonic() + LONG
        while os.readlink(f"/proc/{self.p.pid}/ns/net") == ours:
            if time.monotonic() > until:
                raise Failed("unshare")
            time.sleep(0.01)
        self.ns = os.open(f"/proc/{self.p.pid}/ns/net", os.O_RDONLY)
        there = ["nsenter", f"--net=/proc/{self.p.pid}/ns/net"]
        sh("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(self.p.pid))
        sh("ip", "addr", "add", "10.8.0.1/24", "dev", "near")
        sh("ip", "addr", "add", "fd08::1/64", "dev", "near", "nodad")
        sh("ip", "link", "set", "near", "up")
        sh(*there, "ip", "addr", "add", "10.8.0.2/24", "dev", "far")
        sh(*there, "ip", "addr", "add", "fd08::2/64", "dev", "far", "nodad")
        sh(*there, "ip", "link", "set", "far", "up")
        sh(*there, "ip", "route", "add", "default", "via", "10.8.0.1")
        sh(*there, "ip", "-6", "route", "add", "default", "via", "fd08::1")
        sysctl("ipv4/ip_forward", "1")
        sysctl("ipv6/conf/all/forwarding", "1")

    def narrow(self, mtu):
        sh("ip", "route", "replace", "10.8.0.2/32", "dev", "near", "mtu", str(mtu))
        sh("ip", "-6", "route", "replace", "fd08::2/128", "dev", "near", "mtu", str(mtu))

    def do(self, f, *args):
        """In a thread that lives there."""
        problems = []

        def there():
            libc = ctypes.CDLL(None, use_errno=True)
            try:
                expect("setns", libc.setns(self.ns, CLONE_NEWNET), 0)
                f(*args)
            except Exception as e:  # noqa: BLE001
                problems.append(repr(e))

        t = threading.Thread(target=there, daemon=True)
        t.start()
        t.join(2 * LONG)
        expect("is done", t.is_alive(), False)
        expect("problems", problems, [])

    def close(self):
        os.close(self.ns)
        self.p.kill()
        self.p.wait()
        sh("ip", "link", "del", "near", ok=False)


def smaller_on_the_way(w, b, family, mtu):
    b.narrow(mtu)
    before = w.counters().get("icmp_in", 0)
    b.do(k_fetch, family, MIB)
    if w.counters().get("icmp_in", 0) == before:
        raise Failed("no ICMP error came: the row shows nothing")
    b.do(k_send, family, MIB)


def routed(exe):
    w = World(exe)
    b = Beyond()
    for family in (V4, V6):
        f = FAMILY[family]
        row(f"a router says 1400: {f}, data goes on in smaller segments", smaller_on_the_way, w, b, family, 1400)
        row(f"a router says 1280, later: {f}, the same", smaller_on_the_way, w, b, family, 1280)
    row("behind a router: the stack is sound", w.is_quiet)
    b.close()
    w.close()


def run(exe):
    servers = Servers()
    w = World(exe)
    for family in (V4, V6):
        f = FAMILY[family]
        row(f"{f}: the stack closes one half first, then reads on", k_fetch, family, 100000, 100000)
        row(f"{f}: the kernel closes one half first, then reads", k_send, family, 100000)
        row(f"{f}: a client in the stack closes one half first", w.client, "half", family, HALF, 300000)
        row(f"{f}: the kernel resets while octets are under way", k_reset, family, 100000)
        row(f"{f}: the stack resets", s_reset, family)
        row(f"{f}: a client in the stack is reset", w.client, "fetch", family, RESET, 10, "ECONNRESET")
        row(f"{f}: the kernel is refused", refused_by_stack, family)
        row(f"{f}: the stack is refused", w.client, "send", family, 4242, 10, "ECONNREFUSED")
        row(f"{f}: the kernel closes with octets unread", unread, family)
        row(f"{f}: 300 small connections, one after the other", one_by_one, family, 300)
        row(f"{f}: 300 connections at once", all_at_once, family, 300)
        row(f"{f}: 300 clients of the stack at once, sending", w.clients, "send", family, SINK, 300, 1000)
        row(f"{f}: 300 clients of the stack at once, reading", w.clients, "fetch", family, SOURCE, 300, 1000)
        row(f"{f}: the same four-tuple again and again", same_port_again, family)
        row(f"{f}: requests on a connection that is kept", http_kept, family)
        row(f"{f}: urgent data", urgent, family)
        row(f"{f}: windows close and open", windows, w, family)
        row(f"{f}: UDP of every size, in fragments too", udp_sizes, family, 65507 if family == V4 else 65527)
        row(f"{f}: trains of UDP datagrams", udp_train, family, 1000, 40)
        row(f"{f}: a closed UDP port is said to be one", udp_refused, family)
        for name, value in (("tcp_timestamps", "0"), ("tcp_sack", "0"), ("tcp_window_scaling", "0"), ("tcp_syncookies", "2"),
                            ("tcp_ecn", "1"), ("tcp_congestion_control", "reno"), ("tcp_mtu_probing", "2")):
            row(f"{f}: the kernel's {name} is {value}", with_sysctl, name, value, lambda: both_ways(w, family, MIB))
    row("keepalive probes are answered", kept_alive, V4)
    row("the kernel's servers saw nothing wrong", servers.is_quiet)
    row("the stack is sound, and gave everything back", w.is_quiet)
    w.close()
    row("addresses that somebody has", duplicates, exe)
    routed(exe)
