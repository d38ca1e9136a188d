"""Starts `athena serve` as systemd does: with a socket that is open already, and a place to be told how it goes.

`systemd.py ATHENA IMAGE`: exits 0 when the server answered on that socket and said READY and STOPPING."""

import http.client
import os
import shutil
import signal
import socket
import sys
import tempfile

athena, image = map(os.path.abspath, sys.argv[1:])
work = tempfile.mkdtemp()
listening = socket.create_server(("127.0.0.1", 0))
notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notices.bind(work + "/notify")
notices.settimeout(60)


server = os.fork()
if server == 0:
    os.chdir(work)
    os.dup2(listening.fileno(), 3)
    os.set_inheritable(3, True)
    pid = str(os.getpid())
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=pid, NOTIFY_SOCKET=work + "/notify")
    os.environ.update(WATCHDOG_USEC="200000", WATCHDOG_PID=pid)
    os.execv(athena, [athena, "serve", "--emulator", "--listen", "127.0.0.1:1"])

ended = False
try:
    assert notices.recv(100).strip() == b"READY=1"
    connection = http.client.HTTPConnection(*listening.getsockname(), timeout=60)
    with open(image, "rb") as file:
        connection.request("POST", "/v1/classify", file.read(), {"Content-Type": "image/jpeg"})
    assert connection.getresponse().status == 200
    seen = {notices.recv(100).strip() for _ in range(3)}
    assert seen == {b"WATCHDOG=1"}, seen
    os.kill(server, signal.SIGTERM)
    while notices.recv(100).strip() != b"STOPPING=1":
        pass
    _, status = os.waitpid(server, 0)
    ended = True
    assert os.waitstatus_to_exitcode(status) == 0
finally:
    if not ended:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    shutil.rmtree(work)
print("ok")
