"""A town and its day, drawn from a seed: who works there, by which rules, what breaks when, and what goes wrong with the pager itself.

`draw_day(seed)` is pure: the same seed gives the same `Day`. A day is a beginning (an instant that matters to calendars, as often as not),
rules as text, and a list of things that happen at an offset from it. What people do about their pages is drawn as they get them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from tests.simulation.system_providers import Manners
from tests.simulation.system_seam import Weather

MINUTE, HOUR = 60.0, 3600.0
DAY_S = 24 * HOUR
SHARDS = 2

BEGINNINGS = (
    ("Europe/Berlin", "2026-03-28T18:00"),  # the clocks go forward in the night
    ("Europe/Berlin", "2026-10-24T18:00"),  # and back
    ("America/New_York", "2026-03-07T18:00"),
    ("America/New_York", "2026-10-31T18:00"),
    ("Asia/Seoul", "2026-02-16T12:00"),  # Seollal
    ("Asia/Seoul", "2026-09-24T12:00"),  # Chuseok
    ("Europe/Berlin", "2026-12-24T12:00"),
    ("Asia/Seoul", "2026-04-14T07:00"),
    ("Europe/Berlin", "2026-06-02T20:00"),
)
COUNTRY = {"Europe/Berlin": "DE", "America/New_York": "US", "Asia/Seoul": "KR"}

LADDERS: Mapping[str, Mapping[int, tuple[tuple[int, str], ...]]] = {
    "standard": {
        1: ((0, "duty"), (30, "support"), (60, "lead"), (120, "manager")),
        2: ((0, "duty"), (60, "support"), (120, "lead"), (240, "manager")),
        3: ((0, "duty"), (120, "support"), (240, "lead"), (480, "manager")),
    },
    "repair": {
        1: ((0, "duty"), (15, "lead"), (45, "manager")),
        2: ((0, "duty"), (30, "support"), (90, "lead")),
        3: ((0, "support"), (60, "nobody"), (180, "lead")),
    },
}
"""Ladder -> severity -> (minutes, role). What the rules say is written from this table, and the referee reads it, not the rules."""

REPEAT_MINUTES = 30
LAST_RESORT = "manager"
PEOPLE: Mapping[str, tuple[str, ...]] = {
    "kim": ("webhook+http://chat.test/kim", "sms:+491700001"),
    "park": ("sms:+491700002", "mailto:park@town.test"),
    "lee": ("webhook+http://chat.test/lee", "mailto:lee@town.test"),
    "choi": ("mailto:choi@town.test", "webhook+http://hooks.test/choi"),
    "jeong": ("webhook+http://hooks.test/jeong",),
}
ROTATION = ("kim", "park", "lee")
HANDOVERS = ("00:00", "02:30", "09:00", "17:30")
TEAMS = {"payments": "standard", "plant": "repair", "web": "standard"}
SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens `at` seconds into the day; what `facts` mean depends on `kind`."""

    at: float
    kind: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Day:
    """All that a seed says before anything runs."""

    seed: int
    days: float
    start_ms: int
    zone: str
    rules: str
    other_rules: str
    calm: bool
    weather: Weather
    manners: Manners
    diligence: float
    happenings: tuple[Happening, ...]


def rules_text(zone: str, handover: str, *, group_by: str = "[alertname]", park_after: int = 5) -> str:
    """Return the town's rules file."""
    ladders = ""
    for name, table in LADDERS.items():
        rungs = "".join(
            f"      {level}: {{" + ", ".join(f"{minutes}m: {role}" for minutes, role in each) + "}\n" for level, each in table.items()
        )
        until = "resolved" if name == "repair" else "acknowledged"
        ladders += (
            f"  {name}:\n    until: {until}\n    rungs:\n{rungs}    repeat_last: {REPEAT_MINUTES}m\n    last_resort: [{LAST_RESORT}]\n"
        )
    services = "".join(
        f"  - {{name: {team}, matchers: ['team=\"{team}\"'], group_by: {group_by}, ladder: {ladder}, close_after: 5h}}\n"
        for team, ladder in TEAMS.items()
    )
    people = ""
    for key, contacts in PEOPLE.items():
        after = {"kim": 5, "park": park_after}.get(key, 3)
        each = ", ".join(f"{{to: '{to}', after: {after * index}m}}" for index, to in enumerate(contacts))
        people += f"  {key}: {{name: {key.title()}, time_zone: {zone}, contacts: [{each}]}}\n"
    return (
        "version: 1\n"
        "severities:\n  - {level: 1, matchers: ['severity=\"critical\"']}\n  - {level: 2, matchers: ['severity=\"warning\"']}\n"
        f"services:\n{services}  - {{name: rest, ladder: standard, group_by: {group_by}, close_after: 5h}}\n"
        f"ladders:\n{ladders}"
        "roles:\n  duty: {schedule: primary}\n"
        "  support: {by_time: [{on: working, hours: town, people: [lee]}, {people: [choi]}]}\n"
        "  lead: [choi]\n  manager: [jeong]\n  nobody: {people: []}\n"
        f"hours: {{town: {{time_zone: {zone}, working: [{{days: 'monday:friday', times: '09:00-18:00'}}], holidays: {COUNTRY[zone]}}}}}\n"
        f"schedules:\n  primary:\n    time_zone: {zone}\n    layers:\n"
        f"      - {{rotation: [{', '.join(ROTATION)}], every: 1d, starts: 2026-01-05T{handover}}}\n"
        f"people:\n{people}"
        "channels:\n"
        f"  sms: {{provider: twilio, account_sid: AC{'0' * 32}, auth_token: t0k3n, from: '+491700000', receipt_within: 90s}}\n"
        "  mail: {smtp: 'smtp://mail.town.test:587', from: 'tocsin@town.test'}\n"
        "emergency: {after: 60s, to: ['webhook+http://hooks.test/operators']}\n"
    )


def draw_day(seed: int, days: float = 1.0) -> Day:
    """Return the day of a seed."""
    draw = random.Random(f"{seed}/day")
    zone, begins = draw.choice(BEGINNINGS)
    handover = draw.choice(HANDOVERS)
    start_ms = round(datetime.fromisoformat(begins).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    calm = seed % 5 == 0
    happenings = _faults_of_the_town(draw, days)
    if not calm:
        happenings += _trouble(draw, days)
    happenings += _changes(draw, days)
    other_group = draw.choice(("[alertname, node]", "[team]"))
    return Day(
        seed,
        days,
        start_ms,
        zone,
        rules_text(zone, handover),
        rules_text(zone, handover, group_by=other_group, park_after=2),
        calm,
        Weather() if calm else _weather(draw),
        Manners() if calm else Manners(_odds(draw)),
        draw.choice((0.2, 0.5, 0.8)),
        tuple(sorted(happenings, key=lambda one: one.at)),
    )


def _weather(draw: random.Random) -> Weather:
    def some(most: float) -> float:
        return draw.choice((0.0, 0.2, 1.0)) * most

    return Weather(some(0.04), some(0.04), some(0.04), some(0.01), some(0.01), some(0.05))


def _odds(draw: random.Random) -> dict[str, float]:
    kinds = ("refused", "not_there", "busy", "failed", "lost_answer", "silent", "taken_silently", "kill_before", "kill_after")
    return {kind: draw.choice((0.0, 0.0, 0.05)) for kind in kinds}


def _faults_of_the_town(draw: random.Random, days: float) -> list[Happening]:
    """What breaks: episodes of alerts, each reported by one sender in its order, some twice, some with an old report behind them."""
    found = []
    for number in range(round(draw.randint(5, 11) * days)):
        team = draw.choice([*TEAMS, "nobodys"])
        begins = draw.uniform(0, days * DAY_S)
        facts: dict[str, object] = {
            "name": f"{draw.choice(('Disk', 'Latency', 'Down', 'Queue'))}{number % 4}",
            "team": team,
            "severity": draw.choice(SEVERITIES),
            "raises_to": draw.choice((None, None, "critical")),
            "nodes": draw.randint(1, 3),
            "lasts": draw.choice((90.0, 20 * MINUTE, 3 * HOUR, 9 * HOUR)) * draw.uniform(0.5, 1.5),
            "flaps": draw.choice((0, 0, 0, 1, 3)),
            "expires": draw.random() < 0.15,
            "twice": draw.random() < 0.3,
            "late": draw.random() < 0.3,
        }
        found.append(Happening(begins, "episode", facts))
    if draw.random() < 0.2:
        found.append(Happening(draw.uniform(0, days * DAY_S), "storm", {"alerts": draw.randint(20, 60)}))
    if draw.random() < 0.3:
        found.append(Happening(draw.uniform(0, days * DAY_S), "garbage", {"team": draw.choice([*TEAMS])}))
    return found


def _trouble(draw: random.Random, days: float) -> list[Happening]:
    """What goes wrong with the pager and its providers."""
    found = []
    end = days * DAY_S

    def at() -> float:
        return draw.uniform(0, end)

    for role in ("notifier", "correlator", "ingest", "console"):
        found += [Happening(at(), "kill", {"role": role}) for _ in range(draw.choice((0, 1, 3)))]
    for role in ("notifier", "correlator"):
        for _ in range(draw.choice((0, 0, 2))):
            found.append(Happening(at(), "freeze", {"role": role, "for": draw.uniform(1, 120), "replaced": draw.random() < 0.5}))
    for _ in range(draw.choice((0, 1, 2))):
        found.append(Happening(at(), "store_away", {"for": draw.choice((3.0, 20.0, 200.0))}))
    for _ in range(draw.choice((0, 1))):
        found.append(Happening(at(), "jump", {"seconds": draw.choice((-3600.0, -90.0, -5.0, 5.0, 90.0, 1800.0))}))
    targets = [*("webhook", "sms", "mail"), *(to for contacts in PEOPLE.values() for to in contacts)]
    for _ in range(draw.choice((0, 1, 3))):
        kind = draw.choice(("not_there", "silent", "taken_silently", "lost_answer", "refused", "busy"))
        found.append(Happening(at(), "provider", {"who": draw.choice(targets), "how": kind, "for": draw.choice((60.0, HOUR, 6 * HOUR))}))
    return found


def _changes(draw: random.Random, days: float) -> list[Happening]:
    """What people change about the pager."""
    end = days * DAY_S
    found = [Happening(draw.uniform(0, end), "rules", {}) for _ in range(draw.choice((0, 2, 5)))]
    for number in range(draw.choice((0, 1, 3))):
        begins = draw.uniform(0, end)
        facts = {
            "id": f"o{number}",
            "person": draw.choice([*ROTATION]),
            "for": draw.uniform(HOUR, 8 * HOUR),
            "absent": draw.random() < 0.4,
        }
        found.append(Happening(begins, "roster", facts))
    return found
