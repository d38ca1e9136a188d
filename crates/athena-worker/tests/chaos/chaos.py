#!/usr/bin/env python3
"""Kills workers and the broker while jobs are worked on, and counts what is left.

Some of the jobs are poison: broken images, missing ones, too large ones, no jobs at all, images that the service always
fails, and images whose store is always away. In the end each job has exactly one outcome, those are dead that must be, and
nothing is left in the queue. Then the stream of outcomes is emptied by hand, and `athena reconcile` repairs it.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from nats import Nats
from verify import lines, verify

ROOT = pathlib.Path(__file__).resolve().parents[4]
# Small ones: what is tried here is not the decoder.
IMAGES = ["dunes.gif", "dunes.bmp"]
# A connection refused: nobody listens to port 1.
AWAY = "https://127.0.0.1:1/"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class World:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.port = free_port()
        self.processes = []
        self.broker = None
        self.env = dict(os.environ, NATS_URL=f"nats://127.0.0.1:{self.port}")
        self.log = open(folder / "log", "wb")

    def spawn(self, *command, **more):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self.log, **more)
        self.processes.append(process)
        return process

    def start_broker(self):
        self.broker = self.spawn(
            self.args.nats, "-a", "127.0.0.1", "-js", "-p", str(self.port), "-sd", str(self.folder / "js"),
            stdout=self.log)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("nats-server did not start")

    def start_emulator(self, *faults):
        env_file = self.folder / "emulator.env"
        doomed = bytearray((ROOT / "examples/images/dunes.bmp").read_bytes())
        doomed[-1] ^= 1
        (self.folder / "doomed.bmp").write_bytes(doomed)
        (self.folder / "rules.toml").write_text(
            f'[[rules]]\nwhen = {{ md5 = "{hashlib.md5(doomed).hexdigest()}" }}\n'
            'answer = { error = { code = "model_error" } }\n')
        self.spawn(
            self.args.athena, "emulator", "--port", "0", "--token-port", "0", "--admin-port", "0",
            "--rules", str(self.folder / "rules.toml"), "--env-file", str(env_file), *faults, stdout=self.log)
        for _ in range(600):
            if env_file.exists():
                break
            time.sleep(0.1)
        for line in env_file.read_text().splitlines():
            name, _, value = line.partition("=")
            if value and not name.startswith("#"):
                self.env[name] = value.strip("'\"")

    def worker(self, *more):
        return self.spawn(
            self.args.athena, "worker", "--window", str(self.args.window), "--lease", "5s", "--attempts", "4",
            "--retry-delay", "300ms", "--max-image", "1", "--timeout", "20s", "--allow-url", f"file://{self.folder}/",
            "--allow-url", AWAY, "--allow-private", *more, env=self.env, stdout=self.log)

    def athena(self, *command, ok=(0,)):
        done = subprocess.run([self.args.athena, *command], env=self.env, capture_output=True, text=True)
        if done.returncode not in ok:
            sys.exit(f"athena {' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def status(self):
        done = subprocess.run(
            [self.args.athena, "jobs", "status", "--json", "--over", "0s"], env=self.env, capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_until_empty(self, limit, between=lambda: None):
        until = time.monotonic() + limit
        while True:
            status = self.status()
            if status and status["lag"] == 0:
                return status
            if time.monotonic() > until:
                sys.exit(f"the queue does not become empty: {status}")
            between()
            time.sleep(0.5)

    def results(self):
        path = self.folder / f"outcomes-{time.monotonic_ns()}.jsonl"
        self.athena("jobs", "results", "--output", str(path))
        return lines(path)

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def make_jobs(folder, count, poison, seed):
    """The lists of jobs, and what is expected of each."""
    images = []
    for name in IMAGES:
        shutil.copy(ROOT / "examples/images" / name, folder / name)
        images.append(folder / name)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(200)))
    (folder / "large.jpg").write_bytes(b"\xff\xd8\xff" + bytes(2 << 20))
    kinds = [
        ("broken", {"path": str(folder / "broken.png")}, "truncated", False),
        ("missing", {"url": f"file://{folder}/missing.jpg"}, "not_found", False),
        ("large", {"url": f"file://{folder}/large.jpg"}, "too_large", False),
        ("refused", {"url": "file:///etc/hostname"}, "refused", False),
        ("malformed", None, "malformed", True),
        ("doomed", {"path": str(folder / "doomed.bmp")}, "service", True),
        ("away", {"url": AWAY}, "unreadable", True),
    ]
    jobs, malformed, expected = [], [], []
    for number in range(count):
        if number < poison:
            name, job, kind, dead = kinds[number % len(kinds)]
            key = f"{name}-{number}"
        else:
            image = images[number % len(images)]
            job = {"path": str(image)} if number % 4 < 2 else {"url": f"file://{image}"}
            key, kind, dead = f"job-{number}", "classified", False
        if job is None:
            # Only its key can be read.
            malformed.append((key, json.dumps({"key": key, "wrong": True}).encode()))
        else:
            jobs.append({"key": key, **job})
        expected.append({"key": key, "expect": kind, "dead": dead})
    random.Random(seed).shuffle(jobs)
    return jobs, malformed, expected


def write(path, values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def hold(what, wrong, figures):
    print(what, json.dumps(figures), flush=True)
    for line in wrong[:20]:
        print("WRONG", line)
    if wrong:
        sys.exit(f"{len(wrong)} differences")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--athena", default=str(ROOT / "target/debug/athena"))
    parser.add_argument("--nats", default="nats-server")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--poison", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--window", type=int, default=32)
    parser.add_argument("--kill-every", type=float, default=5.0)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--limit", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="athena-chaos-"))
    world = World(args, folder)
    try:
        run(args, world, folder)
    except BaseException:
        print("log:", (folder / "log").read_text(errors="replace")[-4000:], file=sys.stderr)
        raise
    finally:
        world.end()
        shutil.rmtree(folder, ignore_errors=True)


def run(args, world, folder):
    started = time.monotonic()
    world.start_broker()
    world.start_emulator(
        "--seed", str(args.seed), "--fault", "cut = { rate = 0.01 }", "--fault", "lose = { rate = 0.01 }",
        "--fault", "duplicate = { rate = 0.02 }", "--fault", "swallow = { rate = 0.002 }",
        "--fault", "reject = { when = { rate = 0.02 }, status = \"unavailable\" }")
    jobs, malformed, expected = make_jobs(folder, args.jobs, args.poison, args.seed)
    listed = write(folder / "jobs.jsonl", jobs)
    write(folder / "expected.jsonl", expected)
    world.athena("jobs", "submit", "--from", str(listed))
    # Twice is once.
    world.athena("jobs", "submit", "--from", str(listed))
    raw = Nats(world.port)
    for key, body in malformed:
        answer = raw.ask(f"ATHENA_JOBS.live.{key}", body)
        assert "seq" in answer, answer
    status = world.status()
    assert status["lag"] == args.jobs, status

    workers = [world.worker() for _ in range(args.workers)]
    killed, restarted = 0, 0
    next_kill = time.monotonic() + args.kill_every
    restarts = [args.jobs * (number + 1) // (args.restarts + 1) for number in range(args.restarts)]
    chance = random.Random(args.seed)

    def disturb():
        nonlocal killed, restarted, next_kill
        for index, worker in enumerate(workers):
            # One that could not begin, since the broker was away.
            if worker.poll() is not None:
                workers[index] = world.worker()
        if time.monotonic() >= next_kill:
            index = chance.randrange(len(workers))
            workers[index].send_signal(signal.SIGKILL)
            workers[index].wait()
            workers[index] = world.worker()
            killed += 1
            next_kill = time.monotonic() + args.kill_every
        status = world.status()
        if restarts and status and status["outcomes"] >= restarts[0]:
            restarts.pop(0)
            world.broker.send_signal(signal.SIGKILL)
            world.broker.wait()
            time.sleep(1)
            world.start_broker()
            restarted += 1

    status = world.wait_until_empty(args.limit, disturb)
    assert not restarts, "the broker was to be restarted more often: give it more jobs"
    for worker in workers:
        worker.terminate()
    codes = [worker.wait(timeout=60) for worker in workers]
    assert set(codes) == {0}, f"workers that were told to stop: {codes}"
    wrong, figures = verify(expected, world.results())
    figures.update(killed=killed, restarted=restarted, seconds=round(time.monotonic() - started))
    dead = sum(line["dead"] for line in expected)
    if status["dead"] != dead or status["stuck"] != 0:
        wrong.append(f"{status['dead']} dead letters, {status['stuck']} stuck; {dead} and 0 are right")
    if figures["sends"] < figures["classified"]:
        wrong.append("an image was classified without having been sent")
    hold("after chaos:", wrong, figures)
    # What is called by a key and nothing else has no place to be fetched from again.
    lost = world.athena("reconcile", "--from", str(listed))
    assert lost == "", lost[:1000]

    answer = Nats(world.port).ask("$JS.API.STREAM.PURGE.ATHENA_OUTCOMES")
    assert answer.get("success"), answer
    lost = world.athena("reconcile", "--from", str(listed), ok=(1,))
    assert len(lost.splitlines()) == len(jobs), "each is said to be lost"
    world.athena("reconcile", "--from", str(listed), "--submit")
    # Again, while they are queued: idempotent.
    world.athena("reconcile", "--from", str(listed), "--submit")
    assert world.status()["lag"] == len(jobs)
    workers = [world.worker("--until-empty") for _ in range(args.workers)]
    world.wait_until_empty(args.limit)
    for worker in workers:
        worker.wait(timeout=120)
    named = {job["key"] for job in jobs}
    wrong, figures = verify([line for line in expected if line["key"] in named], world.results())
    hold("after reconcile:", wrong, figures)


if __name__ == "__main__":
    main()
