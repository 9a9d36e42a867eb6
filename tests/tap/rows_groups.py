"""Source filters: the same calls in the kernel and in the stack; what each says of it by IGMPv3 and MLDv2 is compared, record by record.

A scenario is a list of steps. A step is a call on one of a few sockets, its result, and what is said because of it: "allow:c block:a", twice,
by both. The next step comes when all of that was seen. Nothing is held against a clock: what is said too much turns up in a later step.

Where the kernel says another thing than the RFC, its words stand after a bar; where its call has another result, after a bar, too.
"""
import ctypes
import errno
import socket
import struct
import threading
import time

import peer
from peer import FAMILY, LONG, V4, V6, Failed, World, expect, row, sysctl

TYPES = {1: "is-in", 2: "is-ex", 3: "to-in", 4: "to-ex", 5: "allow", 6: "block"}
GROUPS = {V4: "239.9.8.", V6: "ff05::98:"}
SSM = {V4: "232.9.8.", V6: "ff35::98:"}
SOURCE = {V4: "10.9.0.%d", V6: "fd09::%x"}
LEVEL = {V4: socket.IPPROTO_IP, V6: socket.IPPROTO_IPV6}
OPTIONS = {"join": 42, "block": 43, "unblock": 44, "leave": 45, "add": 46, "drop": 47}  # MCAST_...
MSFILTER = 48
ETH_P_ALL = 3
OUTGOING = 4
SIDES = ("kernel", "stack")
SLOTS = 3  # sockets of a scenario


def source(family, letter):
    return SOURCE[family] % (100 + ord(letter) - ord("a"))


def storage(family, text):
    octets = socket.inet_pton(family, text)
    at = struct.pack("=HH", family, 0) + (octets if family == V4 else bytes(4) + octets)
    return at.ljust(128, b"\0")


# --- what is on the device ---


def records(family, octets):
    """Of a report of version 3 or MLDv2, its octets behind the header of 4."""
    one = 4 if family == V4 else 16
    n = int.from_bytes(octets[6:8], "big")
    at, found = 8, []
    for _ in range(n):
        kind, aux, count = octets[at], octets[at + 1], int.from_bytes(octets[at + 2 : at + 4], "big")
        at += 4
        group = socket.inet_ntop(family, octets[at : at + one])
        at += one
        found.append((group, kind, [socket.inet_ntop(family, octets[at + one * i : at + one * (i + 1)]) for i in range(count)]))
        at += one * count + 4 * aux
    if at != len(octets):
        raise Failed(f"a report of {len(octets)} octets has records of {at}")
    return found


def report_of(frame):
    """Family and records of a frame, if it is a report."""
    kind, p = int.from_bytes(frame[12:14], "big"), frame[14:]
    if kind == 0x0800 and p[9] == 2:
        head, whole = (p[0] & 15) * 4, int.from_bytes(p[2:4], "big")
        body = p[head:whole]
        return (V4, records(V4, body)) if body[0] == 0x22 else None
    if kind == 0x86DD and p[6] == 0 and p[40] == 58:  # hop-by-hop options, then ICMPv6
        body = p[48 : 40 + int.from_bytes(p[4:6], "big")]
        return (V6, records(V6, body)) if body[0] == 143 else None
    return None


class Listener:
    """What both sides say, as text: "allow:c block:a" for each report and group."""

    def __init__(self, device):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.s.bind((device, ETH_P_ALL))
        self.said = {}  # (side, group) to a list
        self.problem = None
        self.changed = threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                frame, at = self.s.recvfrom(65536)
                found = report_of(frame)
            except OSError:
                return
            except Exception as e:  # noqa: BLE001: shown by the row
                self.problem = repr(e)
                continue
            if not found:
                continue
            family, recs = found
            texts = {}
            for group, kind, sources in recs:
                letters = "".join(sorted(chr(socket.inet_pton(family, s)[-1] - 100 + ord("a")) for s in sources))
                texts.setdefault(group, []).append(f"{TYPES.get(kind, kind)}:{letters}")
            with self.changed:
                for group, t in texts.items():
                    self.said.setdefault((SIDES[at[2] != OUTGOING], group), []).append(" ".join(sorted(t)))
                self.changed.notify_all()

    def wait(self, group, wanted):
        """Until each side said this: a list of texts each. Then it is forgotten."""
        until = time.monotonic() + LONG
        with self.changed:
            while any(len(self.said.get((side, group), [])) < len(wanted[side]) for side in SIDES):
                if self.problem or not self.changed.wait(until - time.monotonic()):
                    break
            got = {side: self.said.pop((side, group), []) for side in SIDES}
        expect("problems of the listener", self.problem, None)
        for side in SIDES:
            expect(f"said by the {side}", got[side], wanted[side])

    def close(self):
        self.s.close()


# --- calls ---


class Kernel:
    def __init__(self, device):
        self.iface = socket.if_nametoindex(device)
        self.socks = {}
        self.libc = ctypes.CDLL(None, use_errno=True)

    def open(self, slot, family):
        self.socks[slot] = socket.socket(family, socket.SOCK_DGRAM)

    def close(self, slot):
        self.socks.pop(slot).close()

    def call(self, what, slot, family, group, sources):
        head = struct.pack("=II", self.iface, 0) + storage(family, group)
        try:
            if what in ("in", "ex"):
                data = head + struct.pack("=II", what == "in", len(sources)) + b"".join(storage(family, s) for s in sources)
                self.socks[slot].setsockopt(LEVEL[family], MSFILTER, data)
            else:
                data = head + b"".join(storage(family, s) for s in sources)
                self.socks[slot].setsockopt(LEVEL[family], OPTIONS[what], data)
        except OSError as e:
            return errno.errorcode[e.errno]
        return "ok"

    def get(self, slot, family, group):
        room = 64
        head = struct.pack("=II", self.iface, 0) + storage(family, group) + struct.pack("=II", 0, room)
        buf = ctypes.create_string_buffer(head + bytes(128 * room), len(head) + 128 * room)
        length = ctypes.c_uint32(len(buf))
        if self.libc.getsockopt(self.socks[slot].fileno(), LEVEL[family], MSFILTER, buf, ctypes.byref(length)) != 0:
            return errno.errorcode[ctypes.get_errno()]
        mode, n = struct.unpack_from("=II", buf.raw, len(head) - 8)
        at = 4 if family == V4 else 8
        one = 4 if family == V4 else 16
        sources = [socket.inet_ntop(family, buf.raw[len(head) + 128 * i + at :][:one]) for i in range(n)]
        return " ".join(["in" if mode else "ex"] + sources)


class Both:
    """A stack, the kernel, and who listens to them."""

    def __init__(self, exe):
        self.w = World(exe)
        self.kernel = Kernel(self.w.name)
        self.listener = Listener(self.w.name)
        self.n_groups = 0
        self.first_slot = -SLOTS
        self.lock = threading.Lock()

    def group(self, family, prefix):
        self.n_groups += 1
        return f"{prefix[family]}{self.n_groups}" if family == V4 else f"{prefix[family]}{self.n_groups:x}"

    def scenario(self, family, prefix, steps):
        """Steps are "SOCKET CALL [LETTERS] [= RESULT]" and what is said; each socket is opened at its first step."""
        with self.lock:
            group = self.group(family, prefix)
            self.first_slot += SLOTS
            first = self.first_slot
        slots = set()
        try:
            for call, says in steps:
                self.step(family, group, first, slots, call, says)
        finally:
            for slot in slots:
                self.kernel.close(slot)
                self.w.ask(f"group close {slot}")
        expect("berth_stack_check()", self.w.ask("check"), "ok")

    def step(self, family, group, first, slots, call, says):
        call, _, results = call.partition(" = ")
        slot, what, *letters = call.split()
        slot = first + int(slot)
        if what == "asked":
            self.ask(family, group, letters[0] if letters else "")
        else:
            if slot not in slots:
                self.kernel.open(slot, family)
                expect("opening a socket", self.w.ask(f"group open {slot} {6 if family == V6 else 4}"), "ok")
                slots.add(slot)
            sources = [source(family, c) for c in (letters[0] if letters else "")]
            wanted, _, other = results.partition("|")
            got = self.w.ask(" ".join([f"group {what} {slot} {group}", *sources]))
            expect(f"{call}: the stack's result", got, wanted or "ok")
            expect(f"{call}: the kernel's result", self.kernel.call(what, slot, family, group, sources), other or wanted or "ok")
            expect(f"{call}: the filters", self.w.ask(f"group get {slot} {group}"), self.kernel.get(slot, family, group))
        ours, _, other = says.partition("|")
        repeated = 1 if what == "asked" else 2
        try:
            self.listener.wait(group, {"stack": [ours] * (repeated if ours else 0),
                                       "kernel": [other or ours] * (repeated if other or ours else 0)})
        except Failed as e:
            raise Failed(f"{call}: {e}")

    def ask(self, family, group, letters):
        """A query of another on the link, to both: about the group, or sources of it."""
        one = 4 if family == V4 else 16
        listed = b"".join(socket.inet_pton(family, source(family, c)) for c in letters)
        tail = struct.pack(">BBH", 2, 125, len(listed) // one) + listed
        to = socket.inet_pton(family, group)
        if family == V4:
            body = struct.pack(">BBH", 0x11, 1, 0) + to + tail
            head = struct.pack(">BBHHHBBH4s4s4s", 0x46, 0xC0, 24 + len(body), 0, 0, 1, 2, 0, bytes((10, 9, 0, 77)), to, bytes.fromhex("94040000"))
            head = head[:10] + checksum(head) + head[12:]
            body = body[:2] + checksum(body) + body[4:]
            frame = bytes((1, 0, 94, to[1] & 127, to[2], to[3])) + bytes.fromhex("02000000004d0800") + head + body
        else:
            src = socket.inet_pton(V6, "fe80::77")
            body = struct.pack(">BBHHH", 130, 0, 0, 100, 0) + to + tail
            sum6 = checksum(src + to + struct.pack(">II", len(body), 58) + body)
            body = body[:2] + sum6 + body[4:]
            head = struct.pack(">IHBB", 0x60000000, 8 + len(body), 0, 1) + src + to + bytes.fromhex("3a00050200000100")
            frame = bytes.fromhex("3333") + to[12:] + bytes.fromhex("02000000004d86dd") + head + body
        expect("giving a frame", self.w.ask("frame " + frame.hex()), "ok")

    def close(self):
        self.listener.close()
        self.w.close()


def checksum(octets):
    octets += bytes(len(octets) % 2)
    n = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while n >> 16:
        n = (n & 0xFFFF) + (n >> 16)
    return struct.pack(">H", ~n & 0xFFFF)


SCENARIOS = (
    ("one joins and leaves", (("0 join", "to-ex:"), ("0 leave", "to-in:"))),
    ("one source joins and leaves", (("0 add a", "allow:a"), ("0 drop a", "block:a"))),
    ("sources come and go", (("0 add a", "allow:a"), ("0 add b", "allow:b"), ("0 add c", "allow:c"), ("0 drop b", "block:b"),
                             ("0 leave", "block:ac"))),
    ("sources are blocked and unblocked", (("0 join", "to-ex:"), ("0 block a", "block:a"), ("0 block b", "block:b"),
                                           ("0 unblock a", "allow:a"), ("0 leave", "to-in:"))),
    ("include to include", (("0 join", "to-ex:"), ("0 in ab", "to-in:ab"), ("0 in bc", "allow:c block:a"), ("0 in c", "block:b"),
                            ("0 in cd", "allow:d"), ("0 in", "block:cd"))),
    ("exclude to exclude", (("0 join", "to-ex:"), ("0 ex ab", "block:ab"), ("0 ex bc", "allow:a block:c"), ("0 ex", "allow:bc"),
                            ("0 leave", "to-in:"))),
    ("include to exclude and back", (("0 add a", "allow:a"), ("0 ex a", "to-ex:a"), ("0 in a", "to-in:a"), ("0 ex b", "to-ex:b"),
                                     ("0 in cd", "to-in:cd"), ("0 leave", "block:cd"))),
    ("the same again", (("0 add a", "allow:a"), ("0 in a", ""), ("0 ex b", "to-ex:b"), ("0 ex b", ""), ("0 leave", "to-in:"))),
    ("two include", (("0 add a", "allow:a"), ("1 add a", ""), ("1 add b", "allow:b"), ("0 leave", ""), ("1 leave", "block:ab"))),
    ("two exclude", (("0 join", "to-ex:"), ("0 ex ab", "block:ab"), ("1 join", "allow:ab"), ("1 ex bc", "block:b"), ("0 leave", "block:c"),
                     ("1 leave", "to-in:"))),
    ("one includes, others exclude", (("0 add a", "allow:a"), ("1 join", "to-ex:"), ("1 block a", ""), ("1 block b", "block:b"),
                                      ("0 drop a", "block:a"), ("2 add b", "allow:b"), ("1 leave", "to-in:b"), ("2 leave", "block:b"))),
    ("three of RFC 3376, 3.2", (("0 join", "to-ex:"), ("0 ex abcd", "block:abcd"), ("1 join", "allow:abcd"), ("1 ex bcde", "block:bcd"),
                                ("2 add d", "allow:d"), ("2 add e", ""), ("2 add f", ""), ("0 asked", "is-ex:bc"), ("1 leave", "block:a"),
                                ("0 leave", "to-in:def"), ("2 leave", "block:def"))),
    ("calls that are refused", (("0 block a = EINVAL", ""), ("0 unblock a = EINVAL", ""), ("0 drop a = EINVAL", ""), ("0 in a = EINVAL", ""),
                                ("0 ex = EINVAL", ""), ("0 leave = EADDRNOTAVAIL", ""), ("0 in = EADDRNOTAVAIL", ""),
                                ("0 add a", "allow:a"), ("0 add a = EADDRNOTAVAIL", ""), ("0 drop b = EADDRNOTAVAIL", ""),
                                ("0 block b = EINVAL", ""), ("0 unblock a = EINVAL", ""), ("0 join = EADDRINUSE", ""),
                                ("0 ex a", "to-ex:a"), ("0 block a = EADDRNOTAVAIL", ""), ("0 unblock b = EADDRNOTAVAIL", ""),
                                ("0 add b = EINVAL", ""), ("0 drop a = EINVAL", ""), ("0 leave", "to-in:"))),
    ("an empty filter changes its mode", (("0 join", "to-ex:"), ("0 add a", "to-in:a"), ("0 leave", "block:a"))),
    ("asked about the group", (("0 add a", "allow:a"), ("0 add b", "allow:b"), ("0 asked", "is-in:ab"), ("0 ex c", "to-ex:c"),
                               ("0 asked", "is-ex:c"), ("0 leave", "to-in:"))),
    ("asked about sources, who includes", (("0 add a", "allow:a"), ("0 add b", "allow:b"), ("0 asked bc", "is-in:b"), ("0 leave", "block:ab"))),
    ("asked about sources, who excludes", (("0 join", "to-ex:"), ("0 block a", "block:a"), ("0 asked ab", "is-in:b|is-ex:a"),
                                           ("0 leave", "to-in:"))),
)
SSM_SCENARIOS = (
    ("a source-specific group", (("0 add a", "allow:a"), ("0 add b", "allow:b"), ("0 asked", "is-in:ab"), ("0 leave", "block:ab"))),
)


class Job:
    """A scenario in a thread of its own: each has its group and its sockets, and waits most of the time."""

    def __init__(self, both, name, family, prefix, steps):
        self.name = f"{FAMILY[family]}: {name}"
        self.problem = None
        self.thread = threading.Thread(target=self.run, args=(both, family, prefix, steps), daemon=True)
        if not peer.only or any(word in self.name for word in peer.only):
            self.thread.start()

    def run(self, *args):
        both, *rest = args
        try:
            both.scenario(*rest)
        except Exception as e:  # noqa: BLE001: shown by the row
            self.problem = e

    def result(self):
        self.thread.join()
        if self.problem:
            raise self.problem


def run(exe):
    # When its first link-local address is good, the kernel says all of its groups again, and a second later once more: whenever that is.
    sysctl("ipv6/conf/default/addr_gen_mode", "1")
    both = Both(exe)
    jobs = [Job(both, name, family, prefix, steps) for family in (V4, V6) for prefix, rows in ((GROUPS, SCENARIOS), (SSM, SSM_SCENARIOS))
            for name, steps in rows]
    for job in jobs:
        row(job.name, job.result)
    row("the stack is sound, and gave everything back", both.w.is_quiet)
    both.close()
