"""A client of the store as its callers rely on it, against a real server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tocsin.store.connection import connect
from tocsin.store.server import EmbeddedServer

TURNS = 30
"""Turns of the event loop that a command takes at most, with some to spare."""


@pytest.fixture
async def url(data_dir: Path) -> AsyncIterator[str]:
    server = EmbeddedServer(data_dir, ballast_bytes=0)
    await server.start()
    yield server.url
    await server.stop()


async def _get(client: Redis) -> object:
    return await client.get("a")


@pytest.mark.parametrize("connected", [True, False])
async def test_a_cancelled_command_ends_as_cancelled_whenever_the_cancellation_comes(url: str, connected: bool) -> None:
    lost = []
    for turns in range(TURNS):
        client = connect(url, max_connections=1)
        if connected:
            await client.ping()
        async with asyncio.TaskGroup() as group:
            command = group.create_task(_get(client))
            for _ in range(turns):
                await asyncio.sleep(0)
            if not command.done() and command.cancel():
                await asyncio.wait([command])
                if not command.cancelled():
                    lost.append(turns)
        assert await _get(client) is None, "the client is unusable after a cancellation"
        await client.aclose()
    assert not lost
