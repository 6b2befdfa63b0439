"""Days of a pager, one for each seed: the real roles on a real store, with everything that can go wrong at their seams.

    python -m tests.simulation.system --seeds 0:200          # 200 days
    python -m tests.simulation.system --seeds 17             # one of them again, to the same digest
    python -m tests.simulation.system --seeds 0: --hours 8   # as many as fit

How a seed becomes a day: `system_town.draw_day` draws it, `system_day.Life` lives through it on the virtual time of `system_timeline`,
`system_process` runs the roles and ends them, `system_seam` is the network to the store and `system_providers` the world that is paged.
`system_referee` judges every step, `system_verdict` the day. The exit code is 1 when a promise was broken, and the output says how to see
it again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import orjson
import structlog

from tests.simulation.system_day import Report, live_through
from tocsin.runtime.clock import SystemClock
from tocsin.store.server import EmbeddedServer

MIB = 1024 * 1024
START_LIMIT_S = 30.0
ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Sum:
    """What many days come to."""

    days: float = 0.0
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    incidents: int = 0
    pages: int = 0
    worst_calm_ms: int = 0
    worst_ms: int = 0
    broken: list[int] = field(default_factory=list)
    digests: dict[int, str] = field(default_factory=dict)

    def add(self, report: Report) -> None:
        """Count a day."""
        self.days += report.days
        self.steps += sum(report.steps.values())
        self.faults += report.faults
        self.incidents += report.incidents
        self.pages += report.pages
        if report.calm:
            self.worst_calm_ms = max(self.worst_calm_ms, report.worst_late_ms)
        self.worst_ms = max(self.worst_ms, report.worst_late_ms)
        self.digests[report.seed] = report.digest
        if report.violations:
            self.broken.append(report.seed)


@contextmanager
def server() -> Iterator[str]:
    """A store of this run only. Its log lies in memory where that can be: what is simulated here is not the disk."""
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="tocsin-", dir=memory if memory.is_dir() else None))
    found = EmbeddedServer(directory, ballast_bytes=0, maxmemory_bytes=256 * MIB)
    asyncio.run(asyncio.wait_for(found.start(), START_LIMIT_S))
    try:
        yield found.url
    finally:
        asyncio.run(asyncio.wait_for(found.stop(), START_LIMIT_S))
        shutil.rmtree(directory, ignore_errors=True)


def commit_of_the_tree() -> str:
    """Return which version this is; a copy without a repository has none."""
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "no commit"


def tell(report: Report) -> None:
    """Say what was broken, and how to see it again."""
    print(f"seed {report.seed}, commit {commit_of_the_tree()}: {len(report.violations)} promises broken")  # noqa: T201  a program for the terminal
    for violation in report.violations:
        print(f"  {violation}")  # noqa: T201  a program for the terminal
    print(f"  again: .venv/bin/python -m tests.simulation.system --seeds {report.seed} --days {report.days:g}", flush=True)  # noqa: T201  a program for the terminal


def seeds_of(text: str) -> Iterator[int]:
    """Return the seeds that `7`, `0:200` or `0:` mean."""
    first, colon, last = text.partition(":")
    return iter(range(int(first), int(last))) if last else count(int(first)) if colon else iter([int(first)])


def simulate(seeds: Iterator[int], *, days: float, hours: float, stop_at_first: bool, step: int = 1) -> Sum:
    """Live through seeds until they end, or the time is over."""
    clock = SystemClock()
    end_s = clock.monotonic() + hours * 3600
    found = Sum()
    with server() as url:
        for index, seed in enumerate(seeds):
            if index % step:
                continue
            if clock.monotonic() >= end_s:
                break
            report = live_through(seed, url, days)
            found.add(report)
            if report.violations:
                tell(report)
                if stop_at_first:
                    break
    return found


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:20", help="one seed, FIRST:LAST or FIRST:")
    parser.add_argument("--days", type=float, default=1.0, help="how long each seed's day is")
    parser.add_argument("--hours", type=float, default=1000.0, help="stop after so many hours")
    parser.add_argument("--step", type=int, default=1, help="take every so many seeds only")
    parser.add_argument("--stop-at-first", action="store_true", help="stop at the first broken promise")
    parser.add_argument("--json", action="store_true", help="print the sum as one line of JSON")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    clock = SystemClock()
    began_s = clock.monotonic()
    found = simulate(
        seeds_of(options.seeds), days=options.days, hours=options.hours, stop_at_first=options.stop_at_first, step=options.step
    )
    took_s = clock.monotonic() - began_s
    if options.json:
        print(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS).decode())  # noqa: T201  a program for the terminal
    else:
        print(summary(found, took_s))  # noqa: T201  a program for the terminal
    return 1 if found.broken else 0


def summary(found: Sum, took_s: float) -> str:
    """Return what is printed at the end."""
    return (
        f"system simulation: {found.days:g} days, {found.steps} steps, {sum(found.faults.values())} faults injected {dict(found.faults)}, "
        f"{found.incidents} incidents, {found.pages} pages; latest {found.worst_calm_ms} ms on calm days; "
        f"{found.days / took_s * 60:.0f} days a minute; {len(found.broken)} days with broken promises"
    )


if __name__ == "__main__":
    sys.exit(main())
