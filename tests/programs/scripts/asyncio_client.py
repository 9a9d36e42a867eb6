import asyncio
import socket
import sys

HOST, ADDRESS = sys.argv[1:]


async def once(family, i):
    reader, writer = await asyncio.open_connection(HOST, 7000, family=family)
    writer.write(f"line {i}\n".encode() * 3)
    for _ in range(3):
        line = await asyncio.wait_for(reader.readline(), 20)
        assert line == f"LINE {i}\n".encode(), line
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()
    await writer.wait_closed()


class Ask(asyncio.DatagramProtocol):
    def __init__(self):
        self.answers = asyncio.Queue()

    def datagram_received(self, data, who):
        self.answers.put_nowait((data, who))

    def error_received(self, e):
        self.answers.put_nowait((e, None))


async def ask(family, **how):
    loop = asyncio.get_running_loop()
    transport, asker = await loop.create_datagram_endpoint(Ask, family=family, remote_addr=(HOST, 7000), **how)
    for i in range(20):
        transport.sendto(f"datagram {i}".encode())
        data, who = await asyncio.wait_for(asker.answers.get(), 20)
        assert data == f"DATAGRAM {i}".encode(), data
        assert who[1] == 7000, who
    transport.close()


async def refused():
    try:
        await asyncio.open_connection(ADDRESS, 7001)
    except ConnectionRefusedError:
        pass
    else:
        raise AssertionError("port 7001 is not refused")
    transport, asker = await asyncio.get_running_loop().create_datagram_endpoint(Ask, remote_addr=(ADDRESS, 7001))
    transport.sendto(b"x")
    error, _ = await asyncio.wait_for(asker.answers.get(), 20)
    assert isinstance(error, ConnectionRefusedError), error
    transport.close()


async def main():
    await asyncio.gather(*(once(f, i) for i in range(100) for f in (socket.AF_INET, socket.AF_INET6)))
    await ask(socket.AF_INET)
    await ask(socket.AF_INET6)
    await ask(socket.AF_INET, local_addr=("0.0.0.0", 5353))
    await refused()
    infos = await asyncio.get_running_loop().getaddrinfo(HOST, 7000, type=socket.SOCK_STREAM)
    assert ADDRESS in {i[4][0] for i in infos}, infos
    print("all is well")


asyncio.run(main())
