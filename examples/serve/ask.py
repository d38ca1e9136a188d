"""Asks about one image. Prints the decision; the exit code is 0 only when it is `allow`."""

import http.client
import os
import sys
import urllib.parse

server = urllib.parse.urlsplit(os.environ.get("ATHENA_SERVER", "http://127.0.0.1:8080"))
with open(sys.argv[1], "rb") as file:
    image = file.read()

# A connection is good for any number of images: keep it, one for each thread.
connection = http.client.HTTPConnection(server.hostname, server.port or 80, timeout=90)
connection.request("POST", "/v1/classify", image, {"Content-Type": "application/octet-stream"})
answer = connection.getresponse()
answer.read()
decision = answer.headers.get("Athena-Decision", "none")
print(decision)
sys.exit(0 if decision == "allow" else 1)
