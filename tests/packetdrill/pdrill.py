#!/usr/bin/env python3
"""Runs scripts in packetdrill's language against a stack in a shared library, in virtual time.

    pdrill.py [--flags STRING] [--verbose] [--v6] LIBRARY SCRIPT...
    pdrill.py --kernel SCRIPT...    the kernel as the oracle, see kernel.py

packetdrill itself drives the same library (docs/stack.md, "packetdrill"); it is not in Debian, and make test must not need the
internet. This knows the part of the language that our scripts use, and refuses the rest by name:

    TIME EVENT      TIME: 0.1  +0.1  *  +0~+0.5  and, for calls that block, +0...0.1
    call(args) = result [errno (text)]        ... is any value; [x] and {a=b} are arrays and structures
    < and > packets    FLAGS SEQ:END(LEN) [ack N] [win N] [urg N] <options>, [ect0], [ce], [noecn] in front; icmp: see ICMP below
    %{ python }%    asserts about tcpi_..., for the descriptor used last
    `command`       is not run: scripts that need a sysctl say `sysctl NAME=VALUE`, which becomes a socket option
    // and /* */    comments

It compares as packetdrill does: segments are put together until they are as long as the script says, with the first one's sequence
number and the last one's flags; every octet of options counts; timestamps may be up to 10 ms off, and what a script echoes must
be a value that it has seen; relative times count from the end of the event before (between two packets in: from its time). At
the end it closes what is open and resets the connection, as packetdrill does.

Each script prints one line: "ok NAME" or "FAIL NAME" with the place and what came instead. Exit code 1 when one failed.
"""
import argparse
import ctypes as C
import errno
import os
import re
import socket
import struct
import sys
import threading
import time
import traceback

import kernel

TOLERANCE_S = 0.004  # packetdrill's


class Failed(Exception):
    pass


# --- the library's functions, in the order of its structure ---
MEMBERS = """free socket bind listen accept connect read readv recv recvfrom recvmsg write writev send sendto sendmsg fcntl ioctl
close shutdown getsockopt setsockopt poll netdev_send netdev_receive usleep gettimeofday epoll_create epoll_ctl epoll_wait pipe
splice""".split()


class Library:
    def __init__(self, path, flags):
        self.lib = C.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL, use_errno=True)
        self.ifc = (C.c_void_p * (1 + len(MEMBERS)))()
        self.lib.packetdrill_interface_init(flags.encode(), C.byref(self.ifc))

    def call(self, name, *args, result=C.c_ssize_t):
        types = [C.c_void_p]
        values = [self.ifc[0]]
        for a in args:
            if isinstance(a, int):
                types.append(C.c_ssize_t)
            else:
                types.append(C.c_void_p)
            values.append(a)
        f = C.CFUNCTYPE(result, *types, use_errno=True)(self.ifc[1 + MEMBERS.index(name)])
        C.set_errno(0)
        r = f(*values)
        return r, C.get_errno()

    def now(self):
        tv = (C.c_long * 2)()
        self.call("gettimeofday", C.cast(tv, C.c_void_p), 0, result=C.c_int)
        return tv[0] + tv[1] / 1e6

    def sleep(self, seconds):
        if seconds > 0:
            self.call("usleep", int(seconds * 1e6 + 0.5), result=C.c_int)


# --- packets ---
def checksum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


FLAG_BITS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128, "A": 256}
ECN = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}


def flag_text(bits):
    return "".join(c for c, b in FLAG_BITS.items() if bits & b) or "-"


class Tcp:
    """A segment of a script, or of the wire: numbers of the script's own."""

    def __init__(self):
        self.flags = 0
        self.seq = self.end = self.length = 0
        self.ack = self.win = self.urg = None
        self.options = []
        self.any_options = False
        self.ecn = None

    def text(self):
        s = "%s %d:%d(%d)" % (flag_text(self.flags), self.seq, self.end, self.length)
        if self.ack is not None:
            s += " ack %d" % self.ack
        if self.win is not None:
            s += " win %d" % self.win
        if self.urg:
            s += " urg %d" % self.urg
        return s + (" <%s>" % ",".join(option_text(o) for o in self.options) if self.options else "")


def option_text(o):
    """As a script writes it."""
    if o[0] == "TS":
        return "TS val %d ecr %d" % o[1:]
    if o[0] == "sack":
        return "sack " + " ".join("%d:%d" % b for b in o[1:])
    return " ".join(str(x) for x in o)


def options_parse(text):
    """"mss 1460,nop,nop,sackOK,TS val 1 ecr 2,sack 1:2 3:4" to a list of tuples."""
    out = []
    for item in text.split(","):
        w = item.split()
        if not w:
            continue
        k = w[0]
        if k in ("nop", "sackOK", "eol"):
            out.append((k,))
        elif k in ("mss", "wscale"):
            out.append((k, int(w[1])))
        elif k == "TS":
            out.append((k, int(w[2]), int(w[4])))
        elif k == "sack":
            out.append((k,) + tuple(tuple(int(x) for x in b.split(":")) for b in w[1:]))
        elif k == "uto":
            out.append((k, int(w[1])))
        elif k == "FO":
            out.append((k, w[1] if len(w) > 1 else ""))
        elif k == "hex":  # octets as they are, for what no correct sender writes
            out.append((k, w[1]))
        else:
            raise Failed("unknown option: " + item)
    return out


def options_octets(options):
    b = b""
    for o in options:
        k = o[0]
        if k == "nop":
            b += b"\1"
        elif k == "eol":
            b += b"\0"
        elif k == "sackOK":
            b += b"\4\2"
        elif k == "mss":
            b += struct.pack("!BBH", 2, 4, o[1])
        elif k == "wscale":
            b += struct.pack("!BBB", 3, 3, o[1])
        elif k == "TS":
            b += struct.pack("!BBII", 8, 10, o[1] & 0xffffffff, o[2] & 0xffffffff)
        elif k == "sack":
            b += struct.pack("!BB", 5, 2 + 8 * (len(o) - 1))
            for lo, hi in o[1:]:
                b += struct.pack("!II", lo & 0xffffffff, hi & 0xffffffff)
        elif k == "uto":
            b += struct.pack("!BBH", 28, 4, o[1])
        elif k == "FO":
            c = bytes.fromhex(o[1])
            b += struct.pack("!BB", 34, 2 + len(c)) + c
        elif k == "hex":
            b += bytes.fromhex(o[1])
    while len(b) % 4:
        b += b"\0"
    return b


def options_from(b):
    out = []
    while b:
        k = b[0]
        if k == 0:
            break
        if k == 1:
            out.append(("nop",))
            b = b[1:]
            continue
        n = b[1] if len(b) > 1 else 0
        if n < 2 or n > len(b):
            raise Failed("malformed options on the wire: " + b.hex())
        v = b[2:n]
        if k == 2:
            out.append(("mss", struct.unpack("!H", v)[0]))
        elif k == 3:
            out.append(("wscale", v[0]))
        elif k == 4:
            out.append(("sackOK",))
        elif k == 5:
            w = struct.unpack("!%dI" % (len(v) // 4), v)
            out.append(("sack",) + tuple(zip(w[::2], w[1::2])))
        elif k == 8:
            out.append(("TS",) + struct.unpack("!II", v))
        elif k == 28:
            out.append(("uto", struct.unpack("!H", v)[0]))
        elif k == 34:
            out.append(("FO", v.hex()))
        else:
            out.append(("hex", b[:n].hex()))
        b = b[n:]
    return out


PACKET = re.compile(r"^(?:\[(\w+)\]\s*)?([SFRPUEWA.]+|-)\s+(\d+):(\d+)\((\d+)\)(.*)$")
ICMP = re.compile(r"^icmp\s+unreachable\s+(\w+)(?:\s+mtu\s+(\d+))?\s+\[(\d+):(\d+)\((\d+)\)\]$")


def packet_parse(text):
    """FLAGS SEQ:END(LEN) [ack N] [win N] [urg N] [<options>]"""
    m = PACKET.match(text)
    if not m:
        raise Failed("not a packet: " + text)
    p = Tcp()
    if m.group(1):
        if m.group(1) not in ECN:
            raise Failed("unknown ECN field: " + m.group(1))
        p.ecn = ECN[m.group(1)]
    for c in m.group(2):
        p.flags |= FLAG_BITS.get(c, 0)
    p.seq, p.end, p.length = int(m.group(3)), int(m.group(4)), int(m.group(5))
    rest = m.group(6).strip()
    o = re.search(r"<(.*)>", rest)
    if o:
        if o.group(1).strip() == "...":
            p.any_options = True
        else:
            p.options = options_parse(o.group(1))
        rest = rest[:o.start()] + rest[o.end():]
    words = rest.split()
    while words:
        k = words.pop(0)
        if k not in ("ack", "win", "urg") or not words:
            raise Failed("what is '%s' in: %s" % (k, text))
        setattr(p, k, int(words.pop(0)))
    return p


# --- values of calls ---
def constants():
    table = {n: getattr(socket, n) for n in dir(socket) if n.isupper() and isinstance(getattr(socket, n), int)}
    table.update({"IPPROTO_TCP": 6, "SOL_TCP": 6, "O_RDWR": 2, "O_NONBLOCK": os.O_NONBLOCK, "F_GETFL": 3, "F_SETFL": 4,
                  "FIONREAD": 0x541b, "SIOCINQ": 0x541b, "SIOCOUTQ": 0x5411, "SIOCOUTQNSD": 0x894b, "TCP_NOTSENT_LOWAT": 25,
                  "TCP_USER_TIMEOUT": 18, "MSG_FASTOPEN": 0x20000000, "SO_MAX_PACING_RATE": 47, "TCP_CONGESTION": 13,
                  "POLLIN": 1, "POLLPRI": 2, "POLLOUT": 4, "POLLERR": 8, "POLLHUP": 16, "POLLRDHUP": 0x2000, "TCP_FASTOPEN": 23,
                  "EPOLLIN": 1, "EPOLLOUT": 4, "EPOLLERR": 8, "EPOLLHUP": 16, "EPOLLRDHUP": 0x2000, "EPOLLET": 1 << 31,
                  "EPOLL_CTL_ADD": 1, "EPOLL_CTL_DEL": 2, "EPOLL_CTL_MOD": 3, "EPOLLONESHOT": 1 << 30, "TCP_INFO": 11, "TCP_TIMESTAMP": 24,
                  "TCP_FASTOPEN_CONNECT": 30, "TCP_INQ": 36, "IP_RECVERR": 11, "IPV6_RECVERR": 25, "IP_MTU": 14, "IPV6_MTU": 24, "IP_FREEBIND": 15,
                  "IP_MTU_DISCOVER": 10, "IP_PMTUDISC_DONT": 0, "IP_PMTUDISC_WANT": 1, "IP_PMTUDISC_DO": 2, "IP_PMTUDISC_PROBE": 3,
                  "MSG_ZEROCOPY": 0x4000000, "F_GETFD": 1, "F_SETFD": 2, "AF_UNSPEC": 0})
    return table


CONSTANTS = constants()
ANY = object()


class Args:
    """The arguments of a call: numbers, names joined with |, "text", ..., [arrays], {structures}, htons(), inet_addr()."""

    def __init__(self, text):
        self.s, self.i = text, 0

    def skip(self):
        while self.i < len(self.s) and self.s[self.i].isspace():
            self.i += 1

    def take(self, c):
        self.skip()
        if self.s[self.i:self.i + len(c)] != c:
            return False
        self.i += len(c)
        return True

    def values(self, end):
        out = []
        if self.take(end):
            return out
        while True:
            out.append(self.value())
            if self.take(end):
                return out
            if not self.take(","):
                raise Failed("cannot read arguments: " + self.s[self.i:])

    def value(self):
        self.skip()
        if self.take("..."):
            return ANY
        if self.take("["):
            return self.values("]")
        if self.take("{"):
            out = {}
            while not self.take("}"):
                m = re.match(r"\s*(\w+)\s*=\s*", self.s[self.i:])
                if not m:
                    raise Failed("cannot read a structure: " + self.s[self.i:])
                self.i += m.end()
                out[m.group(1)] = self.value()
                self.take(",")
            return out
        m = re.match(r'"((?:[^"\\]|\\.)*)"', self.s[self.i:])
        if m:
            self.i += m.end()
            return m.group(1).encode().decode("unicode_escape").encode("latin-1")
        m = re.match(r"(htons|inet_addr|htonl)\(([^)]*)\)", self.s[self.i:])
        if m:
            self.i += m.end()
            return m.group(2).strip('"') if m.group(1) == "inet_addr" else int(m.group(2), 0)
        total, n = 0, 0
        while True:
            self.skip()
            m = re.match(r"-?\w+", self.s[self.i:])
            if not m:
                raise Failed("cannot read a value: " + self.s[self.i:])
            self.i += m.end()
            w = m.group(0)
            if re.match(r"-?\d|-?0x", w):
                total |= int(w, 0)
            elif w in CONSTANTS:
                total |= CONSTANTS[w]
            else:
                raise Failed("unknown name: " + w)
            n += 1
            if not self.take("|"):
                return total


class Script:
    def __init__(self, lib, path, args, v6):
        self.lib, self.path, self.verbose, self.v6, self.mapped = lib, path, args.verbose, v6, args.mapped and not v6
        self.tolerance = args.tolerance or (0.030 if args.kernel else TOLERANCE_S)
        self.fds = {}
        self.line = 0
        self.local_isn = None  # on the wire, of the script's 0 (or what its SYN says)
        self.remote_port, self.local_port = 40000 + os.getpid() % 1000, 8080
        self.remote_port_fixed = False
        self.ts_base = None
        self.ts_seen = {}  # what the script calls a timestamp, and what it was
        self.last_in = None  # the last packet in: for the reset at the end
        self.threads = []
        self.errors = []
        self.last_fd = None
        self.shown = None  # the number that the last call gave in its argument
        self.recording = False  # record.py

    def fail(self, what):
        raise Failed("line %d: %s" % (self.line, what))

    # --- time ---
    def wait_until(self, t):
        while True:
            left = t - self.lib.now()
            if left <= 0:
                return
            self.lib.sleep(left)

    def check_time(self, what, at, lo, hi):
        tolerance = self.tolerance
        if at < lo - tolerance or at > hi + tolerance:
            self.fail("%s at %.6f, expected %.6f%s" % (what, at - self.start, lo - self.start,
                                                       "" if lo == hi else " to %.6f" % (hi - self.start)))

    # --- packets ---
    def addresses(self):
        family = socket.AF_INET6 if self.v6 else socket.AF_INET
        names = ("fd3d:fa7b:d17d::1", "fd3d:0a0b:17d6::1") if self.v6 else ("192.0.2.1", "192.168.0.1")
        return [socket.inet_pton(family, n) for n in names]

    def ip(self, src, dst, proto, body, ecn):
        if self.v6:
            return struct.pack("!IHBB", 6 << 28 | (ecn or 0) << 20, len(body), proto, 255) + src + dst + body
        h = struct.pack("!BBHHHBBH", 0x45, ecn or 0, 20 + len(body), 0, 0, 255, proto, 0) + src + dst
        return h[:10] + struct.pack("!H", checksum(h)) + h[12:] + body

    def pseudo(self, src, dst, proto, n):
        return src + dst + (struct.pack("!IHBB", n, 0, 0, proto) if self.v6 else struct.pack("!BBH", 0, proto, n))

    def inject(self, data):
        buf = C.create_string_buffer(data, len(data))
        r, _ = self.lib.call("netdev_send", C.cast(buf, C.c_void_p), len(data), result=C.c_int)
        if r != 0:
            self.fail("netdev_send said %d" % r)

    def to_wire(self, p):
        remote, local = self.addresses()
        opts = []
        for o in p.options:
            if o[0] == "sack":
                o = ("sack",) + tuple((a + (self.local_isn or 0), b + (self.local_isn or 0)) for a, b in o[1:])
            elif o[0] == "TS" and p.flags & 16:
                if o[2] not in self.ts_seen:
                    self.fail("nothing was sent with timestamp %d, so it cannot be echoed" % o[2])
                o = ("TS", o[1], self.ts_seen[o[2]])
            opts.append(o)
        ob = options_octets(opts)
        ack = ((p.ack or 0) + (self.local_isn or 0)) & 0xffffffff if p.flags & 16 else p.ack or 0
        h = struct.pack("!HHIIHHHH", self.remote_port, self.local_port, p.seq & 0xffffffff, ack,
                        (5 + len(ob) // 4) << 12 | p.flags, p.win or 0, 0, p.urg or 0) + ob
        seg = h + bytes(p.length)
        c = checksum(self.pseudo(remote, local, 6, len(seg)) + seg)
        return self.ip(remote, local, 6, seg[:16] + struct.pack("!H", c) + seg[18:], p.ecn)

    def do_in(self, text):
        m = ICMP.match(text)
        if m:
            self.icmp_in(m)
            return
        p = packet_parse(text)
        self.last_in = p
        self.inject(self.to_wire(p))

    def icmp_in(self, m):
        remote, local = self.addresses()
        kind, mtu, seq = m.group(1), int(m.group(2) or 0), int(m.group(3))
        quoted = struct.pack("!HHI", self.local_port, self.remote_port, (seq + (self.local_isn or 0)) & 0xffffffff)
        inner = self.ip(local, remote, 6, quoted + bytes(12 + int(m.group(5))), 0)[:(40 if self.v6 else 20) + 8]
        codes = {"host_unreachable": 1, "net_unreachable": 0, "port_unreachable": 3, "protocol_unreachable": 2, "frag_needed": 4,
                 "admin_prohibited": 13}
        if self.v6:
            same = {"frag_needed": "packet_too_big", "host_unreachable": "address_unreachable", "net_unreachable": "no_route"}
            kind = same.get(kind, kind)
            t, code = (2, 0) if kind == "packet_too_big" else (1, {"no_route": 0, "admin_prohibited": 1, "address_unreachable": 3,
                                                                    "port_unreachable": 4}[kind])
            mtu += 20 if mtu else 0
            body = struct.pack("!BBHI", t, code, 0, mtu) + inner
            c = checksum(self.pseudo(remote, local, 58, len(body)) + body)
            self.inject(self.ip(remote, local, 58, body[:2] + struct.pack("!H", c) + body[4:], 0))
            return
        body = struct.pack("!BBHHH", 3, codes[kind], 0, 0, mtu) + inner
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        self.inject(self.ip(remote, local, 1, body, 0))

    def receive(self):
        buf = C.create_string_buffer(65600)
        n = C.c_size_t(65600)
        us = C.c_longlong()
        r, _ = self.lib.call("netdev_receive", C.cast(buf, C.c_void_p), C.cast(C.byref(n), C.c_void_p), C.cast(C.byref(us), C.c_void_p),
                             result=C.c_int)
        if r != 0:
            self.fail("netdev_receive said %d" % r)
        return buf.raw[:n.value], us.value / 1e6

    def sent(self):
        """What has left and was not looked at: (Tcp, when), its timestamps counted from the first one, which is 100. Waits for nothing."""
        while True:
            if isinstance(self.lib, kernel.Kernel):
                with self.lib.lock:
                    if not self.lib.packets:
                        return
                    at, data = self.lib.packets.pop(0)
            else:
                data, at = self.receive()
                if not data:
                    return
            p = self.from_wire(data)
            if p is None:
                continue
            for i, o in enumerate(p.options):
                if o[0] == "TS":
                    if self.ts_base is None:
                        self.ts_base = o[1] - 100
                    p.options[i] = ("TS", o[1] - self.ts_base, o[2])
            yield p, at

    def from_wire(self, data):
        """A Tcp with the script's numbers, and its raw TS."""
        if self.v6:
            body, ecn, src, dst = data[40:], data[1] >> 4 & 3, data[8:24], data[24:40]
            if data[0] >> 4 != 6 or data[6] != 6:
                return None
        else:
            if data[0] >> 4 != 4 or data[9] != 6:
                return None
            if checksum(data[:20]) != 0:
                self.fail("the IPv4 checksum is wrong")
            body, ecn, src, dst = data[(data[0] & 15) * 4:], data[1] & 3, data[12:16], data[16:20]
        if not isinstance(self.lib, kernel.Kernel) and checksum(self.pseudo(src, dst, 6, len(body)) + body) != 0:
            self.fail("the TCP checksum is wrong")
        sport, dport, seq, ack, off, win, _, urg = struct.unpack("!HHIIHHHH", body[:20])
        p = Tcp()
        p.flags, p.win, p.ecn = off & 0x1ff, win, ecn
        n = (off >> 12) * 4
        if p.flags & 2:
            self.local_isn = seq
            self.local_port = sport
            if not p.flags & 16:
                self.remote_port = dport
        p.seq = (seq - (self.local_isn or 0)) & 0xffffffff
        p.length = len(body) - n
        p.end = p.seq + p.length  # as packetdrill writes it: SYN and FIN are not counted
        p.ack = ack
        p.urg = urg
        p.options = options_from(body[20:n])
        return p

    def do_out(self, text, lo, hi):
        want = packet_parse(text)
        got, at = self.next_out(want)
        piece = got.length
        while got.length < want.length:
            more, at = self.next_out(want)
            # All but the last are of one length; the kernel's trains are not cut, and of any.
            if more.length != piece and got.length + more.length < want.length and not isinstance(self.lib, kernel.Kernel):
                self.fail("expected %s\n      but got  a segment of %d octets after one of %d" % (want.text(), more.length, piece))
            loose = ~(1 | 8 | 128)  # FIN, PSH and CWR are one segment's own
            if more.seq != got.seq + got.length or (more.flags ^ got.flags) & loose or more.ack != got.ack or more.win != got.win:
                self.fail("expected %s\n      but got  %s and then %s" % (want.text(), got.text(), more.text()))
            more.flags = more.flags & ~128 | got.flags & 128
            more.seq, more.length = got.seq, got.length + more.length
            got = more
        got.end = got.seq + got.length
        for i, o in enumerate(got.options):
            if o[0] == "TS":
                wanted = next((w for w in want.options if w[0] == "TS"), None)
                if wanted is not None:
                    if self.ts_base is None:
                        self.ts_base = o[1] - wanted[1]
                    self.ts_seen[wanted[1]] = o[1]
                got.options[i] = ("TS", o[1] - (self.ts_base or 0), o[2])
        for k in ("flags", "seq", "length", "ack", "win", "urg", "ecn"):
            a, b = getattr(got, k), getattr(want, k)
            if b is None:
                if k in ("win", "ecn"):
                    continue  # not said: not looked at
                b = 0
            if a != b:
                self.fail("expected %s\n      but got  %s (%s is %s, expected %s)" % (want.text(), got.text(), k, a, b))
        if not want.any_options:
            self.compare_options(want, got)
        self.check_time("packet %s" % got.text(), at, lo, hi)
        return at

    def next_out(self, want):
        """The next segment of the connection, and when it left."""
        while True:
            data, at = self.receive()
            if not data:
                self.fail("no packet came; expected " + want.text())
            got = self.from_wire(data)
            if got is not None:
                if self.verbose:
                    print("  %.6f > %s" % (at - self.start, got.text()))
                return got, at

    def compare_options(self, want, got):
        def clean(o, other):
            # A timestamp of ours is a clock: within 10 ms of the script's.
            if o[0] == "TS":
                w = next((x for x in other if x[0] == "TS"), None)
                if w is not None and (abs(o[1] - w[1]) <= 10 or isinstance(self.lib, kernel.Kernel)):
                    return ("TS", w[1], o[2])
            return o
        if [clean(o, want.options) for o in got.options] != want.options:
            self.fail("expected %s\n      but got  %s (options differ)" % (want.text(), got.text()))

    # --- calls ---
    def fd(self, n):
        return self.fds.get(n, n)

    def sockaddr(self, v):
        family = socket.AF_INET6 if self.v6 else socket.AF_INET
        remote, local = self.addresses()
        addr, port = None, None
        if v is not ANY:
            port = v.get("sin_port", v.get("sin6_port"))
            text = v.get("sin_addr", v.get("sin6_addr"))
            if v.get("sa_family") in (socket.AF_INET, socket.AF_INET6):
                family = v["sa_family"]
            elif v.get("sa_family") == 0:
                return struct.pack("=H", 0) + bytes(14)
            addr = socket.inet_pton(family, text) if text not in (None, ANY) else None
        return family, addr, port, remote, local

    def pack_address(self, t):
        family, addr, port = t
        if self.mapped and family == socket.AF_INET:
            family, addr = socket.AF_INET6, bytes(10) + b"\xff\xff" + addr
        if family == socket.AF_INET:
            return struct.pack("=H", family) + struct.pack("!H", port) + addr + bytes(8)
        return struct.pack("=H", family) + struct.pack("!HI", port, 0) + addr + bytes(4)

    def call_value(self, name, a):
        """Make the call; returns (result, errno, text of what came back or None)."""
        call = self.lib.call
        cint = C.c_int

        def buf_of(data, n=None):
            b = C.create_string_buffer(data, max(len(data) if n is None else n, 1))
            return b, C.cast(b, C.c_void_p)
        if name == "socket":
            domain = a[0] if a[0] is not ANY else (socket.AF_INET6 if self.v6 or self.mapped else socket.AF_INET)
            return call("socket", domain, a[1], a[2] if a[2] is not ANY else 0, result=cint)
        if name in ("bind", "connect"):
            s = self.sockaddr(a[1])
            if not isinstance(s, bytes):
                family, addr, port, remote, local = s
                if addr is None:
                    addr = local if name == "bind" else remote
                port = 8080 if port is None else port
                s = self.pack_address((family, addr, port))
                if name == "connect":
                    self.remote_port, self.remote_port_fixed = port, True
                else:
                    self.local_port = port
            b, p = buf_of(s)
            return call(name, self.fd(a[0]), p, len(s), result=cint)
        if name == "listen":
            return call("listen", self.fd(a[0]), a[1], result=cint)
        if name == "accept":
            return call("accept", self.fd(a[0]), 0, 0, result=cint)
        if name in ("read", "recv", "recvfrom"):
            n = a[2]
            b, p = buf_of(b"", n)
            flags = [a[3]] if name != "read" and len(a) > 3 else [] if name == "read" else [0]
            extra = [0, 0] if name == "recvfrom" else []
            r, e = call(name, self.fd(a[0]), p, n, *flags, *extra)
            if r > 0 and isinstance(a[1], bytes) and b.raw[:r] != a[1][:r]:
                self.fail("%s() gave %r" % (name, b.raw[:r]))
            return r, e
        if name in ("write", "send", "sendto"):
            n = a[2]
            data = a[1] if isinstance(a[1], bytes) else bytes(n)
            b, p = buf_of(data)
            flags = [a[3]] if name != "write" and len(a) > 3 else [] if name == "write" else [0]
            extra = [0, 0] if name == "sendto" else []
            if extra and len(a) > 4 and a[4] is ANY:  # packetdrill gives connect()'s address
                where = self.pack_address((socket.AF_INET6 if self.v6 else socket.AF_INET, self.addresses()[0], 8080))
                extra = [buf_of(where)[1], len(where)]
                if self.local_isn is None:
                    self.remote_port, self.remote_port_fixed = 8080, True
            return call(name, self.fd(a[0]), p, n, *flags, *extra)
        if name in ("close",):
            return call("close", self.fd(a[0]), result=cint)
        if name == "shutdown":
            return call("shutdown", self.fd(a[0]), a[1], result=cint)
        if name == "fcntl":
            return call("fcntl", self.fd(a[0]), a[1], a[2] if len(a) > 2 else 0, result=cint)
        if name == "ioctl":
            v = C.c_int(0)
            r, e = call("ioctl", self.fd(a[0]), a[1], C.cast(C.byref(v), C.c_void_p), result=cint)
            self.shown = v.value
            if r == 0 and len(a) > 2 and isinstance(a[2], list) and not self.recording and a[2][0] is not ANY and v.value != a[2][0]:
                self.fail("ioctl() gave %d, expected %d" % (v.value, a[2][0]))
            return r, e
        if name in ("setsockopt", "getsockopt"):
            return self.option(name, a)
        if name == "poll":
            n = len(a[0])
            raw = b"".join(struct.pack("=ihh", self.fd(f["fd"]), f["events"], 0) for f in a[0])
            b, p = buf_of(raw)
            r, e = call("poll", p, n, a[2], result=cint)
            for i, f in enumerate(a[0]):
                got = struct.unpack("=ihh", b.raw[8 * i:8 * i + 8])[2]
                if f.get("revents", ANY) is not ANY and got != f["revents"]:
                    self.fail("poll() gave revents %#x, expected %#x" % (got, f["revents"]))
            return r, e
        if name == "epoll_create":
            return call("epoll_create", a[0], result=cint)
        if name == "epoll_ctl":
            ev = a[3] if len(a) > 3 and isinstance(a[3], dict) else {"events": 0}
            b, p = buf_of(struct.pack("=IQ", ev["events"], ev.get("fd", 0)))
            return call("epoll_ctl", self.fd(a[0]), a[1], self.fd(a[2]), p, result=cint)
        if name == "epoll_wait":
            b, p = buf_of(b"", 12 * a[2])
            r, e = call("epoll_wait", self.fd(a[0]), p, a[2], a[3], result=cint)
            want = a[1] if isinstance(a[1], list) else [a[1]]
            for i, w in enumerate(want[:max(r, 0)]):
                got = struct.unpack("=IQ", b.raw[12 * i:12 * i + 12])
                if isinstance(w, dict) and w.get("events", ANY) is not ANY and got[0] != w["events"]:
                    self.fail("epoll_wait() gave events %#x, expected %#x" % (got[0], w["events"]))
            return r, e
        raise Failed("line %d: unknown call %s()" % (self.line, name))

    def option(self, name, a):
        level, opt, v = a[1], a[2], a[3]
        if isinstance(v, list) and len(v) == 1:
            v = v[0]
        if isinstance(v, dict) and "onoff" in v:
            raw = struct.pack("=ii", v["onoff"], v.get("linger", 0))
        elif isinstance(v, dict) and "tv_sec" in v:
            raw = struct.pack("=qq", v["tv_sec"], v.get("tv_usec", 0))
        elif isinstance(v, bytes):
            raw = v
        else:
            raw = struct.pack("=i", 0 if v is ANY else v)
        b = C.create_string_buffer(raw, max(len(raw), 64))
        p = C.cast(b, C.c_void_p)
        if name == "setsockopt":
            return self.lib.call(name, self.fd(a[0]), level, opt, p, a[4] if len(a) > 4 and isinstance(a[4], int) else len(raw), result=C.c_int)
        n = C.c_uint(64 if isinstance(v, bytes) else len(raw))
        r, e = self.lib.call(name, self.fd(a[0]), level, opt, p, C.cast(C.byref(n), C.c_void_p), result=C.c_int)
        self.shown = struct.unpack("=i", b.raw[:4])[0]
        if r == 0 and v is not ANY and b.raw[:len(raw)] != raw:
            self.fail("getsockopt() gave %s, expected %s" % (b.raw[:len(raw)].hex(), raw.hex()))
        return r, e

    def do_call(self, text, lo, hi, until):
        m = re.match(r"^(\w+)\((.*)\)\s*=\s*(\S+)(?:\s+(E\w+))?(?:\s*\(.*\))?\s*$", text, re.S)
        if not m:
            self.fail("cannot read: " + text)
        name, args = m.group(1), Args(m.group(2) + "\n)").values(")")
        if args and isinstance(args[0], int):
            self.last_fd = args[0]
        line = self.line

        def work():
            try:
                r, e = self.call_value(name, args)
                done = self.lib.now() if until is not None else 0
                self.check_result(line, name, m, r, e)
                if until is not None and not until - self.tolerance <= done <= until + self.tolerance:
                    raise Failed("line %d: %s() returned at %.6f, expected %.6f" % (line, name, done - self.start, until - self.start))
            except Failed as e:
                self.errors.append(e)
        if until is None:
            work()
        else:
            t = threading.Thread(target=work, daemon=True)
            t.start()
            quiet = 0
            for _ in range(100):  # until it sleeps in the library: a while, for it may wait for Python
                time.sleep(0.002)
                with open("/proc/self/task/%d/stat" % t.native_id) as f:
                    quiet = quiet + 1 if f.read().rsplit(")", 1)[1].split()[0] == "S" else 0
                if quiet == 3 or not t.is_alive():
                    break
            self.threads.append(t)
        if self.errors:
            raise self.errors[0]

    def check_result(self, line, name, m, r, e):
        want = m.group(3)
        if name in ("socket", "accept", "epoll_create") and r >= 0 and want != "...":
            self.fds[int(want, 0)] = r
            self.last_fd = int(want, 0)
            return
        if want == "...":
            return
        if want in CONSTANTS or "|" in want:
            number = Args(want).value()
        else:
            number = int(want, 0)
        if r != number:
            raise Failed("line %d: %s() returned %d%s, expected %s" % (line, name, r, " " + errno.errorcode.get(e, str(e)) if r < 0 else "",
                                                                   m.group(3) + (" " + m.group(4) if m.group(4) else "")))
        if r < 0 and m.group(4) and errno.errorcode.get(e) != m.group(4):
            raise Failed("line %d: %s() failed with %s, expected %s" % (line, name, errno.errorcode.get(e, e), m.group(4)))

    # --- %{ }% ---
    INFO = ("BBBBBBBB", "state ca_state retransmits probes backoff options scales flags",
            "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv last_ack_recv pmtu "
            "rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans",
            "pacing_rate max_pacing_rate bytes_acked bytes_received", "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out",
            "delivery_rate busy_time rwnd_limited sndbuf_limited", "delivered delivered_ce", "bytes_sent bytes_retrans",
            "dsack_dups reord_seen rcv_ooopack snd_wnd")

    def info_names(self, raw):
        names, at_bytes = {}, 0
        for fmt, words in (("B", self.INFO[1]), ("I", self.INFO[2]), ("Q", self.INFO[3]), ("I", self.INFO[4]), ("Q", self.INFO[5]),
                           ("I", self.INFO[6]), ("Q", self.INFO[7]), ("I", self.INFO[8])):
            for w in words.split():
                names["tcpi_" + w] = struct.unpack_from("=" + fmt, raw, at_bytes)[0]
                at_bytes += struct.calcsize(fmt)
        names["tcpi_snd_wscale"], names["tcpi_rcv_wscale"] = names["tcpi_scales"] & 15, names["tcpi_scales"] >> 4
        return names

    def do_python(self, code):
        b = C.create_string_buffer(400)
        n = C.c_uint(400)
        r, e = self.lib.call("getsockopt", self.fd(self.last_fd), 6, 11, C.cast(b, C.c_void_p), C.cast(C.byref(n), C.c_void_p),
                             result=C.c_int)
        if r != 0:
            self.fail("TCP_INFO: " + os.strerror(e))
        names = self.info_names(b.raw)
        try:
            exec(compile(re.sub(r"^\s+", "", code, flags=re.M) if "\n" not in code.strip() else code, self.path, "exec"), names)  # pylint: disable=exec-used
        except AssertionError as e:
            shown = {k: v for k, v in names.items() if k.startswith("tcpi_") and k in code}
            self.fail("assertion failed: %s %s %s" % (code.strip(), e, shown))

    # --- the script ---
    def events(self, text):
        text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
        line, i, lines = 1, 0, []
        # One event may go over lines: it ends where the next one begins with a time.
        for raw in text.split("\n"):
            raw = re.sub(r"(^|\s)//.*$", "", raw)
            lines.append((line, raw.rstrip()))
            line += 1
        out, in_python = [], False
        for n, raw in lines:
            if in_python:
                out[-1][1] += "\n" + raw
                in_python = "}%" not in raw
                continue
            if not raw.strip() or raw.startswith("--"):
                continue
            if re.match(r"^\s*([+*]|\d)[^:]*?\s", raw + " ") and re.match(r"^\s*(\*|[+]?[\d.]+(~[+]?[\d.]+)?(\.\.\.[+]?[\d.]+)?)\s", raw + " "):
                out.append([n, raw.strip()])
                in_python = "%{" in raw and "}%" not in raw
            elif raw.strip().startswith("`") or (out and out[-1][1].startswith("`") and not out[-1][1].endswith("`")):
                if raw.strip().startswith("`"):
                    out.append([n, raw.strip()])
                else:
                    out[-1][1] += "\n" + raw.strip()
            elif out:
                out[-1][1] += " " + raw.strip()
        return out

    def times(self, word):
        """(earliest, latest, end of a blocking call or None, is it any time)"""
        def one(t, base):
            return base + float(t[1:]) if t.startswith("+") else self.start + float(t)
        if word == "*":
            return self.last, float("inf"), None
        if "..." in word:
            a, b = word.split("...")
            lo = one(a, self.last)
            return lo, lo, (lo + float(b[1:]) if b.startswith("+") else self.start + float(b))
        if "~" in word:
            a, b = word.split("~")
            return one(a, self.last), one(b, self.last), None
        t = one(word, self.last)
        return t, t, None

    def run(self):
        with open(self.path) as f:
            events = self.events(f.read())
        self.start = self.last = self.lib.now()
        was_in = False
        for self.line, text in events:
            if text.startswith("`"):
                self.command(text.strip("`"))
                continue
            m = re.match(r"^(\S+)\s+(.*)$", text, re.S)
            word, what = m.group(1), m.group(2).strip()
            if not (what.startswith("<") and was_in):
                self.last = self.lib.now()
            was_in = what.startswith("<")
            lo, hi, until = self.times(word)
            if what.startswith(">"):
                self.do_out(what[1:].strip(), lo, hi)
                continue
            self.wait_until(lo)
            if what.startswith("<"):
                self.do_in(what[1:].strip())
            elif what.startswith("%{"):
                self.do_python(what[2:what.rindex("}%")])
            elif what.startswith("`"):
                self.command(what.strip("`"))
            else:
                self.do_call(what, lo, hi, until)
            if was_in:
                self.last = lo
            if self.errors:
                raise self.errors[0]
        for t in self.threads:
            for _ in range(200):
                if not t.is_alive():
                    break
                self.lib.sleep(0.05)
                time.sleep(0.01)
            if t.is_alive():
                self.fail("a call that blocks has not returned")
        if self.errors:
            raise self.errors[0]

    def finish(self):
        """Close what is open, reset the connection, and let the library free what it has."""
        for fd in set(self.fds.values()):
            self.lib.call("close", fd, result=C.c_int)
        if self.last_in is not None:
            p = self.last_in
            p.seq += p.length + (p.flags & 1) + (p.flags >> 1 & 1)
            p.length, p.flags, p.options, p.urg = 0, 4 | 16, [], 0
            self.inject(self.to_wire(p))
        if not isinstance(self.lib, kernel.Kernel):
            self.lib.call("free", result=None)

    def command(self, text):
        if text.strip() and not text.startswith(("sysctl", "../common", "./common")):
            self.fail("commands are not run: " + text)


def run_one(args, path):
    with open(path) as f:
        head = f.read(4000)
    m = re.search(r"^--so_flags=(\S+)", head, re.M)
    v6 = bool(re.search(r"^--ip_version=ipv6", head, re.M)) or args.v6
    # The longer header's 20 octets come on top, so that segments are of the same size, as packetdrill does it.
    flags = ",".join(x for x in (args.flags, "mtu=1520" if v6 else "", m.group(1) if m else "") if x)
    lib = kernel.Kernel(flags) if args.kernel else Library(args.library, flags)
    s = Script(lib, path, args, v6)
    try:
        s.run()
        s.finish()
    except Failed as e:
        print("%sFAIL %s: %s" % ("# " if args.tap else "", os.path.relpath(path), str(e).replace("\n", "\n# " if args.tap else "\n")), flush=True)
        return 1
    if not args.tap:
        print("ok %s%s" % (os.path.relpath(path), " (ipv6)" if s.v6 else ""), flush=True)
    return 0


def main():
    p = argparse.ArgumentParser(description="run packetdrill scripts against a stack in a library")
    p.add_argument("--kernel", action="store_true", help="against the machine's own TCP, in real time (root); no LIBRARY then")
    p.add_argument("scripts", nargs="+", metavar="LIBRARY SCRIPT")
    p.add_argument("--flags", default="nosysctl")
    p.add_argument("--verbose", action="store_true")
    p.add_argument("--tolerance", type=float, metavar="SECONDS", help="of times [0.004; the kernel: 0.03]")
    p.add_argument("--v6", action="store_true", help="the same script over IPv6")
    p.add_argument("--mapped", action="store_true", help="IPv4 through IPv6 sockets (ipv4-mapped-ipv6)")
    p.add_argument("--jobs", type=int, default=1, metavar="N", help="scripts at once (with --kernel most of the time goes by in sleep)")
    p.add_argument("--tap", action="store_true", help="results in the form of the Test Anything Protocol")
    args = p.parse_args()
    if not args.kernel:
        args.library = args.scripts.pop(0)
    failed = 0
    if args.tap:
        print("1..%d" % len(args.scripts), flush=True)
    running = {}

    def reap():
        pid, status = os.wait()
        n, path = running.pop(pid)
        if os.WIFSIGNALED(status):
            print("%sFAIL %s: killed by signal %d" % ("# " if args.tap else "", os.path.relpath(path), os.WTERMSIG(status)), flush=True)
        if args.tap:
            print("%sok %d - %s" % ("not " if status else "", n, os.path.relpath(path)), flush=True)
        return status != 0
    for n, path in enumerate(args.scripts, 1):  # a process each: a stack that crashes fails one script
        if len(running) >= args.jobs:
            failed += reap()
        pid = os.fork()
        if pid == 0:
            r = 1
            try:
                r = run_one(args, path)
            except Exception:  # pylint: disable=broad-except
                print("FAIL %s" % os.path.relpath(path))
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(r)
        running[pid] = n, path
    while running:
        failed += reap()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
