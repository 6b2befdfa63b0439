"""Rules with nothing but people, schedules and roles in them, and instants written as people do: for the tests of the calendar."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from tocsin.policy.hours import Hours
from tocsin.policy.roster import Roster
from tocsin.policy.rotation import Every
from tocsin.policy.rules import Contact, Emergency, Person, Rules
from tocsin.policy.schedules import Layer, Role, Schedule

PEOPLE = ("kim", "park", "lee", "choi")
HOUR = 3_600_000
DAY = 24 * HOUR

DAILY, WEEKLY, MONTHLY = Every(hours=24), Every(hours=168), Every(months=1)


def at(text: str, zone: str = "Asia/Seoul", fold: int = 0) -> int:
    """Return the instant (ms UTC) of a local time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def week_of(*people: str, zone: str = "Asia/Seoul", starts: str = "2026-01-05T09:00:00") -> Schedule:
    """Return a schedule in which people take turns by the week."""
    return Schedule("duty", zone, (Layer(people, WEEKLY, starts),))


def rules_of(
    *schedules: Schedule,
    roles: Iterable[Role] = (),
    roster: Roster | None = None,
    hours: Iterable[Hours] = (),
    people: Iterable[str] = PEOPLE,
) -> Rules:
    """Return rules with these in them; everybody can be reached."""
    return Rules(
        version=1,
        severities=(),
        services=(),
        ladders={},
        roles={role.name: role for role in roles},
        schedules={schedule.name: schedule for schedule in schedules},
        people={key: Person(key, key.title(), "en", "UTC", (Contact("log:"),)) for key in people},
        integrations=(),
        inhibit=(),
        emergency=Emergency(),
        hours={each.name: each for each in hours},
        roster=roster or Roster(),
    )
