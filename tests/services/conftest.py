"""The pipeline on a real store: `world` for most tests, `world_at` for those that kill or fill a server of their own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.receiver import Receiver
from tests.invariants import ask
from tests.services.world import LIMIT_S, NOW, World
from tocsin.runtime.clock import ManualClock
from tocsin.store.server import EmbeddedServer


@pytest.fixture(scope="session", params=[False, True], ids=["one-server", "one-node-cluster"])
def shared_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """One server for all tests that neither kill nor fill it, and one that refuses keys of two slots in one script."""
    directory = Path(tempfile.mkdtemp(prefix="tocsin-"))
    server = EmbeddedServer(directory, ballast_bytes=0, maxmemory_bytes=256 * 1024 * 1024, cluster_enabled=request.param)
    asyncio.run(asyncio.wait_for(server.start(), LIMIT_S))
    yield server.url
    asyncio.run(asyncio.wait_for(server.stop(), LIMIT_S))
    shutil.rmtree(directory, ignore_errors=True)


MakeWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def world_at(data_dir: Path) -> MakeWorld:
    """`async with world_at(url, shards=4) as world`."""

    @asynccontextmanager
    async def make(url: str, *, shards: int = 4) -> AsyncIterator[World]:
        clock = ManualClock(NOW)
        async with Receiver(clock.monotonic) as receiver:
            world = World(url, receiver, clock, data_dir, shards)
            try:
                await ask(world.console, "FLUSHALL")
                await world.console.ensure_layout()
                yield world
            finally:
                await world.close()

    return make


@pytest.fixture
async def world(world_at: MakeWorld, shared_url: str) -> AsyncIterator[World]:
    async with world_at(shared_url) as found:
        yield found
        await found.check()
