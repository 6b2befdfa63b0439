"""The requests of the workloads, as bytes: alerts as Prometheus sends them, some 500 bytes each.

Owns what the alerts say. A request is rendered once as a template whose placeholders are as long as what takes their place, so that head
and length are true as they stand: making the next of a hundred alerts is two replacements.

    {"labels": {"alertname": "HighErrorRate", "cluster": "eu-1", "instance": "shop-00000042-7.eu.example.com:9100", ..., "team": "team-17"},
     "annotations": {...}, "startsAt": "2026-11-22T09:00:00.000Z", "endsAt": "2026-11-22T09:04:00.000Z", "generatorURL": "http://..."}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time

SERVICES = 500
GOOD_FOR_S = 240
"""A firing alert of Prometheus is good for four times the longer of interval and resend delay."""

_NUMBER = b"@NUMBER@"
_ENDS_AT = b"@THE-END-OF-THIS-ALERT@@"

ALERTNAMES = ("HighErrorRate", "HighLatency", "DiskWillFill", "PodCrashLooping", "QueueGrowing", "ReplicaLag", "TargetDown", "CertExpires")


def instant(seconds_from_now: float = 0.0) -> str:
    """An instant as Prometheus writes it."""
    moment = datetime.fromtimestamp(time(), UTC) + timedelta(seconds=seconds_from_now)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def request(path: str, body: bytes, *, token: str = "") -> bytes:
    """A whole POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Prometheus/2.42.0\r\nContent-Type: application/json\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def alert(team: int, item: int) -> dict[str, object]:
    """One alert of a team; its instance holds the number that `Template.filled` gives, and `item`."""
    name = ALERTNAMES[team % len(ALERTNAMES)]
    instance = f"shop-{_NUMBER.decode()}-{item}.eu.example.com:9100"
    return {
        "labels": {
            "alertname": name,
            "cluster": "eu-1",
            "instance": instance,
            "job": "shop-frontend",
            "namespace": "shop",
            "severity": "warning",
            "team": f"team-{team}",
        },
        "annotations": {
            "description": f"{name} on {instance}: the value has been 17.3 for more than 5 minutes, the limit is 5.",
            "summary": f"{name} ({instance})",
        },
        "startsAt": instant(),
        "endsAt": _ENDS_AT.decode(),
        "generatorURL": "http://prometheus-0.example.com:9090/graph?g0.expr=rate%28errors_total%5B5m%5D%29+%3E+5&g0.tab=1",
    }


@dataclass(frozen=True, slots=True)
class Template:
    """A request with the places of its number and of its alerts' end left open."""

    raw: bytes

    def filled(self, number: int) -> bytes:
        """The request with this number, its alerts good for four minutes from now."""
        return self.raw.replace(_NUMBER, b"%08d" % number).replace(_ENDS_AT, instant(GOOD_FOR_S).encode())


def _template(alerts: list[dict[str, object]]) -> Template:
    return Template(request("/api/v2/alerts", json.dumps(alerts, separators=(",", ":")).encode()))


class Batches:
    """Requests of 100 alerts; each run of five holds one alert of every service."""

    SIZE = 100

    def __init__(self) -> None:
        turns = SERVICES // self.SIZE
        self._templates = [_template([alert(turn * self.SIZE + item, item) for item in range(self.SIZE)]) for turn in range(turns)]

    def one(self, number: int) -> bytes:
        """Request `number`: its alerts are the same whenever it is sent, but for their end."""
        return self._templates[number % len(self._templates)].filled(number)

    def some(self, first: int, count: int) -> Iterator[bytes]:
        """Requests from `first` on."""
        return map(self.one, range(first, first + count))


class Singles:
    """Requests of one alert."""

    def __init__(self) -> None:
        self._templates = [_template([alert(team, 0)]) for team in range(SERVICES)]

    def one(self, number: int) -> bytes:
        """Request `number`: its alert is the same whenever it is sent, but for its end."""
        return self._templates[number % SERVICES].filled(number)

    def mixed(self, known: int, count: int) -> Iterator[bytes]:
        """New and repeated ones in turn; alerts 0 to `known` - 1 have been sent before, and a repeat is never close behind its alert."""
        for index in range(count):
            yield self.one(known + index // 2 if index % 2 == 0 else index // 2)


def probe(name: str, *, team: str = "probes", severity: str = "critical") -> bytes:
    """A request with one alert that is an incident of its own, found again in the page by its name."""
    labels = {"alertname": name, "severity": severity, "team": team, "cluster": "eu-1", "instance": "db-1.example.com:9100", "job": "db"}
    body = [{
        "labels": labels,
        "annotations": {"summary": f"{name} fires", "description": "The database has not answered for 30 seconds."},
        "startsAt": instant(),
        "endsAt": instant(3_600),
        "generatorURL": "http://prometheus-0.example.com:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
    }]  # fmt: skip
    return request("/api/v2/alerts", json.dumps(body, separators=(",", ":")).encode())


def events(team: str, first: int, count: int) -> bytes:
    """A request in Tocsin's own format with many alerts, each an incident of its own where the service groups by every label."""
    alerts = [
        {
            "labels": {
                "alertname": "SensorSilent",
                "severity": "error",
                "team": team,
                "site": f"site-{number % 977}",
                "sensor": f"s-{number}",
            },
            "annotations": {"summary": f"Sensor s-{number} has been silent for an hour"},
        }
        for number in range(first, first + count)
    ]
    return request("/webhook/events", json.dumps(alerts, separators=(",", ":")).encode())


def fires(teams: int) -> bytes:
    """A request with one alert for each of so many teams."""
    alerts = [{"labels": {"alertname": "Fire", "severity": "error", "team": f"team-{number}"}} for number in range(teams)]
    return request("/webhook/events", json.dumps(alerts, separators=(",", ":")).encode())
