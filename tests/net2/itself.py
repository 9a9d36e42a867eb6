#!/usr/bin/env python3
"""tests/net2/itself.py [FOLDER]: sockets that are connected to themselves, and what the keeper holds for them.

Run under `berth run`, as the keeper's child. FOLDER: the network's; as root it is also done as nobody, who cannot
reach it. That it behaves as TCP is tests/shim/calls.c's to show; here: none is lost, none is leaked, nobody spins.
"""
import os
import random
import select
import signal
import socket
import sys
import threading
import time

KEEPER = os.getppid()
ECHOES_MAX = 256


def itself(port, family=socket.AF_INET, at="127.0.0.1"):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((at, port))
    s.connect((at, s.getsockname()[1]))
    assert s.getpeername() == s.getsockname(), (s.getpeername(), s.getsockname())
    return s


def works(s):
    s.sendall(b"an octet or two")
    assert s.recv(15, socket.MSG_WAITALL) == b"an octet or two"


def held():
    """The keeper's sockets (it also keeps a pidfd of who asked last)."""
    n = 0
    for fd in os.listdir(f"/proc/{KEEPER}/fd"):
        try:
            n += os.readlink(f"/proc/{KEEPER}/fd/{fd}").startswith("socket:")
        except FileNotFoundError:
            pass
    return n


def until(true, what):
    end = time.time() + 10
    while not true():
        assert time.time() < end, what
        time.sleep(0.02)


def ticks():
    with open(f"/proc/{KEEPER}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def fill(s):
    """Until there is no room for a moment. How much went in."""
    s.setblocking(False)
    n = 0
    while select.select([], [s], [], 0.3)[1]:
        try:
            n += s.send(b"x" * 65536)
        except BlockingIOError:
            pass
    return n


def in_child(do):
    pid = os.fork()
    if pid:
        return pid
    try:
        do()
        os._exit(0)
    except BaseException as e:
        print(f"child: {e!r}", flush=True)
        os._exit(1)


def many():
    first = itself(0)
    works(first)
    first.close()
    time.sleep(0.2)  # it is seen to be closed
    base = held()
    all_of_them = [itself(0) for _ in range(ECHOES_MAX)]
    until(lambda: held() == base + ECHOES_MAX, "not one descriptor for each")
    try:
        itself(0)
        raise AssertionError("one too many was let in")
    except ConnectionRefusedError:
        pass
    for s in all_of_them:
        works(s)
        s.close()
    until(lambda: held() == base, "the keeper holds descriptors of sockets that were closed")
    for _ in range(300):
        s = itself(7000)
        works(s)
        s.close()
    until(lambda: held() == base, "the keeper leaks")
    return base


def killed(base):
    ready, tell = os.pipe()

    def stuck():
        s = itself(7001)
        fill(s)
        os.write(tell, b"x")
        signal.pause()

    pid = in_child(stuck)
    assert os.read(ready, 1) == b"x"
    before = ticks()
    time.sleep(1)
    assert ticks() - before < 20, "the keeper is busy with one who does not read"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until(lambda: held() == base, "the keeper keeps the end of one who was killed")
    itself(7001).close()


def half_and_gone(base):
    """Shuts writing with much on its way, and goes without reading it."""
    s = itself(7002)
    fill(s)
    s.shutdown(socket.SHUT_WR)
    before = ticks()
    time.sleep(0.5)
    assert ticks() - before < 20, "the keeper is busy with one who reads no more"
    s.close()
    until(lambda: held() == base, "the keeper keeps the end of one who is gone")


def mixed(seed):
    """Sizes, pieces, families and ends at random, several at once: each gets its own octets, in order."""
    ended = []

    def one(n):
        draw = random.Random(seed + n)
        for _ in range(6):
            six = draw.random() < 0.5
            s = itself(0, socket.AF_INET6 if six else socket.AF_INET, "::1" if six else "127.0.0.1")
            s.setblocking(False)
            sent = draw.randbytes(draw.choice([0, 1, 1000, 100000, 3000000]))
            goes = draw.random() < 0.2 and sent
            out, back, shut = 0, bytearray(), False
            while not goes or len(back) < len(sent) / 2:
                may_read, may_write, _ = select.select([s], [] if shut else [s], [], 20)
                assert may_read or may_write, f"stuck at {out}, {len(back)} of {len(sent)}"
                try:
                    if may_write and out == len(sent):
                        s.shutdown(socket.SHUT_WR)
                        shut = True
                    elif may_write:
                        out += s.send(sent[out : out + draw.choice([1, 100, 5000, 65536, 200000])])
                    if may_read:
                        octets = s.recv(draw.choice([1, 777, 65536, 1 << 20]))
                        back += octets
                        if not octets:
                            break
                except BlockingIOError:
                    pass
            assert bytes(back) == sent[: len(back)] and (goes or back == sent), "not what was sent"
            s.close()
        ended.append(n)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(ended) == len(threads), f"seed {seed}"


def as_nobody(folder):
    def do():
        s = socket.socket()
        s.bind(("127.0.0.1", 7003))
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        assert not os.access(folder, os.X_OK)
        s.connect(("127.0.0.1", 7003))
        works(s)
        works(itself(7004, socket.AF_INET6, "::1"))

    assert os.waitpid(in_child(do), 0)[1] == 0, "not as nobody"


def without_keeper():
    s = itself(7005)
    works(s)
    os.kill(KEEPER, signal.SIGKILL)
    assert select.select([s], [], [], 10)[0], "nothing is heard of a keeper that was killed"
    assert s.recv(10) == b""
    try:
        itself(7006)
        raise AssertionError("connected to itself without a keeper")
    except ConnectionRefusedError:
        pass


def main():
    base = many()
    killed(base)
    half_and_gone(base)
    mixed(random.randrange(1 << 30))
    until(lambda: held() == base, "the keeper holds descriptors of sockets that were closed")
    if len(sys.argv) > 1:
        if os.geteuid() == 0:
            as_nobody(sys.argv[1])
        left = [leaf for leaf in os.listdir(sys.argv[1] + "/s") if leaf.startswith("u")]
        assert not left, f"left behind: {left}"
    without_keeper()
    print("done")


main()
