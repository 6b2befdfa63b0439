"""Stores to prove: the embedded Valkey, a one-node cluster and Debian's Redis, each started once; a small world of rules and incidents."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.invariants import ask, broken
from tocsin.policy.events import OpenedByAlerts
from tocsin.policy.incident import Decision, open_incident
from tocsin.policy.rules import Rules, incident_number
from tocsin.runtime.rulesfile import load_rules
from tocsin.store.connection import connect
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Store

SHARDS = 2
NOW = 1_800_000_000_000
MIB = 1024 * 1024
START_LIMIT_S = 30.0
TIMEOUT_S = 10.0  # the machine is shared, and some commits here are very wide

RULES = """version: 1
people:
  kim: {name: Kim, contacts: [{to: 'log:'}]}
  lee: {name: Lee, contacts: [{to: 'log:'}]}
roles: {duty: {people: [kim]}, lead: {people: [lee]}}
severities: [{level: 1, matchers: ['severity="critical"']}]
ladders: {standard: {rungs: {1: {0s: duty, 30m: lead}, 2: {0s: duty}, 3: {0s: duty}}}}
services: [{name: everything}]
"""


class Places:
    """Servers by kind, started at their first use and kept for the session."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[EmbeddedServer, Path]] = {}

    def url(self, kind: str) -> str:
        if kind not in self._running:
            binary = shutil.which("redis-server") if kind == "redis" else None
            if kind == "redis" and binary is None:
                pytest.skip("redis-server is not on PATH")
            directory = Path(tempfile.mkdtemp(prefix="tocsin-"))
            server = EmbeddedServer(
                directory,
                binary=Path(binary) if binary else None,
                ballast_bytes=0,
                maxmemory_bytes=256 * MIB,
                cluster_enabled=kind == "cluster",
            )
            asyncio.run(asyncio.wait_for(server.start(), START_LIMIT_S))
            self._running[kind] = server, directory
        return self._running[kind][0].url

    def stop(self) -> None:
        for server, directory in self._running.values():
            asyncio.run(asyncio.wait_for(server.stop(), START_LIMIT_S))
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def places() -> Iterator[Places]:
    found = Places()
    yield found
    found.stop()


@pytest.fixture(params=["valkey", "cluster", "redis"])
def url(request: pytest.FixtureRequest, places: Places) -> str:
    """Every kind of store in turn."""
    return places.url(request.param)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """An empty store; at the end of the test it must be whole."""
    found = Store(connect(url, max_connections=8, timeout_s=TIMEOUT_S), shards=SHARDS, origin="test")
    await ask(found, "FLUSHALL")
    await found.ensure_layout()
    yield found
    faults = await broken(found)
    await found.close()
    assert not faults, faults


@pytest.fixture
def own_store(data_dir: Path) -> Callable[..., AbstractAsyncContextManager[tuple[EmbeddedServer, Store]]]:
    """`async with own_store() as (server, store)`: a server of this test only, to be killed or filled."""

    @asynccontextmanager
    async def serving(maxmemory_bytes: int = 100 * MIB) -> AsyncIterator[tuple[EmbeddedServer, Store]]:
        server = EmbeddedServer(data_dir, ballast_bytes=0, maxmemory_bytes=maxmemory_bytes)
        await server.start()
        found = Store(connect(server.url, max_connections=4), shards=SHARDS, origin="test")
        await found.ensure_layout()
        try:
            yield server, found
            faults = await broken(found)
            assert not faults, faults
        finally:
            await found.close()
            await server.stop()

    return serving


@pytest.fixture(scope="session")
def rules() -> Rules:
    return load_rules(RULES, file_name="rules.yaml", environment={}, read_file=str, version=1)


@pytest.fixture
def opening(rules: Rules) -> Callable[..., Decision]:
    """`opening(0)` opens the first incident of shard 0; the n-th of a shard with `opening(shard, n)`."""

    def make(shard: int, n: int = 0, group: str = "", at: int = NOW) -> Decision:
        number = incident_number(n, shard, SHARDS)
        labels = {"alertname": f"A{number}", "severity": "critical"}
        event = OpenedByAlerts(number, group or f"everything|alertname={number}", "everything", f"A{number}", labels, (1, 0, 0, 0))
        return open_incident(event, at, rules)

    return make
