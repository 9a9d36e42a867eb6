"""Bulk transfers of checked octets: both directions, both sides opening, both families, each kind of device."""
from peer import FAMILY, ECHO, V4, V6, Servers, World, expect, four_ways, k_echo, row

MIB = 1 << 20
# name, flags of the driver, MTU, octets
DEVICES = (
    ("TAP, offloads, MTU 1500", (), 1500, 8 * MIB + 1),
    ("TAP, no offloads, MTU 1500", ("--no-offload",), 1500, 4 * MIB + 3),
    ("TAP, no offloads, MTU 1280", ("--no-offload",), 1280, 2 * MIB + 5),
    ("TAP, offloads, MTU 9000", (), 9000, 8 * MIB + 7),
    ("TAP, no offloads, MTU 65521", ("--no-offload",), 65521, 8 * MIB + 9),  # the most a TAP has
    ("TUN, offloads, MTU 1280", ("--tun",), 1280, 8 * MIB + 11),
    ("TUN, no offloads, MTU 1500", ("--tun", "--no-offload"), 1500, 4 * MIB + 13),
    ("TUN, offloads, MTU 65535", ("--tun",), 65535, 8 * MIB + 15),
    ("TUN, no offloads, MTU 65535", ("--tun", "--no-offload"), 65535, 8 * MIB + 17),
    ("TAP, offloads, rings of 4 MiB", ("--ring", str(4 * MIB)), 1500, 32 * MIB),
    ("TAP, offloads, rings of 4 KiB", ("--ring", "4096"), 1500, 256 * 1024),
)


def sound(w):
    """On a clean device nothing is malformed, refused or damaged."""
    w.is_quiet()
    for name in ("dropped_malformed", "dropped_checksum", "bad_header", "write_failed", "errors", "tcp_rto", "tcp_aborts"):
        expect(name, w.since(name), 0)


def run(exe):
    servers = Servers()
    for name, flags, mtu, n in DEVICES:
        w = World(exe, *flags, mtu=mtu)
        for family in (V4, V6):
            f = FAMILY[family]
            four_ways(name, w, family, n)
            row(f"{name}: {f}, an echo in the stack, both ways at once", k_echo, family, n // 2)
            row(f"{name}: {f}, an echo in the kernel, both ways at once", w.client, "echo", family, ECHO, n // 2)
        row(f"{name}: the kernel's servers saw nothing wrong", servers.is_quiet)
        row(f"{name}: the stack is sound, and gave everything back", sound, w)
        row(f"{name}: the driver ends", w.close)
