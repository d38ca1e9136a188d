"""As much of NATS' protocol as a test needs: publish, and ask JetStream."""
import json
import socket


class Nats:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")
        self.file.readline()  # INFO
        self.send(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB answers 1\r\n')

    def send(self, line):
        self.socket.sendall(line)

    def ask(self, subject, payload=b""):
        """Publishes, and waits for JetStream's answer."""
        head = f"PUB {subject} answers {len(payload)}\r\n".encode()
        self.send(head + payload + b"\r\n")
        while True:
            words = self.file.readline().split()
            if words[0] == b"PING":
                self.send(b"PONG\r\n")
            elif words[0] in (b"MSG", b"HMSG"):
                body = self.file.read(int(words[-1]) + 2)
                return json.loads(body[:-2]) if words[0] == b"MSG" else {"error": body.decode()}
            elif words[0] == b"-ERR":
                raise RuntimeError(words)
