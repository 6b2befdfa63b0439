"""Two hundred on-call days of the whole pager, in every run of the tests; what a seed is and how to see one again: `system.py`.

TOCSIN_SYSTEM_DAYS=N lives through N days, TOCSIN_SYSTEM_SEED=S begins with another seed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from tests.simulation.system import ROOT, server
from tests.simulation.system_day import Life, live_through
from tests.simulation.system_timeline import NOBODY, OWNER, NothingToDo, SimulatedClock, Timeline
from tests.simulation.system_town import SHARDS, draw_day
from tocsin.store.keys import ShardKeys

DAYS = int(os.environ.get("TOCSIN_SYSTEM_DAYS", "200"))
FIRST_SEED = int(os.environ.get("TOCSIN_SYSTEM_SEED", "0"))
AT_ONCE = 2
LIMIT_S = 1_800
AGAIN = (2, 6, 10)


def days_of(seeds: str, *options: str, hash_seed: str = "random") -> dict[str, Any]:
    """Live through seeds in a process of their own; return the sum."""
    command = [sys.executable, "-m", "tests.simulation.system", "--json", "--seeds", seeds, *options]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-3_000:]
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.timeout(LIMIT_S)
def test_whatever_fails_every_promise_is_kept(counted: Callable[[str, int], None]) -> None:
    last = FIRST_SEED + DAYS
    with ThreadPoolExecutor(AT_ONCE) as pool:
        parts = list(pool.map(lambda part: days_of(f"{FIRST_SEED + part}:{last}", "--step", str(AT_ONCE)), range(AT_ONCE)))
    for found in parts:
        counted("on-call days of the system simulation", round(found["days"]))
        counted("effects on the store and calls of providers", found["steps"])
        counted("faults injected at the seams", sum(found["faults"].values()))
        counted("incidents of the real roles", found["incidents"])
        counted("pages handed to a provider", found["pages"])
    assert sum(found["days"] for found in parts) == DAYS
    assert sum(sum(found["faults"].values()) for found in parts) > DAYS, "that was no storm"


@pytest.mark.timeout(LIMIT_S)
def test_the_same_seed_gives_the_same_day_in_every_process() -> None:
    seeds = f"{AGAIN[0]}:{AGAIN[-1] + 1}"
    first, second = (days_of(seeds, "--step", "4", hash_seed=each) for each in ("1", "2"))
    assert first["digests"] == second["digests"]
    assert list(first["digests"]) == [str(seed) for seed in AGAIN]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server() as found:
        yield found


@pytest.mark.timeout(LIMIT_S)
def test_the_same_seed_gives_the_same_day_twice_in_one_process(url: str) -> None:
    assert live_through(3, url).digest == live_through(3, url).digest
    assert live_through(3, url, 0.5).digest != live_through(4, url, 0.5).digest


def test_a_broken_promise_is_seen(url: str) -> None:
    """Somebody writes past the roles."""
    life = Life(draw_day(0, 0.1), url)
    with asyncio.Runner(loop_factory=lambda: life.timeline) as runner:
        runner.run(life.run())
    for shard in range(SHARDS):
        life.server.call(b"DEL", ShardKeys(shard).timers.encode())
    asyncio.run(life.end())
    assert any("timer" in violation for violation in life.report().violations)


def test_time_moves_to_the_next_instant_and_over_what_only_looks() -> None:
    timeline = Timeline()
    timeline.may_leap_to = lambda now: now + 500.0
    clock = SimulatedClock(read_wall=timeline.time, read_monotonic=timeline.time)
    looked: list[float] = []

    async def look() -> None:
        while True:
            await clock.wait(1.0, asyncio.Event())
            looked.append(timeline.time())

    async def live() -> None:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(look())
            await timeline.pause(1234.5)
            looking.cancel()

    with asyncio.Runner(loop_factory=lambda: timeline) as runner:
        runner.run(live())
    assert timeline.time() == 1234.5
    assert looked == [500.0, 1000.0]


def test_a_frozen_process_goes_on_where_it_was() -> None:
    class Process:
        frozen = False

        def __init__(self) -> None:
            self.held: list[asyncio.Handle] = []

    timeline, process, seen = Timeline(), Process(), list[float]()

    async def work() -> None:
        for _ in range(3):
            await timeline.pause(1.0)
            seen.append(timeline.time())

    async def live() -> None:
        context = NOBODY.copy()
        context.run(OWNER.set, process)
        async with asyncio.TaskGroup() as group:
            group.create_task(work(), context=context)
            await timeline.pause(1.5)
            process.frozen = True
            await timeline.pause(10.0)
            timeline.thaw(process)

    with asyncio.Runner(loop_factory=lambda: timeline) as runner:
        runner.run(live())
    assert seen == [1.0, 11.5, 12.5]


def test_a_day_in_which_nothing_can_ever_happen_is_a_fault() -> None:
    timeline = Timeline()
    with pytest.raises(NothingToDo), asyncio.Runner(loop_factory=lambda: timeline) as runner:
        runner.run(asyncio.Event().wait())
