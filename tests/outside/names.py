"""tests/outside/names.py: a DNS server for one name, server.example, on port 53 of the address that is given."""
import socket
import struct
import sys

s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
print("serving", flush=True)
while True:
    q, who = s.recvfrom(2048)
    at = 12
    labels = []
    while q[at]:
        labels.append(q[at + 1 : at + 1 + q[at]].decode().lower())
        at += 1 + q[at]
    (kind,) = struct.unpack(">H", q[at + 1 : at + 3])
    question = q[12 : at + 5]
    data = {1: socket.inet_aton("198.51.100.2"), 28: socket.inet_pton(socket.AF_INET6, "2001:db8:77::2")}.get(kind)
    known = labels == ["server", "example"]
    answer = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data if known and data else b""
    s.sendto(q[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, 1 if answer else 0, 0, 0) + question + answer, who)
