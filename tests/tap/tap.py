#!/usr/bin/env python3
"""tests/tap/tap.py: the stack against Linux, over a TAP or TUN (tests/tap/driver.c).

    tap.py DRIVER GROUP [WORD...]        only rows whose name has one of the words

Groups: transfer (MTUs, offloads), manners (closes, resets, windows, many connections, UDP), faults (loss, delay, reordering,
duplication), tools (ping, traceroute, nmap, iperf3, curl, tshark), groups (what IGMPv3 and MLDv2 say of source filters).
"""
import os
import sys

sys.dont_write_bytecode = True  # this is a folder of sources

import peer  # noqa: E402

GROUPS = ("transfer", "manners", "faults", "tools", "groups")


def main():
    if len(sys.argv) < 3 or sys.argv[2] not in GROUPS:
        sys.exit(__doc__)
    peer.only += sys.argv[3:]
    peer.enter_namespace()
    group = __import__("rows_" + sys.argv[2])
    group.run(os.path.abspath(sys.argv[1]))
    peer.finish()


if __name__ == "__main__":
    main()
