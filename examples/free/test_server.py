"""pytest test_server.py: what conftest.py beside it is good for."""
import http.server
import socket
import threading
import urllib.request


def test_a_web_server(free_port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/conftest.py") as answer:
        assert b"free_ports" in answer.read()
    server.shutdown()
    server.server_close()


def test_several(free_ports):
    ports = free_ports(5)
    assert len(set(ports)) == 5
    servers = [socket.create_server(("127.0.0.1", p)) for p in ports]
    for s in servers:
        s.close()


def test_udp(free_ports):
    port, = free_ports(1, "--udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # create_server() does it for TCP
        server.bind(("127.0.0.1", port))
        server.settimeout(10)
        caller.sendto(b"hello", ("127.0.0.1", port))
        assert server.recv(100) == b"hello"
