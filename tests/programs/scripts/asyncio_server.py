"""Streams and datagrams on port 7000, both families: each line and each datagram goes back in capitals."""
import asyncio
import socket


async def talk(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, who):
        self.transport.sendto(data.upper(), who)


async def main():
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(talk, None, 7000, backlog=1000)
    both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.bind(("::", 7000))
    await loop.create_datagram_endpoint(Echo, sock=both)
    await server.serve_forever()


asyncio.run(main())
