#!/usr/bin/env python3
"""Holds outcomes against what was submitted.

Usage: verify.py EXPECTED.jsonl OUTCOMES.jsonl

EXPECTED has a line {"key": ..., "expect": "classified" | ERROR KIND, "dead": true | false} for each job, OUTCOMES is what
`athena jobs results` prints. Says what differs, and fails if anything does.
"""
import collections
import json
import sys


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def verify(expected, outcomes):
    """What differs, and the figures."""
    wrong = []
    expected = {line["key"]: line for line in expected}
    found = collections.defaultdict(list)
    for record in outcomes:
        found[record["key"]].append(record)
    for key in expected.keys() - found.keys():
        wrong.append(f"{key}: no outcome")
    for key in found.keys() - expected.keys():
        wrong.append(f"{key}: nobody has submitted it")
    for key, records in found.items():
        if len(records) > 1:
            wrong.append(f"{key}: {len(records)} outcomes")
        if key not in expected:
            continue
        record, want = records[0], expected[key]
        kind = "classified" if record["status"] == "classified" else record["error"]["kind"]
        if kind != want["expect"]:
            wrong.append(f"{key}: {kind}, and should be {want['expect']}")
        if record.get("dead", False) != want["dead"]:
            wrong.append(f"{key}: dead is {record.get('dead', False)}, and should be {want['dead']}")
    records = [record for records in found.values() for record in records]
    figures = {
        "jobs": len(expected),
        "outcomes": len(records),
        "distinct": len(found),
        "classified": sum(record["status"] == "classified" for record in records),
        "dead": sum(record.get("dead", False) for record in records),
        "attempts": sum(record.get("attempts", 0) for record in records),
        "sends": sum(record.get("sends", 0) for record in records),
        "of which sends are known": sum("sends" in record for record in records),
    }
    return wrong, figures


def main():
    wrong, figures = verify(lines(sys.argv[1]), lines(sys.argv[2]))
    print(json.dumps(figures))
    for line in wrong[:50]:
        print("WRONG", line)
    if wrong:
        sys.exit(f"{len(wrong)} differences")


if __name__ == "__main__":
    main()
