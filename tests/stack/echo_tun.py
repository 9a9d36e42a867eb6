#!/usr/bin/env python3
"""tests/stack/echo_tun.py EXAMPLE: the example on a TUN device, with this kernel at the other end, in a network namespace of its own.

Exit code 77: no namespace or no TUN device to be had here.
"""
import os
import shutil
import socket
import subprocess
import sys
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


def echo(data, step):
    """What comes back of data, sent in pieces of step, then ended."""
    s = socket.create_connection(("10.9.0.2", 7), 20)
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
sys.exit(1 if failed else 0)
