#!/usr/bin/env python3
"""Conversations drawn from a seed, held with berth and with this machine's Linux: where do they differ?

    sudo tests/packetdrill/differ.py LIBRARY [--first SEED] [--seeds N] [--jobs N] [--out DIRECTORY]
    sudo tests/packetdrill/differ.py LIBRARY --first SEED --show       one conversation, both sides of it
    sudo tests/packetdrill/differ.py LIBRARY --first SEED --shrink     ... with the events only that it takes

A peer that loses segments, and a program that writes, reads and closes, are played against berth in virtual time: what they do next
depends on what they see. The same calls and packets at the same times then go to Linux, in real time and a namespace of its own
(kernel.py). What both send is put together where it was cut differently, and compared: flags, numbers, SACK blocks, times; the
results of calls, too. What differs is held with Linux once more: where Linux answers itself differently nothing is said. Times are as good
as the machine is idle, and known differences are in docs/stack.md; so this is for people, not for make test.
"""
import argparse
import ctypes as C
import errno
import multiprocessing
import os
import random
import sys
import traceback

import kernel
import pdrill
import record

GAPS = (0.003, 0.013, 0.027, 0.057, 0.093, 0.15, 0.28, 0.47, 0.73, 1.3)
INFO = ("ca_state", "snd_cwnd", "snd_ssthresh", "unacked", "lost", "sacked", "retrans") + tuple(os.environ.get("INFO_MORE", "").split())


class Segment:
    """What came out, as it is compared."""

    def __init__(self, at, p):
        self.at, self.flags, self.seq, self.length, self.ack, self.win = at, p.flags, p.seq, p.length, p.ack if p.flags & 16 else 0, p.win
        self.sacks = next((o[1:] for o in p.options if o[0] == "sack"), ())
        self.options = tuple(o[0] for o in p.options if o[0] != "nop") if not p.flags & 2 else tuple(o if o[0] != "TS" else ("TS",) for o in p.options)
        self.ecn, self.urg = p.ecn, p.urg
        self.ecr = next((o[2] for o in p.options if o[0] == "TS"), None)

    def joins(self, b):
        return (self.length and b.length and b.seq == self.seq + self.length and self.ack == b.ack and self.sacks == b.sacks and not self.flags & 7
                and b.at - self.at < 0.004 and (self.flags ^ b.flags) & ~(1 | 8 | 128) == 0)

    def join(self, b):
        self.length += b.length
        self.flags = b.flags | self.flags & 128
        self.urg = b.urg

    def text(self):
        s = "%s %d:%d(%d) ack %d" % (pdrill.flag_text(self.flags), self.seq, self.seq + self.length, self.length, self.ack)
        s += " win %d" % self.win
        if self.sacks:
            s += " sack " + " ".join("%d:%d" % b for b in self.sacks)
        if self.urg:
            s += " urg %d" % self.urg
        if self.ecr is not None:
            s += " ecr %d" % self.ecr
        if self.ecn:
            s += " ecn %d" % self.ecn
        return s

    def same(self, b, win):
        return all(getattr(self, k) == getattr(b, k) for k in ("flags", "seq", "length", "ack", "sacks", "options", "ecn", "urg", "ecr") + (("win",) if win else ()))


class Driver(pdrill.Script):
    def __init__(self, lib, args):
        args.kernel, args.mapped, args.verbose, args.tolerance = isinstance(lib, kernel.Kernel), False, False, 0
        super().__init__(lib, "?", args, args.v6)
        self.recording = True
        self.ts_seen = record.Echoes(self)
        self.seen = []  # everything, in order: ("event", at, text), ("out", Segment)

    def drain(self, hear=None):
        for p, at in self.sent():
            if p.flags & 16 == 0:
                p.ack = 0
            s = Segment(at - self.start, p)
            if s.flags & 4 and s.seq > 1 << 28:
                s.seq = 0  # 0 on the wire
            last = self.seen[-1][1] if self.seen and self.seen[-1][0] == "out" else None
            if last is not None and last.joins(s):
                last.join(s)
            else:
                self.seen.append(("out", s))
            if hear:
                hear(p, at - self.start)

    def call_text(self, text):
        m = pdrill.re.match(r"^(\w+)\((.*)\)\s*=\s*(\S+)(.*)$", text, pdrill.re.S)
        name, args = m.group(1), pdrill.Args(m.group(2) + "\n)").values(")")
        if args and isinstance(args[0], int):
            self.last_fd = args[0]
        self.shown = None
        r, e = self.call_value(name, args)
        if name in ("socket", "accept") and r >= 0:
            self.fds[int(m.group(3), 0)] = r
            self.last_fd = r = int(m.group(3), 0)
        return "%s(%s) = %d%s" % (name, m.group(2), r, " " + errno.errorcode.get(e, str(e)) if r < 0 else "")

    def info(self):
        b, n = C.create_string_buffer(400), C.c_uint(400)
        r, _ = self.lib.call("getsockopt", self.fd(4), 6, 11, C.cast(b, C.c_void_p), C.cast(C.byref(n), C.c_void_p), result=C.c_int)
        if r != 0:
            return "info: none"
        v = self.info_names(b.raw)
        return "info: " + " ".join("%s=%d" % (k, v["tcpi_" + k]) for k in INFO)

    def play(self, events, hear=None):
        self.start = due = self.lib.now()
        is_kernel = isinstance(self.lib, kernel.Kernel)
        for delta, what in events:
            due += delta
            self.wait_until(due)
            self.drain(hear)
            if what.startswith("<"):
                self.seen.append(("event", due - self.start, what))
                self.do_in(what[1:].strip())
            elif what == "info":
                self.seen.append(("event", due - self.start, self.info()))
            elif what != "wait":
                self.seen.append(("event", due - self.start, self.call_text(what)))
            if is_kernel:
                self.lib.sleep(0.0015)
            self.drain(hear)
        return self.seen


# --- who does what ---
class Conversation:
    def __init__(self, seed, v6=False):
        r = self.r = random.Random(seed)
        self.v6 = v6
        self.mss = r.choice((536, 1000, 1000, 1012, 1448, 1460))
        self.ts, self.sack, self.wscale = r.random() < 0.4, r.random() < 0.75, r.choice((None, 0, 2, 7, 7))
        self.active = r.random() < 0.3
        self.cc = r.choice((0, 1))
        self.loss = r.choice((0, 0, 0.05, 0.15, 0.3))
        self.data_loss = r.choice((0, 0, 0.1, 0.3))
        self.odd = r.choice((0, 0, 0.05, 0.15))
        self.n_steps = r.randint(5, 30)
        self.window = r.choice((65535, 32768, 20000, 4000)) if self.wscale is None else r.choice((100000, 50000, 20000, 4000))
        self.manner = r.choice(("bulk", "talk", "mixed", "receive"))
        self.events = []
        # the peer
        self.nxt = 1  # its data
        self.lost_data = []  # what it must send again
        self.got = []  # of the stack's octets: [left, right), apart and in order
        self.cum = 1
        self.recent = []  # SACK blocks, the newest first
        self.pending = []  # segments that have come and were not looked at
        self.dsack = None
        self.now = 0.0
        self.stack_ts = 100
        self.fin_sent = self.closed = False
        self.left_bytes = 40000

    def flags(self):
        return "nosysctl,gso,patience=0,cc=%d" % self.cc

    # what the stack sends
    def hear(self, p, at):
        for o in p.options:
            if o[0] == "TS":
                self.stack_ts = max(self.stack_ts, o[1])
        if p.flags & 2:
            return
        if p.length or p.flags & 1:
            at_seq = p.seq
            while at_seq < p.seq + p.length or (p.flags & 1 and at_seq == p.seq + p.length):
                n = min(self.piece, p.seq + p.length - at_seq)
                fin = bool(p.flags & 1) and at_seq + n == p.seq + p.length
                self.pending.append((at_seq, at_seq + n + fin))
                at_seq += n + fin
                if n == 0:
                    break

    @property
    def piece(self):
        return self.mss - (12 if self.ts else 0)

    def arrive(self, left, right):
        """A segment that was not lost. True: something to say at once."""
        if right <= self.cum or any(a <= left and right <= b for a, b in self.got):
            self.dsack = (left, right)
            return
        merged, out = (left, right), []
        for a, b in self.got:
            if b < merged[0] or a > merged[1]:
                out.append((a, b))
            else:
                merged = (min(a, merged[0]), max(b, merged[1]))
        out.append(merged)
        self.got = sorted(out)
        self.recent = [merged] + [x for x in self.recent if x in self.got and x != merged]
        while self.got and self.got[0][0] <= self.cum:
            self.cum = max(self.cum, self.got.pop(0)[1])
        self.recent = [x for x in self.recent if x in self.got]

    def packet(self, flags, seq, length, ack=None, win=None, sacks=None):
        ack = self.cum if ack is None else ack
        win = self.window if win is None else win
        shift = self.wscale or 0
        opts = []
        if self.ts:
            opts.append("nop,nop,TS val %d ecr %d" % (1000 + int(self.now * 1000), max(100, self.stack_ts)))
        if self.sack:
            blocks = list(self.recent if sacks is None else sacks)
            if self.dsack and sacks is None:
                blocks = [self.dsack] + blocks
                self.dsack = None
            blocks = blocks[:3 if self.ts else 4]
            if blocks:
                opts.append("nop,nop,sack " + " ".join("%d:%d" % b for b in blocks))
        self.dsack = None
        return "< %s %d:%d(%d) ack %d win %d%s" % (flags, seq, seq + length, length, ack, min(65535, win >> shift), " <%s>" % ",".join(opts) if opts else "")

    # the beginning
    def syn_options(self):
        o = ["mss %d" % self.mss]
        if self.sack and self.ts:
            o += ["sackOK,TS val 1000 ecr %d" % (100 if self.active else 0)]
        elif self.sack:
            o += ["nop,nop,sackOK"]
        elif self.ts:
            o += ["nop,nop,TS val 1000 ecr %d" % (100 if self.active else 0)]
        if self.wscale is not None:
            o += ["nop,wscale %d" % self.wscale]
        return ",".join(o)

    def setup(self):
        r = self.r
        yield 0, "socket(..., SOCK_STREAM, IPPROTO_TCP) = %d" % (4 if self.active else 3)
        if not self.active:
            yield 0, "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0"
            yield 0, "bind(3, ..., ...) = 0"
            yield 0, "listen(3, 1) = 0"
            yield 0, "< S 0:0(0) win %d <%s>" % (min(65535, self.window), self.syn_options())
            yield 0.1, self.packet(".", 1, 0)
            yield 0, "accept(3, ..., ...) = 4"
            yield 0, "fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0"
        else:
            yield 0, "fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0"
            yield 0, "connect(4, ..., ...) = -1"
            yield 0.1, "< S. 0:0(0) ack 1 win %d <%s>" % (min(65535, self.window), self.syn_options())
        if r.random() < 0.3:
            yield 0, "setsockopt(4, IPPROTO_TCP, TCP_NODELAY, [1], 4) = 0"
        if r.random() < 0.1:
            yield 0, "setsockopt(4, IPPROTO_TCP, TCP_CORK, [1], 4) = 0"

    # steps
    def write(self):
        n = self.r.choice((1, 10, 100, 100, self.piece // 2, self.piece, self.piece + 1, 2 * self.piece, 3 * self.piece + 77, 10 * self.piece))
        n = min(n, self.left_bytes)
        if n <= 0:
            return None
        self.left_bytes -= n
        return "write(4, ..., %d) = %d" % (n, n)

    def hear_pending(self, most):
        n = 0
        while self.pending and n < most:
            left, right = self.pending.pop(0)
            n += 1
            if self.r.random() >= self.loss:
                self.arrive(left, right)

    def data(self):
        r = self.r
        if self.lost_data and r.random() < 0.5:
            i = r.randrange(len(self.lost_data))
            left, n = self.lost_data.pop(i)
            if left + n <= self.nxt:
                return self.packet(r.choice((".", "P.")), left, n)
        if self.fin_sent:
            return self.packet(".", self.nxt, 0)
        n = r.choice((1, 10, 100, self.piece // 2, self.piece, self.piece))
        left = self.nxt
        self.nxt += n
        if r.random() < self.data_loss:
            self.lost_data.append((left, n))
            left = self.nxt
            n = r.choice((10, 100, self.piece))
            self.nxt += n
        return self.packet(r.choice((".", "P.", "P.")), left, n)

    def strange(self):
        r = self.r
        k = r.randrange(12)
        if k == 0:
            return self.packet(".", self.nxt, 0, ack=max(1, self.cum - r.choice((1, 100, self.piece))), sacks=())
        if k == 1:
            return self.packet(".", self.nxt, 0, ack=self.cum + 100000, sacks=())
        if k == 2:
            return self.packet(".", max(1, self.nxt - r.choice((1, 50, self.piece))), r.choice((1, 100, self.piece)))  # overlaps
        if k == 3:
            return self.packet(".", self.nxt + 1000000, 10)
        if k == 4 and self.pending:  # a part of a segment
            left, right = self.pending[0]
            if left <= self.cum < right and right - left > 2:
                self.cum += (right - self.cum) // 2
            return self.packet(".", self.nxt, 0)
        if k == 5:
            return self.packet(".", self.nxt, 0, win=r.choice((0, 0, self.piece, 2 * self.piece)))
        if k == 6:
            return "< S %d:%d(0) win 1000 <mss 1000>" % (self.nxt, self.nxt)
        if k == 7:
            return self.packet("R.", self.nxt + r.choice((1, 10, 100)), 0, sacks=())
        if k == 8:
            return self.packet(".", self.nxt, 0, sacks=((self.cum + 100, self.cum + 5),) if self.sack else ())
        if k == 9:
            return self.packet("P.", self.nxt - 1 if self.nxt > 1 else 1, 1)
        if k == 10:
            return self.packet("", self.nxt, 10).replace("<  ", "< - ")
        return self.packet(".", self.nxt - 1, 0)

    def option(self):
        r = self.r
        return r.choice(("setsockopt(4, IPPROTO_TCP, TCP_NODELAY, [%d], 4) = 0" % r.randint(0, 1),
                         "setsockopt(4, IPPROTO_TCP, TCP_CORK, [%d], 4) = 0" % r.randint(0, 1),
                         "setsockopt(4, IPPROTO_TCP, TCP_QUICKACK, [%d], 4) = 0" % r.randint(0, 1)))

    def step(self):
        r = self.r
        w = {"bulk": (35, 3, 40, 6), "talk": (20, 15, 20, 20), "mixed": (20, 10, 25, 20), "receive": (4, 15, 10, 50)}[self.manner]
        x = r.random()
        if x < self.odd:
            return self.strange()
        x = r.random() * 100
        if x < w[0]:
            return self.write() if not self.closed else self.packet(".", self.nxt, 0) if self.pending else None
        x -= w[0]
        if x < w[1]:
            return "read(4, ..., %d) = 0" % r.choice((10, 1000, 100000)) if not self.closed else None
        x -= w[1]
        if x < w[2]:
            if not self.pending:
                return None
            self.hear_pending(r.choice((1, 1, 2, 2, 3, 100)))
            return self.packet(".", self.nxt, 0)
        x -= w[2]
        if x < w[3]:
            return self.data()
        x -= w[3]
        k = r.randrange(10)
        if k == 0 and not self.closed:
            return "shutdown(4, SHUT_WR) = 0"
        if k == 1 and not self.closed:
            self.closed = True
            return "close(4) = 0"
        if k == 2 and not self.fin_sent and not self.lost_data:
            self.fin_sent = True
            self.nxt += 1
            return self.packet("F.", self.nxt - 1, 0)
        if k == 3:
            self.window = r.choice((0, 2000, 20000, 50000))
            return self.packet(".", self.nxt, 0)
        if k == 4 and r.random() < 0.2:
            return self.packet("R.", self.nxt, 0, sacks=())
        if k < 7 and not self.closed:
            return self.option()
        return "wait"

    def play(self):
        for d, what in self.setup():
            self.now += d
            self.events.append((d, what))
            yield d, what
        n = 0
        while n < self.n_steps and self.now < 7:
            n += 1
            d = 0 if self.r.random() < 0.45 else self.r.choice(GAPS)
            # what comes out meanwhile is heard before the next step is drawn
            if d:
                self.now += d
                self.events.append((d, "wait"))
                yield d, "wait"
            what = self.step()
            if what is None:
                continue
            self.events.append((0, what))
            yield 0, what
            if self.with_info and what.startswith("<") and not self.closed:
                self.events.append((0, "info"))
                yield 0, "info"
        self.events.append((0.35, "wait"))
        yield 0.35, "wait"

    with_info = False


def clean(events):
    """Waits are added up; a packet out of nowhere stays."""
    out, wait = [], 0.0
    for d, what in events:
        if what == "wait":
            wait += d
        else:
            out.append((wait + d, what))
            wait = 0.0
    out.append((wait, "wait"))
    return out


def run_child(make, events, args, hear_from=None):
    """In a process of its own: (seen, events), or an error's text."""
    a, b = multiprocessing.Pipe(False)
    pid = os.fork()
    if pid == 0:
        try:
            a.close()
            d = Driver(make(), args)
            try:
                seen = d.play(events() if callable(events) else events, hear_from.hear if hear_from else None)
                d.finish()
                b.send((seen, hear_from.events if hear_from else None))
            except pdrill.Failed as e:
                b.send((str(e), None))
        except Exception:  # pylint: disable=broad-except
            b.send((traceback.format_exc(), None))
        finally:
            b.close()
            os._exit(0)
    b.close()
    try:
        r = a.recv()
    except EOFError:
        r = ("it died", None)
    os.waitpid(pid, 0)
    a.close()
    return r


def differs(x, y, args):
    """The place where two ways to see it part: (i, j, why); None."""
    end = max([e[1] for e in x if e[0] == "event"] + [0]) + 0.25
    ox, oy = [[e for e in v if e[0] == "out"] for v in (x, y)]
    ex, ey = [[e for e in v if e[0] == "event"] for v in (x, y)]
    for i, (a, b) in enumerate(zip(ox, oy)):
        if not a[1].same(b[1], args.win):
            return (a[1].at, "%s | %s" % (a[1].text(), b[1].text()))
        if abs(a[1].at - b[1].at) > 0.045 + 0.1 * gap_before(x, a[1]):
            return (a[1].at, "time %.3f | %.3f of %s" % (a[1].at, b[1].at, a[1].text()))
    more = ox[len(oy):] + oy[len(ox):]
    if more and more[0][1].at < end:
        more = more[0]
        return (more[1].at, "%s | %s" % ((more[1].text(), "-") if len(ox) > len(oy) else ("-", more[1].text())))
    for a, b in zip(ex, ey):
        if a[2] != b[2]:
            return (a[1], "%s | %s" % (a[2], b[2]))
    return None


def gap_before(seen, segment):
    last = 0
    for e in seen:
        at = e[1].at if e[0] == "out" else e[1]
        if e[1] is segment:
            return segment.at - last
        last = max(last, at)
    return 0


def hold(seed, args, events=None):
    """None, or (why, berth's, Linux's, events)."""
    c = Conversation(seed, args.v6)
    c.with_info = args.info
    flags = c.flags() + (",mtu=1520" if args.v6 else "")
    if events is None:
        mine, events = run_child(lambda: pdrill.Library(args.library, flags), c.play, args, c)
        if isinstance(mine, str):
            return (mine, [], [], [])
        events = clean(events)
    mine, _ = run_child(lambda: pdrill.Library(args.library, flags), events, args)
    if isinstance(mine, str):
        return (mine, [], [], events)
    theirs, _ = run_child(lambda: kernel.Kernel("cc=%d%s" % (c.cc, ",mtu=1520" if args.v6 else "")), events, args)
    if isinstance(theirs, str):
        return (theirs, mine, [], events)
    why = differs(mine, theirs, args)
    for _ in range(2):
        if why is None:
            return None
        again, _ = run_child(lambda: kernel.Kernel("cc=%d%s" % (c.cc, ",mtu=1520" if args.v6 else "")), events, args)
        if isinstance(again, str):
            return None
        there = differs(mine, again, args)
        if there is None or there[1] != why[1] and (abs(there[0] - why[0]) > 0.05 or there[1].split()[0] != why[1].split()[0]):
            return None  # Linux itself is not sure
    return (why, mine, theirs, events)


def show(result, out):
    why, mine, theirs, events = result
    out.write("difference: %s\n" % (why,))
    for name, seen in (("berth", mine), ("Linux", theirs)):
        out.write("--- %s\n" % name)
        for e in seen:
            if e[0] == "out":
                out.write("%9.3f      > %s\n" % (e[1].at, e[1].text()))
            else:
                out.write("%9.3f %s\n" % (e[1], e[2]))
    out.write("--- events\n")
    for d, what in events:
        out.write("+%.3f %s\n" % (d, what))


def shrink(seed, args, result):
    """Events one by one are left out while Linux and berth still differ in the same way."""
    events = result[3]
    i = len(events) - 1
    while i > 8:
        less = events[:i] + ([(events[i][0] + events[i + 1][0], events[i + 1][1])] + events[i + 2:] if i + 1 < len(events) else [])
        r = hold(seed, args, less)
        if r is not None and r[0] is not None and not isinstance(r[0], str):
            result, events = r, less
        i -= 1
    return result


def worker(job):
    seed, args = job
    try:
        r = hold(seed, args)
        if r is None:
            return None
        if args.shrink:
            r = shrink(seed, args, r)
        path = os.path.join(args.out, "%d.txt" % seed)
        with open(path, "w", encoding="utf-8") as f:
            show(r, f)
        return "%d %s" % (seed, r[0] if isinstance(r[0], str) else "%.3f %s" % r[0])
    except Exception:  # pylint: disable=broad-except
        return "%d %s" % (seed, traceback.format_exc())


def main():
    p = argparse.ArgumentParser(description="hold the same conversations with berth and with Linux")
    p.add_argument("library")
    p.add_argument("--first", type=int, default=1)
    p.add_argument("--seeds", type=int, default=1)
    p.add_argument("--jobs", type=int, default=8)
    p.add_argument("--out", default=".")
    p.add_argument("--win", action="store_true", help="windows, too")
    p.add_argument("--info", action="store_true", help="tcp_info after each packet in, too")
    p.add_argument("--v6", action="store_true")
    p.add_argument("--shrink", action="store_true")
    p.add_argument("--show", action="store_true")
    args = p.parse_args()
    if args.show:
        r = hold(args.first, args)
        if r is None:
            print("no difference")
            return
        show(shrink(args.first, args, r) if args.shrink else r, sys.stdout)
        return
    os.makedirs(args.out, exist_ok=True)
    n = 0
    with multiprocessing.Pool(args.jobs, maxtasksperchild=20) as pool:
        for line in pool.imap_unordered(worker, [(s, args) for s in range(args.first, args.first + args.seeds)]):
            if line:
                n += 1
                print(line, flush=True)
    print("%d conversations, %d differ" % (args.seeds, n))


if __name__ == "__main__":
    main()
