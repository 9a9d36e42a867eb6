"""Programs that people use on networks, against the stack: ping, traceroute, nmap, iperf3, curl; and tshark reads what was captured."""
import json
import os
import re
import shutil
import subprocess

import peer
from peer import (ECHO, FAMILY, FOLDER, PATTERN, SINK, SOURCE, STACK, V4, V6, Failed, Servers, SkipRow, World, connect, expect, k_echo, k_fetch,
                  k_reset, k_send, row, s_reset, sh)
from rows_manners import Beyond, all_at_once, refused_by_stack, udp_refused, udp_sizes

MIB = 1 << 20
OPEN = (7, 9, 10, 13, 19, 80)


def need(program, package=None):
    if not shutil.which(program):
        raise SkipRow(f"{program} is not installed (apt-get install {package or program})")


def ping(family, size, *flags):
    need("ping", "iputils-ping")
    out = sh("ping", "-6" if family == V6 else "-4", "-c", "3", "-i", "0.02", "-W", "10", "-s", str(size), *flags, STACK[family])
    expect("answers", re.search(r"(\d+) received", out).group(1), "3")
    if "wrong data byte" in out:
        raise Failed(out)


def traceroute(family, *flags):
    """One hop, and it is the stack."""
    need("traceroute")
    out = sh("traceroute", "-n", "-q", "2", "-m", "4", "-w", "5", "-6" if family == V6 else "-4", *flags, STACK[family])
    hops = out.splitlines()[1:]
    if len(hops) != 1 or STACK[family] not in hops[0]:
        raise Failed(out)


def traceroute_far(b, family):
    """From behind a router: two hops."""
    need("traceroute")

    def there():
        out = sh("traceroute", "-n", "-q", "2", "-m", "4", "-w", "5", "-6" if family == V6 else "-4", STACK[family])
        hops = out.splitlines()[1:]
        if len(hops) != 2 or STACK[family] not in hops[1]:
            raise Failed(out)

    b.do(there)


def nmap(w, family, wanted, *flags):
    """It scans what it likes; then the stack still serves, and every invariant holds."""
    out = scan(family, *flags)
    for port in wanted:
        if not re.search(rf"^{port}/tcp +open", out, re.M):
            raise Failed(f"port {port} was not found open:\n{out}")
    k_send(family, 1000)
    expect("berth_stack_check()", w.ask("check"), "ok")


def scan(family, *flags):
    need("nmap")
    v6 = ["-6"] if family == V6 else []
    return sh("nmap", *v6, "-n", "-Pn", "-T5", "--max-retries", "1", "--host-timeout", "25s", *flags, STACK[family], timeout=100)


def nmap_protocols(w, family):
    """Every number of a protocol: what is there answers; what is not is refused, by ICMP errors, of which there are only so many a second."""
    out = scan(family, "-sO", "-p", "0-255")
    for number in (6, 58 if family == V6 else 1):
        if not re.search(rf"^{number} +open ", out, re.M):
            raise Failed(f"protocol {number} was not found:\n{out}")
    refused = re.search(r"(\d+) closed n/a protocols", out)
    if not refused or int(refused.group(1)) < 10:
        raise Failed(f"next to no protocol was refused:\n{out}")
    k_send(family, 1000)
    expect("berth_stack_check()", w.ask("check"), "ok")


def iperf3(family, *flags, least=1):
    need("iperf3")
    out = sh("iperf3", "-J", "-t", "1", "--connect-timeout", "10000", "-6" if family == V6 else "-4", *flags, "-c", STACK[family])
    r = json.loads(out)
    if "error" in r:
        raise Failed(r["error"])
    octets = r["end"]["sum_received"]["bytes"]
    if octets < least:
        raise Failed(f"{octets} octets")
    return f"{r['end']['sum_received']['bits_per_second'] / 1e9:.2f} Gbit/s"


def curl(family):
    need("curl")
    host = f"[{STACK[family]}]" if family == V6 else STACK[family]
    sizes = (0, 1, 70000, 3 * MIB)
    files = [os.path.join(FOLDER, f"curl-{n}") for n in sizes]
    argv = ["curl", "-sS", "-g", "--max-time", "50"]
    for n, f in zip(sizes, files):
        argv += [f"http://{host}/{n}", "-o", f]
    sh(*argv)
    for n, f in zip(sizes, files):
        with open(f, "rb") as r:
            data = r.read()
        expect(f"the file of {n} octets is right", data == peer.LOOKUP[:n] if n <= len(peer.LOOKUP) else data == (PATTERN * 4)[:n], True)


def tshark(path, *flags):
    """Errors that Wireshark's experts name: malformed packets, checksums that do not hold, options that cannot be."""
    need("tshark")

    def ask(what):
        r = subprocess.run(["tshark", "-n", *flags, "-r", path, "-Y", what, "-T", "fields", "-e", "frame.number", "-e", "_ws.col.Protocol",
                            "-e", "_ws.col.Info", "-e", "_ws.expert.message"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           timeout=peer.LONG)
        if r.returncode != 0:
            raise Failed(r.stderr)
        return r.stdout.splitlines()

    n = len(ask("frame"))
    if n < 100:
        raise Failed(f"only {n} frames were captured")
    expect("errors", ask("_ws.expert.severity == error || _ws.malformed")[:20], [])
    if flags:  # with offloads they cannot hold; without, that they were looked at
        for what, least in (("ip", 100), ("tcp", 1000), ("udp", 4)):
            good = len(ask(f"{what}.checksum.status == Good"))
            if good < least:
                raise Failed(f"only {good} checksums of {what} were verified")
    return f"{n} frames,"


def captured(exe, servers, name, flags, tshark_flags, faults=None):
    path = os.path.join(FOLDER, re.sub(r"\W+", "-", name) + ".pcapng")
    w = World(exe, *flags, pcap=path, faults=faults)
    for family in (V4, V6):
        k_send(family, MIB // 2)
        k_fetch(family, MIB // 2, 1000)
        w.client("send", family, SINK, MIB // 2)
        w.client("fetch", family, SOURCE, MIB // 2)
        k_echo(family, 10000)
        all_at_once(family, 20)
        refused_by_stack(family)
        if not faults:
            udp_sizes(family, 65000)
            k_reset(family, 10000)
            s_reset(family)
            udp_refused(family)
    servers.is_quiet()
    w.close()
    return tshark(path, *tshark_flags)


CHECKSUMS = [a for p in ("ip", "tcp", "udp") for a in ("-o", f"{p}.check_checksum:TRUE")]


def run(exe):
    servers = Servers()
    w = World(exe)
    for family in (V4, V6):
        f = FAMILY[family]
        for size in (0, 56, 1452 if family == V6 else 1472, 1473, 8000, 65507 if family == V4 else 65527):
            row(f"ping: {f}, {size} octets", ping, family, size)
        row(f"ping: {f}, may not be fragmented", ping, family, 1400, "-M", "do")
        for name, flags in (("UDP", ()), ("ICMP", ("-I",)), ("TCP", ("-T", "-p", "80"))):
            row(f"traceroute: {f} by {name}", traceroute, family, *flags)
        row(f"curl: {f}, files on one connection", curl, family)
        row(f"iperf3: {f}, to the stack", iperf3, family)
        row(f"iperf3: {f}, from the stack", iperf3, family, "-R")
        row(f"iperf3: {f}, four streams to the stack", iperf3, family, "-P", "4")
        row(f"iperf3: {f}, four streams from the stack", iperf3, family, "-P", "4", "-R")
        row(f"nmap: {f}, half-open scan of ports 1 to 3000", nmap, w, family, OPEN, "-sS", "-p", "1-3000")
        row(f"nmap: {f}, whole connections", nmap, w, family, OPEN, "-sT", "-p", "1-500")
        for scan in ("-sF", "-sX", "-sN", "-sA", "-sW", "-sM"):
            row(f"nmap: {f}, scan {scan}", nmap, w, family, (), scan, "-p", "1-200")
        row(f"nmap: {f}, UDP ports", nmap, w, family, (), "-sU", "-p", "1-30")
        row(f"nmap: {f}, IP protocols", nmap_protocols, w, family)
        row(f"nmap: {f}, the probes that tell systems apart", nmap, w, family, (), "-O", "--max-os-tries", "1", "-p", "7,80,81")
        row(f"nmap: {f}, in fragments, with bad checksums", nmap, w, family, (), *(("-f",) if family == V4 else ()), "-sS", "--badsum", "-p", "1-100")
    row("after all that the stack is sound, and gave everything back", w.is_quiet)
    b = Beyond()
    for family in (V4, V6):
        row(f"traceroute: {FAMILY[family]} through a router", traceroute_far, b, family)
    b.close()
    w.close()
    row("tshark finds no error: no offloads", captured, exe, servers, "none", ("--no-offload",), CHECKSUMS)
    row("tshark finds no error: offloads", captured, exe, servers, "offloads", (), [])
    row("tshark finds no error: loss and reordering", captured, exe, servers, "faults", (), CHECKSUMS,
        "loss=10000 delay_us=500 reorder=10000 reorder_us=2000 dup=10000")
