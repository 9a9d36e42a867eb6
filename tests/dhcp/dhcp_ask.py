#!/usr/bin/env python3
"""tests/dhcp/dhcp_ask.py EXAMPLE: the example asks dnsmasq over a veth pair, in a network namespace of its own (root).

Exit code 77: no namespace, no veth or no dnsmasq here.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

example = os.path.realpath(sys.argv[1])


def skip(why):
    print(f"skip: {why}")
    sys.exit(77)


if len(sys.argv) == 2:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip") or not shutil.which("dnsmasq"):
        skip("needs root, unshare, ip and dnsmasq")
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode != 0:
        skip("no network namespace for us")
    sys.exit(subprocess.run(["unshare", "-n", sys.executable, __file__, example, "inside"], timeout=150).returncode)

# The client's end is in a second namespace: it must have no address of the server's side to send from.
there = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
there.stdout.readline()
inside = ["nsenter", "-t", str(there.pid), "-n"]
for command in (f"ip link add s0 type veth peer name c0 netns {there.pid}", "ip address add 10.78.0.1/24 dev s0", "ip link set s0 up",
                f"{' '.join(inside)} ip link set c0 up",
                f"{' '.join(inside)} sysctl -q net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.c0.rp_filter=0"):
    r = subprocess.run(command.split(), capture_output=True, text=True)
    if r.returncode != 0:
        there.kill()
        skip(f"{command}: {r.stderr.strip()}")
failed = 0


def check(what, good):
    global failed
    failed += not good
    print(f"{'ok' if good else 'FAIL'}: {what}")


with tempfile.TemporaryDirectory() as folder:
    leases = os.path.join(folder, "leases")
    server = subprocess.Popen(["dnsmasq", "--keep-in-foreground", "--port=0", "--interface=s0", "--bind-interfaces", "--no-ping", "--user=root",
                               "--conf-file=/dev/null", f"--pid-file={folder}/pid", f"--dhcp-leasefile={leases}",
                               "--dhcp-range=10.78.0.50,10.78.0.60,255.255.255.0,1h", "--dhcp-option=3,10.78.0.1",
                               "--dhcp-option=6,10.78.0.9", "--domain=test.example"], stderr=subprocess.DEVNULL)
    try:
        r = subprocess.run([*inside, example, "c0"], capture_output=True, text=True, timeout=100)
        said = r.stdout.splitlines()
        print(r.stdout, r.stderr)
        check("it got an address of the range", r.returncode == 0 and said[0] in [f"address 10.78.0.{n}/24" for n in range(50, 61)])
        for line in ("server 10.78.0.1", "router 10.78.0.1", "name server 10.78.0.9", "domain test.example", "seconds 3600"):
            check(line, line in said)
        for _ in range(100):  # given back: the server has forgotten it, sooner or later
            with open(leases, encoding="ascii") as f:
                left = f.read()
            if "10.78.0." not in left:
                break
            time.sleep(0.1)
        check("and gave it back", "10.78.0." not in left)
        r = subprocess.run([*inside, example, "no-such"], capture_output=True, text=True, timeout=100)
        check("an interface that is not there is an error", r.returncode == 2)
    finally:
        for p in (server, there):
            p.kill()
            p.wait()
sys.exit(1 if failed else 0)
