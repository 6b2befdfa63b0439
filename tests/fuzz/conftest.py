"""A share of the time for every fuzz test, a store, and what runs on it.

TOCSIN_FUZZ_SECONDS   of all fuzz tests together       (make fuzz SECONDS=600)
TOCSIN_FUZZ_SEED      of the first round; a failure prints it
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.fakes.receiver import Receiver
from tests.fuzz.budget import SECONDS, SEED, Budget
from tests.invariants import ask
from tests.services.world import NOW, World
from tocsin.runtime.clock import ManualClock
from tocsin.store.connection import connect
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Store

START_LIMIT_S = 20.0


_SPENT: pytest.StashKey[list[Budget]] = pytest.StashKey()


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> Budget:
    """The test's equal share of the time that all fuzz tests of this run have together."""
    sharers = sum("budget" in getattr(item, "fixturenames", ()) for item in request.session.items)
    seconds = float(os.environ.get("TOCSIN_FUZZ_SECONDS") or SECONDS) / sharers
    found = Budget(request.node.nodeid, seconds, int(os.environ.get("TOCSIN_FUZZ_SEED") or SEED))
    request.config.stash.setdefault(_SPENT, []).append(found)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how much was tried, and from which seed."""
    spent = config.stash.get(_SPENT, [])
    if spent:
        terminalreporter.section("fuzzed")
        terminalreporter.line(f"{sum(each.examples for each in spent):>14,} examples of {len(spent)} properties")
        terminalreporter.line(f"{spent[0].first_seed:>14} the first seed (TOCSIN_FUZZ_SEED)")


@pytest.fixture(autouse=True)
def only_errors_logged() -> Iterator[None]:
    """A failure shows what was logged: thousands of refusals would hide the one line that tells why."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    directory = Path(tempfile.mkdtemp(prefix="tocsin-"))
    server = EmbeddedServer(directory, ballast_bytes=0, maxmemory_bytes=256 * 1024 * 1024)
    asyncio.run(asyncio.wait_for(server.start(), START_LIMIT_S))
    yield server
    asyncio.run(asyncio.wait_for(server.stop(), START_LIMIT_S))
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def store(server: EmbeddedServer) -> AsyncIterator[Store]:
    """An empty store."""
    store = Store(connect(server.url, max_connections=16), shards=4, origin="console")
    await store.client.flushall()
    await store.ensure_layout()
    yield store
    await store.close()


@pytest.fixture
async def world(server: EmbeddedServer, data_dir: Path) -> AsyncIterator[World]:
    """A team, and the roles as a test makes them; everything that must hold does in the end."""
    clock = ManualClock(NOW)
    async with Receiver(clock.monotonic) as receiver:
        world = World(server.url, receiver, clock, data_dir, 4)
        try:
            await ask(world.console, "FLUSHALL")
            await world.console.ensure_layout()
            yield world
            await world.check()
        finally:
            await world.close()
