"""The two products that are measured, started fresh and asked from outside.

Owns their configuration for the measurement, and how each is asked what it has taken in. Both fold alerts by team and alertname, page at
once, and page the same receiver; everything else is as shipped, the log included.

Read `settled`: when a measurement of a rate ends.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final, Protocol

from bench.bodies import SERVICES
from bench.processes import Family, free_ports, start

READY_S: Final = 60.0
ASK_S: Final = 60.0
LOOK_READY_S: Final = 0.05
SETTLED_S: Final = 60.0
LOOK_SETTLED_S: Final = 0.02
ROLES: Final = ("ingest", "correlator", "notifier", "console")
PEOPLE: Final = 10
TOKEN: Final = "bench-administrator-token-0123456789abcdef"


class ProductFailed(Exception):
    """A product did not start, did not answer, or did not take in what it was given."""


class Product(Protocol):
    """What the workloads need of a product."""

    name: str

    @property
    def alerts_port(self) -> int:
        """Where alerts are pushed."""

    @property
    def family(self) -> Family:
        """Its processes."""

    async def start(self) -> None:
        """Start and return once it is ready. Raises ProductFailed."""

    async def applied(self) -> int:
        """How many reports of alerts it has taken in and worked off since it was started; cheap to ask."""

    async def visible(self) -> int:
        """How many firing alerts its own query shows."""

    async def settled(self, *, applied: int, visible: int) -> None:
        """Return once so many reports are worked off and so many alerts can be seen. Raises ProductFailed after a minute."""

    async def stop(self) -> None:
        """End it."""


async def ask(port: int, path: str, *, token: str = "") -> tuple[int, bytes]:
    """GET; status and body. Raises OSError."""
    return await asyncio.to_thread(_ask, port, path, token)


def _ask(port: int, path: str, token: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_S)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{path}: {error!r}") from error
    finally:
        connection.close()


async def _until(count: Callable[[], Awaitable[int]], wanted: int, what: str) -> None:
    limit = monotonic() + SETTLED_S
    while (found := await count()) < wanted:
        if monotonic() > limit:
            raise ProductFailed(f"{found} of {wanted} alerts {what} after {SETTLED_S:g} s")
        await asyncio.sleep(LOOK_SETTLED_S)


async def _until_ready(family: Family, ports: list[int], log: Path) -> None:
    limit = monotonic() + READY_S
    waiting = list(ports)
    while waiting:
        if family.process.poll() is not None or monotonic() > limit:
            raise ProductFailed(f"did not become ready; the end of its log:\n{tail(log)}")
        try:
            status, _ = await ask(waiting[0], "/-/ready")
        except OSError:
            status = 0
        if status == 200:
            waiting.pop(0)
        else:
            await asyncio.sleep(LOOK_READY_S)


def tail(log: Path, characters: int = 2_000) -> str:
    """The end of a log."""
    return log.read_text(encoding="utf-8", errors="replace")[-characters:]


def samples(text: bytes, name: str) -> list[tuple[str, float]]:
    """The samples of one metric: labels as they stand, and value."""
    pattern = re.compile(rb"^" + re.escape(name.encode()) + rb"(\{[^}\n]*\})? (\S+)", re.MULTILINE)
    return [((labels or b"").decode(), float(value)) for labels, value in pattern.findall(text)]


@dataclass(slots=True)
class Tocsin:
    """`tocsin serve`: four roles, the supervisor and the embedded store."""

    folder: Path
    receiver_port: int
    name: str = "Tocsin"
    ports: dict[str, int] = field(default_factory=dict)
    _family: Family | None = None

    rules: str = ""

    def __post_init__(self) -> None:
        self.ports = dict(zip(ROLES, free_ports(len(ROLES)), strict=True))
        self.folder.mkdir(parents=True)
        (self.folder / "rules.yaml").write_text(self.rules or tocsin_rules(self.receiver_port), encoding="utf-8")

    @property
    def family(self) -> Family:
        assert self._family is not None, "not started"
        return self._family

    @property
    def alerts_port(self) -> int:
        return self.ports["ingest"]

    @property
    def log(self) -> Path:
        return self.folder / "log"

    async def start(self) -> None:
        beside = Path(sys.executable).with_name("tocsin")
        program = [str(beside)] if beside.exists() else [sys.executable, "-P", "-m", "tocsin.runtime.cli"]
        argv = [*program, "serve", "--config.file", "rules.yaml", "--storage.path", "data"]
        for role, port in self.ports.items():
            argv += [f"--{role}.listen-address", f"127.0.0.1:{port}"]
        environment = _environment() | {"TOCSIN_ADMIN_TOKEN": TOKEN}
        self._family = start(argv, environment=environment, folder=self.folder, log=self.log)
        await _until_ready(self._family, list(self.ports.values()), self.log)

    async def applied(self) -> int:
        _, text = await ask(self.ports["correlator"], "/metrics")
        return int(sum(value for labels, value in samples(text, "tocsin_alerts_folded_total") if "forwarded" not in labels))

    async def open_incidents(self) -> int:
        """How many incidents are open, from the console's metrics: its list would take minutes for a hundred thousand."""
        _, text = await ask(self.ports["console"], "/metrics")
        return int(sum(value for labels, value in samples(text, "tocsin_incidents") if 'state="open"' in labels))

    async def settled(self, *, applied: int, visible: int) -> None:
        await _until(self.applied, applied, "worked off")
        await _until(self.visible, visible, "visible")

    async def visible(self) -> int:
        return sum(incident["alerts"]["firing"] for incident in await self.incidents("state=open,acknowledged"))

    async def incidents(self, query: str) -> list[dict[str, Any]]:
        """All incidents that the console lists."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            status, text = await ask(self.ports["console"], f"/api/v1/incidents?{query}&limit=200{cursor}", token=TOKEN)
            if status != 200:
                raise ProductFailed(f"the list of incidents was answered {status}: {text[:200]!r}")
            page = json.loads(text)
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    async def stop(self) -> None:
        if self._family is not None:
            await self._family.end()


@dataclass(slots=True)
class Alertmanager:
    """Debian's Alertmanager, alone, as it is without a cluster."""

    folder: Path
    receiver_port: int
    name: str = "Alertmanager"
    alerts_port: int = 0
    _family: Family | None = None

    def __post_init__(self) -> None:
        [self.alerts_port] = free_ports(1)
        self.folder.mkdir(parents=True)
        (self.folder / "alertmanager.yml").write_text(alertmanager_config(self.receiver_port), encoding="utf-8")

    @property
    def family(self) -> Family:
        assert self._family is not None, "not started"
        return self._family

    async def start(self) -> None:
        argv = [
            alertmanager_program(),
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{self.alerts_port}",
        ]
        log = self.folder / "log"
        self._family = start(argv, environment=_environment(), folder=self.folder, log=log)
        await _until_ready(self._family, [self.alerts_port], log)

    async def applied(self) -> int:
        _, text = await ask(self.alerts_port, "/metrics")
        return int(sum(value for _, value in samples(text, "alertmanager_dispatcher_alert_processing_duration_seconds_count")))

    async def settled(self, *, applied: int, visible: int) -> None:
        # What was answered stands in its list already. Asking for the list takes it a second and would be its loss.
        await _until(self.applied, applied, "worked off")

    async def visible(self) -> int:
        _, text = await ask(self.alerts_port, "/api/v2/alerts")
        return len(json.loads(text))

    async def stop(self) -> None:
        if self._family is not None:
            await self._family.end(signal.SIGTERM)


Make = Callable[[Path, int], Product]
"""Makes a product with a fresh folder and the receiver's port."""


def alertmanager_program() -> str:
    """Where it is. Raises ProductFailed."""
    for name in ("prometheus-alertmanager", "alertmanager"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise ProductFailed("prometheus-alertmanager is not on PATH: `make servers` installs it on a Debian-like system")


def _environment() -> dict[str, str]:
    """What a product needs of ours, and settings of Tocsin that are to be tried out."""
    kept = ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR")
    return {name: value for name, value in os.environ.items() if name in kept or name.startswith("TOCSIN_")}


def tocsin_rules(receiver_port: int) -> str:
    """The rules: a service for each team and ten people who share them; JSON, which is YAML."""
    people = [f"engineer-{number}" for number in range(PEOPLE)]
    others = ["prober", "first", "second"]
    ladders: dict[str, Any] = {f"of-{person}": _ladder({"0s": person, "4h": "engineer-0"}) for person in people}
    ladders["probes"] = _ladder({"0s": "prober", "4h": "engineer-0"})
    ladders["late"] = _ladder({"0s": "first", "2s": "second"})
    ladders["sleepy"] = _ladder({"4h": "engineer-0"})
    services: list[dict[str, Any]] = [
        {"name": f"team-{team}", "matchers": [f'team="team-{team}"'], "group_by": ["alertname"], "ladder": f"of-{people[team % PEOPLE]}"}
        for team in range(SERVICES)
    ]
    services += [
        {"name": "probes", "matchers": ['team="probes"'], "group_by": ["alertname"], "ladder": "probes"},
        {"name": "late", "matchers": ['team="late"'], "group_by": ["alertname"], "ladder": "late"},
        {"name": "held", "matchers": ['team="held"'], "group_by": ["alertname"], "ladder": "sleepy"},
        {"name": "sensors", "matchers": ['team="sensors"'], "group_by": ["..."], "ladder": "sleepy"},
        {"name": "everything-else", "ladder": "sleepy"},
    ]
    rules = {
        "version": 1,
        "severities": [
            {"level": 1, "matchers": ['severity=~"critical|page|emergency|1"']},
            {"level": 2, "matchers": ['severity=~"error|major|warning|2"']},
        ],
        "services": services,
        "ladders": ladders,
        "roles": {person: {"people": [person]} for person in people + others},
        "people": {person: {"contacts": [{"to": f"webhook+http://127.0.0.1:{receiver_port}/{person}"}]} for person in people + others},
    }
    return json.dumps(rules, indent=1)


FAN_TEAM: Final = 10
"""People of one service in a fan-out: each of its incidents pages them all at once."""


def fan_rules(receiver_port: int, people: int, *, silent_port: int = 0, silent_people: int = 0) -> str:
    """The rules of a fan-out: services of ten people each. `silent_people` more are over a provider that never answers."""
    names = [f"fan-{number}" for number in range(people)] + [f"silent-{number}" for number in range(silent_people)]
    teams = {f"team-{first // FAN_TEAM}": names[first : first + FAN_TEAM] for first in range(0, len(names), FAN_TEAM)}
    ports = {name: silent_port if name.startswith("silent") else receiver_port for name in names}
    services: list[dict[str, Any]] = [
        {"name": team, "matchers": [f'team="{team}"'], "group_by": ["alertname"], "ladder": team} for team in teams
    ]
    rules = {
        "version": 1,
        "severities": [{"level": 2, "matchers": ['severity="error"']}],
        "services": [*services, {"name": "everything-else", "ladder": "team-0"}],
        "ladders": {team: {"rungs": {str(level): {"0s": team} for level in (1, 2, 3)}, "last_resort": [team]} for team in teams},
        "roles": {team: {"people": members} for team, members in teams.items()},
        "people": {name: {"contacts": [{"to": f"webhook+http://127.0.0.1:{ports[name]}/{name}"}]} for name in names},
    }
    return json.dumps(rules)


def _ladder(rungs: dict[str, str]) -> dict[str, Any]:
    return {"rungs": {str(level): rungs for level in (1, 2, 3)}, "last_resort": ["engineer-0"]}


def alertmanager_config(receiver_port: int) -> str:
    """The same folding and the same receiver, each group paged at once."""
    hook = {"url": f"http://127.0.0.1:{receiver_port}/alertmanager", "send_resolved": False}
    route = {"receiver": "people", "group_by": ["team", "alertname"], "group_wait": "0s", "group_interval": "5m", "repeat_interval": "4h"}
    return json.dumps({"route": route, "receivers": [{"name": "people", "webhook_configs": [hook]}]})
