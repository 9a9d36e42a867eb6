"""Frames by hand, also those that no stack would make; and pcapng files of them. Used by make.py.

A Frame is octets and where its headers begin. Its marks say what the player (play.c) adds to numbers that only the live victim knows
(live), and which words are drawn anew for each repetition (vary); the checksums that cover them are kept as right or wrong as they were.
"""
import ipaddress
import struct

VICTIM4, FRIEND4, ATTACKER4 = "10.0.0.1", "10.0.0.2", "203.0.113.66"
VICTIM6, FRIEND6, ATTACKER6 = "fd00::1", "fd00::2", "2001:db8::66"
VICTIM_MAC, FRIEND_MAC, ATTACKER_MAC = "020000000001", "020000000002", "0200000000fe"
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32


def addr(text):
    return ipaddress.ip_address(text).packed


def checksum(data, start=0):
    data = bytes(data) + b"\0" * (len(data) % 2)
    s = start + sum(struct.unpack(f">{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def pseudo(src, dst, proto, length):
    data = src + dst + (struct.pack(">BBH", 0, proto, length) if len(src) == 4 else struct.pack(">II", length, proto))
    return checksum(data) ^ 0xffff


class Frame:
    """data; ip and l4: offsets of the headers; csum: of the transport's checksum, None: there is none."""

    def __init__(self, data, ip=0, l4=0, csum=None):
        self.data, self.ip, self.l4, self.csum, self.marks = bytes(data), ip, l4, csum, []

    def sums(self, *more):
        return "".join(f":{s}" for s in (*more, self.csum) if s is not None)

    def live(self, what, base, at=None):
        """seq, ack, or at an offset: base is added. base: rcv_nxt, una, nxt of the polite connection; issPORT."""
        where = {"seq": self.l4 + 4, "ack": self.l4 + 8}.get(what, at)
        self.marks.append(f"live={where}:{base}{self.sums()}")
        return self

    def vary(self, *what):
        """src, sport, dport, seq, id: drawn anew."""
        v4 = self.data[self.ip] >> 4 == 4
        head = (self.ip + 10,) if v4 else ()
        for w in what:
            if w == "src":
                at = [self.ip + 14] if v4 else [self.ip + 20, self.ip + 22]
                self.marks += [f"vary={a}{self.sums(*head)}" for a in at]
            elif w == "id":
                self.marks.append(f"vary={self.ip + 4}:{self.ip + 10}")
            else:
                self.marks += [f"vary={self.l4 + o}{self.sums()}" for o in {"sport": [0], "dport": [2], "seq": [4, 6]}[w]]
        return self

    def mark(self, text):
        self.marks.append(text)
        return self

    def patch(self, at, octets):
        """Behind the checksums' back."""
        self.data = self.data[:at] + octets + self.data[at + len(octets):]
        return self

    def cut(self, n):
        self.data = self.data[:n]
        return self

    def eth(self, dst=VICTIM_MAC, src=ATTACKER_MAC, kind=None):
        kind = kind or (0x0800 if self.data[0] >> 4 == 4 else 0x86dd)
        assert not self.marks, "marks come after the link header"
        f = Frame(bytes.fromhex(dst + src) + struct.pack(">H", kind) + self.data, self.ip + 14, self.l4 + 14)
        f.csum = None if self.csum is None else self.csum + 14
        return f


def ip4(payload, src=ATTACKER4, dst=VICTIM4, proto=6, ttl=64, ident=1, flags=0, at=0, options=b"", ihl=None, total=None, version=4):
    """flags: 2 is DF, 1 is MF; at: the fragment's offset in octets."""
    options += b"\0" * (-len(options) % 4)
    length = 20 + len(options)
    head = struct.pack(">BBHHHBBH4s4s", version << 4 | (length // 4 if ihl is None else ihl), 0,
                       length + len(payload) if total is None else total, ident, flags << 13 | at // 8, ttl, proto, 0, addr(src), addr(dst))
    head += options
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    return Frame(head + payload, 0, length)


def ip6(payload, src=ATTACKER6, dst=VICTIM6, proto=6, hops=64, length=None, extensions=b"", first=None):
    head = struct.pack(">IHBB16s16s", 6 << 28, len(extensions) + len(payload) if length is None else length,
                       proto if first is None else first, hops, addr(src), addr(dst))
    return Frame(head + extensions + payload, 0, 40 + len(extensions))


def over(l4, at, v6, src, dst, proto, ip):
    """A transport message with its checksum at offset `at`, in a packet."""
    src = src or (ATTACKER6 if v6 else ATTACKER4)
    dst = dst or (VICTIM6 if v6 else VICTIM4)
    ip = dict(ip)
    right = ip.pop("right", True)
    start = 0 if proto == 1 else pseudo(addr(src), addr(dst), proto, len(l4))
    c = checksum(l4[:at] + b"\0\0" + l4[at + 2:], start) if right else 0xdead
    l4 = l4[:at] + struct.pack(">H", c) + l4[at + 2:]
    f = (ip6 if v6 else ip4)(l4, src=src, dst=dst, proto=proto, **ip)
    f.csum = f.l4 + at
    return f


def tcp(sport, dport, seq=0, ack=0, flags=ACK, wnd=65535, options=b"", payload=b"", urg=0, doff=None, v6=False, src=None, dst=None, **ip):
    options += b"\1" * (-len(options) % 4)
    l4 = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xffffffff, ack & 0xffffffff,
                     ((20 + len(options)) // 4 if doff is None else doff) << 4, flags, wnd, 0, urg) + options + payload
    return over(l4, 16, v6, src, dst, 6, ip)


def udp(sport, dport, payload=b"", length=None, v6=False, src=None, dst=None, **ip):
    l4 = struct.pack(">HHHH", sport, dport, 8 + len(payload) if length is None else length, 0) + payload
    return over(l4, 6, v6, src, dst, 17, ip)


def icmp4(kind, code, rest=b"\0\0\0\0", payload=b"", src=None, dst=None, **ip):
    return over(struct.pack(">BBH", kind, code, 0) + rest + payload, 2, False, src, dst, 1, ip)


def icmp6(kind, code, rest=b"\0\0\0\0", payload=b"", src=None, dst=None, **ip):
    return over(struct.pack(">BBH", kind, code, 0) + rest + payload, 2, True, src, dst, 58, ip)


def arp(op, sender_mac, sender, target_mac, target, dst="ffffffffffff", src=ATTACKER_MAC):
    data = struct.pack(">HHBBH", 1, 0x0800, 6, 4, op) + bytes.fromhex(sender_mac) + addr(sender) + bytes.fromhex(target_mac) + addr(target)
    return Frame(bytes.fromhex(dst + src) + b"\x08\x06" + data, 14, 14)


def mss(n):
    return struct.pack(">BBH", 2, 4, n)


def wscale(n):
    return struct.pack(">BBB", 3, 3, n) + b"\1"


SACK_OK = b"\4\2\1\1"


def sack(*blocks):
    return b"\1\1" + struct.pack(">BB", 5, 2 + 8 * len(blocks)) + b"".join(struct.pack(">II", a & 0xffffffff, b & 0xffffffff) for a, b in blocks)


# --- pcapng, big-endian as src/link/pcap.c writes it ---

def pad(data):
    return data + b"\0" * (-len(data) % 4)


def option(code, data):
    return struct.pack(">HH", code, len(data)) + pad(data)


def block(kind, body):
    n = 12 + len(body)
    return struct.pack(">II", kind, n) + body + struct.pack(">I", n)


def pcapng(comment, linktype, packets):
    """packets: (time in ns, octets, comment)."""
    end = option(0, b"")
    out = block(0x0a0d0d0a, struct.pack(">IHHq", 0x1a2b3c4d, 1, 0, -1) + option(1, comment.encode()) + option(4, b"berth's tests/captures/make.py") + end)
    out += block(1, struct.pack(">HHI", linktype, 0, 0) + option(9, b"\x09") + end)
    for at, data, text in packets:
        out += block(6, struct.pack(">IIIII", 0, at >> 32, at & 0xffffffff, len(data), len(data)) + pad(data) + option(1, text.encode()) + end)
    return out
