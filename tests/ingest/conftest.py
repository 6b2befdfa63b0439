"""Ingest as it runs: the real role behind a real listener, on a real store with fsync always.

async def test_...(store: Store, ingesting: Ingesting) -> None:
    async with ingesting() as site:
        answer = await site.post("/webhook/events", {"labels": {"alertname": "x"}})
        assert answer.status == 200
        alerts = await site.stored()
"""

import asyncio
import io
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from ingest.service import Ingest
from tocsin.policy.model import Alert
from tocsin.runtime.clock import SystemClock
from tocsin.runtime.inforce import RulesInForce
from tocsin.runtime.listener import add_health_routes, listen
from tocsin.runtime.log import get_logger
from tocsin.runtime.metrics import Metrics
from tocsin.runtime.service import Deps
from tocsin.runtime.settings import Settings
from tocsin.store import codec
from tocsin.store.connection import connect
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Store

LIMIT_S = 30.0

RULES = """
version: 1
severities:
  - {level: 1, matchers: ['severity="critical"']}
services:
  - {name: payments, matchers: ['team="payments"'], group_by: [alertname, cluster], ladder: standard}
  - {name: everything-else, ladder: standard}
ladders:
  standard: {rungs: {1: {0s: duty}, 2: {0s: duty}, 3: {0s: duty}}, last_resort: [duty]}
roles: {duty: {people: [kim]}}
people: {kim: {name: Kim, time_zone: UTC, contacts: [{to: 'log:'}]}}
"""
WITH_KEYS = RULES + "integrations: [{name: seoul, key: key-of-seoul, stale_after: 6h}, {name: busan, key: key-of-busan}]\n"


@dataclass(frozen=True)
class Answered:
    """What a request was answered."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Site:
    """A running ingest, and a client of it."""

    role: Ingest
    deps: Deps
    url: str
    client: aiohttp.ClientSession

    async def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Answered:
        """Post JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        async with self.client.post(f"{self.url}{path}", data=io.BytesIO(data), headers=sent, allow_redirects=False) as answer:
            return Answered(answer.status, await answer.read(), answer.headers)

    async def stored(self) -> list[Alert]:
        """Return every alert in the intake, shard by shard in order."""
        return await stored_alerts(self.deps.store)

    async def letters(self) -> list[dict[bytes, bytes]]:
        """Return the dead letters."""
        found: Any = await self.deps.store.client.xrange("tocsin:dead-letters")
        return [fields for _, fields in found]

    async def until_ready(self) -> None:
        """Return once the role takes alerts again."""
        await until(lambda: self.role.not_ready() is None)

    async def until_stored(self, count: int) -> None:
        """Return once so many alerts are in the intake."""
        while len(await self.stored()) < count:  # noqa: ASYNC110  the store does not announce it
            await asyncio.sleep(0)

    def counted(self, integration: str, result: str) -> float:
        """Return how many alerts were counted."""
        labels = {"integration": integration, "result": result}
        return self.deps.metrics.registry.get_sample_value("tocsin_alerts_received_total", labels) or 0.0


async def stored_alerts(store: Store) -> list[Alert]:
    shards = await store.read_intake(["0-0"] * store.shards, 100_000)
    pairs = [pair for entries in shards for entry in entries for pair in entry.alerts]
    return [codec.read_alert(key, record) for key, record in pairs]


async def until(holds: Callable[[], bool]) -> None:
    """Return once something holds that the role shows but does not announce; the test's own limit ends a wait in vain."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0)


Ingesting = Callable[..., AbstractAsyncContextManager[Site]]


@asynccontextmanager
async def running_ingest(store: Store, file: Path, *, rules: str = RULES, **settings: Any) -> AsyncIterator[Site]:
    file.write_text(rules)
    clock, metrics, log = SystemClock(), Metrics(), get_logger()
    in_force = RulesInForce(store, clock, metrics, log, file=file, environment={})
    await in_force.start()
    deps = Deps(Settings(config_file=file, **settings), clock, store, in_force, metrics, log)
    role = Ingest(deps)
    app = web.Application(client_max_size=deps.settings.body_bytes_max)
    add_health_routes(app, metrics=metrics, not_ready=role.not_ready, reload=in_force.reload)
    role.add_routes(app)
    runner = await listen(app, "127.0.0.1", 0)
    host, port = runner.addresses[0][:2]
    await role.start()
    async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as client:
        tasks = [group.create_task(loop()) for loop in role.loops()]
        try:
            async with asyncio.timeout(LIMIT_S):
                yield Site(role, deps, f"http://{host}:{port}", client)
        finally:
            await runner.cleanup()
            for task in tasks:
                task.cancel()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[EmbeddedServer]:
    directory = Path(tempfile.mkdtemp(prefix="tocsin-"))
    server = EmbeddedServer(directory, ballast_bytes=0, maxmemory_bytes=256 * 1024 * 1024)
    await server.start()
    yield server
    await server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def store(server: EmbeddedServer) -> AsyncIterator[Store]:
    """An empty store."""
    store = Store(connect(server.url, max_connections=8), shards=4)
    await store.client.flushall()
    await store.ensure_layout()
    yield store
    await store.close()


@pytest.fixture
def ingesting(store: Store, tmp_path: Path) -> Ingesting:
    """`async with ingesting(rules=..., **settings) as site` runs the role."""

    def run(**options: Any) -> AbstractAsyncContextManager[Site]:
        return running_ingest(store, tmp_path / "rules.yaml", **options)

    return run
