"""The console as it runs: the real role behind a real listener, on a real store, with a clock that the test moves.

async def test_...(site: Site) -> None:
    incident = await site.fire()
    answer = await site.post(f"/api/v1/incidents/{incident.id}/acknowledge", by=site.agent)
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from console.service import Console
from tocsin.policy import events as ev
from tocsin.policy.incident import decide, open_incident
from tocsin.policy.model import Alert, AlertStatus, Incident
from tocsin.policy.rules import group_key, incident_number, shard_of_group, shard_of_number
from tocsin.runtime.clock import ManualClock
from tocsin.runtime.inforce import RulesInForce
from tocsin.runtime.links import make_token
from tocsin.runtime.listener import add_health_routes, listen
from tocsin.runtime.log import get_logger
from tocsin.runtime.metrics import Metrics
from tocsin.runtime.service import Deps
from tocsin.runtime.settings import Secret, Settings
from tocsin.store import codec
from tocsin.store.bell import Bell
from tocsin.store.commit import Commit
from tocsin.store.connection import connect
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Committed, Store

LIMIT_S = 60.0
MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_771_264_500_000  # 2026-02-16T17:55:00Z, five to three in the night in Seoul

RULES = """
version: 1
severities:
  - {level: 1, matchers: ['severity="critical"']}
services:
  - {name: payments, matchers: ['team="payments"'], group_by: [alertname], ladder: standard, runbook: 'https://runbooks.example.com/payments'}
  - {name: everything-else, ladder: standard}
ladders:
  standard:
    rungs:
      1: {0s: duty-engineer, 30m: customer-service-engineer, 1h: technical-support-lead}
      2: {0s: duty-engineer, 1h: customer-service-engineer}
      3: {0s: duty-engineer, 2h: customer-service-engineer}
    acknowledged_for: {1: 30m, 2: 1h, 3: 2h}
    remind_before_end: 5m
    repeat_last: 30m
    last_resort: [technical-support-lead]
roles:
  duty-engineer: {people: [kim]}
  customer-service-engineer: {people: [lee]}
  technical-support-lead: {people: [jung]}
people:
  kim: {name: 김민수, locale: en, time_zone: Asia/Seoul, contacts: [{to: 'log:', after: 0s}, {to: 'mailto:kim@example.com', after: 5m}]}
  lee: {name: 이서연, locale: ko, time_zone: Asia/Seoul, contacts: [{to: 'webhook+https://hooks.example.com/secret-path'}]}
  jung: {name: Jung, time_zone: Europe/Berlin, contacts: [{to: 'log:'}]}
channels: {mail: {smtp: 'smtp://127.0.0.1:2525', from: 'tocsin@example.com'}}
"""


@dataclass(frozen=True)
class Answered:
    """What a request was answered."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Site:
    """A running console, a client of it, and somebody who plays monitoring."""

    role: Console
    deps: Deps
    clock: ManualClock
    url: str
    client: aiohttp.ClientSession
    administrator: str = "admin-token"
    tokens: dict[str, str] = field(default_factory=dict)

    async def request(self, method: str, path: str, *, by: str | None = None, **options: Any) -> Answered:
        """Send a request; `by` is a token."""
        headers = {"Authorization": f"Bearer {by}"} if by else {}
        headers |= options.pop("headers", {})
        async with self.client.request(method, f"{self.url}{path}", headers=headers, allow_redirects=False, **options) as answer:
            return Answered(answer.status, await answer.read(), answer.headers)

    async def get(self, path: str, *, by: str | None = "admin-token", **options: Any) -> Answered:
        return await self.request("GET", path, by=by, **options)

    async def post(self, path: str, body: object = None, *, by: str | None = "admin-token", **options: Any) -> Answered:
        if body is not None:
            options["json"] = body
        return await self.request("POST", path, by=by, **options)

    async def token(self, name: str, role: str) -> str:
        """Return a token of that name and role, made over the API."""
        answer = await self.post("/api/v1/tokens", {"name": name, "role": role})
        assert answer.status == 201, answer.text
        return str(answer.json["token"])

    async def link(self, incident: Incident, person: str, *others: Incident, hours: int = 9) -> str:
        """Return the path of an answer link, of a page that names `others` as well."""
        key = await self.deps.store.signing_key()
        numbers = [incident.number, *(other.number for other in others)]
        token = make_token(key, incidents=numbers, person=person, expires_at=self.clock.now_ms() + hours * HOUR)
        return f"/a/{token}"

    async def fire(self, name: str = "HighErrorRate", *, title: str = "", alerts: int = 1, **labels: str) -> Incident:
        """Let alerts of one group fire, and open their incident as the correlator does."""
        store, rules, now = self.deps.store, self.deps.rules.rules, self.clock.now_ms()
        common = {"alertname": name, "severity": "critical", "team": "payments"} | labels
        service = rules.service_of(common)
        key = group_key(service, common)
        shard = shard_of_group(key, store.shards)
        _, seq = await store.cursor_and_seq(shard)
        number = incident_number(seq, shard, store.shards)
        counts = [0, 0, 0, 0]
        counts[rules.severity_of(common) - 1] = alerts
        firing = (counts[0], counts[1], counts[2], counts[3])
        decision = open_incident(ev.OpenedByAlerts(number, key, service.name, title or name, common, firing), now, rules)
        records = {}
        for index in range(alerts):
            alert_labels = common | ({"pod": f"api-{index}"} if alerts > 1 else {})
            notes = {"summary": f"alert {index}"}
            alert = Alert(f"{number:012x}{index:012x}", "seoul", AlertStatus.FIRING, alert_labels, notes, now + index, now + HOUR)
            records[alert.key] = codec.alert_record(alert, codec.alert_body(alert))
        commit = Commit(shard, now, [decision], alerts={number: records}, seq=(seq, seq + 1), origin="correlator")
        assert await store.commit(commit) == Committed()
        return decision.incident

    async def happen(self, number: int, event: ev.Event) -> Incident:
        """Let an event of another process happen to an incident."""
        incident = await self.deps.store.load(number)
        assert incident is not None
        now = self.clock.now_ms()
        decision = decide(incident, event, now, self.deps.rules.rules)
        commit = Commit(shard_of_number(number, self.deps.store.shards), now, [decision], origin="notifier")
        assert await self.deps.store.commit(commit) == Committed()
        return decision.incident

    async def load(self, number: int) -> Incident:
        found = await self.deps.store.load(number)
        assert found is not None
        return found

    def metric(self, name: str, **labels: str) -> float:
        return self.deps.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def running_console(server: EmbeddedServer, store: Store, directory: Path, **settings: Any) -> AsyncIterator[Site]:
    file = directory / "rules.yaml"
    file.write_text(RULES)
    clock, metrics, log = ManualClock(START), Metrics(), get_logger()
    in_force = RulesInForce(store, clock, metrics, log, file=file, environment={})
    await in_force.start()
    chosen = Settings(config_file=file, storage_path=directory, admin_token=Secret("admin-token"), **settings)
    deps = Deps(chosen, clock, store, in_force, metrics, log)
    role = Console(deps)
    app = web.Application()
    role.add_routes(app)
    add_health_routes(app, metrics=metrics, not_ready=role.not_ready, reload=in_force.reload)
    runner = await listen(app, "127.0.0.1", 0)
    host, port = runner.addresses[0][:2]
    bell = Bell(server.url, intake=False, on_message=role.on_change, on_gap=role.on_gap)
    await role.start()
    async with asyncio.TaskGroup() as group, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        tasks = [group.create_task(loop()) for loop in role.loops()]
        tasks.append(group.create_task(bell.run()))
        try:
            async with asyncio.timeout(LIMIT_S):
                yield Site(role, deps, clock, f"http://{host}:{port}", client)
        finally:
            await role.drain()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await runner.cleanup()
            role.desk.reading.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=[False, True], ids=["one-server", "one-node-cluster"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[EmbeddedServer]:
    directory = Path(tempfile.mkdtemp(prefix="tocsin-"))
    server = EmbeddedServer(directory, ballast_bytes=0, maxmemory_bytes=256 * 1024 * 1024, cluster_enabled=request.param)
    await server.start()
    yield server
    await server.stop()
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
async def site(server: EmbeddedServer, store: Store, tmp_path: Path) -> AsyncIterator[Site]:
    """A running console."""
    async with running_console(server, store, tmp_path) as site:
        yield site
