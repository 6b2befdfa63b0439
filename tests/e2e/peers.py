"""The monitoring side: real Prometheus and Alertmanager processes with configurations of their own, and a sender that behaves like one.

Owns their configuration and their lives. What they send goes to the addresses they are given.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.e2e.product import CLOCK, Answer, Program, free_ports, pause, until

READY_LIMIT_S = 45.0


class _Server:
    """A process with an HTTP address of its own that says when it is ready."""

    def __init__(self, directory: Path, binary: Path) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        [self.port] = free_ports(1)
        self._binary = binary
        self._program: Program | None = None

    def argv(self) -> list[str]:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._program = Program([str(self._binary), *self.argv()], directory=self.directory, log=self.directory / "log")
        try:
            await until(self._is_ready, f"{self._binary.name} is ready", READY_LIMIT_S)
        except BaseException:
            await self._program.end()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._program is not None
        if kind is not None:
            print(f"the end of the log of {self._binary.name}:\n{self._program.log.read_text()[-2000:]}")  # noqa: T201  shown with the failure
        await self._program.end()

    async def post(self, path: str, body: object = None) -> Answer:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.post(f"http://127.0.0.1:{self.port}{path}", json=body) as response,
        ):
            return Answer(response.status, await response.read())

    async def _is_ready(self) -> bool:
        assert self._program is not None
        assert self._program.exit_code is None, f"{self._binary.name} has ended:\n{self._program.log.read_text()[-2000:]}"
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/-/ready", timeout=_LOOK) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


_LOOK = aiohttp.ClientTimeout(total=2)


class Prometheus(_Server):
    """Evaluates one rule every second, which fires until `clear`. `alerting` is the part of its configuration that says whom it tells."""

    def __init__(self, directory: Path, binary: Path, *, alerting: str, alertname: str, labels: Mapping[str, str]) -> None:
        super().__init__(directory, binary)
        config = f"global: {{evaluation_interval: 1s}}\nrule_files: [rule.yml]\n{alerting}\n"
        (directory / "prometheus.yml").write_text(config, encoding="utf-8")
        self._rule = {"alert": alertname, "labels": dict(labels), "annotations": {"summary": f"{alertname} is wrong"}}
        self._write_rule("vector(1)")

    def argv(self) -> list[str]:
        return [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-lifecycle",
            "--rules.alert.resend-delay=1s",
            "--log.level=warn",
        ]

    async def clear(self) -> None:
        """The rule's condition holds no longer."""
        self._write_rule("vector(1) > 2")
        answer = await self.post("/-/reload")
        assert answer.status == 200, answer.text

    def _write_rule(self, expression: str) -> None:
        rules = {"groups": [{"name": "always", "rules": [self._rule | {"expr": expression}]}]}
        (self.directory / "rule.yml").write_text(json.dumps(rules), encoding="utf-8")


class Alertmanager(_Server):
    """One Alertmanager, alone or with peers (gossip addresses of loopback ports)."""

    def __init__(self, directory: Path, binary: Path, config: str, *, cluster_port: int | None = None, peers: Sequence[int] = ()) -> None:
        super().__init__(directory, binary)
        (directory / "alertmanager.yml").write_text(config, encoding="utf-8")
        if cluster_port is None:
            self._cluster = ["--cluster.listen-address="]
        else:
            self._cluster = [
                f"--cluster.listen-address=127.0.0.1:{cluster_port}",
                "--cluster.advertise-address=127.0.0.1:" + str(cluster_port),
                *(f"--cluster.peer=127.0.0.1:{peer}" for peer in peers),
                "--cluster.peer-timeout=1s",
                "--cluster.gossip-interval=20ms",  # it waits for ten of these, five times, before it sends anything
                "--cluster.pushpull-interval=1s",
            ]

    def argv(self) -> list[str]:
        return [
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            *self._cluster,
        ]

    async def fire(self, **labels: str) -> None:
        """Give it an alert, as Prometheus does."""
        answer = await self.post("/api/v2/alerts", [{"labels": labels, "annotations": {"summary": f"{labels['alertname']} is wrong"}}])
        assert answer.status == 200, answer.text


def webhook_body(labels: Mapping[str, str]) -> dict[str, Any]:
    """What Alertmanager posts for one firing alert."""
    alert = {
        "status": "firing",
        "labels": dict(labels),
        "annotations": {"summary": f"{labels['alertname']} is wrong"},
        "startsAt": "2026-11-22T09:00:00.123456789+09:00",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": "ce7584b32167a2bf",
    }
    return {
        "receiver": "tocsin",
        "status": "firing",
        "alerts": [alert],
        "groupLabels": dict(labels),
        "commonLabels": dict(labels),
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.com",
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
    }


class Sender:
    """A steady stream of new alerts, each posted again until it is answered 2xx, with Alertmanager's growing gaps."""

    FIRST_GAP_S, GAP_GROWTH, GAP_MAX_S = 0.25, 1.5, 2.0

    def __init__(self, url: str, *, severity: str = "critical") -> None:
        self.accepted: dict[str, float] = {}
        """When each alert was answered 2xx, in seconds of the clock, by its name."""
        self.retries = 0
        self._url = url
        self._severity = severity
        self._answered = asyncio.Condition()

    async def stream(self, count: int, *, per_s: float) -> None:
        """Return once all have been taken."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._deliver(session, f"Stream{number}"))
                await pause(1 / per_s)

    async def until_accepted(self, count: int, limit_s: float = 30.0) -> None:
        """Return once so many have been taken."""
        async with asyncio.timeout(limit_s), self._answered:
            await self._answered.wait_for(lambda: len(self.accepted) >= count)

    async def _deliver(self, session: aiohttp.ClientSession, name: str) -> None:
        body = webhook_body({"alertname": name, "severity": self._severity})
        gap_s = self.FIRST_GAP_S
        while not await self._taken(session, body):
            self.retries += 1
            await pause(gap_s)
            gap_s = min(gap_s * self.GAP_GROWTH, self.GAP_MAX_S)
        async with self._answered:
            self.accepted[name] = CLOCK.now_ms() / 1000
            self._answered.notify_all()

    async def _taken(self, session: aiohttp.ClientSession, body: Mapping[str, Any]) -> bool:
        try:
            async with session.post(self._url, json=body) as response:
                await response.read()
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False
