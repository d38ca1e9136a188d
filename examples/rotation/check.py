"""Rotates a secret in a Secrets Manager of its own while a program asks for tokens with it.

Usage: check.py PROGRAM, in an environment with moto[server] and boto3.

Moto plays AWS Secrets Manager; the token endpoint below accepts what is in `accepted`, for tokens of
two seconds. Everything is on loopback. Exits with an error when a call fails, or a new secret is not
used.
"""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse

import boto3
from moto.server import ThreadedMotoServer

SECRET_ID = "moderation/athena"
SECONDS = 12
ROTATIONS = 3

accepted = {"secret-0"}
seen = []  # (secret, whether it was accepted)


class TokenEndpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = urllib.parse.parse_qs(body)
        secret = form["client_secret"][0]
        good = secret in accepted
        seen.append((secret, good))
        answer = (
            {"access_token": f"token-{len(seen)}", "token_type": "Bearer", "expires_in": 2}
            if good
            else {"error": "invalid_client"}
        )
        text = json.dumps(answer).encode()
        self.send_response(200 if good else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def main(program):
    aws = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    aws.start()
    host, port = aws.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    manager = boto3.client(
        "secretsmanager",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    manager.create_secret(Name=SECRET_ID, SecretString="secret-0")
    tokens = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TokenEndpoint)
    threading.Thread(target=tokens.serve_forever, daemon=True).start()
    token_url = f"http://127.0.0.1:{tokens.server_address[1]}/oauth/token"

    running = subprocess.Popen(
        [program, SECRET_ID, token_url, "moderation", str(SECONDS)],
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for number in range(1, ROTATIONS + 1):
            time.sleep(SECONDS / (ROTATIONS + 1))
            new = f"secret-{number}"
            manager.put_secret_value(SecretId=SECRET_ID, SecretString=new)
            accepted.add(new)
            accepted.discard(f"secret-{number - 1}")
        output, _ = running.communicate(timeout=4 * SECONDS)
    finally:
        running.kill()
        tokens.shutdown()
        aws.stop()

    print(output.strip())
    used = [secret for secret, good in seen if good]
    refused = sum(not good for _, good in seen)
    print(f"{len(seen)} token requests, {refused} with a secret that had been replaced")
    missing = [n for n in range(ROTATIONS + 1) if f"secret-{n}" not in used]
    if running.returncode != 0 or missing or refused != ROTATIONS:
        sys.exit(f"exit code {running.returncode}, secrets not used: {missing}, refused: {refused}")


if __name__ == "__main__":
    main(sys.argv[1])
