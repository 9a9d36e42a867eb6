"""tests/packetdrill/kernel.py: the machine's own TCP behind the interface of pdrill.Library, as the oracle for scripts.

    sudo tests/packetdrill/pdrill.py --kernel SCRIPT...

A network namespace of its own with a TUN that takes super-frames (as packetdrill's does: trains are seen as Linux makes them), the settings that scripts of packetdrill's collections begin with, real sockets in real
time. What the kernel does not pass was written wrongly; what it passes and berth does not is berth's to mend or to list.
Times are as good as the machine is idle, so make test does not run this.
"""
import ctypes as C
import fcntl
import os
import struct
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 1, 0x1000, 0x4000
TUNSETOFFLOAD, TUN_F_CSUM, TUN_F_TSO = 0x400454d0, 1, 2 | 4 | 8
VNET_HDR = 10
SETTINGS = {"net.ipv4.tcp_rmem": "4096 540000 15728640", "net.ipv4.tcp_wmem": "4096 262144 4194304", "net.ipv4.tcp_timestamps": "1",
            "net.ipv4.tcp_ecn": "0", "net.ipv4.tcp_no_metrics_save": "1",
            "net.ipv4.tcp_slow_start_after_idle": "0", "net.ipv4.tcp_syn_linear_timeouts": "0", "net.ipv4.tcp_invalid_ratelimit": "0", "net.ipv4.tcp_syncookies": "1"}
PRESETS = {"ecn": "net.ipv4.tcp_ecn", "cookies": "net.ipv4.tcp_syncookies", "timestamps": "net.ipv4.tcp_timestamps",
           "sack": "net.ipv4.tcp_sack", "wscale": "net.ipv4.tcp_window_scaling", "synlinear": "net.ipv4.tcp_syn_linear_timeouts", "train": "net.ipv4.tcp_min_tso_segs",
           "idle": "net.ipv4.tcp_slow_start_after_idle"}
LIBC = C.CDLL(None, use_errno=True)


def sysctl(name, value):
    with open("/proc/sys/" + name.replace(".", "/"), "w") as f:
        f.write(value)


class Kernel:
    def __init__(self, flags):
        mtu, self.congestion = "1500", b"cubic"
        if LIBC.unshare(CLONE_NEWNET) != 0:
            raise OSError("unshare: a network namespace needs root")
        for name, value in SETTINGS.items():
            try:
                sysctl(name, value)
            except OSError:
                pass  # not per namespace on this kernel
        for flag in flags.split(","):
            name, _, value = flag.partition("=")
            if name == "mtu":
                mtu = value
            elif name == "cc":
                self.congestion = b"reno" if value == "0" else b"cubic"
            elif name in PRESETS:
                sysctl(PRESETS[name], value)
        self.tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
        fcntl.ioctl(self.tun, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO)
        sysctl("net.ipv6.conf.tun0.accept_dad", "0")
        for command in ("link set lo up", "link set tun0 mtu %s up" % mtu, "addr add 192.168.0.1/16 dev tun0",
                        "addr add fd3d:0a0b:17d6::1/48 dev tun0 nodad", "route add default dev tun0", "-6 route add default dev tun0"):
            subprocess.run(["ip"] + command.split(), check=True)
        self.packets, self.lock = [], threading.Condition()
        threading.Thread(target=self.reader, daemon=True).start()

    def reader(self):
        while True:
            data = os.read(self.tun, 65600 + VNET_HDR)[VNET_HDR:]
            proto = data[9] if data[0] >> 4 == 4 else data[6]
            if proto != 6:
                continue  # router solicitations and the like
            with self.lock:
                self.packets.append((time.time(), data))
                self.lock.notify()

    def now(self):
        return time.time()

    def sleep(self, seconds):
        if seconds > 0:
            time.sleep(seconds)

    def call(self, name, *args, result=C.c_ssize_t):
        if name == "netdev_send":
            os.write(self.tun, bytes(VNET_HDR) + C.string_at(args[0], args[1]))
            return 0, 0
        if name == "netdev_receive":
            with self.lock:
                if not self.packets:
                    self.lock.wait(10)
                at, data = self.packets.pop(0) if self.packets else (time.time(), b"")
            C.memmove(args[0], data, len(data))
            C.cast(args[1], C.POINTER(C.c_size_t))[0] = len(data)
            C.cast(args[2], C.POINTER(C.c_longlong))[0] = int(at * 1e6)
            return 0, 0
        f = getattr(LIBC, name)
        f.restype = result
        C.set_errno(0)
        r = f(*[C.c_ssize_t(a) if isinstance(a, int) else a for a in args])
        e = C.get_errno()
        # A socket's, which those that it accepts inherit: the namespace may not choose cubic where it is not allowed to all.
        if name == "socket" and r >= 0 and args[1] & 15 == 1 and LIBC.setsockopt(r, 6, 13, self.congestion, len(self.congestion)) != 0:
            raise OSError(C.get_errno(), "TCP_CONGESTION %r" % self.congestion)
        return r, e
