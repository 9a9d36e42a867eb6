#!/usr/bin/env python3
"""Writes down what a stack answers: a script without its outgoing half becomes a whole one.

    sudo tests/packetdrill/record.py --kernel SCENARIO          as Linux answers
    tests/packetdrill/record.py --library LIBRARY SCENARIO      as berth answers: compare the two with diff

A scenario is a script of pdrill.py with calls and packets in alone; a line "TIME ? NAME..." stands for tcp_info (without tcpi_). Times
are taken exactly, whatever the answers took. The results of calls are written down, too, so "= ?" may stand for them.
What comes out is a beginning: times are as they were on this machine, in hundredths of a second, and want to be judged.
"""
import argparse
import ctypes as C
import errno
import re
import sys

import kernel
import pdrill


class Echoes(dict):
    """What may be echoed: any timestamp, counted from the first one, which a scenario calls 100."""

    def __init__(self, recorder):
        super().__init__()
        self.recorder = recorder

    def __contains__(self, value):
        return self.recorder.ts_base is not None

    def __getitem__(self, value):
        return self.recorder.ts_base + value


class Recorder(pdrill.Script):
    def __init__(self, lib, path, args):
        super().__init__(lib, path, args, args.v6)
        self.out = sys.stdout
        self.args = args
        self.ts_seen = Echoes(self)
        self.recording = True

    def drain(self):
        """What has left since, with the time that has gone by since the event before."""
        for p, at in self.sent():
            if not self.args.ts:
                p.options = [("TS", 100, o[2]) if o[0] == "TS" else o for o in p.options]
            if not self.args.win and not p.flags & 2:
                p.win = None
            later = at - self.event_at
            text = p.text()
            ecn = {0: "", 1: "[ect1] ", 2: "[ect0] ", 3: "[ce] "}[p.ecn] if p.ecn else ""
            if p.flags & 16 == 0:
                text = text.replace(" ack %d" % p.ack, "")
            delta = 0 if later < self.args.zero else round(later, 2)
            self.out.write("%s > %s%s\n" % ("+0" if delta == 0 else ("+%.2f" % delta).replace("+0.", "+."), ecn, text))
            if delta:
                self.event_at = at

    def record_call(self, text):
        m = re.match(r"^(\w+)\((.*)\)\s*=\s*(\S+)(.*)$", text, re.S)
        name, args = m.group(1), pdrill.Args(m.group(2) + "\n)").values(")")
        if args and isinstance(args[0], int):
            self.last_fd = args[0]
        self.shown = None
        r, e = self.call_value(name, args)
        want = m.group(3)
        if name in ("socket", "accept", "epoll_create") and r >= 0:
            self.fds[int(want, 0)] = r
            self.last_fd = int(want, 0)
            r = int(want, 0)
        if self.shown is not None and r == 0:
            m2 = re.sub(r"\.\.\.|\[0\]", "[%d]" % self.shown, m.group(2), count=1)
            return "%s(%s) = %d" % (name, m2, r)
        return "%s(%s) = %d%s" % (name, m.group(2), r, " " + errno.errorcode.get(e, str(e)) if r < 0 else "")

    def info(self, names):
        b, n = C.create_string_buffer(400), C.c_uint(400)
        self.lib.call("getsockopt", self.fd(self.last_fd), 6, 11, C.cast(b, C.c_void_p), C.cast(C.byref(n), C.c_void_p), result=C.c_int)
        v = self.info_names(b.raw)
        return "%%{ assert %s }%%" % " and ".join("tcpi_%s == %d" % (x, v["tcpi_" + x]) for x in names)

    def run(self):
        with open(self.path, encoding="utf-8") as f:
            text = f.read()
        for line in text.split("\n"):
            if line.startswith(("//", "--")):
                self.out.write(line + "\n")
        self.start = self.event_at = self.lib.now()
        due = self.start
        for self.line, text in self.events(text):
            word, what = re.match(r"^(\S+)\s+(.*)$", text, re.S).groups()
            due += float(word.lstrip("+"))
            self.wait_until(due)
            self.drain()
            shown = max(0, round(due - self.event_at, 3))
            self.event_at = due if due > self.event_at else self.event_at
            word = ("+%g" % shown).replace("+0.", "+.")
            if what.startswith("<"):
                self.do_in(what[1:].strip())
            elif what.startswith("?"):
                what = self.info(what[1:].split())
            else:
                what = self.record_call(what)
            self.out.write("%s %s\n" % (word, what))
            if isinstance(self.lib, kernel.Kernel):
                self.lib.sleep(self.args.zero / 3)
            self.drain()
        self.wait_until(self.lib.now() + self.args.tail)
        self.drain()


def main():
    p = argparse.ArgumentParser(description="write down what a stack answers to a scenario")
    p.add_argument("--kernel", action="store_true")
    p.add_argument("--library")
    p.add_argument("--win", action="store_true", help="windows, too")
    p.add_argument("--ts", action="store_true", help="the values of timestamps, too")
    p.add_argument("--v6", action="store_true")
    p.add_argument("--mapped", action="store_true")
    p.add_argument("--zero", type=float, default=0.006, help="what comes within this time counts as at once [0.006 s]")
    p.add_argument("--tail", type=float, default=0, help="seconds to look on after the last line [0]")
    p.add_argument("scenario")
    args = p.parse_args()
    args.tolerance, args.verbose = 0, False
    with open(args.scenario, encoding="utf-8") as f:
        m = re.search(r"^--so_flags=(\S+)", f.read(), re.M)
    flags = ",".join(x for x in ("nosysctl,gso,patience=0" if not args.kernel else "", "mtu=1520" if args.v6 else "", m.group(1) if m else "") if x)
    lib = kernel.Kernel(flags) if args.kernel else pdrill.Library(args.library, flags)
    r = Recorder(lib, args.scenario, args)
    try:
        r.run()
        r.finish()
    except pdrill.Failed as e:
        sys.exit(str(e))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
