"""A year of a busy site as a recording: `python -m bench.recording year.jsonl --alerts 500000`, for `tocsin simulate`.

Eighty services of eight teams break some fifty times a day: a few alerts each, repeated every four hours as Alertmanager does, flaps,
some storms, more by day than by night. One seed gives one recording.
"""

from __future__ import annotations

import argparse
import heapq
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 365
REPEAT_S = 4 * 3600
TEAMS = ("payments", "search", "mail", "database", "network", "storage", "shop", "login")
NAMES = ("HighErrorRate", "HighLatency", "DiskFull", "PodCrashLooping", "QueueGrowing", "TargetDown", "CertificateExpires", "BackupFailed")
SEVERITIES = ("critical", "error", "warning", "warning", "info")

Line = tuple[float, int, dict[str, object]]


def recording(alerts: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield about so many reports, in the order of time."""
    rng = Random(seed)
    waiting: list[Line] = []
    count = 0
    per_day = alerts / DAYS
    at, end = 0.0, DAYS * 86_400.0
    mean_reports = 15.5  # of one fault, as drawn below
    while at < end:
        busy = 1.6 if 8 <= (at / 3600) % 24 < 20 else 0.4
        at += rng.expovariate(per_day / mean_reports / 86_400 * busy)
        for line in _fault(rng, at):
            count += 1
            heapq.heappush(waiting, (line[0], count, line[1]))
        while waiting and waiting[0][0] <= at:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _fault(rng: Random, at: float) -> Iterator[tuple[float, dict[str, object]]]:
    team, name, severity = rng.choice(TEAMS), rng.choice(NAMES), rng.choice(SEVERITIES)
    cluster, size = f"c{rng.randrange(10)}", 60 if rng.random() < 0.02 else rng.choice([1, 1, 2, 3, 5, 8])
    lasts = rng.choice([120, 300, 600, 600, 1800, 3600, 5 * 3600])
    cycles = rng.choice([1, 1, 1, 2, 4])
    alerts = [
        {"alertname": name, "team": team, "cluster": cluster, "severity": severity, "job": f"{team}-api", "instance": f"10.0.{i}.7:9100"}
        for i in range(size)
    ]
    for cycle in range(cycles):
        begin = at + cycle * (lasts + 900)
        for index, labels in enumerate(alerts):
            starts = begin + index
            times = [starts + repeat * REPEAT_S for repeat in range(int(lasts // REPEAT_S) + 1)]
            yield from ((time, _line(time, labels, "firing", starts)) for time in times)
            yield starts + lasts, _line(starts + lasts, labels, "resolved", starts)


def _line(at: float, labels: dict[str, str], status: str, starts: float) -> dict[str, object]:
    summary = {"summary": f"{labels['alertname']} of {labels['team']} in {labels['cluster']}"}
    return {
        "at": _text(at),
        "integration": "prometheus",
        "status": status,
        "labels": labels,
        "annotations": summary,
        "startsAt": _text(starts),
    }


def _text(at: float) -> str:
    return (START + timedelta(seconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def main() -> None:
    """Write a recording."""
    parser = argparse.ArgumentParser(prog="python -m bench.recording", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--alerts", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    count = 0
    with arguments.file.open("w", encoding="utf-8") as file:
        for line in recording(arguments.alerts, arguments.seed):
            file.write(json.dumps(line) + "\n")
            count += 1
    print(f"{count} reports")


if __name__ == "__main__":
    main()
