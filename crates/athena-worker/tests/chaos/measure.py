#!/usr/bin/env python3
"""Measures workers: ratios within one run, with an emulator whose answers take 500 ms.

Usage: measure.py scaling | priority | memory | cost [--athena BINARY] [--nats BINARY]

scaling   jobs a second with 1, 2, 4 and 8 workers of a small window
priority  p50 and p99 of live jobs without and with a backfill in the queue
memory    resident size of a worker while a few thousand jobs wait, and while a million do
cost      processor time of an image by a worker, against `athena scan` of the same files
"""
import argparse
import datetime
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from chaos import IMAGES, ROOT, World, write

DELAY = ["--fault", 'delay = { constant = "500ms" }']


def worker(world, *more):
    return world.spawn(
        world.args.athena, "worker", "--allow-url", f"file://{world.folder}/", *more, env=world.env, stdout=world.log)


def submit(world, count, prefix, lane="backfill"):
    """Jobs by URL: small in the queue."""
    for name in IMAGES:
        shutil.copy(ROOT / "examples/images" / name, world.folder / name)
    jobs = [{"key": f"{prefix}-{number}", "url": f"file://{world.folder}/{IMAGES[number % len(IMAGES)]}"}
            for number in range(count)]
    listed = write(world.folder / f"{prefix}.jsonl", jobs)
    world.athena("jobs", "submit", "--lane", lane, "--from", str(listed))


def ended(world, process):
    process.terminate()
    process.wait(timeout=60)


def scaling(world):
    world.start_emulator(*DELAY)
    submit(world, world.args.jobs or 3000, "job")
    first = None
    for count in (1, 2, 4, 8):
        workers = [worker(world, "--window", "4") for _ in range(count)]
        time.sleep(4)
        before, began = world.status()["outcomes"], time.monotonic()
        time.sleep(world.args.seconds)
        rate = (world.status()["outcomes"] - before) / (time.monotonic() - began)
        for process in workers:
            ended(world, process)
        first = first or rate
        print(f"{count} workers: {rate:.1f} jobs a second, {rate / first / count:.2f} of linear", flush=True)


def latencies(world, prefix):
    def at(text):
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

    times = sorted(at(record["time"]) - at(record["received"])
                   for record in world.results() if record["key"].startswith(prefix))
    return times[len(times) // 2], times[len(times) * 99 // 100], len(times)


def priority(world):
    world.start_emulator(*DELAY)
    process = worker(world, "--window", "32")
    time.sleep(3)
    count = 200

    def live(prefix):
        for number in range(count):
            submit_one(world, f"{prefix}-{number}")
            time.sleep(0.1)
        while sum(record["key"].startswith(prefix) for record in world.results()) < count:
            time.sleep(1)
        return latencies(world, prefix)

    alone = live("alone")
    submit(world, world.args.jobs or 100_000, "archive")
    time.sleep(3)
    beside = live("beside")
    left = world.status()["backfill"]["waiting"]
    ended(world, process)
    print(f"live alone: p50 {alone[0] * 1e3:.0f} ms, p99 {alone[1] * 1e3:.0f} ms")
    print(f"beside a backfill: p50 {beside[0] * 1e3:.0f} ms, p99 {beside[1] * 1e3:.0f} ms; {left} of it still waited")
    print(f"p99: {beside[1] / alone[1]:.2f} times")


def submit_one(world, key):
    from nats import Nats

    if not hasattr(world, "raw"):
        for name in IMAGES:
            shutil.copy(ROOT / "examples/images" / name, world.folder / name)
        world.raw = Nats(world.port)
    job = {"key": key, "url": f"file://{world.folder}/{IMAGES[0]}"}
    answer = world.raw.ask(f"ATHENA_JOBS.live.{key}", json.dumps(job).encode())
    assert "seq" in answer, answer


def memory(world):
    world.start_emulator()
    process = worker(world)
    time.sleep(5)
    print(f"nothing waits: {resident(process):.1f} MiB", flush=True)
    for count in (5_000, world.args.jobs or 1_000_000):
        began = time.monotonic()
        submit(world, count, f"of-{count}")
        print(f"{count} submitted in {time.monotonic() - began:.0f} s", flush=True)
        for _ in range(4):
            time.sleep(10)
            status = world.status()
            print(f"{status['lag']} jobs wait, {status['outcomes']} are done: {resident(process):.1f} MiB", flush=True)
    ended(world, process)


def resident(process):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def cost(world):
    world.start_emulator()
    count = world.args.jobs or 700
    archive = world.folder / "archive"
    archive.mkdir()
    pictures = sorted((ROOT / "examples/images").iterdir())
    for number in range(count):
        picture = pictures[number % len(pictures)]
        shutil.copy(picture, archive / f"{number}{picture.suffix}")
    jobs = [{"key": path.name, "url": f"file://{path}"} for path in sorted(archive.iterdir())]
    world.athena("jobs", "submit", "--from", str(write(world.folder / "jobs.jsonl", jobs)))

    def used(run):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count * 1e3

    def scan():
        subprocess.run(
            [world.args.athena, "scan", str(archive), "--output", str(world.folder / "scan.jsonl")],
            env=world.env, check=True, stdout=world.log, stderr=world.log)

    scanned = used(scan)
    worked = used(lambda: worker(world, "--until-empty").wait())
    assert len(world.results()) == count
    print(f"scan: {scanned:.2f} ms of processor time an image, a worker: {worked:.2f}; "
          f"images for each second of it: {scanned / worked:.2f} of scan's")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scaling", "priority", "memory", "cost"])
    parser.add_argument("--athena", default=str(ROOT / "target/release/athena"))
    parser.add_argument("--nats", default="nats-server")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--seconds", type=float, default=15.0)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="athena-measure-"))
    world = World(args, folder)
    try:
        world.start_broker()
        globals()[args.what](world)
    except BaseException:
        print("log:", (folder / "log").read_text(errors="replace")[-3000:], file=sys.stderr)
        raise
    finally:
        world.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
