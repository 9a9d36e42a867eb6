#!/usr/bin/env python3
"""tests/stack/echo_tun.py EXAMPLE: the example on a TUN device, with this kernel at the other end, in a network namespace of its own.

Exit code 77: no namespace or no TUN device to be had here.
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

example = os.path.realpath(sys.argv[1])


def skip(why):
    print(f"skip: {why}")
    sys.exit(77)


def sh(command):
    return subprocess.run(command.split(), capture_output=True, text=True)


if len(sys.argv) == 2:
    if not shutil.which("unshare") or not shutil.which("ip"):
        skip("no unshare or no ip")
    how = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    if subprocess.run([*how, "true"], capture_output=True).returncode != 0:
        skip("no network namespace for us")
    sys.exit(subprocess.run([*how, sys.executable, __file__, example, "inside"], timeout=100).returncode)

r = sh("ip tuntap add dev t0 mode tun")
if r.returncode != 0:
    skip(f"no TUN device: {r.stderr.strip()}")
for command in ("ip address add 10.9.0.1/24 dev t0", "ip link set t0 up", "ip link set lo up"):
    if sh(command).returncode != 0:
        skip(command)
server = subprocess.Popen([example, "t0", "10.9.0.2", "7"], stdout=subprocess.PIPE, text=True)
failed = 0


def check(what, good):
    global failed
    failed += not good
    print(f"{'ok' if good else 'FAIL'}: {what}")


def echo(data, step, host="10.9.0.2"):
    """What comes back of data, sent in pieces of step, then ended."""
    s = socket.create_connection((host, 7), 20)
    s.settimeout(40)

    def say():
        for at in range(0, len(data), step):
            s.sendall(data[at:at + step])
        s.shutdown(socket.SHUT_WR)

    t = threading.Thread(target=say)
    t.start()
    got = b""
    while True:
        more = s.recv(65536)
        if not more:
            break
        got += more
    t.join()
    s.close()
    return got


try:
    check("the server says where it is", server.stdout.readline() == "echo on 10.9.0.2 port 7\n")
    data = bytes(i * 7 % 251 for i in range(1 << 20))
    check("a mebibyte comes back", echo(data, 1 << 20) == data)
    check("many small pieces come back", echo(data[:50000], 100) == data[:50000])
    check("nothing, ended, is answered with an end", echo(b"", 1) == b"")
    got = [None] * 8
    threads = [threading.Thread(target=lambda i=i: got.__setitem__(i, echo(data[i:i + 100000], 1 << 16))) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check("eight at a time", all(got[i] == data[i:i + 100000] for i in range(8)))
    try:
        socket.create_connection(("10.9.0.2", 8), 20).close()
        check("a port that nobody has refuses", False)
    except ConnectionRefusedError:
        check("a port that nobody has refuses", True)
    time.sleep(0.05)
    check("the server lives", server.poll() is None)
finally:
    server.kill()
    server.wait()

# IPv6, and what passes in a file
if sh("ip -6 address add fd09::1/64 dev t0 nodad").returncode != 0:
    print("no IPv6 here")
    sys.exit(1 if failed else 0)
with tempfile.NamedTemporaryFile() as f:
    server = subprocess.Popen([example, "t0", "fd09::2", "7", f.name], stdout=subprocess.PIPE, text=True)
    try:
        check("over IPv6 it says where it is", server.stdout.readline() == "echo on fd09::2 port 7\n")
        data = bytes(i * 7 % 251 for i in range(100000))
        check("and echoes", echo(data, 1 << 16, "fd09::2") == data)
    finally:
        server.kill()
        server.wait()
    octets = open(f.name, "rb").read()
    at, n_octets, whole = 24, 0, octets[:4] == bytes.fromhex("4d3cb2a1") and octets[20:24] == bytes([101, 0, 0, 0])
    while whole and at < len(octets):
        length = int.from_bytes(octets[at + 8:at + 12], "little")
        packet = octets[at + 16:at + 16 + length]
        whole = len(packet) == length and length >= 20 and packet[0] >> 4 in (4, 6)
        n_octets += length
        at += 16 + length
    check("the capture is packets, both ways", whole and n_octets > 2 * len(data))
sys.exit(1 if failed else 0)
