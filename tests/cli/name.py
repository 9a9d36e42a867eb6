#!/usr/bin/env python3
"""tests/cli/name.py BERTH HOLDER: "in use here?" of `berth name`: networks, and a machine of its own; narrow and wide terminals.

Runs itself again in a network namespace, where nobody but this test has ports.
"""
import fcntl
import json
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import sys
import termios

from alone import BERTH, HOLDER, check, env, failed, scratch

holders = []


def berth(*argv):
    r = subprocess.run([BERTH, *argv], stdin=subprocess.DEVNULL, capture_output=True, env=env, timeout=60, check=False, text=True)
    check(f"{' '.join(argv)}: nothing is complained about", r.stderr == "", r.stderr)
    return r.stdout


def use(name, port, proto):
    for row in json.loads(berth("name", "--json", name)):
        if (row["port"], row["proto"]) == (port, proto):
            return row["in_use"]
    return None


def hold(network, host, *what):
    p = subprocess.Popen([BERTH, "run", "-n", network, "-H", host, "--", HOLDER, *what], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, env=env)
    line = p.stdout.readline()
    check(f"{host} of {network} holds {what[1]}", b"ready" in line, line)
    holders.append(p)


def here(text, port, name):
    """What the table says in its third column."""
    lines = text.splitlines()
    at, end = lines[0].index("IN USE HERE"), lines[0].index("DESCRIPTION")
    for line in lines[1:]:
        if line.split()[:2] == [port, name]:
            return line[at:end].strip()
    return None


try:
    check("nobody uses it", here(berth("name", "80"), "80/tcp", "http") == "-", berth("name", "80"))
    listener = socket.create_server(("127.0.0.1", 80))
    six = socket.create_server(("::1", 443), family=socket.AF_INET6)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("0.0.0.0", 53))
    client = socket.create_connection(("127.0.0.1", 80))
    me = open("/proc/self/comm", encoding="utf-8").read().strip()
    check("who listens on the machine", here(berth("name", "80"), "80/tcp", "http") == f"machine ({me})", berth("name", "80"))
    row = use("80/tcp", 80, "tcp")
    check("as JSON", row == [{"network": None, "host": None, "port": 80, "address": "127.0.0.1", "program": me, "pid": os.getpid()}], row)
    check("over IPv6", [u["address"] for u in use("https", 443, "tcp")] == ["::1"], use("https", 443, "tcp"))
    check("a UDP socket", len(use("53", 53, "udp")) == 1 and use("53", 53, "tcp") == [], use("53", 53, "udp"))
    check("a client's port is not in use",
          here(berth("name", f"{client.getsockname()[1]}"), "x", "x") is None
          if "IN USE" in berth("name", f"{client.getsockname()[1]}") else "in use here" not in berth("name", f"{client.getsockname()[1]}"))
    nameless = socket.create_server(("127.0.0.1", 5199))
    check("a port without a name is said to be used", f"in use here: machine ({me})" in berth("name", "5199"), berth("name", "5199"))
    hold("default", "web", "0.0.0.0", "80")
    hold("lab", "site", "0.0.0.0", "80")
    check("hosts of all networks, and the machine", here(berth("name", "80"), "80/tcp", "http") ==
          f"web (cli-holder), lab/site (cli-holder), machine ({me})", berth("name", "80"))
    check("of one network alone", here(berth("name", "80", "-n", "lab"), "80/tcp", "http") == "site (cli-holder)", berth("name", "80", "-n", "lab"))

    # --- on terminals ---
    for columns in (30, 40, 60, 80, 100, 200):
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        p = subprocess.Popen([BERTH, "name", "80", "8080", "domain"], stdin=child, stdout=child, stderr=child,
                             env={**env, "TERM": "xterm", "NO_COLOR": ""})
        os.close(child)
        out = b""
        while True:
            try:
                block = os.read(parent, 65536)
            except OSError:
                break
            if not block:
                break
            out += block
        p.wait()
        os.close(parent)
        text = out.decode()
        lines = [re.sub("\x1b\\[[0-9]*m", "", x) for x in text.replace("\r", "").splitlines()]
        table = [x for x in lines if re.match(r"[0-9]+/|PORT", x)]
        widest = max(map(len, table))
        check(f"{columns} columns: nothing wraps", widest <= columns, f"{widest}\n{text}")
        check(f"{columns} columns: names are whole", any("www-http" in x for x in table) and any("domain" in x for x in table), text)
        check(f"{columns} columns: the titles are bold", "\x1b[1m" in text)
        if columns >= 80:
            check(f"{columns} columns: descriptions are there", any("World" in x for x in table), text)
finally:
    for p in holders:
        p.stdin.close()
        p.wait(20)
    shutil.rmtree(scratch)
sys.exit(failed() != 0)
