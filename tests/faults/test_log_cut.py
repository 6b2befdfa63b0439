"""The store's log cut off at every byte of its last two records: a script's effects are there whole or not at all (row 4)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from tests.faults.figures import Figures
from tests.invariants import ask, broken
from tests.services.conftest import MakeWorld
from tests.services.world import World
from tocsin.policy.events import Acknowledged
from tocsin.store.server import EmbeddedServer

LOG = "appendonlydir/appendonly.aof.1.incr.aof"
LIMIT_S = 30.0
SPARSE = 41
"""A prime, so that cuts fall into every part of a command."""
STARTS = 5
"""So many of the cuts are also given to a server that starts."""


@pytest.mark.parametrize("step", [SPARSE, pytest.param(1, marks=[pytest.mark.faults_long, pytest.mark.timeout(600)])])
async def test_a_log_cut_at_any_byte_of_its_last_two_records_holds_whole_scripts(
    world_at: MakeWorld, data_dir: Path, figure: Figures, step: int
) -> None:
    """The server loads its log again after every cut, as it does when it starts."""
    directory = data_dir / "store"
    server = EmbeddedServer(directory, ballast_bytes=0, extra_settings={"enable-debug-command": "yes"})
    await server.start()
    try:
        async with world_at(server.url, shards=1) as world:
            lengths, states = await _two_records(world, directory / LOG)
            log = (directory / LOG).read_bytes()
            cuts = partial = 0
            for cut in range(lengths[0], lengths[-1] + 1, step):
                cuts += 1
                (directory / LOG).write_bytes(log[:cut])
                await _load_again(world)
                expected = states[sum(cut >= length for length in lengths) - 1]
                partial += await digest(world) != expected
            for length, state in zip(lengths, states, strict=True):
                (directory / LOG).write_bytes(log[:length])
                await _load_again(world)
                assert await digest(world) == state
                assert await broken(world.console) == []
            apart = (lengths[-1] - lengths[0]) // STARTS
            for cut in range(lengths[0] + apart // 2, lengths[-1], apart):
                await server.stop()
                (directory / LOG).write_bytes(log[:cut])
                async with asyncio.timeout(LIMIT_S):
                    await server.start()
                partial += await digest(world) != states[sum(cut >= length for length in lengths) - 1]
    finally:
        await server.stop()
    figure(4, "cuts", cuts, at_least=100)
    figure(4, "states that are part of a script", partial, at_most=0)


async def _two_records(world: World, log: Path) -> tuple[list[int], list[bytes]]:
    """Commit two decisions; how long the log was before, between and after, and what the store held then."""
    correlator = await world.correlator()
    await world.report("First", shard=0)
    await correlator.tick(world.clock.now_ms())
    await world.report("Second", shard=0)
    lengths, states = [log.stat().st_size], [await digest(world)]
    await correlator.tick(world.clock.now_ms())
    lengths.append(log.stat().st_size)
    states.append(await digest(world))
    await world.act(1, Acknowledged("kim"))
    lengths.append(log.stat().st_size)
    states.append(await digest(world))
    assert states[0] != states[1] != states[2]
    return lengths, states


async def digest(world: World) -> bytes:
    """The server's own digest of everything that it holds."""
    answer: bytes = await ask(world.console, "DEBUG", "DIGEST")
    return answer


async def _load_again(world: World) -> None:
    try:
        await ask(world.console, "DEBUG", "LOADAOF")
    except ResponseError as error:
        assert "trying to load the AOF" in str(error)  # noqa: PT017  it says so after it has loaded a log that is cut off
