"""What comes to TCP port 7000 goes back in capitals, slowly, so that who waits has to sleep; "end" ends it."""
import socketserver
import time


class Slow(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            time.sleep(0.05)
            self.request.sendall(data.upper())
            if data.endswith(b"end"):
                return


socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", 7000), Slow).serve_forever()
