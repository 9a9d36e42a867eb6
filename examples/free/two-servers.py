#!/usr/bin/env python3
"""What the Makefile's recipes run: two servers on the ports they were given, and a caller for each."""
import os
import socket
import sys

for name in ("WEB_PORT", "ADMIN_PORT"):
    port = int(os.environ[name])
    with socket.create_server(("127.0.0.1", port)) as server:  # it sets SO_REUSEADDR
        with socket.create_connection(("127.0.0.1", port)) as caller:
            accepted, _ = server.accept()
            with accepted:
                caller.sendall(sys.argv[1].encode())
                assert accepted.recv(100) == sys.argv[1].encode()
sys.stdout.write(f"test {sys.argv[1]} had two ports of its own\n")  # in one piece: others print, too
