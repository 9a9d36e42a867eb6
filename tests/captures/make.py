#!/usr/bin/env python3
"""Makes the captures of this folder: what attackers send in published attacks, one file for each.

    make.py            write them
    make.py --check    they are as this program makes them, and (where it is installed) tshark reads each

README.md says how to add one. The numbers of a live connection, which an attacker who sees it would know, are left to the player.
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

from wire import *  # noqa: F403: all of it is for here

HERE = os.path.dirname(os.path.abspath(__file__))
CAPTURES = {}
N_PACKETS = 0


def capture(name, items, title, published, frames, answers=(0, 0), counters="", limits="", link="ip", family=4, serve="none", heard=None,
            numbers=False, interface=None):
    """frames: (time in ms, Frame, what it is). The rest is judged by play.c."""
    lines = [f"items: {items}", f"attack: {title}", f"published: {published}", f"link: {link}", f"family: {family}", f"serve: {serve}",
             f"answers: {answers[0]} to {answers[1]}"]
    lines += [f"{k}: {v}" for k, v in (("counters", counters), ("limits", limits), ("heard", heard), ("interface", interface)) if v is not None and v != ""]
    if numbers:
        lines.append("numbers: unpredictable")
    packets = []
    for at, f, text in sorted(frames, key=lambda x: x[0]):
        note = text + ("\n@ " + " ".join(f.marks) if f.marks else "")
        packets.append((int(at * 1000000), f.data, note))
    global N_PACKETS
    N_PACKETS += len(packets)
    assert name not in CAPTURES
    CAPTURES[name] = pcapng("\n".join(lines) + "\n", 1 if link == "ethernet" else 101, packets)


def call(port, options=b"", wnd=65535, v6=False, at=0, src=None, then=None):
    """An attacker's own connection: the handshake. Its numbers begin with 1000; the victim's with whatever its SYN-ACK says."""
    return [(at, tcp(port, 80, 1000, 0, SYN, wnd, mss(1460) + options if not options.startswith(b"\2") else options, v6=v6, src=src), "SYN of a stranger"),
            (at + 20, mine(port, 1001, wnd=wnd if then is None else then, v6=v6, src=src), "and his ACK: the connection is his own")]


def mine(port, seq, ack=1, flags=ACK, **more):
    return tcp(port, 80, seq, ack, flags, **more).live("ack", f"iss{port}")


def polite(seq=0, ack=0, flags=ACK, v6=False, base="rcv_nxt", **more):
    """A segment in the friend's name, at its place in the polite connection."""
    src, dst = (FRIEND6, VICTIM6) if v6 else (FRIEND4, VICTIM4)
    return tcp(40000, 80, seq, ack, flags, v6=v6, src=src, dst=dst, **more).live("seq", base).live("ack", "una")


def fragment6(at, more, ident, nxt, data, src=ATTACKER6, **ip):
    head = struct.pack(">BBHI", nxt, 0, at | more, ident)
    return ip6(data, src=src, first=44, extensions=head, **ip)


# --- S1: lengths ---

def s1():
    whole = tcp(5000, 80, flags=SYN)
    capture("s1-lengths4", "S1", "IPv4 and transport lengths that are not those of the frame",
            "CVE-2020-11896, CVE-2020-11909 (Ripple20); CVE-2020-13987 (AMNESIA:33); CVE-2021-31345, CVE-2021-31890 (NUCLEUS:13)", [
                (0, ip4(whole.data[20:], total=1500), "total length beyond the frame"),
                (1, ip4(whole.data[20:], total=19), "total length shorter than the header"),
                (2, ip4(b"", total=0), "total length 0"),
                (3, ip4(whole.data[20:32]), "half a TCP header"),
                (4, udp(5000, 53, b"x" * 8, length=4000), "UDP length beyond the packet (CVE-2021-31345)"),
                (5, udp(5000, 53, b"x" * 8, length=7), "UDP length below its header"),
                (6, udp(5000, 53).cut(24), "a UDP header cut by the frame"),
                (7, ip4(b"\x45", proto=17), "one octet of UDP"),
            ], counters="dropped_malformed>=8")
    capture("s1-lengths6", "S1", "IPv6 payload lengths that are not those of the frame", "CVE-2020-17441 (AMNESIA:33); CVE-2020-11899, CVE-2020-11913 (Ripple20)", [
        (0, ip6(b"x" * 20, length=1400), "payload length beyond the frame"),
        (1, icmp6(128, 0, payload=b"x" * 16, length=8 + 400), "an echo request whose length asks for what lies behind it (Heartbleed's way)"),
        (2, ip6(b"", length=0, proto=6), "no payload at all"),
        (3, ip6(b"x" * 7, proto=17), "seven octets of UDP"),
        (4, ip6(b"x" * 39).cut(39), "less than a header"),
        (5, ip6(b"", length=0, first=0), "payload length 0 and hop-by-hop options: a jumbogram without its option (RFC 2675)"),
    ], counters="dropped_malformed>=6", family=6, answers=(0, 2))


# --- S2, S3, S4: options and headers ---

def s2():
    capture("s2-tcp-options", "S2", "TCP options of length 0 and 1, and past the header",
            "CVE-2020-24337, CVE-2020-13988 (AMNESIA:33); CVE-2019-12258, CVE-2019-12260 (URGENT/11)", [
                (0, tcp(5000, 80, flags=SYN, options=b"\2\0\5\xb4"), "SYN: MSS of length 0: a walk that does not go on"),
                (1, tcp(5001, 80, flags=SYN, options=b"\x1e\1\1\1"), "SYN: an unknown option of length 1"),
                (2, tcp(5002, 80, flags=SYN, options=b"\1\1\5\x28"), "SYN: a SACK option of 40 octets, two of which are there"),
                (3, tcp(5003, 80, flags=SYN, options=b"\1\1\1\2"), "SYN: a kind without its length"),
                (4, polite(options=b"\x1d\0\0\0"), "polite connection: TCP-AO of length 0"),
                (5, polite(options=b"\x08\xff" + b"\0" * 8), "polite connection: timestamps of 255 octets"),
            ], counters="dropped_malformed>=6")
    hbh = lambda data, n=0: bytes([6, n]) + data  # noqa: E731
    chain = b"".join(bytes([60, 0, 1, 4, 0, 0, 0, 0]) for _ in range(12)) + bytes([6, 0, 1, 4, 0, 0, 0, 0])
    t = tcp(5000, 80, flags=SYN, v6=True).data[40:]
    capture("s2-ip6-options", "S2 S3", "IPv6 options and extension headers that are walked for ever, or past the end",
            "CVE-2020-17442, CVE-2020-17444, CVE-2020-17445, CVE-2020-13984, CVE-2020-13986 (AMNESIA:33); smoltcp 0.12; contiki-ng#867", [
                (0, ip6(t, first=0, extensions=hbh(b"\x1e\x00\0\0\0\0", 255)), "hop-by-hop options of 2048 octets in a packet of 68"),
                (1, ip6(t, first=0, extensions=hbh(b"\x1e\xff\0\0\0\0")), "an option of 255 octets in a header of 8"),
                (2, ip6(t, first=60, extensions=hbh(b"\1\3\0\0\0\x1e")), "an option's type as the last octet, its length outside"),
                (3, ip6(t, first=60, extensions=chain), "thirteen headers of destination options"),
                (4, ip6(t, first=43, extensions=bytes([6, 2, 0, 1]) + b"\0" * 20), "a routing header of type 0 with a segment left (RFC 5095)"),
                (5, ip6(t, first=60, extensions=bytes([0, 0, 1, 4, 0, 0, 0, 0]) + hbh(b"\1\4\0\0\0\0")), "hop-by-hop options in the middle"),
                (6, ip6(t, first=0, extensions=hbh(b"\xc2\4\xff\xff\xff\xff")), "a jumbo payload option in a packet of 68 (RFC 2675)"),
                (7, ip6(t, first=60, extensions=bytes([6, 0, 0x9e, 4, 0, 0, 0, 0])), "an unknown option that asks for an answer"),
            ], counters="dropped_malformed>=8", limits="tcp_segs_in<=0", family=6, answers=(1, 8))
    capture("s3-header-lengths", "S3", "headers shorter than the least: IHL, data offset", "CVE-2020-17443 (AMNESIA:33); smoltcp 0.13.1; RFC 791, 3.1; RFC 9293, 3.1", [
        (0, ip4(b"\0" * 20, ihl=4), "IHL 4"),
        (1, ip4(b"\0" * 20, ihl=0), "IHL 0"),
        (2, ip4(b"\0" * 20, ihl=15), "IHL 15 in a packet of 40"),
        (3, tcp(5000, 80, flags=SYN, doff=4), "TCP data offset 4"),
        (4, tcp(5001, 80, flags=SYN, doff=0), "TCP data offset 0"),
        (5, tcp(5002, 80, flags=SYN, doff=15), "TCP data offset 60 in a segment of 20"),
        (6, polite(doff=3), "the same in the polite connection"),
    ], counters="dropped_malformed>=6 dropped_checksum>=0")
    capture("s3-icmp6-short", "S3", "an ICMPv6 echo request of less than 8 octets", "CVE-2020-17443 (AMNESIA:33)", [
        (n, over(struct.pack(">BBH", 128, 0, 0) + b"\0" * n, 2, True, None, None, 58, {}), f"{4 + n} octets of ICMPv6") for n in range(4)
    ], counters="icmp_in>=4 icmp_rejected>=4", family=6)
    capture("s4-unknown-headers", "S4", "headers that no stack knows, read as if they were a transport's", "nebula#1840; RFC 4443, 3.4", [
        (0, ip6(t, proto=253), "next header 253 before what looks like a SYN to port 80"),
        (1, ip6(t, first=60, extensions=bytes([135, 0, 1, 4, 0, 0, 0, 0])), "a mobility header behind options"),
        (2, ip6(t, first=51, extensions=bytes([6, 4]) + b"\0" * 22), "an authentication header before a SYN"),
        (3, ip4(t[:20], proto=253), "the same over IPv4: protocol 253"),
    ], counters="dropped_not_ours>=4", limits="tcp_segs_in<=0", family=6, answers=(1, 4))
    capture("s4-headers-split", "S4", "a first fragment that leaves the headers to later ones", "RFC 7112; RFC 8200, 4.5; fragrouter", [
        (0, fragment6(0, 1, 7, 60, bytes([60, 80]) + b"\1\4\0\0\0\0" * 100 + b"\0" * 6), "the chain does not end in the first fragment"),
        (1, fragment6(0, 1, 8, 6, t[:8]), "eight octets of TCP, the rest later"),
        (2, fragment6(8, 0, 8, 6, t[8:]), "the rest"),
    ], counters="dropped_malformed>=2", limits="frag_done<=0 tcp_segs_in<=0", family=6, answers=(0, 3))


# --- S5, S15, S16, S21: who is the peer himself ---

def s5():
    base = 1

    def lie(port, at, *blocks, text, **more):
        f = mine(port, 1001, options=sack(*blocks), **more)
        for i in range(len(blocks)):
            f.live(None, f"iss{port}", f.l4 + 20 + 4 + 8 * i).live(None, f"iss{port}", f.l4 + 20 + 8 + 8 * i)
        return at, f, text

    capture("s5-sack-outside", "S5", "SACK blocks of what was never sent, backwards, and of odd length", "CVE-2021-31889 (NUCLEUS:13); smoltcp 0.13.1", [
        *call(5000, SACK_OK),
        lie(5000, 60, (base + 100000, base + 101460), text="blocks beyond what was sent"),
        lie(5000, 62, (base - 5000, base + 1000), text="from before the first octet into what is in flight"),
        lie(5000, 64, (base + 1460, base + 0x70000000), text="an end two thousand million octets away"),
        lie(5000, 66, (base + 2920, base + 1460), text="left beyond right"),
        (68, mine(5000, 1001, options=b"\1\1\5\x0b" + b"\0" * 9), "a block and an octet (CVE-2021-31889)"),
        (70, mine(5000, 1001, options=b"\1\1\5\x02"), "an option without a block"),
        lie(5000, 72, (base + 0x40000000, base + 0x40000001), (base + 5, base + 6), (base + 0x7fffffff, base + 0x80000001), text="three blocks, one of them an octet"),
    ], counters="tcp_sack_ignored>=4", serve="source 60000", answers=(10, 120))

    # Published: MSS 48 leaves 8 octets of data beside the options; SACKs then make 17 fragments of 32 KB each into one (panic), or a list of
    # thousands (slowness); 48 alone makes 40 times the segments (low MSS).
    eight = mss(48) + SACK_OK + wscale(7) + b"\x08\x0a" + struct.pack(">II", 1, 0)
    capture("s16-sack-panic", "S16", "MSS 48, and SACK of every second segment: retransmissions that no longer fit", "CVE-2019-11477, CVE-2019-11479 (SACK panic)", [
        *call(5000, eight),
        *[(60 + 5 * n, mine(5000, 1001, ack=1 + (n + 1) * 408), "acknowledgments, until much is in flight") for n in range(12)],
        *[lie(5000, 130 + n, *[(base + 4896 + (n * 6 + k * 2 + 1) * 204, base + 4896 + (n * 6 + k * 2 + 2) * 204) for k in range(3)], text="every second segment", ack=1 + 4896)
          for n in range(5)],
        (160, mine(5000, 1001, ack=1 + 4896 + 204), "and on: what is lost goes again"),
    ], counters="tcp_fast_recovery>=1 tcp_retrans>=3", limits="tcp_no_memory<=0", serve="source 30000", answers=(40, 180))
    capture("s21-sack-slowness", "S21 S16", "SACK blocks of single octets, which would cut what is in flight to pieces to walk over", "CVE-2019-11478 (SACK slowness); CVE-2019-5599", [
        *call(5000, SACK_OK + wscale(7), wnd=65535),
        *[lie(5000, 60 + n, *[(base + n * 211 + k * 61 + 1, base + n * 211 + k * 61 + 2) for k in range(4)], text="four octets here and there") for n in range(24)],
    ], limits="tcp_no_memory<=0 tcp_retrans<=12", counters="tcp_segs_in>=24", serve="source 200000", answers=(10, 60))
    capture("s16-tiny-mss", "S16", "a segment size of 1 (and of none): a packet for each octet", "CVE-2019-11479; CVE-2004-0002; RFC 879", [
        *call(5000, mss(1)), *call(5001, mss(0)), *call(5002, mss(8)),
    ], serve="source 3000", answers=(6, 80))

    many = [(60 + n, mine(5000, 1001 + 2 + n * 2, payload=b"a", wnd=65535), "an octet, and a hole behind it") for n in range(44)]
    capture("s15-segment-smack", "S15 S21", "single octets out of order, each of which would be a record of its own", "CVE-2018-5390 (SegmentSmack); CVE-2018-6922", [
        *call(5000), *many, (200, mine(5000, 1001, payload=b"a"), "the first hole is filled"),
    ], counters="tcp_ooo_dropped>=10 tcp_ooo_queued>=30", limits="tcp_ooo_queued<=32", serve="sink", heard=1, answers=(20, 50))
    capture("s15-two-fins", "S15 S9", "FINs at several places of a hole: octets between them would be read that nobody sent", "found by this project (fuzz_stack_pair); RFC 9293, 3.10.7.4", [
        *call(5000),
        (60, mine(5000, 1001 + 100, flags=ACK | FIN), "FIN early, after 100 octets"),
        (61, mine(5000, 1001 + 5000, flags=ACK | FIN), "and another one, after 5000"),
        (62, mine(5000, 1001 + 2000, payload=b"b" * 100), "data beyond the first FIN"),
        (70, mine(5000, 1001, payload=b"a" * 100), "the first 100 octets"),
    ], serve="sink", heard=100, counters="tcp_ooo_queued>=1", answers=(3, 8))


# --- S6, S7, S8, S9 ---

def s6():
    lsrr, ssrr = b"\x83\x0b\x04" + addr(ATTACKER4) * 2, b"\x89\x07\x04" + addr(ATTACKER4)
    t = tcp(5000, 80, flags=SYN).data[20:]
    capture("s6-source-routes", "S6", "IP options: source routes, record route, and replies that copy them",
            "CVE-2019-12256 (URGENT/11); CVE-2021-31344 (NUCLEUS:13); RFC 7126, 4.3 and 4.4", [
                (0, ip4(t, options=lsrr), "SYN by a loose source route"),
                (1, ip4(t, options=ssrr + ssrr), "SYN with two strict ones: what an error about it overflows (CVE-2019-12256)"),
                (2, ip4(icmp4(8, 0, payload=b"x" * 8).data[20:], proto=1, options=lsrr), "an echo request by a source route"),
                (3, ip4(icmp4(8, 0, payload=b"x" * 8).data[20:], proto=1, options=b"\x07\x27\x04" + b"\0" * 36), "record route in an echo request: its reply has none (CVE-2021-31344)"),
                (4, ip4(t, options=b"\x83\x03\x04"), "a source route without an address"),
                (5, ip4(t, options=b"\x83\x00\x04"), "an option of length 0"),
            ], counters="dropped_policy>=3 dropped_malformed>=1", limits="tcp_segs_in<=0", answers=(1, 1))
    inner4, inner6 = tcp(5000, 80, flags=SYN, src=FRIEND4), tcp(5000, 80, flags=SYN, v6=True)
    capture("s6-tunnels", "S6", "packets in packets, which nobody here unwraps", "CVE-2020-11896, CVE-2020-11900, CVE-2020-11902 (Ripple20); CVE-2020-10136 (IP-in-IP)", [
        (0, ip4(inner4.data, proto=4), "IPv4 in IPv4"),
        (1, ip4(inner6.data, proto=41), "IPv6 in IPv4"),
        (2, ip4(b"\0\0\x08\0" + inner4.data, proto=47), "IPv4 in GRE"),
        (3, ip4(ip4(inner4.data, proto=4).data, proto=4), "IPv4 in IPv4 in IPv4"),
    ], counters="dropped_not_ours>=4", limits="tcp_segs_in<=0", answers=(1, 4))

    u = ACK | PSH | URG
    capture("s7-urgent", "S7", "urgent pointers of 0, beyond the segment, beyond the window, and one after the other",
            "CVE-2019-12255, CVE-2019-12261, CVE-2019-12263 (URGENT/11); CVE-2020-17437 (AMNESIA:33); CVE-2021-31400 (INFRA:HALT)", [
                *call(5000),
                (60, mine(5000, 1001, flags=u, urg=0, payload=b"a" * 10), "URG, pointer 0: a length of minus one (CVE-2019-12255)"),
                (61, mine(5000, 1011, flags=u, urg=65535, payload=b"b" * 10), "a pointer beyond the packet (CVE-2020-17437)"),
                (62, mine(5000, 1021, flags=u, urg=5, payload=b"c" * 10), "urgent data within"),
                (63, mine(5000, 1031, flags=u, urg=1, payload=b"d" * 10), "and again before it was read (CVE-2019-12263)"),
                (64, mine(5000, 1041, flags=ACK | URG, urg=3), "URG without data (CVE-2021-31400)"),
                (65, mine(5000, 1041, flags=u | FIN, urg=2, payload=b"e" * 10), "with the FIN"),
                (70, tcp(5001, 80, 1000, flags=SYN | URG, urg=9), "SYN with URG"),
                (71, polite(seq=0xffffff00, flags=ACK | URG, urg=65535), "an old segment of the polite connection with an urgent pointer past what it has"),
            ], serve="sink", heard=50, counters="tcp_segs_in>=9", answers=(4, 16))
    capture("s8-scales", "S8", "a window scale of 255 and of 15, windows that overflow when scaled", "RFC 7323, 2.3; lwIP's 16-bit guards", [
        *call(5000, mss(1460) + wscale(255)), *call(5001, mss(1460) + wscale(15)), *call(5002, mss(65535) + wscale(14)),
        (80, mine(5000, 1001, wnd=65535), "65,535 times 2^14: all of it fits 32 bits"),
    ], serve="source 30000", answers=(9, 100), counters="tcp_passive_opens>=3")
    capture("s9-far-numbers", "S9", "sequence numbers half a circle away, windows that shrink, data that overlaps both edges",
            "smoltcp#489, smoltcp#1048; gvisor#10343; RFC 9293, 3.4", [
                *call(5000),
                (60, mine(5000, 1001 + 0x7fffffff, payload=b"x"), "one less than half a circle ahead"),
                (61, mine(5000, 1001 + 0x80000000, payload=b"x"), "half a circle"),
                (62, mine(5000, 1001 - 0x7fffffff, payload=b"x" * 100), "and behind"),
                (63, mine(5000, 1001, payload=b"a" * 100), "a hundred octets"),
                (64, mine(5000, 1001 - 50, payload=b"z" * 50 + b"a" * 120), "from before the first to behind the last: 20 are new (smoltcp#1048)"),
                (65, mine(5000, 1121, wnd=0), "the window shuts"),
                (66, mine(5000, 1121, ack=0x80000001, wnd=65535), "an acknowledgment half a circle away"),
                (67, mine(5000, 1121, ack=0x7fffffff, wnd=65535), "and one of what was never sent"),
                (68, polite(seq=0x80000000, payload=b"x" * 10), "polite connection: half a circle away"),
                (69, polite(seq=0x7ffffff0, payload=b"x" * 100), "polite connection: across the border"),
            ], serve="sink", heard=120, counters="tcp_segs_in>=10 tcp_challenge_acks>=2", answers=(4, 30))


# --- S10: blind segments; S12 ---

def s10():
    for v6 in (False, True):
        f, n = 6 if v6 else 4, "6" if v6 else ""
        who = {"v6": True, "src": FRIEND6} if v6 else {"src": FRIEND4}
        capture(f"s10-blind-resets{n}", "S10", "resets within the window but not at its edge, and anywhere", "CVE-2004-0230; RFC 5961, 3", [
            (0, tcp(40000, 80, flags=RST, **who).vary("seq").mark("repeat=200 every=2000"), "a reset, the number guessed"),
            (5, polite(seq=1, flags=RST, v6=v6), "one beyond the next octet"),
            (6, polite(seq=1000, flags=RST, v6=v6), "within the window"),
            (7, polite(seq=30000, flags=RST | ACK, v6=v6), "further within"),
            (8, polite(seq=-1, flags=RST, v6=v6), "one too old"),
        ], counters="tcp_challenge_acks>=2 tcp_out_of_window>=150", limits="tcp_estab_resets<=0", answers=(2, 8), family=f)
        capture(f"s10-blind-syns{n}", "S10", "SYNs for a connection that is there", "CVE-2004-0230; RFC 5961, 4", [
            (0, tcp(40000, 80, flags=SYN, **who).vary("seq").mark("repeat=200 every=2000"), "SYN, the number guessed"),
            (5, polite(seq=100, flags=SYN, v6=v6), "within the window"),
            (6, polite(seq=0, flags=SYN | ACK, v6=v6), "SYN-ACK at the very number"),
        ], counters="tcp_challenge_acks>=5 tcp_challenge_limited>=100", limits="tcp_estab_resets<=0", answers=(5, 45), family=f)
        capture(f"s10-blind-data{n}", "S10", "data with acknowledgments that are guessed", "RFC 5961, 5; Watson, Slipping in the Window (2004)", [
            (0, polite(seq=0, ack=0x40000000, payload=b"X" * 40, v6=v6), "at the very number, an acknowledgment of what was never sent"),
            (1, polite(seq=0, ack=-0x30000000, payload=b"X" * 40, v6=v6), "and one far older than any window"),
            (2, polite(seq=0, ack=0x40000000, flags=ACK | FIN, v6=v6), "FIN with a guessed acknowledgment"),
            (3, polite(seq=100, ack=-0x40000000, payload=b"X" * 40, v6=v6), "out of order, and an old acknowledgment"),
            (4, polite(seq=0, payload=b"X" * 40, flags=0, v6=v6), "without ACK"),
            (5, tcp(40000, 80, flags=ACK | PSH, payload=b"X" * 40, **who).vary("seq").mark("repeat=100 every=3000"), "both guessed"),
        ], counters="tcp_challenge_acks>=3", limits="tcp_estab_resets<=0", answers=(3, 110), family=f)
    capture("s10-challenge-count", "S10", "counting challenge ACKs: the budget of one connection tells nothing of another's", "CVE-2016-5696", [
        *call(5000),
        (60, mine(5000, 1001 + 10, flags=RST).mark("repeat=500 every=2000"), "the attacker spends his own connection's"),
        (65, polite(seq=10, flags=RST), "meanwhile: is this in the window of the polite one?"),
        (565, polite(seq=20, flags=RST), "and again"),
    ], counters="tcp_challenge_limited>=400 tcp_challenge_acks>=6", limits="tcp_estab_resets<=0 tcp_challenge_acks<=60", serve="none", answers=(6, 60))
    capture("s10-ack-storm", "S10 S21", "acknowledgments of what was not sent, which two ends would answer to each other", "Abramov and Herzberg, TCP Ack Storm DoS Attacks (2011); RFC 5961, 5.2", [
        (0, polite(ack=0x10000000).mark("repeat=300 every=1000"), "an acknowledgment of the future"),
    ], counters="tcp_challenge_limited>=200", answers=(3, 30))
    capture("s10-optimistic-acks", "S10 S16", "acknowledgments ahead of what arrived: a sender that is made to go faster than the path", "Savage et al., TCP Congestion Control with a Misbehaving Receiver (1999); CERT VU#102014", [
        *call(5000),
        *[(60 + n, mine(5000, 1001, ack=1 + (n + 1) * 14600), "of octets that are not sent yet") for n in range(24)],
    ], counters="tcp_challenge_acks>=3", serve="source 60000", answers=(6, 80))
    def poison(n):
        f = polite(seq=2000 + 500 * n, options=b"\1\1\x08\x0a" + struct.pack(">II", 0x70000000, 0))
        return n, f.live(None, "ts", f.l4 + 24), "within the window, beyond what was acknowledged last"

    capture("s10-poisoned-timestamp", "S10", "a timestamp of the far future, so that PAWS drops all that is real", "CVE-2005-0356; RFC 7323, 5.3",
            [poison(n) for n in range(10)], counters="tcp_segs_in>=10", limits="tcp_paws_dropped<=0 tcp_estab_resets<=0", answers=(0, 20))
    capture("s12-another-tuple", "S12", "a reset for a handshake of others, and for the listener itself", "smoltcp#851; RFC 9293, 3.10.7.2", [
        (0, tcp(6000, 80, 1000, flags=SYN), "a handshake begins"),
        (10, tcp(6001, 80, 1001, flags=RST), "a reset from another port"),
        (11, tcp(6000, 80, 1001, flags=RST, src="203.0.113.67"), "and from another address"),
        (12, tcp(6000, 80, 5, flags=RST), "a reset of the right port, at a wrong number"),
        (13, tcp(6000, 80, 7777, flags=SYN), "a SYN for it, with another number"),
        (30, tcp(6000, 80, 1001, 1).live("ack", "iss6000"), "the handshake ends all the same"),
        (40, tcp(6000, 80, 1001, 1, ACK | PSH, payload=b"still there").live("ack", "iss6000"), "and data arrives"),
    ], serve="sink", heard=11, answers=(2, 6), counters="tcp_passive_opens>=1")


# --- S11: answers ---

def s11():
    capture("s11-smurf", "S11", "echo requests and datagrams to broadcasts and groups, in the friend's name", "CVE-1999-0513 (smurf, fraggle); RFC 1122, 3.2.2.6", [
        (0, icmp4(8, 0, payload=b"x" * 56, src=FRIEND4, dst="10.0.0.255").mark("repeat=20"), "to the net's broadcast"),
        (1, icmp4(8, 0, payload=b"x" * 56, src=FRIEND4, dst="255.255.255.255").mark("repeat=20"), "to everybody's"),
        (2, icmp4(8, 0, payload=b"x" * 56, src=FRIEND4, dst="224.0.0.1").mark("repeat=20"), "to all hosts"),
        (3, udp(7, 19, b"x" * 10, src=FRIEND4, dst="10.0.0.255").mark("repeat=20"), "fraggle: chargen"),
        (4, tcp(5000, 80, flags=SYN, dst="10.0.0.255").mark("repeat=20"), "a SYN to a broadcast"),
        (5, icmp4(8, 0, src="10.0.0.255"), "from a broadcast"),
        (6, icmp4(8, 0, src="224.0.0.5"), "from a group"),
        (7, udp(1, 9999, src="0.0.0.0"), "from nobody"),
        (8, udp(1, 9999, src="127.0.0.1"), "from a loopback"),
    ], counters="icmp_in>=60 udp_no_port>=0 dropped_policy>=4", limits="icmp_out<=0 tcp_rst_out<=0")
    capture("s11-land", "S11", "a packet from the victim's own address", "CVE-1999-0016 (land); CVE-2005-0688", [
        (0, tcp(80, 80, flags=SYN, src=VICTIM4).mark("repeat=20 every=1000"), "from the victim's port 80 to itself"),
        (30, udp(53, 53, b"x", src=VICTIM4).mark("repeat=20 every=1000"), "the same with UDP: an echo for ever"),
        (60, tcp(80, 80, flags=SYN, v6=True, src=VICTIM6).mark("repeat=20 every=1000"), "IPv6"),
    ], counters="dropped_policy>=60", limits="tcp_segs_out<=5")
    capture("s11-reflection", "S11", "packets whose answers go to somebody else, in great number", "Kuehrer et al., Hell of a Handshake (2014); RFC 1122, 3.2.2; RFC 9293, 3.10.7.1", [
        (0, tcp(443, 9999, flags=SYN | ACK, src="203.0.113.80").mark("repeat=3000 every=300"), "SYN-ACKs for a closed port, from one source: a reset each"),
        (12, udp(443, 9998, b"x", src="203.0.113.81").mark("repeat=500 every=1000"), "datagrams for a closed port"),
    ], counters="dropped_policy>=500 icmp_limited>=400", limits="icmp_out<=30", answers=(500, 2700))
    capture("s11-answers-to-answers", "S11", "resets and errors, which two ends would answer to each other for ever", "RFC 9293, 3.10.7.1; RFC 1122, 3.2.2; CVE-1999-0103", [
        (0, tcp(443, 9999, flags=RST).mark("repeat=50 every=1000"), "a reset for a closed port"),
        (1, tcp(443, 9999, flags=RST | ACK).mark("repeat=50 every=1000"), "the same with ACK"),
        (2, icmp4(3, 3, payload=udp(53, 1, src=VICTIM4).data).mark("repeat=50 every=1000"), "an error about nothing"),
        (3, icmp4(0, 0, payload=b"x" * 8).mark("repeat=50 every=1000"), "an echo reply"),
        (4, icmp4(3, 2, payload=icmp4(3, 3, src=VICTIM4).data).mark("repeat=50 every=1000"), "an error about an error"),
    ], counters="tcp_segs_in>=100 icmp_in>=150 icmp_rejected>=50", answers=(0, 0))
    capture("s11-sad-dns", "S11", "finding a port by the limit of ICMP errors", "CVE-2020-25705 (SAD DNS)", [
        (n * 50, udp(53, 30000 + n, b"x").vary("src", "dport").mark("repeat=50 every=200"), "fifty ports, in many names") for n in range(20)
    ], counters="udp_no_port>=900", limits="icmp_out<=1100", answers=(500, 1100))
    flags = {"null": 0, "FIN": FIN, "Xmas": FIN | PSH | URG, "SYN and FIN": SYN | FIN, "SYN and RST": SYN | RST, "all": 63, "Maimon": FIN | ACK,
             "ECN probe": SYN | 0xc0, "ACK": ACK}
    capture("s11-nmap", "S11 S10", "nmap's odd flags, at an open and a closed port", "nmap's -sN -sF -sX -sA -sM and OS probes; CVE-2002-2438", [
        (i * 2 + port // 9999, tcp(6000 + i, port, 1000, flags=f, wnd=128), f"{name}, {'open' if port == 80 else 'closed'}")
        for i, (name, f) in enumerate(flags.items()) for port in (80, 9999)
    ] + [(40, icmp4(8, 9, payload=b"x" * 120), "an echo request of code 9"), (41, udp(40125, 9998, b"C" * 300), "a datagram to a closed port")],
        counters="tcp_segs_in>=18", answers=(6, 24))


# --- S13: ICMP ---

def s13():
    quoted = lambda seq=0, **more: tcp(80, 40000, seq, src=VICTIM4, dst=FRIEND4, **more).data[:28]  # noqa: E731

    def error(code, mtu=0, seq=0, base=None, payload=None, src="10.0.0.77"):
        f = icmp4(3, code, struct.pack(">HH", 0, mtu), payload or quoted(seq), src=src)
        return f.live(None, base, f.l4 + 8 + 24) if base else f

    capture("s13-blind-errors", "S13", "ICMP errors about segments that are not in flight", "CVE-2004-0790, CVE-2004-0791, CVE-2004-1060, CVE-2005-0065 (Gont); RFC 5927", [
        (0, error(3).vary("id"), "port unreachable, number 0"),
        *[(1 + n, error(c, mtu, n * 0x08000000 + 0x04000000, "nxt"), text) for n, (c, mtu, text) in
          enumerate([(2, 0, "protocol unreachable"), (3, 0, "port unreachable"), (4, 68, "too big: 68"), (4, 0, "too big, not how much"), (13, 0, "prohibited")] * 5)],
        (40, error(4, 576, 0xffff0000, "una"), "what was acknowledged long ago"),
        (41, error(4, 576, payload=udp(53, 53, b"x" * 40, src=VICTIM4, dst=FRIEND4).data[:28]), "about a datagram that was never that long"),
        (42, error(4, 296, payload=icmp4(0, 0, src=VICTIM4, dst=FRIEND4).data[:28]), "about an echo reply"),
        (43, icmp4(4, 0, payload=quoted()).vary("id"), "source quench (RFC 6633)"),
        (44, icmp4(5, 1, addr("10.0.0.66"), quoted()), "a redirect (CVE-1999-0265)"),
    ], counters="icmp_rejected>=28", limits="tcp_retrans<=0 tcp_aborts<=0")
    capture("s13-seen-errors", "S13", "ICMP errors about what is in flight: who sees the connection and wants it to end, or to crawl",
            "CVE-2004-0790, CVE-2004-1060 (Gont); RFC 5927, 5.2 and 7.2", [
                (0, error(3, 0, 0, "una"), "port unreachable: hard, and believed of no connection that stands"),
                (1, error(2, 0, 0, "una"), "protocol unreachable"),
                (2, error(4, 68, 0, "una"), "too big: 68 octets, and 552 is the floor"),
                (3, error(4, 0, 0, "una"), "too big, and 0"),
                (300, error(4, 68, 0, "una"), "again"),
            ], counters="icmp_in>=5", limits="icmp_rejected<=1", answers=(0, 700))
    q6 = tcp(80, 40000, 0, src=VICTIM6, dst=FRIEND6, v6=True).data[:60]

    def big6(mtu, base=None, at=0):
        f = icmp6(2, 0, struct.pack(">I", mtu), q6, src="2001:db8::77")
        return (at, f.live(None, base, f.l4 + 8 + 44) if base else f, f"too big: {mtu}")

    capture("s13-too-big6", "S13", "IPv6 \"too big\" below 1280, which made atomic fragments", "CVE-2016-10142; RFC 8021; RFC 8201, 4", [
        big6(68, "una"), big6(1279, "una", 1), big6(0, "una", 2), big6(1280, None, 3), big6(4294967295, "una", 4), big6(1280, "una", 300),
    ], counters="icmp_rejected>=4", limits="frag_out<=0", family=6, answers=(0, 120))


# --- S14, S18, S20: floods and those who stay ---

def s14():
    for v6 in (False, True):
        capture("s14-syn-flood" + ("6" if v6 else ""), "S14 S18", "SYNs from everywhere", "CERT CA-1996-21; RFC 4987" + ("; CVE-2023-1206" if v6 else ""), [
            (0, tcp(1, 80, flags=SYN, options=mss(1460) + SACK_OK + wscale(7), v6=v6).vary("src", "sport", "seq").mark("repeat=3000 every=400"), "a SYN, in another's name each time"),
        ], counters="tcp_cookies_sent>=2500", limits="flow_chain_max<=8", family=6 if v6 else 4, answers=(2900, 3200))
    capture("s14-cookie-guesses", "S14", "acknowledgments that guess a cookie, while cookies are about", "RFC 4987, 3.6; CVE-2001-0851", [
        (0, tcp(1, 80, flags=SYN).vary("src", "sport").mark("repeat=60 every=100"), "SYNs, until cookies are sent"),
        (50, tcp(5000, 80, 1001, 77, ACK, src="203.0.113.9").vary("sport", "seq").mark("repeat=1000 every=200"), "last segments of handshakes that never were"),
    ], counters="tcp_cookies_bad>=900", limits="tcp_cookies_ok<=0 tcp_passive_opens<=0", answers=(500, 1250))
    capture("s18-neighbours", "S18 S19", "neighbours without number, for a table whose hash has no key", "CVE-2023-1206; Crosby and Wallach, Denial of Service via Algorithmic Complexity Attacks (2003)", [
        (0, arp(1, ATTACKER_MAC, "10.0.0.0", "0" * 12, VICTIM4).mark("vary=30 repeat=2000 every=300"), "ARP: who has the victim's address? asks somebody else each time"),
    ], counters="neigh_evicted>=1000 arp_in>=2000", limits="neigh_chain_max<=9", link="ethernet", answers=(1900, 2060))
    capture("s20-sockstress", "S20", "connections that are opened with a shut window, and stay so", "CVE-2008-4609 (sockstress)", [
        x for n in range(10) for x in call(5000 + n, at=n * 3, then=0)
    ], serve="source 70000", counters="tcp_passive_opens>=10 tcp_zero_window_probes>=10", answers=(20, 100))
    capture("s20-fin-wait-2", "S20", "a peer that never closes, and one that never acknowledges", "RFC 9293, 3.6.1; Shalunov, Netkill (2000)", [
        *call(5000), *call(5001, at=1), *call(5002, at=2),
        (80, mine(5000, 1001, ack=1 + 10 + 1), "acknowledges data and FIN, and is silent"),
        (81, mine(5001, 1001, ack=1 + 10 + 1, wnd=0), "the same with a shut window"),
    ], serve="close 10", counters="tcp_passive_opens>=3", answers=(6, 60))
    capture("s20-time-wait", "S20", "resets, old data and SYNs for a connection in TIME-WAIT", "RFC 1337", [
        *call(5000),
        (80, mine(5000, 1001, ack=12, flags=ACK | FIN), "the peer closes too: TIME-WAIT"),
        (100, mine(5000, 1002, ack=12, flags=RST), "a reset at the very number: it must not end the wait"),
        (400, mine(5000, 1001, ack=12, flags=ACK | FIN), "the FIN again: answered, so the wait lasts"),
        (800, mine(5000, 900, ack=12, payload=b"old" * 10), "old data"),
        (1200, mine(5000, 500, ack=0, flags=SYN), "a SYN older than what was received"),
        (1201, mine(5000, 1001, ack=12, flags=ACK | FIN).mark("repeat=100 every=2000"), "a hundred FINs: one answer in a quarter of a second"),
    ], serve="close 10", counters="tcp_time_wait>=1 tcp_rst_in>=1 tcp_challenge_limited>=90", limits="tcp_rst_out<=0", answers=(6, 14))


# --- S17: fragments ---

def s17():
    d = udp(53, 53, b"F" * 400).data[20:]

    def piece(at, data, more=1, ident=7, proto=17, **ip):
        return ip4(data, proto=proto, ident=ident, flags=more, at=at, **ip)

    capture("s17-teardrop", "S17", "fragments that overlap, and one within another", "CVE-1999-0015 (teardrop), CVE-1999-0104, CVE-1999-0257 (nestea); RFC 1858", [
        (0, piece(0, d[:200]), "octets 0 to 200"),
        (1, piece(24, d[24:100], 0), "the last: 24 to 100, within the first (teardrop)"),
        (2, piece(0, d[:200], ident=8), "again: 0 to 200"),
        (3, piece(104, d[104:304], ident=8), "104 to 304"),
        (3.3, piece(0, d[:304], ident=8), "all of it again, without an overlap: it is spoilt until its time is over"),
        (3.6, piece(304, d[304:], 0, ident=8), "and the rest"),
        (5, piece(0, d[:200], ident=9), "0 to 200"),
        (6, piece(200, d[200:400], ident=9), "200 to 400"),
        (7, piece(200, b"Z" * 208, 0, ident=9), "200 to 408, other octets"),
    ], counters="frag_in>=9 frag_overlap>=3", limits="frag_done<=0 udp_in<=0")
    capture("s17-ping-of-death", "S17 S1", "fragments that add up to more than a packet", "CVE-1999-0128 (ping of death); CVE-1999-0345 (jolt)", [
        (0, piece(0, icmp4(8, 0, payload=b"x" * 400).data[20:], proto=1), "an echo request begins"),
        (1, piece(65528, b"x" * 400, 0, proto=1), "and ends beyond 65,535"),
        (2, piece(65512, b"x" * 400, 1, proto=1), "the same with more to come"),
        (3, piece(65528, b"x", 0, ident=9, proto=1).mark("repeat=20 every=1000"), "last fragments alone (jolt2)"),
    ], counters="dropped_malformed>=2 frag_in>=1", limits="frag_done<=0 icmp_out<=1", answers=(0, 1))
    capture("s17-fragment-smack", "S17 S21", "fragments of many datagrams, none of which is ever whole", "CVE-2018-5391 (FragmentSmack); CVE-2003-0364", [
        (0, piece(8, b"F" * 48).vary("id").mark("repeat=15000 every=30"), "a piece from the middle, of another datagram each time"),
        (500, piece(800, b"F" * 48).vary("id", "src").mark("repeat=1500 every=300"), "and from another source"),
    ], counters="frag_in>=16000 frag_evicted>=15000", limits="frag_done<=0", answers=(0, 5))
    capture("s17-pieces", "S17 S15", "one datagram in as many pieces as can be, with a hole between each two", "CVE-2018-5391; CVE-2020-17438 (AMNESIA:33)", [
        *[(n, piece(n * 96, b"F" * 48, ident=9), "48 octets and a hole") for n in range(34)],
        (80, piece(34 * 96, b"F" * 8, 0, ident=9), "the last"),
        (90, piece(0, b"F" * 8, ident=10), "a fragment of eight octets: smaller than any path makes them"),
    ], counters="frag_evicted>=1 dropped_malformed>=1", limits="frag_done<=0")
    capture("s17-rose", "S17", "first and last fragments of great datagrams, and nothing between", "the Rose attack (2004); CVE-2004-0744", [
        (0, piece(0, d[:48]).vary("id").mark("repeat=200 every=1000"), "the first 48 octets"),
        (1, piece(65000, b"F" * 100, 0).vary("id").mark("repeat=200 every=1000"), "the last hundred"),
    ], counters="frag_in>=400 frag_evicted>=200", limits="frag_done<=0", answers=(0, 40))
    u = udp(53, 53, b"F" * 1200, v6=True).data[40:]
    capture("s17-overlap6", "S17 S4", "IPv6 fragments that overlap, in a chain and nested", "RFC 5722; CVE-2020-17469, CVE-2020-17468 (AMNESIA:33); smoltcp#1094", [
        (0, fragment6(0, 1, 7, 17, u[:608]), "0 to 608"),
        (1, fragment6(600, 0, 7, 17, u[600:]), "600 to the end"),
        (2, fragment6(608, 0, 7, 17, u[608:]), "and what would have fitted: the datagram is spoilt"),
        (3, fragment6(0, 1, 8, 17, u[:612]), "a length that is no multiple of eight, and more to come"),
        (4, fragment6(0, 1, 9, 44, struct.pack(">BBHI", 17, 0, 0 | 1, 5) + u[:600]), "a fragment of a fragment"),
        (5, fragment6(65528, 0, 10, 17, u[:100]), "beyond 65,535"),
    ], counters="frag_overlap>=1 dropped_malformed>=3", limits="frag_done<=0 udp_in<=0", family=6, answers=(0, 4))
    capture("s17-atomic6", "S17", "atomic fragments with the name of a datagram that is under way", "RFC 6946; RFC 8021", [
        (0, fragment6(0, 1, 7, 17, u[:608]), "0 to 608 of a datagram"),
        (1, fragment6(0, 0, 7, 17, udp(53, 53, b"A" * 20, v6=True).data[40:]), "an atomic fragment of the same name: a datagram by itself"),
        (2, fragment6(608, 0, 7, 17, u[608:]), "the rest: the other one is whole"),
        (3, fragment6(0, 0, 8, 6, tcp(5000, 9999, flags=SYN, v6=True).data[40:]), "a SYN to a closed port in an atomic fragment"),
    ], counters="frag_done>=1 udp_in>=2 tcp_rst_out>=1", limits="frag_overlap<=0", family=6, answers=(1, 1))


# --- S19: neighbours, routers, addresses ---

def s19():
    def nd(kind, rest, payload, src="fe80::66", dst=VICTIM6, hops=255, **more):
        return icmp6(kind, 0, rest, payload, src=src, dst=dst, hops=hops, **more).eth(**({"dst": "333300000001"} if dst.startswith("ff02::1") and len(dst) < 9 else {}))

    def ra(lifetime, options, src="fe80::66", hop=64, hops=255):
        return nd(134, struct.pack(">BBH", hop, 0, lifetime), struct.pack(">II", 0, 0) + options, src=src, dst="ff02::1", hops=hops)

    def prefix(net, valid=3600, preferred=3600, flags=0xc0):
        return struct.pack(">BBBBIII", 3, 4, 64, flags, valid, preferred, 0) + addr(net)

    target = addr(VICTIM6)
    mac = b"\2\1" + bytes.fromhex(ATTACKER_MAC)
    smac = b"\1\1" + bytes.fromhex(ATTACKER_MAC)
    capture("s19-nd-malformed", "S19 S2", "ND messages with options of length 0, from far away, in fragments, to groups", "FreeRTOS GHSA-gffr-xgjg-jh9j; RFC 4861, 6.1 and 7.1; RFC 6980", [
        (0, nd(135, b"\0\0\0\0", target + b"\1\0" + b"\0" * 6), "solicitation, an option of length 0"),
        (1, nd(136, b"\x60\0\0\0", target + b"\2\0" + b"\0" * 6), "advertisement, the same"),
        (2, nd(135, b"\0\0\0\0", target + b"\1\xff" + b"\0" * 6), "an option of 2040 octets"),
        (3, nd(135, b"\0\0\0\0", target + smac, hops=254), "hop limit 254: it came from another link"),
        (4, nd(135, b"\0\0\0\0", target[:8]), "half a target"),
        (5, nd(135, b"\0\0\0\0", addr("ff02::1") + smac), "a group as the target"),
        (6, nd(136, b"\x60\0\0\0", addr(FRIEND6) + mac, dst="ff02::1"), "a solicited advertisement to all"),
        (7, fragment6(0, 0, 7, 58, icmp6(135, 0, b"\0\0\0\0", target + smac, src="fe80::66", hops=255).data[40:], src="fe80::66", hops=255).eth(), "in an atomic fragment (RFC 6980)"),
        (8, ra(1800, prefix("2001:db8:1::"), src="2001:db8::66"), "a router whose address is not link-local"),
    ], counters="dropped_malformed>=6 dropped_policy>=2", link="ethernet", family=6, interface="routers")
    capture("s19-nd-flood", "S19", "neighbours that ask and are asked for, in great number", "RFC 6583; THC-IPv6's ndpexhaust26 and flood_solicitate6", [
        (0, nd(135, b"\0\0\0\0", target + smac, src="fd00::1:0").mark("vary=36:56 repeat=1500 every=300"), "a stranger of the link asks, another each time"),
    ], counters="neigh_evicted>=1000", limits="neigh_chain_max<=9", link="ethernet", family=6, answers=(1400, 1560))
    capture("s19-ra-flood", "S19", "routers, prefixes and addresses without number", "CVE-2010-4669, CVE-2010-4670 (flood_router6); CVE-2015-2922; RFC 6104", [
        (0, ra(1800, prefix("2001:db8:0::") + smac).mark("vary=36:56 vary=92:56 repeat=600 every=1000"),
         "a router, another each time, with another prefix"),
        (700, ra(1800, b"\5\1\0\0" + struct.pack(">I", 40)), "an MTU of 40"),
        (701, ra(1800, b"", hop=1), "a hop limit of 1: nothing would leave (CVE-2015-2922)"),
        (702, ra(1800, prefix("fe80::") + prefix("ff00::") + prefix("::", 10, 20)), "prefixes that are none"),
        (703, ra(0, prefix("fd00::", 0, 0)), "the victim's own prefix ends (RFC 4862, 5.5.3: two hours)"),
    ], counters="nd_in>=600 dropped_policy>=1780", link="ethernet", family=6, interface="routers", answers=(0, 60))
    new = addr("fd00::99")
    capture("s19-dad-forgery", "S19", "every new address is said to be somebody's; and so are those that are in use", "THC-IPv6's dos-new-ip6; RFC 4862, 5.4; RFC 7527", [
        (10, nd(136, b"\x20\0\0\0", new + mac, dst="ff02::1"), "\"I have it\": the new address is a duplicate"),
        (20, nd(135, b"\0\0\0\0", new, src="::", dst="ff02::1:ff00:99"), "\"I want it, too\""),
        (30, nd(136, b"\x20\0\0\0", target + mac, dst="ff02::1").mark("repeat=50 every=2000"), "\"I have yours\": one that is in use stays"),
        (31, nd(136, b"\x40\0\0\0", addr(FRIEND6) + mac).mark("repeat=20 every=5000"), "\"I am the friend\", without the override flag: what is known stays (RFC 4861, 7.2.5)"),
    ], counters="nd_in>=50", link="ethernet", family=6, interface="dad", answers=(-20, 40))
    capture("s19-arp-conflicts", "S19 S11", "somebody says he has the victim's address", "RFC 5227, 2.4; CVE-2020-11914 (Ripple20)", [
        (0, arp(1, ATTACKER_MAC, VICTIM4, "0" * 12, VICTIM4).mark("repeat=100 every=5000"), "an announcement of the victim's address: defended once in ten seconds"),
        (1, arp(2, ATTACKER_MAC, VICTIM4, VICTIM_MAC, VICTIM4, dst=VICTIM_MAC), "as a reply"),
        (2, arp(1, "ffffffffffff", "10.0.0.7", "0" * 12, VICTIM4), "from a link address that is everybody's"),
        (3, arp(2, ATTACKER_MAC, "255.255.255.255", VICTIM_MAC, VICTIM4), "from a broadcast address"),
        (4, arp(2, ATTACKER_MAC, "10.0.0.7", VICTIM_MAC, VICTIM4).cut(30), "cut (CVE-2020-11914)"),
        (5, arp(1, ATTACKER_MAC, "10.0.0.9", "0" * 12, "10.0.0.10").mark("repeat=50 every=1000"), "questions between others: nothing is learnt"),
        (6, arp(2, ATTACKER_MAC, "10.0.0.12", VICTIM_MAC, VICTIM4).mark("repeat=50 every=1000"), "answers that nobody asked for"),
    ], counters="arp_in>=150 dropped_policy>=2 dropped_malformed>=1", link="ethernet", answers=(1, 4))
    capture("s19-redirects", "S19", "a better way to the friend, by the attacker", "RFC 4861, 8.1; CVE-1999-0265", [
        (0, nd(137, b"\0\0\0\0", addr("fe80::66") + addr("2001:db8::1") + mac), "from one who is not the first hop"),
        (1, nd(137, b"\0\0\0\0", addr("fe80::66") + addr(FRIEND6) + mac), "for a neighbour on the link"),
        (2, nd(137, b"\0\0\0\0", addr("ff02::1") + addr("2001:db8::1")), "to a group"),
        (3, nd(137, b"\0\0\0\0", addr("fe80::66") + addr("2001:db8::1") + mac, hops=64), "from another link"),
    ], counters="nd_in>=3 dropped_policy>=2", link="ethernet", family=6, interface="routers")


# --- S22, S28, S29 ---

def s22():
    capture("s22-first-numbers", "S22", "one caller after the other, to find out how first numbers are made", "CVE-2020-27213, CVE-2020-27630 (NUMBER:JACK); CVE-2020-35685 (INFRA:HALT); RFC 6528", [
        (n, tcp(6000 + n, 80, 1000, flags=SYN), "SYN, from the next port") for n in range(16)
    ], numbers=True, answers=(16, 96))
    t = tcp(5000, 80, 1000, flags=SYN)
    u = udp(5000, 9999, b"x" * 100)
    cases = [(1, 0, 0, 0, 0, "a super-frame of segments of 0 octets"), (4, 1000, 0, 0, 0, "IPv6's kind for IPv4"), (5, 1000, 0, 0, 0, "UDP's kind for TCP"),
             (3, 1000, 0, 0, 0, "fragmentation left to the device"), (77, 1000, 0, 0, 0, "no such kind"), (0, 0, 1, 65535, 16, "a checksum to be completed beyond the frame"),
             (0, 0, 1, 20, 65535, "the same, the offset"), (0, 0, 1, 0, 10, "over the IP header"), (0, 0, 1, 20, 6, "UDP's place in TCP"), (0, 0, 1, 19, 16, "an odd place")]
    capture("s28-descriptors", "S28", "what a virtio device says of a frame, and is not so", "tailscale#19820; virtio 1.2, 5.1.6.4", [
        *[(i, tcp(5000 + i, 80, 1000, flags=SYN).mark("rx=" + ":".join(map(str, c[:5]))), c[5]) for i, c in enumerate(cases)],
        (20, udp(5000, 9999, b"x" * 100).mark("rx=1:100:0:0:0"), "TCP's kind for UDP"),
        (21, ip4(u.data[20:60], proto=17, flags=1).mark("rx=5:8:0:0:0"), "a fragment as a super-frame"),
        (22, icmp4(8, 0, payload=b"x" * 8).mark("rx=1:8:1:20:2"), "an echo request as a super-frame"),
        (23, tcp(6000, 80, 1000, flags=SYN).mark("rx=0:0:1:20:16 split=20"), "the parts begin within the TCP header"),
    ], counters="dropped_malformed>=13", limits="tcp_passive_opens<=0", answers=(0, 2))
    assert t.data
    loop = struct.pack(">HHHHHH", 1, 0x8180, 1, 1, 0, 0) + b"\xc0\x0c" + struct.pack(">HH", 1, 1)
    capture("s29-names", "S29", "DNS, mDNS, LLMNR, NetBIOS and DHCP messages that break parsers: there is none here",
            "CVE-2020-7461, CVE-2020-15795 (NAME:WRECK); CVE-2020-24334 (AMNESIA:33); CVE-2020-11901 (Ripple20); CVE-2019-12257 (URGENT/11)", [
                (0, udp(53, 5353, loop), "a name that is compressed to itself, mDNS"),
                (1, udp(53, 5355, loop), "LLMNR"),
                (2, udp(137, 137, loop), "NetBIOS"),
                (3, udp(67, 68, b"\2\1\6\0" + b"\0" * 232 + b"\x63\x82\x53\x63\x01\xff"), "a DHCP offer whose option is longer than the packet"),
                (4, udp(547, 546, b"\2abc" + b"\0\1\xff\xff", v6=True), "DHCPv6"),
                (5, udp(53, 40001, loop), "a DNS answer that nobody asked for"),
            ], counters="udp_no_port>=6", answers=(6, 6))


def tshark(files):
    """It reads all, as sections of one file (which pcapng allows): as many packets as there are."""
    with tempfile.NamedTemporaryFile(suffix=".pcapng") as f:
        for n in sorted(files):
            f.write(files[n])
        f.flush()
        r = subprocess.run(["tshark", "-n", "-r", f.name, "-T", "fields", "-e", "frame.number"], capture_output=True, text=True)
    n = len(r.stdout.split())
    if r.returncode == 0 and n == N_PACKETS:
        return []
    print(f"tshark reads {n} packets of {N_PACKETS}: {r.stderr.strip()}")
    return ["tshark"]


def main():
    for f in (s1, s2, s5, s6, s10, s11, s13, s14, s17, s19, s22):
        f()
    want = {f"{n}.pcapng": data for n, data in CAPTURES.items()}
    have = {n for n in os.listdir(HERE) if n.endswith(".pcapng")}
    if sys.argv[1:] != ["--check"]:
        for n in have - set(want):
            os.unlink(os.path.join(HERE, n))
        for n, data in want.items():
            with open(os.path.join(HERE, n), "wb") as f:
                f.write(data)
        print(f"{len(want)} captures, {sum(map(len, want.values()))} octets, the largest has {max(map(len, want.values()))}")
        return 0
    bad = sorted(have ^ set(want))
    for n in sorted(have & set(want)):
        with open(os.path.join(HERE, n), "rb") as f:
            if f.read() != want[n]:
                bad.append(n)
    for n in bad:
        print(f"{n} is not as make.py makes it")
    if shutil.which("tshark"):
        bad += tshark(want)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
