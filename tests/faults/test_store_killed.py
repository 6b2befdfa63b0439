"""The store dies under load: by SIGKILL, while it rewrites its log, and by a power cut that takes what was not synced (rows 1 to 3)."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from tests.e2e.product import pause
from tests.faults.figures import Figures
from tests.faults.shim import Shim
from tests.faults.storeload import Load
from tests.invariants import ask
from tests.services.conftest import MakeWorld
from tests.services.world import World
from tocsin.store.server import EmbeddedServer
from tocsin.store.server_config import find_binary

MIB = 1024 * 1024
SOME, MANY = 10, 100
ALERTS_BETWEEN = 25
"""Answered alerts between two deaths."""
SPREAD_S = 0.03
START_MAX_S = 10.0

rounds = pytest.mark.parametrize("deaths", [SOME, pytest.param(MANY, marks=[pytest.mark.faults_long, pytest.mark.timeout(600)])])


@asynccontextmanager
async def store_on(directory: Path, binary: Path | None = None) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(directory, ballast_bytes=0, maxmemory_bytes=500 * MIB, binary=binary)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def dies_under_load(
    world: World, server: EmbeddedServer, deaths: int, beside: Callable[[], Coroutine[None, None, None]], after: Callable[[], int]
) -> tuple[Load, int]:
    """Kill the server so often while everybody works and `beside` runs; return the load, and the sum of what `after` each death says."""
    generator = random.Random(deaths)
    load = Load(world, await world.correlator())
    told = 0
    async with load.running(), asyncio.TaskGroup() as group:
        disturbing = group.create_task(beside())
        for _ in range(deaths):
            await load.until_answered(ALERTS_BETWEEN)
            await pause(generator.random() * SPREAD_S)
            os.kill(server.pid, signal.SIGKILL)
            await server.wait()
            told += after()
            async with asyncio.timeout(START_MAX_S):
                await server.start()
        await load.until_answered(ALERTS_BETWEEN)
        disturbing.cancel()
    return load, told


async def nothing() -> None:
    return


def no_damage() -> int:
    return 0


async def whole(world: World, load: Load, row: int, figure: Figures, deaths: int) -> None:
    figure(row, "deaths", deaths, at_least=SOME)
    figure(row, "alerts answered", len(load.alerts))
    figure(row, "acknowledgements answered", len(load.acknowledged), at_least=deaths)
    missing = await load.missing()
    assert not missing[:5], missing[:5]
    figure(row, "answered and missing", len(missing), at_most=0)
    await world.check()


@rounds
async def test_a_store_killed_under_load_loses_nothing_that_was_answered(
    world_at: MakeWorld, data_dir: Path, figure: Figures, deaths: int
) -> None:
    async with store_on(data_dir / "store") as server, world_at(server.url, shards=1) as world:
        load, _ = await dies_under_load(world, server, deaths, nothing, no_damage)
        await whole(world, load, 1, figure, deaths)


@rounds
async def test_a_store_killed_while_it_rewrites_its_log_loses_nothing_that_was_answered(
    world_at: MakeWorld, data_dir: Path, figure: Figures, deaths: int
) -> None:
    async with store_on(data_dir / "store") as server, world_at(server.url, shards=1) as world:
        rewrites = 0

        async def rewrite() -> None:
            nonlocal rewrites
            while True:
                with suppress(RedisError):  # away, or a rewrite is under way already
                    await ask(world.console, "BGREWRITEAOF")
                    rewrites += 1
                await pause(0.01)

        load, _ = await dies_under_load(world, server, deaths, rewrite, no_damage)
        figure(3, "rewrites begun", rewrites, at_least=deaths)
        await whole(world, load, 3, figure, deaths)


@rounds
async def test_a_power_cut_loses_nothing_that_was_answered(
    world_at: MakeWorld, data_dir: Path, shim: Shim, figure: Figures, deaths: int
) -> None:
    """What a dead server's files hold beyond the last sync that succeeded is cut off: it never came to the disk."""
    directory = data_dir / "store"
    async with store_on(directory, shim.wrapped(find_binary())) as server, world_at(server.url, shards=1) as world:
        load, cut = await dies_under_load(world, server, deaths, nothing, lambda: shim.cut_to_last_sync(directory / "appendonlydir"))
        figure(2, "bytes cut off", cut)
        await whole(world, load, 2, figure, deaths)
